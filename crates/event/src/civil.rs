//! Dates and times as the vendor's texts have them, in an offset from UTC that the text or the
//! server's settings name.

use crate::Time;

/// An offset from UTC, in seconds east.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Offset(i64);

/// The largest offset on Earth; the vendor's texts could say more.
const HOURS_MAX: i64 = 14;

impl Offset {
    /// Reads `Z`, `UTC`, `+0800` or `+08:00`.
    pub fn parse(text: &str) -> Option<Offset> {
        if text == "Z" || text == "UTC" {
            return Some(Offset(0));
        }
        let sign = match text.as_bytes().first()? {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        let digits: String = match text.as_bytes() {
            [_, _, _, b':', _, _] => text[1..].replacen(':', "", 1),
            [_, _, _, _, _] => text[1..].to_owned(),
            _ => return None,
        };
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let (hours, minutes): (i64, i64) = (digits[..2].parse().ok()?, digits[2..].parse().ok()?);
        let seconds = hours * 3600 + minutes * 60;
        (minutes < 60 && seconds <= HOURS_MAX * 3600).then_some(Offset(sign * seconds))
    }

    /// `+0800`.
    pub fn text(self) -> String {
        let minutes = self.0.abs() / 60;
        format!("{}{:02}{:02}", if self.0 < 0 { '-' } else { '+' }, minutes / 60, minutes % 60)
    }

    /// `2023/10/27 15:46:19`, with these separators between the parts of the date, and between date
    /// and time.
    pub fn date_and_time(self, time: Time, within: char, between: char) -> String {
        let (year, month, day, hour, minute, second, _) = time.plus_seconds(self.0).civil();
        format!(
            "{year:04}{within}{month:02}{within}{day:02}{between}{hour:02}:{minute:02}:{second:02}"
        )
    }

    /// Reads `2023-10-27 15:46:19`, with this separator between date and time, as a time at this
    /// offset.
    pub fn parse_date_and_time(self, text: &str, between: char) -> Option<Time> {
        let has_form = text.len() == 19
            && text.bytes().enumerate().all(|(at, byte)| match at {
                4 | 7 => byte == b'-',
                10 => char::from(byte) == between,
                13 | 16 => byte == b':',
                _ => byte.is_ascii_digit(),
            });
        // 23:59:60 exists, but no client means it.
        if !has_form || &text[17..] == "60" {
            return None;
        }
        let (time, _) = Time::parse_rfc3339(&format!("{}T{}Z", &text[..10], &text[11..])).ok()?;
        Some(time.plus_seconds(-self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_read_in_their_common_forms() {
        for (text, seconds) in [
            ("Z", 0),
            ("UTC", 0),
            ("+0800", 28_800),
            ("+08:00", 28_800),
            ("-0330", -12_600),
            ("-00:00", 0),
        ] {
            assert_eq!(Offset::parse(text), Some(Offset(seconds)), "{text}");
        }
        for text in [
            "",
            "+",
            "0800",
            "+8",
            "+08",
            "+8:00",
            "+08:0",
            "+0860",
            "+1500",
            "+0a00",
            "Asia/Shanghai",
            "+０８00",
        ] {
            assert_eq!(Offset::parse(text), None, "{text}");
        }
        assert_eq!(Offset(-12_600).text(), "-0330");
        assert_eq!(Offset(28_800).text(), "+0800");
    }

    #[test]
    fn times_there_and_back() {
        let east = Offset(28_800);
        let time = east.parse_date_and_time("2018-09-15T06:25:43", 'T').expect("a time");
        assert_eq!(time.to_string(), "2018-09-14T22:25:43.000000000Z");
        assert_eq!(east.date_and_time(time, '-', 'T'), "2018-09-15T06:25:43");
        assert_eq!(Offset(0).date_and_time(time, '/', ' '), "2018/09/14 22:25:43");
        for text in [
            "2018-09-15 06:25:43",
            "2018-02-30T06:25:43",
            "2018-09-15T24:00:00",
            "2018-9-15T06:25:43",
            "2018-09-15T06:25:60",
            "٢٠١٨-09-15",
        ] {
            assert_eq!(east.parse_date_and_time(text, 'T'), None, "{text}");
        }
    }
}
