//! Every captured audit event of an API server, with the expected event beside it, and the meaning
//! of requests.

use event::{ActorKind, Class, Event, Operation, OutcomeKind, Resolution, Service, Trust};
use formats::Options;
use formats::{EnvelopeError, Item};
use serde_json::{Value, json};

use crate::golden::{Request, Source, requests};

const CLUSTER: Source =
    Source { format: "kubernetes-audit", service: Service::Platform, name: "k8s" };

#[test]
fn every_capture_gives_the_events_beside_it() {
    for name in ["audit.log", "webhook.requests.jsonl"] {
        let path = CLUSTER.capture(name);
        CLUSTER.check(&path, &requests(&path));
    }
}

fn captured(name: &str) -> Vec<Event> {
    requests(&CLUSTER.capture(name))
        .iter()
        .flat_map(|request| CLUSTER.events(&request.body))
        .collect()
}

/// An event with `members` instead of its own.
fn audit(members: Value) -> Value {
    let mut audit = json!({
        "level": "Metadata", "auditID": "a-1", "stage": "ResponseComplete", "requestURI": "/api/v1/pods",
        "verb": "list", "user": {"username": "al"}, "sourceIPs": ["192.0.2.7"],
        "responseStatus": {"metadata": {}, "code": 200},
        "requestReceivedTimestamp": "2026-11-20T18:22:27.876845Z", "stageTimestamp": "2026-11-20T18:22:27.880263Z",
    });
    for (name, value) in members.as_object().unwrap() {
        audit[name] = value.clone();
    }
    audit
}

fn event(members: Value) -> Event {
    CLUSTER.event(audit(members).to_string())
}

fn list(items: &[&str]) -> String {
    format!(
        r#"{{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{{}},"items":[{}]}}"#,
        items.join(",")
    )
}

#[test]
fn only_the_last_stage_of_a_request_is_an_event() {
    let log = std::fs::read_to_string(CLUSTER.capture("audit.log")).unwrap();
    let last: Vec<&str> = log
        .lines()
        .filter(|line| {
            line.contains(r#""stage":"ResponseComplete""#) || line.contains(r#""code":401}"#)
        })
        .collect();
    let raws: Vec<Vec<u8>> = captured("audit.log").into_iter().map(|event| event.raw).collect();
    assert_eq!(raws, last.iter().map(|line| line.as_bytes()).collect::<Vec<_>>());
    assert!(raws.len() < log.lines().count());
    for (stage, code, count) in [
        ("ResponseComplete", 200, 1),
        ("Panic", 500, 1),
        ("ResponseStarted", 401, 1),
        ("ResponseStarted", 200, 0),
        ("RequestReceived", 401, 0),
    ] {
        let line = audit(json!({"stage": stage, "responseStatus": {"code": code}})).to_string();
        assert_eq!(CLUSTER.events(&line).len(), count, "{stage}");
    }
}

#[test]
fn a_session_is_an_event_when_it_begins_and_when_it_ends() {
    for subresource in ["exec", "attach", "portforward", "log"] {
        let object = json!({"resource": "pods", "subresource": subresource, "name": "p"});
        let stage = |stage: &str| {
            let code = json!({"code": 101});
            let line = audit(json!({"stage": stage, "responseStatus": code, "objectRef": object}));
            CLUSTER.events(line.to_string())
        };
        let (begun, ended) = (stage("ResponseStarted"), stage("ResponseComplete"));
        let expected = usize::from(subresource != "log");
        assert_eq!((begun.len(), ended.len()), (expected, 1), "{subresource}");
        let Some(begun) = begun.first() else { continue };
        assert_ne!(begun.origin.key, ended[0].origin.key, "neither is the other's repetition");
        assert_eq!(begun.outcome.kind, OutcomeKind::Success);
        assert!(begun.attributes.contains_key("begun_at"), "{:?}", begun.attributes);
        assert!(!begun.attributes.contains_key("ended_at"));
        assert!(ended[0].attributes.contains_key("ended_at"));
    }
}

#[test]
fn log_and_webhook_agree() {
    let keys = |name| {
        let mut keys: Vec<_> =
            captured(name).into_iter().map(|event| event.origin.key.unwrap()).collect();
        keys.sort();
        keys.dedup();
        keys
    };
    let (log, webhook) = (keys("audit.log"), keys("webhook.requests.jsonl"));
    assert!(!log.is_empty());
    assert!(log.iter().filter(|key| webhook.contains(key)).count() > 50, "{log:?}\n{webhook:?}");
}

#[test]
fn requests_mean_operations_classes_and_severities() {
    use Class::{Operation as Ordinary, Security};
    let object = |group: &str, resource: &str, subresource: &str| json!({"apiGroup": group, "resource": resource, "subresource": subresource});
    for (verb, object, code, action, operation, class, severity) in [
        ("create", object("", "pods", ""), 201, "create pods", Operation::Create, Ordinary, 1),
        ("create", object("", "pods", ""), 409, "create pods", Operation::Create, Ordinary, 2),
        ("patch", object("", "pods", ""), 200, "patch pods", Operation::Update, Ordinary, 1),
        (
            "patch",
            object("apps", "deployments", "scale"),
            200,
            "patch deployments/scale",
            Operation::Update,
            Ordinary,
            1,
        ),
        ("watch", object("", "pods", ""), 200, "watch pods", Operation::Read, Ordinary, 1),
        ("list", object("", "pods", ""), 403, "list pods", Operation::Read, Security, 2),
        ("list", object("", "pods", ""), 401, "list pods", Operation::Read, Security, 3),
        ("list", object("", "pods", ""), 503, "list pods", Operation::Read, Ordinary, 3),
        ("delete", object("", "pods", ""), 200, "delete pods", Operation::Delete, Ordinary, 2),
        ("delete", object("", "pods", ""), 404, "delete pods", Operation::Delete, Ordinary, 2),
        ("delete", object("", "pods", ""), 403, "delete pods", Operation::Delete, Security, 3),
        (
            "deletecollection",
            object("", "pods", ""),
            200,
            "deletecollection pods",
            Operation::Delete,
            Ordinary,
            2,
        ),
        (
            "create",
            object("", "pods", "exec"),
            101,
            "create pods/exec",
            Operation::Exec,
            Security,
            1,
        ),
        ("get", object("", "pods", "attach"), 101, "get pods/attach", Operation::Exec, Security, 1),
        ("get", object("", "secrets", ""), 200, "get secrets", Operation::Read, Security, 1),
        (
            "create",
            object("", "serviceaccounts", "token"),
            201,
            "create serviceaccounts/token",
            Operation::Create,
            Security,
            1,
        ),
        (
            "create",
            object("rbac.authorization.k8s.io", "roles", ""),
            201,
            "create roles",
            Operation::Create,
            Security,
            1,
        ),
        (
            "create",
            object("authorization.k8s.io", "selfsubjectaccessreviews", ""),
            201,
            "create selfsubjectaccessreviews",
            Operation::Read,
            Ordinary,
            1,
        ),
    ] {
        let event =
            event(json!({"verb": verb, "objectRef": object, "responseStatus": {"code": code}}));
        assert_eq!(
            (event.action.as_str(), event.operation, event.class, event.severity.level()),
            (action, operation, class, severity),
            "{action} {code}"
        );
    }
    let panicked = event(json!({"stage": "Panic", "responseStatus": null}));
    assert_eq!((panicked.outcome.kind, panicked.severity.level()), (OutcomeKind::Failure, 3));
}

#[test]
fn resources_are_named_by_namespace_and_name() {
    for (object, name) in [
        (json!({"resource": "pods", "namespace": "team-a", "name": "web-1"}), Some("team-a/web-1")),
        (json!({"resource": "pods", "namespace": "team-a"}), Some("team-a/")),
        (json!({"resource": "nodes", "name": "n1"}), Some("n1")),
        (json!({"resource": "pods"}), None),
        (json!({"resource": "namespaces", "name": "team-a"}), Some("team-a")),
        (
            json!({"resource": "namespaces", "namespace": "team-a", "name": "team-a"}),
            Some("team-a"),
        ),
        (json!(null), Some("/metrics")),
    ] {
        let event = event(json!({"objectRef": object, "requestURI": "/metrics"}));
        assert_eq!(event.resource.name.as_deref(), name);
    }
}

#[test]
fn actors_are_people_workloads_components_and_nobody() {
    for (username, kind) in [
        ("oidc:bob@example.com", ActorKind::User),
        ("system:serviceaccount:team-a:ci", ActorKind::Service),
        ("system:kube-scheduler", ActorKind::System),
        ("system:anonymous", ActorKind::Anonymous),
        ("", ActorKind::Anonymous),
    ] {
        assert_eq!(event(json!({"user": {"username": username}})).actor.kind, kind, "{username}");
    }
    let event = event(json!({
        "user": {"username": "admin", "uid": "u-1", "groups": ["ops", "system:masters"]},
        "impersonatedUser": {"username": "al"}, "sourceIPs": ["198.51.100.9", "10.1.1.1", "192.0.2.7"],
    }));
    assert_eq!(
        (event.actor.id.as_deref(), event.actor.name.as_deref()),
        (Some("u-1"), Some("admin"))
    );
    assert_eq!(event.class, Class::Security);
    assert_eq!(event.source_ip.unwrap().address.to_string(), "192.0.2.7");
    for (name, value) in [
        ("department", "ops"),
        ("ended_at", "2026-11-20T18:22:27.880263Z"),
        ("forwarded_for", "198.51.100.9, 10.1.1.1"),
        ("on_behalf_of", "al"),
    ] {
        assert_eq!(event.attributes[name], value);
    }
    assert_eq!(event.resolution, Resolution::Microsecond);
    assert_eq!(
        event.origin.key.as_deref(),
        Some("a-1/ResponseComplete/2026-11-20T18:22:27.876845Z")
    );
}

#[test]
fn forwarded_addresses_count_where_a_trusted_proxy_vouches_for_them() {
    for (addresses, proxies, expected, trust) in [
        (json!(["198.51.100.9", "192.0.2.7"]), &[][..], Some("192.0.2.7"), Trust::Peer),
        (
            json!(["198.51.100.9", "192.0.2.7"]),
            &["192.0.2.0/24"],
            Some("198.51.100.9"),
            Trust::Forwarded,
        ),
        // Addresses that the client claimed before its own are ignored.
        (
            json!(["203.0.113.1", "198.51.100.9", "192.0.2.8", "192.0.2.7"]),
            &["192.0.2.0/24"],
            Some("198.51.100.9"),
            Trust::Forwarded,
        ),
        (
            json!(["198.51.100.9", "192.0.2.7"]),
            &["198.51.100.0/24"],
            Some("192.0.2.7"),
            Trust::Peer,
        ),
        (json!(["2001:db8::7"]), &["192.0.2.0/24"], Some("2001:db8::7"), Trust::Peer),
        (json!(["198.51.100.9", "?"]), &["0.0.0.0/0"], None, Trust::Peer),
        (json!([]), &["0.0.0.0/0"], None, Trust::Peer),
        (json!(null), &["0.0.0.0/0"], None, Trust::Peer),
    ] {
        let options = Options {
            trusted_proxies: proxies.iter().map(|proxy| proxy.parse().unwrap()).collect(),
            ..Options::default()
        };
        let body = audit(json!({"sourceIPs": addresses})).to_string().into_bytes();
        let request = Request { body, ..Request::default() };
        let parsed = CLUSTER.parse_as(&request, &options, &mut 0).unwrap();
        let [Item::Event(event)] = &parsed[..] else { panic!("{parsed:?}") };
        let client = event.source_ip.as_ref().map(|ip| (ip.address.to_string(), ip.trust));
        assert_eq!(
            client,
            expected.map(|address| (address.to_owned(), trust)),
            "{addresses} {proxies:?}"
        );
    }
}

#[test]
fn events_without_their_objects_are_marked() {
    let cut = event(json!({"annotations": {"audit.k8s.io/truncated": "true"}}));
    assert_eq!(cut.attributes["truncated"], "true");
    for annotations in
        [json!({"audit.k8s.io/truncated": "false"}), json!({"truncated": "true"}), json!(null)]
    {
        assert!(!event(json!({"annotations": annotations})).attributes.contains_key("truncated"));
    }
}

#[test]
fn annotations_do_not_pass_for_our_own_attributes() {
    let event = event(json!({"annotations": {"level": "None", "log_file": "x", "ours/x": "1"}}));
    assert_eq!((&*event.attributes["level"], &*event.attributes["ours/x"]), ("Metadata", "1"));
    assert!(!event.attributes.contains_key("log_file"));
}

#[test]
fn one_bad_item_of_a_list_is_rejected_alone() {
    let good = audit(json!({})).to_string();
    let received = audit(json!({"stage": "RequestReceived"})).to_string();
    let body = list(&[&good, "7", &received, r#"{ "auditID": "" }"#, &good]);
    for body in [body.clone(), body.clone() + "\n", body.replace("\"items\":[", "\"items\": [\n  ")]
    {
        let parsed = CLUSTER.parse(body.as_bytes(), &mut 0).unwrap();
        let [
            Item::Event(first),
            Item::Rejected(seven),
            Item::Skipped(_),
            Item::Rejected(empty),
            Item::Event(_),
        ] = &parsed[..]
        else {
            panic!("{parsed:?}");
        };
        assert_eq!(first.raw, good.as_bytes());
        assert_eq!(seven.raw, b"7");
        assert_eq!(empty.raw, br#"{ "auditID": "" }"#);
    }
    assert_eq!(CLUSTER.parse(br#"{"kind":"EventList","items":null}"#, &mut 0), Ok(Vec::new()));
}

#[test]
fn deep_objects_do_not_hide_an_event() {
    let good = audit(json!({})).to_string();
    let deep = good.replacen(
        '{',
        &format!(r#"{{"requestObject":{}{},"#, "[".repeat(50_000), "]".repeat(50_000)),
        1,
    );
    assert_eq!(CLUSTER.event(&deep).raw, deep.as_bytes());
    assert_eq!(CLUSTER.event(list(&[&deep])).raw, deep.as_bytes());
}

#[test]
fn bad_records_are_rejected_alone() {
    let good = audit(json!({})).to_string();
    let bad_member = |members: Value| audit(members).to_string();
    for (bad, why) in [
        (good[..good.len() - 1].to_owned(), "not an audit event: EOF"),
        (" ".to_owned(), "not an audit event: EOF"),
        ("\u{0}\u{1}".to_owned(), "not an audit event"),
        ("[]".to_owned(), "not an audit event"),
        (format!("{good}{good}"), "trailing characters"),
        (good.replacen("\"verb\"", "\"verb\":\"get\",\"verb\"", 1), "duplicate field `verb`"),
        (bad_member(json!({"kind": "Status"})), "not an Event of audit.k8s.io/v1"),
        (
            bad_member(json!({"kind": "Event", "apiVersion": "v1"})),
            "not an Event of audit.k8s.io/v1",
        ),
        (bad_member(json!({"auditID": ""})), "no auditID"),
        (bad_member(json!({"verb": ""})), "no verb"),
        (bad_member(json!({"stage": "Later"})), "unknown stage \"Later\""),
        (bad_member(json!({"user": "al"})), "invalid type"),
        (bad_member(json!({"responseStatus": {"code": "200"}})), "invalid type"),
        (bad_member(json!({"responseStatus": {"code": -1}})), "invalid value"),
        (bad_member(json!({"sourceIPs": "::1"})), "invalid type"),
        (bad_member(json!({"requestReceivedTimestamp": null})), "requestReceivedTimestamp: "),
        (bad_member(json!({"requestReceivedTimestamp": "soon"})), "requestReceivedTimestamp: "),
        (bad_member(json!({"stageTimestamp": "soon"})), "stageTimestamp: "),
        (bad_member(json!({"requestObject": "y".repeat(256 * 1024)})), "event_too_large"),
        (list(&[&good])[1..].to_owned(), "not an audit event"),
    ] {
        let body = format!("{good}\r\n{bad}\n\n{good}");
        let parsed = CLUSTER.parse(body.as_bytes(), &mut 0).unwrap();
        let [Item::Event(first), Item::Rejected(rejected), Item::Event(last)] = &parsed[..] else {
            panic!("{bad:.80}: {parsed:?}");
        };
        assert!(rejected.reason.contains(why), "{bad:.80}: {}", rejected.reason);
        assert_eq!(rejected.raw, bad.as_bytes());
        assert_eq!((&first.raw[..], &last.raw[..]), (good.as_bytes(), good.as_bytes()));
    }
    let latin1 = [&good.as_bytes()[..10], b"\xff", &good.as_bytes()[10..]].concat();
    assert!(CLUSTER.reasons(latin1)[0].contains("not an audit event"));
}

#[test]
fn too_many_are_refused_and_none_are_nothing() {
    let many = list(&vec!["1"; 10_001]);
    assert!(matches!(CLUSTER.parse(many.as_bytes(), &mut 0), Err(EnvelopeError::TooLarge(_))));
    assert!(matches!(
        CLUSTER.parse("1\n".repeat(10_001).as_bytes(), &mut 0),
        Err(EnvelopeError::TooLarge(_))
    ));
    assert_eq!(CLUSTER.parse(b"", &mut 0), Ok(Vec::new()));
}
