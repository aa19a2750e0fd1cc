//! Exit codes, and the failures that end a command with one.

use std::fmt;

use verify::VerifyError;

/// Why a command ended, as its exit code tells (listed in `daybook --help`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It could not be done.
    Failed = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// Stored bytes are not what was written.
    Damage = 3,
    /// A durable write failed; start again to recover.
    WriteFailed = 4,
    /// What was verified is not what was signed for.
    Refuted = 5,
    /// A source is silent, or something of it is missing.
    Alarm = 6,
}

/// What a person reads when a command fails.
#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    pub text: String,
}

impl Failure {
    pub fn new(text: impl Into<String>) -> Failure {
        Failure { exit: Exit::Failed, text: text.into() }
    }

    pub fn usage(text: impl Into<String>) -> Failure {
        Failure { exit: Exit::Usage, text: text.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<config::Error> for Failure {
    fn from(error: config::Error) -> Failure {
        Failure::usage(error.0)
    }
}

impl From<access::Error> for Failure {
    fn from(error: access::Error) -> Failure {
        match error {
            access::Error::Refused(why) => Failure::new(why),
            access::Error::Usage(why) => Failure::usage(why),
            access::Error::Store(error) => error.into(),
        }
    }
}

impl From<VerifyError> for Failure {
    fn from(error: VerifyError) -> Failure {
        match error {
            VerifyError::Refuted(what) => {
                Failure { exit: Exit::Refuted, text: format!("not verified: {what}") }
            }
            VerifyError::Damaged(error) => error.into(),
            VerifyError::Unknown(why) => Failure::new(format!("couldn't be verified: {why}")),
        }
    }
}

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Failure {
        let exit = match &error {
            store::Error::Damage { .. } => Exit::Damage,
            store::Error::Fenced { .. } => Exit::WriteFailed,
            _ => Exit::Failed,
        };
        Failure { exit, text: error.to_string() }
    }
}
