//! The range of a segment's events.

use event::Time;
use serde::{Deserialize, Serialize};

/// The range of a segment's events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Meta {
    /// Index of its first event.
    pub first: u64,
    /// Number of events; their indexes are consecutive.
    pub events: u64,
    /// The earliest and the latest time of an event, in nanoseconds.
    pub earliest_ns: i64,
    pub latest_ns: i64,
}

impl Meta {
    pub(super) fn add(&mut self, index: u64, at: Time) {
        let at = at.unix_ns();
        let is_empty = self.events == 0;
        self.first = if is_empty { index } else { self.first.min(index) };
        self.earliest_ns = if is_empty { at } else { self.earliest_ns.min(at) };
        self.latest_ns = if is_empty { at } else { self.latest_ns.max(at) };
        self.events += 1;
    }

    /// The earliest and the latest time of an event, in nanoseconds.
    pub fn times_ns(&self) -> [i64; 2] {
        [self.earliest_ns, self.latest_ns]
    }

    /// Index behind the last event.
    pub fn end(&self) -> u64 {
        self.first + self.events
    }
}

/// The rows of a trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub start: u32,
    pub end: u32,
    /// The number in the trail of its first event by index; the others follow without a gap.
    pub first_number: u64,
    pub earliest_ns: i64,
    pub latest_ns: i64,
    /// Rows of database trails before this run.
    pub(super) before: u32,
}

/// The sizes and the hash of written files.
pub(crate) struct SegmentSummary {
    pub table_bytes: u64,
    pub table_sha256: [u8; 32],
    pub index_bytes: u64,
    /// The earliest and the latest time of an event.
    pub times_ns: [i64; 2],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_grows_by_events_in_any_order() {
        let mut meta = Meta::default();
        for (index, time) in [(7, 30), (5, -10), (6, 90)] {
            meta.add(index, Time::from_unix_ns(time));
        }
        assert_eq!(meta, Meta { first: 5, events: 3, earliest_ns: -10, latest_ns: 90 });
        assert_eq!(meta.end(), 8);
    }
}
