//! The listing of database instances: `GET /v3/{project_id}/instances` and its `v3.1`, and one of
//! them. An instance is a database trail; what the vendor's cloud knows of an instance and a trail
//! does not is empty.

use event::{Service, Trail};
use hyper::StatusCode;
use serde::Serialize;

use super::error::Error;
use super::{Context, Note, Operation};
use crate::api::parameters::{INT32_MAX, integer, slice, text};
use event::civil::Offset;
use net::{self, Request, Response};

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
    let limit =
        integer(&request.raw_query, "limit", 1..=LIMIT_MAX).map_err(|_| Error::InvalidLimit)?;
    let offset = integer(&request.raw_query, "offset", 0..=INT32_MAX)?.unwrap_or(0);
    let mut found =
        context.listed(Service::Database, project, &caller, Operation::ListInstances.needs());
    for wanted in ["id", "name"].into_iter().filter_map(|name| text(&request.raw_query, name)) {
        // A star in front asks for what contains the rest.
        match wanted.strip_prefix('*') {
            Some(part) => found.retain(|trail| trail.instance().contains(part)),
            None => found.retain(|trail| trail.instance() == wanted),
        }
    }
    let total_count = found.len();
    let instances: Vec<_> = slice(found, offset, limit.unwrap_or(LIMIT_DEFAULT))
        .iter()
        .map(|trail| Instance::of(trail, context))
        .collect();
    note.rows = Some((instances.len(), total_count as u64));
    Ok(net::json(StatusCode::OK, &List { instances, total_count }))
}

pub(super) fn show(trail: &Trail, context: &Context<'_>) -> Response {
    net::json(StatusCode::OK, &One { instance: Instance::of(trail, context) })
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
    fn of(trail: &Trail, context: &Context<'_>) -> Instance {
        let utc = Offset::default();
        let created =
            utc.date_and_time(context.shared.log.identity().created_at, '-', 'T') + &utc.text();
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
