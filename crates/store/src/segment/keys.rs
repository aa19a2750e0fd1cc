//! Fingerprints of keys, and their bits in a segment's filter.

use crate::log::dedup::Key;

/// Bytes of a line of the filter; all bits of a key are in one line.
pub(super) const FILTER_LINE: usize = 64;
/// Bytes of a block of the filter, except for the last.
pub(super) const FILTER_BLOCK: usize = 32 << 10;
pub(super) const LINES_A_BLOCK: usize = FILTER_BLOCK / FILTER_LINE;

/// The stored part of a key: its first five bytes, as a number with the same order.
pub(crate) type Fingerprint = u64;

/// The line of a key's fingerprint, and its bits there.
pub(super) fn filter_bits(fingerprint: Fingerprint, lines: usize) -> (usize, [usize; 6]) {
    bits_of_spread(spread(fingerprint), lines)
}

/// The fingerprint, spread over all numbers. The lines of a filter are in this order.
pub(super) fn spread(fingerprint: Fingerprint) -> u64 {
    fingerprint.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

pub(super) fn bits_of_spread(spread: u64, lines: usize) -> (usize, [usize; 6]) {
    let line = ((u128::from(spread) * lines as u128) >> 64) as usize;
    let bits = (spread ^ spread >> 32).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (line, [0, 9, 18, 27, 36, 45].map(|shift| (bits >> shift) as usize % (FILTER_LINE * 8)))
}

pub(crate) fn fingerprint(key: &Key) -> Fingerprint {
    u64::from_be_bytes(*key.first_chunk().expect("sixteen bytes")) >> 24
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_sort_as_keys_do() {
        let mut key = [0; 16];
        key[..5].copy_from_slice(&[1, 2, 3, 4, 5]);
        assert_eq!(fingerprint(&key), 0x01_0203_0405);
        let later = [[2; 1].as_slice(), &[0; 15]].concat().try_into().expect("sixteen bytes");
        assert!(fingerprint(&later) > fingerprint(&key));
    }

    #[test]
    fn bits_are_within_a_line_and_lines_in_order_of_the_spread() {
        let mut last = 0;
        let mut fingerprints: Vec<Fingerprint> = (0..500).map(|number| number << 20 | 7).collect();
        fingerprints.sort_unstable_by_key(|fingerprint| spread(*fingerprint));
        for fingerprint in fingerprints {
            let (line, bits) = filter_bits(fingerprint, 9);
            assert!(line >= last && line < 9, "line {line} after {last}");
            assert!(bits.iter().all(|bit| *bit < FILTER_LINE * 8));
            last = line;
        }
        assert_eq!(last, 8);
    }
}
