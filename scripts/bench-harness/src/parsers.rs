//! Speed of each format's parser on one core, over its captures repeated, beside baselines on the
//! same bytes in the same run: copying the resulting events, the cost of their texts and attributes
//! in memory for any parser; for captures of JSON, a reader that discards everything; and SHA-256,
//! which every event costs anyway.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use event::{EventId, Time, Trail};
use formats::{Context, Format, Item, Options};
use sha2::{Digest, Sha256};

/// Bytes parsed at once, about as many as in a full request. No capture is too short for the clock
/// then.
const BODY_BYTES: usize = 1 << 20;

/// One request of a source.
struct Request {
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// The speed of one format.
pub struct Speed {
    mb_s: f64,
    events_s: f64,
    /// Speed of copying and dropping the events, in bytes of their originals.
    copy_mb_s: f64,
    sha256_mb_s: f64,
    /// None where the captures are no JSON.
    json_mb_s: Option<f64>,
    bytes_per_event: f64,
    rejected_percent: usize,
}

pub fn run(seconds: f64, formats: &[Format]) {
    println!(
        "\nparsers: MB/s of what was received and events/s, one core, {seconds} s each, captures of the format repeated"
    );
    println!(
        "{:>20} {:>9} {:>11} {:>11} {:>10} {:>13} {:>12} {:>10}",
        "format",
        "MB/s",
        "events/s",
        "bytes/event",
        "copy MB/s",
        "SHA-256 MB/s",
        "JSON MB/s",
        "rejected"
    );
    for &format in formats {
        let requests = captures(format);
        if requests.is_empty() {
            println!("{:>20} has no captures", format.as_str());
            continue;
        }
        let speed = measure(format, &requests, Duration::from_secs_f64(seconds));
        println!(
            "{:>20} {:>9.0} {:>11.0} {:>11.0} {:>10.0} {:>13.0} {:>12} {:>9.1}%",
            format.as_str(),
            speed.mb_s,
            speed.events_s,
            speed.bytes_per_event,
            speed.copy_mb_s,
            speed.sha256_mb_s,
            speed.json_mb_s.map_or("-".to_owned(), |mb_s| format!("{mb_s:.0}")),
            speed.rejected_percent as f64,
        );
    }
    println!("goal: 100 MB/s or more, or what dominates");
}

/// The examples of the page of Daybook's own format, which has no captures.
const OWN: &str = concat!(
    r#"{"id":"ci-4711/step-3","occurred_at":"2026-11-20T17:49:51.25+08:00","action":"approve deployment","operation":"update","#,
    r#""actor":{"id":"u-17","name":"alice","type":"user"},"resource":{"type":"service","name":"billing","id":"svc-9","region":"eu-1"},"#,
    r#""outcome":{"result":"failure","code":403,"reason":"not an owner"},"source_ip":"2001:db8::7","user_agent":"deployctl/2.1","#,
    r#""severity":3,"class":"security","description":"alice tried to deploy billing","request_id":"req-8812","#,
    r#""attributes":{"ticket":"OPS-12","attempt":2}}"#,
    "\n"
);

/// The captures that the format's tests have.
fn captures(format: Format) -> Vec<Request> {
    if format.as_str() == "daybook" {
        return vec![Request { headers: Vec::new(), body: OWN.repeat(1000).into_bytes() }];
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../crates/formats/testdata")
        .join(format.as_str());
    let mut paths = Vec::new();
    files(&folder, &mut paths);
    paths.sort();
    paths.iter().flat_map(|path| requests(path)).collect()
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            files(&path, found);
        } else if has_expectation(&path) {
            found.push(path);
        }
    }
}

/// Captures are the files with an expectation beside them: `audit.json` has `audit.expected.jsonl`
/// or `audit-json.expected.jsonl`.
fn has_expectation(path: &Path) -> bool {
    let with_kind = || {
        let kind = path.extension()?.to_str()?;
        Some(path.with_file_name(format!("{}-{kind}.expected.jsonl", path.file_stem()?.to_str()?)))
    };
    !path.to_string_lossy().ends_with(".expected.jsonl")
        && (path.with_extension("expected.jsonl").exists()
            || with_kind().is_some_and(|path| path.exists()))
}

fn requests(path: &Path) -> Vec<Request> {
    let content = std::fs::read(path).expect("a capture");
    if !path.to_string_lossy().ends_with("requests.jsonl") {
        return vec![Request { headers: Vec::new(), body: content }];
    }
    let text = String::from_utf8(content).expect("requests are JSON");
    text.lines().map(|line| request(&serde_json::from_str(line).expect("a request"))).collect()
}

fn request(capture: &serde_json::Value) -> Request {
    let body = match capture["body_b64"].as_str() {
        Some(text) => base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text)
            .expect("base64"),
        None => capture["body"].as_str().unwrap_or_default().as_bytes().to_vec(),
    };
    let head = capture["head"].as_str().unwrap_or_default();
    let headers = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    Request {
        headers: headers
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect(),
        body,
    }
}

/// As many of the requests, again and again, as make up about `BODY_BYTES`.
fn round(requests: &[Request]) -> Vec<&Request> {
    let mut chosen: Vec<&Request> = Vec::new();
    let mut bytes = 0;
    for request in requests.iter().cycle() {
        if bytes >= BODY_BYTES && chosen.len() >= requests.len() {
            return chosen;
        }
        bytes += request.body.len().max(1);
        chosen.push(request);
    }
    chosen
}

fn measure(format: Format, requests: &[Request], time: Duration) -> Speed {
    let round = round(requests);
    let bytes: usize = round.iter().map(|request| request.body.len()).sum();
    let (mut events, mut rejected, mut rounds) = (0usize, 0usize, 0usize);
    let began = Instant::now();
    while began.elapsed() < time || rounds == 0 {
        for request in &round {
            for item in parse(format, request) {
                match std::hint::black_box(item) {
                    Item::Event(_) => events += 1,
                    Item::Rejected(_) => rejected += 1,
                    Item::Skipped(_) => {}
                }
            }
        }
        rounds += 1;
    }
    let parsing_s = began.elapsed().as_secs_f64();
    let mb_s = (bytes * rounds) as f64 / parsing_s / 1e6;
    let parsed: Vec<Vec<Item>> = round.iter().map(|request| parse(format, request)).collect();
    let (copied, mut copies) = (Instant::now(), 0);
    while copied.elapsed() < time / 4 || copies == 0 {
        parsed.iter().for_each(|items| drop(std::hint::black_box(items.clone())));
        copies += 1;
    }
    let copy_mb_s = (bytes * copies) as f64 / copied.elapsed().as_secs_f64() / 1e6;
    let is_json = round.iter().all(|request| keeps_nothing(&request.body).is_some());
    Speed {
        mb_s,
        events_s: events as f64 / parsing_s,
        copy_mb_s,
        sha256_mb_s: baseline(&round, bytes, time / 4, |body| {
            std::hint::black_box(Sha256::digest(body));
        }),
        json_mb_s: is_json.then(|| {
            baseline(&round, bytes, time / 4, |body| {
                std::hint::black_box(keeps_nothing(body));
            })
        }),
        bytes_per_event: (bytes * rounds) as f64 / events.max(1) as f64,
        rejected_percent: 100 * rejected / (events + rejected).max(1),
    }
}

/// Reads JSON values one after another.
fn keeps_nothing(body: &[u8]) -> Option<usize> {
    let values = serde_json::Deserializer::from_slice(body).into_iter::<serde::de::IgnoredAny>();
    values.map(Result::ok).try_fold(0, |count, value| value.map(|_| count + 1))
}

fn baseline(round: &[&Request], bytes: usize, time: Duration, mut each: impl FnMut(&[u8])) -> f64 {
    let (began, mut rounds) = (Instant::now(), 0);
    while began.elapsed() < time || rounds == 0 {
        round.iter().for_each(|request| each(&request.body));
        rounds += 1;
    }
    (bytes * rounds) as f64 / began.elapsed().as_secs_f64() / 1e6
}

fn parse(format: Format, request: &Request) -> Vec<Item> {
    let trail = Trail::new(format.service(), "acme", "p1", "bench").expect("a trail");
    let (now, options) = (
        Time::from_unix_ns(1_795_197_990_000_000_000),
        Options { records_noise: true, ..Options::default() },
    );
    let mut count = 0u64;
    let mut new_id = || {
        count += 1;
        let mut random = [0; 10];
        random[2..].copy_from_slice(&count.to_be_bytes());
        EventId::v7(now, random)
    };
    let mut context = Context::new("bench", &trail, now, &mut new_id, &options);
    context.headers = &request.headers;
    context.limits.events_max = usize::MAX - 1;
    format.parse(&request.body, &mut context).unwrap_or_default()
}
