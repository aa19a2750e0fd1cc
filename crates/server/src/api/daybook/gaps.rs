//! `GET /api/v1/gaps`: what is missing of the trails that the caller may read. Daybook's own trail
//! has it, which the caller need not be able to read.

use event::query::{Dimension, Filter, Order};
use event::search::Meaning;
use event::{Event, Trail};
use hyper::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use crate::api::{Answer, ApiError, Call, Refusal};
use crate::own_events;
use access::rights::Action;
use find::question::{InvalidParameter, Parameters, Q, invalid_search};
use net::path;

/// Events about gaps that one answer has at most, the newest.
const GAPS_MAX: usize = 1000;
/// Events about gaps that are read at once.
const ROWS_AT_ONCE: usize = 1000;
/// What is recorded of a source that something is missing of.
const ACTIONS: [(&str, &str); 4] = [
    ("source.gap", "gap"),
    ("source.dropped", "dropped"),
    ("source.truncated", "truncated"),
    ("source.silent", "silent"),
];

/// Something that is missing of a trail, or a time without events.
#[derive(Serialize, JsonSchema)]
pub struct Gap {
    source: String,
    trail: String,
    /// gap, dropped, truncated or silent.
    kind: &'static str,
    /// Since when, if that is known.
    from: Option<String>,
    /// Until when it was noticed.
    until: String,
    /// Number of events that are missing, if that is known.
    count: Option<u64>,
    /// Index of the event that records it.
    event: u64,
    /// One line for people.
    description: String,
}

/// `GET /api/v1/gaps`
pub fn list(call: &Call<'_>) -> Result<Answer, Refusal> {
    call.concerns("gaps");
    call.caller()?;
    let mut parameters = Parameters::of(path::query_pairs(call.raw_query()));
    let question = parameters.question()?;
    parameters.end()?;
    let meaning = question.search.meaning(call.now);
    let meaning = meaning.map_err(|error| -> InvalidParameter { invalid_search(Q, error) })?;
    let gaps = of(call, Some(meaning), question.as_of)?;
    Ok(Answer::json(StatusCode::OK, &json!({ "gaps": gaps }))
        .with_rows(gaps.len(), gaps.len() as u64))
}

/// What is missing of the trails and the time that a search is about, the newest first.
/// As of a size of the log, or of now.
pub fn of(
    call: &Call<'_>,
    meaning: Option<Meaning>,
    as_of: Option<u64>,
) -> Result<Vec<Gap>, Refusal> {
    let caller = call.caller()?;
    let meaning = meaning.unwrap_or_default();
    let mut query = own_events::query(&call.state.log, call.state.audit.trail(), &[]);
    let actions = ACTIONS.iter().map(|(action, _)| (*action).to_owned()).collect();
    query.filters = vec![
        Filter::AnyOf(Dimension::Action, actions),
        Filter::is(Dimension::Source, intake::audit::SOURCE),
    ];
    query.order = Order::Descending;
    query.limit = ROWS_AT_ONCE;
    query.from = meaning.from;
    query.as_of = as_of;
    let mut gaps = Vec::new();
    // Those of other trails are read, too, and must not take the room of the caller's.
    while gaps.len() < GAPS_MAX {
        let page = call.state.log.query(&query).map_err(ApiError::from)?;
        let count = page.rows.len();
        query.as_of = Some(page.tree_size);
        query.offset += count as u64;
        gaps.extend(page.rows.into_iter().filter_map(|row| {
            let event = row.entry.event;
            let trail = trail_of(call, &event)?;
            let is_seen = caller.may(Action::ReadEvents, &trail) && meaning.is_about(&trail);
            let gap = gap(event, &trail, row.index);
            let from = gap.from.as_deref().unwrap_or(&gap.until);
            let is_within = meaning.until.is_none_or(|until| from < until.to_string().as_str());
            (is_seen && is_within).then_some(gap)
        }));
        if count < ROWS_AT_ONCE {
            break;
        }
    }
    gaps.truncate(GAPS_MAX);
    Ok(gaps)
}

/// The trail of the source that an event is about: as it says, or as the source has it now.
fn trail_of(call: &Call<'_>, event: &Event) -> Option<Trail> {
    if let Some(trail) = event.attributes.get("trail").and_then(|text| text.parse().ok()) {
        return Some(trail);
    }
    let name = source_of(event);
    let intake = call.state.intakes.iter().find(|intake| intake.source.name == name)?;
    Some(intake.source.trail.clone())
}

fn source_of(event: &Event) -> String {
    let named = event.attributes.get("source").cloned();
    named.or_else(|| event.resource.name.clone()).unwrap_or_default()
}

fn gap(event: Event, trail: &Trail, index: u64) -> Gap {
    let kind = ACTIONS.iter().find(|(action, _)| *action == event.action);
    Gap {
        source: source_of(&event),
        trail: trail.to_string(),
        kind: kind.map_or("gap", |(_, kind)| kind),
        from: event.attributes.get("since").cloned(),
        until: event.occurred_at.to_string(),
        count: event.attributes.get("count").and_then(|count| count.parse().ok()),
        event: index,
        description: event.description.unwrap_or_default(),
    }
}
