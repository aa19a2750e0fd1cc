//! CSV: RFC 4180, with a header, ends of lines CR LF, and cells that no spreadsheet takes for a
//! formula.
//!
//! A cell that begins with `'`, a control character, or, after white space, one of [`FORMULA`] gets
//! a `'` in front and is quoted. Whoever takes one `'` off the front of each cell that begins with
//! one has the values as they were.

use store::Row;

use super::columns::{COLUMNS, Value, values};

/// What formulas begin with, also in the full width of East Asian texts.
const FORMULA: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];

/// Appends the line of names.
pub fn begin(out: &mut Vec<u8>) {
    let names: Vec<&str> = COLUMNS.iter().map(|(name, _)| *name).collect();
    out.extend_from_slice(names.join(",").as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Appends a line for each row.
pub fn write(rows: &[Row], out: &mut Vec<u8>) {
    rows.iter().for_each(|row| line(values(row), out));
}

/// Appends a line of values.
pub fn line(values: [Value<'_>; COLUMNS.len()], out: &mut Vec<u8>) {
    for (position, value) in values.into_iter().enumerate() {
        if position > 0 {
            out.push(b',');
        }
        match value {
            Value::Long(number) => event::json::write_integer(out, number),
            Value::Code(Some(number)) => event::json::write_integer(out, u64::from(number)),
            Value::Instant(at) => out.extend_from_slice(&at.text()),
            Value::Text(Some(text)) => cell(&text, out),
            Value::Code(None) | Value::Text(None) => {}
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// A text that is not there is an empty cell; an empty text is `""`.
fn cell(text: &str, out: &mut Vec<u8>) {
    let is_guarded = is_formula(text);
    let is_quoted = is_guarded
        || text.is_empty()
        || text.bytes().any(|byte| matches!(byte, b',' | b'"' | b'\r' | b'\n'));
    if !is_quoted {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.push(b'"');
    if is_guarded {
        out.push(b'\'');
    }
    for piece in text.split_inclusive('"') {
        out.extend_from_slice(piece.as_bytes());
        if piece.ends_with('"') {
            out.push(b'"');
        }
    }
    out.push(b'"');
}

fn is_formula(text: &str) -> bool {
    let Some(first) = text.chars().next() else { return false };
    first == '\''
        || first.is_control()
        || text
            .chars()
            .find(|one| !one.is_whitespace() && !one.is_control())
            .is_some_and(|one| FORMULA.contains(&one))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> String {
        let mut out = Vec::new();
        cell(text, &mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn cells_are_quoted_where_rfc_4180_says_so() {
        for (text, expected) in [
            ("plain", "plain"),
            ("two words", "two words"),
            ("", "\"\""),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("a\r\nb", "\"a\r\nb\""),
        ] {
            assert_eq!(written(text), expected);
        }
    }

    #[test]
    fn no_cell_begins_a_formula() {
        for text in [
            "=1+1",
            "+1",
            "-1",
            "@x",
            "\t=1",
            " =1",
            "\u{a0}=1",
            "\rx",
            "\0x",
            "\0=1",
            "\n",
            "＝1",
            "'",
            "'=1",
            "=HYPERLINK(\"http://x\",\"y\")",
            "\u{3000}@SUM(1)",
        ] {
            let cell = written(text);
            assert!(cell.starts_with("\"'"), "{text:?}: {cell:?}");
            let read = cell[1..cell.len() - 1].replace("\"\"", "\"");
            assert_eq!(read.strip_prefix('\''), Some(text));
        }
        for text in ["a=1", "1-1", "x@y", "", "ü", "{\"a\":\"=1\"}"] {
            assert!(!written(text).contains('\''), "{text:?}");
        }
    }
}
