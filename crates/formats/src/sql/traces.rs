//! Positions in a text before it was decoded: in its quotes, its escapes, its bytes.
//!
//! A secret is found in the decoded text and struck out of the original. Each encoding gives the
//! steps in which it is read, and [`outer`] follows them; nested encodings are followed one after
//! the other.

use std::ops::Range;

/// Spans of a text, in order and disjoint.
pub(crate) type Spans = Vec<Range<usize>>;

/// The numbers of bytes that one step of reading takes of the encoded text and gives to the decoded
/// one.
pub(crate) type Step = (usize, usize);

/// The spans of a decoded text in the encoded one. A span that begins or ends inside a step takes
/// the whole of it.
pub(crate) fn outer(spans: &[Range<usize>], steps: impl IntoIterator<Item = Step>) -> Spans {
    let mut found = Vec::with_capacity(spans.len());
    let (mut encoded, mut decoded) = (0, 0);
    let mut steps = steps.into_iter();
    for span in spans {
        let mut start = None;
        while decoded < span.end {
            let Some((takes, gives)) = steps.next() else { break };
            if start.is_none() && decoded + gives > span.start {
                start = Some(encoded);
            }
            (encoded, decoded) = (encoded + takes, decoded + gives);
        }
        if let Some(start) = start {
            found.push(start..encoded);
        }
    }
    found
}

/// The bytes of `text` before `part`, which is a piece of it.
pub(crate) fn offset_in(text: &str, part: &str) -> usize {
    (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize).min(text.len())
}

/// Steps of the content of quotes in which a doubled quote is one.
pub(crate) fn csv_steps(content: &str) -> impl Iterator<Item = Step> + '_ {
    let mut bytes = content.bytes().peekable();
    std::iter::from_fn(move || {
        let byte = bytes.next()?;
        let is_doubled = byte == b'"' && bytes.next_if_eq(&b'"').is_some();
        Some((1 + usize::from(is_doubled), 1))
    })
}

/// Steps of the content of a JSON string.
pub(crate) fn json_steps(content: &str) -> impl Iterator<Item = Step> + '_ {
    let mut rest = content.as_bytes();
    std::iter::from_fn(move || {
        let step = match rest {
            [] => return None,
            [b'\\', b'u', ..] => unicode_step(rest),
            [b'\\', _, ..] => (2, 1),
            _ => (1, 1),
        };
        rest = rest.get(step.0..).unwrap_or_default();
        Some(step)
    })
}

/// The step of `\u0000`, or of two of them that are one character.
fn unicode_step(rest: &[u8]) -> Step {
    let unit = |at: usize| {
        let digits = std::str::from_utf8(rest.get(at..at + 4)?).ok()?;
        u16::from_str_radix(digits, 16).ok()
    };
    let Some(first) = unit(2) else { return (rest.len().min(6), 1) };
    let is_pair = (0xd800..0xdc00).contains(&first) && rest.get(6..8) == Some(b"\\u");
    match (is_pair, unit(8)) {
        (true, Some(0xdc00..0xe000)) => (12, 4),
        _ => (6, char::from_u32(u32::from(first)).map_or(3, char::len_utf8)),
    }
}

/// Steps of an XML text or attribute; `entity` reads the text between `&` and `;`.
pub(crate) fn xml_steps(
    content: &str,
    entity: fn(&str) -> Option<char>,
) -> impl Iterator<Item = Step> + '_ {
    let mut rest = content;
    std::iter::from_fn(move || {
        let first = *rest.as_bytes().first()?;
        let read = if first == b'&' { entity_at(rest, entity) } else { None };
        let step = match read {
            Some((length, char)) => (length, char.len_utf8()),
            None => rest.chars().next().map(|char| (char.len_utf8(), char.len_utf8()))?,
        };
        rest = &rest[step.0..];
        Some(step)
    })
}

/// The bytes of the entity that `text` begins with, and its character.
pub(crate) fn entity_at(text: &str, entity: fn(&str) -> Option<char>) -> Option<(usize, char)> {
    /// `&#x10FFFF;`
    const ENTITY_BYTES_MAX: usize = 10;
    let end = text.bytes().take(ENTITY_BYTES_MAX).position(|byte| byte == b';')?;
    Some((end + 1, entity(text.get(1..end)?)?))
}

/// Steps of bytes in which invalid UTF-8 is read as U+FFFD.
pub(crate) fn lossy_steps(bytes: &[u8]) -> impl Iterator<Item = Step> + '_ {
    bytes.utf8_chunks().flat_map(|chunk| {
        let invalid = chunk.invalid().len();
        std::iter::repeat_n((1, 1), chunk.valid().len())
            .chain((invalid > 0).then_some((invalid, char::REPLACEMENT_CHARACTER.len_utf8())))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The span in the encoded text for one of the decoded text.
    fn outer_span(
        (start, end): (usize, usize),
        steps: impl Iterator<Item = Step>,
    ) -> Option<(usize, usize)> {
        let spans = outer(std::slice::from_ref(&(start..end)), steps);
        spans.first().map(|span| (span.start, span.end))
    }

    #[test]
    fn spans_are_followed_outwards() {
        for (span, content, expected) in [
            ((2, 4), r#"a""b""c"#, (3, 6)),
            ((1, 2), r#"a""b""c"#, (1, 3)),
            ((0, 3), "abc", (0, 3)),
        ] {
            assert_eq!(outer_span(span, csv_steps(content)), Some(expected), "{content}");
        }
        let spans = Spans::from_iter([0..1, 2..3, 4..5]);
        assert_eq!(outer(&spans, csv_steps(r#"a""b""c"#)), [0..1, 3..4, 6..7]);
        for (span, content, expected) in [
            ((2, 3), r"a\nb", (3, 4)),
            ((2, 3), r"\u00e9b", (6, 7)),
            ((4, 5), r"\ud83d\ude00b", (12, 13)),
            ((1, 2), r"x\u", (1, 3)),
        ] {
            assert_eq!(outer_span(span, json_steps(content)), Some(expected), "{content}");
        }
        assert_eq!(outer_span((3, 4), lossy_steps(b"\xffa")), Some((1, 2)));
        assert_eq!(outer_span((0, 3), lossy_steps(b"\xffa")), Some((0, 1)));
        let amp = |name: &str| (name == "amp").then_some('&');
        assert_eq!(outer_span((1, 2), xml_steps("&amp;b&", amp)), Some((5, 6)));
        assert_eq!(outer_span((2, 3), xml_steps("&amp;b&", amp)), Some((6, 7)));
        assert_eq!(outer_span((5, 6), csv_steps("abc")), None);
    }

    #[test]
    fn an_offset_is_that_of_the_piece() {
        let text = "abc";
        assert_eq!(offset_in(text, &text[1..]), 1);
    }
}
