//! The journal export format: entries of fields, each ended by an empty line.
//!
//! A field is `NAME=value` and a line feed. If the value holds line feeds or other control
//! characters, it is `NAME`, a line feed, the value's length in eight bytes with the lowest first,
//! the value and a line feed.

use super::is_field_name;

/// An entry, or bytes that are not one.
pub(super) struct Entry<'a> {
    /// Without the empty line.
    pub(super) raw: &'a [u8],
    /// Names and values in order, or the error.
    pub(super) fields: Result<Vec<(&'a str, &'a [u8])>, NoEntry>,
}

/// The reason why bytes are not an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoEntry {
    /// The bytes end before it does. Whatever they hold belongs to it, however it looks.
    BreaksOff,
    /// No entry has this form.
    Malformed(&'static str),
}

/// The beginning of every entry, after the empty line of the one before it.
const NEXT: &[u8] = b"\n\n__CURSOR=";

/// The entries of a body.
///
/// After bytes that are not a field, the search for the next entry continues from there, so that
/// each byte is read once.
pub(super) fn entries(body: &[u8]) -> impl Iterator<Item = Entry<'_>> {
    let mut rest = body;
    std::iter::from_fn(move || {
        while let Some(after) = rest.strip_prefix(b"\n") {
            rest = after;
        }
        if rest.is_empty() {
            return None;
        }
        let start = rest;
        let fields = fields(&mut rest);
        match fields {
            Ok(_) => {}
            Err(NoEntry::BreaksOff) => rest = &[],
            Err(NoEntry::Malformed(_)) => {
                let skipped = position(rest, NEXT).map_or(rest.len(), |at| at + 1);
                rest = &rest[skipped..];
            }
        }
        Some(Entry { raw: &start[..start.len() - rest.len()], fields })
    })
}

/// The bytes up to the end of the last entry that has its empty line.
pub(super) fn complete_bytes(piece: &[u8]) -> usize {
    let (mut rest, mut whole) = (piece, 0);
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix(b"\n") {
            rest = after;
            whole = piece.len() - rest.len();
            continue;
        }
        match fields(&mut rest) {
            Ok(_) => {}
            Err(NoEntry::BreaksOff) => break,
            Err(NoEntry::Malformed(_)) => match position(rest, NEXT) {
                Some(at) => rest = &rest[at + 1..],
                None => break,
            },
        }
    }
    whole
}

/// Most fields of an entry, as in journald; real entries have up to sixty.
const FIELDS_MAX: usize = 1024;

/// Takes fields up to an empty line or the end.
fn fields<'a>(rest: &mut &'a [u8]) -> Result<Vec<(&'a str, &'a [u8])>, NoEntry> {
    let mut fields = Vec::new();
    while !rest.is_empty() && rest[0] != b'\n' {
        if fields.len() == FIELDS_MAX {
            return Err(NoEntry::Malformed("an entry has more fields than journald allows"));
        }
        fields.push(field(rest)?);
    }
    Ok(fields)
}

fn field<'a>(rest: &mut &'a [u8]) -> Result<(&'a str, &'a [u8]), NoEntry> {
    let end = rest.iter().position(|&byte| byte == b'\n').ok_or(NoEntry::BreaksOff)?;
    let line = &rest[..end];
    let (name, value) = match line.iter().position(|&byte| byte == b'=') {
        Some(at) => (&line[..at], Some(&line[at + 1..])),
        None => (line, None),
    };
    let text = std::str::from_utf8(name)
        .ok()
        .filter(|_| is_field_name(name))
        .ok_or(NoEntry::Malformed("no field begins so"))?;
    let after = &rest[end + 1..];
    let Some(value) = value else {
        let (value, after) = binary(after)?;
        *rest = after;
        return Ok((text, value));
    };
    *rest = after;
    Ok((text, value))
}

/// A value with its length before it.
fn binary(bytes: &[u8]) -> Result<(&[u8], &[u8]), NoEntry> {
    let (length, after) = bytes.split_first_chunk::<8>().ok_or(NoEntry::BreaksOff)?;
    let length = u64::from_le_bytes(*length);
    let length = usize::try_from(length).ok().filter(|length| *length <= VALUE_BYTES_MAX);
    let length = length.ok_or(NoEntry::Malformed("a field is longer than any"))?;
    let (value, after) = after.split_at_checked(length).ok_or(NoEntry::BreaksOff)?;
    match after.split_first() {
        Some((b'\n', after)) => Ok((value, after)),
        Some(_) => Err(NoEntry::Malformed("no line feed follows a field's value")),
        None => Err(NoEntry::BreaksOff),
    }
}

/// Longest value that journald accepts.
const VALUE_BYTES_MAX: usize = 768 * 1024 * 1024;

fn position(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).position(|window| window == pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binary_field(name: &str, value: &[u8]) -> Vec<u8> {
        let length = u64::try_from(value.len()).expect("small").to_le_bytes();
        [name.as_bytes(), b"\n", &length, value, b"\n"].concat()
    }

    #[test]
    fn lengths_are_respected() {
        let tricky = binary_field("MESSAGE", b"a\n\n__CURSOR=x\n\n");
        let body = [b"__CURSOR=1\n", &tricky[..], b"\n__CURSOR=2\nA=b=c\n\n"].concat();
        let found: Vec<Entry<'_>> = entries(&body).collect();
        assert_eq!(found.len(), 2);
        let first = found[0].fields.as_ref().expect("fields");
        assert_eq!(first, &[("__CURSOR", &b"1"[..]), ("MESSAGE", b"a\n\n__CURSOR=x\n\n")]);
        assert_eq!(found[0].raw, [b"__CURSOR=1\n", &tricky[..]].concat());
        let second = found[1].fields.as_ref().expect("fields");
        assert_eq!(second, &[("__CURSOR", &b"2"[..]), ("A", b"b=c")]);
        // Only complete entries count, wherever the piece ends.
        let first_len = 11 + tricky.len() + 1;
        for end in 0..body.len() {
            let expected = if end < first_len { 0 } else { first_len };
            assert_eq!(complete_bytes(&body[..end]), expected, "{end}");
        }
        assert_eq!(complete_bytes(&body), body.len());
    }

    #[test]
    fn what_is_no_entry_ends_where_the_next_begins() {
        let bad = [
            &b"lower=case\n"[..],
            b"MESSAGE\n\xff\xff\xff\xff\xff\xff\xff\x7f",
            b"MESSAGE\n\x01\0\0\0\0\0\0\0ab\n",
            b"=x\n",
        ];
        for bad in bad {
            let body = [b"__CURSOR=1\nA=b\n\n", bad, b"rest\n\n__CURSOR=2\nA=b\n\n"].concat();
            let found: Vec<Entry<'_>> = entries(&body).collect();
            let good: Vec<bool> = found.iter().map(|entry| entry.fields.is_ok()).collect();
            assert_eq!(good, [true, false, true], "{bad:?}");
            assert_eq!(found[2].raw, b"__CURSOR=2\nA=b\n");
            assert!(body.windows(found[1].raw.len()).any(|window| window == found[1].raw));
            assert!(found[1].raw.ends_with(b"rest\n"));
            assert_eq!(complete_bytes(&body), body.len());
        }
    }

    #[test]
    fn what_breaks_off_holds_no_entry() {
        let message = binary_field("MESSAGE", b"x\n\n__CURSOR=forged\nMESSAGE=y\n\n more");
        let cut = [b"__CURSOR=1\n", &message[..message.len() - 3]].concat();
        let found: Vec<Entry<'_>> = entries(&cut).collect();
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].fields.as_ref().err(), found[0].raw),
            (Some(&NoEntry::BreaksOff), &cut[..])
        );
        assert_eq!(complete_bytes(&cut), 0);
    }
}
