//! Lines of Nexus Repository's audit log.

use event::{Class, Operation, Service};

use crate::golden::{Source, requests};

const NEXUS: Source = Source { format: "nexus-audit", service: Service::Artifact, name: "nexus" };

#[test]
fn every_capture_gives_the_events_beside_it() {
    let path = NEXUS.capture("audit.log");
    NEXUS.check(&path, &requests(&path));
}

fn line(domain: &str, kind: &str, attributes: &str) -> String {
    format!(
        r#"{{"timestamp":"2026-11-20 18:01:15,125+0000","initiator":"al/::1","domain":"{domain}","type":"{kind}","context":"/c","attributes":{attributes}}}"#
    )
}

#[test]
fn domains_and_types_mean_operations() {
    for (domain, kind, operation, class, thing, name) in [
        ("repository.asset", "created", Operation::Upload, Class::Operation, "file", "r/c"),
        ("repository.asset", "deleted", Operation::Delete, Class::Operation, "file", "r/c"),
        (
            "repository.component",
            "deleted",
            Operation::Delete,
            Class::Operation,
            "component",
            "r/c",
        ),
        ("repository.manager", "updated", Operation::Update, Class::Operation, "repository", "/c"),
        ("security.role", "updated", Operation::Update, Class::Security, "security.role", "/c"),
        (
            "security.user-role-mapping",
            "changed",
            Operation::Update,
            Class::Security,
            "security.user-role-mapping",
            "/c",
        ),
        ("logging", "changed", Operation::Update, Class::Operation, "logging", "/c"),
        ("tasks", "started", Operation::Other, Class::Operation, "tasks", "/c"),
    ] {
        let event = NEXUS.event(line(domain, kind, r#"{"repository.name":"r"}"#));
        let described = (
            event.operation,
            event.class,
            event.resource.kind.as_deref(),
            event.resource.name.as_deref(),
        );
        assert_eq!(described, (operation, class, Some(thing), Some(name)), "{domain} {kind}");
        assert_eq!(event.action, format!("{domain}.{kind}"));
    }
}

#[test]
fn attributes_cannot_pass_for_our_own() {
    let event = NEXUS.event(line(
        "x",
        "y",
        r#"{"department":"d","n":1.50,"l":["a"],"none":null,"empty":""}"#,
    ));
    assert_eq!(event.attributes["nexus.department"], "d");
    assert_eq!(event.attributes["nexus.n"], "1.50");
    assert_eq!(event.attributes["nexus.l"], "[\"a\"]");
    assert_eq!(event.attributes.len(), 3, "{:?}", event.attributes);
}

#[test]
fn times_have_a_comma_and_an_offset() {
    let shanghai = line("x", "y", "{}").replace("18:01:15,125+0000", "23:01:15,125+0800");
    assert_eq!(NEXUS.event(shanghai).occurred_at.to_string(), "2026-11-20T15:01:15.125000000Z");
}

#[test]
fn one_bad_line_takes_no_other_with_it() {
    let good = line("x", "y", "{}");
    let deep = line("x", "y", &format!("{{\"a\":{}1}}", "[".repeat(100_000)));
    for (bad, why) in [
        ("hello", "not an audit line"),
        ("{}", "no domain and type"),
        (&line("x", "", "{}"), "no domain and type"),
        (&good.replace(",125+0000", ""), "is not a time"),
        (&good.replace("2026-11-20", "2026-11-é"), "is not a time"),
        (&good.replace('}', ""), "not an audit line"),
        (&deep, "not an audit line"),
    ] {
        let reasons = NEXUS.reasons(format!("{good}\n{bad}\n{good}"));
        assert_eq!((reasons.len(), &*reasons[0], &*reasons[2]), (3, "event x.y", "event x.y"));
        assert!(reasons[1].contains(why), "{bad:.80}: {}", reasons[1]);
    }
}
