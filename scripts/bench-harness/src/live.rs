//! The made-up events of `scripts/bench query` as senders have them: lines of Daybook's own format,
//! a request's events of one trail. Each is sent many times, with a key and a time of its own.
//! Trails of the service that Daybook records itself on are left out, so that what was sent can be
//! counted.

use std::path::Path;
use std::sync::Arc;

use event::Service;
use event::entry::Template;

use crate::made::{Events, Random, TRAILS};
use crate::query::Columns;
use crate::{daybook, events};

/// Number of bodies, which are sent in turn.
const MADE: u64 = 400_000;
const SEED: u64 = 1;
/// Digits of a key.
const KEY: usize = 16;
/// Characters of a time.
const TIME: usize = 30;

/// Bodies of requests, as often of a trail as it has events.
pub struct Live {
    bodies: Vec<Body>,
    pub line_bytes: usize,
    pub entry_bytes: usize,
}

pub struct Body {
    pub source: String,
    lines: Vec<u8>,
    /// Offsets of the key and the time of each event in the lines.
    offsets: Vec<(usize, usize)>,
    pub rows: Vec<Row>,
}

/// An event as a database stores it, without the key and the time that differ each time.
pub struct Row {
    pub columns: Columns,
    /// The canonical entry, and where its key is.
    entry: Vec<u8>,
    key_at: usize,
    /// Where the line is in the body.
    line: std::ops::Range<usize>,
}

/// The server's settings for these sources, each with this token.
pub fn sources(token_file: &str) -> String {
    let events = Events::new(1, SEED);
    let source = |(rank, trail): (usize, &event::Trail)| {
        format!(
            "[[source]]\nname = \"{}\"\nformat = \"daybook\"\ntoken = {{ file = \"{token_file}\" }}\n\
             trail = {{ service = \"{}\", tenant = \"{}\", project = \"{}\", instance = \"{}\" }}\n",
            name(rank),
            trail.service().as_str(),
            trail.tenant(),
            trail.project(),
            trail.instance()
        )
    };
    events.trails.iter().enumerate().map(source).collect()
}

fn name(rank: usize) -> String {
    format!("s-{rank:03}")
}

impl Live {
    /// Builds bodies of this many events each. Trails with fewer events are left out.
    pub fn make(program: &Path, count: usize) -> Arc<Live> {
        let made = Events::new(MADE, SEED);
        let text = daybook::run(
            program,
            &["bench", "generate", "--events", &MADE.to_string(), "--seed", &SEED.to_string()],
        );
        let mut open: Vec<Vec<(u64, &str)>> = vec![Vec::new(); TRAILS];
        let mut bodies = Vec::new();
        for (number, line) in (0..MADE).zip(text.lines()) {
            let event = made.event(number);
            if event.trail.service() == Service::Dbaudit {
                continue;
            }
            let rank =
                made.trails.iter().position(|trail| *trail == event.trail).expect("one of them");
            open[rank].push((number, line));
            if open[rank].len() == count {
                bodies.push(Body::of(&made, rank, &open[rank]));
                open[rank].clear();
            }
        }
        assert!(!bodies.is_empty(), "no trail has {count} events");
        // Shuffled, because bodies of large trails are full first.
        let mut random = Random::of(SEED, MADE);
        for at in (1..bodies.len()).rev() {
            bodies.swap(at, random.below(at as u64 + 1) as usize);
        }
        let events = bodies.len() * count;
        let line_bytes = bodies.iter().map(|body| body.lines.len()).sum::<usize>() / events;
        let entry_bytes =
            bodies.iter().flat_map(|body| &body.rows).map(|row| row.entry.len()).sum::<usize>()
                / events;
        Arc::new(Live { bodies, line_bytes, entry_bytes })
    }

    /// First pages of Daybook's own API: of everything, of a frequent and of a rare actor, and of
    /// words.
    pub fn questions(&self) -> Vec<String> {
        let made = Events::new(1, SEED);
        let name = |rank: usize| {
            made.actors[rank]
                .name
                .clone()
                .unwrap_or_default()
                .replace('$', "%24")
                .replace(':', "%3A")
        };
        let word = self.bodies[0].rows[0].columns.description.split(' ').next().unwrap_or_default();
        let filters = [
            String::new(),
            format!("&actor={}", name(1)),
            format!("&actor={}", name(500)),
            format!("&q={word}&operation=read"),
        ];
        filters.map(|filter| format!("/api/v1/events?limit=50{filter}")).to_vec()
    }

    /// The body of the request that begins with this event.
    pub fn body(&self, first: u64, count: usize) -> &Body {
        &self.bodies[(first / count as u64) as usize % self.bodies.len()]
    }
}

impl Body {
    fn of(made: &Events, rank: usize, of_trail: &[(u64, &str)]) -> Body {
        let mut body =
            Body { source: name(rank), lines: Vec::new(), offsets: Vec::new(), rows: Vec::new() };
        for (number, line) in of_trail {
            let event = made.event(*number);
            let start = body.lines.len();
            let (before, after) = line.split_once("\"occurred_at\":\"").expect("every line has it");
            let (_, after) = after.split_once('"').expect("a text ends");
            let key = event.origin.key.clone().expect("made with one");
            let key_at = start + before.find(&key).expect("the id comes before the time");
            let line = format!("{before}\"occurred_at\":\"{}\"{after}\n", time(0));
            body.offsets.push((key_at, start + before.len() + "\"occurred_at\":\"".len()));
            body.lines.extend_from_slice(line.as_bytes());
            let mut entry = Vec::new();
            Template::new(&event).fill(*number, made.received_at(*number), &mut entry);
            let text = std::str::from_utf8(&entry).expect("JSON is text");
            let key_at = text.find(&key).expect("an entry has the key");
            let line = start..body.lines.len();
            body.rows.push(Row { columns: Columns::of(event, rank), entry, key_at, line });
        }
        body
    }

    /// The lines, with keys and times from this number on.
    pub fn lines(&self, first: u64) -> Vec<u8> {
        let mut lines = self.lines.clone();
        for (number, (key_at, time_at)) in (first..).zip(&self.offsets) {
            lines[*key_at..key_at + KEY].copy_from_slice(key(number).as_bytes());
            lines[*time_at..time_at + TIME].copy_from_slice(time(number).as_bytes());
        }
        lines
    }

    /// The line of one event among those of [`Body::lines`].
    pub fn line<'a>(&self, position: usize, lines: &'a [u8]) -> &'a [u8] {
        &lines[self.rows[position].line.clone()]
    }
}

impl Row {
    /// The entry with the key of this number.
    pub fn entry(&self, number: u64) -> String {
        let mut entry = self.entry.clone();
        entry[self.key_at..self.key_at + KEY].copy_from_slice(key(number).as_bytes());
        String::from_utf8(entry).expect("hexadecimal digits")
    }
}

pub fn key(number: u64) -> String {
    // No two have the same, and they follow each other as little as random ones do.
    format!("{:016x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

fn time(number: u64) -> String {
    let text = events::timestamp(number);
    assert_eq!(text.len(), TIME);
    text
}
