//! Hashes of subtrees, cached.

use std::collections::HashMap;
use std::sync::Mutex;
use tlog::Hash;

/// Hashes of complete subtrees, which never change, that took many others to make. The right edge
/// of the tree is in every proof, and what is far up in most.
#[derive(Default)]
pub(crate) struct NodeCache(Mutex<HashMap<(u32, u64), Hash>>);

/// So many hashes, of 48 bytes with their places; then all are forgotten.
const NODES_MAX: usize = 8192;
/// A hash that is made of fewer is made again.
pub(super) const CACHED_LEVEL_MIN: u32 = 3;

impl NodeCache {
    pub fn find(&self, level: u32, position: u64) -> Option<Hash> {
        self.0.lock().expect("no panic while held").get(&(level, position)).copied()
    }

    pub fn insert(&self, level: u32, position: u64, hash: Hash) {
        let mut nodes = self.0.lock().expect("no panic while held");
        if nodes.len() >= NODES_MAX {
            nodes.clear();
        }
        nodes.insert((level, position), hash);
    }
}
