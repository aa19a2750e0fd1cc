//! The engines under test: Daybook's own, and the databases by what they have in common.

use std::sync::Arc;
use std::time::Instant;

use event::query::{Dimension, Filter, Query, Text};
use event::{Severity, Time};
use store::durable::Local;
use store::{Log, Settings};

use super::questions::{Answer, Ask, HOUR_S, Page, Question};
use crate::made::Events;

/// An engine that answers questions.
pub trait Engine {
    /// A question in its own terms, made before the clock starts.
    type Prepared;
    fn prepare(&mut self, ask: &Ask) -> Self::Prepared;
    fn answer(&mut self, prepared: &Self::Prepared) -> Answer;
}

/// Percentiles of durations in ms, over this many queries.
#[derive(Clone, Copy)]
pub struct Latency {
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub queries: usize,
}

/// Number of answers compared for each kind of question.
const COMPARED: usize = 100;
/// Fewer make no percentile.
const QUERIES_MIN: usize = 10;

/// Runs the queries until the time is over, after a warm-up that runs each once, or as many as there
/// is time for. Returns the first answers of the warm-up for comparison.
pub fn measure<E: Engine>(
    engine: &mut E,
    question: &Question,
    seconds: f64,
) -> (Latency, Vec<Answer>) {
    let prepared: Vec<E::Prepared> = question.asks.iter().map(|ask| engine.prepare(ask)).collect();
    let mut answers = Vec::new();
    let began = Instant::now();
    for prepared in &prepared {
        let answer = engine.answer(prepared);
        if answers.len() < COMPARED {
            answers.push(answer);
        }
        if began.elapsed().as_secs_f64() > seconds * 5.0 {
            break;
        }
    }
    let mut took_ms = Vec::new();
    let began = Instant::now();
    for prepared in prepared.iter().cycle() {
        let sent = Instant::now();
        std::hint::black_box(engine.answer(prepared));
        took_ms.push(sent.elapsed().as_nanos() as f64 / 1e6);
        if began.elapsed().as_secs_f64() > seconds && took_ms.len() >= QUERIES_MIN {
            break;
        }
    }
    took_ms.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| took_ms[(took_ms.len() as f64 * share) as usize];
    (Latency { p50_ms: at(0.5), p99_ms: at(0.99), queries: took_ms.len() }, answers)
}

/// The log, in this program.
pub struct Daybook<'a> {
    pub log: Log,
    events: &'a Events,
    pub open_ms: f64,
}

pub enum Prepared {
    Page(Query),
    PerHour(Query, Vec<Time>),
    Top(Query, usize),
}

impl Daybook<'_> {
    pub fn open<'a>(data: &std::path::Path, events: &'a Events) -> Daybook<'a> {
        let began = Instant::now();
        let log =
            Log::open(Arc::new(Local::open(data)), Settings::default()).unwrap_or_else(|error| {
                crate::fail(&format!("{error}; remove {} to make it anew", data.display()))
            });
        Daybook { log, events, open_ms: began.elapsed().as_secs_f64() * 1e3 }
    }

    /// Number of events of the largest trail.
    pub fn largest(&self) -> u64 {
        let query = Query { limit: 0, ..Query::of(self.events.trails[0].clone()) };
        self.log.query(&query).expect("answered").total
    }

    /// The first row that is not the event of its number, if any.
    pub fn wrong_row(&mut self, question: &Question) -> Option<u64> {
        question.asks.iter().take(COMPARED).find_map(|ask| {
            let Prepared::Page(query) = self.prepare(ask) else { return None };
            let page = self.log.query(&query).expect("answered");
            let is_wrong = |row: &&store::Row| {
                let mut event = self.events.event(row.index);
                // Flushed events come without it.
                event.origin.key.clone_from(&row.entry.event.origin.key);
                event != row.entry.event
            };
            page.rows.iter().find(is_wrong).map(|row| row.index)
        })
    }

    fn query(&self, page: &Page) -> Query {
        let filter =
            |dimension, value: Option<&str>| value.map(|value| Filter::is(dimension, value));
        let severity = page.severity.and_then(Severity::new);
        let filters = [
            filter(Dimension::ActorName, page.actor.as_deref()),
            filter(Dimension::Operation, page.operation.map(event::Operation::as_str)),
            filter(Dimension::Severity, severity.map(Severity::as_str)),
            page.word.clone().map(|word| Filter::Words(Text::Description, word)),
        ];
        let trails = page.trail.map_or_else(
            || self.events.trails.clone(),
            |trail| vec![self.events.trails[trail].clone()],
        );
        Query {
            trails,
            from: page.from,
            until: page.until,
            filters: filters.into_iter().flatten().collect(),
            offset: page.offset,
            limit: page.limit,
            ..Query::of(self.events.trails[0].clone())
        }
    }
}

impl Engine for Daybook<'_> {
    type Prepared = Prepared;

    fn prepare(&mut self, ask: &Ask) -> Prepared {
        match *ask {
            Ask::Page(ref page) => Prepared::Page(self.query(page)),
            Ask::PerHour { trail, from, hours } => {
                let instants: Vec<Time> =
                    (0..=hours).map(|hour| from.plus_seconds(hour * HOUR_S)).collect();
                let page = Page {
                    trail: Some(trail),
                    from: Some(from),
                    until: instants.last().copied(),
                    ..Page::default()
                };
                Prepared::PerHour(self.query(&page), instants)
            }
            Ask::Top { trail, limit } => {
                Prepared::Top(self.query(&Page { trail: Some(trail), ..Page::default() }), limit)
            }
        }
    }

    fn answer(&mut self, prepared: &Prepared) -> Answer {
        match prepared {
            Prepared::Page(query) => {
                let page = self.log.query(query).expect("answered");
                Answer {
                    total: page.total,
                    rows: page.rows.iter().map(|row| row.index).collect(),
                    ..Answer::default()
                }
            }
            Prepared::PerHour(query, instants) => {
                let found = self.log.histogram(query, instants).expect("answered");
                Answer { total: found.total, per_hour: found.counts, ..Answer::default() }
            }
            Prepared::Top(query, limit) => {
                let found =
                    self.log.tops(query, &[Dimension::Action], *limit).expect("answered").remove(0);
                Answer { total: found.total, values: found.values, ..Answer::default() }
            }
        }
    }
}

/// A question in SQL.
pub struct Sql {
    /// Counts what a page is of; none for other questions.
    pub count: Option<String>,
    pub text: String,
    /// The values of both; the last two, of a page, are its limit and offset.
    pub values: Vec<Value>,
    pub shape: Shape,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Page,
    /// With so many hours.
    PerHour(usize),
    Top,
}

pub enum Value {
    Number(i64),
    Text(String),
}

/// Where the databases differ.
pub struct Dialect {
    /// How the value with this number is written.
    pub number: fn(usize) -> String,
    pub text: fn(usize) -> String,
    /// For a search by word: the table instead of `event e`, the condition, and the form of the word.
    pub word_from: &'static str,
    pub word_is: fn(usize) -> String,
    pub word: fn(&str) -> String,
}

/// Puts a question as SQL.
pub fn sql(ask: &Ask, dialect: &Dialect) -> Sql {
    let mut values = Vec::new();
    let mut conditions = Vec::new();
    let number = |values: &mut Vec<Value>, value: i64| {
        values.push(Value::Number(value));
        (dialect.number)(values.len())
    };
    match ask {
        Ask::Page(page) => {
            let numbers = [
                ("e.trail =", page.trail.map(|trail| trail as i64)),
                ("e.time >=", page.from.map(Time::unix_ns)),
                ("e.time <", page.until.map(Time::unix_ns)),
                ("e.severity =", page.severity.map(i64::from)),
            ];
            for (condition, value) in numbers {
                conditions.extend(
                    value.map(|value| format!("{condition} {}", number(&mut values, value))),
                );
            }
            let texts = [
                ("e.actor =", page.actor.as_deref()),
                ("e.operation =", page.operation.map(event::Operation::as_str)),
            ];
            for (condition, value) in texts {
                if let Some(value) = value {
                    values.push(Value::Text(value.to_owned()));
                    conditions.push(format!("{condition} {}", (dialect.text)(values.len())));
                }
            }
            let mut from = "event e";
            if let Some(word) = &page.word {
                from = dialect.word_from;
                values.push(Value::Text((dialect.word)(word)));
                conditions.push((dialect.word_is)(values.len()));
            }
            let what = format!("FROM {from} WHERE {}", conditions.join(" AND "));
            let limit = number(&mut values, page.limit as i64);
            let offset = number(&mut values, page.offset as i64);
            let text = format!(
                "SELECT e.idx, e.time, e.entry {what} ORDER BY e.time DESC, e.idx DESC LIMIT {limit} OFFSET {offset}"
            );
            Sql { count: Some(format!("SELECT count(*) {what}")), text, values, shape: Shape::Page }
        }
        Ask::PerHour { trail, from, hours } => {
            let (trail, start) =
                (number(&mut values, *trail as i64), number(&mut values, from.unix_ns()));
            let end = number(&mut values, from.plus_seconds(hours * HOUR_S).unix_ns());
            let text = format!(
                "SELECT (e.time - {start}) / {} AS hour, count(*) FROM event e WHERE e.trail = {trail} AND e.time >= {start} AND e.time < {end} GROUP BY 1",
                HOUR_S * 1_000_000_000
            );
            Sql { count: None, text, values, shape: Shape::PerHour(*hours as usize) }
        }
        Ask::Top { trail, limit } => {
            let (trail, limit) =
                (number(&mut values, *trail as i64), number(&mut values, *limit as i64));
            let text = format!(
                "SELECT e.action, count(*) AS events FROM event e WHERE e.trail = {trail} GROUP BY e.action ORDER BY events DESC, e.action LIMIT {limit}"
            );
            Sql { count: None, text, values, shape: Shape::Top }
        }
    }
}

/// An answer from rows of an hour and a count.
pub fn per_hour(hours: usize, rows: impl Iterator<Item = (i64, i64)>) -> Answer {
    let mut per_hour = vec![0; hours];
    rows.for_each(|(hour, count)| per_hour[hour as usize] = count as u64);
    Answer { total: per_hour.iter().sum(), per_hour, ..Answer::default() }
}

/// An answer from rows of a value and a count. A trail has fewer actions than a question wants
/// for, so these are all.
pub fn top(rows: impl Iterator<Item = (String, i64)>) -> Answer {
    let values: Vec<(String, u64)> = rows.map(|(value, count)| (value, count as u64)).collect();
    Answer { total: values.iter().map(|(_, count)| count).sum(), values, ..Answer::default() }
}
