//! Notifications of keystone and of the audit filter, with the expected events beside them.

use event::{ActorKind, Class, Event, Operation, OutcomeKind, Resolution, Service, Trust};
use formats::{Continuation, DEFERRED, EnvelopeError, Item, Options};
use serde_json::{Value, json};

use crate::golden::{Source, requests};

const CLOUD: Source =
    Source { format: "openstack-cadf", service: Service::Platform, name: "cloud" };

#[test]
fn every_capture_gives_the_events_beside_it() {
    for name in
        ["audit-middleware.log", "keystone.log", "keystone-bootstrap.log", "notifications.jsonl"]
    {
        let path = CLOUD.capture(name);
        CLOUD.check(&path, &requests(&path));
    }
}

/// A notification whose payload has `members` instead of its own.
fn notification(event_type: &str, message_id: &str, members: Value) -> Value {
    let mut payload = json!({
        "typeURI": "http://schemas.dmtf.org/cloud/audit/1.0/event", "eventType": "activity", "id": "e-1",
        "eventTime": "2026-11-20T18:29:51.338796+0000", "action": "created.user", "outcome": "success",
        "initiator": {"id": "u-1", "name": "al", "project_id": "p-1", "host": {"address": "192.0.2.7", "agent": "cli"}},
        "target": {"id": "t-1", "typeURI": "data/security/account/user"},
    });
    for (name, value) in members.as_object().unwrap() {
        payload[name] = value.clone();
    }
    json!({
        "message_id": message_id, "publisher_id": "identity.vm", "event_type": event_type, "priority": "INFO",
        "payload": payload, "timestamp": "2026-11-20 18:29:52.000001",
    })
}

fn event(members: Value) -> Event {
    CLOUD.event(notification("identity.x", "m-1", members).to_string())
}

/// Both notifications of a request.
fn request(id: &str, code: u32) -> (String, String) {
    let members = |outcome: &str| json!({"id": id, "action": "create", "outcome": outcome, "requestPath": "/v2.1/servers"});
    let mut answer = members(if code < 400 { "success" } else { "failure" });
    answer["reason"] = json!({"reasonType": "HTTP", "reasonCode": code.to_string()});
    (
        notification("audit.http.request", &format!("{id}-request"), members("pending"))
            .to_string(),
        notification("audit.http.response", &format!("{id}-response"), answer).to_string(),
    )
}

#[test]
fn a_notification_is_the_same_wherever_it_stands() {
    let bare = notification("identity.user.created", "m-1", json!({}));
    let expected = CLOUD.event(bare.to_string());
    let text = bare.to_string();
    let envelope = json!({"oslo.version": "2.0", "oslo.message": text}).to_string();
    let log = format!(
        "2026-11-20 18:27:16.792 8970 INFO oslo.messaging.notification.identity.user.created [-] {text}"
    );
    let with_context = log.replace("[-]", "[None req-1 u-1 p-1 - - default default]");
    let filter = log.replace("[-] ", "");
    let pretty = serde_json::to_string_pretty(&bare).unwrap();
    for body in [
        text.clone(),
        envelope,
        log,
        with_context,
        filter,
        pretty,
        format!("[{text}]"),
        format!("[ {text}\n]\n"),
    ] {
        let event = CLOUD.event(&body);
        assert_eq!(Event { raw: expected.raw.clone(), ..event }, expected, "{body}");
    }
    assert_eq!(CLOUD.events(format!("{text}\n{}\n", text.replace("m-1", "m-2"))).len(), 2);
    let alone = CLOUD.event(bare["payload"].to_string());
    assert_eq!(alone.origin.key.as_deref(), Some("e-1/success"));
    assert_eq!(alone.action, "created.user");
}

#[test]
fn the_answer_replaces_the_request() {
    let (pending, answer) = request("r-1", 202);
    let other_stage = "skipped: another stage of the request is recorded";
    assert_eq!(CLOUD.reasons(format!("{pending}\n{answer}")), [other_stage, "event create"]);
    assert_eq!(CLOUD.reasons(format!("{answer}\n{pending}")), ["event create", other_stage]);
    assert_eq!(CLOUD.reasons(format!("[{pending},{answer}]")), [other_stage, "event create"]);
    let event = CLOUD.event(format!("{pending}\n{answer}"));
    assert_eq!((event.outcome.kind, event.outcome.code), (OutcomeKind::Success, Some(202)));
    assert_eq!(event.raw, answer.into_bytes());
    assert_eq!(event.occurred_at.to_string(), "2026-11-20T18:29:51.338796000Z");
    assert_eq!(event.attributes["ended_at"], "2026-11-20T18:29:52.000001000Z");
    // An answer to another request answers nothing.
    assert_eq!(CLOUD.events(format!("{pending}\n{}", request("r-2", 200).1)).len(), 2);
}

#[test]
fn a_request_that_came_alone_may_be_deferred() {
    let (pending, answer) = request("r-1", 202);
    let waiting = |body: &str| CLOUD.parse_deferring(body.as_bytes());
    assert!(matches!(&waiting(&pending)[..], [Item::Rejected(rejected)]
            if rejected.reason == DEFERRED && rejected.raw == pending.as_bytes()));
    assert!(matches!(
        &waiting(&format!("{pending}\n{answer}"))[..],
        [Item::Skipped(_), Item::Event(_)]
    ));
    let again = CLOUD.parse_again(pending.as_bytes(), 1 << 20).unwrap();
    let [Item::Event(alone)] = &again[..] else { panic!("{again:?}") };
    let is_answer = |event: &str| CLOUD.format().is_answer(&CLOUD.event(event), alone);
    assert!(is_answer(&answer));
    assert!(!is_answer(&pending) && !is_answer(&request("r-2", 202).1));
}

#[test]
fn a_request_without_an_answer_is_recorded_and_so_is_a_later_answer() {
    let (pending, answer) = request("r-1", 202);
    let (waiting, done) = (CLOUD.event(&pending), CLOUD.event(&answer));
    assert_eq!(
        (waiting.outcome.kind, waiting.outcome.reason.as_deref()),
        (OutcomeKind::Unknown, Some("pending"))
    );
    assert_eq!(waiting.origin.key.as_deref(), Some("r-1-request"));
    assert_eq!(done.origin.key.as_deref(), Some("r-1-response"));
    let again = CLOUD.event(format!("{pending}\n{answer}"));
    assert_eq!(again.origin.key, done.origin.key);
}

#[test]
fn the_time_of_the_answer_is_the_reporters_if_it_is_known() {
    let chain = json!([{"role": "modifier", "reporterTime": "2026-11-20T18:29:51.339827+0000"}]);
    let body = notification("audit.http.response", "m", json!({"reporterchain": chain}));
    assert_eq!(
        CLOUD.event(body.to_string()).attributes["ended_at"],
        "2026-11-20T18:29:51.339827000Z"
    );
    assert!(!event(json!({})).attributes.contains_key("ended_at"));
    assert_eq!(event(json!({})).resolution, Resolution::Microsecond);
    let sent = event(json!({"eventTime": null}));
    assert_eq!(sent.occurred_at.to_string(), "2026-11-20T18:29:52.000001000Z");
}

#[test]
fn actions_mean_operations_classes_and_severities() {
    use Class::{Operation as Ordinary, Security};
    for (kind, action, outcome, code, operation, class, severity) in [
        ("identity.x", "authenticate", "success", None, Operation::Login, Security, 1),
        ("identity.x", "authenticate", "failure", None, Operation::Login, Security, 3),
        ("identity.x", "created.user", "success", None, Operation::Create, Security, 1),
        ("identity.x", "updated.user", "success", None, Operation::Update, Security, 1),
        ("identity.x", "disabled.project", "success", None, Operation::Update, Security, 1),
        ("identity.x", "deleted.user", "success", None, Operation::Delete, Security, 2),
        ("identity.x", "created.role_assignment", "success", None, Operation::Grant, Security, 1),
        ("identity.x", "deleted.role_assignment", "success", None, Operation::Grant, Security, 1),
        ("audit.http.response", "read", "success", Some("200"), Operation::Read, Ordinary, 1),
        ("audit.http.response", "read/list", "success", Some("200"), Operation::Read, Ordinary, 1),
        ("audit.http.response", "read", "failure", Some("401"), Operation::Read, Security, 3),
        ("audit.http.response", "create", "failure", Some("403"), Operation::Create, Security, 2),
        (
            "audit.http.response",
            "update/os-stop",
            "success",
            Some("202"),
            Operation::Update,
            Ordinary,
            1,
        ),
        ("audit.http.response", "update", "failure", Some("500"), Operation::Update, Ordinary, 3),
        ("audit.http.response", "delete", "success", Some("204"), Operation::Delete, Ordinary, 2),
        ("audit.http.response", "delete", "failure", Some("403"), Operation::Delete, Security, 3),
        ("audit.http.response", "delete", "failure", Some("404"), Operation::Delete, Ordinary, 2),
        ("audit.http.response", "unknown", "unknown", None, Operation::Other, Ordinary, 1),
    ] {
        let target = if kind.starts_with("audit") {
            "service/compute/servers"
        } else {
            "data/security/account/user"
        };
        let members = json!({
            "action": action, "outcome": outcome, "reason": {"reasonType": "HTTP", "reasonCode": code},
            "target": {"id": "t", "typeURI": target},
        });
        let event = CLOUD.event(notification(kind, "m", members).to_string());
        assert_eq!((event.action.as_str(), event.operation), (action, operation));
        assert_eq!((event.class, event.severity.level()), (class, severity), "{action} {code:?}");
        let described = code.map(|code| code.parse().unwrap());
        assert_eq!(event.outcome.code, described, "{action}");
    }
}

#[test]
fn outcomes_have_the_reason() {
    let outcome =
        |outcome: &str, reason: Value| event(json!({"outcome": outcome, "reason": reason})).outcome;
    for (described, reason, kind, code, why) in [
        (
            "failure",
            json!({"reasonType": "HTTP", "reasonCode": "404"}),
            OutcomeKind::Failure,
            Some(404),
            Some("HTTP 404"),
        ),
        (
            "failure",
            json!({"reasonType": "HTTP", "reasonCode": 404}),
            OutcomeKind::Failure,
            Some(404),
            Some("HTTP 404"),
        ),
        (
            "failure",
            json!({"reasonType": "Could not find user: x.", "reasonCode": "404"}),
            OutcomeKind::Failure,
            Some(404),
            Some("Could not find user: x."),
        ),
        ("failure", json!(null), OutcomeKind::Failure, None, None),
        (
            "success",
            json!({"reasonType": "HTTP", "reasonCode": "200"}),
            OutcomeKind::Success,
            Some(200),
            None,
        ),
        ("pending", json!(null), OutcomeKind::Unknown, None, Some("pending")),
        ("unknown", json!(null), OutcomeKind::Unknown, None, None),
    ] {
        let outcome = outcome(described, reason);
        assert_eq!(
            (outcome.kind, outcome.code, outcome.reason.as_deref()),
            (kind, code, why),
            "{described}"
        );
    }
}

#[test]
fn actors_are_who_is_named_or_claimed() {
    for (initiator, id, name, kind) in [
        (
            json!({"id": "i", "user_id": "u", "name": "al", "username": "x"}),
            Some("u"),
            Some("al"),
            ActorKind::User,
        ),
        (json!({"id": "i", "username": "al"}), Some("i"), Some("al"), ActorKind::User),
        (
            json!({"id": "i", "user_name": "nobody", "name": null}),
            Some("i"),
            Some("nobody"),
            ActorKind::User,
        ),
        (json!({}), None, None, ActorKind::Unknown),
        (json!(null), None, None, ActorKind::System),
    ] {
        let actor = event(json!({"initiator": initiator})).actor;
        assert_eq!(
            (actor.id.as_deref(), actor.name.as_deref(), actor.kind),
            (id, name, kind),
            "{initiator}"
        );
    }
    let event = event(json!({}));
    assert_eq!(
        (event.user_agent.as_deref(), &*event.attributes["department"]),
        (Some("cli"), "p-1")
    );
}

#[test]
fn an_address_of_the_filter_is_a_claim() {
    let ip = |kind| CLOUD.event(notification(kind, "m", json!({})).to_string()).source_ip.unwrap();
    assert_eq!(ip("identity.authenticate").trust, Trust::Peer);
    assert_eq!(ip("audit.http.response").trust, Trust::Forwarded);
    assert_eq!(ip("audit.http.response").address.to_string(), "192.0.2.7");
}

#[test]
fn resources_are_what_was_acted_on() {
    for (members, kind, id, name) in [
        (json!({}), "user", "t-1", None),
        (
            json!({"action": "created.credential", "target": {"id": "c", "typeURI": "unknown"}}),
            "credential",
            "c",
            None,
        ),
        (
            json!({"action": "created.role_assignment", "user": "u-9", "role": "r"}),
            "user",
            "u-9",
            None,
        ),
        (
            json!({"action": "created.role_assignment", "group": "g-9", "role": "r"}),
            "group",
            "g-9",
            None,
        ),
        (
            json!({"action": "read", "target": {"id": "ep", "typeURI": "service/compute/servers/server", "name": "nova"},
                   "requestPath": "/v2.1/servers/1"}),
            "server",
            "ep",
            Some("/v2.1/servers/1"),
        ),
        (
            json!({"action": "update/os-stop", "target": {"id": "ep", "typeURI": "service/compute/servers/server/action"}}),
            "server/action",
            "ep",
            None,
        ),
    ] {
        let resource = event(members).resource;
        let found = (resource.kind.as_deref(), resource.id.as_deref(), resource.name.as_deref());
        assert_eq!(found, (Some(kind), Some(id), name));
    }
    let assigned = event(
        json!({"action": "created.role_assignment", "user": "u", "project": "p", "role": "r"}),
    );
    for (name, value) in [("target_user", "u"), ("target_project", "p"), ("target_role", "r")] {
        assert_eq!(assigned.attributes[name], value);
    }
}

#[test]
fn other_lines_of_the_log_are_skipped_and_forge_nothing() {
    let text = notification("identity.x", "m", json!({})).to_string();
    let skipped = "skipped: a line of the log without a notification";
    let front = "2026-11-20 18:28:00.148 9051 INFO";
    for (line, expected) in [
        (
            format!(
                "{front} werkzeug [None req-1] 192.0.2.7 \"POST /v3/auth/tokens HTTP/1.1\" 201 -"
            ),
            skipped,
        ),
        (
            format!("{front} werkzeug \"GET /oslo.messaging.notification.x {text} HTTP/1.1\""),
            skipped,
        ),
        (format!("{front} werkzeug INFO oslo.messaging.notification.x {text}"), skipped),
        (
            format!("{front} oslo.messaging.notification.x [-] no object"),
            "the notification breaks off",
        ),
        (" * Running on http://127.0.0.1".to_owned(), "neither a notification nor a line of a log"),
    ] {
        assert_eq!(CLOUD.reasons(&line), [expected], "{line}");
    }
}

#[test]
fn bad_records_are_rejected_alone() {
    let good = notification("identity.x", "m-1", json!({})).to_string();
    let bad_member = |members: Value| notification("identity.x", "m-2", members).to_string();
    for (bad, why) in [
        (good[..good.len() - 1].to_owned(), "not a notification: EOF"),
        ("{}".to_owned(), "not a CADF event"),
        (json!({"payload": {"resource_info": "x"}}).to_string(), "not a CADF event"),
        (json!({"oslo.message": "x"}).to_string(), "not a notification"),
        (json!({"oslo.message": "{\"oslo.message\":\"{}\"}"}).to_string(), "not a CADF event"),
        (bad_member(json!({"action": null})), "the event has no action"),
        (bad_member(json!({"eventTime": "soon"})), "eventTime: "),
        (bad_member(json!({"initiator": "al"})), "invalid type"),
        (good.replacen("\"payload\"", "\"payload\":null,\"payload\"", 1), "duplicate field"),
        (bad_member(json!({"more": "y".repeat(256 * 1024)})), "event_too_large"),
    ] {
        let body = format!("{good}\r\n{bad}\n\n{good}");
        let parsed = CLOUD.parse(body.as_bytes(), &mut 0).unwrap();
        let [Item::Event(first), Item::Rejected(rejected), Item::Event(_)] = &parsed[..] else {
            panic!("{bad:.80}: {parsed:?}");
        };
        assert!(rejected.reason.contains(why), "{bad:.80}: {}", rejected.reason);
        assert_eq!((&rejected.raw[..], &first.raw[..]), (bad.as_bytes(), good.as_bytes()));
        if serde_json::from_str::<Value>(&bad).is_ok() {
            let parsed = CLOUD.parse(format!("[{good},7,{bad}]").as_bytes(), &mut 0).unwrap();
            let [Item::Event(_), Item::Rejected(_), Item::Rejected(rejected)] = &parsed[..] else {
                panic!("{bad:.80}: {parsed:?}");
            };
            assert_eq!(rejected.raw, bad.as_bytes());
        }
    }
    let broken = good.replace("\"cli\"", "\"c?i\"").into_bytes();
    let broken: Vec<u8> =
        broken.iter().map(|&byte| if byte == b'?' { 0xff } else { byte }).collect();
    let event = CLOUD.event(&broken);
    assert_eq!(
        (event.user_agent.as_deref(), &*event.attributes["invalid_utf8"]),
        (Some("c\u{fffd}i"), "true")
    );
    let deep = bad_member(json!({})).replacen(
        "\"eventType\"",
        &format!("\"x\":{}{},\"eventType\"", "[".repeat(50_000), "]".repeat(50_000)),
        1,
    );
    assert_eq!(CLOUD.events(&deep).len(), 1);
}

#[test]
fn a_request_is_not_cut_from_its_answer() {
    let format = CLOUD.format();
    let (pending, answer) = request("r-1", 200);
    let other = notification("identity.x", "m", json!({"id": "e-2"})).to_string();
    let later = other.replace("18:29:51", "18:30:01");
    for (lines, expected) in [
        (vec![&other], 1),
        (vec![&pending], 0),
        (vec![&other, &pending], 1),
        (vec![&pending, &other], 0),
        (vec![&pending, &other, &answer], 3),
        (vec![&pending, &later], 2),
        (vec![&answer, &other], 2),
    ] {
        let piece: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let expected: usize = lines.iter().take(expected).map(|line| line.len() + 1).sum();
        assert_eq!(
            format.complete_bytes(piece.as_bytes(), Continuation::More),
            expected,
            "{piece}"
        );
        assert_eq!(format.complete_bytes(piece.as_bytes(), Continuation::Quiet), piece.len());
    }
    let many = format!("{pending}\n{}", "2026-11-20 18:28:00.148 9051 INFO x y\n".repeat(1001));
    assert_eq!(format.complete_bytes(many.as_bytes(), Continuation::More), many.len());
    assert_eq!(
        format.complete_bytes(format!("{pending}\n{answer}").as_bytes(), Continuation::Nothing),
        pending.len() + answer.len() + 1
    );
}

#[test]
fn too_many_are_refused_and_none_are_nothing() {
    assert!(matches!(
        CLOUD.parse("{}\n".repeat(10_001).as_bytes(), &mut 0),
        Err(EnvelopeError::TooLarge(_))
    ));
    assert!(matches!(
        CLOUD.parse(format!("[{}1]", "1,".repeat(10_000)).as_bytes(), &mut 0),
        Err(EnvelopeError::TooLarge(_))
    ));
    assert_eq!(CLOUD.parse(b"", &mut 0), Ok(Vec::new()));
    assert_eq!(CLOUD.parse(b"[]", &mut 0), Ok(Vec::new()));
    let message =
        format!("<14>1 - vm keystone - - - {}", notification("identity.x", "m", json!({})));
    assert!(matches!(
        &CLOUD.parse_message(message.as_bytes(), &Options::default())[..],
        [Item::Event(_)]
    ));
}
