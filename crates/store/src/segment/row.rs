//! A row in few bytes: an event without its trail and its time, with its number in the log and the
//! time of receipt. `docs/format.md` has the bytes.
//!
//! The head is numbers and random bytes; they do not compress and are stored as they are. The body
//! holds the parts that rows have in common. Neither depends on the segment, so a compaction copies
//! them unchanged.

use std::net::IpAddr;

use event::entry::Entry;
use event::query::{Dimension, INSTANCE_ID};
use event::{
    Actor, ActorKind, Class, Event, EventId, Operation, Origin, Outcome, OutcomeKind, Resolution,
    Resource, Severity, SourceIp, Time, Trail, Trust,
};

use crate::segment::varint::{take_varint, varint};

// Tags of fields.
const USER_AGENT: u8 = 1;
const TRUST: u8 = 2;
const FORMAT: u8 = 3;
const OUTCOME_CODE: u8 = 4;
const OUTCOME_REASON: u8 = 5;
const RESOURCE_REGION: u8 = 6;
const TRACE_ID: u8 = 7;
/// Length and bytes of the name, then the value.
const ATTRIBUTE: u8 = 8;
const DESCRIPTION: u8 = 9;
/// A description that contains the resource's name: length of the text before, then the texts
/// before and after.
const DESCRIPTION_AROUND_NAME: u8 = 10;
const REQUEST_ID: u8 = 11;

/// Bytes of an id, and the first of them, which hold its time.
const ID: usize = 16;
const ID_TIME: usize = 6;

const ONE_OF_THEM: &str = "every event has one of them";

/// The parts of an event beside its dimensions: id, resolution, and fields of a tag, a length and a
/// value. They are computed before the event is ordered.
pub(crate) fn rest_of(event: &Event) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(&event.id.bytes());
    let fineness = Resolution::ALL.iter().position(|one| *one == event.resolution).unwrap_or(0);
    out.push(fineness as u8);
    let mut field = |tag, value: &[u8]| push_field(&mut out, tag, value);
    if let Some(agent) = &event.user_agent {
        field(USER_AGENT, agent.as_bytes());
    }
    if let Some(ip) = &event.source_ip {
        field(TRUST, ip.trust.as_str().as_bytes());
    }
    field(FORMAT, event.origin.format.as_bytes());
    if let Some(code) = event.outcome.code {
        field(OUTCOME_CODE, &number(u64::from(code)));
    }
    for (tag, text) in [
        (OUTCOME_REASON, &event.outcome.reason),
        (RESOURCE_REGION, &event.resource.region),
        (TRACE_ID, &event.trace_id),
    ] {
        if let Some(text) = text {
            field(tag, text.as_bytes());
        }
    }
    // The instance's id is a dimension.
    for (name, value) in event.attributes.iter().filter(|(name, _)| *name != INSTANCE_ID) {
        field(ATTRIBUTE, &two_texts(name, value));
    }
    match (split_at_name(event), &event.description) {
        (Some((before, after)), _) => field(DESCRIPTION_AROUND_NAME, &two_texts(before, after)),
        (None, Some(text)) => field(DESCRIPTION, text.as_bytes()),
        (None, None) => {}
    }
    if let Some(text) = &event.request_id {
        field(REQUEST_ID, text.as_bytes());
    }
    out
}

/// A stored row.
#[derive(Clone, Copy)]
pub(super) struct RowBytes<'a> {
    /// Its number in its trail.
    pub number: u64,
    pub head: &'a [u8],
    pub body: &'a [u8],
}

/// Appends the head of a row; `rest` comes from [`rest_of`].
pub(super) fn write_head(out: &mut Vec<u8>, occurred_at: Time, received_at: Time, rest: &[u8]) {
    varint(out, zigzag(received_at.unix_ns().wrapping_sub(occurred_at.unix_ns())));
    let (made_at, random) = rest[..ID].split_at(ID_TIME);
    varint(out, zigzag(ms_of(made_at).wrapping_sub(received_at.unix_ms())));
    out.extend_from_slice(random);
}

/// Appends the body of a row; `rest` comes from [`rest_of`]. The values are in order of
/// [`Dimension::ALL`].
pub(super) fn write_body(
    out: &mut Vec<u8>,
    values: &[Option<&str>; Dimension::ALL.len()],
    rest: &[u8],
) {
    let (resolution, fields) = rest[ID..].split_at(1);
    let value = |dimension: Dimension| values[dimension.position()];
    // Values that mostly go together are adjacent, because then they compress best.
    out.extend_from_slice(resolution);
    push_text(out, value(Dimension::Source));
    out.push(value(Dimension::Operation).and_then(Operation::from_text).expect(ONE_OF_THEM) as u8);
    out.push(value(Dimension::Class).and_then(Class::from_text).expect(ONE_OF_THEM) as u8);
    push_text(out, value(Dimension::Action));
    push_text(out, value(Dimension::ResourceKind));
    out.push(value(Dimension::Outcome).and_then(OutcomeKind::from_text).expect(ONE_OF_THEM) as u8);
    out.push(value(Dimension::Severity).and_then(|level| level.parse().ok()).expect(ONE_OF_THEM));
    out.push(value(Dimension::ActorKind).and_then(ActorKind::from_text).expect(ONE_OF_THEM) as u8);
    push_text(out, value(Dimension::ActorId));
    push_text(out, value(Dimension::ActorName));
    match value(Dimension::SourceIp).map(|address| address.parse().expect("it was an address")) {
        Some(IpAddr::V4(address)) => push_bytes(out, &address.octets()),
        Some(IpAddr::V6(address)) => push_bytes(out, &address.octets()),
        None => out.push(0),
    }
    push_text(out, value(Dimension::InstanceId));
    push_text(out, value(Dimension::ResourceName));
    push_text(out, value(Dimension::ResourceId));
    out.extend_from_slice(fields);
}

/// Takes the head of a row from the front. `None` when the bytes are cut short.
pub(super) fn take_head<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut rest = *bytes;
    take_varint(&mut rest)?;
    take_varint(&mut rest)?;
    take(&mut rest, ID - ID_TIME)?;
    take(bytes, bytes.len() - rest.len())
}

/// The entry of a row of this trail and this time. `None` when the bytes are malformed.
pub(super) fn read(row: RowBytes<'_>, trail: &Trail, occurred_at: Time) -> Option<Entry> {
    let head = &mut { row.head };
    let delay = from_zigzag(take_varint(head)?);
    let received_at = Time::from_unix_ns(occurred_at.unix_ns().wrapping_add(delay));
    let made_at = received_at.unix_ms().wrapping_add(from_zigzag(take_varint(head)?));
    let mut id = [0; ID];
    id[..ID_TIME].copy_from_slice(&made_at.to_be_bytes()[8 - ID_TIME..]);
    id[ID_TIME..].copy_from_slice(take(head, ID - ID_TIME)?);

    let bytes = &mut { row.body };
    let resolution = *Resolution::ALL.get(usize::from(take_byte(bytes)?))?;
    let source = take_text(bytes)??;
    let operation = *Operation::ALL.get(usize::from(take_byte(bytes)?))?;
    let class = *Class::ALL.get(usize::from(take_byte(bytes)?))?;
    let action = take_text(bytes)??;
    let resource_kind = take_text(bytes)?;
    let outcome = *OutcomeKind::ALL.get(usize::from(take_byte(bytes)?))?;
    let severity = Severity::new(take_byte(bytes)?)?;
    let actor_kind = *ActorKind::ALL.get(usize::from(take_byte(bytes)?))?;
    let actor = Actor { kind: actor_kind, id: take_text(bytes)?, name: take_text(bytes)? };
    let address = match take_bytes(bytes)? {
        Some(&[a, b, c, d]) => Some(IpAddr::from([a, b, c, d])),
        Some(octets) => Some(IpAddr::from(<[u8; 16]>::try_from(octets).ok()?)),
        None => None,
    };
    let source_ip = address.map(|address| SourceIp { address, trust: Trust::Peer });
    let instance_id = take_text(bytes)?.map(|id| (INSTANCE_ID.to_owned(), id));
    let resource = Resource {
        kind: resource_kind,
        name: take_text(bytes)?,
        id: take_text(bytes)?,
        region: None,
    };
    let event = Event {
        id: EventId::from_bytes(id),
        trail: trail.clone(),
        occurred_at,
        resolution,
        actor,
        source_ip,
        user_agent: None,
        action,
        operation,
        resource,
        outcome: Outcome { kind: outcome, code: None, reason: None },
        severity,
        class,
        description: None,
        request_id: None,
        trace_id: None,
        origin: Origin { source, format: String::new(), key: None },
        attributes: instance_id.into_iter().collect(),
        raw: Vec::new(),
    };
    let mut entry = Entry { event, number: row.number, received_at, raw_sha256: [0; 32] };
    read_fields(bytes, &mut entry.event)?;
    Some(entry)
}

fn read_fields(mut bytes: &[u8], event: &mut Event) -> Option<()> {
    while !bytes.is_empty() {
        let (tag, mut value) = take_field(&mut bytes)?;
        let text = || std::str::from_utf8(value).ok().map(str::to_owned);
        match tag {
            USER_AGENT => event.user_agent = Some(text()?),
            TRUST => event.source_ip.as_mut()?.trust = Trust::from_text(&text()?)?,
            FORMAT => event.origin.format = text()?,
            OUTCOME_CODE => {
                event.outcome.code = Some(u32::try_from(take_varint(&mut value)?).ok()?)
            }
            OUTCOME_REASON => event.outcome.reason = Some(text()?),
            RESOURCE_REGION => event.resource.region = Some(text()?),
            TRACE_ID => event.trace_id = Some(text()?),
            ATTRIBUTE => {
                let (name, value) = first_and_second(value)?;
                event.attributes.insert(name.to_owned(), value.to_owned());
            }
            DESCRIPTION => event.description = Some(text()?),
            DESCRIPTION_AROUND_NAME => {
                let (before, after) = first_and_second(value)?;
                event.description = Some([before, event.resource.name.as_deref()?, after].concat());
            }
            REQUEST_ID => event.request_id = Some(text()?),
            _ => return None,
        }
    }
    Some(())
}

/// The fields of [`rest_of`] that the table has columns for: the outcome's code and the user agent.
pub(super) fn table_fields(rest: &[u8]) -> (Option<u32>, Option<&str>) {
    let (mut code, mut user_agent) = (None, None);
    let mut fields = &rest[ID + 1..];
    while let Some((tag, mut value)) = take_field(&mut fields) {
        match tag {
            OUTCOME_CODE => {
                code = take_varint(&mut value).and_then(|code| u32::try_from(code).ok())
            }
            USER_AGENT => user_agent = std::str::from_utf8(value).ok(),
            _ => {}
        }
    }
    (code, user_agent)
}

/// The description before and after the resource's name, if splitting saves anything.
fn split_at_name(event: &Event) -> Option<(&str, &str)> {
    let name = event.resource.name.as_deref().filter(|name| name.len() > 2)?;
    event.description.as_deref()?.split_once(name)
}

fn push_field(out: &mut Vec<u8>, tag: u8, value: &[u8]) {
    out.push(tag);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// The next field, taken off the front: tag and value.
fn take_field<'a>(bytes: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let tag = take_byte(bytes)?;
    let len = usize::try_from(take_varint(bytes)?).ok()?;
    Some((tag, take(bytes, len)?))
}

/// A text or none: 0, or its length plus one and its bytes.
fn push_text(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => push_bytes(out, text.as_bytes()),
        None => out.push(0),
    }
}

fn push_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    varint(out, bytes.len() as u64 + 1);
    out.extend_from_slice(bytes);
}

fn take_text(bytes: &mut &[u8]) -> Option<Option<String>> {
    let Some(text) = take_bytes(bytes)? else { return Some(None) };
    Some(Some(std::str::from_utf8(text).ok()?.to_owned()))
}

fn take_bytes<'a>(bytes: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let Some(len) = take_varint(bytes)?.checked_sub(1) else { return Some(None) };
    Some(Some(take(bytes, usize::try_from(len).ok()?)?))
}

fn two_texts(first: &str, second: &str) -> Vec<u8> {
    let mut bytes = number(first.len() as u64);
    bytes.extend_from_slice(first.as_bytes());
    bytes.extend_from_slice(second.as_bytes());
    bytes
}

fn first_and_second(mut bytes: &[u8]) -> Option<(&str, &str)> {
    let len = usize::try_from(take_varint(&mut bytes)?).ok()?;
    std::str::from_utf8(bytes).ok()?.split_at_checked(len)
}

fn take_byte(bytes: &mut &[u8]) -> Option<u8> {
    take(bytes, 1).map(|byte| byte[0])
}

fn take<'a>(bytes: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(taken)
}

fn number(number: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(10);
    varint(&mut bytes, number);
    bytes
}

/// Zigzag form: small numbers of either sign become short.
pub(super) fn zigzag(number: i64) -> u64 {
    (number << 1 ^ number >> 63).cast_unsigned()
}

pub(super) fn from_zigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

/// The milliseconds that an id begins with.
fn ms_of(made_at: &[u8]) -> i64 {
    made_at.iter().fold(0, |ms, byte| ms << 8 | i64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::event;

    #[test]
    fn small_numbers_of_either_sign_become_short() {
        assert_eq!([0, -1, 1, -2].map(zigzag), [0, 1, 2, 3]);
        for number in [i64::MIN, -7, 0, 7, i64::MAX] {
            assert_eq!(from_zigzag(zigzag(number)), number);
        }
    }

    #[test]
    fn texts_and_missing_texts_are_read_back() {
        let mut bytes = Vec::new();
        push_text(&mut bytes, Some("a"));
        push_text(&mut bytes, None);
        push_text(&mut bytes, Some(""));
        assert_eq!(bytes, b"\x02a\x00\x01");
        let mut rest = &bytes[..];
        let texts = [(); 4].map(|()| take_text(&mut rest));
        assert_eq!(
            texts,
            [Some(Some("a".to_owned())), Some(None), Some(Some(String::new())), None]
        );
    }

    #[test]
    fn a_description_is_split_at_the_name_of_the_resource() {
        let split = |name: &str, description: &str| {
            let mut event = event(1);
            event.resource.name = Some(name.to_owned());
            event.description = Some(description.to_owned());
            split_at_name(&event).map(|(before, after)| (before.to_owned(), after.to_owned()))
        };
        let expected = ("pulled ".to_owned(), " once".to_owned());
        assert_eq!(split("app", "pulled app once"), Some(expected));
        assert_eq!(split("ap", "pulled ap once"), None, "too short to save anything");
        assert_eq!(split("app", "pulled it"), None);
    }

    #[test]
    fn the_table_gets_code_and_user_agent() {
        let mut full = event(1);
        assert_eq!(table_fields(&rest_of(&full)), (None, None));
        (full.outcome.code, full.user_agent) = (Some(404), Some("agent".to_owned()));
        assert_eq!(table_fields(&rest_of(&full)), (Some(404), Some("agent")));
    }
}
