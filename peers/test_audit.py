"""A real registry is used by hand and by skopeo; the vendor's SDK then shows exactly what was done."""

import collections
import concurrent.futures
import os
import sys

import auditor
from images import Client, Image, Index
from ledger import Ledger
from processes import PROJECT, REGION, RIVALS_PROJECT, run
from scene import USERS, Scene

LONGEST_TAG = "t" * 128


class Acts(Scene):
    def test_the_sdk_sees_exactly_what_was_done(self):
        began = auditor.time_text()
        self.work_by_hand()
        self.try_and_fail()
        self.work_with_skopeo()
        self.pull_all_at_once()
        self.delete()
        # Registry and ledger agree on the acts before Daybook is queried.
        self.assertCountEqual(self.registry.manifest_requests(), self.ledger.requests)
        self.assert_ledger_is_seen()
        self.assert_pages_are_right(began, auditor.time_text())
        report = self.assert_log_has_each_notification_once()
        recorded = int(report["registry events"])
        self.assertGreater(
            recorded, len(self.ledger.rows), "blobs and HEADs are recorded, not listed"
        )

    def work_by_hand(self):
        alice, robot, lilei, ops = map(self.user, USERS)
        first, second, third = self.images = [Image(text) for text in ("one", "two", "three")]
        alice.push("library/ubuntu", "24.04", first)
        alice.put_manifest("library/ubuntu", "latest", first)
        robot.push("team-a/sub/app", "v1.0_rc-1", second)
        lilei.push("charts/demo", third.digest, third)
        self.index = Index(second, third)
        for image in (second, third):
            robot.push("team-a/multi", image.digest, image)
        robot.put_manifest("team-a/multi", "1.0", self.index)
        ops.pull("team-a/multi", "1.0")
        for blob in first.blobs:
            ops.mount_blob("team-b/derived", "library/ubuntu", blob)
        ops.put_manifest("team-b/derived", LONGEST_TAG, first)
        for reference in ("24.04", first.digest):
            lilei.look("library/ubuntu", reference)
            lilei.pull("library/ubuntu", reference)
            robot.pull("library/ubuntu", reference, X_Forwarded_For="198.51.100.7, 10.0.0.1")
        robot.pull_blob("library/ubuntu", first.blobs[1])

    def try_and_fail(self):
        """Makes requests without an effect, which must leave no row."""
        alice, digest = self.user("alice"), self.images[0].digest
        alice.pull("library/ubuntu", "no-such-tag", status=404)
        alice.pull("library/ubuntu", "24.04", status=304, If_None_Match=f'"{digest}"')
        unfinished = Image("whose blobs were never pushed").manifest
        alice.expect(
            400,
            "PUT",
            "/v2/library/ubuntu/manifests/bad",
            unfinished,
            Content_Type=Image.media_type,
        )
        alice.expect(404, "DELETE", f"/v2/no/such/repository/manifests/{digest}")
        stranger = Client(self.registry, "alice", "not her password", Ledger())
        stranger.pull("library/ubuntu", "24.04", status=401)

    def skopeo(self, *arguments):
        """Runs skopeo; returns its requests for manifests, from the registry's access log."""
        before = len(self.registry.manifest_requests())
        run("skopeo", "--insecure-policy", *arguments)
        return self.registry.manifest_requests()[before:]

    def note(self, user, requests, pushes=None):
        """Notes the requests of a program that pushes one image at most for a user."""
        for method, repository, reference in requests:
            if method == "GET":
                self.ledger.note_pull(user, repository, reference)
            elif method == "PUT":
                self.ledger.note_push(user, repository, reference, pushes.digest)
            else:
                self.ledger.note_deletion(user, repository, reference)

    def work_with_skopeo(self):
        image, layout = Image("by skopeo"), os.path.join(self.folder, "layout")
        image.write_layout(layout, "made")
        at = f"docker://{self.registry.host}/skopeo"
        alice, robot, lilei, ops = (f"{user}:{password}" for user, password in USERS.items())
        source, target = "--src-tls-verify=false", "--dest-tls-verify=false"

        did = self.skopeo(
            "copy", target, "--dest-creds", robot, f"oci:{layout}:made", f"{at}/app:1"
        )
        self.assertIn(("PUT", "skopeo/app", "1"), did)
        self.note("robot$ci-builder", did, pushes=image)

        did = self.skopeo(
            "copy", source, "--src-creds", lilei, f"{at}/app:1", f"dir:{self.folder}/out"
        )
        self.assertIn(("GET", "skopeo/app", "1"), did)
        self.note("李雷", did)

        between = [source, target, "--src-creds", alice, "--dest-creds", ops]
        did = self.skopeo("copy", *between, f"{at}/app:1", f"{at}/app2:promoted")
        self.assertIn(("PUT", "skopeo/app2", "promoted"), did)
        self.note("alice", [one for one in did if one.repository == "skopeo/app"])
        self.note(
            "ops@example.com", [one for one in did if one.repository == "skopeo/app2"], pushes=image
        )

        self.note(
            "alice", self.skopeo("inspect", "--tls-verify=false", "--creds", alice, f"{at}/app:1")
        )
        self.note(
            "alice", self.skopeo("list-tags", "--tls-verify=false", "--creds", alice, f"{at}/app")
        )

        did = self.skopeo("delete", "--tls-verify=false", "--creds", ops, f"{at}/app2:promoted")
        self.assertIn(("DELETE", "skopeo/app2", image.digest), did)
        self.note("ops@example.com", did)

    def pull_all_at_once(self):
        with concurrent.futures.ThreadPoolExecutor(len(USERS)) as pool:
            users = list(USERS) * 6
            list(pool.map(lambda name: self.user(name).pull("library/ubuntu", "24.04"), users))

    def delete(self):
        alice, robot, _, ops = map(self.user, USERS)
        first, second, _ = self.images
        alice.delete("library/ubuntu", first)
        robot.delete_blob("team-a/sub/app", second.blobs[1])
        robot.delete("team-a/multi", self.index)
        ops.delete("team-b/derived", first)
        deletions = [row.resource for row in self.ledger.of("delete") if row.resource_type == "tag"]
        tags = [
            "library/ubuntu:24.04",
            "library/ubuntu:latest",
            "team-a/multi:1.0",
            "skopeo/app2:promoted",
        ]
        self.assertCountEqual(deletions, [*tags, f"team-b/derived:{LONGEST_TAG}"])

    def assert_pages_are_right(self, began, ended):
        """For any page size, each page but the last is full, has the total, and is newest first."""
        ids = collections.Counter()
        for operation in auditor.OPERATIONS:
            total = len(self.ledger.of(operation))
            self.assertGreater(total, 7, f"{operation}: more than one page")
            by_limit = {}
            for limit in (1, 7, 100):
                pages = auditor.pages(self.swr, operation, limit)
                sizes = [len(page.audit_logs) for page in pages]
                self.assertEqual(
                    sizes, [min(limit, total - at) for at in range(0, total, limit)] + [0]
                )
                self.assertEqual({page.total for page in pages}, {total})
                by_limit[limit] = [row for page in pages for row in page.audit_logs]
            rows = by_limit[7]
            self.assertEqual(rows, by_limit[1])
            self.assertEqual(rows, by_limit[100])
            self.assertEqual({row.operation for row in rows}, {operation})
            ids.update(row.id for row in rows)
            times = [row.op_time for row in rows]
            self.assertEqual(times, sorted(times, reverse=True), "newest first")
            for time in times:
                self.assertRegex(time, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
            self.assertLessEqual(began, times[-1])
            self.assertLessEqual(times[0], ended)
        self.assertEqual(set(ids.values()), {1}, "ids are unique")


class TheSdk(Scene):
    def test_environment_variables_alone_point_it_here(self):
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
        with_project = variables | {"HUAWEICLOUD_SDK_PROJECT_ID": PROJECT}
        self.assertEqual(run(sys.executable, "-c", program, **with_project), "1 alice\n")
        self.assertNotIn("/v3/projects", self.daybook.log_text())
        self.assertEqual(run(sys.executable, "-c", program, **variables), "1 alice\n")
        self.assertIn(
            "/v3/projects",
            self.daybook.log_text(),
            "the project was looked up by the region's name",
        )

    def test_it_reads_our_errors(self):
        here = self.swr
        wrong_secret = auditor.client(self.daybook, secret="wrong")
        unknown_key = auditor.client(self.daybook, access_key="NOBODY")
        foreign, nowhere = (
            auditor.client(self.daybook, project=project) for project in (RIVALS_PROJECT, "nowhere")
        )
        cases = [
            (wrong_secret, {}, 401, "APIGW.0301", "verify aksk signature fail"),
            (unknown_key, {}, 401, "APIGW.0301", "ak:NOBODY,err:ak not exist"),
            (foreign, {}, 403, "SVCSTG.SWR.4030170", "Insufficient permissions"),
            (nowhere, {}, 403, "SVCSTG.SWR.4030170", "Insufficient permissions"),
            (here, {"instance_id": "nowhere"}, 404, "SVCSTG.SWR.4040083", "does not exist"),
            (here, {"operation": None}, 400, "SVCSTG.SWR.4001014", "Mandatory parameters"),
            (here, {"operation": "push"}, 400, "SVCSTG.SWR.4001025", "Invalid parameters"),
            (here, {"limit": 0}, 400, "SVCSTG.SWR.4001025", "Invalid parameters"),
            (here, {"limit": 101}, 400, "SVCSTG.SWR.4001025", "Invalid parameters"),
            (here, {"limit": 10, "offset": 15}, 400, "SVCSTG.SWR.4001025", "Invalid parameters"),
            (here, {"offset": 5}, 400, "SVCSTG.SWR.4001025", "Invalid parameters"),
        ]
        request_ids = set()
        for client, arguments, status, code, text in cases:
            with self.subTest(code=code, **arguments):
                error = auditor.refusal(client, **arguments)
                self.assertEqual((error.status_code, error.error_code), (status, code))
                self.assertIn(text, error.error_msg)
                self.assertRegex(error.request_id, "^[0-9a-f]{32}$")
                request_ids.add(error.request_id)
        self.assertEqual(len(request_ids), len(cases), "each request has an id of its own")

    def test_odd_ids_in_the_path_are_signed_as_we_read_them(self):
        """None of them exists, and none is refused for its signature."""
        for odd in ("a b", "ü", "李", "a+b", "100%", "~x", "a&b=c", "a?b", "%41"):
            with self.subTest(instance=odd):
                error = auditor.refusal(self.swr, instance_id=odd)
                self.assertEqual((error.status_code, error.error_code), (404, "SVCSTG.SWR.4040083"))


class Rejection(Scene):
    def test_an_event_that_cannot_be_used_holds_up_nothing(self):
        good, bad = (
            '{"id":"%s","timestamp":"2026-11-20T00:00:00Z","action":"%s","actor":{"name":"alice"},'
            '"target":{"repository":"r","digest":"sha256:1","mediaType":"%s"}}'
            % (id, action, Image.media_type)
            for id, action in (("a", "push"), ("b", "frobnicate"))
        )
        status, answer = self.daybook.take_in('{"events":[%s,%s]}' % (good, bad))
        self.assertEqual(
            (status, answer["recorded"], [one["position"] for one in answer["dead_letters"]]),
            (200, 1, [1]),
        )
        self.ledger.note_push("alice", "r", "sha256:1", "sha256:1")
        self.user("alice").push("library/ubuntu", "24.04", Image("one"))
        self.assert_ledger_is_seen()
        text, (record,) = self.daybook.dead_letters()
        self.assertIn('hub: unknown action "frobnicate"', text)
        self.assertIn("1 dead letter", text)
        self.assertEqual(
            (record["source"], record["reason"]), ("hub", 'unknown action "frobnicate"')
        )
        self.assertEqual(record["raw"], bad)
