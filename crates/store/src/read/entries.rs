//! Canonical entries by index, many at once.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::Error;
use crate::log::memtable::FrameLocation;
use crate::read::contents::Contents;
use crate::segment::segment::Segment;

/// Rows of a table are read in one piece across gaps up to this size, because skipping the gap
/// decodes the same page; a piece has at most this many rows.
const ROWS_SKIPPED_MAX: u32 = 256;
const ROWS_AT_ONCE: u32 = 16 << 10;

impl Contents {
    /// The stored entries of `count` events from this index on, in the order of the log, or fewer
    /// at the end. A range costs little more than one event: its rows are found once, and
    /// neighbours in a table are read together.
    pub fn entries_from(&self, first: u64, count: usize) -> Result<Vec<Vec<u8>>, Error> {
        let (segments, end, frames, _reading) = {
            let state = self.state.read().expect("no panic while held");
            let end = first.saturating_add(count as u64).min(state.len());
            let frames: Vec<FrameLocation> = (first.max(state.flushed_events())..end)
                .filter_map(|index| state.frame(index))
                .collect();
            (Arc::clone(&state.segments), end, frames, Arc::clone(&state.reading))
        };
        let mut entries = Vec::with_capacity(count);
        for segment in segments.iter() {
            let wanted = first.max(segment.meta.first)..end.min(segment.meta.end());
            if !wanted.is_empty() {
                let read = self.noted(entries_of(segment, wanted))?;
                entries.extend(read.iter().map(|entry| entry.to_vec()));
            }
        }
        for FrameLocation { at, len_bytes } in frames {
            entries.push(self.reader.event(at, len_bytes)?.entry);
        }
        Ok(entries)
    }
}

/// The entries of the events with these indexes, which must be of the segment, in their order.
fn entries_of(segment: &Segment, indexes: Range<u64>) -> Result<Vec<Bytes>, Error> {
    let rows = segment.rows_of(indexes)?;
    let mut entries = vec![Bytes::new(); rows.len()];
    let mut wanted: Vec<(u32, usize)> = rows.into_iter().zip(0..).collect();
    wanted.sort_unstable();
    let mut rest = &wanted[..];
    while let Some((first, _)) = rest.first() {
        let is_near = |pair: &[(u32, usize)]| {
            pair[1].0 - pair[0].0 <= ROWS_SKIPPED_MAX && pair[1].0 - first < ROWS_AT_ONCE
        };
        let count = 1 + rest.windows(2).take_while(|pair| is_near(pair)).count();
        let (near, behind) = rest.split_at(count);
        let read = segment.entries(*first, (near[count - 1].0 - first + 1) as usize)?;
        for (row, position) in near {
            entries[*position] = read[(row - first) as usize].clone();
        }
        rest = behind;
    }
    Ok(entries)
}
