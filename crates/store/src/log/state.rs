//! The state of a log at a moment: segments, frozen memtables, the active memtable.

use std::collections::BTreeSet;
use std::sync::Arc;

use event::query::{Dimension, Histogram, Top};
use event::{Time, Trail};
use tlog::Hash;

use crate::disk::layout::SEGMENTS;
use crate::disk::tree_files::FullTiles;
use crate::engine::matching;
use crate::engine::matching::{By, Matches};
use crate::engine::prepared_query::{Parts, PreparedQuery, RowLocation};
use crate::error::Error;
use crate::log::memtable::{FrameLocation, Memtable, NewRow, Slice};
use crate::manifest::FlushPoint;
use crate::read::audit_files::AuditFiles;
use crate::segment::segment::Segment;

/// Everything that queries read.
#[derive(Default)]
pub(crate) struct State {
    /// Oldest first. Replaced, never changed, so that a query may hold on to it.
    pub segments: Arc<Vec<Arc<Segment>>>,
    /// Oldest first.
    pub frozen: Vec<Arc<FrozenMemtable>>,
    pub active: Memtable,
    /// Every trail that holds an event.
    pub trails: BTreeSet<Trail>,
    /// Weight at which the active memtable is frozen.
    pub memtable_events_max: usize,
    /// Dead letters since the active memtable began.
    pub dead_letters: Vec<FrameLocation>,
    pub files: AuditFiles,
    /// Whether a segment does not say whose events it has, so that any trail may be in it.
    pub has_unknown_trails: bool,
    /// Size and root of the tree.
    pub head: (u64, Hash),
    /// When the newest event was received.
    pub received_at: Option<Time>,
    /// Size and root of the tree over the dead letters.
    pub dead_letters_head: (u64, Hash),
    pub filled: FullTiles,
    /// Held by every query that began since segments or frozen memtables were last removed.
    pub reading: Arc<()>,
}

/// A memtable that no longer grows, and the state of the log at its end.
pub(crate) struct FrozenMemtable {
    pub memtable: Memtable,
    pub dead_letters: Vec<FrameLocation>,
    pub end: FlushPoint,
}

/// The parts of the log that a query holds while the log goes on.
pub(crate) struct View {
    pub segments: Arc<Vec<Arc<Segment>>>,
    pub frozen: Vec<Arc<FrozenMemtable>>,
    /// Matching rows of the active memtable for each trail, and the locations of their frames.
    active: Vec<(Slice<'static>, Vec<FrameLocation>)>,
    len: u64,
    _reading: Arc<()>,
}

/// Where to read a row of a result.
pub(crate) enum RowSource {
    Segment(usize, u32),
    Journal(u64, FrameLocation),
}

impl State {
    /// How many events the log holds.
    pub fn len(&self) -> u64 {
        self.active.end()
    }

    /// Whether events of a trail may be hidden: no event is known, and a segment does not say.
    pub fn hides(&self, trail: &Trail) -> bool {
        self.has_unknown_trails && !self.trails.contains(trail)
    }

    /// The damage of the first segment that did not open, for an answer that it hides.
    pub fn first_damage(&self) -> Error {
        let found = self.segments.iter().find_map(|segment| segment.whole().err());
        found.unwrap_or_else(|| Error::damage(SEGMENTS, 0, "a list of audit log files is damaged"))
    }

    /// Number of flushed events.
    pub fn flushed_events(&self) -> u64 {
        self.segments.last().map_or(0, |segment| segment.meta.end())
    }

    /// Publishes durable events with the size and root of the tree. Takes the levels and hashes of
    /// the tiles that they filled.
    pub fn extend<'a>(
        &mut self,
        added: &[NewRow<'a>],
        head: (u64, Hash),
        filled: &mut Vec<(u32, Hash)>,
    ) {
        self.head = head;
        self.received_at = added.last().map(|row| row.received_at).or(self.received_at);
        filled.drain(..).for_each(|(level, hash)| self.filled.push(level, hash));
        let first = self.active.end();
        for (added, index) in added.iter().zip(first..) {
            self.files.push(added, index);
        }
        let new: Vec<Trail> = self.active.extend(added.iter()).into_iter().cloned().collect();
        self.trails.extend(new);
    }

    /// Whether the active memtable is full.
    pub fn is_full(&self) -> bool {
        self.active.weight() >= self.memtable_events_max as u64
    }

    /// Weight of the events not yet flushed.
    pub fn unflushed_weight(&self) -> u64 {
        self.frozen.iter().map(|frozen| frozen.memtable.weight()).sum()
    }

    /// Begins a new memtable. `end` is the state of the log.
    pub fn freeze(&mut self, end: FlushPoint) {
        let memtable = std::mem::replace(&mut self.active, Memtable::from(end.events));
        let dead_letters = std::mem::take(&mut self.dead_letters);
        let end = FlushPoint { open_files: self.files.open(), ..end };
        self.frozen.push(Arc::new(FrozenMemtable { memtable, dead_letters, end }));
    }

    /// `count` digests of events that are in no segment, from the index `first` on, or fewer at the
    /// end.
    pub fn digests(&self, first: u64, count: usize) -> Vec<Hash> {
        let memtables = self.frozen.iter().map(|frozen| &frozen.memtable).chain([&self.active]);
        let mut found = Vec::with_capacity(count);
        for memtable in memtables {
            let next = first + found.len() as u64;
            let Some(skipped) = next.checked_sub(memtable.first()) else { break };
            let left =
                memtable.digests().iter().skip(usize::try_from(skipped).unwrap_or(usize::MAX));
            found.extend(left.take(count - found.len()));
        }
        found
    }

    /// Location of the frame of an event that is in no segment.
    pub fn frame(&self, index: u64) -> Option<FrameLocation> {
        let mut memtables = self.frozen.iter().map(|frozen| &frozen.memtable).chain([&self.active]);
        let memtable =
            memtables.find(|memtable| (memtable.first()..memtable.end()).contains(&index))?;
        Some(
            memtable
                .frame(u32::try_from(index - memtable.first()).expect("rows are fewer than 2^32")),
        )
    }

    /// Counts of the matches in the active memtable, by value, for each dimension.
    pub fn active_counts(
        &self,
        prepared: &PreparedQuery<'_>,
        dimensions: &[Dimension],
    ) -> Vec<Vec<(Option<String>, u64)>> {
        let tree_size = prepared.query.as_of.unwrap_or(u64::MAX);
        let bound = self.active.bind(prepared.query, tree_size);
        let slices: Vec<Slice<'_>> =
            prepared.trails.iter().filter_map(|trail| bound.matching(trail)).collect();
        let rows = || slices.iter().flat_map(|slice| (0..slice.len()).map(|at| slice.row(at)));
        let counts = |dimension: &Dimension| {
            let counted = self.active.counts(*dimension, rows());
            counted.into_iter().map(|(value, count)| (value.map(str::to_owned), count)).collect()
        };
        dimensions.iter().map(counts).collect()
    }

    /// The view of a query, taken while nothing changes.
    pub fn view(&self, prepared: &PreparedQuery<'_>) -> View {
        let query = prepared.query;
        let tree_size = query.as_of.unwrap_or(u64::MAX);
        let bound = self.active.bind(query, tree_size);
        let mut active = Vec::new();
        for trail in &prepared.trails {
            if let Some(slice) = bound.matching(trail) {
                let frames = (0..slice.len()).map(|at| self.active.frame(slice.row(at))).collect();
                active.push((slice.into_owned(), frames));
            }
        }
        View {
            segments: Arc::clone(&self.segments),
            frozen: self.frozen.clone(),
            active,
            len: self.len(),
            _reading: Arc::clone(&self.reading),
        }
    }
}

impl View {
    fn parts(&self) -> Parts<'_> {
        Parts {
            segments: &self.segments,
            memtables: self.frozen.iter().map(|frozen| &frozen.memtable).collect(),
            active: self.active.iter().map(|(slice, _)| slice).collect(),
            len: self.len,
        }
    }

    /// Hands the matches to `take`; returns the tree size as well.
    fn matching<T>(
        &self,
        prepared: &PreparedQuery<'_>,
        by: By,
        take: impl FnOnce(&Parts<'_>, &Matches<'_>) -> Result<T, Error>,
    ) -> Result<(T, u64), Error> {
        let parts = self.parts();
        let conditions = matching::conditions(&parts, prepared)?;
        let matching = Matches::of(&parts, &conditions, prepared, by)?;
        Ok((take(&parts, &matching)?, parts.tree_size(prepared.query)))
    }

    /// The rows of a page, the total, and the tree size.
    pub fn find(&self, prepared: &PreparedQuery<'_>) -> Result<(Vec<RowSource>, u64, u64), Error> {
        let ((frames, total), tree_size) = self.matching(prepared, By::Time, |_, matching| {
            Ok((matching.page(prepared.query)?, matching.total))
        })?;
        let rows = frames
            .into_iter()
            .map(|frame| match frame {
                RowLocation::Segment(position, row) => RowSource::Segment(position, row),
                RowLocation::Memtable(position, row) => {
                    let memtable = &self.frozen[position].memtable;
                    RowSource::Journal(memtable.first() + u64::from(row), memtable.frame(row))
                }
                RowLocation::Active(list, at) => {
                    let (slice, frames) = &self.active[list];
                    RowSource::Journal(slice.position(at).1, frames[at])
                }
            })
            .collect();
        Ok((rows, total, tree_size))
    }

    pub fn histogram(
        &self,
        prepared: &PreparedQuery<'_>,
        instants: &[Time],
    ) -> Result<Histogram, Error> {
        let ((counts, total), tree_size) = self.matching(prepared, By::Time, |_, matching| {
            Ok((matching.histogram(instants)?, matching.total))
        })?;
        Ok(Histogram { counts, total, tree_size })
    }

    /// The top values of each dimension. `active` is the result of [`State::active_counts`] when
    /// the view was taken.
    pub fn tops(
        &self,
        prepared: &PreparedQuery<'_>,
        dimensions: &[Dimension],
        active: &[Vec<(Option<String>, u64)>],
        limit: usize,
    ) -> Result<Vec<Top>, Error> {
        let top = |parts: &Parts<'_>, matching: &Matches<'_>| {
            let of_each = dimensions.iter().zip(active);
            of_each
                .map(|(dimension, active)| matching.top(parts, *dimension, active, limit))
                .collect()
        };
        let (tops, tree_size) = self.matching(prepared, By::Trail, top)?;
        let tops: Vec<Top> = tops;
        Ok(tops.into_iter().map(|top| Top { tree_size, ..top }).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::memtable::tests::memtable;

    #[test]
    fn digests_and_frames_are_found_in_all_memtables() {
        let mut state = State { active: memtable(0, &[(1, "a"), (2, "b")]), ..State::default() };
        state.freeze(FlushPoint { events: 2, ..FlushPoint::default() });
        state.active = memtable(2, &[(3, "c")]);
        assert_eq!((state.len(), state.flushed_events(), state.unflushed_weight()), (3, 0, 2));
        assert_eq!([0, 1, 5].map(|first| state.digests(first, 9).len()), [3, 2, 0]);
        assert_eq!([0, 2, 3].map(|index| state.frame(index).is_some()), [true, true, false]);
    }

    #[test]
    fn a_memtable_is_full_by_its_weight() {
        let is_full = |memtable_events_max| {
            let active = memtable(0, &[(1, "a"), (2, "b")]);
            State { active, memtable_events_max, ..State::default() }.is_full()
        };
        assert_eq!([1, 2, 3].map(is_full), [true, true, false]);
    }
}
