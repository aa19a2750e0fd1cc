//! Daybook's own events, as the log has them.

use event::query::{Dimension, Filter, Order, Query};
use event::{OutcomeKind, Service, Trail};
use store::{Log, Row};

use intake::audit::SOURCE;

/// A query for Daybook's own successful acts of these actions. The configuration may have named
/// another trail before, so it covers all trails that have such events.
pub fn query(log: &Log, own: &Trail, actions: &[&str]) -> Query {
    let mut trails = log.trails();
    trails.retain(|trail| trail.service() == Service::Dbaudit);
    let actions = actions.iter().map(|action| (*action).to_owned()).collect();
    let filters = vec![
        Filter::AnyOf(Dimension::Action, actions),
        Filter::is(Dimension::Source, SOURCE),
        Filter::is(Dimension::Outcome, OutcomeKind::Success.as_str()),
    ];
    Query { trails, filters, order: Order::Descending, limit: 1, ..Query::of(own.clone()) }
}

/// Events that are read one by one, from the end of a log, where a query meets damage.
const READ_MAX: u64 = 100_000;
const READ_AT_ONCE: u64 = 512;

/// The event of a query that was recorded last. The newest by its time may be another one: the
/// clock may have stepped back. Errs with what is unreadable if damage may hide the event.
pub fn newest(log: &Log, query: &Query) -> Result<Option<Row>, store::Error> {
    match by_query(log, query) {
        Err(why) if why.is_unreadable() => behind_damage(log, query, why).map(Some),
        newest => newest,
    }
}

/// The event among the last ones of the log, which are behind the damage that a query met.
fn behind_damage(log: &Log, query: &Query, why: store::Error) -> Result<Row, store::Error> {
    let mut end = log.counts().events;
    let least = end.saturating_sub(READ_MAX);
    while end > least {
        let first = end.saturating_sub(READ_AT_ONCE).max(least);
        let (mut at, mut last) = (first, None);
        while at < end {
            let count = usize::try_from(end - at).unwrap_or(usize::MAX);
            let rows = log.from_index(at, count)?;
            if rows.is_empty() {
                break;
            }
            at += rows.len() as u64;
            last = rows.into_iter().rfind(|row| is_of(row, query)).or(last);
        }
        if let Some(row) = last {
            return Ok(row);
        }
        end = first;
    }
    Err(why)
}

fn is_of(row: &Row, query: &Query) -> bool {
    let event = &row.entry.event;
    query.trails.contains(&event.trail) && query.filters.iter().all(|filter| filter.matches(event))
}

fn by_query(log: &Log, query: &Query) -> Result<Option<Row>, store::Error> {
    let mut page = log.query(query)?;
    let Some(row) = page.rows.pop() else { return Ok(None) };
    let count = |size| {
        let query = Query { limit: 0, as_of: Some(size), ..query.clone() };
        log.query(&query).map(|page| page.total)
    };
    // The last one ends the smallest log that has all of them.
    let (mut least, mut most) = (row.index + 1, page.tree_size);
    if count(least)? == page.total {
        return Ok(Some(row));
    }
    while least < most {
        let middle = least + (most - least) / 2;
        match count(middle)? == page.total {
            true => most = middle,
            false => least = middle + 1,
        }
    }
    Ok(log.from_index(least - 1, 1)?.pop())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use event::{
        Actor, Class, Event, EventId, Operation, Origin, Outcome, Resolution, Resource, Severity,
        Time,
    };
    use store::durable::Disk;
    use store::simulated::SimulatedDisk;
    use store::{Append, Identity, IncomingEvent, OnConflict, Settings};

    use super::*;

    fn own() -> Trail {
        Trail::new(Service::Dbaudit, "t", "p", "i").expect("valid")
    }

    /// Records an act that says when it happened.
    fn record(log: &Log, action: &str, at: i64) {
        let event = Event {
            id: EventId::default(),
            trail: own(),
            occurred_at: Time::from_unix_ns(at),
            resolution: Resolution::Nanosecond,
            actor: Actor::default(),
            source_ip: None,
            user_agent: None,
            action: action.to_owned(),
            operation: Operation::Other,
            resource: Resource::default(),
            outcome: Outcome { kind: OutcomeKind::Success, ..Outcome::default() },
            severity: Severity::WARNING,
            class: Class::Security,
            description: None,
            request_id: None,
            trace_id: None,
            origin: Origin { source: SOURCE.to_owned(), format: "daybook".to_owned(), key: None },
            attributes: BTreeMap::from([("at".to_owned(), at.to_string())]),
            raw: Vec::new(),
        };
        let append = Append {
            source: SOURCE.to_owned(),
            received_at: Time::from_unix_ns(at),
            events: vec![IncomingEvent::new(event)],
            rejected: Vec::new(),
            on_conflict: OnConflict::DeadLetter,
            is_own: true,
        };
        log.append(append).expect("room").expect("no conflict");
    }

    fn log() -> Log {
        let disk: Arc<dyn Disk> = Arc::new(SimulatedDisk::new(1));
        let origin = "test.example/log".to_owned();
        let identity = Identity { origin, created_at: Time::from_unix_ns(0), salt: [7; 16] };
        store::init(&disk, &identity, &[]).expect("room");
        Log::open(disk, Settings::default()).expect("a log")
    }

    #[test]
    fn the_newest_is_the_one_recorded_last_whatever_the_clock_says() {
        let log = log();
        let at = |actions: &[&str]| {
            let row = newest(&log, &query(&log, &own(), actions)).expect("no fault");
            row.map(|row| row.entry.event.attributes["at"].clone())
        };
        assert_eq!(at(&["a"]), None);
        for (number, when) in [5, 900, 7, 6, 8].into_iter().enumerate() {
            record(&log, "a", when);
            record(&log, "b", 1000 + when);
            if number == 2 {
                log.flush().expect("room");
            }
            assert_eq!(at(&["a"]), Some(when.to_string()), "act {number}");
            assert_eq!(at(&["a", "b"]), Some((1000 + when).to_string()));
            assert_eq!(at(&["c"]), None);
        }
        log.flush().expect("room");
        assert_eq!(at(&["a"]).as_deref(), Some("8"));
    }
}
