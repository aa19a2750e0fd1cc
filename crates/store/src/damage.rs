//! The damage that reads of an open log have met, for those who watch it.
//!
//! A segment whose bytes do not read back does not stop the log: what needs it is an error, all
//! else goes on. Nobody would notice an old one for months, so every such error is noted here.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;

use crate::disk::layout::SEGMENTS;
use crate::error::Error;

/// A file of a log with bytes that do not read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedFile {
    /// The file, relative to the data directory.
    pub file: String,
    /// Offset of the first byte that was found not to read back.
    pub offset: u64,
    /// The expectation that the bytes do not meet.
    pub what: String,
    /// Indexes of the events that the file is about, if it is of a segment.
    pub events: Option<Range<u64>>,
}

/// Files found damaged, the first finding of each.
#[derive(Default)]
pub(crate) struct Damages(Mutex<BTreeMap<String, DamagedFile>>);

impl Damages {
    /// Notes the file that the error names, if it is damage.
    pub fn note(&self, error: &Error) {
        let (file, offset, what) = match error {
            Error::Damage { file, offset, what } => (file.clone(), *offset, what.clone()),
            // Such a medium error names its file behind the verb.
            Error::Io { doing, cause } if error.is_unreadable() => {
                let file = doing.rsplit(' ').next().unwrap_or_default().to_owned();
                (file, 0, cause.to_string())
            }
            _ => return,
        };
        let events = events_of(&file);
        let mut files = self.0.lock().expect("no panic while held");
        files.entry(file.clone()).or_insert(DamagedFile { file, offset, what, events });
    }

    /// The files found so far, in order of their names.
    pub fn files(&self) -> Vec<DamagedFile> {
        self.0.lock().expect("no panic while held").values().cloned().collect()
    }

    /// Whether a file of the segment that begins with this event was found damaged.
    pub fn has_segment(&self, first: u64) -> bool {
        let files = self.0.lock().expect("no panic while held");
        files.values().any(|one| one.events.as_ref().is_some_and(|events| events.start == first))
    }
}

/// The events of a segment, by the name of one of its files.
fn events_of(file: &str) -> Option<Range<u64>> {
    let name = file.strip_prefix(SEGMENTS)?.strip_prefix('/')?.split('.').next()?;
    let (first, events) = name.split_once('-')?;
    let first: u64 = first.parse().ok()?;
    Some(first..first.checked_add(events.parse().ok()?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_finding_of_each_file_is_held_with_its_events() {
        let damages = Damages::default();
        let index = "segments/00000000000000000005-0000000010.index";
        damages.note(&Error::damage(index, 7, "a block has another checksum"));
        damages.note(&Error::damage(index, 9, "another"));
        damages.note(&Error::damage("tree/digests", 3, "another hash"));
        damages.note(&Error::Overloaded);
        let medium = std::io::Error::from_raw_os_error(crate::error::EIO);
        damages.note(&Error::io("read segments/00000000000000000015-0000000001.index")(medium));
        let files = damages.files();
        let found: Vec<_> = files.iter().map(|one| (one.offset, one.events.clone())).collect();
        assert_eq!(found, [(7, Some(5..15)), (0, Some(15..16)), (3, None)]);
        assert_eq!([5, 6, 15].map(|first| damages.has_segment(first)), [true, false, true]);
    }
}
