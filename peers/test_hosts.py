"""sshd and sudo on a host whose rsyslog forwards everything: the ops platform's API lists each act
once.
"""

import collections
import os
import pathlib
import shutil
import socket
import tempfile
import time
import unittest

import gateway
from estate import TENANT
from processes import PROJECT, Daybook, becomes_true, free_port, run
from systems import Rsyslog, Sshd

Act = collections.namedtuple("Act", "action user resource failed address")
# The client names itself at login.
HOSTILE = "bad user from 192.0.2.1 port 22"


def is_listened_on(path):
    """Whether a program reads this socket; a killed one leaves the file behind."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        return probe.connect_ex(str(path)) == 0


class Hosts(unittest.TestCase):
    maxDiff = None
    """A test with sshd, a private rsyslog that forwards its lines, and a Daybook that receives them."""

    def setUp(self):
        self.assertEqual(os.geteuid(), 0, "sshd lets nobody but root log in as another")
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.done = []

    def file(self, name, text):
        path = f"{self.folder}/{name}"
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def begin(self, transport, more="", **action):
        port = free_port()
        source = f"""
[[source]]
name = "hosts"
format = "syslog"
trail = {{ service = "platform", tenant = "{TENANT}", project = "{PROJECT}", instance = "hosts" }}
syslog = {{ {transport} = "127.0.0.1:{port}"{more} }}
"""
        self.daybook = Daybook(self.folder, (), TENANT, source)
        gateway.admit(self.daybook, self.file)
        # The system's own log, if there is none yet: sudo and sshd know no other.
        self.log = pathlib.Path("/dev/log")
        self.assertFalse(is_listened_on(self.log), "another syslog daemon has /dev/log")
        self.log.unlink(missing_ok=True)
        self.addCleanup(lambda: self.log.unlink(missing_ok=True))
        self.rsyslog = Rsyslog(
            self.folder, {"target": "127.0.0.1", "port": port, **action}, self.log
        )
        self.sshd = Sshd(self.folder)
        for program in (self.daybook, self.rsyslog, self.sshd):
            self.addCleanup(program.kill)
            program.start()

    def act(self, count):
        """Repeats one login that succeeds, two that fail, and a command as root."""
        begin = len(self.done)
        for number in range(begin, begin + count):
            self.assertTrue(self.sshd.log_in("root", key=self.sshd.key))
            self.assertFalse(self.sshd.log_in(f"stranger-{number}", password="wrong"))
            self.assertFalse(self.sshd.log_in(HOSTILE, password="wrong"))
            run("sudo", "-n", "true", f"act-{number}")
            logins = (("root", False), (f"stranger-{number}", True), (HOSTILE, True))
            self.done += [
                Act("sshd.login", user, socket.gethostname(), failed, "127.0.0.1")
                for user, failed in logins
            ]
            self.done.append(
                Act("sudo.command", "root", f"{shutil.which('true')} act-{number}", False, "")
            )

    def rows(self):
        http, day, now = gateway.Http(self.daybook), 86_400_000, int(time.time() * 1000)
        rows, total = http.ops_page(TENANT, now - day, now + day, 1000, 0)
        self.assertEqual(len(rows), total)
        return [
            Act(
                row["operating_name"],
                row["operating_user"],
                row["resource_name"],
                row["operation_result"] == "1",
                row["source_addr"],
            )
            for row in rows
            # rsyslog's own messages.
            if row["operating_name"] in ("sshd.login", "sudo.command")
        ]

    def assert_each_act_is_listed_once(self):
        becomes_true(lambda: len(self.rows()) >= len(self.done))
        seen, done = (collections.Counter(rows) for rows in (self.rows(), self.done))
        self.assertEqual((done - seen, seen - done), ({}, {}), "(missing, too many)")

    def through_a_restart(self):
        self.act(3)
        self.assert_each_act_is_listed_once()
        self.daybook.stop()
        self.daybook.start()
        self.act(3)
        self.assert_each_act_is_listed_once()
        self.daybook.stop()
        self.assertEqual(self.daybook.check()["dead letters"], "0")

    def test_over_udp(self):
        self.begin("udp", protocol="udp", template="RSYSLOG_SyslogProtocol23Format")
        self.through_a_restart()

    def test_over_tcp_with_counted_frames(self):
        self.begin(
            "tcp",
            protocol="tcp",
            template="RSYSLOG_SyslogProtocol23Format",
            TCP_Framing="octet-counted",
        )
        self.through_a_restart()

    def test_over_tcp_line_by_line(self):
        self.begin(
            "tcp", protocol="tcp", template="RSYSLOG_ForwardFormat", TCP_Framing="traditional"
        )
        self.through_a_restart()

    def test_over_tls(self):
        certificate, key = f"{self.folder}/certificate.pem", f"{self.folder}/key.pem"
        made_for = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
        run(
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            *made_for,
            "-keyout",
            key,
            "-out",
            certificate,
        )
        self.begin(
            "tls",
            f', certificate = "{certificate}", key = "{key}"',
            protocol="tcp",
            template="RSYSLOG_SyslogProtocol23Format",
            TCP_Framing="octet-counted",
            StreamDriver="gtls",
            StreamDriverMode="1",
            StreamDriverAuthMode="x509/certvalid",
            **{"global": f'DefaultNetstreamDriverCAFile="{certificate}"'},
        )
        self.through_a_restart()
