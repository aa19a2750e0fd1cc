//! DBSS's errors: flat as in the newer page, and nested as in the older ones, at once.

use hyper::StatusCode;
use serde::Serialize;

use crate::api::{ApiError, gateway};
use net::{self, Response};

pub fn render(error: &ApiError, request_id: &str) -> Response {
    let (status, code, text) = match error {
        ApiError::Unauthenticated(why) => {
            let (code, text) = gateway::unauthenticated(why);
            return body(StatusCode::UNAUTHORIZED, code, &text, None, request_id);
        }
        ApiError::Forbidden => {
            let hint = format!("request:{request_id}");
            let text = "The IAM user is not authorized to access the API.";
            return body(StatusCode::FORBIDDEN, "APIGW.0302", text, Some(&hint), request_id);
        }
        ApiError::NoSuchTrail => {
            (StatusCode::BAD_REQUEST, "DBSS.10020021", "Invalid request parameter ID.")
        }
        ApiError::MissingParameter | ApiError::InvalidParameter => {
            (StatusCode::BAD_REQUEST, "DBSS.10000001", "Enter a valid request message")
        }
        ApiError::Throttled(seconds) => return gateway::throttled(*seconds, request_id),
        ApiError::Overloaded(text) => return gateway::overloaded(text, request_id),
        ApiError::Unrecorded(_) | ApiError::Store(_) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "DBSS.11000000",
            error.failure_text("Internal system exception. Contact technical support engineers"),
        ),
    };
    body(status, code, text, None, request_id)
}

fn body(
    status: StatusCode,
    code: &str,
    text: &str,
    hint: Option<&str>,
    request_id: &str,
) -> Response {
    let inner = Inner { error_code: code, error_msg: text };
    let body = Body {
        error_code: code,
        error_msg: text,
        encoded_authorization_message: hint,
        request_id,
        error: &inner,
        details: [&inner],
    };
    net::json(status, &body)
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
