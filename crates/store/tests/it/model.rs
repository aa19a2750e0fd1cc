//! Queries against a model that is too naive to be wrong.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use event::named::Name;
use event::query::{Dimension, Filter, Histogram, Order, Page, Query, Text, Top};
use event::{
    Actor, ActorKind, Event, Operation, Outcome, Resource, Severity, SourceIp, Time, Trust,
};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use store::durable::Disk;
use store::simulated::SimulatedDisk;
use store::{Log, Settings, Work, init};

use crate::{event, identity, request, trail};

const INSTANCES: [&str; 3] = ["a", "b", "c"];
const NAMES: [&str; 3] = ["alice", "bob", "李雷"];

const TEXTS: [&str; 6] = [
    "",
    "library/alpine",
    "library/alp v2",
    "删除镜像 alpine",
    "DROP TABLE Orders; -- orders",
    "docker/24.0.7",
];

/// Longer than a token has whole.
const LONG: &str = "select * from orders where customer = 1 and state in ('new', 'paid') and total > \
                    1000 order by total desc limit 100";

fn any_event() -> impl Strategy<Value = Event> {
    let who = prop::option::of(prop::sample::select(&NAMES[..]));
    let what = (
        prop::sample::select(Operation::ALL),
        prop::option::of(prop::sample::select(&["artifact", "blob", "tag"][..])),
    );
    let from = prop::option::of(0u8..3);
    let texts = prop::option::of(prop::sample::select(&TEXTS[..]));
    (
        prop::sample::select(&INSTANCES[..]),
        0i64..20,
        who,
        what,
        from,
        1u8..=4,
        [texts.clone(), texts.clone(), texts],
    )
        .prop_map(|(instance, time, who, what, from, severity, texts)| Event {
            actor: Actor { id: None, name: who.map(str::to_owned), kind: ActorKind::User },
            operation: what.0,
            resource: Resource {
                kind: what.1.map(str::to_owned),
                name: texts[0].map(str::to_owned),
                ..Resource::default()
            },
            description: texts[1].map(str::to_owned),
            user_agent: texts[2].map(str::to_owned),
            source_ip: from
                .map(|last| SourceIp { address: [10, 0, 0, last].into(), trust: Trust::Peer }),
            severity: Severity::new(severity).unwrap(),
            outcome: Outcome {
                code: from.map(|last| 400 + u32::from(last)),
                reason: texts[0].map(str::to_owned),
                ..Outcome::default()
            },
            request_id: texts[1].map(|text| format!("r-{}", text.len())),
            attributes: [("host", texts[2]), ("主机", texts[0]), ("long", from.map(|_| LONG))]
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
                .collect(),
            ..event(instance, "", time)
        })
}

/// Events of one request: a few, or now and then many similar ones, so that a segment has long
/// lists of rows.
fn any_batch() -> impl Strategy<Value = Vec<Event>> {
    let times = prop_oneof![9 => Just(1i64), 1 => 50i64..100];
    (prop::collection::vec(any_event(), 0..8), times).prop_map(|(events, times)| {
        let again = |event: &Event, count: i64| Event {
            occurred_at: Time::from_unix_ns(event.occurred_at.unix_ns() + count % 7),
            ..event.clone()
        };
        (0..times).flat_map(|count| events.iter().map(move |event| again(event, count))).collect()
    })
}

fn any_filter() -> impl Strategy<Value = Filter> {
    let values = prop::sample::select(
        &[
            "alice",
            "bob",
            "李雷",
            "pull",
            "push",
            "delete",
            "artifact",
            "blob",
            "10.0.0.1",
            "1",
            "2",
            "user",
            "hub",
            "",
            "library/alpine",
        ][..],
    );
    let starts =
        prop::sample::select(&["", "p", "a", "1", "10.0.0.", "library/al", "李", "zz"][..]);
    let words = prop::sample::select(
        &[
            "",
            "alpine",
            "alp",
            "al",
            "镜",
            "镜像",
            "orders drop",
            "library/a",
            "24.0.",
            "alice",
            "v2 none",
            "李雷",
        ][..],
    );
    let dimension = prop::sample::select(&Dimension::ALL[..]);
    let text = prop::sample::select(&Text::ALL[..]);
    let of_values = (dimension.clone(), prop::collection::vec(values, 0..4), any::<bool>())
        .prop_map(|(dimension, values, is_any_of)| {
            let values = values.into_iter().map(str::to_owned).collect();
            if is_any_of {
                Filter::AnyOf(dimension, values)
            } else {
                Filter::NoneOf(dimension, values)
            }
        });
    let of_words = (text, words, any::<bool>()).prop_map(|(text, words, is_prefix)| {
        let words = words.to_owned();
        if is_prefix { Filter::WordPrefix(text, words) } else { Filter::Words(text, words) }
    });
    let names = prop::sample::select(vec![
        Name::Attribute("host".to_owned()),
        Name::Attribute("主机".to_owned()),
        Name::Attribute("long".to_owned()),
        Name::Attribute("ho".to_owned()),
        Name::OutcomeCode,
        Name::OutcomeReason,
        Name::RequestId,
        Name::TraceId,
    ]);
    let named = prop::sample::select(
        &["", "library/alpine", "library/", "402", "4", "r-14", "r", "删", LONG, "select * from"][..],
    );
    let of_names = (names, named, any::<bool>()).prop_map(|(name, value, is_prefix)| {
        let value = value.to_owned();
        if is_prefix && value != LONG {
            Filter::NamedPrefix(name, value)
        } else {
            Filter::Named(name, value)
        }
    });
    let there = prop::sample::select(
        &[
            (Dimension::Operation, "pull"),
            (Dimension::ActorName, "alice"),
            (Dimension::ActorName, "李雷"),
            (Dimension::ActorKind, "user"),
            (Dimension::ResourceKind, "artifact"),
            (Dimension::ResourceName, "library/alpine"),
            (Dimension::SourceIp, "10.0.0.1"),
            (Dimension::Severity, "2"),
        ][..],
    );
    let simple = prop_oneof![
        4 => there.prop_map(|(dimension, value)| Filter::is(dimension, value)),
        4 => of_values,
        2 => of_words,
        2 => of_names,
        1 => (dimension, starts)
            .prop_map(|(dimension, start)| Filter::Prefix(dimension, start.to_owned())),
    ];
    let either = prop::collection::vec(simple.clone(), 0..3).prop_map(Filter::Either);
    let none = either.clone().prop_map(|filter| Filter::Not(Box::new(filter)));
    let not = simple.clone().prop_map(|filter| Filter::Not(Box::new(filter)));
    prop_oneof![10 => simple, 2 => either, 1 => not, 1 => none]
}

fn any_query() -> impl Strategy<Value = Query> {
    let some = prop::collection::vec(prop::sample::select(&["a", "b", "c", "nowhere"][..]), 0..5);
    let trails = prop_oneof![3 => some, 1 => Just(vec!["c", "a", "b"])];
    // Filters by severity use the order by time.
    let severity = prop::sample::select(&["1", "2", "3"][..])
        .prop_map(|value| vec![Filter::is(Dimension::Severity, value)]);
    let filters = prop_oneof![4 => prop::collection::vec(any_filter(), 0..3), 1 => severity];
    let window = (prop::option::of(-1i64..22), prop::option::of(-1i64..22));
    let page = (
        any::<bool>(),
        prop_oneof![0u64..40, 0u64..2000],
        0usize..40,
        prop::option::of(0u64..2000),
    );
    (trails, window, filters, page).prop_map(|(trails, window, filters, page)| Query {
        trails: trails.into_iter().map(trail).collect(),
        from: window.0.map(Time::from_unix_ns),
        until: window.1.map(Time::from_unix_ns),
        filters,
        order: if page.0 { Order::Descending } else { Order::Ascending },
        offset: page.1,
        limit: page.2,
        as_of: page.3,
    })
}

/// A step between two requests.
#[derive(Clone, Copy, Debug)]
enum Step {
    None,
    Flush,
    Compact,
    Reopen,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop::sample::select(
        &[Step::None, Step::Flush, Step::Flush, Step::Flush, Step::Compact, Step::Reopen][..],
    )
}

/// An event without the parts that a row may lack.
fn as_row(mut event: Event) -> Event {
    event.origin.key = None;
    event.raw = Vec::new();
    event
}

/// The definition of a histogram.
fn naive_histogram(events: &[Event], query: &Query, instants: &[Time]) -> Histogram {
    let all = naive(events, &Query { offset: 0, limit: usize::MAX, ..query.clone() });
    let times: Vec<Time> =
        all.rows.iter().map(|index| events[*index as usize].occurred_at).collect();
    let within = |pair: &[Time]| {
        times.iter().filter(|time| (pair[0]..pair[1]).contains(time)).count() as u64
    };
    let counts = instants.windows(2).map(within).collect();
    Histogram { counts, total: all.total, tree_size: all.tree_size }
}

/// The definition of top values.
fn naive_top(events: &[Event], query: &Query, dimension: Dimension, limit: usize) -> Top {
    let all = naive(events, &Query { offset: 0, limit: usize::MAX, ..query.clone() });
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let mut without = 0;
    for index in &all.rows {
        match dimension.with_value(&events[*index as usize], |value| value.map(str::to_owned)) {
            Some(value) => *counts.entry(value).or_default() += 1,
            None => without += 1,
        }
    }
    let mut values: Vec<(String, u64)> = counts.into_iter().collect();
    values.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let others = values.split_off(limit.min(values.len()));
    let others = others.iter().map(|(_, count)| count).sum();
    Top { values, others, without, total: all.total, tree_size: all.tree_size }
}

/// The definition of a page.
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
    let rows = matching
        .into_iter()
        .map(|(_, index)| index)
        .skip(query.offset as usize)
        .take(query.limit)
        .collect();
    Page { rows, total, tree_size: tree_size as u64 }
}

/// 2,000 histories, or as many as `DAYBOOK_CASES` says.
#[test]
fn answers_are_those_of_the_model() {
    let cases = std::env::var("DAYBOOK_CASES").map_or(2_000, |text| text.parse().unwrap());
    let config = ProptestConfig { cases, max_shrink_iters: 4096, ..ProptestConfig::default() };
    let histories = (
        prop::collection::vec((any_batch(), any_step()), 1..20),
        prop::collection::vec(any_query(), 1..12),
        prop::collection::vec((prop::sample::select(&Dimension::ALL[..]), 0usize..4), 12),
    );
    TestRunner::new(config)
        .run(&histories, |(requests, queries, tops)| history(requests, &queries, tops))
        .unwrap();
}

/// Scans all rows of a query, in small steps, while the log goes on, flushes and compacts.
fn scan(log: &Log, events: &mut Vec<Event>, query: &Query) -> Result<(), TestCaseError> {
    let whole = Query { order: Order::Ascending, limit: usize::MAX, ..query.clone() };
    let expected = naive(events, &whole);
    let more: Vec<Event> = events.iter().take(12).cloned().collect();
    let mut scan = log.scan(query).unwrap();
    prop_assert_eq!(
        (scan.total(), scan.tree_size()),
        (expected.total, expected.tree_size),
        "{:?}",
        query
    );
    let mut indexes = Vec::new();
    for step in 0.. {
        let rows = scan.next(SCAN_BYTES).unwrap();
        if rows.is_empty() {
            break;
        }
        for row in rows {
            prop_assert_eq!(as_row(row.entry.event), as_row(events[row.index as usize].clone()));
            indexes.push(row.index);
        }
        match step {
            0 => {
                let keyed = |(position, mut event): (usize, Event)| {
                    event.origin.key = Some(format!("more {position}"));
                    event
                };
                let more: Vec<Event> = more.iter().cloned().enumerate().map(keyed).collect();
                events.extend(more.iter().cloned());
                log.append(request(more, &[])).unwrap().unwrap();
            }
            1 => log.flush().unwrap(),
            2 => log.compact().unwrap(),
            _ => {}
        }
        if step % 3 == 1 {
            scan.release();
        }
    }
    prop_assert_eq!(indexes, expected.rows, "{:?}", query);
    Ok(())
}

/// Few rows at a time.
const SCAN_BYTES: usize = 6_000;

fn history(
    requests: Vec<(Vec<Event>, Step)>,
    queries: &[Query],
    tops: Vec<(Dimension, usize)>,
) -> Result<(), TestCaseError> {
    let simulated = SimulatedDisk::new(0);
    let disk: Arc<dyn Disk> = Arc::new(simulated.clone());
    init(&disk, &identity(), &[]).unwrap();
    let settings = || Settings {
        journal_file_bytes_max: 8_000,
        memtable_events_max: 5,
        compaction_segments: 3,
        compaction_every: Duration::MAX,
        ..Settings::default()
    };
    let mut log = Log::open(Arc::clone(&disk), settings()).unwrap();
    let mut events: Vec<Event> = Vec::new();
    for (batch, step) in requests {
        let keyed = |(position, mut event): (usize, Event)| {
            event.origin.key = Some(format!("{}", events.len() + position));
            event
        };
        let batch: Vec<Event> = batch.into_iter().enumerate().map(keyed).collect();
        events.extend(batch.iter().cloned());
        log.append(request(batch, &[])).unwrap().unwrap();
        match step {
            Step::None => {}
            Step::Flush => log.flush().unwrap(),
            Step::Compact => log.compact().unwrap(),
            Step::Reopen => {
                drop(log);
                simulated.power_cut();
                log = Log::open(Arc::clone(&disk), settings()).unwrap();
            }
        }
    }
    for (query, (dimension, limit)) in queries.iter().zip(tops) {
        let page = log.query(query).unwrap();
        let expected = naive(&events, query);
        let indexes: Vec<u64> = page.rows.iter().map(|row| row.index).collect();
        prop_assert_eq!(&indexes, &expected.rows, "{:?}", query);
        prop_assert_eq!(
            (page.total, page.tree_size),
            (expected.total, expected.tree_size),
            "{:?}",
            query
        );
        for row in page.rows {
            let expected = events[row.index as usize].clone();
            let before =
                events[..=row.index as usize].iter().filter(|one| one.trail == expected.trail);
            prop_assert_eq!(row.entry.number, before.count() as u64);
            prop_assert_eq!(as_row(row.entry.event), as_row(expected));
        }
        let instants: Vec<Time> = [-5, 0, 3, 3, 10, 11, 25].map(Time::from_unix_ns).to_vec();
        let found = log.histogram(query, &instants).unwrap();
        prop_assert_eq!(found, naive_histogram(&events, query, &instants), "{:?}", query);
        let dimensions = [dimension, Dimension::ResourceName];
        let found = log.tops(query, &dimensions, limit).unwrap();
        // As many bytes as values: all counters fit, or some, or none.
        let in_few_bytes = Work::new(limit, || true).run(|| log.tops(query, &dimensions, limit));
        prop_assert_eq!(&found, &in_few_bytes.unwrap(), "{:?}", query);
        for (found, dimension) in found.into_iter().zip([dimension, Dimension::ResourceName]) {
            let expected = naive_top(&events, query, dimension, limit);
            prop_assert_eq!(found, expected, "{:?} {:?}", query, dimension);
        }
    }
    scan(&log, &mut events, &queries[0])?;
    let report = store::check(&disk, &mut |_| {});
    prop_assert_eq!(
        report.map(|report| report.events).map_err(|error| error.to_string()),
        Ok(events.len() as u64)
    );
    Ok(())
}
