//! The canonical form against an independent writer of RFC 8785, and back.

use std::collections::BTreeMap;
use std::net::IpAddr;

use event::entry::{self, NUMBER_MAX, Template};
use event::{
    Actor, ActorKind, Class, Event, EventId, Operation, Origin, Outcome, OutcomeKind, Resolution,
    Resource, Service, Severity, SourceIp, Time, Trail, Trust,
};
use proptest::prelude::*;

fn any_event() -> impl Strategy<Value = Event> {
    let optional = || prop::option::of(any::<String>());
    let who = (optional(), optional(), prop::sample::select(ActorKind::ALL));
    let what = (
        any::<String>(),
        prop::sample::select(Operation::ALL),
        optional(),
        optional(),
        optional(),
        optional(),
    );
    let how = (
        prop::sample::select(OutcomeKind::ALL),
        any::<Option<u32>>(),
        optional(),
        1u8..=4,
        prop::sample::select(Class::ALL),
    );
    let from = (
        prop::option::of((any::<IpAddr>(), prop::sample::select(Trust::ALL))),
        optional(),
        optional(),
        optional(),
    );
    let when = (any::<i64>(), prop::sample::select(Resolution::ALL.to_vec()), any::<[u8; 10]>());
    let rest = (
        prop::collection::btree_map(any::<String>(), any::<String>(), 0..5),
        prop::collection::vec(any::<u8>(), 0..20),
        optional(),
    );
    (who, what, how, from, when, rest).prop_map(|(who, what, how, from, when, rest)| Event {
        id: EventId::v7(Time::from_unix_ns(when.0), when.2),
        trail: Trail::new(Service::Database, "t", "p", "i-ñ").unwrap(),
        occurred_at: Time::from_unix_ns(when.0),
        resolution: when.1,
        actor: Actor { id: who.0, name: who.1, kind: who.2 },
        source_ip: from.0.map(|(address, trust)| SourceIp { address, trust }),
        user_agent: from.1,
        action: what.0,
        operation: what.1,
        resource: Resource { kind: what.2, name: what.3, id: what.4, region: what.5 },
        outcome: Outcome { kind: how.0, code: how.1, reason: how.2 },
        severity: Severity::new(how.3).unwrap(),
        class: how.4,
        description: from.2,
        request_id: from.3,
        trace_id: None,
        origin: Origin { source: "s".to_owned(), format: "daybook".to_owned(), key: rest.2 },
        attributes: rest.0,
        raw: rest.1,
    })
}

proptest! {
    #[test]
    fn an_independent_canonicaliser_changes_no_byte(
        event in any_event(),
        number in 1..=NUMBER_MAX,
        received_ns in any::<i64>(),
    ) {
        let received_at = Time::from_unix_ns(received_ns);
        let template = Template::new(&event);
        let mut bytes = b"prefix".to_vec();
        template.fill(number, received_at, &mut bytes);
        let entry = &bytes[6..];
        prop_assert!(entry.len() <= template.len_bytes_max());

        let value: serde_json::Value = serde_json::from_slice(entry).unwrap();
        prop_assert_eq!(serde_json_canonicalizer::to_vec(&value).unwrap(), entry);

        let decoded = entry::decode(entry).unwrap();
        prop_assert_eq!((decoded.number, decoded.received_at), (number, received_at));
        prop_assert_eq!(&decoded.raw_sha256, template.raw_sha256());
        prop_assert_eq!(decoded.event, Event { raw: Vec::new(), ..event });
    }
}

#[test]
fn names_beyond_the_basic_plane_sort_by_utf16() {
    let mut event = plain();
    event.attributes = BTreeMap::from([
        ("\u{ff00}".to_owned(), "1".to_owned()),
        ("\u{1f600}".to_owned(), "2".to_owned()),
    ]);
    let mut entry = Vec::new();
    Template::new(&event).fill(1, Time::from_unix_ns(0), &mut entry);
    let text = String::from_utf8(entry).unwrap();
    assert!(text.find('\u{1f600}').unwrap() < text.find('\u{ff00}').unwrap(), "{text}");
}

/// The example of `docs/format.md`.
#[test]
fn the_documented_example_is_what_we_write() {
    let mut entry = Vec::new();
    Template::new(&plain()).fill(1, Time::from_unix_ns(1_795_197_990_000_000_000), &mut entry);
    let document =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/format.md"))
            .unwrap();
    let written = String::from_utf8(entry).unwrap();
    assert!(document.contains(&written), "docs/format.md lacks:\n{written}");
}

#[test]
fn bytes_that_we_would_not_write_are_no_entry() {
    let mut entry = Vec::new();
    Template::new(&plain()).fill(7, Time::from_unix_ns(0), &mut entry);
    let text = String::from_utf8(entry).unwrap();
    assert!(entry::decode(text.as_bytes()).is_ok());
    for (from, to) in [
        ("\"v\":1", "\"v\":2"),
        ("\"v\":1", "\"v\":1,\"w\":1"),
        ("\"operation\":\"pull\"", "\"operation\":\"steal\""),
        ("\"severity\":1", "\"severity\":9"),
        ("1970-01-01T00:00:00.000000000Z", "1970-01-01T00:00:00Z"),
        ("\"number\":7,", ""),
    ] {
        assert!(text.contains(from), "{from}");
        assert!(entry::decode(text.replace(from, to).as_bytes()).is_err(), "{to}");
    }
}

fn plain() -> Event {
    Event {
        id: EventId::v7(Time::from_unix_ns(1_795_197_990_000_000_000), [7; 10]),
        trail: Trail::new(Service::Registry, "acme", "054e292c9880d4992f02c0196d3ea468", "hub")
            .unwrap(),
        occurred_at: Time::parse_rfc3339("2026-11-20T17:49:51.255562537Z").unwrap().0,
        resolution: Resolution::Nanosecond,
        actor: Actor { id: None, name: Some("CORP\\dave".to_owned()), kind: ActorKind::User },
        source_ip: Some(SourceIp { address: "127.0.0.1".parse().unwrap(), trust: Trust::Peer }),
        user_agent: Some("skopeo/1.9.3".to_owned()),
        action: "pull".to_owned(),
        operation: Operation::Pull,
        resource: Resource {
            kind: Some("artifact".to_owned()),
            name: Some("library/ubuntu".to_owned()),
            id: Some(
                "sha256:8d985bff85a1e840f7913a2b07ca4a535bd53c092c23fd89dc4882325037e8c0"
                    .to_owned(),
            ),
            region: None,
        },
        outcome: Outcome { kind: OutcomeKind::Success, code: None, reason: None },
        severity: Severity::WARNING,
        class: Class::Operation,
        description: None,
        request_id: Some("4b6f641e-12c8-49b1-a683-8a12f2475066".to_owned()),
        trace_id: None,
        origin: Origin {
            source: "hub".to_owned(),
            format: "docker-registry".to_owned(),
            key: Some("f84f1db6-99b5-4e27-8706-5a8dbb64cd99".to_owned()),
        },
        attributes: BTreeMap::from([("tag".to_owned(), "24.04".to_owned())]),
        raw: b"{}".to_vec(),
    }
}
