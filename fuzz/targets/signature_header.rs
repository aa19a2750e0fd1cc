//! The verifier of signatures. A signed request verifies; the same request, changed anywhere,
//! verifies only if it still means what was signed; another header than the signed one does not;
//! and nothing panics.
//!
//! An input is a request as text: `METHOD target`, headers, an empty line, the body. After a line
//! `~~~` come changes to this text, one a line: `+OFFSET TEXT` inserts text, `-OFFSET COUNT`
//! removes bytes, `!HEADER` presents another `Authorization` (in which `$` stands for the right
//! signature). The rules for "means the same" are written here independently, from the description
//! of the scheme and the readings that docs/api/signing.md allows.

#![no_main]

use std::collections::BTreeMap;

use daybook_fuzz::{Authorization, SignedRequest, is_signature, sign};
use event::Time;
use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;

const KEY: &str = "AKIDEXAMPLE0000000AA";
const SECRET: &str = "SKEXAMPLE0000000000000000000000000000000";
/// The time in `DATE`.
const NOW: Time = Time::from_unix_ns(1_795_132_800_000_000_000);
const DATE: &str = "20261120T000000Z";

struct Request {
    method: String,
    path: String,
    query: String,
    /// The value without surrounding blanks; the first of repeated ones, which is signed.
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

fuzz_target!(|input: &str| {
    let (text, changes) = input.split_once("\n~~~\n").unwrap_or((input, ""));
    let Some(request) = parse(text) else { return };
    let named: Vec<(&str, &str)> =
        request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let shown =
        sign(KEY, SECRET, &request.method, &request.path, &request.query, &named, &request.body);
    let date = request.headers.get("x-sdk-date").map_or("", String::as_str);
    if verifies(&shown, &request) {
        assert!(date.starts_with("20261119T23") || date.starts_with("20261120T00"), "long ago");
    } else {
        assert_ne!(date, DATE, "what was signed now");
    }
    let (changed, other) = change(text, changes);
    if let Some(changed) = parse(&changed)
        && verifies(&shown, &changed)
    {
        assert!(means_the_same(&request, &changed), "a changed request");
    }
    if let Some(other) = other {
        let signature = &shown[shown.len() - 64..];
        let other = other.replace('$', signature);
        if verifies(&other, &request) {
            assert!(is_signature(&other) && other.contains(signature), "another signature");
            let names: String = named.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
            assert!(other.contains(&names), "other headers than were signed");
        }
    }
});

/// The request as a server receives it; `None` for a text that no server accepts.
fn parse(text: &str) -> Option<Request> {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let (method, target) = lines.next()?.split_once(' ')?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut headers = BTreeMap::new();
    for line in lines {
        let (name, value) = line.split_once(':')?;
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        let value = value.trim_matches(|c: char| c.is_ascii_whitespace());
        HeaderValue::from_bytes(value.as_bytes()).ok()?;
        headers.entry(name.as_str().to_owned()).or_insert_with(|| value.to_owned());
    }
    let (method, path, query) = (method.to_owned(), path.to_owned(), query.to_owned());
    Some(Request { method, path, query, headers, body: body.as_bytes().to_vec() })
}

/// Applies changes to a text, and returns the other header to present.
fn change<'a>(text: &str, changes: &'a str) -> (String, Option<&'a str>) {
    let mut bytes = text.as_bytes().to_vec();
    let mut other = None;
    for line in changes.lines() {
        if let Some(header) = line.strip_prefix('!') {
            other = Some(header);
            continue;
        }
        let Some((at, what)) = line.get(1..).and_then(|rest| rest.split_once(' ')) else {
            continue;
        };
        let Some(at) = at.parse().ok().filter(|at: &usize| *at <= bytes.len()) else { continue };
        if line.starts_with('+') {
            bytes.splice(at..at, what.bytes());
        } else if let Ok(count) = what.parse::<usize>() {
            bytes.drain(at..at.saturating_add(count).min(bytes.len()));
        }
    }
    (String::from_utf8_lossy(&bytes).into_owned(), other)
}

fn verifies(shown: &str, request: &Request) -> bool {
    let mut headers = HeaderMap::new();
    for (name, value) in &request.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("parsed");
        headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).expect("parsed"));
    }
    let signed = SignedRequest {
        method: &request.method,
        raw_path: &request.path,
        raw_query: &request.query,
        headers: &headers,
        host: request.headers.get("host").map_or("", String::as_str),
        body: &request.body,
    };
    let authorization = Authorization::parse(shown);
    authorization.is_some_and(|authorization| {
        let is_verified = authorization.verifies(&signed, SECRET, NOW);
        assert!(!authorization.verifies(&signed, "another secret", NOW), "with another secret");
        is_verified
    })
}

/// Whether two requests may have the same signature. A header that only one of them has is not
/// covered.
fn means_the_same(signed: &Request, other: &Request) -> bool {
    let path = unescaped(&signed.path);
    let paths = [unescaped(&other.path), other.path.as_bytes().to_vec()];
    let queries = [pairs(&other.query), pairs(&other.query.replace('+', " "))];
    let header = |(name, value): (&String, &String)| other.headers.get(name) == Some(value);
    signed.method == other.method
        && paths.iter().any(|other| without_slashes(other) == without_slashes(&path))
        && queries.contains(&pairs(&signed.query))
        && signed.headers.iter().all(header)
        && signed.body == other.body
}

/// A path may end with a slash or not.
fn without_slashes(mut path: &[u8]) -> &[u8] {
    while let Some(rest) = path.strip_suffix(b"/") {
        path = rest;
    }
    path
}

/// The pairs of a query, in any order.
fn pairs(query: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut pairs: Vec<_> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (unescaped(name), unescaped(value)))
        .collect();
    pairs.sort();
    pairs
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let digit = |at: usize| tail.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        match (byte, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                out.push(u8::try_from(high * 16 + low).expect("two hex digits"));
                rest = &tail[2..];
            }
            _ => {
                out.push(byte);
                rest = tail;
            }
        }
    }
    out
}
