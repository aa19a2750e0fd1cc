//! CodeArts Artifact's errors. The page documents none; the codes are those seen or chosen
//! (`docs/api/codearts.md`).

use hyper::StatusCode;
use serde::Serialize;

use crate::api::caller::Unauthenticated;
use crate::api::gateway;
use crate::api::parameters::Invalid;
use net::{self, Response};

/// Why a request is not answered.
#[derive(Debug)]
pub enum Error {
    Unauthenticated(Unauthenticated),
    /// The project is not the caller's, does not belong to the account, or does not exist.
    Forbidden,
    /// The repository does not exist, or not for the caller.
    NoSuchRepository,
    InvalidParameter,
    /// The log could not be read; the cause is for the operator alone.
    Internal(store::Error),
}

impl From<Invalid> for Error {
    fn from(_: Invalid) -> Error {
        Error::InvalidParameter
    }
}

impl Error {
    pub fn render(&self, request_id: &str, trace_id: &str) -> Response {
        let (status, code, text) = match self {
            Error::Unauthenticated(why) => {
                let (code, text) = gateway::unauthenticated(why);
                (StatusCode::UNAUTHORIZED, code, text)
            }
            Error::Forbidden => (
                StatusCode::FORBIDDEN,
                "CR.4102",
                "The user does not have permission on this project.".to_owned(),
            ),
            Error::NoSuchRepository => {
                (StatusCode::NOT_FOUND, "CR.4004", "The repository does not exist.".to_owned())
            }
            Error::InvalidParameter => {
                (StatusCode::BAD_REQUEST, "CR.4000", "Invalid parameter.".to_owned())
            }
            Error::Internal(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "CR.5000", "Unknown service error.".to_owned())
            }
        };
        if let Error::Internal(cause) = self {
            tracing::error!(request_id, %cause, "couldn't answer a query");
        }
        let body = Body {
            error_code: code,
            error_msg: &text,
            request_id,
            status: "error",
            trace_id,
            result: (),
        };
        net::json(status, &body)
    }
}

#[derive(Serialize)]
struct Body<'a> {
    error_code: &'a str,
    error_msg: &'a str,
    request_id: &'a str,
    status: &'static str,
    trace_id: &'a str,
    result: (),
}
