//! The rights in force in a running server. They follow the file.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};
use std::time::SystemTime;

use event::{Time, Trail};

use crate::error::Error;
use crate::file::{self, AccessFile, Change, TokenEntry};
use crate::secrets::SecretsKey;
use crate::snapshot::Snapshot;

/// The rights in force in a running server.
pub struct Access {
    data_dir: PathBuf,
    secrets_key: SecretsKey,
    own: Trail,
    current: RwLock<Arc<Snapshot>>,
    /// Identity of the file when it was read last; locked while rights change.
    last_read: Mutex<Option<Option<FileIdentity>>>,
}

/// Inode, length and time of modification. Replacing the file always makes a new inode.
type FileIdentity = (u64, u64, SystemTime);

/// A version of the file that differs from the version that the log recorded.
pub struct Revision<'a> {
    pub changes: Vec<Change>,
    pub old: &'a AccessFile,
    pub new: &'a AccessFile,
}

impl Access {
    /// Puts the rights of a data directory in force, once `record` has recorded the changes since
    /// the last recorded version. Without `access.toml` nobody has rights.
    pub fn open(
        data_dir: &Path,
        own: &Trail,
        record: &dyn Fn(&Revision<'_>) -> Result<(), String>,
    ) -> Result<Access, String> {
        let access = Access {
            data_dir: data_dir.to_owned(),
            secrets_key: SecretsKey::read(data_dir)?,
            own: own.clone(),
            current: RwLock::default(),
            last_read: Mutex::new(None),
        };
        match access.apply_file(record) {
            Ok(()) => Ok(access),
            Err(FollowError::Unreadable(why)) => Err(why),
            Err(FollowError::Unrecorded(why)) => {
                Err(format!("couldn't record a change of access.toml: {why}"))
            }
        }
    }

    /// Checks that the rights of a data directory can be put in force. Changes nothing.
    pub fn check(data_dir: &Path, own: &Trail) -> Result<(), String> {
        let key = SecretsKey::read(data_dir)?;
        let damage = |error: Error| format!("damage in the access files: {error}");
        let file = file::read(data_dir).map_err(damage)?;
        file::read_recorded(data_dir).map_err(damage)?;
        Snapshot::of(&file, &key, own)
            .map(drop)
            .map_err(|why| format!("damage in {}: {why}", store::ACCESS))
    }

    /// A key for another purpose than encrypting secrets; every data directory has another.
    pub fn derived_key(&self, purpose: &str) -> [u8; 32] {
        self.secrets_key.derived(purpose)
    }

    /// The rights in force now, from memory.
    pub fn current(&self) -> Arc<Snapshot> {
        Arc::clone(&self.current.read().expect("no panic while held"))
    }

    /// Puts a changed file in force, once `record` has recorded the changes. If the file is invalid
    /// or its changes cannot be recorded, the rights before stay in force; the former is logged
    /// once, the latter is tried again.
    pub fn follow(&self, record: &dyn Fn(&Revision<'_>) -> Result<(), String>) {
        let mut last_read = self.last_read.lock().expect("no panic while held");
        let identity = self.file_identity();
        if *last_read == Some(identity) {
            return;
        }
        match self.apply_file(record) {
            Ok(()) => *last_read = Some(identity),
            Err(FollowError::Unreadable(error)) => {
                tracing::error!(
                    error,
                    "couldn't reload access.toml; the rights before stay in force"
                );
                *last_read = Some(identity);
            }
            Err(FollowError::Unrecorded(error)) => {
                tracing::error!(
                    error,
                    "couldn't record a change of access.toml; the rights before stay in force"
                );
            }
        }
    }

    fn apply_file(
        &self,
        record: &dyn Fn(&Revision<'_>) -> Result<(), String>,
    ) -> Result<(), FollowError> {
        let unreadable = |error: Error| FollowError::Unreadable(error.to_string());
        let new = file::read(&self.data_dir).map_err(unreadable)?;
        let snapshot = Snapshot::of(&new, &self.secrets_key, &self.own)
            .map_err(|why| FollowError::Unreadable(format!("access.toml: {why}")))?;
        let old = file::read_recorded(&self.data_dir).map_err(unreadable)?;
        let changes = file::changes(&old, &new, system::now());
        if !changes.is_empty() {
            record(&Revision { changes, old: &old, new: &new }).map_err(FollowError::Unrecorded)?;
        }
        *self.current.write().expect("no panic while held") = Arc::new(snapshot);
        if old.text() != new.text() {
            file::write_recorded(&self.data_dir, &new)
                .map_err(|error| FollowError::Unrecorded(error.to_string()))?;
        }
        Ok(())
    }

    /// Issues a token, if `is_still_right` says so of the newest rights and `record` has recorded
    /// the reason. When this returns, the token is in the file and in force.
    pub fn issue_token(
        &self,
        token: &TokenEntry,
        now: Time,
        is_still_right: &dyn Fn(&AccessFile) -> bool,
        record: &dyn Fn() -> Result<(), String>,
    ) -> Result<(), IssueError> {
        let _lock = self.last_read.lock().expect("no panic while held");
        let failed = |failure: Error| IssueError::Failed(failure.to_string());
        let (is_added, _) = file::change(&self.data_dir, |file| {
            let is_right = is_still_right(file);
            if is_right {
                file.add_token(token.clone(), now);
            }
            Ok(is_right)
        })
        .map_err(failed)?;
        if !is_added {
            return Err(IssueError::Void);
        }
        // The token is in the file, and not in force. If we crash here, the next start records it.
        if let Err(why) = record() {
            let withdrawal = file::change(&self.data_dir, |file| file.revoke_tokens(&token.id));
            return Err(IssueError::Failed(
                withdrawal.map_or_else(|failure| failure.to_string(), |_| why),
            ));
        }
        self.put_in_force(token, now).map_err(failed)
    }

    fn put_in_force(&self, token: &TokenEntry, now: Time) -> Result<(), Error> {
        // The file may hold someone else's change too, which comes into force once it is recorded.
        let mut in_force = file::read_recorded(&self.data_dir)?;
        in_force.add_token(token.clone(), now);
        let snapshot =
            Snapshot::of(&in_force, &self.secrets_key, &self.own).map_err(Error::refused)?;
        *self.current.write().expect("no panic while held") = Arc::new(snapshot);
        file::write_recorded(&self.data_dir, &in_force)
    }

    fn file_identity(&self) -> Option<FileIdentity> {
        use std::os::unix::fs::MetadataExt;
        let metadata = std::fs::metadata(self.data_dir.join(store::ACCESS)).ok()?;
        Some((metadata.ino(), metadata.len(), metadata.modified().ok()?))
    }
}

/// Why a token was not issued.
pub enum IssueError {
    /// The credential for it became void meanwhile.
    Void,
    /// The token could not be stored or recorded.
    Failed(String),
}

/// Why a version of the file did not come into force.
enum FollowError {
    Unreadable(String),
    Unrecorded(String),
}
