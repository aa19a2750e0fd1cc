//! Excerpts: what is recorded of a long text.

use sha2::{Digest, Sha256};

/// The text itself if it has at most `bytes_max` bytes; else its beginning, its length and its
/// SHA-256, in as many bytes. Whoever has the text can show that it is the one recorded.
pub fn excerpt(text: String, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text;
    }
    let rest = format!("… ({} bytes, SHA-256 {})", text.len(), hex::encode(Sha256::digest(&text)));
    let end = text.floor_char_boundary(bytes_max.saturating_sub(rest.len()));
    format!("{}{rest}", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_its_beginning_its_length_and_its_hash() {
        assert_eq!(excerpt("short".to_owned(), 5), "short");
        let text = "ü".repeat(300);
        let cut = excerpt(text.clone(), 256);
        let hash = hex::encode(Sha256::digest(&text));
        assert!(cut.starts_with("üü") && cut.len() <= 256, "{cut}");
        assert!(cut.ends_with(&format!("ü… (600 bytes, SHA-256 {hash})")), "{cut}");
        let other = format!("{}x", "ü".repeat(299));
        assert_ne!(excerpt(other, 256), cut, "texts with one beginning differ");
    }

    #[test]
    fn no_limit_is_too_small() {
        let cut = excerpt("x".repeat(1000), 1);
        assert!(cut.starts_with("… (1000 bytes"), "{cut}");
    }
}
