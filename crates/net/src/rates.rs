//! Rates: how often each key, such as an address or a caller, may do something. Pure: the moment is
//! an argument.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// A burst at once, and then one act after each interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    burst: u32,
    interval: Duration,
}

impl Rate {
    /// So many acts a second, after a burst.
    pub fn per_second(count: usize, burst: usize) -> Rate {
        let (count, burst) = (saturated(count), saturated(burst));
        Rate { burst, interval: Duration::from_secs(1) / count }
    }

    /// So many acts a minute, all of them at once if none came before.
    pub fn per_minute(count: u32) -> Rate {
        let count = count.max(1);
        Rate { burst: count, interval: Duration::from_secs(60) / count }
    }

    /// One act after each interval.
    pub fn one_each(interval: Duration) -> Rate {
        Rate { burst: 1, interval }
    }

    /// Time until the burst is whole again at which one more act is allowed.
    fn debt_max(&self) -> Duration {
        self.interval.saturating_mul(self.burst - 1)
    }
}

/// At least 1, since a rate of nothing would refuse everything.
fn saturated(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX).max(1)
}

/// The acts of each key, as the moment at which its burst is whole again (GCRA). Clocks that jump
/// do not matter.
pub struct Rates<K> {
    whole_at: HashMap<K, Instant>,
    keys_max: usize,
}

impl<K: Eq + Hash> Rates<K> {
    /// Remembers so many keys. Beyond, the half that may act soonest is forgotten: a flood of new
    /// keys refuses nobody.
    pub fn new(keys_max: usize) -> Rates<K> {
        Rates { whole_at: HashMap::new(), keys_max: keys_max.max(1) }
    }

    /// Time until the next act is allowed; `None` for now.
    pub fn wait(&self, key: &K, rate: Rate, now: Instant) -> Option<Duration> {
        let debt = self.whole_at.get(key)?.saturating_duration_since(now);
        debt.checked_sub(rate.debt_max()).filter(|wait| !wait.is_zero())
    }

    /// Counts an act that was allowed.
    pub fn count(&mut self, key: K, rate: Rate, now: Instant) {
        if !self.whole_at.contains_key(&key) && self.whole_at.len() >= self.keys_max {
            self.forget_half();
        }
        let whole_at = self.whole_at.entry(key).or_insert(now);
        *whole_at = (*whole_at).max(now) + rate.interval;
    }

    /// Counts an act if it is allowed; otherwise errs with the time until it is.
    pub fn take(&mut self, key: K, rate: Rate, now: Instant) -> Result<(), Duration> {
        match self.wait(&key, rate, now) {
            Some(wait) => Err(wait),
            None => {
                self.count(key, rate, now);
                Ok(())
            }
        }
    }

    /// Forgets the acts of a key; whether any were remembered.
    pub fn forget(&mut self, key: &K) -> bool {
        self.whole_at.remove(key).is_some()
    }

    /// The number of keys remembered.
    pub fn len(&self) -> usize {
        self.whole_at.len()
    }

    pub fn is_empty(&self) -> bool {
        self.whole_at.is_empty()
    }

    fn forget_half(&mut self) {
        let mut moments: Vec<Instant> = self.whole_at.values().copied().collect();
        let middle = moments.len() / 2;
        let (_, median, _) = moments.select_nth_unstable(middle);
        let median = *median;
        self.whole_at.retain(|_, whole_at| *whole_at > median);
    }
}

/// The key of an address: an IPv6 host has all addresses of its /64.
pub fn host_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => IpAddr::V4(v4),
            None => IpAddr::V6((u128::from(v6) >> 64 << 64).into()),
        },
    }
}

/// Whole seconds to wait, as `Retry-After` has them.
pub fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_burst_comes_first_and_then_one_after_each_interval() {
        let (mut rates, start) = (Rates::new(10), Instant::now());
        let rate = Rate::per_second(10, 3);
        for _ in 0..3 {
            assert_eq!(rates.take("a", rate, start), Ok(()));
        }
        assert_eq!(rates.take("a", rate, start), Err(100 * MS));
        assert_eq!(rates.take("b", rate, start), Ok(()), "another key");
        assert_eq!(rates.take("a", rate, start + 99 * MS), Err(MS));
        assert_eq!(rates.take("a", rate, start + 100 * MS), Ok(()));
        assert_eq!(rates.take("a", rate, start + 100 * MS), Err(100 * MS));
        let later = start + Duration::from_secs(9);
        let taken = (0..9).filter(|_| rates.take("a", rate, later).is_ok()).count();
        assert_eq!(taken, 3, "a pause gives the burst back, and no more");
    }

    #[test]
    fn over_a_long_time_the_rate_holds_exactly() {
        let (mut rates, start) = (Rates::new(10), Instant::now());
        let rate = Rate::per_second(7, 20);
        let taken = (0..60_000).filter(|&ms| rates.take((), rate, start + ms * MS).is_ok()).count();
        assert!((20 + 7 * 60 - 1..=20 + 7 * 60).contains(&taken), "{taken}");
    }

    #[test]
    fn a_refused_act_costs_nothing() {
        let (mut rates, start) = (Rates::new(10), Instant::now());
        let rate = Rate::one_each(5 * MS);
        assert_eq!(rates.take((), rate, start), Ok(()));
        for _ in 0..1000 {
            assert_eq!(rates.take((), rate, start + MS), Err(4 * MS));
        }
        assert_eq!(rates.take((), rate, start + 5 * MS), Ok(()));
    }

    #[test]
    fn rates_without_sense_and_moments_out_of_order_are_harmless() {
        let (mut rates, start) = (Rates::new(10), Instant::now());
        assert_eq!(Rate::per_second(0, 0), Rate::per_second(1, 1));
        assert_eq!(Rate::per_minute(0), Rate::per_minute(1));
        let endless = Rate::per_second(usize::MAX, usize::MAX);
        assert!((0..1000).all(|_| rates.take(1, endless, start).is_ok()));
        let rate = Rate::per_minute(u32::MAX);
        assert!((0..1000).all(|_| rates.take(2, rate, start).is_ok()));
        let rate = Rate::one_each(MS);
        assert_eq!(rates.take(3, rate, start + 9 * MS), Ok(()));
        assert_eq!(rates.take(3, rate, start), Err(10 * MS));
    }

    #[test]
    fn memory_is_bounded_and_those_who_wait_longest_are_remembered() {
        let (mut rates, start) = (Rates::new(100), Instant::now());
        let rate = Rate::per_minute(2);
        for _ in 0..2 {
            assert_eq!(rates.take(0, rate, start), Ok(()));
        }
        for key in 1..10_000 {
            assert_eq!(rates.take(key, rate, start), Ok(()), "a flood of keys refuses nobody");
            assert!(rates.len() <= 100);
        }
        assert!(rates.take(0, rate, start).is_err());
    }

    #[test]
    fn an_ipv6_host_is_its_network() {
        let host = |text: &str| host_of(text.parse().expect("an address")).to_string();
        assert_eq!(host("2001:db8::1"), host("2001:db8::ffff:3"));
        assert_ne!(host("2001:db8::1"), host("2001:db8:0:1::1"));
        assert_eq!(host("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(host("192.0.2.1"), "192.0.2.1");
    }

    #[test]
    fn waits_are_rounded_up() {
        for (wait, seconds) in [(Duration::ZERO, 0), (MS, 1), (1000 * MS, 1), (1001 * MS, 2)] {
            assert_eq!(whole_seconds(wait), seconds);
        }
    }
}
