//! The dictionary of one dimension: its values in order of their bytes, each with its rows.
//!
//! Values are in blocks of 128. Each is stored as its difference from the one before; every
//! sixteenth is stored whole. A value's ordinal is its position among all. One block above them has
//! the first value of each block, so that a look-up reads two blocks. `docs/format.md` has the
//! bytes.

use std::sync::Arc;

use crate::error::Error;
use crate::segment::blocks::{BlockReader, BlockWriter};
use crate::segment::postings::{Postings, PostingsLocation};
use crate::segment::varint::{take_varint, varint};

/// Values in a block.
const VALUES: usize = 128;
/// Interval of values that are stored whole.
const WHOLE_EVERY: usize = 16;

/// Writes a dictionary of values that come in order.
#[derive(Default)]
pub(crate) struct TermsWriter {
    block: Vec<u8>,
    starts: Vec<u32>,
    last: Vec<u8>,
    blocks: Vec<Vec<u8>>,
    /// The first value of each block, one after another, and the start of each.
    firsts: Vec<u8>,
    first_starts: Vec<u32>,
    count: u64,
}

impl TermsWriter {
    /// Adds the next value, which must come after all before it, and the location of its rows.
    pub fn push(&mut self, value: &[u8], rows: PostingsLocation) {
        let position = (self.count % VALUES as u64) as usize;
        if position == 0 {
            self.end_block();
            self.first_starts.push(self.firsts.len() as u32);
            self.firsts.extend_from_slice(value);
        }
        let shared = if position.is_multiple_of(WHOLE_EVERY) {
            self.starts.push(self.block.len() as u32);
            0
        } else {
            self.last.iter().zip(value).take_while(|(a, b)| a == b).count()
        };
        varint(&mut self.block, shared as u64);
        varint(&mut self.block, (value.len() - shared) as u64);
        self.block.extend_from_slice(&value[shared..]);
        rows.write(&mut self.block);
        self.last.clear();
        self.last.extend_from_slice(value);
        self.count += 1;
    }

    /// Writes the dictionary into `section`, and the block above its values into the next section.
    pub fn finish(mut self, section: u8, writer: &mut BlockWriter) -> Result<(), Error> {
        self.end_block();
        writer.begin(section);
        for block in &self.blocks {
            writer.push(block)?;
        }
        if self.count == 0 {
            return Ok(());
        }
        writer.begin(section + 1);
        let mut above = self.count.to_le_bytes().to_vec();
        above.extend(self.first_starts.iter().flat_map(|start| start.to_le_bytes()));
        above.extend_from_slice(&self.firsts);
        writer.push(&above)?;
        Ok(())
    }

    fn end_block(&mut self) {
        if self.block.is_empty() {
            return;
        }
        let mut block = std::mem::take(&mut self.block);
        let starts = std::mem::take(&mut self.starts);
        block.extend(starts.iter().flat_map(|start| start.to_le_bytes()));
        block.push(starts.len() as u8);
        self.blocks.push(block);
    }
}

/// Takes ordinal, value and rows.
pub(crate) type EachTerm<'f> = dyn FnMut(u64, &[u8], PostingsLocation) -> Result<(), Error> + 'f;

/// A dictionary that is read value by value, from the cache.
#[derive(Clone, Copy)]
pub(crate) struct Terms<'a> {
    pub file: &'a BlockReader,
    pub section: u8,
}

/// A value of the dictionary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Term {
    pub ordinal: u64,
    pub rows: PostingsLocation,
}

impl<'a> Terms<'a> {
    /// The value with these bytes, if any row has it.
    pub fn find(self, value: &[u8]) -> Result<Option<Term>, Error> {
        let mut found = None;
        self.from(value, &mut |ordinal, candidate, rows| {
            if candidate == value {
                found = Some(Term { ordinal, rows });
            }
            false
        })?;
        Ok(found)
    }

    /// The value with this ordinal.
    pub fn value(self, ordinal: u64) -> Result<Vec<u8>, Error> {
        let (block, position) =
            ((ordinal / VALUES as u64) as usize, (ordinal % VALUES as u64) as usize);
        let bytes = self.file.block(self.section, block)?;
        let mut reader =
            Values::of(&bytes, position / WHOLE_EVERY).ok_or_else(|| self.malformed())?;
        for _ in 0..=position % WHOLE_EVERY {
            reader.next().ok_or_else(|| self.malformed())?;
        }
        Ok(reader.value)
    }

    /// Calls `each` with the values that do not come before `start`, in order, until it returns
    /// false.
    fn from(
        self,
        start: &[u8],
        each: &mut dyn FnMut(u64, &[u8], PostingsLocation) -> bool,
    ) -> Result<(), Error> {
        if self.file.blocks(self.section + 1) == 0 {
            return Ok(());
        }
        let above = self.file.block(self.section + 1, 0)?;
        // The last block whose first value is not behind `start` may hold it.
        let blocks = self.file.blocks(self.section);
        let (mut low, mut high) = (0, blocks);
        while low < high {
            let middle = low + (high - low) / 2;
            if first_of(&above, blocks, middle).ok_or_else(|| self.malformed())? <= start {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let begin = low.saturating_sub(1);
        for block in begin..self.file.blocks(self.section) {
            let bytes = self.file.block(self.section, block)?;
            let whole = whole_before(&bytes, start).ok_or_else(|| self.malformed())?;
            let mut reader = Values::of(&bytes, whole).ok_or_else(|| self.malformed())?;
            let mut ordinal = (block * VALUES + whole * WHOLE_EVERY) as u64;
            while !reader.is_at_end() {
                let rows = reader.next().ok_or_else(|| self.malformed())?;
                if *reader.value >= *start && !each(ordinal, &reader.value, rows) {
                    return Ok(());
                }
                ordinal += 1;
            }
        }
        Ok(())
    }

    /// Number of values.
    pub fn len(self) -> Result<u64, Error> {
        if self.file.blocks(self.section + 1) == 0 {
            return Ok(0);
        }
        let above = self.file.block(self.section + 1, 0)?;
        above.first_chunk().map(|count| u64::from_le_bytes(*count)).ok_or_else(|| self.malformed())
    }

    /// The ordinal of the first value that does not come before these bytes, or their number.
    pub fn lower_bound(self, bytes: &[u8]) -> Result<u64, Error> {
        let mut found = None;
        self.from(bytes, &mut |ordinal, _, _| {
            found = Some(ordinal);
            false
        })?;
        found.map_or_else(|| self.len(), Ok)
    }

    /// The ordinals of the values that begin with these bytes.
    pub fn with_prefix(self, start: &[u8]) -> Result<std::ops::Range<u64>, Error> {
        let first = self.lower_bound(start)?;
        // The least bytes behind all values with this prefix.
        let mut after = start.to_vec();
        while after.last() == Some(&u8::MAX) {
            after.pop();
        }
        let end = match after.last_mut() {
            Some(last) => {
                *last += 1;
                self.lower_bound(&after)?
            }
            None => self.len()?,
        };
        Ok(first..end)
    }

    /// Calls `each` with the values of these ordinals, in order.
    pub fn each_of(
        self,
        ordinals: std::ops::Range<u64>,
        each: &mut EachTerm<'_>,
    ) -> Result<(), Error> {
        let mut cursor = Cursor::at(self, ordinals.start);
        while cursor.ordinal < ordinals.end
            && let Some(rows) = cursor.next()?
        {
            each(cursor.ordinal - 1, &cursor.value, rows)?;
        }
        Ok(())
    }

    /// The rows of a value of this dictionary.
    pub fn rows(self, head: PostingsLocation) -> Postings<'a> {
        Postings { file: self.file, section: self.section + 2, head }
    }

    pub fn malformed(self) -> Error {
        self.file.damage(self.section, "a malformed dictionary")
    }
}

/// The first value of a block, from the block above.
fn first_of(above: &[u8], blocks: usize, block: usize) -> Option<&[u8]> {
    let (starts, firsts) = above.get(8..)?.split_at_checked(blocks * 4)?;
    let starts = starts.as_chunks::<4>().0;
    let start = u32::from_le_bytes(*starts.get(block)?) as usize;
    let end = starts.get(block + 1).map_or(firsts.len(), |end| u32::from_le_bytes(*end) as usize);
    firsts.get(start..end)
}

/// Reads a dictionary value by value.
pub(crate) struct Cursor<'a> {
    terms: Terms<'a>,
    block: Option<Arc<[u8]>>,
    /// Offset of the next value in the block.
    at: usize,
    /// The ordinal of the next value.
    pub ordinal: u64,
    /// The value that [`Cursor::next`] read last.
    pub value: Vec<u8>,
}

impl<'a> Cursor<'a> {
    /// Before the value with this ordinal.
    pub fn at(terms: Terms<'a>, ordinal: u64) -> Cursor<'a> {
        Cursor { terms, block: None, at: 0, ordinal, value: Vec::new() }
    }

    /// Reads the next value, and returns the location of its rows; `None` at the end.
    pub fn next(&mut self) -> Result<Option<PostingsLocation>, Error> {
        let (block, position) =
            ((self.ordinal / VALUES as u64) as usize, (self.ordinal % VALUES as u64) as usize);
        let is_new = self.block.is_none() || position == 0;
        if is_new {
            if block >= self.terms.file.blocks(self.terms.section) {
                return Ok(None);
            }
            self.block = Some(self.terms.file.block(self.terms.section, block)?);
        }
        let bytes = self.block.as_ref().expect("just read");
        let malformed = || self.terms.malformed();
        if is_new {
            let mut reader = Values::of(bytes, position / WHOLE_EVERY).ok_or_else(malformed)?;
            for _ in 0..position % WHOLE_EVERY {
                reader.next().ok_or_else(malformed)?;
            }
            self.value = reader.value;
            self.at = parts(bytes).ok_or_else(malformed)?.0.len() - reader.rest.len();
        }
        let (values, _) = parts(bytes).ok_or_else(malformed)?;
        let rest = values.get(self.at..).ok_or_else(malformed)?;
        if rest.is_empty() {
            return Ok(None);
        }
        let mut reader = Values { rest, value: std::mem::take(&mut self.value) };
        let rows = reader.next().ok_or_else(malformed)?;
        self.at = values.len() - reader.rest.len();
        self.value = reader.value;
        self.ordinal += 1;
        Ok(Some(rows))
    }
}

/// The values of a block, one after another.
struct Values<'a> {
    rest: &'a [u8],
    value: Vec<u8>,
}

/// The block without its foot, and the starts of its whole values.
fn parts(block: &[u8]) -> Option<(&[u8], &[[u8; 4]])> {
    let (&count, rest) = block.split_last()?;
    let at = rest.len().checked_sub(usize::from(count) * 4)?;
    let (values, starts) = rest.split_at(at);
    Some((values, starts.as_chunks().0))
}

/// The last whole value that is not behind `start`, or the first.
fn whole_before(block: &[u8], start: &[u8]) -> Option<usize> {
    let (_, starts) = parts(block)?;
    let mut low = 0;
    for whole in 1..starts.len() {
        let mut reader = Values::of(block, whole)?;
        reader.next()?;
        if *reader.value > *start {
            break;
        }
        low = whole;
    }
    Some(low)
}

impl<'a> Values<'a> {
    /// Starts at the whole value with this position.
    fn of(block: &'a [u8], whole: usize) -> Option<Values<'a>> {
        let (values, starts) = parts(block)?;
        let start = u32::from_le_bytes(*starts.get(whole)?) as usize;
        Some(Values { rest: values.get(start..)?, value: Vec::with_capacity(64) })
    }

    fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// Reads the next value, and returns the location of its rows.
    fn next(&mut self) -> Option<PostingsLocation> {
        let shared = usize::try_from(take_varint(&mut self.rest)?).ok()?;
        let len = usize::try_from(take_varint(&mut self.rest)?).ok()?;
        let (added, rest) = self.rest.split_at_checked(len)?;
        if shared > self.value.len() {
            return None;
        }
        self.value.truncate(shared);
        self.value.extend_from_slice(added);
        self.rest = rest;
        PostingsLocation::read(&mut self.rest)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use roaring::RoaringBitmap;

    use super::*;
    use crate::disk::durable::Disk;
    use crate::disk::simulated::SimulatedDisk;
    use crate::segment::cache::Cache;
    use crate::segment::postings::PostingsWriter;

    const VALUES: u8 = 1;
    const ROWS: u8 = 3;

    /// Writes a dictionary of these values with their rows, and opens it.
    fn written(terms: &[(Vec<u8>, RoaringBitmap)]) -> BlockReader {
        let disk = SimulatedDisk::new(1);
        let mut writer = BlockWriter::new(disk.create("x").expect("room"));
        writer.begin(ROWS);
        let mut postings = PostingsWriter::default();
        let heads: Vec<PostingsLocation> = terms
            .iter()
            .map(|(_, rows)| {
                let rows: Vec<u32> = rows.iter().collect();
                postings.push(&mut writer, &rows).expect("room")
            })
            .collect();
        postings.finish(&mut writer).expect("room");
        let mut values = TermsWriter::default();
        for ((value, _), head) in terms.iter().zip(heads) {
            values.push(value, head);
        }
        values.finish(VALUES, &mut writer).expect("room");
        writer.finish().expect("room");
        let file = disk.open("x").expect("there");
        BlockReader::open(file, "x", Arc::new(Cache::new(1 << 20))).expect("whole")
    }

    const ANY_VALUE: &str = "[ab]{0,6}|[a-zü]{1,20}|team/app-[0-9]{1,4}";

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
        fn rows_are_counted_and_found(
            rows in any_rows(),
            others in any_rows(),
            probes in prop::collection::vec(0u32..320_000, 20),
        ) {
            let terms = [(b"a".to_vec(), others), (b"b".to_vec(), rows.clone())];
            let file = written(&terms);
            let found = dictionary_of(&file).find(b"b").expect("whole").expect("there");
            prop_assert_eq!(found.rows.rows(), rows.len());
            let opened = dictionary_of(&file).rows(found.rows).open().expect("whole");
            prop_assert_eq!(opened.len(), rows.len());
            for row in &probes {
                let before = row.checked_sub(1).map_or(0, |last| rows.rank(last));
                prop_assert_eq!(opened.rank(*row).expect("whole"), before);
                prop_assert_eq!(opened.select(u64::from(*row)).expect("whole"), rows.select(*row));
                let some: Vec<u32> = rows.iter().skip(*row as usize / 4).take(40).collect();
                prop_assert_eq!(opened.rows(u64::from(*row / 4), 40).expect("whole"), some);
            }
            for pair in probes.chunks(2) {
                let range = pair[0].min(pair[1])..pair[0].max(pair[1]);
                let expected: RoaringBitmap =
                    rows.iter().filter(|row| range.contains(row)).collect();
                prop_assert_eq!(opened.within(range).expect("whole"), expected);
            }
        }

        #[test]
        fn values_are_found_by_their_bytes_and_their_ordinals(
            values in prop::collection::btree_set(ANY_VALUE, 1..600),
            probes in prop::collection::vec("[abt]{0,3}|team/app-[0-9]{0,3}", 10),
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
                prop_assert_eq!(
                    (found.ordinal, found.rows),
                    (ordinal, PostingsLocation::Only(ordinal as u32))
                );
                prop_assert_eq!(&dictionary.value(ordinal).expect("whole"), value);
            }
            for text in &probes {
                let is_there = values.contains(text);
                prop_assert_eq!(
                    dictionary.find(text.as_bytes()).expect("whole").is_some(),
                    is_there
                );
                let before = terms.partition_point(|(value, _)| **value < *text.as_bytes());
                let with = terms[before..]
                    .iter()
                    .take_while(|(value, _)| value.starts_with(text.as_bytes()));
                let expected: Vec<&[u8]> = with.map(|(value, _)| &value[..]).collect();
                let range = dictionary.with_prefix(text.as_bytes()).expect("whole");
                prop_assert_eq!(range.end - range.start, expected.len() as u64);
                let mut found = Vec::new();
                dictionary
                    .each_of(range, &mut |ordinal, value, rows| {
                        assert_eq!(rows, PostingsLocation::Only(ordinal as u32));
                        found.push(value.to_vec());
                        Ok(())
                    })
                    .expect("whole");
                prop_assert_eq!(found, expected);
            }
        }
    }
}
