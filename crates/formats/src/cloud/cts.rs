//! Traces of Huawei Cloud's Cloud Trace Service (CTS): responses of its list API, files it writes
//! to OBS, lines of a log stream it writes to LTS, and the events it passes to functions.
//!
//! Fields: <https://support.huaweicloud.com/intl/en-us/usermanual-cts/cts_03_0010.html>; list API:
//! <https://support.huaweicloud.com/intl/en-us/api-cts/cts_api_0311.html>; functions:
//! <https://support.huaweicloud.com/intl/en-us/usermanual-functiongraph/functiongraph_01_0209.html>;
//! and the examples in `testdata/cts/`, made after these pages. The pages show, and this parser
//! relies on:
//! - `user`, `request` and `response` are objects in some deliveries and texts that hold an object
//!   in others;
//! - `code` is a number or a text, and a normal login has 302;
//! - a rating of `warning` is a failure, `incident` one with consequences; functions get it as
//!   `trace_status`;
//! - `time` counts milliseconds, for some functions seconds; the console shows a text with an
//!   offset instead;
//! - one trace comes from the list and in a file, so `trace_id` is the key.
//!
//! Requests and responses stay in the original bytes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::value::RawValue;

use crate::context::{Zone, address, date_time};
use crate::item::{Items, NoEvent};
use crate::json_pieces::{
    Members, documents, elements, members, object, position_of, same_length, scalar,
};
use crate::lines::{complete_lines, parse_one};
use crate::spec::{Hooks, Spec, Syslog};
use crate::{Context, Continuation, Delivery, EnvelopeError, meaning};
use event::{
    Actor, ActorKind, Class, Event, Operation, Origin, Outcome, OutcomeKind, Resolution, Resource,
    Service, Severity, SourceIp, Time, Trust,
};

pub(crate) const SPEC: Spec = Spec {
    name: "cts",
    about: "Huawei Cloud Trace Service: traces of the list API, of OBS files and of log streams",
    service: Service::Platform,
    delivery: Delivery::Http,
    heeds_errors: false,
    syslog: Syslog::Text,
    parse,
    complete_bytes,
    hooks: Hooks::NONE,
};

/// Lines, or a file that is one array, which is parsed once it is complete.
fn complete_bytes(piece: &[u8], continuation: Continuation) -> usize {
    let is_array = piece.trim_ascii_start().starts_with(b"[");
    match continuation {
        Continuation::Quiet if is_array && serde_json::from_slice::<&RawValue>(piece).is_ok() => {
            piece.len()
        }
        Continuation::More | Continuation::Quiet if is_array => 0,
        _ => complete_lines(piece, continuation),
    }
}

pub(crate) fn parse(
    body: &[u8],
    context: &mut Context<'_>,
    items: &mut Items<'_>,
) -> Result<(), EnvelopeError> {
    let text = same_length(body);
    let events_max = context.limits.events_max;
    let too_many =
        || EnvelopeError::TooLarge(format!("the body holds more than {events_max} traces"));
    let mut left = events_max;
    for (position, document) in documents(&text, context.position.is_some(), events_max)? {
        let positions: Vec<Range<usize>> = match document.map(|document| traces(document, left)) {
            Ok(Ok((_, true))) => return Err(too_many()),
            Ok(Ok((traces, false))) => {
                traces.iter().map(|trace| position_of(trace.get(), &text)).collect()
            }
            Ok(Err(_)) | Err(_) => vec![position],
        };
        if positions.len() > left {
            return Err(too_many());
        }
        left -= positions.len();
        for position in positions {
            items.push(parse_one(&body[position], context, read))?;
        }
    }
    Ok(())
}

/// The traces of an array, of a response of the list API, or of a function call; else the document
/// itself is one.
fn traces(document: &RawValue, max: usize) -> Result<(Vec<&RawValue>, bool), String> {
    if document.get().starts_with('[') {
        return elements(document.get(), max);
    }
    let members = object(document).unwrap_or_default();
    match (members.get("traces"), members.get("cts")) {
        (Some(traces), _) => elements(traces.get(), max),
        (None, Some(trace)) => Ok((vec![*trace], false)),
        (None, None) => Ok((vec![document], false)),
    }
}

fn read(raw: &[u8], context: &mut Context<'_>) -> Result<Event, NoEvent> {
    let text = String::from_utf8_lossy(raw);
    let members = members(&text).map_err(|error| format!("not a trace: {error}"))?;
    let mut trace = Trace::of(&members);
    let key = trace.take("trace_id").ok_or("the trace has no trace_id")?;
    let action = trace.take("trace_name").ok_or("the trace has no trace_name")?;
    let (occurred_at, resolution) = time(&trace.take("time").ok_or("the trace has no time")?)?;
    let recorded_at = trace.fields.get("record_time").and_then(|text| time(text).ok());
    if let Some((recorded_at, _)) = recorded_at {
        trace.fields.insert("record_time".to_owned(), recorded_at.to_string());
    }
    if matches!(text, Cow::Owned(_)) {
        trace.fields.insert("invalid_utf8".to_owned(), "true".to_owned());
    }
    let error = error_of(&members);
    let mut operation = meaning::operation(&action);
    let resource = resource(&mut trace, &mut operation, &action, context.trail.instance());
    let outcome = outcome(&mut trace, error.0);
    let actor = actor(&mut trace);
    let description = trace.take("message").or(error.1);
    Ok(Event {
        id: (context.new_id)(),
        trail: context.trail.clone(),
        occurred_at,
        resolution,
        actor,
        source_ip: source_ip(&mut trace),
        user_agent: trace.take("user_agent"),
        operation,
        severity: severity(&trace, operation, &action, &outcome),
        class: class(&trace, operation, &action, &resource, &outcome),
        action,
        resource,
        outcome,
        description,
        request_id: trace.take("request_id"),
        trace_id: None,
        origin: Origin {
            source: context.source.to_owned(),
            format: SPEC.name.to_owned(),
            key: Some(key),
        },
        attributes: trace.attributes(),
        raw: raw.to_vec(),
    })
}

/// The texts, numbers and booleans of a trace.
struct Trace {
    fields: BTreeMap<String, String>,
    user: BTreeMap<String, String>,
    domain: BTreeMap<String, String>,
    /// Services in whose name the user acted.
    invoked_by: String,
}

impl Trace {
    fn of(members: &Members<'_>) -> Trace {
        let scalars = |members: &Members<'_>| -> BTreeMap<String, String> {
            let text =
                members.iter().filter_map(|(name, value)| Some((name.clone(), scalar(value)?)));
            text.collect()
        };
        let mut trace = Trace {
            fields: scalars(members),
            user: BTreeMap::new(),
            domain: BTreeMap::new(),
            invoked_by: String::new(),
        };
        for name in ["user", "request", "response"] {
            trace.fields.remove(name);
        }
        with_object(members.get("user").copied(), |user| match user {
            Ok(user) => {
                trace.user = scalars(&user);
                trace.domain = user
                    .get("domain")
                    .and_then(|domain| object(domain))
                    .map(|domain| scalars(&domain))
                    .unwrap_or_default();
                let services =
                    user.get("invoked_by").and_then(|list| elements(list.get(), SERVICES_MAX).ok());
                let services = services.unwrap_or_default().0.into_iter().filter_map(scalar);
                trace.invoked_by = services.collect::<Vec<_>>().join(", ");
            }
            Err(name) => {
                trace.user.insert("name".to_owned(), name);
            }
        });
        trace
    }

    fn take(&mut self, name: &str) -> Option<String> {
        self.fields.remove(name)
    }

    fn is_of_service(&self, service: &str) -> bool {
        self.fields.get("service_type").is_some_and(|text| text.eq_ignore_ascii_case(service))
    }

    /// Members for which the event has none. The user's fields have names of their own.
    fn attributes(mut self) -> BTreeMap<String, String> {
        let department = self.domain.get("name").cloned().unwrap_or_default();
        self.fields
            .extend(self.user.into_iter().map(|(name, value)| (format!("user_{name}"), value)));
        self.fields
            .extend(self.domain.into_iter().map(|(name, value)| (format!("domain_{name}"), value)));
        self.fields.extend([
            ("department".to_owned(), department.clone()),
            ("operator_tenant_name".to_owned(), department),
            ("user_invoked_by".to_owned(), self.invoked_by),
        ]);
        self.fields.retain(|_, value| !value.is_empty());
        self.fields
    }
}

/// Most services named as having acted in a user's name.
const SERVICES_MAX: usize = 16;

/// An object, written as one or as a text that holds one; else the text.
fn with_object(value: Option<&RawValue>, each: impl FnOnce(Result<Members<'_>, String>)) {
    let Some(value) = value else { return };
    if let Some(members) = object(value) {
        return each(Ok(members));
    }
    if let Some(text) = scalar(value) {
        match members(&text) {
            Ok(members) => each(Ok(members)),
            Err(_) => each(Err(text)),
        }
    }
}

/// Code and message of the error in a response.
fn error_of(members: &Members<'_>) -> (Option<String>, Option<String>) {
    let mut error = (None, None);
    with_object(members.get("response").copied(), |response| {
        let Ok(response) = response else { return };
        let part = |name: &str| response.get(name).and_then(|value| scalar(value));
        error = (part("error_code"), part("error_msg"));
    });
    error
}

/// Reads milliseconds or seconds since 1970, a time of RFC 3339, or the console's form, `2026/11/20
/// 18:20:56 GMT+08:00` or with the year last.
fn time(text: &str) -> Result<(Time, Resolution), String> {
    if let Ok(number) = text.parse::<i64>() {
        // Seconds have ten digits until the year 2286, milliseconds have had twelve since 1973.
        let (ns, resolution) = match number {
            ..100_000_000_000 => (1_000_000_000, Resolution::Second),
            _ => (1_000_000, Resolution::Millisecond),
        };
        let ns = number.checked_mul(ns).ok_or("time is outside the years 1678 to 2261")?;
        return Ok((Time::from_unix_ns(ns), resolution));
    }
    if let Some(time) = console_time(text) {
        return Ok((time, Resolution::Second));
    }
    Time::parse_rfc3339(text).map_err(|error| format!("time: {error}"))
}

fn console_time(text: &str) -> Option<Time> {
    let (local, zone) = text.split_once(" GMT")?;
    let (date, time) = local.split_once(' ')?;
    let parts: Vec<&str> = date.splitn(4, '/').collect();
    let (year, month, day) = match *parts {
        [year, month, day] if year.len() == 4 => (year, month, day),
        [month, day, year] => (year, month, day),
        _ => return None,
    };
    let local = date_time(&format!("{year}-{month}-{day}T{time}"))?;
    let zone = if zone.is_empty() { Zone::utc() } else { Zone::parse(zone).ok()? };
    zone.instant(local).ok()
}

fn actor(trace: &mut Trace) -> Actor {
    let user = &mut trace.user;
    let id = user.remove("id").or_else(|| user.remove("principal_id"));
    let (name, user_name) = (user.remove("name"), user.remove("user_name"));
    if let (Some(name), Some(other)) = (&name, &user_name)
        && name != other
    {
        trace.fields.insert("operator_nick_name".to_owned(), other.clone());
    }
    let name = name.or(user_name);
    let kind = match (trace.fields.get("trace_type").map(String::as_str), trace.user.get("type")) {
        (Some("SystemAction"), _) => ActorKind::System,
        (_, Some(kind)) if kind.contains("Agency") => ActorKind::Service,
        _ if id.is_none() && name.is_none() => ActorKind::Unknown,
        _ => ActorKind::User,
    };
    Actor { id, name, kind }
}

/// A text that is not an address stays an attribute.
fn source_ip(trace: &mut Trace) -> Option<SourceIp> {
    let address = address(trace.fields.get("source_ip")?)?;
    trace.take("source_ip");
    Some(SourceIp { address, trust: Trust::Peer })
}

/// Images of SWR are artifacts and tags, as in a registry; a package moved in or out of a
/// repository is a file.
fn resource(
    trace: &mut Trace,
    operation: &mut Operation,
    action: &str,
    instance: &str,
) -> Resource {
    let (kind, name) = (trace.take("resource_type"), trace.take("resource_name"));
    if trace.is_of_service("SWR") {
        *operation = match *operation {
            Operation::Upload => Operation::Push,
            Operation::Download => Operation::Pull,
            other => other,
        };
        return image(kind, name, action);
    }
    let is_moved = matches!(operation, Operation::Upload | Operation::Download);
    if is_moved && kind.as_deref().is_some_and(|kind| kind.eq_ignore_ascii_case("repository")) {
        let path = name.map(|name| {
            match name.strip_prefix(instance).and_then(|rest| rest.strip_prefix('/')) {
                Some(path) => path.to_owned(),
                None => name,
            }
        });
        return Resource { kind: Some("file".to_owned()), name: path, ..Resource::default() };
    }
    Resource { kind, name, id: trace.take("resource_id"), region: None }
}

/// `library/ubuntu:24.04` is the tag 24.04 of a repository, `library/ubuntu@sha256:…` the artifact
/// with that digest.
fn image(kind: Option<String>, name: Option<String>, action: &str) -> Resource {
    let is_tag = kind.as_deref().is_some_and(|kind| kind.to_ascii_lowercase().ends_with("tag"))
        || meaning::words(action).iter().any(|word| word == "tag" || word == "tags");
    let kind = match kind {
        Some(kind) if kind.to_ascii_lowercase().contains("image") => {
            Some(if is_tag { "tag" } else { "artifact" }.to_owned())
        }
        other => other,
    };
    let text = name.unwrap_or_default();
    let (name, id) = match text.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => match text.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')) {
            Some((name, tag)) => (name, Some(tag)),
            None => (&*text, None),
        },
    };
    let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    Resource { kind, name: text(name), id: id.and_then(text), region: None }
}

/// Either the code or the rating may report a failure.
fn outcome(trace: &mut Trace, reason: Option<String>) -> Outcome {
    let code: Option<u32> = trace.fields.get("code").and_then(|code| code.parse().ok());
    if code.is_some() {
        trace.take("code");
    }
    let kind = match (code, trace.rating()) {
        (Some(400..), _) | (_, Some("warning" | "incident")) => OutcomeKind::Failure,
        (Some(_), _) | (_, Some("normal")) => OutcomeKind::Success,
        _ => OutcomeKind::Unknown,
    };
    Outcome { kind, code, reason }
}

impl Trace {
    fn rating(&self) -> Option<&str> {
        self.fields
            .get("trace_rating")
            .or_else(|| self.fields.get("trace_status"))
            .map(String::as_str)
    }

    /// Whether it is about CTS's own trackers, without which nothing is audited.
    fn is_of_auditing(&self) -> bool {
        self.is_of_service("CTS")
    }
}

fn severity(trace: &Trace, operation: Operation, action: &str, outcome: &Outcome) -> Severity {
    let by_outcome = meaning::severity(operation, outcome);
    let lower = action.to_ascii_lowercase();
    let switches_off =
        operation == Operation::Delete || lower.contains("disable") || lower.contains("stop");
    match outcome.kind {
        _ if trace.rating() == Some("incident") => Severity::CRITICAL,
        OutcomeKind::Failure if trace.is_of_auditing() && switches_off => {
            by_outcome.max(Severity::MAJOR)
        }
        _ if trace.is_of_auditing() && switches_off => Severity::CRITICAL,
        _ => by_outcome,
    }
}

fn class(
    trace: &Trace,
    operation: Operation,
    action: &str,
    resource: &Resource,
    outcome: &Outcome,
) -> Class {
    let is_of_rights =
        trace.is_of_service("IAM") || (trace.is_of_auditing() && operation != Operation::Read);
    if is_of_rights {
        Class::Security
    } else {
        meaning::class(operation, action, resource.kind.as_deref(), outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_in_many_forms() {
        for (text, expected, resolution) in [
            ("1795190000123", "2026-11-20T15:53:20.123000000Z", Resolution::Millisecond),
            ("1529996047", "2018-06-26T06:54:07.000000000Z", Resolution::Second),
            ("2026/11/20 18:20:56 GMT+08:00", "2026-11-20T10:20:56.000000000Z", Resolution::Second),
            ("11/20/2026 18:20:56 GMT+08:00", "2026-11-20T10:20:56.000000000Z", Resolution::Second),
            ("2026-11-20T18:20:56.5Z", "2026-11-20T18:20:56.500000000Z", Resolution::Millisecond),
        ] {
            let (time, found) = time(text).expect(text);
            assert_eq!((time.to_string().as_str(), found), (expected, resolution), "{text}");
        }
        for wrong in
            ["", "yesterday", "99999999999999999", "2026/13/20 18:20:56 GMT+08:00", "1/2 3 GMT"]
        {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_array_is_whole_at_its_end() {
        for (piece, more, quiet) in
            [(&b"[{},{}"[..], 0, 0), (b"[{},\n{}]", 0, 8), (b"{}\n{", 3, 3), (b"{}", 0, 2)]
        {
            assert_eq!(complete_bytes(piece, Continuation::More), more);
            assert_eq!(complete_bytes(piece, Continuation::Quiet), quiet);
            assert_eq!(complete_bytes(piece, Continuation::Nothing), piece.len());
        }
    }
}
