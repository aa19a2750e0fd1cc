//! The record of starts and stops. A start that finds no stop behind the start before is one after
//! a crash: of the program, the machine, or its power.

use event::{Operation, Outcome, OutcomeKind, Severity};
use store::{Log, Row};

use crate::own_events;
use intake::audit::{Act, OwnAudit};

const FUNCTION: &str = "Server";
const START: &str = "server.start";
const STOP: &str = "server.stop";
const CRASH: &str = "server.crash";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a start read again of the journal.
pub struct RecoverySummary {
    /// Events that no segment has.
    events: u64,
    /// Bytes of an append that was never acknowledged.
    torn_bytes: u64,
}

impl RecoverySummary {
    /// The recovery of a log that was just opened.
    pub fn of(log: &Log) -> RecoverySummary {
        let flushed = log.metrics().flushed_events;
        RecoverySummary {
            events: log.counts().events.saturating_sub(flushed),
            torn_bytes: log.torn_tail().map_or(0, |torn| torn.len_bytes),
        }
    }
}

/// Records a start, and the crash before it if there was one. A log that takes no record now, as on
/// a full disk, is served all the same: it answers no query that it cannot record.
pub fn record_start(log: &Log, audit: &OwnAudit, recovery: &RecoverySummary) {
    if let Err(why) = try_record_start(log, audit, recovery) {
        tracing::error!(why, "couldn't record the start");
    }
}

fn try_record_start(log: &Log, audit: &OwnAudit, recovery: &RecoverySummary) -> Result<(), String> {
    let query = own_events::query(log, audit.trail(), &[START, STOP]);
    let before = own_events::newest(log, &query).map_err(|error| error.to_string())?;
    let crash = before.as_ref().filter(|row| row.entry.event.action == START);
    let clean = match (&before, crash) {
        (None, _) => "unknown",
        (_, Some(_)) => "no",
        (_, None) => "yes",
    };
    let mut acts: Vec<Act> = crash.map(crashed).into_iter().collect();
    let act = Act::new(START, Operation::Other, FUNCTION)
        .on("server", "server")
        .with("version", VERSION)
        .with("clean", clean)
        .with("recovered_events", recovery.events.to_string())
        .with("torn_bytes", recovery.torn_bytes.to_string());
    acts.push(Act { description: Some(format!("version {VERSION} started")), ..act });
    audit.record_all_now(acts)
}

/// Records a stop in order. If that fails, the next start records a crash.
pub fn record_stop(audit: &OwnAudit) {
    let act =
        Act::new(STOP, Operation::Other, FUNCTION).on("server", "server").with("version", VERSION);
    let act = Act { description: Some("the server stopped in order".to_owned()), ..act };
    if let Err(why) = audit.record_now(act) {
        tracing::warn!(why, "couldn't record the stop");
    }
}

fn crashed(start: &Row) -> Act {
    let event = &start.entry.event;
    let started_at = event.occurred_at.to_string();
    let act = Act::new(CRASH, Operation::Other, FUNCTION)
        .on("server", "server")
        .with("started_at", &started_at);
    let act = match event.attributes.get("version") {
        Some(version) => act.with("version", version),
        None => act,
    };
    let description = format!("the server that started at {started_at} did not stop in order");
    let outcome = Outcome { kind: OutcomeKind::Failure, ..Outcome::default() };
    Act { description: Some(description), outcome, severity: Severity::MAJOR, ..act }
}
