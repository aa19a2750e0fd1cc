//! IAM's errors: those of its own pages for a request's form, Keystone's for what it asks, the
//! gateway's for credentials.

use hyper::StatusCode;
use hyper::header::{HeaderValue, RETRY_AFTER};
use serde::Serialize;

use crate::api::caller::Unauthenticated;
use crate::api::gateway;
use net::{self, Response};

/// Why a request is not answered.
#[derive(Debug)]
pub enum Error {
    Unauthenticated(Unauthenticated),
    /// The body is not JSON, or asks for what no method here is.
    InvalidBody,
    /// A member is missing.
    MissingMember(&'static str),
    /// Whoever it is does not show it. Unknown and wrong are one.
    WrongCredentials,
    /// The scope does not exist, or not for this user.
    WrongScope,
    /// Too many failures lately; to be tried again after so many seconds.
    TooManyAttempts(u64),
    /// There is no such token.
    NoSuchToken,
    /// The act could not be recorded or written, so it was not done.
    Undone(String),
}

impl Error {
    pub fn render(&self, request_id: &str) -> Response {
        match self {
            Error::Unauthenticated(why) => {
                let (code, text) = gateway::unauthenticated(why);
                net::error(StatusCode::UNAUTHORIZED, code, &text, request_id)
            }
            Error::InvalidBody => net::error(
                StatusCode::BAD_REQUEST,
                "IAM.0011",
                "Request body is invalid.",
                request_id,
            ),
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
            Error::TooManyAttempts(seconds) => {
                let status = StatusCode::TOO_MANY_REQUESTS;
                let mut response = net::error(status, "APIGW.0308", gateway::THROTTLED, request_id);
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(*seconds));
                response
            }
            Error::NoSuchToken => {
                keystone(StatusCode::NOT_FOUND, "Could not find token.", "Not Found")
            }
            Error::Undone(why) => {
                tracing::error!(request_id, why, "couldn't hand out a token");
                let text = "Internal server error.";
                net::error(StatusCode::INTERNAL_SERVER_ERROR, "IAM.0006", text, request_id)
            }
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
