//! The search language: `actor:alice -outcome:success resource:library/* "drop table" after:-7d`.
//!
//! A search is terms with white space between them; all must hold, and one with a leading `-` must
//! not. A term is a word, a `"quoted text"`, or a [`Field`] with values: `operation:pull,push`
//! matches either. A word or value that ends in `*` is a prefix. [`Search::parse`] reads a search,
//! [`Search::meaning`] gives its filters; `docs/search.md` is the reference.

mod meaning;
mod parse;

use std::borrow::Cow;
use std::fmt;

use crate::named::Name;
use crate::query::{Dimension, Text};

pub use meaning::Meaning;

/// Longest text of a search, in bytes.
pub const SEARCH_BYTES_MAX: usize = 4096;
/// Most values of all terms together: as many as one page of a form could hold; each costs a
/// look-up in every segment.
pub const SEARCH_VALUES_MAX: usize = 256;

/// What the names of attributes' fields begin with: `attr.host`.
pub const ATTRIBUTE: &str = "attr.";

/// A property of events that a term can name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// Name or id of the actor.
    Actor,
    /// Name or id of the resource.
    Resource,
    /// A dimension, by its exact value.
    Of(Dimension),
    /// A text, by its words.
    In(Text),
    /// A text with a name, by its exact value.
    Named(Name),
    /// The whole trail, by a pattern.
    Trail,
    /// A part of the trail: 0 service, 1 tenant, 2 project, 3 instance.
    TrailPart(usize),
    /// At or after an instant.
    After,
    /// Before an instant.
    Before,
}

impl Field {
    /// Every field but those of attributes: its name in a search, itself, and its description for
    /// people.
    pub const ALL: [(&'static str, Field, &'static str); 29] = [
        ("actor", Field::Actor, "who did it: name or id"),
        ("actor.id", Field::Of(Dimension::ActorId), "the source's id of who did it"),
        ("actor.name", Field::Of(Dimension::ActorName), "the name of who did it"),
        (
            "actor.type",
            Field::Of(Dimension::ActorKind),
            "user, robot, service, anonymous, system or unknown",
        ),
        ("resource", Field::Resource, "what it was done to: name or id"),
        ("resource.id", Field::Of(Dimension::ResourceId), "a digest, a tag, a UUID, …"),
        ("resource.name", Field::Of(Dimension::ResourceName), "the name of what it was done to"),
        ("resource.type", Field::Of(Dimension::ResourceKind), "artifact, repository, table, …"),
        (
            "operation",
            Field::Of(Dimension::Operation),
            "what was done, in Daybook's words: pull, delete, login, …",
        ),
        ("action", Field::Of(Dimension::Action), "what was done, in the source's words"),
        ("outcome", Field::Of(Dimension::Outcome), "success, failure or unknown"),
        (
            "severity",
            Field::Of(Dimension::Severity),
            "1 normal (or warning), 2 minor, 3 major, 4 critical; number or word",
        ),
        ("class", Field::Of(Dimension::Class), "operation or security"),
        (
            "ip",
            Field::Of(Dimension::SourceIp),
            "the address it came from; of IPv4 also a network, 10.0.0.0/8",
        ),
        ("source", Field::Of(Dimension::Source), "the configured source"),
        (
            "instance_id",
            Field::Of(Dimension::InstanceId),
            "the installation, where several feed one trail",
        ),
        ("code", Field::Named(Name::OutcomeCode), "the outcome's code: 403, 1045, …"),
        ("reason", Field::Named(Name::OutcomeReason), "the outcome's reason, whole or its start"),
        ("request_id", Field::Named(Name::RequestId), "the id of the request"),
        ("trace_id", Field::Named(Name::TraceId), "the id of the trace"),
        ("description", Field::In(Text::Description), "words of the description"),
        ("user_agent", Field::In(Text::UserAgent), "words of the client's name"),
        ("trail", Field::Trail, "SERVICE/TENANT/PROJECT/INSTANCE, with * for any part"),
        ("service", Field::TrailPart(0), "registry, artifact, database, platform or dbaudit"),
        ("tenant", Field::TrailPart(1), "the trail's tenant"),
        ("project", Field::TrailPart(2), "the trail's project"),
        ("instance", Field::TrailPart(3), "the trail's instance"),
        ("after", Field::After, "at or after: 2026-11-01, 2026-11-01T10:30+08:00, -24h, today"),
        ("before", Field::Before, "before, written as with after"),
    ];

    /// The field with this name.
    pub fn named(name: &str) -> Option<Field> {
        if let Some(name) = name.strip_prefix(ATTRIBUTE).filter(|name| !name.is_empty()) {
            return Some(Field::Named(Name::Attribute(name.to_owned())));
        }
        Field::ALL.into_iter().find(|(known, ..)| *known == name).map(|(_, field, _)| field)
    }

    /// Its name in a search.
    pub fn name(&self) -> Cow<'static, str> {
        if let Field::Named(Name::Attribute(name)) = self {
            return format!("{ATTRIBUTE}{name}").into();
        }
        let found = Field::ALL.into_iter().find(|(_, field, _)| field == self);
        found.map_or("", |(name, ..)| name).into()
    }
}

/// A search by a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// All of these must hold.
    pub terms: Vec<Term>,
}

/// A condition of a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// Whether it must not hold.
    pub is_excluded: bool,
    /// Its field; `None` for a word that may be in any text.
    pub field: Option<Field>,
    /// The values, of which one must match; at least one.
    pub values: Vec<Value>,
}

/// A value of a term.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// The whole value, or its prefix.
    pub text: String,
    /// Whether it is a prefix.
    pub is_prefix: bool,
    /// Its column in the search, in characters from 1; 0 if it does not come from a text.
    pub column: usize,
}

/// An error in a search, and its position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchError {
    /// In characters from 1; 0 if the value does not come from a search's text.
    pub column: usize,
    /// The error and its remedy, for people.
    pub message: String,
}

impl fmt::Display for SearchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.column {
            0 => f.write_str(&self.message),
            column => write!(f, "column {column}: {}", self.message),
        }
    }
}

impl std::error::Error for SearchError {}

impl Term {
    /// The term that a field has exactly this value.
    pub fn is(field: Field, value: &str) -> Term {
        let value = Value { text: value.to_owned(), is_prefix: false, column: 0 };
        Term { is_excluded: false, field: Some(field), values: vec![value] }
    }
}

impl Search {
    /// The number of values in all terms.
    pub fn values(&self) -> usize {
        self.terms.iter().map(|term| term.values.len()).sum()
    }
}

/// Writes the form that [`Search::parse`] reads.
impl fmt::Display for Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, term) in self.terms.iter().enumerate() {
            f.write_str(if position > 0 { " " } else { "" })?;
            write!(f, "{term}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_excluded { "-" } else { "" })?;
        match &self.field {
            Some(Field::Named(Name::Attribute(name))) if !parse::is_plain_attribute(name) => {
                f.write_str(ATTRIBUTE)?;
                quoted(name, f)?;
                f.write_str(":")?;
            }
            Some(field) => write!(f, "{}:", field.name())?,
            None => {}
        }
        for (position, value) in self.values.iter().enumerate() {
            f.write_str(if position > 0 { "," } else { "" })?;
            value.write(f, self.field.as_ref())?;
        }
        Ok(())
    }
}

impl Value {
    fn write(&self, f: &mut fmt::Formatter<'_>, field: Option<&Field>) -> fmt::Result {
        if parse::is_plain(&self.text, field, self.is_prefix) {
            f.write_str(&self.text)?;
        } else {
            quoted(&self.text, f)?;
        }
        f.write_str(if self.is_prefix { "*" } else { "" })
    }
}

/// Writes a text in quotes.
fn quoted(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("\"")?;
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            f.write_str("\\")?;
        }
        write!(f, "{character}")?;
    }
    f.write_str("\"")
}
