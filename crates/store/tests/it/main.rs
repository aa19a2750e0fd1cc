//! The store from outside, one file for each behaviour.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod audit_files;
mod backup;
mod bounds;
mod crash;
mod damage;
mod damaged_segment;
mod fixture;
mod group_commit;
mod model;
mod objects;
mod once;
mod open;
mod tree;

use std::collections::BTreeMap;
use std::sync::Arc;

use event::RejectedRecord;
use event::query::{Order, Query};
use event::{
    Actor, ActorKind, Class, Event, EventId, Operation, Origin, Outcome, Resolution, Resource,
    Service, Severity, Time, Trail,
};
use store::durable::Disk;
use store::{Append, Identity, IncomingEvent, Log, OnConflict, Row, Settings};

fn identity() -> Identity {
    Identity {
        origin: "test.example/log".to_owned(),
        created_at: Time::from_unix_ns(1),
        salt: [7; 16],
    }
}

fn trail(instance: &str) -> Trail {
    Trail::new(Service::Registry, "acme", "p1", instance).unwrap()
}

/// An event with this key, which some of its members depend on.
fn event(instance: &str, key: &str, occurred_ns: i64) -> Event {
    Event {
        id: EventId::v7(Time::from_unix_ns(occurred_ns), [1; 10]),
        trail: trail(instance),
        occurred_at: Time::from_unix_ns(occurred_ns),
        resolution: Resolution::Nanosecond,
        actor: Actor { id: None, name: Some("alice".to_owned()), kind: ActorKind::User },
        source_ip: None,
        user_agent: None,
        action: "pull".to_owned(),
        operation: Operation::Pull,
        resource: Resource { name: Some(format!("repo/{key}")), ..Resource::default() },
        outcome: Outcome::default(),
        severity: Severity::WARNING,
        class: Class::Operation,
        description: None,
        request_id: None,
        trace_id: None,
        origin: Origin {
            source: "hub".to_owned(),
            format: "daybook".to_owned(),
            key: Some(key.to_owned()),
        },
        attributes: BTreeMap::new(),
        raw: format!("raw of {key}").into_bytes(),
    }
}

fn request(events: Vec<Event>, rejected: &[&str]) -> Append {
    Append {
        source: "hub".to_owned(),
        received_at: Time::from_unix_ns(1_000),
        events: events.into_iter().map(IncomingEvent::new).collect(),
        rejected: rejected
            .iter()
            .map(|raw| RejectedRecord { reason: "no use".to_owned(), raw: raw.as_bytes().to_vec() })
            .collect(),
        on_conflict: OnConflict::Refuse,
        is_own: false,
    }
}

fn small_files() -> Settings {
    Settings {
        journal_file_bytes_max: 4096,
        memtable_events_max: 4,
        compaction_segments: 3,
        compaction_every: std::time::Duration::MAX,
        ..Settings::default()
    }
}

fn open(disk: &Arc<dyn Disk>) -> Log {
    Log::open(Arc::clone(disk), small_files()).unwrap()
}

fn all(instances: &[&str]) -> Query {
    Query {
        trails: instances.iter().map(|instance| trail(instance)).collect(),
        order: Order::Ascending,
        limit: usize::MAX,
        ..Query::of(trail("none"))
    }
}

fn key_of(row: &Row) -> String {
    row.entry.event.resource.name.as_deref().unwrap().strip_prefix("repo/").unwrap().to_owned()
}
