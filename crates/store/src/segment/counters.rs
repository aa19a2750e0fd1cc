//! Counters for many keys. Most counts are small, so counters take few bytes and more of them stay
//! near the processor; that decides how long counting in random order takes.

use crate::hash::Map;

/// Counters checked together for a large one.
const CHUNK: usize = 64;

/// Bytes of a counter, but for large counts.
pub(crate) const COUNTER_BYTES: usize = size_of::<u16>();

/// Counters from 0 on.
pub(crate) struct Counters {
    /// Counts modulo 2^16.
    low: Vec<u16>,
    /// Number of overflows of 2^16.
    high: Map<usize, u64>,
}

impl Counters {
    pub fn new(len: usize) -> Counters {
        Counters { low: vec![0; len], high: Map::default() }
    }

    pub fn len(&self) -> usize {
        self.low.len()
    }

    /// Counts one at this slot. `None` when the slot does not exist.
    #[inline]
    pub fn add(&mut self, slot: usize) -> Option<()> {
        let low = self.low.get_mut(slot)?;
        *low = low.wrapping_add(1);
        if *low == 0 {
            self.carry(slot, 1);
        }
        Some(())
    }

    /// Counts `count` at this slot. `None` when the slot does not exist.
    pub fn add_many(&mut self, slot: usize, count: u64) -> Option<()> {
        let low = self.low.get_mut(slot)?;
        let sum = u64::from(*low) + count;
        *low = sum as u16;
        if sum >> 16 > 0 {
            self.carry(slot, sum >> 16);
        }
        Some(())
    }

    #[cold]
    fn carry(&mut self, slot: usize, times: u64) {
        *self.high.entry(slot).or_default() += times;
    }

    /// The count at this slot.
    pub fn get(&self, slot: usize) -> u64 {
        let low = self.low.get(slot).copied().map_or(0, u64::from);
        low + (self.high.get(&slot).copied().unwrap_or(0) << 16)
    }

    /// Calls `each` with every slot above `bound`, and its count, in no order. `each` returns the
    /// bound for the rest, which may grow.
    pub fn each_above(&self, mut bound: u64, each: &mut dyn FnMut(usize, u64) -> u64) {
        for slot in self.high.keys() {
            let count = self.get(*slot);
            if count > bound {
                bound = each(*slot, count);
            }
        }
        for (chunk, first) in self.low.chunks(CHUNK).zip((0..).step_by(CHUNK)) {
            let most = chunk.iter().copied().fold(0, u16::max);
            if u64::from(most) <= bound {
                continue;
            }
            for (low, slot) in chunk.iter().zip(first..) {
                let count = u64::from(*low);
                if count > bound && (self.high.is_empty() || !self.high.contains_key(&slot)) {
                    bound = each(slot, count);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn any_count() -> impl Strategy<Value = u64> {
        prop_oneof![Just(1u64), 2u64..70_000, 65_535u64..65_538]
    }

    proptest! {
        #[test]
        fn counts_are_those_of_a_map(
            added in prop::collection::vec((0usize..300, any_count()), 0..200),
            bound in prop_oneof![0u64..5, 0u64..200_000],
        ) {
            let (mut counters, mut expected) = (Counters::new(300), BTreeMap::new());
            for (slot, count) in added {
                if count == 1 { counters.add(slot) } else { counters.add_many(slot, count) }
                    .expect("there");
                *expected.entry(slot).or_insert(0) += count;
            }
            for slot in 0..300 {
                prop_assert_eq!(counters.get(slot), expected.get(&slot).copied().unwrap_or(0));
            }
            let mut found = BTreeMap::new();
            counters.each_above(bound, &mut |slot, count| {
                assert_eq!(found.insert(slot, count), None);
                bound
            });
            expected.retain(|_, count| *count > bound);
            prop_assert_eq!(found, expected);
            prop_assert_eq!((counters.add(300), counters.add_many(300, 1)), (None, None));
        }
    }
}
