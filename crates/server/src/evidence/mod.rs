//! SignedCheckpoint heads of the log. Whoever holds a checkpoint notices any later change of the
//! events that it covers.
//!
//! A checkpoint is signed within [`SIGN_EVERY`] of the events it covers, and is on disk before
//! anyone sees it, in the data directory and in a [`guard`] outside of it. Every start compares the
//! newest checkpoint with the log, so a log that lost or changed signed events is not served.

pub mod guard;
pub mod keys;
pub mod witnesses;

use std::io::ErrorKind::NotFound;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use event::{Operation, Outcome, OutcomeKind, Severity, Time};
use sha2::{Digest, Sha256};
use store::durable::{Disk, Local};
use store::{CHECKPOINT, Contents, FileObjects, LOG_KEY, Log, Object, Objects, Version};
use tlog::{
    Checkpoint, Hash, Malformed, NoProof, Note, ProofFile, Signature, Signer, Tree, leaf_hash,
    prove_inclusion, subtree_hash, verify_inclusion,
};

use self::guard::Guard;
use crate::failure::Failure;
use intake::audit::{Act, OwnAudit};
use net::Request;
use verify::receipt::Receipt;
use verify::{dead_letters, receipt};

/// The interval of signing: well within the promised second.
const SIGN_EVERY: Duration = Duration::from_millis(400);

/// The keys of a log, and its newest checkpoint.
pub struct Evidence {
    origin: String,
    objects: FileObjects,
    guard: Guard,
    signers: RwLock<Arc<Vec<Signer>>>,
    /// Names and hashes of keys that signed the checkpoint found at the start, and were retired
    /// since.
    gone: Mutex<Vec<String>>,
    /// The version of the key file that was read last.
    keys_seen: Mutex<Option<Version>>,
    /// Versions of the newest checkpoint: in the data directory and in the guard.
    versions: Mutex<[Option<Version>; 2]>,
    newest: RwLock<Arc<SignedCheckpoint>>,
    /// When this process last signed, in nanoseconds since 1970; 0 before it did.
    signed_at_ns: AtomicI64,
    lost_guard: Mutex<Option<LostGuard>>,
    /// Whether the guard is on another disk than the log.
    is_guard_apart: bool,
}

/// A guard that takes no checkpoint, such as one on a disk that is gone.
struct LostGuard {
    since: Instant,
    why: String,
    /// The checkpoint that it may have taken all the same.
    attempt: Vec<u8>,
}

/// The guard was lost, or is there again.
enum GuardTurn {
    Lost(String),
    Found(Duration),
}

/// A checkpoint that is on disk.
#[derive(Default)]
pub struct SignedCheckpoint {
    /// The number of events that it covers.
    pub size: u64,
    /// The note.
    pub note: String,
}

impl SignedCheckpoint {
    /// The root of the tree that it signs.
    pub fn root(&self) -> Result<Hash, store::Error> {
        let checkpoint = Checkpoint::parse(self.text());
        let malformed = |why: Malformed| store::Error::damage(CHECKPOINT, 0, why.to_string());
        checkpoint.map(|checkpoint| checkpoint.root).map_err(malformed)
    }

    /// The signed text, without the signatures.
    pub fn text(&self) -> &str {
        self.note.find("\n\n").map_or("", |end| &self.note[..=end])
    }
}

/// Keys and checkpoint of a log, before they are compared with it.
struct StoredEvidence {
    objects: FileObjects,
    signers: Vec<Signer>,
    /// The newest checkpoint in the data directory.
    stored: Option<Object>,
    data_dir: PathBuf,
}

impl StoredEvidence {
    fn read(data_dir: &Path, log: &Contents) -> Result<StoredEvidence, String> {
        let signers = keys::read(data_dir)?;
        let (name, origin) = (signers[0].verifier().name(), &log.identity().origin);
        if name != origin {
            return Err(format!("{LOG_KEY} is the key of {name}, not of {origin}"));
        }
        let disk: Arc<dyn Disk> = Arc::new(Local::open(data_dir));
        let objects = FileObjects::new(disk);
        let stored = objects.get(CHECKPOINT).map_err(|error| error.to_string())?;
        Ok(StoredEvidence { objects, signers, stored, data_dir: data_dir.to_owned() })
    }

    /// Continues with this guard, from the newest checkpoint.
    fn into_evidence(
        self,
        log: &Contents,
        guard: Guard,
        newest: SignedCheckpoint,
    ) -> Result<Evidence, store::Error> {
        let versions = [
            self.stored.as_ref().map(|object| object.version),
            guard.newest()?.map(|(_, version)| version),
        ];
        let device = |folder: &Path| std::fs::metadata(folder).ok().map(|found| found.dev());
        let is_guard_apart = device(&self.data_dir) != device(guard.folder());
        let origin = log.identity().origin.clone();
        // Keys that the newest checkpoint does not name came since, and those it names that are
        // gone were retired; both are taken up when that is recorded. When it names none, an
        // operator accepted the log with other keys.
        let stored = self.stored.as_ref().and_then(|object| Note::parse(&object.bytes).ok());
        let signatures = stored.as_ref().map_or(&[][..], |note| note.signatures());
        let is_key_of =
            |one: &Signature| self.signers.iter().any(|signer| signer.verifier().is_named_by(one));
        let gone = signatures.iter().filter(|one| one.name == origin && !is_key_of(one));
        let gone = gone.map(|one| format!("{}+{:08x}", one.name, one.key_id)).collect();
        let (named, unnamed): (Vec<Signer>, Vec<Signer>) = self
            .signers
            .into_iter()
            .partition(|signer| signatures.iter().any(|one| signer.verifier().is_named_by(one)));
        Ok(Evidence {
            origin,
            objects: self.objects,
            guard,
            signers: RwLock::new(Arc::new(if named.is_empty() { unnamed } else { named })),
            gone: Mutex::new(gone),
            keys_seen: Mutex::default(),
            versions: Mutex::new(versions),
            newest: RwLock::new(Arc::new(newest)),
            signed_at_ns: AtomicI64::default(),
            lost_guard: Mutex::default(),
            is_guard_apart,
        })
    }
}

impl Evidence {
    /// Reads keys and the newest checkpoints of the directory and of the guard at `guard`, compares
    /// both with the log, and signs newer events. If the log does not extend a checkpoint, the
    /// error is a message for the operator.
    pub fn open(data_dir: &Path, guard: &Path, log: &Contents) -> Result<Evidence, Failure> {
        let found = StoredEvidence::read(data_dir, log).map_err(Failure::new)?;
        let newest = match &found.stored {
            Some(object) => {
                let compared = compare(&object.bytes, &found.signers, log, data_dir)?;
                let size = compared.map_err(|why| refusal(&format!("{CHECKPOINT}: {why}")))?;
                SignedCheckpoint { size, note: String::from_utf8_lossy(&object.bytes).into_owned() }
            }
            None => SignedCheckpoint::default(),
        };
        let guard = match (Guard::open(guard).map_err(Failure::new)?, &found.stored) {
            (Some(guard), _) => guard,
            // Nothing was signed yet, so nothing can be lost.
            (None, None) => Guard::create(guard).map_err(Failure::new)?,
            (None, Some(_)) => {
                return Err(refusal(&format!(
                    "there is no guard at {}: the data directory may be a copy, a restored backup, or moved",
                    guard.display()
                )));
            }
        };
        if let Some((note, _)) = guard.newest()? {
            compare(&note, &found.signers, log, data_dir)?
                .map_err(|why| refusal(&format!("{}: {why}", guard.folder().display())))?;
        }
        let evidence = found.into_evidence(log, guard, newest)?;
        match evidence.sign(log) {
            // What is signed already is served; the thread that signs tries again.
            Err(error) if !error.is_storage_full() => Err(error.into()),
            _ => Ok(evidence),
        }
    }

    /// [`Evidence::open`] for an operator who accepts the log as it is. `record` gets the
    /// differences and records them before anything is signed.
    pub fn accept(
        data_dir: &Path,
        guard: &Path,
        log: &Contents,
        record: impl FnOnce(&Differences) -> Result<(), String>,
    ) -> Result<Differences, Failure> {
        let found = StoredEvidence::read(data_dir, log).map_err(Failure::new)?;
        let guard = match Guard::open(guard).map_err(Failure::new)? {
            Some(guard) => guard,
            None => Guard::create(guard).map_err(Failure::new)?,
        };
        let guarded = guard.newest()?.map(|(note, _)| note);
        let stored = found.stored.as_ref().map(|object| object.bytes.clone());
        let differs = |bytes: &Option<Vec<u8>>| match bytes {
            Some(bytes) => Ok(compare(bytes, &found.signers, log, data_dir)?.err()),
            None => Ok::<_, store::Error>(Some("it is not there".to_owned())),
        };
        let head = |bytes: &Option<Vec<u8>>| {
            let note = bytes.as_ref().and_then(|bytes| Note::parse(bytes).ok());
            note.map(|note| note.text().to_owned())
        };
        let (size, root) = log.head();
        let differences = Differences {
            guard: differs(&guarded)?.map(|why| (why, head(&guarded))),
            directory: differs(&stored)?.map(|why| (why, head(&stored))),
            log: Checkpoint { origin: log.identity().origin.clone(), size, root },
        };
        if differences.guard.is_some() || differences.directory.is_some() {
            record(&differences).map_err(Failure::new)?;
            let evidence = found.into_evidence(log, guard, SignedCheckpoint::default())?;
            evidence.sign(log)?;
        }
        Ok(differences)
    }

    /// The newest checkpoint.
    pub fn newest(&self) -> Arc<SignedCheckpoint> {
        Arc::clone(&self.newest.read().expect("no panic while held"))
    }

    /// The keys that sign.
    fn signers(&self) -> Arc<Vec<Signer>> {
        Arc::clone(&self.signers.read().expect("no panic while held"))
    }

    /// [`Evidence::sign`] as the server runs. A guard that does not take the checkpoint, as when
    /// its disk is gone, stops nothing else: nothing is signed until it is there again, for at most
    /// `lost_max`.
    fn sign_unless_lost(
        &self,
        log: &Contents,
        lost_max: Duration,
    ) -> Result<Option<GuardTurn>, store::Error> {
        let mut lost = self.lost_guard.lock().expect("no panic while held");
        if let Some(before) = &*lost
            && let Err(error) = self.find_guard(&before.attempt)
        {
            let is_too_long = before.since.elapsed() > lost_max;
            return if is_too_long || !is_of_disk(&error) { Err(error) } else { Ok(None) };
        }
        match self.sign_in(log) {
            Ok(()) => Ok(lost.take().map(|before| GuardTurn::Found(before.since.elapsed()))),
            Err(SignFailure::Guard(error, attempt)) if self.is_lost(&error) => {
                let why = error.to_string();
                if let Some(before) = &mut *lost {
                    before.attempt = attempt;
                    return Ok(None);
                }
                *lost = Some(LostGuard { since: Instant::now(), why: why.clone(), attempt });
                Ok(Some(GuardTurn::Lost(why)))
            }
            Err(SignFailure::Guard(error, _) | SignFailure::Log(error)) => Err(error),
        }
    }

    /// Whether the guard is gone, rather than that the disk of the log fails, or that somebody
    /// changed the guard: those end the server.
    fn is_lost(&self, error: &store::Error) -> bool {
        let is_gone = matches!(self.guard.newest(), Ok(None))
            || matches!(error, store::Error::Io { cause, .. } if cause.kind() == NotFound);
        is_gone || self.is_guard_apart && is_of_disk(error)
    }

    /// Reads the guard again after it was lost. It must have the checkpoint from before, or the one
    /// that it did not confirm.
    fn find_guard(&self, attempt: &[u8]) -> Result<(), store::Error> {
        let mut versions = self.versions.lock().expect("no panic while held");
        let gone = || store::Error::Io {
            doing: format!("read the guard {}", self.guard.folder().display()),
            cause: std::io::Error::from(NotFound),
        };
        let (note, version) = self.guard.newest()?.ok_or_else(gone)?;
        if versions[1] != Some(version) && note != attempt {
            return Err(store::Error::Changed { name: self.guard.folder().display().to_string() });
        }
        versions[1] = Some(version);
        Ok(())
    }

    /// For how long the guard is lost, and why, if it is.
    pub fn guard_lost(&self) -> Option<(Duration, String)> {
        let lost = self.lost_guard.lock().expect("no panic while held");
        lost.as_ref().map(|lost| (lost.since.elapsed(), lost.why.clone()))
    }

    /// Signs the log's head if there are new events or dead letters. The checkpoint is durable, in
    /// the guard too, before it is visible.
    pub fn sign(&self, log: &Contents) -> Result<(), store::Error> {
        self.sign_in(log).map_err(|failure| match failure {
            SignFailure::Guard(error, _) | SignFailure::Log(error) => error,
        })
    }

    fn sign_in(&self, log: &Contents) -> Result<(), SignFailure> {
        let mut versions = self.versions.lock().expect("no panic while held");
        let [stored, guarded] = &mut *versions;
        let (size, root) = log.head();
        let checkpoint = Checkpoint { origin: self.origin.clone(), size, root };
        let text = checkpoint.text() + &dead_letters::line(log.dead_letters_head());
        if stored.is_some() && guarded.is_some() && self.newest().text() == text {
            return Ok(());
        }
        let note = self.signed(text);
        // If we crash between the two, the log has what either covers.
        let taken = self.guard.replace(note.as_bytes(), *guarded);
        *guarded = Some(taken.map_err(|why| SignFailure::Guard(why, note.clone().into_bytes()))?);
        let written = self.objects.replace(CHECKPOINT, note.as_bytes(), *stored);
        *stored = Some(written.map_err(SignFailure::Log)?);
        *self.newest.write().expect("no panic while held") =
            Arc::new(SignedCheckpoint { size, note });
        self.signed_at_ns.store(system::now().unix_ns(), Ordering::Relaxed);
        Ok(())
    }

    /// The keys that sign checkpoints, the oldest first, as their users write them.
    pub fn verifiers(&self) -> Vec<String> {
        self.signers().iter().map(|signer| signer.verifier().to_string()).collect()
    }

    /// The time of the newest checkpoint of this process, if it signed one.
    pub fn signed_at(&self) -> Option<Time> {
        let ns = self.signed_at_ns.load(Ordering::Relaxed);
        (ns != 0).then(|| Time::from_unix_ns(ns))
    }

    /// Adds a witness's cosignature to the newest checkpoint, if it still has this text. The result
    /// is durable before it is visible.
    pub fn cosign(&self, text: &str, cosignature: Signature) -> Result<(), store::Error> {
        let mut versions = self.versions.lock().expect("no panic while held");
        let newest = self.newest();
        let Some(mut note) =
            Note::parse(newest.note.as_bytes()).ok().filter(|newest| newest.text() == text)
        else {
            return Ok(());
        };
        note.add(cosignature);
        let note = note.to_string();
        versions[0] = Some(self.objects.replace(CHECKPOINT, note.as_bytes(), versions[0])?);
        *self.newest.write().expect("no panic while held") =
            Arc::new(SignedCheckpoint { size: newest.size, note });
        Ok(())
    }

    /// A text with the signature of every key.
    pub fn signed(&self, text: String) -> String {
        let mut note = Note::new(text).expect("our texts have no control characters");
        for signer in self.signers().iter() {
            note.add(signer.sign(note.text(), 0));
        }
        note.to_string()
    }

    /// Uses keys that were added or retired, once that is recorded. After an error, try again.
    pub fn follow_keys(&self, audit: &OwnAudit) -> Result<(), String> {
        let mut seen = self.keys_seen.lock().expect("no panic while held");
        let found = self.objects.get(LOG_KEY).map_err(|error| error.to_string())?;
        let found = found.ok_or_else(|| format!("{LOG_KEY} is gone"))?;
        if *seen == Some(found.version) {
            return Ok(());
        }
        let (old, new) = (self.signers(), keys::parse(&found.bytes)?);
        let mut gone = self.gone.lock().expect("no panic while held");
        if new[0].verifier().name() != self.origin {
            return Err(format!("{LOG_KEY} has keys of another log"));
        }
        let lacks = |all: &[Signer], one: &Signer| {
            !all.iter().any(|other| other.verifier() == one.verifier())
        };
        let act = |verb: &str, operation, key: &str| {
            let act = Act::new(format!("key.{verb}"), operation, "Evidence").on("key", key);
            let description = format!("the log's checkpoints: {verb} a key that signs them");
            Act { description: Some(description), ..act }
        };
        let added = new.iter().filter(|one| lacks(&old, one));
        let retired = old.iter().filter(|one| lacks(&new, one));
        let acts: Vec<Act> = added
            .map(|one| act("rotate", Operation::Create, &one.verifier().to_string()))
            .chain(retired.map(|one| act("retire", Operation::Delete, &one.verifier().to_string())))
            .chain(gone.iter().map(|one| act("retire", Operation::Delete, one)))
            .collect();
        if !acts.is_empty() {
            audit.record_all_now(acts)?;
        }
        *self.signers.write().expect("no panic while held") = Arc::new(new);
        gone.clear();
        *seen = Some(found.version);
        Ok(())
    }
}

/// Why nothing was signed.
enum SignFailure {
    /// The guard did not take this checkpoint.
    Guard(store::Error, Vec<u8>),
    Log(store::Error),
}

/// Whether a disk failed, rather than that somebody changed what is on it.
fn is_of_disk(error: &store::Error) -> bool {
    matches!(error, store::Error::Io { .. })
}

/// The facts of an answer in its receipt.
pub struct AnswerFacts {
    /// User id of the caller, if there is one.
    pub caller: String,
    pub total: u64,
    /// Size of the tree, and the indexes of the rows in their order, if the answer has rows.
    pub rows: Option<(u64, Vec<u64>)>,
}

/// The differences that an operator accepts.
pub struct Differences {
    /// Why the log does not extend the checkpoint of the guard, and that checkpoint's text.
    pub guard: Option<(String, Option<String>)>,
    /// The same for the checkpoint of the data directory.
    pub directory: Option<(String, Option<String>)>,
    /// The head of the log.
    pub log: Checkpoint,
}

/// Why a log is not served, and the remedy.
fn refusal(why: &str) -> Failure {
    Failure::new(format!(
        "{why}\nThe log is not served, and nothing of it was changed. To accept the log as it is, on record: \
         daybook guard accept --reason TEXT"
    ))
}

impl Evidence {
    /// The receipt of an answer, for its header. Without rows, it covers the log as it is now.
    pub fn receipt(
        &self,
        log: &Contents,
        request: &Request,
        facts: AnswerFacts,
        now: Time,
        body: &[u8],
    ) -> Result<String, store::Error> {
        let (size, indexes) = facts.rows.unwrap_or_else(|| (log.head().0, Vec::new()));
        let digests = log.digests_of(&indexes)?;
        let receipt = Receipt {
            tree: self.tree_at(log, size)?,
            at: receipt::time_text(now),
            caller: facts.caller,
            request: receipt::request_line(
                request.method.as_str(),
                &request.raw_path,
                &request.raw_query,
                &request.body,
            ),
            total: facts.total,
            indexes,
            digests: receipt::digest_of(&digests),
            body: Sha256::digest(body).into(),
        };
        Ok(receipt::header_value(&self.signed(receipt.text())))
    }
}

impl Evidence {
    /// The tree over the first `size` events.
    pub fn tree_at(&self, log: &Contents, size: u64) -> Result<Checkpoint, store::Error> {
        Ok(Checkpoint { origin: self.origin.clone(), size, root: root_at(log, size)? })
    }
}

/// The root of the tree over the first `size` events.
fn root_at(log: &Contents, size: u64) -> Result<Hash, store::Error> {
    match size {
        0 => Ok(Tree::new().root()),
        size => subtree_hash(log, 0, size),
    }
}

/// The newest checkpoints, read without holding the guard.
pub struct Notes {
    stored: Option<Vec<u8>>,
    guarded: Option<Vec<u8>>,
    guard: PathBuf,
}

/// What the guard says of a log that fits its checkpoints.
#[derive(Debug, PartialEq, Eq)]
pub enum GuardCheck {
    /// The log has the events that the guard's checkpoint covers.
    Agrees(u64),
    /// There is no guard, as beside a backup or a log that was never served.
    None,
}

impl Notes {
    pub fn read(disk: &Arc<dyn Disk>, guard: &Path) -> Result<Notes, String> {
        let stored = FileObjects::new(Arc::clone(disk)).get(CHECKPOINT);
        let stored = stored.map_err(|error| error.to_string())?.map(|object| object.bytes);
        Ok(Notes { stored, guarded: guard::checkpoint_in(guard)?, guard: guard.to_owned() })
    }

    /// Compares both with the log as a start does.
    pub fn compare(&self, data_dir: &Path, log: &Contents) -> Result<GuardCheck, Failure> {
        let signers = keys::read(data_dir).map_err(Failure::new)?;
        if let Some(stored) = &self.stored {
            compare(stored, &signers, log, data_dir)?
                .map_err(|why| refusal(&format!("{CHECKPOINT}: {why}")))?;
        }
        let Some(guarded) = &self.guarded else { return Ok(GuardCheck::None) };
        compare(guarded, &signers, log, data_dir)?
            .map(GuardCheck::Agrees)
            .map_err(|why| refusal(&format!("{}: {why}", self.guard.display())))
    }
}

/// Compares a stored checkpoint with the log. Returns its size, or how the log differs from it.
fn compare(
    bytes: &[u8],
    signers: &[Signer],
    log: &Contents,
    data_dir: &Path,
) -> Result<Result<u64, String>, store::Error> {
    let read = || {
        let note = Note::parse(bytes)?;
        let opened = signers.iter().map(|signer| Checkpoint::open(&note, signer.verifier()));
        let checkpoint = opened.reduce(|one, other| one.or(other)).expect("a log has a key")?;
        Ok((checkpoint, dead_letters::parse(note.text())?))
    };
    let (checkpoint, (count, dead_letters_root)) = match read() {
        Ok(read) => read,
        Err(why) => return Ok(Err(Malformed::to_string(&why))),
    };
    let (size, _) = log.head();
    if checkpoint.size > size {
        return Ok(Err(format!(
            "{} events were signed, and the log has {size}: it is older than its checkpoint, as a restored backup is",
            checkpoint.size
        )));
    }
    if root_at(log, checkpoint.size)? != checkpoint.root {
        return Ok(Err(format!(
            "the log's first {} events differ from those that were signed",
            checkpoint.size
        )));
    }
    let disk: Arc<dyn Disk> = Arc::new(Local::open(data_dir));
    if count > 0
        && dead_letters::root_of(&store::dead_letters(&disk)?, count) != Some(dead_letters_root)
    {
        return Ok(Err(format!("{count} dead letters were signed, and the log has others")));
    }
    Ok(Ok(checkpoint.size))
}

/// The proof that a checkpoint over `size` events covers the event with this index. `entry` is
/// extra data that the proof vouches for: its SHA-256 is the data of the leaf. The error is
/// [`NoProof::OutOfRange`] if the checkpoint does not cover the event.
pub fn prove(
    log: &Contents,
    checkpoint: Note,
    size: u64,
    index: u64,
    entry: Option<Vec<u8>>,
) -> Result<ProofFile, NoProof<store::Error>> {
    let path = prove_inclusion(log, index, size)?;
    // A flipped bit of a digest must not become a proof that nobody can verify.
    let digests = log.digests(index, 1).map_err(NoProof::Nodes)?;
    let digest = digests.and_then(|digests| digests.first().copied()).ok_or(NoProof::OutOfRange)?;
    let signed = Checkpoint::parse(checkpoint.text());
    let is_proven = signed.is_ok_and(|signed| {
        verify_inclusion(&path, &leaf_hash(&digest), index, size, &signed.root)
    });
    if !is_proven {
        let what = format!("the path of event {index} leads to another root");
        return Err(NoProof::Nodes(store::Error::damage("tree/digests", index * 32, what)));
    }
    Ok(ProofFile { extra: entry, index, path, checkpoint })
}

impl GuardTurn {
    /// The act that records it.
    fn act(self, folder: &Path) -> Act {
        let (name, kind, what) = match self {
            GuardTurn::Lost(why) => {
                tracing::error!(
                    why,
                    "the guard takes no checkpoint; nothing is signed until it does"
                );
                let what = format!("the guard takes no checkpoint, and nothing is signed: {why}");
                ("guard.lost", OutcomeKind::Failure, what)
            }
            GuardTurn::Found(after) => {
                let what = format!("the guard is there again, after {} s", after.as_secs());
                tracing::warn!(what, "signing goes on");
                ("guard.found", OutcomeKind::Success, what)
            }
        };
        let act =
            Act::new(name, Operation::Other, "Evidence").on("guard", &folder.display().to_string());
        let outcome = Outcome { kind, ..Outcome::default() };
        Act { description: Some(what), outcome, severity: Severity::MAJOR, ..act }
    }
}

/// The thread that signs.
pub struct Signing {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Signing {
    /// Calls `report_fatal` if a checkpoint cannot be made durable; no further one is signed. One
    /// without room on the disk is signed later.
    pub fn start(
        evidence: Arc<Evidence>,
        log: Arc<Log>,
        audit: Arc<OwnAudit>,
        guard_lost_max: Duration,
        report_fatal: impl Fn(&store::Error) + Send + 'static,
    ) -> Signing {
        let (stop, stopped) = channel();
        let work = move || {
            let (mut failed, mut lacks_room, mut acts) = (String::new(), false, Vec::new());
            loop {
                let signal = stopped.recv_timeout(SIGN_EVERY);
                match evidence.follow_keys(&audit) {
                    Ok(()) => failed.clear(),
                    // Logged once, not in every interval.
                    Err(why) if why == failed => {}
                    Err(why) => {
                        tracing::error!(
                            why,
                            "couldn't use the log's new keys; signing with the old ones"
                        );
                        failed = why;
                    }
                }
                match evidence.sign_unless_lost(log.contents(), guard_lost_max) {
                    Ok(turn) => {
                        lacks_room = false;
                        acts.extend(turn.map(|turn| turn.act(evidence.guard.folder())));
                    }
                    Err(error) if error.is_storage_full() => {
                        if !std::mem::replace(&mut lacks_room, true) {
                            tracing::error!(%error, "newer events are not signed yet");
                        }
                    }
                    Err(error) => {
                        report_fatal(&error);
                        return;
                    }
                }
                if !acts.is_empty() && audit.record_all_now(acts.clone()).is_ok() {
                    acts.clear();
                }
                if !matches!(signal, Err(RecvTimeoutError::Timeout)) {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("signing".to_owned()).spawn(work);
        Signing { stop, thread: thread.expect("the machine has room for a thread") }
    }

    /// Signs the newest events, and ends.
    pub fn stop(self) {
        // The thread ends by itself only after a failure.
        let _ = self.stop.send(());
        if self.thread.join().is_err() {
            tracing::error!("signing panicked");
        }
    }
}
