//! Header lines that are part of an event, stored with its bytes if it is rejected: without them it
//! could never be parsed again. The lines stand before the body, as in the request: `ce-id: 1`, CR
//! LF, an empty line, the body.

use crate::Item;

/// Prefixes of header names that are part of an event: CloudEvents in binary mode, Nexus.
const MARKS: [&str; 2] = ["ce-", "x-nexus-"];
/// Headers that are stored beside such lines.
const OTHERS: [&str; 2] = ["content-type", "x-request-id"];

/// Header lines, names in lower case.
type Headers = Vec<(String, String)>;

fn is_marked(name: &str) -> bool {
    MARKS.iter().any(|mark| name.starts_with(mark))
}

/// Puts the request's header lines before a rejected record, if it is the whole body.
pub(crate) fn prepend(item: &mut Item, body: &[u8], headers: &[(String, String)]) {
    let Item::Rejected(record) = item else { return };
    if record.raw != body.trim_ascii() && record.raw != body {
        return;
    }
    if !headers.iter().any(|(name, _)| is_marked(name)) {
        return;
    }
    let mut stored = Vec::new();
    for (name, value) in headers {
        let is_stored = is_marked(name) || OTHERS.contains(&name.as_str());
        // A value that was really sent has no line end.
        if is_stored && !value.contains(['\r', '\n']) {
            stored.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
    }
    stored.extend_from_slice(b"\r\n");
    // Exactly as much as is needed: the body may be the largest there is.
    stored.reserve_exact(record.raw.len());
    stored.append(&mut record.raw);
    record.raw = stored;
}

/// The header lines and the body of a record stored so.
pub(crate) fn split(item: &[u8]) -> Option<(Headers, &[u8])> {
    let end = item.windows(4).position(|window| window == b"\r\n\r\n")?;
    let lines = std::str::from_utf8(&item[..end]).ok()?.split("\r\n");
    let headers: Option<Headers> = lines
        .map(|line| {
            let (name, value) = line.split_once(": ")?;
            (is_marked(name) || OTHERS.contains(&name)).then(|| (name.to_owned(), value.to_owned()))
        })
        .collect();
    Some((headers?, &item[end + 4..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_stored_headers_are_split_off() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let stored = b"ce-id: a: b\r\ncontent-type: text/plain\r\n\r\nbody\r\n\r\n";
        let headers = vec![pair("ce-id", "a: b"), pair("content-type", "text/plain")];
        assert_eq!(split(stored), Some((headers, &b"body\r\n\r\n"[..])));
        for other in [
            &b""[..],
            b"\r\n\r\n",
            b"{}",
            b"ce-id: a",
            b"ce-id: a\r\n",
            b"ce-id\r\n\r\n{}",
            b"host: a\r\n\r\n{}",
            b"ce-id: \xff\r\n\r\n{}",
        ] {
            assert_eq!(split(other), None, "{other:?}");
        }
    }
}
