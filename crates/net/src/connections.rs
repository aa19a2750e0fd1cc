//! Permits for connections: a limit on all of them, and on those from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::Limits;

/// The connections of one listener.
pub struct Connections {
    all: Arc<Semaphore>,
    all_max: usize,
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
    per_address_max: usize,
}

/// The permit of one connection; dropping it releases it.
pub struct Permit {
    _permit: OwnedSemaphorePermit,
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
    address: IpAddr,
}

impl Connections {
    pub fn new(limits: &Limits) -> Connections {
        let all_max = limits.connections_max.min(Semaphore::MAX_PERMITS);
        Connections {
            all: Arc::new(Semaphore::new(all_max)),
            all_max,
            by_address: Arc::default(),
            per_address_max: limits.connections_per_address_max,
        }
    }

    /// A permit for a connection from this address, or the limit that it meets.
    pub fn take(&self, address: IpAddr) -> Result<Permit, &'static str> {
        let permit =
            Arc::clone(&self.all).try_acquire_owned().map_err(|_| "too many connections")?;
        let mut counts = self.by_address.lock().expect("no panic while held");
        let count = counts.entry(address).or_insert(0);
        if *count >= self.per_address_max {
            return Err("too many connections from one address");
        }
        *count += 1;
        drop(counts);
        Ok(Permit { _permit: permit, by_address: Arc::clone(&self.by_address), address })
    }

    /// Waits for the release of every permit, at most `within`. Returns whether all were released.
    pub async fn ended(self, within: Duration) -> bool {
        let all = u32::try_from(self.all_max).unwrap_or(u32::MAX);
        matches!(tokio::time::timeout(within, self.all.acquire_many(all)).await, Ok(Ok(_)))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut counts = self.by_address.lock().expect("no panic while held");
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}
