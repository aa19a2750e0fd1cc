//! Parts of access log lines in the common log format of NCSA's server: `host - user [time]
//! "request" status …`.

use event::Time;

/// Bytes of `20/Nov/2026:18:04:45 +0000`.
const CLOCK_BYTES: usize = 26;

/// The line before the request, and the text after its first quote.
pub(crate) struct Head<'a> {
    pub address: &'a str,
    /// As written.
    pub user: &'a str,
    pub time: Time,
    pub rest: &'a str,
}

/// Splits a line before its request: at the first `] "` after a time, as a user's name may hold any
/// other text.
pub(crate) fn head(line: &str) -> Result<Head<'_>, String> {
    let none =
        || "the line does not begin with an address, a user, [a time] and a quote".to_owned();
    let mut ends = line.match_indices("] \"").filter_map(|(end, mark)| {
        let start = end.checked_sub(CLOCK_BYTES)?;
        let names = line.get(..start)?.strip_suffix(" [")?;
        Some((names, clock(line.get(start..end)?)?, &line[end + mark.len()..]))
    });
    let (names, time, rest) = ends.next().ok_or_else(none)?;
    let (address, user) =
        names.split_once(" - ").filter(|(address, _)| !address.contains(' ')).ok_or_else(none)?;
    Ok(Head { address, user, time, rest })
}

/// Reads `20/Nov/2026:18:04:45 +0000`.
fn clock(text: &str) -> Option<Time> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    if text.len() != CLOCK_BYTES || !text.is_ascii() {
        return None;
    }
    let month = MONTHS.iter().position(|month| *month == &text[3..6])? + 1;
    let marks = [(2, b'/'), (6, b'/'), (11, b':'), (20, b' ')];
    let has_form = marks.iter().all(|&(at, mark)| text.as_bytes()[at] == mark);
    let (date, clock, zone) =
        (format!("{}-{month:02}-{}", &text[7..11], &text[..2]), &text[12..20], &text[21..]);
    let time = Time::parse_rfc3339(&format!("{date}T{clock}{}:{}", &zone[..3], &zone[3..])).ok()?;
    has_form.then_some(time.0)
}

/// The text before the closing quote, as written, and the text after it. A backslash escapes the
/// byte after it.
pub(crate) fn quoted(text: &str) -> Option<(&str, &str)> {
    let mut is_escaped = false;
    let end = text.bytes().position(|byte| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    })?;
    Some((&text[..end], &text[end + 1..]))
}

/// Undoes escapes: `\xHH`, and a backslash before a quote or backslash. The second value is whether
/// all of it was UTF-8.
pub(crate) fn unescaped(text: &str) -> (String, bool) {
    let (mut plain, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let [first, after @ ..] = rest {
        let escape = match rest {
            [b'\\', b'x', high, low, ..] => hex_byte([*high, *low]).map(|byte| (byte, 4)),
            [b'\\', byte @ (b'"' | b'\\'), ..] => Some((*byte, 2)),
            _ => None,
        };
        match escape {
            Some((byte, length)) => {
                plain.push(byte);
                rest = &rest[length..];
            }
            None => {
                plain.push(*first);
                rest = after;
            }
        }
    }
    match String::from_utf8(plain) {
        Ok(plain) => (plain, true),
        Err(error) => (String::from_utf8_lossy(error.as_bytes()).into_owned(), false),
    }
}

/// The byte that two hexadecimal digits write.
fn hex_byte(digits: [u8; 2]) -> Option<u8> {
    let mut byte = [0];
    hex::decode_to_slice(digits, &mut byte).ok().map(|()| byte[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_has_its_own_zone() {
        for (text, expected) in [
            ("20/Nov/2026:18:04:45 +0000", Some("2026-11-20T18:04:45.000000000Z")),
            ("21/Nov/2026:02:04:45 +0800", Some("2026-11-20T18:04:45.000000000Z")),
            ("20/Nov/2026:14:34:45 -0330", Some("2026-11-20T18:04:45.000000000Z")),
            ("31/Nov/2026:18:04:45 +0000", None),
            ("20/nov/2026:18:04:45 +0000", None),
            ("20-Nov-2026:18:04:45 +0000", None),
            ("20/Nov/2026 18:04:45 +0000", None),
            ("20/Nov/2026:18:04:45 +000é", None),
            ("", None),
        ] {
            assert_eq!(clock(text).map(|time| time.to_string()).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_user_may_have_any_name() {
        for user in ["-", "alice", "a b", "a - b", "a [b] \"c", "[20/Nov/2026:18:04:45 +0000]"] {
            let line = format!("::1 - {user} [20/Nov/2026:18:04:45 +0000] \"GET / HTTP/1.1\" 200");
            let head = head(&line).expect(user);
            assert_eq!((head.address, head.user, head.rest), ("::1", user, "GET / HTTP/1.1\" 200"));
        }
        for line in [
            "",
            "::1 - a \"GET /\"",
            "::1 a [20/Nov/2026:18:04:45 +0000] \"GET",
            "a b - c [x] \"GET /",
        ] {
            assert!(head(line).is_err(), "{line}");
        }
    }

    #[test]
    fn escapes_are_bytes() {
        for (text, expected, is_utf8) in [
            (r"\xE7\x8E\x8B", "王", true),
            (r"quote\x22d \x5C \x09", "quote\"d \\ \t", true),
            (r#"a\"b\\c"#, "a\"b\\c", true),
            (r"\xFF\xFE end", "\u{fffd}\u{fffd} end", false),
            (r"\x5Cx41", r"\x41", true),
            (r"\xZZ \x4", r"\xZZ \x4", true),
            (r"\", r"\", true),
        ] {
            assert_eq!(unescaped(text), (expected.to_owned(), is_utf8), "{text}");
        }
    }

    #[test]
    fn a_quote_may_be_escaped() {
        assert_eq!(quoted(r#"a\"b" rest"#), Some((r#"a\"b"#, " rest")));
        assert_eq!(quoted(r#"a\\" rest"#), Some((r"a\\", " rest")));
        assert_eq!(quoted("a\\\""), None);
        assert_eq!(quoted(""), None);
    }
}
