//! What is known of a source's files: kept in the data directory, so that a start goes on where the
//! last one ended.
//!
//! - A file has its id here before its first byte is recorded, so that a line read twice has the
//!   same key twice.
//! - A position is here only once the events before it are durable.
//! - Whoever writes has read the newest version ([`store::Objects`]): a server that follows and
//!   `daybook import` write the same object, and each takes over what the other knows.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::content::{Spot, Stamp};
use super::prefix::{Head, Mark};

/// Version of the form.
const VERSION: u32 = 1;
/// Most files of one source that are known at a time; about 700 bytes each. Those that are gone are
/// forgotten first, and while there are so many, no further ones are read.
pub const FILES_MAX: usize = 10_000;
/// What is gone for so long is forgotten: a copy of it that comes to light later is a new file.
pub const FORGOTTEN_AFTER_S: i64 = 30 * 24 * 60 * 60;

/// Everything known of a source's files, in the order in which they are read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    version: u32,
    /// Whether a server has looked for files already: what it finds from then on is new.
    pub is_followed: bool,
    pub files: Vec<Entry>,
}

/// What is known of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// What tells it from every other file, for good: 16 hex digits.
    pub id: String,
    /// The name under which it was found first, without folders.
    pub name: String,
    /// Where it was found last.
    pub path: PathBuf,
    /// Which file it is; `None` for one that is gone or was emptied, of which a copy may come to
    /// light.
    pub spot: Option<Spot>,
    pub stamp: Stamp,
    pub is_compressed: bool,
    pub head: Head,
    /// Everything before it is recorded.
    pub mark: Mark,
    /// A record that is too long began before the mark and goes on behind it; what follows is not
    /// recorded from here on to the end of its line.
    pub skipping_from: Option<u64>,
    /// Most bytes that the file was seen to have.
    pub seen: u64,
    /// Whether it was read to its end, and nothing is expected to follow.
    pub is_finished: bool,
    /// Whether the server follows it, and not `daybook import` alone.
    pub is_followed: bool,
    /// When it was seen last, in seconds since the epoch.
    pub seen_at: i64,
}

impl Entry {
    /// What the attribute `log_file` says: a name that stays when the file is renamed.
    pub fn log_file(&self) -> String {
        format!("{}-{}", self.name, self.id)
    }
}

impl Known {
    pub fn of(files: Vec<Entry>, is_followed: bool) -> Known {
        Known { version: VERSION, is_followed, files }
    }

    pub fn parse(bytes: &[u8]) -> Result<Known, String> {
        let known: Known = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
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
    fn what_is_written_reads_back() {
        let mut prefix = Prefix::default();
        prefix.push(b"one\n");
        let entry = Entry {
            id: "00112233445566778".to_owned(),
            name: "a.log".to_owned(),
            path: "/var/log/a.log.1".into(),
            spot: Some(Spot { device: 1, inode: 2, born_ns: 3 }),
            stamp: Stamp { size: 4, modified_ns: 5 },
            is_compressed: false,
            head: Head::of(b"one\n"),
            mark: prefix.mark(),
            skipping_from: None,
            seen: 4,
            is_finished: true,
            is_followed: true,
            seen_at: 6,
        };
        let known = Known::of(vec![entry], true);
        assert_eq!(Known::parse(&known.render()), Ok(known.clone()));
        assert!(known.render().len() < 800, "the size that FILES_MAX is reckoned with");
        let newer = String::from_utf8(known.render())
            .expect("JSON")
            .replace("\"version\":1", "\"version\":2");
        assert!(Known::parse(newer.as_bytes()).expect_err("newer").contains("version is 2"));
        Known::parse(b"{}").expect_err("empty");
    }
}
