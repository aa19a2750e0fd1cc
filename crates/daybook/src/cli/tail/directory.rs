//! A live tail of a data directory without a server, which is read again when it changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::Take;
use crate::cli::question::{Directory, Pairs};
use crate::cli::reach::Problem;
use crate::cli::warn;
use find::QueryError;
use find::answer::Event;
use find::question::{InvalidParameter, Parameters, Q, invalid_search};

/// Pause between two looks for a change.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// The least pause before a directory is read again, and the pause as a multiple of the time that
/// reading took: the server is to have the machine.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_FACTOR: u32 = 4;
/// Tries to read a directory.
const TRIES: usize = 5;
/// Longer than the resolution of a file system's timestamps.
const CLOCK_TICK: Duration = Duration::from_millis(20);
/// Events read at once.
const READ_AT_ONCE: usize = 512;

/// Passes every matching event to `take`, from the index `from` on or from now on, until `take`
/// returns false.
pub fn follow(
    mut directory: Directory,
    pairs: &Pairs,
    from: Option<u64>,
    take: &mut Take<'_>,
) -> Result<(), Problem> {
    let mut parameters = Parameters::of(pairs.iter().cloned());
    let request = parameters.question().map_err(QueryError::from)?;
    let own = directory.own();
    let meaning = request
        .search_besides(&own.trails, own.source)
        .meaning(system::now())
        .map_err(|error| QueryError::from(invalid_search(Q, error)))?;
    let size = directory.contents.head().0;
    let mut next = from.unwrap_or(size);
    if next > size {
        let text = format!("the log has {size} events; there is no index {next} to start from");
        return Err(QueryError::from(InvalidParameter::new("from", text)).into());
    }
    // Events recorded since the directory was read are not known yet.
    let mut seen = None;
    let mut pause = PAUSE;
    loop {
        loop {
            let rows = directory.contents.from_index(next, READ_AT_ONCE)?;
            if rows.is_empty() {
                break;
            }
            next += rows.len() as u64;
            for row in rows {
                if meaning.holds(&row.entry.event)
                    && !take(Event::from(row)).map_err(super::handler_problem)?
                {
                    return Ok(());
                }
            }
        }
        std::thread::sleep(pause);
        while newest_change(&directory.path) == seen {
            std::thread::sleep(POLL_INTERVAL);
        }
        seen = newest_change(&directory.path);
        // A write behind this reading gets another timestamp.
        std::thread::sleep(CLOCK_TICK);
        let began = Instant::now();
        directory = read_again(directory.path)?;
        pause = PAUSE.max(began.elapsed() * PAUSE_FACTOR);
    }
}

/// Reads a directory again. A server that starts meanwhile replaces files, so a failure is tried
/// again.
fn read_again(path: PathBuf) -> Result<Directory, store::Error> {
    for _ in 1..TRIES {
        match Directory::read(path.clone()) {
            Ok(directory) => return Ok(directory),
            Err(error) => warn(&format!("daybook: {error}; trying again")),
        }
        std::thread::sleep(PAUSE);
    }
    Directory::read(path)
}

/// The time of the last write to the journal. Every event is written there first.
fn newest_change(data_dir: &Path) -> Option<SystemTime> {
    let files = fs::read_dir(data_dir.join("journal")).ok()?;
    files.flatten().filter_map(|file| file.metadata().ok()?.modified().ok()).max()
}
