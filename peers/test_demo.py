"""`daybook demo` does what it prints, when what it prints is pasted into a shell."""

import json
import os
import re
import signal
import subprocess
import tempfile
import unittest

from processes import DAYBOOK, environment, free_port, wait_until


class Demo(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.printed = os.path.join(self.folder, "printed")
        temporary = os.path.join(self.folder, "tmp")
        os.mkdir(temporary)
        with open(self.printed, "w", encoding="utf-8") as printed:
            command = [DAYBOOK, "demo", "--listen", f"127.0.0.1:{free_port()}"]
            self.process = subprocess.Popen(command, stdout=printed, env=environment(TMPDIR=temporary))
        self.addCleanup(self.process.kill)
        self.temporary = temporary
        self.text = wait_until(self.everything_printed, "the demo told what to do next")

    def everything_printed(self):
        with open(self.printed, encoding="utf-8") as printed:
            text = printed.read()
        return text if "backoff: 1s" in text else None

    def shell(self, script):
        # The virtual environment that the text makes goes below the test's folder instead.
        script = script.replace("/tmp/daybook-demo-sdk", os.path.join(self.folder, "sdk"))
        done = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, env=environment(), check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_the_curl_works_as_printed(self):
        command = re.search(r"^curl -s .*?(?=\n\n)", self.text, re.S | re.M)[0]
        answer = json.loads(self.shell(command))
        self.assertEqual(len(answer["audit_logs"]), 5)

    def test_the_python_program_works_as_printed(self):
        block = re.search(r"^export HUAWEICLOUD_SDK_AK.*?^PYTHON$", self.text, re.S | re.M)[0]
        said = self.shell(block)
        for operation in ("create", "pull", "delete"):
            self.assertRegex(said, rf"(?m)^{operation} [1-9]\d*\n  2026-11-20T")
        self.assertIn("robot$ci-builder", said)

    def tearDown(self):
        self.process.send_signal(signal.SIGINT)
        self.assertEqual(self.process.wait(60), 0)
        self.assertEqual(os.listdir(self.temporary), [], "the demo's data directory is removed")
