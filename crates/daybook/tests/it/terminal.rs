//! The commands that find events, on a terminal: `terminal.txt` has input and output character for
//! character. Angle brackets stand for parts that differ in every run. Escapes of the terminal
//! begin with `␛`.
//!
//! `UPDATE_TRANSCRIPTS=1 cargo test -p daybook --test it terminal` writes it again; read the
//! diff before committing it.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::desk::Desk;
use crate::harness::{becomes_true, workspace};

/// A terminal and the command that runs on it.
struct Terminal {
    screen: File,
    child: Child,
}

impl Terminal {
    fn run(command: &mut Command, columns: u16) -> Terminal {
        let screen =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&screen).unwrap();
        unlockpt(&screen).unwrap();
        let name = ptsname(&screen, Vec::new()).unwrap();
        let keys: OwnedFd =
            rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&keys, size).unwrap();
        let same = || Stdio::from(keys.try_clone().unwrap());
        let child = command.stdin(same()).stdout(same()).stderr(same()).spawn().unwrap();
        // The command has copies that close when it is dropped.
        *command = Command::new("true");
        Terminal { screen: screen.into(), child }
    }

    /// Reads output; false at its end.
    fn see(&mut self, seen: &mut Vec<u8>) -> bool {
        let mut piece = [0; 4096];
        match self.screen.read(&mut piece) {
            // The other end is closed.
            Ok(0) => false,
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => {
                false
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => true,
            Err(error) => panic!("{error}"),
            Ok(len) => {
                seen.extend_from_slice(&piece[..len]);
                true
            }
        }
    }

    /// All output of the command, and its exit code.
    fn end(mut self) -> (String, String) {
        let mut seen = Vec::new();
        while self.see(&mut seen) {}
        let status = self.child.wait().unwrap();
        let code = status.code().map_or(format!("{status}"), |code| format!("exit {code}"));
        (String::from_utf8(seen).unwrap().replace("\r\n", "\n"), code)
    }
}

/// Masks the parts that differ in every run.
fn masked(shown: &str, desk: &Desk) -> String {
    let mut text = shown
        .replace('\u{1b}', "␛")
        .replace(&desk.server.address.to_string(), "<address>")
        .replace(desk.test_dir.temp.path().to_str().unwrap(), "<dir>");
    let is_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    for (length, name) in [(64, "<digest>"), (36, "<id>")] {
        let characters: Vec<char> = text.chars().collect();
        let mut masked = String::new();
        let mut at = 0;
        while at < characters.len() {
            let end =
                at + characters[at..].iter().take_while(|c| is_hex(**c) || **c == '-').count();
            if end - at == length && (length == 64 || characters[at..end].contains(&'-')) {
                masked.push_str(name);
                at = end;
            } else {
                masked.extend(&characters[at..end.max(at + 1)]);
                at = end.max(at + 1);
            }
        }
        text = masked;
    }
    let line = |line: &str| match line.split_once("received") {
        Some((before, rest)) if rest.starts_with("_at\":\"") => {
            let rest = &rest["_at\":\"".len()..];
            format!("{before}received_at\":\"<time>{}\n", &rest[rest.find('"').unwrap()..])
        }
        Some((before, _)) if before.is_empty() || before.starts_with('␛') => {
            format!("{before}received <time>\n")
        }
        _ => format!("{line}\n"),
    };
    // Every earlier query is an event too.
    let text: String = text.lines().map(line).collect();
    let Some((before, rest)) = text.split_once("\"tree_size\":") else { return text };
    format!(
        "{before}\"tree_size\":<count>{}",
        rest.trim_start_matches(|c: char| c.is_ascii_digit())
    )
}

#[test]
fn a_terminal_shows_what_it_did() {
    let path = workspace().join("crates/daybook/tests/it/terminal.txt");
    let golden = std::fs::read_to_string(&path).unwrap();
    let desk = Desk::new();
    let mut shown = String::new();
    for part in golden.split("\n====\n") {
        let (head, _) = part.split_once('\n').unwrap_or((part, ""));
        let (columns, line) = head.split_once("$ ").expect("columns and a command");
        let mut command = desk.command();
        command.env("DAYBOOK_DATA_OF_TEST", desk.test_dir.data()).args(words(line, &desk));
        let (text, code) = Terminal::run(&mut command, columns.parse().unwrap()).end();
        let columns: usize = columns.parse().unwrap();
        for row in text.lines().map(without_colours).filter(|row| is_of_table(row)) {
            assert!(
                console::measure_text_width(&row) <= columns,
                "{line} on {columns} columns: {row}"
            );
        }
        assert!(
            !text.contains("\u{1b}[2J") && !text.contains('\u{7}') && !text.contains('\u{202e}'),
            "{text}"
        );
        shown.push_str(&format!("{head}\n{}{code}\n====\n", masked(&text, &desk)));
    }
    let shown = shown.strip_suffix("\n====\n").unwrap().to_owned() + "\n";
    if std::env::var_os("UPDATE_TRANSCRIPTS").is_some() {
        std::fs::write(&path, &shown).unwrap();
    }
    assert_eq!(shown, golden);
}

/// Tables, charts and live tails fit; sentences and whole events are wrapped by the terminal.
fn is_of_table(row: &str) -> bool {
    let is_sentence = row.contains(" more with ") || row.contains("daybook: ");
    let begins = |ends: &[char]| row.trim_start().starts_with(ends);
    !is_sentence
        && (begins(&['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '·', '▁'])
            || row.contains("TIME ("))
}

fn without_colours(line: &str) -> String {
    let mut parts = line.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    first + &parts.filter_map(|part| part.split_once('m').map(|(_, rest)| rest)).collect::<String>()
}

/// The words of a line, some of them in single quotes.
fn words(line: &str, desk: &Desk) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut is_quoted = false;
    for character in line.chars() {
        match character {
            '\'' => is_quoted = !is_quoted,
            ' ' if !is_quoted => words.push(String::new()),
            other => words.last_mut().unwrap().push(other),
        }
    }
    let data = desk.test_dir.data();
    words.iter().map(|word| word.replace("DATA", data.to_str().unwrap())).collect()
}

#[test]
fn a_tail_on_a_terminal_shows_lines_as_they_come_and_ends_with_ctrl_c() {
    let desk = Desk::new();
    let mut command = desk.command();
    command.args(["tail", "actor:alice", "--from", "0"]);
    let mut terminal = Terminal::run(&mut command, 80);
    let mut seen = Vec::new();
    let has = |seen: &[u8], text: &str| String::from_utf8_lossy(seen).contains(text);
    while !has(&seen, "exec") {
        assert!(terminal.see(&mut seen));
    }
    let sent = r#"{"id":"now","action":"seen live","actor":"alice"}"#;
    assert_eq!(desk.server.send("own", sent).status, 200);
    while !has(&seen, "seen live") {
        assert!(terminal.see(&mut seen));
    }
    let pid = rustix::process::Pid::from_raw(terminal.child.id().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let mut status = None;
    becomes_true(|| {
        status = terminal.child.try_wait().unwrap();
        status.is_some()
    });
    // A shell reports it as 130.
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status.unwrap()), Some(2));
    for line in String::from_utf8_lossy(&seen).lines() {
        assert!(console::measure_text_width(&without_colours(line.trim_end())) <= 80, "{line}");
    }
}

#[test]
fn no_text_of_an_event_steers_a_terminal_in_any_form() {
    let desk = Desk::new();
    let sent = "{\"id\":\"bidi\",\"action\":\"turn\",\"description\":\"a\u{202e}b\u{9b}2Jc\"}";
    let index = desk.server.send("own", sent).json()["first_index"].to_string();
    let of_event = ["", " -o json", " --raw", " --entry"].map(|form| format!("show {index}{form}"));
    let of_search = ["json", "ndjson", "csv"].map(|form| format!("search action:turn -o {form}"));
    let of_export = ["csv", "ndjson"].map(|form| format!("export action:turn -o {form} --to -"));
    let tail = ["tail action:turn --from 0 --limit 1 -o ndjson".to_owned()];
    for line in of_event.iter().chain(&of_search).chain(&of_export).chain(&tail) {
        let mut command = desk.command();
        command.args(line.split(' '));
        let (text, code) = Terminal::run(&mut command, 80).end();
        assert_eq!(code, "exit 0", "{line}: {text}");
        assert!(!text.contains(['\u{202e}', '\u{9b}']), "{line}: {text:?}");
        assert!(text.contains("202e"), "{line}: {text:?}");
    }
}
