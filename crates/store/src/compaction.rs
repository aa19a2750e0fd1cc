//! Compaction: adjacent segments become one. [`pick`] chooses the segments, [`Compactor`] replaces
//! them.

use std::cmp::Reverse;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::damage::Damages;
use crate::disk::durable::Disk;
use crate::disk::space::Space;
use crate::error::Error;
use crate::flush::Flusher;
use crate::manifest::SegmentEntry;
use crate::segment::cache::Cache;
use crate::segment::compact;
use crate::segment::compact::CompactionError;
use crate::segment::files;
use crate::segment::files::SegmentFiles;
use crate::segment::segment::Segment;

/// The machine is busy when this share of the next segment arrived during one flush.
const BUSY_SHARE: u64 = 4;

/// Compacts segments beside everything else.
pub(crate) struct Compactor {
    pub disk: Arc<dyn Disk>,
    pub space: Arc<Space>,
    pub flusher: Arc<Mutex<Flusher>>,
    pub segments: usize,
    pub events_max: u64,
    pub flush_events: u64,
    /// Segments found damaged stay as they are.
    pub damages: Arc<Damages>,
    /// Held while a compaction runs.
    pub compactions: Mutex<()>,
    /// Set when the log is closed; a running compaction stops then.
    pub ends: AtomicBool,
}

impl Compactor {
    pub fn compact_all(&self) -> Result<(), Error> {
        let _running = self.compactions.lock().expect("no panic while held");
        let flusher = || self.flusher.lock().expect("no panic while held");
        while !self.ends.load(Ordering::Relaxed) {
            let inputs = {
                let flusher = flusher();
                // A flush mostly ended just now, so the events that arrived meanwhile show how fast
                // events come.
                let is_busy = flusher.unflushed_weight() >= self.flush_events / BUSY_SHARE;
                let segments = flusher.segments();
                let sizes: Vec<u64> =
                    segments.iter().map(|segment| self.size_of(segment)).collect();
                pick(&sizes, self.segments, self.events_max, is_busy)
                    .map(|range| segments[range].to_vec())
            };
            let Some(inputs) = inputs else { break };
            // The result is no larger than its inputs, which stay until it is there.
            let bytes = inputs.iter().map(|input| input.table_bytes + input.index_bytes).sum();
            if !self.space.has_room_for(bytes) {
                break;
            }
            let compacted = match self.compact(&inputs) {
                Ok(Some(compacted)) => compacted,
                Ok(None) => break,
                // Only an input that is now known as damaged makes another choice the next time.
                Err(why) if self.note_damage(&why, &inputs) => continue,
                Err(error) => return Err(error),
            };
            let mut flusher = flusher();
            let replaced = flusher.replace(inputs, compacted.clone());
            if replaced.is_err() && !flusher.segments().contains(&compacted) {
                self.remove_if_full(&replaced, &compacted);
            }
            replaced?;
        }
        Ok(())
    }

    /// The events of a segment; too many for a compaction if it is damaged.
    fn size_of(&self, segment: &SegmentEntry) -> u64 {
        if self.damages.has_segment(segment.first) { self.events_max + 1 } else { segment.events }
    }

    /// Notes damage of one of these segments. False for any other error.
    fn note_damage(&self, why: &Error, inputs: &[SegmentEntry]) -> bool {
        if why.is_unreadable() {
            self.damages.note(why);
        }
        inputs.iter().any(|input| self.damages.has_segment(input.first))
    }

    /// Compacts the files of these segments, until the log is closed. Leaves none if there is no
    /// room.
    fn compact(&self, inputs: &[SegmentEntry]) -> Result<Option<SegmentEntry>, Error> {
        let goes_on = || !self.ends.load(Ordering::Relaxed);
        let compacted = compact_files(&self.disk, inputs, &goes_on);
        self.remove_if_full(&compacted, &compacted_entry(inputs));
        compacted
    }

    /// Removes the files of a segment that there was no room to make.
    fn remove_if_full<T>(&self, made: &Result<T, Error>, segment: &SegmentEntry) {
        if let Err(error) = made
            && error.is_storage_full()
        {
            files::remove(&*self.disk, segment);
        }
    }
}

/// Bytes of indexes that a compaction holds in memory. It reads from start to end.
const COMPACTION_CACHE_BYTES: u64 = 16 << 20;

/// The segment that these become; its files are not written yet.
fn compacted_entry(inputs: &[SegmentEntry]) -> SegmentEntry {
    SegmentEntry::new(inputs[0].first, inputs.iter().map(|input| input.events).sum())
}

/// Compacts the files of these segments into those of one, durably. `None` when `goes_on` returned
/// false.
pub(crate) fn compact_files(
    disk: &Arc<dyn Disk>,
    inputs: &[SegmentEntry],
    goes_on: &dyn Fn() -> bool,
) -> Result<Option<SegmentEntry>, Error> {
    let cache = Arc::new(Cache::new(COMPACTION_CACHE_BYTES));
    let opened =
        inputs.iter().map(|input| Segment::open(&**disk, &input.name(), Arc::clone(&cache)));
    let opened = opened.collect::<Result<Vec<_>, Error>>()?;
    let mut named = compacted_entry(inputs);
    let files = SegmentFiles::create(&**disk, &named)?;
    match compact::compact(&opened, Arc::clone(&files.table), Arc::clone(&files.index), goes_on) {
        Ok(written) => {
            named.take(&written);
            files.finish(&**disk, &named)?;
            Ok(Some(named))
        }
        Err(CompactionError::Cancelled) => files.discard(&**disk, &named).map(|()| None),
        // Another choice follows, so that no start removes what is unfinished.
        Err(CompactionError::Failed(why)) if why.is_unreadable() => {
            files.discard(&**disk, &named)?;
            Err(why)
        }
        Err(CompactionError::Failed(error)) => Err(error),
    }
}

/// At most this many times the required number of segments are compacted at once.
const FAN_FACTOR: usize = 4;

/// Picks the adjacent segments to compact next, by their sizes; `None` when there is nothing to do.
/// Takes the smallest first: `fan` segments and up to [`FAN_FACTOR`] times as many, or fewer if
/// they exceed half of the largest allowed segment. None of them has more than half of the events,
/// and together they have at most `events_max`. So after each compaction an event is in a segment
/// at least twice as large, and mostly `fan` times as large. When busy, only the largest number is
/// compacted at once, so that each event is compacted less often. A fan below two disables
/// compaction.
pub(crate) fn pick(
    sizes: &[u64],
    fan: usize,
    events_max: u64,
    is_busy: bool,
) -> Option<Range<usize>> {
    if fan < 2 {
        return None;
    }
    let fan_max = fan * FAN_FACTOR;
    let fan_min = if is_busy { fan_max } else { fan };
    let mut best = None;
    for start in 0..sizes.len() {
        let (mut sum, mut most) = (0, 0);
        for (size, count) in sizes[start..].iter().take(fan_max).zip(1..) {
            sum += *size;
            most = most.max(*size);
            let is_large = !is_busy && sum > events_max / 2;
            if (count >= fan_min || is_large) && sum <= events_max && most * 2 <= sum {
                // Among equally small candidates the longest wins, then the oldest.
                best = best.max(Some((Reverse(most), count, Reverse(start))));
            }
        }
    }
    best.map(|(_, count, Reverse(start))| start..start + count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_of_a_size_are_compacted() {
        for (sizes, expected) in [
            (&[][..], None),
            (&[1, 1], None),
            (&[1, 1, 1], Some(0..3)),
            (&[9, 1, 2, 1, 1], Some(1..5)),
            (&[9, 9, 3, 1, 2], Some(2..5)),
            (&[9, 9, 9, 1], Some(0..4)),
            (&[9, 4, 4, 1], Some(1..4)),
            (&[9, 4, 2, 1], None),
            (&[9, 4, 4, 4], Some(1..4)),
            (&[1; 20], Some(0..12)),
            (&[20, 20], None),
            (&[21, 21], Some(0..2)),
            (&[40, 40, 40], Some(0..2)),
            (&[41, 40, 39], None),
            (&[41, 30, 30, 20], Some(1..4)),
            (&[41, 41, 41], None),
        ] {
            assert_eq!(pick(sizes, 3, 80, false), expected, "{sizes:?}");
        }
    }

    #[test]
    fn compactions_are_fewer_when_busy() {
        for (sizes, expected) in [
            (&[1; 11][..], None),
            (&[40, 40], None),
            (&[1; 13], Some(0..12)),
            (&[9, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1], Some(1..13)),
        ] {
            assert_eq!(pick(sizes, 3, 80, true), expected, "{sizes:?}");
        }
    }

    #[test]
    fn there_are_few_segments_however_many_events() {
        let mut sizes: Vec<u64> = Vec::new();
        let mut compacted = 0;
        for step in 0..5000u64 {
            sizes.push(100 + step * 37 % 90);
            while let Some(range) = pick(&sizes, 8, 100_000, false) {
                let sum = sizes[range.clone()].iter().sum();
                compacted += sum;
                sizes.splice(range, [sum]);
            }
            assert!(sizes.len() as u64 <= sizes.iter().sum::<u64>() / 60_000 + 4 * 8, "{sizes:?}");
        }
        assert!(compacted <= 6 * sizes.iter().sum::<u64>(), "{compacted}");
    }
}
