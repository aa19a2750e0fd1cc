//! Terminal text: what comes from outside, made safe to be printed.

/// Text from outside made safe for a terminal: what [`steers`] it becomes a visible escape.
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    out
}

/// Whether a character does something to a terminal, or hides in it: controls, marks of direction,
/// breaks of lines, and what takes no room.
pub fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_obeys_no_text_from_outside() {
        assert_eq!(printable("a\u{1b}[31m\r\n\u{202e}ü李"), "a\\u{1b}[31m\\u{d}\\u{a}\\u{202e}ü李");
    }
}
