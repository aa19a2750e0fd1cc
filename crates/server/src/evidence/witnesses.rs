//! Cosignatures of witnesses on the log's checkpoints (C2SP tlog-witness, section add-checkpoint).
//!
//! - Each witness has a thread of its own, so a slow one delays nobody.
//! - Checkpoints are signed faster than witnesses respond. All witnesses get the same checkpoint,
//!   the candidate, so that there is one that all cosigned; a witness that cosigned the candidate
//!   gets newer ones meanwhile.
//! - A cosignature is verified before use. It joins the newest checkpoint and the candidate, if it
//!   is of their text.
//! - A late or refusing witness is reported once, in the operational log and on Daybook's own
//!   trail. It stops nothing.

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, RwLock, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use event::{Operation, Outcome, OutcomeKind, Severity};
use store::durable::Local;
use store::{Contents, FileObjects, Log, Objects, Version, WITNESSED};
use tlog::{
    AddCheckpoint, Checkpoint, Malformed, NOTE_BYTES_MAX, NoProof, Note, Signature, Verifier,
    prove_consistency,
};

use super::{Evidence, SignedCheckpoint, root_at};
use client::{Client, Response};
use config::{Limits, Witness};
use event::terminal::printable;
use intake::audit::{Act, OwnAudit};

/// The interval in which a thread looks for something to cosign.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// The shortest pause between two requests, unless the response names another size.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// The longest pause after failures; each is twice as long as the one before.
const BACK_OFF_MAX: Duration = Duration::from_secs(30);
/// Requests of one attempt: one whose response names the witness's size, and one from there.
const REQUESTS_OF_A_TRY: usize = 2;
/// The longest time that the server's end waits for a response.
const STOP_WITHIN: Duration = Duration::from_secs(2);
/// The most characters of a response in a log line.
const LOGGED_CHARACTERS: usize = 200;

/// The configured witnesses, and the checkpoint that all of them cosigned.
pub struct Witnesses {
    configured: Vec<Witness>,
    objects: FileObjects,
    pending: Mutex<Pending>,
    witnessed: RwLock<Option<Arc<SignedCheckpoint>>>,
    /// The state of each configured witness.
    stands: Vec<Mutex<Stand>>,
}

/// The state of a witness, for metrics.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stand {
    /// Events of the newest checkpoint that it is known to have cosigned.
    pub cosigned: u64,
    /// The time since when a checkpoint lacks its cosignature.
    pub behind_since: Option<Instant>,
    /// Whether it is reported as late or refusing.
    pub is_bad: bool,
}

struct Pending {
    /// The checkpoint that all witnesses get, with its cosignatures so far.
    candidate: Option<Head>,
    /// The version of the witnessed checkpoint on disk.
    version: Option<Version>,
}

/// A checkpoint that the log signed.
#[derive(Clone)]
struct Head {
    size: u64,
    note: Note,
}

impl Witnesses {
    /// Reads the newest checkpoint that every configured witness cosigned. One that the log does
    /// not extend is left out: an open log extends its checkpoints, or an operator accepted it.
    pub fn open(
        data_dir: &Path,
        configured: Vec<Witness>,
        log: &Contents,
    ) -> Result<Witnesses, store::Error> {
        let objects = FileObjects::new(Arc::new(Local::open(data_dir)));
        let found = objects.get(WITNESSED)?;
        let version = found.as_ref().map(|object| object.version);
        let head = match found.map(|object| read(&object.bytes, log)).transpose() {
            Ok(head) => {
                head.filter(|head| !configured.is_empty() && is_cosigned(&head.note, &configured))
            }
            Err(why) => {
                tracing::warn!(why, "the newest witnessed checkpoint is not published");
                None
            }
        };
        let witnessed = head.map(|head| {
            Arc::new(SignedCheckpoint { size: head.size, note: head.note.to_string() })
        });
        let pending = Mutex::new(Pending { candidate: None, version });
        let stands = configured.iter().map(|_| Mutex::default()).collect();
        Ok(Witnesses { configured, objects, pending, witnessed: RwLock::new(witnessed), stands })
    }

    /// The state of each configured witness.
    pub fn stands(&self) -> impl Iterator<Item = (&Witness, Stand)> {
        let stands = self.stands.iter().map(|stand| *stand.lock().expect("no panic while held"));
        self.configured.iter().zip(stands)
    }

    /// The newest checkpoint that every configured witness cosigned; `None` before the first, and
    /// without witnesses.
    pub fn witnessed(&self) -> Option<Arc<SignedCheckpoint>> {
        self.witnessed.read().expect("no panic while held").clone()
    }

    /// The next checkpoint for a witness that last cosigned a tree of the size `cosigned`: the
    /// candidate, or the newest checkpoint if it cosigned the candidate.
    fn question(
        &self,
        key: &Verifier,
        cosigned: Option<&str>,
        evidence: &Evidence,
    ) -> Option<Head> {
        let mut pending = self.pending.lock().expect("no panic while held");
        let newest = evidence.newest();
        if pending.candidate.is_none()
            && self.witnessed().is_none_or(|one| one.text() != newest.text())
        {
            pending.candidate = self.head(&newest);
        }
        match &pending.candidate {
            Some(candidate) if !is_cosigned_by(&candidate.note, key) => Some(candidate.clone()),
            _ if cosigned != Some(newest.text()) => self.head(&newest),
            _ => None,
        }
    }

    /// A checkpoint of the log without cosignatures of witnesses.
    fn head(&self, signed: &SignedCheckpoint) -> Option<Head> {
        let whole = Note::parse(signed.note.as_bytes()).ok()?;
        let mut note = Note::new(whole.text().to_owned()).ok()?;
        let is_a_witness = |signature: &&Signature| {
            self.configured.iter().any(|one| one.key.is_named_by(signature))
        };
        whole
            .signatures()
            .iter()
            .filter(|one| !is_a_witness(one))
            .cloned()
            .for_each(|one| note.add(one));
        Some(Head { size: signed.size, note })
    }

    /// Adds a cosignature to the candidate, if it is of that text. Once complete, the candidate is
    /// durable as the witnessed checkpoint before it is visible.
    fn take(&self, head: &Head, cosignature: Signature) -> Result<(), store::Error> {
        let mut pending = self.pending.lock().expect("no panic while held");
        let Some(mut candidate) =
            pending.candidate.take_if(|one| one.note.text() == head.note.text())
        else {
            return Ok(());
        };
        candidate.note.add(cosignature);
        if !is_cosigned(&candidate.note, &self.configured) {
            pending.candidate = Some(candidate);
            return Ok(());
        }
        let note = candidate.note.to_string();
        pending.version =
            Some(self.objects.replace(WITNESSED, note.as_bytes(), pending.version)?);
        *self.witnessed.write().expect("no panic while held") =
            Some(Arc::new(SignedCheckpoint { size: candidate.size, note }));
        Ok(())
    }

    /// Drops this candidate if the log has signed a newer checkpoint. That is the next candidate,
    /// so that a witness which comes back gets nothing old.
    fn give_up(&self, head: &Head, evidence: &Evidence) {
        let mut pending = self.pending.lock().expect("no panic while held");
        let newest = evidence.newest();
        pending
            .candidate
            .take_if(|one| one.note.text() == head.note.text() && one.note.text() != newest.text());
    }
}

fn is_cosigned_by(note: &Note, key: &Verifier) -> bool {
    matches!(note.verify(key), Ok(Some(_)))
}

fn is_cosigned(note: &Note, witnesses: &[Witness]) -> bool {
    witnesses.iter().all(|witness| is_cosigned_by(note, &witness.key))
}

/// The witnessed checkpoint, if it is one of this log.
fn read(bytes: &[u8], log: &Contents) -> Result<Head, String> {
    let note = Note::parse(bytes).map_err(|why| why.to_string())?;
    let checkpoint = Checkpoint::parse(note.text()).map_err(|why| why.to_string())?;
    let (size, _) = log.head();
    let is_of_this_log = checkpoint.size <= size
        && root_at(log, checkpoint.size).map_err(|error| error.to_string())? == checkpoint.root;
    match is_of_this_log {
        true => Ok(Head { size: checkpoint.size, note }),
        false => Err(format!(
            "the log does not extend the {} events that were witnessed",
            checkpoint.size
        )),
    }
}

/// The parts of a server that its witnesses' threads use.
pub struct Parts {
    pub log: Arc<Log>,
    pub evidence: Arc<Evidence>,
    pub witnesses: Arc<Witnesses>,
    pub audit: Arc<OwnAudit>,
}

/// The parts, without holding the server open.
struct WeakParts {
    log: Weak<Log>,
    evidence: Weak<Evidence>,
    witnesses: Weak<Witnesses>,
    audit: Weak<OwnAudit>,
}

impl WeakParts {
    fn of(parts: &Parts) -> WeakParts {
        WeakParts {
            log: Arc::downgrade(&parts.log),
            evidence: Arc::downgrade(&parts.evidence),
            witnesses: Arc::downgrade(&parts.witnesses),
            audit: Arc::downgrade(&parts.audit),
        }
    }

    /// The parts; `None` when the server is gone.
    fn upgrade(&self) -> Option<Parts> {
        Some(Parts {
            log: self.log.upgrade()?,
            evidence: self.evidence.upgrade()?,
            witnesses: self.witnesses.upgrade()?,
            audit: self.audit.upgrade()?,
        })
    }
}

/// The threads of the witnesses.
pub struct Cosigning {
    threads: Vec<(Sender<()>, JoinHandle<()>)>,
}

impl Cosigning {
    /// Calls `report_fatal` if a cosignature cannot be made durable; that thread ends then.
    pub fn start(
        parts: &Parts,
        limits: &Limits,
        report_fatal: impl Fn(&store::Error) + Clone + Send + 'static,
    ) -> Cosigning {
        let configured = &parts.witnesses.configured;
        let threads = configured.iter().cloned().enumerate().map(|(position, witness)| {
            let (stop, stopped) = channel();
            let (limits, parts) = (*limits, WeakParts::of(parts));
            let report_fatal = report_fatal.clone();
            let work = move || {
                let asker = Asker {
                    position,
                    client: Client::new(Duration::from_secs(limits.witness_timeout_s)),
                    late_after: Duration::from_secs(limits.witness_late_after_s),
                    witness,
                    old_size: 0,
                    cosigned: None,
                    behind_since: None,
                    failures: 0,
                    why: String::new(),
                    standing: Standing::Good,
                };
                if let Err(error) = asker.run(&parts, &stopped) {
                    report_fatal(&error);
                }
            };
            let thread = std::thread::Builder::new().name("witness".to_owned()).spawn(work);
            (stop, thread.expect("the machine has room for a thread"))
        });
        Cosigning { threads: threads.collect() }
    }

    /// Ends the threads. One whose witness does not respond in time ends with the process; it holds
    /// nothing of the log.
    pub fn stop(self) {
        let deadline = Instant::now() + STOP_WITHIN;
        for (stop, _) in &self.threads {
            // The thread ends by itself only after a failure.
            let _ = stop.send(());
        }
        for (_, thread) in self.threads {
            while !thread.is_finished() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(5));
            }
            if thread.is_finished() && thread.join().is_err() {
                tracing::error!("the thread of a witness panicked");
            }
        }
    }
}

/// The state of a witness that was reported last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Good,
    /// It has not cosigned in time.
    Late,
    /// It holds a tree that the log does not extend.
    Refused,
}

/// The outcome of a request to a witness.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Cosigned(Signature),
    /// The next request starts from this size.
    Knows(u64),
    /// It holds a tree that the log does not extend: the log forked, or was rolled back.
    Refused(String),
    /// It did not cosign, for another reason.
    Failed(String),
}

/// The thread of one witness.
struct Asker {
    /// Position among the configured ones.
    position: usize,
    witness: Witness,
    client: Client,
    late_after: Duration,
    /// The size of the tree that the witness is known to have cosigned last.
    old_size: u64,
    /// The text of the newest checkpoint that it cosigned for this process.
    cosigned: Option<String>,
    /// The time since when a checkpoint lacks its cosignature.
    behind_since: Option<Instant>,
    /// Failures in a row, and the reason of the last.
    failures: u32,
    why: String,
    standing: Standing,
}

impl Asker {
    /// Works until it is stopped, and holds nothing of the log while it waits. An error if a
    /// cosignature could not be made durable.
    fn run(mut self, parts: &WeakParts, stopped: &Receiver<()>) -> Result<(), store::Error> {
        let mut ask_at = Instant::now();
        while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(LOOK_EVERY) {
            let Some(head) = self.look(parts) else { return Ok(()) };
            let mut verdict = None;
            if let Some(head) = head.filter(|_| ask_at <= Instant::now()) {
                let Some(answered) = self.ask(parts, &head) else { return Ok(()) };
                let Some(parts) = parts.upgrade() else { return Ok(()) };
                self.settle(&head, &answered, &parts)?;
                ask_at = Instant::now() + pause_after(self.failures);
                verdict = Some(answered);
            }
            let Some(parts) = parts.upgrade() else { return Ok(()) };
            self.stand(verdict.as_ref(), &parts.audit);
            self.show(&parts.witnesses);
        }
        Ok(())
    }

    /// The checkpoint to send now, if any; `None` once the server is gone.
    fn look(&mut self, parts: &WeakParts) -> Option<Option<Head>> {
        let parts = parts.upgrade()?;
        if self.cosigned.as_deref() != Some(parts.evidence.newest().text()) {
            self.behind_since.get_or_insert_with(Instant::now);
        }
        Some(parts.witnesses.question(&self.witness.key, self.cosigned.as_deref(), &parts.evidence))
    }

    /// One attempt; `None` once the server is gone.
    fn ask(&mut self, parts: &WeakParts, head: &Head) -> Option<Verdict> {
        let url = format!("{}/add-checkpoint", self.witness.url);
        for _ in 0..REQUESTS_OF_A_TRY {
            let path = prove_consistency(parts.upgrade()?.log.contents(), self.old_size, head.size);
            let path = match path {
                Ok(path) => path,
                Err(NoProof::OutOfRange) => {
                    return Some(Verdict::Failed(
                        "it cosigned a newer checkpoint already".to_owned(),
                    ));
                }
                Err(NoProof::Nodes(error)) => {
                    return Some(Verdict::Failed(format!("couldn't prove to it: {error}")));
                }
            };
            let request =
                AddCheckpoint { old_size: self.old_size, path, checkpoint: head.note.clone() };
            let answer = match self.client.post(&url, None, request.to_string().as_bytes()) {
                Ok(answer) => answer,
                Err(why) => return Some(Verdict::Failed(why)),
            };
            let signed = parts.upgrade()?.evidence.newest().size;
            match judge(&answer, &request, head.size, signed, &self.witness.key) {
                Verdict::Knows(size) => self.old_size = size,
                verdict => return Some(verdict),
            }
        }
        Some(Verdict::Failed("it cosigned another checkpoint meanwhile".to_owned()))
    }

    /// Uses the response of the witness.
    fn settle(
        &mut self,
        head: &Head,
        verdict: &Verdict,
        parts: &Parts,
    ) -> Result<(), store::Error> {
        match verdict {
            Verdict::Cosigned(cosignature) => {
                let cosigned = parts.evidence.cosign(head.note.text(), cosignature.clone());
                let taken = cosigned.and_then(|()| parts.witnesses.take(head, cosignature.clone()));
                if let Err(error) = &taken
                    && error.is_storage_full()
                {
                    // The witness gives its cosignature again.
                    self.failures = self.failures.saturating_add(1);
                    self.why = error.to_string();
                    return Ok(());
                }
                taken?;
                (self.old_size, self.cosigned) = (head.size, Some(head.note.text().to_owned()));
                (self.behind_since, self.failures) = (None, 0);
            }
            Verdict::Refused(why) | Verdict::Failed(why) => {
                tracing::debug!(witness = self.witness.key.name(), why, "a witness did not cosign");
                parts.witnesses.give_up(head, &parts.evidence);
                self.failures = self.failures.saturating_add(1);
                self.why.clone_from(why);
            }
            // The next attempt starts from the size that is known now.
            Verdict::Knows(size) => self.old_size = *size,
        }
        Ok(())
    }

    /// Publishes the state for metrics.
    fn show(&self, witnesses: &Witnesses) {
        let is_bad = self.standing != Standing::Good;
        let stand = Stand { cosigned: self.old_size, behind_since: self.behind_since, is_bad };
        *witnesses.stands[self.position].lock().expect("no panic while held") = stand;
    }

    /// Records and reports a change of the state. If it cannot be recorded, the next interval tries
    /// again.
    fn stand(&mut self, verdict: Option<&Verdict>, audit: &OwnAudit) {
        // A witness that is about to get a request and cosigned every earlier one is not late.
        let is_late = self.failures > 0
            && self.behind_since.is_some_and(|since| since.elapsed() >= self.late_after);
        let standing = standing_after(self.standing, verdict, is_late);
        if standing == self.standing {
            return;
        }
        let (witness, why) = (self.witness.key.name(), &self.why);
        if let Err(why) = audit.record_now(act_of(standing, &self.witness, why)) {
            tracing::warn!(why, "couldn't record the state of a witness yet");
            return;
        }
        self.standing = standing;
        match standing {
            Standing::Good => tracing::info!(witness, "a witness cosigns again"),
            Standing::Late => tracing::warn!(witness, why, "a witness is late"),
            Standing::Refused => {
                tracing::error!(
                    witness,
                    why,
                    "a witness refuses: this log forked or was rolled back"
                )
            }
        }
    }
}

fn pause_after(failures: u32) -> Duration {
    ASK_EVERY.saturating_mul(2_u32.saturating_pow(failures)).min(BACK_OFF_MAX)
}

/// Reads a witness's response to a request about a checkpoint of this size, while the log has
/// signed for `signed` events.
fn judge(
    answer: &Response,
    request: &AddCheckpoint,
    size: u64,
    signed: u64,
    key: &Verifier,
) -> Verdict {
    let is_same_size = request.old_size == size;
    match answer.status {
        200 => match cosignature(request, &answer.body, key) {
            Ok(cosignature) => Verdict::Cosigned(cosignature),
            Err(why) => {
                Verdict::Failed(format!("it answered with no cosignature of its key: {why}"))
            }
        },
        409 => match size_of(&answer.body) {
            Some(known) if known > signed => Verdict::Refused(format!(
                "it cosigned a tree of {known} events, and the log signed for {signed}"
            )),
            Some(known) if known != request.old_size => Verdict::Knows(known),
            // The same size is refused only for its root; then the response needs no size.
            _ if is_same_size => {
                Verdict::Refused(format!("it cosigned another tree of {size} events"))
            }
            _ => Verdict::Failed("the conflict names no size".to_owned()),
        },
        422 => Verdict::Refused(format!(
            "the tree of {size} events does not extend the tree of {} that it cosigned",
            request.old_size
        )),
        status => {
            let text: String =
                String::from_utf8_lossy(&answer.body).chars().take(LOGGED_CHARACTERS).collect();
            Verdict::Failed(format!("it answered {status}: {}", printable(text.trim_end())))
        }
    }
}

/// The verified cosignature of the key in a response. Lines of other keys are ignored.
fn cosignature(
    request: &AddCheckpoint,
    body: &[u8],
    key: &Verifier,
) -> Result<Signature, Malformed> {
    if body.len() > NOTE_BYTES_MAX {
        return Err(Malformed("the answer is too long"));
    }
    let mut bytes = format!("{}\n", request.checkpoint.text()).into_bytes();
    bytes.extend_from_slice(body);
    let note = Note::parse(&bytes)?;
    // A note's text may have empty lines; nothing after ours belongs to it.
    if note.text() != request.checkpoint.text() {
        return Err(Malformed("the answer has more than signature lines"));
    }
    let named = note.signatures().iter().find(|signature| key.is_named_by(signature));
    match (note.verify(key)?, named) {
        (Some(_), Some(signature)) => Ok(signature.clone()),
        _ => Err(Malformed("no line names the key")),
    }
}

/// The size in a conflict's body.
fn size_of(body: &[u8]) -> Option<u64> {
    std::str::from_utf8(body).ok()?.strip_suffix('\n')?.parse().ok()
}

fn standing_after(before: Standing, verdict: Option<&Verdict>, is_late: bool) -> Standing {
    match verdict {
        Some(Verdict::Cosigned(_)) => Standing::Good,
        Some(Verdict::Refused(_)) => Standing::Refused,
        _ if before == Standing::Good && is_late => Standing::Late,
        _ => before,
    }
}

/// The act that records a new state of a witness.
fn act_of(standing: Standing, witness: &Witness, why: &str) -> Act {
    let name = witness.key.name();
    let act = |action: &str| {
        Act::new(action, Operation::Other, "Checkpoints")
            .on("witness", name)
            .with("url", &witness.url)
    };
    let failed = |action: &str, severity: Severity, description: String| {
        let outcome = Outcome { kind: OutcomeKind::Failure, ..Outcome::default() };
        Act { outcome, severity, description: Some(description), ..act(action).with("reason", why) }
    };
    match standing {
        Standing::Good => {
            Act { description: Some(format!("witness {name} cosigns again")), ..act("witnessBack") }
        }
        Standing::Late => {
            failed("witnessLate", Severity::MAJOR, format!("witness {name} is late: {why}"))
        }
        Standing::Refused => failed(
            "witnessRefused",
            Severity::CRITICAL,
            format!("witness {name} refuses, the log forked or was rolled back: {why}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use tlog::{Kind, Signer};

    use super::*;

    /// A checkpoint of 9 events that a log signed, to be cosigned after a tree of `old_size`.
    fn request(old_size: u64) -> AddCheckpoint {
        let log = Signer::new("log", Kind::Note, &[1; 32]).expect("a name");
        let text = Checkpoint { origin: "log".to_owned(), size: 9, root: [7; 32] }.text();
        let mut checkpoint = Note::new(text).expect("a text");
        checkpoint.add(log.sign(checkpoint.text(), 0));
        AddCheckpoint { old_size, path: Vec::new(), checkpoint }
    }

    fn judged(status: u16, body: &str, old_size: u64) -> Verdict {
        let witness = Signer::new("w", Kind::Cosignature, &[2; 32]).expect("a name");
        let answer =
            Response { status, body: body.as_bytes().to_vec(), headers: Default::default() };
        judge(&answer, &request(old_size), 9, 20, witness.verifier())
    }

    #[test]
    fn a_cosignature_is_taken_from_its_own_key_alone() {
        let witness = Signer::new("w", Kind::Cosignature, &[2; 32]).expect("a name");
        let other = Signer::new("w", Kind::Cosignature, &[3; 32]).expect("a name");
        let request = request(4);
        let text = request.checkpoint.text();
        let good = witness.sign(text, 5);
        let lines = format!("{}{good}", other.sign(text, 5));
        assert_eq!(judged(200, &lines, 4), Verdict::Cosigned(good));
        let of_another_text = witness.sign("log\n9\nother\n", 5).to_string();
        // Text in front of the line, which the witness signed with ours.
        let longer = format!("{text}\nx\n");
        let with_more = format!("x\n\n{}", witness.sign(&longer, 5));
        for body in
            [&with_more, &other.sign(text, 5).to_string(), &of_another_text, "", "no line\n"]
        {
            assert!(matches!(judged(200, body, 4), Verdict::Failed(_)), "{body}");
        }
    }

    #[test]
    fn a_conflict_is_a_size_to_go_on_from_or_a_refusal() {
        assert_eq!(judged(409, "7\n", 4), Verdict::Knows(7));
        assert_eq!(judged(409, "20\n", 9), Verdict::Knows(20));
        for (body, old_size) in [("21\n", 4), ("21\n", 9), ("9\n", 9), ("", 9)] {
            assert!(
                matches!(judged(409, body, old_size), Verdict::Refused(_)),
                "{body:?} after {old_size}"
            );
        }
        assert!(matches!(judged(422, "", 4), Verdict::Refused(_)));
        for (status, body) in
            [(409, "4\n"), (409, "x"), (409, ""), (404, ""), (403, ""), (500, "\u{1b}[2J")]
        {
            assert!(matches!(judged(status, body, 4), Verdict::Failed(_)), "{status} {body:?}");
        }
    }

    #[test]
    fn a_change_of_a_witness_is_reported() {
        use Standing::{Good, Late, Refused};
        let cosigned = judged(
            200,
            &Signer::new("w", Kind::Cosignature, &[2; 32])
                .expect("a name")
                .sign(request(4).checkpoint.text(), 5)
                .to_string(),
            4,
        );
        let (failed, refused) = (judged(500, "", 4), judged(422, "", 4));
        for (before, verdict, is_late, after) in [
            (Good, Some(&failed), false, Good),
            (Good, Some(&failed), true, Late),
            (Good, None, true, Late),
            (Late, Some(&failed), true, Late),
            (Late, Some(&refused), true, Refused),
            (Good, Some(&refused), false, Refused),
            (Refused, Some(&failed), true, Refused),
            (Refused, Some(&cosigned), false, Good),
            (Late, Some(&cosigned), false, Good),
            (Late, None, false, Late),
        ] {
            assert_eq!(
                standing_after(before, verdict, is_late),
                after,
                "{before:?} {verdict:?} {is_late}"
            );
        }
    }

    #[test]
    fn pauses_double_up_to_a_limit() {
        let pauses = [0, 1, 2, 3, 4, 40, u32::MAX].map(|failures| pause_after(failures).as_secs());
        assert_eq!(pauses, [2, 4, 8, 16, 30, 30, 30]);
    }
}
