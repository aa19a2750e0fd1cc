"""The OpenTelemetry and CloudEvents SDKs: the ops platform's API lists each of their events once."""

import collections
import datetime
import hashlib
import tempfile
import time
import unittest

import requests
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent
from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource

import gateway
from estate import TENANT
from processes import PATIENCE_S, PROJECT, TOKEN, Daybook, Source, becomes_true
from proxy import Proxy, Way

USERS = ("alice", "王小明", "o'hara <o@example.com>")
Act = collections.namedtuple("Act", "action user resource failed address")


def body_digest(body):
    return [hashlib.sha256(body).hexdigest()]


class Telemetry(unittest.TestCase):
    maxDiff = None
    """A test with a Daybook that has a source of each format, behind a proxy."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        sources = (
            Source("otlp", "otlp-logs", "platform", "console"),
            Source("events", "cloudevents", "platform", "console"),
        )
        self.daybook = Daybook(self.folder, sources, TENANT)
        gateway.admit(self.daybook, self.file)
        self.addCleanup(self.daybook.kill)
        self.daybook.start()
        # Exporters try again after 503, not after 500.
        self.proxy = Proxy(self.daybook.port, body_digest, 503)
        self.addCleanup(self.proxy.close)
        self.done = []

    def file(self, name, text):
        path = f"{self.folder}/{name}"
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def intake(self, source):
        return f"http://127.0.0.1:{self.proxy.port}/intake/{source}"

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
        ]

    def assert_each_act_is_listed_once(self):
        becomes_true(lambda: len(self.rows()) >= len(self.done))
        seen, done = (collections.Counter(rows) for rows in (self.rows(), self.done))
        self.assertEqual((done - seen, seen - done), ({}, {}), "(missing, too many)")

    def through_a_restart_and_redelivery(self, act):
        act(7)
        self.assert_each_act_is_listed_once()
        self.proxy.become(Way.LIE)
        acting = act(7, wait=False)
        becomes_true(lambda: len(self.proxy.duplicates()) > 0)
        self.assertTrue(self.proxy.duplicates(), "something was delivered twice")
        self.daybook.kill()
        self.daybook.start()
        self.proxy.become(Way.PASS)
        acting()
        act(7)
        self.assert_each_act_is_listed_once()
        self.daybook.stop()
        report = self.daybook.check()
        self.assertEqual(
            (int(report["platform events"]), report["dead letters"]), (len(self.done), "0")
        )


class OpenTelemetry(Telemetry):
    def log(self, provider, number):
        user, failed = USERS[number % len(USERS)], number % 5 == 0
        address = f"2001:db8::{number + 1:x}" if number % 2 else f"192.0.2.{number + 1}"
        action = ("create", "update", "delete", "login")[number % 4]
        attributes = {
            "audit.action": action,
            "audit.outcome": "failure" if failed else "success",
            "enduser.id": user,
            "client.address": address,
            "audit.resource.type": "server",
            "audit.resource.name": f"srv-{number}",
            "count": number,
            "roles": ["admin", "ops"],
        }
        now = time.time_ns()
        provider.get_logger("audit", "1.2.0").emit(
            LogRecord(
                timestamp=now,
                observed_timestamp=now,
                severity_number=SeverityNumber.INFO,
                body=({"message": "structured", "n": number}, f"{user} did {action}")[number % 2],
                attributes=attributes,
                event_name="audit.event",
            )
        )
        self.done.append(Act(action, user, f"srv-{number}", failed, address))

    def acts(self, compression):
        exporter = OTLPLogExporter(
            endpoint=f"{self.intake('otlp')}/v1/logs",
            compression=compression,
            headers={"Authorization": f"Bearer {TOKEN}"},
            timeout=PATIENCE_S,
        )
        provider = LoggerProvider(
            resource=Resource.create({"service.name": "console", "host.name": "vm"})
        )
        provider.add_log_record_processor(
            BatchLogRecordProcessor(exporter, schedule_delay_millis=100)
        )
        self.addCleanup(provider.shutdown)

        def act(count, wait=True):
            for _ in range(count):
                self.log(provider, len(self.done))
            flush = lambda: self.assertTrue(provider.force_flush(PATIENCE_S * 1000))
            return flush() if wait else flush

        return act

    def test_logs_come_in_once(self):
        self.through_a_restart_and_redelivery(self.acts(Compression.NoCompression))

    def test_compressed_logs_come_in_once(self):
        self.through_a_restart_and_redelivery(self.acts(Compression.Gzip))


class CloudEvents(Telemetry):
    """The SDK builds the requests; its user repeats them until they succeed."""

    def request(self, number):
        user, failed, address = (
            USERS[number % len(USERS)],
            number % 3 == 0,
            f"198.51.100.{number + 1}",
        )
        event = CloudEvent(
            {
                "id": f"id-{number}",
                "specversion": "1.0",
                "type": "com.acme.audit.delete",
                "source": "/acme/console/北京" if number % 5 == 4 else "/acme/console",
                "subject": f"servers/srv-{number}",
                "time": datetime.datetime.now(datetime.timezone.utc),
                "datacontenttype": "application/json",
                "actor": user,
                "sourceip": address,
            },
            {
                "user": user,
                "resource": {"type": "server", "name": f"srv-{number}"},
                "result": "fail" if failed else "success",
            },
        )
        self.done.append(
            Act("com.acme.audit.delete", user, f"servers/srv-{number}", failed, address)
        )
        return to_binary_event(event) if number % 2 else to_structured_event(event)

    def send(self, message):
        headers = dict(message.headers) | {"Authorization": f"Bearer {TOKEN}"}
        answer = requests.post(
            self.intake("events"), headers=headers, data=message.body, timeout=PATIENCE_S
        )
        return answer.status_code == 200

    def act(self, count, wait=True):
        waiting = [self.request(len(self.done)) for _ in range(count)]

        def send_all():
            for message in waiting:
                self.assertTrue(becomes_true(lambda message=message: self.send(message)))

        if wait:
            return send_all()
        for message in waiting:
            self.send(message)
            self.send(message)
        return send_all

    def test_events_come_in_once(self):
        self.through_a_restart_and_redelivery(self.act)
