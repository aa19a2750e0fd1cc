//! Following the log: through reconnects nothing is missing and nothing comes twice, and nobody
//! sees what is not theirs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::{Value, json};

use crate::estate::{Estate, LATER};
use crate::harness::{Client, Daybook, PATIENCE, TOKEN, becomes_true};

/// A client that follows. HTTP/1.0, so that the body is all that comes until the end.
struct Follower(BufReader<TcpStream>);

/// What came.
#[derive(Debug)]
struct Update {
    id: u64,
    /// `None` when only the position was sent.
    event: Option<Value>,
}

impl Follower {
    fn new(server: &Daybook, query: &str, token: &str, last: Option<u64>) -> Follower {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let last = last.map_or(String::new(), |last| format!("Last-Event-ID: {last}\r\n"));
        let head =
            format!("GET /api/v1/tail?{query} HTTP/1.0\r\nX-Auth-Token: {token}\r\n{last}\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        assert!(line.contains(" 200 "), "{line}");
        while line != "\r\n" {
            line.clear();
            reader.read_line(&mut line).unwrap();
        }
        Follower(reader)
    }

    /// What comes next; `None` at the end.
    fn next(&mut self) -> Option<Update> {
        let (mut id, mut event) = (None, None);
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            match line.trim_end().split_once(": ") {
                Some(("id", text)) => id = Some(text.parse().unwrap()),
                Some(("data", text)) => event = Some(serde_json::from_str(text).unwrap()),
                _ if line == "\n" => {
                    if let Some(id) = id {
                        return Some(Update { id, event });
                    }
                }
                _ => {}
            }
        }
    }

    fn next_event(&mut self) -> Update {
        loop {
            let update = self.next().expect("the tail goes on");
            if update.event.is_some() {
                return update;
            }
        }
    }
}

fn numbered(numbers: std::ops::Range<u64>) -> String {
    let line = |number: u64| {
        json!({ "id": number.to_string(), "action": format!("n{}", number % 3) }).to_string()
    };
    numbers.map(line).collect::<Vec<_>>().join("\n")
}

/// Sends events, which must all be taken.
fn take(address: SocketAddr, source: &str, lines: &str) {
    let bearer = format!("Bearer {TOKEN}");
    let mut client = Client::connect(address).unwrap();
    let headers = [("Authorization", bearer.as_str())];
    let answer =
        client.request("POST", &format!("/intake/{source}"), &headers, lines.as_bytes()).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn through_reconnects_and_restarts_everything_comes_once_and_in_order() {
    const EVENTS: u64 = 6000;
    let estate = Estate::new();
    estate.lay_down_token("follower", "reader", "", LATER);
    let mut server = estate.serve();
    let mut came: Vec<(u64, String)> = Vec::new();
    let mut last = None;
    for part in 0..10 {
        let first = part * EVENTS / 10;
        // Follows while it is sent; goes away at some point, and comes back for the rest when more
        // was sent.
        let mut follower =
            Follower::new(&server, "from=0&-action=n0&service=platform", "follower", last);
        let address = server.address;
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for start in (first..first + EVENTS / 10).step_by(100) {
                    take(address, "platform", &numbered(start..start + 100));
                    take(address, "registry", &numbered(start..start + 10));
                    take(address, "rivals-platform", &numbered(start..start + 10));
                }
            });
            let until = (part * 400 + 137 * (part % 3)) as usize;
            while came.len() < until {
                let update = follower.next_event();
                last = Some(update.id);
                let event = update.event.unwrap();
                assert_eq!(event["index"], update.id);
                came.push((update.id, event["action"].as_str().unwrap().to_owned()));
            }
        });
        if part == 5 {
            server.kill_9();
            server = estate.serve();
        }
    }
    let mut follower =
        Follower::new(&server, "from=0&-action=n0&service=platform", "follower", last);
    while came.len() < (EVENTS as usize) * 2 / 3 {
        let update = follower.next_event();
        came.push((update.id, update.event.unwrap()["action"].as_str().unwrap().to_owned()));
    }
    assert!(came.windows(2).all(|pair| pair[0].0 < pair[1].0), "twice, or out of order");
    let expected: Vec<String> = (0..EVENTS)
        .filter(|number| number % 3 != 0)
        .map(|number| format!("n{}", number % 3))
        .collect();
    assert_eq!(came.into_iter().map(|(_, action)| action).collect::<Vec<_>>(), expected);
    // Where nothing matches, the position goes on.
    let before = follower_position(&mut follower);
    server.take("registry", &numbered(EVENTS..EVENTS + 5));
    becomes_true(|| follower_position(&mut follower) > before);
    assert_eq!(server.stop(), Some(0), "a tail does not hold up the end");
    assert!(follower.next().is_none(), "it ends in order");
}

fn follower_position(follower: &mut Follower) -> u64 {
    let update = follower.next().expect("the tail goes on");
    assert!(update.event.is_none(), "{update:?}");
    update.id
}

#[test]
fn it_begins_now_and_ends_with_the_right() {
    let estate = Estate::new();
    estate.lay_down_token("follower", "reader", "", LATER);
    let server = estate.serve();
    server.take("platform", &numbered(0..10));
    let mut follower = Follower::new(&server, "service=platform", "follower", None);
    server.take("rivals-platform", &numbered(0..1));
    server.take("platform", &numbered(10..11));
    assert_eq!(
        follower.next_event().event.unwrap()["number"],
        11,
        "what was there before is not sent"
    );
    let test_dir = &estate.test_dir;
    test_dir.access(&["user", "remove", "reader"]);
    server.take("platform", &numbered(11..12));
    let mut rest = Vec::new();
    follower.0.read_to_end(&mut rest).unwrap();
    let rest = String::from_utf8(rest).unwrap();
    // The change is in force within a tenth of a second; the event may have been sent before.
    becomes_true(|| {
        server.request("GET", "/api/v1/events", &[("X-Auth-Token", "follower")], b"").status == 401
    });
    assert!(rest.matches("data:").count() <= 1, "{rest}");
}

#[test]
fn beyond_the_limit_it_is_refused() {
    let estate = Estate::with_settings("[limits]\nlive_tails_max = 2\n");
    estate.lay_down_token("follower", "reader", "", LATER);
    let server = estate.serve();
    let first = Follower::new(&server, "", "follower", None);
    let _second = Follower::new(&server, "", "follower", None);
    let ask = || server.request("GET", "/api/v1/tail", &[("X-Auth-Token", "follower")], b"");
    let refused = ask();
    assert_eq!(
        (refused.status, refused.headers["retry-after"].as_str()),
        (503, "1"),
        "{}",
        refused.text()
    );
    assert_eq!(refused.code(), "overloaded");
    drop(first);
    // The permit is free again; a wrong question takes none.
    becomes_true(|| {
        server.request("GET", "/api/v1/tail?from=x", &[("X-Auth-Token", "follower")], b"").status
            == 400
    });
    let _third = Follower::new(&server, "", "follower", None);
}

#[test]
fn one_caller_leaves_tails_to_others() {
    let estate = Estate::with_settings("[limits]\nlive_tails_per_caller_max = 1\n");
    estate.lay_down_token("follower", "reader", "", LATER);
    estate.lay_down_token("other", "rival", "", LATER);
    let server = estate.serve();
    let first = Follower::new(&server, "", "follower", None);
    let status =
        |target: &str, token| server.request("GET", target, &[("X-Auth-Token", token)], b"").status;
    assert_eq!(status("/api/v1/tail", "follower"), 503);
    let _other = Follower::new(&server, "", "other", None);
    drop(first);
    // A wrong question takes no permit, but needs one to be free.
    becomes_true(|| status("/api/v1/tail?from=x", "follower") == 400);
}
