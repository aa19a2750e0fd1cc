//! The table and the index of a segment while it is written.

use std::sync::Arc;

use crate::disk::durable::{Disk, File};
use crate::disk::layout::{SEGMENTS, UNFINISHED};
use crate::error::Error;
use crate::manifest::SegmentEntry;

/// The table and the index of a segment while it is written.
pub(crate) struct SegmentFiles {
    pub table: Arc<dyn File>,
    pub index: Arc<dyn File>,
}

impl SegmentFiles {
    pub fn create(disk: &dyn Disk, named: &SegmentEntry) -> Result<SegmentFiles, Error> {
        let [table, index] = named.files().map(|path| {
            disk.create(&format!("{path}{UNFINISHED}")).map_err(Error::io(format!("make {path}")))
        });
        Ok(SegmentFiles { table: table?, index: index? })
    }

    /// Makes the files durable under their names.
    pub fn finish(self, disk: &dyn Disk, named: &SegmentEntry) -> Result<(), Error> {
        for (file, path) in [self.table, self.index].into_iter().zip(named.files()) {
            file.sync().map_err(Error::io(format!("sync {path}")))?;
            // If we crash here, the files are void by their names.
            disk.rename(&format!("{path}{UNFINISHED}"), &path)
                .map_err(Error::io(format!("rename {path}")))?;
        }
        disk.sync_dir(SEGMENTS).map_err(Error::io("sync the segments' folder"))
    }

    pub fn discard(self, disk: &dyn Disk, named: &SegmentEntry) -> Result<(), Error> {
        named.files().into_iter().try_for_each(|path| {
            disk.remove(&format!("{path}{UNFINISHED}")).map_err(Error::io(format!("remove {path}")))
        })
    }
}

/// Removes the files of a segment that no manifest names, finished or not. The next start removes
/// those that stay.
pub(crate) fn remove(disk: &dyn Disk, unnamed: &SegmentEntry) {
    for path in unnamed.files() {
        let _ = disk.remove(&format!("{path}{UNFINISHED}"));
        let _ = disk.remove(&path);
    }
}

/// The same of segments that begin with the event of this index.
pub(crate) fn remove_from(disk: &dyn Disk, first: u64) {
    let begins = format!("{first:020}-");
    let names = disk.list(SEGMENTS).unwrap_or_default();
    for name in names.iter().filter(|name| name.starts_with(&begins)) {
        let _ = disk.remove(&format!("{SEGMENTS}/{name}"));
    }
}
