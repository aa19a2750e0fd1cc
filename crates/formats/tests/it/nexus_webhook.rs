//! Webhooks of Nexus Repository.

use event::{ActorKind, Class, Event, Operation, Service, Trust};
use formats::Item;

use crate::golden::{RECEIVED_AT, Request, Source, everything, requests};

const NEXUS: Source = Source { format: "nexus-webhook", service: Service::Artifact, name: "nexus" };

#[test]
fn every_capture_gives_the_events_beside_it() {
    let path = NEXUS.capture("webhook.requests.jsonl");
    NEXUS.check(&path, &requests(&path));
}

fn item(delivery: &str, body: &str) -> Item {
    let headers =
        [("x-nexus-webhook-delivery", delivery), ("x-nexus-webhook-id", "rm:repository:asset")];
    let headers = headers.into_iter().filter(|(_, value)| !value.is_empty());
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let request = Request { headers, body: body.as_bytes().to_vec() };
    let mut items = NEXUS.parse_as(&request, &everything(), &mut 0).unwrap();
    assert_eq!(items.len(), 1);
    items.remove(0)
}

fn event(delivery: &str, body: &str) -> Event {
    match item(delivery, body) {
        Item::Event(event) => *event,
        other => panic!("{other:?}"),
    }
}

fn asset(initiator: &str, action: &str) -> String {
    format!(
        r#"{{"timestamp":"2026-11-20T18:01:49.664+0000","initiator":"{initiator}","repositoryName":"r","action":"{action}","asset":{{"format":"raw","name":"/a/b"}}}}"#
    )
}

#[test]
fn actions_mean_operations() {
    let of_asset = |action| {
        let event = event("1", &asset("al/::1", action));
        (
            event.operation,
            event.outcome.reason,
            event.resource.name.unwrap(),
            event.severity.level(),
        )
    };
    assert_eq!(of_asset("CREATED"), (Operation::Upload, None, "r/a/b".to_owned(), 1));
    assert_eq!(
        of_asset("UPDATED"),
        (Operation::Upload, Some("overwrite".to_owned()), "r/a/b".to_owned(), 1)
    );
    assert_eq!(of_asset("DELETED"), (Operation::Delete, None, "r/a/b".to_owned(), 2));
    for (body, operation, kind, name, class) in [
        (
            r#"{"repositoryName":"r","action":"CREATED","component":{"group":"g","name":"n","version":"1"}}"#,
            Operation::Create,
            "component",
            "r/g:n:1",
            Class::Operation,
        ),
        (
            r#"{"action":"DELETED","repository":{"name":"r","type":"proxy"}}"#,
            Operation::Delete,
            "repository",
            "r",
            Class::Operation,
        ),
        (
            r#"{"audit":{"domain":"security.user","type":"created","context":"bob","attributes":null}}"#,
            Operation::Create,
            "security.user",
            "bob",
            Class::Security,
        ),
        (
            r#"{"audit":{"domain":"repository.manager","type":"deleted","context":"r"}}"#,
            Operation::Delete,
            "repository",
            "r",
            Class::Operation,
        ),
    ] {
        let event = event("1", body);
        let described = (
            event.operation,
            event.resource.kind.as_deref(),
            event.resource.name.as_deref(),
            event.class,
        );
        assert_eq!(described, (operation, Some(kind), Some(name), class), "{body}");
        assert_eq!(
            (event.occurred_at, event.attributes["time_assumed"].as_str()),
            (RECEIVED_AT, "received_at")
        );
    }
}

#[test]
fn initiators_are_divided_by_their_first_slash() {
    for (initiator, name, kind, address) in [
        ("admin/127.0.0.1", Some("admin"), ActorKind::User, Some("127.0.0.1")),
        ("admin/2001:db8::1", Some("admin"), ActorKind::User, Some("2001:db8::1")),
        ("anonymous/127.0.0.1", None, ActorKind::Anonymous, Some("127.0.0.1")),
        ("*TASK", Some("*TASK"), ActorKind::System, None),
        ("a/b/127.0.0.1", Some("a"), ActorKind::User, None),
        ("", None, ActorKind::Anonymous, None),
    ] {
        let event = event("1", &asset(initiator, "CREATED"));
        assert_eq!((event.actor.name.as_deref(), event.actor.kind), (name, kind), "{initiator}");
        let ip = event.source_ip.map(|ip| (ip.address.to_string(), ip.trust));
        assert_eq!(ip, address.map(|address| (address.to_owned(), Trust::Peer)));
    }
}

#[test]
fn the_delivery_is_the_key_or_else_the_body_with_its_time() {
    let body = asset("al/::1", "CREATED");
    assert_eq!(event("d1", &body).origin.key.as_deref(), Some("d1"));
    let without = event("", &body).origin.key;
    assert!(without.is_some());
    assert_eq!(event("", &body).origin.key, without);
    assert_ne!(event("", &body.replace("49.664", "49.665")).origin.key, without);
    assert_eq!(event("", r#"{"action":"CREATED","repository":{"name":"r"}}"#).origin.key, None);
}

#[test]
fn bad_requests_are_rejected() {
    for (bad, why) in [
        ("hello", "not a webhook body"),
        ("[]", "not a webhook body"),
        ("{}", "has no asset, component, repository or audit"),
        (r#"{"action":"FROBBED","asset":{}}"#, "unknown action \"FROBBED\""),
        (
            r#"{"action":"CREATED","asset":{},"timestamp":"soon"}"#,
            "timestamp: \"soon\" is not a time",
        ),
        (r#"{"action":"CREATED","action":"DELETED","asset":{}}"#, "duplicate field"),
        (r#"{"audit":{"type":"created"}}"#, "no domain and type"),
    ] {
        let Item::Rejected(rejected) = item("1", bad) else { panic!("{bad}") };
        assert!(rejected.reason.contains(why), "{bad}: {}", rejected.reason);
        let raw = String::from_utf8(rejected.raw).unwrap();
        assert!(
            raw.starts_with("x-nexus-webhook-") && raw.ends_with(&format!("\r\n\r\n{bad}")),
            "{raw}"
        );
    }
}
