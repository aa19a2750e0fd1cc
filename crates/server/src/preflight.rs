//! What a start needs beside the log's events, read as a start reads it. Nothing is changed, and a
//! server may run meanwhile.

use std::path::Path;
use std::sync::Arc;

use event::Trail;
use intake::follow::state::FollowState;
use intake::monitor::source_monitor;
use intake::retried;
use store::durable::{Disk, Local};
use store::{
    CHECKPOINT, CONFIG_RECORDED, Contents, DEAD_LETTERS_RETRIED, FileObjects, Objects,
    SOURCE_STATES, WITNESSED,
};
use tlog::Note;

use crate::evidence::{self, GuardCheck, Notes};
use crate::failure::{Exit, Failure};

/// The folder of the states of followed files.
const FOLLOWED: &str = "followed";

/// Checks keys, rights, recorded settings, states of sources and files, and the checkpoints in the
/// data directory and in the guard. Damage ends with its exit code and names every file.
pub fn check(data_dir: &Path, guard: &Path, own: &Trail) -> Result<GuardCheck, Failure> {
    let disk: Arc<dyn Disk> = Arc::new(Local::open(data_dir));
    // Before the log, so that the log is not older than its checkpoints.
    let notes = Notes::read(&disk, guard).map_err(Failure::new)?;
    let log = Contents::read(&disk)?;
    let objects = FileObjects::new(Arc::clone(&disk));
    let mut damage = Vec::new();
    let mut found = |checked: Result<(), String>| damage.extend(checked.err());
    found(evidence::keys::check(data_dir, &log.identity().origin));
    found(access::Access::check(data_dir, own));
    found(object(&objects, CONFIG_RECORDED, &|bytes| {
        let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
        text.parse::<toml::Table>().map(drop).map_err(|error| error.message().to_owned())
    }));
    for name in [CHECKPOINT, WITNESSED] {
        found(object(&objects, name, &|bytes| {
            Note::parse(bytes).map(drop).map_err(|why| why.to_string())
        }));
    }
    found(object(&objects, SOURCE_STATES, &source_monitor::check));
    found(object(&objects, DEAD_LETTERS_RETRIED, &retried::check));
    for name in disk.list(FOLLOWED).unwrap_or_default() {
        if name.ends_with(".json") {
            let parse = |bytes: &[u8]| FollowState::parse(bytes).map(drop);
            found(object(&objects, &format!("{FOLLOWED}/{name}"), &parse));
        }
    }
    if !damage.is_empty() {
        return Err(Failure { exit: Exit::Damage, text: damage.join("\n") });
    }
    notes.compare(data_dir, &log)
}

/// Checks an object, if there is one.
fn object(
    objects: &FileObjects,
    name: &str,
    check: &dyn Fn(&[u8]) -> Result<(), String>,
) -> Result<(), String> {
    let found = objects.get(name).map_err(|error| error.to_string())?;
    let checked = found.map_or(Ok(()), |object| check(&object.bytes));
    checked.map_err(|why| format!("damage in {name}: {why}"))
}
