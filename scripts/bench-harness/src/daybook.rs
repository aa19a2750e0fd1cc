//! Daybook over HTTP: the release program, a fresh log, keep-alive connections.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::events::Template;
use crate::http::{Connection, request};
use crate::live::{self, Live};
use crate::reader::Reader;
use crate::{Cell, Options, Sender, drive};

pub struct Measurement {
    pub events_s: f64,
    pub events_per_sync: f64,
    pub cpu_s_per_million: f64,
    pub peak_mib: f64,
    pub journal_mb_s: f64,
    pub latencies: Option<Latencies>,
}

/// Durations of queries in ms, ascending.
pub struct Latencies {
    /// While events were sent.
    pub busy: Vec<f64>,
    /// Afterwards.
    pub quiet: Vec<f64>,
}

/// Pause between a response and the next query.
const PAUSE: Duration = Duration::from_millis(250);
/// Pause after the last event, in which everything is flushed and compacted, and the duration of the
/// quiet queries after it.
const SETTLING: Duration = Duration::from_secs(30);
const QUIET: Duration = Duration::from_secs(20);

const TOKEN: &str = "the token of the bench";

/// Sends registry notifications, or the events given.
pub fn measure(options: &Options, cell: Cell, live: Option<&Arc<Live>>) -> Measurement {
    let folder = tempfile::tempdir_in(&options.folder).expect("the bench folder is writable");
    let data = folder.path().join("data");
    run(&options.program, &["init", path(&data)]);
    std::fs::write(folder.path().join("token"), TOKEN).expect("writable");
    let config = folder.path().join("daybook.toml");
    let hub = "[[source]]\nname = \"hub\"\nformat = \"docker-registry\"\ntoken = { file = \"token\" }\n\
               trail = { service = \"registry\", tenant = \"acme\", project = \"p1\", instance = \"hub\" }\n";
    std::fs::write(&config, live.map_or_else(|| hub.to_owned(), |_| live::sources("token")))
        .expect("writable");
    if options.asks {
        Reader::prepare(&options.program, folder.path(), &data);
    }
    let mut server = Command::new(&options.program)
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--data-dir",
            path(&data),
            "--config",
            path(&config),
        ])
        .stderr(Stdio::piped())
        .env("DAYBOOK_LIMITS_CALLER_REQUESTS_PER_SECOND", "1000000")
        .spawn()
        .expect("the program starts");
    let address = address(&mut server);
    let senders = (0..cell.senders).map(|_| Http::new(&address, cell.events, live)).collect();
    let cpu_before = cpu_seconds(server.id());
    let reader = options.asks.then(|| Reader::login(&address));
    let questions = live.map_or_else(questions, |live| live.questions());
    let is_over = AtomicBool::new(false);
    let ((events_s, sent), busy) = std::thread::scope(|scope| {
        let asking = reader
            .as_ref()
            .map(|reader| scope.spawn(|| reader.ask_until(&is_over, PAUSE, &questions)));
        let driven = drive(senders, cell, options.seconds);
        is_over.store(true, Ordering::Relaxed);
        (driven, asking.map(|asking| asking.join().expect("no panic")))
    });
    let cpu_s = cpu_seconds(server.id()) - cpu_before;
    let latencies = reader.zip(busy).map(|(reader, busy)| {
        std::thread::sleep(SETTLING);
        let is_over = AtomicBool::new(false);
        let quiet = std::thread::scope(|scope| {
            let asking = scope.spawn(|| reader.ask_until(&is_over, PAUSE, &questions));
            std::thread::sleep(QUIET);
            is_over.store(true, Ordering::Relaxed);
            asking.join().expect("no panic")
        });
        Latencies { busy, quiet }
    });
    let peak_mib = memory_kib(server.id(), "VmHWM:") / 1024.0;
    Command::new("kill").arg(server.id().to_string()).status().expect("kill is there");
    assert!(server.wait().expect("the server ends").success());
    let report = run(&options.program, &["check", path(&data)]);
    let number = |name: &str| -> f64 {
        let line =
            report.lines().find_map(|line| line.strip_prefix(name)).expect("check reports it");
        line.split(|c: char| !c.is_ascii_digit())
            .find(|digits| !digits.is_empty())
            .and_then(|digits| digits.parse().ok())
            .expect("a number")
    };
    // The server's record of itself is on another service's trail.
    let events: f64 = match live {
        Some(_) => {
            ["registry events: ", "artifact events: ", "database events: ", "platform events: "]
                .map(number)
                .iter()
                .sum()
        }
        None => number("registry events: "),
    };
    assert_eq!(events, sent as f64, "every acknowledged event is there, once");
    let batches = number("batches: ");
    let journal_bytes: u64 = std::fs::read_dir(data.join("journal"))
        .expect("there")
        .map(|file| file.expect("readable").metadata().expect("readable").len())
        .sum();
    Measurement {
        events_s,
        events_per_sync: events / batches,
        cpu_s_per_million: cpu_s / events * 1e6,
        peak_mib,
        journal_mb_s: journal_bytes as f64 / events * events_s / 1e6,
        latencies,
    }
}

/// First pages: of everything, of one actor, of one resource, and of words; each with its exact
/// total.
fn questions() -> Vec<String> {
    ["", "&actor=alice", "&resource=charts%2Fdemo", "&q=ubuntu&operation=pull"]
        .map(|which| format!("/api/v1/events?limit=50{which}"))
        .to_vec()
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
        if let Some((_, address)) =
            line.strip_prefix("daybook: serving ").and_then(|rest| rest.rsplit_once("://"))
        {
            break address.to_owned();
        }
    };
    std::thread::spawn(move || lines.for_each(drop));
    address
}

/// User and system time of a process. A clock tick is a hundredth of a second on Linux.
pub fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the server runs");
    let fields: Vec<&str> =
        stat.rsplit_once(')').expect("a name in parentheses").1.split_whitespace().collect();
    fields[11..13].iter().map(|ticks| ticks.parse::<f64>().expect("a number")).sum::<f64>() / 100.0
}

/// A number in KiB from a process's status: `VmHWM` is its peak memory, `VmRSS` its present one.
pub fn memory_kib(pid: u32, name: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the server runs");
    let line = status.lines().find(|line| line.starts_with(name)).expect("there");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
}

/// One connection and the bodies it sends.
struct Http {
    connection: Connection,
    address: String,
    headers: [(String, String); 1],
    events: usize,
    bodies: Bodies,
}

enum Bodies {
    Notifications(Template),
    Live(Arc<Live>),
}

impl Http {
    fn new(address: &str, events: usize, live: Option<&Arc<Live>>) -> Http {
        let bodies = live.map_or_else(
            || Bodies::Notifications(Template::new(events)),
            |live| Bodies::Live(Arc::clone(live)),
        );
        let headers = [("Authorization".to_owned(), format!("Bearer {TOKEN}"))];
        Http {
            connection: Connection::open(address),
            address: address.to_owned(),
            headers,
            events,
            bodies,
        }
    }
}

impl Sender for Http {
    fn send(&mut self, first_event: u64) {
        let request = |source: &str, body: &[u8]| {
            request(&self.address, "POST", &format!("/intake/{source}"), &self.headers, body)
        };
        let sent = match &mut self.bodies {
            Bodies::Notifications(template) => request("hub", template.numbered(first_event)),
            Bodies::Live(live) => {
                let body = live.body(first_event, self.events);
                request(&body.source, &body.lines(first_event))
            }
        };
        let answer = self.connection.ask(&sent);
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(answer.body));
    }
}
