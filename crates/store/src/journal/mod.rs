//! The journal: batches of frames, in order, durable when appended.
//!
//! A batch is all or nothing. Its frames are followed by a commit frame; what is not followed by
//! one never happened. The bytes are specified in `docs/format.md`.

mod file;
mod frame;

use std::sync::Arc;

use event::Time;
use sha2::{Digest, Sha256};
use tlog::Hash;

use crate::Error;

pub(crate) use file::{FileJournal, Start, Tail as FileTail, create_first, read, scan_all};
pub(crate) use frame::{BatchWriter, EventFrame, PAYLOAD_BYTES_MAX};
pub(crate) use frame::{Frame, read as read_frame};

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

/// Where a frame begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// Which file, counted from 0 in order.
    pub file: u32,
    /// Byte offset in the file.
    pub offset: u32,
}

/// One committed batch, as replayed.
pub(crate) struct Batch<'a> {
    pub frames: Vec<(Position, u32, Content<'a>)>,
    pub commit: Commit,
    /// For messages.
    pub file: &'a str,
    pub offset: u64,
}

/// What a frame of a batch holds.
pub(crate) enum Content<'a> {
    Event { index: u64, entry: &'a [u8], raw: &'a [u8] },
    SetAside(SetAsideRecord),
}

/// Bytes that could not be used, as they were recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAsideRecord {
    /// Position among all set aside, from 0.
    pub number: u64,
    /// When we received it.
    pub received_at: Time,
    /// The configured source's name.
    pub source: String,
    /// Why, for people.
    pub reason: String,
    /// The bytes as received.
    pub raw: Vec<u8>,
}

impl SetAsideRecord {
    /// SHA-256 over the record as it is stored: what the frame of a record set aside has behind its
    /// kind (`docs/format.md`).
    pub fn digest(&self) -> Hash {
        let mut hash = Sha256::new();
        frame::put_record(self, &mut |bytes| hash.update(bytes));
        hash.finalize().into()
    }
}

/// What is true once a batch is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Commit {
    /// Batches are counted from 0.
    pub batch: u64,
    /// Frames of the batch, without this one.
    pub frames: u32,
    /// Events in the log.
    pub tree_size: u64,
    /// Root of the tree over their digests.
    pub root: Hash,
    /// Records set aside in the log.
    pub set_aside: u64,
}
