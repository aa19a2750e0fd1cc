//! The meaning of a search: filters, trails and a time window.

use std::net::{IpAddr, Ipv4Addr};

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use super::{Field, Search, SearchError, Term, Value};
use crate::named::{Name, PREFIX_BYTES_MAX};
use crate::query::{Dimension, Filter, Text};
use crate::words::words;
use crate::{
    ActorKind, Class, Event, Operation, OutcomeKind, Service, Severity, Time, Trail, TrailPattern,
};

/// The meaning of a search.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Meaning {
    /// All of these must hold.
    pub filters: Vec<Filter>,
    /// In each of these, a trail must match a pattern, or none if it is excluded.
    trails: Vec<(bool, Vec<TrailPattern>)>,
    /// At or after this instant.
    pub from: Option<Time>,
    /// Before this instant.
    pub until: Option<Time>,
}

impl Meaning {
    /// Whether events of a trail can match.
    pub fn is_about(&self, trail: &Trail) -> bool {
        self.trails.iter().all(|(is_excluded, patterns)| {
            patterns.iter().any(|pattern| pattern.matches(trail)) != *is_excluded
        })
    }

    /// Whether an event matches.
    pub fn holds(&self, event: &Event) -> bool {
        self.is_about(&event.trail)
            && self.from.is_none_or(|from| event.occurred_at >= from)
            && self.until.is_none_or(|until| event.occurred_at < until)
            && self.filters.iter().all(|filter| filter.matches(event))
    }
}

impl Search {
    /// The meaning of the search at the time `now`. Errs with the column of a value that its field
    /// cannot have.
    pub fn meaning(&self, now: Time) -> Result<Meaning, SearchError> {
        let mut meaning = Meaning::default();
        let mut bound = None;
        for term in &self.terms {
            match &term.field {
                Some(field @ (Field::After | Field::Before)) => {
                    let at = instant(term, now)?;
                    bound = Some(&term.values[0]);
                    if *field == Field::After {
                        meaning.from = Some(meaning.from.map_or(at, |from| from.max(at)));
                    } else {
                        meaning.until = Some(meaning.until.map_or(at, |until| until.min(at)));
                    }
                }
                Some(Field::Trail) => {
                    meaning.trails.push((term.is_excluded, patterns(term, whole_pattern)?))
                }
                Some(Field::TrailPart(part)) => {
                    meaning.trails.push((
                        term.is_excluded,
                        patterns(term, |value| part_pattern(*part, value))?,
                    ));
                }
                field => {
                    let filter = filter(field.as_ref(), &term.values)?;
                    meaning.filters.push(if term.is_excluded { not(filter) } else { filter });
                }
            }
        }
        if let (Some(from), Some(until), Some(bound)) = (meaning.from, meaning.until, bound)
            && from > until
        {
            return error(bound, "after is later than before: nothing can match");
        }
        Ok(meaning)
    }
}

fn error<T>(value: &Value, message: impl Into<String>) -> Result<T, SearchError> {
    Err(SearchError { column: value.column, message: message.into() })
}

fn not(filter: Filter) -> Filter {
    match filter {
        Filter::AnyOf(dimension, values) => Filter::NoneOf(dimension, values),
        other => Filter::Not(Box::new(other)),
    }
}

/// At least one of these holds.
fn either(mut filters: Vec<Filter>) -> Filter {
    if filters.len() == 1 { filters.remove(0) } else { Filter::Either(filters) }
}

fn filter(field: Option<&Field>, values: &[Value]) -> Result<Filter, SearchError> {
    match field {
        Some(Field::Actor) => one_of(&[Dimension::ActorName, Dimension::ActorId], values),
        Some(Field::Resource) => one_of(&[Dimension::ResourceName, Dimension::ResourceId], values),
        Some(Field::Of(dimension)) => one_of(&[*dimension], values),
        Some(Field::In(text)) => {
            let each = values.iter().map(|value| in_text(*text, value));
            Ok(either(each.collect::<Result<_, _>>()?))
        }
        Some(Field::Named(name)) => {
            let each = values.iter().map(|value| in_named(name, value));
            Ok(either(each.collect::<Result<_, _>>()?))
        }
        _ => {
            let each = values.iter().map(anywhere);
            Ok(either(each.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect()))
        }
    }
}

/// Whole values of a dimension make one condition, however many there are.
fn one_of(dimensions: &[Dimension], values: &[Value]) -> Result<Filter, SearchError> {
    let mut filters = Vec::new();
    for dimension in dimensions {
        let mut whole = Vec::new();
        for value in values {
            if value.is_prefix {
                filters.push(Filter::Prefix(*dimension, value.text.clone()));
            } else if let Some(network) = network(*dimension, value)? {
                filters.push(network);
            } else {
                whole.push(known(*dimension, value)?);
            }
        }
        if !whole.is_empty() {
            filters.push(Filter::AnyOf(*dimension, whole));
        }
    }
    Ok(either(filters))
}

fn in_text(text: Text, value: &Value) -> Result<Filter, SearchError> {
    if words(&value.text).is_empty() {
        return error(
            value,
            format!("{:?} has no word in it: words are letters and digits", value.text),
        );
    }
    Ok(if value.is_prefix {
        Filter::WordPrefix(text, value.text.clone())
    } else {
        Filter::Words(text, value.text.clone())
    })
}

fn in_named(name: &Name, value: &Value) -> Result<Filter, SearchError> {
    let name = name.clone();
    if !value.is_prefix {
        return Ok(Filter::Named(name, value.text.clone()));
    }
    if name.token_prefix(&value.text).is_none() {
        let message =
            format!("a beginning here has at most {PREFIX_BYTES_MAX} bytes of plain text");
        return error(value, message);
    }
    Ok(Filter::NamedPrefix(name, value.text.clone()))
}

/// A word or quoted text in any text; the id of a request or a trace, and an address, are also
/// searched as such.
fn anywhere(value: &Value) -> Result<Vec<Filter>, SearchError> {
    let mut filters =
        Text::ALL.into_iter().map(|text| in_text(text, value)).collect::<Result<Vec<_>, _>>()?;
    filters.extend(
        [Name::RequestId, Name::TraceId].iter().filter_map(|name| in_named(name, value).ok()),
    );
    if let (false, Ok(address)) = (value.is_prefix, value.text.parse::<IpAddr>()) {
        filters.push(Filter::is(Dimension::SourceIp, &address.to_string()));
    }
    Ok(filters)
}

/// The value in the form that events have. Errs if the dimension can have no such value.
fn known(dimension: Dimension, value: &Value) -> Result<String, SearchError> {
    let text = value.text.as_str();
    let among = |all: Vec<&'static str>| match all.contains(&text) {
        true => Ok(text.to_owned()),
        false => error(value, format!("{text:?} is none of {}", all.join(", "))),
    };
    match dimension {
        Dimension::Operation => among(Operation::ALL.iter().map(|one| one.as_str()).collect()),
        Dimension::Outcome => among(OutcomeKind::ALL.iter().map(|one| one.as_str()).collect()),
        Dimension::Class => among(Class::ALL.iter().map(|one| one.as_str()).collect()),
        Dimension::ActorKind => among(ActorKind::ALL.iter().map(|one| one.as_str()).collect()),
        Dimension::Severity => {
            let word = SEVERITIES.iter().find(|(word, _)| *word == text);
            let level = text.parse().ok().and_then(Severity::new);
            match word.map(|(_, severity)| *severity).or(level) {
                Some(severity) => Ok(severity.as_str().to_owned()),
                None => error(
                    value,
                    format!(
                        "{text:?} is no severity: 1 or normal, 2 or minor, 3 or major, 4 or critical"
                    ),
                ),
            }
        }
        Dimension::SourceIp => match text.parse::<IpAddr>() {
            Ok(address) => Ok(address.to_string()),
            Err(_) => error(
                value,
                format!(
                    "{text:?} is no address; write 10.1.2.3, 2001:db8::1, 10.0.0.0/8, or a beginning with *"
                ),
            ),
        },
        _ => Ok(text.to_owned()),
    }
}

/// Level 1 has the vendor's word, too: most of what it holds warns of nothing.
const SEVERITIES: [(&str, Severity); 5] = [
    ("normal", Severity::WARNING),
    ("warning", Severity::WARNING),
    ("minor", Severity::MINOR),
    ("major", Severity::MAJOR),
    ("critical", Severity::CRITICAL),
];

/// The addresses of an IPv4 network; `None` if the value is not a network.
fn network(dimension: Dimension, value: &Value) -> Result<Option<Filter>, SearchError> {
    let Some((address, bits)) =
        value.text.split_once('/').filter(|_| dimension == Dimension::SourceIp)
    else {
        return Ok(None);
    };
    let (Ok(address), Ok(bits @ 1..=32)) = (address.parse::<Ipv4Addr>(), bits.parse::<u32>())
    else {
        return error(
            value,
            "networks are written as 10.0.0.0/8, of IPv4 alone, with 1 to 32 bits",
        );
    };
    let octets = address.octets();
    let shared = (bits / 8) as usize;
    let start: String = octets.iter().take(shared).map(|octet| format!("{octet}.")).collect();
    let Some(octet) = octets.get(shared) else {
        return Ok(Some(Filter::is(dimension, &address.to_string())));
    };
    let free = 0xff >> (bits % 8);
    let range = (octet & !free..=octet | free).map(|octet| format!("{start}{octet}"));
    Ok(Some(match (shared, bits % 8) {
        (_, 0) => Filter::Prefix(dimension, start),
        (3, _) => Filter::AnyOf(dimension, range.collect()),
        _ => Filter::Either(
            range.map(|octet| Filter::Prefix(dimension, format!("{octet}."))).collect(),
        ),
    }))
}

fn instant(term: &Term, now: Time) -> Result<Time, SearchError> {
    let [value] = &term.values[..] else {
        return error(&term.values[1], "an instant is one, not several");
    };
    if term.is_excluded || value.is_prefix {
        return error(value, "after and before take no - and no *");
    }
    match parse_instant(&value.text, now) {
        Some(at) => Ok(at),
        None => error(
            value,
            format!(
                "{:?} is no instant: write 2026-11-01 or 2026-11-01T10:30 (both UTC), 2026-11-01T10:30:00+08:00, -90s, -15m, -24h, -7d, -2w, now, today or yesterday",
                value.text
            ),
        ),
    }
}

/// Reads an instant: an absolute one, in UTC if it has no offset, or one relative to `now`.
pub(super) fn parse_instant(text: &str, now: Time) -> Option<Time> {
    let day_s = 24 * 60 * 60;
    let today = || now.start_of_day();
    match text {
        "now" => return Some(now),
        "today" => return Some(today()),
        "yesterday" => return Some(today().plus_seconds(-day_s)),
        _ => {}
    }
    if let Some(seconds) = ago_s(text) {
        return Some(now.plus_seconds(-seconds));
    }
    if let Ok((time, _)) = Time::parse_rfc3339(text) {
        return Some(time);
    }
    // Given minutes only, jiff would accept an offset too.
    let civil = match text.parse::<Date>() {
        Ok(date) if text.len() == 10 => date.to_datetime(jiff::civil::Time::midnight()),
        _ => text.parse::<DateTime>().ok().filter(|_| text.contains('T'))?,
    };
    let instant = TimeZone::UTC.to_timestamp(civil).ok()?;
    i64::try_from(instant.as_nanosecond()).ok().map(Time::from_unix_ns)
}

/// Seconds of a time ago, written `-24h` or `24h`.
fn ago_s(text: &str) -> Option<i64> {
    let ago = text.strip_prefix('-').unwrap_or(text);
    let unit = match ago.chars().next_back()? {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        'w' => 7 * 24 * 60 * 60,
        _ => return None,
    };
    let count = &ago[..ago.len() - 1];
    let is_count =
        (1..=9).contains(&count.len()) && count.bytes().all(|byte| byte.is_ascii_digit());
    let count: i64 = count.parse().ok().filter(|_| is_count)?;
    Some(count * unit)
}

fn patterns(
    term: &Term,
    read: impl Fn(&Value) -> Result<TrailPattern, SearchError>,
) -> Result<Vec<TrailPattern>, SearchError> {
    term.values.iter().map(read).collect()
}

fn whole_pattern(value: &Value) -> Result<TrailPattern, SearchError> {
    value.text.parse().or_else(|why| error(value, format!("{why}")))
}

fn part_pattern(part: usize, value: &Value) -> Result<TrailPattern, SearchError> {
    if value.is_prefix && !value.text.is_empty() {
        return error(value, "a part of a trail must be whole");
    }
    if part == 0 && !value.is_prefix {
        value.text.parse::<Service>().or_else(|why| error(value, format!("{why}")))?;
    }
    let mut parts = ["*"; 4];
    if !value.is_prefix {
        parts[part] = &value.text;
    }
    parts.join("/").parse().or_else(|why| error(value, format!("{why}")))
}
