//! Sealing: frozen tails become a segment, and the journal gives their room back.
//!
//! What holds, whenever the machine stops:
//! - a segment's files are on disk, under their names, before a manifest names them;
//! - the journal has every event that no manifest on disk names a segment for;
//! - what no manifest names is removed by the next start.

#![allow(
    clippy::cast_possible_truncation,
    reason = "rows of a segment are fewer than 2^32; platforms have 64 bits"
)]

use std::sync::{Arc, RwLock};

use event::entry;
use sha2::{Digest, Sha256};

use crate::Error;
use crate::audit_files::AuditFiles;
use crate::dedup::{First, Known, set_aside_key};
use crate::durable::{self, Disk, File};
use crate::journal::{Content, Frame, Reader, SetAsideRecord, read_frame};
use crate::layout::{ASIDE, DIGESTS, SEGMENTS, TREE, UNFINISHED, aside_file};
use crate::manifest::{self, Manifest, Named, Sealed};
use crate::objects::{FileObjects, Version};
use crate::segment::{self, Builder, Cache, Segment};
use crate::state::{Frozen, State};
use crate::tail::Place;

/// Entries that a dictionary is trained on.
const SAMPLES: usize = 2000;

/// What is sealed in a data directory.
pub(crate) struct Opened {
    pub manifest: Manifest,
    version: Option<Version>,
    pub segments: Vec<Arc<Segment>>,
    cache: Arc<Cache>,
}

/// Reads the manifest and opens the segments it names, changing nothing.
pub(crate) fn open(disk: &Arc<dyn Disk>, cache_bytes_max: u64) -> Result<Opened, Error> {
    let (manifest, version) = manifest::read(&FileObjects::new(Arc::clone(disk)))?;
    open_named(disk, manifest, version, cache_bytes_max)
}

/// Opens the segments that a manifest names.
pub(crate) fn open_named(
    disk: &Arc<dyn Disk>,
    manifest: Manifest,
    version: Option<Version>,
    cache_bytes_max: u64,
) -> Result<Opened, Error> {
    let cache = Arc::new(Cache::new(cache_bytes_max));
    let mut segments = Vec::with_capacity(manifest.segments.len());
    for (named, id) in manifest.segments.iter().zip(0u32..) {
        let segment = Segment::open(&**disk, &named.name(), id, Arc::clone(&cache))?;
        if (segment.meta.first, segment.meta.events) != (named.first, named.events) {
            let file = format!("{}.index", named.name());
            return Err(Error::damage(&file, 0, "it holds other events than the manifest says"));
        }
        segments.push(Arc::new(segment));
    }
    Ok(Opened { manifest, version, segments, cache })
}

impl Opened {
    /// The audit log files as of what is sealed.
    pub fn audit_files(&self) -> Result<AuditFiles, Error> {
        let mut files = AuditFiles::default();
        let nonsense = || Error::damage(manifest::MANIFEST, 0, "an audit log file that makes no sense");
        for segment in &self.segments {
            for stored in segment.audit_files()? {
                files.restore(&stored).ok_or_else(nonsense)?;
            }
        }
        for open in &self.manifest.sealed.open_files {
            let trail = open.trail.parse().map_err(|_| nonsense())?;
            let mut hash = Sha256::new();
            let mut left = open.lines;
            for segment in &self.segments {
                let from = open.first_number + (open.lines - left);
                for raw in segment.lines(&trail, from, left)? {
                    hash.update(&raw);
                    hash.update(b"\n");
                    left -= 1;
                }
            }
            if left > 0 {
                return Err(nonsense());
            }
            files.restore_open(open, hash).ok_or_else(nonsense)?;
        }
        Ok(files)
    }
}

/// How often something is read again because the manifest was replaced meanwhile.
const ATTEMPTS_MAX: usize = 5;

/// Reads what a manifest names, again if the process that has the log open replaced it meanwhile.
pub(crate) fn unchanged_meanwhile<T>(
    disk: &Arc<dyn Disk>,
    read: &mut dyn FnMut(&Manifest) -> Result<T, Error>,
) -> Result<T, Error> {
    let objects = FileObjects::new(Arc::clone(disk));
    let mut attempts = 0;
    loop {
        let (manifest, version) = manifest::read(&objects)?;
        let result = read(&manifest);
        attempts += 1;
        if result.is_ok() || attempts == ATTEMPTS_MAX || manifest::read(&objects)?.1 == version {
            return result;
        }
    }
}

/// Every record set aside that is sealed, oldest first.
pub(crate) fn sealed_aside(
    disk: &dyn Disk,
    salt: &[u8; 16],
    sealed: &Sealed,
    each: &mut dyn FnMut(SetAsideRecord) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut next = 0;
    for name in names(disk, ASIDE)? {
        if name.ends_with(UNFINISHED) || next >= sealed.set_aside {
            continue;
        }
        let path = format!("{ASIDE}/{name}");
        let bytes = durable::read_file(disk, &path).map_err(Error::io(format!("read {path}")))?;
        let mut at = 0;
        while at < bytes.len() {
            let damage = |what: &str| Error::damage(&path, at as u64, what);
            let (frame, len) = read_frame(salt, &bytes[at..]).map_err(damage)?;
            let Frame::Content(Content::SetAside(record)) = frame else {
                return Err(damage("a frame that is no record set aside"));
            };
            if record.number != next {
                return Err(damage("a record set aside does not follow the one before"));
            }
            next += 1;
            each(record)?;
            at += len;
        }
    }
    if next == sealed.set_aside {
        Ok(())
    } else {
        Err(Error::damage(ASIDE, 0, "records set aside are missing"))
    }
}

/// The keys of the records set aside that are sealed.
pub(crate) fn known_aside(disk: &dyn Disk, salt: &[u8; 16], sealed: &Sealed) -> Result<Known, Error> {
    let mut known = Known::default();
    sealed_aside(disk, salt, sealed, &mut |record| {
        known.insert(set_aside_key(&record.source, &record.raw), First::new(record.number, &[0; 32]));
        Ok(())
    })?;
    Ok(known)
}

/// Names in a folder; none when there is no such folder.
fn names(disk: &dyn Disk, dir: &str) -> Result<Vec<String>, Error> {
    match disk.list(dir) {
        Ok(names) => Ok(names),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(cause) => Err(Error::Io { doing: format!("list {dir}"), cause }),
    }
}

/// Makes the manifest that was read durable, for it may be one whose replacing failed at the end; then makes the folders
/// that are missing, and removes what it does not name.
pub(crate) fn tidy(disk: &dyn Disk, opened: &mut Opened) -> Result<(), Error> {
    if opened.version.is_some() {
        opened.version = Some(opened.manifest.clone().write_again(disk)?);
    }
    let manifest = &opened.manifest;
    let there = disk.list("").map_err(Error::io("list the data directory"))?;
    let missing: Vec<&str> =
        [SEGMENTS, TREE, ASIDE].into_iter().filter(|dir| !there.iter().any(|name| name == dir)).collect();
    for dir in &missing {
        disk.make_dir(dir).map_err(Error::io(format!("make {dir}")))?;
    }
    if !missing.is_empty() {
        durable::sync_dir(disk, "").map_err(Error::io("sync the data directory"))?;
    }
    let named: Vec<String> = manifest.segments.iter().map(Named::name).collect();
    for name in names(disk, SEGMENTS)? {
        let path = format!("{SEGMENTS}/{name}");
        let stem = path.strip_suffix(".parquet").or_else(|| path.strip_suffix(".index"));
        if !stem.is_some_and(|stem| named.iter().any(|name| name == stem)) {
            disk.remove(&path).map_err(Error::io(format!("remove {path}")))?;
        }
    }
    for name in names(disk, ASIDE)? {
        let path = format!("{ASIDE}/{name}");
        if path >= aside_file(manifest.sealed.set_aside) || name.ends_with(UNFINISHED) {
            disk.remove(&path).map_err(Error::io(format!("remove {path}")))?;
        }
    }
    Ok(())
}

/// Turns frozen tails into segments.
pub(crate) struct Sealer {
    disk: Arc<dyn Disk>,
    objects: FileObjects,
    state: Arc<RwLock<State>>,
    reader: Arc<dyn Reader>,
    cache: Arc<Cache>,
    manifest: Manifest,
    version: Option<Version>,
    next_id: u32,
    /// What queries that may still run hold, and the batch before which the journal is not needed once they are done.
    retired: Vec<(Arc<()>, u64)>,
}

impl Sealer {
    pub fn new(
        disk: Arc<dyn Disk>,
        opened: Opened,
        state: Arc<RwLock<State>>,
        reader: Arc<dyn Reader>,
    ) -> Sealer {
        let Opened { manifest, version, segments, cache } = opened;
        let objects = FileObjects::new(Arc::clone(&disk));
        let next_id = segments.len() as u32;
        Sealer { disk, objects, state, reader, cache, manifest, version, next_id, retired: Vec::new() }
    }

    /// Seals all frozen tails into one segment, if there are any.
    pub fn seal(&mut self) -> Result<(), Error> {
        let (frozen, files) = {
            let state = self.state.read().expect("no panic while held");
            let Some(last) = state.frozen.last() else { return Ok(()) };
            let ended = state.files.ended_by(&(self.manifest.sealed.events..last.end.events));
            (state.frozen.clone(), ended)
        };
        let end = frozen[frozen.len() - 1].end.clone();
        self.write_aside(&frozen, &end)?;
        let segment = match end.events - self.manifest.sealed.events {
            0 => None,
            events => {
                let mut named = Named {
                    first: self.manifest.sealed.events,
                    events,
                    table_bytes: 0,
                    index_bytes: 0,
                    table_sha256: String::new(),
                };
                self.write_segment(&frozen, &files, &mut named)?;
                let id = self.next_id;
                let segment = Segment::open(&*self.disk, &named.name(), id, Arc::clone(&self.cache))?;
                self.manifest.segments.push(named);
                self.next_id += 1;
                Some(Arc::new(segment))
            }
        };
        // Everything the manifest is about to name is on disk. If we crash here, the next start removes it.
        if cfg!(feature = "plant_early_drop") {
            self.reader.drop_before(end.batches)?;
        }
        let manifest = Manifest::new(self.manifest.segments.clone(), end.clone());
        self.version = Some(manifest.clone().write(&self.objects, self.version)?);
        self.manifest = manifest;
        // The manifest is on disk. If we crash here, the journal still has what is sealed, and the next start leaves it out.
        let mut state = self.state.write().expect("no panic while held");
        let mut segments = state.segments.to_vec();
        segments.extend(segment);
        state.segments = Arc::new(segments);
        state.frozen.retain(|one| one.end.batches > end.batches);
        let reading = std::mem::take(&mut state.reading);
        drop(state);
        self.retired.push((reading, end.batches));
        self.retire()
    }

    /// Drops what no query needs any more.
    pub fn retire(&mut self) -> Result<(), Error> {
        while self.retired.first().is_some_and(|(reading, _)| Arc::strong_count(reading) == 1) {
            let (_, batch) = self.retired.remove(0);
            self.reader.drop_before(batch)?;
        }
        Ok(())
    }

    /// How many events wait to be sealed.
    pub fn waiting(&self) -> u64 {
        let state = self.state.read().expect("no panic while held");
        state.frozen.iter().map(|frozen| frozen.tail.len() as u64).sum()
    }

    fn write_aside(&self, frozen: &[Arc<Frozen>], end: &Sealed) -> Result<(), Error> {
        let first = self.manifest.sealed.set_aside;
        if end.set_aside == first {
            return Ok(());
        }
        let mut bytes = Vec::new();
        for place in frozen.iter().flat_map(|frozen| &frozen.aside) {
            bytes.extend_from_slice(&self.reader.frame(place.at, place.len_bytes)?);
        }
        let path = aside_file(first);
        durable::write_file(&*self.disk, &path, &bytes).map_err(Error::io(format!("write {path}")))?;
        Ok(())
    }

    fn write_segment(
        &self,
        frozen: &[Arc<Frozen>],
        files: &[crate::audit_files::StoredFile],
        named: &mut Named,
    ) -> Result<(), Error> {
        let rows = rows_in_order(frozen);
        let read = |place: Place| self.reader.event(place.at, place.len_bytes);
        let decode = |bytes: &[u8]| {
            entry::decode(bytes).map_err(|error| Error::damage("journal", 0, error.to_string()))
        };
        let every = (rows.len() / SAMPLES).max(1);
        let samples = rows
            .iter()
            .step_by(every)
            .map(|(_, place)| decode(&read(*place)?.entry))
            .collect::<Result<Vec<_>, Error>>()?;
        let dictionary = segment::dictionary(samples.iter());
        drop(samples);
        let (table, index) = (format!("{}.parquet", named.name()), format!("{}.index", named.name()));
        let create = |path: &str| {
            self.disk.create(&format!("{path}{UNFINISHED}")).map_err(Error::io(format!("make {path}")))
        };
        let (table_file, index_file) = (create(&table)?, create(&index)?);
        let mut digests = vec![[0; 32]; rows.len()];
        let mut builder = Builder::new(Arc::clone(&table_file), Arc::clone(&index_file), &dictionary)?;
        for (at, place) in rows {
            let frame = read(place)?;
            let decoded = decode(&frame.entry)?;
            digests[(at - named.first) as usize] = entry::digest(&frame.entry);
            let row = segment::Sealed { index: at, entry: &decoded, bytes: &frame.entry, raw: &frame.raw };
            builder.push(&row)?;
        }
        let written = builder.finish(files)?;
        (named.table_bytes, named.index_bytes) = (written.table_bytes, written.index_bytes);
        named.table_sha256 = manifest::hex(&written.table_sha256);
        self.write_digests(named.first, &digests)?;
        for (file, path) in [(table_file, table), (index_file, index)] {
            durable::sync(&*file).map_err(Error::io(format!("sync {path}")))?;
            // If we crash here, what is there is void by its name.
            self.disk
                .rename(&format!("{path}{UNFINISHED}"), &path)
                .map_err(Error::io(format!("rename {path}")))?;
        }
        durable::sync_dir(&*self.disk, SEGMENTS).map_err(Error::io("sync the segments' folder"))
    }

    /// Writes the digests of events from this index on; what is there beyond them is overwritten.
    fn write_digests(&self, first: u64, digests: &[[u8; 32]]) -> Result<(), Error> {
        let there = names(&*self.disk, TREE)?.iter().any(|name| format!("{TREE}/{name}") == DIGESTS);
        let file: Arc<dyn File> = if there {
            self.disk.open_for_writing(DIGESTS).map_err(Error::io(format!("open {DIGESTS}")))?
        } else {
            self.disk.create(DIGESTS).map_err(Error::io(format!("make {DIGESTS}")))?
        };
        file.write_at(first * 32, digests.as_flattened()).map_err(Error::io(format!("write {DIGESTS}")))?;
        durable::sync(&*file).map_err(Error::io(format!("sync {DIGESTS}")))?;
        if there {
            Ok(())
        } else {
            durable::sync_dir(&*self.disk, TREE).map_err(Error::io("sync the tree's folder"))
        }
    }
}

/// Index and place of every event, in the order of a segment.
fn rows_in_order(frozen: &[Arc<Frozen>]) -> Vec<(u64, Place)> {
    let mut trails: Vec<_> =
        frozen.iter().flat_map(|frozen| frozen.tail.runs()).map(|(trail, ..)| trail).collect();
    trails.sort_unstable();
    trails.dedup();
    let mut rows = Vec::new();
    for frozen in frozen {
        let tail = &frozen.tail;
        for (trail, times, of_trail) in tail.runs() {
            let position = trails.binary_search(&trail).expect("it is one of them");
            rows.extend(
                times
                    .iter()
                    .zip(of_trail)
                    .map(|(time, row)| ((position, *time, tail.first() + u64::from(*row)), tail.place(*row))),
            );
        }
    }
    rows.sort_unstable_by_key(|(key, _)| *key);
    rows.into_iter().map(|((_, _, index), place)| (index, place)).collect()
}
