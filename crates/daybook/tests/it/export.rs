//! Exports: the whole result in every format, recorded before it leaves, and the same bytes however
//! often a download breaks off.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::estate::{Estate, key_of};
use crate::harness::{Answer, Client, Daybook, SECRET, becomes_true, hex, now, sign, text};

const FORMATS: [&str; 4] = ["ndjson", "csv", "parquet", "ocsf"];

/// Two sources' events, with texts that formats must heed.
fn lines(first: usize, count: usize) -> String {
    let line = |number: usize| {
        let text = ["=1+1", "a,\"b\"\nc", "", "李雷 🚀", "'quoted", "\u{0}\t", "plain"][number % 7];
        let operation =
            ["pull", "login", "delete", "grant", "exec", "upload", "logout"][number % 7];
        let kind = ["artifact", "user", "table", "user", "pods", "file", "group"][number % 5];
        serde_json::json!({
            "id": format!("e-{number}"),
            "occurred_at": format!("2026-11-20T{:02}:{:02}:{:02}Z", number / 3600 % 24, number * 7 % 60, number % 60),
            "action": format!("act-{}", number % 11),
            "operation": operation,
            "actor": if number.is_multiple_of(3) { serde_json::json!({ "type": "system" }) } else { serde_json::json!({ "name": format!("user-{}", number % 13) }) },
            "resource": { "type": kind, "name": format!("library/app-{}", number % 17) },
            "outcome": { "result": if number.is_multiple_of(5) { "failure" } else { "success" }, "code": number % 600 },
            "description": text,
            "attributes": { "n": number, "text": text },
        })
        .to_string()
    };
    (first..first + count).map(line).collect::<Vec<_>>().join("\n")
}

fn fill(server: &Daybook, first: usize, count: usize) {
    for (position, source) in
        ["registry", "platform", "database", "artifact"].into_iter().enumerate()
    {
        server.take(source, &lines(first + position * count, count));
    }
}

/// Sends a request as `reader` with more headers, and leaves the answer to be read.
fn begin(server: &Daybook, target: &str, headers: &[(&str, &str)]) -> Client {
    let signed = sign(server.address, &key_of("reader"), SECRET, "GET", target, b"", now());
    let mut head = format!("GET {target} HTTP/1.1\r\nHost: {}\r\n", server.address);
    for (name, value) in signed
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .chain(headers.iter().copied())
    {
        head += &format!("{name}: {value}\r\n");
    }
    let mut client = server.client();
    client.stream.write_all(format!("{head}\r\n").as_bytes()).unwrap();
    client
}

fn get(server: &Daybook, target: &str, headers: &[(&str, &str)]) -> Answer {
    begin(server, target, headers).read_answer(false).unwrap()
}

/// Every event by pages, oldest first.
fn events(server: &Daybook, question: &str) -> Vec<Value> {
    let mut all = Vec::new();
    loop {
        let target = format!("/api/v1/events?{question}&order=asc&limit=1000&offset={}", all.len());
        let page = server.of("reader", "GET", &target, "").json();
        match page["events"].as_array().unwrap() {
            some if some.is_empty() => return all,
            some => all.extend(some.iter().cloned()),
        }
    }
}

/// The rows of a CSV file by RFC 4180, each cell without its guard.
fn csv_rows(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell) = (Vec::new(), Vec::new(), String::new());
    let (mut is_quoted, mut letters) = (false, text.chars().peekable());
    let end = |cell: &mut String, row: &mut Vec<String>| {
        let value = std::mem::take(cell);
        row.push(value.strip_prefix('\'').map(str::to_owned).unwrap_or(value));
    };
    while let Some(letter) = letters.next() {
        match letter {
            '"' if is_quoted && letters.peek() == Some(&'"') => cell.push(letters.next().unwrap()),
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => end(&mut cell, &mut row),
            '\r' if !is_quoted => {
                assert_eq!(letters.next(), Some('\n'));
                end(&mut cell, &mut row);
                rows.push(std::mem::take(&mut row));
            }
            other => cell.push(other),
        }
    }
    assert!(cell.is_empty() && row.is_empty(), "the last line ends");
    rows
}

#[test]
fn every_format_has_the_whole_result() {
    let estate = Estate::with_settings("[limits]\nflush_events = 100\nunflushed_events_max = 200");
    let server = estate.serve();
    fill(&server, 0, 400);
    for question in
        ["outcome=success", "q=-actor.type:system%20library", "service=database&q=alice"]
    {
        let size =
            get(&server, "/api/v1/events?limit=0", &[]).json()["tree_size"].as_u64().unwrap();
        let expected = events(&server, &format!("{question}&as_of={size}"));
        let export = |format: &str| {
            let answer = get(
                &server,
                &format!("/api/v1/export?{question}&format={format}&as_of={size}"),
                &[],
            );
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert_eq!(answer.headers["x-daybook-total"], expected.len().to_string());
            assert_eq!(answer.headers["x-daybook-tree-size"], size.to_string());
            answer
        };
        let json = |text: String| -> Vec<Value> {
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        };
        assert_eq!(json(export("ndjson").text()), expected);
        let ocsf = json(export("ocsf").text());
        assert_eq!(ocsf.len(), expected.len());
        for (row, event) in ocsf.iter().zip(&expected) {
            assert_eq!(row["metadata"]["uid"], event["id"]);
            assert_eq!(
                row["type_uid"].as_u64(),
                Some(
                    row["class_uid"].as_u64().unwrap() * 100 + row["activity_id"].as_u64().unwrap()
                )
            );
        }
        let csv = csv_rows(&export("csv").text());
        let names: Vec<&str> = csv[0].iter().map(String::as_str).collect();
        assert_eq!(csv.len() - 1, expected.len());
        for (cells, event) in csv[1..].iter().zip(&expected) {
            let row: BTreeMap<&str, &str> =
                names.iter().copied().zip(cells.iter().map(String::as_str)).collect();
            assert_eq!(row["index"], event["index"].to_string());
            assert_eq!(row["description"], event["description"].as_str().unwrap_or_default());
            assert_eq!(row["actor_name"], event["actor"]["name"].as_str().unwrap_or_default());
            assert_eq!(
                serde_json::from_str::<Value>(row["attributes"]).unwrap(),
                event["attributes"]
            );
        }
        let parquet = export("parquet").body;
        assert!(parquet.starts_with(b"PAR1") && parquet.ends_with(b"PAR1"));
    }
}

#[test]
fn a_download_that_broke_off_goes_on_where_it_ended() {
    let estate =
        Estate::with_settings("[limits]\nflush_events = 1000\nunflushed_events_max = 2000");
    let mut server = estate.serve();
    fill(&server, 0, 900);
    for format in FORMATS {
        let first = get(&server, &format!("/api/v1/export?after=-2000w&format={format}"), &[]);
        let (again, mark) =
            (first.headers["content-location"].clone(), first.headers["etag"].clone());
        // Relative times, and what came since, do not change what it names.
        fill(&server, 100_000, 100);
        let whole = get(&server, &again, &[]);
        assert_eq!((&whole.headers["etag"], whole.status), (&mark, 200));
        assert!(whole.body == first.body, "{format}: the same bytes");
        // The server dies while it is sent.
        let mut client = begin(&server, &again, &[]);
        let mut part = vec![0; whole.body.len() / 3];
        client.stream.read_exact(&mut part).unwrap();
        server.kill_9();
        server = estate.serve();
        for had in [0, 1, part.len(), whole.body.len() - 1] {
            let range = format!("bytes={had}-");
            let rest = get(&server, &again, &[("Range", &range), ("If-Range", &mark)]);
            assert_eq!(rest.status, 206, "{format}");
            assert!(
                rest.headers["content-range"].starts_with(&format!("bytes {had}-")),
                "{rest:?}"
            );
            assert!(rest.body == whole.body[had..], "{format} from {had}");
        }
        let len = whole.body.len();
        let behind = get(&server, &again, &[("Range", &format!("bytes={len}-"))]);
        assert_eq!(
            (behind.status, behind.headers["content-range"].as_str()),
            (416, &*format!("bytes */{len}"))
        );
        // A part of another file, of no pinned one, or of a form that is not taken, is the whole.
        for (target, headers) in [
            (&*again, vec![("Range", "bytes=5-"), ("If-Range", "\"other\"")]),
            (&*again, vec![("Range", "bytes=5-9")]),
            (&*again, vec![("Range", "bytes=0-,5-")]),
            ("/api/v1/export", vec![("Range", "bytes=5-")]),
        ] {
            assert_eq!(get(&server, target, &headers).status, 200, "{headers:?}");
        }
    }
}

#[test]
fn a_manifest_says_what_the_file_has() {
    let estate = Estate::new();
    let server = estate.serve();
    fill(&server, 0, 50);
    let mut manifests = Vec::new();
    for format in FORMATS {
        let file = get(
            &server,
            &format!("/api/v1/export?outcome=failure&format={format}"),
            &[("TE", "trailers")],
        );
        let trailer = &file.headers["x-daybook-manifest"];
        let link =
            file.headers["link"].trim_start_matches('<').split('>').next().unwrap().to_owned();
        let manifest = get(&server, &link, &[]);
        use base64::Engine as _;
        let trailed = base64::prelude::BASE64_STANDARD.decode(trailer).unwrap();
        assert!(trailed == manifest.body, "the trailer is the manifest");
        let facts = manifest.json();
        assert_eq!(facts["sha256"].as_str(), Some(&*hex(&Sha256::digest(&file.body))));
        assert_eq!(facts["bytes"].as_u64(), Some(file.body.len() as u64));
        assert_eq!(facts["rows"].to_string(), file.headers["x-daybook-total"]);
        assert_eq!(
            (facts["format"].as_str(), facts["caller"].as_str()),
            (Some(format), Some("reader"))
        );
        assert!(
            facts["receipt"]
                .as_str()
                .unwrap()
                .starts_with("daybook-export/v1\norigin test.example/log\ntree ")
        );
        manifests.push((link, facts));
    }
    drop(server);
    // Nothing of it is remembered; it is found out again.
    let server = estate.serve();
    for (link, facts) in manifests {
        assert_eq!(get(&server, &link, &[]).json(), facts);
    }
}

#[test]
fn an_export_is_recorded_before_its_first_byte() {
    let estate = Estate::new();
    let mut server = estate.serve();
    fill(&server, 0, 5);
    let mut client = begin(&server, "/api/v1/export?q=outcome:success&format=csv", &[]);
    client.stream.read_exact(&mut [0; 12]).unwrap();
    server.kill_9();
    drop(estate.serve());
    let acts = estate.test_dir.acts("daybook.Export");
    assert_eq!(acts.len(), 1);
    let act: Value = serde_json::from_str(&acts[0]).unwrap();
    assert_eq!(
        (act["actor"]["id"].as_str(), act["operation"].as_str()),
        (Some("reader"), Some("download"))
    );
    assert_eq!(act["resource"]["name"], "outcome:success");
    assert_eq!(
        (act["attributes"]["format"].as_str(), act["attributes"]["total"].as_str()),
        (Some("csv"), Some("16"))
    );
}

#[test]
fn what_the_caller_may_not_see_is_not_exported() {
    let estate = Estate::new();
    let server = estate.serve();
    fill(&server, 0, 5);
    server.take("rivals-registry", &lines(50, 7));
    let total = |user: &str| {
        let answer = server.of(user, "GET", "/api/v1/export?trail=*/*/*/*", "");
        assert_eq!(answer.text().lines().count().to_string(), answer.headers["x-daybook-total"]);
        answer.text().lines().count()
    };
    assert_eq!([total("reader"), total("rival"), total("nobody")], [20, 7, 0]);
    let manifest = server.of("rival", "GET", "/api/v1/export/manifest", "").json();
    assert_eq!(manifest["rows"], 7);
    assert!(
        manifest["trails"]
            .as_array()
            .unwrap()
            .iter()
            .all(|trail| trail.as_str().unwrap().contains("rival")),
        "{manifest}"
    );
}

#[test]
fn so_many_exports_are_made_at_once() {
    let estate = Estate::with_settings("[limits]\nexports_max = 1");
    let server = estate.serve();
    let padded = |number: usize| {
        format!(
            r#"{{"action":"a","occurred_at":"2026-11-20T00:00:00Z","description":"{number} {}"}}"#,
            "x".repeat(60_000)
        )
    };
    for first in (0..1000).step_by(50) {
        server.take("platform", &(first..first + 50).map(padded).collect::<Vec<_>>().join("\n"));
    }
    // Nobody reads it, and it is more than sockets hold.
    let mut slow = begin(&server, "/api/v1/export", &[]);
    // It has the permit once it is answered.
    slow.stream.peek(&mut [0]).unwrap();
    becomes_true(|| {
        let refused = get(&server, "/api/v1/export/manifest", &[]);
        refused.status == 503 && refused.headers["retry-after"] == "1"
    });
    assert_eq!(get(&server, "/api/v1/events?limit=1", &[]).status, 200, "others are answered");
    // It goes on as if nothing had been.
    let answer = slow.read_answer(false).unwrap();
    assert_eq!(
        (answer.status, answer.body.iter().filter(|byte| **byte == b'\n').count()),
        (200, 1000)
    );
    becomes_true(|| get(&server, "/api/v1/export/manifest", &[]).status == 200);
}

#[test]
fn wrong_requests_are_answered_with_the_reason() {
    let estate = Estate::new();
    let server = estate.serve();
    for (query, parameter) in [
        ("format=xml", "format"),
        ("limit=5", "limit"),
        ("as_of=999999", "as_of"),
        ("q=after:never", "q"),
    ] {
        let answer = get(&server, &format!("/api/v1/export?{query}"), &[]);
        assert_eq!(
            (answer.status, answer.json()["parameter"].as_str()),
            (400, Some(parameter)),
            "{query}"
        );
    }
}

#[test]
fn an_export_is_verified_without_the_server() {
    let estate = Estate::with_settings("[limits]\nflush_events = 100\nunflushed_events_max = 200");
    let server = estate.serve();
    fill(&server, 0, 100);
    let test_dir = |name: &str| estate.test_dir.path(name).to_str().unwrap().to_owned();
    let key = crate::harness::daybook()
        .args(["key", "show", "--data-dir"])
        .arg(estate.test_dir.data())
        .output()
        .unwrap();
    let key = text(&key.stdout).trim().to_owned();
    let url = format!("http://{}", server.address);
    let verify = |log: &[&str]| {
        let output = crate::harness::daybook()
            .args([
                "verify",
                "--key",
                &key,
                "--export",
                &test_dir("file"),
                "--manifest",
                &test_dir("manifest"),
            ])
            .args(log)
            .output()
            .unwrap();
        (output.status.code().unwrap(), text(&output.stdout) + &text(&output.stderr))
    };
    for format in FORMATS {
        let file = get(
            &server,
            &format!("/api/v1/export?-outcome=failure&before=-1s&format={format}"),
            &[],
        );
        let link =
            file.headers["link"].trim_start_matches('<').split('>').next().unwrap().to_owned();
        let manifest = get(&server, &link, &[]).text();
        // The checkpoint covers what was exported.
        becomes_true(|| {
            let size: u64 = get(&server, "/tlog/checkpoint", &[])
                .text()
                .lines()
                .nth(1)
                .unwrap()
                .parse()
                .unwrap();
            size >= file.headers["x-daybook-tree-size"].parse::<u64>().unwrap()
        });
        std::fs::write(test_dir("file"), &file.body).unwrap();
        std::fs::write(test_dir("manifest"), &manifest).unwrap();
        let data = estate.test_dir.data();
        let logs: [&[&str]; 3] = [&[], &["--log", data.to_str().unwrap()], &["--log", &url]];
        for log in logs {
            let (code, said) = verify(log);
            assert_eq!(code, 0, "{format}: {said}");
            assert!(said.contains(&format!("rows: {}", file.headers["x-daybook-total"])), "{said}");
        }
        // A byte of the file; a fact of the manifest; a signature over other facts.
        let mut other = file.body.clone();
        *other.last_mut().unwrap() ^= 1;
        std::fs::write(test_dir("file"), &other).unwrap();
        assert_eq!(verify(&[]).0, 5);
        std::fs::write(test_dir("file"), &file.body[..file.body.len() - 1]).unwrap();
        assert!(verify(&[]).1.contains("bytes that were signed for"));
        std::fs::write(test_dir("file"), &file.body).unwrap();
        for (from, to) in [
            ("\"rows\": ", "\"rows\": 1"),
            ("\"caller\": \"reader\"", "\"caller\": \"x\""),
            ("rows ", "rows 1"),
            ("registry/", "registrz/"),
        ] {
            assert!(manifest.contains(from), "{manifest}");
            std::fs::write(test_dir("manifest"), manifest.replacen(from, to, 1)).unwrap();
            assert_eq!(verify(&[]).0, 5, "{from} -> {to}");
        }
    }
}
