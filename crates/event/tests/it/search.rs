//! The search language: what it reads, what it refuses and where, and that a search means what it
//! seems to mean.

use event::named::Name;
use event::query::{Dimension, Filter, Text};
use event::search::{Field, Search, Term, Value};
use event::words::words;
use event::{
    Actor, ActorKind, Class, Event, EventId, Operation, Origin, Outcome, OutcomeKind, Resolution,
    Resource, Service, Severity, SourceIp, Time, Trail, Trust,
};
use proptest::prelude::*;

fn now() -> Time {
    Time::parse_rfc3339("2026-11-22T10:30:00Z").unwrap().0
}

fn error(text: &str) -> String {
    match Search::parse(text).and_then(|search| search.meaning(now()).map(|_| ())) {
        Ok(()) => panic!("{text:?} was read"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn errors_point_at_what_is_wrong() {
    for (text, start) in [
        ("alice foo:bar", "column 7: there is no field \"foo\"; fields are actor, actor.id,"),
        ("a -", "column 4: - stands before what must not be"),
        ("- a", "column 2: - stands before"),
        ("\"drop table", "column 1: the quote that begins here does not end"),
        ("x \"a\\nb\"", "column 5: in quotes, write \\\\ for a backslash"),
        ("x \"a\"b", "column 6: white space is missing after the quoted text"),
        ("a OR b", "column 3: there is no OR"),
        ("al*ce", "column 3: * stands only at the end"),
        ("李雷 a\"b", "column 5: a quote begins inside a word"),
        ("operation:", "column 11: a value is missing"),
        ("operation:pull,", "column 16: a value is missing"),
        ("actor:\"\"", "column 7: a value is missing"),
        ("*", "column 1: a value is missing"),
        ("--", "column 2: \"-\" has no word in it"),
        ("operation:pull,fetch", "column 16: \"fetch\" is none of create, update,"),
        ("outcome:ok", "column 9: \"ok\" is none of success, failure, unknown"),
        ("severity:5", "column 10: \"5\" is no severity"),
        ("ip:10.0.0", "column 4: \"10.0.0\" is no address"),
        ("ip:10.0.0.0/33", "column 4: networks are written as"),
        ("ip:2001:db8::/32", "column 4: networks are written as"),
        ("after:yesteryear", "column 7: \"yesteryear\" is no instant"),
        ("after:-5y", "column 7: \"-5y\" is no instant"),
        ("after:-h", "column 7: \"-h\" is no instant"),
        ("after:--5h", "column 7: \"--5h\" is no instant"),
        ("after:-9999999999d", "column 7: "),
        ("x after:2026-11-02 before:2026-11-01", "column 27: after is later than before"),
        ("actor=alice", "column 1: \"=\" is no operator; write actor:alice"),
        ("x actor == alice", "column 3: \"==\" is no operator; write actor:VALUE"),
        ("outcome!=success", "column 1: \"!=\" is no operator; write -outcome:success"),
        ("severity>2", "column 1: \">\" is no operator; write severity:2, or list"),
        ("severity:>=3", "column 10: \">=\" is no operator; write severity:3, or list"),
        ("/ali.*e/", "column 1: there are no regular expressions"),
        ("actor:/ali.*e/", "column 7: there are no regular expressions"),
        ("attr.\"a\"x", "column 9: a colon is missing after the attribute's name"),
        ("attr.\"\":x", "column 9: the attribute's name is missing"),
        ("attr.:x", "column 1: there is no field \"attr.\""),
        ("after:2026-11-01,2026-11-02", "column 18: an instant is one"),
        ("-before:now", "column 9: after and before take no -"),
        ("trail:registry/acme", "column 7: \"registry/acme\" is no trail pattern"),
        ("service:docker", "column 9: \"docker\" is no service"),
        ("tenant:ac*", "column 8: a part of a trail must be whole"),
        ("project:a/b", "column 9: "),
    ] {
        assert!(error(text).starts_with(start), "{text}: {}", error(text));
    }
    assert!(error(&"a".repeat(4097)).contains("at most 4096"));
    let many = vec!["1"; 257].join(",");
    assert!(error(&format!("actor:{many}")).ends_with("more than 256 values"));
}

fn meant(text: &str) -> Vec<Filter> {
    Search::parse(text)
        .and_then(|search| search.meaning(now()))
        .unwrap_or_else(|e| panic!("{text}: {e}"))
        .filters
}

#[test]
fn terms_become_filters() {
    let any = |dimension, values: &[&str]| {
        Filter::AnyOf(dimension, values.iter().map(|value| (*value).to_owned()).collect())
    };
    let prefix = |dimension, start: &str| Filter::Prefix(dimension, start.to_owned());
    assert_eq!(meant("operation:pull,push"), [any(Dimension::Operation, &["pull", "push"])]);
    assert_eq!(
        meant("-operation:pull"),
        [Filter::NoneOf(Dimension::Operation, vec!["pull".to_owned()])]
    );
    assert_eq!(meant("severity:major,4"), [any(Dimension::Severity, &["3", "4"])]);
    assert_eq!(meant("severity:normal"), meant("severity:warning"));
    assert_eq!(meant("resource.name:library/*"), [prefix(Dimension::ResourceName, "library/")]);
    assert_eq!(meant("resource.id:*"), [prefix(Dimension::ResourceId, "")]);
    assert_eq!(meant("ip:2001:DB8:0::1"), [any(Dimension::SourceIp, &["2001:db8::1"])]);
    assert_eq!(meant("ip:10.0.0.0/8"), [prefix(Dimension::SourceIp, "10.")]);
    assert_eq!(meant("ip:10.0.0.9/32"), [any(Dimension::SourceIp, &["10.0.0.9"])]);
    assert_eq!(meant("ip:10.0.0.6/31"), [any(Dimension::SourceIp, &["10.0.0.6", "10.0.0.7"])]);
    let octets = |range: std::ops::RangeInclusive<u8>| {
        Filter::Either(
            range.map(|octet| prefix(Dimension::SourceIp, &format!("172.{octet}."))).collect(),
        )
    };
    assert_eq!(meant("ip:172.16.0.0/12"), [octets(16..=31)]);
    let everywhere = |text: &str| {
        let named = |name| Filter::Named(name, text.to_owned());
        let words = Text::ALL.map(|one| Filter::Words(one, text.to_owned())).to_vec();
        [words, vec![named(Name::RequestId), named(Name::TraceId)]].concat()
    };
    assert_eq!(meant("\"drop table\""), [Filter::Either(everywhere("drop table"))]);
    let digest = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";
    assert_eq!(meant(digest), [Filter::Either(everywhere(digest))]);
    let with_address =
        [everywhere("10.0.0.9"), vec![any(Dimension::SourceIp, &["10.0.0.9"])]].concat();
    assert_eq!(meant("10.0.0.9"), [Filter::Either(with_address)]);
    assert_eq!(
        meant("description:drop*"),
        [Filter::WordPrefix(Text::Description, "drop".to_owned())]
    );
    let host = || Name::Attribute("host".to_owned());
    assert_eq!(meant("attr.host:web-1"), [Filter::Named(host(), "web-1".to_owned())]);
    assert_eq!(
        meant("-attr.host:*"),
        [Filter::Not(Box::new(Filter::NamedPrefix(host(), String::new())))]
    );
    let named = |name: &str, value: &str| {
        [Filter::Named(Name::Attribute(name.to_owned()), value.to_owned())]
    };
    assert_eq!(
        meant("attr.authorization.k8s.io/decision:allow"),
        named("authorization.k8s.io/decision", "allow")
    );
    assert_eq!(meant("attr.\"a b:c\":d"), named("a b:c", "d"));
    assert_eq!(meant("code:403"), [Filter::Named(Name::OutcomeCode, "403".to_owned())]);
    assert_eq!(meant(""), []);
}

#[test]
fn instants_are_absolute_or_before_now() {
    for (text, at) in [
        ("now", "2026-11-22T10:30:00Z"),
        ("today", "2026-11-22T00:00:00Z"),
        ("yesterday", "2026-11-21T00:00:00Z"),
        ("-90s", "2026-11-22T10:28:30Z"),
        ("-15m", "2026-11-22T10:15:00Z"),
        ("-24h", "2026-11-21T10:30:00Z"),
        ("24h", "2026-11-21T10:30:00Z"),
        ("-7d", "2026-11-15T10:30:00Z"),
        ("-2w", "2026-11-08T10:30:00Z"),
        ("2026-11-01", "2026-11-01T00:00:00Z"),
        ("2026-11-01T10:30", "2026-11-01T10:30:00Z"),
        ("2026-11-01T10:30:15.25", "2026-11-01T10:30:15.25Z"),
        ("2026-11-01T10:30+08:00", "2026-11-01T02:30:00Z"),
        ("2026-11-01T10:30:00.123456789Z", "2026-11-01T10:30:00.123456789Z"),
    ] {
        let meaning = Search::parse(&format!("after:{text}")).unwrap().meaning(now()).unwrap();
        assert_eq!(meaning.from, Some(Time::parse_rfc3339(at).unwrap().0), "{text}");
    }
    let both =
        Search::parse("after:-7d before:today after:yesterday").unwrap().meaning(now()).unwrap();
    assert_eq!(both.from, Some(now().start_of_day().plus_seconds(-86_400)));
    assert_eq!(both.until, Some(now().start_of_day()));
}

#[test]
fn trails_are_chosen_and_left_out() {
    let hub = Trail::new(Service::Registry, "acme", "p1", "hub").unwrap();
    let orders = Trail::new(Service::Database, "acme", "p1", "orders").unwrap();
    for (text, about) in [
        ("", [true, true]),
        ("service:registry", [true, false]),
        ("service:registry,database", [true, true]),
        ("-service:registry", [false, true]),
        ("trail:*/acme/p1/*", [true, true]),
        ("trail:*/*/*/hub", [true, false]),
        ("trail:*/acme/*/* -instance:orders", [true, false]),
        ("tenant:other", [false, false]),
        ("tenant:*", [true, true]),
    ] {
        let meaning = Search::parse(text).unwrap().meaning(now()).unwrap();
        assert_eq!([&hub, &orders].map(|trail| meaning.is_about(trail)), about, "{text}");
    }
}

#[test]
fn every_field_is_named_once() {
    for (position, (name, field, about)) in Field::ALL.iter().enumerate() {
        assert_eq!((Field::named(name), &*field.name()), (Some(field.clone()), *name));
        assert!(
            !about.is_empty() && Field::ALL[..position].iter().all(|(other, ..)| other != name)
        );
    }
    for dimension in Dimension::ALL {
        assert!(
            Field::ALL.iter().any(|(_, field, _)| *field == Field::Of(dimension)),
            "{dimension:?}"
        );
    }
}

const TEXTS: [&str; 10] = [
    "alice",
    "a",
    "李雷",
    "library/alpine",
    "drop table",
    "DROP",
    "x,y",
    "-",
    "10.0.0.1",
    "say \"hi\" \\ *",
];

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![3 => prop::sample::select(&TEXTS[..]).prop_map(str::to_owned), 1 => "\\PC{1,6}"]
}

fn any_value() -> impl Strategy<Value = Value> {
    (any_text(), any::<bool>()).prop_map(|(text, is_prefix)| Value { text, is_prefix, column: 0 })
}

fn attribute(name: &str) -> Option<Field> {
    Some(Field::Named(Name::Attribute(name.to_owned())))
}

fn any_term() -> impl Strategy<Value = Term> {
    let fields: Vec<Option<Field>> = [None, attribute("host"), attribute("a b:c")]
        .into_iter()
        .chain(Field::ALL.map(|(_, field, _)| Some(field)))
        .collect();
    (any::<bool>(), prop::sample::select(fields), prop::collection::vec(any_value(), 1..4))
        .prop_map(|(is_excluded, field, mut values)| {
            values.truncate(if field.is_some() { 3 } else { 1 });
            // A trail's pattern has stars of its own.
            values.iter_mut().for_each(|value| value.is_prefix &= field != Some(Field::Trail));
            Term { is_excluded, field, values }
        })
}

fn without_columns(mut search: Search) -> Search {
    search.terms.iter_mut().flat_map(|term| &mut term.values).for_each(|value| value.column = 0);
    search
}

fn any_event() -> impl Strategy<Value = Event> {
    let text = || prop::option::of(any_text());
    (
        text(),
        text(),
        text(),
        text(),
        text(),
        text(),
        any_text(),
        (text(), text(), text()),
        prop::sample::select(&["10.0.0.1", "10.0.0.12", "10.1.0.1", "2001:db8::1"][..]),
    )
        .prop_map(
            |(
                id,
                name,
                resource,
                resource_id,
                description,
                user_agent,
                action,
                (reason, request_id, host),
                ip,
            )| {
                Event {
                    id: EventId::default(),
                    trail: Trail::new(Service::Registry, "acme", "p1", "hub").unwrap(),
                    occurred_at: now(),
                    resolution: Resolution::Second,
                    actor: Actor { id, name, kind: ActorKind::User },
                    source_ip: Some(SourceIp { address: ip.parse().unwrap(), trust: Trust::Peer }),
                    user_agent,
                    action,
                    operation: Operation::Pull,
                    resource: Resource {
                        kind: None,
                        name: resource,
                        id: resource_id,
                        region: None,
                    },
                    outcome: Outcome { kind: OutcomeKind::Failure, code: Some(403), reason },
                    severity: Severity::MAJOR,
                    class: Class::Security,
                    description,
                    request_id,
                    trace_id: None,
                    origin: Origin {
                        source: "hub".to_owned(),
                        format: "daybook".to_owned(),
                        key: None,
                    },
                    attributes: host.into_iter().map(|host| ("host".to_owned(), host)).collect(),
                    raw: Vec::new(),
                }
            },
        )
}

/// The meaning by the reference, without filters; `None` if the term is about no text or dimension.
fn thought(term: &Term, event: &Event) -> Option<bool> {
    let texts = |texts: &[&Option<String>]| {
        texts.iter().filter_map(|text| (*text).clone()).collect::<Vec<_>>()
    };
    let (actor, resource) = (
        texts(&[&event.actor.name, &event.actor.id]),
        texts(&[&event.resource.name, &event.resource.id]),
    );
    let has_words = |texts: &[String], value: &Value| {
        let all: Vec<String> = texts.iter().flat_map(|text| words(text)).collect();
        let mut wanted = Vec::new();
        event::words::each_word(&value.text, |word| wanted.push(word.to_owned()));
        let start = value.is_prefix.then(|| wanted.pop().unwrap());
        wanted.iter().all(|word| all.contains(word))
            && start.is_none_or(|start| all.iter().any(|word| word.starts_with(&start)))
    };
    let is = |texts: &[String], value: &Value| {
        texts.iter().any(|text| {
            if value.is_prefix { text.starts_with(&value.text) } else { *text == value.text }
        })
    };
    let searched = [
        resource.clone(),
        texts(&[&event.description]),
        texts(&[&event.user_agent]),
        actor.clone(),
        [
            vec![event.action.clone(), "403".to_owned()],
            texts(&[&event.outcome.reason]),
            event.attributes.values().cloned().collect(),
        ]
        .concat(),
    ];
    let named = |name: &Name, value: &Value| {
        is(
            &name.with_value(event, |text| text.map(str::to_owned)).into_iter().collect::<Vec<_>>(),
            value,
        )
    };
    let address = event.source_ip.as_ref().unwrap().address.to_string();
    let holds = |value: &Value| match &term.field {
        None => {
            searched.iter().any(|texts| has_words(texts, value))
                || is(&texts(&[&event.request_id, &event.trace_id]), value)
                || (!value.is_prefix && value.text == address)
        }
        Some(Field::Actor) => is(&actor, value),
        Some(Field::Resource) => is(&resource, value),
        Some(Field::In(Text::Description)) => has_words(&searched[1], value),
        Some(Field::In(_)) => has_words(&searched[2], value),
        Some(Field::Named(name)) => named(name, value),
        Some(Field::Of(dimension)) => is(
            &dimension
                .with_value(event, |text| text.map(str::to_owned))
                .into_iter()
                .collect::<Vec<_>>(),
            value,
        ),
        _ => unreachable!("matched below"),
    };
    let is_about_the_event = !matches!(
        term.field,
        Some(Field::Trail | Field::TrailPart(_) | Field::After | Field::Before)
    );
    is_about_the_event.then(|| term.values.iter().any(holds) != term.is_excluded)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_search_is_written_as_it_is_read(terms in prop::collection::vec(any_term(), 0..4)) {
        let search = Search { terms };
        let text = search.to_string();
        let read = Search::parse(&text).map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
        prop_assert_eq!(without_columns(read), search, "{}", text);
    }

    #[test]
    fn a_search_means_what_a_reader_thinks(
        terms in prop::collection::vec(any_term(), 1..3),
        event in any_event(),
    ) {
        let search = Search { terms };
        let thought: Option<Vec<bool>> =
            search.terms.iter().map(|term| thought_if_read(term, &event)).collect();
        let meaning = search.meaning(now());
        if let (Some(thought), Ok(meaning)) = (thought, meaning) {
            let found = meaning.filters.iter().all(|filter| filter.matches(&event));
            prop_assert_eq!(found, thought.iter().all(|holds| *holds), "{}", search);
        }
    }

    #[test]
    fn columns_are_within_the_search(text in "(actor|after|ip|foo|-|:|\"|,|\\*|\\\\| |a|李){0,12}") {
        let meaning = Search::parse(&text).and_then(|search| search.meaning(now()).map(|_| ()));
        if let Err(error) = meaning {
            prop_assert!((1..=text.chars().count() + 1).contains(&error.column), "{}: {}", text, error);
        }
    }
}

/// The meaning by `thought` for a readable term: a value without a word matches nothing.
fn thought_if_read(term: &Term, event: &Event) -> Option<bool> {
    Search { terms: vec![term.clone()] }.meaning(now()).ok()?;
    thought(term, event)
}
