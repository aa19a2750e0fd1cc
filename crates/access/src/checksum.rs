//! A text with its checksum in a comment at its head, which shows that Daybook wrote it and that
//! nothing changed it since. It is no signature: whoever may write the file can make it anew.

use sha2::{Digest, Sha256};

const LABEL: &str = "# sha256 ";

/// What a text's checksum says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    Right,
    /// The text is not the one that the checksum was made of.
    Wrong,
    /// Versions of Daybook before wrote none, and neither does an editor.
    Missing,
}

/// The text with its checksum before it.
pub fn with_checksum(text: &str) -> String {
    format!("{LABEL}{}\n{text}", hex(text))
}

/// Splits a text from the checksum before it.
pub fn split(text: &str) -> (Checksum, &str) {
    let Some((line, rest)) = text.strip_prefix(LABEL).and_then(|rest| rest.split_once('\n')) else {
        return (Checksum::Missing, text);
    };
    let checksum = if line.trim_end() == hex(rest) { Checksum::Right } else { Checksum::Wrong };
    (checksum, rest)
}

fn hex(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_text_has_a_wrong_checksum() {
        let text = with_checksum("a = 1\n");
        assert_eq!(split(&text), (Checksum::Right, "a = 1\n"));
        assert_eq!(split(&text.replace("= 1", "= 2")), (Checksum::Wrong, "a = 2\n"));
        assert_eq!(split("a = 1\n"), (Checksum::Missing, "a = 1\n"));
        assert_eq!(split(""), (Checksum::Missing, ""));
    }
}
