//! Housekeeping: a thread that follows changes of rights, records acts that wait, monitors the
//! sources and the room on the disk, and records finished audit log files.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use event::{Class, Operation, Outcome, OutcomeKind, Severity, Trail};
use store::durable::{Disk, Local, Wait};
use store::{AuditFile, DamagedFile, FileObjects, Log, SpaceReport};

use crate::rights_log::RightsLog;
use crate::{command_log, settings_log};
use access::Access;
use config::{Config, CurrentConfig};
use intake::Intake;
use intake::audit::{Act, OwnAudit};
use intake::follow::parse_limits;
use intake::monitor::source_monitor::{self, SourceMonitor};
use intake::retried::Retried;
use system::steady::{ClockTurn, SteadyClock};

/// Time between looks for a change of rights.
const FOLLOW_EVERY: Duration = Duration::from_millis(100);
/// Time between records of the acts that wait: well within the promised second.
const FLUSH_EVERY: Duration = Duration::from_millis(300);
/// Time between looks for finished files.
const FILES_EVERY: Duration = Duration::from_secs(1);
/// Time between measurements of the room on the disk. Intake resumes that soon after there is room.
const SPACE_EVERY: Duration = Duration::from_secs(1);
/// Finished files recorded at once.
const FILES_AT_ONCE: usize = 1000;

/// Lock that shows other processes that a server is running.
pub type Serving = Box<dyn Send>;

/// Shows other processes that a server is running, and records its settings if they differ from
/// the last.
pub fn begin(
    data_dir: &Path,
    config: &Config,
    audit: &OwnAudit,
    log: &Log,
) -> Result<Serving, String> {
    let disk = Arc::new(Local::open(data_dir));
    let serving = disk
        .lock(store::SERVING, Wait::Yes)
        .map_err(|error| format!("couldn't lock {}: {error}", store::SERVING))?;
    let objects = FileObjects::new(disk);
    settings_log::record(&objects, config, audit, log)?;
    // Whoever may write a file of the directory must not hold up its server. Housekeeping tries
    // again.
    let commands = command_log::mark_served(&objects, data_dir)
        .and_then(|()| command_log::record(&objects, audit));
    if let Err(why) = commands {
        tracing::error!(why, "couldn't record commands that read the data directory yet");
    }
    Ok(serving)
}

/// The parts of a server that housekeeping takes.
pub struct Parts {
    pub log: Arc<Log>,
    pub access: Arc<Access>,
    pub audit: Arc<OwnAudit>,
    pub intakes: Vec<Arc<Intake>>,
    pub retried: Arc<Retried>,
    pub in_force: Arc<CurrentConfig>,
    pub data_dir: PathBuf,
    pub clock: Arc<SteadyClock>,
}

/// The housekeeping thread.
pub struct Housekeeping {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Housekeeping {
    pub fn start(parts: Parts, serving: Serving, mut monitor: SourceMonitor) -> Housekeeping {
        let (stop, stopped) = channel();
        let work = move || {
            let _serving = serving;
            let started = Instant::now();
            let (mut flushed, mut announced_at, mut monitored) = (started, started, started);
            let (mut announced, mut damaged) = (HashMap::new(), BTreeSet::new());
            let (mut spaced, mut was_full) = (started, false);
            let mut commands_failed = false;
            let mut turned: Vec<Act> = future_of(&parts).into_iter().collect();
            let rights = RightsLog { log: Arc::clone(&parts.log), audit: Arc::clone(&parts.audit) };
            // The disk may have been full at the start.
            note_space(&parts, parts.log.space().report(), &mut was_full);
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(FOLLOW_EVERY) {
                record_turns(&parts, &mut turned);
                parts.access.follow(&rights);
                if flushed.elapsed() >= FLUSH_EVERY {
                    parts.audit.flush();
                    flushed = Instant::now();
                }
                if spaced.elapsed() >= SPACE_EVERY {
                    note_space(&parts, check_space(&parts.log), &mut was_full);
                    spaced = Instant::now();
                }
                if announced_at.elapsed() >= FILES_EVERY {
                    record_commands(&parts, &mut commands_failed);
                    record_damage(&parts, &mut damaged);
                    announce_files(&parts, &mut announced);
                    announced_at = Instant::now();
                }
                if monitored.elapsed() >= source_monitor::CHECK_EVERY {
                    let config = parts.in_force.current();
                    monitor.check(&parts.intakes, &config, &parts.audit, parts.log.contents());
                    let limits = parse_limits(&config.limits);
                    monitor.resolve_waiting(&parts.intakes, limits, &parts.log, &parts.retried);
                    monitor.write_retried(&parts.retried);
                    monitored = Instant::now();
                }
            }
            parts.audit.end();
            monitor.end(
                &parts.intakes,
                &parts.in_force.current(),
                &parts.audit,
                parts.log.contents(),
            );
            monitor.write_retried(&parts.retried);
        };
        let thread = std::thread::Builder::new().name("housekeeping".to_owned()).spawn(work);
        Housekeeping { stop, thread: thread.expect("the machine has room for a thread") }
    }

    /// Records the acts that still wait, and ends.
    pub fn stop(self) {
        // The thread is there until this, but for a panic.
        let _ = self.stop.send(());
        if self.thread.join().is_err() {
            tracing::error!("housekeeping panicked");
        }
    }
}

/// Records the commands that read the data directory. Logs the first failure in a row.
fn record_commands(parts: &Parts, has_failed: &mut bool) {
    let objects = FileObjects::new(Arc::new(Local::open(&parts.data_dir)));
    let recorded = command_log::record(&objects, &parts.audit);
    let had_failed = std::mem::replace(has_failed, recorded.is_err());
    if let (Err(why), false) = (recorded, had_failed) {
        tracing::error!(why, "couldn't record commands that read the data directory yet");
    }
}

/// Records what the machine's clock did. What cannot be recorded now keeps waiting.
fn record_turns(parts: &Parts, turned: &mut Vec<Act>) {
    turned.extend(parts.clock.turns().into_iter().map(act_of_turn));
    if !turned.is_empty() {
        match parts.audit.record_all_now(turned.clone()) {
            Ok(()) => turned.clear(),
            Err(why) => tracing::warn!(why, "couldn't record a jump of the clock yet"),
        }
    }
}

fn act_of_turn(turn: ClockTurn) -> Act {
    let (seconds, what) = match turn {
        ClockTurn::Jumped(seconds) if seconds < 0 => (seconds, "went back"),
        ClockTurn::Jumped(seconds) => (seconds, "jumped ahead, and is not followed yet"),
        ClockTurn::Returned(seconds) => (seconds, "came back from its jump ahead"),
        ClockTurn::Accepted(seconds) => (seconds, "stands by its jump ahead, and is followed"),
    };
    clock_jumped(seconds, format!("the machine's clock {what}: {seconds} s"))
}

fn clock_jumped(seconds: i64, description: String) -> Act {
    tracing::error!(seconds, description, "the clock jumped");
    let act = Act::new("clock.jumped", Operation::Other, "Clock")
        .on("clock", "machine")
        .with("seconds", seconds.to_string());
    Act { description: Some(description), severity: Severity::MAJOR, ..act }
}

/// The record of a newest event that was received in the future, as after a start with a clock that
/// had been ahead.
fn future_of(parts: &Parts) -> Option<Act> {
    let newest = parts.log.contents().received_at()?;
    let ahead_ns = newest.unix_ns().saturating_sub(parts.clock.latest().unix_ns());
    let seconds = ahead_ns / 1_000_000_000;
    let tolerated = parts.in_force.current().limits.clock_jump_s;
    let is_future = u64::try_from(seconds).is_ok_and(|seconds| seconds > tolerated);
    is_future.then(|| {
        let why = "the newest event was received in the future; the next ones count as received \
                   with it until the clock reaches that time";
        clock_jumped(-seconds, format!("{why}: {newest}"))
    })
}

/// Records every file of the log that reads found damaged since the last look. The same damage is
/// recorded once, however often the server starts.
fn record_damage(parts: &Parts, known: &mut BTreeSet<String>) {
    for found in parts.log.damaged_files() {
        if known.contains(&found.file) {
            continue;
        }
        let (file, what) = (found.file.clone(), found.what.clone());
        tracing::error!(file, offset = found.offset, what, "stored bytes are damaged");
        match parts.audit.record_now(damage(&found)) {
            Ok(()) => drop(known.insert(file)),
            Err(why) => tracing::warn!(why, "couldn't record damage yet"),
        }
    }
}

fn damage(found: &DamagedFile) -> Act {
    let DamagedFile { file, offset, what, events } = found;
    let mut act = Act::new("log.damaged", Operation::Other, "Log")
        .on("file", file)
        .with("offset", offset.to_string())
        .with("what", what);
    if let Some(events) = events {
        act = act
            .with("first_event", events.start.to_string())
            .with("last_event", events.end.saturating_sub(1).to_string());
    }
    let description = format!("bytes of {file} do not read back; see daybook repair");
    let outcome = Outcome { kind: OutcomeKind::Failure, ..Outcome::default() };
    Act {
        description: Some(description),
        outcome,
        severity: Severity::MAJOR,
        key: Some(format!("damage {file} {offset}")),
        ..act
    }
}

/// Records once that the disk filled, and once that intake resumes.
fn note_space(parts: &Parts, report: Option<SpaceReport>, was_full: &mut bool) {
    let Some(report) = report else { return };
    if report.is_full != std::mem::replace(was_full, report.is_full) {
        let SpaceReport { free_bytes, low_water_bytes, reserve_bytes, is_full } = report;
        match is_full {
            true => tracing::error!(
                free_bytes,
                low_water_bytes,
                reserve_bytes,
                "the disk is full: refusing events until there is room"
            ),
            false => tracing::info!(free_bytes, "the disk has room again: taking events"),
        }
        parts.audit.record_soon(space_changed(&report));
    }
}

/// Measures the room on the disk; `None` if that failed.
pub fn check_space(log: &Log) -> Option<SpaceReport> {
    let checked = log.space().check();
    checked.inspect_err(|error| tracing::warn!(%error, "couldn't measure the disk")).ok()
}

fn space_changed(report: &SpaceReport) -> Act {
    let (action, kind, severity, description) = match report.is_full {
        true => (
            "storage.full",
            OutcomeKind::Failure,
            Severity::MAJOR,
            "the disk is full: events are refused until there is room",
        ),
        false => (
            "storage.resumed",
            OutcomeKind::Success,
            Severity::WARNING,
            "the disk has room again: events are taken",
        ),
    };
    let act = Act::new(action, Operation::Other, "Storage")
        .on("disk", "data directory")
        .with("free_bytes", report.free_bytes.to_string())
        .with("low_water_bytes", report.low_water_bytes.to_string())
        .with("reserve_bytes", report.reserve_bytes.to_string());
    let outcome = Outcome { kind, ..Outcome::default() };
    let (class, description) = (Class::Operation, Some(description.to_owned()));
    Act { class, outcome, severity, description, ..act }
}

/// Records every finished audit log file with its SHA-256. The same file is recorded once, however
/// often the server starts. If nothing else happens, an event of our own ends the files whose hour
/// is over.
fn announce_files(parts: &Parts, announced: &mut HashMap<Trail, u64>) {
    let overdue = parts.log.audit_files_overdue(system::now());
    if overdue > 0
        && let Err(why) = parts.audit.record_now(hour_over(overdue))
    {
        tracing::warn!(why, "couldn't end audit log files yet");
    }
    let files = parts.log.audit_files_beyond(announced);
    for some in files.chunks(FILES_AT_ONCE) {
        if let Err(why) = parts.audit.record_all_now(some.iter().map(finished).collect()) {
            tracing::warn!(why, "couldn't record finished audit log files yet");
            return;
        }
        announced.extend(some.iter().map(|file| (file.trail.clone(), file.ordinal)));
    }
}

fn hour_over(files: usize) -> Act {
    let act = Act::new("taurusdb.EndAuditLog", Operation::Other, "Audit log files");
    let description = format!("the hour of {files} audit log files is over");
    Act { class: Class::Operation, description: Some(description), ..act }
}

fn finished(file: &AuditFile) -> Act {
    let act = Act::new("taurusdb.FinishAuditLog", Operation::Create, "Audit log files")
        .on("audit log file", &file.name())
        .with("trail", file.trail.to_string())
        .with("file_id", &file.id)
        .with("first_number", file.first_number.to_string())
        .with("lines", file.lines.to_string())
        .with("bytes", file.len_bytes.to_string())
        .with("sha256", hex::encode(file.sha256));
    let description = format!("{} lines, {} bytes", file.lines, file.len_bytes);
    Act {
        class: Class::Operation,
        description: Some(description),
        key: Some(format!("audit log file {}", file.id)),
        ..act
    }
}
