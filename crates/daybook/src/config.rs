//! The configuration: one TOML file, `DAYBOOK_*` variables over it, command line flags over both.
//!
//! Three stages: [`Raw`] is syntax alone, [`Config`] has only values that can be right, and `serve` opens what they
//! name. The first two are pure but for reading token files. `docs/configuration.md` lists every setting.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use event::source::Format;
use event::{Service, Trail};
use serde::{Deserialize, Serialize};

use crate::api::civil::Offset;
use crate::audit::SOURCE;
use crate::report::Failure;

/// The file as written. Unknown keys are refused.
#[derive(Debug, Deserialize, Serialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Raw {
    data_dir: Option<PathBuf>,
    listen: Option<SocketAddr>,
    log_format: Option<LogFormat>,
    public_url: Option<String>,
    tls: RawTls,
    own: Own,
    swr: Swr,
    codearts: RawCodeArts,
    hcs: RawHcs,
    limits: Limits,
    source: Vec<RawSource>,
}

/// Settings of the CodeArts Artifact API.
#[derive(Debug, Deserialize, Serialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawCodeArts {
    time_zone: Option<String>,
}

/// Settings of the ops platform's API.
#[derive(Debug, Deserialize, Serialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawHcs {
    time_zone: Option<String>,
    region_id: String,
    region_name: String,
    domain_id_may_be_absent: bool,
    requests_per_minute: u64,
}

/// Where Daybook records what is done to itself: a trail of service `dbaudit`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Own {
    pub tenant: String,
    pub project: String,
    pub instance: String,
}

impl Default for Own {
    /// Ids as long as those of the vendor's clients, which check for 32 characters.
    fn default() -> Self {
        Own {
            tenant: "daybook".to_owned(),
            project: "0000000000000000000000000daybook".to_owned(),
            instance: "operators-of-this-daybook-server".to_owned(),
        }
    }
}

#[derive(Debug, Deserialize, Serialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawTls {
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RawSource {
    name: String,
    format: String,
    trail: RawTrail,
    token: RawToken,
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
struct RawToken {
    file: PathBuf,
}

/// How the operational log is written to standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// JSON lines.
    Json,
}

/// Settings of the SWR API.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Swr {
    /// Whether a request without `operation` lists all operations, instead of being refused as the vendor's page says.
    pub operation_may_be_absent: bool,
}

/// Settings of the CodeArts Artifact API.
#[derive(Debug, Clone, Copy, Default)]
pub struct CodeArts {
    /// The zone of its times, which do not name one.
    pub time_zone: Offset,
}

/// Settings of the ops platform's API.
#[derive(Debug, Clone, Default)]
pub struct Hcs {
    /// The zone of its times, which do not name one.
    pub time_zone: Offset,
    /// The region of events that name none.
    pub region_id: String,
    pub region_name: String,
    /// Whether a request without `x-hcso-domainid` is about the caller's own domain, instead of being refused.
    pub domain_id_may_be_absent: bool,
    /// Requests of one caller in a minute; 0 for any number.
    pub requests_per_minute: u64,
}

/// Limits on what the server takes at once. Each bounds memory or the time a client can hold a resource; too low
/// refuses honest clients, too high lets a few of them take the machine.
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Open connections. Further ones are closed at once.
    pub connections_max: usize,
    /// Open connections from one address.
    pub connections_per_address_max: usize,
    /// Requests being answered. Further ones get 503.
    pub requests_in_flight_max: usize,
    /// Bytes of intake bodies held at once, as received and decompressed. Beyond, 503.
    pub intake_bytes_in_flight_max: usize,
    /// Seconds for a TLS handshake, for a first byte, for a whole header.
    pub header_timeout_s: u64,
    /// Seconds for an intake request, from its header to its answer.
    pub intake_timeout_s: u64,
    /// Seconds for any other request.
    pub request_timeout_s: u64,
    /// Bytes of a request header, names and values together. Beyond, 431.
    pub header_bytes_max: usize,
    /// Header lines. Beyond, 431.
    pub headers_max: usize,
    /// Bytes of a path with its query. Beyond, 414.
    pub uri_bytes_max: usize,
    /// Bytes of a body as received. Beyond, 413.
    pub body_bytes_max: usize,
    /// Bytes of a body to a wire API. Beyond, 413.
    pub query_body_bytes_max: usize,
    /// Bytes of a body after decompression. Beyond, 413.
    pub body_decompressed_bytes_max: usize,
    /// Events in one body. Beyond, 413.
    pub events_per_request_max: usize,
    /// Bytes of one event. Beyond, 413, or set aside where the sender cannot heed it.
    pub event_bytes_max: usize,
    /// Requests waiting to be made durable. Beyond, 503.
    pub waiting_requests_max: usize,
    /// Events that are sealed into one segment; until there are so many they are in memory and in the journal.
    pub seal_events: u64,
    /// Events that may wait to be sealed. Beyond, requests wait.
    pub unsealed_events_max: u64,
    /// Bytes of segments' indexes kept in memory.
    pub index_cache_bytes_max: u64,
    /// Failed logins of one account in a minute, before further tries get 429.
    pub login_failures_per_account: u32,
    /// Failed logins from one address in a minute, before further tries get 429.
    pub login_failures_per_address: u32,
    /// Audit log files being sent at once. Further ones get 503.
    pub downloads_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections_max: 4096,
            connections_per_address_max: 256,
            requests_in_flight_max: 256,
            intake_bytes_in_flight_max: 256 << 20,
            header_timeout_s: 10,
            intake_timeout_s: 60,
            request_timeout_s: 30,
            header_bytes_max: 32 << 10,
            headers_max: 64,
            uri_bytes_max: 8 << 10,
            body_bytes_max: 8 << 20,
            query_body_bytes_max: 64 << 10,
            body_decompressed_bytes_max: 32 << 20,
            events_per_request_max: 10_000,
            event_bytes_max: 256 << 10,
            waiting_requests_max: 1024,
            seal_events: 128 << 10,
            unsealed_events_max: 1 << 20,
            index_cache_bytes_max: 256 << 20,
            login_failures_per_account: 5,
            login_failures_per_address: 20,
            downloads_max: 16,
        }
    }
}

impl Limits {
    pub fn header_timeout(&self) -> Duration {
        Duration::from_secs(self.header_timeout_s)
    }

    /// Every limit with its name, for the check that none is zero.
    fn named(&self) -> Vec<(String, u64)> {
        let Ok(toml::Value::Table(table)) = toml::Value::try_from(self) else { return Vec::new() };
        table
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.as_integer()?.cast_unsigned())))
            .collect()
    }
}

/// A configuration whose values can be right.
#[derive(Debug)]
pub struct Config {
    pub data_dir: Option<PathBuf>,
    pub listen: SocketAddr,
    pub log_format: LogFormat,
    /// How clients outside reach this server, for links in answers; what a request names when absent.
    pub public_url: Option<String>,
    pub tls: Option<Tls>,
    /// The trail of Daybook's record of itself.
    pub own: Trail,
    pub swr: Swr,
    pub codearts: CodeArts,
    pub hcs: Hcs,
    /// The settings in force as a file would have them, for the record of changes.
    pub text: String,
    pub limits: Limits,
    pub sources: Vec<Source>,
}

/// Where the certificate chain and its key are, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// A configured source of events.
#[derive(Debug, Clone)]
pub struct Source {
    pub name: String,
    pub format: Format,
    pub trail: Trail,
    pub token: Token,
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

/// Where Daybook listens unless told otherwise.
pub const LISTEN: &str = "127.0.0.1:8420";

/// No body limit may be set above this: what is set aside of a body must fit a frame of the journal.
const BODY_BYTES_CAP: u64 = 32 << 20;

/// No limit on an event may be set above this: an entry may be six times as long as the event, and both must fit a frame.
const EVENT_BYTES_CAP: u64 = 8 << 20;

/// Shortest token a source may have: 16 characters of hex are 64 bits.
const TOKEN_BYTES_MIN: usize = 16;

/// What the command line says over the file and the variables.
#[derive(Debug, Default, Clone)]
pub struct Flags {
    pub config: Option<PathBuf>,
    pub data_dir: Option<PathBuf>,
    pub listen: Option<SocketAddr>,
    pub log_format: Option<LogFormat>,
}

/// Reads file, variables and flags into a checked configuration. Without a file, the defaults are the file.
pub fn load(flags: &Flags, variables: &BTreeMap<String, String>) -> Result<Config, Failure> {
    let path = flags.config.clone().or_else(|| variables.get("DAYBOOK_CONFIG").map(PathBuf::from));
    let text = match &path {
        Some(path) => std::fs::read_to_string(path).map_err(|error| {
            Failure::usage(format!("couldn't read the configuration {}: {error}", path.display()))
        })?,
        None => String::new(),
    };
    let folder = path.as_deref().and_then(Path::parent).unwrap_or(Path::new("")).to_owned();
    let mut raw = parse(&text, variables).map_err(|why| {
        Failure::usage(format!(
            "{}: {why}",
            path.map_or("the environment".to_owned(), |path| path.display().to_string())
        ))
    })?;
    raw.data_dir = flags.data_dir.clone().or(raw.data_dir);
    raw.listen = flags.listen.or(raw.listen);
    raw.log_format = flags.log_format.or(raw.log_format);
    check(raw, &folder).map_err(Failure::usage)
}

/// Reads the file and lays the variables over it.
fn parse(text: &str, variables: &BTreeMap<String, String>) -> Result<Raw, String> {
    let mut table: toml::Table = text.parse().map_err(|error: toml::de::Error| error.to_string())?;
    for (name, value) in
        variables.iter().filter(|(name, _)| name.starts_with("DAYBOOK_") && *name != "DAYBOOK_CONFIG")
    {
        let path = settings().into_iter().find(|path| variable_of(path) == *name).ok_or_else(|| {
            format!("{name} is no setting; `daybook config check --help` tells where they are listed")
        })?;
        set(&mut table, &path, value);
    }
    Raw::deserialize(table).map_err(|error| error.to_string())
}

/// Every setting that has one value, as a path in the file: `listen`, `tls.key`, `limits.connections_max`, …
pub fn settings() -> Vec<String> {
    let sections = [
        ("", vec!["data_dir", "listen", "log_format", "public_url"]),
        ("tls", vec!["certificate", "key"]),
        ("own", vec!["tenant", "project", "instance"]),
        ("swr", vec!["operation_may_be_absent"]),
        ("codearts", vec!["time_zone"]),
        (
            "hcs",
            vec!["time_zone", "region_id", "region_name", "domain_id_may_be_absent", "requests_per_minute"],
        ),
    ];
    let mut paths: Vec<String> = sections
        .into_iter()
        .flat_map(|(section, names)| {
            names.into_iter().map(move |name| {
                if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") }
            })
        })
        .collect();
    paths.extend(Limits::default().named().into_iter().map(|(name, _)| format!("limits.{name}")));
    paths
}

/// The variable that sets a path.
pub fn variable_of(path: &str) -> String {
    format!("DAYBOOK_{}", path.replace('.', "_").to_uppercase())
}

fn set(table: &mut toml::Table, path: &str, text: &str) {
    let value = match (text.parse::<i64>(), text.parse::<bool>()) {
        (Ok(integer), _) => toml::Value::Integer(integer),
        (_, Ok(boolean)) => toml::Value::Boolean(boolean),
        _ => toml::Value::String(text.to_owned()),
    };
    match path.split_once('.') {
        None => {
            table.insert(path.to_owned(), value);
        }
        Some((section, name)) => {
            let section = table.entry(section).or_insert_with(|| toml::Value::Table(toml::Table::new()));
            if let Some(section) = section.as_table_mut() {
                section.insert(name.to_owned(), value);
            }
        }
    }
}

/// Turns syntax into values. Relative paths are relative to the configuration's folder.
fn check(raw: Raw, folder: &Path) -> Result<Config, String> {
    let text = toml::to_string(&raw).map_err(|error| error.to_string())?;
    let tls = match (raw.tls.certificate, raw.tls.key) {
        (None, None) => None,
        (Some(certificate), Some(key)) => {
            Some(Tls { certificate: folder.join(certificate), key: folder.join(key) })
        }
        _ => return Err("tls: certificate and key belong together; one is missing".to_owned()),
    };
    if let Some((name, _)) = raw.limits.named().into_iter().find(|(_, value)| *value == 0) {
        return Err(format!("limits.{name}: 0 would refuse everything"));
    }
    if raw.limits.unsealed_events_max < raw.limits.seal_events {
        return Err(format!(
            "limits.unsealed_events_max: {} is below limits.seal_events, {}, so that nothing would ever be sealed",
            raw.limits.unsealed_events_max, raw.limits.seal_events
        ));
    }
    for (name, value) in raw.limits.named() {
        let cap = match name.as_str() {
            "event_bytes_max" => EVENT_BYTES_CAP,
            name if name.contains("body_") => BODY_BYTES_CAP,
            _ => continue,
        };
        if value > cap {
            return Err(format!(
                "limits.{name}: {value} is above {cap}, the most that the journal's format holds"
            ));
        }
    }
    let Own { tenant, project, instance } = &raw.own;
    let own =
        Trail::new(Service::Dbaudit, tenant, project, instance).map_err(|error| format!("own: {error}"))?;
    let zone = |name: &str, text: Option<&String>| match text {
        None => Ok(Offset::default()),
        Some(text) => Offset::parse(text)
            .ok_or_else(|| format!("{name}: {text:?} is no offset from UTC; write UTC or one like +08:00")),
    };
    let codearts = CodeArts { time_zone: zone("codearts.time_zone", raw.codearts.time_zone.as_ref())? };
    let hcs = Hcs {
        time_zone: zone("hcs.time_zone", raw.hcs.time_zone.as_ref())?,
        region_id: raw.hcs.region_id,
        region_name: raw.hcs.region_name,
        domain_id_may_be_absent: raw.hcs.domain_id_may_be_absent,
        requests_per_minute: raw.hcs.requests_per_minute,
    };
    let public_url = raw.public_url.map(|url| url.trim_end_matches('/').to_owned());
    if public_url.as_ref().is_some_and(|url| !url.starts_with("http://") && !url.starts_with("https://")) {
        return Err("public_url: write it with its scheme, such as https://audit.example.com".to_owned());
    }
    let mut sources: Vec<Source> = Vec::new();
    for raw in raw.source {
        let name = raw.name.clone();
        if sources.iter().any(|source| source.name == name) {
            return Err(format!("source {name:?} is declared twice"));
        }
        let source = check_source(raw, folder).map_err(|why| format!("source {name:?}: {why}"))?;
        if source.trail == own || name == SOURCE {
            return Err(format!("source {name:?}: that name and the trail {own} are Daybook's own"));
        }
        sources.push(source);
    }
    Ok(Config {
        data_dir: raw.data_dir,
        listen: raw.listen.unwrap_or_else(|| LISTEN.parse().expect("a literal address")),
        log_format: raw.log_format.unwrap_or(LogFormat::Text),
        public_url,
        tls,
        own,
        swr: raw.swr,
        codearts,
        hcs,
        text,
        limits: raw.limits,
        sources,
    })
}

fn check_source(raw: RawSource, folder: &Path) -> Result<Source, String> {
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
    let file = folder.join(&raw.token.file);
    let text = std::fs::read_to_string(&file)
        .map_err(|error| format!("couldn't read the token {}: {error}", file.display()))?;
    let token = text.trim();
    if token.len() < TOKEN_BYTES_MIN {
        return Err(format!("the token in {} has fewer than {TOKEN_BYTES_MIN} characters", file.display()));
    }
    Ok(Source { name: raw.name, format, trail, token: Token::new(token) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
        let variables =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        parse(text, &variables).and_then(|raw| check(raw, Path::new("")))
    }

    fn error(text: &str, variables: &[(&str, &str)]) -> String {
        checked(text, variables).map(|config| format!("{config:?}")).expect_err(text)
    }

    #[test]
    fn nothing_said_is_a_configuration() {
        let config = checked("", &[]).expect("defaults");
        assert_eq!(config.listen.to_string(), LISTEN);
        assert_eq!(config.tls, None);
    }

    #[test]
    fn variables_stand_over_the_file() {
        let text = "listen = '127.0.0.1:1'\n[limits]\nconnections_max = 5\nheaders_max = 6\n";
        let config = checked(text, &[("DAYBOOK_LISTEN", "[::1]:2"), ("DAYBOOK_LIMITS_CONNECTIONS_MAX", "7")])
            .expect("valid");
        assert_eq!(
            (config.listen.port(), config.limits.connections_max, config.limits.headers_max),
            (2, 7, 6)
        );
    }

    #[test]
    fn every_wrong_value_is_named() {
        for (text, variables, why) in [
            ("lisen = 'x'", &[][..], "lisen"),
            ("listen = 'here'", &[], "listen"),
            ("[limits]\nconnections_max = 0", &[], "limits.connections_max: 0"),
            ("[limits]\nconnections_max = -1", &[], "connections_max"),
            (
                "[limits]\nbody_decompressed_bytes_max = 100000000",
                &[],
                "limits.body_decompressed_bytes_max: 100000000 is above",
            ),
            ("[limits]\nconections = 1", &[], "conections"),
            ("[tls]\nkey = 'k.pem'", &[], "certificate and key belong together"),
            ("[hcs]\ntime_zone = 'Asia/Shanghai'", &[], "hcs.time_zone"),
            ("[codearts]\ntime_zone = '8'", &[], "codearts.time_zone"),
            ("[own]\ninstance = 'a/b'", &[], "own:"),
            ("public_url = 'audit.example.com'", &[], "public_url"),
            ("", &[("DAYBOOK_LISSEN", "1")], "DAYBOOK_LISSEN is no setting"),
            ("", &[("DAYBOOK_LISTEN", "nowhere")], "listen"),
            (
                "[[source]]\nname='a b'\nformat='daybook'\ntoken={file='t'}\ntrail={service='registry',tenant='t',project='p',instance='i'}",
                &[],
                "a name has",
            ),
            (
                "[[source]]\nname='a'\nformat='syslog'\ntoken={file='t'}\ntrail={service='registry',tenant='t',project='p',instance='i'}",
                &[],
                "no source format",
            ),
            (
                "[[source]]\nname='a'\nformat='daybook'\ntoken={file='t'}\ntrail={service='mail',tenant='t',project='p',instance='i'}",
                &[],
                "no service",
            ),
            (
                "[[source]]\nname='a'\nformat='daybook'\ntoken={file='t'}\ntrail={service='registry',tenant='t/x',project='p',instance='i'}",
                &[],
                "the tenant of a trail holds '/'",
            ),
            (
                "[[source]]\nname='a'\nformat='daybook'\ntoken={file='/nonexistent'}\ntrail={service='registry',tenant='t',project='p',instance='i'}",
                &[],
                "couldn't read the token",
            ),
            (
                "[[source]]\nname='a'\nformat='daybook'\ntoken='secret'\ntrail={service='registry',tenant='t',project='p',instance='i'}",
                &[],
                "token",
            ),
        ] {
            assert!(error(text, variables).contains(why), "{text}: {}", error(text, variables));
        }
    }

    /// Each setting is a field that exists, and is described where operators look for it.
    #[test]
    fn every_setting_is_real_and_documented() {
        let document =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md"))
                .expect("the document");
        for path in settings() {
            let value = match path.as_str() {
                "listen" => "127.0.0.1:9",
                "log_format" => "json",
                "swr.operation_may_be_absent" | "hcs.domain_id_may_be_absent" => "true",
                "codearts.time_zone" | "hcs.time_zone" => "+08:00",
                "public_url" => "https://audit.example.com",
                "hcs.requests_per_minute" => "60",
                "limits.unsealed_events_max" => "9999999",
                _ if path.starts_with("limits.") => "9",
                _ => "a",
            };
            let partner = [("DAYBOOK_TLS_CERTIFICATE", "a"), ("DAYBOOK_TLS_KEY", "a")];
            let mut variables = vec![(variable_of(&path), value.to_owned())];
            if path.starts_with("tls.") {
                variables.extend(partner.map(|(name, value)| (name.to_owned(), value.to_owned())));
            }
            let raw = parse("", &variables.into_iter().collect()).expect(&path);
            check(raw, Path::new("")).expect(&path);
            assert!(document.contains(&format!("`{path}`")), "docs/configuration.md lacks `{path}`");
        }
        for name in ["source.name", "source.format", "source.trail", "source.token"] {
            assert!(document.contains(&format!("`{name}`")), "docs/configuration.md lacks `{name}`");
        }
    }
}
