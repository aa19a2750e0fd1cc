//! Finding events: questions of people and programs to a log, and the answers. The same over HTTP
//! and on a data directory.
//!
//! [`ask`] reads what is asked, [`answer`] has the shapes of the answers, [`Finder`] makes one from
//! the other.

pub mod answer;
pub mod ask;
mod cursor;
pub mod export;
mod histogram;
mod one;

use event::query::{Dimension, Filter, Order, Query, Top};
use event::search::Search;
use event::{Time, Trail};
use store::Contents;

use answer::{Count, Event, Events, Facet, Facets, OfTrail, Trails};
use ask::{AS_OF, Asked, Buckets, Named, Page, Q, Start, Wrong};
use cursor::Cursor;

/// Why a question has no answer.
#[derive(Debug)]
pub enum Unanswered {
    /// The question is wrong.
    Wrong(Wrong),
    /// There is no such event.
    NotFound,
    /// The log could not be read.
    Failed(store::Error),
}

impl From<Wrong> for Unanswered {
    fn from(wrong: Wrong) -> Unanswered {
        Unanswered::Wrong(wrong)
    }
}

impl From<store::Error> for Unanswered {
    fn from(error: store::Error) -> Unanswered {
        Unanswered::Failed(error)
    }
}

/// Answers questions about some trails of a log.
pub struct Finder<'a> {
    log: &'a Contents,
    /// The trails that may be seen, in order.
    visible: Vec<Trail>,
    now: Time,
}

impl<'a> Finder<'a> {
    /// Answers at `now` from what these trails hold; those that hold nothing are no error.
    pub fn new(log: &'a Contents, visible: Vec<Trail>, now: Time) -> Finder<'a> {
        Finder { log, visible, now }
    }

    /// What is asked, as a question to the log: all that matches, oldest first, no row.
    pub fn query(&self, asked: &Asked) -> Result<Query, Unanswered> {
        self.query_at(asked, self.now)
    }

    /// As of an earlier moment, at which relative times are meant.
    fn query_at(&self, asked: &Asked, now: Time) -> Result<Query, Unanswered> {
        let meaning = asked.search.meaning(now).map_err(|error| ask::wrong(Q, error))?;
        if let Some(size) = asked.as_of.filter(|size| *size > self.log.head().0) {
            return Err(Wrong::new(AS_OF, format!("the log has not {size} events yet")).into());
        }
        Ok(Query {
            trails: self.visible.iter().filter(|trail| meaning.is_about(trail)).cloned().collect(),
            from: meaning.from,
            until: meaning.until,
            filters: meaning.filters,
            order: Order::Ascending,
            offset: 0,
            limit: 0,
            as_of: asked.as_of,
        })
    }

    /// A page of what matches.
    pub fn events(&self, asked: &Asked, page: &Page) -> Result<Events, Unanswered> {
        let cursor = match &page.from {
            Start::Offset(offset) => Cursor { size: None, offset: *offset, now: self.now },
            Start::Cursor(text) => Cursor::parse(text, asked, page.order)?,
        };
        let as_of = cursor.size.or(asked.as_of);
        let query = self.query_at(&Asked { as_of, ..asked.clone() }, cursor.now)?;
        let found = self.log.query(&Query {
            order: page.order,
            offset: cursor.offset,
            limit: page.limit,
            ..query
        })?;
        let reached = cursor.offset.saturating_add(found.rows.len() as u64);
        let has_more = !found.rows.is_empty() && reached < found.total;
        let next = Cursor { size: Some(found.tree_size), offset: reached, now: cursor.now };
        Ok(Events {
            events: found.rows.into_iter().map(Event::from).collect(),
            total: found.total,
            tree_size: found.tree_size,
            next: has_more.then(|| next.text(asked, page.order)),
        })
    }

    /// How many match in each bucket of time.
    pub fn histogram(
        &self,
        asked: &Asked,
        buckets: Buckets,
    ) -> Result<answer::Histogram, Unanswered> {
        histogram::of(self.log, self.query(asked)?, buckets)
    }

    /// The values of some dimensions that most of what matches has, by the fields' names.
    pub fn facets(
        &self,
        asked: &Asked,
        dimensions: &[Named],
        limit: usize,
    ) -> Result<Facets, Unanswered> {
        let (names, dimensions): (Vec<_>, Vec<_>) = dimensions.iter().copied().unzip();
        let tops = self.log.tops(&self.query(asked)?, &dimensions, limit)?;
        let (total, tree_size) = tops.first().map_or((0, 0), |top| (top.total, top.tree_size));
        let facet = |top: Top| {
            let values =
                top.values.into_iter().map(|(value, count)| Count { value, count }).collect();
            Facet { values, others: top.others, without: top.without }
        };
        let facets =
            names.into_iter().map(str::to_owned).zip(tops.into_iter().map(facet)).collect();
        Ok(Facets { facets, total, tree_size })
    }

    /// The trails that hold something of what is asked for; when nothing in particular is, also
    /// those that hold nothing.
    pub fn trails(&self, asked: &Asked, offset: u64, limit: usize) -> Result<Trails, Unanswered> {
        let mut query = self.query(asked)?;
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
            let at = |rows: &[store::Row]| {
                rows.first().map(|row| row.entry.event.occurred_at.to_string())
            };
            found.push(OfTrail {
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

    /// How many match, now.
    fn count(&self, search: &Search) -> Result<u64, Unanswered> {
        let asked = Asked { search: search.clone(), as_of: None };
        Ok(self.log.query(&self.query(&asked)?)?.total)
    }

    fn sees(&self, trail: &Trail) -> bool {
        self.visible.binary_search(trail).is_ok()
    }
}

/// That an outcome is one.
fn ends(outcome: event::OutcomeKind) -> Filter {
    Filter::is(Dimension::Outcome, outcome.as_str())
}
