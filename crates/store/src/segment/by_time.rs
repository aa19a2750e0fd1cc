//! All rows of a segment in order of time and index, whatever their trail, and which of them have
//! each severity: what a question about every trail goes through, instead of through one trail
//! after another. Decision 0020.
//!
//! A *place* is where a row is in that order, from 0. Segments of earlier versions have no such
//! order, nor has what is merged from any of them.

use std::collections::BTreeMap;
use std::ops::Range;

use event::query::{Dimension, Text};

use super::blocks::BlockWriter;
use super::rows::Column;
use super::terms::Terms;
use super::write::{PackedBlocks, ValuesWriter};
use super::{BY_TIME, Segment, partition_point};
use crate::Error;

/// Position of the severities among the values of an index: behind the words of the texts.
pub(super) const SEVERITIES: usize = Dimension::ALL.len() + Text::ALL.len();

/// Takes rows in order of time and index.
#[derive(Default)]
pub(super) struct ByTimeWriter {
    rows: PackedBlocks,
    /// How many there are.
    places: u32,
    severities: BTreeMap<Vec<u8>, Vec<u32>>,
}

impl ByTimeWriter {
    pub fn push(&mut self, row: u32, severity: Option<&[u8]>) {
        self.rows.push(i64::from(row));
        if let Some(severity) = severity {
            match self.severities.get_mut(severity) {
                Some(places) => places.push(self.places),
                None => drop(self.severities.insert(severity.to_vec(), vec![self.places])),
            }
        }
        self.places += 1;
    }

    pub fn finish(self, index: &mut BlockWriter) -> Result<(), Error> {
        index.begin(BY_TIME);
        self.rows.finish(index)?;
        let mut writer = ValuesWriter::begin(SEVERITIES, index);
        for (severity, places) in &self.severities {
            writer.push(index, severity, places)?;
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
    /// The row at a place.
    pub fn row(&mut self, place: u32) -> Result<u32, Error> {
        let row = u32::try_from(self.rows.get(place)?).ok();
        let row = row.filter(|row| u64::from(*row) < self.segment.meta.events);
        row.ok_or_else(|| self.segment.nonsense(BY_TIME))
    }

    /// The first of these places whose time and index do not come before these.
    pub fn lower_bound(&mut self, places: Range<u32>, key: (i64, u64)) -> Result<u32, Error> {
        if places.is_empty() {
            return Ok(places.start);
        }
        // Events mostly come evenly, so that a guess by the times of the first and the last is
        // near.
        let meta = &self.segment.meta;
        let each_ns =
            (meta.latest_ns.saturating_sub(meta.earliest_ns) / meta.events.cast_signed()).max(1);
        let guess = key.0.saturating_sub(meta.earliest_ns) / each_ns;
        let guess = guess.clamp(i64::from(places.start), i64::from(places.end) - 1) as u32;
        let found = partition_point(places, guess, &mut |place| {
            let row = self.row(place)?;
            let time = self.times.get(row)?;
            Ok(time < key.0 || time == key.0 && self.indexes.get(row)?.cast_unsigned() < key.1)
        })?;
        Ok(if crate::is_planted("place_off_by_one") { found.saturating_sub(1) } else { found })
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

    /// The severities, with places instead of rows.
    pub fn severities_by_time(&self) -> Terms<'_> {
        self.values(SEVERITIES)
    }

    /// Checks that the places have every row, in order of time and index, and that those of each
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
        for place in 0..rows {
            let row = by_time.row(place)?;
            let position = times.get(row).zip(indexes.get(row).map(i64::cast_unsigned));
            if position <= last {
                return Err(nonsense());
            }
            last = position;
            of_places.push(ordinals[row as usize]);
        }
        let terms = self.severities_by_time();
        let mut with_severity = 0;
        terms.each_of(0..terms.len()?, &mut |ordinal, value, places| {
            let found = terms.rows(places).open()?.within(0..rows)?;
            with_severity += found.len();
            let is_right = found.len() == places.rows()
                && self.value(Dimension::Severity, ordinal)?.as_bytes() == value
                && found.iter().all(|place| u64::from(of_places[place as usize]) == ordinal + 1);
            if is_right { Ok(()) } else { Err(terms.nonsense()) }
        })?;
        let filled = of_places.iter().filter(|ordinal| **ordinal != 0).count() as u64;
        if filled == with_severity { Ok(()) } else { Err(terms.nonsense()) }
    }
}
