//! `access.toml`: its form, and changes to it.
//!
//! A change reads the newest version, applies itself, and replaces the file only if nobody changed it meanwhile.

use std::path::Path;
use std::sync::Arc;

use event::{Time, TrailPattern};
use serde::{Deserialize, Serialize};
use store::durable::Local;
use store::{FileObjects, Objects};

use super::{Project, SealingKey, Secret};
use crate::report::Failure;

/// The file as written.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessFile {
    version: u32,
    #[serde(default)]
    pub project: Vec<ProjectEntry>,
    #[serde(default)]
    pub user: Vec<UserEntry>,
    #[serde(default)]
    pub access_key: Vec<KeyEntry>,
    #[serde(default)]
    pub grant: Vec<GrantEntry>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectEntry {
    pub id: String,
    pub name: String,
    pub tenant: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserEntry {
    pub id: String,
    pub name: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyEntry {
    pub id: String,
    pub user: String,
    pub created_at: String,
    pub sealed_secret: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantEntry {
    pub user: String,
    pub role: Role,
    pub trails: String,
}

/// What a grant lets its user do on the trails it covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// List and read events.
    Reader,
}

const VERSION: u32 = 1;
/// How often a change is tried again when someone else changes the file at the same moment.
const ATTEMPTS_MAX: usize = 10;

impl From<ProjectEntry> for Project {
    fn from(entry: ProjectEntry) -> Project {
        Project { id: entry.id, name: entry.name, tenant: entry.tenant }
    }
}

impl AccessFile {
    pub fn parse(text: &str) -> Result<AccessFile, String> {
        let file: AccessFile = toml::from_str(text).map_err(|error| error.to_string())?;
        if file.version != VERSION {
            return Err(format!("version {} is not {VERSION}", file.version));
        }
        Ok(file)
    }

    /// The user with this id, or with this name if only one has it.
    pub fn user_named(&self, text: &str) -> Result<&UserEntry, Failure> {
        if let Some(user) = self.user.iter().find(|user| user.id == text) {
            return Ok(user);
        }
        let mut named = self.user.iter().filter(|user| user.name == text);
        match (named.next(), named.next()) {
            (Some(user), None) => Ok(user),
            (None, _) => {
                Err(Failure::new(format!("there is no user {text:?}; `daybook access list` shows who is")))
            }
            _ => Err(Failure::new(format!("several users are named {text:?}; give an id"))),
        }
    }

    pub fn add_project(&mut self, entry: ProjectEntry) -> Result<(), Failure> {
        check_id("project id", &entry.id)?;
        check_id("project name", &entry.name)?;
        check_id("tenant", &entry.tenant)?;
        if self.project.iter().any(|project| project.id == entry.id) {
            return Err(Failure::new(format!("project {} exists already", entry.id)));
        }
        self.project.push(entry);
        Ok(())
    }

    pub fn add_user(&mut self, entry: UserEntry) -> Result<(), Failure> {
        check_id("user id", &entry.id)?;
        if entry.name.is_empty() || entry.name.len() > 128 || entry.name.chars().any(char::is_control) {
            return Err(Failure::usage("a user name has 1 to 128 bytes and no control characters"));
        }
        if self.user.iter().any(|user| user.id == entry.id) {
            return Err(Failure::new(format!("user {} exists already", entry.id)));
        }
        self.user.push(entry);
        Ok(())
    }

    pub fn add_key(
        &mut self,
        user: &str,
        id: &str,
        secret: &Secret,
        sealing_key: &SealingKey,
        now: Time,
    ) -> Result<(), Failure> {
        check_id("access key id", id)?;
        if !(8..=128).contains(&secret.expose().len())
            || secret.expose().chars().any(|c| c.is_control() || c.is_whitespace())
        {
            return Err(Failure::usage("a secret has 8 to 128 bytes without white space"));
        }
        if self.access_key.iter().any(|key| key.id == id) {
            return Err(Failure::new(format!("access key {id} exists already")));
        }
        let user = self.user_named(user)?.id.clone();
        let sealed_secret = sealing_key.seal(id, secret, crate::ambient::random());
        self.access_key.push(KeyEntry {
            id: id.to_owned(),
            user,
            created_at: now.to_string(),
            sealed_secret,
        });
        Ok(())
    }

    pub fn remove_key(&mut self, id: &str) -> Result<(), Failure> {
        let before = self.access_key.len();
        self.access_key.retain(|key| key.id != id);
        if self.access_key.len() == before {
            Err(Failure::new(format!("there is no access key {id:?}")))
        } else {
            Ok(())
        }
    }

    pub fn grant(&mut self, user: &str, role: Role, trails: &TrailPattern) -> Result<(), Failure> {
        let entry = GrantEntry { user: self.user_named(user)?.id.clone(), role, trails: trails.to_string() };
        if !self.grant.contains(&entry) {
            self.grant.push(entry);
        }
        Ok(())
    }

    pub fn revoke(&mut self, user: &str, role: Role, trails: &TrailPattern) -> Result<(), Failure> {
        let entry = GrantEntry { user: self.user_named(user)?.id.clone(), role, trails: trails.to_string() };
        let before = self.grant.len();
        self.grant.retain(|grant| *grant != entry);
        if self.grant.len() == before { Err(Failure::new("there is no such grant")) } else { Ok(()) }
    }
}

/// Applies `change` to the file of a data directory and replaces it durably.
pub fn change<T>(
    data_dir: &Path,
    mut change: impl FnMut(&mut AccessFile) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let objects = FileObjects::new(Arc::new(Local::open(data_dir)));
    for _ in 0..ATTEMPTS_MAX {
        let object = objects.get(store::ACCESS)?;
        let mut file = match &object {
            Some(object) => parse_object(&object.bytes)?,
            None => AccessFile { version: VERSION, ..AccessFile::default() },
        };
        let done = change(&mut file)?;
        let text = toml::to_string(&file).map_err(|error| Failure::new(error.to_string()))?;
        let text =
            format!("# Written by `daybook access`; the server reads it again when it changes.\n{text}");
        match objects.replace(store::ACCESS, text.as_bytes(), object.map(|object| object.version)) {
            Ok(_) => return Ok(done),
            Err(store::Error::Changed { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Failure::new("access.toml is being changed by others all the time; try again"))
}

/// The file of a data directory as it is; an empty one where there is none.
pub fn read(data_dir: &Path) -> Result<AccessFile, Failure> {
    match FileObjects::new(Arc::new(Local::open(data_dir))).get(store::ACCESS)? {
        Some(object) => parse_object(&object.bytes),
        None => Ok(AccessFile::default()),
    }
}

fn parse_object(bytes: &[u8]) -> Result<AccessFile, Failure> {
    let text = std::str::from_utf8(bytes).map_err(|_| Failure::new("access.toml is not UTF-8"))?;
    AccessFile::parse(text).map_err(|why| Failure::new(format!("access.toml: {why}")))
}

/// Ids stand in paths, headers and trails: 1 to 128 visible ASCII characters but `/`, `*`, `,` and `=`.
fn check_id(what: &str, id: &str) -> Result<(), Failure> {
    let is_id = (1..=128).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_graphic() && !b"/*,=".contains(&byte));
    if is_id {
        Ok(())
    } else {
        Err(Failure::usage(format!(
            "a {what} has 1 to 128 visible ASCII characters, and no '/', '*', ',' or '='"
        )))
    }
}
