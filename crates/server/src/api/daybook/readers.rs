//! `GET /api/v1/events/{event}/readers`: who opened an event, for whoever may read Daybook's own
//! trail.

use event::named::Name;
use event::query::{Filter, Order};
use hyper::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use super::events::begin;
use crate::api::{Answer, ApiError, Call, OPENED, Refusal};
use crate::own_events;
use access::rights::Action;
use store::Row;

/// Readers that one answer has at most, the newest.
const READERS_MAX: usize = 1000;
/// The operations that open one event.
const ACTIONS: [&str; 2] = ["daybook.ShowEvent", "daybook.ProveEvent"];

/// Who opened an event, the newest first.
#[derive(Serialize, JsonSchema)]
pub struct Readers {
    readers: Vec<Reader>,
    /// How often it was opened, also where not all readers are listed.
    total: u64,
}

#[derive(Serialize, JsonSchema)]
struct Reader {
    /// Name of the user, or the id.
    user: String,
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip: Option<String>,
    /// The operation.
    action: String,
    /// Index of the event that records it.
    event: u64,
}

/// `GET /api/v1/events/{event}/readers`
pub fn list(call: &Call<'_>) -> Result<Answer, Refusal> {
    let [event] = call.path();
    let (parameters, finder) = begin(call)?;
    parameters.end()?;
    let opened = finder.event(event)?.event;
    call.concerns(&opened.trail);
    let own = call.state.audit.trail();
    if !call.caller()?.may(Action::ReadEvents, own) {
        return Err(ApiError::Forbidden.into());
    }
    let mut query = own_events::query(&call.state.log, own, &ACTIONS);
    let name = Name::Attribute(OPENED.to_owned());
    query.filters.push(Filter::Named(name, opened.index.to_string()));
    query.order = Order::Descending;
    query.limit = READERS_MAX;
    let page = call.state.log.query(&query).map_err(ApiError::from)?;
    let total = page.total;
    let body = Readers { readers: page.rows.into_iter().map(reader).collect(), total };
    let count = body.readers.len();
    Ok(Answer::json(StatusCode::OK, &body).with_rows(count, total))
}

fn reader(row: Row) -> Reader {
    let event = row.entry.event;
    Reader {
        user: event.actor.name.or(event.actor.id).unwrap_or_default(),
        time: event.occurred_at.to_string(),
        ip: event.source_ip.map(|ip| ip.address.to_string()),
        action: event.action,
        event: row.index,
    }
}
