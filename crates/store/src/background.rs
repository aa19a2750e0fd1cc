//! What goes on beside appends and queries: sealing, merging.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::Error;
use crate::durable::Disk;
use crate::log::Shared;
use crate::sealer::{self, Sealer};

/// How often it is looked whether there is something to seal or to drop.
const SEAL_EVERY: Duration = Duration::from_millis(50);

/// Seals whenever enough events wait, until it is told to stop.
pub(crate) fn keep_sealing(
    sealer: &Mutex<Sealer>,
    seal_events: u64,
    told_to_stop: &Receiver<()>,
    shared: &Shared,
    on_fatal: &(dyn Fn(&Error) + Send + Sync),
) {
    let mut wait = SEAL_EVERY;
    while let Err(RecvTimeoutError::Timeout) = told_to_stop.recv_timeout(wait) {
        let mut sealer = sealer.lock().expect("no panic while held");
        let is_due = sealer.waiting() >= seal_events;
        wait = if is_due { Duration::ZERO } else { SEAL_EVERY };
        let done = if is_due { sealer.seal(seal_events) } else { sealer.retire() };
        if let Err(error) = done {
            shared.fence.get_or_init(|| error.to_string());
            on_fatal(&error);
            return;
        }
    }
}

/// Merges segments, beside whatever else goes on.
pub(crate) struct Merger {
    pub disk: Arc<dyn Disk>,
    pub sealer: Arc<Mutex<Sealer>>,
    pub segments: usize,
    pub events_max: u64,
    /// Held by the one who merges.
    pub merges: Mutex<()>,
    /// Set when the log is closed; a merge that is under way is given up then.
    pub ends: AtomicBool,
}

impl Merger {
    pub fn merge_all(&self) -> Result<(), Error> {
        let _merges = self.merges.lock().expect("no panic while held");
        let sealer = || self.sealer.lock().expect("no panic while held");
        while !self.ends.load(Ordering::Relaxed) {
            let Some(inputs) = sealer().due(self.segments, self.events_max) else { break };
            let goes_on = || !self.ends.load(Ordering::Relaxed);
            let Some(merged) = sealer::merge_files(&self.disk, &inputs, &goes_on)? else { break };
            sealer().replace(inputs, merged)?;
        }
        Ok(())
    }
}

/// Merges whenever there is something to merge, until the log is closed.
pub(crate) fn keep_merging(
    merger: &Merger,
    every: Duration,
    shared: &Shared,
    on_fatal: &(dyn Fn(&Error) + Send + Sync),
) {
    loop {
        std::thread::park_timeout(every);
        if merger.ends.load(Ordering::Relaxed) {
            return;
        }
        if let Err(error) = merger.merge_all() {
            shared.fence.get_or_init(|| error.to_string());
            on_fatal(&error);
            return;
        }
    }
}
