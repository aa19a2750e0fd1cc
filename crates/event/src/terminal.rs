//! Text from outside on a terminal: characters that steer it become visible escapes.

/// The text with every character that [`steers`] a terminal as a visible escape.
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    out
}

/// Bytes as lines of [`printable`] text, with U+FFFD for invalid UTF-8. A CR before a line feed is
/// part of the line's end.
pub fn printable_lines(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        match line.strip_suffix('\n') {
            Some(line) => {
                out.push_str(&printable(line.strip_suffix('\r').unwrap_or(line)));
                out.push('\n');
            }
            None => out.push_str(&printable(line)),
        }
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
    fn lines_of_any_bytes_steer_nothing() {
        let bytes = b"a\x1b[2J\r\n\xffb\xe2\x80\xaec\rd\n\nlast\x07";
        let lines = printable_lines(bytes);
        assert_eq!(lines, "a\\u{1b}[2J\n\u{fffd}b\\u{202e}c\\u{d}d\n\nlast\\u{7}");
        assert!(!lines.chars().any(|c| c != '\n' && steers(c)));
    }

    #[test]
    fn steering_characters_become_escapes() {
        assert_eq!(printable("a\u{1b}[31m\r\n\u{202e}ü李"), "a\\u{1b}[31m\\u{d}\\u{a}\\u{202e}ü李");
    }
}
