//! Which files of segments do not read back: all of them, where a check ends at the first.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::damage::{DamagedFile, Damages};
use crate::disk::durable::{Disk, File};
use crate::disk::objects::FileObjects;
use crate::error::Error;
use crate::manifest;
use crate::manifest::SegmentEntry;
use crate::segment::blocks::BlockReader;
use crate::segment::cache::Cache;

/// The files of the log's segments that do not read back from `files`: the log's own folder, or one
/// with copies, such as a backup. A file is compared with what the log's manifest says of it, so
/// that a copy of another log is no good copy.
pub fn damaged_files(
    log: &Arc<dyn Disk>,
    files: &Arc<dyn Disk>,
) -> Result<Vec<DamagedFile>, Error> {
    let (manifest, _) = manifest::read(&FileObjects::new(Arc::clone(log)))?;
    let damages = Damages::default();
    for named in &manifest.segments {
        let [table, index] = named.files();
        for checked in [check_table(&**files, &table, named), check_index(&**files, &index, named)]
        {
            match checked {
                Err(why) if why.is_unreadable() => damages.note(&why),
                checked => checked?,
            }
        }
    }
    Ok(damages.files())
}

/// Bytes of a table hashed at once.
const HASHED_AT_ONCE: usize = 1 << 20;

fn check_table(disk: &dyn Disk, path: &str, named: &SegmentEntry) -> Result<(), Error> {
    let file = open(disk, path, named.table_bytes)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; HASHED_AT_ONCE];
    for offset in (0..named.table_bytes).step_by(HASHED_AT_ONCE) {
        let left = usize::try_from(named.table_bytes - offset).unwrap_or(usize::MAX);
        let piece = &mut buffer[..left.min(HASHED_AT_ONCE)];
        file.read_at(offset, piece).map_err(Error::io(format!("read {path}")))?;
        hash.update(piece);
    }
    if hex::encode(hash.finalize()) == named.table_sha256 {
        return Ok(());
    }
    Err(Error::damage(path, 0, "the table has another SHA-256 than the manifest names"))
}

fn check_index(disk: &dyn Disk, path: &str, named: &SegmentEntry) -> Result<(), Error> {
    let file = open(disk, path, named.index_bytes)?;
    BlockReader::open(file, path, Arc::new(Cache::new(0)))?.check(&mut |_| {})
}

/// Opens a file of this length.
fn open(disk: &dyn Disk, path: &str, len_bytes: u64) -> Result<Arc<dyn File>, Error> {
    let file = disk.open(path).map_err(|cause| match cause.kind() {
        std::io::ErrorKind::NotFound => Error::damage(path, 0, "it is not there"),
        _ => Error::Io { doing: format!("open {path}"), cause },
    })?;
    match file.len_bytes().map_err(Error::io(format!("read {path}")))? {
        len if len == len_bytes => Ok(file),
        len => Err(Error::damage(path, len, format!("it has {len} bytes, not {len_bytes}"))),
    }
}
