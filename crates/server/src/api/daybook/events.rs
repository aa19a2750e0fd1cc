//! Events of every trail that the caller may read: `docs/api/events.md`.

use event::Trail;
use hyper::StatusCode;
use serde::Serialize;

use crate::api::answer::with_tree_size;
use crate::api::{Answer, Call, Refusal};
use access::Caller;
use access::rights::Action;
use find::question::{Page, Parameters};
use find::{Finder, Own};
use intake::audit;
use net::path;

/// The trails whose events the caller may read, in order.
fn visible(call: &Call<'_>, caller: &Caller<'_>) -> Vec<Trail> {
    let all = call.all_trails().into_iter();
    all.filter(|trail| caller.may(Action::ReadEvents, trail)).collect()
}

/// Daybook's own trail, whose events answers leave out unless they were requested.
pub fn own(call: &Call<'_>) -> Own {
    Own { trails: vec![call.state.audit.trail().clone()], source: audit::SOURCE }
}

/// The parameters of a request about events, and a finder over the trails that its caller may read.
pub fn begin<'a>(call: &Call<'a>) -> Result<(Parameters, Finder<'a>), Refusal> {
    call.concerns("events");
    let caller = call.caller()?;
    let finder = Finder::new(call.state.log.contents(), visible(call, caller), own(call), call.now);
    Ok((Parameters::of(path::query_pairs(call.raw_query())), finder))
}

/// An answer based on a tree of this size.
fn based_on(tree_size: u64, body: &impl Serialize) -> Answer {
    Answer::json(StatusCode::OK, body).map_response(|response| with_tree_size(response, tree_size))
}

/// `GET /api/v1/events`
pub fn list(call: &Call<'_>) -> Result<Answer, Refusal> {
    let (mut parameters, finder) = begin(call)?;
    let (page, question) = (parameters.page()?, parameters.question()?);
    parameters.end()?;
    let limits = call.state.config().limits;
    let page = Page { bytes_max: limits.page_bytes_max, ..page };
    let body = finder.events(&question, &page, &mut call.page_room())?;
    let indexes = body.events.iter().map(|event| event.index).collect();
    Ok(based_on(body.tree_size, &body)
        .with_rows(body.events.len(), body.total)
        .with_indexes(body.tree_size, indexes))
}

/// `GET /api/v1/events/{event}`
pub fn show(call: &Call<'_>) -> Result<Answer, Refusal> {
    let [event] = call.path();
    let (parameters, finder) = begin(call)?;
    parameters.end()?;
    let body = finder.event(event)?;
    call.concerns(&body.event.trail);
    Ok(based_on(body.tree_size, &body)
        .with_rows(1, 1)
        .with_opened(body.event.index)
        .with_indexes(body.tree_size, vec![body.event.index]))
}

/// `GET /api/v1/histogram`
pub fn histogram(call: &Call<'_>) -> Result<Answer, Refusal> {
    let (mut parameters, finder) = begin(call)?;
    let (buckets, question) = (parameters.buckets()?, parameters.question()?);
    parameters.end()?;
    let _permit = call.caller_permit(&call.state.expensive)?;
    let body = finder.histogram(&question, buckets)?;
    Ok(based_on(body.tree_size, &body).with_rows(0, body.total))
}

/// `GET /api/v1/facets`
pub fn facets(call: &Call<'_>) -> Result<Answer, Refusal> {
    let (mut parameters, finder) = begin(call)?;
    let ((dimensions, limit), question) = (parameters.facets()?, parameters.question()?);
    parameters.end()?;
    let _permit = call.caller_permit(&call.state.expensive)?;
    let body = finder.facets(&question, &dimensions, limit)?;
    Ok(based_on(body.tree_size, &body).with_rows(0, body.total))
}

/// `GET /api/v1/trails`
pub fn trails(call: &Call<'_>) -> Result<Answer, Refusal> {
    let (mut parameters, finder) = begin(call)?;
    let ((limit, offset), question) = (parameters.part()?, parameters.question()?);
    parameters.end()?;
    let _permit = call.caller_permit(&call.state.expensive)?;
    let body = finder.trails(&question, offset, limit)?;
    Ok(based_on(body.tree_size, &body).with_rows(body.trails.len(), body.total))
}
