//! Reading and replacing `access.toml` in a data directory.
//!
//! A change reads the newest version, applies itself, and replaces the file only if nobody changed
//! it meanwhile.

use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use store::durable::Local;
use store::{FileObjects, Objects};

use super::entries::{AccessFile, VERSION};
use crate::checksum::{self, Checksum};
use crate::error::Error;

/// Most attempts at a change while others change the file at the same moment.
const ATTEMPTS_MAX: usize = 10;
/// Applies `change` to the file of a data directory and replaces the file durably. Returns the
/// result of `change` and the new version.
pub fn change<T>(
    data_dir: &Path,
    mut change: impl FnMut(&mut AccessFile) -> Result<T, Error>,
) -> Result<(T, AccessFile), Error> {
    let objects = FileObjects::new(Arc::new(Local::open(data_dir)));
    for _ in 0..ATTEMPTS_MAX {
        let object = objects.get(store::ACCESS)?;
        let mut file = match &object {
            Some(object) => parse_object(&object.bytes)?,
            None => AccessFile { version: VERSION, ..AccessFile::default() },
        };
        let result = change(&mut file)?;
        let before = object.as_ref().map(|object| &object.bytes[..]);
        let text = if is_ours(&objects, before)? { file.text() } else { file.bare_text() };
        match objects.replace(store::ACCESS, text.as_bytes(), object.map(|object| object.version)) {
            Ok(_) => return Ok((result, file)),
            Err(store::Error::Changed { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::refused("others keep changing access.toml; try again"))
}

/// Whether these bytes of the file are Daybook's: it wrote them, or the log recorded them. A change
/// to other bytes gets no checksum, so that the server sees that they came from elsewhere.
fn is_ours(objects: &FileObjects, bytes: Option<&[u8]>) -> Result<bool, Error> {
    let Some(bytes) = bytes else { return Ok(true) };
    let is_written = checksum::split(&String::from_utf8_lossy(bytes)).0 == Checksum::Right;
    Ok(is_written || objects.get(store::ACCESS_RECORDED)?.is_some_and(|copy| copy.bytes == bytes))
}

/// The file of a data directory; empty if there is none.
pub fn read(data_dir: &Path) -> Result<AccessFile, Error> {
    read_object(data_dir, store::ACCESS)
}

/// The version of the file that the log recorded last; empty if there is none.
pub fn read_recorded(data_dir: &Path) -> Result<AccessFile, Error> {
    read_object(data_dir, store::ACCESS_RECORDED)
}

/// A version of the file, as its bytes and as they read.
#[derive(Debug, Clone, Default)]
pub struct Version {
    pub file: AccessFile,
    /// SHA-256 of the bytes, in hex; `None` if there is no file.
    pub sha256: Option<String>,
    pub checksum: Option<Checksum>,
    /// Id of the user who owns the file.
    pub owner: Option<u32>,
    text: String,
}

/// The newest version of the file.
pub fn read_version(data_dir: &Path) -> Result<Version, Error> {
    version(data_dir, store::ACCESS)
}

/// The version of the file that was recorded last, as the copy beside the file has it.
pub fn read_recorded_version(data_dir: &Path) -> Result<Version, Error> {
    version(data_dir, store::ACCESS_RECORDED)
}

fn version(data_dir: &Path, name: &str) -> Result<Version, Error> {
    use std::os::unix::fs::MetadataExt;
    let Some(object) = FileObjects::new(Arc::new(Local::open(data_dir))).get(name)? else {
        let file = AccessFile { version: VERSION, ..AccessFile::default() };
        return Ok(Version { file, ..Version::default() });
    };
    let file = parse_object(&object.bytes)?;
    let text = String::from_utf8_lossy(&object.bytes).into_owned();
    // The owner is a hint for people; another version may have come since.
    let owner = std::fs::metadata(data_dir.join(name)).ok().map(|metadata| metadata.uid());
    Ok(Version {
        file,
        sha256: Some(hex::encode(Sha256::digest(&object.bytes))),
        checksum: Some(checksum::split(&text).0),
        owner,
        text,
    })
}

impl Version {
    /// A version that is to be written.
    pub(crate) fn of(file: AccessFile) -> Version {
        let text = file.text();
        Version {
            sha256: Some(hex::encode(Sha256::digest(&text))),
            checksum: Some(Checksum::Right),
            owner: None,
            file,
            text,
        }
    }

    /// The SHA-256 of the bytes; of none, if there is no file.
    pub fn anchor(&self) -> String {
        self.sha256.clone().unwrap_or_else(|| hex::encode(Sha256::digest("")))
    }
}

/// Stores the version that the log recorded.
pub(crate) fn write_recorded(data_dir: &Path, version: &Version) -> Result<(), Error> {
    let objects = FileObjects::new(Arc::new(Local::open(data_dir)));
    let seen = objects.get(store::ACCESS_RECORDED)?.map(|object| object.version);
    objects.replace(store::ACCESS_RECORDED, version.text.as_bytes(), seen)?;
    Ok(())
}

fn read_object(data_dir: &Path, name: &str) -> Result<AccessFile, Error> {
    version(data_dir, name).map(|version| version.file)
}

fn parse_object(bytes: &[u8]) -> Result<AccessFile, Error> {
    let text =
        std::str::from_utf8(bytes).map_err(|_| Error::refused("access.toml is not UTF-8"))?;
    AccessFile::parse(text).map_err(|why| Error::refused(format!("access.toml: {why}")))
}
