//! Webhooks of Sonatype Nexus Repository 3: of repositories (assets, components), and global
//! (audit, repository).
//!
//! <https://help.sonatype.com/en/example-headers-and-payloads.html>, and the requests built from it
//! in `testdata/nexus-webhook/`. This parser relies on:
//! - a body has one of `asset`, `component`, `repository` and `audit`, which is its subject;
//! - `initiator` is the user and the address, divided by the first slash; `*TASK` and `*SYSTEM` are
//!   Nexus itself;
//! - the header `X-Nexus-Webhook-Delivery` is the event's id;
//! - an audit body has no time; a download sends nothing;
//! - an upload sends one body for each file, and one for the component that they form, in any
//!   order.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

use super::nexus_audit::{Audit, initiator, instant};
use crate::item::{Items, NoEvent};
use crate::lines::complete_body;
use crate::outline::{TIME_ASSUMED, digest_of, outline, parse_single};
use crate::spec::{Hooks, Spec, Syslog};
use crate::texts::{attributes_of, non_empty};
use crate::{Context, Delivery, EnvelopeError};
use event::{
    Class, Event, Operation, Origin, Outcome, OutcomeKind, Resolution, Resource, Service, Severity,
    Time,
};

pub(crate) const SPEC: Spec = Spec {
    name: "nexus-webhook",
    about: "Sonatype Nexus Repository 3: webhooks",
    service: Service::Artifact,
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
    let notification: Notification<'_> =
        serde_json::from_str(&text).map_err(|error| format!("not a webhook body: {error}"))?;
    let act = act(&notification)?;
    let at = match &*notification.timestamp {
        "" => None,
        time => Some((instant(time)?, Resolution::Millisecond)),
    };
    let key = key(context, at.map(|(time, _)| time), &text);
    let webhook = context.header("x-nexus-webhook-id").unwrap_or_default().to_owned();
    let request_id = context.header("x-request-id").and_then(non_empty);
    let (actor, source_ip) = initiator(&notification.initiator, context.options);
    let blank = outline(context, SPEC.name, raw);
    let (occurred_at, resolution) = at.unwrap_or((blank.occurred_at, blank.resolution));
    let mut event = Event {
        occurred_at,
        resolution,
        actor,
        source_ip,
        action: act.action,
        operation: act.operation,
        resource: act.resource,
        outcome: Outcome { kind: OutcomeKind::Success, code: None, reason: act.reason },
        severity: if act.operation == Operation::Delete {
            Severity::MINOR
        } else {
            Severity::WARNING
        },
        class: act.class,
        request_id,
        origin: Origin { key, ..blank.origin.clone() },
        ..blank
    };
    if at.is_none() {
        event.attributes.extend(attributes_of([TIME_ASSUMED]));
    }
    event.attributes.extend(attributes_of([
        ("node_id", &*notification.node_id),
        ("repository", &*notification.repository_name),
        ("webhook", &*webhook),
    ]));
    event.attributes.extend(act.attributes);
    Ok(event)
}

/// The delivery's id; without one, the digest of a body that has a time.
fn key(context: &Context<'_>, at: Option<Time>, body: &str) -> Option<String> {
    let delivery = context.header("x-nexus-webhook-delivery").and_then(non_empty);
    delivery.or_else(|| at.map(|_| digest_of(&[body])))
}

/// The act and its resource.
struct Act {
    action: String,
    operation: Operation,
    resource: Resource,
    reason: Option<String>,
    class: Class,
    attributes: BTreeMap<String, String>,
}

fn act(notification: &Notification<'_>) -> Result<Act, String> {
    let in_repository =
        |name: &str| match (&*notification.repository_name, name.trim_start_matches('/')) {
            ("", name) => name.to_owned(),
            (repository, name) => format!("{repository}/{name}"),
        };
    let of = |kind: &str, name: String, thing: &Subject<'_>| {
        let attributes =
            [("format", &thing.format), ("group", &thing.group), ("version", &thing.version)];
        let attributes = attributes.into_iter().chain([("repository_type", &thing.kind)]);
        let attributes = attributes
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (name.to_owned(), value.to_string()));
        let operation = operation(kind, &notification.action)?;
        let is_overwrite = operation == Operation::Upload && notification.action == "UPDATED";
        Ok(Act {
            action: notification.action.to_string(),
            operation,
            resource: Resource {
                kind: Some(kind.to_owned()),
                name: non_empty(&name),
                id: non_empty(&thing.id),
                region: None,
            },
            reason: is_overwrite.then(|| "overwrite".to_owned()),
            class: Class::Operation,
            attributes: attributes.collect(),
        })
    };
    match notification {
        Notification { asset: Some(asset), .. } => of("file", in_repository(&asset.name), asset),
        Notification { component: Some(component), .. } => {
            let parts = [&component.group, &component.name, &component.version].map(|part| &**part);
            let coordinates: Vec<&str> =
                parts.into_iter().filter(|part| !part.is_empty()).collect();
            of("component", in_repository(&coordinates.join(":")), component)
        }
        Notification { repository: Some(repository), .. } => {
            of("repository", repository.name.to_string(), repository)
        }
        Notification { audit: Some(audit), .. } => {
            audit.check()?;
            let meaning = audit.meaning();
            Ok(Act {
                action: meaning.action,
                operation: meaning.operation,
                resource: meaning.resource,
                reason: meaning.reason,
                class: meaning.class,
                attributes: audit.attributes(),
            })
        }
        _ => Err("the body has no asset, component, repository or audit".to_owned()),
    }
}

fn operation(kind: &str, action: &str) -> Result<Operation, String> {
    match (action, kind) {
        ("CREATED" | "UPDATED", "file") => Ok(Operation::Upload),
        ("CREATED", _) => Ok(Operation::Create),
        ("UPDATED", _) => Ok(Operation::Update),
        ("DELETED" | "PURGED", _) => Ok(Operation::Delete),
        _ => Err(format!("unknown action {:?}", action.chars().take(64).collect::<String>())),
    }
}

#[derive(Deserialize)]
struct Notification<'a> {
    #[serde(borrow, default)]
    timestamp: Cow<'a, str>,
    #[serde(borrow, default, rename = "nodeId")]
    node_id: Cow<'a, str>,
    #[serde(borrow, default)]
    initiator: Cow<'a, str>,
    #[serde(borrow, default, rename = "repositoryName")]
    repository_name: Cow<'a, str>,
    #[serde(borrow, default)]
    action: Cow<'a, str>,
    #[serde(borrow)]
    asset: Option<Subject<'a>>,
    #[serde(borrow)]
    component: Option<Subject<'a>>,
    #[serde(borrow)]
    repository: Option<Subject<'a>>,
    #[serde(borrow)]
    audit: Option<Audit<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Subject<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    format: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    group: Cow<'a, str>,
    #[serde(borrow)]
    version: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
}
