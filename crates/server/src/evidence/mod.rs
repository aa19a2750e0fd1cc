//! The log's head, signed: checkpoints that whoever holds one notices any later change by, and the
//! tree that they are over.
//!
//! A checkpoint is signed within [`SIGN_EVERY`] of the events it covers, and is on disk before
//! anyone sees it, in the data directory and in a [`guard`] outside of it. What was signed last is
//! compared with the log at every start, so that a log which lost or changed what it signed for is
//! not served.

pub mod guard;
pub mod keys;
pub mod witnesses;

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use event::{Operation, Time};
use sha2::{Digest, Sha256};
use store::durable::{Disk, Local};
use store::{CHECKPOINT, Contents, FileObjects, LOG_KEY, Log, Object, Objects, Version};
use tlog::{
    Checkpoint, Hash, Malformed, NoProof, Note, ProofFile, Signature, Signer, Tree,
    prove_inclusion, subtree_hash,
};

use self::guard::Guard;
use crate::failure::Failure;
use intake::audit::{Act, OwnAudit};
use net::Request;
use verify::receipt::Receipt;
use verify::{dead_letters, receipt};

/// How often it is looked whether there is something to sign: well within the second that is
/// promised.
const SIGN_EVERY: Duration = Duration::from_millis(400);

/// What signs a log, and what it signed last.
pub struct Evidence {
    origin: String,
    objects: FileObjects,
    guard: Guard,
    signers: RwLock<Arc<Vec<Signer>>>,
    /// Keys that signed the checkpoint which was there at the start, and were retired since: names
    /// and hashes.
    gone: Mutex<Vec<String>>,
    /// The file of keys as it was last looked at.
    keys_seen: Mutex<Option<Version>>,
    /// Of the newest checkpoint: in the data directory and in the guard.
    versions: Mutex<[Option<Version>; 2]>,
    newest: RwLock<Arc<Signed>>,
    /// When this process last signed, in nanoseconds since 1970; 0 before it did.
    signed_at_ns: AtomicI64,
}

/// A checkpoint that is on disk.
#[derive(Default)]
pub struct Signed {
    /// How many events it covers.
    pub size: u64,
    /// The note.
    pub note: String,
}

impl Signed {
    /// What was signed, without the signatures.
    pub fn text(&self) -> &str {
        self.note.find("\n\n").map_or("", |end| &self.note[..=end])
    }
}

/// What is known of a log before anything is compared.
struct Found {
    objects: FileObjects,
    signers: Vec<Signer>,
    /// The newest checkpoint in the data directory.
    stored: Option<Object>,
}

impl Found {
    fn read(data_dir: &Path, log: &Contents) -> Result<Found, String> {
        let signers = keys::read(data_dir)?;
        let (name, origin) = (signers[0].verifier().name(), &log.identity().origin);
        if name != origin {
            return Err(format!("{LOG_KEY} is the key of {name}, not of {origin}"));
        }
        let disk: Arc<dyn Disk> = Arc::new(Local::open(data_dir));
        let objects = FileObjects::new(disk);
        let stored = objects.get(CHECKPOINT).map_err(|error| error.to_string())?;
        Ok(Found { objects, signers, stored })
    }

    /// Goes on with this guard, from the newest checkpoint that there is.
    fn into_evidence(
        self,
        log: &Contents,
        guard: Guard,
        newest: Signed,
    ) -> Result<Evidence, store::Error> {
        let versions = [
            self.stored.as_ref().map(|object| object.version),
            guard.newest()?.map(|(_, version)| version),
        ];
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
        })
    }
}

impl Evidence {
    /// Reads keys and newest checkpoints, that of the directory and that of the guard at `guard`,
    /// compares both with the log, and signs what came since. Errs with what to tell the operator
    /// when the log does not go on from what was signed.
    pub fn open(data_dir: &Path, guard: &Path, log: &Contents) -> Result<Evidence, Failure> {
        let found = Found::read(data_dir, log).map_err(Failure::new)?;
        let newest = match &found.stored {
            Some(object) => {
                let compared = compare(&object.bytes, &found.signers, log, data_dir)?;
                let size = compared.map_err(|why| refusal(&format!("{CHECKPOINT}: {why}")))?;
                Signed { size, note: String::from_utf8_lossy(&object.bytes).into_owned() }
            }
            None => Signed::default(),
        };
        let guard = match (Guard::open(guard).map_err(Failure::new)?, &found.stored) {
            (Some(guard), _) => guard,
            // Nothing was signed that the log could have lost.
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
                .map_err(|why| refusal(&format!("{}: {why}", guard.place().display())))?;
        }
        let evidence = found.into_evidence(log, guard, newest)?;
        evidence.sign(log)?;
        Ok(evidence)
    }

    /// As [`Evidence::open`], but compares nothing: an operator says that the log is to go on as it
    /// is, and `record` is given what differs, to be recorded before anything is signed.
    pub fn accept(
        data_dir: &Path,
        guard: &Path,
        log: &Contents,
        record: impl FnOnce(&Differences) -> Result<(), String>,
    ) -> Result<Differences, Failure> {
        let found = Found::read(data_dir, log).map_err(Failure::new)?;
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
            let evidence = found.into_evidence(log, guard, Signed::default())?;
            evidence.sign(log)?;
        }
        Ok(differences)
    }

    /// The newest checkpoint.
    pub fn newest(&self) -> Arc<Signed> {
        Arc::clone(&self.newest.read().expect("no panic while held"))
    }

    /// The keys that sign.
    fn signers(&self) -> Arc<Vec<Signer>> {
        Arc::clone(&self.signers.read().expect("no panic while held"))
    }

    /// Signs the log's head, if it grew since or more was set aside, and makes that durable, in the
    /// guard too, before it can be seen.
    pub fn sign(&self, log: &Contents) -> Result<(), store::Error> {
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
        *guarded = Some(self.guard.replace(note.as_bytes(), *guarded)?);
        *stored = Some(self.objects.replace(CHECKPOINT, note.as_bytes(), *stored)?);
        *self.newest.write().expect("no panic while held") = Arc::new(Signed { size, note });
        self.signed_at_ns.store(system::now().unix_ns(), Ordering::Relaxed);
        Ok(())
    }

    /// When this process last signed a checkpoint, if it did.
    pub fn signed_at(&self) -> Option<Time> {
        let ns = self.signed_at_ns.load(Ordering::Relaxed);
        (ns != 0).then(|| Time::from_unix_ns(ns))
    }

    /// Adds a witness's cosignature to the newest checkpoint, if that still has this text, and
    /// makes that durable before it can be seen.
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
            Arc::new(Signed { size: newest.size, note });
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

    /// Takes up keys that were added or retired, once that is recorded. Errs with why it could not,
    /// to be tried again.
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

/// Facts of an answer that its receipt has.
pub struct AnswerFacts {
    /// User id of the caller, if there is one.
    pub caller: String,
    pub total: u64,
    /// Size of the tree, and the indexes of the rows in their order, if the answer has rows.
    pub rows: Option<(u64, Vec<u64>)>,
}

/// What an operator accepts.
pub struct Differences {
    /// Why the log does not go on from what the guard has, and the text of that checkpoint.
    pub guard: Option<(String, Option<String>)>,
    /// As `guard`, of what the data directory has.
    pub directory: Option<(String, Option<String>)>,
    /// The log as it is.
    pub log: Checkpoint,
}

/// Why a log is not served, and what can be done.
fn refusal(why: &str) -> Failure {
    Failure::new(format!(
        "{why}\nThe log is not served, and nothing of it was changed. If it is to go on as it is, say so on record: \
         daybook guard accept --reason TEXT"
    ))
}

impl Evidence {
    /// The receipt of an answer, for its header. An answer without rows is of the log as it is now.
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
    /// The tree when the log had so many events.
    pub fn tree_at(&self, log: &Contents, size: u64) -> Result<Checkpoint, store::Error> {
        Ok(Checkpoint { origin: self.origin.clone(), size, root: root_at(log, size)? })
    }
}

/// The root of the tree when the log had so many events.
fn root_at(log: &Contents, size: u64) -> Result<Hash, store::Error> {
    match size {
        0 => Ok(Tree::new().root()),
        size => subtree_hash(log, 0, size),
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
    let (checkpoint, (count, aside_root)) = match read() {
        Ok(read) => read,
        Err(why) => return Ok(Err(Malformed::to_string(&why))),
    };
    let (size, _) = log.head();
    if checkpoint.size > size {
        return Ok(Err(format!(
            "{} events were signed for, and the log has {size}: it is older than what was signed, as a restored backup is",
            checkpoint.size
        )));
    }
    if root_at(log, checkpoint.size)? != checkpoint.root {
        return Ok(Err(format!(
            "the log's first {} events are others than were signed for",
            checkpoint.size
        )));
    }
    let disk: Arc<dyn Disk> = Arc::new(Local::open(data_dir));
    if count > 0 && dead_letters::root_of(&store::dead_letters(&disk)?, count) != Some(aside_root) {
        return Ok(Err(format!(
            "{count} records set aside were signed for, and the log has others"
        )));
    }
    Ok(Ok(checkpoint.size))
}

/// Proves by a checkpoint over `size` events that the event with this index is one of them. `entry`
/// goes along as extra data, which the proof itself vouches for: its SHA-256 is the data of the
/// leaf. Errs with [`NoProof::OutOfRange`] when the checkpoint does not cover the event.
pub fn prove(
    log: &Contents,
    checkpoint: Note,
    size: u64,
    index: u64,
    entry: Option<Vec<u8>>,
) -> Result<ProofFile, NoProof<store::Error>> {
    let path = prove_inclusion(log, index, size)?;
    Ok(ProofFile { extra: entry, index, path, checkpoint })
}

/// The thread that signs.
pub struct Signing {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Signing {
    /// `report_fatal` is called when a checkpoint cannot be made durable; none is signed after
    /// that.
    pub fn start(
        evidence: Arc<Evidence>,
        log: Arc<Log>,
        audit: Arc<OwnAudit>,
        report_fatal: impl Fn(&store::Error) + Send + 'static,
    ) -> Signing {
        let (stop, stopped) = channel();
        let work = move || {
            let mut failed = String::new();
            loop {
                let told = stopped.recv_timeout(SIGN_EVERY);
                match evidence.follow_keys(&audit) {
                    Ok(()) => failed.clear(),
                    // Once, not at every look.
                    Err(why) if why == failed => {}
                    Err(why) => {
                        tracing::error!(
                            why,
                            "couldn't take up the log's keys; signing with those before"
                        );
                        failed = why;
                    }
                }
                if let Err(error) = evidence.sign(log.contents()) {
                    report_fatal(&error);
                    return;
                }
                if !matches!(told, Err(RecvTimeoutError::Timeout)) {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("signing".to_owned()).spawn(work);
        Signing { stop, thread: thread.expect("the machine has room for a thread") }
    }

    /// Signs what came since, and ends.
    pub fn stop(self) {
        // The thread is there until it is told so, but for a failure.
        let _ = self.stop.send(());
        if self.thread.join().is_err() {
            tracing::error!("signing panicked");
        }
    }
}
