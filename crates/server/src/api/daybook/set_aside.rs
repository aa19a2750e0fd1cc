//! What was set aside: listed, shown, and parsed again.
//!
//! A record belongs to the trail of its source. One whose source is not configured any more is for
//! whoever manages the sources. What the caller may not see is answered like what is not there.

use std::ops::ControlFlow;
use std::sync::Arc;

use event::{Operation, Time};
use formats::Limits;
use hyper::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::DeadLetter;

use super::caller;
use super::problem::Problem;
use crate::api::parameters;
use crate::state::{Context, Note};
use access::Caller;
use access::rights::Action;
use find::question::{InvalidParameter, NUMBER_MAX, Parameters};
use intake::Intake;
use intake::aside::{Asked, Shown};
use intake::audit::Act;
use intake::retry;
use net::{self, Request, Response, path};

/// Rows of a page, unless asked otherwise, and at most.
const LIMIT: u64 = 100;
const LIMIT_MAX: u64 = 1000;
/// Bytes of the records of a page, which are in memory while it is made; beyond, it is short of
/// rows.
const LISTED_BYTES_MAX: usize = 32 << 20;
/// Records, and their bytes, that one request looks at; a page may be short of rows for it. Bounds
/// how long it takes.
const EXAMINED_MAX: usize = 100_000;
const EXAMINED_BYTES_MAX: usize = 256 << 20;
/// Records retried by one request, and their bytes. Bounds how long it takes and what is in memory.
const RETRIED_MAX: usize = 200;
const RETRIED_BYTES_MAX: usize = 64 << 20;
/// Records that are on their way into the log at the same time.
const RETRIED_AT_ONCE: usize = 32;

/// A page of records.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SetAside")]
pub struct List<'a> {
    records: Vec<Shown<'a>>,
    /// The number to go on from; null at the end.
    next: Option<u64>,
}

/// Whether the caller may do this to the trail of a record's source.
fn may(caller: &Caller<'_>, action: Action, source: &str, context: &Context<'_>) -> bool {
    match intake(source, context) {
        Some(intake) => caller.may(action, &intake.source.trail),
        None => caller.may(Action::ManageSources, context.shared.audit.trail()),
    }
}

fn intake<'a>(source: &str, context: &Context<'a>) -> Option<&'a Arc<Intake>> {
    context.shared.intakes.iter().find(|intake| intake.source.name == source)
}

/// `GET /api/v1/set-aside`
pub fn list(
    request: &Request,
    context: &Context<'_>,
    note: &mut Note,
) -> Result<Response, Problem> {
    "set aside".clone_into(&mut note.resource);
    let caller = caller(request, context, note)?;
    let mut parameters = Parameters::of(path::query_pairs(&request.raw_query));
    let offset = parameters.integer("offset", 0..=NUMBER_MAX)?.unwrap_or(0);
    let limit = parameters.integer("limit", 1..=LIMIT_MAX)?.unwrap_or(LIMIT);
    let since = parameters.take("since")?.map(|since| {
        let read = Time::parse_rfc3339(&since).map(|(time, _)| time);
        read.map_err(|_| {
            InvalidParameter::new("since", "since is no time such as 2026-11-20T10:00:00Z")
        })
    });
    let retried = match parameters.take("all")?.as_deref() {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(InvalidParameter::new("all", "all is true or false").into()),
    };
    let asked = Asked {
        source: parameters.take("source")?,
        since: since.transpose()?,
        reason: parameters.take("reason")?,
        retried,
    };
    parameters.end()?;
    let rows_max = usize::try_from(limit).unwrap_or(usize::MAX);
    let (records, next) =
        examine(context, request, offset, rows_max, LISTED_BYTES_MAX, &mut |record| {
            asked.is_for(record, context.shared.retried.contains(record.number))
                && may(&caller, Action::ReadEvents, &record.source, context)
        })?;
    note.rows = Some((records.len(), records.len() as u64));
    let shown = |record| Shown::in_list(record, context.shared.retried.contains(record.number));
    Ok(net::json(StatusCode::OK, &List { records: records.iter().map(shown).collect(), next }))
}

/// Records from a number on of which `is_asked_for` is true, within limits, and the number to go on
/// from.
fn examine(
    context: &Context<'_>,
    request: &Request,
    from: u64,
    rows_max: usize,
    bytes_max: usize,
    is_asked_for: &mut dyn FnMut(&DeadLetter) -> bool,
) -> Result<(Vec<DeadLetter>, Option<u64>), Problem> {
    let (mut found, mut next, mut bytes) = (Vec::new(), None, 0_usize);
    let (mut examined, mut examined_bytes) = (0, 0_usize);
    let mut take = |record: DeadLetter| {
        if found.len() == rows_max
            || examined == EXAMINED_MAX
            || examined_bytes >= EXAMINED_BYTES_MAX
            || bytes >= bytes_max
        {
            next = Some(record.number);
            return ControlFlow::Break(());
        }
        (examined, examined_bytes) =
            (examined + 1, examined_bytes.saturating_add(record.raw.len()));
        if is_asked_for(&record) {
            bytes = bytes.saturating_add(record.raw.len());
            found.push(record);
        }
        ControlFlow::Continue(())
    };
    let read = context.shared.log.each_dead_letter(from, &mut take);
    read.map_err(|error| Problem::failed(&error, &request.id))?;
    Ok((found, next))
}

/// The record with this number, if there is one.
fn record(
    number: u64,
    request: &Request,
    context: &Context<'_>,
) -> Result<Option<DeadLetter>, Problem> {
    let (records, _) = examine(context, request, number, 1, usize::MAX, &mut |_| true)?;
    Ok(records.into_iter().next())
}

/// `GET /api/v1/set-aside/{number}`
pub fn show(
    number: &str,
    request: &Request,
    context: &Context<'_>,
    note: &mut Note,
) -> Result<Response, Problem> {
    "set aside".clone_into(&mut note.resource);
    let caller = caller(request, context, note)?;
    let number = parameters::digits(number, 0..=u64::MAX)
        .map_err(|_| Problem::malformed("a record has a decimal number"))?;
    let record = record(number, request, context)?
        .filter(|record| may(&caller, Action::ReadEvents, &record.source, context))
        .ok_or_else(|| Problem::not_found("no such record was set aside"))?;
    note.rows = Some((1, 1));
    Ok(net::json(StatusCode::OK, &Shown::whole(&record, context.shared.retried.contains(number))))
}

/// Which records are to be retried: one of the three.
#[derive(Deserialize, Default, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Wanted {
    numbers: Option<Vec<u64>>,
    source: Option<String>,
    all: Option<bool>,
    /// The number to begin with, for the latter two.
    from: u64,
}

/// What came of a retry, and the number to go on from; null at the end.
#[derive(Serialize, JsonSchema)]
pub struct Retried {
    records: Vec<Outcome>,
    next: Option<u64>,
}

/// What came of a record: events, or the reason why nothing did.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RetryOutcome")]
struct Outcome {
    number: u64,
    recorded: usize,
    duplicates: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// `POST /api/v1/set-aside/retry`
pub fn retry(
    request: &Request,
    context: &Context<'_>,
    note: &mut Note,
) -> Result<Response, Problem> {
    "set aside".clone_into(&mut note.resource);
    let caller = caller(request, context, note)?;
    let wanted: Wanted = serde_json::from_slice(&request.body).map_err(|error| {
        Problem::malformed(format!("the body does not say what to retry: {error}"))
    })?;
    let (records, next) = match (&wanted.numbers, &wanted.source, wanted.all) {
        (Some(numbers), None, None) => (named(numbers, &caller, request, context)?, None),
        (None, Some(source), None) => {
            let is_there = intake(source, context).is_some()
                && may(&caller, Action::WriteEvents, source, context);
            if !is_there {
                return Err(Problem::not_found("there is no such source that you may send to"));
            }
            waiting(Some(source), wanted.from, &caller, request, context)?
        }
        (None, None, Some(true)) => waiting(None, wanted.from, &caller, request, context)?,
        _ => return Err(Problem::malformed("give one of numbers, source and all")),
    };
    note.rows = Some((records.len(), records.len() as u64));
    if records.is_empty() {
        return Ok(net::json(StatusCode::OK, &Retried { records: Vec::new(), next }));
    }
    if let Err(error) = context.shared.audit.record_now(act(&records, note)) {
        tracing::warn!(request_id = request.id, error, "couldn't record a retry");
        let why = "the retry could not be recorded; try again";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unrecorded", why));
    }
    note.is_recorded = true;
    let records =
        records.chunks(RETRIED_AT_ONCE).flat_map(|some| retry_some(some, context)).collect();
    Ok(net::json(StatusCode::OK, &Retried { records, next }))
}

/// The records with these numbers. Errs when one is not there for the caller, or has no source any
/// more.
fn named(
    numbers: &[u64],
    caller: &Caller<'_>,
    request: &Request,
    context: &Context<'_>,
) -> Result<Vec<DeadLetter>, Problem> {
    if numbers.len() > RETRIED_MAX {
        return Err(Problem::malformed(format!(
            "at most {RETRIED_MAX} records are retried at once"
        )));
    }
    let (mut records, mut bytes) = (Vec::new(), 0_usize);
    for &number in numbers {
        let found = record(number, request, context)?
            .filter(|record| {
                record.number == number && may(caller, Action::WriteEvents, &record.source, context)
            })
            .ok_or_else(|| {
                Problem::not_found(format!("no record {number} was set aside that you may retry"))
            })?;
        if intake(&found.source, context).is_none() {
            let why = format!(
                "record {number} came from {}, which is not configured; configure it again",
                found.source
            );
            return Err(Problem::new(StatusCode::CONFLICT, "no_source", why));
        }
        bytes = bytes.saturating_add(found.raw.len());
        if bytes > RETRIED_BYTES_MAX {
            return Err(Problem::malformed(
                "so many large records are not retried at once; name fewer",
            ));
        }
        records.push(found);
    }
    Ok(records)
}

/// Some of the records that are set aside and not retried, of a source or of all that the caller
/// may write to.
fn waiting(
    source: Option<&String>,
    from: u64,
    caller: &Caller<'_>,
    request: &Request,
    context: &Context<'_>,
) -> Result<(Vec<DeadLetter>, Option<u64>), Problem> {
    examine(context, request, from, RETRIED_MAX, RETRIED_BYTES_MAX, &mut |record| {
        source.is_none_or(|source| *source == record.source)
            && !context.shared.retried.contains(record.number)
            && intake(&record.source, context).is_some()
            && may(caller, Action::WriteEvents, &record.source, context)
    })
}

fn act(records: &[DeadLetter], note: &Note) -> Act {
    let numbers: Vec<String> = records.iter().map(|record| record.number.to_string()).collect();
    let mut sources: Vec<&str> = records.iter().map(|record| record.source.as_str()).collect();
    sources.dedup();
    let act = Act::new(super::Operation::RetrySetAside.name(), Operation::Other, "Sources")
        .by(note.who.clone())
        .on("set aside", &sources.join(", "))
        .with("asked", note.asked.clone())
        .with("records", numbers.join(", "));
    Act {
        description: Some(format!("{} records set aside are parsed again", records.len())),
        ..act
    }
}

/// Retries some records, all on their way at the same time.
fn retry_some(records: &[DeadLetter], context: &Context<'_>) -> Vec<Outcome> {
    let shared = context.shared;
    let limits = Limits {
        events_max: shared.config().limits.events_per_request_max,
        event_bytes_max: shared.config().limits.event_bytes_max,
    };
    let submit = |record: &DeadLetter| {
        let intake = intake(&record.source, context).ok_or("its source is not configured")?;
        Ok((intake, retry::submit(record, intake, limits, context.now, &shared.log)?))
    };
    let submitted: Vec<Result<_, String>> = records.iter().map(submit).collect();
    let came = submitted
        .into_iter()
        .map(|submitted| submitted.and_then(|(intake, submitted)| submitted.finish(intake)));
    let outcome = |(came, record): (Result<retry::Came, String>, &DeadLetter)| match came {
        Ok(retry::Came { recorded, duplicates }) => {
            shared.retried.insert(record.number);
            Outcome { number: record.number, recorded, duplicates, reason: None }
        }
        Err(reason) => {
            Outcome { number: record.number, recorded: 0, duplicates: 0, reason: Some(reason) }
        }
    };
    came.zip(records).map(outcome).collect()
}
