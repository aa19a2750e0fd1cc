//! `scripts/bench ingest`: durable events per second, beside SQLite, PostgreSQL and the disk
//! itself, in one run. `scripts/bench query` is in [`query`], `scripts/bench evidence` in
//! [`evidence`], `scripts/bench api` in [`api`] and [`own`], `scripts/bench sources` in
//! [`sources`], [`files`] and [`parsers`].

mod api;
mod daybook;
mod disk;
mod events;
mod evidence;
mod export;
mod files;
mod http;
mod live;
mod machine;
#[path = "../../../crates/daybook/src/bench.rs"]
mod made;
mod own;
mod parsers;
mod postgresql;
mod query;
mod reader;
mod sources;
mod sqlite;
mod system_calls;

use std::path::PathBuf;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use formats::Format;

use live::Live;

/// That of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The options of the command line.
pub struct Options {
    pub seconds: f64,
    pub cells: Vec<Cell>,
    pub has_baselines: bool,
    /// Ingest: queries run meanwhile.
    pub asks: bool,
    /// Ingest: the events are made up.
    pub is_made: bool,
    pub program: PathBuf,
    pub folder: PathBuf,
    /// Sources: only the parsing of these formats, if any are named.
    pub formats: Vec<Format>,
}

/// One combination: events in a request, and senders at once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    pub events: usize,
    pub senders: usize,
}

/// A sender, which repeatedly records events and returns once they are durable.
pub trait Sender: Send {
    fn send(&mut self, first_event: u64);
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("ingest") => ingest(&options(arguments)),
        Some("query") => query::run(&query::options(arguments)),
        Some("evidence") => evidence::run(&query::options(arguments)),
        Some("api") => api::run(&api::options(arguments)),
        Some("own") => own::run(&query::options(arguments)),
        Some("sources") => sources(&options(arguments)),
        _ => fail("the first argument is ingest, query, evidence, api or sources"),
    }
}

/// Seconds.
const WARM_UP_MAX: f64 = 10.0;

/// Lines in the files, for each second of the run.
const LINES_A_SECOND: f64 = 100_000.0;

fn sources(options: &Options) {
    if !options.formats.is_empty() {
        return parsers::run(options.seconds, &options.formats);
    }
    sources::run(options);
    println!("\ndisk: {}", disk::measure(&options.folder));
    files::measure(
        &options.program,
        &options.folder,
        (options.seconds * LINES_A_SECOND) as u64 / 4 * 4,
    );
    parsers::run(options.seconds / 5.0, Format::ALL);
}

fn ingest(options: &Options) {
    machine::print(&options.folder);
    println!(
        "each cell: {} s after a warm-up of {} s, on empty data; the senders share the cores with the server",
        options.seconds,
        warm_up(options.seconds)
    );
    if options.is_made {
        println!(
            "events: those of `scripts/bench query`, as lines of Daybook's own format, a request's of one trail; PostgreSQL"
        );
        println!(
            "  gets them parsed, and stores columns, entry and line under a unique source key and the indexes of those questions,"
        );
        println!("  then once more with an index of the words of description and resource");
    } else {
        println!(
            "events: registry notifications of {} bytes as the registry sends them; the databases get them parsed, and",
            events::raw(0).len()
        );
        println!(
            "  store the same columns, entry and raw bytes under a unique source key and two query indexes"
        );
    }
    let before = disk::measure(&options.folder);
    println!("disk, before: {before}");
    let (other, short) =
        if options.is_made { ("PG, words", "words") } else { ("SQLite", "SQLite") };
    println!(
        "\n{:>11} {:>11} {:>9} {:>9} {:>10} {:>9} {:>9} {:>11} {:>11} {:>7} {:>7}",
        "events",
        "daybook",
        "requests",
        "events",
        "CPU s",
        "peak",
        "journal",
        "PostgreSQL",
        other,
        "to PG",
        "to"
    );
    println!(
        "{:>11} {:>11} {:>9} {:>9} {:>10} {:>9} {:>9} {:>11} {:>11} {:>7} {:>7}",
        "x senders",
        "events/s",
        "/s",
        "/fsync",
        "/M events",
        "MiB",
        "MB/s",
        "events/s",
        "events/s",
        "",
        short
    );
    let rows: Vec<Row> = options.cells.iter().map(|&cell| measure(options, cell)).collect();
    let after = disk::measure(&options.folder);
    println!("\ndisk, after: {after}");
    let sequential_mb_s = before.sequential_mb_s.max(after.sequential_mb_s);
    goals(options, &rows, sequential_mb_s);
}

struct Row {
    cell: Cell,
    daybook: daybook::Measurement,
    postgresql: f64,
    /// SQLite; of made-up events, PostgreSQL with an index of words.
    other: f64,
}

fn measure(options: &Options, cell: Cell) -> Row {
    let live = options.is_made.then(|| Live::make(&options.program, cell.events));
    if let Some(live) = &live {
        println!("lines of {} bytes, entries of {}", live.line_bytes, live.entry_bytes);
    }
    let daybook = daybook::measure(options, cell, live.as_ref());
    let (postgresql, other) = match &live {
        _ if !options.has_baselines => (f64::NAN, f64::NAN),
        Some(live) => (
            postgresql::measure_live(options, cell, live, false),
            postgresql::measure_live(options, cell, live, true),
        ),
        None => (postgresql::measure(options, cell), sqlite::measure(options, cell)),
    };
    println!(
        "{:>11} {:>11.0} {:>9.0} {:>9.1} {:>10.2} {:>9.0} {:>9.1} {:>11.0} {:>11.0} {:>7.2} {:>7.2}",
        format!("{} x {}", cell.events, cell.senders),
        daybook.events_s,
        daybook.events_s / cell.events as f64,
        daybook.events_per_sync,
        daybook.cpu_s_per_million,
        daybook.peak_mib,
        daybook.journal_mb_s,
        postgresql,
        other,
        daybook.events_s / postgresql,
        daybook.events_s / other,
    );
    if let Some(daybook::Latencies { busy, quiet }) = &daybook.latencies {
        let at = |took: &[f64], percent: usize| {
            took.get(took.len().saturating_sub(1) * percent / 100).copied().unwrap_or(f64::NAN)
        };
        println!(
            "            {} questions meanwhile: p50 {:.2} ms, p99 {:.2} ms; {} when all was flushed and quiet: p50 {:.2} ms, p99 {:.2} ms; p99 {:.1} times as long",
            busy.len(),
            at(busy, 50),
            at(busy, 99),
            quiet.len(),
            at(quiet, 50),
            at(quiet, 99),
            at(busy, 99) / at(quiet, 99)
        );
    }
    Row { cell, daybook, postgresql, other }
}

fn goals(options: &Options, rows: &[Row], sequential_mb_s: f64) {
    println!("\ngoals (printed, never asserted: the machine is shared)");
    let row = |events, senders| rows.iter().find(|row| row.cell == Cell { events, senders });
    let say = |what: &str, got: f64, wanted: f64| {
        println!(
            "  {:<52} {got:>8.2}  goal {wanted:<5} {}",
            what,
            if got >= wanted { "met" } else { "not met" }
        )
    };
    if options.is_made {
        for row in rows {
            say("events a second, or", row.daybook.events_s, 80_000.0);
            say("ratio to PostgreSQL, and", row.daybook.events_s / row.postgresql, 1.5);
            say(
                "ratio to PostgreSQL with an index of words",
                row.daybook.events_s / row.other,
                5.0,
            );
        }
        return;
    }
    if let Some(row) = row(1000, 8) {
        say("1000 x 8: ratio to PostgreSQL", row.daybook.events_s / row.postgresql, 4.0);
        say(
            "1000 x 8: share of the disk's sequential limit",
            row.daybook.journal_mb_s / sequential_mb_s,
            0.5,
        );
    }
    if let Some(row) = row(1, 32) {
        say("1 x 32: ratio to PostgreSQL", row.daybook.events_s / row.postgresql, 2.5);
        say("1 x 32: events to one fsync", row.daybook.events_per_sync, 10.0);
    }
    if let Some(row) = row(1, 1) {
        say("1 x 1: ratio to SQLite", row.daybook.events_s / row.other, 0.7);
    }
}

fn warm_up(seconds: f64) -> f64 {
    (seconds / 5.0).min(WARM_UP_MAX)
}

/// Runs the senders for this time after a short warm-up. Returns events a second and the number of
/// events sent.
pub fn drive<S: Sender>(senders: Vec<S>, cell: Cell, seconds: f64) -> (f64, u64) {
    let next = AtomicU64::new(0);
    let counted = AtomicU64::new(0);
    let (is_counting, is_over) = (AtomicBool::new(false), AtomicBool::new(false));
    let start = Barrier::new(senders.len() + 1);
    let mut elapsed = 0.0;
    std::thread::scope(|scope| {
        for mut sender in senders {
            let (next, counted, is_counting, is_over, start) =
                (&next, &counted, &is_counting, &is_over, &start);
            scope.spawn(move || {
                start.wait();
                while !is_over.load(Ordering::Relaxed) {
                    sender.send(next.fetch_add(cell.events as u64, Ordering::Relaxed));
                    if is_counting.load(Ordering::Relaxed) {
                        counted.fetch_add(cell.events as u64, Ordering::Relaxed);
                    }
                }
            });
        }
        start.wait();
        std::thread::sleep(Duration::from_secs_f64(warm_up(seconds)));
        let began = Instant::now();
        is_counting.store(true, Ordering::Relaxed);
        std::thread::sleep(Duration::from_secs_f64(seconds));
        is_counting.store(false, Ordering::Relaxed);
        elapsed = began.elapsed().as_secs_f64();
        is_over.store(true, Ordering::Relaxed);
    });
    (counted.into_inner() as f64 / elapsed, next.into_inner())
}

fn options(mut arguments: impl Iterator<Item = String>) -> Options {
    let mut options = Options {
        seconds: 5.0,
        cells: [1, 100, 1000]
            .into_iter()
            .flat_map(|events| [1, 8, 32].map(|senders| Cell { events, senders }))
            .collect(),
        has_baselines: true,
        asks: false,
        is_made: false,
        program: PathBuf::new(),
        folder: PathBuf::from("."),
        formats: Vec::new(),
    };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--seconds" => {
                options.seconds = value("--seconds", arguments.next())
                    .parse()
                    .unwrap_or_else(|_| fail("--seconds takes a number"))
            }
            "--quick" => options.seconds = 1.5,
            "--ask" => options.asks = true,
            "--made" => options.is_made = true,
            "--no-baselines" => options.has_baselines = false,
            "--program" => options.program = value("--program", arguments.next()).into(),
            "--folder" => options.folder = value("--folder", arguments.next()).into(),
            "--cells" => {
                options.cells =
                    value("--cells", arguments.next()).split(',').map(parse_cell).collect()
            }
            "--formats" => options.formats = formats(&value("--formats", arguments.next())),
            other => fail(&format!("unknown option {other}")),
        }
    }
    options
}

fn formats(text: &str) -> Vec<Format> {
    match text {
        "all" => Format::ALL.to_vec(),
        _ => text
            .split(',')
            .map(|name| name.parse().unwrap_or_else(|why: String| fail(&why)))
            .collect(),
    }
}

pub fn value(name: &str, next: Option<String>) -> String {
    next.unwrap_or_else(|| fail(&format!("{name} needs a value")))
}

fn parse_cell(text: &str) -> Cell {
    let parsed = text.split_once('x').and_then(|(events, senders)| {
        Some(Cell { events: events.parse().ok()?, senders: senders.parse().ok()? })
    });
    parsed
        .filter(|cell| cell.events > 0 && cell.senders > 0)
        .unwrap_or_else(|| fail("--cells takes EVENTSxSENDERS,…, such as 1x32,1000x8"))
}

pub fn fail(why: &str) -> ! {
    eprintln!("bench: {why}");
    std::process::exit(2)
}
