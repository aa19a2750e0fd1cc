//! Queries within bounds: counting in little memory is as exact as in much, pages end where there
//! is no room, and work that nobody wants ends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering as Atomic};

use event::query::{Dimension, Filter, Order, Query, Top};
use event::{Event, OutcomeKind, Time};
use store::durable::Disk;
use store::simulated::SimulatedDisk;
use store::{BytesRoom, Error, Log, Room, Settings, Work, init};

use crate::{all, event, identity, request};

/// Events with many names, some of them often: in several segments, in frozen memtables and in the
/// active one.
fn many_names() -> (Log, Vec<Event>) {
    let disk: Arc<dyn Disk> = Arc::new(SimulatedDisk::new(0));
    init(&disk, &identity(), &[]).unwrap();
    let settings = Settings {
        memtable_events_max: 40,
        compaction_every: std::time::Duration::MAX,
        ..Settings::default()
    };
    let log = Log::open(disk, settings).unwrap();
    let name = |number: u64| match number % 7 {
        0 => Some(format!("often {}", number % 5)),
        1 => None,
        2 => Some(format!("twice {}", number % 450)),
        _ => Some(format!("{} once", number * 7919 % 100_003)),
    };
    let events = (0..900u64).map(|number| {
        let mut event = event(["a", "b"][number as usize % 2], &format!("k{number}"), 0);
        event.occurred_at = Time::from_unix_ns(number as i64 / 3);
        event.resource.name = name(number);
        event.outcome.kind = OutcomeKind::ALL[number as usize % 3];
        event
    });
    let events: Vec<Event> = events.collect();
    for (position, batch) in events.chunks(60).enumerate() {
        log.append(request(batch.to_vec(), &[])).unwrap().unwrap();
        // The last ones stay in memory.
        if position % 4 == 3 && position < 12 {
            log.flush().unwrap();
        }
    }
    (log, events)
}

/// The definition of top values of the resource's name.
fn expected(events: &[Event], limit: usize, is_among: impl Fn(&Event) -> bool) -> Top {
    let (mut counts, mut without, mut total) = (BTreeMap::new(), 0, 0);
    for event in events.iter().filter(|event| is_among(event)) {
        total += 1;
        match &event.resource.name {
            Some(name) => *counts.entry(name.clone()).or_default() += 1,
            None => without += 1,
        }
    }
    let mut values: Vec<(String, u64)> = counts.into_iter().collect();
    values.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let others = values.split_off(limit.min(values.len()));
    let others = others.iter().map(|(_, count)| count).sum();
    Top { values, others, without, total, tree_size: events.len() as u64 }
}

#[test]
fn values_are_counted_in_any_memory_alike() {
    let (log, events) = many_names();
    let failures = Filter::is(Dimension::Outcome, OutcomeKind::Failure.as_str());
    for bytes_max in [0, 2, 50, 400, 2_000, usize::MAX] {
        let work = Work::new(bytes_max, || true);
        for limit in [0, 1, 3, 40, 2_000] {
            let top = |query: &Query| {
                let dimensions = [Dimension::ResourceName];
                work.run(|| log.tops(query, &dimensions, limit)).unwrap().remove(0)
            };
            let query = all(&["a", "b"]);
            assert_eq!(top(&query), expected(&events, limit, |_| true), "{limit} in {bytes_max}");
            let query = Query { filters: vec![failures.clone()], ..all(&["a", "b"]) };
            let is_failure = |event: &Event| event.outcome.kind == OutcomeKind::Failure;
            assert_eq!(top(&query), expected(&events, limit, is_failure), "{limit} in {bytes_max}");
            let until = Time::from_unix_ns(150);
            let query = Query { until: Some(until), ..all(&["b"]) };
            let is_early =
                |event: &Event| event.occurred_at < until && event.trail.instance() == "b";
            assert_eq!(top(&query), expected(&events, limit, is_early), "{limit} in {bytes_max}");
        }
    }
}

#[test]
fn work_that_nobody_wants_ends_between_two_reads() {
    let (log, _) = many_names();
    let reads = |wanted: usize| {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        let work = Work::new(usize::MAX, move || counted.fetch_add(1, Atomic::Relaxed) < wanted);
        let query = Query { limit: 1000, ..all(&["a", "b"]) };
        let ended = work.run(|| {
            log.query(&query)?;
            log.histogram(&query, &[Time::from_unix_ns(0), Time::from_unix_ns(500)])?;
            log.tops(&query, &[Dimension::ResourceName], 1000)?;
            Ok::<_, Error>(())
        });
        (ended, count.load(Atomic::Relaxed))
    };
    let (whole, total) = reads(usize::MAX);
    whole.unwrap();
    assert!(total > 100, "{total} reads");
    for wanted in [0, 1, total / 4, total / 2, total - 1] {
        let (ended, count) = reads(wanted);
        assert!(matches!(ended, Err(Error::Cancelled)), "after {wanted} reads: {ended:?}");
        assert_eq!(count, wanted + 1, "nothing is read after the work ended");
    }
    log.query(&all(&["a"])).unwrap();
}

/// Room that knows what was taken.
struct Ledger {
    room: BytesRoom,
    taken: usize,
}

impl Room for Ledger {
    fn take(&mut self, bytes: usize) -> bool {
        let fits = self.room.take(bytes);
        self.taken += if fits { bytes } else { 0 };
        fits
    }

    fn give_back(&mut self, bytes: usize) {
        self.taken -= bytes;
        self.room.give_back(bytes);
    }
}

fn ledger(bytes_max: usize) -> Ledger {
    Ledger { room: BytesRoom::new(bytes_max), taken: 0 }
}

#[test]
fn pages_that_end_early_have_every_row_once() {
    let (log, events) = many_names();
    for order in [Order::Ascending, Order::Descending] {
        let query = |offset| Query { order, offset, limit: 70, ..all(&["a", "b"]) };
        let whole = log.query(&Query { limit: usize::MAX, ..query(0) }).unwrap();
        for bytes_max in [1, 2_000, 20_000, 10_000_000] {
            let (mut indexes, mut pages) = (Vec::new(), 0);
            while indexes.len() < events.len() {
                let mut room = ledger(bytes_max);
                let page =
                    log.contents().query_up_to(&query(indexes.len() as u64), &mut room).unwrap();
                let bytes: usize = page.rows.iter().map(store::Row::bytes).sum();
                assert!(page.rows.len() == 1 || bytes <= bytes_max, "{bytes} of {bytes_max}");
                assert!(!page.rows.is_empty());
                assert_eq!((bytes, page.total), (room.taken, events.len() as u64));
                indexes.extend(page.rows.iter().map(|row| row.index));
                pages += 1;
            }
            let expected: Vec<u64> = whole.rows.iter().map(|row| row.index).collect();
            assert_eq!(indexes, expected, "in {bytes_max} bytes");
            assert_eq!(pages > events.len().div_ceil(70), bytes_max < 10_000_000);
        }
    }
}

#[test]
fn a_page_that_must_be_whole_is_refused_without_room() {
    let (log, _) = many_names();
    let query = Query { limit: 50, ..all(&["a", "b"]) };
    let mut room = ledger(usize::MAX);
    let page = log.contents().query_whole(&query, &mut room).unwrap();
    assert_eq!((page.rows.len(), room.taken > 0), (50, true));
    let mut room = ledger(5_000);
    let refused = log.contents().query_whole(&query, &mut room);
    assert!(matches!(refused, Err(Error::NoRoom)));
    assert_eq!(room.taken, 0, "what was taken is given back");
}
