//! The numbers of retried dead letters, as ranges. The file may be lost: an event from a dead
//! letter has a key, so another retry doubles nothing.

use std::collections::BTreeMap;
use std::sync::Mutex;

use store::{DEAD_LETTERS_RETRIED, Error, Object, Objects, Version};

use crate::monitor::state_file;

const MAGIC: &str = "daybook retried 1";
/// Ranges in the file: enough for every second of a hundred thousand records. Beyond, a retried
/// record is listed as if it was not.
const RANGES_MAX: usize = 50_000;

/// Numbers as ranges from a first to a last one.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Numbers(BTreeMap<u64, u64>);

/// Whether these are the bytes of a file of retried numbers.
pub fn check(bytes: &[u8]) -> Result<(), String> {
    state_file::read::<Vec<(u64, u64)>>(MAGIC, bytes).map(drop)
}

impl Numbers {
    pub fn contains(&self, number: u64) -> bool {
        self.0.range(..=number).next_back().is_some_and(|(_, last)| number <= *last)
    }

    /// Adds a number. Returns whether it is new.
    pub fn insert(&mut self, number: u64) -> bool {
        if self.contains(number) {
            return false;
        }
        let last = number.checked_add(1).and_then(|next| self.0.remove(&next)).unwrap_or(number);
        if let Some((_, end)) =
            self.0.range_mut(..number).next_back().filter(|(_, end)| **end + 1 == number)
        {
            *end = last;
        } else if self.0.len() < RANGES_MAX {
            self.0.insert(number, last);
        } else {
            return false;
        }
        true
    }

    /// Reads the file of a disk; empty if there is none, or none that reads.
    pub fn read(objects: &dyn Objects) -> Result<Numbers, Error> {
        Ok(objects
            .get(DEAD_LETTERS_RETRIED)?
            .map(|object| Numbers::of(&object))
            .unwrap_or_default())
    }

    fn of(object: &Object) -> Numbers {
        match state_file::read::<Vec<(u64, u64)>>(MAGIC, &object.bytes) {
            Ok(ranges) => {
                Numbers(ranges.into_iter().filter(|(first, last)| first <= last).collect())
            }
            Err(why) => {
                tracing::warn!(
                    why,
                    "couldn't read {DEAD_LETTERS_RETRIED}; retried dead letters are listed again"
                );
                Numbers::default()
            }
        }
    }
}

/// The numbers of a running server.
pub struct Retried {
    numbers: Mutex<(Numbers, bool)>,
    version: Mutex<Option<Version>>,
}

impl Retried {
    pub fn open(objects: &dyn Objects) -> Result<Retried, Error> {
        let object = objects.get(DEAD_LETTERS_RETRIED)?;
        let numbers = object.as_ref().map(Numbers::of).unwrap_or_default();
        let version = object.map(|object| object.version);
        Ok(Retried { numbers: Mutex::new((numbers, false)), version: Mutex::new(version) })
    }

    pub fn contains(&self, number: u64) -> bool {
        self.numbers.lock().expect("no panic while held").0.contains(number)
    }

    pub fn insert(&self, number: u64) {
        let mut numbers = self.numbers.lock().expect("no panic while held");
        numbers.1 |= numbers.0.insert(number);
    }

    /// Writes the file, if there are new numbers.
    pub fn write(&self, objects: &dyn Objects) -> Result<(), Error> {
        let ranges: Vec<(u64, u64)> = {
            let mut numbers = self.numbers.lock().expect("no panic while held");
            if !std::mem::take(&mut numbers.1) {
                return Ok(());
            }
            numbers.0.0.iter().map(|(first, last)| (*first, *last)).collect()
        };
        let mut version = self.version.lock().expect("no panic while held");
        let bytes = state_file::write(MAGIC, &ranges);
        let replaced = objects.replace(DEAD_LETTERS_RETRIED, &bytes, *version);
        if replaced.is_err() {
            self.numbers.lock().expect("no panic while held").1 = true;
        }
        *version = Some(replaced?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_ranges() {
        let mut numbers = Numbers::default();
        for (number, is_new) in
            [(5, true), (7, true), (6, true), (5, false), (u64::MAX, true), (0, true)]
        {
            assert_eq!(numbers.insert(number), is_new, "{number}");
        }
        assert_eq!(numbers.0, BTreeMap::from([(0, 0), (5, 7), (u64::MAX, u64::MAX)]));
        assert!(numbers.contains(6) && !numbers.contains(4) && !numbers.contains(8));
        let mut many = Numbers::default();
        (0..RANGES_MAX as u64).for_each(|number| assert!(many.insert(2 * number)));
        assert!(!many.insert(u64::MAX) && many.insert(1), "what joins ranges has room");
    }
}
