//! Bodies that are the worst of their length.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use formats::Limits;
use serde_json::{Map, Value};

/// A body to be parsed.
pub struct Body {
    pub name: String,
    pub headers: Vec<(String, String)>,
    pub bytes: Vec<u8>,
}

/// Bytes of which a body of them alone consists: each is a field, an element, a level, a record or
/// a line to some format, or the beginning of one.
const PATTERNS: &[&[u8]] = &[
    b",",
    b"\n",
    b"1\n",
    b",\n",
    b"\",\"",
    b"\"\",",
    b"2026-11-20 18:10:25.552 UTC,",
    b"2026-11-20 18:10:25.552 UTC,\n",
    b"\"A\",",
    b"\"A\",\"1\",\"1\",1,1,1\n",
    b"1,1,1,1,1,1,1,1,1,1,1,1\n",
    b"[",
    b"{",
    b"[[],",
    b"{}",
    b"{}\n",
    b"{},",
    b"0,",
    b"\"",
    b"\"\\u0000",
    b"\\",
    b"&lt;",
    b"<",
    b"<A>",
    b"<AUDIT_RECORD>",
    b"<AUDIT_RECORD/>",
    b"<AUDIT_RECORD></AUDIT_RECORD>\n",
    b"A=\n",
    b"A=\n\n",
    b"A\n\0\0\0\0\0\0\0\0\n",
    b"__CURSOR=\n\n",
    b"type=A msg=audit(1.0:1): \n",
    b"type=A msg=audit(1.0:1): a=1 ",
    b"type=EOE msg=audit(1.0:1): \n",
    b"<1>1 - - - - - -\n",
    b"[a b=\"\"]",
    b"Nov 20 10:00:00 a b: \n",
    b"|",
    b"/",
    b"%00",
    b"' ",
    b"(",
    b"\x00",
    b"\xff",
    b"\xff\n",
    // Protobuf: an empty group, a group of an empty scope, a group of a scope of an empty record.
    b"\x0a\x00",
    b"\x0a\x02\x12\x00",
    b"\x0a\x04\x12\x02\x12\x00",
    b"\x0a\x06\x12\x04\x12\x02\x32\x00",
];

/// What may stand before the patterns, so that they are the inside of something.
const BEGINNINGS: &[&[u8]] = &[b"", b"[", b"{\"events\":["];

/// An event of Daybook's own format, of which there are no captures.
const OWN: &[u8] = br#"{"action":"create","actor":{"id":"1","name":"al"},"resource":{"name":"a"},
    "outcome":{"result":"success"},"attributes":{"a":"b"}}"#;

/// Calls `each` with every body for a format.
pub fn each(format: &str, bytes: usize, limits: Limits, each: &mut dyn FnMut(&Body)) {
    for (beginning, pattern) in
        BEGINNINGS.iter().flat_map(|beginning| PATTERNS.iter().map(move |one| (beginning, one)))
    {
        let is_worth_it = beginning.is_empty() || pattern.ends_with(b",");
        if is_worth_it {
            let mut filled = beginning.to_vec();
            fill(&mut filled, pattern, bytes);
            let name = format!("{}{}…", beginning.escape_ascii(), pattern.escape_ascii());
            each(&Body { name, headers: Vec::new(), bytes: filled });
        }
    }
    for sample in samples(format) {
        each_of_sample(&sample, bytes, limits, each);
    }
}

/// Appends `pattern` until `out` is as long as wanted.
fn fill(out: &mut Vec<u8>, pattern: &[u8], bytes: usize) {
    out.reserve_exact(bytes.saturating_sub(out.len()) + pattern.len());
    while out.len() + pattern.len() <= bytes {
        out.extend_from_slice(pattern);
    }
}

/// A body or line of a capture.
struct Sample {
    name: String,
    headers: Vec<(String, String)>,
    bytes: Vec<u8>,
}

fn each_of_sample(sample: &Sample, bytes: usize, limits: Limits, each: &mut dyn FnMut(&Body)) {
    let mut body = |name: &str, record: &[u8]| {
        let mut filled = Vec::new();
        fill(&mut filled, &[record, b"\n"].concat(), bytes);
        if !filled.is_empty() {
            let name = format!("{} {name}", sample.name);
            each(&Body { name, headers: sample.headers.clone(), bytes: filled });
        }
    };
    body("as it is", &sample.bytes);
    let Ok(json) = serde_json::from_slice::<Value>(&sample.bytes) else { return };
    // As large as an event may be, and as many events as a body may have.
    let (large, small) = (limits.event_bytes_max - 1024, bytes / (limits.events_max + 1));
    for at in containers(&json, "") {
        for (grown, record_bytes) in [("large", large), ("small", small), ("whole", bytes - 1024)] {
            for (kind, record) in grow(&json, &at, record_bytes) {
                body(&format!("with {grown} {at:?} of {kind}"), record.to_string().as_bytes());
            }
        }
    }
}

/// Pointers (RFC 6901) to the lists and objects in a value.
fn containers(value: &Value, at: &str) -> Vec<String> {
    let below: Vec<String> = match value {
        Value::Array(elements) => {
            elements.first().map(|one| containers(one, &format!("{at}/0"))).unwrap_or_default()
        }
        Value::Object(members) => members
            .iter()
            .flat_map(|(name, one)| {
                containers(one, &format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")))
            })
            .collect(),
        _ => return Vec::new(),
    };
    std::iter::once(at.to_owned()).chain(below).collect()
}

/// The value with one list or object filled up until its text is about as long as wanted.
fn grow(value: &Value, at: &str, bytes: usize) -> Vec<(&'static str, Value)> {
    let room = bytes.saturating_sub(value.to_string().len());
    let filled = |kind, element: Value| {
        let mut grown = value.clone();
        let count = room / (element.to_string().len() + 1);
        match grown.pointer_mut(at) {
            Some(Value::Array(elements)) => elements.extend(vec![element; count]),
            Some(Value::Object(members)) => add_members(members, &element, room),
            _ => {}
        }
        (kind, grown)
    };
    let first = value.pointer(at).and_then(|list| list.get(0)).cloned();
    let mut grown = vec![filled("\"\"", Value::from(""))];
    if let Some(Value::Array(_)) = value.pointer(at) {
        grown.push(filled("{}", Value::Object(Map::new())));
        grown.extend(first.map(|first| filled("its first", first)));
    }
    grown
}

/// Adds members with short names.
fn add_members(members: &mut Map<String, Value>, element: &Value, room: usize) {
    let (mut left, mut number) = (room, 0);
    while left > 0 {
        let name = format!("{number:x}");
        left = left.saturating_sub(name.len() + element.to_string().len() + 4);
        members.insert(name, element.clone());
        number += 1;
    }
}

/// Captures of one format that are bodies as they are.
const CAPTURES_MAX: usize = 6;

/// Samples of a format: each capture of a file, and of all records and requests the shortest, the
/// median and the longest.
fn samples(format: &str) -> Vec<Sample> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(format);
    if !folder.exists() {
        return vec![bare("own", OWN)];
    }
    let (mut samples, mut records) = (Vec::new(), Vec::new());
    for path in files(&folder) {
        let name = path.strip_prefix(&folder).unwrap().display().to_string();
        let content = std::fs::read(&path).unwrap();
        let lines = content.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        if name.ends_with("requests.jsonl") {
            records.extend(lines.filter_map(|line| request(&name, line)));
        } else {
            records.extend(lines.map(|line| bare(&name, line)));
            if samples.len() < CAPTURES_MAX {
                samples.push(bare(&name, &content));
            }
        }
    }
    records.sort_by_key(|record| record.bytes.len());
    let (median, longest) = (records.len() / 2, records.len().saturating_sub(1));
    let chosen = records.into_iter().enumerate();
    let chosen = chosen.filter(|(at, _)| [0, median, longest].contains(at));
    samples.extend(chosen.map(|(_, record)| record));
    samples
}

fn bare(name: &str, bytes: &[u8]) -> Sample {
    Sample { name: name.to_owned(), headers: Vec::new(), bytes: bytes.to_vec() }
}

/// The captures in a folder and below, in order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
        .into_iter()
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .filter(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            !name.ends_with(".md") && !name.ends_with(".expected.jsonl")
        })
        .collect()
}

/// A request of a capture, with its header lines.
fn request(name: &str, line: &[u8]) -> Option<Sample> {
    let request: Value = serde_json::from_slice(line).ok()?;
    let bytes = match &request["body_b64"] {
        Value::String(text) => BASE64.decode(text).unwrap(),
        _ => request["body"].as_str().unwrap().as_bytes().to_vec(),
    };
    let head = request["head"].as_str().unwrap_or_default();
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    let headers = head.lines().skip(1).filter_map(header).collect();
    Some(Sample { name: name.to_owned(), headers, bytes })
}
