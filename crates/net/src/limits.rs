//! Limits of a listener.

use std::time::Duration;

use crate::incoming::Lingering;

/// Limits of one listener.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Open connections; further ones are closed at once.
    pub connections_max: usize,
    /// Open connections from one address.
    pub connections_per_address_max: usize,
    /// Longest time for a TLS handshake, for a first byte, for a whole header.
    pub header_timeout: Duration,
    /// Bytes of a request header, names and values together.
    pub header_bytes_max: usize,
    /// Longest time in which a peer takes nothing of what it is sent.
    pub write_timeout: Duration,
    /// Reading of bodies that are not wanted.
    pub lingering: Lingering,
}
