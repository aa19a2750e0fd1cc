//! Columns of integers: blocks of 1,024 values, each packed to the bits that its values need.
//!
//! A block is, little endian: the least value i64; the unit u32, which divides every difference
//! from it; the width in bits u8; the number of values u16; then the differences divided by the
//! unit, `width` bits each, least significant bit first; then nine zero bytes, so that any value
//! can be read as whole words.

use std::ops::Range;

use crate::segment::counters::Counters;

/// Values of a block, except for the last one.
pub(crate) const VALUES: usize = 1024;

const HEAD: usize = 15;
const ROOM: usize = 9;
/// Units of times: seconds, milliseconds, microseconds, nanoseconds.
const UNITS: [u64; 4] = [1_000_000_000, 1_000_000, 1_000, 1];

/// Packs one block of at most [`VALUES`] values.
pub(crate) fn pack(values: &[i64]) -> Vec<u8> {
    let least = values.iter().copied().min().unwrap_or(0);
    let difference = |value: &i64| value.wrapping_sub(least).cast_unsigned();
    let greatest = values.iter().map(difference).max().unwrap_or(0);
    let unit = UNITS
        .into_iter()
        .find(|unit| {
            greatest >= *unit && values.iter().all(|value| difference(value).is_multiple_of(*unit))
        })
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

/// Space for the unpacked values of a block.
pub(crate) struct Room([u32; VALUES]);

impl Default for Room {
    fn default() -> Room {
        Room([0; VALUES])
    }
}

/// A block of packed values.
#[derive(Clone, Copy)]
pub(crate) struct PackedBlock<'a> {
    head: Head,
    bits: &'a [u8],
}

impl<'a> PackedBlock<'a> {
    /// Reads a block's head. `None` when the bytes are no block.
    pub fn read(bytes: &'a [u8]) -> Option<PackedBlock<'a>> {
        Head::read(bytes).map(|head| PackedBlock::with(head, bytes))
    }

    /// The block with this head, which must have been read from it.
    pub fn with(head: Head, bytes: &'a [u8]) -> PackedBlock<'a> {
        PackedBlock { head, bits: &bytes[HEAD..] }
    }

    pub fn len(&self) -> usize {
        self.head.len
    }

    /// Lower and upper bound of the values. For values that wrap around, the whole range.
    pub fn bounds(&self) -> (i64, i64) {
        let Head { least, unit, width, .. } = self.head;
        let reach = if width == 64 { u64::MAX } else { (1 << width) - 1 };
        let most = reach.checked_mul(unit).and_then(|reach| least.checked_add_unsigned(reach));
        (least, most.unwrap_or(i64::MAX))
    }

    /// The value at this position, which must be below [`PackedBlock::len`].
    #[inline]
    pub fn get(&self, position: usize) -> i64 {
        let Head { width, len, .. } = self.head;
        assert!(position < len, "position {position} of {len}");
        self.at(position * width as usize)
    }

    /// The values at these positions, which must be below [`PackedBlock::len`].
    pub fn range(&self, positions: Range<usize>) -> impl Iterator<Item = i64> {
        let Head { width, len, .. } = self.head;
        assert!(positions.end <= len, "position {} of {len}", positions.end);
        positions.map(move |position| self.at(position * width as usize))
    }

    /// Counts the values at these positions, which must be below [`PackedBlock::len`], each at its
    /// own slot. `None` when a value has no slot.
    pub fn tally(
        &self,
        positions: Range<usize>,
        room: &mut Room,
        counters: &mut Counters,
    ) -> Option<()> {
        let Head { least, unit, width, len } = self.head;
        assert!(positions.end <= len, "position {} of {len}", positions.end);
        let least = u64::try_from(least).ok()?;
        let slot_of = |difference: u32| least.wrapping_add(u64::from(difference) * unit) as usize;
        if width == 0 {
            return counters.add_many(slot_of(0), positions.len() as u64);
        }
        self.differences(&positions, &mut room.0)?;
        let differences = &room.0[positions];
        if width > LANES_WIDTH_MAX {
            return differences
                .iter()
                .try_for_each(|difference| counters.add(slot_of(*difference)));
        }
        // With few distinct values one mostly follows itself. In a single slot each increment would
        // wait for the one before.
        let mut lanes = [[0u32; 1 << LANES_WIDTH_MAX]; 4];
        let (fours, rest) = differences.as_chunks::<4>();
        for four in fours {
            for (lane, difference) in lanes.iter_mut().zip(four) {
                lane[*difference as usize % (1 << LANES_WIDTH_MAX)] += 1;
            }
        }
        rest.iter().for_each(|difference| lanes[0][*difference as usize] += 1);
        for difference in 0..1u32 << width {
            let count: u32 = lanes.iter().map(|lane| lane[difference as usize]).sum();
            if count > 0 {
                counters.add_many(slot_of(difference), u64::from(count))?;
            }
        }
        Some(())
    }

    /// Unpacks the differences from the least value, in units, at these positions and some around
    /// them. `None` when they are wider than 32 bits.
    fn differences(&self, positions: &Range<usize>, out: &mut [u32; VALUES]) -> Option<()> {
        let Head { width, len, .. } = self.head;
        let whole = len / GROUP;
        let groups = positions.start / GROUP..positions.end.div_ceil(GROUP).min(whole);
        unpack(self.bits, width, groups, out)?;
        let rest = positions.start.max(whole * GROUP).min(positions.end);
        for (position, out) in (rest..).zip(&mut out[rest..positions.end]) {
            *out = self.difference_at(position * width as usize) as u32;
        }
        Some(())
    }

    /// The value that begins at this bit.
    #[inline]
    fn at(&self, bit: usize) -> i64 {
        let Head { least, unit, .. } = self.head;
        least.wrapping_add(self.difference_at(bit).wrapping_mul(unit).cast_signed())
    }

    /// The difference from the least value, in units, of the value that begins at this bit.
    #[inline]
    fn difference_at(&self, bit: usize) -> u64 {
        let Head { width, .. } = self.head;
        let bytes = &self.bits[bit / 8..bit / 8 + ROOM];
        let mut word =
            u64::from_le_bytes(*bytes.first_chunk().expect("eight of nine")) >> (bit % 8);
        if width > 56 {
            // The value may end in the ninth byte. The shift takes two steps, because shifting by
            // 64 at once is undefined.
            word |= u64::from(bytes[8]) << (63 - bit % 8) << 1;
        }
        let mask = if width == 64 { u64::MAX } else { (1 << width) - 1 };
        word & mask
    }
}

/// Number of values that end at a whole byte, whatever their width.
const GROUP: usize = 8;
/// Largest width of values counted in several lanes at once.
const LANES_WIDTH_MAX: u32 = 6;

/// Unpacks groups of values of a width from 1 to 32. `None` for a wider one.
fn unpack(bits: &[u8], width: u32, groups: Range<usize>, out: &mut [u32; VALUES]) -> Option<()> {
    macro_rules! with_width {
        ($($width:literal)*) => {
            match width {
                $($width => unpack_groups::<$width>(bits, groups, out),)*
                _ => return None,
            }
        };
    }
    with_width!(
        1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32
    );
    Some(())
}

/// [`unpack`] with a width known to the compiler, which costs a fraction.
fn unpack_groups<const WIDTH: usize>(bits: &[u8], groups: Range<usize>, out: &mut [u32; VALUES]) {
    for group in groups {
        let bytes = &bits[group * WIDTH..][..WIDTH + 8];
        let out = &mut out[group * GROUP..][..GROUP];
        for (position, out) in out.iter_mut().enumerate() {
            let bit = position * WIDTH;
            let word = u64::from_le_bytes(
                *bytes[bit / 8..].first_chunk().expect("eight more than the width"),
            );
            *out = (word >> (bit % 8) & ((1 << WIDTH) - 1)) as u32;
        }
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
            let packed = PackedBlock::read(&bytes).expect("a block");
            prop_assert_eq!(packed.len(), values.len());
            let read: Vec<i64> = (0..packed.len()).map(|position| packed.get(position)).collect();
            prop_assert_eq!(&read, &values);
            prop_assert_eq!(packed.range(0..packed.len()).collect::<Vec<_>>(), values);
        }
    }

    proptest! {
        #[test]
        fn values_are_counted(
            width in 0u32..=20,
            values in prop::collection::vec(any::<u32>(), 1..1024),
            bounds in (0usize..1024, 0usize..1024),
        ) {
            let values: Vec<i64> =
                values.iter().map(|value| i64::from(value % (1 << width))).collect();
            let positions =
                bounds.0.min(bounds.1).min(values.len())..bounds.0.max(bounds.1).min(values.len());
            let bytes = pack(&values);
            let packed = PackedBlock::read(&bytes).expect("a block");
            let (mut counters, mut expected) = (Counters::new(1 << width), vec![0; 1 << width]);
            for value in &values[positions.clone()] {
                expected[*value as usize] += 1;
            }
            let mut room = Room::default();
            prop_assert_eq!(packed.tally(positions.clone(), &mut room, &mut counters), Some(()));
            let counts: Vec<u64> = (0..1 << width).map(|slot| counters.get(slot)).collect();
            prop_assert_eq!(counts, expected);
            if let Some(most) = values[positions.clone()].iter().max() {
                let mut fewer = Counters::new(*most as usize);
                prop_assert_eq!(
                    packed.tally(positions, &mut room, &mut fewer),
                    None,
                    "no slot for it"
                );
            }
        }
    }

    #[test]
    fn times_take_few_bits() {
        let of_a_day: Vec<i64> =
            (0..1024).map(|n| 1_790_000_000_000_000_000 + n * 21_000_000_000).collect();
        assert_eq!(pack(&of_a_day).len(), HEAD + 1024 * 15 / 8 + ROOM);
        assert_eq!(pack(&[7; 1024]).len(), HEAD + ROOM, "equal values take none");
    }

    #[test]
    fn other_bytes_are_no_block() {
        let bytes = pack(&[1, 2, 3]);
        assert!(PackedBlock::read(&bytes[..bytes.len() - 1]).is_none());
        assert!(PackedBlock::read(&[]).is_none());
    }
}
