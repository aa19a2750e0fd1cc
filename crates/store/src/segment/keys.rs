//! Finding events by the keys that sources gave them.

use std::collections::HashMap;
use std::sync::Arc;

use event::entry::{self, Entry};

use super::rows::Column;
use super::write::FILTER_BLOCK;
use super::{FILTER, KEY_ROWS, KEYS, Segment};
use crate::Error;
use crate::dedup::{First, Key, event_key};

/// Bytes of a line of the filter; all bits of a key are in one line.
pub(super) const FILTER_LINE: usize = 64;
const LINES_A_BLOCK: usize = FILTER_BLOCK / FILTER_LINE;

/// What is kept of a key: its first five bytes, as a number that sorts as they do.
pub(crate) type Fingerprint = u64;

/// The line of a key's fingerprint, and its bits there.
pub(super) fn filter_bits(fingerprint: Fingerprint, lines: usize) -> (usize, [usize; 6]) {
    bits_of_spread(spread(fingerprint), lines)
}

/// The fingerprint, spread over all numbers. The lines of a filter have them in order.
fn spread(fingerprint: Fingerprint) -> u64 {
    fingerprint.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn bits_of_spread(spread: u64, lines: usize) -> (usize, [usize; 6]) {
    let line = ((u128::from(spread) * lines as u128) >> 64) as usize;
    let bits = (spread ^ spread >> 32).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (line, [0, 9, 18, 27, 36, 45].map(|shift| (bits >> shift) as usize % (FILTER_LINE * 8)))
}

pub(crate) fn fingerprint(key: &Key) -> Fingerprint {
    u64::from_be_bytes(*key.first_chunk().expect("sixteen bytes")) >> 24
}

/// Keys to look for, in the order in which filters have them; so that of many keys each block is
/// fetched once.
pub(crate) struct Sought(Vec<(u64, Key)>);

impl Sought {
    pub fn of(keys: impl Iterator<Item = Key>) -> Sought {
        let mut keys: Vec<(u64, Key)> = keys.map(|key| (spread(fingerprint(&key)), key)).collect();
        keys.sort_unstable();
        Sought(keys)
    }
}

impl Segment {
    /// Adds the events that have one of these keys.
    pub fn find_keys(&self, sought: &Sought, found: &mut HashMap<Key, First>) -> Result<(), Error> {
        let lines = self.filter_lines();
        if lines == 0 {
            return Ok(());
        }
        let mut held: Option<(usize, Arc<[u8]>)> = None;
        for (spread, key) in &sought.0 {
            let (line, bits) = bits_of_spread(*spread, lines);
            let block = line / LINES_A_BLOCK;
            if held.as_ref().is_none_or(|(position, _)| *position != block) {
                held = Some((block, self.index.block(FILTER, block)?));
            }
            let (_, bytes) = held.as_ref().expect("just read");
            if self.has_bits(bytes, line, bits)?
                && let Some(first) = self.find_key(key)?
            {
                found.insert(*key, first);
            }
        }
        Ok(())
    }

    /// The event that has this key, if one has it.
    fn find_key(&self, key: &Key) -> Result<Option<First>, Error> {
        for row in self.rows_with_fingerprint(fingerprint(key))? {
            let (index, entry) = self.told(row, 1)?.remove(0);
            let origin = &entry.event.origin;
            if origin.key.as_ref().is_some_and(|text| event_key(&origin.source, text) == *key) {
                return Ok(Some(First::new(index, &entry.raw_sha256)));
            }
        }
        Ok(None)
    }

    /// Index and entry of consecutive rows, from the table.
    fn told(&self, first: u32, count: usize) -> Result<Vec<(u64, Entry)>, Error> {
        let mut indexes = self.indexes();
        let mut told = Vec::with_capacity(count);
        for (row, bytes) in (first..).zip(self.entries(first, count)?) {
            let damage =
                |what: &str| Error::damage(&self.table_name(), 0, format!("row {row}: {what}"));
            let index = indexes.get(row)?.cast_unsigned();
            told.push((index, entry::decode(&bytes).map_err(|error| damage(&error.to_string()))?));
        }
        Ok(told)
    }

    fn filter_lines(&self) -> usize {
        self.index.section_bytes(FILTER) as usize / FILTER_LINE
    }

    /// Whether a key with this fingerprint may be in the segment; seldom wrong when it says so,
    /// never when it does not.
    fn may_have(&self, fingerprint: Fingerprint) -> Result<bool, Error> {
        let lines = self.filter_lines();
        if lines == 0 {
            return Ok(false);
        }
        let (line, bits) = filter_bits(fingerprint, lines);
        self.has_bits(&self.index.block(FILTER, line / LINES_A_BLOCK)?, line, bits)
    }

    /// Whether a line of the filter, which is in this block, has all of these bits.
    fn has_bits(&self, block: &[u8], line: usize, bits: [usize; 6]) -> Result<bool, Error> {
        let at = line % LINES_A_BLOCK * FILTER_LINE;
        let bytes = block.get(at..at + FILTER_LINE).ok_or_else(|| self.nonsense(FILTER))?;
        Ok(bits.iter().all(|bit| bytes[bit / 8] & 1 << (bit % 8) != 0))
    }

    /// The fingerprints of the keys, in order, and their rows.
    pub(super) fn keys(&self) -> (Column<'_>, Column<'_>) {
        let column = |section| Column { file: &self.index, section, block: None };
        (column(KEYS), column(KEY_ROWS))
    }

    fn rows_with_fingerprint(&self, fingerprint: Fingerprint) -> Result<Vec<u32>, Error> {
        let (mut keys, mut of_keys) = self.keys();
        let count = keys.len()?;
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = low + (high - low) / 2;
            if keys.get(middle)?.cast_unsigned() < fingerprint {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let mut rows = Vec::new();
        while low < count && keys.get(low)?.cast_unsigned() == fingerprint {
            rows.push(u32::try_from(of_keys.get(low)?).map_err(|_| self.nonsense(KEY_ROWS))?);
            low += 1;
        }
        Ok(rows)
    }

    /// Whether the event with this entry is found by its key, if it has one.
    pub fn is_known(&self, entry: &Entry) -> Result<bool, Error> {
        let origin = &entry.event.origin;
        let Some(key) = &origin.key else { return Ok(true) };
        let fingerprint = fingerprint(&event_key(&origin.source, key));
        Ok(self.may_have(fingerprint)? && !self.rows_with_fingerprint(fingerprint)?.is_empty())
    }
}
