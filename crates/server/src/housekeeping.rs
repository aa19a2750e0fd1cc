//! What a server does besides answering: it follows changes of rights, writes down what was asked
//! of it, watches its sources, and records the audit log files that were finished.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use event::{Class, Operation, Trail};
use sha2::{Digest, Sha256};
use store::durable::{Disk, Local, Wait};
use store::{AuditFile, FileObjects, Log, Objects};

use access::{Access, Changed};
use config::{Config, InForce};
use intake::Intake;
use intake::audit::{Act, OwnAudit, Who};
use intake::follow::parse_limits;
use intake::keeper::{self, Keeper};
use intake::retried::Retried;

/// How often a change of rights is looked for.
const FOLLOW_EVERY: Duration = Duration::from_millis(100);
/// How often acts that wait are recorded: well within the second that is promised.
const FLUSH_EVERY: Duration = Duration::from_millis(300);
/// How often finished files are looked for.
const FILES_EVERY: Duration = Duration::from_secs(1);
/// Finished files recorded at once.
const FILES_AT_ONCE: usize = 1000;

/// The guard that shows others that a server is running.
pub type Serving = Box<dyn Send>;

/// Shows others that a server is running, and records the settings it runs with if they differ from
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
    let settings = |text: &str| {
        let mut found = BTreeMap::new();
        flatten("", &text.parse().unwrap_or_default(), &mut found);
        found
    };
    let (old, new) = (settings(before.unwrap_or_default()), settings(after));
    let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let changed: Vec<String> = names
        .into_iter()
        .filter(|name| old.get(*name) != new.get(*name))
        .map(|name| {
            let text = |one: Option<&String>| one.map_or("unset", String::as_str).to_owned();
            format!("{name}: {} -> {}", text(old.get(name)), text(new.get(name)))
        })
        .collect();
    let operation = if before.is_some() { Operation::Configure } else { Operation::Create };
    let act = Act::new("configuration.change", operation, "Configuration")
        .on("configuration", "daybook")
        .with("sha256", hex::encode(Sha256::digest(after)));
    let act = if before.is_some() { act.with("changed", changed.join("; ")) } else { act };
    Act { description: Some("the server runs with other settings than before".to_owned()), ..act }
}

fn flatten(prefix: &str, table: &toml::Table, found: &mut BTreeMap<String, String>) {
    for (name, value) in table {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            toml::Value::Table(inner) => flatten(&path, inner, found),
            other => {
                found.insert(path, other.to_string());
            }
        }
    }
}

/// What changed in `access.toml`, as acts to be recorded. The same change gives the same acts.
pub fn acts_of(changed: &Changed<'_>) -> Vec<Act> {
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
    pub in_force: Arc<InForce>,
}

/// The thread that does it.
pub struct Housekeeping {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Housekeeping {
    pub fn start(parts: Parts, serving: Serving, mut keeper: Keeper) -> Housekeeping {
        let (stop, stopped) = channel();
        let work = move || {
            let _serving = serving;
            let (mut flushed, mut looked, mut watched) =
                (Instant::now(), Instant::now(), Instant::now());
            let mut announced = HashMap::new();
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(FOLLOW_EVERY) {
                parts.access.follow(&|changed| parts.audit.record_all_now(acts_of(changed)));
                if flushed.elapsed() >= FLUSH_EVERY {
                    parts.audit.flush();
                    flushed = Instant::now();
                }
                if looked.elapsed() >= FILES_EVERY {
                    announce_files(&parts, &mut announced);
                    looked = Instant::now();
                }
                if watched.elapsed() >= keeper::LOOK_EVERY {
                    let config = parts.in_force.current();
                    keeper.look(&parts.intakes, &config, &parts.audit, parts.log.contents());
                    let limits = parse_limits(&config.limits);
                    keeper.resolve_waiting(&parts.intakes, limits, &parts.log, &parts.retried);
                    keeper.keep_retried(&parts.retried);
                    watched = Instant::now();
                }
            }
            parts.audit.flush();
            keeper.end(
                &parts.intakes,
                &parts.in_force.current(),
                &parts.audit,
                parts.log.contents(),
            );
            keeper.keep_retried(&parts.retried);
        };
        let thread = std::thread::Builder::new().name("housekeeping".to_owned()).spawn(work);
        Housekeeping { stop, thread: thread.expect("the machine has room for a thread") }
    }

    /// Records what is still waiting, and ends.
    pub fn stop(self) {
        // The thread is there until it is told so, but for a panic.
        let _ = self.stop.send(());
        if self.thread.join().is_err() {
            tracing::error!("housekeeping panicked");
        }
    }
}

/// Records every finished audit log file with its SHA-256. The same file is recorded once, whenever
/// the server starts. Where nothing else happens, an event of our own ends the files whose hour is
/// over.
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
