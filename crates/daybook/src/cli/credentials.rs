//! Credentials for a server: a token, or an access key that signs.

use std::fs;
use std::path::Path;

use server::failure::Failure;

/// Credentials for a server.
pub enum Credentials {
    None,
    Token(String),
    /// An access key that signs requests.
    Key {
        id: String,
        secret: String,
    },
}

/// Reads a token or secret from a file.
pub fn read_secret(path: &Path) -> Result<String, Failure> {
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("couldn't read {}: {error}", path.display())))?;
    match text.trim() {
        "" => Err(Failure::usage(format!("{} is empty", path.display()))),
        text => Ok(text.to_owned()),
    }
}
