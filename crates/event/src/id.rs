//! Event ids: UUID version 7 (RFC 9562 section 5.7).

use std::fmt;
use std::ops::Range;

use crate::Time;

/// The id Daybook gives an event: 48 bits of Unix milliseconds, then 74 random bits, so that a
/// published digest of an entry gives nothing of its content away. Text form: 36 lower-case
/// characters with hyphens.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EventId([u8; 16]);

/// Length in bytes of the text form of an [`EventId`].
pub const ID_TEXT_BYTES: usize = 36;

impl EventId {
    /// The id for an event received at `now`, with ten bytes from a random generator.
    pub fn v7(now: Time, random: [u8; 10]) -> EventId {
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&now.unix_ms().to_be_bytes()[2..]);
        bytes[6..].copy_from_slice(&random);
        bytes[6] = 0x70 | (bytes[6] & 0x0f);
        bytes[8] = 0x80 | (bytes[8] & 0x3f);
        EventId(bytes)
    }

    /// When it was made, in milliseconds since the epoch.
    pub fn unix_ms(self) -> i64 {
        self.0[..6].iter().fold(0, |ms, byte| ms << 8 | i64::from(*byte))
    }

    /// Reads the 36-character text form; `None` for anything else.
    pub fn parse(text: &str) -> Option<EventId> {
        let text = text.as_bytes();
        let is_form = text.len() == ID_TEXT_BYTES
            && HYPHENS.iter().all(|&at| text[at] == b'-')
            && !text.iter().any(u8::is_ascii_uppercase);
        let mut id = [0; 16];
        for (bytes, digits) in GROUPS.into_iter().filter(|_| is_form) {
            hex::decode_to_slice(&text[digits], &mut id[bytes]).ok()?;
        }
        is_form.then_some(EventId(id))
    }

    /// The sixteen bytes that the text form spells.
    pub const fn bytes(self) -> [u8; 16] {
        self.0
    }

    /// The id with these bytes, whatever their version.
    pub const fn from_bytes(bytes: [u8; 16]) -> EventId {
        EventId(bytes)
    }

    /// The 36-byte text form.
    pub fn text(self) -> [u8; ID_TEXT_BYTES] {
        let mut text = [b'-'; ID_TEXT_BYTES];
        for (bytes, digits) in GROUPS {
            hex::encode_to_slice(&self.0[bytes], &mut text[digits]).expect("two digits a byte");
        }
        text
    }
}

const HYPHENS: [usize; 4] = [8, 13, 18, 23];

/// The groups of the text form: which bytes, and the position of their digits.
const GROUPS: [(Range<usize>, Range<usize>); 5] =
    [(0..4, 0..8), (4..6, 9..13), (6..8, 14..18), (8..10, 19..23), (10..16, 24..36)];

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.text()).expect("hex digits are ASCII"))
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_variant_and_time_stand_where_rfc_9562_puts_them() {
        let id = EventId::v7(Time::from_unix_ns(0x0123_4567_89ab * 1_000_000), [0xff; 10]);
        assert_eq!(id.to_string(), "01234567-89ab-7fff-bfff-ffffffffffff");
        assert_eq!(EventId::parse(&id.to_string()), Some(id));
    }

    #[test]
    fn other_texts_are_no_ids() {
        for text in [
            "",
            "01234567-89ab-7fff-bfff-fffffffffff",
            "01234567-89AB-7fff-bfff-ffffffffffff",
            "0123456789ab-7fff-bfff-ffffffffffff-",
        ] {
            assert_eq!(EventId::parse(text), None, "{text}");
        }
    }
}
