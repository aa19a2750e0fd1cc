//! Exports: a file against its signed manifest, and its rows against a log.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use event::Time;
use event::query::{Order, Query};
use event::search::Search;
use sha2::{Digest, Sha256};
use store::Contents;
use tlog::{Hash, Nodes};

use find::export::{Export, ExportError, Format, Pieces, read};

use crate::error::{VerifyError, refuted};
use crate::keys::Keys;
use crate::manifest::{Facts, Manifest};
use crate::rows::TreeRows;

/// Reads a manifest whose signature is valid and whose members agree with the signed text.
pub fn manifest(keys: &Keys, json: &[u8]) -> Result<(Manifest, Facts), VerifyError> {
    let manifest: Manifest = serde_json::from_slice(json)
        .map_err(|error| VerifyError::Refuted(format!("the manifest cannot be read: {error}")))?;
    let (note, facts) =
        Facts::open(&manifest.receipt).map_err(|why| VerifyError::Refuted(why.to_string()))?;
    let signed_by = keys.first_of_log(|key| match note.verify(key) {
        Ok(Some(_)) => Ok(key.name().to_owned()),
        Ok(None) => Err("the manifest is not signed by the log's key".to_owned()),
        Err(why) => Err(why.to_string()),
    })?;
    if signed_by != facts.tree.origin {
        return refuted("the manifest is of another log than the key");
    }
    if !manifest.agrees(&facts) {
        return refuted("the manifest says something else than what was signed");
    }
    Ok((manifest, facts))
}

/// Checks the length and the hash of a file.
pub fn file(facts: &Facts, path: &Path) -> Result<(), VerifyError> {
    let unread =
        |error: std::io::Error| VerifyError::Unknown(format!("{}: {error}", path.display()));
    let mut file = File::open(path).map_err(unread)?;
    let (mut hash, mut bytes, mut piece) = (Sha256::new(), 0, vec![0; 256 << 10]);
    loop {
        match file.read(&mut piece).map_err(unread)? {
            0 => break,
            len => {
                hash.update(&piece[..len]);
                bytes += len as u64;
            }
        }
    }
    let sha256: Hash = hash.finalize().into();
    if (bytes, sha256) == (facts.totals.bytes, facts.totals.sha256) {
        Ok(())
    } else if bytes < facts.totals.bytes {
        refuted(format!(
            "the file has {bytes} of the {} bytes that were signed for",
            facts.totals.bytes
        ))
    } else {
        refuted("the file is not the one of the manifest")
    }
}

/// Hands the index of each row of a file to `each`. The count must be the signed one.
pub fn rows(
    facts: &Facts,
    path: &Path,
    mut each: impl FnMut(u64) -> Result<(), VerifyError>,
) -> Result<(), VerifyError> {
    let mut rows = 0;
    read::each_index(path, format_of(facts)?, |index| {
        rows += 1;
        each(index)
    })?;
    if rows == facts.totals.rows {
        Ok(())
    } else {
        refuted(format!("the file has {rows} rows, and {} were signed for", facts.totals.rows))
    }
}

/// Checks that the rows of a file are events of a log. `log` has the hashes of its tree,
/// `digest_at` the digests of its events.
pub fn rows_are_of<N: Nodes>(
    log: &N,
    digest_at: impl Fn(u64) -> Result<Hash, VerifyError>,
    facts: &Facts,
    path: &Path,
) -> Result<(), VerifyError>
where
    VerifyError: From<N::Error>,
{
    let mut found = TreeRows::new(log, digest_at, &facts.tree);
    rows(facts, path, |index| found.add(index))?;
    if found.digests() == facts.totals.digests {
        Ok(())
    } else {
        refuted("the rows of the file differ from those that were signed")
    }
}

/// Makes the file again from a log and compares the two.
pub fn made_again(log: &Contents, manifest: &Manifest, facts: &Facts) -> Result<(), VerifyError> {
    let nonsense =
        |what: &str| VerifyError::Refuted(format!("the manifest's {what} makes no sense"));
    // Its times are absolute, so the clock does not matter.
    let search = Search::parse(&facts.question).and_then(|search| search.meaning(Time::default()));
    let meaning = search.map_err(|_| nonsense("question"))?;
    let trails = manifest.trails.iter().map(|trail| trail.parse()).collect::<Result<Vec<_>, _>>();
    let export = Export {
        question: facts.question.clone(),
        query: Query {
            trails: trails.map_err(|_| nonsense("list of trails"))?,
            from: meaning.from,
            until: meaning.until,
            filters: meaning.filters,
            order: Order::Ascending,
            offset: 0,
            limit: 0,
            as_of: Some(facts.tree.size),
        },
        tree_size: facts.tree.size,
        format: format_of(facts)?,
        caller: facts.caller.clone(),
        total: facts.totals.rows,
    };
    let failed = |failed| match failed {
        ExportError::Store(error) => error.into(),
        ExportError::Parquet(error) => VerifyError::Unknown(error.to_string()),
    };
    let mut made = Pieces::of(log, &export).map_err(failed)?;
    while made.next_piece().map_err(failed)?.is_some() {}
    let totals = made.totals();
    if (totals.rows, totals.digests) != (facts.totals.rows, facts.totals.digests) {
        return refuted(
            "the log answers the question with other events than those that were signed",
        );
    }
    if totals.sha256 != facts.totals.sha256 {
        return Err(VerifyError::Unknown(
            "the events are those of the log, but this version of daybook writes them otherwise; verify with the version that made the file".to_owned(),
        ));
    }
    Ok(())
}

fn format_of(facts: &Facts) -> Result<Format, VerifyError> {
    Format::from_text(&facts.format).ok_or_else(|| {
        VerifyError::Unknown(format!("{:?} is no format that this version knows", facts.format))
    })
}
