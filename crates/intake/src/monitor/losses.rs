//! Reports of a source's losses: the first at once, further ones once in [`REPORT_EVERY_NS`], and
//! the rest at the end of the server. A flood of losses makes no flood of records, and each loss is
//! in one of them.
//!
//! Pure: time is an argument, and the caller records the reports.

use event::Time;

/// The interval between two reports of a kind: an hour of losses is 60 records.
pub const REPORT_EVERY_NS: i64 = 60_000_000_000;

/// The reported part of some counters.
#[derive(Debug)]
pub struct LossReport<const COUNTERS: usize> {
    reported: [u64; COUNTERS],
    reported_at: Option<Time>,
    /// The last time at which every loss was reported.
    since: Time,
}

impl<const COUNTERS: usize> LossReport<COUNTERS> {
    /// Starts without losses.
    pub fn from(now: Time) -> Self {
        LossReport { reported: [0; COUNTERS], reported_at: None, since: now }
    }

    /// The losses to report now, and since when they count. `all` are the losses since the server
    /// started; `is_last` is the end of the server. The same losses are due until
    /// [`LossReport::reported`].
    pub fn due(
        &mut self,
        all: [u64; COUNTERS],
        now: Time,
        is_last: bool,
    ) -> Option<([u64; COUNTERS], Time)> {
        let new =
            std::array::from_fn(|counter| all[counter].saturating_sub(self.reported[counter]));
        if new == [0; COUNTERS] {
            self.since = now;
            return None;
        }
        let is_soon = |reported_at: Time| {
            (0..REPORT_EVERY_NS).contains(&now.unix_ns().saturating_sub(reported_at.unix_ns()))
                && !is_last
        };
        (!self.reported_at.is_some_and(is_soon)).then_some((new, self.since))
    }

    /// Notes that the losses of [`LossReport::due`] were reported.
    pub fn reported(&mut self, new: [u64; COUNTERS], now: Time) {
        for (reported, new) in self.reported.iter_mut().zip(new) {
            *reported += new;
        }
        (self.reported_at, self.since) = (Some(now), now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Time {
        Time::from_unix_ns(seconds * 1_000_000_000)
    }

    #[test]
    fn each_loss_is_reported_once_and_many_together() {
        let mut report = LossReport::from(at(100));
        let mut reported = |now, all, is_last| {
            let (new, since) = report.due(all, at(now), is_last)?;
            report.reported(new, at(now));
            Some((new, since))
        };
        assert_eq!(reported(101, [0, 0], true), None);
        assert_eq!(reported(102, [2, 0], false), Some(([2, 0], at(101))));
        assert_eq!(reported(103, [2, 5], false), None, "it waits");
        assert_eq!(reported(161, [3, 5], false), None);
        assert_eq!(reported(162, [3, 6], false), Some(([1, 6], at(102))));
        assert_eq!(reported(163, [3, 6], false), None);
        assert_eq!(reported(164, [4, 6], true), Some(([1, 0], at(163))), "the rest at the end");
        assert_eq!(
            reported(90, [5, 6], false),
            Some(([1, 0], at(164))),
            "a clock that was put back"
        );
    }

    #[test]
    fn losses_that_could_not_be_reported_join_later_ones() {
        let mut report = LossReport::from(at(100));
        assert_eq!(report.due([1, 0], at(101), false), Some(([1, 0], at(100))));
        assert_eq!(report.due([1, 1], at(102), false), Some(([1, 1], at(100))));
        report.reported([1, 1], at(102));
        assert_eq!(report.due([1, 1], at(500), false), None);
    }
}
