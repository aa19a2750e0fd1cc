//! Batches of the journal: their content and their location.

use event::Time;
use sha2::{Digest, Sha256};
use tlog::Hash;

/// Location of a frame in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// Number of the file, counted from 0 in order.
    pub file: u32,
    /// Byte offset in the file.
    pub offset: u32,
}

/// One committed batch, as replayed.
pub(crate) struct Batch<'a> {
    pub frames: Vec<(Position, u32, Content<'a>)>,
    pub commit: Commit,
    /// The file and the offset, for messages.
    pub file: &'a str,
    pub offset: u64,
}

/// Content of a frame of a batch.
pub(crate) enum Content<'a> {
    Event { index: u64, entry: &'a [u8], raw: &'a [u8] },
    DeadLetter(DeadLetter),
}

/// A rejected record in the dead-letter queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Position in the dead-letter queue, from 0.
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

impl DeadLetter {
    /// SHA-256 over the stored record: the bytes of its frame behind the kind (`docs/format.md`).
    pub fn digest(&self) -> Hash {
        let mut hash = Sha256::new();
        self.write_to(&mut |bytes| hash.update(bytes));
        hash.finalize().into()
    }

    /// Hands the bytes of the record, as its frame holds them, to `put`, piece by piece.
    pub(super) fn write_to(&self, put: &mut dyn FnMut(&[u8])) {
        put(&self.number.to_le_bytes());
        put(&self.received_at.unix_ns().to_le_bytes());
        for text in [&self.source, &self.reason] {
            let len = u32::try_from(text.len()).expect("bodies are limited to far below 4 GiB");
            put(&len.to_le_bytes());
            put(text.as_bytes());
        }
        put(&self.raw);
    }
}

/// The state of the log once a batch is durable.
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
    /// Dead letters in the log.
    pub dead_letters: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_a_dead_letter_covers_its_frame() {
        let record = DeadLetter {
            number: 1,
            received_at: Time::from_unix_ns(2),
            source: "hub".to_owned(),
            reason: "no JSON".to_owned(),
            raw: b"<x>".to_vec(),
        };
        let bytes = b"\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x03\0\0\0hub\x07\0\0\0no JSON<x>";
        assert_eq!(record.digest(), Hash::from(Sha256::digest(bytes)));
    }
}
