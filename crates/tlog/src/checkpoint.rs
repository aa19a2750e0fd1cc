//! Checkpoints: the head of a log's tree at a size, as the text of a signed note (C2SP
//! tlog-checkpoint, section Note text).

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::note::{Malformed, Note, Verifier};
use crate::tree::Hash;

/// The head of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The name of its log: without scheme, one line.
    pub origin: String,
    /// How many leaves the tree has.
    pub size: u64,
    /// The root of the tree.
    pub root: Hash,
}

impl Checkpoint {
    /// The text that is signed.
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, BASE64_STANDARD.encode(self.root))
    }

    /// Reads the text of a note. Lines after the third are allowed and ignored.
    pub fn parse(text: &str) -> Result<Checkpoint, Malformed> {
        let mut lines = text.strip_suffix('\n').unwrap_or_default().split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next())
        else {
            return Err(Malformed("a checkpoint has three lines: origin, size, root"));
        };
        if origin.is_empty() || lines.any(str::is_empty) {
            return Err(Malformed("a checkpoint has no empty line"));
        }
        let root =
            parse_hash(root).ok_or(Malformed("a checkpoint's root is 32 bytes in base64"))?;
        let size =
            parse_decimal(size).ok_or(Malformed("a checkpoint's size is a decimal number"))?;
        Ok(Checkpoint { origin: origin.to_owned(), size, root })
    }

    /// The checkpoint of a note that this key signed, which names the log's origin.
    pub fn open(note: &Note, key: &Verifier) -> Result<Checkpoint, Malformed> {
        if note.verify(key)?.is_none() {
            return Err(Malformed("the checkpoint is not signed by the log's key"));
        }
        let checkpoint = Checkpoint::parse(note.text())?;
        if checkpoint.origin == key.name() {
            Ok(checkpoint)
        } else {
            Err(Malformed("the checkpoint is of another log than the key"))
        }
    }
}

/// Reads a hash in base64.
pub(crate) fn parse_hash(text: &str) -> Option<Hash> {
    BASE64_STANDARD.decode(text).ok()?.try_into().ok()
}

/// Reads hashes, one a line, at most `hashes_max`.
pub(crate) fn parse_hashes<'a>(
    lines: impl Iterator<Item = &'a str>,
    hashes_max: usize,
) -> Result<Vec<Hash>, Malformed> {
    let mut hashes = Vec::new();
    for line in lines {
        if hashes.len() == hashes_max {
            return Err(Malformed("there are more hashes than any tree needs"));
        }
        hashes.push(parse_hash(line).ok_or(Malformed("a line is no hash"))?);
    }
    Ok(hashes)
}

/// Reads a number without leading zeros.
pub(crate) fn parse_decimal(text: &str) -> Option<u64> {
    let is_plain =
        text == "0" || !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain)
}
