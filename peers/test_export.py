"""Exports of a million events in every format, read by other programs and equal to each other and
to what the API counts.

NDJSON and Parquet are read by DuckDB, CSV by Python; every line of OCSF is checked against the
published schema. Each download breaks off once, with the server killed, and goes on where it ended.
"""

import collections
import csv
import datetime
import functools
import hashlib
import http.client
import json
import os
import pathlib
import shutil
import sys
import tempfile
import time
import unittest
import urllib.parse

import duckdb
import jsonschema_rs
import ocsf_json_schema

from processes import DAYBOOK, DOMAIN, PATIENCE_S, Daybook, run

EVENTS = int(os.environ.get("DAYBOOK_EXPORT_EVENTS", "1000000"))
USER, PASSWORD = "exporter", "correct horse battery"
# Bytes read at once; a few of these pieces are read before the server is killed.
PIECE = 1 << 20
GROWTH_KIB_MAX = 128 << 10

# A row, as every format has it.
Row = collections.namedtuple(
    "Row", "index id at_ns operation action description attributes outcome code who what ip"
)
# In OCSF the class decides where the other columns are.
IN_OCSF = 7

NDJSON = """
SELECT index, id, epoch_ns(occurred_at::TIMESTAMP_NS), operation, action, description, attributes, outcome.result, outcome.code,
  actor.name, resource.name, source_ip.address
FROM read_json('{}', format = 'newline_delimited', columns = {{index: 'BIGINT', id: 'VARCHAR', occurred_at: 'VARCHAR',
  operation: 'VARCHAR', action: 'VARCHAR', description: 'VARCHAR', attributes: 'JSON',
  outcome: 'STRUCT("result" VARCHAR, code INTEGER)', actor: 'STRUCT(name VARCHAR)', resource: 'STRUCT(name VARCHAR)',
  source_ip: 'STRUCT(address VARCHAR)'}})
"""
PARQUET = """
SELECT index, id, epoch_ns(occurred_at), operation, action, description, attributes, outcome, outcome_code, actor_name,
  resource_name, source_ip
FROM read_parquet('{}')
"""


def ns_of(text):
    """Nanoseconds since 1970 of a text of RFC 3339 in UTC with nine fraction digits."""
    seconds = datetime.datetime.fromisoformat(text[:19] + "+00:00")
    return int(seconds.timestamp()) * 10**9 + int(text[20:29])


def attributes_of(text):
    return tuple(sorted(json.loads(text).items())) if text else ()


def by_duckdb(sql, file):
    connection = duckdb.connect(
        config={"autoinstall_known_extensions": "false", "preserve_insertion_order": "true"}
    )
    found = connection.execute(sql.format(file))
    while rows := found.fetchmany(10_000):
        for row in rows:
            yield Row(*row[:6], attributes_of(row[6]), *row[7:])
    connection.close()


def by_csv(file):
    """The rows of a CSV file, without the guards against formulas."""
    with open(file, encoding="utf-8", newline="") as text:
        for row in csv.DictReader(text, strict=True):
            columns = {
                name: (cell[1:] if cell.startswith("'") else cell) or None
                for name, cell in row.items()
            }
            yield Row(
                int(columns["index"]),
                columns["id"],
                ns_of(columns["occurred_at"]),
                columns["operation"],
                columns["action"],
                columns["description"],
                attributes_of(columns["attributes"]),
                columns["outcome"],
                columns["outcome_code"] and int(columns["outcome_code"]),
                columns["actor_name"],
                columns["resource_name"],
                columns["source_ip"],
            )


def by_schema(file, classes):
    """The part of each row that OCSF has. Each line must fit the schema of its class; `classes`
    counts them.
    """
    schemas = ocsf_json_schema.OcsfJsonSchemaEmbedded(ocsf_json_schema.get_ocsf_schema("1.3.0"))
    validators = {}
    with open(file, "rb") as lines:
        for line in lines:
            event = json.loads(line)
            profiles = tuple(event["metadata"].get("profiles", ()))
            kind = (event["class_uid"], profiles)
            if kind not in validators:
                schema = schemas.get_class_schema(
                    schemas.lookup_class_name_from_uid(kind[0]), list(profiles)
                )
                validators[kind] = jsonschema_rs.validator_for(schema)
            validators[kind].validate(event)
            classes[event["class_uid"], event["activity_id"]] += 1
            assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]
            metadata, unmapped = event["metadata"], event["unmapped"]
            at_ns = ns_of(metadata["original_time"])
            assert event["time"] == at_ns // 1_000_000
            attributes = tuple(sorted(unmapped.get("attributes", {}).items()))
            yield (
                metadata["sequence"],
                metadata["uid"],
                at_ns,
                unmapped["operation"],
                unmapped["action"],
                event.get("message"),
                attributes,
            )


class Summary:
    """Counts and hashes over all rows, in their order."""

    def __init__(self):
        self.rows, self.indexes, self.last = 0, 0, None
        self.hash, self.in_ocsf = hashlib.sha256(), hashlib.sha256()
        self.operations = collections.Counter()

    def add(self, row):
        self.rows += 1
        self.indexes += row[0]
        self.operations[row[3]] += 1
        assert self.last is None or self.last < (row[2], row[0]), "oldest first, and by index"
        self.last = (row[2], row[0])
        self.hash.update(repr(tuple(row)).encode())
        self.in_ocsf.update(repr(tuple(row[:IN_OCSF])).encode())


class Exports(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.daybook = Daybook(folder.name, ())
        shutil.rmtree(cls.daybook.data)
        run(DAYBOOK, "bench", "generate", "--events", str(EVENTS), "--into", str(cls.daybook.data))
        (cls.folder / "password").write_text(PASSWORD)
        cls.daybook.access("domain", "add", DOMAIN, "--id", "acme")
        cls.daybook.access("user", "add", USER, "--id", USER, "--domain", "acme")
        cls.daybook.access(
            "user", "password", USER, "--password-file", str(cls.folder / "password")
        )
        # The trails of the made-up events, which are not Daybook's own.
        for service in ("registry", "artifact", "database", "platform", "dbaudit"):
            for tenant in range(23):
                cls.daybook.access("grant", USER, "reader", f"{service}/t-{tenant:02}/*/*")
        cls.addClassCleanup(cls.daybook.kill)
        cls.daybook.start()
        cls.token = cls.log_in()

    @classmethod
    def log_in(cls):
        user = {"name": USER, "password": PASSWORD, "domain": {"name": DOMAIN}}
        body = json.dumps(
            {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}}}
        )
        connection = http.client.HTTPConnection("127.0.0.1", cls.daybook.port, timeout=PATIENCE_S)
        connection.request("POST", "/v3/auth/tokens", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        assert answer.status == 201, answer.read()
        return answer.headers["X-Subject-Token"]

    def get(self, target, **headers):
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.daybook.port, timeout=10 * PATIENCE_S
        )
        self.addCleanup(connection.close)
        connection.request("GET", target, headers={"X-Auth-Token": self.token} | headers)
        return connection.getresponse()

    def json(self, target):
        answer = self.get(target)
        self.assertEqual(answer.status, 200)
        return json.load(answer)

    def memory_kib(self, name):
        status = pathlib.Path(f"/proc/{self.daybook.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith(name)).split()[1])

    def settled_kib(self):
        """The server's memory once it has started and settled. Resets the peak."""
        self.json("/api/v1/events?limit=1")
        held = [self.memory_kib("VmHWM:")]
        while len(held) < 4 or held[-1] > held[-4]:
            time.sleep(0.5)
            held.append(self.memory_kib("VmHWM:"))
        pathlib.Path(f"/proc/{self.daybook.process.pid}/clear_refs").write_text("5")
        return self.memory_kib("VmRSS:")

    def restart(self):
        self.daybook.kill()
        self.daybook.start()

    def download(self, form):
        """Downloads an export with one interruption. Returns the path and the manifest."""
        path = self.folder / f"export.{form}"
        first = self.get(f"/api/v1/export?format={form}&as_of={EVENTS}")
        self.assertEqual((first.status, first.headers["X-Daybook-Total"]), (200, str(EVENTS)))
        pinned, mark = first.headers["Content-Location"], first.headers["ETag"]
        with open(path, "wb") as file:
            had = file.write(first.read(4 * PIECE + 4321))
            file.flush()
            self.restart()
            before = self.settled_kib()
            began = time.monotonic()
            rest = self.get(pinned, **{"Range": f"bytes={had}-", "If-Range": mark})
            self.assertEqual(rest.status, 206)
            self.assertTrue(
                rest.headers["Content-Range"].startswith(f"bytes {had}-"),
                rest.headers["Content-Range"],
            )
            shutil.copyfileobj(rest, file, PIECE)
            growth = self.memory_kib("VmHWM:") - before
            took = time.monotonic() - began
            print(
                f"{form}: {os.fstat(file.fileno()).st_size >> 20} MiB, {EVENTS / took:,.0f} events/s, memory +{growth >> 10} MiB",
                file=sys.stderr,
            )
            self.assertLess(growth, GROWTH_KIB_MAX, form)
        return path, self.json(pinned.replace("/export?", "/export/manifest?"))

    def summary_of(self, form, rows):
        path, manifest = self.download(form)
        with open(path, "rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        promised = (manifest["format"], manifest["rows"], manifest["bytes"], manifest["sha256"])
        self.assertEqual(promised, (form, EVENTS, path.stat().st_size, sha256))
        summary = Summary()
        for row in rows(path):
            summary.add(row)
        path.unlink()
        return summary

    def test_every_format_is_the_whole_result(self):
        classes = collections.Counter()
        formats = {
            "ndjson": functools.partial(by_duckdb, NDJSON),
            "parquet": functools.partial(by_duckdb, PARQUET),
            "csv": by_csv,
            "ocsf": lambda file: by_schema(file, classes),
        }
        summaries = {form: self.summary_of(form, rows) for form, rows in formats.items()}
        counted = self.json(f"/api/v1/facets?facet=operation&limit=100&as_of={EVENTS}")["facets"][
            "operation"
        ]["values"]
        for form, found in summaries.items():
            self.assertEqual(
                (found.rows, found.indexes), (EVENTS, EVENTS * (EVENTS - 1) // 2), form
            )
            self.assertEqual(
                found.operations, {one["value"]: one["count"] for one in counted}, form
            )
            self.assertEqual(
                found.in_ocsf.hexdigest(), summaries["ndjson"].in_ocsf.hexdigest(), form
            )
            if form != "ocsf":
                self.assertEqual(found.hash.hexdigest(), summaries["ndjson"].hash.hexdigest(), form)
        self.assertGreaterEqual({uid for uid, _ in classes}, {3002, 6003, 6005, 6006})
