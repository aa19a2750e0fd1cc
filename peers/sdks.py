"""The vendor's Python SDKs of the four services, and the loops that users write with them."""

import huaweicloudsdkcodeartsartifact.v2 as codearts
import huaweicloudsdkdbss.v1 as dbss
import huaweicloudsdkgaussdb.v3 as gaussdb
import huaweicloudsdkswr.v2 as swr
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions import exceptions
from huaweicloudsdkcore.utils.http_utils import sanitize_for_serialization

from estate import DATABASE, DBAUDIT, INSTANCE, REPOSITORY, TENANT
from processes import PROJECT


def plain(response):
    """An SDK's response as JSON."""
    return sanitize_for_serialization(response)


class Clients:
    """A client of each service with one access key, and a call of each API with defaults."""

    def __init__(self, daybook, access_key=None, secret=None, project=PROJECT):
        credentials = BasicCredentials(
            access_key or daybook.access_key, secret or daybook.secret, project
        )
        builders = (
            swr.SwrClient.new_builder(),
            codearts.CodeArtsArtifactClient.new_builder(),
            gaussdb.GaussDBClient.new_builder(),
            dbss.DbssClient.new_builder(),
        )
        self.swr, self.codearts, self.gaussdb, self.dbss = (
            builder.with_credentials(credentials).with_endpoint(daybook.url).build()
            for builder in builders
        )

    def swr_logs(self, **arguments):
        parameters = {"instance_id": INSTANCE, "operation": "pull", **arguments}
        return self.swr.list_audit_logs(swr.ListAuditLogsRequest(**parameters))

    def codearts_audit(self, **arguments):
        parameters = {
            "tenant_id": TENANT,
            "project_id": PROJECT,
            "module": "file",
            "repo": REPOSITORY,
            **arguments,
        }
        return self.codearts.show_audit(codearts.ShowAuditRequest(**parameters))

    def gaussdb_files(self, **arguments):
        return self.gaussdb.list_audit_logs(
            gaussdb.ListAuditLogsRequest(**{"instance_id": DATABASE, **arguments})
        )

    def dbss_body(self, arguments):
        parameters = {"page": "1", "size": "10", **arguments}
        parameters["time"] = dbss.TimeRangeBean(**parameters.get("time", {}))
        return dbss.OperateLogGetRequest(**parameters)

    def dbss_logs(self, instance_id=DBAUDIT, **arguments):
        request = dbss.ListAuditOperateLogsNewRequest(
            instance_id=instance_id, body=self.dbss_body(arguments)
        )
        return self.dbss.list_audit_operate_logs_new(request)

    def dbss_logs_old(self, instance_id=DBAUDIT, **arguments):
        request = dbss.ListAuditOperateLogsRequest(
            instance_id=instance_id, body=self.dbss_body(arguments)
        )
        return self.dbss.list_audit_operate_logs(request)


class PageLoop:
    """The loop of an SDK's user: page after page, until one is not full.

    `fetch(page)` requests the page of this number, from 0, and returns its rows and the total.
    """

    def __init__(self, size, fetch):
        self.size = size
        self.fetch = fetch
        self.rows = []
        self.totals = set()

    def steps(self):
        """Requests one page at a time; ends with the last."""
        page, number = None, 0
        while page is None or len(page) == self.size:
            page, total = self.fetch(number)
            self.rows += page
            self.totals.add(total)
            number += 1
            yield

    def all(self):
        for _ in self.steps():
            pass
        return self


def page_loops(clients, size, window):
    """A loop of this page size over each API."""
    start, end = window

    def swr_page(number):
        answer = clients.swr_logs(limit=size, offset=size * number)
        return plain(answer.audit_logs), answer.total

    def codearts_page(number):
        answer = clients.codearts_audit(page_num=number + 1, page_size=size)
        return plain(answer.result.audit_info_list), answer.result.total

    def gaussdb_page(number):
        answer = clients.gaussdb_files(
            start_time=start, end_time=end, limit=size, offset=size * number
        )
        return plain(answer.audit_logs), answer.total_count

    def dbss_page(call):
        def page(number):
            answer = call(page=str(number + 1), size=str(size), time={"time_range": "MONTH"})
            return plain(answer.operate_log), answer.total_num

        return page

    return {
        "swr": PageLoop(size, swr_page),
        "codearts": PageLoop(size, codearts_page),
        "gaussdb": PageLoop(size, gaussdb_page),
        "dbss": PageLoop(size, dbss_page(clients.dbss_logs)),
        "dbss, older path": PageLoop(size, dbss_page(clients.dbss_logs_old)),
    }


def refusal(call, **arguments):
    """The error of a call that must be refused."""
    try:
        call(**arguments)
    except exceptions.ClientRequestException as error:
        return error
    raise AssertionError(f"{arguments} was not refused")
