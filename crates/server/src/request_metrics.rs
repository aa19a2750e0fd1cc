//! How requests were answered, in figures: without locks, counted from the start of the server.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::StatusCode;
use store::{Distribution, Histogram};

use crate::routes::{self, Endpoint};

/// From a question about one row to one that hardly ends, in nanoseconds.
const BOUNDS: &[u64] = &[
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    1_000_000_000,
    5_000_000_000,
    30_000_000_000,
];

/// The classes of status codes.
pub const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The answers of one server.
pub struct Answers {
    by_endpoint: BTreeMap<&'static str, Histogram>,
    by_class: [AtomicU64; CLASSES.len()],
}

impl Default for Answers {
    fn default() -> Self {
        let histogram = |route: &routes::Route| (route.endpoint.name(), Histogram::new(BOUNDS));
        Answers {
            by_endpoint: routes::all().iter().map(histogram).collect(),
            by_class: Default::default(),
        }
    }
}

impl Answers {
    /// Counts the time that an endpoint took to an answer, what of it is streamed left out.
    pub fn took(&self, endpoint: Endpoint, time: Duration) {
        if let Some(histogram) = self.by_endpoint.get(endpoint.name()) {
            histogram.record_time(time);
        }
    }

    /// Counts an answer.
    pub fn count(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(count) = self.by_class.get(class) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Nanoseconds of each endpoint that answered anything.
    pub fn times(&self) -> Vec<(&'static str, Distribution)> {
        let read = self.by_endpoint.iter().map(|(name, histogram)| (*name, histogram.read()));
        read.filter(|(_, read)| read.counts.iter().any(|count| *count > 0)).collect()
    }

    /// How many answers of each class there were.
    pub fn classes(&self) -> [(&'static str, u64); CLASSES.len()] {
        std::array::from_fn(|class| (CLASSES[class], self.by_class[class].load(Ordering::Relaxed)))
    }
}
