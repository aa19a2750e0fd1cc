//! Finds events by the keys that sources gave them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use event::entry;
use event::entry::Entry;

use crate::error::Error;
use crate::log::dedup::{Key, KeyEntry, event_key};
use crate::segment::column::Column;
use crate::segment::keys::{
    FILTER_LINE, Fingerprint, LINES_A_BLOCK, bits_of_spread, filter_bits, fingerprint, spread,
};
use crate::segment::sections::{FILTER, KEY_ROWS, KEYS};
use crate::segment::segment::Segment;

/// Keys to find, in the order of a filter's lines, so that each block is fetched once for many
/// keys.
pub(crate) struct KeySearch(Vec<(u64, Key)>);

impl KeySearch {
    pub fn of(keys: impl Iterator<Item = Key>) -> KeySearch {
        let mut keys: Vec<(u64, Key)> = keys.map(|key| (spread(fingerprint(&key)), key)).collect();
        keys.sort_unstable();
        KeySearch(keys)
    }
}

/// The result of a search in several segments.
#[derive(Default)]
pub(crate) struct KeysFound {
    pub events: HashMap<Key, KeyEntry>,
    /// Keys that a segment probably has, whose events do not read back.
    pub undecided: HashSet<Key>,
    /// Why they do not.
    pub damage: Option<Error>,
}

impl Segment {
    /// Adds the events that have one of these keys.
    pub fn find_keys(&self, sought: &KeySearch, found: &mut KeysFound) -> Result<(), Error> {
        self.whole()?;
        let lines = self.filter_lines();
        if lines == 0 {
            return Ok(());
        }
        let mut held: Option<(usize, Arc<[u8]>)> = None;
        for (spread, key) in &sought.0 {
            let (line, bits) = bits_of_spread(*spread, lines);
            let block = line / LINES_A_BLOCK;
            if held.as_ref().is_none_or(|(position, _)| *position != block) {
                held = match self.index.block(FILTER, block) {
                    Ok(bytes) => Some((block, bytes)),
                    // The keys themselves decide, more slowly.
                    Err(why) if why.is_unreadable() => {
                        found.damage.get_or_insert(why);
                        None
                    }
                    Err(error) => return Err(error),
                };
            }
            let may_have =
                held.as_ref().map_or(Ok(true), |(_, bytes)| self.has_bits(bytes, line, bits));
            match may_have.and_then(|may| if may { self.find_key(key) } else { Ok(None) }) {
                Ok(first) => found.events.extend(first.map(|first| (*key, first))),
                Err(why) if why.is_unreadable() => {
                    found.undecided.insert(*key);
                    found.damage.get_or_insert(why);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The event with this key, if there is one.
    fn find_key(&self, key: &Key) -> Result<Option<KeyEntry>, Error> {
        for row in self.rows_with_fingerprint(fingerprint(key))? {
            let (index, entry) = self.decoded_entries(row, 1)?.remove(0);
            let origin = &entry.event.origin;
            if origin.key.as_ref().is_some_and(|text| event_key(&origin.source, text) == *key) {
                return Ok(Some(KeyEntry::new(index, &entry.raw_sha256)));
            }
        }
        Ok(None)
    }

    /// Index and entry of consecutive rows, from the table.
    fn decoded_entries(&self, first: u32, count: usize) -> Result<Vec<(u64, Entry)>, Error> {
        let mut indexes = self.indexes();
        let mut entries = Vec::with_capacity(count);
        for (row, bytes) in (first..).zip(self.entries(first, count)?) {
            let damage =
                |what: &str| Error::damage(&self.table_name(), 0, format!("row {row}: {what}"));
            let index = indexes.get(row)?.cast_unsigned();
            entries
                .push((index, entry::decode(&bytes).map_err(|error| damage(&error.to_string()))?));
        }
        Ok(entries)
    }

    fn filter_lines(&self) -> usize {
        self.index.section_bytes(FILTER) as usize / FILTER_LINE
    }

    /// Whether a key with this fingerprint may be in the segment. A yes is seldom wrong, a no
    /// never.
    fn may_have(&self, fingerprint: Fingerprint) -> Result<bool, Error> {
        let lines = self.filter_lines();
        if lines == 0 {
            return Ok(false);
        }
        let (line, bits) = filter_bits(fingerprint, lines);
        self.has_bits(&self.index.block(FILTER, line / LINES_A_BLOCK)?, line, bits)
    }

    /// Whether a line of the filter, in this block, has all of these bits.
    fn has_bits(&self, block: &[u8], line: usize, bits: [usize; 6]) -> Result<bool, Error> {
        let at = line % LINES_A_BLOCK * FILTER_LINE;
        let bytes = block.get(at..at + FILTER_LINE).ok_or_else(|| self.malformed(FILTER))?;
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
            rows.push(u32::try_from(of_keys.get(low)?).map_err(|_| self.malformed(KEY_ROWS))?);
            low += 1;
        }
        Ok(rows)
    }

    /// Whether the event of this entry is found by its key, if it has one.
    pub fn is_known(&self, entry: &Entry) -> Result<bool, Error> {
        let origin = &entry.event.origin;
        let Some(key) = &origin.key else { return Ok(true) };
        let fingerprint = fingerprint(&event_key(&origin.source, key));
        Ok(self.may_have(fingerprint)? && !self.rows_with_fingerprint(fingerprint)?.is_empty())
    }
}
