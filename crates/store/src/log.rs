//! The log as its users see it: open, append, query, close.

#[cfg(test)]
mod tests;

use std::ops::{ControlFlow, Deref};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, SyncSender, TrySendError, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::aside::{self, AsideFiles};
use crate::background::{
    Job, Merger, Shared, keep_committing, keep_merging, keep_sealing, lens_bytes_max,
};
use crate::check::TornTail;
use crate::contents::{self, Contents, NodesKept};
use crate::durable::{Disk, Wait};
use crate::figures::{Clock, Figures, Meters};
use crate::journal::{FileJournal, SetAsideRecord};
use crate::layout::LOCK;
use crate::sealer::{self, Sealer};
use crate::segment::Cache;
use crate::sequencer::{Append, Receipt, Refusal, Sequencer};
use crate::tree_files::TreeFiles;
use crate::{Error, identity, journal};

/// How a log is run. The defaults suit a server.
pub struct Settings {
    /// A journal file is full at this size; bounds what a start has to copy.
    pub journal_file_bytes_max: u64,
    /// A group takes no further request past this size. Bounds how long the first of it waits, and
    /// keeps its bytes in the processor's cache: groups of 8 MiB made a third of the events a
    /// second.
    pub group_bytes_max: usize,
    /// Events of a part of the log in memory; smaller parts are sooner copied by a query, larger
    /// ones sooner searched.
    pub tail_events_max: usize,
    /// Events that are sealed into one segment; until there are so many they are in memory and in
    /// the journal. Here and in the other limits of events in memory, one of more than 2 KiB in the
    /// journal counts as several.
    pub seal_events: u64,
    /// Events that may wait to be sealed; while there are more, no further request is taken from
    /// the queue. Not less than `seal_events`.
    pub unsealed_events_max: u64,
    /// So many adjacent segments of about a size are merged into one, and up to four times as many
    /// where there are more; no fewer than that while events come fast.
    pub merge_segments: usize,
    /// How often it is looked whether there is something to merge.
    pub merge_every: Duration,
    /// No segment that segments are merged into holds more events.
    pub merged_events_max: u64,
    /// Bytes of segments' indexes kept in memory.
    pub cache_bytes_max: u64,
    /// How many requests may wait for the sequencer before further ones are refused as
    /// [`Error::Overloaded`].
    pub waiting_requests_max: usize,
    /// Tells how long a sync takes, for [`Figures`]; the default tells nothing.
    pub clock: Clock,
    /// Called when a durable write failed and the log takes no more.
    pub on_fatal: Arc<dyn Fn(&Error) + Send + Sync>,
}

impl Default for Settings {
    /// Files of 64 MiB, groups of 1 MiB, segments of 131,072 events, eight of which become one of
    /// up to 16 million, 256 MiB of indexes, 1,024 waiting requests.
    fn default() -> Self {
        Settings {
            journal_file_bytes_max: 64 << 20,
            group_bytes_max: 1 << 20,
            tail_events_max: 4096,
            seal_events: 128 << 10,
            unsealed_events_max: 256 << 10,
            merge_segments: 8,
            merge_every: Duration::from_millis(200),
            merged_events_max: 16 << 20,
            cache_bytes_max: 256 << 20,
            waiting_requests_max: 1024,
            clock: Arc::new(|| Duration::ZERO),
            on_fatal: Arc::new(|_| {}),
        }
    }
}

/// An open log. Appends and queries may come from any thread; dropping it ends the sequencer after
/// what is waiting.
pub struct Log {
    contents: Contents,
    queue: Option<SyncSender<Job>>,
    sequencer: Option<JoinHandle<Result<(), Error>>>,
    sealing: Option<(Sender<()>, JoinHandle<()>)>,
    merging: Option<JoinHandle<()>>,
    sealer: Arc<Mutex<Sealer>>,
    merger: Arc<Merger>,
    shared: Arc<Shared>,
    cache: Arc<Cache>,
    torn: Option<TornTail>,
    _lock: Guard,
}

/// No event, with its entry and its raw bytes, and no record set aside may be larger than this.
pub const EVENT_BYTES_MAX: usize = journal::PAYLOAD_BYTES_MAX - 1024;

/// How much is in the log, and what it did since it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Events in the log.
    pub events: u64,
    /// Records set aside in the log.
    pub set_aside: u64,
    /// Events refused as recorded before, since open.
    pub duplicates: u64,
    /// Groups made durable with one sync each, since open.
    pub groups: u64,
}

/// A lock guard that may be kept in a type shared between threads; it is never used, only dropped.
struct Guard {
    _held: Mutex<Box<dyn Send>>,
}

impl Log {
    /// Opens the log on this disk and recovers what was answered for.
    ///
    /// Errs with [`Error::NotALog`] on anything that `init` did not make, [`Error::Locked`] while
    /// another process has it open, and [`Error::Damage`] when stored bytes do not read back;
    /// nothing is changed then.
    pub fn open(disk: Arc<dyn Disk>, settings: Settings) -> Result<Log, Error> {
        let identity = identity::read(&disk)?;
        let lock = disk.lock(LOCK, Wait::No).map_err(|cause| match cause.kind() {
            std::io::ErrorKind::WouldBlock => Error::Locked { place: disk.place() },
            _ => Error::Io { doing: format!("lock {}", disk.place()), cause },
        })?;
        let mut opened = sealer::open(&disk, settings.cache_bytes_max)?;
        sealer::tidy(&*disk, &mut opened)?;
        let sealed = &opened.manifest.sealed;
        // What is sealed are whole tails.
        let tail_events_max = settings
            .tail_events_max
            .min(usize::try_from(settings.seal_events).unwrap_or(usize::MAX));
        let aside = sealer::known_aside(&*disk, &identity.salt, sealed)?;
        let mut recovered = contents::recovered(&opened, tail_events_max, aside)?;
        let start = opened.manifest.start();
        let meters = Arc::new(Meters::new(Arc::clone(&settings.clock)));
        let (journal, tail) = FileJournal::open(
            Arc::clone(&disk),
            &identity,
            settings.journal_file_bytes_max,
            start,
            Arc::clone(&meters),
            &mut |batch| recovered.replay(batch),
        )?;
        let torn = TornTail::of(tail);
        let reader = journal::Journal::reader(&journal);
        let sequencer = Sequencer::new(Box::new(journal), recovered, identity.salt);
        let shared = Arc::new(Shared::new(Arc::clone(&meters)));
        shared.set_aside.store(sequencer.set_aside(), Ordering::Relaxed);
        let (queue, jobs) = sync_channel(settings.waiting_requests_max);
        let state = sequencer.state();
        let tree = Arc::new(TreeFiles::on(Arc::clone(&disk)));
        let aside = AsideFiles::on(Arc::clone(&disk), identity.salt);
        let cache = Arc::clone(&opened.cache);
        let sealer = Sealer::new(
            Arc::clone(&disk),
            opened,
            Arc::clone(&state),
            Arc::clone(&reader),
            Arc::clone(&tree),
            meters,
        );
        let sealer = Arc::new(Mutex::new(sealer));
        let (stop, told_to_stop) = channel();
        let sealing = {
            let (sealer, shared) = (Arc::clone(&sealer), Arc::clone(&shared));
            let (on_fatal, seal_events) = (Arc::clone(&settings.on_fatal), settings.seal_events);
            std::thread::Builder::new()
                .name("sealer".to_owned())
                .spawn(move || {
                    keep_sealing(&sealer, seal_events, &told_to_stop, &shared, &*on_fatal)
                })
                .map_err(Error::io("start the sealer's thread"))?
        };
        let merger = Arc::new(Merger {
            disk,
            sealer: Arc::clone(&sealer),
            segments: settings.merge_segments,
            events_max: settings.merged_events_max,
            seal_events: settings.seal_events,
            merges: Mutex::new(()),
            ends: AtomicBool::new(false),
        });
        let merging = {
            let (merger, shared) = (Arc::clone(&merger), Arc::clone(&shared));
            let (on_fatal, every) = (Arc::clone(&settings.on_fatal), settings.merge_every);
            std::thread::Builder::new()
                .name("merger".to_owned())
                .spawn(move || keep_merging(&merger, every, &shared, &*on_fatal))
                .map_err(Error::io("start the merger's thread"))?
        };
        let thread = {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name("sequencer".to_owned())
                .spawn(move || keep_committing(sequencer, &jobs, &shared, settings))
                .map_err(Error::io("start the sequencer's thread"))?
        };
        Ok(Log {
            contents: Contents {
                identity,
                state,
                reader,
                tree,
                aside,
                nodes: NodesKept::default(),
            },
            queue: Some(queue),
            sequencer: Some(thread),
            sealing: Some((stop, sealing)),
            merging: Some(merging),
            merger,
            sealer,
            shared,
            cache,
            torn,
            _lock: Guard { _held: Mutex::new(lock) },
        })
    }

    /// What recovery cut off at the journal's end, which nobody was answered for.
    pub fn torn_tail(&self) -> Option<&TornTail> {
        self.torn.as_ref()
    }

    /// Hands a request to the sequencer. `reply` is called from its thread once the request is
    /// durable and visible, or refused. Errs without calling it when too many are waiting, the log
    /// is fenced, or an event is larger than [`EVENT_BYTES_MAX`].
    pub fn submit(
        &self,
        request: Append,
        reply: impl FnOnce(Result<Receipt, Refusal>) + Send + 'static,
    ) -> Result<(), Error> {
        let queue = self.queue_for(&request)?;
        queue.try_send(Job::Append(request, Box::new(reply))).map_err(|refused| match refused {
            TrySendError::Full(_) => Error::Overloaded,
            TrySendError::Disconnected(_) => self.fenced(),
        })
    }

    /// [`Log::submit`], but while too many are waiting it waits too. Blocks.
    pub fn submit_patiently(
        &self,
        request: Append,
        reply: impl FnOnce(Result<Receipt, Refusal>) + Send + 'static,
    ) -> Result<(), Error> {
        let queue = self.queue_for(&request)?;
        queue.send(Job::Append(request, Box::new(reply))).map_err(|_| self.fenced())
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
            .ok_or_else(|| self.fenced())
    }

    fn fenced(&self) -> Error {
        let because = self.shared.fence.get().cloned();
        Error::Fenced { because: because.unwrap_or_else(|| "it is closing".to_owned()) }
    }

    /// [`Log::submit`], and waits for the answer.
    pub fn append(&self, request: Append) -> Result<Result<Receipt, Refusal>, Error> {
        let (answer, answered) = sync_channel(1);
        self.submit(request, move |result| {
            // The receiver waits below; it is gone only if this thread is.
            let _ = answer.send(result);
        })?;
        answered.recv().map_err(|_| Error::Fenced { because: "the sequencer ended".to_owned() })
    }

    /// Seals all there is now, and drops what of the journal is not needed for it. Returns when
    /// that is durable.
    pub fn seal(&self) -> Result<(), Error> {
        let fenced = || Error::Fenced { because: "the sequencer ended".to_owned() };
        let (done, is_done) = sync_channel(1);
        let queue = self.queue.as_ref().ok_or_else(fenced)?;
        queue.send(Job::Freeze(done)).map_err(|_| fenced())?;
        is_done.recv().map_err(|_| fenced())?;
        let sealed = self.sealer.lock().expect("no panic while held").seal(u64::MAX);
        sealed.inspect_err(|error| {
            self.shared.fence.get_or_init(|| error.to_string());
        })
    }

    /// Merges segments as long as any are to be merged. Returns when that is durable.
    pub fn merge(&self) -> Result<(), Error> {
        let merged = self.merger.merge_all();
        merged.inspect_err(|error| {
            self.shared.fence.get_or_init(|| error.to_string());
        })
    }

    /// How much there is.
    pub fn counts(&self) -> Counts {
        Counts {
            events: self.contents.state.read().expect("no panic while held").len(),
            set_aside: self.shared.set_aside.load(Ordering::Relaxed),
            duplicates: self.shared.duplicates.load(Ordering::Relaxed),
            groups: self.shared.groups.load(Ordering::Relaxed),
        }
    }

    /// What it did since it was opened, and what it is made of.
    pub fn figures(&self) -> Figures {
        self.shared.meters.read(self.cache.figures())
    }

    /// Records what is waiting and ends the sequencer.
    pub fn close(mut self) -> Result<(), Error> {
        self.stop()
    }

    fn stop(&mut self) -> Result<(), Error> {
        drop(self.queue.take());
        let ended = match self.sequencer.take() {
            Some(thread) => thread.join().expect("the sequencer does not panic"),
            None => Ok(()),
        };
        // Last, for the sequencer may wait for it.
        if let Some((stop, thread)) = self.sealing.take() {
            // It is there until it is told so, or has failed.
            let _ = stop.send(());
            thread.join().expect("the sealer does not panic");
        }
        self.merger.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.merging.take() {
            thread.thread().unpark();
            thread.join().expect("the merger does not panic");
        }
        ended
    }
}

impl Deref for Log {
    type Target = Contents;

    fn deref(&self) -> &Contents {
        &self.contents
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        // An error was reported to `on_fatal` and to every sender already.
        let _ = self.stop();
    }
}

/// Every record set aside in the log on this disk, oldest first, read beside a process that may
/// have it open.
pub fn set_aside(disk: &Arc<dyn Disk>) -> Result<Vec<SetAsideRecord>, Error> {
    let mut records = Vec::new();
    each_set_aside(disk, 0, &mut |record| {
        records.push(record);
        ControlFlow::Continue(())
    })?;
    Ok(records)
}

/// The records set aside from this number on, one after another, oldest first, as long as `take`
/// says so; read beside a process that may have the log open.
pub fn each_set_aside(
    disk: &Arc<dyn Disk>,
    from: u64,
    take: &mut dyn FnMut(SetAsideRecord) -> ControlFlow<()>,
) -> Result<(), Error> {
    let identity = identity::read(disk)?;
    // What was taken is not taken again, if the reading begins again.
    let (mut next, mut goes_on) = (from, ControlFlow::Continue(()));
    sealer::unchanged_meanwhile(disk, &mut |manifest| {
        let mut take_new = |record: SetAsideRecord| {
            if record.number >= next && goes_on.is_continue() {
                next = record.number + 1;
                goes_on = take(record);
            }
            goes_on
        };
        let sealed = manifest.sealed.set_aside;
        let begin = from.min(sealed);
        if aside::each(&**disk, &identity.salt, begin, sealed, &mut |record| Ok(take_new(record)))?
            .is_break()
        {
            return Ok(());
        }
        let mut collect = |batch: &journal::Batch<'_>| {
            for (_, _, content) in &batch.frames {
                if let journal::Content::SetAside(record) = content {
                    let _ = take_new(record.clone());
                }
            }
            Ok(())
        };
        journal::scan_all(&**disk, &identity, manifest.start(), &mut collect, &mut |_| {})?;
        Ok(())
    })
}
