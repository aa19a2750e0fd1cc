//! Chooses the bytes to read next from the known files.

use std::io;

use formats::Continuation;

use super::super::content::{Content, Files, fill, fill_as_far};
use super::super::prefix::{HEAD_BYTES, Head, Prefix};
use super::{Follower, Gap, Moment, Piece, Ticket};

/// Bytes before the position that are read again with the next ones, to notice a file that was
/// replaced while being read.
const END_BYTES: usize = 64;

/// Why a stretch of a file is not recorded.
const TOO_LONG: &str = "the rest of a record that is longer than the limit";
const NOT_COMPRESSED: &str = "the rest of the file cannot be decompressed";

pub fn head_of(content: &mut dyn Content) -> io::Result<Vec<u8>> {
    let mut head = vec![0; HEAD_BYTES];
    let len = fill(content, 0, &mut head)?;
    head.truncate(len);
    Ok(head)
}

pub fn end_of(content: &mut dyn Content, offset: u64) -> io::Result<Vec<u8>> {
    let len = usize::try_from(offset).unwrap_or(usize::MAX).min(END_BYTES);
    let mut end = vec![0; len];
    fill(content, offset - len as u64, &mut end)?;
    Ok(end)
}

/// How many of the bytes read are consumed.
enum Cut {
    /// This many bytes are recorded.
    Records(usize),
    /// This many bytes are not recorded.
    Nothing(usize),
}

/// Bytes read after the position of a file.
struct Chunk {
    bytes: Vec<u8>,
    /// Whether the file ends after them.
    is_end: bool,
    /// Why a compressed file has no more that can be read.
    broken: Option<io::Error>,
}

impl<F: Files> Follower<F> {
    /// The next piece to record, from the first file that has one.
    pub fn next(&mut self, now: Moment) -> Option<Piece> {
        while self.turn < self.known.len() {
            match self.next_of(self.turn, now) {
                Ok(Some(piece)) => return Some(piece),
                Ok(None) => {}
                Err(error) => self.could_not_read(self.turn, &error),
            }
            self.turn += 1;
            self.limit = None;
        }
        None
    }

    fn next_of(&mut self, at: usize, now: Moment) -> io::Result<Option<Piece>> {
        let file = &self.known[at];
        let is_ours = file.is_seen || (file.content.is_some() && !self.rules.is_import);
        if !file.is_durable || file.entry.identity.is_none() || file.entry.is_finished || !is_ours {
            return Ok(None);
        }
        let is_compressed = file.entry.is_compressed;
        if file.content.is_none() && !is_compressed && file.entry.version.size == file.read() {
            self.finish_if_over(at, now);
            return Ok(None);
        }
        if !self.open(at, now)? {
            self.lose(at, now);
            return Ok(None);
        }
        let Some(content) = &mut self.known[at].content else { return Ok(None) };
        let size = content.len_bytes()?;
        let limit = *self.limit.get_or_insert(size);
        let file = &mut self.known[at];
        let read = file.read();
        if !is_compressed && size >= read && size < file.entry.seen {
            // The file shrank since the scan; the next scan finds out why.
            return Ok(None);
        }
        if !is_compressed && size <= read {
            if size < read {
                self.lose(at, now);
            } else {
                self.finish_if_over(at, now);
            }
            return Ok(None);
        }
        if !is_compressed && read >= limit {
            return Ok(None);
        }
        let follows = self.follows(at, now);
        if self.known[at].idle == Some((size, follows)) {
            return Ok(None);
        }
        loop {
            let Some(read) = self.read(at)? else {
                self.lose(at, now);
                return Ok(None);
            };
            if !is_compressed {
                self.known[at].entry.seen = size;
            }
            let follows = if read.is_end { follows } else { Continuation::More };
            if let Some(cut) = self.cut(at, &read, follows) {
                return Ok(Some(self.take(at, read.bytes, &cut)));
            }
            if let Some(error) = read.broken {
                return Err(error);
            }
            if read.is_end {
                if read.bytes.is_empty() && follows == Continuation::Nothing {
                    self.finish(at);
                } else {
                    self.known[at].idle = Some((size, follows));
                }
                return Ok(None);
            }
            let file = &mut self.known[at];
            file.piece_bytes = (2 * file.piece_bytes).min(self.rules.record_bytes_max);
        }
    }

    /// Opens a file; false if it is not the file that was read.
    fn open(&mut self, at: usize, now: Moment) -> io::Result<bool> {
        let file = &self.known[at];
        let (Some(identity), None) = (file.entry.identity, &file.content) else { return Ok(true) };
        let content = self.files.open(&file.path, identity, file.entry.is_compressed)?;
        let changed_at = file.changed_at;
        let is_same = self.verify(at, content, now)?;
        self.known[at].changed_at = changed_at;
        Ok(is_same)
    }

    /// Reads after the position. `None` if the bytes before it differ from those read earlier.
    fn read(&mut self, at: usize) -> io::Result<Option<Chunk>> {
        let record_bytes_max = self.rules.record_bytes_max;
        let file = &mut self.known[at];
        let Some(content) = &mut file.content else { return Ok(None) };
        let is_compressed = file.entry.is_compressed;
        // A compressed file is read in one go, and nobody writes into it.
        let end: &[u8] = if is_compressed { &[] } else { &file.end };
        let from = file.prefix.as_ref().map_or(0, Prefix::offset) - end.len() as u64;
        let mut bytes = vec![0; end.len() + file.piece_bytes.min(record_bytes_max)];
        let (len, error) = fill_as_far(content, from, &mut bytes);
        // A file that is cut off still has what comes before; a plain one is read again.
        let broken = match error {
            Some(error) if !is_compressed => return Err(error),
            error => error,
        };
        let is_end = len < bytes.len() && broken.is_none();
        bytes.truncate(len);
        if !bytes.starts_with(end) {
            return Ok(None);
        }
        bytes.drain(..end.len());
        if !is_compressed {
            // The head is checked after the read, so that an overwrite before the read is noticed.
            let head = head_of(content)?;
            if !file.entry.head.begins(&head) {
                return Ok(None);
            }
            if file.entry.head.len < HEAD_BYTES as u64 {
                file.entry.head = Head::of(&head);
            }
        }
        Ok(Some(Chunk { bytes, is_end, broken }))
    }

    /// Decides how many bytes are consumed; `None` if no record is whole yet.
    fn cut(&mut self, at: usize, read: &Chunk, follows: Continuation) -> Option<Cut> {
        let file = &mut self.known[at];
        let bytes = &read.bytes;
        if bytes.is_empty() {
            if let (Some(from), Continuation::Nothing) = (file.skipping_from, follows) {
                file.skipping_from = None;
                let (id, path) = (file.entry.id.clone(), file.path.clone());
                self.gaps.push(Gap { file: id, path, from, to: Some(file.read()), why: TOO_LONG });
                return Some(Cut::Nothing(0));
            }
            return None;
        }
        if let Some(from) = file.skipping_from {
            let Some(end) = bytes.iter().position(|&byte| byte == b'\n') else {
                return Some(Cut::Nothing(bytes.len()));
            };
            file.skipping_from = None;
            let to = Some(file.read() + end as u64);
            let (id, path) = (file.entry.id.clone(), file.path.clone());
            self.gaps.push(Gap { file: id, path, from, to, why: TOO_LONG });
            return Some(Cut::Nothing(end + 1));
        }
        let is_full = !read.is_end && bytes.len() >= self.rules.record_bytes_max;
        // A program that keeps its write position when its file is emptied leaves a hole before the
        // next bytes.
        let hole = bytes.iter().take_while(|&&byte| byte == 0).count();
        let is_hole = hole == bytes.len();
        if hole > 0 && (!is_hole || is_full || follows == Continuation::Nothing) {
            return Some(Cut::Nothing(hole));
        }
        if is_hole {
            return None;
        }
        match self.rules.format.complete_bytes(bytes, follows) {
            0 if is_full => {
                file.skipping_from = Some(file.read() + bytes.len() as u64);
                Some(Cut::Records(bytes.len()))
            }
            0 if read.is_end && follows == Continuation::Nothing => Some(Cut::Records(bytes.len())),
            0 => None,
            len => Some(Cut::Records(len.min(bytes.len()))),
        }
    }

    /// Consumes the bytes of a cut.
    fn take(&mut self, at: usize, mut bytes: Vec<u8>, cut: &Cut) -> Piece {
        let (Cut::Records(len) | Cut::Nothing(len)) = *cut;
        bytes.truncate(len);
        let file = &mut self.known[at];
        let prefix = file.prefix.get_or_insert_with(Prefix::default);
        let offset = prefix.offset();
        prefix.push(&bytes);
        file.end.extend_from_slice(&bytes[len.saturating_sub(END_BYTES)..]);
        let surplus = file.end.len().saturating_sub(END_BYTES);
        file.end.drain(..surplus);
        (file.piece_bytes, file.idle) = (self.rules.piece_bytes, None);
        self.next_ticket += 1;
        let (number, serial, mark) = (self.next_ticket, file.serial, prefix.mark());
        let skipping_from = file.skipping_from;
        self.tickets.push_back(Ticket { number, serial, mark, skipping_from, is_recorded: false });
        Piece {
            ticket: number,
            file: file.entry.id.clone(),
            log_file: file.entry.log_file(),
            offset,
            bytes: if matches!(cut, Cut::Nothing(_)) { Vec::new() } else { bytes },
            len,
        }
    }

    fn finish_if_over(&mut self, at: usize, now: Moment) {
        if self.known[at].skipping_from.is_none() && self.follows(at, now) == Continuation::Nothing
        {
            self.finish(at);
        }
    }

    fn finish(&mut self, at: usize) {
        let file = &mut self.known[at];
        (file.entry.is_finished, file.content) = (true, None);
        // The next scan releases an open file that is gone.
        self.is_changed = true;
    }

    fn could_not_read(&mut self, at: usize, error: &io::Error) {
        let file = &mut self.known[at];
        self.failed.push((file.path.clone(), error.to_string()));
        let is_broken = !matches!(
            error.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied | io::ErrorKind::Interrupted
        );
        if file.entry.is_compressed && is_broken {
            let (id, path, from) = (file.entry.id.clone(), file.path.clone(), file.read());
            self.gaps.push(Gap { file: id, path, from, to: None, why: NOT_COMPRESSED });
            self.known[at].entry.is_broken = true;
            self.finish(at);
        } else {
            self.known[at].content = None;
        }
    }
}
