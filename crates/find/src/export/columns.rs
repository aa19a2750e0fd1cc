//! What CSV and Parquet have of an event: flat columns. Where a segment's table has a column, these
//! have the same name and meaning.

use std::borrow::Cow;
use std::collections::BTreeMap;

use event::Time;
use event::json::Members;
use store::Row;

use crate::answer;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number below 2^63.
    Long,
    /// An instant.
    Instant,
    /// A number below 2^32, or none.
    Code,
    /// A text.
    Text,
    /// A text, or none.
    Maybe,
}

/// The value of one column in one row.
pub enum Value<'a> {
    Long(u64),
    Instant(Time),
    Code(Option<u32>),
    Text(Option<Cow<'a, str>>),
}

/// Name and kind of each column, in order.
pub const COLUMNS: [(&str, Kind); 33] = [
    ("index", Kind::Long),
    ("id", Kind::Text),
    ("service", Kind::Text),
    ("tenant", Kind::Text),
    ("project", Kind::Text),
    ("instance", Kind::Text),
    ("number", Kind::Long),
    ("occurred_at", Kind::Instant),
    ("resolution", Kind::Text),
    ("received_at", Kind::Instant),
    ("operation", Kind::Text),
    ("action", Kind::Text),
    ("class", Kind::Text),
    ("severity", Kind::Code),
    ("outcome", Kind::Text),
    ("outcome_code", Kind::Code),
    ("outcome_reason", Kind::Maybe),
    ("actor_type", Kind::Text),
    ("actor_name", Kind::Maybe),
    ("actor_id", Kind::Maybe),
    ("resource_type", Kind::Maybe),
    ("resource_name", Kind::Maybe),
    ("resource_id", Kind::Maybe),
    ("resource_region", Kind::Maybe),
    ("source_ip", Kind::Maybe),
    ("source_ip_trust", Kind::Maybe),
    ("user_agent", Kind::Maybe),
    ("description", Kind::Maybe),
    ("request_id", Kind::Maybe),
    ("trace_id", Kind::Maybe),
    ("source", Kind::Text),
    ("source_format", Kind::Text),
    ("attributes", Kind::Maybe),
];

/// The values of a row, in order of [`COLUMNS`].
pub fn values(row: &Row) -> [Value<'_>; COLUMNS.len()] {
    let event = &row.entry.event;
    let text = |text| Value::Text(Some(Cow::Borrowed(text)));
    fn maybe(text: Option<&String>) -> Value<'_> {
        Value::Text(text.map(|text| Cow::Borrowed(text.as_str())))
    }
    let owned = |text: Option<String>| Value::Text(text.map(Cow::Owned));
    [
        Value::Long(row.index),
        owned(Some(event.id.to_string())),
        text(event.trail.service().as_str()),
        text(event.trail.tenant()),
        text(event.trail.project()),
        text(event.trail.instance()),
        Value::Long(row.entry.number),
        Value::Instant(event.occurred_at),
        text(event.resolution.as_str()),
        Value::Instant(row.entry.received_at),
        text(event.operation.as_str()),
        text(&event.action),
        text(event.class.as_str()),
        Value::Code(Some(u32::from(event.severity.level()))),
        text(event.outcome.kind.as_str()),
        Value::Code(event.outcome.code),
        maybe(event.outcome.reason.as_ref()),
        text(event.actor.kind.as_str()),
        maybe(event.actor.name.as_ref()),
        maybe(event.actor.id.as_ref()),
        maybe(event.resource.kind.as_ref()),
        maybe(event.resource.name.as_ref()),
        maybe(event.resource.id.as_ref()),
        maybe(event.resource.region.as_ref()),
        owned(event.source_ip.as_ref().map(|ip| ip.address.to_string())),
        Value::Text(event.source_ip.as_ref().map(|ip| Cow::Borrowed(ip.trust.as_str()))),
        maybe(event.user_agent.as_ref()),
        maybe(event.description.as_ref()),
        maybe(event.request_id.as_ref()),
        maybe(event.trace_id.as_ref()),
        text(&event.origin.source),
        text(&event.origin.format),
        owned(attributes(&event.attributes)),
    ]
}

/// The same of an event as answers have it; a time that cannot be read is a text.
pub fn values_of(event: &answer::Event) -> [Value<'_>; COLUMNS.len()] {
    let mut trail = event.trail.splitn(4, '/');
    let mut part = || Value::Text(Some(Cow::Borrowed(trail.next().unwrap_or_default())));
    let text = |text| Value::Text(Some(Cow::Borrowed(text)));
    fn maybe(text: Option<&String>) -> Value<'_> {
        Value::Text(text.map(|text| Cow::Borrowed(text.as_str())))
    }
    let at = |time| {
        Time::parse_rfc3339(time).map_or_else(|_| text(time), |(time, _)| Value::Instant(time))
    };
    let ip = event.source_ip.as_ref();
    [
        Value::Long(event.index),
        text(&event.id),
        part(),
        part(),
        part(),
        part(),
        Value::Long(event.number),
        at(&event.occurred_at),
        text(&event.resolution),
        at(&event.received_at),
        text(&event.operation),
        text(&event.action),
        text(&event.class),
        Value::Code(Some(u32::from(event.severity))),
        text(&event.outcome.result),
        Value::Code(event.outcome.code),
        maybe(event.outcome.reason.as_ref()),
        text(&event.actor.r#type),
        maybe(event.actor.name.as_ref()),
        maybe(event.actor.id.as_ref()),
        maybe(event.resource.r#type.as_ref()),
        maybe(event.resource.name.as_ref()),
        maybe(event.resource.id.as_ref()),
        maybe(event.resource.region.as_ref()),
        maybe(ip.map(|ip| &ip.address)),
        maybe(ip.map(|ip| &ip.trust)),
        maybe(event.user_agent.as_ref()),
        maybe(event.description.as_ref()),
        maybe(event.request_id.as_ref()),
        maybe(event.trace_id.as_ref()),
        text(&event.source.name),
        text(&event.source.format),
        Value::Text(attributes(&event.attributes).map(Cow::Owned)),
    ]
}

/// All attributes as one JSON object; `None` when there are none.
fn attributes(attributes: &BTreeMap<String, String>) -> Option<String> {
    if attributes.is_empty() {
        return None;
    }
    let mut object = Members::begin(Vec::new());
    attributes.iter().for_each(|(name, value)| object.text(name, value));
    Some(String::from_utf8(object.end()).expect("JSON of texts is text"))
}
