//! Answers questions from segments and memtables together.
//!
//! Each part of the log gives, for each trail bound for, a list of the rows that match, in order of
//! time and index: a run of a segment or of a memtable, the rows of one value within it, or a set of
//! rows. The total is the sum of their lengths. A page is found by counting in the lists how many
//! rows come before some moment, so that its cost does not depend on how deep it is, and no row is
//! read that is not on it.

#![allow(
    clippy::cast_possible_truncation,
    reason = "rows of a segment are fewer than 2^32; platforms have 64 bits"
)]

use event::Time;
use event::query::{Dimension, Query, Top};

use crate::engine::condition::Conditions;
use crate::engine::list::{List, list_by_time, list_of_run, lists_of_few, shorter};
use crate::engine::page;
use crate::engine::question::{Parts, Question, RowLocation};
use crate::engine::top::{TopValues, most};
use crate::error::Error;

/// Of no more rows for each trail it is found which trail they are of, instead of looking for each
/// trail's.
const FEW_ROWS_A_TRAIL: u64 = 4;

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
                let mut locator = conditions.segment.locator();
                for trail in &question.trails {
                    if let Some(run) = conditions.segment.run(trail)
                        && question.overlaps(run.earliest_ns, run.latest_ns)
                    {
                        lists.push(list_of_run(
                            conditions,
                            position,
                            run,
                            &mut locator,
                            question.query,
                        )?);
                    }
                }
            }
        }
        let tree_size = parts.tree_size(question.query);
        for (position, memtable) in parts.memtables.iter().enumerate() {
            let bound = memtable.bind(question.query, tree_size);
            for trail in &question.trails {
                if let Some(slice) = bound.matching(trail) {
                    lists.push(List::of_memtable(RowLocation::Memtable(position, 0), slice));
                }
            }
        }
        for (position, slice) in parts.active.iter().enumerate() {
            lists.push(List::of_memtable(RowLocation::Active(position, 0), slice.borrowed()));
        }
        lists.retain(|list| list.len > 0);
        let total = lists.iter().map(|list| list.len).sum();
        Ok(Matching { lists, total })
    }

    /// The rows of the page that is bound for.
    pub fn page(&self, query: &Query) -> Result<Vec<RowLocation>, Error> {
        page::page(&self.lists, self.total, query)
    }

    /// How many there are from each instant on and before the next.
    pub fn histogram(&self, instants: &[Time]) -> Result<Vec<u64>, Error> {
        let mut counts = vec![0; instants.len().saturating_sub(1)];
        for list in &self.lists {
            let (mut before, mut locator) = (None, None);
            for (position, instant) in instants.iter().enumerate() {
                let found = list.before((instant.unix_ns(), 0), &mut locator)?;
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
        let TopValues { values, without } = most(&self.lists, parts, dimension, active, limit)?;
        let counted: u64 = values.iter().map(|(_, count)| count).sum();
        // Metrics that contradict each other come from damage that no checksum shows.
        let others = self.total.checked_sub(without + counted).ok_or_else(shorter)?;
        Ok(Top { values, others, without, total: self.total, tree_size: parts.len })
    }
}
