//! The keys that sign a log, in `keys/log.key`: one a line, oldest first. Each signs every
//! checkpoint, so an older pinned key works while a newer one is published. A line is a private key
//! in the form of golang.org/x/mod/sumdb/note. Its identifier byte names the algorithm: another
//! algorithm, such as the ML-DSA-44 of C2SP signed-note, has another byte and a signature line that
//! older verifiers ignore.

use std::path::Path;
use std::sync::Arc;

use store::durable::Local;
use store::{FileObjects, LOG_KEY, Object, Objects};
use tlog::{Kind, Note, Signer, Verifier};

use access::check_private;

/// The most keys of a log.
pub const KEYS_MAX: usize = 4;

/// A new key for a log of this origin.
fn new(origin: &str, seed: &[u8; 32]) -> Result<Signer, String> {
    Signer::new(origin, Kind::Note, seed).map_err(|why| why.to_string())
}

/// The key file of a new log.
pub fn first(origin: &str, seed: &[u8; 32]) -> Result<Vec<u8>, String> {
    Ok(text_of(&[new(origin, seed)?]))
}

fn text_of(signers: &[Signer]) -> Vec<u8> {
    signers.iter().flat_map(|signer| format!("{}\n", signer.private_text()).into_bytes()).collect()
}

/// Reads the file. All keys have the same name, the log's origin.
pub fn parse(bytes: &[u8]) -> Result<Vec<Signer>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| format!("{LOG_KEY} is not UTF-8"))?;
    let parse = |line: &str| Signer::parse(line).map_err(|why| format!("{LOG_KEY}: {why}"));
    let signers = text.lines().map(parse).collect::<Result<Vec<_>, _>>()?;
    let name = |signer: &Signer| signer.verifier().name().to_owned();
    if signers.is_empty() || signers.len() > KEYS_MAX {
        return Err(format!("{LOG_KEY} has {} keys; a log has 1 to {KEYS_MAX}", signers.len()));
    }
    if signers
        .iter()
        .any(|signer| name(signer) != name(&signers[0]) || signer.verifier().kind() != Kind::Note)
    {
        return Err(format!("{LOG_KEY} has keys of several logs, or of a witness"));
    }
    Ok(signers)
}

/// The objects of a data directory, and its key file.
fn key_file(data_dir: &Path) -> Result<(FileObjects, Object), String> {
    check_private(&data_dir.join(LOG_KEY))?;
    let objects = FileObjects::new(Arc::new(Local::open(data_dir)));
    let found = objects.get(LOG_KEY).map_err(|error| error.to_string())?;
    let object =
        found.ok_or_else(|| format!("{} is not there", data_dir.join(LOG_KEY).display()))?;
    Ok((objects, object))
}

/// The keys of the log in a data directory.
pub fn read(data_dir: &Path) -> Result<Vec<Signer>, String> {
    parse(&key_file(data_dir)?.1.bytes)
}

/// Checks that the keys of a data directory are those of the log of this origin.
pub fn check(data_dir: &Path, origin: &str) -> Result<(), String> {
    let signers = read(data_dir).map_err(|why| format!("damage in {LOG_KEY}: {why}"))?;
    match signers[0].verifier().name() {
        name if name == origin => Ok(()),
        name => Err(format!("damage in {LOG_KEY}: it is the key of {name}, not of {origin}")),
    }
}

/// Adds a key. The server uses and records it within a second, or at its next start.
pub fn rotate(data_dir: &Path, seed: &[u8; 32]) -> Result<Verifier, String> {
    let (objects, object) = key_file(data_dir)?;
    let mut signers = parse(&object.bytes)?;
    if signers.len() == KEYS_MAX {
        return Err(format!(
            "the log has {KEYS_MAX} keys already; retire one with `daybook key retire`"
        ));
    }
    let signer = new(signers[0].verifier().name(), seed)?;
    let verifier = signer.verifier().clone();
    signers.push(signer);
    replace(&objects, &signers, object)?;
    Ok(verifier)
}

/// Removes the key with this hash, eight hex digits as in the verifier key. Another key must have
/// signed the newest checkpoint: by its signature the next start recognises that key.
pub fn retire(data_dir: &Path, hash: &str) -> Result<Verifier, String> {
    let (objects, object) = key_file(data_dir)?;
    let mut signers = parse(&object.bytes)?;
    let has_hash = |signer: &Signer| format!("{:08x}", signer.verifier().key_id()) == hash;
    let position = signers.iter().position(has_hash).ok_or_else(|| {
        format!("no key of the log has the hash {hash:?}; see `daybook key show`")
    })?;
    let retired = signers.remove(position).verifier().clone();
    let newest = objects.get(store::CHECKPOINT).map_err(|error| error.to_string())?;
    let newest = newest.and_then(|object| Note::parse(&object.bytes).ok());
    let has_signed = |signer: &Signer| {
        newest.as_ref().is_some_and(|note| matches!(note.verify(signer.verifier()), Ok(Some(_))))
    };
    if !signers.iter().any(has_signed) {
        return Err(
            "no other key has signed the newest checkpoint; add one with `daybook key rotate` and let the server run"
                .to_owned(),
        );
    }
    replace(&objects, &signers, object)?;
    Ok(retired)
}

fn replace(objects: &FileObjects, signers: &[Signer], seen: Object) -> Result<(), String> {
    objects
        .replace(LOG_KEY, &text_of(signers), Some(seen.version))
        .map(drop)
        .map_err(|error| error.to_string())
}
