//! The commands that use a server, through restarts, broken connections and wrong files.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::desk::{Desk, EVENTS};
use crate::harness::{TOKEN, text};

/// A proxy that breaks each connection to its server after a number of bytes of the response.
struct Bridge {
    address: SocketAddr,
    to: Arc<Mutex<SocketAddr>>,
    bytes: Arc<AtomicUsize>,
    broken: Arc<AtomicUsize>,
}

impl Bridge {
    fn to(server: SocketAddr, bytes: usize) -> Bridge {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let bridge = Bridge {
            address: listener.local_addr().unwrap(),
            to: Arc::new(Mutex::new(server)),
            bytes: Arc::new(AtomicUsize::new(bytes)),
            broken: Arc::default(),
        };
        let (to, bytes, broken) =
            (Arc::clone(&bridge.to), Arc::clone(&bridge.bytes), Arc::clone(&bridge.broken));
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let (to, bytes, broken) =
                    (*to.lock().unwrap(), Arc::clone(&bytes), Arc::clone(&broken));
                std::thread::spawn(move || {
                    let Ok(far) = TcpStream::connect(to) else { return };
                    let (mut request, mut upstream) =
                        (near.try_clone().unwrap(), far.try_clone().unwrap());
                    std::thread::spawn(move || std::io::copy(&mut request, &mut upstream));
                    let most = bytes.load(Ordering::Relaxed);
                    let passed =
                        std::io::copy(&mut (&far).take(most as u64), &mut &near).unwrap_or(0);
                    if passed == most as u64 {
                        broken.fetch_add(1, Ordering::Relaxed);
                    }
                    let _ = near.shutdown(std::net::Shutdown::Both);
                    let _ = far.shutdown(std::net::Shutdown::Both);
                });
            }
        });
        bridge
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

#[test]
fn profiles_are_readable_by_their_owner_alone_and_show_no_secret() {
    let desk = Desk::new();
    let file = desk.test_dir.path("home/profiles.toml");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::write(desk.test_dir.path("a-token"), "a token that nobody may see\n").unwrap();
    let token_file = desk.test_dir.path("a-token");
    let added = ["profile", "add", "far", "--url", "http://audit.example.com/x/", "--token-file"];
    let added = desk.command().args(added).arg(&token_file).output().unwrap();
    assert!(
        added.status.success() && text(&added.stderr).contains("https://"),
        "{}",
        text(&added.stderr)
    );
    for arguments in [&["profile", "list"][..], &["profile", "show", "far"], &["profile", "show"]] {
        let said = desk.says(arguments);
        assert!(
            !said.contains("nobody may see") && !said.contains(crate::harness::SECRET),
            "{said}"
        );
    }
    assert!(desk.says(&["profile", "list"]).contains("* here"), "the first one is in use");
    desk.says(&["profile", "use", "far"]);
    assert!(
        desk.says(&["profile", "show"])
            .contains("url: http://audit.example.com/x\nshows: a token\n")
    );
    desk.says(&["profile", "remove", "far"]);
    // No profile is in use now, and the error says so; a name, a variable and an address work.
    let nowhere = desk.run(&["search"]);
    assert_eq!(nowhere.status.code(), Some(2));
    assert!(text(&nowhere.stderr).contains("--profile"), "{}", text(&nowhere.stderr));
    let total = |arguments: &[&str]| {
        desk.json(&[&["search", "-n", "0", "-o", "json"], arguments].concat())["total"].clone()
    };
    assert_eq!(total(&["--profile", "here"]), EVENTS);
    let by_variable =
        desk.command().args(["search", "-n", "0"]).env("DAYBOOK_PROFILE", "here").output().unwrap();
    assert!(text(&by_variable.stdout).contains("0 of 60 events"), "{}", text(&by_variable.stderr));
    assert_eq!(
        desk.run(&["search", "--url", &desk.url()]).status.code(),
        Some(1),
        "no credentials are sent"
    );
    for (arguments, why) in [
        (&["profile", "add", "a b", "--url", "http://x"][..], "letters"),
        (&["profile", "add", "a", "--url", "ftp://x"], "http"),
        (&["profile", "add", "a", "--url", "http://x", "--access-key", "K"], "--secret-file"),
        (&["profile", "use", "gone"], "Profiles: here"),
        (&["search", "--profile", "here", "--url", "http://x"], "cannot be used with"),
        (&["search", "--profile", "here", "--data-dir", "x"], "cannot be used with"),
    ] {
        let refused = desk.run(arguments);
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}");
        assert!(text(&refused.stderr).contains(why), "{arguments:?}: {}", text(&refused.stderr));
    }
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    let open = desk.run(&["search", "--profile", "here"]);
    assert!(text(&open.stderr).contains("chmod 600"), "{}", text(&open.stderr));
    std::fs::write(&file, "secret = 'a secret in the open").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let broken = desk.run(&["search", "--profile", "here"]);
    assert_eq!(broken.status.code(), Some(2));
    assert!(!text(&broken.stderr).contains("in the open"), "{}", text(&broken.stderr));
}

#[test]
fn a_server_and_its_directory_answer_alike() {
    let desk = Desk::new();
    let data = desk.test_dir.data();
    let data = data.to_str().unwrap();
    for arguments in [
        &["search", "trail:registry/*/*/*", "-o", "ndjson", "--all"][..],
        &[
            "search",
            "trail:registry/*/*/*",
            "-actor:bob",
            "outcome:failure",
            "--order",
            "asc",
            "-n",
            "3",
        ],
        &[
            "search",
            "source:own",
            "resource:library/*",
            "--after",
            "2026-10-02",
            "--offset",
            "4",
            "-n",
            "2",
        ],
        &["show", "64", "-o", "text"],
        &["show", "64", "--raw"],
        &["trails", "source:own"],
        &["search", "attr.none:*"],
        &["search", "wrong", "code:401"],
        &["stats", "source:own", "--facet", "actor.name", "--facet", "ip"],
        &["tail", "source:own", "-actor:bob", "--from", "3", "-n", "9"],
        &["export", "source:own", "-o", "ocsf", "--to", "-"],
    ] {
        let there = desk.says(arguments);
        let here = desk.says(&[arguments, &["--data-dir", data]].concat());
        let here = here.replace(&format!(" --data-dir {data}"), "");
        assert_eq!(there, here, "{arguments:?}");
    }
    let entry = desk.says(&["show", "64", "--entry"]);
    let whole = desk.json(&["show", "64", "-o", "json"]);
    assert_eq!(whole["entry"], entry);
    assert_eq!(whole["event"]["index"], 64);
    let by_id = desk.json(&["show", whole["event"]["id"].as_str().unwrap(), "-o", "json"]);
    assert_eq!(by_id["digest"], whole["digest"]);
}

#[test]
fn all_pages_are_of_one_moment() {
    let desk = Desk::new();
    let many: String =
        (0..2500).map(|number| format!("{{\"id\":\"m{number}\",\"action\":\"many\"}}\n")).collect();
    assert_eq!(desk.server.send("own", many).status, 200);
    let lines = desk.says(&["search", "action:many", "--all", "--order", "asc", "-o", "ndjson"]);
    let indexes: Vec<u64> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["index"].as_u64().unwrap())
        .collect();
    assert_eq!(indexes.len(), 2500);
    assert!(indexes.is_sorted_by(|one, next| one < next));
    let some =
        desk.json(&["search", "action:many", "-n", "1700", "--offset", "1000", "-o", "json"]);
    assert_eq!(
        (some["events"].as_array().unwrap().len(), &some["total"]),
        (1500, &Value::from(2500))
    );
    assert_eq!(some["next"], Value::Null);
    let then = desk.json(&["search", "--as-of", "20", "-n", "0", "-o", "json"]);
    assert_eq!(then["tree_size"], 20);
}

#[test]
fn events_are_sent_once_through_restarts_and_broken_connections() {
    let mut desk = Desk::with_token();
    // Responses break off before their result.
    let bridge = Bridge::to(desk.server.address, 40);
    let token = desk.test_dir.path("source-token");
    std::fs::write(&token, TOKEN).unwrap();
    let lines: String = (0..12_000)
        .map(|number| format!("{{\"action\":\"sent\",\"resource\":\"r{number}\"}}\n"))
        .collect();
    let mut command = desk.command();
    command.args([
        "send",
        "--source",
        "own",
        "-o",
        "json",
        "--url",
        &bridge.url(),
        "--source-token-file",
    ]);
    let mut child = command
        .arg(&token)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let feeding = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    crate::harness::becomes_true(|| bridge.broken.load(Ordering::Relaxed) >= 2);
    desk.server.kill_9();
    desk.server = desk.test_dir.serve();
    *bridge.to.lock().unwrap() = desk.server.address;
    bridge.bytes.store(usize::MAX, Ordering::Relaxed);
    let output = child.wait_with_output().unwrap();
    feeding.join().unwrap().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    let count = |name: &str| result[name].as_u64().unwrap();
    assert_eq!(count("recorded") + count("duplicates"), 12_000, "{result}");
    assert!(count("duplicates") > 0, "a piece sent again is recognised: {result}");
    let url = desk.url();
    let here = ["--url", &url, "--token-file", desk.test_dir.path("user-token").to_str().unwrap()]
        .map(str::to_owned);
    let here: Vec<&str> = here.iter().map(String::as_str).collect();
    let facets = desk.json(
        &[
            &["stats", "action:sent", "--facet", "resource.name", "--values", "1", "-o", "json"],
            &here[..],
        ]
        .concat(),
    );
    let of_names = &facets["facets"]["facets"]["resource.name"];
    assert_eq!(
        (&facets["facets"]["total"], &of_names["values"][0]["count"]),
        (&Value::from(12_000), &Value::from(1)),
        "each is there once"
    );
}

#[test]
fn rejected_lines_are_reported_with_their_numbers() {
    let desk = Desk::with_token();
    let token = desk.test_dir.path("user-token");
    let url = desk.url();
    let send = |more: &[&str], input: &str| {
        let arguments = [
            &["send", "--source", "own", "--url", &url, "--token-file", token.to_str().unwrap()],
            more,
        ]
        .concat();
        desk.fed(&arguments, input.as_bytes())
    };
    let input = "{\"action\":\"fine\"}\n\n{\"acton\":\"typo\"}\nno json\n{\"action\":\"fine too\"}";
    let output = send(&[], input);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("daybook: line 3: ") && said.contains("daybook: line 4: "), "{said}");
    assert_eq!(
        text(&output.stdout),
        "recorded: 2\nrecorded before: 0\ndead letters: 2\nskipped: 0\n"
    );
    // An input of the same name is recorded once, another one again.
    for (name, recorded) in [("night-1", 1), ("night-1", 0), ("night-2", 1)] {
        let output = send(&["--input", name], "{\"action\":\"nightly\"}\n");
        assert!(output.status.success());
        assert!(text(&output.stdout).starts_with(&format!("recorded: {recorded}\n")), "{name}");
    }
    assert!(send(&[], "").status.success(), "nothing is sent of nothing");
    let stranger = desk.run(&["send", "--source", "own"]);
    assert_eq!(stranger.status.code(), Some(2), "signed requests are not taken");
    let nobody = desk.fed(
        &["send", "--source", "nobody", "--url", &url, "--token-file", token.to_str().unwrap()],
        b"{}\n",
    );
    assert_eq!(nobody.status.code(), Some(1));
    assert!(
        text(&nobody.stderr).contains("401") && text(&nobody.stderr).contains("--input "),
        "{}",
        text(&nobody.stderr)
    );
}

#[test]
fn a_tail_misses_nothing_through_restarts() {
    let mut desk = Desk::with_token();
    let bridge = Bridge::to(desk.server.address, 9_000);
    let token = desk.test_dir.path("user-token");
    let mut child = desk
        .command()
        .args([
            "tail",
            "action:live",
            "-o",
            "ndjson",
            "--limit",
            "600",
            "--url",
            &bridge.url(),
            "--token-file",
        ])
        .arg(token)
        .args(["--from", "0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (seen, lines) = std::sync::mpsc::channel();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let reading = std::thread::spawn(move || {
        let mut line = String::new();
        while stdout.read_line(&mut line).unwrap() > 0 {
            seen.send(serde_json::from_str::<Value>(&line).unwrap()).unwrap();
            line.clear();
        }
    });
    let mut had = Vec::new();
    for round in 0..3 {
        let some: String = (0..200)
            .map(|at| format!("{{\"action\":\"live\",\"resource\":\"{}\"}}\n", round * 200 + at))
            .collect();
        assert_eq!(desk.server.send("own", some).status, 200);
        had.push(lines.recv_timeout(crate::harness::PATIENCE).unwrap());
        if round < 2 {
            desk.server.kill_9();
            desk.server = desk.test_dir.serve();
            *bridge.to.lock().unwrap() = desk.server.address;
        }
    }
    had.extend(lines.iter());
    reading.join().unwrap();
    assert!(child.wait().unwrap().success());
    assert!(bridge.broken.load(Ordering::Relaxed) > 3);
    let names: Vec<&str> =
        had.iter().map(|event| event["resource"]["name"].as_str().unwrap()).collect();
    let expected: Vec<String> = (0..600).map(|number| number.to_string()).collect();
    assert_eq!(names, expected);
}

#[test]
fn a_quiet_log_is_followed_without_a_word() {
    let desk = Desk::with_token();
    let url = desk.url();
    let mut child = desk
        .command()
        .args([
            "tail",
            "action:live",
            "-o",
            "ndjson",
            "--limit",
            "1",
            "--from",
            "0",
            "--url",
            &url,
            "--token-file",
        ])
        .arg(desk.test_dir.path("user-token"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Longer than the interval in which the server sends its position.
    std::thread::sleep(std::time::Duration::from_millis(5_500));
    assert!(child.try_wait().unwrap().is_none());
    assert_eq!(desk.server.send("own", "{\"action\":\"live\"}").status, 200);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!((text(&output.stderr), text(&output.stdout).lines().count()), (String::new(), 1));
}

#[test]
fn an_export_is_verified_at_once() {
    let desk = Desk::with_token();
    let (url, token) = (desk.url(), desk.test_dir.path("user-token"));
    let key = crate::evidence::key_of(&desk.test_dir).to_string();
    for round in 0..3 {
        let (file, manifest) =
            (desk.test_dir.path("at-once.csv"), desk.test_dir.path("at-once.csv.manifest.json"));
        let export = ["export", "source:own", "--force", "--url", &url, "--to"];
        let mut command = desk.command();
        command.args(export).arg(&file).arg("--token-file").arg(&token);
        assert!(command.output().unwrap().status.success());
        let verify = ["verify", "--key", &key, "--log", &url, "--export"];
        let mut command = desk.command();
        let output =
            command.args(verify).arg(&file).arg("--manifest").arg(&manifest).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "round {round}: {}", text(&output.stderr));
    }
}

#[test]
fn a_directory_is_followed_while_it_grows() {
    let mut desk = Desk::with_token();
    let mut child = desk
        .command()
        .args(["tail", "action:live", "-o", "ndjson", "--limit", "60", "--from", "0", "--data-dir"])
        .arg(desk.test_dir.data())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut names = Vec::new();
    for round in 0..3 {
        let some: String = (0..20)
            .map(|at| {
                format!(
                    "{{\"action\":\"live\",\"resource\":\"{}\"}}\n{{\"action\":\"dead\"}}\n",
                    round * 20 + at
                )
            })
            .collect();
        assert_eq!(desk.server.send("own", some).status, 200);
        for _ in 0..20 {
            let line: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
            names.push(line["resource"]["name"].as_str().unwrap().to_owned());
        }
        desk.server.kill_9();
        desk.server = desk.test_dir.serve();
    }
    assert!(child.wait().unwrap().success() && lines.next().is_none());
    assert_eq!(names, (0..60).map(|number| number.to_string()).collect::<Vec<_>>());
    let data = desk.test_dir.data();
    let beyond = desk.run(&["tail", "--from", "100000", "--data-dir", data.to_str().unwrap()]);
    assert_eq!(beyond.status.code(), Some(2));
    assert!(text(&beyond.stderr).contains("there is no index 100000"), "{}", text(&beyond.stderr));
}

#[test]
fn an_export_goes_on_where_it_broke_off_and_is_what_its_manifest_says() {
    let desk = Desk::with_token();
    let many: String = (0..9_000)
        .map(|number| format!("{{\"action\":\"many\",\"resource\":\"审计 {number}\"}}\n"))
        .collect();
    assert_eq!(desk.server.send("own", many).status, 200);
    let bridge = Bridge::to(desk.server.address, 1 << 20);
    let token = desk.test_dir.path("user-token");
    let out = desk.test_dir.path("out");
    std::fs::create_dir(&out).unwrap();
    let file = |name: &str| out.join(name);
    let export = |url: &str, output: &str, more: &[&str]| {
        let mut command = desk.command();
        command.args(["export", "action:many", "--url", url, "--token-file"]).arg(&token);
        command.args(["--to", output]).args(more).current_dir(&out).output().unwrap()
    };
    let direct = desk.url();
    for format in ["ndjson", "csv", "parquet", "ocsf"] {
        let more = ["-o", format, "--as-of", "9050"];
        let broken = export(&bridge.url(), &format!("broken.{format}"), &more);
        assert!(broken.status.success(), "{format}: {}", text(&broken.stderr));
        let whole = export(&direct, &format!("whole.{format}"), &more);
        assert!(whole.status.success(), "{format}: {}", text(&whole.stderr));
        let read = |name: &str| std::fs::read(file(&format!("{name}.{format}"))).unwrap();
        assert!(read("broken") == read("whole"), "{format}");
        let manifest: Value = serde_json::from_slice(
            &std::fs::read(file(&format!("whole.{format}.manifest.json"))).unwrap(),
        )
        .unwrap();
        assert_eq!(manifest["bytes"], read("whole").len());
        let streamed = export(&bridge.url(), "-", &more);
        assert!(
            streamed.status.success() && streamed.stdout == read("whole"),
            "{format}: {}",
            text(&streamed.stderr)
        );
    }
    assert!(bridge.broken.load(Ordering::Relaxed) > 3, "connections broke");
    // The directory gives the same bytes and no manifest.
    let data = desk.test_dir.data();
    for format in ["ndjson", "csv", "parquet", "ocsf"] {
        let (name, whole) = (format!("direct.{format}"), file(&format!("whole.{format}")));
        let mut command = desk.command();
        command.args(["export", "action:many", "--own", "-o", format, "--as-of", "9050"]);
        command.args(["--to", &name]);
        let output = command.arg("--data-dir").arg(&data).current_dir(&out).output().unwrap();
        assert!(output.status.success(), "{format}: {}", text(&output.stderr));
        assert!(std::fs::read(file(&name)).unwrap() == std::fs::read(whole).unwrap(), "{format}");
        assert!(text(&output.stderr).contains("no manifest"), "{}", text(&output.stderr));
        assert!(
            !file(&format!("{name}.manifest.json")).exists()
                && !file(&format!("{name}.part")).exists()
        );
    }
    // A search has the same lines as an export.
    let here = ["--url", &direct, "--token-file", token.to_str().unwrap()];
    for format in ["csv", "ndjson"] {
        let search =
            ["search", "action:many", "--as-of", "9050", "--order", "asc", "--all", "-o", format];
        let searched = desk.says(&[&search[..], &here].concat());
        assert!(
            searched.as_bytes() == std::fs::read(file(&format!("whole.{format}"))).unwrap(),
            "{format}"
        );
    }
    let there = export(&direct, "whole.csv", &["-o", "csv"]);
    assert_eq!(there.status.code(), Some(2));
    assert!(text(&there.stderr).contains("--force"), "{}", text(&there.stderr));
    assert!(export(&direct, "whole.csv", &["-o", "csv", "--force"]).status.success());
    // The rest of a killed run is the beginning of the same file and of no other.
    let whole = std::fs::read(file("whole.ndjson")).unwrap();
    let query = "q=action%3Amany&format=ndjson&as_of=9050";
    let head = desk.server.request(
        "GET",
        &format!("/api/v1/export?{query}"),
        &[("X-Auth-Token", "token of auditor"), ("Connection", "close")],
        b"",
    );
    let left = serde_json::json!({
        "requested": format!("{direct}?{query}"),
        "query": head.headers["content-location"].split_once('?').unwrap().1,
        "mark": head.headers["etag"],
        "rows": 9000,
    });
    let leave = |part: &[u8]| {
        std::fs::write(file("late.ndjson.part"), part).unwrap();
        std::fs::write(file("late.ndjson.part.json"), left.to_string()).unwrap();
    };
    leave(&whole[..whole.len() / 2]);
    let other = export(&direct, "late.ndjson", &["-o", "csv"]);
    assert!(
        other.status.code() == Some(2) && text(&other.stderr).contains("another export"),
        "{}",
        text(&other.stderr)
    );
    let late = export(&direct, "late.ndjson", &["--as-of", "9050"]);
    assert!(late.status.success(), "{}", text(&late.stderr));
    assert!(std::fs::read(file("late.ndjson")).unwrap() == whole);
    assert!(!file("late.ndjson.part").exists() && !file("late.ndjson.part.json").exists());
    // A changed half of a file is detected, and not resumed again.
    std::fs::remove_file(file("late.ndjson")).unwrap();
    let mut spoiled = whole[..whole.len() / 2].to_vec();
    spoiled[1000] ^= 1;
    leave(&spoiled);
    let refuted = export(&direct, "late.ndjson", &["--as-of", "9050"]);
    assert_eq!(refuted.status.code(), Some(5), "{}", text(&refuted.stderr));
    assert!(!file("late.ndjson").exists() && !file("late.ndjson.part").exists());
}

#[test]
fn a_closed_pipe_ends_a_command_that_waits() {
    let desk = Desk::new();
    let data = desk.test_dir.data();
    let waiting = [
        &["tail", "--from", "0"][..],
        &["tail", "--from", "0", "--data-dir", data.to_str().unwrap()],
        &["search", "--all", "-o", "ndjson"],
    ];
    for arguments in waiting {
        let mut command = desk.command();
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "{arguments:?}");
        drop(output);
        let mut status = None;
        crate::harness::becomes_true(|| {
            status = child.try_wait().unwrap();
            status.is_some()
        });
        assert!(status.unwrap().success(), "{arguments:?}: {status:?}");
    }
}

#[test]
fn a_login_is_a_profile_and_a_logout_ends_its_token() {
    let desk = Desk::with_token();
    let url = desk.url();
    let password = desk.test_dir.path("password");
    let run = |arguments: &[&str]| {
        let output = desk.command().args(arguments).output().unwrap();
        (output.status.code().unwrap(), text(&output.stdout) + &text(&output.stderr))
    };
    let file = password.to_str().unwrap();
    let log_in = ["login", &url, "--profile", "mine", "--user", "auditor", "--password-file", file];
    let (code, said) = run(&log_in);
    assert!(code == 0 && said.contains("logged in") && said.contains("valid until"), "{said}");
    let (_, shown) = run(&["profile", "show"]);
    assert!(shown.contains("profile: mine") && shown.contains("a token until"), "{shown}");
    assert_eq!(run(&["search", "action:turn", "-n", "1"]).0, 0);
    // The next login needs no more than the password.
    assert_eq!(run(&["login", "--password-file", file]).0, 0);
    let (code, said) = run(&["logout"]);
    assert!(code == 0 && said.contains("logged out of profile mine"), "{said}");
    let (code, said) = run(&["search", "action:turn"]);
    assert!(code == 1 && said.contains("no credentials were shown"), "{said}");
    let (code, said) = run(&["logout"]);
    assert!(code == 2 && said.contains("has no token"), "{said}");
    std::fs::write(&password, "not the password").unwrap();
    let (code, said) = run(&["login", "--password-file", file]);
    assert!(code == 1 && said.contains("wrong user, domain or password"), "{said}");
    let (code, said) = run(&["login", "http://127.0.0.1:9", "--profile", "mine", "--user", "x"]);
    assert!(code == 2 && said.contains("profile mine is of"), "{said}");
    let token = desk.test_dir.path("wrong-token");
    std::fs::write(&token, "made up").unwrap();
    let (code, said) =
        run(&["search", "x", "--url", &url, "--token-file", token.to_str().unwrap()]);
    assert!(code == 1 && said.contains("wrong-token was shown"), "{said}");
}

#[test]
fn a_profile_is_not_overwritten_unasked_and_wins_over_the_environment() {
    let desk = Desk::new();
    let url = desk.url();
    let run = |arguments: &[&str]| {
        let mut command = desk.command();
        command.args(arguments).env("DAYBOOK_DATA_DIR", desk.test_dir.data());
        let output = command.output().unwrap();
        (output.status.code().unwrap(), text(&output.stdout) + &text(&output.stderr))
    };
    let (code, said) = run(&["profile", "add", "here", "--url", &url]);
    assert!(code == 2 && said.contains("--replace"), "{said}");
    let (code, said) = run(&["search", "action:turn", "-n", "1"]);
    assert!(code == 0 && said.contains("of profile here, not the directory"), "{said}");
    assert_eq!(run(&["profile", "add", "here", "--url", &url, "--replace"]).0, 0);
    let (code, said) = run(&["search", "action:turn"]);
    assert!(code == 1 && said.contains("no credentials were shown"), "{said}");
    assert_eq!(run(&["profile", "remove", "here"]).0, 0);
    let (code, said) = run(&["search", "action:turn", "-n", "1"]);
    assert!(code == 0 && !said.contains("profile"), "{said}");
}
