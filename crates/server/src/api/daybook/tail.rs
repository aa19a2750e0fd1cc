//! `GET /api/v1/tail`: events as they are recorded. This module reads the request; [`crate::live`]
//! sends.

use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};

use super::events::own;
use super::problem::Problem;
use crate::api::answer::with_tree_size;
use crate::api::caller::session_text;
use crate::api::{Answer, Call, Refusal, Streaming};
use crate::live::{self, Credential, Tail};
use crate::permits::CallerPermit;
use access::signature::Authorization;
use find::question::{InvalidParameter, NUMBER_MAX, Parameters, Q, invalid_search};
use net::{Body, Response, path};

/// Header by which a client that comes back names the last event that it had.
const LAST_EVENT_ID: &str = "last-event-id";

pub fn follow(call: &Call<'_>) -> Result<Answer, Refusal> {
    call.concerns("events");
    let permit = call.caller_permit(&call.state.tails)?;
    let size = call.state.log.head().0;
    let tail = tail(call, size)?;
    Ok(Answer::streamed(StatusCode::OK, move |streaming| send(tail, size, permit, streaming)))
}

/// The tail that a request follows, of a log with `size` events.
fn tail(call: &Call<'_>, size: u64) -> Result<Tail, Refusal> {
    let mut parameters = Parameters::of(path::query_pairs(call.raw_query()));
    let from = parameters.integer("from", 0..=NUMBER_MAX)?;
    let question = parameters.question()?;
    parameters.end()?;
    if question.as_of.is_some() {
        let text = "a tail goes on; export has what the log had at a moment";
        return Err(InvalidParameter::new("as_of", text).into());
    }
    let next = index_after_last(call)?.or(from).unwrap_or(size);
    if next > size {
        let text = format!("the log has {size} events; it cannot be followed from {next} on");
        return Err(InvalidParameter::new("from", text).into());
    }
    let own = own(call);
    let search = question.search_besides(&own.trails, own.source);
    let meaning = search.meaning(call.now).map_err(|error| invalid_search(Q, error))?;
    Ok(Tail { credential: credential(call)?, meaning, next })
}

/// The index after the event that the client had last, if it names one.
fn index_after_last(call: &Call<'_>) -> Result<Option<u64>, InvalidParameter> {
    let Some(last) = call.request.header(LAST_EVENT_ID).filter(|last| !last.is_empty()) else {
        return Ok(None);
    };
    let index = last.parse().ok().and_then(|index: u64| index.checked_add(1));
    let text = "Last-Event-ID is the index of the event that came last";
    index.map(Some).ok_or_else(|| InvalidParameter::new("Last-Event-ID", text))
}

/// The credential of the request, to be checked again for as long as the tail goes on.
fn credential(call: &Call<'_>) -> Result<Credential, Problem> {
    let key = call.request.header("authorization").and_then(Authorization::parse);
    if let Some(key) = key {
        return Ok(Credential::AccessKey(key.access_key.to_owned()));
    }
    // An authenticated request has one of the three.
    let token = call.request.header("x-auth-token");
    let token = token.or_else(|| session_text(call.request, call.sessions()));
    let token = token.ok_or_else(|| Problem::malformed("show a token or a signature"))?;
    Ok(Credential::Token(token.to_owned()))
}

/// Sends events as long as the client takes them.
fn send(tail: Tail, tree_size: u64, permit: CallerPermit, streaming: Streaming) -> Response {
    let (pieces, receiver) = tokio::sync::mpsc::channel(live::PIECES_AHEAD);
    tokio::spawn(async move {
        let _permit = permit;
        live::send(Arc::clone(&streaming.state.newest), tail, pieces, streaming.stopping).await;
    });
    response(Body::Live(receiver), tree_size)
}

fn response(body: Body, tree_size: u64) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // For nginx, which otherwise holds events back until it has many.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    with_tree_size(response, tree_size)
}
