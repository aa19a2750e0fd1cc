//! Which files there are, which of them are which, and what to read next.
//!
//! All of it is decided here, without a thread, a clock or the log, and files are reached through
//! [`Files`] alone, so that the tests can put every rotation and every crash to it (`model.rs`).
//!
//! A file is the one that was read
//! - as long as it is open, or has the same inode and was not touched;
//! - if it has the same inode and still begins and ends, up to where it was read, as it did;
//! - under another inode, if all that was read stands at its beginning and the file that was read
//!   is gone or was emptied: then it is the copy of a rotation, and reading goes on in it. While
//!   the file that was read is there, another that holds what that holds, and no more, is a copy
//!   that nobody needs to read.
//!
//! Everything else is a new file and read from its beginning.

mod identify;
mod read;

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::time::Duration;

use formats::Format;

use super::content::{FileIdentity, FileVersion, Files, Sighting};
use super::prefix::{Mark, Prefix};
use super::state::{Entry, FILES_MAX, FORGOTTEN_AFTER_S, FollowState};

/// A file that stays unchanged for so long is taken for written, as far as records are whole.
const QUIET_AFTER: Duration = Duration::from_secs(1);
/// A file that was renamed or has a successor, and stays unchanged for so long, is read to its end:
/// an unfinished line is taken as it is. Programs that buffer what they write may take this long to
/// end a line.
const FINISHED_AFTER: Duration = Duration::from_secs(30);
/// A file that is not found for so long is gone. A look that comes while files are renamed may miss
/// one.
const GONE_AFTER: Duration = Duration::from_secs(2);
/// The copy of a file may be written for so long without growing, and come to light so long after
/// the file is gone.
const COPY_WAIT: Duration = Duration::from_secs(60);
/// Files that are kept open. Others are opened again, and looked at whether they are the same, when
/// they grow.
const OPEN_MAX: usize = 128;

/// How a source's files are read.
pub struct Rules {
    pub format: Format,
    /// Whether these files were given once, to be read to their end, and are not followed.
    pub is_import: bool,
    /// Whether files that are there at the very first look are taken for read.
    pub from_end: bool,
    /// Bytes that are read at once: so many lines are recorded with one request, unless a record is
    /// longer.
    pub piece_bytes: usize,
    /// Most bytes of a record. Of a longer one, so many are kept.
    pub record_bytes_max: usize,
    pub new_id: Box<dyn FnMut() -> String + Send>,
    /// When the first record happened, in nanoseconds since the epoch, of a file that begins so;
    /// `None` if that does not tell.
    pub begins: Begins,
    /// Whether to go on with what takes long.
    pub go_on: Box<dyn Fn() -> bool + Send>,
}

type Begins = Box<dyn Fn(&[u8]) -> Option<i64> + Send>;

/// When it is: since the process began, which never goes back, and by the calendar.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub elapsed: Duration,
    pub unix_s: i64,
}

/// Bytes that were read, to be recorded.
pub struct Piece {
    pub ticket: u64,
    pub file: String,
    pub log_file: String,
    pub offset: u64,
    /// Whole records, or the beginning of one that is too long. Empty where there is nothing to
    /// record: a hole, or the rest of a record that is too long.
    pub bytes: Vec<u8>,
    /// Bytes of the file that are read with it.
    pub len: usize,
}

/// Bytes of a file that are not recorded and never will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    pub file: String,
    pub path: PathBuf,
    pub from: u64,
    /// `None` where nothing tells how many there are.
    pub to: Option<u64>,
    pub why: &'static str,
}

pub struct Follower<F: Files> {
    files: F,
    rules: Rules,
    known: Vec<TrackedFile<F::Content>>,
    copies: Vec<KnownCopy>,
    /// Copies that are being written, as far as can be told: what they were when seen, and since
    /// when.
    growing: HashMap<FileIdentity, (FileVersion, Duration)>,
    tickets: VecDeque<Ticket>,
    gaps: Vec<Gap>,
    failed: Vec<(PathBuf, String)>,
    next_serial: u64,
    next_ticket: u64,
    /// The file that is read now, and how long it was when that began: however fast it grows, the
    /// others get their turn.
    turn: usize,
    limit: Option<u64>,
    is_first_look: bool,
    is_followed: bool,
    is_changed: bool,
}

/// A file that is known.
struct TrackedFile<C> {
    serial: u64,
    entry: Entry,
    path: PathBuf,
    /// When its first record happened, or it was last written to: what decides the order of files
    /// that are found together.
    age_ns: i64,
    /// What was read; `None` until the file is known to be the one that was.
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
    /// The inode it had before it was emptied.
    was_at: Option<FileIdentity>,
    /// At this size nothing was whole, with this behind it.
    idle: Option<(u64, formats::Continuation)>,
    piece_bytes: usize,
}

/// A file that holds nothing but what another, which is there, holds.
struct KnownCopy {
    identity: FileIdentity,
    version: FileVersion,
    serial: u64,
}

/// A piece that is not known to be recorded.
struct Ticket {
    number: u64,
    serial: u64,
    mark: Mark,
    skipping_from: Option<u64>,
    is_recorded: bool,
}

impl<C> TrackedFile<C> {
    /// Where reading goes on.
    fn read(&self) -> u64 {
        self.prefix.as_ref().map_or(self.entry.mark.offset, Prefix::offset)
    }

    /// All that was read.
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
    /// Goes on from what is known; `None` if nothing was read of the source's files ever.
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
            is_first_look: !is_followed,
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

    /// Looks at which files there are. Those that are new are read once [`Follower::wrote`] was
    /// called.
    pub fn look(&mut self, now: Moment) {
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
        (self.turn, self.limit, self.is_first_look) = (0, None, false);
    }

    /// Whether a file with the inode of a known one is that one.
    fn is_same(&mut self, at: usize, sighting: &Sighting, now: Moment) -> std::io::Result<bool> {
        let file = &self.known[at];
        if !sighting.is_compressed && sighting.version.size < file.read() {
            return Ok(false);
        }
        let has_shrunk = !sighting.is_compressed && sighting.version.size < file.entry.seen;
        if !has_shrunk && file.entry.version == sighting.version {
            return Ok(true);
        }
        // Nothing is known of one that could not be decompressed, and now it is another.
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

    /// Whether an open file was not emptied and written anew: an inode is given to no other while
    /// it is open.
    fn is_itself(&mut self, at: usize) -> std::io::Result<bool> {
        let file = &mut self.known[at];
        let read = file.read();
        let Some(content) = file.content.as_mut().filter(|_| !file.entry.is_compressed) else {
            return Ok(true);
        };
        let is_end = read::end_of(content, read)? == file.end;
        Ok(is_end && (file.entry.head.len == 0 || file.entry.head.begins(&read::head_of(content)?)))
    }

    /// Bytes from here to what was seen of a file are lost.
    fn miss_bytes(&mut self, at: usize, from: u64, why: &'static str) {
        let file = &mut self.known[at];
        let to = Some(file.entry.seen);
        self.gaps.push(Gap { file: file.entry.id.clone(), path: file.path.clone(), from, to, why });
        file.entry.seen = from;
        self.is_changed = true;
    }

    /// Takes this content for a known file's if it begins and ends, up to where that was read, as
    /// it did.
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

    /// Takes note of a known file.
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

    /// The file is gone or was emptied. A copy may hold what was not read.
    fn lose(&mut self, at: usize, now: Moment) {
        let file = &mut self.known[at];
        file.was_at = file.entry.identity.take();
        (file.content, file.missing_since, file.idle) = (None, Some(now.elapsed), None);
        let serial = file.serial;
        self.copies.retain(|copy| copy.serial != serial);
        self.is_changed = true;
    }

    /// Takes note of the files that were not found. One that is open is read to its end, wherever
    /// it is.
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

    /// What is gone and was not read to its end is lost, once no copy comes to light.
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

    /// Makes room for one more file by forgetting the one that is gone longest; whether there is
    /// room.
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

    /// Closes the files that were quiet longest while too many are open.
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

    /// The piece with this ticket is durable.
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

    /// Pieces that are not known to be recorded.
    pub fn in_flight(&self) -> usize {
        self.tickets.len()
    }

    /// What is to be durable now. What is not recorded is not in it.
    pub fn state(&self) -> FollowState {
        FollowState::of(
            self.known.iter().map(|file| self.durable(file)).collect(),
            self.is_followed,
        )
    }

    fn durable(&self, file: &TrackedFile<F::Content>) -> Entry {
        let mut entry = file.entry.clone();
        // The end of a file is recorded with what stands before it.
        entry.is_finished &= file.mark() == entry.mark;
        entry
    }

    /// Whether there is something to be made durable, and whether files wait for it.
    pub fn is_changed(&self) -> bool {
        self.is_changed
    }

    pub fn has_new(&self) -> bool {
        self.known.iter().any(|file| !file.is_durable)
    }

    /// What [`Follower::known`] last said is durable.
    pub fn mark_durable(&mut self) {
        self.known.iter_mut().for_each(|file| file.is_durable = true);
        self.is_changed = false;
    }

    /// Takes over what another process made durable meanwhile.
    pub fn adopt(&mut self, theirs: FollowState, now: Moment) {
        self.is_followed |= theirs.is_followed;
        for entry in theirs.files {
            let same_id = self.known.iter().position(|file| file.entry.id == entry.id);
            // What nothing was read of yet takes the id that the other gave the same file.
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

    /// Bytes that are lost, to be told before the next state is made durable.
    pub fn take_gaps(&mut self) -> Vec<Gap> {
        std::mem::take(&mut self.gaps)
    }

    /// Paths that could not be looked at or read, and why.
    pub fn take_failed(&mut self) -> Vec<(PathBuf, String)> {
        std::mem::take(&mut self.failed)
    }

    /// Bytes that are seen and not read yet, as they are on disk.
    pub fn behind(&self) -> u64 {
        let waiting = self.known.iter().filter(|file| file.is_seen && !file.entry.is_compressed);
        waiting.map(|file| file.entry.version.size.saturating_sub(file.read())).sum()
    }

    /// Whether another file was found later, so that a source which rotates went on to it.
    fn has_successor(&self, at: usize) -> bool {
        let folder = self.known[at].path.parent();
        self.known[at + 1..]
            .iter()
            .any(|file| file.entry.identity.is_some() && file.path.parent() == folder)
    }

    /// How many files were found, and how many of them are read to their end or hold nothing new.
    pub fn counts(&self) -> (usize, usize) {
        let seen = self.known.iter().filter(|file| file.is_seen);
        let finished = seen.clone().filter(|file| file.entry.is_finished).count();
        (seen.count() + self.copies.len(), finished + self.copies.len())
    }

    /// What follows the end of a file.
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
