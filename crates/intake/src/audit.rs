//! Daybook's record of itself, on a trail of its own: logins, tokens, changes of rights, settings
//! and policies, downloads, and every query.
//!
//! What changes something or hands out files is recorded before it takes effect, and refused if it
//! cannot be. Queries are recorded before they are answered, refused requests within a second, in
//! batches. Recording is not itself an act that is recorded.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use event::{
    Actor, ActorKind, Class, Event, Operation, Origin, Outcome, OutcomeKind, Resolution, Resource,
    Severity, SourceIp, Time, Trail, Trust,
};
use serde::Serialize;
use store::{Append, IncomingEvent, Log, OnConflict, Refusal};

use crate::excerpt::excerpt;
use crate::refusals::{RefusalCount, Refusals, Refused, Sender};

pub use config::OWN_SOURCE as SOURCE;

/// The attribute that says which part of Daybook was used, in words.
pub const FUNCTION: &str = "function";
/// Acts that wait to be recorded; beyond, queries are refused until some are.
const WAITING_MAX: usize = 20_000;
/// Acts recorded by one append.
const FLUSHED_AT_ONCE: usize = 1000;
/// The most bytes of a text in an act; longer ones become an excerpt.
const TEXT_BYTES_MAX: usize = 4096;
/// The same in an act that was requested, so that long requests cost little disk.
const REQUEST_TEXT_BYTES_MAX: usize = 512;
/// The same where nobody known requested it.
const STRANGER_TEXT_BYTES_MAX: usize = 256;

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
    /// A text of any length that is in the event's original alone.
    pub detail: Option<String>,
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
            detail: None,
            key: None,
        }
    }

    pub fn by(self, who: Who) -> Act {
        Act { who, ..self }
    }

    /// Says to what it was done.
    pub fn on(mut self, kind: &str, name: &str) -> Act {
        let name = Some(name.to_owned());
        self.resource = Resource { kind: Some(kind.to_owned()), name, ..self.resource };
        self
    }

    /// Adds what else there is to say.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Act {
        self.attributes.insert(name.to_owned(), value.into());
        self
    }

    /// The most bytes of each of its texts.
    fn text_bytes_max(&self) -> usize {
        let is_refused = self.outcome.kind == OutcomeKind::Failure;
        match (&self.who.id, self.who.address) {
            (_, None) => TEXT_BYTES_MAX,
            (None, Some(_)) if is_refused => STRANGER_TEXT_BYTES_MAX,
            (_, Some(_)) => REQUEST_TEXT_BYTES_MAX,
        }
    }

    /// The act with an excerpt of each long text. Whatever a request said passes through here.
    fn shortened(mut self) -> Act {
        let bytes_max = self.text_bytes_max();
        let short = |text: String| excerpt(text, bytes_max);
        self.who.user_agent = self.who.user_agent.map(short);
        self.resource.name = self.resource.name.map(short);
        self.outcome.reason = self.outcome.reason.map(short);
        self.description = self.description.map(short);
        let attributes = self.attributes.into_iter();
        self.attributes = attributes.map(|(name, value)| (name, short(value))).collect();
        self
    }

    /// Who did it, for the counts of what was refused.
    fn sender(&self) -> Sender {
        match &self.who.id {
            Some(id) => Sender::Caller { id: id.clone(), name: self.who.name.clone() },
            None => Sender::at(self.who.address),
        }
    }

    fn into_event(self, trail: &Trail, now: Time) -> Event {
        self.shortened().into_short_event(trail, now)
    }

    fn into_short_event(self, trail: &Trail, now: Time) -> Event {
        let raw = serde_json::to_vec(&Raw {
            action: &self.action,
            resource: self.resource.name.as_deref(),
            outcome: self.outcome.kind.as_str(),
            attributes: &self.attributes,
            detail: self.detail.as_deref(),
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
            user_agent: self.who.user_agent,
            action: self.action,
            operation: self.operation,
            resource: self.resource,
            outcome: self.outcome,
            severity: self.severity,
            class: self.class,
            description: self.description,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

/// The [`Act::detail`] of an event of ours, from its original.
pub fn detail_of(raw: &[u8]) -> Option<String> {
    let raw: serde_json::Value = serde_json::from_slice(raw).ok()?;
    raw.get("detail")?.as_str().map(str::to_owned)
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

/// The act that records the refusals of one sender that were counted.
fn counted(count: &RefusalCount) -> Act {
    let total = count.total;
    let (action, description) = match count.refused {
        Refused::Request => (
            "requests.refused",
            format!("{total} further requests were refused and not recorded one by one"),
        ),
        Refused::Token => {
            ("source.token", format!("{total} requests to sources had no valid token"))
        }
    };
    let who = match count.sender.clone() {
        Sender::Caller { id, name } => Who { id: Some(id), name, ..Who::default() },
        Sender::Host(address) => Who { address: Some(address), ..Who::default() },
        Sender::Others => Who::default(),
    };
    let kinds = count.kinds.iter().map(|(kind, count)| format!("{kind}: {count}"));
    let act = Act::new(action, Operation::Other, "Access control")
        .by(who)
        .with("count", total.to_string())
        .with("kinds", kinds.collect::<Vec<_>>().join("; "))
        .with("first", count.first.to_string())
        .with("last", count.last.to_string());
    let outcome = Outcome { kind: OutcomeKind::Failure, ..Outcome::default() };
    Act { description: Some(description), outcome, severity: Severity::MAJOR, ..act }
}

/// Records acts.
pub struct OwnAudit {
    log: Arc<Log>,
    trail: Trail,
    waiting: Mutex<Waiting>,
    changed_outside: AtomicU64,
}

struct Waiting {
    events: Vec<Event>,
    refusals: Refusals,
}

impl OwnAudit {
    pub fn new(log: Arc<Log>, trail: Trail, limits: &config::Limits) -> OwnAudit {
        let waiting = Waiting { events: Vec::new(), refusals: Refusals::new(limits.into()) };
        OwnAudit { log, trail, waiting: Mutex::new(waiting), changed_outside: AtomicU64::new(0) }
    }

    /// Counts a recorded change of rights or settings that was made outside of Daybook.
    pub fn count_changed_outside(&self) {
        self.changed_outside.fetch_add(1, Ordering::Relaxed);
    }

    /// Such changes since the server started.
    pub fn changed_outside(&self) -> u64 {
        self.changed_outside.load(Ordering::Relaxed)
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

    /// Records a query; returns once it is durable, with one sync for all requests of that moment.
    /// Blocks. Errs when it cannot be recorded; the query must not be answered then.
    pub fn record_query(&self, act: Act) -> Result<(), String> {
        let now = system::now();
        self.append(vec![act.into_event(&self.trail, now)], now)
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

    /// Records a refused request within a second, or counts it when its sender has many.
    pub fn record_refused(&self, act: Act) {
        let (at, now) = (system::now(), Instant::now());
        let mut waiting = self.waiting.lock().expect("no panic while held");
        let sender = act.sender();
        if waiting.events.len() < WAITING_MAX && waiting.refusals.admits(&sender, now) {
            let event = act.into_event(&self.trail, at);
            waiting.events.push(event);
            return;
        }
        let code = act.outcome.code.map(|code| format!(" {code}")).unwrap_or_default();
        let kind = format!("{}{code}", act.action);
        waiting.refusals.count(Refused::Request, sender, &kind, at, now);
    }

    /// Counts a request to a source's intake without a valid token. `source` names the source, if
    /// it exists.
    pub fn count_wrong_token(&self, address: IpAddr, source: Option<&str>) {
        let (at, now) = (system::now(), Instant::now());
        let kind = source.unwrap_or("unknown source");
        let mut waiting = self.waiting.lock().expect("no panic while held");
        waiting.refusals.count(Refused::Token, Sender::at(Some(address)), kind, at, now);
    }

    /// Records what is waiting, and the counts whose time is over. What cannot be recorded now
    /// keeps waiting. Blocks.
    pub fn flush(&self) {
        self.flush_with(|refusals| refusals.take_due(Instant::now()));
    }

    /// Records everything, as nothing follows. Blocks.
    pub fn end(&self) {
        self.flush_with(Refusals::take_all);
    }

    fn flush_with(&self, take: impl FnOnce(&mut Refusals) -> Vec<RefusalCount>) {
        let (mut events, counts) = {
            let mut waiting = self.waiting.lock().expect("no panic while held");
            (std::mem::take(&mut waiting.events), take(&mut waiting.refusals))
        };
        let now = system::now();
        events.extend(counts.iter().map(|count| counted(count).into_event(&self.trail, now)));
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

    fn trail() -> Trail {
        Trail::new(event::Service::Dbaudit, "t", "p", "i").expect("valid")
    }

    #[test]
    fn whatever_a_request_says_is_short_in_its_record() {
        let long = "x".repeat(8000);
        let outcome = |kind| Outcome { kind, reason: Some(long.clone()), ..Outcome::default() };
        let act = |who: Who, kind| {
            let act = Act::new("a", Operation::Read, "f").by(who).on("user", &long);
            let act = act.with("request", long.as_str());
            let event = Act { outcome: outcome(kind), description: Some(long.clone()), ..act }
                .into_event(&trail(), Time::from_unix_ns(1));
            let texts = [
                event.resource.name.as_ref(),
                event.outcome.reason.as_ref(),
                event.description.as_ref(),
                event.attributes.get("request"),
            ];
            let len = texts[0].map_or(0, String::len);
            assert!(texts.iter().all(|text| text.is_some_and(|text| text.len() == len)));
            assert!(event.user_agent.is_none_or(|text| text.len() == len));
            assert!(event.raw.len() < 2 * len + 200, "the original has no more");
            len
        };
        let address = Some(IpAddr::from([127, 0, 0, 1]));
        let stranger = Who { address, user_agent: Some(long.clone()), ..Who::default() };
        let caller = Who { id: Some("a".to_owned()), ..stranger.clone() };
        let lens = [
            act(stranger, OutcomeKind::Failure),
            act(caller.clone(), OutcomeKind::Failure),
            act(caller, OutcomeKind::Success),
            act(Who::default(), OutcomeKind::Success),
        ];
        let (request, stranger) = (REQUEST_TEXT_BYTES_MAX, STRANGER_TEXT_BYTES_MAX);
        assert_eq!(lens, [stranger, request, request, TEXT_BYTES_MAX]);
    }

    #[test]
    fn the_same_act_has_the_same_bytes() {
        let trail = trail();
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
