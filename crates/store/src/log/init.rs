//! Makes a log.

use std::sync::Arc;

use crate::disk::durable::Disk;
use crate::disk::identity::Identity;
use crate::disk::layout::{JOURNAL, KEYS};
use crate::disk::{durable, identity};
use crate::error::Error;
use crate::journal::scan;

/// Makes an empty log on an empty disk.
///
/// `objects` are further objects to write, such as keys. The directory is a log only once this
/// returned: after a crash before, [`Log::open`](crate::Log::open) refuses it. Errs with
/// [`Error::NotEmpty`] when anything is there.
pub fn init(
    disk: &Arc<dyn Disk>,
    identity: &Identity,
    objects: &[(&str, &[u8])],
) -> Result<(), Error> {
    if !disk.list("").map_err(Error::io("list the data directory"))?.is_empty() {
        return Err(Error::NotEmpty { location: disk.location() });
    }
    for dir in [JOURNAL, KEYS] {
        disk.make_dir(dir).map_err(Error::io(format!("make {dir}")))?;
    }
    scan::create_first(&**disk, identity)?;
    for (name, bytes) in objects {
        durable::write_file(&**disk, name, bytes).map_err(Error::io(format!("write {name}")))?;
    }
    disk.sync_dir("").map_err(Error::io("sync the data directory"))?;
    // Everything but the identity is on disk; writing it makes this a log.
    identity::write(&**disk, identity)
}
