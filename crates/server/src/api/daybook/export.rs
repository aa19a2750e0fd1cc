//! `GET /api/v1/export`: the whole result of a question as a file; and `/export/manifest`: what
//! that file has. `docs/api/export.md`.

use event::Operation as Done;
use event::query::Query;
use event::search::SEARCH_BYTES_MAX;
use hyper::StatusCode;
use hyper::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_RANGE,
    CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_RANGE, LINK, RANGE, TE, TRAILER,
};

use super::Operation;
use super::events::begin;
use super::problem::Problem;
use crate::export::send::{self, Sending, What};
use crate::state::{Context, Note, with_tree_size};
use find::export::{Export, Format, pinned};
use find::question::InvalidParameter;
use intake::audit::Act;
use net::{Body, Request, Response, path};

const FUNCTION: &str = "Export";
/// How many rows the file has.
const X_TOTAL: HeaderName = HeaderName::from_static("x-daybook-total");

/// Finds out what is to be sent. A file is on record when this returns.
pub fn open(
    operation: Operation,
    request: &Request,
    context: &Context<'_>,
    note: &mut Note,
) -> Result<Sending, Box<Problem>> {
    let export = asked(request, context, note)?;
    if operation == Operation::ExportManifest {
        note.rows = Some((0, export.total));
        let mut head = Response::default();
        head.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        return Ok(Sending {
            head: with_tree_size(head, export.tree_size),
            export,
            what: What::Manifest,
        });
    }
    let mark = export.mark();
    let skip = skip(request, &mark);
    let mut head = head(&export, &mark);
    if let Some(skip) = skip {
        let known = context.shared.exports.totals(&mark);
        let end = known.map(|totals| totals.bytes);
        if end.is_some_and(|end| skip >= end) {
            return Err(Box::new(Problem::behind_the_end(end.unwrap_or_default())));
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
    let with_trailer = !head.headers().contains_key(CONTENT_LENGTH) && takes_trailers(request);
    if with_trailer {
        head.headers_mut().insert(TRAILER, HeaderValue::from(send::TRAILER));
    }
    record(&export, skip, context, note)?;
    Ok(Sending { export, what: What::File { skip: skip.unwrap_or_default(), with_trailer }, head })
}

/// What is asked for, as of one tree size.
fn asked(
    request: &Request,
    context: &Context<'_>,
    note: &mut Note,
) -> Result<Export, Box<Problem>> {
    let wrong = |wrong: InvalidParameter| Box::new(Problem::from(wrong));
    let unanswered = |why| Box::new(Problem::of(why, &request.id));
    let (mut parameters, finder) = begin(request, context, note).map_err(Box::new)?;
    let format = match parameters.take("format").map_err(wrong)? {
        None => Format::Ndjson,
        Some(text) => Format::from_text(&text).ok_or_else(|| {
            let all = Format::ALL.map(Format::as_str).join(", ");
            wrong(InvalidParameter::new("format", format!("format is one of {all}")))
        })?,
    };
    let asked = parameters.question().map_err(wrong)?;
    parameters.end().map_err(wrong)?;
    let query = finder.query(&asked).map_err(unanswered)?;
    let counted = context.shared.log.query(&query);
    let counted = counted.map_err(|error| Box::new(Problem::failed(&error, &request.id)))?;
    Ok(Export {
        question: pinned(&asked.search, query.from, query.until).to_string(),
        query: Query { as_of: Some(counted.tree_size), ..query },
        tree_size: counted.tree_size,
        format,
        caller: note.who.id.clone().unwrap_or_default(),
        total: counted.total,
    })
}

/// How many bytes the client has: of this very file, which a question that is pinned by its tree
/// size and a mark show. A range of any other form is not taken, as RFC 9110 section 14.2 allows,
/// and the whole is sent.
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
    // A longer search cannot be asked as one text.
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
fn record(
    export: &Export,
    skip: Option<u64>,
    context: &Context<'_>,
    note: &mut Note,
) -> Result<(), Box<Problem>> {
    let mut act = Act::new(Operation::Export.name(), Done::Download, FUNCTION)
        .by(note.who.clone())
        .on("events", &export.question)
        .with("asked", &note.asked)
        .with("format", export.format.as_str())
        .with("tree_size", export.tree_size.to_string())
        .with("trails", export.query.trails.len().to_string())
        .with("total", export.total.to_string());
    if let Some(skip) = skip {
        act = act.with("from_byte", skip.to_string());
    }
    let description = format!("{} events as {}", export.total, export.format.as_str());
    let recorded = context.shared.audit.record_now(Act { description: Some(description), ..act });
    recorded.map_err(|why| {
        tracing::warn!(why, "couldn't record an export; it is refused");
        let detail = "the export cannot be recorded now, and is not given unrecorded; try again";
        Box::new(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unrecorded", detail))
    })?;
    note.is_recorded = true;
    note.rows = Some((usize::try_from(export.total).unwrap_or(usize::MAX), export.total));
    Ok(())
}
