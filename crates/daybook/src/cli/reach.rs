//! How commands reach a running server: its address, the credentials, and its errors.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::credentials::{Credentials, read_secret};
use super::profile::{self, Profile};
use access::signature;
use client::{Client, Header, Response, ResponseStream};
use event::Time;
use event::terminal::printable;
use net::path::encode;
use server::failure::{Exit, Failure};

/// Longest wait for a response: longer than a server's own limit.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Tries of a request that is one of too many, and the longest pause before the next.
const TRIES: usize = 20;
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// The server of a command.
#[derive(clap::Args)]
pub struct ServerOptions {
    /// Profile of the server. Also DAYBOOK_PROFILE. Default: the profile in use.
    #[arg(long, value_name = "NAME", conflicts_with = "url")]
    profile: Option<String>,
    /// Address of the server.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// File with a login token, used instead of the credentials of the profile.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// PEM file with the certificate authorities to trust, instead of the machine's or those of
    /// the profile.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

impl ServerOptions {
    /// Whether the command line names a server.
    pub fn is_named(&self) -> bool {
        self.profile.is_some() || self.url.is_some()
    }

    /// The server of the command line, else of the variable, else of the profile in use.
    pub fn server(&self) -> Result<Server, Failure> {
        let profile = self.selected()?;
        let of_profile = profile.as_ref().map(|(_, profile)| profile.url.clone());
        let Some(url) = self.url.clone().or(of_profile) else {
            return Err(Failure::usage(
                "no server; give --url URL or --profile NAME, or add a profile with `daybook \
                 login URL` or `daybook profile add`",
            ));
        };
        if !verify::is_url(&url) {
            return Err(Failure::usage(format!(
                "{url:?} is not a URL that begins with http:// or https://"
            )));
        }
        let credentials = match &self.token_file {
            Some(file) => Credentials::Token(read_secret(file)?),
            None => profile.as_ref().map_or(Credentials::None, |(_, one)| one.credentials()),
        };
        let shown = match (&self.token_file, &profile) {
            (Some(file), _) => CredentialOrigin::File(file.clone()),
            (None, Some((name, profile))) if !matches!(credentials, Credentials::None) => {
                CredentialOrigin::Profile { name: name.clone(), expires: profile.expires() }
            }
            _ => CredentialOrigin::Nothing,
        };
        let ca = self.ca.clone().or_else(|| profile.and_then(|(_, profile)| profile.ca));
        let client = client_trusting(ca.as_deref())?;
        Ok(Server { client, url: url.trim_end_matches('/').to_owned(), credentials, shown })
    }

    /// The profile of the command line, else of the variable, else the one in use, with its name;
    /// none if the command line names a URL.
    fn selected(&self) -> Result<Option<(String, Profile)>, Failure> {
        match (&self.profile, &self.url) {
            (Some(name), _) => Ok(Some((name.clone(), profile::by_name(name)?))),
            (None, Some(_)) => Ok(None),
            (None, None) => match profile_variable() {
                Some(name) => Ok(Some((name.clone(), profile::by_name(&name)?))),
                None => profile::in_use(),
            },
        }
    }

    /// The options that name the server, for another command.
    pub fn options(&self) -> String {
        let options = [
            ("profile", self.profile.clone()),
            ("url", self.url.clone()),
            ("token-file", self.token_file.as_ref().map(|file| file.display().to_string())),
            ("ca", self.ca.as_ref().map(|file| file.display().to_string())),
        ];
        let option = |(name, value): (&str, Option<String>)| {
            Some(format!(" --{name} {}", shell_word(&value?)))
        };
        options.into_iter().filter_map(option).collect()
    }

    /// Reads the JSON at a path.
    pub fn get(&self, path: &str) -> Result<Value, Failure> {
        Ok(self.server()?.get(path, "")?)
    }

    /// Sends a body to a path, and returns the JSON of the response.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let server = self.server()?;
        let answer = server.post(path, "", body.to_string().as_bytes())?;
        Ok(server.read(path, answer)?)
    }
}

/// The profile named by the environment.
pub fn profile_variable() -> Option<String> {
    std::env::var("DAYBOOK_PROFILE").ok().filter(|name| !name.is_empty())
}

/// A client for commands that trusts the authorities of a file, else the machine's.
pub fn client_trusting(ca: Option<&Path>) -> Result<Client, Failure> {
    match ca {
        Some(ca) => Client::trusting(TIMEOUT, ca).map_err(Failure::usage),
        None => Ok(Client::new(TIMEOUT)),
    }
}

/// A running server.
pub struct Server {
    client: Client,
    url: String,
    credentials: Credentials,
    shown: CredentialOrigin,
}

/// Origin of the credentials that a command shows, for the text of a refusal.
enum CredentialOrigin {
    Nothing,
    File(PathBuf),
    Profile {
        name: String,
        /// End of its token, if that is known.
        expires: Option<Time>,
    },
}

/// Why a request has no result.
#[derive(Debug)]
pub struct Problem {
    pub exit: Exit,
    /// The HTTP status; `None` without a response.
    pub status: Option<u16>,
    /// Text for the user.
    pub text: String,
    /// The wrong parameter and the column in it, from 1; 0 without a column.
    pub parameter: Option<(String, usize)>,
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Failure {
        Failure { exit: problem.exit, text: problem.text }
    }
}

impl Server {
    /// The base URL of the paths.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Reads the JSON at a path, with a query as on the wire.
    pub fn get<T: DeserializeOwned>(&self, path: &str, query: &str) -> Result<T, Problem> {
        self.read(path, self.get_whole(path, query)?)
    }

    /// The JSON of a response with status 200, else the problem.
    fn read<T: DeserializeOwned>(&self, path: &str, answer: Response) -> Result<T, Problem> {
        if answer.status != 200 {
            return Err(self.problem(path, &answer));
        }
        serde_json::from_slice(&answer.body).map_err(|_| Problem {
            exit: Exit::Failed,
            status: Some(200),
            text: format!(
                "{}{path}: invalid response; is that a Daybook server of this version?",
                self.url
            ),
            parameter: None,
        })
    }

    /// Gets a response of any status. Too many requests are tried again when the server says so:
    /// a command may read many pages.
    fn get_whole(&self, path: &str, query: &str) -> Result<Response, Problem> {
        let mut tries = 1;
        loop {
            let headers = self.headers("GET", path, query, b"");
            let answer = self.client.get_with(&self.url_of(path, query), &headers);
            let answer = answer.map_err(connection_problem)?;
            match retry_after(&answer).filter(|_| answer.status == 429 && tries < TRIES) {
                Some(pause) => std::thread::sleep(pause.min(PAUSE_MAX)),
                None => return Ok(answer),
            }
            tries += 1;
        }
    }

    /// Reads the bytes at a path.
    pub fn get_bytes(&self, path: &str, query: &str) -> Result<Vec<u8>, Problem> {
        let answer = self.get_whole(path, query)?;
        match answer.status {
            200 => Ok(answer.body),
            _ => Err(self.problem(path, &answer)),
        }
    }

    /// The problem in the response to a path. A refusal says what was shown, and what may be wrong
    /// with it.
    pub fn problem(&self, path: &str, answer: &Response) -> Problem {
        let problem = problem_of(&format!("{}{path}", self.url), answer);
        if answer.status != 401 {
            return problem;
        }
        Problem { text: format!("{}; {}", problem.text, self.hint(answer)), ..problem }
    }

    /// What the user may do about a refusal of the credentials.
    fn hint(&self, answer: &Response) -> String {
        let apart = server_time(answer)
            .map_or(0, |time| (system::now().unix_ns() - time.unix_ns()) / 1_000_000_000 / 60);
        if self.signs() && apart.unsigned_abs() >= CLOCK_MINUTES_APART {
            let direction = if apart > 0 { "ahead of" } else { "behind" };
            return format!(
                "this machine's clock is {} minutes {direction} the server's, and a signature is \
                 good for 15; set the clock",
                apart.unsigned_abs()
            );
        }
        match &self.shown {
            CredentialOrigin::Nothing => {
                "no credentials were shown; `daybook login URL` adds a profile with \
                               a token, --token-file FILE shows one"
                    .to_owned()
            }
            CredentialOrigin::File(file) => format!(
                "the token of {} was shown; it is wrong or older than a day; log in again",
                file.display()
            ),
            CredentialOrigin::Profile { name, expires: Some(at) } if *at <= system::now() => {
                format!(
                    "the token of profile {name} expired at {at}; `daybook login --profile {name}` \
                 gets a new one"
                )
            }
            CredentialOrigin::Profile { name, .. } if self.signs() => {
                format!("the access key of profile {name} was shown; its id or secret is wrong")
            }
            CredentialOrigin::Profile { name, .. } => format!(
                "the token of profile {name} was shown; `daybook login --profile {name}` gets a \
                 new one"
            ),
        }
    }

    /// Sends a body, and returns the response of any status.
    pub fn post(&self, path: &str, query: &str, body: &[u8]) -> Result<Response, Problem> {
        let headers = self.headers("POST", path, query, body);
        self.client.post_with(&self.url_of(path, query), &headers, body).map_err(connection_problem)
    }

    /// Like [`Server::post`], with a token of the source instead of the credentials.
    pub fn post_as(
        &self,
        bearer: &str,
        path: &str,
        query: &str,
        body: &[u8],
    ) -> Result<Response, Problem> {
        self.client.post_as(bearer, &self.url_of(path, query), body).map_err(connection_problem)
    }

    /// Opens a response to be read as it arrives. Errs if the request is refused.
    pub fn open(
        &self,
        path: &str,
        query: &str,
        more: &[Header],
    ) -> Result<ResponseStream, Problem> {
        let mut headers = self.headers("GET", path, query, b"");
        headers.extend_from_slice(more);
        let opened =
            self.client.open(&self.url_of(path, query), &headers).map_err(connection_problem)?;
        if matches!(opened.status, 200 | 206) {
            return Ok(opened);
        }
        let at = format!("{}{path}", self.url);
        let answer = opened.read().map_err(|error| connection_problem(format!("{at}: {error}")))?;
        Err(self.problem(path, &answer))
    }

    /// Whether requests are signed; not every route accepts that.
    pub fn signs(&self) -> bool {
        matches!(self.credentials, Credentials::Key { .. })
    }

    fn url_of(&self, path: &str, query: &str) -> String {
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{}{path}{mark}{query}", self.url)
    }

    fn headers(&self, method: &str, path: &str, query: &str, body: &[u8]) -> Vec<Header> {
        match &self.credentials {
            Credentials::None => Vec::new(),
            Credentials::Token(token) => vec![("x-auth-token", token.clone())],
            Credentials::Key { id, secret } => {
                // The signature covers the whole path, with that of the base URL.
                let rest = self.url.split_once("://").map_or(&*self.url, |(_, rest)| rest);
                let (host, base) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                let date = signature::date_text(system::now());
                let signed = [("host", host), ("x-sdk-date", &*date)];
                let path = format!("{base}{path}");
                let authorization =
                    signature::sign(id, secret, method, &path, query, &signed, body);
                vec![
                    ("host", host.to_owned()),
                    ("x-sdk-date", date),
                    ("authorization", authorization),
                ]
            }
        }
    }
}

/// Minutes between two clocks from which on a refused signature is put down to them.
const CLOCK_MINUTES_APART: u64 = 5;

/// The time of the server's clock, from the header `Date`.
fn server_time(answer: &Response) -> Option<Time> {
    let text = answer.headers.get("date")?.to_str().ok()?;
    let seconds = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_second();
    Some(Time::from_unix_ns(seconds.checked_mul(1_000_000_000)?))
}

/// The pause that the server requests.
pub fn retry_after(answer: &Response) -> Option<Duration> {
    let seconds = answer.headers.get("retry-after")?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// A word quoted for a shell.
pub fn shell_word(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// Parameters as a query, as on the wire.
pub fn query_of(parameters: &[(String, String)]) -> String {
    let pair = |(name, value): &(String, String)| {
        format!("{}={}", encode(name.as_bytes()), encode(value.as_bytes()))
    };
    parameters.iter().map(pair).collect::<Vec<_>>().join("&")
}

fn connection_problem(text: String) -> Problem {
    Problem { exit: Exit::Failed, status: None, text, parameter: None }
}

/// The body of an error: RFC 9457, or the form of the vendor's gateway.
#[derive(Deserialize, Default)]
struct ErrorBody {
    detail: Option<String>,
    error_msg: Option<String>,
    parameter: Option<String>,
    #[serde(default)]
    column: usize,
}

/// Longest text of an error that is printed.
const ERROR_CHARS_MAX: usize = 1000;

/// The problem in a response.
pub fn problem_of(at: &str, answer: &Response) -> Problem {
    let error: ErrorBody = serde_json::from_slice(&answer.body).unwrap_or_default();
    let why = error.detail.or(error.error_msg).unwrap_or_default();
    let why = printable(&why.chars().take(ERROR_CHARS_MAX).collect::<String>());
    let parameter = error.parameter.map(|name| (name, error.column));
    match (answer.status, &parameter) {
        // The search is the user's own; the address does not matter.
        (400, Some(_)) => Problem { exit: Exit::Usage, status: Some(400), text: why, parameter },
        (status, _) => {
            let why = if why.is_empty() { why } else { format!(": {why}") };
            let text = format!("{at}: answered {status}{why}");
            Problem { exit: Exit::Failed, status: Some(status), text, parameter }
        }
    }
}
