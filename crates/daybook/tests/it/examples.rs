//! Runs the examples of every help text. Only paths and addresses are replaced by those of a test
//! folder and a test server.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::channel;

use crate::desk::{Desk, events};
use crate::estate::PASSWORD;
use crate::harness::{PATIENCE, becomes_true, daybook, interruptible, run, text};

/// Collects the examples of a command and its subcommands.
fn examples(path: &[String], found: &mut BTreeMap<String, Vec<String>>) {
    // Wide enough that no line is wrapped.
    let output = daybook().args(path).arg("--help").env("COLUMNS", "1000").output().unwrap();
    assert!(output.status.success(), "{path:?}");
    let help = text(&output.stdout);
    let (mut lines, mut commands) = (Vec::new(), Vec::new());
    let mut part = "";
    for line in help.lines() {
        match line.strip_prefix("  ") {
            _ if line.is_empty() => {}
            None => part = line,
            Some(command) if part == "Commands:" && !command.starts_with(' ') => {
                commands.push(command.split(' ').next().unwrap().to_owned());
            }
            Some(example) if !["Options:", "Arguments:", "Commands:"].contains(&part) => {
                if example.contains("daybook ") && !example.contains('`') {
                    lines.push(example.trim().to_owned());
                }
            }
            Some(_) => {}
        }
    }
    if !lines.is_empty() {
        found.insert(path.join(" "), lines);
    }
    for command in commands.into_iter().filter(|command| command != "help") {
        examples(&[path, &[command]].concat(), found);
    }
}

/// Commands to run before the examples of a command.
fn before(command: &str) -> &'static [&'static str] {
    const KEY: &str = "daybook key show --data-dir /var/lib/daybook > log.vkey";
    const WITNESS: &str = "daybook witness init /var/lib/witness --name witness.example.com/w1";
    match command {
        "" | "init" => &["rm -r /var/lib/daybook /var/lib/daybook.guard"],
        "access" => {
            &["rm -r /var/lib/daybook /var/lib/daybook.guard", "daybook init /var/lib/daybook"]
        }
        "verify" => &[
            KEY,
            "daybook prove 42 --data-dir /var/lib/daybook --entry > event-42.proof",
            "cp /var/lib/daybook/tree/checkpoint yesterday.checkpoint",
            "cp yesterday.checkpoint monday.checkpoint",
        ],
        "witness" => &[KEY],
        "witness show" | "witness add" | "witness list" | "witness serve" => &[KEY, WITNESS],
        "witness remove" => {
            &[KEY, WITNESS, "daybook witness add /var/lib/witness \"$(cat log.vkey)\""]
        }
        "restore" => &[
            "daybook backup /var/backups/mysql/log --data-dir /var/lib/daybook",
            "rm -r /var/lib/daybook",
        ],
        "login" | "logout" => &["daybook login https://audit.example.com --profile prod"],
        // The new key signs before the old one goes.
        "key retire" => &[
            "daybook key rotate --data-dir /var/lib/daybook",
            "daybook serve --config /etc/daybook.toml",
        ],
        _ => &[],
    }
}

/// Whether a command runs until it is interrupted.
fn runs_on(line: &str) -> bool {
    let is_tail = line.starts_with("daybook tail") && !line.contains("--limit");
    let is_demo = line.starts_with("daybook demo") && !line.contains("--once");
    is_tail
        || is_demo
        || ["daybook serve", "daybook witness serve"].iter().any(|start| line.starts_with(start))
}

/// A folder with the files that examples name.
struct World<'a> {
    desk: &'a Desk,
    root: PathBuf,
}

impl<'a> World<'a> {
    /// A folder with a log at `/var/lib/daybook` that is not served.
    fn new(desk: &'a Desk, root: &Path) -> World<'a> {
        let world = World { desk, root: root.to_owned() };
        for folder in [
            "bin",
            "home/.zfunc",
            "home/.config/fish/completions",
            "etc/daybook",
            "etc/bash_completion.d",
            "var/lib",
            "var/log",
            "var/tmp",
            "var/backups/mysql",
            "usr/local/share/man",
            "work",
            "tmp",
        ] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_daybook"), root.join("bin/daybook"))
            .unwrap();
        world.file("bin/ssh", "#!/bin/sh\nshift\nexec \"$@\"\n");
        world.shell("chmod +x ../bin/ssh").success();
        let test_dir = &desk.test_dir;
        for name in ["data", "data.guard"] {
            let to = root.join(name.replace("data", "var/lib/daybook"));
            let copied = Command::new("cp")
                .arg("-r")
                .arg(test_dir.path("backup").join(name))
                .arg(to)
                .status();
            assert!(copied.unwrap().success());
        }
        let token = std::fs::read_to_string(test_dir.path("user-token")).unwrap();
        world.file("work/token", &token);
        world.file("work/password", PASSWORD);
        world.file("work/secret", "the secret of a key");
        world.file("work/web.token", crate::harness::TOKEN);
        let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        for name in ["lab-ca.pem", "cert.pem"] {
            world.file(&format!("work/{name}"), &certificate.cert.pem());
        }
        world.file("work/key.pem", &certificate.signing_key.serialize_pem());
        world.file("work/events.ndjson", &events().replace("\"id\":\"", "\"id\":\"again-"));
        let line = r#"{"msec":1700000000.5,"method":"GET","status":200,"uri":"/a.jar"}"#;
        world.file("work/access.log", &format!("{line}\n"));
        let audit = "20261120 10:00:00,db1,app,10.1.2.3,7,9,QUERY,orders,'select 1',0\n";
        world.file("var/backups/mysql/server_audit.log.1", audit);
        world.file("var/log/audit.log", audit);
        let checkpoint = desk.server.request("GET", "/tlog/checkpoint", &[], b"");
        assert_eq!(checkpoint.status, 200);
        world.file("work/friday.checkpoint", &checkpoint.text());
        world.file("etc/daybook.toml", &world.config("127.0.0.1:0"));
        world.file("etc/daybook/daybook.toml", &world.config(&desk.server.address.to_string()));
        let added = format!(
            "daybook profile add prod --url {} --token-file token && daybook profile add lab --url {0}",
            desk.url()
        );
        world.shell(&added).success();
        world
    }

    fn config(&self, listen: &str) -> String {
        let data = self.root.join("var/lib/daybook");
        format!(
            "listen = \"{listen}\"\ndata_dir = \"{}\"\n[[source]]\nname = \"db\"\nformat = \"mariadb-audit\"\n\
             trail = {{ service = \"database\", tenant = \"acme\", project = \"{}\", instance = \"db\" }}\n",
            data.display(),
            crate::harness::PROJECT
        )
    }

    fn file(&self, name: &str, content: &str) {
        std::fs::write(self.root.join(name), content).unwrap();
    }

    /// The line with the paths and addresses of the test.
    fn adapted(&self, line: &str) -> String {
        let mut line = line.replace("https://audit.example.com:8420", &self.desk.url());
        line = line.replace("https://audit.example.com", &self.desk.url());
        for folder in ["/var/", "/etc/", "/usr/local/"] {
            line = line.replace(folder, &format!("{}{folder}", self.root.display()));
        }
        line = line.replace(
            " /backup/daybook ",
            &format!(" {}/var/backups/mysql/log ", self.root.display()),
        );
        for address in ["0.0.0.0:8420", "0.0.0.0:8421"] {
            line = line.replace(address, "127.0.0.1:0");
        }
        // The desk's user has a password in a file, and the world has profiles of these names.
        if line.starts_with("daybook login") {
            line = line
                .replace(" --user alice", "")
                .replace("https://10.0.0.5:8420", &self.desk.url());
            line.push_str(" --user auditor --password-file password");
        }
        if line.starts_with("daybook profile add") {
            line.push_str(" --replace");
        }
        if line == "daybook logout lab" {
            let login = self.adapted("daybook login https://10.0.0.5:8420 --profile lab");
            line = format!("{login} && {line}");
        }
        if line.starts_with("daybook witness serve") && !line.contains("--listen") {
            line.push_str(" --listen 127.0.0.1:0");
        }
        if line.starts_with("daybook serve --data-dir") {
            line.push_str(" --listen 127.0.0.1:0");
        }
        line = if line == "daybook demo" { format!("{line} --listen 127.0.0.1:0") } else { line };
        if line.starts_with("daybook key retire") {
            line = line.replace("1f2e3d4c", &self.retired_key());
        }
        // A million events take too long.
        line.replace("1000000", "1000")
    }

    /// The first key of the log.
    fn retired_key(&self) -> String {
        let data = self.root.join("var/lib/daybook");
        let shown = text(&run(&["key", "show", "--data-dir", data.to_str().unwrap()]).stdout);
        shown.lines().next().unwrap().split('+').nth(1).unwrap().to_owned()
    }

    fn command(&self, line: &str) -> Command {
        let mut command = interruptible("bash");
        let path =
            format!("{}:{}", self.root.join("bin").display(), std::env::var("PATH").unwrap());
        command
            .args(["-o", "pipefail", "-c", line])
            .current_dir(self.root.join("work"))
            .env("PATH", path);
        command.env("HOME", self.root.join("home")).env("TMPDIR", self.root.join("tmp"));
        command.env("DAYBOOK_CONFIG_HOME", self.root.join("home/daybook"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn shell(&self, line: &str) -> Ended {
        let output = self.command(line).output().unwrap();
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        Ended { line: line.to_owned(), status: output.status, said }
    }

    /// Runs an example to its end, or until its first output and an interrupt.
    fn run(&self, command: &str, example: &str) -> Ended {
        let line = self.adapted(example);
        // The configuration has the path that packages use.
        let by_variable = matches!(command, "import" | "access");
        let variable = match command {
            "access" => {
                format!("export DAYBOOK_DATA_DIR={}; ", self.root.join("var/lib/daybook").display())
            }
            _ => {
                format!("export DAYBOOK_CONFIG={}; ", self.root.join("etc/daybook.toml").display())
            }
        };
        let line = if by_variable { variable + &line } else { line };
        if !runs_on(example) {
            return self.shell(&line);
        }
        let signed = || std::fs::read(self.root.join("var/lib/daybook/tree/checkpoint")).ok();
        let before = signed();
        let mut child = self.command(&format!("exec {line}")).spawn().unwrap();
        let said = first_said(&mut child, &mut || {
            let event = r#"{"action":"seen live","actor":"alice","outcome":"failure"}"#;
            assert_eq!(self.desk.server.send("own", event).status, 200);
        });
        if line.starts_with("daybook serve") {
            becomes_true(|| signed() != before);
        }
        let pid = rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        let mut status = None;
        becomes_true(|| {
            status = child.try_wait().unwrap();
            status.is_some()
        });
        Ended { line, status: status.unwrap(), said }
    }
}

/// The first output of a command; `meanwhile` is repeated until then.
fn first_said(child: &mut Child, meanwhile: &mut dyn FnMut()) -> String {
    let (send, said) = channel();
    let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    for mut stream in [Box::new(stdout) as Box<dyn Read + Send>, Box::new(stderr)] {
        let send = send.clone();
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            // It is read to its end, so that the command does not wait.
            while let Ok(len @ 1..) = stream.read(&mut piece) {
                let _ = send.send(text(&piece[..len]));
            }
        });
    }
    let mut first = None;
    becomes_true(|| {
        meanwhile();
        first = said.recv_timeout(PATIENCE / 600).ok();
        first.is_some()
    });
    first.unwrap()
}

struct Ended {
    line: String,
    status: ExitStatus,
    said: String,
}

impl Ended {
    fn success(&self) {
        let is_interrupted = std::os::unix::process::ExitStatusExt::signal(&self.status) == Some(2);
        assert!(
            self.status.success() || is_interrupted,
            "{}\n{}: {}",
            self.line,
            self.status,
            self.said
        );
    }
}

#[test]
fn every_help_texts_examples_run() {
    let desk = Desk::with_token();
    let mut found = BTreeMap::new();
    examples(&[], &mut found);
    let count: usize = found.values().map(Vec::len).sum();
    assert!(found.len() > 30 && count > 80, "{} commands with {count} examples", found.len());
    let mut failed = Vec::new();
    for (command, lines) in &found {
        let dir = tempfile::tempdir().unwrap();
        let world = World::new(&desk, dir.path());
        before(command).iter().for_each(|line| world.run(command, line).success());
        for line in lines {
            let ended = world.run(command, line);
            if std::panic::catch_unwind(|| ended.success()).is_err() {
                failed.push(format!("{command}: {line}: {}: {}", ended.status, ended.said));
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
