//! A notification: bare, in an envelope of a message bus, or in a line of a log.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::context::date_time;
use crate::item::NoEvent;
use event::{Resolution, Time};

/// The reason to skip a line of another logger in the log driver's log.
const OTHER_LINE: &str = "a line of the log without a notification";

/// Prefix of the log driver's loggers; the event's type follows.
const LOGGER: &str = "oslo.messaging.notification.";

/// The outcome of a request that is not answered yet.
pub(super) const PENDING: &str = "pending";

/// The end of the type of a CADF event, whatever its version.
const CADF: &str = "/cloud/audit/";

#[derive(Debug)]
pub(super) struct Notification {
    pub(super) message_id: Option<String>,
    pub(super) publisher_id: Option<String>,
    pub(super) event_type: Option<String>,
    timestamp: Option<String>,
    pub(super) payload: Payload,
    pub(super) is_invalid_utf8: bool,
}

/// Reads one item.
pub(super) fn read(bytes: &[u8]) -> Result<Notification, NoEvent> {
    let text = String::from_utf8_lossy(bytes);
    let json = json(text.trim_start())?;
    let mut outer = outer(json)?;
    if let Some(message) = outer.message.take() {
        outer = self::outer(&message)?;
    }
    let payload = match outer.payload {
        Some(payload) => payload,
        // The event alone, without the notification around it.
        None => {
            serde_json::from_str(json).map_err(|error| format!("not a notification: {error}"))?
        }
    };
    if !payload.type_uri.as_deref().is_some_and(|kind| kind.contains(CADF)) {
        return Err("not a CADF event: set notification_format = cadf".into());
    }
    Ok(Notification {
        message_id: outer.message_id,
        publisher_id: outer.publisher_id,
        event_type: outer.event_type,
        timestamp: outer.timestamp,
        payload,
        is_invalid_utf8: matches!(text, Cow::Owned(_)),
    })
}

fn outer(json: &str) -> Result<Outer, NoEvent> {
    serde_json::from_str(json).map_err(|error| format!("not a notification: {error}").into())
}

/// The object that an item is, or that the log driver wrote after its logger's name: `2026-11-20
/// 18:27:16.792 8970 INFO oslo.messaging.notification.identity.user.created [-] {…}`.
fn json(text: &str) -> Result<&str, NoEvent> {
    const LEVELS: [&str; 7] = ["AUDIT", "CRITICAL", "DEBUG", "ERROR", "INFO", "TRACE", "WARNING"];
    if text.starts_with('{') {
        return Ok(text);
    }
    // At most date, time and process stand before the level.
    let mut words = text.split(' ');
    let level = words.by_ref().take(4).find(|word| LEVELS.contains(word));
    match (level, words.next()) {
        (Some(_), Some(logger)) if logger.starts_with(LOGGER) => {
            let at = text.find(logger).map(|at| at + logger.len()).unwrap_or_default();
            let start = text[at..].find('{').ok_or("the notification breaks off")?;
            Ok(&text[at + start..])
        }
        (Some(_), Some(_)) => Err(NoEvent::Skipped(OTHER_LINE)),
        _ => Err("neither a notification nor a line of a log".into()),
    }
}

impl Notification {
    pub(super) fn is_pending(&self) -> bool {
        self.payload.outcome.as_deref() == Some(PENDING)
    }

    /// Whether the audit filter sent it, on behalf of another service.
    pub(super) fn is_of_filter(&self) -> bool {
        self.event_type.as_deref().is_none_or(|kind| kind.starts_with("audit.http."))
    }

    /// The id that a redelivery has in common with it.
    pub(super) fn key(&self) -> Option<String> {
        let of_event =
            || Some(format!("{}/{}", self.payload.id.as_ref()?, self.payload.outcome.as_ref()?));
        self.message_id.clone().filter(|id| !id.is_empty()).or_else(of_event)
    }

    pub(super) fn occurred_at(&self) -> Result<(Time, Resolution), String> {
        match &self.payload.event_time {
            Some(text) => Time::parse_rfc3339(text).map_err(|error| format!("eventTime: {error}")),
            None => self.timestamp()?.ok_or_else(|| "the event has no time".to_owned()),
        }
    }

    /// The time of the answer, if it is known.
    pub(super) fn ended_at(&self) -> Result<Option<Time>, String> {
        let steps = self.payload.steps.iter().flatten();
        if let Some(text) = steps.filter_map(|step| step.time.as_ref()).next_back() {
            let time =
                Time::parse_rfc3339(text).map_err(|error| format!("reporterTime: {error}"))?;
            return Ok(Some(time.0));
        }
        if self.event_type.as_deref() != Some("audit.http.response") {
            return Ok(None);
        }
        Ok(self.timestamp()?.map(|(time, _)| time))
    }

    /// The time when the notification was sent: UTC, though it does not say so.
    fn timestamp(&self) -> Result<Option<(Time, Resolution)>, String> {
        let Some(text) = &self.timestamp else { return Ok(None) };
        let unknown =
            || format!("timestamp: {:?} is not a time", text.chars().take(64).collect::<String>());
        let utc = date_time(text).ok_or_else(unknown)?;
        Time::parse_rfc3339(&format!("{utc}Z")).map(Some).map_err(|_| unknown())
    }
}

/// A text, number or truth value as a text.
pub(super) fn text(raw: &Option<Box<RawValue>>) -> Option<String> {
    let json = raw.as_ref()?.get();
    match json.as_bytes().first()? {
        b'"' => serde_json::from_str(json).ok(),
        b'{' | b'[' | b'n' => None,
        _ => Some(json.to_owned()),
    }
}

#[derive(Deserialize)]
struct Outer {
    #[serde(rename = "oslo.message")]
    message: Option<String>,
    message_id: Option<String>,
    publisher_id: Option<String>,
    event_type: Option<String>,
    timestamp: Option<String>,
    payload: Option<Payload>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Payload {
    #[serde(rename = "typeURI")]
    type_uri: Option<String>,
    pub(super) id: Option<String>,
    #[serde(rename = "eventTime")]
    event_time: Option<String>,
    pub(super) action: Option<String>,
    pub(super) outcome: Option<String>,
    pub(super) initiator: Option<Initiator>,
    pub(super) target: Option<Target>,
    pub(super) reason: Option<Reason>,
    #[serde(rename = "requestPath")]
    pub(super) request_path: Option<String>,
    pub(super) tags: Option<Vec<String>>,
    #[serde(rename = "reporterchain")]
    steps: Option<Vec<Step>>,
    pub(super) domain: Option<Box<RawValue>>,
    pub(super) group: Option<Box<RawValue>>,
    pub(super) project: Option<Box<RawValue>>,
    pub(super) role: Option<Box<RawValue>>,
    pub(super) user: Option<Box<RawValue>>,
}

impl Payload {
    pub(super) fn host(&self) -> Option<&Host> {
        self.initiator.as_ref()?.host.as_ref()
    }

    pub(super) fn target_type(&self) -> &str {
        self.target.as_ref().and_then(|target| target.type_uri.as_deref()).unwrap_or_default()
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Initiator {
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) username: Option<String>,
    pub(super) user_name: Option<String>,
    pub(super) user_id: Option<String>,
    pub(super) project_id: Option<String>,
    pub(super) domain_id: Option<String>,
    pub(super) request_id: Option<String>,
    pub(super) host: Option<Host>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Host {
    pub(super) address: Option<String>,
    pub(super) agent: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Target {
    pub(super) id: Option<String>,
    #[serde(rename = "typeURI")]
    type_uri: Option<String>,
    pub(super) name: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Reason {
    #[serde(rename = "reasonType")]
    pub(super) kind: Option<String>,
    #[serde(rename = "reasonCode")]
    pub(super) code: Option<Box<RawValue>>,
}

#[derive(Debug, Deserialize)]
struct Step {
    #[serde(rename = "reporterTime")]
    time: Option<String>,
}
