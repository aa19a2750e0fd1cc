//! What an audit event is.
//!
//! This crate holds the model ([`Event`], [`Trail`]), its canonical form ([`entry`]), the question
//! one can ask about a log ([`query`]) and how people put it ([`search`]). It is pure: no files, no
//! sockets, no clock, no randomness. What bytes cannot say is an argument.

#![deny(missing_docs)]

pub mod civil;
pub mod entry;
mod id;
pub mod json;
mod model;
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
