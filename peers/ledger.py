"""The ledger: the acts on a registry that an auditor must find."""

import collections

from processes import Request

Act = collections.namedtuple("Act", "operation resource_type resource username")


class Ledger:
    """Takes note of each act on a manifest that succeeded, by whom.

    `rows` is what an auditor must find, `requests` what the registry's access log must have.
    """

    def __init__(self):
        self.rows = []
        self.requests = []
        self.tags = {}

    def note_push(self, user, repository, reference, digest):
        """Notes that a manifest was pushed, by a tag or by its digest."""
        self.requests.append(Request("PUT", repository, reference))
        self.rows.append(Act("create", "artifact", f"{repository}:{digest}", user))
        if reference != digest:
            self.tags[repository, reference] = digest

    def note_pull(self, user, repository, reference):
        """Notes that a manifest was pulled, by a tag or by its digest."""
        self.requests.append(Request("GET", repository, reference))
        digest = self.tags.get((repository, reference), reference)
        self.rows.append(Act("pull", "artifact", f"{repository}:{digest}", user))

    def note_deletion(self, user, repository, digest):
        """Notes that a manifest was deleted, and with it the tags that pointed to it."""
        self.requests.append(Request("DELETE", repository, digest))
        self.rows.append(Act("delete", "artifact", f"{repository}:{digest}", user))
        for tag in [tag for (of, tag), to in self.tags.items() if (of, to) == (repository, digest)]:
            del self.tags[repository, tag]
            self.rows.append(Act("delete", "tag", f"{repository}:{tag}", user))

    def of(self, operation):
        return [row for row in self.rows if row.operation == operation]
