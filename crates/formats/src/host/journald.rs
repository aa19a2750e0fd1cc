//! Entries of the systemd journal: export format, as systemd-journal-upload sends it, and lines of
//! `journalctl -o json`.
//!
//! Formats: <https://systemd.io/JOURNAL_EXPORT_FORMATS/>, fields:
//! <https://www.freedesktop.org/software/systemd/man/latest/systemd.journal-fields.html>, and the
//! captures in `testdata/journald/`. [`super::programs`] reads the texts. The captures show, and
//! this parser relies on:
//! - journald vouches for fields that begin with `_`; all others are the program's claim, its name
//!   included;
//! - a field may occur several times; in JSON it is then an array of texts, while an array of
//!   numbers is bytes, and a single control character in a text is enough for that;
//! - without `--all` journalctl writes null for values of more than 4096 bytes;
//! - `__CURSOR` identifies an entry for good, wherever it is read.

mod export;
mod json;

use std::borrow::Cow;
use std::collections::BTreeMap;

use export::NoEntry;

use super::programs::{self, LogLine};
use super::syslog::{FACILITIES, PRIORITIES};
use crate::item::{Items, NoEvent, item_of};
use crate::lines::{complete_lines, parse_lines};
use crate::spec::{Hooks, Spec, Syslog};
use crate::{Context, Continuation, Delivery, EnvelopeError, Item};
use event::{Actor, ActorKind, Event, Origin, Resolution, Service, Time};

/// The content type of the export format.
const EXPORT: &str = "application/vnd.fdo.journal";

/// An audit session's user id that is not set.
const UNSET: &str = "4294967295";

/// Fields for which the event has a member, or for which the original is enough.
const NO_ATTRIBUTES: [&str; 9] = [
    "MESSAGE",
    "PRIORITY",
    "SYSLOG_FACILITY",
    "SYSLOG_TIMESTAMP",
    "_SOURCE_MONOTONIC_TIMESTAMP",
    "_SOURCE_REALTIME_TIMESTAMP",
    "__CURSOR",
    "__MONOTONIC_TIMESTAMP",
    "__REALTIME_TIMESTAMP",
];

pub(crate) const SPEC: Spec = Spec {
    name: "journald",
    about: "systemd: journal entries, of systemd-journal-upload or journalctl (-o export, -o json)",
    service: Service::Platform,
    delivery: Delivery::Http,
    heeds_errors: false,
    syslog: Syslog::Text,
    parse,
    complete_bytes,
    hooks: Hooks::NONE,
};

pub(crate) fn parse(
    body: &[u8],
    context: &mut Context<'_>,
    items: &mut Items<'_>,
) -> Result<(), EnvelopeError> {
    let is_export = context.header("content-type").is_some_and(|kind| kind.starts_with(EXPORT));
    if !is_export && is_json(body) {
        return parse_lines(body, context, read_json, items);
    }
    let events_max = context.limits.events_max;
    for (number, entry) in export::entries(body).enumerate() {
        if number == events_max {
            return Err(EnvelopeError::TooLarge(format!(
                "the body holds more than {events_max} entries"
            )));
        }
        items.push(parse_entry(&entry, context))?;
    }
    Ok(())
}

fn read_json(line: &[u8], context: &mut Context<'_>) -> Result<Event, NoEvent> {
    event(json::fields(line)?, line, context)
}

fn parse_entry(entry: &export::Entry<'_>, context: &mut Context<'_>) -> Item {
    let bytes_max = context.limits.event_bytes_max;
    let read = match &entry.fields {
        _ if entry.raw.len() > bytes_max => {
            Err(format!("event_too_large: {} bytes exceed {bytes_max}", entry.raw.len()).into())
        }
        Ok(fields) => event(Fields::from_pairs(fields), entry.raw, context),
        Err(NoEntry::BreaksOff) => Err("the entry breaks off".into()),
        Err(NoEntry::Malformed(why)) => Err((*why).into()),
    };
    item_of(read, entry.raw)
}

/// The bytes up to the blank line after the last complete entry, or up to the last line of JSON.
fn complete_bytes(piece: &[u8], continuation: Continuation) -> usize {
    match continuation {
        Continuation::Nothing => piece.len(),
        _ if is_json(piece) => complete_lines(piece, continuation),
        Continuation::More | Continuation::Quiet => export::complete_bytes(piece),
    }
}

/// Whether the first line is JSON; `-o json-seq` puts a record separator before it.
fn is_json(body: &[u8]) -> bool {
    let first = body.iter().find(|byte| !matches!(byte, b'\n' | b'\r' | b' ' | b'\t' | 0x1e));
    first == Some(&b'{')
}

/// The fields of an entry, each with its values in order.
#[derive(Debug, Default, PartialEq)]
struct Fields {
    values: BTreeMap<String, Vec<String>>,
    /// The fields that journalctl left out for their length.
    omitted: Vec<String>,
    is_invalid_utf8: bool,
}

impl Fields {
    fn from_pairs(pairs: &[(&str, &[u8])]) -> Fields {
        let mut fields = Fields::default();
        for (name, value) in pairs {
            fields.push(name, value);
        }
        fields
    }

    fn push(&mut self, name: &str, value: &[u8]) {
        let text = String::from_utf8_lossy(value);
        self.is_invalid_utf8 |= matches!(text, Cow::Owned(_));
        self.values.entry(name.to_owned()).or_default().push(text.into_owned());
    }

    /// The first value.
    fn first(&self, name: &str) -> Option<&str> {
        self.values.get(name)?.first().map(String::as_str).filter(|value| !value.is_empty())
    }

    fn number(&self, name: &str) -> Option<u8> {
        self.first(name)?.parse().ok()
    }
}

fn event(fields: Fields, raw: &[u8], context: &mut Context<'_>) -> Result<Event, NoEvent> {
    let occurred_at = occurred_at(&fields)?;
    let text = fields.first("MESSAGE").unwrap_or_default();
    let log_line = LogLine {
        program: fields.first("SYSLOG_IDENTIFIER").or(fields.first("_COMM")),
        host: fields.first("_HOSTNAME"),
        process: fields.first("SYSLOG_PID").or(fields.first("_PID")),
        message_id: None,
        text: text.trim_end(),
        priority: fields.number("PRIORITY"),
    };
    let mut meaning = programs::meaning(&log_line, context)?;
    if meaning.actor == Actor::default() {
        meaning.actor = actor(&fields);
    }
    let mut attributes = attributes(&fields);
    attributes.extend(meaning.attributes.into_iter().map(|(name, value)| (name.to_owned(), value)));
    Ok(Event {
        id: (context.new_id)(),
        trail: context.trail.clone(),
        occurred_at,
        resolution: Resolution::Microsecond,
        actor: meaning.actor,
        source_ip: meaning.source_ip,
        user_agent: None,
        action: meaning.action,
        operation: meaning.operation,
        resource: meaning.resource,
        outcome: meaning.outcome,
        severity: meaning.severity,
        class: meaning.class,
        description: Some(log_line.text.to_owned()).filter(|text| !text.is_empty()),
        request_id: None,
        trace_id: None,
        origin: Origin {
            source: context.source.to_owned(),
            format: SPEC.name.to_owned(),
            key: fields.first("__CURSOR").map(str::to_owned),
        },
        attributes,
        raw: raw.to_vec(),
    })
}

/// The time when the entry was sent, as journald saw it, else when it was written.
fn occurred_at(fields: &Fields) -> Result<Time, String> {
    let name = "_SOURCE_REALTIME_TIMESTAMP";
    let (name, text) = match fields.first(name) {
        Some(text) => (name, text),
        None => {
            let name = "__REALTIME_TIMESTAMP";
            (name, fields.first(name).ok_or("the entry has no time")?)
        }
    };
    let microseconds: Option<i64> = text.parse().ok();
    let nanoseconds = microseconds.and_then(|microseconds| microseconds.checked_mul(1000));
    nanoseconds
        .map(Time::from_unix_ns)
        .ok_or_else(|| format!("{name} is not a number of microseconds"))
}

/// The user whom journald saw: that of the login session, else that of the process.
fn actor(fields: &Fields) -> Actor {
    if let Some(id) = fields.first("_AUDIT_LOGINUID").filter(|id| *id != UNSET) {
        return Actor { id: Some(id.to_owned()), name: None, kind: ActorKind::User };
    }
    Actor { id: fields.first("_UID").map(str::to_owned), name: None, kind: ActorKind::Unknown }
}

/// Fields under their own names, which are in upper case, so that none is mistaken for an attribute
/// of ours.
fn attributes(fields: &Fields) -> BTreeMap<String, String> {
    let mut attributes: BTreeMap<String, String> = fields
        .values
        .iter()
        .filter(|(name, _)| !NO_ATTRIBUTES.contains(&name.as_str()))
        .map(|(name, values)| (name.clone(), values.join(", ")))
        .filter(|(_, value)| !value.is_empty())
        .collect();
    if let Some(name) =
        fields.number("PRIORITY").and_then(|number| PRIORITIES.get(usize::from(number)))
    {
        attributes.insert("priority".to_owned(), (*name).to_owned());
    }
    if let Some(name) =
        fields.number("SYSLOG_FACILITY").and_then(|number| FACILITIES.get(usize::from(number)))
    {
        attributes.insert("facility".to_owned(), (*name).to_owned());
    }
    if !fields.omitted.is_empty() {
        attributes.insert("omitted".to_owned(), fields.omitted.join(", "));
    }
    if fields.is_invalid_utf8 {
        attributes.insert("invalid_utf8".to_owned(), "true".to_owned());
    }
    attributes
}

/// Whether `name` is a field's: capital letters, digits and underscores, 64 at most.
fn is_field_name(name: &[u8]) -> bool {
    !name.is_empty()
        && name.len() <= FIELD_NAME_BYTES_MAX
        && name
            .iter()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_')
}

/// Longest field name that journald accepts.
const FIELD_NAME_BYTES_MAX: usize = 64;
