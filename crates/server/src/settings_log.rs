//! The log's record of settings: each configuration that was in force is anchored by an event with
//! its SHA-256, and has its text in the event's original. `config.recorded.toml` is a copy of it.

use std::collections::{BTreeMap, BTreeSet};

use event::{Class, Operation, Severity};
use sha2::{Digest, Sha256};
use store::{FileObjects, Log, Objects};

use crate::own_events;
use access::checksum::{self, Checksum};
use config::Config;
use intake::audit::{self, Act, OwnAudit};

const FUNCTION: &str = "Configuration";
/// The actions whose events anchor a configuration.
const ACTIONS: [&str; 2] = ["configuration.change", "config.reload"];
/// The attributes with the SHA-256 of the configuration in force from then on, and of the one
/// before.
const SHA256: &str = "sha256";
const BEFORE: &str = "sha256_before";
/// Changes of the copy made outside of Daybook. Notifiers look for it.
const CHANGED_OUTSIDE: &str = "configuration.changed_outside";

/// The configuration that the newest record anchors.
struct Anchor {
    sha256: String,
    before: Option<String>,
    /// Records of older versions have none.
    text: Option<String>,
}

/// The copy of that configuration.
struct Copy {
    checksum: Checksum,
    sha256: String,
    text: String,
}

/// Records the settings of a start if they differ from those that the log anchors, and a copy that
/// was changed outside of Daybook.
pub fn record(
    objects: &FileObjects,
    config: &Config,
    audit: &OwnAudit,
    log: &Log,
) -> Result<(), String> {
    let (copy, newest) = (read_copy(objects)?, newest(log, audit)?);
    let is_changed = newest.as_ref().is_none_or(|newest| newest.sha256 != sha256(&config.text));
    let is_forged = newest.as_ref().is_some_and(|newest| is_forged(newest, copy.as_ref()));
    let before = recorded_text(newest.as_ref(), copy.as_ref());
    let mut acts = Vec::new();
    if is_forged {
        acts.push(changed_outside(before, copy.as_ref()));
    }
    if is_changed {
        acts.push(configured(before, &config.text, newest.as_ref()));
    }
    if !acts.is_empty() {
        audit.record_all_now(acts)?;
    }
    if is_forged {
        audit.count_changed_outside();
        tracing::error!("config.recorded.toml was changed outside of Daybook");
    }
    let is_current = |copy: &Copy| copy.checksum == Checksum::Right && copy.text == config.text;
    match copy.is_some_and(|copy| is_current(&copy)) {
        true => Ok(()),
        false => write_copy(objects, &config.text),
    }
}

/// Replaces the copy.
pub fn write_copy(objects: &FileObjects, text: &str) -> Result<(), String> {
    let seen = objects.get(store::CONFIG_RECORDED).map_err(|error| error.to_string())?;
    let text = checksum::with_checksum(text);
    objects
        .replace(store::CONFIG_RECORDED, text.as_bytes(), seen.map(|object| object.version))
        .map(drop)
        .map_err(|error| error.to_string())
}

/// An act whose event anchors a configuration, with the one before.
pub fn anchored(act: Act, text: &str, before: Option<&str>) -> Act {
    let act = act.with(SHA256, sha256(text));
    let act = match before {
        Some(before) => act.with(BEFORE, sha256(before)),
        None => act,
    };
    Act { detail: Some(text.to_owned()), ..act }
}

fn sha256(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

fn read_copy(objects: &FileObjects) -> Result<Option<Copy>, String> {
    let object = objects.get(store::CONFIG_RECORDED).map_err(|error| error.to_string())?;
    Ok(object.map(|object| {
        let text = String::from_utf8_lossy(&object.bytes).into_owned();
        let (checksum, text) = checksum::split(&text);
        Copy { checksum, sha256: sha256(text), text: text.to_owned() }
    }))
}

fn newest(log: &Log, audit: &OwnAudit) -> Result<Option<Anchor>, String> {
    let text = |error: store::Error| error.to_string();
    let query = own_events::query(log, audit.trail(), &ACTIONS);
    let row = match own_events::newest(log, &query) {
        Ok(row) => row,
        Err(why) if why.is_unreadable() => {
            tracing::error!(%why, "damage hides the newest record of settings");
            // No configuration has this sum: the one in force counts as changed.
            let sha256 = "unreadable".to_owned();
            return Ok(Some(Anchor { sha256, before: None, text: None }));
        }
        Err(error) => return Err(text(error)),
    };
    let Some(row) = row else { return Ok(None) };
    let mut attributes = row.entry.event.attributes;
    let Some(sha256) = attributes.remove(SHA256) else { return Ok(None) };
    let stored = log.stored_event(row.index).map_err(text)?;
    let text = stored.and_then(|stored| audit::detail_of(&stored.raw));
    Ok(Some(Anchor { sha256, before: attributes.remove(BEFORE), text }))
}

/// Whether the copy is neither the anchored configuration nor, as a crash between a record and its
/// copy leaves it, the one before.
fn is_forged(newest: &Anchor, copy: Option<&Copy>) -> bool {
    let sha256 = copy.map(|copy| &copy.sha256);
    let is_known = sha256 == Some(&newest.sha256) || sha256 == newest.before.as_ref();
    !is_known || copy.is_some_and(|copy| copy.checksum == Checksum::Wrong)
}

/// The text of the anchored configuration: the copy if it is that one, else as the log has it.
fn recorded_text<'a>(newest: Option<&'a Anchor>, copy: Option<&'a Copy>) -> Option<&'a str> {
    let text = copy.map(|copy| &*copy.text);
    match newest {
        Some(newest) if copy.is_none_or(|copy| copy.sha256 != newest.sha256) => {
            newest.text.as_deref()
        }
        _ => text,
    }
}

fn configured(before: Option<&str>, after: &str, newest: Option<&Anchor>) -> Act {
    let is_first = before.is_none() && newest.is_none();
    let operation = if is_first { Operation::Create } else { Operation::Configure };
    let act = Act::new("configuration.change", operation, FUNCTION).on("configuration", "daybook");
    let act = if is_first { act } else { act.with("changed", differences(before, after)) };
    let act = match newest {
        Some(newest) => act.with(BEFORE, &newest.sha256),
        None => act,
    };
    let description = Some("the server runs with other settings than before".to_owned());
    Act { description, ..anchored(act, after, None) }
}

fn changed_outside(recorded: Option<&str>, copy: Option<&Copy>) -> Act {
    let changed = match copy {
        Some(copy) => differences(recorded, &copy.text),
        None => "the file is gone".to_owned(),
    };
    let act = Act::new(CHANGED_OUTSIDE, Operation::Configure, FUNCTION)
        .on("file", store::CONFIG_RECORDED)
        .with("changed", changed);
    let description = "the copy of the recorded settings was changed outside of Daybook";
    let (class, severity) = (Class::Security, Severity::CRITICAL);
    Act { description: Some(description.to_owned()), class, severity, ..act }
}

/// The settings that differ, with their values.
fn differences(before: Option<&str>, after: &str) -> String {
    let Some(before) = before else { return "the settings before are not known".to_owned() };
    let (old, new) = (settings(before), settings(after));
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let changed: Vec<String> = names
        .into_iter()
        .filter(|name| old.get(*name) != new.get(*name))
        .map(|name| format!("{name}: {} -> {}", value(old.get(name)), value(new.get(name))))
        .collect();
    changed.join("; ")
}

/// Every setting of a configuration, by its path.
fn settings(text: &str) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    flatten("", &text.parse().unwrap_or_default(), &mut settings);
    settings
}

fn value(setting: Option<&String>) -> &str {
    setting.map_or("unset", String::as_str)
}

fn flatten(prefix: &str, table: &toml::Table, settings: &mut BTreeMap<String, String>) {
    for (name, value) in table {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            toml::Value::Table(inner) => flatten(&path, inner, settings),
            other => {
                settings.insert(path, other.to_string());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(text: &str) -> Copy {
        Copy { checksum: Checksum::Right, sha256: sha256(text), text: text.to_owned() }
    }

    #[test]
    fn a_copy_is_the_anchored_configuration_or_the_one_before() {
        let newest = Anchor {
            sha256: sha256("a = 2"),
            before: Some(sha256("a = 1")),
            text: Some("a = 2".to_owned()),
        };
        for (copy, expected) in [
            (Some(copy("a = 2")), false),
            (Some(copy("a = 1")), false),
            (Some(copy("a = 3")), true),
            (Some(Copy { checksum: Checksum::Wrong, ..copy("a = 2") }), true),
            (Some(Copy { checksum: Checksum::Missing, ..copy("a = 2") }), false),
            (None, true),
        ] {
            assert_eq!(is_forged(&newest, copy.as_ref()), expected);
            assert_eq!(recorded_text(Some(&newest), copy.as_ref()), Some("a = 2"));
        }
        let first = Anchor { before: None, ..newest };
        assert!(!is_forged(&first, None), "a crash before the first copy");
    }

    #[test]
    fn differences_name_settings_and_values() {
        assert_eq!(
            differences(Some("a = 1\n[b]\nc = 2\n"), "[b]\nc = 3\nd = 'x'\n"),
            "a: 1 -> unset; b.c: 2 -> 3; b.d: unset -> \"x\""
        );
    }
}
