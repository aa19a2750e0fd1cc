//! When tokens were used last, so that a login ends no token that a program still works with.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use event::Time;

/// Time after its issue from which a token that is used is more than that of a single act.
const LASTING_AFTER_S: i64 = 60;
/// Time after its last use for which a lasting token is in use.
const IN_USE_S: i64 = 60 * 60;

/// When tokens were used last, by their ids, in this run of the server.
#[derive(Default)]
pub struct TokenUses {
    /// What was issued before this time may be in use, although no use is known.
    since: Option<Time>,
    last: Mutex<HashMap<String, Time>>,
}

/// How much a token would be missed; the least is removed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    is_lasting: bool,
    last_used_at: Time,
}

impl Rank {
    pub fn is_in_use(&self, now: Time) -> bool {
        self.is_lasting && self.last_used_at.plus_seconds(IN_USE_S) > now
    }
}

impl TokenUses {
    pub fn since(since: Time) -> TokenUses {
        TokenUses { since: Some(since), ..TokenUses::default() }
    }

    /// Notes that a token is used.
    pub fn note(&self, id: &str, now: Time) {
        let mut last = self.locked();
        match last.get_mut(id) {
            Some(at) => *at = now,
            None => {
                last.insert(id.to_owned(), now);
            }
        }
    }

    /// When a token was used last, as far as that is known: at its issue, or at the start of this
    /// run, if later.
    pub fn last_used_at(&self, id: &str, issued_at: Time) -> Time {
        self.rank(id, issued_at).last_used_at
    }

    /// Forgets tokens that are gone.
    pub(crate) fn retain(&self, is_there: impl Fn(&str) -> bool) {
        self.locked().retain(|id, _| is_there(id));
    }

    pub(crate) fn rank(&self, id: &str, issued_at: Time) -> Rank {
        let unknown = self.since.filter(|&since| issued_at < since);
        match self.locked().get(id).copied() {
            Some(at) => {
                let is_lasting = at >= issued_at.plus_seconds(LASTING_AFTER_S);
                Rank { is_lasting, last_used_at: at }
            }
            None => {
                Rank { is_lasting: unknown.is_some(), last_used_at: unknown.unwrap_or(issued_at) }
            }
        }
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<String, Time>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
