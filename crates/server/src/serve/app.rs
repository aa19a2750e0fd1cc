//! From a request to its answer: the limits that hold for every one, the route, and what is sent
//! piece by piece.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, HOST, HeaderValue, TRANSFER_ENCODING};
use hyper::{Method, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::refusal::{refused, refused_body, unknown};
use super::{App, elapsed_ms};
use crate::api::{codearts, daybook, dbss, gateway, hcs, iam, swr, taurusdb, tlog};
use crate::export;
use crate::housekeeping;
use crate::live::{self, Tail};
use crate::routes::{self, Endpoint, Found};
use crate::state::{Context, Note};
use net::body;
use net::{Body, Request, Response, X_REQUEST_ID, server};
use verify::receipt;
impl server::Handler for App {
    async fn answer(&self, peer: SocketAddr, request: hyper::Request<Incoming>) -> Response {
        let id = system::random_hex::<16>();
        let is_head = request.method() == Method::HEAD;
        let began = Instant::now();
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let mut answer = pin!(self.bounded(peer, request, &id));
        // A panic ends the request alone. Nothing that it could leave half-changed outlives it: the
        // log's own thread is another one, and locks are held for statements that do not panic.
        let polled = poll_fn(|context| {
            match catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(context))) {
                Ok(poll) => poll.map(Some),
                Err(_) => Poll::Ready(None),
            }
        });
        let mut response = polled.await.unwrap_or_else(|| {
            tracing::error!(request_id = id, "a request handler panicked");
            refused(&path, StatusCode::INTERNAL_SERVER_ERROR, "internal", "internal error", &id)
        });
        if let Ok(value) = HeaderValue::from_str(&id) {
            response.headers_mut().insert(X_REQUEST_ID, value);
        }
        self.0.api.answers.count(response.status());
        if is_head {
            *response.body_mut() = Body::default();
        }
        tracing::debug!(request_id = id, %peer, %method, path, status = response.status().as_u16(), ms = elapsed_ms(began), "answered");
        response
    }
}

impl App {
    /// Applies the limits that hold for every request, then answers it.
    async fn bounded(
        &self,
        peer: SocketAddr,
        request: hyper::Request<Incoming>,
        id: &str,
    ) -> Response {
        let limits = self.0.api.config().limits;
        if let Some(refusal) = self.refuse_by_header(&request, id) {
            return refusal;
        }
        let Ok(_permit) = self.0.api.in_flight.try_acquire() else {
            let text = "too many requests at once; try again";
            return refused(
                request.uri().path(),
                StatusCode::SERVICE_UNAVAILABLE,
                "overloaded",
                text,
                id,
            );
        };
        let path = request.uri().path().to_owned();
        let found = routes::find(request.method(), &net::path::segments(&path));
        let began = Instant::now();
        if let Found::Route(Endpoint::Intake, path) = found {
            // It tells a slow sender from a slow log.
            let answer = self.intake(&path[0], peer, request, id).await;
            self.0.api.answers.took(Endpoint::Intake, began.elapsed());
            return answer;
        }
        let endpoint = match &found {
            Found::Route(endpoint, _) => Some(*endpoint),
            _ => None,
        };
        let seconds = limits.request_timeout_s;
        let answer = self.dispatch(found, peer, request, id);
        let answered =
            tokio::time::timeout(Duration::from_secs(seconds), answer).await.unwrap_or_else(|_| {
                let text = format!("the request took longer than {seconds} s");
                refused(&path, StatusCode::REQUEST_TIMEOUT, "timeout", &text, id)
            });
        if let Some(endpoint) = endpoint {
            self.0.api.answers.took(endpoint, began.elapsed());
        }
        answered
    }

    fn refuse_by_header(&self, request: &hyper::Request<Incoming>, id: &str) -> Option<Response> {
        let limits = self.0.api.config().limits;
        let path = request.uri().path();
        let uri_bytes = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
        if uri_bytes > limits.uri_bytes_max {
            let status = StatusCode::URI_TOO_LONG;
            return Some(refused(path, status, "APIGW.0201", "Request URI too large.", id));
        }
        let headers = request.headers();
        let header_bytes: usize =
            headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        if headers.len() > limits.headers_max || header_bytes > limits.header_bytes_max {
            let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
            return Some(refused(path, status, "APIGW.0201", "Request header too large.", id));
        }
        // hyper reads such a request as chunked; a proxy in front may not, and then they disagree
        // where the next begins.
        if headers.contains_key(CONTENT_LENGTH) && headers.contains_key(TRANSFER_ENCODING) {
            let text = "both Content-Length and Transfer-Encoding";
            let mut response = refused(path, StatusCode::BAD_REQUEST, "malformed", text, id);
            response
                .headers_mut()
                .insert(hyper::header::CONNECTION, HeaderValue::from_static("close"));
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
                net::json(StatusCode::OK, &serde_json::json!({ "status": "ok" }))
            }
            Found::Route(Endpoint::Ready, _) => self.ready(),
            Found::Route(endpoint, path) => match self.read_whole(peer, request, id).await {
                Ok(request) => self.api(endpoint, path, request).await,
                Err(refusal) => refusal,
            },
            Found::UnknownMethod => {
                unknown(request.uri().path(), StatusCode::METHOD_NOT_ALLOWED, id)
            }
            Found::UnknownPath => unknown(request.uri().path(), StatusCode::NOT_FOUND, id),
        }
    }

    /// Answers a request to a wire API, and sees to its record.
    async fn api(&self, endpoint: Endpoint, path: Vec<String>, request: Request) -> Response {
        let id = request.id.clone();
        if !self.0.api.audit.has_room() {
            let text = "too many requests are waiting to be recorded; try again";
            let path = &request.raw_path;
            return refused(path, StatusCode::SERVICE_UNAVAILABLE, "overloaded", text, &id);
        }
        // What is sent while it is made is recorded before it is answered; one that there is no
        // room for is not recorded.
        let permit =
            match self.places(endpoint).map(|places| Arc::clone(places).try_acquire_owned()) {
                None => None,
                Some(Ok(permit)) => Some(permit),
                Some(Err(_)) => {
                    let text = "too many of these at once; try again";
                    return refused(
                        &request.raw_path,
                        StatusCode::SERVICE_UNAVAILABLE,
                        "overloaded",
                        text,
                        &id,
                    );
                }
            };
        let api = Arc::clone(&self.0.api);
        let answer = move || {
            let rights = api.access.current();
            let context = Context { shared: &api, rights: &rights, now: system::now() };
            let mut note = Note::of(&request);
            let mut answered = dispatch_api(endpoint, &path, &request, &context, &mut note);
            if let Answered::Whole(response) = &mut answered {
                add_receipt(response, &request, &context, &note);
            }
            let status = match &answered {
                Answered::Whole(response) => response.status(),
                Answered::Download(_) | Answered::Tail(..) => StatusCode::OK,
                Answered::Export(sending) => sending.head.status(),
            };
            housekeeping::record(endpoint, note, status, &api.audit);
            answered
        };
        // A query reads files and may scan a trail; sockets must not wait for it.
        match tokio::task::spawn_blocking(answer).await {
            Ok(Answered::Whole(response)) => response,
            Ok(Answered::Download(download)) => self.send_file(download, permit, &id),
            Ok(Answered::Tail(tailed, size)) => self.send_tail(tailed, size, permit),
            Ok(Answered::Export(sending)) => {
                let stopping = self.0.stopping.clone();
                export::send::start(*sending, Arc::clone(&self.0.api), stopping, permit, &id)
            }
            Err(error) => {
                tracing::error!(request_id = id, %error, "a query failed");
                net::error(StatusCode::INTERNAL_SERVER_ERROR, "internal", "internal error", &id)
            }
        }
    }

    /// Places for requests whose answers are sent for long, if this is one.
    fn places(&self, endpoint: Endpoint) -> Option<&Arc<Semaphore>> {
        match endpoint {
            Endpoint::Download => Some(&self.0.downloads),
            Endpoint::Daybook(daybook::Operation::Tail) => Some(&self.0.tails),
            Endpoint::Daybook(daybook::Operation::Export | daybook::Operation::ExportManifest) => {
                Some(&self.0.api.exports.places)
            }
            _ => None,
        }
    }

    /// Sends a file piece by piece. A client that takes none for a while, and a file that does not
    /// read back, end the connection before the announced length.
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
                let sent =
                    tokio::time::timeout(PIECE_TAKEN_WITHIN, pieces.send(bytes.into())).await;
                if !matches!(sent, Ok(Ok(()))) {
                    return;
                }
            }
        });
        response
    }

    /// Sends what is recorded, as long as it is wanted.
    fn send_tail(
        &self,
        tail: Tail,
        tree_size: u64,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Response {
        let (pieces, receiver) = tokio::sync::mpsc::channel(live::PIECES_AHEAD);
        let (api, stopping) = (Arc::clone(&self.0.api), self.0.stopping.clone());
        tokio::spawn(async move {
            let _permit = permit;
            live::send(api, tail, pieces, stopping).await;
        });
        daybook::tail::response(Body::Live(receiver), tree_size)
    }

    fn ready(&self) -> Response {
        if *self.0.stopping.borrow() {
            return net::json(
                StatusCode::SERVICE_UNAVAILABLE,
                &serde_json::json!({ "status": "stopping" }),
            );
        }
        net::json(StatusCode::OK, &serde_json::json!({ "status": "ready" }))
    }

    /// Reads the body of a request to a wire API, since its signature covers it.
    async fn read_whole(
        &self,
        peer: SocketAddr,
        request: hyper::Request<Incoming>,
        id: &str,
    ) -> Result<Request, Response> {
        let (parts, incoming) = request.into_parts();
        let limits = self.0.api.config().limits;
        let body = body::read(incoming, limits.query_body_bytes_max).await.map_err(|refused| {
            let most = format!("At most {} bytes.", limits.query_body_bytes_max);
            refused_body(&refused, &most, id)
        })?;
        let authority = parts.uri.authority().map(|authority| authority.as_str().to_owned());
        let host = parts
            .headers
            .get(HOST)
            .and_then(|host| host.to_str().ok())
            .map(str::to_owned)
            .or(authority);
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
    /// And how many events there are now.
    Tail(Tail, u64),
    Export(Box<export::send::Sending>),
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
        Endpoint::Evidence(operation) => tlog::answer(operation, path, request, context, note),
        Endpoint::Daybook(daybook::Operation::Tail) => {
            match daybook::tail::open(request, context, note) {
                Ok((tail, size)) => return Answered::Tail(tail, size),
                Err(problem) => problem.render(&request.id),
            }
        }
        Endpoint::Daybook(
            operation @ (daybook::Operation::Export | daybook::Operation::ExportManifest),
        ) => match daybook::export::open(operation, request, context, note) {
            Ok(sending) => return Answered::Export(Box::new(sending)),
            Err(problem) => problem.render(&request.id),
        },
        Endpoint::Daybook(operation) => daybook::answer(operation, path, request, context, note),
        Endpoint::Download => match taurusdb::open_download(&path[0], request, context, note) {
            Ok(download) => return Answered::Download(download),
            Err(refusal) => *refusal,
        },
        Endpoint::Health | Endpoint::Ready | Endpoint::Intake => {
            gateway::unknown_path(&request.raw_path, &request.id)
        }
    })
}

/// Adds a receipt to an answer that has something to say, if the request or the configuration asks
/// for one.
fn add_receipt(response: &mut Response, request: &Request, context: &Context<'_>, note: &Note) {
    let shared = context.shared;
    let is_asked_for = request.header(receipt::HEADER).is_some_and(|value| value == "true");
    let Body::Whole(body) = response.body() else { return };
    if !(is_asked_for || shared.config().evidence.receipts) || !response.status().is_success() {
        return;
    }
    let made = shared.evidence.receipt(shared.log.contents(), request, note, context.now, body);
    match made.map(|text| HeaderValue::from_str(&text)) {
        Ok(Ok(value)) => {
            response.headers_mut().insert(receipt::HEADER, value);
        }
        Ok(Err(_)) => unreachable!("base64 may stand in a header"),
        Err(error) => {
            tracing::error!(request_id = request.id, %error, "couldn't make a receipt");
            *response = net::error(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "internal error",
                &request.id,
            );
        }
    }
}
