//! Measures how many events a second are recorded durably: by Daybook over HTTP, beside PostgreSQL, SQLite and the disk
//! itself, on one machine in one run. `scripts/bench` builds and starts this.

mod daybook;
mod disk;
mod drive;
mod events;
mod http;
mod machine;
mod options;
mod postgresql;
mod process;
mod report;
mod sqlite;

use std::process::ExitCode;

use drive::Cell;
use options::Options;

/// Whatever goes wrong ends the run with a message.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// What one cell gave.
pub struct Row {
    pub cell: Cell,
    pub daybook: daybook::Figures,
    /// Nothing when only Daybook was asked for.
    pub databases: Option<Databases>,
}

/// The same cell with the databases.
pub struct Databases {
    pub postgresql: postgresql::Figures,
    pub sqlite_events_s: f64,
}

fn main() -> ExitCode {
    match Options::parse(std::env::args().skip(1)).and_then(|options| ingest(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("bench: {why}");
            ExitCode::FAILURE
        }
    }
}

fn ingest(options: &Options) -> Result<()> {
    if options.has_baselines {
        postgresql::require()?;
    }
    machine::print(options);
    report::print_conditions(options);
    let before = disk::measure(&options.folder)?;
    report::print_disk("before", &before);
    let rows = options.cells.iter().map(|&cell| measure(options, cell)).collect::<Result<Vec<Row>>>()?;
    let after = disk::measure(&options.folder)?;
    report::print_disk("after", &after);
    let disk_mb_s = before.sequential_mb_s.max(after.sequential_mb_s);
    report::print_daybook(&rows, disk_mb_s);
    if options.has_baselines {
        report::print_databases(&rows);
    }
    report::print_goals(&rows, disk_mb_s);
    Ok(())
}

/// Measures one cell, and tells on stderr how far the run is.
fn measure(options: &Options, cell: Cell) -> Result<Row> {
    eprint!("{cell}: ");
    let daybook = daybook::measure(options, cell)?;
    eprint!("daybook {:.0}", daybook.events_s);
    let databases = if options.has_baselines {
        let postgresql = postgresql::measure(options, cell)?;
        eprint!(", postgresql {:.0}", postgresql.events_s);
        let sqlite_events_s = sqlite::measure(options, cell)?;
        eprint!(", sqlite {sqlite_events_s:.0}");
        Some(Databases { postgresql, sqlite_events_s })
    } else {
        None
    };
    eprintln!(" events/s");
    Ok(Row { cell, daybook, databases })
}
