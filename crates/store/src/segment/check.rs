//! Checking that the sections of an index agree with each other.

use std::hash::{DefaultHasher, Hash, Hasher};

use event::query::{Dimension, Text};

use super::{META, RUNS, Segment, TIMES_FIRST, column_section, packed, values_section};
use crate::Error;

/// What a row with a word adds to the sum that tells whether all words have their rows.
pub(crate) fn word_sum(word: &[u8], row: u32) -> u64 {
    let mut hasher = DefaultHasher::new();
    (word, row).hash(&mut hasher);
    hasher.finish()
}

impl Segment {
    /// Checks every block of the index, that runs and blocks of times begin and end with the times they say, and that for
    /// each value the rows that have it are those whose column says so; and for the words of each text, that the sum of
    /// [`word_sum`] over them and their rows is this.
    pub fn check(&self, words: &[u64; Text::ALL.len()], each: &mut dyn FnMut(u64)) -> Result<(), Error> {
        self.index.check(each)?;
        let rows = u32::try_from(self.meta.events).map_err(|_| self.nonsense(META))?;
        let mut times = self.times();
        for (_, run) in &self.runs {
            if times.get(run.start)? != run.earliest_ns || times.get(run.end - 1)? != run.latest_ns {
                return Err(self.nonsense(RUNS));
            }
        }
        let firsts = self.index.block(TIMES_FIRST, 0)?;
        let mut firsts = firsts.as_chunks::<8>().0.iter().map(|first| i64::from_le_bytes(*first));
        for row in (0..rows).step_by(packed::VALUES) {
            if firsts.next() != Some(times.get(row)?) {
                return Err(self.nonsense(TIMES_FIRST));
            }
        }
        for dimension in Dimension::ALL {
            let terms = self.terms(dimension);
            let mut with_value = 0;
            terms.each_of(0..terms.len()?, &mut |ordinal, _, place| {
                let found = terms.rows(place).open()?.within(0..rows)?;
                let mut column = self.column(dimension);
                with_value += found.len();
                let mut is_right = found.len() == place.rows();
                for row in &found {
                    is_right &= column.get(row)? == ordinal.cast_signed() + 1;
                }
                if is_right {
                    Ok(())
                } else {
                    Err(self.nonsense(values_section(dimension.position() as u8) + 2))
                }
            })?;
            let mut column = self.column(dimension);
            let mut filled = 0;
            for row in 0..rows {
                filled += u64::from(column.get(row)? != 0);
            }
            if filled != with_value {
                return Err(self.nonsense(column_section(dimension.position() as u8)));
            }
        }
        for text in Text::ALL {
            let terms = self.words(text);
            let mut sum = 0u64;
            terms.each_of(0..terms.len()?, &mut |_, word, place| {
                for row in &terms.rows(place).open()?.within(0..rows)? {
                    sum = sum.wrapping_add(word_sum(word, row));
                }
                Ok(())
            })?;
            if sum != words[text.position()] {
                return Err(self.nonsense(values_section((Dimension::ALL.len() + text.position()) as u8)));
            }
        }
        Ok(())
    }
}
