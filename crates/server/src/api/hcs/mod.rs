//! HCS Online's ops platform: `cloudAuditlog`, acts of operators and tenants on a cloud.
//!
//! `GET /rest/dataapi/homs/open-api/v1/cloudAuditlog`. A query reads every platform trail of one
//! domain that the caller may read, as one list. `docs/api/hcs.md` lists what is implemented and
//! every choice the documentation leaves open.

mod error;

use event::entry::Entry;
use event::query::{Dimension, Filter, Page, Query};
use event::{Class, OutcomeKind, Service, Time, Trail};
use hyper::Method;
use serde::Serialize;
use store::Row;

use super::parameters::{INT32_MAX, digits, text};
use super::{Answer, Api, ApiError, Call, Refusal, Route};
use access::rights::Action;
use access::{Caller, Scope};
use config::Hcs;
use error::{WrongAppCode, with_charset};
use event::civil::Offset;

pub static API: Api =
    Api { name: "hcs", routes: &ROUTES, is_own: false, render_error: error::render };

static ROUTES: [Route; 1] = [Route {
    method: Method::GET,
    path: "/rest/dataapi/homs/open-api/v1/cloudAuditlog",
    name: "hcs.cloudAuditlog",
    needs: Some(Action::HcsListAuditLogs),
    handler: list,
}];

fn list(call: &Call<'_>) -> Result<Answer, Refusal> {
    let caller = call.caller_by_token()?;
    for header in ["x-apig-appcode", "x-hcso-appcode"] {
        if !call.request.header(header).is_some_and(|code| call.rights.is_app_code(code)) {
            return Err(WrongAppCode.into());
        }
    }
    let config = call.state.config();
    let settings = &config.hcs;
    let domain = domain(call, caller, settings.domain_id_may_be_absent)?;
    call.concerns(format_args!("platform/{domain}/*/*"));
    if !caller.may_somewhere(call.action(), Service::Platform, &domain) {
        return Err(ApiError::Forbidden.into());
    }
    if !call.state.hcs_pace.allows(&caller.user.id, settings.requests_per_minute, call.now) {
        let next_minute_s = 60 - call.now.unix_ms().div_euclid(1000).rem_euclid(60);
        return Err(ApiError::Throttled(next_minute_s.unsigned_abs()).into());
    }
    let request = parameters(call.raw_query())?;
    let trails = call
        .trails(Service::Platform)
        .filter(|trail| trail.tenant() == domain && caller.may(call.action(), trail))
        .collect();
    let question = ("hcs", &domain, &request.question);
    let page = call.page(caller, &question, request.offset, |_| request.query(trails))?;
    Ok(Answer::page(page, |page| render(page, settings)).map_response(with_charset))
}

/// The domain whose records are requested.
fn domain(call: &Call<'_>, caller: &Caller<'_>, may_be_absent: bool) -> Result<String, ApiError> {
    let domain = match call.request.header("x-hcso-domainid").filter(|id| !id.is_empty()) {
        Some(id) => id.to_owned(),
        None if !may_be_absent => return Err(ApiError::MissingParameter),
        None => match &caller.scope {
            Scope::Domain(domain) => domain.clone(),
            Scope::Project(project) => call
                .project(project, caller)
                .map(|project| project.tenant.clone())
                .ok_or(ApiError::Forbidden)?,
            Scope::User => caller.user.domain.clone(),
        },
    };
    let is_reached =
        call.rights.projects_of(caller, None).iter().any(|project| project.tenant == domain);
    if is_reached { Ok(domain) } else { Err(ApiError::Forbidden) }
}

#[derive(Debug, PartialEq, Eq)]
struct PageRequest {
    question: Question,
    offset: u64,
    limit: usize,
}

/// The request without the page.
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

fn parameters(raw_query: &str) -> Result<PageRequest, ApiError> {
    let class = match text(raw_query, "log_type").as_deref() {
        None => None,
        Some("0") => Some(Class::Operation),
        Some("1") => Some(Class::Security),
        Some(_) => return Err(ApiError::InvalidParameter),
    };
    let required = |name, most| {
        let text = text(raw_query, name).ok_or(ApiError::MissingParameter)?;
        digits(&text, 0..=most).map_err(|_| ApiError::InvalidParameter)
    };
    let (begin_ms, end_ms) =
        (required("begin_time", TIME_MS_MAX)?, required("end_time", TIME_MS_MAX)?);
    let limit = required("page_size", PAGE_SIZE_MAX)?;
    let offset = required("offset_value", INT32_MAX)?;
    if end_ms < begin_ms {
        return Err(ApiError::InvalidParameter);
    }
    let question =
        Question { class, begin_ms: begin_ms.cast_signed(), end_ms: end_ms.cast_signed() };
    Ok(PageRequest {
        question,
        offset,
        limit: usize::try_from(limit).map_err(|_| ApiError::InvalidParameter)?,
    })
}

/// Offset and limit of the page that a query requests; for fuzz targets.
pub fn page_of(raw_query: &str) -> Option<(u64, usize)> {
    parameters(raw_query)
        .ok()
        .map(|request| request.query(Vec::new()))
        .map(|query| (query.offset, query.limit))
}

impl PageRequest {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_have_the_ranges_of_the_documentation() {
        let window = "begin_time=1000&end_time=2000";
        let request = parameters(&format!("{window}&page_size=1000&offset_value=0&log_type=1"))
            .expect("valid");
        assert_eq!(
            (request.question.class, request.limit, request.offset),
            (Some(Class::Security), 1000, 0)
        );
        assert!(parameters("begin_time=5&end_time=5&page_size=0&offset_value=7").is_ok());
        for missing in ["begin_time", "end_time", "page_size", "offset_value"] {
            let query = format!("{window}&page_size=1&offset_value=0").replace(missing, "x");
            assert!(matches!(parameters(&query), Err(ApiError::MissingParameter)), "{missing}");
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
            assert!(matches!(parameters(wrong), Err(ApiError::InvalidParameter)), "{wrong}");
        }
    }
}
