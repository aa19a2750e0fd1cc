//! Following files and folders: what programs append to their log files is recorded as it comes,
//! through every rotation.
//!
//! - `content`: files as they are found and read; `pattern`: which ones
//! - `follower`: which file is which, and what to read next; `known`: what is kept of it; `prefix`:
//!   what was read, as a hash
//! - `reading`: in which order things become durable
//!
//! Each source has a thread of its own: what holds one up holds up no other. It looks every
//! [`LOOK_EVERY`] instead of being told by the system: that works on every file system, network
//! ones too, needs no second way for when notifications are lost, and costs a few `stat` calls.

pub mod content;
pub mod follower;
pub mod prefix;
pub mod reader;
pub mod state;

#[cfg(test)]
mod model;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use event::{Operation, Outcome, OutcomeKind, Service, Severity, Time};
use formats::{FilePosition, Item, Limits};
use store::durable::Local as Disk;
use store::{FileObjects, Log};

use super::figures::Figures;
use super::piece::prepare_piece;
use super::{Answer, Arrival, Intake, Received, Refused, Tally, parse, submit};
use crate::audit::{Act, OwnAudit};
use content::LocalFiles;
use follower::{Follower, Gap, Moment, Piece, Rules};
use reader::{Reader, Sink, StateFile, StopReason};

/// How often it is looked whether files grew, came or went.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Bytes of a file that are recorded with one request: some hundred lines, so that a sync is for
/// many, and what a group of the log grows to stays in the processor's cache.
pub const PIECE_BYTES: usize = 256 << 10;
/// The pause before a piece is put to a log again that takes no more.
const PAUSE: Duration = Duration::from_millis(50);
/// Paths that are not complained of again while nothing else is wrong with them.
const COMPLAINTS_MAX: usize = 1000;

/// The threads that follow.
pub struct FollowThreads {
    threads: Vec<JoinHandle<()>>,
    stops: Arc<AtomicBool>,
}

impl FollowThreads {
    /// Follows the files of every source that has any. `report_fatal` is called when a position
    /// cannot be made durable.
    pub fn start(
        intakes: &[Arc<Intake>],
        log: &Arc<Log>,
        audit: &Arc<OwnAudit>,
        limits: &config::Limits,
        data_dir: &Path,
        report_fatal: impl Fn(&store::Error) + Clone + Send + 'static,
    ) -> FollowThreads {
        let stops = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        for intake in intakes.iter().filter(|intake| intake.source.follow.is_some()) {
            let (intake, log, audit) = (Arc::clone(intake), Arc::clone(log), Arc::clone(audit));
            let (limits, stops) = (*limits, Arc::clone(&stops));
            let objects = FileObjects::new(Arc::new(Disk::open(data_dir)));
            let report_fatal = report_fatal.clone();
            let work = move || {
                let source = intake.source.name.clone();
                match follow(&intake, &log, &audit, &limits, objects, &stops) {
                    StopReason::Stopped => {}
                    StopReason::Failed(why) => {
                        tracing::error!(
                            source,
                            why,
                            "the files of a source are not followed any more"
                        )
                    }
                    StopReason::WriteFailed(error) => report_fatal(&error),
                }
            };
            let thread = std::thread::Builder::new().name("follow".to_owned()).spawn(work);
            threads.push(thread.expect("the machine has room for a thread"));
        }
        FollowThreads { threads, stops }
    }

    /// Reads no more; what is under way is recorded, and how far it came.
    pub fn stop(self) {
        self.stops.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!("following a source's files panicked");
            }
        }
    }
}

/// How the files of a source are read by whoever does.
pub fn rules(
    source: &config::Source,
    limits: &config::Limits,
    is_import: bool,
    stops: &Arc<AtomicBool>,
) -> Rules {
    let (stops, of) = (Arc::clone(stops), source.clone());
    Rules {
        format: source.format,
        is_import,
        from_end: source.follow.as_ref().is_some_and(|follow| follow.from_end),
        piece_bytes: PIECE_BYTES,
        // A body can have so many, so that `daybook import` can send what a server reads.
        record_bytes_max: limits.body_bytes_max,
        new_id: Box::new(system::random_hex::<8>),
        begins: Box::new(move |head| first_record(head, &of).map(Time::unix_ns)),
        go_on: Box::new(move || !stops.load(Ordering::Relaxed)),
    }
}

/// When the first event of these bytes happened.
fn first_record(bytes: &[u8], source: &config::Source) -> Option<Time> {
    let whole = source.format.complete_bytes(bytes, formats::Continuation::More);
    let arrival = Arrival {
        received_at: system::now(),
        log_file: None,
        headers: &[],
        peer: None,
        place: None,
    };
    let items = parse(Received::Body(&bytes[..whole]), arrival, source, Limits::default()).ok()?;
    items.into_iter().find_map(|item| match item {
        Item::Event(event) => Some(event.occurred_at),
        Item::Rejected(_) | Item::Skipped(_) => None,
    })
}

/// Limits on what is parsed at once, as a source's senders have them.
pub fn parse_limits(limits: &config::Limits) -> Limits {
    Limits { events_max: limits.events_per_request_max, event_bytes_max: limits.event_bytes_max }
}

/// Follows until told to stop.
fn follow(
    intake: &Arc<Intake>,
    log: &Log,
    audit: &OwnAudit,
    limits: &config::Limits,
    objects: FileObjects,
    stops: &Arc<AtomicBool>,
) -> StopReason {
    let Some(follow) = &intake.source.follow else { return StopReason::Stopped };
    let (state, known) = match StateFile::open(objects, &intake.source.name) {
        Ok(opened) => opened,
        Err(why) => return StopReason::Failed(why),
    };
    let rules = rules(&intake.source, limits, false, stops);
    let files = LocalFiles::new(follow.patterns.clone(), state::FILES_MAX);
    let follower = Follower::resume(files, rules, known, Moment::at_start());
    let sink = LogSink::new(Arc::clone(intake), log, audit, limits, stops);
    let mut reading = Reader::new(follower, sink, Some(state));
    let mut complaints = HashSet::new();
    loop {
        match reading.pass(&mut |_| {}) {
            Ok(failed) => complain(&intake.source.name, failed, &mut complaints),
            Err(ended) => return ended,
        }
        intake.figures.behind_bytes.store(reading.follower.behind(), Ordering::Relaxed);
        if stops.load(Ordering::Relaxed) {
            return reading.write_if_changed().err().unwrap_or(StopReason::Stopped);
        }
        std::thread::park_timeout(LOOK_EVERY);
    }
}

/// Tells of what cannot be read, once.
fn complain(source: &str, failed: Vec<(PathBuf, String)>, told: &mut HashSet<(PathBuf, String)>) {
    told.retain(|one| failed.contains(one));
    for one in failed {
        if told.len() < COMPLAINTS_MAX && told.insert(one.clone()) {
            tracing::warn!(source, path = %one.0.display(), why = one.1, "couldn't read a file that is followed; it is tried again");
        }
    }
}

/// Records what is read in the log of this process.
pub struct LogSink<'a> {
    intake: Arc<Intake>,
    log: &'a Log,
    audit: &'a OwnAudit,
    limits: Limits,
    stops: Arc<AtomicBool>,
    tell: Sender<(u64, Result<Answer, Refused>)>,
    told: Receiver<(u64, Result<Answer, Refused>)>,
    /// Requests of each piece that are not answered yet.
    waiting: Vec<(u64, usize)>,
    /// What became of everything so far.
    pub tally: Tally,
}

impl<'a> LogSink<'a> {
    pub fn new(
        intake: Arc<Intake>,
        log: &'a Log,
        audit: &'a OwnAudit,
        limits: &config::Limits,
        stops: &Arc<AtomicBool>,
    ) -> LogSink<'a> {
        let (tell, told) = channel();
        let limits = parse_limits(limits);
        let (waiting, tally) = (Vec::new(), Tally::default());
        LogSink { intake, log, audit, limits, stops: Arc::clone(stops), tell, told, waiting, tally }
    }
}

impl Sink for LogSink<'_> {
    fn send(&mut self, piece: Piece) -> Result<(), StopReason> {
        let mut sent = 0;
        loop {
            let is_of_database = self.intake.source.trail.service() == Service::Database;
            let arrival = Arrival {
                received_at: system::now(),
                log_file: Some(piece.log_file.as_str()).filter(|_| is_of_database),
                headers: &[],
                peer: None,
                place: Some(FilePosition { file: &piece.file, offset: piece.offset }),
            };
            // The same piece is always cut alike.
            let prepared =
                prepare_piece(&piece.bytes, arrival, &self.intake, self.limits, self.log);
            let mut is_overloaded = false;
            for one in prepared.into_iter().skip(sent) {
                let (tell, ticket) = (self.tell.clone(), piece.ticket);
                let answer = move |result| {
                    // Nobody waits any more when the thread ended; the log keeps what it has.
                    let _ = tell.send((ticket, result));
                };
                match submit(one, &self.intake, self.log, answer) {
                    Ok(()) => sent += 1,
                    Err(Refused::Overloaded) => {
                        is_overloaded = true;
                        break;
                    }
                    // What one record is too long for is told by no limit of ours.
                    Err(Refused::Envelope(error)) => {
                        return Err(StopReason::Failed(error.to_string()));
                    }
                    Err(_) => return Err(StopReason::Stopped),
                }
            }
            if !is_overloaded {
                self.waiting.push((piece.ticket, sent));
                return Ok(());
            }
            // Files wait.
            std::thread::sleep(PAUSE);
            if self.stops.load(Ordering::Relaxed) {
                return Err(StopReason::Stopped);
            }
        }
    }

    fn take_recorded(&mut self, wait: bool) -> Result<Vec<u64>, StopReason> {
        let mut done = Vec::new();
        loop {
            self.waiting.retain(|(ticket, requests)| {
                if *requests == 0 {
                    done.push(*ticket);
                }
                *requests > 0
            });
            let is_enough = !wait || !done.is_empty() || self.waiting.is_empty();
            let told = match self.told.try_recv() {
                Ok(told) => told,
                Err(_) if is_enough => return Ok(done),
                // This holds the other end itself, so that it does not end.
                Err(_) => match self.told.recv() {
                    Ok(told) => told,
                    Err(_) => return Err(StopReason::Stopped),
                },
            };
            match told {
                (ticket, Ok(answer)) => {
                    self.tally.add(answer.tally());
                    if let Some((_, requests)) =
                        self.waiting.iter_mut().find(|(one, _)| *one == ticket)
                    {
                        *requests -= 1;
                    }
                }
                // The log takes no more; the server is on its way to its end.
                (_, Err(_)) => return Err(StopReason::Stopped),
            }
        }
    }

    fn report_gap(&mut self, gap: &Gap) -> Result<(), StopReason> {
        let figures = &self.intake.figures;
        loop {
            match self.audit.record_now(act_of(&self.intake.source.name, gap)) {
                Ok(()) => break,
                Err(why) => tracing::warn!(why, "couldn't record a gap in a source's files yet"),
            }
            std::thread::sleep(PAUSE);
            if self.stops.load(Ordering::Relaxed) {
                return Err(StopReason::Stopped);
            }
        }
        Figures::add(&figures.file_gaps, 1);
        let bytes = gap.to.map_or(0, |to| to.saturating_sub(gap.from));
        Figures::add(&figures.lost_bytes, usize::try_from(bytes).unwrap_or(usize::MAX));
        let (source, file) = (&self.intake.source.name, gap.path.display());
        tracing::error!(source, %file, from = gap.from, to = gap.to, why = gap.why, "a source's file has a gap");
        Ok(())
    }
}

/// What is on record of bytes that were lost. The same gap gives the same act.
fn act_of(source: &str, gap: &Gap) -> Act {
    let to = gap.to.map_or("unknown".to_owned(), |to| to.to_string());
    let failed =
        Outcome { kind: OutcomeKind::Failure, code: None, reason: Some(gap.why.to_owned()) };
    let act = Act::new("source.gap", Operation::Other, "Sources")
        .on("file", &gap.path.display().to_string())
        .with("source", source)
        .with("file", &gap.file)
        .with("from_byte", gap.from.to_string())
        .with("to_byte", &to);
    Act {
        outcome: failed,
        severity: Severity::MAJOR,
        description: Some(format!(
            "bytes {} to {to} of a file of source {source} are not recorded: {}",
            gap.from, gap.why
        )),
        key: Some(format!("source.gap {source} {} {}", gap.file, gap.from)),
        ..act
    }
}
