//! Gaps in the numbers of a source.
//!
//! A source may number the events of a stream without gaps ([`formats::Sequence`]), so lost events
//! show as missing numbers. Events arrive late and out of order: a number counts as missing only
//! after [`SETTLED_AFTER_NS`], and one that arrives later still is found again.
//!
//! A source that restarts may number anew. A stream therefore has several runs of numbers. A number
//! continues the run that it fits best; one that fits none starts a run, which is no gap. The end
//! of a run is unknown, so the loss of its last events is not noticed.
//!
//! Pure: time is an argument, and the caller records the gaps.

use std::collections::HashMap;

use event::Time;
use serde::{Deserialize, Serialize};

/// The time within which a number that others overtook may arrive. Events that are sent over
/// several connections, or again after a refusal, arrive within it.
pub const SETTLED_AFTER_NS: i64 = 5_000_000_000;
/// Streams of a source: more sessions or hosts than write at once. A new stream replaces the one
/// that was quiet for longest.
pub const STREAMS_MAX: usize = 1024;
/// Bytes of a stream's name; events of longer ones are not followed.
pub const STREAM_BYTES_MAX: usize = 256;
/// Ranges of missing numbers of a run, by which a late number is recognised. Beyond, the oldest
/// counts as settled.
pub const RANGES_MAX: usize = 128;
/// Runs of a stream: the current one, the one before, and those that a few repeated events start.
pub const RUNS_MAX: usize = 4;
/// A smaller number belongs to a new run if it is less by at most this: the first events arrived
/// out of order.
const LATE_MAX: u64 = 1000;
/// Gaps that wait for a record each. Beyond, they are added up, so that a flood of gaps makes no
/// flood of records.
pub const WAITING_MAX: usize = 100;

/// Numbers that never arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    pub stream: String,
    pub first: u64,
    pub last: u64,
    /// The time at which a later number arrived.
    pub since: Time,
}

impl Gap {
    pub fn count(&self) -> u64 {
        count(self.first, self.last)
    }
}

/// The numbers of a source.
#[derive(Debug, Default)]
pub struct Gaps {
    streams: HashMap<String, Stream>,
    /// A counter of notes, which orders streams by their last one.
    clock: u64,
    /// Unreported gaps of forgotten ranges: some in full, and the counts of the others.
    waiting: Vec<Gap>,
    further: Further,
    pub counts: Counts,
}

/// Counts since the server started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Ranges of numbers that never arrived.
    pub gaps: u64,
    /// The numbers in them.
    pub missing: u64,
    /// Missing numbers that arrived late.
    pub found: u64,
    /// Runs that started anew.
    pub restarts: u64,
    /// Forgotten streams, and events of streams that are not followed.
    pub forgotten: u64,
}

/// Gaps to report: some in full, and the counts of the others.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct GapReport {
    pub gaps: Vec<Gap>,
    pub further: Further,
    /// The part of them that was waiting; the others are ranges of current runs.
    waiting: (usize, Further),
}

/// Counts of gaps without a record of their own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Further {
    pub gaps: u64,
    pub numbers: u64,
}

impl Further {
    fn add(&mut self, numbers: u64) {
        self.gaps += 1;
        self.numbers = self.numbers.saturating_add(numbers);
    }
}

#[derive(Debug, Default)]
struct Stream {
    /// In order of their last numbers' arrival.
    runs: Vec<Run>,
    heard: u64,
}

/// Numbers from `floor` to `last`, but for those that are missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Run {
    floor: u64,
    last: u64,
    began_ns: i64,
    /// In order.
    missing: Vec<Range>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Range {
    first: u64,
    last: u64,
    since_ns: i64,
    /// `is_told` is the name in format 1.
    #[serde(rename = "is_told")]
    is_reported: bool,
}

/// A stream in the state file.
#[derive(Debug, Serialize, Deserialize)]
pub struct StreamState {
    name: String,
    runs: Vec<Run>,
}

fn count(first: u64, last: u64) -> u64 {
    (last - first).saturating_add(1)
}

impl Gaps {
    /// Notes the arrival of the numbers from `first` to `last`. `is_known` if they arrived before.
    pub fn note(&mut self, stream: &str, first: u64, last: u64, at: Time, is_known: bool) {
        if stream.len() > STREAM_BYTES_MAX || first > last {
            self.counts.forgotten += 1;
            return;
        }
        if !self.streams.contains_key(stream) && self.streams.len() >= STREAMS_MAX {
            self.forget_oldest();
        }
        self.clock += 1;
        let clock = self.clock;
        let followed = self.streams.entry(stream.to_owned()).or_default();
        followed.heard = clock;
        let outcome = followed.note(first, last, at, is_known);
        self.counts.found = self.counts.found.saturating_add(outcome.found);
        self.counts.restarts += u64::from(outcome.is_restart);
        for range in outcome.displaced {
            self.settle(stream, &range);
        }
    }

    /// The number of streams.
    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    /// The gaps that are settled and unreported. They stay so until [`Gaps::reported`].
    pub fn settled(&self, now: Time) -> GapReport {
        let mut settled = GapReport {
            gaps: self.waiting.clone(),
            further: self.further,
            waiting: (self.waiting.len(), self.further),
        };
        let ranges = self.streams.iter().flat_map(|(name, stream)| {
            stream
                .runs
                .iter()
                .flat_map(move |run| run.missing.iter().map(move |range| (name, range)))
        });
        for (name, range) in ranges.filter(|(_, range)| range.is_due(now)) {
            if settled.gaps.len() < WAITING_MAX {
                settled.gaps.push(range.gap(name));
            } else {
                settled.further.add(count(range.first, range.last));
            }
        }
        settled
    }

    /// Notes that the gaps of [`Gaps::settled`] for this moment were reported.
    pub fn reported(&mut self, settled: &GapReport, now: Time) {
        let (waiting, further) = settled.waiting;
        for gap in self.waiting.drain(..waiting) {
            self.counts.add(gap.count());
        }
        self.counts.gaps += further.gaps;
        self.counts.missing = self.counts.missing.saturating_add(further.numbers);
        self.further.gaps -= further.gaps;
        self.further.numbers = self.further.numbers.saturating_sub(further.numbers);
        for run in self.streams.values_mut().flat_map(|stream| &mut stream.runs) {
            for range in run.missing.iter_mut().filter(|range| range.is_due(now)) {
                range.is_reported = true;
                self.counts.add(count(range.first, range.last));
            }
        }
    }

    /// Notes that a gap was reported before a restart.
    pub fn was_reported(&mut self, stream: &str, first: u64, last: u64) {
        let runs = self.streams.get_mut(stream).into_iter().flat_map(|stream| &mut stream.runs);
        let ranges = runs.flat_map(|run| &mut run.missing);
        for range in ranges.filter(|range| first <= range.first && range.last <= last) {
            range.is_reported = true;
        }
    }

    /// The streams for the state file.
    pub fn state(&self) -> Vec<StreamState> {
        let mut streams: Vec<(&String, &Stream)> = self.streams.iter().collect();
        streams.sort_by_key(|(_, stream)| stream.heard);
        streams
            .into_iter()
            .map(|(name, stream)| StreamState { name: name.clone(), runs: stream.runs.clone() })
            .collect()
    }

    /// Continues from the state file.
    pub fn resume(state: Vec<StreamState>) -> Gaps {
        let mut gaps = Gaps::default();
        for StreamState { name, mut runs } in state {
            runs.retain(Run::is_sound);
            runs.truncate(RUNS_MAX);
            if runs.is_empty() || name.len() > STREAM_BYTES_MAX || gaps.streams.len() >= STREAMS_MAX
            {
                continue;
            }
            gaps.clock += 1;
            gaps.streams.insert(name, Stream { runs, heard: gaps.clock });
        }
        gaps
    }

    fn forget_oldest(&mut self) {
        let oldest = self
            .streams
            .iter()
            .min_by_key(|(_, stream)| stream.heard)
            .map(|(name, _)| name.clone());
        let Some(name) = oldest else { return };
        let stream = self.streams.remove(&name).unwrap_or_default();
        self.counts.forgotten += 1;
        for range in stream.runs.iter().flat_map(|run| &run.missing) {
            self.settle(&name, range);
        }
    }

    /// Makes a gap of a range that is forgotten, unless it was reported.
    fn settle(&mut self, stream: &str, range: &Range) {
        match &mut self.waiting {
            _ if range.is_reported => {}
            waiting if waiting.len() < WAITING_MAX => waiting.push(range.gap(stream)),
            _ => self.further.add(count(range.first, range.last)),
        }
    }
}

impl Counts {
    fn add(&mut self, numbers: u64) {
        self.gaps += 1;
        self.missing = self.missing.saturating_add(numbers);
    }
}

/// The result of a note.
#[derive(Default)]
struct NoteResult {
    found: u64,
    is_restart: bool,
    /// Ranges beyond the limit.
    displaced: Vec<Range>,
}

impl Stream {
    fn note(&mut self, first: u64, last: u64, at: Time, is_known: bool) -> NoteResult {
        let mut noted = NoteResult::default();
        let Some(position) = self.run_for(first, last, at) else {
            // Known numbers start a run only in a new stream.
            if !is_known || self.runs.is_empty() {
                noted.is_restart = !self.runs.is_empty();
                self.begin(first, last, at, &mut noted.displaced);
            }
            return noted;
        };
        let mut run = self.runs.remove(position);
        noted.found = run.note(first, last, at);
        if run.missing.len() > RANGES_MAX {
            let oldest = run
                .missing
                .iter()
                .enumerate()
                .min_by_key(|(_, range)| (!range.is_reported, range.since_ns));
            let position = oldest.map_or(0, |(position, _)| position);
            noted.displaced.push(run.missing.remove(position));
        }
        self.runs.push(run);
        noted
    }

    /// The run that numbers continue: one that they follow at once, one that misses them, one that
    /// just started behind them, or the one that they are least ahead of. None if every run has
    /// them.
    fn run_for(&self, first: u64, last: u64, at: Time) -> Option<usize> {
        let find = |is_it: &dyn Fn(&Run) -> bool| self.runs.iter().rposition(is_it);
        find(&|run| run.last.checked_add(1) == Some(first))
            .or_else(|| {
                find(&|run| {
                    run.missing.iter().any(|range| range.first <= last && first <= range.last)
                })
            })
            .or_else(|| find(&|run| run.may_have_begun_with(first, last, at)))
            .or_else(|| {
                let ahead = self
                    .runs
                    .iter()
                    .enumerate()
                    .filter(|(_, run)| run.last < last && run.floor <= first);
                ahead.max_by_key(|(_, run)| run.last).map(|(position, _)| position)
            })
    }

    fn begin(&mut self, first: u64, last: u64, at: Time, displaced: &mut Vec<Range>) {
        if self.runs.len() >= RUNS_MAX {
            displaced.extend(self.runs.remove(0).missing);
        }
        self.runs.push(Run { floor: first, last, began_ns: at.unix_ns(), missing: Vec::new() });
    }
}

impl Run {
    fn may_have_begun_with(&self, first: u64, last: u64, at: Time) -> bool {
        let is_young = at.unix_ns().saturating_sub(self.began_ns) < SETTLED_AFTER_NS;
        is_young && last < self.floor && self.floor - first <= LATE_MAX
    }

    /// Adds the numbers; returns how many of them were reported as missing.
    fn note(&mut self, first: u64, last: u64, at: Time) -> u64 {
        let missing =
            |first, last| Range { first, last, since_ns: at.unix_ns(), is_reported: false };
        if last < self.floor {
            if last + 1 < self.floor {
                self.missing.insert(0, missing(last + 1, self.floor - 1));
            }
            self.floor = first;
            return 0;
        }
        let found = self.fill(first, last);
        if first > self.last && first - self.last > 1 {
            self.missing.push(missing(self.last + 1, first - 1));
        }
        self.last = self.last.max(last);
        found
    }

    /// Removes numbers from the missing ranges.
    fn fill(&mut self, first: u64, last: u64) -> u64 {
        let is_hit = |range: &Range| range.first <= last && first <= range.last;
        if !self.missing.iter().any(is_hit) {
            return 0;
        }
        let mut found: u64 = 0;
        let mut left = Vec::with_capacity(self.missing.len() + 1);
        for range in self.missing.drain(..) {
            if !is_hit(&range) {
                left.push(range);
                continue;
            }
            if range.is_reported {
                found = found.saturating_add(count(range.first.max(first), range.last.min(last)));
            }
            if range.first < first {
                left.push(Range { last: first - 1, ..range });
            }
            if last < range.last {
                left.push(Range { first: last + 1, ..range });
            }
        }
        self.missing = left;
        found
    }

    /// Whether a run of the state file makes sense.
    fn is_sound(&self) -> bool {
        let is_within = |range: &Range| {
            self.floor <= range.first && range.first <= range.last && range.last < self.last
        };
        self.floor <= self.last
            && self.missing.len() <= RANGES_MAX
            && self.missing.iter().all(is_within)
            && self.missing.is_sorted_by(|one, next| one.last < next.first)
    }
}

impl Range {
    fn is_due(&self, now: Time) -> bool {
        !self.is_reported && now.unix_ns().saturating_sub(self.since_ns) >= SETTLED_AFTER_NS
    }

    fn gap(&self, stream: &str) -> Gap {
        Gap {
            stream: stream.to_owned(),
            first: self.first,
            last: self.last,
            since: Time::from_unix_ns(self.since_ns),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn at(seconds: i64) -> Time {
        Time::from_unix_ns(1_800_000_000 * SECOND + seconds * SECOND)
    }

    /// Notes single numbers of one stream, all at the same moment.
    fn noted(numbers: &[u64]) -> Gaps {
        let mut gaps = Gaps::default();
        note_all(&mut gaps, numbers, at(0));
        gaps
    }

    fn note_all(gaps: &mut Gaps, numbers: &[u64], at: Time) {
        numbers.iter().for_each(|&number| gaps.note("a", number, number, at, false));
    }

    /// The gaps reported once all has settled.
    fn reported(gaps: &mut Gaps) -> Vec<(u64, u64)> {
        let settled = gaps.settled(at(1000));
        gaps.reported(&settled, at(1000));
        settled.gaps.iter().map(|gap| (gap.first, gap.last)).collect()
    }

    #[test]
    fn what_does_not_come_for_a_while_is_missing_once() {
        let mut gaps = noted(&[1, 2, 5, 6, 9]);
        assert_eq!(gaps.settled(at(4)), GapReport::default());
        let settled = gaps.settled(at(5));
        assert_eq!(settled.gaps.iter().map(Gap::count).collect::<Vec<_>>(), [2, 2]);
        assert_eq!(gaps.settled(at(5)), settled, "until it was reported");
        gaps.reported(&settled, at(5));
        assert_eq!(gaps.settled(at(1000)), GapReport::default());
        assert_eq!((gaps.counts.gaps, gaps.counts.missing, gaps.counts.found), (2, 4, 0));
        note_all(&mut gaps, &[3, 8], at(60));
        assert_eq!(
            (gaps.counts.found, gaps.counts.restarts),
            (2, 0),
            "what comes after all is known"
        );
    }

    #[test]
    fn a_numbering_that_begins_again_is_no_gap() {
        for (numbers, restarts) in [
            (&[7, 8, 9, 1, 2, 3, 4][..], 0),
            (&[1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 6, 7], 1),
            (&[5000, 5001, 1, 2, 3], 1),
            (&[1, 2, 3, 4, 2, 5, 6], 1),
            (&[u64::MAX, 1, 2, 3], 1),
            (&[0, 0, 0, 1], 2),
        ] {
            let mut gaps = noted(numbers);
            // What may have begun behind its first number is missing what lies between.
            let expected = if restarts == 0 { vec![(5, 6)] } else { vec![] };
            assert_eq!(
                (reported(&mut gaps), gaps.counts.restarts),
                (expected, restarts),
                "{numbers:?}"
            );
        }
        // What is lost after it is missing, and no less than before.
        let mut gaps = noted(&[1, 2, 3, 4, 5, 6, 1, 2, 4]);
        assert_eq!(reported(&mut gaps), [(3, 3)]);
        let mut gaps = noted(&[0, u64::MAX]);
        assert_eq!(reported(&mut gaps), [(1, u64::MAX - 1)]);
    }

    #[test]
    fn what_was_recorded_before_begins_nothing() {
        let mut gaps = noted(&[10, 11, 12]);
        gaps.note("a", 3, 11, at(60), true);
        assert_eq!(gaps.counts, Counts::default());
        // Nor is it a gap what a server recorded before it ended, and did not keep the number of.
        gaps.note("a", 11, 20, at(60), true);
        gaps.note("a", 21, 21, at(60), false);
        assert_eq!((reported(&mut gaps), gaps.counts.restarts), (vec![], 0));
        gaps.note("b", 7, 9, at(60), true);
        gaps.note("b", 11, 11, at(60), false);
        assert_eq!(reported(&mut gaps), [(10, 10)]);
    }

    #[test]
    fn memory_is_bounded_and_what_is_forgotten_is_counted() {
        let mut gaps = Gaps::default();
        gaps.note("first", 1, 1, at(0), false);
        gaps.note("first", 3, 3, at(0), false);
        for stream in 0..STREAMS_MAX {
            gaps.note(&format!("s{stream}"), 1, 1, at(0), false);
        }
        assert_eq!((gaps.streams(), gaps.counts.forgotten), (STREAMS_MAX, 1));
        assert_eq!(reported(&mut gaps), [(2, 2)], "a gap of a forgotten stream is reported");
        gaps.note(&"x".repeat(STREAM_BYTES_MAX + 1), 1, 1, at(0), false);
        assert_eq!((gaps.streams(), gaps.counts.forgotten), (STREAMS_MAX, 2));
        // Every second number is missing.
        let mut gaps = Gaps::default();
        let some = RANGES_MAX as u64 + 3 * WAITING_MAX as u64;
        (0..=some).for_each(|number| gaps.note("a", 2 * number, 2 * number, at(0), false));
        let settled = gaps.settled(at(60));
        assert_eq!(
            (settled.gaps.len(), settled.further.gaps),
            (WAITING_MAX, some - WAITING_MAX as u64)
        );
        gaps.reported(&settled, at(60));
        assert_eq!((gaps.counts.gaps, gaps.counts.missing), (some, some));
        assert_eq!(gaps.settled(at(1000)), GapReport::default());
    }

    #[test]
    fn the_state_file_continues() {
        let mut before = noted(&[1, 2, 5, 8]);
        before.note("b", 1, 9, at(0), false);
        let json = serde_json::to_string(&before.state()).expect("numbers and texts");
        let mut after = Gaps::resume(serde_json::from_str(&json).expect("what was written"));
        after.was_reported("a", 3, 4);
        after.was_reported("c", 3, 4);
        note_all(&mut after, &[3, 11], at(60));
        after.note("b", 12, 12, at(60), false);
        let mut found = reported(&mut after);
        found.sort_unstable();
        assert_eq!(
            (found, after.counts.restarts),
            (vec![(6, 7), (9, 10), (10, 11)], 0),
            "4 was reported"
        );
        assert_eq!(after.counts.found, 1);
        for nonsense in [
            r#"[{"name":"a","runs":[{"floor":5,"last":4,"began_ns":0,"missing":[]}]}]"#,
            r#"[{"name":"a","runs":[{"floor":0,"last":4,"began_ns":0,"missing":[{"first":3,"last":9,"since_ns":0,"is_told":false}]}]}]"#,
        ] {
            assert_eq!(
                Gaps::resume(serde_json::from_str(nonsense).expect("its form")).streams(),
                0
            );
        }
    }

    /// Numbers in an order in which each is at most `window` positions from its own.
    fn disordered(count: usize, window: usize) -> impl Strategy<Value = Vec<u64>> {
        prop::collection::vec(0..window, count).prop_map(|shifts| {
            let mut positions: Vec<(usize, u64)> = shifts
                .iter()
                .enumerate()
                .map(|(position, shift)| (position + shift, position as u64))
                .collect();
            positions.sort();
            positions.into_iter().map(|(_, number)| 1000 + number).collect()
        })
    }

    proptest! {
        #[test]
        fn order_within_a_window_makes_no_gap(numbers in disordered(300, 40)) {
            let mut gaps = Gaps::default();
            for (position, &number) in numbers.iter().enumerate() {
                gaps.note("a", number, number, Time::from_unix_ns(position as i64 * 1_000_000), false);
            }
            prop_assert_eq!((reported(&mut gaps), gaps.counts.restarts), (vec![], 0));
        }

        #[test]
        fn what_is_taken_out_is_missing_and_nothing_else(
            numbers in disordered(300, 40),
            out in 1041_u64..1250,
            count in 1_u64..4,
        ) {
            let mut gaps = Gaps::default();
            let missing = out..out + count;
            for &number in numbers.iter().filter(|number| !missing.contains(*number)) {
                gaps.note("a", number, number, at(0), false);
            }
            prop_assert_eq!(reported(&mut gaps), vec![(out, out + count - 1)]);
            prop_assert_eq!(gaps.counts.missing, count);
        }

        /// Any numbers at all: no panic, and bounds hold.
        #[test]
        fn nothing_breaks_it(
            ranges in prop::collection::vec(
                (0_u64..40, 0_u64..9, any::<bool>(), any::<bool>()),
                0..200,
            )
        ) {
            let mut gaps = Gaps::default();
            for (first, more, is_known, is_far) in ranges {
                let first = if is_far { u64::MAX - 60 + first } else { first };
                gaps.note("a", first, first + more, at(0), is_known);
            }
            prop_assert!(gaps.streams.values().all(|stream| stream.runs.len() <= RUNS_MAX));
            let sound = gaps.streams.values().flat_map(|stream| &stream.runs).all(Run::is_sound);
            prop_assert!(sound);
            let settled = gaps.settled(at(1000));
            gaps.reported(&settled, at(1000));
            prop_assert_eq!(gaps.settled(at(1000)), GapReport::default());
        }
    }
}
