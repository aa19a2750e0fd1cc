//! The log's record of rights: each version of `access.toml` that was in force is anchored by an
//! event with its SHA-256.

use std::collections::HashMap;
use std::sync::Arc;

use event::{Class, Operation, Severity};
use store::{Log, Row};

use crate::command_log::by_author;
use crate::own_events;
use access::file::{Change, EntryRecord, token_name};
use access::{AccessLog, Anchor, Cause, Revision};
use intake::audit::{Act, OwnAudit};

const FUNCTION: &str = "Access control";
const LOGIN: &str = "login";
const DELETE: &str = "access.delete";
/// Changes of rights made outside of Daybook. Notifiers look for it.
const CHANGED_OUTSIDE: &str = "access.changed_outside";
/// The actions whose events anchor a version.
const ACTIONS: [&str; 5] = ["access.create", "access.update", DELETE, "access.anchor", LOGIN];
/// The attributes with the SHA-256 of the version in force from then on, and of the one before.
const SHA256: &str = "access_sha256";
const BEFORE: &str = "access_sha256_before";
/// The attribute with the keyed digest of an entry.
const ENTRY: &str = "entry";

/// Stands for the SHA-256 in a record that does not read back. No version has it, so the version in
/// force counts as changed outside of Daybook.
const UNREADABLE: &str = "unreadable";

/// Bytes of events read at once.
const SCAN_BYTES_MAX: usize = 8 << 20;

/// The record of rights in a log.
pub struct RightsLog {
    pub log: Arc<Log>,
    pub audit: Arc<OwnAudit>,
}

impl AccessLog for RightsLog {
    fn newest(&self) -> Result<Option<Anchor>, String> {
        let query = own_events::query(&self.log, self.audit.trail(), &ACTIONS);
        let newest = match own_events::newest(&self.log, &query) {
            Ok(newest) => newest,
            Err(why) if why.is_unreadable() => {
                tracing::error!(%why, "damage hides the newest record of rights");
                return Ok(Some(Anchor { sha256: UNREADABLE.to_owned(), before: None }));
            }
            Err(error) => return Err(error.to_string()),
        };
        let Some(mut attributes) = newest.map(|row| row.entry.event.attributes) else {
            return Ok(None);
        };
        // Events of older versions anchor nothing.
        let sha256 = attributes.remove(SHA256);
        Ok(sha256.map(|sha256| Anchor { sha256, before: attributes.remove(BEFORE) }))
    }

    fn entries(&self) -> Result<Vec<EntryRecord>, String> {
        let query = own_events::query(&self.log, self.audit.trail(), &ACTIONS);
        let text = |error: store::Error| error.to_string();
        let mut scan = match self.log.scan(&query) {
            Ok(scan) => scan,
            // Nothing is known of the entries then: all of them count as new.
            Err(why) if why.is_unreadable() => return Ok(Vec::new()),
            Err(error) => return Err(text(error)),
        };
        // The newest record of each entry by the order of the log, which the clock does not change.
        let mut newest: HashMap<(String, String), (u64, Option<EntryRecord>)> = HashMap::new();
        loop {
            let rows = match scan.next(SCAN_BYTES_MAX) {
                Ok(rows) => rows,
                Err(why) if why.is_unreadable() => return Ok(Vec::new()),
                Err(error) => return Err(text(error)),
            };
            if rows.is_empty() {
                return Ok(newest.into_values().filter_map(|(_, record)| record).collect());
            }
            for row in rows {
                let Some((kind, name, record)) = entry_of(&row) else { continue };
                let known = newest.entry((kind, name)).or_insert((row.index, None));
                if known.0 <= row.index {
                    *known = (row.index, record);
                }
            }
        }
    }

    fn record(&self, revision: &Revision<'_>) -> Result<(), String> {
        self.audit.record_all_now(acts_of(revision))?;
        if revision.cause == Cause::Outside {
            self.audit.count_changed_outside();
            tracing::error!(
                changes = describe(&revision.changes),
                "access.toml was changed outside of Daybook"
            );
        }
        Ok(())
    }
}

/// Kind and name of the entry that an event is about, and its record unless it was deleted.
fn entry_of(row: &Row) -> Option<(String, String, Option<EntryRecord>)> {
    let event = &row.entry.event;
    let (kind, name) = match &*event.action {
        LOGIN => {
            let token = event.attributes.get("token_id")?;
            ("token".to_owned(), token_name(token, event.actor.id.as_ref()?))
        }
        _ => (event.resource.kind.clone()?, event.resource.name.clone()?),
    };
    let digest = event.attributes.get(ENTRY).cloned();
    let record = EntryRecord { kind: kind.clone(), name: name.clone(), digest };
    Some((kind, name, (event.action != DELETE).then_some(record)))
}

/// An act whose event anchors a version.
pub fn anchored(act: Act, anchor: &Anchor) -> Act {
    let act = act.with(SHA256, &anchor.sha256);
    match &anchor.before {
        Some(before) => act.with(BEFORE, before),
        None => act,
    }
}

/// The acts that record a version of `access.toml`.
fn acts_of(revision: &Revision<'_>) -> Vec<Act> {
    let outside = (revision.cause == Cause::Outside).then(|| changed_outside(revision));
    let changes = revision.changes.iter().map(|change| {
        let act = signed(act_of(change), revision);
        anchored(act, &revision.anchor)
    });
    outside.into_iter().chain(changes).collect()
}

fn act_of(change: &Change) -> Act {
    let operation = match change.verb {
        "create" => Operation::Create,
        "delete" => Operation::Delete,
        "update" => Operation::Update,
        _ => Operation::Other,
    };
    let texts = [
        ("login", &change.login),
        ("from", &change.from),
        ("to", &change.to),
        (ENTRY, &change.digest),
    ];
    let act = Act::new(format!("access.{}", change.verb), operation, FUNCTION)
        .on(&change.kind, &change.name);
    let act = texts.into_iter().fold(act, |act, (name, text)| match text {
        Some(text) => act.with(name, text),
        None => act,
    });
    Act { description: Some(describe(std::slice::from_ref(change))), ..act }
}

/// Adds the author of a change. A change outside of Daybook has none: the file may name anyone.
fn signed(act: Act, revision: &Revision<'_>) -> Act {
    let Some(author) = &revision.author else { return act };
    if revision.cause == Cause::Outside {
        return act.with("claimed_author", author.to_string());
    }
    by_author(act, author)
}

fn changed_outside(revision: &Revision<'_>) -> Act {
    let act = Act::new(CHANGED_OUTSIDE, Operation::Update, FUNCTION)
        .on("file", store::ACCESS)
        .with("changed", describe(&revision.changes));
    let act = match revision.new.owner {
        Some(owner) => act.with("file_owner_uid", owner.to_string()),
        None => act,
    };
    let description = Some("the rights were changed outside of Daybook".to_owned());
    let (class, severity) = (Class::Security, Severity::CRITICAL);
    anchored(signed(Act { description, class, severity, ..act }, revision), &revision.anchor)
}

fn describe(changes: &[Change]) -> String {
    let text = |change: &Change| format!("{} {}: {}", change.verb, change.kind, change.name);
    changes.iter().map(text).collect::<Vec<_>>().join("; ")
}
