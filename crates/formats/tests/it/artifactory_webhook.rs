//! Webhooks of Artifactory.

use event::{ActorKind, Operation, Service};

use crate::golden::{RECEIVED_AT, Source, requests};

const JFROG: Source =
    Source { format: "artifactory-webhook", service: Service::Artifact, name: "jfrog" };

#[test]
fn every_capture_gives_the_events_beside_it() {
    let path = JFROG.capture("webhook.requests.jsonl");
    JFROG.check(&path, &requests(&path));
}

fn body(domain: &str, kind: &str, source: &str, data: &str) -> String {
    format!(r#"{{"domain":"{domain}","event_type":"{kind}","data":{data},"source":"{source}"}}"#)
}

const FILE: &str = r#"{"repo_key":"r","path":"/a/b.jar","sha256":"ab"}"#;

#[test]
fn types_mean_operations() {
    for (domain, kind, data, operation, thing, name) in [
        ("artifact", "deployed", FILE, Operation::Upload, "file", "r/a/b.jar"),
        ("artifact", "cached", FILE, Operation::Upload, "file", "r/a/b.jar"),
        ("artifact", "deleted", FILE, Operation::Delete, "file", "r/a/b.jar"),
        ("artifact", "copied", FILE, Operation::Create, "file", "r/a/b.jar"),
        ("artifact", "moved", FILE, Operation::Update, "file", "r/a/b.jar"),
        ("artifact_property", "added", FILE, Operation::Update, "file", "r/a/b.jar"),
        ("artifact_property", "deleted", FILE, Operation::Update, "file", "r/a/b.jar"),
        ("docker", "pushed", FILE, Operation::Upload, "file", "r/a/b.jar"),
        ("docker", "promoted", FILE, Operation::Update, "file", "r/a/b.jar"),
        (
            "build",
            "deleted",
            r#"{"build_name":"app","build_number":"7"}"#,
            Operation::Delete,
            "build",
            "app",
        ),
        (
            "release_bundle",
            "signed",
            r#"{"release_bundle_name":"rb"}"#,
            Operation::Other,
            "release_bundle",
            "rb",
        ),
    ] {
        let event = JFROG.event(body(domain, kind, "jfrog/al", data));
        let described =
            (event.operation, event.resource.kind.as_deref(), event.resource.name.as_deref());
        assert_eq!(described, (operation, Some(thing), Some(name)), "{domain}.{kind}");
        assert_eq!(event.action, format!("{domain}.{kind}"));
    }
}

#[test]
fn sources_are_people_or_services() {
    for (source, name, kind) in [
        ("jfrog/al", Some("al"), ActorKind::User),
        ("jfrog/anonymous", None, ActorKind::Anonymous),
        ("jfrt@01abc", None, ActorKind::Unknown),
        ("", None, ActorKind::Unknown),
    ] {
        let actor = JFROG.event(body("artifact", "deployed", source, FILE)).actor;
        assert_eq!((actor.name.as_deref(), actor.kind), (name, kind), "{source}");
    }
}

#[test]
fn equal_bodies_are_different_acts_unless_they_have_an_id() {
    let event = JFROG.event(body("artifact", "deployed", "jfrog/al", FILE));
    assert_eq!((event.origin.key, event.occurred_at), (None, RECEIVED_AT));
    let inner = body("artifact", "deployed", "jfrt@1", &serde_json::to_string(FILE).unwrap());
    let wrapped = format!(r#"{{"event":{}}}"#, inner.replacen('{', r#"{"id":"e-1","#, 1));
    let event = JFROG.event(&wrapped);
    assert_eq!(event.origin.key.as_deref(), Some("e-1"));
    assert_eq!(event.resource.name.as_deref(), Some("r/a/b.jar"));
    assert_eq!(event.raw, wrapped.as_bytes());
}

#[test]
fn data_cannot_pass_for_our_own_attributes() {
    let event = JFROG.event(body(
        "artifact",
        "x",
        "",
        r#"{"department":"d","l":[1],"o":{},"n":null,"size":10}"#,
    ));
    assert_eq!(event.attributes["data.department"], "d");
    assert_eq!(event.attributes["data.size"], "10");
    assert_eq!(event.attributes.len(), 3, "{:?}", event.attributes);
}

#[test]
fn bad_requests_are_rejected() {
    for (bad, why) in [
        ("hello", "not a webhook body"),
        ("{}", "no domain and event_type"),
        (r#"{"event":7}"#, "not a webhook body"),
        (r#"{"event":{}}"#, "no domain and event_type"),
        (&body("a", "b", "", "7"), "data: "),
        (&body("a", "b", "", "\"x\""), "data: "),
    ] {
        let reasons = JFROG.reasons(bad);
        assert!(reasons[0].contains(why), "{bad}: {reasons:?}");
    }
    assert_eq!(JFROG.reasons(body("a", "b", "", "null")), ["event a.b"]);
}
