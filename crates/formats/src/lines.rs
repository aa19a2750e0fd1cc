//! Bodies of lines, one event a line: a bad line is rejected alone.

use crate::item::{Items, item_of};
use crate::spec::Read;
use crate::{Context, Continuation, EnvelopeError, Item};

/// Reads each line of `body` that is not empty. If the format gives a line of a file no key, its
/// position is the key.
pub(crate) fn parse_lines(
    body: &[u8],
    context: &mut Context<'_>,
    read: Read,
    items: &mut Items<'_>,
) -> Result<(), EnvelopeError> {
    for (at, line) in limited_lines(body, context)? {
        let mut item = parse_one(line, context, read);
        if let Item::Event(event) = &mut item
            && event.origin.key.is_none()
        {
            event.origin.key = position_key(context, at);
        }
        items.push(item)?;
    }
    Ok(())
}

/// The lines of a body, each with the number of bytes before it. Errors if there are too many.
pub(crate) fn limited_lines<'a>(
    body: &'a [u8],
    context: &Context<'_>,
) -> Result<Vec<(usize, &'a [u8])>, EnvelopeError> {
    let events_max = context.limits.events_max;
    let lines: Vec<(usize, &[u8])> = lines(body).take(events_max.saturating_add(1)).collect();
    if lines.len() > events_max {
        return Err(EnvelopeError::TooLarge(format!(
            "the body holds more than {events_max} lines"
        )));
    }
    Ok(lines)
}

/// The key of a line of a file: its position. `at` is the number of bytes of the body before it.
pub(crate) fn position_key(context: &Context<'_>, at: usize) -> Option<String> {
    context.position.map(|position| format!("{}:{}", position.file, position.offset + at as u64))
}

/// Reads one line or item that is within the limits.
pub(crate) fn parse_one(raw: &[u8], context: &mut Context<'_>, read: Read) -> Item {
    let bytes_max = context.limits.event_bytes_max;
    let event = if raw.len() > bytes_max {
        Err(format!("event_too_large: {} bytes exceed {bytes_max}", raw.len()).into())
    } else {
        read(raw, context)
    };
    item_of(event, raw)
}

/// The lines that are not empty, without their LF or CRLF, each with the number of bytes before it.
/// A CR without an LF belongs to its line.
pub(crate) fn lines(body: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    body.split_inclusive(|&byte| byte == b'\n')
        .map(move |line| {
            let start = at;
            at += line.len();
            match line.strip_suffix(b"\n") {
                Some(line) => (start, line.strip_suffix(b"\r").unwrap_or(line)),
                None => (start, line),
            }
        })
        .filter(|(_, line)| !line.is_empty())
}

/// How many bytes of a piece of a file are complete lines.
pub(crate) fn complete_lines(piece: &[u8], continuation: Continuation) -> usize {
    match continuation {
        Continuation::Nothing => piece.len(),
        Continuation::More | Continuation::Quiet => {
            let whole = piece.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
            let is_whole = continuation == Continuation::Quiet && is_document(&piece[whole..]);
            if is_whole { piece.len() } else { whole }
        }
    }
}

/// Whether bytes are one whole object or array of JSON. Documents end without a line feed.
fn is_document(bytes: &[u8]) -> bool {
    let begins = matches!(bytes.trim_ascii_start().first(), Some(b'{' | b'['));
    begins && serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
}

/// For formats in which a whole file is one body.
pub(crate) fn complete_body(piece: &[u8], continuation: Continuation) -> usize {
    match continuation {
        Continuation::Nothing => piece.len(),
        Continuation::Quiet if is_document(piece) => piece.len(),
        Continuation::More | Continuation::Quiet => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_endings_are_no_part_of_a_line() {
        let found: Vec<(usize, &[u8])> = lines(b"a\nb\r\n\n\r\n \nc\rd\ne\r").collect();
        assert_eq!(found, [(0, &b"a"[..]), (2, b"b"), (8, b" "), (10, b"c\rd"), (14, b"e\r")]);
        assert_eq!(lines(b"").count(), 0);
    }

    #[test]
    fn a_line_is_whole_with_its_end() {
        for (piece, more, last) in
            [(&b"a\nb"[..], 2, 3), (b"a\nb\n", 4, 4), (b"a", 0, 1), (b"", 0, 0)]
        {
            assert_eq!(complete_lines(piece, Continuation::More), more);
            assert_eq!(complete_lines(piece, Continuation::Quiet), more);
            assert_eq!(complete_lines(piece, Continuation::Nothing), last);
        }
    }

    #[test]
    fn a_document_is_whole_without_a_line_feed() {
        for (piece, quiet, body) in [
            (&b"{\"a\":1}\n{\"b\":[2]}"[..], 17, 0),
            (b"{\"a\":1}\n{\"b\":[2]", 8, 0),
            (b"[{\"a\":1},\n {}]", 14, 14),
            (b"{\"a\": \"b", 0, 0),
            (b"12", 0, 0),
            (b"text", 0, 0),
        ] {
            assert_eq!(complete_body(piece, Continuation::Quiet), body, "{piece:?}");
            assert_eq!(complete_body(piece, Continuation::More), 0);
            if !piece.starts_with(b"[") {
                assert_eq!(complete_lines(piece, Continuation::Quiet), quiet, "{piece:?}");
            }
        }
    }
}
