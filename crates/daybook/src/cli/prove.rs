//! `daybook prove`: the proof file of an event, from a data directory or a server.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use store::durable::{Disk, Local};
use store::{CHECKPOINT, Contents, FileObjects, Objects, WITNESSED};
use tlog::{Checkpoint, NoProof, Note, ProofFile};

use super::author::announce;
use super::reach::{ServerOptions, profile_variable};
use super::{Location, say};
use server::evidence;
use server::failure::Failure;

#[derive(clap::Args)]
#[command(
    after_help = "The proof file (C2SP tlog-proof) has the event's index and the hashes that lead \
                  from the event to a signed head of the log. `daybook verify` checks it with the \
                  log's key and without the log.\n\n\
                  Examples:\n  \
                  daybook prove 42 --data-dir /var/lib/daybook > event-42.proof\n  \
                  daybook prove 42 --url https://audit.example.com --entry --token-file token --to \
                  event-42.proof"
)]
pub struct Arguments {
    /// Index of the event in the log, from 0.
    #[arg(value_name = "INDEX")]
    index: u64,
    /// Put the event's entry into the file, so that the file is enough to verify it.
    #[arg(long)]
    entry: bool,
    /// File to write. Default: standard output.
    #[arg(long, short, value_name = "FILE")]
    to: Option<PathBuf>,
    #[command(flatten)]
    reach: ServerOptions,
    #[command(flatten)]
    location: Location,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let proof =
        if uses_server(arguments) { from_server(arguments)? } else { from_directory(arguments)? };
    match &arguments.to {
        Some(path) => fs::write(path, proof)
            .map_err(|error| Failure::new(format!("couldn't write {}: {error}", path.display()))),
        None => say(&proof),
    }
}

/// Whether the command line names a server, else the environment, else a profile in use.
fn uses_server(arguments: &Arguments) -> bool {
    let Location { config, data_dir } = &arguments.location;
    let is_directory = config.is_some() || data_dir.is_some();
    let is_left_open = !Location::is_named_by_variable() || profile_variable().is_some();
    arguments.reach.is_named() || (!is_directory && is_left_open)
}

fn from_server(arguments: &Arguments) -> Result<String, Failure> {
    let query = if arguments.entry { "entry=true" } else { "" };
    let path = format!("/api/v1/events/{}/proof", arguments.index);
    let proof = arguments.reach.server()?.get_bytes(&path, query)?;
    match ProofFile::parse(&proof) {
        Ok(_) => Ok(String::from_utf8_lossy(&proof).into_owned()),
        Err(why) => Err(Failure::new(format!("the server's response is not a proof: {why}"))),
    }
}

fn from_directory(arguments: &Arguments) -> Result<String, Failure> {
    let index = arguments.index;
    let dir = arguments.location.data_dir()?;
    announce(&dir, "prove");
    let disk: Arc<dyn Disk> = Arc::new(Local::open(&dir));
    // Checkpoints are read before the log, so that the log has all that they cover. A witnessed
    // checkpoint is preferred to a newer one.
    let objects = FileObjects::new(Arc::clone(&disk));
    let (witnessed, newest) =
        (read_checkpoint(&objects, WITNESSED)?, read_checkpoint(&objects, CHECKPOINT)?);
    let log = Contents::read(&disk)?;
    // A log that was rolled back, on record, has a checkpoint that it does not continue from.
    let is_good = |checkpoint: &Checkpoint| {
        index < checkpoint.size && verify::covered(&log, log.head().0, checkpoint).is_ok()
    };
    let (note, checkpoint) =
        witnessed.filter(|(_, checkpoint)| is_good(checkpoint)).or(newest).ok_or_else(|| {
            Failure::new("the log has no signed checkpoint yet; a running server signs one")
        })?;
    let size = checkpoint.size;
    let entry =
        if arguments.entry { log.stored_event(index)?.map(|stored| stored.entry) } else { None };
    match evidence::prove(&log, note, size, index, entry) {
        Ok(proof) => Ok(proof.to_string()),
        Err(NoProof::OutOfRange) => Err(Failure::new(format!(
            "there is no event {index} under the log's newest checkpoint, which covers {size}"
        ))),
        Err(NoProof::Nodes(error)) => Err(error.into()),
    }
}

/// Reads a stored checkpoint.
fn read_checkpoint(
    objects: &FileObjects,
    name: &str,
) -> Result<Option<(Note, Checkpoint)>, Failure> {
    let Some(object) = objects.get(name)? else { return Ok(None) };
    let read = Note::parse(&object.bytes).and_then(|note| {
        let checkpoint = Checkpoint::parse(note.text())?;
        Ok((note, checkpoint))
    });
    read.map(Some).map_err(|why| Failure::new(format!("{name}: {why}")))
}
