//! Pagination snapshots: a client that reads page after page while events arrive sees no row twice
//! and misses none.
//!
//! The first page of a query takes a snapshot for its caller and question: the size of the log, and
//! the time. Later pages read from it. Tokens would be better, but the wires have only offsets and
//! page numbers.

use std::collections::HashMap;
use std::fmt;
use std::sync::Mutex;

use event::Time;
use sha2::{Digest, Sha256};

/// Longest pause between two pages.
const PAUSE_MAX_S: i64 = 10 * 60;
/// Snapshots remembered at once: about 1 MiB. Beyond, the older half is forgotten.
const SNAPSHOTS_MAX: usize = 10_000;

/// Caller and question: a hash, since a question may be long.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key([u8; 32]);

impl Key {
    /// `question` is the request without the page.
    pub fn new(user: &str, question: &impl fmt::Debug) -> Key {
        Key(Sha256::digest(format!("{user}\0{question:?}")).into())
    }
}

/// The state of the log that a page is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshot {
    /// Number of events in the log; `None` for all at this moment.
    pub size: Option<u64>,
    /// When the first page was requested.
    pub began_at: Time,
}

/// Snapshots that clients still read from.
#[derive(Default)]
pub struct Snapshots(Mutex<HashMap<Key, Pin>>);

struct Pin {
    size: u64,
    began_at: Time,
    used_at: Time,
}

impl Snapshots {
    /// The snapshot that a page is read from; for a first page, the log at this moment.
    pub fn find(&self, key: &Key, is_first: bool, now: Time) -> Snapshot {
        let fresh = Snapshot { size: None, began_at: now };
        if is_first {
            return fresh;
        }
        let mut pins = self.0.lock().expect("no panic while held");
        match pins.get_mut(key).filter(|pin| pin.used_at.plus_seconds(PAUSE_MAX_S) > now) {
            Some(pin) => {
                pin.used_at = now;
                Snapshot { size: Some(pin.size), began_at: pin.began_at }
            }
            None => fresh,
        }
    }

    /// Takes a snapshot with its first page, which was read from a log of this size.
    pub fn take(&self, key: Key, size: u64, now: Time) {
        let mut pins = self.0.lock().expect("no panic while held");
        if pins.len() >= SNAPSHOTS_MAX && !pins.contains_key(&key) {
            forget_the_older_half(&mut pins);
        }
        pins.insert(key, Pin { size, began_at: now, used_at: now });
    }
}

fn forget_the_older_half(pins: &mut HashMap<Key, Pin>) {
    let mut times: Vec<Time> = pins.values().map(|pin| pin.used_at).collect();
    let middle = times.len() / 2;
    let (_, median, _) = times.select_nth_unstable(middle);
    let median = *median;
    pins.retain(|_, pin| pin.used_at > median);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(user: &str) -> Key {
        Key::new(user, &("swr", "hub", "pull"))
    }

    #[test]
    fn later_pages_are_read_from_the_first_pages_snapshot() {
        let snapshots = Snapshots::default();
        let at = |second| Time::from_unix_ns(0).plus_seconds(second);
        let fresh = |second| Snapshot { size: None, began_at: at(second) };
        let pinned = Snapshot { size: Some(7), began_at: at(0) };
        snapshots.take(key("a"), 7, at(0));
        assert_eq!(snapshots.find(&key("a"), true, at(1)), fresh(1), "a first page takes another");
        assert_eq!(snapshots.find(&key("a"), false, at(1)), pinned);
        assert_eq!(snapshots.find(&key("b"), false, at(1)), fresh(1), "another caller");
        assert_eq!(snapshots.find(&key("a"), false, at(600)), pinned, "each page renews it");
        assert_eq!(snapshots.find(&key("a"), false, at(1200)), fresh(1200), "paused too long");
    }

    #[test]
    fn memory_is_bounded() {
        let snapshots = Snapshots::default();
        for number in 0..=SNAPSHOTS_MAX {
            snapshots.take(key(&number.to_string()), 1, Time::from_unix_ns(number as i64));
        }
        let newest = key(&SNAPSHOTS_MAX.to_string());
        assert_eq!(snapshots.find(&newest, false, Time::from_unix_ns(0)).size, Some(1));
        assert!(snapshots.0.lock().expect("held by nobody").len() <= SNAPSHOTS_MAX / 2 + 1);
    }
}
