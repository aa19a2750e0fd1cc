//! Parts of JSON texts with the bytes they were sent as: documents of a body, elements of an array,
//! members of an object.
//!
//! `serde_json` does the reading. These functions add what it leaves open: a second member of a
//! name is refused, the number of parts is limited before they are allocated, and depth is skipped
//! without recursion. A text that is not UTF-8 is split like any other; the reader of a part
//! replaces the invalid bytes in it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::EnvelopeError;
use crate::lines::lines;
use crate::texts::non_empty;
use event::json::{MEMBERS_MAX, NAME_BYTES_MAX, STRING_BYTES_MAX};

/// The members of an object, each as sent.
pub(crate) type Members<'a> = BTreeMap<String, &'a RawValue>;

/// A body as text of the same length, so that positions in one are positions in the other: invalid
/// UTF-8 bytes become question marks.
pub(crate) fn same_length(body: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(body) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(body.len());
    for chunk in body.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| '?'));
    }
    Cow::Owned(text)
}

/// The position of a part in its text.
pub(crate) fn position_of(piece: &str, text: &str) -> Range<usize> {
    let start = piece.as_ptr() as usize - text.as_ptr() as usize;
    start..start + piece.len()
}

/// A document and its position, or the reason why a line is not one.
pub(crate) type Document<'a> = (Range<usize>, Result<&'a RawValue, String>);

/// The documents of a body's text: one, or one a line. At least one line of a request must be JSON;
/// in a file, any may be damaged.
pub(crate) fn documents(
    text: &str,
    is_from_file: bool,
    events_max: usize,
) -> Result<Vec<Document<'_>>, EnvelopeError> {
    let whole = match serde_json::from_str::<&RawValue>(text) {
        Ok(document) => return Ok(vec![(position_of(document.get(), text), Ok(document))]),
        Err(error) => error,
    };
    let mut documents = Vec::new();
    for (start, line) in lines(text.as_bytes()) {
        if documents.len() == events_max {
            return Err(EnvelopeError::TooLarge(format!(
                "the body holds more than {events_max} lines"
            )));
        }
        let line = &text[start..start + line.len()];
        let document = serde_json::from_str(line).map_err(|error| format!("not JSON: {error}"));
        documents.push((start..start + line.len(), document));
    }
    if !is_from_file && documents.iter().all(|(_, document)| document.is_err()) {
        return Err(EnvelopeError::Malformed(format!("the body is not JSON: {whole}")));
    }
    Ok(documents)
}

/// The elements of an array, at most `max` of them, and whether there are more.
pub(crate) fn elements(array: &str, max: usize) -> Result<(Vec<&RawValue>, bool), String> {
    let mut reader = serde_json::Deserializer::from_str(array);
    Elements { max }.deserialize(&mut reader).map_err(|error| error.to_string())
}

/// The members of an object. A repeated name is refused: nothing shows which of the two is meant.
pub(crate) fn members(object: &str) -> Result<Members<'_>, String> {
    let mut reader = serde_json::Deserializer::from_str(object);
    let members = reader.deserialize_map(AllMembers).map_err(|error| error.to_string())?;
    reader.end().map_err(|error| error.to_string())?;
    Ok(members)
}

/// The members of a flat object as texts, without nulls; numbers have their digits as sent. Nested
/// values, repeated names, and anything above the limits of [`event::json`] are refused.
pub(crate) fn flat_texts(object: &str) -> Result<BTreeMap<String, String>, String> {
    let mut reader = serde_json::Deserializer::from_str(object);
    let texts = reader.deserialize_map(FlatTexts).map_err(|error| error.to_string())?;
    reader.end().map_err(|error| error.to_string())?;
    Ok(texts)
}

/// The members of a value that is an object.
pub(crate) fn object(value: &RawValue) -> Option<Members<'_>> {
    members(value.get()).ok()
}

/// A text that is not empty, a number with its digits as sent, or a boolean.
pub(crate) fn scalar(value: &RawValue) -> Option<String> {
    match value.get().as_bytes().first() {
        Some(b'"') => {
            serde_json::from_str::<Cow<'_, str>>(value.get()).ok().and_then(|text| non_empty(&text))
        }
        Some(b'{' | b'[' | b'n') | None => None,
        Some(_) => Some(value.get().to_owned()),
    }
}

struct Elements {
    max: usize,
}

impl<'de> DeserializeSeed<'de> for Elements {
    type Value = (Vec<&'de RawValue>, bool);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Elements {
    type Value = (Vec<&'de RawValue>, bool);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while elements.len() < self.max {
            match seq.next_element()? {
                Some(element) => elements.push(element),
                None => return Ok((elements, false)),
            }
        }
        let mut is_more = false;
        while seq.next_element::<IgnoredAny>()?.is_some() {
            is_more = true;
        }
        Ok((elements, is_more))
    }
}

struct AllMembers;

impl<'de> Visitor<'de> for AllMembers {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut members = Members::new();
        while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
            insert(&mut members, name, value)?;
        }
        Ok(members)
    }
}

/// Adds a member to those before it.
fn insert<T, E: Error>(members: &mut BTreeMap<String, T>, name: String, value: T) -> Result<(), E> {
    if name.len() > NAME_BYTES_MAX {
        return Err(E::custom(format_args!("a member name is longer than {NAME_BYTES_MAX} bytes")));
    }
    if members.len() == MEMBERS_MAX {
        return Err(E::custom(format_args!("an object has more than {MEMBERS_MAX} members")));
    }
    match members.entry(name) {
        Entry::Vacant(entry) => {
            entry.insert(value);
            Ok(())
        }
        Entry::Occupied(entry) => {
            Err(E::custom(format_args!("member {:?} appears twice", entry.key())))
        }
    }
}

struct FlatTexts;

impl<'de> Visitor<'de> for FlatTexts {
    type Value = BTreeMap<String, String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        // The names of nulls count too when a name is repeated.
        let mut texts = BTreeMap::new();
        while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
            let json = value.get();
            let text = match json.as_bytes().first() {
                Some(b'"') => Some(serde_json::from_str::<String>(json).map_err(A::Error::custom)?),
                Some(b'{' | b'[') => {
                    let why = format_args!("{name:?} must be a text, number or boolean");
                    return Err(A::Error::custom(why));
                }
                Some(b'n') => None,
                Some(_) | None => Some(json.to_owned()),
            };
            if text.as_ref().is_some_and(|text| text.len() > STRING_BYTES_MAX) {
                return Err(A::Error::custom(format_args!(
                    "a string is longer than {STRING_BYTES_MAX} bytes"
                )));
            }
            insert(&mut texts, name, text)?;
        }
        Ok(texts.into_iter().filter_map(|(name, text)| Some((name, text?))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_utf8_keeps_its_length() {
        let body = b"[\"a\xff\xe6\x96\",\"\xe6\x96\x87\"]";
        let text = same_length(body);
        assert_eq!(text, "[\"a???\",\"\u{6587}\"]");
        let (elements, _) = elements(&text, 9).expect("an array");
        let positions: Vec<_> =
            elements.iter().map(|element| position_of(element.get(), &text)).collect();
        assert_eq!(positions, [1..7, 8..13]);
        assert_eq!(&body[positions[0].clone()], b"\"a\xff\xe6\x96\"");
    }

    #[test]
    fn a_body_is_one_document_or_one_a_line() {
        let found = |text: &str, is_from_file| {
            documents(text, is_from_file, 3).map(|documents| {
                documents
                    .into_iter()
                    .map(|(position, one)| (text[position].to_owned(), one.is_ok()))
                    .collect::<Vec<_>>()
            })
        };
        let pretty = " {\n \"a\": 1\n}\n";
        assert_eq!(found(pretty, false), Ok(vec![(pretty.trim().to_owned(), true)]));
        let lines =
            [("{\"a\":1}".to_owned(), true), ("{\"b".to_owned(), false), ("2".to_owned(), true)];
        assert_eq!(found("{\"a\":1}\r\n\n{\"b\n2", false), Ok(lines.to_vec()));
        assert_eq!(found("x\ny", true), Ok(vec![("x".to_owned(), false), ("y".to_owned(), false)]));
        assert!(matches!(found("x\ny", false), Err(EnvelopeError::Malformed(_))));
        assert!(matches!(found("", false), Err(EnvelopeError::Malformed(_))));
        assert!(matches!(found("1\n2\n3\n4", false), Err(EnvelopeError::TooLarge(_))));
    }

    #[test]
    fn no_more_elements_are_held_than_allowed() {
        let count =
            |array: &str| elements(array, 2).map(|(elements, is_more)| (elements.len(), is_more));
        assert_eq!(count("[]"), Ok((0, false)));
        assert_eq!(count("[1,[2]]"), Ok((2, false)));
        assert_eq!(count("[1,2,3,4]"), Ok((2, true)));
        assert!(count("[1,2,").is_err());
        assert!(count("{}").is_err());
        let deep = format!("[{}1{}]", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(count(&deep), Ok((1, false)), "depth is passed over");
    }

    #[test]
    fn repeated_members_are_refused() {
        assert_eq!(members(r#"{"a":1,"b":{"a":2}}"#).expect("an object").len(), 2);
        for wrong in [r#"{"a":1,"a":1}"#, r#"{"a":1,"\u0061":1}"#, "[]", "{", "{}x"] {
            assert!(members(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn flat_objects_are_texts() {
        let found = flat_texts(r#"{"a":"x\n","b":1.50,"c":true,"d":null}"#).expect("an object");
        let found: Vec<(&str, &str)> =
            found.iter().map(|(name, text)| (&**name, &**text)).collect();
        assert_eq!(found, [("a", "x\n"), ("b", "1.50"), ("c", "true")]);
        let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(STRING_BYTES_MAX + 1));
        let many: Vec<String> =
            (0..=MEMBERS_MAX).map(|number| format!("\"{number}\":null")).collect();
        let many = format!("{{{}}}", many.join(","));
        for (wrong, why) in [
            (r#"{"a":1,"a":1}"#, "twice"),
            (r#"{"a":null,"a":1}"#, "twice"),
            (r#"{"a":[]}"#, "must be a text"),
            (r#"{"a":"\ud800"}"#, "hex escape"),
            ("{} x", "trailing"),
            ("[]", "an object"),
            (&long, "longer than"),
            (&many, "more than"),
        ] {
            assert!(flat_texts(wrong).expect_err(wrong).contains(why), "{wrong:.80}");
        }
    }

    #[test]
    fn scalars_have_their_digits_as_sent() {
        for (json, expected) in [
            (r#""a\n""#, Some("a\n")),
            (r#""""#, None),
            ("1.50", Some("1.50")),
            ("true", Some("true")),
            ("null", None),
            ("[1]", None),
            ("{}", None),
        ] {
            let value: &RawValue = serde_json::from_str(json).expect(json);
            assert_eq!(scalar(value).as_deref(), expected, "{json}");
        }
    }
}
