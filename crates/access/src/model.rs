//! Domains, projects, users, tokens, and callers with their rights.

use event::{Service, Time, Trail, TrailPattern};

use crate::rights::{Action, Permission};

/// A domain (account, tenant).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    pub id: String,
    pub name: String,
}

/// A project. Vendors' clients name it by id, or by name where they only know a region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    pub id: String,
    pub name: String,
    pub tenant: String,
}

/// A user, who has credentials and grants.
#[derive(Debug, Clone)]
pub struct User {
    pub id: String,
    pub name: String,
    pub domain: String,
    pub(crate) enabled: bool,
    pub(crate) password: Option<String>,
    pub(crate) grants: Vec<(Permission, TrailPattern)>,
}

/// An issued token.
#[derive(Debug, Clone)]
pub struct Token {
    pub id: String,
    pub user: String,
    pub scope: Scope,
    pub methods: Vec<String>,
    pub issued_at: Time,
    pub expires_at: Time,
}

/// The method of a token that is the code of a link: good once, for a session, and nothing else.
pub const LINK: &str = "link";
/// The method of a token that is a browser's session: good as a cookie alone.
pub const SESSION: &str = "session";

impl Token {
    /// Whether it is the code of a link.
    pub fn is_link(&self) -> bool {
        self.methods.iter().any(|method| method == LINK)
    }

    /// Whether it is a browser's session.
    pub fn is_session(&self) -> bool {
        self.methods.iter().any(|method| method == SESSION)
    }
}

/// How far the rights of a credential reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All rights of its user.
    User,
    /// The rights within one project.
    Project(String),
    /// The rights within one domain's projects.
    Domain(String),
}

/// The user behind a request, with the scope of the credential.
#[derive(Debug, Clone)]
pub struct Caller<'a> {
    pub user: &'a User,
    pub scope: Scope,
}

impl Caller<'_> {
    /// Whether the caller has any right in this project.
    pub fn reaches(&self, project: &Project) -> bool {
        self.is_within(&project.tenant, &project.id)
            && self
                .user
                .grants
                .iter()
                .any(|(_, pattern)| pattern.reaches_project(&project.tenant, &project.id))
    }

    /// Whether the trail exists for the caller.
    pub fn sees(&self, trail: &Trail) -> bool {
        self.is_within(trail.tenant(), trail.project())
            && self.user.grants.iter().any(|(_, pattern)| pattern.matches(trail))
    }

    /// Whether the caller may do this action on the trail.
    pub fn may(&self, action: Action, trail: &Trail) -> bool {
        let grants = || self.user.grants.iter().filter(|(_, pattern)| pattern.matches(trail));
        self.is_within(trail.tenant(), trail.project())
            && grants().any(|(permission, _)| permission.allows(action))
    }

    /// Whether the caller may do this action on some trail that this tenant has or could have.
    pub fn may_somewhere(&self, action: Action, service: Service, tenant: &str) -> bool {
        self.user.grants.iter().any(|(permission, trails)| {
            permission.allows(action) && trails.reaches_service(service, tenant)
        })
    }

    fn is_within(&self, tenant: &str, project: &str) -> bool {
        match &self.scope {
            Scope::User => true,
            Scope::Project(only) => only == project,
            Scope::Domain(only) => only == tenant,
        }
    }
}

impl User {
    pub fn password_hash(&self) -> Option<&str> {
        self.password.as_deref()
    }

    /// What the user is granted, and on which trails, in the order of the grants.
    pub fn grants(&self) -> impl Iterator<Item = (Permission, &TrailPattern)> {
        self.grants.iter().map(|(permission, trails)| (*permission, trails))
    }

    /// The user's permissions, each once.
    pub fn permissions(&self) -> Vec<Permission> {
        let mut permissions: Vec<Permission> = Vec::new();
        for (permission, _) in &self.grants {
            if !permissions.contains(permission) {
                permissions.push(*permission);
            }
        }
        permissions
    }
}
