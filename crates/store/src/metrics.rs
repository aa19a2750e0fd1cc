//! Metrics of a log: counters without locks, counted from when it was opened.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A monotonic clock from any origin.
pub type Clock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// Counts of values by upper bounds.
pub struct Histogram {
    bounds: &'static [u64],
    /// One for each bound, and one for values above all of them.
    counts: Vec<AtomicU64>,
    sum: AtomicU64,
}

/// The counts of a [`Histogram`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distribution {
    /// In ascending order.
    pub bounds: &'static [u64],
    /// Counts of the values up to the bound at this position and above the one before. The last
    /// counts values above all bounds.
    pub counts: Vec<u64>,
    /// The sum of all values.
    pub sum: u64,
}

impl Histogram {
    /// A histogram without values. The bounds must be in ascending order.
    pub fn new(bounds: &'static [u64]) -> Histogram {
        let counts = std::iter::repeat_with(AtomicU64::default).take(bounds.len() + 1).collect();
        Histogram { bounds, counts, sum: AtomicU64::default() }
    }

    /// Counts a value.
    pub fn record(&self, value: u64) {
        let position = self.bounds.partition_point(|bound| *bound < value);
        self.counts[position].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// Counts a time, in nanoseconds.
    pub fn record_time(&self, time: Duration) {
        self.record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// The counts so far.
    pub fn read(&self) -> Distribution {
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        Distribution { bounds: self.bounds, counts, sum: self.sum.load(Ordering::Relaxed) }
    }
}

/// Metrics of a log since it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// Nanoseconds of each sync of the journal, which a group of requests shares.
    pub sync_ns: Distribution,
    /// Requests of each group.
    pub group_requests: Distribution,
    /// Events recorded by each group.
    pub group_events: Distribution,
    /// Bytes of groups written to the journal.
    pub journal_bytes: u64,
    /// Segments flushed from memory.
    pub flushes: u64,
    /// Segments made by compaction.
    pub compactions: u64,
    /// Segments there are.
    pub segments: u64,
    /// Bytes of their files.
    pub segment_bytes: u64,
    /// Events in segments; all others are in memory and in the journal.
    pub flushed_events: u64,
    /// Bytes of segments' indexes in memory.
    pub cache_bytes: u64,
    /// Blocks of segments' indexes read because they were not in memory.
    pub blocks_read: u64,
}

/// The counters of the log's threads.
pub(crate) struct Meters {
    pub clock: Clock,
    pub sync_ns: Histogram,
    pub group_requests: Histogram,
    pub group_events: Histogram,
    pub journal_bytes: AtomicU64,
    pub flushes: AtomicU64,
    pub compactions: AtomicU64,
    pub segments: AtomicU64,
    pub segment_bytes: AtomicU64,
    pub flushed_events: AtomicU64,
}

/// Bounds in nanoseconds, from a fast disk's cache to one that hangs.
const SYNC_BOUNDS: &[u64] = &[
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    1_000_000_000,
    5_000_000_000,
];
const REQUESTS_BOUNDS: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];
const EVENTS_BOUNDS: &[u64] = &[0, 1, 4, 16, 64, 256, 1024, 4096, 16_384, 65_536];

impl Meters {
    pub fn new(clock: Clock) -> Meters {
        Meters {
            clock,
            sync_ns: Histogram::new(SYNC_BOUNDS),
            group_requests: Histogram::new(REQUESTS_BOUNDS),
            group_events: Histogram::new(EVENTS_BOUNDS),
            journal_bytes: AtomicU64::default(),
            flushes: AtomicU64::default(),
            compactions: AtomicU64::default(),
            segments: AtomicU64::default(),
            segment_bytes: AtomicU64::default(),
            flushed_events: AtomicU64::default(),
        }
    }

    /// The counts; `cache_bytes` and `blocks_read` come from the index cache.
    pub fn read(&self, (cache_bytes, blocks_read): (u64, u64)) -> Metrics {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Metrics {
            sync_ns: self.sync_ns.read(),
            group_requests: self.group_requests.read(),
            group_events: self.group_events.read(),
            journal_bytes: of(&self.journal_bytes),
            flushes: of(&self.flushes),
            compactions: of(&self.compactions),
            segments: of(&self.segments),
            segment_bytes: of(&self.segment_bytes),
            flushed_events: of(&self.flushed_events),
            cache_bytes,
            blocks_read,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_counted_under_the_least_bound_that_it_does_not_exceed() {
        let histogram = Histogram::new(&[1, 10]);
        for value in [0, 1, 2, 10, 11, u64::from(u32::MAX)] {
            histogram.record(value);
        }
        let read = histogram.read();
        assert_eq!(read.counts, [2, 2, 2]);
        assert_eq!(read.sum, 24 + u64::from(u32::MAX));
    }
}
