//! Bodies of records of several lines: the borders of each, and the pieces that are not records.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use serde::de::{Deserializer as _, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::item::Items;
use crate::lines::parse_one;
use crate::spec::Read;
use crate::sql::{self, Spans};
use crate::{Context, EnvelopeError, Item, RejectedRecord};

/// A piece of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Without its line end.
    pub span: Range<usize>,
    /// The reason why it is not a record; none if it is one.
    pub why: Option<&'static str>,
}

/// Most pieces that are made of a part of a file at once; the rest of it comes again.
pub(crate) const FILE_PIECES_MAX: usize = 1 << 14;

/// The pieces of a body, unless they are more than `max`: splitting ended then with one more.
pub(crate) fn limited(pieces: Vec<Piece>, max: usize) -> Result<Vec<Piece>, EnvelopeError> {
    if pieces.len() > max { Err(too_many(max)) } else { Ok(pieces) }
}

fn too_many(max: usize) -> EnvelopeError {
    EnvelopeError::TooLarge(format!("the body holds more than {max} records"))
}

/// Reads each piece of a body. If the format gives a record of a file no key, its position is the
/// key.
pub(crate) fn parse_pieces(
    body: &[u8],
    pieces: Vec<Piece>,
    context: &mut Context<'_>,
    read: Read,
    items: &mut Items<'_>,
) -> Result<(), EnvelopeError> {
    let events_max = context.limits.events_max;
    if pieces.len() > events_max {
        return Err(too_many(events_max));
    }
    for piece in pieces {
        let raw = &body[piece.span.clone()];
        if let Some(why) = piece.why {
            let record = RejectedRecord { reason: why.to_owned(), raw: raw.to_vec() };
            items.push(Item::Rejected(record))?;
            continue;
        }
        let mut item = parse_one(raw, context, read);
        if let Item::Event(event) = &mut item
            && event.origin.key.is_none()
        {
            event.origin.key = context.position.map(|position| {
                format!("{}:{}", position.file, position.offset + piece.span.start as u64)
            });
        }
        items.push(item)?;
    }
    Ok(())
}

/// The members of one JSON object, each name once.
pub(crate) fn members(text: &str) -> Result<BTreeMap<String, &RawValue>, String> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let found = reader.deserialize_map(Members).and_then(|found| reader.end().map(|()| found));
    found.map_err(|error| format!("not a JSON object: {error}"))
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = BTreeMap<String, &'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = BTreeMap::new();
        while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
            if found.insert(name.clone(), value).is_some() {
                return Err(A::Error::custom(format_args!("member {name:?} appears twice")));
            }
        }
        Ok(found)
    }
}

/// The spans in a JSON text that `find` returns for each string; `find` is given the name of the
/// member that holds it.
pub(crate) fn in_json(text: &str, find: &mut dyn FnMut(&str, &str) -> Spans) -> Spans {
    let (mut spans, mut at, mut name) = (Spans::new(), 0, String::new());
    while let Some(open) = text[at..].find('"') {
        let start = at + open + 1;
        let end = start + string_bytes(&text[start..]);
        at = (end + 1).min(text.len());
        let content = &text[start..end];
        // A string that is not valid JSON has no text to search.
        let Ok(decoded) = serde_json::from_str::<String>(&format!("\"{content}\"")) else {
            continue;
        };
        if text[at..].trim_start().starts_with(':') {
            name = decoded;
            continue;
        }
        let found = sql::outer(&find(&name, &decoded), sql::json_steps(content));
        spans.extend(found.into_iter().map(|span| start + span.start..start + span.end));
    }
    spans
}

/// The bytes before the quote that ends a JSON string.
pub(crate) fn string_bytes(text: &str) -> usize {
    let mut is_escaped = false;
    let end = text.bytes().position(|byte| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    });
    end.unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_found_with_the_names_of_their_members() {
        let text = r#"{"a":"x\"y","b":{"c":["z"]},"d":1,"e":"cut"#;
        let mut found = Vec::new();
        let spans = in_json(text, &mut |name, value| {
            found.push(format!("{name}={value}"));
            Some(value.len() - 1..value.len()).into_iter().collect()
        });
        assert_eq!(found, ["a=x\"y", "c=z", "e=cut"]);
        let struck: Vec<&str> = spans.into_iter().map(|span| &text[span]).collect();
        assert_eq!(struck, ["y", "z", "t"]);
    }

    #[test]
    fn a_name_may_be_there_once() {
        assert_eq!(members(r#"{"a":1,"b":[]}"#).expect("an object").len(), 2);
        for (text, why) in
            [(r#"{"a":1,"a":2}"#, "twice"), ("[]", "an object"), ("{} x", "trailing")]
        {
            assert!(members(text).expect_err(text).contains(why), "{text}");
        }
    }
}
