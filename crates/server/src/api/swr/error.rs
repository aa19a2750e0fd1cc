//! SWR's errors: codes and texts of its error-code page, in the shape that old and new clients read
//! alike.

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
            let text = "Insufficient permissions";
            let code = "SVCSTG.SWR.4030170";
            return body(StatusCode::FORBIDDEN, code, text, Some(&hint), request_id);
        }
        ApiError::NoSuchTrail => {
            (StatusCode::NOT_FOUND, "SVCSTG.SWR.4040083", "The instance does not exist.")
        }
        ApiError::MissingParameter => (
            StatusCode::BAD_REQUEST,
            "SVCSTG.SWR.4001014",
            "Mandatory parameters must be configured.",
        ),
        ApiError::InvalidParameter => {
            (StatusCode::BAD_REQUEST, "SVCSTG.SWR.4001025", "Invalid parameters.")
        }
        ApiError::Throttled(seconds) => return gateway::throttled(*seconds, request_id),
        ApiError::Overloaded(text) => return gateway::overloaded(text, request_id),
        ApiError::Unrecorded(_) | ApiError::Store(_) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "SVCSTG.SWR.5000001",
            error.failure_text("Internal server error."),
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
    let body = Body {
        error_code: code,
        error_msg: text,
        encoded_authorization_message: hint,
        request_id,
        errors: [Old {
            error_code: code,
            error_message: text,
            detail: "",
            encoded_authorization_message: hint,
        }],
        details: [Detail { error_code: code, error_msg: text }],
    };
    net::json(status, &body)
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
