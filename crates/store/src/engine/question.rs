//! A question, and what it is put to.

use event::Trail;
use event::query::Query;
use std::cell::OnceCell;

use crate::hash::Set;
use crate::log::memtable::{Memtable, Slice};
use crate::segment::segment::Segment;

/// The parts of the log that a question is put to, oldest first.
pub(crate) struct Parts<'a> {
    pub segments: &'a [std::sync::Arc<Segment>],
    /// Memtables that grow no more.
    pub memtables: Vec<&'a Memtable>,
    /// What matches in the memtable that grows.
    pub active: Vec<&'a Slice<'a>>,
    /// Events in the log.
    pub len: u64,
}

impl Parts<'_> {
    /// How many events there are for a question.
    pub fn tree_size(&self, query: &Query) -> u64 {
        query.as_of.map_or(self.len, |size| size.min(self.len))
    }
}

/// Time in nanoseconds and index: what rows are ordered by.
pub(super) type OrderKey = (i64, u64);

/// PostingsLocation a row of an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowLocation {
    /// In the segment with this position, this row.
    Segment(usize, u32),
    /// In the memtable with this position, this row.
    Memtable(usize, u32),
    /// In this slice of the active memtable, at this place.
    Active(usize, usize),
}

/// A question, and what is bound for once however many parts there are.
pub(crate) struct Question<'a> {
    pub query: &'a Query,
    /// Each trail once.
    pub trails: Vec<&'a Trail>,
    /// The same, to be looked up.
    known: OnceCell<Set<&'a Trail>>,
}

impl<'a> Question<'a> {
    pub fn of(query: &'a Query) -> Question<'a> {
        let mut trails: Vec<&Trail> = query.trails.iter().collect();
        trails.sort_unstable();
        trails.dedup();
        Question { query, trails, known: OnceCell::new() }
    }

    pub(super) fn is_about(&self, trail: &Trail) -> bool {
        let known = || self.trails.iter().copied().collect();
        self.known.get_or_init(known).contains(trail)
    }

    /// Whether it is about every trail of a segment, and so about more than one.
    pub(super) fn is_about_all_of(&self, segment: &Segment) -> bool {
        let mut bound = self.trails.iter();
        (2..=self.trails.len()).contains(&segment.trails_len())
            && segment.trails().all(|(trail, _)| bound.any(|one| *one == trail))
    }

    /// Whether an event of this time may be within the window.
    pub(super) fn overlaps(&self, earliest_ns: i64, latest_ns: i64) -> bool {
        self.query.from.is_none_or(|from| latest_ns >= from.unix_ns())
            && self.query.until.is_none_or(|until| earliest_ns < until.unix_ns())
    }
}
