//! Records of comma-separated values, in which quoted fields may hold line feeds.
//!
//! RFC 4180 with LF or CRLF. A quote that never closes would take everything after it into one
//! record, and a truncated record would swap inside and outside for the rest of its file. A format
//! therefore says how its records look ([`Form`]), and after a piece that is not one, reading
//! continues at the next line that begins one. Text inside quotes is never mistaken for a record,
//! as all its quotes are doubled. Reading takes linear time: a line that is read twice is read from
//! a quote's inside once and from its outside once.
//!
//! The crate `csv` is faster (1.3 GB/s against 1.0 GB/s on the PostgreSQL capture, best of seven
//! runs on one core), but it does not give what this module must: whether a field was quoted, its
//! position in the original, from which secrets are struck out, and an error for a stray or
//! unclosed quote. It takes `"a"b` for the field `ab`.

use std::borrow::Cow;
use std::ops::Range;

use crate::records::{FILE_PIECES_MAX, Piece, limited};
use crate::sql::{self, Spans};
use crate::{Continuation, EnvelopeError};

/// The form of a format's records.
#[derive(Clone, Copy)]
pub(crate) struct Form {
    /// Whether a line may be the first of a record.
    pub begins: fn(&[u8]) -> bool,
    /// Whether these fields of a text form a record.
    pub is_record: fn(&[u8], &[Field]) -> bool,
}

/// A field of a record, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    /// Without the quotes.
    pub content: Range<usize>,
    pub is_quoted: bool,
}

pub(crate) const MALFORMED: &str = "the record's fields or quotes are not those of the format";
pub(crate) const UNCLOSED: &str = "the record breaks off inside quotes";

/// The end of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// After its line end, where the next record begins.
    At(usize),
    /// A quote stands where none is allowed, or there are more than [`FIELDS_MAX`] fields.
    Malformed,
    /// The text ends inside quotes.
    Unclosed,
    /// The text ends without a line end.
    Open,
}

/// Most fields of a record; the widest format has 26. A field of one byte takes 32 in memory.
const FIELDS_MAX: usize = 64;

/// The fields of the record at `start`, and its end.
fn scan(text: &[u8], start: usize) -> (Vec<Field>, End) {
    let (mut fields, mut at) = (Vec::new(), start);
    loop {
        let field = if text.get(at) == Some(&b'"') {
            let Some(end) = quote_end(text, at + 1) else { return (fields, End::Unclosed) };
            let content = at + 1..end;
            at = end + 1;
            Field { content, is_quoted: true }
        } else {
            let from = at;
            while at < text.len() && !matches!(text[at], b',' | b'\n' | b'"') {
                at += 1;
            }
            Field { content: from..at, is_quoted: false }
        };
        if fields.len() == FIELDS_MAX {
            return (fields, End::Malformed);
        }
        fields.push(field);
        match text.get(at) {
            Some(b',') => at += 1,
            Some(b'\n') => return (trimmed(text, fields, at), End::At(at + 1)),
            Some(b'\r') if text.get(at + 1) == Some(&b'\n') => return (fields, End::At(at + 2)),
            None => return (fields, End::Open),
            Some(_) => return (fields, End::Malformed),
        }
    }
}

/// A CR before the line end does not belong to the last field.
fn trimmed(text: &[u8], mut fields: Vec<Field>, end: usize) -> Vec<Field> {
    if let Some(last) = fields.last_mut()
        && !last.is_quoted
        && last.content.end > last.content.start
        && text[end - 1] == b'\r'
    {
        last.content.end -= 1;
    }
    fields
}

/// The position of the closing quote; a doubled quote is content.
fn quote_end(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += text.get(at..)?.iter().position(|&byte| byte == b'"')?;
        if text.get(at + 1) != Some(&b'"') {
            return Some(at);
        }
        at += 2;
    }
}

/// The fields of one record without its line end.
pub(crate) fn fields(record: &[u8]) -> Option<Vec<Field>> {
    match scan(record, 0) {
        (fields, End::Open) => Some(fields),
        _ => None,
    }
}

/// The text of a field.
pub(crate) fn text<'a>(record: &'a str, field: &Field) -> Cow<'a, str> {
    let content = record.get(field.content.clone()).unwrap_or_default();
    if field.is_quoted && content.contains('"') {
        Cow::Owned(content.replace("\"\"", "\""))
    } else {
        Cow::Borrowed(content)
    }
}

/// The spans in a CSV record that `find` returns for its fields.
pub(crate) fn in_fields(
    record: &str,
    fields: &[Field],
    find: &mut dyn FnMut(usize, &str) -> Spans,
) -> Spans {
    let mut spans = Spans::new();
    for (at, field) in fields.iter().enumerate() {
        let start = field.content.start;
        let mut found = find(at, &text(record, field));
        if field.is_quoted {
            let content = record.get(field.content.clone()).unwrap_or_default();
            found = sql::outer(&found, sql::csv_steps(content));
        }
        spans.extend(found.into_iter().map(|span| start + span.start..start + span.end));
    }
    spans
}

/// The pieces of `text`: to its end if nothing follows, else those that are complete. Empty lines
/// are not pieces. Ends with the first piece beyond `max`.
fn split(text: &[u8], form: Form, continuation: Continuation, max: usize) -> (Vec<Piece>, usize) {
    let (mut pieces, mut at) = (Vec::new(), 0);
    while at < text.len() && pieces.len() <= max {
        if let Some(length) = line_end(&text[at..]) {
            at += length;
            continue;
        }
        let (fields, end) = scan(text, at);
        let is_record = (form.is_record)(text, &fields);
        let why = match end {
            End::At(next) if is_record => {
                pieces.push(Piece { span: at..without_line_end(text, at, next), why: None });
                at = next;
                continue;
            }
            End::Open if is_record && continuation == Continuation::Nothing => {
                pieces.push(Piece { span: at..without_line_end(text, at, text.len()), why: None });
                return (pieces, text.len());
            }
            // More of it may come, but not without end.
            End::Open | End::Unclosed
                if continuation != Continuation::Nothing
                    && text.len() - at <= UNCLOSED_BYTES_MAX =>
            {
                return (pieces, at);
            }
            End::Unclosed => UNCLOSED,
            End::At(_) | End::Open | End::Malformed => MALFORMED,
        };
        match next_record(text, at, form) {
            Some(next) => {
                pieces.push(Piece { span: at..without_line_end(text, at, next), why: Some(why) });
                at = next;
            }
            None if continuation == Continuation::Nothing => {
                pieces.push(Piece {
                    span: at..without_line_end(text, at, text.len()),
                    why: Some(why),
                });
                return (pieces, text.len());
            }
            None => return unfinished(text, pieces, at, why),
        }
    }
    (pieces, at)
}

/// Longest incomplete record that is waited for: well above the default limit of an event.
const UNCLOSED_BYTES_MAX: usize = 1024 * 1024;

/// Makes a piece of the complete lines from `at` on: no record begins there, and none follows yet.
fn unfinished(
    text: &[u8],
    mut pieces: Vec<Piece>,
    at: usize,
    why: &'static str,
) -> (Vec<Piece>, usize) {
    let Some(length) = text[at..].iter().rposition(|&byte| byte == b'\n') else {
        return (pieces, at);
    };
    let next = at + length + 1;
    pieces.push(Piece { span: at..without_line_end(text, at, next), why: Some(why) });
    (pieces, next)
}

/// The position of the first complete record after the line at `at`.
fn next_record(text: &[u8], at: usize, form: Form) -> Option<usize> {
    let mut line = at;
    loop {
        line += text[line..].iter().position(|&byte| byte == b'\n')? + 1;
        if (form.begins)(&text[line..]) {
            let (fields, end) = scan(text, line);
            if matches!(end, End::At(_) | End::Open) && (form.is_record)(text, &fields) {
                return Some(line);
            }
        }
    }
}

fn line_end(text: &[u8]) -> Option<usize> {
    match text {
        [b'\n', ..] => Some(1),
        [b'\r', b'\n', ..] => Some(2),
        _ => None,
    }
}

fn without_line_end(text: &[u8], start: usize, end: usize) -> usize {
    let piece = &text[start..end];
    let piece = piece.strip_suffix(b"\n").unwrap_or(piece);
    start + piece.strip_suffix(b"\r").unwrap_or(piece).len()
}

/// The records of a body, and the pieces that are not records: at most `max`.
pub(crate) fn pieces(body: &[u8], form: Form, max: usize) -> Result<Vec<Piece>, EnvelopeError> {
    limited(split(body, form, Continuation::Nothing, max).0, max)
}

/// How many bytes of a piece of a file are complete records.
pub(crate) fn complete_bytes(piece: &[u8], form: Form, continuation: Continuation) -> usize {
    match continuation {
        Continuation::Nothing => piece.len(),
        Continuation::More | Continuation::Quiet => {
            split(piece, form, continuation, FILE_PIECES_MAX).1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number, then two texts.
    const FORM: Form = Form {
        begins: |line| line.first().is_some_and(u8::is_ascii_digit),
        is_record: |text, fields| {
            fields.len() == 3
                && text[fields[0].content.clone()].iter().all(u8::is_ascii_digit)
                && fields[1].is_quoted
        },
    };

    fn split_up(text: &str) -> Vec<(&str, bool)> {
        pieces(text.as_bytes(), FORM, usize::MAX)
            .expect("no limit")
            .into_iter()
            .map(|piece| (&text[piece.span], piece.why.is_none()))
            .collect()
    }

    #[test]
    fn records_end_outside_quotes() {
        let text = "1,\"a\nb\",c\r\n\n2,\"x\"\"\n3,\"\"\"\"y\"\",\"\",\"\"\n4,\"\",d";
        let found = split_up(text);
        assert_eq!(found[0], ("1,\"a\nb\",c", true));
        assert_eq!(split_up("1,\"a\n2,\"\"x\"\",y\",c\n"), [("1,\"a\n2,\"\"x\"\",y\",c", true)]);
        assert_eq!(split_up("4,\"\",d"), [("4,\"\",d", true)]);
        assert_eq!(split_up(""), []);
    }

    #[test]
    fn what_is_no_record_takes_no_other_with_it() {
        for (bad, good) in [
            ("1,\"cut", "2,\"b\",c"),
            ("1,\"a\"b,c", "2,\"b\",c"),
            ("1,a,c", "2,\"b\",c"),
            ("rest of a line\",x\nmore", "2,\"b\",c"),
            ("1,\"cut\n2,\"\"forged\"\",c", "3,\"b\",c"),
            ("1,\"cut\n22,\"cut", "3,\"b\",c"),
        ] {
            let text = format!("{good}\n{bad}\n{good}\n{good}");
            assert_eq!(
                split_up(&text),
                [(good, true), (bad, false), (good, true), (good, true)],
                "{text}"
            );
        }
    }

    #[test]
    fn a_piece_of_a_file_is_whole_to_its_last_record() {
        let long = "x".repeat(UNCLOSED_BYTES_MAX);
        for (text, more, last) in [
            ("1,\"a\",b\n2,\"c\nd", 8, 14),
            ("1,\"a\",b\n2,\"c\nd\",e\n", 18, 18),
            ("1,\"a\",b", 0, 7),
            ("1,\"a\"b\n", 7, 7),
            ("1,\"a\"b\n2,\"", 7, 10),
            ("", 0, 0),
        ] {
            assert_eq!(complete_bytes(text.as_bytes(), FORM, Continuation::More), more, "{text}");
            assert_eq!(complete_bytes(text.as_bytes(), FORM, Continuation::Quiet), more, "{text}");
            assert_eq!(
                complete_bytes(text.as_bytes(), FORM, Continuation::Nothing),
                last,
                "{text}"
            );
        }
        let unclosed = format!("1,\"{long}\n2,\"a\",b\n");
        assert_eq!(complete_bytes(unclosed.as_bytes(), FORM, Continuation::More), unclosed.len());
        let waits = format!("1,\"{}\n2,", &long[8..]);
        assert_eq!(complete_bytes(waits.as_bytes(), FORM, Continuation::More), 0);
    }

    #[test]
    fn splitting_takes_linear_time() {
        for line in [
            "1,\"\n",
            "1,\"\"\n",
            "1,\"\"\"\n",
            "1,\"a\",\"\n",
            "1,\"a\"\n2,\"\n",
            "\"\n",
            "1\n",
            "\"1,\n1,a\n",
        ] {
            // Quadratic time would be minutes.
            let text = line.repeat(300_000);
            drop(pieces(text.as_bytes(), FORM, usize::MAX));
            complete_bytes(text.as_bytes(), FORM, Continuation::More);
        }
    }
}
