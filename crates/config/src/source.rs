//! `[[source]]`: what sends events, and how they come.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use event::{Service, Trail};
use formats::{Format, Options, Zone};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::Tls;
use super::syslog::{self, RawSyslog, Syslog};
use crate::pattern::Pattern;

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSource {
    pub(super) name: String,
    format: String,
    trail: RawTrail,
    token: Option<RawToken>,
    time_zone: Option<String>,
    #[serde(default)]
    trusted_proxies: Vec<String>,
    #[serde(default)]
    noise: Noise,
    #[serde(default)]
    secrets: Secrets,
    syslog: Option<RawSyslog>,
    silent_after_s: Option<u64>,
    follow: Option<RawFollow>,
}

/// Which files are followed.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RawFollow {
    paths: Vec<PathBuf>,
    #[serde(default)]
    from: From,
}

/// What of the files is read that are there at the very first start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, Default)]
#[serde(rename_all = "kebab-case")]
enum From {
    #[default]
    Beginning,
    End,
}

/// What becomes of what only looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, Default)]
#[serde(rename_all = "kebab-case")]
enum Noise {
    #[default]
    Skip,
    Record,
}

/// What becomes of secrets in SQL texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, Default)]
#[serde(rename_all = "kebab-case")]
enum Secrets {
    #[default]
    Redact,
    RedactRaw,
    Keep,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RawTrail {
    service: String,
    tenant: String,
    project: String,
    instance: String,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawToken {
    pub(super) file: PathBuf,
}

/// A configured source of events.
#[derive(Debug, Clone)]
pub struct Source {
    pub name: String,
    pub format: Format,
    pub trail: Trail,
    /// What senders show who come by HTTP; without one, only users with the right to write may.
    pub token: Option<Token>,
    pub options: Options,
    /// Where it takes syslog messages.
    pub syslog: Option<Syslog>,
    /// For how long nothing may come before that is told; `None` for any time.
    pub silent_after_s: Option<u64>,
    /// The files that the server follows, if any.
    pub follow: Option<Follow>,
}

impl Source {
    /// By which ways its events may come.
    pub fn transports(&self) -> Vec<&'static str> {
        let syslog = self.syslog.as_ref();
        let is_on = [
            ("http", true),
            ("files", self.follow.is_some()),
            ("syslog-udp", syslog.is_some_and(|syslog| syslog.udp.is_some())),
            ("syslog-tcp", syslog.is_some_and(|syslog| syslog.tcp.is_some())),
            ("syslog-tls", syslog.is_some_and(|syslog| syslog.tls.is_some())),
        ];
        is_on.into_iter().filter(|(_, is_on)| *is_on).map(|(name, _)| name).collect()
    }
}

/// Files that are followed.
#[derive(Debug, Clone)]
pub struct Follow {
    pub patterns: Vec<Pattern>,
    /// Whether what is there at the very first start is taken for read.
    pub from_end: bool,
}

/// What a sender must show.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    pub fn new(text: &str) -> Token {
        Token(text.to_owned())
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

/// Shortest token a source may have: 16 characters of hex are 64 bits.
const TOKEN_BYTES_MIN: usize = 16;

/// Relative paths are relative to `folder`. `tls` is the server's own certificate.
pub(super) fn check(raw: RawSource, folder: &Path, tls: Option<&Tls>) -> Result<Source, String> {
    let is_name = !raw.name.is_empty()
        && raw.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if !is_name || raw.name.len() > 64 {
        return Err("a name has 1 to 64 letters, digits, '-', '_' and '.'".to_owned());
    }
    let format: Format = raw.format.parse()?;
    let service: Service =
        raw.trail.service.parse().map_err(|error: event::InvalidTrail| error.to_string())?;
    let trail = Trail::new(service, &raw.trail.tenant, &raw.trail.project, &raw.trail.instance)
        .map_err(|error| error.to_string())?;
    let token = raw.token.map(|token| read_token(&folder.join(token.file))).transpose()?;
    let options = Options {
        time_zone: raw
            .time_zone
            .map(|text| Zone::parse(&text).map_err(|why| format!("time_zone: {why}")))
            .transpose()?,
        trusted_proxies: networks("trusted_proxies", &raw.trusted_proxies)?,
        records_noise: raw.noise == Noise::Record,
        secrets: match raw.secrets {
            Secrets::Redact => formats::Secrets::Redact,
            Secrets::RedactRaw => formats::Secrets::RedactRaw,
            Secrets::Keep => formats::Secrets::Keep,
        },
    };
    let syslog = raw.syslog.map(|raw| syslog::check(raw, folder, tls)).transpose();
    let syslog = syslog.map_err(|why| format!("syslog: {why}"))?;
    if raw.silent_after_s == Some(0) {
        return Err("silent_after_s: 0 would tell of silence after every event".to_owned());
    }
    let silent_after_s = raw.silent_after_s;
    let follow = raw.follow.map(|follow| check_follow(&follow, folder)).transpose()?;
    Ok(Source { name: raw.name, format, trail, token, options, syslog, follow, silent_after_s })
}

fn check_follow(raw: &RawFollow, folder: &Path) -> Result<Follow, String> {
    if raw.paths.is_empty() {
        return Err("follow: paths names no file".to_owned());
    }
    let pattern = |path: &PathBuf| match path.as_os_str().is_empty() {
        true => Err("follow: a path is empty".to_owned()),
        false => Pattern::parse(&folder.join(path)).map_err(|why| format!("follow: {why}")),
    };
    let patterns = raw.paths.iter().map(pattern).collect::<Result<_, _>>()?;
    Ok(Follow { patterns, from_end: raw.from == From::End })
}

/// Reads addresses and networks.
pub(super) fn networks(setting: &str, texts: &[String]) -> Result<Vec<IpNet>, String> {
    let network = |text: &String| {
        let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        network
            .map_err(|_| format!("{setting}: {text:?} is no address or network such as 10.0.0.0/8"))
    };
    texts.iter().map(network).collect()
}

pub(super) fn read_token(file: &Path) -> Result<Token, String> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("couldn't read the token {}: {error}", file.display()))?;
    let token = text.trim();
    if token.len() < TOKEN_BYTES_MIN {
        return Err(format!(
            "the token in {} has fewer than {TOKEN_BYTES_MIN} characters",
            file.display()
        ));
    }
    Ok(Token::new(token))
}
