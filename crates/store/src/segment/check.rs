//! Checks that the sections of an index agree with each other.

use std::hash::BuildHasher as _;

use event::Event;
use event::query::Dimension;

use crate::error::Error;
use crate::log::words::{POSITIONS, Words};
use crate::segment::packed;
use crate::segment::sections::{
    META, RUNS, SEVERITIES, TIMES_FIRST, column_section, values_section, words_position,
};
use crate::segment::segment::Segment;

/// A checksum for each dimension, then for the words at each position: the sum of a hash of each
/// row with each of its values. Equal checksums show that all values have their rows. Hash keys are
/// drawn anew for each check, so that nobody can have made an index with other rows and equal
/// checksums.
pub(crate) struct ValueChecksums {
    keys: ahash::RandomState,
    of: [u64; CHECKSUMS],
}

/// Positions of dimensions, words and severities; those of severities are checked apart.
const CHECKSUMS: usize = Dimension::ALL.len() + POSITIONS + 1;

impl ValueChecksums {
    /// The checksums of no rows.
    pub fn new() -> ValueChecksums {
        let drawn = std::hash::RandomState::new();
        let [a, b, c, d] = [0, 1, 2, 3].map(|number: u64| drawn.hash_one(number));
        ValueChecksums { keys: ahash::RandomState::with_seeds(a, b, c, d), of: [0; CHECKSUMS] }
    }

    /// The checksums of no rows, with the same hash keys.
    pub fn none(&self) -> ValueChecksums {
        ValueChecksums { keys: self.keys.clone(), of: [0; CHECKSUMS] }
    }

    /// Adds the checksums of other rows.
    pub fn add_all(&mut self, other: &ValueChecksums) {
        for (sum, of_other) in self.of.iter_mut().zip(&other.of) {
            *sum = sum.wrapping_add(*of_other);
        }
    }

    /// Adds a row with this event.
    pub fn add(&mut self, row: u32, event: &Event) {
        for dimension in Dimension::ALL {
            dimension.with_value(event, |value| {
                if let Some(value) = value {
                    self.add_value(dimension.position(), value.as_bytes(), row);
                }
            });
        }
        let words = Words::of(event);
        let mut words: Vec<(usize, &[u8])> = words.iter().collect();
        words.sort_unstable();
        words.dedup();
        for (text, word) in words {
            self.add_value(words_position(text), word, row);
        }
    }

    fn add_value(&mut self, position: usize, value: &[u8], row: u32) {
        self.of[position] = self.of[position].wrapping_add(self.keys.hash_one((value, row)));
    }
}

impl Segment {
    /// Checks every block of the index; that runs and blocks of times have the bounds they claim;
    /// that for each value of a dimension the column agrees with the value's rows; that values and
    /// their rows have the checksums of the events; and the rows in order of time.
    pub fn check(
        &self,
        of_events: &ValueChecksums,
        each: &mut dyn FnMut(u64),
    ) -> Result<(), Error> {
        self.index.check(each)?;
        let rows = u32::try_from(self.meta.events).map_err(|_| self.malformed(META))?;
        let mut times = self.times();
        for (_, run) in &self.runs {
            if times.get(run.start)? != run.earliest_ns || times.get(run.end - 1)? != run.latest_ns
            {
                return Err(self.malformed(RUNS));
            }
        }
        for (row, first) in (0..rows).step_by(packed::VALUES).zip(&self.firsts) {
            if *first != times.get(row)? {
                return Err(self.malformed(TIMES_FIRST));
            }
        }
        // All processors check positions.
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        std::thread::scope(|scope| {
            let check = |start: usize| {
                let mut positions =
                    (start..CHECKSUMS).step_by(processors).filter(|at| self.has_values(*at));
                scope.spawn(move || {
                    positions.try_for_each(|position| self.check_values(position, of_events))
                })
            };
            let mut threads: Vec<_> = (0..processors).map(check).collect();
            threads.push(scope.spawn(|| self.check_by_time()));
            threads
                .into_iter()
                .try_for_each(|thread| thread.join().expect("a check does not panic"))
        })
    }

    /// Whether the segment has values with this position that [`Self::check_values`] can check.
    fn has_values(&self, position: usize) -> bool {
        position < SEVERITIES || (position > SEVERITIES && self.has_all_words())
    }

    /// Checks the values with this position, and their rows.
    fn check_values(&self, position: usize, of_events: &ValueChecksums) -> Result<(), Error> {
        let rows = u32::try_from(self.meta.events).map_err(|_| self.malformed(META))?;
        let terms = self.values(position);
        let wrong = |offset| Err(self.malformed(values_section(position as u8) + offset));
        let column = match Dimension::ALL.get(position) {
            Some(dimension) => Some(self.ordinals(*dimension, rows)?),
            None => None,
        };
        let (mut checksums, mut with_value) = (of_events.none(), 0);
        terms.each_of(0..terms.len()?, &mut |ordinal, value, location| {
            let found = terms.rows(location).open()?.within(0..rows)?;
            with_value += found.len();
            let mut is_right = found.len() == location.rows();
            for row in &found {
                checksums.add_value(position, value, row);
                if let Some(column) = &column {
                    is_right &= u64::from(column[row as usize]) == ordinal + 1;
                }
            }
            if is_right { Ok(()) } else { wrong(2) }
        })?;
        if checksums.of[position] != of_events.of[position] {
            return wrong(0);
        }
        let filled =
            column.map(|column| column.iter().filter(|ordinal| **ordinal != 0).count() as u64);
        if filled.is_some_and(|filled| filled != with_value) {
            return Err(self.malformed(column_section(position as u8)));
        }
        Ok(())
    }

    /// A dimension's column, whole.
    pub(super) fn ordinals(&self, dimension: Dimension, rows: u32) -> Result<Vec<u32>, Error> {
        let malformed = || self.malformed(column_section(dimension.position() as u8));
        let (mut ordinals, mut fits) = (Vec::with_capacity(rows as usize), true);
        self.column(dimension).each_block(0..rows, &mut |_, packed, positions| {
            ordinals.extend(packed.range(positions).map(|ordinal| {
                u32::try_from(ordinal).unwrap_or_else(|_| {
                    fits = false;
                    0
                })
            }));
        })?;
        if fits && ordinals.len() == rows as usize { Ok(ordinals) } else { Err(malformed()) }
    }
}
