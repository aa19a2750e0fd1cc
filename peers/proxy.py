"""A proxy between a registry and Daybook that misbehaves on request."""

import collections
import contextlib
import enum
import http.client
import json
import socket
import threading

from processes import PATIENCE_S, free_port


class Way(enum.Enum):
    """How a request is treated."""

    PASS = "forwards it and gives the answer back"
    REFUSE = "responds with an error and forwards nothing"
    LIE = "forwards it, and responds with an error"
    DROP = "forwards it, and closes the connection without an answer"
    LATE = "forwards it, and responds once the sender has given up"
    STALE = "forwards it once the sender has given up"
    DOWN = "refuses connections"


def notifications(body):
    """The ids of a registry's notifications."""
    return [event["id"] for event in json.loads(body)["events"]]


class Proxy:
    """Forwards requests from a port of its own to another, each treated as `way` says when it comes
    in.

    `recorded` counts, for each event that `events_of` finds in a body, the requests with it that
    Daybook answered 200. `failure` is the status it responds with instead of 200.
    """

    def __init__(self, target_port, events_of=notifications, failure=500):
        self.target_port = target_port
        self.events_of = events_of
        self.failure = failure
        self.port = free_port()
        self.recorded = collections.Counter()
        self.lock = threading.Lock()
        self.open = set()
        self.under_way = 0
        self.listener = None
        self.way = Way.PASS
        self.listen()

    def become(self, way):
        """Changes how further requests are treated."""
        if way is Way.DOWN:
            self.close()
        elif self.way is Way.DOWN:
            self.listen()
        self.way = way

    def duplicates(self):
        """The events that Daybook accepted more than once."""
        with self.lock:
            return {event for event, times in self.recorded.items() if times > 1}

    def is_idle(self):
        with self.lock:
            return self.under_way == 0

    def listen(self):
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def close(self):
        """Stops listening and hangs up on everybody."""
        with self.lock:
            for end in [self.listener, *self.open]:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with self.lock:
            self.open.add(connection)
        try:
            with connection, connection.makefile("rb") as reader, contextlib.suppress(OSError):
                connection.settimeout(PATIENCE_S)
                while self.serve_one(connection, reader):
                    pass
        finally:
            with self.lock:
                self.open.discard(connection)

    def serve_one(self, connection, reader):
        """Serves one request; returns whether the connection may carry another."""
        line = reader.readline()
        if not line:
            return False
        with self.lock:
            self.under_way += 1
        try:
            _, path, _ = line.decode().split(" ", 2)
            headers = http.client.parse_headers(reader)
            body = reader.read(int(headers["Content-Length"]))
            answer = self.treat(self.way, reader, path, headers, body)
        finally:
            with self.lock:
                self.under_way -= 1
        if answer is None:
            return False
        status, text = answer
        connection.sendall(
            f"HTTP/1.1 {status} X\r\nContent-Length: {len(text)}\r\n\r\n".encode() + text
        )
        return True

    def treat(self, way, reader, path, headers, body):
        """Returns the response, or None for none."""
        if way is Way.REFUSE:
            return self.failure, b"{}"
        if way is Way.STALE:
            self.wait_until_sender_gave_up(reader)
        answer = self.forward(path, headers, body)
        if way is Way.LATE:
            self.wait_until_sender_gave_up(reader)
        if way is Way.LIE:
            return self.failure, b"{}"
        return None if way is Way.DROP else answer

    @staticmethod
    def wait_until_sender_gave_up(reader):
        assert reader.read(1) == b"", "a sender that waits for an answer sends nothing more"

    def forward(self, path, headers, body):
        onward = http.client.HTTPConnection("127.0.0.1", self.target_port, timeout=PATIENCE_S)
        with contextlib.closing(onward):
            try:
                onward.request("POST", path, body, dict(headers.items()))
                answer = onward.getresponse()
                status, text = answer.status, answer.read()
            except (OSError, http.client.HTTPException):
                return 502, b"{}"
        if status == 200:
            with self.lock:
                self.recorded.update(self.events_of(body))
        return status, text
