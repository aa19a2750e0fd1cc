//! What a running server takes up of a changed configuration, and what waits for its next start.
//! Pure: tables in, tables out.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;
use toml::{Table, Value};

use super::{Config, Raw, check};

/// Limits that are looked at for each request. The others are those of something that is made at
/// the start, or of one that takes events in by other ways too.
const LIMITS: [&str; 7] = [
    "headers_max",
    "intake_timeout_s",
    "login_failures_per_account",
    "login_failures_per_address",
    "query_body_bytes_max",
    "request_timeout_s",
    "uri_bytes_max",
];

/// A configuration that goes on from another.
pub struct Reloaded {
    /// The one to run with.
    pub config: Config,
    /// The settings that it has otherwise than the one before.
    pub changed: Vec<String>,
    /// The settings that the new file has otherwise, and that are taken up by the next start alone.
    pub waiting: Vec<String>,
}

/// Goes on from a running configuration to a new one, as far as a running server can. Relative
/// paths are relative to `folder`; files that are named are read again. Errs with what is wrong.
pub fn go_on(running: &Config, new: &Config, folder: &Path) -> Result<Reloaded, String> {
    let Merged { table, mut changed, waiting } = merge(&table_of(running), &table_of(new));
    let raw = Raw::deserialize(table).map_err(|error| error.to_string())?;
    let config = check(raw, folder)?;
    // The same file may hold another token.
    for (before, now) in running.sources.iter().zip(&config.sources) {
        let token =
            |source: &super::Source| source.token.as_ref().map(|token| token.expose().to_owned());
        if token(before) != token(now) {
            changed.insert(format!("source.{}.token", now.name));
        }
    }
    let token =
        |config: &Config| config.metrics.token.as_ref().map(|token| token.expose().to_owned());
    if token(running) != token(&config) {
        changed.insert("metrics.token".to_owned());
    }
    Ok(Reloaded {
        config,
        changed: changed.into_iter().collect(),
        waiting: waiting.into_iter().collect(),
    })
}

fn table_of(config: &Config) -> Table {
    config.text.parse().expect("a configuration writes itself as TOML")
}

struct Merged {
    table: Table,
    changed: BTreeSet<String>,
    waiting: BTreeSet<String>,
}

fn merge(running: &Table, new: &Table) -> Merged {
    let (old, new) = (by_name(running), by_name(new));
    let mut paths = Vec::new();
    differences(&old, &new, &mut Vec::new(), &mut paths);
    let mut merged =
        Merged { table: old.clone(), changed: BTreeSet::new(), waiting: BTreeSet::new() };
    for path in paths {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let name = path.join(".").trim_end_matches(".file").to_owned();
        if is_taken_up(&path, &old, &new) {
            set(&mut merged.table, &path, value(&new, &path));
            merged.changed.insert(name);
        } else {
            merged.waiting.insert(name);
        }
    }
    merged.table = in_order(merged.table, running);
    merged
}

fn is_taken_up(path: &[&str], old: &Table, new: &Table) -> bool {
    match path {
        ["log_level" | "public_url"] | ["swr" | "codearts" | "hcs" | "metrics", ..] => true,
        // A port speaks TLS, or does not, as long as it is open.
        ["tls", _] => {
            [old, new].iter().all(|table| value(table, &["tls", "certificate"]).is_some())
        }
        ["evidence", name] => *name != "guard",
        ["limits", name] => LIMITS.contains(name),
        ["source", _, "silent_after_s"] | ["source", _, "token", ..] => true,
        ["source", _, "syslog", name] => ["certificate", "key", "client_ca"].contains(name),
        _ => false,
    }
}

/// The table with its sources under their names.
fn by_name(table: &Table) -> Table {
    let mut table = table.clone();
    if let Some(Value::Array(sources)) = table.remove("source") {
        let named = |source: Value| Some((source.get("name")?.as_str()?.to_owned(), source));
        table.insert(
            "source".to_owned(),
            Value::Table(sources.into_iter().filter_map(named).collect()),
        );
    }
    table
}

/// Undoes [`by_name`]: sources stand in the order of this table.
fn in_order(mut table: Table, like: &Table) -> Table {
    let Some(Value::Table(named)) = table.remove("source") else { return table };
    let order = like.get("source").and_then(Value::as_array).into_iter().flatten();
    let sources =
        order.filter_map(|source| named.get(source.get("name")?.as_str()?).cloned()).collect();
    table.insert("source".to_owned(), Value::Array(sources));
    table
}

/// Every path under which the two have other values. A source that only one of them has is one
/// path.
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

fn value<'a>(table: &'a Table, path: &[&str]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    let found = table.get(*first)?;
    if rest.is_empty() { Some(found) } else { value(found.as_table()?, rest) }
}

fn set(table: &mut Table, path: &[&str], to: Option<&Value>) {
    let Some((first, rest)) = path.split_first() else { return };
    match (rest, to) {
        ([], Some(to)) => drop(table.insert((*first).to_owned(), to.clone())),
        ([], None) => drop(table.remove(*first)),
        _ => {
            let inner = table.entry(*first).or_insert_with(|| Value::Table(Table::new()));
            if let Some(inner) = inner.as_table_mut() {
                set(inner, rest, to);
                if inner.is_empty() {
                    table.remove(*first);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{parse, settings};
    use super::*;

    fn config(text: &str) -> Config {
        check(parse(text, &std::collections::BTreeMap::new()).expect(text), Path::new(""))
            .expect(text)
    }

    fn gone_on(running: &str, new: &str) -> Reloaded {
        go_on(&config(running), &config(new), Path::new("")).expect(new)
    }

    #[test]
    fn what_is_not_told_is_as_it_was() {
        let running =
            "listen = '127.0.0.1:1'\n[limits]\nuri_bytes_max = 100\n[hcs]\nregion_id = 'a'\n";
        let new = "listen = '127.0.0.1:2'\nlog_level = 'debug'\n[limits]\nconnections_max = 5\n[hcs]\nregion_id = 'b'\n";
        let Reloaded { config, changed, waiting } = gone_on(running, new);
        assert_eq!(changed, ["hcs.region_id", "limits.uri_bytes_max", "log_level"]);
        assert_eq!(waiting, ["limits.connections_max", "listen"]);
        assert_eq!((config.hcs.region_id.as_str(), config.limits.uri_bytes_max), ("b", 8 << 10));
        assert_eq!((config.listen.port(), config.limits.connections_max), (1, 4096));
        let again = gone_on(&config.text, new);
        assert_eq!((again.changed.len(), again.waiting), (0, waiting));
    }

    #[test]
    fn sources_go_by_their_names() {
        let source = |name: &str, instance: &str, more: &str| {
            format!(
                "[[source]]\nname='{name}'\nformat='daybook'\n{more}\n\
                 trail={{service='registry',tenant='t',project='p',instance='{instance}'}}\n"
            )
        };
        let running = source("a", "1", "silent_after_s=5") + &source("b", "2", "");
        let new =
            source("c", "3", "") + &source("b", "2", "silent_after_s=7") + &source("a", "9", "");
        let Reloaded { config, changed, waiting } = gone_on(&running, &new);
        assert_eq!(changed, ["source.a.silent_after_s", "source.b.silent_after_s"]);
        assert_eq!(waiting, ["source.a.trail.instance", "source.c"]);
        let sources: Vec<_> =
            config.sources.iter().map(|one| (one.name.as_str(), one.silent_after_s)).collect();
        assert_eq!(sources, [("a", None), ("b", Some(7))]);
        assert_eq!(gone_on(&running, "").waiting, ["source.a", "source.b"]);
    }

    #[test]
    fn tls_begins_and_ends_with_a_start() {
        let tls = |name: &str| format!("[tls]\ncertificate = '{name}'\nkey = '{name}'\n");
        assert_eq!(gone_on("", &tls("a")).waiting, ["tls.certificate", "tls.key"]);
        assert_eq!(gone_on(&tls("a"), "").waiting, ["tls.certificate", "tls.key"]);
        let Reloaded { config, changed, .. } = gone_on(&tls("a"), &tls("b"));
        assert_eq!(changed, ["tls.certificate", "tls.key"]);
        assert_eq!(config.tls.expect("both have it").key, Path::new("b"));
    }

    /// A setting is in force at once or told to wait, never both and never neither.
    #[test]
    fn every_setting_is_taken_up_or_waits() {
        let document = std::fs::read_to_string(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../docs/operations.md"
        ))
        .expect("the document");
        for path in settings() {
            let value = match path.as_str() {
                "listen" => "'127.0.0.1:9'",
                "log_format" => "'json'",
                "log_level" => "'debug'",
                "public_url" => "'https://audit.example.com'",
                "codearts.time_zone" | "hcs.time_zone" => "'+08:00'",
                "evidence.public" => "false",
                "limits.unflushed_events_max" => "9999999",
                "hcs.requests_per_minute" => "9",
                path if path.starts_with("limits.") => "9",
                path if path.ends_with("_absent")
                    || path.ends_with("receipts")
                    || path.ends_with("public") =>
                {
                    "true"
                }
                _ => "'a'",
            };
            let partner = "tls.certificate = 'x'\ntls.key = 'x'\n";
            let running = if path.starts_with("tls.") { partner } else { "" };
            let new = match path.as_str() {
                "tls.certificate" => format!("{path} = {value}\ntls.key = 'x'"),
                "tls.key" => format!("{path} = {value}\ntls.certificate = 'x'"),
                _ => format!("{path} = {value}"),
            };
            let before = config(running);
            let Reloaded { config: after, changed, waiting } = gone_on(running, &new);
            assert_eq!(changed.len() + waiting.len(), 1, "{path}");
            assert!(changed.iter().chain(&waiting).eq([&path]), "{path}");
            let differs = format!("{before:?}") != format!("{after:?}");
            assert_eq!(differs, !changed.is_empty(), "{path}");
            // The page names what is taken up, whole sections by their names.
            let section =
                path.split('.').next().map(|section| format!("`{section}.*`")).unwrap_or_default();
            let is_named = document.contains(&format!("`{path}`")) || document.contains(&section);
            assert!(changed.is_empty() || is_named, "docs/operations.md lacks `{path}`");
        }
    }
}
