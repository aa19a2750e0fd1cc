//! Responses to requests that do not reach a handler.

use hyper::StatusCode;

use crate::api::daybook::problem::Problem;
use crate::api::{OwnError, gateway};
use net::body::BodyError;
use net::{self, Response};

/// Refuses a request before it reaches its handler, in the form of the API that its path is of.
pub(super) fn refused(
    path: &str,
    status: StatusCode,
    code: &'static str,
    text: &str,
    id: &str,
) -> Response {
    if is_own(path) {
        Problem::new(status, code, text).render(id)
    } else {
        net::error(status, code, text, id)
    }
}

/// Refuses a request for which there is no permit.
pub(super) fn overloaded(path: &str, id: &str) -> Response {
    let text = "too many requests at once; try again";
    refused(path, StatusCode::SERVICE_UNAVAILABLE, "overloaded", text, id)
}

/// Refuses a request whose path, or whose method there, has no route.
pub(super) fn unknown(path: &str, status: StatusCode, id: &str) -> Response {
    match (is_own(path), status) {
        (true, StatusCode::NOT_FOUND) => Problem::not_found("there is no such path").render(id),
        (true, _) => Problem::new(status, "method", "the path is not for this method").render(id),
        (false, StatusCode::NOT_FOUND) => gateway::unknown_path(path, id),
        (false, _) => gateway::unknown_method(path, id),
    }
}

/// Whether a path belongs to Daybook's own API.
fn is_own(path: &str) -> bool {
    path.starts_with("/api/v1/")
}

/// Refuses a body. `most` says how large a body may be.
pub(super) fn refused_body(refused: &BodyError, most: &str, id: &str) -> Response {
    match refused {
        BodyError::TooLarge => {
            let why = format!("Request entity too large. {most}");
            net::error(StatusCode::PAYLOAD_TOO_LARGE, "APIGW.0201", &why, id)
        }
        BodyError::TooSlow => {
            net::error(StatusCode::REQUEST_TIMEOUT, "timeout", "the body came too slowly", id)
        }
        BodyError::Broken => net::error(
            StatusCode::BAD_REQUEST,
            "malformed",
            "the body is incomplete or not what its encoding says",
            id,
        ),
        BodyError::Encoding => net::error(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_encoding",
            "one Content-Encoding of gzip, deflate, zstd or identity is taken",
            id,
        ),
    }
}
