//! Maps and sets for millions of keys from outside: fast hashes with random keys in each process.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;
use std::sync::OnceLock;

pub(crate) type Map<K, V> = HashMap<K, V, RandomKeys>;
pub(crate) type Set<T> = HashSet<T, RandomKeys>;

/// Random hash keys, so that no sender can choose values that collide.
#[derive(Clone)]
pub(crate) struct RandomKeys(ahash::RandomState);

impl Default for RandomKeys {
    fn default() -> Self {
        static KEYS: OnceLock<[u64; 4]> = OnceLock::new();
        let [a, b, c, d] = *KEYS.get_or_init(|| {
            let random = std::hash::RandomState::new();
            [0, 1, 2, 3].map(|number: u64| random.hash_one(number))
        });
        RandomKeys(ahash::RandomState::with_seeds(a, b, c, d))
    }
}

impl BuildHasher for RandomKeys {
    type Hasher = ahash::AHasher;

    fn build_hasher(&self) -> Self::Hasher {
        self.0.build_hasher()
    }
}
