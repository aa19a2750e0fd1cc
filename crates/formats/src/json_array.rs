//! Files that are one JSON array of objects, while they grow: a beginning without an end, and
//! pieces from anywhere between.
//!
//! Objects without an array around them are read alike. Text between two objects belongs to the
//! first up to the line end, else to the second, so that the pieces joined by line feeds are the
//! file. A JSON string holds no line feed: a line feed inside quotes shows that the object was
//! truncated, and reading continues after it.
//!
//! Only the borders of objects are found by hand, because `serde_json` neither resumes after damage
//! nor says where an unfinished object began; each object is then read by `serde_json`.

use crate::records::{FILE_PIECES_MAX, Piece, limited};
use crate::{Continuation, EnvelopeError};

pub(crate) const NO_OBJECT: &str = "the bytes are not a JSON object";
pub(crate) const BREAKS_OFF: &str = "the JSON object breaks off";

/// The end of an object.
enum End {
    At(usize),
    /// A line feed inside a string.
    Cut(usize),
    /// The text ends before it does.
    Open,
}

fn end(text: &[u8], start: usize) -> End {
    let (mut depth, mut in_string, mut is_escaped) = (0u32, false, false);
    for (at, &byte) in text.iter().enumerate().skip(start) {
        if in_string {
            match byte {
                b'\n' => return End::Cut(at),
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return End::At(at + 1);
        }
    }
    End::Open
}

/// The pieces of `text`: to its end if the file ends there, else those that are complete. Also the
/// number of bytes that they take. Ends with the first piece beyond `max`.
fn split(text: &[u8], continuation: Continuation, max: usize) -> (Vec<Piece>, usize) {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut from = 0;
    let is_last = continuation == Continuation::Nothing;
    loop {
        if pieces.len() > max {
            return (pieces, from);
        }
        let start = from + text[from..].iter().take_while(|&&byte| is_between(byte)).count();
        if start == text.len() {
            return finished(text, pieces, from, is_last);
        }
        let (next, why) = match text[start] {
            b'{' => match end(text, start) {
                End::At(end) => match behind(text, end) {
                    None if continuation == Continuation::More => return (pieces, from),
                    next => (next.unwrap_or(text.len()), None),
                },
                End::Cut(line_end) => (line_end + 1, Some(BREAKS_OFF)),
                End::Open if is_last => (text.len(), Some(BREAKS_OFF)),
                End::Open => return (pieces, from),
            },
            _ => match text[start..].iter().position(|&byte| byte == b'\n') {
                Some(length) => (start + length + 1, Some(NO_OBJECT)),
                None if is_last => (text.len(), Some(NO_OBJECT)),
                None => return (pieces, from),
            },
        };
        push(&mut pieces, text, from, next, why);
        from = next;
    }
}

/// Adds a piece; adjacent lines that are not objects form one.
fn push(pieces: &mut Vec<Piece>, text: &[u8], from: usize, next: usize, why: Option<&'static str>) {
    let end = next - usize::from(text[from..next].ends_with(b"\n"));
    match pieces.last_mut() {
        Some(last) if why == Some(NO_OBJECT) && last.why.is_some() => last.span.end = end,
        _ => pieces.push(Piece { span: from..end, why }),
    }
}

/// The rest is not an object but the end of the array, which belongs to the last object.
fn finished(
    text: &[u8],
    mut pieces: Vec<Piece>,
    from: usize,
    is_last: bool,
) -> (Vec<Piece>, usize) {
    let is_end = is_last || (text[from..].contains(&b']') && text.ends_with(b"\n"));
    if !is_end {
        return (pieces, from);
    }
    if let Some(last) = pieces.last_mut()
        && from < text.len()
    {
        last.span.end = text.len() - usize::from(text.ends_with(b"\n"));
    }
    (pieces, text.len())
}

fn is_between(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, b'[' | b',' | b']')
}

/// The position of the next object's piece: after the line end, if nothing else stands before it.
/// `None` if the text ends.
fn behind(text: &[u8], end: usize) -> Option<usize> {
    let at =
        end + text[end..].iter().take_while(|&&byte| byte != b'\n' && is_between(byte)).count();
    let next = text.get(at)?;
    Some(at + usize::from(*next == b'\n'))
}

/// The objects of a body, and the pieces that are not objects: at most `max`.
pub(crate) fn pieces(body: &[u8], max: usize) -> Result<Vec<Piece>, EnvelopeError> {
    limited(split(body, Continuation::Nothing, max).0, max)
}

/// How many bytes of a piece of a file are complete objects. The last object waits for the
/// separator after it, which belongs to it, unless nothing more comes.
pub(crate) fn complete_bytes(piece: &[u8], continuation: Continuation) -> usize {
    match continuation {
        Continuation::Nothing => piece.len(),
        Continuation::More | Continuation::Quiet => split(piece, continuation, FILE_PIECES_MAX).1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split_up(text: &str) -> Vec<(&str, bool)> {
        pieces(text.as_bytes(), usize::MAX)
            .expect("no limit")
            .into_iter()
            .map(|piece| (&text[piece.span], piece.why.is_none()))
            .collect()
    }

    #[test]
    fn pieces_joined_by_line_feeds_are_the_file() {
        for text in [
            "[\n  {\"a\":1},\n  {\"b\":[{}]}\n]\n",
            "[\n{\n  \"a\": {\n\"x\": 1}\n},\n{}\n]\n",
            "{\"a\":\"}\\\"{\"}\n{}\n",
            "[{}\n,{}\n]\n",
        ] {
            let joined: String =
                split_up(text).into_iter().map(|(piece, _)| format!("{piece}\n")).collect();
            assert_eq!(joined, text);
            assert!(split_up(text).into_iter().all(|(_, is_record)| is_record), "{text}");
        }
    }

    #[test]
    fn what_is_no_object_takes_no_other_with_it() {
        for (text, expected) in [
            (
                "[{},\n{\"a\":\"cut\n{}]",
                vec![("[{},", true), ("{\"a\":\"cut", false), ("{}]", true)],
            ),
            ("{}\nx\ny\n{}", vec![("{}", true), ("x\ny", false), ("{}", true)]),
            ("[{},\n{\"a\":{", vec![("[{},", true), ("{\"a\":{", false)]),
            (",\n{},{}", vec![(",\n{},", true), ("{}", true)]),
            ("]", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(split_up(text), expected, "{text}");
        }
    }

    #[test]
    fn a_growing_file_is_whole_to_its_last_object() {
        for (text, more, quiet) in [
            ("[\n  {\"a\":1},\n  {\"b\":1}", 13, 22),
            ("[\n  {\"a\":1},\n  {\"b\":1", 13, 13),
            ("[\n  {\"a\":1}", 0, 11),
            ("[\n", 0, 0),
            ("[\n{}\n]\n", 7, 7),
            ("x", 0, 0),
            ("x\n{", 2, 2),
        ] {
            assert_eq!(complete_bytes(text.as_bytes(), Continuation::More), more, "{text}");
            assert_eq!(complete_bytes(text.as_bytes(), Continuation::Quiet), quiet, "{text}");
            assert_eq!(
                complete_bytes(text.as_bytes(), Continuation::Nothing),
                text.len(),
                "{text}"
            );
        }
    }

    #[test]
    fn splitting_takes_linear_time() {
        for piece in ["{", "{\"", "{\"\n", "{}", "[", "x\n", "{{}\n", "\"", "]"] {
            // Quadratic time would be minutes.
            drop(pieces(piece.repeat(300_000).as_bytes(), usize::MAX));
        }
    }
}
