//! What is in a data directory after its server died: whether it is whole, what it holds, and what
//! the next start removes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::harness::{TestDir, events_of};

/// A log whose server died, and what the next start makes of it.
pub struct Aftermath {
    /// Index to the source's key of every event that a source sent.
    pub events: BTreeMap<u64, String>,
    /// How many events each segment has, oldest first.
    pub segments: Vec<u64>,
    /// Files of segments that were there and that no manifest names: a flush or a compaction was
    /// under way.
    pub left_over: usize,
}

impl Aftermath {
    /// Checks what the server left, then lets a start have a copy of it, which must leave nothing
    /// void behind.
    pub fn of(test_dir: &TestDir) -> Aftermath {
        test_dir.check();
        let left_over =
            names(&test_dir.data().join("segments")).difference(&named(&test_dir.data())).count();
        let copy = tempfile::tempdir().unwrap();
        copy_folder(&test_dir.data(), copy.path());
        let events = events_of(copy.path());
        assert_eq!(
            names(&copy.path().join("segments")),
            named(copy.path()),
            "the manifest names what is there"
        );
        for folder in ["journal", "segments", "tree", "set-aside"] {
            let names = names(&copy.path().join(folder));
            assert!(!names.iter().any(is_void), "{folder} has what is void: {names:?}");
        }
        Aftermath { events, segments: sizes(copy.path()), left_over }
    }

    /// Whether each of these keys is there once, at the index of the response if it had one.
    pub fn has(&self, answered: &BTreeMap<String, Option<u64>>) -> Result<(), String> {
        let mut there = BTreeMap::new();
        for (index, key) in &self.events {
            if let Some(other) = there.insert(key, index) {
                return Err(format!("{key} is there twice, at {other} and {index}"));
            }
        }
        for (key, answered_index) in answered {
            match (there.get(key), answered_index) {
                (None, _) => return Err(format!("{key}, answered for, is gone")),
                (Some(index), Some(answered_index)) if *index != answered_index => {
                    return Err(format!("{key} is at {index}, and {answered_index} was answered"));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Whether a file of a segment is being written.
pub fn is_being_written(data: &Path) -> bool {
    names(&data.join("segments")).iter().any(is_void)
}

/// How many events each segment has that the manifest names, oldest first; none when there is no
/// manifest.
pub fn sizes(data: &Path) -> Vec<u64> {
    manifest(data).iter().map(|segment| segment["events"].as_u64().unwrap()).collect()
}

/// Copies what is in a folder into one that is there.
pub fn copy_folder(from: &Path, to: &Path) {
    for found in std::fs::read_dir(from).unwrap() {
        let (path, target) = (found.as_ref().unwrap().path(), to.join(found.unwrap().file_name()));
        if path.is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy_folder(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

/// The segments that the manifest names.
fn manifest(data: &Path) -> Vec<serde_json::Value> {
    let Ok(bytes) = std::fs::read(data.join("manifest")) else { return Vec::new() };
    let manifest: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    manifest["segments"].as_array().unwrap().clone()
}

/// The files of the segments that the manifest names.
fn named(data: &Path) -> BTreeSet<String> {
    let stem = |segment: &serde_json::Value| {
        format!("{:020}-{:010}", number(segment, "first"), number(segment, "events"))
    };
    manifest(data)
        .iter()
        .map(stem)
        .flat_map(|stem| [format!("{stem}.parquet"), format!("{stem}.index")])
        .collect()
}

fn number(segment: &serde_json::Value, member: &str) -> u64 {
    segment[member].as_u64().unwrap()
}

/// Whether what has this name was being written, and is no part of the log.
fn is_void(name: &String) -> bool {
    Path::new(name).extension().is_some_and(|ending| ending == "tmp")
}

/// What is in a folder; nothing when there is none.
fn names(folder: &Path) -> BTreeSet<String> {
    let Ok(found) = std::fs::read_dir(folder) else { return BTreeSet::new() };
    found.map(|found| found.unwrap().file_name().into_string().unwrap()).collect()
}
