//! The rights in force in a running server, and how they follow the file.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};
use std::time::SystemTime;

use event::{Time, Trail};

use crate::error::Error;
use crate::file::{self, AccessFile, Change, TokenEntry};
use crate::secrets::SealingKey;
use crate::snapshot::Snapshot;

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
