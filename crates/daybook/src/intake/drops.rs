//! When it is told that datagrams of a source were dropped: the first at once, what follows once in [`TOLD_EVERY_NS`], and the
//! rest when the server ends. So a flood of drops is no flood of records, and each drop is in one of them.
//!
//! Pure: time is an argument, and whoever calls records it.

use event::Time;

/// Between two records of a source's drops: an hour of them is 60 records.
pub const TOLD_EVERY_NS: i64 = 60_000_000_000;

/// Datagrams that came faster than they could be recorded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dropped {
    pub by_daybook: u64,
    pub by_kernel: u64,
}

impl Dropped {
    pub fn count(self) -> u64 {
        self.by_daybook + self.by_kernel
    }
}

/// What was told of a source's drops.
#[derive(Debug)]
pub struct Drops {
    told: Dropped,
    told_at: Option<Time>,
    /// When no more had been dropped than was told.
    since: Time,
}

impl Drops {
    /// Of a source of which nothing was dropped yet.
    pub fn from(now: Time) -> Drops {
        Drops { told: Dropped::default(), told_at: None, since: now }
    }

    /// What is to be told now, and since when it was dropped. `all` was dropped since the server started. `is_last` when there
    /// will be no other time. It is given again until [`Drops::told`].
    pub fn due(&mut self, all: Dropped, now: Time, is_last: bool) -> Option<(Dropped, Time)> {
        let new = Dropped {
            by_daybook: all.by_daybook.saturating_sub(self.told.by_daybook),
            by_kernel: all.by_kernel.saturating_sub(self.told.by_kernel),
        };
        if new.count() == 0 {
            self.since = now;
            return None;
        }
        let is_soon = |told_at: Time| {
            (0..TOLD_EVERY_NS).contains(&now.unix_ns().saturating_sub(told_at.unix_ns())) && !is_last
        };
        (!self.told_at.is_some_and(is_soon)).then_some((new, self.since))
    }

    /// Takes note that what [`Drops::due`] gave was told.
    pub fn told(&mut self, new: Dropped, now: Time) {
        self.told.by_daybook += new.by_daybook;
        self.told.by_kernel += new.by_kernel;
        (self.told_at, self.since) = (Some(now), now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Time {
        Time::from_unix_ns(seconds * 1_000_000_000)
    }

    fn dropped(by_daybook: u64, by_kernel: u64) -> Dropped {
        Dropped { by_daybook, by_kernel }
    }

    #[test]
    fn each_drop_is_told_once_and_not_each_by_itself() {
        let mut drops = Drops::from(at(100));
        let mut told = |now, all, is_last| {
            let (new, since) = drops.due(all, at(now), is_last)?;
            drops.told(new, at(now));
            Some((new.by_daybook, new.by_kernel, since))
        };
        assert_eq!(told(101, dropped(0, 0), true), None);
        assert_eq!(told(102, dropped(2, 0), false), Some((2, 0, at(101))));
        assert_eq!(told(103, dropped(2, 5), false), None, "it waits");
        assert_eq!(told(161, dropped(3, 5), false), None);
        assert_eq!(told(162, dropped(3, 6), false), Some((1, 6, at(102))));
        assert_eq!(told(163, dropped(3, 6), false), None);
        assert_eq!(told(164, dropped(4, 6), true), Some((1, 0, at(163))), "the rest at the end");
        assert_eq!(told(90, dropped(5, 6), false), Some((1, 0, at(164))), "a clock that was put back");
    }

    #[test]
    fn what_could_not_be_told_is_told_with_what_follows() {
        let mut drops = Drops::from(at(100));
        assert_eq!(drops.due(dropped(1, 0), at(101), false), Some((dropped(1, 0), at(100))));
        assert_eq!(drops.due(dropped(1, 1), at(102), false), Some((dropped(1, 1), at(100))));
        drops.told(dropped(1, 1), at(102));
        assert_eq!(drops.due(dropped(1, 1), at(500), false), None);
    }
}
