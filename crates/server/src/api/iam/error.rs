//! IAM's errors: those of its own pages for the form of a request, Keystone's for its content, the
//! gateway's for credentials.

use hyper::StatusCode;
use serde::Serialize;

use crate::api::{ApiError, OwnError, gateway};
use net::{self, Response};

/// An error of this API alone.
#[derive(Debug)]
pub enum Error {
    /// The body is not JSON, or names no method of ours.
    InvalidBody,
    /// A member is missing.
    MissingMember(&'static str),
    /// Unknown or wrong credentials, which are one error.
    WrongCredentials,
    /// The scope does not exist, or not for this user.
    WrongScope,
    /// There is no such token.
    NoSuchToken,
}

impl OwnError for Error {
    fn render(&self, request_id: &str) -> Response {
        match self {
            Error::InvalidBody => {
                let text = "Request body is invalid.";
                net::error(StatusCode::BAD_REQUEST, "IAM.0011", text, request_id)
            }
            Error::MissingMember(name) => {
                let text = format!("'{name}' is a required property.");
                net::error(StatusCode::BAD_REQUEST, "IAM.0072", &text, request_id)
            }
            Error::WrongCredentials => keystone(
                StatusCode::UNAUTHORIZED,
                "The username or password is wrong.",
                "Unauthorized",
            ),
            Error::WrongScope => keystone(
                StatusCode::UNAUTHORIZED,
                "The scope does not exist, or the user has no access to it.",
                "Unauthorized",
            ),
            Error::NoSuchToken => {
                keystone(StatusCode::NOT_FOUND, "Could not find token.", "Not Found")
            }
        }
    }
}

pub fn render(error: &ApiError, request_id: &str) -> Response {
    match error {
        ApiError::Unauthenticated(why) => {
            let (code, text) = gateway::unauthenticated(why);
            net::error(StatusCode::UNAUTHORIZED, code, &text, request_id)
        }
        ApiError::Forbidden | ApiError::NoSuchTrail => {
            let text = "You are not authorized to perform the requested action.";
            net::error(StatusCode::FORBIDDEN, "IAM.0002", text, request_id)
        }
        ApiError::MissingParameter | ApiError::InvalidParameter => {
            let text = "Request parameter is invalid.";
            net::error(StatusCode::BAD_REQUEST, "IAM.0007", text, request_id)
        }
        ApiError::Throttled(seconds) => gateway::throttled(*seconds, request_id),
        ApiError::Overloaded(text) => gateway::overloaded(text, request_id),
        ApiError::Unrecorded(_) | ApiError::Store(_) => {
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            net::error(status, "IAM.0006", "Internal server error.", request_id)
        }
    }
}

fn keystone(status: StatusCode, message: &str, title: &str) -> Response {
    net::json(status, &Keystone { error: Inner { code: status.as_u16(), message, title } })
}

#[derive(Serialize)]
struct Keystone<'a> {
    error: Inner<'a>,
}

#[derive(Serialize)]
struct Inner<'a> {
    code: u16,
    message: &'a str,
    title: &'a str,
}
