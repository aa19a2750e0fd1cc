//! Messages by UDP, one in a datagram.
//!
//! Nothing slows a sender down, so messages that arrive too fast are lost. Those dropped by Daybook
//! and those dropped by the kernel are counted.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use socket2::SockRef;
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::collector::{Sink, message};
use super::framing::{Flaw, Frame};
use crate::monitor::counters::Counters;
use crate::{Intake, Message};
use net::server::stopped;

/// Requested size of the kernel's buffer for datagrams not yet received. The kernel grants at most
/// `net.core.rmem_max`.
const RECEIVE_BUFFER_BYTES: usize = 8 << 20;
/// The largest datagram there is.
const DATAGRAM_BYTES_MAX: usize = 64 << 10;
/// Most datagrams that enter the queue together.
const DATAGRAMS_AT_ONCE: usize = 64;
/// Interval of the reads of the kernel's count of dropped datagrams.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// Time to receive the datagrams already in the buffer when the server stops.
const LAST_READS: Duration = Duration::from_millis(500);

/// Binds the socket with a large buffer.
pub async fn bind(address: SocketAddr) -> std::io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address).await?;
    let options = SockRef::from(&socket);
    options.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
    // The kernel adds its own overhead, and reports twice the requested size.
    let (granted, requested) = (options.recv_buffer_size()?, 2 * RECEIVE_BUFFER_BYTES);
    if granted < requested {
        tracing::info!(
            %address,
            granted,
            requested,
            "net.core.rmem_max limits the receive buffer for datagrams"
        );
    }
    Ok(socket)
}

/// Receives datagrams until a stop is requested.
pub async fn receive(
    socket: UdpSocket,
    intake: Arc<Intake>,
    sink: Sink,
    bytes_max: usize,
    mut stop: watch::Receiver<bool>,
) {
    let mut receiver =
        Receiver { socket, intake, sink, bytes_max, buffer: vec![0; DATAGRAM_BYTES_MAX] };
    let mut watch = DropWatch::of(&receiver);
    let mut check = tokio::time::interval(CHECK_EVERY);
    check.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stopped(&mut stop) => break,
            _ = check.tick() => watch.check(&receiver.intake),
            ready = receiver.socket.readable() => match ready {
                Ok(()) => { receiver.take_some(); }
                Err(error) => {
                    tracing::warn!(%error, "couldn't wait for datagrams");
                    tokio::time::sleep(CHECK_EVERY).await;
                }
            },
        }
    }
    let began = Instant::now();
    while receiver.take_some() && began.elapsed() < LAST_READS {
        tokio::task::yield_now().await;
    }
    watch.check(&receiver.intake);
}

struct Receiver {
    socket: UdpSocket,
    intake: Arc<Intake>,
    sink: Sink,
    bytes_max: usize,
    buffer: Vec<u8>,
}

impl Receiver {
    /// Receives the waiting datagrams, up to a limit; false if there were none.
    fn take_some(&mut self) -> bool {
        let mut messages = Vec::new();
        let mut received = 0;
        while received < DATAGRAMS_AT_ONCE {
            match self.socket.try_recv_from(&mut self.buffer) {
                Ok((len_bytes, peer)) => {
                    received += 1;
                    messages.extend(self.message_of(len_bytes, peer.ip().to_canonical()));
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                // An error of a datagram sent by this socket; it sends none.
                Err(error) => {
                    tracing::debug!(%error, "couldn't receive a datagram");
                    break;
                }
            }
        }
        // Messages enter the queue one by one if it has no room for all of them.
        let count = messages.len();
        if count > 0 && !self.sink.has_room_for(&messages) {
            let dropped =
                messages.into_iter().filter_map(|one| self.sink.try_put(vec![one]).err()).count();
            Counters::add(&self.intake.counters.dropped_by_daybook, dropped);
        } else if count > 0 && self.sink.try_put(messages).is_err() {
            Counters::add(&self.intake.counters.dropped_by_daybook, count);
        }
        received > 0
    }

    /// Message of the datagram in the buffer. `None` for an empty one, or if its sender is refused.
    fn message_of(&self, len_bytes: usize, peer: IpAddr) -> Option<Message> {
        if !super::accepts(&self.intake, peer) {
            Counters::add(&self.intake.counters.refused, 1);
            return None;
        }
        let stored = len_bytes.min(self.bytes_max);
        let flaw = (stored < len_bytes).then_some(Flaw::TooLong(len_bytes));
        (len_bytes > 0)
            .then(|| message(Frame { bytes: self.buffer[..stored].to_vec(), flaw }, peer))
    }
}

/// Counts what the kernel drops.
struct DropWatch {
    /// The kernel's table with a line for the socket.
    table: &'static str,
    inode: Option<u64>,
    by_kernel: u64,
}

impl DropWatch {
    fn of(receiver: &Receiver) -> DropWatch {
        let is_ipv6 = receiver.socket.local_addr().is_ok_and(|address| address.is_ipv6());
        let link = std::fs::read_link(format!("/proc/self/fd/{}", receiver.socket.as_raw_fd()));
        let inode = link.ok().and_then(|link| socket_inode(link.to_str()?));
        let table = if is_ipv6 { "/proc/net/udp6" } else { "/proc/net/udp" };
        if inode.is_none() {
            tracing::warn!(
                source = receiver.intake.source.name,
                "couldn't count the datagrams dropped by the kernel"
            );
        }
        DropWatch { table, inode, by_kernel: 0 }
    }

    fn check(&mut self, intake: &Intake) {
        let text = std::fs::read_to_string(self.table).unwrap_or_default();
        let by_kernel = self.inode.and_then(|inode| drops(&text, inode)).unwrap_or(self.by_kernel);
        let more = by_kernel.saturating_sub(self.by_kernel);
        intake.counters.dropped_by_kernel.fetch_add(more, Ordering::Relaxed);
        self.by_kernel = self.by_kernel.max(by_kernel);
    }
}

/// Parses `socket:[12345]`, the link target of a file descriptor.
fn socket_inode(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// Number of datagrams that the kernel dropped for a socket. `/proc/net/udp` shares the columns of
/// <https://docs.kernel.org/networking/proc_net_tcp.html> up to the inode; its last column is the
/// drops.
fn drops(table: &str, inode: u64) -> Option<u64> {
    table.lines().skip(1).find_map(|line| {
        let mut columns = line.split_whitespace().skip(9);
        (columns.next()?.parse() == Ok(inode)).then(|| columns.last()?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops            \n\
         \x20 345: 00000000:1F90 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 12345 2 00000000abcdef01 0         \n\
         \x20 612: 0100007F:158A 00000000:0000 07 00000000:00034200 00:00000000 00000000  1000        0 67890 2 00000000abcdef02 4711      \n";

    #[test]
    fn drops_are_found_by_inode() {
        assert_eq!(drops(TABLE, 12345), Some(0));
        assert_eq!(drops(TABLE, 67890), Some(4711));
        for (table, inode) in [(TABLE, 2), (TABLE, 4711), ("", 12345), ("sl\n1 2 3\n\n", 3)] {
            assert_eq!(drops(table, inode), None);
        }
        assert_eq!(socket_inode("socket:[67890]"), Some(67890));
        for link in ["socket:67890", "/dev/null", "socket:[]", "socket:[-1]"] {
            assert_eq!(socket_inode(link), None, "{link}");
        }
    }
}
