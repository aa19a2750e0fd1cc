//! Why something does not verify.

use std::fmt;

/// Why something does not verify.
#[derive(Debug)]
pub enum VerifyError {
    /// Nobody signed it, or something else was signed: bytes were changed, removed, rolled back or
    /// forked. The text says what.
    Refuted(String),
    /// The bytes of a directory contradict each other.
    Damaged(store::Error),
    /// It could not be read, so nothing is known about it.
    Unknown(String),
}

impl From<store::Error> for VerifyError {
    fn from(error: store::Error) -> VerifyError {
        match error {
            store::Error::Damage { .. } => VerifyError::Damaged(error),
            other => VerifyError::Unknown(other.to_string()),
        }
    }
}

pub(crate) fn refuted<T>(what: impl fmt::Display) -> Result<T, VerifyError> {
    Err(VerifyError::Refuted(what.to_string()))
}

impl From<String> for VerifyError {
    fn from(why: String) -> VerifyError {
        VerifyError::Refuted(why)
    }
}

/// The error for text that does not parse.
pub(crate) fn malformed(why: impl fmt::Display) -> VerifyError {
    VerifyError::Refuted(why.to_string())
}
