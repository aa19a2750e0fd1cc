//! Dead letters as the API and the command line show them, and filters for lists.

use event::Time;
use schemars::JsonSchema;
use serde::Serialize;
use store::DeadLetter;

/// Characters of the bytes in a list.
pub const BEGINNING_CHARACTERS: usize = 120;

/// A dead letter in a response.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DeadLetter")]
pub struct DeadLetterView<'a> {
    number: u64,
    received_at: String,
    source: &'a str,
    reason: &'a str,
    /// Whether a retry made events of it.
    is_retried: bool,
    len_bytes: usize,
    /// The bytes, if they are UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_hex: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    beginning: Option<String>,
}

impl DeadLetterView<'_> {
    /// A row of a list.
    pub fn in_list(record: &DeadLetter, is_retried: bool) -> DeadLetterView<'_> {
        DeadLetterView {
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

    /// The whole record, with `raw` for UTF-8 bytes and `raw_hex` for others.
    pub fn whole(record: &DeadLetter, is_retried: bool) -> DeadLetterView<'_> {
        let raw = std::str::from_utf8(&record.raw).ok();
        let raw_hex = raw.is_none().then(|| hex::encode(&record.raw));
        DeadLetterView {
            raw,
            raw_hex,
            beginning: None,
            ..DeadLetterView::in_list(record, is_retried)
        }
    }
}

/// The beginning of bytes as text. Four bytes a character are always enough.
pub fn beginning(raw: &[u8]) -> String {
    let text = String::from_utf8_lossy(&raw[..raw.len().min(4 * (BEGINNING_CHARACTERS + 1))]);
    let mut text_start: String = text.chars().take(BEGINNING_CHARACTERS).collect();
    if text_start.len() < text.len() {
        text_start.push('…');
    }
    text_start
}

/// A filter for lists of dead letters.
#[derive(Debug, Default)]
pub struct DeadLetterFilter {
    pub source: Option<String>,
    /// The earliest time of receipt.
    pub since: Option<Time>,
    /// Text within the reason.
    pub reason: Option<String>,
    /// Whether retried ones are included.
    pub retried: bool,
}

impl DeadLetterFilter {
    pub fn matches(&self, record: &DeadLetter, is_retried: bool) -> bool {
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
