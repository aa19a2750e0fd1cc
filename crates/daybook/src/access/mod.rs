//! Who may ask what.
//!
//! Projects, users, access keys and grants live in `access.toml` of the data directory ([`file`]), written by
//! `daybook access` and read again by the server whenever it changes. A user may read a trail when one of the user's
//! grants covers it; everything else does not exist for that user.

pub mod file;
mod seal;
pub mod signature;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::time::SystemTime;

use event::{Trail, TrailPattern};

use file::AccessFile;
pub use seal::{SealingKey, Secret};

/// Everyone's rights at one moment.
#[derive(Default)]
pub struct Snapshot {
    projects: HashMap<String, Project>,
    users: HashMap<String, User>,
    keys: HashMap<String, (String, Secret)>,
}

/// A project: what vendors' clients call by id, and by name where they only know a region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    pub id: String,
    pub name: String,
    pub tenant: String,
}

/// Someone who may sign requests.
#[derive(Debug, Clone)]
pub struct User {
    pub id: String,
    pub grants: Vec<TrailPattern>,
}

impl User {
    /// Whether the user may read anything in this project.
    pub fn reaches(&self, project: &Project) -> bool {
        self.grants.iter().any(|pattern| pattern.reaches_project(&project.tenant, &project.id))
    }

    /// Whether the user may read this trail.
    pub fn may_read(&self, trail: &Trail) -> bool {
        self.grants.iter().any(|pattern| pattern.matches(trail))
    }
}

impl Snapshot {
    /// Reads `access.toml` as it was written. Errs on the first thing that cannot be right.
    pub fn parse(text: &str, sealing_key: &SealingKey) -> Result<Snapshot, String> {
        let file = AccessFile::parse(text)?;
        let mut snapshot = Snapshot::default();
        for project in file.project {
            snapshot.projects.insert(project.id.clone(), project.into());
        }
        for user in file.user {
            snapshot.users.insert(user.id.clone(), User { id: user.id, grants: Vec::new() });
        }
        for grant in file.grant {
            let pattern = grant.trails.parse().map_err(|error: event::InvalidTrail| error.to_string())?;
            let user = snapshot
                .users
                .get_mut(&grant.user)
                .ok_or_else(|| format!("a grant names user {}, who does not exist", grant.user))?;
            user.grants.push(pattern);
        }
        for key in file.access_key {
            let secret = sealing_key.open(&key.id, &key.sealed_secret).ok_or_else(|| {
                format!("the secret of access key {} was not sealed with this directory's key", key.id)
            })?;
            snapshot.keys.insert(key.id, (key.user, secret));
        }
        Ok(snapshot)
    }

    /// The secret of an access key, and whose it is.
    pub fn access_key(&self, id: &str) -> Option<(&Secret, &User)> {
        let (user, secret) = self.keys.get(id)?;
        Some((secret, self.users.get(user)?))
    }

    pub fn project(&self, id: &str) -> Option<&Project> {
        self.projects.get(id)
    }

    /// Projects of that name (or all) in which the user may read something, by id.
    pub fn projects_of(&self, user: &User, name: Option<&str>) -> Vec<&Project> {
        let mut found: Vec<&Project> = self
            .projects
            .values()
            .filter(|project| name.is_none_or(|name| name == project.name) && user.reaches(project))
            .collect();
        found.sort_by(|a, b| a.id.cmp(&b.id));
        found
    }
}

/// The rights in force, read again when the file changes.
pub struct Access {
    path: PathBuf,
    sealing_key: SealingKey,
    current: RwLock<(Option<Stamp>, Arc<Snapshot>)>,
}

/// What shows that the file was replaced; replacing always makes a new inode.
type Stamp = (u64, u64, SystemTime);

impl Access {
    /// Reads the rights in a data directory. Without `access.toml` nobody has any.
    pub fn open(data_dir: &Path) -> Result<Access, String> {
        let access = Access {
            path: data_dir.join(store::ACCESS),
            sealing_key: SealingKey::read(data_dir)?,
            current: RwLock::default(),
        };
        let stamp = access.stamp();
        let snapshot = access.read()?;
        *access.current.write().expect("no panic while held") = (stamp, Arc::new(snapshot));
        Ok(access)
    }

    /// The rights in force now. A file that cannot be read leaves the ones before in force and is reported once.
    pub fn current(&self) -> Arc<Snapshot> {
        let stamp = self.stamp();
        {
            let (seen, snapshot) = &*self.current.read().expect("no panic while held");
            if *seen == stamp {
                return Arc::clone(snapshot);
            }
        }
        let mut current = self.current.write().expect("no panic while held");
        if current.0 != stamp {
            match self.read() {
                Ok(snapshot) => current.1 = Arc::new(snapshot),
                Err(error) => {
                    tracing::error!(error, "couldn't reload access.toml; the rights before stay in force")
                }
            }
            current.0 = stamp;
        }
        Arc::clone(&current.1)
    }

    fn stamp(&self) -> Option<Stamp> {
        use std::os::unix::fs::MetadataExt;
        let found = std::fs::metadata(&self.path).ok()?;
        Some((found.ino(), found.len(), found.modified().ok()?))
    }

    fn read(&self) -> Result<Snapshot, String> {
        match std::fs::read_to_string(&self.path) {
            Ok(text) => Snapshot::parse(&text, &self.sealing_key)
                .map_err(|why| format!("{}: {why}", self.path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Snapshot::default()),
            Err(error) => Err(format!("couldn't read {}: {error}", self.path.display())),
        }
    }
}
