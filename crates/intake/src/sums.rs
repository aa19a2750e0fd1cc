//! When it is told how much was lost of a source: the first at once, what follows once in
//! [`TOLD_EVERY_NS`], and the rest when the server ends. So a flood of losses is no flood of
//! records, and each loss is in one of them.
//!
//! Pure: time is an argument, and whoever calls records it.

use event::Time;

/// Between two records of a source's losses of a kind: an hour of them is 60 records.
pub const TOLD_EVERY_NS: i64 = 60_000_000_000;

/// What was told of some counters.
#[derive(Debug)]
pub struct Sums<const COUNTERS: usize> {
    told: [u64; COUNTERS],
    told_at: Option<Time>,
    /// When no more had been lost than was told.
    since: Time,
}

impl<const COUNTERS: usize> Sums<COUNTERS> {
    /// Of a source of which nothing was lost yet.
    pub fn from(now: Time) -> Self {
        Sums { told: [0; COUNTERS], told_at: None, since: now }
    }

    /// What is to be told now, and since when it was lost. `all` was lost since the server started.
    /// `is_last` when there will be no other time. It is given again until [`Sums::told`].
    pub fn due(
        &mut self,
        all: [u64; COUNTERS],
        now: Time,
        is_last: bool,
    ) -> Option<([u64; COUNTERS], Time)> {
        let new = std::array::from_fn(|counter| all[counter].saturating_sub(self.told[counter]));
        if new == [0; COUNTERS] {
            self.since = now;
            return None;
        }
        let is_soon = |told_at: Time| {
            (0..TOLD_EVERY_NS).contains(&now.unix_ns().saturating_sub(told_at.unix_ns()))
                && !is_last
        };
        (!self.told_at.is_some_and(is_soon)).then_some((new, self.since))
    }

    /// Takes note that what [`Sums::due`] gave was told.
    pub fn told(&mut self, new: [u64; COUNTERS], now: Time) {
        for (told, new) in self.told.iter_mut().zip(new) {
            *told += new;
        }
        (self.told_at, self.since) = (Some(now), now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Time {
        Time::from_unix_ns(seconds * 1_000_000_000)
    }

    #[test]
    fn each_loss_is_told_once_and_not_each_by_itself() {
        let mut sums = Sums::from(at(100));
        let mut told = |now, all, is_last| {
            let (new, since) = sums.due(all, at(now), is_last)?;
            sums.told(new, at(now));
            Some((new, since))
        };
        assert_eq!(told(101, [0, 0], true), None);
        assert_eq!(told(102, [2, 0], false), Some(([2, 0], at(101))));
        assert_eq!(told(103, [2, 5], false), None, "it waits");
        assert_eq!(told(161, [3, 5], false), None);
        assert_eq!(told(162, [3, 6], false), Some(([1, 6], at(102))));
        assert_eq!(told(163, [3, 6], false), None);
        assert_eq!(told(164, [4, 6], true), Some(([1, 0], at(163))), "the rest at the end");
        assert_eq!(told(90, [5, 6], false), Some(([1, 0], at(164))), "a clock that was put back");
    }

    #[test]
    fn what_could_not_be_told_is_told_with_what_follows() {
        let mut sums = Sums::from(at(100));
        assert_eq!(sums.due([1, 0], at(101), false), Some(([1, 0], at(100))));
        assert_eq!(sums.due([1, 1], at(102), false), Some(([1, 1], at(100))));
        sums.told([1, 1], at(102));
        assert_eq!(sums.due([1, 1], at(500), false), None);
    }
}
