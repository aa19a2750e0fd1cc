//! Differences between two versions of `access.toml`.

use std::collections::HashMap;

use event::Time;

use super::entries::AccessFile;
use super::facts::{EntryFacts, TOKEN, facts};

/// A difference between two versions of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// `create`, `update` or `delete`; `anchor` for an entry that did not change and that the log
    /// has no record of.
    pub verb: &'static str,
    /// `user`, `grant`, …
    pub kind: String,
    /// Id or name of the entry.
    pub name: String,
    /// Login name of the user whom the entry is about.
    pub login: Option<String>,
    /// The members before and after, those that differ, without secrets.
    pub from: Option<String>,
    pub to: Option<String>,
    /// Keyed digest of the entry after the change.
    pub digest: Option<String>,
}

/// An entry as the log's records leave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryRecord {
    pub kind: String,
    pub name: String,
    /// Keyed digest of the entry; records of older versions have none.
    pub digest: Option<String>,
}

/// Differences between two versions, without expired tokens. Tokens that a server issued are in
/// both versions. `key` is the key of digests.
pub fn changes(old: &AccessFile, new: &AccessFile, now: Time, key: &[u8; 32]) -> Vec<Change> {
    let logins = Logins { new, old: Some(old), key };
    let (old, new) = (facts(old, now), facts(new, now));
    let (before, after) = (by_name(&old), by_name(&new));
    let mut changes = Vec::new();
    for entry in last_of_each(&new, &after) {
        match before.get(&name_of(entry)) {
            None => changes.push(logins.create(entry)),
            Some(was) if was != &entry => changes.push(logins.update(was, entry)),
            Some(_) => {}
        }
    }
    let gone = last_of_each(&old, &before).filter(|entry| !after.contains_key(&name_of(entry)));
    changes.extend(gone.map(|entry| logins.delete(entry)));
    changes
}

/// Differences between what the log's records leave and a version. Tokens that are gone are left
/// out: most expired.
pub fn changes_since(
    records: &[EntryRecord],
    new: &AccessFile,
    now: Time,
    key: &[u8; 32],
) -> Vec<Change> {
    let logins = Logins { new, old: None, key };
    let new = facts(new, now);
    let after = by_name(&new);
    let before: HashMap<(&str, &str), &EntryRecord> =
        records.iter().map(|record| ((&*record.kind, &*record.name), record)).collect();
    let mut changes = Vec::new();
    for entry in last_of_each(&new, &after) {
        match before.get(&name_of(entry)) {
            None => changes.push(logins.create(entry)),
            Some(EntryRecord { digest: Some(digest), .. }) if *digest != entry.digest(key) => {
                let from = Some("as the log has it".to_owned());
                let verb = "update";
                changes.push(Change { verb, from, ..logins.create(entry) });
            }
            Some(_) => {}
        }
    }
    let is_gone = |record: &&EntryRecord| {
        record.kind != TOKEN && !after.contains_key(&(&*record.kind, &*record.name))
    };
    changes.extend(records.iter().filter(is_gone).map(|record| Change {
        verb: "delete",
        kind: record.kind.clone(),
        name: record.name.clone(),
        login: None,
        from: None,
        to: None,
        digest: None,
    }));
    changes
}

/// Every entry of a version that these changes do not name.
pub fn unchanged(file: &AccessFile, changes: &[Change], now: Time, key: &[u8; 32]) -> Vec<Change> {
    let logins = Logins { new: file, old: None, key };
    let all = facts(file, now);
    let is_named = |entry: &EntryFacts| {
        changes.iter().any(|change| change.kind == entry.kind && change.name == entry.name)
    };
    let left = all.iter().filter(|entry| !is_named(entry));
    left.map(|entry| Change { verb: "anchor", ..logins.create(entry) }).collect()
}

fn name_of(entry: &EntryFacts) -> (&str, &str) {
    (entry.kind, &entry.name)
}

fn by_name(entries: &[EntryFacts]) -> HashMap<(&str, &str), &EntryFacts> {
    entries.iter().map(|entry| (name_of(entry), entry)).collect()
}

/// The entries in order, of those with one name the last.
fn last_of_each<'a>(
    entries: &'a [EntryFacts],
    by_name: &HashMap<(&str, &str), &'a EntryFacts>,
) -> impl Iterator<Item = &'a EntryFacts> {
    entries.iter().filter(|entry| {
        by_name.get(&name_of(entry)).is_some_and(|last| std::ptr::eq(*last, *entry))
    })
}

/// Makes changes with the login names of users.
struct Logins<'a> {
    new: &'a AccessFile,
    old: Option<&'a AccessFile>,
    key: &'a [u8; 32],
}

impl Logins<'_> {
    fn create(&self, entry: &EntryFacts) -> Change {
        Change {
            verb: "create",
            kind: entry.kind.to_owned(),
            name: entry.name.clone(),
            login: self.login(entry),
            from: None,
            to: Some(entry.text()),
            digest: Some(entry.digest(self.key)),
        }
    }

    fn update(&self, was: &EntryFacts, entry: &EntryFacts) -> Change {
        let (from, to) = was.differences(entry);
        Change { verb: "update", from: Some(from), to: Some(to), ..self.create(entry) }
    }

    fn delete(&self, entry: &EntryFacts) -> Change {
        let from = Some(entry.text());
        Change { verb: "delete", from, to: None, digest: None, ..self.create(entry) }
    }

    fn login(&self, entry: &EntryFacts) -> Option<String> {
        let id = entry.user.as_ref()?;
        let users = self.new.user.iter().chain(self.old.iter().flat_map(|old| &old.user));
        users.into_iter().find(|user| user.id == *id).map(|user| user.name.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::entries::samples::{token, user};
    use crate::rights::Permission;

    const KEY: [u8; 32] = [7; 32];

    fn names(changes: &[Change]) -> Vec<(&str, &str, &str)> {
        changes.iter().map(|change| (change.verb, &*change.kind, &*change.name)).collect()
    }

    /// Two versions of a file.
    fn versions(now: Time) -> (AccessFile, AccessFile) {
        let mut old = AccessFile::default();
        old.add_user(user("a")).expect("new");
        old.add_user(user("b")).expect("new");
        old.token =
            vec![token("t1", "a", now.plus_seconds(9)), token("t2", "a", now.plus_seconds(-9))];
        let mut new = old.clone();
        new.enable_user("a", false).expect("there");
        new.remove_user("b").expect("there");
        new.grant("a", Permission::Reader, &"*/*/*/*".parse().expect("a pattern")).expect("there");
        new.token = vec![token("t3", "a", now.plus_seconds(9))];
        (old, new)
    }

    #[test]
    fn a_change_names_what_differs() {
        let now = Time::from_unix_ns(0).plus_seconds(1_000_000_000);
        let (old, new) = versions(now);
        let found = changes(&old, &new, now, &KEY);
        assert_eq!(
            names(&found),
            [
                ("update", "user", "a"),
                ("create", "grant", "a reader */*/*/*"),
                ("create", "token", "t3 of a"),
                ("delete", "user", "b"),
                ("delete", "token", "t1 of a"),
            ]
        );
        assert_eq!(found[0].from.as_deref(), Some("enabled=true"));
        assert_eq!(found[0].to.as_deref(), Some("enabled=false"));
        assert_eq!(found[1].to.as_deref(), Some("user=a role=reader trails=*/*/*/*"));
        assert_eq!(found[1].login.as_deref(), Some("a"));
        assert_eq!(changes(&new, &new, now, &KEY), []);
    }

    #[test]
    fn the_records_of_the_log_show_the_same_differences() {
        let now = Time::from_unix_ns(0).plus_seconds(1_000_000_000);
        let (old, new) = versions(now);
        let record = |change: Change| EntryRecord {
            kind: change.kind,
            name: change.name,
            digest: change.digest,
        };
        let mut records: Vec<_> = unchanged(&old, &[], now, &KEY).into_iter().map(record).collect();
        let found = changes_since(&records, &new, now, &KEY);
        assert_eq!(
            names(&found),
            [
                ("update", "user", "a"),
                ("create", "grant", "a reader */*/*/*"),
                ("create", "token", "t3 of a"),
                ("delete", "user", "b"),
            ]
        );
        assert_eq!(changes_since(&records, &old, now, &KEY), []);
        // Records of older versions have no digests: nobody can say what changed within an entry.
        records.iter_mut().for_each(|record| record.digest = None);
        assert_eq!(names(&changes_since(&records, &new, now, &KEY))[0].0, "create");
    }

    #[test]
    fn a_secret_changes_without_being_named() {
        let now = Time::from_unix_ns(0);
        let mut old = AccessFile::default();
        old.add_user(user("a")).expect("new");
        let mut new = old.clone();
        new.set_password("a", "$argon2id$one".to_owned()).expect("there");
        let mut newer = new.clone();
        newer.set_password("a", "$argon2id$two".to_owned()).expect("there");
        let texts = |old, new| {
            let found = changes(old, new, now, &KEY);
            (found[0].from.clone().expect("before"), found[0].to.clone().expect("after"))
        };
        let pair = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        assert_eq!(texts(&old, &new), pair("password=unset", "password=set"));
        assert_eq!(texts(&new, &newer), pair("password=set", "password=another"));
    }

    #[test]
    fn of_two_entries_with_one_name_the_last_counts() {
        let now = Time::from_unix_ns(0);
        let mut old = AccessFile::default();
        old.add_user(user("a")).expect("new");
        old.enable_user("a", false).expect("there");
        let mut new = old.clone();
        new.user.push(user("a"));
        let found = changes(&old, &new, now, &KEY);
        assert_eq!(names(&found), [("update", "user", "a")]);
        assert_eq!(names(&changes(&new, &old, now, &KEY)), [("update", "user", "a")]);
    }
}
