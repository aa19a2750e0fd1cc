//! `daybook login` and `daybook logout`: a token for a password, in a profile.

use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;

use console::Term;
use serde::Deserialize;
use serde_json::json;

use super::credentials::read_secret;
use super::profile::{self, Profile};
use super::reach::{client_trusting, problem_of, profile_variable, retry_after};
use super::{say, warn};
use client::{Client, Response};
use event::terminal::printable;
use server::failure::Failure;

#[derive(clap::Args)]
#[command(
    after_long_help = "The password is read from the terminal without showing it, or as one line \
                       of standard input. The token is valid for a day; without URL the command \
                       gets a new one for the profile in use, or that of --profile, and asks for \
                       the password alone.\n\n\
                       Examples:\n  \
                       daybook login https://audit.example.com --user alice\n  \
                       daybook login\n  \
                       daybook login https://10.0.0.5:8420 --profile lab --ca lab-ca.pem\n\n\
                       Exit codes: 0 logged in; 1 refused or not reached; 2 wrong command line."
)]
pub struct Arguments {
    /// Address of the server. Default: that of the profile.
    #[arg(value_name = "URL", value_parser = profile::parse_url)]
    url: Option<String>,
    /// Name of the profile. Default: the host of URL, or without URL the profile in use.
    #[arg(long, value_name = "NAME", value_parser = profile::parse_name)]
    profile: Option<String>,
    /// Name of the user. Default: that of the last login, or a question.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Domain of the user. Default: that of the last login, else `daybook`.
    #[arg(long, value_name = "NAME")]
    domain: Option<String>,
    /// File with the password.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// PEM file with the certificate authorities to trust instead of the machine's.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

#[derive(clap::Args)]
#[command(after_long_help = "The server ends the token, and the profile forgets it; its address \
                             stays.\n\nExamples:\n  daybook logout\n  daybook logout lab")]
pub struct LogoutArguments {
    /// Name of the profile. Default: the one in use.
    #[arg(value_name = "NAME")]
    profile: Option<String>,
}

const TOKENS: &str = "/v3/auth/tokens";
/// Domain of Daybook's operators, unless a configuration has another one.
const DOMAIN: &str = "daybook";

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let (name, mut profile) = target(arguments)?;
    if let Some(ca) = &arguments.ca {
        profile.ca = Some(profile::authorities(ca)?);
    }
    let user = match arguments.user.clone().or_else(|| profile.user.clone()) {
        Some(user) => user,
        None => question("User: ")?,
    };
    let domain = arguments.domain.clone().or_else(|| profile.domain.clone());
    let domain = domain.unwrap_or_else(|| DOMAIN.to_owned());
    let password = match &arguments.password_file {
        Some(file) => read_secret(file)?,
        None => password(&user, &profile.url)?,
    };
    let client = client_trusting(profile.ca.as_deref())?;
    let (token, expires) = log_in(&client, &profile.url, &domain, &user, &password)?;
    profile.set_token(Some(token), Some(expires.clone()));
    (profile.user, profile.domain) = (Some(user.clone()), Some(domain));
    let url = profile.url.clone();
    profile::store(&name, profile)?;
    say(&format!(
        "logged in to {} as {}: profile {name}, valid until {}\n",
        printable(&url),
        printable(&user),
        printable(&expires)
    ))
}

pub fn log_out(arguments: &LogoutArguments) -> Result<(), Failure> {
    let (name, mut profile) = existing(arguments.profile.as_deref())?;
    let Some(token) = profile.token().map(str::to_owned) else {
        return Err(Failure::usage(format!("profile {name} has no token")));
    };
    let client = client_trusting(profile.ca.as_deref())?;
    let headers = [("x-auth-token", token.clone()), ("x-subject-token", token)];
    let url = format!("{}{TOKENS}", profile.url);
    let ended = client.delete_with(&url, &headers);
    profile.set_token(None, None);
    profile::store(&name, profile)?;
    match ended {
        // A token that is not valid any more has ended already.
        Ok(answer) if matches!(answer.status, 204 | 401) => {
            say(&format!("logged out of profile {name}\n"))
        }
        Ok(answer) => Err(Failure::new(format!(
            "the profile forgot the token, but the server did not end it: {}",
            problem_of(&url, &answer).text
        ))),
        Err(why) => Err(Failure::new(format!(
            "the profile forgot the token, but the server was not reached to end it: {why}"
        ))),
    }
}

/// The profile to log in to, and its name.
fn target(arguments: &Arguments) -> Result<(String, Profile), Failure> {
    let Some(url) = &arguments.url else { return existing(arguments.profile.as_deref()) };
    let name = match &arguments.profile {
        Some(name) => name.clone(),
        None => profile::parse_name(&host(url)).map_err(|_| {
            Failure::usage("name the profile with --profile NAME; the host is no name for it")
        })?,
    };
    match profile::find(&name)? {
        Some(known) if known.url != *url => Err(Failure::usage(format!(
            "profile {name} is of {}; name another one with --profile NAME",
            printable(&known.url)
        ))),
        Some(known) => Ok((name, known)),
        None => Ok((name, Profile::of(url, None))),
    }
}

/// The named profile, else that of the variable, else the one in use.
fn existing(name: Option<&str>) -> Result<(String, Profile), Failure> {
    let name = name.map(str::to_owned).or_else(profile_variable);
    if let Some(name) = name {
        let profile = profile::by_name(&name)?;
        return Ok((name, profile));
    }
    profile::in_use()?.ok_or_else(|| {
        Failure::usage("no profile is in use; `daybook login URL` logs in to a server")
    })
}

/// Host and port of a URL, as the name of a profile.
fn host(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest).replace([':', '[', ']'], "-")
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: TokenBody,
}

#[derive(Deserialize)]
struct TokenBody {
    expires_at: String,
}

/// A token and its end.
fn log_in(
    client: &Client,
    url: &str,
    domain: &str,
    user: &str,
    password: &str,
) -> Result<(String, String), Failure> {
    let user = json!({ "name": user, "password": password, "domain": { "name": domain } });
    let identity = json!({ "methods": ["password"], "password": { "user": user } });
    let body = json!({ "auth": { "identity": identity } }).to_string();
    let url = format!("{url}{TOKENS}");
    let answer = client.post_with(&url, &[], body.as_bytes()).map_err(Failure::new)?;
    match answer.status {
        201 => token(&answer).ok_or_else(|| {
            Failure::new(format!("{url}: invalid response; is that a Daybook server?"))
        }),
        401 => Err(Failure::new(format!(
            "wrong user, domain or password; the domain was {domain}, --domain names another"
        ))),
        429 => {
            let pause = retry_after(&answer).map_or(60, |pause| pause.as_secs());
            Err(Failure::new(format!("too many tries; try again in {pause} s")))
        }
        _ => Err(problem_of(&url, &answer).into()),
    }
}

fn token(answer: &Response) -> Option<(String, String)> {
    let token = answer.headers.get("x-subject-token")?.to_str().ok()?.to_owned();
    let body: TokenAnswer = serde_json::from_slice(&answer.body).ok()?;
    Some((token, body.token.expires_at))
}

/// Reads a line that the user types, or the next one of standard input.
fn question(prompt: &str) -> Result<String, Failure> {
    if std::io::stdin().is_terminal() {
        let _ = write!(std::io::stderr(), "{prompt}");
    }
    line()
}

/// Reads a password that the terminal does not show, or the next line of standard input.
fn password(user: &str, url: &str) -> Result<String, Failure> {
    if !std::io::stdin().is_terminal() {
        return line();
    }
    warn(&format!("Password of {} at {}:", printable(user), printable(url)));
    Term::stderr()
        .read_secure_line()
        .map_err(|error| Failure::new(format!("couldn't read the password: {error}")))
}

fn line() -> Result<String, Failure> {
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut text)
        .map_err(|error| Failure::new(format!("couldn't read standard input: {error}")))?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(Failure::usage("nothing was typed; give --user NAME and --password-file FILE")),
        text => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_named_by_its_host() {
        for (url, expected) in [
            ("https://audit.example.com", "audit.example.com"),
            ("http://127.0.0.1:8420/x", "127.0.0.1-8420"),
            ("https://[::1]:8420", "---1--8420"),
        ] {
            assert_eq!(host(url), expected);
            assert!(profile::parse_name(expected).is_ok(), "{expected}");
        }
    }
}
