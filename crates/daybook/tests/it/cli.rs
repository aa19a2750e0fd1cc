//! The command line for its users: help, exit codes, configuration, signals.

use std::net::{TcpListener, TcpStream};
use std::process::Stdio;

use rustix::process::{Pid, Signal};

use crate::harness::{Daybook, TestDir, daybook, run, text};

#[test]
fn every_command_explains_itself() {
    for arguments in [
        &["--help"][..],
        &["init", "--help"],
        &["serve", "--help"],
        &["demo", "--help"],
        &["check", "--help"],
        &["access", "--help"],
        &["access", "project", "add", "--help"],
        &["access", "key", "add", "--help"],
        &["access", "grant", "--help"],
        &["witness", "--help"],
        &["witness", "add", "--help"],
        &["witness", "serve", "--help"],
        &["dead-letters", "list", "--help"],
        &["dead-letters", "show", "--help"],
        &["dead-letters", "retry", "--help"],
        &["source", "formats", "--help"],
        &["source", "status", "--help"],
        &["config", "check", "--help"],
    ] {
        let output = run(arguments);
        assert!(output.status.success(), "{arguments:?}");
        assert!(text(&output.stdout).contains("Usage: daybook"), "{arguments:?}");
        assert!(!text(&output.stdout).contains('\u{1b}'), "no colours into a pipe");
    }
    assert!(text(&run(&["--help"]).stdout).contains("Exit codes:"));
    assert_eq!(
        text(&run(&["--version"]).stdout),
        format!("daybook {}\n", env!("CARGO_PKG_VERSION"))
    );
    let wrong = run(&["serv"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(text(&wrong.stderr).contains("'serve'"), "a typing error is met with a suggestion");
}

#[test]
fn init_makes_a_log_once() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let data = data.to_str().unwrap();
    let made = run(&["init", data]);
    assert!(made.status.success());
    assert!(text(&made.stdout).contains("origin: daybook.local/"));
    let again = run(&["init", data]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("exists and is not empty"), "{}", text(&again.stderr));
    assert_eq!(run(&["init", data, "--origin", "two words"]).status.code(), Some(2));
    let orphan = run(&["init", dir.path().join("no/such/parent").to_str().unwrap()]);
    assert_eq!(orphan.status.code(), Some(1));
    assert!(text(&run(&["check", data]).stdout).contains("events: 0\n"));
}

#[test]
fn serve_refuses_a_directory_without_a_log_and_a_second_server() {
    let test_dir = TestDir::new();
    for (name, why) in [("missing", "does not exist"), ("empty", "is empty")] {
        if name == "empty" {
            std::fs::create_dir(test_dir.path(name)).unwrap();
        }
        let output = daybook().args(["serve", "-d"]).arg(test_dir.path(name)).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(
            text(&output.stderr).contains(why) && text(&output.stderr).contains("daybook init"),
            "{}",
            text(&output.stderr)
        );
    }
    let _first = test_dir.serve();
    let ended = Daybook::try_spawn(&mut test_dir.serve_command(daybook())).err().unwrap();
    assert!(ended.contains("another process has it open"), "{ended}");
    let nowhere = run(&["serve"]);
    assert_eq!(nowhere.status.code(), Some(2));
    assert!(text(&nowhere.stderr).contains("--data-dir"), "{}", text(&nowhere.stderr));
}

/// Number of stops as soon as the server accepts connections. Each may hit it unprepared.
const EARLY_STOPS: usize = 10;

#[test]
fn a_server_that_accepts_connections_can_be_stopped() {
    let test_dir = TestDir::new();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for _ in 0..EARLY_STOPS {
        let mut command = daybook();
        command.arg("serve").arg("--config").arg(test_dir.path("daybook.toml"));
        command.arg("--data-dir").arg(test_dir.data()).args(["--listen", &address.to_string()]);
        let mut server = command.stderr(Stdio::null()).spawn().unwrap();
        while TcpStream::connect(address).is_err() {
            assert_eq!(server.try_wait().unwrap(), None, "it ended before it listened");
        }
        rustix::process::kill_process(Pid::from_child(&server), Signal::TERM).unwrap();
        assert_eq!(server.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn damage_is_named_and_has_an_exit_code_of_its_own() {
    let test_dir = TestDir::new();
    let server = test_dir.serve();
    for number in 0..5 {
        assert_eq!(
            server.send("own", format!("{{\"id\":\"{number}\",\"action\":\"x\"}}")).status,
            200
        );
    }
    assert_eq!(server.stop(), Some(0));
    let journal = test_dir.data().join("journal/00000000000000000000.journal");
    let mut bytes = std::fs::read(&journal).unwrap();
    bytes[700] ^= 4;
    std::fs::write(&journal, &bytes).unwrap();
    let data = test_dir.data();
    let checked = run(&["check", data.to_str().unwrap()]);
    assert_eq!(checked.status.code(), Some(3));
    let said = text(&checked.stderr);
    assert!(said.contains("damage in journal/00000000000000000000.journal at byte "), "{said}");
    let ended = Daybook::try_spawn(&mut test_dir.serve_command(daybook())).err().unwrap();
    assert!(ended.contains("exit status: 3") && ended.contains("damage in journal/"), "{ended}");
    assert_eq!(std::fs::read(&journal).unwrap(), bytes, "the bytes are unchanged");
}

#[test]
fn a_configuration_is_checked_without_serving_it() {
    let test_dir = TestDir::new();
    let file = test_dir.path("daybook.toml");
    let check = |file: &std::path::Path| {
        daybook().args(["config", "check", "-c"]).arg(file).output().unwrap()
    };
    let right = check(&file);
    assert!(right.status.success(), "{}", text(&right.stderr));
    assert!(
        text(&right.stdout)
            .contains("source: POST /intake/hub accepts docker-registry for registry/acme/")
    );
    let bad = test_dir.path("bad.toml");
    for (content, why) in [
        ("listn = '127.0.0.1:1'", "unknown field `listn`"),
        ("listen = 7", "listen"),
        ("[limits]\nbody_bytes_max = 'big'", "body_bytes_max"),
        ("not toml at all", "bad.toml"),
        ("[tls]\ncertificate = 'none.pem'\nkey = 'none.pem'", "couldn't read the certificate"),
    ] {
        std::fs::write(&bad, content).unwrap();
        let output = check(&bad);
        assert_eq!(output.status.code(), Some(2), "{content}");
        assert!(text(&output.stderr).contains(why), "{content}: {}", text(&output.stderr));
    }
    std::fs::write(&bad, "[limits]\nheaders_max = 0").unwrap();
    let explained = text(&check(&bad).stderr).to_owned();
    assert!(
        explained.ends_with(
            "limits.headers_max: 0 would refuse everything\n\
             limits.headers_max: Header lines; beyond, 431.\n"
        ),
        "{explained}"
    );
    let unknown = daybook().env("DAYBOOK_LISSEN", "x").args(["config", "check"]).output().unwrap();
    assert!(text(&unknown.stderr).contains("DAYBOOK_LISSEN is no setting"));
    assert!(
        text(&run(&["config", "variables"]).stdout).contains("DAYBOOK_LIMITS_BODY_BYTES_MAX\n")
    );
}

#[test]
fn variables_override_the_file_and_flags_override_both() {
    let test_dir = TestDir::with_settings("listen = '127.0.0.1:1'\nlog_format = 'json'");
    let mut command = daybook();
    command
        .env("DAYBOOK_CONFIG", test_dir.path("daybook.toml"))
        .env("DAYBOOK_DATA_DIR", test_dir.data());
    command.env("DAYBOOK_LISTEN", "127.0.0.1:0").arg("serve");
    let server = Daybook::spawn(&mut command);
    assert_ne!(server.address.port(), 1);
    assert_eq!(server.request("GET", "/healthz", &[], b"").text(), r#"{"status":"ok"}"#);
    let mut flagged = daybook();
    flagged
        .args(["config", "check", "--data-dir", "/flag", "-c"])
        .arg(test_dir.path("daybook.toml"))
        .env("DAYBOOK_DATA_DIR", "/variable");
    assert!(text(&flagged.output().unwrap().stdout).contains("data directory: /flag"));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let test_dir = TestDir::new();
    let server = test_dir.serve();
    let many: String = (0..2_000).map(|number| format!("{{\"n\":{number}}}\n")).collect();
    assert_eq!(server.send("own", many).status, 200);
    let mut child = daybook()
        .args(["dead-letters", "list", "-d"])
        .arg(test_dir.data())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}

/// The names of a command's subcommands in its help.
fn commands_of(path: &[String]) -> Vec<String> {
    let arguments: Vec<&str> = path.iter().map(String::as_str).chain(["--help"]).collect();
    let help = text(&run(&arguments).stdout);
    let Some((_, list)) = help.split_once("\nCommands:\n") else { return Vec::new() };
    list.lines()
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_command_has_a_manual_page_and_is_completed() {
    let dir = tempfile::tempdir().unwrap();
    let pages = dir.path().join("man1");
    assert!(run(&["man", pages.to_str().unwrap()]).status.success());
    let shells = ["bash", "elvish", "fish", "powershell", "zsh"];
    let scripts = shells.map(|shell| text(&run(&["completions", shell]).stdout));
    let (mut left, mut count) = (vec![Vec::new()], 0);
    while let Some(path) = left.pop() {
        let page = [&["daybook".to_owned()], &path[..]].concat().join("-");
        let page = std::fs::read_to_string(pages.join(format!("{page}.1"))).expect(&page);
        assert!(page.contains(".SH SYNOPSIS") && page.contains(".TH "), "{path:?}");
        if let Some(name) = path.last() {
            scripts.iter().for_each(|script| assert!(script.contains(name.as_str()), "{path:?}"));
        }
        left.extend(commands_of(&path).into_iter().map(|name| [&path[..], &[name]].concat()));
        count += 1;
    }
    assert!(count > 30, "{count} commands");
    let bash = dir.path().join("daybook.bash");
    std::fs::write(&bash, &scripts[0]).unwrap();
    assert!(std::process::Command::new("bash").arg("-n").arg(&bash).status().unwrap().success());
    assert_eq!(run(&["completions", "tcsh"]).status.code(), Some(2));
}
