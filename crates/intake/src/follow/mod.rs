//! Follows files and folders: records the lines that programs append to their log files, through
//! every rotation.
//!
//! - `content`: finds and reads files; `config::pattern` selects them
//! - `follower`: identifies files and chooses what to read next; `state`: the stored state;
//!   `prefix`: the hash of the bytes read
//! - `reader`: the order in which things become durable
//!
//! Each source has its own thread, so that a delay of one source holds up no other. The thread
//! scans every [`SCAN_EVERY`] instead of waiting for notifications of the system. Scanning works on
//! every file system, network ones included, needs no second method for lost notifications, and
//! costs a few `stat` calls.

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

use super::piece::prepare_piece;
use super::{Answer, Arrival, Input, Intake, IntakeError, Tally, parse, submit};
use crate::audit::{Act, OwnAudit};
use crate::keys::FILE_ID_DIGITS;
use crate::monitor::counters::Counters;
use content::LocalFiles;
use follower::{Follower, Gap, Moment, Piece, Rules};
use reader::{Reader, Sink, StateFile, StopReason};

/// Interval of the scans for files that grew, appeared or disappeared.
const SCAN_EVERY: Duration = Duration::from_millis(250);
/// Bytes of a file recorded with one request: some hundred lines, so that they share a sync, and a
/// group of the log stays in the processor's cache.
pub const PIECE_BYTES: usize = 256 << 10;
/// Pause before a piece is submitted again to an overloaded log.
const PAUSE: Duration = Duration::from_millis(50);
/// Most paths whose warning is remembered, so that the same error is logged once.
const COMPLAINTS_MAX: usize = 1000;

/// Threads that follow files, one for each source.
pub struct FollowThreads {
    threads: Vec<JoinHandle<()>>,
    stops: Arc<AtomicBool>,
}

impl FollowThreads {
    /// Starts a thread for every source with followed files. A thread calls `report_fatal` if it
    /// cannot make a position durable.
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
            let data_dir = data_dir.to_owned();
            let report_fatal = report_fatal.clone();
            let work = move || {
                let source = intake.source.name.clone();
                match follow_with_room(&intake, &log, &audit, &limits, &data_dir, &stops) {
                    StopReason::Stopped | StopReason::StorageFull => {}
                    StopReason::Failed(why) => {
                        tracing::error!(source, why, "stopped following the files of a source")
                    }
                    StopReason::WriteFailed(error) => report_fatal(&error),
                }
            };
            let thread = std::thread::Builder::new().name("follow".to_owned()).spawn(work);
            threads.push(thread.expect("the machine has room for a thread"));
        }
        FollowThreads { threads, stops }
    }

    /// Stops reading. Pieces in flight and their positions are still recorded.
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

/// Rules for reading the files of a source, for the server and `daybook import`.
pub fn rules(
    source: &config::Source,
    limits: &config::Limits,
    is_import: bool,
    stops: &Arc<AtomicBool>,
) -> Rules {
    let (stops, owned_source) = (Arc::clone(stops), source.clone());
    Rules {
        format: source.format,
        is_import,
        from_end: source.follow.as_ref().is_some_and(|follow| follow.from_end),
        piece_bytes: PIECE_BYTES,
        // The limit of a request body, so that `daybook import` can send what a server reads.
        record_bytes_max: limits.body_bytes_max,
        new_id: Box::new(system::random_hex::<{ FILE_ID_DIGITS / 2 }>),
        begins: Box::new(move |head| first_record(head, &owned_source).map(Time::unix_ns)),
        go_on: Box::new(move || !stops.load(Ordering::Relaxed)),
    }
}

/// Time of the first event in these bytes.
fn first_record(bytes: &[u8], source: &config::Source) -> Option<Time> {
    let whole = source.format.complete_bytes(bytes, formats::Continuation::More);
    let arrival = Arrival {
        received_at: system::now(),
        log_file: None,
        headers: &[],
        peer: None,
        position: None,
    };
    let items = parse(Input::Body(&bytes[..whole]), arrival, source, Limits::default()).ok()?;
    items.into_iter().find_map(|item| match item {
        Item::Event(event) => Some(event.occurred_at),
        Item::Rejected(_) | Item::Skipped(_) => None,
    })
}

/// Limits for one parser call, the same as for requests of a source's senders.
pub fn parse_limits(limits: &config::Limits) -> Limits {
    Limits { events_max: limits.events_per_request_max, event_bytes_max: limits.event_bytes_max }
}

/// [`follow`], and begins again from the durable positions whenever there was no room on the disk
/// and there is again.
fn follow_with_room(
    intake: &Arc<Intake>,
    log: &Log,
    audit: &OwnAudit,
    limits: &config::Limits,
    data_dir: &Path,
    stops: &Arc<AtomicBool>,
) -> StopReason {
    loop {
        let objects = FileObjects::new(Arc::new(Disk::open(data_dir)));
        let reason = follow(intake, log, audit, limits, objects, stops);
        if !matches!(reason, StopReason::StorageFull) {
            return reason;
        }
        tracing::warn!(source = intake.source.name, "the files of a source wait for room on disk");
        // Once even without a full disk: the attempt may have been the only write that failed.
        std::thread::park_timeout(SCAN_EVERY);
        while log.space().is_full() && !stops.load(Ordering::Relaxed) {
            std::thread::park_timeout(SCAN_EVERY);
        }
        if stops.load(Ordering::Relaxed) {
            return StopReason::Stopped;
        }
    }
}

/// Follows until a stop is requested.
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
        Ok(state_and_known) => state_and_known,
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
            Err(reason) => return reason,
        }
        intake.counters.behind_bytes.store(reading.follower.behind(), Ordering::Relaxed);
        if stops.load(Ordering::Relaxed) {
            return reading.write_if_changed().err().unwrap_or(StopReason::Stopped);
        }
        std::thread::park_timeout(SCAN_EVERY);
    }
}

/// Logs each path that cannot be read, once.
fn complain(source: &str, failed: Vec<(PathBuf, String)>, logged: &mut HashSet<(PathBuf, String)>) {
    logged.retain(|one| failed.contains(one));
    for one in failed {
        if logged.len() < COMPLAINTS_MAX && logged.insert(one.clone()) {
            tracing::warn!(
                source,
                path = %one.0.display(),
                why = one.1,
                "couldn't read a followed file; trying again"
            );
        }
    }
}

/// Records pieces in the log of this process.
pub struct LogSink<'a> {
    intake: Arc<Intake>,
    log: &'a Log,
    audit: &'a OwnAudit,
    limits: Limits,
    stops: Arc<AtomicBool>,
    results_in: Sender<(u64, Result<Answer, IntakeError>)>,
    results: Receiver<(u64, Result<Answer, IntakeError>)>,
    /// Number of unanswered requests for each ticket.
    waiting: Vec<(u64, usize)>,
    /// Counts of all results so far.
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
        let (results_in, results) = channel();
        let limits = parse_limits(limits);
        let (waiting, tally) = (Vec::new(), Tally::default());
        LogSink {
            intake,
            log,
            audit,
            limits,
            stops: Arc::clone(stops),
            results_in,
            results,
            waiting,
            tally,
        }
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
                position: Some(FilePosition { file: &piece.file, offset: piece.offset }),
            };
            // The same piece always splits into the same requests.
            let prepared =
                prepare_piece(&piece.bytes, arrival, &self.intake, self.limits, self.log);
            let mut is_overloaded = false;
            for one in prepared.into_iter().skip(sent) {
                let (results, ticket) = (self.results_in.clone(), piece.ticket);
                let answer = move |result| {
                    // If the thread has ended, nobody waits; the log still holds the events.
                    let _ = results.send((ticket, result));
                };
                match submit(one, &self.intake, self.log, answer) {
                    Ok(()) => sent += 1,
                    Err(IntakeError::Overloaded) => {
                        is_overloaded = true;
                        break;
                    }
                    Err(IntakeError::StorageFull) => return Err(StopReason::StorageFull),
                    // Too large for the log itself; none of our limits covers that.
                    Err(IntakeError::Envelope(error)) => {
                        return Err(StopReason::Failed(error.to_string()));
                    }
                    Err(_) => return Err(StopReason::Stopped),
                }
            }
            if !is_overloaded {
                self.waiting.push((piece.ticket, sent));
                return Ok(());
            }
            // Files can wait for the log.
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
            let result = match self.results.try_recv() {
                Ok(result) => result,
                Err(_) if is_enough => return Ok(done),
                // The channel stays open, because `self` holds a sender.
                Err(_) => match self.results.recv() {
                    Ok(result) => result,
                    Err(_) => return Err(StopReason::Stopped),
                },
            };
            match result {
                (ticket, Ok(answer)) => {
                    self.tally.add(answer.tally());
                    if let Some((_, requests)) =
                        self.waiting.iter_mut().find(|(one, _)| *one == ticket)
                    {
                        *requests -= 1;
                    }
                }
                (_, Err(IntakeError::StorageFull)) => return Err(StopReason::StorageFull),
                // The log is closed: the server is shutting down.
                (_, Err(_)) => return Err(StopReason::Stopped),
            }
        }
    }

    fn report_gap(&mut self, gap: &Gap) -> Result<(), StopReason> {
        let counters = &self.intake.counters;
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
        Counters::add(&counters.file_gaps, 1);
        let bytes = gap.to.map_or(0, |to| to.saturating_sub(gap.from));
        Counters::add(&counters.lost_bytes, usize::try_from(bytes).unwrap_or(usize::MAX));
        let (source, file) = (&self.intake.source.name, gap.path.display());
        tracing::error!(
            source,
            %file,
            from = gap.from,
            to = gap.to,
            why = gap.why,
            "a source's file has a gap"
        );
        Ok(())
    }
}

/// Own audit event for a gap. The same gap gives the same event.
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
