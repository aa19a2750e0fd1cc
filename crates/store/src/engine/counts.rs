//! How many rows of a segment have each value of a dimension.

use std::ops::Range;

use event::query::Dimension;

use super::list::{Kind, List};
use crate::Error;
use crate::segment::Segment;

/// So many rows cost about as much to count one by one as it costs to count those of one value that are within a range.
/// Fewer in builds for tests, whose few rows are to be counted both ways.
const ROWS_A_VALUE: usize = if cfg!(debug_assertions) { 1 } else { 1024 };

/// How many rows of a segment have each value of a dimension.
pub(super) struct Counts<'a> {
    segment: &'a Segment,
    dimension: Dimension,
    /// By ordinal and one; 0 are the rows without.
    by_ordinal: Vec<u64>,
}

impl<'a> Counts<'a> {
    pub fn new(segment: &'a Segment, dimension: Dimension) -> Result<Counts<'a>, Error> {
        let values = segment.terms(dimension).len()? as usize;
        Ok(Counts { segment, dimension, by_ordinal: vec![0; values + 1] })
    }

    pub fn add(&mut self, list: &List<'_>) -> Result<(), Error> {
        if let Kind::Range(rows) = &list.kind
            && (rows.end - rows.start) as usize > ROWS_A_VALUE * self.by_ordinal.len()
        {
            return self.add_ranks(rows.clone());
        }
        let column = self.segment.column(self.dimension);
        let mut is_known = true;
        let by_ordinal = &mut self.by_ordinal;
        let mut count = |ordinal: i64| match by_ordinal.get_mut(ordinal as usize) {
            Some(count) => *count += 1,
            None => is_known = false,
        };
        match &list.kind {
            Kind::Range(rows) => column.each_block(rows.clone(), &mut |_, packed, positions| {
                packed.range(positions).for_each(&mut count);
            })?,
            Kind::Value(rows, opened) => {
                let mut column = column;
                for row in &opened.within(rows.clone())? {
                    count(column.get(row)?);
                }
            }
            Kind::Set(rows) => {
                let mut column = column;
                for row in rows {
                    count(column.get(row)?);
                }
            }
            Kind::Few(rows, part) => {
                let mut column = column;
                for row in &rows[part.clone()] {
                    count(column.get(*row)?);
                }
            }
            Kind::Tail(_) => {}
        }
        if is_known { Ok(()) } else { Err(self.segment.terms(self.dimension).nonsense()) }
    }

    /// Counts in the rows of each value how many are within a range.
    fn add_ranks(&mut self, rows: Range<u32>) -> Result<(), Error> {
        let terms = self.segment.terms(self.dimension);
        let by_ordinal = &mut self.by_ordinal;
        let mut left = u64::from(rows.end - rows.start);
        terms.each_of(0..by_ordinal.len() as u64 - 1, &mut |ordinal, _, place| {
            let opened = terms.rows(place).open()?;
            let count = opened.rank(rows.end)? - opened.rank(rows.start)?;
            by_ordinal[ordinal as usize + 1] += count;
            left = left.checked_sub(count).ok_or_else(|| terms.nonsense())?;
            Ok(())
        })?;
        by_ordinal[0] += left;
        Ok(())
    }

    pub fn each(&self, each: &mut dyn FnMut(Option<String>, u64)) -> Result<(), Error> {
        for (ordinal, count) in (0u64..).zip(&self.by_ordinal).filter(|(_, count)| **count > 0) {
            let value = match ordinal.checked_sub(1) {
                None => None,
                Some(ordinal) => Some(self.segment.value(self.dimension, ordinal)?),
            };
            each(value, *count);
        }
        Ok(())
    }
}
