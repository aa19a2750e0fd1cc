"""Witnesses: Daybook's log uses one written from the specifications alone, which also checks what
Daybook's witness cosigns.
"""

import pathlib
import tempfile
import time
import unittest
import urllib.error
import urllib.request

import verifier
import witness
from processes import DAYBOOK, Daybook, Program, free_port, run, wait_until
from test_tlog import notification


class Witnesses(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        # Segments of few events, so that proofs come from files and from memory.
        settings = "[limits]\nflush_events = 200\nunflushed_events_max = 400\n"
        self.daybook = Daybook(self.folder, more_settings=settings)
        self.addCleanup(self.daybook.kill)
        self.log = run(DAYBOOK, "key", "show", "--data-dir", str(self.daybook.data)).strip()
        self.peer = witness.Witness("peer.example/w", verifier.parse_key(self.log))
        self.addCleanup(self.peer.server_close)
        self.addCleanup(self.peer.shutdown)
        home, port = self.folder / "witness", free_port()
        self.own_key = run(DAYBOOK, "witness", "init", str(home), "--name", "own.example/w").strip()
        run(DAYBOOK, "witness", "add", str(home), self.log)
        listen = ["--listen", f"127.0.0.1:{port}"]
        self.own = Program(
            port, self.folder / "witness.log", DAYBOOK, "witness", "serve", str(home), *listen
        )
        self.addCleanup(self.own.kill)
        self.own.start()
        with open(self.folder / "daybook.toml", "a", encoding="utf-8") as configuration:
            for url, key in (
                (self.peer.url, self.peer.key),
                (f"http://127.0.0.1:{port}", self.own_key),
            ):
                configuration.write(f'[[witness]]\nurl = "{url}"\nkey = "{key}"\n')

    def witnessed_checkpoint(self):
        """The checkpoint that all witnesses cosigned, verified with the keys of log and witnesses."""
        try:
            with urllib.request.urlopen(f"{self.daybook.url}/tlog/checkpoint/witnessed") as answer:
                note = answer.read()
        except urllib.error.HTTPError as error:
            self.assertEqual(error.code, 404)
            return None
        for key in (self.peer.key, self.own_key):
            at = witness.cosignature_time(note, witness.parse_key(key))
            self.assertLess(abs(at - time.time()), 600)
        return verifier.open_checkpoint(note, verifier.parse_key(self.log))

    def is_witnessed(self, events):
        newest = self.witnessed_checkpoint()
        return newest and newest.size > events

    def test_two_kinds_of_witness_cosign_one_checkpoint_of_a_growing_log(self):
        sent = 0
        for end in (1, 255, 258, 700):
            self.daybook.start()
            for number in range(sent, end):
                self.assertEqual(self.daybook.take_in(notification(number))[0], 200)
            sent = end
            wait_until(lambda: self.is_witnessed(end), "all witnesses cosigned what was sent")
            self.daybook.stop()
        # The server learns each witness's size once after a start, and never guesses wrong.
        statuses = [status for _, status in self.peer.requests]
        self.assertLessEqual(set(statuses), {200, 409})
        self.assertLessEqual(statuses.count(409), 4, self.peer.requests)
        self.own.stop()

    def test_another_history_is_refused(self):
        self.daybook.start()
        wait_until(lambda: self.is_witnessed(0), "all witnesses cosigned the start")
        # The peer has the root of another tree.
        with self.peer.turn:
            self.peer.newest = self.peer.newest._replace(root=bytes(32))
        for number in range(3):
            self.assertEqual(self.daybook.take_in(notification(number))[0], 200)
        wait_until(
            lambda: "a witness refuses" in self.daybook.log_text(), "the server logs the refusal"
        )
        self.daybook.stop()
        self.own.stop()
