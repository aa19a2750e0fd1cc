//! Events in: what is answered, what is recorded, what is set aside.

use crate::harness::{OWN_AT_START, Place, TOKEN, notification, run, text};

const AT: &str = "2026-11-20T17:49:51.255562537Z";

#[test]
fn an_answer_tells_what_became_of_each_event() {
    let place = Place::new();
    let server = place.serve();
    let answer = server.send("hub", notification("n1", "pull", "sha256:aa", AT));
    assert_eq!(answer.status, 200);
    let first = OWN_AT_START;
    assert_eq!(
        answer.text(),
        format!(
            r#"{{"first_index":{first},"recorded":1,"duplicates":[],"set_aside":[],"tree_size":{}}}"#,
            first + 1
        )
    );
    let again = server.send("hub", notification("n1", "pull", "sha256:aa", AT));
    assert_eq!(
        again.text(),
        format!(
            r#"{{"first_index":null,"recorded":0,"duplicates":[{{"position":0,"index":{first}}}],"set_aside":[],"tree_size":{}}}"#,
            first + 1
        )
    );
    let mixed = server.send("own", "{\"id\":\"a\",\"action\":\"x\"}\n{\"id\":\"b\"}\n{\"id\":\"a\",\"action\":\"x\"}\n{\"action\":\"y\"}\n");
    assert_eq!(
        mixed.text(),
        format!(
            r#"{{"first_index":{0},"recorded":2,"duplicates":[{{"position":2,"index":{0}}}],"set_aside":[{{"position":1,"reason":"`action` is missing or empty"}}],"tree_size":{1}}}"#,
            first + 1,
            first + 3
        )
    );
    assert_eq!(server.send("hub", r#"{"events":[]}"#).status, 200);
    assert_eq!(server.stop(), Some(0));
    assert_eq!(place.events().len(), 3);
}

#[test]
fn the_token_goes_as_the_password_of_basic_authentication_too() {
    let place = Place::new();
    let server = place.serve();
    // `registry:a token of sixteen or more`
    let basic = "Basic cmVnaXN0cnk6YSB0b2tlbiBvZiBzaXh0ZWVuIG9yIG1vcmU=";
    let answer = server.request("POST", "/intake/own", &[("Authorization", basic)], br#"{"action":"x"}"#);
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
    let place = Place::new();
    let server = place.serve();
    server.send("hub", notification("n1", "pull", "sha256:aa", AT));
    // The same id with other bytes, an unknown action, something that is no event: all answered, all kept.
    for body in [
        notification("n1", "push", "sha256:bb", AT),
        notification("n2", "frobnicate", "sha256:aa", AT),
        r#"{"events":["\u001b[2J",{"action":"pull"}]}"#.to_owned(),
    ] {
        assert_eq!(server.send("hub", &body).status, 200, "{body}");
    }
    assert_eq!(server.events(), 1);
    let data = place.data();
    // Read beside the running server.
    let listed = text(&run(&["set-aside", "list", "--data-dir", data.to_str().unwrap()]).stdout);
    assert!(listed.contains("hub: id_conflict: event 8 has this id and other bytes"), "{listed}");
    assert!(listed.contains("hub: unknown action \"frobnicate\""), "{listed}");
    assert!(listed.ends_with("4 set aside\n"), "{listed}");
    assert!(!listed.contains('\u{1b}'), "a terminal must not be told what to do");
    let json = text(
        &run(&["set-aside", "list", "-o", "json", "--source", "hub", "-d", data.to_str().unwrap()]).stdout,
    );
    let first: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert!(first["raw"].as_str().unwrap().contains("sha256:bb"), "{first}");
    assert_eq!(server.stop(), Some(0));
    assert_eq!(place.check()["set aside"], "4");
}

#[test]
fn a_deleted_blob_is_told_from_a_deleted_manifest_by_what_was_seen() {
    let place = Place::new();
    let server = place.serve();
    let blob = notification("b1", "push", "sha256:b10b", AT)
        .replace("application/vnd.oci.image.manifest.v1+json", "application/octet-stream");
    server.send("hub", blob);
    server.send("hub", notification("m1", "push", "sha256:a4f1", AT));
    let delete = |id: &str, digest: &str| {
        notification(id, "delete", digest, AT)
            .replace("\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",", "")
            .replace(",\"tag\":\"24.04\"", "")
    };
    for (id, digest) in [("d1", "sha256:b10b"), ("d2", "sha256:a4f1"), ("d3", "sha256:never-seen")] {
        assert_eq!(server.send("hub", delete(id, digest)).status, 200);
    }
    let answer = server
        .signed_get(&format!("/v2/{}/instances/hub/audit-logs?operation=delete", crate::harness::PROJECT))
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
    let place = Place::new();
    let mut server = place.serve();
    assert_eq!(server.send("own", r#"{"id":"1","action":"x"}"#).status, 200);
    server.kill_9();
    let server = place.serve();
    assert_eq!(server.events(), 1);
    assert!(
        server
            .send("own", r#"{"id":"1","action":"x"}"#)
            .text()
            .contains("\"duplicates\":[{\"position\":0,\"index\":8}]")
    );
}

#[test]
fn open_requests_are_finished_before_the_end() {
    use std::io::Write;
    let place = Place::new();
    let server = place.serve();
    let mut client = server.client();
    let body = r#"{"action":"x"}"#;
    let head = format!(
        "POST /intake/own HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    client.stream.write_all(head.as_bytes()).unwrap();
    // The server has the request once it is seen to read on; a second connection being answered shows that it had time.
    assert_eq!(server.request("GET", "/healthz", &[], b"").status, 200);
    std::thread::sleep(std::time::Duration::from_millis(200));
    let stopping = std::thread::spawn(move || server.stop());
    std::thread::sleep(std::time::Duration::from_millis(300));
    client.stream.write_all(body.as_bytes()).unwrap();
    assert_eq!(client.read_answer(false).unwrap().status, 200);
    assert_eq!(stopping.join().unwrap(), Some(0));
    assert_eq!(place.events().len(), 1);
}
