//! Which rows are on a page: found by counting in the lists, or by taking rows from an end of all.
//!
//! Lists are merged by what is known of each one's next row. That is at first a bound, by what is
//! in memory; the time is read when the bound comes to the front, and the index when the time is
//! not the only one.

use std::collections::BinaryHeap;

use event::query::{Order, Query};

use super::list::{List, shorter};
use super::{Place, Position};
use crate::Error;
use crate::hash::Map;
use crate::segment::{Column, Places};

/// So many rows from the nearer end are taken one by one; a page beyond is found by counting.
const TAKEN_FROM_THE_END_MAX: u64 = 512;

/// The rows of the page that is asked for.
pub(super) fn page(lists: &[List<'_>], total: u64, query: &Query) -> Result<Vec<Place>, Error> {
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
    let (from_start, from_end) = (end, total - begin);
    let mut rows = if from_start.min(from_end) > TAKEN_FROM_THE_END_MAX {
        let starts = split(lists, begin)?;
        merge(lists, |list| Walk::forward(&lists[list], starts[list]), count)?
    } else if from_start < from_end {
        let mut taken = merge(lists, |list| Walk::forward(&lists[list], 0), from_start)?;
        taken.drain(..begin as usize);
        taken
    } else {
        let mut taken = merge(lists, |list| Walk::backward(&lists[list]), from_end)?;
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
        for ((list, places), (low, high)) in
            lists.iter().zip(&mut places).zip(low.iter().zip(&high))
        {
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

/// A list whose next row has a place in the order of all.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Head {
    /// Time and index; for the oldest first, so negated that the greatest comes first.
    key: Position,
    known: Known,
    list: usize,
}

/// What is known of a row's place. What is not known is in the key as the most that it may be, so
/// that a row comes to the front no later than it should; of equal keys the one of which least is
/// known comes first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Known {
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
    /// Turns a time or an index into what is greatest when it comes first, and back.
    fn turned<T: std::ops::Not<Output = T>>(self, number: T) -> T {
        if self == Direction::Backward { number } else { !number }
    }
}

/// Goes through a list, forwards or backwards; rows are looked up some at a time.
struct Walk<'l, 'a> {
    list: &'l List<'a>,
    direction: Direction,
    /// Where in the list the next row is, and how many there are from there on.
    at: u64,
    left: u64,
    /// Where in the list the rows begin that were looked up.
    start: u64,
    rows: Vec<u32>,
    columns: Option<(Column<'a>, Column<'a>)>,
}

/// Rows of a list that are looked up at a time.
const LOOKED_UP_AT_ONCE: u64 = 32;

impl<'l, 'a> Walk<'l, 'a> {
    /// Forwards from a place of the list.
    fn forward(list: &'l List<'a>, at: u64) -> Walk<'l, 'a> {
        Walk::of(list, Direction::Forward, at, list.len - at)
    }

    /// Backwards from the end of the list.
    fn backward(list: &'l List<'a>) -> Walk<'l, 'a> {
        Walk::of(list, Direction::Backward, list.len.saturating_sub(1), list.len)
    }

    fn of(list: &'l List<'a>, direction: Direction, at: u64, left: u64) -> Walk<'l, 'a> {
        let columns = list.of.as_ref().map(|(segment, _)| (segment.times(), segment.indexes()));
        Walk { list, direction, at, left, start: at, rows: Vec::new(), columns }
    }

    /// What is known of the next row before anything is read.
    fn unread(&self, list: usize) -> Head {
        let (earliest, latest) = self.list.bounds;
        let bound = if self.direction == Direction::Forward { earliest } else { latest };
        Head { key: (self.direction.turned(bound), u64::MAX), known: Known::List, list }
    }

    /// More of what is known of the next row.
    fn read(&mut self, head: &Head) -> Result<Head, Error> {
        let row = self.row()?;
        let turned = |number: u64| self.direction.turned(number);
        let known = match (head.known, &mut self.columns) {
            (_, None) => {
                let (time, index) = self.list.position(self.at)?;
                (self.direction.turned(time), turned(index), Known::Index)
            }
            (Known::List, Some((times, _))) => match times.held(row) {
                Some(time) => (self.direction.turned(time), u64::MAX, Known::Time),
                None => {
                    let (earliest, latest) = self.list.bounds_of(row);
                    let bound =
                        if self.direction == Direction::Forward { earliest } else { latest };
                    (self.direction.turned(bound).min(head.key.0), u64::MAX, Known::Row)
                }
            },
            (Known::Row, Some((times, _))) => {
                (self.direction.turned(times.get(row)?), u64::MAX, Known::Time)
            }
            (Known::Time | Known::Index, Some((_, indexes))) => {
                (head.key.0, turned(indexes.get(row)?.cast_unsigned()), Known::Index)
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
        self.rows.get((self.at - self.start) as usize).copied().ok_or_else(shorter)
    }

    /// Goes over the next row, and returns its place.
    fn next(&mut self) -> Result<Place, Error> {
        let row = self.row()?;
        let place = match self.list.part {
            Place::Segment(position, _) => Place::Segment(position, row),
            Place::Tail(position, _) => Place::Tail(position, row),
            Place::Active(position, _) => Place::Active(position, self.at as usize),
        };
        self.left -= 1;
        self.at = match self.direction {
            Direction::Forward => self.at + 1,
            Direction::Backward => self.at.saturating_sub(1),
        };
        Ok(place)
    }
}

/// The next `count` rows of all lists, each from where its walk begins. A list that does not come
/// to the front is not walked.
fn merge<'l, 'a>(
    lists: &'l [List<'a>],
    begin: impl Fn(usize) -> Walk<'l, 'a>,
    count: u64,
) -> Result<Vec<Place>, Error> {
    let mut rows = Vec::with_capacity(count as usize);
    if lists.len() == 1 {
        let mut walk = begin(0);
        while walk.left > 0 && (rows.len() as u64) < count {
            rows.push(walk.next()?);
        }
        return Ok(rows);
    }
    let unread =
        |list| Some(begin(list)).filter(|walk| walk.left > 0).map(|walk| walk.unread(list));
    let mut heads: BinaryHeap<Head> = (0..lists.len()).filter_map(unread).collect();
    let mut walks: Map<usize, Walk<'_, '_>> = Map::default();
    while (rows.len() as u64) < count {
        let Some(head) = heads.pop() else { break };
        let walk = walks.entry(head.list).or_insert_with(|| begin(head.list));
        let is_next = match head.known {
            Known::Index => true,
            Known::Time => heads.peek().is_none_or(|other| other.key.0 < head.key.0),
            Known::Row | Known::List => false,
        };
        if !is_next {
            heads.push(walk.read(&head)?);
            continue;
        }
        rows.push(walk.next()?);
        if walk.left > 0 {
            let list = Head { key: head.key, known: Known::List, list: head.list };
            heads.push(walk.read(&list)?);
        }
    }
    Ok(rows)
}
