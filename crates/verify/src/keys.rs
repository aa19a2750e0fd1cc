//! Pinned keys, and signatures of checkpoints.

use std::fmt;

use tlog::{Checkpoint, Kind, Note, Verifier};

use crate::error::{VerifyError, malformed, refuted};

/// The keys whose signatures count.
pub struct Keys {
    /// Keys of the log; one of them must have signed.
    pub log: Vec<Verifier>,
    /// Keys of witnesses; each must have cosigned.
    pub witnesses: Vec<Verifier>,
}

impl Keys {
    /// Reads verifier keys in the form of golang.org/x/mod/sumdb/note. The error names the key.
    pub fn parse(log: &[String], witnesses: &[String]) -> Result<Keys, String> {
        let parsed = |texts: &[String], kind: Kind| {
            let parse = |text: &String| match Verifier::parse(text.trim()) {
                Ok(key) if key.kind() == kind => Ok(key),
                Ok(_) if kind == Kind::Note => {
                    Err(format!("{text:?} is the key of a witness, not of a log"))
                }
                Ok(_) => Err(format!("{text:?} is the key of a log, not of a witness")),
                Err(why) => Err(format!("{text:?}: {why}")),
            };
            texts.iter().map(parse).collect::<Result<Vec<_>, _>>()
        };
        Ok(Keys { log: parsed(log, Kind::Note)?, witnesses: parsed(witnesses, Kind::Cosignature)? })
    }

    /// The keys of the log alone.
    pub fn of_log(&self) -> Keys {
        Keys { log: self.log.clone(), witnesses: Vec::new() }
    }

    /// The checkpoint of a note that the log and every witness signed.
    pub fn open(&self, bytes: &[u8]) -> Result<Checkpoint, VerifyError> {
        self.open_note(&parse_note(bytes)?)
    }

    pub(crate) fn open_note(&self, note: &Note) -> Result<Checkpoint, VerifyError> {
        let checkpoint = self.first_of_log(|key| Checkpoint::open(note, key))?;
        for witness in &self.witnesses {
            match note.verify(witness) {
                Ok(Some(_)) => {}
                Ok(None) => {
                    return refuted(format!("{} has not cosigned the checkpoint", witness.name()));
                }
                Err(why) => return refuted(format!("{}: {why}", witness.name())),
            }
        }
        Ok(checkpoint)
    }

    /// The result of the first key of the log that `open` accepts, or the last key's error.
    pub(crate) fn first_of_log<T, E: fmt::Display>(
        &self,
        open: impl Fn(&Verifier) -> Result<T, E>,
    ) -> Result<T, VerifyError> {
        let mut why = "no key of a log was given".to_owned();
        for key in &self.log {
            match open(key) {
                Ok(found) => return Ok(found),
                Err(error) => why = error.to_string(),
            }
        }
        refuted(why)
    }
}

/// Reads a signed note; nothing of it is verified.
pub(crate) fn parse_note(bytes: &[u8]) -> Result<Note, VerifyError> {
    Note::parse(bytes).map_err(malformed)
}
