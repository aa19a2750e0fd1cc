//! Domains, projects, users, tokens, and callers with their rights.

use event::{Service, Time, Trail, TrailPattern};

use crate::rights::{Action, Permission};

/// A domain (account, tenant).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    pub id: String,
    pub name: String,
}

/// A project: what vendors' clients call by id, and by name where they only know a region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    pub id: String,
    pub name: String,
    pub tenant: String,
}

/// Someone who may show credentials.
#[derive(Debug, Clone)]
pub struct User {
    pub id: String,
    pub name: String,
    pub domain: String,
    pub(crate) enabled: bool,
    pub(crate) password: Option<String>,
    pub(crate) grants: Vec<(Permission, TrailPattern)>,
}

/// A token that was handed out.
#[derive(Debug, Clone)]
pub struct Token {
    pub id: String,
    pub user: String,
    pub scope: Scope,
    pub methods: Vec<String>,
    pub issued_at: Time,
    pub expires_at: Time,
}

/// What a credential is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All that its user may do.
    User,
    /// That, within one project.
    Project(String),
    /// That, within one domain's projects.
    Domain(String),
}

/// A user behind a request, and how far the credential goes.
#[derive(Debug, Clone)]
pub struct Caller<'a> {
    pub user: &'a User,
    pub scope: Scope,
}

impl Caller<'_> {
    /// Whether the caller may do anything in this project.
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

    /// Whether the caller may do this to the trail.
    pub fn may(&self, action: Action, trail: &Trail) -> bool {
        let grants = || self.user.grants.iter().filter(|(_, pattern)| pattern.matches(trail));
        self.is_within(trail.tenant(), trail.project())
            && grants().any(|(permission, _)| permission.allows(action))
    }

    /// Whether the caller may do this to some trail that this tenant has, or could have.
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

    /// The permissions the user was granted, each once.
    pub fn permissions(&self) -> Vec<Permission> {
        let mut found: Vec<Permission> = Vec::new();
        for (permission, _) in &self.grants {
            if !found.contains(permission) {
                found.push(*permission);
            }
        }
        found
    }
}
