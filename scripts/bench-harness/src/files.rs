//! `scripts/bench sources`, its part about files: lines a second that are imported, and followed,
//! until they are durable.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::daybook::{address, path, run};

const TOKEN: &str = "the token of the bench";
/// Bytes of a line, with its end.
const LINE_BYTES: usize = 300;
/// Files that are imported, each an hour of the database.
const FILES: u64 = 4;
/// The goal on two cores, in lines a second.
const GOAL: f64 = 50_000.0;

pub fn measure(program: &Path, folder: &Path, lines: u64) {
    println!(
        "\nfiles of MariaDB's audit plugin, {lines} lines of {LINE_BYTES} bytes in {FILES} files, until all are durable"
    );
    println!("{:>10} {:>10} {:>12} {:>12}", "", "lines/s", "MB/s", "goal 50,000/s");
    let say = |what: &str, seconds: f64| {
        let rate = lines as f64 / seconds;
        println!(
            "{what:>10} {rate:>10.0} {:>12.1} {:>12}",
            rate * LINE_BYTES as f64 / 1e6,
            if rate >= GOAL { "met" } else { "not met" }
        );
    };
    let setup = Setup::new(program, folder, lines);
    let began = Instant::now();
    run(
        program,
        &[
            "import",
            "db",
            path(&setup.logs),
            "--config",
            path(&setup.config),
            "--data-dir",
            path(&setup.data),
        ],
    );
    say("imported", began.elapsed().as_secs_f64());
    setup.check(program, lines);
    let setup = Setup::new(program, folder, lines);
    let began = Instant::now();
    let mut server = Command::new(program)
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--data-dir",
            path(&setup.data),
            "--config",
            path(&setup.config),
        ])
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    address(&mut server);
    let state = setup.data.join("followed/db.json");
    let bytes = (lines * LINE_BYTES as u64 / FILES).to_string();
    // A position is written once everything before it is durable.
    let is_read = || {
        let text = std::fs::read_to_string(&state).unwrap_or_default();
        text.matches(&format!("\"mark\":{{\"offset\":{bytes},")).count() as u64 == FILES
    };
    while !is_read() {
        std::thread::sleep(Duration::from_millis(20));
    }
    say("followed", began.elapsed().as_secs_f64());
    Command::new("kill").arg(server.id().to_string()).status().expect("kill is there");
    assert!(server.wait().expect("the server ends").success());
    setup.check(program, lines);
}

struct Setup {
    data: std::path::PathBuf,
    logs: std::path::PathBuf,
    config: std::path::PathBuf,
    _folder: tempfile::TempDir,
}

impl Setup {
    fn new(program: &Path, folder: &Path, lines: u64) -> Setup {
        let folder = tempfile::tempdir_in(folder).expect("the bench folder is writable");
        let (data, logs) = (folder.path().join("data"), folder.path().join("logs"));
        let config = folder.path().join("daybook.toml");
        run(program, &["init", path(&data)]);
        std::fs::create_dir(&logs).expect("writable");
        std::fs::write(folder.path().join("token"), TOKEN).expect("writable");
        let source = "[[source]]\nname = \"db\"\nformat = \"mariadb-audit\"\ntoken = { file = \"token\" }\nfollow = { paths = [\"logs\"] }\n\
                      trail = { service = \"database\", tenant = \"acme\", project = \"p1\", instance = \"db\" }\n";
        std::fs::write(&config, source).expect("writable");
        for file in 0..FILES {
            let mut text = String::with_capacity(LINE_BYTES * (lines / FILES) as usize);
            for number in 0..lines / FILES {
                line(file, number, &mut text);
            }
            std::fs::write(logs.join(format!("server_audit.log.{}", FILES - file)), text)
                .expect("writable");
        }
        Setup { data, logs, config, _folder: folder }
    }

    fn check(&self, program: &Path, lines: u64) {
        let report = run(program, &["check", path(&self.data)]);
        assert!(
            report.contains(&format!("database events: {lines}\n")),
            "every line is there, once: {report}"
        );
    }
}

fn line(file: u64, number: u64, text: &mut String) {
    let begin = text.len();
    let (minute, second) = (number / 60 % 60, number % 60);
    write!(text, "20261120 {:02}:{minute:02}:{second:02},vm,app_rw,10.0.0.7,{file},{number},QUERY,shop,'SELECT * FROM orders WHERE id = {number} /* ", file + 1).expect("memory");
    let end = "*/',0\n";
    let padding = LINE_BYTES - end.len() - (text.len() - begin);
    text.extend(std::iter::repeat_n('x', padding));
    text.push_str(end);
}
