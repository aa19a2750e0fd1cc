//! `daybook check`: reads every byte of a log and derives it again, and what else a start needs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use store::durable::{Disk, Local};

use super::author::announce;
use super::{progress_bar, say};
use config::Flags;
use server::evidence::GuardCheck;
use server::evidence::guard::folder_of;
use server::failure::Failure;
use server::preflight;

#[derive(clap::Args)]
#[command(after_help = "Reads only, and may run beside a server. Checks the log, and what else a \
                  start needs: keys, rights, states, checkpoints and the guard. A backup is \
                  checked in the same way; it has no guard.\n\n\
                  Example:\n  \
                  daybook check /var/lib/daybook && echo whole")]
pub struct Arguments {
    /// Data directory.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Configuration file, for the guard's folder and the trail of Daybook's own operators.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let disk: Arc<dyn Disk> = Arc::new(Local::open(&arguments.dir));
    announce(&arguments.dir, "check");
    let bar = progress_bar();
    let report = store::check(&disk, &mut |progress| {
        bar.set_length(progress.total_bytes);
        bar.set_position(progress.done_bytes);
    });
    bar.finish_and_clear();
    let report = report?;
    let flags = Flags { config: arguments.config.clone(), ..Flags::default() };
    let config = config::load(&flags, &BTreeMap::new())?;
    let guard = folder_of(&arguments.dir, config.evidence.guard.as_deref());
    let guard = guard.map_err(Failure::new)?;
    let guard_line = match preflight::check(&arguments.dir, &guard, &config.own)? {
        GuardCheck::Agrees(events) => format!("guard: agrees on {events} events\n"),
        GuardCheck::None => format!("guard: none at {}\n", guard.display()),
    };
    let by_service: String = report
        .events_of
        .iter()
        .map(|(service, events)| format!("{} events: {events}\n", service.as_str()))
        .collect();
    let mut text = format!(
        "whole: {}\n\
         events: {}\n\
         {by_service}trails: {}\n\
         dead letters: {}\n\
         batches: {}\n\
         segments: {}\n\
         journal: {} files\n\
         bytes read: {}\n\
         root: {}\n\
         {guard_line}",
        report.identity.origin,
        report.events,
        report.trails,
        report.dead_letters,
        report.batches,
        report.segments,
        report.files,
        report.bytes,
        hex::encode(report.root),
    );
    if let Some(torn) = &report.torn_tail {
        text.push_str(&format!(
            "torn tail: {} bytes of {} from byte {}, an append without a response; the next start \
             removes it\n",
            torn.len_bytes, torn.file, torn.offset
        ));
    }
    say(&text)
}
