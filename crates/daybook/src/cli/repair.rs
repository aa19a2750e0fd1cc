//! `daybook repair`: says which files of segments are damaged, and how to replace them by good
//! copies.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use store::DamagedFile;
use store::durable::{Disk, Local};

use super::say;
use server::failure::{Exit, Failure};

#[derive(clap::Args)]
#[command(
    after_help = "Reads only, and may run beside a server. A segment never changes once it is \
                  written, so any copy of a file with the same name is as good, from whatever \
                  backup; --from checks that one is. The exit code is 3 while files are \
                  damaged.\n\n\
                  Examples:\n  \
                  daybook repair /var/lib/daybook\n  \
                  daybook repair /var/lib/daybook --from /backup/daybook"
)]
pub struct Arguments {
    /// Data directory.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Copy of the data directory, such as a backup, to look for good copies in.
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let disk = |dir: &Path| -> Arc<dyn Disk> { Arc::new(Local::open(dir)) };
    let log = disk(&arguments.dir);
    let damaged = store::damaged_files(&log, &log)?;
    if damaged.is_empty() {
        return say("Every file of a segment reads back; there is nothing to repair here. \
                    `daybook check` reads the rest.\n");
    }
    let missing = match &arguments.from {
        Some(from) => Some(store::damaged_files(&log, &disk(from))?),
        None => None,
    };
    let lines: String = damaged.iter().map(line).collect();
    let copies: String =
        damaged.iter().map(|one| copy(one, arguments, missing.as_deref())).collect();
    say(&format!(
        "{lines}\n\
         The server serves all other events and goes on recording. To repair, stop it, replace \
         the files by good copies, check, and start it again:\n\n\
         {copies}  daybook check {dir}\n\n\
         Keep the damaged files until the check succeeds. Without a good copy, restore a backup of \
         the whole directory; events recorded since then would be lost, so ask for help first.\n",
        dir = arguments.dir.display()
    ))?;
    let text = match damaged.len() {
        1 => "one file is damaged".to_owned(),
        count => format!("{count} files are damaged"),
    };
    Err(Failure { exit: Exit::Damage, text })
}

/// The damage of a file.
fn line(damaged: &DamagedFile) -> String {
    let DamagedFile { file, offset, what, events } = damaged;
    let range = events.as_ref().map(|events| {
        format!(" It is of the events {} to {}.", events.start, events.end.saturating_sub(1))
    });
    format!("{file}: damaged at byte {offset}: {what}.{}\n", range.unwrap_or_default())
}

/// The command that replaces a file by a good copy. `missing` are the files without a good
/// copy in the folder to look in.
fn copy(damaged: &DamagedFile, arguments: &Arguments, missing: Option<&[DamagedFile]>) -> String {
    let (file, dir) = (&damaged.file, arguments.dir.display());
    match (&arguments.from, missing) {
        (Some(from), Some(missing)) if missing.iter().any(|one| one.file == *file) => {
            format!("  # {} has no good copy of {file}; look in another backup\n", from.display())
        }
        (Some(from), _) => format!("  cp -p {0}/{file} {dir}/{file}\n", from.display()),
        (None, _) => format!("  cp -p BACKUP/{file} {dir}/{file}\n"),
    }
}
