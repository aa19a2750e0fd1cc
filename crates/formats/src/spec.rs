//! What a source format declares of itself ([`Spec`]): a row of the table in `format.rs`.

use event::query::Query;
use event::{Event, Service};

use crate::item::{Items, NoEvent};
use crate::{Context, EnvelopeError};

/// Reads one line or item.
pub(crate) type Read = fn(&[u8], &mut Context<'_>) -> Result<Event, NoEvent>;

/// The row of a format in the table.
pub(crate) struct Spec {
    /// The word used in configuration and in entries.
    pub(crate) name: &'static str,
    /// One line about the program that writes it.
    pub(crate) about: &'static str,
    /// The service whose trails it is made for.
    pub(crate) service: Service,
    /// How its events usually arrive.
    pub(crate) delivery: Delivery,
    /// Whether its senders can act on a refusal. Most cannot: they repeat the same event for ever
    /// and hold everything else back behind it, or drop it. They get 2xx for whatever can be
    /// stored.
    pub(crate) heeds_errors: bool,
    /// The part of a syslog message that it reads.
    pub(crate) syslog: Syslog,
    /// Parses one body.
    pub(crate) parse: fn(&[u8], &mut Context<'_>, &mut Items<'_>) -> Result<(), EnvelopeError>,
    /// How many bytes at the beginning of a piece of a file can be parsed as a body without
    /// separating what belongs together. The rest is offered again with the bytes after it.
    pub(crate) complete_bytes: fn(&[u8], Continuation) -> usize,
    /// The hooks, for what only some formats do.
    pub(crate) hooks: Hooks,
}

/// Functions that only some formats need; [`Hooks::NONE`] for the others.
pub(crate) struct Hooks {
    /// The position of an event in the numbering of its source.
    pub(crate) sequence: fn(&Event) -> Option<Sequence>,
    /// Whether an event (the first) is the answer to a deferred request (the second).
    pub(crate) is_answer: fn(&Event, &Event) -> bool,
    /// The response that its senders expect.
    pub(crate) response: Option<Respond>,
    /// Completes an event with what its trail already holds.
    pub(crate) refine: fn(&mut Event, Count<'_>),
    /// Makes a body of one rejected item, which was stored without its envelope.
    pub(crate) wrap: fn(&[u8]) -> Vec<u8>,
}

/// Content type and body for a request with these header lines (names in lower case), of which so
/// many records were rejected.
pub(crate) type Respond = fn(&[(String, String)], usize) -> (&'static str, Vec<u8>);

/// Counts the recorded events that match a query; `None` if the log cannot be queried.
pub type Count<'a> = &'a dyn Fn(&Query) -> Option<u64>;

impl Hooks {
    /// Events are not numbered, stand alone, and need nothing else.
    pub(crate) const NONE: Hooks = Hooks {
        sequence: |_| None,
        is_answer: |_, _| false,
        response: None,
        refine: |_, _| {},
        wrap: |item| item.to_vec(),
    };
}

/// How events of a format usually arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The program sends them by HTTP.
    Http,
    /// The program writes files; their usual path.
    Files(&'static str),
    /// The program sends syslog messages.
    Syslog,
}

/// The part of a syslog message that a format reads.
#[derive(Clone, Copy)]
pub(crate) enum Syslog {
    /// Header and text: a message is one event, including the line feeds in it.
    Whole(Read),
    /// Header and text, and an event may take several messages. The function marks the messages
    /// whose events may continue in later ones.
    Records(Read, fn(&[&[u8]]) -> Vec<bool>),
    /// Only the text.
    Text,
}

/// The bytes that may follow a piece of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Continuation {
    /// More bytes, at any moment.
    More,
    /// More bytes, though none came for a while: complete events no longer wait for them.
    Quiet,
    /// Nothing: the file ends here.
    Nothing,
}

/// A position in a numbering without gaps: the next event of the stream has the next number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// The numbered stream: a host's audit records, a session's statements.
    pub stream: String,
    /// The event's number in it.
    pub number: u64,
}

/// A message without the line feed that its framing left at its end.
pub(crate) fn without_end(message: &[u8]) -> &[u8] {
    message.strip_suffix(b"\n").unwrap_or(message)
}
