//! The listing of registries: `GET /v2/{project_id}/instances`,
//! <https://support.huaweicloud.com/intl/en-us/api-swr/ListInstance.html>. An instance is a
//! registry's trail; what the vendor's cloud knows of an instance and a trail does not is empty.

use event::{Service, Trail};
use hyper::StatusCode;
use serde::Serialize;

use super::error::Error;
use super::{Context, Note, Operation};
use crate::api::parameters::{INT32_MAX, integer, slice, text};
use net::{self, Request, Response};

/// The status of every instance listed.
const RUNNING: &str = "Running";
const LIMIT_DEFAULT: u64 = 100;
const LIMIT_MAX: u64 = 100;

pub(super) fn list(
    project: &str,
    request: &Request,
    context: &Context<'_>,
    note: &mut Note,
) -> Result<Response, Error> {
    let caller = context.caller(request, note).map_err(Error::Unauthenticated)?;
    let project = context.project(project, &caller).ok_or(Error::Forbidden)?;
    note.resource.clone_from(&project.id);
    let limit = integer(&request.raw_query, "limit", 1..=LIMIT_MAX)?.unwrap_or(LIMIT_DEFAULT);
    let offset = integer(&request.raw_query, "offset", 0..=INT32_MAX)?.unwrap_or(0);
    let is_asked_for = text(&request.raw_query, "status").is_none_or(|status| status == RUNNING);
    let mut found =
        context.listed(Service::Registry, project, &caller, Operation::ListInstances.needs());
    if !is_asked_for {
        found.clear();
    }
    let total = found.len();
    let created_at = context.shared.log.identity().created_at.to_string();
    let instances: Vec<_> = slice(found, offset, limit)
        .iter()
        .map(|trail| instance(trail, &created_at, request))
        .collect();
    note.rows = Some((instances.len(), total as u64));
    Ok(net::json(StatusCode::OK, &Body { instances, total }))
}

fn instance(trail: &Trail, created_at: &str, request: &Request) -> Instance {
    Instance {
        id: trail.instance().to_owned(),
        name: trail.instance().to_owned(),
        description: "",
        spec: "",
        status: RUNNING,
        access_address: format!("{}://{}", request.scheme, request.host),
        created_at: format!("{}Z", &created_at[..19]),
        updated_at: format!("{}Z", &created_at[..19]),
        expires_at: "",
        project_id: trail.project().to_owned(),
        enterprise_project_id: "0",
        vpc_id: "",
        subnet_id: "",
        version: "",
        charge_mode: "",
        user_def_obs: false,
    }
}

#[derive(Serialize)]
struct Body {
    instances: Vec<Instance>,
    total: usize,
}

#[derive(Serialize)]
struct Instance {
    id: String,
    name: String,
    description: &'static str,
    spec: &'static str,
    status: &'static str,
    access_address: String,
    created_at: String,
    updated_at: String,
    expires_at: &'static str,
    project_id: String,
    enterprise_project_id: &'static str,
    vpc_id: &'static str,
    subnet_id: &'static str,
    version: &'static str,
    charge_mode: &'static str,
    user_def_obs: bool,
}
