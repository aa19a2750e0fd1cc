//! The listing of registries: `GET /v2/{project_id}/instances`,
//! <https://support.huaweicloud.com/intl/en-us/api-swr/ListInstance.html>. An instance is a
//! registry's trail; members that a trail does not know are empty.

use event::{Service, Trail};
use hyper::StatusCode;
use serde::Serialize;

use crate::api::parameters::{INT32_MAX, integer, slice, text};
use crate::api::{Answer, ApiError, Call, Refusal};
use net::Request;

/// The status of every instance listed.
const RUNNING: &str = "Running";
const LIMIT_DEFAULT: u64 = 100;
const LIMIT_MAX: u64 = 100;

pub(super) fn list(call: &Call<'_>) -> Result<Answer, Refusal> {
    let [project] = call.path();
    let caller = call.caller()?;
    let project = call.project(project, caller).ok_or(ApiError::Forbidden)?;
    call.concerns(&project.id);
    let limit = integer(call.raw_query(), "limit", 1..=LIMIT_MAX)?.unwrap_or(LIMIT_DEFAULT);
    let offset = integer(call.raw_query(), "offset", 0..=INT32_MAX)?.unwrap_or(0);
    let mut trails = call.listed(Service::Registry, project, caller);
    if text(call.raw_query(), "status").is_some_and(|status| status != RUNNING) {
        trails.clear();
    }
    let total = trails.len();
    let created_at = call.state.log.identity().created_at.to_string();
    let instances: Vec<_> = slice(trails, offset, limit)
        .iter()
        .map(|trail| instance(trail, &created_at, call.request))
        .collect();
    let count = instances.len();
    let answer = Answer::json(StatusCode::OK, &Body { instances, total });
    Ok(answer.with_rows(count, total as u64))
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
