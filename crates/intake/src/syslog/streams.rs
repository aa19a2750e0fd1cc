//! Messages by TCP and TLS.
//!
//! There are no responses, so the server slows a sender down by not reading. Connections may be
//! silent for hours.

use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::collector::{Sink, message};
use super::framing::Framing;
use crate::monitor::counters::Counters;
use crate::{Intake, sockets};
use config::Limits;
use net::connections::Connections;
use net::server::{ACCEPT_PAUSE, stopped};
use net::tls::Renewable;

/// Buffer sizes for quiet and for busy connections. A thousand silent senders cost four megabytes.
const READ_BYTES_MIN: usize = 4 << 10;
const READ_BYTES_MAX: usize = 32 << 10;
/// Keepalive of silent connections. Without it, a sender that vanished would hold its permit for
/// ever.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(300);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(60);
/// When the server stops, bytes already sent are still read: until none arrive for the pause, or
/// until the time for last reads is over.
const LAST_PAUSE: Duration = Duration::from_millis(50);
const LAST_READS: Duration = Duration::from_millis(500);
/// Time for a connection to close after the last read.
const GOODBYE: Duration = Duration::from_millis(500);

/// Accepts connections until a stop is requested; returns once the last one ended.
pub async fn listen(
    listener: TcpListener,
    tls: Option<Arc<Renewable>>,
    intake: Arc<Intake>,
    sink: Sink,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
) {
    let connections = Connections::new(&sockets::limits(&limits));
    // Connections already accepted by the kernel may hold messages when the server stops.
    let mut accept_until = None;
    loop {
        let accepted = match accept_until {
            None => tokio::select! {
                accepted = listener.accept() => accepted,
                () = stopped(&mut stop) => {
                    accept_until = Some(Instant::now() + LAST_READS);
                    continue;
                }
            },
            // A ready connection wins over the timeout, so the deadline needs its own check.
            Some(until) if Instant::now() > until => break,
            Some(_) => match timeout(LAST_PAUSE, listener.accept()).await {
                Ok(accepted) => accepted,
                Err(_) => break,
            },
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "couldn't accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let address = peer.ip().to_canonical();
        let is_accepted = super::accepts(&intake, address);
        let permit =
            if is_accepted { connections.take(address) } else { Err("its address may not send") };
        let permit = match permit {
            Ok(permit) => permit,
            Err(why) => {
                Counters::add(&intake.counters.connections_refused, 1);
                tracing::warn!(source = intake.source.name, %peer, why, "closed a connection");
                continue;
            }
        };
        let (tls, sink, stop) = (tls.clone(), sink.clone(), stop.clone());
        tokio::spawn(async move {
            serve(stream, address, tls, &sink, &limits, stop).await;
            drop(permit);
        });
    }
    drop((listener, sink));
    connections.ended(super::END_WITHIN).await;
}

async fn serve(
    stream: TcpStream,
    peer: IpAddr,
    tls: Option<Arc<Renewable>>,
    sink: &Sink,
    limits: &Limits,
    stop: watch::Receiver<bool>,
) {
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_EVERY);
    if let Err(error) = SockRef::from(&stream).set_tcp_keepalive(&keepalive) {
        tracing::debug!(%peer, %error, "couldn't set SO_KEEPALIVE");
    }
    let bytes_max = limits.syslog_message_bytes_max;
    match tls {
        None => read(stream, peer, sink, bytes_max, stop).await,
        Some(tls) => match timeout(limits.header_timeout(), tls.acceptor().accept(stream)).await {
            Ok(Ok(stream)) => read(stream, peer, sink, bytes_max, stop).await,
            Ok(Err(error)) => tracing::warn!(%peer, %error, "TLS handshake failed"),
            Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
        },
    }
}

/// Reads messages until the stream ends or the server does.
async fn read(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: IpAddr,
    sink: &Sink,
    bytes_max: usize,
    mut stop: watch::Receiver<bool>,
) {
    let mut framing = Framing::new(bytes_max);
    let mut buffer = vec![0; READ_BYTES_MIN];
    let mut read_until = None;
    let is_orderly = loop {
        let mut piece = ReadBuf::new(&mut buffer);
        let reading = poll_fn(|context| Pin::new(&mut stream).poll_read(context, &mut piece));
        let read = match read_until {
            None => tokio::select! {
                read = reading => read,
                () = stopped(&mut stop) => {
                    read_until = Some(Instant::now() + LAST_READS);
                    continue;
                }
            },
            Some(until) if Instant::now() > until => break false,
            Some(_) => match timeout(LAST_PAUSE, reading).await {
                Ok(read) => read,
                Err(_) => break false,
            },
        };
        let len_bytes = piece.filled().len();
        match read {
            Ok(()) if len_bytes == 0 => break true,
            Ok(()) => {}
            Err(error) => {
                tracing::debug!(%peer, %error, "connection ended");
                break false;
            }
        }
        let mut messages = Vec::new();
        framing.take(&buffer[..len_bytes], &mut |frame| messages.push(message(frame, peer)));
        if !messages.is_empty() && sink.put(messages).await.is_err() {
            return;
        }
        let next = read_bytes(buffer.len(), len_bytes);
        if next != buffer.len() {
            buffer = vec![0; next];
        }
    };
    let mut last = Vec::new();
    framing.finish(is_orderly, &mut |frame| last.push(message(frame, peer)));
    if !last.is_empty() && sink.put(last).await.is_err() {
        return;
    }
    // An error means that the sender is already gone.
    let _ = timeout(GOODBYE, poll_fn(|context| Pin::new(&mut stream).poll_shutdown(context))).await;
}

/// Size of the next buffer, after `read` bytes were read into one of `requested` bytes.
fn read_bytes(requested: usize, read: usize) -> usize {
    if read == requested {
        (requested * 2).min(READ_BYTES_MAX)
    } else if read < requested / 4 {
        READ_BYTES_MIN
    } else {
        requested
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_grow_and_shrink_with_the_reads() {
        let sizes = |reads: &[usize]| {
            reads
                .iter()
                .fold(READ_BYTES_MIN, |requested, &read| read_bytes(requested, read.min(requested)))
        };
        assert_eq!(sizes(&[usize::MAX; 10]), READ_BYTES_MAX);
        assert_eq!(sizes(&[usize::MAX, 5 << 10]), 8 << 10);
        assert_eq!(sizes(&[usize::MAX, usize::MAX, 100]), READ_BYTES_MIN);
    }
}
