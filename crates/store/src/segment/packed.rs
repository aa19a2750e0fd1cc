//! Columns of integers: blocks of 1,024 values, each packed to the bits that its values need.
//!
//! A block is, little endian: the least value i64; the unit u32, which divides every difference from it; the width in bits
//! u8; the number of values u16; then the differences divided by the unit, `width` bits each, least significant bit
//! first; then nine zero bytes, so that any value can be read as whole words.

use std::ops::Range;

/// How many values a block holds, but for the last one.
pub(crate) const VALUES: usize = 1024;

const HEAD: usize = 15;
const ROOM: usize = 9;
/// Units that times have: seconds, milliseconds, microseconds, nanoseconds.
const UNITS: [u64; 4] = [1_000_000_000, 1_000_000, 1_000, 1];

/// Packs one block of at most [`VALUES`] values.
pub(crate) fn pack(values: &[i64]) -> Vec<u8> {
    let least = values.iter().copied().min().unwrap_or(0);
    let difference = |value: &i64| value.wrapping_sub(least).cast_unsigned();
    let greatest = values.iter().map(difference).max().unwrap_or(0);
    let unit = UNITS
        .into_iter()
        .find(|unit| greatest >= *unit && values.iter().all(|value| difference(value).is_multiple_of(*unit)))
        .unwrap_or(1);
    let width = (u64::BITS - (greatest / unit).leading_zeros()) as u8;
    let mut out = Vec::with_capacity(HEAD + (values.len() * usize::from(width)).div_ceil(8) + ROOM);
    out.extend_from_slice(&least.to_le_bytes());
    out.extend_from_slice(&(unit as u32).to_le_bytes());
    out.push(width);
    out.extend_from_slice(&(values.len() as u16).to_le_bytes());
    let (mut word, mut bits) = (0u128, 0u32);
    for value in values {
        word |= u128::from(difference(value) / unit) << bits;
        bits += u32::from(width);
        while bits >= 8 {
            out.push(word as u8);
            word >>= 8;
            bits -= 8;
        }
    }
    if bits > 0 {
        out.push(word as u8);
    }
    out.extend_from_slice(&[0; ROOM]);
    out
}

/// How the values of a block are packed.
#[derive(Clone, Copy)]
pub(crate) struct Head {
    least: i64,
    unit: u64,
    width: u32,
    len: usize,
}

impl Head {
    /// Reads a block's head. `None` when the bytes are no block.
    pub fn read(bytes: &[u8]) -> Option<Head> {
        let (head, bits) = bytes.split_at_checked(HEAD)?;
        let head = Head {
            least: i64::from_le_bytes(*head.first_chunk()?),
            unit: u64::from(u32::from_le_bytes(*head[8..].first_chunk()?)),
            width: u32::from(head[12]),
            len: usize::from(u16::from_le_bytes(*head[13..].first_chunk()?)),
        };
        let expected = (head.len * head.width as usize).div_ceil(8) + ROOM;
        (head.width <= 64 && head.unit > 0 && bits.len() == expected).then_some(head)
    }
}

/// A block that was read.
#[derive(Clone, Copy)]
pub(crate) struct Packed<'a> {
    head: Head,
    bits: &'a [u8],
}

impl<'a> Packed<'a> {
    /// Reads a block's head. `None` when the bytes are no block.
    pub fn read(bytes: &'a [u8]) -> Option<Packed<'a>> {
        Head::read(bytes).map(|head| Packed::with(head, bytes))
    }

    /// The block with this head, which was read from it.
    pub fn with(head: Head, bytes: &'a [u8]) -> Packed<'a> {
        Packed { head, bits: &bytes[HEAD..] }
    }

    pub fn len(&self) -> usize {
        self.head.len
    }

    /// No value is less than the first, and none is more than the second. Of values that wrap around, all there are.
    pub fn bounds(&self) -> (i64, i64) {
        let Head { least, unit, width, .. } = self.head;
        let reach = if width == 64 { u64::MAX } else { (1 << width) - 1 };
        let most = reach.checked_mul(unit).and_then(|reach| least.checked_add_unsigned(reach));
        (least, most.unwrap_or(i64::MAX))
    }

    /// The value at this position, which must be below [`Packed::len`].
    #[inline]
    pub fn get(&self, position: usize) -> i64 {
        let Head { width, len, .. } = self.head;
        assert!(position < len, "position {position} of {len}");
        self.at(position * width as usize)
    }

    /// The values at these positions, which must be below [`Packed::len`].
    pub fn range(&self, positions: Range<usize>) -> impl Iterator<Item = i64> {
        let Head { width, len, .. } = self.head;
        assert!(positions.end <= len, "position {} of {len}", positions.end);
        positions.map(move |position| self.at(position * width as usize))
    }

    /// The value that begins at this bit.
    #[inline]
    fn at(&self, bit: usize) -> i64 {
        let Head { least, unit, width, .. } = self.head;
        let bytes = &self.bits[bit / 8..bit / 8 + ROOM];
        let mut word = u64::from_le_bytes(*bytes.first_chunk().expect("eight of nine")) >> (bit % 8);
        if width > 56 {
            // It may end in the ninth byte. Shifted in two steps, for by 64 at once is not defined.
            word |= u64::from(bytes[8]) << (63 - bit % 8) << 1;
        }
        let mask = if width == 64 { u64::MAX } else { (1 << width) - 1 };
        least.wrapping_add((word & mask).wrapping_mul(unit).cast_signed())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_values() -> impl Strategy<Value = Vec<i64>> {
        let unit = prop::sample::select(&[1i64, 1_000, 1_000_000, 1_000_000_000][..]);
        let reach = prop::sample::select(&[1i64, 2, 255, 1 << 20, 1 << 33, i64::MAX][..]);
        let values = (unit, any::<i64>(), reach).prop_flat_map(|(unit, base, reach)| {
            prop::collection::vec(0..reach, 1..300).prop_map(move |all| {
                all.iter().map(|one| base.wrapping_add(one.wrapping_mul(unit))).collect()
            })
        });
        prop_oneof![values, prop::collection::vec(any::<i64>(), 0..100)]
    }

    proptest! {
        #[test]
        fn what_was_packed_is_read_back(values in any_values()) {
            let bytes = pack(&values);
            let packed = Packed::read(&bytes).expect("a block");
            prop_assert_eq!(packed.len(), values.len());
            let read: Vec<i64> = (0..packed.len()).map(|position| packed.get(position)).collect();
            prop_assert_eq!(&read, &values);
            prop_assert_eq!(packed.range(0..packed.len()).collect::<Vec<_>>(), values);
        }
    }

    #[test]
    fn times_take_few_bits() {
        let of_a_day: Vec<i64> = (0..1024).map(|n| 1_790_000_000_000_000_000 + n * 21_000_000_000).collect();
        assert_eq!(pack(&of_a_day).len(), HEAD + 1024 * 15 / 8 + ROOM);
        assert_eq!(pack(&[7; 1024]).len(), HEAD + ROOM, "equal values take none");
    }

    #[test]
    fn other_bytes_are_no_block() {
        let bytes = pack(&[1, 2, 3]);
        assert!(Packed::read(&bytes[..bytes.len() - 1]).is_none());
        assert!(Packed::read(&[]).is_none());
    }
}
