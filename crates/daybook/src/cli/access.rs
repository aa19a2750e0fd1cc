//! `daybook access`: projects, users, access keys and grants.

use std::path::Path;

use clap::{Args, Subcommand};
use event::TrailPattern;

use super::{Place, say};
use crate::access::file::{self, ProjectEntry, Role, UserEntry};
use crate::access::{SealingKey, Secret};
use crate::ambient;
use crate::report::{Failure, printable};

#[derive(clap::Args)]
#[command(
    after_help = "Works beside a running server, which follows at once.\n\nExample, a user who may read every registry of one tenant:\n  \
                        export DAYBOOK_DATA_DIR=/var/lib/daybook\n  \
                        daybook access project add cn-north-4 --tenant acme\n  \
                        daybook access user add auditor\n  \
                        daybook access grant auditor reader 'registry/acme/*/*'\n  \
                        daybook access key add auditor"
)]
pub struct Arguments {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Projects: what clients call by id, or by name where they know only a region.
    #[command(subcommand)]
    Project(Project),
    /// Users: who may sign requests.
    #[command(subcommand)]
    User(User),
    /// Access keys: what users sign requests with.
    #[command(subcommand)]
    Key(Key),
    /// Let a user read trails.
    Grant(Grant),
    /// Take a grant back.
    Revoke(Grant),
    /// Show projects, users, keys and grants; never a secret.
    List,
}

#[derive(Subcommand)]
enum Project {
    /// Add a project.
    Add {
        /// Its name; the vendor's clients look projects up by region name, such as cn-north-4.
        name: String,
        /// The tenant (account, domain) that owns it; the same word as in the trails of its sources.
        #[arg(long)]
        tenant: String,
        /// Its id; 32 random hex digits unless given.
        #[arg(long)]
        id: Option<String>,
    },
}

#[derive(Subcommand)]
enum User {
    /// Add a user, who may do nothing until granted something.
    Add {
        /// The user's name.
        name: String,
        /// The user's id; 32 random hex digits unless given.
        #[arg(long)]
        id: Option<String>,
    },
}

#[derive(Subcommand)]
enum Key {
    /// Add an access key and print its secret, this once.
    Add {
        /// The user's name or id.
        user: String,
        /// The key's id (AK); 20 random characters unless given.
        #[arg(long)]
        id: Option<String>,
        /// Read the secret (SK) from this file instead of making one.
        #[arg(long, value_name = "FILE")]
        secret_file: Option<std::path::PathBuf>,
    },
    /// Remove an access key; requests signed with it are refused from now on.
    Remove {
        /// The key's id (AK).
        id: String,
    },
}

#[derive(Args)]
struct Grant {
    /// The user's name or id.
    user: String,
    /// What it lets the user do.
    role: Role,
    /// SERVICE/TENANT/PROJECT/INSTANCE, with * for any.
    trails: String,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let dir = arguments.place.data_dir()?;
    // Refuses a directory that is no log before anything is written to it.
    let sealing_key = SealingKey::read(&dir).map_err(Failure::new)?;
    match &arguments.command {
        Command::Project(Project::Add { name, tenant, id }) => add_project(&dir, name, tenant, id.as_deref()),
        Command::User(User::Add { name, id }) => add_user(&dir, name, id.as_deref()),
        Command::Key(Key::Add { user, id, secret_file }) => {
            let secret = secret_file.as_deref().map(read_secret).transpose()?;
            add_key(&dir, &sealing_key, user, id.as_deref(), secret)
        }
        Command::Key(Key::Remove { id }) => {
            file::change(&dir, |access| access.remove_key(id))?;
            say(&format!("removed access key {id}\n"))
        }
        Command::Grant(grant) => {
            let trails = parse_pattern(&grant.trails)?;
            file::change(&dir, |access| access.grant(&grant.user, grant.role, &trails))?;
            say(&format!("{} may read {trails}\n", grant.user))
        }
        Command::Revoke(grant) => {
            let trails = parse_pattern(&grant.trails)?;
            file::change(&dir, |access| access.revoke(&grant.user, grant.role, &trails))?;
            say(&format!("{} may no longer read {trails} by this grant\n", grant.user))
        }
        Command::List => list(&dir),
    }
}

fn add_project(dir: &Path, name: &str, tenant: &str, id: Option<&str>) -> Result<(), Failure> {
    let id = id.map_or_else(ambient::random_hex::<16>, str::to_owned);
    file::change(dir, |access| {
        access.add_project(ProjectEntry { id: id.clone(), name: name.to_owned(), tenant: tenant.to_owned() })
    })?;
    say(&format!("project id: {id}\nname: {name}\ntenant: {tenant}\n"))
}

fn add_user(dir: &Path, name: &str, id: Option<&str>) -> Result<(), Failure> {
    let id = id.map_or_else(ambient::random_hex::<16>, str::to_owned);
    file::change(dir, |access| access.add_user(UserEntry { id: id.clone(), name: name.to_owned() }))?;
    say(&format!("user id: {id}\nname: {}\n", printable(name)))
}

fn add_key(
    dir: &Path,
    sealing_key: &SealingKey,
    user: &str,
    id: Option<&str>,
    secret: Option<Secret>,
) -> Result<(), Failure> {
    let id = id.map_or_else(|| random_text(UPPER_AND_DIGITS, ACCESS_KEY_CHARACTERS), str::to_owned);
    let made = secret.is_none();
    let secret = secret.unwrap_or_else(|| Secret::new(random_text(LETTERS_AND_DIGITS, SECRET_CHARACTERS)));
    let now = ambient::now();
    file::change(dir, |access| access.add_key(user, &id, &secret, sealing_key, now))?;
    say(&format!("access key (AK): {id}\n"))?;
    if made {
        say(&format!("secret key (SK): {}\nThe secret is shown this once.\n", secret.expose()))?;
    }
    Ok(())
}

fn list(dir: &Path) -> Result<(), Failure> {
    let access = file::read(dir)?;
    let mut text = String::new();
    for project in &access.project {
        text.push_str(&format!("project {} name={} tenant={}\n", project.id, project.name, project.tenant));
    }
    for user in &access.user {
        text.push_str(&format!("user {} name={}\n", user.id, printable(&user.name)));
    }
    for key in &access.access_key {
        text.push_str(&format!("key {} user={} created={}\n", key.id, key.user, key.created_at));
    }
    for grant in &access.grant {
        text.push_str(&format!("grant user={} role=reader trails={}\n", grant.user, grant.trails));
    }
    say(&text)
}

fn parse_pattern(text: &str) -> Result<TrailPattern, Failure> {
    text.parse().map_err(|error: event::InvalidTrail| Failure::usage(error.to_string()))
}

fn read_secret(path: &Path) -> Result<Secret, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::new(format!("couldn't read {}: {error}", path.display())))?;
    Ok(Secret::new(text.trim().to_owned()))
}

const ACCESS_KEY_CHARACTERS: usize = 20;
const SECRET_CHARACTERS: usize = 40;
const UPPER_AND_DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const LETTERS_AND_DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Random characters of an alphabet whose size is a power of two, so that all are equally likely.
pub fn random_text(alphabet: &[u8], characters: usize) -> String {
    assert!(alphabet.len().is_power_of_two());
    (0..characters)
        .map(|_| char::from(alphabet[usize::from(ambient::random::<1>()[0]) % alphabet.len()]))
        .collect()
}
