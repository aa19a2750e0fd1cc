//! The dictionary of one dimension: its values in order of their bytes, each with the rows that have it.
//!
//! Values are in blocks of 128, each told as what it adds to the one before; every sixteenth is told whole. A value's
//! ordinal is its position among all. Above them is one block with the first value of each block, so that a look-up
//! reads two. `docs/format.md` has the bytes.

use std::sync::Arc;

use super::blocks::{BlockReader, BlockWriter};
use super::postings::{Postings, Where};
use crate::Error;

/// Values in a block.
const VALUES: usize = 128;
/// Every so many values one is told whole.
const WHOLE_EVERY: usize = 16;

/// Writes a dictionary: values in order, then the block above them.
pub(crate) struct TermsWriter {
    section: u8,
    block: Vec<u8>,
    starts: Vec<u32>,
    last: Vec<u8>,
    above: Vec<u8>,
    blocks: u32,
    count: u64,
}

impl TermsWriter {
    /// A dictionary whose values go to `section`, and whose block above them goes to the section after it.
    pub fn new(section: u8) -> TermsWriter {
        let (block, last, above) = (Vec::new(), Vec::new(), Vec::new());
        TermsWriter { section, block, starts: Vec::new(), last, above, blocks: 0, count: 0 }
    }

    /// Adds the next value, which must come after all before it, and where its rows are.
    pub fn push(&mut self, writer: &mut BlockWriter, value: &[u8], rows: Where) -> Result<(), Error> {
        let position = (self.count % VALUES as u64) as usize;
        if position == 0 {
            self.end_block(writer)?;
            varint(&mut self.above, value.len() as u64);
            self.above.extend_from_slice(value);
            self.blocks += 1;
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
        Ok(())
    }

    /// Ends the dictionary. The section of its values must be the one begun last.
    pub fn finish(mut self, writer: &mut BlockWriter) -> Result<(), Error> {
        self.end_block(writer)?;
        writer.begin(self.section + 1);
        let mut above = self.count.to_le_bytes().to_vec();
        above.extend_from_slice(&self.above);
        writer.push(&above).map(|_| ())
    }

    fn end_block(&mut self, writer: &mut BlockWriter) -> Result<(), Error> {
        if self.block.is_empty() {
            return Ok(());
        }
        for start in &self.starts {
            self.block.extend_from_slice(&start.to_le_bytes());
        }
        self.block.push(self.starts.len() as u8);
        writer.push(&self.block)?;
        self.block.clear();
        self.starts.clear();
        Ok(())
    }
}

/// A dictionary that is read value by value, from the cache.
#[derive(Clone, Copy)]
pub(crate) struct Terms<'a> {
    pub file: &'a BlockReader,
    pub section: u8,
}

/// A value that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Term {
    pub ordinal: u64,
    pub rows: Where,
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

    /// Every value, in order.
    pub fn each(self, each: &mut dyn FnMut(u64, &[u8], Where) -> bool) -> Result<(), Error> {
        self.from(b"", each)
    }

    /// The value with this ordinal.
    pub fn value(self, ordinal: u64) -> Result<Vec<u8>, Error> {
        let (block, position) = ((ordinal / VALUES as u64) as usize, (ordinal % VALUES as u64) as usize);
        let bytes = self.file.block(self.section, block)?;
        let mut reader = Values::of(&bytes, position / WHOLE_EVERY).ok_or_else(|| self.nonsense())?;
        for _ in 0..=position % WHOLE_EVERY {
            reader.next().ok_or_else(|| self.nonsense())?;
        }
        Ok(reader.value)
    }

    /// Calls `each` with the first value that does not come before `start` and those after it, while it says so.
    fn from(self, start: &[u8], each: &mut dyn FnMut(u64, &[u8], Where) -> bool) -> Result<(), Error> {
        if self.file.blocks(self.section + 1) == 0 {
            return Ok(());
        }
        let above = self.file.block(self.section + 1, 0)?;
        // The last block whose first value is not behind `start` may hold it.
        let begin =
            self.firsts(&above)?.partition_point(|first| &above[first.clone()] <= start).saturating_sub(1);
        for block in begin..self.file.blocks(self.section) {
            let bytes = self.file.block(self.section, block)?;
            let whole = whole_before(&bytes, start).ok_or_else(|| self.nonsense())?;
            let mut reader = Values::of(&bytes, whole).ok_or_else(|| self.nonsense())?;
            let mut ordinal = (block * VALUES + whole * WHOLE_EVERY) as u64;
            while !reader.is_at_end() {
                let rows = reader.next().ok_or_else(|| self.nonsense())?;
                if *reader.value >= *start && !each(ordinal, &reader.value, rows) {
                    return Ok(());
                }
                ordinal += 1;
            }
        }
        Ok(())
    }

    /// Where the first value of each block stands in the block above.
    fn firsts(self, above: &Arc<[u8]>) -> Result<Vec<std::ops::Range<usize>>, Error> {
        let mut firsts = Vec::with_capacity(self.file.blocks(self.section));
        let mut at = 8;
        while at < above.len() {
            let mut rest = &above[at..];
            let len = take_varint(&mut rest).ok_or_else(|| self.nonsense())? as usize;
            let start = above.len() - rest.len();
            if rest.len() < len {
                return Err(self.nonsense());
            }
            firsts.push(start..start + len);
            at = start + len;
        }
        Ok(firsts)
    }

    fn nonsense(self) -> Error {
        self.file.damage(self.section, "a dictionary that makes no sense")
    }
}

impl Term {
    /// The rows that have the value.
    pub fn postings(self, file: &BlockReader, section: u8) -> Postings<'_> {
        Postings { file, section, place: self.rows }
    }
}

/// The values of a block, one after another.
struct Values<'a> {
    rest: &'a [u8],
    value: Vec<u8>,
}

/// The block without its foot, and where its whole values start.
fn parts(block: &[u8]) -> Option<(&[u8], &[[u8; 4]])> {
    let (&count, rest) = block.split_last()?;
    let at = rest.len().checked_sub(usize::from(count) * 4)?;
    let (values, starts) = rest.split_at(at);
    Some((values, starts.as_chunks().0))
}

/// The last whole value that does not come behind `start`, or the first.
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
    /// From the whole value with this position on.
    fn of(block: &'a [u8], whole: usize) -> Option<Values<'a>> {
        let (values, starts) = parts(block)?;
        let start = u32::from_le_bytes(*starts.get(whole)?) as usize;
        Some(Values { rest: values.get(start..)?, value: Vec::new() })
    }

    fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// Goes on to the next value, and returns where its rows are.
    fn next(&mut self) -> Option<Where> {
        let shared = usize::try_from(take_varint(&mut self.rest)?).ok()?;
        let len = usize::try_from(take_varint(&mut self.rest)?).ok()?;
        let (added, rest) = self.rest.split_at_checked(len)?;
        if shared > self.value.len() {
            return None;
        }
        self.value.truncate(shared);
        self.value.extend_from_slice(added);
        self.rest = rest;
        Where::read(&mut self.rest)
    }
}

/// Appends a number in groups of seven bits, least significant first; all but the last have the high bit set.
pub(crate) fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Takes such a number from the front.
pub(crate) fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}
