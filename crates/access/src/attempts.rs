//! Limits on failed logins, for each account and each address.
//!
//! Accounts that do not exist are counted like those that do, so that the limit does not reveal
//! which exist.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use event::Time;
use sha2::{Digest, Sha256};

/// Time for which a failure counts.
pub const WINDOW_S: i64 = 60;
/// Accounts in memory at once, and addresses; beyond, the oldest half is dropped.
const COUNTS_MAX: usize = 10_000;

/// Attempts that may wait for their turn; beyond, further ones are refused.
const WAITING_MAX: usize = 64;

/// Recent failures.
#[derive(Default)]
pub struct Attempts {
    accounts: Mutex<FailureCounts<[u8; 32]>>,
    addresses: Mutex<FailureCounts<IpAddr>>,
    turn: Mutex<()>,
    waiting: AtomicUsize,
}

#[derive(Clone, Copy)]
struct Failures {
    since: Time,
    count: u32,
}

/// Most failures of an account and of an address in a minute.
#[derive(Debug, Clone, Copy)]
pub struct AttemptLimits {
    pub per_account: u32,
    pub per_address: u32,
}

/// Held while one attempt is checked and counted, so that attempts at the same time do not exceed
/// the limits.
pub struct Turn<'a> {
    _turn: MutexGuard<'a, ()>,
    waiting: &'a AtomicUsize,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Attempts {
    /// Waits for a turn, one attempt at a time; `None` if too many wait already.
    pub fn turn(&self) -> Option<Turn<'_>> {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING_MAX {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        Some(Turn { _turn: turn, waiting: &self.waiting })
    }

    /// Seconds until the next attempt at this account from this address; `None` for now.
    pub fn wait_s(
        &self,
        account: Option<&str>,
        address: IpAddr,
        limits: AttemptLimits,
        now: Time,
    ) -> Option<u64> {
        let accounts = self.accounts.lock().expect("no panic while held");
        let account = account.and_then(|one| accounts.wait_s(&hash(one), limits.per_account, now));
        let addresses = self.addresses.lock().expect("no panic while held");
        account.max(addresses.wait_s(&network(address), limits.per_address, now))
    }

    /// Counts a failure.
    pub fn count_failure(&self, account: Option<&str>, address: IpAddr, now: Time) {
        if let Some(account) = account {
            self.accounts.lock().expect("no panic while held").count(hash(account), now);
        }
        self.addresses.lock().expect("no panic while held").count(network(address), now);
    }
}

fn hash(account: &str) -> [u8; 32] {
    Sha256::digest(account).into()
}

/// The address that is counted: an IPv6 host has all addresses of its /64.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => IpAddr::V4(v4),
            None => IpAddr::V6((u128::from(v6) >> 64 << 64).into()),
        },
    }
}

/// Failures by account, or by address.
struct FailureCounts<K>(HashMap<K, Failures>);

impl<K> Default for FailureCounts<K> {
    fn default() -> Self {
        FailureCounts(HashMap::new())
    }
}

impl<K: Eq + Hash> FailureCounts<K> {
    fn wait_s(&self, who: &K, most: u32, now: Time) -> Option<u64> {
        let failures = self.0.get(who).filter(|failures| failures.count >= most)?;
        let left_ns = failures.since.plus_seconds(WINDOW_S).unix_ns().checked_sub(now.unix_ns())?;
        u64::try_from(left_ns).ok().map(|ns| ns.div_ceil(1_000_000_000)).filter(|&s| s > 0)
    }

    fn count(&mut self, who: K, now: Time) {
        if self.0.len() >= COUNTS_MAX {
            self.0.retain(|_, failures| failures.since.plus_seconds(WINDOW_S) > now);
        }
        if self.0.len() >= COUNTS_MAX {
            let mut times: Vec<Time> = self.0.values().map(|failures| failures.since).collect();
            let middle = times.len() / 2;
            let (_, median, _) = times.select_nth_unstable(middle);
            let median = *median;
            self.0.retain(|_, failures| failures.since > median);
        }
        let failures = self.0.entry(who).or_insert(Failures { since: now, count: 0 });
        if failures.since.plus_seconds(WINDOW_S) <= now {
            *failures = Failures { since: now, count: 0 };
        }
        failures.count += 1;
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
        attempts.count_failure(Some("a"), here, at(0));
        assert_eq!(attempts.wait_s(Some("a"), here, LIMITS, at(1)), None);
        attempts.count_failure(Some("a"), here, at(1));
        assert_eq!(attempts.wait_s(Some("a"), here, LIMITS, at(2)), Some(58));
        assert_eq!(
            attempts.wait_s(Some("a"), there, LIMITS, at(2)),
            Some(58),
            "the account, from anywhere"
        );
        assert_eq!(attempts.wait_s(Some("b"), here, LIMITS, at(2)), None);
        attempts.count_failure(Some("b"), here, at(2));
        assert_eq!(
            attempts.wait_s(Some("c"), here, LIMITS, at(2)),
            Some(58),
            "any account, from this address"
        );
        assert_eq!(attempts.wait_s(None, here, LIMITS, at(2)), Some(58), "without an account too");
        assert_eq!(attempts.wait_s(Some("a"), here, LIMITS, at(60)), None, "expired");
    }

    #[test]
    fn memory_is_bounded() {
        let attempts = Attempts::default();
        for number in 0..3 * i64::try_from(COUNTS_MAX).expect("small") {
            attempts.count_failure(
                Some(&number.to_string()),
                [127, 0, 0, 1].into(),
                Time::from_unix_ns(number),
            );
        }
        assert!(attempts.accounts.lock().expect("held by nobody").0.len() <= COUNTS_MAX + 1);
    }

    #[test]
    fn an_ipv6_host_has_one_count() {
        let attempts = Attempts::default();
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        let at = Time::from_unix_ns(0);
        for host in ["2001:db8::1", "2001:db8::2", "2001:db8::ffff:3"] {
            attempts.count_failure(None, address(host), at);
        }
        assert_eq!(attempts.wait_s(None, address("2001:db8::9"), LIMITS, at), Some(60));
        assert_eq!(attempts.wait_s(None, address("2001:db8:0:1::9"), LIMITS, at), None);
        for _ in 0..3 {
            attempts.count_failure(None, address("::ffff:192.0.2.1"), at);
        }
        assert_eq!(attempts.wait_s(None, address("192.0.2.1"), LIMITS, at), Some(60));
    }

    #[test]
    fn few_wait_for_their_turn() {
        let attempts = Attempts::default();
        let first = attempts.turn();
        assert!(first.is_some());
        std::thread::scope(|scope| {
            for _ in 1..WAITING_MAX {
                scope.spawn(|| assert!(attempts.turn().is_some()));
            }
            while attempts.waiting.load(Ordering::Relaxed) < WAITING_MAX {
                std::thread::yield_now();
            }
            assert!(attempts.turn().is_none());
            drop(first);
        });
        assert!(attempts.turn().is_some());
    }
}
