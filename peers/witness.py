"""A witness of logs, written from the specifications alone and sharing nothing with Daybook.

It speaks C2SP tlog-witness (c2sp.org/tlog-witness) and signs tlog-cosignature
(c2sp.org/tlog-cosignature); the proofs that it checks are those of RFC 9162 section 2.1.4.2.
"""

import base64
import http.server
import threading
import time

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from verifier import (
    HASH_BYTES,
    Checkpoint,
    Key,
    Refusal,
    decode,
    demand,
    node_hash,
    open_checkpoint,
    sha256,
)

ED25519_COSIGNATURE = b"\x04"
PROOF_LINES_MAX = 63


def goes_on(path, old, new):
    """Whether a proof shows that the tree of one checkpoint goes on from that of another."""
    if old.size in (0, new.size):
        return not path and (old.root == new.root or old.size == 0 < new.size)
    path = [old.root, *path] if old.size & (old.size - 1) == 0 else list(path)
    if not path:
        return False
    first, second = old.size - 1, new.size - 1
    while first & 1:
        first, second = first >> 1, second >> 1
    old_root = new_root = path[0]
    for other in path[1:]:
        if second == 0:
            return False
        if first & 1 or first == second:
            old_root, new_root = node_hash(other, old_root), node_hash(other, new_root)
            while not first & 1 and first:
                first, second = first >> 1, second >> 1
        else:
            new_root = node_hash(new_root, other)
        first, second = first >> 1, second >> 1
    return (old_root, new_root, second) == (old.root, new.root, 0)


def key_id(name, public):
    return sha256(name.encode(), b"\n", ED25519_COSIGNATURE, public)[:4]


def parse_key(text):
    """The verifier key of a witness."""
    name, shown, encoded = (text.split("+", 2) + ["", ""])[:3]
    kind, public = decode(encoded)[:1], decode(encoded)[1:]
    demand(kind == ED25519_COSIGNATURE and len(public) == 32, "no Ed25519 key for cosignatures")
    demand(name and shown == key_id(name, public).hex(), "the key id is another")
    return Key(name, key_id(name, public), Ed25519PublicKey.from_public_bytes(public))


def signed_message(text, at):
    """The message that a cosignature of this time signs."""
    return f"cosignature/v1\ntime {at}\n{text}".encode()


def cosignature_time(note, key):
    """The time of a witness's cosignature of a note, in seconds of Unix time."""
    text, _, lines = note.decode().rpartition("\n\n")
    for line in lines.splitlines():
        dash, name, encoded = line.split(" ")
        signature = decode(encoded)
        if (dash, name, signature[:4]) == ("—", key.name, key.id):
            at = int.from_bytes(signature[4:12], "big")
            try:
                key.public.verify(signature[12:], signed_message(text + "\n", at))
            except InvalidSignature as error:
                raise Refusal("the cosignature is wrong") from error
            return at
    raise Refusal("not cosigned by the key")


class Witness(http.server.ThreadingHTTPServer):
    """A witness of one log, in memory. `requests` has the old size and the status of each request."""

    def __init__(self, name, log):
        super().__init__(("127.0.0.1", 0), Handler)
        self.name, self.log = name, log
        self.private = Ed25519PrivateKey.generate()
        self.newest = Checkpoint(log.name, 0, sha256())
        self.turn = threading.Lock()
        self.requests = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/a/prefix"

    @property
    def key(self):
        public = self.private.public_key().public_bytes_raw()
        encoded = base64.b64encode(ED25519_COSIGNATURE + public).decode()
        return f"{self.name}+{key_id(self.name, public).hex()}+{encoded}"

    def add_checkpoint(self, body):
        """Status, content type and body of the response."""
        head, blank, note = body.partition(b"\n\n")
        first, *lines = head.decode().split("\n")
        word, _, digits = first.partition(" ")
        demand(
            blank and word == "old" and digits.isdigit() and str(int(digits)) == digits,
            "no old size",
        )
        demand(len(lines) <= PROOF_LINES_MAX, "too many lines")
        path, old_size = [decode(line) for line in lines], int(digits)
        demand(all(len(one) == HASH_BYTES for one in path), "a line is no hash")
        if note.decode().split("\n", 1)[0] != self.log.name:
            return 404, "text/plain", b""
        try:
            new = open_checkpoint(note, self.log)
        except Refusal:
            return 403, "text/plain", b""
        demand(old_size <= new.size, "the old size is larger")
        with self.turn:
            if (
                old_size != self.newest.size
                or new.size == self.newest.size
                and new.root != self.newest.root
            ):
                return 409, "text/x.tlog.size", b"%d\n" % self.newest.size
            if not goes_on(path, self.newest, new):
                return 422, "text/plain", b""
            self.newest = new
        text = note.decode().rpartition("\n\n")[0] + "\n"
        at = int(time.time())
        signature = key_id(self.name, self.private.public_key().public_bytes_raw())
        signature += at.to_bytes(8, "big") + self.private.sign(signed_message(text, at))
        # A line of another key comes first. The log must ignore it.
        other = base64.b64encode(bytes(80)).decode()
        lines = f"— someone.example {other}\n— {self.name} {base64.b64encode(signature).decode()}\n"
        return 200, "text/plain", lines.encode()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            assert self.path == "/a/prefix/add-checkpoint", self.path
            status, kind, answer = self.server.add_checkpoint(body)
        except (Refusal, ValueError) as error:
            status, kind, answer = 400, "text/plain", f"{error}\n".encode()
        self.server.requests.append((body.split(b"\n", 1)[0].decode(), status))
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        """Logs nothing."""
