//! Permissions of grants: roles, and single actions by the vendor's names.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An action of a request on a trail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    SwrGetAuditLogs,
    SwrListInstances,
    ArtifactReadRepository,
    ArtifactListRepositories,
    TaurusListAuditLogs,
    TaurusSetAuditPolicy,
    TaurusListInstances,
    TaurusGetInstance,
    HcsListAuditLogs,
    DbssListOperationLogs,
    DbssListInstances,
    ReadEvents,
    WriteEvents,
    ReadEvidence,
    ReadSources,
    ManageSources,
}

/// The kind of right that an action needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Right {
    Read,
    Write,
    Manage,
    Prove,
}

impl Action {
    /// Every action.
    pub const ALL: [Action; 16] = [
        Action::SwrGetAuditLogs,
        Action::SwrListInstances,
        Action::ArtifactReadRepository,
        Action::ArtifactListRepositories,
        Action::TaurusListAuditLogs,
        Action::TaurusSetAuditPolicy,
        Action::TaurusListInstances,
        Action::TaurusGetInstance,
        Action::HcsListAuditLogs,
        Action::DbssListOperationLogs,
        Action::DbssListInstances,
        Action::ReadEvents,
        Action::WriteEvents,
        Action::ReadEvidence,
        Action::ReadSources,
        Action::ManageSources,
    ];

    /// The vendor's name where the vendor's pages have one, otherwise a name in the same form
    /// (`docs/access.md` says which).
    pub const fn as_str(self) -> &'static str {
        match self {
            Action::SwrGetAuditLogs => "swr:instance:getAuditLogs",
            Action::SwrListInstances => "swr:instance:list",
            Action::ArtifactReadRepository => "codeartsartifact:repository:read",
            Action::ArtifactListRepositories => "codeartsartifact:repository:list",
            Action::TaurusListAuditLogs => "gaussdbformysql:auditlog:list",
            Action::TaurusSetAuditPolicy => "gaussdbformysql:auditlog:operate",
            Action::TaurusListInstances => "gaussdbformysql:instance:list",
            Action::TaurusGetInstance => "gaussdbformysql:instance:get",
            Action::HcsListAuditLogs => "hcs:cloudAuditlog:list",
            Action::DbssListOperationLogs => "dbss:auditInstance:getOperateLog",
            Action::DbssListInstances => "dbss:auditInstance:list",
            Action::ReadEvents => "daybook:events:read",
            Action::WriteEvents => "daybook:events:write",
            Action::ReadEvidence => "daybook:evidence:read",
            Action::ReadSources => "daybook:sources:read",
            Action::ManageSources => "daybook:sources:manage",
        }
    }

    const fn right(self) -> Right {
        match self {
            Action::WriteEvents => Right::Write,
            Action::ReadEvidence => Right::Prove,
            Action::TaurusSetAuditPolicy | Action::ManageSources => Right::Manage,
            _ => Right::Read,
        }
    }
}

/// A permission on the trails of a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// List and read, download audit log files.
    Reader,
    /// Send events.
    Writer,
    /// The rights of a reader, and reading the evidence.
    Auditor,
    /// Every right: those of a reader and a writer, and changing policies.
    Admin,
    /// One action alone.
    Action(Action),
}

impl Permission {
    const ROLES: [Permission; 4] =
        [Permission::Reader, Permission::Writer, Permission::Auditor, Permission::Admin];

    /// Whether the permission covers the action.
    pub fn allows(self, action: Action) -> bool {
        match self {
            Permission::Reader => action.right() == Right::Read,
            Permission::Auditor => matches!(action.right(), Right::Read | Right::Prove),
            Permission::Writer => action.right() == Right::Write,
            Permission::Admin => true,
            Permission::Action(only) => only == action,
        }
    }

    /// Word in `access.toml` and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Permission::Reader => "reader",
            Permission::Writer => "writer",
            Permission::Auditor => "auditor",
            Permission::Admin => "admin",
            Permission::Action(action) => action.as_str(),
        }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Permission {
    type Err = String;

    fn from_str(text: &str) -> Result<Permission, String> {
        Permission::ROLES
            .into_iter()
            .chain(Action::ALL.map(Permission::Action))
            .find(|permission| permission.as_str() == text)
            .ok_or_else(|| {
                let actions = Action::ALL.map(Action::as_str).join(", ");
                format!(
                    "{text:?} is no role; use reader, writer, auditor, admin, or one action of \
                     {actions}"
                )
            })
    }
}

impl Serialize for Permission {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Permission {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Permission, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_round_trip() {
        for text in [
            "reader",
            "writer",
            "auditor",
            "admin",
            "swr:instance:getAuditLogs",
            "daybook:events:write",
        ] {
            assert_eq!(text.parse::<Permission>().map(Permission::as_str), Ok(text));
        }
        assert!("emperor".parse::<Permission>().is_err());
    }

    #[test]
    fn roles_allow_what_they_say() {
        let allowed = |permission: Permission| {
            Action::ALL.into_iter().filter(|a| permission.allows(*a)).count()
        };
        assert_eq!(allowed(Permission::Admin), Action::ALL.len());
        assert_eq!(allowed(Permission::Writer), 1);
        assert_eq!(allowed(Permission::Reader), Action::ALL.len() - 4);
        assert_eq!(allowed(Permission::Auditor), Action::ALL.len() - 3);
        assert_eq!(allowed(Permission::Action(Action::SwrGetAuditLogs)), 1);
        assert!(!Permission::Reader.allows(Action::TaurusSetAuditPolicy));
        assert!(!Permission::Auditor.allows(Action::WriteEvents));
        assert!(!Permission::Writer.allows(Action::SwrGetAuditLogs));
    }
}
