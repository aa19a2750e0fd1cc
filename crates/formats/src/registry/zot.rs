//! Events of the registry zot: CloudEvents 1.0 over HTTP.
//!
//! <https://zotregistry.dev/latest/articles/events/>, the binding in
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md>,
//! and the requests built from them in `testdata/zot/`. This parser relies on:
//! - the event's id, source, type and time are header lines (`Ce-Id`, …) and its data is the body;
//!   a body with a `specversion` holds all of it;
//! - the part of the type before `repository.created`, `image.updated` and so on can be configured;
//! - older releases, and acts of zot itself, name neither actor nor request;
//! - pulls are not sent, and an event is sent once, whatever the response.

use std::borrow::Cow;

use serde::Deserialize;

use crate::context::address;
use crate::item::{Items, NoEvent};
use crate::lines::complete_body;
use crate::outline::{NO_ACT, TIME_ASSUMED, outline, parse_single};
use crate::repository_request::percent_decoded;
use crate::spec::{Hooks, Spec, Syslog};
use crate::texts::{attributes_of, non_empty};
use crate::{Context, Delivery, EnvelopeError};
use event::{
    Actor, ActorKind, Event, Operation, Origin, Outcome, OutcomeKind, Resource, Service, Severity,
    SourceIp, Time, Trust,
};

pub(crate) const SPEC: Spec = Spec {
    name: "zot",
    about: "zot: events, CloudEvents over HTTP",
    service: Service::Registry,
    delivery: Delivery::Http,
    heeds_errors: false,
    syslog: Syslog::Text,
    parse,
    complete_bytes: complete_body,
    hooks: Hooks::NONE,
};

pub(crate) fn parse(
    body: &[u8],
    context: &mut Context<'_>,
    items: &mut Items<'_>,
) -> Result<(), EnvelopeError> {
    parse_single(body, context, read, items)
}

fn read(raw: &[u8], context: &mut Context<'_>) -> Result<Event, NoEvent> {
    let text = String::from_utf8_lossy(raw);
    let not_an_event = |error| format!("not an event: {error}");
    let (head, data) = match context.header("ce-type") {
        Some(_) => (Head::of_lines(context), serde_json::from_str(&text).map_err(not_an_event)?),
        None => {
            let whole: Structured<'_> = serde_json::from_str(&text).map_err(not_an_event)?;
            (
                Head { id: whole.id, source: whole.source, kind: whole.kind, time: whole.time },
                whole.data,
            )
        }
    };
    let act = act(&head.kind)?;
    if data.name.is_empty() {
        return Err("the event names no repository".into());
    }
    let at = match &*head.time {
        "" => None,
        time => Some(Time::parse_rfc3339(time).map_err(|error| format!("time: {error}"))?),
    };
    let operation = act.operation();
    let blank = outline(context, SPEC.name, raw);
    let (occurred_at, resolution) = at.unwrap_or((blank.occurred_at, blank.resolution));
    let is_failure = act == Act::LintFailed;
    let is_minor = is_failure || operation == Operation::Delete;
    let mut event = Event {
        occurred_at,
        resolution,
        actor: actor(&data),
        source_ip: source_ip(&data),
        user_agent: non_empty(&data.request.agent),
        action: act.as_str().to_owned(),
        operation,
        resource: resource(act, &data),
        outcome: Outcome {
            kind: if is_failure { OutcomeKind::Failure } else { OutcomeKind::Success },
            code: None,
            reason: None,
        },
        severity: if is_minor { Severity::MINOR } else { Severity::WARNING },
        origin: Origin { key: key(&head), ..blank.origin.clone() },
        ..blank
    };
    if head.time.is_empty() {
        event.attributes.extend(attributes_of([TIME_ASSUMED]));
    }
    let is_by_digest = data.reference == data.digest;
    event.attributes.extend(attributes_of([
        ("ce_source", &*head.source),
        ("ce_type", &*head.kind),
        ("digest", &*data.digest),
        ("media_type", &*data.media_type),
        ("method", &*data.request.method),
        ("remote_addr", &*data.request.addr),
        ("tag", if is_by_digest { "" } else { &*data.reference }),
    ]));
    Ok(event)
}

/// The attributes of the event beside its data.
struct Head<'a> {
    id: Cow<'a, str>,
    source: Cow<'a, str>,
    kind: Cow<'a, str>,
    time: Cow<'a, str>,
}

impl Head<'static> {
    /// Values that are not plain ASCII are percent-encoded (section 3.1.3.2 of the binding).
    fn of_lines(context: &Context<'_>) -> Head<'static> {
        let value =
            |name| Cow::Owned(context.header(name).map(percent_decoded).unwrap_or_default());
        Head {
            id: value("ce-id"),
            source: value("ce-source"),
            kind: value("ce-type"),
            time: value("ce-time"),
        }
    }
}

/// Source and id together; without an id nothing distinguishes one event from another.
fn key(head: &Head<'_>) -> Option<String> {
    non_empty(&head.id).map(|id| format!("{} {id}", head.source))
}

#[derive(Clone, Copy, PartialEq)]
enum Act {
    RepositoryCreated,
    ImageUpdated,
    ImageDeleted,
    LintFailed,
}

impl Act {
    fn as_str(self) -> &'static str {
        match self {
            Act::RepositoryCreated => "repository.created",
            Act::ImageUpdated => "image.updated",
            Act::ImageDeleted => "image.deleted",
            Act::LintFailed => "image.lint_failed",
        }
    }

    /// A refused image is not a `push`: lists of pushes that know no outcome would show it as done.
    fn operation(self) -> Operation {
        match self {
            Act::RepositoryCreated => Operation::Create,
            Act::ImageUpdated => Operation::Push,
            Act::ImageDeleted => Operation::Delete,
            Act::LintFailed => Operation::Other,
        }
    }
}

fn act(kind: &str) -> Result<Act, NoEvent> {
    let is = |name: &str| {
        kind == name || kind.strip_suffix(name).is_some_and(|prefix| prefix.ends_with('.'))
    };
    let acts = [Act::RepositoryCreated, Act::ImageUpdated, Act::ImageDeleted, Act::LintFailed];
    match acts.into_iter().find(|act| is(act.as_str())) {
        Some(act) => Ok(act),
        None if is("image.scanned") => Err(NoEvent::Skipped(NO_ACT)),
        None => Err(format!("unknown type {:?}", kind.chars().take(64).collect::<String>()).into()),
    }
}

fn actor(data: &Data<'_>) -> Actor {
    let kind = match &data.actor {
        None => ActorKind::Unknown,
        Some(actor) if actor.name.is_empty() => ActorKind::Anonymous,
        Some(_) => ActorKind::User,
    };
    Actor { id: None, name: data.actor.as_ref().and_then(|actor| non_empty(&actor.name)), kind }
}

fn source_ip(data: &Data<'_>) -> Option<SourceIp> {
    Some(SourceIp { address: address(&data.request.addr)?, trust: Trust::Peer })
}

/// An image by its digest; a deletion by tag names the tag.
fn resource(act: Act, data: &Data<'_>) -> Resource {
    let is_by_tag = !data.reference.is_empty() && data.reference != data.digest;
    let (kind, id) = match act {
        Act::RepositoryCreated => ("repository", ""),
        Act::ImageDeleted if is_by_tag => ("tag", &*data.reference),
        _ if data.digest.is_empty() => ("artifact", &*data.reference),
        _ => ("artifact", &*data.digest),
    };
    Resource {
        kind: Some(kind.to_owned()),
        name: non_empty(&data.name),
        id: non_empty(id),
        region: None,
    }
}

#[derive(Deserialize)]
struct Structured<'a> {
    #[serde(borrow, default)]
    id: Cow<'a, str>,
    #[serde(borrow, default)]
    source: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    time: Cow<'a, str>,
    #[serde(borrow)]
    data: Data<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Data<'a> {
    #[serde(borrow)]
    actor: Option<ResourceRef<'a>>,
    #[serde(borrow)]
    digest: Cow<'a, str>,
    #[serde(borrow, rename = "mediaType")]
    media_type: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    reference: Cow<'a, str>,
    #[serde(borrow)]
    request: Request<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ResourceRef<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Request<'a> {
    #[serde(borrow)]
    addr: Cow<'a, str>,
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow, rename = "useragent")]
    agent: Cow<'a, str>,
}
