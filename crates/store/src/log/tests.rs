//! Behaviour that is visible from inside alone: files stay while a query may read them, and large
//! events are flushed by their bytes.

use std::sync::Arc;
use std::time::Duration;

use event::query::Query;
use event::{Event, Time};

use crate::disk::durable::Disk;
use crate::disk::identity::Identity;
use crate::disk::simulated::SimulatedDisk;
use crate::engine::prepared_query::PreparedQuery;
use crate::log::init::init;
use crate::log::log::Log;
use crate::log::request::{Append, IncomingEvent, OnConflict};
use crate::log::settings::Settings;
use crate::samples::{event, trail};

fn request(number: i64) -> Append {
    Append {
        source: "hub".to_owned(),
        received_at: Time::from_unix_ns(1_000),
        events: vec![IncomingEvent::new(event(number))],
        rejected: Vec::new(),
        on_conflict: OnConflict::Refuse,
        is_own: false,
    }
}

#[test]
fn files_stay_while_a_query_may_read_them() {
    let disk: Arc<dyn Disk> = Arc::new(SimulatedDisk::new(1));
    let identity = Identity {
        origin: "test.example/log".to_owned(),
        created_at: Time::from_unix_ns(1),
        salt: [7; 16],
    };
    init(&disk, &identity, &[]).expect("room");
    let settings = Settings {
        journal_file_bytes_max: 100,
        compaction_segments: 3,
        compaction_every: Duration::MAX,
        ..Settings::default()
    };
    let log = Log::open(Arc::clone(&disk), settings).expect("a log");
    let segments = || disk.list("segments").expect("a folder").len();
    let journal = || disk.list("journal").expect("a folder").len();
    let query = Query::of(trail());
    let view = || log.contents().state.read().expect("no panic").view(&PreparedQuery::of(&query));

    log.append(request(0)).expect("open").expect("recorded");
    let before_flush = view();
    for number in 1..4 {
        log.flush().expect("room");
        log.append(request(number)).expect("open").expect("recorded");
    }
    log.flush().expect("room");
    let before_compaction = view();
    assert_eq!((segments(), journal()), (8, 4), "the journal stays for the first query");
    log.compact().expect("room");
    assert_eq!(segments(), 10, "what was compacted stays for both queries");
    for (view, total) in [(&before_flush, 1), (&before_compaction, 4)] {
        let (found, found_total, _) = view.find(&PreparedQuery::of(&query)).expect("whole");
        let rows = log.contents().rows(&view.segments, &found).expect("whole");
        assert_eq!((found_total, rows.len() as u64), (total, total));
    }
    drop(before_flush);
    log.flusher.lock().expect("no panic").retire().expect("room");
    assert_eq!((segments(), journal()), (10, 1), "the later query still reads segments");
    drop(before_compaction);
    log.flusher.lock().expect("no panic").retire().expect("room");
    assert_eq!(segments(), 2, "one of four");
}

#[test]
fn large_events_are_flushed_by_their_bytes() {
    let disk: Arc<dyn Disk> = Arc::new(SimulatedDisk::new(1));
    let identity = Identity {
        origin: "test.example/log".to_owned(),
        created_at: Time::from_unix_ns(1),
        salt: [7; 16],
    };
    init(&disk, &identity, &[]).expect("room");
    let settings = Settings { flush_events: 100, unflushed_events_max: 100, ..Settings::default() };
    let log = Log::open(Arc::clone(&disk), settings).expect("a log");
    let flushed = || log.contents().state.read().expect("no panic").flushed_events();
    for number in 0..3 {
        log.append(request(number)).expect("open").expect("recorded");
    }
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(flushed(), 0, "three small events are not a hundred");
    let mut large = request(3);
    let event = Event { raw: vec![7; 300 << 10], ..event(3) };
    large.events = vec![IncomingEvent::new(event)];
    log.append(large).expect("open").expect("recorded");
    for _ in 0..500 {
        if flushed() == 4 {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("300 KiB count as a hundred events and more");
}
