//! All rows of a segment in order of time and index, whatever their trail, and which of them have
//! each severity: what a question about every trail goes through, instead of through one trail
//! after another. Decision 0020.
//!
//! A *rank* is where a row is in that order, from 0. Segments of earlier versions have no such
//! order, nor has what is merged from any of them.

use std::collections::BTreeMap;
use std::ops::Range;

use event::query::{Dimension, Text};

use crate::error::Error;
use crate::segment::blocks::BlockWriter;
use crate::segment::column::Column;
use crate::segment::partition::partition_point;
use crate::segment::sections::BY_TIME;
use crate::segment::segment::Segment;
use crate::segment::terms::Terms;
use crate::segment::write::{PackedBlocks, ValuesWriter};

/// Position of the severities among the values of an index: behind the words of the texts.
pub(super) const SEVERITIES: usize = Dimension::ALL.len() + Text::ALL.len();

/// Takes rows in order of time and index.
#[derive(Default)]
pub(super) struct ByTimeWriter {
    rows: PackedBlocks,
    /// How many there are.
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

/// Reads rows in order of time; it holds on to what it read last.
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
        row.ok_or_else(|| self.segment.nonsense(BY_TIME))
    }

    /// The first of these ranks whose time and index do not come before these.
    pub fn lower_bound(&mut self, ranks: Range<u32>, key: (i64, u64)) -> Result<u32, Error> {
        if ranks.is_empty() {
            return Ok(ranks.start);
        }
        // Events mostly come evenly, so that a guess by the times of the first and the last is
        // near.
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
    /// Whether it has its rows in order of time.
    pub fn is_by_time(&self) -> bool {
        self.index.blocks(BY_TIME) > 0
    }

    /// Its rows in order of time, if it has them so.
    pub fn by_time(&self) -> ByTime<'_> {
        let rows = Column { file: &self.index, section: BY_TIME, block: None };
        ByTime { segment: self, rows, times: self.times(), indexes: self.indexes() }
    }

    /// The severities, with ranks instead of rows.
    pub fn severities_by_time(&self) -> Terms<'_> {
        self.values(SEVERITIES)
    }

    /// Checks that the ranks have every row, in order of time and index, and that those of each
    /// severity are where the rows are that have it.
    pub(super) fn check_by_time(&self) -> Result<(), Error> {
        if !self.is_by_time() {
            return Ok(());
        }
        let nonsense = || self.nonsense(BY_TIME);
        let rows = u32::try_from(self.meta.events).map_err(|_| nonsense())?;
        let (times, indexes) = (self.times().whole()?, self.indexes().whole()?);
        let ordinals = self.ordinals(Dimension::Severity, rows)?;
        let (mut by_time, mut last) = (self.by_time(), None);
        if by_time.rows.len()? != rows {
            return Err(nonsense());
        }
        // Each comes behind the one before, so that none is there twice.
        let mut of_places = Vec::with_capacity(rows as usize);
        for rank in 0..rows {
            let row = by_time.row(rank)?;
            let position = times.get(row).zip(indexes.get(row).map(i64::cast_unsigned));
            if position <= last {
                return Err(nonsense());
            }
            last = position;
            of_places.push(ordinals[row as usize]);
        }
        let terms = self.severities_by_time();
        let mut with_severity = 0;
        terms.each_of(0..terms.len()?, &mut |ordinal, value, ranks| {
            let found = terms.rows(ranks).open()?.within(0..rows)?;
            with_severity += found.len();
            let is_right = found.len() == ranks.rows()
                && self.value(Dimension::Severity, ordinal)?.as_bytes() == value
                && found.iter().all(|rank| u64::from(of_places[rank as usize]) == ordinal + 1);
            if is_right { Ok(()) } else { Err(terms.nonsense()) }
        })?;
        let filled = of_places.iter().filter(|ordinal| **ordinal != 0).count() as u64;
        if filled == with_severity { Ok(()) } else { Err(terms.nonsense()) }
    }
}
