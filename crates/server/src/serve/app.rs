//! From a request to its response: the limits that hold for every request, and the route.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use hyper::body::Body as _;
use hyper::header::{HOST, HeaderValue};
use hyper::{Method, StatusCode};
use serde::Serialize;

use super::refusal::{overloaded, refused, refused_body, unknown};
use super::work::{self, OnLeave};
use super::{App, elapsed_ms};
use crate::api::answer::Reply;
use crate::api::{Api, Call, Route, Streaming};
use crate::routes::{self, Match, Target};
use crate::shares::Share;
use access::rights::Action;
use net::body;
use net::{Body, Incoming, Request, Response, X_REQUEST_ID, server};

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
        self.0.state.requests.count(response.status());
        if is_head {
            *response.body_mut() = Body::default();
        }
        tracing::debug!(request_id = id, %peer, %method, path, status = response.status().as_u16(), ms = elapsed_ms(began), "answered");
        response
    }
}

/// The response of `/healthz` and `/readyz`.
#[derive(Serialize)]
struct Standing {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    intake: Option<&'static str>,
    #[serde(skip_serializing_if = "is_zero")]
    damaged_files: usize,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl App {
    /// Applies the limits that hold for every request, then responds to it.
    async fn bounded(
        &self,
        peer: SocketAddr,
        request: hyper::Request<Incoming>,
        id: &str,
    ) -> Response {
        let limits = self.0.state.config().limits;
        if let Some(refusal) = self.refuse_by_header(&request, id) {
            return refusal;
        }
        let path = request.uri().path().to_owned();
        let found = routes::find(request.method(), &net::path::segments(&path));
        let began = Instant::now();
        let (name, is_intake) = match &found {
            Match::Route(target, _) => (target.name(), matches!(target, Target::Intake)),
            Match::UnknownMethod | Match::UnknownPath => ("", false),
        };
        let answer = self.dispatch(found, peer, request, id);
        let response = if is_intake {
            answer.await
        } else {
            let seconds = limits.request_timeout_s;
            tokio::time::timeout(Duration::from_secs(seconds), answer).await.unwrap_or_else(|_| {
                let text = format!("the request took longer than {seconds} s");
                refused(&path, StatusCode::REQUEST_TIMEOUT, "timeout", &text, id)
            })
        };
        self.0.state.requests.took(name, began.elapsed());
        response
    }

    fn refuse_by_header(&self, request: &hyper::Request<Incoming>, id: &str) -> Option<Response> {
        let limits = self.0.state.config().limits;
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
        if let Some((status, text)) = net::header_fault(request) {
            let mut response = refused(path, status, "malformed", text, id);
            response
                .headers_mut()
                .insert(hyper::header::CONNECTION, HeaderValue::from_static("close"));
            return Some(response);
        }
        None
    }

    async fn dispatch(
        &self,
        found: Match,
        peer: SocketAddr,
        request: hyper::Request<Incoming>,
        id: &str,
    ) -> Response {
        match found {
            Match::Route(Target::Health, _) => net::json(StatusCode::OK, &self.standing("ok")),
            Match::Route(Target::Ready, _) => self.ready(),
            // It distinguishes a slow sender from a slow log, so it has a timeout of its own.
            Match::Route(Target::Intake, path) => match self.0.state.shares.take(Share::Intake) {
                Some(_permit) => self.intake(&path[0], peer, request, id).await,
                None => overloaded(request.uri().path(), id),
            },
            Match::Route(Target::Api(api, route), path) => {
                match self.read_whole(peer, request, id).await {
                    Ok(request) => self.api(api, route, path, request).await,
                    Err(refusal) => refusal,
                }
            }
            Match::UnknownMethod => {
                unknown(request.uri().path(), StatusCode::METHOD_NOT_ALLOWED, id)
            }
            Match::UnknownPath => unknown(request.uri().path(), StatusCode::NOT_FOUND, id),
        }
    }

    /// Responds to a request to a wire API.
    async fn api(
        &self,
        api: &'static Api,
        route: &'static Route,
        path: Vec<String>,
        request: Request,
    ) -> Response {
        let id = request.id.clone();
        if !self.0.state.audit.has_room() {
            let text = "too many requests are waiting to be recorded; try again";
            let path = &request.raw_path;
            return refused(path, StatusCode::SERVICE_UNAVAILABLE, "overloaded", text, &id);
        }
        let share = Target::Api(api, route).share();
        let permit = share.map(|share| self.0.state.shares.take(share));
        if let Some(None) = permit {
            return overloaded(&request.raw_path, &id);
        }
        let state = Arc::clone(&self.0.state);
        let answer = move || {
            let rights = state.access.current();
            let call = Call::new(route.name, route.needs, &path, &request, &state, &rights);
            api.answer(route, &call)
        };
        // A query reads files and may scan a trail; sockets must not wait for it.
        let (requests, counting_bytes_max) =
            (Arc::clone(&self.0.state.requests), self.0.state.config().limits.counting_bytes_max);
        let on_leave = match route.needs {
            Some(Action::WriteEvents) => OnLeave::GoOn,
            _ => OnLeave::End,
        };
        match work::run(permit, counting_bytes_max, requests, on_leave, answer).await {
            Ok(Reply::Whole(response)) => response,
            Ok(Reply::Streamed(_, start)) => start(Streaming {
                state: Arc::clone(&self.0.state),
                stopping: self.0.stopping.clone(),
                request_id: id,
            }),
            Err(error) => {
                tracing::error!(request_id = id, %error, "a query failed");
                net::error(StatusCode::INTERNAL_SERVER_ERROR, "internal", "internal error", &id)
            }
        }
    }

    fn ready(&self) -> Response {
        if *self.0.stopping.borrow() {
            return net::json(
                StatusCode::SERVICE_UNAVAILABLE,
                &serde_json::json!({ "status": "stopping" }),
            );
        }
        net::json(StatusCode::OK, &self.standing("ready"))
    }

    /// A status, and what limits it. A server with a full disk or a damaged old segment still
    /// answers queries, so that nothing should restart it or take it from its callers.
    fn standing(&self, status: &'static str) -> Standing {
        let log = &self.0.state.log;
        Standing {
            status,
            intake: log.space().is_full().then_some("storage_full"),
            damaged_files: log.damaged_files().len(),
        }
    }

    /// Reads the body of a request to a wire API, since its signature covers it.
    async fn read_whole(
        &self,
        peer: SocketAddr,
        request: hyper::Request<Incoming>,
        id: &str,
    ) -> Result<Request, Response> {
        let (parts, incoming) = request.into_parts();
        let limits = self.0.state.config().limits;
        // One without a body waits for nothing.
        let permit = (!incoming.is_end_stream()).then(|| self.0.state.shares.take_for_body());
        if let Some(None) = permit {
            return Err(overloaded(parts.uri.path(), id));
        }
        let body = body::read(incoming, limits.query_body_bytes_max).await.map_err(|refused| {
            let most = format!("At most {} bytes.", limits.query_body_bytes_max);
            refused_body(&refused, &most, id)
        })?;
        drop(permit);
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
