//! `scripts/bench query`: how long the engine takes for ten kinds of questions, beside SQLite and
//! PostgreSQL with the same events. All must give the same answers.
//!
//! Daybook comes first and alone, so the memory measured is its own.

mod engines;
mod peers;
mod questions;

use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::made::Events;
use crate::{daybook, fail, machine, value};
use engines::{Daybook, Engine, Latency, measure};
pub use peers::{Columns, INDEXES};
use peers::{Postgresql, Sqlite};
use questions::{Answer, Question, questions};

/// The options of the command line.
pub struct Options {
    pub seconds: f64,
    pub events: u64,
    pub seed: u64,
    has_sqlite: bool,
    has_postgresql: bool,
    /// Whether Daybook's log is made anew.
    is_fresh: bool,
    /// Empty for all.
    questions: Vec<String>,
    pub program: PathBuf,
    pub folder: PathBuf,
}

pub fn options(mut arguments: impl Iterator<Item = String>) -> Options {
    let mut options = Options {
        seconds: 2.0,
        events: 1_000_000,
        seed: 1,
        has_sqlite: true,
        has_postgresql: true,
        is_fresh: false,
        questions: Vec::new(),
        program: PathBuf::new(),
        folder: PathBuf::from("."),
    };
    while let Some(argument) = arguments.next() {
        let mut value = |name| value(name, arguments.next());
        match argument.as_str() {
            "--seconds" => {
                options.seconds =
                    value("--seconds").parse().unwrap_or_else(|_| fail("--seconds takes a number"))
            }
            "--quick" => options.seconds = 0.5,
            "--events" => {
                let events = value("--events").parse().ok().filter(|events| *events >= EVENTS_MIN);
                options.events = events.unwrap_or_else(|| {
                    fail(&format!("--events takes a number, {EVENTS_MIN} or more"))
                });
            }
            "--seed" => {
                options.seed =
                    value("--seed").parse().unwrap_or_else(|_| fail("--seed takes a number"))
            }
            "--peers" => {
                let named = value("--peers");
                let names: Vec<&str> = named.split(',').filter(|name| *name != "none").collect();
                (options.has_sqlite, options.has_postgresql) =
                    (names.contains(&"sqlite"), names.contains(&"postgresql"));
                if names.iter().any(|name| !["sqlite", "postgresql"].contains(name)) {
                    fail("--peers takes sqlite, postgresql, both with a comma between, or none");
                }
            }
            "--fresh" => options.is_fresh = true,
            "--questions" => {
                options.questions = value("--questions").split(',').map(str::to_uppercase).collect()
            }
            "--program" => options.program = value("--program").into(),
            "--folder" => options.folder = value("--folder").into(),
            other => fail(&format!("unknown option {other}")),
        }
    }
    options
}

/// With fewer, hardly any question finds a page.
const EVENTS_MIN: u64 = 10_000;

/// A database beside which Daybook is measured.
struct Peer {
    name: &'static str,
    bytes: u64,
    /// For each question.
    measured: Vec<(Latency, Vec<Answer>)>,
}

/// The folder with the data of these events.
pub fn folder_of(options: &Options) -> PathBuf {
    let folder =
        options.folder.join("bench-data").join(format!("{}-{}", options.events, options.seed));
    std::fs::create_dir_all(&folder).expect("the bench folder is writable");
    folder
}

pub fn run(options: &Options) {
    let events = Events::new(options.events, options.seed);
    let folder = folder_of(options);
    machine::print(&folder);
    println!("{} events of seed {} in {}", options.events, options.seed, folder.display());
    println!(
        "each question: {} s for each program, warm, one at a time, with 1,000 different values in turn;",
        options.seconds
    );
    println!(
        "  a page is read whole and comes with the exact total; the databases take a query for each, prepared before\n"
    );

    let data = generate(options, &folder);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!(
        "load average: {}; what else runs shows in p99 first, in steps of the scheduler's slice",
        load.split(' ').next().unwrap_or("?")
    );
    let before = resident_anonymous();
    let mut log = Daybook::open(&data, &events);
    let open_ms = log.open_ms;
    let opened = resident_anonymous();
    let questions = selected(options, questions(&events, options.seed, log.largest()));
    let of_daybook: Vec<(Latency, Vec<Answer>)> =
        ask_all(&mut log, "Daybook", &questions, options.seconds);
    let after = resident_anonymous();
    let wrong = questions.iter().find_map(|question| Some((question, log.wrong_row(question)?)));
    drop(log);

    let mut peers = Vec::new();
    if options.has_sqlite {
        progress("SQLite", "opens, or loads");
        let (mut sqlite, bytes) = Sqlite::open(&folder, &events);
        peers.push(Peer {
            name: "SQLite",
            bytes,
            measured: ask_all(&mut sqlite, "SQLite", &questions, options.seconds),
        });
    }
    if options.has_postgresql {
        progress("PostgreSQL", "opens, or loads");
        let (mut postgresql, bytes) = Postgresql::open(&folder, &events);
        peers.push(Peer {
            name: "PostgreSQL",
            bytes,
            measured: ask_all(&mut postgresql, "PostgreSQL", &questions, options.seconds),
        });
    }

    print_table(&questions, &of_daybook, &peers);
    println!("\nstart: {open_ms:.1} ms");
    println!(
        "memory of its own (RssAnon), MiB: {:.1} before, {:.1} once open, {:.1} after all questions",
        before, opened, after
    );
    println!("\non disk, bytes for an event:");
    print_disk(&data, options.events);
    for peer in &peers {
        println!("  {:<22}{:>8.1}", peer.name, peer.bytes as f64 / options.events as f64);
    }

    let mut disagree = disagreements(&questions, &of_daybook, &peers);
    disagree.extend(wrong.map(|(question, row)| {
        format!("{}: the row of event {row} does not hold that event", question.id)
    }));
    if !disagree.is_empty() {
        eprintln!("\nWRONG ANSWERS\n{}", disagree.join("\n"));
        eprintln!(
            "If the events were changed since they were loaded, remove {} and run again.",
            folder.display()
        );
        std::process::exit(1);
    }
    let compared: usize = of_daybook.iter().map(|(_, answers)| answers.len()).sum();
    if !peers.is_empty() {
        println!("\nall agree on {compared} answers");
    }
}

fn selected(options: &Options, questions: Vec<Question>) -> Vec<Question> {
    let unknown =
        options.questions.iter().find(|id| !questions.iter().any(|question| question.id == **id));
    if let Some(unknown) = unknown {
        fail(&format!("there is no question {unknown}"));
    }
    let is_selected = |question: &Question| {
        options.questions.is_empty() || options.questions.iter().any(|id| id == question.id)
    };
    questions.into_iter().filter(is_selected).collect()
}

/// The log, made by the program unless an earlier run did.
pub fn generate(options: &Options, folder: &Path) -> PathBuf {
    let (data, said) = (folder.join("daybook"), folder.join("daybook.txt"));
    if options.is_fresh && data.exists() {
        std::fs::remove_dir_all(&data).expect("the folder is writable");
    }
    if !data.exists() {
        progress("Daybook", "records the events");
        let unfinished = folder.join("daybook.unfinished");
        let _ = std::fs::remove_dir_all(&unfinished);
        let (events, seed) = (options.events.to_string(), options.seed.to_string());
        let arguments = [
            "bench",
            "generate",
            "--events",
            &events,
            "--seed",
            &seed,
            "--into",
            daybook::path(&unfinished),
        ];
        std::fs::write(&said, daybook::run(&options.program, &arguments))
            .expect("the folder is writable");
        std::fs::rename(&unfinished, &data).expect("the folder is writable");
    }
    let said = std::fs::read_to_string(said).unwrap_or_default();
    for line in
        said.lines().filter(|line| line.starts_with("appended") || line.starts_with("flushed"))
    {
        println!("when it was made: {line}");
    }
    data
}

fn ask_all<E: Engine>(
    engine: &mut E,
    name: &str,
    questions: &[Question],
    seconds: f64,
) -> Vec<(Latency, Vec<Answer>)> {
    questions
        .iter()
        .map(|question| {
            progress(name, question.id);
            measure(engine, question, seconds)
        })
        .collect()
}

/// Reports progress on standard error; measurements go to standard output.
fn progress(name: &str, what: &str) {
    static BEGAN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let began = BEGAN.get_or_init(Instant::now);
    eprintln!("{:7.1} s  {name}: {what}", began.elapsed().as_secs_f64());
}

fn print_table(questions: &[Question], of_daybook: &[(Latency, Vec<Answer>)], peers: &[Peer]) {
    print!("\n{:<49}{:>15}{:>20}", "ms: p50 p99", "goal", "Daybook");
    peers.iter().for_each(|peer| print!("{:>20}", peer.name));
    if !peers.is_empty() {
        print!("{:>8}{:>8}", "p50 x", "p99 x");
    }
    println!("{:>9}", "queries");
    for (at, (question, (own, _))) in questions.iter().zip(of_daybook).enumerate() {
        let (goal_p50, goal_p99) = question.goal_ms;
        print!(
            "{:<4}{:<45}{goal_p50:>7}{goal_p99:>8}{:>10.4}{:>10.4}",
            question.id, question.about, own.p50_ms, own.p99_ms
        );
        let latencies: Vec<Latency> = peers.iter().map(|peer| peer.measured[at].0).collect();
        latencies.iter().for_each(|peer| print!("{:>10.3}{:>10.3}", peer.p50_ms, peer.p99_ms));
        let best =
            |ms: fn(&Latency) -> f64| latencies.iter().map(ms).fold(f64::NAN, f64::min) / ms(own);
        if !peers.is_empty() {
            print!(
                "{:>8.1}{:>8.1}",
                best(|latency| latency.p50_ms),
                best(|latency| latency.p99_ms)
            );
        }
        print!("{:>9}", own.queries);
        let missed = [(own.p50_ms > goal_p50, " p50"), (own.p99_ms > goal_p99, " p99")];
        let missed: String =
            missed.iter().filter(|(is_missed, _)| *is_missed).map(|(_, name)| *name).collect();
        println!(
            "{}",
            if missed.is_empty() { String::new() } else { format!("  goal missed:{missed}") }
        );
    }
    println!(
        "x: how many times as long the better of the databases takes; goals are printed, never asserted"
    );
}

fn disagreements(
    questions: &[Question],
    of_daybook: &[(Latency, Vec<Answer>)],
    peers: &[Peer],
) -> Vec<String> {
    let mut said = Vec::new();
    for peer in peers {
        for ((question, (_, own)), (_, other)) in
            questions.iter().zip(of_daybook).zip(&peer.measured)
        {
            let differs = own.iter().zip(other).position(|(own, other)| own != other);
            said.extend(differs.map(|at| {
                format!(
                    "{} ({}), number {at}:\n  Daybook    {:?}\n  {:<10} {:?}",
                    question.id, question.about, own[at], peer.name, other[at]
                )
            }));
        }
    }
    said
}

/// Memory of this process that no file backs, in MiB.
fn resident_anonymous() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("this process runs");
    let line =
        status.lines().find(|line| line.starts_with("RssAnon:")).expect("Linux says so since 4.5");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).expect("a number")
        / 1024.0
}

/// Prints the log's size on disk by kind of file.
fn print_disk(data: &Path, events: u64) {
    let mut kinds = std::collections::BTreeMap::<&str, u64>::new();
    let mut folders = vec![data.to_owned()];
    while let Some(folder) = folders.pop() {
        for found in std::fs::read_dir(&folder).expect("readable") {
            let path = found.expect("readable").path();
            if path.is_dir() {
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
            *kinds.entry(kind).or_default() += path.metadata().expect("readable").len();
        }
    }
    let whole: u64 = kinds.values().sum();
    // Events in the journal are in segments too. The journal does not grow with the log.
    let flushed = whole - kinds.get("journal").copied().unwrap_or(0);
    for (name, bytes) in [("Daybook", whole), ("without journal", flushed)].into_iter().chain(kinds)
    {
        let indent = if name == "Daybook" { 2 } else { 4 };
        println!(
            "{:indent$}{name:<width$}{:>8.1}",
            "",
            bytes as f64 / events as f64,
            width = 24 - indent
        );
    }
}
