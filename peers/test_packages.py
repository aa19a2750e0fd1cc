"""nginx in front of a PyPI server, used by twine and pip: the CodeArts API lists each act once."""

import collections
import pathlib
import subprocess
import sys
import tempfile
import unittest
import zipfile

from estate import REPOSITORY, TENANT
from processes import PATIENCE_S, PROJECT, Daybook, becomes_true, environment
from sdks import Clients, PageLoop, plain
from systems import Nginx, PyPi

USERS = {"alice": "alicepw", "devcloud_y00226182_01": "pw2"}
Act = collections.namedtuple("Act", "operation data reason operator")


def wheel(folder, version):
    """An empty package."""
    name = f"demo_pkg-{version}"
    path = pathlib.Path(folder) / f"{name}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as file:
        info = f"{name}.dist-info"
        file.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: demo-pkg\nVersion: {version}\n"
        )
        file.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{info}/RECORD", "")
    return path


class Packages(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.pypi = PyPi(self.folder)
        self.nginx = Nginx(self.folder, self.pypi, USERS)
        source = f"""
[[source]]
name = "packages"
format = "nginx-json"
trail = {{ service = "artifact", tenant = "{TENANT}", project = "{PROJECT}", instance = "{REPOSITORY}" }}
follow = {{ paths = ["{self.nginx.access_log}*"] }}
"""
        self.daybook = Daybook(self.folder, (), TENANT, source)
        for program in (self.pypi, self.nginx, self.daybook):
            self.addCleanup(program.kill)
            program.start()
        self.done = []

    def tool(self, *command, **variables):
        """Whether a command of the Python environment succeeded."""
        program = pathlib.Path(sys.executable).parent / command[0]
        done = subprocess.run(
            [str(program), *command[1:]],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
            env=environment(HOME=self.folder, **variables),
        )
        return done.returncode == 0

    def upload(self, user, version, reason=None, password=None):
        """Uploads a version. twine does not name the file in the request line."""
        login = {"TWINE_USERNAME": user, "TWINE_PASSWORD": password or USERS[user]}
        url = f"http://127.0.0.1:{self.nginx.port}/"
        upload = [
            "twine",
            "upload",
            "--non-interactive",
            "--disable-progress-bar",
            "--repository-url",
            url,
        ]
        went_well = self.tool(*upload, str(wheel(self.folder, version)), **login)
        self.assertEqual(went_well, reason is None)
        self.done.append(Act("upload", "", reason, user))

    def download(self, user, version):
        url = f"http://{user}:{USERS[user]}@127.0.0.1:{self.nginx.port}/simple/"
        download = [
            "pip",
            "--disable-pip-version-check",
            "download",
            "-q",
            "--no-deps",
            "--no-cache-dir",
        ]
        with tempfile.TemporaryDirectory() as into:
            self.assertTrue(
                self.tool(*download, "-d", into, "--index-url", url, f"demo-pkg=={version}")
            )
        self.done.append(
            Act("download", f"packages/demo_pkg-{version}-py3-none-any.whl", None, user)
        )

    def rows(self):
        clients = Clients(self.daybook)

        def page(number):
            answer = clients.codearts_audit(page_num=number + 1, page_size=100)
            return plain(answer.result.audit_info_list), answer.result.total

        rows = PageLoop(100, page).all().rows
        return [
            Act(row["operation"], row["data"], row.get("reason"), row["operator"]) for row in rows
        ]

    def assert_each_act_is_listed_once(self):
        becomes_true(lambda: len(self.rows()) >= len(self.done))
        seen, done = (collections.Counter(rows) for rows in (self.rows(), self.done))
        self.assertEqual((done - seen, seen - done), ({}, {}), "(missing, too many)")

    def test_each_act_of_twine_and_pip_is_listed_once(self):
        self.upload("devcloud_y00226182_01", "1.0.0")
        self.download("alice", "1.0.0")
        self.upload("alice", "1.0.0", reason="HTTP 400")
        self.upload("alice", "1.1.0", reason="HTTP 401", password="wrong")
        self.assert_each_act_is_listed_once()
        # The log is rotated while Daybook is down.
        self.daybook.kill()
        self.upload("alice", "1.2.0")
        self.nginx.rotate(1)
        self.download("devcloud_y00226182_01", "1.2.0")
        self.daybook.start()
        self.assert_each_act_is_listed_once()
        # And while it runs.
        self.download("alice", "1.2.0")
        self.nginx.rotate(2)
        self.upload("devcloud_y00226182_01", "1.3.0")
        self.assert_each_act_is_listed_once()
        # The same lines once more, under another name.
        copy = pathlib.Path(f"{self.nginx.access_log}.copy")
        copy.write_bytes(pathlib.Path(f"{self.nginx.access_log}.1").read_bytes())
        self.daybook.kill()
        self.daybook.start()
        self.download("alice", "1.3.0")
        self.assert_each_act_is_listed_once()
        self.daybook.stop()
        report = self.daybook.check()
        self.assertEqual(
            (int(report["artifact events"]), report["dead letters"]), (len(self.done), "0")
        )
