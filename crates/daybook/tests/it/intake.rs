//! Events in: what is answered, what is recorded, what is rejected.

use std::io::{Read, Write};

use crate::harness::{
    Daybook, OWN_AT_START, PROJECT, TOKEN, TestDir, becomes_true, notification, run, text,
};

const AT: &str = "2026-11-20T17:49:51.255562537Z";

#[test]
fn a_response_says_what_became_of_each_event() {
    let test_dir = TestDir::new();
    let server = test_dir.serve();
    let answer = server.send("hub", notification("n1", "pull", "sha256:aa", AT));
    assert_eq!(answer.status, 200);
    let first = OWN_AT_START;
    assert_eq!(
        answer.text(),
        format!(
            r#"{{"first_index":{first},"recorded":1,"duplicates":[],"dead_letters":[],"tree_size":{}}}"#,
            first + 1
        )
    );
    let again = server.send("hub", notification("n1", "pull", "sha256:aa", AT));
    assert_eq!(
        again.text(),
        format!(
            r#"{{"first_index":null,"recorded":0,"duplicates":[{{"position":0,"index":{first}}}],"dead_letters":[],"tree_size":{}}}"#,
            first + 1
        )
    );
    let mixed = server.send("own", "{\"id\":\"a\",\"action\":\"x\"}\n{\"id\":\"b\"}\n{\"id\":\"a\",\"action\":\"x\"}\n{\"action\":\"y\"}\n");
    assert_eq!(
        mixed.text(),
        format!(
            r#"{{"first_index":{0},"recorded":2,"duplicates":[{{"position":2,"index":{0}}}],"dead_letters":[{{"position":1,"reason":"`action` is missing or empty"}}],"tree_size":{1}}}"#,
            first + 1,
            first + 3
        )
    );
    assert_eq!(server.send("hub", r#"{"events":[]}"#).status, 200);
    assert_eq!(server.stop(), Some(0));
    assert_eq!(test_dir.events().len(), 3);
}

#[test]
fn the_token_goes_as_the_password_of_basic_authentication_too() {
    let test_dir = TestDir::new();
    let server = test_dir.serve();
    // `registry:a token of sixteen or more`
    let basic = "Basic cmVnaXN0cnk6YSB0b2tlbiBvZiBzaXh0ZWVuIG9yIG1vcmU=";
    let answer =
        server.request("POST", "/intake/own", &[("Authorization", basic)], br#"{"action":"x"}"#);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let wrong = server.request(
        "POST",
        "/intake/own",
        &[("Authorization", "Basic cmVnaXN0cnk6bm8=")],
        br#"{"action":"x"}"#,
    );
    assert_eq!(wrong.status, 401);
    assert!(wrong.headers["www-authenticate"].contains("Basic"));
    let unknown = server.request("POST", "/intake/nothing", &[("Authorization", basic)], b"");
    assert_eq!(
        (unknown.status, unknown.json()["error_msg"].clone()),
        (401, wrong.json()["error_msg"].clone())
    );
}

#[test]
fn a_registry_is_never_held_up_by_an_event_it_cannot_change() {
    let test_dir = TestDir::new();
    let server = test_dir.serve();
    server.send("hub", notification("n1", "pull", "sha256:aa", AT));
    // The same id with other bytes, an unknown action, something that is no event: all answered,
    // all stay.
    for body in [
        notification("n1", "push", "sha256:bb", AT),
        notification("n2", "frobnicate", "sha256:aa", AT),
        r#"{"events":["\u001b[2J",{"action":"pull"}]}"#.to_owned(),
    ] {
        let answer = server.send("hub", &body);
        assert_eq!(answer.status, 200, "{body}");
        // What was sent adds up: each of these is a dead letter, and listed.
        let said: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        let sent = if body.contains("u001b") { 2 } else { 1 };
        assert_eq!(said["dead_letters"].as_array().unwrap().len(), sent, "{said}");
        if body.contains("sha256:bb") {
            let reason = said["dead_letters"][0]["reason"].as_str().unwrap();
            assert!(reason.starts_with("id_conflict: "), "{said}");
        }
    }
    assert_eq!(server.events(), 1);
    let data = test_dir.data();
    // Read beside the running server.
    let listed = text(&run(&["dead-letters", "list", "--data-dir", data.to_str().unwrap()]).stdout);
    let conflict = format!("hub: id_conflict: event {OWN_AT_START} has this id and other bytes");
    assert!(listed.contains(&conflict), "{listed}");
    assert!(listed.contains("hub: unknown action \"frobnicate\""), "{listed}");
    assert!(listed.ends_with("4 dead letters\n"), "{listed}");
    assert!(!listed.contains('\u{1b}'), "a terminal must not be steered");
    let json = text(
        &run(&[
            "dead-letters",
            "list",
            "-o",
            "json",
            "--source",
            "hub",
            "-d",
            data.to_str().unwrap(),
        ])
        .stdout,
    );
    let first: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert!(first["raw"].as_str().unwrap().contains("sha256:bb"), "{first}");
    assert_eq!(server.stop(), Some(0));
    assert_eq!(test_dir.check()["dead letters"], "4");
}

#[test]
fn a_deleted_blob_is_distinguished_from_a_deleted_manifest_by_what_was_seen() {
    let test_dir = TestDir::new();
    let server = test_dir.serve();
    let blob = notification("b1", "push", "sha256:b10b", AT)
        .replace("application/vnd.oci.image.manifest.v1+json", "application/octet-stream");
    server.send("hub", blob);
    server.send("hub", notification("m1", "push", "sha256:a4f1", AT));
    let delete = |id: &str, digest: &str| {
        notification(id, "delete", digest, AT)
            .replace("\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",", "")
            .replace(",\"tag\":\"24.04\"", "")
    };
    for (id, digest) in [("d1", "sha256:b10b"), ("d2", "sha256:a4f1"), ("d3", "sha256:never-seen")]
    {
        assert_eq!(server.send("hub", delete(id, digest)).status, 200);
    }
    let answer = server
        .signed_get(&format!("/v2/{}/instances/hub/audit-logs?operation=delete", PROJECT))
        .json();
    let listed: Vec<_> = answer["audit_logs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["resource"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(listed, ["library/ubuntu:sha256:never-seen", "library/ubuntu:sha256:a4f1"]);
}

#[test]
fn what_was_answered_is_there_after_sigkill() {
    let test_dir = TestDir::new();
    let mut server = test_dir.serve();
    assert_eq!(server.send("own", r#"{"id":"1","action":"x"}"#).status, 200);
    server.kill_9();
    let server = test_dir.serve();
    assert_eq!(server.events(), 1);
    assert!(
        server
            .send("own", r#"{"id":"1","action":"x"}"#)
            .text()
            .contains(&format!("\"duplicates\":[{{\"position\":0,\"index\":{OWN_AT_START}}}]"))
    );
}

#[test]
fn open_requests_are_finished_before_the_end() {
    let test_dir = TestDir::new();
    let server = test_dir.serve();
    let mut client = server.client();
    let body = r#"{"action":"x"}"#;
    let head = format!(
        "POST /intake/own HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    client.stream.write_all(head.as_bytes()).unwrap();
    // The server has the request once it is seen to read on; a second connection being answered
    // shows that it had time.
    assert_eq!(server.request("GET", "/healthz", &[], b"").status, 200);
    std::thread::sleep(std::time::Duration::from_millis(200));
    let stopping = std::thread::spawn(move || server.stop());
    std::thread::sleep(std::time::Duration::from_millis(300));
    client.stream.write_all(body.as_bytes()).unwrap();
    assert_eq!(client.read_answer(false).unwrap().status, 200);
    assert_eq!(stopping.join().unwrap(), Some(0));
    assert_eq!(test_dir.events().len(), 1);
}

#[test]
fn what_programs_append_to_a_source_is_its_intake() {
    let test_dir = TestDir::new();
    let server = test_dir.serve();
    let bearer = format!("Bearer {TOKEN}");
    let plain = br#"{"action":"x"}"#;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(plain).unwrap();
    let bodies = [
        ("identity", plain.to_vec()),
        ("gzip", gzip.finish().unwrap()),
        ("zstd", zstd::encode_all(&plain[..], 3).unwrap()),
    ];
    for path in ["/intake/own", "/intake/own/v1/logs", "/intake/own/upload"] {
        for (encoding, body) in &bodies {
            let headers = [("Authorization", &*bearer), ("Content-Encoding", encoding)];
            let answer = server.request("POST", path, &headers, body);
            assert_eq!(
                (answer.status, &answer.json()["recorded"]),
                (200, &1.into()),
                "{path} {encoding}"
            );
        }
        // As curl sends long bodies, and systemd-journal-upload all: announced, in chunks, after
        // the server agreed.
        let mut client = server.client();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {bearer}\r\nTransfer-Encoding: chunked\r\n\
             Expect: 100-continue\r\n\r\n"
        );
        client.stream.write_all(head.as_bytes()).unwrap();
        let mut go_on = [0; 25];
        client.stream.read_exact(&mut go_on).unwrap();
        assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
        client.stream.write_all(b"7\r\n{\"actio\r\n7\r\nn\":\"x\"}\r\n0\r\n\r\n").unwrap();
        assert_eq!(client.read_answer(false).unwrap().status, 200, "{path}");
        // Whoever has no token need not send a body.
        let refused = server.request("POST", path, &[("Expect", "100-continue")], b"");
        assert_eq!(refused.status, 401, "{path}");
    }
    assert_eq!(server.events(), 12);
}

/// A sender may drop what is answered 4xx; it is no fault of its own when the log is slow.
#[test]
fn a_slow_log_is_answered_503() {
    let test_dir = TestDir::with_settings("[limits]\nintake_timeout_s = 1");
    let server = test_dir.serve();
    let slow_disk = server.with_slow_disk(3000);
    let answer = server.send("own", r#"{"id":"1","action":"x"}"#);
    assert_eq!((answer.status, answer.code().as_str()), (503, "overloaded"), "{}", answer.text());
    assert_eq!(answer.headers["retry-after"], "1");
    drop(slow_disk);
    // Sent again, it is there once, whatever became of the first.
    becomes_true(|| server.send("own", r#"{"id":"1","action":"x"}"#).status == 200);
    assert_eq!(server.events(), 1);
}

/// The two notifications of OpenStack's audit filter about a request: first that it came, then how
/// it was answered.
fn cadf(id: &str, outcome: &str) -> String {
    serde_json::json!({
        "message_id": format!("{id}-{outcome}"), "event_type": "audit.http", "publisher_id": "nova",
        "timestamp": "2026-11-20 18:29:52.000001",
        "payload": {
            "typeURI": "http://schemas.dmtf.org/cloud/audit/1.0/event", "id": id, "outcome": outcome, "action": "create",
            "eventTime": "2026-11-20T18:29:51.338796+0000", "requestPath": format!("/servers/{id}"),
        },
    })
    .to_string()
}

#[test]
fn a_request_and_its_answer_are_one_event_though_each_comes_by_itself() {
    let source = format!(
        "[[source]]\nname = \"cloud\"\nformat = \"openstack-cadf\"\ntoken = {{ file = \"token\" }}\n\
         syslog = {{ tcp = \"127.0.0.1:0\" }}\n\
         trail = {{ service = \"registry\", tenant = \"acme\", project = \"{PROJECT}\", instance = \"hub\" }}\n"
    );
    let test_dir = TestDir::with_settings(&source);
    let mut server = test_dir.serve();
    let send = |server: &Daybook, body: String, part: &str| {
        let answer = server.send("cloud", body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.text().contains(part), "{}", answer.text());
    };
    let waits = "the request waits for its answer";
    // Answered, before or after, and never answered.
    send(&server, cadf("a", "pending"), waits);
    send(&server, cadf("a", "success"), "\"recorded\":1");
    send(&server, cadf("b", "failure"), "\"recorded\":1");
    send(&server, cadf("b", "pending"), waits);
    send(&server, cadf("c", "pending"), waits);
    server.kill_9();
    let server = test_dir.serve();
    send(&server, cadf("a", "pending"), "\"recorded\":0");
    let mut stream = std::net::TcpStream::connect(server.syslog("cloud", "TCP")).unwrap();
    let messages = [cadf("d", "pending"), cadf("e", "pending"), cadf("d", "success")];
    let messages: String =
        messages.iter().map(|text| format!("<14>1 - vm nova - - - {text}\n")).collect();
    stream.write_all(messages.as_bytes()).unwrap();
    becomes_true(|| server.events() == 5);
    let listed = || {
        let data = test_dir.data();
        text(
            &run(&["dead-letters", "list", "-o", "json", "--data-dir", data.to_str().unwrap()])
                .stdout,
        )
    };
    becomes_true(|| listed().is_empty());
    assert_eq!(server.stop(), Some(0));
    let mut found: Vec<String> = test_dir.events().into_values().collect();
    found.sort();
    assert_eq!(found, ["a-success", "b-failure", "c-pending", "d-success", "e-pending"]);
    test_dir.check();
}
