//! `daybook set-aside`: what was received and could not be used.

use std::collections::VecDeque;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::sync::Arc;

use clap::{ArgGroup, Subcommand, ValueEnum};
use event::Time;
use serde_json::{Value, json};
use store::durable::{Disk, Local};
use store::{DeadLetter, FileObjects};

use super::reach::Reach;
use super::{Place, say};
use event::terminal::printable;
use intake::aside::{Asked, Shown, beginning};
use intake::retried::Numbers;
use server::failure::Failure;

#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List them, oldest first, but for those of which events came since. May run beside a server.
    #[command(
        after_help = "Examples:\n  daybook set-aside list --data-dir /var/lib/daybook\n  daybook set-aside list -d /var/lib/daybook --since 2h --reason timestamp\n  daybook set-aside list -d /var/lib/daybook -o json | jq .reason"
    )]
    List {
        /// How to write them: a line each for people, or JSON lines with all bytes.
        #[arg(long, short, value_name = "FORMAT", default_value = "text")]
        output: Output,
        /// Only those of this source.
        #[arg(long, value_name = "NAME")]
        source: Option<String>,
        /// Only those received since: a time such as 2026-11-20T10:00:00Z, or so long ago: 90s,
        /// 15m, 2h, 7d.
        #[arg(long, value_name = "TIME", value_parser = parse_since)]
        since: Option<Time>,
        /// Only those whose reason holds this text.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// Those too of which events came since.
        #[arg(long)]
        all: bool,
    },
    /// Show one: its reason and all its bytes. May run beside a server.
    #[command(
        after_help = "Bytes that are no text are shown as a hex dump. `-o raw` writes them as they are.\n\nExamples:\n  daybook set-aside show 17 --data-dir /var/lib/daybook\n  daybook set-aside show 17 -d /var/lib/daybook -o raw > line"
    )]
    Show {
        /// Its number.
        #[arg(value_name = "NUMBER")]
        number: u64,
        /// How to write it.
        #[arg(long, short, value_name = "FORMAT", default_value = "text")]
        output: Form,
    },
    /// Parse them again, with the formats and settings that a running server has now.
    #[command(
        group = ArgGroup::new("which").required(true),
        after_help = "Events that come of a record have the attribute set_aside, its number. What still cannot be used stays. Doing it\nagain doubles nothing. It needs a running server, since only one program may write to a log, and the right to\nsend events to the source's trail.\n\n\
                      Examples:\n  daybook set-aside retry 17 18 --url https://audit.example.com --token-file token\n  daybook set-aside retry --source hub --url https://audit.example.com --token-file token"
    )]
    Retry {
        /// Their numbers.
        #[arg(value_name = "NUMBER", group = "which")]
        numbers: Vec<u64>,
        /// All of this source.
        #[arg(long, value_name = "NAME", group = "which")]
        source: Option<String>,
        /// All that you may.
        #[arg(long, group = "which")]
        all: bool,
        #[command(flatten)]
        reach: Reach,
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

/// Records that a server retries at once.
const NUMBERS_AT_ONCE: usize = 200;

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.command {
        Command::List { output, source, since, reason, all } => {
            let asked = Asked {
                source: source.clone(),
                since: *since,
                reason: reason.clone(),
                retried: *all,
            };
            list(&arguments.place, &asked, *output)
        }
        Command::Show { number, output } => show(&arguments.place, *number, *output),
        Command::Retry { numbers, source, all, reach } => {
            let which = match (source, all) {
                (Some(source), _) => vec![json!({ "source": source })],
                (None, true) => vec![json!({ "all": true })],
                (None, false) => numbers
                    .chunks(NUMBERS_AT_ONCE)
                    .map(|numbers| json!({ "numbers": numbers }))
                    .collect(),
            };
            retry(reach, which)
        }
    }
}

fn disk(place: &Place) -> Result<Arc<dyn Disk>, Failure> {
    Ok(Arc::new(Local::open(&place.data_dir()?)))
}

fn list(place: &Place, asked: &Asked, output: Output) -> Result<(), Failure> {
    let disk = disk(place)?;
    let retried = Numbers::read(&FileObjects::new(Arc::clone(&disk)))?;
    let (mut count, mut said) = (0, Ok(()));
    store::each_dead_letter(&disk, 0, &mut |record| {
        let is_retried = retried.contains(record.number);
        if asked.is_for(&record, is_retried) {
            count += 1;
            said = match output {
                Output::Text => say(&text(&record, is_retried)),
                Output::Json => json_line(&record, is_retried).and_then(|line| say(&line)),
            };
        }
        if said.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    said?;
    match output {
        Output::Text => say(&format!("{count} set aside\n")),
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
    let line = serde_json::to_string(&Shown::whole(record, is_retried));
    line.map(|line| line + "\n").map_err(|error| Failure::new(error.to_string()))
}

fn show(place: &Place, number: u64, output: Form) -> Result<(), Failure> {
    let disk = disk(place)?;
    let retried = Numbers::read(&FileObjects::new(Arc::clone(&disk)))?;
    let mut found = None;
    store::each_dead_letter(&disk, number, &mut |record| {
        found = Some(record);
        ControlFlow::Break(())
    })?;
    let record = found.ok_or_else(|| Failure::new(format!("no record {number} was set aside")))?;
    let is_retried = retried.contains(number);
    match output {
        Form::Json => say(&json_line(&record, is_retried)?),
        Form::Raw => std::io::stdout()
            .write_all(&record.raw)
            .map_err(|error| Failure::new(format!("couldn't write to standard output: {error}"))),
        Form::Text => {
            let head = format!(
                "number: {number}\nreceived: {}\nsource: {}\nreason: {}\nretried: {}\nbytes: {}\n\n",
                record.received_at,
                printable(&record.source),
                printable(&record.reason),
                if is_retried { "yes" } else { "no" },
                record.raw.len(),
            );
            say(&(head + &bytes_shown(&record.raw)))
        }
    }
}

/// Bytes for people: lines of text where they are text, made safe for a terminal; else a hex dump.
fn bytes_shown(raw: &[u8]) -> String {
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

/// Retries what is asked for, some at a time, and says what came of each.
fn retry(reach: &Reach, which: Vec<Value>) -> Result<(), Failure> {
    let (mut came, mut events, mut stayed) = (0, 0, 0);
    let mut asked = VecDeque::from(which);
    while let Some(mut which) = asked.pop_front() {
        let answer = reach.post("/api/v1/dead-letters/retry", &which)?;
        let mut text = String::new();
        for record in answer["records"].as_array().map(Vec::as_slice).unwrap_or_default() {
            let number = &record["number"];
            match record["reason"].as_str() {
                Some(reason) => {
                    stayed += 1;
                    text.push_str(&format!("{number}: stays, {}\n", printable(reason)));
                }
                None => {
                    let (recorded, before) = (
                        record["recorded"].as_u64().unwrap_or(0),
                        record["duplicates"].as_u64().unwrap_or(0),
                    );
                    (came, events) = (came + 1, events + recorded);
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
            which["from"] = answer["next"].clone();
            asked.push_front(which);
        }
    }
    say(&format!("{came} retried, {events} events recorded, {stayed} stay set aside\n"))
}

/// A time, or how long ago.
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
    fn a_time_is_told_or_counted_back() {
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
        assert_eq!(bytes_shown(b"one\ntwo\x1b\r\n"), "one\ntwo\\u{1b}\n");
        assert_eq!(
            bytes_shown(b"0123456789abcdef\xff\n"),
            "00000000  30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66  |0123456789abcdef|\n\
             00000010  ff 0a                                            |..|\n"
        );
    }
}
