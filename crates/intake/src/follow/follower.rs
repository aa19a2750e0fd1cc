//! Identifies the files of a source and chooses what to read next.
//!
//! The decisions need no thread, clock or log, and reach files through [`Files`] alone, so that
//! tests can try every rotation and every crash (`model.rs`).
//!
//! A file counts as a known one
//! - while it is open, or has the same inode and is unchanged;
//! - if it has the same inode, and the part that was read still has the same beginning and end;
//! - under another inode, if it begins with all that was read, and the known file is gone or was
//!   emptied: it is then the copy of a rotation, and reading continues in it. While the known file
//!   exists, a file with no other bytes than it is a copy, and is not read.
//!
//! Any other file is new and read from its beginning.

mod identify;
mod read;

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::time::Duration;

use formats::Format;

use super::content::{FileIdentity, FileVersion, Files, Sighting};
use super::prefix::{Mark, Prefix};
use super::state::{Entry, FILES_MAX, FORGOTTEN_AFTER_S, FollowState};

/// Whole records at the end of a file count as complete once it is unchanged for this long.
const QUIET_AFTER: Duration = Duration::from_secs(1);
/// A file that was renamed or has a successor is read to its end once it is unchanged for this
/// long: an unfinished line is recorded as it is. Programs with output buffers may take this long
/// to end a line.
const FINISHED_AFTER: Duration = Duration::from_secs(30);
/// A file is gone once it is missing for this long. A scan during a rename may miss a file.
const GONE_AFTER: Duration = Duration::from_secs(2);
/// A copy of a file may pause for this long while it is written, and appear this long after the
/// file is gone.
const COPY_WAIT: Duration = Duration::from_secs(60);
/// Most files held open. Other files are opened and verified again when they grow.
const OPEN_MAX: usize = 128;

/// How a source's files are read.
pub struct Rules {
    pub format: Format,
    /// Whether the files are read once to their end, and not followed.
    pub is_import: bool,
    /// Whether files found by the very first scan count as read.
    pub from_end: bool,
    /// Bytes read and recorded with one request, unless a record is longer.
    pub piece_bytes: usize,
    /// Most bytes of a record. A longer one is cut to this length.
    pub record_bytes_max: usize,
    pub new_id: Box<dyn FnMut() -> String + Send>,
    /// Time of the first record of a file with this beginning, in nanoseconds since the epoch;
    /// `None` if the beginning holds no time.
    pub begins: Begins,
    /// Whether to continue a long operation.
    pub go_on: Box<dyn Fn() -> bool + Send>,
}

type Begins = Box<dyn Fn(&[u8]) -> Option<i64> + Send>;

/// A time by two clocks: monotonic since the start of the process, and calendar.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub elapsed: Duration,
    pub unix_s: i64,
}

/// Bytes to be recorded together.
pub struct Piece {
    pub ticket: u64,
    pub file: String,
    pub log_file: String,
    pub offset: u64,
    /// Whole records, or the beginning of one that is too long. Empty for a hole, or for the rest
    /// of a record that is too long.
    pub bytes: Vec<u8>,
    /// Bytes of the file that the piece covers.
    pub len: usize,
}

/// Bytes of a file that are lost: not recorded, now or later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    pub file: String,
    pub path: PathBuf,
    pub from: u64,
    /// `None` if the number of bytes is unknown.
    pub to: Option<u64>,
    pub why: &'static str,
}

/// State machine that follows the files of a source.
pub struct Follower<F: Files> {
    files: F,
    rules: Rules,
    known: Vec<TrackedFile<F::Content>>,
    copies: Vec<KnownCopy>,
    /// Copies that may still be growing: their last version, and when it was first seen.
    growing: HashMap<FileIdentity, (FileVersion, Duration)>,
    tickets: VecDeque<Ticket>,
    gaps: Vec<Gap>,
    failed: Vec<(PathBuf, String)>,
    next_serial: u64,
    next_ticket: u64,
    /// Index of the file being read.
    turn: usize,
    /// Size of that file when its turn began. It ends the turn, so that a fast-growing file does
    /// not delay the others.
    limit: Option<u64>,
    is_first_scan: bool,
    is_followed: bool,
    is_changed: bool,
}

/// A known file.
struct TrackedFile<C> {
    serial: u64,
    entry: Entry,
    path: PathBuf,
    /// Time of its first record, or of its last write. Orders files found together.
    age_ns: i64,
    /// Hash of what was read; `None` until the file is verified.
    prefix: Option<Prefix>,
    skipping_from: Option<u64>,
    /// The last bytes that were read.
    end: Vec<u8>,
    content: Option<C>,
    /// Whether its id is durable.
    is_durable: bool,
    is_seen: bool,
    changed_at: Duration,
    missing_since: Option<Duration>,
    /// Identity before the file was emptied.
    was_at: Option<FileIdentity>,
    /// Size and continuation at which no record was whole.
    idle: Option<(u64, formats::Continuation)>,
    piece_bytes: usize,
}

/// A copy of a known file that still exists.
struct KnownCopy {
    identity: FileIdentity,
    version: FileVersion,
    serial: u64,
}

/// A piece in flight: not yet known to be recorded.
struct Ticket {
    number: u64,
    serial: u64,
    mark: Mark,
    skipping_from: Option<u64>,
    is_recorded: bool,
}

impl<C> TrackedFile<C> {
    /// Offset of the next byte to read.
    fn read(&self) -> u64 {
        self.prefix.as_ref().map_or(self.entry.mark.offset, Prefix::offset)
    }

    /// Mark after all that was read.
    fn mark(&self) -> Mark {
        self.prefix.as_ref().map_or(self.entry.mark, Prefix::mark)
    }

    fn of(
        serial: u64,
        entry: Entry,
        is_durable: bool,
        now: Moment,
        piece_bytes: usize,
    ) -> TrackedFile<C> {
        TrackedFile {
            serial,
            path: entry.path.clone(),
            age_ns: entry.version.modified_ns,
            prefix: None,
            skipping_from: entry.skipping_from,
            end: Vec::new(),
            content: None,
            is_durable,
            is_seen: false,
            changed_at: now.elapsed,
            missing_since: None,
            was_at: None,
            idle: None,
            piece_bytes,
            entry,
        }
    }
}

impl<F: Files> Follower<F> {
    /// Continues from a stored state; `None` if the source's files were never read.
    pub fn resume(files: F, rules: Rules, known: Option<FollowState>, now: Moment) -> Follower<F> {
        let is_followed = known.as_ref().is_some_and(|known| known.is_followed);
        let mut follower = Follower {
            files,
            known: Vec::new(),
            copies: Vec::new(),
            growing: HashMap::new(),
            tickets: VecDeque::new(),
            gaps: Vec::new(),
            failed: Vec::new(),
            next_serial: 0,
            next_ticket: 0,
            turn: 0,
            limit: None,
            is_first_scan: !is_followed,
            is_followed: is_followed || !rules.is_import,
            is_changed: known.is_none() || (!is_followed && !rules.is_import),
            rules,
        };
        for entry in known.map(|known| known.files).unwrap_or_default() {
            follower.push(entry, true, now);
        }
        follower
    }

    fn push(&mut self, entry: Entry, is_durable: bool, now: Moment) -> usize {
        self.next_serial += 1;
        self.known.push(TrackedFile::of(
            self.next_serial,
            entry,
            is_durable,
            now,
            self.rules.piece_bytes,
        ));
        self.known.len() - 1
    }

    /// Scans for files. New files are read only after a call of [`Follower::mark_durable`].
    pub fn scan(&mut self, now: Moment) {
        let scan = self.files.scan();
        self.failed.extend(scan.failed);
        self.known.iter_mut().for_each(|file| file.is_seen = false);
        let by_identity: HashMap<FileIdentity, usize> = self
            .known
            .iter()
            .enumerate()
            .filter_map(|(at, file)| Some((file.entry.identity?, at)))
            .collect();
        let mut strangers = Vec::new();
        for sighting in scan.found {
            match by_identity.get(&sighting.identity) {
                None => strangers.push(sighting),
                Some(&at) => match self.is_same(at, &sighting, now) {
                    Ok(true) => self.note_sighting(at, &sighting, now),
                    Ok(false) => {
                        self.lose(at, now);
                        strangers.push(sighting);
                    }
                    Err(error) => {
                        self.known[at].is_seen = true;
                        self.failed.push((sighting.path, error.to_string()));
                    }
                },
            }
        }
        self.note_missing(now);
        self.meet(strangers, now);
        self.settle(now);
        self.forget(now);
        self.close_some();
        (self.turn, self.limit, self.is_first_scan) = (0, None, false);
    }

    /// Whether a file with the inode of a known one is still that file.
    fn is_same(&mut self, at: usize, sighting: &Sighting, now: Moment) -> std::io::Result<bool> {
        let file = &self.known[at];
        if !sighting.is_compressed && sighting.version.size < file.read() {
            return Ok(false);
        }
        let has_shrunk = !sighting.is_compressed && sighting.version.size < file.entry.seen;
        if !has_shrunk && file.entry.version == sighting.version {
            return Ok(true);
        }
        // The known file could not be decompressed, and its bytes have changed since.
        if file.entry.head.len == 0 {
            return Ok(false);
        }
        let is_same = if file.content.is_some() && !has_shrunk {
            self.is_itself(at)?
        } else {
            let content =
                self.files.open(&sighting.path, sighting.identity, sighting.is_compressed)?;
            self.verify(at, content, now)?
        };
        if is_same && has_shrunk {
            let why = "the end of the file was cut off before it was read";
            self.miss_bytes(at, sighting.version.size, why);
        }
        Ok(is_same)
    }

    /// Whether an open file still has its bytes, and was not emptied and rewritten. Its inode
    /// cannot be reused while it is open.
    fn is_itself(&mut self, at: usize) -> std::io::Result<bool> {
        let file = &mut self.known[at];
        let read = file.read();
        let Some(content) = file.content.as_mut().filter(|_| !file.entry.is_compressed) else {
            return Ok(true);
        };
        let is_end = read::end_of(content, read)? == file.end;
        Ok(is_end && (file.entry.head.len == 0 || file.entry.head.begins(&read::head_of(content)?)))
    }

    /// Reports the bytes from `from` to the largest size seen as lost.
    fn miss_bytes(&mut self, at: usize, from: u64, why: &'static str) {
        let file = &mut self.known[at];
        let to = Some(file.entry.seen);
        self.gaps.push(Gap { file: file.entry.id.clone(), path: file.path.clone(), from, to, why });
        file.entry.seen = from;
        self.is_changed = true;
    }

    /// Attaches this content to a known file if the part that was read has the same beginning and
    /// end; false otherwise.
    fn verify(&mut self, at: usize, mut content: F::Content, now: Moment) -> std::io::Result<bool> {
        let file = &mut self.known[at];
        let head = read::head_of(&mut content)?;
        if file.entry.head.len > 0 && !file.entry.head.begins(&head) {
            return Ok(false);
        }
        let Some(prefix) = Prefix::resume(&file.mark(), &mut content)? else { return Ok(false) };
        file.end = read::end_of(&mut content, prefix.offset())?;
        (file.prefix, file.content, file.changed_at) = (Some(prefix), Some(content), now.elapsed);
        Ok(true)
    }

    /// Updates a known file from a sighting.
    fn note_sighting(&mut self, at: usize, sighting: &Sighting, now: Moment) {
        let file = &mut self.known[at];
        (file.is_seen, file.missing_since) = (true, None);
        if file.entry.version != sighting.version {
            file.changed_at = now.elapsed;
            file.entry.is_finished = false;
            self.is_changed = true;
        }
        if file.path != sighting.path {
            file.path.clone_from(&sighting.path);
            file.entry.path.clone_from(&sighting.path);
            self.is_changed = true;
        }
        file.entry.version = sighting.version;
        file.entry.seen = file.entry.seen.max(sighting.version.size);
        file.entry.is_followed |= !self.rules.is_import;
        file.entry.seen_at = now.unix_s;
    }

    /// Detaches a file that is gone or was emptied. A copy may hold the bytes not yet read.
    fn lose(&mut self, at: usize, now: Moment) {
        let file = &mut self.known[at];
        file.was_at = file.entry.identity.take();
        (file.content, file.missing_since, file.idle) = (None, Some(now.elapsed), None);
        let serial = file.serial;
        self.copies.retain(|copy| copy.serial != serial);
        self.is_changed = true;
    }

    /// Updates the files that the scan did not find. An open one is still read to its end.
    fn note_missing(&mut self, now: Moment) {
        if self.rules.is_import {
            return;
        }
        for at in 0..self.known.len() {
            let file = &mut self.known[at];
            if file.is_seen || file.entry.identity.is_none() || !file.entry.is_followed {
                continue;
            }
            let since = *file.missing_since.get_or_insert(now.elapsed);
            let is_read = file.entry.is_finished && is_over(since, GONE_AFTER, now);
            if is_read {
                file.entry.seen = file.read();
            }
            if file.content.is_none() || is_read {
                self.lose(at, now);
            }
        }
    }

    /// Reports unread bytes of files that are gone, after [`COPY_WAIT`] without a copy.
    fn settle(&mut self, now: Moment) {
        for at in 0..self.known.len() {
            let file = &mut self.known[at];
            if file.entry.identity.is_some() {
                continue;
            }
            let since = *file.missing_since.get_or_insert(now.elapsed);
            let from = file.skipping_from.unwrap_or_else(|| file.read());
            let is_owed =
                file.entry.is_followed && !file.entry.is_compressed && file.entry.seen > from;
            if is_owed && is_over(since, COPY_WAIT, now) {
                (file.skipping_from, file.entry.is_finished) = (None, true);
                self.miss_bytes(
                    at,
                    from,
                    "the file was deleted or emptied before it was read to its end",
                );
                let file = &mut self.known[at];
                file.entry.seen = file.read();
            }
        }
    }

    fn forget(&mut self, now: Moment) {
        let before = self.known.len();
        let awaited: HashSet<u64> = self.tickets.iter().map(|ticket| ticket.serial).collect();
        self.known.retain(|file| {
            let is_gone = file.entry.identity.is_none() || !file.entry.is_followed;
            let is_old = now.unix_s - file.entry.seen_at > FORGOTTEN_AFTER_S;
            !(is_gone && is_old && !file.is_seen) || awaited.contains(&file.serial)
        });
        self.is_changed |= self.known.len() != before;
    }

    /// Makes room for one more file by forgetting the one gone longest; false if none can be
    /// forgotten.
    fn make_room(&mut self) -> bool {
        if self.known.len() < FILES_MAX {
            return true;
        }
        let is_owed = |file: &TrackedFile<F::Content>| {
            file.entry.seen > file.read() && !file.entry.is_finished
        };
        let oldest = (0..self.known.len())
            .filter(|&at| self.known[at].entry.identity.is_none() && !is_owed(&self.known[at]))
            .filter(|&at| self.tickets.iter().all(|ticket| ticket.serial != self.known[at].serial))
            .min_by_key(|&at| self.known[at].entry.seen_at);
        oldest.map(|at| self.known.remove(at)).is_some()
    }

    /// Closes the files unchanged for longest, down to [`OPEN_MAX`] open files.
    fn close_some(&mut self) {
        let mut open: Vec<(Duration, usize)> = self
            .known
            .iter()
            .enumerate()
            .filter(|(_, file)| file.content.is_some())
            .map(|(at, file)| (file.changed_at, at))
            .collect();
        let too_many = open.len().saturating_sub(OPEN_MAX);
        open.sort_unstable();
        for (_, at) in open.into_iter().take(too_many) {
            self.known[at].content = None;
        }
    }

    /// Reports that the piece with this ticket is durable.
    pub fn mark_recorded(&mut self, number: u64) {
        if let Some(ticket) = self.tickets.iter_mut().find(|ticket| ticket.number == number) {
            ticket.is_recorded = true;
        }
        while self.tickets.front().is_some_and(|ticket| ticket.is_recorded) {
            let Some(ticket) = self.tickets.pop_front() else { return };
            let file = self.known.iter_mut().find(|file| file.serial == ticket.serial);
            if let Some(file) = file.filter(|file| file.entry.mark.offset <= ticket.mark.offset) {
                (file.entry.mark, file.entry.skipping_from) = (ticket.mark, ticket.skipping_from);
                self.is_changed = true;
            }
        }
    }

    /// Number of pieces not yet known to be recorded.
    pub fn in_flight(&self) -> usize {
        self.tickets.len()
    }

    /// The state to make durable. It covers recorded bytes only.
    pub fn state(&self) -> FollowState {
        FollowState::of(
            self.known.iter().map(|file| self.durable(file)).collect(),
            self.is_followed,
        )
    }

    fn durable(&self, file: &TrackedFile<F::Content>) -> Entry {
        let mut entry = file.entry.clone();
        // A file is finished only once its last bytes are recorded.
        entry.is_finished &= file.mark() == entry.mark;
        entry
    }

    /// Whether the state changed since it was last durable.
    pub fn is_changed(&self) -> bool {
        self.is_changed
    }

    /// Whether new files wait for a durable state.
    pub fn has_new(&self) -> bool {
        self.known.iter().any(|file| !file.is_durable)
    }

    /// Reports that the last [`Follower::state`] is durable.
    pub fn mark_durable(&mut self) {
        self.known.iter_mut().for_each(|file| file.is_durable = true);
        self.is_changed = false;
    }

    /// Adopts the state that another process made durable meanwhile.
    pub fn adopt(&mut self, theirs: FollowState, now: Moment) {
        self.is_followed |= theirs.is_followed;
        for entry in theirs.files {
            let same_id = self.known.iter().position(|file| file.entry.id == entry.id);
            // A file not read yet takes the id that the other process gave it.
            let same_file = || {
                self.known.iter().position(|file| {
                    !file.is_durable
                        && file.entry.identity.is_some()
                        && file.entry.identity == entry.identity
                })
            };
            match same_id.or_else(same_file) {
                None => {
                    self.push(entry, true, now);
                }
                Some(at)
                    if self.known[at].entry.id != entry.id
                        || is_behind(&self.known[at], &entry) =>
                {
                    self.known[at] = TrackedFile::of(
                        self.known[at].serial,
                        entry,
                        true,
                        now,
                        self.rules.piece_bytes,
                    );
                }
                Some(_) => {}
            }
        }
        self.is_changed = true;
    }

    /// Takes the gaps. They must be reported before the next state is made durable.
    pub fn take_gaps(&mut self) -> Vec<Gap> {
        std::mem::take(&mut self.gaps)
    }

    /// Takes the paths that could not be examined or read, and why.
    pub fn take_failed(&mut self) -> Vec<(PathBuf, String)> {
        std::mem::take(&mut self.failed)
    }

    /// Bytes on disk that are seen and not read yet.
    pub fn behind(&self) -> u64 {
        let waiting = self.known.iter().filter(|file| file.is_seen && !file.entry.is_compressed);
        waiting.map(|file| file.entry.version.size.saturating_sub(file.read())).sum()
    }

    /// Whether a later file was found in the same folder: the source rotated to it.
    fn has_successor(&self, at: usize) -> bool {
        let folder = self.known[at].path.parent();
        self.known[at + 1..]
            .iter()
            .any(|file| file.entry.identity.is_some() && file.path.parent() == folder)
    }

    /// Number of files found, and how many of them are read to their end or are copies.
    pub fn counts(&self) -> (usize, usize) {
        let seen = self.known.iter().filter(|file| file.is_seen);
        let finished = seen.clone().filter(|file| file.entry.is_finished).count();
        (seen.count() + self.copies.len(), finished + self.copies.len())
    }

    /// The files found that are compressed and cannot be read to their end.
    pub fn broken(&self) -> Vec<PathBuf> {
        let broken = self.known.iter().filter(|file| file.is_seen && file.entry.is_broken);
        broken.map(|file| file.path.clone()).collect()
    }

    /// What may still follow the end of a file.
    fn follows(&self, at: usize, now: Moment) -> formats::Continuation {
        use formats::Continuation;
        let file = &self.known[at];
        let is_gone = file.missing_since.is_some_and(|since| is_over(since, GONE_AFTER, now));
        let is_renamed = file.path.file_name() != Some(Path::new(&file.entry.name).as_os_str());
        let is_quiet_for = |time| is_over(file.changed_at, time, now);
        let is_rotated = (is_renamed || self.has_successor(at)) && is_quiet_for(FINISHED_AFTER);
        if self.rules.is_import || file.entry.is_compressed || is_gone || is_rotated {
            Continuation::Nothing
        } else if is_quiet_for(QUIET_AFTER) {
            Continuation::Quiet
        } else {
            Continuation::More
        }
    }
}

/// Whether another process has read more of a file than this one.
fn is_behind<C>(file: &TrackedFile<C>, theirs: &Entry) -> bool {
    theirs.mark.offset > file.read()
}

fn is_over(since: Duration, time: Duration, now: Moment) -> bool {
    now.elapsed.saturating_sub(since) >= time
}
