//! Recovery: from the segments and the journal to the state of an open log.

use std::cell::RefCell;
use std::num::NonZero;
use std::ops::ControlFlow;
use std::sync::Arc;

use event::entry::Entry;
use tlog::{Hash, Tree};

use crate::disk::durable;
use crate::disk::durable::Disk;
use crate::disk::layout::{DEAD_LETTERS, SEGMENTS, TREE, UNFINISHED, dead_letter_file};
use crate::disk::tree_files::FullTiles;
use crate::error::Error;
use crate::journal::batch::{Batch, Content, DeadLetter};
use crate::journal::dead_letter_files;
use crate::log::dedup::{Key, KeyEntry, KeyIndex, dead_letter_key, event_key};
use crate::log::history;
use crate::log::history::{History, ReplayedEvent};
use crate::log::memtable::{FrameLocation, Memtable, NewRow};
use crate::log::state::State;
use crate::log::words::Words;
use crate::manifest;
use crate::manifest::{FlushPoint, SegmentEntry};
use crate::read::directory::Directory;
use crate::segment::row::rest_of;

/// The state from which the sequencer continues.
#[derive(Default)]
pub(crate) struct Recovery {
    pub history: History,
    pub state: State,
    pub known: KeyIndex,
}

impl Recovery {
    /// Replays batches. All processors decode their events; one puts them in order.
    pub fn replay(&mut self, batches: &[Batch<'_>]) -> Result<(), Error> {
        let mut decoded = decode_all(batches).into_iter();
        batches.iter().try_for_each(|batch| self.replay_one(batch, &mut decoded))
    }

    fn replay_one(
        &mut self,
        batch: &Batch<'_>,
        decoded: &mut dyn Iterator<Item = Result<DecodedEvent, String>>,
    ) -> Result<(), Error> {
        let Recovery { history, state, known } = self;
        let mut events = Vec::with_capacity(batch.frames.len());
        let parts = RefCell::new(None);
        let mut decode = |_: &[u8]| {
            let event = decoded.next().expect("one for each event")?;
            *parts.borrow_mut() = Some((event.words, event.rest, event.key));
            Ok((event.digest, event.entry))
        };
        history.replay(batch, &mut decode, &mut |replayed| {
            let ReplayedEvent { index, frame, digest, entry, .. } = replayed;
            let (words, rest, key) = parts.take().expect("just decoded");
            if let Some(key) = key {
                known.insert_event(key, KeyEntry::new(index, &entry.raw_sha256));
            }
            events.push((words, rest, key, digest, entry, frame));
            Ok(())
        })?;
        let raws = batch.frames.iter().filter_map(|(_, _, content)| match content {
            Content::Event { raw, .. } => Some(*raw),
            Content::DeadLetter(_) => None,
        });
        let rows: Vec<NewRow<'_>> = events
            .iter()
            .zip(raws)
            .map(|((words, rest, key, digest, entry, frame), raw)| NewRow {
                event: &entry.event,
                words,
                rest,
                key: key.as_ref(),
                digest: *digest,
                number: entry.number,
                raw,
                received_at: entry.received_at,
                frame: *frame,
            })
            .collect();
        state.extend(&rows, history.head(), &mut history.filled);
        state.dead_letters_head = history.dead_letters_head();
        for (at, len_bytes, content) in &batch.frames {
            if let Content::DeadLetter(record) = content {
                known.insert(
                    dead_letter_key(&record.source, &record.raw),
                    KeyEntry::new(record.number, &[0; 32]),
                );
                state.dead_letters.push(FrameLocation { at: *at, len_bytes: *len_bytes });
            }
        }
        if state.is_full() {
            known.freeze(history.tree.size());
            state.freeze(history.flush_point());
        }
        Ok(())
    }
}

/// The parts of a replayed event that need nothing of the events before it.
struct DecodedEvent {
    digest: Hash,
    entry: Entry,
    words: Words,
    rest: Vec<u8>,
    key: Option<Key>,
}

impl DecodedEvent {
    fn of(bytes: &[u8]) -> Result<DecodedEvent, String> {
        let (digest, entry) = history::decoded(bytes)?;
        let (words, rest) = (Words::of(&entry.event), rest_of(&entry.event));
        let origin = &entry.event.origin;
        let key = origin.key.as_deref().map(|key| event_key(&origin.source, key));
        Ok(DecodedEvent { digest, entry, words, rest, key })
    }
}

/// Fewer events are decoded sooner than a thread starts.
const DECODED_ALONE: usize = 256;

/// Decodes the events of some batches, in order.
fn decode_all(batches: &[Batch<'_>]) -> Vec<Result<DecodedEvent, String>> {
    let contents = batches.iter().flat_map(|batch| &batch.frames);
    let entries: Vec<&[u8]> = contents
        .filter_map(|(_, _, content)| match content {
            Content::Event { entry, .. } => Some(*entry),
            Content::DeadLetter(_) => None,
        })
        .collect();
    let decode = |entries: &[&[u8]]| -> Vec<Result<DecodedEvent, String>> {
        entries.iter().map(|bytes| DecodedEvent::of(bytes)).collect()
    };
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    let share = entries.len().div_ceil(processors).max(DECODED_ALONE);
    let Some((own, others)) = entries.split_at_checked(share).filter(|(_, rest)| !rest.is_empty())
    else {
        return decode(&entries);
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            others.chunks(share).map(|some| scope.spawn(move || decode(some))).collect();
        let mut decoded = decode(own);
        for thread in threads {
            decoded.extend(thread.join().expect("decoding does not panic"));
        }
        decoded
    })
}

/// The state that the segments give; the journal has yet to be replayed to it.
pub(crate) fn resume(
    opened: &Directory,
    memtable_events_max: usize,
    (known, dead_letters): (KeyIndex, Tree),
) -> Result<Recovery, Error> {
    let flushed = &opened.manifest.flushed;
    let history =
        History::resume(flushed, dead_letters, &opened.segments).expect("the manifest was read");
    let trails = opened.segments.iter().flat_map(|segment| segment.trails());
    let (mut files, hidden) = opened.audit_files()?;
    if hidden.is_some() {
        files.note_gaps(history.numbers());
    }
    let state = State {
        segments: Arc::new(opened.segments.clone()),
        active: Memtable::from(flushed.events),
        trails: trails.map(|(trail, _)| trail.clone()).collect(),
        memtable_events_max,
        files,
        has_unknown_trails: opened.segments.iter().any(|segment| !segment.knows_trails()),
        head: history.head(),
        received_at: history.received_at,
        dead_letters_head: history.dead_letters_head(),
        filled: FullTiles::from(flushed.events),
        ..State::default()
    };
    Ok(Recovery { history, state, known })
}

/// The keys of the flushed dead letters, and the tree over them.
pub(crate) fn dead_letters(
    disk: &dyn Disk,
    salt: &[u8; 16],
    flushed: &FlushPoint,
) -> Result<(KeyIndex, Tree), Error> {
    let (mut known, mut tree) = (KeyIndex::default(), Tree::new());
    let take = &mut |record: DeadLetter| {
        known.insert(
            dead_letter_key(&record.source, &record.raw),
            KeyEntry::new(record.number, &[0; 32]),
        );
        tree.push(&record.digest());
        Ok(ControlFlow::Continue(()))
    };
    let _all = dead_letter_files::each(disk, salt, 0, flushed.dead_letters, take)?;
    Ok((known, tree))
}

/// Makes the manifest durable again, because its last replacement may have failed at the end. Then
/// makes missing folders and removes files that the manifest does not name.
pub(crate) fn clean_up(disk: &dyn Disk, opened: &mut Directory) -> Result<(), Error> {
    if opened.version.is_some() {
        opened.version = Some(opened.manifest.clone().write_again(disk)?);
    }
    let manifest = &opened.manifest;
    let there = disk.list("").map_err(Error::io("list the data directory"))?;
    let unfinished = format!("{}{UNFINISHED}", manifest::MANIFEST);
    if there.contains(&unfinished) {
        disk.remove(&unfinished).map_err(Error::io(format!("remove {unfinished}")))?;
    }
    let missing: Vec<&str> = [SEGMENTS, TREE, DEAD_LETTERS]
        .into_iter()
        .filter(|dir| !there.iter().any(|name| name == dir))
        .collect();
    for dir in &missing {
        disk.make_dir(dir).map_err(Error::io(format!("make {dir}")))?;
    }
    if !missing.is_empty() {
        disk.sync_dir("").map_err(Error::io("sync the data directory"))?;
    }
    let named: Vec<String> = manifest.segments.iter().map(SegmentEntry::name).collect();
    for name in names_in(disk, SEGMENTS)? {
        let path = format!("{SEGMENTS}/{name}");
        let stem = path.strip_suffix(".parquet").or_else(|| path.strip_suffix(".index"));
        if !stem.is_some_and(|stem| named.iter().any(|name| name == stem)) {
            disk.remove(&path).map_err(Error::io(format!("remove {path}")))?;
        }
    }
    for name in names_in(disk, TREE)?.into_iter().filter(|name| name.ends_with(UNFINISHED)) {
        let path = format!("{TREE}/{name}");
        disk.remove(&path).map_err(Error::io(format!("remove {path}")))?;
    }
    for name in names_in(disk, DEAD_LETTERS)? {
        let path = format!("{DEAD_LETTERS}/{name}");
        if path >= dead_letter_file(manifest.flushed.dead_letters) || name.ends_with(UNFINISHED) {
            disk.remove(&path).map_err(Error::io(format!("remove {path}")))?;
        }
    }
    Ok(())
}

fn names_in(disk: &dyn Disk, dir: &str) -> Result<Vec<String>, Error> {
    durable::list_if_any(disk, dir).map_err(Error::io(format!("list {dir}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::simulated::SimulatedDisk;

    #[test]
    fn a_start_makes_missing_folders_and_removes_unnamed_files() {
        let disk: Arc<dyn Disk> = Arc::new(SimulatedDisk::new(1));
        let mut directory = Directory::open(&disk, 0).expect("empty");
        for path in ["segments/0.parquet", "tree/digests.tmp", "set-aside/1.aside", "manifest.tmp"]
        {
            disk.create(path).expect("room");
        }
        disk.create("tree/digests").expect("room");
        clean_up(&*disk, &mut directory).expect("room");
        let names = |dir| disk.list(dir).expect("it was made");
        assert_eq!(names("segments"), Vec::<String>::new());
        assert_eq!(names("tree"), ["digests"]);
        assert!(!names("").contains(&"manifest.tmp".to_owned()));
    }
}
