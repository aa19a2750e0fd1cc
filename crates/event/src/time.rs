//! Instants as nanoseconds since the Unix epoch, UTC, and their one text form.

use std::fmt;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// An instant: nanoseconds since 1970-01-01T00:00:00Z, from the year 1678 to 2261.
///
/// Its text form is RFC 3339 in UTC with exactly nine fraction digits (30 bytes), so that texts
/// sort as instants do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(i64);

/// The text is not an instant, or not within the range of [`Time`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutOfRange(String);

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl std::error::Error for OutOfRange {}

/// Length in bytes of the text form of a [`Time`].
pub const TIME_TEXT_BYTES: usize = 30;

impl Time {
    /// The instant `ns` nanoseconds after the epoch.
    pub const fn from_unix_ns(ns: i64) -> Time {
        Time(ns)
    }

    /// Nanoseconds since the epoch.
    pub const fn unix_ns(self) -> i64 {
        self.0
    }

    /// Whole milliseconds since the epoch, rounded down.
    pub const fn unix_ms(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// This instant `seconds` later (or earlier, when negative); saturates at the ends of the
    /// range.
    pub const fn plus_seconds(self, seconds: i64) -> Time {
        Time(self.0.saturating_add(seconds.saturating_mul(1_000_000_000)))
    }

    /// The midnight at which its day begins, in UTC.
    pub const fn start_of_day(self) -> Time {
        const DAY_NS: i64 = 24 * 60 * 60 * 1_000_000_000;
        Time(self.0.saturating_sub(self.0.rem_euclid(DAY_NS)))
    }

    /// Reads RFC 3339 with any offset and up to nine fraction digits, and returns the resolution of
    /// the text.
    ///
    /// Errors if the text is not an RFC 3339 instant or lies outside the years 1678 to 2261.
    pub fn parse_rfc3339(text: &str) -> Result<(Time, Resolution), OutOfRange> {
        let instant: Timestamp = text.parse().map_err(|_| {
            OutOfRange(format!(
                "{:?} is not an RFC 3339 time",
                text.chars().take(64).collect::<String>()
            ))
        })?;
        let ns = i64::try_from(instant.as_nanosecond())
            .map_err(|_| OutOfRange(format!("{text} is outside the years 1678 to 2261")))?;
        Ok((Time(ns), Resolution::of_rfc3339(text)))
    }

    /// The parts of this instant in UTC: year, month, day, hour, minute, second, nanosecond.
    pub fn civil(self) -> (i16, i8, i8, i8, i8, i8, i32) {
        let instant = Timestamp::from_nanosecond(i128::from(self.0))
            .expect("64-bit nanoseconds are within jiff's range");
        let civil = TimeZone::UTC.to_datetime(instant);
        (
            civil.year(),
            civil.month(),
            civil.day(),
            civil.hour(),
            civil.minute(),
            civil.second(),
            civil.subsec_nanosecond(),
        )
    }

    /// The 30-byte text form.
    pub fn text(self) -> [u8; TIME_TEXT_BYTES] {
        let (year, month, day, hour, minute, second, ns) = self.civil();
        let mut out = *b"0000-00-00T00:00:00.000000000Z";
        let mut put = |at: usize, width: usize, value: i32| {
            let mut rest = value.unsigned_abs();
            for position in (at..at + width).rev() {
                out[position] = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
        };
        put(0, 4, i32::from(year));
        put(5, 2, i32::from(month));
        put(8, 2, i32::from(day));
        put(11, 2, i32::from(hour));
        put(14, 2, i32::from(minute));
        put(17, 2, i32::from(second));
        put(20, 9, ns);
        out
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.text()).expect("digits and punctuation are ASCII"))
    }
}

/// The resolution of a source's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resolution {
    /// Whole seconds.
    Second,
    /// Milliseconds.
    Millisecond,
    /// Microseconds.
    Microsecond,
    /// Nanoseconds.
    Nanosecond,
}

impl Resolution {
    /// All resolutions, coarse to fine.
    pub const ALL: [Resolution; 4] = [
        Resolution::Second,
        Resolution::Millisecond,
        Resolution::Microsecond,
        Resolution::Nanosecond,
    ];

    /// `s`, `ms`, `us` or `ns`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Resolution::Second => "s",
            Resolution::Millisecond => "ms",
            Resolution::Microsecond => "us",
            Resolution::Nanosecond => "ns",
        }
    }

    /// The resolution that the number of fraction digits of an RFC 3339 text shows. Go trims
    /// trailing zeros, so a nanosecond clock may print eight digits: anything past six is
    /// nanoseconds, past three microseconds.
    fn of_rfc3339(text: &str) -> Resolution {
        let digits = text
            .split_once('.')
            .map_or(0, |(_, fraction)| fraction.bytes().take_while(u8::is_ascii_digit).count());
        match digits {
            0 => Resolution::Second,
            1..=3 => Resolution::Millisecond,
            4..=6 => Resolution::Microsecond,
            _ => Resolution::Nanosecond,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_offset_becomes_utc_and_nine_digits() {
        let (time, resolution) =
            Time::parse_rfc3339("2026-11-21T01:52:47.65562271+08:00").expect("a captured time");
        assert_eq!(time.to_string(), "2026-11-20T17:52:47.655622710Z");
        assert_eq!(resolution, Resolution::Nanosecond);
    }

    #[test]
    fn times_before_the_epoch_have_all_digits() {
        let (time, _) = Time::parse_rfc3339("1969-12-31T23:59:59.999999999Z").expect("valid");
        assert_eq!(time.unix_ns(), -1);
        assert_eq!(time.unix_ms(), -1);
        assert_eq!(time.to_string(), "1969-12-31T23:59:59.999999999Z");
    }

    #[test]
    fn impossible_and_far_dates_are_refused() {
        for text in [
            "2026-02-30T00:00:00Z",
            "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
            "2026-11-20 17:49",
            "",
            "1e400",
        ] {
            assert!(Time::parse_rfc3339(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_number_of_digits_shows_the_resolution() {
        for (text, expected) in [
            ("2026-11-20T17:49:50Z", Resolution::Second),
            ("2026-11-20T17:49:50.5Z", Resolution::Millisecond),
            ("2026-11-20T17:49:50.1234+08:00", Resolution::Microsecond),
            ("2026-11-20T17:49:50.12345678Z", Resolution::Nanosecond),
        ] {
            assert_eq!(Time::parse_rfc3339(text).expect(text).1, expected, "{text}");
        }
    }
}
