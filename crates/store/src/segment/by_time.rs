//! All rows of a segment in order of time and index, whatever their trail, and the rows of each
//! severity in that order. A query about every trail reads this order, instead of one trail after
//! another. Decision 0020.
//!
//! A *rank* is the position of a row in that order, from 0. Segments of earlier versions have no
//! such order, and neither have segments compacted from any of them.

use std::collections::BTreeMap;
use std::ops::Range;

use event::query::Dimension;

use crate::error::Error;
use crate::segment::blocks::BlockWriter;
use crate::segment::column::Column;
use crate::segment::partition::partition_point;
use crate::segment::sections::{BY_TIME, SEVERITIES};
use crate::segment::segment::Segment;
use crate::segment::terms::Terms;
use crate::segment::write::{PackedBlocks, ValuesWriter};

/// Takes rows in order of time and index.
#[derive(Default)]
pub(super) struct ByTimeWriter {
    rows: PackedBlocks,
    /// Number of rows so far.
    len: u32,
    severities: BTreeMap<Vec<u8>, Vec<u32>>,
}

impl ByTimeWriter {
    pub fn push(&mut self, row: u32, severity: Option<&[u8]>) {
        self.rows.push(i64::from(row));
        if let Some(severity) = severity {
            match self.severities.get_mut(severity) {
                Some(ranks) => ranks.push(self.len),
                None => drop(self.severities.insert(severity.to_vec(), vec![self.len])),
            }
        }
        self.len += 1;
    }

    pub fn finish(self, index: &mut BlockWriter) -> Result<(), Error> {
        index.begin(BY_TIME);
        self.rows.finish(index)?;
        let mut writer = ValuesWriter::begin(SEVERITIES, index);
        for (severity, ranks) in &self.severities {
            writer.push(index, severity, ranks)?;
        }
        writer.finish(index)
    }
}

/// Reads rows in order of time; retains the blocks read last.
pub(crate) struct ByTime<'a> {
    segment: &'a Segment,
    rows: Column<'a>,
    times: Column<'a>,
    indexes: Column<'a>,
}

impl ByTime<'_> {
    /// The row at a rank.
    pub fn row(&mut self, rank: u32) -> Result<u32, Error> {
        let row = u32::try_from(self.rows.get(rank)?).ok();
        let row = row.filter(|row| u64::from(*row) < self.segment.meta.events);
        row.ok_or_else(|| self.segment.malformed(BY_TIME))
    }

    /// The first of these ranks whose time and index do not come before the key.
    pub fn lower_bound(&mut self, ranks: Range<u32>, key: (i64, u64)) -> Result<u32, Error> {
        if ranks.is_empty() {
            return Ok(ranks.start);
        }
        // Events mostly come evenly, so that a guess by the first and the last time is near.
        let meta = &self.segment.meta;
        let each_ns =
            (meta.latest_ns.saturating_sub(meta.earliest_ns) / meta.events.cast_signed()).max(1);
        let guess = key.0.saturating_sub(meta.earliest_ns) / each_ns;
        let guess = guess.clamp(i64::from(ranks.start), i64::from(ranks.end) - 1) as u32;
        partition_point(ranks, guess, &mut |rank| {
            let row = self.row(rank)?;
            let time = self.times.get(row)?;
            Ok(time < key.0 || time == key.0 && self.indexes.get(row)?.cast_unsigned() < key.1)
        })
    }
}

impl Segment {
    /// Whether the segment has the order by time.
    pub fn is_by_time(&self) -> bool {
        self.index.blocks(BY_TIME) > 0
    }

    /// The rows in order of time, if the segment has that order.
    pub fn by_time(&self) -> ByTime<'_> {
        let rows = Column { file: &self.index, section: BY_TIME, block: None };
        ByTime { segment: self, rows, times: self.times(), indexes: self.indexes() }
    }

    /// The severities with their ranks, in the form of values with their rows.
    pub fn severities_by_time(&self) -> Terms<'_> {
        self.values(SEVERITIES)
    }

    /// Checks that the ranks have every row, in order of time and index, and that the ranks of each
    /// severity belong to rows with that severity.
    pub(super) fn check_by_time(&self) -> Result<(), Error> {
        if !self.is_by_time() {
            return Ok(());
        }
        let malformed = || self.malformed(BY_TIME);
        let rows = u32::try_from(self.meta.events).map_err(|_| malformed())?;
        let (times, indexes) = (self.times().whole()?, self.indexes().whole()?);
        let ordinals = self.ordinals(Dimension::Severity, rows)?;
        let (mut by_time, mut last) = (self.by_time(), None);
        if by_time.rows.len()? != rows {
            return Err(malformed());
        }
        // Each row comes behind the one before, so that no row occurs twice.
        let mut by_rank = Vec::with_capacity(rows as usize);
        for rank in 0..rows {
            let row = by_time.row(rank)?;
            let position = times.get(row).zip(indexes.get(row).map(i64::cast_unsigned));
            if position <= last {
                return Err(malformed());
            }
            last = position;
            by_rank.push(ordinals[row as usize]);
        }
        let terms = self.severities_by_time();
        let mut with_severity = 0;
        terms.each_of(0..terms.len()?, &mut |ordinal, value, ranks| {
            let found = terms.rows(ranks).open()?.within(0..rows)?;
            with_severity += found.len();
            let is_right = found.len() == ranks.rows()
                && self.value(Dimension::Severity, ordinal)?.as_bytes() == value
                && found.iter().all(|rank| u64::from(by_rank[rank as usize]) == ordinal + 1);
            if is_right { Ok(()) } else { Err(terms.malformed()) }
        })?;
        let filled = by_rank.iter().filter(|ordinal| **ordinal != 0).count() as u64;
        if filled == with_severity { Ok(()) } else { Err(terms.malformed()) }
    }
}
