//! Whether a source that should be heard of is silent. Pure: time is an argument.

use event::Time;
use serde::{Deserialize, Serialize};

/// When a source was heard of, and whether it is told to be silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// From when on its silence counts, in ns: when something last arrived, later by as long as no
    /// server ran.
    quiet_since_ns: i64,
    /// Since when it is silent, if that was told.
    told_since_ns: Option<i64>,
}

/// A change that is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Nothing came since this moment.
    Silent(Time),
    /// Something came at this moment, after silence since that one.
    Heard(Time, Time),
}

impl Silence {
    /// Of a source that is listened to from now on.
    pub fn from(now: Time) -> Silence {
        Silence { quiet_since_ns: now.unix_ns(), told_since_ns: None }
    }

    /// Goes on after no server ran for so long, when nothing could be heard.
    pub fn resume(self, away_ns: i64) -> Silence {
        Silence { quiet_since_ns: self.quiet_since_ns.saturating_add(away_ns.max(0)), ..self }
    }

    /// Since when the source is silent, if it is told to be.
    pub fn since(&self) -> Option<Time> {
        self.told_since_ns.map(Time::from_unix_ns)
    }

    /// Takes note of when something last arrived.
    fn hear(&mut self, heard_at: Option<Time>) {
        if let Some(at) = heard_at {
            self.quiet_since_ns = self.quiet_since_ns.max(at.unix_ns());
        }
    }

    /// What is to be told now, of a source that may be silent for `after_s`, if anything.
    pub fn turn(
        &mut self,
        now: Time,
        heard_at: Option<Time>,
        after_s: Option<u64>,
    ) -> Option<Turn> {
        self.hear(heard_at);
        let quiet_since = Time::from_unix_ns(self.quiet_since_ns);
        match (self.told_since_ns, after_s) {
            (Some(since), _) if since < self.quiet_since_ns && heard_at == Some(quiet_since) => {
                Some(Turn::Heard(quiet_since, Time::from_unix_ns(since)))
            }
            (None, Some(after_s)) => {
                let after_ns =
                    i64::try_from(after_s).unwrap_or(i64::MAX).saturating_mul(1_000_000_000);
                let is_silent = now.unix_ns().saturating_sub(self.quiet_since_ns) >= after_ns;
                is_silent.then_some(Turn::Silent(quiet_since))
            }
            _ => None,
        }
    }

    /// Takes note that a turn was told.
    pub fn told(&mut self, turn: Turn) {
        self.told_since_ns = match turn {
            Turn::Silent(since) => Some(since.unix_ns()),
            Turn::Heard(..) => None,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Time {
        Time::from_unix_ns(seconds * 1_000_000_000)
    }

    /// The turn at this moment, which is told.
    fn told(
        silence: &mut Silence,
        now: i64,
        heard_at: Option<i64>,
        after_s: Option<u64>,
    ) -> Option<Turn> {
        let turn = silence.turn(at(now), heard_at.map(at), after_s)?;
        silence.told(turn);
        Some(turn)
    }

    #[test]
    fn each_turn_is_told_once() {
        let mut silence = Silence::from(at(100));
        assert_eq!(told(&mut silence, 109, None, Some(10)), None);
        assert_eq!(told(&mut silence, 110, None, Some(10)), Some(Turn::Silent(at(100))));
        assert_eq!(told(&mut silence, 500, None, Some(10)), None);
        assert_eq!(
            told(&mut silence, 501, Some(500), Some(10)),
            Some(Turn::Heard(at(500), at(100)))
        );
        assert_eq!(told(&mut silence, 505, Some(500), Some(10)), None);
        assert_eq!(told(&mut silence, 510, Some(500), Some(10)), Some(Turn::Silent(at(500))));
        assert_eq!(
            told(&mut silence, 900, Some(500), None),
            None,
            "without a limit nothing more is told"
        );
        assert_eq!(told(&mut silence, 901, Some(900), None), Some(Turn::Heard(at(900), at(500))));
        assert_eq!(told(&mut silence, 9999, Some(900), None), None);
    }

    #[test]
    fn a_restart_repeats_nothing_and_the_time_without_a_server_is_no_silence() {
        let mut silence = Silence::from(at(100));
        told(&mut silence, 110, None, Some(10));
        let mut silence = silence.resume(50_000_000_000);
        assert_eq!(told(&mut silence, 170, None, Some(10)), None, "it was told");
        assert_eq!(
            told(&mut silence, 171, Some(170), Some(10)),
            Some(Turn::Heard(at(170), at(100)))
        );
        // Away from 175 to 275.
        let mut silence = silence.resume(100_000_000_000);
        assert_eq!(told(&mut silence, 279, None, Some(10)), None);
        assert_eq!(told(&mut silence, 280, None, Some(10)), Some(Turn::Silent(at(270))));
    }
}
