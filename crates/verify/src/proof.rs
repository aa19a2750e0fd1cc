//! Proof files of single events.

use event::entry;
use sha2::{Digest, Sha256};
use tlog::{Checkpoint, ProofFile};

use crate::error::{VerifyError, malformed, refuted};
use crate::keys::Keys;

/// An event with a valid proof.
pub struct ProvenEvent {
    /// The event's index.
    pub index: u64,
    /// The checkpoint that covers it.
    pub checkpoint: Checkpoint,
    /// The canonical bytes that the proof is about.
    pub entry: Vec<u8>,
}

/// Checks a proof file (C2SP tlog-proof). `entry` are the canonical bytes of the event; without
/// them, those in the proof file count. `raw` are the bytes as received, whose hash the entry has.
pub fn proof(
    keys: &Keys,
    file: &[u8],
    entry: Option<Vec<u8>>,
    raw: Option<&[u8]>,
) -> Result<ProvenEvent, VerifyError> {
    let proof = ProofFile::parse(file).map_err(malformed)?;
    let Some(entry) = entry.or_else(|| proof.extra.clone()) else {
        return Err(VerifyError::Unknown(
            "the proof comes without the entry; give it with --entry".to_owned(),
        ));
    };
    let digest = entry::digest(&entry);
    keys.open_note(&proof.checkpoint)?;
    let checkpoint = keys.first_of_log(|key| proof.verify(&digest, key))?;
    if let Some(raw) = raw {
        let decoded = entry::decode(&entry).map_err(malformed)?;
        if Sha256::digest(raw)[..] != decoded.raw_sha256 {
            return refuted("the raw bytes are not those that the entry names");
        }
    }
    Ok(ProvenEvent { index: proof.index, checkpoint, entry })
}
