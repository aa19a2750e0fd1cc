//! What the log gives out is checked by `daybook verify` without the server, and nothing that was
//! changed passes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tlog::{Checkpoint, Note, Verifier};

use crate::estate::{
    APP_CODE, DATABASE, DBAUDIT, Estate, HCSO_CODE, LATER, REGISTRY, REPOSITORY, TENANT, key_of,
};
use crate::evidence::{copy, covering, key_of as log_key, send};
use crate::harness::{
    ACCESS_KEY, Daybook, OPERATOR_KEY, PROJECT, SECRET, TestDir, becomes_true, daybook, now, sign,
    text,
};
use crate::transcripts::samples;

/// Exit codes, as `daybook verify --help` lists them.
pub const VERIFIED: i32 = 0;
pub const UNKNOWN: i32 = 1;
pub const USAGE: i32 = 2;
pub const REFUTED: i32 = 5;

/// Runs `daybook verify` with the key of this log.
pub fn verify(test_dir: &TestDir, arguments: &[&str]) -> Output {
    let key = log_key(test_dir).to_string();
    daybook().args(["verify", "--key", &key]).args(arguments).output().unwrap()
}

#[track_caller]
pub fn exits(output: &Output, code: i32) -> String {
    let said = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    said
}

fn write(test_dir: &TestDir, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = test_dir.path(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn named(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A generator of numbers that tests choose by.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, end: usize) -> usize {
        // Knuth's MMIX generator; its upper bits are the better ones.
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }
}

#[test]
fn a_proof_is_checked_without_the_log() {
    let test_dir = TestDir::new();
    let server = test_dir.serve();
    send(&server, 0..7);
    let own = covering(&server, &log_key(&test_dir), 7).size - 7;
    let path = |index: u64, query: &str| format!("/api/v1/events/{index}/proof{query}");
    // The last event is one of the registry.
    let index = own + 6;
    let bare = server.request("GET", &path(index, ""), &[], b"");
    assert_eq!(
        (bare.status, &bare.headers["cache-control"][..]),
        (200, "no-store"),
        "{}",
        bare.text()
    );
    assert!(bare.body.len() < 2048, "{} bytes", bare.body.len());
    let whole = server.signed_by(ACCESS_KEY, "GET", &path(index, "?entry=true"), b"");
    assert_eq!(whole.status, 200, "{}", whole.text());
    let proof = write(&test_dir, "proof", &whole.body);
    let said = exits(&verify(&test_dir, &[named(&proof)]), VERIFIED);
    assert!(said.starts_with(&format!("verified: event {index} of test.example/log\n")), "{said}");
    // The same from the data directory, beside the server.
    let (data, printed) = (test_dir.data(), test_dir.path("printed"));
    let prove = |index: u64, more: &[&str]| {
        let index = index.to_string();
        daybook().args(["prove", &index, "--data-dir", named(&data)]).args(more).output().unwrap()
    };
    exits(&prove(index, &["--entry", "--to", named(&printed)]), 0);
    exits(&verify(&test_dir, &[named(&printed)]), VERIFIED);
    let url = format!("http://{}", server.address);
    let proved = daybook().args(["prove", &index.to_string(), "--url", &url]).output().unwrap();
    assert!(proved.status.success() && proved.stdout.starts_with(b"c2sp.org/tlog-proof@v1\n"));
    let beyond = exits(&prove(1 << 40, &[]), 1);
    assert!(beyond.contains("no event 1099511627776"), "{beyond}");
    // With the entry in a file of its own, and the bytes as received.
    let stored = store::Contents::read(&disk(&data)).unwrap().stored_event(index).unwrap().unwrap();
    let (bare, entry, raw) = (
        write(&test_dir, "bare", &bare.body),
        write(&test_dir, "entry", &stored.entry),
        write(&test_dir, "raw", &stored.raw),
    );
    let with = ["--entry", named(&entry), "--raw", named(&raw)];
    exits(&verify(&test_dir, &[&[named(&bare)], &with[..]].concat()), VERIFIED);
    let said = exits(&verify(&test_dir, &[named(&bare)]), UNKNOWN);
    assert!(said.contains("--entry"), "{said}");
    let other = write(&test_dir, "other", b"other bytes");
    exits(&verify(&test_dir, &[named(&proof), "--raw", named(&other)]), REFUTED);
    exits(&verify(&test_dir, &[named(&proof), "--entry", named(&raw)]), REFUTED);
    // Another log's key.
    exits(&verify(&TestDir::new(), &[named(&proof)]), REFUTED);
    // Any byte changed.
    let mut random = Random(7);
    let changed = test_dir.path("changed");
    for _ in 0..60 {
        let mut bytes = whole.body.clone();
        let at = random.below(bytes.len());
        bytes[at] ^= 1 << random.below(7);
        fs::write(&changed, &bytes).unwrap();
        let output = verify(&test_dir, &[named(&changed)]);
        assert!(
            matches!(output.status.code(), Some(UNKNOWN | REFUTED)),
            "byte {at}: {}",
            text(&output.stdout)
        );
    }
    // The entry is for those who may read the event, and its reading is recorded.
    assert_eq!(server.request("GET", &path(index, "?entry=true"), &[], b"").status, 401);
    assert_eq!(server.signed_by(ACCESS_KEY, "GET", &path(0, "?entry=true"), b"").status, 403);
    assert_eq!(server.signed_by(OPERATOR_KEY, "GET", &path(index, "?entry=true"), b"").status, 403);
    assert_eq!(server.signed_by(OPERATOR_KEY, "GET", &path(0, "?entry=true"), b"").status, 200);
    assert_eq!(server.request("GET", &path(1 << 40, ""), &[], b"").status, 404);
    let refused = server.request("GET", "/api/v1/events/x/proof", &[], b"");
    assert_eq!(
        (refused.status, &refused.headers["content-type"][..]),
        (400, "application/problem+json")
    );
    for wrong in ["?entry=1", "?entry="] {
        assert_eq!(server.request("GET", &path(index, wrong), &[], b"").status, 400, "{wrong}");
    }
    becomes_true(|| test_dir.acts("daybook.ProveEvent").len() == 5);
}

fn disk(data: &Path) -> std::sync::Arc<dyn store::durable::Disk> {
    std::sync::Arc::new(store::durable::Local::open(data))
}

fn checkpoint_of(server: &Daybook) -> Vec<u8> {
    server.request("GET", "/tlog/checkpoint", &[], b"").body
}

/// How many events the checkpoint in a file is for.
fn size_of(checkpoint: &Path) -> u64 {
    let note = fs::read(checkpoint).unwrap();
    Checkpoint::parse(Note::parse(&note).unwrap().text()).unwrap().size
}

#[test]
fn a_monitor_notices_a_log_that_went_back_or_was_rewritten() {
    let test_dir = TestDir::new();
    let server = test_dir.serve();
    send(&server, 0..5);
    covering(&server, &log_key(&test_dir), 5);
    let state = test_dir.path("state");
    let look = |server: &Daybook| {
        let url = format!("http://{}/", server.address);
        verify(&test_dir, &[&url, "--state", named(&state)])
    };
    assert!(exits(&look(&server), VERIFIED).contains("events\n"));
    assert_eq!(server.stop(), Some(0));
    let old = test_dir.path("old");
    copy(&test_dir.data(), &old);
    let server = test_dir.serve();
    // A log of the same name that another key signs.
    let other = TestDir::new();
    let stranger = log_key(&other).to_string();
    let url = format!("http://{}", server.address);
    let output = daybook().args(["verify", &url, "--key", &stranger]).output().unwrap();
    exits(&output, REFUTED);
    send(&server, 5..300);
    let newest = covering(&server, &log_key(&test_dir), 300);
    let said = exits(&look(&server), VERIFIED);
    assert!(said.contains("more than before"), "{said}");
    let monday = write(&test_dir, "monday", fs::read(&state).unwrap());
    assert!(size_of(&state) >= newest.size);
    exits(&look(&server), VERIFIED);
    send(&server, 300..310);
    covering(&server, &log_key(&test_dir), 310);
    let friday = write(&test_dir, "friday", checkpoint_of(&server));
    let url = format!("http://{}", server.address);
    for log in [&url[..], test_dir.data().to_str().unwrap()] {
        let pair = verify(&test_dir, &[named(&friday), named(&monday), "--log", log]);
        assert!(exits(&pair, VERIFIED).contains("only grew"));
    }
    exits(&verify(&test_dir, &[named(&monday), named(&friday)]), USAGE);
    exits(&verify(&test_dir, &[named(&monday)]), USAGE);
    exits(&verify(&test_dir, &["http://127.0.0.1:1", "--state", named(&state)]), UNKNOWN);
    assert_eq!(server.stop(), Some(0));
    // The old copy, served as another machine would: with a guard of its own.
    let (data, new) = (test_dir.data(), test_dir.path("new"));
    fs::rename(&data, &new).unwrap();
    copy(&old, &data);
    fs::remove_dir_all(test_dir.path("data.guard")).unwrap();
    accept(&test_dir);
    let server = test_dir.serve();
    let said = exits(&look(&server), REFUTED);
    assert!(said.contains("rolled back"), "{said}");
    // And once it has as many events again.
    send(&server, 1000..1310);
    covering(&server, &log_key(&test_dir), size_of(&friday));
    let said = exits(&look(&server), REFUTED);
    assert!(said.contains("rewritten"), "{said}");
    assert_eq!(
        fs::read(&state).unwrap(),
        fs::read(&monday).unwrap(),
        "what was refuted is not remembered"
    );
    let url = format!("http://{}", server.address);
    let forked = write(&test_dir, "forked", checkpoint_of(&server));
    for log in [&url[..], test_dir.data().to_str().unwrap()] {
        exits(&verify(&test_dir, &[named(&friday), named(&forked), "--log", log]), REFUTED);
    }
    // Stored checkpoints are held against a directory.
    assert_eq!(server.stop(), Some(0));
    exits(&verify(&test_dir, &[named(&data), "--since", named(&forked)]), VERIFIED);
    exits(&verify(&test_dir, &[named(&data), "--since", named(&monday)]), REFUTED);
    exits(
        &verify(&test_dir, &[named(&new), "--since", named(&monday), "--since", named(&friday)]),
        VERIFIED,
    );
    exits(&verify(&test_dir, &[named(&old), "--state", named(&state)]), REFUTED);
    exits(&verify(&test_dir, &[named(&new), "--state", named(&state)]), VERIFIED);
    assert_ne!(fs::read(&state).unwrap(), fs::read(&monday).unwrap());
}

/// Says on record that the log of a directory is to go on as it is.
pub fn accept(test_dir: &TestDir) -> String {
    let output = daybook()
        .args(["guard", "accept", "--reason", "a test", "--config"])
        .arg(test_dir.path("daybook.toml"))
        .arg("--data-dir")
        .arg(test_dir.data())
        .output()
        .unwrap();
    exits(&output, 0)
}

#[test]
fn every_answer_can_carry_a_receipt() {
    let estate = Estate::new();
    estate.lay_down_token("token of reader", "reader", "", LATER);
    let server = estate.serve();
    let test_dir = &estate.test_dir;
    for (source, lines) in samples() {
        server.take(source, lines);
    }
    covering(&server, &log_key(test_dir), server.events());
    let url = format!("http://{}", server.address);
    let hcs = [
        ("X-APIG-Appcode", APP_CODE),
        ("x-hcso-appcode", HCSO_CODE),
        ("x-hcso-domainid", TENANT),
        ("x-auth-token", "token of reader"),
    ];
    let signed =
        |method: &'static str, target: String, body: &'static str| (method, target, body, None);
    let mut rows = 0;
    for (method, target, body, headers) in [
            signed("GET", format!("/v2/{PROJECT}/instances/{REGISTRY}/audit-logs?operation=pull"), ""),
            signed("GET", format!("/cloudartifact/v5/{TENANT}/{PROJECT}/file/{REPOSITORY}/audit"), ""),
            signed(
                "GET",
                format!("/v3/{PROJECT}/instances/{DATABASE}/audit-logs?start_time=2019-11-06T00:00:00Z&end_time=2019-11-07T00:00:00Z"),
                "",
            ),
            signed(
                "POST",
                format!("/v1/{PROJECT}/audit/{DBAUDIT}/operation-log"),
                r#"{"time":{},"page":1,"size":10}"#,
            ),
            (
                "GET",
                "/rest/dataapi/homs/open-api/v1/cloudAuditlog?begin_time=0&end_time=4102444800000&page_size=10&offset_value=0".to_owned(),
                "",
                Some(hcs),
            ),
        ] {
            let ask = |receipt: &'static [(&'static str, &'static str)]| {
                let mut all: Vec<(String, String)> = match &headers {
                    Some(headers) => headers.map(|(a, b)| (a.to_owned(), b.to_owned())).to_vec(),
                    None => sign(server.address, &key_of("reader"), SECRET, method, &target, body.as_bytes(), now()),
                };
                all.extend(receipt.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())));
                let all: Vec<(&str, &str)> =
                    all.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
                server.request(method, &target, &all, body.as_bytes())
            };
            let plain = ask(&[]);
            assert_eq!(plain.status, 200, "{target}: {}", plain.text());
            assert!(!plain.headers.contains_key("x-daybook-receipt"), "off unless requested");
            let answer = ask(&[("X-Daybook-Receipt", "true")]);
            assert_eq!(answer.status, 200, "{target}: {}", answer.text());
            let receipt = write(test_dir, "receipt", &answer.headers["x-daybook-receipt"]);
            let body_file = write(test_dir, "answer", &answer.body);
            let check = |more: &[&str]| {
                verify(test_dir, &[&["--receipt", named(&receipt)][..], more].concat())
            };
            for log in [&url[..], test_dir.data().to_str().unwrap()] {
                becomes_true(|| {
                    // What was recorded a moment ago may not be signed yet.
                    check(&["--log", log, "--answer", named(&body_file)]).status.code() == Some(VERIFIED)
                });
            }
            let said = exits(&check(&["--log", &url]), VERIFIED);
            let request = format!("request: {method} {}", target.replace('"', ""));
            assert!(said.contains(&request) && said.contains("caller: reader"), "{said}");
            rows += said.lines().find_map(|line| line.strip_prefix("rows: ")?.split(' ').next()?.parse::<u64>().ok()).unwrap();
            assert!(exits(&check(&[]), VERIFIED).contains("only the signature"));
            let other = write(test_dir, "other", b"{}");
            exits(&check(&["--log", &url, "--answer", named(&other)]), REFUTED);
            // Any character changed.
            let mut random = Random(11);
            for _ in 0..12 {
                let mut bytes = answer.headers["x-daybook-receipt"].clone().into_bytes();
                let at = random.below(bytes.len());
                bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
                fs::write(&receipt, &bytes).unwrap();
                exits(&check(&["--log", &url]), REFUTED);
            }
        }
    assert!(rows > 10, "{rows} rows were shown");
    // Receipts of rows that the log does not have there, and of a log that went another way,
    // signed by its key.
    let key = fs::read_to_string(test_dir.data().join("keys/log.key")).unwrap();
    let signer = tlog::Signer::parse(key.trim_end()).unwrap();
    let answer = server.signed_by(
        &key_of("reader"),
        "GET",
        &format!("/v2/{PROJECT}/instances?limit=1"),
        b"",
    );
    assert_eq!(answer.status, 200);
    let headers = sign(
        server.address,
        &key_of("reader"),
        SECRET,
        "GET",
        &format!("/v2/{PROJECT}/instances/{REGISTRY}/audit-logs?operation=pull"),
        b"",
        now(),
    );
    let mut headers: Vec<(&str, &str)> =
        headers.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    headers.push(("X-Daybook-Receipt", "true"));
    let answer = server.request(
        "GET",
        &format!("/v2/{PROJECT}/instances/{REGISTRY}/audit-logs?operation=pull"),
        &headers,
        b"",
    );
    let note = BASE64_STANDARD.decode(&answer.headers["x-daybook-receipt"]).unwrap();
    let text = Note::parse(&note).unwrap().text().to_owned();
    let line = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    let zeros = BASE64_STANDARD.encode([0; 32]);
    let root = line("tree ").rsplit_once(' ').unwrap().0.to_owned();
    for (from, to) in
        [(line("digests "), format!("digests {zeros}")), (line("tree "), format!("{root} {zeros}"))]
    {
        let mut forged = Note::new(text.replace(&from, &to)).unwrap();
        forged.add(signer.sign(forged.text(), 0));
        let receipt = write(test_dir, "receipt", BASE64_STANDARD.encode(forged.to_string()));
        for log in [&url[..], test_dir.data().to_str().unwrap()] {
            exits(&verify(test_dir, &["--receipt", named(&receipt), "--log", log]), REFUTED);
        }
    }
}

#[test]
fn receipts_may_be_for_every_answer() {
    let test_dir = TestDir::with_settings("[evidence]\nreceipts = true\n");
    let server = test_dir.serve();
    let target = format!("/v2/{PROJECT}/instances/hub/audit-logs?operation=pull");
    send(&server, 0..3);
    assert!(server.signed_get(&target).headers.contains_key("x-daybook-receipt"));
    assert!(
        !server.signed_get(&target.replace("pull", "no")).headers.contains_key("x-daybook-receipt"),
        "a refusal has none"
    );
}

#[test]
fn a_key_is_replaced_while_the_log_is_served_and_on_record() {
    let test_dir = TestDir::new();
    let old = log_key(&test_dir);
    let server = test_dir.serve();
    send(&server, 0..3);
    covering(&server, &old, 3);
    let key = |arguments: &[&str], code: i32| {
        let output = daybook()
            .arg("key")
            .args(arguments)
            .arg("--data-dir")
            .arg(test_dir.data())
            .output()
            .unwrap();
        exits(&output, code)
    };
    let hash = |key: &Verifier| format!("{:08x}", key.key_id());
    assert!(key(&["retire", &hash(&old)], 1).contains("no other key"));
    assert!(key(&["retire", "00000000"], 1).contains("no key of the log has the hash"));
    let new = Verifier::parse(key(&["rotate"], 0).trim_end()).unwrap();
    assert_eq!((new.name(), key(&["show"], 0)), (old.name(), format!("{old}\n{new}\n")));
    // Both sign, and it is on record.
    let signs = |key: &Verifier| {
        let note = Note::parse(&checkpoint_of(&server)).unwrap();
        matches!(note.verify(key), Ok(Some(_)))
    };
    becomes_true(|| signs(&new));
    assert!(signs(&old));
    assert_eq!((test_dir.acts("key.rotate").len(), test_dir.acts("key.retire").len()), (1, 0));
    let url = format!("http://{}", server.address);
    let verify = |key: &Verifier| {
        daybook().args(["verify", &url, "--key", &key.to_string()]).output().unwrap()
    };
    exits(&verify(&old), VERIFIED);
    exits(&verify(&new), VERIFIED);
    key(&["retire", &hash(&old)], 0);
    becomes_true(|| !signs(&old));
    assert!(signs(&new));
    exits(&verify(&old), REFUTED);
    exits(&verify(&new), VERIFIED);
    assert_eq!((test_dir.acts("key.rotate").len(), test_dir.acts("key.retire").len()), (1, 1));
    assert_eq!(server.stop(), Some(0));
    // While no server runs: the next start takes it up.
    let third = Verifier::parse(key(&["rotate"], 0).trim_end()).unwrap();
    let server = test_dir.serve();
    becomes_true(|| {
        matches!(Note::parse(&checkpoint_of(&server)).unwrap().verify(&third), Ok(Some(_)))
    });
    assert_eq!(test_dir.acts("key.rotate").len(), 2);
    assert_eq!(server.stop(), Some(0));
    assert_eq!(test_dir.serve().stop(), Some(0));
}

/// The commands of docs/security.md, as they stand there, on a copy that nothing is written to.
#[test]
fn an_audit_from_a_stick_takes_five_commands() {
    let test_dir = TestDir::new();
    let server = test_dir.serve();
    send(&server, 0..5);
    covering(&server, &log_key(&test_dir), 5);
    write(&test_dir, "last.checkpoint", checkpoint_of(&server));
    send(&server, 5..20);
    assert_eq!(server.send("hub", "no notification").status, 400);
    assert_eq!(server.stop(), Some(0));
    copy(&test_dir.data(), &test_dir.path("log"));
    write(&test_dir, "log.vkey", format!("{}\n", log_key(&test_dir)));
    let page = fs::read_to_string(crate::harness::workspace().join("docs/security.md")).unwrap();
    let (_, section) = page.split_once("## An audit from a USB stick").unwrap();
    let block = section.split_once("```sh\n").unwrap().1.split_once("```").unwrap().0;
    let commands: Vec<&str> = block.lines().collect();
    assert_eq!(commands.len(), 5);
    let before = listing(&test_dir.path("log"));
    for command in commands {
        let arguments: Vec<&str> = command.split(' ').collect();
        assert_eq!(arguments[0], "daybook");
        let output =
            daybook().args(&arguments[1..]).current_dir(test_dir.temp.path()).output().unwrap();
        let said = exits(&output, 0);
        assert!(
            !arguments.contains(&"verify") || said.starts_with("verified"),
            "{command}: {said}"
        );
    }
    assert_eq!(listing(&test_dir.path("log")), before, "nothing was written");
}

/// Every file below a folder, with its bytes.
fn listing(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(listing(&path));
        } else {
            found.push((path.clone(), fs::read(path).unwrap()));
        }
    }
    found.sort();
    found
}

#[test]
fn what_demands_a_check_that_is_not_made_is_refused() {
    let test_dir = TestDir::new();
    let server = test_dir.serve();
    send(&server, 0..3);
    covering(&server, &log_key(&test_dir), 3);
    let proof = server.request("GET", "/api/v1/events/0/proof", &[], b"");
    let proof = write(&test_dir, "proof", &proof.body);
    let (checkpoint, empty) =
        (write(&test_dir, "checkpoint", checkpoint_of(&server)), write(&test_dir, "empty", " \n"));
    let (proof, checkpoint, data) = (named(&proof), named(&checkpoint), test_dir.data());
    let url = format!("http://{}", server.address);
    for arguments in [
        &[proof, "--state", "state"][..],
        &[proof, "--since", checkpoint],
        &[proof, "--log", &url],
        &[named(&data), "--log", &url],
        &[named(&data), "--entry", proof],
        &[&url, "--raw", proof],
        &[checkpoint, checkpoint, "--log", &url, "--state", "state"],
        &["--receipt", proof, &url],
        &["--receipt", proof, "--since", checkpoint],
        &[proof, "--answer", proof],
        &[proof, "--witness", named(&empty)],
        &[&url, "--witness", &log_key(&test_dir).to_string()],
        &[],
    ] {
        let output = verify(&test_dir, arguments);
        assert_eq!(output.status.code(), Some(USAGE), "{arguments:?}: {}", text(&output.stderr));
    }
    let output = daybook().args(["verify", "--key", named(&empty), &url]).output().unwrap();
    assert!(exits(&output, USAGE).contains("there is no key in"));
}

#[test]
fn a_key_that_is_retired_while_no_server_runs_is_on_record() {
    let test_dir = TestDir::new();
    let old = log_key(&test_dir);
    let key = |arguments: &[&str]| {
        let output = daybook()
            .arg("key")
            .args(arguments)
            .arg("--data-dir")
            .arg(test_dir.data())
            .output()
            .unwrap();
        exits(&output, 0)
    };
    let server = test_dir.serve();
    let new = Verifier::parse(key(&["rotate"]).trim_end()).unwrap();
    becomes_true(|| {
        matches!(Note::parse(&checkpoint_of(&server)).unwrap().verify(&new), Ok(Some(_)))
    });
    assert_eq!(server.stop(), Some(0));
    key(&["retire", &format!("{:08x}", old.key_id())]);
    let server = test_dir.serve();
    becomes_true(|| test_dir.acts("key.retire").len() == 1);
    assert!(test_dir.acts("key.retire")[0].contains(&format!("{:08x}", old.key_id())));
    becomes_true(|| Note::parse(&checkpoint_of(&server)).unwrap().verify(&old) == Ok(None));
    assert_eq!(server.stop(), Some(0));
    assert_eq!(test_dir.serve().stop(), Some(0));
    assert_eq!(test_dir.acts("key.retire").len(), 1);
    // A log whose newest checkpoint is of keys that are gone is accepted with those that there are.
    let other = TestDir::new();
    fs::copy(other.data().join("keys/log.key"), test_dir.data().join("keys/log.key")).unwrap();
    accept(&test_dir);
    let server = test_dir.serve();
    let url = format!("http://{}", server.address);
    let output =
        daybook().args(["verify", &url, "--key", &log_key(&other).to_string()]).output().unwrap();
    exits(&output, VERIFIED);
    exits(&verify(&test_dir, &[&url]), VERIFIED);
}
