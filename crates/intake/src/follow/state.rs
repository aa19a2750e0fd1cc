//! State of a source's files, stored in the data directory: a restart continues where the last
//! process ended.
//!
//! - A file has its id here before its first byte is recorded. A line read twice therefore has the
//!   same key twice.
//! - A position is here only once the events before it are durable.
//! - A writer must have read the newest version ([`store::Objects`]). A server that follows and
//!   `daybook import` write the same object, and each adopts the state of the other.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::content::{FileIdentity, FileVersion};
use super::prefix::{Head, Mark};

/// Version of the file format.
const VERSION: u32 = 1;
/// Most known files of one source; each takes about 700 bytes. Files that are gone are forgotten
/// first. No further file is read while the limit is reached.
pub const FILES_MAX: usize = 10_000;
/// A file is forgotten this long after it is gone. A copy found later counts as a new file.
pub const FORGOTTEN_AFTER_S: i64 = 30 * 24 * 60 * 60;

/// State of all files of a source, in reading order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FollowState {
    version: u32,
    /// Whether a server has scanned for files before. Files it finds afterwards are new.
    pub is_followed: bool,
    pub files: Vec<Entry>,
}

/// State of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Unique id, 16 hex digits. It never changes.
    pub id: String,
    /// Name at the first sighting, without folders.
    pub name: String,
    /// Path of the last sighting.
    pub path: PathBuf,
    /// `None` once the file is gone or was emptied; a copy of it may still be found. `spot` is the
    /// name in format 1.
    #[serde(rename = "spot")]
    pub identity: Option<FileIdentity>,
    /// `stamp` is the name in format 1.
    #[serde(rename = "stamp")]
    pub version: FileVersion,
    pub is_compressed: bool,
    pub head: Head,
    /// All bytes before it are recorded.
    pub mark: Mark,
    /// Set while the mark lies within a record that is too long. Bytes from here to the end of its
    /// line are not recorded.
    pub skipping_from: Option<u64>,
    /// Largest size seen.
    pub seen: u64,
    /// Whether the file was read to its end and no more bytes are expected.
    pub is_finished: bool,
    /// Whether it is compressed and its rest cannot be decompressed. Absent in earlier versions.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_broken: bool,
    /// Whether the server follows it; false if only `daybook import` reads it.
    pub is_followed: bool,
    /// Time of the last sighting, in seconds since the epoch.
    pub seen_at: i64,
}

impl Entry {
    /// Value of the attribute `log_file`. It stays the same when the file is renamed.
    pub fn log_file(&self) -> String {
        format!("{}-{}", self.name, self.id)
    }
}

impl FollowState {
    pub fn of(files: Vec<Entry>, is_followed: bool) -> FollowState {
        FollowState { version: VERSION, is_followed, files }
    }

    pub fn parse(bytes: &[u8]) -> Result<FollowState, String> {
        let known: FollowState =
            serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        match known.version {
            VERSION => Ok(known),
            other => Err(format!("its version is {other}, and this program knows {VERSION}")),
        }
    }

    pub fn render(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and numbers")
    }
}

#[cfg(test)]
mod tests {
    use super::super::prefix::Prefix;
    use super::*;

    #[test]
    fn a_written_state_reads_back() {
        let mut prefix = Prefix::default();
        prefix.push(b"one\n");
        let entry = Entry {
            id: "00112233445566778".to_owned(),
            name: "a.log".to_owned(),
            path: "/var/log/a.log.1".into(),
            identity: Some(FileIdentity { device: 1, inode: 2, born_ns: 3 }),
            version: FileVersion { size: 4, modified_ns: 5 },
            is_compressed: false,
            head: Head::of(b"one\n"),
            mark: prefix.mark(),
            skipping_from: None,
            seen: 4,
            is_finished: true,
            is_broken: false,
            is_followed: true,
            seen_at: 6,
        };
        let known = FollowState::of(vec![entry], true);
        assert_eq!(FollowState::parse(&known.render()), Ok(known.clone()));
        assert!(known.render().len() < 800, "the size assumed by FILES_MAX");
        let rendered = String::from_utf8(known.render()).expect("JSON");
        assert!(
            rendered.contains("\"spot\":{\"device\":1,")
                && rendered.contains("\"stamp\":{\"size\":4,")
        );
        let newer = String::from_utf8(known.render())
            .expect("JSON")
            .replace("\"version\":1", "\"version\":2");
        assert!(FollowState::parse(newer.as_bytes()).expect_err("newer").contains("version is 2"));
        FollowState::parse(b"{}").expect_err("empty");
    }
}
