//! Bodies of lines, one event a line: a line that cannot be used is set aside and the others are kept.

use super::{Context, EnvelopeError, Parsed, SetAside};
use crate::Event;

/// Reads one line or item: an event, nothing to record, or why it cannot be used.
pub(super) type Read = fn(&[u8], &mut Context<'_>) -> Result<Option<Event>, String>;

/// Reads each line of `body` that is not empty.
pub(super) fn parse_lines(
    body: &[u8],
    context: &mut Context<'_>,
    read: Read,
) -> Result<Vec<Parsed>, EnvelopeError> {
    let events_max = context.limits.events_max;
    let lines: Vec<&[u8]> = lines(body).take(events_max.saturating_add(1)).collect();
    if lines.len() > events_max {
        return Err(EnvelopeError::TooLarge(format!("the body holds more than {events_max} lines")));
    }
    Ok(lines.into_iter().filter_map(|line| parse_one(line, context, read)).collect())
}

/// Reads one line or item that is within the limits.
pub(super) fn parse_one(raw: &[u8], context: &mut Context<'_>, read: Read) -> Option<Parsed> {
    let bytes_max = context.limits.event_bytes_max;
    let parsed = if raw.len() > bytes_max {
        Err(format!("event_too_large: {} bytes exceed {bytes_max}", raw.len()))
    } else {
        read(raw, context)
    };
    match parsed {
        Ok(event) => event.map(|event| Parsed::Event(Box::new(event))),
        Err(reason) => Some(Parsed::SetAside(SetAside { reason, raw: raw.to_vec() })),
    }
}

/// The lines that are not empty, without their LF or CRLF. A CR that no LF follows belongs to its line.
fn lines(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    body.split_inclusive(|&byte| byte == b'\n')
        .map(|line| match line.strip_suffix(b"\n") {
            Some(line) => line.strip_suffix(b"\r").unwrap_or(line),
            None => line,
        })
        .filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_endings_are_no_part_of_a_line() {
        let found: Vec<&[u8]> = lines(b"a\nb\r\n\n\r\n \nc\rd\ne\r").collect();
        assert_eq!(found, [&b"a"[..], b"b", b" ", b"c\rd", b"e\r"]);
        assert_eq!(lines(b"").count(), 0);
    }
}
