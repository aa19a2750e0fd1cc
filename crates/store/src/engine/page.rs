//! Finds the rows of a page: by counting in the lists, or by taking rows from one end of all lists.
//!
//! Lists are merged by what is known about the next row of each. At first that is a bound held in
//! memory. The time is read when the bound comes to the front, and the index when the time is not
//! unique.

use std::collections::BinaryHeap;

use event::query::{Order, Query};

use crate::engine::list::{List, list_is_short};
use crate::engine::prepared_query::{OrderKey, RowLocation};
use crate::error::Error;
use crate::hash::Map;
use crate::segment::column::Column;
use crate::segment::locator::RowLocator;

/// Up to this many rows from the nearer end are taken one by one; a page beyond is found by
/// counting.
const TAKEN_FROM_THE_END_MAX: u64 = 512;

/// The rows of the requested page.
pub(super) fn page(
    lists: &[List<'_>],
    total: u64,
    query: &Query,
) -> Result<Vec<RowLocation>, Error> {
    let offset = query.offset.min(total);
    let count = (query.limit as u64).min(total - offset);
    if count == 0 {
        return Ok(Vec::new());
    }
    // Start and end of the page, counted from the oldest row.
    let (begin, end) = match query.order {
        Order::Ascending => (offset, offset + count),
        Order::Descending => (total - offset - count, total - offset),
    };
    let (from_start, from_end) = (end, total - begin);
    let mut rows = if from_start.min(from_end) > TAKEN_FROM_THE_END_MAX {
        let starts = split(lists, begin)?;
        merge(lists, |list| ListReader::forward(&lists[list], starts[list]), count)?
    } else if from_start < from_end {
        let mut taken = merge(lists, |list| ListReader::forward(&lists[list], 0), from_start)?;
        taken.drain(..begin as usize);
        taken
    } else {
        let mut taken = merge(lists, |list| ListReader::backward(&lists[list]), from_end)?;
        taken.drain(..(total - end) as usize);
        taken.reverse();
        taken
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
    let mut locator: Vec<Option<RowLocator<'_>>> = lists.iter().map(|_| None).collect();
    loop {
        // The middle of the widest open list divides all lists in two.
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
        for ((list, locator), (low, high)) in
            lists.iter().zip(&mut locator).zip(low.iter().zip(&high))
        {
            let found = if low == high { *low } else { list.before(position, locator)? };
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

/// The next row of a list, by its order among all.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Head {
    /// Time and index, negated when the oldest comes first, so that the greatest key comes first.
    key: OrderKey,
    known: Precision,
    list: usize,
}

/// How much is known about a row's key. Unknown parts of the key are set to the most they may be,
/// so that a row comes to the front no later than it should. Among equal keys the least known comes
/// first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Precision {
    Index,
    Time,
    /// Bounds of the row's time.
    Row,
    /// Bounds of the list's times.
    List,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Forward,
    Backward,
}

impl Direction {
    /// Maps a time or an index so that the greatest comes first, and back.
    fn rank_key<T: std::ops::Not<Output = T>>(self, number: T) -> T {
        if self == Direction::Backward { number } else { !number }
    }
}

/// Reads a list forwards or backwards; looks rows up in batches.
struct ListReader<'l, 'a> {
    list: &'l List<'a>,
    direction: Direction,
    /// Position of the next row, and the number of rows left.
    at: u64,
    left: u64,
    /// Position of the first row looked up.
    start: u64,
    rows: Vec<u32>,
    columns: Option<(Column<'a>, Column<'a>)>,
}

/// Rows looked up at once.
const LOOKED_UP_AT_ONCE: u64 = 32;

impl<'l, 'a> ListReader<'l, 'a> {
    /// Forwards from a position of the list.
    fn forward(list: &'l List<'a>, at: u64) -> ListReader<'l, 'a> {
        ListReader::of(list, Direction::Forward, at, list.len - at)
    }

    /// Backwards from the end of the list.
    fn backward(list: &'l List<'a>) -> ListReader<'l, 'a> {
        ListReader::of(list, Direction::Backward, list.len.saturating_sub(1), list.len)
    }

    fn of(list: &'l List<'a>, direction: Direction, at: u64, left: u64) -> ListReader<'l, 'a> {
        let columns = list.of.as_ref().map(|(segment, _)| (segment.times(), segment.indexes()));
        ListReader { list, direction, at, left, start: at, rows: Vec::new(), columns }
    }

    /// The head of the next row before anything is read.
    fn first_head(&self, list: usize) -> Head {
        let (earliest, latest) = self.list.bounds;
        let bound = if self.direction == Direction::Forward { earliest } else { latest };
        Head { key: (self.direction.rank_key(bound), u64::MAX), known: Precision::List, list }
    }

    /// Reads more about the next row.
    fn read(&mut self, head: &Head) -> Result<Head, Error> {
        let row = self.row()?;
        let rank_key = |number: u64| self.direction.rank_key(number);
        let known = match (head.known, &mut self.columns) {
            (_, None) => {
                let (time, index) = self.list.position(self.at)?;
                (self.direction.rank_key(time), rank_key(index), Precision::Index)
            }
            (Precision::List, Some((times, _))) => match times.if_cached(row) {
                Some(time) => (self.direction.rank_key(time), u64::MAX, Precision::Time),
                None => {
                    let (earliest, latest) = self.list.bounds_of(row);
                    let bound =
                        if self.direction == Direction::Forward { earliest } else { latest };
                    (self.direction.rank_key(bound).min(head.key.0), u64::MAX, Precision::Row)
                }
            },
            (Precision::Row, Some((times, _))) => {
                (self.direction.rank_key(times.get(row)?), u64::MAX, Precision::Time)
            }
            (Precision::Time | Precision::Index, Some((_, indexes))) => {
                (head.key.0, rank_key(indexes.get(row)?.cast_unsigned()), Precision::Index)
            }
        };
        Ok(Head { key: (known.0, known.1), known: known.2, list: head.list })
    }

    /// The next row.
    fn row(&mut self) -> Result<u32, Error> {
        if !(self.start..self.start + self.rows.len() as u64).contains(&self.at) {
            let count = LOOKED_UP_AT_ONCE.min(self.left) as usize;
            if self.direction == Direction::Forward {
                self.rows = self.list.rows(self.at, self.rows.last().copied(), count)?;
                self.start = self.at;
            } else {
                self.rows = self.list.rows_back(self.at + 1, self.rows.first().copied(), count)?;
                self.start = self.at + 1 - count as u64;
            }
        }
        self.rows.get((self.at - self.start) as usize).copied().ok_or_else(list_is_short)
    }

    /// Advances over the next row, and returns its location.
    fn next(&mut self) -> Result<RowLocation, Error> {
        let row = self.row()?;
        let location = match self.list.part {
            RowLocation::Segment(position, _) => RowLocation::Segment(position, row),
            RowLocation::Memtable(position, _) => RowLocation::Memtable(position, row),
            RowLocation::Active(position, _) => RowLocation::Active(position, self.at as usize),
        };
        self.left -= 1;
        self.at = match self.direction {
            Direction::Forward => self.at + 1,
            Direction::Backward => self.at.saturating_sub(1),
        };
        Ok(location)
    }
}

/// The next `count` rows of all lists, each from where its reader starts. A list that never comes
/// to the front is not read.
fn merge<'l, 'a>(
    lists: &'l [List<'a>],
    begin: impl Fn(usize) -> ListReader<'l, 'a>,
    count: u64,
) -> Result<Vec<RowLocation>, Error> {
    let mut rows = Vec::with_capacity(count as usize);
    if lists.len() == 1 {
        let mut reader = begin(0);
        while reader.left > 0 && (rows.len() as u64) < count {
            rows.push(reader.next()?);
        }
        return Ok(rows);
    }
    let first_head = |list| {
        Some(begin(list)).filter(|reader| reader.left > 0).map(|reader| reader.first_head(list))
    };
    let mut heads: BinaryHeap<Head> = (0..lists.len()).filter_map(first_head).collect();
    let mut readers: Map<usize, ListReader<'_, '_>> = Map::default();
    while (rows.len() as u64) < count {
        let Some(head) = heads.pop() else { break };
        let reader = readers.entry(head.list).or_insert_with(|| begin(head.list));
        let is_next = match head.known {
            Precision::Index => true,
            Precision::Time => heads.peek().is_none_or(|other| other.key.0 < head.key.0),
            Precision::Row | Precision::List => false,
        };
        if !is_next {
            heads.push(reader.read(&head)?);
            continue;
        }
        rows.push(reader.next()?);
        if reader.left > 0 {
            let list = Head { key: head.key, known: Precision::List, list: head.list };
            heads.push(reader.read(&list)?);
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::memtable::Memtable;
    use crate::log::memtable::tests::memtable;
    use crate::samples::trail;

    /// Lists of memtables with these times.
    fn times(memtables: &[Memtable], query: &Query) -> Vec<i64> {
        let all = Query::of(trail());
        let lists: Vec<List<'_>> = memtables
            .iter()
            .enumerate()
            .filter_map(|(position, memtable)| {
                let slice = memtable.bind(&all, u64::MAX).matching(&trail())?;
                Some(List::of_memtable(RowLocation::Memtable(position, 0), slice))
            })
            .collect();
        let total = lists.iter().map(|list| list.len).sum();
        let time = |location: RowLocation| {
            let RowLocation::Memtable(position, row) = location else { panic!("no memtable") };
            let (_, times, rows) = memtables[position].runs().next().expect("one trail");
            times[rows.iter().position(|one| *one == row).expect("its row")]
        };
        page(&lists, total, query).expect("in memory").into_iter().map(time).collect()
    }

    #[test]
    fn pages_are_merged_from_all_lists_in_either_order() {
        let memtables = [
            memtable(0, &[(1, "a"), (4, "a"), (7, "a")]),
            memtable(3, &[(2, "a"), (5, "a")]),
            memtable(5, &[(3, "a"), (6, "a")]),
        ];
        for offset in 0..8 {
            for limit in 0..8 {
                for order in [Order::Ascending, Order::Descending] {
                    let mut expected: Vec<i64> = (1..=7).collect();
                    if order == Order::Descending {
                        expected.reverse();
                    }
                    let expected: Vec<i64> =
                        expected.into_iter().skip(offset as usize).take(limit).collect();
                    let query = Query { order, offset, limit, ..Query::of(trail()) };
                    assert_eq!(times(&memtables, &query), expected, "{limit} from {offset}");
                }
            }
        }
    }

    #[test]
    fn a_page_far_from_both_ends_is_found_by_counting() {
        let events: Vec<(i64, &str)> = (0..1000).map(|time| (2 * time, "a")).collect();
        let others: Vec<(i64, &str)> = (0..1000).map(|time| (2 * time + 1, "a")).collect();
        let memtables = [memtable(0, &events), memtable(1000, &others)];
        let order = Order::Ascending;
        let query = Query { order, offset: 900, limit: 5, ..Query::of(trail()) };
        assert_eq!(times(&memtables, &query), [900, 901, 902, 903, 904]);
    }
}
