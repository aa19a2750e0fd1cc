"""A real registry, used by hand and by skopeo, and what the vendor's SDK tells of it afterwards."""

import collections
import http.client
import os
import re
import subprocess
import sys
import tempfile
import unittest

import auditor
from images import Client, Done, Image
from processes import PROJECT, REGION, TOKEN, Daybook, Proxy, Registry, daybook, environment, wait_until

USERS = {"alice": "alicepw", "robot$ci-builder": "robotpw", "李雷": "lileipw", "ops@example.com": "opspw"}


class WithRegistry(unittest.TestCase):
    """A fresh Daybook and a fresh registry whose notifications reach it, through a proxy where asked for."""

    through_proxy = False

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.daybook = Daybook(self.folder)
        self.daybook.start()
        self.addCleanup(self.daybook.stop)
        self.proxy = Proxy(self.daybook.port) if self.through_proxy else None
        sink = f"http://127.0.0.1:{self.proxy.port}" if self.proxy else self.daybook.url
        self.registry = Registry(self.folder, sink, USERS)
        self.registry.start()
        self.addCleanup(self.registry.stop)
        self.ledger = []
        self.swr = auditor.client(self.daybook)

    def user(self, name):
        return Client(self.registry, name, USERS[name], self.ledger)

    def assert_ledger_is_seen(self):
        """The SDK sees what was done: all of it, nothing else, each once."""
        wait_until(lambda: len(auditor.everything(self.swr)) >= len(self.ledger), "all notifications arrived")
        seen = collections.Counter(auditor.everything(self.swr))
        self.assertEqual(seen, collections.Counter(self.ledger))


class WhatWasDone(WithRegistry):
    def workload(self):
        alice, robot, lilei, ops = (self.user(name) for name in USERS)
        first, second, third = Image("one"), Image("two"), Image("three")
        alice.push("library/ubuntu", "24.04", first)
        alice.put_manifest("library/ubuntu", "latest", first)
        robot.push("team-a/sub/app", "v1.0_rc-1", second)
        lilei.push("charts/demo", third.digest, third)
        for blob in first.blobs:
            ops.mount("team-b/derived", "library/ubuntu", blob)
        ops.put_manifest("team-b/derived", "t" * 128, first)
        for number in range(9):
            lilei.look("library/ubuntu", "24.04")
            lilei.pull("library/ubuntu", ["24.04", first.digest][number % 2], first)
        robot.pull("charts/demo", third.digest, third)
        robot.pull_blob("library/ubuntu", first.blobs[1])
        for status, reference in [(404, "no-such-tag")]:
            self.assertEqual(alice.request("GET", f"/v2/library/ubuntu/manifests/{reference}").status, status)
        stranger = Client(self.registry, "alice", "wrong", [])
        self.assertEqual(stranger.request("GET", "/v2/library/ubuntu/manifests/24.04").status, 401)
        alice.delete("library/ubuntu", first, ["24.04", "latest"])
        robot.delete_blob("team-a/sub/app", second.blobs[1])
        ops.delete("team-b/derived", first, ["t" * 128])

    def skopeo(self, user, *arguments):
        """Runs skopeo; the manifests that it fetched, by the registry's log, are pulls of that user."""
        before = self.registry.log_size()
        done = subprocess.run(["skopeo", "--insecure-policy", *arguments], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return [(user, repository) for repository, _ in self.registry.manifests_read(before)]

    def skopeo_workload(self):
        image = Image("by skopeo")
        layout = os.path.join(self.folder, "layout")
        image.write_layout(layout, "sk")
        at = f"docker://{self.registry.host}/skopeo/app"
        credentials = {name: f"{name}:{password}" for name, password in USERS.items()}
        robot = credentials["robot$ci-builder"]
        fetched = self.skopeo("robot$ci-builder", "copy", "--dest-tls-verify=false", "--dest-creds", robot, f"oci:{layout}:sk", f"{at}:1")
        self.ledger.append(Done("create", "artifact", f"skopeo/app:{image.digest}", "robot$ci-builder"))
        alice = credentials["alice"]
        fetched += self.skopeo("alice", "copy", "--src-tls-verify=false", "--src-creds", alice, f"{at}:1", f"dir:{self.folder}/out")
        fetched += self.skopeo("alice", "inspect", "--tls-verify=false", "--creds", alice, f"{at}:1")
        fetched += self.skopeo("alice", "delete", "--tls-verify=false", "--creds", alice, f"{at}:1")
        self.assertGreaterEqual(len(fetched), 3)
        self.ledger += [Done("pull", "artifact", f"{repository}:{image.digest}", user) for user, repository in fetched]
        self.ledger += [Done("delete", "artifact", f"skopeo/app:{image.digest}", "alice"), Done("delete", "tag", "skopeo/app:1", "alice")]

    def test_the_sdk_sees_exactly_what_was_done(self):
        self.workload()
        self.skopeo_workload()
        self.assert_ledger_is_seen()
        for operation in auditor.OPERATIONS:
            rows, totals = auditor.walk(self.swr, operation, limit=4)
            self.assertEqual(totals, {len(rows)}, operation)
            self.assertEqual(len({row.id for row in rows}), len(rows))
            times = [row.op_time for row in rows]
            self.assertEqual(times, sorted(times, reverse=True), "newest first")
            for time in times:
                self.assertRegex(time, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.daybook.stop()
        report = self.daybook.check()
        self.assertGreater(int(report["events"]), len(self.ledger), "blobs and HEADs are recorded, though not listed")
        self.assertEqual(report["set aside"], "0")

    def test_environment_variables_alone_point_the_sdk_here(self):
        self.user("alice").push("library/ubuntu", "24.04", Image("one"))
        self.assert_ledger_is_seen()
        program = (
            "from huaweicloudsdkswr.v2 import SwrClient, ListAuditLogsRequest\n"
            "from huaweicloudsdkswr.v2.region.swr_region import SwrRegion\n"
            f"client = SwrClient.new_builder().with_region(SwrRegion.value_of('{REGION}')).build()\n"
            "answer = client.list_audit_logs(ListAuditLogsRequest(instance_id='hub', operation='create'))\n"
            "print(answer.total, answer.audit_logs[0].username)\n"
        )
        variables = {
            "HUAWEICLOUD_SDK_AK": self.daybook.access_key,
            "HUAWEICLOUD_SDK_SK": self.daybook.secret,
            f"HUAWEICLOUD_SDK_REGION_SWR_{REGION.upper().replace('-', '_')}": self.daybook.url,
            "HUAWEICLOUD_SDK_IAM_ENDPOINT": self.daybook.url,
        }
        # Without a project id the SDK looks the project up by the region's name; with one it does not.
        for more in ({}, {"HUAWEICLOUD_SDK_PROJECT_ID": PROJECT}):
            command = [sys.executable, "-c", program]
            done = subprocess.run(command, capture_output=True, text=True, env=environment(**variables, **more), check=False)
            self.assertEqual((done.stdout, done.returncode), ("1 alice\n", 0), done.stderr)

    def test_the_sdk_reads_our_errors(self):
        swr = self.swr
        key, secret = self.daybook.access_key, self.daybook.secret
        cases = [
            (auditor.client(self.daybook, secret="wrong"), {}, 401, "APIGW.0301", "verify aksk signature fail"),
            (auditor.client(self.daybook, access_key="NOBODY", secret=secret), {}, 401, "APIGW.0301", "ak:NOBODY,err:ak not exist"),
            (auditor.client(self.daybook, project="rivals-project", access_key=key), {}, 403, "SVCSTG.SWR.4030170", "Insufficient permissions"),
            (swr, {"instance_id": "nowhere"}, 404, "SVCSTG.SWR.4040083", "does not exist"),
            (swr, {"operation": None}, 400, "SVCSTG.SWR.4001014", "Mandatory parameters"),
            (swr, {"operation": "push"}, 400, "SVCSTG.SWR.4001025", "Invalid parameters"),
            (swr, {"limit": 0}, 400, "SVCSTG.SWR.4001025", "Invalid parameters"),
            (swr, {"limit": 101}, 400, "SVCSTG.SWR.4001025", "Invalid parameters"),
            (swr, {"limit": 10, "offset": 15}, 400, "SVCSTG.SWR.4001025", "Invalid parameters"),
        ]
        for client, arguments, status, code, text in cases:
            error = auditor.refusal(client, **arguments)
            self.assertEqual((error.status_code, error.error_code), (status, code), arguments)
            self.assertIn(text, error.error_msg)
            self.assertRegex(error.request_id, "^[0-9a-f]{32}$")

    def test_odd_ids_in_the_path_are_signed_alike(self):
        for odd in ("a b", "a/b", "ü", "a+b", "100%", "~x"):
            error = auditor.refusal(self.swr, instance_id=odd)
            self.assertIn((error.status_code, error.error_code), {(404, "SVCSTG.SWR.4040083"), (404, "APIGW.0101")}, odd)


class Redelivery(WithRegistry):
    """Whatever happens on the way, each act is there once."""

    through_proxy = True

    def setUp(self):
        super().setUp()
        self.image = Image("one")
        self.user("alice").push("library/ubuntu", "24.04", self.image)
        self.assert_ledger_is_seen()

    def pulls(self, count):
        for number in range(count):
            name = list(USERS)[number % len(USERS)]
            self.user(name).pull("library/ubuntu", "24.04", self.image)

    def assert_survives(self, mode):
        before = self.proxy.seen
        self.proxy.mode = mode
        self.pulls(3)
        wait_until(lambda: self.proxy.seen >= before + 3, f"the registry tried several times while the sink would {mode}")
        self.proxy.mode = "pass"
        self.pulls(2)
        self.assert_ledger_is_seen()

    def test_a_sink_that_answers_500(self):
        self.assert_survives("refuse")

    def test_a_sink_that_records_and_answers_500(self):
        self.assert_survives("lie")

    def test_a_sink_that_records_and_hangs_up(self):
        self.assert_survives("drop")

    def test_a_sink_that_answers_too_late(self):
        self.assert_survives("late")

    def test_a_sink_that_is_down(self):
        self.proxy.down()
        self.pulls(4)
        self.proxy.up()
        self.assert_ledger_is_seen()

    def test_daybook_killed_in_between(self):
        for _ in range(3):
            self.pulls(5)
            self.daybook.kill()
            self.pulls(2)
            self.daybook.start()
        self.assert_ledger_is_seen()
        self.daybook.stop()
        events = int(self.daybook.check()["events"])
        # One event for each act, and for each of the image's two blobs.
        self.assertEqual(events, len(self.ledger) + 2)


class Unusable(WithRegistry):
    def test_an_event_that_cannot_be_used_holds_up_nothing(self):

        body = '{"events":[{"id":"1","timestamp":"2026-11-20T00:00:00Z","action":"frobnicate","target":{"repository":"r"}}]}'
        connection = http.client.HTTPConnection("127.0.0.1", self.daybook.port)
        connection.request("POST", "/intake/hub", body, {"Authorization": f"Bearer {TOKEN}"})
        answer = connection.getresponse()
        connection.close()
        self.assertEqual(answer.status, 200)
        self.user("alice").push("library/ubuntu", "24.04", Image("one"))
        self.assert_ledger_is_seen()
        listed = daybook("set-aside", "list", "--data-dir", str(self.daybook.data))
        self.assertTrue(re.search(r'hub: unknown action "frobnicate"', listed), listed)


if __name__ == "__main__":
    unittest.main()
