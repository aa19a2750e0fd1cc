//! Errors of the store.

use std::{fmt, io};

use crate::disk::durable::is_out_of_room;

/// The variant depends on what the caller can do next.
#[derive(Debug)]
pub enum Error {
    /// The location holds no log: choose another, or `init` it.
    NotALog {
        /// The folder.
        location: String,
        /// The reason.
        found: String,
    },
    /// `init` needs an empty location.
    NotEmpty {
        /// The folder.
        location: String,
    },
    /// Another process has the log open.
    Locked {
        /// The folder.
        location: String,
    },
    /// Stored bytes differ from what was written. Nothing was cut or skipped; the bytes are
    /// unchanged.
    Damage {
        /// The file, relative to the data directory.
        file: String,
        /// Offset of the first byte that does not read back.
        offset: u64,
        /// The expectation that the bytes do not meet.
        what: String,
    },
    /// The operating system refused an operation.
    Io {
        /// The operation, such as `write journal/0.journal`.
        doing: String,
        /// The refusal.
        cause: io::Error,
    },
    /// Another process changed the object since it was read: read it again.
    Changed {
        /// The object's name.
        name: String,
    },
    /// A durable write failed earlier; the log takes nothing more until it is opened again.
    Fenced {
        /// The failure.
        because: String,
    },
    /// The queue of appends is full: try again shortly.
    Overloaded,
    /// Nobody waits for the answer any more.
    Cancelled,
    /// The rows of an answer have more bytes than there is room for: ask for fewer, or later.
    NoRoom,
    /// The disk has no room for events from outside. Nothing was recorded; try again once there is.
    StorageFull,
    /// An event, or a dead letter, exceeds the size of a journal frame. Nothing was recorded.
    TooLarge {
        /// Upper bound of its bytes.
        len_bytes: usize,
    },
}

/// Number of the operating system's error for a medium that does not give its bytes.
pub(crate) const EIO: i32 = 5;

impl Error {
    /// Context for an I/O error.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
        let doing = doing.into();
        move |cause| Error::Io { doing, cause }
    }

    /// Whether stored bytes did not read back: they differ from what was written, or the medium
    /// does not give them.
    pub fn is_unreadable(&self) -> bool {
        match self {
            Error::Damage { .. } => true,
            Error::Io { cause, .. } => cause.raw_os_error() == Some(EIO),
            _ => false,
        }
    }

    /// Whether there was no room on the disk. Nothing of it is in force then, and the same may be
    /// tried again once there is room.
    pub fn is_storage_full(&self) -> bool {
        match self {
            Error::StorageFull => true,
            Error::Io { cause, .. } => is_out_of_room(cause),
            _ => false,
        }
    }

    /// Damage of stored bytes; `file` is relative to the data directory.
    pub fn damage(file: &str, offset: u64, what: impl Into<String>) -> Error {
        Error::Damage { file: file.to_owned(), offset, what: what.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NotALog { location, found } => {
                write!(
                    f,
                    "{location} is not a Daybook data directory: {found} \
                     (make one with `daybook init`)"
                )
            }
            Error::NotEmpty { location } => {
                write!(f, "couldn't init {location}: it exists and is not empty")
            }
            Error::Locked { location } => {
                write!(f, "couldn't open {location}: another process has it open")
            }
            Error::Damage { file, offset, what } => {
                write!(f, "damage in {file} at byte {offset}: {what}")
            }
            Error::Io { doing, cause } => write!(f, "couldn't {doing}: {cause}"),
            Error::Changed { name } => write!(f, "{name} was changed by someone else meanwhile"),
            Error::Fenced { because } => write!(f, "the log takes no more events: {because}"),
            Error::Overloaded => f.write_str("too many appends are waiting"),
            Error::Cancelled => f.write_str("nobody waits for the answer any more"),
            Error::NoRoom => f.write_str("there is no room in memory for the answer"),
            Error::StorageFull => f.write_str("the disk is full"),
            Error::TooLarge { len_bytes } => {
                write!(
                    f,
                    "an event of {len_bytes} bytes is larger than a frame of the journal can be"
                )
            }
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_say_what_happened() {
        let location = || "/data".to_owned();
        for (error, message) in [
            (
                Error::NotEmpty { location: location() },
                "couldn't init /data: it exists and is not empty",
            ),
            (
                Error::Locked { location: location() },
                "couldn't open /data: another process has it open",
            ),
            (
                Error::damage("LOG", 3, "the checksum differs"),
                "damage in LOG at byte 3: the checksum differs",
            ),
            (Error::io("write LOG")(io::Error::other("no room")), "couldn't write LOG: no room"),
        ] {
            assert_eq!(error.to_string(), message);
        }
        let error = Error::NotALog { location: location(), found: "it is empty".to_owned() };
        assert!(error.to_string().ends_with("it is empty (make one with `daybook init`)"));
    }
}
