//! How often each caller requests something of the APIs. Every such request is recorded, so that
//! without a limit one caller could fill the disk.

use std::sync::Mutex;
use std::time::Instant;

use config::Limits;
use net::rates::{Rate, Rates, whole_seconds};

/// Callers remembered at once.
const CALLERS_MAX: usize = 10_000;

/// The requests of each caller.
pub struct CallerRates(Mutex<Rates<String>>);

impl Default for CallerRates {
    fn default() -> CallerRates {
        CallerRates(Mutex::new(Rates::new(CALLERS_MAX)))
    }
}

impl CallerRates {
    /// Counts a request, or errs with the seconds after which the next one is allowed.
    pub fn take(&self, caller: &str, limits: &Limits, now: Instant) -> Result<(), u64> {
        let rate =
            Rate::per_second(limits.caller_requests_per_second, limits.caller_requests_burst);
        let mut callers = self.0.lock().expect("no panic while held");
        callers.take(caller.to_owned(), rate, now).map_err(whole_seconds)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_caller_beyond_its_rate_waits_and_others_do_not() {
        let limits =
            Limits { caller_requests_per_second: 2, caller_requests_burst: 3, ..Limits::default() };
        let (callers, start) = (CallerRates::default(), Instant::now());
        let take = |caller, ms| callers.take(caller, &limits, start + Duration::from_millis(ms));
        assert_eq!([0; 3].map(|at| take("a", at)), [Ok(()); 3]);
        assert_eq!((take("a", 0), take("b", 0)), (Err(1), Ok(())));
        assert_eq!((take("a", 500), take("a", 500)), (Ok(()), Err(1)));
    }
}
