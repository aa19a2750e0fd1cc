//! What can be seen from inside alone: that files stay while a query may read them.

use std::collections::BTreeMap;

use event::{
    Actor, Class, Event, EventId, Operation, Origin, Outcome, Resolution, Resource, Service, Severity,
};

use super::*;
use crate::simulated::SimulatedDisk;
use crate::{Incoming, OnConflict, init};

fn trail() -> Trail {
    Trail::new(Service::Registry, "acme", "p1", "hub").expect("valid")
}

fn request(number: i64) -> Append {
    let event = Event {
        id: EventId::default(),
        trail: trail(),
        occurred_at: Time::from_unix_ns(number),
        resolution: Resolution::Nanosecond,
        actor: Actor::default(),
        source_ip: None,
        user_agent: None,
        action: "pull".to_owned(),
        operation: Operation::Pull,
        resource: Resource::default(),
        outcome: Outcome::default(),
        severity: Severity::WARNING,
        class: Class::Operation,
        description: None,
        request_id: None,
        trace_id: None,
        origin: Origin { source: "hub".to_owned(), format: "daybook".to_owned(), key: None },
        attributes: BTreeMap::new(),
        raw: number.to_string().into_bytes(),
    };
    Append {
        source: "hub".to_owned(),
        received_at: Time::from_unix_ns(1_000),
        events: vec![Incoming::new(event)],
        set_aside: Vec::new(),
        on_conflict: OnConflict::Refuse,
    }
}

#[test]
fn files_stay_while_a_query_may_read_them() {
    let disk: Arc<dyn Disk> = Arc::new(SimulatedDisk::new(1));
    let identity =
        Identity { origin: "test.example/log".to_owned(), created_at: Time::from_unix_ns(1), salt: [7; 16] };
    init(&disk, &identity, &[]).expect("room");
    let settings = Settings {
        journal_file_bytes_max: 100,
        merge_segments: 3,
        merge_every: Duration::MAX,
        ..Settings::default()
    };
    let log = Log::open(Arc::clone(&disk), settings).expect("a log");
    let segments = || disk.list("segments").expect("a folder").len();
    let journal = || disk.list("journal").expect("a folder").len();
    let query = Query::of(trail());
    let view = || log.state.read().expect("no panic").view(&Question::of(&query));

    log.append(request(0)).expect("open").expect("recorded");
    let before_sealing = view();
    for number in 1..4 {
        log.seal().expect("room");
        log.append(request(number)).expect("open").expect("recorded");
    }
    log.seal().expect("room");
    let before_merging = view();
    assert_eq!((segments(), journal()), (8, 4), "the journal stays for the first query");
    log.merge().expect("room");
    assert_eq!(segments(), 10, "what was merged stays for both queries");
    for (view, total) in [(&before_sealing, 1), (&before_merging, 4)] {
        let (found, found_total, _) = view.find(&Question::of(&query)).expect("whole");
        let rows = log.rows(view, &found, Reads::All).expect("whole");
        assert_eq!((found_total, rows.len() as u64), (total, total));
    }
    drop(before_sealing);
    log.sealer.lock().expect("no panic").retire().expect("room");
    assert_eq!((segments(), journal()), (10, 1), "the later query still reads segments");
    drop(before_merging);
    log.sealer.lock().expect("no panic").retire().expect("room");
    assert_eq!(segments(), 4, "one of three, and one");
}
