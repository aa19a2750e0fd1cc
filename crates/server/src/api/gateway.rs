//! Responses of the vendor's API gateway: unknown routes, bad credentials, too much.
//!
//! Codes and texts: the vendor's "API Gateway error codes" page, quoted in `docs/api/gateway.md`.

use hyper::StatusCode;
use hyper::header::{HeaderValue, RETRY_AFTER};

use super::caller::Unauthenticated;
use net::{self, Response};

const WRONG_CREDENTIALS: &str = "Incorrect IAM authentication information: ";

/// No route has this path.
pub fn unknown_path(raw_path: &str, request_id: &str) -> Response {
    let text = "The API does not exist or has not been published in the environment";
    net::error(StatusCode::NOT_FOUND, unknown(raw_path), text, request_id)
}

/// A route has this path, with another method. The gateway does not use 405.
pub fn unknown_method(raw_path: &str, request_id: &str) -> Response {
    net::error(StatusCode::NOT_FOUND, unknown(raw_path), "The API does not exist", request_id)
}

/// The ops platform has a gateway of its own, whose codes begin otherwise.
fn unknown(raw_path: &str) -> &'static str {
    if raw_path.starts_with("/rest/") { "APIG.0101" } else { "APIGW.0101" }
}

/// The code and text for credentials that identify no caller.
pub fn unauthenticated(why: &Unauthenticated) -> (&'static str, String) {
    let text = match why {
        Unauthenticated::Missing => "x-auth-token not found".to_owned(),
        Unauthenticated::UnreadableToken => "decrypt token fail".to_owned(),
        Unauthenticated::ExpiredToken(at) => format!("token expires, expires_at: {at}"),
        Unauthenticated::UnknownKey(key) => {
            format!("Get secretKey failed,ak:{key},err:ak not exist")
        }
        Unauthenticated::WrongSignature => "verify aksk signature fail".to_owned(),
    };
    ("APIGW.0301", format!("{WRONG_CREDENTIALS}{text}"))
}

/// The text of 429, code `APIGW.0308` (`APIG.0308` on the ops platform's gateway).
pub const THROTTLED: &str = "The throttling threshold has been reached";

/// The caller sent too many requests and may try again after this many seconds.
pub fn throttled(seconds: u64, request_id: &str) -> Response {
    let status = StatusCode::TOO_MANY_REQUESTS;
    let mut response = net::error(status, "APIGW.0308", THROTTLED, request_id);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// The server has no permit left for such a request.
pub fn overloaded(text: &str, request_id: &str) -> Response {
    net::error(StatusCode::SERVICE_UNAVAILABLE, "overloaded", text, request_id)
}
