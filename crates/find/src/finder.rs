//! Answers from a log: pages of events, counts by time and by value, trails.

use std::collections::BTreeMap;

use event::query::{Order, Query, Top};
use event::search::{Field, Search, Term, Value};
use event::{Time, Trail};
use store::{Contents, Room, Row};

use crate::answer::{
    self, Count, Event, Events, Facet, Facets, TrailCount, Trails, ValueCount, Values,
};
use crate::cursor::Cursor;
use crate::error::QueryError;
use crate::histogram;
use crate::question::{
    AS_OF, Buckets, FacetField, InvalidParameter, NamedFacet, Page, Q, Question, Start,
};

/// Answers questions about the visible trails of a log.
pub struct Finder<'a> {
    pub(crate) log: &'a Contents,
    /// In order of their names.
    visible: Vec<Trail>,
    own: Own,
    now: Time,
}

/// Daybook's own trails: their events are left out of answers to questions that do not name them,
/// since every question adds one.
#[derive(Clone, Debug, Default)]
pub struct Own {
    /// The trails, in order of their names; none where nothing is left out.
    pub trails: Vec<Trail>,
    /// The source that feeds them.
    pub source: &'static str,
}

impl<'a> Finder<'a> {
    /// Answers as of `now`, from these trails alone. A trail without events is no error.
    pub fn new(log: &'a Contents, visible: Vec<Trail>, mut own: Own, now: Time) -> Finder<'a> {
        own.trails.retain(|trail| visible.contains(trail));
        Finder { log, visible, own, now }
    }

    /// The search that answers a question: without Daybook's own trails unless it names them.
    pub fn search(&self, question: &Question) -> Search {
        question.search_besides(&self.own.trails, self.own.source)
    }

    /// The number of matching events that a question leaves out since they are on Daybook's own
    /// trails; 0 where the visible trails have none of those.
    pub fn own_left_out(&self, question: &Question, size: u64) -> Result<u64, QueryError> {
        self.own_left_out_at(question, size, self.now)
    }

    fn own_left_out_at(
        &self,
        question: &Question,
        size: u64,
        now: Time,
    ) -> Result<u64, QueryError> {
        let own = &self.own;
        if question.takes_own(&own.trails, own.source) {
            return Ok(0);
        }
        let everything = Question { with_own: true, as_of: Some(size), ..question.clone() };
        let mut query = self.query_at(&everything, now)?;
        query.trails.retain(|trail| own.trails.contains(trail));
        if query.trails.is_empty() {
            return Ok(0);
        }
        Ok(self.log.query(&query)?.total)
    }

    /// The query behind a question: everything that matches, oldest first, without rows.
    pub fn query(&self, question: &Question) -> Result<Query, QueryError> {
        self.query_at(question, self.now)
    }

    /// The same with another `now`, which relative times count from.
    fn query_at(&self, question: &Question, now: Time) -> Result<Query, QueryError> {
        let meaning = self
            .search(question)
            .meaning(now)
            .map_err(|error| crate::question::invalid_search(Q, error))?;
        if let Some(size) = question.as_of.filter(|size| *size > self.log.head().0) {
            return Err(
                InvalidParameter::new(AS_OF, format!("the log has not {size} events yet")).into()
            );
        }
        Ok(Query {
            trails: self.visible.iter().filter(|trail| meaning.is_about(trail)).cloned().collect(),
            from: meaning.from,
            until: meaning.until,
            filters: meaning.filters,
            order: Order::Ascending,
            offset: 0,
            limit: 0,
            as_of: question.as_of,
        })
    }

    /// A page of the events that match: as many as there is room for, and as fit into its bytes,
    /// but one at least. The cursor begins where it ended.
    pub fn events(
        &self,
        question: &Question,
        page: &Page,
        room: &mut dyn Room,
    ) -> Result<Events, QueryError> {
        let cursor = match &page.from {
            Start::Offset(offset) => Cursor { size: None, offset: *offset, now: self.now },
            Start::Cursor(text) => Cursor::parse(text, question, page.order)?,
        };
        let as_of = cursor.size.or(question.as_of);
        let query = self.query_at(&Question { as_of, ..question.clone() }, cursor.now)?;
        let (order, offset, limit) = (page.order, cursor.offset, page.limit);
        let found = self.log.query_up_to(&Query { order, offset, limit, ..query }, room)?;
        let events = first_events(found.rows, page.bytes_max);
        let reached = cursor.offset.saturating_add(events.len() as u64);
        let has_more = !events.is_empty() && reached < found.total;
        let next = Cursor { size: Some(found.tree_size), offset: reached, now: cursor.now };
        let why_empty = match found.total {
            0 => self.why_empty(&Question { as_of: Some(found.tree_size), ..question.clone() })?,
            _ => None,
        };
        Ok(Events {
            events,
            total: found.total,
            why_empty,
            own_left_out: self.own_left_out_at(question, found.tree_size, cursor.now)?,
            tree_size: found.tree_size,
            next: has_more.then(|| next.text(question, page.order)),
        })
    }

    /// Counts of the matching events by bucket of time.
    pub fn histogram(
        &self,
        question: &Question,
        buckets: Buckets,
    ) -> Result<answer::Histogram, QueryError> {
        let made = histogram::of(self.log, self.query(question)?, buckets)?;
        let own_left_out = self.own_left_out(question, made.tree_size)?;
        Ok(answer::Histogram { own_left_out, ..made })
    }

    /// The most frequent values of some fields, by the fields' names.
    pub fn facets(
        &self,
        question: &Question,
        fields: &[NamedFacet],
        limit: usize,
    ) -> Result<Facets, QueryError> {
        let of_events = |(name, field): &NamedFacet| match field {
            FacetField::Dimension(dimension) => Some((*name, *dimension)),
            _ => None,
        };
        let (names, dimensions): (Vec<_>, Vec<_>) = fields.iter().filter_map(of_events).unzip();
        let mut query = self.query(question)?;
        let tree_size = *query.as_of.get_or_insert(self.log.head().0);
        let tops = self.log.tops(&query, &dimensions, limit)?;
        let facet = |top: Top| {
            let values =
                top.values.into_iter().map(|(value, count)| Count { value, count }).collect();
            Facet { values, others: top.others, without: top.without }
        };
        let total = match tops.first() {
            Some(top) => top.total,
            None => self.log.query(&query)?.total,
        };
        let mut facets: BTreeMap<String, Facet> =
            names.into_iter().map(str::to_owned).zip(tops.into_iter().map(facet)).collect();
        for (name, field) in fields {
            if !matches!(field, FacetField::Dimension(_)) {
                facets.insert((*name).to_owned(), self.trail_facet(&query, *field, limit)?);
            }
        }
        let own_left_out = self.own_left_out(question, tree_size)?;
        Ok(Facets { facets, total, own_left_out, tree_size })
    }

    /// The most frequent trails of a query, or parts of their names.
    fn trail_facet(
        &self,
        query: &Query,
        field: FacetField,
        limit: usize,
    ) -> Result<Facet, QueryError> {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for trail in &query.trails {
            let of_trail = Query { trails: vec![trail.clone()], ..query.clone() };
            let count = self.log.query(&of_trail)?.total;
            let value = match field {
                FacetField::TrailPart(0) => trail.service().as_str().to_owned(),
                FacetField::TrailPart(1) => trail.tenant().to_owned(),
                FacetField::TrailPart(2) => trail.project().to_owned(),
                FacetField::TrailPart(_) => trail.instance().to_owned(),
                _ => trail.to_string(),
            };
            if count > 0 {
                *counts.entry(value).or_default() += count;
            }
        }
        let mut values: Vec<Count> =
            counts.into_iter().map(|(value, count)| Count { value, count }).collect();
        // They are in order of their bytes, which stays for those of equal counts.
        values.sort_by_key(|value| std::cmp::Reverse(value.count));
        let others = values.iter().skip(limit).map(|value| value.count).sum();
        values.truncate(limit);
        Ok(Facet { values, others, without: 0 })
    }

    /// Values of some fields that have this beginning, in any case: at the beginning of the value,
    /// or behind one of `/ . : @ - _`. The most frequent first, each with its exact count. Of a
    /// field with more than a thousand values, rare ones are found by their exact beginning alone.
    pub fn values(
        &self,
        question: &Question,
        fields: &[NamedFacet],
        beginning: &str,
        limit: usize,
    ) -> Result<Values, QueryError> {
        let tree_size = question.as_of.unwrap_or(self.log.head().0);
        let question = Question { as_of: Some(tree_size), ..question.clone() };
        let wanted = beginning.to_lowercase();
        let mut found: Vec<ValueCount> = Vec::new();
        for (name, field) in fields {
            let mut add = |facets: Facets| {
                let counts = facets.facets.into_values().flat_map(|facet| facet.values);
                for Count { value, count } in counts {
                    let is_known = |one: &ValueCount| one.field == *name && one.value == value;
                    if has_beginning(&value, &wanted) && !found.iter().any(is_known) {
                        found.push(ValueCount { field: (*name).to_owned(), value, count });
                    }
                }
            };
            add(self.facets(&question, &[(*name, *field)], VALUES_EXAMINED)?);
            if matches!(field, FacetField::Dimension(_)) && !beginning.is_empty() {
                let mut narrowed = question.clone();
                narrowed.search.terms.push(Term {
                    is_excluded: false,
                    field: Field::named(name),
                    values: vec![Value { text: beginning.to_owned(), is_prefix: true, column: 0 }],
                });
                add(self.facets(&narrowed, &[(*name, *field)], limit)?);
            }
        }
        found.sort_by(|one, other| {
            (other.count, &one.value, &one.field).cmp(&(one.count, &other.value, &other.field))
        });
        found.truncate(limit);
        Ok(Values { values: found, tree_size })
    }

    /// The trails with matching events, Daybook's own among them. A question without conditions
    /// lists empty trails, too.
    pub fn trails(
        &self,
        question: &Question,
        offset: u64,
        limit: usize,
    ) -> Result<Trails, QueryError> {
        let mut query = self.query(&Question { with_own: true, ..question.clone() })?;
        let size = *query.as_of.get_or_insert(self.log.head().0);
        let takes_empty = query.filters.is_empty() && query.from.is_none() && query.until.is_none();
        let mut found = Vec::new();
        for trail in std::mem::take(&mut query.trails) {
            let of_trail = Query { trails: vec![trail.clone()], limit: 1, ..query.clone() };
            let first = self.log.query(&of_trail)?;
            if first.total == 0 && !takes_empty {
                continue;
            }
            let last = self.log.query(&Query { order: Order::Descending, ..of_trail })?;
            let at = |rows: &[Row]| rows.first().map(|row| row.entry.event.occurred_at.to_string());
            found.push(TrailCount {
                trail: trail.to_string(),
                events: first.total,
                first_at: at(&first.rows),
                last_at: at(&last.rows),
            });
        }
        let total = found.len() as u64;
        let skipped = usize::try_from(offset).unwrap_or(usize::MAX);
        let trails = found.into_iter().skip(skipped).take(limit).collect();
        Ok(Trails { trails, total, tree_size: size })
    }

    /// The number of events that match a search now.
    pub(crate) fn count(&self, search: &Search) -> Result<u64, QueryError> {
        let question = Question { search: search.clone(), as_of: None, with_own: true };
        Ok(self.log.query(&self.query(&question)?)?.total)
    }

    pub(crate) fn sees(&self, trail: &Trail) -> bool {
        self.visible.binary_search(trail).is_ok()
    }
}

/// Values of a field that are looked through for a beginning.
const VALUES_EXAMINED: usize = 1000;

/// Whether a value has this beginning, in lower case: its own, or that of one of its parts.
fn has_beginning(value: &str, wanted: &str) -> bool {
    let value = value.to_lowercase();
    value.starts_with(wanted)
        || value
            .match_indices(['/', '.', ':', '@', '-', '_'])
            .any(|(at, mark)| value[at + mark.len()..].starts_with(wanted))
}

/// A byte of a row has at most this many as text: as an escape such as `\u0000`.
const TEXT_BYTES_A_BYTE: usize = 6;

/// The first events whose text has at most about `bytes_max` bytes, one at least.
fn first_events(rows: Vec<Row>, bytes_max: usize) -> Vec<Event> {
    let bytes: usize = rows.iter().map(Row::bytes).sum();
    let mut events: Vec<Event> = rows.into_iter().map(Event::from).collect();
    if bytes.saturating_mul(TEXT_BYTES_A_BYTE) > bytes_max {
        let mut left = bytes_max;
        let mut fits = |event: &Event| {
            let less = left.checked_sub(text_bytes(event));
            left = less.unwrap_or(0);
            less.is_some()
        };
        let count = events.iter().take_while(|event| fits(event)).count();
        events.truncate(count.max(1));
    }
    events
}

/// Bytes of an event as JSON.
fn text_bytes(event: &Event) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    serde_json::to_writer(&mut count, event).map_or(usize::MAX, |()| count.0)
}
