//! Every captured request, with the expected events beside it, and the meaning of attributes, data
//! and modes.

use event::{ActorKind, Class, Event, Operation, OutcomeKind, Resolution, Service};
use formats::{EnvelopeError, Item};
use proptest::prelude::*;

use crate::golden::{RECEIVED_AT, Request, Source, everything, requests};

const APPS: Source = Source { format: "cloudevents", service: Service::Platform, name: "apps" };

#[test]
fn every_capture_gives_the_events_beside_it() {
    let path = APPS.capture("requests.jsonl");
    APPS.check(&path, &requests(&path));
}

fn request(headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Request {
    let headers =
        headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Request { headers, body: body.as_ref().to_vec() }
}

fn parse(headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Result<Vec<Item>, EnvelopeError> {
    APPS.parse_as(&request(headers, body), &everything(), &mut 0)
}

const STRUCTURED: (&str, &str) = ("content-type", "application/cloudevents+json; charset=UTF-8");
const BATCH: (&str, &str) = ("content-type", "application/cloudevents-batch+json");
const BINARY: [(&str, &str); 4] = [
    ("ce-specversion", "1.0"),
    ("ce-id", "1"),
    ("ce-source", "/app"),
    ("ce-type", "com.example.user.deleted"),
];

fn binary(more: &[(&str, &str)], body: impl AsRef<[u8]>) -> Event {
    let headers: Vec<(&str, &str)> = BINARY.iter().chain(more).copied().collect();
    match parse(&headers, body).unwrap().remove(0) {
        Item::Event(event) => *event,
        other => panic!("{other:?}"),
    }
}

/// An event with the members that every event has, and `more`.
fn structured(more: &str) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"1","source":"/app","type":"com.example.user.deleted"{more}}}"#
    )
}

fn event(more: &str) -> Event {
    APPS.event(structured(more))
}

fn reason(more: &str) -> String {
    APPS.reasons(structured(more)).remove(0)
}

#[test]
fn the_least_an_event_says_is_enough() {
    let event = event("");
    assert_eq!(
        (event.action.as_str(), event.operation),
        ("com.example.user.deleted", Operation::Delete)
    );
    assert_eq!((event.occurred_at, event.resolution), (RECEIVED_AT, Resolution::Nanosecond));
    assert_eq!(event.actor.kind, ActorKind::Unknown);
    assert_eq!(event.resource.name.as_deref(), Some("/app"));
    assert_eq!(event.outcome.kind, OutcomeKind::Unknown);
    assert_eq!(event.class, Class::Security, "it is about a user");
    assert_eq!(event.origin.key.as_deref(), Some("/app 1"));
    assert_eq!(event.attributes.len(), 1, "{:?}", event.attributes);
    assert_eq!(event.attributes["source"], "/app");
}

#[test]
fn incomplete_events_are_rejected() {
    for (json, why) in [
        (r#"{"id":"1","source":"s","type":"t"}"#, "no specversion"),
        (r#"{"specversion":"2.0","id":"1","source":"s","type":"t"}"#, "unknown specversion"),
        (r#"{"specversion":"1.0","source":"s","type":"t"}"#, "no id"),
        (r#"{"specversion":"1.0","id":"","source":"s","type":"t"}"#, "no id"),
        (r#"{"specversion":"1.0","id":"1","type":"t"}"#, "no source"),
        (r#"{"specversion":"1.0","id":"1","source":"s"}"#, "no type"),
        (r#"{"specversion":"1.0","id":"1","id":"2","source":"s","type":"t"}"#, "appears twice"),
        ("7", "not an event"),
    ] {
        assert!(APPS.reasons(json)[0].contains(why), "{json}");
    }
    assert!(reason(r#","time":"soon""#).contains("time"));
    assert!(reason(r#","data":1,"data_base64":"AA==""#).contains("both"));
    assert!(reason(r#","data_base64":"!""#).contains("not base64"));
}

#[test]
fn the_extensions_or_the_data_name_the_actor() {
    for (more, id, name, kind) in [
        (r#","actor":"al""#, None, Some("al"), ActorKind::User),
        (
            r#","authtype":"service_account","authid":"sa-1""#,
            Some("sa-1"),
            None,
            ActorKind::Service,
        ),
        (r#","authtype":"unauthenticated""#, None, None, ActorKind::Anonymous),
        (r#","authtype":"system""#, None, None, ActorKind::System),
        (r#","data":{"user":"bo"}"#, None, Some("bo"), ActorKind::User),
        (r#","data":{"actor":{"id":7,"name":"cy"}}"#, Some("7"), Some("cy"), ActorKind::User),
        (r#","actor":"al","data":{"user":"bo"}"#, None, Some("al"), ActorKind::User),
        (
            r#","actor":"al","data":{"user":{"id":7,"name":"bo"}}"#,
            None,
            Some("al"),
            ActorKind::User,
        ),
        (r#","data":{"user":null}"#, None, None, ActorKind::Unknown),
    ] {
        let actor = event(more).actor;
        assert_eq!(
            (actor.id.as_deref(), actor.name.as_deref(), actor.kind),
            (id, name, kind),
            "{more}"
        );
    }
    let both = event(r#","actor":"al","data":{"user":"bo"}"#);
    assert_eq!(both.attributes["data.user"], "bo", "the data beside it becomes attributes");
}

#[test]
fn the_subject_or_the_data_name_the_resource() {
    for (more, kind, name, id) in [
        (r#","subject":"x/1""#, None, Some("x/1"), None),
        (r#","data":{"resource":"y"}"#, None, Some("y"), None),
        (r#","data":{"resource":{"type":"t","name":"y","id":3}}"#, Some("t"), Some("y"), Some("3")),
        (
            r#","subject":"x/1","data":{"resource":{"type":"t","name":"y"}}"#,
            Some("t"),
            Some("x/1"),
            None,
        ),
    ] {
        let resource = event(more).resource;
        assert_eq!(
            (resource.kind.as_deref(), resource.name.as_deref(), resource.id.as_deref()),
            (kind, name, id),
            "{more}"
        );
    }
}

#[test]
fn the_data_gives_the_outcome() {
    for (data, kind, code, text, severity) in [
        (r#""result":"success""#, OutcomeKind::Success, None, None, 2),
        (r#""outcome":"denied""#, OutcomeKind::Failure, None, Some("denied"), 3),
        (r#""status":503"#, OutcomeKind::Failure, Some(503), None, 3),
        (r#""status":"204""#, OutcomeKind::Success, Some(204), None, 2),
        (r#""result":"fail","reason":"busy""#, OutcomeKind::Failure, None, Some("busy"), 2),
        (r#""result":"queued""#, OutcomeKind::Unknown, None, Some("queued"), 2),
        (r#""x":1"#, OutcomeKind::Unknown, None, None, 2),
    ] {
        let event = event(&format!(r#","data":{{{data}}}"#));
        let outcome = &event.outcome;
        assert_eq!(
            (outcome.kind, outcome.code, outcome.reason.as_deref()),
            (kind, code, text),
            "{data}"
        );
        assert_eq!(event.severity.level(), severity, "{data}");
    }
    assert_eq!(event(r#","severitynumber":21"#).severity.level(), 4);
}

#[test]
fn extensions_become_members_or_attributes() {
    let event = event(
        r#","sourceip":"[2001:db8::1]:99","requestid":"r","traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "department":"ops","flag":true,"n":5,"dataschema":"https://example.com/s","nothing":null"#,
    );
    assert_eq!(event.source_ip.unwrap().address.to_string(), "2001:db8::1");
    assert_eq!(event.request_id.as_deref(), Some("r"));
    assert_eq!(event.trace_id.as_deref(), Some("0af7651916cd43dd8448eb211c80319c"));
    let names: Vec<&str> = event.attributes.keys().map(String::as_str).collect();
    assert_eq!(names, ["dataschema", "department", "flag", "n", "source", "traceparent"]);
}

#[test]
fn data_of_any_type_is_taken() {
    let json = binary(
        &[("content-type", "application/vnd.example+json")],
        r#"{"user":"al","n":1.50,"deep":[1]}"#,
    );
    assert_eq!(json.actor.name.as_deref(), Some("al"));
    assert_eq!(
        (json.attributes["data.n"].as_str(), json.attributes.get("data.deep")),
        ("1.50", None)
    );
    let bare = binary(&[], r#"{"user":"al"}"#);
    assert_eq!(bare.actor.name.as_deref(), Some("al"), "without a content type");
    let text = binary(&[("content-type", "text/plain; charset=utf-8")], "some \u{6587}");
    assert_eq!(text.description.as_deref(), Some("some \u{6587}"));
    for (content_type, body) in [
        ("application/xml", &b"<user>al</user>"[..]),
        ("application/octet-stream", b"\x00\xff"),
        ("application/json", b"{\"user\":"),
        ("application/json", b"[1]"),
        ("application/json", b""),
    ] {
        let event = binary(&[("content-type", content_type)], body);
        assert_eq!((event.raw.as_slice(), event.actor.name), (body, None), "{content_type}");
        assert!(!event.attributes.contains_key("invalid_utf8"));
    }
    let encoded =
        event(r#","datacontenttype":"application/json","data_base64":"eyJ1c2VyIjoiYm8ifQ==""#);
    assert_eq!(encoded.actor.name.as_deref(), Some("bo"));
    let opaque = event(r#","datacontenttype":"application/octet-stream","data_base64":"AP8B""#);
    assert_eq!(opaque.attributes["datacontenttype"], "application/octet-stream");
}

#[test]
fn bytes_that_are_no_utf8_become_events_with_a_mark() {
    let event = binary(&[], b"{\"user\":\"a\xff\"}");
    assert_eq!(event.actor.name.as_deref(), Some("a\u{fffd}"));
    assert_eq!(event.attributes["invalid_utf8"], "true");
    let body = [
        b"[".to_vec(),
        structured(r#","actor":"?""#).into_bytes(),
        b",".to_vec(),
        structured("").into_bytes(),
        b"]".to_vec(),
    ]
    .concat();
    let body: Vec<u8> =
        body.into_iter().map(|byte| if byte == b'?' { 0xff } else { byte }).collect();
    let events = APPS.events(body);
    assert_eq!(events[0].actor.name.as_deref(), Some("\u{fffd}"));
    assert_eq!(events[0].attributes["invalid_utf8"], "true");
    assert!(events[0].raw.contains(&0xff));
    assert!(!events[1].attributes.contains_key("invalid_utf8"));
}

#[test]
fn the_mode_follows_from_the_content_type_and_then_the_header() {
    let headers = [BINARY.as_slice(), &[STRUCTURED]].concat();
    let own = r#"{"specversion":"1.0","id":"9","source":"/other","type":"t"}"#;
    let items = parse(&headers, own).unwrap();
    assert!(
        matches!(&items[0], Item::Event(event) if event.origin.key.as_deref() == Some("/other 9")),
        "{items:?}"
    );
    let two = format!("[{},7,{}]", structured(""), structured(r#","actor":"al""#));
    let items = parse(&[BATCH], &two).unwrap();
    assert_eq!(items.len(), 3);
    assert!(matches!(&items[1], Item::Rejected(rejected) if rejected.raw == b"7"), "one alone");
    assert_eq!(parse(&[BATCH], "[]"), Ok(Vec::new()));
    for content_type in
        ["application/cloudevents+xml", "application/cloudevents+avro", "application/cloudevents"]
    {
        let refused = parse(&[("content-type", content_type)], structured(""));
        assert!(matches!(refused, Err(EnvelopeError::Malformed(_))), "{content_type}");
    }
    for body in ["", "{", "hello"] {
        assert!(matches!(parse(&[STRUCTURED], body), Err(EnvelopeError::Malformed(_))), "{body}");
    }
    let lines = format!("{}\n{{\"specver\n{}\n", structured(""), structured(""));
    let found = APPS.reasons(&lines);
    assert!(found.len() == 3 && found[1].contains("not an event"), "{found:?}");
}

#[test]
fn a_rejected_binary_event_has_its_header_lines() {
    let more = [("host", "x"), ("content-type", "application/json")];
    let headers = [BINARY.as_slice(), &more].concat();
    let large = format!(r#"{{"user":"al","text":"{}"}}"#, "x".repeat(256 << 10));
    let items = parse(&headers, &large).unwrap();
    let Item::Rejected(rejected) = &items[0] else { panic!("{items:?}") };
    assert!(rejected.reason.contains("event_too_large"), "{}", rejected.reason);
    let lines = "ce-specversion: 1.0\r\nce-id: 1\r\nce-source: /app\r\nce-type: com.example.user.deleted\r\n\
                 content-type: application/json\r\n\r\n";
    assert_eq!(rejected.raw, [lines, &large].concat().into_bytes());
    // With a larger limit it is the event that it would have been.
    let again = APPS.parse_again(&rejected.raw, 1 << 20).unwrap();
    let [Item::Event(event)] = &again[..] else { panic!("{again:?}") };
    assert_eq!(
        (event.origin.key.as_deref(), event.raw.as_slice()),
        (Some("/app 1"), large.as_bytes())
    );
    assert_eq!(event.actor.name.as_deref(), Some("al"));
    assert!(APPS.parse_again(&rejected.raw, 100).unwrap_err().contains("event_too_large"));
}

#[test]
fn a_redelivery_has_the_same_key_in_any_mode() {
    let of_header = binary(&[], "{}");
    assert_eq!(of_header.origin.key, event("").origin.key);
    assert_ne!(
        of_header.origin.key,
        APPS.event(structured("").replace("/app", "/app2")).origin.key
    );
}

#[test]
fn no_more_events_than_allowed() {
    let array = |count: usize| format!("[{}]", vec![structured(""); count].join(","));
    assert_eq!(APPS.parse(array(10_000).as_bytes(), &mut 0).unwrap().len(), 10_000);
    assert!(matches!(
        APPS.parse(array(10_001).as_bytes(), &mut 0),
        Err(EnvelopeError::TooLarge(_))
    ));
    let lines = format!("{}\n{}", array(9_999), array(2));
    assert!(matches!(APPS.parse(lines.as_bytes(), &mut 0), Err(EnvelopeError::TooLarge(_))));
    let large = structured(&format!(r#","data":"{}""#, "x".repeat(256 << 10)));
    assert!(APPS.reasons(format!("[{large},{}]", structured("")))[0].contains("event_too_large"));
}

proptest! {
    #[test]
    fn any_header_line_is_read(
        name in "[a-z]{0,8}", value in any::<String>(), body in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let name = format!("ce-{name}");
        let with_binary = [BINARY.as_slice(), &[(&*name, &*value)]].concat();
        for headers in [vec![(&*name, &*value)], with_binary] {
            for item in parse(&headers, &body).unwrap() {
                match item {
                    Item::Event(event) => prop_assert_eq!(&event.raw, &body),
                    Item::Rejected(rejected) => prop_assert!(rejected.raw.ends_with(&body)),
                    Item::Skipped(why) => panic!("{why}"),
                }
            }
        }
    }
}
