//! Requests of Harbor's webhook policies of type `http`, in the formats Default and CloudEvents.
//!
//! <https://goharbor.io/docs/main/working-with-projects/project-configuration/configure-webhooks/>,
//! and the bodies built from it in `testdata/harbor-webhook/`. This parser relies on:
//! - an event of an artifact reports a success; `operator` is the user, empty for an anonymous one;
//! - a resource's `tag` is its digest if the client named it by digest;
//! - the Default format has no id and counts time in seconds, so that two equal pulls in one second
//!   look like one pull that was sent twice; CloudEvents have an id, which is the same when a job
//!   is retried;
//! - scans, replications, quota warnings and retention runs report on work whose acts on artifacts
//!   have events of their own.

use std::borrow::Cow;

use serde::Deserialize;

use crate::RejectedRecord;
use crate::item::{Items, NoEvent};
use crate::lines::complete_body;
use crate::outline::{NO_ACT, digest_of, outline};
use crate::spec::{Hooks, Spec, Syslog};
use crate::texts::{attributes_of, non_empty};
use crate::{Context, Delivery, EnvelopeError, Item};
use event::{
    Actor, ActorKind, Event, Operation, Origin, Outcome, OutcomeKind, Resolution, Resource,
    Service, Severity, Time,
};

/// Most resources of one notification. Harbor names one; each becomes an event with all bytes of
/// the notification.
const RESOURCES_MAX: usize = 64;

pub(crate) const SPEC: Spec = Spec {
    name: "harbor-webhook",
    about: "Harbor: webhooks in the formats Default and CloudEvents",
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
    let raw = body.trim_ascii();
    if raw.is_empty() {
        return Ok(());
    }
    match read(raw, context) {
        Ok(events) => {
            events.into_iter().try_for_each(|event| items.push(Item::Event(Box::new(event))))
        }
        Err(NoEvent::Skipped(why)) => items.push(Item::Skipped(why)),
        Err(NoEvent::Rejected(reason)) => {
            items.push(Item::Rejected(RejectedRecord { reason, raw: raw.to_vec() }))
        }
    }
}

/// One event for each resource that the notification names.
fn read(raw: &[u8], context: &mut Context<'_>) -> Result<Vec<Event>, NoEvent> {
    let bytes_max = context.limits.event_bytes_max;
    if raw.len() > bytes_max {
        return Err(format!("event_too_large: {} bytes exceed {bytes_max}", raw.len()).into());
    }
    let text = String::from_utf8_lossy(raw);
    let notification: Notification<'_> =
        serde_json::from_str(&text).map_err(|error| format!("not a notification: {error}"))?;
    let meaning = meaning(&notification.kind)?;
    let (occurred_at, resolution) = occurred_at(&notification)?;
    let data = notification
        .data
        .as_ref()
        .or(notification.event_data.as_ref())
        .ok_or("the notification has no data")?;
    let resources = data.resources.as_deref().unwrap_or_default();
    let resources_max = RESOURCES_MAX.min(context.limits.events_max);
    if resources.len() > resources_max {
        return Err(format!("the notification names more than {resources_max} resources").into());
    }
    let none = [ResourceRef::default()];
    let resources = if resources.is_empty() { &none[..] } else { resources };
    let events = resources.iter().enumerate().map(|(position, named)| {
        let blank = outline(context, SPEC.name, raw);
        let mut event = Event {
            occurred_at,
            resolution,
            actor: match actor(&notification.operator) {
                // Only pulls need no login; what else has no operator, Harbor does by itself.
                Actor { kind: ActorKind::Anonymous, .. }
                    if notification.operator.is_empty() && meaning.operation != Operation::Pull =>
                {
                    Actor::default()
                }
                actor => actor,
            },
            action: notification.kind.to_string(),
            operation: meaning.operation,
            resource: resource(meaning, data, named),
            outcome: Outcome { kind: meaning.outcome, code: None, reason: None },
            severity: meaning.severity(),
            description: data.custom.as_ref().and_then(|custom| non_empty(&custom.details)),
            request_id: non_empty(&notification.request_id),
            origin: Origin {
                key: Some(key(&notification, data, named, position)),
                ..blank.origin.clone()
            },
            ..blank
        };
        let tag = if named.is_by_digest() { "" } else { &*named.tag };
        event.attributes.extend(attributes_of([
            ("ce_source", &*notification.source),
            ("project", &*data.repository.namespace),
            ("repo_type", &*data.repository.repo_type),
            ("resource_url", &*named.url),
            ("tag", tag),
        ]));
        event
    });
    Ok(events.collect())
}

/// The meaning of a type of event.
#[derive(Clone, Copy)]
struct Meaning {
    operation: Operation,
    /// The kind of resource, if no digest or tag decides.
    kind: Option<&'static str>,
    outcome: OutcomeKind,
}

impl Meaning {
    fn severity(self) -> Severity {
        let is_destruction = self.operation == Operation::Delete;
        let is_failure = self.outcome == OutcomeKind::Failure;
        if is_destruction || is_failure { Severity::MINOR } else { Severity::WARNING }
    }
}

fn meaning(kind: &str) -> Result<Meaning, NoEvent> {
    let done = |operation, kind| Meaning { operation, kind, outcome: OutcomeKind::Success };
    Ok(match kind {
        "PUSH_ARTIFACT" | "harbor.artifact.pushed" => done(Operation::Push, None),
        "PULL_ARTIFACT" | "harbor.artifact.pulled" => done(Operation::Pull, None),
        "DELETE_ARTIFACT" | "harbor.artifact.deleted" => done(Operation::Delete, None),
        "CREATE_TAG" | "harbor.tag.created" => done(Operation::Create, Some("tag")),
        "DELETE_TAG" | "harbor.tag.deleted" => done(Operation::Delete, Some("tag")),
        // Harbor before 2.8 stored charts beside artifacts.
        "UPLOAD_CHART" => done(Operation::Push, Some("chart")),
        "DOWNLOAD_CHART" => done(Operation::Pull, Some("chart")),
        "DELETE_CHART" => done(Operation::Delete, Some("chart")),
        // A refused push is not a `push`: lists of pushes that know no outcome would show it as
        // done.
        "QUOTA_EXCEED" | "harbor.quota.exceeded" => {
            Meaning { operation: Operation::Other, kind: None, outcome: OutcomeKind::Failure }
        }
        "SCANNING_COMPLETED"
        | "SCANNING_FAILED"
        | "SCANNING_STOPPED"
        | "QUOTA_WARNING"
        | "REPLICATION"
        | "TAG_RETENTION"
        | "harbor.scan.completed"
        | "harbor.scan.failed"
        | "harbor.scan.stopped"
        | "harbor.quota.warned"
        | "harbor.replication.status.changed"
        | "harbor.tag_retention.finished" => return Err(NoEvent::Skipped(NO_ACT)),
        "" => return Err("the notification has no type".into()),
        _ => {
            return Err(
                format!("unknown type {:?}", kind.chars().take(64).collect::<String>()).into()
            );
        }
    })
}

fn occurred_at(notification: &Notification<'_>) -> Result<(Time, Resolution), String> {
    if let Some(time) = &notification.time {
        return Time::parse_rfc3339(time).map_err(|error| format!("time: {error}"));
    }
    let seconds = notification.occur_at.ok_or("the notification has no time")?;
    let ns =
        seconds.checked_mul(1_000_000_000).ok_or("occur_at is outside the years 1678 to 2261")?;
    Ok((Time::from_unix_ns(ns), Resolution::Second))
}

/// The actor that Harbor names.
pub(crate) fn actor(operator: &str) -> Actor {
    let (name, kind) = match operator {
        "" | "anonymous" => ("", ActorKind::Anonymous),
        _ if operator.starts_with("robot$") => (operator, ActorKind::Robot),
        _ => (operator, ActorKind::User),
    };
    Actor { id: None, name: non_empty(name), kind }
}

fn resource(meaning: Meaning, data: &Data<'_>, named: &ResourceRef<'_>) -> Resource {
    let (kind, id) = match (meaning.kind, &*named.digest, &*named.tag) {
        (Some(kind), _, tag) => (kind, tag),
        (None, "", "") => ("repository", ""),
        (None, "", tag) if meaning.operation == Operation::Delete => ("tag", tag),
        (None, "", tag) => ("artifact", tag),
        (None, digest, _) => ("artifact", digest),
    };
    Resource {
        kind: Some(kind.to_owned()),
        name: non_empty(&data.repository.full_name),
        id: non_empty(id),
        region: None,
    }
}

/// The id of a CloudEvent, or a digest of everything in a notification of the Default format.
fn key(
    notification: &Notification<'_>,
    data: &Data<'_>,
    named: &ResourceRef<'_>,
    position: usize,
) -> String {
    match (&*notification.id, position) {
        ("", _) => digest_of(&[
            &notification.kind,
            &notification.occur_at.unwrap_or_default().to_string(),
            &notification.operator,
            &data.repository.full_name,
            &named.digest,
            &named.tag,
        ]),
        (id, 0) => id.to_owned(),
        (id, _) => format!("{id}/{position}"),
    }
}

#[derive(Deserialize)]
struct Notification<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Cow<'a, str>,
    /// Default: seconds.
    occur_at: Option<i64>,
    /// CloudEvents: RFC 3339.
    #[serde(borrow)]
    time: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    operator: Cow<'a, str>,
    #[serde(borrow, default)]
    id: Cow<'a, str>,
    #[serde(borrow, default)]
    source: Cow<'a, str>,
    #[serde(borrow, default, rename = "requestid")]
    request_id: Cow<'a, str>,
    #[serde(borrow)]
    event_data: Option<Data<'a>>,
    #[serde(borrow)]
    data: Option<Data<'a>>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    resources: Option<Vec<ResourceRef<'a>>>,
    #[serde(borrow, default)]
    repository: Repository<'a>,
    #[serde(borrow, rename = "custom_attributes")]
    custom: Option<Custom<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ResourceRef<'a> {
    #[serde(borrow)]
    digest: Cow<'a, str>,
    #[serde(borrow)]
    tag: Cow<'a, str>,
    #[serde(borrow, rename = "resource_url")]
    url: Cow<'a, str>,
}

impl ResourceRef<'_> {
    fn is_by_digest(&self) -> bool {
        self.tag == self.digest
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Repository<'a> {
    #[serde(borrow)]
    namespace: Cow<'a, str>,
    #[serde(borrow, rename = "repo_full_name")]
    full_name: Cow<'a, str>,
    #[serde(borrow)]
    repo_type: Cow<'a, str>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Custom<'a> {
    #[serde(borrow, rename = "Details")]
    details: Cow<'a, str>,
}
