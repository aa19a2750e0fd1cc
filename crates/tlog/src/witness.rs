//! Requests of a log to a witness (C2SP tlog-witness, section add-checkpoint).

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::checkpoint::{parse_decimal, parse_hashes};
use crate::note::{Malformed, Note};
use crate::tree::Hash;

/// Most hashes of a request.
const HASHES_MAX: usize = 63;

/// Request to cosign a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// The size of the tree that the witness cosigned last.
    pub old_size: u64,
    /// Proof that the checkpoint's tree extends that one; empty if it has no leaves.
    pub path: Vec<Hash>,
    /// The checkpoint, signed by the log.
    pub checkpoint: Note,
}

impl AddCheckpoint {
    /// Reads a request's body.
    pub fn parse(bytes: &[u8]) -> Result<AddCheckpoint, Malformed> {
        let text = std::str::from_utf8(bytes).map_err(|_| Malformed("the request is not UTF-8"))?;
        let (head, checkpoint) = text
            .split_once("\n\n")
            .ok_or(Malformed("the request has no empty line before a checkpoint"))?;
        let mut lines = head.split('\n');
        let old_size = lines
            .next()
            .and_then(|line| parse_decimal(line.strip_prefix("old ")?))
            .ok_or(Malformed("the request has no old size"))?;
        let path = parse_hashes(lines, HASHES_MAX)?;
        let checkpoint = Note::parse(checkpoint.as_bytes())?;
        Ok(AddCheckpoint { old_size, path, checkpoint })
    }
}

impl fmt::Display for AddCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old_size)?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{}", BASE64_STANDARD.encode(hash)))?;
        write!(f, "\n{}", self.checkpoint)
    }
}
