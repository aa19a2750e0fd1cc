//! The most frequent values of a dimension among the matches, with exact counts.
//!
//! Each segment counts by its own ordinals, so that only the values in question are read. The most
//! frequent values of each segment are looked up in all others. Their totals bound the count that
//! any other value may have in a segment without belonging to the result. Values above that bound
//! are looked up as well.

use std::cmp::Reverse;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BinaryHeap};
use std::ops::Range;

use event::query::Dimension;

use crate::engine::list::{Kind, List};
use crate::engine::prepared_query::{Parts, RowLocation};
use crate::error::Error;
use crate::hash::Map;
use crate::segment::counters::Counters;
use crate::segment::packed::Room;
use crate::segment::segment::Segment;

/// Counting this many rows one by one costs about as much as counting the rows of one value within
/// a range. Fewer in test builds, so that their few rows take both paths.
const ROWS_A_VALUE: usize = if cfg!(debug_assertions) { 1 } else { 4096 };
/// Up to this many values are looked up one by one in each segment; beyond, all values of all
/// segments are read. Fewer in test builds, so that their few values take both paths.
const LOOKED_UP_MAX: usize = if cfg!(debug_assertions) { 8 } else { 8192 };

/// Values and counts, most frequent first.
pub(super) struct TopValues {
    pub values: Vec<(String, u64)>,
    /// Rows without a value.
    pub without: u64,
}

/// Finds the most frequent values; equal counts are ordered by bytes. `active` are the counts of
/// the active memtable.
pub(super) fn most(
    lists: &[List<'_>],
    parts: &Parts<'_>,
    dimension: Dimension,
    active: &[(Option<String>, u64)],
    limit: usize,
) -> Result<TopValues, Error> {
    let tally = Tally::of(lists, parts, dimension, active)?;
    let mut found = BTreeMap::new();
    let left = tally.find_first(limit, &mut found)?;
    let mut counts: Vec<u64> = found.values().copied().collect();
    let least = match limit.checked_sub(1).filter(|last| *last < counts.len()) {
        Some(last) => *counts.select_nth_unstable_by_key(last, |count| Reverse(*count)).1,
        None => 0,
    };
    // A value that was not looked up has at most `left` rows in each part, and at least `least` in
    // all if it belongs to the result. So in some part it has more than that part's share of `least
    // - 1`.
    let sum: u64 = left.iter().sum();
    if limit > 0 && sum > 0 && sum >= least {
        let share = |left: &u64| {
            (u128::from(*left) * u128::from(least.saturating_sub(1)) / u128::from(sum)) as u64
        };
        let bounds: Vec<u64> = left.iter().map(share).collect();
        if !tally.find_above(&bounds, &mut found)? {
            found = tally.all()?;
        }
    }
    let mut values: Vec<(String, u64)> = found.into_iter().collect();
    // Values with equal counts stay in order of their bytes.
    values.sort_by_key(|(_, count)| Reverse(*count));
    values.truncate(limit);
    Ok(TopValues { values, without: tally.without })
}

/// Values with their counts.
type ValueCounts = BTreeMap<String, u64>;

/// Counts by value: of each segment with matches, and of all memtables together.
struct Tally<'a> {
    segments: Vec<Counts<'a>>,
    newest: Map<&'a str, u64>,
    without: u64,
}

impl<'a> Tally<'a> {
    fn of(
        lists: &[List<'_>],
        parts: &'a Parts<'_>,
        dimension: Dimension,
        active: &'a [(Option<String>, u64)],
    ) -> Result<Tally<'a>, Error> {
        let mut tally = Tally { segments: Vec::new(), newest: Map::default(), without: 0 };
        active.iter().for_each(|(value, count)| tally.add(value.as_deref(), *count));
        // Lists of one part are adjacent.
        for of_part in lists.chunk_by(|list, next| list.part == next.part) {
            match of_part[0].part {
                RowLocation::Segment(position, _) => {
                    let mut counts = Counts::new(&parts.segments[position], dimension)?;
                    of_part.iter().try_for_each(|list| counts.add(list))?;
                    tally.without += counts.by_ordinal.get(0);
                    tally.segments.push(counts);
                }
                RowLocation::Memtable(position, _) => {
                    let slices = of_part.iter().filter_map(|list| match &list.kind {
                        Kind::Memtable(slice) => Some(slice),
                        _ => None,
                    });
                    let rows = slices.flat_map(|slice| (0..slice.len()).map(|at| slice.row(at)));
                    for (value, count) in parts.memtables[position].counts(dimension, rows) {
                        tally.add(value, count);
                    }
                }
                RowLocation::Active(..) => {}
            }
        }
        Ok(tally)
    }

    fn add(&mut self, value: Option<&'a str>, count: u64) {
        match value {
            Some(value) => *self.newest.entry(value).or_default() += count,
            None => self.without += count,
        }
    }

    fn look_up(&self, value: String, found: &mut ValueCounts) -> Result<(), Error> {
        if let Entry::Vacant(slot) = found.entry(value) {
            let value = slot.key();
            let mut count = self.newest.get(&**value).copied().unwrap_or(0);
            for segment in &self.segments {
                count += segment.of(value)?;
            }
            slot.insert(count);
        }
        Ok(())
    }

    /// Looks up the `limit` most frequent values of each part. Returns for each part, the memtables
    /// last, the most rows that any other value has there.
    fn find_first(&self, limit: usize, found: &mut ValueCounts) -> Result<Vec<u64>, Error> {
        let mut left = Vec::with_capacity(self.segments.len() + 1);
        for segment in &self.segments {
            let mut first = Largest::new(limit);
            segment.each_above(0, &mut |ordinal, count| first.push(count, ordinal));
            let (most, next) = first.finish();
            most.into_iter()
                .try_for_each(|(_, ordinal)| self.look_up(segment.value(ordinal)?, found))?;
            left.push(next);
        }
        let mut first = Largest::new(limit);
        for (value, count) in &self.newest {
            first.push(*count, *value);
        }
        let (most, next) = first.finish();
        most.into_iter().try_for_each(|(_, value)| self.look_up(value.to_owned(), found))?;
        left.push(next);
        Ok(left)
    }

    /// Looks up the values above the bound of some part. Returns false when they are too many for
    /// that.
    fn find_above(&self, bounds: &[u64], found: &mut ValueCounts) -> Result<bool, Error> {
        let mut above: Vec<(&Counts<'_>, u64)> = Vec::new();
        for (segment, bound) in self.segments.iter().zip(bounds) {
            segment.each_above(*bound, &mut |ordinal, _| {
                if above.len() <= LOOKED_UP_MAX {
                    above.push((segment, ordinal));
                }
                *bound
            });
        }
        let bound = bounds[self.segments.len()];
        let newest: Vec<&str> = self
            .newest
            .iter()
            .filter(|(_, count)| **count > bound)
            .map(|(value, _)| *value)
            .collect();
        if above.len() + newest.len() > LOOKED_UP_MAX {
            return Ok(false);
        }
        above
            .into_iter()
            .try_for_each(|(segment, ordinal)| self.look_up(segment.value(ordinal)?, found))?;
        newest.into_iter().try_for_each(|value| self.look_up(value.to_owned(), found))?;
        Ok(true)
    }

    /// All values. Reads every one of them.
    fn all(&self) -> Result<ValueCounts, Error> {
        let mut found: ValueCounts =
            self.newest.iter().map(|(value, count)| ((*value).to_owned(), *count)).collect();
        for segment in &self.segments {
            segment.each(&mut |value, count| *found.entry(value).or_default() += count)?;
        }
        Ok(found)
    }
}

/// The `limit` largest items, and the largest count of any other.
struct Largest<T> {
    limit: usize,
    first: BinaryHeap<Reverse<(u64, T)>>,
    next: u64,
}

impl<T: Ord> Largest<T> {
    fn new(limit: usize) -> Largest<T> {
        Largest { limit, first: BinaryHeap::new(), next: 0 }
    }

    /// Returns the count up to which further items do not matter.
    fn push(&mut self, count: u64, value: T) -> u64 {
        if self.first.len() < self.limit || count > self.next {
            self.first.push(Reverse((count, value)));
            if self.first.len() > self.limit
                && let Some(Reverse((least, _))) = self.first.pop()
            {
                self.next = self.next.max(least);
            }
        }
        if self.first.len() < self.limit { 0 } else { self.next }
    }

    fn finish(self) -> (Vec<(u64, T)>, u64) {
        (self.first.into_iter().map(|Reverse(one)| one).collect(), self.next)
    }
}

/// Counts of a segment's rows by value of a dimension.
struct Counts<'a> {
    segment: &'a Segment,
    dimension: Dimension,
    /// By ordinal plus one; 0 counts the rows without a value.
    by_ordinal: Counters,
    room: Room,
}

impl<'a> Counts<'a> {
    fn new(segment: &'a Segment, dimension: Dimension) -> Result<Counts<'a>, Error> {
        let values = segment.terms(dimension).len()? as usize;
        Ok(Counts {
            segment,
            dimension,
            by_ordinal: Counters::new(values + 1),
            room: Room::default(),
        })
    }

    fn add(&mut self, list: &List<'_>) -> Result<(), Error> {
        if let Kind::Range(rows) = &list.kind
            && (rows.end - rows.start) as usize > ROWS_A_VALUE * self.by_ordinal.len()
        {
            return self.add_ranks(rows.clone());
        }
        let mut column = self.segment.column(self.dimension);
        let malformed = || self.segment.terms(self.dimension).malformed();
        let Counts { by_ordinal, room, .. } = self;
        let mut count = |row: u32| {
            by_ordinal.add(column.get(row)?.cast_unsigned() as usize).ok_or_else(malformed)
        };
        match &list.kind {
            Kind::Range(rows) => {
                let mut is_known = true;
                column.each_block(rows.clone(), &mut |_, packed, positions| {
                    is_known &= packed.tally(positions, room, by_ordinal).is_some();
                })?;
                if is_known { Ok(()) } else { Err(malformed()) }
            }
            Kind::Value(rows, opened) => opened.within(rows.clone())?.iter().try_for_each(count),
            Kind::Set(rows) => rows.iter().try_for_each(count),
            Kind::Few(rows, part) => rows[part.clone()].iter().try_for_each(|row| count(*row)),
            Kind::Memtable(_) => Ok(()),
        }
    }

    /// Counts the rows of each value within a range.
    fn add_ranks(&mut self, rows: Range<u32>) -> Result<(), Error> {
        let terms = self.segment.terms(self.dimension);
        let by_ordinal = &mut self.by_ordinal;
        let mut left = u64::from(rows.end - rows.start);
        terms.each_of(0..by_ordinal.len() as u64 - 1, &mut |ordinal, _, slot| {
            let opened = terms.rows(slot).open()?;
            let count = opened.rank(rows.end)?.saturating_sub(opened.rank(rows.start)?);
            by_ordinal.add_many(ordinal as usize + 1, count).ok_or_else(|| terms.malformed())?;
            left = left.checked_sub(count).ok_or_else(|| terms.malformed())?;
            Ok(())
        })?;
        by_ordinal.add_many(0, left).ok_or_else(|| terms.malformed())
    }

    /// Calls `each` with ordinal and count of every value above `bound`. `each` returns the bound
    /// for the rest.
    fn each_above(&self, bound: u64, each: &mut dyn FnMut(u64, u64) -> u64) {
        let mut bound = bound;
        self.by_ordinal.each_above(bound, &mut |slot, count| {
            // Rows without a value are counted apart.
            if let Some(ordinal) = slot.checked_sub(1) {
                bound = each(ordinal as u64, count);
            }
            bound
        });
    }

    /// Number of rows with this value.
    fn of(&self, value: &str) -> Result<u64, Error> {
        let found = self.segment.terms(self.dimension).find(value.as_bytes())?;
        Ok(found.map_or(0, |term| self.by_ordinal.get(term.ordinal as usize + 1)))
    }

    fn value(&self, ordinal: u64) -> Result<String, Error> {
        self.segment.value(self.dimension, ordinal)
    }

    /// Calls `each` with every value that occurs, and its count.
    fn each(&self, each: &mut dyn FnMut(String, u64)) -> Result<(), Error> {
        let mut ordinals = Vec::new();
        self.each_above(0, &mut |ordinal, count| {
            ordinals.push((ordinal, count));
            0
        });
        for (ordinal, count) in ordinals {
            each(self.value(ordinal)?, count);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_are_retained_with_a_bound_for_the_others() {
        let mut largest = Largest::new(2);
        let bounds: Vec<u64> = [(3, "a"), (1, "b"), (5, "c"), (2, "d")]
            .map(|(count, value)| largest.push(count, value))
            .into();
        assert_eq!(bounds, [0, 0, 1, 2]);
        let (mut found, next) = largest.finish();
        found.sort_unstable();
        assert_eq!((found, next), (vec![(3, "a"), (5, "c")], 2));
    }

    #[test]
    fn nothing_is_retained_without_a_limit() {
        let mut largest = Largest::new(0);
        largest.push(4, "a");
        assert_eq!(largest.finish(), (Vec::new(), 4));
    }
}
