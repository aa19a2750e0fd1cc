//! Daybook over HTTP: the release program, a fresh log, keep-alive connections.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::events::Template;
use crate::{Cell, Options, Sender, drive};

pub struct Figures {
    pub events_s: f64,
    pub events_per_sync: f64,
    pub cpu_s_per_million: f64,
    pub peak_mib: f64,
    pub journal_mb_s: f64,
}

const TOKEN: &str = "the token of the bench";

pub fn measure(options: &Options, cell: Cell) -> Figures {
    let folder = tempfile::tempdir_in(&options.folder).expect("the bench folder is writable");
    let data = folder.path().join("data");
    run(&options.program, &["init", path(&data)]);
    std::fs::write(folder.path().join("token"), TOKEN).expect("writable");
    let config = folder.path().join("daybook.toml");
    let source = "[[source]]\nname = \"hub\"\nformat = \"docker-registry\"\ntoken = { file = \"token\" }\n\
                  trail = { service = \"registry\", tenant = \"acme\", project = \"p1\", instance = \"hub\" }\n";
    std::fs::write(&config, source).expect("writable");
    let mut server = Command::new(&options.program)
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir", path(&data), "--config", path(&config)])
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let address = address(&mut server);
    let senders = (0..cell.senders).map(|_| Http::new(&address, cell.events)).collect();
    let cpu_before = cpu_seconds(server.id());
    let (events_s, sent) = drive(senders, cell, options.seconds);
    let cpu_s = cpu_seconds(server.id()) - cpu_before;
    let peak_mib = memory_kib(server.id(), "VmHWM:") / 1024.0;
    Command::new("kill").arg(server.id().to_string()).status().expect("kill is there");
    assert!(server.wait().expect("the server ends").success());
    let report = run(&options.program, &["check", path(&data)]);
    let number = |name: &str| -> f64 {
        let line = report.lines().find_map(|line| line.strip_prefix(name)).expect("check reports it");
        line.split(|c: char| !c.is_ascii_digit()).find(|digits| !digits.is_empty()).and_then(|digits| digits.parse().ok()).expect("a number")
    };
    // The server's record of itself is on another service's trail.
    let (events, batches) = (number("registry events: "), number("batches: "));
    assert_eq!(events, sent as f64, "every event answered for is there, once");
    let journal_bytes: u64 = std::fs::read_dir(data.join("journal")).expect("there").map(|file| file.expect("readable").metadata().expect("readable").len()).sum();
    Figures {
        events_s,
        events_per_sync: events / batches,
        cpu_s_per_million: cpu_s / events * 1e6,
        peak_mib,
        journal_mb_s: journal_bytes as f64 / events * events_s / 1e6,
    }
}

pub fn path(path: &Path) -> &str {
    path.to_str().expect("a path of plain characters")
}

pub fn run(program: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().expect("the program starts");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn address(server: &mut Child) -> String {
    let mut lines = BufReader::new(server.stderr.take().expect("piped")).lines();
    let address = loop {
        let line = lines.next().expect("the server says where it listens").expect("text");
        if let Some((_, address)) = line.strip_prefix("daybook: serving ").and_then(|rest| rest.rsplit_once("://")) {
            break address.to_owned();
        }
    };
    std::thread::spawn(move || lines.for_each(drop));
    address
}

/// User and system time of a process. A clock tick is a hundredth of a second on Linux.
pub fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the server runs");
    let fields: Vec<&str> = stat.rsplit_once(')').expect("a name in parentheses").1.split_whitespace().collect();
    fields[11..13].iter().map(|ticks| ticks.parse::<f64>().expect("a number")).sum::<f64>() / 100.0
}

/// A line of a process's status that is so many KiB: `VmHWM` is the most memory it ever held, `VmRSS` what it holds.
pub fn memory_kib(pid: u32, name: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the server runs");
    let line = status.lines().find(|line| line.starts_with(name)).expect("there");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
}

/// One keep-alive connection.
struct Http {
    stream: TcpStream,
    template: Template,
    head: Vec<u8>,
    answer: Vec<u8>,
}

impl Http {
    fn new(address: &str, events: usize) -> Http {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_nodelay(true).expect("a socket");
        let mut template = Template::new(events);
        let len = template.numbered(0).len();
        let head = format!("POST /intake/hub HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {len}\r\n\r\n");
        Http { stream, template, head: head.into_bytes(), answer: vec![0; 4096] }
    }
}

impl Sender for Http {
    fn send(&mut self, first_event: u64) {
        let body = self.template.numbered(first_event);
        if body.len() < 4096 {
            let whole = [&self.head, body].concat();
            self.stream.write_all(&whole).expect("the server reads");
        } else {
            self.stream.write_all(&self.head).expect("the server reads");
            self.stream.write_all(body).expect("the server reads");
        }
        // Answers are short and come in one piece.
        let len = self.stream.read(&mut self.answer).expect("the server answers");
        assert!(self.answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&self.answer[..len]));
    }
}
