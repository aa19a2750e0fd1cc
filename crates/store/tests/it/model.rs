//! Queries against a model so naive that it cannot be wrong.

use std::sync::Arc;

use event::query::{Dimension, Filter, Order, Page, Query};
use event::{Actor, ActorKind, Event, Operation, Resource, Severity, SourceIp, Time, Trust};
use proptest::prelude::*;
use store::durable::Disk;
use store::simulated::SimulatedDisk;
use store::{Log, Settings, init};

use crate::{event, identity, request, trail};

const INSTANCES: [&str; 3] = ["a", "b", "c"];
const NAMES: [&str; 3] = ["alice", "bob", "李雷"];

fn any_event() -> impl Strategy<Value = Event> {
    let who = prop::option::of(prop::sample::select(&NAMES[..]));
    let what = (
        prop::sample::select(Operation::ALL),
        prop::option::of(prop::sample::select(&["artifact", "blob", "tag"][..])),
    );
    let from = prop::option::of(0u8..3);
    (prop::sample::select(&INSTANCES[..]), 0i64..20, who, what, from, 1u8..=4).prop_map(
        |(instance, time, who, what, from, severity)| Event {
            actor: Actor { id: None, name: who.map(str::to_owned), kind: ActorKind::User },
            operation: what.0,
            resource: Resource { kind: what.1.map(str::to_owned), ..Resource::default() },
            source_ip: from.map(|last| SourceIp { address: [10, 0, 0, last].into(), trust: Trust::Peer }),
            severity: Severity::new(severity).unwrap(),
            ..event(instance, "", time)
        },
    )
}

fn any_filter() -> impl Strategy<Value = Filter> {
    let values = prop::sample::select(
        &[
            "alice", "bob", "李雷", "pull", "push", "delete", "artifact", "blob", "10.0.0.1", "1", "2",
            "user", "hub", "",
        ][..],
    );
    let dimension = prop::sample::select(&Dimension::ALL[..]);
    (dimension, prop::collection::vec(values, 0..4), any::<bool>()).prop_map(
        |(dimension, values, is_any_of)| {
            let values = values.into_iter().map(str::to_owned).collect();
            if is_any_of { Filter::AnyOf(dimension, values) } else { Filter::NoneOf(dimension, values) }
        },
    )
}

fn any_query() -> impl Strategy<Value = Query> {
    let trails = prop::collection::vec(prop::sample::select(&["a", "b", "c", "nowhere"][..]), 0..5);
    let window = (prop::option::of(-1i64..22), prop::option::of(-1i64..22));
    let page = (any::<bool>(), 0u64..40, 0usize..40, prop::option::of(0u64..70));
    (trails, window, prop::collection::vec(any_filter(), 0..3), page).prop_map(
        |(trails, window, filters, page)| Query {
            trails: trails.into_iter().map(trail).collect(),
            from: window.0.map(Time::from_unix_ns),
            until: window.1.map(Time::from_unix_ns),
            filters,
            order: if page.0 { Order::Descending } else { Order::Ascending },
            offset: page.1,
            limit: page.2,
            as_of: page.3,
        },
    )
}

/// What happens between two requests.
#[derive(Clone, Copy, Debug)]
enum Step {
    None,
    Seal,
    Reopen,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop::sample::select(&[Step::None, Step::Seal, Step::Reopen][..])
}

/// An event without what a row of an answer may leave out.
fn as_told(mut event: Event) -> Event {
    event.origin.key = None;
    event.raw = Vec::new();
    event
}

/// The definition of every answer.
fn naive(events: &[Event], query: &Query) -> Page<u64> {
    let tree_size = query.as_of.map_or(events.len(), |size| events.len().min(size as usize));
    let mut matching: Vec<(Time, u64)> = events[..tree_size]
        .iter()
        .enumerate()
        .filter(|(_, event)| query.trails.contains(&event.trail))
        .filter(|(_, event)| query.from.is_none_or(|from| event.occurred_at >= from))
        .filter(|(_, event)| query.until.is_none_or(|until| event.occurred_at < until))
        .filter(|(_, event)| query.filters.iter().all(|filter| filter.matches(event)))
        .map(|(index, event)| (event.occurred_at, index as u64))
        .collect();
    matching.sort_unstable();
    if query.order == Order::Descending {
        matching.reverse();
    }
    let total = matching.len() as u64;
    let rows =
        matching.into_iter().map(|(_, index)| index).skip(query.offset as usize).take(query.limit).collect();
    Page { rows, total, tree_size: tree_size as u64 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn answers_are_those_of_the_model(
        requests in prop::collection::vec((prop::collection::vec(any_event(), 0..8), any_step()), 1..12),
        queries in prop::collection::vec(any_query(), 1..12),
    ) {
        let simulated = SimulatedDisk::new(0);
        let disk: Arc<dyn Disk> = Arc::new(simulated.clone());
        init(&disk, &identity(), &[]).unwrap();
        let settings = || Settings { journal_file_bytes_max: 8_000, tail_events_max: 5, ..Settings::default() };
        let mut log = Log::open(Arc::clone(&disk), settings()).unwrap();
        let mut events = Vec::new();
        for (batch, step) in requests {
            let numbered: Vec<Event> = batch
                .into_iter()
                .enumerate()
                .map(|(position, mut event)| {
                    event.origin.key = Some(format!("{}", events.len() + position));
                    event
                })
                .collect();
            events.extend(numbered.iter().cloned());
            log.append(request(numbered, &[])).unwrap().unwrap();
            match step {
                Step::None => {}
                Step::Seal => log.seal().unwrap(),
                Step::Reopen => {
                    drop(log);
                    simulated.power_cut();
                    log = Log::open(Arc::clone(&disk), settings()).unwrap();
                }
            }
        }
        for query in &queries {
            let page = log.query(query).unwrap();
            let expected = naive(&events, query);
            let indexes: Vec<u64> = page.rows.iter().map(|row| row.index).collect();
            prop_assert_eq!(&indexes, &expected.rows, "{:?}", query);
            prop_assert_eq!((page.total, page.tree_size), (expected.total, expected.tree_size), "{:?}", query);
            for row in page.rows {
                let expected = events[row.index as usize].clone();
                let number = events[..=row.index as usize].iter().filter(|one| one.trail == expected.trail).count();
                prop_assert_eq!(row.entry.number, number as u64);
                prop_assert_eq!(as_told(row.entry.event), as_told(expected));
            }
        }
        let report = store::check(&disk, &mut |_| {}).unwrap();
        prop_assert_eq!(report.events, events.len() as u64);
    }
}
