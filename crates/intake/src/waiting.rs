//! Requests that wait for their response. Some senders report requests and responses in bodies of
//! their own; a request that came alone is in the dead-letter queue. After [`WAITED_NS`] it is
//! resolved: if its response is recorded, nothing is to be done; if not, it becomes an event by
//! itself. Each act has one row, and nothing is lost without a response.

use std::ops::ControlFlow;
use std::sync::Arc;

use event::Time;
use event::query::Query;
use formats::{Context, DEFERRED, Item, Limits};
use store::{DeadLetter, Log};

use super::retried::Retried;
use super::{Intake, retry};

/// The time for which a followed file waits for a response.
const WAITED_NS: i64 = 10_000_000_000;
/// Records read in one check, so that nothing else waits long.
const EXAMINED_MAX: usize = 10_000;
/// Requests resolved in one check, and their bytes: they are in memory at the same time.
const AT_ONCE: usize = 500;
const BYTES_AT_ONCE: usize = 16 << 20;
/// Events of the same instant as a request that are searched for its response.
const SAME_INSTANT_MAX: usize = 1000;

/// Resolves requests among the dead letters from this number on. Returns the next number.
pub fn resolve(
    from: u64,
    intakes: &[Arc<Intake>],
    limits: Limits,
    log: &Log,
    retried: &Retried,
) -> Result<u64, store::Error> {
    let now = system::now();
    let (due, next) = due(from, now, log, retried)?;
    let submit = |record: &DeadLetter| {
        let intake = intakes.iter().find(|intake| intake.source.name == record.source);
        let intake = intake.ok_or("its source is not configured")?;
        if is_answered(record, intake, limits, log) {
            return Ok(None);
        }
        Ok(Some((intake, retry::submit(record, intake, limits, now, log)?)))
    };
    let submitted: Vec<Result<_, String>> = due.iter().map(submit).collect();
    for (record, submitted) in due.iter().zip(submitted) {
        let came = submitted.and_then(|submitted| match submitted {
            None => Ok(()),
            Some((intake, submitted)) => submitted.finish(intake).map(drop),
        });
        match came {
            Ok(()) => retried.insert(record.number),
            Err(why) => {
                tracing::warn!(
                    record.number,
                    why,
                    "a request without a response stays in the dead-letter queue"
                );
            }
        }
    }
    Ok(next)
}

/// The requests that waited long enough, and the number of the next record to read.
fn due(
    from: u64,
    now: Time,
    log: &Log,
    retried: &Retried,
) -> Result<(Vec<DeadLetter>, u64), store::Error> {
    let (mut due, mut bytes, mut next) = (Vec::new(), 0, from);
    let mut examined = 0;
    log.each_dead_letter(from, &mut |record| {
        examined += 1;
        let is_waiting = record.reason == DEFERRED && !retried.contains(record.number);
        let age_ns = now.unix_ns().saturating_sub(record.received_at.unix_ns());
        // After a step back of the clock, the time that passed is unknown.
        if (is_waiting && (0..WAITED_NS).contains(&age_ns)) || examined > EXAMINED_MAX {
            return ControlFlow::Break(());
        }
        next = record.number + 1;
        if is_waiting {
            bytes += record.raw.len();
            due.push(record);
        }
        if due.len() < AT_ONCE && bytes < BYTES_AT_ONCE {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    })?;
    Ok((due, next))
}

/// Whether the response to a request is recorded.
fn is_answered(record: &DeadLetter, intake: &Intake, limits: Limits, log: &Log) -> bool {
    let source = &intake.source;
    let mut new_id = system::event_ids(record.received_at);
    let mut context =
        Context::new(&source.name, &source.trail, record.received_at, &mut new_id, &source.options);
    context.limits = limits;
    let Ok(items) = source.format.parse_again(&record.raw, &mut context) else { return false };
    let Some(request) = items.into_iter().find_map(|item| match item {
        Item::Event(event) => Some(event),
        Item::Rejected(_) | Item::Skipped(_) => None,
    }) else {
        return false;
    };
    let at = request.occurred_at;
    let query = Query {
        from: Some(at),
        until: Some(Time::from_unix_ns(at.unix_ns().saturating_add(1))),
        limit: SAME_INSTANT_MAX,
        ..Query::of(source.trail.clone())
    };
    log.query(&query).is_ok_and(|page| {
        page.rows.iter().any(|row| source.format.is_answer(&row.entry.event, &request))
    })
}
