//! Whole conversations as text (`transcripts/<api>.txt`): a request, then the answer it must get,
//! byte for byte but for what differs in every run, which stands in angle brackets.
//!
//! `UPDATE_TRANSCRIPTS=1 cargo test -p daybook --test it transcripts` writes the answers anew; the
//! diff is then for a person to read.

use std::fmt::Write as _;
use std::path::PathBuf;

use crate::estate::{APP_CODE, Estate, HCSO_CODE, LATER, TENANT, key_of};
use crate::harness::{Answer, Daybook, SECRET, now, sign, workspace};

/// One request of a transcript.
struct Exchange {
    /// What it shows; lines that begin with `#`.
    comment: String,
    /// Who asks: `nobody`, `reader`, `token of reader`, `platform` (a token and both app codes).
    asker: String,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: String,
    expected: String,
}

fn path(api: &str) -> PathBuf {
    workspace().join(format!("crates/daybook/tests/it/transcripts/{api}.txt"))
}

/// Reads a transcript: exchanges are parted by a line of `====`, request and answer by one of
/// `----`.
fn read(text: &str) -> Vec<Exchange> {
    text.split("\n====\n").map(|part| read_one(part.trim_matches('\n'))).collect()
}

fn read_one(part: &str) -> Exchange {
    let (request, expected) = part.split_once("\n----\n").unwrap_or_else(|| {
        (part.strip_suffix("\n----").expect("a line that ends the request"), "")
    });
    let (head, body) = request.split_once("\n\n").unwrap_or((request, ""));
    let comment: Vec<&str> = head.lines().take_while(|line| line.starts_with('#')).collect();
    let mut lines = head.lines().skip(comment.len());
    let asker = lines.next().unwrap().strip_prefix("as ").expect("who asks").to_owned();
    let (method, target) = lines.next().unwrap().split_once(' ').expect("a request line");
    Exchange {
        comment: comment.join("\n"),
        asker,
        method: method.to_owned(),
        target: target.to_owned(),
        headers: lines
            .map(|line| line.split_once(": ").expect("a header"))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        body: body.to_owned(),
        expected: expected.to_owned(),
    }
}

impl Exchange {
    fn ask(&self, server: &Daybook) -> Answer {
        let mut headers = self.headers.clone();
        match self.asker.as_str() {
            "nobody" => {}
            "platform" => {
                for (name, value) in [
                    ("X-APIG-Appcode", APP_CODE),
                    ("x-hcso-appcode", HCSO_CODE),
                    ("x-auth-token", "token of reader"),
                    ("x-hcso-domainid", TENANT),
                ] {
                    if !headers.iter().any(|(given, _)| given == name) {
                        headers.push((name.to_owned(), value.to_owned()));
                    }
                }
                headers.retain(|(_, value)| value != "(none)");
            }
            token if token.starts_with("token ") => {
                headers.push(("X-Auth-Token".to_owned(), token.to_owned()));
            }
            user => headers.extend(sign(
                server.address,
                &key_of(user),
                SECRET,
                &self.method,
                &self.target,
                self.body.as_bytes(),
                now(),
            )),
        }
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        server.request(&self.method, &self.target, &headers, self.body.as_bytes())
    }

    fn text(&self, answer: &str) -> String {
        let mut text = String::new();
        if !self.comment.is_empty() {
            writeln!(text, "{}", self.comment).unwrap();
        }
        writeln!(text, "as {}\n{} {}", self.asker, self.method, self.target).unwrap();
        for (name, value) in &self.headers {
            writeln!(text, "{name}: {value}").unwrap();
        }
        if !self.body.is_empty() {
            writeln!(text, "\n{}", self.body).unwrap();
        }
        text + "----\n" + answer
    }
}

/// The answer as a transcript has it.
fn seen(server: &Daybook, answer: &Answer) -> String {
    let mut body = answer.text().replace(&answer.headers["x-request-id"], "<request id>");
    body = body.replace(&server.address.to_string(), "<host>");
    for (member, what) in [
        ("\"trace_id\":\"", "<trace id>"),
        ("\"job_id\":\"", "<job id>"),
        ("\"expires_at\":\"", "<24 hours later>"),
        ("\"issued_at\":\"", "<now>"),
        ("\"created_at\":\"", "<when the log was made>"),
        ("\"updated_at\":\"", "<when the log was made>"),
        ("\"created\":\"", "<when the log was made>"),
        ("\"updated\":\"", "<when the log was made>"),
    ] {
        body = blanked(&body, member, |value| !value.is_empty(), what);
    }
    // Ids that are made anew in every run: those of the ops platform's rows, and those of DBSS's.
    let is_made = |id: &str| {
        id.len() == 20
            || (id.len() == 36 && id.matches('-').count() == 4 && id.as_bytes()[14] == b'7')
    };
    body = blanked(&body, "\"id\":\"", is_made, "<id>");
    for name in ["expires=", "signature="] {
        body = blanked_until(&body, name);
    }
    let kind = answer.headers.get("content-type").map_or("", String::as_str);
    format!("{} {kind}\n{body}", answer.status)
}

/// Replaces the text after each `before`, up to the next quotation mark, where `is_it`.
fn blanked(text: &str, before: &str, is_it: impl Fn(&str) -> bool, what: &str) -> String {
    let mut pieces = text.split(before);
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (value, rest) = piece.split_once('"').unwrap_or((piece, ""));
        let value = if is_it(value) { what } else { value };
        write!(out, "{before}{value}\"{rest}").unwrap();
    }
    out
}

/// Replaces the letters and digits after each `before`.
fn blanked_until(text: &str, before: &str) -> String {
    let mut pieces = text.split(before);
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let rest = piece.trim_start_matches(|c: char| c.is_ascii_alphanumeric());
        write!(out, "{before}<…>{rest}").unwrap();
    }
    out
}

/// Events of each kind: the name of a source, and lines for it.
pub fn samples() -> [(&'static str, &'static str); 5] {
    [
        ("registry", include_str!("transcripts/registry.ndjson")),
        ("artifact", include_str!("transcripts/artifact.ndjson")),
        ("database", include_str!("transcripts/database.ndjson")),
        ("platform", include_str!("transcripts/platform.ndjson")),
        ("dbaudit", include_str!("transcripts/dbaudit.ndjson")),
    ]
}

fn check(api: &str) {
    let estate = Estate::new();
    estate.lay_down_token("token of reader", "reader", "", LATER);
    let server = estate.serve();
    for (source, lines) in samples() {
        server.take(source, lines);
    }
    let text = std::fs::read_to_string(path(api)).unwrap();
    let exchanges = read(&text);
    let answered: Vec<String> = exchanges
        .iter()
        .map(|exchange| exchange.text(&seen(&server, &exchange.ask(&server))))
        .collect();
    if std::env::var_os("UPDATE_TRANSCRIPTS").is_some() {
        std::fs::write(path(api), answered.join("\n====\n") + "\n").unwrap();
        return;
    }
    for (exchange, answered) in exchanges.iter().zip(&answered) {
        assert_eq!(*answered, exchange.text(&exchange.expected), "{api}: {}", exchange.comment);
    }
    println!("{api}: {} exchanges", exchanges.len());
}

#[test]
fn swr_answers_as_written_down() {
    check("swr");
}

#[test]
fn codearts_answers_as_written_down() {
    check("codearts");
}

#[test]
fn taurusdb_answers_as_written_down() {
    check("taurusdb");
}

#[test]
fn hcs_answers_as_written_down() {
    check("hcs");
}

#[test]
fn dbss_answers_as_written_down() {
    check("dbss");
}

#[test]
fn iam_answers_as_written_down() {
    check("iam");
}
