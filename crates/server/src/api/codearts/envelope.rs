//! The envelope of every answer, and the trace id in it.

use std::sync::atomic::{AtomicU64, Ordering};

use event::Time;
use serde::Serialize;

/// `143002-1701222589443-431`: a number, the moment in milliseconds, a counter. Unique while the
/// process runs.
pub fn trace_id(now: Time) -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    format!("{}-{}-{}", std::process::id(), now.unix_ms(), count % 1000)
}

/// The envelope of every answer.
#[derive(Serialize)]
pub struct Envelope<'a, T> {
    status: &'static str,
    trace_id: &'a str,
    result: T,
}

impl<'a, T> Envelope<'a, T> {
    pub fn new(trace_id: &'a str, result: T) -> Envelope<'a, T> {
        Envelope { status: "success", trace_id, result }
    }
}
