//! What was set aside, parsed again: with the source's format and options as they are now.
//!
//! What comes of a record has the attribute `set_aside`, its number, and where the format gives no
//! key, one made of that number, so that doing it again doubles nothing. It is parsed as of when it
//! was received, and recorded as of now.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use event::{Event, Time};
use formats::{Context, Item, Limits};
use store::{Append, DeadLetter, IncomingEvent, Log, OnConflict, Receipt, Refusal};

use super::figures::Figures;
use super::{Arrived, Intake, refine};

/// The attribute that names the record that an event came of.
const SET_ASIDE: &str = "set_aside";
/// How often, and after which pause, a record is offered again while the log has no room.
const ATTEMPTS_MAX: usize = 10;
const PAUSE: Duration = Duration::from_millis(10);

/// What came of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Came {
    /// Events recorded now.
    pub recorded: usize,
    /// Events that had been before.
    pub duplicates: usize,
}

/// A record that was handed to the log.
pub struct Submitted {
    number: u64,
    events: usize,
    arrived: Arrived,
    answer: Receiver<Result<Receipt, Refusal>>,
}

/// Parses a record again and hands what comes of it to the log. Errs with the reason when nothing
/// does.
pub fn submit(
    record: &DeadLetter,
    intake: &Intake,
    limits: Limits,
    now: Time,
    log: &Log,
) -> Result<Submitted, String> {
    let append_anew = || append(record, intake, limits, now, log);
    let (mut append, mut arrived) = append_anew()?;
    intake.submitted.fetch_add(1, Ordering::SeqCst);
    for _ in 0..ATTEMPTS_MAX {
        let (events, (tell, answer)) = (append.events.len(), sync_channel(1));
        let submitted = log.submit(append, move |result| {
            // The receiver is gone only if whoever asked is.
            let _ = tell.send(result);
        });
        match submitted {
            Ok(()) => return Ok(Submitted { number: record.number, events, arrived, answer }),
            Err(store::Error::Overloaded) => std::thread::sleep(PAUSE),
            Err(error) => {
                intake.submitted.fetch_sub(1, Ordering::SeqCst);
                return Err(error.to_string());
            }
        }
        (append, arrived) = append_anew()?;
    }
    intake.submitted.fetch_sub(1, Ordering::SeqCst);
    Err("too many requests are waiting; try again".to_owned())
}

impl Submitted {
    /// What came of it, once that is durable. Errs with the reason when nothing did.
    pub fn finish(self, intake: &Intake) -> Result<Came, String> {
        let Submitted { number, events, arrived, answer } = self;
        let receipt = match answer.recv() {
            Ok(Ok(receipt)) => receipt,
            Ok(Err(_)) | Err(_) => {
                return Err("the log takes no events until it is started again".to_owned());
            }
        };
        let came = Came { recorded: receipt.recorded, duplicates: receipt.duplicates.len() };
        Figures::add(&intake.figures.retried, came.recorded);
        // Known, for what is found again begins nothing.
        intake.note_numbers(&arrived, &(0..events).collect());
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
) -> Result<(Append, Arrived), String> {
    let source = &intake.source;
    let mut new_id = system::event_ids(now);
    let mut context =
        Context::new(&source.name, &source.trail, record.received_at, &mut new_id, &source.options);
    context.limits = limits;
    let items = source.format.parse_again(&record.raw, &mut context)?;
    let mut arrived = Arrived::of(now, items.len());
    let mut append = Append {
        source: source.name.clone(),
        received_at: now,
        events: Vec::with_capacity(items.len()),
        rejected: Vec::new(),
        on_conflict: OnConflict::DeadLetter,
    };
    for (position, item) in items.into_iter().enumerate() {
        match item {
            Item::Event(mut event) => {
                name_record(&mut event, record.number, position);
                refine(&mut event, source.format, log);
                arrived.note(source.format, &event, append.events.len());
                append.events.push(IncomingEvent::new(*event));
            }
            Item::Rejected(set_aside) => append.rejected.push(set_aside),
            Item::Skipped(_) => {}
        }
    }
    Ok((append, arrived))
}

fn name_record(event: &mut Event, number: u64, position: usize) {
    event.attributes.insert(SET_ASIDE.to_owned(), number.to_string());
    event.origin.key.get_or_insert_with(|| format!("set-aside:{number}:{position}"));
}
