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

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::connections::Connections;
use crate::incoming::Incoming;
use crate::limits::Limits;
use crate::message::Response;
use crate::progress::Progress;
use crate::tls::Renewable;
use crate::write_timeout::WriteTimeout;

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
    let stream = WriteTimeout::new(stream, limits.write_timeout);
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
        let request = Incoming::of(request, limits.lingering);
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
    let (activity, progress) = (Arc::new(Activity::default()), Progress::default());
    let service = service_fn(|request| {
        let (handler, activity) = (handler.clone(), Arc::clone(&activity));
        let progress = progress.clone();
        let request = Incoming::of(request, limits.lingering);
        async move {
            activity.seen.fetch_add(1, Ordering::Relaxed);
            activity.open.fetch_add(1, Ordering::Relaxed);
            let response = handler.answer(peer, request).await;
            activity.open.fetch_sub(1, Ordering::Relaxed);
            Ok::<_, Infallible>(response.map(|body| progress.follow(body)))
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
                if progress.is_stalled(limits.write_timeout) {
                    tracing::debug!(%peer, "closed a connection whose window did not move");
                    return;
                }
                let seen = activity.seen.load(Ordering::Relaxed);
                let is_idle =
                    activity.open.load(Ordering::Relaxed) == 0 && !progress.is_under_way();
                if seen == seen_before && is_idle {
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

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpStream as Socket};

    use hyper::StatusCode;
    use hyper::body::Bytes;

    use super::*;
    use crate::incoming::Lingering;
    use crate::message::Body;

    const LIMITS: Limits = Limits {
        connections_max: 16,
        connections_per_address_max: 16,
        header_timeout: Duration::from_secs(10),
        header_bytes_max: 32 << 10,
        write_timeout: Duration::from_secs(30),
        lingering: Lingering { bytes_max: 64 << 20, time_max: Duration::from_secs(60) },
    };

    /// More than the buffers of a socket hold.
    const BODY_BYTES: usize = 16 << 20;

    /// Refuses every request before its body is read.
    #[derive(Clone)]
    struct Refusing;

    impl Handler for Refusing {
        async fn answer(&self, _: SocketAddr, _: hyper::Request<Incoming>) -> Response {
            crate::error(StatusCode::UNAUTHORIZED, "unauthorised", "wrong token", "1")
        }
    }

    /// The address of a server that refuses, for one connection by this protocol.
    async fn refusing(is_http2: bool) -> (SocketAddr, watch::Sender<bool>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
        let address = listener.local_addr().expect("an address");
        let (stop, stopping) = watch::channel(false);
        if is_http2 {
            tokio::spawn(async move {
                let (stream, peer) = listener.accept().await.expect("a connection");
                serve_http2(stream, peer, LIMITS, Refusing, stopping).await;
            });
        } else {
            tokio::spawn(run(listener, None, LIMITS, Refusing, stopping));
        }
        (address, stop)
    }

    /// Sends the request with a body and then reads the response, like the clients of Go and
    /// Python.
    fn post(address: SocketAddr, headers: &str) -> String {
        let mut socket = Socket::connect(address).expect("a connection");
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}\r\n");
        socket.write_all(head.as_bytes()).expect("the head is taken");
        let chunk = vec![b'x'; 64 << 10];
        for _ in 0..BODY_BYTES / chunk.len() {
            if headers.contains("chunked") {
                socket.write_all(b"10000\r\n").expect("the body is taken");
            }
            socket.write_all(&chunk).expect("the body is taken");
            if headers.contains("chunked") {
                socket.write_all(b"\r\n").expect("the body is taken");
            }
        }
        if headers.contains("chunked") {
            socket.write_all(b"0\r\n\r\n").expect("the body is taken");
        }
        let mut response = String::new();
        socket.read_to_string(&mut response).expect("the response is read to its end");
        response
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_response_before_the_body_reaches_a_sender_that_sends_all_of_it() {
        let (address, _stop) = refusing(false).await;
        for _ in 0..4 {
            for headers in [
                format!("Content-Length: {BODY_BYTES}\r\n"),
                "Transfer-Encoding: chunked\r\n".into(),
            ] {
                let response = tokio::task::spawn_blocking(move || post(address, &headers));
                let response = response.await.expect("no panic");
                assert!(response.starts_with("HTTP/1.1 401 "), "{response}");
                assert!(response.ends_with('}'), "{response}");
            }
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_sender_that_waits_for_leave_is_answered_at_once() {
        let (address, _stop) = refusing(false).await;
        let response = tokio::task::spawn_blocking(move || {
            let mut socket = Socket::connect(address).expect("a connection");
            let head =
                b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n";
            socket.write_all(head).expect("the head is taken");
            let mut response = String::new();
            socket.read_to_string(&mut response).expect("the response is read to its end");
            let _ = socket.shutdown(Shutdown::Both);
            response
        });
        let response = response.await.expect("no panic");
        assert!(response.starts_with("HTTP/1.1 401 "), "{response}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_response_before_the_body_does_not_reset_its_stream() {
        let (address, _stop) = refusing(true).await;
        let stream = TcpStream::connect(address).await.expect("a connection");
        let (client, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
        tokio::spawn(connection);
        let mut client = client.ready().await.expect("room for a stream");
        let request = hyper::Request::post("http://a/").body(()).expect("a request");
        let (response, mut body) = client.send_request(request, false).expect("a stream");
        let mut left = BODY_BYTES;
        while left > 0 {
            body.reserve_capacity(left.min(64 << 10));
            let capacity = std::future::poll_fn(|context| body.poll_capacity(context)).await;
            let bytes = capacity.expect("the stream is open").expect("it was not reset").min(left);
            left -= bytes;
            body.send_data(Bytes::from(vec![b'x'; bytes]), left == 0).expect("it was not reset");
        }
        let response = response.await.expect("a response");
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    }

    /// Answers every request with some bytes.
    #[derive(Clone)]
    struct Sevens;

    impl Handler for Sevens {
        async fn answer(&self, _: SocketAddr, _: hyper::Request<Incoming>) -> Response {
            Response::new(Body::from(vec![7; 1000]))
        }
    }

    /// The preface of HTTP/2, settings with a window of ten bytes, and a request for `/`.
    const REQUEST_WITH_A_SMALL_WINDOW: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\
          \x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x04\x00\x00\x00\x0a\
          \x00\x00\x06\x01\x05\x00\x00\x00\x01\x82\x87\x84\x41\x01x";

    #[tokio::test]
    async fn a_window_that_does_not_move_ends_the_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it listens");
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (client, (stream, peer)) = (client.expect("connected"), accepted.expect("accepted"));
        let limits = Limits {
            header_timeout: Duration::from_millis(500),
            write_timeout: Duration::from_millis(50),
            ..LIMITS
        };
        client.writable().await.expect("it is new");
        let sent = client.try_write(REQUEST_WITH_A_SMALL_WINDOW).expect("there is room");
        assert_eq!(sent, REQUEST_WITH_A_SMALL_WINDOW.len());
        let (_stop, stopping) = watch::channel(false);
        serve_http2(stream, peer, limits, Sevens, stopping).await;
        let (mut bytes, mut piece) = (Vec::new(), [0; 1024]);
        loop {
            client.readable().await.expect("the server ended");
            match client.try_read(&mut piece) {
                Ok(len @ 1..) => bytes.extend_from_slice(&piece[..len]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                _ => break,
            }
        }
        // A DATA frame of as many bytes as the window has.
        let data = [&b"\x00\x00\x0a\x00\x00\x00\x00\x00\x01"[..], &[7; 10]].concat();
        assert!(bytes.windows(data.len()).any(|window| window == data), "{bytes:?}");
    }
}
