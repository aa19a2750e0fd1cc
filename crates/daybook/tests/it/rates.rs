//! Rates: nobody fills the disk with refused requests or queries, and nobody locks an account out.

use std::time::Instant;

use sha2::{Digest, Sha256};

use crate::estate::{Estate, PASSWORD, REGISTRY};
use crate::harness::{Answer, Client, Daybook, PROJECT, TOKEN, TestDir, becomes_true, hex};

/// Counts are recorded at an orderly stop, and not before.
const COUNTED_AT_THE_END: &str = "refusals_counted_s = 3600";

/// The value of an attribute of an entry that is a number.
fn number(entry: &str, name: &str) -> usize {
    let entry: serde_json::Value = serde_json::from_str(entry).unwrap();
    entry["attributes"][name].as_str().unwrap().parse().unwrap()
}

#[test]
fn a_flood_of_strangers_is_counted_exactly_and_costs_little() {
    let test_dir = TestDir::with_settings(&format!(
        "[limits]\nrefusals_recorded_per_sender = 1\n{COUNTED_AT_THE_END}"
    ));
    let server = test_dir.serve();
    let long =
        format!("/v2/{PROJECT}/instances/{REGISTRY}/audit-logs?operation={}", "x".repeat(6000));
    let (mut client, began, flood) = (server.client(), Instant::now(), 2000);
    for _ in 0..flood {
        assert_eq!(client.request("GET", &long, &[], b"").unwrap().status, 401);
    }
    let seconds = usize::try_from(began.elapsed().as_secs()).unwrap() + 1;
    assert_eq!(server.stop(), Some(0));
    let one_by_one = test_dir.acts("swr.ListAuditLogs");
    assert!((10..=10 + seconds).contains(&one_by_one.len()), "{}", one_by_one.len());
    let hash = hex(&Sha256::digest(format!("GET {long}")));
    assert!(one_by_one.iter().all(|act| act.contains(&hash) && act.len() < 1500));
    let counts = test_dir.acts("requests.refused");
    let [count] = &counts[..] else { panic!("{counts:?}") };
    assert_eq!(one_by_one.len() + number(count, "count"), flood);
    assert!(count.contains("swr.ListAuditLogs 401") && count.contains("127.0.0.1"), "{count}");
}

#[test]
fn wrong_source_tokens_are_counted() {
    let test_dir = TestDir::with_settings(&format!("[limits]\n{COUNTED_AT_THE_END}"));
    let server = test_dir.serve();
    let mut client = server.client();
    for source in ["hub", "none", "hub"] {
        for _ in 0..20 {
            let target = format!("/intake/{source}");
            let headers = [("Authorization", "Bearer a token of another source")];
            assert_eq!(client.request("POST", &target, &headers, b"{}").unwrap().status, 401);
        }
    }
    assert_eq!(server.stop(), Some(0));
    let counts = test_dir.acts("source.token");
    let [count] = &counts[..] else { panic!("{counts:?}") };
    assert_eq!(number(count, "count"), 60);
    assert!(count.contains("hub: 40; unknown source: 20"), "{count}");
}

#[test]
fn a_caller_over_its_rate_waits_and_others_do_not() {
    let estate = Estate::with_settings(
        "[limits]\ncaller_requests_per_second = 1\ncaller_requests_burst = 20",
    );
    let server = estate.serve();
    let swr = format!("/v2/{PROJECT}/instances/{REGISTRY}/audit-logs?operation=pull");
    let ask = |user: &str, target: &str| server.of(user, "GET", target, "");
    let answers: Vec<Answer> = (0..40).map(|_| ask("reader", &swr)).collect();
    let throttled = answers.iter().find(|answer| answer.status == 429).expect("beyond the burst");
    assert_eq!(throttled.headers["retry-after"], "1");
    assert_eq!(throttled.code(), "APIGW.0308");
    assert!(answers.iter().filter(|answer| answer.status == 200).count() >= 20);
    // In the form of each API, and with any credential of the caller.
    for (target, code) in [("/api/v1/trails", "throttled"), ("/v3/projects", "APIGW.0308")] {
        let refused = (0..40).map(|_| ask("reader", target)).find(|answer| answer.status == 429);
        let refused = refused.expect(target);
        assert_eq!((refused.headers["retry-after"].as_str(), refused.code().as_str()), ("1", code));
    }
    assert_eq!(ask("admin", &swr).status, 200, "another caller");
    becomes_true(|| ask("reader", &swr).status == 200);
}

/// A login from this address of the machine.
fn login_from(server: &Daybook, address: &str, password: &str) -> Answer {
    let body = format!(
        r#"{{"auth":{{"identity":{{"methods":["password"],"password":{{"user":{{"name":"reader","password":"{password}","domain":{{"name":"acme-corp"}}}}}}}}}}}}"#
    );
    let mut client = Client::connect_from(address.parse().unwrap(), server.address).unwrap();
    client.request("POST", "/v3/auth/tokens", &[], body.as_bytes()).unwrap()
}

#[test]
fn strangers_lock_no_account_out() {
    let estate = Estate::with_settings("[limits]\nlogin_failures_slow_after = 4");
    let server = estate.serve();
    let statuses = |times: usize, address: &str, password: &str| -> Vec<u16> {
        (0..times).map(|_| login_from(&server, address, password).status).collect()
    };
    assert_eq!(statuses(3, "127.0.0.2", "wrong"), [401; 3]);
    assert_eq!(login_from(&server, "127.0.0.1", PASSWORD).status, 201, "the owner, elsewhere");
    assert!(statuses(10, "127.0.0.2", "wrong").contains(&429));
    // Under attack, the owner's next attempt is slow.
    let answer = login_from(&server, "127.0.0.3", PASSWORD);
    assert!(answer.status == 201 || answer.headers["retry-after"] == "5", "{}", answer.text());
    becomes_true(|| {
        assert_ne!(login_from(&server, "127.0.0.2", "wrong").status, 201);
        login_from(&server, "127.0.0.3", PASSWORD).status == 201
    });
}

#[test]
fn a_source_token_writes_to_its_own_trail_alone() {
    let test_dir = TestDir::new();
    let server = test_dir.serve();
    let bearer = format!("Bearer {TOKEN}");
    let send = |query: &str, proof: &str| {
        let headers = [("Authorization", bearer.as_str()), ("X-Daybook-Local", proof)];
        let body = br#"{"action":"x"}"#;
        server.request("POST", &format!("/intake/own?{query}"), &headers, body).status
    };
    let proof = hex(&[7; 32]);
    for query in ["import=begins", "file=0123456789abcdef&offset=0"] {
        for proof in ["", "no hex", &proof] {
            assert_eq!(send(query, proof), 403, "{query} {proof}");
        }
    }
    let input = "0123456789abcdef0123456789abcdef";
    assert_eq!(send(&format!("file={input}&offset=0"), ""), 200, "an input of `daybook send`");
    // An id that is like a position of a file is not that position.
    assert_eq!(server.send("own", r#"{"action":"x","id":"0123456789abcdef:0"}"#).status, 200);
    assert_eq!(server.stop(), Some(0));
    assert_eq!(test_dir.acts("source.import"), [""; 0]);
    let keys: Vec<String> = test_dir.events().into_values().collect();
    assert_eq!(keys, [format!("{input}:0"), "sent 0123456789abcdef:0".to_owned()]);
}
