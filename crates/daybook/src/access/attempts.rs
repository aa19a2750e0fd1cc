//! Limits on failed logins, for each account and each address.
//!
//! Accounts that do not exist are counted as those that do, so that the limit does not tell them apart.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;

use event::Time;

/// Failures are counted over this long, and forgotten then.
pub const WINDOW_S: i64 = 60;
/// Accounts and addresses remembered at once; beyond, the oldest half is forgotten.
const REMEMBERED_MAX: usize = 10_000;

/// Who failed lately.
#[derive(Default)]
pub struct Attempts(Mutex<HashMap<Who, Failures>>);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Who {
    Account(String),
    Address(IpAddr),
}

#[derive(Clone, Copy)]
struct Failures {
    since: Time,
    count: u32,
}

/// How many failures an account and an address may have in a minute.
#[derive(Debug, Clone, Copy)]
pub struct AttemptLimits {
    pub per_account: u32,
    pub per_address: u32,
}

impl Attempts {
    /// Seconds until this account may be tried again from this address; `None` for at once.
    pub fn wait_s(
        &self,
        account: Option<&str>,
        address: IpAddr,
        limits: AttemptLimits,
        now: Time,
    ) -> Option<u64> {
        let failures = self.0.lock().expect("no panic while held");
        let left = |who: &Who, most: u32| {
            let found = failures.get(who).filter(|found| found.count >= most)?;
            let left_ns = found.since.plus_seconds(WINDOW_S).unix_ns().checked_sub(now.unix_ns())?;
            u64::try_from(left_ns).ok().map(|ns| ns.div_ceil(1_000_000_000)).filter(|&s| s > 0)
        };
        let account = account.and_then(|one| left(&Who::Account(one.to_owned()), limits.per_account));
        account.max(left(&Who::Address(address), limits.per_address))
    }

    /// Counts a failure.
    pub fn failed(&self, account: Option<&str>, address: IpAddr, now: Time) {
        let mut failures = self.0.lock().expect("no panic while held");
        if failures.len() >= REMEMBERED_MAX {
            failures.retain(|_, found| found.since.plus_seconds(WINDOW_S) > now);
        }
        if failures.len() >= REMEMBERED_MAX {
            let mut times: Vec<Time> = failures.values().map(|found| found.since).collect();
            let middle = times.len() / 2;
            let (_, median, _) = times.select_nth_unstable(middle);
            let median = *median;
            failures.retain(|_, found| found.since > median);
        }
        let account = account.map(|one| Who::Account(one.to_owned()));
        for who in account.into_iter().chain([Who::Address(address)]) {
            let found = failures.entry(who).or_insert(Failures { since: now, count: 0 });
            if found.since.plus_seconds(WINDOW_S) <= now {
                *found = Failures { since: now, count: 0 };
            }
            found.count += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: AttemptLimits = AttemptLimits { per_account: 2, per_address: 3 };

    #[test]
    fn failures_are_counted_for_a_minute() {
        let attempts = Attempts::default();
        let at = |second| Time::from_unix_ns(0).plus_seconds(second);
        let (here, there): (IpAddr, IpAddr) = ([127, 0, 0, 1].into(), [10, 0, 0, 1].into());
        attempts.failed(Some("a"), here, at(0));
        assert_eq!(attempts.wait_s(Some("a"), here, LIMITS, at(1)), None);
        attempts.failed(Some("a"), here, at(1));
        assert_eq!(attempts.wait_s(Some("a"), here, LIMITS, at(2)), Some(58));
        assert_eq!(attempts.wait_s(Some("a"), there, LIMITS, at(2)), Some(58), "the account, from anywhere");
        assert_eq!(attempts.wait_s(Some("b"), here, LIMITS, at(2)), None);
        attempts.failed(Some("b"), here, at(2));
        assert_eq!(
            attempts.wait_s(Some("c"), here, LIMITS, at(2)),
            Some(58),
            "any account, from this address"
        );
        assert_eq!(attempts.wait_s(None, here, LIMITS, at(2)), Some(58), "without an account too");
        assert_eq!(attempts.wait_s(Some("a"), here, LIMITS, at(60)), None, "forgotten");
    }

    #[test]
    fn memory_is_bounded() {
        let attempts = Attempts::default();
        for number in 0..3 * i64::try_from(REMEMBERED_MAX).expect("small") {
            attempts.failed(Some(&number.to_string()), [127, 0, 0, 1].into(), Time::from_unix_ns(number));
        }
        assert!(attempts.0.lock().expect("held by nobody").len() <= REMEMBERED_MAX + 2);
    }
}
