//! The interface of a journal: appending, and reading by position.

use std::sync::Arc;

use crate::error::Error;
use crate::journal::batch::{Commit, Position};
use crate::journal::frame::EventFrame;

/// Makes batches durable, one after another.
pub(crate) trait Journal: Send {
    /// Appends one batch, which ends in the frame of this commit. Returns the location of its first
    /// byte once all of it is durable. After an error the journal must not be used any more, unless
    /// it [found no room](Error::is_storage_full): then the journal is as it was.
    fn append(&mut self, commit: &Commit, frames: &[u8]) -> Result<Position, Error>;

    /// Records that this batch, the newest, is durable. Needs no sync of its own. Errors are those
    /// of [`Journal::append`].
    fn mark(&mut self, batch: u64) -> Result<(), Error>;

    /// A reader that works beside further appends.
    fn reader(&self) -> Arc<dyn Reader>;

    /// Ends the journal cleanly and durably.
    fn close(&mut self) -> Result<(), Error>;
}

/// Reads frames by position.
pub(crate) trait Reader: Send + Sync {
    /// The event frame at `at`, of `len_bytes` bytes. Errs with [`Error::Damage`] when it differs
    /// from what was written.
    fn event(&self, at: Position, len_bytes: u32) -> Result<EventFrame, Error>;

    /// The bytes of any frame, checked.
    fn frame(&self, at: Position, len_bytes: u32) -> Result<Vec<u8>, Error>;

    /// Removes the files whose batches all come before this one. Nothing in them may be read any
    /// more.
    fn drop_before(&self, batch: u64) -> Result<(), Error>;
}
