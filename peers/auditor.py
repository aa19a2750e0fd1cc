"""The auditor: the vendor's Python SDK, used as its documentation shows."""

import datetime

from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions import exceptions
from huaweicloudsdkswr.v2 import ListAuditLogsRequest, SwrClient

from ledger import Act
from processes import INSTANCE, PROJECT

OPERATIONS = ("create", "pull", "delete")


def time_text():
    """The present time, in the form that rows have."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def client(daybook, project=PROJECT, access_key=None, secret=None):
    """A client with the endpoint and the project set."""
    credentials = BasicCredentials(
        access_key or daybook.access_key, secret or daybook.secret, project
    )
    return SwrClient.new_builder().with_credentials(credentials).with_endpoint(daybook.url).build()


def pages(swr, operation, limit):
    """Requests page after page until one is empty; returns them all, including the empty one."""
    found = []
    while not found or found[-1].audit_logs:
        arguments = {
            "instance_id": INSTANCE,
            "operation": operation,
            "limit": limit,
            "offset": limit * len(found),
        }
        found.append(swr.list_audit_logs(ListAuditLogsRequest(**arguments)))
    return found


def rows(swr, operation, limit=100):
    """Every row of one operation."""
    return [row for page in pages(swr, operation, limit) for row in page.audit_logs]


def all_rows(swr):
    """Every row that the SDK sees, in the form of the ledger."""
    return [
        Act(row.operation, row.resource_type, row.resource, row.username)
        for operation in OPERATIONS
        for row in rows(swr, operation)
    ]


def refusal(swr, **arguments):
    """The error of a request that must be refused."""
    try:
        swr.list_audit_logs(
            ListAuditLogsRequest(**{"instance_id": INSTANCE, "operation": "pull", **arguments})
        )
    except exceptions.ClientRequestException as error:
        return error
    raise AssertionError(f"{arguments} was answered")
