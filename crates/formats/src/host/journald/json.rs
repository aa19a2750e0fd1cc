//! Lines of `journalctl -o json`: one flat object, of texts, null, arrays of texts, or bytes as
//! arrays of numbers.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::{Fields, is_field_name};

/// The fields of one line.
pub(super) fn fields(line: &[u8]) -> Result<Fields, String> {
    // The record separator of `-o json-seq`.
    let line = line.strip_prefix(b"\x1e").unwrap_or(line);
    serde_json::from_slice(line).map_err(|error| format!("not a journal entry: {error}"))
}

/// The values of one field.
enum Value {
    Null,
    One(Vec<u8>),
    Many(Vec<Vec<u8>>),
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Fields, D::Error> {
        deserializer.deserialize_map(OfFields)
    }
}

struct OfFields;

impl<'de> Visitor<'de> for OfFields {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of fields")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let mut fields = Fields::default();
        while let Some(name) = map.next_key::<String>()? {
            if !is_field_name(name.as_bytes()) {
                return Err(A::Error::custom("a member is not a field"));
            }
            if fields.values.contains_key(&name) {
                return Err(A::Error::custom(format_args!("{name} appears twice")));
            }
            match map.next_value()? {
                // journalctl left it out for its length.
                Value::Null => fields.omitted.push(name),
                Value::One(value) => fields.push(&name, &value),
                Value::Many(values) => values.iter().for_each(|value| fields.push(&name, value)),
            }
        }
        Ok(fields)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(OfValue)
    }
}

struct OfValue;

impl<'de> Visitor<'de> for OfValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, null, an array of texts or an array of bytes")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::One(text.as_bytes().to_vec()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let (mut bytes, mut values) = (Vec::new(), Vec::new());
        while let Some(element) = seq.next_element()? {
            match element {
                Element::Byte(byte) => bytes.push(byte),
                Element::Value(value) => values.push(value),
            }
        }
        match (bytes.is_empty(), values.is_empty()) {
            (_, true) => Ok(Value::One(bytes)),
            (true, false) => Ok(Value::Many(values)),
            (false, false) => Err(A::Error::custom("bytes and texts are mixed")),
        }
    }
}

/// The bytes of a value, or several values.
enum Element {
    Byte(u8),
    Value(Vec<u8>),
}

impl<'de> Deserialize<'de> for Element {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Element, D::Error> {
        deserializer.deserialize_any(OfElement)
    }
}

struct OfElement;

impl<'de> Visitor<'de> for OfElement {
    type Value = Element;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a byte or an array of bytes")
    }

    fn visit_unit<E>(self) -> Result<Element, E> {
        Ok(Element::Value(Vec::new()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Element, E> {
        Ok(Element::Value(text.as_bytes().to_vec()))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Element, E> {
        u8::try_from(number).map(Element::Byte).map_err(|_| E::custom("a number is not a byte"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Element, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = seq.next_element()? {
            bytes.push(byte);
        }
        Ok(Element::Value(bytes))
    }
}
