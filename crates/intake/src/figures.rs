//! What became of what a source sent, counted since the server started.
//!
//! `received` is `recorded`, `duplicate`, `set_aside` and `skipped` together, whenever nothing is
//! on its way. What is refused is none of them: its sender was told, and nothing of it is kept.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use event::Time;

use super::gaps::Gaps;

/// Counters of one source, and when what came last did.
#[derive(Default)]
pub struct Figures {
    /// Events, lines or messages that arrived in what was answered for.
    pub received: AtomicU64,
    /// Events recorded.
    pub recorded: AtomicU64,
    /// What was recorded, or set aside, before.
    pub duplicate: AtomicU64,
    /// What could not be used and is kept.
    pub set_aside: AtomicU64,
    /// What is not recorded by rule: other stages of a request, companions of a line, noise.
    pub skipped: AtomicU64,
    /// Bodies that nothing is kept of: too large, malformed, in conflict with what is recorded.
    pub refused: AtomicU64,
    /// Bodies that there was no room for at that moment.
    pub deferred: AtomicU64,
    /// Events recorded that their source cut.
    pub truncated: AtomicU64,
    /// Events that came of what had been set aside.
    pub retried: AtomicU64,
    /// Datagrams that came faster than they could be recorded: dropped by Daybook, and by the
    /// kernel before it.
    pub dropped_by_daybook: AtomicU64,
    pub dropped_by_kernel: AtomicU64,
    /// Connections that were closed at once: beyond a limit, or from an address that may not send.
    pub connections_refused: AtomicU64,
    /// Bytes of files that are gone and were not read, as far as it is known how many; and how
    /// often there were some.
    pub lost_bytes: AtomicU64,
    pub file_gaps: AtomicU64,
    /// Bytes of files that are there and not read yet.
    pub behind_bytes: AtomicU64,
    moments: Mutex<Moments>,
}

/// When things last happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moments {
    /// When something last arrived.
    pub received_at: Option<Time>,
    /// When the newest event that was recorded happened.
    pub occurred_at: Option<Time>,
    /// How long after it happened the newest event of what was recorded last arrived, in ns.
    /// Negative where the source's clock is ahead.
    pub lag_ns: Option<i64>,
    /// The longest of any event, in this minute of the clock and in the one before; and which
    /// minute this is.
    lag_max_ns: [Option<i64>; 2],
    minute: i64,
}

const MINUTE_NS: i64 = 60_000_000_000;

/// A counter to be shown.
pub struct Counter {
    /// A word; `/metrics` makes `daybook_source_<name>_total` of it.
    pub name: &'static str,
    pub help: &'static str,
    pub count: u64,
}

impl Figures {
    pub fn add(counter: &AtomicU64, count: usize) {
        counter.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Notes that something arrived.
    pub fn heard(&self, at: Time) {
        let mut moments = self.moments.lock().expect("no panic while held");
        moments.received_at = moments.received_at.max(Some(at));
    }

    /// Notes that events were recorded which happened at these times, the newest and the oldest.
    pub fn happened(&self, received_at: Time, newest: Time, oldest: Time) {
        self.moments.lock().expect("no panic while held").happened(received_at, newest, oldest);
    }

    /// Datagrams that came faster than they could be recorded: dropped by Daybook, and by the
    /// kernel.
    pub fn dropped(&self) -> [u64; 2] {
        [&self.dropped_by_daybook, &self.dropped_by_kernel]
            .map(|counter| counter.load(Ordering::Relaxed))
    }

    pub fn moments(&self) -> Moments {
        *self.moments.lock().expect("no panic while held")
    }

    /// Every counter of a source. One that is added here is in the API, in `/metrics` and in the
    /// table of `daybook source status`.
    pub fn counters(&self, gaps: &Gaps) -> Vec<Counter> {
        let of = |name, counter: &AtomicU64, help| Counter {
            name,
            help,
            count: counter.load(Ordering::Relaxed),
        };
        let counts = &gaps.counts;
        let gap = |name, count, help| Counter { name, help, count };
        vec![
            of(
                "received",
                &self.received,
                "Events, lines or messages that arrived in what was answered for.",
            ),
            of("recorded", &self.recorded, "Events recorded."),
            of("duplicate", &self.duplicate, "What was recorded, or set aside, before."),
            of("set_aside", &self.set_aside, "What could not be used and is kept."),
            of("skipped", &self.skipped, "What is not recorded by rule."),
            of("refused", &self.refused, "Bodies that nothing is kept of."),
            of("deferred", &self.deferred, "Bodies that there was no room for at that moment."),
            of("truncated", &self.truncated, "Events recorded that their source cut."),
            of("retried", &self.retried, "Events that came of what had been set aside."),
            of(
                "dropped_by_daybook",
                &self.dropped_by_daybook,
                "Datagrams dropped that came faster than they were recorded.",
            ),
            of(
                "dropped_by_kernel",
                &self.dropped_by_kernel,
                "Datagrams that the kernel dropped before they were taken.",
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
            of("lost_bytes", &self.lost_bytes, "Bytes in them, as far as it is known."),
            gap("gaps", counts.gaps, "Ranges of numbers that did not come."),
            gap("missing", counts.missing, "Numbers that did not come."),
            gap("found", counts.found, "Missing numbers that came after all."),
            gap("renumbered", counts.restarts, "How often a numbering began again."),
            gap("unfollowed", counts.forgotten, "Numbered streams that were given up."),
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

    /// The longest time that an event took to arrive, of those recorded in the last one to two
    /// minutes.
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
        let figures = Figures::default();
        assert_eq!(figures.moments(), Moments::default());
        figures.happened(at(100), at(97), at(40));
        figures.happened(at(110), at(112), at(112));
        let moments = figures.moments();
        assert_eq!((moments.occurred_at, moments.lag_ns), (Some(at(112)), Some(-2_000_000_000)));
        let seconds = |now| moments.lag_max_ns(at(now)).map(|ns| ns / 1_000_000_000);
        assert_eq!([seconds(110), seconds(179), seconds(180)], [Some(60), Some(60), None]);
        figures.heard(at(120));
        figures.heard(at(115));
        assert_eq!(figures.moments().received_at, Some(at(120)));
    }
}
