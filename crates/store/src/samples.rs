//! Events for unit tests.

use std::collections::BTreeMap;

use event::{
    Actor, Class, Event, EventId, Operation, Origin, Outcome, Resolution, Resource, Service,
    Severity, Time, Trail,
};

pub(crate) fn trail() -> Trail {
    Trail::new(Service::Registry, "acme", "p1", "hub").expect("valid")
}

/// An event that occurred at this nanosecond; its raw bytes are the number.
pub(crate) fn event(number: i64) -> Event {
    Event {
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
    }
}
