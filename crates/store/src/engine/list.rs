//! Matching rows of one part, in order: of a segment or a memtable for one trail, or of a segment
//! for all of its trails.

use std::ops::Range;
use std::rc::Rc;

use event::Time;
use event::query::Query;
use roaring::RoaringBitmap;

use crate::engine::condition::{Conditions, RowsByTime};
use crate::engine::prepared_query::{OrderKey, PreparedQuery, RowLocation};
use crate::error::Error;
use crate::log::memtable::Slice;
use crate::segment::locator::RowLocator;
use crate::segment::meta::Run;
use crate::segment::postings::PostingsReader;
use crate::segment::segment::Segment;

/// Matching rows of one part, in order.
pub(super) struct List<'a> {
    pub part: RowLocation,
    pub len: u64,
    /// Bounds of the times of the rows.
    pub bounds: (i64, i64),
    pub kind: Kind<'a>,
    /// For a segment's list: the segment, and the rows of the trail within the window.
    pub of: Option<(&'a Segment, Range<u32>)>,
    /// Whether it covers all trails of a segment. Rows are ranks by time then, here and in `kind`.
    pub is_by_time: bool,
}

pub(super) enum Kind<'a> {
    Memtable(Slice<'a>),
    /// All rows of a range.
    Range(Range<u32>),
    /// The rows of a value within a range.
    Value(Range<u32>, &'a PostingsReader<'a>),
    Set(RoaringBitmap),
    /// Some of these rows.
    Few(Rc<[u32]>, Range<usize>),
}

impl<'a> List<'a> {
    pub fn of_memtable(part: RowLocation, slice: Slice<'a>) -> List<'a> {
        let bounds = if slice.len() > 0 {
            (slice.position(0).0, slice.position(slice.len() - 1).0)
        } else {
            (0, 0)
        };
        List {
            part,
            len: slice.len() as u64,
            bounds,
            kind: Kind::Memtable(slice),
            of: None,
            is_by_time: false,
        }
    }

    /// The row at this position of the list, counted from 0.
    fn row(&self, at: u64) -> Result<u32, Error> {
        self.rows(at, None, 1)?.first().copied().ok_or_else(list_is_short)
    }

    /// Converts rows as the list counts them to rows of the segment or memtable.
    fn segment_rows(&self, mut rows: Vec<u32>) -> Result<Vec<u32>, Error> {
        if let (true, Some((segment, _))) = (self.is_by_time, &self.of) {
            let mut by_time = segment.by_time();
            for row in &mut rows {
                *row = by_time.row(*row)?;
            }
        }
        Ok(rows)
    }

    pub fn position(&self, at: u64) -> Result<OrderKey, Error> {
        match (&self.kind, &self.of) {
            (Kind::Memtable(slice), _) => Ok(slice.position(at as usize)),
            (_, Some((segment, _))) => {
                let row = self.row(at)?;
                Ok((segment.times().get(row)?, segment.indexes().get(row)?.cast_unsigned()))
            }
            (_, None) => unreachable!("what is of no segment is of a memtable"),
        }
    }

    /// How many rows come before this key. `locator` is that of the list's segment, made when first
    /// needed.
    pub fn before(
        &self,
        position: OrderKey,
        locator: &mut Option<RowLocator<'a>>,
    ) -> Result<u64, Error> {
        if position.0 > self.bounds.1 {
            return Ok(self.len);
        }
        if position.0 < self.bounds.0 {
            return Ok(0);
        }
        let Some((segment, _)) = self.of else {
            let Kind::Memtable(slice) = &self.kind else {
                unreachable!("what is of no segment is of a memtable")
            };
            return Ok(slice.before(position) as u64);
        };
        let mut bound = |rows: Range<u32>| match self.is_by_time {
            true => segment.by_time().lower_bound(rows, position),
            false => locator.get_or_insert_with(|| segment.locator()).lower_bound(rows, position),
        };
        match &self.kind {
            Kind::Memtable(slice) => Ok(slice.before(position) as u64),
            Kind::Range(rows) => Ok(u64::from(bound(rows.clone())? - rows.start)),
            Kind::Value(rows, opened) => opened.count(rows.start..bound(rows.clone())?),
            Kind::Set(rows) => {
                let (Some(first), Some(last)) = (rows.min(), rows.max()) else { return Ok(0) };
                let row = bound(first..last + 1)?;
                Ok(row.checked_sub(1).map_or(0, |row| rows.rank(row)))
            }
            Kind::Few(rows, part) => {
                let rows = &rows[part.clone()];
                let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(0) };
                let row = bound(*first..*last + 1)?;
                Ok(rows.partition_point(|one| *one < row) as u64)
            }
        }
    }

    /// `count` rows from this position of the list on. `edge` is the row before them, if known.
    pub fn rows(&self, start: u64, edge: Option<u32>, count: usize) -> Result<Vec<u32>, Error> {
        let rows = match &self.kind {
            Kind::Memtable(slice) => {
                (start as usize..start as usize + count).map(|at| slice.row(at)).collect()
            }
            Kind::Range(rows) => (rows.start + start as u32..).take(count).collect(),
            Kind::Value(rows, opened) => match edge.filter(|_| !self.is_by_time) {
                Some(edge) => opened.first_within(edge + 1..rows.end, count)?,
                None if start == 0 => opened.first_within(rows.clone(), count)?,
                None => opened.rows(opened.rank(rows.start)? + start, count)?,
            },
            Kind::Set(rows) => {
                let mut left = rows.iter();
                left.advance_to(rows.select(start as u32).unwrap_or(u32::MAX));
                left.take(count).collect()
            }
            Kind::Few(rows, part) => {
                rows[part.clone()].iter().skip(start as usize).take(count).copied().collect()
            }
        };
        self.segment_rows(rows)
    }

    /// `count` rows before this position of the list. `edge` is the row at the position, if there
    /// is one.
    pub fn rows_back(&self, end: u64, edge: Option<u32>, count: usize) -> Result<Vec<u32>, Error> {
        match &self.kind {
            Kind::Value(rows, opened) if end == self.len => {
                self.segment_rows(opened.last_within(rows.clone(), count)?)
            }
            Kind::Value(rows, opened) if edge.is_some() && !self.is_by_time => {
                opened.last_within(rows.start..edge.unwrap_or(rows.end), count)
            }
            _ => self.rows(end - count as u64, None, count),
        }
    }

    /// Bounds of the time of this row, which is in the list. Reads nothing.
    pub fn bounds_of(&self, row: u32) -> (i64, i64) {
        let (earliest, latest) = match &self.of {
            Some((segment, rows)) if !self.is_by_time => segment.time_bounds(row, rows),
            _ => (None, None),
        };
        (earliest.unwrap_or(self.bounds.0), latest.unwrap_or(self.bounds.1))
    }
}

pub(super) fn list_is_short() -> Error {
    Error::damage("a segment", 0, "a list of rows is shorter than it was")
}

/// The rows of a run within the window, and bounds of their times.
fn window(
    locator: &mut RowLocator<'_>,
    run: Run,
    query: &Query,
) -> Result<(Range<u32>, (i64, i64)), Error> {
    let mut bound = |time: Option<Time>, rows: Range<u32>, otherwise| match time {
        Some(time) if time.unix_ns() <= run.earliest_ns => Ok(run.start),
        Some(time) if time.unix_ns() <= run.latest_ns => {
            locator.lower_bound(rows, (time.unix_ns(), 0))
        }
        Some(_) => Ok(run.end),
        None => Ok(otherwise),
    };
    let start = bound(query.from, run.start..run.end, run.start)?;
    let earliest = query.from.map_or(run.earliest_ns, |from| run.earliest_ns.max(from.unix_ns()));
    let end = bound(query.until, start..run.end, run.end)?.max(start);
    // The block read last mostly holds the last row within the window too.
    let latest = end.checked_sub(1).and_then(|last| locator.time_if_held(last));
    let latest = latest.filter(|_| end < run.end).unwrap_or(run.latest_ns);
    Ok((start..end, (earliest.min(latest), latest)))
}

/// The matching rows of a run.
pub(super) fn list_of_run<'a>(
    conditions: &'a Conditions<'a>,
    position: usize,
    run: Run,
    locator: &mut RowLocator<'a>,
    query: &Query,
) -> Result<List<'a>, Error> {
    let segment = conditions.segment;
    let (rows, bounds) = window(locator, run, query)?;
    let of = Some((segment, rows.clone()));
    let count = u64::from(rows.end - rows.start);
    let (kind, len) = if conditions.is_empty() || count == 0 {
        (Kind::Range(rows), count)
    } else if let Some(opened) = conditions.only_value()? {
        let len = opened.count(rows.clone())?;
        (Kind::Value(rows, opened), len)
    } else {
        let found = conditions.rows(rows)?;
        let len = found.len();
        (Kind::Set(found), len)
    };
    Ok(List { part: RowLocation::Segment(position, 0), len, bounds, kind, of, is_by_time: false })
}

/// The matching rows of a segment over all its trails together, if the segment has that order and
/// the query is about all trails.
pub(super) fn list_by_time<'a>(
    conditions: &'a Conditions<'a>,
    position: usize,
    prepared: &PreparedQuery<'_>,
) -> Result<Option<List<'a>>, Error> {
    let (segment, query) = (conditions.segment, prepared.query);
    let Some(meeting) = conditions.by_time()? else { return Ok(None) };
    if !prepared.is_about_all_of(segment) {
        return Ok(None);
    }
    let (all, mut by_time) = (0..segment.meta.events as u32, segment.by_time());
    let mut bound = |time: Option<Time>, otherwise| {
        time.map_or(Ok(otherwise), |time| by_time.lower_bound(all.clone(), (time.unix_ns(), 0)))
    };
    let start = bound(query.from, all.start)?;
    let locator = start..bound(query.until, all.end)?.max(start);
    let earliest = query.from.map_or(i64::MIN, Time::unix_ns).max(segment.meta.earliest_ns);
    let latest = query.until.map_or(i64::MAX, Time::unix_ns).min(segment.meta.latest_ns);
    let of = Some((segment, locator.clone()));
    let (kind, len) = match meeting {
        RowsByTime::All => (Kind::Range(locator.clone()), u64::from(locator.end - locator.start)),
        RowsByTime::Ranks(opened) => (Kind::Value(locator.clone(), opened), opened.count(locator)?),
    };
    let bounds = (earliest, latest);
    Ok(Some(List {
        part: RowLocation::Segment(position, 0),
        len,
        bounds,
        kind,
        of,
        is_by_time: true,
    }))
}

/// The matching rows of a segment, by trail, when they are few.
pub(super) fn lists_of_few<'a>(
    conditions: &'a Conditions<'a>,
    position: usize,
    prepared: &PreparedQuery<'_>,
    lists: &mut Vec<List<'a>>,
) -> Result<(), Error> {
    let segment = conditions.segment;
    let rows: Rc<[u32]> = conditions.rows(0..segment.meta.events as u32)?.iter().collect();
    let mut locator = segment.locator();
    let mut at = 0;
    while let Some(row) = rows.get(at) {
        let (trail, run) = segment.run_of(*row);
        let part = at..at + rows[at..].partition_point(|row| *row < run.end);
        at = part.end;
        if prepared.is_about(trail) && prepared.overlaps(run.earliest_ns, run.latest_ns) {
            let (within, bounds) = window(&mut locator, run, prepared.query)?;
            let before =
                |end: u32| part.start + rows[part.clone()].partition_point(|row| *row < end);
            let part = before(within.start)..before(within.end);
            lists.push(List {
                part: RowLocation::Segment(position, 0),
                len: part.len() as u64,
                bounds,
                kind: Kind::Few(Rc::clone(&rows), part),
                of: Some((segment, within)),
                is_by_time: false,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::memtable::tests::memtable;
    use crate::samples::trail;

    #[test]
    fn rows_of_a_memtable_are_counted_from_either_end() {
        let memtable = memtable(100, &[(30, "a"), (10, "b"), (20, "c")]);
        let query = Query::of(trail());
        let slice = memtable.bind(&query, u64::MAX).matching(&trail()).expect("rows");
        let list = List::of_memtable(RowLocation::Memtable(0, 0), slice);
        assert_eq!((list.len, list.bounds), (3, (10, 30)));
        assert_eq!(list.rows(1, None, 2).expect("in memory"), [2, 0]);
        assert_eq!(list.rows_back(2, None, 2).expect("in memory"), [1, 2]);
        assert_eq!(list.position(0).expect("in memory"), (10, 101));
        let before = |key| list.before(key, &mut None).expect("in memory");
        assert_eq!([(9, 0), (10, 101), (10, 102), (20, 0), (31, 0)].map(before), [0, 0, 1, 1, 3]);
    }
}
