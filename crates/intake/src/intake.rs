//! A configured source, and the counts of everything it sent.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use config::Source;
use event::{Event, Time};
use formats::{Attempts, Format, Sequence};
use store::Receipt;

use crate::monitor::counters::Counters;
use crate::monitor::gaps::Gaps;
use crate::monitor::losses::LossReport;
use crate::monitor::silence::Silence;

/// A configured source, and the counts of everything it sent.
pub struct Intake {
    pub source: Source,
    pub counters: Counters,
    pub gaps: Mutex<Gaps>,
    pub silence: Mutex<Silence>,
    /// Reports about dropped datagrams.
    pub drops: Mutex<LossReport<2>>,
    /// Reports about events that the source cut.
    pub cuts: Mutex<LossReport<1>>,
    /// Connections with a recorded login attempt.
    pub(crate) attempts: Attempts,
    /// Deliveries that the log has and did not acknowledge yet.
    pub(crate) submitted: AtomicUsize,
    /// The numbers of events before this index are noted.
    noted: AtomicU64,
}

/// A run of numbers in a stream, of adjacent events of a delivery.
pub(crate) struct NumberRun {
    stream: String,
    first: u64,
    count: u64,
    /// Position of the first event in the delivery.
    position: usize,
}

/// The counts of one delivery.
pub(crate) struct DeliveryCounts {
    pub(crate) received_at: Time,
    pub(crate) items: usize,
    pub(crate) skipped: usize,
    /// Requests that wait for their response, an earlier stage of an event.
    pub(crate) waiting: usize,
    /// Positions of events that their source cut.
    pub(crate) truncated: Vec<usize>,
    /// The times of the newest and the oldest event.
    pub(crate) happened: Option<(Time, Time)>,
    pub(crate) numbers: Vec<NumberRun>,
    /// Whether it came from a followed file, which waits while the log accepts nothing.
    pub(crate) is_from_file: bool,
}

/// The attribute of an event that its source cut.
const TRUNCATED: &str = "truncated";

impl Intake {
    /// A source without any delivery.
    pub fn of(source: Source, now: Time) -> Intake {
        Intake {
            source,
            counters: Counters::default(),
            gaps: Mutex::default(),
            silence: Mutex::new(Silence::from(now)),
            drops: Mutex::new(LossReport::from(now)),
            cuts: Mutex::new(LossReport::from(now)),
            attempts: Attempts::default(),
            submitted: AtomicUsize::new(0),
            noted: AtomicU64::new(0),
        }
    }

    /// Counts a refused body.
    pub fn refused(&self, at: Time) {
        Counters::add(&self.counters.refused, 1);
        self.counters.heard(at);
    }

    /// Counts a body that found no free capacity.
    pub fn deferred(&self, at: Time) {
        Counters::add(&self.counters.deferred, 1);
        self.counters.heard(at);
    }

    /// Counts a delivery that the log did not accept. A followed file waits, and `at` is `None`.
    pub(crate) fn count_unsubmitted(&self, at: Option<Time>, error: &store::Error) {
        self.submitted.fetch_sub(1, Ordering::SeqCst);
        match (error, at) {
            (store::Error::TooLarge { .. }, Some(at)) => self.refused(at),
            (store::Error::Overloaded | store::Error::StorageFull, Some(at)) => self.deferred(at),
            _ => {}
        }
    }

    /// The index before which all numbers of the source's events are noted; `size` is a recent size
    /// of the log.
    pub fn noted_before(&self, size: u64) -> u64 {
        if self.submitted.load(Ordering::SeqCst) == 0 {
            size
        } else {
            self.noted.load(Ordering::SeqCst).min(size)
        }
    }

    /// Counts the items of an acknowledged delivery.
    pub(crate) fn recorded(&self, delivery: &DeliveryCounts, receipt: &Receipt) {
        let counters = &self.counters;
        Counters::add(&counters.received, delivery.items);
        Counters::add(&counters.recorded, receipt.recorded);
        let waiting = delivery.waiting.min(receipt.dead_letters);
        Counters::add(&counters.dead_letters, receipt.dead_letters - waiting);
        Counters::add(&counters.skipped, delivery.skipped + waiting);
        let used = receipt.recorded + receipt.dead_letters + delivery.skipped;
        Counters::add(&counters.duplicate, delivery.items.saturating_sub(used));
        counters.heard(delivery.received_at);
        if let Some((newest, oldest)) = delivery.happened.filter(|_| receipt.recorded > 0) {
            counters.happened(delivery.received_at, newest, oldest);
        }
        let known: HashSet<usize> =
            receipt.duplicates.iter().map(|(position, _)| *position).collect();
        let truncated = delivery.truncated.iter().filter(|position| !known.contains(position));
        Counters::add(&counters.truncated, truncated.count());
        self.note_numbers(delivery, &known);
        if let Some(first) = receipt.first_index {
            self.noted.store(first + receipt.recorded as u64, Ordering::SeqCst);
        }
    }

    /// Notes the numbers of a delivery. Events at the positions `known` were recorded before.
    pub(crate) fn note_numbers(&self, delivery: &DeliveryCounts, known: &HashSet<usize>) {
        if !delivery.numbers.is_empty() {
            let mut gaps = self.gaps.lock().expect("no panic while held");
            for NumberRun { stream, first, count, position } in &delivery.numbers {
                if known.is_empty() {
                    gaps.note(stream, *first, first + (count - 1), delivery.received_at, false);
                    continue;
                }
                for (number, position) in (*first..=first + (count - 1)).zip(*position..) {
                    gaps.note(
                        stream,
                        number,
                        number,
                        delivery.received_at,
                        known.contains(&position),
                    );
                }
            }
        }
    }
}

impl DeliveryCounts {
    pub(crate) fn of(received_at: Time, items: usize) -> DeliveryCounts {
        DeliveryCounts {
            received_at,
            items,
            skipped: 0,
            waiting: 0,
            truncated: Vec::new(),
            happened: None,
            numbers: Vec::new(),
            is_from_file: false,
        }
    }

    /// Notes an event at this position of the delivery.
    pub(crate) fn note(&mut self, format: Format, event: &Event, position: usize) {
        let at = event.occurred_at;
        let (newest, oldest) = self.happened.unwrap_or((at, at));
        self.happened = Some((newest.max(at), oldest.min(at)));
        if event.attributes.get(TRUNCATED).is_some_and(|value| value == "true") {
            self.truncated.push(position);
        }
        let Some(Sequence { stream, number }) = format.sequence(event) else { return };
        match self.numbers.last_mut() {
            Some(last)
                if last.stream == stream
                    && last.first.checked_add(last.count) == Some(number)
                    && last.position + last.len() == position =>
            {
                last.count += 1;
            }
            _ => self.numbers.push(NumberRun { stream, first: number, count: 1, position }),
        }
    }
}

impl NumberRun {
    fn len(&self) -> usize {
        usize::try_from(self.count).unwrap_or(usize::MAX)
    }
}
