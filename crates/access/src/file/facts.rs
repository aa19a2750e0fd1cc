//! The entries of `access.toml` as the log describes them: kind, name and members, and of secrets
//! only that there is one.

use event::Time;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::entries::{
    AccessFile, AppCodeEntry, DomainEntry, GrantEntry, KeyEntry, ProjectEntry, TokenEntry,
    UserEntry,
};

/// Purpose of the key that digests of entries are made with.
pub(crate) const DIGEST_KEY: &str = "digests of access entries";
/// Hex digits of a digest: enough that no two entries have the same by chance.
const DIGEST_DIGITS: usize = 32;
/// The kind of tokens.
pub(crate) const TOKEN: &str = "token";

/// An entry of the file as the log describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EntryFacts {
    pub kind: &'static str,
    /// Id or name.
    pub name: String,
    /// Id of the user whom it is about, if it is about one.
    pub user: Option<String>,
    members: Vec<(&'static str, Member)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Member {
    Open(String),
    /// Absent if empty.
    Secret(String),
}

impl EntryFacts {
    fn new(kind: &'static str, name: impl Into<String>) -> EntryFacts {
        EntryFacts { kind, name: name.into(), user: None, members: Vec::new() }
    }

    fn of(mut self, user: &str) -> EntryFacts {
        self.user = Some(user.to_owned());
        self
    }

    fn with(mut self, name: &'static str, value: impl ToString) -> EntryFacts {
        self.members.push((name, Member::Open(value.to_string())));
        self
    }

    fn with_if_any(self, name: &'static str, value: Option<&String>) -> EntryFacts {
        self.with(name, value.map_or("none", String::as_str))
    }

    fn secret(mut self, name: &'static str, value: &str) -> EntryFacts {
        self.members.push((name, Member::Secret(value.to_owned())));
        self
    }

    /// All members, without secrets.
    pub fn text(&self) -> String {
        let member = |(name, member): &(&str, Member)| format!("{name}={}", member.text());
        self.members.iter().map(member).collect::<Vec<_>>().join(" ")
    }

    /// The members that differ, as they were and as they are.
    pub fn differences(&self, new: &EntryFacts) -> (String, String) {
        let (mut from, mut to) = (Vec::new(), Vec::new());
        for ((name, old), (_, new)) in self.members.iter().zip(&new.members) {
            if old != new {
                let is_replaced = old.text() == new.text();
                from.push(format!("{name}={}", old.text()));
                let to_text = if is_replaced { "another" } else { new.text() };
                to.push(format!("{name}={to_text}"));
            }
        }
        (from.join(" "), to.join(" "))
    }

    /// A digest of the entry with its secrets, under a key, so that nobody can try secrets by it.
    pub fn digest(&self, key: &[u8; 32]) -> String {
        let mut mac =
            <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(key).expect("keys of any length");
        let mut add = |text: &str| {
            mac.update(&(text.len() as u64).to_le_bytes());
            mac.update(text.as_bytes());
        };
        add(self.kind);
        add(&self.name);
        for (name, Member::Open(value) | Member::Secret(value)) in &self.members {
            add(name);
            add(value);
        }
        let mut digest = hex::encode(mac.finalize().into_bytes());
        digest.truncate(DIGEST_DIGITS);
        digest
    }
}

impl Member {
    fn text(&self) -> &str {
        match self {
            Member::Open(value) => value,
            Member::Secret(value) if value.is_empty() => "unset",
            Member::Secret(_) => "set",
        }
    }
}

/// All entries of a file, without tokens that expired. Of entries with one name the last counts, as
/// it does for rights.
pub(crate) fn facts(file: &AccessFile, now: Time) -> Vec<EntryFacts> {
    let now = now.to_string();
    let tokens = file.token.iter().filter(|token| token.expires_at > now);
    let all = file.domain.iter().map(domain);
    let all = all.chain(file.project.iter().map(project));
    let all = all.chain(file.user.iter().map(user));
    let all = all.chain(file.access_key.iter().map(key));
    let all = all.chain(file.grant.iter().map(grant));
    let all = all.chain(file.app_code.iter().map(app_code));
    all.chain(tokens.map(token)).collect()
}

fn domain(entry: &DomainEntry) -> EntryFacts {
    EntryFacts::new("domain", &entry.id).with("name", &entry.name)
}

fn project(entry: &ProjectEntry) -> EntryFacts {
    EntryFacts::new("project", &entry.id).with("name", &entry.name).with("tenant", &entry.tenant)
}

fn user(entry: &UserEntry) -> EntryFacts {
    EntryFacts::new("user", &entry.id)
        .of(&entry.id)
        .with("name", &entry.name)
        .with_if_any("domain", entry.domain.as_ref())
        .with("enabled", entry.enabled)
        .secret("password", entry.password.as_deref().unwrap_or_default())
}

fn key(entry: &KeyEntry) -> EntryFacts {
    EntryFacts::new("access_key", &entry.id)
        .of(&entry.user)
        .with("user", &entry.user)
        .with("created_at", &entry.created_at)
        .with("enabled", entry.enabled)
        .secret("secret", &entry.encrypted_secret)
}

fn grant(entry: &GrantEntry) -> EntryFacts {
    let name = format!("{} {} {}", entry.user, entry.role, entry.trails);
    EntryFacts::new("grant", name)
        .of(&entry.user)
        .with("user", &entry.user)
        .with("role", entry.role)
        .with("trails", &entry.trails)
}

fn app_code(entry: &AppCodeEntry) -> EntryFacts {
    EntryFacts::new("app_code", &entry.name).secret("code", &entry.sha256)
}

fn token(entry: &TokenEntry) -> EntryFacts {
    EntryFacts::new(TOKEN, token_name(&entry.id, &entry.user))
        .of(&entry.user)
        .with("user", &entry.user)
        .with_if_any("project", entry.project.as_ref())
        .with_if_any("domain", entry.domain.as_ref())
        .with("methods", entry.methods.join(","))
        .with_if_any("parent", entry.parent.as_ref())
        .with("issued_at", &entry.issued_at)
        .with("expires_at", &entry.expires_at)
        .secret("token", &entry.sha256)
}

/// Name of a token in the log.
pub fn token_name(id: &str, user: &str) -> String {
    format!("{id} of {user}")
}
