//! Hashes of the tree, of leaves and of full tiles: in files for flushed events, in memory for the
//! rest.
//!
//! `tree/digests` holds the data of the leaves, which are the digests of entries. The file of level
//! `l + 1` holds the hash of the full tile `n` of level `l`, counted from 0, at `32 n`. Nothing
//! else is stored: hashes between two levels are computed when needed, from at most 128 hashes.

#![allow(clippy::cast_possible_truncation, reason = "platforms have 64 bits")]

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use tlog::{Hash, TILE_HEIGHT};

use crate::disk::durable::{Disk, File};
use crate::disk::layout::{DIGESTS, TREE, level_file};
use crate::error::Error;

/// Levels of tiles above the leaves' in a tree of 2^64 leaves.
pub(crate) const LEVELS: usize = 7;
const HASH_BYTES: u64 = 32;

/// Hashes of full tiles that are in no file yet, for each level above the leaves'.
#[derive(Clone, Default)]
pub(crate) struct FullTiles([TileLevel; LEVELS]);

#[derive(Clone, Default)]
struct TileLevel {
    /// Position of the first of them.
    first: u64,
    hashes: Vec<Hash>,
}

impl FullTiles {
    /// No hashes, beside this number of flushed events.
    pub fn from(flushed: u64) -> FullTiles {
        let mut filled = FullTiles::default();
        filled.forget_before(flushed);
        filled
    }

    /// Adds the next hash of a level, counted from 1.
    pub fn push(&mut self, level: u32, hash: Hash) {
        self.0[level as usize - 1].hashes.push(hash);
    }

    /// Drops the hashes that the files hold once this number of events is flushed.
    pub fn forget_before(&mut self, flushed: u64) {
        for (level, filled) in (1..).zip(&mut self.0) {
            let first = flushed >> (TILE_HEIGHT * level);
            let count = (first - filled.first).min(filled.hashes.len() as u64) as usize;
            filled.hashes.drain(..count);
            filled.first = first;
        }
    }

    /// Hashes of a level, counted from 1, from position `from` on, in a tree of `size` leaves.
    pub fn of_level(&self, level: u32, from: u64, size: u64) -> &[Hash] {
        let filled = &self.0[level as usize - 1];
        let end = (size >> (TILE_HEIGHT * level)).saturating_sub(filled.first) as usize;
        let start = from.saturating_sub(filled.first) as usize;
        filled.hashes.get(start..end.min(filled.hashes.len())).unwrap_or_default()
    }
}

/// The files of the tree.
pub(crate) struct TreeFiles {
    disk: Arc<dyn Disk>,
    /// Files opened for reading, by name. Files of the tree grow and are never replaced.
    open: RwLock<HashMap<String, Arc<dyn File>>>,
}

impl TreeFiles {
    pub fn on(disk: Arc<dyn Disk>) -> TreeFiles {
        TreeFiles { disk, open: RwLock::default() }
    }

    /// Writes, durably, the digests of events from `first` on and the hashes of the tiles that they
    /// fill. Overwrites anything beyond.
    pub fn write(&self, first: u64, digests: &[Hash], filled: &FullTiles) -> Result<(), Error> {
        self.write_file(DIGESTS, first, digests)?;
        let end = first + digests.len() as u64;
        for level in 1..=LEVELS as u32 {
            let from = first >> (TILE_HEIGHT * level);
            let hashes = filled.of_level(level, from, end);
            if !hashes.is_empty() {
                self.write_file(&level_file(level), from, hashes)?;
            }
        }
        // Also of files that an attempt made which then found no room.
        self.disk.sync_dir(TREE).map_err(Error::io("sync the tree's folder"))
    }

    fn write_file(&self, path: &str, first: u64, hashes: &[Hash]) -> Result<(), Error> {
        let there = self.disk.list(TREE).map_err(Error::io(format!("list {TREE}")))?;
        let is_there = there.iter().any(|name| format!("{TREE}/{name}") == path);
        let file: Arc<dyn File> = if is_there {
            self.disk.open_for_writing(path).map_err(Error::io(format!("open {path}")))?
        } else {
            self.disk.create(path).map_err(Error::io(format!("make {path}")))?
        };
        file.write_at(first * HASH_BYTES, hashes.as_flattened())
            .map_err(Error::io(format!("write {path}")))?;
        file.sync().map_err(Error::io(format!("sync {path}")))
    }

    /// `count` digests of flushed events, from `first` on.
    pub fn digests(&self, first: u64, count: usize) -> Result<Vec<Hash>, Error> {
        self.read_file(DIGESTS, first, count)
    }

    /// `count` hashes of full tiles over flushed events, from `first` on. Levels are counted from
    /// 1.
    pub fn hashes(&self, level: u32, first: u64, count: usize) -> Result<Vec<Hash>, Error> {
        self.read_file(&level_file(level), first, count)
    }

    fn read_file(&self, path: &str, first: u64, count: usize) -> Result<Vec<Hash>, Error> {
        let damage =
            |error: std::io::Error| Error::damage(path, first * HASH_BYTES, error.to_string());
        let mut hashes = vec![[0; HASH_BYTES as usize]; count];
        let known = self.open.read().expect("no panic while held").get(path).cloned();
        let file = match known {
            Some(file) => file,
            None => {
                let file = self.disk.open(path).map_err(damage)?;
                let mut open = self.open.write().expect("no panic while held");
                Arc::clone(open.entry(path.to_owned()).or_insert(file))
            }
        };
        file.read_at(first * HASH_BYTES, hashes.as_flattened_mut()).map_err(damage)?;
        Ok(hashes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::simulated::SimulatedDisk;

    #[test]
    fn full_tiles_are_dropped_once_they_are_flushed() {
        let hash = |byte| [byte; 32];
        let mut tiles = FullTiles::from(256);
        (2..6).for_each(|byte| tiles.push(1, hash(byte)));
        assert_eq!(tiles.of_level(1, 2, 4 * 256), [hash(3), hash(4)]);
        tiles.forget_before(3 * 256);
        assert_eq!(tiles.of_level(1, 0, 5 * 256), [hash(4), hash(5)]);
        assert_eq!(tiles.of_level(1, 6, 9 * 256), [[0; 32]; 0]);
    }

    #[test]
    fn digests_and_hashes_are_read_back() {
        let files = TreeFiles::on(Arc::new(SimulatedDisk::new(1)));
        let digests: Vec<Hash> = (0..=255).chain([9]).map(|byte| [byte; 32]).collect();
        let mut tiles = FullTiles::default();
        tiles.push(1, [42; 32]);
        files.write(0, &digests[..200], &FullTiles::default()).expect("room");
        files.write(200, &digests[200..], &tiles).expect("room");
        assert_eq!(files.digests(198, 59).expect("there"), digests[198..]);
        assert_eq!(files.hashes(1, 0, 1).expect("there"), [[42; 32]]);
        assert!(matches!(files.digests(200, 58), Err(Error::Damage { .. })));
    }
}
