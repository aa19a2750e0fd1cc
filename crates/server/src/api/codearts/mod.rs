//! CodeArts Artifact: `ShowAudit`, acts on a repository and its files.
//!
//! `GET /cloudartifact/v5/{tenant_id}/{project_id}/{module}/{repo}/audit`,
//! <https://support.huaweicloud.com/intl/en-us/api-codeartsartifact/ShowAudit.html>.
//! `docs/api/codearts.md` lists what is implemented and every choice the page leaves open.

mod envelope;
mod error;
mod project;
mod repositories;

use event::entry::Entry;
use event::query::{Dimension, Filter, Page, Query};
use event::{Operation, Service};
use hyper::Method;
use serde::Serialize;
use store::Row;

use super::parameters::{INT32_MAX, integer, text};
use super::{Answer, Api, ApiError, Call, Refusal, Route, authorise_within};
use access::rights::Action;
use envelope::{Envelope, trace_id};
use event::civil::Offset;
use project::{authorise_project, check_ids};

pub static API: Api =
    Api { name: "codearts", routes: &ROUTES, is_own: false, render_error: error::render };

static ROUTES: [Route; 3] = [
    Route {
        method: Method::GET,
        path: "/cloudartifact/v5/{tenant_id}/{project_id}/{module}/{repo}/audit",
        name: "codeartsartifact.ShowAudit",
        needs: Some(Action::ArtifactReadRepository),
        handler: show_audit,
    },
    Route {
        method: Method::GET,
        path: "/cloudartifact/v5/{tenant_id}/{project_id}/repositories",
        name: "codeartsartifact.ListAllRepositories",
        needs: Some(Action::ArtifactListRepositories),
        handler: repositories::list,
    },
    Route {
        method: Method::GET,
        path: "/cloudartifact/v5/{tenant_id}/{project_id}/{repo_id}/repositories",
        name: "codeartsartifact.ShowRepository",
        needs: Some(Action::ArtifactReadRepository),
        handler: repositories::show,
    },
];

fn show_audit(call: &Call<'_>) -> Result<Answer, Refusal> {
    let [tenant, project, module, repo] = call.path();
    let caller = call.caller()?;
    check_ids(tenant, project)?;
    let request = parameters(module, call.raw_query())?;
    let project = authorise_project(call, caller, tenant, project)?;
    let trail = authorise_within(call, caller, Service::Artifact, project, repo)?;
    let question = ("codearts", &trail, &request.question);
    let page = call.page(caller, &question, request.offset(), |_| Query {
        filters: request.question.filters(),
        limit: request.page_size,
        ..Query::of(trail.clone())
    })?;
    let zone = call.state.config().codearts.time_zone;
    let trace_id = trace_id(call.now);
    Ok(Answer::page(page, |page| {
        Envelope::new(&trace_id, render(page, request.question.module, zone))
    }))
}

/// Kind of the resources in the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Module {
    File,
    Repository,
}

impl Module {
    fn as_str(self) -> &'static str {
        match self {
            Module::File => "file",
            Module::Repository => "repository",
        }
    }

    fn filter(self) -> Filter {
        let kinds = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        match self {
            // A `request` is one for no file, such as bytes that are not HTTP.
            Module::File => {
                Filter::NoneOf(Dimension::ResourceKind, kinds(&["repository", "request"]))
            }
            Module::Repository => Filter::AnyOf(Dimension::ResourceKind, kinds(&["repository"])),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct PageRequest {
    question: Question,
    page_num: u64,
    page_size: usize,
}

/// The request without the page.
#[derive(Debug, PartialEq, Eq)]
struct Question {
    module: Module,
    user_id: Option<String>,
    instance_id: Option<String>,
}

const PAGE_SIZE_DEFAULT: u64 = 10;
const PAGE_SIZE_MAX: u64 = 100;

fn parameters(module: &str, raw_query: &str) -> Result<PageRequest, ApiError> {
    let module = [Module::File, Module::Repository]
        .into_iter()
        .find(|known| known.as_str() == module)
        .ok_or(ApiError::InvalidParameter)?;
    let page_num = integer(raw_query, "page_num", 1..=INT32_MAX)?.unwrap_or(1);
    let page_size =
        integer(raw_query, "page_size", 1..=PAGE_SIZE_MAX)?.unwrap_or(PAGE_SIZE_DEFAULT);
    let question = Question {
        module,
        user_id: text(raw_query, "user_id"),
        instance_id: text(raw_query, "instance_id"),
    };
    Ok(PageRequest {
        question,
        page_num,
        page_size: usize::try_from(page_size).map_err(|_| ApiError::InvalidParameter)?,
    })
}

/// Offset and limit of the page that a module and a query request; for fuzz targets.
pub fn page_of(module: &str, raw_query: &str) -> Option<(u64, usize)> {
    parameters(module, raw_query).ok().map(|request| (request.offset(), request.page_size))
}

impl PageRequest {
    fn offset(&self) -> u64 {
        (self.page_num - 1) * self.page_size as u64
    }
}

impl Question {
    /// Acts that change nothing of a repository are recorded, not listed: existence checks, index
    /// pages, logins.
    fn filters(&self) -> Vec<Filter> {
        let unlisted = [Operation::Read, Operation::Login, Operation::Logout]
            .map(|operation| operation.as_str().to_owned());
        let mut filters =
            vec![self.module.filter(), Filter::NoneOf(Dimension::Operation, unlisted.to_vec())];
        if let Some(user) = &self.user_id {
            // The page does not say whether it is an id or a name; either is found.
            let either = [Dimension::ActorId, Dimension::ActorName]
                .map(|dimension| Filter::is(dimension, user));
            filters.push(Filter::Either(either.to_vec()));
        }
        filters.extend(self.instance_id.iter().map(|id| Filter::is(Dimension::InstanceId, id)));
        filters
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Audits {
    audit_info_list: Vec<AuditInfo>,
    total: u64,
}

/// Member order as in the page's sample. `reason` is there even when it is null; the operator's
/// other names are left out when they are not known, as in the sample.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AuditInfo {
    id: String,
    module: &'static str,
    operation: String,
    time: String,
    info: String,
    data: String,
    reason: Option<String>,
    user_agent: String,
    operator: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    operator_nick_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operator_tenant_name: Option<String>,
    ip_source: String,
}

fn render(page: Page<Row>, module: Module, zone: Offset) -> Audits {
    let rows = page.rows.into_iter().map(|row| audit_info(row.entry, module, zone));
    Audits { audit_info_list: rows.collect(), total: page.total }
}

fn audit_info(entry: Entry, module: Module, zone: Offset) -> AuditInfo {
    let mut event = entry.event;
    let is_repository = module == Module::Repository;
    AuditInfo {
        id: entry.number.to_string(),
        module: module.as_str(),
        operation: match event.operation {
            Operation::Other => event.action,
            known => known.as_str().to_owned(),
        },
        time: zone.date_and_time(event.occurred_at, '/', ' '),
        info: event.trail.instance().to_owned(),
        data: if is_repository { String::new() } else { event.resource.name.unwrap_or_default() },
        reason: event.outcome.reason,
        user_agent: event.user_agent.unwrap_or_default(),
        operator: event.actor.name.or(event.actor.id).unwrap_or_default(),
        operator_nick_name: event.attributes.remove("operator_nick_name"),
        operator_tenant_name: event.attributes.remove("operator_tenant_name"),
        ip_source: event.source_ip.map(|ip| ip.address.to_string()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_have_the_ranges_of_the_page() {
        let read = |module, query| {
            parameters(module, query).map(|read| (read.page_num, read.page_size)).ok()
        };
        for (query, expected) in [
            ("", (1, 10)),
            ("page_num=&page_size=", (1, 10)),
            ("page_num=2147483647&page_size=100", (2_147_483_647, 100)),
            ("page_num=2&page_num=0", (2, 10)),
            ("unknown=1", (1, 10)),
        ] {
            assert_eq!(read("file", query), Some(expected), "{query}");
        }
        for query in [
            "page_num=0",
            "page_num=2147483648",
            "page_num=-1",
            "page_num=x",
            "page_size=0",
            "page_size=101",
            "page_size=1.0",
        ] {
            assert_eq!(read("repository", query), None, "{query}");
        }
        assert_eq!(read("files", ""), None);
    }

    #[test]
    fn ids_have_the_forms_of_the_page() {
        let project = "0123456789abcdef0123456789ABCDEF";
        assert!(check_ids("12345678", project).is_ok());
        assert!(check_ids(project, project).is_ok());
        for (tenant, project) in [
            ("1234567", project),
            (&"x".repeat(33), project),
            ("1234-678", project),
            ("12345678", "short"),
        ] {
            assert!(check_ids(tenant, project).is_err(), "{tenant} {project}");
        }
    }
}
