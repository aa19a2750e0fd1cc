//! A record without its encoding, and its event.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::SPEC;
use super::value::Value;
use crate::context::address;
use crate::texts::non_empty;
use crate::{Context, Options, meaning};
use event::json::write_string;
use event::{
    Actor, ActorKind, Event, Origin, Outcome, OutcomeKind, Resolution, Resource, SourceIp, Time,
    Trust,
};

/// The action of a record that names no event.
const PLAIN: &str = "log";

/// Attributes as texts, and how they were read.
#[derive(Default)]
pub(super) struct Attributes {
    texts: BTreeMap<String, String>,
    /// Names that came more than once.
    repeated: BTreeSet<String>,
    is_too_deep: bool,
    is_lossy: bool,
}

impl Attributes {
    /// Adds one; an empty value is none. Of a name that comes again, as from .NET's nested scopes,
    /// all values stay: nothing shows which one is meant.
    pub(super) fn insert(&mut self, name: String, value: Value) {
        self.is_too_deep |= value.is_too_deep();
        let Some(text) = value.text() else { return };
        match self.texts.entry(name) {
            Entry::Occupied(entry) if *entry.get() == text => {}
            Entry::Occupied(mut entry) => {
                self.repeated.insert(entry.key().clone());
                entry.get_mut().push_str(", ");
                entry.get_mut().push_str(&text);
            }
            Entry::Vacant(entry) => {
                entry.insert(text);
            }
        }
    }

    /// Bytes as text, with U+FFFD for invalid UTF-8.
    pub(super) fn lossy(&mut self, bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).unwrap_or_else(|error| {
            self.is_lossy = true;
            String::from_utf8_lossy(error.as_bytes()).into_owned()
        })
    }

    /// Takes one for which the event has a member.
    fn take(&mut self, name: &str) -> Option<String> {
        self.texts.remove(name).filter(|text| !text.is_empty())
    }
}

/// The resource and scope that records share.
#[derive(Default)]
pub(super) struct Shared {
    pub resource: Attributes,
    pub scope_name: String,
    pub scope_version: String,
    pub scope: Attributes,
}

impl Shared {
    fn resource(&self, name: &str) -> Option<String> {
        self.resource.texts.get(name).filter(|text| !text.is_empty()).cloned()
    }

    /// Adds them under names of their own; an attribute of a record with such a name gives way.
    fn add_to(&self, attributes: &mut BTreeMap<String, String>) {
        let with = |prefix: &'static str, texts: &BTreeMap<String, String>| {
            texts
                .iter()
                .map(move |(name, text)| (format!("{prefix}{name}"), text.clone()))
                .collect::<Vec<_>>()
        };
        attributes.extend(with("resource.", &self.resource.texts));
        attributes.extend(with("scope.", &self.scope.texts));
        for (name, text) in
            [("scope.name", &self.scope_name), ("scope.version", &self.scope_version)]
        {
            if !text.is_empty() {
                attributes.insert(name.to_owned(), text.clone());
            }
        }
    }
}

/// One log record. Times are nanoseconds since 1970, 0 if absent; ids are in hex.
pub(super) struct Record {
    pub time: u64,
    pub observed: u64,
    pub severity_number: u64,
    pub severity_text: String,
    pub body: Value,
    pub attributes: Attributes,
    /// How many attributes its sender left out.
    pub dropped: u64,
    pub trace_id: String,
    pub span_id: String,
    pub event_name: String,
}

impl Default for Record {
    fn default() -> Record {
        Record {
            time: 0,
            observed: 0,
            severity_number: 0,
            severity_text: String::new(),
            body: Value::Absent,
            attributes: Attributes::default(),
            dropped: 0,
            trace_id: String::new(),
            span_id: String::new(),
            event_name: String::new(),
        }
    }
}

impl Record {
    /// The event with the key that identifies it; `raw` are the record's bytes.
    pub(super) fn into_event(
        mut self,
        shared: &Shared,
        raw: &[u8],
        context: &mut Context<'_>,
    ) -> Result<Event, String> {
        let is_too_deep = self.attributes.is_too_deep || self.body.is_too_deep();
        let body = std::mem::replace(&mut self.body, Value::Absent)
            .text()
            .and_then(|text| non_empty(&text));
        if body.is_none() && self.attributes.texts.is_empty() && self.event_name.is_empty() {
            return Err(
                "the record says nothing: it has no body, attributes or event name".to_owned()
            );
        }
        let (occurred_at, time_is) = self.occurred_at(context.received_at)?;
        let beyond = if is_too_deep { raw } else { &[] };
        let key = self.key(shared, body.as_deref(), beyond);
        let is_lossy =
            self.attributes.is_lossy || shared.resource.is_lossy || shared.scope.is_lossy;
        let attributes = &mut self.attributes;
        let action = action(attributes, &mut self.event_name);
        let (operation, outcome) = (meaning::operation(&action), outcome(attributes));
        let resource = resource(attributes, shared);
        let event = Event {
            id: (context.new_id)(),
            trail: context.trail.clone(),
            occurred_at,
            resolution: Resolution::Nanosecond,
            actor: actor(attributes),
            source_ip: source_ip(attributes, context.options),
            user_agent: attributes.take("user_agent.original"),
            operation,
            severity: meaning::severity_of_number(self.severity_number)
                .max(meaning::severity(operation, &outcome)),
            class: meaning::class(operation, &action, resource.kind.as_deref(), &outcome),
            action,
            resource,
            outcome,
            description: body,
            request_id: None,
            trace_id: id(&self.trace_id),
            origin: Origin { source: context.source.to_owned(), format: SPEC.name.to_owned(), key },
            attributes: self.into_attributes(shared, time_is, is_lossy, is_too_deep),
            raw: raw.to_vec(),
        };
        Ok(event)
    }

    /// The time when it happened, was observed, or arrived, and a word for the latter two.
    fn occurred_at(&self, received_at: Time) -> Result<(Time, &'static str), String> {
        let (ns, which) = match (self.time, self.observed) {
            (0, 0) => return Ok((received_at, "arrival")),
            (0, observed) => (observed, "observed"),
            (time, _) => (time, ""),
        };
        let ns = i64::try_from(ns).map_err(|_| "the time is outside the years 1678 to 2261")?;
        Ok((Time::from_unix_ns(ns), which))
    }

    /// The identity of the record: a digest of its content and of its resource and scope, and of
    /// the bytes `beyond` the nesting limit. Details of the encoding do not count, nor does the
    /// observation time of a record with a time of its own.
    ///
    /// A record without any time has none: two equal ones may be two events.
    fn key(&self, shared: &Shared, body: Option<&str>, beyond: &[u8]) -> Option<String> {
        let time = if self.time == 0 { self.observed } else { self.time };
        if time == 0 {
            return None;
        }
        let mut content = Vec::new();
        for text in [
            &*time.to_string(),
            &*self.severity_number.to_string(),
            &self.severity_text,
            &self.trace_id,
            &self.span_id,
            &self.event_name,
            body.unwrap_or_default(),
            &shared.scope_name,
            &shared.scope_version,
        ] {
            write_string(&mut content, text);
        }
        for texts in [&self.attributes.texts, &shared.resource.texts, &shared.scope.texts] {
            content.push(b'{');
            for text in texts.iter().flat_map(|(name, text)| [name, text]) {
                write_string(&mut content, text);
            }
        }
        content.extend_from_slice(beyond);
        Some(hex::encode(&Sha256::digest(&content)[..16]))
    }

    /// The remaining attributes.
    fn into_attributes(
        self,
        shared: &Shared,
        time_is: &str,
        is_lossy: bool,
        is_too_deep: bool,
    ) -> BTreeMap<String, String> {
        let sets = [&self.attributes, &shared.resource, &shared.scope];
        let repeated: BTreeSet<&str> =
            sets.iter().flat_map(|set| &set.repeated).map(String::as_str).collect();
        let repeated = repeated.into_iter().collect::<Vec<_>>().join(", ");
        let mut attributes = self.attributes.texts;
        if let Some(namespace) = shared.resource("service.namespace") {
            attributes.entry("department".to_owned()).or_insert(namespace);
        }
        shared.add_to(&mut attributes);
        let flag = |is_set: bool| if is_set { "true".to_owned() } else { String::new() };
        let number = |number: u64| if number == 0 { String::new() } else { number.to_string() };
        attributes.extend(
            [
                ("dropped_attributes", number(self.dropped)),
                ("event_name", self.event_name),
                ("invalid_utf8", flag(is_lossy)),
                ("repeated_attributes", repeated),
                ("severity_number", number(self.severity_number)),
                ("severity_text", self.severity_text),
                ("span_id", id(&self.span_id).unwrap_or_default()),
                ("time_is", time_is.to_owned()),
                ("too_deep", flag(is_too_deep)),
            ]
            .into_iter()
            .filter(|(_, text)| !text.is_empty())
            .map(|(name, text)| (name.to_owned(), text)),
        );
        attributes.retain(|_, text| !text.is_empty());
        attributes
    }
}

/// `audit.action`, the event name, or the attribute in which older programs put it. Unused ones
/// stay.
fn action(attributes: &mut Attributes, event_name: &mut String) -> String {
    attributes
        .take("audit.action")
        .or_else(|| non_empty(&std::mem::take(event_name)))
        .or_else(|| attributes.take("event.name"))
        .unwrap_or_else(|| PLAIN.to_owned())
}

/// `enduser.id` is a user name by its description; it is the id if there is another name.
fn actor(attributes: &mut Attributes) -> Actor {
    let (id, name) = (attributes.take("user.id"), attributes.take("user.name"));
    let (id, name) = match name {
        Some(name) => (id.or_else(|| attributes.take("enduser.id")), Some(name)),
        None => (id, attributes.take("enduser.id")),
    };
    let kind = if id.is_none() && name.is_none() { ActorKind::Unknown } else { ActorKind::User };
    Actor { id, name, kind }
}

/// `client.address` is meant to be the address behind all proxies, so a header may have claimed it;
/// only if the connection's own peer is the same is it certain.
fn source_ip(attributes: &mut Attributes, options: &Options) -> Option<SourceIp> {
    let address_of = |name: &str| attributes.texts.get(name).and_then(|text| address(text));
    let (claimed, peer) = (address_of("client.address"), address_of("network.peer.address"));
    let source_ip = match (claimed, peer) {
        (_, Some(peer)) => {
            let claimed =
                claimed.filter(|claimed| *claimed != peer).map(|claimed| claimed.to_string());
            options.client(peer, claimed.as_deref().into_iter())
        }
        (Some(address), None) => SourceIp { address, trust: Trust::Forwarded },
        (None, None) => return None,
    };
    for (name, candidate) in [("client.address", claimed), ("network.peer.address", peer)] {
        if candidate == Some(source_ip.address) {
            attributes.take(name);
        }
    }
    Some(source_ip)
}

/// The resource that the record names, else the service that wrote it.
fn resource(attributes: &mut Attributes, shared: &Shared) -> Resource {
    let [kind, name, id] =
        ["type", "name", "id"].map(|part| attributes.take(&format!("audit.resource.{part}")));
    let region = shared.resource("cloud.region");
    if kind.is_some() || name.is_some() || id.is_some() {
        return Resource { kind, name, id, region };
    }
    let name = shared.resource("service.name");
    let kind = name.as_ref().map(|_| "service".to_owned());
    Resource { kind, name, id: shared.resource("service.instance.id"), region }
}

/// `audit.outcome`, else the status of an HTTP request.
fn outcome(attributes: &mut Attributes) -> Outcome {
    let code = attributes.texts.get("http.response.status_code").and_then(|text| text.parse().ok());
    let word = attributes.texts.get("audit.outcome").cloned().unwrap_or_default();
    let kind = match (meaning::outcome(&word), code) {
        (OutcomeKind::Unknown, Some(100..400)) if word.is_empty() => OutcomeKind::Success,
        (OutcomeKind::Unknown, Some(400..600)) if word.is_empty() => OutcomeKind::Failure,
        (kind, _) => kind,
    };
    if kind != OutcomeKind::Unknown {
        attributes.take("audit.outcome");
    }
    if code.is_some() {
        attributes.take("http.response.status_code");
    }
    let reason =
        attributes.take("error.type").or_else(|| meaning::is_denial(&word).then_some(word));
    Outcome { kind, code, reason }
}

/// An id of zeros is none.
fn id(hex: &str) -> Option<String> {
    non_empty(hex).filter(|hex| hex.bytes().any(|digit| digit != b'0'))
}
