//! Reload: which changed settings a running server applies, and which wait for its next start.
//!
//! The comparison is pure: tables in, tables out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use toml::{Table, Value};

use crate::check;
use crate::config::Config;
use crate::error::Error;
use crate::load::{Flags, load};
use crate::path::{set, value};
use crate::setting::Reload;
use crate::table::setting;
use crate::token::Token;

/// A step from the running configuration to the next.
pub struct Transition {
    /// The configuration to run with.
    pub config: Config,
    /// Settings that differ from those before.
    pub changed: Vec<String>,
    /// Settings that differ in the file and apply from the next start on.
    pub waiting: Vec<String>,
}

/// Reads file, variables and flags again, and applies the changes that a running server can apply.
pub fn reload(
    running: &Config,
    flags: &Flags,
    variables: &BTreeMap<String, String>,
) -> Result<Transition, Error> {
    let new = load(flags, variables)?;
    transition(running, &new, &flags.folder(variables)).map_err(Error)
}

/// Steps from a running configuration to a new one, as far as a running server can. Relative paths
/// are relative to `folder`; the files that they name are read again.
fn transition(running: &Config, new: &Config, folder: &Path) -> Result<Transition, String> {
    let TableTransition { table, mut changed, waiting } =
        table_transition(&table_of(running), &table_of(new));
    let config = check::config(check::file(table)?, folder)?;
    // The same file may hold another token.
    for (before, now) in running.sources.iter().zip(&config.sources) {
        if exposed(before.token.as_ref()) != exposed(now.token.as_ref()) {
            changed.insert(format!("source.{}.token", now.name));
        }
    }
    if exposed(running.metrics.token.as_ref()) != exposed(config.metrics.token.as_ref()) {
        changed.insert("metrics.token".to_owned());
    }
    Ok(Transition {
        config,
        changed: changed.into_iter().collect(),
        waiting: waiting.into_iter().collect(),
    })
}

fn exposed(token: Option<&Token>) -> Option<&str> {
    token.map(Token::expose)
}

fn table_of(config: &Config) -> Table {
    config.text.parse().expect("a configuration writes itself as TOML")
}

/// A [`Transition`] of tables.
struct TableTransition {
    table: Table,
    changed: BTreeSet<String>,
    waiting: BTreeSet<String>,
}

fn table_transition(running: &Table, new: &Table) -> TableTransition {
    let (old, new) = (by_name(running), by_name(new));
    let mut paths = Vec::new();
    differences(&old, &new, &mut Vec::new(), &mut paths);
    let mut transition =
        TableTransition { table: old.clone(), changed: BTreeSet::new(), waiting: BTreeSet::new() };
    for path in paths {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let name = path.join(".").trim_end_matches(".file").to_owned();
        if applies(&path, &old, &new) {
            set(&mut transition.table, &path, value(&new, &path));
            transition.changed.insert(name);
        } else {
            transition.waiting.insert(name);
        }
    }
    transition.table = in_order(transition.table, running);
    transition
}

/// Whether a running server applies a change at this path; the table of settings says so.
fn applies(path: &[&str], old: &Table, new: &Table) -> bool {
    // A source without a setting is one that was added or removed. The files of tokens and
    // certificates lie deeper than the settings of the table.
    let (name, file) = match path {
        ["source", _, name, rest @ ..] => (format!("source.{name}"), rest.first()),
        ["metrics", "token", ..] => ("metrics.token".to_owned(), None),
        _ => (path.join("."), None),
    };
    match setting(&name).map(|setting| setting.reload) {
        Some(Reload::Yes) => true,
        Some(Reload::IfTlsStays) => {
            [old, new].iter().all(|table| value(table, &["tls", "certificate"]).is_some())
        }
        Some(Reload::Certificates) => {
            file.is_some_and(|file| ["certificate", "key", "client_ca"].contains(file))
        }
        Some(Reload::No) | None => false,
    }
}

/// The table with its sources keyed by their names.
fn by_name(table: &Table) -> Table {
    let mut table = table.clone();
    if let Some(Value::Array(sources)) = table.remove("source") {
        let entry = |source: Value| Some((source.get("name")?.as_str()?.to_owned(), source));
        table.insert(
            "source".to_owned(),
            Value::Table(sources.into_iter().filter_map(entry).collect()),
        );
    }
    table
}

/// Undoes [`by_name`]: sources are a list again, in the order of the table `like`.
fn in_order(mut table: Table, like: &Table) -> Table {
    let Some(Value::Table(named)) = table.remove("source") else { return table };
    let order = like.get("source").and_then(Value::as_array).into_iter().flatten();
    let sources =
        order.filter_map(|source| named.get(source.get("name")?.as_str()?).cloned()).collect();
    table.insert("source".to_owned(), Value::Array(sources));
    table
}

/// Every path at which the values differ. A source that only one table has is one path.
fn differences(old: &Table, new: &Table, at: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for name in names {
        at.push(name.clone());
        match (old.get(name), new.get(name)) {
            (Some(Value::Table(old)), Some(Value::Table(new))) => differences(old, new, at, found),
            (Some(Value::Table(old)), None) if at[0] != "source" => {
                differences(old, &Table::new(), at, found)
            }
            (None, Some(Value::Table(new))) if at.len() == 1 => {
                differences(&Table::new(), new, at, found)
            }
            (old, new) if old != new => found.push(at.clone()),
            _ => {}
        }
        at.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::parse;
    use crate::setting::Kind;
    use crate::table::settings;

    fn config(text: &str) -> Config {
        check::config(parse(text, &BTreeMap::new()).expect(text), Path::new("")).expect(text)
    }

    fn step(running: &str, new: &str) -> Transition {
        transition(&config(running), &config(new), Path::new("")).expect(new)
    }

    #[test]
    fn a_setting_that_is_not_named_has_its_default() {
        let running =
            "listen = '127.0.0.1:1'\n[limits]\nuri_bytes_max = 100\n[hcs]\nregion_id = 'a'\n";
        let new = "listen = '127.0.0.1:2'\nlog_level = 'debug'\n[limits]\nconnections_max = 5\n\
                   [hcs]\nregion_id = 'b'\n";
        let Transition { config, changed, waiting } = step(running, new);
        assert_eq!(changed, ["hcs.region_id", "limits.uri_bytes_max", "log_level"]);
        assert_eq!(waiting, ["limits.connections_max", "listen"]);
        assert_eq!((config.hcs.region_id.as_str(), config.limits.uri_bytes_max), ("b", 8 << 10));
        assert_eq!((config.listen.port(), config.limits.connections_max), (1, 4096));
        let again = step(&config.text, new);
        assert_eq!((again.changed.len(), again.waiting), (0, waiting));
    }

    #[test]
    fn sources_are_compared_by_name() {
        let source = |name: &str, instance: &str, more: &str| {
            format!(
                "[[source]]\nname='{name}'\nformat='daybook'\n{more}\n\
                 trail={{service='registry',tenant='t',project='p',instance='{instance}'}}\n"
            )
        };
        let running = source("a", "1", "silent_after_s=5") + &source("b", "2", "");
        let new =
            source("c", "3", "") + &source("b", "2", "silent_after_s=7") + &source("a", "9", "");
        let Transition { config, changed, waiting } = step(&running, &new);
        assert_eq!(changed, ["source.a.silent_after_s", "source.b.silent_after_s"]);
        assert_eq!(waiting, ["source.a.trail.instance", "source.c"]);
        let sources: Vec<_> =
            config.sources.iter().map(|one| (one.name.as_str(), one.silent_after_s)).collect();
        assert_eq!(sources, [("a", None), ("b", Some(7))]);
        assert_eq!(step(&running, "").waiting, ["source.a", "source.b"]);
    }

    #[test]
    fn a_syslog_listener_gets_new_certificates_alone() {
        let source = |port: u16, name: &str| {
            format!(
                "[[source]]\nname='a'\nformat='daybook'\n\
                 trail={{service='registry',tenant='t',project='p',instance='i'}}\n\
                 syslog={{tls='127.0.0.1:{port}',certificate='{name}',key='k',client_ca='{name}'}}\n"
            )
        };
        let Transition { changed, waiting, .. } = step(&source(1, "x"), &source(2, "y"));
        assert_eq!(changed, ["source.a.syslog.certificate", "source.a.syslog.client_ca"]);
        assert_eq!(waiting, ["source.a.syslog.tls"]);
    }

    #[test]
    fn switching_tls_waits_for_a_start() {
        let tls = |name: &str| format!("[tls]\ncertificate = '{name}'\nkey = '{name}'\n");
        assert_eq!(step("", &tls("a")).waiting, ["tls.certificate", "tls.key"]);
        assert_eq!(step(&tls("a"), "").waiting, ["tls.certificate", "tls.key"]);
        let Transition { config, changed, .. } = step(&tls("a"), &tls("b"));
        assert_eq!(changed, ["tls.certificate", "tls.key"]);
        assert_eq!(config.tls.expect("both have it").key, Path::new("b"));
    }

    /// A changed setting applies at once or waits, never both and never neither.
    #[test]
    fn every_setting_applies_or_waits() {
        let document = std::fs::read_to_string(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../docs/operations.md"
        ))
        .expect("the document");
        for setting in settings() {
            let path = setting.path;
            let value = match (setting.kind, path) {
                (Kind::Structure, _) => continue,
                (Kind::Flag, "evidence.public" | "console.enabled") => "false",
                (Kind::Flag, _) => "true",
                (Kind::Number(_), "limits.unflushed_events_max") => "9999999",
                (Kind::Number(_), _) => "9",
                (_, "listen") => "'127.0.0.1:9'",
                (_, "log_format") => "'json'",
                (_, "log_level") => "'debug'",
                (_, "public_url") => "'https://audit.example.com'",
                (_, "codearts.time_zone" | "hcs.time_zone") => "'+08:00'",
                _ => "'a'",
            };
            let partner = "tls.certificate = 'x'\ntls.key = 'x'\n";
            let running = if path.starts_with("tls.") { partner } else { "" };
            let new = match path {
                "tls.certificate" => format!("{path} = {value}\ntls.key = 'x'"),
                "tls.key" => format!("{path} = {value}\ntls.certificate = 'x'"),
                _ => format!("{path} = {value}"),
            };
            let variables = setting.variable().map(|name| (name, value.replace('\'', "")));
            let by_variable = parse(running, &variables.into_iter().collect()).expect(path);
            let by_file = parse(&new, &BTreeMap::new()).expect(path);
            assert_eq!(toml::to_string(&by_variable), toml::to_string(&by_file), "{path}");
            let before = config(running);
            let Transition { config: after, changed, waiting } = step(running, &new);
            assert_eq!(changed.len() + waiting.len(), 1, "{path}");
            assert!(changed.iter().chain(&waiting).eq([path]), "{path}");
            let differs = format!("{before:?}") != format!("{after:?}");
            assert_eq!(differs, !changed.is_empty(), "{path}");
            // The page names the settings that a reload applies, whole sections as `section.*`.
            let section =
                path.split('.').next().map(|section| format!("`{section}.*`")).unwrap_or_default();
            let is_named = document.contains(&format!("`{path}`")) || document.contains(&section);
            assert!(changed.is_empty() || is_named, "docs/operations.md lacks `{path}`");
        }
    }
}
