//! The Merkle tree over the log.
//!
//! The tree of RFC 6962 section 2.1, whose leaf data is the 32-byte digest of an entry. The crate is pure and knows
//! nothing of events: whoever holds digests can build the tree with it.

#![deny(missing_docs)]

mod tree;

pub use tree::{Hash, Tree, leaf_hash, node_hash};
