//! Hash of the part of a file that was read. It recognises the same bytes under another name or
//! inode.
//!
//! The hash is chained from block to block, and the last block is hashed apart from the chain
//! before it. A restart can therefore continue after reading one block of the file instead of all.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::content::Content;

/// Bytes in a block. A start reads this much of every file not yet read to its end.
const BLOCK_BYTES: u64 = 64 << 10;
const FIRST_BYTES: usize = 64;
/// Bytes at the beginning of a file that distinguish most files, before everything read is
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

/// Position in a file, and the hash of the bytes before it.
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
    /// Identifies these bytes, in 32 hex digits.
    pub fn fingerprint(&self) -> String {
        let all = Sha256::new().chain_update(self.offset.to_le_bytes()).chain_update(self.blocks.0);
        hex::encode(&all.chain_update(self.last.0).finalize()[..16])
    }
}

/// Beginning of a file, usually its first line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// At most [`HEAD_BYTES`].
    pub len: u64,
    sha256: Hash,
    /// Hash of at most [`FIRST_BYTES`]. Most files differ in these, usually in a time.
    first: Hash,
}

impl Head {
    pub fn of(bytes: &[u8]) -> Head {
        let bytes = &bytes[..bytes.len().min(HEAD_BYTES)];
        let first = Hash::of(&bytes[..bytes.len().min(FIRST_BYTES)]);
        Head { len: bytes.len() as u64, sha256: Hash::of(bytes), first }
    }

    /// Whether this may be the beginning of a longer head.
    pub fn may_begin(&self, longer: &Head) -> bool {
        self.len < FIRST_BYTES as u64 || self.first == longer.first
    }

    /// Whether these bytes begin with this head. False for fewer bytes than the head has.
    pub fn begins(&self, bytes: &[u8]) -> bool {
        usize::try_from(self.len)
            .ok()
            .and_then(|len| bytes.get(..len))
            .is_some_and(|head| Hash::of(head) == self.sha256)
    }
}

/// Running hash of the bytes read so far.
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
                // The last block has joined the chain; a new one begins.
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

    /// Resumes at a mark if the last block of the content is unchanged; `None` otherwise.
    pub fn resume(mark: &Mark, content: &mut dyn Content) -> std::io::Result<Option<Prefix>> {
        let start = block_of(mark.offset);
        let mut prefix =
            Prefix { offset: start, blocks: mark.blocks.0, last: Sha256::new(), filled: 0 };
        let is_there = push_until(&mut prefix, content, mark.offset)?;
        Ok(Some(prefix).filter(|prefix| is_there && prefix.mark() == *mark))
    }

    /// Whether a file begins with all bytes before the mark; `None` if it is shorter. Reads all of
    /// them.
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

/// Start of the last block before this offset. The block is empty only at offset 0.
fn block_of(offset: u64) -> u64 {
    offset.saturating_sub(1) / BLOCK_BYTES * BLOCK_BYTES
}

/// Reads up to `until`; false if the content ends before it.
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
    fn a_file_is_recognised_however_it_was_read() {
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
