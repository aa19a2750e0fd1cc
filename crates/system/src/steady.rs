//! A clock that does not follow a jump ahead at once.
//!
//! The log never goes back in time, so one moment of a clock that is a year ahead would put a year
//! of events at that moment. The machine's clock is therefore compared with the time since the
//! machine started, which no setting of the clock changes. After a jump, the time goes on from
//! before it, until the clock has stood by its new time for long enough, or has come back.

use std::sync::Mutex;

use event::Time;
use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of a second.
const SECOND: i64 = 1_000_000_000;
/// How often the clock is followed. Between two such moments, it may go ahead by a jump's
/// tolerance: more than any adjustment of a running clock does.
const FOLLOWED_EVERY_NS: i64 = 60 * SECOND;

/// What the clock did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockTurn {
    /// It went ahead by so many seconds at once, or back by as many if negative. Ahead, it is not
    /// followed yet.
    Jumped(i64),
    /// It came back from a jump ahead by so many seconds.
    Returned(i64),
    /// It stood by a jump ahead by so many seconds, and is followed again.
    Accepted(i64),
}

/// Limits of jumps.
#[derive(Clone, Copy, Debug)]
pub struct JumpLimits {
    /// A smaller difference is an adjustment.
    pub jump_s: u64,
    /// A clock that stands by a jump ahead for so long is followed.
    pub accept_after_s: u64,
}

/// The machine's clock, without its jumps ahead.
pub struct SteadyClock {
    limits: JumpLimits,
    state: Mutex<Steady>,
}

impl SteadyClock {
    /// Starts with the clock as it is now.
    pub fn start(limits: JumpLimits) -> SteadyClock {
        let state = Mutex::new(Steady::at(crate::now().unix_ns(), since_boot_ns()));
        SteadyClock { limits, state }
    }

    /// The latest time that it can be.
    pub fn latest(&self) -> Time {
        let mut state = self.state.lock().expect("no panic while held");
        Time::from_unix_ns(state.observe(crate::now().unix_ns(), since_boot_ns(), &self.limits))
    }

    /// Seconds of the jump that is not followed yet; 0 if there is none.
    pub fn ahead_s(&self) -> i64 {
        self.latest();
        let state = self.state.lock().expect("no panic while held");
        state.jump.map_or(0, |jump| jump.ahead_ns / SECOND)
    }

    /// What the clock did since the last call.
    pub fn turns(&self) -> Vec<ClockTurn> {
        self.latest();
        std::mem::take(&mut self.state.lock().expect("no panic while held").turns)
    }
}

/// Nanoseconds since the machine started, with those in which it slept.
fn since_boot_ns() -> i64 {
    let since = clock_gettime(ClockId::Boottime);
    since.tv_sec.saturating_mul(SECOND).saturating_add(since.tv_nsec)
}

/// A jump ahead that is not followed yet.
#[derive(Clone, Copy, Debug)]
struct Jump {
    noticed_boot_ns: i64,
    ahead_ns: i64,
}

/// Both clocks at the moment up to which the machine's is followed.
#[derive(Debug)]
struct Steady {
    wall_ns: i64,
    boot_ns: i64,
    jump: Option<Jump>,
    turns: Vec<ClockTurn>,
}

/// Turns held for who asks; a clock that jumps without end fills no memory.
const TURNS_MAX: usize = 100;

impl Steady {
    fn at(wall_ns: i64, boot_ns: i64) -> Steady {
        Steady { wall_ns, boot_ns, jump: None, turns: Vec::new() }
    }

    /// The latest time that it can be, when the clocks show these.
    fn observe(&mut self, wall_ns: i64, boot_ns: i64, limits: &JumpLimits) -> i64 {
        let elapsed_ns = boot_ns.saturating_sub(self.boot_ns).max(0);
        let expected_ns = self.wall_ns.saturating_add(elapsed_ns);
        let ahead_ns = wall_ns.saturating_sub(expected_ns);
        let limit_ns = ns_of(limits.jump_s);
        if ahead_ns <= limit_ns {
            if let Some(jump) = self.jump.take() {
                self.turned(ClockTurn::Returned(jump.ahead_ns / SECOND));
            }
            if ahead_ns < -limit_ns {
                self.turned(ClockTurn::Jumped(ahead_ns / SECOND));
                (self.wall_ns, self.boot_ns) = (wall_ns, boot_ns);
            } else if elapsed_ns >= FOLLOWED_EVERY_NS {
                (self.wall_ns, self.boot_ns) = (wall_ns, boot_ns);
            }
            return wall_ns;
        }
        let Some(jump) = self.jump else {
            self.jump = Some(Jump { noticed_boot_ns: boot_ns, ahead_ns });
            self.turned(ClockTurn::Jumped(ahead_ns / SECOND));
            return expected_ns;
        };
        if ahead_ns.saturating_sub(jump.ahead_ns).abs() > limit_ns {
            // Another jump on top: the clock has to stand by this one.
            self.jump = Some(Jump { noticed_boot_ns: boot_ns, ahead_ns });
            self.turned(ClockTurn::Jumped(ahead_ns / SECOND));
            return expected_ns;
        }
        if boot_ns.saturating_sub(jump.noticed_boot_ns) < ns_of(limits.accept_after_s) {
            return expected_ns;
        }
        self.jump = None;
        (self.wall_ns, self.boot_ns) = (wall_ns, boot_ns);
        self.turned(ClockTurn::Accepted(ahead_ns / SECOND));
        wall_ns
    }

    fn turned(&mut self, turn: ClockTurn) {
        if self.turns.len() < TURNS_MAX {
            self.turns.push(turn);
        }
    }
}

fn ns_of(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: JumpLimits = JumpLimits { jump_s: 10, accept_after_s: 100 };
    const YEAR_S: i64 = 365 * 24 * 60 * 60;

    /// Observes clocks at these seconds; returns the second that it is at most.
    fn at(steady: &mut Steady, wall_s: i64, boot_s: i64) -> i64 {
        steady.observe(wall_s * SECOND, boot_s * SECOND, &LIMITS) / SECOND
    }

    #[test]
    fn a_jump_ahead_and_back_leaves_the_time_as_it_was() {
        let mut steady = Steady::at(1_000 * SECOND, 0);
        assert_eq!(at(&mut steady, 1_005, 1), 1_005, "an adjustment");
        assert_eq!(at(&mut steady, 1_010 + YEAR_S, 10), 1_010);
        assert_eq!(at(&mut steady, 1_050 + YEAR_S, 50), 1_050);
        assert_eq!(at(&mut steady, 1_060, 60), 1_060);
        let turns = [ClockTurn::Jumped(YEAR_S), ClockTurn::Returned(YEAR_S)];
        assert_eq!(steady.turns, turns);
    }

    #[test]
    fn a_clock_that_stands_by_its_jump_is_followed() {
        let mut steady = Steady::at(1_000 * SECOND, 0);
        assert_eq!(at(&mut steady, 5_000, 10), 1_010);
        assert_eq!(at(&mut steady, 9_000, 20), 1_020, "another jump begins the wait anew");
        assert_eq!(at(&mut steady, 9_099, 119), 1_119);
        assert_eq!(at(&mut steady, 9_100, 120), 9_100);
        assert_eq!(at(&mut steady, 9_101, 121), 9_101);
        assert_eq!(steady.turns.last(), Some(&ClockTurn::Accepted(7_980)));
    }

    #[test]
    fn a_jump_back_is_noticed_and_followed() {
        let mut steady = Steady::at(1_000 * SECOND, 0);
        assert_eq!(at(&mut steady, 500, 10), 500);
        assert_eq!(at(&mut steady, 501, 11), 501);
        assert_eq!(steady.turns, [ClockTurn::Jumped(-510)]);
    }

    #[test]
    fn a_clock_that_creeps_within_the_tolerance_is_followed_slowly() {
        let mut steady = Steady::at(0, 0);
        // Nine seconds ahead each second: followed only once a minute.
        assert_eq!(at(&mut steady, 9, 1), 9);
        assert_eq!(at(&mut steady, 18, 2), 2);
        assert_eq!(steady.turns, [ClockTurn::Jumped(16)]);
    }

    #[test]
    fn the_clock_of_this_machine_is_steady() {
        let clock = SteadyClock::start(LIMITS);
        let before = crate::now();
        assert!(clock.latest() >= before && clock.ahead_s() == 0 && clock.turns().is_empty());
    }
}
