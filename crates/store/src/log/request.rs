//! Requests to record events, and their receipts.

use event::RejectedRecord;
use event::entry::Template;
use event::query::INSTANCE_ID;
use event::{Event, LOG_FILE, Time};

use crate::log::dedup::{Key, event_key};
use crate::log::words::Words;
use crate::segment::row::rest_of;

/// Bytes that the texts which every event keeps take on average: trail, actor, action, resource.
const DIMENSIONS_BYTES: usize = 512;

/// An event ready for the log; everything that needs no order is computed.
pub struct IncomingEvent {
    pub(super) event: Event,
    pub(super) template: Template,
    pub(super) words: Words,
    pub(super) rest: Vec<u8>,
    pub(super) key: Option<Key>,
}

impl IncomingEvent {
    /// Encodes and hashes the event.
    pub fn new(mut event: Event) -> IncomingEvent {
        let key = event.origin.key.as_deref().map(|key| event_key(&event.origin.source, key));
        let template = Template::new(&event);
        let words = Words::of(&event);
        let rest = rest_of(&event);
        // The parts that no index needs are freed here, by the thread that made them.
        event.attributes.retain(|name, _| name == INSTANCE_ID || name == LOG_FILE);
        (event.user_agent, event.description, event.request_id, event.trace_id) =
            (None, None, None, None);
        IncomingEvent { template, words, rest, key, event }
    }

    /// About how many bytes of memory it takes.
    pub fn memory_bytes(&self) -> usize {
        size_of::<IncomingEvent>()
            + self.event.raw.capacity()
            + self.template.memory_bytes()
            + self.words.memory_bytes()
            + self.rest.capacity()
            + DIMENSIONS_BYTES
    }

    pub(crate) fn len_bytes_max(&self) -> usize {
        self.template.len_bytes_max() + self.event.raw.len() + 64
    }
}

/// A request to record something: whole or not at all.
pub struct Append {
    /// The configured source's name.
    pub source: String,
    /// When the request was received.
    pub received_at: Time,
    /// The events to record, in order.
    pub events: Vec<IncomingEvent>,
    /// Records that could not be parsed, for the dead-letter queue.
    pub rejected: Vec<RejectedRecord>,
    /// Handling of an event whose key was recorded before with other bytes.
    pub on_conflict: OnConflict,
    /// Whether it is Daybook's own record, which goes on while the disk is full.
    pub is_own: bool,
}

/// Handling of an event whose key was recorded before with other bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnConflict {
    /// Refuse the request.
    Refuse,
    /// Record the event as a dead letter.
    DeadLetter,
}

/// The result of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Index of the first event that this request recorded; the others follow without a gap.
    pub first_index: Option<u64>,
    /// How many events it recorded.
    pub recorded: usize,
    /// Events that were recorded before: their position in the request and the index they have.
    pub duplicates: Vec<(usize, u64)>,
    /// Events that were rejected, in order: their position in the request and the reason.
    pub rejected: Vec<(usize, String)>,
    /// New dead letters that it recorded: of events and of what was rejected before.
    pub dead_letters: usize,
    /// Events in the log once the request was durable.
    pub tree_size: u64,
}

/// Why a request was not recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The event at this position has the key of the event at `index`, and other bytes.
    Conflict {
        /// Position in the request.
        position: usize,
        /// Index of the event that has the key.
        index: u64,
    },
    /// Damage of stored bytes leaves open how to record it. Other requests are recorded. With
    /// [`OnConflict::DeadLetter`], such events become dead letters instead.
    Damaged {
        /// What is not known.
        because: String,
    },
    /// There is no room on the disk. Nothing of the request was recorded.
    StorageFull,
    /// A durable write failed. The next open shows whether the request was recorded.
    Fenced {
        /// The failure.
        because: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::event;

    #[test]
    fn an_incoming_event_drops_the_parts_that_no_index_needs() {
        let mut full = event(1);
        full.origin.key = Some("k".to_owned());
        full.description = Some("text".to_owned());
        full.user_agent = Some("agent".to_owned());
        for name in [INSTANCE_ID, LOG_FILE, "other"] {
            full.attributes.insert(name.to_owned(), "1".to_owned());
        }
        let incoming = IncomingEvent::new(full.clone());
        assert_eq!(incoming.key, Some(event_key("hub", "k")));
        assert_eq!((&incoming.event.description, &incoming.event.user_agent), (&None, &None));
        assert_eq!(incoming.event.attributes.len(), 2);
        assert_eq!(incoming.rest, rest_of(&full), "computed before");
        assert!(incoming.len_bytes_max() > full.raw.len());
    }
}
