//! Exports that a server makes: how many at once, what those made last came to, and sending them.

pub mod send;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use find::export::{Export, Totals};
use store::Log;
use tokio::sync::Semaphore;
use verify::manifest::{Facts, Manifest};

use crate::evidence::Evidence;

/// The exports of a server.
pub struct Exports {
    log: Arc<Log>,
    evidence: Arc<Evidence>,
    /// A permit for each export in progress.
    pub permits: Arc<Semaphore>,
    /// Totals of the last exports, by their marks.
    finished: Mutex<VecDeque<(String, Totals)>>,
}

/// So many are remembered, of about 200 bytes each; any other is made again to know what it comes
/// to.
const FINISHED_MAX: usize = 256;

impl Exports {
    /// At most `max` at once.
    pub fn new(log: Arc<Log>, evidence: Arc<Evidence>, max: usize) -> Exports {
        let permits = Arc::new(Semaphore::new(max));
        Exports { log, evidence, permits, finished: Mutex::default() }
    }

    /// The manifest of an export that came to `totals`, signed by the log.
    pub fn manifest(&self, export: &Export, totals: Totals) -> Result<Manifest, store::Error> {
        let tree = self.evidence.tree_at(self.log.contents(), export.tree_size)?;
        let facts = Facts::of(export, totals, tree);
        let trails = export.query.trails.iter().map(ToString::to_string).collect();
        let receipt = self.evidence.signed(facts.text());
        Ok(Manifest::of(&facts, trails, receipt))
    }

    /// What an export came to, if it is remembered.
    pub fn totals(&self, mark: &str) -> Option<Totals> {
        let finished = self.finished.lock().expect("no panic while held");
        finished.iter().find(|(one, _)| one == mark).map(|(_, totals)| *totals)
    }

    pub fn remember(&self, mark: String, totals: Totals) {
        let mut finished = self.finished.lock().expect("no panic while held");
        finished.retain(|(one, _)| *one != mark);
        finished.push_back((mark, totals));
        if finished.len() > FINISHED_MAX {
            finished.pop_front();
        }
    }
}
