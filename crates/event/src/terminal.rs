//! Text from outside on a terminal: characters that steer it become visible escapes.

/// The text with every character that [`steers`] a terminal as a visible escape.
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    out
}

/// Whether a character acts on a terminal or hides in it: controls, direction marks, line breaks,
/// and characters without width.
pub fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steering_characters_become_escapes() {
        assert_eq!(printable("a\u{1b}[31m\r\n\u{202e}ü李"), "a\\u{1b}[31m\\u{d}\\u{a}\\u{202e}ü李");
    }
}
