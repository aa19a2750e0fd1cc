//! Strikes secrets out of events, and says so in the attribute `redacted`.
//!
//! A secret that occurs elsewhere in its event too, as in `syntax error at or near "…"`, is struck
//! out there as well.

use std::collections::BTreeSet;
use std::ops::Range;

use super::Dialect;
use super::secrets::{Text, find, merged};
use super::traces::Spans;
use crate::{Options, Secrets};
use event::Event;

/// The attribute that names the texts with secrets struck out.
pub(crate) const REDACTED: &str = "redacted";

/// The text in place of a secret.
const STRUCK: &str = "*****";

/// Secrets of one event that are searched in its other texts, and their minimum length for that:
/// shorter ones would be found in words.
const SPREAD_MAX: usize = 8;
const SPREAD_BYTES_MIN: usize = 4;

/// Visits the texts of an original: calls back with each decoded text, which returns the spans of
/// its secrets. The result is their spans in the original.
pub(crate) type InRaw = fn(&[u8], &mut dyn FnMut(&str, Text) -> Spans) -> Spans;

/// Strikes the secrets out of an event's texts, and out of its original if the source is configured
/// so.
pub(crate) fn redact(
    event: &mut Event,
    options: &Options,
    dialect: Dialect,
    description: Text,
    in_raw: InRaw,
) {
    if options.secrets == Secrets::Keep {
        return;
    }
    let (mut kinds, mut values) = (BTreeSet::new(), Vec::new());
    for (text, kind) in texts(event, description) {
        let found = find(text, kind, dialect);
        values.extend(found.spans.iter().map(|span| text[span.clone()].to_owned()));
        kinds.extend(found.kinds);
    }
    if options.secrets == Secrets::RedactRaw {
        let spans = in_raw(&event.raw, &mut |text, kind| {
            let found = find(text, kind, dialect);
            kinds.extend(found.kinds);
            values.extend(found.spans.iter().map(|span| text[span.clone()].to_owned()));
            found.spans
        });
        strike_bytes(&mut event.raw, &spans);
    }
    if kinds.is_empty() {
        return;
    }
    values.retain(|value| value.len() >= SPREAD_BYTES_MIN);
    values.sort_by_key(|value| std::cmp::Reverse(value.len()));
    values.dedup();
    values.truncate(SPREAD_MAX);
    if options.secrets == Secrets::RedactRaw {
        let spans = in_raw(&event.raw, &mut |text, _| spread(text, &values));
        strike_bytes(&mut event.raw, &spans);
    }
    for (text, kind) in texts(event, description) {
        let mut spans = find(text, kind, dialect).spans;
        spans.extend(spread(text, &values));
        strike(text, spans);
    }
    let kinds: Vec<&str> = kinds.into_iter().collect();
    event.attributes.insert(REDACTED.to_owned(), kinds.join(", "));
}

/// The texts that may hold statements or pieces of them. Names of resources and actors do not.
fn texts(event: &mut Event, description: Text) -> impl Iterator<Item = (&mut String, Text)> {
    let Event { description: text, outcome, user_agent, attributes, .. } = event;
    text.as_mut()
        .map(|text| (text, description))
        .into_iter()
        .chain(
            [&mut outcome.reason, user_agent].into_iter().flatten().map(|text| (text, Text::Prose)),
        )
        .chain(attributes.values_mut().map(|text| (text, Text::Prose)))
}

/// The positions of the values in a text. Linear, as there are few of them.
fn spread(text: &str, values: &[String]) -> Spans {
    let found = values.iter().flat_map(|value| text.match_indices(value.as_str()));
    merged(found.map(|(at, value)| at..at + value.len()).collect())
}

pub(super) fn strike(text: &mut String, spans: Spans) {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for span in merged(spans) {
        out.push_str(&text[at..span.start]);
        out.push_str(STRUCK);
        at = span.end;
    }
    if at > 0 {
        out.push_str(&text[at..]);
        *text = out;
    }
}

/// Lengths stay, so that the other bytes do not move.
fn strike_bytes(raw: &mut [u8], spans: &[Range<usize>]) {
    for span in spans {
        if let Some(bytes) = raw.get_mut(span.clone()) {
            bytes.fill(b'*');
        }
    }
}
