//! Texts and attributes from the members of a body.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::EnvelopeError;

/// The body as text. Its nesting is not checked: splitting a body into events does not recurse.
pub(crate) fn json_text(body: &[u8]) -> Result<&str, EnvelopeError> {
    std::str::from_utf8(body).map_err(|error| {
        EnvelopeError::Malformed(format!("the body is not UTF-8 at byte {}", error.valid_up_to()))
    })
}

/// An empty text counts as absent.
pub(crate) fn non_empty(text: &str) -> Option<String> {
    if text.is_empty() { None } else { Some(text.to_owned()) }
}

/// The attributes that have a value.
pub(crate) fn attributes_of<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// The members of a flat object as texts, without nulls. Numbers have their digits as sent.
pub(crate) fn texts(
    members: BTreeMap<String, &RawValue>,
) -> Result<BTreeMap<String, String>, String> {
    let text_of = |(name, value): (String, &RawValue)| {
        let json = value.get();
        let text = match json.as_bytes()[0] {
            b'"' => serde_json::from_str(json).map_err(|error| error.to_string())?,
            b'{' | b'[' => return Err(format!("{name:?} must be a text, number or boolean")),
            _ => json.to_owned(),
        };
        Ok((name, text))
    };
    members.into_iter().filter(|(_, value)| value.get() != "null").map(text_of).collect()
}
