//! Identity: tokens, and the calls that clients make by themselves before their first query.
//!
//! `POST`, `GET` and `DELETE /v3/auth/tokens` (KeystoneCreateUserTokenByPassword and its kin), `GET
//! /v3/projects`, `GET /v3/auth/projects`, `GET /v3/auth/domains`, `GET /v3/auth/catalog`,
//! <https://support.huaweicloud.com/intl/en-us/api-iam/iam_30_0001.html>. `docs/api/iam.md` lists
//! what is implemented and every choice the pages leave open.

mod error;
mod tokens;

use hyper::{Method, StatusCode};
use serde::Serialize;

use super::parameters::text;
use super::{Answer, Api, Call, Refusal, Route};
use access::Project;
pub use tokens::is_login;

pub static API: Api =
    Api { name: "iam", routes: &ROUTES, is_own: false, render_error: error::render };

static ROUTES: [Route; 7] = [
    Route {
        method: Method::POST,
        path: "/v3/auth/tokens",
        name: "iam.CreateToken",
        needs: None,
        handler: tokens::create,
    },
    Route {
        method: Method::GET,
        path: "/v3/auth/tokens",
        name: "iam.ValidateToken",
        needs: None,
        handler: tokens::validate,
    },
    Route {
        method: Method::DELETE,
        path: "/v3/auth/tokens",
        name: "iam.RevokeToken",
        needs: None,
        handler: tokens::revoke,
    },
    Route {
        method: Method::GET,
        path: "/v3/projects",
        name: "iam.KeystoneListProjects",
        needs: None,
        handler: list_projects,
    },
    Route {
        method: Method::GET,
        path: "/v3/auth/projects",
        name: "iam.KeystoneListAuthProjects",
        needs: None,
        handler: list_projects,
    },
    Route {
        method: Method::GET,
        path: "/v3/auth/domains",
        name: "iam.KeystoneListAuthDomains",
        needs: None,
        handler: list_domains,
    },
    Route {
        method: Method::GET,
        path: "/v3/auth/catalog",
        name: "iam.KeystoneShowCatalog",
        needs: None,
        handler: show_catalog,
    },
];

/// An SDK that knows a region but no project id looks for the project of that name, and insists on
/// exactly one.
fn list_projects(call: &Call<'_>) -> Result<Answer, Refusal> {
    let caller = call.caller()?;
    let name = text(call.raw_query(), "name");
    let base = url(call, "/v3/projects");
    let projects: Vec<_> = call
        .rights
        .projects_of(caller, name.as_deref())
        .into_iter()
        .map(|project| render_project(project, &base))
        .collect();
    let count = projects.len();
    let body = Projects { projects, links: ListLinks::of(base) };
    Ok(Answer::json(StatusCode::OK, &body).with_rows(count, count as u64))
}

/// The caller's own domain comes first, since clients take the first one; then those of projects
/// that the caller reaches.
fn list_domains(call: &Call<'_>) -> Result<Answer, Refusal> {
    let caller = call.caller()?;
    let mut ids: Vec<&str> = vec![&caller.user.domain];
    for project in call.rights.projects_of(caller, None) {
        if !ids.contains(&project.tenant.as_str()) {
            ids.push(&project.tenant);
        }
    }
    let base = url(call, "/v3/auth/domains");
    let domains: Vec<_> = ids
        .into_iter()
        .filter_map(|id| call.rights.domain(id))
        .map(|domain| DomainBody {
            id: domain.id.clone(),
            name: domain.name.clone(),
            enabled: true,
            description: "",
            links: SelfLink { self_: format!("{base}/{}", domain.id) },
        })
        .collect();
    let count = domains.len();
    let body = Domains { domains, links: ListLinks::of(base) };
    Ok(Answer::json(StatusCode::OK, &body).with_rows(count, count as u64))
}

/// The catalogue is empty: every service is at this address, which clients that need a catalogue
/// have in their own settings.
fn show_catalog(call: &Call<'_>) -> Result<Answer, Refusal> {
    call.caller()?;
    let links = ListLinks::of(url(call, "/v3/auth/catalog"));
    Ok(Answer::json(StatusCode::OK, &Catalog { catalog: [], links }))
}

/// A path under the address that the request was sent to.
fn url(call: &Call<'_>, path: &str) -> String {
    format!("{}://{}{path}", call.request.scheme, call.request.host)
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

impl ListLinks {
    fn of(self_: String) -> ListLinks {
        ListLinks { self_, next: None, previous: None }
    }
}
