//! Connections whose login attempts are events, so that the line that ends one is no second
//! event.
//!
//! With password logins sshd writes a line for each attempt and one for the end. With keys alone
//! the end may be all that it writes.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// Most connections that are remembered, the newest; forgetting one costs a second event.
const CONNECTIONS_MAX: usize = 4096;

/// Connections of a source with a recorded attempt. Clones are the same memory.
#[derive(Clone, Debug, Default)]
pub struct Attempts(Arc<Mutex<Recent>>);

#[derive(Debug, Default)]
struct Recent {
    known: HashSet<String>,
    in_order: VecDeque<String>,
}

impl Attempts {
    /// Remembers a connection with an attempt.
    pub(crate) fn add(&self, connection: String) {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.known.insert(connection.clone()) {
            recent.in_order.push_back(connection);
        }
        if recent.in_order.len() > CONNECTIONS_MAX
            && let Some(oldest) = recent.in_order.pop_front()
        {
            recent.known.remove(&oldest);
        }
    }

    /// Whether a connection had an attempt.
    pub(crate) fn has(&self, connection: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).known.contains(connection)
    }
}
