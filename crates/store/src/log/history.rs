//! The history of a log: everything that the next batch depends on.

use std::collections::HashMap;
use std::sync::Arc;

use event::entry::Entry;
use event::{Service, Time, Trail, entry};
use tlog::{Hash, Tree};

use crate::error::Error;
use crate::journal::batch::{Batch, Commit, Content};
use crate::log::memtable::FrameLocation;
use crate::manifest::FlushPoint;
use crate::segment::segment::Segment;

/// Everything that the next batch depends on. Recovery and checks replay batches into it, the
/// sequencer appends to it, and both must agree.
#[derive(Default)]
pub(crate) struct History {
    pub tree: Tree,
    /// The tree over the digests of the dead letters.
    pub dead_letters: Tree,
    pub batches: u64,
    pub received_at: Option<Time>,
    /// Levels and hashes of the tiles filled since they were last taken.
    pub filled: Vec<(u32, Hash)>,
    numbers: HashMap<Trail, u64>,
    /// Whether a damaged segment may have events of any trail that is not in `numbers`.
    has_unknown_trails: bool,
}

/// An event of a replayed batch.
pub(crate) struct ReplayedEvent<'a> {
    pub index: u64,
    pub frame: FrameLocation,
    pub digest: Hash,
    pub entry: Entry,
    pub raw: &'a [u8],
}

/// Gives the digest of an entry and the entry, for its bytes.
pub(crate) type Decode<'a> = dyn FnMut(&[u8]) -> Result<(Hash, Entry), String> + 'a;

/// An entry with its digest, from its bytes.
pub(crate) fn decoded(bytes: &[u8]) -> Result<(Hash, Entry), String> {
    let entry = entry::decode(bytes).map_err(|error| error.to_string())?;
    Ok((entry::digest(bytes), entry))
}

impl History {
    /// Adds an entry's digest to the tree.
    pub(super) fn push(&mut self, digest: &Hash) {
        self.tree.push_and_visit(digest, &mut |level, hash| self.filled.push((level, hash)));
    }

    /// The number of the next event of this trail.
    pub(super) fn next_number(&mut self, trail: &Trail) -> u64 {
        match self.numbers.get_mut(trail) {
            Some(number) => {
                *number += 1;
                *number
            }
            None => {
                self.numbers.insert(trail.clone(), 1);
                1
            }
        }
    }

    /// Whether the number of the trail's next event is known.
    pub(super) fn knows_number(&self, trail: &Trail) -> bool {
        !self.has_unknown_trails || self.numbers.contains_key(trail)
    }

    /// The number of the last event of each trail.
    pub(super) fn numbers(&self) -> &HashMap<Trail, u64> {
        &self.numbers
    }

    /// Takes back the newest number of this trail.
    pub(super) fn take_back_number(&mut self, trail: &Trail) {
        match self.numbers.get_mut(trail) {
            Some(number) if *number > 1 => *number -= 1,
            _ => drop(self.numbers.remove(trail)),
        }
    }

    /// Size and root of the tree.
    pub fn head(&self) -> (u64, Hash) {
        (self.tree.size(), self.tree.root())
    }

    /// Size and root of the tree over the dead letters.
    pub fn dead_letters_head(&self) -> (u64, Hash) {
        (self.dead_letters.size(), self.dead_letters.root())
    }

    /// The state of the log now.
    pub fn flush_point(&self) -> FlushPoint {
        FlushPoint {
            events: self.tree.size(),
            batches: self.batches,
            dead_letters: self.dead_letters.size(),
            received_at_ns: self.received_at.map(Time::unix_ns),
            tree: FlushPoint::roots_of(&self.tree),
            open_files: Vec::new(),
        }
    }

    /// Resumes from a flush point. `None` when its tree is malformed.
    pub fn resume(
        flushed: &FlushPoint,
        dead_letters: Tree,
        segments: &[Arc<Segment>],
    ) -> Option<History> {
        let mut numbers: HashMap<Trail, u64> = HashMap::new();
        for segment in segments {
            if !segment.knows_trails() {
                // Any trail may go on in it, and then the number found before is not the last.
                numbers.clear();
            }
            for (trail, run) in segment.trails() {
                let last = run.first_number + u64::from(run.end - run.start) - 1;
                let number = numbers.entry(trail.clone()).or_default();
                *number = last.max(*number);
            }
        }
        Some(History {
            tree: flushed.tree()?,
            dead_letters,
            batches: flushed.batches,
            received_at: flushed.received_at(),
            filled: Vec::new(),
            numbers,
            has_unknown_trails: segments.iter().any(|segment| !segment.knows_trails()),
        })
    }

    pub fn trails(&self) -> usize {
        self.numbers.len()
    }

    /// Trails are numbered from 1 without gaps, so their last numbers are their sizes.
    pub fn events_of(&self, service: Service) -> u64 {
        self.numbers
            .iter()
            .filter(|(trail, _)| trail.service() == service)
            .map(|(_, number)| number)
            .sum()
    }

    /// Continues by one event, after checking that it is the next one.
    pub fn go_on(
        &mut self,
        digest: &[u8; 32],
        trail: &Trail,
        number: u64,
        received_at: Time,
    ) -> Result<(), &'static str> {
        if !self.knows_number(trail) {
            self.numbers.insert(trail.clone(), number);
        } else if number != self.next_number(trail) {
            return Err("the event's number does not follow the one before in its trail");
        }
        if self.received_at.is_some_and(|before| before > received_at) {
            return Err("the event was received before the one before it");
        }
        self.push(digest);
        self.received_at = Some(received_at);
        Ok(())
    }

    /// Replays one batch, after checking that it is the next one. `decode` gets the bytes of every
    /// entry in order, and `each` every event.
    pub fn replay(
        &mut self,
        batch: &Batch<'_>,
        decode: &mut Decode<'_>,
        each: &mut dyn FnMut(ReplayedEvent<'_>) -> Result<(), &'static str>,
    ) -> Result<(), Error> {
        for (position, len_bytes, content) in &batch.frames {
            let damage = |what: &str| Error::damage(batch.file, u64::from(position.offset), what);
            match content {
                Content::Event { index, entry, raw } => {
                    if *index != self.tree.size() {
                        return Err(damage(&format!(
                            "event {index} stands where event {} belongs",
                            self.tree.size()
                        )));
                    }
                    let (digest, decoded) = decode(entry).map_err(|why| damage(&why))?;
                    self.go_on(&digest, &decoded.event.trail, decoded.number, decoded.received_at)
                        .map_err(damage)?;
                    let frame = FrameLocation { at: *position, len_bytes: *len_bytes };
                    each(ReplayedEvent { index: *index, frame, digest, entry: decoded, raw })
                        .map_err(damage)?;
                }
                Content::DeadLetter(record) => {
                    if record.number != self.dead_letters.size() {
                        return Err(damage("a dead letter does not follow the one before"));
                    }
                    self.dead_letters.push(&record.digest());
                }
            }
        }
        let Commit { tree_size, root, dead_letters, .. } = batch.commit;
        if (tree_size, dead_letters) != (self.tree.size(), self.dead_letters.size())
            || root != self.tree.root()
        {
            let what = format!(
                "batch {} was committed with another tree than its events make",
                batch.commit.batch
            );
            return Err(Error::damage(batch.file, batch.offset, what));
        }
        self.batches = batch.commit.batch + 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::trail;

    #[test]
    fn events_follow_in_number_and_time() {
        let mut history = History::default();
        let at = Time::from_unix_ns;
        assert_eq!(history.go_on(&[1; 32], &trail(), 1, at(5)), Ok(()));
        assert!(history.go_on(&[2; 32], &trail(), 3, at(5)).is_err(), "a gap");
        let mut history = History::default();
        history.go_on(&[1; 32], &trail(), 1, at(5)).expect("the first");
        let mut expected = Tree::new();
        expected.push(&[1; 32]);
        assert_eq!(history.head(), (1, expected.root()));
        assert_eq!((history.trails(), history.events_of(Service::Registry)), (1, 1));
        assert!(history.go_on(&[2; 32], &trail(), 2, at(4)).is_err(), "time goes back");
    }

    #[test]
    fn numbers_are_taken_back_to_the_first() {
        let mut history = History::default();
        assert_eq!([1, 2].map(|_| history.next_number(&trail())), [1, 2]);
        history.take_back_number(&trail());
        assert_eq!(history.next_number(&trail()), 2);
        (0..2).for_each(|_| history.take_back_number(&trail()));
        assert_eq!((history.trails(), history.next_number(&trail())), (0, 1));
    }

    #[test]
    fn a_history_resumes_from_its_flush_point() {
        let mut history = History::default();
        for number in 1..=5 {
            history.go_on(&[7; 32], &trail(), number, Time::from_unix_ns(3)).expect("the next");
        }
        history.batches = 2;
        let point = history.flush_point();
        let resumed = History::resume(&point, Tree::new(), &[]).expect("its tree is whole");
        assert_eq!((resumed.flush_point(), resumed.head()), (point.clone(), history.head()));
        let broken = FlushPoint { events: 7, ..point };
        assert!(History::resume(&broken, Tree::new(), &[]).is_none());
    }
}
