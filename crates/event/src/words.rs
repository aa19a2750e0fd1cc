//! Words of texts, the units of full-text search.
//!
//! A word is a longest run of letters and digits, in lower case. A character of a script that
//! writes without spaces (Han, Hiragana, Katakana, Hangul) is a word of its own, so that any part
//! of such a text is found. Only the first [`WORD_BYTES_MAX`] bytes of a long word count, in texts
//! and in queries alike.

use std::collections::BTreeSet;

/// Bytes of a word that count, or a few less if a character would be cut: half of a SHA-256 in hex
/// is as good as all.
pub const WORD_BYTES_MAX: usize = 32;

/// Calls `each` with every word of a text, in order; a repeated word repeatedly.
pub fn each_word(text: &str, mut each: impl FnMut(&str)) {
    let mut word = String::with_capacity(WORD_BYTES_MAX);
    let mut is_cut = false;
    let mut end = |word: &mut String, is_cut: &mut bool| {
        if !word.is_empty() {
            each(word);
        }
        word.clear();
        *is_cut = false;
    };
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        // Texts are mostly ASCII, whose letters and digits are taken in whole runs.
        let ascii =
            rest.bytes().position(|byte| !byte.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let (taken, after) = rest.split_at(if ascii > 0 { ascii } else { character.len_utf8() });
        rest = after;
        if ascii > 0 {
            let room = if is_cut { 0 } else { WORD_BYTES_MAX - word.len() };
            let known = word.len();
            word.push_str(&taken[..ascii.min(room)]);
            word[known..].make_ascii_lowercase();
            is_cut |= ascii > room;
        } else if is_a_word(character) {
            end(&mut word, &mut is_cut);
            word.push(character);
            end(&mut word, &mut is_cut);
        } else if character.is_alphanumeric() {
            for lower in character.to_lowercase() {
                is_cut |= word.len() + lower.len_utf8() > WORD_BYTES_MAX;
                if !is_cut {
                    word.push(lower);
                }
            }
        } else {
            end(&mut word, &mut is_cut);
        }
    }
    end(&mut word, &mut is_cut);
}

/// The words of a text, each once, in order of their bytes.
pub fn words(text: &str) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    each_word(text, |word| {
        words.insert(word.to_owned());
    });
    words
}

/// Whether a character is a word of its own: Hiragana, Katakana, Han with its extensions, Hangul,
/// and their half and full width forms, by the blocks of Unicode 16.
fn is_a_word(character: char) -> bool {
    matches!(character,
        '\u{3041}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
        | '\u{1100}'..='\u{11ff}' | '\u{3130}'..='\u{318f}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}'
        | '\u{ff66}'..='\u{ffdc}' | '\u{20000}'..='\u{323af}')
        && character.is_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_order(text: &str) -> Vec<String> {
        let mut words = Vec::new();
        each_word(text, |word| words.push(word.to_owned()));
        words
    }

    #[test]
    fn texts_have_words() {
        for (text, expected) in [
            ("", &[][..]),
            (" -- ", &[]),
            ("DROP TABLE orders_2026;", &["drop", "table", "orders", "2026"]),
            ("library/alpine:3.20", &["library", "alpine", "3", "20"]),
            ("docker/24.0.7 go/go1.20.10", &["docker", "24", "0", "7", "go", "go1", "20", "10"]),
            ("Straße ÉCOLE", &["straße", "école"]),
            ("删除镜像v2，李雷", &["删", "除", "镜", "像", "v2", "李", "雷"]),
            ("ひらカタ한글", &["ひ", "ら", "カ", "タ", "한", "글"]),
        ] {
            assert_eq!(in_order(text), expected, "{text}");
        }
    }

    #[test]
    fn long_words_are_cut_between_characters() {
        let digest = "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";
        assert_eq!(in_order(&format!("sha256:{digest} x")), ["sha256", &digest[..32], "x"]);
        assert_eq!(
            in_order(&format!("{}éa z", "a".repeat(31))),
            [&"a".repeat(31), "z"],
            "nothing follows a cut"
        );
    }

    /// The definition, character by character.
    fn one_by_one(text: &str) -> Vec<String> {
        let (mut words, mut word, mut is_cut) = (Vec::new(), String::new(), false);
        for character in text.chars().chain([' ']) {
            let (alone, part) = (is_a_word(character), character.is_alphanumeric());
            if (alone || !part) && !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
            if alone {
                words.push(character.to_string());
            }
            is_cut &= part && !alone;
            for lower in character.to_lowercase().filter(|_| part && !alone) {
                is_cut |= word.len() + lower.len_utf8() > WORD_BYTES_MAX;
                word.extend((!is_cut).then_some(lower));
            }
        }
        words
    }

    proptest::proptest! {
        #[test]
        fn words_are_those_of_the_definition(text in "([a-cA-C0-9]{0,20}[ ./éÉßİ李カ한\u{0}-\u{ff}]{0,3}){0,6}") {
            proptest::prop_assert_eq!(in_order(&text), one_by_one(&text));
        }
    }

    #[test]
    fn each_word_is_listed_once() {
        assert_eq!(words("b a B, a").into_iter().collect::<Vec<_>>(), ["a", "b"]);
    }
}
