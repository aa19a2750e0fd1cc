//! `daybook backup` and `daybook restore`: a copy of a log that a start accepts, and back.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use config::{Config, Flags};
use store::backup::{Copied, Reuse, copy};
use store::durable::{Disk, Local};
use store::{Error, Report};

use super::author::announce;
use super::screen::with_commas;
use super::{Location, guard, progress_bar, say, variables, warn};
use server::evidence::guard::folder_of;
use server::failure::{Exit, Failure};
use server::preflight;

#[derive(clap::Args)]
#[command(
    after_help = "The server may go on recording. A second backup to the same directory copies only \
                  what is new; until it is whole, the one before is good. At its end every byte of \
                  the copy is checked as `daybook check` does. The copy has the keys of the log: \
                  encrypt it, and give it to nobody who may not sign. The guard is not copied, \
                  since it is what notices a restored backup.\n\n\
                  Example:\n  \
                  daybook backup /backup/daybook --data-dir /var/lib/daybook\n\n\
                  Exit codes: 0 the copy is whole; 1 not copied; 2 wrong command line; 3 damaged \
                  bytes in the log"
)]
pub struct BackupArguments {
    /// Directory of the copy: new, empty, or an older copy of the same log.
    #[arg(value_name = "DIR")]
    to: PathBuf,
    #[command(flatten)]
    location: Location,
}

#[derive(clap::Args)]
#[command(
    after_help = "The data directory must be new or empty, and no server may run. A log that lacks \
                  events that were signed is refused by its guard until somebody accepts that on \
                  record: --reason does so at once.\n\n\
                  Example:\n  \
                  daybook restore /backup/daybook --data-dir /var/lib/daybook --reason 'disk \
                  failure, backup of last night'\n\n\
                  Exit codes: 0 restored; 1 not restored; 2 wrong command line; 3 damaged bytes in \
                  the backup"
)]
pub struct RestoreArguments {
    /// Directory of the backup.
    #[arg(value_name = "DIR")]
    from: PathBuf,
    /// Accept on record, for this reason, that the restored log lacks what was signed since.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    location: Location,
}

pub fn back_up(arguments: &BackupArguments) -> Result<(), Failure> {
    let data_dir = arguments.location.data_dir()?;
    announce(&data_dir, "backup");
    let (copied, report) = copy_checked(&data_dir, &arguments.to)?;
    let config = config_of(&arguments.location)?;
    // A copy has no guard of its own.
    preflight::check(&arguments.to, &arguments.to.join("no-guard"), &config.own)?;
    say(&format!(
        "whole: {} events in {}\ncopied: {} bytes, {} were there\nroot: {}\n",
        with_commas(report.events),
        arguments.to.display(),
        with_commas(copied.bytes),
        with_commas(copied.known_bytes),
        hex::encode(report.root)
    ))
}

pub fn restore(arguments: &RestoreArguments) -> Result<(), Failure> {
    let data_dir = arguments.location.data_dir()?;
    let config = config_of(&arguments.location)?;
    if arguments.reason.as_ref().is_some_and(|reason| reason.trim().is_empty()) {
        return Err(Failure::usage("the reason is empty"));
    }
    if data_dir.join(store::LOG).exists() {
        return Err(Failure::usage(format!(
            "{} has a log; move it away first, it may have events that the backup lacks",
            data_dir.display()
        )));
    }
    let (_, report) = copy_checked(&arguments.from, &data_dir)?;
    let restored =
        format!("restored: {} events in {}\n", with_commas(report.events), data_dir.display());
    if let Some(reason) = &arguments.reason {
        return say(&(restored + &guard::accept(&data_dir, config, reason)?));
    }
    say(&(restored + &guard_line(&data_dir, &config)?))
}

/// What the guard says to a restored log, for people.
fn guard_line(data_dir: &Path, config: &Config) -> Result<String, Failure> {
    let guard = folder_of(data_dir, config.evidence.guard.as_deref()).map_err(Failure::new)?;
    Ok(match preflight::check(data_dir, &guard, &config.own) {
        Ok(_) => "The log continues from what its guard has; it can be served.\n".to_owned(),
        Err(refusal) => format!("{}\nA start refuses the log until then.\n", refusal.text),
    })
}

fn config_of(location: &Location) -> Result<Config, Failure> {
    Ok(config::load(&Flags { log_format: None, ..location.flags(None, None) }, &variables())?)
}

/// Copies a log and checks the copy. A file that an older copy has and that does not read back is
/// copied anew.
fn copy_checked(from: &Path, to: &Path) -> Result<(Copied, Report), Failure> {
    let source: Arc<dyn Disk> = Arc::new(Local::open(from));
    let target = Local::create(to)
        .map_err(|error| Failure::new(format!("couldn't create {}: {error}", to.display())))?;
    let target: Arc<dyn Disk> = Arc::new(target);
    let copied = copy_all(&source, &target, Reuse::ByLength)?;
    match checked(&target) {
        Err(Error::Damage { file, .. }) if copied.known_bytes > 0 => {
            warn(&format!("daybook: {file} of the older copy is damaged; copying everything anew"));
            let copied = copy_all(&source, &target, Reuse::Nothing)?;
            Ok((copied, checked(&target)?))
        }
        report => Ok((copied, report?)),
    }
}

fn copy_all(from: &Arc<dyn Disk>, to: &Arc<dyn Disk>, reuse: Reuse) -> Result<Copied, Failure> {
    let bar = progress_bar();
    let copied = copy(from, to, reuse, &mut |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    copied.map_err(|error| match error {
        Error::Changed { .. } => Failure {
            exit: Exit::Failed,
            text: "the log is flushed faster than it can be copied; raise limits.flush_events, or \
                   copy a snapshot of its file system"
                .to_owned(),
        },
        other => other.into(),
    })
}

fn checked(disk: &Arc<dyn Disk>) -> Result<Report, Error> {
    let bar = progress_bar();
    let report = store::check(disk, &mut |progress| {
        bar.set_length(progress.total_bytes);
        bar.set_position(progress.done_bytes);
    });
    bar.finish_and_clear();
    report
}
