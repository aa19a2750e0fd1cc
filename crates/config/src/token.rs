//! Tokens that clients show, read from files.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// A token as the file names it: `{ file = "…" }`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawToken {
    pub(crate) file: PathBuf,
}

/// A token that a client must show. Its debug form does not reveal it, and it is wiped from memory.
#[derive(Clone)]
pub struct Token(Zeroizing<String>);

impl Token {
    pub fn new(text: &str) -> Token {
        Token(Zeroizing::new(text.to_owned()))
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

/// Shortest token: 16 characters of hex are 64 bits.
const TOKEN_BYTES_MIN: usize = 16;

/// Reads a token from its file, without the white space around it.
pub(crate) fn read(file: &Path) -> Result<Token, String> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("couldn't read the token {}: {error}", file.display()))?;
    let text = Zeroizing::new(text);
    let token = text.trim();
    if token.len() < TOKEN_BYTES_MIN {
        return Err(format!(
            "the token in {} has fewer than {TOKEN_BYTES_MIN} characters",
            file.display()
        ));
    }
    Ok(Token::new(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_long_enough_and_has_no_white_space_around_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("token");
        std::fs::write(&file, " 0123456789abcdef\n").expect("a file");
        assert_eq!(read(&file).expect("long enough").expose(), "0123456789abcdef");
        std::fs::write(&file, "0123456789abcde\n").expect("a file");
        assert!(read(&file).expect_err("too short").contains("fewer than 16 characters"));
        assert!(read(Path::new("/nonexistent")).expect_err("no file").contains("couldn't read"));
    }
}
