//! The report on standard output: tables that read well as they are and as Markdown.

use crate::disk::Limits;
use crate::drive::Cell;
use crate::events;
use crate::options::Options;
use crate::{Databases, Row, postgresql};

/// What every figure depends on.
pub fn print_conditions(options: &Options) {
    println!(
        "
Each cell runs {} s after a warm-up of {} s, on empty data. The senders are threads of one process and share the cores
with whatever they load. Events are registry notifications of {} bytes, each with ids of its own; Daybook gets them in
the registry's envelopes and parses them. The databases get their columns parsed, an entry such as Daybook writes, and
the raw bytes, which favours them; they keep a unique index over source and key and two indexes for queries.
Daybook: HTTP over TCP. PostgreSQL: unix socket, one statement a request, {}.
SQLite: in the senders' process, WAL, synchronous=FULL, one connection for all of them.",
        options.seconds,
        options.warm_up_seconds(),
        events::event_bytes(),
        postgresql::SETTINGS.replace("-c ", ""),
    );
}

pub fn print_disk(when: &str, limits: &Limits) {
    let Limits { appends_s, overwrites_s, sequential_mb_s } = limits;
    println!(
        "
disk, {when} the run:
  4 KiB appended, then fdatasync           {appends_s:>7.0} a second
  4 KiB overwritten, then fdatasync        {overwrites_s:>7.0} a second
  1 MiB pieces in sequence, then one fsync {sequential_mb_s:>7.0} MB/s"
    );
}

pub fn print_daybook(rows: &[Row], disk_mb_s: f64) {
    println!(
        "\nDaybook; CPU is the server's, user and kernel; of disk is the journal's share of the better sequential rate"
    );
    let header = [
        "events x senders",
        "events/s",
        "requests/s",
        "events/fsync",
        "CPU s/M events",
        "peak MiB",
        "journal MB/s",
        "of disk",
    ];
    let line = |row: &Row| {
        let daybook = &row.daybook;
        vec![
            row.cell.to_string(),
            format!("{:.0}", daybook.events_s),
            format!("{:.0}", daybook.events_s / row.cell.events as f64),
            format!("{:.1}", daybook.events_per_sync),
            format!("{:.1}", daybook.cpu_s_per_million),
            format!("{:.0}", daybook.peak_mib),
            format!("{:.1}", daybook.journal_mb_s),
            format!("{:.0} %", daybook.journal_mb_s / disk_mb_s * 100.0),
        ]
    };
    print_table(&header, rows.iter().map(line));
}

pub fn print_databases(rows: &[Row]) {
    println!("\nBeside the databases; CPU is that of all of PostgreSQL's processes");
    let header = [
        "events x senders",
        "Daybook events/s",
        "PostgreSQL events/s",
        "SQLite events/s",
        "PostgreSQL CPU s/M events",
        "Daybook / PostgreSQL",
        "Daybook / SQLite",
    ];
    let line = |row: &Row| {
        let Databases { postgresql, sqlite_events_s } = row.databases.as_ref()?;
        Some(vec![
            row.cell.to_string(),
            format!("{:.0}", row.daybook.events_s),
            format!("{:.0}", postgresql.events_s),
            format!("{sqlite_events_s:.0}"),
            format!("{:.1}", postgresql.cpu_s_per_million),
            format!("{:.2}", row.daybook.events_s / postgresql.events_s),
            format!("{:.2}", row.daybook.events_s / sqlite_events_s),
        ])
    };
    print_table(&header, rows.iter().filter_map(line));
}

/// Columns as wide as their names, numbers to the right.
fn print_table(header: &[&str], lines: impl Iterator<Item = Vec<String>>) {
    let print_line = |cells: Vec<String>| println!("| {} |", cells.join(" | "));
    let padded = |(name, text): (&&str, String)| format!("{text:>width$}", width = name.len());
    print_line(header.iter().map(|name| (*name).to_owned()).collect());
    print_line(header.iter().map(|name| format!("{:->width$}", ":", width = name.len())).collect());
    for line in lines {
        print_line(header.iter().zip(line).map(padded).collect());
    }
}

/// What is aimed at. The machine may be busy with something else, so nothing depends on it.
pub fn print_goals(rows: &[Row], disk_mb_s: f64) {
    println!("\ngoals");
    let row = |events, senders| rows.iter().find(|row| row.cell == Cell { events, senders });
    let with_databases =
        |events, senders| row(events, senders).and_then(|row| Some((row, row.databases.as_ref()?)));
    if let Some((row, databases)) = with_databases(1000, 8) {
        print_goal(
            "1000 x 8: Daybook / PostgreSQL",
            row.daybook.events_s / databases.postgresql.events_s,
            4.0,
        );
    }
    if let Some(row) = row(1000, 8) {
        print_goal(
            "1000 x 8: journal's share of the disk's sequential rate",
            row.daybook.journal_mb_s / disk_mb_s,
            0.5,
        );
    }
    if let Some((row, databases)) = with_databases(1, 32) {
        print_goal("1 x 32: Daybook / PostgreSQL", row.daybook.events_s / databases.postgresql.events_s, 2.5);
    }
    if let Some(row) = row(1, 32) {
        print_goal("1 x 32: events to one fsync", row.daybook.events_per_sync, 10.0);
    }
    if let Some((row, databases)) = with_databases(1, 1) {
        print_goal("1 x 1: Daybook / SQLite", row.daybook.events_s / databases.sqlite_events_s, 0.7);
    }
}

fn print_goal(what: &str, is: f64, aim: f64) {
    let verdict = if is >= aim { "met" } else { "not met" };
    println!("  {what:<56} {is:>6.2}, aim {aim:>4.1}: {verdict}");
}
