//! DBSS's errors: flat as in the newer page, and nested as in the older ones, at once.

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
    /// The project is not the caller's, or does not exist.
    Forbidden,
    /// The instance does not exist, or not for the caller.
    NoSuchInstance,
    InvalidMessage,
    /// The log could not be read; the cause is for the operator alone.
    Internal(store::Error),
}

impl From<Invalid> for Error {
    fn from(_: Invalid) -> Error {
        Error::InvalidMessage
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
                "APIGW.0302",
                "The IAM user is not authorized to access the API.".to_owned(),
            ),
            Error::NoSuchInstance => (
                StatusCode::BAD_REQUEST,
                "DBSS.10020021",
                "Invalid request parameter ID.".to_owned(),
            ),
            Error::InvalidMessage => (
                StatusCode::BAD_REQUEST,
                "DBSS.10000001",
                "Enter a valid request message".to_owned(),
            ),
            Error::Internal(_) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "DBSS.11000000",
                "Internal system exception. Contact technical support engineers".to_owned(),
            ),
        };
        if let Error::Internal(cause) = self {
            tracing::error!(request_id, %cause, "couldn't answer a query");
        }
        let inner = Inner { error_code: code, error_msg: &text };
        let hint = matches!(self, Error::Forbidden).then(|| format!("request:{request_id}"));
        net::json(
            status,
            &Body {
                error_code: code,
                error_msg: &text,
                encoded_authorization_message: hint.as_deref(),
                request_id,
                error: &inner,
                details: [&inner],
            },
        )
    }
}

#[derive(Serialize)]
struct Body<'a> {
    error_code: &'a str,
    error_msg: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    encoded_authorization_message: Option<&'a str>,
    request_id: &'a str,
    error: &'a Inner<'a>,
    details: [&'a Inner<'a>; 1],
}

#[derive(Serialize)]
struct Inner<'a> {
    error_code: &'a str,
    error_msg: &'a str,
}
