//! Housekeeping: a thread that follows changes of rights, records acts that wait, monitors the
//! sources, and records finished audit log files.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use event::{Class, Operation, Trail};
use store::durable::{Disk, Local, Wait};
use store::{AuditFile, FileObjects, Log};

use crate::rights_log::RightsLog;
use crate::{command_log, settings_log};
use access::Access;
use config::{Config, CurrentConfig};
use intake::Intake;
use intake::audit::{Act, OwnAudit};
use intake::follow::parse_limits;
use intake::monitor::source_monitor::{self, SourceMonitor};
use intake::retried::Retried;

/// Time between looks for a change of rights.
const FOLLOW_EVERY: Duration = Duration::from_millis(100);
/// Time between records of the acts that wait: well within the promised second.
const FLUSH_EVERY: Duration = Duration::from_millis(300);
/// Time between looks for finished files.
const FILES_EVERY: Duration = Duration::from_secs(1);
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
            let (mut announced, mut commands_failed) = (HashMap::new(), false);
            let rights = RightsLog { log: Arc::clone(&parts.log), audit: Arc::clone(&parts.audit) };
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(FOLLOW_EVERY) {
                parts.access.follow(&rights);
                if flushed.elapsed() >= FLUSH_EVERY {
                    parts.audit.flush();
                    flushed = Instant::now();
                }
                if announced_at.elapsed() >= FILES_EVERY {
                    record_commands(&parts, &mut commands_failed);
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

/// Records the commands that read the data directory. Logs the first failure in a row.
fn record_commands(parts: &Parts, has_failed: &mut bool) {
    let objects = FileObjects::new(Arc::new(Local::open(&parts.data_dir)));
    let recorded = command_log::record(&objects, &parts.audit);
    let had_failed = std::mem::replace(has_failed, recorded.is_err());
    if let (Err(why), false) = (recorded, had_failed) {
        tracing::error!(why, "couldn't record commands that read the data directory yet");
    }
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
