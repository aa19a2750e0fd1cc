//! Index files: numbered sections of blocks, each with a checksum, under a directory.
//!
//! A file is a head, the blocks one after another, the directory and a foot; `docs/format.md` has the bytes. A block is read
//! whole, checked, and kept in the [`Cache`]; so whatever is used was checked when it was read, and nothing but the
//! directories of open files stays in memory beyond the cache's limit.

use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache as Kept;

use crate::Error;
use crate::durable::File;

const HEAD_MAGIC: &[u8; 8] = b"DAYBOOKX";
const FOOT_MAGIC: &[u8; 8] = b"XOOBYAD\n";
const VERSION: u32 = 1;
const HEAD: usize = 16;
/// Offset and length of the directory u64, its CRC-32C u32, magic.
const FOOT: usize = 28;
/// Bytes collected before they are written.
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

    /// Begins the section with this number, which no section had before.
    pub fn begin(&mut self, section: u8) {
        self.sections.push((section, Vec::new()));
    }

    /// Adds a block to the section begun last, and returns its position there.
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

/// Blocks that were read lately, of all index files together.
pub(crate) struct Cache(Kept<(u32, u32), Arc<[u8]>, Bytes>);

#[derive(Clone)]
struct Bytes;

impl Weighter<(u32, u32), Arc<[u8]>> for Bytes {
    fn weight(&self, _: &(u32, u32), block: &Arc<[u8]>) -> u64 {
        // What the cache itself keeps for an entry is about this much.
        block.len() as u64 + 64
    }
}

impl Cache {
    /// A cache of at most this many bytes.
    pub fn new(bytes_max: u64) -> Cache {
        let blocks = usize::try_from(bytes_max / (16 << 10)).unwrap_or(usize::MAX).max(16);
        Cache(Kept::with_weighter(blocks, bytes_max, Bytes))
    }
}

/// An open index file.
pub(crate) struct BlockReader {
    file: Arc<dyn File>,
    /// For messages.
    name: String,
    /// Tells its blocks from other files' in the cache.
    id: u32,
    cache: Arc<Cache>,
    sections: Vec<Option<Section>>,
}

struct Section {
    /// Position of its first block among all of the file's.
    first: u32,
    blocks: Vec<Place>,
}

#[derive(Clone, Copy)]
struct Place {
    offset: u64,
    len: u32,
    crc: u32,
}

impl BlockReader {
    /// Reads head, foot and directory. `id` must be of no other file that shares the cache.
    pub fn open(file: Arc<dyn File>, name: &str, id: u32, cache: Arc<Cache>) -> Result<BlockReader, Error> {
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
        let sections =
            read_directory(&directory, at).ok_or_else(|| damage(at, "the directory is not of this file"))?;
        Ok(BlockReader { file, name: name.to_owned(), id, cache, sections })
    }

    /// How many blocks a section has; none when there is no such section.
    pub fn blocks(&self, section: u8) -> usize {
        self.section(section).map_or(0, |section| section.blocks.len())
    }

    /// A block, from the cache or checked now.
    pub fn block(&self, section: u8, position: usize) -> Result<Arc<[u8]>, Error> {
        let found = self.section(section).and_then(|found| Some((found.first, found.blocks.get(position)?)));
        let Some((first, place)) = found else {
            return Err(self.damage(0, &format!("no block {position} in section {section}")));
        };
        let key = (self.id, first + position as u32);
        if let Some(block) = self.cache.0.get(&key) {
            return Ok(block);
        }
        let block = self.read(place)?;
        self.cache.0.insert(key, Arc::clone(&block));
        Ok(block)
    }

    /// Reads and checks every block, past the cache. `each` sees the bytes read so far.
    pub fn check(&self, each: &mut dyn FnMut(u64)) -> Result<(), Error> {
        for place in self.sections.iter().flatten().flat_map(|section| &section.blocks) {
            self.read(place)?;
            each(place.offset + u64::from(place.len));
        }
        Ok(())
    }

    /// Bytes of a section.
    pub fn section_bytes(&self, section: u8) -> u64 {
        self.section(section).map_or(0, |found| found.blocks.iter().map(|place| u64::from(place.len)).sum())
    }

    /// What to call a section whose blocks are whole and make no sense.
    pub fn damage(&self, section: u8, what: &str) -> Error {
        let offset =
            self.section(section).and_then(|found| found.blocks.first()).map_or(0, |place| place.offset);
        Error::damage(&self.name, offset, what)
    }

    fn section(&self, section: u8) -> Option<&Section> {
        self.sections.get(usize::from(section))?.as_ref()
    }

    fn read(&self, place: &Place) -> Result<Arc<[u8]>, Error> {
        let mut block = vec![0; place.len as usize];
        self.file.read_at(place.offset, &mut block).map_err(|cause| match cause.kind() {
            std::io::ErrorKind::UnexpectedEof => {
                Error::damage(&self.name, place.offset, "the index file is cut")
            }
            _ => Error::Io { doing: format!("read {}", self.name), cause },
        })?;
        if crc32c::crc32c(&block) != place.crc {
            return Err(Error::damage(&self.name, place.offset, "a block has another checksum"));
        }
        Ok(block.into())
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
            blocks.push(Place { offset, len, crc });
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
    use super::*;
    use crate::durable::Disk;
    use crate::simulated::SimulatedDisk;

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
        BlockReader::open(file, "a.index", 0, Arc::new(Cache::new(1 << 20)))
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
