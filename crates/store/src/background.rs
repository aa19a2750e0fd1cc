//! The log's threads: one that commits what is appended, one that seals, one that merges.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use crate::Error;
use crate::durable::Disk;
use crate::figures::Meters;
use crate::log::Settings;
use crate::sealer::{self, Sealer};
use crate::sequencer::{Append, Receipt, Refusal, Sequencer};

/// What the threads tell each other.
pub(crate) struct Shared {
    pub fence: OnceLock<String>,
    pub duplicates: AtomicU64,
    pub set_aside: AtomicU64,
    pub groups: AtomicU64,
    pub meters: Arc<Meters>,
}

impl Shared {
    pub fn new(meters: Arc<Meters>) -> Shared {
        Shared {
            fence: OnceLock::new(),
            duplicates: AtomicU64::default(),
            set_aside: AtomicU64::default(),
            groups: AtomicU64::default(),
            meters,
        }
    }
}

pub(crate) type Reply = Box<dyn FnOnce(Result<Receipt, Refusal>) + Send>;

/// What the sequencer is asked to do.
pub(crate) enum Job {
    Append(Append, Reply),
    /// To end the active tail, and to say so.
    Freeze(SyncSender<()>),
}

/// Commits group after group until the queue is closed or a durable write fails. While one group is
/// being synced, the next one collects in the queue.
pub(crate) fn keep_committing(
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
        while sequencer.waiting() > settings.unsealed_events_max && shared.fence.get().is_none() {
            std::thread::sleep(UNSEALED_WAIT);
        }
        let (requests, replies, freeze) =
            collect_group(first, jobs, last_group, settings.group_bytes_max);
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

/// The log is idle when nothing came for so long; then the newest batch gets the mark that a next
/// one would have brought. Long after the answers left, so that none follows a write that fails.
const IDLE_AFTER: Duration = Duration::from_millis(20);

/// How often it is looked whether the sealer has caught up.
const UNSEALED_WAIT: Duration = Duration::from_millis(5);

/// How long a group waits for a further request that the size of the last group promises.
const COMPANY_WAIT: Duration = Duration::from_micros(50);
/// The least size of the last group that promises any; fewer senders gain less by sharing a sync
/// than they lose by waiting.
const COMPANY_MIN: usize = 6;

/// Takes what is waiting. With many senders a group also waits a moment for those who were just
/// answered and are about to send again: fewer syncs leave more of the machine to them. Few senders
/// never wait.
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
    mut replies: Vec<Reply>,
    shared: &Shared,
) -> Result<(), Error> {
    if crate::is_planted("ack_before_write") {
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
            let recorded = answers.iter().flatten().map(|receipt| receipt.recorded as u64).sum();
            shared.meters.group_events.record(recorded);
            shared.meters.group_requests.record(answers.len() as u64);
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

/// The most that each event and each record set aside of a request takes in the journal, frame
/// heads left out.
pub(crate) fn lens_bytes_max(request: &Append) -> impl Iterator<Item = usize> {
    let source = request.source.len();
    let aside = request.set_aside.iter().map(move |one| one.raw.len() + one.reason.len() + source);
    request.events.iter().map(crate::Incoming::len_bytes_max).chain(aside)
}

/// How often it is looked whether there is something to seal or to drop.
const SEAL_EVERY: Duration = Duration::from_millis(50);

/// Seals whenever enough events wait, until it is told to stop.
pub(crate) fn keep_sealing(
    sealer: &Mutex<Sealer>,
    seal_events: u64,
    told_to_stop: &Receiver<()>,
    shared: &Shared,
    on_fatal: &(dyn Fn(&Error) + Send + Sync),
) {
    let mut wait = SEAL_EVERY;
    while let Err(RecvTimeoutError::Timeout) = told_to_stop.recv_timeout(wait) {
        let mut sealer = sealer.lock().expect("no panic while held");
        let is_due = sealer.waiting() >= seal_events;
        wait = if is_due { Duration::ZERO } else { SEAL_EVERY };
        let done = if is_due { sealer.seal(seal_events) } else { sealer.retire() };
        if let Err(error) = done {
            shared.fence.get_or_init(|| error.to_string());
            on_fatal(&error);
            return;
        }
    }
}

/// The machine is busy when this part of the next segment came while one was sealed.
const BUSY_SHARE: u64 = 4;

/// Merges segments, beside whatever else goes on.
pub(crate) struct Merger {
    pub disk: Arc<dyn Disk>,
    pub sealer: Arc<Mutex<Sealer>>,
    pub segments: usize,
    pub events_max: u64,
    pub seal_events: u64,
    /// Held by the one who merges.
    pub merges: Mutex<()>,
    /// Set when the log is closed; a merge that is under way is given up then.
    pub ends: AtomicBool,
}

impl Merger {
    pub fn merge_all(&self) -> Result<(), Error> {
        let _merges = self.merges.lock().expect("no panic while held");
        let sealer = || self.sealer.lock().expect("no panic while held");
        while !self.ends.load(Ordering::Relaxed) {
            let inputs = {
                let sealer = sealer();
                // Mostly a seal just ended; what came meanwhile tells how fast events come.
                let is_busy = sealer.waiting() >= self.seal_events / BUSY_SHARE;
                sealer.due(self.segments, self.events_max, is_busy)
            };
            let Some(inputs) = inputs else { break };
            let goes_on = || !self.ends.load(Ordering::Relaxed);
            let Some(merged) = sealer::merge_files(&self.disk, &inputs, &goes_on)? else { break };
            sealer().replace(inputs, merged)?;
        }
        Ok(())
    }
}

/// Merges whenever there is something to merge, until the log is closed.
pub(crate) fn keep_merging(
    merger: &Merger,
    every: Duration,
    shared: &Shared,
    on_fatal: &(dyn Fn(&Error) + Send + Sync),
) {
    loop {
        std::thread::park_timeout(every);
        if merger.ends.load(Ordering::Relaxed) {
            return;
        }
        if let Err(error) = merger.merge_all() {
            shared.fence.get_or_init(|| error.to_string());
            on_fatal(&error);
            return;
        }
    }
}
