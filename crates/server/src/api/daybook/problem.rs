//! Errors of Daybook's own API: problem details of RFC 9457.

use hyper::StatusCode;
use hyper::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use schemars::JsonSchema;
use serde::Serialize;

use crate::api::caller::Unauthenticated;
use crate::api::error::DAMAGED;
use crate::api::{ApiError, OwnError, Refusal};
use find::QueryError;
use find::question::InvalidParameter;
use net::{self, Response};

/// An error of this API.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    /// The parameter that is wrong, and where in it.
    at: Option<(String, usize)>,
    /// Bytes of a file that ends before the requested range.
    end: Option<u64>,
    /// Seconds after which to try again.
    retry_after_s: Option<u64>,
}

/// The body of RFC 9457 section 3.1, with members of our own.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub struct Body<'a> {
    /// `about:blank`: the status names the kind, and `code` the error.
    r#type: &'a str,
    /// The status in words.
    title: &'a str,
    status: u16,
    /// The error, and what would be right.
    detail: &'a str,
    /// The error, for programs.
    code: &'a str,
    /// The id of the request, as in `X-Request-Id`.
    request_id: &'a str,
    /// The parameter that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<&'a str>,
    /// Where in a search, in characters from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
}

impl Problem {
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Problem {
        let retry_after_s = Some(1).filter(|_| status == StatusCode::SERVICE_UNAVAILABLE);
        Problem { status, code, detail: detail.into(), at: None, end: None, retry_after_s }
    }

    /// A range begins behind the end of a file of this many bytes.
    pub fn behind_the_end(bytes: u64) -> Problem {
        let detail = format!("the file has {bytes} bytes");
        Problem {
            end: Some(bytes),
            ..Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "range", detail)
        }
    }

    /// The caller sent too many requests and may try again after this many seconds.
    pub fn throttled(seconds: u64) -> Problem {
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "throttled", "too many requests");
        Problem { retry_after_s: Some(seconds), ..problem }
    }

    pub fn not_found(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    pub fn malformed(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "malformed", detail)
    }
}

impl OwnError for Problem {
    fn render(&self, request_id: &str) -> Response {
        let body = Body {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code,
            request_id,
            parameter: self.at.as_ref().map(|(parameter, _)| parameter.as_str()),
            column: self.at.as_ref().map(|(_, column)| *column).filter(|column| *column > 0),
        };
        let mut response = net::json(self.status, &body);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(value) =
            self.end.and_then(|end| HeaderValue::from_str(&format!("bytes */{end}")).ok())
        {
            headers.insert(CONTENT_RANGE, value);
        }
        response
    }
}

impl From<InvalidParameter> for Problem {
    fn from(wrong: InvalidParameter) -> Problem {
        let problem = Problem::new(StatusCode::BAD_REQUEST, "malformed", wrong.message);
        Problem { at: Some((wrong.parameter, wrong.column)), ..problem }
    }
}

impl From<InvalidParameter> for Refusal {
    fn from(wrong: InvalidParameter) -> Refusal {
        Problem::from(wrong).into()
    }
}

impl From<QueryError> for Refusal {
    fn from(unanswered: QueryError) -> Refusal {
        match unanswered {
            QueryError::Invalid(wrong) => wrong.into(),
            QueryError::NotFound => Problem::not_found("there is no such event").into(),
            QueryError::Store(error) => error.into(),
        }
    }
}

/// Renders an error that all APIs share.
pub fn render(error: &ApiError, request_id: &str) -> Response {
    let problem = match error {
        ApiError::Unauthenticated(why) => {
            let text = match why {
                Unauthenticated::ExpiredToken(at) => {
                    format!("the token expired at {at}; log in again")
                }
                _ => "show a token or a signature".to_owned(),
            };
            Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", text)
        }
        ApiError::Forbidden => {
            Problem::new(StatusCode::FORBIDDEN, "forbidden", "you have not the right")
        }
        ApiError::NoSuchTrail => Problem::not_found("there is no such trail"),
        ApiError::MissingParameter => Problem::malformed("a parameter is missing"),
        ApiError::InvalidParameter => Problem::malformed("a parameter is wrong"),
        ApiError::Throttled(seconds) => Problem::throttled(*seconds),
        ApiError::Overloaded(text) => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", *text)
        }
        ApiError::Unrecorded(_) => {
            let text = "the request cannot be recorded now, and is not done unrecorded; try again";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unrecorded", text)
        }
        ApiError::Store(cause) if cause.is_unreadable() => {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "damaged", DAMAGED)
        }
        ApiError::Store(_) => {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "internal error")
        }
    };
    problem.render(request_id)
}
