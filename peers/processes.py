"""The programs that the tests start: Daybook and a container registry."""

import collections
import http.client
import json
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import time
import urllib.parse
import urllib.request

PATIENCE_S = 60
TOKEN = "the token of the registry's source"
TENANT = "acme"
DOMAIN = "acme-corp"
PROJECT = "054e292c9880d4992f02c0196d3ea468"
RIVALS_PROJECT = "rivals-project"
REGION = "cn-north-4"
INSTANCE = "hub"
DAYBOOK = os.environ["DAYBOOK_BIN"]

# Variables of the caller that would change the test.
OURS = ("DAYBOOK_", "HUAWEICLOUD_", "CLOUD_SDK_")

# A program dies with the test that started it, even when the test is killed.
BOUND_TO_US = ["setpriv", "--pdeathsig", "KILL", "--"]

Request = collections.namedtuple("Request", "method repository reference")

# A source that feeds a trail of the tenant's project.
Source = collections.namedtuple("Source", "name format service instance")
HUB = Source("hub", "docker-registry", "registry", INSTANCE)


def becomes_true(condition, patience_s=PATIENCE_S):
    """Returns the condition's first true value, or its last one if none came in time."""
    deadline = time.monotonic() + patience_s
    while not (value := condition()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return value


def wait_until(condition, what):
    """Returns the condition's first true value; fails when none comes."""
    value = becomes_true(condition)
    assert value, f"not within {PATIENCE_S} s: {what}"
    return value


def free_port():
    """A port that nobody listens on.

    It lies below the range from which the kernel gives ports to outgoing connections, so that none
    takes it while the program that it is meant for is not running.
    """
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def environment(**more):
    """The environment without the caller's own settings of Daybook and the SDK."""
    others = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return others | more


def run(*command, **variables):
    """Runs a command, which must succeed, and returns its output."""
    settings = {"env": environment(**variables), "timeout": 10 * PATIENCE_S}
    done = subprocess.run(command, capture_output=True, text=True, check=False, **settings)
    assert (
        done.returncode == 0
    ), f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout


class Program:
    """A program that runs until it is stopped and writes its output to a log."""

    def __init__(self, port, log, *command, **variables):
        self.port = port
        self.log = pathlib.Path(log)
        self.command = [*BOUND_TO_US, *command]
        self.variables = variables
        self.process = None

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.command, stdout=log, stderr=log, env=environment(**self.variables)
            )
        wait_until(
            lambda: self.listens() or self.process.poll() is not None, f"{self.command} listens"
        )
        assert self.process.poll() is None, f"{self.command} ended:\n{self.log_text()}"

    def listens(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()

    def stop(self):
        """Stops it by SIGTERM, and checks that it ends with 0."""
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(PATIENCE_S)
        finally:
            self.kill()
        assert code == 0, f"{self.command} ended with {code}:\n{self.log_text()}"

    def log_text(self):
        return self.log.read_text()


class Daybook(Program):
    """A log with sources, by default one registry, and an auditor who may read the tenant's trails."""

    def __init__(self, folder, sources=(HUB,), tenant=TENANT, more_settings=""):
        folder = pathlib.Path(folder)
        self.data = folder / "data"
        port = free_port()
        configuration = folder / "daybook.toml"
        super().__init__(
            port,
            folder / "daybook.log",
            DAYBOOK,
            "serve",
            "--verbose",
            "--config",
            str(configuration),
        )
        run(DAYBOOK, "init", str(self.data))
        (folder / "token").write_text(TOKEN)
        settings = [f'data_dir = "{self.data}"\nlisten = "127.0.0.1:{port}"\n']
        for name, form, service, instance in sources:
            trail = f'service = "{service}", tenant = "{tenant}", project = "{PROJECT}", instance = "{instance}"'
            settings.append(f'[[source]]\nname = "{name}"\nformat = "{form}"\n')
            # Tests compare with everything sent, including requests that change nothing.
            settings.append(
                f'token = {{ file = "token" }}\ntrail = {{ {trail} }}\nnoise = "record"\n'
            )
        configuration.write_text("".join([*settings, more_settings]))
        self.access("domain", "add", DOMAIN, "--id", tenant)
        self.access("project", "add", REGION, "--tenant", tenant, "--id", PROJECT)
        self.access("project", "add", "elsewhere", "--tenant", "rival", "--id", RIVALS_PROJECT)
        self.access("user", "add", "auditor", "--domain", tenant)
        self.access("grant", "auditor", "reader", f"*/{tenant}/*/*")
        made = self.access("key", "add", "auditor")
        self.access_key = re.search(r"\(AK\): (\S+)", made)[1]
        self.secret = re.search(r"\(SK\): (\S+)", made)[1]

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def listens(self):
        """Whether it takes requests: its address is bound before the log is open."""
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=PATIENCE_S) as response:
                return response.status == 200
        except (OSError, http.client.HTTPException):
            return False

    def access(self, *arguments):
        return run(DAYBOOK, "access", *arguments, "--data-dir", str(self.data))

    def take_in(self, body, source=HUB.name):
        """Sends a body, text or bytes, as a source does. Returns the status and the parsed
        response.
        """
        body = body.encode() if isinstance(body, str) else body
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        connection.request("POST", f"/intake/{source}", body, {"Authorization": f"Bearer {TOKEN}"})
        response = connection.getresponse()
        parsed = json.loads(response.read())
        connection.close()
        return response.status, parsed

    def dead_letters(self):
        """The output of `daybook dead-letters list`: the text, and the parsed lines of its JSON."""
        command = [DAYBOOK, "dead-letters", "list", "--data-dir", str(self.data)]
        records = run(*command, "-o", "json").splitlines()
        return run(*command), [json.loads(record) for record in records]

    def check(self):
        """The report of `daybook check`. The log must be whole."""
        return dict(
            line.split(": ", 1) for line in run(DAYBOOK, "check", str(self.data)).splitlines()
        )


class Registry(Program):
    """Debian's docker-registry with htpasswd users, whose notifications go to `sink`.

    It runs in another time zone than UTC: its notifications carry local time with an offset.
    """

    def __init__(self, folder, sink, users):
        folder = pathlib.Path(folder)
        port, self.debug_port = free_port(), free_port()
        configuration, passwords = folder / "registry.yml", folder / "htpasswd"
        command = ["docker-registry", "serve", str(configuration)]
        super().__init__(port, folder / "registry.log", *command, TZ="Asia/Shanghai")
        passwords.touch()
        for user, password in users.items():
            run("htpasswd", "-bB", str(passwords), user, password)
        configuration.write_text(f"""version: 0.1
log: {{level: error, accesslog: {{disabled: false}}}}
storage: {{filesystem: {{rootdirectory: {folder}/registry}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:{port}", secret: secret, debug: {{addr: "127.0.0.1:{self.debug_port}"}}}}
auth: {{htpasswd: {{realm: registry, path: {passwords}}}}}
notifications:
  endpoints:
    - name: daybook
      url: {sink}/intake/hub
      headers: {{Authorization: [Bearer {TOKEN}]}}
      timeout: 1s
      threshold: 3
      backoff: 1s
""")

    @property
    def host(self):
        return f"127.0.0.1:{self.port}"

    def notifications(self):
        """The registry's own counts of notifications sent, attempted and pending."""
        connection = http.client.HTTPConnection("127.0.0.1", self.debug_port, timeout=PATIENCE_S)
        connection.request("GET", "/debug/vars")
        counts = json.loads(connection.getresponse().read())
        connection.close()
        return counts["registry"]["notifications"]["endpoints"][0]["Metrics"]

    def failed_attempts(self):
        counts = self.notifications()
        return counts["Failures"] + counts["Errors"]

    def manifest_requests(self):
        """The requests for manifests that succeeded, by the registry's access log, HEADs left out.

        The log has no users: the registry writes `-` instead.
        """
        line = re.compile(r'"(GET|PUT|DELETE) /v2/(\S+)/manifests/(\S+) HTTP/1\.1" 2\d\d ')
        return [
            Request(*map(urllib.parse.unquote, found)) for found in line.findall(self.log_text())
        ]
