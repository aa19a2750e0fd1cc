//! Requests with events: their bodies are read within bounds, prepared beside the sockets, and
//! recorded.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use formats::{EnvelopeError, FilePosition};
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, HeaderValue};
use hyper::{Method, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::App;
use super::refusal::refused_body;
use crate::api::parameters;
use access::Caller;
use access::rights::Action;
use intake::audit::Who;
use intake::{Arrival, Intake};
use net::Response;
use net::body::{self, Refused};

impl App {
    /// Responds to a request to a source's intake.
    pub(super) async fn intake(
        &self,
        name: &str,
        peer: SocketAddr,
        request: hyper::Request<Incoming>,
        id: &str,
    ) -> Response {
        let found = self.0.api.intakes.iter().find(|intake| intake.source.name == name);
        let Some(intake) =
            found.filter(|intake| self.may_send(request.headers(), &intake.source.name))
        else {
            return intake::http::unauthorised(id);
        };
        if request.method() != Method::POST {
            return intake::http::wrong_method(id);
        }
        if parameters::text(request.uri().query().unwrap_or(""), "import").is_some() {
            return self.import_begins(intake, peer, request, id).await;
        }
        let headers: Arc<[_]> = header_lines(request.headers()).into();
        match self.recorded(intake, peer, request, Arc::clone(&headers)).await {
            Ok(answer) => intake::http::recorded(&answer, intake.source.format, &headers),
            Err(NotRecorded::Body(refused)) => {
                intake.refused(system::now());
                let limits = self.0.api.config().limits;
                let most = format!(
                    "At most {} bytes, and {} after decompression.",
                    limits.body_bytes_max, limits.body_decompressed_bytes_max
                );
                refused_body(&refused, &most, id)
            }
            Err(NotRecorded::NoRoom) => {
                intake.deferred(system::now());
                intake::Refused::Overloaded.render(id)
            }
            Err(NotRecorded::Panicked) => {
                intake.refused(system::now());
                net::error(StatusCode::INTERNAL_SERVER_ERROR, "internal", "internal error", id)
            }
            Err(NotRecorded::Intake(refused)) => refused.render(id),
        }
    }

    /// Records that `daybook import` is about to send files, whose names are the body.
    async fn import_begins(
        &self,
        intake: &Intake,
        peer: SocketAddr,
        request: hyper::Request<Incoming>,
        id: &str,
    ) -> Response {
        let most = intake::import::NAMES_BYTES_MAX;
        let names = match body::read(request.into_body(), most).await {
            Ok(names) => names,
            Err(refused) => return refused_body(&refused, &format!("At most {most} bytes."), id),
        };
        let who = Who { address: Some(peer.ip()), ..Who::default() };
        let act = intake::import::begun(&intake.source.name, &String::from_utf8_lossy(&names), who);
        let app = self.clone();
        match tokio::task::spawn_blocking(move || app.0.api.audit.record_now(act)).await {
            Ok(Ok(())) => net::json(StatusCode::OK, &serde_json::json!({ "recorded": 0 })),
            Ok(Err(_)) | Err(_) => intake::Refused::Overloaded.render(id),
        }
    }

    /// Whether the request has the source's token, or a token of a user who may write to its trail.
    fn may_send(&self, headers: &hyper::HeaderMap, source: &str) -> bool {
        let config = self.0.api.config();
        let Some(source) = config.source(source) else { return false };
        if intake::http::is_authorised(headers, source) {
            return true;
        }
        let rights = self.0.api.access.current();
        let shown = headers.get("x-auth-token").and_then(|value| value.to_str().ok());
        shown.and_then(|text| rights.token(text)).is_some_and(|(token, user)| {
            let caller = Caller { user, scope: token.scope.clone() };
            token.expires_at > system::now() && caller.may(Action::WriteEvents, &source.trail)
        })
    }

    async fn recorded(
        &self,
        intake: &Arc<Intake>,
        peer: SocketAddr,
        request: hyper::Request<Incoming>,
        headers: Arc<[(String, String)]>,
    ) -> Result<intake::Answer, NotRecorded> {
        let limits = self.0.api.config().limits;
        let (parts, incoming) = request.into_parts();
        let log_file = parameters::text(parts.uri.query().unwrap_or(""), "log_file");
        if log_file.as_ref().is_some_and(|name| name.len() > LOG_FILE_BYTES_MAX) {
            intake.refused(system::now());
            let why = format!("log_file has more than {LOG_FILE_BYTES_MAX} bytes");
            return Err(NotRecorded::Intake(intake::Refused::Envelope(EnvelopeError::Malformed(
                why,
            ))));
        }
        let position = position_of(parts.uri.query().unwrap_or("")).map_err(|why| {
            NotRecorded::Intake(intake::Refused::Envelope(EnvelopeError::Malformed(why)))
        })?;
        let mut held =
            Held::take(&self.0.intake_kib, expected_bytes(&parts.headers, limits.body_bytes_max))?;
        let deadline = tokio::time::Instant::now() + Duration::from_secs(limits.intake_timeout_s);
        let received =
            tokio::time::timeout_at(deadline, body::read(incoming, limits.body_bytes_max))
                .await
                .unwrap_or(Err(Refused::TooSlow))
                .map_err(NotRecorded::Body)?;
        let received_at = system::now();
        let (app, of) = (self.clone(), Arc::clone(intake));
        let is_small = received.len() <= intake::http::INLINE_BYTES_MAX
            && !parts.headers.contains_key(hyper::header::CONTENT_ENCODING);
        let prepare = move || {
            let body =
                body::decompress(&parts.headers, received, limits.body_decompressed_bytes_max)
                    .map_err(NotRecorded::Body)?;
            held.extend_to(body.len())?;
            let limits = formats::Limits {
                events_max: limits.events_per_request_max,
                event_bytes_max: limits.event_bytes_max,
            };
            let arrival = Arrival {
                received_at,
                log_file: log_file.as_deref(),
                headers: &headers,
                peer: Some(peer.ip()).filter(|_| position.is_none()),
                place: position
                    .as_ref()
                    .map(|(file, offset)| FilePosition { file, offset: *offset }),
            };
            let log = &app.0.api.log;
            let prepared = match arrival.place {
                Some(_) => intake::piece::prepare_piece(&body, arrival, &of, limits, log),
                None => {
                    let whole =
                        intake::prepare(intake::Received::Body(&body), arrival, &of, limits, log);
                    vec![whole.map_err(NotRecorded::Intake)?]
                }
            };
            Ok((prepared, held))
        };
        // From here on, a slow request is our fault, not the sender's.
        let recording = async {
            let (prepared, held) = run(prepare, is_small).await?;
            // The share is given back once the request is durable, whether or not somebody still
            // waits.
            let held = Arc::new(held);
            let mut answer: Option<intake::Answer> = None;
            for one in prepared {
                let recorded = intake::record(one, intake, &self.0.api.log, Arc::clone(&held))
                    .await
                    .map_err(NotRecorded::Intake)?;
                answer = Some(match answer {
                    Some(before) => before.and(recorded),
                    None => recorded,
                });
            }
            answer.ok_or(NotRecorded::Intake(intake::Refused::Fenced))
        };
        tokio::time::timeout_at(deadline, recording)
            .await
            .unwrap_or(Err(NotRecorded::Intake(intake::Refused::Slow)))
    }
}

/// File and offset of a body, where `daybook import` names them.
fn position_of(query: &str) -> Result<Option<(String, u64)>, String> {
    let Some(file) = parameters::text(query, "file") else { return Ok(None) };
    let is_id = (1..=FILE_ID_BYTES_MAX).contains(&file.len())
        && file.bytes().all(|byte| byte.is_ascii_hexdigit());
    let offset = parameters::text(query, "offset").and_then(|text| text.parse().ok());
    match (is_id, offset) {
        (true, Some(offset)) => Ok(Some((file, offset))),
        _ => Err(format!("file is 1 to {FILE_ID_BYTES_MAX} hex digits, and comes with an offset")),
    }
}

/// Header lines for formats. Bytes that are not UTF-8 become U+FFFD.
fn header_lines(headers: &hyper::HeaderMap) -> Vec<(String, String)> {
    let text = |(name, value): (&hyper::header::HeaderName, &HeaderValue)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    headers.iter().map(text).collect()
}

/// Longest file id of a body that is a piece of a file.
const FILE_ID_BYTES_MAX: usize = 32;
/// Longest name of a source's log file.
const LOG_FILE_BYTES_MAX: usize = 255;

/// Prepares a body: here if it is small, else on a thread for what blocks. A panic there ends this
/// request alone, as one here does ([`super::app`]): nothing of it reached the log.
async fn run<T: Send + 'static>(
    prepare: impl FnOnce() -> Result<T, NotRecorded> + Send + 'static,
    is_small: bool,
) -> Result<T, NotRecorded> {
    if is_small {
        return prepare();
    }
    tokio::task::spawn_blocking(prepare).await.unwrap_or_else(|error| {
        tracing::error!(%error, "preparing a body panicked");
        Err(NotRecorded::Panicked)
    })
}

/// Why a request was not recorded.
#[derive(Debug)]
enum NotRecorded {
    Body(Refused),
    /// There is no room for the body at this moment.
    NoRoom,
    /// Preparing the body panicked.
    Panicked,
    /// Counted already.
    Intake(intake::Refused),
}

/// A share of the memory for intake bodies.
#[derive(Debug)]
struct Held {
    all: Arc<Semaphore>,
    _permits: Vec<OwnedSemaphorePermit>,
    bytes: usize,
}

impl Held {
    fn take(all: &Arc<Semaphore>, bytes: usize) -> Result<Held, NotRecorded> {
        let mut held = Held { all: Arc::clone(all), _permits: Vec::new(), bytes: 0 };
        held.extend_to(bytes)?;
        Ok(held)
    }

    fn extend_to(&mut self, bytes: usize) -> Result<(), NotRecorded> {
        let more = bytes.saturating_sub(self.bytes);
        if more == 0 {
            return Ok(());
        }
        let kib = u32::try_from(more.div_ceil(1024)).map_err(|_| NotRecorded::NoRoom)?;
        let permit =
            Arc::clone(&self.all).try_acquire_many_owned(kib).map_err(|_| NotRecorded::NoRoom)?;
        self._permits.push(permit);
        self.bytes = bytes;
        Ok(())
    }
}

/// Most bytes that a body may have: its Content-Length, or the limit.
fn expected_bytes(headers: &hyper::HeaderMap, bytes_max: usize) -> usize {
    let said = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse().ok());
    said.map_or(bytes_max, |said: usize| said.min(bytes_max))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_in_a_large_body_ends_its_request_alone() {
        let all = Arc::new(Semaphore::new(64));
        for is_panicking in [true, false] {
            let held = Held::take(&all, 48 << 10).expect("there is room");
            let prepare = move || -> Result<(u32, Held), NotRecorded> {
                assert!(!is_panicking, "the preparation panics");
                Ok((7, held))
            };
            match run(prepare, false).await {
                Ok((prepared, _)) => assert_eq!((prepared, is_panicking), (7, false)),
                Err(why) => assert!(matches!(why, NotRecorded::Panicked) && is_panicking),
            }
            assert_eq!(all.available_permits(), 64, "its memory is given back");
        }
    }
}
