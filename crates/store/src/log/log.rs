//! The open log: open, append, query, close.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, SyncSender, TrySendError, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use event::query::{Dimension, Histogram, Page, Query, Top};
use event::{Time, Trail};
use tlog::Hash;

use crate::compaction::Compactor;
use crate::damage::{DamagedFile, Damages};
use crate::disk::durable::{Disk, Wait};
use crate::disk::identity;
use crate::disk::identity::Identity;
use crate::disk::layout::LOCK;
use crate::disk::space::Space;
use crate::disk::tree_files::TreeFiles;
use crate::error::Error;
use crate::flush::Flusher;
use crate::journal::batch::DeadLetter;
use crate::journal::contract::Journal;
use crate::journal::dead_letter_files::DeadLetterFiles;
use crate::journal::file::FileJournal;
use crate::journal::frame::EVENT_BYTES_MAX;
use crate::journal::scan::TornTail;
use crate::log::recovery;
use crate::log::request::{Append, Receipt, Refusal};
use crate::log::sequencer::Sequencer;
use crate::log::settings::Settings;
use crate::log::threads::{
    Job, SharedState, lens_bytes_max, run_compactor, run_flusher, run_sequencer,
};
use crate::metrics::{Meters, Metrics};
use crate::read::audit_files::AuditFile;
use crate::read::contents::{Contents, Row, StoredEvent};
use crate::read::directory::Directory;
use crate::read::node_cache::NodeCache;
use crate::read::scan::Scan;
use crate::segment::cache::Cache;

/// An open log. Appends and queries may come from any thread. Dropping it ends the sequencer after
/// the queued requests.
pub struct Log {
    contents: Contents,
    queue: Option<SyncSender<Job>>,
    sequencer: Option<JoinHandle<Result<(), Error>>>,
    flushing: Option<(Sender<()>, JoinHandle<()>)>,
    compacting: Option<JoinHandle<()>>,
    pub(super) flusher: Arc<Mutex<Flusher>>,
    compactor: Arc<Compactor>,
    shared: Arc<SharedState>,
    cache: Arc<Cache>,
    torn: Option<TornTail>,
    _lock: LockGuard,
}

/// Counts of the log, some of them since it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Events in the log.
    pub events: u64,
    /// Dead letters in the log.
    pub dead_letters: u64,
    /// Events refused since open because they were recorded before.
    pub duplicates: u64,
    /// Groups made durable with one sync each, since open.
    pub groups: u64,
}

/// A lock guard in a type that threads share; it is never used, only dropped.
struct LockGuard {
    _held: Mutex<Box<dyn Send>>,
}

impl Log {
    /// Opens the log on this disk and recovers everything acknowledged.
    ///
    /// Errs with [`Error::NotALog`] on anything that `init` did not make, [`Error::Locked`] while
    /// another process has it open, and [`Error::Damage`] when stored bytes do not read back;
    /// nothing is changed then.
    pub fn open(disk: Arc<dyn Disk>, settings: Settings) -> Result<Log, Error> {
        let identity = identity::read(&disk)?;
        let lock = disk.lock(LOCK, Wait::No).map_err(|cause| match cause.kind() {
            std::io::ErrorKind::WouldBlock => Error::Locked { location: disk.location() },
            _ => Error::Io { doing: format!("lock {}", disk.location()), cause },
        })?;
        let mut opened = Directory::open(&disk, settings.cache_bytes_max)?;
        recovery::clean_up(&*disk, &mut opened)?;
        let flushed = &opened.manifest.flushed;
        // A flush takes whole memtables.
        let memtable_events_max = settings
            .memtable_events_max
            .min(usize::try_from(settings.flush_events).unwrap_or(usize::MAX));
        let dead_letters = recovery::dead_letters(&*disk, &identity.salt, flushed)?;
        let mut recovered = recovery::resume(&opened, memtable_events_max, dead_letters)?;
        let start = opened.manifest.start();
        let meters = Arc::new(Meters::new(Arc::clone(&settings.clock)));
        let (journal, torn) = FileJournal::open(
            Arc::clone(&disk),
            &identity,
            settings.journal_file_bytes_max,
            start,
            Arc::clone(&meters),
            &mut |batches| recovered.replay(batches),
        )?;
        let reader = journal.reader();
        let damages = Arc::new(Damages::default());
        // Before anything looks for segments to compact.
        opened
            .segments
            .iter()
            .filter_map(|one| one.whole().err())
            .for_each(|why| damages.note(&why));
        let sequencer = Sequencer::new(Box::new(journal), recovered, identity.salt);
        let sequencer = sequencer.with_damages(&damages).with_latest(Arc::clone(&settings.latest));
        let space = Arc::new(Space::new(Arc::clone(&disk), settings.space));
        let shared = Arc::new(SharedState::new(Arc::clone(&meters), Arc::clone(&space)));
        shared.dead_letters.store(sequencer.dead_letters(), Ordering::Relaxed);
        let (queue, jobs) = sync_channel(settings.waiting_requests_max);
        let state = sequencer.state();
        let tree = Arc::new(TreeFiles::on(Arc::clone(&disk)));
        let dead_letters = DeadLetterFiles::on(Arc::clone(&disk), identity.salt);
        let cache = Arc::clone(&opened.cache);
        let flusher = Flusher::new(
            Arc::clone(&disk),
            opened,
            Arc::clone(&state),
            Arc::clone(&reader),
            Arc::clone(&tree),
            meters,
        );
        let flusher = Arc::new(Mutex::new(flusher));
        let (stop, stopped) = channel();
        let flushing = {
            let (flusher, shared) = (Arc::clone(&flusher), Arc::clone(&shared));
            let (on_fatal, flush_events) = (Arc::clone(&settings.on_fatal), settings.flush_events);
            std::thread::Builder::new()
                .name("flusher".to_owned())
                .spawn(move || run_flusher(&flusher, flush_events, &stopped, &shared, &*on_fatal))
                .map_err(Error::io("start the flusher's thread"))?
        };
        let compactor = Arc::new(Compactor {
            disk,
            space,
            flusher: Arc::clone(&flusher),
            segments: settings.compaction_segments,
            events_max: settings.compacted_events_max,
            flush_events: settings.flush_events,
            damages: Arc::clone(&damages),
            compactions: Mutex::new(()),
            ends: AtomicBool::new(false),
        });
        let compacting = {
            let (compactor, shared) = (Arc::clone(&compactor), Arc::clone(&shared));
            let (on_fatal, every) = (Arc::clone(&settings.on_fatal), settings.compaction_every);
            std::thread::Builder::new()
                .name("compactor".to_owned())
                .spawn(move || run_compactor(&compactor, every, &shared, &*on_fatal))
                .map_err(Error::io("start the compactor's thread"))?
        };
        let thread = {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name("sequencer".to_owned())
                .spawn(move || run_sequencer(sequencer, &jobs, &shared, settings))
                .map_err(Error::io("start the sequencer's thread"))?
        };
        Ok(Log {
            contents: Contents {
                identity,
                state,
                reader,
                tree,
                dead_letters,
                nodes: NodeCache::default(),
                damages,
            },
            queue: Some(queue),
            sequencer: Some(thread),
            flushing: Some((stop, flushing)),
            compacting: Some(compacting),
            compactor,
            flusher,
            shared,
            cache,
            torn,
            _lock: LockGuard { _held: Mutex::new(lock) },
        })
    }

    /// The unacknowledged bytes that recovery cut off at the journal's end.
    pub fn torn_tail(&self) -> Option<&TornTail> {
        self.torn.as_ref()
    }

    /// Hands a request to the sequencer. `reply` is called from its thread once the request is
    /// durable and visible, or refused. Errs without calling it when the queue is full, the log is
    /// fenced, an event is larger than [`EVENT_BYTES_MAX`], or the disk is full and the request is
    /// from outside.
    pub fn submit(
        &self,
        request: Append,
        reply: impl FnOnce(Result<Receipt, Refusal>) + Send + 'static,
    ) -> Result<(), Error> {
        if self.space().is_full() && !request.is_own {
            return Err(Error::StorageFull);
        }
        let queue = self.queue_for(&request)?;
        queue.try_send(Job::Append(request, Box::new(reply))).map_err(|refused| match refused {
            TrySendError::Full(_) => Error::Overloaded,
            TrySendError::Disconnected(_) => self.fence_error(),
        })
    }

    /// [`Log::submit`], but waits while the queue is full, and takes requests from outside while
    /// the disk is full: for what was received already and is not sent again. Blocks.
    pub fn submit_blocking(
        &self,
        request: Append,
        reply: impl FnOnce(Result<Receipt, Refusal>) + Send + 'static,
    ) -> Result<(), Error> {
        let queue = self.queue_for(&request)?;
        queue.send(Job::Append(request, Box::new(reply))).map_err(|_| self.fence_error())
    }

    fn queue_for(&self, request: &Append) -> Result<&SyncSender<Job>, Error> {
        if let Some(len_bytes) =
            lens_bytes_max(request).find(|len_bytes| *len_bytes > EVENT_BYTES_MAX)
        {
            return Err(Error::TooLarge { len_bytes });
        }
        self.queue
            .as_ref()
            .filter(|_| self.shared.fence.get().is_none())
            .ok_or_else(|| self.fence_error())
    }

    fn fence_error(&self) -> Error {
        let because = self.shared.fence.get().cloned();
        Error::Fenced { because: because.unwrap_or_else(|| "it is closing".to_owned()) }
    }

    /// [`Log::submit`], and waits for the receipt.
    pub fn append(&self, request: Append) -> Result<Result<Receipt, Refusal>, Error> {
        let (answer, answered) = sync_channel(1);
        self.submit(request, move |result| {
            // The receiver waits below; it is gone only if this thread is.
            let _ = answer.send(result);
        })?;
        answered.recv().map_err(|_| Error::Fenced { because: "the sequencer ended".to_owned() })
    }

    /// Flushes all events and drops the part of the journal that they needed. Returns when that is
    /// durable.
    pub fn flush(&self) -> Result<(), Error> {
        let fenced = || Error::Fenced { because: "the sequencer ended".to_owned() };
        let (done, is_done) = sync_channel(1);
        let queue = self.queue.as_ref().ok_or_else(fenced)?;
        queue.send(Job::Freeze(done)).map_err(|_| fenced())?;
        is_done.recv().map_err(|_| fenced())?;
        let flushed = self.flusher.lock().expect("no panic while held").flush(u64::MAX);
        flushed.inspect_err(|error| {
            self.shared.note(error);
        })
    }

    /// Compacts segments as long as there are any to compact. Returns when that is durable.
    pub fn compact(&self) -> Result<(), Error> {
        let compacted = self.compactor.compact_all();
        compacted.inspect_err(|error| {
            self.shared.note(error);
        })
    }

    /// The room on the disk.
    pub fn space(&self) -> &Arc<Space> {
        &self.shared.space
    }

    /// Counts of the log.
    pub fn counts(&self) -> Counts {
        Counts {
            events: self.contents.state.read().expect("no panic while held").len(),
            dead_letters: self.shared.dead_letters.load(Ordering::Relaxed),
            duplicates: self.shared.duplicates.load(Ordering::Relaxed),
            groups: self.shared.groups.load(Ordering::Relaxed),
        }
    }

    /// Metrics of the log since it was opened.
    pub fn metrics(&self) -> Metrics {
        self.shared.meters.read(self.cache.metrics())
    }

    /// Records the queued requests and ends the sequencer.
    pub fn close(mut self) -> Result<(), Error> {
        self.stop()
    }

    fn stop(&mut self) -> Result<(), Error> {
        drop(self.queue.take());
        let ended = match self.sequencer.take() {
            Some(thread) => thread.join().expect("the sequencer does not panic"),
            None => Ok(()),
        };
        // Last, because the sequencer may wait for it.
        if let Some((stop, thread)) = self.flushing.take() {
            // The thread runs until it gets this message, or has failed.
            let _ = stop.send(());
            thread.join().expect("the flusher does not panic");
        }
        self.compactor.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.compacting.take() {
            thread.thread().unpark();
            thread.join().expect("the compactor does not panic");
        }
        ended
    }
}

/// Reading: each method is that of [`Contents`].
impl Log {
    /// The contents of the log; they grow with every append.
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// [`Contents::identity`].
    pub fn identity(&self) -> &Identity {
        self.contents.identity()
    }

    /// [`Contents::damaged_files`].
    pub fn damaged_files(&self) -> Vec<DamagedFile> {
        self.contents.damaged_files()
    }

    /// [`Contents::query`].
    pub fn query(&self, query: &Query) -> Result<Page<Row>, Error> {
        self.contents.query(query)
    }

    /// [`Contents::histogram`].
    pub fn histogram(&self, query: &Query, instants: &[Time]) -> Result<Histogram, Error> {
        self.contents.histogram(query, instants)
    }

    /// [`Contents::tops`].
    pub fn tops(
        &self,
        query: &Query,
        dimensions: &[Dimension],
        limit: usize,
    ) -> Result<Vec<Top>, Error> {
        self.contents.tops(query, dimensions, limit)
    }

    /// [`Contents::scan`].
    pub fn scan(&self, query: &Query) -> Result<Scan<'_>, Error> {
        self.contents.scan(query)
    }

    /// [`Contents::from_index`].
    pub fn from_index(&self, first: u64, count: usize) -> Result<Vec<Row>, Error> {
        self.contents.from_index(first, count)
    }

    /// [`Contents::entries_from`].
    pub fn entries_from(&self, first: u64, count: usize) -> Result<Vec<Vec<u8>>, Error> {
        self.contents.entries_from(first, count)
    }

    /// [`Contents::stored_event`].
    pub fn stored_event(&self, index: u64) -> Result<Option<StoredEvent>, Error> {
        self.contents.stored_event(index)
    }

    /// [`Contents::has_trail`].
    pub fn has_trail(&self, trail: &Trail) -> bool {
        self.contents.has_trail(trail)
    }

    /// [`Contents::trails`].
    pub fn trails(&self) -> Vec<Trail> {
        self.contents.trails()
    }

    /// [`Contents::head`].
    pub fn head(&self) -> (u64, Hash) {
        self.contents.head()
    }

    /// [`Contents::digests`].
    pub fn digests(&self, first: u64, count: usize) -> Result<Option<Vec<Hash>>, Error> {
        self.contents.digests(first, count)
    }

    /// [`Contents::digests_of`].
    pub fn digests_of(&self, indexes: &[u64]) -> Result<Vec<Hash>, Error> {
        self.contents.digests_of(indexes)
    }

    /// [`Contents::dead_letters_head`].
    pub fn dead_letters_head(&self) -> (u64, Hash) {
        self.contents.dead_letters_head()
    }

    /// [`Contents::each_dead_letter`].
    pub fn each_dead_letter(
        &self,
        from: u64,
        take: &mut dyn FnMut(DeadLetter) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        self.contents.each_dead_letter(from, take)
    }

    /// [`Contents::audit_files`].
    pub fn audit_files(
        &self,
        trail: &Trail,
        as_of: Option<u64>,
    ) -> Result<(Vec<AuditFile>, u64), Error> {
        self.contents.audit_files(trail, as_of)
    }

    /// [`Contents::audit_file`].
    pub fn audit_file(&self, id: &str) -> Result<Option<AuditFile>, Error> {
        self.contents.audit_file(id)
    }

    /// [`Contents::audit_files_beyond`].
    pub fn audit_files_beyond(&self, known: &HashMap<Trail, u64>) -> Vec<AuditFile> {
        self.contents.audit_files_beyond(known)
    }

    /// [`Contents::audit_files_overdue`].
    pub fn audit_files_overdue(&self, now: Time) -> usize {
        self.contents.audit_files_overdue(now)
    }

    /// [`Contents::audit_file_lines`].
    pub fn audit_file_lines(
        &self,
        file: &AuditFile,
        from: u64,
        bytes_max: usize,
    ) -> Result<(Vec<u8>, u64), Error> {
        self.contents.audit_file_lines(file, from, bytes_max)
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        // An error was reported to `on_fatal` and to every sender already.
        let _ = self.stop();
    }
}
