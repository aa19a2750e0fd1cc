//! What could not become an event.

/// Bytes that could not be used, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedRecord {
    /// Why, for people.
    pub reason: String,
    /// The bytes as received.
    pub raw: Vec<u8>,
}
