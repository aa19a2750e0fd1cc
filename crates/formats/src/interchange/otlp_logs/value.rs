//! Values of attributes and bodies (`AnyValue`), and their form as text.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use event::json::write_string;

/// Deepest nesting of lists and maps that is shown. The audited user may decide how deep a body
/// nests, so depth is no reason to reject a record; its bytes hold all of it.
pub(super) const DEPTH_MAX: usize = 16;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// None, or of an unknown kind.
    Absent,
    Text(String),
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Bytes(Vec<u8>),
    List(Vec<Value>),
    Map(Vec<(String, Value)>),
    /// It nests deeper than [`DEPTH_MAX`].
    TooDeep,
}

impl Value {
    /// A text as it is, a number or boolean as in JSON, bytes in base64, lists and maps as JSON.
    pub(super) fn text(self) -> Option<String> {
        match self {
            Value::Absent => None,
            Value::Text(text) => Some(text),
            Value::Bytes(bytes) => Some(BASE64.encode(bytes)),
            Value::Float(number) if !number.is_finite() => Some(number.to_string()),
            other => {
                let mut json = Vec::new();
                other.write_json(&mut json);
                Some(String::from_utf8(json).expect("JSON is written from texts"))
            }
        }
    }

    fn write_json(&self, out: &mut Vec<u8>) {
        match self {
            Value::Absent => out.extend(b"null"),
            Value::Text(text) => write_string(out, text),
            Value::Boolean(value) => out.extend(value.to_string().bytes()),
            Value::Integer(number) => out.extend(number.to_string().bytes()),
            Value::Float(number) if number.is_finite() => out.extend(format!("{number:?}").bytes()),
            Value::Float(number) => write_string(out, &number.to_string()),
            Value::Bytes(bytes) => write_string(out, &BASE64.encode(bytes)),
            Value::TooDeep => out.extend("\"…\"".bytes()),
            Value::List(values) => {
                out.push(b'[');
                for (at, value) in values.iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    value.write_json(out);
                }
                out.push(b']');
            }
            Value::Map(members) => {
                out.push(b'{');
                for (at, (name, value)) in members.iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    write_string(out, name);
                    out.push(b':');
                    value.write_json(out);
                }
                out.push(b'}');
            }
        }
    }

    pub(super) fn is_too_deep(&self) -> bool {
        match self {
            Value::TooDeep => true,
            Value::List(values) => values.iter().any(Value::is_too_deep),
            Value::Map(members) => members.iter().any(|(_, value)| value.is_too_deep()),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_one_text() {
        let list =
            Value::List(vec![Value::Text("a\"".to_owned()), Value::Absent, Value::Float(3.0)]);
        let map = Value::Map(vec![
            ("k".to_owned(), list.clone()),
            ("b".to_owned(), Value::Bytes(vec![0, 255])),
        ]);
        for (value, expected) in [
            (Value::Absent, None),
            (Value::Text(String::new()), Some("")),
            (Value::Text("a\"".to_owned()), Some("a\"")),
            (Value::Boolean(false), Some("false")),
            (Value::Integer(i64::MIN), Some("-9223372036854775808")),
            (Value::Float(0.5), Some("0.5")),
            (Value::Float(f64::NAN), Some("NaN")),
            (Value::Float(f64::NEG_INFINITY), Some("-inf")),
            (Value::Bytes(vec![0, 255]), Some("AP8=")),
            (list, Some(r#"["a\"",null,3.0]"#)),
            (map, Some(r#"{"k":["a\"",null,3.0],"b":"AP8="}"#)),
            (Value::List(vec![Value::TooDeep]), Some("[\"…\"]")),
        ] {
            assert_eq!(value.text().as_deref(), expected);
        }
    }
}
