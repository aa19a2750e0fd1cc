//! Messages by UDP: one in a datagram.
//!
//! Nothing slows a sender down, so what comes too fast is lost. It is counted, whether we dropped
//! it or the kernel did.

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

/// What the kernel is asked to keep of datagrams that were not taken yet; it grants what
/// `net.core.rmem_max` allows.
const RECEIVE_BUFFER_BYTES: usize = 8 << 20;
/// The largest datagram there is.
const DATAGRAM_BYTES_MAX: usize = 64 << 10;
/// Datagrams taken before they are put together into the queue.
const TAKEN_AT_ONCE: usize = 64;
/// How often the kernel's count of dropped datagrams is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long datagrams are still taken that came before the end of the server.
const LAST_READS: Duration = Duration::from_millis(500);

/// Binds the socket with a large buffer.
pub async fn bind(address: SocketAddr) -> std::io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address).await?;
    let options = SockRef::from(&socket);
    options.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
    // The kernel counts its own overhead, and tells twice what it was asked for.
    let (granted, asked) = (options.recv_buffer_size()?, 2 * RECEIVE_BUFFER_BYTES);
    if granted < asked {
        tracing::info!(%address, granted, asked, "net.core.rmem_max bounds what the kernel keeps of datagrams");
    }
    Ok(socket)
}

/// Takes datagrams until told to stop.
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
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stopped(&mut stop) => break,
            _ = look.tick() => watch.look(&receiver.intake),
            ready = receiver.socket.readable() => match ready {
                Ok(()) => { receiver.take_some(); }
                Err(error) => {
                    tracing::warn!(%error, "couldn't wait for datagrams");
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            },
        }
    }
    let began = Instant::now();
    while receiver.take_some() && began.elapsed() < LAST_READS {
        tokio::task::yield_now().await;
    }
    watch.look(&receiver.intake);
}

struct Receiver {
    socket: UdpSocket,
    intake: Arc<Intake>,
    sink: Sink,
    bytes_max: usize,
    buffer: Vec<u8>,
}

impl Receiver {
    /// Takes what is there, up to a limit; whether there was anything.
    fn take_some(&mut self) -> bool {
        let mut messages = Vec::new();
        let mut taken = 0;
        while taken < TAKEN_AT_ONCE {
            match self.socket.try_recv_from(&mut self.buffer) {
                Ok((len_bytes, peer)) => {
                    taken += 1;
                    messages.extend(self.taken(len_bytes, peer.ip().to_canonical()));
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                // What a datagram of ours would have met; none is sent.
                Err(error) => {
                    tracing::debug!(%error, "couldn't take a datagram");
                    break;
                }
            }
        }
        // One by one if not all of them have room together.
        let count = messages.len();
        if count > 0 && !self.sink.has_room_for(&messages) {
            let dropped =
                messages.into_iter().filter_map(|one| self.sink.try_put(vec![one]).err()).count();
            Counters::add(&self.intake.counters.dropped_by_daybook, dropped);
        } else if count > 0 && self.sink.try_put(messages).is_err() {
            Counters::add(&self.intake.counters.dropped_by_daybook, count);
        }
        taken > 0
    }

    /// The message of the datagram in the buffer, if its sender is heard. An empty one holds none.
    fn taken(&self, len_bytes: usize, peer: IpAddr) -> Option<Message> {
        if !super::hears(&self.intake, peer) {
            Counters::add(&self.intake.counters.refused, 1);
            return None;
        }
        let kept = len_bytes.min(self.bytes_max);
        let flaw = (kept < len_bytes).then_some(Flaw::TooLong(len_bytes));
        (len_bytes > 0).then(|| message(Frame { bytes: self.buffer[..kept].to_vec(), flaw }, peer))
    }
}

/// Counts what the kernel drops.
struct DropWatch {
    /// The kernel's table that the socket stands in, and which one it is there.
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
                "what the kernel drops cannot be counted"
            );
        }
        DropWatch { table, inode, by_kernel: 0 }
    }

    fn look(&mut self, intake: &Intake) {
        let text = std::fs::read_to_string(self.table).unwrap_or_default();
        let by_kernel = self.inode.and_then(|inode| drops(&text, inode)).unwrap_or(self.by_kernel);
        let more = by_kernel.saturating_sub(self.by_kernel);
        intake.counters.dropped_by_kernel.fetch_add(more, Ordering::Relaxed);
        self.by_kernel = self.by_kernel.max(by_kernel);
    }
}

/// `socket:[12345]`, as what a file descriptor is a link to.
fn socket_inode(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// How many datagrams the kernel dropped for a socket:
/// <https://docs.kernel.org/networking/proc_net_tcp.html>, whose columns `/proc/net/udp` shares up
/// to the inode; the last one is the drops.
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
    fn drops_are_told_by_inode() {
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
