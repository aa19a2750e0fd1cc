//! Finds rows of a trail by time and index.

use std::ops::Range;

use crate::error::Error;
use crate::segment::column::Column;
use crate::segment::packed;
use crate::segment::partition::{likely_position, partition_point};
use crate::segment::segment::Segment;

/// Finds rows by time and index; retains the blocks read last.
pub(crate) struct RowLocator<'a> {
    segment: &'a Segment,
    times: Column<'a>,
    indexes: Column<'a>,
}

impl RowLocator<'_> {
    /// The first row of the range, which must be of one trail, whose time and index do not come
    /// before the key.
    pub fn lower_bound(&mut self, rows: Range<u32>, key: (i64, u64)) -> Result<u32, Error> {
        if rows.is_empty() {
            return Ok(rows.start);
        }
        // The block of times with the key: the last one within the range that begins before the
        // key.
        let blocks =
            rows.start as usize / packed::VALUES + 1..(rows.end as usize - 1) / packed::VALUES + 1;
        let within = &self.segment.firsts[blocks.clone()];
        let block = blocks.start - 1 + within.partition_point(|first| *first < key.0);
        let at = |block: usize| (block * packed::VALUES) as u32;
        let (low, mut high) = (rows.start.max(at(block)), rows.end.min(at(block + 1)));
        // Rows of the same time may continue in the blocks that begin with it.
        if high < rows.end && key.1 > 0 && self.times.get(high)? == key.0 {
            high = rows.end;
        }
        // Events mostly come evenly, so that a guess between the bounds of the block is near.
        let is_whole = rows.start <= at(block) && at(block + 1) < rows.end;
        let guess = if is_whole {
            let firsts = &self.segment.firsts;
            low + likely_position(
                firsts[block]..firsts[block + 1],
                key.0,
                at(block + 1) - at(block),
            )
        } else {
            low + (high - low) / 2
        };
        let mut comes_before = |row: u32| {
            let time = self.times.get(row)?;
            Ok(time < key.0 || time == key.0 && self.indexes.get(row)?.cast_unsigned() < key.1)
        };
        partition_point(low..high, guess, &mut comes_before)
    }

    /// The time of a row, if it is in the block read last.
    pub fn time_if_held(&self, row: u32) -> Option<i64> {
        self.times.if_cached(row)
    }
}

impl Segment {
    /// Finds rows by time and index.
    pub fn locator(&self) -> RowLocator<'_> {
        RowLocator { segment: self, times: self.times(), indexes: self.indexes() }
    }
}
