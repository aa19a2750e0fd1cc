//! The audit log of Sonatype Nexus Repository 3: lines of JSON in `audit.log`.
//!
//! <https://help.sonatype.com/en/auditing.html>, and the lines built from it in
//! `testdata/nexus-audit/`. This parser relies on:
//! - `domain` and `type` name the act and the kind of resource, `context` the resource;
//! - `initiator` is the user and the address, divided by the first slash; `*TASK` and `*SYSTEM` are
//!   Nexus itself;
//! - times have milliseconds after a comma, and their own offset;
//! - refused acts, logins and downloads are not in it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::context::address;
use crate::item::{Items, NoEvent};
use crate::lines::{complete_lines, parse_lines};
use crate::outline::outline;
use crate::spec::{Hooks, Spec, Syslog};
use crate::texts::{attributes_of, non_empty};
use crate::{Context, Delivery, EnvelopeError, Options};
use event::{
    Actor, ActorKind, Class, Event, Operation, Outcome, OutcomeKind, Resolution, Resource, Service,
    Severity, SourceIp, Time,
};

pub(crate) const SPEC: Spec = Spec {
    name: "nexus-audit",
    about: "Sonatype Nexus Repository 3: audit.log",
    service: Service::Artifact,
    delivery: Delivery::Files("/nexus-data/log/audit/audit.log"),
    heeds_errors: false,
    syslog: Syslog::Text,
    parse,
    complete_bytes: complete_lines,
    hooks: Hooks::NONE,
};

pub(crate) fn parse(
    body: &[u8],
    context: &mut Context<'_>,
    items: &mut Items<'_>,
) -> Result<(), EnvelopeError> {
    parse_lines(body, context, read, items)
}

fn read(line: &[u8], context: &mut Context<'_>) -> Result<Event, NoEvent> {
    let text = String::from_utf8_lossy(line);
    let members: Line<'_> =
        serde_json::from_str(&text).map_err(|error| format!("not an audit line: {error}"))?;
    let audit = Audit {
        domain: members.domain,
        kind: members.kind,
        context: members.context,
        attributes: members.attributes,
    };
    audit.check()?;
    let occurred_at = instant(&members.timestamp)?;
    let meaning = audit.meaning();
    let (actor, source_ip) = initiator(&members.initiator, context.options);
    let mut event = Event {
        occurred_at,
        resolution: Resolution::Millisecond,
        actor,
        source_ip,
        action: meaning.action,
        operation: meaning.operation,
        resource: meaning.resource,
        outcome: Outcome { kind: OutcomeKind::Success, code: None, reason: meaning.reason },
        severity: meaning.severity,
        class: meaning.class,
        ..outline(context, SPEC.name, line)
    };
    event
        .attributes
        .extend(attributes_of([("node_id", &*members.node_id), ("thread", &*members.thread)]));
    event.attributes.extend(audit.attributes());
    Ok(event)
}

/// Reads `2026-11-20 18:01:15,125+0000` and `2026-11-20T18:01:49.664+0000`.
pub(crate) fn instant(text: &str) -> Result<Time, String> {
    let not_a_time =
        || format!("timestamp: {:?} is not a time", text.chars().take(64).collect::<String>());
    let at = text.len().checked_sub(5).filter(|_| text.is_ascii()).ok_or_else(not_a_time)?;
    let (clock, offset) = text.split_at(at);
    let clock = clock.replacen(' ', "T", 1).replacen(',', ".", 1);
    let rfc3339 = format!("{clock}{}:{}", &offset[..3], &offset[3..]);
    Time::parse_rfc3339(&rfc3339).map(|(time, _)| time).map_err(|_| not_a_time())
}

/// The actor and the address in `admin/127.0.0.1`.
pub(crate) fn initiator(text: &str, options: &Options) -> (Actor, Option<SourceIp>) {
    let (user, from) = text.split_once('/').unwrap_or((text, ""));
    let kind = match user {
        "" | "anonymous" => ActorKind::Anonymous,
        _ if user.starts_with('*') => ActorKind::System,
        _ => ActorKind::User,
    };
    let name = if kind == ActorKind::Anonymous { None } else { non_empty(user) };
    let source_ip = address(from).map(|peer| options.client(peer, std::iter::empty()));
    (Actor { id: None, name, kind }, source_ip)
}

/// The members that an audit line and an audit webhook have in common.
#[derive(Deserialize)]
pub(crate) struct Audit<'a> {
    #[serde(borrow, default)]
    domain: Cow<'a, str>,
    #[serde(borrow, default, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    context: Cow<'a, str>,
    #[serde(borrow)]
    attributes: Option<BTreeMap<String, &'a RawValue>>,
}

pub(crate) struct Meaning {
    pub action: String,
    pub operation: Operation,
    pub resource: Resource,
    pub reason: Option<String>,
    pub class: Class,
    pub severity: Severity,
}

impl Audit<'_> {
    pub fn check(&self) -> Result<(), String> {
        let is_named = !self.domain.is_empty() && !self.kind.is_empty();
        if is_named { Ok(()) } else { Err("the record has no domain and type".to_owned()) }
    }

    pub fn meaning(&self) -> Meaning {
        let operation = self.operation();
        let is_overwrite = operation == Operation::Upload && self.kind == "updated";
        let class =
            if self.domain.starts_with("security") { Class::Security } else { Class::Operation };
        Meaning {
            action: format!("{}.{}", self.domain, self.kind),
            operation,
            resource: self.resource(),
            reason: is_overwrite.then(|| "overwrite".to_owned()),
            class,
            severity: if operation == Operation::Delete {
                Severity::MINOR
            } else {
                Severity::WARNING
            },
        }
    }

    fn operation(&self) -> Operation {
        match (&*self.kind, &*self.domain) {
            ("created" | "updated", "repository.asset") => Operation::Upload,
            ("created", _) => Operation::Create,
            ("updated" | "changed", _) => Operation::Update,
            ("deleted" | "purged", _) => Operation::Delete,
            _ => Operation::Other,
        }
    }

    fn resource(&self) -> Resource {
        let kind = match &*self.domain {
            "repository.asset" => "file",
            "repository.component" => "component",
            "repository.manager" => "repository",
            domain => domain,
        };
        let path = self.context.trim_start_matches('/');
        let name = match self.attribute("repository.name") {
            Some(repository) if matches!(kind, "file" | "component") => {
                format!("{repository}/{path}")
            }
            _ => self.context.to_string(),
        };
        Resource { kind: non_empty(kind), name: non_empty(&name), id: None, region: None }
    }

    fn attribute(&self, name: &str) -> Option<String> {
        self.attributes
            .as_ref()?
            .get(name)
            .map(|value| text_of(value))
            .filter(|text| !text.is_empty())
    }

    /// The attributes, with a prefix to their names so that none is mistaken for one of our own.
    pub fn attributes(&self) -> BTreeMap<String, String> {
        let pairs = self.attributes.iter().flatten();
        pairs
            .map(|(name, value)| (format!("nexus.{name}"), text_of(value)))
            .filter(|(_, value)| !value.is_empty())
            .collect()
    }
}

/// A text without its quotes, any other value as written.
fn text_of(value: &RawValue) -> String {
    serde_json::from_str(value.get()).unwrap_or_else(|_| match value.get() {
        "null" => String::new(),
        json => json.to_owned(),
    })
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, default)]
    timestamp: Cow<'a, str>,
    #[serde(borrow, default, rename = "nodeId")]
    node_id: Cow<'a, str>,
    #[serde(borrow, default)]
    initiator: Cow<'a, str>,
    #[serde(borrow, default)]
    domain: Cow<'a, str>,
    #[serde(borrow, default, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    context: Cow<'a, str>,
    #[serde(borrow, default)]
    thread: Cow<'a, str>,
    #[serde(borrow)]
    attributes: Option<BTreeMap<String, &'a RawValue>>,
}
