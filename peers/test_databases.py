"""Daybook follows the audit logs of MariaDB and PostgreSQL: the TaurusDB API lists the files as the
database rotated them, and downloads return their bytes."""

import re
import tempfile
import time
import unittest
import urllib.request

import huaweicloudsdkgaussdb.v3 as gaussdb

from estate import DATABASE, TENANT
from processes import PROJECT, Daybook, becomes_true, wait_until
from sdks import Clients
from systems import MariaDb, PostgreSql

DAY_S = 86_400


class Database(unittest.TestCase):
    """A test with a Daybook that follows the files of one database."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.marks = 0

    def follow(self, form, paths, more=""):
        source = f"""
[[source]]
name = "orders"
format = "{form}"
trail = {{ service = "database", tenant = "{TENANT}", project = "{PROJECT}", instance = "{DATABASE}" }}
follow = {{ paths = ["{paths}"] }}
{more}
"""
        self.daybook = Daybook(self.folder, (), TENANT, source)
        self.addCleanup(self.daybook.kill)
        self.daybook.start()
        self.clients = Clients(self.daybook)

    def restart_daybook(self):
        self.daybook.kill()
        self.daybook.start()

    def files(self):
        """The files that the API lists for these days, oldest first."""
        begin, end = (
            time.strftime("%Y-%m-%dT%H:%M:%S+0000", time.gmtime(time.time() + at))
            for at in (-DAY_S, DAY_S)
        )
        answer = self.clients.gaussdb_files(start_time=begin, end_time=end, limit=100, offset=0)
        return sorted(answer.audit_logs, key=lambda file: int(file.name.split("_")[0]))

    def contents(self):
        """The bytes of each listed file, through the links that the API returns."""
        ids = [file.id for file in self.files()]
        contents = []
        for some in (ids[at : at + 50] for at in range(0, len(ids), 50)):
            body = gaussdb.AuditLogDownloadLinkRequestBody(ids=some)
            request = gaussdb.ShowAuditLogDownloadLinkRequest(instance_id=DATABASE, body=body)
            for link in self.clients.gaussdb.show_audit_log_download_link(request).links:
                with urllib.request.urlopen(link) as answer:
                    contents.append(answer.read())
        return contents

    def mark(self, count):
        """Statements of the test alone, each with a number of its own."""
        begin, self.marks = self.marks, self.marks + count
        return [f"SELECT 'mark {number} of ours'" for number in range(begin, self.marks)]

    def assert_files_are_returned(self, rotated):
        """The rotated files are listed, with the bytes that the database wrote."""
        expected = [path.read_bytes() for path in rotated]
        self.assertGreater(len(expected), 2, "the database rotated its files")
        becomes_true(lambda: len(self.files()) >= len(expected))
        self.assertEqual(self.contents()[: len(expected)], expected)
        text = b"".join(expected)
        found = [int(number) for number in re.findall(rb"mark (\d+) of ours", text)]
        self.assertEqual(
            sorted(set(found)), list(range(len(set(found)))), "statements come in order"
        )
        self.daybook.stop()
        self.assertEqual(self.daybook.check()["dead letters"], "0")


class Mariadb(Database):
    def test_files_are_listed_as_they_were_rotated(self):
        database = MariaDb(self.folder, rotate_size=20_000)
        self.addCleanup(database.kill)
        self.follow("mariadb-audit", f"{database.audit_log}*", 'time_zone = "Asia/Shanghai"')
        database.start()
        self.assertTrue(
            database.sql(
                "CREATE DATABASE shop", "CREATE USER ro@localhost IDENTIFIED BY 'S3cret!ro'"
            )
        )
        self.assertTrue(database.sql(*self.mark(200)))
        self.assertFalse(database.sql("SELECT 1", user="ro", password="wrong"))
        # Rotations while Daybook is down.
        self.daybook.kill()
        self.assertTrue(database.sql(*self.mark(300)))
        self.daybook.start()
        self.assertTrue(database.sql("INSERT INTO nope VALUES ('it''s', \"李雷 \\n\")") is False)
        self.assertTrue(database.sql(*self.mark(400)))
        self.restart_daybook()
        self.assertTrue(database.sql(*self.mark(200)))
        self.assert_files_are_returned(database.rotated_files())


class Postgresql(Database):
    def test_files_are_listed_as_they_were_rotated(self):
        database = PostgreSql(self.folder, rotation_kb=64)
        self.addCleanup(database.stop)
        self.follow("postgresql-csvlog", f"{database.logs}/*.csv")
        database.start()
        self.assertTrue(
            database.sql(
                "CREATE ROLE app LOGIN PASSWORD 'S3cret!app'", "CREATE TABLE t (id int, s text)"
            )
        )
        self.assertTrue(database.sql(*self.mark(120)))
        self.assertFalse(database.sql("SELECT 1", user="app", password="wrong"))
        self.assertFalse(database.sql("CREATE ROLE app LOGIN PASSWORD 'S3cret!app'"))
        self.assertTrue(database.sql("INSERT INTO t VALUES (1, E'two\nlines, \"quoted\"')"))
        self.daybook.kill()
        # A file is named after the second in which it began.
        for _ in range(3):
            time.sleep(1.1)
            self.assertTrue(database.sql(*self.mark(150)))
        self.daybook.start()
        time.sleep(1.1)
        self.assertTrue(database.sql(*self.mark(150)))
        self.restart_daybook()
        time.sleep(1.1)
        self.assertTrue(database.sql(*self.mark(150)))
        written = lambda: sorted(database.logs.glob("*.csv"))
        wait_until(lambda: len(written()) > 3, "PostgreSQL rotated its files")
        self.assert_files_are_returned(written()[:-1])
