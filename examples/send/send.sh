#!/bin/sh
# Sends two events to Daybook and reads them back.
set -eu

# An event in the form of CloudEvents 1.0. Its id stays the same however often it is sent.
event() {
  printf '{"specversion":"1.0","id":"%s","source":"/examples/shell","type":"%s",' \
    "$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')" "$1"
  printf '"subject":"%s","time":"%s","actor":"alice","data":{"outcome":"%s"}}\n' \
    "$2" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$3"
}

events=$(
  event com.example.invoice.updated invoices/17 success
  event com.example.invoice.deleted invoices/17 denied
)

# One event a line is a body too. --retry tries again after 408, 503 and a broken connection, and
# waits as long as Retry-After says.
printf '%s\n' "$events" |
  curl --silent --show-error --fail-with-body --retry 10 --retry-connrefused --max-time 60 \
    --header "Authorization: Bearer $AUDIT_SOURCE_TOKEN" --header "Content-Type: text/plain" \
    --data-binary @- "$AUDIT_URL/intake/apps"
echo

curl --silent --show-error --fail-with-body --header "X-Auth-Token: $AUDIT_TOKEN" \
  "$AUDIT_URL/api/v1/events?instance=apps&actor=alice&limit=2"
echo
