//! Every captured log record, with the expected event beside it, and the meaning of records.

use std::collections::HashSet;

use event::{Class, Event, EventId, Operation, OutcomeKind, Service, Trail, Trust};
use formats::{Context, FilePosition, Format, Options};
use proptest::prelude::*;
use prost::Message;

use crate::golden::{RECEIVED_AT, everything, requests};
use crate::otlp::{
    self, APPS, event_of, events, header, json, pair, parse, protobuf, reasons, record, request_of,
    some, text,
};

#[test]
fn every_capture_gives_the_events_beside_it() {
    for name in ["protobuf.requests.jsonl", "json.requests.jsonl", "collector.jsonl"] {
        let path = APPS.capture(name);
        APPS.check(&path, &requests(&path));
    }
}

#[test]
fn attributes_of_the_conventions_become_members() {
    let event = event_of(&[
        ("audit.action", "delete"),
        ("audit.outcome", "denied"),
        ("audit.resource.type", "server"),
        ("audit.resource.name", "srv-1"),
        ("audit.resource.id", "s-17"),
        ("enduser.id", "alice"),
        ("client.address", "192.0.2.7:1234"),
        ("user_agent.original", "curl/8"),
        ("ticket", "OPS-12"),
    ]);
    assert_eq!((event.action.as_str(), event.operation), ("delete", Operation::Delete));
    assert_eq!(
        (event.outcome.kind, event.outcome.reason.as_deref()),
        (OutcomeKind::Failure, Some("denied"))
    );
    let resource = &event.resource;
    assert_eq!(
        (
            resource.kind.as_deref(),
            resource.name.as_deref(),
            resource.id.as_deref(),
            resource.region.as_deref()
        ),
        (Some("server"), Some("srv-1"), Some("s-17"), Some("eu-1"))
    );
    assert_eq!((event.actor.id.as_deref(), event.actor.name.as_deref()), (None, Some("alice")));
    assert_eq!(event.source_ip.unwrap().address.to_string(), "192.0.2.7");
    assert_eq!((event.severity.level(), event.class), (3, Class::Security), "a refused deletion");
    let attributes: Vec<(&str, &str)> =
        event.attributes.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(
        attributes,
        [
            ("department", "acme"),
            ("resource.cloud.region", "eu-1"),
            ("resource.service.name", "console"),
            ("resource.service.namespace", "acme"),
            ("scope.name", "audit"),
            ("ticket", "OPS-12"),
        ]
    );
}

#[test]
fn the_action_is_the_first_name_that_there_is() {
    let named = |attributes: &[(&str, &str)], event_name: &str| {
        let record = otlp::LogRecord { event_name: event_name.to_owned(), ..record(attributes) };
        let event = events(protobuf(request_of(vec![record]).encode_to_vec())).remove(0);
        (
            event.action,
            event.attributes.get("event_name").cloned(),
            event.attributes.get("event.name").cloned(),
        )
    };
    let (all, some) =
        ([("audit.action", "a"), ("event.name", "c")], |text: &str| Some(text.to_owned()));
    assert_eq!(named(&all, "b"), ("a".to_owned(), some("b"), some("c")));
    assert_eq!(named(&all[1..], "b"), ("b".to_owned(), None, some("c")));
    assert_eq!(named(&all[1..], ""), ("c".to_owned(), None, None));
    assert_eq!(named(&[("x", "y")], ""), ("log".to_owned(), None, None));
}

#[test]
fn a_plain_log_record_is_recorded_as_such() {
    let record = otlp::LogRecord { body: text("user deleted"), severity: 13, ..record(&[]) };
    let event = events(protobuf(request_of(vec![record]).encode_to_vec())).remove(0);
    assert_eq!((event.action.as_str(), event.operation), ("log", Operation::Other));
    assert_eq!(event.description.as_deref(), Some("user deleted"));
    assert_eq!((event.outcome.kind, event.class), (OutcomeKind::Unknown, Class::Operation));
    assert_eq!(event.severity.level(), 2);
    assert_eq!(
        (event.resource.kind.as_deref(), event.resource.name.as_deref()),
        (Some("service"), Some("console"))
    );
}

#[test]
fn who_it_was_is_a_name_or_an_id() {
    for (attributes, id, name) in [
        (&[("enduser.id", "al")][..], None, Some("al")),
        (&[("user.id", "7"), ("enduser.id", "al")], Some("7"), Some("al")),
        (&[("user.name", "Al"), ("enduser.id", "al")], Some("al"), Some("Al")),
        (&[("user.id", "7"), ("user.name", "Al")], Some("7"), Some("Al")),
        (&[("user.id", "7")], Some("7"), None),
        (&[("x", "y")], None, None),
    ] {
        let actor = event_of(attributes).actor;
        assert_eq!((actor.id.as_deref(), actor.name.as_deref()), (id, name), "{attributes:?}");
    }
}

#[test]
fn an_address_is_the_connections_or_a_claim() {
    let proxied = Options { trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()], ..everything() };
    let (client, peer) = (("client.address", "203.0.113.9"), ("network.peer.address", "10.0.0.1"));
    for (attributes, options, expected, trust, left) in [
        (&[client][..], everything(), "203.0.113.9", Trust::Forwarded, None),
        (&[client, peer], everything(), "10.0.0.1", Trust::Peer, Some("client.address")),
        (&[client, peer], proxied, "203.0.113.9", Trust::Forwarded, Some("network.peer.address")),
        (&[peer], everything(), "10.0.0.1", Trust::Peer, None),
        (&[("client.address", "10.0.0.1"), peer], everything(), "10.0.0.1", Trust::Peer, None),
    ] {
        let body = request_of(vec![record(attributes)]).encode_to_vec();
        let event = events(parse(body, "application/x-protobuf", &options)).remove(0);
        let ip = event.source_ip.unwrap();
        assert_eq!(
            (ip.address.to_string().as_str(), ip.trust),
            (expected, trust),
            "{attributes:?}"
        );
        let preserved = ["client.address", "network.peer.address"]
            .into_iter()
            .find(|name| event.attributes.contains_key(*name));
        assert_eq!(preserved, left, "{attributes:?}");
    }
    let unnamed = event_of(&[("client.address", "/run/app.sock")]);
    assert_eq!(unnamed.source_ip, None);
    assert_eq!(unnamed.attributes["client.address"], "/run/app.sock");
}

#[test]
fn the_outcome_is_a_word_or_a_status() {
    for (attributes, kind, code, severity) in [
        (&[("audit.outcome", "success")][..], OutcomeKind::Success, None, 1),
        (&[("audit.outcome", "FAILED")], OutcomeKind::Failure, None, 2),
        (&[("audit.outcome", "maybe")], OutcomeKind::Unknown, None, 1),
        (&[("http.response.status_code", "204")], OutcomeKind::Success, Some(204), 1),
        (&[("http.response.status_code", "503")], OutcomeKind::Failure, Some(503), 3),
        (
            &[("audit.outcome", "failure"), ("http.response.status_code", "200")],
            OutcomeKind::Failure,
            Some(200),
            2,
        ),
    ] {
        let event = event_of(attributes);
        assert_eq!((event.outcome.kind, event.outcome.code), (kind, code), "{attributes:?}");
        assert_eq!(event.severity.level(), severity, "{attributes:?}");
    }
    assert_eq!(event_of(&[("audit.outcome", "maybe")]).attributes["audit.outcome"], "maybe");
}

#[test]
fn severity_is_the_greater_of_the_sent_and_the_derived() {
    for (number, action, expected) in [
        (9, "create", 1),
        (9, "delete", 2),
        (13, "create", 2),
        (17, "delete", 3),
        (21, "x", 4),
        (99, "x", 1),
    ] {
        let record = otlp::LogRecord { severity: number, ..record(&[("audit.action", action)]) };
        let event = events(protobuf(request_of(vec![record]).encode_to_vec())).remove(0);
        assert_eq!(event.severity.level(), expected, "{number} {action}");
    }
}

#[test]
fn a_time_may_be_that_of_observation_or_of_arrival() {
    let at = |time, observed| {
        let record = otlp::LogRecord { time, observed, ..record(&[("a", "b")]) };
        protobuf(request_of(vec![record]).encode_to_vec())
    };
    for (time, observed, expected, described) in [
        (7, 9, 7, None),
        (0, 9, 9, Some("observed")),
        (0, 0, RECEIVED_AT.unix_ns(), Some("arrival")),
    ] {
        let event = events(at(time, observed)).remove(0);
        assert_eq!(event.occurred_at.unix_ns(), expected);
        assert_eq!(event.attributes.get("time_is").map(String::as_str), described);
    }
    assert!(reasons(at(u64::MAX, 0))[0].contains("outside the years"));
}

#[test]
fn equal_records_are_all_recorded_once() {
    let login = record(&[("audit.action", "login"), ("enduser.id", "al")]);
    let other = record(&[("audit.action", "login"), ("enduser.id", "bo")]);
    let body = request_of(vec![login.clone(), other, login.clone()]).encode_to_vec();
    let keys = |body: Vec<u8>| -> Vec<String> {
        events(protobuf(body)).into_iter().map(|event| event.origin.key.unwrap()).collect()
    };
    let first = keys(body.clone());
    assert_eq!(first.iter().collect::<HashSet<_>>().len(), 3, "{first:?}");
    assert_eq!(first[2], format!("{}-2", first[0]));
    assert_eq!(keys(body), first, "a redelivery");
    assert_eq!(
        keys(request_of(vec![login.clone()]).encode_to_vec()),
        first[..1],
        "in another batch"
    );

    for changed in [
        otlp::LogRecord { time: login.time + 1, ..login.clone() },
        otlp::LogRecord { trace_id: vec![1; 16], ..login.clone() },
        otlp::LogRecord { span_id: vec![1; 8], ..login.clone() },
        otlp::LogRecord { body: text("x"), ..login.clone() },
        otlp::LogRecord { event_name: "x".to_owned(), ..login.clone() },
        otlp::LogRecord { severity: 9, ..login.clone() },
    ] {
        assert_ne!(keys(request_of(vec![changed]).encode_to_vec()), first[..1]);
    }
    let mut elsewhere = request_of(vec![login]);
    elsewhere.resource_logs[0].resource.as_mut().unwrap().attributes[0] =
        pair("service.name", "other");
    assert_ne!(keys(elsewhere.encode_to_vec()), first[..1], "of another resource");
}

#[test]
fn what_has_no_time_may_happen_twice() {
    let timeless = otlp::LogRecord { time: 0, ..record(&[("audit.action", "login")]) };
    let body = request_of(vec![timeless; 2]).encode_to_vec();
    assert!(events(protobuf(body)).iter().all(|event| event.origin.key.is_none()));

    let trail = Trail::new(Service::Platform, "acme", "p1", "apps").unwrap();
    let (options, mut new_id) = (everything(), EventId::default);
    let mut context = Context::new("apps", &trail, RECEIVED_AT, &mut new_id, &options);
    context.position = Some(FilePosition { file: "f", offset: 100 });
    let line = br#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"eventName":"e"},{"eventName":"e"}]}]}]}"#;
    let keys: Vec<String> = events(APPS.format().parse(line, &mut context))
        .into_iter()
        .map(|event| event.origin.key.unwrap())
        .collect();
    assert_eq!(keys, ["f:146", "f:164"]);
}

#[test]
fn values_too_deep_to_show_still_distinguish_records() {
    let key_of = |innermost: &str| {
        let nest =
            |value, _| some(otlp::Value::List(otlp::List { values: vec![Option::unwrap(value)] }));
        let body = (0..20).fold(text(innermost), nest);
        let record = otlp::LogRecord { body, ..record(&[]) };
        events(protobuf(request_of(vec![record]).encode_to_vec())).remove(0).origin.key
    };
    assert_ne!(key_of("a"), key_of("b"));
    assert_eq!(key_of("a"), key_of("a"));
}

#[test]
fn both_encodings_agree() {
    let of_protobuf = events(protobuf(
        request_of(vec![otlp::LogRecord {
            severity: 9,
            body: text("b \u{6587}"),
            trace_id: vec![0xab; 16],
            span_id: vec![0xcd; 8],
            event_name: "user.login".to_owned(),
            ..record(&[("enduser.id", "al")])
        }])
        .encode_to_vec(),
    ));
    let of_json = events(json(
        r#"{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"console"}},
            {"key":"service.namespace","value":{"stringValue":"acme"}},{"key":"cloud.region","value":{"stringValue":"eu-1"}}]},
            "scopeLogs":[{"scope":{"name":"audit"},"logRecords":[{"timeUnixNano":1795199505957963105,"severityNumber":9,
            "body":{"stringValue":"b \u6587"},"traceId":"ABABABABABABABABABABABABABABABAB","spanId":"cdcdcdcdcdcdcdcd",
            "eventName":"user.login","attributes":[{"key":"enduser.id","value":{"stringValue":"al"}}],"later":[{}]}]}]}]}"#,
    ));
    assert_eq!(of_protobuf[0].origin.key, of_json[0].origin.key);
    let without_raw = |event: &Event| Event { raw: Vec::new(), ..event.clone() };
    assert_eq!(without_raw(&of_protobuf[0]), without_raw(&of_json[0]));
}

#[test]
fn the_answer_is_encoded_as_the_request() {
    let answer =
        |content_type, rejected| APPS.format().response(&header(content_type), rejected).unwrap();
    assert_eq!(answer("application/x-protobuf", 0), ("application/x-protobuf", Vec::new()));
    assert_eq!(answer("application/json; charset=utf-8", 0), ("application/json", b"{}".to_vec()));
    let (_, bytes) = answer("application/x-protobuf", 300);
    let partial = otlp::Response::decode(&*bytes).unwrap().partial_success.unwrap();
    assert_eq!(partial.rejected, 0);
    assert_eq!(
        partial.error_message,
        "300 log records were rejected and are in the dead-letter queue"
    );
    let (_, bytes) = answer("application/json", 1);
    let described: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(
        described["partialSuccess"]["errorMessage"],
        "1 log records were rejected and are in the dead-letter queue"
    );
    for format in Format::ALL.iter().filter(|format| format.as_str() != "otlp-logs") {
        assert_eq!(format.response(&header("application/json"), 0), None);
    }
}

fn any_value() -> impl Strategy<Value = otlp::AnyValue> {
    let leaf = prop_oneof![
        Just(None),
        any::<String>().prop_map(|text| Some(otlp::Value::Text(text))),
        any::<bool>().prop_map(|value| Some(otlp::Value::Boolean(value))),
        any::<i64>().prop_map(|value| Some(otlp::Value::Integer(value))),
        any::<f64>().prop_map(|value| Some(otlp::Value::Float(value))),
        prop::collection::vec(any::<u8>(), 0..9).prop_map(|bytes| Some(otlp::Value::Bytes(bytes))),
    ];
    let leaf = leaf.prop_map(|value| otlp::AnyValue { value });
    leaf.prop_recursive(4, 20, 4, |inner| {
        let list = prop::collection::vec(inner.clone(), 0..4)
            .prop_map(|values| otlp::Value::List(otlp::List { values }));
        let map = prop::collection::vec((any::<String>(), inner), 0..4).prop_map(|pairs| {
            let values =
                pairs.into_iter().map(|(key, value)| otlp::KeyValue { key, value: Some(value) });
            otlp::Value::Map(otlp::Map { values: values.collect() })
        });
        prop_oneof![list, map].prop_map(|value| otlp::AnyValue { value: Some(value) })
    })
}

proptest! {
    #[test]
    fn what_another_program_writes_is_read(
        time in 1..=i64::MAX as u64,
        name in "\\PC{1,40}",
        value in any_value(),
        number in any::<i64>(),
        dropped in any::<u32>(),
        flags in any::<u32>(),
        unknown in any::<String>(),
    ) {
        let record = otlp::LogRecord {
            time,
            event_name: name.clone(),
            body: Some(value.clone()),
            attributes: vec![
                otlp::KeyValue { key: "n".to_owned(), value: some(otlp::Value::Integer(number)) },
                otlp::KeyValue { key: "v".to_owned(), value: Some(value) },
            ],
            dropped,
            flags,
            unknown,
            ..otlp::LogRecord::default()
        };
        let raw = record.encode_to_vec();
        let event = events(protobuf(request_of(vec![record]).encode_to_vec())).remove(0);
        prop_assert_eq!(event.raw, raw);
        prop_assert_eq!(event.occurred_at.unix_ns() as u64, time);
        prop_assert_eq!(&event.action, &name);
        prop_assert_eq!(&event.attributes["n"], &number.to_string());
        prop_assert_eq!(event.attributes.get("v"), event.description.as_ref());
        let dropped = Some(dropped).filter(|count| *count > 0).map(|count| count.to_string());
        prop_assert_eq!(event.attributes.get("dropped_attributes"), dropped.as_ref());
    }
}

#[test]
fn all_values_of_a_repeated_attribute_stay() {
    let event = APPS.event(
        r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"1796039163123456789","attributes":[
            {"key":"audit.action","value":{"stringValue":"delete"}},
            {"key":"orderId","value":{"stringValue":"7"}},{"key":"orderId","value":{"stringValue":"8"}},
            {"key":"same","value":{"intValue":1}},{"key":"same","value":{"intValue":1}}]}]}]}]}"#,
    );
    assert_eq!(event.action, "delete");
    assert_eq!(event.attributes["orderId"], "7, 8");
    assert_eq!(event.attributes["repeated_attributes"], "orderId");
    assert_eq!(event.attributes["same"], "1");
}
