//! `GET /api/v1/tail`: events as they are recorded. What is asked is read here; [`crate::live`]
//! answers.

use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};

use super::caller;
use super::problem::Problem;
use crate::live::{Shown, Tail};
use crate::state::{Context, Note, with_tree_size};
use access::signature::Authorization;
use find::question::{InvalidParameter, NUMBER_MAX, Parameters, Q, invalid_search};
use net::{Body, Request, Response, path};

/// The header by which a client that comes back says what it had last.
const LAST_EVENT_ID: &str = "last-event-id";

/// What a request asks to follow, and how many events the log has now.
pub fn open(
    request: &Request,
    context: &Context<'_>,
    note: &mut Note,
) -> Result<(Tail, u64), Problem> {
    "events".clone_into(&mut note.resource);
    caller(request, context, note)?;
    let mut parameters = Parameters::of(path::query_pairs(&request.raw_query));
    let from = parameters.integer("from", 0..=NUMBER_MAX)?;
    let asked = parameters.question()?;
    parameters.end()?;
    if asked.as_of.is_some() {
        return Err(InvalidParameter::new(
            "as_of",
            "a tail goes on; export has what the log had at a moment",
        )
        .into());
    }
    let size = context.shared.log.head().0;
    let had = request.header(LAST_EVENT_ID).filter(|had| !had.is_empty());
    let had = had.map(|had| {
        let index: Option<u64> = had.parse().ok();
        index.and_then(|index| index.checked_add(1)).ok_or_else(|| {
            InvalidParameter::new(
                "Last-Event-ID",
                "Last-Event-ID is the index of the event that came last",
            )
        })
    });
    let next = had.transpose()?.or(from).unwrap_or(size);
    if next > size {
        let text = format!("the log has {size} events; it cannot be followed from {next} on");
        return Err(InvalidParameter::new("from", text).into());
    }
    let meaning = asked.search.meaning(context.now).map_err(|error| invalid_search(Q, error))?;
    let token = || request.header("x-auth-token").map(|token| Shown::Token(token.to_owned()));
    let key = request.header("authorization").and_then(Authorization::parse);
    let shown = key.map(|key| Shown::AccessKey(key.access_key.to_owned())).or_else(token);
    // Whoever was let in showed one of them.
    let shown = shown.ok_or_else(|| Problem::malformed("show a token or a signature"))?;
    Ok((Tail { shown, meaning, next }, size))
}

/// The answer, of which the body is still to come.
pub fn response(body: Body, tree_size: u64) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // For nginx, which otherwise holds events back until it has many.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    with_tree_size(response, tree_size)
}
