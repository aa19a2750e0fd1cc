//! Reading file, environment variables and flags.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use toml::Table;

use crate::config::Config;
use crate::error::Error;
use crate::file::File;
use crate::logging::{LogFormat, LogLevel};
use crate::{check, position, variables};

/// Command line flags; they override the file and the variables.
#[derive(Debug, Default, Clone)]
pub struct Flags {
    pub config: Option<PathBuf>,
    pub data_dir: Option<PathBuf>,
    pub listen: Option<SocketAddr>,
    pub log_format: Option<LogFormat>,
    pub log_level: Option<LogLevel>,
}

impl Flags {
    /// The configuration file, if one is named.
    fn file(&self, variables: &BTreeMap<String, String>) -> Option<PathBuf> {
        self.config.clone().or_else(|| variables.get("DAYBOOK_CONFIG").map(PathBuf::from))
    }

    /// Folder of the configuration file; relative paths start there.
    pub(crate) fn folder(&self, variables: &BTreeMap<String, String>) -> PathBuf {
        let file = self.file(variables);
        file.as_deref().and_then(Path::parent).unwrap_or(Path::new("")).to_owned()
    }
}

/// Reads file, variables and flags into a checked configuration. Without a file, the defaults
/// apply.
pub fn load(flags: &Flags, variables: &BTreeMap<String, String>) -> Result<Config, Error> {
    let path = flags.file(variables);
    let text = match &path {
        Some(path) => std::fs::read_to_string(path).map_err(|error| {
            Error(format!("couldn't read the configuration {}: {error}", path.display()))
        })?,
        None => String::new(),
    };
    let located = |why: String| {
        let origin = match (&path, position::of(&text, &why)) {
            (Some(path), Some((line, column))) => format!("{}:{line}:{column}", path.display()),
            (Some(path), None) => path.display().to_string(),
            (None, _) => "the environment".to_owned(),
        };
        Error(format!("{origin}: {why}"))
    };
    let mut file = parse(&text, variables).map_err(located)?;
    file.data_dir = flags.data_dir.clone().or(file.data_dir);
    file.listen = flags.listen.unwrap_or(file.listen);
    file.log_format = flags.log_format.unwrap_or(file.log_format);
    file.log_level = flags.log_level.unwrap_or(file.log_level);
    check::config(file, &flags.folder(variables)).map_err(located)
}

/// Parses the file and overrides it with the variables.
pub(crate) fn parse(text: &str, variables: &BTreeMap<String, String>) -> Result<File, String> {
    let mut table: Table = text.parse().map_err(|error: toml::de::Error| error.to_string())?;
    variables::apply(&mut table, variables)?;
    check::file(table)
}

#[cfg(test)]
mod tests {
    use tlog::Kind;

    use super::*;
    use crate::file::LISTEN;
    use crate::limits::Limits;

    fn checked(text: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        parse(text, &variables).and_then(|file| check::config(file, Path::new("")))
    }

    fn error(text: &str, variables: &[(&str, &str)]) -> String {
        checked(text, variables).map(|config| format!("{config:?}")).expect_err(text)
    }

    #[test]
    fn an_empty_file_is_a_configuration() {
        let config = checked("", &[]).expect("defaults");
        assert_eq!(config.listen, LISTEN);
        assert_eq!(config.tls, None);
    }

    #[test]
    fn variables_override_the_file() {
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
            ("listen = 'here'", &[], "listen: invalid socket address"),
            ("data_dir = 5", &[], "data_dir: "),
            ("log_format = 'xml'", &[], "log_format: "),
            ("log_level = 'loud'", &[], "log_level: "),
            ("[swr]\noperation = true", &[], "operation"),
            ("[swr]\noperation_may_be_absent = 1", &[], "swr.operation_may_be_absent: "),
            ("[hcs]\nregion_id = 1", &[], "hcs.region_id: "),
            ("[hcs]\nregion_name = 1", &[], "hcs.region_name: "),
            ("[hcs]\ndomain_id_may_be_absent = 1", &[], "hcs.domain_id_may_be_absent: "),
            ("[hcs]\nrequests_per_minute = -1", &[], "hcs.requests_per_minute: "),
            ("[evidence]\npublic = 'yes'", &[], "evidence.public: "),
            ("[evidence]\nreceipts = 'yes'", &[], "evidence.receipts: "),
            ("[evidence]\nguard = true", &[], "evidence.guard: "),
            ("[metrics]\npublic = 1", &[], "metrics.public: "),
            (
                "[limits]\nevent_bytes_max = 8388609",
                &[],
                "limits.event_bytes_max: 8388609 is above 8388608, the most that the journal's",
            ),
            (
                "[limits]\nflush_events = 5\nunflushed_events_max = 4",
                &[],
                "limits.unflushed_events_max: 4 is below limits.flush_events, 5",
            ),
            ("[tls]\ncertificate = 'c.pem'", &[], "tls: certificate and key belong together"),
            ("[own]\ntenant = ''", &[], "own:"),
            ("[own]\nproject = '*'", &[], "own:"),
            ("[[witness]]\nurl = 'https://w.example'", &[], "key"),
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
            ("[[witness]]\nurl = 'w.example'\nkey = 'w'", &[], "with its scheme"),
            (
                "[[witness]]\nurl = 'https://w.example'\nkey = 'w+1+2'",
                &[],
                "witness \"https://w.example\": key:",
            ),
            (
                "[[witness]]\nurl = 'https://w.example'\nkey = 'PeterNeumann+c74f20a3\
                 +ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW'",
                &[],
                "the key of a log",
            ),
        ] {
            assert!(error(text, variables).contains(why), "{text}: {}", error(text, variables));
        }
        for limit in Limits::default().list() {
            let path = format!("limits.{}", limit.name);
            let expected = format!("{path}: 0 would refuse everything");
            assert_eq!(error(&format!("{path} = 0"), &[]), expected);
        }
    }

    const SOURCE: &str = "[[source]]\nname = 'a'\nformat = 'daybook'\n\
        trail = { service = 'registry', tenant = 't', project = 'p', instance = 'i' }\n";

    #[test]
    fn every_wrong_value_of_a_source_is_named() {
        checked(SOURCE, &[]).expect("a source");
        for (from, to, why) in [
            ("'a'", "'a b'", "a name has"),
            ("'a'", "'daybook'", "the name daybook and the trail"),
            ("'daybook'", "'telegraph'", "no source format"),
            ("'registry'", "'mail'", "no service"),
            ("'t'", "'t/x'", "the tenant of a trail holds '/'"),
            ("trail", "tail", "tail"),
            ("tenant = 't', ", "", "tenant"),
        ] {
            let error = error(&SOURCE.replace(from, to), &[]);
            assert!(error.contains(why), "{to}: {error}");
        }
        for (line, why) in [
            ("token = { file = '/nonexistent' }", "couldn't read the token"),
            ("token = 'secret'", "token"),
            ("time_zone = 'Mars'", "source \"a\": time_zone: \"Mars\" is no time zone"),
            ("trusted_proxies = ['10.0.0.0/33']", "trusted_proxies: \"10.0.0.0/33\""),
            ("noise = 'drop'", "noise"),
            ("secrets = 'show'", "secrets"),
            ("syslog = {}", "source \"a\": syslog: name an address"),
            ("silent_after_s = 0", "silent_after_s: 0"),
            ("follow = { paths = [] }", "names no file"),
            ("follow = { paths = [''] }", "follow: a path is empty"),
            ("follow = { paths = ['/a/**/b'] }", "source \"a\": follow: /a/**/b: `**` is not"),
            ("follow = { paths = ['/a'], from = 'middle' }", "from"),
            (SOURCE, "source \"a\" is declared twice"),
            (
                "[own]\ntenant = 't'\nproject = 'p'\ninstance = 'i'\n[[source]]\nname = 'b'\n\
                 format = 'daybook'\n[source.trail]\nservice = 'dbaudit'\ntenant = 't'\n\
                 project = 'p'\ninstance = 'i'\n",
                "are Daybook's own",
            ),
        ] {
            let error = error(&format!("{SOURCE}{line}"), &[]);
            assert!(error.contains(why), "{line}: {error}");
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
