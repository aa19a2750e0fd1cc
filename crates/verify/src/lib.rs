//! Checking a log without its server and without trusting it, with the keys that the caller pinned
//! and nothing else.

pub mod dead_letters;
pub mod export;
pub mod manifest;
pub mod receipt;
mod source;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use event::entry;
use sha2::{Digest, Sha256};
use store::durable::{Disk, Local};
use store::{CHECKPOINT, Contents, FileObjects, Objects, Progress, Report, WITNESSED};
use tlog::{
    Checkpoint, Hash, Kind, NoProof, Nodes, Note, ProofFile, Tree, Verifier, leaf_hash,
    subtree_hash,
};

use crate::receipt::Receipt;
use event::terminal::printable;

pub use source::{Server, Source, is_url};

/// Why something was not found to be as it should.
#[derive(Debug)]
pub enum NotVerified {
    /// It is not what was signed for, or nobody signed it: something was changed, removed, rolled
    /// back or forked.
    Refuted(String),
    /// A directory's bytes do not agree with each other.
    Damaged(store::Error),
    /// It could not be looked at, which tells nothing.
    Unknown(String),
}

impl From<store::Error> for NotVerified {
    fn from(error: store::Error) -> NotVerified {
        match error {
            store::Error::Damage { .. } => NotVerified::Damaged(error),
            other => NotVerified::Unknown(other.to_string()),
        }
    }
}

fn refuted<T>(what: impl fmt::Display) -> Result<T, NotVerified> {
    Err(NotVerified::Refuted(what.to_string()))
}

/// Whose signatures count.
pub struct Keys {
    /// Of the log; one of them must have signed.
    pub log: Vec<Verifier>,
    /// Of witnesses; each must have cosigned.
    pub witnesses: Vec<Verifier>,
}

impl Keys {
    /// Reads verifier keys. Errs with what is wrong with which.
    pub fn parse(log: &[String], witnesses: &[String]) -> Result<Keys, String> {
        let parsed = |texts: &[String], kind: Kind| {
            let parse = |text: &String| match Verifier::parse(text.trim()) {
                Ok(key) if key.kind() == kind => Ok(key),
                Ok(_) if kind == Kind::Note => {
                    Err(format!("{text:?} is the key of a witness, not of a log"))
                }
                Ok(_) => Err(format!("{text:?} is the key of a log, not of a witness")),
                Err(why) => Err(format!("{text:?}: {why}")),
            };
            texts.iter().map(parse).collect::<Result<Vec<_>, _>>()
        };
        Ok(Keys { log: parsed(log, Kind::Note)?, witnesses: parsed(witnesses, Kind::Cosignature)? })
    }

    /// The log's alone.
    pub fn of_log(&self) -> Keys {
        Keys { log: self.log.clone(), witnesses: Vec::new() }
    }

    /// The checkpoint of a note, if the log and every witness signed it.
    pub fn open(&self, bytes: &[u8]) -> Result<Checkpoint, NotVerified> {
        self.open_note(&parse_note(bytes)?)
    }

    fn open_note(&self, note: &Note) -> Result<Checkpoint, NotVerified> {
        let checkpoint = self.first_of_log(|key| Checkpoint::open(note, key))?;
        for witness in &self.witnesses {
            match note.verify(witness) {
                Ok(Some(_)) => {}
                Ok(None) => {
                    return refuted(format!("{} has not cosigned the checkpoint", witness.name()));
                }
                Err(why) => return refuted(format!("{}: {why}", witness.name())),
            }
        }
        Ok(checkpoint)
    }

    /// What some key of the log gives; why the last of them does not, otherwise.
    fn first_of_log<T, E: fmt::Display>(
        &self,
        open: impl Fn(&Verifier) -> Result<T, E>,
    ) -> Result<T, NotVerified> {
        let mut why = "no key of a log was given".to_owned();
        for key in &self.log {
            match open(key) {
                Ok(found) => return Ok(found),
                Err(error) => why = error.to_string(),
            }
        }
        refuted(why)
    }
}

/// What was found of a proof.
pub struct Proved {
    /// The event's index.
    pub index: u64,
    pub checkpoint: Checkpoint,
    /// The entry that it was proved of.
    pub entry: Vec<u8>,
}

/// Checks a proof file. The entry is `entry`, or else the one that goes along with the proof; `raw`
/// are the bytes as received, which the entry names by their hash.
pub fn proof(
    keys: &Keys,
    file: &[u8],
    entry: Option<Vec<u8>>,
    raw: Option<&[u8]>,
) -> Result<Proved, NotVerified> {
    let proof = ProofFile::parse(file).map_err(|why| NotVerified::Refuted(why.to_string()))?;
    let Some(entry) = entry.or_else(|| proof.extra.clone()) else {
        return Err(NotVerified::Unknown(
            "the proof comes without the entry; give it with --entry".to_owned(),
        ));
    };
    let digest = entry::digest(&entry);
    keys.open_note(&proof.checkpoint)?;
    let checkpoint = keys.first_of_log(|key| proof.verify(&digest, key))?;
    if let Some(raw) = raw {
        let decoded =
            entry::decode(&entry).map_err(|error| NotVerified::Refuted(error.to_string()))?;
        if Sha256::digest(raw)[..] != decoded.raw_sha256 {
            return refuted("the raw bytes are not those that the entry names");
        }
    }
    Ok(Proved { index: proof.index, checkpoint, entry })
}

/// Checks a receipt's signature, and, if there is one, the body of the answer that it came with.
pub fn receipt(keys: &Keys, value: &[u8], answer: Option<&[u8]>) -> Result<Receipt, NotVerified> {
    let (note, receipt) =
        Receipt::open(value).map_err(|why| NotVerified::Refuted(why.to_string()))?;
    let signed_by = keys.first_of_log(|key| match note.verify(key) {
        Ok(Some(_)) => Ok(key.name().to_owned()),
        Ok(None) => Err("the receipt is not signed by the log's key".to_owned()),
        Err(why) => Err(why.to_string()),
    })?;
    if signed_by != receipt.tree.origin {
        return refuted("the receipt is of another log than the key");
    }
    if answer.is_some_and(|body| Sha256::digest(body)[..] != receipt.body) {
        return refuted("the answer is not the one that the receipt was given for");
    }
    Ok(receipt)
}

/// Checks that the rows of a receipt are events of a log, by its hashes and by `digest_at`, which
/// tells an event's digest.
pub fn receipt_rows<N: Nodes>(
    log: &N,
    digest_at: impl Fn(u64) -> Result<Hash, NotVerified>,
    receipt: &Receipt,
) -> Result<(), NotVerified>
where
    NotVerified: From<N::Error>,
{
    let mut found = InTree::new(log, digest_at, &receipt.tree);
    receipt.indexes.iter().try_for_each(|index| found.add(*index))?;
    if found.digests() == receipt.digests {
        Ok(())
    } else {
        refuted("the rows of the answer are other events than the log has at their indexes")
    }
}

/// Rows that are found in a log's tree, one after another.
struct InTree<'a, N, D> {
    log: &'a N,
    digest_at: D,
    tree: &'a Checkpoint,
    digests: Sha256,
}

impl<'a, N: Nodes, D: Fn(u64) -> Result<Hash, NotVerified>> InTree<'a, N, D>
where
    NotVerified: From<N::Error>,
{
    fn new(log: &'a N, digest_at: D, tree: &'a Checkpoint) -> Self {
        InTree { log, digest_at, tree, digests: Sha256::new() }
    }

    /// Finds the event with this index.
    fn add(&mut self, index: u64) -> Result<(), NotVerified> {
        let Checkpoint { size, root, .. } = *self.tree;
        let digest = (self.digest_at)(index)?;
        let path = match tlog::prove_inclusion(self.log, index, size) {
            Ok(path) => path,
            Err(NoProof::Nodes(error)) => return Err(error.into()),
            Err(NoProof::OutOfRange) => {
                return refuted("a row is not in the tree that was signed for");
            }
        };
        if !tlog::verify_inclusion(&path, &leaf_hash(&digest), index, size, &root) {
            return refuted(format!("event {index} is not in the tree that was signed for"));
        }
        self.digests.update(digest);
        Ok(())
    }

    /// SHA-256 over the digests of those that were found, in their order.
    fn digests(self) -> Hash {
        self.digests.finalize().into()
    }
}

/// Checks that the larger of two checkpoints goes on from the smaller, by the hashes of a log.
pub fn consistency<N: Nodes>(
    log: &N,
    one: &Checkpoint,
    other: &Checkpoint,
) -> Result<(), NotVerified>
where
    NotVerified: From<N::Error>,
{
    let (old, new) = if one.size <= other.size { (one, other) } else { (other, one) };
    if old.origin != new.origin {
        return refuted(format!(
            "the checkpoints are of two logs, {} and {}",
            old.origin, new.origin
        ));
    }
    if old.size == new.size && old.root != new.root {
        return refuted(format!(
            "two roots were signed for {} events: the log was forked",
            old.size
        ));
    }
    let path = match tlog::prove_consistency(log, old.size, new.size) {
        Ok(path) => path,
        Err(NoProof::Nodes(error)) => return Err(error.into()),
        Err(NoProof::OutOfRange) => unreachable!("the sizes are in order"),
    };
    if tlog::verify_consistency(&path, old.size, &old.root, new.size, &new.root) {
        Ok(())
    } else {
        refuted(format!(
            "the checkpoint of {} events does not go on from that of {}: the log was rewritten",
            new.size, old.size
        ))
    }
}

/// Checks that a log's hashes make the root of a checkpoint.
pub fn covered<N: Nodes>(log: &N, size: u64, checkpoint: &Checkpoint) -> Result<(), NotVerified>
where
    NotVerified: From<N::Error>,
{
    if checkpoint.size > size {
        return refuted(format!(
            "{} events were signed for, and the log has {size}: events were removed, or it is an old copy",
            checkpoint.size
        ));
    }
    let root = match checkpoint.size {
        0 => Tree::new().root(),
        size => subtree_hash(log, 0, size)?,
    };
    if root == checkpoint.root {
        Ok(())
    } else {
        refuted(format!(
            "the log's first {} events are others than were signed for",
            checkpoint.size
        ))
    }
}

/// What was found of a data directory.
pub struct Whole {
    pub report: Report,
    /// The newest checkpoint, as it is stored.
    pub note: Vec<u8>,
    pub checkpoint: Checkpoint,
    /// How many records set aside it covers.
    pub set_aside: u64,
}

/// Checks a data directory in full: every entry and raw is hashed again, tree, index and columns
/// are derived from them and compared with what is stored, and the tree with the newest checkpoint
/// and with `seen`, checkpoints of the log that the caller kept. So are the records set aside.
pub fn directory(
    keys: &Keys,
    dir: &Path,
    seen: &[(Note, Checkpoint)],
    progress: &mut dyn FnMut(Progress),
) -> Result<Whole, NotVerified> {
    let disk: Arc<dyn Disk> = Arc::new(Local::open(dir));
    let Some(stored) = FileObjects::new(Arc::clone(&disk)).get(CHECKPOINT)? else {
        return refuted(format!("{CHECKPOINT} is not there: nothing of the log is signed"));
    };
    let named = |name: &'static str| {
        move |error| match error {
            NotVerified::Refuted(why) => NotVerified::Refuted(format!("{name}: {why}")),
            other => other,
        }
    };
    let checkpoint = keys.of_log().open(&stored.bytes).map_err(named(CHECKPOINT))?;
    let mut seen = seen.to_vec();
    // The newest has cosignatures only while the log is quiet.
    if !keys.witnesses.is_empty() {
        let Some(witnessed) = FileObjects::new(Arc::clone(&disk)).get(WITNESSED)? else {
            return refuted(format!(
                "{WITNESSED} is not there: no checkpoint is cosigned by all witnesses"
            ));
        };
        let checkpoint = keys.open(&witnessed.bytes).map_err(named(WITNESSED))?;
        seen.push((parse_note(&witnessed.bytes)?, checkpoint));
    }
    let report = store::check(&disk, progress)?;
    if report.identity.origin != checkpoint.origin {
        return refuted(format!(
            "the directory is of the log {}",
            printable(&report.identity.origin)
        ));
    }
    // What was just checked against the entries.
    let log = Contents::read(&disk)?;
    let set_aside = store::dead_letters(&disk)?;
    seen.push((parse_note(&stored.bytes)?, checkpoint.clone()));
    let mut covered_aside = 0;
    for (note, checkpoint) in &seen {
        if checkpoint.origin != report.identity.origin {
            return refuted(format!(
                "a checkpoint is of another log, {}",
                printable(&checkpoint.origin)
            ));
        }
        covered(&log, log.head().0, checkpoint)?;
        let (count, root) =
            dead_letters::of(note.text()).map_err(|why| NotVerified::Refuted(why.to_string()))?;
        covered_aside = count;
        if dead_letters::root_of(&set_aside, count) != Some(root) {
            return refuted(format!(
                "{count} records set aside were signed for, and the log has others, {}",
                set_aside.len()
            ));
        }
    }
    Ok(Whole { report, note: stored.bytes, checkpoint, set_aside: covered_aside })
}

fn parse_note(bytes: &[u8]) -> Result<Note, NotVerified> {
    Note::parse(bytes).map_err(|why| NotVerified::Refuted(why.to_string()))
}
