//! The rows of a segment that have a value.
//!
//! One row stands in the dictionary itself, a few are a list, each told as what is added to the one
//! before. More are a Roaring bitmap in its portable form
//! (<https://github.com/RoaringBitmap/RoaringFormatSpec>), which is read container by container, so
//! that a large one costs no more than what is asked of it.

use std::io::Read as _;
use std::ops::Range;
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::blocks::{BlockReader, BlockWriter};
use super::container::{BITS_BYTES, Container, LISTED_MAX, REACH};
use super::terms::{take_varint, varint};
use crate::Error;

/// No more rows than this are a list.
const FEW: u64 = 32;
/// Bytes of a block of lists and bitmaps; a bitmap may reach over several, a list does not.
const BLOCK: usize = 16 << 10;
/// The least cookie of the portable form: no container is a list of runs.
const COOKIE: u32 = 12346;

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
    Many(Vec<Place>),
}

/// Where a container is.
#[derive(Clone, Copy)]
struct Place {
    /// Rows of it begin at this times 65,536.
    key: u16,
    /// Rows in the containers before.
    before: u64,
    len: u64,
    /// Offset in the section.
    offset: u64,
}

impl Place {
    fn len_bytes(self) -> usize {
        if self.len > LISTED_MAX { BITS_BYTES } else { self.len as usize * 2 }
    }

    /// The first row that may be in it.
    fn first(self) -> u32 {
        u32::from(self.key) << 16
    }

    /// What of a range is within it, counted from its first row.
    fn within(self, rows: &Range<u32>) -> Range<u32> {
        let first = self.first();
        rows.start.saturating_sub(first)..(rows.end - first).min(REACH)
    }
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

    fn head(self, rows: u64, offset: u64) -> Result<Vec<Place>, Error> {
        let fixed = self.bytes(offset, 8)?;
        let number = |at: usize| {
            u32::from_le_bytes(*fixed.as_slice()[at..].first_chunk().expect("eight bytes"))
        };
        let count = number(4) as usize;
        if number(0) != COOKIE || count == 0 || count > 1 << 16 {
            return Err(self.nonsense());
        }
        let head = self.bytes(offset + 8, count * 8)?;
        let (described, offsets) = head.as_slice().split_at(count * 4);
        let mut before = 0;
        let containers: Vec<Place> = described
            .as_chunks::<4>()
            .0
            .iter()
            .zip(offsets.as_chunks::<4>().0)
            .map(|(described, at)| {
                let key = u16::from_le_bytes([described[0], described[1]]);
                let len = u64::from(u16::from_le_bytes([described[2], described[3]])) + 1;
                let offset = offset + u64::from(u32::from_le_bytes(*at));
                let container = Place { key, before, len, offset };
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
            let rest = block
                .get(at % BLOCK..)
                .filter(|rest| !rest.is_empty())
                .ok_or_else(|| self.nonsense())?;
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

impl Opened<'_> {
    /// How many rows there are.
    pub fn len(&self) -> u64 {
        self.postings.place.rows()
    }

    /// How many rows come before this one.
    pub fn rank(&self, row: u32) -> Result<u64, Error> {
        let row = if crate::is_planted("rank_off_by_one") { row.saturating_add(1) } else { row };
        let places = match &self.rows {
            Rows::Few(rows) => return Ok(rows.partition_point(|one| *one < row) as u64),
            Rows::Many(places) => places,
        };
        let (key, low) = ((row >> 16) as u16, row % REACH);
        let position = places.partition_point(|place| place.key < key);
        let Some(place) = places.get(position) else { return Ok(self.len()) };
        if place.key > key {
            return Ok(place.before);
        }
        // From whichever end is nearer.
        let inside = if low < REACH / 2 {
            self.part(place, 0..low)?.count()
        } else {
            place.len.saturating_sub(self.part(place, low..REACH)?.count())
        };
        Ok(place.before + inside)
    }

    /// How many rows are within a range.
    pub fn count(&self, range: Range<u32>) -> Result<u64, Error> {
        if range.is_empty() {
            return Ok(0);
        }
        let places = self.places(&range);
        if let [place] = places {
            return Ok(self.part(place, place.within(&range))?.count());
        }
        Ok(self.rank(range.end)?.saturating_sub(self.rank(range.start)?))
    }

    /// The row before which there are so many; `None` when there are no more.
    pub fn select(&self, rank: u64) -> Result<Option<u32>, Error> {
        let places = match &self.rows {
            Rows::Few(rows) => return Ok(rows.get(rank as usize).copied()),
            Rows::Many(places) => places,
        };
        let position = places.partition_point(|place| place.before + place.len <= rank);
        let Some(place) = places.get(position) else { return Ok(None) };
        let low = self.part(place, 0..REACH)?.container().select(rank - place.before);
        low.map(|low| Some(place.first() + low)).ok_or_else(|| self.postings.nonsense())
    }

    /// The first rows within a range: so many, or as many as there are.
    pub fn first_within(&self, range: Range<u32>, count: usize) -> Result<Vec<u32>, Error> {
        let mut rows = Vec::with_capacity(count);
        if let Rows::Few(few) = &self.rows {
            rows.extend(few.iter().filter(|row| range.contains(row)).take(count));
        }
        for place in self.places(&range) {
            if rows.len() == count {
                break;
            }
            let part = self.part(place, place.within(&range))?;
            part.container().each(part.rows.clone(), &mut |low| {
                rows.push(part.first + low);
                rows.len() < count
            });
        }
        Ok(rows)
    }

    /// The last rows within a range, in order: so many, or as many as there are.
    pub fn last_within(&self, range: Range<u32>, count: usize) -> Result<Vec<u32>, Error> {
        let mut rows = Vec::with_capacity(count);
        if let Rows::Few(few) = &self.rows {
            rows.extend(few.iter().rev().filter(|row| range.contains(row)).take(count));
        }
        for place in self.places(&range).iter().rev() {
            if rows.len() == count {
                break;
            }
            let part = self.part(place, place.within(&range))?;
            part.container().each_back(part.rows.clone(), &mut |low| {
                rows.push(part.first + low);
                rows.len() < count
            });
        }
        rows.reverse();
        Ok(rows)
    }

    /// Those of some rows that are among these.
    pub fn among(&self, some: &RoaringBitmap) -> Result<RoaringBitmap, Error> {
        let (Some(first), Some(last)) = (some.min(), some.max()) else {
            return Ok(RoaringBitmap::new());
        };
        if let Rows::Few(rows) = &self.rows {
            return Ok(rows.iter().copied().filter(|row| some.contains(*row)).collect());
        }
        let mut found: Vec<u32> = Vec::new();
        for place in self.places(&(first..last.saturating_add(1))) {
            let base = place.first();
            let mut lows = some.range(base..=base | (REACH - 1)).map(|row| row - base).peekable();
            if lows.peek().is_some() {
                let part = self.part(place, 0..REACH)?;
                part.container().among(lows, &mut |low| found.push(base + low));
            }
        }
        Ok(RoaringBitmap::from_sorted_iter(found).expect("in order"))
    }

    /// So many rows, or as many as there are, from the one on before which there are `rank`.
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
        let mut out = self.all_of(self.places(&range))?;
        out.remove_range(..range.start);
        out.remove_range(range.end..);
        Ok(out)
    }

    /// The rows of containers that follow each other: their bytes are those of a bitmap, behind a
    /// head of its own.
    fn all_of(&self, containers: &[Place]) -> Result<RoaringBitmap, Error> {
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
                return Err(self.postings.nonsense());
            }
            let offset = 8 + containers.len() * 8 + len;
            head.extend_from_slice(&(offset as u32).to_le_bytes());
            len += container.len_bytes();
        }
        let content = self.postings.bytes(first.offset, len)?;
        RoaringBitmap::deserialize_from(head.chain(content.as_slice()))
            .map_err(|_| self.postings.nonsense())
    }

    /// Calls `each` with every row, in order.
    pub fn each(&self, each: &mut dyn FnMut(u32)) -> Result<(), Error> {
        let places = match &self.rows {
            Rows::Few(rows) => {
                rows.iter().for_each(|row| each(*row));
                return Ok(());
            }
            Rows::Many(places) => places,
        };
        for place in places {
            let part = self.part(place, 0..REACH)?;
            part.container().each(0..REACH, &mut |low| {
                each(part.first + low);
                true
            });
        }
        Ok(())
    }

    /// Where the containers are that have rows of a range. None of a list.
    fn places(&self, range: &Range<u32>) -> &[Place] {
        match &self.rows {
            Rows::Many(places) if !range.is_empty() => {
                let (first, last) = ((range.start >> 16) as u16, ((range.end - 1) >> 16) as u16);
                let begin = places.partition_point(|place| place.key < first);
                let end = places.partition_point(|place| place.key <= last);
                &places[begin..end]
            }
            _ => &[],
        }
    }

    /// What a container has of some rows, counted from its first: of a bitmap only the words that
    /// they are in.
    fn part(&self, place: &Place, rows: Range<u32>) -> Result<Part, Error> {
        let is_list = place.len <= LISTED_MAX;
        let (word, len) = if is_list {
            (0, place.len_bytes())
        } else {
            let word = rows.start / u64::BITS;
            (word, (rows.end.div_ceil(u64::BITS) - word) as usize * 8)
        };
        let bytes = self.postings.bytes(place.offset + u64::from(word) * 8, len)?;
        let skipped = word * u64::BITS;
        Ok(Part {
            bytes,
            is_list,
            first: place.first() + skipped,
            rows: rows.start - skipped..rows.end - skipped,
        })
    }
}

/// Some of a container.
struct Part {
    bytes: Piece,
    is_list: bool,
    /// The row that its rows are counted from.
    first: u32,
    /// The rows it was read for.
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
        BlockReader::open(file, "x", Arc::new(Cache::new(1 << 20))).expect("whole")
    }

    fn dictionary_of(file: &BlockReader) -> Terms<'_> {
        Terms { file, section: VALUES }
    }

    fn any_rows() -> impl Strategy<Value = RoaringBitmap> {
        let few = prop::collection::vec(0u32..300_000, 1..40);
        let scattered = prop::collection::vec(0u32..300_000, 1..200);
        let dense = (0u32..200_000, 1u32..100_000, 1u32..4).prop_map(|(start, len, step)| {
            (start..start + len).step_by(step as usize).collect::<Vec<_>>()
        });
        prop_oneof![2 => few, 3 => scattered, 1 => dense]
            .prop_map(|rows| rows.into_iter().collect())
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
