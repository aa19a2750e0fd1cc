//! `daybook profile`: named servers and the credentials for them.
//!
//! Profiles are stored in `profiles.toml` of the user's configuration folder, readable by the owner
//! alone. The file holds the tokens and secrets themselves, so that the files they were read from
//! may go. No secret is ever printed.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{ArgGroup, Subcommand};
use serde::{Deserialize, Serialize};
use store::durable::Local;
use store::{FileObjects, Objects, Version};

use super::credentials::{Credentials, read_secret};
use super::{say, warn};
use event::Time;
use event::terminal::printable;
use server::failure::Failure;

#[derive(clap::Args)]
#[command(
    after_long_help = "Profiles are stored in profiles.toml, readable by its owner alone, in the \
                       folder DAYBOOK_CONFIG_HOME, else $XDG_CONFIG_HOME/daybook, else \
                       ~/.config/daybook. The file has tokens and secrets; no command prints \
                       them.\n\n\
                       Commands use the profile of --profile NAME, else of the variable \
                       DAYBOOK_PROFILE, else the profile in use.\n\n\
                       Examples:\n  \
                       daybook profile add prod --url https://audit.example.com --token-file \
                       token\n  \
                       daybook profile add lab --url https://10.0.0.5:8420 --access-key AKEXAMPLE \
                       --secret-file secret --ca lab-ca.pem\n  \
                       daybook profile list\n  \
                       daybook profile use prod\n  \
                       daybook profile show lab\n  \
                       daybook profile remove lab"
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Add a profile. The first one is in use at once.
    #[command(
        group = ArgGroup::new("credentials").args(["token_file", "access_key"]),
        after_long_help = "Examples:\n  daybook profile add prod --url https://audit.example.com \
                           --token-file token\n  daybook profile add prod --url \
                           https://audit.example.com --access-key AKEXAMPLE --secret-file secret"
    )]
    Add {
        /// Name of the profile: letters, digits, -, _ and dots.
        #[arg(value_name = "NAME", value_parser = parse_name)]
        name: String,
        /// Address of the server.
        #[arg(long, value_name = "URL", value_parser = parse_url)]
        url: String,
        /// File with a login token. A token is valid for a day.
        #[arg(long, value_name = "FILE")]
        token_file: Option<PathBuf>,
        /// Id of the access key that signs requests.
        #[arg(long, value_name = "ID", requires = "secret_file")]
        access_key: Option<String>,
        /// File with the secret of the access key.
        #[arg(long, value_name = "FILE", requires = "access_key")]
        secret_file: Option<PathBuf>,
        /// PEM file with certificate authorities to trust instead of the machine's.
        #[arg(long, value_name = "FILE")]
        ca: Option<PathBuf>,
        /// Replace a profile of this name.
        #[arg(long)]
        replace: bool,
    },
    /// List profiles. A star marks the one in use.
    List,
    /// Show a profile without its secrets.
    Show {
        /// Name of the profile. Default: the one in use.
        #[arg(value_name = "NAME")]
        name: Option<String>,
    },
    /// Remove a profile with its secrets.
    Remove {
        /// Name of the profile.
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Use this profile by default.
    Use {
        /// Name of the profile.
        #[arg(value_name = "NAME")]
        name: String,
    },
}

/// Name of the file in its folder.
const FILE: &str = "profiles.toml";
/// Longest name of a profile.
const NAME_BYTES_MAX: usize = 64;

/// A server and the credentials for it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    pub url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    access_key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    /// The login that the token comes from: the next one asks for the password alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// End of the token, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
}

impl Profile {
    /// Credentials for the server.
    pub fn credentials(&self) -> Credentials {
        match (&self.token, &self.access_key, &self.secret) {
            (Some(token), ..) => Credentials::Token(token.clone()),
            (None, Some(id), Some(secret)) => {
                Credentials::Key { id: id.clone(), secret: secret.clone() }
            }
            _ => Credentials::None,
        }
    }

    /// A profile of a server without credentials.
    pub fn of(url: &str, ca: Option<PathBuf>) -> Profile {
        Profile {
            url: url.to_owned(),
            ca,
            token: None,
            access_key: None,
            secret: None,
            user: None,
            domain: None,
            expires: None,
        }
    }

    /// End of the token, if it comes from `daybook login`.
    pub fn expires(&self) -> Option<Time> {
        let text = self.token.as_ref().and(self.expires.as_deref())?;
        Time::parse_rfc3339(text).ok().map(|(time, _)| time)
    }

    /// The token, if the profile has one.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Replaces the credentials by those of a login; `None` removes the token.
    pub fn set_token(&mut self, token: Option<String>, expires: Option<String>) {
        (self.token, self.expires) = (token, expires);
        (self.access_key, self.secret) = (None, None);
    }

    fn credential_kind(&self) -> String {
        match (&self.token, &self.access_key) {
            (Some(_), _) => match &self.expires {
                Some(expires) => format!("a token until {}", printable(expires)),
                None => "a token".to_owned(),
            },
            (None, Some(id)) => format!("access key {}", printable(id)),
            (None, None) => "nothing".to_owned(),
        }
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Profiles {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    in_use: Option<String>,
    #[serde(default)]
    profile: BTreeMap<String, Profile>,
}

impl Profiles {
    fn find(&self, name: &str) -> Result<&Profile, Failure> {
        self.profile.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.profile.keys().map(String::as_str).collect();
            let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            let name = printable(name);
            Failure::usage(format!(
                "there is no profile {name:?}; `daybook profile add` adds one. Profiles: {known}"
            ))
        })
    }
}

/// The file as it was read.
struct ProfileFile {
    folder: PathBuf,
    profiles: Profiles,
    seen: Option<Version>,
}

impl ProfileFile {
    fn read() -> Result<ProfileFile, Failure> {
        let folder = folder()?;
        let path = folder.join(FILE);
        let objects = FileObjects::new(Arc::new(Local::open(&folder)));
        let Some(object) = objects.get(FILE)? else {
            return Ok(ProfileFile { folder, profiles: Profiles::default(), seen: None });
        };
        let is_open = fs::metadata(&path).is_ok_and(|at| at.permissions().mode() & 0o077 != 0);
        if is_open {
            let path = path.display();
            return Err(Failure::usage(format!(
                "{path} has secrets and others can read it: chmod 600 {path}"
            )));
        }
        // The wrong text is not quoted: it may be a secret.
        let profiles = String::from_utf8_lossy(&object.bytes).parse::<toml::Table>().ok();
        let profiles =
            profiles.and_then(|table| table.try_into::<Profiles>().ok()).ok_or_else(|| {
                Failure::usage(format!("{} is not valid; repair or remove it", path.display()))
            })?;
        Ok(ProfileFile { folder, profiles, seen: Some(object.version) })
    }

    fn write(&self) -> Result<(), Failure> {
        let text =
            toml::to_string(&self.profiles).map_err(|error| Failure::new(error.to_string()))?;
        let made = self.folder.parent().map_or(Ok(()), fs::create_dir_all);
        let made = made.and_then(|()| Local::create(&self.folder));
        let disk = made.map_err(|error| {
            Failure::new(format!("couldn't create {}: {error}", self.folder.display()))
        })?;
        FileObjects::new(Arc::new(disk)).replace(FILE, text.as_bytes(), self.seen)?;
        Ok(())
    }
}

/// The folder of the file: `DAYBOOK_CONFIG_HOME`, else that of the XDG specification.
fn folder() -> Result<PathBuf, Failure> {
    let named =
        |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    named("DAYBOOK_CONFIG_HOME")
        .or_else(|| named("XDG_CONFIG_HOME").map(|home| home.join("daybook")))
        .or_else(|| named("HOME").map(|home| home.join(".config/daybook")))
        .ok_or_else(|| Failure::usage("set HOME or DAYBOOK_CONFIG_HOME, the folder of profiles"))
}

/// The profile with this name.
pub fn by_name(name: &str) -> Result<Profile, Failure> {
    ProfileFile::read()?.profiles.find(name).cloned()
}

/// The profile in use, if any, with its name.
pub fn in_use() -> Result<Option<(String, Profile)>, Failure> {
    let ProfileFile { profiles, .. } = ProfileFile::read()?;
    let named = |name: &String| Ok((name.clone(), profiles.find(name)?.clone()));
    profiles.in_use.as_ref().map(named).transpose()
}

/// The profile with this name, if there is one.
pub fn find(name: &str) -> Result<Option<Profile>, Failure> {
    Ok(ProfileFile::read()?.profiles.profile.get(name).cloned())
}

/// Stores a profile under its name. A new one is in use from then on.
pub fn store(name: &str, profile: Profile) -> Result<(), Failure> {
    let mut file = ProfileFile::read()?;
    if sends_token_unencrypted(&profile) {
        warn("daybook: http:// sends the token unencrypted; use https://");
    }
    let is_new = file.profiles.profile.insert(name.to_owned(), profile).is_none();
    if is_new || file.profiles.in_use.is_none() {
        file.profiles.in_use = Some(name.to_owned());
    }
    file.write()
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut file = ProfileFile::read()?;
    let profiles = &mut file.profiles;
    match &arguments.command {
        Command::Add { name, url, token_file, access_key, secret_file, ca, replace } => {
            if let Some(known) = profiles.profile.get(name).filter(|_| !replace) {
                return Err(Failure::usage(format!(
                    "there is a profile {name} of {}; --replace replaces it and its credentials",
                    printable(&known.url)
                )));
            }
            let profile = Profile {
                ca: ca.as_deref().map(authorities).transpose()?,
                token: token_file.as_deref().map(read_secret).transpose()?,
                access_key: access_key.clone(),
                secret: secret_file.as_deref().map(read_secret).transpose()?,
                ..Profile::of(url, None)
            };
            if sends_token_unencrypted(&profile) {
                warn("daybook: http:// sends the token unencrypted; use https://");
            }
            profiles.profile.insert(name.clone(), profile);
            profiles.in_use.get_or_insert_with(|| name.clone());
            file.write()?;
            say(&description(&file.profiles, name))
        }
        Command::List => {
            let width = profiles.profile.keys().map(String::len).max().unwrap_or(0);
            let line = |(name, profile): (&String, &Profile)| {
                let mark = if profiles.in_use.as_ref() == Some(name) { '*' } else { ' ' };
                format!(
                    "{mark} {name:width$}  {}  {}\n",
                    printable(&profile.url),
                    profile.credential_kind()
                )
            };
            say(&profiles.profile.iter().map(line).collect::<String>())
        }
        Command::Show { name } => {
            let name = name.as_ref().or(profiles.in_use.as_ref());
            let name = name.ok_or_else(|| Failure::usage("no profile is in use; name one"))?;
            profiles.find(name)?;
            say(&description(profiles, name))
        }
        Command::Remove { name } => {
            profiles.find(name)?;
            profiles.profile.remove(name);
            profiles.in_use.take_if(|in_use| in_use == name);
            file.write()
        }
        Command::Use { name } => {
            profiles.find(name)?;
            profiles.in_use = Some(name.clone());
            file.write()
        }
    }
}

fn description(profiles: &Profiles, name: &str) -> String {
    let Some(profile) = profiles.profile.get(name) else { return String::new() };
    let ca = profile.ca.as_ref().map_or("the machine's".to_owned(), |ca| ca.display().to_string());
    let in_use = if profiles.in_use.as_deref() == Some(name) { "yes" } else { "no" };
    format!(
        "profile: {name}\nurl: {}\nshows: {}\nauthorities: {}\nin use: {in_use}\n",
        printable(&profile.url),
        profile.credential_kind(),
        printable(&ca)
    )
}

/// Whether a token would be sent to another machine unencrypted. A signature is no secret.
fn sends_token_unencrypted(profile: &Profile) -> bool {
    let host = profile
        .url
        .strip_prefix("http://")
        .map(|rest| rest.split(['/', '?']).next().unwrap_or(rest));
    let is_here =
        |host: &str| ["127.", "localhost", "[::1]"].iter().any(|here| host.starts_with(here));
    profile.token.is_some() && host.is_some_and(|host| !is_here(host))
}

/// The absolute path of a readable file of certificate authorities.
pub fn authorities(path: &Path) -> Result<PathBuf, Failure> {
    fs::read(path)
        .and_then(|_| fs::canonicalize(path))
        .map_err(|error| Failure::usage(format!("couldn't read {}: {error}", path.display())))
}

pub fn parse_name(text: &str) -> Result<String, String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    match (1..=NAME_BYTES_MAX).contains(&text.len()) && text.chars().all(is_name) {
        true => Ok(text.to_owned()),
        false => Err(format!("a name has 1 to {NAME_BYTES_MAX} letters, digits, -, _ and dots")),
    }
}

pub fn parse_url(text: &str) -> Result<String, String> {
    match verify::is_url(text) {
        true => Ok(text.trim_end_matches('/').to_owned()),
        false => Err("a URL begins with http:// or https://".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_sent_unencrypted_is_noticed() {
        for (url, token, expected) in [
            ("http://audit.example.com", true, true),
            ("http://127.0.0.1:8420", true, false),
            ("http://[::1]:8420/x", true, false),
            ("https://audit.example.com", true, false),
            ("http://audit.example.com", false, false),
        ] {
            let token = token.then(|| "t".to_owned());
            let profile = Profile { token, ..Profile::of(url, None) };
            assert_eq!(sends_token_unencrypted(&profile), expected, "{url}");
        }
    }
}
