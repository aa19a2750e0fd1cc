//! Answers, as they are sent and read: `docs/api/events.md` describes each member.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::Row;

/// A page of events.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Events {
    /// In the order that was question for.
    pub events: Vec<Event>,
    /// How many match, exactly, whatever the page.
    pub total: u64,
    /// Matching events of Daybook's own trails that were left out; `own=true` takes them in.
    #[serde(default)]
    pub own_left_out: u64,
    /// Why nothing matches, for people, where one condition is the reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why_empty: Option<String>,
    /// How many events the log had for this answer.
    pub tree_size: u64,
    /// The cursor of the next page; null on the last.
    pub next: Option<String>,
}

/// An event of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Position in the log, from 0.
    pub index: u64,
    /// Daybook's id of it, a UUID of version 7.
    pub id: String,
    /// SERVICE/TENANT/PROJECT/INSTANCE.
    pub trail: String,
    /// Position in its trail, from 1, without gaps.
    pub number: u64,
    /// When it happened, by the source's clock: RFC 3339, UTC, nine digits of fraction.
    pub occurred_at: String,
    /// How fine that clock reading was.
    pub resolution: String,
    /// When Daybook received it.
    pub received_at: String,
    /// What was done, in Daybook's words.
    pub operation: String,
    /// What was done, in the source's words.
    pub action: String,
    /// operation or security.
    pub class: String,
    /// 1 warning, 2 minor, 3 major, 4 critical.
    pub severity: u8,
    /// How it ended.
    pub outcome: Outcome,
    /// Who did it.
    pub actor: Actor,
    /// To what it was done.
    pub resource: Resource,
    /// From which address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_ip: Option<SourceIp>,
    /// With which client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// One line for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The source's id of the request that caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The distributed trace it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// Through what it came.
    pub source: Source,
    /// What the source said beyond this.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

/// How an event ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Outcome {
    /// success, failure or unknown.
    pub result: String,
    /// The source's status or error code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u32>,
    /// The source's words for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Who did it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Actor {
    /// user, robot, service, anonymous, system or unknown.
    pub r#type: String,
    /// The name people know the actor by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The source's id of the actor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// To what it was done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Resource {
    /// artifact, repository, table, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#type: Option<String>,
    /// The name people know it by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The source's id of the resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The region it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
}

/// An address and who vouches for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SourceIp {
    /// IPv4 or IPv6, without port.
    pub address: String,
    /// peer or forwarded.
    pub trust: String,
}

/// Through what an event came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Source {
    /// The configured source.
    pub name: String,
    /// The format it was parsed as.
    pub format: String,
}

impl From<Row> for Event {
    fn from(row: Row) -> Event {
        let Row { index, entry } = row;
        let event = entry.event;
        Event {
            index,
            id: String::from_utf8_lossy(&event.id.text()).into_owned(),
            trail: event.trail.to_string(),
            number: entry.number,
            occurred_at: event.occurred_at.to_string(),
            resolution: event.resolution.as_str().to_owned(),
            received_at: entry.received_at.to_string(),
            operation: event.operation.as_str().to_owned(),
            action: event.action,
            class: event.class.as_str().to_owned(),
            severity: event.severity.level(),
            outcome: Outcome {
                result: event.outcome.kind.as_str().to_owned(),
                code: event.outcome.code,
                reason: event.outcome.reason,
            },
            actor: Actor {
                r#type: event.actor.kind.as_str().to_owned(),
                name: event.actor.name,
                id: event.actor.id,
            },
            resource: Resource {
                r#type: event.resource.kind,
                name: event.resource.name,
                id: event.resource.id,
                region: event.resource.region,
            },
            source_ip: event.source_ip.map(|ip| SourceIp {
                address: ip.address.to_string(),
                trust: ip.trust.as_str().to_owned(),
            }),
            user_agent: event.user_agent,
            description: event.description,
            request_id: event.request_id,
            trace_id: event.trace_id,
            source: Source { name: event.origin.source, format: event.origin.format },
            attributes: event.attributes,
        }
    }
}

/// One event, whole.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct EventDetail {
    pub event: Event,
    /// The canonical entry, byte for byte.
    pub entry: String,
    /// SHA-256 of the entry in hex: the event's leaf in the log's tree.
    pub digest: String,
    /// The bytes as received.
    pub raw: String,
    /// How `raw` is written.
    pub raw_encoding: RawEncoding,
    /// Where its proof is.
    pub proof: String,
    /// How many events the log had for this answer.
    pub tree_size: u64,
    /// What is around it.
    pub related: Related,
}

/// How bytes are written as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RawEncoding {
    #[serde(rename = "utf-8")]
    Utf8,
    #[serde(rename = "base64")]
    Base64,
}

/// What is around an event. What it has no value for is left out.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Related {
    /// What the same actor did around that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<RelatedSearch>,
    /// The history of the same resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<RelatedSearch>,
    /// The events of the same request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestEvents>,
}

/// A search that finds others.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct RelatedSearch {
    /// For `q`.
    pub search: String,
    /// How many it finds now, the event itself too.
    pub total: u64,
}

/// The events of a request, oldest first.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct RequestEvents {
    pub events: Vec<Event>,
    /// Whether all events around that time were looked at.
    pub is_complete: bool,
}

/// How many events there are per bucket of time.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Histogram {
    /// The first instant that counts; null when nothing matches and no window was question for.
    pub from: Option<String>,
    /// The first instant that counts no more.
    pub until: Option<String>,
    /// How long a bucket is.
    pub interval_s: u64,
    /// Oldest first, without gaps.
    pub buckets: Vec<Bucket>,
    /// The sum of all buckets.
    pub total: u64,
    /// Matching events of Daybook's own trails that were left out; `own=true` takes them in.
    #[serde(default)]
    pub own_left_out: u64,
    /// How many events the log had for this answer.
    pub tree_size: u64,
}

/// The events from an instant on and before the next bucket, by outcome.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Bucket {
    pub start: String,
    pub success: u64,
    pub failure: u64,
    pub unknown: u64,
}

/// The values that most events have.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Facets {
    /// By field.
    pub facets: BTreeMap<String, Facet>,
    /// How many events match, exactly.
    pub total: u64,
    /// Matching events of Daybook's own trails that were left out; `own=true` takes them in.
    #[serde(default)]
    pub own_left_out: u64,
    /// How many events the log had for this answer.
    pub tree_size: u64,
}

/// The values of a field.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Facet {
    /// Most first, equally many by their bytes.
    pub values: Vec<Count>,
    /// Events that have another value.
    pub others: u64,
    /// Events that have no value.
    pub without: u64,
}

/// A value and how many events have it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Count {
    pub value: String,
    pub count: u64,
}

/// Values with a beginning.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Values {
    /// Most frequent first.
    pub values: Vec<ValueCount>,
    /// How many events the log had for this answer.
    pub tree_size: u64,
}

/// A value of a field, and how many matching events have it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ValueCount {
    pub field: String,
    pub value: String,
    pub count: u64,
}

/// A page of trails, in order of their names.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Trails {
    pub trails: Vec<TrailCount>,
    /// How many trails there are.
    pub total: u64,
    /// How many events the log had for this answer.
    pub tree_size: u64,
}

/// What a trail holds of what was question for.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct TrailCount {
    pub trail: String,
    pub events: u64,
    /// When the first of them happened; null when there is none.
    pub first_at: Option<String>,
    /// When the last of them happened.
    pub last_at: Option<String>,
}
