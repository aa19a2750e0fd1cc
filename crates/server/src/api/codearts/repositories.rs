//! The listing of repositories: `GET /cloudartifact/v5/{tenant_id}/{project_id}/repositories`
//! (`ListAllRepositories`), and one of them. A repository is an artifact trail; members that a
//! trail does not know are empty.

use event::{Service, Trail};
use hyper::StatusCode;
use serde::Serialize;

use super::envelope::{Envelope, trace_id};
use super::project::{authorise_project, check_ids};
use crate::api::parameters::{INT32_MAX, integer, slice, text};
use crate::api::{Answer, Call, Refusal, authorise_within};
use net::Request;

const PAGE_SIZE_DEFAULT: u64 = 10;
const PAGE_SIZE_MAX: u64 = 100;

pub(super) fn list(call: &Call<'_>) -> Result<Answer, Refusal> {
    let [tenant, project] = call.path();
    let caller = call.caller()?;
    check_ids(tenant, project)?;
    let raw_query = call.raw_query();
    let page = integer(raw_query, "page_no", 1..=INT32_MAX)?.unwrap_or(1);
    let page_size =
        integer(raw_query, "page_size", 1..=PAGE_SIZE_MAX)?.unwrap_or(PAGE_SIZE_DEFAULT);
    let project = authorise_project(call, caller, tenant, project)?;
    call.concerns(&project.id);
    let (format, name) = (text(raw_query, "format"), text(raw_query, "qname"));
    let mut trails = call.listed(Service::Artifact, project, caller);
    trails.retain(|trail| format.as_deref().is_none_or(|format| format_of(trail) == format));
    trails.retain(|trail| name.as_deref().is_none_or(|name| trail.instance().contains(name)));
    let total = trails.len();
    let repositories: Vec<_> = slice(trails, (page - 1) * page_size, page_size)
        .iter()
        .map(|trail| repository(trail, call.request))
        .collect();
    let count = repositories.len();
    let trace_id = trace_id(call.now);
    let body = Envelope::new(&trace_id, List { total, repositories });
    Ok(Answer::json(StatusCode::OK, &body).with_rows(count, total as u64))
}

pub(super) fn show(call: &Call<'_>) -> Result<Answer, Refusal> {
    let [tenant, project, repo] = call.path();
    let caller = call.caller()?;
    check_ids(tenant, project)?;
    let project = authorise_project(call, caller, tenant, project)?;
    let trail = authorise_within(call, caller, Service::Artifact, project, repo)?;
    let trace_id = trace_id(call.now);
    let body = Envelope::new(&trace_id, repository(&trail, call.request));
    Ok(Answer::json(StatusCode::OK, &body))
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
