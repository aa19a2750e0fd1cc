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
    firsts: HashMap<Key, KeyEntry, BuildHasherDefault<KeyHasher>>,
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

    /// Removes the key that was added last with [`KeyIndex::insert_event`].
    pub fn take_back_event(&mut self, key: &Key) {
        debug_assert_eq!(self.active.last(), Some(key));
        self.active.pop();
        self.firsts.remove(key);
    }

    /// Removes a key that was added with [`KeyIndex::insert`].
    pub fn take_back(&mut self, key: &Key) {
        self.firsts.remove(key);
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
struct KeyHasher(u64);

impl Hasher for KeyHasher {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_by_kind_source_and_text() {
        let keys = [
            event_key("hub", "a"),
            event_key("hu", "ba"),
            event_key("mirror", "a"),
            dead_letter_key("hub", b"a"),
        ];
        for (position, key) in keys.iter().enumerate() {
            assert!(!keys[..position].contains(key), "key {position}");
        }
        assert_eq!(event_key("hub", "a"), keys[0]);
    }

    #[test]
    fn events_are_dropped_once_segments_have_them() {
        let mut index = KeyIndex::default();
        let entry = |index| KeyEntry::new(index, &[1; 32]);
        index.insert([9; 16], entry(0));
        index.insert_event([0; 16], entry(0));
        index.freeze(1);
        index.insert_event([1; 16], entry(1));
        index.freeze(2);
        index.insert_event([2; 16], entry(2));
        let held = |index: &KeyIndex| {
            [9, 0, 1, 2].map(|byte| index.get(&[byte; 16]).map(|entry| entry.index))
        };
        assert_eq!(held(&index), [Some(0), Some(0), Some(1), Some(2)]);
        index.forget_before(1);
        assert_eq!(held(&index), [Some(0), None, Some(1), Some(2)]);
        index.forget_before(9);
        assert_eq!(held(&index), [Some(0), None, None, Some(2)], "the active memtable stays");
    }

    #[test]
    fn keys_are_taken_back() {
        let mut index = KeyIndex::default();
        let entry = |index| KeyEntry::new(index, &[1; 32]);
        (0..3).for_each(|byte| index.insert_event([byte; 16], entry(u64::from(byte))));
        index.insert([9; 16], entry(0));
        index.take_back_event(&[2; 16]);
        index.take_back(&[9; 16]);
        assert!([2, 9].iter().all(|byte| index.get(&[*byte; 16]).is_none()));
        index.freeze(2);
        index.forget_before(2);
        assert!([0, 1].iter().all(|byte| index.get(&[*byte; 16]).is_none()), "the rest is known");
    }

    #[test]
    fn content_is_compared_by_its_hash() {
        let entry = KeyEntry::new(3, &[1; 32]);
        assert_eq!([entry.has_content(&[1; 32]), entry.has_content(&[2; 32])], [true, false]);
    }
}
