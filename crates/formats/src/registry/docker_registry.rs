//! Notifications of distribution, the Docker Registry, versions 2.8 and 3.x.
//!
//! Envelope and event: <https://distribution.github.io/distribution/about/notifications/>, and the
//! captures in `testdata/docker-registry/`. The captures show, and this parser relies on:
//! - every notification reports a success; a failed request sends none;
//! - only the media type distinguishes blobs from manifests, and deletions carry none: a deletion
//!   by digest counts as an artifact's until [`refine`] finds the digest in the trail as a blob's;
//! - deleting a manifest by digest sends the digest and then each tag that pointed to it, under one
//!   request id;
//! - `request.addr` is `ip:port` when the registry saw the peer, and a bare address when a client
//!   claimed it in `X-Forwarded-For` or `X-Real-IP`;
//! - the event id is the same on every redelivery.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::context::address;
use crate::item::{Items, NOISE, NoEvent, item_of};
use crate::json_pieces::elements;
use crate::lines::complete_body;
use crate::spec::{Count, Hooks, Spec, Syslog};
use crate::texts::{attributes_of, json_text, non_empty};
use crate::{Context, Delivery, EnvelopeError, Item};
use event::json::{DEPTH_MAX, is_too_deep};
use event::query::{Dimension, Filter, Query};
use event::{
    Actor, ActorKind, Class, Event, Operation, Origin, Outcome, OutcomeKind, Resource, Service,
    Severity, SourceIp, Time, Trail, Trust,
};

/// The media type that distinguishes blobs from manifests.
const BLOB: &str = "application/octet-stream";

pub(crate) const SPEC: Spec = Spec {
    name: "docker-registry",
    about: "Distribution (Docker Registry) 2.8 and 3.x: notifications",
    service: Service::Registry,
    delivery: Delivery::Http,
    heeds_errors: false,
    syslog: Syslog::Text,
    parse,
    complete_bytes: complete_body,
    hooks: Hooks { refine, wrap, ..Hooks::NONE },
};

pub(crate) fn parse(
    body: &[u8],
    context: &mut Context<'_>,
    items: &mut Items<'_>,
) -> Result<(), EnvelopeError> {
    let envelope: Envelope<'_> = serde_json::from_str(json_text(body)?).map_err(|error| {
        EnvelopeError::Malformed(format!("the body is no notification envelope: {error}"))
    })?;
    let events = match envelope.events.get() {
        // Go writes a nil slice so.
        "null" => "[]",
        events => events,
    };
    let (events, is_more) = elements(events, context.limits.events_max).map_err(|error| {
        EnvelopeError::Malformed(format!("the body is no notification envelope: events: {error}"))
    })?;
    if is_more {
        return Err(EnvelopeError::TooLarge(format!(
            "the envelope holds more than {} events",
            context.limits.events_max
        )));
    }
    events.into_iter().try_for_each(|raw| items.push(parse_one(raw.get(), context)))
}

/// The envelope of one notification.
fn wrap(item: &[u8]) -> Vec<u8> {
    [b"{\"events\":[", item, b"]}"].concat()
}

/// Distinguishes a deleted blob from a deleted manifest: the notification names only the digest. A
/// digest that the trail knows only as a blob's was a blob; one that it never saw counts as an
/// artifact, so that no deletion goes unlisted.
fn refine(event: &mut Event, count: Count<'_>) {
    let (Operation::Delete, Some("artifact"), Some(digest)) =
        (event.operation, event.resource.kind.as_deref(), event.resource.id.as_deref())
    else {
        return;
    };
    let is_known_as = |kind: &str| count(&uses(&event.trail, digest, kind)).is_some_and(|n| n > 0);
    if is_known_as("blob") && !is_known_as("artifact") {
        event.resource.kind = Some("blob".to_owned());
    }
}

/// Everything that happened to a resource of this kind but its deletion.
fn uses(trail: &Trail, digest: &str, kind: &str) -> Query {
    let filters = vec![
        Filter::is(Dimension::ResourceId, digest),
        Filter::is(Dimension::ResourceKind, kind),
        Filter::NoneOf(Dimension::Operation, vec![Operation::Delete.as_str().to_owned()]),
    ];
    Query { filters, limit: 0, ..Query::of(trail.clone()) }
}

fn parse_one(raw: &str, context: &mut Context<'_>) -> Item {
    let event = if raw.len() > context.limits.event_bytes_max {
        Err(format!(
            "event_too_large: {} bytes exceed {}",
            raw.len(),
            context.limits.event_bytes_max
        )
        .into())
    } else if is_too_deep(raw.as_bytes()) {
        Err(format!("too_deep: the event nests deeper than {DEPTH_MAX}").into())
    } else {
        serde_json::from_str::<Notification<'_>>(raw)
            .map_err(|error| format!("not a notification: {error}").into())
            .and_then(|notification| event(&notification, raw, context))
    };
    item_of(event, raw.as_bytes())
}

fn event(
    notification: &Notification<'_>,
    raw: &str,
    context: &mut Context<'_>,
) -> Result<Event, NoEvent> {
    let Notification { id, timestamp, action, target, request, actor, source } = notification;
    if id.is_empty() {
        return Err("the event has no id".into());
    }
    if target.repository.is_empty() {
        return Err("the event names no repository".into());
    }
    let (occurred_at, resolution) =
        Time::parse_rfc3339(timestamp).map_err(|error| format!("timestamp: {error}"))?;
    let operation = operation(action, &request.method)?;
    if operation == Operation::Read && !context.options.records_noise {
        return Err(NoEvent::Skipped(NOISE));
    }
    Ok(Event {
        id: (context.new_id)(),
        trail: context.trail.clone(),
        occurred_at,
        resolution,
        actor: parse_actor(&actor.name),
        source_ip: source_ip(&request.addr),
        user_agent: non_empty(&request.useragent),
        action: action.to_string(),
        operation,
        resource: resource(operation, target),
        outcome: Outcome { kind: OutcomeKind::Success, code: None, reason: None },
        severity: if operation == Operation::Delete { Severity::MINOR } else { Severity::WARNING },
        class: Class::Operation,
        description: None,
        request_id: non_empty(&request.id),
        trace_id: None,
        origin: Origin {
            source: context.source.to_owned(),
            format: SPEC.name.to_owned(),
            key: Some(id.to_string()),
        },
        attributes: attributes(target, request, source),
        raw: raw.as_bytes().to_vec(),
    })
}

fn operation(action: &str, method: &str) -> Result<Operation, String> {
    match action {
        "push" => Ok(Operation::Push),
        // Docker, crane and skopeo ask with HEAD whether a manifest exists before each real pull.
        "pull" if method == "HEAD" => Ok(Operation::Read),
        "pull" => Ok(Operation::Pull),
        "mount" => Ok(Operation::Mount),
        "delete" => Ok(Operation::Delete),
        _ => Err(format!("unknown action {:?}", action.chars().take(64).collect::<String>())),
    }
}

fn parse_actor(name: &str) -> Actor {
    let kind = match name {
        "" => ActorKind::Anonymous,
        _ if name.starts_with("robot$") => ActorKind::Robot,
        _ => ActorKind::User,
    };
    Actor { id: None, name: non_empty(name), kind }
}

fn source_ip(addr: &str) -> Option<SourceIp> {
    if let Ok(peer) = addr.parse::<SocketAddr>() {
        return Some(SourceIp { address: peer.ip(), trust: Trust::Peer });
    }
    Some(SourceIp { address: address(addr)?, trust: Trust::Forwarded })
}

/// The resource: an artifact or blob by digest, or a tag if there is no digest.
fn resource(operation: Operation, target: &Target<'_>) -> Resource {
    let (kind, id) = match (&*target.digest, &*target.tag) {
        (digest, _) if target.media_type == BLOB || operation == Operation::Mount => {
            ("blob", digest)
        }
        ("", "") => ("repository", ""),
        ("", tag) => ("tag", tag),
        (digest, _) => ("artifact", digest),
    };
    Resource {
        kind: Some(kind.to_owned()),
        name: Some(target.repository.to_string()),
        id: non_empty(id),
        region: None,
    }
}

fn attributes(
    target: &Target<'_>,
    request: &Request<'_>,
    source: &Source<'_>,
) -> BTreeMap<String, String> {
    let size = if target.size == 0 { String::new() } else { target.size.to_string() };
    attributes_of([
        ("from_repository", &*target.from_repository),
        ("host", &request.host),
        ("media_type", &target.media_type),
        ("method", &request.method),
        ("registry", &source.addr),
        ("registry_instance", &source.instance_id),
        ("remote_addr", &request.addr),
        ("size", &size),
        ("tag", &target.tag),
    ])
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    events: &'a RawValue,
}

#[derive(Deserialize)]
struct Notification<'a> {
    #[serde(borrow, default)]
    id: Cow<'a, str>,
    #[serde(borrow, default)]
    timestamp: Cow<'a, str>,
    #[serde(borrow, default)]
    action: Cow<'a, str>,
    #[serde(borrow, default)]
    target: Target<'a>,
    #[serde(borrow, default)]
    request: Request<'a>,
    #[serde(borrow, default)]
    actor: NotifiedActor<'a>,
    #[serde(borrow, default)]
    source: Source<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Target<'a> {
    #[serde(borrow, rename = "mediaType")]
    media_type: Cow<'a, str>,
    size: i64,
    #[serde(borrow)]
    digest: Cow<'a, str>,
    #[serde(borrow)]
    repository: Cow<'a, str>,
    #[serde(borrow, rename = "fromRepository")]
    from_repository: Cow<'a, str>,
    #[serde(borrow)]
    tag: Cow<'a, str>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Request<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    addr: Cow<'a, str>,
    #[serde(borrow)]
    host: Cow<'a, str>,
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow)]
    useragent: Cow<'a, str>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct NotifiedActor<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Source<'a> {
    #[serde(borrow)]
    addr: Cow<'a, str>,
    #[serde(borrow, rename = "instanceID")]
    instance_id: Cow<'a, str>,
}
