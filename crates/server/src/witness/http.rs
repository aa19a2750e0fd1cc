//! `POST /add-checkpoint` (C2SP tlog-witness, section add-checkpoint), with its statuses and those
//! of requests that are refused before.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Method, StatusCode};
use tlog::NOTE_BYTES_MAX;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};

use super::{NotCosigned, Witness};
use crate::failure::{Exit, Failure};
use config::{Limits, Tls};
use intake::sockets;
use net::body::{self, BodyError};
use net::{self, Body, Incoming, Response, server};

/// The default address of a witness.
pub const LISTEN: &str = "127.0.0.1:8421";

const PATH: &str = "/add-checkpoint";
/// Bytes of a request's body: the longest checkpoint after a line with an old size and 63 hashes,
/// which have less than 4 KiB. Beyond, 413.
const BODY_BYTES_MAX: usize = NOTE_BYTES_MAX + (4 << 10);

/// A witness that is bound, but takes no requests yet.
pub struct Server {
    app: App,
    listener: TcpListener,
    tls: Option<Arc<net::tls::Renewable>>,
    fatal: mpsc::Receiver<String>,
}

#[derive(Clone)]
struct App {
    witness: Arc<Witness>,
    limits: Limits,
    in_flight: Arc<Semaphore>,
    report_fatal: mpsc::Sender<String>,
}

impl Server {
    /// Opens the witness and the certificate, and binds the address.
    pub async fn open(
        dir: &Path,
        listen: SocketAddr,
        tls: Option<&Tls>,
    ) -> Result<Server, Failure> {
        let tls = tls
            .map(|tls| net::tls::for_http(sockets::pem_files(tls)))
            .transpose()
            .map_err(Failure::usage)?
            .map(net::tls::Renewable::new);
        let witness = Arc::new(Witness::open(dir)?);
        let listener = TcpListener::bind(listen)
            .await
            .map_err(|error| Failure::new(format!("couldn't listen on {listen}: {error}")))?;
        let (report_fatal, fatal) = mpsc::channel(1);
        let limits = Limits::default();
        let in_flight = Arc::new(Semaphore::new(limits.requests_in_flight_max));
        Ok(Server { app: App { witness, limits, in_flight, report_fatal }, listener, tls, fatal })
    }

    /// The bound address.
    pub fn address(&self) -> Result<SocketAddr, Failure> {
        self.listener.local_addr().map_err(|error| {
            Failure::new(format!("couldn't read the address of the listener: {error}"))
        })
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// Serves until `until` resolves, or a durable write fails. Requests that are open then are
    /// finished.
    pub async fn run(mut self, until: impl Future<Output = ()>) -> Result<(), Failure> {
        let (stop, stopping) = watch::channel(false);
        tracing::info!(key = %self.app.witness.verifier(), "cosigning");
        let accepting = tokio::spawn(server::run(
            self.listener,
            self.tls,
            sockets::limits(&self.app.limits),
            self.app,
            stopping,
        ));
        let failure = tokio::select! {
            () = until => None,
            failure = self.fatal.recv() => failure,
        };
        let _ = stop.send(true);
        if let Err(error) = accepting.await {
            return Err(Failure::new(format!("the accept loop ended: {error}")));
        }
        match failure {
            None => Ok(()),
            Some(failure) => {
                let text = format!("a durable write failed, start again to recover: {failure}");
                Err(Failure { exit: Exit::WriteFailed, text })
            }
        }
    }
}

impl server::Handler for App {
    async fn answer(&self, peer: SocketAddr, request: hyper::Request<Incoming>) -> Response {
        let path = request.uri().path().to_owned();
        let most = Duration::from_secs(self.limits.request_timeout_s);
        let answer = tokio::time::timeout(most, self.answer_in_time(request)).await;
        let response = answer.unwrap_or_else(|_| {
            text(StatusCode::REQUEST_TIMEOUT, "the request took too long".to_owned())
        });
        tracing::debug!(%peer, path, status = response.status().as_u16(), "answered");
        response
    }
}

impl App {
    async fn answer_in_time(&self, request: hyper::Request<Incoming>) -> Response {
        if let Some((status, why)) = net::header_fault(&request) {
            return text(status, why.to_owned());
        }
        if request.uri().path() != PATH {
            return text(StatusCode::NOT_FOUND, format!("a witness answers POST {PATH}"));
        }
        if request.method() != Method::POST {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "it must be a POST".to_owned());
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
            return response;
        }
        let Ok(permit) = Arc::clone(&self.in_flight).try_acquire_owned() else {
            return text(
                StatusCode::SERVICE_UNAVAILABLE,
                "too many requests at once; try again".to_owned(),
            );
        };
        let body = match body::read(request.into_body(), BODY_BYTES_MAX).await {
            Ok(body) => body,
            Err(refused) => return refused_body(&refused),
        };
        let witness = Arc::clone(&self.witness);
        let cosign = move || {
            let _permit = permit;
            let now_s = system::now().unix_ns().div_euclid(1_000_000_000);
            witness.cosign(&body, u64::try_from(now_s).unwrap_or(0))
        };
        match tokio::task::spawn_blocking(cosign).await {
            Ok(Ok(line)) => text_of(StatusCode::OK, PLAIN, line),
            Ok(Err(why)) => self.refuse(&why),
            Err(error) => {
                tracing::error!(%error, "a request failed");
                text(StatusCode::INTERNAL_SERVER_ERROR, "internal error".to_owned())
            }
        }
    }

    fn refuse(&self, why: &NotCosigned) -> Response {
        let status = match why {
            NotCosigned::Malformed(_) | NotCosigned::OldSizeIsLarger => StatusCode::BAD_REQUEST,
            NotCosigned::UnknownOrigin => StatusCode::NOT_FOUND,
            NotCosigned::NotSigned => StatusCode::FORBIDDEN,
            NotCosigned::NotConsistent => StatusCode::UNPROCESSABLE_ENTITY,
            NotCosigned::OtherSize(size) | NotCosigned::OtherRoot(size) => {
                return text_of(StatusCode::CONFLICT, "text/x.tlog.size", format!("{size}\n"));
            }
            NotCosigned::NotRead(error) => {
                tracing::error!(%error, "couldn't read the witness's directory");
                return text(StatusCode::INTERNAL_SERVER_ERROR, "internal error".to_owned());
            }
            NotCosigned::NotWritten(error) => {
                // The channel holds one message; the first is enough.
                let _ = self.report_fatal.try_send(error.to_string());
                return text(StatusCode::INTERNAL_SERVER_ERROR, "internal error".to_owned());
            }
        };
        text(status, why.to_string())
    }
}

fn refused_body(refused: &BodyError) -> Response {
    let (status, why) = match refused {
        BodyError::TooLarge => {
            (StatusCode::PAYLOAD_TOO_LARGE, format!("a body has at most {BODY_BYTES_MAX} bytes"))
        }
        BodyError::TooSlow => (StatusCode::REQUEST_TIMEOUT, "the body came too slowly".to_owned()),
        BodyError::Broken => (StatusCode::BAD_REQUEST, "the body is incomplete".to_owned()),
        BodyError::Encoding => {
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body is encoded".to_owned())
        }
    };
    text(status, why)
}

const PLAIN: &str = "text/plain; charset=utf-8";

/// A response for people.
fn text(status: StatusCode, line: String) -> Response {
    text_of(status, PLAIN, line + "\n")
}

fn text_of(status: StatusCode, content_type: &'static str, body: String) -> Response {
    let mut response = Response::new(Body::from(body.into_bytes()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
