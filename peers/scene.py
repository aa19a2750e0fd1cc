"""The scene of most tests: a fresh Daybook, and a fresh registry that sends it notifications."""

import collections
import tempfile
import unittest

import auditor
from images import Client
from ledger import Ledger
from processes import Daybook, Registry, becomes_true
from proxy import Proxy

USERS = {
    "alice": "alicepw",
    "robot$ci-builder": "robotpw",
    "李雷": "lileipw",
    "ops@example.com": "opspw",
}


class Scene(unittest.TestCase):
    """A test with a Daybook and a registry, and a proxy between them if `has_proxy`."""

    has_proxy = False

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.daybook = Daybook(self.folder)
        self.addCleanup(self.daybook.kill)
        self.daybook.start()
        sink = self.daybook.url
        if self.has_proxy:
            self.proxy = Proxy(self.daybook.port)
            self.addCleanup(self.proxy.close)
            sink = f"http://127.0.0.1:{self.proxy.port}"
        self.registry = Registry(self.folder, sink, USERS)
        self.addCleanup(self.registry.kill)
        self.registry.start()
        self.ledger = Ledger()
        self.swr = auditor.client(self.daybook)

    def user(self, name):
        return Client(self.registry, name, USERS[name], self.ledger)

    def is_delivered(self):
        """Whether nothing is pending, and the SDK sees as many rows as the ledger has."""
        if self.registry.notifications()["Pending"] or (
            self.has_proxy and not self.proxy.is_idle()
        ):
            return False
        return len(auditor.all_rows(self.swr)) >= len(self.ledger.rows)

    def assert_ledger_is_seen(self):
        """The SDK sees each act exactly once, and nothing else."""
        becomes_true(self.is_delivered)
        seen, done = (
            collections.Counter(rows) for rows in (auditor.all_rows(self.swr), self.ledger.rows)
        )
        self.assertEqual((done - seen, seen - done), ({}, {}), "(missing, too many)")

    def assert_log_has_each_notification_once(self):
        """Stops Daybook and checks its log: it is whole, and has an event for each notification.

        Notifications include blobs and HEADs, which the SDK does not see.
        """
        self.daybook.stop()
        report = self.daybook.check()
        self.assertEqual(int(report["registry events"]), self.registry.notifications()["Events"])
        self.assertEqual(report["dead letters"], "0")
        return report
