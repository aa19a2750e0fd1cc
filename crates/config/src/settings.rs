//! Settings by their names: each as a path in the file, and as a variable of the environment.

use std::collections::BTreeMap;

use super::Limits;

/// Variables that say where to look, and which server to ask.
const NO_SETTINGS: [&str; 3] = ["DAYBOOK_CONFIG", "DAYBOOK_CONFIG_HOME", "DAYBOOK_PROFILE"];

/// Lays the variables over what the file says.
pub(super) fn lay_over(
    table: &mut toml::Table,
    variables: &BTreeMap<String, String>,
) -> Result<(), String> {
    let is_setting = |name: &str| name.starts_with("DAYBOOK_") && !NO_SETTINGS.contains(&name);
    for (name, value) in variables.iter().filter(|(name, _)| is_setting(name)) {
        let path = settings().into_iter().find(|path| variable_of(path) == *name).ok_or_else(|| {
            format!("{name} is no setting; `daybook config check --help` tells where they are listed")
        })?;
        set(table, &path, value);
    }
    Ok(())
}

/// Every setting that has one value, as a path in the file: `listen`, `tls.key`,
/// `limits.connections_max`, …
pub fn settings() -> Vec<String> {
    let sections = [
        ("", vec!["data_dir", "listen", "log_format", "log_level", "public_url"]),
        ("tls", vec!["certificate", "key"]),
        ("own", vec!["tenant", "project", "instance"]),
        ("swr", vec!["operation_may_be_absent"]),
        ("codearts", vec!["time_zone"]),
        ("evidence", vec!["public", "receipts", "guard"]),
        ("metrics", vec!["public"]),
        (
            "hcs",
            vec![
                "time_zone",
                "region_id",
                "region_name",
                "domain_id_may_be_absent",
                "requests_per_minute",
            ],
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
            let section =
                table.entry(section).or_insert_with(|| toml::Value::Table(toml::Table::new()));
            if let Some(section) = section.as_table_mut() {
                section.insert(name.to_owned(), value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{check, parse};
    use super::*;

    /// Each setting is a field that exists, and is described where operators look for it.
    #[test]
    fn every_setting_is_real_and_documented() {
        let document = std::fs::read_to_string(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../docs/configuration.md"
        ))
        .expect("the document");
        for path in settings() {
            let value = match path.as_str() {
                "listen" => "127.0.0.1:9",
                "log_format" => "json",
                "log_level" => "debug",
                "swr.operation_may_be_absent"
                | "hcs.domain_id_may_be_absent"
                | "evidence.public"
                | "evidence.receipts"
                | "metrics.public" => "true",
                "codearts.time_zone" | "hcs.time_zone" => "+08:00",
                "public_url" => "https://audit.example.com",
                "hcs.requests_per_minute" => "60",
                "limits.unflushed_events_max" => "9999999",
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
            assert!(
                document.contains(&format!("`{path}`")),
                "docs/configuration.md lacks `{path}`"
            );
        }
        for name in [
            "source.name",
            "source.format",
            "source.trail",
            "source.token",
            "source.time_zone",
            "source.trusted_proxies",
            "source.noise",
            "source.secrets",
            "source.syslog",
            "source.follow",
            "source.silent_after_s",
            "metrics.token",
            "witness.url",
            "witness.key",
        ] {
            assert!(
                document.contains(&format!("`{name}`")),
                "docs/configuration.md lacks `{name}`"
            );
        }
    }
}
