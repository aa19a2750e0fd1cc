"""The commands that `daybook demo` prints work when pasted into a shell."""

import contextlib
import fcntl
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import unittest

from processes import BOUND_TO_US, DAYBOOK, PATIENCE_S, environment, free_port, run, wait_until

SDK_FOLDER = pathlib.Path("/tmp/daybook-demo-sdk")


@contextlib.contextmanager
def sdk_folder():
    """The folder that the printed commands make. It is removed unless it was there before.

    The commands name it by a fixed path, so two runs of this test on one machine take turns.
    """
    parent = os.open(SDK_FOLDER.parent, os.O_RDONLY)
    fcntl.flock(parent, fcntl.LOCK_EX)
    was_there = SDK_FOLDER.exists()
    try:
        yield
    finally:
        if not was_there:
            shutil.rmtree(SDK_FOLDER, ignore_errors=True)
        os.close(parent)


class Demo(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        printed = pathlib.Path(folder.name) / "printed"
        self.data_parent = pathlib.Path(folder.name) / "tmp"
        self.data_parent.mkdir()
        command = [*BOUND_TO_US, DAYBOOK, "demo", "--listen", f"127.0.0.1:{free_port()}"]
        with open(printed, "wb") as output:
            variables = environment(TMPDIR=str(self.data_parent))
            self.demo = subprocess.Popen(command, stdout=output, stderr=output, env=variables)
        self.addCleanup(self.demo.wait)
        self.addCleanup(self.demo.kill)

        def is_ready():
            return "backoff: 1s" in printed.read_text() or self.demo.poll() is not None

        wait_until(is_ready, "the demo printed its commands")
        self.printed = printed.read_text()
        self.assertIsNone(self.demo.poll(), self.printed)

    def block(self, pattern):
        """The printed lines that a pattern matches."""
        found = re.search(pattern, self.printed, re.DOTALL | re.MULTILINE)
        self.assertIsNotNone(found, self.printed)
        return found[0]

    def test_every_curl_runs_as_printed(self):
        """One for each API and one for a token; the first four come before the query about Daybook
        itself.
        """
        commands = re.findall(r"^curl -s.*?(?=\n\n)", self.printed, re.DOTALL | re.MULTILINE)
        self.assertEqual(len(commands), 6, self.printed)
        images, login, packages, databases, platform, own = commands
        self.assertRegex(
            run("bash", "-euc", login), r"(?s)^HTTP/1.1 201 .*\nx-subject-token: \S{64}"
        )
        images, packages, databases, platform = (
            json.loads(run("bash", "-euc", command))
            for command in (images, packages, databases, platform)
        )
        self.assertEqual([row["operation"] for row in images["audit_logs"]], ["pull"] * 5)
        self.assertGreater(images["total"], 5)
        self.assertEqual(len(packages["result"]["auditInfoList"]), 3)
        self.assertEqual(databases["total_count"], 1)
        self.assertEqual([row["type"] for row in platform["list"]], ["1"] * 3)
        four = {"swr", "codeartsartifact", "taurusdb", "hcs"}
        wait_until(lambda: self.queried_apis(own) >= four, "the queries are recorded")

    def queried_apis(self, command):
        """The APIs whose queries Daybook recorded."""
        rows = json.loads(run("bash", "-euc", command.replace('"5"', '"100"')))["operate_log"]
        services = {
            "registry": "swr",
            "artifact": "codeartsartifact",
            "database": "taurusdb",
            "platform": "hcs",
        }
        return {
            services.get(row["name"].split("/")[0])
            for row in rows
            if row["function"] == "Audit log query"
        }

    def test_the_python_program_runs_as_printed(self):
        with sdk_folder():
            said = run("bash", "-euc", self.block(r"^export HUAWEICLOUD_SDK_AK.*?^PYTHON$"))
        for operation in ("create", "pull", "delete"):
            self.assertRegex(said, rf"(?m)^{operation} [1-9]\d*\n  \d{{4}}-\d\d-\d\dT")
        self.assertIn("robot$ci-builder", said)

    def test_ctrl_c_ends_it_and_leaves_nothing(self):
        self.assertEqual(len(os.listdir(self.data_parent)), 1, "the demo's data directory")
        self.demo.send_signal(signal.SIGINT)
        self.assertEqual(self.demo.wait(PATIENCE_S), 0)
        self.assertEqual(os.listdir(self.data_parent), [])
