"""The published tree, checked by verifiers that share nothing with Daybook: the Go team's,
Tessera's, and one written from the specifications alone.
"""

import os
import pathlib
import random
import subprocess
import tempfile
import unittest
import urllib.error
import urllib.request

import verifier
from processes import DAYBOOK, Daybook, run, wait_until

VERIFIER = os.environ["DAYBOOK_GO_TLOG"]
FSCK = os.environ["DAYBOOK_TESSERA_FSCK"]
MUTATIONS = 200


def notification(number):
    """A registry's notification of one pull."""
    target = (
        f'"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:{number:064x}"'
    )
    return (
        f'{{"events":[{{"id":"t{number}","timestamp":"2026-11-20T17:00:00Z","action":"pull",'
        f'"target":{{{target},"repository":"library/ubuntu","tag":"24.04"}},'
        '"request":{"id":"r","addr":"10.0.0.9:1","host":"hub","method":"GET","useragent":"skopeo"},'
        '"actor":{"name":"alice"},"source":{"addr":"vm:5000","instanceID":"i"}}]}'
    )


def mutate(data, draw):
    """Changes published bytes; returns the kind of change and the result."""
    at = draw.randrange(len(data))
    kind = draw.choice(("flip", "cut", "add", "swap", "repeat"))
    if kind == "flip":
        return kind, data[:at] + bytes([data[at] ^ 1 << draw.randrange(8)]) + data[at + 1 :]
    if kind == "cut":
        return kind, data[:at]
    if kind == "add":
        return kind, data + bytes([draw.randrange(256)])
    half = len(data) // 2
    if kind == "swap":
        return kind, data[half : 2 * half] + data[:half] + data[2 * half :]
    return kind, data + data


def verify(*arguments):
    """The verifier's exit code and output."""
    done = subprocess.run(
        [VERIFIER, *map(str, arguments)], capture_output=True, text=True, timeout=60
    )
    return done.returncode, done.stdout + done.stderr


class Tlog(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        # Segments of few events, so that tiles come from files and from memory.
        settings = "[limits]\nflush_events = 200\nunflushed_events_max = 400\n"
        self.daybook = Daybook(self.folder, more_settings=settings)
        self.addCleanup(self.daybook.kill)
        self.key = run(DAYBOOK, "key", "show", "--data-dir", str(self.daybook.data)).strip()

    def checkpoint(self):
        with urllib.request.urlopen(f"{self.daybook.url}/tlog/checkpoint") as answer:
            return answer.read()

    def checkpoint_size(self):
        return int(self.checkpoint().split(b"\n")[1])

    def get(self, path):
        """The bytes published at a path."""
        try:
            with urllib.request.urlopen(f"{self.daybook.url}/{path}") as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            raise verifier.Refusal(f"{path}: {error.code}") from error

    def test_a_growing_log_goes_on_from_every_checkpoint(self):
        url, key = self.daybook.url, self.key
        checkpoints, sent = [], 0
        for end in (1, 255, 258, 700):
            self.daybook.start()
            for number in range(sent, end):
                self.assertEqual(self.daybook.take_in(notification(number))[0], 200)
            sent = end
            wait_until(lambda: self.checkpoint_size() > end, "the checkpoint covers what was sent")
            for old in [None, *checkpoints]:
                code, said = verify(url, key, *filter(None, [old]))
                self.assertEqual(code, 0, said)
            checkpoints.append(self.folder / f"checkpoint-{end}")
            checkpoints[-1].write_bytes(self.checkpoint())
            self.assertNotEqual(verify(url, self.another_key())[0], 0)
            forged = self.folder / "forged"
            forged.write_bytes(checkpoints[-1].read_bytes().replace(b"\n\n", b"=\n\n", 1))
            self.assertNotEqual(verify(url, key, forged)[0], 0)
            self.daybook.stop()

    def test_any_change_is_refused(self):
        self.daybook.start()
        for number in range(600):
            self.assertEqual(self.daybook.take_in(notification(number))[0], 200)
        wait_until(lambda: self.checkpoint_size() > 600, "the checkpoint covers what was sent")
        # Everything that is published, by path.
        published = {}

        def fetch(path):
            if path not in published:
                published[path] = self.get(f"tlog/{path}")
            return published[path]

        key = verifier.parse_key(self.key)
        checkpoint, entries = verifier.verify(fetch, key)
        self.assertEqual(len(entries), checkpoint.size)
        self.daybook.stop()
        digests = (self.daybook.data / "tree" / "digests").read_bytes()
        self.assertEqual(b"".join(entries)[: len(digests)], digests[: checkpoint.size * 32])
        self.assertEqual(verifier.verify(published.__getitem__, key, checkpoint)[0], checkpoint)
        seed = random.randrange(2**32)
        print(f"mutations of seed {seed}")
        draw = random.Random(seed)
        by_kind = {}
        for _ in range(MUTATIONS):
            path = draw.choice(sorted(published))
            kind, changed = mutate(published[path], draw)
            if changed == published[path]:
                continue
            by_kind[kind] = by_kind.get(kind, 0) + 1
            with self.assertRaises(verifier.Refusal, msg=f"{kind} of {path}"):
                verifier.verify({**published, path: changed}.__getitem__, key, checkpoint)
        self.assertGreater(sum(by_kind.values()), MUTATIONS * 9 // 10, by_kind)
        # Old checkpoints that are not of this log: another size, another root.
        for old in (
            checkpoint._replace(size=checkpoint.size + 1),
            checkpoint._replace(size=checkpoint.size - 1),
            checkpoint._replace(root=bytes(32)),
        ):
            with self.assertRaises(verifier.Refusal):
                verifier.verify(published.__getitem__, key, old)
        with self.assertRaises(verifier.Refusal):
            verifier.verify(published.__getitem__, verifier.parse_key(self.another_key()))

    def test_tessera_finds_the_log_whole(self):
        self.daybook.start()
        for number in range(700):
            self.assertEqual(self.daybook.take_in(notification(number))[0], 200)
        wait_until(lambda: self.checkpoint_size() > 700, "the checkpoint covers what was sent")
        for key, is_whole in ((self.key, True), (self.another_key(), False)):
            (self.folder / "key").write_text(key)
            flags = (
                "--ui=false",
                "--storage_url",
                f"{self.daybook.url}/tlog/",
                "--public_key",
                self.folder / "key",
            )
            done = subprocess.run(
                [FSCK, *map(str, flags)], capture_output=True, text=True, timeout=60
            )
            # It ends with 0 either way.
            self.assertEqual(
                "Successfully fsck'd log" in done.stderr, is_whole, done.stdout + done.stderr
            )

    def test_proof_files_are_checked_by_others(self):
        self.daybook.start()
        for number in range(300):
            self.assertEqual(self.daybook.take_in(notification(number))[0], 200)
        wait_until(lambda: self.checkpoint_size() > 300, "the checkpoint covers what was sent")
        key, data = verifier.parse_key(self.key), str(self.daybook.data)
        seed = random.randrange(2**32)
        print(f"mutations of seed {seed}")
        draw = random.Random(seed)
        for index in (0, 1, 199, 200, 255, 256, 299, *(draw.randrange(300) for _ in range(13))):
            proof = run(DAYBOOK, "prove", str(index), "--entry", "--data-dir", data).encode()
            found, checkpoint, entry = verifier.verify_proof(proof, key)
            self.assertEqual((found, b'"action":' in entry), (index, True))
            self.assertLessEqual(checkpoint.size, self.checkpoint_size())
            # Without the entry, as it is public.
            bare = self.get(f"api/v1/events/{index}/proof")
            self.assertEqual(verifier.verify_proof(bare, key, entry)[0], index)
            with self.assertRaises(verifier.Refusal):
                verifier.verify_proof(bare, key, entry + b" ")
            with self.assertRaises(verifier.Refusal):
                verifier.verify_proof(proof, verifier.parse_key(self.another_key()))
            (self.folder / "proof").write_bytes(bare)
            (self.folder / "entry").write_bytes(entry)
            code, said = verify("proof", self.folder / "proof", self.folder / "entry", self.key)
            self.assertEqual((code, said), (0, f"{index}\n"))
            (self.folder / "entry").write_bytes(entry + b" ")
            self.assertNotEqual(
                verify("proof", self.folder / "proof", self.folder / "entry", self.key)[0], 0
            )
            for _ in range(MUTATIONS // 20):
                kind, changed = mutate(proof, draw)
                with self.assertRaises(verifier.Refusal, msg=f"{kind} of the proof of {index}"):
                    if changed != proof:
                        verifier.verify_proof(changed, key)
                    else:
                        raise verifier.Refusal("as it was")

    def another_key(self):
        """The key of another log of the same name."""
        with tempfile.TemporaryDirectory() as folder:
            data = str(pathlib.Path(folder) / "data")
            run(DAYBOOK, "init", data, "--origin", self.key.split("+")[0])
            return run(DAYBOOK, "key", "show", "--data-dir", data).strip()
