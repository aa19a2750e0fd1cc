//! Whole data directories.

use std::path::Path;
use std::sync::Arc;

use event::terminal::printable;
use store::durable::{Disk, Local};
use store::{CHECKPOINT, Contents, FileObjects, Objects, Progress, Report, WITNESSED};
use tlog::{Checkpoint, Note};

use crate::dead_letters as line;
use crate::error::{VerifyError, malformed, refuted};
use crate::keys::{Keys, parse_note};
use crate::tree::covered;

/// A data directory that verifies.
pub struct VerifiedDirectory {
    /// The counts of the check.
    pub report: Report,
    /// The newest checkpoint, as it is stored.
    pub note: Vec<u8>,
    /// The same, parsed.
    pub checkpoint: Checkpoint,
    /// The number of dead letters that it covers.
    pub dead_letters: u64,
}

/// Checks a data directory in full. Every entry and its original bytes are hashed again; tree,
/// index and columns are derived from them and compared with the stored ones. The tree must match
/// the newest checkpoint and `seen`, checkpoints that the caller holds; so must the dead letters.
pub fn directory(
    keys: &Keys,
    dir: &Path,
    seen: &[(Note, Checkpoint)],
    progress: &mut dyn FnMut(Progress),
) -> Result<VerifiedDirectory, VerifyError> {
    let disk: Arc<dyn Disk> = Arc::new(Local::open(dir));
    let Some(stored) = FileObjects::new(Arc::clone(&disk)).get(CHECKPOINT)? else {
        return refuted(format!("{CHECKPOINT} is not there: nothing of the log is signed"));
    };
    let in_file = |name: &'static str| {
        move |error| match error {
            VerifyError::Refuted(why) => VerifyError::Refuted(format!("{name}: {why}")),
            other => other,
        }
    };
    let checkpoint = keys.of_log().open(&stored.bytes).map_err(in_file(CHECKPOINT))?;
    let mut seen = seen.to_vec();
    // The newest has cosignatures only while the log is quiet.
    if !keys.witnesses.is_empty() {
        let Some(witnessed) = FileObjects::new(Arc::clone(&disk)).get(WITNESSED)? else {
            return refuted(format!(
                "{WITNESSED} is not there: no checkpoint is cosigned by all witnesses"
            ));
        };
        let checkpoint = keys.open(&witnessed.bytes).map_err(in_file(WITNESSED))?;
        seen.push((parse_note(&witnessed.bytes)?, checkpoint));
    }
    let report = store::check(&disk, progress)?;
    if report.identity.origin != checkpoint.origin {
        return refuted(format!(
            "the directory is of the log {}",
            printable(&report.identity.origin)
        ));
    }
    // The check above compared these hashes with the entries.
    let log = Contents::read(&disk)?;
    let dead_letters = store::dead_letters(&disk)?;
    seen.push((parse_note(&stored.bytes)?, checkpoint.clone()));
    let mut covered_letters = 0;
    for (note, checkpoint) in &seen {
        if checkpoint.origin != report.identity.origin {
            return refuted(format!(
                "a checkpoint is of another log, {}",
                printable(&checkpoint.origin)
            ));
        }
        covered(&log, log.head().0, checkpoint)?;
        let (count, root) = line::parse(note.text()).map_err(malformed)?;
        covered_letters = count;
        if line::root_of(&dead_letters, count) != Some(root) {
            return refuted(format!(
                "{count} dead letters were signed, and the log has {} others",
                dead_letters.len()
            ));
        }
    }
    Ok(VerifiedDirectory { report, note: stored.bytes, checkpoint, dead_letters: covered_letters })
}
