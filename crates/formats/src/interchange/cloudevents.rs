//! CloudEvents over HTTP, of any type: one in JSON, one in header lines, or a batch; in files, one
//! a line.
//!
//! Attributes: <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md>; the three
//! modes:
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md>;
//! extensions `authtype` and `authid`, `severitynumber`, `traceparent`:
//! <https://github.com/cloudevents/spec/tree/main/cloudevents/extensions>; and the captures in
//! `testdata/cloudevents/`. The captures show, and this parser relies on:
//! - in binary mode there may be no content type although the data is JSON, and no data at all;
//! - header values are percent-encoded by some clients and plain UTF-8 by others, which a server
//!   may have read as Latin-1;
//! - content types have parameters, and a batch may be empty;
//! - `time` is optional and comes with any offset and number of digits.
//!
//! The type decides what the data means. If the data is a JSON object, members of the usual names
//! give actor, resource and result; its other texts, numbers and booleans are attributes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::value::RawValue;

use crate::context::address;
use crate::item::{Items, NoEvent};
use crate::json_pieces::{documents, elements, members, object, position_of, same_length, scalar};
use crate::lines::{complete_lines, parse_one};
use crate::repository_request::percent_decoded;
use crate::spec::{Hooks, Spec, Syslog};
use crate::texts::non_empty;
use crate::{Context, Delivery, EnvelopeError, meaning};
use event::{
    Actor, ActorKind, Event, Origin, Outcome, OutcomeKind, Resolution, Resource, Service, SourceIp,
    Time, Trust,
};

pub(crate) const SPEC: Spec = Spec {
    name: "cloudevents",
    about: "CloudEvents of any type, by HTTP in structured, binary or batch mode",
    service: Service::Platform,
    delivery: Delivery::Http,
    heeds_errors: false,
    syslog: Syslog::Text,
    parse,
    complete_bytes: complete_lines,
    hooks: Hooks::NONE,
};

/// The beginning of every content type of events in one text; its form follows.
const STRUCTURED: &str = "application/cloudevents";

pub(crate) fn parse(
    body: &[u8],
    context: &mut Context<'_>,
    items: &mut Items<'_>,
) -> Result<(), EnvelopeError> {
    let media_type = media_type(context.header("content-type").unwrap_or_default());
    if let Some(form) = media_type.strip_prefix(STRUCTURED) {
        if form.ends_with("+json") {
            return parse_structured(body, context, items);
        }
        return Err(EnvelopeError::Malformed(format!(
            "events as {media_type} are not read, only as JSON"
        )));
    }
    if context.headers.iter().any(|(name, _)| name.starts_with(HEADER_PREFIX)) {
        return items.push(parse_one(body, context, read_binary));
    }
    parse_structured(body, context, items)
}

/// The media type without parameters: `Application/JSON; charset=UTF-8` is `application/json`. It
/// is not read by the crate `mime`, which refuses the whole header for one odd parameter.
fn media_type(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// One event or an array of events; in a file, one or the other a line.
fn parse_structured(
    body: &[u8],
    context: &mut Context<'_>,
    items: &mut Items<'_>,
) -> Result<(), EnvelopeError> {
    let text = same_length(body);
    let events_max = context.limits.events_max;
    let too_many =
        || EnvelopeError::TooLarge(format!("the body holds more than {events_max} events"));
    let mut left = events_max;
    for (position, document) in documents(&text, context.position.is_some(), events_max)? {
        let array = document.as_ref().ok().filter(|document| document.get().starts_with('['));
        let positions: Vec<Range<usize>> = match array.map(|array| elements(array.get(), left)) {
            Some(Ok((_, true))) => return Err(too_many()),
            Some(Ok((events, false))) => {
                events.into_iter().map(|event| position_of(event.get(), &text)).collect()
            }
            Some(Err(_)) | None => vec![position],
        };
        if positions.len() > left {
            return Err(too_many());
        }
        left -= positions.len();
        for position in positions {
            items.push(parse_one(&body[position], context, read_structured))?;
        }
    }
    Ok(())
}

fn read_structured(raw: &[u8], context: &mut Context<'_>) -> Result<Event, NoEvent> {
    let text = String::from_utf8_lossy(raw);
    let mut members = members(&text).map_err(|error| format!("not an event: {error}"))?;
    let (value, base64) = (members.remove("data"), members.remove("data_base64"));
    let attributes: BTreeMap<String, String> =
        members.into_iter().filter_map(|(name, value)| Some((name, scalar(value)?))).collect();
    let content_type = media_type(attributes.get("datacontenttype").map_or("", String::as_str));
    let decoded: Vec<u8>;
    let data = match (value, base64.and_then(scalar)) {
        (Some(_), Some(_)) => return Err("the event has both data and data_base64".into()),
        (Some(value), None) => Data::of_value(value, &content_type),
        (None, Some(base64)) => {
            decoded = BASE64.decode(base64).map_err(|_| "data_base64 is not base64".to_owned())?;
            Data::of_bytes(&decoded, &content_type)
        }
        (None, None) => Data::default(),
    };
    let is_lossy = matches!(text, Cow::Owned(_)) || data.is_lossy;
    event(attributes, data, is_lossy, raw, context)
}

/// Prefix of header lines that are attributes.
const HEADER_PREFIX: &str = "ce-";

/// Reads an event of which the header lines are the attributes and the body is the data.
fn read_binary(body: &[u8], context: &mut Context<'_>) -> Result<Event, NoEvent> {
    let mut attributes = BTreeMap::new();
    for (name, value) in context.headers {
        if let Some(name) = name.strip_prefix(HEADER_PREFIX) {
            attributes.entry(name.to_owned()).or_insert_with(|| header_value(value));
        }
    }
    let content_type = context.header("content-type").unwrap_or_default();
    attributes.insert("datacontenttype".to_owned(), content_type.to_owned());
    let data = Data::of_bytes(body, &media_type(content_type));
    let is_lossy = data.is_lossy;
    event(attributes, data, is_lossy, body, context)
}

/// HTTP binding section 3.1.3.2, in reverse: removes quotes, then percent-encoding. UTF-8 that was
/// read as Latin-1 is read again.
fn header_value(value: &str) -> String {
    let latin: Option<Vec<u8>> =
        value.chars().map(|character| u8::try_from(u32::from(character)).ok()).collect();
    let utf8 = latin.and_then(|bytes| String::from_utf8(bytes).ok());
    let value = utf8.as_deref().unwrap_or(value);
    match value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(quoted) => {
            let mut is_escaped = false;
            let plain: String = quoted
                .chars()
                .filter(|&character| {
                    is_escaped = character == '\\' && !is_escaped;
                    !is_escaped
                })
                .collect();
            percent_decoded(&plain)
        }
        None => percent_decoded(value),
    }
}

/// The part of the data that has a known meaning.
#[derive(Default)]
struct Data<'a> {
    members: BTreeMap<String, Cow<'a, RawValue>>,
    text: Option<String>,
    is_lossy: bool,
}

/// Data without a content type is JSON if it looks like it.
fn is_json(media_type: &str) -> bool {
    media_type.is_empty() || media_type.ends_with("/json") || media_type.ends_with("+json")
}

impl<'a> Data<'a> {
    fn of_value(value: &'a RawValue, media_type: &str) -> Data<'a> {
        match value.get().as_bytes()[0] {
            b'{' if is_json(media_type) => {
                let members = object(value).unwrap_or_default().into_iter();
                let members = members.map(|(name, value)| (name, Cow::Borrowed(value))).collect();
                Data { members, ..Data::default() }
            }
            _ if media_type.starts_with("text/") => Data { text: scalar(value), ..Data::default() },
            _ => Data::default(),
        }
    }

    fn of_bytes(bytes: &[u8], media_type: &str) -> Data<'a> {
        let is_text = media_type.starts_with("text/");
        if !is_text && !is_json(media_type) {
            return Data::default();
        }
        let text = String::from_utf8_lossy(bytes);
        let is_lossy = matches!(text, Cow::Owned(_));
        if is_text {
            return Data { text: non_empty(&text), is_lossy, ..Data::default() };
        }
        let members = members(text.trim()).unwrap_or_default().into_iter();
        let members = members.map(|(name, value)| (name, Cow::Owned(value.to_owned()))).collect();
        Data { members, is_lossy, ..Data::default() }
    }

    /// Takes the first of these members that is a text, number or boolean.
    fn take(&mut self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| {
            let text = scalar(self.members.get(*name)?)?;
            self.members.remove(*name);
            Some(text)
        })
    }

    /// Texts, numbers and booleans of the first of these members that is an object.
    fn parts(&self, names: &[&str]) -> BTreeMap<String, String> {
        let found = names.iter().find_map(|name| object(self.members.get(*name)?));
        found
            .unwrap_or_default()
            .into_iter()
            .filter_map(|(name, value)| Some((name, scalar(value)?)))
            .collect()
    }
}

fn event(
    mut attributes: BTreeMap<String, String>,
    mut data: Data<'_>,
    is_lossy: bool,
    raw: &[u8],
    context: &mut Context<'_>,
) -> Result<Event, NoEvent> {
    let (source, id, action) = check(&mut attributes)?;
    let (occurred_at, resolution) = match take(&mut attributes, "time") {
        Some(time) => Time::parse_rfc3339(&time).map_err(|error| format!("time: {error}"))?,
        None => (context.received_at, Resolution::Nanosecond),
    };
    let resource = resource(&mut attributes, &mut data, &source);
    let outcome = outcome(&mut data);
    let operation = match meaning::operation(&action) {
        event::Operation::Other => {
            data.take(&["action"]).map_or(event::Operation::Other, |word| meaning::operation(&word))
        }
        known => known,
    };
    let number = attributes.get("severitynumber").and_then(|text| text.parse().ok()).unwrap_or(0);
    Ok(Event {
        id: (context.new_id)(),
        trail: context.trail.clone(),
        occurred_at,
        resolution,
        actor: actor(&mut attributes, &mut data),
        source_ip: source_ip(&mut attributes),
        user_agent: None,
        operation,
        severity: meaning::severity_of_number(number).max(meaning::severity(operation, &outcome)),
        class: meaning::class(operation, &action, resource.kind.as_deref(), &outcome),
        action,
        resource,
        outcome,
        description: data.take(&["message", "description"]).or(data.text.take()),
        request_id: take(&mut attributes, "requestid"),
        trace_id: attributes.get("traceparent").and_then(|parent| trace_id(parent)),
        origin: Origin {
            source: context.source.to_owned(),
            format: SPEC.name.to_owned(),
            key: Some(format!("{source} {id}")),
        },
        attributes: remaining_attributes(attributes, source, &data, is_lossy),
        raw: raw.to_vec(),
    })
}

/// Takes source, id and type: with the version, the only required attributes.
fn check(attributes: &mut BTreeMap<String, String>) -> Result<(String, String, String), String> {
    match take(attributes, "specversion") {
        Some(version) if version == "1.0" || version == "0.3" => {}
        Some(version) => {
            return Err(format!(
                "unknown specversion {:?}",
                version.chars().take(64).collect::<String>()
            ));
        }
        None => return Err("the event has no specversion".to_owned()),
    }
    let mut required =
        |name| take(attributes, name).ok_or_else(|| format!("the event has no {name}"));
    Ok((required("source")?, required("id")?, required("type")?))
}

fn take(attributes: &mut BTreeMap<String, String>, name: &str) -> Option<String> {
    attributes.remove(name).filter(|text| !text.is_empty())
}

/// The actor of the extensions, else of the data.
fn actor(attributes: &mut BTreeMap<String, String>, data: &mut Data<'_>) -> Actor {
    const NAMES: [&str; 4] = ["actor", "user", "username", "operator"];
    let kind = match attributes.get("authtype").map(String::as_str) {
        Some("service_account" | "api_key") => ActorKind::Service,
        Some("system") => ActorKind::System,
        Some("unauthenticated") => ActorKind::Anonymous,
        _ => ActorKind::User,
    };
    let (mut id, mut name) = (take(attributes, "authid"), take(attributes, "actor"));
    // Only together: the data may be about another user.
    if id.is_none() && name.is_none() {
        let mut parts = data.parts(&NAMES);
        id = parts.remove("id");
        name =
            data.take(&NAMES).or_else(|| parts.remove("name")).or_else(|| parts.remove("username"));
    }
    let is_nobody = id.is_none() && name.is_none() && kind == ActorKind::User;
    Actor { id, name, kind: if is_nobody { ActorKind::Unknown } else { kind } }
}

/// A text that is not an address stays an attribute.
fn source_ip(attributes: &mut BTreeMap<String, String>) -> Option<SourceIp> {
    let address = address(attributes.get("sourceip")?)?;
    attributes.remove("sourceip");
    Some(SourceIp { address, trust: Trust::Peer })
}

/// If the subject and the data both name the resource, the subject counts, and the data's name is
/// an attribute.
fn resource(
    attributes: &mut BTreeMap<String, String>,
    data: &mut Data<'_>,
    source: &str,
) -> Resource {
    let mut parts = data.parts(&["resource"]);
    let of_data = parts.remove("name").or_else(|| data.take(&["resource"]));
    let subject = take(attributes, "subject");
    if let (Some(_), Some(name)) = (&subject, &of_data) {
        attributes.insert("data.resource.name".to_owned(), name.clone());
    }
    Resource {
        kind: parts.remove("type").or_else(|| parts.remove("kind")),
        name: subject.or(of_data).or_else(|| Some(source.to_owned())),
        id: parts.remove("id"),
        region: None,
    }
}

/// A word for the result, or the status of an HTTP request.
fn outcome(data: &mut Data<'_>) -> Outcome {
    let reason = |data: &mut Data<'_>| data.take(&["reason"]);
    let Some(word) = data.take(&["outcome", "result", "status"]) else { return Outcome::default() };
    if let Ok(code @ 100..600) = word.parse::<u32>() {
        let kind = if code < 400 { OutcomeKind::Success } else { OutcomeKind::Failure };
        return Outcome { kind, code: Some(code), reason: reason(data) };
    }
    let kind = meaning::outcome(&word);
    let is_informative = kind == OutcomeKind::Unknown || meaning::is_denial(&word);
    Outcome { kind, code: None, reason: reason(data).or_else(|| is_informative.then_some(word)) }
}

/// The trace of a `traceparent`: <https://www.w3.org/TR/trace-context/#traceparent-header>.
fn trace_id(traceparent: &str) -> Option<String> {
    let id = traceparent.split('-').nth(1)?;
    let is_id = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_id && id.bytes().any(|digit| digit != b'0')).then(|| id.to_ascii_lowercase())
}

fn remaining_attributes(
    mut attributes: BTreeMap<String, String>,
    source: String,
    data: &Data<'_>,
    is_lossy: bool,
) -> BTreeMap<String, String> {
    let scalars = data
        .members
        .iter()
        .filter_map(|(name, value)| Some((format!("data.{name}"), scalar(value)?)));
    attributes.extend(scalars);
    attributes.insert("source".to_owned(), source);
    if is_lossy {
        attributes.insert("invalid_utf8".to_owned(), "true".to_owned());
    }
    attributes.retain(|_, value| !value.is_empty());
    attributes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_values_come_in_three_encodings() {
        for (value, expected) in [
            ("alice", "alice"),
            ("%E7%8E%8B%20%22x%22%25%20y", "王 \"x\"% y"),
            ("王", "王"),
            ("\u{e7}\u{8e}\u{8b}", "王"),
            ("caf\u{e9}", "café"),
            ("\"a \\\"b\\\" \\\\%41\"", "a \"b\" \\A"),
            ("\"", "\""),
            ("100%", "100%"),
            ("", ""),
        ] {
            assert_eq!(header_value(value), expected, "{value:?}");
        }
    }

    #[test]
    fn a_traceparent_names_its_trace() {
        for (text, expected) in [
            (
                "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                Some("0af7651916cd43dd8448eb211c80319c"),
            ),
            ("00-00000000000000000000000000000000-b7ad6b7169203331-01", None),
            ("00-0af7-b7ad6b7169203331-01", None),
            ("x", None),
        ] {
            assert_eq!(trace_id(text).as_deref(), expected, "{text}");
        }
    }
}
