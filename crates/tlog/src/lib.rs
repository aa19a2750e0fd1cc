//! Transparency logs: the Merkle tree over a log, proofs from it, and the formats that others read.
//!
//! The tree is that of RFC 6962 section 2.1; here its leaf data is the 32-byte digest of an entry,
//! so that the log can be shown to anyone. Published files have the formats of C2SP: signed-note,
//! tlog-checkpoint, tlog-tiles, tlog-cosignature, tlog-witness, tlog-proof. The crate is pure and
//! knows nothing of events: a key and some files are enough to check a log with it.
//!
//! # Example
//!
//! An auditor has the log's public key, an entry, and the proof file for it:
//!
//! ```
//! # use tlog::{Checkpoint, Kind, Note, Signer, Tree, leaf_hash};
//! # // The log's side: two entries, a signed checkpoint, and the proof of the second entry.
//! # let digests = [[1; 32], [2; 32]];
//! # let mut tree = Tree::new();
//! # digests.iter().for_each(|digest| tree.push(digest));
//! # let signer = Signer::new("log.example.com", Kind::Note, &[7; 32])?;
//! # let origin = "log.example.com".to_owned();
//! # let text = Checkpoint { origin, size: tree.size(), root: tree.root() }.text();
//! # let mut checkpoint = Note::new(text)?;
//! # checkpoint.add(signer.sign(checkpoint.text(), 0));
//! # let path = vec![leaf_hash(&digests[0])];
//! # let proof_file = tlog::ProofFile { extra: None, index: 1, path, checkpoint }.to_string();
//! # let public_key = signer.verifier().to_string();
//! # let digest = digests[1];
//! use tlog::{ProofFile, Verifier};
//!
//! let key = Verifier::parse(&public_key)?; // log.example.com+<id>+<key>
//! let proof = ProofFile::parse(proof_file.as_bytes())?;
//!
//! // `digest` is the SHA-256 of the entry. An error means that the entry is not in the log.
//! let checkpoint = proof.verify(&digest, &key)?;
//! assert_eq!((proof.index, checkpoint.size), (1, 2));
//! assert!(proof.verify(&[3; 32], &key).is_err());
//! # Ok::<(), tlog::Malformed>(())
//! ```
//!
//! A checkpoint and an audit path from another file are checked by [`Checkpoint::open`] and
//! [`verify_inclusion`].

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
pub use tile::{Resource, TILE_WIDTH, Tile, Tiles, root_of};
pub use tree::{Hash, TILE_HEIGHT, Tree, leaf_hash, node_hash};
pub use witness::AddCheckpoint;
