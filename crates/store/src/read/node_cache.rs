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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_found_until_the_cache_is_full() {
        let cache = NodeCache::default();
        for position in 0..NODES_MAX as u64 {
            cache.insert(3, position, [1; 32]);
        }
        assert_eq!((cache.find(3, 0), cache.find(4, 0)), (Some([1; 32]), None));
        cache.insert(4, 0, [2; 32]);
        assert_eq!((cache.find(3, 0), cache.find(4, 0)), (None, Some([2; 32])));
    }
}
