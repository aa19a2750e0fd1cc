//! The form of `access.toml`.

use event::Time;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::checksum::with_checksum;
use crate::model::LINK;
use crate::rights::Permission;

/// The file as written.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessFile {
    pub(super) version: u32,
    /// Time and author of the last change by `daybook access`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_by: Option<String>,
    #[serde(default)]
    pub domain: Vec<DomainEntry>,
    #[serde(default)]
    pub project: Vec<ProjectEntry>,
    #[serde(default)]
    pub user: Vec<UserEntry>,
    #[serde(default)]
    pub access_key: Vec<KeyEntry>,
    #[serde(default)]
    pub grant: Vec<GrantEntry>,
    #[serde(default)]
    pub app_code: Vec<AppCodeEntry>,
    #[serde(default)]
    pub token: Vec<TokenEntry>,
}

/// A domain (account, tenant). A domain that only projects and users name has its id as its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DomainEntry {
    pub id: String,
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectEntry {
    pub id: String,
    pub name: String,
    pub tenant: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserEntry {
    pub id: String,
    pub name: String,
    /// The id of the user's domain; Daybook's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    #[serde(default = "yes")]
    pub enabled: bool,
    /// argon2id, in PHC form; a user without one cannot log in with a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyEntry {
    pub id: String,
    pub user: String,
    pub created_at: String,
    /// The name in format 1.
    #[serde(rename = "sealed_secret")]
    pub encrypted_secret: String,
    #[serde(default = "yes")]
    pub enabled: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantEntry {
    pub user: String,
    pub role: Permission,
    pub trails: String,
}

/// An app code, which clients of the ops platform's gateway show besides a token. Only its hash is
/// stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppCodeEntry {
    pub name: String,
    pub sha256: String,
}

/// An issued token. Only its hash is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenEntry {
    pub id: String,
    pub sha256: String,
    pub user: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    pub methods: Vec<String>,
    /// Id of the token by which this one was issued, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    pub issued_at: String,
    pub expires_at: String,
}

impl TokenEntry {
    /// The code of a link that signs a user in once, until `life_s` seconds from `now`.
    pub fn link(code: &str, user: &str, now: Time, life_s: i64) -> TokenEntry {
        let hash = hex::encode(Sha256::digest(code));
        TokenEntry {
            id: hash[..16].to_owned(),
            sha256: hash,
            user: user.to_owned(),
            project: None,
            domain: None,
            methods: vec![LINK.to_owned()],
            parent: None,
            issued_at: now.to_string(),
            expires_at: now.plus_seconds(life_s).to_string(),
        }
    }
}

pub(super) const VERSION: u32 = 1;

fn yes() -> bool {
    true
}

impl AccessFile {
    pub fn parse(text: &str) -> Result<AccessFile, String> {
        let file: AccessFile = toml::from_str(text).map_err(|error| error.to_string())?;
        if file.version != VERSION {
            return Err(format!("version {} is not {VERSION}", file.version));
        }
        Ok(file)
    }

    /// The text of the file, with its checksum.
    pub fn text(&self) -> String {
        with_checksum(&self.bare_text())
    }

    /// The text of the file without a checksum.
    pub(super) fn bare_text(&self) -> String {
        let file = toml::to_string(self).expect("tables of texts, booleans and a number");
        format!("# Written by `daybook access`; a server follows it when it changes.\n{file}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Data directories of format 1 have this name.
    #[test]
    fn an_encrypted_secret_has_its_name_of_format_1() {
        let text = "version = 1\n[[access_key]]\nid = \"k\"\nuser = \"u\"\ncreated_at = \"\"\n\
                    sealed_secret = \"00\"\nenabled = true\n";
        let file = AccessFile::parse(text).expect("a file of format 1");
        assert_eq!(file.access_key[0].encrypted_secret, "00");
        assert!(file.text().contains("\nsealed_secret = \"00\"\n"), "{}", file.text());
    }

    #[test]
    fn other_versions_and_unknown_keys_are_refused() {
        for (text, why) in [
            ("version = 2", "version 2 is not 1"),
            ("", "version"),
            ("version = 1\nusers = []", "users"),
            ("version = 1\n[[domain]]\nid = 'd'\nname = 'd'\nsize = 1", "size"),
            ("version = 1\n[[grant]]\nuser = 'u'\nrole = 'king'\ntrails = '*'", "is no role"),
        ] {
            let error = AccessFile::parse(text).expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}

/// Entries for tests.
#[cfg(test)]
pub(super) mod samples {
    use event::Time;

    use super::{TokenEntry, UserEntry};

    pub fn token(id: &str, user: &str, expires_at: Time) -> TokenEntry {
        TokenEntry {
            id: id.to_owned(),
            sha256: String::new(),
            user: user.to_owned(),
            project: None,
            domain: None,
            methods: Vec::new(),
            parent: None,
            issued_at: String::new(),
            expires_at: expires_at.to_string(),
        }
    }

    pub fn user(id: &str) -> UserEntry {
        UserEntry {
            id: id.to_owned(),
            name: id.to_owned(),
            domain: None,
            enabled: true,
            password: None,
        }
    }
}
