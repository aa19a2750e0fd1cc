//! Answers questions from segments and tails together.
//!
//! Each part of the log gives, for each trail asked for, a list of the rows that match, in order of
//! time and index: a run of a segment or of a tail, the rows of one value within it, or a set of
//! rows. The total is the sum of their lengths. A page is found by counting in the lists how many
//! rows come before some moment, so that its cost does not depend on how deep it is, and no row is
//! read that is not on it.

#![allow(
    clippy::cast_possible_truncation,
    reason = "rows of a segment are fewer than 2^32; platforms have 64 bits"
)]

mod list;
mod page;
mod top;

use std::cell::OnceCell;

use event::query::{Dimension, Query, Top};
use event::{Time, Trail};

use list::{List, list_by_time, list_of_run, lists_of_few};

use crate::Error;
use crate::condition::Conditions;
use crate::hash::Set;
use crate::segment::Segment;
use crate::tail::{Slice, Tail};

/// The parts of the log that a question is put to, oldest first.
pub(crate) struct Parts<'a> {
    pub segments: &'a [std::sync::Arc<Segment>],
    /// Tails that grow no more.
    pub tails: Vec<&'a Tail>,
    /// What matches in the tail that grows.
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
type Position = (i64, u64);

/// Where a row of an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the segment with this position, this row.
    Segment(usize, u32),
    /// In the tail with this position, this row.
    Tail(usize, u32),
    /// In this slice of the active tail, at this place.
    Active(usize, usize),
}

/// Of no more rows for each trail it is found which trail they are of, instead of looking for each
/// trail's.
const FEW_ROWS_A_TRAIL: u64 = 4;

/// A question, and what is asked for once however many parts there are.
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

    fn is_about(&self, trail: &Trail) -> bool {
        let known = || self.trails.iter().copied().collect();
        self.known.get_or_init(known).contains(trail)
    }

    /// Whether it is about every trail of a segment, and so about more than one.
    fn is_about_all_of(&self, segment: &Segment) -> bool {
        let mut asked = self.trails.iter();
        (2..=self.trails.len()).contains(&segment.trails_len())
            && segment.trails().all(|(trail, _)| asked.any(|one| *one == trail))
    }

    /// Whether an event of this time may be within the window.
    fn overlaps(&self, earliest_ns: i64, latest_ns: i64) -> bool {
        self.query.from.is_none_or(|from| latest_ns >= from.unix_ns())
            && self.query.until.is_none_or(|until| earliest_ns < until.unix_ns())
    }
}

/// The filters of a question in terms of each segment.
pub(crate) fn conditions<'a>(
    parts: &Parts<'a>,
    query: &Query,
) -> Result<Vec<Conditions<'a>>, Error> {
    let tree_size = parts.tree_size(query);
    parts
        .segments
        .iter()
        .map(|segment| Conditions::of(segment, &query.filters, tree_size))
        .collect()
}

/// How what matches in a segment is found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// Trail by trail.
    Trail,
    /// In order of time for all trails at once, where the segment has it so.
    Time,
}

/// What matches, part by part.
pub(crate) struct Matching<'a> {
    lists: Vec<List<'a>>,
    pub total: u64,
}

impl<'a> Matching<'a> {
    /// Finds what matches. The conditions are those of the same parts and the same question.
    pub fn of(
        parts: &Parts<'a>,
        conditions: &'a [Conditions<'a>],
        question: &Question<'_>,
        by: By,
    ) -> Result<Matching<'a>, Error> {
        let mut lists = Vec::new();
        for (position, conditions) in conditions.iter().enumerate() {
            let meta = &conditions.segment.meta;
            if !conditions.can_match() || !question.overlaps(meta.earliest_ns, meta.latest_ns) {
                continue;
            }
            if by == By::Time
                && let Some(list) = list_by_time(conditions, position, question)?
            {
                lists.push(list);
                continue;
            }
            if conditions.rows_max() <= FEW_ROWS_A_TRAIL * question.trails.len() as u64 {
                lists_of_few(conditions, position, question, &mut lists)?;
            } else {
                let mut places = conditions.segment.places();
                for trail in &question.trails {
                    if let Some(run) = conditions.segment.run(trail)
                        && question.overlaps(run.earliest_ns, run.latest_ns)
                    {
                        lists.push(list_of_run(
                            conditions,
                            position,
                            run,
                            &mut places,
                            question.query,
                        )?);
                    }
                }
            }
        }
        let tree_size = parts.tree_size(question.query);
        for (position, tail) in parts.tails.iter().enumerate() {
            let asked = tail.ask(question.query, tree_size);
            for trail in &question.trails {
                if let Some(slice) = asked.matching(trail) {
                    lists.push(List::of_tail(Place::Tail(position, 0), slice));
                }
            }
        }
        for (position, slice) in parts.active.iter().enumerate() {
            lists.push(List::of_tail(Place::Active(position, 0), slice.borrowed()));
        }
        lists.retain(|list| list.len > 0);
        let total = lists.iter().map(|list| list.len).sum();
        Ok(Matching { lists, total })
    }

    /// The rows of the page that is asked for.
    pub fn page(&self, query: &Query) -> Result<Vec<Place>, Error> {
        page::page(&self.lists, self.total, query)
    }

    /// How many there are from each instant on and before the next.
    pub fn histogram(&self, instants: &[Time]) -> Result<Vec<u64>, Error> {
        let mut counts = vec![0; instants.len().saturating_sub(1)];
        for list in &self.lists {
            let (mut before, mut places) = (None, None);
            for (position, instant) in instants.iter().enumerate() {
                let found = list.before((instant.unix_ns(), 0), &mut places)?;
                if let Some(before) = before.replace(found) {
                    // Instants may stand still; they do not go back.
                    counts[position - 1] += found.saturating_sub(before);
                }
            }
        }
        Ok(counts)
    }

    /// The values of a dimension that most of what matches has, which must have been found
    /// [`By::Trail`]. `active` are the counts of the part that grows.
    pub fn top(
        &self,
        parts: &Parts<'_>,
        dimension: Dimension,
        active: &[(Option<String>, u64)],
        limit: usize,
    ) -> Result<Top, Error> {
        let top::Most { values, without } = top::most(self, parts, dimension, active, limit)?;
        let counted: u64 = values.iter().map(|(_, count)| count).sum();
        // Figures that contradict each other come from damage that no checksum shows.
        let others = self.total.checked_sub(without + counted).ok_or_else(list::shorter)?;
        Ok(Top { values, others, without, total: self.total, tree_size: parts.len })
    }
}
