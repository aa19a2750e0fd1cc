//! Daybook's own format: any event, in the terms of the model.
//!
//! A body is one JSON object, a JSON array of objects, or objects one after another (NDJSON).
//! Members, one example each, are listed in `docs/sources/daybook.md`. Only `action` is required.
//!
//! Its senders are written for Daybook, so form is strict: a body with a duplicate member, a string
//! or nesting beyond the limits, or an event that is too large is refused whole. A well-formed
//! event that lacks what it needs (no action, an impossible time, an unknown member) is rejected
//! and named in the response. No one reads a refusal of a file: there each line is an event, and
//! any error rejects that line alone.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeSeed;
use serde_json::value::RawValue;

use crate::item::{Items, NoEvent, item_of};
use crate::json_pieces::elements;
use crate::lines::{complete_lines, parse_lines};
use crate::spec::{Hooks, Spec, Syslog};
use crate::texts::{json_text, non_empty, texts};
use crate::{Context, Delivery, EnvelopeError, Item, Sequence};
use event::json::{DEPTH_MAX, Strict, is_too_deep};
use event::{
    Actor, ActorKind, Class, Event, Operation, Origin, Outcome, OutcomeKind, Resolution, Resource,
    Service, Severity, SourceIp, Time, Trust,
};

pub(crate) const SPEC: Spec = Spec {
    name: "daybook",
    about: "Daybook's own: any event, as JSON, a JSON array or NDJSON",
    service: Service::Platform,
    delivery: Delivery::Http,
    heeds_errors: true,
    syslog: Syslog::Text,
    parse,
    complete_bytes: complete_lines,
    hooks: Hooks { sequence, ..Hooks::NONE },
};

/// Senders number their events by attributes.
fn sequence(event: &Event) -> Option<Sequence> {
    let number = event.attributes.get("sequence")?.parse().ok()?;
    let stream = event.attributes.get("sequence_of").cloned().unwrap_or_default();
    Some(Sequence { stream, number })
}

pub(crate) fn parse(
    body: &[u8],
    context: &mut Context<'_>,
    items: &mut Items<'_>,
) -> Result<(), EnvelopeError> {
    if context.position.is_some() {
        return parse_lines(body, context, read_line, items);
    }
    let events = split(json_text(body)?, context.limits.events_max)?;
    for (position, raw) in events.iter().enumerate() {
        check_form(raw.get(), context.limits.event_bytes_max, position)?;
    }
    events.into_iter().try_for_each(|raw| items.push(parse_one(raw.get(), context)))
}

fn read_line(line: &[u8], context: &mut Context<'_>) -> Result<Event, NoEvent> {
    let text = json_text(line).map_err(|error| error.to_string())?.trim();
    check_form(text, context.limits.event_bytes_max, 0).map_err(|error| error.to_string())?;
    let members =
        serde_json::from_str::<EventMembers<'_>>(text).map_err(|error| error.to_string())?;
    Ok(event(members, text, context)?)
}

/// The events of a body, each with its own bytes.
fn split(text: &str, events_max: usize) -> Result<Vec<&RawValue>, EnvelopeError> {
    let malformed = |error: serde_json::Error| {
        EnvelopeError::Malformed(format!("the body is not JSON: {error}"))
    };
    let too_many =
        || EnvelopeError::TooLarge(format!("the body holds more than {events_max} events"));
    let events: Vec<&RawValue> = if text.trim_start().starts_with('[') {
        let array: &RawValue = serde_json::from_str(text).map_err(malformed)?;
        let (events, is_more) =
            elements(array.get(), events_max).map_err(EnvelopeError::Malformed)?;
        if is_more {
            return Err(too_many());
        }
        events
    } else {
        serde_json::Deserializer::from_str(text)
            .into_iter::<&RawValue>()
            .take(events_max + 1)
            .collect::<Result<_, _>>()
            .map_err(malformed)?
    };
    if events.is_empty() && text.trim().is_empty() {
        return Err(EnvelopeError::Malformed("the body is empty".to_owned()));
    }
    if events.len() > events_max {
        return Err(too_many());
    }
    Ok(events)
}

fn check_form(raw: &str, event_bytes_max: usize, position: usize) -> Result<(), EnvelopeError> {
    if raw.len() > event_bytes_max {
        return Err(EnvelopeError::TooLarge(format!(
            "event_too_large: event {position} has {} bytes, more than {event_bytes_max}",
            raw.len()
        )));
    }
    if !raw.starts_with('{') {
        return Err(EnvelopeError::Malformed(format!("event {position} is not a JSON object")));
    }
    if is_too_deep(raw.as_bytes()) {
        return Err(EnvelopeError::Malformed(format!(
            "too_deep: event {position} nests deeper than {DEPTH_MAX}"
        )));
    }
    Strict
        .deserialize(&mut serde_json::Deserializer::from_str(raw))
        .map_err(|error| EnvelopeError::Malformed(format!("event {position}: {error}")))
}

fn parse_one(raw: &str, context: &mut Context<'_>) -> Item {
    let event = serde_json::from_str::<EventMembers<'_>>(raw)
        .map_err(|error| error.to_string())
        .and_then(|members| event(members, raw, context));
    item_of(event.map_err(Into::into), raw.as_bytes())
}

fn event(members: EventMembers<'_>, raw: &str, context: &mut Context<'_>) -> Result<Event, String> {
    if members.action.is_empty() {
        return Err("`action` is missing or empty".to_owned());
    }
    let (occurred_at, resolution) = match &members.occurred_at {
        Some(text) => {
            Time::parse_rfc3339(text).map_err(|error| format!("`occurred_at`: {error}"))?
        }
        None => (context.received_at, Resolution::Nanosecond),
    };
    let operation = match &members.operation {
        Some(text) => word("operation", text, Operation::ALL, Operation::as_str)?,
        None => {
            Operation::from_text(&members.action.to_ascii_lowercase()).unwrap_or(Operation::Other)
        }
    };
    Ok(Event {
        id: (context.new_id)(),
        trail: context.trail.clone(),
        occurred_at,
        resolution,
        actor: actor(members.actor)?,
        source_ip: members.source_ip.map(source_ip).transpose()?,
        user_agent: non_empty(&members.user_agent),
        action: members.action.into_owned(),
        operation,
        resource: resource(members.resource),
        outcome: outcome(members.outcome)?,
        severity: severity(members.severity)?,
        class: match &members.class {
            Some(text) => word("class", text, Class::ALL, Class::as_str)?,
            None => Class::Operation,
        },
        description: non_empty(&members.description),
        request_id: non_empty(&members.request_id),
        trace_id: non_empty(&members.trace_id),
        origin: Origin {
            source: context.source.to_owned(),
            format: SPEC.name.to_owned(),
            key: non_empty(&members.id),
        },
        attributes: attributes(members.attributes)?,
        raw: raw.as_bytes().to_vec(),
    })
}

fn word<W: Copy + 'static>(
    member: &str,
    text: &str,
    all: &'static [W],
    as_str: fn(W) -> &'static str,
) -> Result<W, String> {
    all.iter().copied().find(|one| as_str(*one) == text).ok_or_else(|| {
        let known: Vec<_> = all.iter().map(|one| as_str(*one)).collect();
        format!("`{member}` is none of {}", known.join(", "))
    })
}

fn actor(members: Option<ActorMember<'_>>) -> Result<Actor, String> {
    let (id, name, kind) = match members {
        None => return Ok(Actor::default()),
        Some(ActorMember::Name(name)) => (None, non_empty(&name), None),
        Some(ActorMember::Parts { id, name, r#type }) => (non_empty(&id), non_empty(&name), r#type),
    };
    let kind = match kind {
        Some(text) => word("actor.type", &text, ActorKind::ALL, ActorKind::as_str)?,
        None if id.is_none() && name.is_none() => ActorKind::Unknown,
        None => ActorKind::User,
    };
    Ok(Actor { id, name, kind })
}

fn source_ip(members: SourceIpMember<'_>) -> Result<SourceIp, String> {
    let (address, trust) = match members {
        SourceIpMember::Address(address) => (address, None),
        SourceIpMember::Parts { address, trust } => (address, trust),
    };
    let address = address.parse().map_err(|_| "`source_ip` is not an IP address".to_owned())?;
    let trust = match trust {
        Some(text) => word("source_ip.trust", &text, Trust::ALL, Trust::as_str)?,
        None => Trust::Peer,
    };
    Ok(SourceIp { address, trust })
}

fn resource(members: Option<ResourceMember<'_>>) -> Resource {
    match members {
        None => Resource::default(),
        Some(ResourceMember::Name(name)) => {
            Resource { name: non_empty(&name), ..Resource::default() }
        }
        Some(ResourceMember::Parts { r#type, name, id, region }) => Resource {
            kind: non_empty(&r#type),
            name: non_empty(&name),
            id: non_empty(&id),
            region: non_empty(&region),
        },
    }
}

fn outcome(members: Option<OutcomeMember<'_>>) -> Result<Outcome, String> {
    let (result, code, reason) = match members {
        None => return Ok(Outcome::default()),
        Some(OutcomeMember::Result(result)) => (result, None, Cow::Borrowed("")),
        Some(OutcomeMember::Parts { result, code, reason }) => (result, code, reason),
    };
    let kind = word("outcome", &result, OutcomeKind::ALL, OutcomeKind::as_str)?;
    Ok(Outcome { kind, code, reason: non_empty(&reason) })
}

fn severity(members: Option<u8>) -> Result<Severity, String> {
    members.map_or(Ok(Severity::WARNING), |level| {
        Severity::new(level).ok_or_else(|| "`severity` is not 1, 2, 3 or 4".to_owned())
    })
}

fn attributes(
    members: Option<BTreeMap<String, &RawValue>>,
) -> Result<BTreeMap<String, String>, String> {
    texts(members.unwrap_or_default()).map_err(|why| format!("attribute {why}"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EventMembers<'a> {
    #[serde(borrow, default)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    occurred_at: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    action: Cow<'a, str>,
    #[serde(borrow)]
    operation: Option<Cow<'a, str>>,
    #[serde(borrow)]
    actor: Option<ActorMember<'a>>,
    #[serde(borrow)]
    resource: Option<ResourceMember<'a>>,
    #[serde(borrow)]
    outcome: Option<OutcomeMember<'a>>,
    #[serde(borrow)]
    source_ip: Option<SourceIpMember<'a>>,
    #[serde(borrow, default)]
    user_agent: Cow<'a, str>,
    severity: Option<u8>,
    #[serde(borrow)]
    class: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    description: Cow<'a, str>,
    #[serde(borrow, default)]
    request_id: Cow<'a, str>,
    #[serde(borrow, default)]
    trace_id: Cow<'a, str>,
    #[serde(borrow)]
    attributes: Option<BTreeMap<String, &'a RawValue>>,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "`actor` is neither a name nor an object of id, name, type"
)]
enum ActorMember<'a> {
    Name(Cow<'a, str>),
    Parts {
        #[serde(default)]
        id: Cow<'a, str>,
        #[serde(default)]
        name: Cow<'a, str>,
        r#type: Option<Cow<'a, str>>,
    },
}

#[derive(Deserialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "`resource` is neither a name nor an object of type, name, id, region"
)]
enum ResourceMember<'a> {
    Name(Cow<'a, str>),
    Parts {
        #[serde(default)]
        r#type: Cow<'a, str>,
        #[serde(default)]
        name: Cow<'a, str>,
        #[serde(default)]
        id: Cow<'a, str>,
        #[serde(default)]
        region: Cow<'a, str>,
    },
}

#[derive(Deserialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "`outcome` is neither a result nor an object of result, code, reason"
)]
enum OutcomeMember<'a> {
    Result(Cow<'a, str>),
    Parts {
        result: Cow<'a, str>,
        code: Option<u32>,
        #[serde(default)]
        reason: Cow<'a, str>,
    },
}

#[derive(Deserialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "`source_ip` is neither an address nor an object of address, trust"
)]
enum SourceIpMember<'a> {
    Address(Cow<'a, str>),
    Parts { address: Cow<'a, str>, trust: Option<Cow<'a, str>> },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FilePosition, Limits, Options};
    use event::{EventId, Trail};

    fn parse_text(text: &str) -> Result<Vec<Item>, EnvelopeError> {
        parse_from(text.as_bytes(), None)
    }

    fn parse_from(
        body: &[u8],
        position: Option<FilePosition<'_>>,
    ) -> Result<Vec<Item>, EnvelopeError> {
        let trail = Trail::new(Service::Platform, "acme", "p1", "ops").expect("valid");
        let mut new_id = || EventId::default();
        let options = Options::default();
        let mut context = Context::new("own", &trail, Time::from_unix_ns(7), &mut new_id, &options);
        context.limits = Limits { events_max: 3, event_bytes_max: 600 };
        context.position = position;
        let mut items = Vec::new();
        parse(
            body,
            &mut context,
            &mut Items::new(&mut |item| {
                items.push(item);
                Ok(())
            }),
        )?;
        Ok(items)
    }

    fn one(text: &str) -> Event {
        match parse_text(text).expect("an envelope").pop() {
            Some(Item::Event(event)) => *event,
            other => panic!("{other:?}"),
        }
    }

    fn reason(text: &str) -> String {
        match parse_text(text).expect("an envelope").pop() {
            Some(Item::Rejected(record)) => record.reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_action_alone_is_an_event() {
        let event = one(r#"{"action":"login"}"#);
        assert_eq!(event.operation, Operation::Login);
        assert_eq!(event.occurred_at, Time::from_unix_ns(7));
        assert_eq!(event.actor, Actor::default());
        assert_eq!(event.raw, br#"{"action":"login"}"#);
    }

    #[test]
    fn objects_arrays_and_lines_are_distinguished() {
        for (text, count) in [
            (r#"{"action":"a"}"#, 1),
            (r#"[{"action":"a"},{"action":"b"}]"#, 2),
            ("{\"action\":\"a\"}\n{\"action\":\"b\"}\r\n\n{\"action\":\"c\"}\n", 3),
            ("[]", 0),
        ] {
            assert_eq!(parse_text(text).expect(text).len(), count, "{text}");
        }
    }

    #[test]
    fn short_forms_mean_the_same_as_long_ones() {
        let short = one(
            r#"{"action":"x","actor":"al","resource":"r","outcome":"failure","source_ip":"::1"}"#,
        );
        let long =
            one(r#"{"action":"x","actor":{"name":"al","type":"user"},"resource":{"name":"r"},
                "outcome":{"result":"failure"},"source_ip":{"address":"::1","trust":"peer"}}"#);
        assert_eq!(
            (short.actor, short.resource, short.outcome, short.source_ip),
            (long.actor, long.resource, long.outcome, long.source_ip)
        );
    }

    #[test]
    fn attribute_numbers_have_their_digits_as_sent() {
        let event = one(
            r#"{"action":"x","attributes":{"n":18446744073709551616,"f":0.1000000000000000055511151231257827,"b":true,"t":"a\u0000b","z":null}}"#,
        );
        let expected = [
            ("b", "true"),
            ("f", "0.1000000000000000055511151231257827"),
            ("n", "18446744073709551616"),
            ("t", "a\0b"),
        ];
        assert_eq!(event.attributes, expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
    }

    #[test]
    fn incomplete_events_are_rejected() {
        for (text, why) in [
            (r#"{"acton":"x"}"#, "unknown field `acton`"),
            (r#"{"actor":"al"}"#, "`action` is missing or empty"),
            (r#"{"action":"x","occurred_at":"2026-02-30T00:00:00Z"}"#, "`occurred_at`"),
            (r#"{"action":"x","severity":5}"#, "`severity`"),
            (r#"{"action":"x","outcome":"ok"}"#, "`outcome` is none of success, failure, unknown"),
            (r#"{"action":"x","source_ip":"nowhere"}"#, "`source_ip`"),
            (r#"{"action":"x","actor":7}"#, "`actor`"),
            (r#"{"action":"x","attributes":{"a":[1]}}"#, "attribute \"a\""),
        ] {
            assert!(reason(text).contains(why), "{text}: {}", reason(text));
        }
    }

    #[test]
    fn in_a_file_a_bad_line_is_rejected_alone() {
        let position = Some(FilePosition { file: "f", offset: 100 });
        for bad in
            [&b"{"[..], b"[1]", b"\xff", br#"{"action":"x","action":"y"}"#, br#"{"acton":"x"}"#]
        {
            let body =
                [br#"{"action":"a"}"#, &b"\n"[..], bad, b"\n", br#"{"id":"7","action":"b"} "#]
                    .concat();
            let items = parse_from(&body, position).expect("lines");
            let [Item::Event(first), Item::Rejected(rejected), Item::Event(last)] = &items[..]
            else {
                panic!("{items:?}")
            };
            assert_eq!(rejected.raw, bad);
            assert_eq!(
                (first.origin.key.as_deref(), last.origin.key.as_deref()),
                (Some("f:100"), Some("7"))
            );
        }
    }

    #[test]
    fn bad_form_refuses_the_whole_body() {
        for text in [
            "",
            " \n",
            "{",
            r#"{"action":"x"}xx"#,
            r#"{"action":"x","action":"y"}"#,
            "[1]",
            "7",
            "NaN",
            "[{\"action\":1e400}]",
        ] {
            assert!(matches!(parse_text(text), Err(EnvelopeError::Malformed(_))), "{text}");
        }
        let four = r#"{"action":"x"}"#.repeat(4);
        let large = format!(r#"{{"action":"{}"}}"#, "x".repeat(600));
        for text in [&four, &large] {
            assert!(matches!(parse_text(text), Err(EnvelopeError::TooLarge(_))), "{text}");
        }
    }
}
