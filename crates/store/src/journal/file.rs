//! A journal as a row of files; each starts when the one before is full.
//!
//! Invariants:
//! - only the last file is written, and only behind its last batch;
//! - at most one batch is not durable at any moment, so a crash can tear only that one;
//! - every file but the last was synced to its end before the next was started;
//! - a write that found no room is cut off again, durably, before anything else is written;
//! - every open copies the last file to a new one before anything is appended: after a failed sync
//!   the old one may read back bytes from memory that never reached the disk, and no later sync
//!   would write them.

use std::sync::atomic::Ordering;
use std::sync::{Arc, RwLock};

use crate::disk::durable;
use crate::disk::durable::{Disk, File, unknown_outcome};
use crate::disk::identity::Identity;
use crate::disk::layout::{JOURNAL, UNFINISHED, journal_file};
use crate::error::Error;
use crate::journal::batch::{Batch, Commit, Position};
use crate::journal::contract::{Journal, Reader};
use crate::journal::frame;
use crate::journal::reader::JournalFiles;
use crate::journal::scan::{
    HEADER_BYTES, Header, JournalEnd, Start, TornTail, encode_header, journal_files, scan_all,
    split_at_start,
};
use crate::metrics::Meters;

pub(crate) struct FileJournal {
    disk: Arc<dyn Disk>,
    identity: Identity,
    files: Arc<JournalFiles>,
    current: Arc<dyn File>,
    name: String,
    end: u64,
    /// End of the written part of the file; zeros follow `end` up to here.
    allocated: u64,
    file_bytes_max: u64,
    next_batch: u64,
    tree_size: u64,
    meters: Arc<Meters>,
}

/// Room allocated behind a small batch: enough for a hundred small batches, a millisecond to write.
const ROOM_BYTES: usize = 256 << 10;
/// Largest size of a small batch.
const SMALL_BATCH_BYTES_MAX: usize = 64 << 10;

impl FileJournal {
    /// Opens an existing journal for appending, after replaying it to `visit`.
    pub fn open(
        disk: Arc<dyn Disk>,
        identity: &Identity,
        file_bytes_max: u64,
        start: Start,
        meters: Arc<Meters>,
        visit: &mut dyn FnMut(&[Batch<'_>]) -> Result<(), Error>,
    ) -> Result<(FileJournal, Option<TornTail>), Error> {
        let (mut next_batch, mut tree_size) = (start.batch, start.index);
        let mut note_end = |batches: &[Batch<'_>]| {
            if let Some(last) = batches.last() {
                next_batch = last.commit.batch + 1;
                tree_size = last.commit.tree_size;
            }
            visit(batches)
        };
        let JournalEnd { names, last_file: mut whole, torn_tail } =
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
        for name in split_at_start(journal_files(&*disk)?, start).1 {
            disk.remove(&name).map_err(Error::io(format!("remove {name}")))?;
        }
        open.push((name.clone(), Some(Arc::clone(&current))));
        let journal = FileJournal {
            identity: identity.clone(),
            files: Arc::new(JournalFiles {
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
        Ok((journal, torn_tail))
    }

    /// Starts a new file; the one before is never written again.
    fn roll(&mut self) -> Result<(), Error> {
        self.current.sync().map_err(Error::io(format!("sync {}", self.name)))?;
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

    /// Writes a batch. A small one that reaches the end of the file gets some zeros behind it:
    /// syncing bytes in place is faster than syncing a file that grew. Large batches would only be
    /// written twice.
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
        let error = match self.current.write_at(at, bytes) {
            Ok(()) => {
                self.end += bytes.len() as u64;
                return Ok(at);
            }
            Err(cause) => Error::Io { doing: format!("write {}", self.name), cause },
        };
        if error.is_storage_full() {
            self.cut_off(at)?;
        }
        Err(error)
    }

    /// Makes the file end here again, durably. No sync of the cut bytes was tried, so none failed.
    fn cut_off(&mut self, end: u64) -> Result<(), Error> {
        let cut = self.current.cut(end).map_err(unknown_outcome);
        cut.map_err(Error::io(format!("cut {}", self.name)))?;
        // If we crash here, any part of the cut bytes may be on disk, and recovery cuts them off.
        self.current.sync().map_err(Error::io(format!("sync {}", self.name)))?;
        self.allocated = end;
        Ok(())
    }
}

fn rewrite(disk: &dyn Disk, name: &str, whole: &[u8]) -> Result<Arc<dyn File>, Error> {
    durable::write_file(disk, name, whole).map_err(Error::io(format!("rewrite {name}")))
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
        let is_full = self.end + frames.len() as u64 > self.file_bytes_max;
        // A file without a batch, though perhaps with a mark, has the name of the next one.
        if is_full && self.name != journal_file(self.next_batch) {
            self.roll()?;
        }
        let at = self.write_batch(frames)?;
        // The batch is in the file. If we crash here, any part of it may be on disk, and recovery
        // cuts it off.
        let began = (self.meters.clock)();
        self.current.sync().map_err(Error::io(format!("sync {}", self.name)))?;
        self.meters.sync_ns.record_time((self.meters.clock)().saturating_sub(began));
        self.meters.journal_bytes.fetch_add(frames.len() as u64, Ordering::Relaxed);
        // The batch is durable. If we crash here, recovery retains it, and its senders may send it
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
        self.current.sync().map_err(Error::io(format!("sync {}", self.name)))
    }
}
