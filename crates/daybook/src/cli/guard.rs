//! `daybook guard`: an operator's word, on record, that a log goes on which is not what was signed
//! for.

use std::sync::Arc;

use event::{Operation, Severity};
use store::durable::Local;
use store::{Log, Settings};

use super::{Place, say, variables};
use intake::audit::{Act, OwnAudit, Who};
use server::evidence::guard::folder_of;
use server::evidence::{Differences, Evidence};
use server::failure::Failure;

#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    place: Place,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Accept the log as it is, and record that with what it was to be.
    #[command(
        after_help = "A server keeps what it signed last outside the data directory, and serves no log that does not go on from\nthere: a restored backup, a copy, a directory that was moved. Accepting one records, as the log's next event,\nboth heads and the reason. Whoever holds a newer checkpoint will still see that the log went back: show them\nthat event. Needs the server stopped.\n\n\
                      Example:\n  daybook guard accept --reason 'restored the backup of 2026-11-20, disk failure' --data-dir /var/lib/daybook"
    )]
    Accept {
        /// Why, for whoever reads the record.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Command::Accept { reason } = &arguments.command;
    if reason.trim().is_empty() {
        return Err(Failure::usage("give the reason in words"));
    }
    let config = config::load(&arguments.place.flags(None, None), &variables())?;
    let data_dir = arguments.place.data_dir()?;
    let guard = folder_of(&data_dir, config.evidence.guard.as_deref()).map_err(Failure::new)?;
    let log = Arc::new(Log::open(Arc::new(Local::open(&data_dir)), Settings::default())?);
    let audit = OwnAudit::new(Arc::clone(&log), config.own);
    let record = |differences: &Differences| audit.record_now(accepted(differences, reason));
    let differences = Evidence::accept(&data_dir, &guard, log.contents(), record)?;
    drop(audit);
    if let Some(log) = Arc::into_inner(log) {
        log.close()?;
    }
    let told = |place: &str, difference: &Option<(String, Option<String>)>| match difference {
        Some((why, _)) => format!("{place}: {why}\n"),
        None => String::new(),
    };
    let text = told("guard", &differences.guard) + &told("data directory", &differences.directory);
    if text.is_empty() {
        return say("The log goes on from what was signed; there is nothing to accept.\n");
    }
    say(&format!(
        "{text}Recorded; the log goes on with {} events before that.\n",
        differences.log.size
    ))
}

/// The act as it is recorded.
fn accepted(differences: &Differences, reason: &str) -> Act {
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
    let who = std::env::var("USER").ok();
    let description = format!("a log that is not what was signed for goes on: {reason}");
    let act = act.by(Who { name: who, ..Who::default() });
    Act { description: Some(description), severity: Severity::MAJOR, ..act }
}
