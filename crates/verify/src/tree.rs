//! Checkpoints against the tree of a log.

use tlog::{Checkpoint, NoProof, Nodes, Tree, subtree_hash};

use crate::error::{VerifyError, refuted};

/// Checks that the larger of two checkpoints extends the smaller. `log` has the hashes of the tree.
pub fn consistency<N: Nodes>(
    log: &N,
    one: &Checkpoint,
    other: &Checkpoint,
) -> Result<(), VerifyError>
where
    VerifyError: From<N::Error>,
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
            "the checkpoint of {} events does not extend that of {}: the log was rewritten",
            new.size, old.size
        ))
    }
}

/// Checks that the first events of a log of `size` events hash to the root of a checkpoint.
pub fn covered<N: Nodes>(log: &N, size: u64, checkpoint: &Checkpoint) -> Result<(), VerifyError>
where
    VerifyError: From<N::Error>,
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
            "the log's first {} events differ from those that were signed",
            checkpoint.size
        ))
    }
}
