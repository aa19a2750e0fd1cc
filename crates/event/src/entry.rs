//! The canonical entry: the bytes of an event that are stored, hashed and proved.
//!
//! An entry is one JSON object in the form of RFC 8785, so any other program can write the same
//! bytes. Its members are listed in `docs/format.md`. Members without a value are left out; there
//! are no nulls. Every number is an integer below 2^53, exact in any JSON reader; instants are
//! texts of fixed width.
//!
//! An entry is written in two steps, because two of its values are known only when the event gets
//! its position in the log: [`Template::new`] does all the work that needs no order,
//! [`Template::fill`] adds the trail number and the time of receipt.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::id::ID_TEXT_BYTES;
use crate::json::{Members, write_hex, write_integer};
use crate::time::TIME_TEXT_BYTES;
use crate::{
    Actor, ActorKind, Class, Event, EventId, Operation, Origin, Outcome, OutcomeKind, Resolution,
    Resource, Severity, SourceIp, Time, Trail, Trust,
};

/// Version of the schema written by this crate, the member `v`.
pub const VERSION: u64 = 1;

/// Largest trail number: integers up to here are exact in every JSON reader (RFC 8785 section
/// 3.2.2.3).
pub const NUMBER_MAX: u64 = (1 << 53) - 1;

/// An entry that lacks the two values from the log.
#[derive(Clone, Debug)]
pub struct Template {
    bytes: Vec<u8>,
    number_at: usize,
    received_at: usize,
    raw_sha256: [u8; 32],
}

impl Template {
    /// How many bytes of memory it takes beside itself.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Encodes `event`. The entry commits to the raw bytes by their hash and does not contain them.
    pub fn new(event: &Event) -> Template {
        let raw_sha256: [u8; 32] = Sha256::digest(&event.raw).into();
        let mut object = Members::begin(Vec::with_capacity(512));
        object.text("action", &event.action);
        object.object("actor", |actor| {
            actor.optional("id", event.actor.id.as_deref());
            actor.optional("name", event.actor.name.as_deref());
            actor.text("type", event.actor.kind.as_str());
        });
        if !event.attributes.is_empty() {
            object.object("attributes", |attributes| {
                for (name, value) in canonical_order(&event.attributes) {
                    attributes.text(name, value);
                }
            });
        }
        object.text("class", event.class.as_str());
        object.optional("description", event.description.as_deref());
        object.ascii("id", &event.id.text());
        object.name("number");
        let number_at = object.len();
        object.ascii("occurred_at", &event.occurred_at.text());
        object.text("operation", event.operation.as_str());
        object.object("outcome", |outcome| {
            if let Some(code) = event.outcome.code {
                outcome.integer("code", u64::from(code));
            }
            outcome.optional("reason", event.outcome.reason.as_deref());
            outcome.text("result", event.outcome.kind.as_str());
        });
        let mut digits = Vec::with_capacity(2 * raw_sha256.len());
        write_hex(&mut digits, &raw_sha256);
        object.ascii("raw_sha256", &digits);
        object.ascii("received_at", &[b'0'; TIME_TEXT_BYTES]);
        let received_at = object.len() - 1 - TIME_TEXT_BYTES;
        object.optional("request_id", event.request_id.as_deref());
        object.text("resolution", event.resolution.as_str());
        object.object("resource", |resource| {
            resource.optional("id", event.resource.id.as_deref());
            resource.optional("name", event.resource.name.as_deref());
            resource.optional("region", event.resource.region.as_deref());
            resource.optional("type", event.resource.kind.as_deref());
        });
        object.integer("severity", u64::from(event.severity.level()));
        object.object("source", |source| {
            source.text("format", &event.origin.format);
            source.optional("key", event.origin.key.as_deref());
            source.text("name", &event.origin.source);
        });
        if let Some(ip) = &event.source_ip {
            object.object("source_ip", |source_ip| {
                source_ip.text("address", &ip.address.to_string());
                source_ip.text("trust", ip.trust.as_str());
            });
        }
        object.optional("trace_id", event.trace_id.as_deref());
        object.object("trail", |trail| {
            trail.text("instance", event.trail.instance());
            trail.text("project", event.trail.project());
            trail.text("service", event.trail.service().as_str());
            trail.text("tenant", event.trail.tenant());
        });
        object.optional("user_agent", event.user_agent.as_deref());
        object.integer("v", VERSION);
        Template { bytes: object.end(), number_at, received_at, raw_sha256 }
    }

    /// SHA-256 of the raw bytes.
    pub fn raw_sha256(&self) -> &[u8; 32] {
        &self.raw_sha256
    }

    /// Most bytes that [`Template::fill`] can append.
    pub fn len_bytes_max(&self) -> usize {
        self.bytes.len() + 16
    }

    /// Appends the finished entry to `out`. `number` is 1 to [`NUMBER_MAX`].
    pub fn fill(&self, number: u64, received_at: Time, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.bytes[..self.number_at]);
        write_integer(out, number);
        let shift = out.len() - start - self.number_at;
        out.extend_from_slice(&self.bytes[self.number_at..]);
        let at = start + shift + self.received_at;
        out[at..at + TIME_TEXT_BYTES].copy_from_slice(&received_at.text());
    }
}

/// A decoded entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The event; its `raw` is empty, since an entry holds only its hash.
    pub event: Event,
    /// Position in its own trail, from 1, without gaps.
    pub number: u64,
    /// When we received it, by our clock; never decreases along the log.
    pub received_at: Time,
    /// SHA-256 of the raw bytes.
    pub raw_sha256: [u8; 32],
}

/// The bytes are not an entry that this version can read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAnEntry(String);

impl fmt::Display for NotAnEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "couldn't decode an entry: {}", self.0)
    }
}

impl std::error::Error for NotAnEntry {}

/// SHA-256 of an entry: the leaf data of the log's tree.
pub fn digest(entry: &[u8]) -> [u8; 32] {
    Sha256::digest(entry).into()
}

/// Reads an entry. Errors on anything that [`Template::fill`] of this version does not write.
pub fn decode(entry: &[u8]) -> Result<Entry, NotAnEntry> {
    let wire: Wire<'_> =
        serde_json::from_slice(entry).map_err(|error| NotAnEntry(error.to_string()))?;
    if wire.v != VERSION {
        return Err(NotAnEntry(format!("version {} is not {VERSION}", wire.v)));
    }
    wire.into_entry().ok_or_else(|| NotAnEntry("a member holds a value outside its set".to_owned()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire<'a> {
    #[serde(borrow)]
    action: Cow<'a, str>,
    actor: WireActor,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    class: &'a str,
    description: Option<String>,
    id: &'a str,
    number: u64,
    occurred_at: &'a str,
    operation: &'a str,
    outcome: WireOutcome<'a>,
    raw_sha256: &'a str,
    received_at: &'a str,
    request_id: Option<String>,
    resolution: &'a str,
    resource: WireResource,
    severity: u8,
    source: WireSource,
    source_ip: Option<WireSourceIp<'a>>,
    trace_id: Option<String>,
    #[serde(borrow)]
    trail: WireTrail<'a>,
    user_agent: Option<String>,
    v: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireActor {
    id: Option<String>,
    name: Option<String>,
    r#type: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireOutcome<'a> {
    code: Option<u32>,
    reason: Option<String>,
    result: &'a str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireResource {
    id: Option<String>,
    name: Option<String>,
    region: Option<String>,
    r#type: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireSource {
    format: String,
    key: Option<String>,
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireSourceIp<'a> {
    address: &'a str,
    trust: &'a str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireTrail<'a> {
    #[serde(borrow)]
    instance: Cow<'a, str>,
    #[serde(borrow)]
    project: Cow<'a, str>,
    service: &'a str,
    #[serde(borrow)]
    tenant: Cow<'a, str>,
}

impl Wire<'_> {
    fn into_entry(self) -> Option<Entry> {
        let source_ip = match self.source_ip {
            Some(ip) => Some(SourceIp {
                address: ip.address.parse().ok()?,
                trust: Trust::from_text(ip.trust)?,
            }),
            None => None,
        };
        let service = self.trail.service.parse().ok()?;
        let event = Event {
            id: EventId::parse(self.id)?,
            trail: Trail::new(
                service,
                &self.trail.tenant,
                &self.trail.project,
                &self.trail.instance,
            )
            .ok()?,
            occurred_at: parse_time(self.occurred_at)?,
            resolution: Resolution::ALL.into_iter().find(|one| one.as_str() == self.resolution)?,
            actor: Actor {
                id: self.actor.id,
                name: self.actor.name,
                kind: ActorKind::from_text(&self.actor.r#type)?,
            },
            source_ip,
            user_agent: self.user_agent,
            action: self.action.into_owned(),
            operation: Operation::from_text(self.operation)?,
            resource: Resource {
                kind: self.resource.r#type,
                name: self.resource.name,
                id: self.resource.id,
                region: self.resource.region,
            },
            outcome: Outcome {
                kind: OutcomeKind::from_text(self.outcome.result)?,
                code: self.outcome.code,
                reason: self.outcome.reason,
            },
            severity: Severity::new(self.severity)?,
            class: Class::from_text(self.class)?,
            description: self.description,
            request_id: self.request_id,
            trace_id: self.trace_id,
            origin: Origin {
                source: self.source.name,
                format: self.source.format,
                key: self.source.key,
            },
            attributes: self.attributes,
            raw: Vec::new(),
        };
        Some(Entry {
            event,
            number: self.number,
            received_at: parse_time(self.received_at)?,
            raw_sha256: parse_hash(self.raw_sha256)?,
        })
    }
}

/// An instant in the fixed form of [`Time::text`], and in no other.
fn parse_time(text: &str) -> Option<Time> {
    let (time, _) = Time::parse_rfc3339(text).ok()?;
    (time.text() == text.as_bytes()).then_some(time)
}

fn parse_hash(text: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    let is_canonical = !text.bytes().any(|byte| byte.is_ascii_uppercase());
    (is_canonical && hex::decode_to_slice(text, &mut hash).is_ok()).then_some(hash)
}

/// RFC 8785 section 3.2.3: names in order of their UTF-16 code units, which differs from the order
/// of their UTF-8 bytes only when a character beyond the basic plane meets one of U+E000 to U+FFFF.
fn canonical_order(attributes: &BTreeMap<String, String>) -> Vec<(&String, &String)> {
    let mut members: Vec<_> = attributes.iter().collect();
    if !attributes.keys().all(|name| name.is_ascii()) {
        members.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
    }
    members
}

const _: () =
    assert!(ID_TEXT_BYTES == 36 && TIME_TEXT_BYTES == 30, "docs/format.md states these widths");
