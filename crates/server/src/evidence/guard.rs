//! The rollback guard: the newest checkpoint outside the data directory. It detects a directory
//! that was replaced by an older copy of itself, or that is a copy of another one.
//!
//! The guard is a folder beside the data directory, or the one of `evidence.guard`. It has the
//! newest checkpoint, replaced by compare-and-swap before anyone sees that checkpoint, and a lock
//! that the one server of the log holds.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use store::durable::{Disk, Local, Wait};
use store::{FileObjects, Objects, Version};

const CHECKPOINT: &str = "checkpoint";
const SERVING: &str = "serving.lock";

/// An open guard.
pub struct Guard {
    folder: PathBuf,
    objects: FileObjects,
    /// Held until it is dropped.
    _serving: Mutex<Box<dyn Send>>,
}

/// The folder of a data directory's guard.
pub fn folder_of(data_dir: &Path, configured: Option<&Path>) -> Result<PathBuf, String> {
    if let Some(folder) = configured {
        return Ok(folder.to_owned());
    }
    let real = data_dir
        .canonicalize()
        .map_err(|error| format!("couldn't find {}: {error}", data_dir.display()))?;
    match real.file_name() {
        Some(name) => {
            let mut name = name.to_owned();
            name.push(".guard");
            Ok(real.with_file_name(name))
        }
        None => Err("nothing can be beside a data directory that is the root; set evidence.guard"
            .to_owned()),
    }
}

/// The checkpoint of the guard in this folder, read without holding the guard. `None` if there is
/// none.
pub fn checkpoint_in(folder: &Path) -> Result<Option<Vec<u8>>, String> {
    let found = FileObjects::new(Arc::new(Local::open(folder))).get(CHECKPOINT);
    let found = found.map_err(|error| format!("the guard {}: {error}", folder.display()))?;
    Ok(found.map(|object| object.bytes))
}

impl Guard {
    /// Opens the guard in this folder; `None` if there is none. An error while another server holds
    /// it.
    pub fn open(folder: &Path) -> Result<Option<Guard>, String> {
        let is_there = folder.join(CHECKPOINT).try_exists();
        if !is_there
            .map_err(|error| format!("couldn't look for the guard {}: {error}", folder.display()))?
        {
            return Ok(None);
        }
        Guard::on(Local::open(folder), folder).map(Some)
    }

    /// Opens the guard in this folder, and makes an empty one if there is none.
    pub fn create(folder: &Path) -> Result<Guard, String> {
        let local = Local::create(folder).map_err(|error| {
            format!(
                "couldn't create the guard {}: {error}; set evidence.guard to a folder outside of the data directory that the server may create",
                folder.display()
            )
        })?;
        Guard::on(local, folder)
    }

    fn on(local: Local, folder: &Path) -> Result<Guard, String> {
        let disk: Arc<dyn Disk> = Arc::new(local);
        let serving = disk.lock(SERVING, Wait::No).map_err(|error| match error.kind() {
            std::io::ErrorKind::WouldBlock => {
                format!("the guard {} is held: a server of this log is running", folder.display())
            }
            _ => format!("couldn't lock the guard {}: {error}", folder.display()),
        })?;
        let objects = FileObjects::new(disk);
        Ok(Guard { folder: folder.to_owned(), objects, _serving: Mutex::new(serving) })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The newest checkpoint, and its version for [`Guard::replace`].
    pub fn newest(&self) -> Result<Option<(Vec<u8>, Version)>, store::Error> {
        Ok(self.objects.get(CHECKPOINT)?.map(|object| (object.bytes, object.version)))
    }

    /// Replaces the checkpoint. [`store::Error::Changed`] if somebody else did since `seen`.
    pub fn replace(&self, note: &[u8], seen: Option<Version>) -> Result<Version, store::Error> {
        self.objects.replace(CHECKPOINT, note, seen)
    }
}
