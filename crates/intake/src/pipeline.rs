//! From bytes to the log: parse, prepare, submit.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use config::Source;
use event::{Event, LOG_FILE, Time};
use formats::{
    Attempts, Context, DEFERRED, EnvelopeError, FilePosition, Format, Item, Limits, RejectedRecord,
};
use serde::Serialize;
use store::{Append, IncomingEvent, Log, OnConflict, Receipt, Refusal};

use crate::intake::{DeliveryCounts, Intake};
use crate::keys::set_apart;

/// The input of a parser.
#[derive(Clone, Copy)]
pub enum Input<'a> {
    /// A body, or a piece of a file.
    Body(&'a [u8]),
    /// Syslog messages.
    Messages(&'a [Message]),
}

/// A syslog message as received.
pub struct Message {
    pub bytes: Vec<u8>,
    /// The sender's address.
    pub peer: IpAddr,
    /// Why the bytes are not a whole message, if so.
    pub flaw: Option<String>,
}

/// The circumstances of an input.
#[derive(Clone, Copy)]
pub struct Arrival<'a> {
    pub received_at: Time,
    /// The name of the source's own log file, for formats whose lines do not name it.
    pub log_file: Option<&'a str>,
    /// The request's header lines, names in lower case.
    pub headers: &'a [(String, String)],
    /// The sender's address.
    pub peer: Option<IpAddr>,
    /// Position in a followed or imported file.
    pub position: Option<FilePosition<'a>>,
}

/// Why nothing was recorded.
#[derive(Debug)]
pub enum IntakeError {
    Envelope(EnvelopeError),
    Conflict {
        position: usize,
        index: u64,
    },
    Overloaded,
    /// There is no room on the disk.
    StorageFull,
    /// It did not become durable in time, and still may.
    Slow,
    /// Damage of stored bytes leaves open how to record it.
    Damaged(String),
    /// The log failed: the delivery may be recorded or not.
    Fenced,
}

/// The response to a recorded delivery.
#[derive(Serialize, Debug)]
pub struct Answer {
    /// Index of the first new event; the others follow without a gap.
    first_index: Option<u64>,
    recorded: usize,
    duplicates: Vec<Duplicate>,
    dead_letters: Vec<Rejection>,
    /// Items that are left out by rule; absent if none.
    #[serde(skip_serializing_if = "is_zero")]
    skipped: usize,
    tree_size: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Answer {
    /// The number of rejected records.
    pub fn rejected(&self) -> usize {
        self.dead_letters.len()
    }

    /// Counts of everything.
    pub fn tally(&self) -> Tally {
        Tally {
            recorded: self.recorded as u64,
            duplicate: self.duplicates.len() as u64,
            dead_letters: self.dead_letters.len() as u64,
            skipped: self.skipped as u64,
        }
    }

    /// Joins the responses to the parts of one request.
    pub fn and(mut self, other: Answer) -> Answer {
        self.first_index = self.first_index.or(other.first_index);
        self.recorded += other.recorded;
        self.duplicates.extend(other.duplicates);
        self.dead_letters.extend(other.dead_letters);
        self.skipped += other.skipped;
        self.tree_size = other.tree_size;
        self
    }
}

/// Counts of events, lines or messages by their outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub recorded: u64,
    pub duplicate: u64,
    pub dead_letters: u64,
    pub skipped: u64,
}

impl Tally {
    pub fn add(&mut self, other: Tally) {
        self.recorded += other.recorded;
        self.duplicate += other.duplicate;
        self.dead_letters += other.dead_letters;
        self.skipped += other.skipped;
    }
}

#[derive(Serialize, Debug)]
struct Duplicate {
    position: usize,
    index: u64,
}

#[derive(Serialize, Debug)]
pub(crate) struct Rejection {
    pub position: usize,
    pub reason: String,
}

/// Bytes of memory that a rejected record takes beside its texts.
const REJECTED_BYTES: usize = size_of::<RejectedRecord>() + size_of::<Rejection>();

/// Parsed input, ready for the log.
pub struct Delivery {
    pub(crate) append: Append,
    pub(crate) event_positions: Vec<usize>,
    pub(crate) rejections: Vec<Rejection>,
    pub(crate) counts: DeliveryCounts,
}

/// The memory for what is made of an input.
pub struct Room<'a> {
    /// Most bytes for one input; beyond, it is refused as too large.
    pub bytes_max: usize,
    /// Takes this much of what all inputs share. `false` if there is not so much: the input is
    /// refused as [`IntakeError::Overloaded`], and the caller counts it.
    pub take: &'a mut dyn FnMut(usize) -> bool,
}

/// Parses and encodes an input that has bounds of its own: messages, pieces of files.
pub fn prepare(
    input: Input<'_>,
    arrival: Arrival<'_>,
    intake: &Intake,
    limits: Limits,
    log: &Log,
) -> Result<Delivery, IntakeError> {
    let room = Room { bytes_max: usize::MAX, take: &mut |_| true };
    prepare_within(room, input, arrival, intake, limits, log)
}

/// Parses and encodes an input: everything that needs no order. What is made of it counts while it
/// is made: few bytes may be many events, and small events large entries.
pub fn prepare_within(
    room: Room<'_>,
    input: Input<'_>,
    arrival: Arrival<'_>,
    intake: &Intake,
    limits: Limits,
    log: &Log,
) -> Result<Delivery, IntakeError> {
    let source = &intake.source;
    let is_from_file = arrival.position.is_some();
    // Senders of messages and files get no response.
    let is_heard = matches!(input, Input::Body(_)) && !is_from_file;
    let heeds_errors = is_heard && source.format.heeds_errors();
    let on_conflict = if heeds_errors { OnConflict::Refuse } else { OnConflict::DeadLetter };
    let mut prepared = Delivery {
        append: Append {
            source: source.name.clone(),
            received_at: arrival.received_at,
            events: Vec::new(),
            rejected: Vec::new(),
            on_conflict,
            is_own: false,
        },
        event_positions: Vec::new(),
        rejections: Vec::new(),
        counts: DeliveryCounts { is_from_file, ..DeliveryCounts::of(arrival.received_at, 0) },
    };
    let (mut made_bytes, mut is_full) = (0, false);
    let attempts = intake.attempts.clone();
    let parsed = parse_each(input, arrival, source, (limits, attempts), &mut |item| {
        let bytes = prepared.add(item, arrival, source.format, log);
        made_bytes += bytes;
        is_full = made_bytes <= room.bytes_max && !(room.take)(bytes);
        if is_full || made_bytes > room.bytes_max {
            let most = room.bytes_max;
            return Err(EnvelopeError::TooLarge(format!(
                "the events of the body take more than {most} bytes"
            )));
        }
        Ok(())
    });
    match parsed {
        Ok(()) => Ok(prepared),
        Err(_) if is_full => Err(IntakeError::Overloaded),
        Err(error) => {
            // Pieces of files are cut and tried again.
            if !is_from_file {
                intake.refused(arrival.received_at);
            }
            Err(IntakeError::Envelope(error))
        }
    }
}

/// Parses an input and collects its items.
pub fn parse(
    input: Input<'_>,
    arrival: Arrival<'_>,
    source: &Source,
    limits: Limits,
) -> Result<Vec<Item>, EnvelopeError> {
    let mut items = Vec::new();
    parse_each(input, arrival, source, (limits, Attempts::default()), &mut |item| {
        items.push(item);
        Ok(())
    })?;
    Ok(items)
}

/// Parses an input, and calls `take` with each item as soon as it is made.
fn parse_each(
    input: Input<'_>,
    arrival: Arrival<'_>,
    source: &Source,
    (limits, attempts): (Limits, Attempts),
    take: &mut dyn FnMut(Item) -> Result<(), EnvelopeError>,
) -> Result<(), EnvelopeError> {
    let mut new_id = system::event_ids(arrival.received_at);
    let Arrival { received_at, headers, peer, position, .. } = arrival;
    let mut context =
        Context::new(&source.name, &source.trail, received_at, &mut new_id, &source.options);
    context.attempts = attempts;
    (context.limits, context.headers, context.peer, context.position) =
        (limits, headers, peer, position);
    // A file's reader waited for the rest already.
    context.defers = position.is_none();
    match input {
        Input::Body(body) => source.format.parse_each(body, &mut context, take),
        Input::Messages(messages) => {
            let joins = source.format.joins_messages();
            if joins {
                let whole = messages.iter().filter(|message| message.flaw.is_none());
                let whole: Vec<&[u8]> = whole.map(|message| message.bytes.as_slice()).collect();
                let joined = source.format.parse_messages(&whole, &mut context);
                joined.into_iter().try_for_each(&mut *take)?;
            }
            for Message { bytes, peer, flaw } in messages {
                context.peer = Some(*peer);
                match flaw {
                    None if joins => {}
                    None => {
                        let items = source.format.parse_message(bytes, &mut context);
                        items.into_iter().try_for_each(&mut *take)?;
                    }
                    Some(flaw) => take(Item::Rejected(RejectedRecord {
                        reason: flaw.clone(),
                        raw: bytes.clone(),
                    }))?,
                }
            }
            Ok(())
        }
    }
}

/// Completes an event with what the log already holds.
pub(crate) fn refine(event: &mut Event, format: Format, log: &Log) {
    format.refine(event, &|query| log.query(query).ok().map(|page| page.total));
}

/// Counts a delivery that the log did not accept, and says why.
fn unsubmitted(intake: &Intake, at: Option<Time>, error: &store::Error) -> IntakeError {
    intake.count_unsubmitted(at, error);
    match error {
        store::Error::TooLarge { .. } => {
            IntakeError::Envelope(EnvelopeError::TooLarge(error.to_string()))
        }
        store::Error::Overloaded => IntakeError::Overloaded,
        store::Error::StorageFull => IntakeError::StorageFull,
        _ => IntakeError::Fenced,
    }
}

/// Records a delivery. Calls `answer` once it is durable and visible, on a thread that must not
/// block.
pub fn submit(
    prepared: Delivery,
    intake: &Arc<Intake>,
    log: &Log,
    answer: impl FnOnce(Result<Answer, IntakeError>) + Send + 'static,
) -> Result<(), IntakeError> {
    let (append, received_at, reply) = prepared.into_request(intake, answer);
    intake.submitted.fetch_add(1, Ordering::SeqCst);
    log.submit(append, reply).map_err(|error| unsubmitted(intake, received_at, &error))
}

/// [`submit`], but waits while the log is overloaded. Blocks.
pub fn submit_blocking(
    prepared: Delivery,
    intake: &Arc<Intake>,
    log: &Log,
    answer: impl FnOnce(Result<Answer, IntakeError>) + Send + 'static,
) -> Result<(), IntakeError> {
    let (append, received_at, reply) = prepared.into_request(intake, answer);
    intake.submitted.fetch_add(1, Ordering::SeqCst);
    log.submit_blocking(append, reply).map_err(|error| unsubmitted(intake, received_at, &error))
}

impl Delivery {
    /// Adds the next item. Returns about how many bytes of memory it takes.
    fn add(&mut self, item: Item, arrival: Arrival<'_>, format: Format, log: &Log) -> usize {
        let position = self.counts.items;
        self.counts.items += 1;
        match item {
            Item::Event(mut event) => {
                set_apart(&mut event, arrival.position.map(|position| position.file));
                refine(&mut event, format, log);
                if let Some(log_file) = arrival.log_file {
                    event
                        .attributes
                        .entry(LOG_FILE.to_owned())
                        .or_insert_with(|| log_file.to_owned());
                }
                self.counts.note(format, &event, self.append.events.len());
                let event = IncomingEvent::new(*event);
                let bytes = event.memory_bytes();
                self.append.events.push(event);
                self.event_positions.push(position);
                bytes
            }
            Item::Rejected(record) => {
                self.counts.waiting += usize::from(record.reason == DEFERRED);
                let bytes = record.raw.capacity() + 2 * record.reason.len() + REJECTED_BYTES;
                self.rejections.push(Rejection { position, reason: record.reason.clone() });
                self.append.rejected.push(record);
                bytes
            }
            Item::Skipped(_) => {
                self.counts.skipped += 1;
                0
            }
        }
    }

    /// The request to the log, the time of arrival of what is not from a file, and the handler of
    /// the log's receipt.
    fn into_request(
        self,
        intake: &Arc<Intake>,
        answer: impl FnOnce(Result<Answer, IntakeError>) + Send + 'static,
    ) -> (Append, Option<Time>, impl FnOnce(Result<Receipt, Refusal>) + Send + 'static) {
        let Delivery { append, event_positions, rejections, counts } = self;
        let (counted, received_at) = (Arc::clone(intake), counts.received_at);
        let arrived_at = Some(received_at).filter(|_| !counts.is_from_file);
        let then = move |result: Result<Receipt, Refusal>| {
            let response = match result {
                Ok(receipt) => {
                    counted.recorded(&counts, &receipt);
                    Ok(render(receipt, &event_positions, rejections, counts.skipped))
                }
                Err(Refusal::Conflict { position, index }) => {
                    counted.refused(received_at);
                    Err(IntakeError::Conflict { position: event_positions[position], index })
                }
                Err(Refusal::Damaged { because }) => {
                    counted.deferred(received_at);
                    Err(IntakeError::Damaged(because))
                }
                Err(Refusal::StorageFull) => {
                    if let Some(at) = arrived_at {
                        counted.deferred(at);
                    }
                    Err(IntakeError::StorageFull)
                }
                Err(Refusal::Fenced { .. }) => Err(IntakeError::Fenced),
            };
            counted.submitted.fetch_sub(1, Ordering::SeqCst);
            answer(response);
        };
        (append, arrived_at, then)
    }
}

/// [`submit`], and returns once it is durable and visible. Drops `held` then, even if nobody waits.
pub async fn record(
    prepared: Delivery,
    intake: &Arc<Intake>,
    log: &Log,
    held: impl Send + 'static,
) -> Result<Answer, IntakeError> {
    let (reply, replied) = tokio::sync::oneshot::channel();
    submit(prepared, intake, log, move |result| {
        drop(held);
        // Nobody waits if the client is gone; the events stay in the log.
        let _ = reply.send(result);
    })?;
    replied.await.unwrap_or(Err(IntakeError::Fenced))
}

fn render(
    receipt: Receipt,
    event_positions: &[usize],
    mut rejections: Vec<Rejection>,
    skipped: usize,
) -> Answer {
    rejections.extend(
        receipt
            .rejected
            .into_iter()
            .map(|(position, reason)| Rejection { position: event_positions[position], reason }),
    );
    rejections.sort_by_key(|rejection| rejection.position);
    Answer {
        skipped,
        first_index: receipt.first_index,
        recorded: receipt.recorded,
        duplicates: receipt
            .duplicates
            .into_iter()
            .map(|(position, index)| Duplicate { position: event_positions[position], index })
            .collect(),
        dead_letters: rejections,
        tree_size: receipt.tree_size,
    }
}
