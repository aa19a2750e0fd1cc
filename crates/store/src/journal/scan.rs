//! Reads a journal from start to end: recovery and checks.

use sha2::{Digest, Sha256};

use crate::disk::durable;
use crate::disk::durable::Disk;
use crate::disk::identity::Identity;
use crate::disk::layout::{JOURNAL, UNFINISHED, journal_file};
use crate::error::Error;
use crate::journal::batch::{Batch, Position};
use crate::journal::frame;
use crate::journal::frame::Frame;

/// Unacknowledged bytes at the journal's end; the next open cuts them off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The file, relative to the data directory.
    pub file: String,
    /// Offset of the first of them.
    pub offset: u64,
    /// How many there are.
    pub len_bytes: u64,
}

pub(super) struct Header {
    pub first_batch: u64,
    pub first_index: u64,
}

/// Makes the first file of an empty journal.
pub(crate) fn create_first(disk: &dyn Disk, identity: &Identity) -> Result<(), Error> {
    let header = encode_header(identity, &Header { first_batch: 0, first_index: 0 });
    let name = journal_file(0);
    durable::write_file(disk, &name, &header).map_err(Error::io(format!("write {name}")))?;
    Ok(())
}

/// The files of a journal, and how the last one ends.
pub(crate) struct JournalEnd {
    /// Names of the files, oldest first.
    pub names: Vec<String>,
    /// The bytes of the last file up to its last whole batch and mark.
    pub last_file: Vec<u8>,
    pub torn_tail: Option<TornTail>,
}

/// Frames and bytes of the batches that are replayed together: enough to share among processors.
const VISITED_FRAMES: usize = 8 << 10;
const VISITED_BYTES: usize = 16 << 20;

/// Replays every batch of the journal to `visit`, oldest first and some at a time, changing
/// nothing. `read` gets each file's size once it was read.
pub(crate) fn scan_all(
    disk: &dyn Disk,
    identity: &Identity,
    start: Start,
    visit: &mut dyn FnMut(&[Batch<'_>]) -> Result<(), Error>,
    read: &mut dyn FnMut(u64),
) -> Result<JournalEnd, Error> {
    let (names, _) = split_at_start(journal_files(disk)?, start);
    let mut expected = match names.first() {
        Some(name) if start.batch > 0 => begin(disk, name, start)?,
        _ => Header { first_batch: 0, first_index: 0 },
    };
    let visit = &mut |batches: &[Batch<'_>]| {
        let flushed = batches.partition_point(|batch| batch.commit.batch < start.batch);
        visit(&batches[flushed..])
    };
    let mut last = None;
    for (position, name) in names.iter().enumerate() {
        let bytes = durable::read_file(disk, name).map_err(Error::io(format!("read {name}")))?;
        let file = u32::try_from(position).expect("fewer than 2^32 journal files");
        let scan = scan_file(identity, name, file, &bytes, &mut expected, visit)?;
        let is_last = position + 1 == names.len();
        if let (Some((offset, why)), false) = (scan.stop, is_last) {
            return Err(Error::damage(
                name,
                offset as u64,
                format!("{why}, and the journal goes on in another file"),
            ));
        }
        read(bytes.len() as u64);
        if is_last {
            let torn_tail = match scan.stop {
                None => None,
                Some((offset, why)) => {
                    Some(torn_or_damaged(identity, name, &bytes, offset, why, &scan)?)
                }
            };
            last = Some((bytes, scan.end, torn_tail));
        }
    }
    let (mut bytes, end, torn_tail) = last
        .ok_or_else(|| Error::damage(&journal_file(0), 0, "the journal's first file is missing"))?;
    if expected.first_batch < start.batch {
        let name = names.last().expect("there is a last file");
        return Err(Error::damage(name, end as u64, "the journal ends before what is flushed"));
    }
    bytes.truncate(end);
    Ok(JournalEnd { names, last_file: bytes, torn_tail })
}

/// The part of the journal that is needed: batches before are flushed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Start {
    pub batch: u64,
    /// Events before that batch.
    pub index: u64,
}

/// The needed files, and the older ones that a crash may have left behind.
pub(super) fn split_at_start(mut names: Vec<String>, start: Start) -> (Vec<String>, Vec<String>) {
    let first = names.iter().rposition(|name| *name <= journal_file(start.batch)).unwrap_or(0);
    let needed = names.split_off(first);
    (needed, names)
}

/// The header that the first file must have. The file may begin before `start`, so the file itself
/// gives the numbers.
fn begin(disk: &dyn Disk, name: &str, start: Start) -> Result<Header, Error> {
    let mut bytes = [0; HEADER_BYTES];
    let file = disk.open(name).map_err(Error::io(format!("open {name}")))?;
    file.read_at(0, &mut bytes).map_err(Error::io(format!("read {name}")))?;
    let number = |at: usize| u64::from_le_bytes(*bytes[at..].first_chunk().expect("eight bytes"));
    let header = Header { first_batch: number(12), first_index: number(20) };
    let is_before = header.first_batch <= start.batch && header.first_index <= start.index;
    let is_at = header.first_batch < start.batch || header.first_index == start.index;
    if journal_file(header.first_batch) == name && is_before && is_at {
        Ok(header)
    } else {
        Err(Error::damage(name, 12, "the journal does not go on where the flushed events end"))
    }
}

pub(super) fn journal_files(disk: &dyn Disk) -> Result<Vec<String>, Error> {
    let names = disk.list(JOURNAL).map_err(Error::io(format!("list {JOURNAL}")))?;
    names
        .into_iter()
        .filter(|name| !name.ends_with(UNFINISHED))
        .map(|name| {
            let path = format!("{JOURNAL}/{name}");
            let batch = name.strip_suffix(".journal").and_then(|digits| digits.parse().ok());
            match batch {
                Some(batch) if journal_file(batch) == path => Ok(path),
                _ => Err(Error::damage(&path, 0, "this is no file of the journal")),
            }
        })
        .collect()
}

struct Scan {
    /// End of the last whole batch and its mark.
    end: usize,
    /// The newest batch of this file or of those before.
    last_batch: Option<u64>,
    /// Where and why reading stopped before the end of the file.
    stop: Option<(usize, &'static str)>,
}

fn scan_file(
    identity: &Identity,
    name: &str,
    file: u32,
    bytes: &[u8],
    expected: &mut Header,
    visit: &mut dyn FnMut(&[Batch<'_>]) -> Result<(), Error>,
) -> Result<Scan, Error> {
    check_header(identity, name, bytes, expected)?;
    let (mut batches, mut frames, mut first) = (Vec::new(), 0, HEADER_BYTES);
    let scan = scan_frames(identity, name, file, bytes, expected, &mut |batch, end| {
        frames += batch.frames.len();
        batches.push(batch);
        if frames < VISITED_FRAMES && end - first < VISITED_BYTES {
            return Ok(());
        }
        (frames, first) = (0, end);
        visit(&std::mem::take(&mut batches))
    });
    // Whatever ended the scan lies behind these.
    visit(&batches)?;
    scan
}

/// Hands each batch of a file, with the offset behind it, to `each`.
fn scan_frames<'a>(
    identity: &Identity,
    name: &'a str,
    file: u32,
    bytes: &'a [u8],
    expected: &mut Header,
    each: &mut dyn FnMut(Batch<'a>, usize) -> Result<(), Error>,
) -> Result<Scan, Error> {
    let mut at = HEADER_BYTES;
    let mut scan = Scan { end: at, last_batch: expected.first_batch.checked_sub(1), stop: None };
    let mut pending = Vec::new();
    while at < bytes.len() {
        let (frame, len) = match frame::read(&identity.salt, &bytes[at..]) {
            Ok(found) => found,
            // Room for batches that were never written.
            Err(_) if bytes[at..].iter().all(|&byte| byte == 0) => break,
            Err(why) => {
                scan.stop = Some((at, why));
                return Ok(scan);
            }
        };
        let position = Position {
            file,
            offset: u32::try_from(at).expect("journal files are limited to far below 4 GiB"),
        };
        let next = at + len;
        match frame {
            Frame::Content(content) => {
                pending.push((
                    position,
                    u32::try_from(len).expect("frames are limited to 64 MiB"),
                    content,
                ));
            }
            Frame::Commit(commit) => {
                if commit.batch != expected.first_batch || commit.frames as usize != pending.len() {
                    return Err(Error::damage(
                        name,
                        at as u64,
                        "a commit frame does not belong to the batch before it",
                    ));
                }
                let batch = Batch {
                    frames: std::mem::take(&mut pending),
                    commit,
                    file: name,
                    offset: scan.end as u64,
                };
                each(batch, next)?;
                *expected = Header { first_batch: commit.batch + 1, first_index: commit.tree_size };
                scan.last_batch = Some(commit.batch);
                scan.end = next;
            }
            Frame::Mark(batch) => {
                if !pending.is_empty() || Some(batch) != scan.last_batch {
                    return Err(Error::damage(
                        name,
                        at as u64,
                        "a mark does not belong to the batch before it",
                    ));
                }
                scan.end = next;
            }
        }
        at = next;
    }
    if !pending.is_empty() {
        scan.stop = Some((scan.end, "a batch has no commit frame"));
    }
    Ok(scan)
}

/// Only the batch being written can be torn. Proof that a later one was acknowledged makes it
/// damage.
fn torn_or_damaged(
    identity: &Identity,
    name: &str,
    bytes: &[u8],
    offset: usize,
    why: &'static str,
    scan: &Scan,
) -> Result<TornTail, Error> {
    if frame::shows_a_batch_after(&identity.salt, &bytes[scan.end..], scan.last_batch) {
        return Err(Error::damage(
            name,
            offset as u64,
            format!("{why}, in front of a batch that was answered for"),
        ));
    }
    Ok(TornTail {
        file: name.to_owned(),
        offset: scan.end as u64,
        len_bytes: (bytes.len() - scan.end) as u64,
    })
}

/// `[magic 8][version u32][first batch u64][first index u64][SHA-256(origin)[..16]][CRC32C u32]`,
/// little endian.
pub(super) fn encode_header(identity: &Identity, header: &Header) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&header.first_batch.to_le_bytes());
    bytes.extend_from_slice(&header.first_index.to_le_bytes());
    bytes.extend_from_slice(&Sha256::digest(identity.origin.as_bytes())[..16]);
    let crc = crc32c::crc32c_append(crc32c::crc32c(&identity.salt), &bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

/// A file's header is written whole before its name exists, so a different header is damage, never
/// a torn write.
fn check_header(
    identity: &Identity,
    name: &str,
    bytes: &[u8],
    expected: &Header,
) -> Result<(), Error> {
    let right = encode_header(identity, expected);
    match bytes.get(..HEADER_BYTES) {
        Some(header) if header == right => Ok(()),
        Some(header) if header[..8] != *MAGIC => {
            Err(Error::damage(name, 0, "this is no journal file"))
        }
        Some(header) => {
            let offset =
                header.iter().zip(&right).position(|(got, wanted)| got != wanted).unwrap_or(0);
            let what = format!(
                "the header is not that of batch {} at index {} of this log",
                expected.first_batch, expected.first_index
            );
            Err(Error::damage(name, offset as u64, what))
        }
        None => Err(Error::damage(name, bytes.len() as u64, "the header is cut short")),
    }
}

const MAGIC: &[u8; 8] = b"DAYBOOKJ";
const VERSION: u32 = 1;
pub(super) const HEADER_BYTES: usize = 8 + 4 + 8 + 8 + 16 + 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity {
            origin: "test.example/log".to_owned(),
            created_at: event::Time::from_unix_ns(1),
            salt: [7; 16],
        }
    }

    #[test]
    fn the_needed_files_begin_with_the_one_that_holds_the_start() {
        let names = || [0, 10, 20].map(journal_file).to_vec();
        for (batch, needed) in [(0, 3), (9, 3), (10, 2), (19, 2), (20, 1), (99, 1)] {
            let start = Start { batch, index: 0 };
            let (files, older) = split_at_start(names(), start);
            assert_eq!((files.len(), older.len()), (needed, 3 - needed), "batch {batch}");
        }
    }

    #[test]
    fn a_header_of_other_numbers_is_damage_at_its_first_byte_that_differs() {
        let expected = Header { first_batch: 3, first_index: 5 };
        let offset = |first_batch, first_index| {
            let bytes = encode_header(&identity(), &Header { first_batch, first_index });
            match check_header(&identity(), "x", &bytes, &expected) {
                Ok(()) => None,
                Err(Error::Damage { offset, .. }) => Some(offset),
                Err(error) => panic!("{error}"),
            }
        };
        assert_eq!([offset(3, 5), offset(4, 5), offset(3, 6)], [None, Some(12), Some(20)]);
        assert!(check_header(&identity(), "x", &[0; HEADER_BYTES], &expected).is_err());
    }
}
