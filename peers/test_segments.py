"""Flushed events, read by DuckDB from the data directory of a running server.

The rows are compared with the events sent, with the server's responses, and with themselves. The
queries are those of docs/parquet.md, and the columns those of docs/format.md.
"""

import collections
import datetime
import hashlib
import json
import os
import pathlib
import random
import re
import tempfile
import threading
import time
import unittest

import duckdb
from huaweicloudsdkswr.v2 import ListAuditLogsRequest

import auditor
from processes import HUB, INSTANCE, Daybook, Source, wait_until

DOCS = pathlib.Path(__file__).parent.parent / "docs"
SOURCES = (
    HUB,
    Source("packages", "nginx-json", "artifact", "packages"),
    Source("platform", "daybook", "platform", "cluster"),
)
FLUSH_EVENTS = 50
# With this many unflushed and requests of at most 50, a larger segment came from a compaction.
UNFLUSHED_EVENTS_MAX = 100
COMPACTED_EVENTS = 8 * FLUSH_EVENTS
ROUNDS = 60
WHO = ("alice", "robot$ci-builder", "李雷", None, "ops@example.com", "o'hara")
IMAGES = ("library/ubuntu", "library/alpine", "team/app")
# Notifications of a registry: action, method, media type; operation and resource type in the table.
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
BLOB = "application/octet-stream"
ACTS = (
    ("pull", "GET", MANIFEST, "pull", "artifact"),
    ("push", "PUT", MANIFEST, "push", "artifact"),
    ("pull", "GET", MANIFEST, "pull", "artifact"),
    ("pull", "GET", BLOB, "pull", "blob"),
    ("pull", "HEAD", MANIFEST, "read", "artifact"),
)
LISTED = {"pull": "pull", "create": "push"}
NS = 10**9
# The manifest's member about flushed events: the name in format 1.
FLUSHED = "sealed"
COUNTS = """
SELECT count(*), count(DISTINCT index), min(index), max(index) FROM read_parquet(getvariable('files'))
"""

# An event that was sent, as the table must have it.
SentEvent = collections.namedtuple(
    "SentEvent", "source at_ns who operation resource_type resource raw"
)


def ns_of(instant):
    """Nanoseconds since 1970 of a text of RFC 3339 in UTC with nine fraction digits."""
    seconds = datetime.datetime.strptime(instant[:19] + "Z", "%Y-%m-%dT%H:%M:%S%z")
    return int(seconds.timestamp()) * NS + int(instant[20:29])


def text_of(at_ns):
    seconds = datetime.datetime.fromtimestamp(at_ns // NS, datetime.timezone.utc)
    return seconds.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at_ns % NS:09}Z"


def months():
    """The first instants of this month and the two before, newest first, in nanoseconds."""
    starts = [
        datetime.datetime.now(datetime.timezone.utc).replace(
            day=1, hour=0, minute=0, second=0, microsecond=0
        )
    ]
    for _ in range(2):
        starts.append((starts[-1] - datetime.timedelta(days=1)).replace(day=1))
    return [int(start.timestamp()) * NS for start in starts]


def sql_of(document):
    """The queries of a document."""
    return re.findall(r"```sql\n(.*?)```", (DOCS / document).read_text(), re.DOTALL)


def documented_types():
    """DuckDB's type of each column, by docs/format.md."""
    types = {
        "64-bit integer": "BIGINT",
        "timestamp": "TIMESTAMPTZ_NS",
        "text": "VARCHAR",
        "32-bit integer": "INTEGER",
    }
    table = (DOCS / "format.md").read_text().split("| Columns | Type |")[1].split("\n\n")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]
    return {
        name: types.get(kind, "BLOB")
        for names, kind in rows
        for name in re.findall(r"`(\w+)`", names)
    }


def columns_of(entry):
    """The columns that an entry must have."""
    actor, resource, outcome = entry["actor"], entry["resource"], entry["outcome"]
    return {
        **entry["trail"],
        "number": entry["number"],
        "occurred_at": ns_of(entry["occurred_at"]),
        "received_at": ns_of(entry["received_at"]),
        "actor_id": actor.get("id"),
        "actor_name": actor.get("name"),
        "actor_type": actor["type"],
        "source_ip": entry.get("source_ip", {}).get("address"),
        "operation": entry["operation"],
        "action": entry["action"],
        "resource_type": resource.get("type"),
        "resource_name": resource.get("name"),
        "resource_id": resource.get("id"),
        "outcome": outcome["result"],
        "outcome_code": outcome.get("code"),
        "severity": entry["severity"],
        "class": entry["class"],
        "user_agent": entry.get("user_agent"),
        "source": entry["source"]["name"],
    }


def subtree_roots(digests):
    """Roots of the complete subtrees over these leaves, largest first, by RFC 6962."""
    level, roots = [hashlib.sha256(b"\0" + digest).digest() for digest in digests], []
    while level:
        if len(level) % 2:
            roots.insert(0, level.pop().hex())
        level = [
            hashlib.sha256(b"\1" + left + right).digest()
            for left, right in zip(level[::2], level[1::2])
        ]
    return roots


class World:
    """Made-up events, many at the ends of months, where a query could be wrong by an instant."""

    def __init__(self):
        self.months = months()
        self.random = random.Random(0x5EED)
        self.count = 0

    def next_time(self):
        """Any time of the last two months, sometimes the first or the last instant of one."""
        self.count += 1
        this, last, one_before = self.months
        if self.random.random() < 0.2:
            return self.random.choice((this, this - 1, last, last - 1))
        return self.random.randrange(one_before, this)

    def hub(self, count):
        """Notifications in an envelope."""
        sent = []
        for _ in range(count):
            at, number = self.next_time(), self.count
            action, method, media_type, operation, resource_type = self.random.choice(ACTS)
            who, image = self.random.choice(WHO), self.random.choice(IMAGES)
            digest = "sha256:" + hashlib.sha256(str(number).encode()).hexdigest()
            event = {
                "id": f"n-{number}",
                "timestamp": text_of(at),
                "action": action,
                "target": {
                    "mediaType": media_type,
                    "digest": digest,
                    "repository": image,
                    "tag": f"v{number % 9}",
                },
                "request": {
                    "id": f"r-{number}",
                    "addr": "10.0.0.9:1234",
                    "method": method,
                    "useragent": "skopeo",
                },
                "actor": {"name": who} if who else {},
            }
            raw = json.dumps(event, ensure_ascii=number % 2 == 0).encode()
            sent.append(SentEvent(HUB.name, at, who, operation, resource_type, image, raw))
        return sent, b'{"events":[' + b",".join(one.raw for one in sent) + b"]}"

    def packages(self, count):
        """Lines of an access log, some with bytes that are no UTF-8."""
        sent = []
        for _ in range(count):
            # nginx writes milliseconds.
            at = self.next_time() // 1_000_000 * 1_000_000
            name, who = f"com/acme/ü-{self.count}.jar", self.random.choice(WHO)
            line = f'{{"msec":{at // NS}.{at % NS // 1_000_000:03},"method":"PUT","status":201,"uri":"/{name}"'
            line += f',"request_id":"q-{self.count}","remote_addr":"2001:db8::{self.count % 9 + 1}"'
            line += f',"remote_user":"{who or "-"}","user_agent":"twine '
            raw = line.encode() + (b"\xff\xfe" if self.count % 3 == 0 else "é".encode()) + b'"}'
            sent.append(SentEvent("packages", at, who, "upload", "file", name, raw))
        return sent, b"\n".join(one.raw for one in sent) + b"\n"

    def platform(self, count):
        """Events of Daybook's own format, with most members missing now and then."""
        sent = []
        for _ in range(count):
            at, number = self.next_time(), self.count
            who = self.random.choice(WHO)
            event = {
                "id": f"e-{number}",
                "action": "部署",
                "operation": "update",
                "occurred_at": text_of(at),
            }
            event |= {
                "actor": {"id": f"u-{number % 7}", "name": who} if who else {"type": "system"}
            }
            event |= {"resource": {"type": "pods", "name": f"default/web-{number}"}}
            event |= {"description": f"🚀 {number}\n\t\0", "severity": number % 4 + 1}
            event |= (
                {"outcome": {"result": "failure", "code": 403}}
                if self.random.random() < 0.5
                else {}
            )
            event |= (
                {"source_ip": "192.0.2.7", "class": "security"}
                if number % 2
                else {"attributes": {"n": number}}
            )
            raw = json.dumps(event, ensure_ascii=number % 2 == 0).encode()
            sent.append(
                SentEvent("platform", at, who, "update", "pods", f"default/web-{number}", raw)
            )
        return sent, b"\n".join(one.raw for one in sent)


class Segments(unittest.TestCase):

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        limits = f"[limits]\nflush_events = {FLUSH_EVENTS}\nunflushed_events_max = {UNFLUSHED_EVENTS_MAX}\n"
        self.daybook = Daybook(folder.name, SOURCES, more_settings=limits)
        self.addCleanup(self.daybook.kill)
        self.daybook.start()
        # The queries of the document run in the data directory.
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.daybook.data)
        # Nothing is fetched from elsewhere.
        self.duckdb = duckdb.connect(config={"autoinstall_known_extensions": "false"})
        self.addCleanup(self.duckdb.close)
        self.find_files, self.who_pulled, self.tags, self.changed = sql_of("parquet.md")
        self.world, self.sent = World(), {}
        self.too_late = 0

    def send(self):
        """Sends round after round, and notes the index of each event."""
        for _ in range(ROUNDS):
            for source, count in (
                (self.world.hub, 50),
                (self.world.packages, 10),
                (self.world.platform, 10),
            ):
                sent, body = source(count)
                status, answer = self.daybook.take_in(body, sent[0].source)
                assert (status, answer["recorded"]) == (200, count), answer
                self.sent |= {
                    answer["first_index"] + position: one for position, one in enumerate(sent)
                }

    def manifest(self):
        return json.loads(pathlib.Path("manifest").read_text())

    def query(self, sql):
        """The rows of a query, and the manifest they are of.

        The query runs again if the server replaced the manifest meanwhile; only then may a file be
        gone.
        """
        while True:
            before = self.manifest()
            try:
                for statement in self.find_files.split(";\n"):
                    self.duckdb.execute(statement)
                rows = self.duckdb.execute(sql).fetchall()
            except duckdb.IOException as error:
                self.assertNotEqual(self.manifest(), before, error)
                self.too_late += 1
                continue
            if self.manifest() == before:
                return rows, before

    def test_a_live_log_is_read_by_duckdb(self):
        failures = []

        def send():
            try:
                self.send()
            except Exception as error:
                failures.append(error)

        sender = threading.Thread(target=send)
        sender.start()
        reads = 0
        try:
            wait_until(lambda: pathlib.Path("manifest").exists() or failures, "events are flushed")
            while sender.is_alive():
                [counts], manifest = self.query(COUNTS)
                flushed = manifest[FLUSHED]["events"]
                self.assertEqual(counts, (flushed, flushed, 0, flushed - 1))
                reads += 1
        finally:
            sender.join()
        self.assertEqual(failures, [])
        self.assertGreater(reads, 10)
        self.wait_until_settled()
        self.columns_are_those_of_the_format()
        rows, manifest = self.rows()
        self.rows_are_the_events_sent(rows, manifest)
        self.columns_agree_with_entries(rows)
        self.hashes_agree(rows, manifest)
        self.the_api_counts_the_same()
        self.the_document_shows_who_pulled()
        self.the_document_shows_tags()
        self.assertEqual(self.query(self.changed)[0], [])
        sizes = [segment["events"] for segment in manifest["segments"]]
        print(
            f"{len(rows)} rows in segments of {sizes}; {reads} reads meanwhile, {self.too_late} too late for a file"
        )
        self.daybook.stop()
        self.daybook.check()

    def wait_until_settled(self):
        """Waits until all but a few events are flushed, and no compaction ran for a second."""

        def is_settled():
            before = self.manifest()
            time.sleep(1)
            return (
                self.manifest() == before
                and before[FLUSHED]["events"] > len(self.sent) - UNFLUSHED_EVENTS_MAX
            )

        wait_until(is_settled, "flushes and compactions are done")
        self.assertGreaterEqual(
            max(segment["events"] for segment in self.manifest()["segments"]), COMPACTED_EVENTS
        )

    def columns_are_those_of_the_format(self):
        described, _ = self.query("DESCRIBE SELECT * FROM read_parquet(getvariable('files'))")
        self.assertEqual({name: kind for name, kind, *_ in described}, documented_types())

    def rows(self):
        """Every row by its index, with times in nanoseconds."""
        names = list(documented_types())
        times = (
            "* REPLACE (epoch_ns(occurred_at) AS occurred_at, epoch_ns(received_at) AS received_at)"
        )
        found, manifest = self.query(
            f"SELECT {', '.join(names)} FROM (SELECT {times} FROM read_parquet(getvariable('files')))"
        )
        rows = {row["index"]: row for row in (dict(zip(names, values)) for values in found)}
        self.assertEqual(len(rows), len(found), "each is there once")
        return rows, manifest

    def rows_are_the_events_sent(self, rows, manifest):
        flushed = manifest[FLUSHED]["events"]
        columns = (
            "source",
            "occurred_at",
            "actor_name",
            "operation",
            "resource_type",
            "resource_name",
            "raw",
        )
        ours = {index: row for index, row in rows.items() if row["source"] != "daybook"}
        found = {index: SentEvent(*(row[name] for name in columns)) for index, row in ours.items()}
        expected = {index: one for index, one in self.sent.items() if index < flushed}
        self.assertEqual(found.keys(), expected.keys())
        for index, one in expected.items():
            self.assertEqual(found[index], one, index)
        self.assertGreater(len(expected), ROUNDS * 65)

    def columns_agree_with_entries(self, rows):
        for index, row in rows.items():
            expected = columns_of(json.loads(row["entry"])) | {
                name: row[name] for name in ("index", "entry", "raw")
            }
            self.assertEqual(row.keys(), expected.keys())
            wrong = {
                name: (row[name], value) for name, value in expected.items() if row[name] != value
            }
            self.assertEqual(wrong, {}, f"index {index}: (column, entry)")

    def hashes_agree(self, rows, manifest):
        digests = pathlib.Path("tree/digests").read_bytes()
        for index, row in rows.items():
            self.assertEqual(
                hashlib.sha256(row["entry"]).digest(), digests[32 * index : 32 * index + 32], index
            )
            self.assertEqual(
                hashlib.sha256(row["raw"]).hexdigest(),
                json.loads(row["entry"])["raw_sha256"],
                index,
            )
        flushed = [
            digests[32 * index : 32 * index + 32] for index in range(manifest[FLUSHED]["events"])
        ]
        self.assertEqual(subtree_roots(flushed), manifest[FLUSHED]["tree"])
        for segment in manifest["segments"]:
            table = pathlib.Path(
                f"segments/{segment['first']:020}-{segment['events']:010}.parquet"
            ).read_bytes()
            self.assertEqual(hashlib.sha256(table).hexdigest(), segment["table_sha256"])

    def the_api_counts_the_same(self):
        """Its exact totals are the flushed events, by DuckDB, and those sent and not flushed yet."""
        swr = auditor.client(self.daybook)
        for listed_as, operation in LISTED.items():
            request = ListAuditLogsRequest(
                instance_id=INSTANCE, operation=listed_as, limit=1, offset=0
            )
            total = swr.list_audit_logs(request).total
            [(flushed,)], as_of = self.query(
                f"SELECT count(*) FROM read_parquet(getvariable('files')) WHERE service = 'registry'"
                f" AND instance = '{INSTANCE}' AND operation = '{operation}' AND resource_type = 'artifact'"
            )
            waiting = [one for index, one in self.sent.items() if index >= as_of[FLUSHED]["events"]]
            unflushed = sum(
                (one.operation, one.resource_type) == (operation, "artifact") for one in waiting
            )
            self.assertEqual(total, flushed + unflushed, listed_as)
            self.assertGreater(flushed, ROUNDS * 9, listed_as)

    def the_document_shows_who_pulled(self):
        found, manifest = self.query(self.who_pulled)
        this, last, _ = months()
        expected, at_the_ends = collections.Counter(), 0
        for index, one in self.sent.items():
            what = (one.source, one.operation, one.resource_type, one.resource)
            if (
                what == (HUB.name, "pull", "artifact", IMAGES[0])
                and index < manifest[FLUSHED]["events"]
            ):
                at_the_ends += any(one.at_ns in (month, month - 1) for month in self.world.months)
                if last <= one.at_ns < this:
                    expected[one.who] += 1
        kinds = {None: "anonymous", "robot$ci-builder": "robot"}
        rows = [
            (who or "anonymous", kinds.get(who, "user"), pulls) for who, pulls in expected.items()
        ]
        self.assertEqual(found, sorted(rows, key=lambda row: (-row[2], row[0])))
        self.assertEqual(len(rows), len(WHO))
        self.assertGreater(at_the_ends, 40)

    def the_document_shows_tags(self):
        found, manifest = self.query(self.tags)
        pushes = [
            (index, one.who, json.loads(one.raw)["target"]["tag"])
            for index, one in sorted(self.sent.items(), reverse=True)
            if one.operation == "push" and index < manifest[FLUSHED]["events"]
        ]
        self.assertEqual([(index, who, tag) for index, _, who, tag in found], pushes[:20])
