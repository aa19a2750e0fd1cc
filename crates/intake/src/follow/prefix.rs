//! What was read of a file, told by its hash: the same bytes are known again under another name or
//! inode.
//!
//! The hash goes on from block to block, so that reading can go on after a restart with one block
//! of the file instead of all of it: the last block is hashed apart from the chain of those before
//! it.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::content::Content;

/// Bytes that are hashed as one. A start reads so much of every file that is not read to its end.
const BLOCK_BYTES: u64 = 64 << 10;
const FIRST_BYTES: usize = 64;
/// Bytes at a file's beginning that most files are told apart by, before all that was read is
/// compared.
pub const HEAD_BYTES: usize = 4 << 10;

/// A SHA-256, written as hex.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hash([u8; 32]);

impl Hash {
    fn of(bytes: &[u8]) -> Hash {
        Hash(Sha256::digest(bytes).into())
    }
}

impl From<Hash> for String {
    fn from(hash: Hash) -> String {
        hex::encode(hash.0)
    }
}

impl TryFrom<String> for Hash {
    type Error = String;

    fn try_from(text: String) -> Result<Hash, String> {
        hex::decode(&text)
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .map(Hash)
            .ok_or_else(|| format!("{text:?} is no SHA-256"))
    }
}

/// How far a file was read, and what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// Bytes read.
    pub offset: u64,
    /// Over all blocks but the last.
    blocks: Hash,
    /// Of the last block.
    last: Hash,
}

impl Mark {
    /// What tells these bytes from all others, in 32 hex digits.
    pub fn fingerprint(&self) -> String {
        let all = Sha256::new().chain_update(self.offset.to_le_bytes()).chain_update(self.blocks.0);
        hex::encode(&all.chain_update(self.last.0).finalize()[..16])
    }
}

/// The beginning of a file: its first line, as a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// At most [`HEAD_BYTES`].
    pub len: u64,
    sha256: Hash,
    /// Of its first bytes, at most [`FIRST_BYTES`]: most files differ in these, a time as a rule.
    first: Hash,
}

impl Head {
    pub fn of(bytes: &[u8]) -> Head {
        let bytes = &bytes[..bytes.len().min(HEAD_BYTES)];
        let first = Hash::of(&bytes[..bytes.len().min(FIRST_BYTES)]);
        Head { len: bytes.len() as u64, sha256: Hash::of(bytes), first }
    }

    /// Whether a file that begins so may be the beginning of one that begins with more.
    pub fn may_begin(&self, longer: &Head) -> bool {
        self.len < FIRST_BYTES as u64 || self.first == longer.first
    }

    /// Whether a file that begins with these bytes begins so. Of a shorter one nothing can be said:
    /// it does not.
    pub fn begins(&self, bytes: &[u8]) -> bool {
        usize::try_from(self.len)
            .ok()
            .and_then(|len| bytes.get(..len))
            .is_some_and(|head| Hash::of(head) == self.sha256)
    }
}

/// What was read so far, ready for more.
#[derive(Clone)]
pub struct Prefix {
    offset: u64,
    blocks: [u8; 32],
    last: Sha256,
    /// Bytes in the last block.
    filled: u64,
}

impl Default for Prefix {
    /// The empty prefix.
    fn default() -> Prefix {
        Prefix { offset: 0, blocks: [0; 32], last: Sha256::new(), filled: 0 }
    }
}

impl Prefix {
    pub fn offset(&self) -> u64 {
        self.offset
    }

    pub fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.filled == BLOCK_BYTES {
                let last = std::mem::take(&mut self.last).finalize();
                self.blocks =
                    Sha256::new().chain_update(self.blocks).chain_update(last).finalize().into();
                // From here on the block that was the last is among those before it.
                self.filled = 0;
            }
            let room = BLOCK_BYTES - self.filled;
            let len = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
            self.last.update(&bytes[..len]);
            (self.offset, self.filled) = (self.offset + len as u64, self.filled + len as u64);
            bytes = &bytes[len..];
        }
    }

    pub fn mark(&self) -> Mark {
        Mark {
            offset: self.offset,
            blocks: Hash(self.blocks),
            last: Hash(self.last.clone().finalize().into()),
        }
    }

    /// Goes on from a mark in a file that is taken for the one that was read, if its last block
    /// still is what it was. `None` if it is another.
    pub fn resume(mark: &Mark, content: &mut dyn Content) -> std::io::Result<Option<Prefix>> {
        let start = block_of(mark.offset);
        let mut prefix =
            Prefix { offset: start, blocks: mark.blocks.0, last: Sha256::new(), filled: 0 };
        let is_there = push_until(&mut prefix, content, mark.offset)?;
        Ok(Some(prefix).filter(|prefix| is_there && prefix.mark() == *mark))
    }

    /// Whether a file begins with all that was read up to the mark; `None` if it is shorter. Reads
    /// all of that.
    pub fn begins(
        mark: &Mark,
        content: &mut dyn Content,
        go_on: &dyn Fn() -> bool,
    ) -> std::io::Result<Option<bool>> {
        let mut prefix = Prefix::default();
        while prefix.offset < mark.offset {
            let until = mark.offset.min(prefix.offset + (1 << 20));
            if !go_on() {
                return Err(std::io::ErrorKind::Interrupted.into());
            }
            if !push_until(&mut prefix, content, until)? {
                return Ok(None);
            }
        }
        Ok(Some(prefix.mark() == *mark))
    }
}

/// Where the last block begins, of so many bytes. It is never empty but at the beginning.
fn block_of(offset: u64) -> u64 {
    offset.saturating_sub(1) / BLOCK_BYTES * BLOCK_BYTES
}

/// Reads on to `until`; whether there is so much.
pub fn push_until(
    prefix: &mut Prefix,
    content: &mut dyn Content,
    until: u64,
) -> std::io::Result<bool> {
    let mut buffer = vec![0; 64 << 10];
    while prefix.offset < until {
        let room = usize::try_from(until - prefix.offset).unwrap_or(usize::MAX).min(buffer.len());
        let len = content.read_at(prefix.offset, &mut buffer[..room])?;
        if len == 0 {
            return Ok(false);
        }
        prefix.push(&buffer[..len]);
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Content for Vec<u8> {
        fn len_bytes(&mut self) -> std::io::Result<u64> {
            Ok(Vec::len(self) as u64)
        }

        fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> std::io::Result<usize> {
            let rest =
                usize::try_from(offset).ok().and_then(|at| self.get(at..)).unwrap_or_default();
            let len = rest.len().min(buffer.len());
            buffer[..len].copy_from_slice(&rest[..len]);
            Ok(len)
        }
    }

    fn bytes(len: usize) -> Vec<u8> {
        (0..len).map(|at| u8::try_from((at * 7 + at / 251) % 256).expect("a byte")).collect()
    }

    #[test]
    fn a_file_is_known_again_however_it_was_read() {
        let block = usize::try_from(BLOCK_BYTES).expect("small");
        for len in [0, 1, block - 1, block, block + 1, 2 * block, 2 * block + 77] {
            let whole = bytes(len);
            let mut at_once = Prefix::default();
            at_once.push(&whole);
            let mut in_steps = Prefix::default();
            whole.chunks(1000).for_each(|some| in_steps.push(some));
            let mark = at_once.mark();
            assert_eq!(mark, in_steps.mark(), "{len}");
            let mut longer = [whole.clone(), bytes(block + 5)].concat();
            assert_eq!(Prefix::begins(&mark, &mut longer, &|| true).expect("memory"), Some(true));
            let mut resumed =
                Prefix::resume(&mark, &mut longer).expect("memory").expect("the same");
            resumed.push(&longer[len..]);
            let mut all = Prefix::default();
            all.push(&longer);
            assert_eq!(resumed.mark(), all.mark(), "{len}");
            if len > 0 {
                let mut shorter = whole[..len - 1].to_vec();
                assert_eq!(Prefix::begins(&mark, &mut shorter, &|| true).expect("memory"), None);
                longer[len / 2] ^= 1;
                assert_eq!(
                    Prefix::begins(&mark, &mut longer, &|| true).expect("memory"),
                    Some(false)
                );
            }
        }
    }
}
