//! Segments: sealed events, immutable, each a table that any data tool opens and an index that answers questions.
//!
//! The rows of a segment are in order of trail, time and index, so that a trail is one run of rows, and a window of it a
//! range. The index tells for each value of a dimension which rows have it, and for each row which values it has; what
//! else a row has is in small compressed groups. The table is read for entries and raw bytes alone.

#![allow(
    clippy::cast_possible_truncation,
    reason = "rows of a segment are fewer than 2^32; platforms have 64 bits"
)]

mod blocks;
mod build;
mod check;
mod keys;
mod merge;
mod packed;
mod postings;
mod rest;
mod rows;
mod table;
mod terms;
mod write;

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use event::entry::Entry;
use event::query::{Dimension, Reads, Text};
use event::{Time, Trail};
use roaring::RoaringBitmap;
use serde::{Deserialize, Serialize};
use zstd::zstd_safe::DDict;

use crate::Error;
use crate::audit_files::StoredFile;
use crate::durable::{Disk, File};
use crate::hash::Map;
use blocks::BlockReader;
use rows::RowReader;
use table::Table;
use terms::take_varint;

pub(crate) use blocks::Cache;
pub(crate) use build::{Builder, Sealed, Written, dictionary};
pub(crate) use check::word_sum;
pub(crate) use merge::{Stopped, merge};
pub(crate) use postings::{Opened, Where};
pub(crate) use rows::Column;
pub(crate) use table::CHUNK as TABLE_CHUNK;
pub(crate) use terms::Terms;

// Sections of an index.
const META: u8 = 0;
const RUNS: u8 = 1;
const TIMES: u8 = 2;
const INDEXES: u8 = 3;
const NUMBERS: u8 = 4;
const BY_NUMBER: u8 = 5;
const REST: u8 = 6;
const ZSTD_DICTIONARY: u8 = 7;
const KEYS: u8 = 8;
const FILTER: u8 = 9;
const FILES: u8 = 10;
const TABLE_SUMS: u8 = 11;
const TIMES_FIRST: u8 = 12;
const KEY_ROWS: u8 = 13;

/// The section of a dimension's column.
fn column_section(position: u8) -> u8 {
    16 + position
}

/// The section of values, of a dimension or, behind all of those, of a text's words; the two behind it are the block above
/// them, and their rows.
fn values_section(position: u8) -> u8 {
    64 + 3 * position
}

/// Rows of a compressed group of what is in no column, and groups of a block.
const REST_ROWS: usize = 8;
const REST_GROUPS: usize = 64;

/// No more values of a dimension, in no more bytes, stay in memory while a segment is open.
const FEW_VALUES: u64 = 256;
const FEW_VALUES_BYTES: u64 = 16 << 10;

/// What a segment holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Meta {
    /// Index of its first event.
    pub first: u64,
    /// How many events; their indexes follow each other.
    pub events: u64,
    /// The earliest and the latest time that an event occurred, in nanoseconds.
    pub earliest_ns: i64,
    pub latest_ns: i64,
}

impl Meta {
    fn add(&mut self, index: u64, at: Time) {
        let at = at.unix_ns();
        let is_empty = self.events == 0;
        self.first = if is_empty { index } else { self.first.min(index) };
        self.earliest_ns = if is_empty { at } else { self.earliest_ns.min(at) };
        self.latest_ns = if is_empty { at } else { self.latest_ns.max(at) };
        self.events += 1;
    }

    /// Index behind its last event.
    pub fn end(&self) -> u64 {
        self.first + self.events
    }
}

/// The rows of a trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub start: u32,
    pub end: u32,
    /// The number of the first of its events in the order of their indexes; the others follow without a gap.
    pub first_number: u64,
    pub earliest_ns: i64,
    pub latest_ns: i64,
    /// How many rows of database trails come before.
    before: u32,
}

/// An open segment.
pub(crate) struct Segment {
    pub meta: Meta,
    pub name: String,
    index: BlockReader,
    /// In order.
    runs: Vec<(Trail, Run)>,
    positions: Map<Trail, usize>,
    few_values: [OnceLock<Option<Vec<Box<str>>>>; Dimension::ALL.len()],
    dictionary: DDict<'static>,
    table: OnceLock<Table>,
    table_file: Arc<dyn File>,
}

/// Finds rows by time and index; it holds on to what it read last.
pub(crate) struct Places<'a> {
    segment: &'a Segment,
    /// The first time of each block.
    firsts: Arc<[u8]>,
    times: Column<'a>,
    indexes: Column<'a>,
}

impl Places<'_> {
    /// The first row of the range, which is of one trail, whose time and index do not come before these.
    pub fn lower_bound(&mut self, rows: Range<u32>, key: (i64, u64)) -> Result<u32, Error> {
        if rows.is_empty() {
            return Ok(rows.start);
        }
        // Which block of times it is in: the last one within the range that begins before the key.
        let blocks = rows.start as usize / packed::VALUES + 1..(rows.end as usize - 1) / packed::VALUES + 1;
        let within = self.firsts.as_chunks::<8>().0.get(blocks.clone());
        let within = within.ok_or_else(|| self.segment.nonsense(TIMES_FIRST))?;
        let block = blocks.start - 1 + within.partition_point(|first| i64::from_le_bytes(*first) < key.0);
        let at = |block: usize| (block * packed::VALUES) as u32;
        let (mut low, mut high) = (rows.start.max(at(block)), rows.end.min(at(block + 1)));
        // Rows of the same time may go on in the blocks that begin with it.
        if high < rows.end && key.1 > 0 && self.times.get(high)? == key.0 {
            high = rows.end;
        }
        while low < high {
            let middle = low + (high - low) / 2;
            let time = self.times.get(middle)?;
            let comes_before =
                time < key.0 || time == key.0 && self.indexes.get(middle)?.cast_unsigned() < key.1;
            if comes_before {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }
}

impl Segment {
    /// Opens the two files of a segment. `id` must be of no other segment that shares the cache.
    pub fn open(disk: &dyn Disk, name: &str, id: u32, cache: Arc<Cache>) -> Result<Segment, Error> {
        let (table, index) = (format!("{name}.parquet"), format!("{name}.index"));
        let open = |path: &str| {
            disk.open(path).map_err(|cause| match cause.kind() {
                std::io::ErrorKind::NotFound => {
                    Error::damage(path, 0, "the manifest names this file, and it is not there")
                }
                _ => Error::Io { doing: format!("open {path}"), cause },
            })
        };
        let table_file = open(&table)?;
        let index = BlockReader::open(open(&index)?, &index, id, cache)?;
        let nonsense = |section| index.damage(section, "a section that makes no sense");
        let meta: Meta = serde_json::from_slice(&index.block(META, 0)?).map_err(|_| nonsense(META))?;
        let rows = u32::try_from(meta.events).map_err(|_| nonsense(META))?;
        let runs = read_runs(&index.block(RUNS, 0)?, rows).ok_or_else(|| nonsense(RUNS))?;
        let positions =
            runs.iter().zip(0..).map(|((trail, _), position)| (trail.clone(), position)).collect();
        let dictionary = DDict::create(&index.block(ZSTD_DICTIONARY, 0)?);
        Ok(Segment {
            meta,
            name: name.to_owned(),
            index,
            runs,
            positions,
            few_values: Default::default(),
            dictionary,
            table: OnceLock::new(),
            table_file,
        })
    }

    /// Every trail with its rows, in order.
    pub fn trails(&self) -> impl Iterator<Item = (&Trail, &Run)> {
        self.runs.iter().map(|(trail, run)| (trail, run))
    }

    /// The trail and the run that a row is in.
    pub fn run_of(&self, row: u32) -> (&Trail, Run) {
        let (trail, run) = &self.runs[self.runs.partition_point(|(_, run)| run.start <= row) - 1];
        (trail, *run)
    }

    pub fn run(&self, trail: &Trail) -> Option<Run> {
        self.positions.get(trail).map(|position| self.runs[*position].1)
    }

    pub fn times(&self) -> Column<'_> {
        Column { file: &self.index, section: TIMES, block: None }
    }

    pub fn indexes(&self) -> Column<'_> {
        Column { file: &self.index, section: INDEXES, block: None }
    }

    fn numbers(&self) -> Column<'_> {
        Column { file: &self.index, section: NUMBERS, block: None }
    }

    pub fn column(&self, dimension: Dimension) -> Column<'_> {
        Column { file: &self.index, section: column_section(dimension.position() as u8), block: None }
    }
    /// Where rows are by time and index.
    pub fn places(&self) -> Result<Places<'_>, Error> {
        let firsts = self.index.block(TIMES_FIRST, 0)?;
        Ok(Places { segment: self, firsts, times: self.times(), indexes: self.indexes() })
    }

    /// The rows of a range whose index is below this.
    pub fn rows_below(&self, index: u64, rows: Range<u32>) -> Result<RoaringBitmap, Error> {
        let mut found = RoaringBitmap::new();
        let is_below = |value: i64| value.cast_unsigned() < index;
        self.indexes().each_block(rows, &mut |first, packed, positions| {
            let (least, most) = packed.bounds();
            let row_at = |position: usize| first + position as u32;
            if is_below(most) {
                found.insert_range(row_at(positions.start)..row_at(positions.end));
            } else if is_below(least) {
                found.extend(positions.filter(|at| is_below(packed.get(*at))).map(row_at));
            }
        })?;
        Ok(found)
    }

    /// All values of a dimension by ordinal, if they are few and short enough to stay in memory.
    fn few_values(&self, dimension: Dimension) -> Result<Option<&[Box<str>]>, Error> {
        let known = &self.few_values[dimension.position()];
        if let Some(values) = known.get() {
            return Ok(values.as_deref());
        }
        let terms = self.terms(dimension);
        let len = terms.len()?;
        let is_short = len <= FEW_VALUES
            && self.index.section_bytes(values_section(dimension.position() as u8)) <= FEW_VALUES_BYTES;
        let values = if is_short {
            let values = (0..len).map(|ordinal| self.value(dimension, ordinal).map(String::into_boxed_str));
            Some(values.collect::<Result<Vec<_>, Error>>()?)
        } else {
            None
        };
        Ok(known.get_or_init(|| values).as_deref())
    }

    /// The value of a dimension with this ordinal.
    pub fn value(&self, dimension: Dimension, ordinal: u64) -> Result<String, Error> {
        let value = self.terms(dimension).value(ordinal)?;
        String::from_utf8(value).map_err(|_| self.nonsense(values_section(dimension.position() as u8)))
    }

    /// The values of a dimension.
    pub fn terms(&self, dimension: Dimension) -> Terms<'_> {
        self.values(dimension.position())
    }

    /// The words of a text.
    pub fn words(&self, text: Text) -> Terms<'_> {
        self.values(Dimension::ALL.len() + text.position())
    }

    /// The values with this position: those of the dimensions, then the words of the texts.
    fn values(&self, position: usize) -> Terms<'_> {
        Terms { file: &self.index, section: values_section(position as u8) }
    }

    /// The rows, in the order they are asked for: index and event. Raw bytes and a source's key are left out.
    pub fn read(&self, rows: &[u32], reads: Reads) -> Result<Vec<(u64, Entry)>, Error> {
        let mut reader = RowReader::of(self, reads);
        rows.iter().map(|row| reader.row(*row)).collect()
    }

    /// Rows of a database trail in order of their numbers: so many from this number on, as far as there are any.
    pub fn rows_by_number(&self, run: Run, first_number: u64, count: u64) -> Result<Vec<u32>, Error> {
        let mut column = Column { file: &self.index, section: BY_NUMBER, block: None };
        let len = u64::from(run.end - run.start);
        let start = first_number.saturating_sub(run.first_number).min(len);
        let end = start.saturating_add(count).min(len);
        (start..end)
            .map(|position| {
                let row = column.get(run.before + position as u32)?;
                u32::try_from(row).map_err(|_| self.nonsense(BY_NUMBER))
            })
            .collect()
    }

    /// The audit log files that its events ended.
    pub fn audit_files(&self) -> Result<Vec<StoredFile>, Error> {
        let bytes = zstd::stream::decode_all(&self.index.block(FILES, 0)?[..]);
        serde_json::from_slice(&bytes.map_err(|_| self.nonsense(FILES))?).map_err(|_| self.nonsense(FILES))
    }

    /// The bytes as received of a database trail's events: so many from this number on, as far as there are any.
    pub fn lines(&self, trail: &Trail, first_number: u64, count: u64) -> Result<Vec<bytes::Bytes>, Error> {
        let Some(run) = self.run(trail).filter(|run| run.first_number <= first_number) else {
            return Ok(Vec::new());
        };
        let rows = self.rows_by_number(run, first_number, count)?;
        let mut lines = Vec::with_capacity(rows.len());
        // Numbers and times mostly go together, so that rows mostly follow each other.
        for rows in rows.chunk_by(|row, next| row + 1 == *next) {
            lines.extend(self.raws(rows[0], rows.len())?);
        }
        Ok(lines)
    }

    /// The canonical entries of consecutive rows, as they were stored.
    pub fn entries(&self, first: u32, count: usize) -> Result<Vec<bytes::Bytes>, Error> {
        self.table()?.entries(u64::from(first), count)
    }

    /// The bytes as received of consecutive rows, as they were stored.
    pub fn raws(&self, first: u32, count: usize) -> Result<Vec<bytes::Bytes>, Error> {
        self.table()?.raws(u64::from(first), count)
    }

    /// CRC-32C of each [`TABLE_CHUNK`] of the table.
    pub fn table_sums(&self) -> Result<Vec<u32>, Error> {
        let sums = self.index.block(TABLE_SUMS, 0)?;
        Ok(sums.as_chunks().0.iter().map(|sum| u32::from_le_bytes(*sum)).collect())
    }

    fn table(&self) -> Result<&Table, Error> {
        if let Some(table) = self.table.get() {
            return Ok(table);
        }
        let name = self.table_name();
        let table = Table::open(Arc::clone(&self.table_file), &name, self.table_sums()?)?;
        if table.rows() != self.meta.events {
            return Err(Error::damage(&name, 0, "another number of rows than the index has"));
        }
        Ok(self.table.get_or_init(|| table))
    }

    pub fn table_name(&self) -> String {
        format!("{}.parquet", self.name)
    }

    fn nonsense(&self, section: u8) -> Error {
        self.index.damage(section, "a section that makes no sense")
    }
}

fn read_runs(mut bytes: &[u8], rows: u32) -> Option<Vec<(Trail, Run)>> {
    let mut listed: Vec<(Trail, u32, u64, i64, i64)> = Vec::new();
    while !bytes.is_empty() {
        let len = usize::try_from(take_varint(&mut bytes)?).ok()?;
        let (text, rest) = bytes.split_at_checked(len)?;
        bytes = rest;
        let trail = std::str::from_utf8(text).ok()?.parse().ok()?;
        let (start, first_number) = (u32::try_from(take_varint(&mut bytes)?).ok()?, take_varint(&mut bytes)?);
        let (times, rest) = bytes.split_at_checked(16)?;
        let time = |at: usize| Some(i64::from_le_bytes(*times[at..].first_chunk()?));
        listed.push((trail, start, first_number, time(0)?, time(8)?));
        bytes = rest;
    }
    let ends: Vec<u32> = listed.iter().skip(1).map(|(_, start, ..)| *start).chain([rows]).collect();
    let mut before = 0;
    let mut runs = Vec::with_capacity(listed.len());
    for ((trail, start, first_number, earliest_ns, latest_ns), end) in listed.into_iter().zip(ends) {
        let run = Run { start, end, first_number, earliest_ns, latest_ns, before };
        if end <= start {
            return None;
        }
        if trail.service() == event::Service::Database {
            before += end - start;
        }
        runs.push((trail, run));
    }
    runs.is_sorted_by(|a, b| a.0 < b.0).then_some(runs)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use event::entry::{self, Template};
    use event::query::INSTANCE_ID;
    use event::{
        Actor, ActorKind, Class, Event, EventId, LOG_FILE, Operation, Origin, Outcome, OutcomeKind,
        Resolution, Resource, Service, Severity, SourceIp, Trust,
    };
    use proptest::prelude::*;
    use proptest::strategy::ValueTree as _;

    use sha2::{Digest, Sha256};

    use super::*;
    use crate::dedup::event_key;
    use crate::simulated::SimulatedDisk;

    const TRAILS: [(Service, &str); 3] =
        [(Service::Registry, "hub"), (Service::Database, "orders"), (Service::Database, "stock")];

    fn any_event() -> impl Strategy<Value = Event> {
        let texts = prop::option::of("[a-c]{0,2}|李雷|[a-z ]{30,60}");
        let who = (texts.clone(), texts.clone(), prop::sample::select(ActorKind::ALL));
        let what = (texts.clone(), texts.clone(), texts.clone(), texts.clone());
        let how = (prop::sample::select(Operation::ALL), prop::option::of(0u32..600), texts.clone(), 1u8..=4);
        let more =
            (texts.clone(), texts.clone(), texts.clone(), texts.clone(), prop::option::of(any::<[u8; 4]>()));
        (0usize..3, 0i64..50, who, what, how, more, any::<[u8; 10]>()).prop_map(
            |(trail, at, who, what, how, more, random)| {
                let (service, instance) = TRAILS[trail];
                let mut attributes = BTreeMap::new();
                attributes.extend(more.0.clone().map(|text| (INSTANCE_ID.to_owned(), text)));
                attributes.extend(more.1.clone().map(|text| (LOG_FILE.to_owned(), text)));
                Event {
                    id: EventId::v7(Time::from_unix_ns(at), random),
                    trail: Trail::new(service, "acme", "p", instance).expect("valid"),
                    occurred_at: Time::from_unix_ns(1_790_000_000_000_000_000 + at * 1_000_000),
                    resolution: Resolution::ALL[(at % 4) as usize],
                    actor: Actor { id: who.0, name: who.1, kind: who.2 },
                    source_ip: more.4.map(|ip| SourceIp { address: ip.into(), trust: Trust::Forwarded }),
                    user_agent: more.2,
                    action: "do".to_owned(),
                    operation: how.0,
                    resource: Resource { kind: what.0, name: what.1.clone(), id: what.2, region: what.3 },
                    outcome: Outcome { kind: OutcomeKind::Failure, code: how.1, reason: how.2 },
                    severity: Severity::new(how.3).expect("valid"),
                    class: Class::Security,
                    description: what
                        .1
                        .clone()
                        .map(|name| format!("did {name} {}", more.3.as_deref().unwrap_or_default())),
                    request_id: more.3,
                    trace_id: None,
                    origin: Origin { source: "s".to_owned(), format: "daybook".to_owned(), key: None },
                    attributes,
                    raw: random.to_vec(),
                }
            },
        )
    }

    /// The rows of a segment of these events, which have indexes from `first` on, in the order of a segment.
    fn rows(mut events: Vec<Event>, first: u64) -> Vec<(u64, Vec<u8>, Vec<u8>)> {
        let mut numbers: HashMap<Trail, u64> = HashMap::new();
        let mut rows: Vec<_> = events
            .iter_mut()
            .zip(first..)
            .map(|(event, index)| {
                event.origin.key = (index % 5 > 0).then(|| format!("k{index}"));
                let number = numbers.entry(event.trail.clone()).or_insert(7);
                *number += 1;
                let mut bytes = Vec::new();
                let received_at = event.occurred_at.plus_seconds((index % 3) as i64 - 1);
                Template::new(event).fill(*number, received_at, &mut bytes);
                ((event.trail.clone(), event.occurred_at.unix_ns(), index), (index, bytes, event.raw.clone()))
            })
            .collect();
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        rows.into_iter().map(|(_, row)| row).collect()
    }

    fn written(rows: &[(u64, Vec<u8>, Vec<u8>)]) -> Segment {
        let disk = SimulatedDisk::new(1);
        let file = |name: &str| disk.create(name).expect("room");
        let entries: Vec<Entry> =
            rows.iter().map(|(_, bytes, _)| entry::decode(bytes).expect("an entry")).collect();
        let dictionary = dictionary(entries.iter());
        let mut builder = Builder::new(file("s.parquet"), file("s.index"), &dictionary).expect("room");
        for ((index, bytes, raw), entry) in rows.iter().zip(&entries) {
            builder.push(&Sealed { index: *index, entry, bytes, raw }).expect("room");
        }
        builder.finish(&[]).expect("room");
        Segment::open(&disk, "s", 0, Arc::new(Cache::new(1 << 20))).expect("whole")
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn rows_come_back(events in prop::collection::vec(any_event(), 1..120), first in 0u64..1000) {
            let count = events.len() as u64;
            let rows = rows(events, first);
            let segment = written(&rows);
            prop_assert_eq!((segment.meta.first, segment.meta.end()), (first, first + count));
            let all: Vec<u32> = (0..count as u32).collect();
            let read = segment.read(&all, Reads::All).expect("whole");
            for (((index, bytes, raw), (read_index, read)), row) in rows.iter().zip(read).zip(0u32..) {
                let mut expected = entry::decode(bytes).expect("an entry");
                let key = expected.event.origin.key.take();
                expected.raw_sha256 = [0; 32];
                prop_assert_eq!((read_index, read), (*index, expected));
                prop_assert_eq!(&segment.entries(row, 1).expect("whole")[0][..], &bytes[..]);
                prop_assert_eq!(&segment.raws(row, 1).expect("whole")[0][..], &raw[..]);
                if let Some(key) = key {
                    let found = segment.find_key(&event_key("s", &key)).expect("whole").expect("there");
                    prop_assert_eq!(found.index, *index);
                    prop_assert!(found.has_content(&Sha256::digest(raw).into()));
                }
            }
            for unknown in 0..50 {
                let key = event_key("s", &format!("unknown {unknown}"));
                prop_assert!(segment.find_key(&key).expect("whole").is_none());
            }
        }

        #[test]
        fn trails_and_values_have_their_rows(events in prop::collection::vec(any_event(), 1..120)) {
            let rows = rows(events, 0);
            let segment = written(&rows);
            let decoded: Vec<Entry> = rows.iter().map(|(_, bytes, _)| entry::decode(bytes).expect("an entry")).collect();
            for (trail, run) in segment.trails() {
                let inside = |row: u32| decoded[row as usize].event.trail == *trail;
                prop_assert!((0..rows.len() as u32).all(|row| inside(row) == (run.start..run.end).contains(&row)));
                let mut by_number: Vec<(u64, u32)> =
                    (run.start..run.end).map(|row| (decoded[row as usize].number, row)).collect();
                by_number.sort_unstable();
                prop_assert_eq!(run.first_number, by_number[0].0);
                if trail.service() == Service::Database {
                    let expected: Vec<u32> = by_number.iter().map(|(_, row)| *row).skip(1).take(5).collect();
                    prop_assert_eq!(segment.rows_by_number(*run, run.first_number + 1, 5).expect("whole"), expected);
                }
                for row in run.start..run.end {
                    let key = (decoded[row as usize].event.occurred_at.unix_ns(), rows[row as usize].0);
                    prop_assert_eq!(segment.places().expect("whole").lower_bound(run.start..run.end, key).expect("whole"), row);
                    let later = (key.0, key.1 + 1);
                    prop_assert_eq!(segment.places().expect("whole").lower_bound(run.start..run.end, later).expect("whole"), row + 1);
                }
            }
            for dimension in Dimension::ALL {
                let mut expected: BTreeMap<String, Vec<u32>> = BTreeMap::new();
                for (entry, row) in decoded.iter().zip(0u32..) {
                    let value = dimension.with_value(&entry.event, |value| value.map(str::to_owned));
                    if let Some(value) = value {
                        expected.entry(value).or_default().push(row);
                    }
                }
                for (value, rows) in expected {
                    let term = segment.terms(dimension).find(value.as_bytes()).expect("whole").expect("there");
                    let opened = segment.terms(dimension).rows(term.rows).open().expect("whole");
                    let found: Vec<u32> = opened.within(0..u32::MAX).expect("whole").iter().collect();
                    prop_assert_eq!(found, rows);
                }
                prop_assert_eq!(segment.terms(dimension).find(b"no such value").expect("whole"), None);
            }
        }
    }

    #[test]
    fn a_large_segment_has_many_blocks_and_a_dictionary() {
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let events: Vec<Event> =
            (0..9000).map(|_| any_event().new_tree(&mut runner).expect("an event").current()).collect();
        let rows = rows(events, 3);
        let segment = written(&rows);
        let scattered: Vec<u32> = (0..9000).step_by(7).rev().collect();
        let read = segment.read(&scattered, Reads::All).expect("whole");
        for (row, (index, entry)) in scattered.iter().zip(read) {
            let (expected_index, bytes, _) = &rows[*row as usize];
            let expected = entry::decode(bytes).expect("an entry");
            assert_eq!(
                (index, entry.number, &entry.event.id),
                (*expected_index, expected.number, &expected.event.id)
            );
        }
        let table = segment.table_file.len_bytes().expect("there");
        println!("{} bytes a row in the table", table / 9000);
    }
}
