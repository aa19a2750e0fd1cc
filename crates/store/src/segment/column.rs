//! Columns of integers, read by row.

use std::ops::Range;
use std::sync::Arc;

use crate::error::Error;
use crate::segment::blocks::BlockReader;
use crate::segment::packed;
use crate::segment::packed::{Head, PackedBlock};

/// A column of integers, read row by row; retains the block read last.
pub(crate) struct Column<'a> {
    pub(super) file: &'a BlockReader,
    pub(super) section: u8,
    pub(super) block: Option<(usize, Head, Arc<[u8]>)>,
}

impl Column<'_> {
    pub fn get(&mut self, row: u32) -> Result<i64, Error> {
        let (block, position) = (row as usize / packed::VALUES, row as usize % packed::VALUES);
        let malformed = || self.file.damage(self.section, "a malformed column");
        if self.block.as_ref().is_none_or(|(held, ..)| *held != block) {
            let bytes = self.file.block(self.section, block)?;
            self.block = Some((block, Head::read(&bytes).ok_or_else(malformed)?, bytes));
        }
        let (_, head, bytes) = self.block.as_ref().expect("just read");
        let packed = PackedBlock::with(*head, bytes);
        if position < packed.len() { Ok(packed.get(position)) } else { Err(malformed()) }
    }

    /// The value of a row, if it is in the block read last.
    pub fn if_cached(&self, row: u32) -> Option<i64> {
        let (block, position) = (row as usize / packed::VALUES, row as usize % packed::VALUES);
        let (_, head, bytes) = self.block.as_ref().filter(|(held, ..)| *held == block)?;
        let packed = PackedBlock::with(*head, bytes);
        (position < packed.len()).then(|| packed.get(position))
    }
}

impl Column<'_> {
    /// Number of rows.
    pub fn len(&self) -> Result<u32, Error> {
        let Some(last) = self.file.blocks(self.section).checked_sub(1) else { return Ok(0) };
        let bytes = self.file.block(self.section, last)?;
        let packed = PackedBlock::read(&bytes)
            .ok_or_else(|| self.file.damage(self.section, "a malformed column"))?;
        Ok((last * packed::VALUES + packed.len()) as u32)
    }

    /// Calls `each` with every block that has some of these rows: the block's first row, its
    /// values, and the positions of the rows among them.
    pub fn each_block(
        &self,
        rows: Range<u32>,
        each: &mut dyn FnMut(u32, &PackedBlock<'_>, Range<usize>),
    ) -> Result<(), Error> {
        let (start, end) = (rows.start as usize, rows.end as usize);
        for block in start / packed::VALUES..end.div_ceil(packed::VALUES) {
            let first = block * packed::VALUES;
            let positions = start.saturating_sub(first)..(end - first).min(packed::VALUES);
            let bytes = self.file.block(self.section, block)?;
            let packed = PackedBlock::read(&bytes).filter(|packed| positions.end <= packed.len());
            let packed =
                packed.ok_or_else(|| self.file.damage(self.section, "a malformed column"))?;
            each(first as u32, &packed, positions);
        }
        Ok(())
    }
}

impl Column<'_> {
    /// The whole column, past the cache.
    pub fn whole(&self) -> Result<ColumnValues, Error> {
        let block = |position| {
            let bytes = self.file.block_uncached(self.section, position)?;
            let head = Head::read(&bytes);
            let head = head.ok_or_else(|| self.file.damage(self.section, "a malformed column"))?;
            Ok((head, bytes))
        };
        (0..self.file.blocks(self.section))
            .map(block)
            .collect::<Result<_, Error>>()
            .map(ColumnValues)
    }
}

/// A column in memory, packed as it is stored, for reading in any order.
pub(crate) struct ColumnValues(Vec<(Head, Arc<[u8]>)>);

impl ColumnValues {
    /// The value of a row, if the row exists.
    pub fn get(&self, row: u32) -> Option<i64> {
        let (block, position) = (row as usize / packed::VALUES, row as usize % packed::VALUES);
        let (head, bytes) = self.0.get(block)?;
        let packed = PackedBlock::with(*head, bytes);
        (position < packed.len()).then(|| packed.get(position))
    }
}
