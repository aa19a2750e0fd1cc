//! `daybook trails`: which trails there are, and how many events each has.

use clap::ValueEnum;

use super::pipe::end_with_the_reader;
use super::question::{LogLocation, Pairs, Question, pair};
use super::say;
use super::screen::{DisplayOptions, Screen, Tone, safe_json, with_commas};
use super::table::{Cell, Column, Table};
use event::terminal::printable;
use find::answer::{TrailCount, Trails};
use server::failure::Failure;

#[derive(clap::Args)]
#[command(after_long_help = "A trail is the history of one installation: \
                             SERVICE/TENANT/PROJECT/INSTANCE. With terms, only trails with matching \
                             events are listed, and those are counted.\n\n\
                             Examples:\n  \
                             daybook trails\n  \
                             daybook trails outcome:failure --since 24h\n  \
                             daybook trails --data-dir /var/lib/daybook -o json\n\n\
                             Exit codes: 0 listed; 1 not answered; 2 wrong command line; 3 damaged \
                             bytes in the data directory.")]
pub struct Arguments {
    #[command(flatten)]
    question: Question,
    /// Output format.
    #[arg(long, short, value_name = "FORMAT", default_value = "text")]
    output: Output,
    #[command(flatten)]
    look: DisplayOptions,
    #[command(flatten)]
    log: LogLocation,
}

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    Text,
    Json,
}

/// Trails of one answer.
const PAGE: u64 = 1000;

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    end_with_the_reader();
    let log = arguments.log.open("trails")?;
    let pairs = arguments.question.pairs();
    let page = |offset: u64| {
        let paging: Pairs = vec![pair("limit", PAGE), pair("offset", offset)];
        let all = pairs.iter().cloned().chain(paging).collect();
        log.trails(&all).map_err(|problem| arguments.question.explain(problem))
    };
    let mut found = page(0)?;
    while (found.trails.len() as u64) < found.total {
        let next = page(found.trails.len() as u64)?;
        if next.trails.is_empty() {
            break;
        }
        found.trails.extend(next.trails);
    }
    say(&match arguments.output {
        Output::Json => {
            let json =
                serde_json::to_string(&found).map_err(|error| Failure::new(error.to_string()))?;
            safe_json(&json) + "\n"
        }
        Output::Text => text(&found, &Screen::of(&arguments.look)),
    })
}

fn text(found: &Trails, screen: &Screen) -> String {
    if found.trails.is_empty() {
        return "no trail matches\n".to_owned();
    }
    let column =
        |name: &str, is_right, least, rank| Column { name: name.to_owned(), is_right, least, rank };
    let columns = vec![
        column("TRAIL", false, 56, 0),
        column("EVENTS", true, 6, 1),
        column("LAST", false, 19, 2),
        column("FIRST", false, 19, 3),
    ];
    let rows: Vec<Vec<Cell>> = found.trails.iter().map(|trail| cells(trail, screen)).collect();
    let table = Table::for_rows(columns, &rows, screen);
    let mut text = table.head(screen);
    text.extend(rows.into_iter().map(|row| table.line(screen, row)));
    text
}

fn cells(trail: &TrailCount, screen: &Screen) -> Vec<Cell> {
    let time =
        |at: &Option<String>| at.as_ref().map(|at| screen.time(at, false)).unwrap_or_default();
    vec![
        (printable(&trail.trail), Tone::Plain),
        (with_commas(trail.events), Tone::Plain),
        (time(&trail.last_at), Tone::Plain),
        (time(&trail.first_at), Tone::Faint),
    ]
}
