//! JSON at the edges: strict reading, which refuses what most parsers accept, and canonical
//! writing.
//!
//! Reading: RFC 8259 leaves duplicate names and depth open and `serde_json` takes the last
//! duplicate; an audit log must not choose between two values silently. `serde_json` still does the
//! parsing; [`Strict`] is a visitor of it. Writing: RFC 8785 (JSON Canonicalization Scheme), the
//! parts we need: strings, members in order of UTF-16 code units, and integers below 2^53.
//!
//! Texts are written by hand: `serde_json` writes the same bytes and takes as long for texts full
//! of quotes, but 4 to 10 times as long for texts of 70 bytes and more that need no escapes, which
//! most are (2.0 GB/s against 9 to 21 GB/s, best of seven runs on one core).

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// Deepest nesting of arrays and objects in a document; real audit events stay below ten.
pub const DEPTH_MAX: usize = 32;
/// Most members of one object.
pub const MEMBERS_MAX: usize = 512;
/// Longest member name, in bytes.
pub const NAME_BYTES_MAX: usize = 256;
/// Longest string, in bytes: room for a large SQL statement.
pub const STRING_BYTES_MAX: usize = 128 * 1024;
/// Most elements of one array.
pub const ELEMENTS_MAX: usize = 10_000;

/// Whether nesting outside strings exceeds [`DEPTH_MAX`]. Linear, without recursion; the text need
/// not be valid JSON.
pub fn is_too_deep(text: &[u8]) -> bool {
    // Most events have fewer brackets altogether, which is quicker to see.
    if text.iter().filter(|&&byte| byte == b'[' || byte == b'{').count() <= DEPTH_MAX {
        return false;
    }
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for &byte in text {
        if in_string {
            (in_string, escaped) = match byte {
                _ if escaped => (true, false),
                b'\\' => (true, true),
                b'"' => (false, false),
                _ => (true, false),
            };
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return true;
        }
    }
    false
}

/// Visits one JSON value and refuses duplicate member names and anything above the limits of this
/// module. The caller has checked the depth with [`is_too_deep`].
pub struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        if text.len() > STRING_BYTES_MAX {
            return Err(E::custom(format_args!(
                "a string is longer than {STRING_BYTES_MAX} bytes"
            )));
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut count = 0;
        while seq.next_element_seed(Strict)?.is_some() {
            count += 1;
            if count > ELEMENTS_MAX {
                return Err(A::Error::custom(format_args!(
                    "an array has more than {ELEMENTS_MAX} elements"
                )));
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut names = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            if name.len() > NAME_BYTES_MAX {
                return Err(A::Error::custom(format_args!(
                    "a member name is longer than {NAME_BYTES_MAX} bytes"
                )));
            }
            if names.len() == MEMBERS_MAX {
                return Err(A::Error::custom(format_args!(
                    "an object has more than {MEMBERS_MAX} members"
                )));
            }
            if let Some(name) = names.replace(name) {
                return Err(A::Error::custom(format_args!(
                    "member {name:?} appears twice in one object"
                )));
            }
            map.next_value_seed(Strict)?;
        }
        Ok(())
    }
}

/// Appends `text` as a JSON string the way RFC 8785 section 3.2.2.2 prescribes.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some((before, byte, after)) = at_escaped(rest) {
        out.extend_from_slice(before);
        rest = after;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x09 => out.extend_from_slice(b"\\t"),
            0x0a => out.extend_from_slice(b"\\n"),
            0x0c => out.extend_from_slice(b"\\f"),
            0x0d => out.extend_from_slice(b"\\r"),
            _ => {
                out.extend_from_slice(b"\\u00");
                write_hex(out, &[byte]);
            }
        }
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// Bytes that are examined at once.
const CHUNK: usize = 32;

/// The bytes before the first one that a string must escape, that byte, and the bytes after it.
fn at_escaped(bytes: &[u8]) -> Option<(&[u8], u8, &[u8])> {
    let is_escaped = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
    // Most texts have none, and a whole chunk is examined in a few steps.
    let is_plain =
        |chunk: &&[u8; CHUNK]| !chunk.iter().fold(false, |any, byte| any | is_escaped(byte));
    let plain = CHUNK * bytes.as_chunks().0.iter().take_while(is_plain).count();
    let at = plain + bytes[plain..].iter().position(is_escaped)?;
    Some((&bytes[..at], bytes[at], &bytes[at + 1..]))
}

/// Appends lower-case hex digits.
pub fn write_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    let start = out.len();
    out.resize(start + 2 * bytes.len(), 0);
    hex::encode_to_slice(bytes, &mut out[start..]).expect("two digits a byte");
}

/// Appends `number` in decimal.
pub fn write_integer(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Writes one object, member by member, in the order in which the caller names them.
pub struct Members {
    out: Vec<u8>,
    is_first: bool,
}

impl Members {
    /// Begins an object after the bytes that are there.
    pub fn begin(mut out: Vec<u8>) -> Members {
        out.push(b'{');
        Members { out, is_first: true }
    }

    /// Ends the object and returns all that was written.
    pub fn end(mut self) -> Vec<u8> {
        self.out.push(b'}');
        self.out
    }

    /// How many bytes were written.
    #[allow(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Writes the name of a member; its value is written next.
    pub fn name(&mut self, name: &str) {
        if !self.is_first {
            self.out.push(b',');
        }
        self.is_first = false;
        write_string(&mut self.out, name);
        self.out.push(b':');
    }

    /// A member that is a text.
    pub fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        write_string(&mut self.out, value);
    }

    /// A text that may be absent; then there is no member.
    pub fn optional(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    /// A text that needs no escapes.
    pub fn ascii(&mut self, name: &str, value: &[u8]) {
        self.name(name);
        self.out.push(b'"');
        self.out.extend_from_slice(value);
        self.out.push(b'"');
    }

    /// A member that is a number.
    pub fn integer(&mut self, name: &str, value: u64) {
        self.name(name);
        write_integer(&mut self.out, value);
    }

    /// The value of the last named member, as JSON written by the caller.
    pub fn raw(&mut self, json: &[u8]) {
        self.out.extend_from_slice(json);
    }

    /// A member that is an object.
    pub fn object(&mut self, name: &str, members: impl FnOnce(&mut Members)) {
        self.name(name);
        self.nested(members);
    }

    /// A member that is a list of one object.
    pub fn list_of_one(&mut self, name: &str, members: impl FnOnce(&mut Members)) {
        self.name(name);
        self.out.push(b'[');
        self.nested(members);
        self.out.push(b']');
    }

    fn nested(&mut self, members: impl FnOnce(&mut Members)) {
        let mut inner = Members::begin(std::mem::take(&mut self.out));
        members(&mut inner);
        self.out = inner.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strict(text: &str) -> Result<(), String> {
        let mut reader = serde_json::Deserializer::from_str(text);
        Strict
            .deserialize(&mut reader)
            .and_then(|()| reader.end())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn depth_counts_brackets_outside_strings_only() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(!is_too_deep(nested(DEPTH_MAX).as_bytes()));
        assert!(is_too_deep(nested(DEPTH_MAX + 1).as_bytes()));
        assert!(is_too_deep("[".repeat(100_000).as_bytes()));
        assert!(!is_too_deep(format!(r#"{{"a":"\"{}"}}"#, "[".repeat(100)).as_bytes()));
    }

    #[test]
    fn duplicates_and_excess_are_refused() {
        let members = |count: usize| {
            format!(
                "{{{}}}",
                (0..count).map(|n| format!("\"k{n}\":1")).collect::<Vec<_>>().join(",")
            )
        };
        assert_eq!(strict(&members(MEMBERS_MAX)), Ok(()));
        assert!(strict(&members(MEMBERS_MAX + 1)).is_err());
        assert!(strict(r#"{"a":{"b":1,"b":2}}"#).expect_err("duplicate").contains("appears twice"));
        assert!(strict(&format!("{{\"{}\":1}}", "k".repeat(NAME_BYTES_MAX + 1))).is_err());
        assert!(strict(&format!("\"{}\"", "x".repeat(STRING_BYTES_MAX + 1))).is_err());
        assert!(strict(&format!("[{}1]", "1,".repeat(ELEMENTS_MAX))).is_err());
        assert_eq!(strict(r#"{"a":18446744073709551616,"b":[null,true,"\u0000"]}"#), Ok(()));
    }
}
