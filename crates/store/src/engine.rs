//! Answers questions from segments and tails together.
//!
//! Each part of the log gives, for each trail asked for, a list of the rows that match, in order of time and index: a run
//! of a segment or of a tail, the rows of one value within it, or a set of rows. The total is the sum of their lengths. A
//! page is found by counting in the lists how many rows come before some moment, so that its cost does not depend on
//! how deep it is, and no row is read that is not on it.

#![allow(
    clippy::cast_possible_truncation,
    reason = "rows of a segment are fewer than 2^32; platforms have 64 bits"
)]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

use event::query::{Filter, Order, Query};
use roaring::RoaringBitmap;

use crate::Error;
use crate::segment::{Opened, Segment};
use crate::tail::{Slice, Tail};

/// The parts of the log that a question is put to, oldest first.
pub(crate) struct Parts<'a> {
    pub segments: &'a [std::sync::Arc<Segment>],
    /// Tails that grow no more.
    pub tails: Vec<&'a Tail>,
    /// What matches in the tail that grows.
    pub active: Vec<Slice<'a>>,
    /// Events in the log.
    pub len: u64,
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

/// Which rows a page has, in the order asked for.
pub(crate) struct Found {
    pub rows: Vec<Place>,
    pub total: u64,
    pub tree_size: u64,
}

/// So many rows from either end are taken one by one; a page beyond is found by counting.
const TAKEN_FROM_THE_END_MAX: u64 = 512;
/// A set with no more rows than this is looked through row by row, instead of being intersected.
const LOOKED_THROUGH_MAX: u64 = 256;

pub(crate) fn find(parts: &Parts<'_>, query: &Query) -> Result<Found, Error> {
    let tree_size = query.as_of.map_or(parts.len, |size| size.min(parts.len));
    let mut lists = Vec::new();
    for (position, trail) in query.trails.iter().enumerate() {
        // A trail named twice is one trail.
        if query.trails[..position].contains(trail) {
            continue;
        }
        for (position, segment) in parts.segments.iter().enumerate() {
            if segment.meta.first < tree_size
                && let Some(run) = segment.run(trail)
            {
                lists.push(list_of_segment(segment, position, run.start..run.end, query, tree_size)?);
            }
        }
        for (position, tail) in parts.tails.iter().enumerate() {
            if let Some(slice) = tail.matching(trail, query, tree_size) {
                lists.push(List { part: Place::Tail(position, 0), kind: Kind::Tail(slice) });
            }
        }
    }
    for (position, slice) in parts.active.iter().enumerate() {
        lists.push(List { part: Place::Active(position, 0), kind: Kind::Tail(slice.clone()) });
    }
    lists.retain(|list| list.len() > 0);
    let total: u64 = lists.iter().map(List::len).sum();
    let rows = page(&lists, total, query)?;
    Ok(Found { rows, total, tree_size })
}

/// Rows of one part that match, in order.
struct List<'a> {
    part: Place,
    kind: Kind<'a>,
}

enum Kind<'a> {
    Tail(Slice<'a>),
    /// All rows of a range.
    Range(&'a Segment, Range<u32>),
    /// The rows of a value within a range, and how many it has before the range.
    Value(&'a Segment, Range<u32>, Opened<'a>, u64, u64),
    Set(&'a Segment, RoaringBitmap),
}

impl List<'_> {
    fn len(&self) -> u64 {
        match &self.kind {
            Kind::Tail(slice) => slice.len() as u64,
            Kind::Range(_, rows) => u64::from(rows.end - rows.start),
            Kind::Value(_, _, _, _, len) => *len,
            Kind::Set(_, rows) => rows.len(),
        }
    }

    /// The row at this place of the list, counted from 0.
    fn row(&self, at: u64) -> Result<u32, Error> {
        let missing = || Error::damage("a segment", 0, "a list of rows is shorter than it was");
        match &self.kind {
            Kind::Tail(slice) => Ok(slice.row(at as usize)),
            Kind::Range(_, rows) => Ok(rows.start + at as u32),
            Kind::Value(_, _, opened, before, _) => opened.select(before + at)?.ok_or_else(missing),
            Kind::Set(_, rows) => rows.select(at as u32).ok_or_else(missing),
        }
    }

    fn position(&self, at: u64) -> Result<Position, Error> {
        let row = self.row(at)?;
        match &self.kind {
            Kind::Tail(slice) => Ok(slice.position(at as usize)),
            Kind::Range(segment, _) | Kind::Value(segment, ..) | Kind::Set(segment, _) => {
                Ok((segment.times().get(row)?, segment.indexes().get(row)?.cast_unsigned()))
            }
        }
    }

    /// How many rows come before this position.
    fn before(&self, position: Position) -> Result<u64, Error> {
        match &self.kind {
            Kind::Tail(slice) => Ok(slice.before(position) as u64),
            Kind::Range(segment, rows) => {
                Ok(u64::from(segment.lower_bound(rows.clone(), position)? - rows.start))
            }
            Kind::Value(segment, rows, opened, before, _) => {
                Ok(opened.rank(segment.lower_bound(rows.clone(), position)?)? - before)
            }
            Kind::Set(segment, rows) => {
                let (Some(first), Some(last)) = (rows.min(), rows.max()) else { return Ok(0) };
                let row = segment.lower_bound(first..last + 1, position)?;
                Ok(row.checked_sub(1).map_or(0, |row| rows.rank(row)))
            }
        }
    }

    fn place(&self, at: u64) -> Result<Place, Error> {
        let row = self.row(at)?;
        Ok(match self.part {
            Place::Segment(position, _) => Place::Segment(position, row),
            Place::Tail(position, _) => Place::Tail(position, row),
            Place::Active(position, _) => Place::Active(position, at as usize),
        })
    }
}

/// The rows of a run that match.
fn list_of_segment<'a>(
    segment: &'a Segment,
    position: usize,
    run: Range<u32>,
    query: &Query,
    tree_size: u64,
) -> Result<List<'a>, Error> {
    let bound = |time: Option<event::Time>, otherwise| match time {
        Some(time) => segment.lower_bound(run.clone(), (time.unix_ns(), 0)),
        None => Ok(otherwise),
    };
    let start = bound(query.from, run.start)?;
    let end = bound(query.until, run.end)?.max(start);
    let rows = start..end;
    let part = Place::Segment(position, 0);
    let is_whole = segment.meta.end() <= tree_size;
    let kind = match &query.filters[..] {
        [] if is_whole => Kind::Range(segment, rows),
        [Filter::AnyOf(dimension, values)] if is_whole && values.len() == 1 => {
            match segment.term(*dimension, &values[0])? {
                None => Kind::Range(segment, start..start),
                Some(term) => {
                    let opened = segment.rows_of(*dimension, term)?;
                    let before = opened.rank(rows.start)?;
                    let len = opened.rank(rows.end)? - before;
                    Kind::Value(segment, rows, opened, before, len)
                }
            }
        }
        filters => {
            let mut found = RoaringBitmap::new();
            found.insert_range(rows.clone());
            if !is_whole {
                found = as_of(segment, rows.clone(), tree_size)?;
            }
            for filter in filters {
                found = if found.len() <= LOOKED_THROUGH_MAX {
                    look_through(segment, &found, filter)?
                } else {
                    found & set_of(segment, rows.clone(), filter)?
                };
            }
            Kind::Set(segment, found)
        }
    };
    Ok(List { part, kind })
}

/// The rows of a range whose index is below a size of the log.
fn as_of(segment: &Segment, rows: Range<u32>, tree_size: u64) -> Result<RoaringBitmap, Error> {
    let mut indexes = segment.indexes();
    let mut found = RoaringBitmap::new();
    for row in rows {
        if indexes.get(row)?.cast_unsigned() < tree_size {
            found.insert(row);
        }
    }
    Ok(found)
}

/// The rows of a range that meet a condition.
fn set_of(segment: &Segment, rows: Range<u32>, filter: &Filter) -> Result<RoaringBitmap, Error> {
    let union = |dimension, values: &[String]| -> Result<RoaringBitmap, Error> {
        let mut found = RoaringBitmap::new();
        for value in values {
            if let Some(term) = segment.term(dimension, value)? {
                found |= segment.rows_of(dimension, term)?.within(rows.clone())?;
            }
        }
        Ok(found)
    };
    match filter {
        Filter::AnyOf(dimension, values) => union(*dimension, values),
        Filter::NoneOf(dimension, values) => {
            let mut all = RoaringBitmap::new();
            all.insert_range(rows.clone());
            Ok(all - union(*dimension, values)?)
        }
        Filter::Either(filters) => filters.iter().try_fold(RoaringBitmap::new(), |found, filter| {
            Ok(found | set_of(segment, rows.clone(), filter)?)
        }),
    }
}

/// Those of some rows that meet a condition.
fn look_through(segment: &Segment, rows: &RoaringBitmap, filter: &Filter) -> Result<RoaringBitmap, Error> {
    let among = |dimension, values: &[String]| -> Result<RoaringBitmap, Error> {
        let mut wanted = Vec::with_capacity(values.len());
        for value in values {
            wanted.extend(segment.term(dimension, value)?.map(|term| term.ordinal.cast_signed() + 1));
        }
        let mut column = segment.column(dimension);
        let mut found = RoaringBitmap::new();
        for row in rows {
            if wanted.contains(&column.get(row)?) {
                found.insert(row);
            }
        }
        Ok(found)
    };
    match filter {
        Filter::AnyOf(dimension, values) => among(*dimension, values),
        Filter::NoneOf(dimension, values) => Ok(rows - among(*dimension, values)?),
        Filter::Either(filters) => filters
            .iter()
            .try_fold(RoaringBitmap::new(), |found, filter| Ok(found | look_through(segment, rows, filter)?)),
    }
}

/// The rows of the page that is asked for.
fn page(lists: &[List<'_>], total: u64, query: &Query) -> Result<Vec<Place>, Error> {
    let offset = query.offset.min(total);
    let count = (query.limit as u64).min(total - offset);
    if count == 0 {
        return Ok(Vec::new());
    }
    // Where the page begins and ends, counted from the oldest row.
    let (begin, end) = match query.order {
        Order::Ascending => (offset, offset + count),
        Order::Descending => (total - offset - count, total - offset),
    };
    let mut rows = if end <= TAKEN_FROM_THE_END_MAX {
        let starts = vec![0; lists.len()];
        let mut taken = take(lists, starts, end)?;
        taken.drain(..begin as usize);
        taken
    } else if total - begin <= TAKEN_FROM_THE_END_MAX {
        let mut taken = take_back(lists, total - begin)?;
        taken.drain(..(total - end) as usize);
        taken.reverse();
        taken
    } else {
        take(lists, split(lists, begin)?, count)?
    };
    if query.order == Order::Descending {
        rows.reverse();
    }
    Ok(rows)
}

/// How many rows of each list are among the oldest `count` of all.
fn split(lists: &[List<'_>], count: u64) -> Result<Vec<u64>, Error> {
    if let [_] = lists {
        return Ok(vec![count]);
    }
    let mut low = vec![0; lists.len()];
    let mut high: Vec<u64> = lists.iter().map(List::len).collect();
    loop {
        // The middle of the list of which least is known parts all lists in two.
        let (widest, width) = (0..lists.len())
            .map(|list| (list, high[list] - low[list]))
            .max_by_key(|(_, width)| *width)
            .expect("there is a list");
        if width == 0 {
            return Ok(low);
        }
        let middle = low[widest] + width / 2;
        let position = lists[widest].position(middle)?;
        let mut before = Vec::with_capacity(lists.len());
        for (list, (low, high)) in lists.iter().zip(low.iter().zip(&high)) {
            let found = if low == high { *low } else { list.before(position)? };
            before.push(found.clamp(*low, *high));
        }
        let rank: u64 = before.iter().sum();
        if rank > count {
            high = before;
        } else {
            low = before;
            if rank == count {
                return Ok(low);
            }
            low[widest] = middle + 1;
        }
    }
}

/// The next `count` rows from some place of each list on, oldest first.
fn take(lists: &[List<'_>], mut at: Vec<u64>, count: u64) -> Result<Vec<Place>, Error> {
    let mut heads = BinaryHeap::with_capacity(lists.len());
    for (position, list) in lists.iter().enumerate() {
        if at[position] < list.len() {
            heads.push(Reverse((list.position(at[position])?, position)));
        }
    }
    let mut rows = Vec::with_capacity(count as usize);
    while (rows.len() as u64) < count {
        let Some(Reverse((_, position))) = heads.pop() else { break };
        let list = &lists[position];
        rows.push(list.place(at[position])?);
        at[position] += 1;
        if at[position] < list.len() {
            heads.push(Reverse((list.position(at[position])?, position)));
        }
    }
    Ok(rows)
}

/// The newest `count` rows, newest first.
fn take_back(lists: &[List<'_>], count: u64) -> Result<Vec<Place>, Error> {
    let mut left: Vec<u64> = lists.iter().map(List::len).collect();
    let mut heads = BinaryHeap::with_capacity(lists.len());
    for (position, list) in lists.iter().enumerate() {
        heads.push((list.position(left[position] - 1)?, position));
    }
    let mut rows = Vec::with_capacity(count as usize);
    while (rows.len() as u64) < count {
        let Some((_, position)) = heads.pop() else { break };
        let list = &lists[position];
        left[position] -= 1;
        rows.push(list.place(left[position])?);
        if left[position] > 0 {
            heads.push((list.position(left[position] - 1)?, position));
        }
    }
    Ok(rows)
}
