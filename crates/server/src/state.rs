//! Wiring: the parts of one server that its APIs use.

use std::path::PathBuf;
use std::sync::Arc;

use event::Time;
use store::Log;
use tokio::sync::Semaphore;

use crate::api::hcs::pace::Pace;
use crate::api::snapshots::Snapshots;
use crate::api::taurusdb::policies::Policies;
use crate::evidence::Evidence;
use crate::evidence::witnesses::Witnesses;
use crate::export::Exports;
use crate::live::Newest;
use crate::request_metrics::RequestMetrics;
use access::Access;
use access::attempts::Attempts;
use config::{Config, InForce};
use intake::Intake;
use intake::audit::OwnAudit;
use intake::retried::Retried;

/// The parts of one server that its APIs use.
pub struct Shared {
    pub log: Arc<Log>,
    /// Newest events, for live tails.
    pub newest: Newest,
    /// The configured sources.
    pub intakes: Vec<Arc<Intake>>,
    pub retried: Retried,
    pub access: Access,
    pub audit: Arc<OwnAudit>,
    pub evidence: Evidence,
    pub witnesses: Witnesses,
    /// The configuration in force, replaced whole by a reload.
    pub in_force: InForce,
    pub data_dir: PathBuf,
    pub requests: RequestMetrics,
    pub snapshots: Snapshots,
    pub attempts: Attempts,
    pub policies: Policies,
    pub hcs_pace: Pace,
    pub exports: Exports,
    /// Since when metrics and counts count.
    pub started_at: Time,
    /// A permit for each request in progress.
    pub in_flight: Semaphore,
    /// A permit for each audit log file that is sent.
    pub downloads: Arc<Semaphore>,
    /// A permit for each live tail.
    pub tails: Arc<Semaphore>,
}

impl Shared {
    /// The configuration in force.
    pub fn config(&self) -> Arc<Config> {
        self.in_force.current()
    }

    /// Puts another configuration in force.
    pub fn go_on_with(&self, config: Config) {
        self.in_force.replace(config);
    }
}
