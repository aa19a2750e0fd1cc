//! Receives syslog messages over UDP, TCP and TLS (RFC 5424 to 5426, 6587, and RFC 3164 as it is
//! used in practice).
//!
//! Each source has its own listeners, and a task that records their messages: [`collector`]. No
//! source waits for another, but all wait for the log. None of the three transports has a response.

mod collector;
mod datagrams;
mod framing;
mod streams;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use store::Log;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::collector::Sink;
use super::Intake;
use crate::sockets;
use config::{Limits, Syslog};
use net::tls::{Renewable, server_config};

/// Time for connections to end, and for their messages to become durable, once the server stops.
const END_WITHIN: Duration = Duration::from_secs(30);

/// Bound sockets without a listener yet.
pub struct BoundSockets {
    sources: Vec<(Arc<Intake>, Vec<Socket>)>,
}

enum Socket {
    Udp(UdpSocket),
    Tcp(TcpListener, Option<Arc<Renewable>>),
}

/// Running listeners.
pub struct Listeners {
    intakes: Vec<Arc<Intake>>,
    tasks: JoinSet<()>,
}

/// Binds the configured addresses of the sources. An error names the source, the address and the
/// cause.
pub async fn bind(intakes: &[Arc<Intake>]) -> Result<BoundSockets, String> {
    let mut sources = Vec::new();
    for intake in intakes {
        let Some(syslog) = &intake.source.syslog else { continue };
        let sockets = sockets(syslog).await;
        let sockets =
            sockets.map_err(|why| format!("source {:?}: syslog: {why}", intake.source.name))?;
        sources.push((Arc::clone(intake), sockets));
    }
    Ok(BoundSockets { sources })
}

async fn sockets(syslog: &Syslog) -> Result<Vec<Socket>, String> {
    let unbound = |transport: &str, address: SocketAddr| {
        let what = format!("couldn't listen on {address} by {transport}");
        move |error: std::io::Error| format!("{what}: {error}")
    };
    let mut sockets = Vec::new();
    if let Some(address) = syslog.udp {
        sockets.push(Socket::Udp(datagrams::bind(address).await.map_err(unbound("UDP", address))?));
    }
    if let Some(address) = syslog.tcp {
        let listener = TcpListener::bind(address).await.map_err(unbound("TCP", address))?;
        sockets.push(Socket::Tcp(listener, None));
    }
    if let Some(tls) = &syslog.tls {
        let config = server_config(sockets::pem_files(&tls.identity), tls.client_ca.as_deref())?;
        let listener = TcpListener::bind(tls.listen).await.map_err(unbound("TLS", tls.listen))?;
        sockets.push(Socket::Tcp(listener, Some(Renewable::new(config))));
    }
    Ok(sockets)
}

/// Whether the source accepts messages from this address.
fn accepts(intake: &Intake, address: IpAddr) -> bool {
    intake.source.syslog.as_ref().is_some_and(|syslog| syslog.accepts(address))
}

impl BoundSockets {
    /// Describes each socket for people: `syslog of source edge by TCP on 127.0.0.1:5514`.
    pub fn descriptions(&self) -> Vec<String> {
        let of = |intake: &Intake, socket: &Socket| {
            let (transport, address) = match socket {
                Socket::Udp(socket) => ("UDP", socket.local_addr()),
                Socket::Tcp(listener, None) => ("TCP", listener.local_addr()),
                Socket::Tcp(listener, Some(_)) => ("TLS", listener.local_addr()),
            };
            let address = address.map_or("?".to_owned(), |address| address.to_string());
            format!("syslog of source {} by {transport} on {address}", intake.source.name)
        };
        self.sources
            .iter()
            .flat_map(|(intake, sockets)| sockets.iter().map(move |socket| of(intake, socket)))
            .collect()
    }

    /// The TLS certificates, each with the name of its source.
    pub fn certificates(&self) -> impl Iterator<Item = (&str, &Arc<Renewable>)> {
        let of = |socket| match socket {
            &Socket::Tcp(_, Some(ref tls)) => Some(tls),
            _ => None,
        };
        self.sources.iter().flat_map(move |(intake, sockets)| {
            sockets.iter().filter_map(of).map(|tls| (intake.source.name.as_str(), tls))
        })
    }

    /// Listens until `stop` becomes true.
    pub fn start(self, log: &Arc<Log>, limits: Limits, stop: &watch::Receiver<bool>) -> Listeners {
        let mut listeners = Listeners { intakes: Vec::new(), tasks: JoinSet::new() };
        for (intake, sockets) in self.sources {
            let (pieces, collected) = collector::queue();
            for socket in sockets {
                let space = Arc::clone(log.space());
                let sink = Sink::new(pieces.clone(), &limits, space, stop.clone());
                let (intake, stop) = (Arc::clone(&intake), stop.clone());
                match socket {
                    Socket::Udp(socket) => {
                        let bytes_max = limits.syslog_message_bytes_max;
                        listeners
                            .tasks
                            .spawn(datagrams::receive(socket, intake, sink, bytes_max, stop));
                    }
                    Socket::Tcp(listener, tls) => {
                        listeners
                            .tasks
                            .spawn(streams::listen(listener, tls, intake, sink, limits, stop));
                    }
                }
            }
            let collecting =
                collector::collect(Arc::clone(&intake), Arc::clone(log), limits, collected);
            listeners.tasks.spawn(collecting);
            listeners.intakes.push(intake);
        }
        listeners
    }
}

impl Listeners {
    /// Waits until all received messages are durable. Called after the stop was requested.
    pub async fn wait_until_durable(mut self) {
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(END_WITHIN, all).await.is_err() {
            tracing::warn!("some syslog messages did not become durable in time");
            self.tasks.shutdown().await;
        }
        for intake in self.intakes {
            let counters = &intake.counters;
            tracing::info!(
                source = intake.source.name,
                received = counters.received.load(Ordering::Relaxed),
                recorded = counters.recorded.load(Ordering::Relaxed),
                dead_letters = counters.dead_letters.load(Ordering::Relaxed),
                dropped_by_daybook = counters.dropped_by_daybook.load(Ordering::Relaxed),
                dropped_by_kernel = counters.dropped_by_kernel.load(Ordering::Relaxed),
                "syslog ended"
            );
        }
    }
}
