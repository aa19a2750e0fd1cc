//! Verdaccio's log: the lines of one request are one event.

use event::{ActorKind, Class, Event, EventId, Operation, OutcomeKind, Service, Trail, Trust};
use formats::{Context, Continuation, FilePosition, Item, Options};

use crate::golden::{RECEIVED_AT, Source, everything, requests};

const NPM: Source = Source { format: "verdaccio-log", service: Service::Artifact, name: "npm" };

#[test]
fn every_capture_gives_the_events_beside_it() {
    let path = NPM.capture("verdaccio.log");
    NPM.check(&path, &requests(&path));
}

fn start(ms: u32, url: &str, agent: &str) -> String {
    format!(
        r#"{{"level":30,"time":17951978850{ms:02},"sub":"in","req":{{"method":"GET","url":"{url}","headers":{{"user-agent":"{agent}","x-request-id":"r-{agent}"}},"remoteAddress":"127.0.0.1"}},"ip":"127.0.0.1"}}"#
    )
}

fn answer(ms: u32, url: &str, user: &str, status: u32, sent: u32) -> String {
    let user = if user.is_empty() { "null".to_owned() } else { format!("\"{user}\"") };
    format!(
        r#"{{"level":25,"time":17951978850{ms:02},"sub":"in","request":{{"method":"GET","url":"{url}"}},"user":{user},"remoteIP":"127.0.0.1","status":{status},"bytes":{{"in":0,"out":{sent}}}}}"#
    )
}

const TGZ: &str = "/demo/-/demo-1.0.0.tgz";

fn described(events: &[Event]) -> Vec<(Option<&str>, Option<u32>, Option<&str>)> {
    events
        .iter()
        .map(|event| (event.actor.name.as_deref(), event.outcome.code, event.user_agent.as_deref()))
        .collect()
}

#[test]
fn three_lines_of_a_request_are_one_event() {
    let last = answer(30, TGZ, "al", 200, 9);
    let event =
        NPM.event([start(10, TGZ, "npm"), answer(11, TGZ, "", 200, 0), last.clone()].join("\n"));
    assert_eq!(
        (event.operation, event.resource.name.as_deref()),
        (Operation::Download, Some(&TGZ[1..]))
    );
    assert_eq!((event.actor.name.as_deref(), event.outcome.code), (Some("al"), Some(200)));
    assert_eq!(
        (event.user_agent.as_deref(), event.request_id.as_deref()),
        (Some("npm"), Some("r-npm"))
    );
    assert_eq!(event.occurred_at.to_string(), "2026-11-20T18:04:45.010000000Z");
    assert_eq!(event.attributes["ended_at"], "2026-11-20T18:04:45.030000000Z");
    assert_eq!(event.raw, last.into_bytes());
}

#[test]
fn a_quick_answer_is_logged_twice_and_is_one_event() {
    let body = [start(10, TGZ, "npm"), answer(11, TGZ, "", 404, 43), answer(12, TGZ, "", 404, 43)]
        .join("\n");
    assert_eq!(described(&NPM.events(&body)), [(None, Some(404), Some("npm"))]);
    let empty = [answer(11, TGZ, "", 200, 0), answer(12, TGZ, "", 200, 0)].join("\n");
    assert_eq!(NPM.events(&empty).len(), 1);
}

#[test]
fn a_request_without_a_last_line_is_not_lost() {
    let body = [start(10, TGZ, "npm"), answer(11, TGZ, "", 200, 0)].join("\n");
    let event = NPM.event(&body);
    assert_eq!(
        (event.operation, event.outcome.kind, event.outcome.code),
        (Operation::Download, OutcomeKind::Unknown, None)
    );
    assert_eq!(NPM.event(answer(11, TGZ, "al", 200, 9)).actor.name.as_deref(), Some("al"));
}

#[test]
fn concurrent_requests_are_distinguished() {
    let other = "/other/-/other-1.0.0.tgz";
    let body = [
        start(10, TGZ, "a"),
        start(11, other, "b"),
        answer(12, TGZ, "", 200, 0),
        answer(13, other, "", 200, 0),
        answer(14, other, "bo", 403, 5),
        answer(15, TGZ, "al", 200, 9),
    ];
    assert_eq!(
        described(&NPM.events(body.join("\n"))),
        [(Some("bo"), Some(403), Some("b")), (Some("al"), Some(200), Some("a"))]
    );
    let same = [
        start(10, TGZ, "a"),
        start(11, TGZ, "a"),
        answer(12, TGZ, "", 200, 0),
        answer(13, TGZ, "", 200, 0),
        answer(14, TGZ, "al", 200, 9),
        answer(15, TGZ, "bo", 200, 9),
    ];
    assert_eq!(
        described(&NPM.events(same.join("\n"))),
        [(Some("al"), Some(200), Some("a")), (Some("bo"), Some(200), Some("a"))]
    );
}

#[test]
fn one_request_after_another_is_two_events() {
    let body = [
        start(10, TGZ, "a"),
        answer(11, TGZ, "", 200, 0),
        start(20, TGZ, "b"),
        answer(21, TGZ, "", 200, 0),
        answer(22, TGZ, "al", 200, 9),
    ];
    assert_eq!(
        described(&NPM.events(body.join("\n"))),
        [(None, None, Some("a")), (Some("al"), Some(200), Some("b"))]
    );
}

#[test]
fn logins_have_their_results() {
    let put = |text: String| text.replace("\"GET\"", "\"PUT\"");
    let url = "/-/user/org.couchdb.user:al";
    for (status, severity) in [(201, 1), (401, 3)] {
        let body = [
            put(start(10, url, "npm")),
            put(answer(11, url, "", 200, 0)),
            put(answer(12, url, "", status, 9)),
        ];
        let event = NPM.event(body.join("\n"));
        let described = (event.operation, event.class, event.severity.level());
        assert_eq!(described, (Operation::Login, Class::Security, severity));
    }
}

#[test]
fn addresses_are_the_peers_or_a_proxys_word() {
    let ip = |remote: &str| {
        let body = [
            start(10, TGZ, "a"),
            answer(11, TGZ, "", 404, 4).replace(r#""remoteIP":"127.0.0.1""#, remote),
        ];
        let ip = NPM.event(body.join("\n")).source_ip.unwrap();
        (ip.address.to_string(), ip.trust)
    };
    assert_eq!(ip(r#""remoteIP":"127.0.0.1""#), ("127.0.0.1".to_owned(), Trust::Peer));
    assert_eq!(ip(r#""remoteIP":"198.51.100.7""#), ("198.51.100.7".to_owned(), Trust::Forwarded));
    assert_eq!(
        ip(r#""remoteIP":"198.51.100.7 via ::ffff:127.0.0.1""#),
        ("127.0.0.1".to_owned(), Trust::Peer)
    );
}

#[test]
fn credentials_without_a_user_are_somebodys() {
    let signed = start(10, TGZ, "a")
        .replace(r#""user-agent""#, r#""authorization":"<Classified>","user-agent""#);
    let event = NPM.event([signed, answer(11, TGZ, "", 401, 4)].join("\n"));
    assert_eq!((event.actor.kind, event.class), (ActorKind::Unknown, Class::Security));
}

#[test]
fn other_lines_are_skipped_or_rejected() {
    let good = answer(11, TGZ, "al", 200, 9);
    let large = format!(r#"{{"x":"{}"}}"#, "y".repeat(256 * 1024));
    for (other, why) in [
        (r#"{"level":30,"msg":"config file"}"#, "skipped: a message of the program's own"),
        (
            r#"{"level":35,"sub":"out","request":{"method":"GET","url":"https://r/x"},"status":200,"msg":""}"#,
            "skipped: a message of the program's own",
        ),
        ("hello", "not a JSON log line"),
        (&good.replace("1795197885011", "true"), "time is not a number of milliseconds"),
        (&good.replace("\"time\"", "\"thyme\""), "the line has no time"),
        (&large, "event_too_large"),
    ] {
        let reasons =
            NPM.reasons(format!("{good}\n{other}\n{}", answer(12, "/x/-/x-1.tgz", "al", 200, 9)));
        assert_eq!((reasons.len(), &*reasons[0], &*reasons[2]), (3, "event GET", "event GET"));
        assert!(reasons[1].contains(why), "{other:.80}: {}", reasons[1]);
    }
}

#[test]
fn noise_is_skipped() {
    let mut ids = 0;
    let body = [
        start(10, "/demo", "npm"),
        answer(11, "/demo", "", 200, 0),
        answer(12, "/demo", "al", 200, 662),
    ];
    let request =
        crate::golden::Request { body: body.join("\n").into_bytes(), ..Default::default() };
    let items = NPM.parse_as(&request, &Options::default(), &mut ids).unwrap();
    assert!(items.iter().all(|item| matches!(item, Item::Skipped(_))), "{items:?}");
}

#[test]
fn a_file_is_not_cut_between_lines_of_a_request() {
    let format = NPM.format();
    let other = answer(10, "/x/-/x-1.tgz", "al", 200, 9) + "\n";
    let done = format!("{other}{other}");
    let first = start(20, TGZ, "a") + "\n";
    let second = answer(21, TGZ, "", 200, 0) + "\n";
    let third = answer(22, TGZ, "al", 200, 9) + "\n";
    for (piece, expected) in [
        (format!("{done}{first}"), done.len()),
        (format!("{done}{first}{second}"), done.len()),
        (
            format!("{done}{first}{second}{third}"),
            done.len() + first.len() + second.len() + third.len(),
        ),
        (
            format!("{done}{first}{second}{third}{{\"half"),
            done.len() + first.len() + second.len() + third.len(),
        ),
        (format!("{first}{done}{second}"), 0),
    ] {
        assert_eq!(
            format.complete_bytes(piece.as_bytes(), Continuation::More),
            expected,
            "{piece}"
        );
        let lines = piece.rfind('\n').unwrap() + 1;
        assert_eq!(format.complete_bytes(piece.as_bytes(), Continuation::Quiet), lines);
        assert_eq!(format.complete_bytes(piece.as_bytes(), Continuation::Nothing), piece.len());
    }
    // A line that never comes is not waited for.
    let late =
        (answer(22, "/y/-/y-1.tgz", "al", 200, 9) + "\n").replace("17951978850", "17951979850");
    let piece = format!("{first}{second}{late}{late}");
    assert_eq!(format.complete_bytes(piece.as_bytes(), Continuation::More), piece.len());
    let much = format!("{first}{}", "{\"msg\":\"x\"}\n".repeat(30_000));
    assert_eq!(format.complete_bytes(much.as_bytes(), Continuation::More), much.len());
}

#[test]
fn the_position_of_the_last_line_is_the_key() {
    let trail = Trail::new(Service::Artifact, "acme", "p1", "npm").unwrap();
    let options = everything();
    let mut new_id = || EventId::v7(RECEIVED_AT, [0; 10]);
    let mut context = Context::new("npm", &trail, RECEIVED_AT, &mut new_id, &options);
    context.position = Some(FilePosition { file: "f1", offset: 1000 });
    let early = answer(11, TGZ, "", 200, 0) + "\n";
    let body = format!("{early}{}\n", answer(12, TGZ, "al", 200, 9));
    let items = NPM.format().parse(body.as_bytes(), &mut context).unwrap();
    let keys: Vec<_> = items
        .iter()
        .filter_map(|item| match item {
            Item::Event(event) => event.origin.key.clone(),
            _ => None,
        })
        .collect();
    assert_eq!(keys, [format!("f1:{}", 1000 + early.len())]);
}
