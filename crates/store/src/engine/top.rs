//! The most frequent values of a dimension among the matches, with exact counts, in bounded memory.
//!
//! Each segment counts by its own ordinals, so that only the values in question are read. The most
//! frequent values of each segment are looked up in all others. Their totals bound the count that
//! any other value may have in a segment without belonging to the result. Values above that bound
//! are looked up as well.
//!
//! Where these are too many, the dictionaries of all parts are merged: they are in order of the
//! values' bytes, so each value is complete when it comes, and only the most frequent so far are
//! held. Where not even the counters fit into the memory for them, the values are divided into
//! ranges, and the rows are counted once for each range.

use std::cmp::{Ordering, Reverse};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BinaryHeap};
use std::ops::Range;

use event::query::Dimension;

use crate::engine::list::{Kind, List};
use crate::engine::prepared_query::{Parts, RowLocation};
use crate::error::Error;
use crate::hash::Map;
use crate::segment::counters::{COUNTER_BYTES, Counters};
use crate::segment::packed::Room;
use crate::segment::segment::Segment;
use crate::segment::terms::Cursor;
use crate::work;

/// Counting this many rows one by one costs about as much as counting the rows of one value within
/// a range. Fewer in test builds, so that their few rows take both paths.
const ROWS_A_VALUE: usize = if cfg!(debug_assertions) { 1 } else { 4096 };
/// Up to this many values are looked up one by one in each segment; beyond, all values of all
/// segments are read. Fewer in test builds, so that their few values take both paths.
const LOOKED_UP_MAX: usize = if cfg!(debug_assertions) { 8 } else { 8192 };
/// Bytes of the texts of an answer; an event's value may be as long as the event.
const TEXTS_BYTES_MAX: usize = 8 << 20;
/// Bytes of a value that was looked up, beside its text.
const LOOKED_UP_BYTES: usize = 64;

/// Values and counts, most frequent first.
#[derive(Debug, PartialEq, Eq)]
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
    let newest = Newest::of(lists, parts, dimension, active);
    let segments = SegmentLists::of(lists, parts, dimension)?;
    let bytes_max = work::counting_bytes_max();
    let values: u64 = segments.iter().map(|one| one.values).sum();
    if values as usize * COUNTER_BYTES > bytes_max {
        return by_ranges(&segments, &newest, limit, bytes_max);
    }
    let tally = Tally::of(&segments, &newest, None)?;
    let values = match tally.look_up_most(limit, bytes_max)? {
        Some(values) => values,
        None => {
            let mut merge = Merge::new(limit);
            merge.take(&tally)?;
            merge.finish(&segments, &newest)?
        }
    };
    if values.iter().map(|(value, _)| value.len()).sum::<usize>() > TEXTS_BYTES_MAX {
        return Err(Error::NoRoom);
    }
    Ok(TopValues { values, without: tally.without + newest.without })
}

/// Counts range by range of values, each as wide as fits into `bytes_max`.
fn by_ranges(
    segments: &[SegmentLists<'_, '_>],
    newest: &Newest<'_>,
    limit: usize,
    bytes_max: usize,
) -> Result<TopValues, Error> {
    let (mut merge, mut without) = (Merge::new(limit), newest.without);
    let whole = ValueRange {
        ordinals: segments.iter().map(|one| 0..one.values).collect(),
        newest: 0..newest.counts.len(),
    };
    // The next range is the last.
    let mut ranges = vec![whole];
    while let Some(range) = ranges.pop() {
        let widest = range.ordinals.iter().enumerate().max_by_key(|(_, one)| one.end - one.start);
        let (widest, width) = widest.map_or((0, 0), |(at, one)| (at, one.end - one.start));
        let values: u64 = range.ordinals.iter().map(|one| one.end - one.start).sum();
        if width > 1 && values as usize * COUNTER_BYTES > bytes_max {
            let (low, high) = range.split(segments, newest, widest)?;
            ranges.extend([high, low]);
            continue;
        }
        let is_first = range.ordinals.iter().all(|one| one.start == 0);
        let tally = Tally::of(segments, newest, Some(&range))?;
        without += if is_first { tally.without } else { 0 };
        merge.take(&tally)?;
    }
    Ok(TopValues { values: merge.finish(segments, newest)?, without })
}

/// A range of values: their ordinals in each segment, and their positions in the memtables' counts.
struct ValueRange {
    ordinals: Vec<Range<u64>>,
    newest: Range<usize>,
}

impl ValueRange {
    /// Divides the range at the middle of that of the segment at `widest`.
    fn split(
        &self,
        segments: &[SegmentLists<'_, '_>],
        newest: &Newest<'_>,
        widest: usize,
    ) -> Result<(ValueRange, ValueRange), Error> {
        let of = &self.ordinals[widest];
        let middle = of.start + (of.end - of.start) / 2;
        let value = segments[widest].segment.value(segments[widest].dimension, middle)?;
        let (mut low, mut high) = (Vec::new(), Vec::new());
        for (position, (one, ordinals)) in segments.iter().zip(&self.ordinals).enumerate() {
            let bound = match position == widest {
                true => middle,
                false => one.segment.terms(one.dimension).lower_bound(value.as_bytes())?,
            };
            let bound = bound.clamp(ordinals.start, ordinals.end);
            low.push(ordinals.start..bound);
            high.push(bound..ordinals.end);
        }
        let bound = newest.counts.partition_point(|(one, _)| **one < *value);
        let bound = bound.clamp(self.newest.start, self.newest.end);
        Ok((
            ValueRange { ordinals: low, newest: self.newest.start..bound },
            ValueRange { ordinals: high, newest: bound..self.newest.end },
        ))
    }
}

/// Counts by value of all memtables together, in order of the values.
struct Newest<'a> {
    counts: Vec<(&'a str, u64)>,
    without: u64,
}

impl<'a> Newest<'a> {
    fn of(
        lists: &[List<'_>],
        parts: &'a Parts<'_>,
        dimension: Dimension,
        active: &'a [(Option<String>, u64)],
    ) -> Newest<'a> {
        let (mut counts, mut without) = (Map::default(), 0);
        let mut add = |value: Option<&'a str>, count: u64| match value {
            Some(value) => *counts.entry(value).or_default() += count,
            None => without += count,
        };
        active.iter().for_each(|(value, count)| add(value.as_deref(), *count));
        // Lists of one part are adjacent.
        for of_part in lists.chunk_by(|list, next| list.part == next.part) {
            let RowLocation::Memtable(position, _) = of_part[0].part else { continue };
            let slices = of_part.iter().filter_map(|list| match &list.kind {
                Kind::Memtable(slice) => Some(slice),
                _ => None,
            });
            let rows = slices.flat_map(|slice| (0..slice.len()).map(|at| slice.row(at)));
            for (value, count) in parts.memtables[position].counts(dimension, rows) {
                add(value, count);
            }
        }
        let mut counts: Vec<(&str, u64)> = counts.into_iter().collect();
        counts.sort_unstable();
        Newest { counts, without }
    }

    fn count(&self, value: &str) -> u64 {
        let found = self.counts.binary_search_by_key(&value, |(one, _)| one);
        found.map_or(0, |position| self.counts[position].1)
    }
}

/// The matches of one segment.
struct SegmentLists<'s, 'l> {
    segment: &'s Segment,
    dimension: Dimension,
    lists: &'s [List<'l>],
    /// Number of values that the segment has.
    values: u64,
}

impl<'s, 'l> SegmentLists<'s, 'l> {
    /// The matches of each segment that has any.
    fn of(
        lists: &'s [List<'l>],
        parts: &'s Parts<'_>,
        dimension: Dimension,
    ) -> Result<Vec<SegmentLists<'s, 'l>>, Error> {
        let mut segments = Vec::new();
        for lists in lists.chunk_by(|list, next| list.part == next.part) {
            if let RowLocation::Segment(position, _) = lists[0].part {
                let segment: &Segment = &parts.segments[position];
                let values = segment.terms(dimension).len()?;
                segments.push(SegmentLists { segment, dimension, lists, values });
            }
        }
        Ok(segments)
    }
}

/// Values with their counts.
#[derive(Default)]
struct ValueCounts {
    counts: BTreeMap<String, u64>,
    bytes: usize,
}

/// Counts by value: of each segment with matches, and of all memtables together.
struct Tally<'a> {
    segments: Vec<Counts<'a>>,
    newest: &'a Newest<'a>,
    /// The positions of the counted values among those of the memtables.
    positions: Range<usize>,
    /// Rows of segments without a value.
    without: u64,
}

impl<'a> Tally<'a> {
    /// Counts the values of a range, or all.
    fn of(
        segments: &[SegmentLists<'a, '_>],
        newest: &'a Newest<'a>,
        range: Option<&ValueRange>,
    ) -> Result<Tally<'a>, Error> {
        let all = 0..newest.counts.len();
        let positions = range.map_or(all, |range| range.newest.clone());
        let mut tally = Tally { segments: Vec::new(), newest, positions, without: 0 };
        for (position, of) in segments.iter().enumerate() {
            let mut counts = Counts::of(of, range.map(|range| range.ordinals[position].clone()));
            of.lists.iter().try_for_each(|list| counts.add(list))?;
            tally.without += counts.without();
            tally.segments.push(counts);
        }
        Ok(tally)
    }

    fn newest(&self) -> &'a [(&'a str, u64)] {
        &self.newest.counts[self.positions.clone()]
    }

    /// The most frequent values, by looking up those in question; `None` when these are too many.
    /// The tally must be of all values.
    fn look_up_most(
        &self,
        limit: usize,
        bytes_max: usize,
    ) -> Result<Option<Vec<(String, u64)>>, Error> {
        let mut found = ValueCounts::default();
        let Some(left) = self.find_first(limit, bytes_max, &mut found)? else { return Ok(None) };
        let mut counts: Vec<u64> = found.counts.values().copied().collect();
        let least = match limit.checked_sub(1).filter(|last| *last < counts.len()) {
            Some(last) => *counts.select_nth_unstable_by_key(last, |count| Reverse(*count)).1,
            None => 0,
        };
        // A value that was not looked up has at most `left` rows in each part, and at least `least`
        // in all if it belongs to the result. So in some part it has more than that part's share of
        // `least - 1`.
        let sum: u64 = left.iter().sum();
        if limit > 0 && sum > 0 && sum >= least {
            let share = |left: &u64| {
                (u128::from(*left) * u128::from(least.saturating_sub(1)) / u128::from(sum)) as u64
            };
            let bounds: Vec<u64> = left.iter().map(share).collect();
            if !self.find_above(&bounds, bytes_max, &mut found)? {
                return Ok(None);
            }
        }
        let mut values: Vec<(String, u64)> = found.counts.into_iter().collect();
        // Values with equal counts stay in order of their bytes.
        values.sort_by_key(|(_, count)| Reverse(*count));
        values.truncate(limit);
        Ok(Some(values))
    }

    fn look_up(&self, value: String, found: &mut ValueCounts) -> Result<(), Error> {
        let bytes = value.len() + LOOKED_UP_BYTES;
        if let Entry::Vacant(slot) = found.counts.entry(value) {
            let value = slot.key();
            let mut count = self.newest.count(value);
            for segment in &self.segments {
                count += segment.count_of(value)?;
            }
            slot.insert(count);
            found.bytes += bytes;
        }
        Ok(())
    }

    /// Looks up the `limit` most frequent values of each part. Returns for each part, the memtables
    /// last, the most rows that any other value has there; `None` when the values found take more
    /// than `bytes_max`.
    fn find_first(
        &self,
        limit: usize,
        bytes_max: usize,
        found: &mut ValueCounts,
    ) -> Result<Option<Vec<u64>>, Error> {
        let mut left = Vec::with_capacity(self.segments.len() + 1);
        for segment in &self.segments {
            let mut first = Largest::new(limit);
            segment.each_above(0, &mut |ordinal, count| first.push(count, ordinal));
            let (most, next) = first.finish();
            for (_, ordinal) in most {
                if found.bytes > bytes_max {
                    return Ok(None);
                }
                self.look_up(segment.value(ordinal)?, found)?;
            }
            left.push(next);
        }
        let mut first = Largest::new(limit);
        for (value, count) in self.newest() {
            first.push(*count, *value);
        }
        let (most, next) = first.finish();
        for (_, value) in most {
            if found.bytes > bytes_max {
                return Ok(None);
            }
            self.look_up(value.to_owned(), found)?;
        }
        left.push(next);
        Ok(Some(left))
    }

    /// Looks up the values above the bound of some part. Returns false when they are too many for
    /// that.
    fn find_above(
        &self,
        bounds: &[u64],
        bytes_max: usize,
        found: &mut ValueCounts,
    ) -> Result<bool, Error> {
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
        let newest = self.newest().iter().filter(|(_, count)| *count > bound);
        let newest: Vec<&str> = newest.map(|(value, _)| *value).take(LOOKED_UP_MAX + 1).collect();
        if above.len() + newest.len() > LOOKED_UP_MAX {
            return Ok(false);
        }
        for (segment, ordinal) in above {
            if found.bytes > bytes_max {
                return Ok(false);
            }
            self.look_up(segment.value(ordinal)?, found)?;
        }
        newest.into_iter().try_for_each(|value| self.look_up(value.to_owned(), found))?;
        Ok(found.bytes <= bytes_max)
    }
}

/// The most frequent of the values that come in order of their bytes.
struct Merge {
    /// Each by its order among all, so that the first of equal counts stays, and by where to read
    /// it.
    largest: Largest<(Reverse<u64>, ValueSource)>,
    values: u64,
}

/// Where to read a value.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum ValueSource {
    /// A segment's value by its ordinal.
    Segment(usize, u64),
    /// A position in the memtables' counts.
    Newest(usize),
}

impl Merge {
    fn new(limit: usize) -> Merge {
        Merge { largest: Largest::new(limit), values: 0 }
    }

    /// Takes the values of a tally, which come after those taken before.
    fn take(&mut self, tally: &Tally<'_>) -> Result<(), Error> {
        let mut readers: Vec<CountsReader<'_, '_>> =
            tally.segments.iter().map(CountsReader::of).collect();
        let mut next: BinaryHeap<Reverse<(Vec<u8>, usize)>> = BinaryHeap::new();
        for (position, reader) in readers.iter_mut().enumerate() {
            next.extend(reader.next()?.map(|value| Reverse((value, position))));
        }
        let mut newest = tally.newest().iter().zip(tally.positions.clone()).peekable();
        loop {
            let order = match (next.peek(), newest.peek()) {
                (None, None) => return Ok(()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(Reverse((one, _))), Some(((other, _), _))) => one[..].cmp(other.as_bytes()),
            };
            let (mut count, mut source) = (0, None);
            if order.is_le()
                && let Some(Reverse((value, first))) = next.pop()
            {
                source = Some(readers[first].source(first));
                let mut same = Some(first);
                while let Some(position) = same {
                    count += readers[position].count;
                    let after = readers[position].next()?;
                    next.extend(after.map(|value| Reverse((value, position))));
                    let is_same = next.peek().is_some_and(|Reverse((other, _))| *other == value);
                    same = if is_same { next.pop().map(|Reverse((_, one))| one) } else { None };
                }
            }
            if order.is_ge()
                && let Some(((_, of_newest), position)) = newest.next()
            {
                source = Some(ValueSource::Newest(position));
                count += of_newest;
            }
            if let Some(source) = source {
                self.largest.push(count, (Reverse(self.values), source));
                self.values += 1;
            }
        }
    }

    /// Reads the most frequent values.
    fn finish(
        self,
        segments: &[SegmentLists<'_, '_>],
        newest: &Newest<'_>,
    ) -> Result<Vec<(String, u64)>, Error> {
        let (mut most, _) = self.largest.finish();
        most.sort_unstable_by_key(|(count, (order, _))| (Reverse(*count), Reverse(*order)));
        let mut left = TEXTS_BYTES_MAX;
        let mut values = Vec::with_capacity(most.len());
        for (count, (_, source)) in most {
            let value = match source {
                ValueSource::Newest(position) => newest.counts[position].0.to_owned(),
                ValueSource::Segment(position, ordinal) => {
                    let SegmentLists { segment, dimension, .. } = segments[position];
                    segment.value(dimension, ordinal)?
                }
            };
            left = left.checked_sub(value.len()).ok_or(Error::NoRoom)?;
            values.push((value, count));
        }
        Ok(values)
    }
}

/// Reads the values of a segment that were counted, in order of their bytes.
struct CountsReader<'c, 'a> {
    counts: &'c Counts<'a>,
    cursor: Cursor<'a>,
    /// The slot behind that of the value read last, and its count.
    slot: usize,
    count: u64,
}

/// Values between two that were counted which are read rather than skipped: about half a block.
const READ_OVER_MAX: u64 = 64;

impl<'c, 'a> CountsReader<'c, 'a> {
    fn of(counts: &'c Counts<'a>) -> CountsReader<'c, 'a> {
        let cursor = Cursor::at(counts.segment.terms(counts.dimension), 0);
        CountsReader { counts, cursor, slot: 1, count: 0 }
    }

    /// Where the value read last is.
    fn source(&self, segment: usize) -> ValueSource {
        ValueSource::Segment(segment, self.counts.first + self.slot as u64 - 2)
    }

    /// The next value that occurs.
    fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        let by_ordinal = &self.counts.by_ordinal;
        let Some(slot) = (self.slot..by_ordinal.len()).find(|slot| by_ordinal.get(*slot) > 0)
        else {
            return Ok(None);
        };
        (self.slot, self.count) = (slot + 1, by_ordinal.get(slot));
        let ordinal = self.counts.first + slot as u64 - 1;
        if ordinal - self.cursor.ordinal > READ_OVER_MAX {
            self.cursor = Cursor::at(self.counts.segment.terms(self.counts.dimension), ordinal);
        }
        while self.cursor.ordinal <= ordinal {
            if self.cursor.next()?.is_none() {
                return Err(self.counts.malformed());
            }
        }
        Ok(Some(self.cursor.value.clone()))
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

/// Counts of a segment's rows by value of a dimension, for the values of a range or for all.
struct Counts<'s> {
    segment: &'s Segment,
    dimension: Dimension,
    /// Number of values that the segment has.
    values: u64,
    /// The ordinal of the first value of the range.
    first: u64,
    /// By ordinal from `first` on, plus one; 0 counts the rows without a value.
    by_ordinal: Counters,
    is_of_all: bool,
    room: Room,
}

impl<'s> Counts<'s> {
    /// Counters for the values with these ordinals, or for all.
    fn of(of: &SegmentLists<'s, '_>, ordinals: Option<Range<u64>>) -> Counts<'s> {
        let SegmentLists { segment, dimension, values, .. } = *of;
        let is_of_all = ordinals.is_none();
        let Range { start: first, end } = ordinals.unwrap_or(0..values);
        let by_ordinal = Counters::new((end - first) as usize + 1);
        let room = Room::default();
        Counts { segment, dimension, values, first, by_ordinal, is_of_all, room }
    }

    fn add(&mut self, list: &List<'_>) -> Result<(), Error> {
        match &list.kind {
            Kind::Range(rows) if self.is_of_all => self.add_range(rows.clone()),
            Kind::Range(rows) => self.add_range_within(rows.clone()),
            Kind::Value(rows, opened) => self.add_rows(opened.within(rows.clone())?.iter()),
            Kind::Set(rows) => self.add_rows(rows.iter()),
            Kind::Few(rows, part) => self.add_rows(rows[part.clone()].iter().copied()),
            Kind::Memtable(_) => Ok(()),
        }
    }

    fn add_range(&mut self, rows: Range<u32>) -> Result<(), Error> {
        if (rows.end - rows.start) as usize > ROWS_A_VALUE * self.by_ordinal.len() {
            return self.add_ranks(rows);
        }
        let column = self.segment.column(self.dimension);
        let Counts { by_ordinal, room, .. } = self;
        let mut is_known = true;
        column.each_block(rows, &mut |_, packed, positions| {
            is_known &= packed.tally(positions, room, by_ordinal).is_some();
        })?;
        if is_known { Ok(()) } else { Err(self.malformed()) }
    }

    fn add_range_within(&mut self, rows: Range<u32>) -> Result<(), Error> {
        let column = self.segment.column(self.dimension);
        let mut is_known = true;
        column.each_block(rows, &mut |_, packed, positions| {
            for value in packed.range(positions) {
                is_known &= self.count(value.cast_unsigned()).is_some();
            }
        })?;
        if is_known { Ok(()) } else { Err(self.malformed()) }
    }

    fn add_rows(&mut self, mut rows: impl Iterator<Item = u32>) -> Result<(), Error> {
        let mut column = self.segment.column(self.dimension);
        rows.try_for_each(|row| {
            let value = column.get(row)?.cast_unsigned();
            self.count(value).ok_or_else(|| self.malformed())
        })
    }

    /// Counts a value of the column, which is 0 or an ordinal plus one, if it is of the range.
    /// `None` when there is no such value.
    fn count(&mut self, value: u64) -> Option<()> {
        if value > self.values {
            return None;
        }
        let slot = if value == 0 { Some(0) } else { value.checked_sub(self.first) };
        match slot.filter(|slot| value == 0 || *slot > 0).map(|slot| slot as usize) {
            Some(slot) if slot < self.by_ordinal.len() => self.by_ordinal.add(slot),
            _ => Some(()),
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

    /// Rows without a value.
    fn without(&self) -> u64 {
        self.by_ordinal.get(0)
    }

    /// Calls `each` with ordinal and count of every value above `bound`. `each` returns the bound
    /// for the rest. The counts must be of all values.
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

    /// Number of rows with this value. The counts must be of all values.
    fn count_of(&self, value: &str) -> Result<u64, Error> {
        let found = self.segment.terms(self.dimension).find(value.as_bytes())?;
        Ok(found.map_or(0, |term| self.by_ordinal.get(term.ordinal as usize + 1)))
    }

    fn value(&self, ordinal: u64) -> Result<String, Error> {
        self.segment.value(self.dimension, ordinal)
    }

    fn malformed(&self) -> Error {
        self.segment.terms(self.dimension).malformed()
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
