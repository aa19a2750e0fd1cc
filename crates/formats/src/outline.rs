//! The outline of an event: the members that every item has, for formats that then fill in their
//! own.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::item::Items;
use crate::lines::parse_one;
use crate::spec::Read;
use crate::{Context, EnvelopeError};
use event::{Actor, Class, Event, Operation, Origin, Outcome, Resolution, Resource, Severity};

/// The attribute of events whose source sends no time: they have that of their arrival.
pub(crate) const TIME_ASSUMED: (&str, &str) = ("time_assumed", "received_at");

/// The reason to skip an item that only reports an act done elsewhere, or the program's own work.
pub(crate) const NO_ACT: &str = "it reports no act on a stored artifact";

/// An event of which only its bytes are known; it happened when it was received.
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

/// Reads a body that is one item, as sent by programs with a request for each event. There is no
/// envelope to refuse: a bad item is rejected. White space around the item does not belong to it,
/// and alone it is nothing.
pub(crate) fn parse_single(
    body: &[u8],
    context: &mut Context<'_>,
    read: Read,
    items: &mut Items<'_>,
) -> Result<(), EnvelopeError> {
    match body.trim_ascii() {
        b"" => Ok(()),
        item => items.push(parse_one(item, context, read)),
    }
}

/// The key of an item without an id: a digest of texts that together identify it. Their borders
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
