//! Audit events of the Kubernetes API server, `audit.k8s.io/v1`: lines of its log, and the lists
//! its webhook sends.
//!
//! Event: <https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/>, stages and back
//! ends: <https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/>, and the captures in
//! `testdata/kubernetes-audit/`. The captures show, and this parser relies on:
//! - a request is sent once for each stage. The last, ResponseComplete or Panic, is the event; a
//!   rejected credential has only a ResponseStarted, with code 401. A session in a container or to
//!   its ports is complete when it ends, in hours or never, so its beginning is an event too. The
//!   other stages add nothing and are skipped;
//! - `auditID` is the client's own `Audit-ID` header if it sends one, so it is a key only with the
//!   stage and the time;
//! - only the last of `sourceIPs` is the peer; the others were claimed in `X-Forwarded-For`;
//! - items of a list have no `kind`, lines have one;
//! - with `--audit-webhook-truncate-enabled` objects that are too large are left out of an item,
//!   and an annotation says so;
//! - a refused batch is sent five times and then lost, so a bad item is rejected alone.
//!
//! The client decides how deep `requestObject` nests and could hide an event by it: depth is no
//! reason to reject an event. Objects are skipped without recursion.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::context::address;
use crate::item::{Items, NoEvent, OTHER_STAGE};
use crate::json_pieces::elements;
use crate::lines::{complete_lines, parse_lines, parse_one};
use crate::spec::{Hooks, Spec, Syslog};
use crate::texts::non_empty;
use crate::{Context, Delivery, EnvelopeError, Options};
use event::{
    Actor, ActorKind, Class, Event, Operation, Origin, Outcome, OutcomeKind, Resource, Service,
    Severity, SourceIp, Time,
};

const API_VERSION: &str = "audit.k8s.io/v1";

/// The annotation of an event whose objects were left out because they were too large.
const TRUNCATED: &str = "audit.k8s.io/truncated";

pub(crate) const SPEC: Spec = Spec {
    name: "kubernetes-audit",
    about: "Kubernetes API server: audit log lines, and what its audit webhook sends",
    service: Service::Platform,
    delivery: Delivery::Http,
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
    let list =
        serde_json::from_slice::<EventList<'_>>(body).ok().filter(|list| list.kind == "EventList");
    let events_max = context.limits.events_max;
    let events = list.map(|list| {
        list.items.map_or(Ok(Default::default()), |events| elements(events.get(), events_max))
    });
    let Some(Ok((events, is_more))) = events else {
        return parse_lines(body, context, read, items);
    };
    if is_more {
        return Err(EnvelopeError::TooLarge(format!(
            "the list holds more than {events_max} events"
        )));
    }
    events
        .into_iter()
        .try_for_each(|event| items.push(parse_one(event.get().as_bytes(), context, read)))
}

fn read(raw: &[u8], context: &mut Context<'_>) -> Result<Event, NoEvent> {
    let audit: AuditEvent<'_> =
        serde_json::from_slice(raw).map_err(|error| format!("not an audit event: {error}"))?;
    check(&audit)?;
    if !is_recorded(&audit)? {
        return Err(NoEvent::Skipped(OTHER_STAGE));
    }
    let received = audit.request_received.as_deref().unwrap_or_default();
    let (occurred_at, resolution) = Time::parse_rfc3339(received)
        .map_err(|error| format!("requestReceivedTimestamp: {error}"))?;
    if let Some(ended_at) = &audit.stage_timestamp {
        Time::parse_rfc3339(ended_at).map_err(|error| format!("stageTimestamp: {error}"))?;
    }
    let status = &audit.response_status;
    Ok(Event {
        id: (context.new_id)(),
        trail: context.trail.clone(),
        occurred_at,
        resolution,
        actor: actor(&audit.user),
        source_ip: source_ip(&audit, context.options),
        user_agent: non_empty(&audit.user_agent),
        action: action(&audit),
        operation: operation(&audit),
        resource: resource(&audit),
        outcome: outcome(&audit),
        severity: severity(&audit),
        class: class(&audit),
        description: status.as_ref().and_then(|status| non_empty(&status.message)),
        request_id: Some(audit.audit_id.to_string()),
        trace_id: None,
        origin: Origin {
            source: context.source.to_owned(),
            format: SPEC.name.to_owned(),
            key: Some(format!("{}/{}/{received}", audit.audit_id, audit.stage)),
        },
        attributes: attributes(&audit),
        raw: raw.to_vec(),
    })
}

fn check(audit: &AuditEvent<'_>) -> Result<(), String> {
    let is_one = |value: &Option<Cow<'_, str>>, expected: &str| {
        value.as_deref().is_none_or(|it| it == expected)
    };
    if !is_one(&audit.kind, "Event") || !is_one(&audit.api_version, API_VERSION) {
        return Err(format!("not an Event of {API_VERSION}"));
    }
    if audit.audit_id.is_empty() {
        return Err("the event has no auditID".to_owned());
    }
    if audit.verb.is_empty() {
        return Err("the event has no verb".to_owned());
    }
    Ok(())
}

fn is_recorded(audit: &AuditEvent<'_>) -> Result<bool, String> {
    match &*audit.stage {
        "ResponseComplete" | "Panic" => Ok(true),
        "ResponseStarted" => Ok(audit.code() == Some(401) || audit.is_session()),
        "RequestReceived" => Ok(false),
        stage => Err(format!("unknown stage {:?}", stage.chars().take(64).collect::<String>())),
    }
}

fn actor(user: &User<'_>) -> Actor {
    let kind = match &*user.username {
        "" | "system:anonymous" => ActorKind::Anonymous,
        name if name.starts_with("system:serviceaccount:") => ActorKind::Service,
        name if name.starts_with("system:") => ActorKind::System,
        _ => ActorKind::User,
    };
    Actor { id: non_empty(&user.uid), name: non_empty(&user.username), kind }
}

fn source_ip(audit: &AuditEvent<'_>, options: &Options) -> Option<SourceIp> {
    let (peer, claimed) = audit.source_ips.as_ref()?.split_last()?;
    Some(options.client(address(peer)?, claimed.iter().map(String::as_str)))
}

/// `create pods`, `create pods/exec`, or only the verb if the request has no resource.
fn action(audit: &AuditEvent<'_>) -> String {
    match audit.object() {
        None => audit.verb.to_string(),
        Some(object) if object.subresource.is_empty() => {
            format!("{} {}", audit.verb, object.resource)
        }
        Some(object) => format!("{} {}/{}", audit.verb, object.resource, object.subresource),
    }
}

fn operation(audit: &AuditEvent<'_>) -> Operation {
    let is_review = audit.object().is_some_and(|object| {
        matches!(&*object.api_group, "authorization.k8s.io" | "authentication.k8s.io")
    });
    match &*audit.verb {
        _ if audit.is_exec() => Operation::Exec,
        // Reviews ask whether something is allowed: nothing of them is stored.
        "create" if is_review => Operation::Read,
        "get" | "list" | "watch" | "head" | "options" => Operation::Read,
        "create" => Operation::Create,
        "update" | "patch" | "put" => Operation::Update,
        "delete" | "deletecollection" => Operation::Delete,
        _ => Operation::Other,
    }
}

fn resource(audit: &AuditEvent<'_>) -> Resource {
    let Some(object) = audit.object() else {
        return Resource { name: non_empty(&audit.request_uri), ..Resource::default() };
    };
    let name = match (&*object.namespace, &*object.name) {
        ("", name) => name.to_owned(),
        // Deleting a namespace names it twice, creating it once.
        (namespace, _) if object.resource == "namespaces" => namespace.to_owned(),
        (namespace, name) => format!("{namespace}/{name}"),
    };
    Resource {
        kind: non_empty(&object.resource),
        name: non_empty(&name),
        id: non_empty(&object.uid),
        region: None,
    }
}

fn outcome(audit: &AuditEvent<'_>) -> Outcome {
    let kind = match audit.code() {
        _ if audit.stage == "Panic" => OutcomeKind::Failure,
        None => OutcomeKind::Unknown,
        Some(..400) => OutcomeKind::Success,
        Some(_) => OutcomeKind::Failure,
    };
    let reason = audit.response_status.as_ref().and_then(|status| non_empty(&status.reason));
    Outcome { kind, code: audit.code(), reason }
}

fn severity(audit: &AuditEvent<'_>) -> Severity {
    let is_delete = operation(audit) == Operation::Delete;
    match audit.code() {
        _ if audit.stage == "Panic" => Severity::MAJOR,
        Some(401 | 500..) => Severity::MAJOR,
        Some(403) if is_delete => Severity::MAJOR,
        Some(400..) => Severity::MINOR,
        Some(_) if is_delete => Severity::MINOR,
        _ => Severity::WARNING,
    }
}

/// Refusals, impersonation, and requests for rights, secrets, tokens or the inside of a container.
fn class(audit: &AuditEvent<'_>) -> Class {
    let is_refused = matches!(audit.code(), Some(401 | 403));
    let is_sensitive = audit.object().is_some_and(|object| {
        matches!(
            (&*object.api_group, &*object.resource, &*object.subresource),
            ("rbac.authorization.k8s.io", ..)
                | ("", "secrets", _)
                | (_, "serviceaccounts", "token")
                | ("authentication.k8s.io", "tokenreviews" | "tokenrequests", _)
        )
    });
    if is_refused || is_sensitive || audit.is_exec() || audit.impersonated_user.is_some() {
        Class::Security
    } else {
        Class::Operation
    }
}

fn attributes(audit: &AuditEvent<'_>) -> BTreeMap<String, String> {
    let object = audit.object();
    let of_object = |part: fn(&ObjectRef<'_>) -> String| object.map(part).unwrap_or_default();
    let forwarded_for = match audit.source_ips.as_deref() {
        Some([claimed @ .., _]) => claimed.join(", "),
        _ => String::new(),
    };
    let on_behalf_of = audit.impersonated_user.as_ref().map_or("", |user| &user.username);
    let department =
        audit.user.groups.as_ref().and_then(|groups| groups.first()).map_or("", String::as_str);
    let mut attributes: BTreeMap<String, String> = audit.annotations.clone().unwrap_or_default();
    let has_begun = audit.stage == "ResponseStarted" && audit.is_session();
    let at_stage = audit.stage_timestamp.as_deref().unwrap_or_default().to_owned();
    let is_truncated = attributes.get(TRUNCATED).is_some_and(|value| value == "true");
    // Annotations are named `owner/name`; another name might be mistaken for an attribute of our
    // own.
    attributes.retain(|name, _| name.contains('/'));
    attributes.extend(
        [
            ("api_group", of_object(|object| object.api_group.to_string())),
            ("api_version", of_object(|object| object.api_version.to_string())),
            ("department", department.to_owned()),
            (if has_begun { "begun_at" } else { "ended_at" }, at_stage),
            ("forwarded_for", forwarded_for),
            ("level", audit.level.to_string()),
            ("namespace", of_object(|object| object.namespace.to_string())),
            ("on_behalf_of", on_behalf_of.to_owned()),
            ("request_uri", audit.request_uri.to_string()),
            ("stage", audit.stage.to_string()),
            ("subresource", of_object(|object| object.subresource.to_string())),
            ("truncated", if is_truncated { "true".to_owned() } else { String::new() }),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    attributes.retain(|_, value| !value.is_empty());
    attributes
}

#[derive(Deserialize)]
struct EventList<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    /// Go writes a nil slice as null.
    #[serde(borrow)]
    items: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct AuditEvent<'a> {
    #[serde(borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "apiVersion")]
    api_version: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    level: Cow<'a, str>,
    #[serde(borrow, default, rename = "auditID")]
    audit_id: Cow<'a, str>,
    #[serde(borrow, default)]
    stage: Cow<'a, str>,
    #[serde(borrow, default, rename = "requestURI")]
    request_uri: Cow<'a, str>,
    #[serde(borrow, default)]
    verb: Cow<'a, str>,
    #[serde(borrow, default)]
    user: User<'a>,
    #[serde(borrow, rename = "impersonatedUser")]
    impersonated_user: Option<User<'a>>,
    #[serde(rename = "sourceIPs")]
    source_ips: Option<Vec<String>>,
    #[serde(borrow, default, rename = "userAgent")]
    user_agent: Cow<'a, str>,
    #[serde(borrow, rename = "objectRef")]
    object_ref: Option<ObjectRef<'a>>,
    #[serde(borrow, rename = "responseStatus")]
    response_status: Option<Status<'a>>,
    /// Go writes a zero time as null.
    #[serde(borrow, rename = "requestReceivedTimestamp")]
    request_received: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "stageTimestamp")]
    stage_timestamp: Option<Cow<'a, str>>,
    annotations: Option<BTreeMap<String, String>>,
}

impl<'a> AuditEvent<'a> {
    fn code(&self) -> Option<u32> {
        self.response_status.as_ref()?.code
    }

    fn object(&self) -> Option<&ObjectRef<'a>> {
        self.object_ref.as_ref().filter(|object| !object.resource.is_empty())
    }

    /// Whether this is a connection that stays open, into a container or to its ports.
    fn is_session(&self) -> bool {
        self.is_exec()
            || self.object().is_some_and(|object| {
                object.resource == "pods" && object.subresource == "portforward"
            })
    }

    /// Whether someone went into a container. With WebSockets the verb is `get`.
    fn is_exec(&self) -> bool {
        self.object().is_some_and(|object| {
            object.resource == "pods" && matches!(&*object.subresource, "exec" | "attach")
        })
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct User<'a> {
    #[serde(borrow)]
    username: Cow<'a, str>,
    #[serde(borrow)]
    uid: Cow<'a, str>,
    groups: Option<Vec<String>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ObjectRef<'a> {
    #[serde(borrow)]
    resource: Cow<'a, str>,
    #[serde(borrow)]
    namespace: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    uid: Cow<'a, str>,
    #[serde(borrow, rename = "apiGroup")]
    api_group: Cow<'a, str>,
    #[serde(borrow, rename = "apiVersion")]
    api_version: Cow<'a, str>,
    #[serde(borrow)]
    subresource: Cow<'a, str>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Status<'a> {
    code: Option<u32>,
    #[serde(borrow)]
    reason: Cow<'a, str>,
    #[serde(borrow)]
    message: Cow<'a, str>,
}
