//! Files that survive power cuts: the only module that syncs and renames.
//!
//! [`Disk`] is the part of a file system that the store needs; [`Local`] is a folder of the
//! operating system, and [`crate::disk::simulated::SimulatedDisk`] one that crashes on purpose.
//! They promise:
//! - [`File::sync`] returns once every byte written to the file before is on disk. After an error
//!   the state of those bytes is unknown, even if they read back and a later sync succeeds: the
//!   caller must stop using that file;
//! - a created, renamed or removed name is on disk once [`Disk::sync_dir`] of its folder returned,
//!   not before.

use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use crate::disk::layout::UNFINISHED;

/// A tree of files. Paths are relative, with `/` between folders and names.
pub trait Disk: Send + Sync {
    /// Name of this disk in messages.
    fn location(&self) -> String;
    /// Names in a folder, sorted; `""` is the root.
    fn list(&self, dir: &str) -> io::Result<Vec<String>>;
    /// Makes a folder, for the owner alone.
    fn make_dir(&self, dir: &str) -> io::Result<()>;
    /// Makes an empty file for the owner alone, or empties an existing one, and opens it for
    /// reading and writing.
    fn create(&self, path: &str) -> io::Result<Arc<dyn File>>;
    /// Opens an existing file for reading.
    fn open(&self, path: &str) -> io::Result<Arc<dyn File>>;
    /// Opens an existing file for reading and writing.
    fn open_for_writing(&self, path: &str) -> io::Result<Arc<dyn File>>;
    /// Renames a file, replacing any file with the new name.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &str) -> io::Result<()>;
    /// Returns once the names in the folder are on disk.
    fn sync_dir(&self, dir: &str) -> io::Result<()>;
    /// Takes the lock of that name until the guard is dropped. While another process holds it:
    /// waits, or errs with [`io::ErrorKind::WouldBlock`].
    fn lock(&self, path: &str, wait: Wait) -> io::Result<Box<dyn Send>>;
}

/// An open file. Offsets are absolute.
pub trait File: Send + Sync {
    /// Length in bytes.
    fn len_bytes(&self) -> io::Result<u64>;
    /// Fills `buffer` from `offset`; errs with [`io::ErrorKind::UnexpectedEof`] when there is less.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
    /// Writes all of `bytes` at `offset`.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Returns once everything written is on disk.
    fn sync(&self) -> io::Result<()>;
}

/// Behaviour while another process holds a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Wait for it.
    Yes,
    /// Err at once.
    No,
}

/// No larger file is read whole. Offsets in journal files have 32 bits.
const WHOLE_FILE_BYTES_MAX: u64 = 1 << 32;

/// Reads a whole file.
pub fn read_file(disk: &dyn Disk, path: &str) -> io::Result<Vec<u8>> {
    let file = disk.open(path)?;
    let len_bytes = file.len_bytes()?;
    if len_bytes > WHOLE_FILE_BYTES_MAX {
        return Err(io::Error::other(format!("{len_bytes} bytes are too many to be read at once")));
    }
    let len = usize::try_from(len_bytes).map_err(io::Error::other)?;
    let mut bytes = vec![0; len];
    file.read_at(0, &mut bytes)?;
    Ok(bytes)
}

/// Writes a file, replacing one of the same name, and returns it open. After a crash the file is
/// there whole or not at all.
pub fn write_file(disk: &dyn Disk, path: &str, bytes: &[u8]) -> io::Result<Arc<dyn File>> {
    let unfinished = format!("{path}{UNFINISHED}");
    let file = disk.create(&unfinished)?;
    file.write_at(0, bytes)?;
    publish_file(disk, &*file, &unfinished, path)?;
    Ok(file)
}

/// Renames a file that was written under another name, once all of it is on disk, replacing one of
/// the new name.
pub fn publish_file(disk: &dyn Disk, file: &dyn File, from: &str, to: &str) -> io::Result<()> {
    file.sync()?;
    // The bytes are on disk under a void name; if we crash here, `open` ignores it.
    disk.rename(from, to)?;
    // Readers see the new file. If we crash here, either name may be what the disk holds.
    disk.sync_dir(parent(to))
}

/// Makes a folder in an existing parent, and its name durable, unless it exists.
pub(crate) fn make_folder(disk: &dyn Disk, path: &str) -> io::Result<()> {
    if disk.list(path).is_ok() {
        return Ok(());
    }
    match disk.make_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        // Another process that made it meanwhile may not have synced the parent yet.
        _ => disk.sync_dir(parent(path)),
    }
}

/// Names in a folder; none when there is no such folder.
pub(crate) fn list_if_any(disk: &dyn Disk, dir: &str) -> io::Result<Vec<String>> {
    match disk.list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        names => names,
    }
}

/// The folder of a path; `""` for the root.
pub(crate) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(dir, _)| dir)
}

/// A folder of the operating system.
pub struct Local {
    root: PathBuf,
}

impl Local {
    /// An existing folder.
    pub fn open(root: &Path) -> Local {
        Local { root: root.to_owned() }
    }

    /// Makes the folder, for the owner alone, and its name durable. Accepts an existing empty
    /// folder.
    pub fn create(root: &Path) -> io::Result<Local> {
        match fs::DirBuilder::new().mode(0o700).create(root) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let parent = match root.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        fs::File::open(parent)?.sync_all()?;
        Ok(Local::open(root))
    }
}

impl Disk for Local {
    fn location(&self) -> String {
        self.root.display().to_string()
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for found in fs::read_dir(self.root.join(dir))? {
            names.push(found?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    fn make_dir(&self, dir: &str) -> io::Result<()> {
        fs::DirBuilder::new().mode(0o700).create(self.root.join(dir))
    }

    fn create(&self, path: &str) -> io::Result<Arc<dyn File>> {
        let mut options = fs::OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true).mode(0o600);
        Ok(Arc::new(options.open(self.root.join(path))?))
    }

    fn open(&self, path: &str) -> io::Result<Arc<dyn File>> {
        let path = self.root.join(path);
        // Opening a pipe of that name would wait for a writer.
        if !fs::metadata(&path)?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
        }
        Ok(Arc::new(fs::File::open(path)?))
    }

    fn open_for_writing(&self, path: &str) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(fs::OpenOptions::new().read(true).write(true).open(self.root.join(path))?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.root.join(from), self.root.join(to))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        fs::remove_file(self.root.join(path))
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        fs::File::open(self.root.join(dir))?.sync_all()
    }

    fn lock(&self, path: &str, wait: Wait) -> io::Result<Box<dyn Send>> {
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(self.root.join(path))?;
        match wait {
            Wait::Yes => file.lock()?,
            Wait::No => file.try_lock()?,
        }
        Ok(Box::new(file))
    }
}

impl File for fs::File {
    fn len_bytes(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.read_exact_at(buffer, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole() {
        let folder = tempfile::tempdir().expect("room");
        let disk = Local::open(folder.path());
        for bytes in [&b"first"[..], b"2"] {
            write_file(&disk, "a", bytes).expect("room");
            assert_eq!(read_file(&disk, "a").expect("there"), bytes);
        }
        assert_eq!(disk.list("").expect("there"), ["a"], "no unfinished file stays");
    }

    #[test]
    fn a_folder_is_made_once() {
        let folder = tempfile::tempdir().expect("room");
        let disk = Local::open(folder.path());
        assert_eq!(list_if_any(&disk, "dir").expect("readable"), Vec::<String>::new());
        for _ in 0..2 {
            make_folder(&disk, "dir").expect("room");
        }
        assert_eq!(disk.list("").expect("there"), ["dir"]);
    }

    #[test]
    fn a_parent_is_the_folder_of_a_path() {
        assert_eq!([parent("a/b/c"), parent("a/b"), parent("a")], ["a/b", "a", ""]);
    }
}
