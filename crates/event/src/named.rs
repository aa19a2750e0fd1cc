//! Texts of an event that have a name: its attributes, and members that are searched like them.
//!
//! An index holds each of them as one *token*: the name, a NUL, and the value. A long name or value
//! is cut there, and ends in a hash of all of it, so that equal tokens mean equal texts.

use sha2::{Digest as _, Sha256};

use crate::Event;

/// The name of a text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// An attribute with this name.
    Attribute(String),
    /// The code of [`Event::outcome`], in decimal digits.
    OutcomeCode,
    /// The reason of [`Event::outcome`].
    OutcomeReason,
    /// [`Event::request_id`].
    RequestId,
    /// [`Event::trace_id`].
    TraceId,
}

/// Bytes of a name or value that a token has whole.
const WHOLE_BYTES_MAX: usize = 96;
/// Bytes of a longer one that stand before its hash, or a few less if a character would be cut.
const START_BYTES: usize = 63;
/// Bytes of a beginning that is searched for: no token is cut before them.
pub const PREFIX_BYTES_MAX: usize = START_BYTES - 3;
/// Bytes of the hash of a long name or value, of SHA-256.
const HASH_BYTES: usize = 16;
/// Between name and value; no token has it elsewhere.
const NUL: char = '\0';
/// Before a hash, and before the name of a member.
const MARK: char = '\u{1}';

impl Name {
    /// The members.
    const MEMBERS: [Name; 4] =
        [Name::OutcomeCode, Name::OutcomeReason, Name::RequestId, Name::TraceId];

    /// Calls `take` with the value in `event`: `None` if the event has none.
    pub fn with_value<T>(&self, event: &Event, take: impl FnOnce(Option<&str>) -> T) -> T {
        match self {
            Name::Attribute(name) => take(event.attributes.get(name).map(String::as_str)),
            Name::OutcomeCode => match event.outcome.code {
                Some(code) => take(Some(&code.to_string())),
                None => take(None),
            },
            Name::OutcomeReason => take(event.outcome.reason.as_deref()),
            Name::RequestId => take(event.request_id.as_deref()),
            Name::TraceId => take(event.trace_id.as_deref()),
        }
    }

    /// The token of this value.
    pub fn token(&self, value: &str) -> String {
        let mut token = self.token_start();
        push_cut(&mut token, value);
        token
    }

    /// The beginning of all tokens whose values begin so. `None` for a `start` of more than
    /// [`PREFIX_BYTES_MAX`] bytes or with a control character that tokens use themselves.
    pub fn token_prefix(&self, start: &str) -> Option<String> {
        let is_found = start.len() <= PREFIX_BYTES_MAX && !start.contains([NUL, MARK]);
        is_found.then(|| self.token_start() + start)
    }

    fn token_start(&self) -> String {
        let mut start = String::new();
        self.push(&mut start);
        start.push(NUL);
        start
    }

    fn push(&self, token: &mut String) {
        match self {
            Name::Attribute(name) => push_cut(token, name),
            Name::OutcomeCode => token.push_str("\u{1}code"),
            Name::OutcomeReason => token.push_str("\u{1}reason"),
            Name::RequestId => token.push_str("\u{1}request"),
            Name::TraceId => token.push_str("\u{1}trace"),
        }
    }
}

/// Calls `each` with the token of every named text of an event.
pub fn each_token(event: &Event, mut each: impl FnMut(&str)) {
    let mut token = String::new();
    let mut token_of = |push_name: &dyn Fn(&mut String), value: &str| {
        token.clear();
        push_name(&mut token);
        token.push(NUL);
        push_cut(&mut token, value);
        each(&token);
    };
    for name in Name::MEMBERS {
        name.with_value(event, |value| {
            if let Some(value) = value {
                token_of(&|token| name.push(token), value);
            }
        });
    }
    for (name, value) in &event.attributes {
        token_of(&|token| push_cut(token, name), value);
    }
}

/// Appends a name or value: whole if it is short and plain, else its beginning and its hash.
fn push_cut(token: &mut String, text: &str) {
    let plain = text.find([NUL, MARK]).unwrap_or(text.len());
    if plain == text.len() && text.len() <= WHOLE_BYTES_MAX {
        token.push_str(text);
        return;
    }
    token.push_str(&text[..text.floor_char_boundary(plain.min(START_BYTES))]);
    token.push(MARK);
    token.push_str(&hex::encode(&Sha256::digest(text)[..HASH_BYTES]));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn host(value: &str) -> String {
        Name::Attribute("host".to_owned()).token(value)
    }

    #[test]
    fn short_texts_are_whole_and_long_ones_end_in_a_hash() {
        assert_eq!(host("web-1"), "host\0web-1");
        assert_eq!(host(&"x".repeat(96)), format!("host\0{}", "x".repeat(96)));
        let long = host(&format!("{}镜x", "x".repeat(95)));
        assert!(long.starts_with(&format!("host\0{}\u{1}", "x".repeat(63))), "{long:?}");
        assert_ne!(long, host(&format!("{}镜y", "x".repeat(95))), "the hash is of all of it");
        assert_eq!(Name::RequestId.token("r1"), "\u{1}request\0r1");
        assert_ne!(Name::Attribute("\u{1}request".to_owned()).token("r1"), "\u{1}request\0r1");
    }

    #[test]
    fn long_beginnings_are_refused() {
        let name = Name::TraceId;
        assert_eq!(name.token_prefix("ab").as_deref(), Some("\u{1}trace\0ab"));
        assert!(name.token_prefix(&"x".repeat(PREFIX_BYTES_MAX)).is_some());
        assert_eq!(name.token_prefix(&"x".repeat(PREFIX_BYTES_MAX + 1)), None);
        assert_eq!(name.token_prefix("a\0"), None);
    }

    /// Texts around the lengths at which tokens are cut, with the characters tokens use.
    fn any_text() -> impl Strategy<Value = String> {
        "[ab\u{0}\u{1}镜]{0,4}|a{58,64}[b镜]{0,3}|a{94,97}|a{60}\u{1}[0-9a-f]{32}"
    }

    proptest! {
        #[test]
        fn tokens_are_equal_for_equal_texts_alone(
            names in [any_text(), any_text()],
            values in [any_text(), any_text()],
        ) {
            let [a, b] = [0, 1].map(|at| Name::Attribute(names[at].clone()).token(&values[at]));
            prop_assert_eq!(a == b, names[0] == names[1] && values[0] == values[1]);
            prop_assert!(a.len() <= 255, "{} bytes", a.len());
        }

        #[test]
        fn tokens_begin_as_their_values(value in any_text(), start in any_text()) {
            let name = Name::Attribute("a".to_owned());
            if let Some(prefix) = name.token_prefix(&start) {
                prop_assert_eq!(name.token(&value).starts_with(&prefix), value.starts_with(&start));
            }
        }
    }
}
