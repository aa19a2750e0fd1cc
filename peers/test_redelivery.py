"""Each act is recorded once, whatever happens between a registry and Daybook.

Each act has a row of its own in the ledger, so that one row missing and another too many cannot
make up for each other.
"""

import itertools
import threading

import auditor
from images import Image
from processes import wait_until
from proxy import Way
from scene import USERS, Scene

# After this many failures the registry pauses between attempts: the threshold of its configuration.
TRIES_UNTIL_PAUSE = 3
# Ways in which Daybook records a notification that the registry takes for unsent.
RECORDING = {Way.LIE, Way.DROP, Way.LATE, Way.STALE}


class Redelivery(Scene):
    has_proxy = True

    def setUp(self):
        super().setUp()
        self.users = itertools.cycle(map(self.user, USERS))
        self.numbers = itertools.count()

    def act(self):
        """Pushes a new image, pulls it as another user, and deletes every third."""
        number = next(self.numbers)
        image, tag = Image(f"image {number}"), f"v{number}"
        next(self.users).push("library/app", tag, image)
        next(self.users).pull("library/app", tag)
        if number % 3 == 2:
            next(self.users).delete("library/app", image)

    def acts(self, count):
        for _ in range(count):
            self.act()

    def wait_for_failed_attempts(self, count):
        enough = self.registry.failed_attempts() + count
        wait_until(
            lambda: self.registry.failed_attempts() >= enough, f"the registry failed {count} times"
        )

    def count_rows_until(self, time):
        """The number of rows that the SDK sees of acts up to a time."""
        rows = (
            row for operation in auditor.OPERATIONS for row in auditor.rows(self.swr, operation)
        )
        return sum(row.op_time <= time for row in rows)

    def go_through(self, way, kill=False):
        """Acts before, during and after a time in which the proxy misbehaves and Daybook may be
        killed.
        """
        before = self.proxy.duplicates()
        self.acts(2)
        self.proxy.become(way)
        self.acts(2)
        self.wait_for_failed_attempts(TRIES_UNTIL_PAUSE)
        if kill:
            self.daybook.kill()
            self.daybook.start()
            self.acts(1)
            self.wait_for_failed_attempts(1)
        done, now = len(self.ledger.rows), auditor.time_text()
        self.proxy.become(Way.PASS)
        self.acts(2)
        self.assert_ledger_is_seen()
        self.assertEqual(
            self.count_rows_until(now), done, "times are those of the acts, not of their arrival"
        )
        if way in RECORDING:
            self.assertGreater(self.proxy.duplicates(), before, "something was delivered twice")

    def test_a_sink_that_fails_with_500(self):
        self.go_through(Way.REFUSE, kill=True)
        self.assert_log_has_each_notification_once()

    def test_a_sink_that_records_and_fails_with_500(self):
        self.go_through(Way.LIE, kill=True)
        self.assert_log_has_each_notification_once()

    def test_a_sink_that_records_and_hangs_up(self):
        self.go_through(Way.DROP, kill=True)
        self.assert_log_has_each_notification_once()

    def test_a_sink_that_records_and_responds_too_late(self):
        self.go_through(Way.LATE, kill=True)
        self.assert_log_has_each_notification_once()

    def test_a_sink_that_records_too_late(self):
        self.go_through(Way.STALE, kill=True)
        self.assert_log_has_each_notification_once()

    def test_a_sink_that_is_down(self):
        self.go_through(Way.DOWN, kill=True)
        self.assert_log_has_each_notification_once()

    def test_one_trouble_after_another(self):
        for way in (Way.LIE, Way.REFUSE, Way.LATE, Way.DOWN, Way.STALE, Way.DROP):
            self.go_through(way)
            self.daybook.kill()
            self.daybook.start()
        self.assert_log_has_each_notification_once()

    def test_daybook_killed_under_way(self):
        failures, enough = [], threading.Event()

        def act_on():
            try:
                while not enough.is_set():
                    self.act()
            except Exception as error:
                failures.append(error)

        acting = threading.Thread(target=act_on)
        acting.start()
        try:
            for _ in range(5):
                goal = len(self.proxy.recorded) + 10
                wait_until(
                    lambda: failures or len(self.proxy.recorded) >= goal,
                    "Daybook recorded some more",
                )
                self.daybook.kill()
                self.wait_for_failed_attempts(1)
                self.daybook.start()
        finally:
            enough.set()
            acting.join()
        self.assertEqual(failures, [])
        self.assert_ledger_is_seen()
        self.assert_log_has_each_notification_once()
