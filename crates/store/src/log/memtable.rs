//! A memtable: the newest events, indexed in memory. Several are flushed together into a segment.
//!
//! Dimension values are numbers of a dictionary, one column for each dimension, and every trail has
//! its rows in order of time. Rows of a page are read from the journal, so that memory does not
//! hold the events themselves. A memtable does hold the entries of a segment's index, so that a
//! flush only puts rows in order.

#![allow(
    clippy::cast_possible_truncation,
    reason = "rows of a segment are fewer than 2^32; platforms have 64 bits"
)]

use std::borrow::Cow;
use std::cell::OnceCell;

use event::query::{Dimension, Filter, Query, whole_words_and_start};
use event::words::words;
use event::{Event, Service, Time, Trail};
use tlog::Hash;

use crate::hash::Map;
use crate::journal::batch::Position;
use crate::log::dedup::Key;
use crate::log::words::{NAMED, POSITIONS, Words};
use crate::segment::keys::{Fingerprint, fingerprint};

/// A missing value in a column.
pub(crate) const NONE: u32 = u32::MAX;

/// Weight of a larger event is its bytes divided by this.
const EVENT_BYTES: u64 = 2 << 10;

/// Events with consecutive indexes. Rows are counted from its first event.
#[derive(Default)]
pub(crate) struct Memtable {
    first: u64,
    frames: Vec<FrameLocation>,
    digests: Vec<Hash>,
    numbers: Vec<u64>,
    received_at: Vec<Time>,
    keys: Vec<Option<Fingerprint>>,
    /// The [`rest_of`](crate::segment::row::rest_of) of each event, one behind another, and the end
    /// of each.
    rest: Vec<u8>,
    rest_ends: Vec<usize>,
    columns: [Vec<u32>; Dimension::ALL.len()],
    /// The values of each dimension with their numbers.
    values: [Map<Box<str>, u32>; Dimension::ALL.len()],
    /// The words of each text, and the tokens of named texts, with their rows, in order.
    words: [Map<Box<[u8]>, WordRows>; POSITIONS],
    trails: Map<Trail, Run>,
    /// Bytes that its events take in the journal.
    journal_bytes: u64,
}

/// An event to be added.
pub(crate) struct NewRow<'a> {
    pub event: &'a Event,
    pub words: &'a Words,
    pub rest: &'a [u8],
    pub key: Option<&'a Key>,
    pub digest: Hash,
    pub number: u64,
    pub raw: &'a [u8],
    pub received_at: Time,
    pub frame: FrameLocation,
}

/// Location of a row's frame in the journal.
#[derive(Clone, Copy)]
pub(crate) struct FrameLocation {
    pub at: Position,
    pub len_bytes: u32,
}

/// The parts of a row beside its trail, its time and its values.
pub(crate) struct RowParts<'a> {
    /// Its number in its trail.
    pub number: u64,
    pub received_at: Time,
    pub key: Option<Fingerprint>,
    /// The [`rest_of`](crate::segment::row::rest_of) of the event.
    pub rest: &'a [u8],
}

/// The rows of a word, in order, each once. Most words of a log have one row.
enum WordRows {
    One(u32),
    Several(Vec<u32>),
}

impl WordRows {
    /// Adds a row, which does not come before the others.
    fn push(&mut self, row: u32) {
        match self {
            WordRows::One(only) if *only == row => {}
            WordRows::One(only) => *self = WordRows::Several(vec![*only, row]),
            WordRows::Several(rows) if rows.last() == Some(&row) => {}
            WordRows::Several(rows) => rows.push(row),
        }
    }

    fn as_slice(&self) -> &[u32] {
        match self {
            WordRows::One(only) => std::slice::from_ref(only),
            WordRows::Several(rows) => rows,
        }
    }
}

/// The rows of one trail, by time and then by index.
#[derive(Default)]
struct Run {
    times: Vec<i64>,
    rows: Vec<u32>,
    /// How many of them are in order; all, except while events are being added.
    settled: usize,
    /// The number in the trail of its first event here.
    first_number: u64,
    /// A database's rows in order of their numbers.
    by_number: Vec<u32>,
}

impl Memtable {
    /// An empty memtable that starts at this index.
    pub fn from(first: u64) -> Memtable {
        Memtable { first, ..Memtable::default() }
    }

    pub fn first(&self) -> u64 {
        self.first
    }

    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Weight of the events where events in memory are limited: a large event counts as several.
    pub fn weight(&self) -> u64 {
        (self.frames.len() as u64).max(self.journal_bytes / EVENT_BYTES)
    }

    /// Index behind the last event.
    pub fn end(&self) -> u64 {
        self.first + self.frames.len() as u64
    }

    /// Adds events with the next indexes, in order. Returns the trails that are new here.
    pub fn extend<'a>(
        &mut self,
        events: impl IntoIterator<Item = &'a NewRow<'a>>,
    ) -> Vec<&'a Trail> {
        let (mut touched, mut new) = (Vec::new(), Vec::new());
        for added in events {
            let trail = &added.event.trail;
            // All rows of a trail are settled unless an earlier event of this call touched it.
            let (settled, events) = self.push(added);
            if settled + 1 == events {
                touched.push(trail);
            }
            if events == 1 {
                new.push(trail);
            }
        }
        for trail in touched {
            self.trails.get_mut(trail).expect("its events were just added").settle();
        }
        new
    }

    /// Returns the number of settled events of the trail, and of all with this one.
    fn push(&mut self, added: &NewRow<'_>) -> (usize, usize) {
        let (event, frame) = (added.event, added.frame);
        let row = u32::try_from(self.frames.len())
            .expect("a memtable is limited to far below 2^32 events");
        self.frames.push(frame);
        self.journal_bytes += u64::from(frame.len_bytes);
        self.digests.push(added.digest);
        self.numbers.push(added.number);
        self.received_at.push(added.received_at);
        self.keys.push(added.key.map(fingerprint));
        self.rest.extend_from_slice(added.rest);
        self.rest_ends.push(self.rest.len());
        for dimension in Dimension::ALL {
            let values = &mut self.values[dimension.position()];
            let number = dimension
                .with_value(event, |value| value.map_or(NONE, |value| number_of(values, value)));
            self.columns[dimension.position()].push(number);
        }
        for (text, word) in added.words.iter() {
            let words = &mut self.words[text];
            match words.get_mut(word) {
                Some(rows) => rows.push(row),
                None => {
                    words.insert(word.into(), WordRows::One(row));
                }
            }
        }
        let run = match self.trails.get_mut(&event.trail) {
            Some(run) => run,
            None => {
                let run = Run { first_number: added.number, ..Run::default() };
                self.trails.entry(event.trail.clone()).or_insert(run)
            }
        };
        run.times.push(event.occurred_at.unix_ns());
        run.rows.push(row);
        if event.trail.service() == Service::Database {
            run.by_number.push(row);
        }
        (run.settled, run.times.len())
    }

    /// The digests of the entries, row by row.
    pub fn digests(&self) -> &[Hash] {
        &self.digests
    }

    /// Location of the frame of a row.
    pub fn frame(&self, row: u32) -> FrameLocation {
        self.frames[row as usize]
    }

    /// The parts of a row beside its values.
    pub fn row(&self, row: u32) -> RowParts<'_> {
        let row = row as usize;
        let rest_start = row.checked_sub(1).map_or(0, |before| self.rest_ends[before]);
        RowParts {
            number: self.numbers[row],
            received_at: self.received_at[row],
            key: self.keys[row],
            rest: &self.rest[rest_start..self.rest_ends[row]],
        }
    }

    /// The number of each row's value of a dimension, or [`NONE`].
    pub fn column(&self, dimension: Dimension) -> &[u32] {
        &self.columns[dimension.position()]
    }

    /// The values of a dimension with their numbers, all below the number of values.
    pub fn values(&self, dimension: Dimension) -> impl ExactSizeIterator<Item = (&str, u32)> {
        self.values[dimension.position()].iter().map(|(value, number)| (&**value, *number))
    }

    /// The words at a position with their rows, which are in order.
    pub fn words(&self, position: usize) -> impl Iterator<Item = (&[u8], &[u32])> {
        self.words[position].iter().map(|(word, rows)| (&**word, rows.as_slice()))
    }

    /// Every trail with the times and rows of its events, in order.
    pub fn runs(&self) -> impl Iterator<Item = (&Trail, &[i64], &[u32])> {
        self.trails.iter().map(|(trail, run)| (trail, &run.times[..], &run.rows[..]))
    }

    /// `count` rows of a database trail in order of their numbers, from this number on, or fewer at
    /// the end.
    pub fn rows_by_number(&self, trail: &Trail, first_number: u64, count: u64) -> &[u32] {
        let Some(run) = self.trails.get(trail) else { return &[] };
        let len = run.by_number.len() as u64;
        let start = first_number.saturating_sub(run.first_number).min(len);
        let end = start
            .saturating_add(count.saturating_sub(run.first_number.saturating_sub(first_number)))
            .min(len);
        &run.by_number[start as usize..end as usize]
    }

    /// Binds a query to the memtable. Events beyond the first `tree_size` of the log are left out.
    pub fn bind<'q>(&self, query: &'q Query, tree_size: u64) -> BoundQuery<'_, 'q> {
        BoundQuery { memtable: self, query, tree_size, conditions: OnceCell::new() }
    }

    /// Counts of the rows by value of a dimension; `None` counts those without a value.
    pub fn counts(
        &self,
        dimension: Dimension,
        rows: impl Iterator<Item = u32>,
    ) -> Vec<(Option<&str>, u64)> {
        let column = &self.columns[dimension.position()];
        let values = &self.values[dimension.position()];
        let mut counts = vec![0; values.len() + 1];
        for row in rows {
            let number = column[row as usize];
            counts[if number == NONE { values.len() } else { number as usize }] += 1;
        }
        let counted =
            values.iter().map(|(value, number)| (Some(&**value), counts[*number as usize]));
        counted.chain([(None, counts[values.len()])]).filter(|(_, count)| *count > 0).collect()
    }

    fn numbers_of(&self, dimension: Dimension, values: &[String]) -> Vec<u32> {
        let known = &self.values[dimension.position()];
        values.iter().filter_map(|value| known.get(value.as_str()).copied()).collect()
    }

    /// The rows with a word at this position that begins so, in order, each once.
    fn rows_with_prefix(&self, position: usize, start: &str) -> Vec<u32> {
        let words = self.words[position].iter();
        let found = words.filter(|(word, _)| word.starts_with(start.as_bytes()));
        let mut rows: Vec<u32> = found.flat_map(|(_, rows)| rows.as_slice()).copied().collect();
        rows.sort_unstable();
        rows.dedup();
        rows
    }

    fn condition(&self, filter: &Filter) -> Condition<'_> {
        let (dimension, mut wanted, holds_if_found): (_, Vec<u32>, _) = match filter {
            Filter::AnyOf(dimension, values) => {
                (dimension, self.numbers_of(*dimension, values), true)
            }
            Filter::NoneOf(dimension, values) => {
                (dimension, self.numbers_of(*dimension, values), false)
            }
            Filter::Prefix(dimension, start) => {
                let values = self.values[dimension.position()].iter();
                let numbers = values
                    .filter(|(value, _)| value.starts_with(&**start))
                    .map(|(_, number)| *number);
                (dimension, numbers.collect(), true)
            }
            Filter::Words(text, wanted) => {
                let rows_of = |word: String| self.words[text.position()].get(word.as_bytes());
                return Condition::Every(
                    words(wanted)
                        .into_iter()
                        .map(|word| {
                            Cow::Borrowed(rows_of(word).map_or(&[][..], WordRows::as_slice))
                        })
                        .collect(),
                );
            }
            Filter::WordPrefix(text, wanted) => {
                let (whole, start) = whole_words_and_start(wanted);
                let Condition::Every(mut every) = self.condition(&Filter::Words(*text, whole))
                else {
                    unreachable!("words make rows")
                };
                if !start.is_empty() {
                    every.push(Cow::Owned(self.rows_with_prefix(text.position(), &start)));
                }
                return Condition::Every(every);
            }
            Filter::Named(name, value) => {
                let rows = self.words[NAMED].get(name.token(value).as_bytes());
                return Condition::Every(vec![Cow::Borrowed(
                    rows.map_or(&[][..], WordRows::as_slice),
                )]);
            }
            Filter::NamedPrefix(name, start) => {
                let rows =
                    name.token_prefix(start).map(|prefix| self.rows_with_prefix(NAMED, &prefix));
                return Condition::Every(vec![Cow::Owned(rows.unwrap_or_default())]);
            }
            Filter::Either(filters) => {
                return Condition::Either(
                    filters.iter().map(|filter| self.condition(filter)).collect(),
                );
            }
            Filter::Not(filter) => return Condition::Not(Box::new(self.condition(filter))),
        };
        wanted.sort_unstable();
        Condition::Column { column: &self.columns[dimension.position()], wanted, holds_if_found }
    }
}

/// A query on a memtable. Its filters are looked up once, for all trails, at the first trail with
/// rows within the window.
pub(crate) struct BoundQuery<'a, 'q> {
    memtable: &'a Memtable,
    query: &'q Query,
    tree_size: u64,
    conditions: OnceCell<Vec<Condition<'a>>>,
}

impl<'a> BoundQuery<'a, '_> {
    /// The matching rows of a trail; `None` when it has none within the window.
    pub fn matching(&self, trail: &Trail) -> Option<Slice<'a>> {
        let BoundQuery { memtable, query, tree_size, .. } = *self;
        let (times, rows) = memtable.trails.get(trail)?.window(query.from, query.until);
        let first = memtable.first;
        if rows.is_empty() {
            return None;
        }
        if query.filters.is_empty() && memtable.end() <= tree_size {
            return Some(Slice { first, times: Cow::Borrowed(times), rows: Cow::Borrowed(rows) });
        }
        let conditions = self.conditions.get_or_init(|| {
            query.filters.iter().map(|filter| memtable.condition(filter)).collect()
        });
        let (times, rows) = times
            .iter()
            .zip(rows)
            .filter(|(_, row)| first + u64::from(**row) < tree_size)
            .filter(|(_, row)| conditions.iter().all(|condition| condition.holds(**row)))
            .unzip();
        Some(Slice { first, times: Cow::Owned(times), rows: Cow::Owned(rows) })
    }
}

/// Matching rows of a memtable, in order of time and index.
pub(crate) struct Slice<'a> {
    first: u64,
    times: Cow<'a, [i64]>,
    rows: Cow<'a, [u32]>,
}

impl Slice<'_> {
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The row at this position of the slice.
    pub fn row(&self, at: usize) -> u32 {
        self.rows[at]
    }

    /// Its time and index.
    pub fn position(&self, at: usize) -> (i64, u64) {
        (self.times[at], self.first + u64::from(self.rows[at]))
    }

    /// Number of rows before this time and index.
    pub fn before(&self, position: (i64, u64)) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.position(middle) < position {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    pub fn borrowed(&self) -> Slice<'_> {
        Slice {
            first: self.first,
            times: Cow::Borrowed(&self.times),
            rows: Cow::Borrowed(&self.rows),
        }
    }

    pub fn into_owned(self) -> Slice<'static> {
        Slice {
            first: self.first,
            times: Cow::Owned(self.times.into_owned()),
            rows: Cow::Owned(self.rows.into_owned()),
        }
    }
}

fn number_of(values: &mut Map<Box<str>, u32>, value: &str) -> u32 {
    if let Some(&number) = values.get(value) {
        return number;
    }
    let number = u32::try_from(values.len()).expect("no more values than rows");
    values.insert(value.into(), number);
    number
}

/// A filter in terms of columns.
enum Condition<'a> {
    /// The row has one of these values, or none of them. The values are in order.
    Column {
        column: &'a [u32],
        wanted: Vec<u32>,
        holds_if_found: bool,
    },
    /// The row is in each of these lists, which are in order.
    Every(Vec<Cow<'a, [u32]>>),
    Either(Vec<Condition<'a>>),
    Not(Box<Condition<'a>>),
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
            Condition::Every(lists) => lists.iter().all(|rows| rows.binary_search(&row).is_ok()),
            Condition::Either(conditions) => {
                conditions.iter().any(|condition| condition.holds(row))
            }
            Condition::Not(condition) => !condition.holds(row),
        }
    }
}

impl Run {
    /// Brings the rows added since the last call into order. Rows arrive in order of their index
    /// and nearly in order of time, so only rows newer than the oldest added one have to move.
    fn settle(&mut self) {
        let (start, end) = (self.settled, self.times.len());
        self.settled = end;
        if self.times[start.saturating_sub(1)..].is_sorted() {
            return;
        }
        let mut added: Vec<(i64, u32)> =
            self.times[start..].iter().copied().zip(self.rows[start..].iter().copied()).collect();
        added.sort_unstable();
        // Merges from the back into the space of the added rows; of equal times the older row stays
        // in front.
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

    fn window(&self, from: Option<Time>, until: Option<Time>) -> (&[i64], &[u32]) {
        let before = |limit: Time| self.times.partition_point(|&time| time < limit.unix_ns());
        let start = from.map_or(0, before);
        let end = until.map_or(self.times.len(), before).max(start);
        (&self.times[start..end], &self.rows[start..end])
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use event::query::Filter;

    use super::*;
    use crate::samples::{event, trail};
    use crate::segment::row::rest_of;

    /// A memtable of events of one trail, at these times and with these actions.
    pub(crate) fn memtable(first: u64, events: &[(i64, &str)]) -> Memtable {
        let mut memtable = Memtable::from(first);
        for ((time, action), number) in events.iter().zip(1..) {
            let event = Event { action: (*action).to_owned(), ..event(*time) };
            memtable.extend([&NewRow {
                event: &event,
                words: &Words::of(&event),
                rest: &rest_of(&event),
                key: None,
                digest: [0; 32],
                number,
                raw: &event.raw,
                received_at: Time::from_unix_ns(0),
                frame: FrameLocation { at: Position { file: 0, offset: 0 }, len_bytes: 10 },
            }]);
        }
        memtable
    }

    fn positions(memtable: &Memtable, query: &Query, tree_size: u64) -> Vec<(i64, u64)> {
        let Some(slice) = memtable.bind(query, tree_size).matching(&trail()) else {
            return Vec::new();
        };
        (0..slice.len()).map(|at| slice.position(at)).collect()
    }

    #[test]
    fn late_events_are_sorted_by_time_and_then_by_index() {
        let memtable = memtable(10, &[(5, "a"), (9, "b"), (2, "c"), (5, "d")]);
        let query = Query::of(trail());
        let all = [(2, 12), (5, 10), (5, 13), (9, 11)];
        assert_eq!(positions(&memtable, &query, u64::MAX), all);
        assert_eq!(positions(&memtable, &query, 12), [(5, 10), (9, 11)], "as of 12 events");
        let from = Some(Time::from_unix_ns(5));
        let until = Some(Time::from_unix_ns(9));
        assert_eq!(positions(&memtable, &Query { from, until, ..query }, 99), all[1..3]);
        let slice_query = Query::of(trail());
        let slice = memtable.bind(&slice_query, 99).matching(&trail()).expect("rows");
        assert_eq!([(0, 0), (5, 10), (5, 11), (99, 0)].map(|key| slice.before(key)), [0, 1, 2, 4]);
    }

    #[test]
    fn filters_select_rows() {
        let memtable = memtable(0, &[(1, "pull"), (2, "push"), (3, "purge"), (4, "pull")]);
        let rows = |filter: Filter| {
            let query = Query { filters: vec![filter], ..Query::of(trail()) };
            positions(&memtable, &query, 99).iter().map(|(_, index)| *index).collect::<Vec<_>>()
        };
        let of =
            |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>();
        let action = Dimension::Action;
        assert_eq!(rows(Filter::AnyOf(action, of(&["pull", "none"]))), [0, 3]);
        assert_eq!(rows(Filter::NoneOf(action, of(&["pull"]))), [1, 2]);
        assert_eq!(rows(Filter::Prefix(action, "pu".to_owned())), [0, 1, 2, 3]);
        assert_eq!(rows(Filter::Prefix(action, "pur".to_owned())), [2]);
        let not = Filter::Not(Box::new(Filter::is(action, "push")));
        assert_eq!(rows(not), [0, 2, 3]);
        let either = Filter::Either(vec![Filter::is(action, "push"), Filter::is(action, "purge")]);
        assert_eq!(rows(either), [1, 2]);
        assert_eq!(rows(Filter::Either(Vec::new())), [0u64; 0]);
    }

    #[test]
    fn values_are_counted() {
        let memtable = memtable(0, &[(1, "pull"), (2, "push"), (3, "pull")]);
        let mut counts = memtable.counts(Dimension::Action, [0, 1, 2].into_iter());
        counts.sort_unstable();
        assert_eq!(counts, [(Some("pull"), 2), (Some("push"), 1)]);
        assert_eq!(memtable.counts(Dimension::ActorId, [0, 2].into_iter()), [(None, 2)]);
    }

    #[test]
    fn a_large_event_weighs_as_several() {
        let mut memtable = memtable(0, &[(1, "pull"), (2, "pull")]);
        assert_eq!(memtable.weight(), 2);
        memtable.journal_bytes = 10 * EVENT_BYTES;
        assert_eq!((memtable.weight(), memtable.end()), (10, 2));
    }
}
