//! `daybook bench`: events for benchmarks.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use clap::Subcommand;
use event::{Event, Resolution, Time};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};
use store::durable::{Disk, Local};
use store::{Append, Identity, IncomingEvent, Log, OnConflict, Receipt, Refusal, Settings};

use super::say;
use crate::bench::Events;
use server::failure::Failure;

#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Generate events, always the same for a seed.
    #[command(
        long_about = "Generate events, always the same for a seed: 200 trails of all five services \
                      and 5,000 actors, a few with most of the events; 40 actions, a million \
                      resources; 90 days that end on 1 July 2026; 3 % failures, 1 % late arrivals; \
                      entries of about 800 bytes.",
        after_help = "The lines are in Daybook's own format, which has no trail: the receiving \
                      source decides it, and --trail selects the events of one trail. With --into, \
                      each event goes to its own trail with empty raw bytes, so that only events \
                      are measured.\n\n\
                      Examples:\n  \
                      daybook bench generate --events 1000000 --seed 1 --into /var/tmp/bench\n  \
                      daybook bench generate --events 1000000 --seed 1 --trail 3 | head -n 1000 > \
                      body.ndjson"
    )]
    Generate(Generate),
}

#[derive(clap::Args)]
struct Generate {
    /// Number of events.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    events: u64,
    /// Seed: any number.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Write only the events of this trail: 1, the largest, to 200.
    #[arg(
        long,
        value_name = "K",
        conflicts_with = "into",
        value_parser = clap::value_parser!(u64).range(1..=200)
    )]
    trail: Option<u64>,
    /// Create a log here and record the events in it instead of writing them to standard output.
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Command::Generate(options) = &arguments.command;
    let events = Events::new(options.events, options.seed);
    match &options.into {
        Some(dir) => record(&events, dir),
        None => write_lines(&events, options.trail),
    }
}

/// Writes the events to standard output. A reader that closed the pipe (`| head`) is no failure.
fn write_lines(events: &Events, trail: Option<u64>) -> Result<(), Failure> {
    let selected =
        trail.and_then(|rank| events.trails.get(usize::try_from(rank).ok()?.checked_sub(1)?));
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for number in 0..events.count {
        let event = events.event(number);
        if selected.is_some_and(|selected| event.trail != *selected) {
            continue;
        }
        match writeln!(out, "{}", line(&event)) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            written => written.map_err(write_error)?,
        }
    }
    match out.flush() {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(write_error(error)),
        _ => Ok(()),
    }
}

fn write_error(error: std::io::Error) -> Failure {
    Failure::new(format!("couldn't write to standard output: {error}"))
}

/// The event in Daybook's own format, which has neither its trail nor the source's name.
fn line(event: &Event) -> Value {
    let mut members = Map::new();
    let mut add = |name: &str, value: Value| members.insert(name.to_owned(), value);
    let present = |texts: [(&str, Option<&str>); 3]| -> Value {
        texts
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), json!(value?))))
            .collect()
    };
    add("occurred_at", json!(time_text(event.occurred_at, event.resolution)));
    add("action", json!(event.action));
    add("operation", json!(event.operation.as_str()));
    let (actor, resource, outcome) = (&event.actor, &event.resource, &event.outcome);
    add(
        "actor",
        present([
            ("id", actor.id.as_deref()),
            ("name", actor.name.as_deref()),
            ("type", Some(actor.kind.as_str())),
        ]),
    );
    add(
        "resource",
        present([
            ("type", resource.kind.as_deref()),
            ("name", resource.name.as_deref()),
            ("id", resource.id.as_deref()),
        ]),
    );
    let mut ended = Map::from_iter([("result".to_owned(), json!(outcome.kind.as_str()))]);
    ended.extend(outcome.code.map(|code| ("code".to_owned(), json!(code))));
    ended.extend(outcome.reason.as_deref().map(|reason| ("reason".to_owned(), json!(reason))));
    add("outcome", Value::Object(ended));
    if let Some(ip) = &event.source_ip {
        add("source_ip", json!({ "address": ip.address, "trust": ip.trust.as_str() }));
    }
    add("severity", json!(event.severity.level()));
    add("class", json!(event.class.as_str()));
    add("attributes", json!(event.attributes));
    let texts = [
        ("id", &event.origin.key),
        ("user_agent", &event.user_agent),
        ("description", &event.description),
        ("request_id", &event.request_id),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            add(name, json!(text));
        }
    }
    Value::Object(members)
}

/// A time with the digits of its resolution.
fn time_text(time: Time, resolution: Resolution) -> String {
    let text = time.to_string();
    let (whole, fraction) = text.trim_end_matches('Z').split_at("2026-07-01T00:00:00".len());
    let digits = match resolution {
        Resolution::Second => 0,
        Resolution::Millisecond => 4,
        Resolution::Microsecond => 7,
        Resolution::Nanosecond => 10,
    };
    format!("{whole}{}Z", fraction.get(..digits).unwrap_or(fraction))
}

/// Events in a request.
const REQUEST_EVENTS: u64 = 1_000;
/// Requests in flight: enough that the log never waits for the next.
const REQUESTS_IN_FLIGHT: usize = 4;

/// Records the events in a new log, and flushes and compacts it.
fn record(events: &Events, dir: &Path) -> Result<(), Failure> {
    let log = new_log(dir)?;
    // Draws on standard error, and only on a terminal.
    let style = ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} {eta} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(events.count).with_style(style);
    let began = Instant::now();
    append_all(events, &log, &bar)?;
    let appended_s = began.elapsed().as_secs_f64();
    bar.set_message("flushing");
    log.flush()?;
    log.compact()?;
    log.close()?;
    let flushed_s = began.elapsed().as_secs_f64();
    bar.finish_and_clear();
    let count = events.count as f64;
    let mut text = format!(
        "events: {}\n\
         appended: {appended_s:.1} s, {:.0} events/s\n\
         flushed and compacted: {flushed_s:.1} s, {:.0} events/s\n",
        events.count,
        count / appended_s,
        count / flushed_s
    );
    let mut whole = 0;
    for (kind, bytes) in bytes_by_kind(dir)? {
        whole += bytes;
        row(&mut text, kind, bytes, count);
    }
    row(&mut text, "all", whole, count);
    say(&text)
}

fn row(text: &mut String, kind: &str, bytes: u64, events: f64) {
    // Writing to a text does not fail.
    let _ = writeln!(text, "{kind}: {bytes} bytes, {:.1} per event", bytes as f64 / events);
}

fn new_log(dir: &Path) -> Result<Log, Failure> {
    let local = Local::create(dir)
        .map_err(|error| Failure::new(format!("couldn't create {}: {error}", dir.display())))?;
    let disk: Arc<dyn Disk> = Arc::new(local);
    let identity = Identity {
        origin: "daybook.local/bench".to_owned(),
        created_at: system::now(),
        salt: system::random(),
    };
    super::init::make(&disk, &identity)?;
    Ok(Log::open(disk, Settings::default())?)
}

type Answer = Result<Receipt, Refusal>;

/// Hands the events to the log in order, and waits until all are recorded.
fn append_all(events: &Events, log: &Log, bar: &ProgressBar) -> Result<(), Failure> {
    let (answer, answers) = channel();
    let mut in_flight = 0;
    let mut first = 0;
    while first < events.count {
        let end = events.count.min(first + REQUEST_EVENTS);
        if in_flight == REQUESTS_IN_FLIGHT {
            bar.inc(wait_for_receipt(&answers)?);
            in_flight -= 1;
        }
        append(events, first..end, log, answer.clone())?;
        in_flight += 1;
        first = end;
    }
    for _ in 0..in_flight {
        bar.inc(wait_for_receipt(&answers)?);
    }
    Ok(())
}

fn append(
    events: &Events,
    numbers: std::ops::Range<u64>,
    log: &Log,
    answer: Sender<Answer>,
) -> Result<(), Failure> {
    let request = Append {
        source: "bench".to_owned(),
        received_at: events.received_at(numbers.start),
        events: numbers.map(|number| IncomingEvent::new(events.event(number))).collect(),
        rejected: Vec::new(),
        on_conflict: OnConflict::Refuse,
        is_own: false,
    };
    log.submit(request, move |result| {
        // The receiver is there, or has failed and reports that.
        let _ = answer.send(result);
    })?;
    Ok(())
}

/// Waits for one request, and returns the number of events it recorded.
fn wait_for_receipt(answers: &Receiver<Answer>) -> Result<u64, Failure> {
    match answers.recv() {
        Ok(Ok(receipt)) => Ok(receipt.recorded as u64),
        Ok(Err(Refusal::Fenced { because } | Refusal::Damaged { because })) => {
            Err(Failure::new(format!("couldn't record events: {because}")))
        }
        Ok(Err(Refusal::StorageFull)) => {
            Err(Failure::new("couldn't record events: the disk is full"))
        }
        Ok(Err(Refusal::Conflict { index, .. })) => Err(Failure::new(format!(
            "couldn't record events: one has the id of the event at index {index}"
        ))),
        Err(_) => Err(Failure::new("couldn't record events: the log ended")),
    }
}

/// Bytes of the files of a data directory, by their kind.
fn bytes_by_kind(dir: &Path) -> Result<BTreeMap<&'static str, u64>, Failure> {
    let mut kinds = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    let unread =
        |error: std::io::Error| Failure::new(format!("couldn't read {}: {error}", dir.display()));
    while let Some(folder) = folders.pop() {
        for found in std::fs::read_dir(&folder).map_err(unread)? {
            let found = found.map_err(unread)?;
            let (path, about) = (found.path(), found.metadata().map_err(unread)?);
            if about.is_dir() {
                folders.push(path);
                continue;
            }
            let kind = match path.extension().and_then(|ending| ending.to_str()) {
                Some("parquet") => "tables",
                Some("index") => "indexes",
                Some("journal") => "journal",
                _ if path.ends_with("tree/digests") => "digests",
                _ => "other",
            };
            *kinds.entry(kind).or_default() += about.len();
        }
    }
    Ok(kinds)
}

#[cfg(test)]
mod tests {
    use event::EventId;
    use formats::{Context, Format, Item, Options};

    use super::*;

    #[test]
    fn lines_are_in_our_own_format() {
        let events = Events::new(3_000, 7);
        let format: Format = "daybook".parse().expect("a format");
        for number in 0..events.count {
            let event = events.event(number);
            let (options, now) = (Options::default(), Time::from_unix_ns(0));
            let mut new_id = || event.id;
            let mut context =
                Context::new(&event.origin.source, &event.trail, now, &mut new_id, &options);
            let text = line(&event).to_string();
            let parsed = format.parse(text.as_bytes(), &mut context).expect("an envelope");
            let expected = Event { raw: text.into_bytes(), ..event.clone() };
            assert_eq!(parsed, [Item::Event(Box::new(expected))]);
        }
    }

    #[test]
    fn a_log_is_created_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path().join("data");
        let events = Events::new(2_500, 3);
        record(&events, &dir).expect("recorded");
        assert!(record(&events, &dir).is_err(), "an existing log remains");
        let log = Log::open(Arc::new(Local::open(&dir)), Settings::default()).expect("a log");
        assert_eq!((log.counts().events, log.counts().duplicates), (2_500, 0));
        let kinds = bytes_by_kind(&dir).expect("readable");
        assert_eq!(kinds["digests"], 2_500 * 32);
        let mut ids = std::collections::HashSet::<EventId>::new();
        for trail in log.trails() {
            let query = event::query::Query { limit: 2_500, ..event::query::Query::of(trail) };
            ids.extend(
                log.query(&query).expect("answered").rows.iter().map(|row| row.entry.event.id),
            );
        }
        assert!((0..2_500).all(|number| ids.contains(&events.event(number).id)));
    }
}
