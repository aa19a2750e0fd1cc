//! The audit event: its model, canonical form, and queries.
//!
//! This crate holds the model ([`Event`], [`Trail`]), its canonical form ([`entry`]), queries on a
//! log ([`query`]) and their language ([`search`]). It is pure: no files, no sockets, no clock, no
//! randomness. Whatever the bytes do not say is an argument.
//!
//! # Example
//!
//! ```
//! use event::entry::{Template, decode, digest};
//! use event::{Event, Time};
//! # use event::*;
//! # let event = Event {
//! #     id: EventId::v7(Time::from_unix_ns(0), [0; 10]),
//! #     trail: "registry/acme/p1/hub".parse()?,
//! #     occurred_at: Time::from_unix_ns(0),
//! #     resolution: Resolution::Second,
//! #     actor: Actor { id: None, name: Some("alice".to_owned()), kind: ActorKind::User },
//! #     source_ip: None,
//! #     user_agent: None,
//! #     action: "push".to_owned(),
//! #     operation: Operation::Push,
//! #     resource: Resource::default(),
//! #     outcome: Outcome { kind: OutcomeKind::Success, code: None, reason: None },
//! #     severity: Severity::WARNING,
//! #     class: Class::Operation,
//! #     description: None,
//! #     request_id: None,
//! #     trace_id: None,
//! #     origin: Origin { source: "hub".to_owned(), format: "daybook".to_owned(), key: None },
//! #     attributes: Default::default(),
//! #     raw: b"{}".to_vec(),
//! # };
//!
//! // The log gives the event a number in its trail and the time of receipt.
//! let (received_at, _) = Time::parse_rfc3339("2026-11-20T18:06:30Z")?;
//! let mut entry = Vec::new();
//! Template::new(&event).fill(1, received_at, &mut entry);
//!
//! // An auditor reads the entry and computes the digest that the log's tree proves.
//! let decoded = decode(&entry)?;
//! assert_eq!((decoded.number, decoded.event.action.as_str()), (1, "push"));
//! println!("leaf data: {:x?}", digest(&entry));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![deny(missing_docs)]

pub mod civil;
pub mod entry;
mod id;
pub mod json;
mod model;
pub mod named;
pub mod query;
mod rejected_record;
pub mod search;
pub mod terminal;
mod time;
mod trail;
pub mod words;

pub use id::EventId;
pub use model::{
    Actor, ActorKind, Class, Event, LOG_FILE, Operation, Origin, Outcome, OutcomeKind, Resource,
    Severity, SourceIp, Trust,
};
pub use rejected_record::RejectedRecord;
pub use time::{OutOfRange, Resolution, Time};
pub use trail::{InvalidTrail, Service, Trail, TrailPattern};
