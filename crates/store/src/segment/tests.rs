//! Segments built from memtables, read back.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use event::entry::{self, Entry, Template};
use event::query::{Dimension, INSTANCE_ID};
use event::{
    Actor, ActorKind, Class, Event, EventId, LOG_FILE, Operation, Origin, Outcome, OutcomeKind,
    Resolution, Resource, Service, Severity, SourceIp, Time, Trail, Trust,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use sha2::{Digest, Sha256};

use crate::disk::durable::Disk;
use crate::disk::simulated::SimulatedDisk;
use crate::error::Error;
use crate::journal::batch::Position;
use crate::journal::frame::EventFrame;
use crate::log::dedup::{Key, KeyEntry, event_key};
use crate::log::memtable::{FrameLocation, Memtable, NewRow};
use crate::log::words::Words;
use crate::segment::build;
use crate::segment::cache::Cache;
use crate::segment::check::ValueChecksums;
use crate::segment::key_search::{KeySearch, KeysFound};
use crate::segment::row::rest_of;
use crate::segment::segment::Segment;

const TRAILS: [(Service, &str); 3] =
    [(Service::Registry, "hub"), (Service::Database, "orders"), (Service::Database, "stock")];

fn any_event() -> impl Strategy<Value = Event> {
    let texts = prop::option::of("[a-c]{0,2}|李雷|[a-z ]{30,60}");
    let who = (texts.clone(), texts.clone(), prop::sample::select(ActorKind::ALL));
    let what = (texts.clone(), texts.clone(), texts.clone(), texts.clone());
    let how =
        (prop::sample::select(Operation::ALL), prop::option::of(0u32..600), texts.clone(), 1u8..=4);
    let more = (
        texts.clone(),
        texts.clone(),
        texts.clone(),
        texts.clone(),
        prop::option::of(any::<[u8; 4]>()),
    );
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
                source_ip: more
                    .4
                    .map(|ip| SourceIp { address: ip.into(), trust: Trust::Forwarded }),
                user_agent: more.2,
                action: "do".to_owned(),
                operation: how.0,
                resource: Resource {
                    kind: what.0,
                    name: what.1.clone(),
                    id: what.2,
                    region: what.3,
                },
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

/// An event with its index and number in the log.
pub(crate) struct LogEvent {
    index: u64,
    number: u64,
    received_at: Time,
    event: Event,
    /// The canonical entry.
    bytes: Vec<u8>,
}

/// These events with indexes from `first` on.
pub(crate) fn log_events(events: Vec<Event>, first: u64) -> Vec<LogEvent> {
    let mut numbers: HashMap<Trail, u64> = HashMap::new();
    let with_location = |(mut event, index): (Event, u64)| {
        event.origin.key = (index % 5 > 0).then(|| format!("k{index}"));
        let number = numbers.entry(event.trail.clone()).or_insert(7);
        *number += 1;
        let mut bytes = Vec::new();
        let received_at = event.occurred_at.plus_seconds((index % 3) as i64 - 1);
        Template::new(&event).fill(*number, received_at, &mut bytes);
        LogEvent { index, number: *number, received_at, event, bytes }
    };
    events.into_iter().zip(first..).map(with_location).collect()
}

/// Index, entry and raw bytes in the order of a segment.
fn rows(log_events: &[LogEvent]) -> Vec<(u64, Vec<u8>, Vec<u8>)> {
    let mut log_events: Vec<&LogEvent> = log_events.iter().collect();
    log_events.sort_by_key(|one| (&one.event.trail, one.event.occurred_at, one.index));
    log_events
        .into_iter()
        .map(|one| (one.index, one.bytes.clone(), one.event.raw.clone()))
        .collect()
}

/// A segment of these events, from memtables of 50.
pub(crate) fn segment_of(log_events: &[LogEvent]) -> Segment {
    let disk = SimulatedDisk::new(1);
    let file = |name: &str| disk.create(name).expect("room");
    let first = log_events[0].index;
    let memtables: Vec<Memtable> = log_events
        .chunks(50)
        .map(|log_events| {
            let mut memtable = Memtable::from(log_events[0].index);
            for LogEvent { number, received_at, event, .. } in log_events {
                let key =
                    event.origin.key.as_deref().map(|key| event_key(&event.origin.source, key));
                let frame = FrameLocation { at: Position { file: 0, offset: 0 }, len_bytes: 1 };
                memtable.extend([&NewRow {
                    event,
                    words: &Words::of(event),
                    rest: &rest_of(event),
                    key: key.as_ref(),
                    digest: [0; 32],
                    number: *number,
                    raw: &event.raw,
                    received_at: *received_at,
                    frame,
                }]);
            }
            memtable
        })
        .collect();
    let memtables: Vec<&Memtable> = memtables.iter().collect();
    let mut frame = |index: u64, _| {
        let LogEvent { bytes, event, .. } = &log_events[(index - first) as usize];
        Ok(EventFrame { entry: bytes.clone(), raw: event.raw.clone() })
    };
    // Every second segment uses a dictionary of other rows.
    let known = log_events.len().is_multiple_of(2).then_some(&b"the dictionary of other rows"[..]);
    build::build(&memtables, &[], known, file("s.parquet"), file("s.index"), &mut frame)
        .expect("room");
    Segment::open(&disk, "s", Arc::new(Cache::new(1 << 20))).expect("whole")
}

fn found(segment: &Segment, key: Key) -> Option<KeyEntry> {
    let mut found = KeysFound::default();
    segment.find_keys(&KeySearch::of([key].into_iter()), &mut found).expect("whole");
    found.events.remove(&key)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn rows_come_back(events in prop::collection::vec(any_event(), 1..120), first in 0u64..1000) {
        let count = events.len() as u64;
        let log_events = log_events(events, first);
        let segment = segment_of(&log_events);
        let rows = rows(&log_events);
        prop_assert_eq!((segment.meta.first, segment.meta.end()), (first, first + count));
        let mut reader = segment.rows();
        for ((index, bytes, raw), row) in rows.iter().zip(0u32..) {
            let (read_index, read) = reader.entry(row).expect("whole");
            let mut expected = entry::decode(bytes).expect("an entry");
            let key = expected.event.origin.key.take();
            expected.raw_sha256 = [0; 32];
            prop_assert_eq!((read_index, read), (*index, expected));
            prop_assert_eq!(&segment.entries(row, 1).expect("whole")[0][..], &bytes[..]);
            prop_assert_eq!(&segment.raws(row, 1).expect("whole")[0][..], &raw[..]);
            if let Some(key) = key {
                let found = found(&segment, event_key("s", &key)).expect("there");
                prop_assert_eq!(found.index, *index);
                prop_assert!(found.has_content(&Sha256::digest(raw).into()));
            }
        }
        for unknown in 0..50 {
            let key = event_key("s", &format!("unknown {unknown}"));
            prop_assert!(found(&segment, key).is_none());
        }
    }

    #[test]
    fn trails_and_values_have_their_rows(events in prop::collection::vec(any_event(), 1..120)) {
        let log_events = log_events(events, 0);
        let segment = segment_of(&log_events);
        let rows = rows(&log_events);
        let decoded: Vec<Entry> =
            rows.iter().map(|(_, bytes, _)| entry::decode(bytes).expect("an entry")).collect();
        for (trail, run) in segment.trails() {
            let inside = |row: u32| decoded[row as usize].event.trail == *trail;
            prop_assert!(
                (0..rows.len() as u32)
                    .all(|row| inside(row) == (run.start..run.end).contains(&row))
            );
            let mut by_number: Vec<(u64, u32)> =
                (run.start..run.end).map(|row| (decoded[row as usize].number, row)).collect();
            by_number.sort_unstable();
            prop_assert_eq!(run.first_number, by_number[0].0);
            if trail.service() == Service::Database {
                let expected: Vec<u32> =
                    by_number.iter().map(|(_, row)| *row).skip(1).take(5).collect();
                prop_assert_eq!(
                    segment.rows_by_number(*run, run.first_number + 1, 5).expect("whole"),
                    expected
                );
            }
            for row in run.start..run.end {
                let key = (decoded[row as usize].event.occurred_at.unix_ns(), rows[row as usize].0);
                prop_assert_eq!(
                    segment.locator().lower_bound(run.start..run.end, key).expect("whole"),
                    row
                );
                let later = (key.0, key.1 + 1);
                prop_assert_eq!(
                    segment.locator().lower_bound(run.start..run.end, later).expect("whole"),
                    row + 1
                );
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
                let term =
                    segment.terms(dimension).find(value.as_bytes()).expect("whole").expect("there");
                let opened = segment.terms(dimension).rows(term.rows).open().expect("whole");
                let found: Vec<u32> = opened.within(0..u32::MAX).expect("whole").iter().collect();
                prop_assert_eq!(found, rows);
            }
            prop_assert_eq!(segment.terms(dimension).find(b"no such value").expect("whole"), None);
        }
    }

    #[test]
    fn rows_are_known_in_order_of_time(events in prop::collection::vec(any_event(), 1..120)) {
        let log_events = log_events(events, 0);
        let segment = segment_of(&log_events);
        let mut expected: Vec<(i64, u64, u32, Severity)> = rows(&log_events)
            .iter()
            .zip(0..)
            .map(|((index, bytes, _), row)| {
                let event = entry::decode(bytes).expect("an entry").event;
                (event.occurred_at.unix_ns(), *index, row, event.severity)
            })
            .collect();
        expected.sort_unstable_by_key(|(time, index, ..)| (*time, *index));
        let (mut by_time, all) = (segment.by_time(), 0..log_events.len() as u32);
        for (rank, (time, index, row, _)) in all.clone().zip(&expected) {
            prop_assert_eq!(by_time.row(rank).expect("whole"), *row);
            prop_assert_eq!(
                by_time.lower_bound(all.clone(), (*time, *index)).expect("whole"),
                rank
            );
            prop_assert_eq!(
                by_time.lower_bound(all.clone(), (*time, *index + 1)).expect("whole"),
                rank + 1
            );
        }
        prop_assert_eq!(by_time.lower_bound(all.clone(), (i64::MAX, 0)).expect("whole"), all.end);
        prop_assert_eq!(by_time.lower_bound(all.clone(), (i64::MIN, 0)).expect("whole"), 0);
        for number in 1..=4u8 {
            let severity = Severity::new(number).expect("valid");
            let ranks: Vec<u32> = all
                .clone()
                .zip(&expected)
                .filter(|(_, one)| one.3 == severity)
                .map(|(rank, _)| rank)
                .collect();
            let terms = segment.severities_by_time();
            let found = match terms.find(number.to_string().as_bytes()).expect("whole") {
                Some(term) => terms
                    .rows(term.rows)
                    .open()
                    .expect("whole")
                    .within(all.clone())
                    .expect("whole")
                    .iter()
                    .collect(),
                None => Vec::new(),
            };
            prop_assert_eq!(found, ranks);
        }
    }
}

#[test]
fn values_of_another_event_are_found() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let events: Vec<Event> =
        (0..200).map(|_| any_event().new_tree(&mut runner).expect("an event").current()).collect();
    let mut log_events = log_events(events, 0);
    let mut checksums = ValueChecksums::new();
    for ((_, bytes, _), row) in rows(&log_events).iter().zip(0u32..) {
        checksums.add(row, &entry::decode(bytes).expect("an entry").event);
    }
    segment_of(&log_events).check(&checksums, &mut |_| ()).expect("whole");
    let change: [fn(&mut Event); 4] = [
        |event| event.operation = Operation::Mount,
        |event| event.actor.kind = ActorKind::System,
        |event| event.source_ip = None,
        |event| event.origin.source = "t".to_owned(),
    ];
    let differs = |event: &Event| {
        event.operation != Operation::Mount
            && event.actor.kind != ActorKind::System
            && event.source_ip.is_some()
    };
    let at = log_events.iter().position(|one| differs(&one.event)).expect("one of many");
    let original = log_events[at].event.clone();
    for change in change {
        change(&mut log_events[at].event);
        let checked = segment_of(&log_events).check(&checksums, &mut |_| ());
        assert!(matches!(checked, Err(Error::Damage { .. })));
        log_events[at].event = original.clone();
    }
}

#[test]
fn a_large_segment_has_many_blocks_and_a_dictionary() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let events: Vec<Event> =
        (0..9000).map(|_| any_event().new_tree(&mut runner).expect("an event").current()).collect();
    let log_events = log_events(events, 3);
    let segment = segment_of(&log_events);
    let rows = rows(&log_events);
    let mut reader = segment.rows();
    for row in (0..9000).step_by(7).rev() {
        let (index, entry) = reader.entry(row).expect("whole");
        let (expected_index, bytes, _) = &rows[row as usize];
        let expected = entry::decode(bytes).expect("an entry");
        assert_eq!(
            (index, entry.number, &entry.event.id),
            (*expected_index, expected.number, &expected.event.id)
        );
    }
    let table = segment.table_file.len_bytes().expect("there");
    println!("{} bytes a row in the table", table / 9000);
}
