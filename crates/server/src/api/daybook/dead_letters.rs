//! The dead-letter queue: rejected records, listed, shown, and parsed again.
//!
//! A dead letter belongs to the trail of its source. One whose source is not configured any more
//! belongs to callers who manage the sources. A dead letter that the caller may not see does not
//! exist for them.

use std::ops::ControlFlow;
use std::sync::Arc;

use event::{Operation, Time};
use formats::Limits;
use hyper::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::DeadLetter;

use super::problem::Problem;
use crate::api::{Answer, Call, Refusal, parameters};
use access::Caller;
use access::rights::Action;
use find::question::{InvalidParameter, NUMBER_MAX, Parameters};
use intake::Intake;
use intake::audit::Act;
use intake::dead_letters::{DeadLetterFilter, DeadLetterView};
use intake::retry;
use net::path;

/// Rows of a page by default, and at most.
const LIMIT: u64 = 100;
const LIMIT_MAX: u64 = 1000;
/// Records, and their bytes, that one request examines; a page that reaches them has fewer rows.
/// Bounds its time.
const EXAMINED_MAX: usize = 100_000;
const EXAMINED_BYTES_MAX: usize = 256 << 20;
/// Records retried by one request, and their bytes. Bounds its time and memory.
const RETRIED_MAX: usize = 200;
const RETRIED_BYTES_MAX: usize = 64 << 20;
/// Records that are on their way into the log at once.
const RETRIED_AT_ONCE: usize = 32;

/// A page of dead letters.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DeadLetters")]
pub struct List<'a> {
    records: Vec<DeadLetterView<'a>>,
    /// The number to continue from; null at the end.
    next: Option<u64>,
}

/// Whether the caller may do this to the trail of a record's source.
fn may(call: &Call<'_>, caller: &Caller<'_>, action: Action, source: &str) -> bool {
    match intake(call, source) {
        Some(intake) => caller.may(action, &intake.source.trail),
        None => caller.may(Action::ManageSources, call.state.audit.trail()),
    }
}

fn intake<'a>(call: &Call<'a>, source: &str) -> Option<&'a Arc<Intake>> {
    call.state.intakes.iter().find(|intake| intake.source.name == source)
}

/// `GET /api/v1/dead-letters`
pub fn list(call: &Call<'_>) -> Result<Answer, Refusal> {
    call.concerns("dead letters");
    let caller = call.caller()?;
    let mut parameters = Parameters::of(path::query_pairs(call.raw_query()));
    let offset = parameters.integer("offset", 0..=NUMBER_MAX)?.unwrap_or(0);
    let limit = parameters.integer("limit", 1..=LIMIT_MAX)?.unwrap_or(LIMIT);
    let filter = filter(&mut parameters)?;
    parameters.end()?;
    let rows_max = usize::try_from(limit).unwrap_or(usize::MAX);
    let retried = &call.state.retried;
    let _permit = call.caller_permit(&call.state.expensive)?;
    let bytes_max = call.state.config().limits.page_bytes_max;
    let (records, next) = examine(call, offset, rows_max, bytes_max, &mut |record| {
        filter.matches(record, retried.contains(record.number))
            && may(call, caller, Action::ReadEvents, &record.source)
    })?;
    let rows = records
        .iter()
        .map(|record| DeadLetterView::in_list(record, retried.contains(record.number)));
    let answer = Answer::json(StatusCode::OK, &List { records: rows.collect(), next });
    Ok(answer.with_rows(records.len(), records.len() as u64))
}

fn filter(parameters: &mut Parameters) -> Result<DeadLetterFilter, InvalidParameter> {
    let since = parameters.take("since")?.map(|since| {
        let read = Time::parse_rfc3339(&since).map(|(time, _)| time);
        read.map_err(|_| {
            InvalidParameter::new("since", "since is no time such as 2026-11-20T10:00:00Z")
        })
    });
    let retried = match parameters.take("all")?.as_deref() {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(InvalidParameter::new("all", "all is true or false")),
    };
    Ok(DeadLetterFilter {
        source: parameters.take("source")?,
        since: since.transpose()?,
        reason: parameters.take("reason")?,
        retried,
    })
}

/// Records from a number on that `is_requested` accepts, within limits, and the number to continue
/// from.
fn examine(
    call: &Call<'_>,
    from: u64,
    rows_max: usize,
    bytes_max: usize,
    is_requested: &mut dyn FnMut(&DeadLetter) -> bool,
) -> Result<(Vec<DeadLetter>, Option<u64>), store::Error> {
    let (mut records, mut next, mut bytes) = (Vec::new(), None, 0_usize);
    let (mut examined, mut examined_bytes) = (0, 0_usize);
    call.state.log.each_dead_letter(from, &mut |record: DeadLetter| {
        if records.len() == rows_max
            || examined == EXAMINED_MAX
            || examined_bytes >= EXAMINED_BYTES_MAX
            || bytes >= bytes_max
        {
            next = Some(record.number);
            return ControlFlow::Break(());
        }
        (examined, examined_bytes) =
            (examined + 1, examined_bytes.saturating_add(record.raw.len()));
        if is_requested(&record) {
            bytes = bytes.saturating_add(record.raw.len());
            records.push(record);
        }
        ControlFlow::Continue(())
    })?;
    Ok((records, next))
}

/// The record with this number, if there is one.
fn find(call: &Call<'_>, number: u64) -> Result<Option<DeadLetter>, store::Error> {
    let (records, _) = examine(call, number, 1, usize::MAX, &mut |_| true)?;
    Ok(records.into_iter().next())
}

/// `GET /api/v1/dead-letters/{number}`
pub fn show(call: &Call<'_>) -> Result<Answer, Refusal> {
    call.concerns("dead letters");
    let [number] = call.path();
    let caller = call.caller()?;
    let number = parameters::digits(number, 0..=u64::MAX)
        .map_err(|_| Problem::malformed("a dead letter has a decimal number"))?;
    let record = find(call, number)?
        .filter(|record| may(call, caller, Action::ReadEvents, &record.source))
        .ok_or_else(|| Problem::not_found("there is no such dead letter"))?;
    let body = DeadLetterView::whole(&record, call.state.retried.contains(number));
    Ok(Answer::json(StatusCode::OK, &body).with_rows(1, 1))
}

/// Dead letters to retry: one of the three members.
#[derive(Deserialize, Default, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetryRequest {
    numbers: Option<Vec<u64>>,
    source: Option<String>,
    all: Option<bool>,
    /// The number to begin with, for `source` and `all`.
    from: u64,
}

/// Outcomes of a retry, and the number to continue from; null at the end.
#[derive(Serialize, JsonSchema)]
pub struct RetryAnswer {
    records: Vec<Outcome>,
    next: Option<u64>,
}

/// Outcome of one record: its events, or the reason why it has none.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RetryOutcome")]
struct Outcome {
    number: u64,
    recorded: usize,
    duplicates: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// `POST /api/v1/dead-letters/retry`
pub fn retry(call: &Call<'_>) -> Result<Answer, Refusal> {
    call.concerns("dead letters");
    let caller = call.caller()?;
    let request: RetryRequest = serde_json::from_slice(&call.request.body).map_err(|error| {
        Problem::malformed(format!("the body does not say what to retry: {error}"))
    })?;
    let _permit = call.caller_permit(&call.state.expensive)?;
    let (records, next) = select(call, caller, &request)?;
    let count = records.len();
    if records.is_empty() {
        let answer = Answer::json(StatusCode::OK, &RetryAnswer { records: Vec::new(), next });
        return Ok(answer.with_rows(0, 0));
    }
    if let Err(error) = call.state.audit.record_now(act(call, &records)) {
        tracing::warn!(request_id = call.request.id, error, "couldn't record a retry");
        let why = "the retry could not be recorded; try again";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unrecorded", why).into());
    }
    let records = records.chunks(RETRIED_AT_ONCE).flat_map(|some| retry_some(call, some)).collect();
    let answer = Answer::json(StatusCode::OK, &RetryAnswer { records, next });
    Ok(answer.with_rows(count, count as u64).recorded())
}

/// The requested records, and the number to continue from.
fn select(
    call: &Call<'_>,
    caller: &Caller<'_>,
    request: &RetryRequest,
) -> Result<(Vec<DeadLetter>, Option<u64>), Refusal> {
    match (&request.numbers, &request.source, request.all) {
        (Some(numbers), None, None) => Ok((with_numbers(call, caller, numbers)?, None)),
        (None, Some(source), None) => {
            let is_there =
                intake(call, source).is_some() && may(call, caller, Action::WriteEvents, source);
            if !is_there {
                let text = "there is no such source that you may send to";
                return Err(Problem::not_found(text).into());
            }
            Ok(waiting(call, caller, Some(source), request.from)?)
        }
        (None, None, Some(true)) => Ok(waiting(call, caller, None, request.from)?),
        _ => Err(Problem::malformed("give one of numbers, source and all").into()),
    }
}

/// The records with these numbers. Fails if one does not exist for the caller, or its source is not
/// configured any more.
fn with_numbers(
    call: &Call<'_>,
    caller: &Caller<'_>,
    numbers: &[u64],
) -> Result<Vec<DeadLetter>, Refusal> {
    if numbers.len() > RETRIED_MAX {
        let text = format!("at most {RETRIED_MAX} dead letters are retried at once");
        return Err(Problem::malformed(text).into());
    }
    let (mut records, mut bytes) = (Vec::new(), 0_usize);
    for &number in numbers {
        let may_retry = |record: &DeadLetter| {
            record.number == number && may(call, caller, Action::WriteEvents, &record.source)
        };
        let record = find(call, number)?.filter(may_retry).ok_or_else(|| {
            Problem::not_found(format!("there is no dead letter {number} that you may retry"))
        })?;
        if intake(call, &record.source).is_none() {
            let why = format!(
                "dead letter {number} came from {}, which is not configured; configure it again",
                record.source
            );
            return Err(Problem::new(StatusCode::CONFLICT, "no_source", why).into());
        }
        bytes = bytes.saturating_add(record.raw.len());
        if bytes > RETRIED_BYTES_MAX {
            let text = format!(
                "at most {RETRIED_BYTES_MAX} bytes of dead letters are retried at once; name fewer"
            );
            return Err(Problem::malformed(text).into());
        }
        records.push(record);
    }
    Ok(records)
}

/// Some of the records that were not retried yet, of a source or of all that the caller may write
/// to.
fn waiting(
    call: &Call<'_>,
    caller: &Caller<'_>,
    source: Option<&String>,
    from: u64,
) -> Result<(Vec<DeadLetter>, Option<u64>), store::Error> {
    examine(call, from, RETRIED_MAX, RETRIED_BYTES_MAX, &mut |record| {
        source.is_none_or(|source| *source == record.source)
            && !call.state.retried.contains(record.number)
            && intake(call, &record.source).is_some()
            && may(call, caller, Action::WriteEvents, &record.source)
    })
}

fn act(call: &Call<'_>, records: &[DeadLetter]) -> Act {
    let numbers: Vec<String> = records.iter().map(|record| record.number.to_string()).collect();
    let mut sources: Vec<&str> = records.iter().map(|record| record.source.as_str()).collect();
    sources.dedup();
    let act = Act::new(call.operation, Operation::Other, "Sources")
        .by(call.who())
        .on("dead letters", &sources.join(", "))
        .with("request", call.requested())
        .with("records", numbers.join(", "));
    let description = Some(format!("{} dead letters are parsed again", records.len()));
    Act { description, ..act }
}

/// Retries some records, all on their way at once.
fn retry_some(call: &Call<'_>, records: &[DeadLetter]) -> Vec<Outcome> {
    let submitted: Vec<_> = records.iter().map(|record| submit(call, record)).collect();
    let came = submitted
        .into_iter()
        .map(|submitted| submitted.and_then(|(intake, submitted)| submitted.finish(intake)));
    came.zip(records).map(|(came, record)| outcome(call, record.number, came)).collect()
}

fn submit<'a>(
    call: &Call<'a>,
    record: &DeadLetter,
) -> Result<(&'a Arc<Intake>, retry::Submitted), String> {
    let config = call.state.config();
    let limits = Limits {
        events_max: config.limits.events_per_request_max,
        event_bytes_max: config.limits.event_bytes_max,
    };
    let intake = intake(call, &record.source).ok_or("its source is not configured")?;
    Ok((intake, retry::submit(record, intake, limits, call.now, &call.state.log)?))
}

fn outcome(call: &Call<'_>, number: u64, came: Result<retry::Came, String>) -> Outcome {
    match came {
        Ok(retry::Came { recorded, duplicates }) => {
            call.state.retried.insert(number);
            Outcome { number, recorded, duplicates, reason: None }
        }
        Err(reason) => Outcome { number, recorded: 0, duplicates: 0, reason: Some(reason) },
    }
}
