//! Receipts of answers.

use sha2::{Digest, Sha256};
use tlog::{Hash, Nodes};

use crate::error::{VerifyError, malformed, refuted};
use crate::keys::Keys;
use crate::receipt::Receipt;
use crate::rows::TreeRows;

/// Checks a receipt's signature, and the body of its answer where there is one.
pub fn receipt(keys: &Keys, value: &[u8], answer: Option<&[u8]>) -> Result<Receipt, VerifyError> {
    let (note, receipt) = Receipt::open(value).map_err(malformed)?;
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

/// Checks that the rows of a receipt are events of a log. `log` has the hashes of its tree,
/// `digest_at` the digests of its events.
pub fn receipt_rows<N: Nodes>(
    log: &N,
    digest_at: impl Fn(u64) -> Result<Hash, VerifyError>,
    receipt: &Receipt,
) -> Result<(), VerifyError>
where
    VerifyError: From<N::Error>,
{
    let mut rows = TreeRows::new(log, digest_at, &receipt.tree);
    receipt.indexes.iter().try_for_each(|index| rows.add(*index))?;
    if rows.digests() == receipt.digests {
        Ok(())
    } else {
        refuted("the rows of the answer are other events than the log has at their indexes")
    }
}
