//! The JSON encoding: <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>. Unknown
//! members are skipped; ids are in hex and bytes in base64. Names are also read as the schema
//! writes them (`scope_logs`), and as releases before 0.15 did (`instrumentationLibraryLogs`).

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::record::{Attributes, Record, Shared};
use super::value::{DEPTH_MAX, Value};
use super::{Context, EnvelopeError, Group, Scope, too_many};
use crate::json_pieces::{Document, documents, elements, position_of, same_length};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    #[serde(borrow, alias = "resource_logs")]
    resource_logs: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResourceLogs<'a> {
    #[serde(borrow)]
    resource: Option<&'a RawValue>,
    #[serde(
        borrow,
        alias = "scope_logs",
        alias = "instrumentationLibraryLogs",
        alias = "instrumentation_library_logs"
    )]
    scope_logs: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ScopeLogs<'a> {
    #[serde(borrow, alias = "instrumentationLibrary", alias = "instrumentation_library")]
    scope: Option<&'a RawValue>,
    #[serde(borrow, alias = "log_records", alias = "logs")]
    log_records: Option<&'a RawValue>,
}

/// A body, and the positions of its pieces.
struct Body<'a, 't> {
    bytes: &'a [u8],
    /// The same as text.
    text: &'t str,
    events_max: usize,
    /// How many more records there may be.
    left: usize,
}

impl<'a, 't> Body<'a, 't> {
    fn bytes_of(&self, piece: &str) -> &'a [u8] {
        &self.bytes[position_of(piece, self.text)]
    }

    /// The elements of an array that may be absent; too many for the body are an error of the body.
    fn elements(
        &self,
        array: Option<&'t RawValue>,
        max: usize,
    ) -> Result<Vec<&'t RawValue>, NotSplit> {
        let Some(array) = array.filter(|array| array.get() != "null") else {
            return Ok(Vec::new());
        };
        let (elements, is_more) = elements(array.get(), max).map_err(NotSplit::Group)?;
        if is_more { Err(NotSplit::Body(too_many(self.events_max))) } else { Ok(elements) }
    }
}

/// The error when a group cannot be split: of the group, or of the whole body.
enum NotSplit {
    Group(String),
    Body(EnvelopeError),
}

/// A request, or one a line. A line that is not a request is one rejected item.
pub(super) fn split<'a>(
    body: &'a [u8],
    context: &Context<'_>,
) -> Result<Vec<Group<'a>>, EnvelopeError> {
    let text = same_length(body);
    let events_max = context.limits.events_max;
    let is_from_file = context.position.is_some();
    let documents = documents(&text, is_from_file, events_max)?;
    let is_alone = documents.len() == 1 && !is_from_file;
    let mut body = Body { bytes: body, text: &text, events_max, left: events_max };
    let mut groups = Vec::new();
    for (position, document) in documents {
        match request(&mut body, (position.clone(), document), &mut groups) {
            Ok(()) => {}
            Err(NotSplit::Body(error)) => return Err(error),
            Err(NotSplit::Group(why)) if is_alone => return Err(EnvelopeError::Malformed(why)),
            Err(NotSplit::Group(why)) => {
                body.left = body.left.checked_sub(1).ok_or_else(|| too_many(events_max))?;
                groups.push(Group { raw: &body.bytes[position], scopes: Err(why) });
            }
        }
    }
    Ok(groups)
}

fn request<'a, 't>(
    body: &mut Body<'a, 't>,
    (_, document): Document<'t>,
    groups: &mut Vec<Group<'a>>,
) -> Result<(), NotSplit> {
    let json = document.map_err(NotSplit::Group)?.get();
    let request: Request<'t> = serde_json::from_str(json).map_err(no_request)?;
    // Traces and metrics have other members, and an object that may hold records is not skipped.
    if request.resource_logs.is_none() && json[1..].trim_start() != "}" {
        return Err(NotSplit::Group(
            "not a request of log records: it has no resourceLogs".to_owned(),
        ));
    }
    for resource_logs in body.elements(request.resource_logs, body.events_max)? {
        let raw = body.bytes_of(resource_logs.get());
        let scopes = match scopes(body, resource_logs) {
            Ok(scopes) if scopes.is_empty() => continue,
            Ok(scopes) => Ok(scopes),
            Err(NotSplit::Group(why)) => {
                body.left = body
                    .left
                    .checked_sub(1)
                    .ok_or_else(|| NotSplit::Body(too_many(body.events_max)))?;
                Err(why)
            }
            Err(of_body) => return Err(of_body),
        };
        groups.push(Group { raw, scopes });
    }
    Ok(())
}

fn no_request(error: serde_json::Error) -> NotSplit {
    NotSplit::Group(format!("not a request of log records: {error}"))
}

fn scopes<'a, 't>(
    body: &mut Body<'a, 't>,
    resource_logs: &'t RawValue,
) -> Result<Vec<Scope<'a>>, NotSplit> {
    let of_resource: ResourceLogs<'t> =
        serde_json::from_str(resource_logs.get()).map_err(no_request)?;
    let bytes_of = |piece: Option<&'t RawValue>, body: &Body<'a, 't>| -> Vec<&'a [u8]> {
        piece
            .filter(|piece| piece.get() != "null")
            .map(|piece| body.bytes_of(piece.get()))
            .into_iter()
            .collect()
    };
    let resource = bytes_of(of_resource.resource, body);
    let mut scopes = Vec::new();
    for scope_logs in body.elements(of_resource.scope_logs, body.events_max)? {
        let of_scope: ScopeLogs<'t> = serde_json::from_str(scope_logs.get()).map_err(no_request)?;
        let records = body.elements(of_scope.log_records, body.left)?;
        body.left -= records.len();
        if records.is_empty() {
            continue;
        }
        scopes.push(Scope {
            resource: resource.clone(),
            scope: bytes_of(of_scope.scope, body),
            records: records.into_iter().map(|record| body.bytes_of(record.get())).collect(),
        });
    }
    Ok(scopes)
}

#[derive(Deserialize)]
struct Resource<'a> {
    #[serde(borrow)]
    attributes: Option<Vec<KeyValue<'a>>>,
}

#[derive(Deserialize)]
struct InstrumentationScope<'a> {
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    version: Option<Cow<'a, str>>,
    #[serde(borrow)]
    attributes: Option<Vec<KeyValue<'a>>>,
}

pub(super) fn shared(scope: &Scope<'_>) -> Result<Shared, String> {
    let mut shared = Shared::default();
    for raw in &scope.resource {
        let text = shared.resource.lossy(raw.to_vec());
        let wire: Resource<'_> =
            serde_json::from_str(&text).map_err(|error| format!("not a resource: {error}"))?;
        insert_all(wire.attributes, &mut shared.resource)?;
    }
    for raw in &scope.scope {
        let text = shared.scope.lossy(raw.to_vec());
        let wire: InstrumentationScope<'_> =
            serde_json::from_str(&text).map_err(|error| format!("not a scope: {error}"))?;
        shared.scope_name = wire.name.unwrap_or_default().into_owned();
        shared.scope_version = wire.version.unwrap_or_default().into_owned();
        insert_all(wire.attributes, &mut shared.scope)?;
    }
    Ok(shared)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogRecord<'a> {
    #[serde(borrow, alias = "time_unix_nano")]
    time_unix_nano: Option<&'a RawValue>,
    #[serde(borrow, alias = "observed_time_unix_nano")]
    observed_time_unix_nano: Option<&'a RawValue>,
    #[serde(borrow, alias = "severity_number")]
    severity_number: Option<&'a RawValue>,
    #[serde(borrow, alias = "severity_text")]
    severity_text: Option<Cow<'a, str>>,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
    #[serde(borrow)]
    attributes: Option<Vec<KeyValue<'a>>>,
    #[serde(borrow, alias = "dropped_attributes_count")]
    dropped_attributes_count: Option<&'a RawValue>,
    #[serde(borrow, alias = "trace_id")]
    trace_id: Option<Cow<'a, str>>,
    #[serde(borrow, alias = "span_id")]
    span_id: Option<Cow<'a, str>>,
    #[serde(borrow, alias = "event_name")]
    event_name: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct KeyValue<'a> {
    #[serde(borrow)]
    key: Option<Cow<'a, str>>,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
}

pub(super) fn record(raw: &[u8]) -> Result<Record, String> {
    let mut attributes = Attributes::default();
    let text = attributes.lossy(raw.to_vec());
    let wire: LogRecord<'_> =
        serde_json::from_str(&text).map_err(|error| format!("not a log record: {error}"))?;
    insert_all(wire.attributes, &mut attributes)?;
    Ok(Record {
        time: unsigned("timeUnixNano", wire.time_unix_nano)?,
        observed: unsigned("observedTimeUnixNano", wire.observed_time_unix_nano)?,
        severity_number: unsigned("severityNumber", wire.severity_number)?,
        severity_text: wire.severity_text.unwrap_or_default().into_owned(),
        body: wire.body.map_or(Ok(Value::Absent), |body| value(body, 0))?,
        dropped: unsigned("droppedAttributesCount", wire.dropped_attributes_count)?,
        trace_id: wire.trace_id.unwrap_or_default().to_ascii_lowercase(),
        span_id: wire.span_id.unwrap_or_default().to_ascii_lowercase(),
        event_name: wire.event_name.unwrap_or_default().into_owned(),
        attributes,
    })
}

fn insert_all(wire: Option<Vec<KeyValue<'_>>>, attributes: &mut Attributes) -> Result<(), String> {
    for key_value in wire.unwrap_or_default() {
        let (key, value) = pair(key_value, 0)?;
        attributes.insert(key, value);
    }
    Ok(())
}

fn pair(wire: KeyValue<'_>, depth: usize) -> Result<(String, Value), String> {
    let value = wire.value.map_or(Ok(Value::Absent), |raw| value(raw, depth))?;
    Ok((wire.key.unwrap_or_default().into_owned(), value))
}

/// The digits of a number, or of a number written as a text.
fn number_text(wire: &RawValue) -> &str {
    let json = wire.get();
    json.strip_prefix('"').and_then(|json| json.strip_suffix('"')).unwrap_or(json)
}

/// 0 if there is none.
fn unsigned(name: &str, wire: Option<&RawValue>) -> Result<u64, String> {
    match wire.map(number_text) {
        None | Some("" | "null") => Ok(0),
        Some(digits) => digits.parse().map_err(|_| format!("{name} is not a whole number")),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnyValue<'a> {
    #[serde(borrow, alias = "string_value")]
    string_value: Option<Cow<'a, str>>,
    #[serde(alias = "bool_value")]
    bool_value: Option<bool>,
    #[serde(borrow, alias = "int_value")]
    int_value: Option<&'a RawValue>,
    #[serde(borrow, alias = "double_value")]
    double_value: Option<&'a RawValue>,
    #[serde(borrow, alias = "array_value")]
    array_value: Option<&'a RawValue>,
    #[serde(borrow, alias = "kvlist_value")]
    kvlist_value: Option<&'a RawValue>,
    #[serde(borrow, alias = "bytes_value")]
    bytes_value: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct ArrayValue<'a> {
    #[serde(borrow)]
    values: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct KeyValueList<'a> {
    #[serde(borrow)]
    values: Option<Vec<KeyValue<'a>>>,
}

fn value(raw: &RawValue, depth: usize) -> Result<Value, String> {
    let malformed = |error: serde_json::Error| format!("not a value: {error}");
    let Some(wire) = serde_json::from_str::<Option<AnyValue<'_>>>(raw.get()).map_err(malformed)?
    else {
        return Ok(Value::Absent);
    };
    let is_present = |raw: &&RawValue| raw.get() != "null";
    let (list, map) = (wire.array_value.filter(is_present), wire.kvlist_value.filter(is_present));
    if let Some(text) = wire.string_value {
        return Ok(Value::Text(text.into_owned()));
    }
    if let Some(value) = wire.bool_value {
        return Ok(Value::Boolean(value));
    }
    if let Some(number) = wire.int_value.filter(is_present) {
        return number_text(number)
            .parse()
            .map(Value::Integer)
            .map_err(|_| "intValue is not a whole number".to_owned());
    }
    if let Some(number) = wire.double_value.filter(is_present) {
        let number = number_text(number).parse().map_err(|_| "doubleValue is not a number")?;
        return Ok(Value::Float(number));
    }
    if let Some(text) = wire.bytes_value {
        // Bytes in another alphabet stay as they came.
        return Ok(BASE64
            .decode(&*text)
            .map_or_else(|_| Value::Text(text.into_owned()), Value::Bytes));
    }
    if depth == DEPTH_MAX && (list.is_some() || map.is_some()) {
        return Ok(Value::TooDeep);
    }
    if let Some(list) = list {
        let list: ArrayValue<'_> = serde_json::from_str(list.get()).map_err(malformed)?;
        let values = list.values.unwrap_or_default().into_iter();
        return Ok(Value::List(values.map(|raw| value(raw, depth + 1)).collect::<Result<_, _>>()?));
    }
    let Some(map) = map else { return Ok(Value::Absent) };
    let map: KeyValueList<'_> = serde_json::from_str(map.get()).map_err(malformed)?;
    let members = map.values.unwrap_or_default().into_iter();
    Ok(Value::Map(members.map(|member| pair(member, depth + 1)).collect::<Result<_, _>>()?))
}
