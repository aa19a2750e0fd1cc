//! The items of a body: events, rejected records, and items that are skipped.

use std::fmt;

use event::{Event, RejectedRecord};

/// Takes the items of a body in order, each as soon as it is made. The events of a body may take
/// many times its bytes, so a parser holds one of them and not all.
pub(crate) struct Items<'a>(&'a mut dyn FnMut(Item) -> Result<(), EnvelopeError>);

impl<'a> Items<'a> {
    pub(crate) fn new(take: &'a mut dyn FnMut(Item) -> Result<(), EnvelopeError>) -> Items<'a> {
        Items(take)
    }

    /// Hands an item over. The error ends the body: its reader has no room for more.
    pub(crate) fn push(&mut self, item: Item) -> Result<(), EnvelopeError> {
        (self.0)(item)
    }
}

/// One item of a body.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// An event to record.
    Event(Box<Event>),
    /// Bytes that could not be used; they go to the dead-letter queue.
    Rejected(RejectedRecord),
    /// Nothing to record, and the reason: another stage of a recorded request, a companion of a
    /// recorded line, or noise ([`Options::records_noise`](super::Options::records_noise)). It is
    /// counted.
    Skipped(&'static str),
}

/// The reason of a request that is rejected until its answer came or the wait is over
/// ([`Context::defers`](super::Context::defers)).
pub const DEFERRED: &str = "the request waits for its answer";

/// The body is not an envelope of its format: nothing of it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnvelopeError {
    /// It does not have the form of the format, or breaks a limit on form (depth, names, strings).
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

/// Why a line or item is not an event. An error text rejects it, so that `?` works on any of them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoEvent {
    /// Its bytes are rejected, with the reason.
    Rejected(String),
    /// There is nothing to record.
    Skipped(&'static str),
}

/// The reason to skip a stage of a request of which another is recorded.
pub(crate) const OTHER_STAGE: &str = "another stage of the request is recorded";
/// The reason to skip requests that only look: whether something exists, what there is, whether it
/// changed.
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

/// The item of a line that was read; `raw` are its bytes.
pub(crate) fn item_of(read: Result<Event, NoEvent>, raw: &[u8]) -> Item {
    match read {
        Ok(event) => Item::Event(Box::new(event)),
        Err(NoEvent::Rejected(reason)) => {
            Item::Rejected(RejectedRecord { reason, raw: raw.to_vec() })
        }
        Err(NoEvent::Skipped(why)) => Item::Skipped(why),
    }
}
