//! The log as its users see it: open, append, query, close.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, Sender, SyncSender, TryRecvError, TrySendError, channel, sync_channel,
};
use std::sync::{Arc, Mutex, OnceLock, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use event::entry::{self, Entry};
use event::query::{Dimension, Histogram, Page, Query, Reads, Top};
use event::{Time, Trail};

use crate::audit_files::AuditFile;
use crate::background::{Merger, keep_merging, keep_sealing};
use crate::check::TornTail;
use crate::durable::{Disk, Wait};
use crate::engine::Question;
use crate::journal::{FileJournal, Reader, SetAsideRecord};
use crate::layout::LOCK;
use crate::sealer::{self, Sealer};
use crate::sequencer::{Append, History, Receipt, Recovered, Refusal, Sequencer};
use crate::state::{self, State, View};
use crate::tail::{Place, Tail};
use crate::{Error, Identity, identity, journal};

/// How a log is run. The defaults suit a server.
pub struct Settings {
    /// A journal file is full at this size; bounds what a start has to copy.
    pub journal_file_bytes_max: u64,
    /// A group takes no further request past this size. Bounds how long the first of it waits, and keeps its bytes in the
    /// processor's cache: groups of 8 MiB made a third of the events a second.
    pub group_bytes_max: usize,
    /// Events of a part of the log in memory; smaller parts are sooner copied by a query, larger ones sooner searched.
    pub tail_events_max: usize,
    /// Events that are sealed into one segment; until there are so many they are in memory and in the journal.
    pub seal_events: u64,
    /// Events that may wait to be sealed; while there are more, no further request is taken from the queue. More than
    /// `seal_events`.
    pub unsealed_events_max: u64,
    /// So many adjacent segments of about a size are merged into one.
    pub merge_segments: usize,
    /// How often it is looked whether there is something to merge.
    pub merge_every: Duration,
    /// No segment that segments are merged into holds more events.
    pub merged_events_max: u64,
    /// Bytes of segments' indexes kept in memory.
    pub cache_bytes_max: u64,
    /// How many requests may wait for the sequencer before further ones are refused as [`Error::Overloaded`].
    pub waiting_requests_max: usize,
    /// Called when a durable write failed and the log takes no more.
    pub on_fatal: Arc<dyn Fn(&Error) + Send + Sync>,
}

impl Default for Settings {
    /// Files of 64 MiB, groups of 1 MiB, segments of 131,072 events, eight of which become one of up to 16
    /// million, 256 MiB of indexes, 1,024 waiting requests.
    fn default() -> Self {
        Settings {
            journal_file_bytes_max: 64 << 20,
            group_bytes_max: 1 << 20,
            tail_events_max: 4096,
            seal_events: 128 << 10,
            unsealed_events_max: 1 << 20,
            merge_segments: 8,
            merge_every: Duration::from_millis(200),
            merged_events_max: 16 << 20,
            cache_bytes_max: 256 << 20,
            waiting_requests_max: 1024,
            on_fatal: Arc::new(|_| {}),
        }
    }
}

/// An open log. Appends and queries may come from any thread; dropping it ends the sequencer after what is waiting.
pub struct Log {
    identity: Identity,
    queue: Option<SyncSender<Job>>,
    sequencer: Option<JoinHandle<Result<(), Error>>>,
    sealing: Option<(Sender<()>, JoinHandle<()>)>,
    merging: Option<JoinHandle<()>>,
    sealer: Arc<Mutex<Sealer>>,
    merger: Arc<Merger>,
    state: Arc<RwLock<State>>,
    reader: Arc<dyn Reader>,
    shared: Arc<Shared>,
    torn: Option<TornTail>,
    _lock: Guard,
}

/// What the threads tell each other.
#[derive(Default)]
pub(crate) struct Shared {
    pub fence: OnceLock<String>,
    duplicates: AtomicU64,
    set_aside: AtomicU64,
    groups: AtomicU64,
}

/// How many lines of an audit log file are looked up while readers hold off writers.
const AUDIT_LINES_AT_ONCE: u64 = 512;

/// No event, with its entry and its raw bytes, and no record set aside may be larger than this.
pub const EVENT_BYTES_MAX: usize = journal::PAYLOAD_BYTES_MAX - 1024;

type Reply = Box<dyn FnOnce(Result<Receipt, Refusal>) + Send>;

/// What the sequencer is asked to do.
enum Job {
    Append(Append, Reply),
    /// To end the active tail, and to say so.
    Freeze(SyncSender<()>),
}

/// An event of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Position in the log, from 0.
    pub index: u64,
    /// The event with what the log added. Of a sealed event the source's key and the hash of the raw bytes are left out, and
    /// what [`Query::reads`] leaves out.
    pub entry: Entry,
}

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
    /// Errs with [`Error::NotALog`] on anything that `init` did not make, [`Error::Locked`] while another process has
    /// it open, and [`Error::Damage`] when stored bytes do not read back; nothing is changed then.
    pub fn open(disk: Arc<dyn Disk>, settings: Settings) -> Result<Log, Error> {
        let identity = identity::read(&disk)?;
        let lock = disk.lock(LOCK, Wait::No).map_err(|cause| match cause.kind() {
            std::io::ErrorKind::WouldBlock => Error::Locked { place: disk.place() },
            _ => Error::Io { doing: format!("lock {}", disk.place()), cause },
        })?;
        let mut opened = sealer::open(&disk, settings.cache_bytes_max)?;
        sealer::tidy(&*disk, &mut opened)?;
        let sealed = &opened.manifest.sealed;
        let history = History::resume(sealed, &opened.segments).expect("the manifest was read");
        let state = State {
            segments: Arc::new(opened.segments.clone()),
            active: Tail::from(sealed.events),
            trails: opened
                .segments
                .iter()
                .flat_map(|segment| segment.trails())
                .map(|(trail, _)| trail.clone())
                .collect(),
            // What is sealed are whole tails.
            tail_events_max: settings
                .tail_events_max
                .min(usize::try_from(settings.seal_events).unwrap_or(usize::MAX)),
            files: opened.audit_files()?,
            ..State::default()
        };
        let known = sealer::known_aside(&*disk, &identity.salt, sealed)?;
        let mut recovered = Recovered { history, state, known };
        let start = opened.manifest.start();
        let (journal, tail) = FileJournal::open(
            Arc::clone(&disk),
            &identity,
            settings.journal_file_bytes_max,
            start,
            &mut |batch| recovered.replay(batch),
        )?;
        let torn = TornTail::of(tail);
        let reader = journal::Journal::reader(&journal);
        let sequencer = Sequencer::new(Box::new(journal), recovered, identity.salt);
        let shared = Arc::new(Shared::default());
        shared.set_aside.store(sequencer.set_aside(), Ordering::Relaxed);
        let (queue, jobs) = sync_channel(settings.waiting_requests_max);
        let state = sequencer.state();
        let sealer = Sealer::new(Arc::clone(&disk), opened, Arc::clone(&state), Arc::clone(&reader));
        let sealer = Arc::new(Mutex::new(sealer));
        let (stop, told_to_stop) = channel();
        let sealing = {
            let (sealer, shared) = (Arc::clone(&sealer), Arc::clone(&shared));
            let (on_fatal, seal_events) = (Arc::clone(&settings.on_fatal), settings.seal_events);
            std::thread::Builder::new()
                .name("sealer".to_owned())
                .spawn(move || keep_sealing(&sealer, seal_events, &told_to_stop, &shared, &*on_fatal))
                .map_err(Error::io("start the sealer's thread"))?
        };
        let merger = Arc::new(Merger {
            disk,
            sealer: Arc::clone(&sealer),
            segments: settings.merge_segments,
            events_max: settings.merged_events_max,
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
                .spawn(move || run(sequencer, &jobs, &shared, settings))
                .map_err(Error::io("start the sequencer's thread"))?
        };
        Ok(Log {
            identity,
            queue: Some(queue),
            sequencer: Some(thread),
            sealing: Some((stop, sealing)),
            merging: Some(merging),
            merger,
            sealer,
            state,
            reader,
            shared,
            torn,
            _lock: Guard { _held: Mutex::new(lock) },
        })
    }

    /// Which log this is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What recovery cut off at the journal's end, which nobody was answered for.
    pub fn torn_tail(&self) -> Option<&TornTail> {
        self.torn.as_ref()
    }

    /// Hands a request to the sequencer. `reply` is called from its thread once the request is durable and visible, or
    /// refused. Errs without calling it when too many are waiting, the log is fenced, or an event is larger than
    /// [`EVENT_BYTES_MAX`].
    pub fn submit(
        &self,
        request: Append,
        reply: impl FnOnce(Result<Receipt, Refusal>) + Send + 'static,
    ) -> Result<(), Error> {
        let fenced = || Error::Fenced {
            because: self.shared.fence.get().cloned().unwrap_or_else(|| "it is closing".to_owned()),
        };
        if let Some(len_bytes) = lens_bytes_max(&request).find(|len_bytes| *len_bytes > EVENT_BYTES_MAX) {
            return Err(Error::TooLarge { len_bytes });
        }
        let queue = self.queue.as_ref().filter(|_| self.shared.fence.get().is_none()).ok_or_else(fenced)?;
        queue.try_send(Job::Append(request, Box::new(reply))).map_err(|refused| match refused {
            TrySendError::Full(_) => Error::Overloaded,
            TrySendError::Disconnected(_) => fenced(),
        })
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

    /// Answers a question as of now, or as of the size it names. Sees everything that was answered for before.
    pub fn query(&self, query: &Query) -> Result<Page<Row>, Error> {
        let question = Question::of(query);
        let view = self.state.read().expect("no panic while held").view(&question);
        let (found, total, tree_size) = view.find(&question)?;
        let rows = self.rows(&view, &found, query.reads)?;
        Ok(Page { rows, total, tree_size })
    }

    /// How many matching events occurred from each of these instants on and before the next. The instants are in order; the
    /// order, the offset and the limit of the question do not matter.
    pub fn histogram(&self, query: &Query, instants: &[Time]) -> Result<Histogram, Error> {
        let question = Question::of(query);
        let view = self.state.read().expect("no panic while held").view(&question);
        view.histogram(&question, instants)
    }

    /// The values of a dimension that most of the matching events have, at most `limit` of them, with exact counts. The
    /// order, the offset and the limit of the question do not matter.
    pub fn top(&self, query: &Query, dimension: Dimension, limit: usize) -> Result<Top, Error> {
        let question = Question::of(query);
        let (view, active) = {
            let state = self.state.read().expect("no panic while held");
            (state.view(&question), state.active_counts(&question, dimension))
        };
        view.top(&question, dimension, active, limit)
    }

    /// Reads rows that were found; those of one segment at once.
    fn rows(&self, view: &View, found: &[state::Row], reads: Reads) -> Result<Vec<Row>, Error> {
        let mut of_segments: HashMap<usize, (Vec<u32>, Vec<usize>)> = HashMap::new();
        let mut rows: Vec<Option<Row>> = found.iter().map(|_| None).collect();
        for (position, row) in found.iter().enumerate() {
            match row {
                state::Row::Segment(segment, row) => {
                    let (wanted, positions) = of_segments.entry(*segment).or_default();
                    wanted.push(*row);
                    positions.push(position);
                }
                state::Row::Journal(index, place) => {
                    rows[position] = Some(Row { index: *index, entry: self.entry_at(*place)? });
                }
            }
        }
        for (segment, (wanted, positions)) in of_segments {
            let read = view.segments[segment].read(&wanted, reads)?;
            for ((index, entry), position) in read.into_iter().zip(positions) {
                rows[position] = Some(Row { index, entry });
            }
        }
        Ok(rows.into_iter().map(|row| row.expect("each was read")).collect())
    }

    fn entry_at(&self, place: Place) -> Result<Entry, Error> {
        let frame = self.reader.event(place.at, place.len_bytes)?;
        entry::decode(&frame.entry).map_err(|error| Error::damage("journal", 0, error.to_string()))
    }

    /// Seals all there is now, and drops what of the journal is not needed for it. Returns when that is durable.
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

    /// Whether the trail holds any event.
    pub fn has_trail(&self, trail: &Trail) -> bool {
        self.state.read().expect("no panic while held").trails.contains(trail)
    }

    /// Every trail that holds an event, in order.
    pub fn trails(&self) -> Vec<Trail> {
        self.state.read().expect("no panic while held").trails.iter().cloned().collect()
    }

    /// The finished audit log files of a database trail, oldest first, and the tree size of the answer: now, or as of
    /// the moment the log held `as_of` events.
    pub fn audit_files(&self, trail: &Trail, as_of: Option<u64>) -> (Vec<AuditFile>, u64) {
        let tail = self.state.read().expect("no panic while held");
        let tree_size = as_of.map_or(tail.len(), |size| size.min(tail.len()));
        (tail.files.of(trail, tree_size).to_vec(), tree_size)
    }

    /// The finished audit log file with this id.
    pub fn audit_file(&self, id: &str) -> Option<AuditFile> {
        self.state.read().expect("no panic while held").files.find(id).cloned()
    }

    /// The finished audit log files of every trail beyond the first `known[trail]` of it; those of a trail oldest first.
    pub fn audit_files_beyond(&self, known: &HashMap<Trail, u64>) -> Vec<AuditFile> {
        self.state.read().expect("no panic while held").files.beyond(known)
    }

    /// How many audit log files the next event ends, of whatever trail, because their hour is over.
    pub fn audit_files_overdue(&self, now: Time) -> usize {
        self.state.read().expect("no panic while held").files.overdue(now)
    }

    /// Original lines of an audit log file, each with a line feed, from the line `from` (counted from 0): as many as
    /// make `bytes_max`, but at least one. Also the line to go on from. Errs with [`Error::Damage`] when stored bytes do
    /// not read back.
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
                    tail.rows_by_number(trail, first_number, count).iter().map(|row| tail.place(*row))
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

    /// How much there is.
    pub fn counts(&self) -> Counts {
        Counts {
            events: self.state.read().expect("no panic while held").len(),
            set_aside: self.shared.set_aside.load(Ordering::Relaxed),
            duplicates: self.shared.duplicates.load(Ordering::Relaxed),
            groups: self.shared.groups.load(Ordering::Relaxed),
        }
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

impl Drop for Log {
    fn drop(&mut self) {
        // An error was reported to `on_fatal` and to every sender already.
        let _ = self.stop();
    }
}

/// Commits group after group until the queue is closed or a durable write fails. While one group is being synced, the
/// next one collects in the queue.
fn run(
    mut sequencer: Sequencer,
    jobs: &Receiver<Job>,
    shared: &Shared,
    settings: Settings,
) -> Result<(), Error> {
    let ended = commit_groups(&mut sequencer, jobs, shared, &settings);
    if let Err(error) = &ended {
        // What is still waiting was never written; its replies are dropped with the queue.
        shared.fence.get_or_init(|| error.to_string());
        (settings.on_fatal)(error);
    }
    ended
}

fn commit_groups(
    sequencer: &mut Sequencer,
    jobs: &Receiver<Job>,
    shared: &Shared,
    settings: &Settings,
) -> Result<(), Error> {
    let mut last_group = 0;
    loop {
        let first = match jobs.recv_timeout(IDLE_AFTER) {
            Ok(job) => job,
            Err(RecvTimeoutError::Disconnected) => return sequencer.close(),
            Err(RecvTimeoutError::Timeout) => {
                sequencer.mark()?;
                let Ok(job) = jobs.recv() else { return sequencer.close() };
                job
            }
        };
        while sequencer.unsealed() > settings.unsealed_events_max && shared.fence.get().is_none() {
            std::thread::sleep(UNSEALED_WAIT);
        }
        let (requests, replies, freeze) = collect_group(first, jobs, last_group, settings.group_bytes_max);
        last_group = requests.len();
        if !requests.is_empty() {
            commit_group(sequencer, requests, replies, shared)?;
        }
        if let Some(done) = freeze {
            sequencer.freeze();
            // Whoever asked waits, or is gone.
            let _ = done.send(());
        }
    }
}

/// The log is idle when nothing came for so long; then the newest batch gets the mark that a next one would have brought.
/// Long after the answers left, so that none follows a write that fails.
const IDLE_AFTER: Duration = Duration::from_millis(20);

/// How often it is looked whether the sealer has caught up.
const UNSEALED_WAIT: Duration = Duration::from_millis(5);

/// How long a group waits for a further request that the size of the last group promises.
const COMPANY_WAIT: Duration = Duration::from_micros(50);
/// The least size of the last group that promises any; fewer senders gain less by sharing a sync than they lose by waiting.
const COMPANY_MIN: usize = 6;

/// Takes what is waiting. With many senders a group also waits a moment for those who were just answered and are about
/// to send again: fewer syncs leave more of the machine to them. Few senders never wait.
fn collect_group(
    first: Job,
    jobs: &Receiver<Job>,
    last_group: usize,
    group_bytes_max: usize,
) -> (Vec<Append>, Vec<Reply>, Option<SyncSender<()>>) {
    let (mut requests, mut replies) = (Vec::new(), Vec::new());
    let mut size = match first {
        Job::Freeze(done) => return (requests, replies, Some(done)),
        Job::Append(request, reply) => {
            let size = size_of(&request);
            requests.push(request);
            replies.push(reply);
            size
        }
    };
    while size < group_bytes_max {
        let next = match jobs.try_recv() {
            Err(TryRecvError::Empty) if requests.len() < last_group && last_group >= COMPANY_MIN => {
                jobs.recv_timeout(COMPANY_WAIT).ok()
            }
            next => next.ok(),
        };
        let (request, reply) = match next {
            None => break,
            Some(Job::Freeze(done)) => return (requests, replies, Some(done)),
            Some(Job::Append(request, reply)) => (request, reply),
        };
        size += size_of(&request);
        requests.push(request);
        replies.push(reply);
    }
    (requests, replies, None)
}

fn commit_group(
    sequencer: &mut Sequencer,
    requests: Vec<Append>,
    mut replies: Vec<Reply>,
    shared: &Shared,
) -> Result<(), Error> {
    if cfg!(feature = "plant_ack_before_write") {
        for (request, reply) in requests.iter().zip(replies.drain(..)) {
            let recorded = request.events.len();
            reply(Ok(Receipt {
                first_index: None,
                recorded,
                duplicates: Vec::new(),
                set_aside: 0,
                tree_size: 0,
            }));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    match sequencer.commit(requests) {
        Ok(answers) => {
            shared.groups.fetch_add(1, Ordering::Relaxed);
            shared.set_aside.store(sequencer.set_aside(), Ordering::Relaxed);
            for (answer, reply) in answers.into_iter().zip(replies) {
                if let Ok(receipt) = &answer {
                    shared.duplicates.fetch_add(receipt.duplicates.len() as u64, Ordering::Relaxed);
                }
                reply(answer);
            }
            Ok(())
        }
        Err(error) => {
            let because = error.to_string();
            shared.fence.get_or_init(|| because.clone());
            for reply in replies {
                reply(Err(Refusal::Fenced { because: because.clone() }));
            }
            Err(error)
        }
    }
}

fn size_of(request: &Append) -> usize {
    lens_bytes_max(request).sum()
}

/// The most that each event and each record set aside of a request takes in the journal, frame heads left out.
fn lens_bytes_max(request: &Append) -> impl Iterator<Item = usize> {
    let source = request.source.len();
    let aside = request.set_aside.iter().map(move |one| one.raw.len() + one.reason.len() + source);
    request.events.iter().map(crate::Incoming::len_bytes_max).chain(aside)
}

/// Every record set aside in the log on this disk, oldest first, read beside a process that may have it open.
pub fn set_aside(disk: &Arc<dyn Disk>) -> Result<Vec<SetAsideRecord>, Error> {
    let identity = identity::read(disk)?;
    sealer::unchanged_meanwhile(disk, &mut |manifest| {
        let mut records = Vec::new();
        sealer::sealed_aside(&**disk, &identity.salt, &manifest.sealed, &mut |record| {
            records.push(record);
            Ok(())
        })?;
        let mut collect = |batch: &journal::Batch<'_>| {
            for (_, _, content) in &batch.frames {
                if let journal::Content::SetAside(record) = content {
                    records.push(record.clone());
                }
            }
            Ok(())
        };
        journal::scan_all(&**disk, &identity, manifest.start(), &mut collect, &mut |_| {})?;
        Ok(records)
    })
}
