//! `daybook profile`: the servers that a person asks, each by a name, with what is shown to it.
//!
//! They are in `profiles.toml` of the user's own configuration folder, for the owner alone. What
//! was read from files of tokens and secrets is kept in it, so that those files may go; none of it
//! is ever printed.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{ArgGroup, Subcommand};
use serde::{Deserialize, Serialize};
use store::durable::Local;
use store::{FileObjects, Objects, Version};

use super::reach::{Credentials, read_secret};
use super::{say, warn};
use event::terminal::printable;
use server::failure::Failure;

#[derive(clap::Args)]
#[command(
    after_long_help = "Profiles are in profiles.toml, for its owner alone, in the folder DAYBOOK_CONFIG_HOME, else $XDG_CONFIG_HOME/daybook,\nelse ~/.config/daybook. Tokens and secrets are kept in it and never shown.\n\n\
                       Commands that ask a server take --profile NAME; else the variable DAYBOOK_PROFILE; else the one in use.\n\n\
                       Examples:\n  daybook profile add prod --url https://audit.example.com --token-file token\n  daybook profile add lab --url https://10.0.0.5:8420 --access-key AKEXAMPLE --secret-file secret --ca lab-ca.pem\n  daybook profile list\n  daybook profile use prod\n  daybook profile show lab\n  daybook profile remove lab"
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Add a server, or change what is known of it. The first one is in use at once.
    #[command(
        group = ArgGroup::new("credentials").args(["token_file", "access_key"]),
        after_long_help = "Examples:\n  daybook profile add prod --url https://audit.example.com --token-file token\n  daybook profile add prod --url https://audit.example.com --access-key AKEXAMPLE --secret-file secret"
    )]
    Add {
        /// What to call it: letters, digits, -, _ and dots.
        #[arg(value_name = "NAME", value_parser = parse_name)]
        name: String,
        /// Where it is.
        #[arg(long, value_name = "URL", value_parser = parse_url)]
        url: String,
        /// A file with a token, as a login gives one. It is good for a day.
        #[arg(long, value_name = "FILE")]
        token_file: Option<PathBuf>,
        /// The id of an access key, to sign requests with.
        #[arg(long, value_name = "ID", requires = "secret_file")]
        access_key: Option<String>,
        /// A file with the access key's secret.
        #[arg(long, value_name = "FILE", requires = "access_key")]
        secret_file: Option<PathBuf>,
        /// A PEM file with the certificate authorities to trust, instead of the machine's.
        #[arg(long, value_name = "FILE")]
        ca: Option<PathBuf>,
    },
    /// List them. A star marks the one in use.
    List,
    /// Show what is known of one, but for its secrets.
    Show {
        /// Which; the one in use unless given.
        #[arg(value_name = "NAME")]
        name: Option<String>,
    },
    /// Forget one, with its secrets.
    Remove {
        /// Which.
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Ask this one when no other is named.
    Use {
        /// Which.
        #[arg(value_name = "NAME")]
        name: String,
    },
}

/// The file's name in its folder.
const FILE: &str = "profiles.toml";
/// Longest name of a profile.
const NAME_BYTES_MAX: usize = 64;

/// What is known of a server.
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
}

impl Profile {
    /// What is shown to the server.
    pub fn credentials(&self) -> Credentials {
        match (&self.token, &self.access_key, &self.secret) {
            (Some(token), ..) => Credentials::Token(token.clone()),
            (None, Some(id), Some(secret)) => {
                Credentials::Key { id: id.clone(), secret: secret.clone() }
            }
            _ => Credentials::None,
        }
    }

    fn shows(&self) -> String {
        match (&self.token, &self.access_key) {
            (Some(_), _) => "a token".to_owned(),
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
                "there is no profile {name:?}; `daybook profile add` makes one. Known: {known}"
            ))
        })
    }
}

/// The file, as it was read.
struct Kept {
    folder: PathBuf,
    profiles: Profiles,
    seen: Option<Version>,
}

impl Kept {
    fn read() -> Result<Kept, Failure> {
        let folder = folder()?;
        let path = folder.join(FILE);
        let objects = FileObjects::new(Arc::new(Local::open(&folder)));
        let Some(object) = objects.get(FILE)? else {
            return Ok(Kept { folder, profiles: Profiles::default(), seen: None });
        };
        let is_open = fs::metadata(&path).is_ok_and(|at| at.permissions().mode() & 0o077 != 0);
        if is_open {
            let path = path.display();
            return Err(Failure::usage(format!(
                "{path} has secrets that others may read: chmod 600 {path}"
            )));
        }
        // What is wrong is not quoted: it may be a secret.
        let profiles = String::from_utf8_lossy(&object.bytes).parse::<toml::Table>().ok();
        let profiles =
            profiles.and_then(|table| table.try_into::<Profiles>().ok()).ok_or_else(|| {
                Failure::usage(format!("{} cannot be read; mend or remove it", path.display()))
            })?;
        Ok(Kept { folder, profiles, seen: Some(object.version) })
    }

    fn write(&self) -> Result<(), Failure> {
        let text =
            toml::to_string(&self.profiles).map_err(|error| Failure::new(error.to_string()))?;
        let made = self.folder.parent().map_or(Ok(()), fs::create_dir_all);
        let made = made.and_then(|()| Local::create(&self.folder));
        let disk = made.map_err(|error| {
            Failure::new(format!("couldn't make {}: {error}", self.folder.display()))
        })?;
        FileObjects::new(Arc::new(disk)).replace(FILE, text.as_bytes(), self.seen)?;
        Ok(())
    }
}

/// Where the file is: `DAYBOOK_CONFIG_HOME`, else the place that desktops agreed on.
fn folder() -> Result<PathBuf, Failure> {
    let named =
        |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    named("DAYBOOK_CONFIG_HOME")
        .or_else(|| named("XDG_CONFIG_HOME").map(|home| home.join("daybook")))
        .or_else(|| named("HOME").map(|home| home.join(".config/daybook")))
        .ok_or_else(|| Failure::usage("set HOME or DAYBOOK_CONFIG_HOME, where profiles are kept"))
}

/// The profile with this name.
pub fn named(name: &str) -> Result<Profile, Failure> {
    Kept::read()?.profiles.find(name).cloned()
}

/// The profile in use, if there is any.
pub fn in_use() -> Result<Option<Profile>, Failure> {
    let Kept { profiles, .. } = Kept::read()?;
    profiles.in_use.as_ref().map(|name| profiles.find(name).cloned()).transpose()
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut kept = Kept::read()?;
    let profiles = &mut kept.profiles;
    match &arguments.command {
        Command::Add { name, url, token_file, access_key, secret_file, ca } => {
            let profile = Profile {
                url: url.clone(),
                ca: ca.as_deref().map(authorities).transpose()?,
                token: token_file.as_deref().map(read_secret).transpose()?,
                access_key: access_key.clone(),
                secret: secret_file.as_deref().map(read_secret).transpose()?,
            };
            if is_told_in_the_open(&profile) {
                warn(
                    "daybook: http:// shows what is secret to whoever is on the way; https:// does not",
                );
            }
            profiles.profile.insert(name.clone(), profile);
            profiles.in_use.get_or_insert_with(|| name.clone());
            kept.write()?;
            say(&told(&kept.profiles, name))
        }
        Command::List => {
            let width = profiles.profile.keys().map(String::len).max().unwrap_or(0);
            let line = |(name, profile): (&String, &Profile)| {
                let mark = if profiles.in_use.as_ref() == Some(name) { '*' } else { ' ' };
                format!("{mark} {name:width$}  {}  {}\n", printable(&profile.url), profile.shows())
            };
            say(&profiles.profile.iter().map(line).collect::<String>())
        }
        Command::Show { name } => {
            let name = name.as_ref().or(profiles.in_use.as_ref());
            let name = name.ok_or_else(|| Failure::usage("no profile is in use; name one"))?;
            profiles.find(name)?;
            say(&told(profiles, name))
        }
        Command::Remove { name } => {
            profiles.find(name)?;
            profiles.profile.remove(name);
            profiles.in_use.take_if(|in_use| in_use == name);
            kept.write()
        }
        Command::Use { name } => {
            profiles.find(name)?;
            profiles.in_use = Some(name.clone());
            kept.write()
        }
    }
}

fn told(profiles: &Profiles, name: &str) -> String {
    let Some(profile) = profiles.profile.get(name) else { return String::new() };
    let ca = profile.ca.as_ref().map_or("the machine's".to_owned(), |ca| ca.display().to_string());
    let in_use = if profiles.in_use.as_deref() == Some(name) { "yes" } else { "no" };
    format!(
        "profile: {name}\nurl: {}\nshows: {}\nauthorities: {}\nin use: {in_use}\n",
        printable(&profile.url),
        profile.shows(),
        printable(&ca)
    )
}

/// Whether something secret would be sent to another machine as it is. A signature is no secret.
fn is_told_in_the_open(profile: &Profile) -> bool {
    let host = profile
        .url
        .strip_prefix("http://")
        .map(|rest| rest.split(['/', '?']).next().unwrap_or(rest));
    let is_here =
        |host: &str| ["127.", "localhost", "[::1]"].iter().any(|here| host.starts_with(here));
    profile.token.is_some() && host.is_some_and(|host| !is_here(host))
}

/// The whole path of a file of certificate authorities that can be read.
fn authorities(path: &Path) -> Result<PathBuf, Failure> {
    fs::read(path)
        .and_then(|_| fs::canonicalize(path))
        .map_err(|error| Failure::usage(format!("couldn't read {}: {error}", path.display())))
}

fn parse_name(text: &str) -> Result<String, String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    match (1..=NAME_BYTES_MAX).contains(&text.len()) && text.chars().all(is_name) {
        true => Ok(text.to_owned()),
        false => Err(format!("a name has 1 to {NAME_BYTES_MAX} letters, digits, -, _ and dots")),
    }
}

fn parse_url(text: &str) -> Result<String, String> {
    match verify::is_url(text) {
        true => Ok(text.trim_end_matches('/').to_owned()),
        false => Err("a URL begins with http:// or https://".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_to_another_machine_in_the_open_is_noticed() {
        for (url, token, expected) in [
            ("http://audit.example.com", true, true),
            ("http://127.0.0.1:8420", true, false),
            ("http://[::1]:8420/x", true, false),
            ("https://audit.example.com", true, false),
            ("http://audit.example.com", false, false),
        ] {
            let token = token.then(|| "t".to_owned());
            let profile =
                Profile { url: url.to_owned(), ca: None, token, access_key: None, secret: None };
            assert_eq!(is_told_in_the_open(&profile), expected, "{url}");
        }
    }
}
