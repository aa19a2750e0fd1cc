//! The protobuf encoding: fields of the wire format, and those of them that tell something.
//!
//! Wire format: <https://protobuf.dev/programming-guides/encoding/>. Fields that we do not know are
//! passed over.

use super::record::{Attributes, Record, Shared};
use super::value::{DEPTH_MAX, Value};
use super::{Context, EnvelopeError, Group, Scope, too_many};

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Field<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32,
}

/// The fields of a message in order, with their numbers; after an error there are no more.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Field<'a>), String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field =
            self.field().ok_or_else(|| "the message breaks off or is no protobuf".to_owned());
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Option<(u64, Field<'a>)> {
        let tag = self.varint()?;
        let field = match tag & 7 {
            0 => Field::Varint(self.varint()?),
            1 => Field::Fixed64(u64::from_le_bytes(self.take(8)?.try_into().ok()?)),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Field::Bytes(self.take(length)?)
            }
            5 => {
                self.take(4)?;
                Field::Fixed32
            }
            // Groups, which these messages never had.
            _ => return None,
        };
        (tag >> 3 != 0).then_some((tag >> 3, field))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for at in 0..10 {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f).checked_shl(7 * at)?;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}

fn another_type(number: u64) -> String {
    format!("field {number} has another type than it should")
}

/// The messages of a field that may be repeated; other fields are passed over.
fn messages(message: &[u8], wanted: u64) -> impl Iterator<Item = Result<&[u8], String>> {
    Fields(message).filter_map(move |field| match field {
        Ok((number, Field::Bytes(bytes))) if number == wanted => Some(Ok(bytes)),
        Ok((number, _)) if number == wanted => Some(Err(another_type(number))),
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    })
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

/// `ResourceLogs`: resource 1, scope_logs 2. `None` when there are more records than are left.
/// Scopes without records tell nothing.
fn scopes<'a>(raw: &'a [u8], left: &mut usize) -> Result<Option<Vec<Scope<'a>>>, String> {
    let resource: Vec<&[u8]> = messages(raw, 1).take(PIECES_MAX + 1).collect::<Result<_, _>>()?;
    check_pieces(&resource)?;
    let mut scopes = Vec::new();
    for scope_logs in messages(raw, 2) {
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
        let scope: Vec<&[u8]> =
            messages(scope_logs, 1).take(PIECES_MAX + 1).collect::<Result<_, _>>()?;
        check_pieces(&scope)?;
        scopes.push(Scope { resource: resource.clone(), scope, records });
    }
    Ok(Some(scopes))
}

/// Most pieces that a resource or scope comes in. A message that stands twice is one in two pieces;
/// no exporter does so.
const PIECES_MAX: usize = 4;

fn check_pieces(pieces: &[&[u8]]) -> Result<(), String> {
    if pieces.len() > PIECES_MAX {
        Err("a resource or scope in too many pieces".to_owned())
    } else {
        Ok(())
    }
}

/// `Resource`: attributes 1. `InstrumentationScope`: name 1, version 2, attributes 3.
pub(super) fn shared(scope: &Scope<'_>) -> Result<Shared, String> {
    let mut shared = Shared::default();
    for key_value in scope.resource.iter().flat_map(|piece| messages(piece, 1)) {
        attribute(key_value?, &mut shared.resource)?;
    }
    for field in scope.scope.iter().flat_map(|piece| Fields(piece)) {
        match field? {
            (1, Field::Bytes(name)) => shared.scope_name = shared.resource.lossy(name),
            (2, Field::Bytes(version)) => shared.scope_version = shared.resource.lossy(version),
            (3, Field::Bytes(key_value)) => attribute(key_value, &mut shared.scope)?,
            (number @ 1..=3, _) => return Err(another_type(number)),
            _ => {}
        }
    }
    Ok(shared)
}

/// `LogRecord`.
pub(super) fn record(raw: &[u8]) -> Result<Record, String> {
    let mut record = Record::default();
    for field in Fields(raw) {
        match field? {
            (1, Field::Fixed64(time)) => record.time = time,
            (2, Field::Varint(number)) => record.severity_number = number,
            (3, Field::Bytes(text)) => record.severity_text = record.attributes.lossy(text),
            (5, Field::Bytes(body)) => record.body = value(body, 0, &mut record.attributes)?,
            (6, Field::Bytes(key_value)) => attribute(key_value, &mut record.attributes)?,
            (7, Field::Varint(count)) => record.dropped = count,
            (9, Field::Bytes(id)) => record.trace_id = hex(id),
            (10, Field::Bytes(id)) => record.span_id = hex(id),
            (11, Field::Fixed64(time)) => record.observed = time,
            (12, Field::Bytes(name)) => record.event_name = record.attributes.lossy(name),
            (number @ (1..=3 | 5..=7 | 9..=12), _) => return Err(another_type(number)),
            _ => {}
        }
    }
    Ok(record)
}

/// `KeyValue`: key 1, value 2.
fn key_value(raw: &[u8], depth: usize, notes: &mut Attributes) -> Result<(String, Value), String> {
    let (mut key, mut told) = (String::new(), Value::Absent);
    for field in Fields(raw) {
        match field? {
            (1, Field::Bytes(text)) => key = notes.lossy(text),
            (2, Field::Bytes(raw)) => told = value(raw, depth, notes)?,
            (number @ 1..=2, _) => return Err(another_type(number)),
            _ => {}
        }
    }
    Ok((key, told))
}

fn attribute(raw: &[u8], attributes: &mut Attributes) -> Result<(), String> {
    let (key, value) = key_value(raw, 0, attributes)?;
    attributes.insert(key, value)
}

/// `AnyValue`: string 1, bool 2, int 3, double 4, array 5, kvlist 6, bytes 7; of several the last.
fn value(raw: &[u8], depth: usize, notes: &mut Attributes) -> Result<Value, String> {
    let mut told = Value::Absent;
    for field in Fields(raw) {
        told = match field? {
            (1, Field::Bytes(text)) => Value::Text(notes.lossy(text)),
            (2, Field::Varint(number)) => Value::Boolean(number != 0),
            (3, Field::Varint(number)) => Value::Integer(number.cast_signed()),
            (4, Field::Fixed64(bits)) => Value::Float(f64::from_bits(bits)),
            (5 | 6, Field::Bytes(_)) if depth == DEPTH_MAX => Value::TooDeep,
            // `ArrayValue`: values 1. `KeyValueList`: values 1.
            (5, Field::Bytes(list)) => Value::List(
                messages(list, 1)
                    .map(|raw| value(raw?, depth + 1, notes))
                    .collect::<Result<_, _>>()?,
            ),
            (6, Field::Bytes(map)) => Value::Map(
                messages(map, 1)
                    .map(|raw| key_value(raw?, depth + 1, notes))
                    .collect::<Result<_, _>>()?,
            ),
            (7, Field::Bytes(bytes)) => Value::Bytes(bytes.to_vec()),
            (number @ 1..=7, _) => return Err(another_type(number)),
            _ => told,
        };
    }
    Ok(told)
}

fn hex(id: &[u8]) -> String {
    let mut out = Vec::new();
    event::json::write_hex(&mut out, id);
    String::from_utf8(out).expect("hex digits are ASCII")
}

/// `ExportLogsServiceResponse`: partial_success 1, of which error_message is 2.
pub(super) fn warning(text: &str) -> Vec<u8> {
    let message = bytes_field(2, text.as_bytes());
    bytes_field(1, &message)
}

fn bytes_field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length >= 0x80 {
        out.push(length.to_le_bytes()[0] | 0x80);
        length >>= 7;
    }
    out.push(length.to_le_bytes()[0]);
    out.extend_from_slice(bytes);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_until_one_is_broken() {
        let read = |bytes: &'static [u8]| Fields(bytes).collect::<Vec<_>>();
        assert_eq!(read(b""), []);
        assert_eq!(
            read(b"\x08\x96\x01\x11\x01\0\0\0\0\0\0\0\x1a\x02hi\x25\0\0\0\0"),
            [
                Ok((1, Field::Varint(150))),
                Ok((2, Field::Fixed64(1))),
                Ok((3, Field::Bytes(b"hi"))),
                Ok((4, Field::Fixed32)),
            ]
        );
        for broken in [
            &b"\x08"[..],
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x0a\x05hi",
            b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x11\x01",
            b"\x25\x01",
            b"\x0b",
            b"\x0c",
            b"\x00\x00",
            b"\xff",
        ] {
            let fields = read(broken);
            assert!(fields.len() == 1 && fields[0].is_err(), "{broken:?}: {fields:?}");
        }
    }

    #[test]
    fn a_field_is_as_long_as_it_says() {
        for length in [0, 1, 127, 128, 300, 70_000] {
            let bytes = vec![7; length];
            let field = bytes_field(2, &bytes);
            assert_eq!(Fields(&field).collect::<Vec<_>>(), [Ok((2, Field::Bytes(&bytes)))]);
        }
    }
}
