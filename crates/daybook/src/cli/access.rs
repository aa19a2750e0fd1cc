//! `daybook access`: domains, projects, users, access keys, tokens, app codes and grants.

use std::path::Path;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use event::TrailPattern;
use store::durable::{Disk, Local, Wait};

use super::{Place, say, warn};
use access::file::{self, AccessFile, DomainEntry, ProjectEntry, UserEntry};
use access::rights::Permission;
use access::{Secret, SecretsKey, password};
use event::terminal::printable;
use server::failure::Failure;

#[derive(clap::Args)]
#[command(
    after_help = "Works beside a running server, which follows at once and records each change.\n\nExample, a user who may read every registry of one tenant:\n  \
                        export DAYBOOK_DATA_DIR=/var/lib/daybook\n  \
                        daybook access project add cn-north-4 --tenant acme\n  \
                        daybook access user add auditor\n  \
                        daybook access grant auditor reader 'registry/acme/*/*'\n  \
                        daybook access key add auditor\n  \
                        daybook access user password auditor"
)]
pub struct Arguments {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Domains: accounts, tenants; the owners of projects and users.
    #[command(subcommand)]
    Domain(Domain),
    /// Projects: what clients call by id, or by name where they know only a region.
    #[command(subcommand)]
    Project(Project),
    /// Users: who may log in and sign requests.
    #[command(subcommand)]
    User(User),
    /// Access keys: what users sign requests with.
    #[command(subcommand)]
    Key(Key),
    /// Tokens that logins were given.
    #[command(subcommand)]
    Token(Token),
    /// App codes: what clients of the ops platform's API show besides a token.
    #[command(subcommand)]
    AppCode(AppCode),
    /// Let a user do something on trails.
    Grant(Grant),
    /// Take a grant back.
    Revoke(Grant),
    /// Show everything but secrets.
    List,
}

#[derive(Subcommand)]
enum Domain {
    /// Give a domain a name of its own; one that is only named by projects and users is called by
    /// its id.
    Add {
        /// Its name; what logins call it by.
        name: String,
        /// Its id; the tenant of the trails that belong to it. 32 random hex digits unless given.
        #[arg(long)]
        id: Option<String>,
    },
    /// Forget a domain's name. Its projects and users stay.
    Remove {
        /// Its id.
        id: String,
    },
}

#[derive(Subcommand)]
enum Project {
    /// Add a project.
    Add {
        /// Its name; the vendor's clients look projects up by region name, such as cn-north-4.
        name: String,
        /// The id of the domain (tenant, account) that owns it; the same word as in the trails of
        /// its sources.
        #[arg(long)]
        tenant: String,
        /// Its id; 32 random hex digits unless given.
        #[arg(long)]
        id: Option<String>,
    },
    /// Remove a project; its trails stay, unreachable until it is there again.
    Remove {
        /// Its id.
        id: String,
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
        /// The id of the user's domain; Daybook's own unless given.
        #[arg(long)]
        domain: Option<String>,
    },
    /// Remove a user with all keys, grants and tokens.
    Remove {
        /// The user's name or id.
        user: String,
    },
    /// Let a disabled user in again.
    Enable {
        /// The user's name or id.
        user: String,
    },
    /// Keep a user out: keys, tokens and password are refused from now on.
    Disable {
        /// The user's name or id.
        user: String,
    },
    /// Set a password, and end the user's tokens. A random one is made and printed, this once,
    /// unless one is given.
    Password {
        /// The user's name or id.
        user: String,
        /// Read the password from this file instead of making one.
        #[arg(long, value_name = "FILE")]
        password_file: Option<std::path::PathBuf>,
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
    /// Take a disabled key again.
    Enable {
        /// The key's id (AK).
        id: String,
    },
    /// Refuse requests signed with a key, without forgetting it.
    Disable {
        /// The key's id (AK).
        id: String,
    },
}

#[derive(Subcommand)]
enum Token {
    /// Revoke a token, or every token of a user.
    Revoke {
        /// The token's id as listed, or a user's name or id.
        which: String,
    },
}

#[derive(Subcommand)]
enum AppCode {
    /// Add an app code and print it, this once.
    Add {
        /// What to call it.
        name: String,
        /// Read the code from this file instead of making one.
        #[arg(long, value_name = "FILE")]
        code_file: Option<std::path::PathBuf>,
    },
    /// Remove an app code.
    Remove {
        /// Its name.
        name: String,
    },
}

#[derive(Args)]
struct Grant {
    /// The user's name or id.
    user: String,
    /// What it lets the user do: reader, writer, auditor, admin, or one of the vendor's action
    /// names.
    role: Permission,
    /// SERVICE/TENANT/PROJECT/INSTANCE, with * for any.
    trails: String,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let dir = arguments.place.data_dir()?;
    // Refuses a directory that is no log before anything is written to it.
    let secrets_key = SecretsKey::read(&dir).map_err(Failure::new)?;
    match &arguments.command {
        Command::Domain(command) => domain(&dir, command),
        Command::Project(command) => project(&dir, command),
        Command::User(command) => user(&dir, &arguments.place, command),
        Command::Key(command) => key(&dir, &secrets_key, command),
        Command::Token(Token::Revoke { which }) => {
            let count = change(&dir, |access| access.revoke_tokens(which))?;
            say(&format!("revoked {count} tokens\n"))
        }
        Command::AppCode(command) => app_code(&dir, command),
        Command::Grant(grant) => {
            let trails = parse_pattern(&grant.trails)?;
            change(&dir, |access| access.grant(&grant.user, grant.role, &trails))?;
            say(&format!("{} is granted {} on {trails}\n", printable(&grant.user), grant.role))
        }
        Command::Revoke(grant) => {
            let trails = parse_pattern(&grant.trails)?;
            change(&dir, |access| access.revoke(&grant.user, grant.role, &trails))?;
            say(&format!(
                "{} is no longer granted {} on {trails}\n",
                printable(&grant.user),
                grant.role
            ))
        }
        Command::List => list(&dir),
    }
}

fn domain(dir: &Path, command: &Domain) -> Result<(), Failure> {
    match command {
        Domain::Add { name, id } => {
            let id = id.clone().unwrap_or_else(system::random_hex::<16>);
            change(dir, |access| {
                access.add_domain(DomainEntry { id: id.clone(), name: name.clone() })
            })?;
            say(&format!("domain id: {id}\nname: {}\n", printable(name)))
        }
        Domain::Remove { id } => {
            change(dir, |access| access.remove_domain(id))?;
            say(&format!("removed domain {id}\n"))
        }
    }
}

fn project(dir: &Path, command: &Project) -> Result<(), Failure> {
    match command {
        Project::Add { name, tenant, id } => {
            let id = id.clone().unwrap_or_else(system::random_hex::<16>);
            let entry = ProjectEntry { id: id.clone(), name: name.clone(), tenant: tenant.clone() };
            change(dir, |access| access.add_project(entry.clone()))?;
            say(&format!("project id: {id}\nname: {name}\ntenant: {tenant}\n"))
        }
        Project::Remove { id } => {
            change(dir, |access| access.remove_project(id))?;
            say(&format!("removed project {id}\n"))
        }
    }
}

fn user(dir: &Path, place: &Place, command: &User) -> Result<(), Failure> {
    match command {
        User::Add { name, id, domain } => {
            let id = id.clone().unwrap_or_else(system::random_hex::<16>);
            // Daybook's own domain is written in one way, so that no name is in it twice.
            let own = place.own_domain()?;
            let domain = domain.as_ref().filter(|domain| **domain != own);
            let entry = UserEntry {
                id: id.clone(),
                name: name.clone(),
                domain: domain.cloned(),
                enabled: true,
                password: None,
            };
            change(dir, |access| access.add_user(entry.clone()))?;
            say(&format!("user id: {id}\nname: {}\n", printable(name)))
        }
        User::Remove { user } => {
            change(dir, |access| access.remove_user(user))?;
            say(&format!("removed user {}\n", printable(user)))
        }
        User::Enable { user } => {
            change(dir, |access| access.enable_user(user, true))?;
            say(&format!("enabled user {}\n", printable(user)))
        }
        User::Disable { user } => {
            change(dir, |access| access.enable_user(user, false))?;
            say(&format!("disabled user {}\n", printable(user)))
        }
        User::Password { user, password_file } => set_password(dir, user, password_file.as_deref()),
    }
}

fn set_password(dir: &Path, user: &str, given: Option<&Path>) -> Result<(), Failure> {
    // Before the work of hashing: a clear word about a user who is not there.
    file::read(dir)?.find_user(user)?;
    let password = match given {
        Some(path) => read_secret(path)?,
        None => Secret::new(random_text(LETTERS_AND_DIGITS, PASSWORD_CHARACTERS)),
    };
    if !PASSWORD_BYTES.contains(&password.expose().len()) {
        return Err(Failure::usage("a password has 8 to 256 bytes"));
    }
    let hash = password::hash(password.expose(), system::random());
    change(dir, |access| access.set_password(user, hash.clone()))?;
    match given {
        Some(_) => say(&format!("set the password of {}\n", printable(user))),
        None => {
            say(&format!("password: {}\nThe password is shown this once.\n", password.expose()))
        }
    }
}

fn key(dir: &Path, secrets_key: &SecretsKey, command: &Key) -> Result<(), Failure> {
    match command {
        Key::Add { user, id, secret_file } => {
            let secret = secret_file.as_deref().map(read_secret).transpose()?;
            add_key(dir, secrets_key, user, id.as_deref(), secret)
        }
        Key::Remove { id } => {
            change(dir, |access| access.remove_key(id))?;
            say(&format!("removed access key {id}\n"))
        }
        Key::Enable { id } => {
            change(dir, |access| access.enable_key(id, true))?;
            say(&format!("enabled access key {id}\n"))
        }
        Key::Disable { id } => {
            change(dir, |access| access.enable_key(id, false))?;
            say(&format!("disabled access key {id}\n"))
        }
    }
}

fn add_key(
    dir: &Path,
    secrets_key: &SecretsKey,
    user: &str,
    id: Option<&str>,
    secret: Option<Secret>,
) -> Result<(), Failure> {
    let id = id.map_or_else(|| random_text(UPPER_AND_DIGITS, ACCESS_KEY_CHARACTERS), str::to_owned);
    let made = secret.is_none();
    let secret =
        secret.unwrap_or_else(|| Secret::new(random_text(LETTERS_AND_DIGITS, SECRET_CHARACTERS)));
    let now = system::now();
    change(dir, |access| access.add_key(user, &id, &secret, secrets_key, now))?;
    say(&format!("access key (AK): {id}\n"))?;
    if made {
        say(&format!("secret key (SK): {}\nThe secret is shown this once.\n", secret.expose()))?;
    }
    Ok(())
}

fn app_code(dir: &Path, command: &AppCode) -> Result<(), Failure> {
    match command {
        AppCode::Add { name, code_file } => {
            let given = code_file.as_deref().map(read_secret).transpose()?;
            let made = given.is_none();
            let code = given
                .unwrap_or_else(|| Secret::new(random_text(LETTERS_AND_DIGITS, SECRET_CHARACTERS)));
            change(dir, |access| access.add_app_code(name, code.expose()))?;
            match made {
                true => {
                    say(&format!("app code: {}\nThe code is shown this once.\n", code.expose()))
                }
                false => say(&format!("added app code {name}\n")),
            }
        }
        AppCode::Remove { name } => {
            change(dir, |access| access.remove_app_code(name))?;
            say(&format!("removed app code {name}\n"))
        }
    }
}

/// Changes the file; when this returns, a running server follows the change.
fn change<T>(
    dir: &Path,
    mut change: impl FnMut(&mut AccessFile) -> Result<T, ::access::Error>,
) -> Result<T, Failure> {
    let (done, file) = file::change(dir, |file| {
        let done = change(file)?;
        file.changed_at = Some(system::now().to_string());
        file.changed_by = Some(whoever_runs_this());
        Ok(done)
    })?;
    wait_for_server(dir, &file)?;
    Ok(done)
}

/// Who ran the command, as far as the environment tells.
fn whoever_runs_this() -> String {
    ["SUDO_USER", "USER", "LOGNAME"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|text| !text.is_empty()))
        .unwrap_or_else(|| "unknown".to_owned())
}

const SERVER_FOLLOWS_WITHIN: Duration = Duration::from_secs(10);
const LOOKED_FOR_EVERY: Duration = Duration::from_millis(20);

/// Waits until a running server has recorded the change, which puts it in force.
fn wait_for_server(dir: &Path, file: &AccessFile) -> Result<(), Failure> {
    let began = Instant::now();
    while began.elapsed() < SERVER_FOLLOWS_WITHIN {
        let is_serving = Local::open(dir).lock(store::SERVING, Wait::No).is_err();
        if !is_serving || file::read_recorded(dir)?.changed_at >= file.changed_at {
            return Ok(());
        }
        std::thread::sleep(LOOKED_FOR_EVERY);
    }
    warn(
        "daybook: access.toml is changed, but the running server has not followed; its log tells why",
    );
    Ok(())
}

fn list(dir: &Path) -> Result<(), Failure> {
    let access = file::read(dir)?;
    let mut text = String::new();
    for domain in &access.domain {
        text.push_str(&format!("domain {} name={}\n", domain.id, printable(&domain.name)));
    }
    for project in &access.project {
        text.push_str(&format!(
            "project {} name={} tenant={}\n",
            project.id, project.name, project.tenant
        ));
    }
    for user in &access.user {
        let domain =
            user.domain.as_deref().map(|domain| format!(" domain={domain}")).unwrap_or_default();
        let password = if user.password.is_some() { " password=set" } else { "" };
        let disabled = if user.enabled { "" } else { " disabled" };
        text.push_str(&format!(
            "user {} name={}{domain}{password}{disabled}\n",
            user.id,
            printable(&user.name)
        ));
    }
    for key in &access.access_key {
        let disabled = if key.enabled { "" } else { " disabled" };
        text.push_str(&format!(
            "key {} user={} created={}{disabled}\n",
            key.id, key.user, key.created_at
        ));
    }
    for grant in &access.grant {
        text.push_str(&format!(
            "grant user={} role={} trails={}\n",
            grant.user, grant.role, grant.trails
        ));
    }
    for code in &access.app_code {
        text.push_str(&format!("app-code {}\n", code.name));
    }
    let now = system::now().to_string();
    for token in access.token.iter().filter(|token| token.expires_at > now) {
        text.push_str(&format!(
            "token {} user={} methods={} issued={} expires={}\n",
            token.id,
            token.user,
            token.methods.join(","),
            token.issued_at,
            token.expires_at
        ));
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
const PASSWORD_CHARACTERS: usize = 24;
const PASSWORD_BYTES: std::ops::RangeInclusive<usize> = 8..=256;
const UPPER_AND_DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const LETTERS_AND_DIGITS: &[u8] =
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Random characters of an alphabet whose size is a power of two, so that all are equally likely.
pub fn random_text(alphabet: &[u8], characters: usize) -> String {
    assert!(alphabet.len().is_power_of_two());
    (0..characters)
        .map(|_| char::from(alphabet[usize::from(system::random::<1>()[0]) % alphabet.len()]))
        .collect()
}
