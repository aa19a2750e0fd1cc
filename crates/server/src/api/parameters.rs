//! Query parameters, in the ways that all APIs read them.

use std::ops::RangeInclusive;

use net::path;

/// A parameter that its page does not allow.
#[derive(Debug, PartialEq, Eq)]
pub struct Invalid;

/// The largest integer of the SDKs' own types.
pub const INT32_MAX: u64 = i32::MAX as u64;

/// A text parameter. An empty one counts as absent.
pub fn text(raw_query: &str, name: &str) -> Option<String> {
    path::query_value(raw_query, name).filter(|text| !text.is_empty())
}

/// An integer of digits alone within the range. An empty value counts as absent.
pub fn integer(
    raw_query: &str,
    name: &str,
    range: RangeInclusive<u64>,
) -> Result<Option<u64>, Invalid> {
    text(raw_query, name).map(|text| digits(&text, range)).transpose()
}

/// An integer of digits alone within the range.
pub fn digits(text: &str, range: RangeInclusive<u64>) -> Result<u64, Invalid> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Invalid);
    }
    text.parse().ok().filter(|value| range.contains(value)).ok_or(Invalid)
}

/// Part of a list: at most `limit` rows from `offset` on.
pub fn slice<T>(rows: Vec<T>, offset: u64, limit: u64) -> Vec<T> {
    let bound = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    rows.into_iter().skip(bound(offset)).take(bound(limit)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_digits_within_the_range() {
        assert_eq!(integer("a=7&a=9", "a", 1..=10), Ok(Some(7)));
        assert_eq!(integer("a=007", "a", 1..=10), Ok(Some(7)));
        assert_eq!(integer("a=&b=1", "a", 1..=10), Ok(None));
        assert_eq!(integer("b=1", "a", 1..=10), Ok(None));
        for text in [
            "a=0",
            "a=11",
            "a=-1",
            "a=%2B1",
            "a=+1",
            "a=1.0",
            "a=1e1",
            "a=0x1",
            "a=2147483648",
            "a=99999999999999999999",
        ] {
            assert_eq!(integer(text, "a", 1..=10), Err(Invalid), "{text}");
        }
    }
}
