//! The source formats: pure parsers from bytes as received to events.
//!
//! A parser is given a whole body and answers with [`Parsed`] items, one for each thing the body tells. What cannot be
//! used is an item too, with its bytes and the reason, so that nothing is lost. Only a body that is no envelope of the
//! format at all is an [`EnvelopeError`].

mod daybook;
mod docker_registry;
mod kubernetes_audit;
mod lines;
mod mariadb_audit;
mod nginx_json;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde_json::value::RawValue;

use crate::{Event, EventId, Time, Trail};

pub use crate::json::{DEPTH_MAX, ELEMENTS_MAX, MEMBERS_MAX, NAME_BYTES_MAX, STRING_BYTES_MAX};

/// A format that bodies can be parsed as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Notifications of distribution (Docker Registry) 2.8 and 3.x.
    DockerRegistry,
    /// Daybook's own event, as a JSON object, a JSON array of them, or NDJSON.
    Daybook,
    /// Access log lines of nginx, as JSON.
    NginxJson,
    /// Files of the MariaDB Audit Plugin, `server_audit`.
    MariadbAudit,
    /// Audit events of the Kubernetes API server: log lines, and what its webhook sends.
    KubernetesAudit,
}

impl Format {
    /// Every format.
    pub const ALL: [Format; 5] = [
        Format::DockerRegistry,
        Format::Daybook,
        Format::NginxJson,
        Format::MariadbAudit,
        Format::KubernetesAudit,
    ];

    /// The word used in configuration and in entries.
    pub const fn as_str(self) -> &'static str {
        match self {
            Format::DockerRegistry => "docker-registry",
            Format::Daybook => "daybook",
            Format::NginxJson => "nginx-json",
            Format::MariadbAudit => "mariadb-audit",
            Format::KubernetesAudit => "kubernetes-audit",
        }
    }

    /// Whether the format's senders can act on a refusal. Distribution cannot: it would repeat the same event for ever
    /// and hold everything else back behind it, so it gets 2xx for whatever can be kept. Whoever sends
    /// log lines can only drop what is refused, and the Kubernetes API server drops the whole batch with it.
    pub const fn has_senders_that_heed_errors(self) -> bool {
        match self {
            Format::DockerRegistry => false,
            Format::Daybook => true,
            Format::NginxJson => false,
            Format::MariadbAudit => false,
            Format::KubernetesAudit => false,
        }
    }

    /// Parses one body.
    pub fn parse(self, body: &[u8], context: &mut Context<'_>) -> Result<Vec<Parsed>, EnvelopeError> {
        match self {
            Format::DockerRegistry => docker_registry::parse(body, context),
            Format::Daybook => daybook::parse(body, context),
            Format::NginxJson => nginx_json::parse(body, context),
            Format::MariadbAudit => mariadb_audit::parse(body, context),
            Format::KubernetesAudit => kubernetes_audit::parse(body, context),
        }
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Format, String> {
        Format::ALL.into_iter().find(|format| format.as_str() == text).ok_or_else(|| {
            format!("{text:?} is no source format; use {}", Format::ALL.map(Format::as_str).join(" or "))
        })
    }
}

/// What the bytes cannot say.
pub struct Context<'a> {
    /// The configured source's name.
    pub source: &'a str,
    /// The trail the source feeds.
    pub trail: &'a Trail,
    /// When the body arrived.
    pub received_at: Time,
    /// Gives out a new id for each event.
    pub new_id: &'a mut dyn FnMut() -> EventId,
    /// Limits on what one body may hold.
    pub limits: Limits,
}

/// Limits on what one body may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most events in one body.
    pub events_max: usize,
    /// Most bytes of one event.
    pub event_bytes_max: usize,
}

impl Default for Limits {
    /// 10,000 events and 256 KiB each.
    fn default() -> Self {
        Limits { events_max: 10_000, event_bytes_max: 256 * 1024 }
    }
}

/// One thing that a body told.
#[derive(Clone, Debug, PartialEq)]
pub enum Parsed {
    /// An event to record.
    Event(Box<Event>),
    /// Bytes that are kept aside, because they could not be used.
    SetAside(SetAside),
}

/// Bytes that could not be used, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// Why, for people.
    pub reason: String,
    /// The bytes as received.
    pub raw: Vec<u8>,
}

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

/// The body as text. Its nesting is not looked at: splitting a body into events does not recurse.
fn json_text(body: &[u8]) -> Result<&str, EnvelopeError> {
    std::str::from_utf8(body).map_err(|error| {
        EnvelopeError::Malformed(format!("the body is not UTF-8 at byte {}", error.valid_up_to()))
    })
}

/// A text the source left empty is a text the source does not have.
fn non_empty(text: &str) -> Option<String> {
    if text.is_empty() { None } else { Some(text.to_owned()) }
}

/// The members of a flat object as texts, without those that are null. Numbers keep the very digits they were sent with.
fn texts(members: BTreeMap<String, &RawValue>) -> Result<BTreeMap<String, String>, String> {
    let text_of = |(name, value): (String, &RawValue)| {
        let json = value.get();
        let text = match json.as_bytes()[0] {
            b'"' => serde_json::from_str(json).map_err(|error| error.to_string())?,
            b'{' | b'[' => return Err(format!("{name:?} must be a text, number or boolean")),
            _ => json.to_owned(),
        };
        Ok((name, text))
    };
    members.into_iter().filter(|(_, value)| value.get() != "null").map(text_of).collect()
}
