//! The rights in force in a running server. They follow the file.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};
use std::time::SystemTime;

use event::{Time, Trail};

use crate::author::Author;
use crate::checksum::Checksum;
use crate::error::Error;
use crate::file::{self, AccessFile, Change, EntryRecord, TokenEntry, TooManyTokens, Version};
use crate::local::LocalKey;
use crate::secrets::SecretsKey;
use crate::snapshot::Snapshot;
use crate::token_uses::TokenUses;

/// The rights in force in a running server.
pub struct Access {
    data_dir: PathBuf,
    secrets_key: SecretsKey,
    own: Trail,
    uses: Arc<TokenUses>,
    current: RwLock<Arc<Snapshot>>,
    /// Locked while rights change.
    in_force: Mutex<InForce>,
}

/// The version in force.
#[derive(Default)]
struct InForce {
    /// Identity of the file when it was read last.
    last_read: Option<Option<FileIdentity>>,
    /// The version as it was recorded; `None` at the start. The copy on disk may have been changed
    /// since.
    file: Option<AccessFile>,
    anchor: Option<Anchor>,
}

/// Inode, length, and times of modification and of the inode's last change. Replacing the file
/// always makes a new inode; the last of them cannot be set back.
type FileIdentity = (u64, u64, SystemTime, (i64, i64));

/// The version of the file that an event of the log anchors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// SHA-256 of the file in hex.
    pub sha256: String,
    /// That of the version before.
    pub before: Option<String>,
}

/// The log's record of rights.
pub trait AccessLog {
    /// The version that the newest record of rights anchors.
    fn newest(&self) -> Result<Option<Anchor>, String>;
    /// The entries as all records of rights leave them.
    fn entries(&self) -> Result<Vec<EntryRecord>, String>;
    /// Records a version durably.
    fn record(&self, revision: &Revision<'_>) -> Result<(), String>;
}

/// A version of the file that differs from the version that the log recorded.
pub struct Revision<'a> {
    pub cause: Cause,
    /// Never empty.
    pub changes: Vec<Change>,
    pub anchor: Anchor,
    /// The author that the file names, if it names another change than the version before.
    pub author: Option<Author>,
    pub new: &'a Version,
}

/// How a version came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// No version was anchored before.
    First,
    /// Daybook wrote the file, as far as its checksum and the copy of the version before show.
    Daybook,
    /// Something else wrote the file, or the copy of the version before.
    Outside,
}

impl Access {
    /// Puts the rights of a data directory in force, once `log` has recorded the changes since the
    /// version that it anchors. Without `access.toml` nobody has rights.
    pub fn open(data_dir: &Path, own: &Trail, log: &dyn AccessLog) -> Result<Access, String> {
        let anchor = log.newest()?;
        let access = Access {
            data_dir: data_dir.to_owned(),
            secrets_key: SecretsKey::read(data_dir)?,
            own: own.clone(),
            uses: Arc::new(TokenUses::since(system::now())),
            current: RwLock::default(),
            in_force: Mutex::new(InForce { anchor, ..InForce::default() }),
        };
        let applied = access.apply_file(&mut access.lock(), log);
        match applied {
            Ok(()) => Ok(access),
            Err(FollowError::Unreadable(why)) => Err(why),
            Err(FollowError::Unrecorded(why)) => {
                Err(format!("couldn't record a change of access.toml: {why}"))
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, InForce> {
        self.in_force.lock().expect("no panic while held")
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

    /// The key of this data directory's local programs.
    pub fn local_key(&self) -> LocalKey {
        LocalKey::of(&self.secrets_key)
    }

    /// The rights in force now, from memory.
    pub fn current(&self) -> Arc<Snapshot> {
        Arc::clone(&self.current.read().expect("no panic while held"))
    }

    /// Puts a changed file in force, once `log` has recorded the changes. If the file is invalid or
    /// its changes cannot be recorded, the rights before stay in force; the former is logged once,
    /// the latter is tried again.
    pub fn follow(&self, log: &dyn AccessLog) {
        let mut in_force = self.lock();
        let identity = self.file_identity();
        if in_force.last_read == Some(identity) {
            return;
        }
        match self.apply_file(&mut in_force, log) {
            Ok(()) => in_force.last_read = Some(identity),
            Err(FollowError::Unreadable(error)) => {
                tracing::error!(
                    error,
                    "couldn't reload access.toml; the rights before stay in force"
                );
                in_force.last_read = Some(identity);
            }
            Err(FollowError::Unrecorded(error)) => {
                tracing::error!(
                    error,
                    "couldn't record a change of access.toml; the rights before stay in force"
                );
            }
        }
    }

    fn apply_file(&self, in_force: &mut InForce, log: &dyn AccessLog) -> Result<(), FollowError> {
        let unreadable = |error: Error| FollowError::Unreadable(error.to_string());
        let new = file::read_version(&self.data_dir).map_err(unreadable)?;
        let snapshot = Snapshot::of(&new.file, &self.secrets_key, &self.own)
            .map_err(|why| FollowError::Unreadable(format!("access.toml: {why}")))?;
        if in_force.anchor.as_ref().map(|anchor| &anchor.sha256) != Some(&new.anchor()) {
            self.record(in_force, &new, log)?;
        }
        self.put_snapshot(snapshot);
        in_force.file = Some(new.file.clone());
        // Last: commands wait for the copy, which shows them that the change is in force.
        if new.sha256.is_some() && self.copy().and_then(|copy| copy.sha256) != new.sha256 {
            file::write_recorded(&self.data_dir, &new)
                .map_err(|error| FollowError::Unrecorded(error.to_string()))?;
        }
        Ok(())
    }

    /// Records a version that is not the anchored one.
    fn record(
        &self,
        in_force: &mut InForce,
        new: &Version,
        log: &dyn AccessLog,
    ) -> Result<(), FollowError> {
        let anchor = Anchor {
            sha256: new.anchor(),
            before: in_force.anchor.as_ref().map(|anchor| anchor.sha256.clone()),
        };
        let copy = self.copy();
        let (cause, changes) = match &in_force.anchor {
            None => match self.first_changes(new)? {
                Some(changes) => (Cause::First, changes),
                None => return Ok(()),
            },
            Some(newest) => {
                let changes = self.changes(in_force, copy.as_ref(), new, log)?;
                (cause(newest, copy.as_ref(), new), changes)
            }
        };
        let changes = if changes.is_empty() { vec![no_difference()] } else { changes };
        let changed_before = copy.and_then(|copy| copy.file.changed_at);
        let is_other = new.file.changed_at != changed_before;
        let author = new.file.changed_by.as_deref().filter(|_| is_other).map(Author::parse);
        log.record(&Revision { cause, changes, anchor: anchor.clone(), author, new })
            .map_err(FollowError::Unrecorded)?;
        in_force.anchor = Some(anchor);
        Ok(())
    }

    /// The changes to the first version that is anchored: those since the copy, which versions of
    /// Daybook before anchors compared with, and every other entry. `None` without any file.
    fn first_changes(&self, new: &Version) -> Result<Option<Vec<Change>>, FollowError> {
        let old = file::read_recorded_version(&self.data_dir)
            .map_err(|error| FollowError::Unreadable(error.to_string()))?;
        if old.sha256.is_none() && new.sha256.is_none() {
            return Ok(None);
        }
        let (now, key) = (system::now(), self.derived_key(file::DIGEST_KEY));
        let mut changes = file::changes(&old.file, &new.file, now, &key);
        changes.extend(file::unchanged(&new.file, &changes, now, &key));
        Ok(Some(changes))
    }

    /// The changes since the anchored version: the one in memory, else the copy if it is that one,
    /// else as the log has its entries.
    fn changes(
        &self,
        in_force: &InForce,
        copy: Option<&Version>,
        new: &Version,
        log: &dyn AccessLog,
    ) -> Result<Vec<Change>, FollowError> {
        let (now, key) = (system::now(), self.derived_key(file::DIGEST_KEY));
        let anchored = in_force.anchor.as_ref().map(|anchor| &anchor.sha256);
        let copy = copy.filter(|copy| copy.sha256.as_ref() == anchored);
        match in_force.file.as_ref().or(copy.map(|copy| &copy.file)) {
            Some(old) => Ok(file::changes(old, &new.file, now, &key)),
            None => {
                let records = log.entries().map_err(FollowError::Unrecorded)?;
                Ok(file::changes_since(&records, &new.file, now, &key))
            }
        }
    }

    /// The copy of the version that was recorded last, if it reads.
    fn copy(&self) -> Option<Version> {
        file::read_recorded_version(&self.data_dir)
            .inspect_err(|error| tracing::warn!(%error, "couldn't read access.recorded.toml"))
            .ok()
    }

    /// Issues a token, if `is_still_right` says so of the newest rights and `record` has recorded
    /// the reason and the version with the token. When this returns, the token is in the file and
    /// in force.
    pub fn issue_token(
        &self,
        token: &TokenEntry,
        now: Time,
        is_still_right: &dyn Fn(&AccessFile) -> bool,
        record: &dyn Fn(&Anchor) -> Result<(), String>,
    ) -> Result<(), IssueError> {
        let mut in_force = self.lock();
        let failed = |failure: Error| IssueError::Failed(failure.to_string());
        let (added, file) = file::change(&self.data_dir, |file| {
            if !is_still_right(file) {
                return Ok(Err(IssueError::Void));
            }
            let added = file.add_token(token.clone(), &self.uses, now);
            Ok(added.map_err(|TooManyTokens| IssueError::TooMany))
        })
        .map_err(failed)?;
        added?;
        let ids: HashSet<&str> = file.token.iter().map(|token| token.id.as_str()).collect();
        self.uses.retain(|id| ids.contains(id));
        // The file may hold someone else's change too, which comes into force once it is recorded.
        let mut with_token = in_force.file.clone().unwrap_or_default();
        // There was room in the newest version of the file, which counts.
        if with_token.add_token(token.clone(), &self.uses, now).is_err() {
            with_token.token.push(token.clone());
        }
        let version = Version::of(with_token);
        let anchor = Anchor {
            sha256: version.anchor(),
            before: in_force.anchor.as_ref().map(|anchor| anchor.sha256.clone()),
        };
        // The token is in the file, and not in force. If we crash here, the next start records it.
        if let Err(why) = record(&anchor) {
            let withdrawal = file::change(&self.data_dir, |file| file.revoke_tokens(&token.id));
            return Err(IssueError::Failed(
                withdrawal.map_or_else(|failure| failure.to_string(), |_| why),
            ));
        }
        in_force.anchor = Some(anchor);
        self.put_in_force(&mut in_force, version).map_err(failed)
    }

    /// Ends a token and those that were issued with it, once `log` has recorded that. When this
    /// returns, they are refused. Returns whether it was there: of two who end it at once, one
    /// gets true.
    pub fn end_token(&self, id: &str, log: &dyn AccessLog) -> Result<bool, String> {
        let ended = {
            let _in_force = self.lock();
            file::change(&self.data_dir, |file| {
                let is_known = file.token.iter().any(|token| token.id == id);
                if is_known { file.revoke_tokens(id) } else { Ok(0) }
            })
        };
        let (ended, _) = ended.map_err(|error| error.to_string())?;
        self.follow(log);
        match self.current().has_token(id) {
            true => Err("the end of a token could not be recorded".to_owned()),
            false => Ok(ended > 0),
        }
    }

    fn put_in_force(&self, in_force: &mut InForce, version: Version) -> Result<(), Error> {
        let snapshot =
            Snapshot::of(&version.file, &self.secrets_key, &self.own).map_err(Error::refused)?;
        self.put_snapshot(snapshot);
        file::write_recorded(&self.data_dir, &version)?;
        in_force.file = Some(version.file);
        Ok(())
    }

    fn put_snapshot(&self, snapshot: Snapshot) {
        let snapshot = snapshot.with_uses(&self.uses);
        *self.current.write().expect("no panic while held") = Arc::new(snapshot);
    }

    fn file_identity(&self) -> Option<FileIdentity> {
        use std::os::unix::fs::MetadataExt;
        let metadata = std::fs::metadata(self.data_dir.join(store::ACCESS)).ok()?;
        let changed = (metadata.ctime(), metadata.ctime_nsec());
        Some((metadata.ino(), metadata.len(), metadata.modified().ok()?, changed))
    }
}

/// How the version after the anchored one came to be.
fn cause(newest: &Anchor, copy: Option<&Version>, new: &Version) -> Cause {
    let sha256 = copy.and_then(|copy| copy.sha256.as_ref());
    // A crash between a record and its copy leaves the copy of the version before.
    let is_copy_known = sha256 == Some(&newest.sha256) || sha256 == newest.before.as_ref();
    // No command goes back to the bytes of a version before: each has a time of its own.
    let is_older = Some(&new.anchor()) == newest.before.as_ref();
    let is_ours = is_copy_known && !is_older && new.checksum == Some(Checksum::Right);
    if is_ours { Cause::Daybook } else { Cause::Outside }
}

/// The change of a file whose entries are as before.
fn no_difference() -> Change {
    Change {
        verb: "anchor",
        kind: "file".to_owned(),
        name: store::ACCESS.to_owned(),
        login: None,
        from: None,
        to: None,
        digest: None,
    }
}

/// Why a token was not issued.
pub enum IssueError {
    /// The credential for it became void meanwhile.
    Void,
    /// All tokens that the user may have are in use.
    TooMany,
    /// The token could not be stored or recorded.
    Failed(String),
}

/// Why a version of the file did not come into force.
enum FollowError {
    Unreadable(String),
    Unrecorded(String),
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::file::EntryRecord;

    /// A log that only has records of rights.
    #[derive(Default)]
    struct FakeLog {
        newest: Mutex<Option<Anchor>>,
        records: Mutex<Vec<(Cause, Vec<Change>)>>,
        is_full: bool,
    }

    impl FakeLog {
        /// What was recorded last, and how often something was.
        fn last(&self) -> (usize, Cause, Vec<String>) {
            let records = self.records.lock().expect("no panic while held");
            let (cause, changes) = records.last().expect("a record");
            let text = |change: &Change| format!("{} {} {}", change.verb, change.kind, change.name);
            (records.len(), *cause, changes.iter().map(text).collect())
        }
    }

    impl AccessLog for FakeLog {
        fn newest(&self) -> Result<Option<Anchor>, String> {
            Ok(self.newest.lock().expect("no panic while held").clone())
        }

        fn entries(&self) -> Result<Vec<EntryRecord>, String> {
            let mut entries: Vec<EntryRecord> = Vec::new();
            for (_, changes) in self.records.lock().expect("no panic while held").iter() {
                for Change { verb, kind, name, digest, .. } in changes.iter().cloned() {
                    entries.retain(|entry| (&entry.kind, &entry.name) != (&kind, &name));
                    if verb != "delete" {
                        entries.push(EntryRecord { kind, name, digest });
                    }
                }
            }
            Ok(entries)
        }

        fn record(&self, revision: &Revision<'_>) -> Result<(), String> {
            if self.is_full {
                return Err("the disk is full".to_owned());
            }
            *self.newest.lock().expect("no panic while held") = Some(revision.anchor.clone());
            let record = (revision.cause, revision.changes.clone());
            self.records.lock().expect("no panic while held").push(record);
            Ok(())
        }
    }

    struct TestDir(tempfile::TempDir);

    impl TestDir {
        /// A data directory with a user.
        fn new() -> TestDir {
            let folder = tempfile::tempdir().expect("room");
            fs::create_dir(folder.path().join("keys")).expect("room");
            let key = SecretsKey::file_of([7; 32]);
            let path = folder.path().join(store::SECRETS_KEY);
            fs::write(&path, key).expect("room");
            fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("ours");
            let test_dir = TestDir(folder);
            test_dir.add("alice");
            test_dir
        }

        fn add(&self, id: &str) {
            let user = file::UserEntry {
                id: id.to_owned(),
                name: id.to_owned(),
                domain: None,
                enabled: true,
                password: None,
            };
            file::change(self.0.path(), |file| file.add_user(user.clone())).expect("room");
        }

        fn open(&self, log: &FakeLog) -> Access {
            let own = Trail::new(event::Service::Dbaudit, "t", "p", "i").expect("valid");
            Access::open(self.0.path(), &own, log).expect("the file reads")
        }

        fn text(&self, name: &str) -> String {
            fs::read_to_string(self.0.path().join(name)).expect("there")
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.0.path().join(name), text).expect("room");
        }
    }

    const MALLORY: &str = "[[user]]\nid = \"mallory\"\nname = \"mallory\"\n";

    #[test]
    fn the_first_start_anchors_and_the_next_records_nothing() {
        let (test_dir, log) = (TestDir::new(), FakeLog::default());
        test_dir.open(&log);
        assert_eq!(log.last(), (1, Cause::First, vec!["create user alice".to_owned()]));
        // As after a crash before the copy was written.
        fs::remove_file(test_dir.0.path().join(store::ACCESS_RECORDED)).expect("there");
        test_dir.open(&log);
        assert_eq!(log.last().0, 1);
        assert_eq!(test_dir.text(store::ACCESS), test_dir.text(store::ACCESS_RECORDED));
    }

    #[test]
    fn a_directory_of_an_older_version_is_anchored_with_every_entry() {
        let (test_dir, log) = (TestDir::new(), FakeLog::default());
        test_dir.write(store::ACCESS_RECORDED, &test_dir.text(store::ACCESS));
        test_dir.add("bob");
        test_dir.open(&log);
        let names = ["create user bob", "anchor user alice"].map(str::to_owned).to_vec();
        assert_eq!(log.last(), (1, Cause::First, names));
    }

    #[test]
    fn changes_by_commands_are_daybooks_and_others_are_not() {
        let (test_dir, log) = (TestDir::new(), FakeLog::default());
        let access = test_dir.open(&log);
        test_dir.add("bob");
        access.follow(&log);
        assert_eq!(log.last(), (2, Cause::Daybook, vec!["create user bob".to_owned()]));
        test_dir.write(store::ACCESS, &(test_dir.text(store::ACCESS) + MALLORY));
        access.follow(&log);
        assert_eq!(log.last(), (3, Cause::Outside, vec!["create user mallory".to_owned()]));
        assert!(access.current().user("mallory").is_some());
        test_dir.add("carol");
        access.follow(&log);
        assert_eq!(log.last(), (4, Cause::Daybook, vec!["create user carol".to_owned()]));
    }

    #[test]
    fn a_command_does_not_hide_an_edit_before_it() {
        let (test_dir, log) = (TestDir::new(), FakeLog::default());
        let access = test_dir.open(&log);
        test_dir.write(store::ACCESS, &(test_dir.text(store::ACCESS) + MALLORY));
        test_dir.add("bob");
        access.follow(&log);
        let names = ["create user mallory", "create user bob"].map(str::to_owned).to_vec();
        assert_eq!(log.last(), (2, Cause::Outside, names));
    }

    #[test]
    fn both_files_replaced_bring_nothing_into_force_unrecorded() {
        let (test_dir, log) = (TestDir::new(), FakeLog::default());
        test_dir.open(&log);
        // The forger knows how files are made, and makes the checksum anew.
        let mut forged = file::read(test_dir.0.path()).expect("there");
        forged.user[0].enabled = false;
        forged.user.push(file::UserEntry { id: "mallory".to_owned(), ..forged.user[0].clone() });
        for name in [store::ACCESS, store::ACCESS_RECORDED] {
            test_dir.write(name, &forged.text());
        }
        test_dir.open(&log);
        let names = ["update user alice", "create user mallory"].map(str::to_owned).to_vec();
        assert_eq!(log.last(), (2, Cause::Outside, names));
    }

    #[test]
    fn a_forged_copy_alone_brings_nothing_into_force_with_a_login() {
        let (test_dir, log) = (TestDir::new(), FakeLog::default());
        let access = test_dir.open(&log);
        test_dir.write(store::ACCESS_RECORDED, &(test_dir.text(store::ACCESS) + MALLORY));
        let now = system::now();
        let token = TokenEntry {
            id: "t".to_owned(),
            sha256: "00".repeat(32),
            user: "alice".to_owned(),
            project: None,
            domain: None,
            methods: Vec::new(),
            parent: None,
            issued_at: now.to_string(),
            expires_at: now.plus_seconds(9).to_string(),
        };
        let issued = access.issue_token(&token, now, &|_| true, &|anchor| {
            *log.newest.lock().expect("no panic while held") = Some(anchor.clone());
            Ok(())
        });
        assert!(issued.is_ok() && access.current().user("mallory").is_none());
        access.follow(&log);
        test_dir.open(&log);
        assert_eq!(log.last().0, 1, "the login anchored the file with the token");
    }

    #[test]
    fn nothing_unrecorded_is_in_force() {
        let (test_dir, mut log) = (TestDir::new(), FakeLog::default());
        let access = test_dir.open(&log);
        log.is_full = true;
        test_dir.add("bob");
        access.follow(&log);
        assert!(access.current().user("bob").is_none());
        log.is_full = false;
        access.follow(&log);
        assert!(access.current().user("bob").is_some());
    }
}
