//! Events in over HTTP: `POST /intake/<source>`.
//!
//! A body that is an envelope of the source's format gets 2xx once its events are durable; rejected
//! records go to the dead-letter queue with them. Only a body that is no envelope, or is too large,
//! is refused.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use formats::{EnvelopeError, Format};
use hyper::StatusCode;
use hyper::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{Answer, IntakeError};
use config::Source;
use net::Response;

/// Larger bodies are parsed on a thread of their own, so that other connections do not wait.
pub const INLINE_BYTES_MAX: usize = 64 << 10;

/// Whether the request has the source's token: as Bearer, or as the password of Basic
/// authentication.
pub fn is_authorised(headers: &HeaderMap, source: &Source) -> bool {
    let Some(header) = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let Some((scheme, rest)) = header.split_once(' ') else { return false };
    let shown = match scheme.to_ascii_lowercase().as_str() {
        "bearer" => Some(rest.trim().as_bytes().to_vec()),
        "basic" => BASE64.decode(rest.trim()).ok().and_then(|pair| {
            pair.iter().position(|&byte| byte == b':').map(|colon| pair[colon + 1..].to_vec())
        }),
        _ => None,
    };
    // Hashing first makes the comparison independent of the lengths as well.
    shown.zip(source.token.as_ref()).is_some_and(|(shown, token)| {
        bool::from(Sha256::digest(shown).ct_eq(&Sha256::digest(token.expose())))
    })
}

/// The response to a body of which everything is stored. 200, because some senders accept no other
/// 2xx. The senders of some formats expect a form of their own.
pub fn recorded(answer: &Answer, format: Format, headers: &[(String, String)]) -> Response {
    let Some((content_type, body)) = format.response(headers, answer.rejected()) else {
        return net::json(StatusCode::OK, answer);
    };
    let mut response = Response::new(body.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

impl IntakeError {
    pub fn render(&self, request_id: &str) -> Response {
        match self {
            IntakeError::Envelope(EnvelopeError::Malformed(why)) => {
                net::error(StatusCode::BAD_REQUEST, "malformed", why, request_id)
            }
            IntakeError::Envelope(EnvelopeError::TooLarge(why)) => {
                net::error(StatusCode::PAYLOAD_TOO_LARGE, "too_large", why, request_id)
            }
            IntakeError::Conflict { position, index } => {
                let why = format!(
                    "event {position} has the id of the event at index {index}, and other bytes; nothing was recorded"
                );
                net::error(StatusCode::CONFLICT, "id_conflict", &why, request_id)
            }
            IntakeError::Overloaded => net::error(
                StatusCode::SERVICE_UNAVAILABLE,
                "overloaded",
                "too many requests are waiting; try again",
                request_id,
            ),
            IntakeError::StorageFull => net::error(
                StatusCode::SERVICE_UNAVAILABLE,
                "storage_full",
                "there is no room on the disk; nothing was recorded, try again later",
                request_id,
            ),
            // A sender may drop the events after 4xx; with ids, repeating them is safe.
            IntakeError::Slow => {
                let why = "the log is slow; whether this request was recorded shows when it is sent again";
                net::error(StatusCode::SERVICE_UNAVAILABLE, "overloaded", why, request_id)
            }
            IntakeError::Damaged(because) => {
                let why = format!("{because}; nothing was recorded, try again once it is repaired");
                net::error(StatusCode::SERVICE_UNAVAILABLE, "damaged", &why, request_id)
            }
            IntakeError::Fenced => {
                let why = "the log takes no events until it is started again; whether this request was recorded is not known";
                net::error(StatusCode::SERVICE_UNAVAILABLE, "fenced", why, request_id)
            }
        }
    }
}

/// Unknown sources and wrong tokens get the same response, so that names cannot be guessed.
pub fn unauthorised(request_id: &str) -> Response {
    let mut response = net::error(
        StatusCode::UNAUTHORIZED,
        "unauthorized",
        "unknown source or wrong token",
        request_id,
    );
    response.headers_mut().insert(
        WWW_AUTHENTICATE,
        HeaderValue::from_static("Bearer, Basic realm=\"daybook intake\""),
    );
    response
}

/// What only a program that reads the data directory may do, requested by another.
pub fn not_local(request_id: &str) -> Response {
    let why = "only `daybook import` beside the server may announce an import, or name a file that \
               the server reads";
    net::error(StatusCode::FORBIDDEN, "forbidden", why, request_id)
}

/// Sources accept only POST.
pub fn wrong_method(request_id: &str) -> Response {
    let mut response = net::error(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "send events with POST",
        request_id,
    );
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
    response
}

#[cfg(test)]
mod tests {
    use event::{Service, Trail};
    use formats::Options;

    use super::*;
    use config::Token;

    fn shows(header: &'static str) -> bool {
        let trail = Trail::new(Service::Registry, "t", "p", "i").expect("valid");
        let source = Source {
            name: "hub".to_owned(),
            format: "daybook".parse().expect("a format"),
            trail,
            token: Some(Token::new("open sesame, please")),
            options: Options::default(),
            syslog: None,
            silent_after_s: None,
            follow: None,
        };
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_static(header));
        is_authorised(&headers, &source)
    }

    #[test]
    fn the_token_is_shown_as_bearer_or_password() {
        assert!(shows("Bearer open sesame, please"));
        assert!(shows("bearer open sesame, please"));
        assert!(shows("Basic YW55b25lOm9wZW4gc2VzYW1lLCBwbGVhc2U="));
        for wrong in [
            "",
            "Bearer",
            "Bearer open sesame, pleas",
            "Bearer open sesame, please!",
            "Basic b3Blbg==",
            "Basic !!!",
            "Digest open sesame, please",
        ] {
            assert!(!shows(wrong), "{wrong}");
        }
    }
}
