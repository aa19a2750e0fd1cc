//! Attacks on the server's memory: whatever many clients ask or send at once, the server stays
//! below [`CEILING_KIB`] and goes on answering others.

use std::io::Write as _;
use std::net::SocketAddr;

use crate::harness::{ACCESS_KEY, Answer, Client, Daybook, SECRET, TOKEN, TestDir, now, sign};

/// A small virtual machine.
const CEILING_KIB: u64 = 512 << 10;
/// Distinct actors and resources, whose facets are the most expensive ones.
const DISTINCT: usize = 60_000;
const LARGE_EVENTS: usize = 240;
const LARGE_BYTES: usize = 120 << 10;

/// A server with many distinct values and many large events, in a trail each.
fn server() -> (TestDir, Daybook) {
    let test_dir = TestDir::new();
    let server = test_dir.serve();
    for first in (0..DISTINCT).step_by(5_000) {
        let lines: String = (first..first + 5_000)
            .map(|n| {
                format!(
                    "{{\"action\":\"a{n}\",\"actor\":\"somebody-with-a-name-{n}\",\
                     \"resource\":\"a/resource/with/a/longer/name/{n}\"}}\n"
                )
            })
            .collect();
        assert_eq!(server.send("own", lines).status, 200);
    }
    for first in (0..LARGE_EVENTS).step_by(40) {
        let lines: String = (first..first + 40)
            .map(|n| {
                let text = "large ".repeat(LARGE_BYTES / 6);
                format!("{{\"action\":\"large\",\"id\":\"l{n}\",\"description\":\"{text}\"}}\n")
            })
            .collect();
        assert_eq!(server.send("own", lines).status, 200);
    }
    (test_dir, server)
}

/// A signed request's bytes.
fn signed_request(address: SocketAddr, target: &str) -> Vec<u8> {
    let mut request = format!("GET {target} HTTP/1.1\r\nHost: {address}\r\n");
    for (name, value) in sign(address, ACCESS_KEY, SECRET, "GET", target, b"", now()) {
        if !name.eq_ignore_ascii_case("host") {
            request += &format!("{name}: {value}\r\n");
        }
    }
    (request + "\r\n").into_bytes()
}

/// Many requests of one kind at once, each on a connection of its own; the answers that came.
fn at_once(server: &Daybook, count: usize, target: &str) -> Vec<Answer> {
    let address = server.address;
    let one = || {
        let mut client = Client::connect(address).unwrap();
        client.stream.write_all(&signed_request(address, target)).unwrap();
        client.read_answer(false)
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..count).map(|_| scope.spawn(one)).collect();
        threads.into_iter().filter_map(|thread| thread.join().unwrap().ok()).collect()
    })
}

/// Others are served, and the memory was never above the ceiling.
fn survives(server: &Daybook, attack: &str) {
    assert_eq!(server.request("GET", "/healthz", &[], b"").status, 200, "{attack}");
    crate::harness::becomes_true(|| {
        let page = server.signed_get("/api/v1/events?actor=somebody-with-a-name-7&limit=1");
        matches!(page.status, 200) && page.json()["total"] == 1
    });
    let peak = server.peak_memory_kib();
    println!("{attack}: at most {} MiB", peak >> 10);
    assert!(peak < CEILING_KIB, "{attack}: {} MiB", peak >> 10);
}

const FACETS: &str = "/api/v1/facets?facet=actor.name&facet=resource.name&facet=action&limit=1000";
const LARGE_PAGE: &str = "/api/v1/events?action=large&limit=1000";

#[test]
fn queries_fit_a_small_machine() {
    let (_test_dir, server) = server();
    // Requests that nobody waits for.
    for _ in 0..60 {
        let mut client = Client::connect(server.address).unwrap();
        client.stream.write_all(&signed_request(server.address, FACETS)).unwrap();
    }
    survives(&server, "60 abandoned facets");
    // They give their permits back.
    crate::harness::becomes_true(|| server.signed_get(FACETS).status == 200);
    let answers = at_once(&server, 20, FACETS);
    assert!(!answers.is_empty());
    for answer in &answers {
        match answer.status {
            200 => assert_eq!(answer.json()["total"], DISTINCT + LARGE_EVENTS),
            503 | 429 => assert!(answer.headers.contains_key("retry-after")),
            status => panic!("{status}: {}", answer.text()),
        }
    }
    let texts: Vec<String> = answers.iter().map(Answer::text).collect();
    assert!(answers.iter().any(|answer| answer.status == 200), "nobody is answered: {texts:?}");
    survives(&server, "20 facets at once");
    for answer in at_once(&server, 12, LARGE_PAGE) {
        assert!(matches!(answer.status, 200 | 429 | 503), "{}", answer.text());
    }
    survives(&server, "12 pages of large events");
    // Clients that do not read.
    let idle: Vec<Client> = (0..8)
        .map(|_| {
            let mut client = Client::connect(server.address).unwrap();
            client.stream.write_all(&signed_request(server.address, LARGE_PAGE)).unwrap();
            client
        })
        .collect();
    survives(&server, "8 clients that do not read");
    drop(idle);
}

#[test]
fn bodies_fit_a_small_machine() {
    let test_dir = TestDir::with_settings("");
    let csv = std::fs::read_to_string(test_dir.path("daybook.toml")).unwrap();
    let csv = csv.replace("format = \"docker-registry\"", "format = \"postgresql-csvlog\"");
    std::fs::write(test_dir.path("daybook.toml"), csv).unwrap();
    let server = test_dir.serve();
    assert_eq!(
        server.send("own", "{\"action\":\"a\",\"actor\":\"somebody-with-a-name-7\"}").status,
        200
    );
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&vec![b','; 31 << 20]).unwrap();
    let commas = gzip.finish().unwrap();
    let bearer = format!("Bearer {TOKEN}");
    let address = server.address;
    // The answer may be any; a body that is given up may end without one.
    let send = |source: &str, body: &[u8], coding: &str| {
        let mut headers = vec![("Authorization", bearer.as_str())];
        headers.extend((!coding.is_empty()).then_some(("Content-Encoding", coding)));
        let Ok(mut client) = Client::connect(address) else { return };
        let _ = client.request("POST", &format!("/intake/{source}"), &headers, body);
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| send("hub", &commas, "gzip"));
        }
    });
    survives(&server, "gzipped commas to a CSV source");
    let large = vec![b' '; 8 << 20];
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| send("own", &large, ""));
        }
    });
    survives(&server, "64 bodies of 8 MiB");
}
