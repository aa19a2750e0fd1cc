"""Five trails, one for each API, the events sent to them, and the rows that each API must return."""

import datetime
import json
import unittest
import tempfile

import gateway
from processes import PROJECT, Daybook, Source

TENANT = "5a775fdcb14f4431b6c0015618140bc3"
INSTANCE = "7d7e5b0c-7b5e-4d5e-9d0a-1c2b3a4d5e6f"
REPOSITORY = f"cn-north-4_{TENANT}_maven_1_108"
DATABASE = "3d39c18788b54a919bab633874c159dfin07"
DBAUDIT = "a0d1f9c2b3e44f5d8c7b6a5948372615"
CHINA = datetime.timezone(datetime.timedelta(hours=8))
SOURCES = (
    Source("images", "daybook", "registry", INSTANCE),
    Source("packages", "daybook", "artifact", REPOSITORY),
    Source("orders", "daybook", "database", DATABASE),
    Source("cluster", "daybook", "platform", "cluster"),
    Source("dbss", "daybook", "dbaudit", DBAUDIT),
)
WHO = ("alice", "robot$ci-builder", "李雷", "o'hara <o@example.com>")
SWR_OPERATIONS = ("pull", "delete", "create")


class Act:
    """The act of this number on each trail; each has a second of its own."""

    def __init__(self, number, began):
        self.number = number
        self.at = began + datetime.timedelta(seconds=number, milliseconds=number)
        self.who = WHO[number % len(WHO)]
        self.failed = number % 5 == 4

    def event(self, source):
        """The event as the source sends it."""
        event = {
            "id": str(self.number),
            "occurred_at": self.at.isoformat(),
            "actor": self.who,
            "source_ip": "2001:db8::7",
            "user_agent": "agent/1 (a; b)",
            "outcome": {"result": "failure", "reason": "no"} if self.failed else "success",
        }
        if source == "images":
            resource = {"type": "artifact", "name": f"team/app-{self.number}"}
            event |= {"action": SWR_OPERATIONS[self.number % 3], "resource": resource}
        elif source == "packages":
            resource = {"type": "file", "name": f"/com/acme/a+b/{self.number}.jar"}
            event |= {"action": "upload" if self.number % 2 else "download", "resource": resource}
        elif source == "orders":
            event |= {"action": "query", "description": f"select 'ü{self.number}'"}
            event |= {"attributes": {"log_file": f"audit.{self.log_file}"}}
        elif source == "cluster":
            resource = {
                "type": "pods",
                "name": f"default/web-{self.number}",
                "id": f"uid-{self.number}",
            }
            event |= {
                "action": "create",
                "resource": resource,
                "class": "security" if self.number % 2 else "operation",
            }
        else:
            event |= {
                "action": "update",
                "resource": {"type": "rule", "name": f"rule {self.number}"},
            }
            event |= {"description": f"updateRule <{self.number}>"}
        return json.dumps(event, ensure_ascii=False)

    @property
    def log_file(self):
        """The database begins a new log file with every second line."""
        return self.number // 2

    def swr_row(self):
        return {
            "id": self.number + 1,
            "op_time": self.at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{self.number:03}Z",
            "operation": SWR_OPERATIONS[self.number % 3],
            "resource": f"team/app-{self.number}",
            "resource_type": "artifact",
            "username": self.who,
        }

    def codearts_row(self):
        return {
            "id": str(self.number + 1),
            "module": "file",
            "operation": "upload" if self.number % 2 else "download",
            "time": self.at.astimezone(CHINA).strftime("%Y/%m/%d %H:%M:%S"),
            "info": REPOSITORY,
            "data": f"/com/acme/a+b/{self.number}.jar",
            "reason": "no" if self.failed else None,
            "userAgent": "agent/1 (a; b)",
            "operator": self.who,
            "ipSource": "2001:db8::7",
        }

    def dbss_row(self):
        return {
            "user": self.who,
            "time": self.at.strftime("%Y-%m-%d %H:%M:%S"),
            "function": "rule",
            "action": "Update",
            "name": f"rule {self.number}",
            "description": f"updateRule <{self.number}>",
            "result": "fail" if self.failed else "success",
        }


class Estate(unittest.TestCase):
    """A test with a Daybook of five sources, each with the same number of acts."""

    acts_at_start = 25

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.began = datetime.datetime.now(datetime.timezone.utc).replace(
            microsecond=0
        ) - datetime.timedelta(hours=3)
        self.daybook = Daybook(self.folder, SOURCES, TENANT, '[codearts]\ntime_zone = "+08:00"\n')
        self.addCleanup(self.daybook.kill)
        gateway.admit(self.daybook, self.file)
        self.daybook.start()
        self.acts = []
        self.add_acts(self.acts_at_start)

    def file(self, name, text):
        """The path of a new file with this text."""
        path = f"{self.folder}/{name}"
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def add_acts(self, count):
        """Sends this many more acts, to each trail."""
        begin = len(self.acts)
        more = [Act(number, self.began) for number in range(begin, begin + count)]
        for source in SOURCES:
            lines = "\n".join(one.event(source.name) for one in more)
            status, answer = self.daybook.take_in(lines, source.name)
            self.assertEqual((status, answer["recorded"]), (200, count), answer)
        self.acts += more

    def newest_first(self, row):
        """The rows of all acts, newest first."""
        return [row(one) for one in reversed(self.acts)]

    def swr_rows(self, operation):
        return [row for row in self.newest_first(Act.swr_row) if row["operation"] == operation]

    def window(self):
        """Start and end of a window that holds every act, with the offset of China."""
        day = datetime.timedelta(days=1)
        return [
            at.astimezone(CHINA).strftime("%Y-%m-%dT%H:%M:%S%z")
            for at in (self.began - day, self.began + day)
        ]

    def log_files(self):
        """The finished log files of the database, oldest first: content, and row without id and
        name.
        """
        files = {}
        for one in self.acts:
            files.setdefault(one.log_file, []).append(one)
        finished = [files[number] for number in sorted(files)[:-1]]
        rows = []
        for lines in finished:
            content = "".join(one.event("orders") + "\n" for one in lines)
            begin, end = (
                one.at.astimezone(CHINA).strftime("%Y-%m-%dT%H:%M:%S%z")
                for one in (lines[0], lines[-1])
            )
            size = -(-len(content.encode()) // 1024)
            rows.append((content, {"size": size, "begin_time": begin, "end_time": end}))
        return rows


def project_path(path):
    """A path with the ids of the estate."""
    ids = {"P": PROJECT, "T": TENANT, "I": INSTANCE, "R": REPOSITORY, "D": DATABASE, "A": DBAUDIT}
    return path.format(**ids)
