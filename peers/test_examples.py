"""The programs of examples/ run as their pages describe."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import gateway
from processes import DAYBOOK, PATIENCE_S, TOKEN, Daybook, Source, environment, run, wait_until

ROOT = pathlib.Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
APPS = Source("apps", "cloudevents", "platform", "apps")
FLUSH_EVENTS = 4
SETTINGS = f"[limits]\nflush_events = {FLUSH_EVENTS}\nunflushed_events_max = {2 * FLUSH_EVENTS}\n"


class Examples(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.daybook = Daybook(self.folder, [APPS], more_settings=SETTINGS)
        self.addCleanup(self.daybook.kill)
        gateway.admit(self.daybook, self.file)
        self.daybook.start()
        self.http = gateway.Http(self.daybook)
        self.variables = environment(
            AUDIT_URL=self.daybook.url,
            AUDIT_SOURCE_TOKEN=TOKEN,
            AUDIT_TOKEN=self.http.headers["X-Auth-Token"],
        )

    def file(self, name, content):
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    def example(self, *command, folder=None):
        """Runs an example, which must succeed; returns what it printed."""
        ran = subprocess.run(
            command,
            cwd=folder,
            env=self.variables,
            capture_output=True,
            text=True,
            timeout=5 * PATIENCE_S,
        )
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)
        return ran.stdout

    def events_of(self, language):
        events = self.http.get("/api/v1/events?instance=apps&limit=100")["events"]
        return [row for row in events if row["attributes"]["source"] == f"/examples/{language}"]

    def assert_sent(self, language, printed):
        """The example recorded its two events, and read them back."""
        events = self.events_of(language)
        self.assertEqual(
            sorted((row["action"], row["outcome"]["result"]) for row in events),
            [
                ("com.example.invoice.deleted", "failure"),
                ("com.example.invoice.updated", "success"),
            ],
        )
        for row in events:
            self.assertEqual(
                (row["actor"]["name"], row["resource"]["name"]), ("alice", "invoices/17")
            )
            self.assertIn(row["action"], printed)

    def test_python_sends_and_reads(self):
        self.assert_sent("python", self.example(sys.executable, str(EXAMPLES / "send/send.py")))

    def test_go_sends_and_reads(self):
        self.assert_sent("go", self.example("go", "run", str(EXAMPLES / "send/send.go")))

    def test_java_sends_and_reads(self):
        self.assert_sent("java", self.example("java", str(EXAMPLES / "send/Send.java")))

    def test_a_shell_sends_and_reads(self):
        self.assert_sent("shell", self.example("sh", str(EXAMPLES / "send/send.sh")))

    def test_a_sender_waits_for_the_server(self):
        self.daybook.stop()
        command = [sys.executable, str(EXAMPLES / "send/send.py")]
        with subprocess.Popen(
            command, env=self.variables, stdout=subprocess.PIPE, text=True
        ) as sender:
            self.assertIn("trying again", sender.stdout.readline())
            self.daybook.start()
            printed = sender.stdout.read()
        self.assertEqual(sender.returncode, 0, printed)
        self.assert_sent("python", printed)

    def test_a_proof_is_verified(self):
        self.example(sys.executable, str(EXAMPLES / "send/send.py"))
        index = self.events_of("python")[0]["index"]
        key = self.file(
            "log.vkey", run(DAYBOOK, "key", "show", "--data-dir", str(self.daybook.data))
        )
        fetch = f"{self.daybook.url}/api/v1/events/{index}/proof?entry=true"
        header = f"X-Auth-Token: {self.variables['AUDIT_TOKEN']}"
        fetched = self.folder / "event.proof"
        wait_until(
            lambda: subprocess.run(
                ["curl", "-sf", "-H", header, "-o", str(fetched), fetch],
                env=self.variables,
            ).returncode
            == 0,
            "the event has a proof",
        )
        # As `cargo run -p tlog --example verify_proof`, with the workspace's dependencies.
        build = ["cargo", "build", "--quiet", "--locked", "--workspace"]
        self.example(*build, "--example", "verify_proof", folder=ROOT)
        target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
        verify = str(target / "debug/examples/verify_proof")
        printed = self.example(verify, key, str(fetched))
        self.assertIn(f"verified: event {index} is in ", printed)
        entry = json.loads(printed.splitlines()[1])
        self.assertEqual(entry["actor"]["name"], "alice")
        forged = self.file("forged.proof", fetched.read_bytes().replace(b"index ", b"index 1", 1))
        ran = subprocess.run([verify, key, forged], env=self.variables, capture_output=True)
        self.assertEqual(ran.returncode, 1, ran.stdout)

    def test_segments_are_read_with_duckdb(self):
        for _ in range(2 * FLUSH_EVENTS):
            self.example(sys.executable, str(EXAMPLES / "send/send.py"))
        segments = self.daybook.data / "segments"

        def rows():
            if not list(segments.glob("*.parquet")):
                return None
            printed = self.example(
                sys.executable,
                str(EXAMPLES / "segments/segments.py"),
                str(self.daybook.data),
            )
            return [line.split("\t") for line in printed.splitlines()]

        found = wait_until(rows, "events are flushed and read")
        self.assertEqual({who for who, *_ in found}, {"alice"})
        self.assertLessEqual({operation for _, operation, *_ in found}, {"update", "delete"})


if __name__ == "__main__":
    unittest.main()
