//! The error of reading or changing rights.

use std::fmt;

/// Why rights could not be read or changed.
#[derive(Debug)]
pub enum Error {
    /// The rights as they are do not allow the change.
    Refused(String),
    /// A value has the wrong form.
    Usage(String),
    /// The file could not be read or replaced.
    Store(store::Error),
}

impl Error {
    /// A change that the rights as they are do not allow.
    pub fn refused(why: impl Into<String>) -> Error {
        Error::Refused(why.into())
    }

    /// A value of the wrong form.
    pub fn usage(why: impl Into<String>) -> Error {
        Error::Usage(why.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Refused(why) | Error::Usage(why) => f.write_str(why),
            Error::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Error {
        Error::Store(error)
    }
}
