//! The ops platform's errors: undocumented but for the statuses; codes in the form of its gateway
//! (`docs/api/hcs.md`).

use hyper::StatusCode;
use hyper::header::{HeaderValue, RETRY_AFTER};

use crate::api::caller::Unauthenticated;
use crate::api::gateway;
use net::{self, Response};

/// Why a request is not answered.
#[derive(Debug)]
pub enum Error {
    Unauthenticated(Unauthenticated),
    /// One of the two app codes is missing or wrong.
    WrongAppCode,
    /// The domain is not one that the caller may ask about.
    Forbidden,
    MissingParameter,
    InvalidParameter,
    /// How many seconds are left of the minute.
    Throttled(u64),
    /// The log could not be read; the cause is for the operator alone.
    Internal(store::Error),
}

impl Error {
    pub fn render(&self, request_id: &str) -> Response {
        let (status, code, text) = match self {
            Error::Unauthenticated(why) => {
                (StatusCode::UNAUTHORIZED, "APIG.0301", gateway::unauthenticated(why).1)
            }
            Error::WrongAppCode => {
                (StatusCode::FORBIDDEN, "APIG.0304", "The app is not authorized.".to_owned())
            }
            Error::Forbidden => (
                StatusCode::FORBIDDEN,
                "APIG.0304",
                "The domain is not one you may ask about.".to_owned(),
            ),
            Error::MissingParameter => (
                StatusCode::BAD_REQUEST,
                "APIG.0201",
                "Mandatory parameters must be configured.".to_owned(),
            ),
            Error::InvalidParameter => {
                (StatusCode::BAD_REQUEST, "APIG.0201", "Invalid parameters.".to_owned())
            }
            Error::Throttled(_) => {
                (StatusCode::TOO_MANY_REQUESTS, "APIG.0308", gateway::THROTTLED.to_owned())
            }
            Error::Internal(_) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "APIG.0601",
                "Internal server error.".to_owned(),
            ),
        };
        if let Error::Internal(cause) = self {
            tracing::error!(request_id, %cause, "couldn't answer a query");
        }
        let mut response = net::error(status, code, &text, request_id);
        if let Error::Throttled(seconds) = self {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(*seconds));
        }
        response
    }
}
