//! Harbor's audit log as it forwards it by syslog, or lines of it in a file.
//!
//! <https://goharbor.io/docs/main/administration/log-rotation/>, and the capture in
//! `testdata/harbor-syslog/`. A line is `… [operator="U" resourceType="R" time="T"]: action:A,
//! resource:X, operation_description:D`; before 2.13 it ends with the resource. The capture shows,
//! and this parser relies on:
//! - nothing is escaped, and for a login the operator is whatever was typed. A line in which these
//!   fields occur twice has two readings and is rejected; a line feed in a name cuts a line in two,
//!   and the rest is rejected;
//! - `time` has nanoseconds, its own offset, and after it the reading of a monotonic clock; the
//!   header has seconds;
//! - the result is not forwarded. Acts on artifacts, repositories and projects are sent only when
//!   they succeeded; logins and changes of users, members and settings also when they were refused.

use super::harbor_webhook::actor;
use crate::item::{Items, NoEvent};
use crate::lines::{complete_lines, parse_lines};
use crate::outline::{digest_of, outline};
use crate::spec::{Hooks, Spec, Syslog};
use crate::syslog_message::Message;
use crate::texts::{attributes_of, non_empty};
use crate::{Context, Delivery, EnvelopeError};
use event::{
    Actor, Class, Event, Operation, Origin, Outcome, OutcomeKind, Resolution, Resource, Service,
    Severity, Time,
};

const OPERATOR: &str = "[operator=\"";
const RESOURCE_TYPE: &str = "\" resourceType=\"";
const TIME: &str = "\" time=\"";
const ACTION: &str = "\"]: action:";
const RESOURCE: &str = ", resource:";
const DESCRIPTION: &str = ", operation_description:";

/// Longest type and time, in bytes. A longer field is not Harbor's, and the limit keeps the search
/// for its end linear.
const FIELD_BYTES_MAX: usize = 128;

pub(crate) const SPEC: Spec = Spec {
    name: "harbor-syslog",
    about: "Harbor: its audit log, forwarded by syslog",
    service: Service::Registry,
    delivery: Delivery::Syslog,
    heeds_errors: false,
    syslog: Syslog::Whole(read),
    parse,
    complete_bytes: complete_lines,
    hooks: Hooks::NONE,
};

pub(crate) fn parse(
    body: &[u8],
    context: &mut Context<'_>,
    items: &mut Items<'_>,
) -> Result<(), EnvelopeError> {
    parse_lines(body, context, read, items)
}

fn read(line: &[u8], context: &mut Context<'_>) -> Result<Event, NoEvent> {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end();
    let start = text.find(OPERATOR).ok_or("the line has no [operator=\"…\"")?;
    let record = record(&text[start + OPERATOR.len()..])?;
    let (occurred_at, resolution) = time(record.time)?;
    let operation = operation(&record);
    let kind = outcome(&record);
    let blank = outline(context, SPEC.name, line);
    let mut event = Event {
        occurred_at,
        resolution,
        // A client without login is written out; Harbor's own jobs have no operator.
        actor: if record.operator.is_empty() { Actor::default() } else { actor(record.operator) },
        action: format!("{} {}", record.action, record.resource_type),
        operation,
        resource: resource(&record),
        outcome: Outcome { kind, code: None, reason: None },
        severity: if operation == Operation::Delete { Severity::MINOR } else { Severity::WARNING },
        class: class(&record),
        description: non_empty(record.description),
        origin: Origin { key: Some(digest_of(&[&text[start..]])), ..blank.origin.clone() },
        ..blank
    };
    let tag = reference(record.resource).map_or("", |(_, reference)| reference);
    event.attributes.extend(attributes_of([("tag", if tag.contains(':') { "" } else { tag })]));
    // Without a program it is not a syslog header but the beginning of Harbor's own line.
    if let Some(header) = Message::parse(line).filter(|header| header.app.is_some()) {
        event.attributes.extend(attributes_of([
            ("syslog_host", header.host.unwrap_or_default()),
            ("process_id", header.process.unwrap_or_default()),
        ]));
    }
    Ok(event)
}

/// The fields of a line from its operator on.
struct Record<'a> {
    operator: &'a str,
    resource_type: &'a str,
    time: &'a str,
    action: &'a str,
    resource: &'a str,
    description: &'a str,
}

fn record(text: &str) -> Result<Record<'_>, String> {
    let mut readings = text.match_indices(RESOURCE_TYPE).filter_map(|(at, _)| {
        let (resource_type, rest) = field(&text[at + RESOURCE_TYPE.len()..], TIME)?;
        let (time, rest) = field(rest, ACTION)?;
        Some((&text[..at], resource_type, time, rest))
    });
    let (operator, resource_type, time, rest) =
        readings.next().ok_or("the line has no resourceType, time and action")?;
    if readings.next().is_some() {
        return Err(
            "the line can be read in two ways: a name in it looks like its fields".to_owned()
        );
    }
    let (action, rest) = rest.split_once(RESOURCE).ok_or("the line has no resource")?;
    let (resource, description) = match rest.split_once(DESCRIPTION) {
        None => (rest, ""),
        Some((_, description)) if description.contains(DESCRIPTION) => {
            return Err("the line can be read in two ways: it has several descriptions".to_owned());
        }
        Some(parts) => parts,
    };
    Ok(Record { operator, resource_type, time, action, resource, description })
}

/// A short unquoted field, and the text after its end.
fn field<'a>(text: &'a str, end: &str) -> Option<(&'a str, &'a str)> {
    let at = text[..text.floor_char_boundary(FIELD_BYTES_MAX)].find(end)?;
    (!text[..at].contains('"')).then(|| (&text[..at], &text[at + end.len()..]))
}

/// Reads a time as Go writes it: `2026-11-20 18:35:15.157676135 +0000 UTC m=+0.000611731`.
fn time(text: &str) -> Result<(Time, Resolution), String> {
    let not_a_time = || format!("{text:?} is not a time");
    let mut words = text.split(' ');
    let (date, clock) = words.next().zip(words.next()).ok_or_else(not_a_time)?;
    let (hours, minutes) = words
        .next()
        .filter(|offset| offset.len() == 5 && offset.is_ascii())
        .map(|offset| offset.split_at(3))
        .ok_or_else(not_a_time)?;
    Time::parse_rfc3339(&format!("{date}T{clock}{hours}:{minutes}")).map_err(|_| not_a_time())
}

fn operation(record: &Record<'_>) -> Operation {
    match (record.action, record.resource_type) {
        ("create", "artifact") => Operation::Push,
        ("pull", _) => Operation::Pull,
        ("create", _) => Operation::Create,
        ("delete", _) => Operation::Delete,
        ("update", "configuration") => Operation::Configure,
        ("update", _) => Operation::Update,
        ("login", _) => Operation::Login,
        ("logout", _) => Operation::Logout,
        _ => Operation::Other,
    }
}

fn outcome(record: &Record<'_>) -> OutcomeKind {
    match (record.action, record.resource_type) {
        (_, "artifact" | "tag" | "repository" | "robot") => OutcomeKind::Success,
        ("create" | "delete", "project") => OutcomeKind::Success,
        _ => OutcomeKind::Unknown,
    }
}

/// Logins, and changes of rights.
fn class(record: &Record<'_>) -> Class {
    let is_about_rights = matches!(
        record.resource_type,
        "user" | "robot" | "member" | "project-member" | "role" | "configuration"
    );
    let is_sign_in = matches!(record.action, "login" | "logout");
    if is_about_rights || is_sign_in { Class::Security } else { Class::Operation }
}

/// The artifact by digest if the description has it, else by the reference that was used.
fn resource(record: &Record<'_>) -> Resource {
    let of_artifact = matches!(record.resource_type, "artifact" | "tag");
    let (name, id) = match reference(record.resource).filter(|_| of_artifact) {
        None => (record.resource, ""),
        Some((repository, reference)) if record.resource_type == "artifact" => {
            (repository, digest(record, repository).unwrap_or(reference))
        }
        Some(parts) => parts,
    };
    Resource {
        kind: non_empty(record.resource_type),
        name: non_empty(name),
        id: non_empty(id),
        region: None,
    }
}

/// Splits `library/ubuntu:24.04`, `library/ubuntu@sha256:…` or `library/ubuntu:sha256:…`.
fn reference(resource: &str) -> Option<(&str, &str)> {
    resource.split_once([':', '@'])
}

/// The digest in a description that ends with `repository@digest`.
fn digest<'a>(record: &Record<'a>, repository: &str) -> Option<&'a str> {
    let (before, digest) = record.description.rsplit_once('@')?;
    let is_digest = digest.split_once(':').is_some_and(|(algorithm, hex)| {
        !algorithm.is_empty() && hex.len() >= 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
    });
    (is_digest && before.ends_with(repository)).then_some(digest)
}
