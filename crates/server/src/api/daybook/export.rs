//! `GET /api/v1/export`: the whole result of a search as a file; and `/export/manifest`: the signed
//! description of that file. `docs/api/export.md`.

use std::sync::Arc;

use event::Operation;
use event::query::Query;
use event::search::SEARCH_BYTES_MAX;
use hyper::StatusCode;
use hyper::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_RANGE,
    CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_RANGE, LINK, RANGE, TE, TRAILER,
};

use super::events::begin;
use super::problem::Problem;
use crate::api::answer::with_tree_size;
use crate::api::{Answer, Call, Refusal, Streaming};
use crate::export::send::{self, Sending, What};
use crate::permits::CallerPermit;
use find::export::{Export, Format, pinned};
use find::question::InvalidParameter;
use intake::audit::Act;
use net::{Body, Request, Response, path};

const FUNCTION: &str = "Export";
/// Number of rows in the file.
const X_TOTAL: HeaderName = HeaderName::from_static("x-daybook-total");

/// `GET /api/v1/export`. The export is on record before this returns.
pub fn file(call: &Call<'_>) -> Result<Answer, Refusal> {
    call.concerns("events");
    let permit = call.caller_permit(&call.state.exports.permits)?;
    let export = parameters(call)?;
    let mark = export.mark();
    let skip = skip(call.request, &mark);
    let mut head = head(&export, &mark);
    if let Some(skip) = skip {
        let end = call.state.exports.totals(&mark).map(|totals| totals.bytes);
        if let Some(end) = end.filter(|end| skip >= *end) {
            return Err(Problem::behind_the_end(end).into());
        }
        *head.status_mut() = StatusCode::PARTIAL_CONTENT;
        // RFC 9110 has no form for an end that nobody knows yet.
        let range = match end {
            Some(end) => format!("bytes {skip}-{}/{end}", end - 1),
            None => format!("bytes {skip}-*/*"),
        };
        insert(&mut head, CONTENT_RANGE, &range);
        if let Some(end) = end {
            head.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(end - skip));
        }
    }
    let with_trailer = !head.headers().contains_key(CONTENT_LENGTH) && takes_trailers(call.request);
    if with_trailer {
        head.headers_mut().insert(TRAILER, HeaderValue::from(send::TRAILER));
    }
    record(call, &export, skip)?;
    let rows = (usize::try_from(export.total).unwrap_or(usize::MAX), export.total);
    let what = What::File { skip: skip.unwrap_or_default(), with_trailer };
    Ok(answer(Sending { export, what, head }, permit).with_rows(rows.0, rows.1).recorded())
}

/// `GET /api/v1/export/manifest`
pub fn manifest(call: &Call<'_>) -> Result<Answer, Refusal> {
    call.concerns("events");
    let permit = call.caller_permit(&call.state.exports.permits)?;
    let export = parameters(call)?;
    let mut head = Response::default();
    head.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let head = with_tree_size(head, export.tree_size);
    let total = export.total;
    Ok(answer(Sending { export, what: What::Manifest, head }, permit).with_rows(0, total))
}

fn answer(sending: Sending, permit: CallerPermit) -> Answer {
    Answer::streamed(sending.head.status(), |streaming| {
        let Streaming { state, stopping, request_id } = streaming;
        send::start(sending, Arc::clone(&state.exports), stopping, permit, &request_id)
    })
}

/// The requested export, as of one tree size.
fn parameters(call: &Call<'_>) -> Result<Export, Refusal> {
    let (mut parameters, finder) = begin(call)?;
    let format = match parameters.take("format")? {
        None => Format::Ndjson,
        Some(text) => Format::from_text(&text).ok_or_else(|| {
            let all = Format::ALL.map(Format::as_str).join(", ");
            InvalidParameter::new("format", format!("format is one of {all}"))
        })?,
    };
    let question = parameters.question()?;
    parameters.end()?;
    let query = finder.query(&question)?;
    let page = call.state.log.query(&query)?;
    Ok(Export {
        question: pinned(&finder.search(&question), query.from, query.until).to_string(),
        query: Query { as_of: Some(page.tree_size), ..query },
        tree_size: page.tree_size,
        format,
        caller: call.caller()?.user.id.clone(),
        total: page.total,
    })
}

/// Bytes of this very file that the client has, if its search is pinned by a tree size and the mark
/// is the same. A range of any other form is ignored, as RFC 9110 section 14.2 allows, and the
/// whole is sent.
fn skip(request: &Request, mark: &str) -> Option<u64> {
    let is_pinned = path::query_value(&request.raw_query, find::question::AS_OF)
        .is_some_and(|size| !size.is_empty());
    let is_same = match request.headers.contains_key(IF_RANGE) {
        true => {
            request.header(IF_RANGE.as_str()).is_some_and(|shown| shown == format!("\"{mark}\""))
        }
        false => true,
    };
    let range = request.header(RANGE.as_str()).filter(|_| is_pinned && is_same)?;
    let first = range.strip_prefix("bytes=")?.strip_suffix('-')?;
    first.parse().ok().filter(|_| first.bytes().all(|byte| byte.is_ascii_digit()))
}

fn takes_trailers(request: &Request) -> bool {
    let listed = request.header(TE.as_str()).unwrap_or_default();
    listed.split(',').any(|one| one.trim().eq_ignore_ascii_case("trailers"))
}

fn head(export: &Export, mark: &str) -> Response {
    let mut head = with_tree_size(Response::new(Body::default()), export.tree_size);
    let headers = head.headers_mut();
    headers.insert(X_TOTAL, HeaderValue::from(export.total));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(export.format.content_type()));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    insert(&mut head, ETAG, &format!("\"{mark}\""));
    let name = export.format.file_name(export.tree_size);
    insert(&mut head, CONTENT_DISPOSITION, &format!("attachment; filename=\"{name}\""));
    // A longer search does not fit in one parameter.
    if export.question.len() <= SEARCH_BYTES_MAX {
        let question = path::encode(export.question.as_bytes());
        let (format, size) = (export.format.as_str(), export.tree_size);
        let query = format!("q={question}&format={format}&as_of={size}");
        insert(&mut head, CONTENT_LOCATION, &format!("/api/v1/export?{query}"));
        insert(&mut head, LINK, &format!("</api/v1/export/manifest?{query}>; rel=\"describedby\""));
    }
    head
}

fn insert(head: &mut Response, name: HeaderName, value: &str) {
    let value =
        HeaderValue::from_str(value).expect("digits and escaped texts may stand in a header");
    head.headers_mut().insert(name, value);
}

/// Records an export; it does not begin if that fails.
fn record(call: &Call<'_>, export: &Export, skip: Option<u64>) -> Result<(), Problem> {
    let mut act = Act::new(call.operation, Operation::Download, FUNCTION)
        .by(call.who())
        .on("events", &export.question)
        .with("request", call.requested())
        .with("format", export.format.as_str())
        .with("tree_size", export.tree_size.to_string())
        .with("trails", export.query.trails.len().to_string())
        .with("total", export.total.to_string());
    if let Some(skip) = skip {
        act = act.with("from_byte", skip.to_string());
    }
    let description = Some(format!("{} events as {}", export.total, export.format.as_str()));
    call.state.audit.record_now(Act { description, ..act }).map_err(|why| {
        tracing::warn!(why, "couldn't record an export; it is refused");
        let detail = "the export cannot be recorded now, and is not given unrecorded; try again";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unrecorded", detail)
    })
}
