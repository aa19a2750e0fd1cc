//! TaurusDB: audit log files of database instances, links to download them, and the audit policy.
//!
//! `GET /v3/{project_id}/instances/{instance_id}/audit-logs` (`ListAuditLogs`),
//! <https://support.huaweicloud.com/intl/en-us/api-taurusdb/ListAuditLogs.html>. A file is a range
//! of a database's trail (`store::AuditFile`). `docs/api/taurusdb.md` lists what is implemented and
//! every choice the pages leave open.

mod download;
mod error;
mod files;
mod instances;
pub mod policies;
mod policy;

use event::{Service, Trail};
use hyper::Method;

use super::{Api, ApiError, Call, Refusal, Route, authorise};
use access::rights::Action;
use error::Error;
pub use {download::asks_for_links, files::page_of, policy::is_policy};

pub static API: Api = Api { name: "taurusdb", routes: &ROUTES, render_error: error::render };

static ROUTES: [Route; 9] = [
    Route {
        method: Method::GET,
        path: "/v3/{project_id}/instances/{instance_id}/audit-logs",
        name: "taurusdb.ListAuditLogs",
        needs: Some(Action::TaurusListAuditLogs),
        handler: files::list,
    },
    Route {
        method: Method::POST,
        path: "/v3/{project_id}/instances/{instance_id}/audit-log-link",
        name: "taurusdb.ShowAuditLogDownloadLink",
        needs: Some(Action::TaurusListAuditLogs),
        handler: download::links,
    },
    Route {
        method: Method::GET,
        path: "/v3/{project_id}/instances/{instance_id}/audit-log-policy",
        name: "taurusdb.ShowAuditLogPolicy",
        needs: Some(Action::TaurusListAuditLogs),
        handler: policy::show,
    },
    Route {
        method: Method::PUT,
        path: "/v3/{project_id}/instances/{instance_id}/audit-log-policy",
        name: policies::CHANGE,
        needs: Some(Action::TaurusSetAuditPolicy),
        handler: policy::set,
    },
    Route {
        method: Method::GET,
        path: "/v3/{project_id}/instances",
        name: "taurusdb.ListGaussMySqlInstances",
        needs: Some(Action::TaurusListInstances),
        handler: instances::list,
    },
    Route {
        method: Method::GET,
        path: "/v3.1/{project_id}/instances",
        name: "taurusdb.ListGaussMySqlInstances",
        needs: Some(Action::TaurusListInstances),
        handler: instances::list,
    },
    Route {
        method: Method::GET,
        path: "/v3/{project_id}/instances/{instance_id}",
        name: "taurusdb.ShowGaussMySqlInstanceInfo",
        needs: Some(Action::TaurusGetInstance),
        handler: instances::show,
    },
    Route {
        method: Method::GET,
        path: "/v3.1/{project_id}/instances/{instance_id}",
        name: "taurusdb.ShowGaussMySqlInstanceInfo",
        needs: Some(Action::TaurusGetInstance),
        handler: instances::show,
    },
    // A signed link stands instead of credentials.
    Route {
        method: Method::GET,
        path: "/audit-log-files/{file_id}/{name}",
        name: "taurusdb.DownloadAuditLog",
        needs: None,
        handler: download::download,
    },
];

/// The trail of the path's instance, if the caller may do to it what the route does. An id that
/// names a trail is right whatever its form; only unknown ids are distinguished by it.
fn authorise_instance(call: &Call<'_>) -> Result<Trail, Refusal> {
    let [project, instance] = call.path();
    let caller = call.caller()?;
    match authorise(call, caller, Service::Database, project, instance) {
        Ok(trail) => Ok(trail),
        Err(ApiError::NoSuchTrail) if !has_vendors_form(instance) => {
            Err(Error::InvalidInstanceId.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// 36 letters and digits, the last four of which are `in` and two digits in all ids that the vendor
/// makes.
fn has_vendors_form(instance: &str) -> bool {
    instance.len() == 36 && instance.bytes().all(|byte| byte.is_ascii_alphanumeric())
}
