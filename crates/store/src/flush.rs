//! Flush: frozen memtables become a segment, and the journal gives their space back. Segments that
//! a compaction made replace their inputs here as well.
//!
//! Invariants, whenever the machine stops:
//! - the files of a segment are on disk, under their names, before a manifest names them;
//! - the journal has every event that no segment of the manifest on disk has;
//! - the next start removes files that no manifest names.

#![allow(
    clippy::cast_possible_truncation,
    reason = "rows of a segment are fewer than 2^32; platforms have 64 bits"
)]

use std::sync::atomic::Ordering;
use std::sync::{Arc, RwLock};

use event::entry;
use tlog::Hash;

use crate::disk::durable;
use crate::disk::durable::Disk;
use crate::disk::layout::{JOURNAL, dead_letter_file};
use crate::disk::objects::{FileObjects, Version};
use crate::disk::tree_files::TreeFiles;
use crate::error::Error;
use crate::journal::contract::Reader;
use crate::log::memtable::{FrameLocation, Memtable};
use crate::log::state::{FrozenMemtable, State};
use crate::manifest::{FlushPoint, Manifest, SegmentEntry};
use crate::metrics::Meters;
use crate::read::audit_files::AuditFileRecord;
use crate::read::directory::Directory;
use crate::segment::build;
use crate::segment::cache::Cache;
use crate::segment::files;
use crate::segment::files::SegmentFiles;
use crate::segment::segment::Segment;

/// Turns frozen memtables into segments, and owns the manifest.
pub(crate) struct Flusher {
    disk: Arc<dyn Disk>,
    objects: FileObjects,
    state: Arc<RwLock<State>>,
    reader: Arc<dyn Reader>,
    cache: Arc<Cache>,
    tree: Arc<TreeFiles>,
    manifest: Manifest,
    version: Option<Version>,
    meters: Arc<Meters>,
    /// Tokens of running queries, each with the garbage to remove once they are done.
    retired: Vec<(Arc<()>, Garbage)>,
}

/// Files that only running queries may still need.
enum Garbage {
    /// The journal before this batch.
    Journal(u64),
    /// The files of these segments.
    Segments(Vec<SegmentEntry>),
}

impl Flusher {
    pub fn new(
        disk: Arc<dyn Disk>,
        opened: Directory,
        state: Arc<RwLock<State>>,
        reader: Arc<dyn Reader>,
        tree: Arc<TreeFiles>,
        meters: Arc<Meters>,
    ) -> Flusher {
        let Directory { manifest, version, cache, .. } = opened;
        let objects = FileObjects::new(Arc::clone(&disk));
        let retired = Vec::new();
        let flusher = Flusher {
            disk,
            objects,
            state,
            reader,
            cache,
            tree,
            manifest,
            version,
            meters,
            retired,
        };
        flusher.measure();
        flusher
    }

    /// Flushes the oldest frozen memtables into one segment, if there are any: memtables with a
    /// weight of at least `events`, or all. If there was no room, nothing is changed.
    pub fn flush(&mut self, events: u64) -> Result<(), Error> {
        let flushed = self.flush_frozen(events);
        if let Err(error) = &flushed
            && error.is_storage_full()
        {
            files::remove_from(&*self.disk, self.manifest.flushed.events);
        }
        flushed
    }

    fn flush_frozen(&mut self, events: u64) -> Result<(), Error> {
        let (frozen, files) = {
            let state = self.state.read().expect("no panic while held");
            let (mut weight, mut count) = (0, 0);
            while count < state.frozen.len() && weight < events {
                weight += state.frozen[count].memtable.weight();
                count += 1;
            }
            let frozen = &state.frozen[..count];
            let Some(last) = frozen.last() else { return Ok(()) };
            let ended = state.files.ended_by(&(self.manifest.flushed.events..last.end.events));
            (frozen.to_vec(), ended)
        };
        let end = frozen[frozen.len() - 1].end.clone();
        self.write_dead_letters(&frozen, &end)?;
        let mut named = self.manifest.segments.clone();
        let segment = match end.events - self.manifest.flushed.events {
            0 => None,
            events => {
                let mut segment = SegmentEntry::new(self.manifest.flushed.events, events);
                self.write_segment(&frozen, &files, &mut segment)?;
                let opened = self.open(&segment)?;
                named.push(segment);
                Some(opened)
            }
        };
        // Everything the manifest is about to name is on disk. If we crash here, the next start
        // removes it.
        self.put(Manifest::new(named, end.clone()))?;
        self.meters.flushes.fetch_add(u64::from(segment.is_some()), Ordering::Relaxed);
        // The manifest is on disk. If we crash here, the journal still has the flushed events, and
        // the next start skips them.
        let mut state = self.state.write().expect("no panic while held");
        let mut segments = state.segments.to_vec();
        segments.extend(segment);
        state.segments = Arc::new(segments);
        state.frozen.retain(|one| one.end.batches > end.batches);
        state.filled.forget_before(end.events);
        let reading = std::mem::take(&mut state.reading);
        drop(state);
        self.retired.push((reading, Garbage::Journal(end.batches)));
        self.retire()
    }

    /// The segments of the log, oldest first.
    pub fn segments(&self) -> &[SegmentEntry] {
        &self.manifest.segments
    }

    /// Replaces segments by the one that [`compact_files`](crate::compaction::compact_files) made
    /// of them. If there was no room, they stay, and the compacted segment is not named.
    pub fn replace(
        &mut self,
        inputs: Vec<SegmentEntry>,
        compacted: SegmentEntry,
    ) -> Result<(), Error> {
        let start = self.manifest.segments.iter().position(|segment| *segment == inputs[0]);
        let range = start
            .map(|start| start..start + inputs.len())
            .expect("only the flusher's owner replaces segments");
        let opened = self.open(&compacted)?;
        let mut segments = self.manifest.segments.clone();
        segments.splice(range.clone(), [compacted]);
        self.put(Manifest::new(segments, self.manifest.flushed.clone()))?;
        self.meters.compactions.fetch_add(1, Ordering::Relaxed);
        let mut state = self.state.write().expect("no panic while held");
        let mut segments = state.segments.to_vec();
        segments.splice(range, [opened]);
        state.segments = Arc::new(segments);
        let reading = std::mem::take(&mut state.reading);
        drop(state);
        self.retired.push((reading, Garbage::Segments(inputs)));
        self.retire()
    }

    fn open(&self, named: &SegmentEntry) -> Result<Arc<Segment>, Error> {
        Ok(Arc::new(Segment::open(&*self.disk, &named.name(), Arc::clone(&self.cache))?))
    }

    fn put(&mut self, manifest: Manifest) -> Result<(), Error> {
        self.version = Some(manifest.clone().write(&self.objects, self.version)?);
        self.manifest = manifest;
        self.measure();
        Ok(())
    }

    fn measure(&self) {
        let segments = &self.manifest.segments;
        let bytes = segments.iter().map(|segment| segment.table_bytes + segment.index_bytes).sum();
        self.meters.segments.store(segments.len() as u64, Ordering::Relaxed);
        self.meters.segment_bytes.store(bytes, Ordering::Relaxed);
        self.meters.flushed_events.store(self.manifest.flushed.events, Ordering::Relaxed);
    }

    /// Removes garbage that no query needs any more.
    pub fn retire(&mut self) -> Result<(), Error> {
        while self.retired.first().is_some_and(|(reading, _)| Arc::strong_count(reading) == 1) {
            match self.retired.remove(0) {
                (_, Garbage::Journal(batch)) => self.reader.drop_before(batch)?,
                (_, Garbage::Segments(segments)) => {
                    for path in segments.iter().flat_map(SegmentEntry::files) {
                        self.disk.remove(&path).map_err(Error::io(format!("remove {path}")))?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Weight of the events not yet flushed.
    pub fn unflushed_weight(&self) -> u64 {
        self.state.read().expect("no panic while held").unflushed_weight()
    }

    fn write_dead_letters(
        &self,
        frozen: &[Arc<FrozenMemtable>],
        end: &FlushPoint,
    ) -> Result<(), Error> {
        let first = self.manifest.flushed.dead_letters;
        if end.dead_letters == first {
            return Ok(());
        }
        let mut bytes = Vec::new();
        for frame in frozen.iter().flat_map(|frozen| &frozen.dead_letters) {
            bytes.extend_from_slice(&self.reader.frame(frame.at, frame.len_bytes)?);
        }
        let path = dead_letter_file(first);
        durable::write_file(&*self.disk, &path, &bytes)
            .map_err(Error::io(format!("write {path}")))?;
        Ok(())
    }

    fn write_segment(
        &self,
        frozen: &[Arc<FrozenMemtable>],
        files: &[AuditFileRecord],
        named: &mut SegmentEntry,
    ) -> Result<(), Error> {
        let memtables: Vec<&Memtable> = frozen.iter().map(|frozen| &frozen.memtable).collect();
        let written_files = SegmentFiles::create(&*self.disk, named)?;
        let digests: Vec<Hash> =
            memtables.iter().flat_map(|memtable| memtable.digests()).copied().collect();
        let first = named.first;
        let mut frame = |index, frame: FrameLocation| {
            let frame = self.reader.event(frame.at, frame.len_bytes)?;
            if entry::digest(&frame.entry) == digests[(index - first) as usize] {
                Ok(frame)
            } else {
                Err(Error::damage(
                    JOURNAL,
                    0,
                    format!("event {index} is another than was recorded"),
                ))
            }
        };
        let (table, index) = (Arc::clone(&written_files.table), Arc::clone(&written_files.index));
        // Events mostly resemble those before; a compaction makes a new dictionary. Damage of the
        // old one is left for a query to report.
        let before = self.state.read().expect("no panic while held").segments.last().cloned();
        let before = before.filter(|before| before.meta.events >= named.events / 2);
        let known =
            before.and_then(|before| before.dictionary().ok()).filter(|known| !known.is_empty());
        let written = build::build(&memtables, files, known.as_deref(), table, index, &mut frame)?;
        named.take(&written);
        let filled = self.state.read().expect("no panic while held").filled.clone();
        self.tree.write(named.first, &digests, &filled)?;
        written_files.finish(&*self.disk, named)
    }
}
