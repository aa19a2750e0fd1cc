//! A journal as a row of files, each begun when the one before is full.
//!
//! What holds:
//! - only the last file is written, and only behind its last batch;
//! - at most one batch is not durable at any moment, so only that one can be torn by a crash;
//! - every file but the last was synced to its end before the next was begun;
//! - on every open the last file is copied to a new one before anything is appended: after a failed
//!   sync the old one may read back from memory what never reached the disk, and no later sync
//!   would write it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, RwLock};

use sha2::{Digest, Sha256};

use super::frame::{self, EventFrame, Frame};
use super::{Batch, Commit, Journal, Position, Reader};
use crate::durable::{self, Disk, File};
use crate::figures::Meters;
use crate::layout::{JOURNAL, UNFINISHED, journal_file};
use crate::{Error, Identity};

const MAGIC: &[u8; 8] = b"DAYBOOKJ";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 8 + 4 + 8 + 8 + 16 + 4;

pub(crate) struct FileJournal {
    disk: Arc<dyn Disk>,
    identity: Identity,
    files: Arc<Files>,
    current: Arc<dyn File>,
    name: String,
    end: u64,
    /// Up to here the file is written, with zeros behind `end`.
    allocated: u64,
    file_bytes_max: u64,
    next_batch: u64,
    tree_size: u64,
    meters: Arc<Meters>,
}

/// Room made behind a small batch: a hundred small batches' worth, a millisecond to write.
const ROOM_BYTES: usize = 256 << 10;
/// A batch above this is not small.
const SMALL_BATCH_BYTES_MAX: usize = 64 << 10;

/// How the last file ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    /// With a whole batch.
    Clean,
    /// With bytes that no one was answered for.
    Torn { file: String, offset: u64, len_bytes: u64 },
}

struct Header {
    first_batch: u64,
    first_index: u64,
}

/// Lays down the first file of an empty journal.
pub(crate) fn create_first(disk: &dyn Disk, identity: &Identity) -> Result<(), Error> {
    let header = encode_header(identity, &Header { first_batch: 0, first_index: 0 });
    let name = journal_file(0);
    durable::write_file(disk, &name, &header).map_err(Error::io(format!("write {name}")))?;
    Ok(())
}

/// Replays every batch of the journal to `visit`, oldest first, changing nothing. `read` is told of
/// each file's size after it was read. Returns the names of the files, how many bytes of the last
/// hold whole batches, and its tail.
pub(crate) fn scan_all(
    disk: &dyn Disk,
    identity: &Identity,
    start: Start,
    visit: &mut dyn FnMut(&Batch<'_>) -> Result<(), Error>,
    read: &mut dyn FnMut(u64),
) -> Result<(Vec<String>, Vec<u8>, Tail), Error> {
    let (names, _) = needed(journal_files(disk)?, start);
    let mut expected = match names.first() {
        Some(name) if start.batch > 0 => begin(disk, name, start)?,
        _ => Header { first_batch: 0, first_index: 0 },
    };
    let visit = &mut |batch: &Batch<'_>| {
        if batch.commit.batch < start.batch { Ok(()) } else { visit(batch) }
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
            let tail = match scan.stop {
                None => Tail::Clean,
                Some((offset, why)) => torn_or_damaged(identity, name, &bytes, offset, why, &scan)?,
            };
            last = Some((bytes, scan.end, tail));
        }
    }
    let (mut bytes, end, tail) = last
        .ok_or_else(|| Error::damage(&journal_file(0), 0, "the journal's first file is missing"))?;
    if expected.first_batch < start.batch {
        let name = names.last().expect("there is a last file");
        return Err(Error::damage(name, end as u64, "the journal ends before what is sealed"));
    }
    bytes.truncate(end);
    Ok((names, bytes, tail))
}

/// From where on the journal is needed: what comes before is sealed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Start {
    pub batch: u64,
    /// Events before it.
    pub index: u64,
}

/// The files that are needed, and those before, which a crash may have left behind.
fn needed(mut names: Vec<String>, start: Start) -> (Vec<String>, Vec<String>) {
    let first = names.iter().rposition(|name| *name <= journal_file(start.batch)).unwrap_or(0);
    let needed = names.split_off(first);
    (needed, names)
}

/// What the header of the first file must say, as far as it is not known: the file may begin before
/// `start`.
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
        Err(Error::damage(name, 12, "the journal does not go on where the sealed events end"))
    }
}

fn journal_files(disk: &dyn Disk) -> Result<Vec<String>, Error> {
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
    /// Behind the last whole batch and its mark.
    end: usize,
    /// The newest batch of the file or of those before.
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
    visit: &mut dyn FnMut(&Batch<'_>) -> Result<(), Error>,
) -> Result<Scan, Error> {
    check_header(identity, name, bytes, expected)?;
    let mut at = HEADER_BYTES;
    let mut scan = Scan { end: at, last_batch: expected.first_batch.checked_sub(1), stop: None };
    let mut pending = Vec::new();
    while at < bytes.len() {
        let (frame, len) = match frame::read(&identity.salt, &bytes[at..]) {
            Ok(found) => found,
            // Room for batches that were not written.
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
                visit(&batch)?;
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

/// Only the batch that was being written can be torn. Whatever shows that a later one was answered
/// for makes it damage.
fn torn_or_damaged(
    identity: &Identity,
    name: &str,
    bytes: &[u8],
    offset: usize,
    why: &'static str,
    scan: &Scan,
) -> Result<Tail, Error> {
    if frame::shows_a_batch_after(&identity.salt, &bytes[scan.end..], scan.last_batch) {
        return Err(Error::damage(
            name,
            offset as u64,
            format!("{why}, in front of a batch that was answered for"),
        ));
    }
    Ok(Tail::Torn {
        file: name.to_owned(),
        offset: scan.end as u64,
        len_bytes: (bytes.len() - scan.end) as u64,
    })
}

/// Replays a journal to `visit`, and reads frames of it from now on. Changes nothing.
pub(crate) fn read(
    disk: &Arc<dyn Disk>,
    identity: &Identity,
    start: Start,
    visit: &mut dyn FnMut(&Batch<'_>) -> Result<(), Error>,
) -> Result<Arc<dyn Reader>, Error> {
    let (names, _, _) = scan_all(&**disk, identity, start, visit, &mut |_| {})?;
    let mut open = Vec::with_capacity(names.len());
    for name in names {
        let file = disk.open(&name).map_err(Error::io(format!("open {name}")))?;
        open.push((name, Some(file)));
    }
    Ok(Arc::new(Files { disk: Arc::clone(disk), salt: identity.salt, open: RwLock::new(open) }))
}

impl FileJournal {
    /// Opens an existing journal for appending, after replaying it to `visit`.
    pub fn open(
        disk: Arc<dyn Disk>,
        identity: &Identity,
        file_bytes_max: u64,
        start: Start,
        meters: Arc<Meters>,
        visit: &mut dyn FnMut(&Batch<'_>) -> Result<(), Error>,
    ) -> Result<(FileJournal, Tail), Error> {
        let (mut next_batch, mut tree_size) = (start.batch, start.index);
        let mut note_end = |batch: &Batch<'_>| {
            next_batch = batch.commit.batch + 1;
            tree_size = batch.commit.tree_size;
            visit(batch)
        };
        let (names, mut whole, tail) =
            scan_all(&*disk, identity, start, &mut note_end, &mut |_| {})?;
        let (name, earlier) = names.split_last().expect("a scan fails without files");
        let mut open = Vec::new();
        for name in earlier {
            open.push((
                name.clone(),
                Some(disk.open(name).map_err(Error::io(format!("open {name}")))?),
            ));
        }
        if next_batch > 0 {
            whole.extend_from_slice(&frame::mark(&identity.salt, next_batch - 1));
        }
        let current = rewrite(&*disk, name, &whole)?;
        // The last file is a new one, synced to its end, and every batch in it is marked. If we
        // crashed before, the old one is still there and the next open does the same again.
        remove_unfinished(&*disk)?;
        for name in needed(journal_files(&*disk)?, start).1 {
            disk.remove(&name).map_err(Error::io(format!("remove {name}")))?;
        }
        open.push((name.clone(), Some(Arc::clone(&current))));
        let journal = FileJournal {
            identity: identity.clone(),
            files: Arc::new(Files {
                disk: Arc::clone(&disk),
                salt: identity.salt,
                open: RwLock::new(open),
            }),
            disk,
            current,
            name: name.clone(),
            end: whole.len() as u64,
            allocated: 0,
            file_bytes_max,
            next_batch,
            tree_size,
            meters,
        };
        Ok((journal, tail))
    }

    /// Begins a new file, so that the one before is never written again.
    fn roll(&mut self) -> Result<(), Error> {
        durable::sync(&*self.current).map_err(Error::io(format!("sync {}", self.name)))?;
        // The full file is on disk to its last mark. If we crash here, it is still the last one.
        let name = journal_file(self.next_batch);
        let header = encode_header(
            &self.identity,
            &Header { first_batch: self.next_batch, first_index: self.tree_size },
        );
        let file = durable::write_file(&*self.disk, &name, &header)
            .map_err(Error::io(format!("write {name}")))?;
        // The new file and its name are on disk, without batches. If we crash here, it is the last
        // one, and empty.
        self.files
            .open
            .write()
            .expect("no panic while held")
            .push((name.clone(), Some(Arc::clone(&file))));
        (self.current, self.name, self.end, self.allocated) = (file, name, HEADER_BYTES as u64, 0);
        Ok(())
    }

    /// Writes a batch, and behind a small one that reaches the end of the file some zeros: syncing
    /// bytes that are there already is faster than syncing a file that grew. Large batches would
    /// only be written twice.
    fn write_batch(&mut self, frames: &[u8]) -> Result<u64, Error> {
        let end = self.end + frames.len() as u64;
        if end <= self.allocated || frames.len() > SMALL_BATCH_BYTES_MAX {
            return self.write(frames);
        }
        // Files of a test are smaller than the room.
        let room = ROOM_BYTES.min(usize::try_from(self.file_bytes_max).unwrap_or(ROOM_BYTES));
        let mut padded = frames.to_vec();
        padded.resize(frames.len() + room, 0);
        let at = self.write(&padded)?;
        (self.end, self.allocated) = (end, end + room as u64);
        Ok(at)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<u64, Error> {
        let at = self.end;
        self.current.write_at(at, bytes).map_err(Error::io(format!("write {}", self.name)))?;
        self.end += bytes.len() as u64;
        Ok(at)
    }
}

fn rewrite(disk: &dyn Disk, name: &str, whole: &[u8]) -> Result<Arc<dyn File>, Error> {
    #[cfg(feature = "planted")]
    if crate::is_planted("no_tail_rewrite") {
        return rewrite_in_place(disk, name, whole);
    }
    durable::write_file(disk, name, whole).map_err(Error::io(format!("rewrite {name}")))
}

#[cfg(feature = "planted")]
fn rewrite_in_place(disk: &dyn Disk, name: &str, whole: &[u8]) -> Result<Arc<dyn File>, Error> {
    let mark_bytes = frame::mark(&[0; 16], 0).len();
    let end = if whole.len() == HEADER_BYTES { HEADER_BYTES } else { whole.len() - mark_bytes };
    let file = disk.cut_and_open(name, end as u64).map_err(Error::io(format!("cut {name}")))?;
    file.write_at(end as u64, &whole[end..])
        .and_then(|()| durable::sync(&*file))
        .map_err(Error::io(format!("write {name}")))?;
    Ok(file)
}

fn remove_unfinished(disk: &dyn Disk) -> Result<(), Error> {
    for name in disk.list(JOURNAL).map_err(Error::io(format!("list {JOURNAL}")))? {
        if name.ends_with(UNFINISHED) {
            disk.remove(&format!("{JOURNAL}/{name}"))
                .map_err(Error::io(format!("remove {JOURNAL}/{name}")))?;
        }
    }
    Ok(())
}

impl Journal for FileJournal {
    fn append(&mut self, commit: &Commit, frames: &[u8]) -> Result<Position, Error> {
        assert_eq!(commit.batch, self.next_batch, "batches are appended in order");
        if self.end > HEADER_BYTES as u64 && self.end + frames.len() as u64 > self.file_bytes_max {
            self.roll()?;
        }
        let at = self.write_batch(frames)?;
        // The batch is in the file. If we crash here, any part of it may be on disk, and recovery
        // cuts it off.
        let began = (self.meters.clock)();
        durable::sync(&*self.current).map_err(Error::io(format!("sync {}", self.name)))?;
        self.meters.sync_ns.record_time((self.meters.clock)().saturating_sub(began));
        self.meters.journal_bytes.fetch_add(frames.len() as u64, Ordering::Relaxed);
        // The batch is durable. If we crash here, recovery keeps it, and its senders may send it
        // again.
        (self.next_batch, self.tree_size) = (commit.batch + 1, commit.tree_size);
        let file = self.files.open.read().expect("no panic while held").len() - 1;
        Ok(Position {
            file: u32::try_from(file).expect("fewer than 2^32 journal files"),
            offset: u32::try_from(at).expect("journal files are limited to far below 4 GiB"),
        })
    }

    fn mark(&mut self, batch: u64) -> Result<(), Error> {
        self.write(&frame::mark(&self.identity.salt, batch)).map(drop)
    }

    fn reader(&self) -> Arc<dyn Reader> {
        Arc::clone(&self.files) as Arc<dyn Reader>
    }

    fn close(&mut self) -> Result<(), Error> {
        durable::sync(&*self.current).map_err(Error::io(format!("sync {}", self.name)))
    }
}

struct Files {
    disk: Arc<dyn Disk>,
    salt: [u8; 16],
    /// In order; those that were dropped keep their place.
    open: RwLock<Vec<Opened>>,
}

/// The name of a file, and the file unless it was dropped.
type Opened = (String, Option<Arc<dyn File>>);

impl Files {
    fn bytes(&self, at: Position, len_bytes: u32) -> Result<(String, Vec<u8>), Error> {
        let (name, file) = self.open.read().expect("no panic while held")[at.file as usize].clone();
        let file = file.ok_or_else(|| {
            Error::damage(&name, u64::from(at.offset), "the file was dropped already")
        })?;
        let mut bytes = vec![0; len_bytes as usize];
        file.read_at(u64::from(at.offset), &mut bytes)
            .map_err(Error::io(format!("read {name}")))?;
        Ok((name, bytes))
    }
}

impl Reader for Files {
    fn event(&self, at: Position, len_bytes: u32) -> Result<EventFrame, Error> {
        let (name, bytes) = self.bytes(at, len_bytes)?;
        EventFrame::parse(&self.salt, bytes)
            .map_err(|why| Error::damage(&name, u64::from(at.offset), why))
    }

    fn frame(&self, at: Position, len_bytes: u32) -> Result<Vec<u8>, Error> {
        let (name, bytes) = self.bytes(at, len_bytes)?;
        match frame::read(&self.salt, &bytes) {
            Ok(_) => Ok(bytes),
            Err(why) => Err(Error::damage(&name, u64::from(at.offset), why)),
        }
    }

    fn drop_before(&self, batch: u64) -> Result<(), Error> {
        let mut open = self.open.write().expect("no panic while held");
        let mut is_dropped = false;
        for position in 0..open.len().saturating_sub(1) {
            if open[position + 1].0 > journal_file(batch) {
                break;
            }
            if open[position].1.take().is_some() {
                let name = &open[position].0;
                self.disk.remove(name).map_err(Error::io(format!("remove {name}")))?;
                is_dropped = true;
            }
        }
        if is_dropped {
            durable::sync_dir(&*self.disk, JOURNAL).map_err(Error::io("sync the journal's folder"))
        } else {
            Ok(())
        }
    }
}

/// `[magic 8][version u32][first batch u64][first index u64][SHA-256(origin)[..16]][CRC32C u32]`,
/// little endian.
fn encode_header(identity: &Identity, header: &Header) -> Vec<u8> {
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

/// A file's header is written whole before its name exists, so one that differs is damage, never a
/// torn write.
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
