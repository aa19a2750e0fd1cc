//! Files of flushed dead letters, read piece by piece. They hold frames, as the journal does.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::disk::durable::{Disk, File, list_if_any};
use crate::disk::layout::{DEAD_LETTERS, UNFINISHED, dead_letter_file};
use crate::error::Error;
use crate::journal::batch::{Content, DeadLetter};
use crate::journal::frame::{self, Frame, PAYLOAD_BYTES_MAX};

/// Takes a record; returns whether to go on.
pub(crate) type Take<'a> = &'a mut dyn FnMut(DeadLetter) -> Result<ControlFlow<()>, Error>;

/// Bytes of a file read at once: many records of usual size.
const WINDOW_BYTES: usize = 1 << 20;
/// A frame's header, its kind and the record's number.
const HEAD_BYTES: usize = 8 + 1 + 8;

/// The flushed dead letters.
pub(crate) struct DeadLetterFiles {
    disk: Arc<dyn Disk>,
    salt: [u8; 16],
}

impl DeadLetterFiles {
    pub fn on(disk: Arc<dyn Disk>, salt: [u8; 16]) -> DeadLetterFiles {
        DeadLetterFiles { disk, salt }
    }

    /// The flushed dead letters from this number on, oldest first. `flushed` is their total.
    pub fn each(&self, from: u64, flushed: u64, take: Take<'_>) -> Result<ControlFlow<()>, Error> {
        each(&*self.disk, &self.salt, from, flushed, take)
    }
}

/// The same as [`DeadLetterFiles::each`].
pub(crate) fn each(
    disk: &dyn Disk,
    salt: &[u8; 16],
    from: u64,
    flushed: u64,
    take: Take<'_>,
) -> Result<ControlFlow<()>, Error> {
    let mut files: Vec<String> = list_if_any(disk, DEAD_LETTERS)
        .map_err(Error::io(format!("list {DEAD_LETTERS}")))?
        .into_iter()
        .filter(|name| !name.ends_with(UNFINISHED))
        .map(|name| format!("{DEAD_LETTERS}/{name}"))
        .collect();
    files.retain(|path| *path < dead_letter_file(flushed));
    // Names sort as the numbers of the first records do. Files before the last one that may hold
    // `from` do not hold it.
    let skipped = files.iter().rposition(|path| *path <= dead_letter_file(from)).unwrap_or(0);
    let mut next = match files.get(skipped) {
        Some(path) => first_of(path),
        None => 0,
    };
    for path in &files[skipped..] {
        if each_of(disk, salt, path, &mut next, from, take)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    if next == flushed {
        Ok(ControlFlow::Continue(()))
    } else {
        Err(Error::damage(DEAD_LETTERS, 0, "dead letters are missing"))
    }
}

/// The first number in a file, by its name. A name without a number gives 0, which then does not
/// follow.
fn first_of(path: &str) -> u64 {
    let digits = path
        .strip_prefix(DEAD_LETTERS)
        .map(|rest| rest.trim_start_matches('/').trim_end_matches(".aside"));
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// The records of one file; the first must have the number `next`.
fn each_of(
    disk: &dyn Disk,
    salt: &[u8; 16],
    path: &str,
    next: &mut u64,
    from: u64,
    take: Take<'_>,
) -> Result<ControlFlow<()>, Error> {
    let read = |cause| Error::Io { doing: format!("read {path}"), cause };
    let file = disk.open(path).map_err(read)?;
    let mut window =
        Window { len_bytes: file.len_bytes().map_err(read)?, file, at: 0, bytes: Vec::new() };
    let mut at = 0;
    while at < window.len_bytes {
        let damage = |what: &str| Error::damage(path, at, what);
        let head = window
            .bytes(at, HEAD_BYTES)
            .map_err(read)?
            .ok_or_else(|| damage("a frame is cut short"))?;
        let (len, number) = (four(head), eight(&head[9..]));
        if len > PAYLOAD_BYTES_MAX {
            return Err(damage("a frame has an impossible length"));
        }
        if number != *next {
            return Err(damage("a dead letter does not follow the one before"));
        }
        let end = 8 + len;
        if number >= from {
            let frame = window
                .bytes(at, end)
                .map_err(read)?
                .ok_or_else(|| damage("a frame is cut short"))?;
            let (frame, _) = frame::read(salt, frame).map_err(damage)?;
            let Frame::Content(Content::DeadLetter(record)) = frame else {
                return Err(damage("a frame that is no dead letter"));
            };
            if take(record)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        *next += 1;
        at += end as u64;
    }
    Ok(ControlFlow::Continue(()))
}

fn four(bytes: &[u8]) -> usize {
    bytes.first_chunk::<4>().map_or(0, |four| u32::from_le_bytes(*four) as usize)
}

fn eight(bytes: &[u8]) -> u64 {
    bytes.first_chunk::<8>().map_or(0, |eight| u64::from_le_bytes(*eight))
}

/// A piece of a file in memory.
struct Window {
    file: Arc<dyn File>,
    len_bytes: u64,
    at: u64,
    bytes: Vec<u8>,
}

impl Window {
    /// Bytes of the file; `None` beyond its end.
    fn bytes(&mut self, at: u64, len: usize) -> std::io::Result<Option<&[u8]>> {
        if self.len_bytes.saturating_sub(at) < len as u64 {
            return Ok(None);
        }
        let is_there = at >= self.at && at + len as u64 <= self.at + self.bytes.len() as u64;
        if !is_there {
            let left = usize::try_from(self.len_bytes - at).unwrap_or(usize::MAX);
            self.bytes.resize(len.max(WINDOW_BYTES).min(left), 0);
            self.bytes.shrink_to(WINDOW_BYTES);
            self.at = at;
            self.file.read_at(at, &mut self.bytes)?;
        }
        let start = usize::try_from(at - self.at).map_err(std::io::Error::other)?;
        Ok(Some(&self.bytes[start..start + len]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::simulated::SimulatedDisk;
    use crate::journal::frame::BatchWriter;

    const SALT: [u8; 16] = [7; 16];

    /// Writes the records of these numbers into the file of the first.
    fn write(disk: &SimulatedDisk, numbers: std::ops::Range<u64>) {
        let mut bytes = Vec::new();
        for number in numbers.clone() {
            let mut writer = BatchWriter::new(SALT);
            let (offset, len) = writer.dead_letter(&DeadLetter {
                number,
                received_at: event::Time::from_unix_ns(0),
                source: "hub".to_owned(),
                reason: "no JSON".to_owned(),
                raw: vec![7; 100],
            });
            bytes.extend_from_slice(writer.bytes(offset..offset + len as usize));
        }
        let file = disk.create(&dead_letter_file(numbers.start)).expect("room");
        file.write_at(0, &bytes).expect("room");
    }

    fn numbers(disk: &SimulatedDisk, from: u64, flushed: u64) -> Result<Vec<u64>, Error> {
        let mut numbers = Vec::new();
        let read = each(disk, &SALT, from, flushed, &mut |record| {
            numbers.push(record.number);
            Ok(ControlFlow::Continue(()))
        });
        read.map(|_| numbers)
    }

    #[test]
    fn records_are_read_from_any_number_on() {
        let disk = SimulatedDisk::new(1);
        write(&disk, 0..3);
        write(&disk, 3..5);
        write(&disk, 5..9);
        for from in 0..5 {
            assert_eq!(numbers(&disk, from, 5).expect("whole"), (from..5).collect::<Vec<_>>());
        }
        assert!(matches!(numbers(&disk, 0, 10), Err(Error::Damage { .. })), "one is missing");
    }

    #[test]
    fn a_gap_is_damage() {
        let disk = SimulatedDisk::new(1);
        write(&disk, 0..3);
        write(&disk, 4..6);
        assert!(matches!(numbers(&disk, 0, 6), Err(Error::Damage { .. })));
    }
}
