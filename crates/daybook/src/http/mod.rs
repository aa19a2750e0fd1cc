//! HTTP as everything above it sees it: a request that was read whole, and an answer.
//!
//! The accept loop and its limits are in [`server`], bodies in [`body`]. Which request goes where is decided in
//! [`crate::serve`].

pub mod body;
pub mod path;
pub mod server;
pub mod tls;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{HeaderMap, Method, StatusCode};
use serde::Serialize;

/// An answer; bodies are small enough to be held whole.
pub type Response = hyper::Response<Full<Bytes>>;

/// The header that carries a request's id on every answer; the vendor's clients take it from nowhere else.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A request, read whole.
pub struct Request {
    pub method: Method,
    /// The path as on the wire, still escaped.
    pub raw_path: String,
    /// The query as on the wire, without `?`.
    pub raw_query: String,
    pub headers: HeaderMap,
    /// Host with port: the header, or HTTP/2's authority.
    pub host: String,
    pub body: Bytes,
    /// 32 lower-case hex digits, ours.
    pub id: String,
}

impl Request {
    /// The single value of a header, if it is one and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok(),
            _ => None,
        }
    }

    /// How often a header stands in the request.
    pub fn header_count(&self, name: &str) -> usize {
        self.headers.get_all(name).iter().count()
    }
}

/// A JSON answer. Members keep the order of the type.
pub fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let bytes = serde_json::to_vec(body).expect("our answers are maps with text keys");
    let mut response = Response::new(Full::new(Bytes::from(bytes)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The error body of Daybook's own routes, and of requests refused before they reach a route.
#[derive(Serialize)]
struct OwnError<'a> {
    error_code: &'a str,
    error_msg: &'a str,
    request_id: &'a str,
}

/// An error of Daybook's own routes.
pub fn error(status: StatusCode, code: &str, message: &str, request_id: &str) -> Response {
    let mut response = json(status, &OwnError { error_code: code, error_msg: message, request_id });
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}
