//! The threads of the log: one commits requests, one flushes, one compacts.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use crate::compaction::Compactor;
use crate::disk::space::Space;
use crate::error::Error;
use crate::flush::Flusher;
use crate::log::request::{Append, IncomingEvent, Receipt, Refusal};
use crate::log::sequencer::Sequencer;
use crate::log::settings::Settings;
use crate::metrics::Meters;

/// State that the threads share.
pub(crate) struct SharedState {
    pub fence: OnceLock<String>,
    pub duplicates: AtomicU64,
    pub dead_letters: AtomicU64,
    pub groups: AtomicU64,
    pub meters: Arc<Meters>,
    pub space: Arc<Space>,
    /// Whether a flush is due and has no room.
    pub flush_lacks_room: AtomicBool,
}

impl SharedState {
    pub fn new(meters: Arc<Meters>, space: Arc<Space>) -> SharedState {
        SharedState {
            fence: OnceLock::new(),
            duplicates: AtomicU64::default(),
            dead_letters: AtomicU64::default(),
            groups: AtomicU64::default(),
            meters,
            space,
            flush_lacks_room: AtomicBool::new(false),
        }
    }

    /// Notes that an operation failed: if it found no room, the disk is full, else the log takes
    /// nothing more. Returns whether it goes on.
    pub fn note(&self, error: &Error) -> bool {
        let goes_on = error.is_storage_full();
        if goes_on {
            self.space.note_refusal();
        } else {
            self.fence.get_or_init(|| error.to_string());
        }
        goes_on
    }
}

pub(crate) type Reply = Box<dyn FnOnce(Result<Receipt, Refusal>) + Send>;

/// A job of the sequencer.
pub(crate) enum Job {
    Append(Append, Reply),
    /// Ends the active memtable, then answers.
    Freeze(SyncSender<()>),
}

/// Commits group after group until the queue is closed or a durable write fails. While one group
/// syncs, the next one collects in the queue.
pub(crate) fn run_sequencer(
    mut sequencer: Sequencer,
    jobs: &Receiver<Job>,
    shared: &SharedState,
    settings: Settings,
) -> Result<(), Error> {
    let ended = commit_groups(&mut sequencer, jobs, shared, &settings);
    if let Err(error) = &ended {
        // Queued requests were never written; their replies are dropped with the queue.
        shared.fence.get_or_init(|| error.to_string());
        (settings.on_fatal)(error);
    }
    ended
}

fn commit_groups(
    sequencer: &mut Sequencer,
    jobs: &Receiver<Job>,
    shared: &SharedState,
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
        let has_memory = wait_for_memory(sequencer, shared, settings.unflushed_events_max);
        let (requests, replies, freeze) =
            collect_group(first, jobs, last_group, settings.group_bytes_max);
        last_group = requests.len();
        if !has_memory {
            // Waiting for a flush would hold up everybody until there is room on the disk.
            replies.into_iter().for_each(|reply| reply(Err(Refusal::StorageFull)));
        } else if !requests.is_empty() {
            commit_group(sequencer, requests, replies, shared)?;
        }
        if let Some(done) = freeze {
            sequencer.freeze();
            // The requester waits, or is gone.
            let _ = done.send(());
        }
    }
}

/// Waits until the events not yet flushed are no more than `weight_max`. Returns false if there is
/// no room on the disk to flush them.
fn wait_for_memory(sequencer: &Sequencer, shared: &SharedState, weight_max: u64) -> bool {
    while sequencer.unflushed_weight() > weight_max && shared.fence.get().is_none() {
        if shared.flush_lacks_room.load(Ordering::Relaxed) {
            return false;
        }
        std::thread::sleep(UNFLUSHED_WAIT);
    }
    true
}

/// The log is idle after this time without a job. The newest batch then gets the mark that a next
/// one would have brought. The time is long after the receipts left, so that none follows a failed
/// write.
const IDLE_AFTER: Duration = Duration::from_millis(20);

/// Interval of checking whether the flusher has caught up.
const UNFLUSHED_WAIT: Duration = Duration::from_millis(5);

/// How long a group waits for a further request when the last group was large.
const COMPANY_WAIT: Duration = Duration::from_micros(50);
/// Size of the last group from which a group waits. Fewer senders gain less by sharing a sync than
/// they lose by waiting.
const COMPANY_MIN: usize = 6;

/// Takes the queued requests. With many senders a group also waits a moment for those that just got
/// their receipts and are about to send again: fewer syncs leave them more of the machine. Few
/// senders never wait.
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
            Err(TryRecvError::Empty)
                if requests.len() < last_group && last_group >= COMPANY_MIN =>
            {
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
    replies: Vec<Reply>,
    shared: &SharedState,
) -> Result<(), Error> {
    match sequencer.commit(requests) {
        Ok(answers) if answers.contains(&Err(Refusal::StorageFull)) => {
            shared.space.note_refusal();
            answers.into_iter().zip(replies).for_each(|(answer, reply)| reply(answer));
            Ok(())
        }
        Ok(answers) => {
            shared.groups.fetch_add(1, Ordering::Relaxed);
            let recorded = answers.iter().flatten().map(|receipt| receipt.recorded as u64).sum();
            shared.meters.group_events.record(recorded);
            shared.meters.group_requests.record(answers.len() as u64);
            shared.dead_letters.store(sequencer.dead_letters(), Ordering::Relaxed);
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

/// Upper bound of the journal bytes of each event and each rejected record of a request, without
/// frame heads.
pub(crate) fn lens_bytes_max(request: &Append) -> impl Iterator<Item = usize> {
    let source = request.source.len();
    let rejected =
        request.rejected.iter().map(move |one| one.raw.len() + one.reason.len() + source);
    request.events.iter().map(IncomingEvent::len_bytes_max).chain(rejected)
}

/// Interval of looking for something to flush or to drop.
const FLUSH_EVERY: Duration = Duration::from_millis(50);

/// Pause before a flush is tried again that had no room.
const ROOM_WAIT: Duration = Duration::from_secs(1);
/// Room that a flush needs for each event, rows and index: mostly more than twice as much as it
/// takes.
const FLUSHED_EVENT_BYTES: u64 = 1 << 10;

/// Flushes whenever enough events wait, until `stop` gets a message.
pub(crate) fn run_flusher(
    flusher: &Mutex<Flusher>,
    flush_events: u64,
    stop: &Receiver<()>,
    shared: &SharedState,
    on_fatal: &(dyn Fn(&Error) + Send + Sync),
) {
    let mut wait = FLUSH_EVERY;
    while let Err(RecvTimeoutError::Timeout) = stop.recv_timeout(wait) {
        let mut flusher = flusher.lock().expect("no panic while held");
        let is_due = flusher.unflushed_weight() >= flush_events;
        // A full disk has its last room for what is recorded, not for attempts.
        let needs = flush_events.saturating_mul(FLUSHED_EVENT_BYTES);
        let may_flush = is_due && (!shared.space.is_full() || shared.space.has_free(needs));
        let done = if may_flush { flusher.flush(flush_events) } else { flusher.retire() };
        let is_done = done.is_ok();
        if let Err(error) = done
            && !shared.note(&error)
        {
            on_fatal(&error);
            return;
        }
        let lacks_room = !is_done || is_due && !may_flush;
        shared.flush_lacks_room.store(lacks_room, Ordering::Relaxed);
        wait = match (is_due, lacks_room) {
            (_, true) => ROOM_WAIT,
            (true, false) => Duration::ZERO,
            (false, false) => FLUSH_EVERY,
        };
    }
}

/// Compacts whenever there are segments to compact, until the log is closed.
pub(crate) fn run_compactor(
    compactor: &Compactor,
    every: Duration,
    shared: &SharedState,
    on_fatal: &(dyn Fn(&Error) + Send + Sync),
) {
    loop {
        std::thread::park_timeout(every);
        if compactor.ends.load(Ordering::Relaxed) {
            return;
        }
        if let Err(error) = compactor.compact_all()
            && !shared.note(&error)
        {
            on_fatal(&error);
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{SyncSender, sync_channel};

    use event::Time;

    use super::*;
    use crate::log::request::OnConflict;
    use crate::samples::event;

    fn request(source: &str, events: i64) -> Append {
        Append {
            source: source.to_owned(),
            received_at: Time::from_unix_ns(0),
            events: (0..events).map(|number| IncomingEvent::new(event(number))).collect(),
            rejected: Vec::new(),
            on_conflict: OnConflict::Refuse,
            is_own: false,
        }
    }

    fn send(queue: &SyncSender<Job>, request: Append) {
        queue.send(Job::Append(request, Box::new(|_| {}))).expect("the receiver is there");
    }

    /// Sources of the next group.
    fn group(jobs: &Receiver<Job>, bytes_max: usize) -> (Vec<String>, bool) {
        let first = jobs.recv().expect("a job");
        let (requests, replies, freeze) = collect_group(first, jobs, 0, bytes_max);
        assert_eq!(requests.len(), replies.len());
        (requests.into_iter().map(|request| request.source).collect(), freeze.is_some())
    }

    #[test]
    fn a_group_ends_at_its_size_and_at_a_freeze() {
        let (queue, jobs) = sync_channel(10);
        for source in ["a", "b", "c"] {
            send(&queue, request(source, 1));
        }
        let (done, _is_done) = sync_channel(1);
        queue.send(Job::Freeze(done)).expect("the receiver is there");
        send(&queue, request("d", 1));
        let owned = |sources: &[&str]| sources.iter().map(|one| (*one).to_owned()).collect();
        let one = size_of(&request("a", 1));
        assert_eq!(group(&jobs, one + 1), (owned(&["a", "b"]), false));
        assert_eq!(group(&jobs, usize::MAX), (owned(&["c"]), true));
        assert_eq!(group(&jobs, usize::MAX), (owned(&["d"]), false));
    }
}
