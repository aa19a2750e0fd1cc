//! Exports of a server: a limit on those in progress, totals of the last ones, and sending.

pub mod send;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use find::export::{Export, Totals};
use store::Log;
use verify::manifest::{Facts, Manifest};

use crate::evidence::Evidence;
use crate::permits::CallerPermits;

/// The exports of a server.
pub struct Exports {
    log: Arc<Log>,
    evidence: Arc<Evidence>,
    /// A permit for each export in progress.
    pub permits: CallerPermits,
    /// Totals of the last exports, by their marks.
    finished: Mutex<VecDeque<(String, Totals)>>,
}

/// The number of totals in memory, about 200 bytes each. An export without totals is made again.
const FINISHED_MAX: usize = 256;

impl Exports {
    pub fn new(log: Arc<Log>, evidence: Arc<Evidence>, permits: CallerPermits) -> Exports {
        Exports { log, evidence, permits, finished: Mutex::default() }
    }

    /// The manifest of an export with these totals, signed by the log.
    pub fn manifest(&self, export: &Export, totals: Totals) -> Result<Manifest, store::Error> {
        let tree = self.evidence.tree_at(self.log.contents(), export.tree_size)?;
        let facts = Facts::of(export, totals, tree);
        let trails = export.query.trails.iter().map(ToString::to_string).collect();
        let receipt = self.evidence.signed(facts.text());
        Ok(Manifest::of(&facts, trails, receipt))
    }

    /// The totals of an export, if they are in memory.
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
