//! Slow and greedy clients: each is cut off in time, and others are served meanwhile.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use crate::harness::{Daybook, TOKEN, TestDir};

/// Reads until the server closes the connection; how long that took and what came.
fn until_closed(mut stream: std::net::TcpStream) -> (Duration, Vec<u8>) {
    let began = Instant::now();
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return (began.elapsed(), bytes),
            Ok(len) => bytes.extend_from_slice(&piece[..len]),
        }
    }
}

fn hurried() -> (TestDir, Daybook) {
    let test_dir = TestDir::with_settings(
        "[limits]\nheader_timeout_s = 1\nintake_timeout_s = 3\nrequest_timeout_s = 2",
    );
    let server = test_dir.serve();
    (test_dir, server)
}

#[test]
fn silent_and_dripping_clients_are_closed() {
    let (_test_dir, server) = hurried();
    // What it is, what is sent at first, and what is sent again and again.
    type Case = (&'static str, &'static [u8], Option<&'static [u8]>);
    let cases: [Case; 5] = [
        ("silent", b"", None),
        ("half a header", b"GET /healthz HTTP/1.1\r\nHost: x\r\n", None),
        ("a dripping header", b"GET /healthz HTTP/1.1\r\n", Some(b"X-A: b\r\n")),
        ("half of HTTP/2's preface", b"PRI", None),
        ("HTTP/2's preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", None),
    ];
    std::thread::scope(|scope| {
        for (what, first, drip) in cases {
            let mut stream = server.client().stream;
            scope.spawn(move || {
                stream.write_all(first).unwrap();
                if let Some(drip) = drip {
                    let mut writer = stream.try_clone().unwrap();
                    std::thread::spawn(move || {
                        while writer.write_all(drip).is_ok() {
                            std::thread::sleep(Duration::from_millis(200));
                        }
                    });
                }
                let (took, _) = until_closed(stream);
                assert!(took < Duration::from_secs(10), "{what}: open for {took:?}");
            });
        }
        // Meanwhile others are served.
        for _ in 0..20 {
            assert_eq!(server.request("GET", "/healthz", &[], b"").status, 200);
        }
    });
}

#[test]
fn a_body_that_does_not_come_is_given_up() {
    let (test_dir, server) = hurried();
    for (target, headers) in [
        ("/intake/own", format!("Authorization: Bearer {TOKEN}\r\n")),
        ("/v3/projects", String::new()),
    ] {
        let method = if target == "/v3/projects" { "GET" } else { "POST" };
        let mut stream = server.client().stream;
        stream
            .write_all(
                format!("{method} {target} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: 100\r\n\r\n{{")
                    .as_bytes(),
            )
            .unwrap();
        let (took, bytes) = until_closed(stream);
        assert!(took < Duration::from_secs(20), "{target}: open for {took:?}");
        assert!(bytes.starts_with(b"HTTP/1.1 408 "), "{target}: {}", crate::harness::text(&bytes));
    }
    assert_eq!(server.stop(), Some(0));
    assert_eq!(test_dir.events().len(), 0);
}

#[test]
fn connections_beyond_the_limit_are_closed_and_permits_come_back() {
    let test_dir =
        TestDir::with_settings("[limits]\nconnections_per_address_max = 8\nheader_timeout_s = 60");
    let server = test_dir.serve();
    let mut held: Vec<_> = (0..8).map(|_| server.client()).collect();
    for client in &mut held {
        assert_eq!(client.request("GET", "/healthz", &[], b"").unwrap().status, 200);
    }
    assert!(server.client().request("GET", "/healthz", &[], b"").is_err(), "the ninth is closed");
    held.pop();
    let deadline = Instant::now() + crate::harness::PATIENCE;
    while server.client().request("GET", "/healthz", &[], b"").is_err() {
        assert!(Instant::now() < deadline, "the test_dir does not come back");
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(held);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn requests_beyond_the_limit_get_503_and_come_back() {
    let test_dir = TestDir::with_settings("[limits]\nrequests_in_flight_max = 2");
    let server = test_dir.serve();
    // A request whose body is awaited has its permit. Nothing else may be sent before both have
    // theirs: it could take the second.
    let mut waiting: Vec<_> = (0..2)
        .map(|_| {
            let mut stream = server.client().stream;
            let head = format!("POST /intake/own HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 14\r\nExpect: 100-continue\r\n\r\n");
            stream.write_all(head.as_bytes()).unwrap();
            let mut go_on = [0; 25];
            stream.read_exact(&mut go_on).unwrap();
            assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
            stream
        })
        .collect();
    assert_eq!(server.request("GET", "/healthz", &[], b"").status, 200, "health has no limit");
    assert_eq!(server.signed_get("/api/v1/events").status, 200, "queries have their own");
    let refused = server.send("own", r#"{"action":"a"}"#);
    assert_eq!((refused.status, refused.code().as_str()), (503, "overloaded"));
    assert_eq!(refused.headers["retry-after"], "1");
    for stream in &mut waiting {
        stream.write_all(br#"{"action":"a"}"#).unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
    }
    assert_eq!(server.send("own", r#"{"action":"a"}"#).status, 200);
}

#[test]
fn the_events_of_a_body_count_against_the_memory_for_intake() {
    // 28 KB of which several MB are made.
    let body = r#"{"action":"a"}"#.repeat(2000);
    let bearer = format!("Bearer {TOKEN}");
    for (setting, expected) in [
        ("request_events_bytes_max = 100000", (413, "too_large")),
        ("intake_bytes_in_flight_max = 200000", (503, "overloaded")),
    ] {
        let test_dir = TestDir::with_settings(&format!("[limits]\n{setting}"));
        let server = test_dir.serve();
        let post = |body: &str| {
            let headers = [("Authorization", bearer.as_str())];
            server.request("POST", "/intake/own", &headers, body.as_bytes())
        };
        for _ in 0..3 {
            let refused = post(&body);
            assert_eq!((refused.status, refused.code().as_str()), expected, "{setting}");
            assert_eq!(post(r#"{"action":"a"}"#).status, 200, "the memory is given back");
        }
        assert_eq!(server.events(), 3, "nothing of a refused body is recorded");
    }
}

#[test]
fn every_answer_has_a_request_id() {
    let test_dir = TestDir::new();
    let server = test_dir.serve();
    let mut seen = std::collections::BTreeSet::new();
    for (method, target) in [
        ("GET", "/healthz"),
        ("HEAD", "/healthz"),
        ("GET", "/readyz"),
        ("GET", "/nowhere"),
        ("POST", "/intake/own"),
        ("GET", "/v3/projects"),
        ("POST", "/healthz"),
    ] {
        let answer = server.request(method, target, &[], b"");
        let id = answer.headers["x-request-id"].clone();
        assert!(
            id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')),
            "{method} {target}: {id}"
        );
        assert!(seen.insert(id), "ids are unique");
    }
}

#[test]
fn too_many_headers_are_answered_as_such() {
    let test_dir = TestDir::new();
    let server = test_dir.serve();
    for (count, expected) in [(60, 200), (70, 431), (300, 431)] {
        let names: Vec<String> = (0..count).map(|number| format!("X-{number}")).collect();
        let headers: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "x")).collect();
        assert_eq!(
            server.request("GET", "/healthz", &headers, b"").status,
            expected,
            "{count} headers"
        );
    }
}
