//! Rows of answers and exports, looked up in the log's tree.

use sha2::{Digest, Sha256};
use tlog::{Checkpoint, Hash, NoProof, Nodes, leaf_hash};

use crate::error::{VerifyError, refuted};

/// Looks up rows in a log's tree, one after another.
pub(crate) struct TreeRows<'a, N, D> {
    log: &'a N,
    digest_at: D,
    tree: &'a Checkpoint,
    digests: Sha256,
}

impl<'a, N: Nodes, D: Fn(u64) -> Result<Hash, VerifyError>> TreeRows<'a, N, D>
where
    VerifyError: From<N::Error>,
{
    pub(crate) fn new(log: &'a N, digest_at: D, tree: &'a Checkpoint) -> Self {
        TreeRows { log, digest_at, tree, digests: Sha256::new() }
    }

    /// Looks up the event with this index.
    pub(crate) fn add(&mut self, index: u64) -> Result<(), VerifyError> {
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

    /// SHA-256 over the digests of all rows so far, in their order.
    pub(crate) fn digests(self) -> Hash {
        self.digests.finalize().into()
    }
}
