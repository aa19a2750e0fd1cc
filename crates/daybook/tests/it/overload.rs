//! Greedy, impatient and idle readers: what they started ends, what they hold is bounded, and
//! others are served meanwhile.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{
    ACCESS_KEY, Client, Daybook, OPERATOR_KEY, PATIENCE, PROJECT, SECRET, TestDir, becomes_true,
    daybook, now, sign, text,
};
use crate::sources::read_metrics;

/// Sends events with these names of resources and these descriptions.
fn record(server: &Daybook, events: impl Iterator<Item = (String, String)>) {
    let lines: Vec<String> = events
        .map(|(name, description)| {
            let resource = json!({ "type": "artifact", "name": name });
            json!({ "action": "pull", "resource": resource, "description": description })
                .to_string()
        })
        .collect();
    for body in lines.chunks(1000).map(|lines| lines.join("\n")) {
        let answer = server.send("own", body);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

/// A value of the metrics.
fn metric(server: &Daybook, name: &str) -> u64 {
    let metrics = read_metrics(&server.signed_by(OPERATOR_KEY, "GET", "/metrics", b""));
    metrics[&(name.to_owned(), String::new())].parse().unwrap()
}

/// Sends a signed request, of which nobody has read the answer yet.
fn begin(server: &Daybook, target: &str) -> Client {
    let mut client = server.client();
    client.stream.write_all(head(server, target).as_bytes()).unwrap();
    client
}

fn head(server: &Daybook, target: &str) -> String {
    let signed = sign(server.address, ACCESS_KEY, SECRET, "GET", target, b"", now());
    let lines: String = signed.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("GET {target} HTTP/1.1\r\nHost: {}\r\n{lines}\r\n", server.address)
}

/// All dimensions with many values.
const FACETS: &str = "/api/v1/facets?limit=1000&facet=resource.name&facet=actor.name&facet=action";

#[test]
fn abandoned_queries_end_and_full_permits_refuse_only_their_own_kind() {
    let test_dir = TestDir::with_settings(
        "[limits]\nflush_events = 2048\nexpensive_queries_max = 1\ncounting_bytes_max = 2000",
    );
    let server = test_dir.serve();
    record(&server, (0..12_000).map(|number| (format!("name {number}"), "x".to_owned())));
    // Clients that leave: their work ends by itself, and gives its permits back.
    becomes_true(|| {
        for _ in 0..4 {
            drop(begin(&server, FACETS));
        }
        metric(&server, "daybook_requests_abandoned_total") > 0
    });
    becomes_true(|| metric(&server, "daybook_queries_running") == 0);
    assert_eq!(metric(&server, "daybook_expensive_queries_running"), 0);
    // Clients that stay: one is served at a time, and the others know at once.
    becomes_true(|| {
        let mut clients: Vec<Client> = (0..6).map(|_| begin(&server, FACETS)).collect();
        assert_eq!(server.request("GET", "/healthz", &[], b"").status, 200);
        assert_eq!(server.send("own", r#"{"action":"a"}"#).status, 200);
        assert_eq!(server.signed_get("/api/v1/events?limit=1").status, 200);
        let mut answers: Vec<_> =
            clients.iter_mut().map(|client| client.read_answer(false).unwrap()).collect();
        answers.retain(|answer| answer.status != 200);
        for refused in &answers {
            assert_eq!((refused.status, refused.code().as_str()), (503, "overloaded"));
            assert_eq!(refused.headers["retry-after"], "1");
        }
        (1..6).contains(&answers.len())
    });
    // Exact, in memory for a thousand of the values.
    let answer = server.signed_get("/api/v1/facets?limit=2&facet=resource.name").json();
    let facet = &answer["facets"]["resource.name"];
    assert_eq!(facet["values"][0], json!({ "value": "name 0", "count": 1 }), "{answer}");
    assert_eq!(facet["others"], 12_000 - 2);
}

#[test]
fn requests_whose_body_does_not_come_leave_permits_to_others() {
    let test_dir = TestDir::with_settings("[limits]\nqueries_in_flight_max = 1");
    let server = test_dir.serve();
    let mut waiting = server.client();
    let head = "POST /v3/auth/tokens HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{";
    waiting.stream.write_all(head.as_bytes()).unwrap();
    becomes_true(|| {
        let refused = server.request("POST", "/v3/auth/tokens", &[], b"{}");
        let is_refused = refused.status == 503 && refused.headers["retry-after"] == "1";
        if !is_refused {
            // This request may have come first, and left no permit to the one that waits.
            waiting = server.client();
            waiting.stream.write_all(head.as_bytes()).unwrap();
        }
        is_refused
    });
    assert_eq!(server.request("GET", "/healthz", &[], b"").status, 200);
    assert_eq!(server.signed_get("/api/v1/events").status, 200);
    assert_eq!(server.send("own", r#"{"action":"a"}"#).status, 200);
    waiting.stream.write_all(b"nonsense").unwrap();
    assert_eq!(waiting.read_answer(false).unwrap().status, 400);
    let answer = server.request("POST", "/v3/auth/tokens", &[], b"{}");
    assert_ne!(answer.status, 503, "{}", answer.text());
}

#[test]
fn pages_of_large_events_end_early_and_have_every_event_once() {
    let bytes_max = 200_000;
    let test_dir = TestDir::with_settings(&format!(
        "[limits]\npage_bytes_max = {bytes_max}\nflush_events = 64"
    ));
    let server = test_dir.serve();
    // The second kind takes six times as many bytes as text.
    let description = |number: usize| match number % 50 {
        0 => "\u{1}".repeat(12_000),
        number => "x".repeat(number * 100),
    };
    record(&server, (0..200).map(|number| (format!("name {number}"), description(number))));
    let (mut seen, mut pages, mut from) = (BTreeMap::new(), 0, "offset=0".to_owned());
    loop {
        let answer = server.signed_get(&format!("/api/v1/events?{from}&limit=1000"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.body.len() < bytes_max + 10_000, "{} bytes", answer.body.len());
        let page = answer.json();
        assert_eq!(page["total"], 200);
        for event in page["events"].as_array().unwrap() {
            *seen.entry(event["resource"]["name"].to_string()).or_insert(0) += 1;
        }
        pages += 1;
        let Some(cursor) = page["next"].as_str() else { break };
        from = format!("cursor={cursor}");
    }
    assert!(pages > 3, "{pages} pages");
    assert_eq!((seen.len(), seen.values().max()), (200, Some(&1)));
    // The command follows, on a server and on a directory.
    assert_eq!(server.stop(), Some(0));
    let output = daybook()
        .args(["search", "action:pull", "--all", "-o", "ndjson", "--local", "--data-dir"])
        .arg(test_dir.data())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout).lines().count(), 200);
}

#[test]
fn answers_share_a_budget_of_memory() {
    let test_dir = TestDir::with_settings("[limits]\nanswers_bytes_max = 300000");
    let server = test_dir.serve();
    record(&server, (0..100).map(|number| (format!("name {number}"), "x".repeat(10_000))));
    // A page of Daybook's own has fewer rows.
    let page = server.signed_get("/api/v1/events?limit=100").json();
    let rows = page["events"].as_array().unwrap().len();
    assert!((1..100).contains(&rows) && page["next"].is_string(), "{rows} rows");
    // A vendor's has as many as requested, or none.
    let target =
        |limit| format!("/v2/{PROJECT}/instances/own/audit-logs?operation=pull&limit={limit}");
    let refused = server.signed_get(&target(100));
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (503, "overloaded"),
        "{}",
        refused.text()
    );
    assert_eq!(refused.headers["retry-after"], "1");
    let page: Value = server.signed_get(&target(10)).json();
    assert_eq!(page["audit_logs"].as_array().unwrap().len(), 10);
    assert_eq!(metric(&server, "daybook_answers_bytes"), 0, "all was given back");
}

#[test]
fn a_client_that_reads_nothing_is_closed() {
    let test_dir = TestDir::with_settings("[limits]\nwrite_timeout_s = 1");
    let server = test_dir.serve();
    record(&server, (0..100).map(|number| (format!("name {number}"), "x".repeat(40_000))));
    let target = "/api/v1/events?limit=1000";
    let whole = server.signed_get(target);
    assert!(whole.body.len() > 4_000_000);
    // More answers than sockets hold; nobody reads them.
    let answers = 16;
    let mut idle = server.client();
    let requests = head(&server, target).repeat(answers);
    idle.stream.write_all(requests.as_bytes()).unwrap();
    becomes_true(|| metric(&server, "daybook_answers_bytes") > 0);
    becomes_true(|| metric(&server, "daybook_answers_bytes") == 0);
    idle.stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut read, mut piece) = (0, vec![0; 1 << 20]);
    while let Ok(len @ 1..) = idle.stream.read(&mut piece) {
        read += len;
    }
    assert!(read < answers * whole.body.len(), "{read} bytes were sent");
    // A client that reads slowly gets everything.
    let mut slow = begin(&server, target);
    let mut bytes = Vec::new();
    while bytes.len() < whole.body.len() {
        std::thread::sleep(Duration::from_millis(5));
        let len = slow.stream.read(&mut piece[..256 << 10]).unwrap();
        assert!(len > 0, "it was closed after {} bytes", bytes.len());
        bytes.extend_from_slice(&piece[..len]);
    }
    assert_eq!(server.send("own", r#"{"action":"a"}"#).status, 200);
}
