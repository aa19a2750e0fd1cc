//! A cache of subtree hashes.

use std::collections::HashMap;
use std::sync::Mutex;

use tlog::Hash;

/// Hashes of complete subtrees, which never change, made of many others. The right edge of the tree
/// is in every proof, and upper nodes are in most.
#[derive(Default)]
pub(crate) struct NodeCache(Mutex<HashMap<(u32, u64), Hash>>);

/// Limit of the hashes, of 48 bytes with their positions; all are dropped then.
const NODES_MAX: usize = 8192;
/// Hashes below this level within a tile are computed again.
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
