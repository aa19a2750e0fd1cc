//! Syslog messages, over the wire and in files.
//!
//! RFC 5424 section 6, and RFC 3164 section 4 as programs really write it (captures in
//! `testdata/syslog/`): with the old timestamp or with one of RFC 3339, with and without priority,
//! process id and colon. The captures show, and this parser relies on:
//! - rsyslog puts a space before the text of an RFC 5424 message, and a line feed at the end inside
//!   counted frames;
//! - the old timestamp has neither year nor zone: the year is the newest one that does not bring it
//!   more than a day behind the arrival;
//! - network devices write the year before or after the time (Huawei VRP, H3C Comware, Cisco ASA),
//!   fractions, the zone behind the time, a mark or a number before it (Cisco IOS), and a tag of
//!   module, severity and mnemonic: `%%01SHELL/5/CMDRECORD(s)[10]:`, `%SYS-5-CONFIG_I:`;
//! - Python's `SysLogHandler` ends a message with a NUL, and sends no header beside the priority;
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
    /// A date and a time in the sender's zone.
    Local(civil::DateTime, Resolution),
    /// The old form: a time of an unknown year, in the sender's zone.
    Yearless(civil::DateTime, Resolution),
}

/// How far behind the arrival a time without a year may be, for clocks that are ahead and zones
/// that are not configured.
const AHEAD_MAX_S: i64 = 24 * 60 * 60;

/// The instant, its resolution, and, for the old form, the attribute that names the zone in which
/// it was read.
pub type Resolved = (Time, Resolution, Option<(String, String)>);

impl Timestamp {
    /// The instant of the timestamp. The old form gets the newest year that does not bring it more
    /// than a day behind the arrival. Errors for a day that exists in no year near.
    pub fn resolve(self, received_at: Time, options: &Options) -> Result<Resolved, String> {
        match self {
            Timestamp::Zoned(time, resolution) => Ok((time, resolution, None)),
            Timestamp::Local(date_time, resolution) => {
                let (time, attribute) = options.local(date_time)?;
                Ok((time, resolution, Some(attribute)))
            }
            Timestamp::Yearless(of_some_year, resolution) => {
                let around = received_at.civil().0;
                let latest = received_at.plus_seconds(AHEAD_MAX_S);
                // 29 February has a year among any five; others have one among two.
                (around - 4..=around + 1)
                    .rev()
                    .filter_map(|year| {
                        let date_time = of_some_year.with().year(year).build().ok()?;
                        options.local(date_time).ok()
                    })
                    .find(|(time, _)| *time <= latest)
                    .map(|(time, attribute)| (time, resolution, Some(attribute)))
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
        let (priority, rest) = priority(without_end(bytes));
        match rest.strip_prefix(b"1 ").filter(|_| priority.is_some()) {
            Some(rest) => rfc5424(priority, rest),
            None => rfc3164(priority, rest),
        }
    }

    /// Reads a message that may have no header: then all of it behind the priority is its text (RFC
    /// 3164 section 4.3.3). `None` if there is no text.
    pub fn parse_any(bytes: &'a [u8]) -> Option<Message<'a>> {
        Message::parse(bytes).or_else(|| {
            let (priority, text) = priority(without_end(bytes));
            let (host, app, process, id) = (None, None, None, None);
            let (facility, severity) = (priority.map(|one| one >> 3), priority.map(|one| one & 7));
            let data = Vec::new();
            let message =
                Message { facility, severity, timestamp: None, host, app, process, id, data, text };
            (!text.trim_ascii().is_empty()).then_some(message)
        })
    }

    /// The text, with U+FFFD for invalid UTF-8.
    pub fn lossy(&self) -> std::borrow::Cow<'a, str> {
        String::from_utf8_lossy(self.text)
    }
}

/// A message without the line feed and the NULs at its end.
fn without_end(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| !matches!(byte, b'\n' | b'\0')).map_or(0, |at| at + 1);
    let bytes = &bytes[..end];
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
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

fn rfc3164(priority: Option<u8>, bytes: &[u8]) -> Option<Message<'_>> {
    let (origin, bytes) = without_origin(bytes);
    let (timestamp, mut rest) = timestamp(bytes)?;
    let after_timestamp = rest;
    let mut host = word(&mut rest).unwrap_or("-");
    let is_tag = host
        .strip_suffix(':')
        .is_some_and(|tag| tag.parse::<IpAddr>().is_err() && !tag.ends_with(':'))
        || host.starts_with('%');
    if is_tag || host == "-" {
        (host, rest) = (origin.unwrap_or("-"), after_timestamp);
    }
    // Cisco's firewalls set a colon of its own between host and tag.
    let rest = rest.strip_prefix(b": ").filter(|rest| rest.starts_with(b"%")).unwrap_or(rest);
    let (app, process, id, text) = match device_tag(rest) {
        Some(tag) => tag,
        None => {
            let (app, process, text) = tag(rest);
            (app, process, None, text)
        }
    };
    Some(Message {
        facility: priority.map(|number| number >> 3),
        severity: priority.map(|number| number & 7),
        timestamp: Some(timestamp),
        host: non_nil(host),
        app,
        process,
        id,
        data: Vec::new(),
        text,
    })
}

/// Takes what Cisco IOS writes before a timestamp: the number of the message, its host, and a mark
/// of a clock that is not set (`*`) or not synchronised (`.`). Returns the host.
fn without_origin(bytes: &[u8]) -> (Option<&str>, &[u8]) {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let bytes = match bytes[digits..].strip_prefix(b": ") {
        Some(rest) if digits > 0 => rest,
        _ => bytes,
    };
    let unmarked = |bytes: &'_ [u8]| usize::from(matches!(bytes.first(), Some(b'*' | b'.')));
    let mut rest = bytes;
    let origin = word(&mut rest).and_then(|word| word.strip_suffix(':'));
    match origin {
        Some(_) if timestamp(&rest[unmarked(rest)..]).is_some() => {
            (origin, &rest[unmarked(rest)..])
        }
        _ => (None, &bytes[unmarked(bytes)..]),
    }
}

/// Longest timestamp, with its zone.
const TIMESTAMP_BYTES_MAX: usize = 48;

/// Reads a timestamp and the space behind it.
fn timestamp(bytes: &[u8]) -> Option<(Timestamp, &[u8])> {
    let mut rest = bytes;
    if let Some((time, resolution)) =
        word(&mut rest).and_then(|word| Time::parse_rfc3339(word.trim_end_matches(':')).ok())
    {
        return Some((Timestamp::Zoned(time, resolution), rest));
    }
    let shown = &bytes[..bytes.len().min(TIMESTAMP_BYTES_MAX)];
    let shown = &shown[..shown.iter().position(|byte| !byte.is_ascii()).unwrap_or(shown.len())];
    let mut words = Words { text: std::str::from_utf8(shown).ok()?, at: 0 };
    let (year, month, day) = words.date()?;
    let year_before = year.or_else(|| words.year());
    let (clock, ns, digits, offset) = words.clock()?;
    let year = year_before.or_else(|| words.year());
    let offset = offset.or_else(|| words.zone());
    let date = civil::Date::new(year.unwrap_or(SOME_YEAR), month, day).ok()?;
    let date_time = date.to_datetime(civil::Time::new(clock[0], clock[1], clock[2], ns).ok()?);
    let resolution = resolution_of(digits);
    let timestamp = match (year, offset) {
        (Some(_), Some(offset)) => {
            let instant =
                jiff::tz::Offset::from_seconds(offset).ok()?.to_timestamp(date_time).ok()?;
            let time = i64::try_from(instant.as_nanosecond()).ok()?;
            Timestamp::Zoned(Time::from_unix_ns(time), resolution)
        }
        (Some(_), None) => Timestamp::Local(date_time, resolution),
        (None, _) => Timestamp::Yearless(date_time, resolution),
    };
    // Whatever comes next stands behind a space, and may be missing.
    let rest = &bytes[words.at..];
    let rest = rest.strip_prefix(b":").unwrap_or(rest);
    match rest.strip_prefix(b" ") {
        Some(rest) => Some((timestamp, rest)),
        None => rest.is_empty().then_some((timestamp, rest)),
    }
}

/// The resolution of a fraction with this number of digits.
fn resolution_of(digits: usize) -> Resolution {
    match digits {
        0 => Resolution::Second,
        1..=3 => Resolution::Millisecond,
        4..=6 => Resolution::Microsecond,
        _ => Resolution::Nanosecond,
    }
}

/// The clock's hours, minutes and seconds; nanoseconds, the digits of the fraction; the offset in
/// seconds.
type Clock = ([i8; 3], i32, usize, Option<i32>);

/// Reads the parts of a timestamp one after another.
struct Words<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Words<'a> {
    /// The next word, after spaces.
    fn peek(&self) -> (&'a str, usize) {
        let rest = &self.text[self.at..];
        let start = self.at + rest.len() - rest.trim_start_matches(' ').len();
        let end = self.text[start..].find(' ').map_or(self.text.len(), |len| start + len);
        (&self.text[start..end], end)
    }

    fn take_if<T>(&mut self, read: impl FnOnce(&'a str) -> Option<T>) -> Option<T> {
        let (word, end) = self.peek();
        let found = read(word)?;
        self.at = end;
        Some(found)
    }

    /// `Nov 23`, or `2026-11-23`.
    fn date(&mut self) -> Option<(Option<i16>, i8, i8)> {
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let whole = self.take_if(|word| {
            let date: civil::Date = word.parse().ok().filter(|_| word.len() == 10)?;
            Some((Some(date.year()), date.month(), date.day()))
        });
        if whole.is_some() {
            return whole;
        }
        let month = self.take_if(|word| MONTHS.iter().position(|month| *month == word))?;
        let day = self.take_if(|word| digits(word, 1..=2))?;
        Some((None, i8::try_from(month + 1).ok()?, i8::try_from(day).ok()?))
    }

    fn year(&mut self) -> Option<i16> {
        let year = |word: &str| {
            let word = word.strip_suffix(':').unwrap_or(word);
            digits(word, 4..=4).filter(|year| (1970..=9999).contains(year))
        };
        self.take_if(year).and_then(|year| i16::try_from(year).ok())
    }

    /// `19:46:03`, with a fraction and an offset behind it if there are any.
    fn clock(&mut self) -> Option<Clock> {
        self.take_if(|word| {
            let word = word.strip_suffix(':').unwrap_or(word);
            let (clock, behind) = word.split_at_checked(8)?;
            let mut parts = clock.split(':').map(|part| digits(part, 2..=2));
            let clock = [parts.next()??, parts.next()??, parts.next()??];
            if parts.next().is_some() {
                return None;
            }
            let clock = clock.map(|part| i8::try_from(part).unwrap_or(i8::MAX));
            let (fraction, zone) = match behind.strip_prefix(['.', ',']) {
                Some(behind) => {
                    let end = behind.find(|c: char| !c.is_ascii_digit()).unwrap_or(behind.len());
                    behind.split_at(end)
                }
                None => ("", behind),
            };
            let ns = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
            let offset = if zone.is_empty() { None } else { Some(offset_s(zone)?) };
            Some((clock, ns, fraction.len(), offset))
        })
    }

    /// A zone behind the time: `UTC`, or an offset. Other abbreviations name more than one zone,
    /// and are left out.
    fn zone(&mut self) -> Option<i32> {
        let (word, end) = self.peek();
        let name = word.strip_suffix(':').unwrap_or(word);
        let is_abbreviation =
            (2..=5).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_uppercase());
        // A host may have such a name, too: a colon ends a zone.
        if is_abbreviation && word.ends_with(':') || matches!(name, "UTC" | "GMT") {
            self.at = end;
            return matches!(name, "UTC" | "GMT").then_some(0);
        }
        self.take_if(|word| offset_s(word.strip_suffix(':').unwrap_or(word)))
    }
}

/// A number of that many digits.
fn digits(word: &str, count: std::ops::RangeInclusive<usize>) -> Option<u16> {
    let is_number = count.contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_digit());
    word.parse().ok().filter(|_| is_number)
}

/// Seconds of `Z`, `+08:00`, `+0800` or `-03`.
fn offset_s(text: &str) -> Option<i32> {
    if text == "Z" {
        return Some(0);
    }
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = match rest.len() {
        2 => (rest, "00"),
        4 => rest.split_at(2),
        _ => rest.split_once(':')?,
    };
    let (hours, minutes) = (digits(hours, 2..=2)?, digits(minutes, 2..=2)?);
    (hours <= 14 && minutes < 60)
        .then_some(sign * (i32::from(hours) * 60 + i32::from(minutes)) * 60)
}

/// Program, process and id of a tag, and the text behind it.
type Tag<'a> = (Option<&'a str>, Option<&'a str>, Option<&'a str>, &'a [u8]);

/// Reads the tag of a network device: `%%01MODULE/5/MNEMONIC(s)[10]:` of Huawei and H3C, and
/// `%FACILITY-5-MNEMONIC:` of Cisco. The process is the number in brackets.
fn device_tag(bytes: &[u8]) -> Option<Tag<'_>> {
    let end = bytes.iter().position(|&byte| matches!(byte, b':' | b' '))?;
    let text = bytes[end..].strip_prefix(b":")?;
    let tag = std::str::from_utf8(&bytes[..end]).ok()?.strip_prefix('%')?;
    let (module, id, process) = match tag.strip_prefix('%') {
        Some(tag) => {
            let tag = tag.trim_start_matches(|c: char| c.is_ascii_digit());
            let mut parts = tag.splitn(3, '/');
            let (module, severity, rest) = (parts.next()?, parts.next()?, parts.next()?);
            digits(severity, 1..=1)?;
            let (rest, process) = match rest.strip_suffix(']').and_then(|one| one.split_once('[')) {
                Some((rest, process)) => (rest, non_nil(process)),
                None => (rest, None),
            };
            (module, rest.split('(').next()?, process)
        }
        None => {
            let (module, rest) = tag.split_once('-')?;
            let (rest, id) = rest.rsplit_once('-')?;
            digits(rest.rsplit('-').next()?, 1..=1)?;
            (module, id, None)
        }
    };
    let text = text.strip_prefix(b" ").unwrap_or(text);
    (!module.is_empty() && !id.is_empty()).then_some((Some(module), process, Some(id), text))
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
            ("<38>Nov 20 18:30:15 vm su: x\n\0", Some("vm"), Some("su"), None, "x"),
            (
                "Nov 23 2026 19:46:03 sw %%01SSH/5/LOGIN(s)[17]:x",
                Some("sw"),
                Some("SSH"),
                Some("17"),
                "x",
            ),
            ("2026-11-23 19:46:03 fw %%01SHELL/5/CMD(s):x", Some("fw"), Some("SHELL"), None, "x"),
            ("Nov 23 19:46:03 2026 sw %%10SHELL/5/LOGIN: x", Some("sw"), Some("SHELL"), None, "x"),
            ("42: *Nov 23 19:46:03.120: %SYS-5-CONFIG_I: x", None, Some("SYS"), None, "x"),
            ("7: r1: Nov 23 19:46:03: %SYS-5-CONFIG_I: x", Some("r1"), Some("SYS"), None, "x"),
            ("Nov 23 2026 19:46:03: %ASA-6-302013: x", None, Some("ASA"), None, "x"),
            ("Nov 23 2026 19:46:03 asa : %ASA-6-302013: x", Some("asa"), Some("ASA"), None, "x"),
            ("Nov 23 19:46:03 CST: %SYS-5-CONFIG_I: x", None, Some("SYS"), None, "x"),
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
    fn times_come_in_many_forms() {
        let received = Time::parse_rfc3339("2026-11-23T20:00:00Z").expect("a time").0;
        for (text, expected, resolution) in [
            ("Nov 23 2026 19:46:03 h a: x", "19:46:03", Resolution::Second),
            ("Nov 23 2026 19:46:03+08:00 h a: x", "11:46:03", Resolution::Second),
            ("Nov 23 2026 19:46:03.120 h a: x", "19:46:03.12", Resolution::Millisecond),
            ("Nov 23 19:46:03 2026 h a: x", "19:46:03", Resolution::Second),
            ("2026-11-23 19:46:03 h a: x", "19:46:03", Resolution::Second),
            ("2026-11-23 19:46:03.123456+0800 h a: x", "11:46:03.123456", Resolution::Microsecond),
            ("2026-11-23 19:46:03,123 UTC h a: x", "19:46:03.123", Resolution::Millisecond),
            ("Nov 23 2026 19:46:03 +02:00 h a: x", "17:46:03", Resolution::Second),
            ("*Nov 23 19:46:03.001: %SYS-5-CONFIG_I: x", "19:46:03.001", Resolution::Millisecond),
            (".Nov 23 2026 19:46:03 UTC: %SYS-5-CONFIG_I: x", "19:46:03", Resolution::Second),
        ] {
            let timestamp = read(text).timestamp.expect("a timestamp");
            let (time, found, _) = timestamp.resolve(received, &Options::default()).expect(text);
            let expected = Time::parse_rfc3339(&format!("2026-11-23T{expected}Z")).expect(text).0;
            assert_eq!((time, found), (expected, resolution), "{text}");
        }
    }

    #[test]
    fn a_message_without_a_header_is_its_text() {
        for (text, severity, rest) in [
            ("<14>osm: login_log - {}\0", Some(6), "osm: login_log - {}"),
            ("<189>date=2026-11-23 time=19:46:03", Some(5), "date=2026-11-23 time=19:46:03"),
            ("CEF:0|Vendor|Prod", None, "CEF:0|Vendor|Prod"),
            ("<300>x", None, "<300>x"),
        ] {
            let message = Message::parse_any(text.as_bytes()).expect(text);
            assert_eq!((message.severity, &*message.lossy()), (severity, rest), "{text}");
            assert_eq!((message.timestamp, message.host, message.app), (None, None, None));
        }
        for text in ["", "<14>", "<14> \n", "\0"] {
            assert_eq!(Message::parse_any(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn the_year_is_the_newest_that_is_not_ahead() {
        for (received, text, expected) in [
            ("2026-11-20T18:30:20Z", "Nov 20 18:30:15", "2026-11-20T18:30:15.000000000Z"),
            ("2027-01-01T00:00:05Z", "Dec 31 23:59:59", "2026-12-31T23:59:59.000000000Z"),
            ("2026-12-31T23:59:59Z", "Jan  1 00:00:02", "2027-01-01T00:00:02.000000000Z"),
            ("2028-02-29T12:00:00Z", "Feb 29 11:59:59", "2028-02-29T11:59:59.000000000Z"),
            ("2026-11-20T18:30:20Z", "Feb 29 11:59:59", "2024-02-29T11:59:59.000000000Z"),
            ("2026-11-30T12:00:00Z", "Mar  3 10:00:00", "2026-03-03T10:00:00.000000000Z"),
            ("2026-11-30T12:00:00Z", "Dec  1 11:59:59", "2026-12-01T11:59:59.000000000Z"),
            ("2026-11-30T12:00:00Z", "Dec  1 12:00:01", "2025-12-01T12:00:01.000000000Z"),
        ] {
            let text = format!("{text} vm a: b");
            let (received, _) = Time::parse_rfc3339(received).expect("a time");
            let timestamp = read(&text).timestamp.expect("a timestamp");
            let (time, resolution, _) =
                timestamp.resolve(received, &Options::default()).expect(&text);
            assert_eq!((time.to_string().as_str(), resolution), (expected, Resolution::Second));
        }
    }
}
