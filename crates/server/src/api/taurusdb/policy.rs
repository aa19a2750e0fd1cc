//! The audit policy of an instance: how long its files are listed. A policy is what the log's
//! newest record of a change says; there is no other copy that could differ.

use std::collections::HashMap;
use std::sync::{Mutex, RwLock};

use event::query::{Dimension, Filter, Order, Query};
use event::{Operation as Done, Time, Trail};
use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use store::{AuditFile, Log};

use super::error::Error;
use super::{Context, Note, Operation};
use intake::audit::Act;
use net::{self, Request, Response};

const KEEP_DAYS_MAX: u64 = 732;
/// What a database can be told to audit (the vendor's console lists these).
const ACTIONS: [&str; 34] = [
    "CREATE_USER",
    "DROP_USER",
    "RENAME_USER",
    "GRANT",
    "REVOKE",
    "ALTER_USER",
    "ALTER_USER_DEFAULT_ROLE",
    "CREATE",
    "ALTER",
    "DROP",
    "RENAME",
    "TRUNCATE",
    "REPAIR",
    "OPTIMIZE",
    "INSERT",
    "DELETE",
    "UPDATE",
    "REPLACE",
    "SELECT",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "PREPARED_STATEMENT",
    "CALL_PROCEDURE",
    "KILL",
    "SET_OPTION",
    "CHANGE_DB",
    "UNINSTALL_PLUGIN",
    "INSTALL_PLUGIN",
    "SHUTDOWN",
    "LOCK_TABLES",
    "UNLOCK_TABLES",
    "FLUSH",
    "XA",
];

/// How long files are listed, and what the database was told to audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// 0 switches the policy off.
    keep_days: u64,
    /// Whether files stay listed while the policy is off.
    reserve_audit_logs: bool,
    audit_types: Vec<String>,
}

impl Default for Policy {
    /// What is told of an instance for which nobody decided anything: the longest that can be said.
    fn default() -> Self {
        Policy { keep_days: KEEP_DAYS_MAX, reserve_audit_logs: true, audit_types: Vec::new() }
    }
}

impl Policy {
    /// Whether a listing at this moment still shows the file. The events in it stay in the log all
    /// the same.
    fn keeps(&self, file: &AuditFile, now: Time) -> bool {
        match self.keep_days {
            0 => self.reserve_audit_logs,
            days => file.end >= now.plus_seconds(-(days.cast_signed() * 24 * 60 * 60)),
        }
    }
}

/// The policies in force.
#[derive(Default)]
pub struct Policies {
    in_force: RwLock<HashMap<String, Policy>>,
    /// Held from before a change is recorded until it is in force, so that the last one recorded is
    /// the one in force.
    changing: Mutex<()>,
}

/// Rows read at once when policies are loaded.
const LOADED_AT_ONCE: usize = 1000;

impl Policies {
    /// Reads every change of a policy from Daybook's own trail.
    pub fn load(log: &Log, own: &Trail) -> Result<Policies, store::Error> {
        // The newest is the one recorded last; the clock that its time is from may have stepped
        // back.
        let mut newest: HashMap<String, (u64, Policy)> = HashMap::new();
        let mut offset = 0;
        loop {
            let query = Query {
                filters: vec![Filter::is(Dimension::Action, Operation::SetAuditLogPolicy.name())],
                order: Order::Ascending,
                offset,
                limit: LOADED_AT_ONCE,
                ..Query::of(own.clone())
            };
            let page = log.query(&query)?;
            let count = page.rows.len();
            for row in page.rows {
                let entry = row.entry;
                let changed = recorded(&entry.event.attributes);
                if let (Some(trail), Some(policy)) = (entry.event.resource.name, changed)
                    && newest.get(&trail).is_none_or(|(number, _)| *number < entry.number)
                {
                    newest.insert(trail, (entry.number, policy));
                }
            }
            offset += count as u64;
            if count == 0 {
                let in_force =
                    newest.into_iter().map(|(trail, (_, policy))| (trail, policy)).collect();
                return Ok(Policies {
                    in_force: RwLock::new(in_force),
                    changing: Mutex::default(),
                });
            }
        }
    }

    /// The policy that someone set for an instance.
    pub fn of(&self, trail: &Trail) -> Option<Policy> {
        self.in_force.read().expect("no panic while held").get(&trail.to_string()).cloned()
    }

    /// Whether a listing at this moment shows a file. Until someone decides otherwise, all are
    /// shown.
    pub fn keep(&self, file: &AuditFile, now: Time) -> bool {
        self.of(&file.trail).is_none_or(|policy| policy.keeps(file, now))
    }
}

/// The policy that a recorded change made.
fn recorded(attributes: &std::collections::BTreeMap<String, String>) -> Option<Policy> {
    Some(Policy {
        keep_days: attributes.get("keep_days")?.parse().ok()?,
        reserve_audit_logs: attributes.get("reserve_audit_logs")? == "true",
        audit_types: attributes
            .get("audit_types")?
            .split(',')
            .filter(|one| ACTIONS.contains(one))
            .map(str::to_owned)
            .collect(),
    })
}

pub(super) fn show(trail: &Trail, context: &Context<'_>) -> Response {
    let policy = context.shared.policies.of(trail).unwrap_or_default();
    let body = Shown {
        keep_days: policy.keep_days,
        audit_types: policy.audit_types,
        all_audit_log_action: ACTIONS.join(","),
    };
    net::json(StatusCode::OK, &body)
}

#[derive(Serialize)]
struct Shown {
    keep_days: u64,
    audit_types: Vec<String>,
    all_audit_log_action: String,
}

pub(super) fn set(
    trail: &Trail,
    request: &Request,
    context: &Context<'_>,
    note: &mut Note,
) -> Result<Response, Error> {
    let policies = &context.shared.policies;
    let _changing = policies.changing.lock().expect("no panic while held");
    let policy = wanted(&request.body, policies.of(trail).unwrap_or_default())?;
    let job_id = system::random_hex::<16>();
    let act = Act::new(Operation::SetAuditLogPolicy.name(), Done::Update, "Audit policy")
        .by(note.who.clone())
        .on("audit policy", &trail.to_string())
        .with("keep_days", policy.keep_days.to_string())
        .with("reserve_audit_logs", policy.reserve_audit_logs.to_string())
        .with("audit_types", policy.audit_types.join(","))
        .with("job_id", &job_id);
    let description = format!("audit log files are listed for {} days", policy.keep_days);
    let act = Act { description: Some(description), ..act };
    context.shared.audit.record_now(act).map_err(Error::Unrecorded)?;
    note.is_recorded = true;
    policies.in_force.write().expect("no panic while held").insert(trail.to_string(), policy);
    Ok(net::json(StatusCode::OK, &Completed { result: "COMPLETED", job_id }))
}

#[derive(Serialize)]
struct Completed {
    result: &'static str,
    job_id: String,
}

#[derive(Deserialize)]
struct Wanted {
    keep_days: u64,
    reserve_audit_logs: Option<bool>,
    audit_types: Option<Vec<String>>,
}

/// What a request wants; what it does not name stays as it was.
fn wanted(body: &[u8], before: Policy) -> Result<Policy, Error> {
    let wanted: Wanted = serde_json::from_slice(body).map_err(|_| Error::InvalidParameter)?;
    let mut types: Vec<String> = Vec::new();
    for one in wanted.audit_types.unwrap_or(before.audit_types) {
        if !types.contains(&one) {
            types.push(one);
        }
        if types.len() > ACTIONS.len() {
            return Err(Error::InvalidParameter);
        }
    }
    if wanted.keep_days > KEEP_DAYS_MAX || !types.iter().all(|one| ACTIONS.contains(&one.as_str()))
    {
        return Err(Error::InvalidParameter);
    }
    Ok(Policy {
        keep_days: wanted.keep_days,
        reserve_audit_logs: wanted.reserve_audit_logs.unwrap_or(before.reserve_audit_logs),
        audit_types: types,
    })
}

/// Whether a body is a policy; for fuzz targets.
pub fn is_policy(body: &[u8]) -> bool {
    wanted(body, Policy::default()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_has_the_ranges_of_the_page() {
        let wanted = |body: &str| wanted(body.as_bytes(), Policy::default()).ok();
        let kept = |keep_days, reserve_audit_logs, audit_types: &[&str]| {
            let audit_types = audit_types.iter().map(|one| (*one).to_owned()).collect();
            Some(Policy { keep_days, reserve_audit_logs, audit_types })
        };
        assert_eq!(wanted(r#"{"keep_days":7}"#), kept(7, true, &[]));
        assert_eq!(
            wanted(
                r#"{"keep_days":0,"reserve_audit_logs":false,"audit_types":["DROP_USER"],"x":1}"#
            ),
            kept(0, false, &["DROP_USER"])
        );
        for wrong in [
            "",
            "{}",
            "[]",
            r#"{"keep_days":733}"#,
            r#"{"keep_days":-1}"#,
            r#"{"keep_days":"7"}"#,
            r#"{"keep_days":7.5}"#,
            r#"{"keep_days":7,"audit_types":["x"]}"#,
            r#"{"keep_days":7,"audit_types":"DROP"}"#,
            r#"{"keep_days":7,"reserve_audit_logs":"true"}"#,
        ] {
            assert_eq!(wanted(wrong), None, "{wrong}");
        }
    }
}
