//! The manifest: the list of segments, and the state of the log at the last flush.
//!
//! It is one JSON object, replaced whole and durably. Segments that it does not name are not part
//! of the log.

use event::Time;
use serde::{Deserialize, Serialize};
use tlog::{Hash, Tree};

use crate::disk::durable;
use crate::disk::durable::Disk;
use crate::disk::objects::{Objects, Version};
use crate::error::Error;
use crate::journal::scan::Start;
use crate::read::audit_files::OpenFile;
use crate::segment::meta::SegmentSummary;

pub(crate) const MANIFEST: &str = "manifest";
const FORMAT: u32 = 1;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    format: u32,
    /// Oldest first; each begins where the one before ends.
    pub segments: Vec<SegmentEntry>,
    #[serde(rename = "sealed")] // the name in format 1
    pub flushed: FlushPoint,
    /// CRC-32C of the object with 0 here, as it is written.
    crc32c: u32,
}

/// A segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SegmentEntry {
    /// Index of its first event.
    pub first: u64,
    pub events: u64,
    /// Lengths of its files.
    pub table_bytes: u64,
    pub index_bytes: u64,
    /// SHA-256 of the table, in hex. The index has checksums of its own.
    pub table_sha256: String,
    /// The earliest and the latest time of an event, in nanoseconds: which questions do without the
    /// segment if neither of its files reads back. Manifests of the first versions lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times_ns: Option<[i64; 2]>,
}

/// The state of the log at a flush.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FlushPoint {
    /// Events in segments; also the index of the first that is in none.
    pub events: u64,
    /// Batches that the journal need not have any more.
    pub batches: u64,
    /// Dead letters in `set-aside/`.
    #[serde(rename = "set_aside")] // the name in format 1
    pub dead_letters: u64,
    /// When the last event was received, in nanoseconds since 1970.
    pub received_at_ns: Option<i64>,
    /// Roots of the complete subtrees of the tree over the events, largest first, in hex.
    pub tree: Vec<String>,
    /// Audit log files that are not finished.
    pub open_files: Vec<OpenFile>,
}

impl SegmentEntry {
    /// A segment whose files are not written yet.
    pub fn new(first: u64, events: u64) -> SegmentEntry {
        SegmentEntry {
            first,
            events,
            table_bytes: 0,
            index_bytes: 0,
            table_sha256: String::new(),
            times_ns: None,
        }
    }

    /// Takes the lengths and the hash of its written files.
    pub fn take(&mut self, written: &SegmentSummary) {
        (self.table_bytes, self.index_bytes) = (written.table_bytes, written.index_bytes);
        self.table_sha256 = hex::encode(written.table_sha256);
        self.times_ns = Some(written.times_ns);
    }

    /// Its table and its index.
    pub fn files(&self) -> [String; 2] {
        ["parquet", "index"].map(|suffix| format!("{}.{suffix}", self.name()))
    }

    /// The path of its files without suffix.
    pub fn name(&self) -> String {
        format!("segments/{:020}-{:010}", self.first, self.events)
    }
}

impl FlushPoint {
    /// The tree over the flushed events. `None` when the roots do not fit their number.
    pub fn tree(&self) -> Option<Tree> {
        let roots: Vec<Hash> =
            self.tree.iter().map(|text| hash_from_hex(text)).collect::<Option<_>>()?;
        Tree::with_frontier(self.events, roots)
    }

    /// The roots as hex, for [`FlushPoint::tree`].
    pub fn roots_of(tree: &Tree) -> Vec<String> {
        tree.frontier().iter().map(hex::encode).collect()
    }

    pub fn received_at(&self) -> Option<Time> {
        self.received_at_ns.map(Time::from_unix_ns)
    }
}

impl Manifest {
    pub fn new(segments: Vec<SegmentEntry>, flushed: FlushPoint) -> Manifest {
        Manifest { format: FORMAT, segments, flushed, crc32c: 0 }
    }

    /// Start of the needed part of the journal.
    pub fn start(&self) -> Start {
        Start { batch: self.flushed.batches, index: self.flushed.events }
    }

    fn checksum(&self) -> u32 {
        crc32c::crc32c(
            &serde_json::to_vec(&Manifest { crc32c: 0, ..self.clone() })
                .expect("texts and numbers"),
        )
    }

    /// Writes the manifest again as it was read. The caller must be the only writer.
    pub fn write_again(mut self, disk: &dyn Disk) -> Result<Version, Error> {
        self.crc32c = self.checksum();
        let bytes = serde_json::to_vec(&self).expect("texts and numbers");
        durable::write_file(disk, MANIFEST, &bytes)
            .map_err(Error::io(format!("write {MANIFEST}")))?;
        Ok(Version::of(&bytes))
    }

    /// Replaces the manifest that was read, durably.
    pub fn write(mut self, objects: &dyn Objects, seen: Option<Version>) -> Result<Version, Error> {
        self.crc32c = self.checksum();
        let bytes = serde_json::to_vec(&self).expect("texts and numbers");
        objects.replace(MANIFEST, &bytes, seen)
    }
}

/// The manifest, or that of a log without flushed events.
pub(crate) fn read(objects: &dyn Objects) -> Result<(Manifest, Option<Version>), Error> {
    let Some(object) = objects.get(MANIFEST)? else {
        return Ok((Manifest::new(Vec::new(), FlushPoint::default()), None));
    };
    let damage = |what: &str| Error::damage(MANIFEST, 0, what);
    let manifest: Manifest =
        serde_json::from_slice(&object.bytes).map_err(|error| damage(&error.to_string()))?;
    if manifest.format != FORMAT {
        return Err(damage(&format!(
            "it has format {}, and this version reads format {FORMAT}",
            manifest.format
        )));
    }
    if manifest.crc32c != manifest.checksum() {
        return Err(damage("the checksum differs"));
    }
    let mut end = 0;
    for segment in &manifest.segments {
        if segment.first != end {
            return Err(damage("the segments do not follow each other"));
        }
        end += segment.events;
    }
    if end != manifest.flushed.events || manifest.flushed.tree().is_none() {
        return Err(damage("its flush point differs from its segments"));
    }
    Ok((manifest, Some(object.version)))
}

fn hash_from_hex(text: &str) -> Option<Hash> {
    let mut hash = [0; 32];
    hex::decode_to_slice(text, &mut hash).ok()?;
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::objects::FileObjects;
    use crate::disk::simulated::SimulatedDisk;

    fn manifest(segments: &[(u64, u64)], events: u64) -> Manifest {
        let mut tree = Tree::new();
        (0..events).for_each(|_| tree.push(&[1; 32]));
        let tree = FlushPoint::roots_of(&tree);
        let segments =
            segments.iter().map(|(first, events)| SegmentEntry::new(*first, *events)).collect();
        Manifest::new(segments, FlushPoint { events, tree, ..FlushPoint::default() })
    }

    fn objects() -> FileObjects {
        FileObjects::new(std::sync::Arc::new(SimulatedDisk::new(1)))
    }

    #[test]
    fn a_manifest_is_read_back() {
        let objects = objects();
        assert_eq!(read(&objects).expect("none is empty").0.flushed, FlushPoint::default());
        let version = manifest(&[(0, 3), (3, 4)], 7).write(&objects, None).expect("room");
        let (read_back, seen) = read(&objects).expect("whole");
        let expected = manifest(&[(0, 3), (3, 4)], 7);
        assert_eq!((read_back.segments, read_back.flushed), (expected.segments, expected.flushed));
        assert_eq!(seen, Some(version));
    }

    #[test]
    fn segments_must_be_adjacent_and_hold_the_flushed_events() {
        for (segments, events) in [(&[(0, 3), (4, 4)][..], 8), (&[(1, 3)], 4), (&[(0, 3)], 4)] {
            let objects = objects();
            manifest(segments, events).write(&objects, None).expect("room");
            assert!(matches!(read(&objects), Err(Error::Damage { .. })), "{segments:?}");
        }
    }

    #[test]
    fn members_have_the_names_of_format_1() {
        let json = serde_json::to_value(manifest(&[], 0)).expect("texts and numbers");
        assert_eq!(json["sealed"]["set_aside"], 0);
        assert_eq!(
            SegmentEntry::new(5, 10).files()[0],
            "segments/00000000000000000005-0000000010.parquet"
        );
    }
}
