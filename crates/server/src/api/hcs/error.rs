//! Errors of the ops platform: undocumented but for the statuses; codes in the form of its gateway
//! (`docs/api/hcs.md`).

use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};

use crate::api::{ApiError, OwnError, gateway};
use net::{self, Response};

/// Sets the content type that the documentation prints.
pub fn with_charset(mut response: Response) -> Response {
    let kind = HeaderValue::from_static("application/json;charset=UTF8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// One of the two app codes is missing or wrong.
#[derive(Debug)]
pub struct WrongAppCode;

impl OwnError for WrongAppCode {
    fn render(&self, request_id: &str) -> Response {
        body(StatusCode::FORBIDDEN, "APIG.0304", "The app is not authorized.", request_id)
    }
}

pub fn render(error: &ApiError, request_id: &str) -> Response {
    let (status, code, text) = match error {
        ApiError::Unauthenticated(why) => {
            let (_, text) = gateway::unauthenticated(why);
            return body(StatusCode::UNAUTHORIZED, "APIG.0301", &text, request_id);
        }
        ApiError::Forbidden | ApiError::NoSuchTrail => {
            (StatusCode::FORBIDDEN, "APIG.0304", "The domain is not one you may ask about.")
        }
        ApiError::MissingParameter => {
            (StatusCode::BAD_REQUEST, "APIG.0201", "Mandatory parameters must be configured.")
        }
        ApiError::InvalidParameter => (StatusCode::BAD_REQUEST, "APIG.0201", "Invalid parameters."),
        ApiError::Throttled(seconds) => {
            let status = StatusCode::TOO_MANY_REQUESTS;
            let mut response = body(status, "APIG.0308", gateway::THROTTLED, request_id);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(*seconds));
            return response;
        }
        ApiError::Overloaded(text) => return gateway::overloaded(text, request_id),
        ApiError::Unrecorded(_) | ApiError::Store(_) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "APIG.0601",
            error.failure_text("Internal server error."),
        ),
    };
    body(status, code, text, request_id)
}

fn body(status: StatusCode, code: &str, text: &str, request_id: &str) -> Response {
    with_charset(net::error(status, code, text, request_id))
}
