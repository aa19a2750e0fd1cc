//! Digests of events and hashes of the tree over them.

use tlog::{Hash, Nodes, TILE_HEIGHT, leaf_hash, root_of};

use crate::disk::layout::TREE;
use crate::disk::tree_files::LEVELS;
use crate::error::Error;
use crate::read::contents::Contents;
use crate::read::node_cache::CACHED_LEVEL_MIN;

/// Digests are read in one piece across gaps up to this size, because reading the gap costs less
/// than starting again; a piece has at most this many requested digests.
const DIGESTS_SKIPPED_MAX: u64 = 64;
const DIGESTS_AT_ONCE: usize = 8 << 10;

impl Contents {
    /// `count` digests of events in order of their indexes, from `first` on. `None` beyond the end
    /// of the log.
    pub fn digests(&self, first: u64, count: usize) -> Result<Option<Vec<Hash>>, Error> {
        let (flushed, beyond) = {
            let state = self.state.read().expect("no panic while held");
            if first.checked_add(count as u64).is_none_or(|end| end > state.len()) {
                return Ok(None);
            }
            let flushed = state.flushed_events().saturating_sub(first).min(count as u64);
            let in_files = usize::try_from(flushed).unwrap_or(usize::MAX);
            (in_files, state.digests(first + flushed, count - in_files))
        };
        let mut digests = if flushed > 0 { self.tree.digests(first, flushed)? } else { Vec::new() };
        digests.extend(beyond);
        Ok(Some(digests))
    }

    /// The digests of events, in the order of these indexes. Errs with [`Error::Damage`] when the
    /// log lacks one of them.
    pub fn digests_of(&self, indexes: &[u64]) -> Result<Vec<Hash>, Error> {
        let mut wanted: Vec<(u64, usize)> = indexes.iter().copied().zip(0..).collect();
        wanted.sort_unstable();
        let mut digests = vec![[0; 32]; indexes.len()];
        let is_near =
            |one: &(u64, usize), next: &(u64, usize)| next.0 - one.0 <= DIGESTS_SKIPPED_MAX;
        for near in wanted.chunk_by(is_near).flat_map(|near| near.chunks(DIGESTS_AT_ONCE)) {
            let (first, last) = (near[0].0, near[near.len() - 1].0);
            let count = usize::try_from(last - first + 1).unwrap_or(usize::MAX);
            let missing = || Error::damage(TREE, 0, format!("no digest of event {last}"));
            let read = self.digests(first, count)?.ok_or_else(missing)?;
            for (index, position) in near {
                digests[*position] = read[usize::try_from(index - first).unwrap_or(usize::MAX)];
            }
        }
        Ok(digests)
    }

    /// `count` hashes of the tree at a level of tiles, 0 for leaves, from `first` on. `None` beyond
    /// the end of the tree.
    pub fn hashes(&self, level: u32, first: u64, count: usize) -> Result<Option<Vec<Hash>>, Error> {
        if level == 0 {
            let digests = self.digests(first, count)?;
            return Ok(
                digests.map(|digests| digests.iter().map(|digest| leaf_hash(digest)).collect())
            );
        }
        if level as usize > LEVELS {
            return Ok(None);
        }
        let (flushed, beyond) = {
            let state = self.state.read().expect("no panic while held");
            let height = TILE_HEIGHT * level;
            if first.checked_add(count as u64).is_none_or(|end| end > state.len() >> height) {
                return Ok(None);
            }
            let flushed =
                (state.flushed_events() >> height).saturating_sub(first).min(count as u64);
            let in_files = usize::try_from(flushed).unwrap_or(usize::MAX);
            let beyond = state.filled.of_level(level, first + flushed, state.len());
            (in_files, beyond[..count - in_files].to_vec())
        };
        let mut hashes =
            if flushed > 0 { self.tree.hashes(level, first, flushed)? } else { Vec::new() };
        hashes.extend(beyond);
        Ok(Some(hashes))
    }
}

impl Nodes for Contents {
    type Error = Error;

    /// Errs with [`Error::Damage`] for a subtree that the tree does not have, or that does not read
    /// back.
    fn node(&self, level: u32, position: u64) -> Result<Hash, Error> {
        let above = level % TILE_HEIGHT;
        if let Some(hash) =
            (above >= CACHED_LEVEL_MIN).then(|| self.nodes.find(level, position)).flatten()
        {
            return Ok(hash);
        }
        let hashes = self.hashes(level / TILE_HEIGHT, position << above, 1 << above)?;
        let missing = || Error::damage(TREE, 0, format!("no node {position} on level {level}"));
        let hash = hashes.map(|hashes| root_of(&hashes)).ok_or_else(missing)?;
        if above >= CACHED_LEVEL_MIN {
            self.nodes.insert(level, position, hash);
        }
        Ok(hash)
    }
}
