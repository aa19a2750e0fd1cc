//! The sequencer: orders events and makes them durable, one group at a time.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use event::RejectedRecord;
use event::entry::{self, NUMBER_MAX};
use event::{Event, Time};
use tlog::{Hash, Tree};

use crate::damage::Damages;
use crate::error::Error;
use crate::journal::batch::{Commit, DeadLetter, Position};
use crate::journal::contract::Journal;
use crate::journal::frame::BatchWriter;
use crate::log::dedup::{Key, KeyEntry, KeyIndex, dead_letter_key};
use crate::log::history::History;
use crate::log::memtable::{FrameLocation, NewRow};
use crate::log::recovery::Recovery;
use crate::log::request::{Append, IncomingEvent, OnConflict, Receipt, Refusal};
use crate::log::settings::Settings;
use crate::log::state::State;
use crate::log::words::Words;
use crate::segment::key_search::{KeySearch, KeysFound};

/// Memory retained for the next group; larger groups are rare and free theirs.
const GROUP_BYTES_RETAINED: usize = 4 << 20;

pub(crate) struct Sequencer {
    journal: Box<dyn Journal>,
    state: Arc<RwLock<State>>,
    known: KeyIndex,
    history: History,
    batch: BatchWriter,
    /// Events of the group, to be published once they are durable.
    group: Vec<GroupEvent>,
    /// Dead letters of the group.
    dead_letters: Vec<GroupDeadLetter>,
    /// Whether the newest batch lacks its mark.
    is_unmarked: bool,
    damages: Arc<Damages>,
    /// [`Settings::latest`](crate::Settings::latest).
    latest: Arc<dyn Fn() -> Time + Send + Sync>,
}

/// An event of a group.
struct GroupEvent {
    event: Event,
    words: Words,
    rest: Vec<u8>,
    key: Option<Key>,
    digest: Hash,
    number: u64,
    received_at: Time,
    offset: usize,
    len_bytes: u32,
}

/// A dead letter of a group: its location in the batch, and its key.
struct GroupDeadLetter {
    offset: usize,
    len_bytes: u32,
    key: Key,
}

/// The part of the history that a group extends, as it was before.
struct Before {
    tree: Tree,
    dead_letters: Tree,
    received_at: Option<Time>,
}

impl Sequencer {
    pub fn new(journal: Box<dyn Journal>, recovered: Recovery, salt: [u8; 16]) -> Sequencer {
        let Recovery { history, state, known } = recovered;
        Sequencer {
            journal,
            state: Arc::new(RwLock::new(state)),
            known,
            history,
            batch: BatchWriter::new(salt),
            group: Vec::new(),
            dead_letters: Vec::new(),
            is_unmarked: false,
            damages: Arc::default(),
            latest: Settings::default().latest,
        }
    }

    /// Believes no time later than this one.
    pub fn with_latest(self, latest: Arc<dyn Fn() -> Time + Send + Sync>) -> Sequencer {
        Sequencer { latest, ..self }
    }

    /// Notes damage that it meets here.
    pub fn with_damages(self, damages: &Arc<Damages>) -> Sequencer {
        Sequencer { damages: Arc::clone(damages), ..self }
    }

    pub fn state(&self) -> Arc<RwLock<State>> {
        Arc::clone(&self.state)
    }

    /// Ends the active memtable, so that all events can be flushed.
    pub fn freeze(&mut self) {
        let mut state = self.state.write().expect("no panic while held");
        if state.active.len() > 0 || !state.dead_letters.is_empty() {
            self.known.freeze(self.history.tree.size());
            state.freeze(self.history.flush_point());
        }
    }

    pub fn dead_letters(&self) -> u64 {
        self.history.dead_letters.size()
    }

    /// Weight of the events not yet flushed.
    pub fn unflushed_weight(&self) -> u64 {
        self.state.read().expect("no panic while held").unflushed_weight()
    }

    /// Records a group of requests with one sync. When this returns, all receipts are durable and
    /// visible.
    ///
    /// Without room for the group, every request is refused as [`Refusal::StorageFull`] and leaves
    /// no trace. After an error the fate of the group is unknown, and the sequencer must not be
    /// used any more.
    pub fn commit(
        &mut self,
        requests: Vec<Append>,
    ) -> Result<Vec<Result<Receipt, Refusal>>, Error> {
        if self.is_unmarked {
            self.batch.begin_with_mark(self.history.batches - 1);
        }
        let segments = Arc::clone(&self.state.read().expect("no panic while held").segments);
        self.known.forget_before(segments.last().map_or(0, |segment| segment.meta.end()));
        let keys =
            requests.iter().flat_map(|request| &request.events).filter_map(|event| event.key);
        let (sought, mut flushed) = (KeySearch::of(keys), KeysFound::default());
        for segment in segments.iter() {
            match segment.find_keys(&sought, &mut flushed) {
                // The segment has no key that reads back. Intake goes on without them, so that an
                // event of the segment that is sent again is recorded again.
                Err(why) if why.is_unreadable() => self.damages.note(&why),
                found => found?,
            }
        }
        flushed.damage.iter().for_each(|why| self.damages.note(why));
        let latest = (self.latest)();
        let before = self.before();
        let admit = |request| Ok(self.admit(request, &flushed, latest));
        let answers: Vec<_> = requests.into_iter().map(admit).collect::<Result<_, Error>>()?;
        if self.batch.is_empty() {
            self.batch.clear(GROUP_BYTES_RETAINED);
        } else if let Err(error) = self.write() {
            if !error.is_storage_full() {
                return Err(error);
            }
            self.take_back(before);
            // A duplicate or a conflict may be one of an event that was just taken back.
            return Ok(answers.iter().map(|_| Err(Refusal::StorageFull)).collect());
        }
        let tree_size = self.history.tree.size();
        Ok(answers
            .into_iter()
            .map(|answer| answer.map(|receipt| Receipt { tree_size, ..receipt }))
            .collect())
    }

    /// Writes the mark of the newest batch, if it has none. Call it when no batch follows at once;
    /// the next batch takes the mark along otherwise.
    pub fn mark(&mut self) -> Result<(), Error> {
        if !self.is_unmarked {
            return Ok(());
        }
        match self.journal.mark(self.history.batches - 1) {
            // The next batch brings it.
            Err(error) if error.is_storage_full() => Ok(()),
            done => {
                self.is_unmarked = false;
                done
            }
        }
    }

    pub fn close(&mut self) -> Result<(), Error> {
        self.mark()?;
        self.journal.close()
    }

    fn before(&self) -> Before {
        Before {
            tree: self.history.tree.clone(),
            dead_letters: self.history.dead_letters.clone(),
            received_at: self.history.received_at,
        }
    }

    /// Returns to the state before the group, of which nothing was written.
    fn take_back(&mut self, before: Before) {
        for GroupEvent { event, key, .. } in self.group.drain(..).rev() {
            self.history.take_back_number(&event.trail);
            if let Some(key) = key {
                self.known.take_back_event(&key);
            }
        }
        for GroupDeadLetter { key, .. } in self.dead_letters.drain(..) {
            self.known.take_back(&key);
        }
        let Before { tree, dead_letters, received_at } = before;
        (self.history.tree, self.history.dead_letters) = (tree, dead_letters);
        self.history.received_at = received_at;
        // Those before the group were taken when it was published.
        self.history.filled.clear();
        self.batch.clear(GROUP_BYTES_RETAINED);
    }

    /// Adds one request to the batch, or refuses it and leaves no trace. `flushed` are the events
    /// in segments that have one of its keys.
    fn admit(
        &mut self,
        request: Append,
        flushed: &KeysFound,
        latest: Time,
    ) -> Result<Receipt, Refusal> {
        if request.on_conflict == OnConflict::Refuse {
            let mut events = request.events.iter();
            if let Some(because) = events.find_map(|event| self.undecided(event, flushed)) {
                return Err(Refusal::Damaged { because: because.to_owned() });
            }
            self.refuse_conflicts(&request.events, flushed)?;
        }
        let arrived_at = request.received_at.min(latest);
        // The clock may step back; the log does not.
        let received_at = self.history.received_at.map_or(arrived_at, |last| last.max(arrived_at));
        let mut receipt = Receipt {
            first_index: None,
            recorded: 0,
            duplicates: Vec::new(),
            rejected: Vec::new(),
            dead_letters: 0,
            tree_size: 0,
        };
        let mut rejected = request.rejected;
        for (position, incoming) in request.events.into_iter().enumerate() {
            if let Some(because) = self.undecided(&incoming, flushed) {
                let reason = format!("damaged: {because}");
                receipt.rejected.push((position, reason.clone()));
                rejected.push(RejectedRecord { reason, raw: incoming.event.raw });
                continue;
            }
            match incoming.key.and_then(|key| self.first(&key, flushed)) {
                None => {
                    let index = self.record(incoming, received_at);
                    receipt.first_index.get_or_insert(index);
                    receipt.recorded += 1;
                }
                Some(first) if first.has_content(incoming.template.raw_sha256()) => {
                    receipt.duplicates.push((position, first.index));
                }
                Some(first) => {
                    let reason =
                        format!("id_conflict: event {} has this id and other bytes", first.index);
                    receipt.rejected.push((position, reason.clone()));
                    rejected.push(RejectedRecord { reason, raw: incoming.event.raw });
                }
            }
        }
        for record in rejected {
            receipt.dead_letters += usize::from(self.reject(&request.source, received_at, record));
        }
        Ok(receipt)
    }

    /// The event that was recorded under this key.
    fn first(&self, key: &Key, flushed: &KeysFound) -> Option<KeyEntry> {
        self.known.get(key).or_else(|| flushed.events.get(key).copied())
    }

    /// Why an event cannot be recorded while a segment is damaged, if that is so.
    fn undecided(&self, incoming: &IncomingEvent, flushed: &KeysFound) -> Option<&'static str> {
        let unknown = incoming.key.filter(|key| self.first(key, flushed).is_none());
        if unknown.is_some_and(|key| flushed.undecided.contains(&key)) {
            Some("the event may be one of a damaged segment, which does not read back")
        } else if !self.history.knows_number(&incoming.event.trail) {
            Some("a damaged segment hides the number of the trail's last event")
        } else {
            None
        }
    }

    fn refuse_conflicts(
        &self,
        events: &[IncomingEvent],
        flushed: &KeysFound,
    ) -> Result<(), Refusal> {
        let mut own: HashMap<Key, KeyEntry> = HashMap::new();
        for (position, incoming) in events.iter().enumerate() {
            let Some(key) = incoming.key else { continue };
            let raw_sha256 = incoming.template.raw_sha256();
            let index = self.history.tree.size() + position as u64;
            let first = self
                .first(&key, flushed)
                .unwrap_or_else(|| *own.entry(key).or_insert(KeyEntry::new(index, raw_sha256)));
            if !first.has_content(raw_sha256) {
                return Err(Refusal::Conflict { position, index: first.index });
            }
        }
        Ok(())
    }

    fn record(&mut self, incoming: IncomingEvent, received_at: Time) -> u64 {
        let IncomingEvent { event, template, words, rest, key } = incoming;
        let index = self.history.tree.size();
        let number = self.history.next_number(&event.trail);
        assert!(
            number <= NUMBER_MAX,
            "2^53 events take a thousand years at eight million a second"
        );
        let (offset, len_bytes, entry) =
            self.batch.event(index, &template, number, received_at, &event.raw);
        let digest = entry::digest(self.batch.bytes(entry));
        self.history.push(&digest);
        self.history.received_at = Some(received_at);
        if let Some(key) = key {
            self.known.insert_event(key, KeyEntry::new(index, template.raw_sha256()));
        }
        self.group.push(GroupEvent {
            event,
            words,
            rest,
            key,
            digest,
            number,
            received_at,
            offset,
            len_bytes,
        });
        index
    }

    /// Records a dead letter. Returns false when these bytes were recorded before.
    fn reject(&mut self, source: &str, received_at: Time, rejected: RejectedRecord) -> bool {
        let key = dead_letter_key(source, &rejected.raw);
        if self.known.get(&key).is_some() {
            return false;
        }
        let number = self.history.dead_letters.size();
        let RejectedRecord { reason, raw } = rejected;
        let record = DeadLetter { number, received_at, source: source.to_owned(), reason, raw };
        let (offset, len_bytes) = self.batch.dead_letter(&record);
        self.dead_letters.push(GroupDeadLetter { offset, len_bytes, key });
        self.known.insert(key, KeyEntry::new(number, &[0; 32]));
        self.history.dead_letters.push(&record.digest());
        true
    }

    fn write(&mut self) -> Result<(), Error> {
        let commit = Commit {
            batch: self.history.batches,
            frames: self.batch.frames(),
            tree_size: self.history.tree.size(),
            root: self.history.tree.root(),
            dead_letters: self.history.dead_letters.size(),
        };
        let start = self.journal.append(&commit, self.batch.end_with(&commit))?;
        // The group is durable, and the mark of the one before with it.
        self.history.batches += 1;
        self.is_unmarked = true;
        let frame = |offset: usize, len_bytes| {
            let offset = start.offset
                + u32::try_from(offset).expect("batches are limited to far below 4 GiB");
            FrameLocation { at: Position { offset, ..start }, len_bytes }
        };
        let rows: Vec<NewRow<'_>> = self
            .group
            .iter()
            .map(|pending| NewRow {
                event: &pending.event,
                words: &pending.words,
                rest: &pending.rest,
                key: pending.key.as_ref(),
                digest: pending.digest,
                number: pending.number,
                raw: &pending.event.raw,
                received_at: pending.received_at,
                frame: frame(pending.offset, pending.len_bytes),
            })
            .collect();
        let mut state = self.state.write().expect("no panic while held");
        state.extend(&rows, self.history.head(), &mut self.history.filled);
        state.dead_letters_head = self.history.dead_letters_head();
        state
            .dead_letters
            .extend(self.dead_letters.iter().map(|one| frame(one.offset, one.len_bytes)));
        // The group is visible.
        if state.is_full() {
            self.known.freeze(self.history.tree.size());
            state.freeze(self.history.flush_point());
        }
        drop(state);
        drop(rows);
        self.group.clear();
        self.dead_letters.clear();
        self.batch.clear(GROUP_BYTES_RETAINED);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::journal::contract::Reader;
    use crate::samples::event;

    /// A journal that records the commits of its batches and the marks, unless it is full.
    #[derive(Clone, Default)]
    struct Commits(Arc<Mutex<Vec<(Commit, usize)>>>, Arc<Mutex<Vec<u64>>>, Arc<AtomicBool>);

    impl Commits {
        fn find_room(&self) -> Result<(), Error> {
            match self.2.load(Ordering::Relaxed) {
                true => Err(Error::io("write")(io::ErrorKind::StorageFull.into())),
                false => Ok(()),
            }
        }
    }

    impl Journal for Commits {
        fn append(&mut self, commit: &Commit, frames: &[u8]) -> Result<Position, Error> {
            self.find_room()?;
            self.0.lock().expect("no panic while held").push((*commit, frames.len()));
            Ok(Position { file: 0, offset: 0 })
        }

        fn mark(&mut self, batch: u64) -> Result<(), Error> {
            self.find_room()?;
            self.1.lock().expect("no panic while held").push(batch);
            Ok(())
        }

        fn reader(&self) -> Arc<dyn Reader> {
            unreachable!("a sequencer reads nothing")
        }

        fn close(&mut self) -> Result<(), Error> {
            Ok(())
        }
    }

    fn sequencer() -> (Sequencer, Commits) {
        let journal = Commits::default();
        let mut recovery = Recovery::default();
        recovery.state.memtable_events_max = 100;
        (Sequencer::new(Box::new(journal.clone()), recovery, [7; 16]), journal)
    }

    fn request(keys: &[&str], received_ns: i64, on_conflict: OnConflict) -> Append {
        let keyed = |key: &&str| {
            let mut event = event(1);
            // The part before the colon is the key; all of it is the content.
            event.origin.key = key.split(':').next().map(str::to_owned);
            event.raw = key.as_bytes().to_vec();
            IncomingEvent::new(event)
        };
        Append {
            source: "hub".to_owned(),
            received_at: Time::from_unix_ns(received_ns),
            events: keys.iter().map(keyed).collect(),
            rejected: Vec::new(),
            on_conflict,
            is_own: false,
        }
    }

    fn receipt(first_index: Option<u64>, recorded: usize, duplicates: &[(usize, u64)]) -> Receipt {
        let duplicates = duplicates.to_vec();
        let rejected = Vec::new();
        Receipt { first_index, recorded, duplicates, rejected, dead_letters: 0, tree_size: 0 }
    }

    #[test]
    fn a_group_is_one_batch_and_repetitions_are_duplicates() {
        let (mut sequencer, journal) = sequencer();
        let refuse = OnConflict::Refuse;
        let group = vec![request(&["a", "b"], 5, refuse), request(&["b", "c"], 3, refuse)];
        let receipts = sequencer.commit(group).expect("no fault");
        let expected = [receipt(Some(0), 2, &[]), receipt(Some(2), 1, &[(0, 1)])];
        assert_eq!(receipts, expected.map(|receipt| Ok(Receipt { tree_size: 3, ..receipt })));
        let commits = journal.0.lock().expect("no panic while held").clone();
        assert_eq!(commits.iter().map(|(commit, _)| commit.frames).collect::<Vec<_>>(), [3]);
        assert_eq!(commits[0].0.tree_size, 3);
        assert_eq!(
            sequencer.history.received_at,
            Some(Time::from_unix_ns(5)),
            "time never goes back"
        );
    }

    #[test]
    fn no_event_is_received_later_than_it_can_be() {
        let (sequencer, _) = sequencer();
        let mut sequencer = sequencer.with_latest(Arc::new(|| Time::from_unix_ns(7)));
        for (key, received_ns, expected) in [("a", 5, 5), ("b", 900, 7), ("c", 6, 7)] {
            let group = vec![request(&[key], received_ns, OnConflict::Refuse)];
            sequencer.commit(group).expect("no fault");
            assert_eq!(sequencer.history.received_at, Some(Time::from_unix_ns(expected)), "{key}");
        }
    }

    #[test]
    fn a_conflict_refuses_the_request_or_becomes_a_dead_letter() {
        let (mut sequencer, journal) = sequencer();
        sequencer.commit(vec![request(&["a"], 1, OnConflict::Refuse)]).expect("no fault");
        let conflicting = |on_conflict| vec![request(&["new", "a:other"], 1, on_conflict)];
        let refused = sequencer.commit(conflicting(OnConflict::Refuse)).expect("no fault");
        assert_eq!(refused, [Err(Refusal::Conflict { position: 1, index: 0 })]);
        assert_eq!(sequencer.history.tree.size(), 1, "nothing of it is recorded");
        let rejected = sequencer.commit(conflicting(OnConflict::DeadLetter)).expect("no fault");
        let conflict = "id_conflict: event 0 has this id and other bytes".to_owned();
        let rejects = vec![(1, conflict)];
        let expected = Receipt {
            dead_letters: 1,
            rejected: rejects,
            tree_size: 2,
            ..receipt(Some(1), 1, &[])
        };
        assert_eq!(rejected, [Ok(expected)]);
        assert_eq!(
            journal.0.lock().expect("no panic while held").len(),
            2,
            "no batch for a refusal"
        );
        assert_eq!(sequencer.dead_letters(), 1);
    }

    #[test]
    fn the_newest_batch_is_marked_once() {
        let (mut sequencer, journal) = sequencer();
        sequencer.mark().expect("no fault");
        sequencer.commit(vec![request(&["a"], 1, OnConflict::Refuse)]).expect("no fault");
        sequencer.mark().expect("no fault");
        sequencer.mark().expect("no fault");
        assert_eq!(*journal.1.lock().expect("no panic while held"), [0]);
    }

    #[test]
    fn a_group_without_room_leaves_no_trace() {
        let (mut sequencer, journal) = sequencer();
        let lenient = OnConflict::DeadLetter;
        sequencer.commit(vec![request(&["a"], 1, OnConflict::Refuse)]).expect("no fault");
        let is_full = |is_full| journal.2.store(is_full, Ordering::Relaxed);
        let point = sequencer.history.flush_point();
        // New events, a duplicate, and a conflict that becomes a dead letter.
        let group =
            || vec![request(&["b", "c"], 9, lenient), request(&["a:other", "b"], 9, lenient)];
        is_full(true);
        sequencer.mark().expect("it can wait");
        for _ in 0..2 {
            let refused = sequencer.commit(group()).expect("no fault");
            assert_eq!(refused, [Err(Refusal::StorageFull), Err(Refusal::StorageFull)]);
            assert_eq!(sequencer.history.flush_point(), point);
        }
        is_full(false);
        let receipts = sequencer.commit(group()).expect("no fault");
        let expected = [
            Receipt { tree_size: 3, ..receipt(Some(1), 2, &[]) },
            Receipt {
                tree_size: 3,
                dead_letters: 1,
                rejected: vec![(0, "id_conflict: event 0 has this id and other bytes".to_owned())],
                ..receipt(None, 0, &[(1, 1)])
            },
        ];
        assert_eq!(receipts, expected.map(Ok));
        assert_eq!(sequencer.history.received_at, Some(Time::from_unix_ns(9)));
        let state = sequencer.state();
        let state = state.read().expect("no panic while held");
        assert_eq!((state.len(), state.dead_letters.len()), (3, 1));
        let marks = journal.1.lock().expect("no panic while held");
        assert!(marks.is_empty(), "the next batch brings the mark: {marks:?}");
    }
}
