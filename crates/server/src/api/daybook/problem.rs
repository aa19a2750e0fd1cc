//! Errors of Daybook's own API: problem details of RFC 9457.

use hyper::StatusCode;
use hyper::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use schemars::JsonSchema;
use serde::Serialize;

use crate::api::caller::Unauthenticated;
use find::QueryError;
use find::question::InvalidParameter;
use net::{self, Response};

/// Why a request is not answered.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    /// The parameter that is wrong, and where in it.
    at: Option<(String, usize)>,
    /// How long the file is behind whose end a range begins.
    end: Option<u64>,
}

/// As RFC 9457 section 3.1 has it, with members of our own.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub struct Body<'a> {
    /// `about:blank`: the status says what kind it is, and `code` which.
    r#type: &'a str,
    /// The status in words.
    title: &'a str,
    status: u16,
    /// What is wrong and what would be right.
    detail: &'a str,
    /// What is wrong, for programs.
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
        Problem { status, code, detail: detail.into(), at: None, end: None }
    }

    /// That a range begins behind the end of a file of so many bytes.
    pub fn behind_the_end(bytes: u64) -> Problem {
        let detail = format!("the file has {bytes} bytes");
        Problem {
            end: Some(bytes),
            ..Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "range", detail)
        }
    }

    pub fn not_found(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    pub fn malformed(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "malformed", detail)
    }

    /// What the log could not be read for is for the operator alone.
    pub fn failed(error: &store::Error, request_id: &str) -> Problem {
        tracing::error!(request_id, %error, "couldn't answer a query");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "internal error")
    }

    pub fn of(unanswered: QueryError, request_id: &str) -> Problem {
        match unanswered {
            QueryError::Invalid(wrong) => wrong.into(),
            QueryError::NotFound => Problem::not_found("there is no such event"),
            QueryError::Store(error) => Problem::failed(&error, request_id),
        }
    }

    pub fn render(&self, request_id: &str) -> Response {
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
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
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

impl From<Unauthenticated> for Problem {
    fn from(why: Unauthenticated) -> Problem {
        let text = match why {
            Unauthenticated::ExpiredToken(at) => format!("the token expired at {at}; log in again"),
            _ => "show a token or a signature".to_owned(),
        };
        Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", text)
    }
}
