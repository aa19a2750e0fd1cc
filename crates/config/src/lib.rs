//! The configuration: one TOML file, `DAYBOOK_*` variables over it, command line flags over both.
//!
//! Three stages: [`Raw`] is syntax alone, [`Config`] has only values that can be right, and `serve`
//! opens what they name. The first two are pure but for reading token files.
//! `docs/configuration.md` lists every setting.

mod error;
mod in_force;
mod limits;
pub mod pattern;
mod reload;
mod settings;
mod source;
mod syslog;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use event::civil::Offset;
use event::{Service, Trail};
use serde::{Deserialize, Serialize};
use tlog::{Kind, Verifier};

pub use error::Error;
pub use in_force::InForce;
pub use limits::{Described, Limits};
pub use reload::Reloaded;
pub use settings::{settings, variable_of};
use source::RawSource;
pub use source::{Source, Token};
pub use syslog::Syslog;

/// The file as written. Unknown keys are refused.
#[derive(Debug, Deserialize, Serialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Raw {
    data_dir: Option<PathBuf>,
    listen: Option<SocketAddr>,
    log_format: Option<LogFormat>,
    log_level: Option<LogLevel>,
    public_url: Option<String>,
    tls: RawTls,
    own: Own,
    swr: Swr,
    codearts: RawCodeArts,
    hcs: RawHcs,
    evidence: Evidence,
    metrics: RawMetrics,
    limits: Limits,
    source: Vec<RawSource>,
    witness: Vec<RawWitness>,
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

/// Who may read `/metrics`.
#[derive(Debug, Deserialize, Serialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawMetrics {
    public: bool,
    token: Option<source::RawToken>,
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
struct RawWitness {
    url: String,
    key: String,
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

/// How much the operational log tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, Default, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What ends the server, or needs someone now.
    Error,
    /// What someone should look at.
    Warn,
    /// What the server does: starts, stops, changes.
    #[default]
    Info,
    /// Every request too.
    Debug,
}

/// Settings of the SWR API.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Swr {
    /// Whether a request without `operation` lists all operations, instead of being refused as the
    /// vendor's page says.
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
    /// Whether a request without `x-hcso-domainid` is about the caller's own domain, instead of
    /// being refused.
    pub domain_id_may_be_absent: bool,
    /// Requests of one caller in a minute; 0 for any number.
    pub requests_per_minute: u64,
}

/// Settings of what proves the log.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Evidence {
    /// Whether checkpoints and tiles are for anyone, instead of for those who may read evidence.
    /// They tell nothing of events but how many there are.
    pub public: bool,
    /// Whether every answer carries a receipt, instead of those to requests that ask for one.
    pub receipts: bool,
    /// The folder that keeps what was signed last, outside the data directory; `None` for one
    /// beside it.
    pub guard: Option<PathBuf>,
}

impl Default for Evidence {
    fn default() -> Self {
        Evidence { public: true, receipts: false, guard: None }
    }
}

/// Who may read `/metrics`, besides users with the right.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    /// Anyone.
    pub public: bool,
    /// Who shows this.
    pub token: Option<Token>,
}

/// A configuration whose values can be right.
#[derive(Debug)]
pub struct Config {
    pub data_dir: Option<PathBuf>,
    pub listen: SocketAddr,
    pub log_format: LogFormat,
    pub log_level: LogLevel,
    /// How clients outside reach this server, for links in answers; what a request names when
    /// absent.
    pub public_url: Option<String>,
    pub tls: Option<Tls>,
    /// The trail of Daybook's record of itself.
    pub own: Trail,
    pub swr: Swr,
    pub codearts: CodeArts,
    pub hcs: Hcs,
    pub evidence: Evidence,
    pub metrics: Metrics,
    /// The settings in force as a file would have them, for the record of changes.
    pub text: String,
    pub limits: Limits,
    pub sources: Vec<Source>,
    pub witnesses: Vec<Witness>,
}

impl Config {
    /// The source with this name.
    pub fn source(&self, name: &str) -> Option<&Source> {
        self.sources.iter().find(|source| source.name == name)
    }
}

/// Where the certificate chain and its key are, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// A configured witness of checkpoints.
#[derive(Debug, Clone)]
pub struct Witness {
    /// What `add-checkpoint` is appended to, without a slash at the end.
    pub url: String,
    /// What its cosignatures are checked with.
    pub key: Verifier,
}

/// The name of the source that Daybook itself is; no configured source may have it.
pub const OWN_SOURCE: &str = "daybook";

/// Where Daybook listens unless told otherwise.
pub const LISTEN: &str = "127.0.0.1:8420";

/// No body limit may be set above this: what is set aside of a body must fit a frame of the
/// journal.
const BODY_BYTES_CAP: u64 = 32 << 20;

/// No limit on an event may be set above this: an entry may be six times as long as the event, and
/// both must fit a frame.
const EVENT_BYTES_CAP: u64 = 8 << 20;

/// Most witnesses: with signatures of the log's own keys, a checkpoint has no more than the 16 that
/// every verifier takes (C2SP signed-note, section Format).
const WITNESSES_MAX: usize = 12;

/// What the command line says over the file and the variables.
#[derive(Debug, Default, Clone)]
pub struct Flags {
    pub config: Option<PathBuf>,
    pub data_dir: Option<PathBuf>,
    pub listen: Option<SocketAddr>,
    pub log_format: Option<LogFormat>,
    pub log_level: Option<LogLevel>,
}

/// Reads file, variables and flags into a checked configuration. Without a file, the defaults are
/// the file.
pub fn load(flags: &Flags, variables: &BTreeMap<String, String>) -> Result<Config, Error> {
    let path = file_of(flags, variables);
    let text = match &path {
        Some(path) => std::fs::read_to_string(path).map_err(|error| {
            Error(format!("couldn't read the configuration {}: {error}", path.display()))
        })?,
        None => String::new(),
    };
    let folder = folder_of(flags, variables);
    let mut raw = parse(&text, variables).map_err(|why| {
        Error(format!(
            "{}: {why}",
            path.map_or("the environment".to_owned(), |path| path.display().to_string())
        ))
    })?;
    raw.data_dir = flags.data_dir.clone().or(raw.data_dir);
    raw.listen = flags.listen.or(raw.listen);
    raw.log_format = flags.log_format.or(raw.log_format);
    raw.log_level = flags.log_level.or(raw.log_level);
    check(raw, &folder).map_err(Error)
}

/// Reads file, variables and flags again, and goes on from the running configuration to what they
/// say now, as far as a running server can.
pub fn reload(
    running: &Config,
    flags: &Flags,
    variables: &BTreeMap<String, String>,
) -> Result<Reloaded, Error> {
    let new = load(flags, variables)?;
    reload::go_on(running, &new, &folder_of(flags, variables)).map_err(Error)
}

/// The configuration file, if one is named.
fn file_of(flags: &Flags, variables: &BTreeMap<String, String>) -> Option<PathBuf> {
    flags.config.clone().or_else(|| variables.get("DAYBOOK_CONFIG").map(PathBuf::from))
}

/// What relative paths are relative to.
fn folder_of(flags: &Flags, variables: &BTreeMap<String, String>) -> PathBuf {
    file_of(flags, variables).as_deref().and_then(Path::parent).unwrap_or(Path::new("")).to_owned()
}

/// Reads the file and lays the variables over it.
fn parse(text: &str, variables: &BTreeMap<String, String>) -> Result<Raw, String> {
    let mut table: toml::Table =
        text.parse().map_err(|error: toml::de::Error| error.to_string())?;
    settings::lay_over(&mut table, variables)?;
    Raw::deserialize(table).map_err(|error| error.to_string())
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
    if raw.limits.unflushed_events_max < raw.limits.flush_events {
        return Err(format!(
            "limits.unflushed_events_max: {} is below limits.flush_events, {}, so that nothing would ever be sealed",
            raw.limits.unflushed_events_max, raw.limits.flush_events
        ));
    }
    for (name, value) in raw.limits.named() {
        let cap = match name.as_str() {
            "event_bytes_max" | "syslog_message_bytes_max" => EVENT_BYTES_CAP,
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
    let own = Trail::new(Service::Dbaudit, tenant, project, instance)
        .map_err(|error| format!("own: {error}"))?;
    let zone = |name: &str, text: Option<&String>| match text {
        None => Ok(Offset::default()),
        Some(text) => Offset::parse(text).ok_or_else(|| {
            format!("{name}: {text:?} is no offset from UTC; write UTC or one like +08:00")
        }),
    };
    let codearts =
        CodeArts { time_zone: zone("codearts.time_zone", raw.codearts.time_zone.as_ref())? };
    let hcs = Hcs {
        time_zone: zone("hcs.time_zone", raw.hcs.time_zone.as_ref())?,
        region_id: raw.hcs.region_id,
        region_name: raw.hcs.region_name,
        domain_id_may_be_absent: raw.hcs.domain_id_may_be_absent,
        requests_per_minute: raw.hcs.requests_per_minute,
    };
    let public_url = raw.public_url.map(|url| url.trim_end_matches('/').to_owned());
    if public_url
        .as_ref()
        .is_some_and(|url| !url.starts_with("http://") && !url.starts_with("https://"))
    {
        return Err(
            "public_url: write it with its scheme, such as https://audit.example.com".to_owned()
        );
    }
    let metrics = Metrics {
        public: raw.metrics.public,
        token: raw
            .metrics
            .token
            .map(|token| {
                source::read_token(&folder.join(token.file))
                    .map_err(|why| format!("metrics: {why}"))
            })
            .transpose()?,
    };
    let mut sources: Vec<Source> = Vec::new();
    for raw in raw.source {
        let name = raw.name.clone();
        if sources.iter().any(|source| source.name == name) {
            return Err(format!("source {name:?} is declared twice"));
        }
        let source = source::check(raw, folder, tls.as_ref())
            .map_err(|why| format!("source {name:?}: {why}"))?;
        if source.trail == own || name == OWN_SOURCE {
            return Err(format!(
                "source {name:?}: that name and the trail {own} are Daybook's own"
            ));
        }
        sources.push(source);
    }
    let mut witnesses: Vec<Witness> = Vec::new();
    for raw in raw.witness {
        let witness = check_witness(&raw).map_err(|why| format!("witness {:?}: {why}", raw.url))?;
        if witnesses.iter().any(|one| one.key == witness.key) {
            return Err(format!("witness {:?}: its key is declared twice", raw.url));
        }
        witnesses.push(witness);
    }
    if witnesses.len() > WITNESSES_MAX {
        return Err(format!(
            "{} witnesses are declared, at most {WITNESSES_MAX} are asked",
            witnesses.len()
        ));
    }
    Ok(Config {
        data_dir: raw.data_dir,
        listen: raw.listen.unwrap_or_else(|| LISTEN.parse().expect("a literal address")),
        log_format: raw.log_format.unwrap_or(LogFormat::Text),
        log_level: raw.log_level.unwrap_or_default(),
        public_url,
        tls,
        own,
        swr: raw.swr,
        codearts,
        hcs,
        evidence: Evidence {
            guard: raw.evidence.guard.map(|guard| folder.join(guard)),
            ..raw.evidence
        },
        metrics,
        text,
        limits: raw.limits,
        sources,
        witnesses,
    })
}

fn check_witness(raw: &RawWitness) -> Result<Witness, String> {
    let url = raw.url.trim_end_matches('/').to_owned();
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Err("write the url with its scheme, such as https://witness.example.com".to_owned());
    }
    let key = Verifier::parse(&raw.key).map_err(|why| format!("key: {why}"))?;
    match key.kind() {
        Kind::Cosignature => Ok(Witness { url, key }),
        Kind::Note => Err("key: that is the key of a log, not of a witness".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
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
        let config = checked(
            text,
            &[("DAYBOOK_LISTEN", "[::1]:2"), ("DAYBOOK_LIMITS_CONNECTIONS_MAX", "7")],
        )
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
            (
                "[metrics]\ntoken = { file = '/nonexistent' }",
                &[],
                "metrics: couldn't read the token",
            ),
            ("", &[("DAYBOOK_LISSEN", "1")], "DAYBOOK_LISSEN is no setting"),
            ("", &[("DAYBOOK_LISTEN", "nowhere")], "listen"),
            (
                "[[source]]\nname='a b'\nformat='daybook'\ntoken={file='t'}\ntrail={service='registry',tenant='t',project='p',instance='i'}",
                &[],
                "a name has",
            ),
            (
                "[[source]]\nname='a'\nformat='telegraph'\ntoken={file='t'}\ntrail={service='registry',tenant='t',project='p',instance='i'}",
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
            (
                "[[source]]\nname='a'\nformat='daybook'\ntime_zone='Mars'\ntrail={service='registry',tenant='t',project='p',instance='i'}",
                &[],
                "source \"a\": time_zone: \"Mars\" is no time zone",
            ),
            (
                "[[source]]\nname='a'\nformat='daybook'\ntrusted_proxies=['10.0.0.0/33']\ntrail={service='registry',tenant='t',project='p',instance='i'}",
                &[],
                "trusted_proxies: \"10.0.0.0/33\"",
            ),
            (
                "[[source]]\nname='a'\nformat='daybook'\nnoise='drop'\ntrail={service='registry',tenant='t',project='p',instance='i'}",
                &[],
                "noise",
            ),
            (
                "[[source]]\nname='a'\nformat='daybook'\nsyslog={}\ntrail={service='registry',tenant='t',project='p',instance='i'}",
                &[],
                "source \"a\": syslog: name an address",
            ),
            (
                "[[source]]\nname='a'\nformat='daybook'\nsilent_after_s=0\ntrail={service='registry',tenant='t',project='p',instance='i'}",
                &[],
                "silent_after_s: 0",
            ),
            (
                "[[source]]\nname='a'\nformat='daybook'\nfollow={paths=[]}\ntrail={service='registry',tenant='t',project='p',instance='i'}",
                &[],
                "names no file",
            ),
            (
                "[[source]]\nname='a'\nformat='daybook'\nfollow={paths=['/a/**/b']}\ntrail={service='registry',tenant='t',project='p',instance='i'}",
                &[],
                "source \"a\": follow: /a/**/b: `**` is not known",
            ),
            (
                "[[source]]\nname='a'\nformat='daybook'\nfollow={paths=['/a'],from='middle'}\ntrail={service='registry',tenant='t',project='p',instance='i'}",
                &[],
                "from",
            ),
            ("[[witness]]\nurl = 'w.example'\nkey = 'w'", &[], "with its scheme"),
            (
                "[[witness]]\nurl = 'https://w.example'\nkey = 'w+1+2'",
                &[],
                "witness \"https://w.example\": key:",
            ),
            (
                "[[witness]]\nurl = 'https://w.example'\nkey = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW'",
                &[],
                "the key of a log",
            ),
        ] {
            assert!(error(text, variables).contains(why), "{text}: {}", error(text, variables));
        }
    }

    #[test]
    fn witnesses_have_keys_of_their_own_and_are_few() {
        let stanza = |seed: u8| {
            let key = tlog::Signer::new("w", Kind::Cosignature, &[seed; 32]).expect("a name");
            format!("[[witness]]\nurl = 'https://w.example/{seed}/'\nkey = '{}'\n", key.verifier())
        };
        let most: String = (1..=12).map(stanza).collect();
        let config = checked(&most, &[]).expect("twelve");
        assert_eq!(
            (config.witnesses.len(), config.witnesses[4].url.as_str()),
            (12, "https://w.example/5")
        );
        assert!(error(&format!("{most}{}", stanza(13)), &[]).contains("13 witnesses"));
        assert!(error(&stanza(1).repeat(2), &[]).contains("declared twice"));
    }
}
