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

use std::collections::{BinaryHeap, HashMap};
use std::ops::Range;

use event::query::{Dimension, Order, Query, Top};
use event::{Time, Trail};
use roaring::RoaringBitmap;

use crate::Error;
use crate::condition::Conditions;
use crate::segment::{Column, Opened, Places, Run, Segment};
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

/// So many rows from either end are taken one by one; a page beyond is found by counting.
const TAKEN_FROM_THE_END_MAX: u64 = 512;

/// A question, and what is asked for once however many parts there are.
pub(crate) struct Question<'a> {
    pub query: &'a Query,
    /// Each trail once.
    pub trails: Vec<&'a Trail>,
}

impl<'a> Question<'a> {
    pub fn of(query: &'a Query) -> Question<'a> {
        let mut trails: Vec<&Trail> = query.trails.iter().collect();
        trails.sort_unstable();
        trails.dedup();
        Question { query, trails }
    }

    /// Whether an event of this time may be within the window.
    fn overlaps(&self, earliest_ns: i64, latest_ns: i64) -> bool {
        self.query.from.is_none_or(|from| latest_ns >= from.unix_ns())
            && self.query.until.is_none_or(|until| earliest_ns < until.unix_ns())
    }
}

/// The filters of a question in terms of each segment.
pub(crate) fn conditions<'a>(parts: &Parts<'a>, query: &Query) -> Result<Vec<Conditions<'a>>, Error> {
    let tree_size = parts.tree_size(query);
    parts.segments.iter().map(|segment| Conditions::of(segment, &query.filters, tree_size)).collect()
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
    ) -> Result<Matching<'a>, Error> {
        let mut lists = Vec::new();
        for (position, conditions) in conditions.iter().enumerate() {
            let meta = &conditions.segment.meta;
            if !conditions.can_match() || !question.overlaps(meta.earliest_ns, meta.latest_ns) {
                continue;
            }
            if conditions.rows_max() <= FEW_ROWS_A_TRAIL * question.trails.len() as u64 {
                lists_of_few(conditions, position, question, &mut lists)?;
            } else {
                for trail in &question.trails {
                    if let Some(run) = conditions.segment.run(trail)
                        && question.overlaps(run.earliest_ns, run.latest_ns)
                    {
                        lists.push(list_of_run(conditions, position, run, question.query)?);
                    }
                }
            }
        }
        let tree_size = parts.tree_size(question.query);
        for (position, tail) in parts.tails.iter().enumerate() {
            for trail in &question.trails {
                if let Some(slice) = tail.matching(trail, question.query, tree_size) {
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
        page(&self.lists, self.total, query)
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

    /// How many there are of each value of a dimension, in the parts that grow no more. `active` are the counts of the one
    /// that grows.
    pub fn top(
        &self,
        parts: &Parts<'_>,
        dimension: Dimension,
        active: Vec<(Option<String>, u64)>,
        limit: usize,
    ) -> Result<Top, Error> {
        let mut counts: HashMap<Option<String>, u64> = HashMap::new();
        for (value, count) in active {
            *counts.entry(value).or_default() += count;
        }
        for (position, segment) in parts.segments.iter().enumerate() {
            let is_here = |list: &&List<'_>| matches!(list.part, Place::Segment(at, _) if at == position);
            let mut lists = self.lists.iter().filter(is_here).peekable();
            if lists.peek().is_none() {
                continue;
            }
            let mut of_segment = Counts::new(segment, dimension)?;
            for list in lists {
                of_segment.add(list)?;
            }
            of_segment.each(&mut |value, count| {
                *counts.entry(value).or_default() += count;
            })?;
        }
        for list in &self.lists {
            if let (Place::Tail(position, _), Kind::Tail(slice)) = (list.part, &list.kind) {
                let rows = (0..slice.len()).map(|at| slice.row(at));
                for (value, count) in parts.tails[position].counts(dimension, rows) {
                    *counts.entry(value.map(str::to_owned)).or_default() += count;
                }
            }
        }
        let without = counts.remove(&None).unwrap_or(0);
        let mut values: Vec<(String, u64)> =
            counts.into_iter().filter_map(|(value, count)| Some((value?, count))).collect();
        let most_first = |a: &(String, u64), b: &(String, u64)| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0));
        if limit < values.len() {
            values.select_nth_unstable_by(limit, most_first);
        }
        let others = values.get(limit..).unwrap_or_default();
        let (other_values, others) = (others.len() as u64, others.iter().map(|(_, count)| count).sum());
        values.truncate(limit);
        values.sort_unstable_by(most_first);
        Ok(Top { values, other_values, others, without, total: self.total, tree_size: 0 })
    }
}

/// How many rows of a segment have each value of a dimension.
struct Counts<'a> {
    segment: &'a Segment,
    dimension: Dimension,
    /// By ordinal and one; 0 are the rows without.
    by_ordinal: Vec<u64>,
}

impl<'a> Counts<'a> {
    fn new(segment: &'a Segment, dimension: Dimension) -> Result<Counts<'a>, Error> {
        let values = segment.terms(dimension).len()? as usize;
        Ok(Counts { segment, dimension, by_ordinal: vec![0; values + 1] })
    }

    fn add(&mut self, list: &List<'_>) -> Result<(), Error> {
        let column = self.segment.column(self.dimension);
        let mut is_known = true;
        let by_ordinal = &mut self.by_ordinal;
        let mut count = |ordinal: i64| match by_ordinal.get_mut(ordinal as usize) {
            Some(count) => *count += 1,
            None => is_known = false,
        };
        match &list.kind {
            Kind::Range(_, rows) => column.each_block(rows.clone(), &mut |_, packed, positions| {
                positions.for_each(|at| count(packed.get(at)));
            })?,
            Kind::Value(_, rows, opened, ..) => {
                let mut column = column;
                for row in &opened.within(rows.clone())? {
                    count(column.get(row)?);
                }
            }
            Kind::Set(_, rows) => {
                let mut column = column;
                for row in rows {
                    count(column.get(row)?);
                }
            }
            Kind::Tail(_) => {}
        }
        if is_known { Ok(()) } else { Err(self.segment.terms(self.dimension).nonsense()) }
    }

    fn each(&self, each: &mut dyn FnMut(Option<String>, u64)) -> Result<(), Error> {
        for (ordinal, count) in (0u64..).zip(&self.by_ordinal).filter(|(_, count)| **count > 0) {
            let value = match ordinal.checked_sub(1) {
                None => None,
                Some(ordinal) => Some(self.segment.value(self.dimension, ordinal)?),
            };
            each(value, *count);
        }
        Ok(())
    }
}

/// Rows of one part that match, in order.
struct List<'a> {
    part: Place,
    len: u64,
    /// No row is earlier than the first, nor later than the second.
    bounds: (i64, i64),
    kind: Kind<'a>,
}

enum Kind<'a> {
    Tail(Slice<'a>),
    /// All rows of a range.
    Range(&'a Segment, Range<u32>),
    /// The rows of a value within a range, and how many it has before the range.
    Value(&'a Segment, Range<u32>, &'a Opened<'a>, u64),
    Set(&'a Segment, RoaringBitmap),
}

impl<'a> List<'a> {
    fn of_tail(part: Place, slice: Slice<'a>) -> List<'a> {
        let bounds =
            if slice.len() > 0 { (slice.position(0).0, slice.position(slice.len() - 1).0) } else { (0, 0) };
        List { part, len: slice.len() as u64, bounds, kind: Kind::Tail(slice) }
    }

    /// The row at this place of the list, counted from 0.
    fn row(&self, at: u64) -> Result<u32, Error> {
        let missing = || Error::damage("a segment", 0, "a list of rows is shorter than it was");
        match &self.kind {
            Kind::Tail(slice) => Ok(slice.row(at as usize)),
            Kind::Range(_, rows) => Ok(rows.start + at as u32),
            Kind::Value(_, _, opened, before) => opened.select(before + at)?.ok_or_else(missing),
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

    /// How many rows come before this position. `places` are those of the list's segment, once they were needed.
    fn before(&self, position: Position, places: &mut Option<Places<'a>>) -> Result<u64, Error> {
        if position.0 > self.bounds.1 {
            return Ok(self.len);
        }
        if position.0 < self.bounds.0 {
            return Ok(0);
        }
        match &self.kind {
            Kind::Tail(slice) => Ok(slice.before(position) as u64),
            Kind::Range(segment, rows) => {
                let row = places_of(places, segment)?.lower_bound(rows.clone(), position)?;
                Ok(u64::from(row - rows.start))
            }
            Kind::Value(segment, rows, opened, before) => {
                let row = places_of(places, segment)?.lower_bound(rows.clone(), position)?;
                Ok(opened.rank(row)? - before)
            }
            Kind::Set(segment, rows) => {
                let (Some(first), Some(last)) = (rows.min(), rows.max()) else { return Ok(0) };
                let row = places_of(places, segment)?.lower_bound(first..last + 1, position)?;
                Ok(row.checked_sub(1).map_or(0, |row| rows.rank(row)))
            }
        }
    }

    /// The rows from this place of the list on, so many.
    fn rows(&self, start: u64, count: usize) -> Result<Vec<u32>, Error> {
        match &self.kind {
            Kind::Tail(slice) => {
                Ok((start as usize..start as usize + count).map(|at| slice.row(at)).collect())
            }
            Kind::Range(_, rows) => Ok((rows.start + start as u32..).take(count).collect()),
            Kind::Value(_, _, opened, before) => opened.rows(before + start, count),
            Kind::Set(_, rows) => {
                let mut left = rows.iter();
                left.advance_to(rows.select(start as u32).unwrap_or(u32::MAX));
                Ok(left.take(count).collect())
            }
        }
    }
}

fn places_of<'p, 'a>(
    places: &'p mut Option<Places<'a>>,
    segment: &'a Segment,
) -> Result<&'p mut Places<'a>, Error> {
    Ok(match places {
        Some(places) => places,
        None => places.insert(segment.places()?),
    })
}

/// The rows of a run that are within the window.
fn window(segment: &Segment, run: Run, query: &Query) -> Result<Range<u32>, Error> {
    let mut places = None;
    let mut bound = |time: Option<Time>, rows: Range<u32>, otherwise| match time {
        Some(time) if time.unix_ns() <= run.earliest_ns => Ok(run.start),
        Some(time) if time.unix_ns() <= run.latest_ns => {
            places_of(&mut places, segment)?.lower_bound(rows, (time.unix_ns(), 0))
        }
        Some(_) => Ok(run.end),
        None => Ok(otherwise),
    };
    let start = bound(query.from, run.start..run.end, run.start)?;
    let end = bound(query.until, start..run.end, run.end)?.max(start);
    Ok(start..end)
}

/// The rows of a run that match.
fn list_of_run<'a>(
    conditions: &'a Conditions<'a>,
    position: usize,
    run: Run,
    query: &Query,
) -> Result<List<'a>, Error> {
    let segment = conditions.segment;
    let rows = window(segment, run, query)?;
    let count = u64::from(rows.end - rows.start);
    let (kind, len) = if conditions.is_empty() {
        (Kind::Range(segment, rows), count)
    } else if let Some(opened) = conditions.only_value()?.filter(|_| count > LOOKED_UP_MAX) {
        let before = opened.rank(rows.start)?;
        let len = opened.rank(rows.end)? - before;
        (Kind::Value(segment, rows, opened, before), len)
    } else {
        let found = conditions.rows(rows)?;
        let len = found.len();
        (Kind::Set(segment, found), len)
    };
    Ok(List { part: Place::Segment(position, 0), len, bounds: (run.earliest_ns, run.latest_ns), kind })
}

/// Of no more rows for each trail it is found which trail they are of, instead of looking for each trail's.
const FEW_ROWS_A_TRAIL: u64 = 4;

/// The rows of a segment that match, by trail, when they are few.
fn lists_of_few<'a>(
    conditions: &'a Conditions<'a>,
    position: usize,
    question: &Question<'_>,
    lists: &mut Vec<List<'a>>,
) -> Result<(), Error> {
    let segment = conditions.segment;
    let mut left = conditions.rows(0..segment.meta.events as u32)?;
    while let Some(row) = left.min() {
        let (trail, run) = segment.run_of(row);
        let mut found = left.clone();
        left.remove_range(..run.end);
        let is_asked_for = question.trails.binary_search(&trail).is_ok();
        if is_asked_for && question.overlaps(run.earliest_ns, run.latest_ns) {
            let rows = window(segment, run, question.query)?;
            found.remove_range(..rows.start);
            found.remove_range(rows.end..);
            let (len, bounds) = (found.len(), (run.earliest_ns, run.latest_ns));
            lists.push(List {
                part: Place::Segment(position, 0),
                len,
                bounds,
                kind: Kind::Set(segment, found),
            });
        }
    }
    Ok(())
}

/// In a range of so few rows a value is looked up row by row.
const LOOKED_UP_MAX: u64 = 128;

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
    let mut high: Vec<u64> = lists.iter().map(|list| list.len).collect();
    let mut places: Vec<Option<Places<'_>>> = lists.iter().map(|_| None).collect();
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
        for ((list, places), (low, high)) in lists.iter().zip(&mut places).zip(low.iter().zip(&high)) {
            let found = if low == high { *low } else { list.before(position, places)? };
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

/// A list whose next row has a place in the order of all. The place may be known only as a bound until it is looked up.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Head {
    /// Time and index; for the oldest first, so negated that the greatest comes first.
    key: (i64, u64),
    /// Whether the key is a bound, which is no less than what it stands for.
    is_bound: bool,
    list: usize,
}

/// Goes through a list, forwards or backwards; rows are looked up some at a time.
struct Walk<'l, 'a> {
    list: &'l List<'a>,
    is_forward: bool,
    /// Where in the list the rows begin that were looked up.
    start: u64,
    rows: Vec<u32>,
    columns: Option<(Column<'a>, Column<'a>)>,
}

/// Rows of a list that are looked up at a time.
const LOOKED_UP_AT_ONCE: u64 = 32;

impl<'l, 'a> Walk<'l, 'a> {
    fn of(list: &'l List<'a>, is_forward: bool) -> Walk<'l, 'a> {
        let columns = match &list.kind {
            Kind::Tail(_) => None,
            Kind::Range(segment, _) | Kind::Value(segment, ..) | Kind::Set(segment, _) => {
                Some((segment.times(), segment.indexes()))
            }
        };
        Walk { list, is_forward, start: 0, rows: Vec::new(), columns }
    }

    fn row(&mut self, at: u64) -> Result<u32, Error> {
        if !(self.start..self.start + self.rows.len() as u64).contains(&at) {
            self.start = if self.is_forward { at } else { (at + 1).saturating_sub(LOOKED_UP_AT_ONCE) };
            let count = LOOKED_UP_AT_ONCE.min(self.list.len - self.start);
            self.rows = self.list.rows(self.start, count as usize)?;
        }
        let row = self.rows.get((at - self.start) as usize).copied();
        row.ok_or_else(|| Error::damage("a segment", 0, "a list of rows is shorter than it was"))
    }

    fn position(&mut self, at: u64) -> Result<Position, Error> {
        let row = self.row(at)?;
        match (&mut self.columns, &self.list.kind) {
            (Some((times, indexes)), _) => Ok((times.get(row)?, indexes.get(row)?.cast_unsigned())),
            (None, Kind::Tail(slice)) => Ok(slice.position(at as usize)),
            (None, _) => self.list.position(at),
        }
    }

    fn place(&mut self, at: u64) -> Result<Place, Error> {
        let row = self.row(at)?;
        Ok(match self.list.part {
            Place::Segment(position, _) => Place::Segment(position, row),
            Place::Tail(position, _) => Place::Tail(position, row),
            Place::Active(position, _) => Place::Active(position, at as usize),
        })
    }
}

/// The next `count` rows from some place of each list on, oldest first.
fn take(lists: &[List<'_>], mut at: Vec<u64>, count: u64) -> Result<Vec<Place>, Error> {
    // Bitwise negation turns the order of both numbers around.
    let key = |position: Position| (!position.0, !position.1);
    let mut heads = BinaryHeap::with_capacity(lists.len());
    for (list, found) in lists.iter().enumerate().filter(|(list, found)| at[*list] < found.len) {
        heads.push(Head { key: key((found.bounds.0, 0)), is_bound: true, list });
    }
    let mut walks: Vec<Walk<'_, '_>> = lists.iter().map(|list| Walk::of(list, true)).collect();
    let mut rows = Vec::with_capacity(count as usize);
    while (rows.len() as u64) < count {
        let Some(Head { is_bound, list, .. }) = heads.pop() else { break };
        let walk = &mut walks[list];
        if !is_bound {
            rows.push(walk.place(at[list])?);
            at[list] += 1;
        }
        if at[list] < walk.list.len {
            heads.push(Head { key: key(walk.position(at[list])?), is_bound: false, list });
        }
    }
    Ok(rows)
}

/// The newest `count` rows, newest first.
fn take_back(lists: &[List<'_>], count: u64) -> Result<Vec<Place>, Error> {
    let mut left: Vec<u64> = lists.iter().map(|list| list.len).collect();
    let mut heads = BinaryHeap::with_capacity(lists.len());
    for (list, found) in lists.iter().enumerate() {
        heads.push(Head { key: (found.bounds.1, u64::MAX), is_bound: true, list });
    }
    let mut walks: Vec<Walk<'_, '_>> = lists.iter().map(|list| Walk::of(list, false)).collect();
    let mut rows = Vec::with_capacity(count as usize);
    while (rows.len() as u64) < count {
        let Some(Head { is_bound, list, .. }) = heads.pop() else { break };
        let walk = &mut walks[list];
        if !is_bound {
            left[list] -= 1;
            rows.push(walk.place(left[list])?);
        }
        if left[list] > 0 {
            heads.push(Head { key: walk.position(left[list] - 1)?, is_bound: false, list });
        }
    }
    Ok(rows)
}
