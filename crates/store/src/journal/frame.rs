//! Frames: `[length u32][CRC32C u32][payload]`, little endian. The checksum covers the log's salt,
//! the length and the payload; the first byte of the payload is its kind.

use event::Time;
use event::entry::Template;

use crate::journal::batch::{Commit, Content, DeadLetter};

const FRAME_HEADER_BYTES: usize = 8;

/// Largest payload: one event of the largest size allowed, its entry, and room for later growth. A
/// greater length is damage or a torn write, and is never allocated.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 64 << 20;

/// Largest event, with its entry and its raw bytes, and largest dead letter.
pub const EVENT_BYTES_MAX: usize = PAYLOAD_BYTES_MAX - 1024;

const EVENT: u8 = 1;
const DEAD_LETTER: u8 = 2;
const COMMIT: u8 = 3;
const MARK: u8 = 4;

const EVENT_HEAD_BYTES: usize = 1 + 8 + 4;
const COMMIT_BYTES: usize = 1 + 8 + 4 + 8 + 32 + 8;
const MARK_BYTES: usize = 1 + 8;

/// The bytes of one batch as it grows.
pub(crate) struct BatchWriter {
    salt: [u8; 16],
    bytes: Vec<u8>,
    frames: u32,
}

impl BatchWriter {
    pub fn new(salt: [u8; 16]) -> BatchWriter {
        BatchWriter { salt, bytes: Vec::new(), frames: 0 }
    }

    pub fn is_empty(&self) -> bool {
        self.frames == 0
    }

    /// Puts the mark of the batch before in front of this one, so that both are one write.
    pub fn begin_with_mark(&mut self, batch: u64) {
        assert!(self.bytes.is_empty(), "a mark comes first");
        self.bytes.extend_from_slice(&mark(&self.salt, batch));
    }

    /// A piece of the batch so far.
    pub fn bytes(&self, range: std::ops::Range<usize>) -> &[u8] {
        &self.bytes[range]
    }

    /// Clears the batch. Memory beyond `retained_bytes_max` is given back.
    pub fn clear(&mut self, retained_bytes_max: usize) {
        self.bytes.clear();
        self.bytes.shrink_to(retained_bytes_max);
        self.frames = 0;
    }

    /// Adds an event. Returns the frame's offset in the batch, its length, and the range of its
    /// entry in the batch.
    pub fn event(
        &mut self,
        index: u64,
        template: &Template,
        number: u64,
        received_at: Time,
        raw: &[u8],
    ) -> (usize, u32, std::ops::Range<usize>) {
        let start = self.begin(EVENT);
        self.bytes.extend_from_slice(&index.to_le_bytes());
        let len_at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        let entry_at = self.bytes.len();
        template.fill(number, received_at, &mut self.bytes);
        let entry = entry_at..self.bytes.len();
        self.bytes[len_at..entry_at].copy_from_slice(&u32_of(entry.len()).to_le_bytes());
        self.bytes.extend_from_slice(raw);
        let len = self.end(start);
        (start, len, entry)
    }

    /// Adds a dead letter. Returns the frame's offset in the batch and its length.
    pub fn dead_letter(&mut self, record: &DeadLetter) -> (usize, u32) {
        let start = self.begin(DEAD_LETTER);
        record.write_to(&mut |bytes| self.bytes.extend_from_slice(bytes));
        (start, self.end(start))
    }

    /// Number of frames so far.
    pub fn frames(&self) -> u32 {
        self.frames
    }

    /// Ends the batch.
    pub fn end_with(&mut self, commit: &Commit) -> &[u8] {
        let start = self.begin(COMMIT);
        self.bytes.extend_from_slice(&commit.batch.to_le_bytes());
        self.bytes.extend_from_slice(&commit.frames.to_le_bytes());
        self.bytes.extend_from_slice(&commit.tree_size.to_le_bytes());
        self.bytes.extend_from_slice(&commit.root);
        self.bytes.extend_from_slice(&commit.dead_letters.to_le_bytes());
        self.end(start);
        &self.bytes
    }

    fn begin(&mut self, kind: u8) -> usize {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; FRAME_HEADER_BYTES]);
        self.bytes.push(kind);
        start
    }

    fn end(&mut self, start: usize) -> u32 {
        self.frames += 1;
        finish_frame(&self.salt, &mut self.bytes[start..])
    }
}

/// The mark of a durable batch. It is written after the sync, without a sync of its own. A reader
/// that finds it knows that everything before may have been acknowledged.
pub(super) fn mark(salt: &[u8; 16], batch: u64) -> Vec<u8> {
    let mut bytes = vec![0; FRAME_HEADER_BYTES];
    bytes.push(MARK);
    bytes.extend_from_slice(&batch.to_le_bytes());
    finish_frame(salt, &mut bytes);
    bytes
}

fn finish_frame(salt: &[u8; 16], frame: &mut [u8]) -> u32 {
    let (header, payload) = frame.split_at_mut(FRAME_HEADER_BYTES);
    let len = u32_of(payload.len());
    header[..4].copy_from_slice(&len.to_le_bytes());
    header[4..].copy_from_slice(&checksum(salt, len, payload).to_le_bytes());
    u32_of(frame.len())
}

fn checksum(salt: &[u8; 16], len: u32, payload: &[u8]) -> u32 {
    let head = crc32c::crc32c_append(crc32c::crc32c(salt), &len.to_le_bytes());
    crc32c::crc32c_append(head, payload)
}

fn u32_of(len: usize) -> u32 {
    u32::try_from(len).expect("bodies are limited to far below 4 GiB")
}

/// A frame with a valid checksum.
pub(crate) enum Frame<'a> {
    Content(Content<'a>),
    Commit(Commit),
    Mark(u64),
}

/// The frame at the start of `bytes` and its length with header, or the reason why there is none.
pub(crate) fn read<'a>(
    salt: &[u8; 16],
    bytes: &'a [u8],
) -> Result<(Frame<'a>, usize), &'static str> {
    let header = bytes.get(..FRAME_HEADER_BYTES).ok_or("a frame header is cut short")?;
    let len = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
    let crc = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
    if len == 0 || len as usize > PAYLOAD_BYTES_MAX {
        return Err("a frame has an impossible length");
    }
    let end = FRAME_HEADER_BYTES + len as usize;
    let payload = bytes.get(FRAME_HEADER_BYTES..end).ok_or("a frame is cut short")?;
    if checksum(salt, len, payload) != crc {
        return Err("a frame's checksum differs");
    }
    parse(payload).map(|frame| (frame, end)).ok_or("a frame's payload does not have its form")
}

fn parse(payload: &[u8]) -> Option<Frame<'_>> {
    let (&kind, rest) = payload.split_first()?;
    match kind {
        EVENT => {
            let (index, rest) = take_u64(rest)?;
            let (len, rest) = take_u32(rest)?;
            let (entry, raw) = rest.split_at_checked(len as usize)?;
            Some(Frame::Content(Content::Event { index, entry, raw }))
        }
        DEAD_LETTER => {
            let (number, rest) = take_u64(rest)?;
            let (received_ns, rest) = take_u64(rest)?;
            let (source, rest) = take_text(rest)?;
            let (reason, raw) = take_text(rest)?;
            let received_at = Time::from_unix_ns(received_ns.cast_signed());
            let raw = raw.to_vec();
            Some(Frame::Content(Content::DeadLetter(DeadLetter {
                number,
                received_at,
                source,
                reason,
                raw,
            })))
        }
        COMMIT if payload.len() == COMMIT_BYTES => {
            let (batch, rest) = take_u64(rest)?;
            let (frames, rest) = take_u32(rest)?;
            let (tree_size, rest) = take_u64(rest)?;
            let (root, rest) = rest.split_first_chunk::<32>()?;
            let (dead_letters, _) = take_u64(rest)?;
            Some(Frame::Commit(Commit { batch, frames, tree_size, root: *root, dead_letters }))
        }
        MARK if payload.len() == MARK_BYTES => take_u64(rest).map(|(batch, _)| Frame::Mark(batch)),
        _ => None,
    }
}

fn take_u64(bytes: &[u8]) -> Option<(u64, &[u8])> {
    bytes.split_first_chunk::<8>().map(|(head, rest)| (u64::from_le_bytes(*head), rest))
}

fn take_u32(bytes: &[u8]) -> Option<(u32, &[u8])> {
    bytes.split_first_chunk::<4>().map(|(head, rest)| (u32::from_le_bytes(*head), rest))
}

fn take_text(bytes: &[u8]) -> Option<(String, &[u8])> {
    let (len, rest) = take_u32(bytes)?;
    let (text, rest) = rest.split_at_checked(len as usize)?;
    Some((std::str::from_utf8(text).ok()?.to_owned(), rest))
}

/// Whether `bytes` hold, at any offset, proof that a batch after `last` was acknowledged: its mark,
/// or the commit of the batch after it. Both have a fixed length, so few offsets need a checksum.
pub(super) fn shows_a_batch_after(salt: &[u8; 16], bytes: &[u8], last: Option<u64>) -> bool {
    let next = last.map_or(0, |last| last + 1);
    let is_evidence = |at: usize, len: usize| {
        bytes[at..].starts_with(&u32_of(len).to_le_bytes())
            && match read(salt, &bytes[at..]) {
                Ok((Frame::Mark(batch), _)) => batch >= next,
                Ok((Frame::Commit(commit), _)) => commit.batch > next,
                _ => false,
            }
    };
    (0..bytes.len().saturating_sub(FRAME_HEADER_BYTES + MARK_BYTES - 1))
        .any(|at| is_evidence(at, MARK_BYTES) || is_evidence(at, COMMIT_BYTES))
}

/// An event frame read by position.
#[derive(Debug)]
pub(crate) struct EventFrame {
    pub entry: Vec<u8>,
    pub raw: Vec<u8>,
}

impl EventFrame {
    /// Checks the frame and takes it apart.
    pub(super) fn parse(salt: &[u8; 16], mut bytes: Vec<u8>) -> Result<EventFrame, &'static str> {
        let (entry_end, end) = match read(salt, &bytes)? {
            (Frame::Content(Content::Event { entry, .. }), end) if end == bytes.len() => {
                (FRAME_HEADER_BYTES + EVENT_HEAD_BYTES + entry.len(), end)
            }
            _ => return Err("the frame is not the event it was"),
        };
        let raw = bytes[entry_end..end].to_vec();
        bytes.truncate(entry_end);
        bytes.drain(..FRAME_HEADER_BYTES + EVENT_HEAD_BYTES);
        Ok(EventFrame { entry: bytes, raw })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::event;

    const SALT: [u8; 16] = [7; 16];
    const COMMIT_OF_3: Commit =
        Commit { batch: 3, frames: 2, tree_size: 1, root: [9; 32], dead_letters: 1 };

    fn record() -> DeadLetter {
        DeadLetter {
            number: 4,
            received_at: Time::from_unix_ns(-5),
            source: "hub".to_owned(),
            reason: "no JSON".to_owned(),
            raw: b"raw".to_vec(),
        }
    }

    /// An event, a dead letter, and their commit.
    fn batch() -> Vec<u8> {
        let mut writer = BatchWriter::new(SALT);
        let received_at = Time::from_unix_ns(1);
        writer.event(6, &Template::new(&event(1)), 1, received_at, b"raw of it");
        writer.dead_letter(&record());
        assert_eq!(writer.frames(), 2);
        writer.end_with(&COMMIT_OF_3).to_vec()
    }

    #[test]
    fn frames_are_read_back() {
        let bytes = batch();
        let (first, len) = read(&SALT, &bytes).expect("whole");
        let Frame::Content(Content::Event { index: 6, raw: b"raw of it", entry }) = first else {
            panic!("no event");
        };
        let read_event = EventFrame::parse(&SALT, bytes[..len].to_vec()).expect("whole");
        assert_eq!((&read_event.entry[..], &read_event.raw[..]), (entry, &b"raw of it"[..]));
        let (second, len_of_second) = read(&SALT, &bytes[len..]).expect("whole");
        let Frame::Content(Content::DeadLetter(read_record)) = second else {
            panic!("no dead letter")
        };
        assert_eq!(read_record, record());
        let (third, _) = read(&SALT, &bytes[len + len_of_second..]).expect("whole");
        let Frame::Commit(commit) = third else { panic!("no commit") };
        assert_eq!(commit, COMMIT_OF_3);
    }

    #[test]
    fn another_bit_or_another_salt_is_no_frame() {
        let bytes = mark(&SALT, 5);
        assert!(matches!(read(&SALT, &bytes), Ok((Frame::Mark(5), 17))));
        assert!(read(&[8; 16], &bytes).is_err());
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&SALT, &flipped).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn marks_and_later_commits_show_that_a_batch_was_acknowledged() {
        let with_garbage = |bytes: &[u8]| [b"garbage", bytes, b"more"].concat();
        for (bytes, last, expected) in [
            (mark(&SALT, 3), Some(2), true),
            (mark(&SALT, 2), Some(2), false),
            (batch(), Some(1), true),
            (batch(), Some(2), false),
            (batch(), None, true),
            (Vec::new(), None, false),
        ] {
            assert_eq!(
                shows_a_batch_after(&SALT, &with_garbage(&bytes), last),
                expected,
                "{last:?}"
            );
        }
    }
}
