//! Reading and replacing `access.toml` in a data directory.
//!
//! A change reads the newest version, applies itself, and replaces the file only if nobody changed
//! it meanwhile.

use std::path::Path;
use std::sync::Arc;

use store::durable::Local;
use store::{FileObjects, Objects};

use super::entries::{AccessFile, VERSION};
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
        match objects.replace(
            store::ACCESS,
            file.text().as_bytes(),
            object.map(|object| object.version),
        ) {
            Ok(_) => return Ok((result, file)),
            Err(store::Error::Changed { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::refused("others keep changing access.toml; try again"))
}

/// The file of a data directory; empty if there is none.
pub fn read(data_dir: &Path) -> Result<AccessFile, Error> {
    read_object(data_dir, store::ACCESS)
}

/// The version of the file that the log recorded last; empty if there is none.
pub fn read_recorded(data_dir: &Path) -> Result<AccessFile, Error> {
    read_object(data_dir, store::ACCESS_RECORDED)
}

/// Stores the version that the log recorded.
pub fn write_recorded(data_dir: &Path, file: &AccessFile) -> Result<(), Error> {
    let objects = FileObjects::new(Arc::new(Local::open(data_dir)));
    let seen = objects.get(store::ACCESS_RECORDED)?.map(|object| object.version);
    objects.replace(store::ACCESS_RECORDED, file.text().as_bytes(), seen)?;
    Ok(())
}

fn read_object(data_dir: &Path, name: &str) -> Result<AccessFile, Error> {
    match FileObjects::new(Arc::new(Local::open(data_dir))).get(name)? {
        Some(object) => parse_object(&object.bytes),
        None => Ok(AccessFile { version: VERSION, ..AccessFile::default() }),
    }
}

fn parse_object(bytes: &[u8]) -> Result<AccessFile, Error> {
    let text =
        std::str::from_utf8(bytes).map_err(|_| Error::refused("access.toml is not UTF-8"))?;
    AccessFile::parse(text).map_err(|why| Error::refused(format!("access.toml: {why}")))
}
