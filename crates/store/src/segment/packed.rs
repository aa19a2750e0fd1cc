//! Columns of integers: blocks of 4,096 values, each packed to the bits that its values need.
//!
//! A block is, little endian: the least value i64; the unit u32, which divides every difference from it; the width in bits
//! u8; the number of values u16; then the differences divided by the unit, `width` bits each, least significant bit
//! first; then nine zero bytes, so that any value can be read as whole words.

/// How many values a block holds, but for the last one.
pub(crate) const VALUES: usize = 4096;

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

/// A block that was read.
#[derive(Clone, Copy)]
pub(crate) struct Packed<'a> {
    least: i64,
    unit: u64,
    width: u32,
    len: usize,
    bits: &'a [u8],
}

impl<'a> Packed<'a> {
    /// Reads a block's head. `None` when the bytes are no block.
    pub fn read(bytes: &'a [u8]) -> Option<Packed<'a>> {
        let (head, bits) = bytes.split_at_checked(HEAD)?;
        let packed = Packed {
            least: i64::from_le_bytes(*head.first_chunk()?),
            unit: u64::from(u32::from_le_bytes(*head[8..].first_chunk()?)),
            width: u32::from(head[12]),
            len: usize::from(u16::from_le_bytes(*head[13..].first_chunk()?)),
            bits,
        };
        let expected = (packed.len * packed.width as usize).div_ceil(8) + ROOM;
        (packed.width <= 64 && packed.unit > 0 && bits.len() == expected).then_some(packed)
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// No value is less than the first, and none is more than the second. Of values that wrap around, all there are.
    pub fn bounds(&self) -> (i64, i64) {
        let reach = if self.width == 64 { u64::MAX } else { (1 << self.width) - 1 };
        let most = reach.checked_mul(self.unit).and_then(|reach| self.least.checked_add_unsigned(reach));
        (self.least, most.unwrap_or(i64::MAX))
    }

    /// The value at this position, which must be below [`Packed::len`].
    pub fn get(&self, position: usize) -> i64 {
        assert!(position < self.len, "position {position} of {}", self.len);
        let bit = position * self.width as usize;
        let mut bytes = [0; 16];
        bytes[..ROOM].copy_from_slice(&self.bits[bit / 8..bit / 8 + ROOM]);
        let word = u128::from_le_bytes(bytes) >> (bit % 8);
        let mask = if self.width == 64 { u64::MAX } else { (1 << self.width) - 1 };
        self.least.wrapping_add(((word as u64) & mask).wrapping_mul(self.unit).cast_signed())
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
            prop_assert_eq!(read, values);
        }
    }

    #[test]
    fn times_take_few_bits() {
        let of_a_day: Vec<i64> = (0..4096).map(|n| 1_790_000_000_000_000_000 + n * 21_000_000_000).collect();
        assert_eq!(pack(&of_a_day).len(), HEAD + 4096 * 17 / 8 + ROOM);
        assert_eq!(pack(&[7; 4096]).len(), HEAD + ROOM, "equal values take none");
    }

    #[test]
    fn other_bytes_are_no_block() {
        let bytes = pack(&[1, 2, 3]);
        assert!(Packed::read(&bytes[..bytes.len() - 1]).is_none());
        assert!(Packed::read(&[]).is_none());
    }
}
