//! The audit policies in force: how long the files of each instance are listed. A policy is what
//! the log's newest record of a change says; there is no other copy that could differ.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, RwLock};

use event::query::{Dimension, Filter, Order, Query};
use event::{Time, Trail};
use store::{AuditFile, Log};

/// Name of a change of a policy, on Daybook's own trail too.
pub const CHANGE: &str = "taurusdb.SetAuditLogPolicy";

/// Most days that a policy lists files for.
pub const KEEP_DAYS_MAX: u64 = 732;
/// Actions that a database audits on demand (the vendor's console lists these).
pub const ACTIONS: [&str; 34] = [
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

/// Time for which files are listed, and the actions that the database audits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// 0 switches the policy off.
    pub keep_days: u64,
    /// Whether files stay listed while the policy is off.
    pub reserve_audit_logs: bool,
    pub audit_types: Vec<String>,
}

impl Default for Policy {
    /// The policy of an instance for which nobody set any: the longest that a policy can say.
    fn default() -> Self {
        Policy { keep_days: KEEP_DAYS_MAX, reserve_audit_logs: true, audit_types: Vec::new() }
    }
}

impl Policy {
    /// Whether a listing at this moment still shows the file. Its events stay in the log all the
    /// same.
    fn lists(&self, file: &AuditFile, now: Time) -> bool {
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
    /// The damage that hides changes of policies, if there is any.
    hidden_by: Option<String>,
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
                filters: vec![Filter::is(Dimension::Action, CHANGE)],
                order: Order::Ascending,
                offset,
                limit: LOADED_AT_ONCE,
                ..Query::of(own.clone())
            };
            let page = match log.query(&query) {
                // The start goes on, and requests that need a policy report the damage.
                Err(why) if why.is_unreadable() => {
                    return Ok(Policies {
                        hidden_by: Some(why.to_string()),
                        ..Policies::default()
                    });
                }
                page => page?,
            };
            let count = page.rows.len();
            for row in page.rows {
                let entry = row.entry;
                let changed = read(&entry.event.attributes);
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
                return Ok(Policies { in_force: RwLock::new(in_force), ..Policies::default() });
            }
        }
    }

    /// Errs when damage hides which policies are in force.
    pub fn known(&self) -> Result<&Policies, store::Error> {
        match &self.hidden_by {
            Some(why) => Err(store::Error::damage("segments", 0, why.as_str())),
            None => Ok(self),
        }
    }

    /// The policy that was set for an instance.
    pub fn of(&self, trail: &Trail) -> Option<Policy> {
        self.in_force.read().expect("no panic while held").get(&trail.to_string()).cloned()
    }

    /// Changes the policy of an instance: `change` makes the new one from the old one and records
    /// it. An error leaves the old one in force.
    pub fn change<E>(
        &self,
        trail: &Trail,
        change: impl FnOnce(Policy) -> Result<Policy, E>,
    ) -> Result<(), E> {
        let _changing = self.changing.lock().expect("no panic while held");
        let policy = change(self.of(trail).unwrap_or_default())?;
        self.in_force.write().expect("no panic while held").insert(trail.to_string(), policy);
        Ok(())
    }

    /// Whether a listing at this moment shows a file. All are shown until someone sets a policy.
    pub fn lists(&self, file: &AuditFile, now: Time) -> bool {
        self.of(&file.trail).is_none_or(|policy| policy.lists(file, now))
    }
}

/// Reads the policy from the record of a change.
fn read(attributes: &BTreeMap<String, String>) -> Option<Policy> {
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
