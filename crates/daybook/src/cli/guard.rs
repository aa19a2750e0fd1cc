//! `daybook guard`: an operator accepts a log that differs from what was signed, and the log
//! records it.

use std::path::Path;
use std::sync::Arc;

use config::Config;
use event::{Operation, Severity};
use store::durable::Local;
use store::{Log, Settings};

use super::author::author;
use super::{Location, say, variables};
use intake::audit::{Act, OwnAudit};
use server::command_log::by_author;
use server::evidence::guard::folder_of;
use server::evidence::{Differences, Evidence};
use server::failure::Failure;

#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    location: Location,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Accept the log as it is, and record how it differs from what was signed.
    #[command(
        after_help = "A server stores its newest signed checkpoint outside the data directory, and \
                      refuses a log that does not continue from it: a restored backup, a copy, a \
                      moved directory. Accepting such a log records both heads and the reason as \
                      the log's next event. Holders of a newer checkpoint still detect the \
                      rollback; show them that event. Stop the server first.\n\n\
                      Example:\n  \
                      daybook guard accept --reason 'restored the backup of 2026-11-20, disk \
                      failure' --data-dir /var/lib/daybook"
    )]
    Accept {
        /// Reason for the record.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Command::Accept { reason } = &arguments.command;
    if reason.trim().is_empty() {
        return Err(Failure::usage("the reason is empty"));
    }
    let config = config::load(&arguments.location.flags(None, None), &variables())?;
    say(&accept(&arguments.location.data_dir()?, config, reason)?)
}

/// Accepts the log in a directory as it is, on record. Returns what was accepted, for people.
pub fn accept(data_dir: &Path, config: Config, reason: &str) -> Result<String, Failure> {
    let guard = folder_of(data_dir, config.evidence.guard.as_deref()).map_err(Failure::new)?;
    let log = Arc::new(Log::open(Arc::new(Local::open(data_dir)), Settings::default())?);
    let audit = OwnAudit::new(Arc::clone(&log), config.own, &config.limits);
    let record = |differences: &Differences| audit.record_now(acceptance(differences, reason));
    let differences = Evidence::accept(data_dir, &guard, log.contents(), record)?;
    drop(audit);
    if let Some(log) = Arc::into_inner(log) {
        log.close()?;
    }
    let text = difference_line("guard", &differences.guard)
        + &difference_line("data directory", &differences.directory);
    if text.is_empty() {
        return Ok("The log continues from what was signed; there is nothing to accept.\n".into());
    }
    Ok(format!("{text}Recorded after {} events.\n", differences.log.size))
}

fn difference_line(name: &str, difference: &Option<(String, Option<String>)>) -> String {
    difference.as_ref().map(|(why, _)| format!("{name}: {why}\n")).unwrap_or_default()
}

/// The act to record.
fn acceptance(differences: &Differences, reason: &str) -> Act {
    let mut act = Act::new("log.accept", Operation::Configure, "Evidence")
        .on("log", &differences.log.origin)
        .with("reason", reason)
        .with("log", differences.log.text());
    for (name, difference) in [("guard", &differences.guard), ("directory", &differences.directory)]
    {
        if let Some((why, head)) = difference {
            act = act.with(&format!("{name}.differs"), why.as_str());
            act = act.with(&format!("{name}.checkpoint"), head.as_deref().unwrap_or("none"));
        }
    }
    let author = author();
    let description = format!("accepted a log that differs from what was signed: {reason}");
    let act = by_author(act, &author);
    Act { description: Some(description), severity: Severity::MAJOR, ..act }
}
