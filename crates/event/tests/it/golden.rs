//! Captures of a source, each with what is expected of it beside it (`<capture>.expected.jsonl`).
//!
//! `UPDATE_GOLDEN=1 cargo test -p event` writes the expectations anew; the diff is then for a person to read.

use std::path::{Path, PathBuf};

use event::entry::Template;
use event::source::{Context, EnvelopeError, Format, Limits, Parsed};
use event::{Event, EventId, Service, Time, Trail};

pub const RECEIVED_AT: Time = Time::from_unix_ns(1_795_197_990_000_000_000);

/// A configured source whose captures are in `testdata/`.
pub struct Source {
    pub format: Format,
    pub service: Service,
    pub name: &'static str,
}

impl Source {
    pub fn parse(&self, body: &[u8], ids: &mut u64) -> Result<Vec<Parsed>, EnvelopeError> {
        let trail = Trail::new(self.service, "acme", "p1", self.name).unwrap();
        let mut new_id = || {
            *ids += 1;
            let mut random = [0; 10];
            random[2..].copy_from_slice(&ids.to_be_bytes());
            EventId::v7(RECEIVED_AT, random)
        };
        let mut context = Context {
            source: self.name,
            trail: &trail,
            received_at: RECEIVED_AT,
            new_id: &mut new_id,
            limits: Limits::default(),
        };
        self.format.parse(body, &mut context)
    }

    /// The events of a body of which everything can be used.
    pub fn events(&self, body: impl AsRef<[u8]>) -> Vec<Event> {
        self.parse(body.as_ref(), &mut 0)
            .unwrap()
            .into_iter()
            .map(|item| match item {
                Parsed::Event(event) => *event,
                Parsed::SetAside(set_aside) => panic!("{}", set_aside.reason),
            })
            .collect()
    }

    /// The only event of a body.
    pub fn event(&self, body: impl AsRef<[u8]>) -> Event {
        let mut events = self.events(body);
        assert_eq!(events.len(), 1);
        events.remove(0)
    }

    /// Why each item of a body was set aside, or the action of its event.
    pub fn reasons(&self, body: impl AsRef<[u8]>) -> Vec<String> {
        self.parse(body.as_ref(), &mut 0)
            .unwrap()
            .into_iter()
            .map(|item| match item {
                Parsed::Event(event) => format!("event {}", event.action),
                Parsed::SetAside(set_aside) => set_aside.reason,
            })
            .collect()
    }

    pub fn capture(&self, name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(self.format.as_str()).join(name)
    }

    /// Compares the entries of the bodies of one capture with those beside it. Nothing of a capture is set aside.
    pub fn check(&self, path: &Path, bodies: &[Vec<u8>]) {
        let (mut ids, mut rendered) = (0, String::new());
        for body in bodies {
            for item in self.parse(body, &mut ids).unwrap() {
                let Parsed::Event(event) = item else { panic!("{}: {item:?}", path.display()) };
                assert!(
                    body.windows(event.raw.len()).any(|window| window == event.raw),
                    "raw is a piece of the body"
                );
                let mut entry = Vec::new();
                Template::new(&event).fill(ids, RECEIVED_AT, &mut entry);
                rendered.push_str(std::str::from_utf8(&entry).unwrap());
                rendered.push('\n');
            }
        }
        let expected_path = path.with_extension("expected.jsonl");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&expected_path, &rendered).unwrap();
        }
        let expected = std::fs::read_to_string(&expected_path).unwrap();
        for (line, (got, expected)) in rendered.lines().zip(expected.lines()).enumerate() {
            assert_eq!(got, expected, "{} line {}", expected_path.display(), line + 1);
        }
        assert_eq!(rendered.lines().count(), expected.lines().count(), "{}", expected_path.display());
    }
}

/// The bodies in a capture file: one a line for a `requests.jsonl`, else one.
pub fn bodies(path: &Path) -> Vec<Vec<u8>> {
    let content = std::fs::read(path).unwrap();
    if !path.to_str().unwrap().ends_with("requests.jsonl") {
        return vec![content];
    }
    std::str::from_utf8(&content)
        .unwrap()
        .lines()
        .map(|line| {
            let request: serde_json::Value = serde_json::from_str(line).unwrap();
            request["body"].as_str().unwrap().as_bytes().to_vec()
        })
        .collect()
}
