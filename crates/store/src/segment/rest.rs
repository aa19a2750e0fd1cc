//! What a row has beside its columns, in few bytes: fields of a tag, a length and a value, in order of their tags.

use event::entry::Entry;
use event::query::INSTANCE_ID;
use event::{Event, EventId, Resolution, Time, Trust};

use super::terms::{take_varint, varint};

const ID: u8 = 1;
const RESOLUTION: u8 = 2;
/// Nanoseconds from when it occurred to when it was received, folded so that small ones of either sign are short.
const RECEIVED: u8 = 3;
const OUTCOME_CODE: u8 = 4;
const OUTCOME_REASON: u8 = 5;
const RESOURCE_REGION: u8 = 6;
const USER_AGENT: u8 = 7;
const DESCRIPTION: u8 = 8;
const REQUEST_ID: u8 = 9;
const TRACE_ID: u8 = 10;
const FORMAT: u8 = 11;
const TRUST: u8 = 12;
/// Length and bytes of the name, then the value.
const ATTRIBUTE: u8 = 13;
/// A description that has the resource's name in it: length of what comes before, then what comes before and after.
const DESCRIPTION_AROUND_NAME: u8 = 14;

/// Where the resource's name stands in the description, if that saves anything.
fn place_of_name(event: &Event) -> Option<(&str, &str)> {
    let name = event.resource.name.as_deref().filter(|name| name.len() > 2)?;
    event.description.as_deref()?.split_once(name)
}

/// Appends what `entry` has beside its columns.
pub(super) fn write(out: &mut Vec<u8>, entry: &Entry) {
    let event = &entry.event;
    let mut field = |tag: u8, value: &[u8]| {
        out.push(tag);
        varint(out, value.len() as u64);
        out.extend_from_slice(value);
    };
    let number = |number: u64| {
        let mut bytes = Vec::with_capacity(10);
        varint(&mut bytes, number);
        bytes
    };
    field(ID, &event.id.bytes());
    let fineness = Resolution::ALL.iter().position(|one| *one == event.resolution).unwrap_or(0);
    field(RESOLUTION, &[fineness as u8]);
    let delay = entry.received_at.unix_ns().wrapping_sub(event.occurred_at.unix_ns());
    field(RECEIVED, &number((delay << 1 ^ delay >> 63).cast_unsigned()));
    let around = place_of_name(event);
    if let Some((before, after)) = around {
        let mut bytes = number(before.len() as u64);
        bytes.extend_from_slice(before.as_bytes());
        bytes.extend_from_slice(after.as_bytes());
        field(DESCRIPTION_AROUND_NAME, &bytes);
    }
    if let Some(code) = event.outcome.code {
        field(OUTCOME_CODE, &number(u64::from(code)));
    }
    for (tag, text) in [
        (OUTCOME_REASON, &event.outcome.reason),
        (RESOURCE_REGION, &event.resource.region),
        (USER_AGENT, &event.user_agent),
        (DESCRIPTION, if around.is_some() { &None } else { &event.description }),
        (REQUEST_ID, &event.request_id),
        (TRACE_ID, &event.trace_id),
    ] {
        if let Some(text) = text {
            field(tag, text.as_bytes());
        }
    }
    field(FORMAT, event.origin.format.as_bytes());
    if let Some(ip) = &event.source_ip {
        field(TRUST, ip.trust.as_str().as_bytes());
    }
    // The instance's id is a column.
    for (name, value) in event.attributes.iter().filter(|(name, _)| *name != INSTANCE_ID) {
        let mut bytes = number(name.len() as u64);
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(value.as_bytes());
        field(ATTRIBUTE, &bytes);
    }
}

/// Puts it back into an entry whose columns are filled in. `None` when the bytes make no sense.
pub(super) fn read(mut bytes: &[u8], entry: &mut Entry) -> Option<()> {
    let event = &mut entry.event;
    while let Some((&tag, rest)) = bytes.split_first() {
        bytes = rest;
        let len = usize::try_from(take_varint(&mut bytes)?).ok()?;
        let (mut value, rest) = bytes.split_at_checked(len)?;
        bytes = rest;
        let text = || std::str::from_utf8(value).ok().map(str::to_owned);
        match tag {
            ID => event.id = EventId::from_bytes(value.try_into().ok()?),
            RESOLUTION => event.resolution = *Resolution::ALL.get(usize::from(*value.first()?))?,
            RECEIVED => {
                let folded = take_varint(&mut value)?;
                let delay = (folded >> 1).cast_signed() ^ -(folded & 1).cast_signed();
                entry.received_at = Time::from_unix_ns(event.occurred_at.unix_ns().wrapping_add(delay));
            }
            OUTCOME_CODE => event.outcome.code = Some(u32::try_from(take_varint(&mut value)?).ok()?),
            OUTCOME_REASON => event.outcome.reason = Some(text()?),
            RESOURCE_REGION => event.resource.region = Some(text()?),
            USER_AGENT => event.user_agent = Some(text()?),
            DESCRIPTION => event.description = Some(text()?),
            REQUEST_ID => event.request_id = Some(text()?),
            TRACE_ID => event.trace_id = Some(text()?),
            FORMAT => event.origin.format = text()?,
            TRUST => event.source_ip.as_mut()?.trust = Trust::from_text(&text()?)?,
            ATTRIBUTE => {
                let len = usize::try_from(take_varint(&mut value)?).ok()?;
                let (name, value) = std::str::from_utf8(value).ok()?.split_at_checked(len)?;
                event.attributes.insert(name.to_owned(), value.to_owned());
            }
            DESCRIPTION_AROUND_NAME => {
                let len = usize::try_from(take_varint(&mut value)?).ok()?;
                let (before, after) = std::str::from_utf8(value).ok()?.split_at_checked(len)?;
                event.description = Some([before, event.resource.name.as_deref()?, after].concat());
            }
            _ => return None,
        }
    }
    Some(())
}
