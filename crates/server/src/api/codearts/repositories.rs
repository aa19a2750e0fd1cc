//! The listing of repositories: `GET /cloudartifact/v5/{tenant_id}/{project_id}/repositories`
//! (`ListAllRepositories`), and one of them. A repository is an artifact trail; what the vendor's
//! cloud knows of a repository and a trail does not is empty.

use event::{Service, Trail};
use hyper::StatusCode;
use serde::Serialize;

use super::error::Error;
use super::{Answer, Context, Note, Operation, authorise_project, authorise_repository, check_ids};
use crate::api::parameters::{INT32_MAX, integer, slice, text};
use net::{self, Request, Response};

const PAGE_SIZE_DEFAULT: u64 = 10;
const PAGE_SIZE_MAX: u64 = 100;

pub(super) fn list(
    tenant: &str,
    project: &str,
    request: &Request,
    context: &Context<'_>,
    note: &mut Note,
    trace_id: &str,
) -> Result<Response, Error> {
    let caller = context.caller(request, note).map_err(Error::Unauthenticated)?;
    check_ids(tenant, project)?;
    let page = integer(&request.raw_query, "page_no", 1..=INT32_MAX)?.unwrap_or(1);
    let page_size =
        integer(&request.raw_query, "page_size", 1..=PAGE_SIZE_MAX)?.unwrap_or(PAGE_SIZE_DEFAULT);
    let project = authorise_project(tenant, project, &caller, context)?;
    note.resource.clone_from(&project.id);
    let (format, name) = (text(&request.raw_query, "format"), text(&request.raw_query, "qname"));
    let mut found =
        context.listed(Service::Artifact, project, &caller, Operation::ListAllRepositories.needs());
    found.retain(|trail| format.as_deref().is_none_or(|format| format_of(trail) == format));
    found.retain(|trail| name.as_deref().is_none_or(|name| trail.instance().contains(name)));
    let total = found.len();
    let repositories: Vec<_> = slice(found, (page - 1) * page_size, page_size)
        .iter()
        .map(|trail| repository(trail, request))
        .collect();
    note.rows = Some((repositories.len(), total as u64));
    Ok(net::json(StatusCode::OK, &Answer::new(trace_id, List { total, repositories })))
}

pub(super) fn show(
    [tenant, project, repo]: [&str; 3],
    request: &Request,
    context: &Context<'_>,
    note: &mut Note,
    trace_id: &str,
) -> Result<Response, Error> {
    let caller = context.caller(request, note).map_err(Error::Unauthenticated)?;
    check_ids(tenant, project)?;
    let project = authorise_project(tenant, project, &caller, context)?;
    let operation = Operation::ShowRepository;
    let trail = authorise_repository(repo, project, &caller, context, operation)?;
    note.resource = trail.to_string();
    Ok(net::json(StatusCode::OK, &Answer::new(trace_id, repository(&trail, request))))
}

/// The format in a repository id, `{region}_{domain}_{format}_{sequence}`; empty where the id has
/// another form.
fn format_of(trail: &Trail) -> &str {
    trail.instance().split('_').nth(2).unwrap_or_default()
}

fn repository(trail: &Trail, request: &Request) -> Repository {
    let id = trail.instance().to_owned();
    Repository {
        name: id.clone(),
        repository_name: id.clone(),
        display_name: id.clone(),
        format: format_of(trail).to_owned(),
        repo_type: "hosted",
        status: "1",
        domain_id: trail.tenant().to_owned(),
        project_id: trail.project().to_owned(),
        description: "",
        disable: false,
        url: format!("{}://{}", request.scheme, request.host),
        id,
    }
}

#[derive(Serialize)]
struct List {
    total: usize,
    repositories: Vec<Repository>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Repository {
    id: String,
    name: String,
    repository_name: String,
    display_name: String,
    format: String,
    repo_type: &'static str,
    status: &'static str,
    domain_id: String,
    project_id: String,
    description: &'static str,
    disable: bool,
    url: String,
}
