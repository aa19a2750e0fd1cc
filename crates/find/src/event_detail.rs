//! One event in full, and the events around it.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use event::entry::{self, Entry};
use event::query::{Order, Query};
use event::search::{Field, Search, Term};
use event::{EventId, Time};
use store::{BytesRoom, Row, StoredEvent};

use crate::answer::{Event, EventDetail, RawEncoding, Related, RelatedSearch, RequestEvents};
use crate::error::QueryError;
use crate::finder::Finder;

/// The time before and after an event within which others are around it.
const AROUND_S: i64 = 10 * 60;
/// Events read to find those of one request, before it and from it on.
const REQUEST_EVENTS_MAX: usize = 5000;
/// Their bytes, each time.
const REQUEST_EVENTS_BYTES_MAX: usize = 2 << 20;
/// A longer name or id makes no search: people read these.
const VALUE_BYTES_MAX: usize = 1024;
/// The time between the making of an id and the recording of its event: longer than any request
/// waits.
const RECORDED_WITHIN_S: i64 = 5 * 60;
/// Events read at once in the search for an id.
const READ_AT_ONCE: usize = 1000;
/// Events read to find an id: as many as are recorded in some seconds at full speed.
const WITH_ID_MAX: u64 = 200_000;

impl Finder<'_> {
    /// The event with this index or id.
    pub fn event(&self, index_or_id: &str) -> Result<EventDetail, QueryError> {
        let index = match EventId::parse(index_or_id) {
            Some(id) => self.index_of(id)?,
            None => index_or_id.parse().ok(),
        };
        let stored = index.map(|index| self.log.stored_event(index)).transpose()?.flatten();
        let (Some(index), Some(stored)) = (index, stored) else { return Err(QueryError::NotFound) };
        if !self.sees(&stored.trail) {
            return Err(QueryError::NotFound);
        }
        self.whole(index, stored)
    }

    fn whole(&self, index: u64, stored: StoredEvent) -> Result<EventDetail, QueryError> {
        let entry = decoded(index, &stored)?;
        let related = self.related(&entry)?;
        let (raw, raw_encoding) = match String::from_utf8(stored.raw) {
            Ok(text) => (text, RawEncoding::Utf8),
            Err(error) => (BASE64_STANDARD.encode(error.as_bytes()), RawEncoding::Base64),
        };
        Ok(EventDetail {
            event: Event::from(Row { index, entry }),
            digest: hex::encode(entry::digest(&stored.entry)),
            // Entries are UTF-8.
            entry: String::from_utf8_lossy(&stored.entry).into_owned(),
            raw,
            raw_encoding,
            proof: format!("/api/v1/events/{index}/proof"),
            tree_size: self.log.head().0,
            related,
        })
    }

    fn related(&self, entry: &Entry) -> Result<Related, QueryError> {
        let event = &entry.event;
        let trail = || Term::is(Field::Trail, &event.trail.to_string());
        let (from, until) = around(event.occurred_at);
        let window = || {
            [Term::is(Field::After, &from.to_string()), Term::is(Field::Before, &until.to_string())]
        };
        let found = |terms: Vec<Term>| -> Result<RelatedSearch, QueryError> {
            let search = Search { terms };
            Ok(RelatedSearch { total: self.count(&search)?, search: search.to_string() })
        };
        let actor = name_or_id(("actor.name", &event.actor.name), ("actor.id", &event.actor.id))
            .map(|actor| found([actor, trail()].into_iter().chain(window()).collect()));
        let resource = name_or_id(
            ("resource.name", &event.resource.name),
            ("resource.id", &event.resource.id),
        )
        .map(|resource| found(vec![resource, trail()]));
        Ok(Related {
            actor: actor.transpose()?,
            resource: resource.transpose()?,
            request: self.of_request(entry)?,
        })
    }

    /// The events of the same trail around that time with the same request id.
    fn of_request(&self, entry: &Entry) -> Result<Option<RequestEvents>, QueryError> {
        let event = &entry.event;
        let Some(request_id) = &event.request_id else { return Ok(None) };
        let (from, until) = around(event.occurred_at);
        let half = |order, from, until| {
            let query = Query::of(event.trail.clone());
            let limit = REQUEST_EVENTS_MAX;
            let query = Query { from: Some(from), until: Some(until), order, limit, ..query };
            self.log.query_up_to(&query, &mut BytesRoom::new(REQUEST_EVENTS_BYTES_MAX))
        };
        let before = half(Order::Descending, from, event.occurred_at)?;
        let after = half(Order::Ascending, event.occurred_at, until)?;
        let is_complete = [&before, &after].iter().all(|page| page.total == page.rows.len() as u64);
        let all = before.rows.into_iter().rev().chain(after.rows);
        let same = all.filter(|row| row.entry.event.request_id.as_ref() == Some(request_id));
        Ok(Some(RequestEvents { events: same.map(Event::from).collect(), is_complete }))
    }

    /// The index of the event with this id. The id has the time of its making, and times of receipt
    /// never decrease along the log, so a binary search comes close.
    fn index_of(&self, id: EventId) -> Result<Option<u64>, QueryError> {
        let made_ms = id.unix_ms();
        let received_ms = |index| -> Result<i64, QueryError> {
            let stored = self.log.stored_event(index)?.ok_or(QueryError::NotFound)?;
            Ok(decoded(index, &stored)?.received_at.unix_ms())
        };
        let size = self.log.head().0;
        let (mut low, mut high) = (0, size);
        while low < high {
            let middle = low + (high - low) / 2;
            if received_ms(middle)? < made_ms {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let last = size.min(low.saturating_add(WITH_ID_MAX));
        while low < last {
            let rows = self.log.from_index(low, READ_AT_ONCE)?;
            let count = rows.len() as u64;
            for row in rows {
                if row.entry.event.id == id {
                    return Ok(Some(row.index));
                }
                if row.entry.received_at.unix_ms() > made_ms + RECORDED_WITHIN_S * 1000 {
                    return Ok(None);
                }
            }
            low += count.max(1);
        }
        Ok(None)
    }
}

fn decoded(index: u64, stored: &StoredEvent) -> Result<Entry, QueryError> {
    let unreadable =
        |error: entry::NotAnEntry| store::Error::damage("log", index, error.to_string());
    Ok(entry::decode(&stored.entry).map_err(unreadable)?)
}

fn around(at: Time) -> (Time, Time) {
    // The end is exclusive.
    (
        at.plus_seconds(-AROUND_S),
        Time::from_unix_ns(at.plus_seconds(AROUND_S).unix_ns().saturating_add(1)),
    )
}

fn name_or_id(name: (&str, &Option<String>), id: (&str, &Option<String>)) -> Option<Term> {
    let (field, value) =
        [name, id].into_iter().find_map(|(field, value)| Some((field, value.as_ref()?)))?;
    let is_short = (1..=VALUE_BYTES_MAX).contains(&value.len());
    Some(Term::is(Field::named(field)?, value)).filter(|_| is_short)
}
