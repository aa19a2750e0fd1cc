//! How fast whole results are exported over HTTP, on one core's time of the server, and how much
//! memory it takes for that; beside reading and writing the same lines with serde_json, and their
//! SHA-256.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use sha2::{Digest, Sha256};

use crate::daybook::{cpu_seconds, memory_kib};

const FORMATS: [&str; 4] = ["ndjson", "csv", "parquet", "ocsf"];
const GOAL_EVENTS_S: f64 = 100_000.0;
const GOAL_MIB: f64 = 64.0;
/// Lines that the baseline reads and writes.
const BASELINE_LINES: usize = 200_000;

/// Exports everything that `token` may see of the first `as_of` events of a server that runs at
/// `address` as the process `pid`.
pub fn measure(address: &str, pid: u32, token: &str, as_of: u64) {
    println!(
        "export of {as_of} events over HTTP; each format once, one after another; CPU is the server's alone"
    );
    println!(
        "{:<10}{:>12}{:>16}{:>20}{:>10}{:>14}",
        "format", "MiB", "events/s", "events/s of CPU", "MiB/s", "memory MiB"
    );
    // The memory of a first request does not count as growth.
    get(address, token, "/api/v1/events?limit=1", &mut Vec::new());
    for format in FORMATS {
        let (memory, cpu, began) = (memory_kib(pid, "VmRSS:"), cpu_seconds(pid), Instant::now());
        let mut most = memory;
        let mut lines = Vec::new();
        let target = format!("/api/v1/export?format={format}&as_of={as_of}");
        let bytes = download(address, token, &target, |piece| {
            most = most.max(memory_kib(pid, "VmRSS:"));
            if format == "ndjson" && lines.len() < 256 << 20 {
                lines.extend_from_slice(piece);
            }
        });
        let (took, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds(pid) - cpu);
        let (mib, events) = (bytes as f64 / f64::from(1 << 20), as_of as f64);
        println!(
            "{format:<10}{mib:>12.1}{:>16.0}{:>20.0}{:>10.0}{:>14.1}",
            events / took,
            events / cpu,
            mib / took,
            (most - memory) / 1024.0
        );
        if format == "ndjson" {
            baseline(&lines);
        }
    }
    println!(
        "goals: NDJSON and Parquet {GOAL_EVENTS_S} events/s on one core, memory {GOAL_MIB} MiB"
    );
}

/// The same lines, read and written by serde_json on one core, and their SHA-256.
fn baseline(bytes: &[u8]) {
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').take(BASELINE_LINES).collect();
    let (began, mut out) = (Instant::now(), Vec::new());
    for line in lines.iter().filter(|line| line.ends_with(b"}")) {
        let value: serde_json::Value = serde_json::from_slice(line).expect("a line of JSON");
        serde_json::to_writer(&mut out, &value).expect("memory");
        out.push(b'\n');
    }
    let lines_s = lines.len() as f64 / began.elapsed().as_secs_f64();
    let began = Instant::now();
    std::hint::black_box(Sha256::digest(bytes));
    let mib_s = bytes.len() as f64 / f64::from(1 << 20) / began.elapsed().as_secs_f64();
    println!(
        "  the same lines through serde_json: {lines_s:.0} a second; their SHA-256: {mib_s:.0} MiB/s"
    );
}

fn get(address: &str, token: &str, target: &str, into: &mut Vec<u8>) {
    download(address, token, target, |piece| into.extend_from_slice(piece));
}

/// Reads a response to its end; returns the number of bytes of its body.
fn download(address: &str, token: &str, target: &str, mut take: impl FnMut(&[u8])) -> u64 {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: {address}\r\nX-Auth-Token: {token}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("the server reads");
    let mut reader = BufReader::with_capacity(1 << 20, stream);
    let mut line = String::new();
    reader.read_line(&mut line).expect("an answer");
    assert!(line.contains(" 200 "), "{target}: {line}");
    let (mut len, mut is_chunked) = (None, false);
    loop {
        line.clear();
        reader.read_line(&mut line).expect("a header");
        let header = line.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        len =
            len.or(header.strip_prefix("content-length:").and_then(|len| len.trim().parse().ok()));
        is_chunked |= header.starts_with("transfer-encoding:") && header.ends_with("chunked");
    }
    let (mut bytes, mut piece) = (0, Vec::new());
    loop {
        let next: u64 = if is_chunked {
            line.clear();
            reader.read_line(&mut line).expect("a chunk");
            u64::from_str_radix(line.trim(), 16).expect("its length")
        } else {
            len.take().unwrap_or(0)
        };
        if next == 0 {
            return bytes;
        }
        piece.resize(usize::try_from(next).expect("a chunk fits"), 0);
        reader.read_exact(&mut piece).expect("the rest of a chunk");
        take(&piece);
        bytes += next;
        if is_chunked {
            reader.read_exact(&mut [0; 2]).expect("its end");
        }
    }
}
