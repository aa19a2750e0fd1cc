//! Limits on failed logins.
//!
//! Failures are counted for each account at each address, and for each address. Strangers who guess
//! at an account can therefore not lock its owner out: failures at other addresses only slow the
//! owner down. Accounts that do not exist are counted like those that do, so that the limits do not
//! reveal which exist.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use net::rates::{Rate, Rates, host_of};
use sha2::{Digest, Sha256};

/// Accounts at addresses, accounts, and addresses in memory at once.
const COUNTS_MAX: usize = 10_000;
/// Attempts at accounts under attack in memory at once: more than a server answers in a pause.
const SLOWED_MAX: usize = 100_000;
/// Pause before an attempt at an account under attack.
const SLOW_PAUSE: Duration = Duration::from_secs(5);

/// Attempts that may wait for their turn, and those of one address; beyond, further ones are
/// refused.
const WAITING_MAX: usize = 64;
const WAITING_PER_ADDRESS_MAX: usize = 16;

/// An account, as a hash of the text by which it is looked up.
type Account = [u8; 32];

/// Recent failures.
pub struct Attempts {
    failures: Mutex<Failures>,
    turn: Mutex<()>,
    waiting: Mutex<HashMap<IpAddr, usize>>,
}

struct Failures {
    here: Rates<(Account, IpAddr)>,
    addresses: Rates<IpAddr>,
    accounts: Rates<Account>,
    /// Attempts at accounts under attack that were put off once.
    slowed: Rates<(Account, IpAddr)>,
}

/// Most failures in a minute.
#[derive(Debug, Clone, Copy)]
pub struct AttemptLimits {
    /// Of an account at one address.
    pub per_account: u32,
    /// At one address.
    pub per_address: u32,
    /// Of an account everywhere, before attempts at it are slowed down.
    pub slow_after: u32,
}

/// Held while one attempt is checked and counted, so that attempts at the same time do not exceed
/// the limits.
pub struct Turn<'a> {
    _turn: MutexGuard<'a, ()>,
    _slot: Slot<'a>,
}

/// A slot among those who wait.
struct Slot<'a> {
    waiting: &'a Mutex<HashMap<IpAddr, usize>>,
    address: IpAddr,
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = waiting.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                waiting.remove(&self.address);
            }
        }
    }
}

impl Default for Attempts {
    fn default() -> Attempts {
        let failures = Failures {
            here: Rates::new(COUNTS_MAX),
            addresses: Rates::new(COUNTS_MAX),
            accounts: Rates::new(COUNTS_MAX),
            slowed: Rates::new(SLOWED_MAX),
        };
        Attempts {
            failures: Mutex::new(failures),
            turn: Mutex::default(),
            waiting: Mutex::default(),
        }
    }
}

impl Attempts {
    /// Waits for a turn, one attempt at a time; `None` if too many wait already.
    pub fn turn(&self, address: IpAddr) -> Option<Turn<'_>> {
        let slot = self.slot(host_of(address))?;
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        Some(Turn { _turn: turn, _slot: slot })
    }

    fn slot(&self, address: IpAddr) -> Option<Slot<'_>> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, here) = (waiting.values().sum::<usize>(), waiting.get(&address).copied());
        if all >= WAITING_MAX || here.unwrap_or_default() >= WAITING_PER_ADDRESS_MAX {
            return None;
        }
        *waiting.entry(address).or_default() += 1;
        Some(Slot { waiting: &self.waiting, address })
    }

    /// Time until the next attempt at this account from this address; `None` for now.
    pub fn wait(
        &self,
        account: Option<&str>,
        address: IpAddr,
        limits: AttemptLimits,
        now: Instant,
    ) -> Option<Duration> {
        let failures = self.failures.lock().expect("no panic while held");
        let address = host_of(address);
        let here = account.and_then(|account| {
            let rate = Rate::per_minute(limits.per_account);
            failures.here.wait(&(hash(account), address), rate, now)
        });
        here.max(failures.addresses.wait(&address, Rate::per_minute(limits.per_address), now))
    }

    /// Time until this attempt is to be repeated, if the account is under attack. Whoever comes
    /// again after that time has one attempt, however many others are refused meanwhile.
    pub fn slow_down(
        &self,
        account: Option<&str>,
        address: IpAddr,
        limits: AttemptLimits,
        now: Instant,
    ) -> Option<Duration> {
        let mut failures = self.failures.lock().expect("no panic while held");
        let attempt = (hash(account?), host_of(address));
        failures.accounts.wait(&attempt.0, Rate::per_minute(limits.slow_after), now)?;
        let rate = Rate::one_each(SLOW_PAUSE);
        match failures.slowed.wait(&attempt, rate, now) {
            None if failures.slowed.forget(&attempt) => None,
            None => {
                failures.slowed.count(attempt, rate, now);
                Some(SLOW_PAUSE)
            }
            wait => wait,
        }
    }

    /// Counts a failure.
    pub fn count_failure(
        &self,
        account: Option<&str>,
        address: IpAddr,
        limits: AttemptLimits,
        now: Instant,
    ) {
        let mut failures = self.failures.lock().expect("no panic while held");
        let address = host_of(address);
        failures.addresses.count(address, Rate::per_minute(limits.per_address), now);
        let Some(account) = account.map(hash) else { return };
        failures.here.count((account, address), Rate::per_minute(limits.per_account), now);
        let rate = Rate::per_minute(limits.slow_after);
        // An attack that is over is forgotten in a minute, however long it was.
        let _ = failures.accounts.take(account, rate, now);
    }
}

fn hash(account: &str) -> Account {
    Sha256::digest(account).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: AttemptLimits = AttemptLimits { per_account: 2, per_address: 3, slow_after: 10 };
    const SECOND: Duration = Duration::from_secs(1);

    fn host(number: u32) -> IpAddr {
        IpAddr::V4(number.into())
    }

    #[test]
    fn failures_are_counted_for_an_account_at_an_address_and_for_an_address() {
        let (attempts, start) = (Attempts::default(), Instant::now());
        let (here, there) = (host(1), host(2));
        let fail = |account, address| attempts.count_failure(account, address, LIMITS, start);
        let wait = |account, address, s| attempts.wait(account, address, LIMITS, start + s);
        fail(Some("a"), here);
        assert_eq!(wait(Some("a"), here, Duration::ZERO), None);
        fail(Some("a"), here);
        assert_eq!(wait(Some("a"), here, SECOND), Some(29 * SECOND));
        assert_eq!(wait(Some("a"), there, SECOND), None, "the account's owner elsewhere");
        assert_eq!(wait(Some("b"), here, SECOND), None, "another account");
        fail(Some("b"), here);
        let pause = Some(19 * SECOND);
        assert_eq!(wait(Some("c"), here, SECOND), pause, "any account, at this address");
        assert_eq!(wait(None, here, SECOND), pause, "without an account too");
        assert_eq!(wait(Some("a"), here, 30 * SECOND), None, "expired");
    }

    #[test]
    fn an_account_under_attack_is_slow_and_never_locked() {
        let (attempts, start) = (Attempts::default(), Instant::now());
        let owner = host(1);
        let slow = |address, now| attempts.slow_down(Some("a"), address, LIMITS, now);
        assert_eq!(slow(owner, start), None);
        for number in 0..1000 {
            attempts.count_failure(Some("a"), host(100 + number), LIMITS, start);
        }
        assert_eq!(attempts.slow_down(Some("b"), owner, LIMITS, start), None);
        assert_eq!(attempts.slow_down(None, owner, LIMITS, start), None);
        for round in 0..5 {
            let now = start + round * SECOND;
            assert_eq!(slow(owner, now), Some(SLOW_PAUSE.saturating_sub(round * SECOND)));
            // Others who guess meanwhile do not move the owner's turn.
            for number in 0..1000 {
                assert!(slow(host(100 + number), now).is_some());
                attempts.count_failure(Some("a"), host(100 + number), LIMITS, now);
            }
        }
        assert_eq!(attempts.wait(Some("a"), owner, LIMITS, start + SLOW_PAUSE), None);
        assert_eq!(slow(owner, start + SLOW_PAUSE), None, "one attempt");
        assert_eq!(
            slow(owner, start + SLOW_PAUSE),
            Some(SLOW_PAUSE),
            "and a pause before the next"
        );
        assert_eq!(slow(host(2), start + 120 * SECOND), None, "the attack is over");
    }

    #[test]
    fn an_ipv6_host_has_one_count() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        for host in ["2001:db8::1", "2001:db8::2", "2001:db8::ffff:3"] {
            attempts.count_failure(None, address(host), LIMITS, now);
        }
        let wait = |text| attempts.wait(None, address(text), LIMITS, now);
        assert_eq!(wait("2001:db8::9"), Some(20 * SECOND));
        assert_eq!(wait("2001:db8:0:1::9"), None);
    }

    #[test]
    fn few_wait_for_their_turn_and_fewer_of_one_address() {
        let attempts = Attempts::default();
        let address = |number: usize| host(u32::try_from(number).expect("small"));
        let first = attempts.turn(address(0));
        assert!(first.is_some());
        let waiting = || attempts.waiting.lock().expect("no panic").values().sum::<usize>();
        std::thread::scope(|scope| {
            let wait_until = |count| {
                while waiting() < count {
                    std::thread::yield_now();
                }
            };
            for _ in 1..WAITING_PER_ADDRESS_MAX {
                scope.spawn(|| assert!(attempts.turn(address(0)).is_some()));
            }
            wait_until(WAITING_PER_ADDRESS_MAX);
            assert!(attempts.turn(address(0)).is_none(), "those of one address");
            for number in WAITING_PER_ADDRESS_MAX..WAITING_MAX {
                let attempts = &attempts;
                scope.spawn(move || assert!(attempts.turn(address(number)).is_some()));
            }
            wait_until(WAITING_MAX);
            assert!(attempts.turn(address(1)).is_none(), "all");
            drop(first);
        });
        assert!(attempts.turn(address(0)).is_some());
        assert_eq!(waiting(), 0);
    }
}
