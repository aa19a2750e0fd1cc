//! TaurusDB's errors: code and message alone.

use hyper::StatusCode;

use crate::api::caller::Unauthenticated;
use crate::api::gateway;
use crate::api::parameters::Invalid;
use net::{self, Response};

/// Why a request is not answered.
#[derive(Debug)]
pub enum Error {
    Unauthenticated(Unauthenticated),
    /// The project is not the caller's, or does not exist; or the caller may not do this to the
    /// instance.
    Forbidden,
    /// The instance does not exist, or not for the caller.
    NoSuchInstance,
    InvalidInstanceId,
    InvalidLimit,
    InvalidParameter,
    /// The act could not be recorded, so it was not done.
    Unrecorded(String),
}

impl From<Invalid> for Error {
    fn from(_: Invalid) -> Error {
        Error::InvalidParameter
    }
}

impl Error {
    pub fn render(&self, request_id: &str) -> Response {
        let (status, code, text) = match self {
            Error::Unauthenticated(why) => {
                let (code, text) = gateway::unauthenticated(why);
                (StatusCode::UNAUTHORIZED, code, text)
            }
            Error::Forbidden => (
                StatusCode::FORBIDDEN,
                "DBS.200044",
                "Resource not found or permission denied.".to_owned(),
            ),
            Error::NoSuchInstance => {
                (StatusCode::NOT_FOUND, "DBS.200002", "The DB instance does not exist.".to_owned())
            }
            Error::InvalidInstanceId => (
                StatusCode::BAD_REQUEST,
                "DBS.280404",
                "Invalid DB instance ID or node ID format.".to_owned(),
            ),
            Error::InvalidLimit => (
                StatusCode::BAD_REQUEST,
                "DBS.280439",
                "Invalid records. Enter a positive integer less than 100.".to_owned(),
            ),
            Error::InvalidParameter => {
                (StatusCode::BAD_REQUEST, "DBS.280001", "Parameter error.".to_owned())
            }
            Error::Unrecorded(why) => {
                tracing::error!(request_id, why, "refused what could not be recorded");
                (StatusCode::INTERNAL_SERVER_ERROR, "DBS.200005", "Server failure.".to_owned())
            }
        };
        net::error(status, code, &text, request_id)
    }
}
