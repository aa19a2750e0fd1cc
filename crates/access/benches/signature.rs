//! The cost of verifying one signature, without a server: `cargo bench -p access --bench
//! signature`.
//!
//! The requests are those of the vendor's Python SDK: five signed headers; the first page of
//! TaurusDB's list, whose query has two readings since it holds a plus and one since it does not,
//! and a body of DBSS.

use std::hint::black_box;
use std::time::Instant;

use access::signature::{Authorization, SignedRequest, sign};
use event::Time;
use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};

const KEY: &str = "AKIDEXAMPLE0000000AA";
const SECRET: &str = "SKEXAMPLE0000000000000000000000000000000";
const PROJECT: &str = "054e292c9880d4992f02c0196d3ea468";
const HOST: &str = "127.0.0.1:8080";
const SIGNED_AT: &str = "20261120T000000Z";
const NOW: &str = "2026-11-20T00:00:00Z";

/// Each round takes some milliseconds; the fastest shows the cost, the median what other work on
/// the machine adds.
const ROUNDS: usize = 200;
const VERIFICATIONS_A_ROUND: u32 = 500;

struct Request {
    what: &'static str,
    method: &'static str,
    path: String,
    query: &'static str,
    body: &'static [u8],
}

fn main() {
    let requests = [
        Request {
            what: "GET, 4 parameters",
            method: "GET",
            path: format!(
                "/v3/{PROJECT}/instances/3d39c18788b54a919bab633874c159dfin07/audit-logs"
            ),
            query: "end_time=2018-09-16T10%3A40%3A15%2B0800&limit=10&offset=0\
                    &start_time=2018-09-15T06%3A25%3A43%2B0800",
            body: b"",
        },
        Request {
            what: "the same, a raw plus",
            method: "GET",
            path: format!(
                "/v3/{PROJECT}/instances/3d39c18788b54a919bab633874c159dfin07/audit-logs"
            ),
            query: "end_time=2018-09-16T10:40:15+0800&limit=10&offset=0\
                    &start_time=2018-09-15T06:25:43+0800",
            body: b"",
        },
        Request {
            what: "POST, 59 bytes",
            method: "POST",
            path: format!("/v1/{PROJECT}/audit/a0d1f9c2b3e44f5d8c7b6a5948372615/operation-log"),
            query: "",
            body: br#"{"time": {"time_range": "HOUR"}, "page": "1", "size": "10"}"#,
        },
    ];
    println!("verifying a signature, in microseconds ({ROUNDS} rounds of {VERIFICATIONS_A_ROUND})");
    println!("{:<22} {:>8} {:>8}", "", "fastest", "median");
    for request in &requests {
        let mut rounds = measure(request);
        rounds.sort_by(f64::total_cmp);
        println!("{:<22} {:>8.2} {:>8.2}", request.what, rounds[0], rounds[ROUNDS / 2]);
    }
}

/// Microseconds a verification, for each round.
fn measure(request: &Request) -> Vec<f64> {
    let named = [
        ("content-type", "application/json"),
        ("host", HOST),
        ("user-agent", "huaweicloud-usdk-python/3.0"),
        ("x-project-id", PROJECT),
        ("x-sdk-date", SIGNED_AT),
    ];
    let header =
        sign(KEY, SECRET, request.method, &request.path, request.query, &named, request.body);
    let mut headers = HeaderMap::new();
    for (name, value) in named {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let signed = SignedRequest {
        method: request.method,
        raw_path: &request.path,
        raw_query: request.query,
        headers: &headers,
        host: HOST,
        body: request.body,
    };
    let now = Time::parse_rfc3339(NOW).expect("a time").0;
    let round = |_| {
        let began = Instant::now();
        for _ in 0..VERIFICATIONS_A_ROUND {
            // As for a request: the header is read, then verified.
            let authorization = Authorization::parse(black_box(&header)).expect("we wrote it");
            assert!(authorization.verifies(black_box(&signed), SECRET, now), "{}", request.what);
        }
        began.elapsed().as_secs_f64() * 1e6 / f64::from(VERIFICATIONS_A_ROUND)
    };
    (0..ROUNDS).map(round).collect()
}
