//! Harbor's forwarded audit log, and names in it that look like its fields.

use event::{ActorKind, Class, Event, EventId, Operation, OutcomeKind, Resolution, Service, Trail};
use formats::{Context, Item, Options};

use crate::golden::{RECEIVED_AT, Source, requests};

const HARBOR: Source = Source { format: "harbor-syslog", service: Service::Registry, name: "hub" };

#[test]
fn every_capture_gives_the_events_beside_it() {
    let path = HARBOR.capture("audit-forward.log");
    HARBOR.check(&path, &requests(&path));
}

const HEADER: &str = "<6>2026-11-20T18:35:15Z vm audit[25000]: 2026-11-20T18:35:15Z [INFO] [/pkg/auditext/manager.go:23]";
const TIME: &str = "2026-11-20 18:35:15.157676135 +0000 UTC m=+0.000611731";

fn text(operator: &str, kind: &str, action: &str, resource: &str, description: &str) -> String {
    format!(
        r#"[operator="{operator}" resourceType="{kind}" time="{TIME}"]: action:{action}, resource:{resource}, operation_description:{description}"#
    )
}

fn event(operator: &str, kind: &str, action: &str, resource: &str, description: &str) -> Event {
    HARBOR.event(format!("{HEADER}{}", text(operator, kind, action, resource, description)))
}

#[test]
fn actions_mean_operations() {
    for (kind, action, operation, class, outcome) in [
        ("artifact", "create", Operation::Push, Class::Operation, OutcomeKind::Success),
        ("artifact", "pull", Operation::Pull, Class::Operation, OutcomeKind::Success),
        ("artifact", "delete", Operation::Delete, Class::Operation, OutcomeKind::Success),
        ("tag", "create", Operation::Create, Class::Operation, OutcomeKind::Success),
        ("repository", "delete", Operation::Delete, Class::Operation, OutcomeKind::Success),
        ("project", "create", Operation::Create, Class::Operation, OutcomeKind::Success),
        ("project", "update", Operation::Update, Class::Operation, OutcomeKind::Unknown),
        ("robot", "create", Operation::Create, Class::Security, OutcomeKind::Success),
        ("user", "delete", Operation::Delete, Class::Security, OutcomeKind::Unknown),
        ("member", "update", Operation::Update, Class::Security, OutcomeKind::Unknown),
        ("configuration", "update", Operation::Configure, Class::Security, OutcomeKind::Unknown),
        ("user", "login", Operation::Login, Class::Security, OutcomeKind::Unknown),
        ("user", "logout", Operation::Logout, Class::Security, OutcomeKind::Unknown),
        ("label", "frob", Operation::Other, Class::Operation, OutcomeKind::Unknown),
    ] {
        let event = event("al", kind, action, "library/x", "");
        assert_eq!(event.action, format!("{action} {kind}"));
        assert_eq!(
            (event.operation, event.class, event.outcome.kind),
            (operation, class, outcome),
            "{action} {kind}"
        );
    }
}

#[test]
fn artifacts_have_their_digest_if_it_is_known() {
    let digest = format!("sha256:{}", "ab".repeat(32));
    for (kind, resource, description, id, tag) in [
        (
            "artifact",
            "library/u:24.04".to_owned(),
            format!("push artifact: library/u@{digest}"),
            &*digest,
            Some("24.04"),
        ),
        ("artifact", format!("library/u@{digest}"), String::new(), &digest, None),
        ("artifact", format!("library/u:{digest}"), String::new(), &digest, None),
        (
            "artifact",
            "library/u:24.04".to_owned(),
            "push artifact: library/u:24.04".to_owned(),
            "24.04",
            Some("24.04"),
        ),
        (
            "artifact",
            "library/u:24.04".to_owned(),
            format!("push artifact: other/v@{digest}"),
            "24.04",
            Some("24.04"),
        ),
        (
            "tag",
            "library/u:24.04".to_owned(),
            format!("delete tag: library/u@{digest}"),
            "24.04",
            Some("24.04"),
        ),
    ] {
        let event = event("al", kind, "create", &resource, &description);
        assert_eq!(event.resource.name.as_deref(), Some("library/u"), "{resource}");
        assert_eq!(event.resource.id.as_deref(), Some(id), "{resource}");
        assert_eq!(event.attributes.get("tag").map(String::as_str), tag, "{resource}");
    }
}

#[test]
fn the_time_is_the_fields_own_with_any_offset() {
    let shanghai =
        text("al", "user", "login", "", "").replace(TIME, "2026-11-21 02:35:15.5 +0800 CST");
    let event = HARBOR.event(shanghai);
    assert_eq!(event.occurred_at.to_string(), "2026-11-20T18:35:15.500000000Z");
    assert_eq!(event.resolution, Resolution::Millisecond);
    for time in [
        "2026-11-20 18:35:15",
        "2026-11-20 18:35:15 UTC",
        "soon",
        "2026-02-30 18:35:15 +0000 UTC",
        "a b ééé",
    ] {
        let reasons = HARBOR.reasons(text("al", "user", "login", "", "").replace(TIME, time));
        assert!(reasons[0].ends_with("is not a time"), "{reasons:?}");
    }
}

#[test]
fn lines_before_2_13_have_no_description() {
    let line =
        text("al", "artifact", "pull", "library/u:1", "").replace(", operation_description:", "");
    let event = HARBOR.event(line);
    assert_eq!((event.resource.id.as_deref(), event.description), (Some("1"), None));
}

#[test]
fn the_header_may_be_another_or_none() {
    let bare = text("al", "artifact", "pull", "library/u:1", "pull");
    let keys = ["", HEADER, "Nov 20 18:35:15 vm audit[1]: "].map(|header| {
        let event = HARBOR.event(format!("{header}{bare}"));
        assert_eq!(event.occurred_at.to_string(), "2026-11-20T18:35:15.157676135Z");
        event.origin.key
    });
    assert!(keys[0].is_some());
    assert_eq!((&keys[0], &keys[0]), (&keys[1], &keys[2]));
    let event = HARBOR.event(format!("{HEADER}{bare}"));
    assert_eq!(event.attributes["syslog_host"], "vm");
    assert_eq!(event.attributes["process_id"], "25000");
    let event =
        HARBOR.event(format!("2026-11-20T18:35:15Z [INFO] [/pkg/auditext/manager.go:23]{bare}"));
    assert_eq!((event.attributes.get("syslog_host"), &event.origin.key), (None, &keys[0]));
    assert_ne!(
        HARBOR.event(text("al", "artifact", "pull", "library/u:2", "pull")).origin.key,
        keys[0]
    );
}

#[test]
fn a_message_of_a_frame_is_read_whole() {
    let line = format!("{HEADER}{}", text("al", "artifact", "pull", "library/u:1", "pull"));
    let trail = Trail::new(Service::Registry, "acme", "p1", "hub").unwrap();
    let options = Options::default();
    let mut new_id = || EventId::v7(RECEIVED_AT, [0; 10]);
    let mut context = Context::new("hub", &trail, RECEIVED_AT, &mut new_id, &options);
    let items = HARBOR.format().parse_message(format!("{line}\n").as_bytes(), &mut context);
    let [Item::Event(event)] = &items[..] else { panic!("{items:?}") };
    let alone = HARBOR.event(&line);
    assert_eq!(event.raw.trim_ascii_end(), line.as_bytes());
    assert_eq!((&event.origin.key, &event.attributes), (&alone.origin.key, &alone.attributes));
    assert_eq!(event.description.as_deref(), Some("pull"));
}

#[test]
fn names_may_hold_anything_but_the_fields_themselves() {
    for operator in
        ["王 \"q\" ]", "bob, action:delete", "x\" resourceType=\"user", "a]: action:x, resource:y"]
    {
        let event = event(operator, "user", "login", "", "login");
        assert_eq!(
            (event.actor.name.as_deref(), event.operation),
            (Some(operator), Operation::Login),
            "{operator}"
        );
    }
    assert_eq!(
        event("anonymous", "artifact", "pull", "a/b:1", "").actor.kind,
        ActorKind::Anonymous
    );
    assert_eq!(event("", "robot", "delete", "robot$a", "").actor.kind, ActorKind::Unknown);
    assert_eq!(event("robot$ci", "artifact", "pull", "a/b:1", "").actor.kind, ActorKind::Robot);
    let forged = format!(r#"x" resourceType="project" time="{TIME}"]: action:delete, resource:"#);
    let reasons = HARBOR.reasons(text(&forged, "user", "login", "", ""));
    assert_eq!(reasons, ["the line can be read in two ways: a name in it looks like its fields"]);
    let reasons =
        HARBOR.reasons(text("al", "user", "login", "x, operation_description:y", "login"));
    assert_eq!(reasons, ["the line can be read in two ways: it has several descriptions"]);
}

#[test]
fn one_bad_line_takes_no_other_with_it() {
    let good = text("al", "artifact", "pull", "library/u:1", "pull");
    for (bad, why) in [
        ("hello", "no [operator="),
        (r#"[operator="al""#, "no resourceType, time and action"),
        (&good.replace(", resource:", ", res:"), "no resource"),
        (
            &format!(r#"[operator="al" resourceType="{}" time="x"]: action:"#, "y".repeat(200)),
            "no resourceType",
        ),
    ] {
        let reasons = HARBOR.reasons(format!("{good}\n{bad}\n{good}"));
        assert_eq!((&*reasons[0], &*reasons[2]), ("event pull artifact", "event pull artifact"));
        assert!(reasons[1].contains(why), "{reasons:?}");
    }
}

/// Looking for the end of each of many beginnings stays within a few bytes.
#[test]
fn many_beginnings_are_read_in_no_time() {
    let many = format!("[operator=\"{}", "\" resourceType=\"\" time=\"".repeat(10_000));
    assert!(HARBOR.reasons(many)[0].contains("no resourceType"));
}
