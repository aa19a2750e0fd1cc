//! TaurusDB's errors: code and message alone.

use hyper::StatusCode;

use crate::api::{ApiError, OwnError, gateway};
use net::{self, Response};

/// An error of this API alone.
#[derive(Debug)]
pub enum Error {
    InvalidInstanceId,
    InvalidLimit,
    /// A download link without a good signature.
    ForgedLink,
    ExpiredLink,
}

impl OwnError for Error {
    fn render(&self, request_id: &str) -> Response {
        let (status, code, text) = match self {
            Error::InvalidInstanceId => {
                (StatusCode::BAD_REQUEST, "DBS.280404", "Invalid DB instance ID or node ID format.")
            }
            Error::InvalidLimit => (
                StatusCode::BAD_REQUEST,
                "DBS.280439",
                "Invalid records. Enter a positive integer less than 100.",
            ),
            Error::ForgedLink => (
                StatusCode::FORBIDDEN,
                "APIGW.0306",
                "API access denied. This is no download link.",
            ),
            Error::ExpiredLink => (
                StatusCode::FORBIDDEN,
                "APIGW.0306",
                "API access denied. The link has expired; ask for a new one.",
            ),
        };
        net::error(status, code, text, request_id)
    }
}

pub fn render(error: &ApiError, request_id: &str) -> Response {
    let (status, code, text) = match error {
        ApiError::Unauthenticated(why) => {
            let (code, text) = gateway::unauthenticated(why);
            return net::error(StatusCode::UNAUTHORIZED, code, &text, request_id);
        }
        ApiError::Forbidden => {
            (StatusCode::FORBIDDEN, "DBS.200044", "Resource not found or permission denied.")
        }
        ApiError::NoSuchTrail => {
            (StatusCode::NOT_FOUND, "DBS.200002", "The DB instance does not exist.")
        }
        ApiError::MissingParameter | ApiError::InvalidParameter => {
            (StatusCode::BAD_REQUEST, "DBS.280001", "Parameter error.")
        }
        ApiError::Throttled(seconds) => return gateway::throttled(*seconds, request_id),
        ApiError::Overloaded(text) => return gateway::overloaded(text, request_id),
        ApiError::Unrecorded(_) | ApiError::Store(_) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "DBS.200005", error.failure_text("Server failure."))
        }
    };
    net::error(status, code, text, request_id)
}
