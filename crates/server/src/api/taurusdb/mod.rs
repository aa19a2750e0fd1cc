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
mod policy;

use event::{Service, Trail};
use hyper::Method;

use crate::state::{Context, Note};
use access::Caller;
use access::rights::Action;
pub use download::{Download, open as open_download};
use error::Error;
use net::{Request, Response};
pub use policy::Policies;
pub use {download::asks_for_links, files::page_of, policy::is_policy};

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    ListAuditLogs,
    ShowAuditLogDownloadLink,
    ShowAuditLogPolicy,
    SetAuditLogPolicy,
    ListInstances,
    ShowInstance,
}

/// The routes of this API.
pub const ROUTES: [(Method, &str, Operation); 8] = [
    (Method::GET, "/v3/{project_id}/instances/{instance_id}/audit-logs", Operation::ListAuditLogs),
    (
        Method::POST,
        "/v3/{project_id}/instances/{instance_id}/audit-log-link",
        Operation::ShowAuditLogDownloadLink,
    ),
    (
        Method::GET,
        "/v3/{project_id}/instances/{instance_id}/audit-log-policy",
        Operation::ShowAuditLogPolicy,
    ),
    (
        Method::PUT,
        "/v3/{project_id}/instances/{instance_id}/audit-log-policy",
        Operation::SetAuditLogPolicy,
    ),
    (Method::GET, "/v3/{project_id}/instances", Operation::ListInstances),
    (Method::GET, "/v3.1/{project_id}/instances", Operation::ListInstances),
    (Method::GET, "/v3/{project_id}/instances/{instance_id}", Operation::ShowInstance),
    (Method::GET, "/v3.1/{project_id}/instances/{instance_id}", Operation::ShowInstance),
];

/// Where files are downloaded, with a signed link instead of credentials.
pub const DOWNLOAD_ROUTE: &str = "/audit-log-files/{file_id}/{name}";

impl Operation {
    /// The vendor's name of the operation.
    pub const fn name(self) -> &'static str {
        match self {
            Operation::ListAuditLogs => "taurusdb.ListAuditLogs",
            Operation::ShowAuditLogDownloadLink => "taurusdb.ShowAuditLogDownloadLink",
            Operation::ShowAuditLogPolicy => "taurusdb.ShowAuditLogPolicy",
            Operation::SetAuditLogPolicy => "taurusdb.SetAuditLogPolicy",
            Operation::ListInstances => "taurusdb.ListGaussMySqlInstances",
            Operation::ShowInstance => "taurusdb.ShowGaussMySqlInstanceInfo",
        }
    }

    /// The right that it needs.
    pub const fn needs(self) -> Action {
        match self {
            Operation::ListAuditLogs
            | Operation::ShowAuditLogPolicy
            | Operation::ShowAuditLogDownloadLink => Action::TaurusListAuditLogs,
            Operation::SetAuditLogPolicy => Action::TaurusSetAuditPolicy,
            Operation::ListInstances => Action::TaurusListInstances,
            Operation::ShowInstance => Action::TaurusGetInstance,
        }
    }
}

/// Answers a request; `path` is the path's parameters.
pub fn answer(
    operation: Operation,
    path: &[String],
    request: &Request,
    context: &Context<'_>,
    note: &mut Note,
) -> Response {
    let answered = match path {
        [project] => instances::list(project, request, context, note),
        [project, instance] => on_instance(operation, project, instance, request, context, note),
        _ => unreachable!("routes have as many parameters as their operations"),
    };
    answered.unwrap_or_else(|error| error.render(&request.id))
}

fn on_instance(
    operation: Operation,
    project: &str,
    instance: &str,
    request: &Request,
    context: &Context<'_>,
    note: &mut Note,
) -> Result<Response, Error> {
    let caller = context.caller(request, note).map_err(Error::Unauthenticated)?;
    let trail = authorise(operation, project, instance, &caller, context)?;
    note.resource = trail.to_string();
    match operation {
        Operation::ListAuditLogs => files::list(&trail, &caller, request, context, note),
        Operation::ShowAuditLogDownloadLink => download::links(&trail, request, context, note),
        Operation::ShowAuditLogPolicy => Ok(policy::show(&trail, context)),
        Operation::SetAuditLogPolicy => policy::set(&trail, request, context, note),
        Operation::ListInstances | Operation::ShowInstance => Ok(instances::show(&trail, context)),
    }
}

/// An id that names a trail is right whatever its form; only an unknown one is told apart by it.
fn authorise(
    operation: Operation,
    project: &str,
    instance: &str,
    caller: &Caller<'_>,
    context: &Context<'_>,
) -> Result<Trail, Error> {
    let project = context.project(project, caller).ok_or(Error::Forbidden)?;
    let unknown = || {
        if has_vendors_form(instance) { Error::NoSuchInstance } else { Error::InvalidInstanceId }
    };
    let trail = Trail::new(Service::Database, &project.tenant, &project.id, instance)
        .map_err(|_| unknown())?;
    if !context.exists(&trail) || !caller.sees(&trail) {
        return Err(unknown());
    }
    if caller.may(operation.needs(), &trail) { Ok(trail) } else { Err(Error::Forbidden) }
}

/// 36 letters and digits, the last four of which are `in` and two digits in all ids that the vendor
/// makes.
fn has_vendors_form(instance: &str) -> bool {
    instance.len() == 36 && instance.bytes().all(|byte| byte.is_ascii_alphanumeric())
}
