//! The identity calls that clients make by themselves.
//!
//! `GET /v3/projects?name=` (KeystoneListProjects,
//! <https://support.huaweicloud.com/intl/en-us/api-iam/iam_06_0001.html>): an SDK that knows a region but no project id
//! asks for the project of that name, and insists on exactly one.

use hyper::{Method, StatusCode};
use serde::Serialize;

use super::caller::authenticate;
use super::gateway;
use crate::access::{Project, Snapshot};
use crate::http::{self, Request, Response, path};

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Operation {
    ListProjects { name: Option<String> },
}

/// Finds the operation of a request by its path; `Some(None)` when the path is ours and the method is not.
pub fn parse(method: &Method, segments: &[&str], raw_query: &str) -> Option<Option<Operation>> {
    match segments {
        ["v3", "projects"] if method == Method::GET => {
            let name = path::query_value(raw_query, "name").filter(|name| !name.is_empty());
            Some(Some(Operation::ListProjects { name }))
        }
        ["v3", "projects"] => Some(None),
        _ => None,
    }
}

/// Answers a request.
pub fn answer(operation: &Operation, request: &Request, access: &Snapshot, now: event::Time) -> Response {
    let user = match authenticate(request, access, now) {
        Ok(user) => user,
        Err(why) => {
            let (code, text) = gateway::unauthenticated(&why);
            return http::error(StatusCode::UNAUTHORIZED, code, &text, &request.id);
        }
    };
    let Operation::ListProjects { name } = operation;
    let projects = access.projects_of(user, name.as_deref());
    let base = format!("http://{}/v3/projects", request.host);
    http::json(
        StatusCode::OK,
        &Projects {
            projects: projects.into_iter().map(|project| render(project, &base)).collect(),
            links: ListLinks { self_: base, next: None, previous: None },
        },
    )
}

fn render(project: &Project, base: &str) -> ProjectBody {
    ProjectBody {
        id: project.id.clone(),
        name: project.name.clone(),
        domain_id: project.tenant.clone(),
        parent_id: project.tenant.clone(),
        is_domain: false,
        enabled: true,
        description: "",
        links: SelfLink { self_: format!("{base}/{}", project.id) },
    }
}

/// `projects` must be the only member that is an array: Terraform takes the first one it finds.
#[derive(Serialize)]
struct Projects {
    projects: Vec<ProjectBody>,
    links: ListLinks,
}

#[derive(Serialize)]
struct ProjectBody {
    id: String,
    name: String,
    domain_id: String,
    parent_id: String,
    is_domain: bool,
    enabled: bool,
    description: &'static str,
    links: SelfLink,
}

#[derive(Serialize)]
struct SelfLink {
    #[serde(rename = "self")]
    self_: String,
}

#[derive(Serialize)]
struct ListLinks {
    #[serde(rename = "self")]
    self_: String,
    next: Option<String>,
    previous: Option<String>,
}
