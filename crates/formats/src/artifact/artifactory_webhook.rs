//! Predefined webhooks of JFrog Artifactory.
//!
//! <https://docs.jfrog.com/administration/docs/event-types>, and the requests built from it in
//! `testdata/artifactory-webhook/`. This parser relies on:
//! - `domain` and `event_type` name the act and the kind of resource, `data` the resource, `source`
//!   the user (`jfrog/NAME`);
//! - a body has neither time nor id nor address, so that two equal deployments look like one that
//!   was sent twice: both are recorded;
//! - some releases wrap all of it in `event`, with an id, `data` as a text of JSON, and the
//!   service's id for `source`;
//! - only acts that succeeded are sent.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::item::{Items, NoEvent};
use crate::lines::complete_body;
use crate::outline::{TIME_ASSUMED, outline, parse_single};
use crate::spec::{Hooks, Spec, Syslog};
use crate::texts::{attributes_of, non_empty, texts};
use crate::{Context, Delivery, EnvelopeError};
use event::{
    Actor, ActorKind, Class, Event, Operation, Origin, Outcome, OutcomeKind, Resource, Service,
    Severity,
};

pub(crate) const SPEC: Spec = Spec {
    name: "artifactory-webhook",
    about: "JFrog Artifactory: webhooks",
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
    let not_a_body = |error| format!("not a webhook body: {error}");
    let wrapped: Wrapper<'_> = serde_json::from_str(&text).map_err(not_a_body)?;
    let notification: Notification<'_> = match wrapped.event {
        Some(event) => serde_json::from_str(event.get()),
        None => serde_json::from_str(&text),
    }
    .map_err(not_a_body)?;
    if notification.domain.is_empty() || notification.event_type.is_empty() {
        return Err("the body has no domain and event_type".into());
    }
    let data = data(notification.data)?;
    let operation = operation(&notification);
    let is_removal = operation == Operation::Delete;
    let blank = outline(context, SPEC.name, raw);
    let mut event = Event {
        actor: actor(&notification),
        action: format!("{}.{}", notification.domain, notification.event_type),
        operation,
        resource: resource(&notification, &data),
        outcome: Outcome { kind: OutcomeKind::Success, code: None, reason: None },
        severity: if is_removal { Severity::MINOR } else { Severity::WARNING },
        class: if &*notification.domain == "user" { Class::Security } else { Class::Operation },
        origin: Origin { key: non_empty(&notification.id), ..blank.origin.clone() },
        ..blank
    };
    event.attributes.extend(attributes_of([
        TIME_ASSUMED,
        ("jpd_origin", &*notification.origin),
        ("sender", &*notification.source),
        ("subscription", &*notification.subscription),
    ]));
    let present = data.into_iter().filter(|(_, value)| !value.is_empty());
    event.attributes.extend(present.map(|(name, value)| (format!("data.{name}"), value)));
    Ok(event)
}

/// The members of `data`, which may be a text of JSON; without lists and objects.
fn data(json: Option<&RawValue>) -> Result<BTreeMap<String, String>, String> {
    let not_data = |error| format!("data: {error}");
    let Some(json) = json else { return Ok(BTreeMap::new()) };
    let inner: String;
    let object = match json.get().as_bytes()[0] {
        b'"' => {
            inner = serde_json::from_str(json.get()).map_err(not_data)?;
            &*inner
        }
        _ => json.get(),
    };
    let members: Option<BTreeMap<String, &RawValue>> =
        serde_json::from_str(object).map_err(not_data)?;
    let is_flat = |value: &&RawValue| !matches!(value.get().as_bytes()[0], b'{' | b'[');
    texts(members.unwrap_or_default().into_iter().filter(|(_, value)| is_flat(value)).collect())
}

fn operation(notification: &Notification<'_>) -> Operation {
    match (&*notification.event_type, &*notification.domain) {
        ("deployed" | "cached", _) | ("pushed", "docker") => Operation::Upload,
        ("deleted", "artifact_property") => Operation::Update,
        ("deleted" | "delete", _) => Operation::Delete,
        ("copied" | "uploaded" | "created", _) => Operation::Create,
        ("moved" | "promoted" | "added" | "updated", _) => Operation::Update,
        _ => Operation::Other,
    }
}

/// `jfrog/NAME`; a service's own id, as some releases write it, names nobody.
fn actor(notification: &Notification<'_>) -> Actor {
    match notification.source.strip_prefix("jfrog/") {
        Some("anonymous") => Actor { kind: ActorKind::Anonymous, ..Actor::default() },
        Some(name) if !name.is_empty() => {
            Actor { id: None, name: Some(name.to_owned()), kind: ActorKind::User }
        }
        _ => Actor::default(),
    }
}

fn resource(notification: &Notification<'_>, data: &BTreeMap<String, String>) -> Resource {
    let member = |name: &str| data.get(name).map(String::as_str).unwrap_or_default();
    let kind = match &*notification.domain {
        "artifact" | "artifact_property" | "docker" => "file",
        domain => domain,
    };
    let name = match (member("repo_key"), member("path").trim_start_matches('/')) {
        ("", "") => ["build_name", "release_bundle_name", "name"].map(member).join(""),
        ("", path) => path.to_owned(),
        (repository, path) => format!("{repository}/{path}"),
    };
    let id = ["sha256", "build_number", "release_bundle_version"].map(member);
    Resource {
        kind: non_empty(kind),
        name: non_empty(&name),
        id: id.into_iter().find_map(non_empty),
        region: None,
    }
}

#[derive(Deserialize)]
struct Wrapper<'a> {
    #[serde(borrow)]
    event: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Notification<'a> {
    #[serde(borrow, default)]
    id: Cow<'a, str>,
    #[serde(borrow, default)]
    domain: Cow<'a, str>,
    #[serde(borrow, default)]
    event_type: Cow<'a, str>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "subscription_key")]
    subscription: Cow<'a, str>,
    #[serde(borrow, default, rename = "jpd_origin")]
    origin: Cow<'a, str>,
    #[serde(borrow, default)]
    source: Cow<'a, str>,
}
