//! The table of all settings.

use crate::apis::{RawCodeArts, RawHcs, Swr};
use crate::console::Console;
use crate::evidence::Evidence;
use crate::file::File;
use crate::limits::Limits;
use crate::metrics::{self, RawMetrics};
use crate::own::Own;
use crate::setting::Setting;
use crate::storage::Storage;
use crate::tls::RawTls;
use crate::{source, witness};

/// Sections of the table, as the documentation groups them.
const GENERAL: &[&[Setting]] = &[
    File::SETTINGS,
    RawTls::SETTINGS,
    Swr::SETTINGS,
    RawCodeArts::SETTINGS,
    RawHcs::SETTINGS,
    Evidence::SETTINGS,
    Console::SETTINGS,
    RawMetrics::SETTINGS,
    metrics::TOKEN,
    Storage::SETTINGS,
    Own::SETTINGS,
];

/// Every setting, in the order of the documentation.
pub fn settings() -> impl Iterator<Item = &'static Setting> {
    let others = [source::SETTINGS, witness::SETTINGS, Limits::SETTINGS];
    GENERAL.iter().copied().chain(others).flatten()
}

/// The setting with this path.
pub(crate) fn setting(path: &str) -> Option<&'static Setting> {
    settings().find(|setting| setting.path == path)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Write as _;

    use super::*;
    use crate::path;
    use crate::setting::{Kind, Reload};

    const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");

    #[test]
    fn every_setting_is_in_the_table_once() {
        let paths: BTreeSet<&str> = settings().map(|setting| setting.path).collect();
        assert_eq!(paths.len(), settings().count(), "a path stands twice in the table");
        let table = toml::Table::try_from(File::default()).expect("the defaults are a table");
        for (section, value) in &table {
            let names: Vec<String> = match value {
                toml::Value::Table(section_table) => {
                    section_table.keys().map(|name| format!("{section}.{name}")).collect()
                }
                toml::Value::Array(_) => Vec::new(),
                _ => vec![section.clone()],
            };
            for name in names {
                assert!(paths.contains(name.as_str()), "{name} is not in the table");
            }
        }
    }

    /// `UPDATE_DOCS=1` writes the tables of the page anew.
    #[test]
    fn the_documentation_has_this_table() {
        let page = std::fs::read_to_string(DOCUMENT).expect("the page");
        let general = GENERAL.iter().copied().flatten();
        let mut expected = with_table(&page, "## General", &table(general, true));
        for (heading, settings, has_default) in [
            ("## Sources", source::SETTINGS, false),
            ("## Witnesses", witness::SETTINGS, false),
            ("## Limits", Limits::SETTINGS, true),
        ] {
            expected = with_table(&expected, heading, &table(settings.iter(), has_default));
        }
        if page != expected && std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(DOCUMENT, &expected).expect("the page is writable");
            return;
        }
        for (line, expected) in page.lines().zip(expected.lines()) {
            assert_eq!(line, expected, "docs/configuration.md; UPDATE_DOCS=1 writes it");
        }
        assert_eq!(page, expected, "docs/configuration.md; UPDATE_DOCS=1 writes it");
    }

    /// The page with this table below the heading, instead of the one that is there.
    fn with_table(page: &str, heading: &str, table: &str) -> String {
        let section = page.find(&format!("{heading}\n")).expect(heading);
        let start = section + page[section..].find("| Setting |").expect("a table");
        let end = page[start..].find("\n\n").map_or(page.len(), |length| start + length + 1);
        format!("{}{table}{}", &page[..start], &page[end..])
    }

    fn table(settings: impl Iterator<Item = &'static Setting>, has_default: bool) -> String {
        let defaults = toml::Table::try_from(File::default()).expect("the defaults are a table");
        let mut text = match has_default {
            true => "| Setting | Meaning | Default | Reload |\n| --- | --- | --- | --- |\n",
            false => "| Setting | Meaning | Reload |\n| --- | --- | --- |\n",
        }
        .to_owned();
        for setting in settings {
            let _ = write!(text, "| `{}` | {} |", setting.path, setting.meaning());
            if has_default {
                let _ = write!(text, " {} |", default(&defaults, setting));
            }
            let reload = match setting.reload {
                Reload::Yes => "yes",
                Reload::No => "no",
                Reload::IfTlsStays => "if TLS stays on",
                Reload::Certificates => "certificates only",
            };
            let _ = writeln!(text, " {reload} |");
        }
        text
    }

    fn default(defaults: &toml::Table, setting: &Setting) -> String {
        let path: Vec<&str> = setting.path.split('.').collect();
        match path::value(defaults, &path) {
            None => "none".to_owned(),
            Some(toml::Value::String(text)) if text.is_empty() => "empty".to_owned(),
            Some(toml::Value::String(text)) => format!("`{text}`"),
            Some(value) => format!("`{value}`"),
        }
    }

    #[test]
    fn variables_are_those_of_single_values() {
        let variable = |path| setting(path).expect(path).variable();
        assert_eq!(
            variable("limits.connections_max").as_deref(),
            Some("DAYBOOK_LIMITS_CONNECTIONS_MAX")
        );
        for setting in settings() {
            let has_variable = !matches!(setting.kind, Kind::Structure);
            assert_eq!(setting.variable().is_some(), has_variable, "{}", setting.path);
        }
        assert_eq!((variable("metrics.token"), variable("source.name")), (None, None));
    }
}
