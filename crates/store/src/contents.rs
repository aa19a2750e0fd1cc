//! What a log holds, to be read: by whoever has the log open, beside a server, or from a medium
//! that cannot be written.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, RwLock};

use event::entry::{self, Entry};
use event::query::{Dimension, Histogram, Page, Query, Top};
use event::{Time, Trail};
use tlog::{Hash, Nodes, TILE_HEIGHT, Tree, leaf_hash, root_of};

use crate::aside::AsideFiles;
use crate::audit_files::AuditFile;
use crate::dedup::Known;
use crate::durable::Disk;
use crate::engine::Question;
use crate::journal::{self, Content, Frame, Reader, SetAsideRecord};
use crate::layout::{JOURNAL, TREE};
use crate::log::Settings;
use crate::sealer::{self, Opened};
use crate::segment::Segment;
use crate::sequencer::{History, Recovered};
use crate::state::{self, State, View};
use crate::tail::{Place, Tail};
use crate::tree_files::{Filled, LEVELS, TreeFiles};
use crate::walk::weight;
use crate::{Error, Identity, identity};

/// Bytes of segments' indexes kept in memory while a log is read that is not open.
const CACHE_BYTES: u64 = 64 << 20;

/// Digests of neighbours are read at once when no more than these are between them, for reading
/// those costs less than beginning anew; and so many wanted ones at most.
const DIGESTS_SKIPPED_MAX: u64 = 64;
const DIGESTS_AT_ONCE: usize = 8 << 10;

/// How many lines of an audit log file are looked up while readers hold off writers.
const AUDIT_LINES_AT_ONCE: u64 = 512;

/// An event of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Position in the log, from 0.
    pub index: u64,
    /// The event with what the log added. Of a sealed event the source's key and the hash of the
    /// raw bytes are left out.
    pub entry: Entry,
}

/// What a log holds. Of an open [`Log`](crate::Log) it grows with every append; read by
/// [`Contents::read`] it stays as it was.
pub struct Contents {
    pub(crate) identity: Identity,
    pub(crate) state: Arc<RwLock<State>>,
    pub(crate) reader: Arc<dyn Reader>,
    pub(crate) tree: Arc<TreeFiles>,
    pub(crate) aside: AsideFiles,
    pub(crate) nodes: NodesKept,
}

/// Hashes of complete subtrees, which never change, that took many others to make. The right edge
/// of the tree is in every proof, and what is far up in most.
#[derive(Default)]
pub(crate) struct NodesKept(Mutex<HashMap<(u32, u64), Hash>>);

/// So many hashes, of 48 bytes with their places; then all are forgotten.
const NODES_KEPT_MAX: usize = 8192;
/// A hash that is made of fewer is made again.
const KEPT_FROM: u32 = 3;

impl NodesKept {
    fn find(&self, level: u32, position: u64) -> Option<Hash> {
        self.0.lock().expect("no panic while held").get(&(level, position)).copied()
    }

    fn keep(&self, level: u32, position: u64, hash: Hash) {
        let mut kept = self.0.lock().expect("no panic while held");
        if kept.len() >= NODES_KEPT_MAX {
            kept.clear();
        }
        kept.insert((level, position), hash);
    }
}

/// An event as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Where it is recorded.
    pub trail: Trail,
    /// The canonical entry; its SHA-256 is the data of the event's leaf.
    pub entry: Vec<u8>,
    /// The bytes as received.
    pub raw: Vec<u8>,
}

/// What segments give a log to go on from; the journal is to be replayed to it.
pub(crate) fn recovered(
    opened: &Opened,
    tail_events_max: usize,
    (known, aside): (Known, Tree),
) -> Result<Recovered, Error> {
    let sealed = &opened.manifest.sealed;
    let history = History::resume(sealed, aside, &opened.segments).expect("the manifest was read");
    let trails = opened.segments.iter().flat_map(|segment| segment.trails());
    let state = State {
        segments: Arc::new(opened.segments.clone()),
        active: Tail::from(sealed.events),
        trails: trails.map(|(trail, _)| trail.clone()).collect(),
        tail_events_max,
        files: opened.audit_files()?,
        head: history.head(),
        aside_head: history.aside_head(),
        filled: Filled::from(sealed.events),
        ..State::default()
    };
    Ok(Recovered { history, state, known })
}

impl Contents {
    /// Reads the log on this disk as it is now, without changing any of it; a process may have it
    /// open. Errs as [`Log::open`](crate::Log::open) does, but for the lock.
    pub fn read(disk: &Arc<dyn Disk>) -> Result<Contents, Error> {
        let identity = identity::read(disk)?;
        sealer::unchanged_meanwhile(disk, &mut |manifest| {
            let opened = sealer::open_named(disk, manifest.clone(), None, CACHE_BYTES)?;
            let tail_events_max = Settings::default().tail_events_max;
            let aside = sealer::known_aside(&**disk, &identity.salt, &manifest.sealed)?;
            let mut recovered = recovered(&opened, tail_events_max, aside)?;
            let mut replay = |batch: &journal::Batch<'_>| recovered.replay(batch);
            let reader = journal::read(disk, &identity, manifest.start(), &mut replay)?;
            Ok(Contents {
                identity: identity.clone(),
                state: Arc::new(RwLock::new(recovered.state)),
                reader,
                tree: Arc::new(TreeFiles::on(Arc::clone(disk))),
                aside: AsideFiles::on(Arc::clone(disk), identity.salt),
                nodes: NodesKept::default(),
            })
        })
    }

    /// The event with this index, as it is stored. `None` when there is none.
    pub fn stored(&self, index: u64) -> Result<Option<Stored>, Error> {
        let (segments, place, _reading) = {
            let state = self.state.read().expect("no panic while held");
            (Arc::clone(&state.segments), state.place(index), Arc::clone(&state.reading))
        };
        if let Some(Place { at, len_bytes }) = place {
            let frame = self.reader.event(at, len_bytes)?;
            let decoded = entry::decode(&frame.entry)
                .map_err(|error| Error::damage("journal", 0, error.to_string()))?;
            return Ok(Some(Stored {
                trail: decoded.event.trail,
                entry: frame.entry,
                raw: frame.raw,
            }));
        }
        let holds =
            |segment: &&Arc<Segment>| (segment.meta.first..segment.meta.end()).contains(&index);
        let Some(segment) = segments.iter().find(holds) else { return Ok(None) };
        let row = segment.row_of(index)?;
        let only =
            |read: Vec<bytes::Bytes>| read.first().map(|bytes| bytes.to_vec()).unwrap_or_default();
        Ok(Some(Stored {
            trail: segment.run_of(row).0.clone(),
            entry: only(segment.entries(row, 1)?),
            raw: only(segment.raws(row, 1)?),
        }))
    }

    /// Which log this is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Answers a question as of now, or as of the size it names. Sees everything that was answered
    /// for before.
    pub fn query(&self, query: &Query) -> Result<Page<Row>, Error> {
        let question = Question::of(query);
        let view = self.view(&question);
        let (found, total, tree_size) = view.find(&question)?;
        let rows = self.rows(&view.segments, &found)?;
        Ok(Page { rows, total, tree_size })
    }

    /// What a question needs of the log as it is now.
    pub(crate) fn view(&self, question: &Question<'_>) -> View {
        self.state.read().expect("no panic while held").view(question)
    }

    /// How many matching events occurred from each of these instants on and before the next. The
    /// instants are in order; the order, the offset and the limit of the question do not matter.
    pub fn histogram(&self, query: &Query, instants: &[Time]) -> Result<Histogram, Error> {
        let question = Question::of(query);
        let view = self.view(&question);
        view.histogram(&question, instants)
    }

    /// The values of each of these dimensions that most of the matching events have, at most
    /// `limit` of them, with exact counts; all as of one moment. The order, the offset and the
    /// limit of the question do not matter.
    pub fn tops(
        &self,
        query: &Query,
        dimensions: &[Dimension],
        limit: usize,
    ) -> Result<Vec<Top>, Error> {
        let question = Question::of(query);
        let (view, active) = {
            let state = self.state.read().expect("no panic while held");
            (state.view(&question), state.active_counts(&question, dimensions))
        };
        view.tops(&question, dimensions, &active, limit)
    }

    /// The events from this index on, in the order of the log: so many, as far as there are any.
    pub fn from_index(&self, first: u64, count: usize) -> Result<Vec<Row>, Error> {
        let (segments, end, mut found, _reading) = {
            let state = self.state.read().expect("no panic while held");
            let end = first.saturating_add(count as u64).min(state.len());
            let beyond = (first.max(state.sealed())..end)
                .filter_map(|index| Some(state::Row::Journal(index, state.place(index)?)))
                .collect::<Vec<_>>();
            (Arc::clone(&state.segments), end, beyond, Arc::clone(&state.reading))
        };
        let mut rows = Vec::with_capacity(count);
        for (position, segment) in segments.iter().enumerate() {
            let wanted = first.max(segment.meta.first)..end.min(segment.meta.end());
            if !wanted.is_empty() {
                rows.extend(
                    segment
                        .rows_of(wanted)?
                        .into_iter()
                        .map(|row| state::Row::Segment(position, row)),
                );
            }
        }
        rows.append(&mut found);
        self.rows(&segments, &rows)
    }

    /// Reads rows that were found; those of one segment at once, in its order.
    pub(crate) fn rows(
        &self,
        segments: &[Arc<Segment>],
        found: &[state::Row],
    ) -> Result<Vec<Row>, Error> {
        Ok(self.rows_within(segments, found, None)?.expect("any rows fit"))
    }

    /// As [`Contents::rows`]; those of a walk may take so many bytes, else there are none, and are
    /// read past the cache.
    pub(crate) fn rows_within(
        &self,
        segments: &[Arc<Segment>],
        found: &[state::Row],
        bytes_max: Option<usize>,
    ) -> Result<Option<Vec<Row>>, Error> {
        let mut left = bytes_max;
        let mut fits = |row: &Row| {
            let Some(bytes) = left else { return true };
            left = bytes.checked_sub(weight(row));
            left.is_some()
        };
        // Of each segment the rows, and where on the page each is.
        let mut of_segments: HashMap<usize, Vec<(u32, usize)>> = HashMap::new();
        let mut rows: Vec<Option<Row>> = found.iter().map(|_| None).collect();
        for (position, row) in found.iter().enumerate() {
            match row {
                state::Row::Segment(segment, row) => {
                    of_segments.entry(*segment).or_default().push((*row, position));
                }
                state::Row::Journal(index, place) => {
                    let row = Row { index: *index, entry: self.entry_at(*place)? };
                    if !fits(&row) {
                        return Ok(None);
                    }
                    rows[position] = Some(row);
                }
            }
        }
        for (segment, mut wanted) in of_segments {
            wanted.sort_unstable();
            let segment = &segments[segment];
            let mut reader =
                if bytes_max.is_some() { segment.passing_rows() } else { segment.rows() };
            for (row, position) in wanted {
                let (index, entry) = reader.entry(row)?;
                let row = Row { index, entry };
                if !fits(&row) {
                    return Ok(None);
                }
                rows[position] = Some(row);
            }
        }
        Ok(Some(rows.into_iter().map(|row| row.expect("each was read")).collect()))
    }

    fn entry_at(&self, place: Place) -> Result<Entry, Error> {
        let frame = self.reader.event(place.at, place.len_bytes)?;
        entry::decode(&frame.entry).map_err(|error| Error::damage("journal", 0, error.to_string()))
    }

    /// Whether the trail holds any event.
    pub fn has_trail(&self, trail: &Trail) -> bool {
        self.state.read().expect("no panic while held").trails.contains(trail)
    }

    /// Every trail that holds an event, in order.
    pub fn trails(&self) -> Vec<Trail> {
        self.state.read().expect("no panic while held").trails.iter().cloned().collect()
    }

    /// The finished audit log files of a database trail, oldest first, and the tree size of the
    /// answer: now, or as of the moment the log held `as_of` events.
    pub fn audit_files(&self, trail: &Trail, as_of: Option<u64>) -> (Vec<AuditFile>, u64) {
        let tail = self.state.read().expect("no panic while held");
        let tree_size = as_of.map_or(tail.len(), |size| size.min(tail.len()));
        (tail.files.of(trail, tree_size).to_vec(), tree_size)
    }

    /// The finished audit log file with this id.
    pub fn audit_file(&self, id: &str) -> Option<AuditFile> {
        self.state.read().expect("no panic while held").files.find(id).cloned()
    }

    /// The finished audit log files of every trail beyond the first `known[trail]` of it; those of
    /// a trail oldest first.
    pub fn audit_files_beyond(&self, known: &HashMap<Trail, u64>) -> Vec<AuditFile> {
        self.state.read().expect("no panic while held").files.beyond(known)
    }

    /// How many audit log files the next event ends, of whatever trail, because their hour is over.
    pub fn audit_files_overdue(&self, now: Time) -> usize {
        self.state.read().expect("no panic while held").files.overdue(now)
    }

    /// Original lines of an audit log file, each with a line feed, from the line `from` (counted
    /// from 0): as many as make `bytes_max`, but at least one. Also the line to go on from. Errs
    /// with [`Error::Damage`] when stored bytes do not read back.
    pub fn audit_file_lines(
        &self,
        file: &AuditFile,
        from: u64,
        bytes_max: usize,
    ) -> Result<(Vec<u8>, u64), Error> {
        let (mut bytes, mut line) = (Vec::new(), from);
        while line < file.lines && (bytes.is_empty() || bytes.len() < bytes_max) {
            let lines = (file.lines - line).min(AUDIT_LINES_AT_ONCE);
            let read = self.lines(&file.trail, file.first_number + line, lines)?;
            if read.is_empty() {
                break;
            }
            for raw in read {
                bytes.extend_from_slice(&raw);
                bytes.push(b'\n');
                line += 1;
                if bytes.len() >= bytes_max {
                    break;
                }
            }
        }
        Ok((bytes, line))
    }

    /// Raw bytes of a database trail's events, from this number on: some, as far as there are any.
    fn lines(&self, trail: &Trail, first_number: u64, count: u64) -> Result<Vec<Vec<u8>>, Error> {
        let (segments, places, _reading) = {
            let state = self.state.read().expect("no panic while held");
            let tails = state.frozen.iter().map(|frozen| &frozen.tail).chain([&state.active]);
            let places: Vec<Place> = tails
                .flat_map(|tail| {
                    tail.rows_by_number(trail, first_number, count)
                        .iter()
                        .map(|row| tail.place(*row))
                })
                .collect();
            (Arc::clone(&state.segments), places, Arc::clone(&state.reading))
        };
        for segment in segments.iter() {
            let lines = segment.lines(trail, first_number, count)?;
            if !lines.is_empty() {
                return Ok(lines.iter().map(|line| line.to_vec()).collect());
            }
        }
        places.iter().map(|place| Ok(self.reader.event(place.at, place.len_bytes)?.raw)).collect()
    }

    /// How many events there are, and the root of the tree over their digests.
    pub fn head(&self) -> (u64, Hash) {
        self.state.read().expect("no panic while held").head
    }

    /// How many records were set aside, and the root of a tree over their digests that is made as
    /// that of the events is.
    pub fn set_aside_head(&self) -> (u64, Hash) {
        self.state.read().expect("no panic while held").aside_head
    }

    /// The records set aside from this number on, one after another, oldest first, as long as
    /// `take` says so.
    pub fn each_set_aside(
        &self,
        from: u64,
        take: &mut dyn FnMut(SetAsideRecord) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let (total, places, _reading) = {
            let state = self.state.read().expect("no panic while held");
            let frozen = state.frozen.iter().flat_map(|frozen| &frozen.aside);
            let places: Vec<Place> = frozen.chain(&state.aside).copied().collect();
            (state.aside_head.0, places, Arc::clone(&state.reading))
        };
        // What is not sealed is in the journal, which stays as long as somebody reads.
        let sealed = total - places.len() as u64;
        if from < sealed
            && self.aside.each(from, sealed, &mut |record| Ok(take(record)))?.is_break()
        {
            return Ok(());
        }
        let skipped = usize::try_from(from.saturating_sub(sealed)).unwrap_or(usize::MAX);
        for Place { at, len_bytes } in places.into_iter().skip(skipped) {
            let bytes = self.reader.frame(at, len_bytes)?;
            let Ok((Frame::Content(Content::SetAside(record)), _)) =
                journal::read_frame(&self.identity.salt, &bytes)
            else {
                return Err(Error::damage(JOURNAL, 0, "a frame that is no record set aside"));
            };
            if take(record).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// The digests of events, in order of their indexes: so many from `first` on. `None` when the
    /// log has not so many.
    pub fn digests(&self, first: u64, count: usize) -> Result<Option<Vec<Hash>>, Error> {
        let (sealed, beyond) = {
            let state = self.state.read().expect("no panic while held");
            if first.checked_add(count as u64).is_none_or(|end| end > state.len()) {
                return Ok(None);
            }
            let sealed = state.sealed().saturating_sub(first).min(count as u64);
            let in_files = usize::try_from(sealed).unwrap_or(usize::MAX);
            (in_files, state.digests(first + sealed, count - in_files))
        };
        let mut digests = if sealed > 0 { self.tree.digests(first, sealed)? } else { Vec::new() };
        digests.extend(beyond);
        Ok(Some(digests))
    }

    /// The digests of events of the log, in the order of these indexes. Errs with [`Error::Damage`]
    /// when the log has not one of them.
    pub fn digests_of(&self, indexes: &[u64]) -> Result<Vec<Hash>, Error> {
        let mut wanted: Vec<(u64, usize)> = indexes.iter().copied().zip(0..).collect();
        wanted.sort_unstable();
        let mut digests = vec![[0; 32]; indexes.len()];
        let is_near =
            |one: &(u64, usize), next: &(u64, usize)| next.0 - one.0 <= DIGESTS_SKIPPED_MAX;
        for near in wanted.chunk_by(is_near).flat_map(|near| near.chunks(DIGESTS_AT_ONCE)) {
            let (first, last) = (near[0].0, near[near.len() - 1].0);
            let count = usize::try_from(last - first + 1).unwrap_or(usize::MAX);
            let missing = || Error::damage(TREE, 0, format!("no digest of event {last}"));
            let read = self.digests(first, count)?.ok_or_else(missing)?;
            for (index, position) in near {
                digests[*position] = read[usize::try_from(index - first).unwrap_or(usize::MAX)];
            }
        }
        Ok(digests)
    }

    /// Hashes of the tree at a level of tiles, 0 for those of leaves: so many from `first` on.
    /// `None` when the log's tree has not so many.
    pub fn hashes(&self, level: u32, first: u64, count: usize) -> Result<Option<Vec<Hash>>, Error> {
        if level == 0 {
            let digests = self.digests(first, count)?;
            return Ok(
                digests.map(|digests| digests.iter().map(|digest| leaf_hash(digest)).collect())
            );
        }
        if level as usize > LEVELS {
            return Ok(None);
        }
        let (sealed, beyond) = {
            let state = self.state.read().expect("no panic while held");
            let height = TILE_HEIGHT * level;
            if first.checked_add(count as u64).is_none_or(|end| end > state.len() >> height) {
                return Ok(None);
            }
            let sealed = (state.sealed() >> height).saturating_sub(first).min(count as u64);
            let in_files = usize::try_from(sealed).unwrap_or(usize::MAX);
            let beyond = state.filled.of_level(level, first + sealed, state.len());
            (in_files, beyond[..count - in_files].to_vec())
        };
        let mut hashes =
            if sealed > 0 { self.tree.hashes(level, first, sealed)? } else { Vec::new() };
        hashes.extend(beyond);
        Ok(Some(hashes))
    }
}

impl Nodes for Contents {
    type Error = Error;

    /// Errs with [`Error::Damage`] for a subtree that the log's tree does not have, or that does
    /// not read back.
    fn node(&self, level: u32, position: u64) -> Result<Hash, Error> {
        let above = level % TILE_HEIGHT;
        if let Some(hash) = (above >= KEPT_FROM).then(|| self.nodes.find(level, position)).flatten()
        {
            return Ok(hash);
        }
        let hashes = self.hashes(level / TILE_HEIGHT, position << above, 1 << above)?;
        let missing = || Error::damage(TREE, 0, format!("no node {position} on level {level}"));
        let hash = hashes.map(|hashes| root_of(&hashes)).ok_or_else(missing)?;
        if above >= KEPT_FROM {
            self.nodes.keep(level, position, hash);
        }
        Ok(hash)
    }
}
