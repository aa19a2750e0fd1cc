//! Harbor's webhooks in both formats, with the events expected of them beside them.

use event::{ActorKind, Event, Operation, OutcomeKind, Resolution, Service};
use formats::Item;

use crate::golden::{Source, requests};

const HARBOR: Source = Source { format: "harbor-webhook", service: Service::Registry, name: "hub" };

#[test]
fn every_capture_gives_the_events_beside_it() {
    let path = HARBOR.capture("webhook.requests.jsonl");
    HARBOR.check(&path, &requests(&path));
}

fn captured() -> Vec<Event> {
    let path = HARBOR.capture("webhook.requests.jsonl");
    requests(&path).iter().flat_map(|request| HARBOR.events(&request.body)).collect()
}

fn body(kind: &str, operator: &str, resources: &str) -> String {
    format!(
        r#"{{"type":"{kind}","occur_at":1795190000,"operator":"{operator}","event_data":{{"resources":[{resources}],"repository":{{"namespace":"library","repo_full_name":"library/ubuntu"}}}}}}"#
    )
}

const BY_TAG: &str = r#"{"digest":"sha256:ab","tag":"24.04"}"#;

#[test]
fn types_mean_operations() {
    for (kind, resource, operation, thing, id) in [
        ("PUSH_ARTIFACT", BY_TAG, Operation::Push, "artifact", Some("sha256:ab")),
        (
            "PULL_ARTIFACT",
            r#"{"digest":"sha256:ab","tag":"sha256:ab"}"#,
            Operation::Pull,
            "artifact",
            Some("sha256:ab"),
        ),
        ("PULL_ARTIFACT", r#"{"tag":"24.04"}"#, Operation::Pull, "artifact", Some("24.04")),
        ("DELETE_ARTIFACT", BY_TAG, Operation::Delete, "artifact", Some("sha256:ab")),
        ("DELETE_ARTIFACT", r#"{"tag":"24.04"}"#, Operation::Delete, "tag", Some("24.04")),
        ("CREATE_TAG", BY_TAG, Operation::Create, "tag", Some("24.04")),
        ("DELETE_CHART", r#"{"tag":"1.0"}"#, Operation::Delete, "chart", Some("1.0")),
        ("PUSH_ARTIFACT", "", Operation::Push, "repository", None),
        ("harbor.artifact.pulled", BY_TAG, Operation::Pull, "artifact", Some("sha256:ab")),
    ] {
        let event = HARBOR.event(body(kind, "al", resource));
        let described =
            (event.operation, event.resource.kind.as_deref(), event.resource.id.as_deref());
        assert_eq!(described, (operation, Some(thing), id), "{kind}");
        assert_eq!(event.resource.name.as_deref(), Some("library/ubuntu"));
        assert_eq!(event.severity.level(), if operation == Operation::Delete { 2 } else { 1 });
    }
}

#[test]
fn a_push_refused_for_its_size_is_no_push() {
    let event = HARBOR.event(body("QUOTA_EXCEED", "al", BY_TAG));
    assert_eq!((event.operation, event.outcome.kind), (Operation::Other, OutcomeKind::Failure));
}

#[test]
fn what_only_reports_is_skipped() {
    for kind in [
        "SCANNING_COMPLETED",
        "SCANNING_FAILED",
        "QUOTA_WARNING",
        "REPLICATION",
        "TAG_RETENTION",
        "harbor.scan.stopped",
        "harbor.replication.status.changed",
    ] {
        assert_eq!(
            HARBOR.reasons(body(kind, "", BY_TAG)),
            ["skipped: it reports no act on a stored artifact"]
        );
    }
}

#[test]
fn actors_are_people_robots_and_nobody() {
    for (operator, kind, name) in [
        ("李雷", ActorKind::User, Some("李雷")),
        ("robot$library+scanner", ActorKind::Robot, Some("robot$library+scanner")),
        ("", ActorKind::Anonymous, None),
    ] {
        let actor = HARBOR.event(body("PULL_ARTIFACT", operator, BY_TAG)).actor;
        assert_eq!((actor.kind, actor.name.as_deref()), (kind, name));
    }
}

#[test]
fn a_retry_has_the_key_of_its_first_try_and_other_events_have_others() {
    let all = captured();
    let key = |event: &Event| event.origin.key.clone().unwrap();
    let pushed: Vec<&Event> = all.iter().filter(|event| event.action == "PUSH_ARTIFACT").collect();
    assert_eq!((pushed.len(), key(pushed[0])), (2, key(pushed[1])));
    let mut keys: Vec<String> = all.iter().map(key).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), all.len() - 1);
    let of = |kind, operator, resource| key(&HARBOR.event(body(kind, operator, resource)));
    let first = of("PULL_ARTIFACT", "al", BY_TAG);
    assert_eq!(first, of("PULL_ARTIFACT", "al", BY_TAG));
    assert_ne!(first, of("PULL_ARTIFACT", "bo", BY_TAG));
    assert_ne!(first, of("PUSH_ARTIFACT", "al", BY_TAG));
    assert_ne!(first, of("PULL_ARTIFACT", "al", r#"{"digest":"sha256:ab","tag":"22.04"}"#));
    let cloud = all.iter().find(|event| event.action == "harbor.artifact.pushed").unwrap();
    assert_eq!(key(cloud), "62f746b4-84e6-4ceb-95bd-447e7184d454");
}

#[test]
fn each_resource_is_an_event_of_its_own() {
    let text = body(
        "DELETE_ARTIFACT",
        "al",
        r#"{"digest":"sha256:ab","tag":"a"},{"digest":"sha256:cd","tag":"b"}"#,
    );
    let events = HARBOR.events(&text);
    let ids: Vec<_> = events.iter().map(|event| event.resource.id.as_deref().unwrap()).collect();
    assert_eq!(ids, ["sha256:ab", "sha256:cd"]);
    assert_ne!(events[0].origin.key, events[1].origin.key);
    assert!(events.iter().all(|event| event.raw == text.as_bytes()));
    let many = body("DELETE_ARTIFACT", "al", &[BY_TAG; 65].join(","));
    assert_eq!(HARBOR.reasons(many), ["the notification names more than 64 resources"]);
}

#[test]
fn times_are_seconds_or_what_the_cloud_event_says() {
    let event = HARBOR.event(body("PULL_ARTIFACT", "al", BY_TAG));
    assert_eq!(event.occurred_at.to_string(), "2026-11-20T15:53:20.000000000Z");
    assert_eq!(event.resolution, Resolution::Second);
    let reasons = HARBOR
        .reasons(body("PULL_ARTIFACT", "al", BY_TAG).replace("1795190000", "9223372036854775807"));
    assert_eq!(reasons, ["occur_at is outside the years 1678 to 2261"]);
}

#[test]
fn bad_requests_are_rejected_whole() {
    let large = body("PULL_ARTIFACT", "al", &format!(r#"{{"tag":"{}"}}"#, "x".repeat(256 * 1024)));
    for (bad, why) in [
        ("hello", "not a notification: expected value"),
        ("[]", "not a notification: "),
        ("{}", "the notification has no type"),
        (r#"{"type":"FROB","occur_at":1}"#, "unknown type \"FROB\""),
        (r#"{"type":"PULL_ARTIFACT","event_data":{}}"#, "the notification has no time"),
        (r#"{"type":"PULL_ARTIFACT","occur_at":1}"#, "the notification has no data"),
        (r#"{"type":"PULL_ARTIFACT","time":"soon","data":{}}"#, "time: \"soon\""),
        (r#"{"type":"PULL_ARTIFACT","type":"x"}"#, "duplicate field `type`"),
        (&large, "event_too_large"),
    ] {
        let parsed = HARBOR.parse(format!("{bad}\n").as_bytes(), &mut 0).unwrap();
        let [Item::Rejected(rejected)] = &parsed[..] else { panic!("{bad:.80}: {parsed:?}") };
        assert!(rejected.reason.contains(why), "{bad:.80}: {}", rejected.reason);
        assert_eq!(rejected.raw, bad.as_bytes());
    }
    assert_eq!(HARBOR.parse(b" \n", &mut 0), Ok(Vec::new()));
    let broken =
        [body("PULL_ARTIFACT", "al", BY_TAG).replace("24.04", "\u{1}").into_bytes()].concat();
    assert!(HARBOR.reasons(&broken)[0].contains("control character"));
}

#[test]
fn bytes_that_are_no_utf8_are_replaced_and_flagged() {
    let mut raw = body("PULL_ARTIFACT", "al", BY_TAG).into_bytes();
    let at = raw.windows(2).position(|two| two == b"al").unwrap();
    raw[at] = 0xff;
    let event = HARBOR.event(&raw);
    assert_eq!(event.actor.name.as_deref(), Some("\u{fffd}l"));
    assert_eq!((event.attributes["invalid_utf8"].as_str(), event.raw), ("true", raw));
}

#[test]
fn only_a_pull_without_operator_is_a_strangers() {
    for (kind, operator, expected) in [
        ("PULL_ARTIFACT", "", ActorKind::Anonymous),
        ("QUOTA_EXCEED", "", ActorKind::Unknown),
        ("DELETE_ARTIFACT", "", ActorKind::Unknown),
        ("DELETE_ARTIFACT", "anonymous", ActorKind::Anonymous),
    ] {
        let actor = HARBOR.event(body(kind, operator, BY_TAG)).actor;
        assert_eq!(actor.kind, expected, "{kind} {operator}");
    }
}
