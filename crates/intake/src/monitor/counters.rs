//! Counters of a source since the server started.
//!
//! `received` is the sum of `recorded`, `duplicate`, `dead_letters` and `skipped` whenever no
//! delivery is under way. A refused body counts as none of them: its sender got the error, and
//! nothing of it is stored.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use event::Time;

use crate::monitor::gaps::Gaps;

/// Counters of one source, and the times of its newest events.
#[derive(Default)]
pub struct Counters {
    /// Events, lines or messages of acknowledged deliveries.
    pub received: AtomicU64,
    /// Events recorded.
    pub recorded: AtomicU64,
    /// Items that were recorded or rejected before.
    pub duplicate: AtomicU64,
    /// Rejected records in the dead-letter queue.
    pub dead_letters: AtomicU64,
    /// Items left out by rule: other stages of a request, companions of a line, noise.
    pub skipped: AtomicU64,
    /// Refused bodies: too large, malformed, or in conflict with a recorded event.
    pub refused: AtomicU64,
    /// Bodies that found no free capacity.
    pub deferred: AtomicU64,
    /// Recorded events that their source cut.
    pub truncated: AtomicU64,
    /// Events from retried dead letters.
    pub retried: AtomicU64,
    /// Datagrams dropped because they came faster than they were recorded: by Daybook, and by the
    /// kernel before it.
    pub dropped_by_daybook: AtomicU64,
    pub dropped_by_kernel: AtomicU64,
    /// Connections closed at once: beyond a limit, or from a forbidden address.
    pub connections_refused: AtomicU64,
    /// Bytes of files that are gone unread, as far as the number is known; and the number of such
    /// gaps.
    pub lost_bytes: AtomicU64,
    pub file_gaps: AtomicU64,
    /// Bytes of files still to be read.
    pub behind_bytes: AtomicU64,
    moments: Mutex<Moments>,
}

/// Times of the newest deliveries and events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moments {
    /// The last arrival.
    pub received_at: Option<Time>,
    /// The time of the newest recorded event.
    pub occurred_at: Option<Time>,
    /// The lag of the newest event of the last delivery, in ns. Negative where the source's clock
    /// is ahead.
    pub lag_ns: Option<i64>,
    /// The longest lag of any event in this minute and in the one before, and the minute.
    lag_max_ns: [Option<i64>; 2],
    minute: i64,
}

const MINUTE_NS: i64 = 60_000_000_000;

/// A counter with its name.
pub struct Counter {
    /// The word in `daybook_source_<name>_total` of `/metrics`.
    pub name: &'static str,
    pub help: &'static str,
    pub count: u64,
}

impl Counters {
    pub fn add(counter: &AtomicU64, count: usize) {
        counter.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Notes an arrival.
    pub fn heard(&self, at: Time) {
        let mut moments = self.moments.lock().expect("no panic while held");
        moments.received_at = moments.received_at.max(Some(at));
    }

    /// Notes the times of the newest and the oldest event of a recorded delivery.
    pub fn happened(&self, received_at: Time, newest: Time, oldest: Time) {
        self.moments.lock().expect("no panic while held").happened(received_at, newest, oldest);
    }

    /// Dropped datagrams: by Daybook, and by the kernel.
    pub fn dropped(&self) -> [u64; 2] {
        [&self.dropped_by_daybook, &self.dropped_by_kernel]
            .map(|counter| counter.load(Ordering::Relaxed))
    }

    pub fn moments(&self) -> Moments {
        *self.moments.lock().expect("no panic while held")
    }

    /// Every counter of a source. The API, `/metrics` and `daybook source status` show this list.
    pub fn counters(&self, gaps: &Gaps) -> Vec<Counter> {
        let of = |name, counter: &AtomicU64, help| Counter {
            name,
            help,
            count: counter.load(Ordering::Relaxed),
        };
        let counts = &gaps.counts;
        let gap = |name, count, help| Counter { name, help, count };
        vec![
            of("received", &self.received, "Events, lines or messages of acknowledged deliveries."),
            of("recorded", &self.recorded, "Events recorded."),
            of("duplicate", &self.duplicate, "Items that were recorded or rejected before."),
            of("dead_letters", &self.dead_letters, "Rejected records in the dead-letter queue."),
            of("skipped", &self.skipped, "Items left out by rule."),
            of("refused", &self.refused, "Refused bodies."),
            of("deferred", &self.deferred, "Bodies that found no free capacity."),
            of("truncated", &self.truncated, "Recorded events that their source cut."),
            of("retried", &self.retried, "Events from retried dead letters."),
            of(
                "dropped_by_daybook",
                &self.dropped_by_daybook,
                "Datagrams dropped by Daybook because they came too fast.",
            ),
            of(
                "dropped_by_kernel",
                &self.dropped_by_kernel,
                "Datagrams dropped by the kernel before Daybook read them.",
            ),
            of(
                "connections_refused",
                &self.connections_refused,
                "Connections of senders closed at once.",
            ),
            of(
                "file_gaps",
                &self.file_gaps,
                "Parts of files that were gone before they were read.",
            ),
            of(
                "lost_bytes",
                &self.lost_bytes,
                "Bytes of these parts, as far as the number is known.",
            ),
            gap("gaps", counts.gaps, "Ranges of numbers that never arrived."),
            gap("missing", counts.missing, "Numbers that never arrived."),
            gap("found", counts.found, "Missing numbers that arrived late."),
            gap("renumbered", counts.restarts, "Restarts of a numbering."),
            gap("unfollowed", counts.forgotten, "Numbered streams that are not followed any more."),
        ]
    }
}

impl Moments {
    fn happened(&mut self, received_at: Time, newest: Time, oldest: Time) {
        let lag = |occurred_at: Time| received_at.unix_ns().saturating_sub(occurred_at.unix_ns());
        self.occurred_at = self.occurred_at.max(Some(newest));
        self.lag_ns = Some(lag(newest));
        self.turn(received_at);
        self.lag_max_ns[0] = self.lag_max_ns[0].max(Some(lag(oldest)));
    }

    /// The longest lag of the events of the last one to two minutes.
    pub fn lag_max_ns(mut self, now: Time) -> Option<i64> {
        self.turn(now);
        self.lag_max_ns.into_iter().max().flatten()
    }

    fn turn(&mut self, now: Time) {
        let minute = now.unix_ns().div_euclid(MINUTE_NS);
        self.lag_max_ns = match minute - self.minute {
            ..=0 => return,
            1 => [None, self.lag_max_ns[0]],
            2.. => [None, None],
        };
        self.minute = minute;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Time {
        Time::from_unix_ns(seconds * 1_000_000_000)
    }

    #[test]
    fn lag_is_of_the_newest_and_its_maximum_of_the_last_minutes() {
        let counters = Counters::default();
        assert_eq!(counters.moments(), Moments::default());
        counters.happened(at(100), at(97), at(40));
        counters.happened(at(110), at(112), at(112));
        let moments = counters.moments();
        assert_eq!((moments.occurred_at, moments.lag_ns), (Some(at(112)), Some(-2_000_000_000)));
        let seconds = |now| moments.lag_max_ns(at(now)).map(|ns| ns / 1_000_000_000);
        assert_eq!([seconds(110), seconds(179), seconds(180)], [Some(60), Some(60), None]);
        counters.heard(at(120));
        counters.heard(at(115));
        assert_eq!(counters.moments().received_at, Some(at(120)));
    }
}
