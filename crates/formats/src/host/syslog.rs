//! Syslog messages: those of sshd, sudo, su and the account programs, and any other.
//!
//! RFC 5424 and RFC 3164, read by [`crate::syslog_message`]; `/var/log/auth.log` holds the same
//! lines without a priority. [`super::programs`] reads the texts. The captures in
//! `testdata/syslog/` show, and this parser relies on:
//! - there are no ids, and equal messages are sent on purpose: only its position in a file
//!   distinguishes a line from another;
//! - a message over the wire may hold line feeds, and the text after one must not be mistaken for
//!   another message;
//! - files have no priority, so the meaning of a known text must not depend on it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::programs::{self, LogLine};
use crate::item::{Items, NoEvent};
use crate::lines::{complete_lines, parse_lines};
use crate::spec::{Hooks, Spec, Syslog};
use crate::syslog_message::{Message, Resolved};
use crate::texts::attributes_of;
use crate::{Context, Delivery, EnvelopeError};
use event::{Event, Origin, Resolution, Service};

pub(crate) const SPEC: Spec = Spec {
    name: "syslog",
    about: "syslog: sshd, sudo, su, changes of accounts, and whatever else writes to it",
    service: Service::Platform,
    delivery: Delivery::Syslog,
    heeds_errors: false,
    syslog: Syslog::Whole(read),
    parse,
    complete_bytes: complete_lines,
    hooks: Hooks::NONE,
};

/// Names of facilities (RFC 5424 table 1), as syslog.conf spells them.
pub(crate) const FACILITIES: [&str; 24] = [
    "kern",
    "user",
    "mail",
    "daemon",
    "auth",
    "syslog",
    "lpr",
    "news",
    "uucp",
    "cron",
    "authpriv",
    "ftp",
    "ntp",
    "security",
    "console",
    "solaris-cron",
    "local0",
    "local1",
    "local2",
    "local3",
    "local4",
    "local5",
    "local6",
    "local7",
];

/// Names of priorities (RFC 5424 table 2), as syslog.conf spells them.
pub(crate) const PRIORITIES: [&str; 8] =
    ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];

pub(crate) fn parse(
    body: &[u8],
    context: &mut Context<'_>,
    items: &mut Items<'_>,
) -> Result<(), EnvelopeError> {
    parse_lines(body, context, read, items)
}

fn read(bytes: &[u8], context: &mut Context<'_>) -> Result<Event, NoEvent> {
    let message = Message::parse_any(bytes).ok_or("the line is empty")?;
    let text = message.lossy();
    let (occurred_at, resolution, zone) = occurred_at(&message, context)?;
    let log_line = LogLine {
        program: message.app.map(program),
        host: message.host,
        process: message.process,
        message_id: message.id,
        text: text.trim_end(),
        priority: message.severity,
    };
    let meaning = programs::meaning(&log_line, context)?;
    let mut attributes = attributes(&message);
    if let (None, None, Some(peer)) = (message.timestamp, message.host, context.peer) {
        attributes.insert("syslog_host".to_owned(), peer.to_canonical().to_string());
    }
    attributes.extend(zone);
    attributes.extend(meaning.attributes.into_iter().map(|(name, value)| (name.to_owned(), value)));
    if matches!(text, Cow::Owned(_)) {
        attributes.insert("invalid_utf8".to_owned(), "true".to_owned());
    }
    Ok(Event {
        id: (context.new_id)(),
        trail: context.trail.clone(),
        occurred_at,
        resolution,
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
            key: None,
        },
        attributes,
        raw: bytes.to_vec(),
    })
}

/// The program's name without its folder.
fn program(app: &str) -> &str {
    match app.rsplit_once('/') {
        Some((_, name)) if !name.is_empty() => name,
        _ => app,
    }
}

/// The time in the message, else the time of its arrival.
fn occurred_at(message: &Message<'_>, context: &Context<'_>) -> Result<Resolved, String> {
    match message.timestamp {
        Some(timestamp) => timestamp.resolve(context.received_at, context.options),
        None => {
            let attribute = ("time_assumed".to_owned(), "received".to_owned());
            Ok((context.received_at, Resolution::Nanosecond, Some(attribute)))
        }
    }
}

fn attributes(message: &Message<'_>) -> BTreeMap<String, String> {
    let name_of = |names: &[&'static str], number: Option<u8>| {
        number.and_then(|number| names.get(usize::from(number))).copied().unwrap_or_default()
    };
    let mut attributes = attributes_of([
        ("facility", name_of(&FACILITIES, message.facility)),
        ("priority", name_of(&PRIORITIES, message.severity)),
        ("program", message.app.unwrap_or_default()),
        ("process_id", message.process.unwrap_or_default()),
        ("message_id", message.id.unwrap_or_default()),
        ("syslog_host", message.host.unwrap_or_default()),
    ]);
    // The name has a full stop, which no attribute of our own has.
    let parameters = message.data.iter().flat_map(|(id, parameters)| {
        parameters.iter().map(move |(name, value)| (format!("{id}.{name}"), value.clone()))
    });
    attributes.extend(parameters);
    attributes
}
