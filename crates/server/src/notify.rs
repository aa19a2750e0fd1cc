//! The state of the service for systemd (sd_notify(3)): a datagram to the socket of
//! `NOTIFY_SOCKET`, if there is one.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The service is ready.
pub const READY: &str = "READY=1";
/// The service is about to end.
pub const STOPPING: &str = "STOPPING=1";

/// Sends a state. A failure is only logged.
pub fn send(state: &str) {
    let Some(socket) = std::env::var_os("NOTIFY_SOCKET") else { return };
    if let Err(error) = send_to(&socket, state) {
        tracing::warn!(%error, "couldn't notify the service manager: {state}");
    }
}

fn send_to(socket: &OsStr, state: &str) -> io::Result<()> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address).map(drop)
}
