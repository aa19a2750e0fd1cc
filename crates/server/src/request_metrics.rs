//! Metrics of requests: without locks, counted from the start of the server.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::StatusCode;
use store::{Distribution, Histogram};

/// From a query of one row to one that hardly ends, in nanoseconds.
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

/// Metrics of the requests to one server.
pub struct RequestMetrics {
    by_route: BTreeMap<&'static str, Histogram>,
    by_class: [AtomicU64; CLASSES.len()],
    abandoned: AtomicU64,
}

impl RequestMetrics {
    /// Metrics of the routes with these names.
    pub fn new(routes: impl IntoIterator<Item = &'static str>) -> RequestMetrics {
        let by_route = routes.into_iter().map(|name| (name, Histogram::new(BOUNDS)));
        RequestMetrics {
            by_route: by_route.collect(),
            by_class: Default::default(),
            abandoned: AtomicU64::new(0),
        }
    }

    /// Counts the time from a request to its response, without what is streamed after.
    pub fn took(&self, route: &str, time: Duration) {
        if let Some(histogram) = self.by_route.get(route) {
            histogram.record_time(time);
        }
    }

    /// Counts a response.
    pub fn count(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(count) = self.by_class.get(class) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a request whose client left before its work ended.
    pub fn abandoned(&self) {
        self.abandoned.fetch_add(1, Ordering::Relaxed);
    }

    /// Number of requests whose client left before their work ended.
    pub fn abandoned_total(&self) -> u64 {
        self.abandoned.load(Ordering::Relaxed)
    }

    /// Nanoseconds of each route that was requested.
    pub fn times(&self) -> Vec<(&'static str, Distribution)> {
        let read = self.by_route.iter().map(|(name, histogram)| (*name, histogram.read()));
        read.filter(|(_, read)| read.counts.iter().any(|count| *count > 0)).collect()
    }

    /// Number of responses of each class.
    pub fn classes(&self) -> [(&'static str, u64); CLASSES.len()] {
        std::array::from_fn(|class| (CLASSES[class], self.by_class[class].load(Ordering::Relaxed)))
    }
}
