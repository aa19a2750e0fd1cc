//! One container of a Roaring bitmap: up to 65,536 rows, as they are stored.
//!
//! Counts and searches in the stored bytes, so that a query costs only the bytes it reads.

use std::ops::Range;

/// Up to this many rows a container is a list; beyond, it is a bitmap of 8 KiB.
pub(super) const LISTED_MAX: u64 = 4096;
pub(super) const BITS_BYTES: usize = 8 << 10;
/// Range of rows of a container.
pub(super) const REACH: u32 = 1 << 16;

/// The rows of a container, counted from its first.
#[derive(Clone, Copy)]
pub(super) enum Container<'a> {
    /// In order.
    Listed(&'a [[u8; 2]]),
    /// A bit for each row, least significant first. Whole words; a full container has 1,024.
    Bits(&'a [[u8; 8]]),
}

impl<'a> Container<'a> {
    /// The container of these bytes, or of some words of a bitmap; rows are then counted from the
    /// first of those words.
    pub fn of(bytes: &'a [u8], is_list: bool) -> Container<'a> {
        if is_list {
            Container::Listed(bytes.as_chunks().0)
        } else {
            Container::Bits(bytes.as_chunks().0)
        }
    }

    /// Number of rows within a range.
    pub fn count(self, rows: Range<u32>) -> u64 {
        match self {
            Container::Listed(listed) => part(listed, rows).len() as u64,
            Container::Bits(words) => {
                let ones_of = |rows| -> u64 {
                    self.words(rows).map(|(_, word)| u64::from(word.count_ones())).sum()
                };
                let whole = rows.start.div_ceil(u64::BITS)..rows.end / u64::BITS;
                match words.get(whole.start as usize..whole.end as usize) {
                    Some(inner) if !inner.is_empty() => {
                        let edges =
                            [rows.start..whole.start * u64::BITS, whole.end * u64::BITS..rows.end];
                        ones(inner) + edges.map(ones_of).iter().sum::<u64>()
                    }
                    _ => ones_of(rows),
                }
            }
        }
    }

    /// The row of this rank.
    pub fn select(self, rank: u64) -> Option<u32> {
        match self {
            Container::Listed(listed) => listed.get(rank as usize).map(number),
            Container::Bits(_) => {
                let mut left = rank;
                self.words(0..REACH).find_map(|(first, mut word)| {
                    let ones = u64::from(word.count_ones());
                    if left >= ones {
                        left -= ones;
                        return None;
                    }
                    for _ in 0..left {
                        word &= word - 1;
                    }
                    Some(first + word.trailing_zeros())
                })
            }
        }
    }

    /// Calls `each` with the rows within a range, in order, until it returns false.
    pub fn each(self, rows: Range<u32>, each: &mut impl FnMut(u32) -> bool) {
        match self {
            Container::Listed(listed) => {
                part(listed, rows).iter().map(number).all(each);
            }
            Container::Bits(_) => {
                for (first, mut word) in self.words(rows) {
                    while word != 0 {
                        if !each(first + word.trailing_zeros()) {
                            return;
                        }
                        word &= word - 1;
                    }
                }
            }
        }
    }

    /// [`Container::each`] from the last row to the first.
    pub fn each_back(self, rows: Range<u32>, each: &mut impl FnMut(u32) -> bool) {
        match self {
            Container::Listed(listed) => {
                part(listed, rows).iter().rev().map(number).all(each);
            }
            Container::Bits(_) => {
                for (first, mut word) in self.words(rows).rev() {
                    while word != 0 {
                        let last = u64::BITS - 1 - word.leading_zeros();
                        if !each(first + last) {
                            return;
                        }
                        word ^= 1 << last;
                    }
                }
            }
        }
    }

    /// Calls `each` with those of `some` that are in the container. `some` must be in order.
    pub fn among(self, some: impl Iterator<Item = u32>, each: &mut impl FnMut(u32)) {
        match self {
            Container::Listed(mut left) => {
                for row in some {
                    let before = left.partition_point(|one| number(one) < row);
                    left = &left[before..];
                    if left.first().is_some_and(|one| number(one) == row) {
                        each(row);
                    }
                }
            }
            Container::Bits(words) => {
                some.filter(|row| bit(words, *row)).for_each(each);
            }
        }
    }

    /// The words of a bitmap within a range, with bits outside of it cleared, each with its first
    /// row.
    fn words(self, rows: Range<u32>) -> impl DoubleEndedIterator<Item = (u32, u64)> {
        let words: &[[u8; 8]] = if let Container::Bits(words) = self { words } else { &[] };
        let (begin, end) = (rows.start / u64::BITS, rows.end.div_ceil(u64::BITS));
        let touched = words.get(begin as usize..end as usize).unwrap_or_default();
        touched.iter().zip(begin..end).map(move |(word, position)| {
            let first = position * u64::BITS;
            let below = rows.start.saturating_sub(first);
            let above = (first + u64::BITS).saturating_sub(rows.end);
            (first, u64::from_le_bytes(*word) >> below << below << above >> above)
        })
    }
}

fn ones(words: &[[u8; 8]]) -> u64 {
    words.iter().map(|word| u64::from(u64::from_le_bytes(*word).count_ones())).sum()
}

fn number(row: &[u8; 2]) -> u32 {
    u32::from(u16::from_le_bytes(*row))
}

fn part(listed: &[[u8; 2]], rows: Range<u32>) -> &[[u8; 2]] {
    let before = |row: u32| listed.partition_point(|one| number(one) < row);
    &listed[before(rows.start)..before(rows.end)]
}

fn bit(words: &[[u8; 8]], row: u32) -> bool {
    let word = words.get((row / u64::BITS) as usize).copied().map_or(0, u64::from_le_bytes);
    word >> (row % u64::BITS) & 1 == 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use roaring::RoaringBitmap;

    use super::*;

    /// The bytes of the only container of a bitmap.
    fn bytes_of(rows: &RoaringBitmap) -> Vec<u8> {
        let mut bytes = Vec::new();
        rows.serialize_into(&mut bytes).expect("a vector takes all bytes");
        bytes.split_off(16)
    }

    fn any_rows() -> impl Strategy<Value = RoaringBitmap> {
        let listed = prop::collection::vec(0..REACH, 1..200);
        let bits = (0..REACH / 2, 5_000..REACH / 2, 1u32..4).prop_map(|(start, len, step)| {
            (start..start + len.max(5_000 * step)).step_by(step as usize).collect()
        });
        prop_oneof![listed, bits]
            .prop_map(|rows: Vec<u32>| rows.into_iter().filter(|row| *row < REACH).collect())
    }

    proptest! {
        #[test]
        fn rows_are_counted_and_found(
            rows in any_rows(),
            others in any_rows(),
            ranges in prop::collection::vec((0..=REACH, 0..=REACH), 20),
        ) {
            let bytes = bytes_of(&rows);
            let container = Container::of(&bytes, rows.len() <= LISTED_MAX);
            for (a, b) in ranges.into_iter().chain([(0, REACH)]) {
                let range = a.min(b)..a.max(b);
                let expected: Vec<u32> = rows.iter().filter(|row| range.contains(row)).collect();
                prop_assert_eq!(container.count(range.clone()), expected.len() as u64);
                prop_assert_eq!(container.select(u64::from(a)), rows.select(a));
                for most in [3, usize::MAX] {
                    let (mut forward, mut back) = (Vec::new(), Vec::new());
                    container.each(range.clone(), &mut |row| {
                        forward.push(row);
                        forward.len() < most
                    });
                    container.each_back(range.clone(), &mut |row| {
                        back.push(row);
                        back.len() < most
                    });
                    prop_assert_eq!(
                        forward,
                        expected.iter().copied().take(most).collect::<Vec<_>>()
                    );
                    prop_assert_eq!(
                        back,
                        expected.iter().rev().copied().take(most).collect::<Vec<_>>()
                    );
                }
            }
            let mut both = RoaringBitmap::new();
            container.among(others.iter(), &mut |row| assert!(both.insert(row), "each row once"));
            prop_assert_eq!(both, &rows & &others);
        }
    }
}
