//! Audit log files: how a database's lines are cut, and that a download is those lines.

use sha2::{Digest, Sha256};

use crate::estate::{DATABASE, Estate};
use crate::harness::{Answer, Daybook, PROJECT, becomes_true, hex};

fn instance() -> String {
    format!("/v3/{PROJECT}/instances/{DATABASE}")
}

fn files(server: &Daybook) -> Vec<serde_json::Value> {
    let target = format!(
        "{}/audit-logs?start_time=2026-11-01T00:00:00Z&end_time=2026-11-30T00:00:00Z&limit=100",
        instance()
    );
    server.of("reader", "GET", &target, "").json()["audit_logs"].as_array().unwrap().clone()
}

fn links(server: &Daybook, ids: &[&str]) -> Answer {
    let body = serde_json::json!({ "ids": ids }).to_string();
    server.of("reader", "POST", &format!("{}/audit-log-link", instance()), &body)
}

fn target_of(server: &Daybook, file: &serde_json::Value) -> String {
    let answer = links(server, &[file["id"].as_str().unwrap()]);
    let link = answer.json()["links"][0].as_str().unwrap().to_owned();
    link.split_once(&server.address.to_string()).unwrap().1.to_owned()
}

fn line(minute: u32, log_file: &str, padding: usize) -> String {
    let at = format!("2026-11-20T{:02}:{:02}:00Z", minute / 60, minute % 60);
    format!(
        r#"{{"occurred_at":"{at}","action":"QUERY","description":"select 'ü{}'","attributes":{{"log_file":"{log_file}"}}}}"#,
        "x".repeat(padding)
    )
}

#[test]
fn a_download_is_the_lines_as_they_were_received() {
    let estate = Estate::new();
    let server = estate.serve();
    let first: Vec<String> = (0..5).map(|minute| line(minute, "1", minute as usize)).collect();
    server.take("database", &first.join("\n"));
    assert_eq!(files(&server).len(), 0, "a file that may still grow is not listed");
    server.take("database", &line(5, "2", 0));
    let listed = files(&server);
    assert_eq!(listed.len(), 1);
    let expected = first.join("\n") + "\n";
    assert_eq!(listed[0]["size"].as_u64(), Some((expected.len() as u64).div_ceil(1024)));
    assert_eq!(
        (listed[0]["begin_time"].as_str(), listed[0]["end_time"].as_str()),
        (Some("2026-11-20T00:00:00+0000"), Some("2026-11-20T00:04:00+0000"))
    );
    let answer = server.request("GET", &target_of(&server, &listed[0]), &[], b"");
    assert_eq!(answer.text(), expected);
    assert_eq!(answer.headers["content-length"], expected.len().to_string());
    let sha256 = hex(&Sha256::digest(&expected));
    assert_eq!(answer.headers["x-daybook-sha256"], sha256);
    let name = listed[0]["name"].as_str().unwrap();
    assert!(answer.headers["content-disposition"].contains(name), "{answer:?}");
    // Its hash is in the log as well, once, whoever downloads it and however often the server
    // starts.
    let recorded = |server: &Daybook| {
        server.own_rows(&format!(r#","operate_name":"{name}","action":"create""#)).len()
    };
    becomes_true(|| recorded(&server) == 1);
    drop(server);
    let server = estate.serve();
    std::thread::sleep(std::time::Duration::from_millis(2500));
    assert_eq!(recorded(&server), 1);
    assert_eq!(files(&server), listed, "the same files after a restart");
}

#[test]
fn files_end_at_rotation_after_an_hour_and_at_20_mib() {
    let estate = Estate::new();
    let server = estate.serve();
    // Rotation by the source; an hour; late events do not end a file.
    for (minute, log_file) in
        [(0, "1"), (1, "1"), (2, "2"), (61, "2"), (62, "2"), (10, "2"), (121, "2"), (122, "2")]
    {
        server.take("database", &line(minute, log_file, 0));
    }
    let spans: Vec<(String, String)> = files(&server)
        .iter()
        .map(|file| {
            let time = |member: &str| file[member].as_str().unwrap()[11..16].to_owned();
            (time("begin_time"), time("end_time"))
        })
        .collect();
    let span = |from: &str, to: &str| (from.to_owned(), to.to_owned());
    assert_eq!(spans, [span("00:00", "00:01"), span("00:02", "01:01"), span("00:10", "02:01")]);
    // 20 MiB: 200 lines of 125 KB make a full file and an open one.
    for _ in 0..4 {
        let lines: Vec<String> = (0..50).map(|_| line(123, "3", 125_000)).collect();
        server.take("database", &lines.join("\n"));
    }
    let large = files(&server).into_iter().find(|file| file["size"].as_u64() > Some(1000)).unwrap();
    let kilobytes = large["size"].as_u64().unwrap();
    assert!((20_000..=20_480).contains(&kilobytes), "{kilobytes} KB");
    let answer = server.request("GET", &target_of(&server, &large), &[], b"");
    assert_eq!(answer.body.len().div_ceil(1024) as u64, kilobytes);
    assert_eq!(answer.headers["x-daybook-sha256"], hex(&Sha256::digest(&answer.body)));
}

#[test]
fn a_link_is_good_for_its_file_and_its_time_alone() {
    let estate = Estate::new();
    let server = estate.serve();
    server.take("database", &(line(0, "1", 0) + "\n" + &line(1, "2", 0) + "\n" + &line(2, "3", 0)));
    let listed = files(&server);
    let (one, other) = (target_of(&server, &listed[0]), target_of(&server, &listed[1]));
    let id = |file: &serde_json::Value| file["id"].as_str().unwrap().to_owned();
    for (what, target) in [
        ("another file", one.replace(&id(&listed[0]), &id(&listed[1]))),
        ("a later end", one.replace("expires=1", "expires=2")),
        ("no signature", one.split("&signature=").next().unwrap().to_owned()),
        ("no parameters", one.split('?').next().unwrap().to_owned()),
        (
            "another's signature",
            one.split("&signature=").next().unwrap().to_owned()
                + "&signature="
                + other.split("&signature=").nth(1).unwrap(),
        ),
        (
            "a path",
            "/audit-log-files/..%2F..%2Fetc%2Fpasswd/x?expires=1&request=1&signature=00".to_owned(),
        ),
    ] {
        let answer = server.request("GET", &target, &[], b"");
        assert_eq!((answer.status, answer.code().as_str()), (403, "APIGW.0306"), "{what}");
    }
    assert_eq!(server.request("GET", &one, &[], b"").status, 200);
    drop(server);
    let server = estate.serve();
    assert_eq!(server.request("GET", &one, &[], b"").status, 200, "a restart leaves it good");
}

#[test]
fn links_are_given_for_listed_files_of_the_instance_alone() {
    let estate = Estate::new();
    let server = estate.serve();
    server.take("database", &(line(0, "1", 0) + "\n" + &line(1, "2", 0)));
    server.take("rivals-database", &(line(0, "1", 0) + "\n" + &line(1, "2", 0)));
    let id = files(&server)[0]["id"].as_str().unwrap().to_owned();
    let rivals = server.of(
        "rival",
        "GET",
        &format!(
            "/v3/{}/instances/{DATABASE}/audit-logs?start_time=2026-11-01T00:00:00Z&end_time=2026-11-30T00:00:00Z",
            crate::estate::RIVALS_PROJECT
        ),
        "",
    );
    let rivals = rivals.json()["audit_logs"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(links(&server, &[&id]).status, 200);
    assert_eq!(links(&server, &[&rivals]).status, 400);
    assert_eq!(links(&server, &[&id, "none"]).status, 400);
    assert_eq!(links(&server, &vec![id.as_str(); 50]).status, 200);
    assert_eq!(links(&server, &vec![id.as_str(); 51]).status, 400);
    let policy = format!("{}/audit-log-policy", instance());
    server.of("admin", "PUT", &policy, r#"{"keep_days":0,"reserve_audit_logs":false}"#);
    assert_eq!(
        (files(&server).len(), links(&server, &[&id]).status),
        (0, 400),
        "what is not listed has no link"
    );
}

#[test]
fn links_begin_with_the_public_address() {
    let estate = Estate::with_settings("public_url = \"https://audit.example.com/\"");
    let server = estate.serve();
    server.take("database", &(line(0, "1", 0) + "\n" + &line(1, "2", 0)));
    let id = files(&server)[0]["id"].as_str().unwrap().to_owned();
    let link = links(&server, &[&id]).json()["links"][0].as_str().unwrap().to_owned();
    assert!(link.starts_with("https://audit.example.com/audit-log-files/"), "{link}");
}
