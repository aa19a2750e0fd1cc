"""A second verifier of a log, written from the specifications alone and sharing nothing with
Daybook.

Signed notes, checkpoints and tiles are those of C2SP (c2sp.org/signed-note, tlog-checkpoint,
tlog-tiles, tlog-proof); the tree is that of RFC 6962 section 2.1, its inclusion and consistency
proofs are checked as in RFC 9162 sections 2.1.3.2 and 2.1.4.
"""

import base64
import binascii
import collections
import hashlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

HASH_BYTES = 32
TILE_WIDTH = 256
ED25519_NOTE = 1

Key = collections.namedtuple("Key", "name id public")
Checkpoint = collections.namedtuple("Checkpoint", "origin size root")


class Refusal(Exception):
    """A check failed."""


def demand(condition, why):
    if not condition:
        raise Refusal(why)


def decode(text):
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refusal(f"not base64: {text!r}") from error
    # Unused bits could be changed without notice.
    demand(base64.b64encode(data).decode() == text, f"not base64 as it is written: {text!r}")
    return data


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def leaf_hash(data):
    return sha256(b"\x00", data)


def node_hash(left, right):
    return sha256(b"\x01", left, right)


def parse_key(text):
    """A verifier key: name, key id, and the type byte with the public key."""
    name, key_id, encoded = (text.split("+", 2) + ["", ""])[:3]
    kind, public = decode(encoded)[:1], decode(encoded)[1:]
    demand(kind == bytes([ED25519_NOTE]) and len(public) == 32, "no Ed25519 key for notes")
    expected = sha256(name.encode(), b"\n", kind, public)[:4]
    demand(name and key_id == expected.hex(), "the key id is another")
    return Key(name, expected, Ed25519PublicKey.from_public_bytes(public))


def open_note(data, key):
    """The text of a note that this key signed."""
    try:
        note = data.decode()
    except UnicodeDecodeError as error:
        raise Refusal("not UTF-8") from error
    demand(all(char == "\n" or char >= " " for char in note), "a control character")
    text, blank, lines = note.rpartition("\n\n")
    demand(blank and lines.endswith("\n"), "no signatures")
    is_signed = False
    for line in lines[:-1].split("\n"):
        parts = line.split(" ")
        demand(len(parts) == 3 and parts[0] == "—" and parts[1], f"no signature line: {line!r}")
        signature = decode(parts[2])
        demand(len(signature) > 4, "a signature without a key")
        if parts[1] == key.name and signature[:4] == key.id:
            try:
                key.public.verify(signature[4:], (text + "\n").encode())
            except InvalidSignature as error:
                raise Refusal("the signature is wrong") from error
            is_signed = True
    demand(is_signed, "not signed by the key")
    return text + "\n"


def open_checkpoint(data, key):
    lines = open_note(data, key)[:-1].split("\n")
    demand(len(lines) >= 3 and all(lines), "no checkpoint")
    origin, size, root = lines[0], lines[1], decode(lines[2])
    demand(origin == key.name, "of another log")
    demand(size.isascii() and size.isdigit() and str(int(size)) == size, "no size")
    demand(len(root) == HASH_BYTES, "no root")
    return Checkpoint(origin, int(size), root)


def tile_path(level, position, width):
    digits = str(position)
    digits = digits.zfill((len(digits) + 2) // 3 * 3)
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    name = "/".join([*("x" + group for group in groups[:-1]), groups[-1]])
    return f"tile/{level}/{name}" + (f".p/{width}" if width < TILE_WIDTH else "")


class Tree:
    """A tree of a size, read from tiles. `get` returns the bytes at a path below the log's prefix."""

    def __init__(self, size, get):
        self.size = size
        self.get = get
        self.tiles = {}

    def tile(self, level, position):
        """The hashes of a tile, as wide as the tree has it."""
        if (level, position) not in self.tiles:
            width = min(TILE_WIDTH, (self.size >> (8 * level)) - position * TILE_WIDTH)
            data = self.get(tile_path(level, position, width))
            demand(len(data) == width * HASH_BYTES, "a tile of another width")
            self.tiles[level, position] = [
                data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)
            ]
        return self.tiles[level, position]

    def hash_of(self, start, end):
        """The hash of the leaves from start to end, by the definition, as far down as the tiles'
        levels.
        """
        size = end - start
        if size & (size - 1) == 0:
            level = (size.bit_length() - 1) // 8
            first, count = start >> (8 * level), size >> (8 * level)
            hashes = self.tile(level, first // TILE_WIDTH)[first % TILE_WIDTH :][:count]
            while len(hashes) > 1:
                hashes = [node_hash(left, right) for left, right in zip(hashes[::2], hashes[1::2])]
            return hashes[0]
        middle = start + (1 << ((size - 1).bit_length() - 1))
        return node_hash(self.hash_of(start, middle), self.hash_of(middle, end))

    def root(self):
        return self.hash_of(0, self.size) if self.size else sha256()

    def check(self):
        """Every tile's hashes are the roots of the tiles below."""
        level = 1
        while self.size >> (8 * level):
            for position in range(self.size >> (8 * level)):
                below = self.tile(level - 1, position)
                while len(below) > 1:
                    below = [node_hash(left, right) for left, right in zip(below[::2], below[1::2])]
                published = self.tile(level, position // TILE_WIDTH)[position % TILE_WIDTH]
                demand(
                    below[0] == published,
                    f"hash {position} of level {level} is not that of its tile",
                )
            level += 1

    def entries(self):
        """Every entry; each hashes to its leaf."""
        for position in range((self.size + TILE_WIDTH - 1) // TILE_WIDTH):
            width = min(TILE_WIDTH, self.size - position * TILE_WIDTH)
            data = self.get(tile_path("entries", position, width))
            for leaf in self.tile(0, position):
                end = 2 + int.from_bytes(data[:2], "big")
                entry, data = data[2:end], data[end:]
                demand(leaf_hash(entry) == leaf, "an entry is not that of its leaf")
                yield entry
            demand(not data, "more entries than leaves")

    def goes_on_from(self, old):
        """Its first leaves are those of an older checkpoint."""
        demand(old.size <= self.size, "smaller than before")
        root = self.hash_of(0, old.size) if old.size else sha256()
        demand(root == old.root, "another beginning than before")


def verify(get, key, old=None):
    """Checks all that a log publishes. Returns its checkpoint and its entries."""
    checkpoint = open_checkpoint(get("checkpoint"), key)
    tree = Tree(checkpoint.size, get)
    demand(tree.root() == checkpoint.root, "the tiles make another root")
    tree.check()
    entries = list(tree.entries())
    if old:
        tree.goes_on_from(old)
    return checkpoint, entries


def root_by_path(leaf, index, size, path):
    """The root that an inclusion proof makes (RFC 9162 section 2.1.3.2)."""
    demand(index < size, "beyond the tree")
    node, last, found = index, size - 1, leaf
    for sibling in path:
        demand(last > 0, "the path is too long")
        if node & 1 or node == last:
            found = node_hash(sibling, found)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        node, last = node >> 1, last >> 1
    demand(last == 0, "the path is too short")
    return found


def verify_proof(data, key, entry=None):
    """Checks a proof file, for the entry in it or the one given. Returns index, checkpoint and
    entry.
    """
    head, blank, note = data.partition(b"\n\n")
    demand(blank, "no checkpoint")
    try:
        lines = head.decode().split("\n")
    except UnicodeDecodeError as error:
        raise Refusal("not UTF-8") from error
    demand(lines.pop(0) == "c2sp.org/tlog-proof@v1", "no proof")
    if lines and lines[0].startswith("extra "):
        along = decode(lines.pop(0).removeprefix("extra "))
        entry = along if entry is None else entry
    demand(lines and lines[0].startswith("index "), "no index")
    index = lines.pop(0).removeprefix("index ")
    demand(index.isascii() and index.isdigit() and str(int(index)) == index, "no index")
    path = [decode(line) for line in lines]
    demand(all(len(one) == HASH_BYTES for one in path), "no hash")
    checkpoint = open_checkpoint(note, key)
    demand(entry is not None, "no entry")
    root = root_by_path(leaf_hash(sha256(entry)), int(index), checkpoint.size, path)
    demand(root == checkpoint.root, "the entry is not in the tree")
    return int(index), checkpoint, entry
