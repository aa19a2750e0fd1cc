//! The words of an event's texts, for memtables and segments.

use event::Event;
use event::query::Text;

/// Each word in the order of the texts: the position of the text, the length of the word, the word.
pub(crate) struct Words(Box<[u8]>);

impl Words {
    pub fn of(event: &Event) -> Words {
        let mut bytes = Vec::with_capacity(128);
        for (text, position) in Text::ALL.into_iter().zip(0u8..) {
            text.each_word(event, |word| {
                bytes.push(position);
                bytes.push(u8::try_from(word.len()).expect("no longer than WORD_BYTES_MAX"));
                bytes.extend_from_slice(word.as_bytes());
            });
        }
        Words(bytes.into())
    }

    pub fn memory_bytes(&self) -> usize {
        self.0.len()
    }

    /// The position of the text and the word.
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
