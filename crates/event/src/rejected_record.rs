//! A record that could not become an event.

/// Bytes that could not be used, and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedRecord {
    /// The reason, for people.
    pub reason: String,
    /// The bytes as received.
    pub raw: Vec<u8>,
}
