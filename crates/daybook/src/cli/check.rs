//! `daybook check`: reads every byte of a log and derives it again.

use std::path::PathBuf;
use std::sync::Arc;

use store::durable::{Disk, Local};

use super::author::announce;
use super::{progress_bar, say};
use server::failure::Failure;

#[derive(clap::Args)]
#[command(after_help = "Reads only, and may run beside a server.\n\n\
                  Example:\n  \
                  daybook check /var/lib/daybook && echo whole")]
pub struct Arguments {
    /// Data directory.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
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
         root: {}\n",
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
