//! Finds and reads files. No other part of following touches them.
//!
//! Only regular files are read. A symbolic link is followed if the configuration names it, and not
//! if a pattern finds it: anyone with write access to a folder of logs could otherwise make Daybook
//! read files that only Daybook may read.

use std::collections::HashSet;
use std::fs::{self, File, Metadata};
use std::io::{self, BufReader, Read, Seek};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use flate2::read::MultiGzDecoder;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use config::pattern::{Pattern, is_match};

/// Identity of a file while it exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileIdentity {
    pub device: u64,
    pub inode: u64,
    /// Creation time, because inodes are used again. 0 if the file system does not report it.
    pub born_ns: i64,
}

/// Changes whenever the file does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileVersion {
    /// Bytes on disk.
    pub size: u64,
    /// Time of the last write, by the clock of the file system.
    pub modified_ns: i64,
}

/// A file that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    pub path: PathBuf,
    pub identity: FileIdentity,
    pub version: FileVersion,
    /// Whether its bytes must be decompressed, by its name.
    pub is_compressed: bool,
}

/// An open file. Offsets count decompressed bytes.
pub trait Content {
    /// Bytes on disk.
    fn len_bytes(&mut self) -> io::Result<u64>;

    /// Reads some bytes from an offset; 0 at the end.
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
}

/// Fills `buffer`, up to the end of the file. Returns the bytes read.
pub fn fill(content: &mut dyn Content, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    match fill_as_far(content, offset, buffer) {
        (_, Some(error)) => Err(error),
        (filled, None) => Ok(filled),
    }
}

/// [`fill`], up to an error: also returns the bytes read before it.
pub fn fill_as_far(
    content: &mut dyn Content,
    offset: u64,
    buffer: &mut [u8],
) -> (usize, Option<io::Error>) {
    let mut filled = 0;
    while filled < buffer.len() {
        match content.read_at(offset + filled as u64, &mut buffer[filled..]) {
            Ok(0) => break,
            Ok(len) => filled += len,
            Err(error) => return (filled, Some(error)),
        }
    }
    (filled, None)
}

/// A file system, or a model of one.
pub trait Files {
    type Content: Content;

    /// Finds all files, each once, and reports the paths that could not be examined.
    fn scan(&self) -> Scan;

    /// Opens a file that was found, if the path still leads to it.
    fn open(
        &self,
        path: &Path,
        identity: FileIdentity,
        is_compressed: bool,
    ) -> io::Result<Self::Content>;
}

/// Result of a scan.
#[derive(Default)]
pub struct Scan {
    pub found: Vec<Sighting>,
    /// Paths that could not be examined, and why.
    pub failed: Vec<(PathBuf, String)>,
}

/// Files of the operating system.
pub struct LocalFiles {
    patterns: Vec<Pattern>,
    /// Most files that a scan returns. Bounds the time and memory that a full folder costs.
    files_max: usize,
}

impl LocalFiles {
    pub fn new(patterns: Vec<Pattern>, files_max: usize) -> LocalFiles {
        LocalFiles { patterns, files_max }
    }
}

impl Files for LocalFiles {
    type Content = LocalFile;

    fn scan(&self) -> Scan {
        let mut dir_scan =
            DirScan { scan: Scan::default(), seen: HashSet::new(), files_max: self.files_max };
        for pattern in &self.patterns {
            match fs::metadata(&pattern.base) {
                Ok(at) if at.is_dir() && pattern.names.is_empty() => {
                    dir_scan.folder(&pattern.base, &["*".to_owned()])
                }
                Ok(at) if at.is_dir() => dir_scan.folder(&pattern.base, &pattern.names),
                Ok(at) if pattern.names.is_empty() => dir_scan.file(pattern.base.clone(), &at),
                // The file may still appear.
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => dir_scan.fail(&pattern.base, error),
            }
        }
        dir_scan.scan
    }

    fn open(
        &self,
        path: &Path,
        identity: FileIdentity,
        is_compressed: bool,
    ) -> io::Result<LocalFile> {
        let is_named =
            self.patterns.iter().any(|pattern| pattern.names.is_empty() && pattern.base == path);
        open(path, identity, is_compressed, is_named)
    }
}

/// Opens a file without blocking: a regular file may have become a pipe since the scan.
fn open(
    path: &Path,
    identity: FileIdentity,
    is_compressed: bool,
    may_be_link: bool,
) -> io::Result<LocalFile> {
    let mut flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    if !may_be_link {
        flags |= OFlags::NOFOLLOW;
    }
    let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
    let file = fs::OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || identity_of(&metadata) != identity {
        return Err(io::Error::new(io::ErrorKind::NotFound, "another file has this name now"));
    }
    let encoding = path.extension().filter(|_| is_compressed).and_then(|ending| ending.to_str());
    Ok(match encoding {
        None => LocalFile::Plain(file),
        Some(ending) => {
            LocalFile::Compressed { is_zstd: ending == ZSTD, file, reader: None, offset: 0 }
        }
    })
}

const ZSTD: &str = "zst";
/// Name endings of files to decompress.
const COMPRESSED: [&str; 2] = ["gz", ZSTD];

pub fn is_compressed(path: &Path) -> bool {
    path.extension()
        .and_then(|ending| ending.to_str())
        .is_some_and(|ending| COMPRESSED.contains(&ending))
}

fn identity_of(metadata: &Metadata) -> FileIdentity {
    let born = metadata.created().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let born_ns = born.and_then(|since| i64::try_from(since.as_nanos()).ok()).unwrap_or(0);
    FileIdentity { device: metadata.dev(), inode: metadata.ino(), born_ns }
}

struct DirScan {
    scan: Scan,
    seen: HashSet<FileIdentity>,
    files_max: usize,
}

impl DirScan {
    /// Finds the files in a folder that match these name patterns, one for each level.
    fn folder(&mut self, folder: &Path, names: &[String]) {
        let Some((name, rest)) = names.split_first() else { return };
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return self.fail(folder, error),
        };
        for entry in entries {
            let path = match entry {
                Ok(entry) if is_match(name, &entry.file_name().to_string_lossy()) => entry.path(),
                Ok(_) => continue,
                Err(error) => return self.fail(folder, error),
            };
            match fs::symlink_metadata(&path) {
                Ok(at) if at.is_dir() && !rest.is_empty() => self.folder(&path, rest),
                Ok(at) if rest.is_empty() => self.file(path, &at),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => self.fail(&path, error),
            }
        }
    }

    fn file(&mut self, path: PathBuf, metadata: &Metadata) {
        let identity = identity_of(metadata);
        if !metadata.is_file() || self.seen.contains(&identity) {
            return;
        }
        if self.scan.found.len() >= self.files_max {
            let more = format!("more than {} files; the others are not read", self.files_max);
            return self.fail(path.parent().unwrap_or(&path), io::Error::other(more));
        }
        self.seen.insert(identity);
        let modified_ns =
            metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec());
        let version = FileVersion { size: metadata.len(), modified_ns };
        let is_compressed = is_compressed(&path);
        self.scan.found.push(Sighting { path, identity, version, is_compressed });
    }

    fn fail(&mut self, path: &Path, error: io::Error) {
        let failed = (path.to_owned(), error.to_string());
        if !self.scan.failed.contains(&failed) {
            self.scan.failed.push(failed);
        }
    }
}

/// An open file of the operating system.
pub enum LocalFile {
    Plain(File),
    /// Can only be read from its beginning on.
    Compressed {
        is_zstd: bool,
        file: File,
        reader: Option<Box<dyn Read + Send>>,
        offset: u64,
    },
}

impl Content for LocalFile {
    fn len_bytes(&mut self) -> io::Result<u64> {
        let (LocalFile::Plain(file) | LocalFile::Compressed { file, .. }) = self;
        Ok(file.metadata()?.len())
    }

    fn read_at(&mut self, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            LocalFile::Plain(file) => FileExt::read_at(file, buffer, at),
            LocalFile::Compressed { is_zstd, file, reader, offset } => {
                if at < *offset {
                    *reader = None;
                }
                if reader.is_none() {
                    *reader = Some(decoder(file, *is_zstd)?);
                    *offset = 0;
                }
                let Some(reader) = reader else { return Ok(0) };
                *offset += io::copy(&mut reader.take(at - *offset), &mut io::sink())?;
                if *offset < at {
                    return Ok(0);
                }
                let len = reader.read(buffer)?;
                *offset += len as u64;
                Ok(len)
            }
        }
    }
}

fn decoder(file: &File, is_zstd: bool) -> io::Result<Box<dyn Read + Send>> {
    let mut file = file.try_clone()?;
    file.rewind()?;
    Ok(if is_zstd {
        Box::new(zstd::stream::read::Decoder::new(file)?)
    } else {
        Box::new(MultiGzDecoder::new(BufReader::new(file)))
    })
}
