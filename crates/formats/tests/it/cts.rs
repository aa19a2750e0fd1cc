//! Every example of a trace, with the expected event beside it, and the meaning of services,
//! ratings and codes.

use event::{ActorKind, Class, Event, Operation, OutcomeKind, Resolution, Service};
use formats::{Continuation, EnvelopeError, Item};

use crate::golden::{Source, requests};

const CLOUD: Source = Source { format: "cts", service: Service::Platform, name: "cloud" };
const EXAMPLES: [&str; 4] =
    ["list-traces.json", "list-traces-last.json", "obs-transfer.json", "function.json"];

#[test]
fn every_example_gives_the_events_beside_it() {
    for name in EXAMPLES {
        let path = CLOUD.capture(name);
        CLOUD.check(&path, &requests(&path));
    }
}

/// A trace with the members that every trace has, and `more`.
fn trace(name: &str, more: &str) -> String {
    format!(r#"{{"trace_id":"t-1","trace_name":"{name}","time":1795190000123{more}}}"#)
}

fn event(name: &str, more: &str) -> Event {
    CLOUD.event(trace(name, more))
}

#[test]
fn a_trace_is_known_again_in_any_shape() {
    let trace = trace("login", "");
    for body in [
        trace.clone(),
        format!("[{trace}]"),
        format!(r#"{{"traces":[{trace}],"meta_data":{{"count":1,"marker":null}}}}"#),
        format!(r#"{{"cts":{trace}}}"#),
        format!("\n{trace}\r\n"),
    ] {
        let event = CLOUD.event(&body);
        assert_eq!(event.origin.key.as_deref(), Some("t-1"), "{body}");
        assert_eq!(event.raw, trace.as_bytes(), "{body}");
    }
    assert_eq!(CLOUD.events(r#"{"traces":[]}"#), []);
    assert_eq!(CLOUD.events(format!("{trace}\n[{trace},{trace}]\n")).len(), 3);
}

#[test]
fn incomplete_traces_are_rejected() {
    let good = trace("login", "");
    for (bad, why) in [
        (r#"{"trace_name":"a","time":1}"#, "no trace_id"),
        (r#"{"trace_id":"1","time":1}"#, "no trace_name"),
        (r#"{"trace_id":"1","trace_name":"a"}"#, "no time"),
        (r#"{"trace_id":"1","trace_name":"a","time":"then"}"#, "time"),
        (r#"{"trace_id":"1","trace_id":"2","trace_name":"a","time":1}"#, "appears twice"),
        ("7", "not a trace"),
    ] {
        let found = CLOUD.reasons(format!("[{good},{bad},{good}]"));
        assert!(found.len() == 3 && found[1].contains(why), "{bad}: {found:?}");
        assert_eq!((found[0].as_str(), found[2].as_str()), ("event login", "event login"));
    }
    let found = CLOUD.reasons(format!("{good}\n{{\"trace_id\n{good}"));
    assert!(found.len() == 3 && found[1].contains("not a trace"), "{found:?}");
    for refused in ["", "x", "[{}"] {
        let refused = CLOUD.parse(refused.as_bytes(), &mut 0);
        assert!(matches!(refused, Err(EnvelopeError::Malformed(_))), "{refused:?}");
    }
}

#[test]
fn a_user_comes_in_many_forms() {
    let object = r#"{"id":"u1","name":"al","domain":{"id":"d1","name":"acme"},"access_key_id":"AK","invoked_by":["service.console","x"]}"#;
    let as_text = serde_json::to_string(object).unwrap();
    for user in [object, &as_text] {
        let event = event("createServer", &format!(r#","user":{user}"#));
        assert_eq!(
            (event.actor.id.as_deref(), event.actor.name.as_deref()),
            (Some("u1"), Some("al"))
        );
        assert_eq!(event.actor.kind, ActorKind::User);
        for (name, value) in [
            ("department", "acme"),
            ("operator_tenant_name", "acme"),
            ("domain_id", "d1"),
            ("user_access_key_id", "AK"),
            ("user_invoked_by", "service.console, x"),
        ] {
            assert_eq!(event.attributes[name], value);
        }
    }
    for (more, id, name, kind) in [
        (r#","user":"al""#, None, Some("al"), ActorKind::User),
        (r#","user":null"#, None, None, ActorKind::Unknown),
        (r#","user":"""#, None, None, ActorKind::Unknown),
        ("", None, None, ActorKind::Unknown),
        (
            r#","user":{"user_name":"al","principal_id":"p"}"#,
            Some("p"),
            Some("al"),
            ActorKind::User,
        ),
        (r#","user":{"name":"ag","type":"AssumedAgency"}"#, None, Some("ag"), ActorKind::Service),
        (
            r#","user":{"name":"op"},"trace_type":"SystemAction""#,
            None,
            Some("op"),
            ActorKind::System,
        ),
        (r#","user":[1]"#, None, None, ActorKind::Unknown),
    ] {
        let actor = event("a", more).actor;
        assert_eq!(
            (actor.id.as_deref(), actor.name.as_deref(), actor.kind),
            (id, name, kind),
            "{more}"
        );
    }
}

#[test]
fn a_second_name_is_a_nick_name() {
    let named = |user: &str| {
        event("a", &format!(r#","user":{user}"#)).attributes.remove("operator_nick_name")
    };
    assert_eq!(named(r#"{"name":"al","user_name":"Alice"}"#).as_deref(), Some("Alice"));
    assert_eq!(named(r#"{"name":"al","user_name":"al"}"#), None);
    assert_eq!(named(r#"{"user_name":"al"}"#), None);
}

#[test]
fn code_and_rating_give_the_outcome() {
    for (more, kind, code, severity) in [
        (r#","code":200,"trace_rating":"normal""#, OutcomeKind::Success, Some(200), 1),
        (r#","code":"302","trace_rating":"normal""#, OutcomeKind::Success, Some(302), 1),
        (r#","code":"404","trace_rating":"normal""#, OutcomeKind::Failure, Some(404), 2),
        (r#","code":500"#, OutcomeKind::Failure, Some(500), 3),
        (r#","code":200,"trace_rating":"warning""#, OutcomeKind::Failure, Some(200), 2),
        (r#","code":200,"trace_rating":"incident""#, OutcomeKind::Failure, Some(200), 4),
        (r#","trace_status":"normal""#, OutcomeKind::Success, None, 1),
        (r#","trace_rating":"warning""#, OutcomeKind::Failure, None, 2),
        ("", OutcomeKind::Unknown, None, 1),
    ] {
        let event = event("createServer", more);
        assert_eq!((event.outcome.kind, event.outcome.code), (kind, code), "{more}");
        assert_eq!(event.severity.level(), severity, "{more}");
    }
    let named = event("createServer", r#","code":"E.17""#);
    assert_eq!((named.outcome.code, named.attributes["code"].as_str()), (None, "E.17"));
    let response = r#"{"error_code":"VPC.1","error_msg":"no port"}"#;
    for response in [response.to_owned(), serde_json::to_string(response).unwrap()] {
        let event = event("createServer", &format!(r#","code":400,"response":{response}"#));
        assert_eq!(event.outcome.reason.as_deref(), Some("VPC.1"));
        assert_eq!(event.description.as_deref(), Some("no port"));
        assert!(!event.attributes.contains_key("response"));
    }
}

#[test]
fn logins_rights_and_the_end_of_auditing_are_security_matters() {
    for (name, more, class, severity) in [
        ("loginFailed", r#","service_type":"IAM","code":401"#, Class::Security, 3),
        ("createAgency", r#","service_type":"IAM","code":201"#, Class::Security, 1),
        ("deleteServer", r#","service_type":"ECS","code":403"#, Class::Security, 3),
        ("deleteServer", r#","service_type":"ECS","code":204"#, Class::Operation, 2),
        ("deleteTracker", r#","service_type":"CTS","code":204"#, Class::Security, 4),
        ("disableTracker", r#","service_type":"CTS","code":200"#, Class::Security, 4),
        ("deleteTracker", r#","service_type":"CTS","code":403"#, Class::Security, 3),
        ("createTracker", r#","service_type":"CTS","code":200"#, Class::Security, 1),
        ("listTrackers", r#","service_type":"CTS","code":200"#, Class::Operation, 1),
    ] {
        let event = event(name, more);
        assert_eq!((event.class, event.severity.level()), (class, severity), "{name} {more}");
    }
}

#[test]
fn images_are_artifacts_and_tags() {
    for (name, kind, described, operation, expected) in [
        (
            "pullImage",
            "image",
            "library/ubuntu",
            Operation::Pull,
            ("artifact", "library/ubuntu", None),
        ),
        (
            "createTag",
            "image",
            "library/ubuntu:24.04",
            Operation::Create,
            ("tag", "library/ubuntu", Some("24.04")),
        ),
        ("deleteImageTag", "imagetag", "a/b:1", Operation::Delete, ("tag", "a/b", Some("1"))),
        (
            "pushImage",
            "image",
            "a/b@sha256:0f",
            Operation::Push,
            ("artifact", "a/b", Some("sha256:0f")),
        ),
        (
            "uploadImagePackage",
            "imagepackage",
            "host:5000/a",
            Operation::Push,
            ("artifact", "host:5000/a", None),
        ),
        ("stageImage", "image", "a/b", Operation::Other, ("artifact", "a/b", None)),
        ("createNamespace", "namespace", "group", Operation::Create, ("namespace", "group", None)),
    ] {
        let more = format!(
            r#","service_type":"SWR","resource_type":"{kind}","resource_name":"{described}","resource_id":"i""#
        );
        let event = event(name, &more);
        let resource = &event.resource;
        assert_eq!(event.operation, operation, "{name}");
        assert_eq!(
            (
                resource.kind.as_deref().unwrap(),
                resource.name.as_deref().unwrap(),
                resource.id.as_deref()
            ),
            expected,
            "{name}"
        );
        assert_eq!(event.attributes["resource_id"], "i");
    }
}

#[test]
fn what_is_moved_in_or_out_of_a_repository_is_a_file() {
    let more = |name: &str| {
        format!(r#","resource_type":"repository","resource_name":"{name}","resource_id":"r""#)
    };
    let of_instance = event("uploadFile", &more("cloud/a/b.jar"));
    assert_eq!(
        (of_instance.resource.kind.as_deref(), of_instance.resource.name.as_deref()),
        (Some("file"), Some("a/b.jar"))
    );
    let of_another = event("downloadFile", &more("cloud2/a.jar"));
    assert_eq!(of_another.resource.name.as_deref(), Some("cloud2/a.jar"));
    let repository = event("deleteRepository", &more("cloud"));
    assert_eq!(
        (repository.resource.kind.as_deref(), repository.resource.id.as_deref()),
        (Some("repository"), Some("r"))
    );
}

#[test]
fn times_count_from_1970() {
    let event = event("a", r#","record_time":1795190001234"#);
    assert_eq!(event.occurred_at.to_string(), "2026-11-20T15:53:20.123000000Z");
    assert_eq!(event.resolution, Resolution::Millisecond);
    assert_eq!(event.attributes["record_time"], "2026-11-20T15:53:21.234000000Z");
}

#[test]
fn limits_and_damage_touch_one_trace() {
    let good = trace("login", "");
    let large = trace("login", &format!(r#","message":"{}""#, "x".repeat(256 << 10)));
    let found = CLOUD.reasons(format!("[{large},{good}]"));
    assert!(found[0].contains("event_too_large") && found[1] == "event login");
    let array = |count: usize| format!("[{}]", vec![&*good; count].join(","));
    assert!(matches!(
        CLOUD.parse(array(10_001).as_bytes(), &mut 0),
        Err(EnvelopeError::TooLarge(_))
    ));
    let deep =
        trace("login", &format!(r#","request":{}1{}"#, "[".repeat(50_000), "]".repeat(50_000)));
    assert_eq!(CLOUD.event(deep).action, "login", "depth hides nothing");
    let mut broken = trace("login", r#","resource_name":"?""#).into_bytes();
    broken.iter_mut().filter(|byte| **byte == b'?').for_each(|byte| *byte = 0xff);
    let event = CLOUD.event(&broken);
    assert_eq!((event.resource.name.as_deref(), event.raw), (Some("\u{fffd}"), broken));
    assert_eq!(event.attributes["invalid_utf8"], "true");
}

#[test]
fn a_file_of_one_array_is_taken_when_it_is_complete() {
    let format = CLOUD.format();
    let file = std::fs::read(CLOUD.capture("obs-transfer.json")).unwrap();
    for follows in [Continuation::More, Continuation::Quiet] {
        assert_eq!(format.complete_bytes(&file[..file.len() - 1], follows), 0);
    }
    assert_eq!(format.complete_bytes(&file, Continuation::Quiet), file.len());
    let items = CLOUD.parse(&file[..file.len() - 1], &mut 0);
    assert!(matches!(items, Err(EnvelopeError::Malformed(_))), "a body that breaks off");
}

#[test]
fn the_list_and_the_file_name_traces_alike() {
    let keys = |name: &str| -> Vec<String> {
        let items = CLOUD.parse(&std::fs::read(CLOUD.capture(name)).unwrap(), &mut 0).unwrap();
        let key = |item| match item {
            Item::Event(event) => event.origin.key.unwrap(),
            other => panic!("{other:?}"),
        };
        items.into_iter().map(key).collect()
    };
    let all: Vec<String> = EXAMPLES.iter().flat_map(|name| keys(name)).collect();
    assert!(all.iter().all(|key| key.len() == 36), "{all:?}");
}
