//! Finds what matches a query in all parts of the log, and derives pages, histograms and top
//! values.

use event::Time;
use event::query::{Dimension, Query, Top};

use crate::engine::condition::Conditions;
use crate::engine::list::{List, list_by_time, list_is_short, list_of_run, lists_of_few};
use crate::engine::page;
use crate::engine::prepared_query::{Parts, PreparedQuery, RowLocation};
use crate::engine::top::{TopValues, most};
use crate::error::Error;
use crate::work;

/// Up to this many rows for each trail, the trail of each row is looked up, instead of the rows of
/// each trail.
const FEW_ROWS_A_TRAIL: u64 = 4;

/// The filters of a query in terms of each segment that it needs, with the segment's position. Of
/// the others nothing is read.
pub(crate) fn conditions<'a>(
    parts: &Parts<'a>,
    prepared: &PreparedQuery<'_>,
) -> Result<Vec<(usize, Conditions<'a>)>, Error> {
    let query = prepared.query;
    let tree_size = parts.tree_size(query);
    let mut conditions = Vec::with_capacity(parts.segments.len());
    for (position, segment) in parts.segments.iter().enumerate() {
        if prepared.needs(segment, tree_size)? {
            conditions.push((position, Conditions::of(segment, &query.filters, tree_size)?));
        }
    }
    Ok(conditions)
}

/// How to find the matches in a segment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// Trail by trail.
    Trail,
    /// In order of time for all trails at once, where the segment has that order.
    Time,
}

/// The matches, part by part.
pub(crate) struct Matches<'a> {
    lists: Vec<List<'a>>,
    pub total: u64,
}

impl<'a> Matches<'a> {
    /// Finds the matches. The conditions must be those of the same parts and query.
    pub fn of(
        parts: &Parts<'a>,
        conditions: &'a [(usize, Conditions<'a>)],
        prepared: &PreparedQuery<'_>,
        by: By,
    ) -> Result<Matches<'a>, Error> {
        let mut lists = Vec::new();
        for (position, conditions) in conditions {
            work::check()?;
            let position = *position;
            if !conditions.can_match() {
                continue;
            }
            if by == By::Time
                && let Some(list) = list_by_time(conditions, position, prepared)?
            {
                lists.push(list);
                continue;
            }
            if conditions.rows_max() <= FEW_ROWS_A_TRAIL * prepared.trails.len() as u64 {
                lists_of_few(conditions, position, prepared, &mut lists)?;
            } else {
                let mut locator = conditions.segment.locator();
                for trail in &prepared.trails {
                    if let Some(run) = conditions.segment.run(trail)
                        && prepared.overlaps(run.earliest_ns, run.latest_ns)
                    {
                        lists.push(list_of_run(
                            conditions,
                            position,
                            run,
                            &mut locator,
                            prepared.query,
                        )?);
                    }
                }
            }
        }
        let tree_size = parts.tree_size(prepared.query);
        for (position, memtable) in parts.memtables.iter().enumerate() {
            work::check()?;
            let bound = memtable.bind(prepared.query, tree_size);
            for trail in &prepared.trails {
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
        Ok(Matches { lists, total })
    }

    /// The rows of the requested page.
    pub fn page(&self, query: &Query) -> Result<Vec<RowLocation>, Error> {
        page::page(&self.lists, self.total, query)
    }

    /// Number of matches from each instant on and before the next.
    pub fn histogram(&self, instants: &[Time]) -> Result<Vec<u64>, Error> {
        let mut counts = vec![0; instants.len().saturating_sub(1)];
        for list in &self.lists {
            let (mut before, mut locator) = (None, None);
            for (position, instant) in instants.iter().enumerate() {
                let found = list.before((instant.unix_ns(), 0), &mut locator)?;
                if let Some(before) = before.replace(found) {
                    // Instants may repeat; they do not go back.
                    counts[position - 1] += found.saturating_sub(before);
                }
            }
        }
        Ok(counts)
    }

    /// The most frequent values of a dimension among the matches, which must have been found
    /// [`By::Trail`]. `active` are the counts of the active memtable.
    pub fn top(
        &self,
        parts: &Parts<'_>,
        dimension: Dimension,
        active: &[(Option<String>, u64)],
        limit: usize,
    ) -> Result<Top, Error> {
        let TopValues { values, without } = most(&self.lists, parts, dimension, active, limit)?;
        let counted: u64 = values.iter().map(|(_, count)| count).sum();
        // Counts that contradict each other come from damage that no checksum shows.
        let others = self.total.checked_sub(without + counted).ok_or_else(list_is_short)?;
        Ok(Top { values, others, without, total: self.total, tree_size: parts.len })
    }
}
