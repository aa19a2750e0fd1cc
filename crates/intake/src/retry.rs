//! Retries of dead letters: they are parsed again with the source's current format and options.
//!
//! An event from a dead letter has the attribute `dead_letter` with its number. If the format gives
//! it no key, it gets one made of that number, so another retry doubles nothing. It is parsed as of
//! its time of receipt, and recorded as of now.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use event::{Event, Time};
use formats::{Context, Item, Limits};
use store::{Append, DeadLetter, IncomingEvent, Log, OnConflict, Receipt, Refusal};

use crate::intake::{DeliveryCounts, Intake};
use crate::keys::set_apart;
use crate::monitor::counters::Counters;
use crate::pipeline::refine;

/// The attribute with the number of the dead letter.
const DEAD_LETTER: &str = "dead_letter";
/// Attempts, and the pause between them, while the log is overloaded.
const ATTEMPTS_MAX: usize = 10;
const PAUSE: Duration = Duration::from_millis(10);

/// The result of a retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Came {
    /// New events.
    pub recorded: usize,
    /// Events that were recorded before.
    pub duplicates: usize,
}

/// A retry that the log has.
pub struct Submitted {
    number: u64,
    events: usize,
    delivery: DeliveryCounts,
    answer: Receiver<Result<Receipt, Refusal>>,
}

/// Parses a dead letter again and submits its events. Without events, the error is the reason.
pub fn submit(
    record: &DeadLetter,
    intake: &Intake,
    limits: Limits,
    now: Time,
    log: &Log,
) -> Result<Submitted, String> {
    let append_anew = || append(record, intake, limits, now, log);
    let (mut append, mut delivery) = append_anew()?;
    intake.submitted.fetch_add(1, Ordering::SeqCst);
    for _ in 0..ATTEMPTS_MAX {
        let (events, (reply, answer)) = (append.events.len(), sync_channel(1));
        let submitted = log.submit(append, move |result| {
            // The receiver is gone only if the caller is.
            let _ = reply.send(result);
        });
        match submitted {
            Ok(()) => return Ok(Submitted { number: record.number, events, delivery, answer }),
            Err(store::Error::Overloaded) => std::thread::sleep(PAUSE),
            Err(error) => {
                intake.submitted.fetch_sub(1, Ordering::SeqCst);
                return Err(error.to_string());
            }
        }
        (append, delivery) = append_anew()?;
    }
    intake.submitted.fetch_sub(1, Ordering::SeqCst);
    Err("too many requests are waiting; try again".to_owned())
}

impl Submitted {
    /// The result, once it is durable. Without events, the error is the reason.
    pub fn finish(self, intake: &Intake) -> Result<Came, String> {
        let Submitted { number, events, delivery, answer } = self;
        let receipt = match answer.recv() {
            Ok(Ok(receipt)) => receipt,
            Ok(Err(Refusal::StorageFull)) => {
                intake.submitted.fetch_sub(1, Ordering::SeqCst);
                return Err(store::Error::StorageFull.to_string());
            }
            Ok(Err(_)) | Err(_) => {
                return Err("the log takes no events until it is started again".to_owned());
            }
        };
        let came = Came { recorded: receipt.recorded, duplicates: receipt.duplicates.len() };
        Counters::add(&intake.counters.retried, came.recorded);
        // As known numbers: a retried event starts no run.
        intake.note_numbers(&delivery, &(0..events).collect());
        intake.submitted.fetch_sub(1, Ordering::SeqCst);
        if events > 0 && came == (Came { recorded: 0, duplicates: 0 }) {
            return Err(format!(
                "id_conflict: what is in record {number} is recorded with other bytes"
            ));
        }
        Ok(came)
    }
}

fn append(
    record: &DeadLetter,
    intake: &Intake,
    limits: Limits,
    now: Time,
    log: &Log,
) -> Result<(Append, DeliveryCounts), String> {
    let source = &intake.source;
    let mut new_id = system::event_ids(now);
    let mut context =
        Context::new(&source.name, &source.trail, record.received_at, &mut new_id, &source.options);
    context.limits = limits;
    let items = source.format.parse_again(&record.raw, &mut context)?;
    let mut delivery = DeliveryCounts::of(now, items.len());
    let mut append = Append {
        source: source.name.clone(),
        received_at: now,
        events: Vec::with_capacity(items.len()),
        rejected: Vec::new(),
        on_conflict: OnConflict::DeadLetter,
        is_own: false,
    };
    for (position, item) in items.into_iter().enumerate() {
        match item {
            Item::Event(mut event) => {
                set_apart(&mut event, None);
                name_record(&mut event, record.number, position);
                refine(&mut event, source.format, log);
                delivery.note(source.format, &event, append.events.len());
                append.events.push(IncomingEvent::new(*event));
            }
            Item::Rejected(record) => append.rejected.push(record),
            Item::Skipped(_) => {}
        }
    }
    Ok((append, delivery))
}

fn name_record(event: &mut Event, number: u64, position: usize) {
    event.attributes.insert(DEAD_LETTER.to_owned(), number.to_string());
    // `set-aside:` is the name in format 1.
    event.origin.key.get_or_insert_with(|| format!("set-aside:{number}:{position}"));
}
