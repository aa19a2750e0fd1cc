//! CodeArts Artifact's errors. The page documents none; the codes are those seen or chosen
//! (`docs/api/codearts.md`).

use hyper::StatusCode;
use serde::Serialize;

use super::envelope::trace_id;
use crate::api::{ApiError, gateway};
use net::{self, Response};

pub fn render(error: &ApiError, request_id: &str) -> Response {
    let (status, code, text) = match error {
        ApiError::Unauthenticated(why) => {
            let (code, text) = gateway::unauthenticated(why);
            return body(StatusCode::UNAUTHORIZED, code, &text, request_id);
        }
        ApiError::Forbidden => {
            (StatusCode::FORBIDDEN, "CR.4102", "The user does not have permission on this project.")
        }
        ApiError::NoSuchTrail => {
            (StatusCode::NOT_FOUND, "CR.4004", "The repository does not exist.")
        }
        ApiError::MissingParameter | ApiError::InvalidParameter => {
            (StatusCode::BAD_REQUEST, "CR.4000", "Invalid parameter.")
        }
        ApiError::Throttled(seconds) => return gateway::throttled(*seconds, request_id),
        ApiError::Overloaded(text) => return gateway::overloaded(text, request_id),
        ApiError::Unrecorded(_) | ApiError::Store(_) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "CR.5000",
            error.failure_text("Unknown service error."),
        ),
    };
    body(status, code, text, request_id)
}

fn body(status: StatusCode, code: &str, text: &str, request_id: &str) -> Response {
    let trace_id = trace_id(system::now());
    let body = Body {
        error_code: code,
        error_msg: text,
        request_id,
        status: "error",
        trace_id: &trace_id,
        result: (),
    };
    net::json(status, &body)
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
