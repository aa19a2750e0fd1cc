//! A tree that only grows, represented by its frontier.
//!
//! RFC 6962 section 2.1 defines the Merkle tree hash of n leaves as that of the largest power of
//! two below n beside the rest. Growing needs only the roots of the complete subtrees on the right
//! edge, one for each bit set in n: at most 64 hashes, whatever the size.

use sha2::{Digest, Sha256};

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// Levels of the tree between two levels of tiles.
pub const TILE_HEIGHT: u32 = 8;

/// Hash of a leaf with this data: SHA-256(0x00 || data), RFC 6962 section 2.1.
pub fn leaf_hash(data: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(data).finalize().into()
}

/// Hash of an inner node: SHA-256(0x01 || left || right), RFC 6962 section 2.1.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// A Merkle tree that only grows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    size: u64,
    /// Roots of the complete subtrees, largest (leftmost) first; one for each bit set in `size`.
    frontier: Vec<Hash>,
}

impl Tree {
    /// A tree without leaves.
    pub fn new() -> Tree {
        Tree::default()
    }

    /// A tree of this many leaves, whose complete subtrees have these roots, largest first. `None`
    /// if a tree of that size has another number of them.
    pub fn with_frontier(size: u64, frontier: Vec<Hash>) -> Option<Tree> {
        (frontier.len() == size.count_ones() as usize).then_some(Tree { size, frontier })
    }

    /// Roots of the complete subtrees, largest first.
    pub fn frontier(&self) -> &[Hash] {
        &self.frontier
    }

    /// How many leaves there are.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends the leaf with this data; its index is the size before.
    pub fn push(&mut self, data: &[u8]) {
        self.push_and_visit(data, &mut |_, _| ());
    }

    /// Appends the leaf with this data and calls `visit` with each hash that is the root of a full
    /// tile then: the level of the tiles that contain it, from 1 on, and the hash (C2SP tlog-tiles,
    /// section Merkle Tree).
    pub fn push_and_visit(&mut self, data: &[u8], visit: &mut dyn FnMut(u32, Hash)) {
        let mut hash = leaf_hash(data);
        for level in 1..=self.size.trailing_ones() {
            let left = self.frontier.pop().expect("one root for each set bit of the size");
            hash = node_hash(&left, &hash);
            if level.is_multiple_of(TILE_HEIGHT) {
                visit(level / TILE_HEIGHT, hash);
            }
        }
        self.frontier.push(hash);
        self.size += 1;
    }

    /// The root hash; that of the empty tree is SHA-256 of nothing.
    pub fn root(&self) -> Hash {
        let mut subtrees = self.frontier.iter().rev();
        match subtrees.next() {
            None => Sha256::digest([]).into(),
            Some(last) => subtrees.fold(*last, |right, left| node_hash(left, &right)),
        }
    }
}
