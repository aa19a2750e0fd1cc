//! Proof files: proof that one entry is in a log, checked offline with nothing but the log's key
//! (C2SP tlog-proof, section Format).

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::checkpoint::{Checkpoint, parse_decimal, parse_hashes};
use crate::note::{Malformed, Note, Verifier};
use crate::proof::{PROOF_HASHES_MAX, verify_inclusion};
use crate::tree::{Hash, leaf_hash};

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";

/// Proof that the entry at an index is in the tree of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofFile {
    /// Data that is not authenticated.
    pub extra: Option<Vec<u8>>,
    /// The entry's index in the log, from 0.
    pub index: u64,
    /// The audit path, from the leaf's sibling up.
    pub path: Vec<Hash>,
    /// The checkpoint, with the signatures it has.
    pub checkpoint: Note,
}

impl ProofFile {
    /// Reads a file. Its content is trustworthy only after [`ProofFile::verify`].
    pub fn parse(bytes: &[u8]) -> Result<ProofFile, Malformed> {
        let text = std::str::from_utf8(bytes).map_err(|_| Malformed("the proof is not UTF-8"))?;
        let (head, checkpoint) = text
            .split_once("\n\n")
            .ok_or(Malformed("the proof has no empty line before a checkpoint"))?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(FIRST_LINE) {
            return Err(Malformed("the first line is not that of a proof"));
        }
        let extra = match lines.next_if(|line| line.starts_with("extra ")) {
            Some(line) => Some(
                BASE64_STANDARD
                    .decode(&line["extra ".len()..])
                    .map_err(|_| Malformed("the extra data is not in base64"))?,
            ),
            None => None,
        };
        let index = lines
            .next()
            .and_then(|line| parse_decimal(line.strip_prefix("index ")?))
            .ok_or(Malformed("the proof has no index"))?;
        let path = parse_hashes(lines, PROOF_HASHES_MAX)?;
        let checkpoint = Note::parse(checkpoint.as_bytes())?;
        Ok(ProofFile { extra, index, path, checkpoint })
    }

    /// Checks that the entry with this digest is at the index of this proof in the log with this
    /// key. Returns the checkpoint that proves it.
    pub fn verify(&self, digest: &Hash, key: &Verifier) -> Result<Checkpoint, Malformed> {
        let checkpoint = Checkpoint::open(&self.checkpoint, key)?;
        let leaf = leaf_hash(digest);
        if verify_inclusion(&self.path, &leaf, self.index, checkpoint.size, &checkpoint.root) {
            Ok(checkpoint)
        } else {
            Err(Malformed("the entry is not the one at this index of the log"))
        }
    }
}

impl fmt::Display for ProofFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FIRST_LINE}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", BASE64_STANDARD.encode(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{}", BASE64_STANDARD.encode(hash)))?;
        write!(f, "\n{}", self.checkpoint)
    }
}
