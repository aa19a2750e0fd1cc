//! `daybook set-aside`: what was received and could not be used.

use std::sync::Arc;

use clap::{Subcommand, ValueEnum};
use serde::Serialize;
use store::SetAsideRecord;
use store::durable::{Disk, Local};

use super::{Place, say};
use crate::report::{Failure, printable};

#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List them, oldest first. May run beside a server.
    #[command(
        after_help = "Examples:\n  daybook set-aside list --data-dir /var/lib/daybook\n  daybook set-aside list -d /var/lib/daybook -o json | jq .reason"
    )]
    List {
        /// How to write them: a line each for people, or JSON lines with all bytes.
        #[arg(long, short, value_name = "FORMAT", default_value = "text")]
        output: Output,
        /// Only those of this source.
        #[arg(long, value_name = "NAME")]
        source: Option<String>,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    Text,
    Json,
}

/// Longest piece of the bytes that a line for people shows.
const SHOWN_CHARACTERS: usize = 120;

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Command::List { output, source } = &arguments.command;
    let disk: Arc<dyn Disk> = Arc::new(Local::open(&arguments.place.data_dir()?));
    let mut records = store::set_aside(&disk)?;
    records.retain(|record| source.as_ref().is_none_or(|source| *source == record.source));
    for record in &records {
        say(&match output {
            Output::Text => text(record),
            Output::Json => json(record)?,
        })?;
    }
    if matches!(output, Output::Text) {
        say(&format!("{} set aside\n", records.len()))?;
    }
    Ok(())
}

fn text(record: &SetAsideRecord) -> String {
    let raw = String::from_utf8_lossy(&record.raw);
    let mut shown: String = raw.chars().take(SHOWN_CHARACTERS).collect();
    if shown.len() < raw.len() {
        shown.push('…');
    }
    let parts = [&record.source, &record.reason, &shown].map(|part| printable(part));
    format!("{} {} {}: {}\n  {}\n", record.number, record.received_at, parts[0], parts[1], parts[2])
}

/// `raw` where the bytes are UTF-8, `raw_hex` where they are not.
#[derive(Serialize)]
struct Line<'a> {
    number: u64,
    received_at: String,
    source: &'a str,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_hex: Option<String>,
}

fn json(record: &SetAsideRecord) -> Result<String, Failure> {
    let raw = std::str::from_utf8(&record.raw).ok();
    let line = Line {
        number: record.number,
        received_at: record.received_at.to_string(),
        source: &record.source,
        reason: &record.reason,
        raw,
        raw_hex: raw.is_none().then(|| crate::report::hex(&record.raw)),
    };
    serde_json::to_string(&line).map(|line| line + "\n").map_err(|error| Failure::new(error.to_string()))
}
