//! `daybook search`: matching events, as a table or for programs.

use clap::ValueEnum;

use super::pipe::end_with_the_reader;
use super::question::{Log, LogLocation, Pairs, Question, own_note, pair};
use super::reach::Problem;
use super::rows;
use super::screen::{DisplayOptions, Screen, safe_json, with_commas};
use super::stats::chart;
use super::table::Table;
use super::{say, warn};
use event::terminal::printable_lines;
use find::answer::{Event, Events};
use find::export::columns::values_of;
use find::export::csv;
use find::question::LIMIT_MAX;
use server::failure::Failure;

#[derive(clap::Args)]
#[command(
    after_long_help = "An event must match all terms. A word searches the texts of an event. \
                       field:value matches an exact value, field:lib* a beginning, field:a,b \
                       either value. A - before a term excludes. Quote terms with blanks or shell \
                       characters. docs/search.md lists the fields.\n\n\
                       The number of matching events is exact; it is printed below the table, or \
                       on standard error. A narrow terminal shows fewer columns; -o json has \
                       everything.\n\n\
                       Examples:\n  \
                       daybook search actor:alice -outcome:success --after -24h\n  \
                       daybook search 'resource:library/* \"drop table\"' --histogram\n  \
                       daybook search operation:delete,update --after 2026-11-01 --before \
                       2026-12-01 --order asc\n  \
                       daybook search ip:10.0.0.0/8 -o ndjson --all\n  \
                       daybook search outcome:failure --limit 0 -o json\n  \
                       daybook search alice --data-dir /var/lib/daybook --local\n\n\
                       Exit codes: 0 answered, also if nothing matches; 1 not answered; 2 wrong \
                       search or command line; 3 damaged bytes in the data directory."
)]
pub struct Arguments {
    #[command(flatten)]
    question: Question,
    /// Number of events to list.
    #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 50)]
    limit: u64,
    /// Number of events to skip first.
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    offset: u64,
    /// List all matching events.
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// Order by time: desc lists the newest first.
    #[arg(long, value_name = "ORDER", default_value = "desc")]
    order: Order,
    /// Search the log as it was when it had this many events.
    #[arg(long, value_name = "COUNT", conflicts_with = "offset")]
    as_of: Option<u64>,
    /// Output format.
    #[arg(long, short, value_name = "FORMAT", default_value = "table")]
    output: Output,
    /// Draw a chart over time above the table.
    #[arg(long)]
    histogram: bool,
    #[command(flatten)]
    look: DisplayOptions,
    #[command(flatten)]
    log: LogLocation,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Order {
    Asc,
    Desc,
}

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    /// Table.
    Table,
    /// One document, with the total.
    Json,
    /// One event a line.
    Ndjson,
    /// The columns of docs/api/export.md, for spreadsheets.
    Csv,
}

impl Arguments {
    fn pairs(&self) -> Pairs {
        let mut pairs = self.question.pairs();
        pairs.extend(self.as_of.map(|size| pair("as_of", size)));
        pairs
    }

    fn order(&self) -> &'static str {
        match self.order {
            Order::Asc => "asc",
            Order::Desc => "desc",
        }
    }
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    end_with_the_reader();
    let log = arguments.log.open("search")?;
    let explained = |problem| arguments.question.explain(problem);
    let mut pages = Pages::of(arguments, &log);
    let mut writer = Writer {
        screen: Screen::of(&arguments.look),
        output: arguments.output,
        table: None,
        has_begun: false,
        rows: 0,
    };
    if arguments.histogram {
        writer.chart(&log, arguments.pairs()).map_err(explained)?;
    }
    let mut last = None;
    while let Some(page) = pages.next().map_err(explained)? {
        writer.page(&page)?;
        last = Some(page);
    }
    last.map_or(Ok(()), |page| writer.end(&page, arguments))
}

/// Reads pages one after another, all of the same moment, up to the limit of events.
struct Pages<'a> {
    log: &'a Log,
    pairs: Pairs,
    from: Option<(String, String)>,
    left: u64,
}

impl<'a> Pages<'a> {
    fn of(arguments: &Arguments, log: &'a Log) -> Pages<'a> {
        let mut pairs = arguments.pairs();
        pairs.push(pair("order", arguments.order()));
        let left = if arguments.all { u64::MAX } else { arguments.limit };
        Pages { log, pairs, from: Some(pair("offset", arguments.offset)), left }
    }

    fn next(&mut self) -> Result<Option<Events>, Problem> {
        let Some(from) = self.from.take() else { return Ok(None) };
        let mut pairs = self.pairs.clone();
        pairs.extend([from, pair("limit", self.left.min(LIMIT_MAX))]);
        let page = self.log.events(&pairs)?;
        // The cursor has the moment.
        self.pairs.retain(|(name, _)| name != "as_of");
        self.left = self.left.saturating_sub(page.events.len() as u64);
        self.from =
            page.next.as_ref().filter(|_| self.left > 0).map(|cursor| pair("cursor", cursor));
        Ok(Some(page))
    }
}

struct Writer {
    screen: Screen,
    output: Output,
    table: Option<Table>,
    has_begun: bool,
    rows: u64,
}

impl Writer {
    fn chart(&self, log: &Log, mut pairs: Pairs) -> Result<(), Problem> {
        let width = self.screen.width.unwrap_or(CHART_WIDTH).min(CHART_WIDTH);
        pairs.push(pair("buckets", width));
        let histogram = log.histogram(&pairs)?;
        let chart = chart(&histogram, &self.screen);
        match self.output {
            Output::Table if say(&chart).is_ok() => {}
            _ => warn(chart.trim_end()),
        }
        Ok(())
    }

    fn page(&mut self, page: &Events) -> Result<(), Failure> {
        let text = match self.output {
            Output::Table => self.lines(&page.events),
            Output::Ndjson => {
                let lines = page.events.iter().map(|event| json(event).map(|line| line + "\n"));
                lines.collect::<Result<_, _>>()?
            }
            Output::Csv => {
                let mut lines = Vec::new();
                if !self.has_begun {
                    csv::begin(&mut lines);
                }
                page.events.iter().for_each(|event| csv::line(values_of(event), &mut lines));
                // Cells are unchanged texts in quotes; for a terminal, control characters are
                // escaped.
                if self.screen.width.is_some() {
                    printable_lines(&lines)
                } else {
                    String::from_utf8_lossy(&lines).into_owned()
                }
            }
            Output::Json => {
                let mut text = String::new();
                for event in &page.events {
                    text.push_str(if self.rows == 0 && text.is_empty() {
                        "{\"events\":[\n"
                    } else {
                        ",\n"
                    });
                    text.push_str(&json(event)?);
                }
                text
            }
        };
        self.rows += page.events.len() as u64;
        self.has_begun = true;
        say(&text)
    }

    /// Rows of a table whose columns are as wide as the first page needs.
    fn lines(&mut self, events: &[Event]) -> String {
        if events.is_empty() {
            return String::new();
        }
        let screen = &self.screen;
        let mut text = String::new();
        if self.table.is_none() {
            let table = rows::table(events, screen);
            text = table.head(screen);
            self.table = Some(table);
        }
        let table = self.table.as_ref().expect("it was just made");
        text.extend(events.iter().map(|event| table.line(screen, rows::cells(event, screen))));
        text
    }

    fn end(&self, last: &Events, arguments: &Arguments) -> Result<(), Failure> {
        let mut text = summary(self.rows, last.total, arguments);
        if let Some(why) = &last.why_empty {
            text = format!("{text}: {}", event::terminal::printable(why));
        }
        text.push_str(&own_note(last.own_left_out));
        match self.output {
            Output::Table => say(&format!("{text}\n")),
            Output::Ndjson | Output::Csv => {
                warn(&text);
                Ok(())
            }
            Output::Json => {
                let begin = if self.rows == 0 { "{\"events\":[" } else { "" };
                let next = serde_json::to_string(&last.next).unwrap_or_default();
                let Events { total, own_left_out, tree_size, why_empty, .. } = last;
                let why = match why_empty {
                    None => String::new(),
                    Some(why) => format!("\"why_empty\":{},", serde_json::json!(why)),
                };
                say(&format!(
                    "{begin}\n],\"total\":{total},\"own_left_out\":{own_left_out},{why}\
                     \"tree_size\":{tree_size},\"next\":{next}}}\n"
                ))
            }
        }
    }
}

/// Widest chart.
const CHART_WIDTH: usize = 100;

fn summary(rows: u64, total: u64, arguments: &Arguments) -> String {
    let order = if arguments.order == Order::Asc { "oldest first" } else { "newest first" };
    let events = if total == 1 { "event" } else { "events" };
    let seen = arguments.offset.saturating_add(rows);
    match (rows, total) {
        (_, 0) => "no event matches".to_owned(),
        (0, _) => format!("0 of {} {events}", with_commas(total)),
        _ if rows == total => format!("{} {events}, {order}", with_commas(total)),
        _ if seen < total => {
            format!(
                "{} of {} {events}, {order}; more with --offset {seen}",
                with_commas(rows),
                with_commas(total)
            )
        }
        _ => format!("{} of {} {events}, {order}", with_commas(rows), with_commas(total)),
    }
}

/// An event as a line of JSON that is safe for a terminal.
pub fn json(event: &Event) -> Result<String, Failure> {
    let json = serde_json::to_string(event).map_err(|error| Failure::new(error.to_string()))?;
    Ok(safe_json(&json))
}
