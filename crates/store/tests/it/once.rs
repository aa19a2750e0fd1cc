//! An event with a source's key is recorded once.

use std::sync::Arc;

use store::durable::Disk;
use store::simulated::SimulatedDisk;
use store::{EVENT_BYTES_MAX, Error, OnConflict, Refusal, init};

use crate::{all, event, identity, open, request};

fn empty() -> (SimulatedDisk, Arc<dyn Disk>) {
    let simulated = SimulatedDisk::new(1);
    let disk: Arc<dyn Disk> = Arc::new(simulated.clone());
    init(&disk, &identity(), &[]).unwrap();
    (simulated, disk)
}

#[test]
fn a_repetition_gets_the_first_index_across_restarts() {
    let (simulated, disk) = empty();
    let log = open(&disk);
    let first = log
        .append(request(vec![event("hub", "a", 1), event("hub", "b", 2)], &[]))
        .unwrap()
        .unwrap();
    assert_eq!((first.first_index, first.recorded, first.tree_size), (Some(0), 2, 2));
    drop(log);
    simulated.restart();
    let log = open(&disk);
    let again = log
        .append(request(vec![event("hub", "b", 2), event("hub", "c", 3)], &[]))
        .unwrap()
        .unwrap();
    assert_eq!((again.first_index, again.recorded, again.duplicates), (Some(2), 1, vec![(0, 1)]));
    assert_eq!(log.query(&all(&["hub"])).unwrap().total, 3);
}

#[test]
fn the_same_key_twice_in_one_request_is_one_event() {
    let (_, disk) = empty();
    let log = open(&disk);
    let receipt = log
        .append(request(vec![event("hub", "a", 1), event("hub", "a", 1)], &[]))
        .unwrap()
        .unwrap();
    assert_eq!((receipt.recorded, receipt.duplicates), (1, vec![(1, 0)]));
}

#[test]
fn another_source_may_use_the_same_key() {
    let (_, disk) = empty();
    let log = open(&disk);
    let mut other = event("hub", "a", 1);
    other.origin.source = "mirror".to_owned();
    let receipt = log.append(request(vec![event("hub", "a", 1), other], &[])).unwrap().unwrap();
    assert_eq!(receipt.recorded, 2);
}

#[test]
fn without_a_key_every_delivery_is_recorded() {
    let (_, disk) = empty();
    let log = open(&disk);
    let mut keyless = event("hub", "a", 1);
    keyless.origin.key = None;
    let receipt = log.append(request(vec![keyless.clone(), keyless], &[])).unwrap().unwrap();
    assert_eq!(receipt.recorded, 2);
}

#[test]
fn other_bytes_under_a_known_key_refuse_the_request_whole() {
    let (_, disk) = empty();
    let log = open(&disk);
    log.append(request(vec![event("hub", "a", 1)], &[])).unwrap().unwrap();
    let mut changed = event("hub", "a", 1);
    changed.raw = b"other bytes".to_vec();
    let refused =
        log.append(request(vec![event("hub", "new", 2), changed.clone()], &["rejected"])).unwrap();
    assert_eq!(refused, Err(Refusal::Conflict { position: 1, index: 0 }));
    assert_eq!(
        (log.counts().events, log.counts().dead_letters),
        (1, 0),
        "nothing of it is recorded"
    );
    let twice = log
        .append(request(
            vec![event("hub", "b", 2), {
                let mut b = event("hub", "b", 2);
                b.raw.clear();
                b
            }],
            &[],
        ))
        .unwrap();
    assert_eq!(twice, Err(Refusal::Conflict { position: 1, index: 1 }));

    let lenient = store::Append {
        on_conflict: OnConflict::DeadLetter,
        ..request(vec![event("hub", "new", 2), changed], &[])
    };
    let receipt = log.append(lenient).unwrap().unwrap();
    assert_eq!((receipt.recorded, receipt.dead_letters), (1, 1));
    let records = store::dead_letters(&disk).unwrap();
    assert_eq!(records[0].raw, b"other bytes");
    assert!(records[0].reason.starts_with("id_conflict: event 0"), "{}", records[0].reason);
}

#[test]
fn the_same_bytes_are_a_dead_letter_once_across_restarts() {
    let (simulated, disk) = empty();
    let log = open(&disk);
    assert_eq!(log.append(request(vec![], &["x", "y", "x"])).unwrap().unwrap().dead_letters, 2);
    drop(log);
    simulated.restart();
    let log = open(&disk);
    assert_eq!(log.append(request(vec![], &["y", "z"])).unwrap().unwrap().dead_letters, 1);
    let texts: Vec<Vec<u8>> =
        store::dead_letters(&disk).unwrap().into_iter().map(|record| record.raw).collect();
    assert_eq!(texts, [b"x", b"y", b"z"]);
    assert_eq!(log.counts().dead_letters, 3);
}

#[test]
fn receipt_time_never_goes_back_and_numbers_count_each_trail() {
    let (_, disk) = empty();
    let log = open(&disk);
    let late = store::Append {
        received_at: event::Time::from_unix_ns(5_000),
        ..request(vec![event("hub", "a", 1)], &[])
    };
    log.append(late).unwrap().unwrap();
    log.append(request(vec![event("mirror", "b", 1), event("hub", "c", 1)], &[])).unwrap().unwrap();
    let rows = log.query(&all(&["hub", "mirror"])).unwrap().rows;
    let entries: Vec<_> = rows.iter().map(|row| &row.entry).collect();
    assert!(entries.iter().all(|entry| entry.received_at.unix_ns() == 5_000));
    assert_eq!(entries.iter().map(|entry| entry.number).collect::<Vec<_>>(), [1, 1, 2]);
}

#[test]
fn what_no_frame_can_hold_is_refused_and_the_log_goes_on() {
    let (simulated, disk) = empty();
    let log = open(&disk);
    let mut huge = event("hub", "huge", 1);
    huge.raw = vec![b'x'; EVENT_BYTES_MAX];
    assert!(matches!(
        log.append(request(vec![event("hub", "a", 1), huge], &[])),
        Err(Error::TooLarge { .. })
    ));
    log.append(request(vec![event("hub", "b", 2)], &[])).unwrap().unwrap();
    drop(log);
    simulated.restart();
    assert_eq!(open(&disk).counts().events, 1);
}

type Take<'a> = &'a mut dyn FnMut(store::DeadLetter) -> std::ops::ControlFlow<()>;

#[test]
fn dead_letters_are_read_from_any_number_on() {
    use std::ops::ControlFlow;
    let (_, disk) = empty();
    let log = open(&disk);
    // Flushed in two files, the first with a record larger than a read; and in the journal.
    let large = "l".repeat(3 << 20);
    let batches = [
        vec!["a".to_owned(), large, "b".to_owned()],
        vec!["c".to_owned()],
        vec!["d".to_owned(), "e".to_owned()],
    ];
    let mut all = Vec::new();
    for (position, batch) in batches.iter().enumerate() {
        let texts: Vec<&str> = batch.iter().map(String::as_str).collect();
        log.append(request(vec![], &texts)).unwrap().unwrap();
        if position < 2 {
            log.flush().unwrap();
        }
        all.extend(batch.iter().cloned());
    }
    let read = |from: u64, count: usize, by: &dyn Fn(Take<'_>)| {
        let mut found = Vec::new();
        by(&mut |record| {
            assert_eq!(record.number, from + found.len() as u64);
            found.push(String::from_utf8(record.raw).unwrap());
            if found.len() < count { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        found
    };
    for from in 0..=all.len() {
        for count in 1..=all.len() {
            let expected = &all[from..all.len().min(from + count)];
            let number = from as u64;
            let in_log = read(number, count, &|take| log.each_dead_letter(number, take).unwrap());
            let beside =
                read(number, count, &|take| store::each_dead_letter(&disk, number, take).unwrap());
            assert!(in_log == expected && beside == expected, "{count} from {from}");
        }
    }
    assert!(read(99, 9, &|take| log.each_dead_letter(99, take).unwrap()).is_empty());
}
