//! Requests of verdaccio's `notify` hook, sent when a package is published or unpublished.
//!
//! <https://www.verdaccio.org/docs/notifications/>, and the captures in
//! `testdata/verdaccio-notify/`. The body follows the configured template: a flat JSON object of
//! `name`, `publisher`, `publishedPackage` and `publishType`. The captures show, and this parser
//! relies on:
//! - a hook has neither time nor id nor address;
//! - it is sent once, whatever the response, and an unpublished version may be published again:
//!   equal bodies are different acts, so events have no key;
//! - an unpublished package has no version;
//! - `{{x}}` in a template escapes for HTML, `{{{x}}}` does not.

use std::borrow::Cow;

use serde::Deserialize;

use crate::item::{Items, NoEvent};
use crate::lines::complete_body;
use crate::outline::{TIME_ASSUMED, outline, parse_single};
use crate::spec::{Hooks, Spec, Syslog};
use crate::texts::{attributes_of, non_empty};
use crate::{Context, Delivery, EnvelopeError};
use event::{
    Actor, ActorKind, Event, Operation, Outcome, OutcomeKind, Resource, Service, Severity,
};

pub(crate) const SPEC: Spec = Spec {
    name: "verdaccio-notify",
    about: "verdaccio: its notify hook",
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
        serde_json::from_str(&text).map_err(|error| format!("not a hook's body: {error}"))?;
    let operation = match &*notification.kind {
        "publish" => Operation::Upload,
        "unpublish" => Operation::Delete,
        kind => {
            return Err(format!(
                "unknown publishType {:?}",
                kind.chars().take(64).collect::<String>()
            )
            .into());
        }
    };
    let published = if notification.published.is_empty() {
        &notification.name
    } else {
        &notification.published
    };
    if published.is_empty() {
        return Err("the body names no package".into());
    }
    let publisher = match &notification.publisher {
        Some(Publisher::Name(name) | Publisher::Person { name }) => &**name,
        None => "",
    };
    let mut event = Event {
        actor: Actor {
            id: None,
            name: non_empty(publisher),
            kind: if publisher.is_empty() { ActorKind::Unknown } else { ActorKind::User },
        },
        action: notification.kind.to_string(),
        operation,
        resource: Resource {
            kind: Some("package".to_owned()),
            name: non_empty(published),
            id: version(published).and_then(non_empty),
            region: None,
        },
        outcome: Outcome { kind: OutcomeKind::Success, code: None, reason: None },
        severity: if operation == Operation::Delete { Severity::MINOR } else { Severity::WARNING },
        ..outline(context, SPEC.name, raw)
    };
    event.attributes.extend(attributes_of([TIME_ASSUMED, ("package", &*notification.name)]));
    Ok(event)
}

/// The text after the last `@`, except the one that begins a scope.
fn version(published: &str) -> Option<&str> {
    published.rsplit_once('@').filter(|(name, _)| !name.is_empty()).map(|(_, version)| version)
}

#[derive(Deserialize)]
struct Notification<'a> {
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    publisher: Option<Publisher<'a>>,
    #[serde(borrow, default, rename = "publishedPackage")]
    published: Cow<'a, str>,
    #[serde(borrow, default, rename = "publishType")]
    kind: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Publisher<'a> {
    #[serde(borrow)]
    Name(Cow<'a, str>),
    Person {
        #[serde(borrow)]
        name: Cow<'a, str>,
    },
}
