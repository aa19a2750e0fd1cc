//! HCS Online's ops platform: `cloudAuditlog`, what operators and tenants did to a cloud.
//!
//! `GET /rest/dataapi/homs/open-api/v1/cloudAuditlog`. A query reads every platform trail of one
//! domain that the caller may read, as one list. `docs/api/hcs.md` lists what is implemented and
//! every choice the documentation leaves open.

mod error;

use std::collections::HashMap;
use std::sync::Mutex;

use event::entry::Entry;
use event::query::{Dimension, Filter, Page, Query};
use event::{Class, OutcomeKind, Service, Time, Trail};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, StatusCode};
use serde::Serialize;
use store::Row;

use super::caller;
use super::parameters::{INT32_MAX, digits, text};
use crate::state::{Context, Note, with_tree_size};
use access::rights::Action;
use access::{Caller, Scope};
use config::Hcs;
use error::Error;
use event::civil::Offset;
use net::{self, Request, Response};

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    CloudAuditLog,
}

/// The routes of this API.
pub const ROUTES: [(Method, &str, Operation); 1] =
    [(Method::GET, "/rest/dataapi/homs/open-api/v1/cloudAuditlog", Operation::CloudAuditLog)];

impl Operation {
    /// The name of the operation.
    pub const fn name(self) -> &'static str {
        "hcs.cloudAuditlog"
    }

    /// The right that it needs.
    pub const fn needs(self) -> Action {
        Action::HcsListAuditLogs
    }
}

/// Answers a request.
pub fn answer(
    operation: Operation,
    request: &Request,
    context: &Context<'_>,
    note: &mut Note,
) -> Response {
    let mut response =
        list(operation, request, context, note).unwrap_or_else(|error| error.render(&request.id));
    // As the documentation prints it.
    let kind = HeaderValue::from_static("application/json;charset=UTF8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

fn list(
    operation: Operation,
    request: &Request,
    context: &Context<'_>,
    note: &mut Note,
) -> Result<Response, Error> {
    let caller =
        caller::token(request, context.rights, context.now).map_err(Error::Unauthenticated)?;
    (note.who.id, note.who.name) = (Some(caller.user.id.clone()), Some(caller.user.name.clone()));
    for header in ["x-apig-appcode", "x-hcso-appcode"] {
        if !request.header(header).is_some_and(|code| context.rights.is_app_code(code)) {
            return Err(Error::WrongAppCode);
        }
    }
    let config = context.shared.config();
    let settings = &config.hcs;
    let domain = domain(request, &caller, settings.domain_id_may_be_absent, context)?;
    note.resource = format!("platform/{domain}/*/*");
    if !caller.may_somewhere(operation.needs(), Service::Platform, &domain) {
        return Err(Error::Forbidden);
    }
    if !context.shared.hcs_pace.allows(&caller.user.id, settings.requests_per_minute, context.now) {
        let next_minute_s = 60 - context.now.unix_ms().div_euclid(1000).rem_euclid(60);
        return Err(Error::Throttled(next_minute_s.unsigned_abs()));
    }
    let asked = parameters(&request.raw_query)?;
    let trails: Vec<Trail> = context
        .trails(Service::Platform)
        .into_iter()
        .filter(|trail| trail.tenant() == domain && caller.may(operation.needs(), trail))
        .collect();
    let question = ("hcs", &domain, &asked.question);
    let page = context
        .page(&caller, &question, asked.offset, |_| asked.query(trails), note)
        .map_err(Error::Internal)?;
    let tree_size = page.tree_size;
    Ok(with_tree_size(net::json(StatusCode::OK, &render(page, settings)), tree_size))
}

/// Whose records are asked for.
fn domain(
    request: &Request,
    caller: &Caller<'_>,
    may_be_absent: bool,
    context: &Context<'_>,
) -> Result<String, Error> {
    let domain = match request.header("x-hcso-domainid").filter(|id| !id.is_empty()) {
        Some(id) => id.to_owned(),
        None if !may_be_absent => return Err(Error::MissingParameter),
        None => match &caller.scope {
            Scope::Domain(domain) => domain.clone(),
            Scope::Project(project) => context
                .project(project, caller)
                .map(|project| project.tenant.clone())
                .ok_or(Error::Forbidden)?,
            Scope::User => caller.user.domain.clone(),
        },
    };
    let is_reached =
        context.rights.projects_of(caller, None).iter().any(|project| project.tenant == domain);
    if is_reached { Ok(domain) } else { Err(Error::Forbidden) }
}

#[derive(Debug, PartialEq, Eq)]
struct Asked {
    question: Question,
    offset: u64,
    limit: usize,
}

/// What was asked, but for the page.
#[derive(Debug, PartialEq, Eq)]
struct Question {
    /// `None` for both.
    class: Option<Class>,
    /// Milliseconds since the epoch, both inclusive.
    begin_ms: i64,
    end_ms: i64,
}

const PAGE_SIZE_MAX: u64 = 1000;
/// The last millisecond that our times can express.
const TIME_MS_MAX: u64 = (i64::MAX / 1_000_000) as u64 - 1;

fn parameters(raw_query: &str) -> Result<Asked, Error> {
    let class = match text(raw_query, "log_type").as_deref() {
        None => None,
        Some("0") => Some(Class::Operation),
        Some("1") => Some(Class::Security),
        Some(_) => return Err(Error::InvalidParameter),
    };
    let required = |name, most| {
        let text = text(raw_query, name).ok_or(Error::MissingParameter)?;
        digits(&text, 0..=most).map_err(|_| Error::InvalidParameter)
    };
    let (begin_ms, end_ms) =
        (required("begin_time", TIME_MS_MAX)?, required("end_time", TIME_MS_MAX)?);
    let limit = required("page_size", PAGE_SIZE_MAX)?;
    let offset = required("offset_value", INT32_MAX)?;
    if end_ms < begin_ms {
        return Err(Error::InvalidParameter);
    }
    let question =
        Question { class, begin_ms: begin_ms.cast_signed(), end_ms: end_ms.cast_signed() };
    Ok(Asked {
        question,
        offset,
        limit: usize::try_from(limit).map_err(|_| Error::InvalidParameter)?,
    })
}

/// Offset and limit of the page that a query asks for; for fuzz targets.
pub fn page_of(raw_query: &str) -> Option<(u64, usize)> {
    parameters(raw_query)
        .ok()
        .map(|asked| asked.query(Vec::new()))
        .map(|query| (query.offset, query.limit))
}

impl Asked {
    fn query(&self, trails: Vec<Trail>) -> Query {
        let instant = |ms: i64| Time::from_unix_ns(ms * 1_000_000);
        let class = self.question.class.map(|class| Filter::is(Dimension::Class, class.as_str()));
        Query {
            trails,
            from: Some(instant(self.question.begin_ms)),
            until: Some(instant(self.question.end_ms + 1)),
            filters: class.into_iter().collect(),
            order: event::query::Order::Descending,
            offset: self.offset,
            limit: self.limit,
            as_of: None,
        }
    }
}

#[derive(Serialize)]
struct Body {
    total: u64,
    list: Vec<Item>,
}

/// Member order as documented; every member is always there, and empty when it is not known.
#[derive(Serialize)]
struct Item {
    id: String,
    operating_name: String,
    operating_source: i32,
    operation_result: &'static str,
    operation_detail: String,
    resource_name: String,
    resource_type: String,
    operating_user: String,
    department: String,
    severity: &'static str,
    r#type: &'static str,
    start_time: String,
    end_time: String,
    resource_id: String,
    resource_region: String,
    source_addr: String,
    region_id: String,
    region_name: String,
    resource_region_name: String,
}

fn render(page: Page<Row>, settings: &Hcs) -> Body {
    let list = page.rows.into_iter().map(|row| item(row.entry, settings)).collect();
    Body { total: page.total, list }
}

fn item(entry: Entry, settings: &Hcs) -> Item {
    let event = entry.event;
    let attribute = |name: &str| event.attributes.get(name).cloned();
    let text = |offset: Offset, time| offset.date_and_time(time, '-', ' ');
    let ended_at = attribute("ended_at")
        .and_then(|text| Some(Time::parse_rfc3339(&text).ok()?.0))
        .unwrap_or(event.occurred_at);
    let region = event.resource.region.clone().unwrap_or_else(|| settings.region_id.clone());
    Item {
        id: event.id.to_string(),
        operating_name: event.action.clone(),
        operating_source: attribute("operating_source")
            .and_then(|text| text.parse().ok())
            .unwrap_or_default(),
        // The documentation knows two results; what is not known to have failed is taken for done.
        operation_result: if event.outcome.kind == OutcomeKind::Failure { "1" } else { "0" },
        operation_detail: event
            .description
            .clone()
            .or(event.outcome.reason.clone())
            .unwrap_or_default(),
        resource_name: event.resource.name.clone().unwrap_or_default(),
        resource_type: event.resource.kind.clone().unwrap_or_default(),
        operating_user: event.actor.name.clone().or(event.actor.id.clone()).unwrap_or_default(),
        department: attribute("department").unwrap_or_else(|| event.trail.project().to_owned()),
        severity: event.severity.as_str(),
        r#type: if event.class == Class::Security { "1" } else { "0" },
        start_time: text(settings.time_zone, event.occurred_at),
        end_time: text(settings.time_zone, ended_at),
        resource_id: event.resource.id.clone().unwrap_or_default(),
        resource_region: region,
        source_addr: event.source_ip.as_ref().map(|ip| ip.address.to_string()).unwrap_or_default(),
        region_id: attribute("region_id").unwrap_or_else(|| settings.region_id.clone()),
        region_name: attribute("region_name").unwrap_or_else(|| settings.region_name.clone()),
        resource_region_name: attribute("resource_region_name")
            .unwrap_or_else(|| settings.region_name.clone()),
    }
}

/// How many requests each caller made in the running minute, where that is limited.
#[derive(Default)]
pub struct Pace(Mutex<HashMap<String, (i64, u64)>>);

/// Callers counted at once; beyond, those of earlier minutes are forgotten.
const CALLERS_MAX: usize = 10_000;

impl Pace {
    fn allows(&self, user: &str, per_minute: u64, now: Time) -> bool {
        if per_minute == 0 {
            return true;
        }
        let minute = now.unix_ms().div_euclid(60_000);
        let mut callers = self.0.lock().expect("no panic while held");
        if callers.len() >= CALLERS_MAX {
            callers.retain(|_, (of, _)| *of == minute);
        }
        let (of, count) = callers.entry(user.to_owned()).or_insert((minute, 0));
        if *of != minute {
            (*of, *count) = (minute, 0);
        }
        *count += 1;
        *count <= per_minute
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_have_the_ranges_of_the_documentation() {
        let window = "begin_time=1000&end_time=2000";
        let asked = parameters(&format!("{window}&page_size=1000&offset_value=0&log_type=1"))
            .expect("valid");
        assert_eq!(
            (asked.question.class, asked.limit, asked.offset),
            (Some(Class::Security), 1000, 0)
        );
        assert!(parameters("begin_time=5&end_time=5&page_size=0&offset_value=7").is_ok());
        for missing in ["begin_time", "end_time", "page_size", "offset_value"] {
            let query = format!("{window}&page_size=1&offset_value=0").replace(missing, "x");
            assert!(matches!(parameters(&query), Err(Error::MissingParameter)), "{missing}");
        }
        for wrong in [
            "begin_time=2000&end_time=1000&page_size=1&offset_value=0",
            "begin_time=-1&end_time=1000&page_size=1&offset_value=0",
            "begin_time=0&end_time=9999999999999999&page_size=1&offset_value=0",
            "begin_time=0&end_time=1&page_size=1001&offset_value=0",
            "begin_time=0&end_time=1&page_size=1&offset_value=-1",
            "begin_time=0&end_time=1&page_size=1&offset_value=0&log_type=2",
            "begin_time=2020-11-01&end_time=1&page_size=1&offset_value=0",
        ] {
            assert!(matches!(parameters(wrong), Err(Error::InvalidParameter)), "{wrong}");
        }
    }

    #[test]
    fn a_pace_is_kept_by_minute_and_caller() {
        let pace = Pace::default();
        let at = |second| Time::from_unix_ns(0).plus_seconds(second);
        assert!(pace.allows("a", 2, at(0)) && pace.allows("a", 2, at(1)));
        assert!(!pace.allows("a", 2, at(59)));
        assert!(pace.allows("b", 2, at(59)));
        assert!(pace.allows("a", 2, at(60)));
        assert!((0..1000).all(|_| pace.allows("a", 0, at(60))));
    }
}
