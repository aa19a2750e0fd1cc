//! `daybook access`: domains, projects, users, access keys, tokens, app codes and grants.

use std::path::Path;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use event::TrailPattern;
use store::durable::{Disk, Local, Wait};

use super::author::{announce, author};
use super::{Location, say, variables};
use access::file::{self, AccessFile, DomainEntry, ProjectEntry, TokenEntry, UserEntry};
use access::rights::Permission;
use access::{Secret, SecretsKey, password};
use event::terminal::printable;
use server::failure::Failure;

#[derive(clap::Args)]
#[command(after_help = "A running server applies and records each change at once.\n\n\
                  Example, a user who may read every registry of one tenant:\n  \
                  export DAYBOOK_DATA_DIR=/var/lib/daybook\n  \
                  daybook access project add cn-north-4 --tenant acme\n  \
                  daybook access user add auditor\n  \
                  daybook access grant auditor reader 'registry/acme/*/*'\n  \
                  daybook access key add auditor\n  \
                  daybook access user password auditor")]
pub struct Arguments {
    #[command(flatten)]
    location: Location,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Domains (accounts, tenants), which own projects and users.
    #[command(subcommand)]
    Domain(Domain),
    /// Projects, which clients name by id, or by name if they only know a region.
    #[command(subcommand)]
    Project(Project),
    /// Users, who log in and sign requests.
    #[command(subcommand)]
    User(User),
    /// Access keys, with which users sign requests.
    #[command(subcommand)]
    Key(Key),
    /// Tokens issued to logins.
    #[command(subcommand)]
    Token(Token),
    /// App codes, which clients of the ops platform's API send besides a token.
    #[command(subcommand)]
    AppCode(AppCode),
    /// Print a link that signs a user in to the console, once, within a minute.
    Link {
        /// Name or id of the user.
        user: String,
    },
    /// Grant a user a role or action on trails.
    Grant(Grant),
    /// Revoke a grant.
    Revoke(Grant),
    /// List everything except secrets.
    List,
}

#[derive(Subcommand)]
enum Domain {
    /// Give a domain a name. Without one, its id is its name.
    Add {
        /// Name of the domain for logins.
        name: String,
        /// Id of the domain: the tenant in its trails. Default: 32 random hex digits.
        #[arg(long)]
        id: Option<String>,
    },
    /// Remove a domain's name. Its projects and users remain.
    Remove {
        /// Id of the domain.
        id: String,
    },
}

#[derive(Subcommand)]
enum Project {
    /// Add a project.
    Add {
        /// Name of the project. The vendor's clients look projects up by region name, such as
        /// cn-north-4.
        name: String,
        /// Id of the domain (tenant, account) that owns the project, as in the trails of its
        /// sources.
        #[arg(long)]
        tenant: String,
        /// Id of the project. Default: 32 random hex digits.
        #[arg(long)]
        id: Option<String>,
    },
    /// Remove a project. Its trails remain, unreachable until it is added again.
    Remove {
        /// Id of the project.
        id: String,
    },
}

#[derive(Subcommand)]
enum User {
    /// Add a user without any rights.
    Add {
        /// Name of the user.
        name: String,
        /// Id of the user. Default: 32 random hex digits.
        #[arg(long)]
        id: Option<String>,
        /// Id of the user's domain. Default: Daybook's own.
        #[arg(long)]
        domain: Option<String>,
    },
    /// Remove a user with all keys, grants and tokens.
    Remove {
        /// Name or id of the user.
        user: String,
    },
    /// Enable a disabled user.
    Enable {
        /// Name or id of the user.
        user: String,
    },
    /// Disable a user: keys, tokens and password are refused from now on.
    Disable {
        /// Name or id of the user.
        user: String,
    },
    /// Set a user's password and revoke the user's tokens. By default the password is random and
    /// printed once.
    Password {
        /// Name or id of the user.
        user: String,
        /// Read the password from this file instead of generating it.
        #[arg(long, value_name = "FILE")]
        password_file: Option<std::path::PathBuf>,
    },
}

#[derive(Subcommand)]
enum Key {
    /// Add an access key and print its secret once.
    Add {
        /// Name or id of the user.
        user: String,
        /// Id of the key (AK). Default: 20 random characters.
        #[arg(long)]
        id: Option<String>,
        /// Read the secret (SK) from this file instead of generating it.
        #[arg(long, value_name = "FILE")]
        secret_file: Option<std::path::PathBuf>,
    },
    /// Remove an access key. Requests signed with it are refused from now on.
    Remove {
        /// Id of the key (AK).
        id: String,
    },
    /// Enable a disabled key.
    Enable {
        /// Id of the key (AK).
        id: String,
    },
    /// Disable a key: requests signed with it are refused.
    Disable {
        /// Id of the key (AK).
        id: String,
    },
}

#[derive(Subcommand)]
enum Token {
    /// Revoke a token, or every token of a user.
    Revoke {
        /// Id of the token as listed, or name or id of a user.
        which: String,
    },
}

#[derive(Subcommand)]
enum AppCode {
    /// Add an app code and print it once.
    Add {
        /// Name of the app code.
        name: String,
        /// Read the code from this file instead of generating it.
        #[arg(long, value_name = "FILE")]
        code_file: Option<std::path::PathBuf>,
    },
    /// Remove an app code.
    Remove {
        /// Name of the app code.
        name: String,
    },
}

#[derive(Args)]
struct Grant {
    /// Name or id of the user.
    user: String,
    /// Role (reader, writer, auditor, admin), or one of the vendor's action names.
    role: Permission,
    /// SERVICE/TENANT/PROJECT/INSTANCE, with * for any.
    trails: String,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let dir = arguments.location.data_dir()?;
    // Refuses a directory without a log before anything is written to it.
    let encryption_key = SecretsKey::read(&dir).map_err(Failure::new)?;
    match &arguments.command {
        Command::Domain(command) => domain(&dir, command),
        Command::Project(command) => project(&dir, command),
        Command::User(command) => user(&dir, &arguments.location, command),
        Command::Key(command) => key(&dir, &encryption_key, command),
        Command::Token(Token::Revoke { which }) => {
            let count = change(&dir, |access| access.revoke_tokens(which))?;
            say(&format!("revoked {count} tokens\n"))
        }
        Command::Link { user } => link(&dir, &arguments.location, user),
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
        Command::List => {
            announce(&dir, "access");
            list(&dir)
        }
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

fn user(dir: &Path, location: &Location, command: &User) -> Result<(), Failure> {
    match command {
        User::Add { name, id, domain } => {
            let id = id.clone().unwrap_or_else(system::random_hex::<16>);
            // Daybook's own domain is always left out, so that names in it are compared.
            let own = location.own_domain()?;
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

/// Seconds within which a link is to be opened.
const LINK_LIFE_S: i64 = 60;

fn link(dir: &Path, location: &Location, user: &str) -> Result<(), Failure> {
    let config = config::load(&location.flags(None, None), &variables())?;
    let code = random_text(LETTERS_AND_DIGITS, LINK_CHARACTERS);
    change(dir, |access| {
        let user = access.find_user(user)?.id.clone();
        access.add_link(TokenEntry::link(&code, &user, system::now(), LINK_LIFE_S));
        Ok(())
    })?;
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let base = config.public_url.unwrap_or_else(|| format!("{scheme}://{}", config.listen));
    say(&format!("{base}/console/#code={code}\nGood once, within a minute.\n"))
}

fn set_password(dir: &Path, user: &str, given: Option<&Path>) -> Result<(), Failure> {
    // Report an unknown user before the work of hashing.
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
            say(&format!("password: {}\nThe password is shown only once.\n", password.expose()))
        }
    }
}

fn key(dir: &Path, encryption_key: &SecretsKey, command: &Key) -> Result<(), Failure> {
    match command {
        Key::Add { user, id, secret_file } => {
            let secret = secret_file.as_deref().map(read_secret).transpose()?;
            add_key(dir, encryption_key, user, id.as_deref(), secret)
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
    encryption_key: &SecretsKey,
    user: &str,
    id: Option<&str>,
    secret: Option<Secret>,
) -> Result<(), Failure> {
    let id = id.map_or_else(|| random_text(UPPER_AND_DIGITS, ACCESS_KEY_CHARACTERS), str::to_owned);
    let made = secret.is_none();
    let secret =
        secret.unwrap_or_else(|| Secret::new(random_text(LETTERS_AND_DIGITS, SECRET_CHARACTERS)));
    let now = system::now();
    change(dir, |access| access.add_key(user, &id, &secret, encryption_key, now))?;
    say(&format!("access key (AK): {id}\n"))?;
    if made {
        say(&format!("secret key (SK): {}\nThe secret is shown only once.\n", secret.expose()))?;
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
                    say(&format!("app code: {}\nThe code is shown only once.\n", code.expose()))
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

/// Changes the file, and waits until a running server has applied the change.
fn change<T>(
    dir: &Path,
    mut change: impl FnMut(&mut AccessFile) -> Result<T, ::access::Error>,
) -> Result<T, Failure> {
    let (done, file) = file::change(dir, |file| {
        let done = change(file)?;
        file.changed_at = Some(system::now().to_string());
        file.changed_by = Some(author().to_string());
        Ok(done)
    })?;
    wait_for_server(dir, &file)?;
    Ok(done)
}

/// Longest wait for the server to apply a change, and the pause between two looks.
const SERVER_TIMEOUT: Duration = Duration::from_secs(10);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Waits until a running server has recorded the change, which puts it in force. Errs if it does
/// not.
fn wait_for_server(dir: &Path, file: &AccessFile) -> Result<(), Failure> {
    let began = Instant::now();
    while began.elapsed() < SERVER_TIMEOUT {
        let is_serving = Local::open(dir).lock(store::SERVING, Wait::No).is_err();
        if !is_serving || file::read_recorded(dir)?.changed_at >= file.changed_at {
            return Ok(());
        }
        std::thread::sleep(POLL_INTERVAL);
    }
    Err(Failure::new(
        "access.toml is changed, but the running server has not applied it; its log says why",
    ))
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
/// Characters of the code of a link: more than 190 bits.
const LINK_CHARACTERS: usize = 32;
const PASSWORD_CHARACTERS: usize = 24;
const PASSWORD_BYTES: std::ops::RangeInclusive<usize> = 8..=256;
const UPPER_AND_DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const LETTERS_AND_DIGITS: &[u8] =
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Random characters of an alphabet. Its size is a power of two, so that all are equally likely.
pub fn random_text(alphabet: &[u8], characters: usize) -> String {
    assert!(alphabet.len().is_power_of_two());
    (0..characters)
        .map(|_| char::from(alphabet[usize::from(system::random::<1>()[0]) % alphabet.len()]))
        .collect()
}
