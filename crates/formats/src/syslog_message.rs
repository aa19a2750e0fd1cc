//! Syslog messages, over the wire and in files.
//!
//! RFC 5424 section 6, and RFC 3164 section 4 as programs really write it (captures in
//! `testdata/syslog/`): with the old timestamp or with one of RFC 3339, with and without priority,
//! process id and colon. The captures show, and this parser relies on:
//! - rsyslog puts a space before the text of an RFC 5424 message, and a line feed at the end inside
//!   counted frames;
//! - the old timestamp has neither year nor zone: the year is the one that brings it nearest to the
//!   arrival;
//! - a program that writes to the local socket names no host: its tag, which a colon ends, follows
//!   the timestamp;
//! - text need not be UTF-8.
//!
//! It is read by hand because the parts must borrow from bytes that need not be UTF-8. The crate
//! `syslog_loose` takes only a `str`, and 3.5 times as long (355 MB/s against 1.2 GB/s on the lines
//! of both `auth` captures, best of seven runs on one core).

use std::net::IpAddr;

use jiff::civil;

use crate::Options;
use event::{Resolution, Time};

/// The parts of a message. Absent and nil (`-`) parts are `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message<'a> {
    /// The facility: the kind of program that sent it (RFC 5424 table 1), 0 to 23.
    pub facility: Option<u8>,
    /// The severity (RFC 5424 table 2), 0 (emergency) to 7 (debug).
    pub severity: Option<u8>,
    /// The time in the message.
    pub timestamp: Option<Timestamp>,
    /// The host that sent it.
    pub host: Option<&'a str>,
    /// The program that sent it: APP-NAME, or the tag before its process id.
    pub app: Option<&'a str>,
    /// PROCID, or the number in brackets after the tag.
    pub process: Option<&'a str>,
    /// MSGID.
    pub id: Option<&'a str>,
    /// STRUCTURED-DATA: elements and their parameters in order, values without their escapes.
    pub data: Vec<(&'a str, Vec<(&'a str, String)>)>,
    /// The text after the header.
    pub text: &'a [u8],
}

/// A timestamp as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timestamp {
    /// RFC 3339, with its offset.
    Zoned(Time, Resolution),
    /// The old form: a time of an unknown year, in the sender's zone.
    Yearless(civil::DateTime),
}

/// The instant, its resolution, and, for the old form, the attribute that names the zone in which
/// it was read.
pub type Resolved = (Time, Resolution, Option<(String, String)>);

impl Timestamp {
    /// The instant of the timestamp. The old form gets the year that brings it nearest to the
    /// arrival. Errors for a day that exists in no year near.
    pub fn resolve(self, received_at: Time, options: &Options) -> Result<Resolved, String> {
        match self {
            Timestamp::Zoned(time, resolution) => Ok((time, resolution, None)),
            Timestamp::Yearless(of_some_year) => {
                let around = received_at.civil().0;
                let candidates = [around - 1, around, around + 1].into_iter().filter_map(|year| {
                    let date_time = civil::DateTime::new(
                        year,
                        of_some_year.month(),
                        of_some_year.day(),
                        of_some_year.hour(),
                        of_some_year.minute(),
                        of_some_year.second(),
                        0,
                    );
                    options.local(date_time.ok()?).ok()
                });
                candidates
                    .min_by_key(|(time, _)| time.unix_ns().abs_diff(received_at.unix_ns()))
                    .map(|(time, attribute)| (time, Resolution::Second, Some(attribute)))
                    .ok_or_else(|| "the time is in no year near".to_owned())
            }
        }
    }
}

/// A leap year, so that every day exists until the year is known.
const SOME_YEAR: i16 = 2000;

/// Most elements of structured data, and most parameters of one; real messages have fewer.
const ELEMENTS_MAX: usize = 64;

impl<'a> Message<'a> {
    /// Reads a message, which need not have a priority. `None` if nothing in it looks like a
    /// header.
    pub fn parse(bytes: &'a [u8]) -> Option<Message<'a>> {
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let (priority, rest) = priority(bytes);
        match rest.strip_prefix(b"1 ").filter(|_| priority.is_some()) {
            Some(rest) => rfc5424(priority, rest),
            None => rfc3164(priority, rest),
        }
    }

    /// The text, with U+FFFD for invalid UTF-8.
    pub fn lossy(&self) -> std::borrow::Cow<'a, str> {
        String::from_utf8_lossy(self.text)
    }
}

/// `<0>` to `<191>`, without leading zeros.
fn priority(bytes: &[u8]) -> (Option<u8>, &[u8]) {
    let found = bytes.strip_prefix(b"<").and_then(|rest| {
        let end = rest.iter().take(4).position(|&byte| byte == b'>')?;
        let digits = std::str::from_utf8(&rest[..end]).ok()?;
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit())
            && (digits == "0" || !digits.starts_with('0'));
        let number: u8 = digits.parse().ok().filter(|&number| is_number && number <= 191)?;
        Some((number, &rest[end + 1..]))
    });
    match found {
        Some((number, rest)) => (Some(number), rest),
        None => (None, bytes),
    }
}

/// Takes the text before the next space.
fn word<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let end = rest.iter().position(|&byte| byte == b' ')?;
    let word = std::str::from_utf8(&rest[..end]).ok()?;
    *rest = &rest[end + 1..];
    Some(word)
}

fn non_nil(word: &str) -> Option<&str> {
    Some(word).filter(|word| !word.is_empty() && *word != "-")
}

fn rfc5424(priority: Option<u8>, mut rest: &[u8]) -> Option<Message<'_>> {
    let timestamp = word(&mut rest)?;
    let (host, app) = (word(&mut rest)?, word(&mut rest)?);
    let (process, id) = (word(&mut rest)?, word(&mut rest)?);
    let timestamp = match non_nil(timestamp) {
        None => None,
        Some(text) => {
            let (time, resolution) = Time::parse_rfc3339(text).ok()?;
            Some(Timestamp::Zoned(time, resolution))
        }
    };
    let (data, text) = structured_data(rest)?;
    let text = text.strip_prefix(b" ").unwrap_or(text);
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    Some(Message {
        facility: priority.map(|number| number >> 3),
        severity: priority.map(|number| number & 7),
        timestamp,
        host: non_nil(host),
        app: non_nil(app),
        process: non_nil(process),
        id: non_nil(id),
        data,
        // rsyslog's templates write a second space.
        text: text.strip_prefix(b" ").unwrap_or(text),
    })
}

/// The elements, and the text after them.
type Data<'a> = (Vec<(&'a str, Vec<(&'a str, String)>)>, &'a [u8]);

/// Reads `-`, or `[id name="value" …]…`.
fn structured_data(bytes: &[u8]) -> Option<Data<'_>> {
    if let Some(rest) = bytes.strip_prefix(b"-") {
        return (rest.is_empty() || rest.starts_with(b" ")).then_some((Vec::new(), rest));
    }
    let (mut elements, mut rest) = (Vec::new(), bytes);
    while let Some(after) = rest.strip_prefix(b"[") {
        let end = after.iter().position(|&byte| matches!(byte, b' ' | b']'))?;
        let id = std::str::from_utf8(&after[..end]).ok()?;
        let (mut parameters, mut left) = (Vec::new(), &after[end..]);
        while let Some(after) = left.strip_prefix(b" ") {
            let end = after.iter().position(|&byte| byte == b'=')?;
            let name = std::str::from_utf8(&after[..end]).ok()?;
            let (value, behind) = quoted(after[end + 1..].strip_prefix(b"\"")?)?;
            parameters.push((name, value));
            left = behind;
        }
        rest = left.strip_prefix(b"]")?;
        elements.push((id, parameters));
        if elements.len() > ELEMENTS_MAX || elements.last()?.1.len() > ELEMENTS_MAX {
            return None;
        }
    }
    (!elements.is_empty()).then_some((elements, rest))
}

/// Reads a value up to its closing quote; a backslash escapes quote, backslash and bracket (RFC
/// 5424 section 6.3.3).
fn quoted(bytes: &[u8]) -> Option<(String, &[u8])> {
    let (mut value, mut at) = (Vec::new(), 0);
    loop {
        match bytes.get(at)? {
            b'"' => return Some((String::from_utf8_lossy(&value).into_owned(), &bytes[at + 1..])),
            b'\\' if matches!(bytes.get(at + 1), Some(b'"' | b'\\' | b']')) => {
                value.push(bytes[at + 1]);
                at += 2;
            }
            &byte => {
                value.push(byte);
                at += 1;
            }
        }
    }
}

/// Bytes of `Mmm dd hh:mm:ss`.
const OLD_TIMESTAMP_BYTES: usize = 15;

fn rfc3164(priority: Option<u8>, bytes: &[u8]) -> Option<Message<'_>> {
    let (timestamp, mut rest) = old_timestamp(bytes).or_else(|| {
        let mut rest = bytes;
        let (time, resolution) = Time::parse_rfc3339(word(&mut rest)?).ok()?;
        Some((Timestamp::Zoned(time, resolution), rest))
    })?;
    let after_timestamp = rest;
    let mut host = word(&mut rest)?;
    let is_tag = host
        .strip_suffix(':')
        .is_some_and(|tag| tag.parse::<IpAddr>().is_err() && !tag.ends_with(':'));
    if is_tag {
        (host, rest) = ("-", after_timestamp);
    }
    let (app, process, text) = tag(rest);
    Some(Message {
        facility: priority.map(|number| number >> 3),
        severity: priority.map(|number| number & 7),
        timestamp: Some(timestamp),
        host: non_nil(host),
        app,
        process,
        id: None,
        data: Vec::new(),
        text,
    })
}

fn old_timestamp(bytes: &[u8]) -> Option<(Timestamp, &[u8])> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let text = std::str::from_utf8(bytes.get(..OLD_TIMESTAMP_BYTES)?)
        .ok()
        .filter(|text| text.is_ascii())?;
    let rest = bytes[OLD_TIMESTAMP_BYTES..].strip_prefix(b" ")?;
    let month = MONTHS.iter().position(|month| *month == &text[..3])? + 1;
    let number = |at: std::ops::Range<usize>| text[at].trim_start().parse::<i8>().ok();
    let has_form = [3, 6].iter().all(|&at| text.as_bytes()[at] == b' ')
        && [9, 12].iter().all(|&at| text.as_bytes()[at] == b':');
    let date_time = civil::DateTime::new(
        SOME_YEAR,
        i8::try_from(month).ok()?,
        number(4..6)?,
        number(7..9)?,
        number(10..12)?,
        number(13..15)?,
        0,
    );
    has_form.then_some((Timestamp::Yearless(date_time.ok()?), rest))
}

/// Reads `tag[pid]: text`, `tag: text` or `tag[pid] text`; any other form is only text. JSON is not
/// a tag, although it has colons.
fn tag(bytes: &[u8]) -> (Option<&str>, Option<&str>, &[u8]) {
    let is_end = |byte: u8| matches!(byte, b'[' | b':' | b' ');
    let end = bytes.iter().position(|&byte| is_end(byte)).unwrap_or(bytes.len());
    let is_tag = |app: &&str| !app.is_empty() && !app.contains(['{', '"']);
    let Some(app) = std::str::from_utf8(&bytes[..end]).ok().filter(is_tag) else {
        return (None, None, bytes);
    };
    let in_brackets = bytes[end..].strip_prefix(b"[").and_then(|rest| {
        let close = rest.iter().position(|&byte| byte == b']')?;
        let process = std::str::from_utf8(&rest[..close]).ok()?;
        (!process.contains(' ')).then_some((process, &rest[close + 1..]))
    });
    let (process, rest) = match in_brackets {
        Some((process, rest)) => (Some(process), rest),
        None => (None, &bytes[end..]),
    };
    match rest.strip_prefix(b":") {
        Some(text) => (Some(app), process, text.strip_prefix(b" ").unwrap_or(text)),
        None if process.is_some() => (Some(app), process, rest.strip_prefix(b" ").unwrap_or(rest)),
        None => (None, None, bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Message<'_> {
        Message::parse(text.as_bytes()).expect(text)
    }

    #[test]
    fn messages_come_in_many_forms() {
        for (text, host, app, process, rest) in [
            (
                "<38>1 2026-11-20T18:30:15.123456+00:00 vm sshd 123 - -  Accepted password",
                Some("vm"),
                Some("sshd"),
                Some("123"),
                "Accepted password",
            ),
            ("<38>1 - - nohdr - - - nil fields", None, Some("nohdr"), None, "nil fields"),
            ("<38>1 - - - - - -", None, None, None, ""),
            (
                "<38>Nov 20 18:30:15 vm sshd[123]: Accepted\n",
                Some("vm"),
                Some("sshd"),
                Some("123"),
                "Accepted",
            ),
            ("<38>Nov  1 18:30:15 vm su: text", Some("vm"), Some("su"), None, "text"),
            (
                "<38>2026-11-20T18:30:15Z vm sudo[1] text",
                Some("vm"),
                Some("sudo"),
                Some("1"),
                "text",
            ),
            (r#"Nov 20 18:30:15 vm {"a":1}"#, Some("vm"), None, None, r#"{"a":1}"#),
            ("Nov 20 18:30:15 vm no tag here", Some("vm"), None, None, "no tag here"),
            ("2026-11-20T18:30:15.5+08:00 vm a[b c]: x", Some("vm"), None, None, "a[b c]: x"),
            ("<38>Nov 20 18:30:15 su[7]: no host", None, Some("su"), Some("7"), "no host"),
            ("<38>Nov 20 18:30:15 su: no host", None, Some("su"), None, "no host"),
            ("<38>Nov 20 18:30:15 2001:db8:: su: x", Some("2001:db8::"), Some("su"), None, "x"),
        ] {
            let message = read(text);
            assert_eq!(
                (message.host, message.app, message.process),
                (host, app, process),
                "{text}"
            );
            assert_eq!(message.lossy(), rest, "{text}");
        }
        assert_eq!(
            (read("<38>1 - - - - - -").facility, read("<38>1 - - - - - -").severity),
            (Some(4), Some(6))
        );
        for text in [
            "",
            "<",
            "<192>Nov 20 18:30:15 vm a: b",
            "<038>1 - - - - - -",
            "<38>1 - - - -",
            "hello",
            "<38>Nov 31 18:30:15 vm a: b",
        ] {
            assert_eq!(Message::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn structured_data_is_read_with_its_escapes() {
        let message = read(r#"<38>1 - - - - - [a@1 x="1\"\]\\\n" y=""][b] text"#);
        let parameters = vec![("x", "1\"]\\\\n".to_owned()), ("y", String::new())];
        assert_eq!(message.data, [("a@1", parameters), ("b", Vec::new())]);
        assert_eq!(message.lossy(), "text");
        for text in ["[", "[a", "[a x]", "[a x=\"]", "[a x=\"\"", "x"] {
            assert_eq!(
                Message::parse(format!("<38>1 - - - - - {text}").as_bytes()),
                None,
                "{text}"
            );
        }
    }

    #[test]
    fn the_year_is_the_nearest() {
        for (received, text, expected) in [
            ("2026-11-20T18:30:20Z", "Nov 20 18:30:15", "2026-11-20T18:30:15.000000000Z"),
            ("2027-01-01T00:00:05Z", "Dec 31 23:59:59", "2026-12-31T23:59:59.000000000Z"),
            ("2026-12-31T23:59:59Z", "Jan  1 00:00:02", "2027-01-01T00:00:02.000000000Z"),
            ("2028-02-29T12:00:00Z", "Feb 29 11:59:59", "2028-02-29T11:59:59.000000000Z"),
        ] {
            let text = format!("{text} vm a: b");
            let (received, _) = Time::parse_rfc3339(received).expect("a time");
            let timestamp = read(&text).timestamp.expect("a timestamp");
            let (time, resolution, _) =
                timestamp.resolve(received, &Options::default()).expect(&text);
            assert_eq!((time.to_string().as_str(), resolution), (expected, Resolution::Second));
        }
        let (received, _) = Time::parse_rfc3339("2026-11-20T18:30:20Z").expect("a time");
        let leap = read("Feb 29 11:59:59 vm a: b").timestamp.expect("a timestamp");
        assert!(leap.resolve(received, &Options::default()).is_err());
    }
}
