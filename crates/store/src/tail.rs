//! The events that are in no segment yet, indexed in memory.
//!
//! Dimension values are kept as numbers of a dictionary, one column for each dimension, and every trail has its rows in
//! order of time. Rows of a page are read from the journal, so that memory does not hold the events themselves: about
//! 90 bytes an event, and its texts once.

use std::collections::HashMap;

use event::query::{Dimension, Filter, Order, Query};
use event::{Event, Time, Trail};

use crate::audit_files::AuditFiles;
use crate::journal::Position;

/// What a missing value is in a column.
const NONE: u32 = u32::MAX;

#[derive(Default)]
pub(crate) struct Tail {
    places: Vec<Place>,
    columns: [Vec<u32>; Dimension::ALL.len()],
    words: [HashMap<Box<str>, u32>; Dimension::ALL.len()],
    trails: HashMap<Trail, Run>,
    /// The audit log files of database trails.
    pub files: AuditFiles,
}

/// An event on its way into the tail.
pub(crate) struct Added<'a> {
    pub event: &'a Event,
    pub raw: &'a [u8],
    pub received_at: Time,
    pub place: Place,
}

/// Where a row's frame is.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub at: Position,
    pub len_bytes: u32,
}

/// The rows of one trail, by time and then by index.
#[derive(Default)]
struct Run {
    times: Vec<i64>,
    rows: Vec<u32>,
    /// How many of them are in order; all, but while events are being added.
    settled: usize,
}

/// Which rows a page has.
pub(crate) struct Found {
    pub rows: Vec<(u64, Place)>,
    pub total: u64,
    pub tree_size: u64,
}

impl Tail {
    pub fn len(&self) -> u64 {
        self.places.len() as u64
    }

    pub fn trails(&self) -> impl Iterator<Item = &Trail> {
        self.trails.keys()
    }

    pub fn has_trail(&self, trail: &Trail) -> bool {
        self.trails.contains_key(trail)
    }

    /// Adds events with the next indexes, in order.
    pub fn extend<'a>(&mut self, events: impl IntoIterator<Item = Added<'a>>) {
        let mut touched: Vec<&Trail> = Vec::new();
        for added in events {
            self.files.push(&added, self.places.len() as u64);
            self.push(added.event, added.place);
            if !touched.contains(&&added.event.trail) {
                touched.push(&added.event.trail);
            }
        }
        for trail in touched {
            self.trails.get_mut(trail).expect("its events were just added").settle();
        }
    }

    fn push(&mut self, event: &Event, place: Place) {
        let row = u32::try_from(self.places.len()).expect("the tail is limited to far below 2^32 events");
        self.places.push(place);
        for dimension in Dimension::ALL {
            let words = &mut self.words[dimension.position()];
            let word =
                dimension.with_value(event, |value| value.map_or(NONE, |value| number_of(words, value)));
            self.columns[dimension.position()].push(word);
        }
        let run = match self.trails.get_mut(&event.trail) {
            Some(run) => run,
            None => self.trails.entry(event.trail.clone()).or_default(),
        };
        run.times.push(event.occurred_at.unix_ns());
        run.rows.push(row);
    }

    /// Where the frame of an event is.
    pub fn place(&self, index: u64) -> Option<Place> {
        self.places.get(usize::try_from(index).ok()?).copied()
    }

    pub fn find(&self, query: &Query) -> Found {
        let tree_size = query.as_of.map_or(self.len(), |size| size.min(self.len()));
        let conditions: Vec<Condition<'_>> =
            query.filters.iter().map(|filter| self.condition(filter)).collect();
        let mut runs: Vec<Cursor<'_>> = query
            .trails
            .iter()
            .enumerate()
            // A trail named twice is one trail.
            .filter(|(position, trail)| !query.trails[..*position].contains(trail))
            .filter_map(|(_, trail)| self.trails.get(trail))
            .map(|run| run.window(query.from, query.until, query.order))
            .collect();
        let mut found = Found { rows: Vec::new(), total: 0, tree_size };
        let wanted = query.offset..query.offset.saturating_add(query.limit as u64);
        while let Some(row) = next_of(&mut runs, query.order) {
            if u64::from(row) >= tree_size || !conditions.iter().all(|condition| condition.holds(row)) {
                continue;
            }
            if wanted.contains(&found.total) {
                found.rows.push((u64::from(row), self.places[row as usize]));
            }
            found.total += 1;
        }
        found
    }

    fn condition(&self, filter: &Filter) -> Condition<'_> {
        let (dimension, values, holds_if_found) = match filter {
            Filter::AnyOf(dimension, values) => (dimension, values, true),
            Filter::NoneOf(dimension, values) => (dimension, values, false),
            Filter::Either(filters) => {
                return Condition::Either(filters.iter().map(|filter| self.condition(filter)).collect());
            }
        };
        let words = &self.words[dimension.position()];
        let mut wanted: Vec<u32> =
            values.iter().filter_map(|value| words.get(value.as_str()).copied()).collect();
        wanted.sort_unstable();
        Condition::Column { column: &self.columns[dimension.position()], wanted, holds_if_found }
    }
}

fn number_of(words: &mut HashMap<Box<str>, u32>, value: &str) -> u32 {
    if let Some(&number) = words.get(value) {
        return number;
    }
    let number = u32::try_from(words.len()).expect("no more words than rows");
    words.insert(value.into(), number);
    number
}

/// A filter in terms of columns.
enum Condition<'a> {
    Column { column: &'a [u32], wanted: Vec<u32>, holds_if_found: bool },
    Either(Vec<Condition<'a>>),
}

impl Condition<'_> {
    fn holds(&self, row: u32) -> bool {
        match self {
            Condition::Column { column, wanted, holds_if_found } => {
                let word = column[row as usize];
                let is_found = match wanted[..] {
                    [only] => only == word,
                    _ => wanted.binary_search(&word).is_ok(),
                };
                is_found == *holds_if_found
            }
            Condition::Either(conditions) => conditions.iter().any(|condition| condition.holds(row)),
        }
    }
}

impl Run {
    /// Brings the rows added since the last time into order. Rows arrive in order of their index and nearly in order of
    /// time, so only what is newer than the oldest of them has to move.
    fn settle(&mut self) {
        let (start, end) = (self.settled, self.times.len());
        self.settled = end;
        if self.times[start.saturating_sub(1)..].is_sorted() {
            return;
        }
        let mut added: Vec<(i64, u32)> =
            self.times[start..].iter().copied().zip(self.rows[start..].iter().copied()).collect();
        added.sort_unstable();
        // Merges from the back into the room that the added rows took; of equal times the older row stays in front.
        let (mut old, mut free) = (start, end);
        while let Some(&(time, row)) = added.last() {
            free -= 1;
            if old > 0 && self.times[old - 1] > time {
                old -= 1;
                (self.times[free], self.rows[free]) = (self.times[old], self.rows[old]);
            } else {
                added.pop();
                (self.times[free], self.rows[free]) = (time, row);
            }
        }
    }

    fn window(&self, from: Option<Time>, until: Option<Time>, order: Order) -> Cursor<'_> {
        let before = |limit: Time| self.times.partition_point(|&time| time < limit.unix_ns());
        let start = from.map_or(0, before);
        let end = until.map_or(self.times.len(), before).max(start);
        Cursor { times: &self.times[start..end], rows: &self.rows[start..end], order }
    }
}

/// What is left of a trail's window, taken from the end that the order names.
struct Cursor<'a> {
    times: &'a [i64],
    rows: &'a [u32],
    order: Order,
}

impl Cursor<'_> {
    fn head(&self) -> Option<(i64, u32)> {
        match self.order {
            Order::Ascending => Some((*self.times.first()?, *self.rows.first()?)),
            Order::Descending => Some((*self.times.last()?, *self.rows.last()?)),
        }
    }

    fn advance(&mut self) {
        let last = self.times.len() - 1;
        match self.order {
            Order::Ascending => (self.times, self.rows) = (&self.times[1..], &self.rows[1..]),
            Order::Descending => (self.times, self.rows) = (&self.times[..last], &self.rows[..last]),
        }
    }
}

/// Takes the next row of all windows together.
fn next_of(runs: &mut [Cursor<'_>], order: Order) -> Option<u32> {
    let heads = runs.iter().enumerate().filter_map(|(position, run)| run.head().map(|head| (head, position)));
    let ((_, row), position) = match order {
        Order::Ascending => heads.min_by_key(|(head, _)| *head),
        Order::Descending => heads.max_by_key(|(head, _)| *head),
    }?;
    runs[position].advance();
    Some(row)
}
