//! The segments that the manifest of a data directory names.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::disk::durable::Disk;
use crate::disk::objects::{FileObjects, Version};
use crate::error::Error;
use crate::manifest;
use crate::manifest::Manifest;
use crate::read::audit_files::AuditFiles;
use crate::segment::cache::Cache;
use crate::segment::segment::Segment;

/// The flushed part of a data directory.
pub(crate) struct Directory {
    pub manifest: Manifest,
    pub version: Option<Version>,
    pub segments: Vec<Arc<Segment>>,
    pub cache: Arc<Cache>,
}

impl Directory {
    /// Reads the manifest and opens the segments it names, changing nothing.
    pub fn open(disk: &Arc<dyn Disk>, cache_bytes_max: u64) -> Result<Directory, Error> {
        let (manifest, version) = manifest::read(&FileObjects::new(Arc::clone(disk)))?;
        Directory::of_manifest(disk, manifest, version, cache_bytes_max)
    }

    /// Errs with the first segment whose files did not open.
    pub fn whole(&self) -> Result<(), Error> {
        self.segments.iter().try_for_each(|segment| segment.whole())
    }

    /// Opens the segments that a manifest names. A segment whose files do not read back is there
    /// all the same: what needs it errs.
    pub fn of_manifest(
        disk: &Arc<dyn Disk>,
        manifest: Manifest,
        version: Option<Version>,
        cache_bytes_max: u64,
    ) -> Result<Directory, Error> {
        let cache = Arc::new(Cache::new(cache_bytes_max));
        let mut segments = Vec::with_capacity(manifest.segments.len());
        for named in &manifest.segments {
            segments.push(Arc::new(Segment::open_named(&**disk, named, &cache)?));
        }
        Ok(Directory { manifest, version, segments, cache })
    }

    /// The audit log files at the flush point, and the first damage that hides some of them.
    pub fn audit_files(&self) -> Result<(AuditFiles, Option<Error>), Error> {
        let mut files = AuditFiles::default();
        let malformed = || Error::damage(manifest::MANIFEST, 0, "a malformed audit log file");
        let mut hidden = None;
        for segment in &self.segments {
            match segment.audit_files() {
                Ok(stored) => stored
                    .iter()
                    .try_for_each(|stored| files.restore(stored).ok_or_else(malformed))?,
                Err(why) if why.is_unreadable() => hidden = hidden.or(Some(why)),
                Err(error) => return Err(error),
            }
        }
        for open in &self.manifest.flushed.open_files {
            let trail = open.trail.parse().map_err(|_| malformed())?;
            let mut hash = Sha256::new();
            let mut left = open.lines;
            for segment in &self.segments {
                let from = open.first_number + (open.lines - left);
                for raw in segment.lines(&trail, from, left)? {
                    hash.update(&raw);
                    hash.update(b"\n");
                    left -= 1;
                }
            }
            if left > 0 {
                return Err(malformed());
            }
            files.restore_open(open, hash).ok_or_else(malformed)?;
        }
        Ok((files, hidden))
    }
}

/// Attempts to read something while the manifest is replaced.
const ATTEMPTS_MAX: usize = 5;

/// Reads what a manifest names; starts again if the process that has the log open replaced it
/// meanwhile. A result that is not whole may lack files that were removed with the old manifest, so
/// it counts as a failure then; with the same manifest it is returned.
pub(crate) fn read_consistently<T>(
    disk: &Arc<dyn Disk>,
    is_whole: &dyn Fn(&T) -> bool,
    read: &mut dyn FnMut(&Manifest) -> Result<T, Error>,
) -> Result<T, Error> {
    let objects = FileObjects::new(Arc::clone(disk));
    let mut attempts = 0;
    loop {
        let (manifest, version) = manifest::read(&objects)?;
        let result = read(&manifest);
        attempts += 1;
        let is_whole = result.as_ref().is_ok_and(is_whole);
        if is_whole || attempts == ATTEMPTS_MAX || manifest::read(&objects)?.1 == version {
            return result;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::simulated::SimulatedDisk;
    use crate::manifest::FlushPoint;

    #[test]
    fn a_read_is_repeated_only_if_the_manifest_was_replaced() {
        let disk: Arc<dyn Disk> = Arc::new(SimulatedDisk::new(1));
        let failure = || Error::damage("x", 0, "gone");
        let mut attempts = 0;
        let failed: Result<(), Error> = read_consistently(&disk, &|_| true, &mut |_| {
            attempts += 1;
            Err(failure())
        });
        assert!(failed.is_err());
        assert_eq!(attempts, 1, "nothing changed");
        let mut attempts = 0;
        let read = read_consistently(&disk, &|_| true, &mut |_| {
            attempts += 1;
            if attempts > 1 {
                return Ok(attempts);
            }
            Manifest::new(Vec::new(), FlushPoint::default()).write_again(&*disk)?;
            Err(failure())
        });
        assert_eq!(read.expect("the second attempt"), 2);
    }

    #[test]
    fn a_result_that_lacks_removed_files_is_not_returned() {
        let disk: Arc<dyn Disk> = Arc::new(SimulatedDisk::new(1));
        let mut attempts = 0;
        let is_whole = |attempt: &i32| *attempt > 1;
        let read = read_consistently(&disk, &is_whole, &mut |_| {
            attempts += 1;
            Manifest::new(Vec::new(), FlushPoint::default()).write_again(&*disk)?;
            Ok(attempts)
        });
        assert_eq!(read.expect("the second attempt"), 2);
        // Nothing was replaced: the files are damaged.
        let read = read_consistently(&disk, &|_| false, &mut |_| Ok(1));
        assert_eq!(read.expect("as it is"), 1);
    }
}
