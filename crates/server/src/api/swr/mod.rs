//! SWR enterprise edition: `ListAuditLogs`, pulls, pushes and deletions in an image repository.
//!
//! `GET /v2/{project_id}/instances/{instance_id}/audit-logs`,
//! <https://support.huaweicloud.com/intl/en-us/api-swr/ListAuditLogs.html>. `docs/api/swr.md` lists
//! what is implemented and every choice the page leaves open.
//!
//! A request is authorised by its path alone, then its parameters are read ([`parameters`]), and
//! rows become the vendor's shape ([`render`]).

mod error;
mod instances;

use event::entry::Entry;
use event::query::{Dimension, Filter, Page, Query};
use event::{Operation, Service, Time};
use hyper::Method;
use serde::Serialize;
use store::Row;

use super::parameters::{INT32_MAX, integer, text};
use super::{Answer, Api, ApiError, Call, Refusal, Route, authorise};
use access::rights::Action;

pub static API: Api =
    Api { name: "swr", routes: &ROUTES, is_own: false, render_error: error::render };

static ROUTES: [Route; 2] = [
    Route {
        method: Method::GET,
        path: "/v2/{project_id}/instances/{instance_id}/audit-logs",
        name: "swr.ListAuditLogs",
        needs: Some(Action::SwrGetAuditLogs),
        handler: list_audit_logs,
    },
    Route {
        method: Method::GET,
        path: "/v2/{project_id}/instances",
        name: "swr.ListInstances",
        needs: Some(Action::SwrListInstances),
        handler: instances::list,
    },
];

fn list_audit_logs(call: &Call<'_>) -> Result<Answer, Refusal> {
    let [project, instance] = call.path();
    let caller = call.caller()?;
    let trail = authorise(call, caller, Service::Registry, project, instance)?;
    let operation_may_be_absent = call.state.config().swr.operation_may_be_absent;
    let request = parameters(call.raw_query(), operation_may_be_absent)?;
    let question = ("swr", &trail, request.operation);
    let page = call.page(caller, &question, request.offset, |_| Query {
        filters: filters(request.operation),
        limit: request.limit,
        ..Query::of(trail.clone())
    })?;
    Ok(Answer::page(page, render))
}

/// The vendor's word for an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Verb {
    Pull,
    Delete,
    Create,
}

impl Verb {
    const ALL: [Verb; 3] = [Verb::Pull, Verb::Delete, Verb::Create];

    fn as_str(self) -> &'static str {
        match self {
            Verb::Pull => "pull",
            Verb::Delete => "delete",
            Verb::Create => "create",
        }
    }

    /// Our words that it stands for. A HEAD checks whether something exists and is recorded as
    /// `read`: docker and skopeo send one before each real pull, so it is not listed.
    fn operations(self) -> &'static [Operation] {
        match self {
            Verb::Pull => &[Operation::Pull],
            Verb::Delete => &[Operation::Delete],
            Verb::Create => &[Operation::Push, Operation::Create],
        }
    }

    fn of(operation: Operation) -> Option<Verb> {
        Verb::ALL.into_iter().find(|verb| verb.operations().contains(&operation))
    }
}

#[derive(Debug, PartialEq, Eq)]
struct PageRequest {
    /// `None` lists all three.
    operation: Option<Verb>,
    offset: u64,
    limit: usize,
}

const LIMIT_DEFAULT: u64 = 10;
const LIMIT_MAX: u64 = 100;

fn parameters(raw_query: &str, operation_may_be_absent: bool) -> Result<PageRequest, ApiError> {
    let operation = match text(raw_query, "operation") {
        None if operation_may_be_absent => None,
        None => return Err(ApiError::MissingParameter),
        Some(text) => Some(
            Verb::ALL
                .into_iter()
                .find(|verb| verb.as_str() == text)
                .ok_or(ApiError::InvalidParameter)?,
        ),
    };
    let limit = integer(raw_query, "limit", 1..=LIMIT_MAX)?.unwrap_or(LIMIT_DEFAULT);
    let offset = integer(raw_query, "offset", 0..=INT32_MAX)?.unwrap_or(0);
    if offset % limit != 0 {
        return Err(ApiError::InvalidParameter);
    }
    Ok(PageRequest {
        operation,
        offset,
        limit: usize::try_from(limit).map_err(|_| ApiError::InvalidParameter)?,
    })
}

/// Offset and limit of the page that a query requests; for fuzz targets.
pub fn page_of(raw_query: &str) -> Option<(u64, usize)> {
    parameters(raw_query, true).ok().map(|request| (request.offset, request.limit))
}

/// Blobs are parts of images and not listed.
fn filters(verb: Option<Verb>) -> Vec<Filter> {
    let operations = match verb {
        Some(verb) => verb.operations().to_vec(),
        None => Verb::ALL.iter().flat_map(|verb| verb.operations()).copied().collect(),
    };
    vec![
        Filter::AnyOf(
            Dimension::Operation,
            operations.into_iter().map(|operation| operation.as_str().to_owned()).collect(),
        ),
        Filter::NoneOf(Dimension::ResourceKind, vec!["blob".to_owned()]),
    ]
}

#[derive(Serialize, Debug, PartialEq)]
struct Body {
    audit_logs: Vec<AuditLog>,
    total: u64,
}

/// Member order as in the page's sample.
#[derive(Serialize, Debug, PartialEq)]
struct AuditLog {
    id: u64,
    op_time: String,
    operation: &'static str,
    resource: String,
    resource_type: String,
    username: String,
}

fn render(page: Page<Row>) -> Body {
    let audit_logs = page.rows.into_iter().map(|row| audit_log(row.entry)).collect();
    Body { audit_logs, total: page.total }
}

fn audit_log(entry: Entry) -> AuditLog {
    let event = entry.event;
    let resource = match (event.resource.name, event.resource.id) {
        (Some(name), Some(id)) => format!("{name}:{id}"),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => String::new(),
    };
    AuditLog {
        id: entry.number,
        op_time: milliseconds(event.occurred_at),
        operation: Verb::of(event.operation).map_or("", Verb::as_str),
        resource,
        resource_type: event.resource.kind.unwrap_or_default(),
        username: event.actor.name.or(event.actor.id).unwrap_or_else(|| "anonymous".to_owned()),
    }
}

/// `2020-12-24T11:19:54.907Z`: exactly three fraction digits, rounded down.
fn milliseconds(time: Time) -> String {
    let text = time.to_string();
    format!("{}Z", &text[..23])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_have_the_ranges_of_the_page() {
        let read = |query: &str| parameters(query, false);
        let valid = |operation, offset, limit| {
            Some(PageRequest { operation: Some(operation), offset, limit })
        };
        for (query, expected) in [
            ("operation=pull", valid(Verb::Pull, 0, 10)),
            ("operation=delete&limit=100&offset=200", valid(Verb::Delete, 200, 100)),
            ("operation=create&offset=30", valid(Verb::Create, 30, 10)),
            ("operation=pull&limit=&offset=", valid(Verb::Pull, 0, 10)),
            ("operation=pull&operation=delete", valid(Verb::Pull, 0, 10)),
            ("operation=pull&limit=1&limit=500", valid(Verb::Pull, 0, 1)),
            ("operation=pull&unknown=1", valid(Verb::Pull, 0, 10)),
            ("operation=pull&limit=007", valid(Verb::Pull, 0, 7)),
        ] {
            assert_eq!(read(query).ok(), expected, "{query}");
        }
        for query in ["", "operation", "operation=", "limit=10"] {
            assert!(matches!(read(query), Err(ApiError::MissingParameter)), "{query}");
        }
        for query in [
            "operation=Pull",
            "operation=push",
            "operation=update",
            "operation=pull%20",
            "operation=pull&limit=0",
            "operation=pull&limit=101",
            "operation=pull&limit=-1",
            "operation=pull&limit=1e3",
            "operation=pull&limit=0x10",
            "operation=pull&limit=ten",
            "operation=pull&limit=9999999999999999999999",
            "operation=pull&limit=+1",
            "operation=pull&limit=1.0",
            "operation=pull&offset=5",
            "operation=pull&offset=-10",
            "operation=pull&offset=15&limit=10",
            "operation=pull&offset=2147483650",
            "operation=pull&offset=99999999999999999999",
        ] {
            assert!(matches!(read(query), Err(ApiError::InvalidParameter)), "{query}");
        }
    }

    #[test]
    fn without_an_operation_all_are_listed_only_where_configured() {
        assert_eq!(
            parameters("", true).ok(),
            Some(PageRequest { operation: None, offset: 0, limit: 10 })
        );
        assert!(matches!(parameters("operation=push", true), Err(ApiError::InvalidParameter)));
    }

    #[test]
    fn times_have_three_digits() {
        for (ns, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_999_999, "1970-01-01T00:00:00.001Z"),
            (907_000_000, "1970-01-01T00:00:00.907Z"),
        ] {
            assert_eq!(milliseconds(Time::from_unix_ns(ns)), expected);
        }
    }
}
