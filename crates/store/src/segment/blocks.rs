//! Index files: numbered sections of blocks, each with a checksum, under a directory.
//!
//! A file is a head, the blocks one after another, the directory and a foot; `docs/format.md` has
//! the bytes. A block is read whole, checked, and stored in the [`Cache`]. So all bytes in use were
//! checked when they were read, and only the directories of open files stay in memory beyond the
//! cache's limit.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::disk::durable::File;
use crate::error::Error;
use crate::segment::cache::{Cache, Slot};
use crate::segment::unreadable::Unreadable;
use crate::work;

const HEAD_MAGIC: &[u8; 8] = b"DAYBOOKX";
const FOOT_MAGIC: &[u8; 8] = b"XOOBYAD\n";
const VERSION: u32 = 1;
const HEAD: usize = 16;
/// Offset and length of the directory u64, its CRC-32C u32, magic.
const FOOT: usize = 28;
/// Bytes collected before a write.
const WRITTEN_AT_ONCE: usize = 1 << 20;

/// Writes an index file, section after section.
pub(crate) struct BlockWriter {
    file: Arc<dyn File>,
    buffer: Vec<u8>,
    written: u64,
    sections: Vec<(u8, Vec<(u32, u32)>)>,
}

impl BlockWriter {
    pub fn new(file: Arc<dyn File>) -> BlockWriter {
        let mut buffer = Vec::with_capacity(WRITTEN_AT_ONCE);
        buffer.extend_from_slice(HEAD_MAGIC);
        buffer.extend_from_slice(&VERSION.to_le_bytes());
        buffer.extend_from_slice(&crc32c::crc32c(&buffer).to_le_bytes());
        BlockWriter { file, buffer, written: 0, sections: Vec::new() }
    }

    /// Starts a new section with this number.
    pub fn begin(&mut self, section: u8) {
        self.sections.push((section, Vec::new()));
    }

    /// Adds a block to the newest section, and returns its position there.
    pub fn push(&mut self, block: &[u8]) -> Result<usize, Error> {
        let (_, blocks) = self.sections.last_mut().expect("a section was begun");
        let len = u32::try_from(block.len()).expect("blocks are far below 4 GiB");
        blocks.push((len, crc32c::crc32c(block)));
        let position = blocks.len() - 1;
        self.buffer.extend_from_slice(block);
        if self.buffer.len() >= WRITTEN_AT_ONCE {
            self.flush()?;
        }
        Ok(position)
    }

    /// Writes the directory. The caller syncs the file.
    pub fn finish(mut self) -> Result<u64, Error> {
        let mut directory = Vec::new();
        directory.extend_from_slice(&(self.sections.len() as u32).to_le_bytes());
        for (section, blocks) in &self.sections {
            directory.push(*section);
            directory.extend_from_slice(&(blocks.len() as u32).to_le_bytes());
            for (len, crc) in blocks {
                directory.extend_from_slice(&len.to_le_bytes());
                directory.extend_from_slice(&crc.to_le_bytes());
            }
        }
        let at = self.written + self.buffer.len() as u64;
        self.buffer.extend_from_slice(&directory);
        self.buffer.extend_from_slice(&at.to_le_bytes());
        self.buffer.extend_from_slice(&(directory.len() as u64).to_le_bytes());
        self.buffer.extend_from_slice(&crc32c::crc32c(&directory).to_le_bytes());
        self.buffer.extend_from_slice(FOOT_MAGIC);
        self.flush()?;
        Ok(self.written)
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.file.write_at(self.written, &self.buffer).map_err(Error::io("write an index"))?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

/// An open index file.
pub(crate) struct BlockReader {
    file: Arc<dyn File>,
    /// The file's name, for messages.
    name: String,
    cache: Arc<Cache>,
    sections: Vec<Option<Section>>,
    /// One for each block, in order.
    slots: Arc<[Slot]>,
    /// Why no block can be read, if the file did not open.
    unreadable: Option<Unreadable>,
}

struct Section {
    /// Position of its first block among all blocks of the file.
    first: u32,
    blocks: Vec<BlockLocation>,
}

#[derive(Clone, Copy)]
struct BlockLocation {
    offset: u64,
    len: u32,
    crc: u32,
}

impl BlockReader {
    /// Reads head, foot and directory.
    pub fn open(file: Arc<dyn File>, name: &str, cache: Arc<Cache>) -> Result<BlockReader, Error> {
        let damage = |offset: u64, what: &str| Error::damage(name, offset, what);
        let io = |cause: std::io::Error| Error::Io { doing: format!("read {name}"), cause };
        let len = file.len_bytes().map_err(io)?;
        if len < (HEAD + FOOT) as u64 {
            return Err(damage(len, "the index file is cut"));
        }
        let (mut head, mut foot) = ([0; HEAD], [0; FOOT]);
        file.read_at(0, &mut head).map_err(io)?;
        file.read_at(len - FOOT as u64, &mut foot).map_err(io)?;
        if &head[..8] != HEAD_MAGIC || crc32c::crc32c(&head[..12]) != number(&head[12..]) {
            return Err(damage(0, "no head of an index file"));
        }
        if number(&head[8..]) != VERSION {
            return Err(damage(8, &format!("index version {}, not {VERSION}", number(&head[8..]))));
        }
        let at = u64::from_le_bytes(foot[..8].try_into().expect("eight bytes"));
        let directory_len = u64::from_le_bytes(foot[8..16].try_into().expect("eight bytes"));
        let is_whole = at.checked_add(directory_len) == Some(len - FOOT as u64);
        if &foot[20..] != FOOT_MAGIC || !is_whole {
            return Err(damage(len - FOOT as u64, "no foot of an index file"));
        }
        let mut directory =
            vec![0; usize::try_from(directory_len).map_err(|_| damage(at, "a huge directory"))?];
        file.read_at(at, &mut directory).map_err(io)?;
        if crc32c::crc32c(&directory) != number(&foot[16..]) {
            return Err(damage(at, "the directory has another checksum"));
        }
        let sections = read_directory(&directory, at)
            .ok_or_else(|| damage(at, "the directory is not of this file"))?;
        let blocks = sections.iter().flatten().map(|section| section.blocks.len()).sum();
        let slots = std::iter::repeat_with(Slot::default).take(blocks).collect();
        let (name, unreadable) = (name.to_owned(), None);
        Ok(BlockReader { file, name, cache, sections, slots, unreadable })
    }

    /// A file that did not open. Every section seems to have blocks, and none of them reads back.
    pub fn unreadable(file: Arc<dyn File>, cache: Arc<Cache>, why: &Unreadable) -> BlockReader {
        BlockReader {
            file,
            name: String::new(),
            cache,
            sections: Vec::new(),
            slots: Arc::new([]),
            unreadable: Some(why.clone()),
        }
    }

    /// Number of blocks of a section; 0 when it does not exist.
    pub fn blocks(&self, section: u8) -> usize {
        let none = usize::from(self.unreadable.is_some());
        self.section(section).map_or(none, |section| section.blocks.len())
    }

    /// A block, from the cache or read and checked now. Errs where nobody wants it any more, so
    /// that a question that was given up ends here, between any two blocks.
    pub fn block(&self, section: u8, position: usize) -> Result<Arc<[u8]>, Error> {
        work::check()?;
        let (position, location) = self.location(section, position)?;
        let slot = &self.slots[position as usize];
        if let Some(block) = &*slot.block() {
            slot.was_used.store(true, Ordering::Relaxed);
            return Ok(Arc::clone(block));
        }
        let block = self.read(location)?;
        self.cache.insert(&self.slots, position, &block);
        Ok(block)
    }

    /// [`BlockReader::block`] for a reader of a whole file: the cache stays as it is.
    pub fn block_uncached(&self, section: u8, position: usize) -> Result<Arc<[u8]>, Error> {
        work::check()?;
        let (position, location) = self.location(section, position)?;
        let cached = self.slots[position as usize].block().as_ref().map(Arc::clone);
        cached.map_or_else(|| self.read(location), Ok)
    }

    /// Position of a section's block among all blocks of the file, and its location.
    fn location(&self, section: u8, position: usize) -> Result<(u32, &BlockLocation), Error> {
        let found = self
            .section(section)
            .and_then(|found| Some((found.first, found.blocks.get(position)?)));
        if let Some(unreadable) = &self.unreadable {
            return Err(unreadable.error());
        }
        let none = || self.damage(0, &format!("no block {position} in section {section}"));
        found.map(|(first, location)| (first + position as u32, location)).ok_or_else(none)
    }

    /// Reads and checks every block, past the cache. `each` gets the bytes read so far.
    pub fn check(&self, each: &mut dyn FnMut(u64)) -> Result<(), Error> {
        if let Some(unreadable) = &self.unreadable {
            return Err(unreadable.error());
        }
        for location in self.sections.iter().flatten().flat_map(|section| &section.blocks) {
            self.read(location)?;
            each(location.offset + u64::from(location.len));
        }
        Ok(())
    }

    /// Bytes of a section.
    pub fn section_bytes(&self, section: u8) -> u64 {
        let none = if self.unreadable.is_some() { u64::from(u32::MAX) } else { 0 };
        self.section(section)
            .map_or(none, |found| found.blocks.iter().map(|location| u64::from(location.len)).sum())
    }

    /// The error for a section whose blocks are intact but malformed.
    pub fn damage(&self, section: u8, what: &str) -> Error {
        if let Some(unreadable) = &self.unreadable {
            return unreadable.error();
        }
        let offset = self
            .section(section)
            .and_then(|found| found.blocks.first())
            .map_or(0, |location| location.offset);
        Error::damage(&self.name, offset, what)
    }

    fn section(&self, section: u8) -> Option<&Section> {
        self.sections.get(usize::from(section))?.as_ref()
    }

    fn read(&self, location: &BlockLocation) -> Result<Arc<[u8]>, Error> {
        let mut block: Arc<[u8]> = std::iter::repeat_n(0, location.len as usize).collect();
        let bytes = Arc::get_mut(&mut block).expect("nobody else has it yet");
        self.file.read_at(location.offset, bytes).map_err(|cause| match cause.kind() {
            std::io::ErrorKind::UnexpectedEof => {
                Error::damage(&self.name, location.offset, "the index file is cut")
            }
            _ => Error::Io { doing: format!("read {}", self.name), cause },
        })?;
        if crc32c::crc32c(&block) != location.crc {
            return Err(Error::damage(&self.name, location.offset, "a block has another checksum"));
        }
        Ok(block)
    }
}

impl Drop for BlockReader {
    fn drop(&mut self) {
        self.cache.forget(&self.slots);
    }
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(*bytes.first_chunk().expect("four bytes"))
}

/// The sections by number, if their blocks fill the file from the head to the directory.
fn read_directory(bytes: &[u8], end: u64) -> Option<Vec<Option<Section>>> {
    fn take<'a>(bytes: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
        let (head, rest) = bytes.split_at_checked(len)?;
        *bytes = rest;
        Some(head)
    }
    let mut rest = bytes;
    let (mut offset, mut first) = (HEAD as u64, 0);
    let mut sections: Vec<Option<Section>> = Vec::new();
    for _ in 0..number(take(&mut rest, 4)?) {
        let section = usize::from(take(&mut rest, 1)?[0]);
        let count = number(take(&mut rest, 4)?);
        let mut blocks = Vec::with_capacity((count as usize).min(rest.len() / 8));
        for _ in 0..count {
            let (len, crc) = (number(take(&mut rest, 4)?), number(take(&mut rest, 4)?));
            blocks.push(BlockLocation { offset, len, crc });
            offset += u64::from(len);
        }
        if sections.len() <= section {
            sections.resize_with(section + 1, || None);
        }
        if sections[section].replace(Section { first, blocks }).is_some() {
            return None;
        }
        first += count;
    }
    (rest.is_empty() && offset == end).then_some(sections)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Arc;

    use super::*;
    use crate::disk::durable::Disk;
    use crate::disk::simulated::SimulatedDisk;
    use crate::segment::cache::CacheEntry;

    fn write(disk: &SimulatedDisk) -> u64 {
        let mut writer = BlockWriter::new(disk.create("a.index").expect("room"));
        writer.begin(3);
        assert_eq!(writer.push(b"three").expect("written"), 0);
        writer.begin(1);
        writer.push(&[7; 100_000]).expect("written");
        assert_eq!(writer.push(b"").expect("written"), 1);
        writer.finish().expect("written")
    }

    fn open(disk: &SimulatedDisk) -> Result<BlockReader, Error> {
        let file = disk.open("a.index").expect("it was written");
        BlockReader::open(file, "a.index", Arc::new(Cache::new(1 << 20)))
    }

    #[test]
    fn blocks_are_read_back() {
        let disk = SimulatedDisk::new(1);
        write(&disk);
        let reader = open(&disk).expect("whole");
        assert_eq!([0, 1, 2, 3, 4].map(|section| reader.blocks(section)), [0, 2, 0, 1, 0]);
        for _ in 0..2 {
            assert_eq!(&*reader.block(3, 0).expect("whole"), b"three");
            assert_eq!(&*reader.block(1, 0).expect("whole"), &[7; 100_000]);
            assert_eq!(&*reader.block(1, 1).expect("whole"), b"");
        }
        assert!(reader.block(1, 2).is_err() && reader.block(9, 0).is_err());
    }

    #[test]
    fn a_cache_keeps_what_is_used_within_its_limit() {
        let disk = SimulatedDisk::new(1);
        let mut writer = BlockWriter::new(disk.create("a.index").expect("room"));
        writer.begin(0);
        for byte in 0..100 {
            writer.push(&[byte; 1000]).expect("written");
        }
        writer.finish().expect("written");
        let cache = Arc::new(Cache::new(20 * 1100));
        let open = || {
            let file = disk.open("a.index").expect("it was written");
            BlockReader::open(file, "a.index", Arc::clone(&cache)).expect("whole")
        };
        let entry = |reader: &BlockReader| {
            let has = |position: &usize| reader.slots[*position].block().is_some();
            (0..100).filter(has).collect::<Vec<usize>>()
        };
        let reader = open();
        for position in 0..100 {
            for wanted in [position, 7] {
                assert_eq!(reader.block(0, wanted).expect("whole")[..], [wanted as u8; 1000]);
            }
            assert!(entry(&reader).len() <= 20);
        }
        assert!(
            entry(&reader).contains(&7)
                && entry(&reader).contains(&99)
                && !entry(&reader).contains(&8)
        );
        drop(reader);
        let again = open();
        (0..20).for_each(|position| drop(again.block(0, position).expect("whole")));
        assert_eq!(
            entry(&again),
            (0..20).collect::<Vec<_>>(),
            "a closed file takes no room from an open one"
        );
    }

    #[test]
    fn what_is_used_again_outlasts_what_is_read_once() {
        let disk = SimulatedDisk::new(1);
        let mut writer = BlockWriter::new(disk.create("a.index").expect("room"));
        writer.begin(0);
        for byte in 0..200 {
            writer.push(&[byte; 1000]).expect("written");
        }
        writer.finish().expect("written");
        let file = disk.open("a.index").expect("it was written");
        let cache = Arc::new(Cache::new(40 * 1100));
        let reader = BlockReader::open(file, "a.index", cache).expect("whole");
        let read = |position| drop(reader.block(0, position).expect("whole"));
        let is_held = |position: usize| reader.slots[position].block().is_some();
        // Thirty blocks are read again soon after they were dropped, and then stay while others
        // pass.
        (0..30).for_each(read);
        (100..145).for_each(read);
        (0..30).for_each(read);
        (145..200).for_each(read);
        assert!((0..30).all(is_held));
        // Others are read again and again; blocks that are used no more are dropped at last.
        (0..8).for_each(|_| (100..145).for_each(read));
        assert!(!(0..30).all(is_held));
        let state = reader.cache.state.lock().expect("no panic while held");
        let bytes_of =
            |entry: &VecDeque<CacheEntry>| entry.iter().map(|entry| entry.2).sum::<u64>();
        assert_eq!(state.trial_bytes, bytes_of(&state.trial));
        assert_eq!(state.bytes, state.trial_bytes + bytes_of(&state.staying));
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let disk = SimulatedDisk::new(1);
        let len = write(&disk);
        let file = disk.open("a.index").expect("it was written");
        for offset in (0..len).step_by(997).chain(0..40).chain(len - 80..len) {
            let mut byte = [0];
            file.read_at(offset, &mut byte).expect("there");
            file.write_at(offset, &[byte[0] ^ 1 << (offset % 8)]).expect("room");
            let found = open(&disk).and_then(|reader| reader.check(&mut |_| ()));
            assert!(matches!(found, Err(Error::Damage { .. })), "byte {offset}");
            file.write_at(offset, &byte).expect("room");
        }
        open(&disk).and_then(|reader| reader.check(&mut |_| ())).expect("whole again");
    }
}
