//! Silence of sources that should send. Pure: time is an argument.

use event::Time;
use serde::{Deserialize, Serialize};

/// The last arrival from a source, and its reported silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// The start of the current quiet, in ns: the last arrival, later by the time without a server.
    quiet_since_ns: i64,
    /// The start of the reported silence, if there is one. `told_since_ns` is the name in format 1.
    #[serde(rename = "told_since_ns")]
    reported_since_ns: Option<i64>,
}

/// A change to report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Nothing came since this moment.
    Silent(Time),
    /// Something came at this moment, after silence since that one.
    Heard(Time, Time),
}

impl Silence {
    /// Starts now.
    pub fn from(now: Time) -> Silence {
        Silence { quiet_since_ns: now.unix_ns(), reported_since_ns: None }
    }

    /// Continues after a time without a server, in which nothing could arrive.
    pub fn resume(self, away_ns: i64) -> Silence {
        Silence { quiet_since_ns: self.quiet_since_ns.saturating_add(away_ns.max(0)), ..self }
    }

    /// The start of the reported silence.
    pub fn since(&self) -> Option<Time> {
        self.reported_since_ns.map(Time::from_unix_ns)
    }

    /// Notes the last arrival.
    fn hear(&mut self, heard_at: Option<Time>) {
        if let Some(at) = heard_at {
            self.quiet_since_ns = self.quiet_since_ns.max(at.unix_ns());
        }
    }

    /// The change to report now, of a source that may be quiet for `after_s`.
    pub fn turn(
        &mut self,
        now: Time,
        heard_at: Option<Time>,
        after_s: Option<u64>,
    ) -> Option<Turn> {
        self.hear(heard_at);
        let quiet_since = Time::from_unix_ns(self.quiet_since_ns);
        match (self.reported_since_ns, after_s) {
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

    /// Notes that a change was reported.
    pub fn reported(&mut self, turn: Turn) {
        self.reported_since_ns = match turn {
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

    /// The change at this moment, which is reported.
    fn reported(
        silence: &mut Silence,
        now: i64,
        heard_at: Option<i64>,
        after_s: Option<u64>,
    ) -> Option<Turn> {
        let turn = silence.turn(at(now), heard_at.map(at), after_s)?;
        silence.reported(turn);
        Some(turn)
    }

    #[test]
    fn each_turn_is_reported_once() {
        let mut silence = Silence::from(at(100));
        assert_eq!(reported(&mut silence, 109, None, Some(10)), None);
        assert_eq!(reported(&mut silence, 110, None, Some(10)), Some(Turn::Silent(at(100))));
        assert_eq!(reported(&mut silence, 500, None, Some(10)), None);
        assert_eq!(
            reported(&mut silence, 501, Some(500), Some(10)),
            Some(Turn::Heard(at(500), at(100)))
        );
        assert_eq!(reported(&mut silence, 505, Some(500), Some(10)), None);
        assert_eq!(reported(&mut silence, 510, Some(500), Some(10)), Some(Turn::Silent(at(500))));
        assert_eq!(
            reported(&mut silence, 900, Some(500), None),
            None,
            "without a limit nothing more is reported"
        );
        assert_eq!(
            reported(&mut silence, 901, Some(900), None),
            Some(Turn::Heard(at(900), at(500)))
        );
        assert_eq!(reported(&mut silence, 9999, Some(900), None), None);
    }

    #[test]
    fn a_restart_repeats_nothing_and_the_time_without_a_server_is_no_silence() {
        let mut silence = Silence::from(at(100));
        reported(&mut silence, 110, None, Some(10));
        let mut silence = silence.resume(50_000_000_000);
        assert_eq!(reported(&mut silence, 170, None, Some(10)), None, "it was reported");
        assert_eq!(
            reported(&mut silence, 171, Some(170), Some(10)),
            Some(Turn::Heard(at(170), at(100)))
        );
        // Away from 175 to 275.
        let mut silence = silence.resume(100_000_000_000);
        assert_eq!(reported(&mut silence, 279, None, Some(10)), None);
        assert_eq!(reported(&mut silence, 280, None, Some(10)), Some(Turn::Silent(at(270))));
    }
}
