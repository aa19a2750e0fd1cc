//! Queries on a log, and their results.

use crate::named::Name;
use crate::words::{each_word, words};
use crate::{Event, Severity, Time, Trail};

/// A dimension of an event that can be filtered exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dimension {
    /// [`Event::operation`].
    Operation,
    /// [`Event::action`].
    Action,
    /// The kind of [`Event::outcome`].
    Outcome,
    /// [`Event::severity`], as `1` to `4`.
    Severity,
    /// [`Event::class`].
    Class,
    /// The id of [`Event::actor`].
    ActorId,
    /// The name of [`Event::actor`].
    ActorName,
    /// The kind of [`Event::actor`].
    ActorKind,
    /// The kind of [`Event::resource`].
    ResourceKind,
    /// The name of [`Event::resource`].
    ResourceName,
    /// The id of [`Event::resource`].
    ResourceId,
    /// The address of [`Event::source_ip`].
    SourceIp,
    /// The name of the configured source.
    Source,
    /// The attribute [`INSTANCE_ID`].
    InstanceId,
}

/// The attribute that names the installation of an event, if several feed one trail.
pub const INSTANCE_ID: &str = "instance_id";

impl Dimension {
    /// Every dimension, in order of [`Dimension::position`].
    pub const ALL: [Dimension; 14] = [
        Dimension::Operation,
        Dimension::Action,
        Dimension::Outcome,
        Dimension::Severity,
        Dimension::Class,
        Dimension::ActorId,
        Dimension::ActorName,
        Dimension::ActorKind,
        Dimension::ResourceKind,
        Dimension::ResourceName,
        Dimension::ResourceId,
        Dimension::SourceIp,
        Dimension::Source,
        Dimension::InstanceId,
    ];

    /// Its position in [`Dimension::ALL`].
    pub const fn position(self) -> usize {
        self as usize
    }

    /// Calls `take` with the value of this dimension in `event`: `None` if the event has none.
    pub fn with_value<T>(self, event: &Event, take: impl FnOnce(Option<&str>) -> T) -> T {
        match self {
            Dimension::Operation => take(Some(event.operation.as_str())),
            Dimension::Action => take(Some(&event.action)),
            Dimension::Outcome => take(Some(event.outcome.kind.as_str())),
            Dimension::Severity => take(Some(Severity::as_str(event.severity))),
            Dimension::Class => take(Some(event.class.as_str())),
            Dimension::ActorId => take(event.actor.id.as_deref()),
            Dimension::ActorName => take(event.actor.name.as_deref()),
            Dimension::ActorKind => take(Some(event.actor.kind.as_str())),
            Dimension::ResourceKind => take(event.resource.kind.as_deref()),
            Dimension::ResourceName => take(event.resource.name.as_deref()),
            Dimension::ResourceId => take(event.resource.id.as_deref()),
            Dimension::SourceIp => match &event.source_ip {
                Some(ip) => take(Some(&ip.address.to_string())),
                None => take(None),
            },
            Dimension::Source => take(Some(&event.origin.source)),
            Dimension::InstanceId => take(event.attributes.get(INSTANCE_ID).map(String::as_str)),
        }
    }
}

/// A text of an event that is searched by its words; see [`crate::words`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Text {
    /// Name and id of [`Event::resource`].
    Resource,
    /// [`Event::description`].
    Description,
    /// [`Event::user_agent`].
    UserAgent,
    /// Name and id of [`Event::actor`].
    Actor,
    /// [`Event::action`], code and reason of [`Event::outcome`], and the values of
    /// [`Event::attributes`].
    Details,
}

impl Text {
    /// Every text, in order of [`Text::position`].
    pub const ALL: [Text; 5] =
        [Text::Resource, Text::Description, Text::UserAgent, Text::Actor, Text::Details];

    /// Its position in [`Text::ALL`].
    pub const fn position(self) -> usize {
        self as usize
    }

    /// Calls `each` with every word of this text in `event`; a repeated word repeatedly.
    pub fn each_word(self, event: &Event, mut each: impl FnMut(&str)) {
        let texts = match self {
            Text::Resource => [&event.resource.name, &event.resource.id],
            Text::Description => [&event.description, &None],
            Text::UserAgent => [&event.user_agent, &None],
            Text::Actor => [&event.actor.name, &event.actor.id],
            Text::Details => {
                each_word(&event.action, &mut each);
                if let Some(code) = event.outcome.code {
                    each(&code.to_string());
                }
                event.attributes.values().for_each(|value| each_word(value, &mut each));
                [&event.outcome.reason, &None]
            }
        };
        for text in texts.into_iter().flatten() {
            each_word(text, &mut each);
        }
    }
}

/// A condition on an event. Values are compared byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// The event's value is one of these. An empty list matches nothing.
    AnyOf(Dimension, Vec<String>),
    /// The event has no value, or none of these. An empty list matches everything.
    NoneOf(Dimension, Vec<String>),
    /// The event's value begins with this.
    Prefix(Dimension, String),
    /// The text has all of these words; a text without words matches everything.
    Words(Text, String),
    /// The text has a word with the last of these words as prefix, and all the other words.
    WordPrefix(Text, String),
    /// The named text equals this.
    Named(Name, String),
    /// The named text begins with this; an empty beginning matches wherever there is one.
    NamedPrefix(Name, String),
    /// At least one of these holds. An empty list matches nothing.
    Either(Vec<Filter>),
    /// This does not hold.
    Not(Box<Filter>),
}

impl Filter {
    /// The event's value equals this one.
    pub fn is(dimension: Dimension, value: &str) -> Filter {
        Filter::AnyOf(dimension, vec![value.to_owned()])
    }

    /// Whether `event` meets the condition; the definition that every index has to agree with.
    pub fn matches(&self, event: &Event) -> bool {
        match self {
            Filter::AnyOf(dimension, wanted) => dimension.with_value(event, |value| {
                value.is_some_and(|value| wanted.iter().any(|one| one == value))
            }),
            Filter::NoneOf(dimension, unwanted) => dimension.with_value(event, |value| {
                !value.is_some_and(|value| unwanted.iter().any(|one| one == value))
            }),
            Filter::Prefix(dimension, start) => dimension
                .with_value(event, |value| value.is_some_and(|value| value.starts_with(&**start))),
            Filter::Words(text, wanted) => {
                let mut wanted = words(wanted);
                text.each_word(event, |word| {
                    wanted.remove(word);
                });
                wanted.is_empty()
            }
            Filter::WordPrefix(text, wanted) => {
                let (whole, start) = whole_words_and_start(wanted);
                let mut is_found = start.is_empty();
                text.each_word(event, |word| is_found |= word.starts_with(&start));
                is_found && Filter::Words(*text, whole).matches(event)
            }
            Filter::Named(name, wanted) => {
                name.with_value(event, |value| value == Some(wanted.as_str()))
            }
            Filter::NamedPrefix(name, start) => name
                .with_value(event, |value| value.is_some_and(|value| value.starts_with(&**start))),
            Filter::Either(filters) => filters.iter().any(|filter| filter.matches(event)),
            Filter::Not(filter) => !filter.matches(event),
        }
    }
}

/// The words of [`Filter::WordPrefix`]: those that must occur whole, and the last one, which is a
/// prefix.
pub fn whole_words_and_start(wanted: &str) -> (String, String) {
    let mut all = Vec::new();
    each_word(wanted, |word| all.push(word.to_owned()));
    let start = all.pop().unwrap_or_default();
    (all.join(" "), start)
}

/// The order of rows: by `occurred_at`, then by index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Newest first.
    Descending,
    /// Oldest first.
    Ascending,
}

/// A query on a log. All conditions must hold at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The trails to search. An empty trail is not an error.
    pub trails: Vec<Trail>,
    /// Only events that occurred at or after this instant.
    pub from: Option<Time>,
    /// Only events that occurred before this instant.
    pub until: Option<Time>,
    /// Conditions on dimensions.
    pub filters: Vec<Filter>,
    /// The order of the rows.
    pub order: Order,
    /// How many matching rows to skip.
    pub offset: u64,
    /// How many rows to return at most; 0 requests only the total.
    pub limit: usize,
    /// Result as of the moment the log held this many events; `None` for now. A larger size means
    /// the log as it is.
    pub as_of: Option<u64>,
}

impl Query {
    /// Everything in one trail, newest first, ten rows.
    pub fn of(trail: Trail) -> Query {
        Query {
            trails: vec![trail],
            from: None,
            until: None,
            filters: Vec::new(),
            order: Order::Descending,
            offset: 0,
            limit: 10,
            as_of: None,
        }
    }
}

/// The result of a [`Query`].
#[derive(Clone, Debug, PartialEq)]
pub struct Page<Row> {
    /// The requested rows, in the requested order.
    pub rows: Vec<Row>,
    /// How many events match, exactly, whatever `offset` and `limit` were.
    pub total: u64,
    /// How many events the log held for this result.
    pub tree_size: u64,
}

/// Counts of matching events by the time they occurred.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    /// Counts between the instants, one fewer than these: events from one instant on and before the
    /// next.
    pub counts: Vec<u64>,
    /// How many events match, exactly, within the instants or not.
    pub total: u64,
    /// How many events the log held for this result.
    pub tree_size: u64,
}

/// Counts of matching events by the values of a dimension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Top {
    /// The most frequent values and their counts, most first, ties by their bytes.
    pub values: Vec<(String, u64)>,
    /// Events with another value.
    pub others: u64,
    /// Events without a value.
    pub without: u64,
    /// How many events match, exactly: the sum of all of these.
    pub total: u64,
    /// How many events the log held for this result.
    pub tree_size: u64,
}
