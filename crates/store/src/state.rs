//! What a log holds at a moment: segments, the tails that wait to be sealed, the tail that grows.

use std::collections::BTreeSet;
use std::sync::Arc;

use event::query::{Dimension, Histogram, Top};
use event::{Time, Trail};
use tlog::Hash;

use crate::Error;
use crate::audit_files::AuditFiles;
use crate::engine::{self, By, Matching, Parts, Question};
use crate::manifest::Sealed;
use crate::segment::Segment;
use crate::tail::{Added, Place, Slice, Tail};
use crate::tree_files::Filled;

/// Everything that can be asked about.
#[derive(Default)]
pub(crate) struct State {
    /// Oldest first. Replaced, never changed, so that a query may hold on to it.
    pub segments: Arc<Vec<Arc<Segment>>>,
    /// Oldest first.
    pub frozen: Vec<Arc<Frozen>>,
    pub active: Tail,
    /// Every trail that holds an event.
    pub trails: BTreeSet<Trail>,
    /// Events in the tail that grows; then it is frozen.
    pub tail_events_max: usize,
    /// Records set aside since the active tail began.
    pub aside: Vec<Place>,
    pub files: AuditFiles,
    /// Size and root of the tree.
    pub head: (u64, Hash),
    /// As `head`, of the tree over the records set aside.
    pub aside_head: (u64, Hash),
    pub filled: Filled,
    /// Held by every query that began since segments or frozen tails were last taken away.
    pub reading: Arc<()>,
}

/// A tail that grows no more, and what the log had come to at its end.
pub(crate) struct Frozen {
    pub tail: Tail,
    pub aside: Vec<Place>,
    pub end: Sealed,
}

/// What a query holds on to, while the log goes on.
pub(crate) struct View {
    pub segments: Arc<Vec<Arc<Segment>>>,
    pub frozen: Vec<Arc<Frozen>>,
    /// Rows of the active tail that match, for each trail, and where their frames are.
    active: Vec<(Slice<'static>, Vec<Place>)>,
    len: u64,
    _reading: Arc<()>,
}

/// Where a row of an answer is.
pub(crate) enum Row {
    Segment(usize, u32),
    Journal(u64, Place),
}

impl State {
    /// How many events the log holds.
    pub fn len(&self) -> u64 {
        self.active.end()
    }

    /// How many events are sealed.
    pub fn sealed(&self) -> u64 {
        self.segments.last().map_or(0, |segment| segment.meta.end())
    }

    /// Publishes events that are durable: with them, size and root of the tree, and levels and
    /// hashes of the tiles that they filled, which are taken.
    pub fn extend<'a>(
        &mut self,
        added: &[Added<'a>],
        head: (u64, Hash),
        filled: &mut Vec<(u32, Hash)>,
    ) {
        self.head = head;
        filled.drain(..).for_each(|(level, hash)| self.filled.push(level, hash));
        let first = self.active.end();
        for (added, index) in added.iter().zip(first..) {
            self.files.push(added, index);
        }
        let new: Vec<Trail> = self.active.extend(added.iter()).into_iter().cloned().collect();
        self.trails.extend(new);
    }

    /// Whether it is time for a new tail.
    pub fn is_full(&self) -> bool {
        self.active.weight() >= self.tail_events_max as u64
    }

    /// As how many events those count that wait to be sealed.
    pub fn waiting(&self) -> u64 {
        self.frozen.iter().map(|frozen| frozen.tail.weight()).sum()
    }

    /// Begins a new tail. `end` is what the log has come to.
    pub fn freeze(&mut self, end: Sealed) {
        let tail = std::mem::replace(&mut self.active, Tail::from(end.events));
        let aside = std::mem::take(&mut self.aside);
        let end = Sealed { open_files: self.files.open(), ..end };
        self.frozen.push(Arc::new(Frozen { tail, aside, end }));
    }

    /// Digests of events that are in no segment, so many from the index `first` on, as far as there
    /// are any.
    pub fn digests(&self, first: u64, count: usize) -> Vec<Hash> {
        let tails = self.frozen.iter().map(|frozen| &frozen.tail).chain([&self.active]);
        let mut found = Vec::with_capacity(count);
        for tail in tails {
            let next = first + found.len() as u64;
            let Some(skipped) = next.checked_sub(tail.first()) else { break };
            let left = tail.digests().iter().skip(usize::try_from(skipped).unwrap_or(usize::MAX));
            found.extend(left.take(count - found.len()));
        }
        found
    }

    /// Where the frame of an event is that is in no segment.
    pub fn place(&self, index: u64) -> Option<Place> {
        let mut tails = self.frozen.iter().map(|frozen| &frozen.tail).chain([&self.active]);
        let tail = tails.find(|tail| (tail.first()..tail.end()).contains(&index))?;
        Some(tail.place(u32::try_from(index - tail.first()).expect("rows are fewer than 2^32")))
    }

    /// How many events of the active tail that match have each value of each of some dimensions.
    pub fn active_counts(
        &self,
        question: &Question<'_>,
        dimensions: &[Dimension],
    ) -> Vec<Vec<(Option<String>, u64)>> {
        let tree_size = question.query.as_of.unwrap_or(u64::MAX);
        let asked = self.active.ask(question.query, tree_size);
        let slices: Vec<Slice<'_>> =
            question.trails.iter().filter_map(|trail| asked.matching(trail)).collect();
        let rows = || slices.iter().flat_map(|slice| (0..slice.len()).map(|at| slice.row(at)));
        let counts = |dimension: &Dimension| {
            let counted = self.active.counts(*dimension, rows());
            counted.into_iter().map(|(value, count)| (value.map(str::to_owned), count)).collect()
        };
        dimensions.iter().map(counts).collect()
    }

    /// What a query needs, taken while nothing changes.
    pub fn view(&self, question: &Question<'_>) -> View {
        let query = question.query;
        let tree_size = query.as_of.unwrap_or(u64::MAX);
        let asked = self.active.ask(query, tree_size);
        let mut active = Vec::new();
        for trail in &question.trails {
            if let Some(slice) = asked.matching(trail) {
                let places = (0..slice.len()).map(|at| self.active.place(slice.row(at))).collect();
                active.push((slice.into_owned(), places));
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
            tails: self.frozen.iter().map(|frozen| &frozen.tail).collect(),
            active: self.active.iter().map(|(slice, _)| slice).collect(),
            len: self.len,
        }
    }

    /// Hands what matches to `take`, with the tree size of the answer.
    fn matching<T>(
        &self,
        question: &Question<'_>,
        by: By,
        take: impl FnOnce(&Parts<'_>, &Matching<'_>) -> Result<T, Error>,
    ) -> Result<(T, u64), Error> {
        let parts = self.parts();
        let conditions = engine::conditions(&parts, question.query)?;
        let matching = Matching::of(&parts, &conditions, question, by)?;
        Ok((take(&parts, &matching)?, parts.tree_size(question.query)))
    }

    /// Which rows a page has, the total, and the tree size.
    pub fn find(&self, question: &Question<'_>) -> Result<(Vec<Row>, u64, u64), Error> {
        let ((places, total), tree_size) = self.matching(question, By::Time, |_, matching| {
            Ok((matching.page(question.query)?, matching.total))
        })?;
        let rows = places
            .into_iter()
            .map(|place| match place {
                engine::Place::Segment(position, row) => Row::Segment(position, row),
                engine::Place::Tail(position, row) => {
                    let tail = &self.frozen[position].tail;
                    Row::Journal(tail.first() + u64::from(row), tail.place(row))
                }
                engine::Place::Active(list, at) => {
                    let (slice, places) = &self.active[list];
                    Row::Journal(slice.position(at).1, places[at])
                }
            })
            .collect();
        Ok((rows, total, tree_size))
    }

    pub fn histogram(
        &self,
        question: &Question<'_>,
        instants: &[Time],
    ) -> Result<Histogram, Error> {
        let ((counts, total), tree_size) = self.matching(question, By::Time, |_, matching| {
            Ok((matching.histogram(instants)?, matching.total))
        })?;
        Ok(Histogram { counts, total, tree_size })
    }

    /// One answer for each dimension. `active` is what [`State::active_counts`] told of them when
    /// the view was taken.
    pub fn tops(
        &self,
        question: &Question<'_>,
        dimensions: &[Dimension],
        active: &[Vec<(Option<String>, u64)>],
        limit: usize,
    ) -> Result<Vec<Top>, Error> {
        let top = |parts: &Parts<'_>, matching: &Matching<'_>| {
            let of_each = dimensions.iter().zip(active);
            of_each
                .map(|(dimension, active)| matching.top(parts, *dimension, active, limit))
                .collect()
        };
        let (tops, tree_size) = self.matching(question, By::Trail, top)?;
        let tops: Vec<Top> = tops;
        Ok(tops.into_iter().map(|top| Top { tree_size, ..top }).collect())
    }
}
