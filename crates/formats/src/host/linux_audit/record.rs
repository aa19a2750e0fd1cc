//! One record: its head, and its fields without their encodings.

use std::borrow::Cow;

use crate::syslog_message::Message;
use event::Time;

/// The head of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// Empty if neither the record nor the syslog message around it names one.
    pub(super) node: &'a str,
    pub(super) kind: &'a str,
    pub(super) time: Time,
    /// `SECONDS.MMM:SERIAL`.
    pub(super) event_id: &'a str,
    pub(super) serial: u64,
    /// The text after the head.
    pub(super) text: &'a [u8],
}

/// Reads the head of a record, which may stand in a syslog message.
pub(super) fn line(bytes: &[u8]) -> Option<Line<'_>> {
    if let Some(line) = bare(bytes) {
        return Some(line);
    }
    let message = Message::parse(bytes)?;
    let line = bare(message.text)?;
    let node = if line.node.is_empty() { message.host.unwrap_or_default() } else { line.node };
    Some(Line { node, ..line })
}

fn bare(bytes: &[u8]) -> Option<Line<'_>> {
    let (node, rest) = match bytes.strip_prefix(b"node=") {
        Some(rest) => node(rest)?,
        None => ("", bytes),
    };
    let (kind, rest) = word(rest.strip_prefix(b"type=")?)?;
    let rest = rest.strip_prefix(b"msg=audit(")?;
    let end = rest.iter().take(HEAD_BYTES_MAX).position(|&byte| byte == b')')?;
    let event_id = std::str::from_utf8(&rest[..end]).ok()?;
    let (time, serial) = event_id.split_once(':')?;
    let text = rest[end + 1..].strip_prefix(b":").unwrap_or(&rest[end + 1..]);
    (!kind.is_empty()).then_some(())?;
    Some(Line { node, kind, time: self::time(time)?, event_id, serial: number(serial)?, text })
}

/// Longest `SECONDS.MMM:SERIAL`, generously.
const HEAD_BYTES_MAX: usize = 48;

/// The name of a node, which may hold spaces, and the text after it.
fn node(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.windows(NEXT.len()).take(NODE_BYTES_MAX).position(|window| window == NEXT)?;
    Some((std::str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 1..]))
}

/// The text after a node.
const NEXT: &[u8] = b" type=";
/// Longest name of a node, generously.
const NODE_BYTES_MAX: usize = 1024;

fn word(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.iter().position(|&byte| byte == b' ')?;
    Some((std::str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 1..]))
}

fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn time(text: &str) -> Option<Time> {
    let (seconds, milliseconds) = text.split_once('.').filter(|(_, after)| after.len() == 3)?;
    let milliseconds = number(seconds)?.checked_mul(1000)?.checked_add(number(milliseconds)?)?;
    i64::try_from(milliseconds).ok()?.checked_mul(1_000_000).map(Time::from_unix_ns)
}

/// A record with its fields.
#[derive(Debug)]
pub(super) struct Record<'a> {
    pub(super) line: Line<'a>,
    /// The fields of the kernel or the program, in order. Those inside `msg='…'` follow those
    /// before it.
    fields: Vec<(String, String)>,
    /// The fields that the daemon added.
    added: Vec<(String, String)>,
    pub(super) is_invalid_utf8: bool,
}

impl<'a> Line<'a> {
    pub(super) fn record(self) -> Record<'a> {
        let end = self.text.iter().position(|&byte| byte == SEPARATOR).unwrap_or(self.text.len());
        let (original, added) = self.text.split_at(end);
        let mut record =
            Record { line: self, fields: Vec::new(), added: Vec::new(), is_invalid_utf8: false };
        let original = record.lossy(original);
        let mut fields = Vec::new();
        read(&original, &mut fields, true);
        for (name, value, is_quoted) in fields {
            let value = if is_quoted { value } else { record.decoded(&name, value) };
            record.fields.push((name, value));
        }
        let added = record.lossy(added.strip_prefix(&[SEPARATOR]).unwrap_or(added));
        let mut fields = Vec::new();
        read(&added, &mut fields, false);
        record.added = fields.into_iter().map(|(name, value, _)| (name, value)).collect();
        record
    }
}

impl Record<'_> {
    /// The first field of this name, if it has a value.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        meaningful(&self.fields, name)
    }

    /// The daemon's field of this name, which is in capitals.
    pub(super) fn added(&self, name: &str) -> Option<&str> {
        meaningful(&self.added, name).filter(|value| *value != "unset")
    }

    pub(super) fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The text of all fields, in one line.
    pub(super) fn text(&self) -> String {
        let end = self.line.text.iter().position(|&byte| byte == SEPARATOR);
        let original = &self.line.text[..end.unwrap_or(self.line.text.len())];
        String::from_utf8_lossy(original).trim().to_owned()
    }

    fn lossy(&mut self, bytes: &[u8]) -> String {
        let text = String::from_utf8_lossy(bytes);
        self.is_invalid_utf8 |= matches!(text, Cow::Owned(_));
        text.into_owned()
    }

    /// A text in hexadecimal digits is decoded.
    fn decoded(&mut self, name: &str, value: String) -> String {
        let is_argument = self.line.kind == "EXECVE"
            && name
                .strip_prefix('a')
                .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
            && !name.ends_with("_len");
        if !is_argument && !ENCODED.contains(&name) {
            return value;
        }
        match hexadecimal(&value) {
            Some(bytes) => self.lossy(&bytes),
            None => value,
        }
    }
}

/// The byte before the fields that the daemon added to an enriched record.
const SEPARATOR: u8 = 0x1d;

/// Fields whose values may be written in hexadecimal digits.
const ENCODED: [&str; 23] = [
    "acct",
    "cgroup",
    "cmd",
    "comm",
    "cwd",
    "data",
    "device",
    "dir",
    "exe",
    "file",
    "grp",
    "key",
    "name",
    "new-disk",
    "ocomm",
    "old-disk",
    "path",
    "proctitle",
    "sw",
    "table",
    "unit",
    "vm",
    "watch",
];

fn meaningful<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let (_, value) = fields.iter().find(|(one, _)| one == name)?;
    Some(value.as_str()).filter(|value| !matches!(*value, "" | "?" | "(null)" | "(none)"))
}

/// Upper case hexadecimal digits in pairs.
pub(super) fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    if text.is_empty() || text.bytes().any(|byte| byte.is_ascii_lowercase()) {
        return None;
    }
    hex::decode(text).ok()
}

/// Splits `name=value`, with whether the value was quoted. Words without a name belong to the value
/// before them: `op=adding user`. The content of `msg='…'` is fields again, unless `is_outer` is
/// false.
fn read(text: &str, fields: &mut Vec<(String, String, bool)>, is_outer: bool) {
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(' ');
        if rest.is_empty() {
            return;
        }
        let end = rest.find([' ', '=']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let Some(value) = after.strip_prefix('=') else {
            match fields.last_mut() {
                Some((_, value, false)) => value.extend([" ", name]),
                _ => fields.push(("text".to_owned(), name.to_owned(), false)),
            }
            rest = after;
            continue;
        };
        // The last quote ends a message, which may hold others; the next one ends a text.
        if let Some(value) = value.strip_prefix('\'').filter(|_| is_outer && name == "msg") {
            let (inner, after) = value.rsplit_once('\'').unwrap_or((value, ""));
            read(inner, fields, false);
            rest = after;
        } else if let Some(value) = value.strip_prefix('"') {
            let (value, after) = value.split_once('"').unwrap_or((value, ""));
            fields.push((name.to_owned(), value.to_owned(), true));
            rest = after;
        } else {
            let (value, after) = value.split_at(value.find(' ').unwrap_or(value.len()));
            fields.push((name.to_owned(), value.to_owned(), false));
            rest = after;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(text: &str) -> Record<'_> {
        line(text.as_bytes()).expect(text).record()
    }

    #[test]
    fn heads_are_read_with_node_and_in_messages() {
        let text = "type=PATH msg=audit(1795198632.044:626): item=0";
        for (line, node) in [
            (text.to_owned(), ""),
            (format!("node=vm {text}"), "vm"),
            (
                format!(
                    "<182>1 2026-11-20T18:17:12.046638+00:00 host audispd 31136 - -  node=vm {text}"
                ),
                "vm",
            ),
            (format!("Nov 20 18:17:12 host audispd[31136]: {text}"), "host"),
        ] {
            let line = super::line(line.as_bytes()).expect(&line);
            assert_eq!((line.node, line.kind, line.serial), (node, "PATH", 626));
            assert_eq!((line.event_id, line.text), ("1795198632.044:626", &b" item=0"[..]));
            assert_eq!(line.time.to_string(), "2026-11-20T18:17:12.044000000Z");
        }
        for text in [
            "",
            "type=PATH",
            "type= msg=audit(1.000:1): a",
            "type=A msg=audit(1.00:1): a",
            "type=A msg=audit(1.000:): a",
            "type=A msg=audit(1.000:+1): a",
            "type=A msg=audit(99999999999999.000:1): a",
            "type=A msg=audit(1.000:1",
            "Nov 20 18:17:12 host sshd: x",
        ] {
            assert_eq!(line(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn fields_are_quoted_encoded_or_plain() {
        let text = "type=USER_CMD msg=audit(1.000:1): pid=7 uid=0 op=adding user id=1001 key=\"a b\" exe=2F746D702F6120 \
                    comm=cafe acct=\"CAFE\" tty=(none) msg='uid=9 cwd=\"/tmp\" cmd=6C73202F hostname=? it's=x res=failed'";
        let enriched = format!("{text}\u{1d}UID=\"root\" AUID=\"unset\" SYSCALL=openat");
        for record in [record(text), record(&enriched)] {
            for (name, value) in [
                ("uid", Some("0")),
                ("op", Some("adding user")),
                ("id", Some("1001")),
                ("key", Some("a b")),
                ("exe", Some("/tmp/a ")),
                ("comm", Some("cafe")),
                ("acct", Some("CAFE")),
                ("tty", None),
                ("cwd", Some("/tmp")),
                ("cmd", Some("ls /")),
                ("hostname", None),
                ("it's", Some("x")),
                ("res", Some("failed")),
                ("UID", None),
            ] {
                assert_eq!(record.field(name), value, "{name}");
            }
        }
        let enriched = record(&enriched);
        assert_eq!((enriched.added("UID"), enriched.added("AUID")), (Some("root"), None));
        assert_eq!(enriched.added("SYSCALL"), Some("openat"));
        assert!(!enriched.text().contains("SYSCALL"));
    }

    #[test]
    fn only_texts_are_decoded() {
        let execve = record(
            "type=EXECVE msg=audit(1.000:1): argc=2 a0=\"sh\" a1=2D63 a1_len=12 a2[0]=C3BC a2[1]=41",
        );
        let fields: Vec<_> = execve.fields().collect();
        let expected = [
            ("argc", "2"),
            ("a0", "sh"),
            ("a1", "-c"),
            ("a1_len", "12"),
            ("a2[0]", "ü"),
            ("a2[1]", "A"),
        ];
        assert_eq!(fields, expected);
        let syscall = record("type=SYSCALL msg=audit(1.000:1): a0=2F a1=41 inode=4142");
        assert_eq!((syscall.field("a0"), syscall.field("inode")), (Some("2F"), Some("4142")));
        let latin1 = record("type=PATH msg=audit(1.000:1): name=E9");
        assert_eq!((latin1.field("name"), latin1.is_invalid_utf8), (Some("\u{fffd}"), true));
        assert_eq!(hexadecimal("ABC"), None);
        assert_eq!(hexadecimal("ab"), None);
    }
}
