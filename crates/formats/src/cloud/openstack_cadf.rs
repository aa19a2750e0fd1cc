//! CADF notifications of OpenStack: keystone's, and those of keystonemiddleware's audit filter in
//! front of other services.
//!
//! Keystone: <https://docs.openstack.org/keystone/latest/admin/event_notifications.html>, the
//! filter: <https://docs.openstack.org/keystonemiddleware/latest/audit.html>, CADF: DMTF DSP0262,
//! and the captures in `testdata/openstack-cadf/`. The captures show, and this parser relies on:
//! - the filter reports a request twice, with outcome `pending` and with the answer, under one
//!   `payload.id`. The second holds all of the first, so it replaces it; a first one that stays
//!   alone is an event of its own;
//! - `message_id` is new for each notification, and stays when a message bus delivers it again;
//! - on a bus the notification is a text inside an envelope (`oslo.message`); the log driver writes
//!   it into a log full of other lines, whose texts come partly from clients: only the logger's own
//!   name in its position makes a line a notification;
//! - `timestamp` of a notification is UTC without saying so; the time at the beginning of a log
//!   line is local, and not needed;
//! - the filter takes the address from `X-Forwarded-For` if there is one, keystone takes the
//!   peer's.

mod notification;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::value::RawValue;

use crate::context::address;
use crate::item::{DEFERRED, Items, NoEvent, OTHER_STAGE, item_of};
use crate::json_pieces::elements;
use crate::lines::{complete_lines, lines};
use crate::open_events::{Open, complete_events};
use crate::spec::{Hooks, Spec, Syslog};
use crate::texts::{attributes_of, non_empty};
use crate::{Context, Continuation, Delivery, EnvelopeError};
use event::{
    Actor, ActorKind, Class, Event, Operation, Origin, Outcome, OutcomeKind, Resource, Service,
    Severity, SourceIp, Trust,
};
use notification::{Notification, PENDING, Payload, text};

/// A request is given up when something is this much newer: most are answered sooner, and the rest
/// of the file waits with it.
const PENDING_MS_MAX: i64 = 10_000;

/// A request is given up after this many more lines.
const PENDING_LINES_MAX: usize = 1000;

/// Longest line that is read to see whether a request waits in it; notifications have a few KiB.
const PENDING_LINE_BYTES_MAX: usize = 64 << 10;

/// If requests overlap without end, a piece is cut after this many bytes.
const PENDING_BYTES_MAX: usize = 4 << 20;

pub(crate) const SPEC: Spec = Spec {
    name: "openstack-cadf",
    about: "OpenStack: CADF notifications of keystone and of keystonemiddleware's audit filter",
    service: Service::Platform,
    delivery: Delivery::Files("/var/log/keystone/keystone.log*"),
    heeds_errors: false,
    syslog: Syslog::Text,
    parse,
    complete_bytes,
    hooks: Hooks { is_answer, ..Hooks::NONE },
};

pub(crate) fn parse(
    body: &[u8],
    context: &mut Context<'_>,
    items: &mut Items<'_>,
) -> Result<(), EnvelopeError> {
    let events_max = context.limits.events_max;
    let parts = parts(body, events_max);
    if parts.len() > events_max {
        return Err(EnvelopeError::TooLarge(format!(
            "the body holds more than {events_max} items"
        )));
    }
    let bytes_max = context.limits.event_bytes_max;
    let read = |item: &[u8]| match item.len() {
        len if len > bytes_max => {
            Err(format!("event_too_large: {len} bytes exceed {bytes_max}").into())
        }
        _ => notification::read(item),
    };
    // A notification takes more memory than its bytes: each is read twice rather than held.
    let mut answered = BTreeSet::new();
    if parts.len() > 1 {
        let ended = parts.iter().filter_map(|(_, raw)| read(raw).ok());
        let ended = ended.filter(|one| !one.is_pending());
        answered.extend(ended.filter_map(|one| one.payload.id));
    }
    for (at, raw) in parts {
        let event = read(raw).and_then(|one| {
            let is_answered = one.payload.id.as_ref().is_some_and(|id| answered.contains(id));
            if one.is_pending() && is_answered {
                Err(NoEvent::Skipped(OTHER_STAGE))
            } else if one.is_pending() && context.defers {
                Err(NoEvent::Rejected(DEFERRED.to_owned()))
            } else {
                event(one, raw, at, context)
            }
        });
        items.push(item_of(event, raw))?;
    }
    Ok(())
}

/// Whether an event reports the same request as a pending one, and its outcome.
fn is_answer(event: &Event, request: &Event) -> bool {
    let id = |event: &Event| event.attributes.get("cadf_id").cloned();
    event.origin.format == SPEC.name
        && event.outcome.reason.as_deref() != Some(PENDING)
        && id(event).is_some()
        && id(event) == id(request)
}

/// The parts of a body that are one item each, with the bytes before it: the elements of a JSON
/// array, one JSON object, or lines. One more than `max` is enough to see that there are too many.
fn parts(body: &[u8], max: usize) -> Vec<(usize, &[u8])> {
    let max = max.saturating_add(1);
    match body.trim_ascii_start().first() {
        Some(b'[') => {
            let array = serde_json::from_slice::<&RawValue>(body);
            if let Ok(Ok((items, _))) = array.map(|array| elements(array.get(), max)) {
                return items.into_iter().map(|item| with_position(body, item)).collect();
            }
        }
        Some(b'{') => {
            if let Ok(item) = serde_json::from_slice::<&RawValue>(body) {
                return vec![with_position(body, item)];
            }
        }
        _ => {}
    }
    lines(body).take(max).collect()
}

fn with_position<'a>(body: &[u8], item: &'a RawValue) -> (usize, &'a [u8]) {
    let raw = item.get().as_bytes();
    (raw.as_ptr() as usize - body.as_ptr() as usize, raw)
}

/// The position after the last line at which no request is pending.
fn complete_bytes(piece: &[u8], continuation: Continuation) -> usize {
    let end = complete_lines(piece, continuation);
    if continuation != Continuation::More {
        return end;
    }
    let open = Open::new(PENDING_MS_MAX, PENDING_LINES_MAX);
    complete_events(&piece[..end], PENDING_BYTES_MAX, open, |open, line, number| {
        if line.len() > PENDING_LINE_BYTES_MAX {
            return None;
        }
        let one = notification::read(line).ok()?;
        let time_ms = one.occurred_at().ok()?.0.unix_ms();
        let is_pending = one.is_pending();
        match one.payload.id {
            Some(id) if is_pending => open.begin(id, number, time_ms),
            Some(id) => open.end(&id),
            None => {}
        }
        Some(time_ms)
    })
}

fn event(
    one: Notification,
    raw: &[u8],
    at: usize,
    context: &mut Context<'_>,
) -> Result<Event, NoEvent> {
    let (occurred_at, resolution) = one.occurred_at()?;
    let action = one
        .payload
        .action
        .clone()
        .filter(|action| !action.is_empty())
        .ok_or("the event has no action")?;
    let outcome = outcome(&one.payload);
    let operation = operation(&action);
    let class = class(&one, operation, &outcome);
    let key = one.key().or_else(|| {
        context
            .position
            .map(|position| format!("{}:{}", position.file, position.offset + at as u64))
    });
    Ok(Event {
        id: (context.new_id)(),
        trail: context.trail.clone(),
        occurred_at,
        resolution,
        actor: actor(&one.payload),
        source_ip: source_ip(&one),
        user_agent: one
            .payload
            .host()
            .and_then(|host| host.agent.clone())
            .filter(|agent| !agent.is_empty()),
        operation,
        resource: resource(&one.payload),
        severity: severity(operation, &outcome),
        class,
        outcome,
        description: None,
        request_id: one
            .payload
            .initiator
            .as_ref()
            .and_then(|initiator| initiator.request_id.clone()),
        trace_id: None,
        origin: Origin { source: context.source.to_owned(), format: SPEC.name.to_owned(), key },
        attributes: attributes(&one)?,
        action,
        raw: raw.to_vec(),
    })
}

/// The actor. The name is taken from wherever it is known; a failed login has at least the claimed
/// one.
fn actor(payload: &Payload) -> Actor {
    let Some(initiator) = &payload.initiator else {
        return Actor { kind: ActorKind::System, ..Actor::default() };
    };
    let first = |texts: [&Option<String>; 3]| {
        texts.into_iter().flatten().find(|text| !text.is_empty()).cloned()
    };
    let name = first([&initiator.name, &initiator.username, &initiator.user_name]);
    let id = first([&initiator.user_id, &initiator.id, &None]);
    let kind = if name.is_some() || id.is_some() { ActorKind::User } else { ActorKind::Unknown };
    Actor { id, name, kind }
}

/// The filter trusts a header for it.
fn source_ip(one: &Notification) -> Option<SourceIp> {
    let address = address(one.payload.host()?.address.as_deref()?)?;
    Some(SourceIp {
        address,
        trust: if one.is_of_filter() { Trust::Forwarded } else { Trust::Peer },
    })
}

/// `created.user` and `create` are the same; the text after a slash is the name of an action of
/// nova and others.
fn operation(action: &str) -> Operation {
    let verb = action.split(['.', '/']).next().unwrap_or_default();
    match verb {
        "authenticate" => Operation::Login,
        "created" | "deleted" if action.contains("role_assignment") => Operation::Grant,
        "create" | "created" | "backup" | "capture" => Operation::Create,
        "update" | "updated" | "disabled" | "enable" | "disable" | "restore" | "start" | "stop" => {
            Operation::Update
        }
        "delete" | "deleted" | "undeploy" => Operation::Delete,
        "read" => Operation::Read,
        "allow" | "deny" => Operation::Grant,
        "configure" => Operation::Configure,
        _ => Operation::Other,
    }
}

fn outcome(payload: &Payload) -> Outcome {
    let word = payload.outcome.as_deref().unwrap_or_default();
    let kind = match word {
        "success" => OutcomeKind::Success,
        "failure" => OutcomeKind::Failure,
        _ => OutcomeKind::Unknown,
    };
    let reason = payload.reason.as_ref();
    let code = reason.and_then(|reason| text(&reason.code)?.parse().ok());
    let why = reason
        .and_then(|reason| reason.kind.clone())
        .filter(|why| !why.is_empty() && why != "HTTP");
    let reason = match (why, code, kind) {
        (Some(why), ..) => Some(why),
        (None, Some(code), OutcomeKind::Failure) => Some(format!("HTTP {code}")),
        (None, _, OutcomeKind::Unknown) => non_empty(word).filter(|word| word != "unknown"),
        _ => None,
    };
    Outcome { kind, code, reason }
}

fn severity(operation: Operation, outcome: &Outcome) -> Severity {
    match (outcome.kind, outcome.code) {
        (OutcomeKind::Failure, _) if operation == Operation::Login => Severity::MAJOR,
        (OutcomeKind::Failure, Some(401 | 500..)) => Severity::MAJOR,
        (OutcomeKind::Failure, Some(403)) if operation == Operation::Delete => Severity::MAJOR,
        (OutcomeKind::Failure, _) => Severity::MINOR,
        (OutcomeKind::Success, _) if operation == Operation::Delete => Severity::MINOR,
        _ => Severity::WARNING,
    }
}

/// Everything that keystone reports is about users, rights or secrets.
fn class(one: &Notification, operation: Operation, outcome: &Outcome) -> Class {
    let is_refused =
        outcome.kind == OutcomeKind::Failure && matches!(outcome.code, Some(401 | 403));
    let is_of_identity =
        one.event_type.as_deref().is_some_and(|kind| kind.starts_with("identity."))
            || one.payload.target_type().contains("security/");
    let is_sensitive = matches!(operation, Operation::Login | Operation::Grant);
    if is_refused || is_of_identity || is_sensitive { Class::Security } else { Class::Operation }
}

/// Keystone's action names the kind of resource; the target of an assignment is only a new id. The
/// filter's target is the service: the resource is the path.
fn resource(payload: &Payload) -> Resource {
    let target = payload.target.as_ref();
    let action = payload.action.as_deref().unwrap_or_default();
    let mut parts = payload.target_type().rsplit('/');
    let kind = match (action.split_once('.'), parts.next().unwrap_or_default(), parts.next()) {
        (Some((_, "role_assignment")), ..) if payload.group.is_some() => "group".to_owned(),
        (Some((_, "role_assignment")), ..) => "user".to_owned(),
        (Some((_, kind)), ..) => kind.to_owned(),
        (None, "action", Some(of)) => format!("{of}/action"),
        (None, kind, _) => kind.to_owned(),
    };
    let id = match action.ends_with(".role_assignment") {
        true => text(&payload.user).or_else(|| text(&payload.group)),
        false => target.and_then(|target| target.id.clone()),
    };
    let name = payload.request_path.clone().or_else(|| target?.name.clone()).unwrap_or_default();
    Resource {
        kind: non_empty(&kind),
        name: non_empty(&name),
        id: id.filter(|id| !id.is_empty()),
        region: None,
    }
}

fn attributes(one: &Notification) -> Result<BTreeMap<String, String>, String> {
    let payload = &one.payload;
    let or_empty = |text: &Option<String>| text.clone().unwrap_or_default();
    let value = |raw: &Option<Box<RawValue>>| text(raw).unwrap_or_default();
    let of_initiator = |part: fn(&notification::Initiator) -> &Option<String>| {
        payload.initiator.as_ref().map(|initiator| or_empty(part(initiator))).unwrap_or_default()
    };
    let correlation =
        payload.tags.iter().flatten().find_map(|tag| tag.strip_prefix("correlation_id?value="));
    let service = payload.target.as_ref().filter(|_| payload.request_path.is_some());
    let ended_at = one.ended_at()?.map(|time| time.to_string()).unwrap_or_default();
    let project = of_initiator(|initiator| &initiator.project_id);
    Ok(attributes_of([
        ("cadf_id", &*or_empty(&payload.id)),
        ("correlation_id", correlation.unwrap_or_default()),
        ("department", &project),
        ("domain_id", &of_initiator(|initiator| &initiator.domain_id)),
        ("ended_at", &ended_at),
        ("event_type", &or_empty(&one.event_type)),
        ("invalid_utf8", if one.is_invalid_utf8 { "true" } else { "" }),
        ("publisher", &or_empty(&one.publisher_id)),
        ("service", &service.map(|target| or_empty(&target.name)).unwrap_or_default()),
        ("target_domain", &value(&payload.domain)),
        ("target_group", &value(&payload.group)),
        ("target_project", &value(&payload.project)),
        ("target_role", &value(&payload.role)),
        ("target_type", payload.target_type()),
        ("target_user", &value(&payload.user)),
    ]))
}
