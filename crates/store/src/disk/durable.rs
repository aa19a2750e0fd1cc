//! Files that survive power cuts: the only module that syncs and renames.
//!
//! [`Disk`] is the part of a file system that the store needs; [`Local`] is a folder of the
//! operating system, and [`crate::disk::simulated::SimulatedDisk`] one that crashes on purpose.
//! They promise:
//! - [`File::sync`] returns once every byte written to the file before is on disk. After an error
//!   the state of those bytes is unknown, even if they read back and a later sync succeeds: the
//!   caller must stop using that file;
//! - a created, renamed or removed name is on disk once [`Disk::sync_dir`] of its folder returned,
//!   not before;
//! - an operation that fails with [`io::ErrorKind::StorageFull`] or
//!   [`io::ErrorKind::QuotaExceeded`] found no room and changed nothing, but for bytes of a file
//!   from the offset of the write on. The caller may try again once there is room. Syncs never fail
//!   with these kinds: after a failed sync nothing is known, even if the reason was a full disk.

use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use crate::disk::layout::{RESERVE, UNFINISHED};

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
    /// Measures the file system.
    fn room(&self) -> io::Result<Room>;
}

/// Size of a file system, and what is free of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes of the file system.
    pub total_bytes: u64,
    /// Bytes that this process may still write.
    pub free_bytes: u64,
    /// Files that this process may still make.
    pub free_files: u64,
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
    /// Cuts the file off at this length.
    fn cut(&self, len_bytes: u64) -> io::Result<()>;
    /// Makes the file this long, with room on disk for all of its bytes.
    fn allocate(&self, len_bytes: u64) -> io::Result<()>;
}

/// Behaviour while another process holds a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Wait for it.
    Yes,
    /// Err at once.
    No,
}

/// Whether an operation failed because there was no room.
pub fn is_out_of_room(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// The error of an operation of which nothing is known once it failed, such as a sync.
pub(crate) fn unknown_outcome(error: io::Error) -> io::Error {
    if is_out_of_room(&error) { io::Error::other(error.to_string()) } else { error }
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

/// A disk whose writes take the room of the reserve file when there is no other room.
///
/// The reserve is a file that holds nothing but room. It is given back piece by piece, so that
/// another program that fills the disk does not get all of it at once.
pub struct ReserveDisk<D> {
    disk: Arc<D>,
}

/// Free bytes above which a write does not fail for lack of them, so that giving back the reserve
/// would not help. No write is larger.
const SCARCE_BYTES: u64 = 128 << 20;
/// The reserve is given back in quarters of what is left of it, but no smaller and no larger pieces
/// than these.
const RELEASE_BYTES_MIN: u64 = 1 << 20;
const RELEASE_BYTES_MAX: u64 = 16 << 20;

/// Bytes given back at once of a reserve of this length.
pub(crate) fn release_bytes(reserve_bytes: u64) -> u64 {
    (reserve_bytes / 4).clamp(RELEASE_BYTES_MIN, RELEASE_BYTES_MAX).min(reserve_bytes)
}

/// Runs an operation; as long as there is no room for it, gives back a piece of the reserve and
/// runs it again.
fn with_reserve<T>(disk: &dyn Disk, operation: &mut dyn FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match operation() {
            Err(error) if is_out_of_room(&error) && release(disk, &error) => {}
            done => return done,
        }
    }
}

/// Gives back a piece of the reserve. Returns whether that can help.
fn release(disk: &dyn Disk, error: &io::Error) -> bool {
    let is_scarce = error.kind() == io::ErrorKind::QuotaExceeded
        || disk.room().is_ok_and(|room| room.free_bytes < SCARCE_BYTES);
    if !is_scarce {
        return false;
    }
    let Ok(file) = disk.open_for_writing(RESERVE) else { return false };
    let Ok(len_bytes @ 1..) = file.len_bytes() else { return false };
    file.cut(len_bytes - release_bytes(len_bytes)).is_ok()
}

impl<D: Disk> ReserveDisk<D> {
    /// Uses the reserve file of this disk.
    pub fn over(disk: D) -> ReserveDisk<D> {
        ReserveDisk { disk: Arc::new(disk) }
    }

    fn file(&self, file: Arc<dyn File>) -> Arc<dyn File>
    where
        D: 'static,
    {
        Arc::new(ReserveFile { disk: Arc::clone(&self.disk), file })
    }
}

impl<D: Disk + 'static> Disk for ReserveDisk<D> {
    fn location(&self) -> String {
        self.disk.location()
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.disk.list(dir)
    }

    fn make_dir(&self, dir: &str) -> io::Result<()> {
        with_reserve(&*self.disk, &mut || self.disk.make_dir(dir))
    }

    fn create(&self, path: &str) -> io::Result<Arc<dyn File>> {
        with_reserve(&*self.disk, &mut || self.disk.create(path)).map(|file| self.file(file))
    }

    fn open(&self, path: &str) -> io::Result<Arc<dyn File>> {
        self.disk.open(path)
    }

    fn open_for_writing(&self, path: &str) -> io::Result<Arc<dyn File>> {
        self.disk.open_for_writing(path).map(|file| self.file(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        with_reserve(&*self.disk, &mut || self.disk.rename(from, to))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        with_reserve(&*self.disk, &mut || self.disk.remove(path))
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }

    fn lock(&self, path: &str, wait: Wait) -> io::Result<Box<dyn Send>> {
        with_reserve(&*self.disk, &mut || self.disk.lock(path, wait))
    }

    fn room(&self) -> io::Result<Room> {
        self.disk.room()
    }
}

/// A file of a [`ReserveDisk`].
struct ReserveFile<D> {
    disk: Arc<D>,
    file: Arc<dyn File>,
}

impl<D: Disk> File for ReserveFile<D> {
    fn len_bytes(&self) -> io::Result<u64> {
        self.file.len_bytes()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_at(offset, buffer)
    }

    /// A repetition writes the same bytes over those of the attempt that found no room.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        with_reserve(&*self.disk, &mut || self.file.write_at(offset, bytes))
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    fn cut(&self, len_bytes: u64) -> io::Result<()> {
        self.file.cut(len_bytes)
    }

    /// The reserve itself is a file that is allocated, so this takes nothing from it.
    fn allocate(&self, len_bytes: u64) -> io::Result<()> {
        self.file.allocate(len_bytes)
    }
}

/// A folder of the operating system.
pub struct Folder {
    root: PathBuf,
}

/// A folder of the operating system, with the reserve that it may have.
pub type Local = ReserveDisk<Folder>;

impl Local {
    /// An existing folder.
    pub fn open(root: &Path) -> Local {
        ReserveDisk::over(Folder { root: root.to_owned() })
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

impl Folder {
    /// Gives a file that root made to the folder's owner. A command that an operator runs with
    /// `sudo` must leave nothing that the server, which is not root, cannot read.
    fn give_to_owner(&self, file: &fs::File) -> io::Result<()> {
        if !rustix::process::geteuid().is_root() {
            return Ok(());
        }
        let (folder, file_now) = (fs::metadata(&self.root)?, file.metadata()?);
        let owner = (folder.uid(), folder.gid());
        if (file_now.uid(), file_now.gid()) == owner {
            return Ok(());
        }
        fchown(file, Some(owner.0), Some(owner.1))
    }
}

impl Disk for Folder {
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
        let path = self.root.join(dir);
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        self.give_to_owner(&fs::File::open(path)?)
    }

    fn create(&self, path: &str) -> io::Result<Arc<dyn File>> {
        let mut options = fs::OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true).mode(0o600);
        let file = options.open(self.root.join(path))?;
        self.give_to_owner(&file)?;
        Ok(Arc::new(file))
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
        fs::File::open(self.root.join(dir))?.sync_all().map_err(unknown_outcome)
    }

    fn lock(&self, path: &str, wait: Wait) -> io::Result<Box<dyn Send>> {
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(self.root.join(path))?;
        self.give_to_owner(&file)?;
        match wait {
            Wait::Yes => file.lock()?,
            Wait::No => file.try_lock()?,
        }
        Ok(Box::new(file))
    }

    fn room(&self) -> io::Result<Room> {
        let volume = rustix::fs::statvfs(&self.root)?;
        Ok(Room {
            total_bytes: volume.f_blocks.saturating_mul(volume.f_frsize),
            free_bytes: volume.f_bavail.saturating_mul(volume.f_frsize),
            // File systems without a fixed number of files report none at all.
            free_files: if volume.f_files == 0 { u64::MAX } else { volume.f_favail },
        })
    }
}

/// Zeros written at once where the file system cannot allocate.
const ZEROS_BYTES: usize = 1 << 20;

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
        self.sync_data().map_err(unknown_outcome)
    }

    fn cut(&self, len_bytes: u64) -> io::Result<()> {
        self.set_len(len_bytes)
    }

    fn allocate(&self, len_bytes: u64) -> io::Result<()> {
        let flags = rustix::fs::FallocateFlags::empty();
        match rustix::fs::fallocate(self, flags, 0, len_bytes) {
            Err(rustix::io::Errno::OPNOTSUPP) => {}
            done => return Ok(done?),
        }
        let zeros = vec![0; ZEROS_BYTES];
        let mut at = self.len_bytes()?;
        while at < len_bytes {
            let count = (len_bytes - at).min(ZEROS_BYTES as u64);
            let count_here = usize::try_from(count).unwrap_or(ZEROS_BYTES);
            File::write_at(self, at, &zeros[..count_here])?;
            at += count;
        }
        Ok(())
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
    fn a_file_is_allocated_and_cut() {
        let folder = tempfile::tempdir().expect("room");
        let disk = Local::open(folder.path());
        let file = disk.create("a").expect("room");
        file.write_at(0, b"abc").expect("room");
        file.allocate(3 << 20).expect("room");
        assert_eq!(file.len_bytes().expect("open"), 3 << 20);
        file.cut(2).expect("possible");
        assert_eq!(read_file(&disk, "a").expect("there"), b"ab");
        let room = disk.room().expect("a file system");
        assert!(room.free_bytes <= room.total_bytes && room.free_files > 0, "{room:?}");
    }

    #[test]
    fn a_failed_sync_is_never_lack_of_room() {
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
            assert!(is_out_of_room(&io::Error::from(kind)));
            assert!(!is_out_of_room(&unknown_outcome(io::Error::from(kind))));
        }
    }

    #[test]
    fn a_reserve_is_given_back_in_pieces_to_its_end() {
        for (left, piece) in [(256 << 20, 16 << 20), (8 << 20, 2 << 20), (2 << 20, 1 << 20), (9, 9)]
        {
            assert_eq!(release_bytes(left), piece, "{left}");
        }
    }

    #[test]
    fn a_parent_is_the_folder_of_a_path() {
        assert_eq!([parent("a/b/c"), parent("a/b"), parent("a")], ["a/b", "a", ""]);
    }
}
