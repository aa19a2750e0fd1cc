//! Stable pages: a client that walks pages while events arrive sees none twice and misses none.
//!
//! The first page of a walk pins the size the log had for that caller and question, and the moment
//! it was asked; later pages answer as of both. Tokens would be better, but the wires have only
//! offsets and page numbers.

use std::collections::HashMap;
use std::sync::Mutex;

use event::Time;
use sha2::{Digest, Sha256};

/// How long a walk may pause between pages.
const PAUSE_MAX_S: i64 = 10 * 60;
/// Walks remembered at once: about 1 MiB. Beyond, those that paused longest are forgotten.
const WALKS_MAX: usize = 10_000;

/// Whose walk over what: a hash, since a question may be long.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key([u8; 32]);

impl Key {
    /// `question` is all that was asked but for the page.
    pub fn new(user: &str, question: &impl std::fmt::Debug) -> Key {
        Key(Sha256::digest(format!("{user}\0{question:?}")).into())
    }
}

/// The moment that a page answers as of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AsOf {
    /// How many events the log held; `None` for all of now.
    pub size: Option<u64>,
    /// When the walk began.
    pub began_at: Time,
}

/// The walks under way.
#[derive(Default)]
pub struct Walks(Mutex<HashMap<Key, Pin>>);

struct Pin {
    size: u64,
    began_at: Time,
    used_at: Time,
}

impl Walks {
    /// The moment that a page answers as of; a first page answers as of now.
    pub fn as_of(&self, key: &Key, is_first: bool, now: Time) -> AsOf {
        let fresh = AsOf { size: None, began_at: now };
        if is_first {
            return fresh;
        }
        let mut walks = self.0.lock().expect("no panic while held");
        match walks.get_mut(key).filter(|pin| pin.used_at.plus_seconds(PAUSE_MAX_S) > now) {
            Some(pin) => {
                pin.used_at = now;
                AsOf { size: Some(pin.size), began_at: pin.began_at }
            }
            None => fresh,
        }
    }

    /// Begins a walk with its first page, which answered as of this size.
    pub fn begin(&self, key: Key, size: u64, now: Time) {
        let mut walks = self.0.lock().expect("no panic while held");
        if walks.len() >= WALKS_MAX && !walks.contains_key(&key) {
            forget_the_older_half(&mut walks);
        }
        walks.insert(key, Pin { size, began_at: now, used_at: now });
    }
}

fn forget_the_older_half(walks: &mut HashMap<Key, Pin>) {
    let mut times: Vec<Time> = walks.values().map(|pin| pin.used_at).collect();
    let middle = times.len() / 2;
    let (_, median, _) = times.select_nth_unstable(middle);
    let median = *median;
    walks.retain(|_, pin| pin.used_at > median);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(user: &str) -> Key {
        Key::new(user, &("swr", "hub", "pull"))
    }

    #[test]
    fn later_pages_answer_as_of_the_first() {
        let walks = Walks::default();
        let at = |second| Time::from_unix_ns(0).plus_seconds(second);
        let fresh = |second| AsOf { size: None, began_at: at(second) };
        let pinned = AsOf { size: Some(7), began_at: at(0) };
        walks.begin(key("a"), 7, at(0));
        assert_eq!(walks.as_of(&key("a"), true, at(1)), fresh(1), "a first page begins anew");
        assert_eq!(walks.as_of(&key("a"), false, at(1)), pinned);
        assert_eq!(walks.as_of(&key("b"), false, at(1)), fresh(1), "another caller");
        assert_eq!(walks.as_of(&key("a"), false, at(600)), pinned, "each page renews it");
        assert_eq!(walks.as_of(&key("a"), false, at(1200)), fresh(1200), "paused too long");
    }

    #[test]
    fn memory_is_bounded() {
        let walks = Walks::default();
        for walk in 0..=WALKS_MAX {
            walks.begin(key(&walk.to_string()), 1, Time::from_unix_ns(walk as i64));
        }
        let newest = key(&WALKS_MAX.to_string());
        assert_eq!(walks.as_of(&newest, false, Time::from_unix_ns(0)).size, Some(1));
        assert!(walks.0.lock().expect("held by nobody").len() <= WALKS_MAX / 2 + 1);
    }
}
