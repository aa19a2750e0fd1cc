//! The listings of database audit instances: three paths of three ages with one content. An
//! instance is a trail; what the vendor's cloud knows of an instance and a trail does not is empty.

use event::{Service, Trail};
use hyper::StatusCode;
use serde::Serialize;

use super::error::Error;
use super::{Context, Note, Operation};
use crate::api::parameters::{INT32_MAX, integer, slice};
use net::{self, Request, Response};

const LIMIT_DEFAULT: u64 = 100;
const LIMIT_MAX: u64 = 1000;

pub(super) fn list(
    operation: Operation,
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
    let found = context.listed(Service::Dbaudit, project, &caller, operation.needs());
    let total = found.len();
    let instances: Vec<_> = slice(found, offset, limit).iter().map(Instance::of).collect();
    note.rows = Some((instances.len(), total as u64));
    // The oldest path's SDK type calls them servers; everyone else, instances.
    let servers = (operation == Operation::Instances).then(|| instances.clone());
    Ok(net::json(StatusCode::OK, &Body { instances, servers, total }))
}

#[derive(Serialize)]
struct Body {
    instances: Vec<Instance>,
    #[serde(skip_serializing_if = "Option::is_none")]
    servers: Option<Vec<Instance>>,
    total: usize,
}

#[derive(Serialize, Clone)]
struct Instance {
    instance_id: String,
    id: String,
    name: String,
    status: &'static str,
    version: &'static str,
    charge_model: &'static str,
    comment: &'static str,
    resource_id: String,
    region: &'static str,
}

impl Instance {
    fn of(trail: &Trail) -> Instance {
        let id = trail.instance().to_owned();
        Instance {
            instance_id: id.clone(),
            name: id.clone(),
            status: "ACTIVE",
            version: env!("CARGO_PKG_VERSION"),
            charge_model: "",
            comment: "",
            resource_id: id.clone(),
            region: "",
            id,
        }
    }
}
