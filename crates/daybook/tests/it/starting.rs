//! A start: somebody answers before the log is open, its work is written down at once, and damage
//! of one segment or a lost guard stops nothing else.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use rustix::process::Signal;
use store::durable::{Disk, Local, Wait};

use crate::evidence::{checkpoint, copy, covering, key_of, send};
use crate::harness::{Client, TestDir, becomes_true, daybook, run, text};
use crate::verify::exits;

/// An address that is free now.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn somebody_answers_before_the_log_is_open() {
    let test_dir = TestDir::new();
    assert_eq!(test_dir.serve().stop(), Some(0));
    let address = free_address();
    // The start waits for this lock after it opened the log.
    let held = Local::open(&test_dir.data()).lock("serving.lock", Wait::No).unwrap();
    let mut child = daybook()
        .args(["serve", "--listen", &address.to_string(), "--config"])
        .arg(test_dir.path("daybook.toml"))
        .arg("--data-dir")
        .arg(test_dir.data())
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let get = |path: &str| {
        let answer = Client::connect(address).ok()?.request("GET", path, &[], b"").ok()?;
        Some((answer.status, answer.headers.get("retry-after").cloned(), answer.text()))
    };
    becomes_true(|| get("/readyz").is_some());
    for path in ["/readyz", "/intake/hub", "/api/v1/events", "/v2/p/instances/i/audit-logs"] {
        let (status, retry_after, said) = get(path).unwrap();
        assert_eq!((status, retry_after.as_deref()), (503, Some("1")), "{path}: {said}");
        assert!(said.contains("starting"), "{path}: {said}");
    }
    assert_eq!(get("/healthz").unwrap().0, 200);
    drop(held);
    becomes_true(|| get("/readyz").is_some_and(|(status, ..)| status == 200));
    let pid = rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap();
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// The size of the log that the state file of the sources covers.
fn covered(test_dir: &TestDir) -> u64 {
    let file = fs::read_to_string(test_dir.data().join("sources.kept")).unwrap();
    let state: serde_json::Value = serde_json::from_str(file.lines().nth(1).unwrap()).unwrap();
    state["size"].as_u64().unwrap()
}

#[test]
fn each_start_after_a_kill_leaves_no_events_for_the_next_to_read() {
    let test_dir = TestDir::new();
    for round in 0..4 {
        let mut server = test_dir.serve();
        let before = covered(&test_dir);
        send(&server, round * 20..round * 20 + 20);
        server.kill_9();
        let mut server = test_dir.serve();
        assert!(covered(&test_dir) >= before + 20, "round {round}");
        server.kill_9();
    }
}

/// The files of the oldest segment: index and table.
fn oldest(test_dir: &TestDir) -> [String; 2] {
    let mut names: Vec<String> = fs::read_dir(test_dir.data().join("segments"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    [0, 1].map(|at| format!("segments/{}", names[at]))
}

#[test]
fn one_damaged_segment_is_reported_and_repaired_and_stops_nothing_else() {
    let test_dir = TestDir::with_settings("[limits]\nflush_events = 40\n");
    let server = test_dir.serve();
    send(&server, 0..100);
    becomes_true(|| fs::read_dir(test_dir.data().join("segments")).unwrap().count() >= 2);
    assert_eq!(server.stop(), Some(0));
    let (data, backup) = (test_dir.data(), test_dir.path("backup"));
    copy(&data, &backup);
    let said = exits(&run(&["check", backup.to_str().unwrap()]), 0);
    assert!(said.contains("guard: none at "), "{said}");
    let said = exits(&run(&["check", data.to_str().unwrap()]), 0);
    assert!(said.contains("guard: agrees on "), "{said}");
    let [index, _] = oldest(&test_dir);
    fs::write(data.join(&index), "damaged").unwrap();

    let server = test_dir.serve();
    send(&server, 200..205);
    let ready = server.request("GET", "/readyz", &[], b"");
    assert_eq!((ready.status, ready.json()["damaged_files"].as_u64()), (200, Some(1)));
    let query = "/api/v1/events?limit=5";
    let answer = server.signed_get(query);
    assert_eq!(answer.status, 500, "{}", answer.text());
    assert_eq!(answer.json()["code"], "damaged");
    // The segment has a part of Daybook's own trail, so that the newest events are read by index.
    let disk: Arc<dyn Disk> = Arc::new(Local::open(&data));
    becomes_true(|| {
        let log = store::Contents::read(&disk).unwrap();
        let rows = log.from_index(100, 10_000).unwrap();
        rows.iter().filter(|row| row.entry.event.action == "log.damaged").count() == 1
    });
    assert_eq!(server.stop(), Some(0));

    assert!(exits(&run(&["check", data.to_str().unwrap()]), 3).contains(&index));
    let repair = |from: &PathBuf| {
        let arguments = ["repair", data.to_str().unwrap(), "--from", from.to_str().unwrap()];
        exits(&run(&arguments), 3)
    };
    let command = format!("cp -p {}/{index} {}/{index}", backup.display(), data.display());
    let said = repair(&backup);
    assert!(said.contains(&command) && said.contains("events 0 to "), "{said}");
    assert!(repair(&data).contains("has no good copy"));
    fs::copy(backup.join(&index), data.join(&index)).unwrap();
    assert!(exits(&run(&["repair", data.to_str().unwrap()]), 0).contains("nothing to repair"));
    test_dir.check();
    let server = test_dir.serve();
    assert_eq!(server.signed_get(query).status, 200);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_check_reads_what_a_start_needs() {
    let test_dir = TestDir::new();
    let server = test_dir.serve();
    send(&server, 0..3);
    assert_eq!(server.stop(), Some(0));
    let data = test_dir.data();
    fs::create_dir_all(data.join("followed")).unwrap();
    fs::write(data.join("followed/hub.json"), r#"{"version":1,"is_followed":true,"files":[]}"#)
        .unwrap();
    test_dir.check();
    for name in [
        "keys/log.key",
        "keys/sealing.key",
        "access.toml",
        "access.recorded.toml",
        "config.recorded.toml",
        "sources.kept",
        "followed/hub.json",
        "tree/checkpoint",
    ] {
        let whole = fs::read(data.join(name)).unwrap();
        fs::write(data.join(name), &whole[..whole.len() / 2 + 1]).unwrap();
        let said = exits(&run(&["check", data.to_str().unwrap()]), 3);
        assert!(said.contains("damage") || said.contains(name), "{name}: {said}");
        fs::write(data.join(name), whole).unwrap();
    }
    // A guard that knows of more events than the log has.
    let server = test_dir.serve();
    let old = test_dir.path("old");
    send(&server, 3..6);
    assert_eq!(server.stop(), Some(0));
    copy(&data, &old);
    fs::write(test_dir.path("old.guard"), "not a folder").unwrap();
    assert!(!run(&["check", old.to_str().unwrap()]).status.success());
    fs::remove_file(test_dir.path("old.guard")).unwrap();
    exits(&run(&["check", old.to_str().unwrap()]), 0);
}

#[test]
fn a_lost_guard_stops_signing_and_nothing_else() {
    let test_dir = TestDir::new();
    let key = key_of(&test_dir);
    let server = test_dir.serve();
    send(&server, 0..3);
    let (guard, away) = (test_dir.path("data.guard"), test_dir.path("away"));
    let signed = covering(&server, &key, 3).size;
    fs::rename(&guard, &away).unwrap();
    send(&server, 3..6);
    becomes_true(|| test_dir.acts("guard.lost").len() == 1);
    assert!(checkpoint(&server, &key).size <= signed + 20, "only what was being signed");
    send(&server, 6..9);
    let recorded = test_dir.entries().len() as u64;
    assert!(checkpoint(&server, &key).size < recorded);
    fs::rename(&away, &guard).unwrap();
    covering(&server, &key, recorded);
    becomes_true(|| test_dir.acts("guard.found").len() == 1);
    assert_eq!(server.stop(), Some(0));
    assert!(text(&run(&["check", test_dir.data().to_str().unwrap()]).stdout).contains("agrees"));
}

/// Whatever collects the lines of a server parses each of them.
#[test]
fn every_line_is_json_where_the_log_is() {
    let test_dir = TestDir::new();
    let mut command = test_dir.serve_command(daybook());
    let mut child = command.args(["--log-format", "json"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut said = Vec::new();
    while !said.iter().any(|line: &String| line.contains("console at ")) {
        said.push(lines.next().expect("the server starts").unwrap());
    }
    let pid = rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap();
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    said.extend(lines.map(Result::unwrap));
    assert!(child.wait().unwrap().success());
    for line in &said {
        let parsed: Result<serde_json::Value, _> = serde_json::from_str(line);
        assert!(parsed.is_ok_and(|line| line["level"].is_string()), "{line}");
    }
    assert!(said.iter().any(|line| line.contains("serving ")), "{said:?}");
}
