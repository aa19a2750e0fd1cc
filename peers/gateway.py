"""A caller over plain HTTP, with a password, a token and the app codes of the ops platform."""

import json
import urllib.request

from processes import DOMAIN

APP_CODES = {
    "X-APIG-Appcode": "the-code-of-the-gateway",
    "x-hcso-appcode": "the-code-of-the-ops-platform",
}
USER, PASSWORD = "auditor", "correct horse battery"


def admit(daybook, file):
    """Adds the auditor's password and the app codes. `file(name, text)` makes a file with this
    text.
    """
    for name, code in APP_CODES.items():
        daybook.access("app-code", "add", name, "--code-file", file(name, code))
    daybook.access("user", "password", USER, "--password-file", file("password", PASSWORD))


class Http:
    """Plain HTTP with a token."""

    def __init__(self, daybook):
        self.url = daybook.url
        user = {"name": USER, "password": PASSWORD, "domain": {"name": DOMAIN}}
        auth = {"identity": {"methods": ["password"], "password": {"user": user}}}
        _, headers = self.request("POST", "/v3/auth/tokens", {"auth": auth})
        self.headers = {"X-Auth-Token": headers["X-Subject-Token"]}

    def request(self, method, target, body=None, **headers):
        data = None if body is None else json.dumps(body).encode()
        given = {"Content-Type": "application/json", "Accept": "application/json"} | headers
        sent = urllib.request.Request(
            self.url + target, data, given | getattr(self, "headers", {}), method=method
        )
        with urllib.request.urlopen(sent) as response:
            return json.load(response), response.headers

    def get(self, path, **headers):
        return self.request("GET", path, **headers)[0]

    def post(self, path, body):
        return self.request("POST", path, body)[0]

    def ops_page(self, domain, begin_ms, end_ms, size, number):
        """A page of the ops platform's records of a domain, and their total."""
        query = (
            f"begin_time={begin_ms}&end_time={end_ms}&page_size={size}&offset_value={number * size}"
        )
        headers = APP_CODES | {"x-hcso-domainid": domain}
        answer = self.get(f"/rest/dataapi/homs/open-api/v1/cloudAuditlog?{query}", **headers)
        return answer["list"], answer["total"]
