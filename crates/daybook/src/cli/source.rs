//! `daybook source`: the formats, and the status of a server's sources.

use std::fmt::Write as _;

use clap::{Subcommand, ValueEnum};
use event::Time;
use formats::{Delivery, Format};
use serde_json::{Value, json};

use super::reach::ServerOptions;
use super::say;
use super::screen::safe_json;
use event::terminal::printable;
use server::failure::{Exit, Failure};

#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the formats, or print the configuration of a source of one format.
    #[command(
        after_help = "Examples:\n  daybook source formats\n  daybook source formats nginx-json >> \
                      /etc/daybook.toml"
    )]
    Formats {
        /// Name of a format.
        #[arg(value_name = "NAME")]
        name: Option<String>,
        /// Output format.
        #[arg(long, short, value_name = "FORMAT", default_value = "text")]
        output: Output,
    },
    /// Show what each source sent since the server started.
    #[command(
        after_help = "RECORDED, DUP (recorded before), DEAD (dead letters) and REFUSED count \
                      records. MISSING counts sequence numbers that never arrived and dropped \
                      datagrams. LAST is the time since the last arrival, LAG the delay between \
                      the newest event and its arrival.\n\n\
                      The exit code is 6 if a source is silent or lost something.\n\n\
                      Example:\n  \
                      daybook source status --url https://audit.example.com --token-file token"
    )]
    Status {
        #[command(flatten)]
        reach: ServerOptions,
        /// Output format.
        #[arg(long, short, value_name = "FORMAT", default_value = "text")]
        output: Output,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    Text,
    Json,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.command {
        Command::Formats { name: None, output } => formats(*output),
        Command::Formats { name: Some(name), output } => {
            let format: Format = name.parse().map_err(Failure::usage)?;
            say(&match output {
                Output::Text => stanza(format),
                Output::Json => format!("{}\n", description(format)),
            })
        }
        Command::Status { reach, output } => status(reach, *output),
    }
}

fn formats(output: Output) -> Result<(), Failure> {
    if let Output::Json = output {
        let all: Vec<Value> = Format::ALL.iter().map(|format| description(*format)).collect();
        return say(&format!("{}\n", Value::from(all)));
    }
    let width = Format::ALL.iter().map(|format| format.as_str().len()).max().unwrap_or(0);
    let lines: String = Format::ALL
        .iter()
        .map(|format| format!("{:width$}  {}\n", format.as_str(), format.about()))
        .collect();
    say(&lines)
}

fn description(format: Format) -> Value {
    let (delivery, files) = match format.delivery() {
        Delivery::Http => ("http", None),
        Delivery::Files(files) => ("files", Some(files)),
        Delivery::Syslog => ("syslog", None),
    };
    json!({
        "name": format.as_str(),
        "about": format.about(),
        "service": format.service().as_str(),
        "delivery": delivery,
        "files": files,
        "heeds_errors": format.heeds_errors(),
        "stanza": stanza(format),
    })
}

/// A valid stanza of the configuration, to be edited.
fn stanza(format: Format) -> String {
    let name = format.as_str();
    let service = format.service().as_str();
    let (transport, setting) = match format.delivery() {
        Delivery::Http => (format!("# Sent by HTTP: POST /intake/my-{name}"), String::new()),
        Delivery::Files(files) => (
            "# Written to files, which Daybook follows.".to_owned(),
            format!("follow = {{ paths = [\"{files}\"] }}\n"),
        ),
        Delivery::Syslog => (
            "# Sent as syslog messages.".to_owned(),
            "syslog = { tcp = \"127.0.0.1:6514\", udp = \"127.0.0.1:6514\" }\n".to_owned(),
        ),
    };
    format!(
        "# {}\n\
         {transport}\n\
         [[source]]\n\
         name   = \"my-{name}\"\n\
         format = \"{name}\"\n\
         trail  = {{ service = \"{service}\", tenant = \"acme\", project = \
         \"054e292c9880d4992f02c0196d3ea468\", instance = \"my-{name}\" }}\n\
         {setting}# token  = {{ file = \"my-{name}.token\" }}   # file with the token of HTTP \
         senders, at least 16 characters\n\
         # silent_after_s = 3600                # alert after an hour without records\n",
        format.about()
    )
}

fn status(reach: &ServerOptions, output: Output) -> Result<(), Failure> {
    let answer = reach.get("/api/v1/sources")?;
    let sources = answer["sources"].as_array().map(Vec::as_slice).unwrap_or_default();
    say(&match output {
        Output::Json => safe_json(&answer.to_string()) + "\n",
        Output::Text => table(&answer, sources, width()),
    })?;
    let troubled: Vec<&str> = sources
        .iter()
        .filter(|source| state(source) != "ok")
        .map(|source| source["name"].as_str().unwrap_or_default())
        .collect();
    if troubled.is_empty() {
        return Ok(());
    }
    let text = format!("silent, or lost something: {}", printable(&troubled.join(", ")));
    Err(Failure { exit: Exit::Alarm, text })
}

/// Columns of the terminal; `None` for a file or pipe.
fn width() -> Option<usize> {
    console::Term::stdout().size_checked().map(|(_, columns)| usize::from(columns))
}

/// The state of a source in one word.
fn state(source: &Value) -> &'static str {
    let is_lost = missing(source) > 0 || count(source, "file_gaps") > 0;
    match (source["silent_since"].is_string(), is_lost) {
        (true, _) => "silent",
        (false, true) => "lost",
        (false, false) => "ok",
    }
}

fn count(source: &Value, name: &str) -> u64 {
    source["counts"][name].as_u64().unwrap_or(0)
}

/// Sequence numbers that never arrived, and dropped datagrams.
fn missing(source: &Value) -> u64 {
    let numbers = count(source, "missing").saturating_sub(count(source, "found"));
    numbers + count(source, "dropped_by_daybook") + count(source, "dropped_by_kernel")
}

/// Columns behind the name; cells are at most 7 characters wide.
const COLUMNS: [&str; 8] =
    ["STATE", "RECORDED", "DUP", "DEAD", "REFUSED", "MISSING", "LAST", "LAG"];
/// Least width of a name that is cut.
const NAME_MIN: usize = 12;

fn table(answer: &Value, sources: &[Value], width: Option<usize>) -> String {
    let now = time(&answer["now"]);
    let rows: Vec<(String, [String; 8])> = sources
        .iter()
        .map(|source| {
            let count = |name: &str| short(count(source, name));
            let last = time(&source["last_received_at"]).zip(now);
            let last = last.map_or("-".to_owned(), |(at, now)| {
                duration((now.unix_ns() - at.unix_ns()) as f64 / 1e9)
            });
            let lag = source["lag_s"].as_f64().map_or("-".to_owned(), duration);
            let cells = [
                state(source).to_owned(),
                count("recorded"),
                count("duplicate"),
                count("dead_letters"),
                count("refused"),
                short(missing(source)),
                last,
                lag,
            ];
            (printable(source["name"].as_str().unwrap_or_default()), cells)
        })
        .collect();
    let widest = |column: usize| {
        let cells = rows.iter().map(|(_, cells)| cells[column].chars().count());
        cells.chain([COLUMNS[column].len()]).max().unwrap_or(0)
    };
    let widths: [usize; 8] = std::array::from_fn(widest);
    let others: usize = widths.iter().map(|width| width + 2).sum();
    let names = rows
        .iter()
        .map(|(name, _)| name.chars().count())
        .chain(["SOURCE".len()])
        .max()
        .unwrap_or(0);
    let names = width.map_or(names, |width| names.min(width.saturating_sub(others).max(NAME_MIN)));
    let mut text = String::new();
    let mut line = |name: &str, cells: [&str; 8]| {
        let name = if name.chars().count() > names {
            name.chars().take(names - 1).chain(['…']).collect()
        } else {
            name.to_owned()
        };
        let _ = write!(text, "{name:names$}");
        for (position, (cell, width)) in cells.iter().zip(widths).enumerate() {
            let _ = if position == 0 {
                write!(text, "  {cell:width$}")
            } else {
                write!(text, "  {cell:>width$}")
            };
        }
        text.push('\n');
    };
    line("SOURCE", COLUMNS);
    for (name, cells) in &rows {
        line(name, std::array::from_fn(|column| cells[column].as_str()));
    }
    text
}

fn time(value: &Value) -> Option<Time> {
    Time::parse_rfc3339(value.as_str()?).ok().map(|(time, _)| time)
}

/// A count in four characters or five.
#[allow(clippy::cast_precision_loss, reason = "it is rounded anyway")]
fn short(count: u64) -> String {
    let mut value = count as f64;
    for unit in ["", "k", "M", "G", "T"] {
        if value < 999.5 {
            let digits = usize::from(!unit.is_empty() && value < 99.95);
            return format!("{value:.digits$}{unit}");
        }
        value /= 1000.0;
    }
    "many".to_owned()
}

/// A number of seconds in four characters or five.
fn duration(seconds: f64) -> String {
    let sign = if seconds < 0.0 { "-" } else { "" };
    let seconds = seconds.abs();
    let (value, unit) = match seconds {
        ..0.9995 => (seconds * 1000.0, "ms"),
        ..99.5 => (seconds, "s"),
        ..5970.0 => (seconds / 60.0, "m"),
        ..172_800.0 => (seconds / 3600.0, "h"),
        _ => (seconds / 86400.0, "d"),
    };
    format!("{sign}{value:.0}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (count, expected) in [
            (0, "0"),
            (999, "999"),
            (1000, "1.0k"),
            (99_940, "99.9k"),
            (123_456, "123k"),
            (999_600, "1.0M"),
            (u64::MAX, "many"),
        ] {
            assert_eq!(short(count), expected);
        }
        for (seconds, expected) in [
            (0.0, "0ms"),
            (0.25, "250ms"),
            (-3.2, "-3s"),
            (90.0, "90s"),
            (600.0, "10m"),
            (7200.0, "2h"),
            (864_000.0, "10d"),
        ] {
            assert_eq!(duration(seconds), expected);
        }
    }

    #[test]
    fn a_table_fits_its_terminal() {
        let source = |name: &str| {
            json!({"name": name, "counts": {"recorded": 1_234_567, "missing": 4, "found": 1},
                   "lag_s": 0.25,
                   "last_received_at": "2026-11-20T10:00:00Z", "silent_since": null})
        };
        let answer = json!({"now": "2026-11-20T10:01:30Z", "sources": []});
        let table = table(&answer, &[source(&"long".repeat(16)), source("hub")], Some(80));
        assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
        assert_eq!(
            table.lines().last(),
            Some(
                "hub                    lost       1.2M    0     0        0        3   90s  250ms"
            )
        );
    }
}
