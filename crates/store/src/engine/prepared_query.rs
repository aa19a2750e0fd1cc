//! A query and the parts of the log that it runs on.

use std::cell::OnceCell;

use event::Trail;
use event::query::Query;

use crate::error::Error;
use crate::hash::Set;
use crate::log::memtable::{Memtable, Slice};
use crate::segment::meta::Run;
use crate::segment::segment::Segment;

/// The parts of the log that a query runs on, oldest first.
pub(crate) struct Parts<'a> {
    pub segments: &'a [std::sync::Arc<Segment>],
    /// Frozen memtables.
    pub memtables: Vec<&'a Memtable>,
    /// The matches in the active memtable.
    pub active: Vec<&'a Slice<'a>>,
    /// Events in the log.
    pub len: u64,
}

impl Parts<'_> {
    /// Number of events that the query sees.
    pub fn tree_size(&self, query: &Query) -> u64 {
        query.as_of.map_or(self.len, |size| size.min(self.len))
    }
}

/// The order of rows: time in nanoseconds, then index.
pub(super) type OrderKey = (i64, u64);

/// Location of a row of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowLocation {
    /// A row of the segment at this position.
    Segment(usize, u32),
    /// A row of the memtable at this position.
    Memtable(usize, u32),
    /// A position in this slice of the active memtable.
    Active(usize, usize),
}

/// A query, with what is computed once for all parts.
pub(crate) struct PreparedQuery<'a> {
    pub query: &'a Query,
    /// Each trail once.
    pub trails: Vec<&'a Trail>,
    /// The same trails, for look-ups.
    known: OnceCell<Set<&'a Trail>>,
}

impl<'a> PreparedQuery<'a> {
    pub fn of(query: &'a Query) -> PreparedQuery<'a> {
        let mut trails: Vec<&Trail> = query.trails.iter().collect();
        trails.sort_unstable();
        trails.dedup();
        PreparedQuery { query, trails, known: OnceCell::new() }
    }

    pub(super) fn is_about(&self, trail: &Trail) -> bool {
        let known = || self.trails.iter().copied().collect();
        self.known.get_or_init(known).contains(trail)
    }

    /// Whether the query is about every trail of a segment, and so about more than one.
    pub(super) fn is_about_all_of(&self, segment: &Segment) -> bool {
        let mut bound = self.trails.iter();
        (2..=self.trails.len()).contains(&segment.trails_len())
            && segment.trails().all(|(trail, _)| bound.any(|one| *one == trail))
    }

    /// Whether any row of a segment may match, by its trails and times. Errs when that is so and
    /// the segment is not readable: an answer without it would be wrong.
    pub(super) fn needs(&self, segment: &Segment, tree_size: u64) -> Result<bool, Error> {
        let meta = &segment.meta;
        if meta.first >= tree_size || !self.overlaps(meta.earliest_ns, meta.latest_ns) {
            return Ok(false);
        }
        let is_within = |run: Run| self.overlaps(run.earliest_ns, run.latest_ns);
        let is_needed = if !segment.knows_trails() {
            true
        } else if self.trails.len() <= segment.trails_len() {
            self.trails.iter().any(|trail| segment.run(trail).is_some_and(is_within))
        } else {
            segment.trails().any(|(trail, run)| self.is_about(trail) && is_within(*run))
        };
        if is_needed {
            segment.whole()?;
        }
        Ok(is_needed)
    }

    /// Whether an event between these times may be within the window.
    pub(super) fn overlaps(&self, earliest_ns: i64, latest_ns: i64) -> bool {
        self.query.from.is_none_or(|from| latest_ns >= from.unix_ns())
            && self.query.until.is_none_or(|until| earliest_ns < until.unix_ns())
    }
}

#[cfg(test)]
mod tests {
    use event::Time;

    use super::*;
    use crate::samples::trail;

    #[test]
    fn trails_are_taken_once_and_windows_overlap() {
        let at = |ns| Some(Time::from_unix_ns(ns));
        let query = Query {
            trails: vec![trail(), trail()],
            from: at(10),
            until: at(20),
            as_of: Some(7),
            ..Query::of(trail())
        };
        let prepared = PreparedQuery::of(&query);
        assert_eq!(prepared.trails, [&trail()]);
        assert!(prepared.is_about(&trail()));
        let windows = [(0, 9), (0, 10), (19, 30), (20, 30)];
        assert_eq!(windows.map(|(a, b)| prepared.overlaps(a, b)), [false, true, true, false]);
        let parts = |len| Parts { segments: &[], memtables: Vec::new(), active: Vec::new(), len };
        assert_eq!([5, 9].map(|len| parts(len).tree_size(&query)), [5, 7]);
    }
}
