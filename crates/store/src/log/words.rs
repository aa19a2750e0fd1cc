//! The words of an event's texts and the tokens of its named texts, for memtables and segments.

use event::Event;
use event::named::each_token;
use event::query::Text;

/// Position of the tokens of named texts: behind the words of the texts.
pub(crate) const NAMED: usize = Text::ALL.len();
/// Number of positions.
pub(crate) const POSITIONS: usize = NAMED + 1;

/// Each word in the order of the texts, then each token: the position, the length, the word.
pub(crate) struct Words(Box<[u8]>);

impl Words {
    pub fn of(event: &Event) -> Words {
        let mut bytes = Vec::with_capacity(256);
        let mut push = |position: usize, word: &str| {
            bytes.push(u8::try_from(position).expect("there are few positions"));
            bytes.push(u8::try_from(word.len()).expect("words and tokens are limited"));
            bytes.extend_from_slice(word.as_bytes());
        };
        for text in Text::ALL {
            text.each_word(event, |word| push(text.position(), word));
        }
        each_token(event, |token| push(NAMED, token));
        Words(bytes.into())
    }

    pub fn memory_bytes(&self) -> usize {
        self.0.len()
    }

    /// The position of the text and the word, or [`NAMED`] and the token.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &[u8])> {
        let mut rest = &self.0[..];
        std::iter::from_fn(move || {
            let (&[text, len], after) = rest.split_first_chunk()?;
            let (word, after) = after.split_at(usize::from(len));
            rest = after;
            Some((usize::from(text), word))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::event;

    #[test]
    fn words_come_with_the_position_of_their_text() {
        let mut event = event(1);
        event.description = Some("Pull it".to_owned());
        let words = Words::of(&event);
        let found: Vec<(usize, &str)> = words
            .iter()
            .map(|(text, word)| (text, std::str::from_utf8(word).expect("they were texts")))
            .filter(|(text, _)| *text == Text::Description.position())
            .collect();
        let description = Text::Description.position();
        assert_eq!(found, [(description, "pull"), (description, "it")]);
    }
}
