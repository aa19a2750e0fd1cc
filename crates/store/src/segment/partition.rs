//! Searches that start from a guess.

use std::ops::Range;

use crate::error::Error;

/// The likely position of a time among `rows` rows that come evenly between two times.
pub(super) fn likely_position(times: Range<i64>, time: i64, rows: u32) -> u32 {
    let passed = time.saturating_sub(times.start).max(0);
    let span = times.end.saturating_sub(times.start).max(1);
    let at = passed.saturating_mul(i64::from(rows)) / span;
    at.clamp(0, i64::from(rows) - 1) as u32
}

/// The first of `rows` for which `comes_before` is false; those for which it is true must come
/// first. Searches from the guess, which must be one of the rows, in longer and longer steps: rows
/// near a good guess are mostly in the same few lines of memory.
pub(super) fn partition_point(
    rows: Range<u32>,
    guess: u32,
    comes_before: &mut dyn FnMut(u32) -> Result<bool, Error>,
) -> Result<u32, Error> {
    let (mut low, mut high) = (rows.start, rows.end);
    let (mut probe, mut step) = (guess, STEP_FIRST);
    while low < high {
        if comes_before(probe)? {
            low = probe + 1;
            probe = low + step.min(high.saturating_sub(low) / 2);
        } else {
            high = probe;
            probe = high.saturating_sub(1 + step.min(high.saturating_sub(low) / 2)).max(low);
        }
        step = step.saturating_mul(STEP_FACTOR);
    }
    Ok(low)
}

/// Steps away from a guess, in rows: the first, and the factor of growth.
const STEP_FIRST: u32 = 8;
const STEP_FACTOR: u32 = 4;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_row_is_found_from_any_guess(
            start in 0u32..50,
            len in 0u32..3000,
            at in 0u32..3000,
            guess in 0u32..3000,
        ) {
            let (rows, sought) = (start..start + len, start + at.min(len));
            let guess = start + guess.min(len.saturating_sub(1));
            let mut probes = 0;
            let found = partition_point(rows.clone(), guess, &mut |row| {
                assert!(rows.contains(&row), "{row}");
                probes += 1;
                Ok(row < sought)
            });
            prop_assert_eq!(found.expect("nothing fails"), sought);
            prop_assert!(probes <= 18, "{} rows were looked at", probes);
        }

        #[test]
        fn what_is_likely_is_one_of_the_rows(
            from in any::<i64>(),
            to in any::<i64>(),
            time in any::<i64>(),
            rows in 1u32..5000,
        ) {
            prop_assert!(likely_position(from..to, time, rows) < rows);
        }
    }

    #[test]
    fn what_is_likely_is_near_for_what_comes_evenly() {
        assert_eq!(
            [0, 5, 50, 99, 100].map(|time| likely_position(0..100, time, 1024)),
            [0, 51, 512, 1013, 1023]
        );
    }
}
