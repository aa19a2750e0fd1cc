//! Everyone's rights at one moment, read from one version of the file.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use event::{Time, Trail};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::digest::decode_hex;
use crate::file::{AccessFile, TokenEntry};
use crate::model::{Caller, Domain, Project, Scope, Token, User};
use crate::password;
use crate::secrets::{Secret, SecretsKey};
use crate::token_uses::TokenUses;

/// Everyone's rights at one moment.
#[derive(Default)]
pub struct Snapshot {
    domains: Vec<Domain>,
    projects: HashMap<String, Project>,
    users: HashMap<String, User>,
    keys: HashMap<String, AccessKey>,
    tokens: HashMap<[u8; 32], Token>,
    app_codes: Vec<[u8; 32]>,
    uses: Arc<TokenUses>,
}

struct AccessKey {
    user: String,
    secret: Secret,
    enabled: bool,
}

impl Snapshot {
    /// Reads a version of the file and adds Daybook's own project. Errs on the first entry that is
    /// invalid.
    pub fn of(
        file: &AccessFile,
        secrets_key: &SecretsKey,
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
            let secret = secrets_key.decrypt(&key.id, &key.encrypted_secret).ok_or_else(|| {
                format!(
                    "the secret of access key {} was not encrypted with this directory's key",
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
                read_token(token).ok_or_else(|| format!("token {id} is invalid"))?;
            if !ids.insert(id) {
                return Err(format!("there are two tokens {id}"));
            }
            snapshot.tokens.insert(hash, token);
        }
        snapshot.add_unlisted_domains();
        Ok(snapshot)
    }

    /// Adds the domains that only projects and users name.
    fn add_unlisted_domains(&mut self) {
        let projects = self.projects.values().map(|project| project.tenant.clone());
        let mut ids: Vec<String> =
            projects.chain(self.users.values().map(|user| user.domain.clone())).collect();
        ids.sort();
        for id in ids {
            if !self.domains.iter().any(|domain| domain.id == id) {
                self.domains.push(Domain { name: id.clone(), id });
            }
        }
    }

    /// The secret of an enabled access key, and its user.
    pub fn access_key(&self, id: &str) -> Option<(&Secret, &User)> {
        let key = self.keys.get(id).filter(|key| key.enabled)?;
        Some((&key.secret, self.user(&key.user)?))
    }

    /// The user with this id, if enabled.
    pub fn user(&self, id: &str) -> Option<&User> {
        self.users.get(id).filter(|user| user.enabled)
    }

    /// The user with this name in this domain, if enabled.
    pub fn user_by_name(&self, name: &str, domain: &Domain) -> Option<&User> {
        self.users
            .values()
            .find(|user| user.enabled && user.name == name && user.domain == domain.id)
    }

    /// Whether this is the user's password. Takes the same time without a user, and for users
    /// without a password.
    pub fn is_password(user: Option<&User>, password: &str) -> bool {
        password::verify(password, user.and_then(|user| user.password.as_deref()))
    }

    /// The token with this text, expired or not, and its user.
    pub fn token(&self, text: &str) -> Option<(&Token, &User)> {
        let hash: [u8; 32] = Sha256::digest(text).into();
        let token = self.tokens.get(&hash)?;
        Some((token, self.user(&token.user)?))
    }

    /// Notes that a token is used. No login ends it while it is.
    pub fn note_use(&self, token: &Token, now: Time) {
        self.uses.note(&token.id, now);
    }

    /// When a token was used last, as far as this run of the server knows.
    pub fn last_use(&self, token: &Token) -> Time {
        self.uses.last_used_at(&token.id, token.issued_at)
    }

    /// Whether a token with this id is in force, or distinguished from an unknown one.
    pub fn has_token(&self, id: &str) -> bool {
        self.tokens.values().any(|token| token.id == id)
    }

    /// The snapshot with the record of its tokens' uses.
    pub(crate) fn with_uses(self, uses: &Arc<TokenUses>) -> Snapshot {
        Snapshot { uses: Arc::clone(uses), ..self }
    }

    /// Whether the text is one of the app codes.
    pub fn is_app_code(&self, text: &str) -> bool {
        let hash: [u8; 32] = Sha256::digest(text).into();
        self.app_codes.iter().any(|code| bool::from(code.ct_eq(&hash)))
    }

    pub fn project(&self, id: &str) -> Option<&Project> {
        self.projects.get(id)
    }

    /// The domain with this id. The domain of every project and user exists.
    pub fn domain(&self, id: &str) -> Option<&Domain> {
        self.domains.iter().find(|domain| domain.id == id)
    }

    /// The domain with this name.
    pub fn domain_by_name(&self, name: &str) -> Option<&Domain> {
        self.domains.iter().find(|domain| domain.name == name)
    }

    /// Projects of this name, or all, in which the caller has any right, ordered by id.
    pub fn projects_of(&self, caller: &Caller<'_>, name: Option<&str>) -> Vec<&Project> {
        let mut projects: Vec<&Project> = self
            .projects
            .values()
            .filter(|project| {
                name.is_none_or(|name| name == project.name) && caller.reaches(project)
            })
            .collect();
        projects.sort_by(|a, b| a.id.cmp(&b.id));
        projects
    }
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
