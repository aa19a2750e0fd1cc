//! The contents of a log, for reading: by the process that has the log open, beside a server, or
//! from a read-only medium.

use std::sync::{Arc, RwLock};

use event::entry::Entry;
use event::{Time, Trail};
use tlog::Hash;

use crate::damage::{DamagedFile, Damages};
use crate::disk::durable::Disk;
use crate::disk::identity;
use crate::disk::identity::Identity;
use crate::disk::tree_files::TreeFiles;
use crate::error::Error;
use crate::journal::batch::Batch;
use crate::journal::contract::Reader;
use crate::journal::dead_letter_files::DeadLetterFiles;
use crate::journal::reader;
use crate::log::recovery;
use crate::log::settings::Settings;
use crate::log::state::State;
use crate::read::directory;
use crate::read::directory::Directory;
use crate::read::node_cache::NodeCache;

/// Bytes of segments' indexes held in memory while a log is read that is not open.
const CACHE_BYTES: u64 = 64 << 20;

/// An event of a result.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Position in the log, from 0.
    pub index: u64,
    /// The event with what the log added. A flushed event lacks the source's key and the hash of
    /// the raw bytes.
    pub entry: Entry,
}

/// Everything a log holds. The contents of an open [`Log`](crate::Log) grow with every append;
/// those read by [`Contents::read`] stay the same.
pub struct Contents {
    pub(crate) identity: Identity,
    pub(crate) state: Arc<RwLock<State>>,
    pub(crate) reader: Arc<dyn Reader>,
    pub(crate) tree: Arc<TreeFiles>,
    pub(crate) dead_letters: DeadLetterFiles,
    pub(crate) nodes: NodeCache,
    pub(crate) damages: Arc<Damages>,
}

/// An event as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// The trail of the event.
    pub trail: Trail,
    /// The canonical entry; its SHA-256 is the data of the event's leaf.
    pub entry: Vec<u8>,
    /// The bytes as received.
    pub raw: Vec<u8>,
}

impl Contents {
    /// Reads the log on this disk as it is now, without changing any of it; a process may have it
    /// open. Errs as [`Log::open`](crate::Log::open) does, except for the lock.
    pub fn read(disk: &Arc<dyn Disk>) -> Result<Contents, Error> {
        let identity = identity::read(disk)?;
        let is_whole = |read: &Contents| read.damaged_files().is_empty();
        directory::read_consistently(disk, &is_whole, &mut |manifest| {
            let opened = Directory::of_manifest(disk, manifest.clone(), None, CACHE_BYTES)?;
            let memtable_events_max = Settings::default().memtable_events_max;
            let dead_letters = recovery::dead_letters(&**disk, &identity.salt, &manifest.flushed)?;
            let mut recovered = recovery::resume(&opened, memtable_events_max, dead_letters)?;
            let damages = Damages::default();
            let unreadable = opened.segments.iter().filter_map(|segment| segment.whole().err());
            unreadable.for_each(|why| damages.note(&why));
            let mut replay = |batches: &[Batch<'_>]| recovered.replay(batches);
            let reader = reader::read(disk, &identity, manifest.start(), &mut replay)?;
            Ok(Contents {
                identity: identity.clone(),
                state: Arc::new(RwLock::new(recovered.state)),
                reader,
                tree: Arc::new(TreeFiles::on(Arc::clone(disk))),
                dead_letters: DeadLetterFiles::on(Arc::clone(disk), identity.salt),
                nodes: NodeCache::default(),
                damages: Arc::new(damages),
            })
        })
    }

    /// Identity of the log.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Files with bytes that did not read back, as far as reads have met them. What needs them is
    /// an error; the rest of the log is served.
    pub fn damaged_files(&self) -> Vec<DamagedFile> {
        self.damages.files()
    }

    /// The result of a read, whose damage is noted.
    pub(crate) fn noted<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        result.inspect_err(|why| self.damages.note(why))
    }

    /// Whether the trail holds any event.
    pub fn has_trail(&self, trail: &Trail) -> bool {
        let state = self.state.read().expect("no panic while held");
        // What cannot be known is not denied: a query of the trail reports the damage.
        state.trails.contains(trail) || state.has_unknown_trails
    }

    /// Every trail that holds an event, in order.
    pub fn trails(&self) -> Vec<Trail> {
        self.state.read().expect("no panic while held").trails.iter().cloned().collect()
    }

    /// When the newest event was received.
    pub fn received_at(&self) -> Option<Time> {
        self.state.read().expect("no panic while held").received_at
    }

    /// Number of events, and the root of the tree over their digests.
    pub fn head(&self) -> (u64, Hash) {
        self.state.read().expect("no panic while held").head
    }
}

impl Row {
    /// Approximate bytes in memory.
    pub fn bytes(&self) -> usize {
        let event = &self.entry.event;
        let texts = [
            &event.actor.id,
            &event.actor.name,
            &event.user_agent,
            &event.resource.kind,
            &event.resource.name,
            &event.resource.id,
            &event.resource.region,
            &event.outcome.reason,
            &event.description,
            &event.request_id,
            &event.trace_id,
        ];
        let texts: usize = texts.into_iter().flatten().map(String::len).sum();
        let attributes = event
            .attributes
            .iter()
            .map(|(name, value)| name.len() + value.len() + 2 * size_of::<String>());
        size_of::<Row>() + texts + event.action.len() + attributes.sum::<usize>()
    }
}
