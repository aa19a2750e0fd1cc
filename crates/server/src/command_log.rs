//! Commands that read a data directory without its server. Each announces itself in a file of the
//! directory before it reads; the server records the file's lines, and the next start those of
//! before. A copy of a directory is evidence and stays as it is: it has no server that would record
//! anything.

use std::path::Path;
use std::sync::Arc;

use event::{Class, Operation};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use store::durable::Local;
use store::{COMMANDS, FileObjects, Objects, SERVED};

use access::Author;
use intake::audit::{Act, OwnAudit, Who};

const FUNCTION: &str = "Command";
/// Most attempts to announce while others do at the same moment.
const ATTEMPTS_MAX: usize = 20;
/// Most bytes of commands that wait for a server; each waits with at most a few hundred.
const WAITING_BYTES_MAX: usize = 4 << 20;
/// Bytes of a command line that are recorded.
const LINE_BYTES_MAX: usize = 512;

/// A command as it waits to be recorded.
#[derive(Serialize, Deserialize)]
struct Command {
    /// Random, so that a line is recorded once.
    id: String,
    at: String,
    /// `search`, `export`, …
    command: String,
    /// The command line, or its beginning.
    line: String,
    user: String,
    uid: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sudo_user: Option<String>,
}

/// Notes that this directory, and no copy of it, is the one that is served.
pub fn mark_served(objects: &FileObjects, data_dir: &Path) -> Result<(), String> {
    let text = inode(data_dir).map_err(|error| error.to_string())?;
    let seen = objects.get(SERVED).map_err(|error| error.to_string())?;
    if seen.as_ref().is_some_and(|object| object.bytes == text.as_bytes()) {
        return Ok(());
    }
    objects
        .replace(SERVED, text.as_bytes(), seen.map(|object| object.version))
        .map(drop)
        .map_err(|error| error.to_string())
}

/// The text of the file with the inode of a directory.
fn inode(data_dir: &Path) -> std::io::Result<String> {
    use std::os::unix::fs::MetadataExt;
    Ok(format!("{}\n", std::fs::metadata(data_dir)?.ino()))
}

/// Adds a command to those that the server is to record. When this returns, the line is durable.
pub fn announce(data_dir: &Path, command: &str, line: &str, author: &Author) -> Result<(), String> {
    let command = Command {
        id: system::random_hex::<16>(),
        at: system::now().to_string(),
        command: command.to_owned(),
        line: line[..line.floor_char_boundary(LINE_BYTES_MAX)].to_owned(),
        user: author.name.clone(),
        uid: author.uid,
        sudo_user: author.sudo_user.clone(),
    };
    let added = serde_json::to_string(&command).map_err(|error| error.to_string())? + "\n";
    let objects = FileObjects::new(Arc::new(Local::open(data_dir)));
    let served = objects.get(SERVED).map_err(|error| error.to_string())?;
    let here = inode(data_dir).map_err(|error| error.to_string())?;
    if served.is_none_or(|object| object.bytes != here.as_bytes()) {
        return Err("no server has served it, as if it were a copy".to_owned());
    }
    for _ in 0..ATTEMPTS_MAX {
        let seen = objects.get(COMMANDS).map_err(|error| error.to_string())?;
        let (mut bytes, version) =
            seen.map_or((Vec::new(), None), |object| (object.bytes, Some(object.version)));
        if bytes.len() > WAITING_BYTES_MAX {
            return Err(format!("{COMMANDS} is full; start the server, which empties it"));
        }
        bytes.extend_from_slice(added.as_bytes());
        match objects.replace(COMMANDS, &bytes, version) {
            Err(store::Error::Changed { .. }) => {}
            Err(error) => return Err(error.to_string()),
            Ok(_) => return give_to_owner(data_dir).map_err(|error| error.to_string()),
        }
    }
    Err("other commands keep announcing themselves; try again".to_owned())
}

/// Gives the files that root made to the owner of the directory, whose server must read them.
fn give_to_owner(data_dir: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::{MetadataExt, chown};
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let owner = std::fs::metadata(data_dir)?;
    for name in [COMMANDS.to_owned(), format!("{COMMANDS}.lock")] {
        chown(data_dir.join(name), Some(owner.uid()), Some(owner.gid()))?;
    }
    Ok(())
}

/// Records the commands that wait, and empties their file.
pub fn record(objects: &FileObjects, audit: &OwnAudit) -> Result<(), String> {
    let seen = objects.get(COMMANDS).map_err(|error| error.to_string())?;
    let Some(object) = seen.filter(|object| !object.bytes.is_empty()) else { return Ok(()) };
    let text = String::from_utf8_lossy(&object.bytes);
    audit.record_all_now(text.lines().map(act_of).collect())?;
    match objects.replace(COMMANDS, b"", Some(object.version)) {
        // A command announced itself meanwhile. The lines before are recorded once, by their keys.
        Ok(_) | Err(store::Error::Changed { .. }) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// An act of the author of a command. The name that `sudo` claims is marked as a claim.
pub fn by_author(act: Act, author: &Author) -> Act {
    let act = match &author.sudo_user {
        Some(sudo_user) => act.with("claimed_sudo_user", sudo_user),
        None => act,
    };
    let id = author.uid.map(|uid| format!("uid:{uid}"));
    act.by(Who { id, name: Some(author.name.clone()), ..Who::default() })
}

fn act_of(line: &str) -> Act {
    let Ok(command) = serde_json::from_str::<Command>(line) else {
        let act = Act::new("command.unreadable", Operation::Other, FUNCTION)
            .on("file", COMMANDS)
            .with("line", line);
        return Act { key: Some(hex::encode(Sha256::digest(line))), ..act };
    };
    let act = Act::new(format!("command.{}", command.command), Operation::Read, FUNCTION)
        .on("data directory", "daybook")
        .with("request", command.line)
        .with("at", command.at);
    let author = Author { name: command.user, uid: command.uid, sudo_user: command.sudo_user };
    let act = by_author(act, &author);
    let description = "a command read the data directory without its server";
    Act {
        class: Class::Operation,
        description: Some(description.to_owned()),
        key: Some(format!("command {}", command.id)),
        ..act
    }
}
