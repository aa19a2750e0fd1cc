//! Log records that are damaged, deep, large or many.

use event::{EventId, Service, Trail};
use formats::{Context, EnvelopeError, FilePosition, Item};
use proptest::prelude::*;
use prost::Message;
use prost::encoding::WireType;

use crate::golden::{RECEIVED_AT, everything};
use crate::otlp::{
    self, APPS, events, json, pair, parse, protobuf, reasons, record, request_of, some, text,
};

#[test]
fn one_bad_record_is_rejected_alone() {
    let mut body =
        request_of(vec![record(&[("audit.action", "a")]), record(&[("audit.action", "b")])])
            .encode_to_vec();
    let at = body.windows(12).position(|window| window == b"audit.action").unwrap();
    // The first key is longer than its attribute.
    body[at - 1] = 120;
    let found = reasons(protobuf(body));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("not protobuf") && found[1] == "event b", "{found:?}");

    let items = json(
        r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[7,{"timeUnixNano":"x","body":{"stringValue":"s"}},{},
            {"eventName":"e","attributes":[{"key":"a","value":{"intValue":"1.5"}}]},
            {"eventName":"e","attributes":[{"key":"a","value":{"intValue":1}},{"key":"a","value":{"intValue":2}}]},
            {"eventName":"e"}]}]}]}"#,
    );
    let found = reasons(items);
    for (reason, expected) in found.iter().zip([
        "not a log record",
        "timeUnixNano is not a whole number",
        "says nothing",
        "intValue",
        "event e",
        "event e",
    ]) {
        assert!(reason.contains(expected), "{reason}");
    }
    assert_eq!(found.len(), 6);
}

#[test]
fn records_under_older_names_are_events() {
    let camel = r#"{"body":{"stringValue":"deleted"},"eventName":"e"}"#;
    let snake = r#"{"time_unix_nano":"1","body":{"string_value":"deleted"},"event_name":"e"}"#;
    for body in [
        format!(
            r#"{{"resourceLogs":[{{"instrumentationLibraryLogs":[{{"instrumentationLibrary":{{"name":"a"}},"logs":[{camel}]}}]}}]}}"#
        ),
        format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logs":[{camel}]}}]}}]}}"#),
        format!(r#"{{"resource_logs":[{{"scope_logs":[{{"log_records":[{snake}]}}]}}]}}"#),
        format!(
            r#"{{"resource_logs":[{{"instrumentation_library_logs":[{{"instrumentation_library":{{}},"logs":[{snake}]}}]}}]}}"#
        ),
    ] {
        assert_eq!(reasons(json(&body)), ["event e"], "{body}");
    }
    // Both names at once are no reason to lose either.
    let both = format!(
        r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{camel}],"logs":[{camel}]}}]}}]}}"#
    );
    assert_eq!(json(&both).unwrap().len(), 1, "rejected, and reported");
    let field = |number: u32, content: &[u8]| {
        let mut bytes = Vec::new();
        prost::encoding::encode_key(number, WireType::LengthDelimited, &mut bytes);
        prost::encoding::encode_varint(content.len() as u64, &mut bytes);
        [bytes, content.to_vec()].concat()
    };
    let record = record(&[("audit.action", "old")]).encode_to_vec();
    let body = field(1, &field(1000, &field(2, &record)));
    assert_eq!(reasons(protobuf(body)), ["event old"]);
}

#[test]
fn a_bad_group_is_rejected_with_all_its_bytes() {
    let good = request_of(vec![record(&[("audit.action", "good")])]).encode_to_vec();
    let bad = b"\x0a\x06\x12\x7flost".to_vec();
    let items = protobuf([bad.clone(), good].concat()).unwrap();
    assert_eq!(items.len(), 2);
    assert!(matches!(&items[0], Item::Rejected(rejected) if rejected.raw == bad[2..]), "{items:?}");
    assert!(matches!(&items[1], Item::Event(event) if event.action == "good"));

    let bad = r#"{"attributes":[{"key":"a","value":{"intValue":"1.5"}}]}"#;
    let group =
        format!(r#"{{"resource":{bad},"scopeLogs":[{{"logRecords":[{{"eventName":"e"}}]}}]}}"#);
    let items = json(&format!(
        r#"{{"resourceLogs":[{group},{{"scopeLogs":[{{"logRecords":[{{"eventName":"f"}}]}}]}}]}}"#
    ))
    .unwrap();
    assert!(
        matches!(&items[0], Item::Rejected(rejected) if rejected.raw == group.as_bytes()),
        "{items:?}"
    );
    assert!(matches!(&items[1], Item::Event(event) if event.action == "f"));
}

#[test]
fn what_is_no_request_is_refused() {
    for body in [&b"\x0a\x05"[..], b"\xff", b"\x08\x01\x0b", b"hello"] {
        assert!(matches!(protobuf(body.to_vec()), Err(EnvelopeError::Malformed(_))), "{body:?}");
    }
    for body in [
        "",
        "{",
        "[]",
        "7",
        r#"{"resourceSpans":[]}"#,
        r#"{"resourceLogs":[]"#,
        r#"{"resourceLogs":{}}"#,
    ] {
        assert!(matches!(json(body), Err(EnvelopeError::Malformed(_))), "{body}");
    }
    for body in
        ["{}", " { } ", r#"{"resourceLogs":[]}"#, r#"{"resourceLogs":[{"scopeLogs":[{}]},{}]}"#]
    {
        assert_eq!(json(body), Ok(Vec::new()), "{body}");
    }
    assert_eq!(protobuf(Vec::new()), Ok(Vec::new()));
}

#[test]
fn lines_of_a_file_stand_alone() {
    let line = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"eventName":"e"}]}]}]}"#;
    let found =
        APPS.reasons(format!("{line}\n{{\"resourceSp\n{{\"resourceMetrics\":[]}}\n\n{line}\r\n"));
    assert_eq!(found.len(), 4, "{found:?}");
    assert_eq!((found[0].as_str(), found[3].as_str()), ("event e", "event e"));
    assert!(found[1].contains("not JSON") && found[2].contains("no resourceLogs"), "{found:?}");

    let trail = Trail::new(Service::Platform, "acme", "p1", "apps").unwrap();
    let (options, mut new_id) = (everything(), EventId::default);
    let mut context = Context::new("apps", &trail, RECEIVED_AT, &mut new_id, &options);
    context.position = Some(FilePosition { file: "f", offset: 7 });
    let items = APPS.format().parse(b"{\"resourceLo\n", &mut context).unwrap();
    assert!(
        matches!(&items[..], [Item::Rejected(rejected)] if rejected.raw == b"{\"resourceLo"),
        "{items:?}"
    );
}

#[test]
fn texts_that_are_no_utf8_become_events_with_a_mark() {
    let mut body =
        request_of(vec![record(&[("audit.action", "a?b"), ("enduser.id", "?")])]).encode_to_vec();
    body.iter_mut().filter(|byte| **byte == b'?').for_each(|byte| *byte = 0xff);
    let event = events(protobuf(body)).remove(0);
    assert_eq!(
        (event.action.as_str(), event.actor.name.as_deref()),
        ("a\u{fffd}b", Some("\u{fffd}"))
    );
    assert_eq!(event.attributes["invalid_utf8"], "true");
    assert!(event.raw.contains(&0xff));

    let mut line =
        br#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"eventName":"a?"},{"eventName":"b"}]}]}]}"#
            .to_vec();
    line.iter_mut().filter(|byte| **byte == b'?').for_each(|byte| *byte = 0xff);
    let found = events(parse(line, "application/json", &everything()));
    assert_eq!(
        (found[0].action.as_str(), found[0].raw.as_slice()),
        ("a\u{fffd}", &b"{\"eventName\":\"a\xff\"}"[..])
    );
    assert_eq!(found[0].attributes["invalid_utf8"], "true");
    assert!(!found[1].attributes.contains_key("invalid_utf8"));
}

#[test]
fn depth_hides_nothing() {
    for depth in [1, 15, 16, 17, 90] {
        let mut value = text("innermost");
        for _ in 0..depth {
            let values = vec![value.unwrap()];
            value = some(otlp::Value::List(otlp::List { values }));
        }
        let record = otlp::LogRecord { body: value, event_name: "deep".to_owned(), ..record(&[]) };
        let event = events(protobuf(request_of(vec![record]).encode_to_vec())).remove(0);
        let description = event.description.unwrap();
        assert_eq!(description.contains("innermost"), depth <= 16, "{depth}: {description}");
        assert_eq!(event.attributes.contains_key("too_deep"), depth > 16, "{depth}");
    }
    let (open, close) = (r#"{"arrayValue":{"values":["#, "]}}");
    for (depth, is_shown) in [(16, true), (17, false), (5000, false)] {
        let value = format!("{}{{\"intValue\":77}}{}", open.repeat(depth), close.repeat(depth));
        let body = format!(
            r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"body":{value}}}]}}]}}]}}"#
        );
        let event = events(json(&body)).remove(0);
        assert_eq!(event.description.unwrap().contains("77"), is_shown, "{depth}");
    }
    // As deep as bytes allow: each level is a tag and a length.
    let wrap = |tag: u8, inner: &[u8]| {
        let mut out = vec![tag];
        prost::encoding::encode_varint(inner.len() as u64, &mut out);
        [&out, inner].concat()
    };
    let value = (0..5000).fold(Vec::new(), |value, _| wrap(0x2a, &wrap(0x0a, &value)));
    let body = wrap(0x0a, &wrap(0x12, &wrap(0x12, &wrap(0x2a, &value))));
    assert_eq!(events(protobuf(body))[0].attributes["too_deep"], "true");
}

/// Parses with limits of its own.
fn within(
    body: Vec<u8>,
    events_max: usize,
    event_bytes_max: usize,
) -> Result<Vec<Item>, EnvelopeError> {
    let trail = Trail::new(Service::Platform, "acme", "p1", "apps").unwrap();
    let (options, mut new_id) = (everything(), EventId::default);
    let mut context = Context::new("apps", &trail, RECEIVED_AT, &mut new_id, &options);
    (context.limits.events_max, context.limits.event_bytes_max) = (events_max, event_bytes_max);
    APPS.format().parse(&body, &mut context)
}

#[test]
fn limits_hold_for_counts_and_sizes() {
    let records = |count| vec![record(&[("audit.action", "a")]); count];
    assert_eq!(within(request_of(records(5)).encode_to_vec(), 5, 1000).unwrap().len(), 5);
    let six = request_of(records(6)).encode_to_vec();
    assert!(matches!(within(six, 5, 1000), Err(EnvelopeError::TooLarge(_))));
    let json_of = |count: usize| {
        let records = vec![r#"{"eventName":"e"}"#; count].join(",");
        format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{records}]}}]}}]}}"#)
            .into_bytes()
    };
    assert_eq!(within(json_of(5), 5, 1000).unwrap().len(), 5);
    assert!(matches!(within(json_of(6), 5, 1000), Err(EnvelopeError::TooLarge(_))));
    assert!(matches!(
        within(b"\x0a\x02\x12\x7f".repeat(6), 5, 1000),
        Err(EnvelopeError::TooLarge(_))
    ));
    assert!(matches!(
        within(b"\x0a\x04\x12\x02\x12\x00".repeat(6), 5, 1000),
        Err(EnvelopeError::TooLarge(_))
    ));

    let long = record(&[("audit.action", &"x".repeat(200))]);
    let found = within(request_of([records(1), vec![long]].concat()).encode_to_vec(), 5, 150);
    let found = reasons(found);
    assert!(found[0] == "event a" && found[1].contains("event_too_large"), "{found:?}");
    // Groups and scopes without records cost nothing, however many.
    assert_eq!(within(b"\x0a\x00".repeat(100_000), 5, 1000), Ok(Vec::new()));
    assert_eq!(within(b"\x0a\x02\x12\x00".repeat(100_000), 5, 1000), Ok(Vec::new()));
}

#[test]
fn a_large_resource_is_not_repeated_ten_thousand_times() {
    let mut request = request_of(vec![record(&[("audit.action", "a")]); 1000]);
    let large = vec![pair("large", &"x".repeat(100_000))];
    request.resource_logs[0].resource.as_mut().unwrap().attributes = large;
    request.resource_logs.extend(request_of(vec![record(&[("audit.action", "b")])]).resource_logs);
    let items = protobuf(request.encode_to_vec()).unwrap();
    assert_eq!(items.len(), 2);
    let whole = request.resource_logs[0].encode_to_vec();
    assert!(matches!(&items[0], Item::Rejected(rejected) if rejected.raw == whole));
    assert!(
        matches!(&items[1], Item::Event(event) if event.action == "b"),
        "the other group has no part in it"
    );
}

proptest! {
    #[test]
    fn damage_anywhere_loses_nothing_silently(
        at in 0usize..400,
        byte in any::<u8>(),
        cut in 0usize..400,
    ) {
        let mut body = request_of(vec![record(&[("audit.action", "a"), ("enduser.id", "al")]); 3]).encode_to_vec();
        let (at, cut) = (at % body.len(), cut % body.len());
        body[at] = byte;
        body.truncate(cut.max(1));
        if let Ok(items) = protobuf(body.clone()) {
            for item in items {
                let raw = match item {
                    Item::Event(event) => event.raw,
                    Item::Rejected(rejected) => rejected.raw,
                    Item::Skipped(why) => panic!("{why}"),
                };
                prop_assert!(raw.is_empty() || body.windows(raw.len()).any(|window| window == raw));
            }
        }
    }
}
