//! Lines of Artifactory's request log.

use event::{ActorKind, Event, Operation, Resolution, Service};
use formats::{Item, Options};

use crate::golden::{Request, Source, requests};

const JFROG: Source =
    Source { format: "artifactory-request", service: Service::Artifact, name: "jfrog" };

#[test]
fn every_capture_gives_the_events_beside_it() {
    let path = JFROG.capture("artifactory-request.log");
    JFROG.check(&path, &requests(&path));
}

fn line(user: &str, method: &str, path: &str, status: u32) -> String {
    format!(
        "2026-11-20T18:46:12.686Z|40ea|192.0.2.1|{user}|{method}|{path}|{status}|-1|7|80|curl/7.88.1"
    )
}

fn event(user: &str, method: &str, path: &str, status: u32) -> Event {
    JFROG.event(line(user, method, path, status))
}

#[test]
fn files_are_distinguished_from_artifactorys_own_calls() {
    for (method, path, operation, kind, name) in [
        ("PUT", "/maven-local/a/b.jar", Operation::Upload, "file", "maven-local/a/b.jar"),
        (
            "GET",
            "/artifactory/maven-local/a%20b.jar",
            Operation::Download,
            "file",
            "maven-local/a b.jar",
        ),
        ("GET", "/maven-local/a/", Operation::Read, "file", "maven-local/a/"),
        ("GET", "/maven-local", Operation::Read, "file", "maven-local"),
        ("DELETE", "/maven-local", Operation::Delete, "file", "maven-local"),
        ("GET", "/api/npm/npm-local/demo", Operation::Read, "file", "npm-local/demo"),
        (
            "GET",
            "/api/npm/npm-local/demo/-/demo-1.0.0.tgz",
            Operation::Download,
            "file",
            "npm-local/demo/-/demo-1.0.0.tgz",
        ),
        (
            "GET",
            "/api/pypi/pypi-local/packages/x.whl",
            Operation::Download,
            "file",
            "pypi-local/packages/x.whl",
        ),
        (
            "PUT",
            "/api/docker/dl/v2/app/manifests/1",
            Operation::Upload,
            "file",
            "dl/v2/app/manifests/1",
        ),
        ("POST", "/api/search/aql", Operation::Other, "request", "api/search/aql"),
        (
            "DELETE",
            "/api/security/users/bob",
            Operation::Delete,
            "request",
            "api/security/users/bob",
        ),
        ("GET", "/ui/api/v1/x", Operation::Read, "request", "ui/api/v1/x"),
        ("GET", "api/v1/cert/root", Operation::Read, "request", "api/v1/cert/root"),
    ] {
        let event = event("al", method, path, 200);
        let described =
            (event.operation, event.resource.kind.as_deref(), event.resource.name.as_deref());
        assert_eq!(described, (operation, Some(kind), Some(name)), "{method} {path}");
    }
    assert_eq!(
        event("al", "GET", "/api/npm/npm-local/demo", 200).attributes["repository"],
        "npm-local"
    );
}

#[test]
fn the_time_is_when_the_request_began() {
    let event = event("al", "GET", "/r/a", 200);
    assert_eq!(event.occurred_at.to_string(), "2026-11-20T18:46:12.606000000Z");
    assert_eq!(event.resolution, Resolution::Millisecond);
    let unknown = JFROG.event(line("al", "GET", "/r/a", 200).replace("|80|", "||"));
    assert_eq!(unknown.occurred_at.to_string(), "2026-11-20T18:46:12.686000000Z");
}

#[test]
fn bars_in_an_agent_stay_in_it() {
    let event = JFROG.event(line("al", "GET", "/r/a", 200).replace("curl/7.88.1", "a|b||c"));
    assert_eq!(event.user_agent.as_deref(), Some("a|b||c"));
}

#[test]
fn nobody_has_two_names() {
    for user in ["anonymous", "non_authenticated_user", ""] {
        assert_eq!(event(user, "GET", "/r/a", 200).actor.kind, ActorKind::Anonymous, "{user}");
    }
    let request = Request {
        body: line("non_authenticated_user", "GET", "/r/a", 401).into_bytes(),
        ..Request::default()
    };
    let items = JFROG.parse_as(&request, &Options::default(), &mut 0).unwrap();
    assert!(matches!(items[..], [Item::Skipped("noise")]));
}

/// A client may choose its trace id.
#[test]
fn a_trace_id_alone_is_no_key() {
    let key = |text: String| JFROG.event(text).origin.key;
    let first = key(line("al", "GET", "/r/a", 200));
    assert!(first.as_deref().is_some_and(|key| key.starts_with("40ea/")));
    assert_eq!(key(line("al", "GET", "/r/a", 200)), first);
    assert_ne!(key(line("al", "GET", "/r/b", 200)), first);
    assert_ne!(key(line("al", "GET", "/r/a", 200).replace("12.686", "12.687")), first);
    assert_eq!(key(line("al", "GET", "/r/a", 200).replace("|40ea|", "||")), None);
}

#[test]
fn one_bad_line_takes_no_other_with_it() {
    let good = line("al", "GET", "/r/a", 200);
    for (bad, why) in [
        ("hello", "has not 11 fields"),
        (good.rsplit_once('|').unwrap().0, "has not 11 fields"),
        (&good.replace("|200|", "|ok|"), "status is not a number"),
        (&good.replace("2026-11-20T", "yesterday"), "time: "),
    ] {
        let reasons = JFROG.reasons(format!("{good}\n{bad}\n{good}"));
        assert_eq!((reasons.len(), &*reasons[0], &*reasons[2]), (3, "event GET", "event GET"));
        assert!(reasons[1].contains(why), "{bad}: {}", reasons[1]);
    }
}
