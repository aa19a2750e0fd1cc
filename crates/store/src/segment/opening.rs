//! Opens the segments that a manifest names. One whose files do not open is known to be there, and
//! not readable.
//!
//! The manifest says which events it has, and between which times. If its table is whole, the table
//! gives the trails as well, so that queries of other trails do without it. Every read of it is the
//! error by which it did not open: no section of its index looks empty, so that nothing takes it
//! for a segment without matches.

use std::io;
use std::sync::Arc;

use event::entry;
use event::{Service, Trail};
use sha2::{Digest, Sha256};
use zstd::zstd_safe::DDict;

use crate::disk::durable::{Disk, File};
use crate::error::Error;
use crate::manifest::SegmentEntry;
use crate::segment::blocks::BlockReader;
use crate::segment::cache::Cache;
use crate::segment::meta::{Meta, Run};
use crate::segment::segment::Segment;
use crate::segment::table::columns::CHUNK;
use crate::segment::table::read::Table;
use crate::segment::unreadable::Unreadable;

/// Rows of a table read at once.
const ROWS_AT_ONCE: usize = 4096;

impl Segment {
    /// Opens the segment that a manifest names; as unreadable when its bytes do not read back.
    pub fn open_named(
        disk: &dyn Disk,
        named: &SegmentEntry,
        cache: &Arc<Cache>,
    ) -> Result<Segment, Error> {
        let opened = Segment::open(disk, &named.name(), Arc::clone(cache)).and_then(|segment| {
            if (segment.meta.first, segment.meta.events) == (named.first, named.events) {
                return Ok(segment);
            }
            let file = format!("{}.index", named.name());
            Err(Error::damage(&file, 0, "it holds other events than the manifest says"))
        });
        match opened {
            Err(why) if why.is_unreadable() => Ok(Segment::unreadable(disk, named, cache, &why)),
            opened => opened,
        }
    }

    fn unreadable(
        disk: &dyn Disk,
        named: &SegmentEntry,
        cache: &Arc<Cache>,
        why: &Error,
    ) -> Segment {
        let table = format!("{}.parquet", named.name());
        let table_file = disk.open(&table).unwrap_or_else(|_| Arc::new(NoFile));
        let runs = runs_of_table(&table_file, &table, named);
        let [earliest_ns, latest_ns] = match (&runs, named.times_ns) {
            (Some(runs), _) => times_of(runs),
            (None, times) => times.unwrap_or([i64::MIN, i64::MAX]),
        };
        let meta = Meta { first: named.first, events: named.events, earliest_ns, latest_ns };
        let (file, offset, what) = match why {
            Error::Damage { file, offset, what } => (file.clone(), *offset, what.clone()),
            other => (format!("{}.index", named.name()), 0, other.to_string()),
        };
        let knows_trails = runs.is_some();
        let unreadable = Unreadable { file, offset, what, knows_trails };
        let index = BlockReader::unreadable(Arc::new(NoFile), Arc::clone(cache), &unreadable);
        let parts = (index, runs.unwrap_or_default(), DDict::create(&[]), table_file);
        Segment::of_parts(meta, named.name(), parts, Some(unreadable))
    }
}

fn times_of(runs: &[(Trail, Run)]) -> [i64; 2] {
    let earliest = runs.iter().map(|(_, run)| run.earliest_ns).min();
    let latest = runs.iter().map(|(_, run)| run.latest_ns).max();
    [earliest.unwrap_or(i64::MIN), latest.unwrap_or(i64::MAX)]
}

/// The trails and their rows, from a table with the SHA-256 that the manifest names.
fn runs_of_table(
    file: &Arc<dyn File>,
    name: &str,
    named: &SegmentEntry,
) -> Option<Vec<(Trail, Run)>> {
    let checksums = checksums_if_whole(&**file, named).ok()??;
    let table = Table::open(Arc::clone(file), name, checksums).ok()?;
    let rows = u32::try_from(named.events).ok().filter(|_| table.rows() == named.events)?;
    let mut runs: Vec<(Trail, Run)> = Vec::new();
    let mut databases = 0;
    for first in (0..rows).step_by(ROWS_AT_ONCE) {
        let count = ROWS_AT_ONCE.min((rows - first) as usize);
        let entries = table.entries(u64::from(first), count).ok()?;
        for (row, bytes) in (first..).zip(entries) {
            let entry = entry::decode(&bytes).ok()?;
            let (number, at) = (entry.number, entry.event.occurred_at.unix_ns());
            let is_database = entry.event.trail.service() == Service::Database;
            match runs.last_mut() {
                Some((trail, run)) if *trail == entry.event.trail => {
                    run.end = row + 1;
                    run.first_number = run.first_number.min(number);
                    run.latest_ns = run.latest_ns.max(at);
                    run.earliest_ns = run.earliest_ns.min(at);
                }
                _ => runs.push((
                    entry.event.trail,
                    Run {
                        start: row,
                        end: row + 1,
                        first_number: number,
                        earliest_ns: at,
                        latest_ns: at,
                        before: databases,
                    },
                )),
            }
            databases += u32::from(is_database);
        }
    }
    runs.is_sorted_by(|one, next| one.0 < next.0).then_some(runs)
}

/// The checksums of a table's chunks; `None` when it is another table than the manifest names.
fn checksums_if_whole(file: &dyn File, named: &SegmentEntry) -> io::Result<Option<Vec<u32>>> {
    let len = file.len_bytes()?;
    let (mut hash, mut checksums) = (Sha256::new(), Vec::new());
    let mut chunk = vec![0; CHUNK];
    for offset in (0..len).step_by(CHUNK) {
        let count = CHUNK.min(usize::try_from(len - offset).unwrap_or(usize::MAX));
        file.read_at(offset, &mut chunk[..count])?;
        hash.update(&chunk[..count]);
        checksums.push(crc32c::crc32c(&chunk[..count]));
    }
    let is_whole = len == named.table_bytes && hex::encode(hash.finalize()) == named.table_sha256;
    Ok(is_whole.then_some(checksums))
}

/// Stands for a file that is not there.
struct NoFile;

impl NoFile {
    fn gone<T>() -> io::Result<T> {
        Err(io::Error::new(io::ErrorKind::NotFound, "the file does not open"))
    }
}

impl File for NoFile {
    fn len_bytes(&self) -> io::Result<u64> {
        NoFile::gone()
    }

    fn read_at(&self, _: u64, _: &mut [u8]) -> io::Result<()> {
        NoFile::gone()
    }

    fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
        NoFile::gone()
    }

    fn cut(&self, _: u64) -> io::Result<()> {
        NoFile::gone()
    }

    fn allocate(&self, _: u64) -> io::Result<()> {
        NoFile::gone()
    }

    fn sync(&self) -> io::Result<()> {
        NoFile::gone()
    }
}
