//! Gives events their place in the log and makes them durable, one group at a time.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use event::RejectedRecord;
use event::entry::{self, Entry, NUMBER_MAX, Template};
use event::query::INSTANCE_ID;
use event::{Event, LOG_FILE, Service, Time, Trail};
use tlog::{Hash, Tree};

use crate::Error;
use crate::dedup::{First, Key, Known, event_key, set_aside_key};
use crate::journal::{Batch, BatchWriter, Commit, Content, Journal, Position, SetAsideRecord};
use crate::manifest::Sealed;
use crate::segment::{Segment, Sought, rest_of};
use crate::state::State;
use crate::tail::{Added, Place};
use crate::words::Words;

/// Memory kept for the next group; larger groups are rare and give theirs back.
const GROUP_BYTES_KEPT: usize = 4 << 20;

/// An event on its way into the log, with all the work done that needs no order.
pub struct Incoming {
    event: Event,
    template: Template,
    words: Words,
    rest: Vec<u8>,
    key: Option<Key>,
}

impl Incoming {
    /// Encodes and hashes the event.
    pub fn new(mut event: Event) -> Incoming {
        let key = event.origin.key.as_deref().map(|key| event_key(&event.origin.source, key));
        let template = Template::new(&event);
        let words = Words::of(&event);
        let rest = rest_of(&event);
        // What no index needs is given back here, by the thread that made it.
        event.attributes.retain(|name, _| name == INSTANCE_ID || name == LOG_FILE);
        (event.user_agent, event.description, event.request_id, event.trace_id) =
            (None, None, None, None);
        Incoming { template, words, rest, key, event }
    }

    pub(crate) fn len_bytes_max(&self) -> usize {
        self.template.len_bytes_max() + self.event.raw.len() + 64
    }
}

/// A request to record something: whole or not at all.
pub struct Append {
    /// The configured source's name.
    pub source: String,
    /// When the request was received.
    pub received_at: Time,
    /// What to record, in order.
    pub events: Vec<Incoming>,
    /// What to keep aside.
    pub set_aside: Vec<RejectedRecord>,
    /// What to do with an event whose key was recorded before with other bytes.
    pub on_conflict: OnConflict,
}

/// What to do with an event whose key was recorded before with other bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnConflict {
    /// Refuse the request.
    Refuse,
    /// Keep the event aside.
    SetAside,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Index of the first event that this request recorded; the others follow without a gap.
    pub first_index: Option<u64>,
    /// How many events it recorded.
    pub recorded: usize,
    /// Events that were recorded before: their position in the request and the index they have.
    pub duplicates: Vec<(usize, u64)>,
    /// How much it set aside that was not there before.
    pub set_aside: usize,
    /// Events in the log once the request was durable.
    pub tree_size: u64,
}

/// Why a request was not recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The event at this position has the key of the event at `index`, and other bytes.
    Conflict {
        /// Position in the request.
        position: usize,
        /// Index of the event that has the key.
        index: u64,
    },
    /// A durable write failed; whether the request was recorded shows when the log is opened again.
    Fenced {
        /// The failure.
        because: String,
    },
}

/// Everything about the log that the next batch depends on. Recovery and checks replay batches into
/// it, the sequencer appends to it, and the two must agree.
#[derive(Default)]
pub(crate) struct History {
    pub tree: Tree,
    /// Over the digests of the records set aside.
    pub aside: Tree,
    pub batches: u64,
    pub received_at: Option<Time>,
    /// Levels and hashes of the tiles that were filled since they were last taken.
    pub filled: Vec<(u32, Hash)>,
    numbers: HashMap<Trail, u64>,
}

/// An event of a batch that is being replayed.
pub(crate) struct Replayed<'a> {
    pub index: u64,
    pub place: Place,
    pub digest: Hash,
    pub entry: Entry,
    pub raw: &'a [u8],
}

impl History {
    /// Adds an entry's digest to the tree.
    fn push(&mut self, digest: &Hash) {
        self.tree.push_and_visit(digest, &mut |level, hash| self.filled.push((level, hash)));
    }

    /// The number that the next event of this trail has.
    fn next_number(&mut self, trail: &Trail) -> u64 {
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

    /// Size and root of the tree.
    pub fn head(&self) -> (u64, Hash) {
        (self.tree.size(), self.tree.root())
    }

    /// As [`History::head`], of the records set aside.
    pub fn aside_head(&self) -> (u64, Hash) {
        (self.aside.size(), self.aside.root())
    }

    /// What the log has come to.
    pub fn sealed(&self) -> Sealed {
        Sealed {
            events: self.tree.size(),
            batches: self.batches,
            set_aside: self.aside.size(),
            received_at_ns: self.received_at.map(Time::unix_ns),
            tree: Sealed::roots_of(&self.tree),
            open_files: Vec::new(),
        }
    }

    /// Goes on from what is sealed. `None` when it cannot be.
    pub fn resume(sealed: &Sealed, aside: Tree, segments: &[Arc<Segment>]) -> Option<History> {
        let mut numbers: HashMap<Trail, u64> = HashMap::new();
        for (trail, run) in segments.iter().flat_map(|segment| segment.trails()) {
            let last = run.first_number + u64::from(run.end - run.start) - 1;
            let number = numbers.entry(trail.clone()).or_default();
            *number = last.max(*number);
        }
        Some(History {
            tree: sealed.tree()?,
            aside,
            batches: sealed.batches,
            received_at: sealed.received_at(),
            filled: Vec::new(),
            numbers,
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

    /// Goes on by one event, checking that it is what this history goes on with.
    pub fn go_on(
        &mut self,
        digest: &[u8; 32],
        trail: &Trail,
        number: u64,
        received_at: Time,
    ) -> Result<(), &'static str> {
        if number != self.next_number(trail) {
            return Err("the event's number does not follow the one before in its trail");
        }
        if self.received_at.is_some_and(|before| before > received_at) {
            return Err("the event was received before the one before it");
        }
        self.push(digest);
        self.received_at = Some(received_at);
        Ok(())
    }

    /// Replays one batch, checking that it is what this history goes on with. `each` sees every
    /// event in order.
    pub fn replay(
        &mut self,
        batch: &Batch<'_>,
        each: &mut dyn FnMut(Replayed<'_>) -> Result<(), &'static str>,
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
                    let decoded =
                        entry::decode(entry).map_err(|error| damage(&error.to_string()))?;
                    let digest = entry::digest(entry);
                    self.go_on(&digest, &decoded.event.trail, decoded.number, decoded.received_at)
                        .map_err(damage)?;
                    let place = Place { at: *position, len_bytes: *len_bytes };
                    each(Replayed { index: *index, place, digest, entry: decoded, raw })
                        .map_err(damage)?;
                }
                Content::SetAside(record) => {
                    if record.number != self.aside.size() {
                        return Err(damage("a record set aside does not follow the one before"));
                    }
                    self.aside.push(&record.digest());
                }
            }
        }
        let Commit { tree_size, root, set_aside, .. } = batch.commit;
        if (tree_size, set_aside) != (self.tree.size(), self.aside.size())
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

pub(crate) struct Sequencer {
    journal: Box<dyn Journal>,
    state: Arc<RwLock<State>>,
    known: Known,
    history: History,
    batch: BatchWriter,
    /// Events of the group, to be published once they are durable.
    group: Vec<Pending>,
    /// Records set aside of the group: offsets in the batch and lengths.
    aside: Vec<(usize, u32)>,
    /// Whether the newest batch lacks its mark.
    is_unmarked: bool,
}

/// An event of a group.
struct Pending {
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

/// What the segments and the journal give the sequencer.
#[derive(Default)]
pub(crate) struct Recovered {
    pub history: History,
    pub state: State,
    pub known: Known,
}

impl Recovered {
    pub fn replay(&mut self, batch: &Batch<'_>) -> Result<(), Error> {
        let Recovered { history, state, known } = self;
        let mut events = Vec::with_capacity(batch.frames.len());
        history.replay(batch, &mut |Replayed { index, place, digest, entry, .. }| {
            let origin = &entry.event.origin;
            let key = origin.key.as_deref().map(|key| event_key(&origin.source, key));
            if let (Some(key), false) = (key, crate::is_planted("no_dedup_after_restart")) {
                known.insert_event(key, First::new(index, &entry.raw_sha256));
            }
            events.push((
                Words::of(&entry.event),
                rest_of(&entry.event),
                key,
                digest,
                entry,
                place,
            ));
            Ok(())
        })?;
        let raws = batch.frames.iter().filter_map(|(_, _, content)| match content {
            Content::Event { raw, .. } => Some(*raw),
            Content::SetAside(_) => None,
        });
        let added: Vec<Added<'_>> = events
            .iter()
            .zip(raws)
            .map(|((words, rest, key, digest, entry, place), raw)| Added {
                event: &entry.event,
                words,
                rest,
                key: key.as_ref(),
                digest: *digest,
                number: entry.number,
                raw,
                received_at: entry.received_at,
                place: *place,
            })
            .collect();
        state.extend(&added, history.head(), &mut history.filled);
        state.aside_head = history.aside_head();
        for (at, len_bytes, content) in &batch.frames {
            if let Content::SetAside(record) = content {
                known.insert(
                    set_aside_key(&record.source, &record.raw),
                    First::new(record.number, &[0; 32]),
                );
                state.aside.push(Place { at: *at, len_bytes: *len_bytes });
            }
        }
        if state.is_full() {
            known.freeze(history.tree.size());
            state.freeze(history.sealed());
        }
        Ok(())
    }
}

impl Sequencer {
    pub fn new(journal: Box<dyn Journal>, recovered: Recovered, salt: [u8; 16]) -> Sequencer {
        let Recovered { history, state, known } = recovered;
        Sequencer {
            journal,
            state: Arc::new(RwLock::new(state)),
            known,
            history,
            batch: BatchWriter::new(salt),
            group: Vec::new(),
            aside: Vec::new(),
            is_unmarked: false,
        }
    }

    pub fn state(&self) -> Arc<RwLock<State>> {
        Arc::clone(&self.state)
    }

    /// Ends the active tail, so that all there is can be sealed.
    pub fn freeze(&mut self) {
        let mut state = self.state.write().expect("no panic while held");
        if state.active.len() > 0 || !state.aside.is_empty() {
            self.known.freeze(self.history.tree.size());
            state.freeze(self.history.sealed());
        }
    }

    pub fn set_aside(&self) -> u64 {
        self.history.aside.size()
    }

    /// As how many events those count that wait to be sealed.
    pub fn waiting(&self) -> u64 {
        self.state.read().expect("no panic while held").waiting()
    }

    /// Records a group of requests with one sync. When this returns, what the answers say is
    /// durable and visible.
    ///
    /// After an error nothing is known of the group, and the sequencer must not be used any more.
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
        let (sought, mut sealed) = (Sought::of(keys), HashMap::new());
        segments.iter().try_for_each(|segment| segment.find_keys(&sought, &mut sealed))?;
        let admit = |request| Ok(self.admit(request, &sealed));
        let answers: Vec<_> = requests.into_iter().map(admit).collect::<Result<_, Error>>()?;
        if self.batch.is_empty() {
            self.batch.clear(GROUP_BYTES_KEPT);
        } else {
            self.write()?;
        }
        let tree_size = self.history.tree.size();
        Ok(answers
            .into_iter()
            .map(|answer| answer.map(|receipt| Receipt { tree_size, ..receipt }))
            .collect())
    }

    /// Writes the newest batch's mark, if it has none. To be called when no batch follows at once;
    /// otherwise the next one takes it along.
    pub fn mark(&mut self) -> Result<(), Error> {
        if std::mem::take(&mut self.is_unmarked) {
            self.journal.mark(self.history.batches - 1)?;
        }
        Ok(())
    }

    pub fn close(&mut self) -> Result<(), Error> {
        self.mark()?;
        self.journal.close()
    }

    /// Adds one request to the batch, or refuses it and leaves no trace of it. `sealed` are the
    /// events in segments that have one of its keys.
    fn admit(&mut self, request: Append, sealed: &HashMap<Key, First>) -> Result<Receipt, Refusal> {
        if request.on_conflict == OnConflict::Refuse {
            self.refuse_conflicts(&request.events, sealed)?;
        }
        // The clock may step back; the log does not.
        let received_at = self
            .history
            .received_at
            .map_or(request.received_at, |last| last.max(request.received_at));
        let mut receipt = Receipt {
            first_index: None,
            recorded: 0,
            duplicates: Vec::new(),
            set_aside: 0,
            tree_size: 0,
        };
        let mut aside = request.set_aside;
        for (position, incoming) in request.events.into_iter().enumerate() {
            match incoming.key.and_then(|key| self.first(&key, sealed)) {
                None => {
                    let index = self.record(incoming, received_at);
                    receipt.first_index.get_or_insert(index);
                    receipt.recorded += 1;
                }
                Some(first) if first.has_content(incoming.template.raw_sha256()) => {
                    receipt.duplicates.push((position, first.index));
                }
                Some(first) => aside.push(RejectedRecord {
                    reason: format!(
                        "id_conflict: event {} has this id and other bytes",
                        first.index
                    ),
                    raw: incoming.event.raw,
                }),
            }
        }
        for set_aside in aside {
            receipt.set_aside +=
                usize::from(self.keep_aside(&request.source, received_at, set_aside));
        }
        Ok(receipt)
    }

    /// The event that was recorded under this key.
    fn first(&self, key: &Key, sealed: &HashMap<Key, First>) -> Option<First> {
        self.known.get(key).or_else(|| sealed.get(key).copied())
    }

    fn refuse_conflicts(
        &self,
        events: &[Incoming],
        sealed: &HashMap<Key, First>,
    ) -> Result<(), Refusal> {
        let mut own: HashMap<Key, First> = HashMap::new();
        for (position, incoming) in events.iter().enumerate() {
            let Some(key) = incoming.key else { continue };
            let raw_sha256 = incoming.template.raw_sha256();
            let index = self.history.tree.size() + position as u64;
            let first = self
                .first(&key, sealed)
                .unwrap_or_else(|| *own.entry(key).or_insert(First::new(index, raw_sha256)));
            if !first.has_content(raw_sha256) {
                return Err(Refusal::Conflict { position, index: first.index });
            }
        }
        Ok(())
    }

    fn record(&mut self, incoming: Incoming, received_at: Time) -> u64 {
        let Incoming { event, template, words, rest, key } = incoming;
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
            self.known.insert_event(key, First::new(index, template.raw_sha256()));
        }
        self.group.push(Pending {
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

    /// Whether the bytes were not kept before.
    fn keep_aside(&mut self, source: &str, received_at: Time, set_aside: RejectedRecord) -> bool {
        let key = set_aside_key(source, &set_aside.raw);
        if self.known.get(&key).is_some() {
            return false;
        }
        let number = self.history.aside.size();
        let RejectedRecord { reason, raw } = set_aside;
        let record = SetAsideRecord { number, received_at, source: source.to_owned(), reason, raw };
        self.aside.push(self.batch.set_aside(&record));
        self.known.insert(key, First::new(number, &[0; 32]));
        self.history.aside.push(&record.digest());
        true
    }

    fn write(&mut self) -> Result<(), Error> {
        let commit = Commit {
            batch: self.history.batches,
            frames: self.batch.frames(),
            tree_size: self.history.tree.size(),
            root: self.history.tree.root(),
            set_aside: self.history.aside.size(),
        };
        let start = self.journal.append(&commit, self.batch.end_with(&commit))?;
        // The group is durable, and the mark of the one before with it.
        self.history.batches += 1;
        self.is_unmarked = true;
        let place = |offset: usize, len_bytes| {
            let offset = start.offset
                + u32::try_from(offset).expect("batches are limited to far below 4 GiB");
            Place { at: Position { offset, ..start }, len_bytes }
        };
        let added: Vec<Added<'_>> = self
            .group
            .iter()
            .map(|pending| Added {
                event: &pending.event,
                words: &pending.words,
                rest: &pending.rest,
                key: pending.key.as_ref(),
                digest: pending.digest,
                number: pending.number,
                raw: &pending.event.raw,
                received_at: pending.received_at,
                place: place(pending.offset, pending.len_bytes),
            })
            .collect();
        let mut state = self.state.write().expect("no panic while held");
        state.extend(&added, self.history.head(), &mut self.history.filled);
        state.aside_head = self.history.aside_head();
        state.aside.extend(self.aside.iter().map(|(offset, len_bytes)| place(*offset, *len_bytes)));
        // The group is visible.
        if state.is_full() {
            self.known.freeze(self.history.tree.size());
            state.freeze(self.history.sealed());
        }
        drop(state);
        drop(added);
        self.group.clear();
        self.aside.clear();
        self.batch.clear(GROUP_BYTES_KEPT);
        Ok(())
    }
}
