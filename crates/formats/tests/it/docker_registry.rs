//! Every captured notification, with the events expected of it beside it.

use std::path::PathBuf;

use event::{ActorKind, Event, Operation, Service, Trust};
use formats::{EnvelopeError, Item};

use crate::golden::{Source, requests};

const HUB: Source = Source { format: "docker-registry", service: Service::Registry, name: "hub" };

fn parse(body: &[u8], ids: &mut u64) -> Result<Vec<Item>, EnvelopeError> {
    HUB.parse(body, ids)
}

fn captures() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in std::fs::read_dir(HUB.capture("")).unwrap() {
        let folder = folder.unwrap().path();
        if !folder.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if name.ends_with(".requests.jsonl")
                || name == "requests.jsonl"
                || name.ends_with(".body")
            {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn every_capture_gives_the_events_beside_it() {
    let captures = captures();
    assert_eq!(captures.len(), 15, "captures found: {captures:#?}");
    for path in captures {
        HUB.check(&path, &requests(&path));
    }
}

fn capture(name: &str) -> Vec<Event> {
    requests(&HUB.capture(name)).iter().flat_map(|request| HUB.events(&request.body)).collect()
}

/// The acts by the capture's own notes, against the events.
#[test]
fn operations_and_kinds_are_those_of_the_workload() {
    let expected = [
        ("raw-examples/00001.body", Operation::Push, "blob"),
        ("raw-examples/00004.body", Operation::Push, "artifact"),
        ("raw-examples/00019.body", Operation::Push, "artifact"),
        ("raw-examples/00023.body", Operation::Mount, "blob"),
        ("raw-examples/00027.body", Operation::Pull, "artifact"),
        ("raw-examples/00029.body", Operation::Read, "artifact"),
        ("raw-examples/00035.body", Operation::Delete, "artifact"),
        ("raw-examples/00036.body", Operation::Delete, "tag"),
        ("raw-examples/00037.body", Operation::Delete, "artifact"),
    ];
    for (name, operation, kind) in expected {
        let event = capture(name).pop().unwrap();
        assert_eq!(
            (event.operation, event.resource.kind.as_deref()),
            (operation, Some(kind)),
            "{name}"
        );
    }
}

#[test]
fn a_tag_that_goes_with_its_manifest_shares_the_request_id() {
    let digest = capture("raw-examples/00035.body").pop().unwrap();
    let tag = capture("raw-examples/00036.body").pop().unwrap();
    assert_eq!(digest.request_id, tag.request_id);
    assert_eq!(tag.resource.name.as_deref(), Some("team-a/sub/app"));
    assert_eq!(tag.resource.id.as_deref(), Some("v1.0_rc-1"));
    assert_eq!(
        digest.resource.id.as_deref(),
        Some("sha256:41cbfc67755744aebda8cfcc6d856572bea490c099278f2c07d5412d8bdb1004")
    );
}

#[test]
fn actors_are_people_robots_and_nobody() {
    let all = capture("v2.8/primary.requests.jsonl");
    let kind_of = |name: &str| {
        all.iter().find(|event| event.actor.name.as_deref() == Some(name)).unwrap().actor.kind
    };
    for (name, kind) in [
        ("alice", ActorKind::User),
        ("robot$ci-builder", ActorKind::Robot),
        ("李雷", ActorKind::User),
        ("CORP\\dave", ActorKind::User),
    ] {
        assert_eq!(kind_of(name), kind, "{name}");
    }
    for event in capture("v2.8-anonymous-ipv6/requests.jsonl") {
        assert_eq!((event.actor.kind, event.actor.name), (ActorKind::Anonymous, None));
        let ip = event.source_ip.unwrap();
        assert_eq!((ip.address.to_string().as_str(), ip.trust), ("::1", Trust::Peer));
    }
}

#[test]
fn an_address_without_port_is_a_claim() {
    for name in ["v2.8/primary.requests.jsonl", "v3.1/primary.requests.jsonl"] {
        let claimed: Vec<String> = capture(name)
            .iter()
            .filter_map(|event| event.source_ip.as_ref())
            .filter(|ip| ip.trust == Trust::Forwarded)
            .map(|ip| ip.address.to_string())
            .collect();
        assert_eq!(claimed, ["198.51.100.7", "203.0.113.9"], "{name}");
    }
}

#[test]
fn local_offset_nanoseconds_become_utc() {
    let shanghai = capture("v2.8/flaky-after-restart.requests.jsonl");
    assert!(
        shanghai
            .iter()
            .any(|event| event.occurred_at.to_string() == "2026-11-20T17:52:47.655622710Z")
    );
}

#[test]
fn version_3_writes_empty_texts_for_what_it_does_not_know() {
    let all = capture("v3.1/primary.requests.jsonl");
    let tags: Vec<_> =
        all.iter().filter(|event| event.resource.kind.as_deref() == Some("tag")).collect();
    assert!(!tags.is_empty());
    for event in tags {
        assert_eq!(event.operation, Operation::Delete);
        assert!(event.resource.id.as_deref().is_some_and(|tag| !tag.is_empty()));
        assert!(!event.attributes.contains_key("media_type"));
    }
}

#[test]
fn redelivered_notifications_carry_the_same_key() {
    let all = capture("v2.8/flaky.requests.jsonl");
    let mut keys: Vec<_> = all.iter().map(|event| event.origin.key.clone().unwrap()).collect();
    let deliveries = keys.len();
    keys.sort();
    keys.dedup();
    assert!(keys.len() < deliveries, "the capture holds redeliveries");
}

#[test]
fn bad_records_are_rejected_with_their_bytes() {
    let body = r#"{"events":[{"id":"1","timestamp":"2026-11-20T17:49:50Z","action":"frob","target":{"repository":"r"}},
        {"id":"","action":"pull"}, 7, {"id":"2","timestamp":"soon","action":"pull","target":{"repository":"r"}},
        {"id":"3","id":"4","timestamp":"2026-11-20T17:49:50Z","action":"pull","target":{"repository":"r"}},
        {"id":"5","timestamp":"2026-11-20T17:49:50Z","action":"pull","target":{"repository":"r"},"unknown":[1]}]}"#;
    let parsed = parse(body.as_bytes(), &mut 0).unwrap();
    let reasons: Vec<String> = parsed
        .iter()
        .map(|item| match item {
            Item::Rejected(rejected) => rejected.reason.clone(),
            Item::Event(event) => format!("event {}", event.origin.key.as_deref().unwrap()),
            Item::Skipped(why) => format!("skipped: {why}"),
        })
        .collect();
    assert_eq!(reasons[0], "unknown action \"frob\"");
    assert_eq!(reasons[1], "the event has no id");
    assert!(
        reasons[2].starts_with("not a notification: invalid type: integer `7`"),
        "{}",
        reasons[2]
    );
    assert!(reasons[3].starts_with("timestamp: \"soon\""), "{}", reasons[3]);
    assert!(reasons[4].contains("duplicate field `id`"), "{}", reasons[4]);
    assert_eq!(reasons[5], "event 5");
    assert!(matches!(&parsed[2], Item::Rejected(rejected) if rejected.raw == b"7"));
}

#[test]
fn an_event_too_large_is_rejected_and_too_many_are_refused() {
    let large = format!(r#"{{"events":[{{"id":"1","x":"{}"}}]}}"#, "y".repeat(256 * 1024));
    let parsed = parse(large.as_bytes(), &mut 0).unwrap();
    assert!(
        matches!(&parsed[..], [Item::Rejected(rejected)] if rejected.reason.starts_with("event_too_large"))
    );
    let many = format!(r#"{{"events":[{}1]}}"#, "1,".repeat(10_000));
    assert!(matches!(parse(many.as_bytes(), &mut 0), Err(EnvelopeError::TooLarge(_))));
}

#[test]
fn what_is_no_envelope_is_refused() {
    let deep = format!(r#"{{"events":[{}]}}"#, "[".repeat(100_000));
    for body in [
        "",
        "[]",
        "{\"events\":{}}",
        "{\"events\":[]}x",
        "{\"events\":[],\"events\":[]}",
        "null",
        &deep,
    ] {
        assert!(
            matches!(parse(body.as_bytes(), &mut 0), Err(EnvelopeError::Malformed(_))),
            "{body:.40}"
        );
    }
    assert!(matches!(parse(b"\xff\xfe{}", &mut 0), Err(EnvelopeError::Malformed(_))));
    assert_eq!(parse(br#"{"events":null}"#, &mut 0), Ok(Vec::new()));
}
