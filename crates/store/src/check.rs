//! Checks a data directory: derives everything again from the raw bytes, and changes nothing.

#![allow(
    clippy::cast_possible_truncation,
    reason = "rows of a segment are fewer than 2^32; platforms have 64 bits"
)]

use std::ops::Range;
use std::sync::Arc;

use event::entry::{self, Entry};
use event::{Service, Time, Trail};
use sha2::{Digest, Sha256};
use tlog::Hash;

use crate::disk::durable::Disk;
use crate::disk::identity;
use crate::disk::identity::Identity;
use crate::disk::layout::{DIGESTS, JOURNAL, level_file};
use crate::disk::tree_files::{LEVELS, TreeFiles};
use crate::error::Error;
use crate::journal::batch::Batch;
use crate::journal::scan::{self, JournalEnd, TornTail};
use crate::log::history::{History, ReplayedEvent, decoded};
use crate::log::recovery;
use crate::manifest::{MANIFEST, Manifest, SegmentEntry};
use crate::read::directory;
use crate::read::directory::Directory;
use crate::segment::check::ValueChecksums;
use crate::segment::segment::Segment;
use crate::segment::table::columns::CHUNK;

/// The result of a check of an intact log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Identity of the log.
    pub identity: Identity,
    /// Journal files.
    pub files: usize,
    /// Segments of flushed events.
    pub segments: usize,
    /// Bytes read.
    pub bytes: u64,
    /// Batches, each made durable with one sync.
    pub batches: u64,
    /// Events; also the size of the tree.
    pub events: u64,
    /// Root of the tree over their digests.
    pub root: Hash,
    /// Trails that hold events.
    pub trails: usize,
    /// Events of each service that has any, in the order of services.
    pub events_of: Vec<(Service, u64)>,
    /// Dead letters.
    pub dead_letters: u64,
    /// Bytes behind the last whole batch.
    pub torn_tail: Option<TornTail>,
}

/// Progress of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes read so far.
    pub done_bytes: u64,
    /// Bytes to read.
    pub total_bytes: u64,
}

/// Checks the log on this disk: the checksum of every frame, the form and number of every entry,
/// the hash of all raw bytes, the tree of every batch, and that table, index and digests of every
/// segment agree. A process may have the log open meanwhile. Errs with the first damage, by file
/// and offset.
pub fn check(disk: &Arc<dyn Disk>, progress: &mut dyn FnMut(Progress)) -> Result<Report, Error> {
    let identity = identity::read(disk)?;
    directory::read_consistently(disk, &|_| true, &mut |manifest| {
        check_once(disk, &identity, manifest, progress)
    })
}

fn check_once(
    disk: &Arc<dyn Disk>,
    identity: &Identity,
    manifest: &Manifest,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, Error> {
    let named = |segment: &SegmentEntry| segment.table_bytes + segment.index_bytes;
    let mut total_bytes: u64 = manifest.segments.iter().map(named).sum();
    for name in disk.list(JOURNAL).map_err(Error::io(format!("list {JOURNAL}")))? {
        let path = format!("{JOURNAL}/{name}");
        total_bytes += disk
            .open(&path)
            .and_then(|file| file.len_bytes())
            .map_err(Error::io(format!("open {path}")))?;
    }
    let mut done_bytes = 0;
    let opened = Directory::of_manifest(disk, manifest.clone(), None, CACHE_BYTES)?;
    opened.whole()?;
    let mut history = History::default();
    let tree = TreeFiles::on(Arc::clone(disk));
    let mut filled = [0; LEVELS];
    for (segment, named) in opened.segments.iter().zip(&manifest.segments) {
        let mut each = |bytes| progress(Progress { done_bytes: done_bytes + bytes, total_bytes });
        check_segment(disk, segment, named, &mut history, &mut each)?;
        for (level, hash) in history.filled.drain(..) {
            let position = &mut filled[level as usize - 1];
            if tree.hashes(level, *position, 1)? != [hash] {
                let offset = *position * 32;
                return Err(Error::damage(
                    &level_file(level),
                    offset,
                    "another hash than the digests make",
                ));
            }
            *position += 1;
        }
        done_bytes += named.table_bytes + named.index_bytes;
        progress(Progress { done_bytes, total_bytes });
    }
    let flushed = &manifest.flushed;
    if history.tree != flushed.tree().unwrap_or_default()
        || history.received_at != flushed.received_at()
    {
        return Err(Error::damage(MANIFEST, 0, "the segments make another tree than it names"));
    }
    if let (_, Some(hidden)) = opened.audit_files()? {
        return Err(hidden);
    }
    (_, history.dead_letters) = recovery::dead_letters(&**disk, &identity.salt, flushed)?;
    history.batches = flushed.batches;
    let compare = &mut |ReplayedEvent { entry, raw, .. }: ReplayedEvent<'_>| {
        if Sha256::digest(raw)[..] == entry.raw_sha256 {
            Ok(())
        } else {
            Err("the raw bytes are not those the entry names")
        }
    };
    let mut replay = |batches: &[Batch<'_>]| {
        batches.iter().try_for_each(|batch| history.replay(batch, &mut decoded, compare))
    };
    let mut read = |bytes| {
        done_bytes += bytes;
        progress(Progress { done_bytes, total_bytes });
    };
    let JournalEnd { names: files, torn_tail, .. } =
        scan::scan_all(&**disk, identity, manifest.start(), &mut replay, &mut read)?;
    Ok(Report {
        identity: identity.clone(),
        files: files.len(),
        segments: manifest.segments.len(),
        bytes: done_bytes,
        batches: history.batches,
        events: history.tree.size(),
        root: history.tree.root(),
        trails: history.trails(),
        events_of: Service::ALL
            .into_iter()
            .map(|service| (service, history.events_of(service)))
            .filter(|(_, events)| *events > 0)
            .collect(),
        dead_letters: history.dead_letters.size(),
        torn_tail,
    })
}

/// Bytes of indexes that a check holds in memory.
const CACHE_BYTES: u64 = 64 << 20;
/// Rows of a table read at once.
const ROWS_AT_ONCE: usize = 4096;

/// Checks the files of a segment and continues the history with its events. All processors check
/// rows.
fn check_segment(
    disk: &Arc<dyn Disk>,
    segment: &Segment,
    named: &SegmentEntry,
    history: &mut History,
    each: &mut dyn FnMut(u64),
) -> Result<(), Error> {
    let table = segment.table_name();
    check_file(&**disk, &table, named, &segment.table_checksums()?)?;
    let count = usize::try_from(named.events).map_err(|_| Error::damage(DIGESTS, 0, "too many"))?;
    let digests = TreeFiles::on(Arc::clone(disk)).digests(named.first, count)?;
    // One slot for each event, in order of the indexes.
    let mut events: Vec<Option<EventCheck>> = (0..named.events).map(|_| None).collect();
    let wrong = |row: u32, what: &str| Error::damage(&table, 0, format!("row {row}: {what}"));
    let rows = u32::try_from(named.events).map_err(|_| wrong(0, "too many rows"))?;
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut checksums = ValueChecksums::new();
    let mut last: Option<RowKey> = None;
    for first in (0..rows).step_by(ROWS_AT_ONCE * processors) {
        let end = rows.min(first + (ROWS_AT_ONCE * processors) as u32);
        let pieces: Vec<Result<RowsCheck, Error>> = std::thread::scope(|scope| {
            let check = |first: u32| {
                let (digests, checksums) = (&digests[..], checksums.none());
                let rows = first..end.min(first + ROWS_AT_ONCE as u32);
                scope.spawn(move || check_rows(segment, named, digests, rows, checksums))
            };
            let threads: Vec<_> = (first..end).step_by(ROWS_AT_ONCE).map(check).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("a check does not panic"))
                .collect()
        });
        for piece in pieces {
            let RowsCheck { first: key, last: last_key, rows, checksums: of_piece } = piece?;
            let first_row = rows.first().map_or(0, |(_, checked)| checked.row);
            if last.as_ref().is_some_and(|last| *last >= key) {
                return Err(wrong(first_row, "the row does not come behind the one before"));
            }
            last = Some(last_key);
            checksums.add_all(&of_piece);
            for (index, checked) in rows {
                let slot = &mut events[(index - named.first) as usize];
                if slot.is_some() {
                    return Err(wrong(checked.row, "an index that is twice in the segment"));
                }
                *slot = Some(checked);
            }
        }
        each(named.table_bytes / u64::from(rows) * u64::from(end));
    }
    segment.check(&checksums, &mut |read| each(named.table_bytes + read))?;
    for ((event, digest), index) in events.into_iter().zip(&digests).zip(named.first..) {
        let event =
            event.ok_or_else(|| Error::damage(&table, 0, format!("event {index} is missing")))?;
        let (trail, _) = segment.run_of(event.row);
        history
            .go_on(digest, trail, event.number, event.received_at)
            .map_err(|what| Error::damage(&table, 0, format!("event {index}: {what}")))?;
    }
    Ok(())
}

/// The sort key of a row: trail, time, index.
type RowKey = (Trail, Time, u64);

/// Consecutive rows that passed the check.
struct RowsCheck {
    first: RowKey,
    last: RowKey,
    /// The rows with their indexes; all of them lie in the segment.
    rows: Vec<(u64, EventCheck)>,
    checksums: ValueChecksums,
}

/// The parts of an event that continue the history. The row gives the trail, because rows are
/// checked to be in order.
struct EventCheck {
    row: u32,
    number: u64,
    received_at: Time,
}

/// Checks at least one row: entry, raw bytes, digest and index must describe the same event.
/// `checksums` must be empty.
fn check_rows(
    segment: &Segment,
    named: &SegmentEntry,
    digests: &[Hash],
    rows: Range<u32>,
    mut checksums: ValueChecksums,
) -> Result<RowsCheck, Error> {
    let table = segment.table_name();
    let wrong = |row: u32, what: &str| Error::damage(&table, 0, format!("row {row}: {what}"));
    let stored = segment.entries(rows.start, rows.len())?;
    let raws = segment.raws(rows.start, rows.len())?;
    let mut reader = segment.rows();
    let mut keys: Option<(RowKey, RowKey)> = None;
    let mut checked = Vec::with_capacity(rows.len());
    for ((row, stored), raw) in rows.zip(stored).zip(raws) {
        let (index, indexed) = reader.entry(row)?;
        let entry = entry::decode(&stored).map_err(|error| wrong(row, &error.to_string()))?;
        let position =
            index.checked_sub(named.first).and_then(|position| usize::try_from(position).ok());
        let digest = position
            .and_then(|position| digests.get(position))
            .ok_or_else(|| wrong(row, "an index that is not the segment's"))?;
        if *digest != entry::digest(&stored) {
            return Err(wrong(row, "the entry has another digest than the one recorded"));
        }
        if Sha256::digest(&raw)[..] != entry.raw_sha256 {
            return Err(wrong(row, "the raw bytes are not those the entry names"));
        }
        if !segment.is_known(&entry)? {
            return Err(wrong(row, "the index does not have the event's key"));
        }
        checksums.add(row, &entry.event);
        let key = (entry.event.trail.clone(), entry.event.occurred_at, index);
        keys = match keys {
            Some((_, last)) if last >= key => {
                return Err(wrong(row, "the row does not come behind the one before"));
            }
            Some((first, _)) => Some((first, key)),
            None => Some((key.clone(), key)),
        };
        checked.push((
            index,
            EventCheck { row, number: entry.number, received_at: entry.received_at },
        ));
        if *segment.run_of(row).0 != entry.event.trail || indexed != as_indexed(entry) {
            return Err(wrong(row, "the index describes another event than the table"));
        }
    }
    let (first, last) = keys.expect("at least one row");
    Ok(RowsCheck { first, last, rows: checked, checksums })
}

/// An entry without the parts that an index leaves out.
fn as_indexed(mut entry: Entry) -> Entry {
    entry.event.origin.key = None;
    entry.raw_sha256 = [0; 32];
    entry
}

/// Checks the bytes of a table against the checksums in the index, which locate a difference, and
/// against the hash in the manifest.
fn check_file(
    disk: &dyn Disk,
    path: &str,
    named: &SegmentEntry,
    checksums: &[u32],
) -> Result<(), Error> {
    let file = disk.open(path).map_err(Error::io(format!("open {path}")))?;
    let len = file.len_bytes().map_err(Error::io(format!("read {path}")))?;
    if len != named.table_bytes {
        return Err(Error::damage(
            path,
            len,
            format!("it has {len} bytes, not {}", named.table_bytes),
        ));
    }
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut at = 0;
    while at < len {
        let count = buffer.len().min(usize::try_from(len - at).unwrap_or(usize::MAX));
        file.read_at(at, &mut buffer[..count]).map_err(Error::io(format!("read {path}")))?;
        for (chunk, offset) in buffer[..count].chunks(CHUNK).zip((at..).step_by(CHUNK)) {
            if checksums.get((offset / CHUNK as u64) as usize) != Some(&crc32c::crc32c(chunk)) {
                return Err(Error::damage(
                    path,
                    offset,
                    "bytes of the table have another checksum",
                ));
            }
        }
        hash.update(&buffer[..count]);
        at += count as u64;
    }
    if hex::encode(hash.finalize()) == named.table_sha256 {
        Ok(())
    } else {
        Err(Error::damage(path, 0, "the table has another SHA-256 than the manifest names"))
    }
}
