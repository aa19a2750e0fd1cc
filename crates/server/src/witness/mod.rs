//! A witness. It cosigns a checkpoint of a log only if that extends the last one it cosigned, so a
//! log cannot show different trees to different people (C2SP tlog-witness, section add-checkpoint;
//! tlog-cosignature, section Ed25519 signed message).
//!
//! For each log, across kills and restarts:
//! - a cosignature leaves only after its checkpoint is on disk as the newest one;
//! - the sizes that are cosigned never fall, and none is cosigned with two roots;
//! - one process cosigns with a directory at a time.
//!
//! The directory has the key ([`KEY`]), the keys of the logs ([`LOGS`]) and the newest checkpoint
//! of each ([`NEWEST`]). A verifier of transparency logs reads the latter: they are signed notes.
//! HTTP is in [`http`].

pub mod http;

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use store::durable::{self, Disk, Local, Wait};
use store::{FileObjects, Object, Objects, Version};
use tlog::{
    AddCheckpoint, Checkpoint, Kind, Malformed, Note, Signer, Tree, Verifier, verify_consistency,
};

use crate::failure::{Exit, Failure};

/// The cosigning key in the form of golang.org/x/mod/sumdb/note. It is written last, so a half-made
/// directory is no witness.
const KEY: &str = "witness.key";
/// The verifier keys of the watched logs, one a line.
const LOGS: &str = "logs";
/// The folder of the newest cosigned checkpoints, each under the SHA-256 of its origin in hex.
const NEWEST: &str = "newest";
/// Held by the process that cosigns.
const SERVING: &str = "serving.lock";
/// The interval of repeated reports about a log: anyone can send old checkpoints.
const REPORT_EVERY: Duration = Duration::from_secs(60);

/// The time of the last report of each kind for each log.
type ReportTimes = HashMap<(String, &'static str), Instant>;

/// A witness that is open, alone, in its directory.
pub struct Witness {
    signer: Signer,
    objects: Arc<FileObjects>,
    turn: Mutex<Turn>,
}

/// Checkpoints are compared and replaced by one process, one at a time.
struct Turn {
    _serving: Box<dyn Send>,
    /// The error of a failed replacement; none follows it.
    failure: Option<String>,
    /// The last reports.
    reports: ReportTimes,
}

/// Why a checkpoint was not cosigned.
#[derive(Debug)]
pub enum NotCosigned {
    /// The request does not follow the specification.
    Malformed(Malformed),
    /// No log of this origin is watched.
    UnknownOrigin,
    /// No key of the log signed it, or a signature is forged.
    NotSigned,
    /// The old size is larger than that of the checkpoint.
    OldSizeIsLarger,
    /// The old size is not that of the last cosigned tree, which is this one.
    OtherSize(u64),
    /// The last cosigned tree has this size and another root.
    OtherRoot(u64),
    /// The proof does not show that the tree extends the last cosigned one.
    NotConsistent,
    /// The directory cannot be read.
    NotRead(store::Error),
    /// The checkpoint could not be made durable, or one before it.
    NotWritten(store::Error),
}

/// Creates a witness of this name in a new or empty directory. Returns the verifier key of its
/// cosignatures.
pub fn init(dir: &Path, name: &str, seed: &[u8; 32]) -> Result<Verifier, Failure> {
    let signer = Signer::new(name, Kind::Cosignature, seed)
        .map_err(|why| Failure::usage(why.to_string()))?;
    let failed =
        |error: io::Error| Failure::new(format!("couldn't create {}: {error}", dir.display()));
    let disk = Local::create(dir).map_err(failed)?;
    if !disk.list("").map_err(failed)?.is_empty() {
        return Err(store::Error::NotEmpty { location: disk.location() }.into());
    }
    disk.make_dir(NEWEST).map_err(failed)?;
    durable::write_file(&disk, LOGS, b"").map_err(failed)?;
    durable::write_file(&disk, KEY, format!("{}\n", signer.private_text()).as_bytes())
        .map_err(failed)?;
    Ok(signer.verifier().clone())
}

/// The key of the witness in a directory.
pub fn read_key(dir: &Path) -> Result<Signer, Failure> {
    let path = dir.join(KEY);
    let text = std::fs::read_to_string(&path).map_err(|error| {
        let hint = "create a witness with `daybook witness init`";
        Failure::new(format!("couldn't read {}: {error} ({hint})", path.display()))
    })?;
    let damaged =
        |why: &str| Failure { exit: Exit::Damage, text: format!("{}: {why}", path.display()) };
    let signer = Signer::parse(text.trim_end()).map_err(|why| damaged(why.0))?;
    match signer.verifier().kind() {
        Kind::Cosignature => Ok(signer),
        Kind::Note => Err(damaged("the key signs notes, and is not one of a witness")),
    }
}

/// A log that a witness watches.
pub struct Watched {
    /// A key that signs its checkpoints, and has its origin for a name.
    pub key: Verifier,
    /// The size of its last cosigned tree, if there is one.
    pub size: Option<u64>,
}

/// The logs of the witness in a directory, in the order in which they were added.
pub fn watched(dir: &Path) -> Result<Vec<Watched>, Failure> {
    let signer = read_key(dir)?;
    let objects = FileObjects::new(Arc::new(Local::open(dir)));
    let (keys, _) = read_logs(&objects)?;
    let watched = |key: Verifier| {
        let newest = read_newest(&objects, &signer, key.name())?;
        Ok(Watched { key, size: newest.map(|(newest, _)| newest.size) })
    };
    keys.into_iter().map(watched).collect()
}

/// Adds a log, or another key of a watched log. A running witness notices.
pub fn add(dir: &Path, key: &Verifier) -> Result<(), Failure> {
    if key.kind() != Kind::Note {
        return Err(Failure::usage("that is the key of a witness, not of a log"));
    }
    change(dir, |keys| {
        if keys.contains(key) {
            return Err(Failure::new(format!("{key} is watched already")));
        }
        keys.push(key.clone());
        Ok(())
    })
}

/// Removes a key. The newest cosigned checkpoint of its log stays, in case the log is added again.
pub fn remove(dir: &Path, key: &Verifier) -> Result<(), Failure> {
    change(dir, |keys| match keys.iter().position(|one| one == key) {
        Some(position) => {
            keys.remove(position);
            Ok(())
        }
        None => Err(Failure::new(format!("{key} is not watched"))),
    })
}

fn change(
    dir: &Path,
    edit: impl FnOnce(&mut Vec<Verifier>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    read_key(dir)?;
    let objects = FileObjects::new(Arc::new(Local::open(dir)));
    let (mut keys, version) = read_logs(&objects)?;
    edit(&mut keys)?;
    let text: String = keys.iter().map(|key| format!("{key}\n")).collect();
    objects.replace(LOGS, text.as_bytes(), version)?;
    Ok(())
}

fn read_logs(objects: &FileObjects) -> Result<(Vec<Verifier>, Option<Version>), store::Error> {
    let Some(Object { bytes, version }) = objects.get(LOGS)? else { return Ok((Vec::new(), None)) };
    let text = String::from_utf8_lossy(&bytes);
    let mut offset = 0;
    let mut keys = Vec::new();
    for line in text.split_inclusive('\n') {
        let key = Verifier::parse(line.trim_end()).map_err(|why| damage(LOGS, offset, why.0))?;
        keys.push(key);
        offset += line.len() as u64;
    }
    Ok((keys, Some(version)))
}

/// The newest checkpoint of a log that this key cosigned, and its version; `None` before the first.
fn read_newest(
    objects: &FileObjects,
    signer: &Signer,
    origin: &str,
) -> Result<Option<(Checkpoint, Version)>, store::Error> {
    let name = newest_file(origin);
    let Some(Object { bytes, version }) = objects.get(&name)? else { return Ok(None) };
    let read = |bytes: &[u8]| {
        let note = Note::parse(bytes)?;
        note.verify(signer.verifier())?.ok_or(Malformed("this witness did not cosign it"))?;
        Checkpoint::parse(note.text()).and_then(|checkpoint| match checkpoint.origin == origin {
            true => Ok(checkpoint),
            false => Err(Malformed("it is of another log")),
        })
    };
    match read(&bytes) {
        Ok(checkpoint) => Ok(Some((checkpoint, version))),
        Err(why) => Err(damage(&name, 0, why.0)),
    }
}

fn newest_file(origin: &str) -> String {
    format!("{NEWEST}/{}", hex::encode(Sha256::digest(origin)))
}

fn damage(file: &str, offset: u64, what: &str) -> store::Error {
    store::Error::Damage { file: file.to_owned(), offset, what: what.to_owned() }
}

impl Witness {
    /// Opens the witness in a directory, and reads every file once. An error while another process
    /// has it open.
    pub fn open(dir: &Path) -> Result<Witness, Failure> {
        let signer = read_key(dir)?;
        let disk = Arc::new(Local::open(dir));
        let serving = disk.lock(SERVING, Wait::No).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => {
                Failure::from(store::Error::Locked { location: disk.location() })
            }
            _ => Failure::new(format!("couldn't lock {}: {error}", dir.join(SERVING).display())),
        })?;
        let objects = Arc::new(FileObjects::new(disk));
        for key in read_logs(&objects)?.0 {
            read_newest(&objects, &signer, key.name())?;
        }
        let turn = Mutex::new(Turn { _serving: serving, failure: None, reports: HashMap::new() });
        Ok(Witness { signer, objects, turn })
    }

    /// The verifier key of its cosignatures.
    pub fn verifier(&self) -> &Verifier {
        self.signer.verifier()
    }

    /// The cosignature's line for the body of an `add-checkpoint` request, at `now_s` seconds of
    /// Unix time. The checkpoint is durable when this returns. Blocks.
    pub fn cosign(&self, body: &[u8], now_s: u64) -> Result<String, NotCosigned> {
        let request = AddCheckpoint::parse(body).map_err(NotCosigned::Malformed)?;
        let checkpoint =
            Checkpoint::parse(request.checkpoint.text()).map_err(NotCosigned::Malformed)?;
        let mut keys = read_logs(&self.objects).map_err(NotCosigned::NotRead)?.0;
        keys.retain(|key| key.name() == checkpoint.origin);
        let mut note = signed_by(&request.checkpoint, &keys)?;
        if request.old_size > checkpoint.size {
            return Err(NotCosigned::OldSizeIsLarger);
        }
        let mut turn = self.turn.lock().expect("no panic while held");
        if let Some(because) = turn.failure.clone() {
            return Err(NotCosigned::NotWritten(store::Error::Fenced { because }));
        }
        let known = read_newest(&self.objects, &self.signer, &checkpoint.origin)
            .map_err(NotCosigned::NotRead)?;
        let (newest, version) = known.unzip();
        let newest = newest.unwrap_or_else(|| Checkpoint {
            origin: checkpoint.origin.clone(),
            size: 0,
            root: Tree::new().root(),
        });
        if let Err(refusal) = goes_on(&request, &checkpoint, &newest) {
            report(&refusal, &request.checkpoint, &checkpoint, &newest, &mut turn.reports);
            return Err(refusal);
        }
        let cosignature = self.signer.sign(note.text(), now_s);
        let line = cosignature.to_string();
        note.add(cosignature);
        // At this point nobody has the cosignature; if we crash here, the checkpoint before is the
        // newest.
        if let Err(error) = self.replace(&checkpoint.origin, &note, version) {
            // The state of the disk is unknown; the next start reads it.
            turn.failure = Some(error.to_string());
            return Err(NotCosigned::NotWritten(error));
        }
        // The checkpoint is the newest. If we crash here, a repeated request gets its size.
        Ok(line)
    }

    fn replace(
        &self,
        origin: &str,
        note: &Note,
        seen: Option<Version>,
    ) -> Result<(), store::Error> {
        let bytes = note.to_string();
        self.objects.replace(&newest_file(origin), bytes.as_bytes(), seen).map(drop)
    }
}

/// The checkpoint with the signatures of the log's keys alone.
fn signed_by(checkpoint: &Note, keys: &[Verifier]) -> Result<Note, NotCosigned> {
    if keys.is_empty() {
        return Err(NotCosigned::UnknownOrigin);
    }
    let mut signed = Note::new(checkpoint.text().to_owned()).map_err(NotCosigned::Malformed)?;
    for key in keys {
        // A signature that its key did not make voids the note (signed-note, section Signatures).
        if checkpoint.verify(key).map_err(|_| NotCosigned::NotSigned)?.is_some() {
            let found = checkpoint.signatures().iter().find(|signature| key.is_named_by(signature));
            signed.add(found.expect("one was verified").clone());
        }
    }
    if signed.signatures().is_empty() { Err(NotCosigned::NotSigned) } else { Ok(signed) }
}

/// Checks whether a checkpoint may follow the last cosigned one, in the order of the specification.
fn goes_on(
    request: &AddCheckpoint,
    checkpoint: &Checkpoint,
    newest: &Checkpoint,
) -> Result<(), NotCosigned> {
    if request.old_size != newest.size {
        return Err(NotCosigned::OtherSize(newest.size));
    }
    if checkpoint.size == newest.size && checkpoint.root != newest.root {
        return Err(NotCosigned::OtherRoot(newest.size));
    }
    match verify_consistency(
        &request.path,
        newest.size,
        &newest.root,
        checkpoint.size,
        &checkpoint.root,
    ) {
        true => Ok(()),
        false => Err(NotCosigned::NotConsistent),
    }
}

/// Reports a signed checkpoint that does not extend the log's newest, with both. Each kind is
/// reported once in [`REPORT_EVERY`].
fn report(
    refusal: &NotCosigned,
    refused: &Note,
    checkpoint: &Checkpoint,
    newest: &Checkpoint,
    reports: &mut ReportTimes,
) {
    let what = match checkpoint.size.cmp(&newest.size) {
        Ordering::Equal if checkpoint.root != newest.root => {
            "a log forked: it signed two trees of one size"
        }
        Ordering::Less => "a log may have been rolled back: its tree is smaller than the newest",
        Ordering::Greater if newest.size > 0 && matches!(refusal, NotCosigned::NotConsistent) => {
            "a log may have forked: nothing shows that its tree extends the newest"
        }
        _ => return,
    };
    let key = (newest.origin.clone(), what);
    let is_reported = reports.get(&key).is_some_and(|at| at.elapsed() < REPORT_EVERY);
    if !is_reported {
        reports.insert(key, Instant::now());
        let refused = refused.to_string();
        tracing::error!(origin = newest.origin, newest = ?newest.text(), ?refused, "{what}");
    }
}

impl fmt::Display for NotCosigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotCosigned::Malformed(why) => why.fmt(f),
            NotCosigned::UnknownOrigin => f.write_str("no log of this origin is watched"),
            NotCosigned::NotSigned => f.write_str("no known key of the log signed the checkpoint"),
            NotCosigned::OldSizeIsLarger => {
                f.write_str("the old size is larger than the checkpoint's")
            }
            NotCosigned::OtherSize(size) | NotCosigned::OtherRoot(size) => {
                write!(f, "a tree of {size} leaves was cosigned last")
            }
            NotCosigned::NotConsistent => {
                f.write_str("the tree does not extend the one cosigned last")
            }
            NotCosigned::NotRead(error) | NotCosigned::NotWritten(error) => error.fmt(f),
        }
    }
}
