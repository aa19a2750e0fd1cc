//! Captured access log lines in the format `combined`, and hostile ones.

use event::{ActorKind, Class, Event, Operation, OutcomeKind, Resolution, Service, Trust};
use formats::{Item, Options};

use crate::golden::{Request, Source, requests};

const REPO: Source = Source { format: "nginx-combined", service: Service::Artifact, name: "repo" };
const JSON: Source = Source { format: "nginx-json", service: Service::Artifact, name: "repo" };

#[test]
fn every_capture_gives_the_events_beside_it() {
    for name in ["access-rotated.log", "access.log"] {
        let path = REPO.capture(name);
        REPO.check(&path, &requests(&path));
    }
}

fn line(user: &str, request: &str, status: u32, more: &str) -> String {
    format!("192.0.2.1 - {user} [20/Nov/2026:18:04:45 +0000] \"{request}\" {status} 25 {more}")
}

fn event(user: &str, request: &str, status: u32) -> Event {
    REPO.event(line(user, request, status, r#""-" "curl/7.88.1""#))
}

/// The same requests were logged in both formats, so that both give the same events but for what
/// combined does not log.
#[test]
fn both_formats_of_nginx_agree() {
    for (combined, json) in
        [("access-rotated.log", "access-rotated.json"), ("access.log", "access.json")]
    {
        let combined = REPO.events(std::fs::read(REPO.capture(combined)).unwrap());
        let json = JSON.events(std::fs::read(JSON.capture(json)).unwrap());
        assert_eq!(combined.len(), json.len());
        for (combined, json) in combined.iter().zip(&json) {
            let is_npm_read = json.attributes.get("format").is_some_and(|format| format == "npm")
                && json.operation == Operation::Read;
            let described = |event: &Event| {
                let name = event.resource.name.clone();
                (
                    event.action.clone(),
                    name,
                    event.outcome.code,
                    event.actor.name.clone(),
                    event.user_agent.clone(),
                )
            };
            // A target that is not a path is absent from the variable $uri.
            if json.outcome.code != Some(400) {
                assert_eq!(described(combined), described(json));
            }
            if !is_npm_read && json.outcome.code != Some(400) {
                let meant = |event: &Event| {
                    (event.operation, event.class, event.severity, event.resource.kind.clone())
                };
                assert_eq!(meant(combined), meant(json));
                assert_eq!(combined.outcome, json.outcome);
            }
        }
    }
}

#[test]
fn the_time_is_read_with_its_zone() {
    let text =
        line("-", "GET /x HTTP/1.1", 200, r#""-" "-""#).replace("18:04:45 +0000", "02:04:45 +0800");
    let event = REPO.event(text);
    assert_eq!(event.occurred_at.to_string(), "2026-11-19T18:04:45.000000000Z");
    assert_eq!(event.resolution, Resolution::Second);
    assert!(!event.attributes.keys().any(|name| name.starts_with("time_zone")));
}

#[test]
fn escapes_are_undone_and_broken_utf8_is_flagged() {
    let named = event(r"\xE7\x8E\x8B\xE8\x8A\xB3", "PUT /a+b%2Bc.bin HTTP/1.1", 201);
    assert_eq!(named.actor.name.as_deref(), Some("王芳"));
    assert_eq!(named.resource.name.as_deref(), Some("a+b+c.bin"));
    assert!(!named.attributes.contains_key("invalid_utf8"));
    let broken = REPO.event(line("al", "GET /x HTTP/1.1", 200, r#""-" "bad \xFF\xFE end""#));
    assert_eq!(broken.user_agent.as_deref(), Some("bad \u{fffd}\u{fffd} end"));
    assert_eq!(broken.attributes["invalid_utf8"], "true");
    let mut raw = line("al", "GET /x HTTP/1.1", 200, r#""-" "a""#).into_bytes();
    raw.extend_from_slice(b"\xff");
    let event = REPO.event(&raw);
    assert_eq!((event.raw, event.attributes["invalid_utf8"].as_str()), (raw, "true"));
}

#[test]
fn a_users_name_cannot_pass_for_the_rest_of_the_line() {
    for user in [
        "a b",
        "a - b",
        "a [x] b",
        r"a\x22 [20/Nov/2026:18:04:45 +0000] \x22GET /y HTTP/1.1\x22 200 1",
    ] {
        let event = event(user, "DELETE /x HTTP/1.1", 204);
        assert_eq!(event.actor.name.unwrap(), user.replace(r"\x22", "\""));
        assert_eq!(
            (event.operation, event.resource.name.as_deref()),
            (Operation::Delete, Some("x"))
        );
    }
}

#[test]
fn paths_are_those_that_were_served() {
    for (target, name) in [
        ("/generic/../generic//a%2Fb.bin?x=/y", Some("generic/a/b.bin")),
        ("/%E6%96%87%20(1)", Some("文 (1)")),
        ("/100%2525", Some("100%25")),
        ("/a b", Some("a b")),
        ("/", None),
    ] {
        let event = event("al", &format!("PUT {target} HTTP/1.1"), 201);
        assert_eq!(event.resource.name.as_deref(), name, "{target}");
        assert_eq!(event.attributes["request_uri"], target);
    }
}

#[test]
fn what_is_no_http_is_an_event() {
    let event = event("-", r"\x16\x03\x01garbage", 400);
    assert_eq!((event.action.as_str(), event.operation), ("-", Operation::Other));
    assert_eq!((event.resource.kind.as_deref(), event.resource.name), (Some("request"), None));
    assert_eq!(event.attributes["request"], "\u{16}\u{3}\u{1}garbage");
}

#[test]
fn nobody_is_named_where_nobody_is_known() {
    assert_eq!(event("-", "GET /x HTTP/1.1", 200).actor.kind, ActorKind::Unknown);
    assert_eq!(event("al", "GET /x HTTP/1.1", 200).actor.kind, ActorKind::User);
}

#[test]
fn npm_is_known_by_its_changes_and_hides_no_download() {
    for (request, operation) in [
        ("PUT /npm/-/user/org.couchdb.user:b HTTP/1.1", Operation::Login),
        ("DELETE /npm/-/user/token/x HTTP/1.1", Operation::Logout),
        ("PUT /npm/-/package/d/dist-tags/x HTTP/1.1", Operation::Update),
        ("PUT /npm/demo/-rev/5-67 HTTP/1.1", Operation::Update),
        ("DELETE /npm/demo/-rev/5-67 HTTP/1.1", Operation::Delete),
        ("POST /npm/-/npm/v1/tokens HTTP/1.1", Operation::Grant),
        ("GET /npm/demo HTTP/1.1", Operation::Download),
        ("GET /files/-/package/x HTTP/1.1", Operation::Download),
    ] {
        let event = REPO.event(line("al", request, 200, r#""-" "npm/11""#));
        assert_eq!(event.operation, operation, "{request}");
    }
    let failed = event("-", "PUT /npm/-/user/org.couchdb.user:b HTTP/1.1", 401);
    assert_eq!(
        (failed.operation, failed.class, failed.severity.level()),
        (Operation::Login, Class::Security, 3)
    );
}

#[test]
fn noise_is_skipped_but_refusals_are_not() {
    let outcome = |text: String| {
        let request = Request { body: text.into_bytes(), ..Request::default() };
        match REPO.parse_as(&request, &Options::default(), &mut 0).unwrap().remove(0) {
            Item::Event(event) => {
                format!("{} {:?}", event.operation.as_str(), event.outcome.kind)
            }
            Item::Skipped(why) => why.to_owned(),
            Item::Rejected(rejected) => rejected.reason,
        }
    };
    let of = |user: &str, request: &str, status| outcome(line(user, request, status, r#""-" "-""#));
    for (user, request, status) in [
        ("al", "HEAD /x HTTP/1.1", 200),
        ("al", "GET /x HTTP/1.1", 304),
        ("al", "GET /simple/demo/ HTTP/1.1", 200),
        ("al", "PROPFIND /x HTTP/1.1", 207),
        ("-", "PUT /x HTTP/1.1", 401),
    ] {
        assert_eq!(of(user, request, status), "noise", "{request} {status}");
    }
    assert_eq!(of("al", "HEAD /x HTTP/1.1", 403), format!("read {:?}", OutcomeKind::Failure));
    assert_eq!(of("al", "GET /simple/ HTTP/1.1", 401), format!("read {:?}", OutcomeKind::Failure));
    assert_eq!(of("al", "GET /x HTTP/1.1", 200), format!("download {:?}", OutcomeKind::Success));
}

#[test]
fn forwarded_addresses_are_taken_from_trusted_proxies() {
    let body = line("al", "GET /x HTTP/1.1", 200, r#""-" "curl" "198.51.100.7, 203.0.113.9" 0.05"#);
    let parse = |trusted: &[&str]| {
        let trusted_proxies = trusted.iter().map(|network| network.parse().unwrap()).collect();
        let options = Options { trusted_proxies, ..Options::default() };
        let request = Request { body: body.clone().into_bytes(), ..Request::default() };
        match REPO.parse_as(&request, &options, &mut 0).unwrap().remove(0) {
            Item::Event(event) => *event,
            other => panic!("{other:?}"),
        }
    };
    let own = parse(&[]);
    let ip = own.source_ip.unwrap();
    assert_eq!((ip.address.to_string().as_str(), ip.trust), ("192.0.2.1", Trust::Peer));
    assert_eq!(own.attributes["xff"], "198.51.100.7, 203.0.113.9");
    assert_eq!(own.attributes["more"], "0.05");
    assert!(!own.attributes.contains_key("remote_addr"));
    let claimed = parse(&["192.0.2.0/24"]);
    let ip = claimed.source_ip.unwrap();
    assert_eq!((ip.address.to_string().as_str(), ip.trust), ("203.0.113.9", Trust::Forwarded));
    assert_eq!(claimed.attributes["remote_addr"], "192.0.2.1");
    let socket =
        REPO.event(line("al", "GET /x HTTP/1.1", 200, r#""-" "-""#).replace("192.0.2.1", "unix:"));
    assert_eq!((socket.source_ip, socket.attributes["remote_addr"].as_str()), (None, "unix:"));
}

#[test]
fn bad_records_are_rejected_alone() {
    let good = line("al", "GET /x HTTP/1.1", 200, r#""-" "a""#);
    let large =
        line("al", "GET /x HTTP/1.1", 200, &format!("\"-\" \"{}\"", "a".repeat(256 * 1024)));
    for (bad, why) in [
        ("x", "does not begin with"),
        (
            "::1 - al [20/Nov/2026:18:04:45] \"GET / HTTP/1.1\" 200 1 \"-\" \"-\"",
            "does not begin with",
        ),
        ("::1 - al [20/Nov/2026:18:04:45 +0000] \"GET / HTTP/1.1", "ends before its agent"),
        (&good[..good.len() - 1], "ends before its agent"),
        (&good.replace(" 200 25", " OK 25"), "status is not a number"),
        (&good.replace(" 200 25", " 200"), "no status and bytes"),
        (&good.replace(" 200 25", " 200 25 7"), "more than status and bytes"),
        (&large, "event_too_large"),
    ] {
        let reasons = REPO.reasons(format!("{good}\n{bad}\r\n{good}\n"));
        assert_eq!(
            (reasons.len(), &*reasons[0], &*reasons[2]),
            (3, "event GET", "event GET"),
            "{bad:.80}"
        );
        assert!(reasons[1].contains(why), "{bad:.80}: {}", reasons[1]);
    }
}
