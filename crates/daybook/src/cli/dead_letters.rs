//! `daybook dead-letters`: records that were rejected, listed, shown and parsed again.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;

use clap::{ArgGroup, Subcommand, ValueEnum};
use event::Time;
use serde_json::{Value, json};
use store::durable::{Disk, Local};
use store::{DeadLetter, FileObjects};

use super::author::announce;
use super::reach::ServerOptions;
use super::screen::safe_json;
use super::{Location, say, say_bytes};
use event::terminal::printable;
use intake::dead_letters::{DeadLetterFilter, DeadLetterView, beginning};
use intake::retried::Numbers;
use server::failure::Failure;

#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    location: Location,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List dead letters that no retry turned into events, oldest first. May run beside a server.
    #[command(after_help = "Examples:\n  \
                      daybook dead-letters list --data-dir /var/lib/daybook\n  \
                      daybook dead-letters list -d /var/lib/daybook --since 2h --reason \
                      timestamp\n  \
                      daybook dead-letters list -d /var/lib/daybook -o json | jq .reason")]
    List {
        /// Output format: one line of text each, or JSON lines with all bytes.
        #[arg(long, short, value_name = "FORMAT", default_value = "text")]
        output: Output,
        /// Only dead letters of this source.
        #[arg(long, value_name = "NAME")]
        source: Option<String>,
        /// Only dead letters received since: a time such as 2026-11-20T10:00:00Z, or an age such as
        /// 90s, 15m, 2h or 7d.
        #[arg(long, value_name = "TIME", value_parser = parse_since)]
        since: Option<Time>,
        /// Only dead letters whose reason contains this text.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// Also dead letters that a retry turned into events.
        #[arg(long)]
        all: bool,
    },
    /// Show the reason and all bytes of a dead letter. May run beside a server.
    #[command(
        after_help = "Bytes that are not text are shown as a hex dump. `-o raw` writes them \
                      unchanged.\n\n\
                      Examples:\n  \
                      daybook dead-letters show 17 --data-dir /var/lib/daybook\n  \
                      daybook dead-letters show 17 -d /var/lib/daybook -o raw > line"
    )]
    Show {
        /// Number of the dead letter.
        #[arg(value_name = "NUMBER")]
        number: u64,
        /// Output format.
        #[arg(long, short, value_name = "FORMAT", default_value = "text")]
        output: Form,
    },
    /// Parse dead letters again, with the formats and settings that a running server has now.
    #[command(
        group = ArgGroup::new("which").required(true),
        after_help = "Events made from a dead letter have its number as the attribute dead_letter. \
                      A record that is rejected again remains. A second retry records nothing \
                      twice. A retry needs a running server, since only one program may write to a \
                      log, and the right to send events to the source's trail.\n\n\
                      Examples:\n  \
                      daybook dead-letters retry 17 18 --url https://audit.example.com \
                      --token-file token\n  \
                      daybook dead-letters retry --source hub --url https://audit.example.com \
                      --token-file token"
    )]
    Retry {
        /// Numbers of the dead letters.
        #[arg(value_name = "NUMBER", group = "which")]
        numbers: Vec<u64>,
        /// All dead letters of this source.
        #[arg(long, value_name = "NAME", group = "which")]
        source: Option<String>,
        /// All dead letters that you may retry.
        #[arg(long, group = "which")]
        all: bool,
        #[command(flatten)]
        reach: ServerOptions,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    Text,
    Json,
}

#[derive(Clone, Copy, ValueEnum)]
enum Form {
    Text,
    Json,
    Raw,
}

/// Records that a server retries in one request.
const NUMBERS_AT_ONCE: usize = 200;

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.command {
        Command::List { output, source, since, reason, all } => {
            let filter = DeadLetterFilter {
                source: source.clone(),
                since: *since,
                reason: reason.clone(),
                retried: *all,
            };
            list(&arguments.location, &filter, *output)
        }
        Command::Show { number, output } => show(&arguments.location, *number, *output),
        Command::Retry { numbers, source, all, reach } => {
            let selections = match (source, all) {
                (Some(source), _) => vec![json!({ "source": source })],
                (None, true) => vec![json!({ "all": true })],
                (None, false) => numbers
                    .chunks(NUMBERS_AT_ONCE)
                    .map(|numbers| json!({ "numbers": numbers }))
                    .collect(),
            };
            retry(reach, selections)
        }
    }
}

fn disk(location: &Location) -> Result<Arc<dyn Disk>, Failure> {
    Ok(Arc::new(Local::open(&location.data_dir()?)))
}

fn list(location: &Location, filter: &DeadLetterFilter, output: Output) -> Result<(), Failure> {
    announce(&location.data_dir()?, "dead-letters");
    let disk = disk(location)?;
    let retried = Numbers::read(&FileObjects::new(Arc::clone(&disk)))?;
    let (mut count, mut written) = (0, Ok(()));
    store::each_dead_letter(&disk, 0, &mut |record| {
        let is_retried = retried.contains(record.number);
        if filter.matches(&record, is_retried) {
            count += 1;
            written = match output {
                Output::Text => say(&text(&record, is_retried)),
                Output::Json => json_line(&record, is_retried).and_then(|line| say(&line)),
            };
        }
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    written?;
    match output {
        Output::Text if count == 1 => say("1 dead letter\n"),
        Output::Text => say(&format!("{count} dead letters\n")),
        Output::Json => Ok(()),
    }
}

fn text(record: &DeadLetter, is_retried: bool) -> String {
    let parts =
        [&record.source, &record.reason, &beginning(&record.raw)].map(|part| printable(part));
    let retried = if is_retried { " (retried)" } else { "" };
    format!(
        "{} {} {}: {}{retried}\n  {}\n",
        record.number, record.received_at, parts[0], parts[1], parts[2]
    )
}

fn json_line(record: &DeadLetter, is_retried: bool) -> Result<String, Failure> {
    let line = serde_json::to_string(&DeadLetterView::whole(record, is_retried));
    line.map(|line| safe_json(&line) + "\n").map_err(|error| Failure::new(error.to_string()))
}

fn show(location: &Location, number: u64, output: Form) -> Result<(), Failure> {
    announce(&location.data_dir()?, "dead-letters");
    let disk = disk(location)?;
    let retried = Numbers::read(&FileObjects::new(Arc::clone(&disk)))?;
    let mut first = None;
    store::each_dead_letter(&disk, number, &mut |record| {
        first = Some(record);
        ControlFlow::Break(())
    })?;
    let record = first.ok_or_else(|| Failure::new(format!("there is no dead letter {number}")))?;
    let is_retried = retried.contains(number);
    match output {
        Form::Json => say(&json_line(&record, is_retried)?),
        Form::Raw => say_bytes(&record.raw),
        Form::Text => {
            let head = format!(
                "number: {number}\n\
                 received: {}\n\
                 source: {}\n\
                 reason: {}\n\
                 retried: {}\n\
                 bytes: {}\n\n",
                record.received_at,
                printable(&record.source),
                printable(&record.reason),
                if is_retried { "yes" } else { "no" },
                record.raw.len(),
            );
            say(&(head + &readable_bytes(&record.raw)))
        }
    }
}

/// Formats bytes for a terminal: escaped lines if they are text, otherwise a hex dump.
fn readable_bytes(raw: &[u8]) -> String {
    match std::str::from_utf8(raw) {
        Ok(text) => text.lines().map(|line| printable(line) + "\n").collect(),
        Err(_) => hex_dump(raw),
    }
}

fn hex_dump(raw: &[u8]) -> String {
    let line = |(position, bytes): (usize, &[u8])| {
        let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let is_shown = |byte: &u8| byte.is_ascii_graphic() || *byte == b' ';
        let shown: String =
            bytes.iter().map(|byte| if is_shown(byte) { char::from(*byte) } else { '.' }).collect();
        format!("{:08x}  {:47}  |{shown}|\n", 16 * position, pairs.join(" "))
    };
    raw.chunks(16).enumerate().map(line).collect()
}

/// Retries the selected records in several requests, and writes the outcome of each record.
fn retry(reach: &ServerOptions, selections: Vec<Value>) -> Result<(), Failure> {
    let (mut retried, mut events, mut remaining) = (0, 0, 0);
    let mut requests = VecDeque::from(selections);
    while let Some(mut request) = requests.pop_front() {
        let answer = reach.post("/api/v1/dead-letters/retry", &request)?;
        let mut text = String::new();
        for record in answer["records"].as_array().map(Vec::as_slice).unwrap_or_default() {
            let number = &record["number"];
            match record["reason"].as_str() {
                Some(reason) => {
                    remaining += 1;
                    text.push_str(&format!("{number}: rejected again, {}\n", printable(reason)));
                }
                None => {
                    let (recorded, before) = (
                        record["recorded"].as_u64().unwrap_or(0),
                        record["duplicates"].as_u64().unwrap_or(0),
                    );
                    (retried, events) = (retried + 1, events + recorded);
                    let before = if before > 0 {
                        format!(", {before} recorded before")
                    } else {
                        String::new()
                    };
                    text.push_str(&format!("{number}: {recorded} recorded{before}\n"));
                }
            }
        }
        say(&text)?;
        if !answer["next"].is_null() {
            request["from"] = answer["next"].clone();
            requests.push_front(request);
        }
    }
    say(&format!("{retried} retried, {events} events recorded, {remaining} remain\n"))
}

/// Parses a time or an age.
fn parse_since(text: &str) -> Result<Time, String> {
    since(text, system::now())
}

fn since(text: &str, now: Time) -> Result<Time, String> {
    if let Ok((time, _)) = Time::parse_rfc3339(text) {
        return Ok(time);
    }
    let wrong = || {
        format!("{text:?} is neither a time such as 2026-11-20T10:00:00Z nor a duration such as 2h")
    };
    let split =
        text.len().checked_sub(1).filter(|at| text.is_char_boundary(*at)).ok_or_else(wrong)?;
    let (digits, unit) = text.split_at(split);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86400,
        _ => return Err(wrong()),
    };
    let count: i64 = digits.parse().ok().filter(|count| *count >= 0).ok_or_else(wrong)?;
    Ok(Time::from_unix_ns(
        now.unix_ns().saturating_sub(count.saturating_mul(seconds * 1_000_000_000)),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_absolute_or_an_age() {
        let now = Time::from_unix_ns(1_000_000_000_000_000);
        for (text, expected) in [
            ("0s", 1_000_000),
            ("90s", 999_910),
            ("2h", 992_800),
            ("7d", 395_200),
            ("1970-01-01T00:00:07Z", 7),
        ] {
            assert_eq!(since(text, now).map(Time::unix_ns), Ok(expected * 1_000_000_000), "{text}");
        }
        for text in ["", "h", "2", "-1h", "2w", "2ü", "yesterday"] {
            assert!(since(text, now).is_err(), "{text}");
        }
    }

    #[test]
    fn bytes_are_shown_as_text_or_dumped() {
        assert_eq!(readable_bytes(b"one\ntwo\x1b\r\n"), "one\ntwo\\u{1b}\n");
        assert_eq!(
            readable_bytes(b"0123456789abcdef\xff\n"),
            "00000000  30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66  |0123456789abcdef|\n\
             00000010  ff 0a                                            |..|\n"
        );
    }
}
