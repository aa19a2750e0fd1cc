//! Who may ask what.
//!
//! Domains, projects, users, access keys, tokens, app codes and grants live in `access.toml` of the
//! data directory ([`file`]), written by `daybook access` and, for tokens, by the server. The
//! server keeps them in memory and follows the file; a change is in force once the log has a record
//! of it. A caller may do to a trail what one of the user's grants covers; a trail without any
//! grant does not exist for that caller.

pub mod attempts;
mod error;
pub mod file;
pub mod password;
pub mod rights;
mod secrets;
pub mod signature;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};
use std::time::SystemTime;

use event::{Service, Time, Trail, TrailPattern};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

pub use error::Error;
use file::{AccessFile, Change, TokenEntry};
use rights::{Action, Permission};
pub use secrets::{SealingKey, Secret};

/// Everyone's rights at one moment.
#[derive(Default)]
pub struct Snapshot {
    domains: Vec<Domain>,
    projects: HashMap<String, Project>,
    users: HashMap<String, User>,
    keys: HashMap<String, AccessKey>,
    tokens: HashMap<[u8; 32], Token>,
    app_codes: Vec<[u8; 32]>,
}

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
    enabled: bool,
    password: Option<String>,
    grants: Vec<(Permission, TrailPattern)>,
}

struct AccessKey {
    user: String,
    secret: Secret,
    enabled: bool,
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

impl Snapshot {
    /// Reads a version of the file, with Daybook's own project beside those it names. Errs on the
    /// first thing that cannot be right.
    pub fn of(
        file: &AccessFile,
        sealing_key: &SealingKey,
        own: &Trail,
    ) -> Result<Snapshot, String> {
        let mut snapshot = Snapshot::default();
        for domain in &file.domain {
            snapshot.domains.push(Domain { id: domain.id.clone(), name: domain.name.clone() });
        }
        let own_project = Project {
            id: own.project().to_owned(),
            name: own.tenant().to_owned(),
            tenant: own.tenant().to_owned(),
        };
        snapshot.projects.insert(own_project.id.clone(), own_project);
        for project in &file.project {
            let (id, name, tenant) =
                (project.id.clone(), project.name.clone(), project.tenant.clone());
            snapshot.projects.insert(id.clone(), Project { id, name, tenant });
        }
        for user in &file.user {
            let user = User {
                id: user.id.clone(),
                name: user.name.clone(),
                domain: user.domain.clone().unwrap_or_else(|| own.tenant().to_owned()),
                enabled: user.enabled,
                password: user.password.clone(),
                grants: Vec::new(),
            };
            snapshot.users.insert(user.id.clone(), user);
        }
        for grant in &file.grant {
            let pattern =
                grant.trails.parse().map_err(|error: event::InvalidTrail| error.to_string())?;
            let user = snapshot
                .users
                .get_mut(&grant.user)
                .ok_or_else(|| format!("a grant names user {}, who does not exist", grant.user))?;
            user.grants.push((grant.role, pattern));
        }
        for key in &file.access_key {
            let secret = sealing_key.open(&key.id, &key.sealed_secret).ok_or_else(|| {
                format!(
                    "the secret of access key {} was not sealed with this directory's key",
                    key.id
                )
            })?;
            let entry = AccessKey { user: key.user.clone(), secret, enabled: key.enabled };
            snapshot.keys.insert(key.id.clone(), entry);
        }
        for code in &file.app_code {
            let hash = decode_hex(&code.sha256)
                .ok_or_else(|| format!("app code {} has no hash", code.name))?;
            snapshot.app_codes.push(hash);
        }
        let mut ids = HashSet::new();
        for token in &file.token {
            let id = &token.id;
            let (hash, token) =
                read_token(token).ok_or_else(|| format!("token {id} does not read"))?;
            if !ids.insert(id) {
                return Err(format!("there are two tokens {id}"));
            }
            snapshot.tokens.insert(hash, token);
        }
        snapshot.add_domains_that_are_only_named();
        Ok(snapshot)
    }

    fn add_domains_that_are_only_named(&mut self) {
        let projects = self.projects.values().map(|project| project.tenant.clone());
        let mut named: Vec<String> =
            projects.chain(self.users.values().map(|user| user.domain.clone())).collect();
        named.sort();
        for id in named {
            if !self.domains.iter().any(|domain| domain.id == id) {
                self.domains.push(Domain { name: id.clone(), id });
            }
        }
    }

    /// The secret of an access key that may be used, and whose it is.
    pub fn access_key(&self, id: &str) -> Option<(&Secret, &User)> {
        let key = self.keys.get(id).filter(|key| key.enabled)?;
        Some((&key.secret, self.user(&key.user)?))
    }

    /// The user with this id, if enabled.
    pub fn user(&self, id: &str) -> Option<&User> {
        self.users.get(id).filter(|user| user.enabled)
    }

    /// The user with this name in this domain, if enabled.
    pub fn user_named(&self, name: &str, domain: &Domain) -> Option<&User> {
        self.users
            .values()
            .find(|user| user.enabled && user.name == name && user.domain == domain.id)
    }

    /// Whether this is the user's password. Takes as long for nobody, and for users without one.
    pub fn is_password(user: Option<&User>, password: &str) -> bool {
        password::verify(password, user.and_then(|user| user.password.as_deref()))
    }

    /// What a token text stands for, expired or not.
    pub fn token(&self, text: &str) -> Option<(&Token, &User)> {
        let hash: [u8; 32] = Sha256::digest(text).into();
        let token = self.tokens.get(&hash)?;
        Some((token, self.user(&token.user)?))
    }

    /// Whether the text is one of the app codes.
    pub fn is_app_code(&self, text: &str) -> bool {
        let hash: [u8; 32] = Sha256::digest(text).into();
        self.app_codes.iter().any(|code| bool::from(code.ct_eq(&hash)))
    }

    pub fn project(&self, id: &str) -> Option<&Project> {
        self.projects.get(id)
    }

    /// The domain with this id; every project's and user's domain is one.
    pub fn domain(&self, id: &str) -> Option<&Domain> {
        self.domains.iter().find(|domain| domain.id == id)
    }

    /// The domain with this name.
    pub fn domain_named(&self, name: &str) -> Option<&Domain> {
        self.domains.iter().find(|domain| domain.name == name)
    }

    /// Projects of that name (or all) in which the caller may do something, by id.
    pub fn projects_of(&self, caller: &Caller<'_>, name: Option<&str>) -> Vec<&Project> {
        let mut found: Vec<&Project> = self
            .projects
            .values()
            .filter(|project| {
                name.is_none_or(|name| name == project.name) && caller.reaches(project)
            })
            .collect();
        found.sort_by(|a, b| a.id.cmp(&b.id));
        found
    }
}

/// The bytes of a hash in hex.
fn decode_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    hex::decode(text).ok()?.try_into().ok()
}

fn read_token(entry: &TokenEntry) -> Option<([u8; 32], Token)> {
    let time = |text: &str| Time::parse_rfc3339(text).ok().map(|(time, _)| time);
    let scope = match (&entry.project, &entry.domain) {
        (Some(project), _) => Scope::Project(project.clone()),
        (None, Some(domain)) => Scope::Domain(domain.clone()),
        (None, None) => Scope::User,
    };
    let token = Token {
        id: entry.id.clone(),
        user: entry.user.clone(),
        scope,
        methods: entry.methods.clone(),
        issued_at: time(&entry.issued_at)?,
        expires_at: time(&entry.expires_at)?,
    };
    Some((decode_hex(&entry.sha256)?, token))
}

/// The rights in force in a running server.
pub struct Access {
    data_dir: PathBuf,
    sealing_key: SealingKey,
    own: Trail,
    current: RwLock<Arc<Snapshot>>,
    /// Held while rights change. What the file looked like when it was read last.
    following: Mutex<Option<Option<Stamp>>>,
}

/// What shows that the file was replaced; replacing always makes a new inode.
type Stamp = (u64, u64, SystemTime);

/// A version of the file that differs from the one the log has a record of.
pub struct Changed<'a> {
    pub changes: Vec<Change>,
    pub old: &'a AccessFile,
    pub new: &'a AccessFile,
}

impl Access {
    /// Takes over the rights in a data directory, once `record` has recorded what changed since a
    /// server last did. Without `access.toml` nobody has any.
    pub fn open(
        data_dir: &Path,
        own: &Trail,
        record: &dyn Fn(&Changed<'_>) -> Result<(), String>,
    ) -> Result<Access, String> {
        let access = Access {
            data_dir: data_dir.to_owned(),
            sealing_key: SealingKey::read(data_dir)?,
            own: own.clone(),
            current: RwLock::default(),
            following: Mutex::new(None),
        };
        match access.take_over(record) {
            Ok(()) => Ok(access),
            Err(NotFollowed::Unreadable(why)) => Err(why),
            Err(NotFollowed::Unrecorded(why)) => {
                Err(format!("couldn't record what changed in access.toml: {why}"))
            }
        }
    }

    /// A key for another purpose than sealing, which only this data directory has.
    pub fn derived_key(&self, purpose: &str) -> [u8; 32] {
        self.sealing_key.derived(purpose)
    }

    /// The rights in force now, from memory.
    pub fn current(&self) -> Arc<Snapshot> {
        Arc::clone(&self.current.read().expect("no panic while held"))
    }

    /// Takes over a changed file, once `record` has recorded what changed. A file that cannot be
    /// read, or whose change cannot be recorded, leaves the rights before in force; the former is
    /// reported once, the latter is tried again.
    pub fn follow(&self, record: &dyn Fn(&Changed<'_>) -> Result<(), String>) {
        let mut seen = self.following.lock().expect("no panic while held");
        let stamp = self.stamp();
        if *seen == Some(stamp) {
            return;
        }
        match self.take_over(record) {
            Ok(()) => *seen = Some(stamp),
            Err(NotFollowed::Unreadable(error)) => {
                tracing::error!(
                    error,
                    "couldn't reload access.toml; the rights before stay in force"
                );
                *seen = Some(stamp);
            }
            Err(NotFollowed::Unrecorded(error)) => {
                tracing::error!(
                    error,
                    "couldn't record a change of access.toml; the rights before stay in force"
                );
            }
        }
    }

    fn take_over(
        &self,
        record: &dyn Fn(&Changed<'_>) -> Result<(), String>,
    ) -> Result<(), NotFollowed> {
        let unreadable = |error: Error| NotFollowed::Unreadable(error.to_string());
        let new = file::read(&self.data_dir).map_err(unreadable)?;
        let snapshot = Snapshot::of(&new, &self.sealing_key, &self.own)
            .map_err(|why| NotFollowed::Unreadable(format!("access.toml: {why}")))?;
        let old = file::read_recorded(&self.data_dir).map_err(unreadable)?;
        let changes = file::changes(&old, &new, system::now());
        if !changes.is_empty() {
            record(&Changed { changes, old: &old, new: &new }).map_err(NotFollowed::Unrecorded)?;
        }
        *self.current.write().expect("no panic while held") = Arc::new(snapshot);
        if old.text() != new.text() {
            file::write_recorded(&self.data_dir, &new)
                .map_err(|error| NotFollowed::Unrecorded(error.to_string()))?;
        }
        Ok(())
    }

    /// Hands out a token, if `is_still_right` of the newest rights, and `record` has recorded why:
    /// when this returns, it is in the file and in force.
    pub fn issue_token(
        &self,
        token: &TokenEntry,
        now: Time,
        is_still_right: &dyn Fn(&AccessFile) -> bool,
        record: &dyn Fn() -> Result<(), String>,
    ) -> Result<(), NotIssued> {
        let _following = self.following.lock().expect("no panic while held");
        let undone = |failure: Error| NotIssued::Undone(failure.to_string());
        let (is_added, _) = file::change(&self.data_dir, |file| {
            let is_right = is_still_right(file);
            if is_right {
                file.add_token(token.clone(), now);
            }
            Ok(is_right)
        })
        .map_err(undone)?;
        if !is_added {
            return Err(NotIssued::NotRightAnyMore);
        }
        // In the file, and not in force. If the machine stops here, the next start records it.
        if let Err(why) = record() {
            let taken_back = file::change(&self.data_dir, |file| file.revoke_tokens(&token.id));
            return Err(NotIssued::Undone(
                taken_back.map_or_else(|failure| failure.to_string(), |_| why),
            ));
        }
        self.put_in_force(token, now).map_err(undone)
    }

    fn put_in_force(&self, token: &TokenEntry, now: Time) -> Result<(), Error> {
        // Someone else's change may be in the file too; it comes into force when it has been
        // recorded.
        let mut in_force = file::read_recorded(&self.data_dir)?;
        in_force.add_token(token.clone(), now);
        let snapshot =
            Snapshot::of(&in_force, &self.sealing_key, &self.own).map_err(Error::refused)?;
        *self.current.write().expect("no panic while held") = Arc::new(snapshot);
        file::write_recorded(&self.data_dir, &in_force)
    }

    fn stamp(&self) -> Option<Stamp> {
        use std::os::unix::fs::MetadataExt;
        let found = std::fs::metadata(self.data_dir.join(store::ACCESS)).ok()?;
        Some((found.ino(), found.len(), found.modified().ok()?))
    }
}

/// Why a token was not handed out.
pub enum NotIssued {
    /// What was shown for it is void since.
    NotRightAnyMore,
    /// It could not be written down.
    Undone(String),
}

enum NotFollowed {
    Unreadable(String),
    Unrecorded(String),
}
