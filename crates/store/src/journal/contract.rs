//! What the log needs of a journal.

use std::sync::Arc;

use crate::error::Error;
use crate::journal::batch::{Commit, Position};
use crate::journal::frame::EventFrame;

/// Makes batches durable, one after another.
pub(crate) trait Journal: Send {
    /// Appends one batch, which ends in the frame of this commit. Returns where its first byte is
    /// once all of it is durable. After an error the journal must not be used any more.
    fn append(&mut self, commit: &Commit, frames: &[u8]) -> Result<Position, Error>;

    /// Writes down that this batch, the newest, is durable. Needs no sync of its own.
    fn mark(&mut self, batch: u64) -> Result<(), Error>;

    /// Reads what was appended, beside further appends.
    fn reader(&self) -> Arc<dyn Reader>;

    /// Makes the end of the journal durable as a clean one.
    fn close(&mut self) -> Result<(), Error>;
}

/// Reads frames back by position.
pub(crate) trait Reader: Send + Sync {
    /// The event frame at `at`, `len_bytes` long as it was written. Errs with [`Error::Damage`]
    /// when it differs.
    fn event(&self, at: Position, len_bytes: u32) -> Result<EventFrame, Error>;

    /// The bytes of any frame, checked.
    fn frame(&self, at: Position, len_bytes: u32) -> Result<Vec<u8>, Error>;

    /// Removes the files all of whose batches come before this one. Nothing in them may be read any
    /// more.
    fn drop_before(&self, batch: u64) -> Result<(), Error>;
}
