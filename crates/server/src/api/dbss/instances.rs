//! The listings of database audit instances: three paths of three ages with one content. An
//! instance is a trail; members that a trail does not know are empty.

use event::{Service, Trail};
use hyper::StatusCode;
use serde::Serialize;

use crate::api::parameters::{INT32_MAX, integer, slice};
use crate::api::{Answer, ApiError, Call, Refusal};

const LIMIT_DEFAULT: u64 = 100;
const LIMIT_MAX: u64 = 1000;

/// `with_servers`: whether the instances are there a second time, as `servers`. The SDK type of the
/// oldest path calls them so; everyone else, instances.
pub(super) fn list(call: &Call<'_>, with_servers: bool) -> Result<Answer, Refusal> {
    let [project] = call.path();
    let caller = call.caller()?;
    let project = call.project(project, caller).ok_or(ApiError::Forbidden)?;
    call.concerns(&project.id);
    let limit = integer(call.raw_query(), "limit", 1..=LIMIT_MAX)?.unwrap_or(LIMIT_DEFAULT);
    let offset = integer(call.raw_query(), "offset", 0..=INT32_MAX)?.unwrap_or(0);
    let trails = call.listed(Service::Dbaudit, project, caller);
    let total = trails.len();
    let instances: Vec<_> = slice(trails, offset, limit).iter().map(Instance::of).collect();
    let count = instances.len();
    let servers = with_servers.then(|| instances.clone());
    let answer = Answer::json(StatusCode::OK, &Body { instances, servers, total });
    Ok(answer.with_rows(count, total as u64))
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
