//! Questions: the parameters of a request, or the options of a command, as a question to the log.

use std::ops::RangeInclusive;

use event::named::Name;
use event::query::{Dimension, Order};
use event::search::{Field, SEARCH_VALUES_MAX, Search, SearchError, Term, Value};
use event::{Time, Trail};

/// A parameter that a question cannot have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidParameter {
    /// The parameter's name.
    pub parameter: String,
    /// The position in a search, in characters from 1; 0 for other parameters.
    pub column: usize,
    /// The fault and the remedy, for people.
    pub message: String,
}

impl InvalidParameter {
    pub fn new(parameter: &str, message: impl Into<String>) -> InvalidParameter {
        InvalidParameter { parameter: parameter.to_owned(), column: 0, message: message.into() }
    }
}

/// The parameter with the text of a search.
pub const Q: &str = "q";
/// The parameter that pins the state of the log.
pub const AS_OF: &str = "as_of";
/// The parameter that takes in the events of Daybook's own trail.
pub const OWN: &str = "own";

/// The largest number of a parameter: an integer in every language.
pub const NUMBER_MAX: u64 = i64::MAX as u64;

/// A search, and the state of the log that it is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Question {
    pub search: Search,
    /// The number of events that count, from the first; `None` for all.
    pub as_of: Option<u64>,
    /// Whether events of Daybook's own trail count although no term names that trail.
    pub with_own: bool,
}

impl Question {
    /// Whether these trails of Daybook's own count: on request, or because a term names one of
    /// them, or names the source that feeds them.
    pub fn takes_own(&self, own: &[Trail], own_source: &str) -> bool {
        self.with_own || self.search.terms.iter().any(|term| names_own(term, own, own_source))
    }

    /// The question without its conditions on a field.
    pub fn besides(&self, name: &str) -> Question {
        let is_of = |term: &Term| term.field.as_ref().is_some_and(|field| field.name() == name);
        let terms = self.search.terms.iter().filter(|term| !is_of(term)).cloned().collect();
        Question { search: Search { terms }, ..self.clone() }
    }

    /// The search without the events of these trails of Daybook's own, unless they count.
    pub fn search_besides(&self, own: &[Trail], own_source: &str) -> Search {
        let mut search = self.search.clone();
        if self.takes_own(own, own_source) {
            return search;
        }
        let is_trail =
            |term: &&Term| matches!(term.field, Some(Field::Trail | Field::TrailPart(_)));
        let terms: Vec<Term> = search.terms.iter().filter(is_trail).cloned().collect();
        let values: Vec<Value> = own
            .iter()
            .filter(|trail| concerns(&terms, trail))
            .map(|trail| literal(&trail.to_string(), &Field::Trail))
            .collect();
        if !values.is_empty() {
            search.terms.push(Term { is_excluded: true, field: Some(Field::Trail), values });
        }
        search
    }
}

/// Whether a term names one of these trails, a part of one, or their source.
fn names_own(term: &Term, own: &[Trail], own_source: &str) -> bool {
    match &term.field {
        _ if term.is_excluded => false,
        Some(Field::Trail | Field::TrailPart(_)) => {
            own.iter().any(|trail| concerns(std::slice::from_ref(term), trail))
        }
        Some(Field::Of(Dimension::Source)) => {
            term.values.iter().any(|value| value.text == own_source)
        }
        _ => false,
    }
}

/// Whether terms that name trails let events of this one match.
fn concerns(terms: &[Term], trail: &Trail) -> bool {
    let search = Search { terms: terms.to_vec() };
    search.meaning(Time::from_unix_ns(0)).is_ok_and(|meaning| meaning.is_about(trail))
}

/// The parameters of a question: names and values.
#[derive(Debug, Default)]
pub struct Parameters {
    pairs: Vec<(String, String)>,
}

impl Parameters {
    /// The pairs in their order.
    pub fn of(pairs: impl IntoIterator<Item = (String, String)>) -> Parameters {
        Parameters { pairs: pairs.into_iter().collect() }
    }

    /// Takes every value of a parameter. An empty one is an error, since an absent parameter means
    /// everything.
    pub fn take_all(&mut self, name: &str) -> Result<Vec<String>, InvalidParameter> {
        let taken = self.pairs.extract_if(.., |(key, _)| key == name);
        let values: Vec<String> = taken.map(|(_, value)| value).collect();
        if values.iter().any(String::is_empty) {
            return Err(InvalidParameter::new(name, format!("{name} is empty; leave it out")));
        }
        Ok(values)
    }

    /// Takes a parameter that may be given once.
    pub fn take(&mut self, name: &str) -> Result<Option<String>, InvalidParameter> {
        let mut values = self.take_all(name)?;
        match values.len() {
            0 | 1 => Ok(values.pop()),
            _ => Err(InvalidParameter::new(name, format!("{name} is given more than once"))),
        }
    }

    /// Takes an integer within the range, written in digits alone.
    pub fn integer(
        &mut self,
        name: &str,
        range: RangeInclusive<u64>,
    ) -> Result<Option<u64>, InvalidParameter> {
        let Some(text) = self.take(name)? else { return Ok(None) };
        let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let value = text.parse().ok().filter(|value| is_digits && range.contains(value));
        value.map(Some).ok_or_else(|| {
            let most = if *range.end() == NUMBER_MAX {
                String::new()
            } else {
                format!(" to {}", range.end())
            };
            InvalidParameter::new(name, format!("{name} is a number from {}{most}", range.start()))
        })
    }

    /// Takes the search and the state of the log.
    pub fn question(&mut self) -> Result<Question, InvalidParameter> {
        let as_of = self.integer(AS_OF, 0..=NUMBER_MAX)?;
        let with_own = self.flag(OWN)?;
        let mut search = Search::default();
        // An empty `q` is a search without conditions.
        self.pairs.retain(|(name, value)| name != Q || !value.is_empty());
        for text in self.take_all(Q)? {
            let read = Search::parse(&text).map_err(|error| invalid_search(Q, error))?;
            search.terms.extend(read.terms);
        }
        for (name, field) in self.fields() {
            for is_excluded in [false, true] {
                let values =
                    self.take_all(&if is_excluded { format!("-{name}") } else { name.clone() })?;
                if !values.is_empty() {
                    let values = values.iter().map(|value| literal(value, &field)).collect();
                    search.terms.push(Term { is_excluded, field: Some(field.clone()), values });
                }
            }
        }
        if search.values() > SEARCH_VALUES_MAX {
            return Err(InvalidParameter::new(Q, format!("more than {SEARCH_VALUES_MAX} values")));
        }
        Ok(Question { search, as_of, with_own })
    }

    /// Takes a parameter that is `true` or `false`; `false` without it.
    pub fn flag(&mut self, name: &str) -> Result<bool, InvalidParameter> {
        match self.take(name)?.as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(InvalidParameter::new(name, format!("{name} is true or false"))),
        }
    }

    /// Fields that parameters may name: all, and those of the attributes that they do name.
    fn fields(&self) -> Vec<(String, Field)> {
        let mut fields: Vec<(String, Field)> =
            Field::ALL.into_iter().map(|(name, field, _)| (name.to_owned(), field)).collect();
        for (name, _) in &self.pairs {
            let name = name.strip_prefix('-').unwrap_or(name);
            if let Some(field @ Field::Named(Name::Attribute(_))) = Field::named(name)
                && !fields.iter().any(|(known, _)| known == name)
            {
                fields.push((name.to_owned(), field));
            }
        }
        fields
    }

    /// Refuses parameters that nobody took.
    pub fn end(self) -> Result<(), InvalidParameter> {
        match self.pairs.first() {
            None => Ok(()),
            Some((name, _)) => Err(InvalidParameter::new(
                name,
                format!("there is no parameter {:?} here", event::terminal::printable(name)),
            )),
        }
    }
}

/// A literal value; a star at its end makes it a prefix.
fn literal(text: &str, field: &Field) -> Value {
    let (text, is_prefix) = match text.strip_suffix('*') {
        Some(start) if *field != Field::Trail => (start, true),
        _ => (text, false),
    };
    Value { text: text.to_owned(), is_prefix, column: 0 }
}

/// The error of a search, as one of the parameter it stands in.
pub fn invalid_search(parameter: &str, error: SearchError) -> InvalidParameter {
    InvalidParameter {
        parameter: parameter.to_owned(),
        column: error.column,
        message: error.message,
    }
}

/// A page of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub order: Order,
    pub limit: usize,
    /// Bytes at which the page ends early, with fewer rows and a cursor.
    pub bytes_max: usize,
    pub from: Start,
}

/// Where a page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// After this number of rows.
    Offset(u64),
    /// At the end of an earlier page.
    Cursor(String),
}

/// Rows of a page by default, and at most.
pub const LIMIT: u64 = 50;
pub const LIMIT_MAX: u64 = 1000;
/// Bytes of the rows of a page, unless a server has another limit.
pub const PAGE_BYTES_MAX: usize = 8 << 20;

impl Parameters {
    /// Takes order, limit, and offset or cursor.
    pub fn page(&mut self) -> Result<Page, InvalidParameter> {
        let order = match self.take("order")?.as_deref() {
            None | Some("desc") => Order::Descending,
            Some("asc") => Order::Ascending,
            Some(_) => return Err(InvalidParameter::new("order", "order is asc or desc")),
        };
        let limit = self.integer("limit", 0..=LIMIT_MAX)?.unwrap_or(LIMIT);
        let offset = self.integer("offset", 0..=NUMBER_MAX)?;
        let from = match (self.take("cursor")?, offset) {
            (Some(_), Some(_)) => {
                return Err(InvalidParameter::new(
                    "cursor",
                    "a cursor knows its offset; give one of both",
                ));
            }
            (Some(cursor), None) => Start::Cursor(cursor),
            (None, offset) => Start::Offset(offset.unwrap_or(0)),
        };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(Page { order, limit, bytes_max: PAGE_BYTES_MAX, from })
    }
}

impl Parameters {
    /// Takes limit and offset of a listing that is not one of events.
    pub fn part(&mut self) -> Result<(usize, u64), InvalidParameter> {
        let limit = self.integer("limit", 0..=LIMIT_MAX)?.unwrap_or(LIMIT);
        let offset = self.integer("offset", 0..=NUMBER_MAX)?.unwrap_or(0);
        Ok((usize::try_from(limit).unwrap_or(usize::MAX), offset))
    }
}

/// A field whose values can be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FacetField {
    Dimension(Dimension),
    /// The whole trail.
    Trail,
    /// A part of the trail: 0 service, 1 tenant, 2 project, 3 instance.
    TrailPart(usize),
}

/// A field whose values can be counted, with its name.
pub type NamedFacet = (&'static str, FacetField);

/// The fields whose values can be counted.
pub fn facet_fields() -> impl Iterator<Item = NamedFacet> {
    Field::ALL.into_iter().filter_map(|(name, field, _)| {
        let field = match field {
            Field::Of(dimension) => FacetField::Dimension(dimension),
            Field::Trail => FacetField::Trail,
            Field::TrailPart(part) => FacetField::TrailPart(part),
            _ => return None,
        };
        Some((name, field))
    })
}

/// The field of this name whose values can be counted.
pub fn facet_field(name: &str) -> Result<NamedFacet, InvalidParameter> {
    facet_fields().find(|(known, _)| *known == name).ok_or_else(|| {
        let known: Vec<&str> = facet_fields().map(|(name, _)| name).collect();
        InvalidParameter::new("facet", format!("a facet is one of {}", known.join(", ")))
    })
}

/// The length of buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Buckets {
    /// About this number of buckets.
    Count(u64),
    /// Seconds of each.
    Seconds(u64),
}

/// Buckets by default, and at most.
pub const BUCKETS: u64 = 60;
pub const BUCKETS_MAX: u64 = 1000;

impl Parameters {
    /// Takes the number or the length of buckets.
    pub fn buckets(&mut self) -> Result<Buckets, InvalidParameter> {
        let count = self.integer("buckets", 1..=BUCKETS_MAX)?;
        match (self.take("interval")?, count) {
            (Some(_), Some(_)) => {
                Err(InvalidParameter::new("interval", "give one of interval and buckets"))
            }
            (None, count) => Ok(Buckets::Count(count.unwrap_or(BUCKETS))),
            (Some(text), None) => seconds(&text).map(Buckets::Seconds).ok_or_else(|| {
                InvalidParameter::new("interval", "an interval is such as 30s, 5m, 1h or 1d")
            }),
        }
    }

    /// Takes the fields to count, and the number of values of each.
    pub fn facets(&mut self) -> Result<(Vec<NamedFacet>, usize), InvalidParameter> {
        let limit = self.integer("limit", 1..=FACET_LIMIT_MAX)?.unwrap_or(FACET_LIMIT);
        let mut fields = self.facet_fields()?;
        if fields.is_empty() {
            fields = FACETS.into_iter().map(facet_field).collect::<Result<_, _>>()?;
        }
        Ok((fields, usize::try_from(limit).unwrap_or(usize::MAX)))
    }

    /// Takes the fields to count; none if none is named.
    pub fn facet_fields(&mut self) -> Result<Vec<NamedFacet>, InvalidParameter> {
        let mut fields: Vec<NamedFacet> = Vec::new();
        for name in self.take_all("facet")? {
            let found = facet_field(&name)?;
            if !fields.contains(&found) {
                fields.push(found);
            }
        }
        Ok(fields)
    }
}

/// Values of a facet by default, and at most.
pub const FACET_LIMIT: u64 = 10;
pub const FACET_LIMIT_MAX: u64 = 1000;
/// Facets by default.
pub const FACETS: [&str; 6] =
    ["operation", "outcome", "severity", "actor.name", "resource.name", "source"];

/// Reads a duration: a number and its unit. `None` for zero, and for more than a hundred years.
fn seconds(text: &str) -> Option<u64> {
    const LONGEST_S: u64 = 100 * 366 * 24 * 60 * 60;
    let unit = match text.chars().next_back()? {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return None,
    };
    let count = &text[..text.len() - 1];
    let is_digits = !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit());
    let count: u64 = count.parse().ok().filter(|_| is_digits)?;
    count.checked_mul(unit).filter(|seconds| (1..=LONGEST_S).contains(seconds))
}
