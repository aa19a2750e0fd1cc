//! Requests of each caller in the running minute.

use std::collections::HashMap;
use std::sync::Mutex;

use event::Time;

/// Requests of each caller in the running minute, where a limit is configured.
#[derive(Default)]
pub struct Pace(Mutex<HashMap<String, (i64, u64)>>);

/// Callers counted at once. Beyond, those of earlier minutes are forgotten.
const CALLERS_MAX: usize = 10_000;

impl Pace {
    /// Counts a request; whether it is within the limit.
    pub fn allows(&self, user: &str, per_minute: u64, now: Time) -> bool {
        if per_minute == 0 {
            return true;
        }
        let minute = now.unix_ms().div_euclid(60_000);
        let mut callers = self.0.lock().expect("no panic while held");
        if callers.len() >= CALLERS_MAX {
            callers.retain(|_, (of, _)| *of == minute);
        }
        let (of, count) = callers.entry(user.to_owned()).or_insert((minute, 0));
        if *of != minute {
            (*of, *count) = (minute, 0);
        }
        *count += 1;
        *count <= per_minute
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_is_counted_by_minute_and_caller() {
        let pace = Pace::default();
        let at = |second| Time::from_unix_ns(0).plus_seconds(second);
        assert!(pace.allows("a", 2, at(0)) && pace.allows("a", 2, at(1)));
        assert!(!pace.allows("a", 2, at(59)));
        assert!(pace.allows("b", 2, at(59)));
        assert!(pace.allows("a", 2, at(60)));
        assert!((0..1000).all(|_| pace.allows("a", 0, at(60))));
    }
}
