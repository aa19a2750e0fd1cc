//! The protobuf encoding of OTLP logs, read by `prost`.
//!
//! The messages are those of
//! <https://github.com/open-telemetry/opentelemetry-proto/tree/main/opentelemetry/proto>
//! (`logs/v1/logs.proto`, `common/v1/common.proto`, `resource/v1/resource.proto`). They are
//! declared here rather than taken from the crate `opentelemetry-proto`, which brings
//! `opentelemetry` and `opentelemetry_sdk`, has texts as `String`, and would build the whole
//! request as a tree. On the wire they are the same; in memory three things differ:
//! - The request is split into slices, one for each record, since the bytes of a record are stored
//!   with its event and a damaged record is rejected alone. Splitting allocates nothing for
//!   messages without records: two bytes of the body would otherwise cost 32 in memory.
//! - A text is declared as bytes. Invalid UTF-8 is replaced and marked; `prost` would refuse the
//!   record.
//! - A list or map in a value is declared as bytes and decoded level by level, down to
//!   [`DEPTH_MAX`]. `prost` refuses what nests deeper than 100.
//!
//! Numbers have the widest type of their wire form, so that none is truncated. Unknown fields are
//! skipped.

use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use prost::{DecodeError, Message, Oneof};

use super::record::{Attributes, Record, Shared};
use super::value::{DEPTH_MAX, Value};
use super::{Context, EnvelopeError, Group, Scope, too_many};

#[derive(Clone, PartialEq, Message)]
struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct InstrumentationScope {
    #[prost(bytes = "vec", optional, tag = "1")]
    name: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "2")]
    version: Option<Vec<u8>>,
    #[prost(message, repeated, tag = "3")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct LogRecord {
    #[prost(fixed64, tag = "1")]
    time_unix_nano: u64,
    #[prost(fixed64, tag = "11")]
    observed_time_unix_nano: u64,
    #[prost(uint64, tag = "2")]
    severity_number: u64,
    #[prost(bytes = "vec", tag = "3")]
    severity_text: Vec<u8>,
    #[prost(message, optional, tag = "5")]
    body: Option<AnyValue>,
    #[prost(message, repeated, tag = "6")]
    attributes: Vec<KeyValue>,
    #[prost(uint64, tag = "7")]
    dropped_attributes_count: u64,
    #[prost(bytes = "vec", tag = "9")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "10")]
    span_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "12")]
    event_name: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct AnyValue {
    #[prost(oneof = "Variant", tags = "1, 2, 3, 4, 5, 6, 7")]
    value: Option<Variant>,
}

#[derive(Clone, PartialEq, Oneof)]
enum Variant {
    #[prost(bytes = "vec", tag = "1")]
    Text(Vec<u8>),
    #[prost(bool, tag = "2")]
    Boolean(bool),
    #[prost(int64, tag = "3")]
    Integer(i64),
    #[prost(double, tag = "4")]
    Float(f64),
    /// An `ArrayValue`, not decoded yet.
    #[prost(bytes = "vec", tag = "5")]
    List(Vec<u8>),
    /// A `KeyValueList`, not decoded yet.
    #[prost(bytes = "vec", tag = "6")]
    Map(Vec<u8>),
    #[prost(bytes = "vec", tag = "7")]
    Bytes(Vec<u8>),
}

#[derive(Clone, PartialEq, Message)]
struct ArrayValue {
    #[prost(message, repeated, tag = "1")]
    values: Vec<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValueList {
    #[prost(message, repeated, tag = "1")]
    values: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct ExportLogsServiceResponse {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<ExportLogsPartialSuccess>,
}

#[derive(Clone, PartialEq, Message)]
struct ExportLogsPartialSuccess {
    #[prost(string, tag = "2")]
    error_message: String,
}

/// The embedded messages in the field `number` of a message, as slices of it. Ends after an error.
struct Messages<'a> {
    rest: &'a [u8],
    number: u32,
}

fn messages(message: &[u8], number: u32) -> Messages<'_> {
    Messages { rest: message, number }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<&'a [u8], String>;

    fn next(&mut self) -> Option<Self::Item> {
        let message = self.message().transpose();
        if matches!(message, Some(Err(_))) {
            self.rest = &[];
        }
        message
    }
}

impl<'a> Messages<'a> {
    fn message(&mut self) -> Result<Option<&'a [u8]>, String> {
        while !self.rest.is_empty() {
            let (number, wire_type) = decode_key(&mut self.rest).map_err(no_protobuf)?;
            if number != self.number {
                skip_field(wire_type, number, &mut self.rest, DecodeContext::default())
                    .map_err(no_protobuf)?;
                continue;
            }
            if wire_type != WireType::LengthDelimited {
                return Err(format!("field {number} has another type than it should"));
            }
            let length = decode_varint(&mut self.rest).map_err(no_protobuf)?;
            let parts = usize::try_from(length).ok().and_then(|at| self.rest.split_at_checked(at));
            let (message, rest) = parts.ok_or("the message breaks off and is not protobuf")?;
            self.rest = rest;
            return Ok(Some(message));
        }
        Ok(None)
    }
}

fn no_protobuf(error: DecodeError) -> String {
    format!("the message is not protobuf of OTLP: {error}")
}

fn decode<T: Message + Default>(raw: &[u8]) -> Result<T, String> {
    T::decode(raw).map_err(no_protobuf)
}

/// `ExportLogsServiceRequest`: resource_logs 1.
pub(super) fn split<'a>(
    body: &'a [u8],
    context: &Context<'_>,
) -> Result<Vec<Group<'a>>, EnvelopeError> {
    let events_max = context.limits.events_max;
    let (mut groups, mut left) = (Vec::new(), events_max);
    for raw in messages(body, 1) {
        let raw = raw.map_err(EnvelopeError::Malformed)?;
        let scopes = match scopes(raw, &mut left) {
            Ok(None) => return Err(too_many(events_max)),
            Ok(Some(scopes)) if scopes.is_empty() => continue,
            Ok(Some(scopes)) => Ok(scopes),
            Err(error) => {
                left = left.checked_sub(1).ok_or_else(|| too_many(events_max))?;
                Err(error)
            }
        };
        groups.push(Group { raw, scopes });
    }
    Ok(groups)
}

/// Number of `instrumentation_library_logs`, which releases from 0.15 to 0.18 sent.
const OLDER_SCOPE_LOGS: u32 = 1000;

/// `ResourceLogs`: resource 1, scope_logs 2. `None` if there are more records than `left`. Scopes
/// without records are left out.
fn scopes<'a>(raw: &'a [u8], left: &mut usize) -> Result<Option<Vec<Scope<'a>>>, String> {
    let resource = pieces(raw)?;
    let mut scopes = Vec::new();
    for scope_logs in messages(raw, 2).chain(messages(raw, OLDER_SCOPE_LOGS)) {
        // `ScopeLogs`: scope 1, log_records 2.
        let scope_logs = scope_logs?;
        let mut records = Vec::new();
        for record in messages(scope_logs, 2) {
            if *left == 0 {
                return Ok(None);
            }
            *left -= 1;
            records.push(record?);
        }
        if records.is_empty() {
            continue;
        }
        scopes.push(Scope { resource: resource.clone(), scope: pieces(scope_logs)?, records });
    }
    Ok(Some(scopes))
}

/// Most pieces of a resource or scope. In protobuf a message that stands twice is one message in
/// two pieces; no exporter sends it so.
const PIECES_MAX: usize = 4;

/// The pieces of the resource or scope, which is field 1 in either.
fn pieces(message: &[u8]) -> Result<Vec<&[u8]>, String> {
    let pieces: Vec<&[u8]> = messages(message, 1).take(PIECES_MAX + 1).collect::<Result<_, _>>()?;
    if pieces.len() > PIECES_MAX {
        return Err("a resource or scope in too many pieces".to_owned());
    }
    Ok(pieces)
}

/// Reads the attributes that the records of a scope share.
pub(super) fn shared(scope: &Scope<'_>) -> Result<Shared, String> {
    let mut shared = Shared::default();
    for piece in &scope.resource {
        let resource: Resource = decode(piece)?;
        insert_all(resource.attributes, &mut shared.resource)?;
    }
    for piece in &scope.scope {
        let InstrumentationScope { name, version, attributes } = decode(piece)?;
        if let Some(name) = name {
            shared.scope_name = shared.resource.lossy(name);
        }
        if let Some(version) = version {
            shared.scope_version = shared.resource.lossy(version);
        }
        insert_all(attributes, &mut shared.scope)?;
    }
    Ok(shared)
}

/// Reads one `LogRecord`.
pub(super) fn record(raw: &[u8]) -> Result<Record, String> {
    let wire: LogRecord = decode(raw)?;
    let mut attributes = Attributes::default();
    let body = match wire.body {
        Some(body) => value(body, 0, &mut attributes)?,
        None => Value::Absent,
    };
    insert_all(wire.attributes, &mut attributes)?;
    Ok(Record {
        time: wire.time_unix_nano,
        observed: wire.observed_time_unix_nano,
        severity_number: wire.severity_number,
        severity_text: attributes.lossy(wire.severity_text),
        body,
        dropped: wire.dropped_attributes_count,
        trace_id: hex::encode(wire.trace_id),
        span_id: hex::encode(wire.span_id),
        event_name: attributes.lossy(wire.event_name),
        attributes,
    })
}

fn insert_all(pairs: Vec<KeyValue>, attributes: &mut Attributes) -> Result<(), String> {
    for pair in pairs {
        let (key, value) = key_value(pair, 0, attributes)?;
        attributes.insert(key, value);
    }
    Ok(())
}

fn key_value(
    pair: KeyValue,
    depth: usize,
    attributes: &mut Attributes,
) -> Result<(String, Value), String> {
    let key = attributes.lossy(pair.key);
    match pair.value {
        Some(any) => Ok((key, value(any, depth, attributes)?)),
        None => Ok((key, Value::Absent)),
    }
}

/// Decodes the lists and maps of a value that stands `depth` levels deep.
fn value(any: AnyValue, depth: usize, attributes: &mut Attributes) -> Result<Value, String> {
    Ok(match any.value {
        None => Value::Absent,
        Some(Variant::Text(text)) => Value::Text(attributes.lossy(text)),
        Some(Variant::Boolean(value)) => Value::Boolean(value),
        Some(Variant::Integer(number)) => Value::Integer(number),
        Some(Variant::Float(number)) => Value::Float(number),
        Some(Variant::Bytes(bytes)) => Value::Bytes(bytes),
        Some(Variant::List(_) | Variant::Map(_)) if depth == DEPTH_MAX => Value::TooDeep,
        Some(Variant::List(raw)) => Value::List(
            decode::<ArrayValue>(&raw)?
                .values
                .into_iter()
                .map(|any| value(any, depth + 1, attributes))
                .collect::<Result<_, _>>()?,
        ),
        Some(Variant::Map(raw)) => Value::Map(
            decode::<KeyValueList>(&raw)?
                .values
                .into_iter()
                .map(|pair| key_value(pair, depth + 1, attributes))
                .collect::<Result<_, _>>()?,
        ),
    })
}

/// `ExportLogsServiceResponse` with a warning.
pub(super) fn warning(text: String) -> Vec<u8> {
    let partial_success = Some(ExportLogsPartialSuccess { error_message: text });
    ExportLogsServiceResponse { partial_success }.encode_to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_until_a_field_is_broken() {
        let read = |bytes: &'static [u8]| messages(bytes, 3).collect::<Vec<_>>();
        assert_eq!(read(b""), []);
        assert_eq!(
            read(b"\x08\x96\x01\x11\x01\0\0\0\0\0\0\0\x1a\x02hi\x25\0\0\0\0\x1a\0"),
            [Ok(&b"hi"[..]), Ok(b"")]
        );
        for broken in [
            &b"\x08"[..],
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x18\x01",
            b"\x1a\x05hi",
            b"\x1a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x0a\x05hi",
            b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x11\x01",
            b"\x25\x01",
            b"\x0b",
            b"\x0c",
            b"\x00\x00",
            b"\xff",
        ] {
            let found = read(broken);
            assert!(found.len() == 1 && found[0].is_err(), "{broken:?}: {found:?}");
        }
    }
}
