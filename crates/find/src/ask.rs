//! What is asked: the parameters of a request, or the options of a command, as a question to the
//! log.

use std::ops::RangeInclusive;

use event::query::{Dimension, Order};
use event::search::{Field, SEARCH_VALUES_MAX, Search, SearchError, Term, Value};

/// What is wrong with a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// The parameter's name.
    pub parameter: String,
    /// Where in a search, in characters from 1; 0 elsewhere.
    pub column: usize,
    /// What is wrong and what would be right, for people.
    pub message: String,
}

impl Wrong {
    pub fn new(parameter: &str, message: impl Into<String>) -> Wrong {
        Wrong { parameter: parameter.to_owned(), column: 0, message: message.into() }
    }
}

/// The parameter of a search as a text.
pub const Q: &str = "q";
/// The parameter that pins the state of the log.
pub const AS_OF: &str = "as_of";

/// The largest number of a parameter: what every language has an integer for.
pub const NUMBER_MAX: u64 = i64::MAX as u64;

/// What is looked for, and as of which state of the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    pub search: Search,
    /// The first so many events of the log; `None` for all there are now.
    pub as_of: Option<u64>,
}

/// The parameters of a question, each with its value, by name.
#[derive(Debug, Default)]
pub struct Parameters {
    pairs: Vec<(String, String)>,
}

impl Parameters {
    /// The pairs in the order in which they stand.
    pub fn of(pairs: impl IntoIterator<Item = (String, String)>) -> Parameters {
        Parameters { pairs: pairs.into_iter().collect() }
    }

    /// Takes every value of a parameter. Errs with one that is empty: what is left out asks for
    /// everything.
    pub fn take_all(&mut self, name: &str) -> Result<Vec<String>, Wrong> {
        let taken = self.pairs.extract_if(.., |(key, _)| key == name);
        let values: Vec<String> = taken.map(|(_, value)| value).collect();
        if values.iter().any(String::is_empty) {
            return Err(Wrong::new(name, format!("{name} is empty; leave it out")));
        }
        Ok(values)
    }

    /// Takes a parameter that stands once at most.
    pub fn take(&mut self, name: &str) -> Result<Option<String>, Wrong> {
        let mut values = self.take_all(name)?;
        match values.len() {
            0 | 1 => Ok(values.pop()),
            _ => Err(Wrong::new(name, format!("{name} is given more than once"))),
        }
    }

    /// Takes an integer of digits alone within the range.
    pub fn integer(
        &mut self,
        name: &str,
        range: RangeInclusive<u64>,
    ) -> Result<Option<u64>, Wrong> {
        let Some(text) = self.take(name)? else { return Ok(None) };
        let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let value = text.parse().ok().filter(|value| is_digits && range.contains(value));
        value.map(Some).ok_or_else(|| {
            let most = if *range.end() == NUMBER_MAX {
                String::new()
            } else {
                format!(" to {}", range.end())
            };
            Wrong::new(name, format!("{name} is a number from {}{most}", range.start()))
        })
    }

    /// Takes what says what is looked for.
    pub fn asked(&mut self) -> Result<Asked, Wrong> {
        let as_of = self.integer(AS_OF, 0..=NUMBER_MAX)?;
        let mut search = Search::default();
        // An empty search is one.
        self.pairs.retain(|(name, value)| name != Q || !value.is_empty());
        for text in self.take_all(Q)? {
            let read = Search::parse(&text).map_err(|error| wrong(Q, error))?;
            search.terms.extend(read.terms);
        }
        for (name, field, _) in Field::ALL {
            for is_excluded in [false, true] {
                let values =
                    self.take_all(&if is_excluded { format!("-{name}") } else { name.to_owned() })?;
                if !values.is_empty() {
                    let values = values.iter().map(|value| literal(value, field)).collect();
                    search.terms.push(Term { is_excluded, field: Some(field), values });
                }
            }
        }
        if search.values() > SEARCH_VALUES_MAX {
            return Err(Wrong::new(Q, format!("more than {SEARCH_VALUES_MAX} values")));
        }
        Ok(Asked { search, as_of })
    }

    /// Errs with a parameter that was not taken.
    pub fn end(self) -> Result<(), Wrong> {
        match self.pairs.first() {
            None => Ok(()),
            Some((name, _)) => Err(Wrong::new(
                name,
                format!("there is no parameter {:?} here", event::terminal::printable(name)),
            )),
        }
    }
}

/// A value that is taken as it is, but for a star at its end.
fn literal(text: &str, field: Field) -> Value {
    let (text, is_prefix) = match text.strip_suffix('*') {
        Some(start) if field != Field::Trail => (start, true),
        _ => (text, false),
    };
    Value { text: text.to_owned(), is_prefix, column: 0 }
}

/// An error of a search: of its text, or of a parameter that is a field.
pub fn wrong(parameter: &str, error: SearchError) -> Wrong {
    Wrong { parameter: parameter.to_owned(), column: error.column, message: error.message }
}

/// Which rows of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub order: Order,
    pub limit: usize,
    pub from: Start,
}

/// Where a page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// After so many rows.
    Offset(u64),
    /// Where an earlier page ended.
    Cursor(String),
}

/// Rows of a page, unless asked otherwise, and at most.
pub const LIMIT: u64 = 50;
pub const LIMIT_MAX: u64 = 1000;

impl Parameters {
    /// Takes what says which page.
    pub fn page(&mut self) -> Result<Page, Wrong> {
        let order = match self.take("order")?.as_deref() {
            None | Some("desc") => Order::Descending,
            Some("asc") => Order::Ascending,
            Some(_) => return Err(Wrong::new("order", "order is asc or desc")),
        };
        let limit = self.integer("limit", 0..=LIMIT_MAX)?.unwrap_or(LIMIT);
        let offset = self.integer("offset", 0..=NUMBER_MAX)?;
        let from = match (self.take("cursor")?, offset) {
            (Some(_), Some(_)) => {
                return Err(Wrong::new("cursor", "a cursor knows its offset; give one of both"));
            }
            (Some(cursor), None) => Start::Cursor(cursor),
            (None, offset) => Start::Offset(offset.unwrap_or(0)),
        };
        Ok(Page { order, limit: usize::try_from(limit).unwrap_or(usize::MAX), from })
    }
}

/// A dimension with its field's name.
pub type Named = (&'static str, Dimension);

/// How long buckets are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Buckets {
    /// About so many.
    Count(u64),
    /// So many seconds each.
    Seconds(u64),
}

/// Buckets, unless asked otherwise, and at most.
pub const BUCKETS: u64 = 60;
pub const BUCKETS_MAX: u64 = 1000;

impl Parameters {
    /// Takes what says how long buckets are.
    pub fn buckets(&mut self) -> Result<Buckets, Wrong> {
        let count = self.integer("buckets", 1..=BUCKETS_MAX)?;
        match (self.take("interval")?, count) {
            (Some(_), Some(_)) => Err(Wrong::new("interval", "give one of interval and buckets")),
            (None, count) => Ok(Buckets::Count(count.unwrap_or(BUCKETS))),
            (Some(text), None) => seconds(&text)
                .map(Buckets::Seconds)
                .ok_or_else(|| Wrong::new("interval", "an interval is such as 30s, 5m, 1h or 1d")),
        }
    }

    /// Takes the dimensions whose values are counted, with their fields' names, and how many values
    /// of each.
    pub fn facets(&mut self) -> Result<(Vec<Named>, usize), Wrong> {
        let limit = self.integer("limit", 1..=FACET_LIMIT_MAX)?.unwrap_or(FACET_LIMIT);
        let mut named = self.take_all("facet")?;
        if named.is_empty() {
            named = FACETS.map(str::to_owned).to_vec();
        }
        let mut dimensions: Vec<Named> = Vec::new();
        for wanted in named {
            let found = Field::ALL.into_iter().find(|(name, ..)| *name == wanted);
            let Some((name, Field::Of(dimension), _)) = found else {
                let known =
                    Field::ALL.into_iter().filter(|(_, field, _)| matches!(field, Field::Of(_)));
                let known: Vec<&str> = known.map(|(name, ..)| name).collect();
                return Err(Wrong::new("facet", format!("a facet is one of {}", known.join(", "))));
            };
            if !dimensions.contains(&(name, dimension)) {
                dimensions.push((name, dimension));
            }
        }
        Ok((dimensions, usize::try_from(limit).unwrap_or(usize::MAX)))
    }
}

/// Values of a facet, unless asked otherwise, and at most.
pub const FACET_LIMIT: u64 = 10;
pub const FACET_LIMIT_MAX: u64 = 1000;
/// Facets, unless asked otherwise.
pub const FACETS: [&str; 6] =
    ["operation", "outcome", "severity", "actor.name", "resource.name", "source"];

/// Reads a length of time: a number and its unit. `None` for nothing, and for more than a hundred
/// years.
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
