"""The programs that the tests start: Daybook, a registry, and a proxy that misbehaves between them."""

import contextlib
import http.client
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading
import time

PATIENCE_S = 60
TOKEN = "the token of the registry's source"
TENANT = "acme"
PROJECT = "054e292c9880d4992f02c0196d3ea468"
REGION = "cn-north-4"
INSTANCE = "hub"
DAYBOOK = os.environ["DAYBOOK_BIN"]


def wait_until(condition, what):
    """Returns the condition's first true value; fails when none comes."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"waited in vain until {what}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def environment(**more):
    """The environment without the caller's own settings of Daybook and the SDK."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DAYBOOK_", "HUAWEICLOUD_"))}
    return kept | more


def daybook(*arguments):
    """Runs a command of Daybook to its end and returns what it printed."""
    done = subprocess.run([DAYBOOK, *arguments], capture_output=True, text=True, env=environment(), check=False)
    assert done.returncode == 0, f"daybook {arguments}: {done.stderr}"
    return done.stdout


class Daybook:
    """A log with one registry as its source, and an auditor who may read it."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.data = self.folder / "data"
        self.port = free_port()
        self.process = None
        daybook("init", str(self.data))
        (self.folder / "token").write_text(TOKEN)
        (self.folder / "daybook.toml").write_text(
            f'data_dir = "{self.data}"\nlisten = "127.0.0.1:{self.port}"\n'
            f'[[source]]\nname = "hub"\nformat = "docker-registry"\ntoken = {{ file = "token" }}\n'
            f'trail = {{ service = "registry", tenant = "{TENANT}", project = "{PROJECT}", instance = "{INSTANCE}" }}\n'
        )
        self.access("project", "add", REGION, "--tenant", TENANT, "--id", PROJECT)
        self.access("project", "add", "elsewhere", "--tenant", "rival", "--id", "rivals-project")
        self.access("user", "add", "auditor")
        self.access("grant", "auditor", "reader", f"registry/{TENANT}/*/*")
        made = self.access("key", "add", "auditor")
        self.access_key = re.search(r"\(AK\): (\S+)", made)[1]
        self.secret = re.search(r"\(SK\): (\S+)", made)[1]

    def access(self, *arguments):
        return daybook("access", *arguments, "--data-dir", str(self.data))

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        with open(self.folder / "daybook.log", "ab") as log:
            command = [DAYBOOK, "serve", "--config", str(self.folder / "daybook.toml")]
            self.process = subprocess.Popen(command, stderr=log, env=environment())
        wait_until(lambda: listens(self.port) or self.process.poll() is not None, "Daybook listens")
        assert self.process.poll() is None, (self.folder / "daybook.log").read_text()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            assert self.process.wait(PATIENCE_S) == 0, (self.folder / "daybook.log").read_text()

    def check(self):
        """What `daybook check` reports of the log, which must be whole."""
        return dict(line.split(": ", 1) for line in daybook("check", str(self.data)).splitlines())


class Registry:
    """Debian's docker-registry with htpasswd users, whose notifications go to `sink`."""

    def __init__(self, folder, sink, users):
        self.folder = pathlib.Path(folder)
        self.port = free_port()
        self.log = self.folder / "registry.log"
        htpasswd = self.folder / "htpasswd"
        htpasswd.touch()
        for user, password in users.items():
            subprocess.run(["htpasswd", "-bB", str(htpasswd), user, password], check=True, capture_output=True)
        (self.folder / "registry.yml").write_text(
            f"""version: 0.1
log: {{level: error, accesslog: {{disabled: false}}}}
storage: {{filesystem: {{rootdirectory: {self.folder}/registry}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:{self.port}", secret: secret}}
auth: {{htpasswd: {{realm: registry, path: {htpasswd}}}}}
notifications:
  endpoints:
    - name: daybook
      url: {sink}/intake/hub
      headers: {{Authorization: [Bearer {TOKEN}]}}
      timeout: 1s
      threshold: 3
      backoff: 1s
"""
        )
        self.process = None

    @property
    def host(self):
        return f"127.0.0.1:{self.port}"

    def start(self):
        command = ["docker-registry", "serve", str(self.folder / "registry.yml")]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_until(lambda: listens(self.port) or self.process.poll() is not None, "the registry listens")
        assert self.process.poll() is None, self.log.read_text()

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()

    def manifests_read(self, since):
        """Paths of the manifests fetched with GET and 200, by the registry's own access log from an offset on."""
        text = self.log.read_text()[since:]
        return re.findall(r'"GET /v2/(\S+)/manifests/(\S+) HTTP/1\.1" 200 ', text)

    def log_size(self):
        return len(self.log.read_text())


class Proxy:
    """Stands between a registry and Daybook and does as `mode` says.

    pass: forwards. refuse: answers 500 and forwards nothing. lie: forwards, and answers 500. drop: forwards, and closes
    without an answer. late: forwards, and answers after the registry gave up.
    """

    LATE_S = 1.5

    def __init__(self, target_port):
        self.target_port = target_port
        self.mode = "pass"
        self.seen = 0
        self.listener = None
        self.port = free_port()
        self.up()

    def up(self):
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def down(self):
        """Refuses connections until up again."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection, connection.makefile("rb") as reader:
            try:
                while self.serve_one(connection, reader):
                    pass
            except OSError:
                return

    def serve_one(self, connection, reader):
        line = reader.readline()
        if not line:
            return False
        method, path, _ = line.decode().split(" ", 2)
        headers = http.client.parse_headers(reader)
        body = reader.read(int(headers.get("Content-Length", 0)))
        mode, self.seen = self.mode, self.seen + 1
        status, answer = (500, b"{}") if mode == "refuse" else self.forward(method, path, headers, body)
        if mode == "drop":
            return False
        if mode == "lie":
            status, answer = 500, b"{}"
        if mode == "late":
            time.sleep(self.LATE_S)
        connection.sendall(f"HTTP/1.1 {status} X\r\nContent-Length: {len(answer)}\r\n\r\n".encode() + answer)
        return True

    def forward(self, method, path, headers, body):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.target_port, timeout=PATIENCE_S)
            with contextlib.closing(connection) as onward:
                onward.request(method, path, body, {"Authorization": headers["Authorization"]})
                answer = onward.getresponse()
                return answer.status, answer.read()
        except OSError:
            return 502, b"{}"
