//! Differences between two versions of `access.toml`.

use event::Time;

use super::entries::{AccessFile, GrantEntry, TokenEntry};

/// A difference between two versions of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// `create`, `update` or `delete`.
    pub verb: &'static str,
    /// `user`, `grant`, …
    pub kind: &'static str,
    /// Id or name of the entry.
    pub name: String,
}

/// Differences between two versions, without expired tokens. Tokens that a server issued are in
/// both versions.
pub fn changes(old: &AccessFile, new: &AccessFile, now: Time) -> Vec<Change> {
    let mut changes = Vec::new();
    compare("domain", &old.domain, &new.domain, |entry| entry.id.clone(), &mut changes);
    compare("project", &old.project, &new.project, |entry| entry.id.clone(), &mut changes);
    compare("user", &old.user, &new.user, |entry| entry.id.clone(), &mut changes);
    compare("access_key", &old.access_key, &new.access_key, |entry| entry.id.clone(), &mut changes);
    let grant = |entry: &GrantEntry| format!("{} {} {}", entry.user, entry.role, entry.trails);
    compare("grant", &old.grant, &new.grant, grant, &mut changes);
    compare("app_code", &old.app_code, &new.app_code, |entry| entry.name.clone(), &mut changes);
    let now = now.to_string();
    let valid = |tokens: &[TokenEntry]| -> Vec<TokenEntry> {
        tokens.iter().filter(|token| token.expires_at > now).cloned().collect()
    };
    let token = |entry: &TokenEntry| format!("{} of {}", entry.id, entry.user);
    compare("token", &valid(&old.token), &valid(&new.token), token, &mut changes);
    changes
}

fn compare<T: PartialEq>(
    kind: &'static str,
    old: &[T],
    new: &[T],
    name: impl Fn(&T) -> String,
    changes: &mut Vec<Change>,
) {
    let mut add = |verb, entry: &T| changes.push(Change { verb, kind, name: name(entry) });
    for entry in new {
        match old.iter().find(|one| name(one) == name(entry)) {
            None => add("create", entry),
            Some(before) if before != entry => add("update", entry),
            Some(_) => {}
        }
    }
    for entry in old.iter().filter(|entry| !new.iter().any(|one| name(one) == name(entry))) {
        add("delete", entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::entries::samples::{token, user};
    use crate::rights::Permission;

    #[test]
    fn a_change_names_what_differs() {
        let now = Time::from_unix_ns(0).plus_seconds(1_000_000_000);
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
        let change = |verb, kind, name: &str| Change { verb, kind, name: name.to_owned() };
        assert_eq!(
            changes(&old, &new, now),
            [
                change("update", "user", "a"),
                change("delete", "user", "b"),
                change("create", "grant", "a reader */*/*/*"),
                change("create", "token", "t3 of a"),
                change("delete", "token", "t1 of a"),
            ]
        );
        assert_eq!(changes(&new, &new, now), []);
    }
}
