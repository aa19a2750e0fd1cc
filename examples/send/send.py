"""Sends two events to Daybook and reads them back."""

import datetime
import json
import os
import time
import urllib.error
import urllib.request
import uuid

URL = os.environ["AUDIT_URL"]
SOURCE_TOKEN = os.environ["AUDIT_SOURCE_TOKEN"]
TOKEN = os.environ["AUDIT_TOKEN"]
ATTEMPTS = 10


def event(kind, subject, data):
    """An event in the form of CloudEvents 1.0. Its id stays the same however often it is sent."""
    return {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "source": "/examples/python",
        "type": kind,
        "subject": subject,
        "time": datetime.datetime.now(datetime.timezone.utc).isoformat(),
        "actor": "alice",
        "data": data,
    }


def send(events):
    """Sends events until they are recorded; returns the response."""
    request = urllib.request.Request(
        f"{URL}/intake/apps",
        json.dumps(events).encode(),
        {
            "Authorization": f"Bearer {SOURCE_TOKEN}",
            "Content-Type": "application/cloudevents-batch+json",
        },
    )
    for attempt in range(ATTEMPTS):
        wait_s = min(2**attempt, 30)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            if error.code not in (408, 503):
                raise SystemExit(f"refused with {error.code}: {error.read().decode()}")
            wait_s = int(error.headers.get("Retry-After", wait_s))
        except OSError as error:
            print(f"no answer ({error}); trying again")
        time.sleep(wait_s)
    raise SystemExit(f"not recorded after {ATTEMPTS} attempts")


def read(search):
    """Returns the newest events that match."""
    request = urllib.request.Request(f"{URL}/api/v1/events?{search}", None, {"X-Auth-Token": TOKEN})
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)["events"]


sent = send(
    [
        event("com.example.invoice.updated", "invoices/17", {"outcome": "success"}),
        event("com.example.invoice.deleted", "invoices/17", {"outcome": "denied"}),
    ]
)
print(f"recorded {sent['recorded']}, from index {sent['first_index']}")
for row in read("instance=apps&actor=alice&limit=2"):
    print(row["occurred_at"], row["action"], row["resource"]["name"], row["outcome"]["result"])
