//! Requests with events: their bodies are read within bounds, prepared beside the sockets, and
//! recorded.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use event::Time;
use formats::{EnvelopeError, FilePosition};
use hyper::body::Bytes;
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap, HeaderValue};
use hyper::http::request;
use hyper::{Method, StatusCode};
use store::Log;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::App;
use super::refusal::refused_body;
use crate::api::parameters;
use access::rights::Action;
use access::{Caller, LOCAL_HEADER};
use config::Limits;
use intake::audit::Who;
use intake::keys::is_file_id;
use intake::{Arrival, Intake};
use net::body::{self, BodyError};
use net::{Incoming, Response};

impl App {
    /// Responds to a request to a source's intake.
    pub(super) async fn intake(
        &self,
        name: &str,
        peer: SocketAddr,
        request: hyper::Request<Incoming>,
        id: &str,
    ) -> Response {
        let found = self.0.intakes.get(name);
        let Some(intake) =
            found.filter(|intake| self.may_send(request.headers(), &intake.source.name))
        else {
            let known = found.map(|intake| intake.source.name.as_str());
            self.0.state.audit.count_wrong_token(peer.ip(), known);
            return intake::http::unauthorised(id);
        };
        if request.method() != Method::POST {
            return intake::http::wrong_method(id);
        }
        if self.0.state.log.space().is_full() {
            intake.deferred(system::now());
            return intake::IntakeError::StorageFull.render(id);
        }
        if parameters::text(request.uri().query().unwrap_or(""), "import").is_some() {
            return self.import_begins(intake, peer, request, id).await;
        }
        let headers: Arc<[_]> = header_lines(request.headers()).into();
        match self.record(intake, peer, request, Arc::clone(&headers)).await {
            Ok(answer) => intake::http::recorded(&answer, intake.source.format, &headers),
            Err(NotRecorded::Body(refused)) => {
                intake.refused(system::now());
                let limits = self.0.state.config().limits;
                let most = format!(
                    "At most {} bytes (limits.body_bytes_max), and {} after decompression \
                     (limits.body_decompressed_bytes_max).",
                    limits.body_bytes_max, limits.body_decompressed_bytes_max
                );
                refused_body(&refused, &most, id)
            }
            Err(NotRecorded::NoRoom) => {
                intake.deferred(system::now());
                intake::IntakeError::Overloaded.render(id)
            }
            Err(NotRecorded::Panicked) => {
                intake.refused(system::now());
                net::error(StatusCode::INTERNAL_SERVER_ERROR, "internal", "internal error", id)
            }
            Err(NotRecorded::NotLocal) => {
                intake.refused(system::now());
                intake::http::not_local(id)
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
        let (parts, incoming) = request.into_parts();
        let names = match body::read(incoming, most).await {
            Ok(names) => names,
            Err(refused) => return refused_body(&refused, &format!("At most {most} bytes."), id),
        };
        // A source's token writes to its own trail alone.
        if !self.is_local(&intake.source.name, &parts, &names) {
            intake.refused(system::now());
            return intake::http::not_local(id);
        }
        let who = Who { address: Some(peer.ip()), ..Who::default() };
        let act = intake::import::begun(&intake.source.name, &String::from_utf8_lossy(&names), who);
        let app = self.clone();
        match tokio::task::spawn_blocking(move || app.0.state.audit.record_now(act)).await {
            Ok(Ok(())) => net::json(StatusCode::OK, &serde_json::json!({ "recorded": 0 })),
            Ok(Err(_)) | Err(_) => intake::IntakeError::Overloaded.render(id),
        }
    }

    /// Whether a request to a source comes from a program that reads the data directory.
    fn is_local(&self, source: &str, parts: &request::Parts, body: &[u8]) -> bool {
        let shown = parts.headers.get(LOCAL_HEADER).and_then(|value| value.to_str().ok());
        let query = parts.uri.query().unwrap_or("");
        let key = || self.0.state.access.local_key();
        shown.is_some_and(|shown| key().verifies(source, query, body, shown))
    }

    /// Whether the request has the source's token, or a token of a user who may write to its trail.
    fn may_send(&self, headers: &HeaderMap, source: &str) -> bool {
        let config = self.0.state.config();
        let Some(source) = config.source(source) else { return false };
        if intake::http::is_authorised(headers, source) {
            return true;
        }
        let rights = self.0.state.access.current();
        let shown = headers.get("x-auth-token").and_then(|value| value.to_str().ok());
        shown.and_then(|text| rights.token(text)).is_some_and(|(token, user)| {
            let caller = Caller { user, scope: token.scope.clone() };
            let now = system::now();
            rights.note_use(token, now);
            token.expires_at > now && caller.may(Action::WriteEvents, &source.trail)
        })
    }

    /// Reads a request within bounds and records it.
    async fn record(
        &self,
        intake: &Arc<Intake>,
        peer: SocketAddr,
        request: hyper::Request<Incoming>,
        lines: Arc<[(String, String)]>,
    ) -> Result<intake::Answer, NotRecorded> {
        let limits = self.0.state.config().limits;
        let (parts, incoming) = request.into_parts();
        let query = parts.uri.query().unwrap_or("");
        let log_file = log_file_of(query).inspect_err(|_| intake.refused(system::now()))?;
        let position = position_of(query)?;
        let mut share = Share::of(&self.0.intake_kib);
        share.extend_to(expected_bytes(&parts.headers, limits.body_bytes_max))?;
        let deadline = tokio::time::Instant::now() + Duration::from_secs(limits.intake_timeout_s);
        let reading = body::read(incoming, limits.body_bytes_max);
        let bytes = tokio::time::timeout_at(deadline, reading)
            .await
            .unwrap_or(Err(BodyError::TooSlow))
            .map_err(NotRecorded::Body)?;
        // A sender who names a position of a file would take it from the line that stands there.
        let is_of_file = position.as_ref().is_some_and(|(file, _)| is_file_id(file));
        if is_of_file && !self.is_local(&intake.source.name, &parts, &bytes) {
            return Err(NotRecorded::NotLocal);
        }
        let delivery = Delivery {
            received_at: system::now(),
            peer: peer.ip(),
            headers: parts.headers,
            lines,
            log_file,
            position,
            bytes,
            share,
        };
        // From here on, a slow request is our fault, not the sender's.
        tokio::time::timeout_at(deadline, self.record_delivery(delivery, intake, limits))
            .await
            .unwrap_or(Err(NotRecorded::Intake(intake::IntakeError::Slow)))
    }

    async fn record_delivery(
        &self,
        delivery: Delivery,
        intake: &Arc<Intake>,
        limits: Limits,
    ) -> Result<intake::Answer, NotRecorded> {
        let is_small = delivery.is_small();
        let (app, of) = (self.clone(), Arc::clone(intake));
        let prepare = move || delivery.prepare(&of, &limits, &app.0.state.log);
        let (prepared, share) = run(prepare, is_small).await?;
        // The share is given back once the request is durable, whether or not somebody still waits.
        let share = Arc::new(share);
        let mut answer: Option<intake::Answer> = None;
        for one in prepared {
            let recorded = intake::record(one, intake, &self.0.state.log, Arc::clone(&share))
                .await
                .map_err(NotRecorded::Intake)?;
            answer = Some(match answer {
                Some(before) => before.and(recorded),
                None => recorded,
            });
        }
        answer.ok_or(NotRecorded::Intake(intake::IntakeError::Fenced))
    }
}

/// A body as it arrived, with what came along.
struct Delivery {
    received_at: Time,
    peer: IpAddr,
    headers: HeaderMap,
    /// The headers as formats read them.
    lines: Arc<[(String, String)]>,
    log_file: Option<String>,
    /// File and offset, if the body is a piece of a file.
    position: Option<(String, u64)>,
    bytes: Bytes,
    share: Share,
}

impl Delivery {
    /// Whether preparing it takes so little time that it needs no thread of its own.
    fn is_small(&self) -> bool {
        self.bytes.len() <= intake::http::INLINE_BYTES_MAX
            && !self.headers.contains_key(CONTENT_ENCODING)
    }

    /// Decompresses and parses the body. Returns the share of what was made of it; the body's own
    /// ends with the body.
    fn prepare(
        mut self,
        intake: &Intake,
        limits: &Limits,
        log: &Log,
    ) -> Result<(Vec<intake::Delivery>, Share), NotRecorded> {
        let body = body::decompress(&self.headers, self.bytes, limits.body_decompressed_bytes_max)
            .map_err(NotRecorded::Body)?;
        self.share.extend_to(body.len())?;
        let mut events_share = Share::of(&self.share.all);
        let mut is_full = false;
        let mut take = |bytes| {
            is_full = is_full || events_share.add(bytes).is_err();
            !is_full
        };
        let bytes_max = limits.request_events_bytes_max;
        let room = intake::Room { bytes_max, take: &mut take };
        let limits = formats::Limits {
            events_max: limits.events_per_request_max,
            event_bytes_max: limits.event_bytes_max,
        };
        let position = self.position.as_ref();
        let arrival = Arrival {
            received_at: self.received_at,
            log_file: self.log_file.as_deref(),
            headers: &self.lines,
            peer: Some(self.peer).filter(|_| position.is_none()),
            position: position.map(|(file, offset)| FilePosition { file, offset: *offset }),
        };
        let prepared = if position.is_some() {
            Ok(intake::piece::prepare_piece_within(room, &body, arrival, intake, limits, log))
        } else {
            let received = intake::Input::Body(&body);
            intake::prepare_within(room, received, arrival, intake, limits, log)
                .map(|whole| vec![whole])
        };
        if is_full {
            return Err(NotRecorded::NoRoom);
        }
        Ok((prepared.map_err(NotRecorded::Intake)?, events_share))
    }
}

/// The name of the source's log file, where the sender gives it.
fn log_file_of(query: &str) -> Result<Option<String>, NotRecorded> {
    let name = parameters::text(query, "log_file");
    if name.as_ref().is_some_and(|name| name.len() > LOG_FILE_BYTES_MAX) {
        let why = format!("log_file has more than {LOG_FILE_BYTES_MAX} bytes");
        return Err(NotRecorded::malformed(why));
    }
    Ok(name)
}

/// File and offset of a body, where `daybook import` names them.
fn position_of(query: &str) -> Result<Option<(String, u64)>, NotRecorded> {
    let Some(file) = parameters::text(query, "file") else { return Ok(None) };
    let is_id = (1..=FILE_ID_BYTES_MAX).contains(&file.len())
        && file.bytes().all(|byte| byte.is_ascii_hexdigit());
    let offset = parameters::text(query, "offset").and_then(|text| text.parse().ok());
    match (is_id, offset) {
        (true, Some(offset)) => Ok(Some((file, offset))),
        _ => Err(NotRecorded::malformed(format!(
            "file is 1 to {FILE_ID_BYTES_MAX} hex digits, and comes with an offset"
        ))),
    }
}

/// Header lines for formats. Bytes that are not UTF-8 become U+FFFD.
fn header_lines(headers: &HeaderMap) -> Vec<(String, String)> {
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
    Body(BodyError),
    /// There is no room for the body at this moment.
    NoRoom,
    /// Preparing the body panicked.
    Panicked,
    /// Only a program that reads the data directory may do this.
    NotLocal,
    /// Counted already.
    Intake(intake::IntakeError),
}

impl NotRecorded {
    fn malformed(why: String) -> NotRecorded {
        NotRecorded::Intake(intake::IntakeError::Envelope(EnvelopeError::Malformed(why)))
    }
}

/// A share of the memory for intake bodies.
#[derive(Debug)]
struct Share {
    all: Arc<Semaphore>,
    permit: Option<OwnedSemaphorePermit>,
    bytes: usize,
}

impl Share {
    /// An empty share.
    fn of(all: &Arc<Semaphore>) -> Share {
        Share { all: Arc::clone(all), permit: None, bytes: 0 }
    }

    /// Extends the share by this many bytes.
    fn add(&mut self, bytes: usize) -> Result<(), NotRecorded> {
        self.extend_to(self.bytes.saturating_add(bytes))
    }

    fn extend_to(&mut self, bytes: usize) -> Result<(), NotRecorded> {
        let kib_held = self.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let kib = bytes.div_ceil(1024).saturating_sub(kib_held);
        if kib > 0 {
            let kib = u32::try_from(kib).map_err(|_| NotRecorded::NoRoom)?;
            let more = Arc::clone(&self.all)
                .try_acquire_many_owned(kib)
                .map_err(|_| NotRecorded::NoRoom)?;
            match &mut self.permit {
                Some(permit) => permit.merge(more),
                None => self.permit = Some(more),
            }
        }
        self.bytes = self.bytes.max(bytes);
        Ok(())
    }
}

/// Most bytes that a body may have: its Content-Length, or the limit.
fn expected_bytes(headers: &HeaderMap, bytes_max: usize) -> usize {
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
            let mut share = Share::of(&all);
            share.extend_to(48 << 10).expect("there is room");
            let prepare = move || -> Result<(u32, Share), NotRecorded> {
                assert!(!is_panicking, "the preparation panics");
                Ok((7, share))
            };
            match run(prepare, false).await {
                Ok((prepared, _)) => assert_eq!((prepared, is_panicking), (7, false)),
                Err(why) => assert!(matches!(why, NotRecorded::Panicked) && is_panicking),
            }
            assert_eq!(all.available_permits(), 64, "its memory is given back");
        }
    }
}
