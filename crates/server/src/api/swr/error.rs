//! SWR's errors: codes and texts of its error-code page, in the shape that old and new clients read
//! alike.

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
    MissingParameter,
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
    pub fn render(&self, request_id: &str) -> Response {
        let (status, code, text) = match self {
            Error::Unauthenticated(why) => {
                let (code, text) = gateway::unauthenticated(why);
                (StatusCode::UNAUTHORIZED, code, text)
            }
            Error::Forbidden => {
                (StatusCode::FORBIDDEN, "SVCSTG.SWR.4030170", "Insufficient permissions".to_owned())
            }
            Error::NoSuchInstance => (
                StatusCode::NOT_FOUND,
                "SVCSTG.SWR.4040083",
                "The instance does not exist.".to_owned(),
            ),
            Error::MissingParameter => (
                StatusCode::BAD_REQUEST,
                "SVCSTG.SWR.4001014",
                "Mandatory parameters must be configured.".to_owned(),
            ),
            Error::InvalidParameter => {
                (StatusCode::BAD_REQUEST, "SVCSTG.SWR.4001025", "Invalid parameters.".to_owned())
            }
            Error::Internal(_) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "SVCSTG.SWR.5000001",
                "Internal server error.".to_owned(),
            ),
        };
        if let Error::Internal(cause) = self {
            tracing::error!(request_id, %cause, "couldn't answer a query");
        }
        let hint = matches!(self, Error::Forbidden).then(|| format!("request:{request_id}"));
        net::json(
            status,
            &Body {
                error_code: code,
                error_msg: &text,
                encoded_authorization_message: hint.as_deref(),
                request_id,
                errors: [Old {
                    error_code: code,
                    error_message: &text,
                    detail: "",
                    encoded_authorization_message: hint.as_deref(),
                }],
                details: [Detail { error_code: code, error_msg: &text }],
            },
        )
    }
}

/// Clients read `error_code` and `error_msg` at the top; older ones `errors`. With `errors` alone
/// the SDKs show raw JSON.
#[derive(Serialize)]
struct Body<'a> {
    error_code: &'a str,
    error_msg: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    encoded_authorization_message: Option<&'a str>,
    request_id: &'a str,
    errors: [Old<'a>; 1],
    details: [Detail<'a>; 1],
}

#[derive(Serialize)]
struct Old<'a> {
    #[serde(rename = "errorCode")]
    error_code: &'a str,
    #[serde(rename = "errorMessage")]
    error_message: &'a str,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    encoded_authorization_message: Option<&'a str>,
}

#[derive(Serialize)]
struct Detail<'a> {
    error_code: &'a str,
    error_msg: &'a str,
}
