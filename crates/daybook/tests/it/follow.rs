//! Files that are followed and imported: every line once, through every kind of rotation, and
//! whenever the server is killed.
//!
//! The lines are of MariaDB's audit plugin, which have no ids: only its position distinguishes a
//! line that is read again. `DAYBOOK_KILLS` asks for another number of kills, `DAYBOOK_SEED` for
//! another seed.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::harness::{Daybook, PROJECT, TestDir, becomes_true, daybook, text};

const KILLS: usize = 30;
/// After so many kills a new log is begun, because all of it is read in the end.
const KILLS_OF_A_LOG: usize = 40;

/// A directory with a source of a database's lines, which follows what `follow` says.
fn test_dir_that(follow: &str) -> TestDir {
    let test_dir = TestDir::new();
    fs::create_dir(test_dir.path("logs")).unwrap();
    let stanza = format!(
        "[[source]]\nname = \"db\"\nformat = \"mariadb-audit\"\ntoken = {{ file = \"token\" }}\n\
         trail = {{ service = \"database\", tenant = \"acme\", project = \"{PROJECT}\", instance = \"db\" }}\n{follow}\n"
    );
    let mut config = OpenOptions::new().append(true).open(test_dir.path("daybook.toml")).unwrap();
    config.write_all(stanza.as_bytes()).unwrap();
    test_dir
}

fn following() -> TestDir {
    test_dir_that("follow = { paths = [\"logs/server_audit.log*\", \"logs/*.csv\"] }")
}

fn line(number: usize) -> String {
    let padding = "x".repeat(number % 97);
    format!(
        "20261120 18:09:48,vm,root,localhost,4,{number},QUERY,,'SELECT {number} /* {padding} */',0\n"
    )
}

fn append(path: &Path, bytes: impl AsRef<[u8]>) {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .unwrap()
        .write_all(bytes.as_ref())
        .unwrap();
}

fn gzip(path: &Path) {
    let mut name = path.as_os_str().to_owned();
    name.push(".gz");
    let mut out = GzEncoder::new(File::create(&name).unwrap(), Compression::fast());
    out.write_all(&fs::read(path).unwrap()).unwrap();
    out.finish().unwrap();
    fs::remove_file(path).unwrap();
}

/// Every line of the source in the log, and how often it is there; beside a running server too.
fn recorded(test_dir: &TestDir) -> BTreeMap<String, usize> {
    recorded_with_keys(test_dir).into_iter().map(|(line, keys)| (line, keys.len())).collect()
}

fn recorded_with_keys(test_dir: &TestDir) -> BTreeMap<String, Vec<String>> {
    let disk: Arc<dyn store::durable::Disk> =
        Arc::new(store::durable::Local::open(&test_dir.data()));
    let log = store::Contents::read(&disk).unwrap();
    let mut lines = BTreeMap::new();
    for index in 0..log.head().0 {
        let stored = log.stored_event(index).unwrap().unwrap();
        if stored.trail.instance() == "db" {
            let entry: serde_json::Value = serde_json::from_slice(&stored.entry).unwrap();
            let keys: &mut Vec<String> = lines.entry(text(&stored.raw)).or_default();
            keys.push(entry["source"]["key"].as_str().unwrap().to_owned());
        }
    }
    lines
}

/// Whether the lines up to this one are recorded, each once, and nothing else.
fn compare(test_dir: &TestDir, last: usize) -> Result<(), String> {
    let found = recorded_with_keys(test_dir);
    for number in 1..=last {
        match found.get(line(number).trim_end()) {
            Some(keys) if keys.len() == 1 => {}
            keys => {
                return Err(format!("line {number} of {last} is there under the keys {keys:?}"));
            }
        }
    }
    match found.len() {
        count if count == last => Ok(()),
        count => Err(format!("{count} different lines are there, and {last} were written")),
    }
}

fn becomes_recorded(test_dir: &TestDir, last: usize) {
    let mut result = Ok(());
    let deadline = Instant::now() + crate::harness::PATIENCE;
    while Instant::now() < deadline {
        result = compare(test_dir, last);
        if result.is_ok() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{result:?}");
}

#[test]
fn every_kind_of_rotation_keeps_every_line() {
    let test_dir = following();
    let log = test_dir.path("logs/server_audit.log");
    let lines =
        |numbers: std::ops::RangeInclusive<usize>| -> String { numbers.map(line).collect() };
    append(&log, lines(1..=5));
    let server = test_dir.serve();
    becomes_recorded(&test_dir, 5);
    // Renamed, with lines that were not read yet, and begun anew.
    append(&log, lines(6..=10));
    fs::rename(&log, test_dir.path("logs/server_audit.log.1")).unwrap();
    append(&log, lines(11..=15));
    becomes_recorded(&test_dir, 15);
    // Copied, and emptied.
    append(&log, lines(16..=20));
    fs::copy(&log, test_dir.path("logs/server_audit.log.copy")).unwrap();
    File::create(&log).unwrap();
    append(&log, lines(21..=25));
    becomes_recorded(&test_dir, 25);
    // Compressed, once it was read.
    gzip(&test_dir.path("logs/server_audit.log.1"));
    gzip(&test_dir.path("logs/server_audit.log.copy"));
    // Under new names.
    append(&test_dir.path("logs/one.csv"), lines(26..=30));
    append(&test_dir.path("logs/two.csv"), lines(31..=35));
    becomes_recorded(&test_dir, 35);
    // A line is recorded once it is whole.
    let (half, rest) = (&line(36)[..20], &line(36)[20..]);
    append(&log, half);
    append(&test_dir.path("logs/two.csv"), line(37));
    std::thread::sleep(Duration::from_millis(600));
    assert_eq!(recorded(&test_dir).len(), 36);
    append(&log, rest);
    becomes_recorded(&test_dir, 37);
    assert_eq!(server.stop(), Some(0));
    // Rotated, compressed and gone on with while no server ran.
    append(&log, lines(38..=40));
    fs::rename(&log, test_dir.path("logs/server_audit.log.1")).unwrap();
    gzip(&test_dir.path("logs/server_audit.log.1"));
    append(&log, lines(41..=42));
    let server = test_dir.serve();
    becomes_recorded(&test_dir, 42);
    assert_eq!(server.stop(), Some(0));
    let server = test_dir.serve();
    std::thread::sleep(Duration::from_millis(800));
    compare(&test_dir, 42).unwrap();
    drop(server);
}

#[test]
fn from_the_end_only_new_lines_are_read() {
    let test_dir = test_dir_that("follow = { paths = [\"logs\"], from = \"end\" }");
    let old = test_dir.path("logs/a.log");
    append(&old, "20261120 18:09:48,vm,root,localhost,4,0,QUERY,,'SELECT 0',0\n");
    let _server = test_dir.serve();
    becomes_true(|| test_dir.data().join("followed/db.json").exists());
    append(&old, line(1));
    append(&test_dir.path("logs/b.log"), line(2));
    becomes_recorded(&test_dir, 2);
}

#[test]
fn odd_files_hold_up_nothing() {
    let test_dir = test_dir_that("follow = { paths = [\"logs\", \"named.log\"] }");
    let logs = test_dir.path("logs");
    assert!(Command::new("mkfifo").arg(logs.join("a-pipe")).status().unwrap().success());
    fs::create_dir(logs.join("a-folder")).unwrap();
    let secret = test_dir.path("secret.log");
    append(&secret, "a secret\n");
    std::os::unix::fs::symlink(&secret, logs.join("a-link")).unwrap();
    // A link that the configuration names is followed.
    append(&test_dir.path("elsewhere.log"), line(1));
    std::os::unix::fs::symlink(test_dir.path("elsewhere.log"), test_dir.path("named.log")).unwrap();
    append(&logs.join("holes"), &("\0".repeat(5000) + &line(2)));
    fs::write(logs.join("torn.gz"), b"\x1f\x8b\x08\x00not a gzip file").unwrap();
    let long = format!("{}\n", "y".repeat(9 << 20));
    append(&logs.join("long"), &(line(3) + &long + &line(4)));
    append(&logs.join("bad"), &("no line of an audit log\n".to_owned() + &line(5)));
    let server = test_dir.serve();
    becomes_recorded(&test_dir, 5);
    let dead_letters = || {
        let output = daybook()
            .args(["dead-letters", "list", "-o", "json", "-d"])
            .arg(test_dir.data())
            .output()
            .unwrap();
        text(&output.stdout)
    };
    becomes_true(|| dead_letters().lines().count() == 2);
    assert!(dead_letters().contains("no line of an audit log"), "{}", dead_letters());
    assert!(!dead_letters().contains("a secret"));
    // The rest of the long line is on record as lost.
    becomes_true(|| test_dir.acts("source.gap").len() == 1);
    let gap = &test_dir.acts("source.gap")[0];
    assert!(gap.contains("longer than the limit") && gap.contains("logs/long"), "{gap}");
    assert_eq!(server.stop(), Some(0));
}

/// A compressed file that was cut off, in the middle of a copy or by a crash.
#[test]
fn a_compressed_file_that_is_cut_off_yields_what_it_has() {
    let lines: String = (0..2000).map(line).collect();
    let whole = || {
        let mut out = GzEncoder::new(Vec::new(), Compression::fast());
        out.write_all(lines.as_bytes()).unwrap();
        out.finish().unwrap()
    };
    let cut = &whole()[..whole().len() * 9 / 10];
    let mut readable = Vec::new();
    let mut decoder = flate2::read::MultiGzDecoder::new(cut);
    assert!(decoder.read_to_end(&mut readable).is_err());
    let readable = readable.iter().filter(|byte| **byte == b'\n').count();
    assert!(readable > 1000, "{readable}");

    let test_dir = following();
    let file = test_dir.path("cut.log.gz");
    fs::write(&file, cut).unwrap();
    for run in 0..2 {
        let output = import(&test_dir, &[file.to_str().unwrap()]).output().unwrap();
        let (out, said) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(1), "run {run}: {said}");
        assert!(said.contains("cannot be decompressed to the end"), "run {run}: {said}");
        assert!(!said.contains("run the import again"), "run {run}: {said}");
        let expected = if run == 0 { readable } else { 0 };
        assert!(out.contains(&format!("recorded: {expected}\n")), "run {run}: {out}");
    }
    assert_eq!(recorded(&test_dir).len(), readable);
    // Followed, the rest is on record as lost.
    fs::write(test_dir.path("logs/followed.log.gz"), cut).unwrap();
    let server = test_dir.serve();
    becomes_true(|| !test_dir.acts("source.gap").is_empty());
    let gap = &test_dir.acts("source.gap")[0];
    assert!(gap.contains("decompressed"), "{gap}");
    assert_eq!(server.stop(), Some(0));
    assert_eq!(recorded(&test_dir).len(), readable);
}

#[test]
fn a_download_is_the_rotated_file() {
    let test_dir = following();
    test_dir.access(&["user", "add", "dba", "--id", "dba"]);
    test_dir.access(&["grant", "dba", "reader", "database/acme/*/*"]);
    let secret = test_dir.path("secret");
    let key = "TESTKEY0000000000DBA";
    test_dir.access(&["key", "add", "dba", "--id", key, "--secret-file", secret.to_str().unwrap()]);
    let captured = fs::read(
        crate::harness::workspace().join("crates/formats/testdata/mariadb-audit/statements.log"),
    )
    .unwrap();
    let server = test_dir.serve();
    let log = test_dir.path("logs/server_audit.log");
    // As server_audit does it: .1 becomes .2, the file .1, and a new one begins.
    let mut rotated = Vec::new();
    for part in captured.split_inclusive(|&byte| byte == b'\n').collect::<Vec<_>>().chunks(60) {
        let bytes = part.concat();
        append(&log, &bytes);
        rotated.push(bytes);
        for number in (1..9).rev() {
            let _ = fs::rename(
                test_dir.path(&format!("logs/server_audit.log.{number}")),
                test_dir.path(&format!("logs/server_audit.log.{}", number + 1)),
            );
        }
        fs::rename(&log, test_dir.path("logs/server_audit.log.1")).unwrap();
    }
    append(&log, "20261120 18:30:00,vm,root,localhost,3,0,CONNECT,,,0\n");
    let list = format!(
        "/v3/{PROJECT}/instances/db/audit-logs?end_time=2026-11-30T00%3A00%3A00Z&limit=50&start_time=2026-11-01T00%3A00%3A00Z"
    );
    let files = || {
        let answer = server.signed_by(key, "GET", &list, b"");
        answer.json()["audit_logs"].as_array().unwrap().clone()
    };
    becomes_true(|| files().len() == rotated.len());
    let mut downloaded: Vec<Vec<u8>> =
        files().iter().map(|file| download(&server, key, file)).collect();
    downloaded.sort();
    rotated.sort();
    assert!(downloaded == rotated, "a download gives back the bytes of the file");
}

fn download(server: &Daybook, key: &str, file: &serde_json::Value) -> Vec<u8> {
    let body = serde_json::json!({ "ids": [file["id"]] }).to_string();
    let target = format!("/v3/{PROJECT}/instances/db/audit-log-link");
    let answer = server.signed_by(key, "POST", &target, body.as_bytes());
    let link = answer.json()["links"][0].as_str().unwrap().to_owned();
    let target = link.split_once(&server.address.to_string()).unwrap().1;
    server.request("GET", target, &[], b"").body
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

/// A program that writes lines, and rotates its files in every way.
fn write(logs: &Path, mut random: Random, is_over: &AtomicBool) -> usize {
    let log = logs.join("server_audit.log");
    let (mut written, mut rotated): (usize, Vec<PathBuf>) = (0, Vec::new());
    while !is_over.load(Ordering::Relaxed) {
        for _ in 0..1 + random.below(40) {
            written += 1;
            let line = line(written);
            // Half a line may be there for a while.
            let half = usize::try_from(random.below(line.len() as u64)).unwrap();
            append(&log, &line[..half]);
            if random.below(50) == 0 {
                std::thread::sleep(Duration::from_millis(random.below(20)));
            }
            append(&log, &line[half..]);
        }
        std::thread::sleep(Duration::from_millis(random.below(25)));
        let name = logs.join(format!("server_audit.log.{}", rotated.len() + 1));
        match random.below(40) {
            0 => {
                fs::rename(&log, &name).unwrap();
                rotated.push(name);
            }
            1 => {
                fs::copy(&log, &name).unwrap();
                OpenOptions::new().write(true).truncate(true).open(&log).unwrap();
                rotated.push(name);
            }
            2 => {
                written += 1;
                append(&logs.join(format!("{written}.csv")), line(written));
            }
            3 => {
                if let Some(one) = rotated.iter().rev().nth(1).filter(|one| one.exists()) {
                    gzip(one);
                }
            }
            _ => {}
        }
    }
    written
}

/// Waits until a position was written, but not for long: what is behind it must be recorded by
/// then.
fn wait_for_a_position(test_dir: &TestDir) {
    let written = || fs::metadata(test_dir.data().join("followed/db.json")).map(|at| at.ino()).ok();
    let (before, deadline) = (written(), Instant::now() + Duration::from_millis(1500));
    while written() == before && Instant::now() < deadline {
        std::thread::sleep(Duration::from_micros(200));
    }
}

#[test]
fn kills_while_files_are_followed_lose_and_double_nothing() {
    let kills = std::env::var("DAYBOOK_KILLS").map_or(KILLS, |text| text.parse().unwrap());
    let seed = std::env::var("DAYBOOK_SEED").map_or(0x5eed, |text| text.parse().unwrap());
    println!("{kills} kills, seed {seed}");
    let mut random = Random(seed);
    for killed in (0..kills).step_by(KILLS_OF_A_LOG) {
        kill_while_following(KILLS_OF_A_LOG.min(kills - killed), &mut random);
    }
}

fn kill_while_following(kills: usize, random: &mut Random) {
    let test_dir = following();
    let is_over = Arc::new(AtomicBool::new(false));
    let writer = {
        let (logs, is_over) = (test_dir.path("logs"), Arc::clone(&is_over));
        let random = Random(random.below(u64::MAX));
        std::thread::spawn(move || write(&logs, random, &is_over))
    };
    for _ in 0..kills {
        let mut server = test_dir.serve();
        std::thread::sleep(Duration::from_millis(random.below(700)));
        if random.below(2) == 0 {
            wait_for_a_position(&test_dir);
        }
        server.kill_9();
    }
    is_over.store(true, Ordering::Relaxed);
    let written = writer.join().unwrap();
    println!("{written} lines written");
    let server = test_dir.serve();
    becomes_recorded(&test_dir, written);
    assert_eq!(server.stop(), Some(0));
}

/// Runs `daybook import` on this directory.
fn import(test_dir: &TestDir, arguments: &[&str]) -> Command {
    let mut command = daybook();
    command
        .args(["import", "db"])
        .args(arguments)
        .arg("--config")
        .arg(test_dir.path("daybook.toml"));
    command.arg("--data-dir").arg(test_dir.data());
    command
}

fn imported(test_dir: &TestDir, arguments: &[&str]) -> String {
    let output = import(test_dir, arguments).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// Old files with so many lines: plain ones, and two that are compressed.
fn old_files(test_dir: &TestDir, lines: usize) -> String {
    let old = test_dir.path("old");
    fs::create_dir(&old).unwrap();
    for (at, some) in (1..=lines).collect::<Vec<_>>().chunks(lines.div_ceil(5)).enumerate() {
        let bytes: String = some.iter().map(|number| line(*number)).collect();
        let path = old.join(format!("server_audit.log.{}", 9 - at));
        append(&path, &bytes);
        match at {
            1 => gzip(&path),
            2 => {
                let packed = zstd::encode_all(bytes.as_bytes(), 1).unwrap();
                fs::write(old.join("server_audit.log.zst"), packed).unwrap();
                fs::remove_file(&path).unwrap();
            }
            _ => {}
        }
    }
    old.to_str().unwrap().to_owned()
}

#[test]
fn an_import_may_be_killed_and_repeated_with_and_without_a_server() {
    let test_dir = test_dir_that("");
    let old = old_files(&test_dir, 20_000);
    let report = imported(&test_dir, &[&old, "--dry-run"]);
    assert!(report.contains("files: 5\nwould be recorded: 20000\n"), "{report}");
    assert!(recorded(&test_dir).is_empty());
    for wait in [20, 60, 120, 200] {
        let mut child =
            import(&test_dir, &[&old]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(wait));
        let _ = child.kill();
        child.wait().unwrap();
    }
    let mut server = test_dir.serve();
    let url = format!("http://{}", server.address);
    let mut child =
        import(&test_dir, &[&old, "--url", &url]).stdout(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let _ = child.kill();
    child.wait().unwrap();
    let report = imported(&test_dir, &[&old, "--url", &url]);
    assert!(report.contains("files: 5\n"), "{report}");
    compare(&test_dir, 20_000).unwrap();
    server.kill_9();
    let report = imported(&test_dir, &[&old]);
    assert!(report.contains("recorded: 0\nrecorded before: 0\ndead letters: 0\n"), "{report}");
    // The same bytes under other names.
    fs::rename(&old, test_dir.path("restored")).unwrap();
    let copies = test_dir.path("copies");
    fs::create_dir(&copies).unwrap();
    for file in fs::read_dir(test_dir.path("restored")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), copies.join(file.file_name())).unwrap();
    }
    let report = imported(&test_dir, &[copies.to_str().unwrap()]);
    assert!(report.contains("recorded: 0\nrecorded before: 0\n"), "{report}");
    compare(&test_dir, 20_000).unwrap();
    test_dir.check();
}

#[test]
fn what_was_followed_is_not_imported_again_nor_the_other_way_round() {
    let test_dir = following();
    let logs = test_dir.path("logs");
    let lines =
        |numbers: std::ops::RangeInclusive<usize>| -> String { numbers.map(line).collect() };
    append(&test_dir.path("before.log"), lines(1..=10));
    imported(&test_dir, &[test_dir.path("before.log").to_str().unwrap()]);
    assert_eq!(test_dir.acts("source.import").len(), 1);
    fs::copy(test_dir.path("before.log"), logs.join("server_audit.log.1")).unwrap();
    append(&logs.join("server_audit.log"), lines(11..=20));
    let server = test_dir.serve();
    becomes_recorded(&test_dir, 20);
    let url = format!("http://{}", server.address);
    fs::copy(logs.join("server_audit.log"), test_dir.path("backup.log")).unwrap();
    imported(
        &test_dir,
        &[test_dir.path("backup.log").to_str().unwrap(), logs.to_str().unwrap(), "--url", &url],
    );
    let acts = test_dir.acts("source.import");
    assert_eq!(acts.len(), 2, "a server has it on record as well");
    assert!(acts[1].contains("backup.log") && acts[1].contains("127.0.0.1"), "{}", acts[1]);
    append(&logs.join("server_audit.log"), lines(21..=25));
    becomes_recorded(&test_dir, 25);
    assert_eq!(server.stop(), Some(0));
    imported(&test_dir, &[test_dir.path("backup.log").to_str().unwrap(), logs.to_str().unwrap()]);
    compare(&test_dir, 25).unwrap();
}

#[test]
fn standard_input_is_imported_once() {
    let test_dir = test_dir_that("");
    let bytes: String = (1..=3000).map(line).collect();
    for expected in ["recorded: 3000\nrecorded before: 0\n", "recorded: 0\nrecorded before: 3000\n"]
    {
        let mut child =
            import(&test_dir, &["-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(bytes.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(text(&output.stdout).contains(expected), "{}", text(&output.stdout));
    }
    compare(&test_dir, 3000).unwrap();
    for (arguments, code) in [
        (&["/nonexistent"][..], 2),
        (&["/dev/null"], 2),
        (&["-", "--token-file", "/nonexistent"], 0),
    ] {
        let output = import(&test_dir, arguments).stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output.stderr));
    }
}
