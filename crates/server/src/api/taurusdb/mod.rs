//! TaurusDB: audit log files of database instances, links to download them, and the audit policy.
//!
//! `GET /v3/{project_id}/instances/{instance_id}/audit-logs` (`ListAuditLogs`),
//! <https://support.huaweicloud.com/intl/en-us/api-taurusdb/ListAuditLogs.html>. A file is a range
//! of a database's trail (`store::AuditFile`). `docs/api/taurusdb.md` lists what is implemented and
//! every choice the pages leave open.

mod authorise;
mod download;
mod error;
mod files;
mod instances;
mod policy;

use hyper::Method;

use super::{Api, Route};
use crate::audit_policies;
use access::rights::Action;
pub use {download::asks_for_links, files::page_of, policy::is_policy};

pub static API: Api =
    Api { name: "taurusdb", routes: &ROUTES, is_own: false, render_error: error::render };

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
        name: audit_policies::CHANGE,
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
