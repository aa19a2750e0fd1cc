//! The identity of a log: the `LOG` file, which [`init`](crate::init) writes once.

use std::sync::Arc;

use event::Time;
use serde::{Deserialize, Serialize};

use crate::disk::durable;
use crate::disk::durable::Disk;
use crate::disk::layout::LOG;
use crate::disk::objects::{FileObjects, Objects};
use crate::error::Error;

/// Version of the format of a data directory.
const FORMAT: u32 = 1;

/// Distinguishes one log from all others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The log's name in checkpoints and proofs: a schema-less URL such as
    /// `audit.example.com/daybook`.
    pub origin: String,
    /// When the log was made.
    pub created_at: Time,
    /// Random bytes that enter every frame checksum, so that no sender can forge a frame inside an
    /// event.
    pub salt: [u8; 16],
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    magic: String,
    format: u32,
    origin: String,
    created_at: String,
    salt: String,
    crc32c: u32,
}

const MAGIC: &str = "daybook log";

impl Wire {
    fn checksum(&self) -> u32 {
        let covered =
            [&self.magic, &self.format.to_string(), &self.origin, &self.created_at, &self.salt];
        covered.into_iter().fold(0, |crc, part| {
            crc32c::crc32c_append(crc32c::crc32c_append(crc, part.as_bytes()), b"\n")
        })
    }
}

/// Reads the identity. Errs with [`Error::NotALog`] where there is none.
pub(crate) fn read(disk: &Arc<dyn Disk>) -> Result<Identity, Error> {
    let not_a_log =
        |found: &str| Error::NotALog { location: disk.location(), found: found.to_owned() };
    let names = match disk.list("") {
        Ok(names) => names,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
            return Err(not_a_log("it does not exist"));
        }
        Err(cause) => return Err(Error::Io { doing: format!("list {}", disk.location()), cause }),
    };
    if names.is_empty() {
        return Err(not_a_log("it is empty"));
    }
    let Some(object) = FileObjects::new(Arc::clone(disk)).get(LOG)? else {
        return Err(not_a_log("it holds no file named LOG"));
    };
    let wire: Wire = serde_json::from_slice(&object.bytes)
        .map_err(|error| Error::damage(LOG, 0, error.to_string()))?;
    if wire.magic != MAGIC {
        return Err(Error::damage(LOG, 0, "the magic is not that of a log"));
    }
    if wire.format != FORMAT {
        return Err(not_a_log(&format!(
            "it has format {}, and this version reads format {FORMAT}",
            wire.format
        )));
    }
    if wire.crc32c != wire.checksum() {
        return Err(Error::damage(LOG, 0, "the checksum differs"));
    }
    let identity = || {
        let mut salt = [0; 16];
        hex::decode_to_slice(&wire.salt, &mut salt).ok()?;
        let (created_at, _) = Time::parse_rfc3339(&wire.created_at).ok()?;
        Some(Identity { origin: wire.origin.clone(), created_at, salt })
    };
    identity().ok_or_else(|| Error::damage(LOG, 0, "a member does not have its form"))
}

/// Writes the identity, durably; that makes the directory a log.
pub(crate) fn write(disk: &dyn Disk, identity: &Identity) -> Result<(), Error> {
    let mut wire = Wire {
        magic: MAGIC.to_owned(),
        format: FORMAT,
        origin: identity.origin.clone(),
        created_at: identity.created_at.to_string(),
        salt: hex::encode(identity.salt),
        crc32c: 0,
    };
    wire.crc32c = wire.checksum();
    let mut text = serde_json::to_vec_pretty(&wire).expect("texts and integers always serialise");
    text.push(b'\n');
    durable::write_file(disk, LOG, &text).map_err(Error::io(format!("write {LOG}")))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::simulated::SimulatedDisk;

    fn identity() -> Identity {
        let origin = "test.example/log".to_owned();
        Identity { origin, created_at: Time::from_unix_ns(1_500_000_000), salt: [7; 16] }
    }

    #[test]
    fn an_identity_is_read_back() {
        let disk = SimulatedDisk::new(1);
        write(&disk, &identity()).expect("room");
        let disk: Arc<dyn Disk> = Arc::new(disk);
        assert_eq!(read(&disk).expect("whole"), identity());
    }

    #[test]
    fn a_changed_member_is_damage_and_another_format_is_no_log() {
        for (from, to, is_damage) in [
            ("test.example", "best.example", true),
            ("daybook log", "another log", true),
            ("\"format\": 1", "\"format\": 2", false),
        ] {
            let disk = SimulatedDisk::new(1);
            write(&disk, &identity()).expect("room");
            let bytes = durable::read_file(&disk, LOG).expect("there");
            let text = String::from_utf8(bytes).expect("JSON").replace(from, to);
            durable::write_file(&disk, LOG, text.as_bytes()).expect("room");
            let disk: Arc<dyn Disk> = Arc::new(disk);
            match read(&disk) {
                Err(Error::Damage { .. }) => assert!(is_damage, "{to}"),
                Err(Error::NotALog { .. }) => assert!(!is_damage, "{to}"),
                other => panic!("{to}: {other:?}"),
            }
        }
    }
}
