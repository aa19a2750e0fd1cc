//! Deduplication: the events in the log, by the key that their source gave them.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

use sha2::{Digest, Sha256};

/// Identifies a delivery and its repetitions: half of a SHA-256 over source and key.
pub(crate) type Key = [u8; 16];

/// The key of an event.
pub(crate) fn event_key(source: &str, key: &str) -> Key {
    hash(b"event", source, key.as_bytes())
}

/// The key of a dead letter. It has no id, so equal bytes of one source are the same record.
pub(crate) fn dead_letter_key(source: &str, raw: &[u8]) -> Key {
    hash(b"dead letter", source, raw)
}

fn hash(kind: &[u8], source: &str, rest: &[u8]) -> Key {
    let digest = Sha256::new()
        .chain_update(kind)
        .chain_update([0])
        .chain_update(source.as_bytes())
        .chain_update([0])
        .chain_update(rest)
        .finalize();
    let mut key = [0; 16];
    key.copy_from_slice(&digest[..16]);
    key
}

/// The event that was recorded under some key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyEntry {
    pub index: u64,
    content: [u8; 8],
}

impl KeyEntry {
    pub fn new(index: u64, raw_sha256: &[u8; 32]) -> KeyEntry {
        let mut content = [0; 8];
        content.copy_from_slice(&raw_sha256[..8]);
        KeyEntry { index, content }
    }

    /// Whether the first delivery had these bytes.
    pub fn has_content(&self, raw_sha256: &[u8; 32]) -> bool {
        self.content == raw_sha256[..8]
    }
}

/// Keys of the events that are in no segment, and of the dead letters: 56 bytes each.
#[derive(Default)]
pub(crate) struct KeyIndex {
    firsts: HashMap<Key, KeyEntry, BuildHasherDefault<AlreadyHashed>>,
    /// Keys of the events of the active memtable.
    active: Vec<Key>,
    /// Keys of the frozen memtables, with the index behind each.
    frozen: VecDeque<(u64, Vec<Key>)>,
}

impl KeyIndex {
    pub fn get(&self, key: &Key) -> Option<KeyEntry> {
        self.firsts.get(key).copied()
    }

    /// Adds a key that is never dropped.
    pub fn insert(&mut self, key: Key, first: KeyEntry) {
        self.firsts.insert(key, first);
    }

    /// Adds a key that is dropped once a segment has its event.
    pub fn insert_event(&mut self, key: Key, first: KeyEntry) {
        self.firsts.insert(key, first);
        self.active.push(key);
    }

    /// Ends the active memtable at this index.
    pub fn freeze(&mut self, end: u64) {
        self.frozen.push_back((end, std::mem::take(&mut self.active)));
    }

    /// Drops the events before this index; segments have them.
    pub fn forget_before(&mut self, index: u64) {
        while self.frozen.front().is_some_and(|(end, _)| *end <= index) {
            let (_, keys) = self.frozen.pop_front().expect("just seen");
            for key in keys {
                self.firsts.remove(&key);
            }
        }
    }
}

/// Keys are hashes, so their own bytes spread well enough; nobody can choose them without breaking
/// SHA-256.
#[derive(Default)]
struct AlreadyHashed(u64);

impl Hasher for AlreadyHashed {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(head) = bytes.first_chunk::<8>() {
            self.0 = u64::from_le_bytes(*head);
        }
    }

    /// The length of the array, which is always the same.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}
