//! Edits of `access.toml`: each adds, changes or removes one entry, or says why it cannot.

use event::{Time, TrailPattern};
use sha2::{Digest, Sha256};

use super::entries::{
    AccessFile, AppCodeEntry, DomainEntry, GrantEntry, KeyEntry, ProjectEntry, TokenEntry,
    UserEntry,
};
use crate::error::Error;
use crate::rights::Permission;
use crate::secrets::{Secret, SecretsKey};
use crate::token_uses::TokenUses;

/// Most tokens of one user at a time; a further one removes one that is not in use.
pub const TOKENS_PER_USER_MAX: usize = 100;

/// All tokens that a user may have are in use.
#[derive(Debug, PartialEq, Eq)]
pub struct TooManyTokens;

impl AccessFile {
    /// The user with this id, or with this name if only one has it.
    pub fn find_user(&self, text: &str) -> Result<&UserEntry, Error> {
        if let Some(user) = self.user.iter().find(|user| user.id == text) {
            return Ok(user);
        }
        let mut named = self.user.iter().filter(|user| user.name == text);
        match (named.next(), named.next()) {
            (Some(user), None) => Ok(user),
            (None, _) => Err(Error::refused(format!(
                "there is no user {text:?}; `daybook access list` shows all"
            ))),
            _ => Err(Error::refused(format!("several users are named {text:?}; give an id"))),
        }
    }

    fn user_mut(&mut self, text: &str) -> Result<&mut UserEntry, Error> {
        let id = self.find_user(text)?.id.clone();
        Ok(self.user.iter_mut().find(|user| user.id == id).expect("its id is the id of a user"))
    }

    pub fn add_domain(&mut self, entry: DomainEntry) -> Result<(), Error> {
        check_id("domain id", &entry.id)?;
        check_name("domain", &entry.name)?;
        if self.domain.iter().any(|domain| domain.id == entry.id || domain.name == entry.name) {
            return Err(Error::refused(format!(
                "a domain {} or one named {} exists already",
                entry.id, entry.name
            )));
        }
        self.domain.push(entry);
        Ok(())
    }

    /// Removes a domain's name; its projects and users stay.
    pub fn remove_domain(&mut self, id: &str) -> Result<(), Error> {
        remove("domain", id, &mut self.domain, |domain| domain.id == id)
    }

    pub fn add_project(&mut self, entry: ProjectEntry) -> Result<(), Error> {
        check_id("project id", &entry.id)?;
        check_id("project name", &entry.name)?;
        check_id("tenant", &entry.tenant)?;
        if self.project.iter().any(|project| project.id == entry.id) {
            return Err(Error::refused(format!("project {} exists already", entry.id)));
        }
        self.project.push(entry);
        Ok(())
    }

    pub fn remove_project(&mut self, id: &str) -> Result<(), Error> {
        remove("project", id, &mut self.project, |project| project.id == id)
    }

    pub fn add_user(&mut self, entry: UserEntry) -> Result<(), Error> {
        check_id("user id", &entry.id)?;
        check_name("user", &entry.name)?;
        entry.domain.as_deref().map_or(Ok(()), |domain| check_id("domain id", domain))?;
        if self.user.iter().any(|user| user.id == entry.id) {
            return Err(Error::refused(format!("user {} exists already", entry.id)));
        }
        if self.user.iter().any(|user| user.name == entry.name && user.domain == entry.domain) {
            return Err(Error::refused(format!(
                "a user named {:?} exists already in that domain",
                entry.name
            )));
        }
        self.user.push(entry);
        Ok(())
    }

    /// Removes a user with the user's keys, grants and tokens.
    pub fn remove_user(&mut self, user: &str) -> Result<(), Error> {
        let id = self.find_user(user)?.id.clone();
        self.user.retain(|user| user.id != id);
        self.access_key.retain(|key| key.user != id);
        self.grant.retain(|grant| grant.user != id);
        self.token.retain(|token| token.user != id);
        Ok(())
    }

    pub fn enable_user(&mut self, user: &str, enabled: bool) -> Result<(), Error> {
        self.user_mut(user)?.enabled = enabled;
        Ok(())
    }

    /// Sets a user's password hash, and ends the user's tokens.
    pub fn set_password(&mut self, user: &str, hash: String) -> Result<(), Error> {
        let user = self.user_mut(user)?;
        user.password = Some(hash);
        let id = user.id.clone();
        self.token.retain(|token| token.user != id);
        Ok(())
    }

    pub fn add_key(
        &mut self,
        user: &str,
        id: &str,
        secret: &Secret,
        secrets_key: &SecretsKey,
        now: Time,
    ) -> Result<(), Error> {
        check_id("access key id", id)?;
        if !(8..=128).contains(&secret.expose().len())
            || secret.expose().chars().any(|c| c.is_control() || c.is_whitespace())
        {
            return Err(Error::usage("a secret has 8 to 128 bytes without white space"));
        }
        if self.access_key.iter().any(|key| key.id == id) {
            return Err(Error::refused(format!("access key {id} exists already")));
        }
        let user = self.find_user(user)?.id.clone();
        let encrypted_secret = secrets_key.encrypt(id, secret, system::random());
        self.access_key.push(KeyEntry {
            id: id.to_owned(),
            user,
            created_at: now.to_string(),
            encrypted_secret,
            enabled: true,
        });
        Ok(())
    }

    pub fn remove_key(&mut self, id: &str) -> Result<(), Error> {
        remove("access key", id, &mut self.access_key, |key| key.id == id)
    }

    pub fn enable_key(&mut self, id: &str, enabled: bool) -> Result<(), Error> {
        match self.access_key.iter_mut().find(|key| key.id == id) {
            Some(key) => key.enabled = enabled,
            None => return Err(Error::refused(format!("there is no access key {id:?}"))),
        }
        Ok(())
    }

    pub fn grant(
        &mut self,
        user: &str,
        role: Permission,
        trails: &TrailPattern,
    ) -> Result<(), Error> {
        let entry =
            GrantEntry { user: self.find_user(user)?.id.clone(), role, trails: trails.to_string() };
        if !self.grant.contains(&entry) {
            self.grant.push(entry);
        }
        Ok(())
    }

    pub fn revoke(
        &mut self,
        user: &str,
        role: Permission,
        trails: &TrailPattern,
    ) -> Result<(), Error> {
        let entry =
            GrantEntry { user: self.find_user(user)?.id.clone(), role, trails: trails.to_string() };
        let before = self.grant.len();
        self.grant.retain(|grant| *grant != entry);
        if self.grant.len() == before {
            Err(Error::refused("there is no such grant"))
        } else {
            Ok(())
        }
    }

    pub fn add_app_code(&mut self, name: &str, code: &str) -> Result<(), Error> {
        check_id("name of an app code", name)?;
        if !(16..=128).contains(&code.len()) || !code.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::usage("an app code has 16 to 128 visible ASCII characters"));
        }
        if self.app_code.iter().any(|entry| entry.name == name) {
            return Err(Error::refused(format!("an app code {name} exists already")));
        }
        self.app_code.push(AppCodeEntry {
            name: name.to_owned(),
            sha256: hex::encode(Sha256::digest(code)),
        });
        Ok(())
    }

    pub fn remove_app_code(&mut self, name: &str) -> Result<(), Error> {
        remove("app code", name, &mut self.app_code, |code| code.name == name)
    }

    /// Adds a token. Drops tokens that expired a day ago, and the oldest beyond the most of a user.
    pub fn add_token(
        &mut self,
        token: TokenEntry,
        uses: &TokenUses,
        now: Time,
    ) -> Result<(), TooManyTokens> {
        let retained_until = now.plus_seconds(-TOKEN_RETENTION_S).to_string();
        self.token.retain(|token| token.expires_at > retained_until);
        self.make_room(&token.user, uses, now)?;
        self.token.push(token);
        Ok(())
    }

    /// Adds the code of a link, for which no other token goes.
    pub fn add_link(&mut self, link: TokenEntry) {
        self.token.push(link);
    }

    /// Removes the tokens of a user that would be missed least, so that there is room for one more.
    fn make_room(&mut self, user: &str, uses: &TokenUses, now: Time) -> Result<(), TooManyTokens> {
        let issued_at = |token: &TokenEntry| {
            Time::parse_rfc3339(&token.issued_at).map_or(Time::from_unix_ns(0), |(at, _)| at)
        };
        let all = self.token.iter().enumerate().filter(|(_, token)| token.user == user);
        let mut ranked: Vec<_> = all
            .map(|(position, token)| (uses.rank(&token.id, issued_at(token)), position))
            .collect();
        ranked.sort_unstable();
        ranked.truncate((ranked.len() + 1).saturating_sub(TOKENS_PER_USER_MAX));
        if ranked.iter().any(|(rank, _)| rank.is_in_use(now)) {
            return Err(TooManyTokens);
        }
        let mut positions: Vec<usize> = ranked.into_iter().map(|(_, position)| position).collect();
        positions.sort_unstable();
        for position in positions.into_iter().rev() {
            self.token.remove(position);
        }
        Ok(())
    }

    /// Removes the token with this id and the tokens issued by it, or every token of this user.
    /// Returns their number.
    pub fn revoke_tokens(&mut self, which: &str) -> Result<usize, Error> {
        let before = self.token.len();
        let mut revoked = vec![which.to_owned()];
        // A token comes after its parent.
        self.token.retain(|token| {
            let is_retained = !revoked.contains(&token.id)
                && !token.parent.as_ref().is_some_and(|parent| revoked.contains(parent));
            if !is_retained {
                revoked.push(token.id.clone());
            }
            is_retained
        });
        if self.token.len() == before {
            let user = self.find_user(which)?.id.clone();
            self.token.retain(|token| token.user != user);
        }
        Ok(before - self.token.len())
    }
}

/// Time for which an expired token is still distinguished from an unknown one.
const TOKEN_RETENTION_S: i64 = 24 * 60 * 60;

fn remove<T>(
    what: &str,
    id: &str,
    entries: &mut Vec<T>,
    is_it: impl Fn(&T) -> bool,
) -> Result<(), Error> {
    let before = entries.len();
    entries.retain(|entry| !is_it(entry));
    if entries.len() == before {
        Err(Error::refused(format!("there is no {what} {id:?}")))
    } else {
        Ok(())
    }
}

/// Ids stand in paths, headers and trails: 1 to 128 visible ASCII characters but `/`, `*`, `,` and
/// `=`.
fn check_id(what: &str, id: &str) -> Result<(), Error> {
    let is_id = (1..=128).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_graphic() && !b"/*,=".contains(&byte));
    if is_id {
        Ok(())
    } else {
        Err(Error::usage(format!(
            "a {what} has 1 to 128 visible ASCII characters, and no '/', '*', ',' or '='"
        )))
    }
}

fn check_name(what: &str, name: &str) -> Result<(), Error> {
    if name.is_empty() || name.len() > 128 || name.chars().any(char::is_control) {
        return Err(Error::usage(format!(
            "a {what} name has 1 to 128 bytes and no control characters"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::entries::samples::token;

    #[test]
    fn a_user_has_a_bounded_number_of_tokens() {
        let now = Time::from_unix_ns(0).plus_seconds(1_000_000_000);
        let mut file = AccessFile::default();
        let uses = TokenUses::default();
        let mut add = |id: &str, user: &str, expires_in_s| {
            let token = token(id, user, now.plus_seconds(expires_in_s));
            assert_eq!(file.add_token(token, &uses, now), Ok(()));
        };
        add("other", "b", 9);
        add("expired", "b", -TOKEN_RETENTION_S - 1);
        for number in 0..TOKENS_PER_USER_MAX + 5 {
            add(&number.to_string(), "a", 9);
        }
        let of_a: Vec<_> =
            file.token.iter().filter(|token| token.user == "a").map(|t| t.id.as_str()).collect();
        assert_eq!((of_a.len(), of_a[0]), (TOKENS_PER_USER_MAX, "5"), "the oldest was dropped");
        assert_eq!(file.token.iter().filter(|token| token.user == "b").count(), 1);
    }

    #[test]
    fn a_further_token_ends_none_that_is_in_use() {
        let start = Time::from_unix_ns(0).plus_seconds(1_000_000_000);
        let (mut file, uses) = (AccessFile::default(), TokenUses::since(start));
        let mut add = |id: &str, now: Time| {
            let token = token(id, "a", now.plus_seconds(86_400));
            let token = TokenEntry { issued_at: now.to_string(), ..token };
            let added = file.add_token(token, &uses, now);
            (added, file.token.iter().map(|token| token.id.clone()).collect::<Vec<_>>())
        };
        // Issued before the start, so that its use is not known; in use; and many of one act each.
        assert_eq!(add("before", start.plus_seconds(-9)).0, Ok(()));
        assert_eq!(add("lasting", start).0, Ok(()));
        uses.note("lasting", start.plus_seconds(120));
        for number in 0..3 * TOKENS_PER_USER_MAX {
            let now = start.plus_seconds(200 + i64::try_from(number).expect("small"));
            let id = number.to_string();
            let (added, tokens) = add(&id, now);
            assert_eq!((added, tokens.len().max(100)), (Ok(()), 100));
            assert!(["before", "lasting"].iter().all(|id| tokens.iter().any(|one| one == id)));
            uses.note(&id, now);
        }
        // Once all are in use, a further one is refused; when one is no more, it makes room.
        let (later, end) = (start.plus_seconds(1000), start.plus_seconds(1000 + 3600));
        for number in 0..3 * TOKENS_PER_USER_MAX {
            uses.note(&number.to_string(), later);
        }
        let (added, tokens) = add("further", later);
        assert_eq!((added, tokens.len()), (Err(TooManyTokens), 100));
        let (added, tokens) = add("further", end);
        assert_eq!((added, tokens.len()), (Ok(()), 100));
        assert!(!tokens.contains(&"before".to_owned()), "unused for the longest");
    }
}
