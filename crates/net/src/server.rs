//! The accept loop: connections in, limits on each, requests to a handler, an orderly end.
//!
//! Plain connections speak HTTP/1.1 alone; with TLS the client chooses by ALPN. A connection gets
//! its protocol's own builder, because the one that detects the protocol has no limit on how long
//! it waits for the first bytes.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::connections::Connections;
use crate::limits::Limits;
use crate::message::Response;
use crate::tls::Renewable;

/// Time for open requests to end once the server stops.
pub const DRAIN_MAX: Duration = Duration::from_secs(30);
/// The pause after a failed accept. Mostly file descriptors ran out, and only time frees some.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Bytes of a header that hyper buffers, a little above the limit that we answer ourselves.
const HEADER_BUFFER_BYTES: usize = 64 << 10;
/// Header lines that hyper accepts.
const HYPER_HEADERS_MAX: usize = 256;
const H2_STREAMS_MAX: u32 = 64;
const H2_PENDING_RESETS_MAX: usize = 20;
const H2_PING_EVERY: Duration = Duration::from_secs(20);

/// Answers one request. The address is the peer's.
pub trait Handler: Clone + Send + Sync + 'static {
    fn answer(
        &self,
        peer: SocketAddr,
        request: hyper::Request<Incoming>,
    ) -> impl Future<Output = Response> + Send;
}

/// Accepts connections until `stop` becomes true, then lets open requests end.
pub async fn run<H: Handler>(
    listener: TcpListener,
    tls: Option<Arc<Renewable>>,
    limits: Limits,
    handler: H,
    mut stop: watch::Receiver<bool>,
) {
    let connections = Connections::new(&limits);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopped(&mut stop) => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "couldn't accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let permit = match connections.take(peer.ip()) {
            Ok(permit) => permit,
            Err(why) => {
                tracing::warn!(%peer, why, "closed a connection");
                continue;
            }
        };
        let (tls, handler, stop) = (tls.clone(), handler.clone(), stop.clone());
        tokio::spawn(async move {
            serve_connection(stream, peer, tls, limits, handler, stop).await;
            drop(permit);
        });
    }
    drop(listener);
    if !connections.ended(DRAIN_MAX).await {
        tracing::warn!("some connections did not end in time");
    }
}

/// Resolves once the value is true, or its sender is gone.
pub async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn serve_connection<H: Handler>(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<Arc<Renewable>>,
    limits: Limits,
    handler: H,
    stop: watch::Receiver<bool>,
) {
    // Responses are small; filling packets would only delay them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "couldn't set TCP_NODELAY");
    }
    match tls {
        None => serve_http1(stream, peer, limits, handler, stop).await,
        Some(tls) => {
            match tokio::time::timeout(limits.header_timeout, tls.acceptor().accept(stream)).await {
                Ok(Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
                    serve_http2(stream, peer, limits, handler, stop).await;
                }
                Ok(Ok(stream)) => serve_http1(stream, peer, limits, handler, stop).await,
                Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake failed"),
                Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
            }
        }
    }
}

async fn serve_http1<H: Handler>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    limits: Limits,
    handler: H,
    mut stop: watch::Receiver<bool>,
) {
    let service = service_fn(|request| {
        let handler = handler.clone();
        async move { Ok::<_, Infallible>(handler.answer(peer, request).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(HEADER_BUFFER_BYTES)
        .max_headers(HYPER_HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "connection ended");
    }
}

async fn serve_http2<H: Handler>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    limits: Limits,
    handler: H,
    mut stop: watch::Receiver<bool>,
) {
    let activity = Arc::new(Activity::default());
    let service = service_fn(|request| {
        let (handler, activity) = (handler.clone(), Arc::clone(&activity));
        async move {
            activity.seen.fetch_add(1, Ordering::Relaxed);
            activity.open.fetch_add(1, Ordering::Relaxed);
            let response = handler.answer(peer, request).await;
            activity.open.fetch_sub(1, Ordering::Relaxed);
            Ok::<_, Infallible>(response)
        }
    });
    let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(H2_STREAMS_MAX)
        .max_header_list_size(u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(H2_PENDING_RESETS_MAX)
        .keep_alive_interval(H2_PING_EVERY)
        .keep_alive_timeout(limits.header_timeout)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let mut seen_before = 0;
    let mut is_ending = false;
    let ended = loop {
        tokio::select! {
            ended = connection.as_mut() => break ended,
            () = stopped(&mut stop), if !is_ending => {
                is_ending = true;
                connection.as_mut().graceful_shutdown();
            }
            // hyper has no limit on the time in which a client sends nothing, or half a preface.
            () = tokio::time::sleep(limits.header_timeout) => {
                let seen = activity.seen.load(Ordering::Relaxed);
                if seen == seen_before && activity.open.load(Ordering::Relaxed) == 0 {
                    tracing::debug!(%peer, "closed an idle connection");
                    return;
                }
                seen_before = seen;
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "connection ended");
    }
}

/// Requests of one connection: all so far, and those not answered yet.
#[derive(Default)]
struct Activity {
    seen: AtomicU64,
    open: AtomicU64,
}
