//! Digests of events and hashes of the tree over them.

use tlog::{
    Hash, NoProof, Nodes, TILE_HEIGHT, leaf_hash, prove_inclusion, root_of, verify_inclusion,
};

use crate::disk::layout::{DIGESTS, TREE, level_file};
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

/// The tree with some hashes of a level as they were read, in place of those of the files.
struct WithHashes<'a> {
    contents: &'a Contents,
    level: u32,
    first: u64,
    hashes: &'a [Hash],
}

impl Nodes for WithHashes<'_> {
    type Error = Error;

    fn node(&self, level: u32, position: u64) -> Result<Hash, Error> {
        let own = self.hashes_under(level, position).map(root_of);
        own.map_or_else(|| self.contents.node(level, position), Ok)
    }
}

impl WithHashes<'_> {
    /// The hashes that make this node, if it is made of them alone.
    fn hashes_under(&self, level: u32, position: u64) -> Option<&[Hash]> {
        let above =
            level.checked_sub(TILE_HEIGHT * self.level).filter(|above| *above <= TILE_HEIGHT)?;
        let start = usize::try_from((position << above).checked_sub(self.first)?).ok()?;
        self.hashes.get(start..start.checked_add(1 << above)?)
    }

    /// Whether each of the hashes is in the tree of this size and root.
    fn are_in(&self, size: u64, root: &Hash) -> Result<bool, Error> {
        // The path of the first leaf under the first of them has all others.
        let index = self.first << (TILE_HEIGHT * self.level);
        let leaf = self.node(0, index)?;
        let path = prove_inclusion(self, index, size).map_err(|no_proof| match no_proof {
            NoProof::OutOfRange => Error::damage(TREE, 0, format!("no leaf {index}")),
            NoProof::Nodes(error) => error,
        })?;
        Ok(verify_inclusion(&path, &leaf, index, size, root) && self.has_first()?)
    }

    /// Whether the first of the hashes is that of the hashes below it.
    fn has_first(&self) -> Result<bool, Error> {
        let Some(below) = self.level.checked_sub(1) else { return Ok(true) };
        let below = self.contents.hashes(below, self.first << TILE_HEIGHT, 1 << TILE_HEIGHT)?;
        Ok(below.is_some_and(|below| self.hashes.first() == Some(&root_of(&below))))
    }
}

impl Contents {
    /// [`Contents::hashes`], each compared with the root of the tree of this size. Errs with
    /// [`Error::Damage`] if they do not lead there: an auditor who got other hashes would have to
    /// call the log forged.
    pub fn hashes_in(
        &self,
        level: u32,
        first: u64,
        count: usize,
        (size, root): (u64, &Hash),
    ) -> Result<Option<Vec<Hash>>, Error> {
        let Some(hashes) = self.hashes(level, first, count)? else { return Ok(None) };
        self.compare(level, first, &hashes, (size, root))?;
        Ok(Some(hashes))
    }

    /// [`Contents::digests`], compared as those of [`Contents::hashes_in`].
    pub fn digests_in(
        &self,
        first: u64,
        count: usize,
        head: (u64, &Hash),
    ) -> Result<Option<Vec<Hash>>, Error> {
        let Some(digests) = self.digests(first, count)? else { return Ok(None) };
        let leaves: Vec<Hash> = digests.iter().map(|digest| leaf_hash(digest)).collect();
        self.compare(0, first, &leaves, head)?;
        Ok(Some(digests))
    }

    fn compare(
        &self,
        level: u32,
        first: u64,
        hashes: &[Hash],
        (size, root): (u64, &Hash),
    ) -> Result<(), Error> {
        let read = WithHashes { contents: self, level, first, hashes };
        if hashes.is_empty() || read.are_in(size, root)? {
            return Ok(());
        }
        let file = if level == 0 { DIGESTS.to_owned() } else { level_file(level) };
        self.noted(Err(Error::damage(&file, first * 32, "hashes lead to another root")))
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
