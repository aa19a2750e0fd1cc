//! Identity: tokens, and the calls that clients make by themselves before their first query.
//!
//! `POST` and `GET /v3/auth/tokens` (KeystoneCreateUserTokenByPassword and its kin), `GET
//! /v3/projects`, `GET /v3/auth/projects`, `GET /v3/auth/domains`, `GET /v3/auth/catalog`,
//! <https://support.huaweicloud.com/intl/en-us/api-iam/iam_30_0001.html>. `docs/api/iam.md` lists
//! what is implemented and every choice the pages leave open.

mod error;
mod tokens;

use hyper::{Method, StatusCode};
use serde::Serialize;

use super::parameters::text;
use crate::state::{Context, Note};
use access::{Domain, Project};
use error::Error;
use net::{self, Request, Response};
pub use tokens::is_login;

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    CreateToken,
    ValidateToken,
    ListProjects,
    ListAuthProjects,
    ListAuthDomains,
    ShowCatalog,
}

/// The routes of this API.
pub const ROUTES: [(Method, &str, Operation); 6] = [
    (Method::POST, "/v3/auth/tokens", Operation::CreateToken),
    (Method::GET, "/v3/auth/tokens", Operation::ValidateToken),
    (Method::GET, "/v3/projects", Operation::ListProjects),
    (Method::GET, "/v3/auth/projects", Operation::ListAuthProjects),
    (Method::GET, "/v3/auth/domains", Operation::ListAuthDomains),
    (Method::GET, "/v3/auth/catalog", Operation::ShowCatalog),
];

impl Operation {
    /// The vendor's name of the operation.
    pub const fn name(self) -> &'static str {
        match self {
            Operation::CreateToken => "iam.CreateToken",
            Operation::ValidateToken => "iam.ValidateToken",
            Operation::ListProjects => "iam.KeystoneListProjects",
            Operation::ListAuthProjects => "iam.KeystoneListAuthProjects",
            Operation::ListAuthDomains => "iam.KeystoneListAuthDomains",
            Operation::ShowCatalog => "iam.KeystoneShowCatalog",
        }
    }
}

/// Answers a request.
pub fn answer(
    operation: Operation,
    request: &Request,
    context: &Context<'_>,
    note: &mut Note,
) -> Response {
    let answered = match operation {
        Operation::CreateToken => tokens::create(request, context, note),
        Operation::ValidateToken => tokens::validate(request, context, note),
        Operation::ListProjects | Operation::ListAuthProjects => {
            list_projects(request, context, note)
        }
        Operation::ListAuthDomains => list_domains(request, context, note),
        Operation::ShowCatalog => show_catalog(request, context, note),
    };
    answered.unwrap_or_else(|error| error.render(&request.id))
}

/// An SDK that knows a region but no project id asks for the project of that name, and insists on
/// exactly one.
fn list_projects(
    request: &Request,
    context: &Context<'_>,
    note: &mut Note,
) -> Result<Response, Error> {
    let caller = context.caller(request, note).map_err(Error::Unauthenticated)?;
    let name = text(&request.raw_query, "name");
    let base = format!("{}://{}/v3/projects", request.scheme, request.host);
    let projects: Vec<_> = context
        .rights
        .projects_of(&caller, name.as_deref())
        .into_iter()
        .map(|project| render_project(project, &base))
        .collect();
    note.rows = Some((projects.len(), projects.len() as u64));
    let links = ListLinks { self_: base, next: None, previous: None };
    Ok(net::json(StatusCode::OK, &Projects { projects, links }))
}

/// The caller's own domain first, since clients take the first one; then those of projects the
/// caller reaches.
fn list_domains(
    request: &Request,
    context: &Context<'_>,
    note: &mut Note,
) -> Result<Response, Error> {
    let caller = context.caller(request, note).map_err(Error::Unauthenticated)?;
    let reached = context
        .rights
        .projects_of(&caller, None)
        .into_iter()
        .map(|project| project.tenant.as_str());
    let mut ids: Vec<&str> = vec![&caller.user.domain];
    for id in reached {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    let base = format!("{}://{}/v3/auth/domains", request.scheme, request.host);
    let domains: Vec<_> = ids
        .into_iter()
        .filter_map(|id| context.rights.domain(id))
        .map(|domain| DomainBody {
            id: domain.id.clone(),
            name: domain.name.clone(),
            enabled: true,
            description: "",
            links: SelfLink { self_: format!("{base}/{}", domain.id) },
        })
        .collect();
    note.rows = Some((domains.len(), domains.len() as u64));
    let links = ListLinks { self_: base, next: None, previous: None };
    Ok(net::json(StatusCode::OK, &Domains { domains, links }))
}

/// Every service is at this address, and clients that need a catalogue are told so by their own
/// settings.
fn show_catalog(
    request: &Request,
    context: &Context<'_>,
    note: &mut Note,
) -> Result<Response, Error> {
    context.caller(request, note).map_err(Error::Unauthenticated)?;
    let base = format!("{}://{}/v3/auth/catalog", request.scheme, request.host);
    let links = ListLinks { self_: base, next: None, previous: None };
    Ok(net::json(StatusCode::OK, &Catalog { catalog: [], links }))
}

fn render_project(project: &Project, base: &str) -> ProjectBody {
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

/// A domain as tokens name it.
#[derive(Serialize)]
struct DomainName<'a> {
    id: &'a str,
    name: &'a str,
}

impl<'a> DomainName<'a> {
    fn of(domain: &'a Domain) -> DomainName<'a> {
        DomainName { id: &domain.id, name: &domain.name }
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
struct Domains {
    domains: Vec<DomainBody>,
    links: ListLinks,
}

#[derive(Serialize)]
struct DomainBody {
    id: String,
    name: String,
    enabled: bool,
    description: &'static str,
    links: SelfLink,
}

#[derive(Serialize)]
struct Catalog {
    catalog: [(); 0],
    links: ListLinks,
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
