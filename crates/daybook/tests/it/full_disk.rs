//! A full disk: events are refused and everything else goes on, through restarts too; once there is
//! room, intake resumes by itself. The disk is a tmpfs, so the test needs root or sudo.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::aftermath::copy_folder;
use crate::estate::{Estate, REGISTRY};
use crate::harness::{Answer, Daybook, OPERATOR_KEY, PROJECT, becomes_true, daybook, run, text};

/// The low-water mark and the reserve.
const ROOM_BYTES: u64 = 4 << 20;

/// A file system of 32 MiB with the data directory of an estate.
struct SmallDisk {
    estate: Estate,
    at: PathBuf,
}

impl SmallDisk {
    fn new() -> SmallDisk {
        let estate = Estate::new();
        let at = estate.test_dir.path("disk");
        std::fs::create_dir(&at).unwrap();
        as_root(&["mount", "-t", "tmpfs", "-o", "size=32m,mode=0777", "tmpfs"], &at);
        let disk = SmallDisk { estate, at };
        std::fs::create_dir(disk.data()).unwrap();
        copy_folder(&disk.estate.test_dir.data(), &disk.data());
        disk
    }

    fn data(&self) -> PathBuf {
        self.at.join("data")
    }

    fn serve(&self) -> Daybook {
        let mut command = daybook();
        for setting in ["DAYBOOK_STORAGE_LOW_WATER_BYTES", "DAYBOOK_STORAGE_RESERVE_BYTES"] {
            command.env(setting, ROOM_BYTES.to_string());
        }
        command.arg("serve").arg("--config").arg(self.estate.test_dir.path("daybook.toml"));
        command.arg("--data-dir").arg(self.data()).args(["--listen", "127.0.0.1:0"]);
        Daybook::spawn(&mut command)
    }

    /// Another program takes all the room that is left.
    fn fill(&self) {
        let mut file = File::options().append(true).create(true).open(self.filler()).unwrap();
        let zeros = vec![0; 64 << 10];
        let mut size = zeros.len();
        while size > 0 {
            if file.write_all(&zeros[..size]).is_err() {
                size /= 2;
            }
        }
    }

    /// It gives it back.
    fn free(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.at.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        as_root(&["umount", "--lazy"], &self.at);
    }
}

/// Runs a command on a path, by sudo where this is not root.
fn as_root(command: &[&str], path: &Path) {
    let sudo = if rustix::process::getuid().is_root() { &[][..] } else { &["sudo", "-n"] };
    let words = [sudo, command].concat();
    let output = Command::new(words[0]).args(&words[1..]).arg(path).output().unwrap();
    assert!(output.status.success(), "{words:?} needs root or sudo: {}", text(&output.stderr));
}

fn send(server: &Daybook, number: u32) -> Answer {
    let event = format!(r#"{{"id":"{number}","action":"pull","operation":"pull"}}"#);
    server.send("registry", event)
}

/// Sends events until the disk is full; returns how many were acknowledged.
fn send_until_full(server: &Daybook, first: u32) -> u32 {
    let mut number = first;
    becomes_true(|| {
        let answer = send(server, number);
        match answer.status {
            200 => number += 1,
            _ => {
                assert_eq!((answer.status, answer.code().as_str()), (503, "storage_full"));
                assert!(answer.headers.contains_key("retry-after"));
            }
        }
        answer.status != 200
    });
    number - first
}

fn recorded(server: &Daybook) -> u64 {
    let target = format!("/v2/{PROJECT}/instances/{REGISTRY}/audit-logs?operation=pull");
    let answer = server.of("reader", "GET", &target, "");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["total"].as_u64().unwrap()
}

/// Whether Daybook has a record of itself with this description.
fn has_record(server: &Daybook, description: &str) -> bool {
    server.own_rows("").iter().any(|row| row["description"] == description)
}

const FULL: &str = "the disk is full: events are refused until there is room";
const RESUMED: &str = "the disk has room again: events are taken";

/// What goes on while the disk is full.
fn assert_reading_goes_on(server: &Daybook, events: u32) {
    assert_eq!(recorded(server), u64::from(events));
    server.login("reader");
    for target in ["/api/v1/events?limit=1", "/api/v1/export?format=ndjson"] {
        let answer = server.of("reader", "GET", target, "");
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
    }
    let checkpoint = server.request("GET", "/tlog/checkpoint", &[], b"");
    assert_eq!(checkpoint.status, 200, "{}", checkpoint.text());
    for (path, status) in [("/healthz", "ok"), ("/readyz", "ready")] {
        let answer = server.request("GET", path, &[], b"");
        let expected = serde_json::json!({ "status": status, "intake": "storage_full" });
        assert_eq!((answer.status, answer.json()), (200, expected));
    }
    let metrics = server.signed_by(OPERATOR_KEY, "GET", "/metrics", b"").text();
    assert!(metrics.contains("\ndaybook_storage_full 1\n"), "{metrics}");
    // Daybook's own record goes on.
    becomes_true(|| has_record(server, "a token was handed out") && has_record(server, FULL));
}

#[test]
fn a_full_disk_refuses_events_and_serves_everything_else() {
    let disk = SmallDisk::new();
    let server = disk.serve();
    assert_eq!(send(&server, 0).status, 200);
    assert_eq!(server.request("GET", "/healthz", &[], b"").text(), r#"{"status":"ok"}"#);
    disk.fill();
    let mut events = 1 + send_until_full(&server, 1);
    assert_reading_goes_on(&server, events);
    assert_eq!(server.stop(), Some(0), "it ends in order");

    disk.fill();
    let mut server = disk.serve();
    assert_eq!(send_until_full(&server, events), 0, "full from the start");
    assert_reading_goes_on(&server, events);
    server.kill_9();
    disk.fill();
    let server = disk.serve();
    assert_reading_goes_on(&server, events);

    disk.free();
    becomes_true(|| send(&server, events).status == 200);
    events += 1;
    becomes_true(|| has_record(&server, RESUMED));
    assert_eq!(server.request("GET", "/readyz", &[], b"").text(), r#"{"status":"ready"}"#);
    assert_eq!(recorded(&server), u64::from(events));
    assert_eq!(server.stop(), Some(0));
    let checked = run(&["check", disk.data().to_str().unwrap()]);
    assert!(checked.status.success(), "{}", text(&checked.stderr));
}
