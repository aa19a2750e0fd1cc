//! Postings: the rows of a segment that have a value.
//!
//! A single row is stored in the dictionary itself; a few are a list of differences. More rows are
//! a Roaring bitmap in its portable form (<https://github.com/RoaringBitmap/RoaringFormatSpec>). It
//! is read container by container, so that a large bitmap costs only the parts in use.

use std::io::Read as _;
use std::ops::Range;
use std::sync::Arc;

use roaring::RoaringBitmap;

use crate::error::Error;
use crate::segment::blocks::{BlockReader, BlockWriter};
use crate::segment::container::{BITS_BYTES, Container, LISTED_MAX, REACH};
use crate::segment::varint::{take_varint, varint};

/// Largest number of rows in a list.
const FEW: u64 = 32;
/// Bytes of a block of lists and bitmaps. A bitmap may span several, a list does not.
const BLOCK: usize = 16 << 10;
/// The cookie of the portable form without run containers.
const COOKIE: u32 = 12346;

/// Location of the rows of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PostingsLocation {
    /// The only row.
    Only(u32),
    /// This many rows, in the list or the bitmap at this offset of the section.
    Listed { rows: u64, offset: u64 },
}

impl PostingsLocation {
    /// Number of rows.
    pub fn rows(self) -> u64 {
        match self {
            PostingsLocation::Only(_) => 1,
            PostingsLocation::Listed { rows, .. } => rows,
        }
    }

    pub(super) fn write(self, out: &mut Vec<u8>) {
        match self {
            PostingsLocation::Only(row) => {
                varint(out, 1);
                varint(out, u64::from(row));
            }
            PostingsLocation::Listed { rows, offset } => {
                varint(out, rows);
                varint(out, offset);
            }
        }
    }

    pub(super) fn read(bytes: &mut &[u8]) -> Option<PostingsLocation> {
        let (rows, head) = (take_varint(bytes)?, take_varint(bytes)?);
        match rows {
            0 => None,
            1 => Some(PostingsLocation::Only(u32::try_from(head).ok()?)),
            rows => Some(PostingsLocation::Listed { rows, offset: head }),
        }
    }
}

/// Writes lists and bitmaps one after another into the newest section.
#[derive(Default)]
pub(crate) struct PostingsWriter {
    block: Vec<u8>,
    written: u64,
}

impl PostingsWriter {
    /// Adds the rows of a value: at least one, in order.
    pub fn push(
        &mut self,
        writer: &mut BlockWriter,
        rows: &[u32],
    ) -> Result<PostingsLocation, Error> {
        if let [row] = rows {
            return Ok(PostingsLocation::Only(*row));
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
            return Ok(PostingsLocation::Listed { rows: count, offset });
        }
        let bitmap = RoaringBitmap::from_sorted_iter(rows.iter().copied()).expect("in order");
        bitmap.serialize_into(&mut self.block).expect("a vector takes all bytes");
        self.flush(writer)?;
        Ok(PostingsLocation::Listed { rows: count, offset })
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

/// The rows of a value, not read yet.
#[derive(Clone, Copy)]
pub(crate) struct Postings<'a> {
    pub file: &'a BlockReader,
    pub section: u8,
    pub head: PostingsLocation,
}

/// Reads the rows of a value.
pub(crate) struct PostingsReader<'a> {
    postings: Postings<'a>,
    rows: Rows,
}

enum Rows {
    Few(Vec<u32>),
    /// The containers, by the head of the bitmap.
    Many(Vec<ContainerHead>),
}

/// Location and size of a container.
#[derive(Clone, Copy)]
struct ContainerHead {
    /// First row of the container divided by 65,536.
    key: u16,
    /// Rows in the containers before.
    before: u64,
    len: u64,
    /// Offset in the section.
    offset: u64,
}

impl ContainerHead {
    fn len_bytes(self) -> usize {
        if self.len > LISTED_MAX { BITS_BYTES } else { self.len as usize * 2 }
    }

    /// The first row that the container may have.
    fn first(self) -> u32 {
        u32::from(self.key) << 16
    }

    /// The part of a range within the container, counted from its first row.
    fn within(self, rows: &Range<u32>) -> Range<u32> {
        let first = self.first();
        rows.start.saturating_sub(first)..(rows.end - first).min(REACH)
    }
}

impl<'a> Postings<'a> {
    /// Reads a list, or the head of a bitmap.
    pub fn open(self) -> Result<PostingsReader<'a>, Error> {
        let rows = match self.head {
            PostingsLocation::Only(row) => Rows::Few(vec![row]),
            PostingsLocation::Listed { rows, offset } if rows <= FEW => {
                Rows::Few(self.list(rows, offset)?)
            }
            PostingsLocation::Listed { rows, offset } => Rows::Many(self.head(rows, offset)?),
        };
        Ok(PostingsReader { postings: self, rows })
    }

    fn list(self, count: u64, offset: u64) -> Result<Vec<u32>, Error> {
        let at = usize::try_from(offset).map_err(|_| self.malformed())?;
        let block = self.file.block(self.section, at / BLOCK)?;
        let mut rest = block.get(at % BLOCK..).ok_or_else(|| self.malformed())?;
        let mut rows = Vec::with_capacity(FEW as usize);
        let mut row = 0u64;
        for _ in 0..count {
            row = take_varint(&mut rest)
                .and_then(|more| row.checked_add(more))
                .ok_or_else(|| self.malformed())?;
            rows.push(u32::try_from(row).map_err(|_| self.malformed())?);
        }
        if rows.is_sorted_by(|a, b| a < b) { Ok(rows) } else { Err(self.malformed()) }
    }

    fn head(self, rows: u64, offset: u64) -> Result<Vec<ContainerHead>, Error> {
        let fixed = self.bytes(offset, 8)?;
        let number = |at: usize| {
            u32::from_le_bytes(*fixed.as_slice()[at..].first_chunk().expect("eight bytes"))
        };
        let count = number(4) as usize;
        if number(0) != COOKIE || count == 0 || count > 1 << 16 {
            return Err(self.malformed());
        }
        let head = self.bytes(offset + 8, count * 8)?;
        let (described, offsets) = head.as_slice().split_at(count * 4);
        let mut before = 0;
        let containers: Vec<ContainerHead> = described
            .as_chunks::<4>()
            .0
            .iter()
            .zip(offsets.as_chunks::<4>().0)
            .map(|(described, at)| {
                let key = u16::from_le_bytes([described[0], described[1]]);
                let len = u64::from(u16::from_le_bytes([described[2], described[3]])) + 1;
                let offset = offset + u64::from(u32::from_le_bytes(*at));
                let container = ContainerHead { key, before, len, offset };
                before += len;
                container
            })
            .collect();
        let is_ordered = containers.is_sorted_by(|a, b| a.key < b.key);
        if before == rows && is_ordered { Ok(containers) } else { Err(self.malformed()) }
    }

    /// Bytes of the section.
    fn bytes(self, offset: u64, len: usize) -> Result<Piece, Error> {
        let mut at = usize::try_from(offset).map_err(|_| self.malformed())?;
        let block = self.file.block(self.section, at / BLOCK)?;
        if at % BLOCK + len <= block.len() {
            return Ok(Piece { start: at % BLOCK, len, block });
        }
        let mut out = Vec::with_capacity(len);
        while out.len() < len {
            let block = self.file.block(self.section, at / BLOCK)?;
            let rest = block
                .get(at % BLOCK..)
                .filter(|rest| !rest.is_empty())
                .ok_or_else(|| self.malformed())?;
            let taken = rest.len().min(len - out.len());
            out.extend_from_slice(&rest[..taken]);
            at += taken;
        }
        Ok(Piece { start: 0, len, block: out.into() })
    }

    fn malformed(self) -> Error {
        self.file.damage(self.section, "a malformed bitmap")
    }
}

/// Bytes of a section: of one block, or joined from several.
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

impl PostingsReader<'_> {
    /// Number of rows.
    pub fn len(&self) -> u64 {
        self.postings.head.rows()
    }

    /// Number of rows before this one.
    pub fn rank(&self, row: u32) -> Result<u64, Error> {
        let heads = match &self.rows {
            Rows::Few(rows) => return Ok(rows.partition_point(|one| *one < row) as u64),
            Rows::Many(heads) => heads,
        };
        let (key, low) = ((row >> 16) as u16, row % REACH);
        let position = heads.partition_point(|head| head.key < key);
        let Some(head) = heads.get(position) else { return Ok(self.len()) };
        if head.key > key {
            return Ok(head.before);
        }
        // Counted from the nearer end.
        let inside = if low < REACH / 2 {
            self.part(head, 0..low)?.count()
        } else {
            head.len.saturating_sub(self.part(head, low..REACH)?.count())
        };
        Ok(head.before + inside)
    }

    /// Number of rows within a range.
    pub fn count(&self, range: Range<u32>) -> Result<u64, Error> {
        if range.is_empty() {
            return Ok(0);
        }
        let heads = self.heads(&range);
        if let [head] = heads {
            return Ok(self.part(head, head.within(&range))?.count());
        }
        Ok(self.rank(range.end)?.saturating_sub(self.rank(range.start)?))
    }

    /// The row of this rank; `None` beyond the last.
    pub fn select(&self, rank: u64) -> Result<Option<u32>, Error> {
        let heads = match &self.rows {
            Rows::Few(rows) => return Ok(rows.get(rank as usize).copied()),
            Rows::Many(heads) => heads,
        };
        let position = heads.partition_point(|head| head.before + head.len <= rank);
        let Some(head) = heads.get(position) else { return Ok(None) };
        let low = self.part(head, 0..REACH)?.container().select(rank - head.before);
        low.map(|low| Some(head.first() + low)).ok_or_else(|| self.postings.malformed())
    }

    /// The first `count` rows within a range, or fewer.
    pub fn first_within(&self, range: Range<u32>, count: usize) -> Result<Vec<u32>, Error> {
        let mut rows = Vec::with_capacity(count);
        if let Rows::Few(few) = &self.rows {
            rows.extend(few.iter().filter(|row| range.contains(row)).take(count));
        }
        for head in self.heads(&range) {
            if rows.len() == count {
                break;
            }
            let part = self.part(head, head.within(&range))?;
            part.container().each(part.rows.clone(), &mut |low| {
                rows.push(part.first + low);
                rows.len() < count
            });
        }
        Ok(rows)
    }

    /// The last `count` rows within a range, in order, or fewer.
    pub fn last_within(&self, range: Range<u32>, count: usize) -> Result<Vec<u32>, Error> {
        let mut rows = Vec::with_capacity(count);
        if let Rows::Few(few) = &self.rows {
            rows.extend(few.iter().rev().filter(|row| range.contains(row)).take(count));
        }
        for head in self.heads(&range).iter().rev() {
            if rows.len() == count {
                break;
            }
            let part = self.part(head, head.within(&range))?;
            part.container().each_back(part.rows.clone(), &mut |low| {
                rows.push(part.first + low);
                rows.len() < count
            });
        }
        rows.reverse();
        Ok(rows)
    }

    /// The rows that are also in `some`.
    pub fn among(&self, some: &RoaringBitmap) -> Result<RoaringBitmap, Error> {
        let (Some(first), Some(last)) = (some.min(), some.max()) else {
            return Ok(RoaringBitmap::new());
        };
        if let Rows::Few(rows) = &self.rows {
            return Ok(rows.iter().copied().filter(|row| some.contains(*row)).collect());
        }
        let mut found: Vec<u32> = Vec::new();
        for head in self.heads(&(first..last.saturating_add(1))) {
            let base = head.first();
            let mut lows = some.range(base..=base | (REACH - 1)).map(|row| row - base).peekable();
            if lows.peek().is_some() {
                let part = self.part(head, 0..REACH)?;
                part.container().among(lows, &mut |low| found.push(base + low));
            }
        }
        Ok(RoaringBitmap::from_sorted_iter(found).expect("in order"))
    }

    /// `count` rows from this rank on, or fewer.
    pub fn rows(&self, rank: u64, count: usize) -> Result<Vec<u32>, Error> {
        match self.select(rank)? {
            Some(first) => self.first_within(first..u32::MAX, count),
            None => Ok(Vec::new()),
        }
    }

    /// The rows within a range.
    pub fn within(&self, range: Range<u32>) -> Result<RoaringBitmap, Error> {
        if range.is_empty() {
            return Ok(RoaringBitmap::new());
        }
        if let Rows::Few(rows) = &self.rows {
            return Ok(rows.iter().copied().filter(|row| range.contains(row)).collect());
        }
        let mut out = self.all_of(self.heads(&range))?;
        out.remove_range(..range.start);
        out.remove_range(range.end..);
        Ok(out)
    }

    /// The rows of adjacent containers: their bytes are those of a bitmap, behind a head of its
    /// own.
    fn all_of(&self, containers: &[ContainerHead]) -> Result<RoaringBitmap, Error> {
        let Some(first) = containers.first() else { return Ok(RoaringBitmap::new()) };
        let mut head = Vec::with_capacity(8 + containers.len() * 8);
        head.extend_from_slice(&COOKIE.to_le_bytes());
        head.extend_from_slice(&(containers.len() as u32).to_le_bytes());
        for container in containers {
            head.extend_from_slice(&container.key.to_le_bytes());
            head.extend_from_slice(&((container.len - 1) as u16).to_le_bytes());
        }
        let mut len = 0;
        for container in containers {
            if container.offset != first.offset + len as u64 {
                return Err(self.postings.malformed());
            }
            let offset = 8 + containers.len() * 8 + len;
            head.extend_from_slice(&(offset as u32).to_le_bytes());
            len += container.len_bytes();
        }
        let content = self.postings.bytes(first.offset, len)?;
        RoaringBitmap::deserialize_from(head.chain(content.as_slice()))
            .map_err(|_| self.postings.malformed())
    }

    /// Calls `each` with every row, in order.
    pub fn each(&self, each: &mut dyn FnMut(u32)) -> Result<(), Error> {
        let heads = match &self.rows {
            Rows::Few(rows) => {
                rows.iter().for_each(|row| each(*row));
                return Ok(());
            }
            Rows::Many(heads) => heads,
        };
        for head in heads {
            let part = self.part(head, 0..REACH)?;
            part.container().each(0..REACH, &mut |low| {
                each(part.first + low);
                true
            });
        }
        Ok(())
    }

    /// The containers that have rows of a range. None for a list.
    fn heads(&self, range: &Range<u32>) -> &[ContainerHead] {
        match &self.rows {
            Rows::Many(heads) if !range.is_empty() => {
                let (first, last) = ((range.start >> 16) as u16, ((range.end - 1) >> 16) as u16);
                let begin = heads.partition_point(|head| head.key < first);
                let end = heads.partition_point(|head| head.key <= last);
                &heads[begin..end]
            }
            _ => &[],
        }
    }

    /// A part of a container, counted from its first row: for a bitmap only the words of these
    /// rows.
    fn part(&self, head: &ContainerHead, rows: Range<u32>) -> Result<Part, Error> {
        let is_list = head.len <= LISTED_MAX;
        let (word, len) = if is_list {
            (0, head.len_bytes())
        } else {
            let word = rows.start / u64::BITS;
            (word, (rows.end.div_ceil(u64::BITS) - word) as usize * 8)
        };
        let bytes = self.postings.bytes(head.offset + u64::from(word) * 8, len)?;
        let skipped = word * u64::BITS;
        Ok(Part {
            bytes,
            is_list,
            first: head.first() + skipped,
            rows: rows.start - skipped..rows.end - skipped,
        })
    }
}

/// A part of a container.
struct Part {
    bytes: Piece,
    is_list: bool,
    /// The row from which its rows are counted.
    first: u32,
    /// The rows that were requested.
    rows: Range<u32>,
}

impl Part {
    fn container(&self) -> Container<'_> {
        Container::of(self.bytes.as_slice(), self.is_list)
    }

    fn count(&self) -> u64 {
        self.container().count(self.rows.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_read_back() {
        for (location, bytes) in [
            (PostingsLocation::Only(5), &[1, 5][..]),
            (PostingsLocation::Listed { rows: 2, offset: 300 }, &[2, 0xac, 2]),
        ] {
            let mut written = Vec::new();
            location.write(&mut written);
            assert_eq!(written, bytes);
            assert_eq!(PostingsLocation::read(&mut &bytes[..]), Some(location));
        }
        assert_eq!(PostingsLocation::read(&mut &[0, 0][..]), None, "no value is without rows");
    }

    #[test]
    fn a_range_is_clipped_to_a_container() {
        let head = ContainerHead { key: 1, before: 0, len: 5, offset: 0 };
        assert_eq!(head.first(), 65_536);
        let clipped = [0..70_000, 65_540..65_550, 70_000..200_000].map(|rows| head.within(&rows));
        assert_eq!(clipped, [0..4_464, 4..14, 4_464..65_536]);
        let lens =
            [5, LISTED_MAX, LISTED_MAX + 1].map(|len| ContainerHead { len, ..head }.len_bytes());
        assert_eq!(lens, [10, 8192, BITS_BYTES]);
    }
}
