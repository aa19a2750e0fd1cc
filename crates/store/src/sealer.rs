//! Sealing and merging: frozen tails become a segment, and the journal gives their room back;
//! adjacent segments become one, and their files are removed.
//!
//! What holds, whenever the machine stops:
//! - a segment's files are on disk, under their names, before a manifest names them;
//! - the journal has every event that no manifest on disk names a segment for;
//! - what no manifest names is removed by the next start.

#![allow(
    clippy::cast_possible_truncation,
    reason = "rows of a segment are fewer than 2^32; platforms have 64 bits"
)]

use std::cmp::Reverse;
use std::ops::ControlFlow;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, RwLock};

use event::entry;
use sha2::{Digest, Sha256};
use tlog::{Hash, Tree};

use crate::Error;
use crate::aside::{self, names};
use crate::audit_files::{AuditFiles, StoredFile};
use crate::dedup::{First, Known, set_aside_key};
use crate::durable::{self, Disk, File};
use crate::figures::Meters;
use crate::journal::{Reader, SetAsideRecord};
use crate::layout::{ASIDE, JOURNAL, SEGMENTS, TREE, UNFINISHED, aside_file};
use crate::manifest::{self, Manifest, Named, Sealed};
use crate::objects::{FileObjects, Version};
use crate::segment::{self, Cache, Segment, Stopped};
use crate::state::{Frozen, State};
use crate::tail::{Place, Tail};
use crate::tree_files::TreeFiles;

/// What is sealed in a data directory.
pub(crate) struct Opened {
    pub manifest: Manifest,
    version: Option<Version>,
    pub segments: Vec<Arc<Segment>>,
    pub cache: Arc<Cache>,
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
    for named in &manifest.segments {
        let segment = Segment::open(&**disk, &named.name(), Arc::clone(&cache))?;
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
        let nonsense =
            || Error::damage(manifest::MANIFEST, 0, "an audit log file that makes no sense");
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

/// The keys of the records set aside that are sealed, and the tree over them.
pub(crate) fn known_aside(
    disk: &dyn Disk,
    salt: &[u8; 16],
    sealed: &Sealed,
) -> Result<(Known, Tree), Error> {
    let (mut known, mut tree) = (Known::default(), Tree::new());
    let take = &mut |record: SetAsideRecord| {
        known.insert(
            set_aside_key(&record.source, &record.raw),
            First::new(record.number, &[0; 32]),
        );
        tree.push(&record.digest());
        Ok(ControlFlow::Continue(()))
    };
    let _all = aside::each(disk, salt, 0, sealed.set_aside, take)?;
    Ok((known, tree))
}

/// Makes the manifest that was read durable, for it may be one whose replacing failed at the end;
/// then makes the folders that are missing, and removes what it does not name.
pub(crate) fn tidy(disk: &dyn Disk, opened: &mut Opened) -> Result<(), Error> {
    if opened.version.is_some() {
        opened.version = Some(opened.manifest.clone().write_again(disk)?);
    }
    let manifest = &opened.manifest;
    let there = disk.list("").map_err(Error::io("list the data directory"))?;
    let unfinished = format!("{}{UNFINISHED}", manifest::MANIFEST);
    if there.contains(&unfinished) {
        disk.remove(&unfinished).map_err(Error::io(format!("remove {unfinished}")))?;
    }
    let missing: Vec<&str> = [SEGMENTS, TREE, ASIDE]
        .into_iter()
        .filter(|dir| !there.iter().any(|name| name == dir))
        .collect();
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
    for name in names(disk, TREE)?.into_iter().filter(|name| name.ends_with(UNFINISHED)) {
        let path = format!("{TREE}/{name}");
        disk.remove(&path).map_err(Error::io(format!("remove {path}")))?;
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
    tree: Arc<TreeFiles>,
    manifest: Manifest,
    version: Option<Version>,
    meters: Arc<Meters>,
    /// What queries that may still run hold, and what is not needed once they are done.
    retired: Vec<(Arc<()>, Retired)>,
}

/// What only queries that run already may need.
enum Retired {
    /// The journal before this batch.
    Journal(u64),
    /// The files of these segments.
    Segments(Vec<Named>),
}

impl Sealer {
    pub fn new(
        disk: Arc<dyn Disk>,
        opened: Opened,
        state: Arc<RwLock<State>>,
        reader: Arc<dyn Reader>,
        tree: Arc<TreeFiles>,
        meters: Arc<Meters>,
    ) -> Sealer {
        let Opened { manifest, version, cache, .. } = opened;
        let objects = FileObjects::new(Arc::clone(&disk));
        let retired = Vec::new();
        let sealer = Sealer {
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
        sealer.measure();
        sealer
    }

    /// Seals the oldest frozen tails into one segment, if there are any: so many that they count as
    /// at least this many events, or all.
    pub fn seal(&mut self, events: u64) -> Result<(), Error> {
        let (frozen, files) = {
            let state = self.state.read().expect("no panic while held");
            let (mut weight, mut count) = (0, 0);
            while count < state.frozen.len() && weight < events {
                weight += state.frozen[count].tail.weight();
                count += 1;
            }
            let frozen = &state.frozen[..count];
            let Some(last) = frozen.last() else { return Ok(()) };
            let ended = state.files.ended_by(&(self.manifest.sealed.events..last.end.events));
            (frozen.to_vec(), ended)
        };
        let end = frozen[frozen.len() - 1].end.clone();
        self.write_aside(&frozen, &end)?;
        let mut named = self.manifest.segments.clone();
        let segment = match end.events - self.manifest.sealed.events {
            0 => None,
            events => {
                let mut segment = Named::new(self.manifest.sealed.events, events);
                self.write_segment(&frozen, &files, &mut segment)?;
                let opened = self.open(&segment)?;
                named.push(segment);
                Some(opened)
            }
        };
        // Everything the manifest is about to name is on disk. If we crash here, the next start
        // removes it.
        if crate::is_planted("early_drop") {
            self.reader.drop_before(end.batches)?;
        }
        self.put(Manifest::new(named, end.clone()))?;
        self.meters.seals.fetch_add(u64::from(segment.is_some()), Ordering::Relaxed);
        // The manifest is on disk. If we crash here, the journal still has what is sealed, and the
        // next start leaves it out.
        let mut state = self.state.write().expect("no panic while held");
        let mut segments = state.segments.to_vec();
        segments.extend(segment);
        state.segments = Arc::new(segments);
        state.frozen.retain(|one| one.end.batches > end.batches);
        state.filled.forget_before(end.events);
        let reading = std::mem::take(&mut state.reading);
        drop(state);
        self.retired.push((reading, Retired::Journal(end.batches)));
        self.retire()
    }

    /// Which segments are to be merged next, as [`due`] tells; none for a fan of less than two.
    pub fn due(&self, fan: usize, events_max: u64, is_busy: bool) -> Option<Vec<Named>> {
        let sizes: Vec<u64> = self.manifest.segments.iter().map(|segment| segment.events).collect();
        due(&sizes, fan, events_max, is_busy).map(|range| self.manifest.segments[range].to_vec())
    }

    /// Puts a segment in the place of those that [`merge_files`] made it of.
    pub fn replace(&mut self, inputs: Vec<Named>, merged: Named) -> Result<(), Error> {
        let start = self.manifest.segments.iter().position(|segment| *segment == inputs[0]);
        let range = start
            .map(|start| start..start + inputs.len())
            .expect("only the sealer's owner replaces segments");
        let opened = self.open(&merged)?;
        let mut segments = self.manifest.segments.clone();
        segments.splice(range.clone(), [merged]);
        self.put(Manifest::new(segments, self.manifest.sealed.clone()))?;
        self.meters.merges.fetch_add(1, Ordering::Relaxed);
        let mut state = self.state.write().expect("no panic while held");
        let mut segments = state.segments.to_vec();
        segments.splice(range, [opened]);
        state.segments = Arc::new(segments);
        let reading = std::mem::take(&mut state.reading);
        drop(state);
        self.retired.push((reading, Retired::Segments(inputs)));
        self.retire()
    }

    fn open(&self, named: &Named) -> Result<Arc<Segment>, Error> {
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
        self.meters.sealed_events.store(self.manifest.sealed.events, Ordering::Relaxed);
    }

    /// Drops what no query needs any more.
    pub fn retire(&mut self) -> Result<(), Error> {
        while self.retired.first().is_some_and(|(reading, _)| Arc::strong_count(reading) == 1) {
            match self.retired.remove(0) {
                (_, Retired::Journal(batch)) => self.reader.drop_before(batch)?,
                (_, Retired::Segments(segments)) => {
                    for path in segments.iter().flat_map(Named::files) {
                        self.disk.remove(&path).map_err(Error::io(format!("remove {path}")))?;
                    }
                }
            }
        }
        Ok(())
    }

    /// As how many events those count that wait to be sealed.
    pub fn waiting(&self) -> u64 {
        self.state.read().expect("no panic while held").waiting()
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
        durable::write_file(&*self.disk, &path, &bytes)
            .map_err(Error::io(format!("write {path}")))?;
        Ok(())
    }

    fn write_segment(
        &self,
        frozen: &[Arc<Frozen>],
        files: &[StoredFile],
        named: &mut Named,
    ) -> Result<(), Error> {
        let tails: Vec<&Tail> = frozen.iter().map(|frozen| &frozen.tail).collect();
        let made = Unfinished::create(&*self.disk, named)?;
        let digests: Vec<Hash> = tails.iter().flat_map(|tail| tail.digests()).copied().collect();
        let first = named.first;
        let mut frame = |index, place: Place| {
            let frame = self.reader.event(place.at, place.len_bytes)?;
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
        let (table, index) = (Arc::clone(&made.table), Arc::clone(&made.index));
        // Events are mostly like those before; a merge makes a dictionary anew. One that does not
        // read back is a question's to tell.
        let before = self.state.read().expect("no panic while held").segments.last().cloned();
        let before = before.filter(|before| before.meta.events >= named.events / 2);
        let known =
            before.and_then(|before| before.dictionary().ok()).filter(|known| !known.is_empty());
        let written = segment::build(&tails, files, known.as_deref(), table, index, &mut frame)?;
        named.take(&written);
        let filled = self.state.read().expect("no panic while held").filled.clone();
        self.tree.write(named.first, &digests, &filled)?;
        made.finish(&*self.disk, named)
    }
}

/// The files of a segment that is being written.
struct Unfinished {
    table: Arc<dyn File>,
    index: Arc<dyn File>,
}

impl Unfinished {
    fn create(disk: &dyn Disk, named: &Named) -> Result<Unfinished, Error> {
        let [table, index] = named.files().map(|path| {
            disk.create(&format!("{path}{UNFINISHED}")).map_err(Error::io(format!("make {path}")))
        });
        Ok(Unfinished { table: table?, index: index? })
    }

    /// Makes the files durable under their names.
    fn finish(self, disk: &dyn Disk, named: &Named) -> Result<(), Error> {
        for (file, path) in [self.table, self.index].into_iter().zip(named.files()) {
            durable::sync(&*file).map_err(Error::io(format!("sync {path}")))?;
            // If we crash here, what is there is void by its name.
            disk.rename(&format!("{path}{UNFINISHED}"), &path)
                .map_err(Error::io(format!("rename {path}")))?;
        }
        durable::sync_dir(disk, SEGMENTS).map_err(Error::io("sync the segments' folder"))
    }

    fn discard(self, disk: &dyn Disk, named: &Named) -> Result<(), Error> {
        named.files().into_iter().try_for_each(|path| {
            disk.remove(&format!("{path}{UNFINISHED}")).map_err(Error::io(format!("remove {path}")))
        })
    }
}

/// Bytes of indexes that a merge keeps in memory. It reads from the begin to the end.
const MERGE_CACHE_BYTES: u64 = 16 << 20;

/// Merges the files of these segments into those of one, durably. `None` when `goes_on` said no.
pub(crate) fn merge_files(
    disk: &Arc<dyn Disk>,
    inputs: &[Named],
    goes_on: &dyn Fn() -> bool,
) -> Result<Option<Named>, Error> {
    let cache = Arc::new(Cache::new(MERGE_CACHE_BYTES));
    let opened =
        inputs.iter().map(|input| Segment::open(&**disk, &input.name(), Arc::clone(&cache)));
    let opened = opened.collect::<Result<Vec<_>, Error>>()?;
    let mut named = Named::new(inputs[0].first, inputs.iter().map(|input| input.events).sum());
    let made = Unfinished::create(&**disk, &named)?;
    match segment::merge(&opened, Arc::clone(&made.table), Arc::clone(&made.index), goes_on) {
        Ok(written) => {
            named.take(&written);
            made.finish(&**disk, &named)?;
            Ok(Some(named))
        }
        Err(Stopped::Told) => made.discard(&**disk, &named).map(|()| None),
        Err(Stopped::Failed(error)) => Err(error),
    }
}

/// At most so many times as many segments as are enough are merged at once.
const FAN_FACTOR: usize = 4;

/// Which of adjacent segments of these sizes are to become one, if any are: the smallest first,
/// `fan` and up to [`FAN_FACTOR`] times as many, or fewer if they make more than half of the
/// largest segment there may be. None has more than half of the events, and together they have no
/// more than `events_max`. So an event is in a segment twice as large, and mostly `fan` times as
/// large, after each merge. When busy, only as many as may be are merged at once, so that an event
/// is merged less often. A fan of less than two is for none.
pub(crate) fn due(
    sizes: &[u64],
    fan: usize,
    events_max: u64,
    is_busy: bool,
) -> Option<Range<usize>> {
    if fan < 2 {
        return None;
    }
    let fan_max = fan * FAN_FACTOR;
    let fan_min = if is_busy { fan_max } else { fan };
    let mut best = None;
    for start in 0..sizes.len() {
        let (mut sum, mut most) = (0, 0);
        for (size, count) in sizes[start..].iter().take(fan_max).zip(1..) {
            sum += *size;
            most = most.max(*size);
            let is_large = !is_busy && sum > events_max / 2;
            if (count >= fan_min || is_large) && sum <= events_max && most * 2 <= sum {
                // Of as small ones the longest, of those the oldest.
                best = best.max(Some((Reverse(most), count, Reverse(start))));
            }
        }
    }
    best.map(|(_, count, Reverse(start))| start..start + count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_of_a_size_are_merged() {
        for (sizes, expected) in [
            (&[][..], None),
            (&[1, 1], None),
            (&[1, 1, 1], Some(0..3)),
            (&[9, 1, 2, 1, 1], Some(1..5)),
            (&[9, 9, 3, 1, 2], Some(2..5)),
            (&[9, 9, 9, 1], Some(0..4)),
            (&[9, 4, 4, 1], Some(1..4)),
            (&[9, 4, 2, 1], None),
            (&[9, 4, 4, 4], Some(1..4)),
            (&[1; 20], Some(0..12)),
            (&[20, 20], None),
            (&[21, 21], Some(0..2)),
            (&[40, 40, 40], Some(0..2)),
            (&[41, 40, 39], None),
            (&[41, 30, 30, 20], Some(1..4)),
            (&[41, 41, 41], None),
        ] {
            assert_eq!(due(sizes, 3, 80, false), expected, "{sizes:?}");
        }
    }

    #[test]
    fn fewer_merges_when_busy() {
        for (sizes, expected) in [
            (&[1; 11][..], None),
            (&[40, 40], None),
            (&[1; 13], Some(0..12)),
            (&[9, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1], Some(1..13)),
        ] {
            assert_eq!(due(sizes, 3, 80, true), expected, "{sizes:?}");
        }
    }

    #[test]
    fn there_are_few_segments_however_many_events() {
        let mut sizes: Vec<u64> = Vec::new();
        let mut merged = 0;
        for step in 0..5000u64 {
            sizes.push(100 + step * 37 % 90);
            while let Some(range) = due(&sizes, 8, 100_000, false) {
                let sum = sizes[range.clone()].iter().sum();
                merged += sum;
                sizes.splice(range, [sum]);
            }
            assert!(sizes.len() as u64 <= sizes.iter().sum::<u64>() / 60_000 + 4 * 8, "{sizes:?}");
        }
        assert!(merged <= 6 * sizes.iter().sum::<u64>(), "{merged}");
    }
}
