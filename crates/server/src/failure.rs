//! Exit codes, and the failures that end a command with one.

use std::fmt;

use verify::VerifyError;

/// Exit codes of commands; `daybook --help` lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The command failed.
    Failed = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// Stored bytes are damaged.
    Damage = 3,
    /// A durable write failed; the next start recovers.
    WriteFailed = 4,
    /// Verified bytes differ from those that were signed.
    Refuted = 5,
    /// A source is silent, or events of it are missing.
    Alarm = 6,
}

/// A failed command: its exit code, and the text for people.
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
