//! What a body told: events, bytes that cannot be used, and what is not to be recorded.

use std::fmt;

use event::{Event, RejectedRecord};

/// One thing that a body told.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// An event to record.
    Event(Box<Event>),
    /// Bytes that are kept aside, because they could not be used.
    Rejected(RejectedRecord),
    /// Nothing to record, and why: another stage of a request that is recorded, a companion of a
    /// line that is, or noise ([`Options::records_noise`](super::Options::records_noise)). It is
    /// counted.
    Skipped(&'static str),
}

/// The reason of what is set aside until its answer came, or could have come
/// ([`Context::defers`](super::Context::defers)).
pub const DEFERRED: &str = "the request waits for its answer";

/// A body that is no envelope of its format: nothing of it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnvelopeError {
    /// It does not have the form of the format, or breaks a limit of form (depth, names, strings).
    Malformed(String),
    /// It holds too much: more events, or larger ones, than allowed.
    TooLarge(String),
}

impl fmt::Display for EnvelopeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EnvelopeError::Malformed(why) | EnvelopeError::TooLarge(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for EnvelopeError {}

/// Why a line or item is no event. An error text sets it aside, so that `?` does on any of them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoEvent {
    /// Its bytes are kept, with the reason.
    Rejected(String),
    /// There is nothing to record.
    Skipped(&'static str),
}

/// What there is of a request beside the item that is recorded.
pub(crate) const OTHER_STAGE: &str = "another stage of the request is recorded";
/// What only looks: whether something exists, what there is, whether it changed.
pub(crate) const NOISE: &str = "noise";

impl From<String> for NoEvent {
    fn from(reason: String) -> NoEvent {
        NoEvent::Rejected(reason)
    }
}

impl From<&str> for NoEvent {
    fn from(reason: &str) -> NoEvent {
        NoEvent::Rejected(reason.to_owned())
    }
}

/// What an item that was read comes to; `raw` are its bytes.
pub(crate) fn item_of(read: Result<Event, NoEvent>, raw: &[u8]) -> Item {
    match read {
        Ok(event) => Item::Event(Box::new(event)),
        Err(NoEvent::Rejected(reason)) => {
            Item::Rejected(RejectedRecord { reason, raw: raw.to_vec() })
        }
        Err(NoEvent::Skipped(why)) => Item::Skipped(why),
    }
}
