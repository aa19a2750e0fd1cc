//! `GET /api/v1/view`: all parts of one screen, as of one size of the log and recorded as one
//! query: a page, counts by time, counts by value, and what is missing. And `GET /api/v1/values`,
//! which completes what somebody types.

use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::events::begin;
use super::gaps;
use super::problem::{self, Problem};
use crate::api::answer::with_tree_size;
use crate::api::error::Cause;
use crate::api::{Answer, Call, Refusal};
use find::answer::{Facet, Histogram, ValueCount};
use find::question::{
    BUCKETS_MAX, Buckets, FACET_LIMIT, FACET_LIMIT_MAX, InvalidParameter, NamedFacet, Page,
    Question, facet_field,
};
use find::{Finder, QueryError};
use net::{Body, Response};

/// Values with a beginning, most frequent first.
#[derive(Serialize, JsonSchema)]
pub struct Completion {
    /// How many events the log had for this answer.
    as_of: u64,
    values: Vec<ValueCount>,
}

/// Fields that are looked through for what is typed, unless one is named.
const COMPLETED: [&str; 3] = ["actor.name", "resource.name", "ip"];
/// Values of a completion by default, and at most.
const VALUES: u64 = 10;
const VALUES_MAX: u64 = 100;

/// `GET /api/v1/view`
pub fn read(call: &Call<'_>) -> Result<Answer, Refusal> {
    let (mut parameters, finder) = begin(call)?;
    let buckets = parameters.integer("buckets", 1..=BUCKETS_MAX)?;
    let facets = parameters.facet_fields()?;
    let facet_limit = parameters.integer("facet_limit", 1..=FACET_LIMIT_MAX)?;
    let is_without_own = parameters.flag("without_own")?;
    let has_gaps = parameters.flag("gaps")?;
    let (page, question) = (parameters.page()?, parameters.question()?);
    parameters.end()?;
    let page = Page { bytes_max: call.state.config().limits.page_bytes_max, ..page };
    let _permit = call.caller_permit(&call.state.expensive)?;
    let events = finder.events(&question, &page, &mut call.page_room())?;
    // A cursor has a size and a time of its own, and everything else counts as of the same.
    let as_of = events.tree_size;
    let question = Question { as_of: Some(as_of), ..question };
    let mut parts = Parts { text: Vec::new(), id: &call.request.id };
    parts.add(&json!({
        "part": "page", "as_of": as_of, "total": events.total, "events": events.events,
        "next": events.next,
    }));
    parts.add(&json!({ "part": "own", "left_out": events.own_left_out }));
    if let Some(buckets) = buckets {
        let made = finder.histogram(&question, Buckets::Count(buckets));
        parts.add_or_problem("histogram", made.map(|made| histogram(as_of, &made)));
    }
    let limit = usize::try_from(facet_limit.unwrap_or(FACET_LIMIT)).unwrap_or(usize::MAX);
    for (names, narrowed) in groups(&question, &facets, is_without_own) {
        match finder.facets(&narrowed, &names, limit) {
            Ok(made) => {
                for (name, counts) in &made.facets {
                    parts.add(&facet(name, counts));
                }
            }
            Err(error) => {
                let problem = problem(error, &call.request.id);
                for (name, _) in names {
                    parts.add_problem(name, &problem);
                }
            }
        }
    }
    if has_gaps {
        let found = gaps::of(call, question.search.meaning(call.now).ok(), Some(as_of));
        match found {
            Ok(gaps) => parts.add(&json!({ "part": "gaps", "gaps": gaps })),
            Err(refusal) => parts.add_problem("gaps", &body_of(&refusal, &call.request.id)),
        }
    }
    parts.add(&json!({ "part": "end" }));
    let mut response = with_tree_size(Response::new(Body::Whole(parts.text.into())), as_of);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    let indexes = events.events.iter().map(|event| event.index).collect();
    Ok(Answer::whole(response)
        .with_rows(events.events.len(), events.total)
        .with_indexes(as_of, indexes))
}

/// The fields to count with their question: all with the whole question, or each that the question
/// has a condition on without it.
fn groups(
    question: &Question,
    facets: &[NamedFacet],
    is_without_own: bool,
) -> Vec<(Vec<NamedFacet>, Question)> {
    let mut groups = vec![(Vec::new(), question.clone())];
    for facet in facets {
        let besides = question.besides(facet.0);
        match is_without_own && besides != *question {
            true => groups.push((vec![*facet], besides)),
            false => groups[0].0.push(*facet),
        }
    }
    groups.retain(|(facets, _)| !facets.is_empty());
    groups
}

fn histogram(as_of: u64, made: &Histogram) -> Value {
    json!({
        "part": "histogram", "as_of": as_of, "after": made.from, "before": made.until,
        "width_seconds": made.interval_s, "buckets": made.buckets,
    })
}

fn facet(name: &str, counts: &Facet) -> Value {
    json!({
        "part": "facet", "facet": name, "values": counts.values, "others": counts.others,
        "without": counts.without,
    })
}

/// Parts of an answer, a line each.
struct Parts<'a> {
    text: Vec<u8>,
    /// The id of the request.
    id: &'a str,
}

impl Parts<'_> {
    fn add(&mut self, part: &impl Serialize) {
        // Texts and numbers serialize, and memory takes them.
        if serde_json::to_writer(&mut self.text, part).is_ok() {
            self.text.push(b'\n');
        }
    }

    fn add_problem(&mut self, part: &str, problem: &Value) {
        self.add(&json!({ "part": "problem", "of": part, "problem": problem }));
    }

    fn add_or_problem(&mut self, name: &str, part: Result<Value, QueryError>) {
        match part {
            Ok(part) => self.add(&part),
            Err(error) => {
                let problem = problem(error, self.id);
                self.add_problem(name, &problem);
            }
        }
    }
}

fn problem(error: QueryError, id: &str) -> Value {
    body_of(&Refusal::from(error), id)
}

/// The body of the response that a refusal would be.
fn body_of(refusal: &Refusal, id: &str) -> Value {
    let response = match &refusal.cause {
        Cause::Shared(error) => {
            error.log(id);
            problem::render(error, id)
        }
        Cause::Own(error) => error.render(id),
    };
    match response.body() {
        Body::Whole(body) => serde_json::from_slice(body).unwrap_or(Value::Null),
        _ => Value::Null,
    }
}

/// `GET /api/v1/values`. Recorded once a minute and caller: somebody types.
pub fn complete(call: &Call<'_>) -> Result<Answer, Refusal> {
    let (mut parameters, finder) = begin(call)?;
    let beginning = parameters.take("beginning")?.unwrap_or_default();
    let field = parameters.take("field")?;
    let limit = parameters.integer("limit", 1..=VALUES_MAX)?.unwrap_or(VALUES);
    let question = parameters.question()?;
    parameters.end()?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let _permit = call.caller_permit(&call.state.expensive)?;
    let values = values(&finder, &question, field.as_deref(), &beginning, limit)?;
    let body = Completion { as_of: values.tree_size, values: values.values };
    let answer = Answer::json(StatusCode::OK, &body).with_rows(body.values.len(), 0);
    let user = &call.caller()?.user.id;
    Ok(match call.state.completions.allows(user, 1, call.now) {
        true => answer,
        false => answer.recorded(),
    })
}

fn values(
    finder: &Finder<'_>,
    question: &Question,
    field: Option<&str>,
    beginning: &str,
    limit: usize,
) -> Result<find::answer::Values, Refusal> {
    // A person who types `actor` means the name.
    let names = match field {
        Some("actor") => vec!["actor.name"],
        Some("resource") => vec!["resource.name"],
        Some(name) => vec![name],
        None => COMPLETED.to_vec(),
    };
    let fields = names.into_iter().map(facet_field).collect::<Result<Vec<_>, _>>();
    let fields = fields.map_err(|wrong: InvalidParameter| {
        Problem::from(InvalidParameter { parameter: "field".to_owned(), ..wrong })
    })?;
    Ok(finder.values(question, &fields, beginning, limit)?)
}
