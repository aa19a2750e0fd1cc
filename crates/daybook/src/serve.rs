//! The running server: opens what the configuration names, sends requests to their routes, and ends in order.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use event::source::EnvelopeError;
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, HOST, HeaderValue, TRANSFER_ENCODING};
use hyper::{Method, StatusCode};
use store::durable::Local;
use store::{Log, Settings};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::access::attempts::Attempts;
use crate::access::rights::Action;
use crate::access::{Access, Caller};
use crate::api::walks::Walks;
use crate::api::{Context, Note, codearts, dbss, gateway, hcs, iam, parameters, swr, taurusdb};
use crate::audit::OwnAudit;
use crate::config::{Config, Source};
use crate::http::body::{self, Refused};
use crate::http::{Body, Request, Response, X_REQUEST_ID, server};
use crate::report::{Exit, Failure};
use crate::routes::{self, Endpoint, Found};
use crate::{ambient, housekeeping, http, intake};

/// A server that is bound and has its log open, but takes no requests yet.
pub struct Server {
    app: App,
    listener: TcpListener,
    tls: Option<tokio_rustls::TlsAcceptor>,
    stop: watch::Sender<bool>,
    housekeeping: housekeeping::Housekeeping,
    fatal: tokio::sync::mpsc::Receiver<String>,
}

/// What answering a request needs. Clones are the same server.
#[derive(Clone)]
struct App(Arc<Shared>);

struct Shared {
    api: Arc<crate::api::Shared>,
    scheme: &'static str,
    in_flight: Semaphore,
    downloads: Arc<Semaphore>,
    /// Intake bytes held, in KiB.
    intake_kib: Arc<Semaphore>,
    stopping: watch::Receiver<bool>,
}

impl Server {
    /// Opens the log, the rights and the certificate, and binds the address.
    pub async fn open(config: Config, data_dir: &Path) -> Result<Server, Failure> {
        let tls = config.tls.as_ref().map(http::tls::acceptor).transpose().map_err(Failure::usage)?;
        let (report_fatal, fatal) = tokio::sync::mpsc::channel(1);
        let began = Instant::now();
        let log = Log::open(
            Arc::new(Local::open(data_dir)),
            Settings {
                waiting_requests_max: config.limits.waiting_requests_max,
                seal_events: config.limits.seal_events,
                unsealed_events_max: config.limits.unsealed_events_max,
                cache_bytes_max: config.limits.index_cache_bytes_max,
                on_fatal: Arc::new(move |error: &store::Error| {
                    // The channel holds one message; the first is enough.
                    let _ = report_fatal.try_send(error.to_string());
                }),
                ..Settings::default()
            },
        )?;
        if let Some(torn) = log.torn_tail() {
            tracing::warn!(
                file = torn.file,
                offset = torn.offset,
                bytes = torn.len_bytes,
                "cut off an append that nobody was answered for"
            );
        }
        let counts = log.counts();
        tracing::info!(
            events = counts.events,
            set_aside = counts.set_aside,
            ms = elapsed_ms(began),
            "opened the log"
        );
        let log = Arc::new(log);
        let audit = OwnAudit::new(Arc::clone(&log), config.own.clone());
        let serving = housekeeping::begin(data_dir, &config, &audit).map_err(Failure::new)?;
        let access = Access::open(data_dir, &config.own, &|changed| {
            audit.record_all_now(housekeeping::acts_of(changed))
        })
        .map_err(Failure::new)?;
        let policies = taurusdb::Policies::load(&log, &config.own)?;
        let listener = TcpListener::bind(config.listen).await.map_err(|error| {
            let hint = if error.kind() == std::io::ErrorKind::AddrInUse {
                "; choose another with --listen"
            } else {
                ""
            };
            Failure::new(format!("couldn't listen on {}: {error}{hint}", config.listen))
        })?;
        let (stop, stopping) = watch::channel(false);
        let limits = config.limits;
        let api = Arc::new(crate::api::Shared {
            log,
            access,
            audit,
            config,
            walks: Walks::default(),
            attempts: Attempts::default(),
            policies,
            hcs_pace: hcs::Pace::default(),
        });
        let shared = Shared {
            scheme: if tls.is_some() { "https" } else { "http" },
            in_flight: Semaphore::new(limits.requests_in_flight_max),
            downloads: Arc::new(Semaphore::new(limits.downloads_max)),
            intake_kib: Arc::new(Semaphore::new(
                limits.intake_bytes_in_flight_max.div_ceil(1024).min(Semaphore::MAX_PERMITS),
            )),
            stopping,
            api: Arc::clone(&api),
        };
        let housekeeping = housekeeping::Housekeeping::start(api, serving);
        Ok(Server { app: App(Arc::new(shared)), listener, tls, stop, housekeeping, fatal })
    }

    /// The address that was bound.
    pub fn address(&self) -> Result<SocketAddr, Failure> {
        self.listener
            .local_addr()
            .map_err(|error| Failure::new(format!("couldn't read the address listened on: {error}")))
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// Serves until `until` resolves, or a durable write fails. Requests that are open then are finished.
    pub async fn run(mut self, until: impl Future<Output = ()>) -> Result<(), Failure> {
        let limits = self.app.0.api.config.limits;
        let accepting = tokio::spawn(server::run(
            self.listener,
            self.tls,
            limits,
            self.app.clone(),
            self.stop.subscribe(),
        ));
        let failure = tokio::select! {
            () = until => None,
            failure = self.fatal.recv() => failure,
        };
        match &failure {
            None => tracing::info!("stopping: finishing open requests"),
            Some(failure) => {
                tracing::error!(failure, "a durable write failed; stopping, start again to recover")
            }
        }
        let _ = self.stop.send(true);
        if let Err(error) = accepting.await {
            return Err(Failure::new(format!("the accept loop ended: {error}")));
        }
        if let Some(failure) = failure {
            let text = format!("a durable write failed, start again to recover: {failure}");
            return Err(Failure { exit: Exit::WriteFailed, text });
        }
        // Connections are gone; a request that outlived its client may still hold the log for a moment.
        self.housekeeping.stop();
        let mut api = match Arc::into_inner(self.app.0) {
            Some(shared) => shared.api,
            None => return Ok(()),
        };
        for _ in 0..LAST_HOLDERS_ATTEMPTS {
            match Arc::try_unwrap(api) {
                Ok(api) => {
                    drop(api.audit);
                    if let Some(log) = Arc::into_inner(api.log) {
                        log.close()?;
                    }
                    break;
                }
                Err(still_held) => api = still_held,
            }
            tokio::time::sleep(LAST_HOLDERS_PAUSE).await;
        }
        tracing::info!("stopped");
        Ok(())
    }
}

const LAST_HOLDERS_ATTEMPTS: usize = 100;
const LAST_HOLDERS_PAUSE: Duration = Duration::from_millis(20);

fn elapsed_ms(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

impl server::Handler for App {
    async fn answer(&self, peer: SocketAddr, request: hyper::Request<Incoming>) -> Response {
        let id = ambient::random_hex::<16>();
        let is_head = request.method() == Method::HEAD;
        let began = Instant::now();
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let mut answer = pin!(self.bounded(peer, request, &id));
        // A panic ends the request alone. Nothing that it could leave half-changed outlives it: the log's own thread is
        // another one, and locks are held for statements that do not panic.
        let polled =
            poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(context))) {
                Ok(poll) => poll.map(Some),
                Err(_) => Poll::Ready(None),
            });
        let mut response = polled.await.unwrap_or_else(|| {
            tracing::error!(request_id = id, "a request handler panicked");
            http::error(StatusCode::INTERNAL_SERVER_ERROR, "internal", "internal error", &id)
        });
        if let Ok(value) = HeaderValue::from_str(&id) {
            response.headers_mut().insert(X_REQUEST_ID, value);
        }
        if is_head {
            *response.body_mut() = Body::default();
        }
        tracing::debug!(request_id = id, %peer, %method, path, status = response.status().as_u16(), ms = elapsed_ms(began), "answered");
        response
    }
}

impl App {
    /// Applies the limits that hold for every request, then answers it.
    async fn bounded(&self, peer: SocketAddr, request: hyper::Request<Incoming>, id: &str) -> Response {
        let limits = &self.0.api.config.limits;
        if let Some(refusal) = self.refuse_by_header(&request, id) {
            return refusal;
        }
        let Ok(_permit) = self.0.in_flight.try_acquire() else {
            return http::error(
                StatusCode::SERVICE_UNAVAILABLE,
                "overloaded",
                "too many requests at once; try again",
                id,
            );
        };
        let path = request.uri().path().to_owned();
        let found = routes::find(request.method(), &http::path::segments(&path));
        let seconds = if matches!(found, Found::Route(Endpoint::Intake, _)) {
            limits.intake_timeout_s
        } else {
            limits.request_timeout_s
        };
        let answer = self.dispatch(found, peer, request, id);
        tokio::time::timeout(Duration::from_secs(seconds), answer).await.unwrap_or_else(|_| {
            http::error(
                StatusCode::REQUEST_TIMEOUT,
                "timeout",
                &format!("the request took longer than {seconds} s"),
                id,
            )
        })
    }

    fn refuse_by_header(&self, request: &hyper::Request<Incoming>, id: &str) -> Option<Response> {
        let limits = &self.0.api.config.limits;
        let uri_bytes = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
        if uri_bytes > limits.uri_bytes_max {
            return Some(http::error(StatusCode::URI_TOO_LONG, "APIGW.0201", "Request URI too large.", id));
        }
        let headers = request.headers();
        let header_bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        if headers.len() > limits.headers_max || header_bytes > limits.header_bytes_max {
            let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
            return Some(http::error(status, "APIGW.0201", "Request header too large.", id));
        }
        // hyper reads such a request as chunked; a proxy in front may not, and then they disagree where the next begins.
        if headers.contains_key(CONTENT_LENGTH) && headers.contains_key(TRANSFER_ENCODING) {
            let mut response = http::error(
                StatusCode::BAD_REQUEST,
                "malformed",
                "both Content-Length and Transfer-Encoding",
                id,
            );
            response.headers_mut().insert(hyper::header::CONNECTION, HeaderValue::from_static("close"));
            return Some(response);
        }
        None
    }

    async fn dispatch(
        &self,
        found: Found,
        peer: SocketAddr,
        request: hyper::Request<Incoming>,
        id: &str,
    ) -> Response {
        match found {
            Found::Route(Endpoint::Health, _) => {
                http::json(StatusCode::OK, &serde_json::json!({ "status": "ok" }))
            }
            Found::Route(Endpoint::Ready, _) => self.ready(),
            Found::Route(Endpoint::Intake, path) => self.intake(&path[0], request, id).await,
            Found::Route(endpoint, path) => match self.read_whole(peer, request, id).await {
                Ok(request) => self.api(endpoint, path, request).await,
                Err(refusal) => refusal,
            },
            Found::UnknownMethod => gateway::unknown_method(request.uri().path(), id),
            Found::UnknownPath => gateway::unknown_path(request.uri().path(), id),
        }
    }

    /// Answers a request to a wire API, and sees to its record.
    async fn api(&self, endpoint: Endpoint, path: Vec<String>, request: Request) -> Response {
        let id = request.id.clone();
        if !self.0.api.audit.has_room() {
            let text = "too many requests are waiting to be recorded; try again";
            return http::error(StatusCode::SERVICE_UNAVAILABLE, "overloaded", text, &id);
        }
        // A download is recorded before it is answered; one that there is no room for is not recorded.
        let permit = match endpoint {
            Endpoint::Download => match Arc::clone(&self.0.downloads).try_acquire_owned() {
                Ok(permit) => Some(permit),
                Err(_) => {
                    let text = "too many downloads at once; try again";
                    return http::error(StatusCode::SERVICE_UNAVAILABLE, "overloaded", text, &id);
                }
            },
            _ => None,
        };
        let api = Arc::clone(&self.0.api);
        let answer = move || {
            let rights = api.access.current();
            let context = Context { shared: &api, rights: &rights, now: ambient::now() };
            let mut note = Note::of(&request);
            let answered = dispatch_api(endpoint, &path, &request, &context, &mut note);
            let status = match &answered {
                Answered::Whole(response) => response.status(),
                Answered::Download(_) => StatusCode::OK,
            };
            housekeeping::record(endpoint, note, status, &api.audit);
            answered
        };
        // A query reads files and may scan a trail; sockets must not wait for it.
        match tokio::task::spawn_blocking(answer).await {
            Ok(Answered::Whole(response)) => response,
            Ok(Answered::Download(download)) => self.send_file(download, permit, &id),
            Err(error) => {
                tracing::error!(request_id = id, %error, "a query failed");
                http::error(StatusCode::INTERNAL_SERVER_ERROR, "internal", "internal error", &id)
            }
        }
    }

    /// Sends a file piece by piece. A client that takes none for a while, and a file that does not read back, end the
    /// connection before the announced length.
    fn send_file(
        &self,
        download: taurusdb::Download,
        permit: Option<OwnedSemaphorePermit>,
        id: &str,
    ) -> Response {
        let (pieces, receiver) = tokio::sync::mpsc::channel(PIECES_AHEAD);
        let response = download.response(Body::Stream(receiver, download.file.len_bytes));
        let (api, id) = (Arc::clone(&self.0.api), id.to_owned());
        tokio::spawn(async move {
            let _permit = permit;
            let (mut line, file) = (0, Arc::new(download.file));
            while line < file.lines {
                let (log, of) = (Arc::clone(&api.log), Arc::clone(&file));
                let read = move || log.audit_file_lines(&of, line, PIECE_BYTES);
                let (bytes, next) = match tokio::task::spawn_blocking(read).await {
                    Ok(Ok(read)) => read,
                    Ok(Err(error)) => {
                        tracing::error!(request_id = id, %error, "couldn't read an audit log file");
                        return;
                    }
                    Err(_) => return,
                };
                line = next;
                let sent = tokio::time::timeout(PIECE_TAKEN_WITHIN, pieces.send(bytes.into())).await;
                if !matches!(sent, Ok(Ok(()))) {
                    return;
                }
            }
        });
        response
    }

    fn ready(&self) -> Response {
        if *self.0.stopping.borrow() {
            return http::json(StatusCode::SERVICE_UNAVAILABLE, &serde_json::json!({ "status": "stopping" }));
        }
        http::json(StatusCode::OK, &serde_json::json!({ "status": "ready" }))
    }

    async fn intake(&self, name: &str, request: hyper::Request<Incoming>, id: &str) -> Response {
        let found = self.0.api.config.sources.iter().position(|source| source.name == name);
        let Some(position) =
            found.filter(|&position| self.may_send(request.headers(), self.source(position)))
        else {
            return intake::unauthorised(id);
        };
        if request.method() != Method::POST {
            return intake::wrong_method(id);
        }
        match self.recorded(position, request).await {
            Ok(answer) => http::json(StatusCode::OK, &answer),
            Err(NotRecorded::Body(refused)) => {
                let limits = &self.0.api.config.limits;
                let most = format!(
                    "At most {} bytes, and {} after decompression.",
                    limits.body_bytes_max, limits.body_decompressed_bytes_max
                );
                refused_body(&refused, &most, id)
            }
            Err(NotRecorded::Intake(refused)) => refused.render(id),
        }
    }

    /// Whether the request shows the source's token, or one of a user who may write to its trail.
    fn may_send(&self, headers: &hyper::HeaderMap, source: &Source) -> bool {
        if intake::is_authorised(headers, source) {
            return true;
        }
        let rights = self.0.api.access.current();
        let shown = headers.get("x-auth-token").and_then(|value| value.to_str().ok());
        shown.and_then(|text| rights.token(text)).is_some_and(|(token, user)| {
            let caller = Caller { user, scope: token.scope.clone() };
            token.expires_at > ambient::now() && caller.may(Action::WriteEvents, &source.trail)
        })
    }

    fn source(&self, position: usize) -> &Source {
        &self.0.api.config.sources[position]
    }

    async fn recorded(
        &self,
        position: usize,
        request: hyper::Request<Incoming>,
    ) -> Result<intake::Answer, NotRecorded> {
        let limits = self.0.api.config.limits;
        let (parts, incoming) = request.into_parts();
        let log_file = parameters::text(parts.uri.query().unwrap_or(""), "log_file");
        if log_file.as_ref().is_some_and(|name| name.len() > LOG_FILE_BYTES_MAX) {
            let why = format!("log_file has more than {LOG_FILE_BYTES_MAX} bytes");
            return Err(NotRecorded::Intake(intake::Refused::Envelope(EnvelopeError::Malformed(why))));
        }
        let mut held = Held::take(&self.0.intake_kib, expected_bytes(&parts.headers, limits.body_bytes_max))?;
        let received = body::read(incoming, limits.body_bytes_max).await.map_err(NotRecorded::Body)?;
        let received_at = ambient::now();
        let app = self.clone();
        let is_small = received.len() <= intake::INLINE_BYTES_MAX
            && !parts.headers.contains_key(hyper::header::CONTENT_ENCODING);
        let prepare = move || {
            let body = body::decompress(&parts.headers, received, limits.body_decompressed_bytes_max)
                .map_err(NotRecorded::Body)?;
            held.extend_to(body.len())?;
            let limits = event::source::Limits {
                events_max: limits.events_per_request_max,
                event_bytes_max: limits.event_bytes_max,
            };
            let prepared = intake::prepare(
                &body,
                app.source(position),
                log_file.as_deref(),
                limits,
                &app.0.api.log,
                received_at,
            )
            .map_err(NotRecorded::Intake)?;
            Ok((prepared, held))
        };
        let (prepared, held) = if is_small {
            prepare()?
        } else {
            tokio::task::spawn_blocking(prepare)
                .await
                .map_err(|_| NotRecorded::Intake(intake::Refused::Fenced))??
        };
        let answer = intake::record(prepared, &self.0.api.log).await.map_err(NotRecorded::Intake);
        drop(held);
        answer
    }

    /// Reads the body of a request to a wire API, since its signature covers it.
    async fn read_whole(
        &self,
        peer: SocketAddr,
        request: hyper::Request<Incoming>,
        id: &str,
    ) -> Result<Request, Response> {
        let (parts, incoming) = request.into_parts();
        let limits = &self.0.api.config.limits;
        let body = body::read(incoming, limits.query_body_bytes_max).await.map_err(|refused| {
            let most = format!("At most {} bytes.", limits.query_body_bytes_max);
            refused_body(&refused, &most, id)
        })?;
        let authority = parts.uri.authority().map(|authority| authority.as_str().to_owned());
        let host =
            parts.headers.get(HOST).and_then(|host| host.to_str().ok()).map(str::to_owned).or(authority);
        Ok(Request {
            method: parts.method,
            raw_path: parts.uri.path().to_owned(),
            raw_query: parts.uri.query().unwrap_or("").to_owned(),
            headers: parts.headers,
            host: host.unwrap_or_default(),
            body,
            peer: peer.ip(),
            scheme: self.0.scheme,
            id: id.to_owned(),
        })
    }
}

/// How a request to a wire API is answered.
enum Answered {
    Whole(Response),
    Download(taurusdb::Download),
}

/// Pieces of a file read ahead of the client, and how large each is.
const PIECES_AHEAD: usize = 2;
const PIECE_BYTES: usize = 256 << 10;
/// A client must take a piece within this time.
const PIECE_TAKEN_WITHIN: Duration = Duration::from_secs(30);

fn dispatch_api(
    endpoint: Endpoint,
    path: &[String],
    request: &Request,
    context: &Context<'_>,
    note: &mut Note,
) -> Answered {
    Answered::Whole(match endpoint {
        Endpoint::Iam(operation) => iam::answer(operation, request, context, note),
        Endpoint::Swr(operation) => swr::answer(operation, path, request, context, note),
        Endpoint::CodeArts(operation) => codearts::answer(operation, path, request, context, note),
        Endpoint::TaurusDb(operation) => taurusdb::answer(operation, path, request, context, note),
        Endpoint::Hcs(operation) => hcs::answer(operation, request, context, note),
        Endpoint::Dbss(operation) => dbss::answer(operation, path, request, context, note),
        Endpoint::Download => match taurusdb::open_download(&path[0], request, context, note) {
            Ok(download) => return Answered::Download(download),
            Err(refusal) => *refusal,
        },
        Endpoint::Health | Endpoint::Ready | Endpoint::Intake => {
            gateway::unknown_path(&request.raw_path, &request.id)
        }
    })
}

/// Longest name of a source's log file.
const LOG_FILE_BYTES_MAX: usize = 255;

enum NotRecorded {
    Body(Refused),
    Intake(intake::Refused),
}

/// A share of the memory that intake bodies may take.
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
        let kib = u32::try_from(more.div_ceil(1024))
            .map_err(|_| NotRecorded::Intake(intake::Refused::Overloaded))?;
        let permit = Arc::clone(&self.all)
            .try_acquire_many_owned(kib)
            .map_err(|_| NotRecorded::Intake(intake::Refused::Overloaded))?;
        self._permits.push(permit);
        self.bytes = bytes;
        Ok(())
    }
}

/// How much a body may turn out to be: what it says, or the most it may.
fn expected_bytes(headers: &hyper::HeaderMap, bytes_max: usize) -> usize {
    let said =
        headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
    said.map_or(bytes_max, |said: usize| said.min(bytes_max))
}

fn refused_body(refused: &Refused, most: &str, id: &str) -> Response {
    match refused {
        Refused::TooLarge => {
            let why = format!("Request entity too large. {most}");
            http::error(StatusCode::PAYLOAD_TOO_LARGE, "APIGW.0201", &why, id)
        }
        Refused::TooSlow => {
            http::error(StatusCode::REQUEST_TIMEOUT, "timeout", "the body came too slowly", id)
        }
        Refused::Broken => http::error(
            StatusCode::BAD_REQUEST,
            "malformed",
            "the body is incomplete or not what its encoding says",
            id,
        ),
        Refused::Encoding => http::error(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_encoding",
            "one Content-Encoding of gzip, zstd or identity is taken",
            id,
        ),
    }
}
