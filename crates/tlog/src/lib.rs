//! Transparency logs: the Merkle tree over a log, proofs from it, and the formats that others read.
//!
//! The tree is that of RFC 6962 section 2.1; here its leaf data is the 32-byte digest of an entry,
//! so that the log can be shown to anyone. What is published is in the formats of C2SP:
//! signed-note, tlog-checkpoint, tlog-tiles, tlog-cosignature, tlog-witness, tlog-proof. The crate
//! is pure and knows nothing of events: whoever holds a key and some files can check a log with it.

#![deny(missing_docs)]

mod checkpoint;
mod note;
mod proof;
mod proof_file;
mod tile;
mod tree;
mod witness;

pub use checkpoint::Checkpoint;
pub use note::{
    Kind, Malformed, NOTE_BYTES_MAX, Note, SIGNATURES_MAX, Signature, Signer, Verifier, is_name,
};
pub use proof::{
    NoProof, Nodes, PROOF_HASHES_MAX, prove_consistency, prove_inclusion, subtree_hash,
    verify_consistency, verify_inclusion,
};
pub use proof_file::ProofFile;
pub use tile::{Resource, TILE_HEIGHT, TILE_WIDTH, Tile, Tiles, root_of};
pub use tree::{Hash, Tree, leaf_hash, node_hash};
pub use witness::AddCheckpoint;
