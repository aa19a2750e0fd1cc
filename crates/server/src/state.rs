//! Wiring: the parts of one server that its APIs use.

use std::path::PathBuf;
use std::sync::Arc;

use event::Time;
use store::Log;
use tokio::sync::Semaphore;

use crate::audit_policies::Policies;
use crate::budget::Budget;
use crate::caller_rates::CallerRates;
use crate::evidence::Evidence;
use crate::evidence::witnesses::Witnesses;
use crate::export::Exports;
use crate::live::Newest;
use crate::pace::Pace;
use crate::permits::CallerPermits;
use crate::request_metrics::RequestMetrics;
use crate::shares::Shares;
use crate::snapshots::Snapshots;
use access::Access;
use access::attempts::Attempts;
use config::{Config, CurrentConfig};
use intake::Intake;
use intake::audit::OwnAudit;
use intake::retried::Retried;
use system::steady::SteadyClock;

/// The parts of one server that its APIs use.
pub struct State {
    pub log: Arc<Log>,
    /// Newest events, for live tails.
    pub newest: Arc<Newest>,
    /// The configured sources.
    pub intakes: Vec<Arc<Intake>>,
    pub retried: Arc<Retried>,
    /// The machine's clock without its jumps ahead.
    pub clock: Arc<SteadyClock>,
    pub access: Arc<Access>,
    pub audit: Arc<OwnAudit>,
    pub evidence: Arc<Evidence>,
    pub witnesses: Arc<Witnesses>,
    /// The configuration in force, replaced whole by a reload.
    pub in_force: Arc<CurrentConfig>,
    pub data_dir: PathBuf,
    pub requests: Arc<RequestMetrics>,
    pub snapshots: Snapshots,
    pub attempts: Attempts,
    pub callers: CallerRates,
    pub policies: Policies,
    pub hcs_pace: Pace,
    /// Completions of what somebody types, of which one a minute is recorded.
    pub completions: Pace,
    pub exports: Arc<Exports>,
    /// Since when metrics and counts count.
    pub started_at: Time,
    /// A permit for each request in progress, by kind.
    pub shares: Shares,
    /// Permits for queries that count over everything that matches.
    pub expensive: CallerPermits,
    /// The memory for all answers.
    pub answers: Arc<Budget>,
    /// A permit for each audit log file that is sent.
    pub downloads: Arc<Semaphore>,
    /// A permit for each live tail.
    pub tails: CallerPermits,
}

impl State {
    /// The configuration in force.
    pub fn config(&self) -> Arc<Config> {
        self.in_force.current()
    }

    /// The log alone; all other parts are dropped.
    pub fn into_log(self) -> Arc<Log> {
        self.log
    }
}
