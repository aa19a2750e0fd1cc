//! Permits for one kind of work: a limit on all of it, and on that of one caller.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// The permits for one kind of work.
pub struct CallerPermits {
    max: usize,
    per_caller_max: usize,
    /// Permits taken, by the callers' ids.
    taken: Arc<Mutex<HashMap<String, usize>>>,
}

/// A permit for the work of a caller; dropping it gives it back.
pub struct CallerPermit {
    taken: Arc<Mutex<HashMap<String, usize>>>,
    caller: String,
}

impl CallerPermits {
    pub fn new(max: usize, per_caller_max: usize) -> CallerPermits {
        CallerPermits { max, per_caller_max, taken: Arc::default() }
    }

    /// A permit for the work of this caller, if there is one.
    pub fn take(&self, caller: &str) -> Option<CallerPermit> {
        let mut taken = self.taken.lock().expect("no panic while held");
        let all: usize = taken.values().sum();
        let of_caller = taken.get(caller).copied().unwrap_or(0);
        if all >= self.max || of_caller >= self.per_caller_max {
            return None;
        }
        taken.insert(caller.to_owned(), of_caller + 1);
        Some(CallerPermit { taken: Arc::clone(&self.taken), caller: caller.to_owned() })
    }

    /// Number of permits taken.
    pub fn taken(&self) -> usize {
        self.taken.lock().expect("no panic while held").values().sum()
    }
}

impl Drop for CallerPermit {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().expect("no panic while held");
        if let Some(count) = taken.get_mut(&self.caller) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_caller_leaves_permits_to_others() {
        let permits = CallerPermits::new(3, 2);
        let held = [permits.take("a"), permits.take("a")];
        assert!(held.iter().all(Option::is_some));
        assert!(permits.take("a").is_none(), "of one caller");
        let other = permits.take("b");
        assert!(other.is_some());
        assert!(permits.take("c").is_none(), "of all");
        assert_eq!(permits.taken(), 3);
        drop(held);
        assert!(permits.take("a").is_some());
        drop(other);
        assert_eq!(permits.taken(), 0);
    }
}
