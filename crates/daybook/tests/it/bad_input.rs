//! Bad inputs from a data file: the expected status and code, nothing recorded, and a server that
//! lives on.

use std::io::Write;

use serde::Deserialize;

use crate::harness::{TOKEN, TestDir};

#[derive(Deserialize)]
struct File {
    case: Vec<Case>,
}

/// One request and what is expected of it. See `data/bad_inputs.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    id: String,
    what: String,
    #[serde(default = "post")]
    method: String,
    target: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    #[serde(default)]
    signed: bool,
    #[serde(default)]
    body: String,
    body_hex: Option<String>,
    repeat: Option<Repeat>,
    encode: Option<String>,
    status: Vec<u16>,
    code: Option<String>,
    contains: Option<String>,
    #[serde(default)]
    recorded: u64,
    #[serde(default)]
    dead_letters: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Repeat {
    #[serde(default)]
    before: String,
    piece: String,
    times: usize,
    #[serde(default)]
    after: String,
}

fn post() -> String {
    "POST".to_owned()
}

/// The body of a case may grow by this much in memory: its bytes after decompression, in a buffer
/// that doubles as it grows, and the events made of it, which `limits.request_events_bytes_max`
/// bounds. A bomb of a megabyte would be a gigabyte.
const MEMORY_GROWTH_KIB_MAX: u64 = (64 + 128) << 10;

#[test]
fn every_row_is_answered_as_the_table_says() {
    let file: File = toml::from_str(include_str!("data/bad_inputs.toml")).unwrap();
    assert!(file.case.len() >= 60, "{} cases", file.case.len());
    let test_dir = TestDir::new();
    let server = test_dir.serve();
    let memory = server.peak_memory_kib();
    let dead_letters = || {
        let output = crate::harness::run(&[
            "dead-letters",
            "list",
            "-o",
            "json",
            "--data-dir",
            test_dir.data().to_str().unwrap(),
        ]);
        crate::harness::text(&output.stdout).lines().count() as u64
    };
    for case in &file.case {
        let name = format!("{} {}", case.id, case.what);
        let (events, letters) = (server.events(), dead_letters());
        let body = case.bytes();
        let mut headers: Vec<(String, String)> = case.headers.clone();
        if case.target.starts_with("/intake/")
            && !headers.iter().any(|(name, _)| name == "Authorization")
        {
            headers.push(("Authorization".to_owned(), format!("Bearer {TOKEN}")));
        }
        if case.signed {
            headers.extend(crate::harness::sign(
                server.address,
                crate::harness::ACCESS_KEY,
                crate::harness::SECRET,
                &case.method,
                &case.target,
                &case.bytes(),
                crate::harness::now(),
            ));
        }
        headers.iter_mut().for_each(|(_, value)| *value = expanded(value));
        let target = expanded(&case.target);
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        // A body refused early may close the connection while it is still being sent.
        let answer = match server.client().request(&case.method, &target, &headers, &body) {
            Ok(answer) => answer,
            Err(error) if case.status.contains(&0) => {
                println!("{name}: closed ({error})");
                continue;
            }
            Err(error) => panic!("{name}: {error}"),
        };
        assert!(
            case.status.contains(&answer.status),
            "{name}: {} {}",
            answer.status,
            answer.text()
        );
        if let Some(code) = &case.code {
            assert_eq!(&answer.code(), code, "{name}: {}", answer.text());
            let id = &answer.headers["x-request-id"];
            assert!(
                id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()),
                "{name}: {id}"
            );
            assert_eq!(answer.json()["request_id"], **id, "{name}");
        }
        if let Some(piece) = &case.contains {
            assert!(answer.text().contains(piece.as_str()), "{name}: {}", answer.text());
        }
        assert_eq!(server.events() - events, case.recorded, "{name}: recorded");
        assert_eq!(dead_letters() - letters, case.dead_letters, "{name}: dead letters");
    }
    let grown = server.peak_memory_kib() - memory;
    assert!(grown < MEMORY_GROWTH_KIB_MAX, "memory grew by {grown} KiB");
    println!("{} rows; peak memory grew by {grown} KiB", file.case.len());
    assert_eq!(server.stop(), Some(0));
}

impl Case {
    fn bytes(&self) -> Vec<u8> {
        let plain = match (&self.body_hex, &self.repeat) {
            (Some(hex), _) => (0..hex.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
                .collect(),
            (None, Some(repeat)) => {
                format!("{}{}{}", repeat.before, repeat.piece.repeat(repeat.times), repeat.after)
                    .into_bytes()
            }
            (None, None) => self.body.clone().into_bytes(),
        };
        match self.encode.as_deref() {
            None => plain,
            Some("gzip") => gzip(&plain),
            Some("gzip-gzip") => gzip(&gzip(&plain)),
            Some("gzip-cut") => {
                let mut whole = gzip(&plain);
                whole.truncate(whole.len() - 5);
                whole
            }
            Some("gzip-crc") => {
                let mut whole = gzip(&plain);
                let at = whole.len() - 6;
                whole[at] ^= 1;
                whole
            }
            Some("zstd") => zstd::encode_all(&plain[..], 3).unwrap(),
            Some(other) => panic!("{other}"),
        }
    }
}

/// `@9000` stands for a text of that many characters, beginning with a slash.
fn expanded(text: &str) -> String {
    match text.strip_prefix('@').and_then(|count| count.parse::<usize>().ok()) {
        Some(count) => format!("/{}", "x".repeat(count - 1)),
        None => text.to_owned(),
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
