//! Copies a data directory while its server runs, so that the copy is one that a start accepts.
//!
//! The order of reading makes it consistent. States that say how far something came (checkpoints,
//! followed files) are read before the journal, so that the journal covers them; rights and keys
//! after it, since a change of them is recorded before it takes effect. Segments and the tree never
//! change what they have, and a manifest that is the same before and after means that none of them
//! was removed meanwhile.
//!
//! An older copy stays good while the new one is written: what the manifest names is beside it, and
//! the journal has names that are void. Then a mark says that the copy is of no use, the manifest
//! and the journal get their names, the states follow, and files that the log has no more are
//! removed. A run that breaks off between is noticed by the mark, and the next one mends it.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use crate::disk::durable::{self, Disk, File};
use crate::disk::layout::{
    ACCESS, ACCESS_RECORDED, CONFIG_RECORDED, DEAD_LETTERS, DIGESTS, JOURNAL, KEYS, LOCK, LOG,
    RESERVE, SEGMENTS, SERVING, TREE, UNFINISHED,
};
use crate::error::Error;
use crate::manifest::MANIFEST;

/// The file that marks a copy of no use: its first run, or the last step of another one, did not
/// end. It has the identity of the log.
const PART: &str = "backup.part";
/// Passes over a log whose manifest is replaced meanwhile. Each copies only what the one before
/// did not.
const PASSES_MAX: usize = 50;
/// Bytes read and written at once.
const PIECE_BYTES: u64 = 4 << 20;
/// Bytes compared at each end of a file that never changes.
const END_BYTES: u64 = 64 << 10;
/// Largest file that is held in memory: rights of 65,000 users have less.
const STATE_BYTES_MAX: u64 = 256 << 20;

/// What a copy took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Bytes written.
    pub bytes: u64,
    /// Bytes of files that the copy had already.
    pub known_bytes: u64,
}

/// Whether files that an earlier copy has are looked at or written anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// A file that never changes is good if it has the same length and ends.
    ByLength,
    /// Nothing is good: a check found damage in the copy.
    Nothing,
}

/// Copies the log on `from` to `to`, which is empty or has an older copy of the same log. A server
/// may have the log open. `progress` gets the bytes looked at so far and those of the whole log.
pub fn copy(
    from: &Arc<dyn Disk>,
    to: &Arc<dyn Disk>,
    reuse: Reuse,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Copied, Error> {
    let identity = read(&**from, LOG)?.ok_or_else(|| Error::NotALog {
        location: from.location(),
        found: format!("it has no file {LOG}"),
    })?;
    if read(&**from, PART)?.is_some() {
        return Err(Error::NotALog {
            location: from.location(),
            found: "it is a backup that broke off; run `daybook backup` again".to_owned(),
        });
    }
    begin(&**to, &identity)?;
    let mut copied = Copied::default();
    for _ in 0..PASSES_MAX {
        let mut pass = Pass {
            from: &**from,
            to: &**to,
            identity: &identity,
            reuse,
            copied: Copied::default(),
        };
        let is_whole = pass.run(progress)?;
        copied.bytes += pass.copied.bytes;
        copied.known_bytes = pass.copied.known_bytes;
        if is_whole {
            return Ok(copied);
        }
    }
    Err(Error::Changed { name: MANIFEST.to_owned() })
}

/// Makes sure that nothing but an older copy of this log is written over.
fn begin(to: &dyn Disk, identity: &[u8]) -> Result<(), Error> {
    let known = match read(to, LOG)? {
        Some(known) => Some(known),
        None => read(to, PART)?,
    };
    match known {
        Some(known) if known == identity => Ok(()),
        Some(_) => Err(Error::NotALog {
            location: to.location(),
            found: "it has a copy of another log".to_owned(),
        }),
        None if to.list("").map_err(Error::io("list the copy"))?.is_empty() => {
            write(to, PART, identity)
        }
        None => Err(Error::NotEmpty { location: to.location() }),
    }
}

/// The part that a file has in a log, which decides when it is read and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Never changes once it has its name.
    Immutable,
    /// Only grows.
    Growing,
    /// The events that are not flushed.
    Journal,
    /// Says how far something came.
    State,
    /// Changes are on record before they take effect.
    Rights,
    /// Of the running process, or without meaning elsewhere.
    Nothing,
}

fn part(path: &str) -> Part {
    let is_in = |folder: &str| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    let is_unfinished = path.ends_with(UNFINISHED);
    match path {
        LOG | PART | MANIFEST | LOCK | SERVING | RESERVE => Part::Nothing,
        _ if is_unfinished => Part::Nothing,
        ACCESS | ACCESS_RECORDED | CONFIG_RECORDED => Part::Rights,
        DIGESTS => Part::Growing,
        _ if path.starts_with(&format!("{TREE}/level-")) => Part::Growing,
        _ if is_in(SEGMENTS) || is_in(DEAD_LETTERS) => Part::Immutable,
        _ if is_in(JOURNAL) => Part::Journal,
        _ if is_in(KEYS) => Part::Rights,
        _ => Part::State,
    }
}

/// One pass over the log.
struct Pass<'a> {
    from: &'a dyn Disk,
    to: &'a dyn Disk,
    /// The file with the identity of the log.
    identity: &'a [u8],
    reuse: Reuse,
    copied: Copied,
}

impl Pass<'_> {
    /// Copies everything once. False if the manifest was replaced meanwhile: the copy has no new
    /// manifest then, and lacks nothing that its old one names.
    fn run(&mut self, progress: &mut dyn FnMut(u64, u64)) -> Result<bool, Error> {
        let manifest = read(self.from, MANIFEST)?;
        let mut states = Vec::new();
        let paths = files(self.from)?;
        let of = |wanted: Part| paths.iter().filter(move |path| part(path) == wanted);
        for path in of(Part::State) {
            // A file may go while it is being looked for.
            states.extend(read(self.from, path)?.map(|bytes| (path.clone(), bytes)));
        }
        let mut total = 0;
        for path in of(Part::Immutable).chain(of(Part::Growing)).chain(of(Part::Journal)) {
            total += len(self.from, path)?.unwrap_or(0);
        }
        let mut done = 0;
        for path in of(Part::Immutable).chain(of(Part::Growing)) {
            if !self.durable_file(path, &mut |bytes| progress(done + bytes, total))? {
                return Ok(false);
            }
            done += len(self.from, path)?.unwrap_or(0);
        }
        let mut journal = BTreeSet::new();
        for path in files_in(self.from, JOURNAL)? {
            let mut each = |bytes| progress(done + bytes, total.max(done + bytes));
            if !self.unnamed(&path, &mut each)? {
                return Ok(false);
            }
            done += len(self.from, &path)?.unwrap_or(0);
            journal.insert(path);
        }
        let mut rights = Vec::new();
        for path in files(self.from)?.iter().filter(|path| part(path) == Part::Rights) {
            rights.extend(read(self.from, path)?.map(|bytes| (path.clone(), bytes)));
        }
        if read(self.from, MANIFEST)? != manifest {
            return Ok(false);
        }
        // If we stop before this, the copy is the older one.
        write(self.to, PART, self.identity)?;
        if let Some(manifest) = &manifest {
            write(self.to, MANIFEST, manifest)?;
        }
        for path in &journal {
            let doing = || Error::io(format!("name {path}"));
            self.to.rename(&format!("{path}{UNFINISHED}"), path).map_err(doing())?;
            self.to.sync_dir(JOURNAL).map_err(doing())?;
        }
        for (path, bytes) in states.iter().chain(&rights) {
            write(self.to, path, bytes)?;
        }
        let mut named: BTreeSet<String> = paths.into_iter().collect();
        named.extend(journal);
        named.extend(rights.into_iter().map(|(path, _)| path));
        self.remove_others(&named)?;
        write(self.to, LOG, self.identity)?;
        self.to.remove(PART).map_err(Error::io(format!("remove {PART}")))?;
        // The removal of the mark is on disk, and the copy is the new one.
        self.to.sync_dir("").map_err(Error::io("finish the copy"))?;
        Ok(true)
    }

    /// Copies a file that never changes what it has. False if it is gone.
    fn durable_file(&mut self, path: &str, progress: &mut dyn FnMut(u64)) -> Result<bool, Error> {
        let Some(source) = open(self.from, path)? else { return Ok(false) };
        let doing = || Error::io(format!("copy {path}"));
        let len_bytes = source.len_bytes().map_err(doing())?;
        let known = match self.reuse {
            Reuse::Nothing => None,
            Reuse::ByLength => open(self.to, path)?,
        };
        if let Some(known) = known {
            let known_bytes = known.len_bytes().map_err(doing())?;
            let is_prefix = known_bytes <= len_bytes
                && (part(path) == Part::Growing || known_bytes == len_bytes)
                && has_same_ends(&*known, &*source, known_bytes).map_err(doing())?;
            if is_prefix {
                self.copied.known_bytes += known_bytes;
                if known_bytes < len_bytes {
                    let target = self.to.open_for_writing(path).map_err(doing())?;
                    self.pieces(&*source, &*target, known_bytes..len_bytes, progress)
                        .and_then(|()| target.sync())
                        .map_err(doing())?;
                }
                return Ok(true);
            }
        }
        self.whole(path, progress)
    }

    /// Copies all of a file. False if it is gone.
    fn whole(&mut self, path: &str, progress: &mut dyn FnMut(u64)) -> Result<bool, Error> {
        if !self.unnamed(path, progress)? {
            return Ok(false);
        }
        let doing = || Error::io(format!("name {path}"));
        self.to.rename(&format!("{path}{UNFINISHED}"), path).map_err(doing())?;
        self.to.sync_dir(durable::parent(path)).map_err(doing())?;
        Ok(true)
    }

    /// Copies all of a file, under a name that is void. False if it is gone.
    fn unnamed(&mut self, path: &str, progress: &mut dyn FnMut(u64)) -> Result<bool, Error> {
        let Some(source) = open(self.from, path)? else { return Ok(false) };
        let doing = || Error::io(format!("copy {path}"));
        let len_bytes = source.len_bytes().map_err(doing())?;
        make_parents(self.to, path)?;
        let target = self.to.create(&format!("{path}{UNFINISHED}")).map_err(doing())?;
        self.pieces(&*source, &*target, 0..len_bytes, progress)
            .and_then(|()| target.sync())
            .map_err(doing())?;
        Ok(true)
    }

    fn pieces(
        &mut self,
        source: &dyn File,
        target: &dyn File,
        range: std::ops::Range<u64>,
        progress: &mut dyn FnMut(u64),
    ) -> io::Result<()> {
        let mut at = range.start;
        let mut buffer = Vec::new();
        while at < range.end {
            let piece = (range.end - at).min(PIECE_BYTES);
            buffer.resize(usize::try_from(piece).map_err(io::Error::other)?, 0);
            source.read_at(at, &mut buffer)?;
            target.write_at(at, &buffer)?;
            at += piece;
            self.copied.bytes += piece;
            progress(at);
        }
        Ok(())
    }

    /// Removes what an older copy has and the log has no more.
    fn remove_others(&self, named: &BTreeSet<String>) -> Result<(), Error> {
        for path in files(self.to)? {
            let is_ours = matches!(path.as_str(), LOG | PART | MANIFEST);
            if !is_ours && (part(&path) == Part::Nothing || !named.contains(&path)) {
                self.to.remove(&path).map_err(Error::io(format!("remove {path}")))?;
            }
        }
        Ok(())
    }
}

/// Whether two files have the same first and last bytes, up to a length that both have.
fn has_same_ends(one: &dyn File, other: &dyn File, len_bytes: u64) -> io::Result<bool> {
    let end = len_bytes.min(END_BYTES);
    let mut buffers = [vec![0; usize::try_from(end).map_err(io::Error::other)?], Vec::new()];
    buffers[1] = buffers[0].clone();
    for offset in [0, len_bytes - end] {
        one.read_at(offset, &mut buffers[0])?;
        other.read_at(offset, &mut buffers[1])?;
        if buffers[0] != buffers[1] {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The paths of all files, sorted.
fn files(disk: &dyn Disk) -> Result<Vec<String>, Error> {
    let mut paths = Vec::new();
    for name in disk.list("").map_err(Error::io("list the log"))? {
        match disk.open(&name) {
            Ok(_) => paths.push(name),
            Err(_) => paths.extend(files_in(disk, &name)?),
        }
    }
    Ok(paths)
}

/// The paths of the files in a folder; a log has no folders within folders.
fn files_in(disk: &dyn Disk, folder: &str) -> Result<Vec<String>, Error> {
    let names = durable::list_if_any(disk, folder).map_err(Error::io(format!("list {folder}")))?;
    Ok(names.into_iter().map(|name| format!("{folder}/{name}")).collect())
}

fn open(disk: &dyn Disk, path: &str) -> Result<Option<Arc<dyn File>>, Error> {
    match disk.open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(format!("open {path}"))(error)),
    }
}

fn len(disk: &dyn Disk, path: &str) -> Result<Option<u64>, Error> {
    let Some(file) = open(disk, path)? else { return Ok(None) };
    file.len_bytes().map(Some).map_err(Error::io(format!("open {path}")))
}

/// A small file, if there is one.
fn read(disk: &dyn Disk, path: &str) -> Result<Option<Vec<u8>>, Error> {
    match len(disk, path)? {
        None => Ok(None),
        Some(len_bytes) if len_bytes > STATE_BYTES_MAX => {
            Err(Error::damage(path, STATE_BYTES_MAX, "a file of states or rights has fewer bytes"))
        }
        Some(_) => match durable::read_file(disk, path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io(format!("read {path}"))(error)),
        },
    }
}

fn write(to: &dyn Disk, path: &str, bytes: &[u8]) -> Result<(), Error> {
    make_parents(to, path)?;
    durable::write_file(to, path, bytes).map_err(Error::io(format!("write {path}")))?;
    Ok(())
}

fn make_parents(to: &dyn Disk, path: &str) -> Result<(), Error> {
    match durable::parent(path) {
        "" => Ok(()),
        folder => durable::make_folder(to, folder).map_err(Error::io(format!("make {folder}"))),
    }
}
