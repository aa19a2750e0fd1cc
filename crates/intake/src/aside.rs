//! Records set aside as they are shown, by the API and on the command line, and which of them are
//! asked for.

use event::Time;
use schemars::JsonSchema;
use serde::Serialize;
use store::DeadLetter;

/// Characters of the bytes that a list shows.
pub const BEGINNING_CHARACTERS: usize = 120;

/// A record as it is shown.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DeadLetter")]
pub struct Shown<'a> {
    number: u64,
    received_at: String,
    source: &'a str,
    reason: &'a str,
    /// Whether events came of it since.
    is_retried: bool,
    len_bytes: usize,
    /// The bytes where they are UTF-8, or how they begin.
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_hex: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    beginning: Option<String>,
}

impl Shown<'_> {
    /// A row of a list.
    pub fn in_list(record: &DeadLetter, is_retried: bool) -> Shown<'_> {
        Shown {
            number: record.number,
            received_at: record.received_at.to_string(),
            source: &record.source,
            reason: &record.reason,
            is_retried,
            len_bytes: record.raw.len(),
            raw: None,
            raw_hex: None,
            beginning: Some(beginning(&record.raw)),
        }
    }

    /// All of it: `raw` where the bytes are UTF-8, `raw_hex` where they are not.
    pub fn whole(record: &DeadLetter, is_retried: bool) -> Shown<'_> {
        let raw = std::str::from_utf8(&record.raw).ok();
        let raw_hex = raw.is_none().then(|| hex::encode(&record.raw));
        Shown { raw, raw_hex, beginning: None, ..Shown::in_list(record, is_retried) }
    }
}

/// How bytes begin, as text. More than these can be the beginning of no shown character.
pub fn beginning(raw: &[u8]) -> String {
    let text = String::from_utf8_lossy(&raw[..raw.len().min(4 * (BEGINNING_CHARACTERS + 1))]);
    let mut shown: String = text.chars().take(BEGINNING_CHARACTERS).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

/// Which records are asked for.
#[derive(Debug, Default)]
pub struct Asked {
    pub source: Option<String>,
    /// Received then or later.
    pub since: Option<Time>,
    /// What the reason holds.
    pub reason: Option<String>,
    /// Those too of which events came.
    pub retried: bool,
}

impl Asked {
    pub fn is_for(&self, record: &DeadLetter, is_retried: bool) -> bool {
        (self.retried || !is_retried)
            && self.source.as_ref().is_none_or(|source| *source == record.source)
            && self.since.is_none_or(|since| record.received_at >= since)
            && self.reason.as_ref().is_none_or(|reason| record.reason.contains(reason.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_ends_between_characters() {
        assert_eq!(beginning(b"short"), "short");
        let long = beginning("李".repeat(1000).as_bytes());
        assert_eq!(long.chars().count(), BEGINNING_CHARACTERS + 1);
        assert!(long.ends_with("李…"), "{long}");
        assert_eq!(beginning(&[0xff, b'a']), "\u{fffd}a");
    }
}
