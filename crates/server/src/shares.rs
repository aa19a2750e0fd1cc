//! Shares of the requests in progress: one kind of request does not take the permits of another.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use config::Limits;

/// A kind of request. Health has none: it is answered whatever else is in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    Intake,
    Queries,
    /// Status, metrics and limits, and who a caller is.
    Administration,
    /// Logins, which everyone may try and which wait for each other.
    Logins,
}

/// Permits for the requests in progress, by kind.
pub struct Shares {
    intake: Permits,
    queries: Permits,
    administration: Permits,
    logins: Permits,
    /// For requests other than intake whose body is still to come.
    bodies: Permits,
}

struct Permits {
    max: usize,
    free: Arc<Semaphore>,
}

impl Permits {
    fn new(max: usize) -> Permits {
        let max = max.min(Semaphore::MAX_PERMITS);
        Permits { max, free: Arc::new(Semaphore::new(max)) }
    }

    fn take(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.free).try_acquire_owned().ok()
    }

    fn taken(&self) -> usize {
        self.max.saturating_sub(self.free.available_permits())
    }
}

impl Shares {
    pub fn new(limits: &Limits) -> Shares {
        Shares {
            intake: Permits::new(limits.requests_in_flight_max),
            queries: Permits::new(limits.queries_in_flight_max),
            administration: Permits::new(limits.administration_in_flight_max),
            logins: Permits::new(limits.logins_in_flight_max),
            bodies: Permits::new(limits.queries_in_flight_max),
        }
    }

    /// A permit for a request of this kind, if there is one.
    pub fn take(&self, share: Share) -> Option<OwnedSemaphorePermit> {
        let permits = match share {
            Share::Intake => &self.intake,
            Share::Queries => &self.queries,
            Share::Administration => &self.administration,
            Share::Logins => &self.logins,
        };
        permits.take()
    }

    /// A permit to wait for the body of a request other than intake.
    pub fn take_for_body(&self) -> Option<OwnedSemaphorePermit> {
        self.bodies.take()
    }

    /// Number of requests in progress.
    pub fn in_flight(&self) -> usize {
        let all = [&self.intake, &self.queries, &self.administration, &self.logins, &self.bodies];
        all.into_iter().map(Permits::taken).sum()
    }

    /// Number of queries whose work has not ended.
    pub fn queries_running(&self) -> usize {
        self.queries.taken()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_share_leaves_the_others() {
        let limits =
            Limits { queries_in_flight_max: 2, logins_in_flight_max: 1, ..Limits::default() };
        let shares = Shares::new(&limits);
        let held = [shares.take(Share::Queries), shares.take(Share::Queries)];
        assert!(held.iter().all(Option::is_some));
        assert!(shares.take(Share::Queries).is_none());
        for other in [Share::Intake, Share::Administration, Share::Logins] {
            assert!(shares.take(other).is_some(), "{other:?}");
        }
        assert!(shares.take_for_body().is_some());
        assert_eq!((shares.queries_running(), shares.in_flight()), (2, 2));
        drop(held);
        assert_eq!(shares.in_flight(), 0);
    }
}
