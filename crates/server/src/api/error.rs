//! Errors of the wire APIs: those that all share, and a seam for those of one API alone.

use std::fmt;

use super::caller::Unauthenticated;
use super::parameters::Invalid;
use net::Response;

/// An error that every API may meet; each renders it in its vendor's form.
#[derive(Debug)]
pub enum ApiError {
    Unauthenticated(Unauthenticated),
    /// The project is not the caller's, or does not exist; or the caller lacks the right.
    Forbidden,
    /// The trail does not exist, or not for the caller.
    NoSuchTrail,
    MissingParameter,
    InvalidParameter,
    /// The caller may try again after this many seconds.
    Throttled(u64),
    /// The server has no permit left for such a request.
    Overloaded(&'static str),
    /// The act could not be recorded, so it was not done. The cause is for the operator alone.
    Unrecorded(String),
    /// The log could not be read. The cause is for the operator alone.
    Store(store::Error),
}

/// The text for clients whose answer needs damaged bytes.
pub const DAMAGED: &str = "Stored events that this answer needs do not read back. The operators of \
    this server can see which. Other trails and times can be read.";

impl ApiError {
    /// The text of a failure for clients: that of the API, unless the log is damaged.
    pub fn failure_text(&self, of_api: &'static str) -> &'static str {
        match self {
            ApiError::Store(cause) if cause.is_unreadable() => DAMAGED,
            _ => of_api,
        }
    }

    /// Writes the causes that no client sees to the operational log.
    pub fn log(&self, request_id: &str) {
        match self {
            ApiError::Store(cause) => {
                tracing::error!(request_id, %cause, "couldn't answer a query");
            }
            ApiError::Unrecorded(why) => {
                tracing::error!(request_id, why, "refused what could not be recorded");
            }
            _ => {}
        }
    }
}

/// An error of one API alone.
pub trait OwnError: fmt::Debug {
    fn render(&self, request_id: &str) -> Response;
}

/// A request refused by its handler.
#[derive(Debug)]
pub struct Refusal {
    pub cause: Cause,
    /// True if the handler recorded the refusal itself, or it is not to be recorded.
    pub is_recorded: bool,
}

#[derive(Debug)]
pub enum Cause {
    Shared(ApiError),
    Own(Box<dyn OwnError>),
}

impl Refusal {
    /// Marks the refusal as one that is not recorded any more.
    pub fn recorded(self) -> Refusal {
        Refusal { is_recorded: true, ..self }
    }
}

impl<E: OwnError + 'static> From<E> for Refusal {
    fn from(error: E) -> Refusal {
        Refusal { cause: Cause::Own(Box::new(error)), is_recorded: false }
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Refusal {
        Refusal { cause: Cause::Shared(error), is_recorded: false }
    }
}

impl From<Unauthenticated> for ApiError {
    fn from(why: Unauthenticated) -> ApiError {
        ApiError::Unauthenticated(why)
    }
}

impl From<Invalid> for ApiError {
    fn from(_: Invalid) -> ApiError {
        ApiError::InvalidParameter
    }
}

/// There is no memory for the answer.
pub const NO_ROOM: &str = "there is no room for the answer; ask for less, or try again";

impl From<store::Error> for ApiError {
    fn from(error: store::Error) -> ApiError {
        match error {
            store::Error::NoRoom => ApiError::Overloaded(NO_ROOM),
            store::Error::Cancelled => ApiError::Overloaded("the client left, or it took too long"),
            error => ApiError::Store(error),
        }
    }
}

impl From<Invalid> for Refusal {
    fn from(invalid: Invalid) -> Refusal {
        ApiError::from(invalid).into()
    }
}

impl From<store::Error> for Refusal {
    fn from(error: store::Error) -> Refusal {
        ApiError::from(error).into()
    }
}
