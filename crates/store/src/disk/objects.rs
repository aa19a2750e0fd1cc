//! Small whole objects. A writer must have read the newest version to replace one.

use std::io;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::disk::durable;
use crate::disk::durable::{Disk, Wait};
use crate::error::Error;

/// Named objects. An object exists whole or not at all, whenever the machine stops.
pub trait Objects: Send + Sync {
    /// The object of that name; `None` when there is none.
    fn get(&self, name: &str) -> Result<Option<Object>, Error>;

    /// Makes `bytes` the object of that name, durably, if it still has the version `seen` (`None`:
    /// if it does not exist), and makes the folder of the name if it is missing. Errs with
    /// [`Error::Changed`] otherwise.
    fn replace(&self, name: &str, bytes: &[u8], seen: Option<Version>) -> Result<Version, Error>;
}

/// An object as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// All of its bytes.
    pub bytes: Vec<u8>,
    /// The version to pass when replacing it.
    pub version: Version,
}

/// Version of an object: the SHA-256 of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version([u8; 32]);

impl Version {
    pub(crate) fn of(bytes: &[u8]) -> Version {
        Version(Sha256::digest(bytes).into())
    }
}

/// Objects as files of a [`Disk`].
pub struct FileObjects {
    disk: Arc<dyn Disk>,
}

impl FileObjects {
    /// The objects on this disk.
    pub fn new(disk: Arc<dyn Disk>) -> FileObjects {
        FileObjects { disk }
    }
}

impl Objects for FileObjects {
    fn get(&self, name: &str) -> Result<Option<Object>, Error> {
        match durable::read_file(&*self.disk, name) {
            Ok(bytes) => Ok(Some(Object { version: Version::of(&bytes), bytes })),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(Error::Io { doing: format!("read {name}"), cause }),
        }
    }

    fn replace(&self, name: &str, bytes: &[u8], seen: Option<Version>) -> Result<Version, Error> {
        let folder = durable::parent(name);
        if !folder.is_empty() {
            durable::make_folder(&*self.disk, folder)
                .map_err(Error::io(format!("make {folder}")))?;
        }
        let _guard = self
            .disk
            .lock(&format!("{name}.lock"), Wait::Yes)
            .map_err(Error::io(format!("lock {name}")))?;
        if self.get(name)?.map(|object| object.version) != seen {
            return Err(Error::Changed { name: name.to_owned() });
        }
        durable::write_file(&*self.disk, name, bytes)
            .map_err(Error::io(format!("write {name}")))?;
        Ok(Version::of(bytes))
    }
}
