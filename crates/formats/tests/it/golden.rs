//! Captures of a source, each with the expected entries beside it (`<capture>.expected.jsonl`).
//!
//! `UPDATE_GOLDEN=1 cargo test -p formats` writes the expectations anew; the diff is then for a
//! person to read.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use event::entry::Template;
use event::{Event, EventId, Service, Time, Trail};
use formats::{Attempts, Context, EnvelopeError, FilePosition, Format, Item, Options};

pub const RECEIVED_AT: Time = Time::from_unix_ns(1_795_197_990_000_000_000);

thread_local! {
    static ATTEMPTS: Attempts = Attempts::default();
}

/// A configured source whose captures are in `testdata/`.
pub struct Source {
    pub format: &'static str,
    pub service: Service,
    pub name: &'static str,
}

/// A request by HTTP: header lines, names in lower case, and a body. From a file, a body alone.
#[derive(Default)]
pub struct Request {
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Source {
    pub fn format(&self) -> Format {
        self.format.parse().unwrap()
    }

    pub fn parse(&self, body: &[u8], ids: &mut u64) -> Result<Vec<Item>, EnvelopeError> {
        let request = Request { body: body.to_vec(), ..Request::default() };
        self.parse_as(&request, &everything(), ids)
    }

    pub fn parse_as(
        &self,
        request: &Request,
        options: &Options,
        ids: &mut u64,
    ) -> Result<Vec<Item>, EnvelopeError> {
        self.with_context(&request.headers, options, ids, |context| {
            self.format().parse(&request.body, context)
        })
    }

    /// The items of one syslog message.
    pub fn parse_message(&self, message: &[u8], options: &Options) -> Vec<Item> {
        self.with_context(&[], options, &mut 0, |context| {
            self.format().parse_message(message, context)
        })
    }

    /// The items of a body if requests may wait for their answers.
    pub fn parse_deferring(&self, body: &[u8]) -> Vec<Item> {
        self.with_context(&[], &everything(), &mut 0, |context| {
            context.defers = true;
            self.format().parse(body, context).unwrap()
        })
    }

    /// The items of a rejected record, with this limit on its bytes.
    pub fn parse_again(&self, item: &[u8], event_bytes_max: usize) -> Result<Vec<Item>, String> {
        self.with_context(&[], &everything(), &mut 0, |context| {
            context.limits.event_bytes_max = event_bytes_max;
            self.format().parse_again(item, context)
        })
    }

    /// The items of a piece of a file.
    pub fn parse_piece(&self, piece: &[u8], position: FilePosition<'_>) -> Vec<Item> {
        self.with_context(&[], &everything(), &mut 0, |context| {
            let mut context = Context {
                position: Some(position),
                ..Context::new(
                    context.source,
                    context.trail,
                    context.received_at,
                    context.new_id,
                    context.options,
                )
            };
            self.format().parse(piece, &mut context).unwrap()
        })
    }

    fn with_context<T>(
        &self,
        headers: &[(String, String)],
        options: &Options,
        ids: &mut u64,
        parse: impl FnOnce(&mut Context<'_>) -> T,
    ) -> T {
        let trail = Trail::new(self.service, "acme", "p1", self.name).unwrap();
        let mut new_id = || {
            *ids += 1;
            let mut random = [0; 10];
            random[2..].copy_from_slice(&ids.to_be_bytes());
            EventId::v7(RECEIVED_AT, random)
        };
        let mut context = Context::new(self.name, &trail, RECEIVED_AT, &mut new_id, options);
        context.headers = headers;
        // Messages of one source come one after another.
        context.attempts = ATTEMPTS.with(Attempts::clone);
        parse(&mut context)
    }

    /// The events of a body without rejected records.
    pub fn events(&self, body: impl AsRef<[u8]>) -> Vec<Event> {
        self.parse(body.as_ref(), &mut 0)
            .unwrap()
            .into_iter()
            .filter_map(|item| match item {
                Item::Event(event) => Some(*event),
                Item::Rejected(rejected) => panic!("{}", rejected.reason),
                Item::Skipped(_) => None,
            })
            .collect()
    }

    /// The only event of a body.
    pub fn event(&self, body: impl AsRef<[u8]>) -> Event {
        let mut events = self.events(body);
        assert_eq!(events.len(), 1);
        events.remove(0)
    }

    /// The reason why each item of a body was rejected or skipped, or the action of its event.
    pub fn reasons(&self, body: impl AsRef<[u8]>) -> Vec<String> {
        self.parse(body.as_ref(), &mut 0)
            .unwrap()
            .into_iter()
            .map(|item| match item {
                Item::Event(event) => format!("event {}", event.action),
                Item::Rejected(rejected) => rejected.reason,
                Item::Skipped(why) => format!("skipped: {why}"),
            })
            .collect()
    }

    pub fn capture(&self, name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(self.format).join(name)
    }

    /// Whether `raw` is a piece of the body or, if records of several lines interleave, consists of
    /// its lines.
    pub fn is_from(&self, body: &[u8], raw: &[u8]) -> bool {
        if self.format != "linux-audit" {
            return body.windows(raw.len()).any(|window| window == raw);
        }
        let is_end = |byte: &u8| *byte == b'\n';
        // A line loses one CR, which others may precede.
        let line_of = |line: &'_ [u8]| {
            let end = line.iter().rposition(|byte| *byte != b'\r').map_or(0, |at| at + 1);
            line[..end].to_vec()
        };
        let lines: std::collections::BTreeSet<Vec<u8>> = body.split(is_end).map(line_of).collect();
        raw.split(is_end).all(|line| lines.contains(&line_of(line)))
    }

    /// Compares the entries of the requests of one capture with those beside it. A rejected record
    /// has a line with its reason; a skipped item has none.
    pub fn check(&self, path: &Path, requests: &[Request]) {
        self.check_beside(&path.with_extension(""), requests);
    }

    /// The same with the name that the expectations have before `.expected.jsonl`.
    pub fn check_beside(&self, beside: &Path, requests: &[Request]) {
        let (mut ids, mut rendered) = (0, String::new());
        for request in requests {
            for item in self.parse_as(request, &everything(), &mut ids).unwrap() {
                let raw = match item {
                    Item::Skipped(_) => continue,
                    Item::Rejected(rejected) => {
                        rendered.push_str(&format!("rejected: {}\n", rejected.reason));
                        rejected.raw
                    }
                    Item::Event(event) => {
                        let mut entry = Vec::new();
                        Template::new(&event).fill(ids, RECEIVED_AT, &mut entry);
                        rendered.push_str(std::str::from_utf8(&entry).unwrap());
                        rendered.push('\n');
                        event.raw
                    }
                };
                assert!(
                    raw.is_empty() || self.is_from(&request.body, &raw),
                    "raw is a piece of the body"
                );
            }
        }
        let mut expected_path = beside.as_os_str().to_owned();
        expected_path.push(".expected.jsonl");
        let expected_path = PathBuf::from(expected_path);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&expected_path, &rendered).unwrap();
        }
        let expected = std::fs::read_to_string(&expected_path).unwrap();
        for (line, (got, expected)) in rendered.lines().zip(expected.lines()).enumerate() {
            assert_eq!(got, expected, "{} line {}", expected_path.display(), line + 1);
        }
        assert_eq!(
            rendered.lines().count(),
            expected.lines().count(),
            "{}",
            expected_path.display()
        );
    }
}

/// Options that leave nothing out.
pub fn everything() -> Options {
    Options { records_noise: true, ..Options::default() }
}

/// The requests in a capture file: one a line for a `requests.jsonl`, else one body.
pub fn requests(path: &Path) -> Vec<Request> {
    let content = std::fs::read(path).unwrap();
    if !path.to_str().unwrap().ends_with("requests.jsonl") {
        return vec![Request { body: content, ..Request::default() }];
    }
    std::str::from_utf8(&content)
        .unwrap()
        .lines()
        .map(|line| {
            let request: serde_json::Value = serde_json::from_str(line).unwrap();
            let body = match &request["body_b64"] {
                serde_json::Value::String(text) => BASE64.decode(text).unwrap(),
                _ => request["body"].as_str().unwrap().as_bytes().to_vec(),
            };
            Request { headers: headers(request["head"].as_str().unwrap_or_default()), body }
        })
        .collect()
}

/// The header lines after a request line.
fn headers(head: &str) -> Vec<(String, String)> {
    head.lines()
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect()
}
