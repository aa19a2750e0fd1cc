//! `[[source]]`: where events come from.

use std::path::{Path, PathBuf};

use event::{Service, Trail};
use formats::{Format, Options, Zone};
use serde::{Deserialize, Serialize};

use crate::network;
use crate::pattern::Pattern;
use crate::setting::{Reload, Setting};
use crate::syslog::{self, RawSyslog, Syslog};
use crate::tls::Tls;
use crate::token::{self, RawToken, Token};

pub(crate) const SETTINGS: &[Setting] = &[
    Setting::structure(
        "source.name",
        Reload::No,
        "Unique name of 1 to 64 letters, digits, `-`, `_` and `.`. Every entry contains it, and \
         redeliveries are recognised within it: renaming a source makes its old events new. \
         `daybook` is reserved.",
    ),
    Setting::structure(
        "source.format",
        Reload::No,
        "One of the [formats](sources/README.md), such as `docker-registry`.",
    ),
    Setting::structure(
        "source.trail",
        Reload::No,
        "The [trail](access.md#trails) that the source feeds: `service` (`registry`, `artifact`, \
         `database`, `platform` or `dbaudit`), `tenant`, `project` and `instance`. Wire APIs find \
         it if `project` is a project of [`daybook access`](access.md) and `tenant` is that \
         project's domain. Each part has 1 to 128 bytes without `/`, `*` and white space. Several \
         sources may feed one trail.",
    ),
    Setting::structure(
        "source.token",
        Reload::Yes,
        "`{ file = \"…\" }`: file containing the token that senders show, at least 16 characters. \
         White space around it is ignored. Without a token, only users with the right to write \
         may send by HTTP.",
    ),
    Setting::structure(
        "source.time_zone",
        Reload::No,
        "Zone of times without one, as MariaDB and old syslog write them: `UTC`, an offset such \
         as `+08:00`, or a name such as `Europe/Berlin`. Without it such times count as UTC, and \
         the attribute `time_zone_assumed` says so.",
    ),
    Setting::structure(
        "source.trusted_proxies",
        Reload::No,
        "Addresses and networks, such as `[\"10.0.0.0/8\"]`, whose forwarding headers are \
         believed. Without them the source address is the peer's, and a header's claim stays an \
         attribute.",
    ),
    Setting::structure(
        "source.noise",
        Reload::No,
        "`skip` (default) does not record requests that only look, such as HEAD, indexes and \
         npm's metadata; refused ones are recorded. `record` records them with the operation \
         `read`.",
    ),
    Setting::structure(
        "source.secrets",
        Reload::No,
        "Handling of passwords and keys in [SQL texts](sources/sql.md#secrets). `redact` \
         (default) removes them from the event and leaves the original as it is. `redact-raw` \
         removes them from the original too. `keep` leaves both.",
    ),
    Setting::structure(
        "source.syslog",
        Reload::Certificates,
        "Listeners for [syslog messages](sources/transports.md#syslog), one for each of `udp`, \
         `tcp` and `tls`: an address and port each, at least one. `from`: addresses and networks \
         that may send; any by default. `certificate`, `key`: PEM files for `tls`; the server's \
         own (`tls.certificate`, `tls.key`) by default. `client_ca`: PEM file of authorities; a \
         sender by TLS must then show a certificate of theirs.",
    ),
    Setting::structure(
        "source.follow",
        Reload::No,
        "[Files](sources/files.md) to follow: `{ paths = [\"/var/log/app/*.log\"] }`. `*` and `?` \
         are wildcards; a folder means all files in it. `from`: `beginning` (default), or `end` \
         to skip what the files hold at the very first start.",
    ),
    Setting::structure(
        "source.silent_after_s",
        Reload::Yes,
        "Seconds without input after which the source counts as \
         [silent](sources/status.md#silence), which is recorded. Without it silence is not \
         detected.",
    ),
];

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawSource {
    pub(crate) name: String,
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

/// Files to follow, as the file names them.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RawFollow {
    paths: Vec<PathBuf>,
    #[serde(default)]
    from: From,
}

/// Where reading begins in the files that exist at the very first start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, Default)]
#[serde(rename_all = "kebab-case")]
enum From {
    #[default]
    Beginning,
    End,
}

/// Handling of requests that only look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, Default)]
#[serde(rename_all = "kebab-case")]
enum Noise {
    #[default]
    Skip,
    Record,
}

/// Handling of secrets in SQL texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, Default)]
#[serde(rename_all = "kebab-case")]
enum Secrets {
    #[default]
    Redact,
    RedactRaw,
    Keep,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RawTrail {
    service: String,
    tenant: String,
    project: String,
    instance: String,
}

/// A configured source of events.
#[derive(Debug, Clone)]
pub struct Source {
    pub name: String,
    pub format: Format,
    pub trail: Trail,
    /// Token that senders by HTTP show; without one, only users with the right to write may send.
    pub token: Option<Token>,
    pub options: Options,
    /// Listeners for syslog messages.
    pub syslog: Option<Syslog>,
    /// Seconds without input after which the source counts as silent; `None` for never.
    pub silent_after_s: Option<u64>,
    /// Files that the server follows.
    pub follow: Option<Follow>,
}

impl Source {
    /// Transports by which its events may come.
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

/// Files that the server follows.
#[derive(Debug, Clone)]
pub struct Follow {
    pub patterns: Vec<Pattern>,
    /// Whether the very first start skips what the files hold.
    pub from_end: bool,
}

/// Checks a source. Relative paths are relative to `folder`. `tls` is the server's own
/// certificate.
pub(crate) fn check(raw: RawSource, folder: &Path, tls: Option<&Tls>) -> Result<Source, String> {
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
    let token = raw.token.map(|token| token::read(&folder.join(token.file))).transpose()?;
    let options = Options {
        time_zone: raw
            .time_zone
            .map(|text| Zone::parse(&text).map_err(|why| format!("time_zone: {why}")))
            .transpose()?,
        trusted_proxies: network::parse("trusted_proxies", &raw.trusted_proxies)?,
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
        return Err("silent_after_s: 0 would report silence after every event".to_owned());
    }
    let silent_after_s = raw.silent_after_s;
    let follow = raw.follow.map(|follow| check_follow(&follow, folder)).transpose()?;
    Ok(Source { name: raw.name, format, trail, token, options, syslog, follow, silent_after_s })
}

fn check_follow(raw: &RawFollow, folder: &Path) -> Result<Follow, String> {
    if raw.paths.is_empty() {
        return Err("follow: paths names no file".to_owned());
    }
    let patterns = raw.paths.iter().map(|path| pattern(path, folder)).collect::<Result<_, _>>()?;
    Ok(Follow { patterns, from_end: raw.from == From::End })
}

fn pattern(path: &Path, folder: &Path) -> Result<Pattern, String> {
    if path.as_os_str().is_empty() {
        return Err("follow: a path is empty".to_owned());
    }
    Pattern::parse(&folder.join(path)).map_err(|why| format!("follow: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The struct and its rows of the table name the same settings.
    #[test]
    fn every_key_of_a_source_has_a_row() {
        let text = "name = 'a'\nformat = 'daybook'\ntime_zone = 'UTC'\nsilent_after_s = 1\n\
                    token = { file = 't' }\nfollow = { paths = ['a'] }\nsyslog = {}\n\
                    trail = { service = 'registry', tenant = 't', project = 'p', instance = 'i' }";
        let raw: RawSource = toml::from_str(text).expect("a source");
        let table = toml::Table::try_from(raw).expect("a table");
        let mut keys: Vec<String> = table.keys().map(|key| format!("source.{key}")).collect();
        let mut rows: Vec<&str> = SETTINGS.iter().map(|setting| setting.path).collect();
        keys.sort();
        rows.sort_unstable();
        assert_eq!(keys, rows);
    }
}
