//! What is packaged: the systemd unit, and what it expects of the program.

use std::collections::BTreeSet;
use std::os::unix::net::UnixDatagram;
use std::process::Command;

use crate::harness::{
    Daybook, OPERATOR_KEY, PATIENCE, TestDir, becomes_true, daybook, notification, run, text,
    without_settings, workspace,
};

fn packaged(name: &str) -> String {
    std::fs::read_to_string(workspace().join("packaging").join(name)).unwrap()
}

fn systemd_analyze(arguments: &[&str]) -> (bool, String) {
    let output = Command::new("systemd-analyze").args(arguments).output().unwrap();
    (output.status.success(), text(&output.stdout) + &text(&output.stderr))
}

#[test]
fn the_unit_is_right_and_hardened() {
    let dir = tempfile::tempdir().unwrap();
    let unit = dir.path().join("daybook.service");
    // The program and its user are not installed where this is tested, nor are the manual pages.
    let text = packaged("daybook.service")
        .replace("/usr/bin/daybook", env!("CARGO_BIN_EXE_daybook"))
        .lines()
        .filter(|line| {
            !["User=", "Group=", "Documentation="].iter().any(|name| line.starts_with(name))
        })
        .collect::<Vec<_>>()
        .join("\n");
    std::fs::write(&unit, text).unwrap();
    let unit = unit.to_str().unwrap();
    let (is_right, said) = systemd_analyze(&["verify", "--recursive-errors=no", unit]);
    assert!(is_right && !said.contains("daybook.service"), "{said}");
    // Of 100, where less is better.
    std::fs::write(unit, packaged("daybook.service")).unwrap();
    let (is_hardened, said) =
        systemd_analyze(&["security", "--offline=true", "--threshold=20", unit]);
    assert!(is_hardened, "{said}");
}

/// The names of system calls that a filter of a unit stands for: names, `@sets`, and after `~` what
/// is left out of those before.
fn system_calls(filters: &[&str]) -> BTreeSet<String> {
    let mut allowed = BTreeSet::new();
    for filter in filters {
        let (is_left_out, names) =
            filter.strip_prefix('~').map_or((false, *filter), |rest| (true, rest));
        let mut left: Vec<String> = names.split_whitespace().map(str::to_owned).collect();
        while let Some(name) = left.pop() {
            if name.starts_with('@') {
                let (is_known, set) = systemd_analyze(&["syscall-filter", &name]);
                assert!(is_known, "{set}");
                let members = set.lines().filter_map(|line| line.strip_prefix("    "));
                left.extend(members.filter(|line| !line.starts_with('#')).map(str::to_owned));
            } else if is_left_out {
                allowed.remove(&name);
            } else {
                allowed.insert(name);
            }
        }
    }
    allowed
}

#[test]
fn the_unit_allows_the_system_calls_of_a_server_at_work() {
    let unit = packaged("daybook.service");
    let filters: Vec<&str> =
        unit.lines().filter_map(|line| line.strip_prefix("SystemCallFilter=")).collect();
    let allowed = system_calls(&filters);
    let files = tempfile::tempdir().unwrap();
    let followed = files.path().join("app.log");
    std::fs::write(&followed, "").unwrap();
    let test_dir = TestDir::with_settings("[limits]\nflush_events = 8\n");
    let config = std::fs::read_to_string(test_dir.path("daybook.toml")).unwrap();
    let more = format!(
        "syslog = {{ udp = \"127.0.0.1:0\", tcp = \"127.0.0.1:0\" }}\nfollow = {{ paths = [{followed:?}] }}\n"
    );
    std::fs::write(
        test_dir.path("daybook.toml"),
        config.replace("name = \"own\"\n", &format!("name = \"own\"\n{more}")),
    )
    .unwrap();
    let trace = files.path().join("trace");
    let mut command = Command::new("strace");
    // -D: the server is our child and strace the grandchild.
    command.args(["-D", "-f", "-o"]).arg(&trace).arg(env!("CARGO_BIN_EXE_daybook"));
    let server = Daybook::spawn(&mut test_dir.serve_command(without_settings(command)));
    for number in 0..40 {
        let body = notification(
            &format!("n{number}"),
            "push",
            &format!("sha256:{number:064x}"),
            "2026-11-20T17:49:51Z",
        );
        assert_eq!(server.send("hub", body).status, 200);
    }
    std::fs::write(&followed, "{\"action\":\"x\"}\n").unwrap();
    assert_eq!(server.signed_by(OPERATOR_KEY, "GET", "/metrics", b"").status, 200);
    becomes_true(|| std::fs::read_dir(test_dir.data().join("segments")).unwrap().count() > 0);
    assert_eq!(server.stop(), Some(0));
    let mut traced = String::new();
    becomes_true(|| {
        traced = std::fs::read_to_string(&trace).unwrap();
        traced.trim_end().ends_with("+++ exited with 0 +++")
    });
    // A line is: thread, name and what it was given.
    let called: BTreeSet<String> = traced
        .lines()
        .filter_map(|line| line.split_once(' ')?.1.trim_start().split_once('('))
        .map(|(name, _)| name.to_owned())
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'))
        .collect();
    assert!(called.contains("fdatasync") && called.contains("accept4"), "{called:?}");
    let refused: Vec<&String> = called.difference(&allowed).collect();
    assert!(refused.is_empty(), "the unit refuses {refused:?}");
}

#[test]
fn the_service_manager_is_notified_when_the_server_is_ready_and_when_it_stops() {
    let test_dir = TestDir::new();
    let path = test_dir.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let hear = || {
        let mut said = [0; 64];
        let len = socket.recv(&mut said).unwrap();
        text(&said[..len])
    };
    let mut command = test_dir.serve_command(daybook());
    let server = Daybook::spawn(command.env("NOTIFY_SOCKET", &path));
    assert_eq!(hear(), "READY=1");
    assert_eq!(server.stop(), Some(0));
    assert_eq!(hear(), "STOPPING=1");
}

#[test]
fn health_is_whether_the_server_is_ready() {
    let test_dir = TestDir::new();
    let server = test_dir.serve();
    let url = format!("http://{}", server.address);
    let ready = run(&["health", "--url", &url]);
    assert_eq!((ready.status.code(), text(&ready.stdout)), (Some(0), "ready\n".to_owned()));
    assert_eq!(server.stop(), Some(0));
    assert_eq!(run(&["health", "--url", &url]).status.code(), Some(1));
}

#[test]
fn the_packaged_configuration_is_right() {
    let file = workspace().join("packaging/daybook.toml");
    let checked = run(&["config", "check", "--config", file.to_str().unwrap()]);
    assert!(checked.status.success(), "{}", text(&checked.stderr));
    assert!(
        text(&checked.stdout).contains("data directory: /var/lib/daybook"),
        "{}",
        text(&checked.stdout)
    );
}

/// The first script of a section of the page on operations.
fn script_of(section: &str) -> String {
    let page = std::fs::read_to_string(workspace().join("docs/operations.md")).unwrap();
    let (_, rest) = page.split_once(&format!("\n## {section}\n")).unwrap();
    let (_, script) = rest.split_once("```sh\n").unwrap();
    script.split_once("```").unwrap().0.to_owned()
}

#[test]
fn a_backup_of_a_running_server_is_whole_and_restored_on_record() {
    let test_dir = TestDir::with_settings("[limits]\nflush_events = 16\n");
    let server = test_dir.serve();
    let (data, copy) = (test_dir.data(), test_dir.path("copy"));
    // The commands of the page, with the directories of the test.
    let run = |section: &str, more: &[&str]| {
        let script = script_of(section);
        let line = script.trim().trim_start_matches("sudo -u daybook ");
        let mut words = line.split(' ').map(|word| match word {
            "/backup/daybook" => copy.to_str().unwrap(),
            "/var/lib/daybook" => data.to_str().unwrap(),
            word => word,
        });
        assert_eq!(words.next(), Some("daybook"));
        let arguments: Vec<&str> = words.chain(more.iter().copied()).collect();
        let output = daybook().args(arguments).output().unwrap();
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };
    let back_up = || {
        let (code, said) = run("Back up", &[]);
        assert!(code == Some(0) && said.contains("whole: "), "{said}");
    };
    // A young log, of which nothing was flushed yet.
    back_up();
    let mut answered = 0;
    std::thread::scope(|scope| {
        let copying = scope.spawn(|| (0..3).for_each(|_| back_up()));
        while !copying.is_finished() {
            let body = format!("{{\"id\":\"e{answered}\",\"action\":\"x\"}}");
            assert_eq!(server.send("own", body).status, 200);
            answered += 1;
            // The pause between flushes is longer than a copy takes, as it is of a real server.
            let pause = if answered % 64 == 0 { 1000 } else { 2 };
            std::thread::sleep(std::time::Duration::from_millis(pause));
        }
    });
    // Events that no copy has.
    assert_eq!(server.send("own", r#"{"id":"last","action":"x"}"#).status, 200);
    assert_eq!(server.stop(), Some(0));
    let (code, said) = run("Restore", &[]);
    assert!(code == Some(2) && said.contains("move it away first"), "{said}");
    std::fs::remove_dir_all(&data).unwrap();
    let (code, said) = run("Restore", &[]);
    assert!(code == Some(0) && said.contains("older than its checkpoint"), "{said}");
    let why = Daybook::try_spawn(&mut test_dir.serve_command(daybook()))
        .err()
        .expect("the guard knows better");
    assert!(why.contains("daybook guard accept --reason"), "{why}");
    std::fs::remove_dir_all(&data).unwrap();
    let (code, said) = run("Restore", &["--reason", "restored"]);
    assert!(code == Some(0) && said.contains("Recorded after"), "{said}");
    let server = test_dir.serve();
    let restored = server.events();
    assert!(restored <= answered && restored > 0, "{restored} of {answered}");
    assert_eq!(
        server.send("own", r#"{"id":"e0","action":"x"}"#).json()["duplicates"][0]["position"],
        0
    );
    assert_eq!(server.stop(), Some(0));
    test_dir.check();
}
