//! Environment variables that override the file.

use std::collections::BTreeMap;

use toml::{Table, Value};

use crate::path;
use crate::setting::{Kind, Setting};
use crate::table::settings;

/// Variables that name the configuration file, or belong to the command line.
const NO_SETTINGS: [&str; 3] = ["DAYBOOK_CONFIG", "DAYBOOK_CONFIG_HOME", "DAYBOOK_PROFILE"];

/// Overrides the file's settings with the variables. Unknown `DAYBOOK_*` variables are refused.
pub(crate) fn apply(table: &mut Table, variables: &BTreeMap<String, String>) -> Result<(), String> {
    for (name, text) in variables {
        if !name.starts_with("DAYBOOK_") || NO_SETTINGS.contains(&name.as_str()) {
            continue;
        }
        let setting =
            settings().find(|setting| setting.variable().as_ref() == Some(name)).ok_or_else(
                || format!("{name} is no setting; `daybook config variables` lists the variables"),
            )?;
        let path: Vec<&str> = setting.path.split('.').collect();
        path::set(table, &path, Some(&value(setting, name, text)?));
    }
    Ok(())
}

fn value(setting: &Setting, variable: &str, text: &str) -> Result<Value, String> {
    match setting.kind {
        Kind::Flag => text
            .parse()
            .map(Value::Boolean)
            .map_err(|_| format!("{variable}: {text:?} is neither true nor false")),
        Kind::Number(_) => text
            .parse()
            .map(Value::Integer)
            .map_err(|_| format!("{variable}: {text:?} is no whole number")),
        Kind::Text | Kind::Structure => Ok(Value::String(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(name: &str, text: &str) -> Result<Table, String> {
        let mut table = Table::new();
        let variables = BTreeMap::from([(name.to_owned(), text.to_owned())]);
        apply(&mut table, &variables).map(|()| table)
    }

    #[test]
    fn a_variable_has_the_type_of_its_setting() {
        for (name, text, expected) in [
            ("DAYBOOK_LIMITS_HEADERS_MAX", "9", "[limits]\nheaders_max = 9\n"),
            ("DAYBOOK_EVIDENCE_PUBLIC", "false", "[evidence]\npublic = false\n"),
            ("DAYBOOK_HCS_REGION_ID", "9", "[hcs]\nregion_id = \"9\"\n"),
            ("DAYBOOK_PUBLIC_URL", "true", "public_url = \"true\"\n"),
            ("DAYBOOK_PROFILE", "9", ""),
            ("HOME", "/", ""),
        ] {
            assert_eq!(applied(name, text).map(|table| table.to_string()), Ok(expected.to_owned()));
        }
    }

    #[test]
    fn every_wrong_variable_is_named() {
        for (name, text, why) in [
            ("DAYBOOK_LISSEN", "1", "DAYBOOK_LISSEN is no setting"),
            ("DAYBOOK_METRICS_TOKEN", "1", "DAYBOOK_METRICS_TOKEN is no setting"),
            ("DAYBOOK_SOURCE_NAME", "1", "DAYBOOK_SOURCE_NAME is no setting"),
            ("DAYBOOK_EVIDENCE_PUBLIC", "1", "\"1\" is neither true nor false"),
            ("DAYBOOK_LIMITS_HEADERS_MAX", "many", "\"many\" is no whole number"),
        ] {
            assert!(applied(name, text).expect_err(name).contains(why), "{name}");
        }
    }
}
