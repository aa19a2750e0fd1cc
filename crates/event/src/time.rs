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

    /// Reads RFC 3339 with any offset below 24 hours and up to nine fraction digits, and returns
    /// the resolution of the text. A leap second is the second after it, as POSIX counts.
    ///
    /// Errors if the text is not an RFC 3339 instant or lies outside the years 1678 to 2261.
    pub fn parse_rfc3339(text: &str) -> Result<(Time, Resolution), OutOfRange> {
        let beginning = || text.chars().take(64).collect::<String>();
        let no_time = || OutOfRange(format!("{:?} is not an RFC 3339 time", beginning()));
        let outside = || OutOfRange(format!("{} is outside the years 1678 to 2261", beginning()));
        let instant: Timestamp = text.parse().map_err(|_| match is_in_last_hours(text) {
            true => outside(),
            false => no_time(),
        })?;
        if offset_hours(text) >= 24 {
            return Err(no_time());
        }
        let time = i64::try_from(instant.as_nanosecond()).map(Time).map_err(|_| outside())?;
        let time = if text.get(16..19) == Some(":60") {
            // jiff takes 60 for 59.
            Some(time.plus_seconds(1)).filter(|time| time.begins_month()).ok_or_else(no_time)?
        } else {
            time
        };
        Ok((time, Resolution::of_rfc3339(text)))
    }

    /// Whether it is in the first second of a month in UTC: only before it is a second inserted.
    fn begins_month(self) -> bool {
        let (_, _, day, hour, minute, second, _) = self.civil();
        (day, hour, minute, second) == (1, 0, 0, 0)
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

/// Whether a text is a time of the last two days of the year 9999, some hours of which are beyond
/// jiff's range.
fn is_in_last_hours(text: &str) -> bool {
    let rest = text.strip_prefix("9999-12-3");
    rest.is_some_and(|rest| format!("9998-12-3{rest}").parse::<Timestamp>().is_ok())
}

/// The hours of the offset of an RFC 3339 text.
fn offset_hours(text: &str) -> u8 {
    let clock_and_offset = text.get(11..).unwrap_or_default();
    let offset = clock_and_offset.split_once(['+', '-']).map_or("", |(_, offset)| offset);
    offset.get(..2).and_then(|hours| hours.parse().ok()).unwrap_or(0)
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
    fn far_years_are_times_outside_the_range() {
        for text in [
            "9999-12-31T23:59:59Z",
            "9999-12-30T12:00:00-14:00",
            "9999-06-01T00:00:00Z",
            "0001-01-01T00:00:00Z",
        ] {
            let why = Time::parse_rfc3339(text).expect_err(text).to_string();
            assert!(why.contains("outside the years"), "{why}");
        }
        let why = Time::parse_rfc3339("9999-12-32T00:00:00Z").expect_err("no day").to_string();
        assert!(why.contains("not an RFC 3339 time"), "{why}");
    }

    #[test]
    fn offsets_have_less_than_a_day() {
        for (text, expected) in [
            ("2026-11-20T18:00:00+14:00", Some("2026-11-20T04:00:00.000000000Z")),
            ("2026-11-20T18:00:00+15:30", Some("2026-11-20T02:30:00.000000000Z")),
            ("2026-11-20T18:00:00-23:59", Some("2026-11-21T17:59:00.000000000Z")),
            ("2026-11-20T18:00:00+24:00", None),
            ("2026-11-20T18:00:00.5-25:59", None),
            ("2026-11-20T18:00:00+14:60", None),
        ] {
            let time = Time::parse_rfc3339(text).ok().map(|(time, _)| time.to_string());
            assert_eq!(time.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_second_is_inserted_at_the_end_of_a_month_only() {
        for (text, expected) in [
            ("2016-12-31T23:59:60Z", Some("2017-01-01T00:00:00.000000000Z")),
            ("2016-12-31T23:59:60.25Z", Some("2017-01-01T00:00:00.250000000Z")),
            ("2017-01-01T07:59:60+08:00", Some("2017-01-01T00:00:00.000000000Z")),
            ("2016-12-31T23:59:60+08:00", None),
            ("2016-12-30T23:59:60Z", None),
            ("2026-11-20T18:09:60Z", None),
            ("2026-11-20T18:09:61Z", None),
        ] {
            let time = Time::parse_rfc3339(text).ok().map(|(time, _)| time.to_string());
            assert_eq!(time.as_deref(), expected, "{text}");
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
