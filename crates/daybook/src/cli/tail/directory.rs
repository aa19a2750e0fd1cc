//! Following a data directory without a server: it is read again whenever it changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::Take;
use crate::cli::question::{Directory, Pairs};
use crate::cli::reach::Problem;
use crate::cli::warn;
use find::Unanswered;
use find::answer::Event;
use find::ask::{Parameters, Q, Wrong, wrong};

/// How often it is looked whether the directory changed.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// The least pause before it is read again, and how many times as long as reading it took: what is
/// being written is to have the machine.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_A_READING: u32 = 4;
/// How often a directory is read until it can be.
const TRIES: usize = 5;
/// Longer than between two times that a file system tells apart.
const CLOCK_TICK: Duration = Duration::from_millis(20);
/// Events read at once.
const READ_AT_ONCE: usize = 512;

/// Hands every event that matches to `take`, from the index `from` on or from now on, until that
/// says that it is enough.
pub fn follow(
    mut directory: Directory,
    pairs: &Pairs,
    from: Option<u64>,
    take: &mut Take<'_>,
) -> Result<(), Problem> {
    let mut parameters = Parameters::of(pairs.iter().cloned());
    let asked = parameters.asked().map_err(Unanswered::from)?;
    let meaning =
        asked.search.meaning(system::now()).map_err(|error| Unanswered::from(wrong(Q, error)))?;
    let size = directory.contents.head().0;
    let mut next = from.unwrap_or(size);
    if next > size {
        let text = format!("the log has {size} events; it cannot be followed from {next} on");
        return Err(Unanswered::from(Wrong::new("from", text)).into());
    }
    // What was recorded since it was read is not known.
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
                    && !take(Event::from(row)).map_err(super::not_taken)?
                {
                    return Ok(());
                }
            }
        }
        std::thread::sleep(pause);
        while newest_change(&directory.path) == seen {
            std::thread::sleep(LOOK_EVERY);
        }
        seen = newest_change(&directory.path);
        // What is written behind this reading has another time.
        std::thread::sleep(CLOCK_TICK);
        let began = Instant::now();
        directory = read_again(directory.path)?;
        pause = PAUSE.max(began.elapsed() * PAUSE_A_READING);
    }
}

/// Reads a directory that could be read before. A server that starts meanwhile replaces files, so
/// that what cannot be read is tried again.
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

/// When the journal was last written to; whatever is recorded is written there first.
fn newest_change(data_dir: &Path) -> Option<SystemTime> {
    let files = fs::read_dir(data_dir.join("journal")).ok()?;
    files.flatten().filter_map(|file| file.metadata().ok()?.modified().ok()).max()
}
