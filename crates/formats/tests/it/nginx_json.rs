//! Every captured access log line, with the expected event beside it, and the meaning of requests.

use event::{ActorKind, Class, Event, Operation, OutcomeKind, Resolution, Service, Trust};
use formats::{EnvelopeError, Item, Options};

use crate::golden::{Request, Source, requests};

const REPO: Source = Source { format: "nginx-json", service: Service::Artifact, name: "repo" };

const CAPTURES: [&str; 2] = ["access-rotated.json", "access.json"];

#[test]
fn every_capture_gives_the_events_beside_it() {
    for name in CAPTURES {
        let path = REPO.capture(name);
        REPO.check(&path, &requests(&path));
    }
}

fn captured() -> Vec<Event> {
    CAPTURES
        .iter()
        .flat_map(|name| REPO.events(std::fs::read(REPO.capture(name)).unwrap()))
        .collect()
}

#[test]
fn every_captured_line_is_one_event_with_its_bytes() {
    for name in CAPTURES {
        let content = std::fs::read(REPO.capture(name)).unwrap();
        let raws: Vec<Vec<u8>> = REPO.events(&content).into_iter().map(|event| event.raw).collect();
        let lines: Vec<&[u8]> =
            content.strip_suffix(b"\n").unwrap().split(|&byte| byte == b'\n').collect();
        assert_eq!(raws, lines);
    }
}

/// A line with the members that every line has, and `more`.
fn line(method: &str, uri: &str, status: u32, more: &str) -> String {
    format!(
        r#"{{"msec":1795197885.965,"method":"{method}","uri":"{uri}","status":{status}{more}}}"#
    )
}

#[test]
fn methods_and_states_mean_operations() {
    let (user, npm) = (r#","remote_user":"al""#, r#","format":"npm","auth_scheme":"Bearer""#);
    for (method, uri, status, more, operation, outcome, severity) in [
        ("PUT", "/a/b.jar", 201, user, Operation::Upload, OutcomeKind::Success, 1),
        ("POST", "/", 200, user, Operation::Upload, OutcomeKind::Success, 1),
        ("PUT", "/a/b.jar", 204, user, Operation::Upload, OutcomeKind::Success, 1),
        ("PUT", "/a/b.jar", 413, user, Operation::Upload, OutcomeKind::Failure, 2),
        ("PUT", "/a/b.jar", 403, user, Operation::Upload, OutcomeKind::Failure, 2),
        ("PUT", "/a/b.jar", 401, user, Operation::Upload, OutcomeKind::Failure, 3),
        ("PUT", "/a/b.jar", 307, user, Operation::Upload, OutcomeKind::Unknown, 1),
        ("GET", "/a/b.jar", 200, "", Operation::Download, OutcomeKind::Success, 1),
        ("GET", "/a/b.jar", 206, "", Operation::Download, OutcomeKind::Success, 1),
        ("GET", "/a/b.jar", 404, "", Operation::Download, OutcomeKind::Failure, 2),
        ("GET", "/a/b.jar", 502, "", Operation::Download, OutcomeKind::Failure, 3),
        ("GET", "/a/b.jar", 304, "", Operation::Read, OutcomeKind::Success, 1),
        ("GET", "/a/b.jar", 302, "", Operation::Read, OutcomeKind::Success, 1),
        ("GET", "/a/b.jar", 401, "", Operation::Read, OutcomeKind::Failure, 1),
        ("GET", "/a/b.jar", 401, user, Operation::Download, OutcomeKind::Failure, 3),
        ("GET", "/simple/demo/", 200, user, Operation::Read, OutcomeKind::Success, 1),
        ("GET", "/npm/-/ping", 200, "", Operation::Read, OutcomeKind::Success, 1),
        ("HEAD", "/a/b.jar", 200, user, Operation::Read, OutcomeKind::Success, 1),
        ("DELETE", "/a/b.jar", 204, user, Operation::Delete, OutcomeKind::Success, 2),
        ("DELETE", "/a/b.jar", 403, user, Operation::Delete, OutcomeKind::Failure, 3),
        ("DELETE", "/a/b.jar", 404, user, Operation::Delete, OutcomeKind::Failure, 2),
        ("MKCOL", "/a/", 201, user, Operation::Create, OutcomeKind::Success, 1),
        ("", "", 400, "", Operation::Other, OutcomeKind::Failure, 2),
        ("GET", "/npm/demo", 200, npm, Operation::Read, OutcomeKind::Success, 1),
        (
            "GET",
            "/npm/demo/-/demo-1.0.0.tgz",
            200,
            npm,
            Operation::Download,
            OutcomeKind::Success,
            1,
        ),
        ("PUT", "/npm/demo", 201, npm, Operation::Upload, OutcomeKind::Success, 1),
        ("PUT", "/npm/demo/-rev/5-67", 201, npm, Operation::Update, OutcomeKind::Success, 1),
        ("DELETE", "/npm/demo/-rev/5-67", 201, npm, Operation::Delete, OutcomeKind::Success, 2),
        ("DELETE", "/npm/d/-/d-1.tgz/-rev/5", 201, npm, Operation::Delete, OutcomeKind::Success, 2),
        (
            "PUT",
            "/npm/-/user/org.couchdb.user:b",
            201,
            npm,
            Operation::Login,
            OutcomeKind::Success,
            1,
        ),
        (
            "PUT",
            "/npm/-/package/d/dist-tags/x",
            201,
            npm,
            Operation::Update,
            OutcomeKind::Success,
            1,
        ),
        (
            "POST",
            "/npm/-/npm/v1/security/audits",
            200,
            npm,
            Operation::Other,
            OutcomeKind::Success,
            1,
        ),
        ("DELETE", "/files/-/x", 204, user, Operation::Delete, OutcomeKind::Success, 2),
    ] {
        let event = REPO.event(line(method, uri, status, more));
        assert_eq!(
            (event.operation, event.outcome.kind, event.severity.level(), event.outcome.code),
            (operation, outcome, severity, Some(status)),
            "{method} {uri} {status}"
        );
    }
}

#[test]
fn reasons_say_overwritten_or_failed() {
    let reason = |method, status| REPO.event(line(method, "/x", status, "")).outcome.reason;
    assert_eq!(reason("PUT", 204).as_deref(), Some("overwrite"));
    assert_eq!(reason("PUT", 403).as_deref(), Some("HTTP 403"));
    assert_eq!(reason("PUT", 201), None);
    assert_eq!(reason("DELETE", 204), None);
}

#[test]
fn refusals_are_of_security_but_challenges_are_not() {
    let class = |status, more| REPO.event(line("PUT", "/x", status, more)).class;
    assert_eq!(class(401, r#","remote_user":"al""#), Class::Security);
    assert_eq!(class(401, r#","auth_scheme":"Bearer""#), Class::Security);
    assert_eq!(class(403, ""), Class::Security);
    assert_eq!(class(401, r#","remote_user":"","auth_scheme":"""#), Class::Operation);
    assert_eq!(class(500, ""), Class::Operation);
}

#[test]
fn names_are_decoded_once() {
    for (more, name) in [
        (r#","uri":"/文/100%25","request_uri":"/%E6%96%87/100%2525""#, "文/100%25"),
        (r#","uri":"","request_uri":"/%E6%96%87/100%2525?x=%20""#, "文/100%25"),
        (r#","request_uri":"/a%2Fb""#, "a/b"),
    ] {
        let event = REPO.event(format!(r#"{{"msec":1,"method":"PUT","status":201{more}}}"#));
        assert_eq!(event.resource.name.as_deref(), Some(name));
    }
    let unpublished = REPO.event(line("DELETE", "/npm/demo/-rev/5-67", 201, r#","format":"npm""#));
    assert_eq!(unpublished.resource.name.as_deref(), Some("npm/demo"));
    assert_eq!(REPO.event(line("POST", "/", 200, "")).resource.name, None);
}

#[test]
fn the_time_is_when_the_request_began() {
    let event = REPO.event(line("GET", "/x", 200, r#","request_time":0.966"#));
    assert_eq!(event.occurred_at.to_string(), "2026-11-20T18:04:44.999000000Z");
    assert_eq!(event.resolution, Resolution::Millisecond);
    assert_eq!(event.attributes["request_time"], "0.966");
    let event = REPO.event(r#"{"time":"2026-11-21T02:04:45+08:00","method":"GET","status":"200"}"#);
    assert_eq!(event.occurred_at.to_string(), "2026-11-20T18:04:45.000000000Z");
    assert_eq!(event.resolution, Resolution::Second);
}

#[test]
fn actors_are_people_somebody_and_nobody() {
    let actor = |more| REPO.event(line("GET", "/x", 200, more)).actor;
    let named = actor(r#","remote_user":"quote\"d","auth_scheme":"Basic""#);
    assert_eq!((named.name.as_deref(), named.kind), (Some("quote\"d"), ActorKind::User));
    assert_eq!(actor(r#","remote_user":"""#).kind, ActorKind::Anonymous);
    assert_eq!(actor(r#","remote_user":"-""#).kind, ActorKind::Anonymous);
    assert_eq!(actor(r#","remote_user":"","auth_scheme":"Bearer""#).kind, ActorKind::Unknown);
}

#[test]
fn an_address_from_a_header_is_a_claim() {
    let ip = |more| REPO.event(line("GET", "/x", 200, more)).source_ip;
    assert_eq!(ip(r#","remote_addr":"::1","remote_port":"80""#).unwrap().trust, Trust::Peer);
    assert_eq!(ip(r#","remote_addr":"::1""#).unwrap().trust, Trust::Peer);
    assert_eq!(ip(r#","remote_addr":"::1","remote_port":"""#).unwrap().trust, Trust::Forwarded);
    assert_eq!(ip(r#","remote_addr":"unix:""#), None);
}

#[test]
fn bytes_that_are_no_utf8_do_not_hide_a_download() {
    let event =
        captured().into_iter().find(|event| event.attributes.contains_key("invalid_utf8")).unwrap();
    assert_eq!(event.operation, Operation::Download);
    assert_eq!(event.user_agent.as_deref(), Some("bad utf8 \u{fffd}\u{fffd} end"));
    assert!(std::str::from_utf8(&event.raw).is_err());
}

#[test]
fn keys_are_request_ids() {
    let mut keys: Vec<_> = captured().into_iter().map(|event| event.origin.key.unwrap()).collect();
    let lines = keys.len();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), lines);
    assert_eq!(REPO.event(line("GET", "/x", 200, "")).origin.key, None);
}

#[test]
fn bad_records_are_rejected_alone() {
    let good = line("GET", "/x", 200, "");
    let deep = format!(r#"{{"a":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    let large = format!(r#"{{"a":"{}"}}"#, "y".repeat(256 * 1024));
    for (bad, why) in [
        (&good[..good.len() - 1], "not a JSON log line: EOF"),
        (" ", "not a JSON log line: EOF"),
        ("\u{0}\u{1}", "not a JSON log line"),
        ("[]", "not a JSON log line: invalid type"),
        ("7", "not a JSON log line: invalid type"),
        (r#"<174>Nov 20 18:04:45 vm nginx: {"status":200}"#, "not a JSON log line"),
        (r#"{"msec":1,"method":"GET","status":200}x"#, "not a JSON log line: trailing"),
        (r#"{"msec":1,"method":"GET","status":200,"status":500}"#, "appears twice"),
        (r#"{"msec":1,"method":"GET","status":"ok"}"#, "status is not a number"),
        (r#"{"msec":1,"method":"GET","status":-1}"#, "status is not a number"),
        (r#"{"msec":1,"method":"GET"}"#, "the line has no status"),
        (r#"{"msec":1,"status":200}"#, "the line has no method"),
        (r#"{"msec":1,"method":["GET"],"status":200}"#, "\"method\" must be a text"),
        (r#"{"msec":true,"method":"GET","status":200}"#, "msec is not a number of seconds"),
        (
            r#"{"msec":1,"request_time":"x","method":"GET","status":200}"#,
            "request_time is not a number",
        ),
        (r#"{"time":"soon","method":"GET","status":200}"#, "time: \"soon\""),
        (r#"{"method":"GET","status":200}"#, "neither msec nor time"),
        (
            r#"{"msec":1,"method":"\ud800","status":200}"#,
            "not a JSON log line: unexpected end of hex escape",
        ),
        (&deep, "\"a\" must be a text"),
        (&large, "event_too_large"),
    ] {
        let body = format!("{good}\r\n{bad}\n\n{good}");
        let parsed = REPO.parse(body.as_bytes(), &mut 0).unwrap();
        let [Item::Event(first), Item::Rejected(rejected), Item::Event(last)] = &parsed[..] else {
            panic!("{bad:.80}: {parsed:?}");
        };
        assert!(rejected.reason.contains(why), "{bad:.80}: {}", rejected.reason);
        assert_eq!(rejected.raw, bad.as_bytes());
        assert_eq!(
            (&first.raw, &last.raw),
            (&good.clone().into_bytes(), &good.clone().into_bytes())
        );
    }
}

#[test]
fn too_many_lines_are_refused_and_none_are_nothing() {
    assert!(matches!(
        REPO.parse("{}\n".repeat(10_001).as_bytes(), &mut 0),
        Err(EnvelopeError::TooLarge(_))
    ));
    assert_eq!(REPO.reasons("{}\n".repeat(10_000)).len(), 10_000);
    assert_eq!(REPO.parse(b"", &mut 0), Ok(Vec::new()));
    assert_eq!(REPO.parse(b"\n\r\n", &mut 0), Ok(Vec::new()));
}

#[test]
fn forwarded_addresses_are_taken_from_trusted_proxies() {
    let body = line(
        "GET",
        "/x",
        200,
        r#","remote_addr":"10.0.0.1","xff":"198.51.100.7, 203.0.113.9, 10.2.0.1""#,
    );
    let parse = |trusted: &[&str]| {
        let trusted_proxies = trusted.iter().map(|network| network.parse().unwrap()).collect();
        let options = Options { trusted_proxies, ..Options::default() };
        let request = Request { body: body.clone().into_bytes(), ..Request::default() };
        match REPO.parse_as(&request, &options, &mut 0).unwrap().remove(0) {
            Item::Event(event) => *event,
            other => panic!("{other:?}"),
        }
    };
    for (trusted, address, trust, preserved) in [
        (&[][..], "10.0.0.1", Trust::Peer, None),
        (&["192.0.2.0/24"], "10.0.0.1", Trust::Peer, None),
        (&["10.0.0.1/32"], "10.2.0.1", Trust::Forwarded, Some("10.0.0.1")),
        (&["10.0.0.0/8"], "203.0.113.9", Trust::Forwarded, Some("10.0.0.1")),
        (&["10.0.0.0/8", "203.0.113.9/32"], "198.51.100.7", Trust::Forwarded, Some("10.0.0.1")),
    ] {
        let event = parse(trusted);
        let ip = event.source_ip.unwrap();
        assert_eq!((ip.address.to_string().as_str(), ip.trust), (address, trust), "{trusted:?}");
        assert_eq!(
            event.attributes.get("remote_addr").map(String::as_str),
            preserved,
            "{trusted:?}"
        );
        assert_eq!(event.attributes["xff"], "198.51.100.7, 203.0.113.9, 10.2.0.1");
    }
}

/// `real_ip_header` already replaced the peer's address by the client's: there is no header left to
/// trust.
#[test]
fn an_address_that_nginx_replaced_is_not_replaced_again() {
    let body = line(
        "GET",
        "/x",
        200,
        r#","remote_addr":"10.0.0.9","remote_port":"","xff":"198.51.100.7""#,
    );
    let options =
        Options { trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()], ..Options::default() };
    let request = Request { body: body.into_bytes(), ..Request::default() };
    let Item::Event(event) = REPO.parse_as(&request, &options, &mut 0).unwrap().remove(0) else {
        panic!("an event");
    };
    let ip = event.source_ip.unwrap();
    assert_eq!((ip.address.to_string().as_str(), ip.trust), ("10.0.0.9", Trust::Forwarded));
}

#[test]
fn a_refused_npm_login_is_no_first_step() {
    let npm = r#","format":"npm","remote_user":"","auth_scheme":"""#;
    let event = REPO.event(line("PUT", "/npm/-/user/org.couchdb.user:b", 401, npm));
    assert_eq!(
        (event.operation, event.class, event.severity.level()),
        (Operation::Login, Class::Security, 3)
    );
    for (method, uri, operation) in [
        ("POST", "/npm/-/npm/v1/tokens", Operation::Grant),
        ("DELETE", "/npm/-/npm/v1/tokens/token/x", Operation::Grant),
        ("POST", "/npm/-/npm/v1/user", Operation::Update),
        ("POST", "/npm/-/verdaccio/sec/login", Operation::Login),
    ] {
        let event = REPO.event(line(method, uri, 200, r#","format":"npm""#));
        let described = (event.operation, event.class, event.resource.kind.as_deref());
        assert_eq!(described, (operation, Class::Security, Some("user")), "{uri}");
    }
}

#[test]
fn noise_is_skipped_but_refusals_are_not() {
    let skipped = |text: String| {
        let request = Request { body: text.into_bytes(), ..Request::default() };
        let items = REPO.parse_as(&request, &Options::default(), &mut 0).unwrap();
        matches!(items[..], [Item::Skipped("noise")])
    };
    let user = r#","remote_user":"al""#;
    assert!(skipped(line("HEAD", "/x", 200, user)));
    assert!(skipped(line("GET", "/simple/", 200, user)));
    assert!(skipped(line("GET", "/x", 401, "")));
    assert!(!skipped(line("HEAD", "/x", 403, user)));
    assert!(!skipped(line("GET", "/x", 200, user)));
}
