//! Files of `<AUDIT_RECORD>` elements, in either style: with elements inside (new), or with
//! attributes (old).
//!
//! This reader is for these files alone. The writers escape every `<` in texts and attributes, by
//! the five entities and numbered ones, so that a record is the text between the beginnings of two
//! records. Text between two records belongs to the first up to the line end, else to the second,
//! so that the pieces joined by line feeds are the file.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::records::{FILE_PIECES_MAX, Piece, limited};
use crate::sql::{self, Spans};
use crate::{Continuation, EnvelopeError};

pub(crate) const NO_RECORD: &str = "the bytes are not an AUDIT_RECORD element";
pub(crate) const BREAKS_OFF: &str = "the AUDIT_RECORD element breaks off";

const RECORD: &str = "<AUDIT_RECORD";
const RECORD_END: &str = "</AUDIT_RECORD>";

/// Text that may stand before the first record and after the last.
const ROOT: [&str; 2] = ["<AUDIT>", "</AUDIT>"];

/// Longest declaration at the beginning of a file.
const DECLARATION_BYTES_MAX: usize = 256;

/// The position of the next record.
fn record_at(text: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += text[at..].iter().position(|&byte| byte == b'<')?;
        let is_record = text[at..].starts_with(RECORD.as_bytes())
            && text
                .get(at + RECORD.len())
                .is_none_or(|byte| byte.is_ascii_whitespace() || *byte == b'>');
        if is_record {
            return Some(at);
        }
        at += 1;
    }
}

/// The end of the first record in `text`, if nothing but further records follows.
fn record_end(text: &[u8]) -> Option<usize> {
    let end = match text.get(RECORD.len())? {
        b'>' => RECORD_END,
        _ => "/>",
    };
    let at = text.windows(end.len()).rposition(|window| window == end.as_bytes())?;
    Some(at + end.len())
}

/// The pieces of `text`: to its end if the file ends there, else those that are complete. Also the
/// number of bytes that they take. Ends with the first piece beyond `max`.
fn split(text: &[u8], continuation: Continuation, max: usize) -> (Vec<Piece>, usize) {
    let (mut pieces, mut from) = (Vec::new(), 0);
    let is_last = continuation == Continuation::Nothing;
    let mut next_start = record_at(text, 0);
    while let Some(start) = next_start {
        if pieces.len() > max {
            return (pieces, from);
        }
        next_start = record_at(text, start + 1);
        if !is_between(&text[from..start]) {
            push(&mut pieces, text, from, start, Some(NO_RECORD));
            from = start;
        }
        let limit = next_start.unwrap_or(text.len());
        let (next, why) = match record_end(&text[start..limit]) {
            Some(length) => match behind(&text[..limit], start + length) {
                None if next_start.is_none() && continuation == Continuation::More => {
                    return (pieces, from);
                }
                next => (next.unwrap_or(limit), None),
            },
            None if next_start.is_none() && !is_last => return (pieces, from),
            None => (limit, Some(BREAKS_OFF)),
        };
        push(&mut pieces, text, from, next, why);
        from = next;
    }
    rest(text, pieces, from, is_last)
}

fn push(pieces: &mut Vec<Piece>, text: &[u8], from: usize, next: usize, why: Option<&'static str>) {
    let end = next - usize::from(text[from..next].ends_with(b"\n"));
    pieces.push(Piece { span: from..end, why });
}

/// The text after the last record.
fn rest(text: &[u8], mut pieces: Vec<Piece>, from: usize, is_last: bool) -> (Vec<Piece>, usize) {
    let rest = &text[from..];
    if rest.is_empty() {
        return (pieces, from);
    }
    let is_between = is_between(rest);
    let ends_file = rest.windows(ROOT[1].len()).any(|window| window == ROOT[1].as_bytes())
        && rest.ends_with(b"\n");
    let whole = match (is_last, is_between) {
        (true, _) => text.len(),
        (false, true) if ends_file => text.len(),
        (false, true) => return (pieces, from),
        // The last line may be the beginning of a record.
        (false, false) => match rest.iter().rposition(|&byte| byte == b'\n') {
            Some(length) => from + length + 1,
            None => return (pieces, from),
        },
    };
    match pieces.last_mut() {
        Some(last) if is_between => {
            last.span.end = whole - usize::from(text[..whole].ends_with(b"\n"))
        }
        None if is_between => {}
        _ => push(&mut pieces, text, from, whole, Some(NO_RECORD)),
    }
    (pieces, whole)
}

/// Whether the text has only the root element's tags and a declaration.
fn is_between(text: &[u8]) -> bool {
    let mut rest = text.trim_ascii();
    while !rest.is_empty() {
        let length = if rest.starts_with(b"<?xml") {
            rest.windows(2)
                .take(DECLARATION_BYTES_MAX)
                .position(|window| window == b"?>")
                .map(|at| at + 2)
        } else {
            ROOT.iter().find(|tag| rest.starts_with(tag.as_bytes())).map(|tag| tag.len())
        };
        match length {
            Some(length) => rest = rest[length..].trim_ascii_start(),
            None => return false,
        }
    }
    true
}

/// The position of the next record's piece: after the line end, if nothing else stands before it.
/// `None` if the text ends.
fn behind(text: &[u8], end: usize) -> Option<usize> {
    let spaces =
        text[end..].iter().take_while(|&&byte| byte != b'\n' && byte.is_ascii_whitespace()).count();
    let next = text.get(end + spaces)?;
    Some(end + spaces + usize::from(*next == b'\n'))
}

/// The records of a body, and the pieces that are not records: at most `max`.
pub(crate) fn pieces(body: &[u8], max: usize) -> Result<Vec<Piece>, EnvelopeError> {
    limited(split(body, Continuation::Nothing, max).0, max)
}

/// How many bytes of a piece of a file are complete records. The last one waits for its line end,
/// unless nothing more comes.
pub(crate) fn complete_bytes(piece: &[u8], continuation: Continuation) -> usize {
    match continuation {
        Continuation::Nothing => piece.len(),
        Continuation::More | Continuation::Quiet => split(piece, continuation, FILE_PIECES_MAX).1,
    }
}

/// A text or attribute of a record, as written.
struct Field {
    name: String,
    content: Range<usize>,
}

/// The texts and attributes of the record in `text`, names in lower case. A nested text has the
/// names of both its element and its own key: `connection_attributes.program_name`.
pub(crate) fn fields(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut found = BTreeMap::new();
    for Field { name, content } in written(text)? {
        let value = unescaped(&text[content]);
        if found.insert(name.clone(), value).is_some() {
            return Err(format!("{name:?} appears twice"));
        }
    }
    Ok(found)
}

/// The spans in the text that `find` returns for each field; `find` is given the field's name.
pub(crate) fn in_fields(text: &str, find: &mut dyn FnMut(&str, &str) -> Spans) -> Spans {
    let mut spans = Spans::new();
    for Field { name, content } in written(text).unwrap_or_default() {
        let start = content.start;
        let content = &text[content];
        let found = sql::outer(&find(&name, &unescaped(content)), sql::xml_steps(content, entity));
        spans.extend(found.into_iter().map(|span| start + span.start..start + span.end));
    }
    spans
}

fn written(text: &str) -> Result<Vec<Field>, String> {
    let start = text.find(RECORD).ok_or(NO_RECORD)? + RECORD.len();
    match text[start..].strip_prefix('>') {
        Some(_) => elements(text, start + 1),
        None => attributes(text, start),
    }
}

/// Reads ` NAME="value"` up to `/>`.
fn attributes(text: &str, start: usize) -> Result<Vec<Field>, String> {
    let (mut found, mut at) = (Vec::new(), start);
    loop {
        let rest = &text[at..];
        let trimmed = rest.trim_start();
        if trimmed.starts_with("/>") {
            return Ok(found);
        }
        at += rest.len() - trimmed.len();
        let (name, value) = trimmed.split_once("=\"").ok_or("an attribute has no value")?;
        if !is_name(name) {
            return Err("an attribute has no name".to_owned());
        }
        let from = at + name.len() + 2;
        let length = value.find('"').ok_or("an attribute has no end")?;
        found.push(Field { name: name.to_ascii_lowercase(), content: from..from + length });
        at = from + length + 1;
    }
}

/// Deepest nesting of elements in a record; real ones have three.
const DEPTH_MAX: usize = 8;

/// Reads `<NAME>text</NAME>` and `<NAME/>` up to the record's end.
fn elements(text: &str, start: usize) -> Result<Vec<Field>, String> {
    let (mut found, mut at) = (Vec::new(), start);
    let mut open: Vec<&str> = Vec::new();
    let mut key = String::new();
    loop {
        let tag_at = at + text[at..].find('<').ok_or(BREAKS_OFF)?;
        let tag_end = tag_at + text[tag_at..].find('>').ok_or(BREAKS_OFF)?;
        let tag = &text[tag_at + 1..tag_end];
        if let Some(name) = tag.strip_prefix('/') {
            let Some(opened) = open.pop() else {
                return if name == &RECORD[1..] { Ok(found) } else { Err(mismatch(name)) };
            };
            if opened != name {
                return Err(mismatch(name));
            }
            let is_leaf = text[..at].ends_with(&format!("<{name}>"));
            if is_leaf {
                leaf(text, &open, name, at..tag_at, &mut key, &mut found);
            }
        } else if let Some(name) = tag.strip_suffix('/') {
            if open.is_empty() && is_name(name.trim_end()) {
                found.push(Field { name: name.trim_end().to_ascii_lowercase(), content: at..at });
            }
        } else if is_name(tag) && open.len() < DEPTH_MAX {
            open.push(tag);
        } else {
            return Err("an element has no name, or is too deep".to_owned());
        }
        at = tag_end + 1;
    }
}

fn mismatch(name: &str) -> String {
    format!("no element {:?} is open", name.chars().take(64).collect::<String>())
}

/// Adds a text. Nested ones come as a key or name followed by a value.
fn leaf(
    text: &str,
    open: &[&str],
    name: &str,
    content: Range<usize>,
    key: &mut String,
    found: &mut Vec<Field>,
) {
    let name = name.to_ascii_lowercase();
    match (open.first(), &*name) {
        (None, _) => found.push(Field { name, content }),
        (Some(_), "key" | "name") => *key = unescaped(&text[content]),
        (Some(outer), "value") => {
            found.push(Field { name: format!("{}.{key}", outer.to_ascii_lowercase()), content });
        }
        (Some(outer), _) => {
            found.push(Field { name: format!("{}.{name}", outer.to_ascii_lowercase()), content })
        }
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn entity(name: &str) -> Option<char> {
    Some(match name {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "quot" => '"',
        "apos" => '\'',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix('x') {
                Some(digits) => u32::from_str_radix(digits, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)?
        }
    })
}

/// The text with its entities resolved; unknown entities stay as written.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let (length, char) = sql::entity_at(rest, entity).unwrap_or((1, '&'));
        out.push(char);
        rest = &rest[length..];
    }
    out.push_str(rest);
    out
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

    const NEW: &str = "<AUDIT_RECORD>\n <A>1</A>\n</AUDIT_RECORD>";
    const OLD: &str = "<AUDIT_RECORD\n A=\"1\"\n/>";

    #[test]
    fn pieces_joined_by_line_feeds_are_the_file() {
        for text in [
            format!("<?xml version=\"1.0\"?>\n<AUDIT>\n {NEW}\n {OLD}\n</AUDIT>\n"),
            format!("{OLD}\n{OLD}\n"),
            format!("<AUDIT>{NEW}\n\n{NEW}\n"),
        ] {
            let joined: String =
                split_up(&text).into_iter().map(|(piece, _)| format!("{piece}\n")).collect();
            assert_eq!(joined, text);
            assert_eq!(split_up(&text).len(), 2);
            assert!(split_up(&text).into_iter().all(|(_, is_record)| is_record), "{text}");
        }
    }

    #[test]
    fn what_is_no_record_takes_no_other_with_it() {
        for (bad, is_alone) in
            [("<AUDIT_RECORD>\n <A>1</A>", true), ("<AUDIT_RECORD\n A=\"x", true), ("x <b>", true)]
        {
            let text = format!("{NEW}\n{bad}\n{OLD}\n");
            assert_eq!(split_up(&text), [(NEW, true), (bad, !is_alone), (OLD, true)], "{text}");
            let text = format!("{NEW}\n{bad}");
            assert_eq!(split_up(&text), [(NEW, true), (bad, false)], "{text}");
        }
        assert_eq!(split_up("</AUDIT>\n"), []);
        assert_eq!(split_up("x\n"), [("x", false)]);
    }

    #[test]
    fn a_growing_file_is_whole_to_its_last_record() {
        let head = "<?xml version=\"1.0\"?>\n<AUDIT>\n";
        let (one, two) = (format!("{head}{NEW}\n"), format!("{head}{NEW}\n{NEW}"));
        for (text, more, quiet) in [
            (one.clone(), one.len(), one.len()),
            (two.clone(), one.len(), two.len()),
            (format!("{one}<AUDIT_REC"), one.len(), one.len()),
            (format!("{one}{}", &NEW[..20]), one.len(), one.len()),
            (format!("{one}</AUDIT>\n"), one.len() + 9, one.len() + 9),
            (head.to_owned(), 0, 0),
            ("x\n<".to_owned(), 2, 2),
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
    fn fields_are_texts_and_attributes() {
        let of = |text: &str| fields(text).map(|fields| format!("{fields:?}"));
        let expected = r#"{"a": "x<&'\"é\n&y;", "b": "", "c": ""}"#;
        let text = "<AUDIT_RECORD>\n<A>x&lt;&amp;&apos;&quot;&#xe9;&#10;&y;</A><B/>\n<C></C></AUDIT_RECORD>";
        assert_eq!(of(text).as_deref(), Ok(expected));
        let text = "<AUDIT_RECORD\n A=\"x&lt;&amp;'&quot;é&#10;&y;\"\n B=\"\" C=\"\"/>";
        assert_eq!(of(text).as_deref(), Ok(expected));
        let nested = "<AUDIT_RECORD><M><E><KEY>k</KEY><VALUE>v</VALUE></E><E><KEY>l</KEY><VALUE>w</VALUE></E></M></AUDIT_RECORD>";
        assert_eq!(of(nested).as_deref(), Ok(r#"{"m.k": "v", "m.l": "w"}"#));
        for (text, why) in [
            ("<AUDIT_RECORD><A>1</A><A>2</A></AUDIT_RECORD>", "twice"),
            ("<AUDIT_RECORD><A>1</B></AUDIT_RECORD>", "is open"),
            ("<AUDIT_RECORD><A>1", "breaks off"),
            ("<AUDIT_RECORD A=\"1/>", "no end"),
            ("<AUDIT_RECORD A/>", "no value"),
            ("<AUDIT_RECORD \"x\"=\"1\"/>", "no name"),
            ("x", "not an AUDIT_RECORD"),
        ] {
            assert!(of(text).expect_err(text).contains(why), "{text}");
        }
        let deep = format!("<AUDIT_RECORD>{}", "<A>".repeat(100_000));
        assert!(of(&deep).expect_err("too deep").contains("too deep"));
    }

    #[test]
    fn splitting_takes_linear_time() {
        for piece in [
            "<AUDIT_RECORD>",
            "<AUDIT_RECORD ",
            "<AUDIT_RECORD />",
            "<",
            "</AUDIT>",
            "<?xml",
            "x\n",
            "/>",
        ] {
            // Quadratic time would be minutes.
            drop(pieces(piece.repeat(100_000).as_bytes(), usize::MAX));
        }
    }
}
