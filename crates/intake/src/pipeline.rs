//! From bytes to the log: parse, prepare, submit.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use config::Source;
use event::{Event, LOG_FILE, Time};
use formats::{
    Context, DEFERRED, EnvelopeError, FilePosition, Format, Item, Limits, RejectedRecord,
};
use serde::Serialize;
use store::{Append, IncomingEvent, Log, OnConflict, Receipt, Refusal};

use crate::intake::{DeliveryCounts, Intake};

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

/// Parsed input, ready for the log.
pub struct Delivery {
    pub(crate) append: Append,
    pub(crate) event_positions: Vec<usize>,
    pub(crate) rejections: Vec<Rejection>,
    pub(crate) counts: DeliveryCounts,
}

/// Parses and encodes an input: everything that needs no order.
pub fn prepare(
    input: Input<'_>,
    arrival: Arrival<'_>,
    intake: &Intake,
    limits: Limits,
    log: &Log,
) -> Result<Delivery, IntakeError> {
    let source = &intake.source;
    let is_from_file = arrival.position.is_some();
    let parsed = parse(input, arrival, source, limits).map_err(|error| {
        // Pieces of files are cut and tried again.
        if !is_from_file {
            intake.refused(arrival.received_at);
        }
        IntakeError::Envelope(error)
    })?;
    // Senders of messages and files get no response.
    let is_heard = matches!(input, Input::Body(_)) && !is_from_file;
    let heeds_errors = is_heard && source.format.heeds_errors();
    let on_conflict = if heeds_errors { OnConflict::Refuse } else { OnConflict::DeadLetter };
    let mut prepared = Delivery {
        append: Append {
            source: source.name.clone(),
            received_at: arrival.received_at,
            events: Vec::with_capacity(parsed.len()),
            rejected: Vec::new(),
            on_conflict,
        },
        event_positions: Vec::with_capacity(parsed.len()),
        rejections: Vec::new(),
        counts: DeliveryCounts {
            is_from_file,
            ..DeliveryCounts::of(arrival.received_at, parsed.len())
        },
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
                prepared.counts.note(source.format, &event, prepared.append.events.len());
                prepared.append.events.push(IncomingEvent::new(*event));
                prepared.event_positions.push(position);
            }
            Item::Rejected(record) => {
                prepared.counts.waiting += usize::from(record.reason == DEFERRED);
                prepared.rejections.push(Rejection { position, reason: record.reason.clone() });
                prepared.append.rejected.push(record);
            }
            Item::Skipped(_) => prepared.counts.skipped += 1,
        }
    }
    Ok(prepared)
}

/// Parses an input.
pub fn parse(
    input: Input<'_>,
    arrival: Arrival<'_>,
    source: &Source,
    limits: Limits,
) -> Result<Vec<Item>, EnvelopeError> {
    let mut new_id = system::event_ids(arrival.received_at);
    let Arrival { received_at, headers, peer, position, .. } = arrival;
    let mut context =
        Context::new(&source.name, &source.trail, received_at, &mut new_id, &source.options);
    (context.limits, context.headers, context.peer, context.position) =
        (limits, headers, peer, position);
    // A file's reader waited for the rest already.
    context.defers = position.is_none();
    match input {
        Input::Body(body) => source.format.parse(body, &mut context),
        Input::Messages(messages) => {
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
    rejections: Vec<Rejection>,
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
        dead_letters: rejections,
        tree_size: receipt.tree_size,
    }
}
