//! The outline of an event: what every item has, for formats that then fill in what theirs told.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::item::NoEvent;
use crate::lines::parse_one;
use crate::{Context, Item};
use event::{Actor, Class, Event, Operation, Origin, Outcome, Resolution, Resource, Severity};

/// The attribute of events whose source tells no time: they have that of their arrival.
pub(crate) const TIME_ASSUMED: (&str, &str) = ("time_assumed", "received_at");

/// Why an item that only reports on what was done elsewhere, or on what the program did by itself,
/// is no event.
pub(crate) const NO_ACT: &str = "it tells of no act on what is kept";

/// An event of which nothing but its bytes is known; it happened when it was received.
pub(crate) fn outline(context: &mut Context<'_>, format: &str, raw: &[u8]) -> Event {
    let mut attributes = BTreeMap::new();
    if std::str::from_utf8(raw).is_err() {
        attributes.insert("invalid_utf8".to_owned(), "true".to_owned());
    }
    Event {
        id: (context.new_id)(),
        trail: context.trail.clone(),
        occurred_at: context.received_at,
        resolution: Resolution::Nanosecond,
        actor: Actor::default(),
        source_ip: None,
        user_agent: None,
        action: String::new(),
        operation: Operation::Other,
        resource: Resource::default(),
        outcome: Outcome::default(),
        severity: Severity::WARNING,
        class: Class::Operation,
        description: None,
        request_id: None,
        trace_id: None,
        origin: Origin { source: context.source.to_owned(), format: format.to_owned(), key: None },
        attributes,
        raw: raw.to_vec(),
    }
}

/// Reads a body that is one item, as programs send them that tell each event by a request of its
/// own. There is no envelope to refuse: what cannot be read is set aside. White space around the
/// item is no part of it, and alone it is nothing.
pub(crate) fn parse_single(
    body: &[u8],
    context: &mut Context<'_>,
    read: fn(&[u8], &mut Context<'_>) -> Result<Event, NoEvent>,
) -> Vec<Item> {
    match body.trim_ascii() {
        b"" => Vec::new(),
        item => vec![parse_one(item, context, read)],
    }
}

/// A key for what has no id: a digest of texts that together tell it from others. Their borders
/// count.
pub(crate) fn digest_of(parts: &[&str]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    hex::encode(digest.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_know_where_a_text_ends() {
        assert_eq!(digest_of(&["a", "bc"]), digest_of(&["a", "bc"]));
        assert_ne!(digest_of(&["a", "bc"]), digest_of(&["ab", "c"]));
        assert_ne!(digest_of(&["a"]), digest_of(&["a", ""]));
        assert_eq!(digest_of(&[]).len(), 64);
    }
}
