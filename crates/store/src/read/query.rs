//! Queries: pages, histograms, top values, and single events.

use std::collections::HashMap;
use std::sync::Arc;

use event::entry::Entry;
use event::query::{Dimension, Histogram, Page, Query, Top};
use event::{Time, entry};

use crate::engine::prepared_query::PreparedQuery;
use crate::error::Error;
use crate::log::memtable::FrameLocation;
use crate::log::state::{RowSource, View};
use crate::read::contents::{Contents, Row, StoredEvent};
use crate::read::room::{BytesRoom, Room};
use crate::segment::segment::Segment;
use crate::work;

/// Bytes of rows that [`Contents::from_index`] returns at once.
const FROM_INDEX_BYTES_MAX: usize = 8 << 20;

/// How the blocks of rows are read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum CacheUse {
    Through,
    /// For a reader of most rows.
    Past,
}

impl Contents {
    /// Answers a query as of now, or as of the size that it names. Sees everything acknowledged
    /// before.
    pub fn query(&self, query: &Query) -> Result<Page<Row>, Error> {
        let prepared = PreparedQuery::of(query);
        let view = self.view(&prepared);
        let (found, total, tree_size) = self.noted(view.find(&prepared))?;
        let rows = self.rows(&view.segments, &found)?;
        Ok(Page { rows, total, tree_size })
    }

    /// [`Contents::query`], for as many rows of the page as there is room for, one at least. The
    /// page ends early where there is none. Errs with [`Error::NoRoom`] without room for one row.
    pub fn query_up_to(&self, query: &Query, room: &mut dyn Room) -> Result<Page<Row>, Error> {
        let prepared = PreparedQuery::of(query);
        let view = self.view(&prepared);
        let (found, total, tree_size) = view.find(&prepared)?;
        let rows = self.rows_up_to(&view.segments, &found, room)?;
        Ok(Page { rows, total, tree_size })
    }

    /// [`Contents::query`], for a whole page. Errs with [`Error::NoRoom`] where it does not fit.
    pub fn query_whole(&self, query: &Query, room: &mut dyn Room) -> Result<Page<Row>, Error> {
        let prepared = PreparedQuery::of(query);
        let view = self.view(&prepared);
        let (found, total, tree_size) = view.find(&prepared)?;
        let rows = self.rows_in(&view.segments, &found, room)?.ok_or(Error::NoRoom)?;
        Ok(Page { rows, total, tree_size })
    }

    /// The view of a query on the log as it is now.
    pub(crate) fn view(&self, prepared: &PreparedQuery<'_>) -> View {
        self.state.read().expect("no panic while held").view(prepared)
    }

    /// Number of matching events from each of these instants on and before the next. The instants
    /// must be in order. Order, offset and limit of the query do not matter.
    pub fn histogram(&self, query: &Query, instants: &[Time]) -> Result<Histogram, Error> {
        let prepared = PreparedQuery::of(query);
        let view = self.view(&prepared);
        self.noted(view.histogram(&prepared, instants))
    }

    /// The most frequent values of each dimension among the matching events, at most `limit` of
    /// them, with exact counts, all as of one moment. Order, offset and limit of the query do not
    /// matter.
    pub fn tops(
        &self,
        query: &Query,
        dimensions: &[Dimension],
        limit: usize,
    ) -> Result<Vec<Top>, Error> {
        let prepared = PreparedQuery::of(query);
        let (view, active) = {
            let state = self.state.read().expect("no panic while held");
            (state.view(&prepared), state.active_counts(&prepared, dimensions))
        };
        self.noted(view.tops(&prepared, dimensions, &active, limit))
    }

    /// `count` events from this index on, in the order of the log; fewer at the end, and where they
    /// would take more than 8 MiB.
    pub fn from_index(&self, first: u64, count: usize) -> Result<Vec<Row>, Error> {
        let (segments, end, mut found, _reading) = {
            let state = self.state.read().expect("no panic while held");
            let end = first.saturating_add(count as u64).min(state.len());
            let beyond = (first.max(state.flushed_events())..end)
                .filter_map(|index| Some(RowSource::Journal(index, state.frame(index)?)))
                .collect::<Vec<_>>();
            (Arc::clone(&state.segments), end, beyond, Arc::clone(&state.reading))
        };
        let mut rows = Vec::with_capacity(count);
        for (position, segment) in segments.iter().enumerate() {
            let wanted = first.max(segment.meta.first)..end.min(segment.meta.end());
            if !wanted.is_empty() {
                let found = self.noted(segment.rows_of(wanted))?;
                rows.extend(found.into_iter().map(|row| RowSource::Segment(position, row)));
            }
        }
        rows.append(&mut found);
        self.rows_up_to(&segments, &rows, &mut BytesRoom::new(FROM_INDEX_BYTES_MAX))
    }

    /// Reads the rows of a result; those of one segment at once, in its order.
    pub(crate) fn rows(
        &self,
        segments: &[Arc<Segment>],
        found: &[RowSource],
    ) -> Result<Vec<Row>, Error> {
        let fit = self.rows_within(segments, found, CacheUse::Through, &mut |_| true)?;
        Ok(fit.expect("any rows fit"))
    }

    /// The first rows of a result that there is room for.
    fn rows_up_to(
        &self,
        segments: &[Arc<Segment>],
        found: &[RowSource],
        room: &mut dyn Room,
    ) -> Result<Vec<Row>, Error> {
        // Mostly all rows fit; then they are read together, which costs least.
        let (mut rows, mut count) = (Vec::new(), found.len());
        while count > 0 {
            match self.rows_in(segments, &found[rows.len()..rows.len() + count], room)? {
                Some(mut more) => {
                    rows.append(&mut more);
                    count = count.min(found.len() - rows.len());
                }
                None if count == 1 && rows.is_empty() => return Err(Error::NoRoom),
                None => count /= 2,
            }
        }
        Ok(rows)
    }

    /// Rows of a result if there is room for all of them. Otherwise none is taken.
    fn rows_in(
        &self,
        segments: &[Arc<Segment>],
        found: &[RowSource],
        room: &mut dyn Room,
    ) -> Result<Option<Vec<Row>>, Error> {
        let mut taken = 0;
        let mut fits = |row: &Row| {
            let bytes = row.bytes();
            let fits = room.take(bytes);
            taken += if fits { bytes } else { 0 };
            fits
        };
        let rows = self.rows_within(segments, found, CacheUse::Through, &mut fits)?;
        if rows.is_none() {
            room.give_back(taken);
        }
        Ok(rows)
    }

    /// [`Contents::rows`] as long as each row fits; else `None`.
    pub(crate) fn rows_within(
        &self,
        segments: &[Arc<Segment>],
        found: &[RowSource],
        cache: CacheUse,
        fits: &mut dyn FnMut(&Row) -> bool,
    ) -> Result<Option<Vec<Row>>, Error> {
        self.noted(self.read_rows(segments, found, cache, fits))
    }

    fn read_rows(
        &self,
        segments: &[Arc<Segment>],
        found: &[RowSource],
        cache: CacheUse,
        fits: &mut dyn FnMut(&Row) -> bool,
    ) -> Result<Option<Vec<Row>>, Error> {
        // For each segment the rows, and their positions on the page.
        let mut of_segments: HashMap<usize, Vec<(u32, usize)>> = HashMap::new();
        let mut rows: Vec<Option<Row>> = found.iter().map(|_| None).collect();
        for (position, row) in found.iter().enumerate() {
            match row {
                RowSource::Segment(segment, row) => {
                    of_segments.entry(*segment).or_default().push((*row, position));
                }
                RowSource::Journal(index, frame) => {
                    let row = Row { index: *index, entry: self.entry_at(*frame)? };
                    if !fits(&row) {
                        return Ok(None);
                    }
                    rows[position] = Some(row);
                }
            }
        }
        for (segment, mut wanted) in of_segments {
            wanted.sort_unstable();
            let segment = &segments[segment];
            let mut reader = match cache {
                CacheUse::Through => segment.rows(),
                CacheUse::Past => segment.rows_uncached(),
            };
            for (row, position) in wanted {
                let (index, entry) = reader.entry(row)?;
                let row = Row { index, entry };
                if !fits(&row) {
                    return Ok(None);
                }
                rows[position] = Some(row);
            }
        }
        Ok(Some(rows.into_iter().map(|row| row.expect("each was read")).collect()))
    }

    fn entry_at(&self, frame: FrameLocation) -> Result<Entry, Error> {
        work::check()?;
        let read = self.reader.event(frame.at, frame.len_bytes)?;
        entry::decode(&read.entry).map_err(|error| Error::damage("journal", 0, error.to_string()))
    }

    /// The stored event with this index; `None` beyond the end.
    pub fn stored_event(&self, index: u64) -> Result<Option<StoredEvent>, Error> {
        self.noted(self.read_stored(index))
    }

    fn read_stored(&self, index: u64) -> Result<Option<StoredEvent>, Error> {
        let (segments, frame, _reading) = {
            let state = self.state.read().expect("no panic while held");
            (Arc::clone(&state.segments), state.frame(index), Arc::clone(&state.reading))
        };
        if let Some(FrameLocation { at, len_bytes }) = frame {
            let frame = self.reader.event(at, len_bytes)?;
            let decoded = entry::decode(&frame.entry)
                .map_err(|error| Error::damage("journal", 0, error.to_string()))?;
            return Ok(Some(StoredEvent {
                trail: decoded.event.trail,
                entry: frame.entry,
                raw: frame.raw,
            }));
        }
        let holds =
            |segment: &&Arc<Segment>| (segment.meta.first..segment.meta.end()).contains(&index);
        let Some(segment) = segments.iter().find(holds) else { return Ok(None) };
        let row = segment.row_of(index)?;
        let only =
            |read: Vec<bytes::Bytes>| read.first().map(|bytes| bytes.to_vec()).unwrap_or_default();
        Ok(Some(StoredEvent {
            trail: segment.run_of(row).0.clone(),
            entry: only(segment.entries(row, 1)?),
            raw: only(segment.raws(row, 1)?),
        }))
    }
}
