"""The auditor: the vendor's Python SDK, as anyone uses it."""

from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions import exceptions
from huaweicloudsdkswr.v2 import ListAuditLogsRequest, SwrClient

from images import Done
from processes import INSTANCE, PROJECT

OPERATIONS = ("create", "pull", "delete")


def client(daybook, project=PROJECT, access_key=None, secret=None):
    credentials = BasicCredentials(access_key or daybook.access_key, secret or daybook.secret, project)
    return SwrClient.new_builder().with_credentials(credentials).with_endpoint(daybook.url).build()


def walk(swr, operation, limit=7):
    """Every row of one operation, page by page until an empty one, and the totals that the pages told."""
    rows, totals = [], set()
    while True:
        request = ListAuditLogsRequest(instance_id=INSTANCE, operation=operation, limit=limit, offset=len(rows))
        answer = swr.list_audit_logs(request)
        totals.add(answer.total)
        if not answer.audit_logs:
            return rows, totals
        rows.extend(answer.audit_logs)
        if len(answer.audit_logs) < limit:
            return rows, totals


def everything(swr):
    """What the SDK sees, as the ledger tells it."""
    return [Done(row.operation, row.resource_type, row.resource, row.username) for operation in OPERATIONS for row in walk(swr, operation)[0]]


def refusal(swr, **arguments):
    """The error that a request is answered with."""
    try:
        swr.list_audit_logs(ListAuditLogsRequest(**{"instance_id": INSTANCE, "operation": "pull", **arguments}))
    except exceptions.ClientRequestException as error:
        return error
    raise AssertionError(f"{arguments} was answered")
