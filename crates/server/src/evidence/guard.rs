//! The guard: what was signed last, kept outside the data directory, so that a directory which was
//! replaced by an older copy of itself, or is a copy of another one, is not served as if nothing
//! had happened.
//!
//! It is a folder beside the data directory, or where `evidence.guard` says: the newest checkpoint,
//! replaced by compare-and-swap before that checkpoint is shown to anyone, and a lock that is held
//! by the one server of the log.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use store::durable::{Disk, Local, Wait};
use store::{FileObjects, Objects, Version};

const CHECKPOINT: &str = "checkpoint";
const SERVING: &str = "serving.lock";

/// An open guard.
pub struct Guard {
    place: PathBuf,
    objects: FileObjects,
    /// Never used, only dropped.
    _serving: Mutex<Box<dyn Send>>,
}

/// Where the guard of a data directory is.
pub fn place_of(data_dir: &Path, configured: Option<&Path>) -> Result<PathBuf, String> {
    if let Some(place) = configured {
        return Ok(place.to_owned());
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
        None => Err("a data directory that is the root has no place beside it; set evidence.guard"
            .to_owned()),
    }
}

impl Guard {
    /// Opens the guard in this folder; `None` when there is none. Errs while another server holds
    /// it.
    pub fn open(place: &Path) -> Result<Option<Guard>, String> {
        let is_there = place.join(CHECKPOINT).try_exists();
        if !is_there
            .map_err(|error| format!("couldn't look for the guard {}: {error}", place.display()))?
        {
            return Ok(None);
        }
        Guard::on(Local::open(place), place).map(Some)
    }

    /// Makes the folder of a guard that has seen nothing yet, if it is not there, and opens it.
    pub fn create(place: &Path) -> Result<Guard, String> {
        let local = Local::create(place).map_err(|error| {
            format!(
                "couldn't make the guard {}: {error}; set evidence.guard to a folder that may be made and is not in the data directory",
                place.display()
            )
        })?;
        Guard::on(local, place)
    }

    fn on(local: Local, place: &Path) -> Result<Guard, String> {
        let disk: Arc<dyn Disk> = Arc::new(local);
        let serving = disk.lock(SERVING, Wait::No).map_err(|error| match error.kind() {
            std::io::ErrorKind::WouldBlock => {
                format!("the guard {} is held: a server of this log is running", place.display())
            }
            _ => format!("couldn't lock the guard {}: {error}", place.display()),
        })?;
        let objects = FileObjects::new(disk);
        Ok(Guard { place: place.to_owned(), objects, _serving: Mutex::new(serving) })
    }

    /// Where it is.
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// What was signed last: the note, and what to show when replacing it.
    pub fn newest(&self) -> Result<Option<(Vec<u8>, Version)>, store::Error> {
        Ok(self.objects.get(CHECKPOINT)?.map(|object| (object.bytes, object.version)))
    }

    /// Replaces it. Errs with [`store::Error::Changed`] when somebody else did meanwhile.
    pub fn replace(&self, note: &[u8], seen: Option<Version>) -> Result<Version, store::Error> {
        self.objects.replace(CHECKPOINT, note, seen)
    }
}
