"""Daybook's own API: true to its description for any request, and a live tail that misses nothing."""

import http.client
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import unittest

import gateway
from processes import PATIENCE_S, Daybook, Source, environment

OWN = Source("own", "daybook", "platform", "own")
# The requests that schemathesis makes up are the same in every run.
SEED = "20261122"
# Streams do not end, or have tests of their own.
STREAMS = r"/api/v1/(tail|export).*"
CHECKS = ",".join(
    [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
        "negative_data_rejection",
        "ignored_auth",
    ]
)


def events(first, count):
    """Events of the source, one a line, of twenty actors."""
    for number in range(first, first + count):
        outcome = ("success", "failure", "unknown")[number % 3]
        yield json.dumps(
            {
                "id": str(number),
                "action": f"act {number % 7}",
                "operation": "update",
                "actor": f"actor{number % 20}",
                "outcome": outcome,
                "attributes": {"number": str(number)},
            }
        )


def start(daybook, folder):
    """Starts it, and returns the token of a user who may read."""

    def file(name, text):
        path = pathlib.Path(folder, name)
        path.write_text(text)
        return str(path)

    gateway.admit(daybook, file)
    daybook.start()
    return gateway.Http(daybook).headers["X-Auth-Token"]


class Description(unittest.TestCase):
    def test_no_request_that_the_description_allows_or_forbids_breaks_it(self):
        with tempfile.TemporaryDirectory() as folder:
            daybook = Daybook(folder, [OWN])
            self.addCleanup(daybook.kill)
            token = start(daybook, folder)
            self.assertEqual(daybook.take_in("\n".join([*events(0, 500), "{"]), "own")[0], 400)
            self.assertEqual(daybook.take_in("\n".join(events(0, 500)), "own")[0], 200)
            self.assertEqual(daybook.take_in('{"id":"no action"}', "own")[0], 200)
            command = [
                str(pathlib.Path(sys.executable).with_name("schemathesis")),
                *(
                    "run",
                    f"{daybook.url}/api/v1/openapi.json",
                    "--header",
                    f"X-Auth-Token: {token}",
                ),
                *(
                    "--phases",
                    "examples,coverage,fuzzing",
                    "--checks",
                    CHECKS,
                    "--exclude-path-regex",
                    STREAMS,
                ),
                *("--max-examples", "60", "--seed", SEED, "--no-color"),
            ]
            variables = environment(HOME=folder)
            ran = subprocess.run(
                command, capture_output=True, text=True, check=False, cwd=folder, env=variables
            )
            self.assertEqual(ran.returncode, 0, ran.stdout[-6000:] + ran.stderr[-2000:])
            made = int(re.search(r"(\d+) generated", ran.stdout)[1])
            self.assertGreater(made, 1000, ran.stdout)
            print(f"{made} requests")
            daybook.stop()


class Follower:
    """A client of the live tail, on a plain connection."""

    def __init__(self, daybook, token, last):
        self.connection = http.client.HTTPConnection("127.0.0.1", daybook.port, timeout=PATIENCE_S)
        headers = {"X-Auth-Token": token} | (
            {"Last-Event-ID": str(last)} if last is not None else {}
        )
        self.connection.request(
            "GET", "/api/v1/tail?from=0&instance=own&-outcome=unknown", headers=headers
        )
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200, self.answer.read()

    def events(self):
        """Index and number of each event."""
        index = None
        for line in self.answer:
            if line.startswith(b"id: "):
                index = int(line[4:])
            elif line.startswith(b"data: "):
                yield index, int(json.loads(line[6:])["attributes"]["number"])

    def close(self):
        self.answer.close()
        self.connection.close()


class Tail(unittest.TestCase):
    EVENTS = 1_000_000
    AT_ONCE = 5_000
    RECONNECTS = 10

    def test_a_million_events_come_once_and_in_order_through_ten_reconnects(self):
        with tempfile.TemporaryDirectory() as folder:
            daybook = Daybook(folder, [OWN])
            self.addCleanup(daybook.kill)
            token = start(daybook, folder)

            def send():
                for first in range(0, self.EVENTS, self.AT_ONCE):
                    status, _ = daybook.take_in("\n".join(events(first, self.AT_ONCE)), "own")
                    assert status == 200, status

            sender = threading.Thread(target=send)
            sender.start()
            wanted = [number for number in range(self.EVENTS) if number % 3 != 2]
            came, last = [], None
            for part in range(1, self.RECONNECTS + 2):
                follower = Follower(daybook, token, last)
                until = len(wanted) * part // (self.RECONNECTS + 1)
                for index, number in follower.events():
                    self.assertTrue(last is None or index > last)
                    last = index
                    came.append(number)
                    if len(came) >= until:
                        break
                follower.close()
            sender.join()
            self.assertEqual(came, wanted)
            daybook.stop()
