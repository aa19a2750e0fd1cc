//! The listing of database instances: `GET /v3/{project_id}/instances` and its `v3.1`, and one of
//! them. An instance is a database trail; members that a trail does not know are empty.

use event::{Service, Time, Trail};
use hyper::StatusCode;
use serde::Serialize;

use super::authorise::authorise_instance;
use super::error::Error;
use crate::api::parameters::{INT32_MAX, integer, slice, text};
use crate::api::{Answer, ApiError, Call, Refusal};
use event::civil::Offset;

const LIMIT_DEFAULT: u64 = 100;
const LIMIT_MAX: u64 = 100;

pub(super) fn list(call: &Call<'_>) -> Result<Answer, Refusal> {
    let [project] = call.path();
    let caller = call.caller()?;
    let project = call.project(project, caller).ok_or(ApiError::Forbidden)?;
    call.concerns(&project.id);
    let limit =
        integer(call.raw_query(), "limit", 1..=LIMIT_MAX).map_err(|_| Error::InvalidLimit)?;
    let offset = integer(call.raw_query(), "offset", 0..=INT32_MAX)?.unwrap_or(0);
    let mut trails = call.listed(Service::Database, project, caller);
    for filter in ["id", "name"].into_iter().filter_map(|name| text(call.raw_query(), name)) {
        // A star in front selects what contains the rest.
        match filter.strip_prefix('*') {
            Some(part) => trails.retain(|trail| trail.instance().contains(part)),
            None => trails.retain(|trail| trail.instance() == filter),
        }
    }
    let total_count = trails.len();
    let created_at = call.state.log.identity().created_at;
    let instances: Vec<_> = slice(trails, offset, limit.unwrap_or(LIMIT_DEFAULT))
        .iter()
        .map(|trail| Instance::of(trail, created_at))
        .collect();
    let count = instances.len();
    let answer = Answer::json(StatusCode::OK, &List { instances, total_count });
    Ok(answer.with_rows(count, total_count as u64))
}

pub(super) fn show(call: &Call<'_>) -> Result<Answer, Refusal> {
    let trail = authorise_instance(call)?;
    let instance = Instance::of(&trail, call.state.log.identity().created_at);
    Ok(Answer::json(StatusCode::OK, &One { instance }))
}

#[derive(Serialize)]
struct List {
    instances: Vec<Instance>,
    total_count: usize,
}

#[derive(Serialize)]
struct One {
    instance: Instance,
}

#[derive(Serialize)]
struct Instance {
    id: String,
    name: String,
    project_id: String,
    status: &'static str,
    r#type: &'static str,
    port: &'static str,
    datastore: Datastore,
    created: String,
    updated: String,
    enterprise_project_id: &'static str,
    time_zone: &'static str,
}

#[derive(Serialize)]
struct Datastore {
    r#type: &'static str,
    version: &'static str,
}

impl Instance {
    fn of(trail: &Trail, created_at: Time) -> Instance {
        let utc = Offset::default();
        let created = utc.date_and_time(created_at, '-', 'T') + &utc.text();
        Instance {
            id: trail.instance().to_owned(),
            name: trail.instance().to_owned(),
            project_id: trail.project().to_owned(),
            status: "ACTIVE",
            r#type: "Cluster",
            port: "3306",
            datastore: Datastore { r#type: "gaussdb-mysql", version: "8.0" },
            updated: created.clone(),
            created,
            enterprise_project_id: "0",
            time_zone: "UTC+00:00",
        }
    }
}
