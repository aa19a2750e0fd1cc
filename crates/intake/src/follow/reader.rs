//! Reading files into a log: what is read next is recorded, and how far it is known to be recorded
//! is made durable.
//!
//! The order is what nothing is lost or doubled by, wherever it ends:
//! 1. A new file's id is durable before its first byte is recorded.
//! 2. Pieces are recorded; several may be under way.
//! 3. What is lost for good is told.
//! 4. Positions are made durable, of what is known to be recorded alone. Ending before leaves lines
//!    that are read again, with the keys they had.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use store::{FileObjects, Objects, Version};

use super::content::Files;
use super::follower::{Follower, Gap, Moment, Piece};
use super::state::FollowState;

/// Pieces that are recorded at the same time: while one is synced, the next is read and parsed.
const IN_FLIGHT_MAX: usize = 8;
/// How often positions are made durable while there is no end of reading; each costs two syncs, and
/// a start reads again what was recorded since.
const WRITE_EVERY: Duration = Duration::from_secs(1);
/// And no more of the time than one part of so many: what is known of thousands of files takes long
/// to write.
const WRITE_SHARE: u32 = 10;
/// Tries to replace an object that others replace too.
const REPLACE_TRIES: usize = 20;

impl Moment {
    /// The moment at which a process begins.
    pub fn at_start() -> Moment {
        Moment {
            elapsed: Duration::ZERO,
            unix_s: system::now().unix_ns().div_euclid(1_000_000_000),
        }
    }
}

/// Why reading ended.
#[derive(Debug)]
pub enum StopReason {
    /// It was told to.
    Stopped,
    /// What was read could not be recorded, for good.
    Failed(String),
    /// A durable write failed.
    WriteFailed(store::Error),
}

impl From<store::Error> for StopReason {
    fn from(error: store::Error) -> StopReason {
        StopReason::WriteFailed(error)
    }
}

/// Where what is read goes.
pub trait Sink {
    /// Hands over a piece. Waits while there is too much under way elsewhere.
    fn send(&mut self, piece: Piece) -> Result<(), StopReason>;

    /// The tickets of pieces that are durable since it was asked last. If `wait`, at least one;
    /// there is one then.
    fn take_recorded(&mut self, wait: bool) -> Result<Vec<u64>, StopReason>;

    /// Tells of what is lost. What could not be told is told again.
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

/// Where a source's state is.
pub struct StateFile {
    objects: FileObjects,
    name: String,
    version: Option<Version>,
}

impl StateFile {
    /// The state of this source, and what is known by it.
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
            format!("{} does not say what is known of the source's files: {why}; restore it, or remove it to read all files anew, and record lines without ids twice", self.name)
        })?;
        Ok(Some(known))
    }
}

/// Files being read into a sink.
pub struct Reader<F: Files, S: Sink> {
    pub follower: Follower<F>,
    pub sink: S,
    /// `None` where nothing is to be kept.
    state: Option<StateFile>,
    began: Instant,
    written_at: Option<Instant>,
    write_took: Duration,
    /// Gaps that are not told yet.
    gaps: Vec<Gap>,
    /// Bytes read.
    pub read: u64,
}

impl<F: Files, S: Sink> Reader<F, S> {
    /// `follower` resumed from what the state said, at this moment.
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

    /// Looks at the files once and records what there is to read. Returns what could not be read;
    /// everything else is recorded.
    pub fn pass(
        &mut self,
        tell: &mut dyn FnMut(u64),
    ) -> Result<Vec<(PathBuf, String)>, StopReason> {
        self.follower.look(self.now());
        if self.follower.has_new() {
            self.write()?;
        }
        while let Some(piece) = self.follower.next(self.now()) {
            self.read += piece.len as u64;
            tell(self.read);
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
        // At rest, at once; while files grow without a pause, as often as above.
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

    /// Makes durable how far everything is recorded, if that changed.
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

    /// Replaces the state by what is known now, and takes over what others made durable meanwhile:
    /// `daybook import` and a server share it.
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
        Err(StopReason::Failed(format!("{} is changed by someone else all the time", state.name)))
    }
}
