//! Requests of verdaccio's hook.

use event::{ActorKind, Operation, Service};

use crate::golden::{RECEIVED_AT, Source, requests};

const NPM: Source = Source { format: "verdaccio-notify", service: Service::Artifact, name: "npm" };

#[test]
fn every_capture_gives_the_events_beside_it() {
    let path = NPM.capture("notify.requests.jsonl");
    NPM.check(&path, &requests(&path));
}

fn body(publisher: &str, published: &str, kind: &str) -> String {
    format!(
        r#"{{"name":"n","publisher":{publisher},"publishedPackage":"{published}","publishType":"{kind}"}}"#
    )
}

#[test]
fn packages_are_named_with_their_version() {
    for (published, version) in [
        ("demo@1.0.0", Some("1.0.0")),
        ("@team/scoped@0.1.0-beta.1", Some("0.1.0-beta.1")),
        ("@team/scoped", None),
    ] {
        let event = NPM.event(body(r#""al""#, published, "publish"));
        assert_eq!(event.resource.name.as_deref(), Some(published));
        assert_eq!((event.resource.id.as_deref(), event.operation), (version, Operation::Upload));
    }
    let event = NPM.event(body(r#""al""#, "", "unpublish"));
    assert_eq!((event.resource.name.as_deref(), event.operation), (Some("n"), Operation::Delete));
}

#[test]
fn a_publisher_is_a_name_or_an_object_with_one() {
    for (publisher, name, kind) in [
        (r#""al""#, Some("al"), ActorKind::User),
        (r#"{"name":"al","groups":["a"]}"#, Some("al"), ActorKind::User),
        (r#""""#, None, ActorKind::Unknown),
        ("null", None, ActorKind::Unknown),
    ] {
        let actor = NPM.event(body(publisher, "a@1", "publish")).actor;
        assert_eq!((actor.name.as_deref(), actor.kind), (name, kind), "{publisher}");
    }
}

/// A version that was unpublished may be published again, with the same body.
#[test]
fn equal_bodies_are_different_acts_at_their_arrival() {
    let event = NPM.event(body(r#""al""#, "a@1", "publish"));
    assert_eq!((event.origin.key, event.occurred_at), (None, RECEIVED_AT));
    assert_eq!(event.attributes["time_assumed"], "received_at");
}

#[test]
fn bad_requests_are_rejected() {
    for (bad, why) in [
        ("published demo", "not a hook's body"),
        ("[]", "not a hook's body"),
        ("{}", "unknown publishType \"\""),
        (&body("7", "a@1", "publish"), "not a hook's body"),
        (&body("null", "a@1", "deprecate"), "unknown publishType \"deprecate\""),
        (r#"{"publishType":"publish"}"#, "the body names no package"),
    ] {
        let reasons = NPM.reasons(bad);
        assert!(reasons[0].contains(why), "{bad}: {reasons:?}");
    }
}
