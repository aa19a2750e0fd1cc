//! `scripts/bench sources`: events a second by syslog, and the cost of idle senders.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::daybook::{cpu_seconds, memory_kib, path, run as run_program};
use crate::{Options, machine};

const MESSAGE_BYTES: usize = 300;
const CONNECTIONS: [usize; 3] = [1, 4, 32];
const IDLE: usize = 1000;
/// Digits of a request's id that differ from message to message.
const DIGITS: usize = 16;
/// Messages that a sender writes at once.
const WRITTEN_AT_ONCE: u64 = 200;

const EVENTS_S_GOAL: f64 = 50_000.0;
const IDLE_MIB_GOAL: f64 = 100.0;

pub fn run(options: &Options) {
    machine::print(&options.folder);
    println!(
        "each: {} s on empty data; the senders share the cores with the server\n",
        options.seconds
    );
    syslog(options);
    idle(options);
}

/// A server with a source of nginx's access log by TCP, and that source's address.
struct Server {
    child: Child,
    address: String,
    folder: tempfile::TempDir,
}

impl Server {
    fn start(options: &Options) -> Server {
        let folder = tempfile::tempdir_in(&options.folder).expect("the bench folder is writable");
        let (data, config) = (folder.path().join("data"), folder.path().join("daybook.toml"));
        run_program(&options.program, &["init", path(&data)]);
        let text = "[limits]\nconnections_per_address_max = 4096\n\
                    [[source]]\nname = \"edge\"\nformat = \"nginx-json\"\nsyslog = { tcp = \"127.0.0.1:0\" }\n\
                    trail = { service = \"artifact\", tenant = \"acme\", project = \"p1\", instance = \"edge\" }\n";
        std::fs::write(&config, text).expect("writable");
        let mut child = Command::new(&options.program)
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
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let mut address = String::new();
        loop {
            let line = lines.next().expect("the server says where it listens").expect("text");
            if let Some((_, found)) = line.split_once(" by TCP on ") {
                address = found.to_owned();
            } else if line.starts_with("daybook: serving ") {
                break;
            }
        }
        std::thread::spawn(move || lines.for_each(drop));
        Server { child, address, folder }
    }

    /// Ends it; everything it read is durable then.
    fn end(&mut self) {
        Command::new("kill").arg(self.child.id().to_string()).status().expect("kill is there");
        assert!(self.child.wait().expect("the server ends").success());
    }

    /// How many events it has, once it ended.
    fn recorded(&self, options: &Options) -> u64 {
        let report =
            run_program(&options.program, &["check", path(&self.folder.path().join("data"))]);
        let events = report.lines().find_map(|line| line.strip_prefix("artifact events: "));
        events.and_then(|count| count.parse().ok()).expect("check reports them")
    }
}

/// One message in an octet-counted frame, and where its number stands.
fn frame() -> (Vec<u8>, usize) {
    let message = |padding: &str| {
        format!(
            "<190>Nov 21 18:09:48 edge-1 nginx: {{\"msec\":1763748588.123,\"request_time\":0.004,\"method\":\"GET\",\"request_uri\":\"/simple/numpy/{padding}.whl\",\"status\":200,\
             \"request_id\":\"{}\",\"remote_addr\":\"10.20.30.40\",\"remote_port\":\"50312\",\"remote_user\":\"\",\"user_agent\":\"pip/23.0.1\"}}",
            "#".repeat(DIGITS)
        )
    };
    let padding = "x".repeat(MESSAGE_BYTES - message("").len());
    let frame = format!("{MESSAGE_BYTES} {}", message(&padding));
    let at = frame.find('#').expect("the message has a number");
    (frame.into_bytes(), at)
}

fn syslog(options: &Options) {
    println!("syslog by TCP, octet-counted, {MESSAGE_BYTES} bytes a message, parsed as nginx-json");
    println!(
        "{:>12} {:>12} {:>14} {:>10}",
        "connections", "events/s", "CPU s/M events", "peak MiB"
    );
    let mut best = 0.0_f64;
    for connections in CONNECTIONS {
        let mut server = Server::start(options);
        let (began, cpu_before) = (Instant::now(), cpu_seconds(server.child.id()));
        let is_over = AtomicBool::new(false);
        let sent: u64 = std::thread::scope(|scope| {
            let senders: Vec<_> = (0..connections)
                .map(|sender| {
                    scope.spawn({
                        let (address, is_over) = (&server.address, &is_over);
                        move || send(address, sender, is_over)
                    })
                })
                .collect();
            std::thread::sleep(Duration::from_secs_f64(options.seconds));
            is_over.store(true, Ordering::Relaxed);
            senders.into_iter().map(|sender| sender.join().expect("a sender ends")).sum()
        });
        let pid = server.child.id();
        let (cpu_s, peak_mib) = (cpu_seconds(pid) - cpu_before, memory_kib(pid, "VmHWM:") / 1024.0);
        server.end();
        // Until the last message was durable, and the server gone.
        let events_s = sent as f64 / began.elapsed().as_secs_f64();
        assert_eq!(server.recorded(options), sent, "every message is there, once");
        println!(
            "{connections:>12} {events_s:>12.0} {:>14.2} {peak_mib:>10.0}",
            cpu_s / sent as f64 * 1e6
        );
        best = best.max(events_s);
    }
    goal("events/s", best, EVENTS_S_GOAL, best >= EVENTS_S_GOAL);
}

/// Sends as fast as the server reads, until `is_over` is set and everything was read.
fn send(address: &str, sender: usize, is_over: &AtomicBool) -> u64 {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    let (frame, at) = frame();
    let mut some = frame.repeat(WRITTEN_AT_ONCE as usize);
    let mut sent = 0;
    while !is_over.load(Ordering::Relaxed) {
        for (number, frame) in (sent..).zip(some.chunks_mut(frame.len())) {
            let digits = format!("{sender:04}{number:012}");
            frame[at..at + DIGITS].copy_from_slice(digits.as_bytes());
        }
        stream.write_all(&some).expect("the server reads");
        sent += WRITTEN_AT_ONCE;
    }
    stream.shutdown(Shutdown::Write).expect("a socket");
    assert_eq!(stream.read(&mut [0]).expect("the server ends the connection"), 0);
    sent
}

/// The cost of a thousand senders after one message each.
fn idle(options: &Options) {
    let mut server = Server::start(options);
    let pid = server.child.id();
    let before = memory_kib(pid, "VmRSS:") / 1024.0;
    let (frame, _) = frame();
    let held: Vec<TcpStream> = (0..IDLE)
        .map(|_| {
            let mut stream = TcpStream::connect(&server.address).expect("the server listens");
            stream.write_all(&frame).expect("the server reads");
            stream
        })
        .collect();
    std::thread::sleep(Duration::from_secs(2));
    let after = memory_kib(pid, "VmRSS:") / 1024.0;
    drop(held);
    println!("\n{IDLE} idle senders by TCP: {before:.1} MiB before, {after:.1} MiB with them");
    goal("MiB for them", after - before, IDLE_MIB_GOAL, after - before < IDLE_MIB_GOAL);
    server.end();
}

fn goal(what: &str, got: f64, wanted: f64, is_met: bool) {
    let verdict = if is_met { "met" } else { "not met" };
    println!("  {what:<20} {got:>10.1}  goal {wanted:<8} {verdict}");
}
