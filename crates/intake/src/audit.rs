//! Daybook's record of itself, on a trail of its own: logins, tokens, changes of rights, settings
//! and policies, downloads, and every query.
//!
//! What changes something or hands out files is recorded before it takes effect, and refused if it
//! cannot be. Queries are recorded within a second, in batches. Recording is not itself an act that
//! is recorded.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use event::{
    Actor, ActorKind, Class, Event, Operation, Origin, Outcome, OutcomeKind, Resolution, Resource,
    Severity, SourceIp, Time, Trail, Trust,
};
use serde::Serialize;
use store::{Append, IncomingEvent, Log, OnConflict, Refusal};

pub use config::OWN_SOURCE as SOURCE;

/// The attribute that says which part of Daybook was used, in words.
pub const FUNCTION: &str = "function";
/// Acts that wait to be recorded; beyond, queries are refused until some are.
const WAITING_MAX: usize = 20_000;
/// Acts recorded by one append.
const FLUSHED_AT_ONCE: usize = 1000;
/// Refused requests recorded one by one in a second, of callers and of others apart; further ones
/// are counted, so that refusing costs no disk.
const REFUSED_PER_SECOND_MAX: u64 = 100;
/// The most bytes of a text in an act; longer ones are cut.
const TEXT_BYTES_MAX: usize = 4096;

/// Who did something.
#[derive(Debug, Clone, Default)]
pub struct Who {
    pub id: Option<String>,
    pub name: Option<String>,
    pub address: Option<IpAddr>,
    pub user_agent: Option<String>,
    pub request_id: Option<String>,
}

/// Something that was done to Daybook or asked of it.
#[derive(Debug, Clone)]
pub struct Act {
    pub who: Who,
    /// `login`, `swr.ListAuditLogs`, `access.update`, …
    pub action: String,
    pub operation: Operation,
    /// Which part of Daybook, in words.
    pub function: &'static str,
    pub resource: Resource,
    pub outcome: Outcome,
    pub class: Class,
    pub severity: Severity,
    pub description: Option<String>,
    pub attributes: BTreeMap<String, String>,
    /// The deduplication key of an act that could be recorded twice.
    pub key: Option<String>,
}

impl Act {
    /// A security matter that succeeded, to be refined.
    pub fn new(action: impl Into<String>, operation: Operation, function: &'static str) -> Act {
        Act {
            who: Who::default(),
            action: action.into(),
            operation,
            function,
            resource: Resource::default(),
            outcome: Outcome { kind: OutcomeKind::Success, ..Outcome::default() },
            class: Class::Security,
            severity: Severity::WARNING,
            description: None,
            attributes: BTreeMap::new(),
            key: None,
        }
    }

    pub fn by(self, who: Who) -> Act {
        Act { who, ..self }
    }

    /// Says to what it was done; a long name is cut.
    pub fn on(mut self, kind: &str, name: &str) -> Act {
        let name = Some(cut(name.to_owned()));
        self.resource = Resource { kind: Some(kind.to_owned()), name, ..self.resource };
        self
    }

    /// Adds what else there is to say; long texts are cut.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Act {
        self.attributes.insert(name.to_owned(), cut(value.into()));
        self
    }

    fn into_event(self, trail: &Trail, now: Time) -> Event {
        let raw = serde_json::to_vec(&Raw {
            action: &self.action,
            resource: self.resource.name.as_deref(),
            outcome: self.outcome.kind.as_str(),
            attributes: &self.attributes,
        })
        .expect("texts");
        let mut attributes = self.attributes;
        attributes.insert(FUNCTION.to_owned(), self.function.to_owned());
        let kind = match (&self.who.id, &self.who.name, self.who.address) {
            (None, None, None) => ActorKind::System,
            (None, None, Some(_)) => ActorKind::Anonymous,
            _ => ActorKind::User,
        };
        Event {
            id: system::event_ids(now)(),
            trail: trail.clone(),
            occurred_at: now,
            resolution: Resolution::Nanosecond,
            actor: Actor { id: self.who.id, name: self.who.name, kind },
            source_ip: self.who.address.map(|address| SourceIp { address, trust: Trust::Peer }),
            user_agent: self.who.user_agent.map(cut),
            action: self.action,
            operation: self.operation,
            resource: self.resource,
            outcome: self.outcome,
            severity: self.severity,
            class: self.class,
            description: self.description.map(cut),
            request_id: self.who.request_id,
            trace_id: None,
            origin: Origin {
                source: SOURCE.to_owned(),
                format: "daybook".to_owned(),
                key: self.key,
            },
            attributes,
            raw,
        }
    }
}

/// The bytes of an act of ours: what it was, without when, so that the same act has the same bytes.
#[derive(Serialize)]
struct Raw<'a> {
    action: &'a str,
    resource: Option<&'a str>,
    outcome: &'a str,
    attributes: &'a BTreeMap<String, String>,
}

fn cut(text: String) -> String {
    if text.len() <= TEXT_BYTES_MAX {
        return text;
    }
    let mut end = TEXT_BYTES_MAX;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

/// What the operational log says of an act that is recorded at once: who did what to what, and
/// nothing that they sent.
struct Line {
    action: String,
    by: String,
    on: String,
    is_success: bool,
}

impl Line {
    fn of(act: &Act) -> Line {
        let Resource { kind, name, .. } = &act.resource;
        let on =
            [kind, name].into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" ");
        let by = act.who.name.clone().or(act.who.id.clone()).unwrap_or_default();
        Line {
            action: act.action.clone(),
            by,
            on,
            is_success: act.outcome.kind == OutcomeKind::Success,
        }
    }

    fn write(&self) {
        let Line { action, by, on, .. } = self;
        match self.is_success {
            true => tracing::info!(action, by, on, "recorded an act"),
            false => tracing::warn!(action, by, on, "recorded an act"),
        }
    }
}

/// Records acts.
pub struct OwnAudit {
    log: Arc<Log>,
    trail: Trail,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    events: Vec<Event>,
    second: i64,
    /// Refused in this second: requests of nobody that is known, and of callers.
    refused: [u64; 2],
    uncounted: u64,
}

impl OwnAudit {
    pub fn new(log: Arc<Log>, trail: Trail) -> OwnAudit {
        OwnAudit { log, trail, waiting: Mutex::default() }
    }

    /// The trail that acts are recorded on.
    pub fn trail(&self) -> &Trail {
        &self.trail
    }

    /// Records an act; returns once it is durable. Blocks. Errs when it cannot be recorded; the act
    /// must not happen then.
    pub fn record_now(&self, act: Act) -> Result<(), String> {
        self.record_all_now(vec![act])
    }

    /// Records several acts as one: all of them or none. Blocks.
    pub fn record_all_now(&self, acts: Vec<Act>) -> Result<(), String> {
        let now = system::now();
        let lines: Vec<Line> = acts.iter().map(Line::of).collect();
        self.append(acts.into_iter().map(|act| act.into_event(&self.trail, now)).collect(), now)?;
        lines.iter().for_each(Line::write);
        Ok(())
    }

    /// Whether a query may be answered: there is room to record it.
    pub fn has_room(&self) -> bool {
        self.waiting.lock().expect("no panic while held").events.len() < WAITING_MAX
    }

    /// Records an act within a second.
    pub fn record_soon(&self, act: Act) {
        let now = system::now();
        let event = act.into_event(&self.trail, now);
        self.waiting.lock().expect("no panic while held").events.push(event);
    }

    /// Records a refused request within a second, or counts it when there are many.
    pub fn record_refused(&self, act: Act) {
        let now = system::now();
        let mut waiting = self.waiting.lock().expect("no panic while held");
        let second = now.unix_ns().div_euclid(1_000_000_000);
        if waiting.second != second {
            (waiting.second, waiting.refused) = (second, [0; 2]);
        }
        // A flood of strangers' requests hides no caller's.
        let refused = &mut waiting.refused[usize::from(act.who.id.is_some())];
        *refused += 1;
        if *refused > REFUSED_PER_SECOND_MAX || waiting.events.len() >= WAITING_MAX {
            waiting.uncounted += 1;
        } else {
            waiting.events.push(act.into_event(&self.trail, now));
        }
    }

    /// Records what is waiting. What cannot be recorded now keeps waiting. Blocks.
    pub fn flush(&self) {
        let (mut events, uncounted) = {
            let mut waiting = self.waiting.lock().expect("no panic while held");
            (std::mem::take(&mut waiting.events), std::mem::take(&mut waiting.uncounted))
        };
        let now = system::now();
        if uncounted > 0 {
            let act = Act::new("requests.refused", Operation::Other, "Access control")
                .with("count", uncounted.to_string());
            let description =
                format!("{uncounted} further requests were refused and not recorded one by one");
            let failed = Outcome { kind: OutcomeKind::Failure, ..Outcome::default() };
            let act = Act {
                description: Some(description),
                outcome: failed,
                severity: Severity::MAJOR,
                ..act
            };
            events.push(act.into_event(&self.trail, now));
        }
        while !events.is_empty() {
            let some = events[..events.len().min(FLUSHED_AT_ONCE)].to_vec();
            let count = some.len();
            if let Err(why) = self.append(some, now) {
                tracing::warn!(why, acts = events.len(), "couldn't record Daybook's own acts yet");
                let mut waiting = self.waiting.lock().expect("no panic while held");
                events.append(&mut waiting.events);
                waiting.events = events;
                return;
            }
            events.drain(..count);
        }
    }

    fn append(&self, events: Vec<Event>, received_at: Time) -> Result<(), String> {
        let append = Append {
            source: SOURCE.to_owned(),
            received_at,
            events: events.into_iter().map(IncomingEvent::new).collect(),
            rejected: Vec::new(),
            on_conflict: OnConflict::DeadLetter,
            is_own: true,
        };
        match self.log.append(append) {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(Refusal::StorageFull)) => Err(store::Error::StorageFull.to_string()),
            Ok(Err(refusal)) => Err(format!("{refusal:?}")),
            Err(error) => Err(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_characters() {
        let text = "ü".repeat(TEXT_BYTES_MAX);
        let text = cut(text);
        assert!(text.ends_with("ü…") && text.len() <= TEXT_BYTES_MAX + 3);
        assert_eq!(cut("short".to_owned()), "short");
    }

    #[test]
    fn the_same_act_has_the_same_bytes() {
        let trail = Trail::new(event::Service::Dbaudit, "t", "p", "i").expect("valid");
        let act = || {
            Act::new("access.update", Operation::Update, "Access control")
                .on("user", "a")
                .with("x", "y")
        };
        let (one, two) = (
            act().into_event(&trail, Time::from_unix_ns(1)),
            act().into_event(&trail, Time::from_unix_ns(2)),
        );
        assert_eq!(one.raw, two.raw);
        assert_ne!(one.id, two.id);
        assert_eq!(one.actor.kind, ActorKind::System);
    }
}
