//! The rows of a segment that have a value.
//!
//! One row stands in the dictionary itself, a few are a list, each told as what is added to the one before. More are a Roaring
//! bitmap in its portable form (<https://github.com/RoaringBitmap/RoaringFormatSpec>), which is read container by container,
//! so that a large one costs no more than what is asked of it.

use std::ops::Range;
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::blocks::{BlockReader, BlockWriter};
use super::terms::{take_varint, varint};
use crate::Error;

/// No more rows than this are a list.
const FEW: u64 = 32;
/// Bytes of a block of lists and bitmaps; a bitmap may reach over several, a list does not.
const BLOCK: usize = 32 << 10;
/// The least cookie of the portable form: no container is a list of runs.
const COOKIE: u32 = 12346;
/// A container with more rows than this is a bitmap of 8 KiB, with fewer a list.
const LISTED_MAX: u64 = 4096;
const BITS_BYTES: usize = 8 << 10;

/// Where the rows of a value are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Where {
    /// There is one.
    Only(u32),
    /// So many, in the list or the bitmap at this offset of the section.
    Listed { rows: u64, offset: u64 },
}

impl Where {
    /// How many rows there are.
    pub fn rows(self) -> u64 {
        match self {
            Where::Only(_) => 1,
            Where::Listed { rows, .. } => rows,
        }
    }

    pub(super) fn write(self, out: &mut Vec<u8>) {
        match self {
            Where::Only(row) => {
                varint(out, 1);
                varint(out, u64::from(row));
            }
            Where::Listed { rows, offset } => {
                varint(out, rows);
                varint(out, offset);
            }
        }
    }

    pub(super) fn read(bytes: &mut &[u8]) -> Option<Where> {
        let (rows, place) = (take_varint(bytes)?, take_varint(bytes)?);
        match rows {
            0 => None,
            1 => Some(Where::Only(u32::try_from(place).ok()?)),
            rows => Some(Where::Listed { rows, offset: place }),
        }
    }
}

/// Writes bitmaps one after another into the section begun last.
#[derive(Default)]
pub(crate) struct PostingsWriter {
    block: Vec<u8>,
    written: u64,
}

impl PostingsWriter {
    /// Adds the rows of a value, of which there is at least one, in order.
    pub fn push(&mut self, writer: &mut BlockWriter, rows: &[u32]) -> Result<Where, Error> {
        if let [row] = rows {
            return Ok(Where::Only(*row));
        }
        let count = rows.len() as u64;
        let mut offset = self.written + self.block.len() as u64;
        if count <= FEW {
            let mut list = Vec::with_capacity(3 * FEW as usize);
            let mut before = 0;
            for row in rows {
                varint(&mut list, u64::from(row - before));
                before = *row;
            }
            if self.block.len() + list.len() > BLOCK {
                self.block.resize(BLOCK, 0);
                offset = self.written + BLOCK as u64;
                self.flush(writer)?;
            }
            self.block.extend_from_slice(&list);
            return Ok(Where::Listed { rows: count, offset });
        }
        let bitmap = RoaringBitmap::from_sorted_iter(rows.iter().copied()).expect("in order");
        bitmap.serialize_into(&mut self.block).expect("a vector takes all bytes");
        self.flush(writer)?;
        Ok(Where::Listed { rows: count, offset })
    }

    fn flush(&mut self, writer: &mut BlockWriter) -> Result<(), Error> {
        while self.block.len() >= BLOCK {
            let rest = self.block.split_off(BLOCK);
            writer.push(&self.block)?;
            self.written += BLOCK as u64;
            self.block = rest;
        }
        Ok(())
    }

    pub fn finish(self, writer: &mut BlockWriter) -> Result<(), Error> {
        if self.block.is_empty() { Ok(()) } else { writer.push(&self.block).map(|_| ()) }
    }
}

/// The rows of a value, to be asked.
#[derive(Clone, Copy)]
pub(crate) struct Postings<'a> {
    pub file: &'a BlockReader,
    pub section: u8,
    pub place: Where,
}

/// The rows of a value, or where they are.
pub(crate) struct Opened<'a> {
    postings: Postings<'a>,
    rows: Rows,
}

enum Rows {
    Few(Vec<u32>),
    /// What the head of a bitmap says of its containers.
    Many(Vec<Container>),
}

#[derive(Clone, Copy)]
struct Container {
    /// Rows of it begin at this times 65,536.
    key: u16,
    /// Rows in the containers before.
    before: u64,
    len: u64,
    /// Offset in the section.
    offset: u64,
}

impl<'a> Postings<'a> {
    /// Reads a list, or the head of a bitmap.
    pub fn open(self) -> Result<Opened<'a>, Error> {
        let rows = match self.place {
            Where::Only(row) => Rows::Few(vec![row]),
            Where::Listed { rows, offset } if rows <= FEW => Rows::Few(self.list(rows, offset)?),
            Where::Listed { rows, offset } => Rows::Many(self.head(rows, offset)?),
        };
        Ok(Opened { postings: self, rows })
    }

    fn list(self, count: u64, offset: u64) -> Result<Vec<u32>, Error> {
        let at = usize::try_from(offset).map_err(|_| self.nonsense())?;
        let block = self.file.block(self.section, at / BLOCK)?;
        let mut rest = block.get(at % BLOCK..).ok_or_else(|| self.nonsense())?;
        let mut rows = Vec::with_capacity(FEW as usize);
        let mut row = 0u64;
        for _ in 0..count {
            row = take_varint(&mut rest)
                .and_then(|more| row.checked_add(more))
                .ok_or_else(|| self.nonsense())?;
            rows.push(u32::try_from(row).map_err(|_| self.nonsense())?);
        }
        if rows.is_sorted_by(|a, b| a < b) { Ok(rows) } else { Err(self.nonsense()) }
    }

    fn head(self, rows: u64, offset: u64) -> Result<Vec<Container>, Error> {
        let fixed = self.bytes(offset, 8)?;
        let number =
            |at: usize| u32::from_le_bytes(*fixed.as_slice()[at..].first_chunk().expect("eight bytes"));
        let count = number(4) as usize;
        if number(0) != COOKIE || count == 0 || count > 1 << 16 {
            return Err(self.nonsense());
        }
        let head = self.bytes(offset + 8, count * 8)?;
        let (described, offsets) = head.as_slice().split_at(count * 4);
        let mut before = 0;
        let containers: Vec<Container> = described
            .as_chunks::<4>()
            .0
            .iter()
            .zip(offsets.as_chunks::<4>().0)
            .map(|(described, at)| {
                let key = u16::from_le_bytes([described[0], described[1]]);
                let len = u64::from(u16::from_le_bytes([described[2], described[3]])) + 1;
                let offset = offset + u64::from(u32::from_le_bytes(*at));
                let container = Container { key, before, len, offset };
                before += len;
                container
            })
            .collect();
        let is_ordered = containers.is_sorted_by(|a, b| a.key < b.key);
        if before == rows && is_ordered { Ok(containers) } else { Err(self.nonsense()) }
    }

    /// Bytes of the section.
    fn bytes(self, offset: u64, len: usize) -> Result<Piece, Error> {
        let mut at = usize::try_from(offset).map_err(|_| self.nonsense())?;
        let block = self.file.block(self.section, at / BLOCK)?;
        if at % BLOCK + len <= block.len() {
            return Ok(Piece { start: at % BLOCK, len, block });
        }
        let mut out = Vec::with_capacity(len);
        while out.len() < len {
            let block = self.file.block(self.section, at / BLOCK)?;
            let rest =
                block.get(at % BLOCK..).filter(|rest| !rest.is_empty()).ok_or_else(|| self.nonsense())?;
            let taken = rest.len().min(len - out.len());
            out.extend_from_slice(&rest[..taken]);
            at += taken;
        }
        Ok(Piece { start: 0, len, block: out.into() })
    }

    fn nonsense(self) -> Error {
        self.file.damage(self.section, "a bitmap that makes no sense")
    }
}

/// Bytes of a section: of one block, or put together from several.
struct Piece {
    block: Arc<[u8]>,
    start: usize,
    len: usize,
}

impl Piece {
    fn as_slice(&self) -> &[u8] {
        &self.block[self.start..self.start + self.len]
    }
}

/// The rows of one container, as they are stored.
enum Content {
    /// Two bytes each, in order.
    Listed(Piece),
    /// One bit for each row, least significant first, in 8 KiB.
    Bits(Piece),
}

/// How many bits are set.
fn ones(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let of_words: u64 = words.iter().map(|word| u64::from(u64::from_le_bytes(*word).count_ones())).sum();
    of_words + rest.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>()
}

impl Opened<'_> {
    /// How many rows there are.
    pub fn len(&self) -> u64 {
        self.postings.place.rows()
    }

    /// How many rows come before this one.
    pub fn rank(&self, row: u32) -> Result<u64, Error> {
        let row = if cfg!(feature = "plant_rank_off_by_one") { row.saturating_add(1) } else { row };
        let containers = match &self.rows {
            Rows::Few(rows) => return Ok(rows.partition_point(|one| *one < row) as u64),
            Rows::Many(containers) => containers,
        };
        let (key, low) = ((row >> 16) as u16, row as u16);
        let position = containers.partition_point(|container| container.key < key);
        let Some(container) = containers.get(position) else { return Ok(self.len()) };
        if container.key > key {
            return Ok(container.before);
        }
        let inside = match self.content(container)? {
            Content::Listed(piece) => {
                let rows = piece.as_slice().as_chunks::<2>().0;
                rows.partition_point(|row| u16::from_le_bytes(*row) < low) as u64
            }
            Content::Bits(piece) => {
                let (whole, rest) = piece.as_slice().split_at(usize::from(low) / 8);
                ones(whole) + u64::from((rest[0] & ((1 << (low % 8)) - 1)).count_ones())
            }
        };
        Ok(container.before + inside)
    }

    /// The row before which there are so many; `None` when there are no more.
    pub fn select(&self, rank: u64) -> Result<Option<u32>, Error> {
        let containers = match &self.rows {
            Rows::Few(rows) => return Ok(rows.get(rank as usize).copied()),
            Rows::Many(containers) => containers,
        };
        let position = containers.partition_point(|container| container.before + container.len <= rank);
        let Some(container) = containers.get(position) else { return Ok(None) };
        let mut left = rank - container.before;
        let low = match self.content(container)? {
            Content::Listed(piece) => {
                piece.as_slice().as_chunks::<2>().0.get(left as usize).map(|row| u16::from_le_bytes(*row))
            }
            Content::Bits(piece) => {
                piece.as_slice().as_chunks::<8>().0.iter().zip(0u32..).find_map(|(word, position)| {
                    let mut word = u64::from_le_bytes(*word);
                    let ones = u64::from(word.count_ones());
                    if left < ones {
                        for _ in 0..left {
                            word &= word - 1;
                        }
                        return Some((position * 64 + word.trailing_zeros()) as u16);
                    }
                    left -= ones;
                    None
                })
            }
        };
        let low = low.ok_or_else(|| self.postings.nonsense())?;
        Ok(Some(u32::from(container.key) << 16 | u32::from(low)))
    }

    /// So many rows, or as many as there are, from the one on before which there are `rank`.
    pub fn rows(&self, rank: u64, count: usize) -> Result<Vec<u32>, Error> {
        let containers = match &self.rows {
            Rows::Few(rows) => {
                return Ok(rows.iter().skip(rank as usize).take(count).copied().collect());
            }
            Rows::Many(containers) => containers,
        };
        let begin = containers.partition_point(|container| container.before + container.len <= rank);
        let mut rows = Vec::with_capacity(count);
        for container in &containers[begin..] {
            if rows.len() == count {
                break;
            }
            let base = u32::from(container.key) << 16;
            let mut skipped = rank.saturating_sub(container.before);
            match self.content(container)? {
                Content::Listed(piece) => {
                    let all = piece.as_slice().as_chunks::<2>().0;
                    let left = all.iter().skip(skipped as usize).take(count - rows.len());
                    rows.extend(left.map(|row| base | u32::from(u16::from_le_bytes(*row))));
                }
                Content::Bits(piece) => {
                    for (word, position) in piece.as_slice().as_chunks::<8>().0.iter().zip(0u32..) {
                        let mut word = u64::from_le_bytes(*word);
                        let ones = u64::from(word.count_ones());
                        if skipped >= ones {
                            skipped -= ones;
                            continue;
                        }
                        while word != 0 && rows.len() < count {
                            if skipped == 0 {
                                rows.push(base | (position * 64 + word.trailing_zeros()));
                            } else {
                                skipped -= 1;
                            }
                            word &= word - 1;
                        }
                        if rows.len() == count {
                            break;
                        }
                    }
                }
            }
        }
        Ok(rows)
    }

    /// The rows within a range.
    pub fn within(&self, range: Range<u32>) -> Result<RoaringBitmap, Error> {
        let mut out = RoaringBitmap::new();
        if range.is_empty() {
            return Ok(out);
        }
        let containers = match &self.rows {
            Rows::Few(rows) => return Ok(rows.iter().copied().filter(|row| range.contains(row)).collect()),
            Rows::Many(containers) => containers,
        };
        let (first, last) = ((range.start >> 16) as u16, ((range.end - 1) >> 16) as u16);
        let begin = containers.partition_point(|container| container.key < first);
        for container in containers[begin..].iter().take_while(|container| container.key <= last) {
            let base = u32::from(container.key) << 16;
            let is_inside = |row: &u32| range.contains(row);
            match self.content(container)? {
                Content::Listed(piece) => {
                    let rows = piece.as_slice().as_chunks::<2>().0.iter();
                    let rows = rows.map(|row| base | u32::from(u16::from_le_bytes(*row))).filter(is_inside);
                    out.append(rows).map_err(|_| self.postings.nonsense())?;
                }
                Content::Bits(piece) => out |= RoaringBitmap::from_lsb0_bytes(base, piece.as_slice()),
            }
        }
        out.remove_range(..range.start);
        out.remove_range(range.end..);
        Ok(out)
    }

    /// Calls `each` with every row, in order.
    pub fn each(&self, each: &mut dyn FnMut(u32)) -> Result<(), Error> {
        let containers = match &self.rows {
            Rows::Few(rows) => {
                rows.iter().for_each(|row| each(*row));
                return Ok(());
            }
            Rows::Many(containers) => containers,
        };
        for container in containers {
            let base = u32::from(container.key) << 16;
            match self.content(container)? {
                Content::Listed(piece) => {
                    let rows = piece.as_slice().as_chunks::<2>().0.iter();
                    rows.for_each(|row| each(base | u32::from(u16::from_le_bytes(*row))));
                }
                Content::Bits(piece) => {
                    for (word, position) in piece.as_slice().as_chunks::<8>().0.iter().zip(0u32..) {
                        let mut word = u64::from_le_bytes(*word);
                        while word != 0 {
                            each(base | (position * 64 + word.trailing_zeros()));
                            word &= word - 1;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn content(&self, container: &Container) -> Result<Content, Error> {
        if container.len > LISTED_MAX {
            return Ok(Content::Bits(self.postings.bytes(container.offset, BITS_BYTES)?));
        }
        Ok(Content::Listed(self.postings.bytes(container.offset, container.len as usize * 2)?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::durable::Disk;
    use crate::segment::blocks::Cache;
    use crate::segment::terms::{Terms, TermsWriter};
    use crate::simulated::SimulatedDisk;

    const VALUES: u8 = 1;
    const ROWS: u8 = 3;

    /// Writes a dictionary of these values with their rows, and opens it.
    fn written(terms: &[(Vec<u8>, RoaringBitmap)]) -> BlockReader {
        let disk = SimulatedDisk::new(1);
        let mut writer = BlockWriter::new(disk.create("x").expect("room"));
        writer.begin(ROWS);
        let mut postings = PostingsWriter::default();
        let places: Vec<Where> = terms
            .iter()
            .map(|(_, rows)| {
                let rows: Vec<u32> = rows.iter().collect();
                postings.push(&mut writer, &rows).expect("room")
            })
            .collect();
        postings.finish(&mut writer).expect("room");
        let mut values = TermsWriter::default();
        for ((value, _), place) in terms.iter().zip(places) {
            values.push(value, place);
        }
        values.finish(VALUES, &mut writer).expect("room");
        writer.finish().expect("room");
        let file = disk.open("x").expect("there");
        BlockReader::open(file, "x", 0, Arc::new(Cache::new(1 << 20))).expect("whole")
    }

    fn dictionary_of(file: &BlockReader) -> Terms<'_> {
        Terms { file, section: VALUES }
    }

    fn any_rows() -> impl Strategy<Value = RoaringBitmap> {
        let few = prop::collection::vec(0u32..300_000, 1..40);
        let scattered = prop::collection::vec(0u32..300_000, 1..200);
        let dense = (0u32..200_000, 1u32..100_000, 1u32..4)
            .prop_map(|(start, len, step)| (start..start + len).step_by(step as usize).collect::<Vec<_>>());
        prop_oneof![2 => few, 3 => scattered, 1 => dense].prop_map(|rows| rows.into_iter().collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn rows_are_counted_and_found(rows in any_rows(), others in any_rows(), asked in prop::collection::vec(0u32..320_000, 20)) {
            let terms = [(b"a".to_vec(), others), (b"b".to_vec(), rows.clone())];
            let file = written(&terms);
            let found = dictionary_of(&file).find(b"b").expect("whole").expect("there");
            prop_assert_eq!(found.rows.rows(), rows.len());
            let opened = dictionary_of(&file).rows(found.rows).open().expect("whole");
            prop_assert_eq!(opened.len(), rows.len());
            for row in &asked {
                let before = row.checked_sub(1).map_or(0, |last| rows.rank(last));
                prop_assert_eq!(opened.rank(*row).expect("whole"), before);
                prop_assert_eq!(opened.select(u64::from(*row)).expect("whole"), rows.select(*row));
                let some: Vec<u32> = rows.iter().skip(*row as usize / 4).take(40).collect();
                prop_assert_eq!(opened.rows(u64::from(*row / 4), 40).expect("whole"), some);
            }
            for pair in asked.chunks(2) {
                let range = pair[0].min(pair[1])..pair[0].max(pair[1]);
                let expected: RoaringBitmap = rows.iter().filter(|row| range.contains(row)).collect();
                prop_assert_eq!(opened.within(range).expect("whole"), expected);
            }
        }

        #[test]
        fn values_are_found_by_their_bytes_and_their_ordinals(
            values in prop::collection::btree_set("[ab]{0,6}|[a-zü]{1,20}|team/app-[0-9]{1,4}", 1..600),
            asked in prop::collection::vec("[abt]{0,3}|team/app-[0-9]{0,3}", 10),
        ) {
            let terms: Vec<_> = values
                .iter()
                .zip(0u32..)
                .map(|(value, row)| (value.as_bytes().to_vec(), RoaringBitmap::from_iter([row])))
                .collect();
            let file = written(&terms);
            let dictionary = dictionary_of(&file);
            for (ordinal, (value, _)) in (0u64..).zip(&terms) {
                let found = dictionary.find(value).expect("whole").expect("there");
                prop_assert_eq!((found.ordinal, found.rows), (ordinal, Where::Only(ordinal as u32)));
                prop_assert_eq!(&dictionary.value(ordinal).expect("whole"), value);
            }
            for text in &asked {
                let is_there = values.contains(text);
                prop_assert_eq!(dictionary.find(text.as_bytes()).expect("whole").is_some(), is_there);
                let before = terms.partition_point(|(value, _)| **value < *text.as_bytes());
                let with = terms[before..].iter().take_while(|(value, _)| value.starts_with(text.as_bytes()));
                let expected: Vec<&[u8]> = with.map(|(value, _)| &value[..]).collect();
                let range = dictionary.with_prefix(text.as_bytes()).expect("whole");
                prop_assert_eq!(range.end - range.start, expected.len() as u64);
                let mut found = Vec::new();
                dictionary.each_of(range, &mut |ordinal, value, rows| {
                    assert_eq!(rows, Where::Only(ordinal as u32));
                    found.push(value.to_vec());
                    Ok(())
                }).expect("whole");
                prop_assert_eq!(found, expected);
            }
        }
    }
}
