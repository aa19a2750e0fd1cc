//! Events in over HTTP: `POST /intake/<source>`.
//!
//! A body that is an envelope of the source's format is answered 2xx once what it tells is durable; what cannot be used
//! is set aside with it. Only what is no envelope at all, or too large, is refused.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use event::query::{Dimension, Filter, Query};
use event::source::{Context, EnvelopeError, Format, Limits, Parsed};
use event::{Event, LOG_FILE, Operation, Time};
use hyper::StatusCode;
use hyper::header::{ALLOW, AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use serde::Serialize;
use sha2::{Digest, Sha256};
use store::{Append, Incoming, Log, OnConflict, Receipt, Refusal};
use subtle::ConstantTimeEq;

use crate::ambient;
use crate::config::Source;
use crate::http::{self, Response};

/// Bodies above this are parsed on a thread of their own, so that they do not hold up other connections.
pub const INLINE_BYTES_MAX: usize = 64 << 10;

/// How an intake request ends that is not recorded.
#[derive(Debug)]
pub enum Refused {
    Envelope(EnvelopeError),
    Conflict {
        position: usize,
        index: u64,
    },
    Overloaded,
    /// Nothing is known of the request: it may have been recorded.
    Fenced,
}

/// The answer to a request that was recorded.
#[derive(Serialize, Debug)]
pub struct Answer {
    /// Index of the first event recorded now; the others follow without a gap.
    first_index: Option<u64>,
    recorded: usize,
    duplicates: Vec<Duplicate>,
    set_aside: Vec<Aside>,
    tree_size: u64,
}

#[derive(Serialize, Debug)]
struct Duplicate {
    position: usize,
    index: u64,
}

#[derive(Serialize, Debug)]
struct Aside {
    position: usize,
    reason: String,
}

/// What a body told, ready for the log, and how its answer will name the parts.
pub struct Prepared {
    append: Append,
    event_positions: Vec<usize>,
    aside: Vec<Aside>,
}

/// Whether the request shows the source's token: as Bearer, or as the password of Basic authentication.
pub fn is_authorised(headers: &HeaderMap, source: &Source) -> bool {
    let Some(header) = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()) else { return false };
    let Some((scheme, rest)) = header.split_once(' ') else { return false };
    let shown = match scheme.to_ascii_lowercase().as_str() {
        "bearer" => Some(rest.trim().as_bytes().to_vec()),
        "basic" => BASE64.decode(rest.trim()).ok().and_then(|pair| {
            pair.iter().position(|&byte| byte == b':').map(|colon| pair[colon + 1..].to_vec())
        }),
        _ => None,
    };
    // Hashing first makes the comparison independent of the lengths as well.
    shown.is_some_and(|shown| bool::from(Sha256::digest(shown).ct_eq(&Sha256::digest(source.token.expose()))))
}

/// Parses and encodes a body; everything that needs no order.
///
/// `log_file` names the source's own file that the lines stood in, for formats whose lines do not say.
pub fn prepare(
    body: &[u8],
    source: &Source,
    log_file: Option<&str>,
    limits: Limits,
    log: &Log,
    received_at: Time,
) -> Result<Prepared, Refused> {
    let mut new_id = ambient::event_ids(received_at);
    let mut context =
        Context { source: &source.name, trail: &source.trail, received_at, new_id: &mut new_id, limits };
    let parsed = source.format.parse(body, &mut context).map_err(Refused::Envelope)?;
    let on_conflict =
        if source.format.has_senders_that_heed_errors() { OnConflict::Refuse } else { OnConflict::SetAside };
    let mut append = Append {
        source: source.name.clone(),
        received_at,
        events: Vec::with_capacity(parsed.len()),
        set_aside: Vec::new(),
        on_conflict,
    };
    let (mut event_positions, mut aside) = (Vec::with_capacity(parsed.len()), Vec::new());
    for (position, item) in parsed.into_iter().enumerate() {
        match item {
            Parsed::Event(mut event) => {
                if source.format == Format::DockerRegistry {
                    tell_blob_from_artifact(&mut event, log);
                }
                if let Some(log_file) = log_file {
                    event.attributes.entry(LOG_FILE.to_owned()).or_insert_with(|| log_file.to_owned());
                }
                append.events.push(Incoming::new(*event));
                event_positions.push(position);
            }
            Parsed::SetAside(set_aside) => {
                aside.push(Aside { position, reason: set_aside.reason.clone() });
                append.set_aside.push(set_aside);
            }
        }
    }
    Ok(Prepared { append, event_positions, aside })
}

/// A registry tells of a deleted blob as of a deleted manifest, by digest alone. One that the trail knows only as a blob
/// was a blob; one it never saw is taken for an artifact, so that no deletion goes unlisted.
fn tell_blob_from_artifact(event: &mut Event, log: &Log) {
    let (Operation::Delete, Some("artifact"), Some(digest)) =
        (event.operation, event.resource.kind.as_deref(), event.resource.id.as_deref())
    else {
        return;
    };
    let seen_as = |kind: &str| {
        let filters = vec![
            Filter::is(Dimension::ResourceId, digest),
            Filter::is(Dimension::ResourceKind, kind),
            Filter::NoneOf(Dimension::Operation, vec![Operation::Delete.as_str().to_owned()]),
        ];
        let query = Query { filters, limit: 0, ..Query::of(event.trail.clone()) };
        log.query(&query).is_ok_and(|page| page.total > 0)
    };
    if seen_as("blob") && !seen_as("artifact") {
        event.resource.kind = Some("blob".to_owned());
    }
}

/// Records what was prepared; returns once it is durable and visible.
pub async fn record(prepared: Prepared, log: &Arc<Log>) -> Result<Answer, Refused> {
    let Prepared { append, event_positions, aside } = prepared;
    let (answer, answered) = tokio::sync::oneshot::channel();
    log.submit(append, move |result| {
        // Nobody waits any more when the client is gone; the log keeps what it has.
        let _ = answer.send(result);
    })
    .map_err(|error| match error {
        store::Error::Overloaded => Refused::Overloaded,
        store::Error::TooLarge { .. } => Refused::Envelope(EnvelopeError::TooLarge(error.to_string())),
        _ => Refused::Fenced,
    })?;
    match answered.await {
        Ok(Ok(receipt)) => Ok(render(receipt, &event_positions, aside)),
        Ok(Err(Refusal::Conflict { position, index })) => {
            Err(Refused::Conflict { position: event_positions[position], index })
        }
        Ok(Err(Refusal::Fenced { .. })) | Err(_) => Err(Refused::Fenced),
    }
}

fn render(receipt: Receipt, event_positions: &[usize], aside: Vec<Aside>) -> Answer {
    Answer {
        first_index: receipt.first_index,
        recorded: receipt.recorded,
        duplicates: receipt
            .duplicates
            .into_iter()
            .map(|(position, index)| Duplicate { position: event_positions[position], index })
            .collect(),
        set_aside: aside,
        tree_size: receipt.tree_size,
    }
}

impl Refused {
    pub fn render(&self, request_id: &str) -> Response {
        match self {
            Refused::Envelope(EnvelopeError::Malformed(why)) => {
                http::error(StatusCode::BAD_REQUEST, "malformed", why, request_id)
            }
            Refused::Envelope(EnvelopeError::TooLarge(why)) => {
                http::error(StatusCode::PAYLOAD_TOO_LARGE, "too_large", why, request_id)
            }
            Refused::Conflict { position, index } => {
                let why = format!(
                    "event {position} has the id of the event at index {index}, and other bytes; nothing was recorded"
                );
                http::error(StatusCode::CONFLICT, "id_conflict", &why, request_id)
            }
            Refused::Overloaded => http::error(
                StatusCode::SERVICE_UNAVAILABLE,
                "overloaded",
                "too many requests are waiting; try again",
                request_id,
            ),
            Refused::Fenced => {
                let why = "the log takes no events until it is started again; whether this request was recorded is not known";
                http::error(StatusCode::SERVICE_UNAVAILABLE, "fenced", why, request_id)
            }
        }
    }
}

/// Unknown sources and wrong tokens are told alike, so that names cannot be guessed.
pub fn unauthorised(request_id: &str) -> Response {
    let mut response = http::error(
        StatusCode::UNAUTHORIZED,
        "unauthorized",
        "there is no such source, or the token is not its own",
        request_id,
    );
    response
        .headers_mut()
        .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer, Basic realm=\"daybook intake\""));
    response
}

/// Sources take POST alone.
pub fn wrong_method(request_id: &str) -> Response {
    let mut response = http::error(
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

    use super::*;
    use crate::config::Token;

    fn shows(header: &'static str) -> bool {
        let trail = Trail::new(Service::Registry, "t", "p", "i").expect("valid");
        let source = Source {
            name: "hub".to_owned(),
            format: Format::Daybook,
            trail,
            token: Token::new("open sesame, please"),
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
