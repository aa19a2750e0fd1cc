//! Lines of Nexus Repository's request log.

use event::{Class, Event, Operation, Service};
use formats::{Item, Options};

use crate::golden::{Request, Source, requests};

const NEXUS: Source = Source { format: "nexus-request", service: Service::Artifact, name: "nexus" };

#[test]
fn every_capture_gives_the_events_beside_it() {
    let path = NEXUS.capture("request.log");
    NEXUS.check(&path, &requests(&path));
}

fn line(user: &str, request: &str, status: u32) -> String {
    format!(
        "192.0.2.1 - {user} [20/Nov/2026:18:01:15 +0000] \"{request} HTTP/1.1\" {status} 4096 0 35 \"curl/7.88.1\" [qtp1-60]"
    )
}

fn event(user: &str, request: &str, status: u32) -> Event {
    NEXUS.event(line(user, request, status))
}

#[test]
fn files_are_distinguished_from_nexus_own_calls() {
    for (request, operation, kind, name) in [
        ("GET /repository/raw/a%20b.bin?x=1", Operation::Download, "file", "raw/a b.bin"),
        ("GET /nexus/repository/raw/a.bin", Operation::Download, "file", "raw/a.bin"),
        ("GET /repository/raw/x/repository/y", Operation::Download, "file", "raw/x/repository/y"),
        ("GET /a/b/repository/raw/a.bin", Operation::Read, "request", "a/b/repository/raw/a.bin"),
        ("GET /repository/raw/", Operation::Read, "file", "raw/"),
        ("GET /repository/", Operation::Read, "request", "repository/"),
        ("HEAD /repository/raw/a", Operation::Read, "file", "raw/a"),
        (
            "PUT /repository/npm/-/user/org.couchdb.user:b",
            Operation::Login,
            "user",
            "npm/-/user/org.couchdb.user:b",
        ),
        (
            "POST /service/rest/v1/security/users",
            Operation::Other,
            "request",
            "service/rest/v1/security/users",
        ),
        (
            "DELETE /service/rest/v1/assets/x",
            Operation::Delete,
            "request",
            "service/rest/v1/assets/x",
        ),
        ("GET /service/rest/v1/assets", Operation::Read, "request", "service/rest/v1/assets"),
        ("POST /service/rapture/session", Operation::Login, "user", "service/rapture/session"),
        ("DELETE /service/rapture/session", Operation::Logout, "user", "service/rapture/session"),
    ] {
        let event = event("al", request, 200);
        let described =
            (event.operation, event.resource.kind.as_deref(), event.resource.name.as_deref());
        assert_eq!(described, (operation, Some(kind), Some(name)), "{request}");
    }
    assert_eq!(event("al", "GET /nexus/repository/raw/a", 200).attributes["repository"], "raw");
}

#[test]
fn older_lines_have_fewer_numbers_and_no_thread() {
    let event = NEXUS.event(
        line("al", "GET /repository/r/a", 200)
            .replace("4096 0 35", "7 3")
            .replace(" [qtp1-60]", ""),
    );
    assert_eq!(
        (event.attributes["bytes_sent"].as_str(), event.attributes["elapsed_ms"].as_str()),
        ("7", "3")
    );
    assert!(
        !event.attributes.contains_key("thread")
            && !event.attributes.contains_key("bytes_received")
    );
}

#[test]
fn quotes_in_an_agent_stay_in_it() {
    let agent = r#"a" 200 1 1 1 "b" [x"#;
    let event = NEXUS.event(line("al", "GET /repository/r/a", 404).replace("curl/7.88.1", agent));
    assert_eq!((event.user_agent.as_deref(), event.outcome.code), (Some(agent), Some(404)));
    assert_eq!(event.attributes["thread"], "qtp1-60");
}

#[test]
fn refusals_are_recorded_and_first_steps_are_noise() {
    let items = |text: String| {
        let request = Request { body: text.into_bytes(), ..Request::default() };
        NEXUS.parse_as(&request, &Options::default(), &mut 0).unwrap()
    };
    for (user, request, status) in [
        ("-", "PUT /repository/r/a", 401),
        ("al", "GET /static/x.css", 200),
        ("al", "GET /service/metrics/ping", 200),
        ("al", "HEAD /repository/r/a", 200),
    ] {
        assert!(
            matches!(items(line(user, request, status))[..], [Item::Skipped("noise")]),
            "{request}"
        );
    }
    for (request, status) in [("POST /service/rapture/session", 401), ("GET /service/rest/x", 403)]
    {
        let event = event("-", request, status);
        assert_eq!(event.class, Class::Security, "{request}");
        assert!(matches!(items(line("-", request, status))[..], [Item::Event(_)]), "{request}");
    }
}

#[test]
fn one_bad_line_takes_no_other_with_it() {
    let good = line("al", "GET /repository/r/a", 200);
    for (bad, why) in [
        ("hello", "does not begin with"),
        (&good.replace("200 4096 0 35", "200 4096"), "other numbers than"),
        (&good.replace("200 4096 0 35", "200 4096 0 35 9"), "other numbers than"),
        (&good.replace(" 200 ", " ok "), "status is not a number"),
        (good.split_once(" \"curl").unwrap().0, "ends before its agent"),
    ] {
        let reasons = NEXUS.reasons(format!("{good}\n{bad}\n{good}"));
        assert_eq!((reasons.len(), &*reasons[0], &*reasons[2]), (3, "event GET", "event GET"));
        assert!(reasons[1].contains(why), "{bad}: {}", reasons[1]);
    }
}
