//! Stable pages: a client that walks pages while events arrive sees none twice and misses none.
//!
//! The first page of a walk (offset 0) pins the size the log had for that caller, trail and operation; later pages answer
//! as of it. Tokens would be better, but the wire has only offset and limit.

use std::collections::HashMap;
use std::sync::Mutex;

use event::{Time, Trail};

use super::Listed;

/// How long a walk may pause between pages.
const PAUSE_MAX_S: i64 = 10 * 60;
/// Walks remembered at once: about 2 MiB. Beyond, those that paused longest are forgotten.
const WALKS_MAX: usize = 10_000;

/// Whose walk over what.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    user: String,
    trail: Trail,
    operation: Option<Listed>,
}

impl Key {
    pub(super) fn new(user: &str, trail: &Trail, operation: Option<Listed>) -> Key {
        Key { user: user.to_owned(), trail: trail.clone(), operation }
    }
}

/// The walks under way.
#[derive(Default)]
pub(crate) struct Walks(Mutex<HashMap<Key, Pin>>);

struct Pin {
    size: u64,
    used_at: Time,
}

impl Walks {
    /// The size that a page at this offset answers as of; `None` for now.
    pub(super) fn size_for(&self, key: &Key, offset: u64, now: Time) -> Option<u64> {
        if offset == 0 {
            return None;
        }
        let mut walks = self.0.lock().expect("no panic while held");
        let pin = walks.get_mut(key).filter(|pin| pin.used_at.plus_seconds(PAUSE_MAX_S) > now)?;
        pin.used_at = now;
        Some(pin.size)
    }

    /// Begins a walk.
    pub(super) fn pin(&self, key: Key, size: u64, now: Time) {
        let mut walks = self.0.lock().expect("no panic while held");
        if walks.len() >= WALKS_MAX && !walks.contains_key(&key) {
            forget_the_older_half(&mut walks);
        }
        walks.insert(key, Pin { size, used_at: now });
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
    use event::Service;

    use super::*;

    fn key(user: &str) -> Key {
        Key::new(user, &Trail::new(Service::Registry, "t", "p", "i").expect("valid"), Some(Listed::Pull))
    }

    #[test]
    fn later_pages_answer_as_of_the_first() {
        let walks = Walks::default();
        let at = |second| Time::from_unix_ns(0).plus_seconds(second);
        walks.pin(key("a"), 7, at(0));
        assert_eq!(walks.size_for(&key("a"), 0, at(1)), None, "offset 0 begins anew");
        assert_eq!(walks.size_for(&key("a"), 10, at(1)), Some(7));
        assert_eq!(walks.size_for(&key("b"), 10, at(1)), None, "another caller");
        assert_eq!(walks.size_for(&key("a"), 20, at(600)), Some(7), "each page renews it");
        assert_eq!(walks.size_for(&key("a"), 30, at(1200)), None, "paused too long");
    }

    #[test]
    fn memory_is_bounded() {
        let walks = Walks::default();
        for walk in 0..=WALKS_MAX {
            walks.pin(key(&walk.to_string()), 1, Time::from_unix_ns(walk as i64));
        }
        let newest = key(&WALKS_MAX.to_string());
        assert_eq!(walks.size_for(&newest, 10, Time::from_unix_ns(0)), Some(1));
        assert!(walks.0.lock().expect("held by nobody").len() <= WALKS_MAX / 2 + 1);
    }
}
