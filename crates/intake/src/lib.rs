//! Events in. However they came, they are parsed and encoded here, recorded whole or not at all,
//! and counted.

pub mod aside;
pub mod audit;
pub mod figures;
pub mod follow;
pub mod gaps;
pub mod http;
pub mod import;
pub mod keeper;
mod kept;
pub mod piece;
pub mod retried;
pub mod retry;
pub mod silence;
pub mod sockets;
pub mod sums;
pub mod syslog;
pub mod waiting;

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use event::{Event, LOG_FILE, Time};
use formats::{
    Context, DEFERRED, EnvelopeError, FilePosition, Format, Item, Limits, RejectedRecord, Sequence,
};
use serde::Serialize;
use store::{Append, IncomingEvent, Log, OnConflict, Receipt, Refusal};

use config::Source;
use figures::Figures;
use gaps::Gaps;
use silence::Silence;
use sums::Sums;

/// A configured source, and what became of what it sent.
pub struct Intake {
    pub source: Source,
    pub figures: Figures,
    pub gaps: Mutex<Gaps>,
    pub silence: Mutex<Silence>,
    /// What was told of datagrams dropped, and of events that the source cut.
    pub drops: Mutex<Sums<2>>,
    pub cuts: Mutex<Sums<1>>,
    /// Requests that were handed to the log and not answered by it yet.
    submitted: AtomicUsize,
    /// The numbers of its events before this index are noted.
    noted: AtomicU64,
}

/// Numbers that follow each other in a stream, of events that do in a request.
struct Numbers {
    stream: String,
    first: u64,
    count: u64,
    /// The first one's place among the request's events.
    position: usize,
}

/// What was received.
#[derive(Clone, Copy)]
pub enum Received<'a> {
    /// A body, or a piece of a file.
    Body(&'a [u8]),
    /// Syslog messages.
    Messages(&'a [Message]),
}

/// A syslog message as received.
pub struct Message {
    pub bytes: Vec<u8>,
    /// The address of whoever sent it.
    pub peer: IpAddr,
    /// Why the bytes are no whole message, if they are not.
    pub flaw: Option<String>,
}

/// How it came.
#[derive(Clone, Copy)]
pub struct Arrival<'a> {
    pub received_at: Time,
    /// The name of the source's own file that the lines stood in, for formats whose lines do not
    /// say.
    pub log_file: Option<&'a str>,
    /// The request's header lines, names in lower case.
    pub headers: &'a [(String, String)],
    /// The address of whoever sent it.
    pub peer: Option<IpAddr>,
    /// Where in which file it stood.
    pub place: Option<FilePosition<'a>>,
}

/// Why nothing was recorded.
#[derive(Debug)]
pub enum Refused {
    Envelope(EnvelopeError),
    Conflict {
        position: usize,
        index: u64,
    },
    Overloaded,
    /// It waited too long to become durable, and may do so yet.
    Slow,
    /// Nothing is known of the request: it may have been recorded.
    Fenced,
}

/// The answer to a request that was recorded.
#[derive(Serialize, Debug)]
pub struct Answer {
    /// Index of the first event recorded now; the others follow without a gap.
    first_index: Option<u64>,
    recorded: usize,
    duplicates: Vec<Duplicate>,
    set_aside: Vec<Aside>,
    /// What is not recorded by rule; told where there is any.
    #[serde(skip_serializing_if = "is_zero")]
    skipped: usize,
    tree_size: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Answer {
    /// What became of everything, counted.
    pub fn tally(&self) -> Tally {
        Tally {
            recorded: self.recorded as u64,
            duplicate: self.duplicates.len() as u64,
            set_aside: self.set_aside.len() as u64,
            skipped: self.skipped as u64,
        }
    }

    /// As one answer, for a request that was recorded in parts.
    pub fn and(mut self, other: Answer) -> Answer {
        self.first_index = self.first_index.or(other.first_index);
        self.recorded += other.recorded;
        self.duplicates.extend(other.duplicates);
        self.set_aside.extend(other.set_aside);
        self.skipped += other.skipped;
        self.tree_size = other.tree_size;
        self
    }
}

/// How many events, lines or messages became what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub recorded: u64,
    pub duplicate: u64,
    pub set_aside: u64,
    pub skipped: u64,
}

impl Tally {
    pub fn add(&mut self, other: Tally) {
        self.recorded += other.recorded;
        self.duplicate += other.duplicate;
        self.set_aside += other.set_aside;
        self.skipped += other.skipped;
    }
}

#[derive(Serialize, Debug)]
struct Duplicate {
    position: usize,
    index: u64,
}

#[derive(Serialize, Debug)]
struct Aside {
    position: usize,
    reason: String,
}

/// What was received, ready for the log, and how its answer will name the parts.
pub struct Prepared {
    append: Append,
    event_positions: Vec<usize>,
    aside: Vec<Aside>,
    arrived: Arrived,
}

/// What is counted of it.
struct Arrived {
    received_at: Time,
    items: usize,
    skipped: usize,
    /// Requests that wait for their answer: another stage of what will be recorded.
    waiting: usize,
    /// Places of events that their source cut.
    truncated: Vec<usize>,
    /// When the newest and the oldest event happened.
    happened: Option<(Time, Time)>,
    numbers: Vec<Numbers>,
    /// Whether it is not refused while the log takes no more, but read again later.
    is_from_file: bool,
}

/// The attribute by which a format says that its source cut an event.
const TRUNCATED: &str = "truncated";

/// Parses and encodes what was received; everything that needs no order.
pub fn prepare(
    received: Received<'_>,
    arrival: Arrival<'_>,
    intake: &Intake,
    limits: Limits,
    log: &Log,
) -> Result<Prepared, Refused> {
    let source = &intake.source;
    let is_from_file = arrival.place.is_some();
    let parsed = parse(received, arrival, source, limits).map_err(|error| {
        // Pieces of files are put otherwise then.
        if !is_from_file {
            intake.refused(arrival.received_at);
        }
        Refused::Envelope(error)
    })?;
    // Whoever sends messages is told nothing, and a file hears nothing.
    let is_heard = matches!(received, Received::Body(_)) && !is_from_file;
    let heeds_errors = is_heard && source.format.heeds_errors();
    let on_conflict = if heeds_errors { OnConflict::Refuse } else { OnConflict::DeadLetter };
    let mut prepared = Prepared {
        append: Append {
            source: source.name.clone(),
            received_at: arrival.received_at,
            events: Vec::with_capacity(parsed.len()),
            rejected: Vec::new(),
            on_conflict,
        },
        event_positions: Vec::with_capacity(parsed.len()),
        aside: Vec::new(),
        arrived: Arrived { is_from_file, ..Arrived::of(arrival.received_at, parsed.len()) },
    };
    for (position, item) in parsed.into_iter().enumerate() {
        match item {
            Item::Event(mut event) => {
                refine(&mut event, source.format, log);
                if let Some(log_file) = arrival.log_file {
                    event
                        .attributes
                        .entry(LOG_FILE.to_owned())
                        .or_insert_with(|| log_file.to_owned());
                }
                prepared.arrived.note(source.format, &event, prepared.append.events.len());
                prepared.append.events.push(IncomingEvent::new(*event));
                prepared.event_positions.push(position);
            }
            Item::Rejected(set_aside) => {
                prepared.arrived.waiting += usize::from(set_aside.reason == DEFERRED);
                prepared.aside.push(Aside { position, reason: set_aside.reason.clone() });
                prepared.append.rejected.push(set_aside);
            }
            Item::Skipped(_) => prepared.arrived.skipped += 1,
        }
    }
    Ok(prepared)
}

/// Parses what was received.
pub fn parse(
    received: Received<'_>,
    arrival: Arrival<'_>,
    source: &Source,
    limits: Limits,
) -> Result<Vec<Item>, EnvelopeError> {
    let mut new_id = system::event_ids(arrival.received_at);
    let Arrival { received_at, headers, peer, place, .. } = arrival;
    let mut context =
        Context::new(&source.name, &source.trail, received_at, &mut new_id, &source.options);
    (context.limits, context.headers, context.peer, context.position) =
        (limits, headers, peer, place);
    // What follows in a file was waited for.
    context.defers = place.is_none();
    match received {
        Received::Body(body) => source.format.parse(body, &mut context),
        Received::Messages(messages) => {
            let mut items = Vec::with_capacity(messages.len());
            let joins = source.format.joins_messages();
            if joins {
                let whole = messages.iter().filter(|message| message.flaw.is_none());
                let whole: Vec<&[u8]> = whole.map(|message| message.bytes.as_slice()).collect();
                items.append(&mut source.format.parse_messages(&whole, &mut context));
            }
            for Message { bytes, peer, flaw } in messages {
                context.peer = Some(*peer);
                match flaw {
                    None if joins => {}
                    None => items.append(&mut source.format.parse_message(bytes, &mut context)),
                    Some(flaw) => items.push(Item::Rejected(RejectedRecord {
                        reason: flaw.clone(),
                        raw: bytes.clone(),
                    })),
                }
            }
            Ok(items)
        }
    }
}

impl Arrived {
    fn of(received_at: Time, items: usize) -> Arrived {
        Arrived {
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

    /// Notes what is to be counted of an event that is recorded, which has this place among the
    /// request's.
    fn note(&mut self, format: Format, event: &Event, position: usize) {
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
            _ => self.numbers.push(Numbers { stream, first: number, count: 1, position }),
        }
    }
}

impl Numbers {
    fn len(&self) -> usize {
        usize::try_from(self.count).unwrap_or(usize::MAX)
    }
}

impl Intake {
    /// A source that nothing came from yet.
    pub fn of(source: Source, now: Time) -> Intake {
        Intake {
            source,
            figures: Figures::default(),
            gaps: Mutex::default(),
            silence: Mutex::new(Silence::from(now)),
            drops: Mutex::new(Sums::from(now)),
            cuts: Mutex::new(Sums::from(now)),
            submitted: AtomicUsize::new(0),
            noted: AtomicU64::new(0),
        }
    }

    /// Counts a body that nothing is kept of.
    pub fn refused(&self, at: Time) {
        Figures::add(&self.figures.refused, 1);
        self.figures.heard(at);
    }

    /// Counts a body that there was no room for.
    pub fn deferred(&self, at: Time) {
        Figures::add(&self.figures.deferred, 1);
        self.figures.heard(at);
    }

    /// Counts what the log did not take; what is in a file waits there, and `at` is `None`.
    fn not_submitted(&self, at: Option<Time>, error: &store::Error) -> Refused {
        self.submitted.fetch_sub(1, Ordering::SeqCst);
        match (error, at) {
            (store::Error::TooLarge { .. }, Some(at)) => self.refused(at),
            (store::Error::Overloaded, Some(at)) => self.deferred(at),
            _ => {}
        }
        match error {
            store::Error::TooLarge { .. } => {
                Refused::Envelope(EnvelopeError::TooLarge(error.to_string()))
            }
            store::Error::Overloaded => Refused::Overloaded,
            _ => Refused::Fenced,
        }
    }

    /// Before which index of the log all numbers of the source's events are noted; `size` is how
    /// many events the log had a moment ago.
    pub fn noted_before(&self, size: u64) -> u64 {
        if self.submitted.load(Ordering::SeqCst) == 0 {
            size
        } else {
            self.noted.load(Ordering::SeqCst).min(size)
        }
    }

    /// Counts what became of what was received.
    fn recorded(&self, arrived: &Arrived, receipt: &Receipt) {
        let figures = &self.figures;
        Figures::add(&figures.received, arrived.items);
        Figures::add(&figures.recorded, receipt.recorded);
        let waiting = arrived.waiting.min(receipt.dead_letters);
        Figures::add(&figures.set_aside, receipt.dead_letters - waiting);
        Figures::add(&figures.skipped, arrived.skipped + waiting);
        let used = receipt.recorded + receipt.dead_letters + arrived.skipped;
        Figures::add(&figures.duplicate, arrived.items.saturating_sub(used));
        figures.heard(arrived.received_at);
        if let Some((newest, oldest)) = arrived.happened.filter(|_| receipt.recorded > 0) {
            figures.happened(arrived.received_at, newest, oldest);
        }
        let known: HashSet<usize> =
            receipt.duplicates.iter().map(|(position, _)| *position).collect();
        let truncated = arrived.truncated.iter().filter(|position| !known.contains(position));
        Figures::add(&figures.truncated, truncated.count());
        self.note_numbers(arrived, &known);
        if let Some(first) = receipt.first_index {
            self.noted.store(first + receipt.recorded as u64, Ordering::SeqCst);
        }
    }

    /// Notes the numbers of what was received; of the events that were recorded before, at the
    /// places `known`, as such.
    fn note_numbers(&self, arrived: &Arrived, known: &HashSet<usize>) {
        if !arrived.numbers.is_empty() {
            let mut gaps = self.gaps.lock().expect("no panic while held");
            for Numbers { stream, first, count, position } in &arrived.numbers {
                if known.is_empty() {
                    gaps.note(stream, *first, first + (count - 1), arrived.received_at, false);
                    continue;
                }
                for (number, position) in (*first..=first + (count - 1)).zip(*position..) {
                    gaps.note(
                        stream,
                        number,
                        number,
                        arrived.received_at,
                        known.contains(&position),
                    );
                }
            }
        }
    }
}

/// Completes an event with what the log already holds.
fn refine(event: &mut Event, format: Format, log: &Log) {
    format.refine(event, &|query| log.query(query).ok().map(|page| page.total));
}

/// Records what was prepared; calls `answer`, on a thread that must not be held up, once it is
/// durable and visible.
pub fn submit(
    prepared: Prepared,
    intake: &Arc<Intake>,
    log: &Log,
    answer: impl FnOnce(Result<Answer, Refused>) + Send + 'static,
) -> Result<(), Refused> {
    let (append, received_at, reply) = prepared.into_request(intake, answer);
    intake.submitted.fetch_add(1, Ordering::SeqCst);
    log.submit(append, reply).map_err(|error| intake.not_submitted(received_at, &error))
}

/// As [`submit`], but while the log has too much waiting it waits too. Blocks.
pub fn submit_patiently(
    prepared: Prepared,
    intake: &Arc<Intake>,
    log: &Log,
    answer: impl FnOnce(Result<Answer, Refused>) + Send + 'static,
) -> Result<(), Refused> {
    let (append, received_at, reply) = prepared.into_request(intake, answer);
    intake.submitted.fetch_add(1, Ordering::SeqCst);
    log.submit_blocking(append, reply).map_err(|error| intake.not_submitted(received_at, &error))
}

impl Prepared {
    /// What the log is asked, when it arrived if not in a file, and what is done with the log's
    /// answer.
    fn into_request(
        self,
        intake: &Arc<Intake>,
        answer: impl FnOnce(Result<Answer, Refused>) + Send + 'static,
    ) -> (Append, Option<Time>, impl FnOnce(Result<Receipt, Refusal>) + Send + 'static) {
        let Prepared { append, event_positions, aside, arrived } = self;
        let (counted, received_at) = (Arc::clone(intake), arrived.received_at);
        let told_at = Some(received_at).filter(|_| !arrived.is_from_file);
        let then = move |result: Result<Receipt, Refusal>| {
            let answered = match result {
                Ok(receipt) => {
                    counted.recorded(&arrived, &receipt);
                    Ok(render(receipt, &event_positions, aside, arrived.skipped))
                }
                Err(Refusal::Conflict { position, index }) => {
                    counted.refused(received_at);
                    Err(Refused::Conflict { position: event_positions[position], index })
                }
                Err(Refusal::Fenced { .. }) => Err(Refused::Fenced),
            };
            counted.submitted.fetch_sub(1, Ordering::SeqCst);
            answer(answered);
        };
        (append, told_at, then)
    }
}

/// As [`submit`]; returns once it is durable and visible. `held` is dropped then, even if nobody
/// waits any more.
pub async fn record(
    prepared: Prepared,
    intake: &Arc<Intake>,
    log: &Log,
    held: impl Send + 'static,
) -> Result<Answer, Refused> {
    let (tell, told) = tokio::sync::oneshot::channel();
    submit(prepared, intake, log, move |result| {
        drop(held);
        // Nobody waits any more when the client is gone; the log keeps what it has.
        let _ = tell.send(result);
    })?;
    told.await.unwrap_or(Err(Refused::Fenced))
}

fn render(
    receipt: Receipt,
    event_positions: &[usize],
    aside: Vec<Aside>,
    skipped: usize,
) -> Answer {
    Answer {
        skipped,
        first_index: receipt.first_index,
        recorded: receipt.recorded,
        duplicates: receipt
            .duplicates
            .into_iter()
            .map(|(position, index)| Duplicate { position: event_positions[position], index })
            .collect(),
        set_aside: aside,
        tree_size: receipt.tree_size,
    }
}
