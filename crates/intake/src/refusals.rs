//! Refusals, as Daybook records them: a few a second of each sender one by one, and the others as
//! counts, so that refusing costs no disk.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use config::Limits;
use event::Time;
use net::rates::{Rate, Rates, host_of};

/// Senders that are counted apart at once; further ones are counted together.
const SENDERS_MAX: usize = 1000;
/// Kinds of refusals that are counted apart for one sender; further ones are counted together.
const KINDS_MAX: usize = 16;
/// Refusals recorded one by one at once, as seconds of the rate.
const BURST_S: usize = 10;

/// Limits on the record of refusals.
#[derive(Debug, Clone, Copy)]
pub struct RefusalLimits {
    /// Refusals of one sender that are recorded one by one.
    per_sender: Rate,
    /// The same of all senders that are no callers.
    of_strangers: Rate,
    /// Time over which the others are counted.
    counted_for: Duration,
}

impl From<&Limits> for RefusalLimits {
    fn from(limits: &Limits) -> RefusalLimits {
        let rate = |count: usize| Rate::per_second(count, count.saturating_mul(BURST_S));
        RefusalLimits {
            per_sender: rate(limits.refusals_recorded_per_sender),
            of_strangers: rate(limits.refusals_recorded_of_strangers),
            counted_for: Duration::from_secs(limits.refusals_counted_s),
        }
    }
}

/// Who was refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Sender {
    /// A user with valid credentials.
    Caller { id: String, name: Option<String> },
    /// Anyone else at this address.
    Host(IpAddr),
    /// Those beyond the number that is counted apart, and those without an address.
    Others,
}

impl Sender {
    pub fn at(address: Option<IpAddr>) -> Sender {
        address.map_or(Sender::Others, |address| Sender::Host(host_of(address)))
    }
}

/// What was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refused {
    /// A request to an API.
    Request,
    /// A request to a source's intake without its token.
    Token,
}

/// Refusals of one sender over some time.
#[derive(Debug, PartialEq, Eq)]
pub struct RefusalCount {
    pub refused: Refused,
    pub sender: Sender,
    pub total: u64,
    /// Operation and status, or the source, with the number of each.
    pub kinds: BTreeMap<String, u64>,
    pub first: Time,
    pub last: Time,
}

/// The refusals of all senders.
pub struct Refusals {
    limits: RefusalLimits,
    senders: Rates<Sender>,
    strangers: Rates<()>,
    counts: BTreeMap<(Refused, Sender), RefusalCount>,
    /// When the counts are to be recorded.
    due_at: Option<Instant>,
}

impl Refusals {
    pub fn new(limits: RefusalLimits) -> Refusals {
        let (senders, strangers) = (Rates::new(SENDERS_MAX), Rates::new(1));
        Refusals { limits, senders, strangers, counts: BTreeMap::new(), due_at: None }
    }

    /// Whether a refusal of this sender is recorded by itself.
    pub fn admits(&mut self, sender: &Sender, now: Instant) -> bool {
        let is_stranger = !matches!(sender, Sender::Caller { .. });
        let (per_sender, of_strangers) = (self.limits.per_sender, self.limits.of_strangers);
        // A flood of strangers' requests hides no caller's.
        if self.senders.wait(sender, per_sender, now).is_some()
            || (is_stranger && self.strangers.wait(&(), of_strangers, now).is_some())
        {
            return false;
        }
        self.senders.count(sender.clone(), per_sender, now);
        if is_stranger {
            self.strangers.count((), of_strangers, now);
        }
        true
    }

    /// Counts a refusal that is not recorded by itself.
    pub fn count(&mut self, refused: Refused, sender: Sender, kind: &str, at: Time, now: Instant) {
        self.due_at.get_or_insert(now + self.limits.counted_for);
        let mut key = (refused, sender);
        if self.counts.len() >= SENDERS_MAX && !self.counts.contains_key(&key) {
            key.1 = Sender::Others;
        }
        let count = self.counts.entry(key).or_insert_with_key(|(refused, sender)| RefusalCount {
            refused: *refused,
            sender: sender.clone(),
            total: 0,
            kinds: BTreeMap::new(),
            first: at,
            last: at,
        });
        count.total += 1;
        (count.first, count.last) = (count.first.min(at), count.last.max(at));
        let has_room = count.kinds.len() < KINDS_MAX || count.kinds.contains_key(kind);
        let kind = if has_room { kind } else { "other" };
        *count.kinds.entry(kind.to_owned()).or_default() += 1;
    }

    /// Takes the counts once their time is over.
    pub fn take_due(&mut self, now: Instant) -> Vec<RefusalCount> {
        if self.due_at.is_some_and(|due_at| due_at <= now) { self.take_all() } else { Vec::new() }
    }

    /// Takes all counts.
    pub fn take_all(&mut self) -> Vec<RefusalCount> {
        self.due_at = None;
        std::mem::take(&mut self.counts).into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Time = Time::from_unix_ns(1);

    fn refusals() -> Refusals {
        let limits = Limits {
            refusals_recorded_per_sender: 2,
            refusals_recorded_of_strangers: 3,
            refusals_counted_s: 60,
            ..Limits::default()
        };
        Refusals::new(RefusalLimits::from(&limits))
    }

    fn host(number: usize) -> Sender {
        let number = u32::try_from(number).expect("small");
        Sender::at(Some(IpAddr::V4(number.into())))
    }

    fn caller() -> Sender {
        Sender::Caller { id: "a".to_owned(), name: None }
    }

    /// Refuses so many requests at once; the number recorded one by one.
    fn refuse(refusals: &mut Refusals, sender: &Sender, times: usize, now: Instant) -> usize {
        let mut recorded = 0;
        for _ in 0..times {
            if refusals.admits(sender, now) {
                recorded += 1;
            } else {
                refusals.count(Refused::Request, sender.clone(), "iam.CreateToken 401", AT, now);
            }
        }
        recorded
    }

    #[test]
    fn a_few_are_recorded_one_by_one_and_every_other_is_counted() {
        let (mut refusals, start) = (refusals(), Instant::now());
        assert_eq!(refuse(&mut refusals, &host(1), 2000, start), 20);
        assert_eq!(refuse(&mut refusals, &host(2), 2000, start), 10, "of all strangers, 30");
        assert_eq!(refuse(&mut refusals, &caller(), 25, start), 20, "a caller is not hidden");
        let second = Duration::from_secs(1);
        assert_eq!(refuse(&mut refusals, &host(1), 2000, start + second), 2);
        assert_eq!(refusals.take_due(start + 59 * second), Vec::new());
        let counts = refusals.take_due(start + 60 * second);
        let totals: Vec<_> = counts.iter().map(|count| (&count.sender, count.total)).collect();
        assert_eq!(totals, [(&caller(), 5), (&host(1), 3978), (&host(2), 1990)]);
        assert_eq!(counts[1].kinds, BTreeMap::from([("iam.CreateToken 401".to_owned(), 3978)]));
        assert_eq!(refusals.take_due(start + 1000 * second), Vec::new(), "each is counted once");
    }

    #[test]
    fn counts_have_their_kinds_and_their_first_and_last_moment() {
        let (mut refusals, start) = (refusals(), Instant::now());
        for ns in [5, 3, 9] {
            let at = Time::from_unix_ns(ns);
            refusals.count(Refused::Token, host(1), &format!("kind {}", ns % 2), at, start);
        }
        refusals.count(Refused::Request, host(1), "kind", AT, start);
        let [request, token] = &refusals.take_all()[..] else { panic!("two counts") };
        assert_eq!((request.total, token.total), (1, 3));
        assert_eq!((token.first.unix_ns(), token.last.unix_ns()), (3, 9));
        assert_eq!(token.kinds.values().copied().collect::<Vec<_>>(), [3]);
    }

    #[test]
    fn senders_and_kinds_are_bounded() {
        let (mut refusals, start) = (refusals(), Instant::now());
        for number in 0..SENDERS_MAX + 500 {
            refusals.count(Refused::Request, host(number), &number.to_string(), AT, start);
        }
        for number in 0..100 {
            refusals.count(Refused::Request, host(0), &number.to_string(), AT, start);
        }
        let counts = refusals.take_all();
        assert_eq!(counts.len(), SENDERS_MAX + 1);
        assert_eq!(counts.iter().map(|count| count.total).sum::<u64>(), 1600);
        let of = |sender: &Sender| counts.iter().find(|count| count.sender == *sender);
        let others = of(&Sender::Others).expect("those beyond");
        assert_eq!((others.total, others.kinds.len()), (500, KINDS_MAX + 1));
        assert_eq!(of(&host(0)).expect("the first").kinds["other"], 84);
    }
}
