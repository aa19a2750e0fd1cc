//! zot's events, whose heads are header lines.

use event::{ActorKind, Operation, OutcomeKind, Resolution, Service};
use formats::Item;

use crate::golden::{Request, Source, everything, requests};

const ZOT: Source = Source { format: "zot", service: Service::Registry, name: "hub" };

#[test]
fn every_capture_gives_the_events_beside_it() {
    let path = ZOT.capture("requests.jsonl");
    ZOT.check(&path, &requests(&path));
}

fn item(kind: &str, more: &[(&str, &str)], body: &str) -> Item {
    let head = [
        ("ce-id", "i1"),
        ("ce-source", "zot"),
        ("ce-time", "2026-11-20T18:00:07.5Z"),
        ("ce-type", kind),
    ];
    let head = head.into_iter().filter(|(name, _)| more.iter().all(|(other, _)| name != other));
    let all = head.chain(more.iter().copied()).filter(|(_, value)| !value.is_empty());
    let headers = all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let request = Request { headers, body: body.as_bytes().to_vec() };
    let mut items = ZOT.parse_as(&request, &everything(), &mut 0).unwrap();
    assert_eq!(items.len(), 1);
    items.remove(0)
}

fn event(kind: &str, more: &[(&str, &str)], body: &str) -> event::Event {
    match item(kind, more, body) {
        Item::Event(event) => *event,
        other => panic!("{other:?}"),
    }
}

fn reason(kind: &str, more: &[(&str, &str)], body: &str) -> String {
    match item(kind, more, body) {
        Item::Event(event) => format!("event {}", event.action),
        Item::Rejected(rejected) => {
            assert!(
                rejected.raw.starts_with(b"ce-id: ") && rejected.raw.ends_with(body.as_bytes())
            );
            rejected.reason
        }
        Item::Skipped(why) => format!("skipped: {why}"),
    }
}

const IMAGE: &str = r#"{"name":"a/b","reference":"1.0","digest":"sha256:ab"}"#;
const BY_DIGEST: &str = r#"{"name":"a/b","reference":"sha256:ab","digest":"sha256:ab"}"#;

#[test]
fn types_mean_operations_whatever_their_prefix() {
    for prefix in ["", "zotregistry.", "com.example.registry."] {
        for (kind, body, operation, thing, id) in [
            ("repository.created", IMAGE, Operation::Create, "repository", None),
            ("image.updated", IMAGE, Operation::Push, "artifact", Some("sha256:ab")),
            ("image.deleted", IMAGE, Operation::Delete, "tag", Some("1.0")),
            ("image.deleted", BY_DIGEST, Operation::Delete, "artifact", Some("sha256:ab")),
            ("image.lint_failed", IMAGE, Operation::Other, "artifact", Some("sha256:ab")),
        ] {
            let event = event(&format!("{prefix}{kind}"), &[], body);
            let described =
                (event.operation, event.resource.kind.as_deref(), event.resource.id.as_deref());
            assert_eq!(
                (described, event.action.as_str()),
                ((operation, Some(thing), id), kind),
                "{prefix}"
            );
            let is_failure = event.outcome.kind == OutcomeKind::Failure;
            assert_eq!(is_failure, kind == "image.lint_failed");
        }
    }
    assert_eq!(event("image.updated", &[], IMAGE).attributes["tag"], "1.0");
    assert!(!event("image.updated", &[], BY_DIGEST).attributes.contains_key("tag"));
}

#[test]
fn source_and_id_are_the_key() {
    let key = |source, id| {
        event("image.updated", &[("ce-source", source), ("ce-id", id)], IMAGE).origin.key
    };
    assert_eq!(key("zot", "1").as_deref(), Some("zot 1"));
    assert_eq!(key("zot", ""), None);
    assert_eq!(key("/%E6%96%87", "%31").as_deref(), Some("/文 1"));
}

#[test]
fn an_event_without_time_has_that_of_its_arrival() {
    let timed = event("image.updated", &[], IMAGE);
    assert_eq!(timed.occurred_at.to_string(), "2026-11-20T18:00:07.500000000Z");
    assert_eq!(
        (timed.resolution, timed.attributes.get("time_assumed")),
        (Resolution::Millisecond, None)
    );
    let timeless = event("image.updated", &[("ce-time", "")], IMAGE);
    assert_eq!(timeless.occurred_at, crate::golden::RECEIVED_AT);
    assert_eq!(timeless.attributes["time_assumed"], "received_at");
}

#[test]
fn actors_are_named_anonymous_or_unknown() {
    let kind = |actor: &str| {
        event("image.updated", &[], &IMAGE.replacen('{', &format!("{{{actor}"), 1)).actor.kind
    };
    assert_eq!(kind(r#""actor":{"name":"al"},"#), ActorKind::User);
    assert_eq!(kind(r#""actor":{"name":""},"#), ActorKind::Anonymous);
    assert_eq!(kind(""), ActorKind::Unknown);
}

#[test]
fn a_structured_event_needs_no_header_lines() {
    let body = format!(
        r#"{{"specversion":"1.0","id":"7","source":"zot","type":"z.image.updated","data":{IMAGE}}}"#
    );
    let event = ZOT.event(&body);
    assert_eq!(
        (event.action.as_str(), event.origin.key.as_deref()),
        ("image.updated", Some("zot 7"))
    );
    assert_eq!(event.raw, body.as_bytes());
}

#[test]
fn bad_events_are_rejected_and_scans_skipped() {
    assert_eq!(
        reason("image.scanned", &[], IMAGE),
        "skipped: it reports no act on a stored artifact"
    );
    for (kind, more, body, why) in [
        ("image.frobbed", &[][..], IMAGE, "unknown type \"image.frobbed\""),
        ("myimage.updated", &[], IMAGE, "unknown type"),
        ("image.updated", &[], "{", "not an event: EOF"),
        ("image.updated", &[], "{}", "the event names no repository"),
        ("image.updated", &[("ce-time", "soon")], IMAGE, "time: \"soon\""),
        ("", &[], IMAGE, "not an event: missing field `type`"),
        (
            "image.updated",
            &[],
            &format!(r#"{{"name":"{}"}}"#, "x".repeat(256 * 1024)),
            "event_too_large",
        ),
    ] {
        let reason = reason(kind, more, body);
        assert!(reason.contains(why), "{kind}: {reason}");
    }
}
