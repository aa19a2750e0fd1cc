//! Reads files into a log and makes the recorded positions durable.
//!
//! The order of the steps prevents loss and duplicates wherever the process ends:
//! 1. A new file's id is durable before its first byte is recorded.
//! 2. Pieces are recorded, several at a time.
//! 3. Gaps are reported.
//! 4. Positions are made durable, up to the last byte known to be recorded. If the process ends
//!    before this step, lines are read again and have the same keys.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use store::{FileObjects, Objects, Version};

use super::content::Files;
use super::follower::{Follower, Gap, Moment, Piece};
use super::state::FollowState;

/// Pieces in flight: while one is synced, the next is read and parsed.
const IN_FLIGHT_MAX: usize = 8;
/// Interval between durable positions while reading continues. Each write costs two syncs. A
/// restart reads again what was recorded since the last write.
const WRITE_EVERY: Duration = Duration::from_secs(1);
/// Writing takes at most one part in this many of the time: the state of thousands of files takes
/// long to write.
const WRITE_SHARE: u32 = 10;
/// Attempts to replace an object that another process also replaces.
const REPLACE_TRIES: usize = 20;

impl Moment {
    /// The start of a process.
    pub fn at_start() -> Moment {
        Moment {
            elapsed: Duration::ZERO,
            unix_s: system::now().unix_ns().div_euclid(1_000_000_000),
        }
    }
}

/// Why reading stopped.
#[derive(Debug)]
pub enum StopReason {
    /// A stop was requested.
    Stopped,
    /// There is no room on the disk. Reading continues from the durable positions once there is.
    StorageFull,
    /// Recording failed for good.
    Failed(String),
    /// A durable write failed.
    WriteFailed(store::Error),
}

impl From<store::Error> for StopReason {
    fn from(error: store::Error) -> StopReason {
        if error.is_storage_full() {
            StopReason::StorageFull
        } else {
            StopReason::WriteFailed(error)
        }
    }
}

/// Destination of the pieces.
pub trait Sink {
    /// Hands over a piece. Waits while the destination is overloaded.
    fn send(&mut self, piece: Piece) -> Result<(), StopReason>;

    /// Takes the tickets of the pieces that became durable since the last call. With `wait`, blocks
    /// until there is at least one; the caller then has pieces in flight.
    fn take_recorded(&mut self, wait: bool) -> Result<Vec<u64>, StopReason>;

    /// Reports a gap. The caller repeats a report that failed.
    fn report_gap(&mut self, gap: &Gap) -> Result<(), StopReason>;
}

impl Sink for &mut dyn Sink {
    fn send(&mut self, piece: Piece) -> Result<(), StopReason> {
        (**self).send(piece)
    }

    fn take_recorded(&mut self, wait: bool) -> Result<Vec<u64>, StopReason> {
        (**self).take_recorded(wait)
    }

    fn report_gap(&mut self, gap: &Gap) -> Result<(), StopReason> {
        (**self).report_gap(gap)
    }
}

/// File with the state of a source.
pub struct StateFile {
    objects: FileObjects,
    name: String,
    version: Option<Version>,
}

impl StateFile {
    /// Opens the state file of this source and reads the state.
    pub fn open(
        objects: FileObjects,
        source: &str,
    ) -> Result<(StateFile, Option<FollowState>), String> {
        let mut state = StateFile { objects, name: store::follow_state(source), version: None };
        let known = state.read()?;
        Ok((state, known))
    }

    fn read(&mut self) -> Result<Option<FollowState>, String> {
        let object = self.objects.get(&self.name).map_err(|error| error.to_string())?;
        self.version = object.as_ref().map(|object| object.version);
        let Some(object) = object else { return Ok(None) };
        let known = FollowState::parse(&object.bytes).map_err(|why| {
            format!(
                "{} holds no valid state of the source's files: {why}; restore it, or remove it to \
                 read all files again, which records lines without ids twice",
                self.name
            )
        })?;
        Ok(Some(known))
    }
}

/// Reads files into a sink.
pub struct Reader<F: Files, S: Sink> {
    pub follower: Follower<F>,
    pub sink: S,
    /// `None` if the state is not stored.
    state: Option<StateFile>,
    began: Instant,
    written_at: Option<Instant>,
    write_took: Duration,
    /// Gaps not yet reported.
    gaps: Vec<Gap>,
    /// Bytes read.
    pub read: u64,
}

impl<F: Files, S: Sink> Reader<F, S> {
    /// Expects a `follower` that was just resumed from the state.
    pub fn new(follower: Follower<F>, sink: S, state: Option<StateFile>) -> Reader<F, S> {
        Reader {
            follower,
            sink,
            state,
            began: Instant::now(),
            written_at: None,
            write_took: Duration::ZERO,
            gaps: Vec::new(),
            read: 0,
        }
    }

    fn now(&self) -> Moment {
        Moment { elapsed: self.began.elapsed(), ..Moment::at_start() }
    }

    /// Scans the files once and records all that can be read. Returns the paths that could not be
    /// read, and why. `report_read` receives the bytes read so far.
    pub fn pass(
        &mut self,
        report_read: &mut dyn FnMut(u64),
    ) -> Result<Vec<(PathBuf, String)>, StopReason> {
        self.follower.scan(self.now());
        if self.follower.has_new() {
            self.write()?;
        }
        while let Some(piece) = self.follower.next(self.now()) {
            self.read += piece.len as u64;
            report_read(self.read);
            if piece.bytes.is_empty() {
                self.follower.mark_recorded(piece.ticket);
            } else {
                self.sink.send(piece)?;
            }
            self.collect(self.follower.in_flight() >= IN_FLIGHT_MAX)?;
            if self.is_time_to_write() {
                self.write()?;
            }
        }
        while self.follower.in_flight() > 0 {
            self.collect(true)?;
        }
        // Immediately when at rest; at the interval above while files grow without a pause.
        if self.follower.is_changed() && self.is_time_to_write() {
            self.write()?;
        }
        Ok(self.follower.take_failed())
    }

    fn collect(&mut self, wait: bool) -> Result<(), StopReason> {
        for ticket in self.sink.take_recorded(wait)? {
            self.follower.mark_recorded(ticket);
        }
        Ok(())
    }

    fn is_time_to_write(&self) -> bool {
        let pause = WRITE_EVERY.max(self.write_took * WRITE_SHARE);
        self.follower.is_changed() && self.written_at.is_none_or(|at| at.elapsed() >= pause)
    }

    /// Makes the recorded positions durable if they changed.
    pub fn write_if_changed(&mut self) -> Result<(), StopReason> {
        if self.follower.is_changed() { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), StopReason> {
        self.gaps.extend(self.follower.take_gaps());
        while let Some(gap) = self.gaps.first() {
            self.sink.report_gap(gap)?;
            self.gaps.remove(0);
        }
        let began = Instant::now();
        self.replace()?;
        self.follower.mark_durable();
        (self.written_at, self.write_took) = (Some(Instant::now()), began.elapsed());
        Ok(())
    }

    /// Replaces the stored state, and adopts what another process stored meanwhile: a server and
    /// `daybook import` share the file.
    fn replace(&mut self) -> Result<(), StopReason> {
        let now = self.now();
        let Some(state) = &mut self.state else { return Ok(()) };
        for _ in 0..REPLACE_TRIES {
            let known = self.follower.state().render();
            match state.objects.replace(&state.name, &known, state.version) {
                Ok(version) => {
                    state.version = Some(version);
                    return Ok(());
                }
                Err(store::Error::Changed { .. }) => {
                    if let Some(theirs) = state.read().map_err(StopReason::Failed)? {
                        self.follower.adopt(theirs, now);
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(StopReason::Failed(format!("another process keeps changing {}", state.name)))
    }
}
