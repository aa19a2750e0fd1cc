//! CodeArts Artifact: `ShowAudit`, what was done to a repository and its files.
//!
//! `GET /cloudartifact/v5/{tenant_id}/{project_id}/{module}/{repo}/audit`,
//! <https://support.huaweicloud.com/intl/en-us/api-codeartsartifact/ShowAudit.html>.
//! `docs/api/codearts.md` lists what is implemented and every choice the page leaves open.

mod error;
mod repositories;

use std::sync::atomic::{AtomicU64, Ordering};

use event::entry::Entry;
use event::query::{Dimension, Filter, Page, Query};
use event::{Operation as Done, Service, Time, Trail};
use hyper::{Method, StatusCode};
use serde::Serialize;
use store::Row;

use super::parameters::{INT32_MAX, integer, text};
use crate::state::{Context, Note, with_tree_size};
use access::rights::Action;
use access::{Caller, Project};
use error::Error;
use event::civil::Offset;
use net::{self, Request, Response};

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    ShowAudit,
    ListAllRepositories,
    ShowRepository,
}

/// The routes of this API.
pub const ROUTES: [(Method, &str, Operation); 3] = [
    (
        Method::GET,
        "/cloudartifact/v5/{tenant_id}/{project_id}/{module}/{repo}/audit",
        Operation::ShowAudit,
    ),
    (
        Method::GET,
        "/cloudartifact/v5/{tenant_id}/{project_id}/repositories",
        Operation::ListAllRepositories,
    ),
    (
        Method::GET,
        "/cloudartifact/v5/{tenant_id}/{project_id}/{repo_id}/repositories",
        Operation::ShowRepository,
    ),
];

impl Operation {
    /// The vendor's name of the operation.
    pub const fn name(self) -> &'static str {
        match self {
            Operation::ShowAudit => "codeartsartifact.ShowAudit",
            Operation::ListAllRepositories => "codeartsartifact.ListAllRepositories",
            Operation::ShowRepository => "codeartsartifact.ShowRepository",
        }
    }

    /// The right that it needs.
    pub const fn needs(self) -> Action {
        match self {
            Operation::ShowAudit | Operation::ShowRepository => Action::ArtifactReadRepository,
            Operation::ListAllRepositories => Action::ArtifactListRepositories,
        }
    }
}

/// Answers a request; `path` is the path's parameters.
pub fn answer(
    operation: Operation,
    path: &[String],
    request: &Request,
    context: &Context<'_>,
    note: &mut Note,
) -> Response {
    let trace_id = trace_id(context.now);
    let answered = match (operation, path) {
        (Operation::ShowAudit, [tenant, project, module, repo]) => {
            show_audit([tenant, project, module, repo], request, context, note, &trace_id)
        }
        (Operation::ListAllRepositories, [tenant, project]) => {
            repositories::list(tenant, project, request, context, note, &trace_id)
        }
        (Operation::ShowRepository, [tenant, project, repo]) => {
            repositories::show([tenant, project, repo], request, context, note, &trace_id)
        }
        _ => unreachable!("routes have as many parameters as their operations"),
    };
    answered.unwrap_or_else(|error| error.render(&request.id, &trace_id))
}

/// `143002-1701222589443-431`: a number, the moment in milliseconds, a counter. Unique while the
/// process runs.
fn trace_id(now: Time) -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    format!("{}-{}-{}", std::process::id(), now.unix_ms(), count % 1000)
}

fn show_audit(
    [tenant, project, module, repo]: [&str; 4],
    request: &Request,
    context: &Context<'_>,
    note: &mut Note,
    trace_id: &str,
) -> Result<Response, Error> {
    let caller = context.caller(request, note).map_err(Error::Unauthenticated)?;
    check_ids(tenant, project)?;
    let asked = parameters(module, &request.raw_query)?;
    let project = authorise_project(tenant, project, &caller, context)?;
    let trail = authorise_repository(repo, project, &caller, context, Operation::ShowAudit)?;
    note.resource = trail.to_string();
    let query = |_| Query {
        filters: asked.question.filters(),
        limit: asked.page_size,
        ..Query::of(trail.clone())
    };
    let page = context
        .page(&caller, &("codearts", &trail, &asked.question), asked.offset(), query, note)
        .map_err(Error::Internal)?;
    let tree_size = page.tree_size;
    let zone = context.shared.config().codearts.time_zone;
    let answer = Answer::new(trace_id, render(page, asked.question.module, zone));
    Ok(with_tree_size(net::json(StatusCode::OK, &answer), tree_size))
}

/// The forms that the page gives account and project ids.
fn check_ids(tenant: &str, project: &str) -> Result<(), Error> {
    let is_alphanumeric = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let is_tenant = (8..=32).contains(&tenant.len()) && is_alphanumeric(tenant);
    let is_project = project.len() == 32 && is_alphanumeric(project);
    if is_tenant && is_project { Ok(()) } else { Err(Error::InvalidParameter) }
}

fn authorise_project<'a>(
    tenant: &str,
    project: &str,
    caller: &Caller<'_>,
    context: &'a Context<'_>,
) -> Result<&'a Project, Error> {
    context
        .project(project, caller)
        .filter(|project| project.tenant == tenant)
        .ok_or(Error::Forbidden)
}

fn authorise_repository(
    repo: &str,
    project: &Project,
    caller: &Caller<'_>,
    context: &Context<'_>,
    operation: Operation,
) -> Result<Trail, Error> {
    let trail = Trail::new(Service::Artifact, &project.tenant, &project.id, repo)
        .map_err(|_| Error::NoSuchRepository)?;
    if !context.exists(&trail) || !caller.sees(&trail) {
        return Err(Error::NoSuchRepository);
    }
    if caller.may(operation.needs(), &trail) { Ok(trail) } else { Err(Error::Forbidden) }
}

/// What rows are about.
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
            // A request is something that asked for no file, such as what does not speak HTTP.
            Module::File => {
                Filter::NoneOf(Dimension::ResourceKind, kinds(&["repository", "request"]))
            }
            Module::Repository => Filter::AnyOf(Dimension::ResourceKind, kinds(&["repository"])),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Asked {
    question: Question,
    page_num: u64,
    page_size: usize,
}

/// What was asked, but for the page.
#[derive(Debug, PartialEq, Eq)]
struct Question {
    module: Module,
    user_id: Option<String>,
    instance_id: Option<String>,
}

const PAGE_SIZE_DEFAULT: u64 = 10;
const PAGE_SIZE_MAX: u64 = 100;

fn parameters(module: &str, raw_query: &str) -> Result<Asked, Error> {
    let module = [Module::File, Module::Repository]
        .into_iter()
        .find(|known| known.as_str() == module)
        .ok_or(Error::InvalidParameter)?;
    let page_num = integer(raw_query, "page_num", 1..=INT32_MAX)?.unwrap_or(1);
    let page_size =
        integer(raw_query, "page_size", 1..=PAGE_SIZE_MAX)?.unwrap_or(PAGE_SIZE_DEFAULT);
    let question = Question {
        module,
        user_id: text(raw_query, "user_id"),
        instance_id: text(raw_query, "instance_id"),
    };
    Ok(Asked {
        question,
        page_num,
        page_size: usize::try_from(page_size).map_err(|_| Error::InvalidParameter)?,
    })
}

/// Offset and limit of the page that a module and a query ask for; for fuzz targets.
pub fn page_of(module: &str, raw_query: &str) -> Option<(u64, usize)> {
    parameters(module, raw_query).ok().map(|asked| (asked.offset(), asked.page_size))
}

impl Asked {
    fn offset(&self) -> u64 {
        (self.page_num - 1) * self.page_size as u64
    }
}

impl Question {
    /// What does nothing to a repository is recorded, not listed: existence checks, index pages,
    /// logins.
    fn filters(&self) -> Vec<Filter> {
        let unlisted =
            [Done::Read, Done::Login, Done::Logout].map(|operation| operation.as_str().to_owned());
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

/// The envelope of every answer.
#[derive(Serialize)]
struct Answer<'a, T> {
    status: &'static str,
    trace_id: &'a str,
    result: T,
}

impl<'a, T> Answer<'a, T> {
    fn new(trace_id: &'a str, result: T) -> Answer<'a, T> {
        Answer { status: "success", trace_id, result }
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
            Done::Other => event.action,
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
        let asked = |module, query| {
            parameters(module, query).map(|asked| (asked.page_num, asked.page_size)).ok()
        };
        for (query, expected) in [
            ("", (1, 10)),
            ("page_num=&page_size=", (1, 10)),
            ("page_num=2147483647&page_size=100", (2_147_483_647, 100)),
            ("page_num=2&page_num=0", (2, 10)),
            ("unknown=1", (1, 10)),
        ] {
            assert_eq!(asked("file", query), Some(expected), "{query}");
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
            assert_eq!(asked("repository", query), None, "{query}");
        }
        assert_eq!(asked("files", ""), None);
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
