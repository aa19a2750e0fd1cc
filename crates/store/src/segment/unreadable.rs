//! Why a segment is not readable.

use crate::error::Error;

/// Why a segment did not open.
#[derive(Clone, Debug)]
pub(crate) struct Unreadable {
    pub file: String,
    pub offset: u64,
    pub what: String,
    /// Whether the trails of the segment are known nevertheless.
    pub knows_trails: bool,
}

impl Unreadable {
    pub fn error(&self) -> Error {
        Error::damage(&self.file, self.offset, self.what.clone())
    }
}
