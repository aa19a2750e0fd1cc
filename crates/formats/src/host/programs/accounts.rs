//! The programs that manage users, groups and passwords: shadow's
//! <https://github.com/shadow-maint/shadow>.

use super::{COMPANION, Meaning, said};
use crate::item::NoEvent;
use event::{Operation, Severity};

/// The programs whose lines are read here.
pub(super) const PROGRAMS: [&str; 14] = [
    "adduser", "chage", "chfn", "chpasswd", "chsh", "gpasswd", "groupadd", "groupdel", "groupmod",
    "newusers", "passwd", "useradd", "userdel", "usermod",
];

/// Beginnings of lines: their meaning, the text that ends the name, and the kind of the name. The
/// first that fits counts.
const RULES: [(&str, &str, &str, Operation, &str); 15] = [
    ("new user: name=", ", UID=", "create_user", Operation::Create, "user"),
    ("new group: name=", ", GID=", "create_group", Operation::Create, "group"),
    ("delete user '", "'", "delete_user", Operation::Delete, "user"),
    ("removed group '", "' owned by ", "delete_group", Operation::Delete, "group"),
    ("group '", "' removed", "delete_group", Operation::Delete, "group"),
    ("group changed in /etc/group (group ", "/", "update_group", Operation::Update, "group"),
    ("change user '", "'", "update_user", Operation::Update, "user"),
    ("changed user '", "'", "update_user", Operation::Update, "user"),
    ("lock user '", "'", "lock_user", Operation::Update, "user"),
    ("unlock user '", "'", "unlock_user", Operation::Update, "user"),
    ("changed password expiry for ", "", "update_user", Operation::Update, "user"),
    ("password for '", "' changed by ", "change_password", Operation::Update, "user"),
    ("password of group ", " changed by ", "change_password", Operation::Update, "group"),
    ("members of group ", " set by ", "set_members", Operation::Grant, "group"),
    ("administrators of group ", " set by ", "set_members", Operation::Grant, "group"),
];

pub(super) fn meaning(program: &str, text: &str) -> Result<Option<Meaning>, NoEvent> {
    if is_companion(text) {
        return Err(NoEvent::Skipped(COMPANION));
    }
    let action = |verb: &str| format!("{program}.{verb}");
    if let Some((verb, user, group, by)) = membership(text) {
        return Ok(Some(
            said(&action(verb), Operation::Grant).by(by).of("group", group).with("member", user),
        ));
    }
    if let Some(rest) = text.strip_prefix("failed adding user '") {
        let name = rest.split_once('\'').map_or(rest, |(name, _)| name);
        let meaning = said(&action("create_user"), Operation::Create).of("user", name);
        return Ok(Some(meaning.failed(Severity::MINOR, "failed")));
    }
    Ok(RULES.iter().find_map(|(start, end, verb, operation, kind)| {
        let rest = text.strip_prefix(start)?;
        let (name, rest) = if end.is_empty() { (rest, "") } else { rest.split_once(end)? };
        let by =
            if end.ends_with(" by ") && !end.contains("owned") { first_name(rest) } else { "" };
        Some(said(&action(verb), *operation).by(by).of(kind, name))
    }))
}

/// The same change in the shadow file, or in each of the two files that a change of groups writes.
fn is_companion(text: &str) -> bool {
    text.starts_with("removed shadow group '")
        || text.starts_with("group added to /etc/")
        || (text.starts_with("group '") && text.contains("' removed from /etc/"))
        || text.starts_with("group changed in /etc/gshadow")
        || text.starts_with("group changed in /etc/passwd")
        || ((text.starts_with("add '") || text.starts_with("delete '"))
            && text.contains(" shadow group '"))
}

/// Reads `add 'al' to group 'wheel'`, `delete 'al' from group 'wheel'`, `user al added by root to
/// group wheel`: the verb, user, group, and by whom.
fn membership(text: &str) -> Option<(&'static str, &str, &str, &str)> {
    let quoted = |start: &str, middle: &str| {
        let (user, group) = text.strip_prefix(start)?.split_once(middle)?;
        Some((user, group.strip_suffix('\'').unwrap_or(group)))
    };
    if let Some((user, group)) = quoted("add '", "' to group '") {
        return Some(("add_member", user, group, ""));
    }
    if let Some((user, group)) = quoted("delete '", "' from group '") {
        return Some(("remove_member", user, group, ""));
    }
    let rest = text.strip_prefix("user ")?;
    let by = |middle: &str, before_group: &str| {
        let (user, rest) = rest.split_once(middle)?;
        let (by, group) = rest.rsplit_once(before_group)?;
        Some((user, group, by))
    };
    let added =
        by(" added by ", " to group ").map(|(user, group, by)| ("add_member", user, group, by));
    added.or_else(|| {
        by(" removed by ", " from group ")
            .map(|(user, group, by)| ("remove_member", user, group, by))
    })
}

/// The name at the beginning of a text, which may be quoted.
fn first_name(text: &str) -> &str {
    text.split(' ').next().unwrap_or_default().trim_matches('\'')
}
