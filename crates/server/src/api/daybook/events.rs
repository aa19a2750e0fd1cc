//! Events of every trail that the caller may read, found: `docs/api/events.md`.

use std::collections::BTreeSet;

use event::Trail;
use hyper::StatusCode;
use serde::Serialize;

use super::caller;
use super::problem::Problem;
use crate::state::{Context, Note, Shown, with_tree_size};
use access::Caller;
use access::rights::Action;
use find::question::{LIMIT, LIMIT_MAX, NUMBER_MAX, Parameters};
use find::{Finder, QueryError};
use net::{self, Request, Response, path};

/// The trails whose events the caller may read, in order.
pub fn visible(context: &Context<'_>, caller: &Caller<'_>) -> Vec<Trail> {
    let shared = context.shared;
    let config = shared.config();
    let configured = config.sources.iter().map(|source| source.trail.clone());
    let all: BTreeSet<Trail> = shared
        .log
        .trails()
        .into_iter()
        .chain(configured)
        .chain([shared.audit.trail().clone()])
        .collect();
    all.into_iter().filter(|trail| caller.may(Action::ReadEvents, trail)).collect()
}

/// What a request asks for, and who can answer it.
pub fn begin<'a>(
    request: &Request,
    context: &Context<'a>,
    note: &mut Note,
) -> Result<(Parameters, Finder<'a>), Problem> {
    "events".clone_into(&mut note.resource);
    let caller = caller(request, context, note)?;
    let finder = Finder::new(context.shared.log.contents(), visible(context, &caller), context.now);
    Ok((Parameters::of(path::query_pairs(&request.raw_query)), finder))
}

fn answered<T: Serialize>(
    answer: Result<T, QueryError>,
    tree_size: impl Fn(&T) -> u64,
    request: &Request,
) -> Result<(T, Response), Problem> {
    let answer = answer.map_err(|unanswered| Problem::of(unanswered, &request.id))?;
    let response = with_tree_size(net::json(StatusCode::OK, &answer), tree_size(&answer));
    Ok((answer, response))
}

/// `GET /api/v1/events`
pub fn list(
    request: &Request,
    context: &Context<'_>,
    note: &mut Note,
) -> Result<Response, Problem> {
    let (mut parameters, finder) = begin(request, context, note)?;
    let (page, asked) = (parameters.page()?, parameters.question()?);
    parameters.end()?;
    let (answer, response) =
        answered(finder.events(&asked, &page), |answer| answer.tree_size, request)?;
    note.rows = Some((answer.events.len(), answer.total));
    let indexes = answer.events.iter().map(|event| event.index).collect();
    note.shown = Some(Shown { tree_size: answer.tree_size, indexes });
    Ok(response)
}

/// `GET /api/v1/events/{event}`
pub fn show(
    event: &str,
    request: &Request,
    context: &Context<'_>,
    note: &mut Note,
) -> Result<Response, Problem> {
    let (parameters, finder) = begin(request, context, note)?;
    parameters.end()?;
    let (answer, response) = answered(finder.event(event), |answer| answer.tree_size, request)?;
    note.resource.clone_from(&answer.event.trail);
    note.rows = Some((1, 1));
    note.shown = Some(Shown { tree_size: answer.tree_size, indexes: vec![answer.event.index] });
    Ok(response)
}

/// `GET /api/v1/histogram`
pub fn histogram(
    request: &Request,
    context: &Context<'_>,
    note: &mut Note,
) -> Result<Response, Problem> {
    let (mut parameters, finder) = begin(request, context, note)?;
    let (buckets, asked) = (parameters.buckets()?, parameters.question()?);
    parameters.end()?;
    let (answer, response) =
        answered(finder.histogram(&asked, buckets), |answer| answer.tree_size, request)?;
    note.rows = Some((0, answer.total));
    Ok(response)
}

/// `GET /api/v1/facets`
pub fn facets(
    request: &Request,
    context: &Context<'_>,
    note: &mut Note,
) -> Result<Response, Problem> {
    let (mut parameters, finder) = begin(request, context, note)?;
    let ((dimensions, limit), asked) = (parameters.facets()?, parameters.question()?);
    parameters.end()?;
    let found = finder.facets(&asked, &dimensions, limit);
    let (answer, response) = answered(found, |answer| answer.tree_size, request)?;
    note.rows = Some((0, answer.total));
    Ok(response)
}

/// `GET /api/v1/trails`
pub fn trails(
    request: &Request,
    context: &Context<'_>,
    note: &mut Note,
) -> Result<Response, Problem> {
    let (mut parameters, finder) = begin(request, context, note)?;
    let limit = parameters.integer("limit", 0..=LIMIT_MAX)?.unwrap_or(LIMIT);
    let offset = parameters.integer("offset", 0..=NUMBER_MAX)?.unwrap_or(0);
    let asked = parameters.question()?;
    parameters.end()?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let found = finder.trails(&asked, offset, limit);
    let (answer, response) = answered(found, |answer| answer.tree_size, request)?;
    note.rows = Some((answer.trails.len(), answer.total));
    Ok(response)
}
