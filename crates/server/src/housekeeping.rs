//! Housekeeping: a thread that follows changes of rights, records acts that wait, monitors the
//! sources and the room on the disk, and records finished audit log files.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use event::{Class, Operation, Outcome, OutcomeKind, Severity, Trail};
use sha2::{Digest, Sha256};
use store::durable::{Disk, Local, Wait};
use store::{AuditFile, FileObjects, Log, Objects, SpaceReport};

use access::{Access, Revision};
use config::{Config, CurrentConfig};
use intake::Intake;
use intake::audit::{Act, OwnAudit, Who};
use intake::follow::parse_limits;
use intake::monitor::source_monitor::{self, SourceMonitor};
use intake::retried::Retried;

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
pub fn begin(data_dir: &Path, config: &Config, audit: &OwnAudit) -> Result<Serving, String> {
    let disk = Arc::new(Local::open(data_dir));
    let serving = disk
        .lock(store::SERVING, Wait::Yes)
        .map_err(|error| format!("couldn't lock {}: {error}", store::SERVING))?;
    let objects = FileObjects::new(disk);
    let recorded = objects.get(store::CONFIG_RECORDED).map_err(|error| error.to_string())?;
    let before =
        recorded.as_ref().map(|object| String::from_utf8_lossy(&object.bytes).into_owned());
    if before.as_deref() != Some(config.text.as_str()) {
        audit.record_now(configured(before.as_deref(), &config.text))?;
        objects
            .replace(
                store::CONFIG_RECORDED,
                config.text.as_bytes(),
                recorded.map(|object| object.version),
            )
            .map_err(|error| error.to_string())?;
    }
    Ok(serving)
}

fn configured(before: Option<&str>, after: &str) -> Act {
    let (old, new) = (settings(before.unwrap_or_default()), settings(after));
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let changed: Vec<String> = names
        .into_iter()
        .filter(|name| old.get(*name) != new.get(*name))
        .map(|name| format!("{name}: {} -> {}", value(old.get(name)), value(new.get(name))))
        .collect();
    let operation = if before.is_some() { Operation::Configure } else { Operation::Create };
    let act = Act::new("configuration.change", operation, "Configuration")
        .on("configuration", "daybook")
        .with("sha256", hex::encode(Sha256::digest(after)));
    let act = if before.is_some() { act.with("changed", changed.join("; ")) } else { act };
    Act { description: Some("the server runs with other settings than before".to_owned()), ..act }
}

/// Every setting of a configuration, by its path.
fn settings(text: &str) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    flatten("", &text.parse().unwrap_or_default(), &mut settings);
    settings
}

fn value(setting: Option<&String>) -> &str {
    setting.map_or("unset", String::as_str)
}

fn flatten(prefix: &str, table: &toml::Table, settings: &mut BTreeMap<String, String>) {
    for (name, value) in table {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            toml::Value::Table(inner) => flatten(&path, inner, settings),
            other => {
                settings.insert(path, other.to_string());
            }
        }
    }
}

/// The acts that record a change of `access.toml`. The same change gives the same acts.
pub fn acts_of(changed: &Revision<'_>) -> Vec<Act> {
    let versions = hex::encode(Sha256::digest(changed.old.text() + &changed.new.text()));
    let is_ours = changed.new.changed_at != changed.old.changed_at;
    let by = changed.new.changed_by.clone().filter(|_| is_ours);
    let act = |(position, change): (usize, &access::file::Change)| {
        let operation = match change.verb {
            "create" => Operation::Create,
            "delete" => Operation::Delete,
            _ => Operation::Update,
        };
        let act = Act::new(format!("access.{}", change.verb), operation, "Access control")
            .on(change.kind, &change.name)
            .by(Who { name: by.clone(), ..Who::default() });
        let description = format!("{} {}: {}", change.verb, change.kind, change.name);
        Act { description: Some(description), key: Some(format!("{versions} {position}")), ..act }
    };
    changed.changes.iter().enumerate().map(act).collect()
}

/// The parts of a server that housekeeping takes.
pub struct Parts {
    pub log: Arc<Log>,
    pub access: Arc<Access>,
    pub audit: Arc<OwnAudit>,
    pub intakes: Vec<Arc<Intake>>,
    pub retried: Arc<Retried>,
    pub in_force: Arc<CurrentConfig>,
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
            let (mut announced, mut spaced, mut was_full) = (HashMap::new(), started, false);
            // The disk may have been full at the start.
            note_space(&parts, parts.log.space().report(), &mut was_full);
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(FOLLOW_EVERY) {
                parts.access.follow(&|changed| parts.audit.record_all_now(acts_of(changed)));
                if flushed.elapsed() >= FLUSH_EVERY {
                    parts.audit.flush();
                    flushed = Instant::now();
                }
                if spaced.elapsed() >= SPACE_EVERY {
                    note_space(&parts, check_space(&parts.log), &mut was_full);
                    spaced = Instant::now();
                }
                if announced_at.elapsed() >= FILES_EVERY {
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
            parts.audit.flush();
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
