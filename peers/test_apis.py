"""The five query APIs with their clients: SDKs in three languages, Terraform's loops, plain HTTP."""

import collections
import json
import os
import re
import sys
import urllib.request

import huaweicloudsdkcodeartsartifact.v2 as codearts
import huaweicloudsdkdbss.v1 as dbss
import huaweicloudsdkgaussdb.v3 as gaussdb
import huaweicloudsdkswr.v2 as swr
from huaweicloudsdkcore.exceptions import exceptions

from estate import DATABASE, DBAUDIT, INSTANCE, REPOSITORY, SWR_OPERATIONS, TENANT
from estate import Act, Estate
from gateway import USER, Http
from processes import PROJECT, REGION, becomes_true, run
from sdks import Clients, PageLoop, page_loops, plain, refusal


def without(rows, *names):
    """The rows without these members, and without nulls, which some SDKs leave out."""
    return [
        {name: value for name, value in row.items() if name not in names and value is not None}
        for row in rows
    ]


def terraform_loops(http, window):
    """The three loops of the vendor's Terraform provider, with the parameters that it sends."""
    start, end = window

    def swr_until_a_page_is_empty():
        rows, offset = [], 0
        while True:
            query = f"limit=100&offset={offset}&operation=create"
            page = http.get(f"/v2/{PROJECT}/instances/{INSTANCE}/audit-logs?{query}")["audit_logs"]
            rows += page
            yield rows
            if not page:
                return
            offset += 100

    def gaussdb_until_a_page_is_short():
        rows, offset = [], 0
        while True:
            # The times are inserted as they are, `+` included.
            query = f"start_time={start}&end_time={end}&offset={offset}&limit=50"
            page = http.get(f"/v3/{PROJECT}/instances/{DATABASE}/audit-logs?{query}")["audit_logs"]
            rows += page
            yield rows
            if len(page) < 50:
                return
            offset += 50

    def dbss_until_there_are_as_many_as_the_total():
        rows, page = [], 1
        while True:
            body = {"page": page, "size": 100, "time": {}}
            answer = http.post(f"/v1/{PROJECT}/{DBAUDIT}/dbss/audit/operate-log", body)
            rows += answer["operate_log"]
            yield rows
            if len(rows) >= answer["total_num"]:
                return
            page += 1

    loops = (
        swr_until_a_page_is_empty,
        gaussdb_until_a_page_is_short,
        dbss_until_there_are_as_many_as_the_total,
    )
    return [loop() for loop in loops]


class PythonSdks(Estate):
    def test_loops_over_everything(self):
        """The SDK loop reads every row of every API, whatever the size of a page."""
        clients = Clients(self.daybook)
        expected = {
            "swr": self.swr_rows("pull"),
            "codearts": self.newest_first(Act.codearts_row),
            "gaussdb": [row for _, row in self.log_files()],
            "dbss": self.newest_first(Act.dbss_row),
            "dbss, older path": self.newest_first(Act.dbss_row),
        }
        for size in (1, 7, 100):
            found = page_loops(clients, size, self.window())
            self.assertEqual(found.keys(), expected.keys())
            for api, loop in found.items():
                with self.subTest(api=api, size=size):
                    loop.all()
                    made_up_by_us = (
                        ()
                        if api in ("swr", "codearts")
                        else ("id",) if "dbss" in api else ("id", "name")
                    )
                    self.assertEqual(without(loop.rows, *made_up_by_us), without(expected[api]))
                    self.assertEqual(loop.totals, {len(expected[api])})
                    self.assertEqual(
                        len({row["id"] for row in loop.rows}), len(loop.rows), "ids are unique"
                    )

    def test_each_operation_of_swr(self):
        clients = Clients(self.daybook)
        for operation in SWR_OPERATIONS:
            answer = clients.swr_logs(operation=operation, limit=100, offset=0)
            self.assertEqual(plain(answer.audit_logs), self.swr_rows(operation))

    def test_filters(self):
        clients = Clients(self.daybook)
        for who in ("李雷", "o'hara <o@example.com>"):
            answer = clients.codearts_audit(user_id=who, page_size=100)
            expected = [
                row for row in self.newest_first(Act.codearts_row) if row["operator"] == who
            ]
            self.assertEqual(without(plain(answer.result.audit_info_list)), without(expected))
            answer = clients.dbss_logs(user_name=who, result="fail", size="100")
            expected = [row for row in self.newest_first(Act.dbss_row) if row["user"] == who]
            expected = [row for row in expected if row["result"] == "fail"]
            self.assertGreater(len(expected), 0)
            self.assertEqual(without(plain(answer.operate_log), "id"), expected)

    def test_pages_past_the_end_have_the_total(self):
        clients = Clients(self.daybook)
        start, end = self.window()
        swr_page = clients.swr_logs(limit=10, offset=1000)
        codearts_page = clients.codearts_audit(page_num=101, page_size=10).result
        gaussdb_page = clients.gaussdb_files(start_time=start, end_time=end, limit=10, offset=1000)
        dbss_page = clients.dbss_logs(page="101")
        self.assertEqual((swr_page.audit_logs, swr_page.total), ([], len(self.swr_rows("pull"))))
        self.assertEqual((codearts_page.audit_info_list, codearts_page.total), ([], 25))
        self.assertEqual(
            (gaussdb_page.audit_logs, gaussdb_page.total_count), ([], len(self.log_files()))
        )
        self.assertEqual((dbss_page.operate_log, dbss_page.total_num), ([], 25))

    def test_it_reads_our_errors(self):
        here = Clients(self.daybook)
        start, end = self.window()
        span = {"start_time": start, "end_time": end}
        cases = [
            (here.swr_logs, {"operation": "push"}, 400, "SVCSTG.SWR.4001025"),
            (here.swr_logs, {"operation": None}, 400, "SVCSTG.SWR.4001014"),
            (here.swr_logs, {"instance_id": "nowhere"}, 404, "SVCSTG.SWR.4040083"),
            (here.codearts_audit, {"page_size": 101}, 400, "CR.4000"),
            (here.codearts_audit, {"page_num": 0}, 400, "CR.4000"),
            (here.codearts_audit, {"module": "folder"}, 400, "CR.4000"),
            (here.gaussdb_files, span | {"limit": 101}, 400, "DBS.280439"),
            (here.gaussdb_files, {"start_time": end, "end_time": start}, 400, "DBS.280001"),
            (here.gaussdb_files, {"end_time": end}, 400, "DBS.280001"),
            (here.gaussdb_files, span | {"instance_id": "a" * 32 + "in07"}, 404, "DBS.200002"),
            (here.dbss_logs, {"page": "0"}, 400, "DBSS.10000001"),
            (here.dbss_logs, {"size": "ten"}, 400, "DBSS.10000001"),
            (here.dbss_logs, {"time": {"time_range": "CENTURY"}}, 400, "DBSS.10000001"),
            (here.dbss_logs_old, {"page": "-1"}, 400, "DBSS.10000001"),
        ]
        wrong, unknown = Clients(self.daybook, secret="wrong"), Clients(
            self.daybook, access_key="NOBODY"
        )
        for clients in (wrong, unknown):
            for call in (
                clients.swr_logs,
                clients.codearts_audit,
                clients.gaussdb_files,
                clients.dbss_logs,
            ):
                cases.append((call, {}, 401, "APIGW.0301"))
        request_ids = set()
        for call, arguments, status, code in cases:
            with self.subTest(call=call.__name__, **arguments):
                error = refusal(call, **arguments)
                self.assertEqual((error.status_code, error.error_code), (status, code), error)
                self.assertGreater(len(error.error_msg), 0)
                self.assertRegex(error.request_id, "^[0-9a-f]{32}$")
                request_ids.add(error.request_id)
        self.assertEqual(len(request_ids), len(cases), "each request has an id of its own")

    def test_a_trail_of_others_does_not_exist(self):
        self.daybook.access("user", "add", "puller", "--domain", TENANT)
        self.daybook.access(
            "grant", "puller", "swr:instance:getAuditLogs", f"registry/{TENANT}/*/*"
        )
        made = self.daybook.access("key", "add", "puller")
        key, secret = re.search(r"\(AK\): (\S+)", made)[1], re.search(r"\(SK\): (\S+)", made)[1]
        clients = Clients(self.daybook, key, secret)
        self.assertEqual(clients.swr_logs(limit=1).total, len(self.swr_rows("pull")))
        start, end = self.window()
        for call, member, there, more in (
            (clients.codearts_audit, "repo", REPOSITORY, {}),
            (
                clients.gaussdb_files,
                "instance_id",
                DATABASE,
                {"start_time": start, "end_time": end},
            ),
            (clients.dbss_logs, "instance_id", DBAUDIT, {}),
        ):
            # Ids of the same form, but for the last character.
            hidden, missing = (
                refusal(call, **{member: id}, **more) for id in (there, there[:-1] + "8")
            )
            for name in ("status_code", "error_code", "error_msg"):
                self.assertEqual(getattr(hidden, name), getattr(missing, name))

    def test_instances_and_repositories_are_listed(self):
        clients = Clients(self.daybook)
        registries = clients.swr.list_instance(swr.ListInstanceRequest())
        self.assertEqual(
            [(one.id, one.project_id) for one in registries.instances], [(INSTANCE, PROJECT)]
        )
        databases = clients.gaussdb.list_gauss_my_sql_instances(
            gaussdb.ListGaussMySqlInstancesRequest()
        )
        self.assertEqual(
            ([one.id for one in databases.instances], databases.total_count), ([DATABASE], 1)
        )
        parameters = {"tenant_id": TENANT, "project_id": PROJECT}
        listed = clients.codearts.list_all_repositories(
            codearts.ListAllRepositoriesRequest(**parameters)
        ).result
        self.assertEqual(
            (listed.total, json.dumps(plain(listed)).count(f'"{REPOSITORY}"') > 0), (1, True)
        )
        shown = clients.codearts.show_repository(
            codearts.ShowRepositoryRequest(repo_id=REPOSITORY, **parameters)
        )
        self.assertIn(f'"{REPOSITORY}"', json.dumps(plain(shown.result)))
        older = clients.dbss.list_audit_instances(dbss.ListAuditInstancesRequest())
        newer = clients.dbss.list_audit_instances_last(dbss.ListAuditInstancesLastRequest())
        current = clients.dbss.list_audit_instances_new(dbss.ListAuditInstancesNewRequest())
        self.assertEqual(([one.id for one in older.servers], older.total), ([DBAUDIT], 1))
        self.assertEqual(
            ([one.instance_id for one in current.instances], current.total), ([DBAUDIT], 1)
        )
        self.assertEqual(([one.id for one in newer.instances], newer.total), ([DBAUDIT], 1))

    def test_log_files_are_downloaded_as_they_were_received(self):
        clients = Clients(self.daybook)
        start, end = self.window()
        found = clients.gaussdb_files(
            start_time=start, end_time=end, limit=100, offset=0
        ).audit_logs
        body = gaussdb.AuditLogDownloadLinkRequestBody(ids=[file.id for file in found])
        request = gaussdb.ShowAuditLogDownloadLinkRequest(instance_id=DATABASE, body=body)
        links = clients.gaussdb.show_audit_log_download_link(request).links
        contents = []
        for link in links:
            with urllib.request.urlopen(link) as answer:
                contents.append(answer.read().decode())
                self.assertEqual(int(answer.headers["Content-Length"]), len(contents[-1].encode()))
        self.assertEqual(contents, [content for content, _ in self.log_files()])

    def test_the_policy_stays(self):
        clients = Clients(self.daybook)
        self.daybook.access("grant", USER, "admin", f"database/{TENANT}/*/*")
        body = gaussdb.SetAuditLogPolicyRequestBody(keep_days=7, audit_types=["CREATE_USER"])
        request = gaussdb.SetAuditLogPolicyRequest(instance_id=DATABASE, body=body)
        is_set = becomes_true(
            lambda: self.response_of(clients.gaussdb.set_audit_log_policy, request)
        )
        self.assertEqual(is_set.result, "COMPLETED")
        shown = clients.gaussdb.show_audit_log_policy(
            gaussdb.ShowAuditLogPolicyRequest(instance_id=DATABASE)
        )
        self.assertEqual((shown.keep_days, shown.audit_types), (7, ["CREATE_USER"]))

    def response_of(self, call, request):
        """The response, or None while the grant is not in force: the server follows it within
        moments.
        """
        try:
            return call(request)
        except exceptions.ClientRequestException as error:
            self.assertEqual(error.status_code, 403)
            return None


class Environment(Estate):
    """Programs as the vendor's documentation prints them: keys from CLOUD_SDK_AK and CLOUD_SDK_SK,
    and a region by name. Nothing in them names Daybook.
    """

    # Package, name in classes, name in modules, call, method.
    programs = {
        "SWR": "huaweicloudsdkswr.v2 Swr swr ListAuditLogs list_audit_logs",
        "CODEARTSARTIFACT": "huaweicloudsdkcodeartsartifact.v2 CodeArtsArtifact codeartsartifact "
        "ShowAudit show_audit",
        "GAUSSDB": "huaweicloudsdkgaussdb.v3 GaussDB gaussdb ListAuditLogs list_audit_logs",
        "DBSS": "huaweicloudsdkdbss.v1 Dbss dbss ListAuditOperateLogsNew list_audit_operate_logs_new",
    }

    def parameters(self):
        start, end = self.window()
        return {
            "SWR": f'request.instance_id = "{INSTANCE}"\n    request.operation = "delete"',
            "CODEARTSARTIFACT": f'request.tenant_id = "{TENANT}"\n    request.project_id = "{PROJECT}"\n'
            f'    request.module = "file"\n    request.repo = "{REPOSITORY}"',
            "GAUSSDB": f'request.instance_id = "{DATABASE}"\n    request.start_time = "{start}"\n'
            f'    request.end_time = "{end}"\n    request.offset = 0\n    request.limit = 10',
            "DBSS": f'request.instance_id = "{DBAUDIT}"\n    timebody = TimeRangeBean(time_range="MONTH")\n'
            '    request.body = OperateLogGetRequest(size="10", page="1", time=timebody)',
        }

    def program(self, service):
        package, name, region, call, method = self.programs[service].split()
        return f"""
import os
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from {package}.region.{region}_region import {name}Region
from huaweicloudsdkcore.exceptions import exceptions
from {package} import *

if __name__ == "__main__":
    ak = os.environ["CLOUD_SDK_AK"]
    sk = os.environ["CLOUD_SDK_SK"]

    credentials = BasicCredentials(ak, sk)

    client = {name}Client.new_builder() \\
        .with_credentials(credentials) \\
        .with_region({name}Region.value_of("{REGION}")) \\
        .build()

    request = {call}Request()
    {self.parameters()[service]}
    response = client.{method}(request)
    print(response)
"""

    def test_they_run_with_environment_variables_alone(self):
        totals = {
            "SWR": ("total", len(self.swr_rows("delete"))),
            "CODEARTSARTIFACT": ("total", 25),
            "GAUSSDB": ("total_count", len(self.log_files())),
            "DBSS": ("total_num", 25),
        }
        self.assertEqual(totals.keys(), self.programs.keys())
        for service, (member, total) in totals.items():
            with self.subTest(service=service):
                variables = {
                    "CLOUD_SDK_AK": self.daybook.access_key,
                    "CLOUD_SDK_SK": self.daybook.secret,
                    f"HUAWEICLOUD_SDK_REGION_{service}_{REGION.upper().replace('-', '_')}": self.daybook.url,
                    "HUAWEICLOUD_SDK_IAM_ENDPOINT": self.daybook.url,
                }
                printed = json.loads(run(sys.executable, "-c", self.program(service), **variables))
                self.assertEqual(printed.get("result", printed)[member], total)


class StablePages(Estate):
    """Loops while acts go on: no row comes twice, and no row that was there is missing."""

    # More than two pages of each of Terraform's loops, whose pages have 100, 50 and 100 rows.
    acts_at_start = 630

    def test_sdk_loops(self):
        found = page_loops(Clients(self.daybook), 50, self.window())
        self.assert_stable({api: (loop.steps(), loop.rows) for api, loop in found.items()})

    def test_loops_of_terraform(self):
        loops = terraform_loops(Http(self.daybook), self.window())
        found = {}
        for api, loop in zip(("swr, create", "gaussdb", "dbss"), loops):
            found[api] = (loop, next(loop))
        self.assert_stable(found)

    def test_offsets_of_the_ops_platform(self):
        http = Http(self.daybook)
        day = 86_400_000
        at = int(self.began.timestamp()) * 1000
        loop = PageLoop(50, lambda number: http.ops_page(TENANT, at - day, at + day, 50, number))
        self.assert_stable({"hcs": (loop.steps(), loop.rows)})

    def assert_stable(self, loops):
        newest_first = [one.number for one in reversed(self.acts)]
        files = {row["begin_time"]: number for number, (_, row) in enumerate(self.log_files())}
        expected = {
            "swr": [number for number in newest_first if number % 3 == 0],
            "swr, create": [number for number in newest_first if number % 3 == 2],
            "gaussdb": list(files.values()),
        }
        going_on = {api: steps for api, (steps, _) in loops.items()}
        pages = collections.Counter()
        while going_on:
            for api, steps in list(going_on.items()):
                if next(steps, self) is self:
                    del going_on[api]
                else:
                    pages[api] += 1
            self.add_acts(10)
        for api, (_, rows) in loops.items():
            with self.subTest(api=api):
                self.assertGreater(pages[api], 1, "several pages")
                if api == "gaussdb":
                    seen = [files.get(row["begin_time"]) for row in rows]
                else:
                    (member,) = rows[0].keys() & {"resource", "data", "name", "resource_name"}
                    seen = [int(re.search(r"\d+", row[member])[0]) for row in rows]
                self.assertEqual(seen, expected.get(api, newest_first))


class OtherLanguages(Estate):
    """The vendor's SDKs for Go and Java, each through a driver that prints a line of JSON for each
    call.
    """

    def variables(self):
        start, end = self.window()
        return {
            "DAYBOOK_URL": self.daybook.url,
            "CLOUD_SDK_AK": self.daybook.access_key,
            "CLOUD_SDK_SK": self.daybook.secret,
            "PROJECT_ID": PROJECT,
            "TENANT_ID": TENANT,
            "SWR_INSTANCE": INSTANCE,
            "ARTIFACT_REPO": REPOSITORY,
            "TAURUS_INSTANCE": DATABASE,
            "DBSS_INSTANCE": DBAUDIT,
            "TAURUS_START": start,
            "TAURUS_END": end,
        }

    def assert_driver_prints_the_rows(self, *command):
        lines = map(json.loads, run(*command, **self.variables(), HOME=self.folder).splitlines())
        said = {line.pop("call"): line for line in lines}
        rows = {
            "swr.ListAuditLogs": (self.swr_rows("pull"), ()),
            "codeartsartifact.ShowAudit": (self.newest_first(Act.codearts_row), ()),
            "gaussdb.ListAuditLogs": ([row for _, row in self.log_files()], ("id", "name")),
            "dbss.ListAuditOperateLogsNew": (self.newest_first(Act.dbss_row), ("id",)),
            "dbss.ListAuditOperateLogs": (self.newest_first(Act.dbss_row), ("id",)),
        }
        for call, (expected, unknown) in rows.items():
            answer = said.pop(call)
            self.assertEqual((answer["status"], answer["total"]), (200, len(expected)), call)
            self.assertEqual(without(answer["rows"], *unknown), without(expected[:10]), call)
        expected = [row["id"] for operation in SWR_OPERATIONS for row in self.swr_rows(operation)]
        self.assertEqual(said.pop("swr pages"), {"ids": expected})
        self.assertEqual(said.pop("swr by region"), {"total": len(self.swr_rows("pull"))})
        refusals = {
            "swr.ListAuditLogs bad": (400, "SVCSTG.SWR.4001025"),
            "codeartsartifact.ShowAudit bad": (400, "CR.4000"),
            "gaussdb.ListAuditLogs bad": (400, "DBS.280439"),
            "dbss.ListAuditOperateLogsNew bad": (400, "DBSS.10000001"),
            "dbss.ListAuditOperateLogs bad": (400, "DBSS.10000001"),
            "wrong secret": (401, "APIGW.0301"),
        }
        for call, expected in refusals.items():
            error = said.pop(call)["error"]
            self.assertEqual((error["status"], error["code"]), expected, call)
            self.assertRegex(error["request_id"], "^[0-9a-f]{32}$", call)
        self.assertEqual(said, {}, "nothing else was printed")

    def test_go(self):
        self.assert_driver_prints_the_rows(os.environ["DAYBOOK_GO_DRIVER"])

    def test_java(self):
        self.assert_driver_prints_the_rows(
            "java", "-cp", os.environ["DAYBOOK_JAVA_CLASSPATH"], "Driver"
        )
