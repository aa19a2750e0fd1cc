//! Gaps in what a source numbers.
//!
//! A source may number the events of a stream without gaps ([`formats::Sequence`]). What
//! never came shows as missing numbers. Events come late and in each other's way, so a number
//! counts as missing only when it did not come for [`SETTLED_AFTER_NS`]; one that comes later still
//! is found again.
//!
//! A source that starts again may begin to number anew. So a stream has several runs of numbers; a
//! number goes on with the run that it fits best, and one that fits none begins a run, which is no
//! gap. Where a run ends cannot be known: that its last events were lost is not noticed.
//!
//! Pure: time is an argument, and whoever calls records the gaps.

use std::collections::HashMap;

use event::Time;
use serde::{Deserialize, Serialize};

/// A number that others overtook may come so much later: what is sent by several connections at
/// once, or again after a refusal, has come by then.
pub const SETTLED_AFTER_NS: i64 = 5_000_000_000;
/// Streams followed of a source: more sessions or hosts than write at once. The one not heard of
/// for longest is forgotten for a new one.
pub const STREAMS_MAX: usize = 1024;
/// Bytes of a stream's name; events of longer ones are not followed.
pub const STREAM_BYTES_MAX: usize = 256;
/// Ranges of missing numbers kept of a run, so that a late number is known. Beyond, the oldest
/// counts as settled.
pub const RANGES_MAX: usize = 128;
/// Runs of a stream: that in use, the one before, and what a few repeated events begin.
pub const RUNS_MAX: usize = 4;
/// A run that just began is taken to have begun before its first number, if a number comes that is
/// less by so much at most: the first events came out of order.
const LATE_MAX: u64 = 1000;
/// Gaps that wait to be told one by one. Beyond, they are added up, so that a flood of them is no
/// flood of records.
pub const WAITING_MAX: usize = 100;

/// Numbers that did not come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    pub stream: String,
    pub first: u64,
    pub last: u64,
    /// When a later number came.
    pub since: Time,
}

impl Gap {
    pub fn count(&self) -> u64 {
        count(self.first, self.last)
    }
}

/// What is known of a source's numbers.
#[derive(Debug, Default)]
pub struct Gaps {
    streams: HashMap<String, Stream>,
    /// Counts what was noted, to tell which stream was not heard of for longest.
    clock: u64,
    /// Gaps in what is not followed any more, which were not told yet: some, and how many there are
    /// besides.
    waiting: Vec<Gap>,
    further: Further,
    pub counts: Counts,
}

/// What came of following a source's numbers, since the server started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Ranges of numbers that did not come.
    pub gaps: u64,
    /// The numbers in them.
    pub missing: u64,
    /// Those of them that came after all.
    pub found: u64,
    /// Runs that began again.
    pub restarts: u64,
    /// Streams that were forgotten, and events of streams that are not followed.
    pub forgotten: u64,
}

/// Gaps to be told: some one by one, and how many there are besides.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Settled {
    pub gaps: Vec<Gap>,
    pub further: Further,
    /// So many of them were waiting, and so many besides; the others are ranges that are followed.
    waiting: (usize, Further),
}

/// Gaps that are not told one by one.
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
    /// The one heard of last is last.
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
    is_told: bool,
}

/// A stream as it is kept across restarts.
#[derive(Debug, Serialize, Deserialize)]
pub struct KeptStream {
    name: String,
    runs: Vec<Run>,
}

fn count(first: u64, last: u64) -> u64 {
    (last - first).saturating_add(1)
}

impl Gaps {
    /// Notes that the numbers from `first` to `last` came. `is_known` of those that came before.
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

    /// Streams followed now.
    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    /// The gaps that count as such by now and were not told yet. They are told again until
    /// [`Gaps::told`].
    pub fn settled(&self, now: Time) -> Settled {
        let mut settled = Settled {
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

    /// Takes note that what [`Gaps::settled`] gave for this moment was told.
    pub fn told(&mut self, settled: &Settled, now: Time) {
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
                range.is_told = true;
                self.counts.add(count(range.first, range.last));
            }
        }
    }

    /// Takes note that a gap was told before a restart.
    pub fn was_told(&mut self, stream: &str, first: u64, last: u64) {
        let runs = self.streams.get_mut(stream).into_iter().flat_map(|stream| &mut stream.runs);
        let ranges = runs.flat_map(|run| &mut run.missing);
        for range in ranges.filter(|range| first <= range.first && range.last <= last) {
            range.is_told = true;
        }
    }

    /// What is to be kept across restarts.
    pub fn kept(&self) -> Vec<KeptStream> {
        let mut streams: Vec<(&String, &Stream)> = self.streams.iter().collect();
        streams.sort_by_key(|(_, stream)| stream.heard);
        streams
            .into_iter()
            .map(|(name, stream)| KeptStream { name: name.clone(), runs: stream.runs.clone() })
            .collect()
    }

    /// Goes on from what was kept.
    pub fn resume(kept: Vec<KeptStream>) -> Gaps {
        let mut gaps = Gaps::default();
        for KeptStream { name, mut runs } in kept {
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

    /// Takes a range that is not followed any more for a gap, if it was not told as one.
    fn settle(&mut self, stream: &str, range: &Range) {
        match &mut self.waiting {
            _ if range.is_told => {}
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

/// What came of a note.
#[derive(Default)]
struct Noted {
    found: u64,
    is_restart: bool,
    /// Ranges that there is no room for.
    displaced: Vec<Range>,
}

impl Stream {
    fn note(&mut self, first: u64, last: u64, at: Time, is_known: bool) -> Noted {
        let mut noted = Noted::default();
        let Some(position) = self.run_for(first, last, at) else {
            // What came before begins nothing, unless nothing is known of the stream.
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
                .min_by_key(|(_, range)| (!range.is_told, range.since_ns));
            let position = oldest.map_or(0, |(position, _)| position);
            noted.displaced.push(run.missing.remove(position));
        }
        self.runs.push(run);
        noted
    }

    /// The run that numbers go on with: one that they follow at once, one that misses them, one
    /// that just began behind them, the one that they are least ahead of. None where all know them
    /// already.
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

    /// Takes the numbers; returns how many of them were told to be missing.
    fn note(&mut self, first: u64, last: u64, at: Time) -> u64 {
        let missing = |first, last| Range { first, last, since_ns: at.unix_ns(), is_told: false };
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

    /// Takes numbers out of what is missing.
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
            if range.is_told {
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

    /// Whether a run that was kept makes sense.
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
        !self.is_told && now.unix_ns().saturating_sub(self.since_ns) >= SETTLED_AFTER_NS
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

    /// What is told when all has settled.
    fn told(gaps: &mut Gaps) -> Vec<(u64, u64)> {
        let settled = gaps.settled(at(1000));
        gaps.told(&settled, at(1000));
        settled.gaps.iter().map(|gap| (gap.first, gap.last)).collect()
    }

    #[test]
    fn what_does_not_come_for_a_while_is_missing_once() {
        let mut gaps = noted(&[1, 2, 5, 6, 9]);
        assert_eq!(gaps.settled(at(4)), Settled::default());
        let settled = gaps.settled(at(5));
        assert_eq!(settled.gaps.iter().map(Gap::count).collect::<Vec<_>>(), [2, 2]);
        assert_eq!(gaps.settled(at(5)), settled, "until it was told");
        gaps.told(&settled, at(5));
        assert_eq!(gaps.settled(at(1000)), Settled::default());
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
                (told(&mut gaps), gaps.counts.restarts),
                (expected, restarts),
                "{numbers:?}"
            );
        }
        // What is lost after it is missing, and no less than before.
        let mut gaps = noted(&[1, 2, 3, 4, 5, 6, 1, 2, 4]);
        assert_eq!(told(&mut gaps), [(3, 3)]);
        let mut gaps = noted(&[0, u64::MAX]);
        assert_eq!(told(&mut gaps), [(1, u64::MAX - 1)]);
    }

    #[test]
    fn what_was_recorded_before_begins_nothing() {
        let mut gaps = noted(&[10, 11, 12]);
        gaps.note("a", 3, 11, at(60), true);
        assert_eq!(gaps.counts, Counts::default());
        // Nor is it a gap what a server recorded before it ended, and did not keep the number of.
        gaps.note("a", 11, 20, at(60), true);
        gaps.note("a", 21, 21, at(60), false);
        assert_eq!((told(&mut gaps), gaps.counts.restarts), (vec![], 0));
        gaps.note("b", 7, 9, at(60), true);
        gaps.note("b", 11, 11, at(60), false);
        assert_eq!(told(&mut gaps), [(10, 10)]);
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
        assert_eq!(told(&mut gaps), [(2, 2)], "a gap of a stream that was forgotten is told");
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
        gaps.told(&settled, at(60));
        assert_eq!((gaps.counts.gaps, gaps.counts.missing), (some, some));
        assert_eq!(gaps.settled(at(1000)), Settled::default());
    }

    #[test]
    fn what_is_kept_goes_on() {
        let mut before = noted(&[1, 2, 5, 8]);
        before.note("b", 1, 9, at(0), false);
        let json = serde_json::to_string(&before.kept()).expect("numbers and texts");
        let mut after = Gaps::resume(serde_json::from_str(&json).expect("what was written"));
        after.was_told("a", 3, 4);
        after.was_told("c", 3, 4);
        note_all(&mut after, &[3, 11], at(60));
        after.note("b", 12, 12, at(60), false);
        let mut found = told(&mut after);
        found.sort_unstable();
        assert_eq!(
            (found, after.counts.restarts),
            (vec![(6, 7), (9, 10), (10, 11)], 0),
            "4 was told"
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

    /// Numbers in an order in which each is at most `window` places from its own.
    fn disordered(count: usize, window: usize) -> impl Strategy<Value = Vec<u64>> {
        prop::collection::vec(0..window, count).prop_map(|shifts| {
            let mut places: Vec<(usize, u64)> = shifts
                .iter()
                .enumerate()
                .map(|(place, shift)| (place + shift, place as u64))
                .collect();
            places.sort();
            places.into_iter().map(|(_, number)| 1000 + number).collect()
        })
    }

    proptest! {
        #[test]
        fn order_within_a_window_makes_no_gap(numbers in disordered(300, 40)) {
            let mut gaps = Gaps::default();
            for (place, &number) in numbers.iter().enumerate() {
                gaps.note("a", number, number, Time::from_unix_ns(place as i64 * 1_000_000), false);
            }
            prop_assert_eq!((told(&mut gaps), gaps.counts.restarts), (vec![], 0));
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
            prop_assert_eq!(told(&mut gaps), vec![(out, out + count - 1)]);
            prop_assert_eq!(gaps.counts.missing, count);
        }

        /// Any numbers at all: no panic, and bounds hold.
        #[test]
        fn nothing_breaks_it(ranges in prop::collection::vec((0_u64..40, 0_u64..9, any::<bool>(), any::<bool>()), 0..200)) {
            let mut gaps = Gaps::default();
            for (first, more, is_known, is_far) in ranges {
                let first = if is_far { u64::MAX - 60 + first } else { first };
                gaps.note("a", first, first + more, at(0), is_known);
            }
            prop_assert!(gaps.streams.values().all(|stream| stream.runs.len() <= RUNS_MAX));
            let sound = gaps.streams.values().flat_map(|stream| &stream.runs).all(Run::is_sound);
            prop_assert!(sound);
            let settled = gaps.settled(at(1000));
            gaps.told(&settled, at(1000));
            prop_assert_eq!(gaps.settled(at(1000)), Settled::default());
        }
    }
}
