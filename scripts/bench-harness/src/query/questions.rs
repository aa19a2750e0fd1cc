//! The questions. Every engine gets the same ones, drawn from the seed.

use event::{Operation, Time};

use crate::made::{ACTORS, DAYS, END, Events, Random};

/// One kind of question.
pub struct Question {
    /// Its name on the command line.
    pub id: &'static str,
    pub about: &'static str,
    /// Daybook's goal in ms: median and 99th percentile.
    pub goal_ms: (f64, f64),
    pub asks: Vec<Ask>,
}

/// One question.
pub enum Ask {
    /// A page, newest first, and the total.
    Page(Page),
    /// The count of each hour.
    PerHour { trail: usize, from: Time, hours: i64 },
    /// The most frequent actions and how often they occurred.
    Top { trail: usize, limit: usize },
}

/// A page of the events that meet all conditions.
#[derive(Clone, Default)]
pub struct Page {
    /// The trail's index among all; without one, all trails.
    pub trail: Option<usize>,
    pub from: Option<Time>,
    pub until: Option<Time>,
    pub operation: Option<Operation>,
    pub actor: Option<String>,
    pub severity: Option<u8>,
    /// A word of the description.
    pub word: Option<String>,
    pub offset: u64,
    pub limit: usize,
}

/// An answer; only the parts that the question needs are filled.
#[derive(Debug, Default, PartialEq)]
pub struct Answer {
    pub total: u64,
    /// The numbers of the events on the page.
    pub rows: Vec<u64>,
    pub per_hour: Vec<u64>,
    pub values: Vec<(String, u64)>,
}

/// Number of different questions of a kind, repeated in turn; the data they touch does not fit into a
/// processor's cache.
const ASKS: u64 = 1_000;
const DAY_S: i64 = 86_400;
pub const HOUR_S: i64 = 3_600;

/// All questions. The largest trail has this many events.
pub fn questions(events: &Events, seed: u64, largest: u64) -> Vec<Question> {
    let mut questions = Vec::new();
    let mut add = |id, about, goal_ms, draw: &dyn Fn(&mut Random) -> Ask| {
        let number = questions.len() as u64 + 1;
        let asks = (0..ASKS).map(|ask| draw(&mut Random::of(seed, (number << 40) + ask))).collect();
        questions.push(Question { id, about, goal_ms, asks });
    };
    let trail = |random: &mut Random| events.trail_shares.pick(random);
    let some_event = |random: &mut Random| events.event(random.below(events.count));
    let index_of = |trail: &event::Trail| events.trails.iter().position(|one| one == trail);
    let start = END.plus_seconds(-DAYS * DAY_S);
    let later =
        |random: &mut Random, seconds: i64| start.plus_seconds(random.below(seconds as u64) as i64);

    add("Q1", "first page of 10, a trail, last 24 h", (0.03, 0.1), &|random| {
        Ask::Page(Page {
            trail: Some(trail(random)),
            from: Some(END.plus_seconds(-DAY_S)),
            until: Some(END),
            limit: 10,
            ..Page::default()
        })
    });
    add("Q2", "100 rows, a trail and operation, 30 days", (0.2, 0.5), &|random| {
        let (event, from) = (some_event(random), later(random, (DAYS - 30) * DAY_S));
        let until = Some(from.plus_seconds(30 * DAY_S));
        Ask::Page(Page {
            trail: index_of(&event.trail),
            operation: Some(event.operation),
            from: Some(from),
            until,
            limit: 100,
            ..Page::default()
        })
    });
    let deep = |percent: u64| {
        move |random: &mut Random| {
            let offset = largest * percent / 100 + random.below(largest / 100 + 1);
            Ask::Page(Page { trail: Some(0), offset, limit: 10, ..Page::default() })
        }
    };
    add("Q3", "page of 10 at 50 % of the largest trail", (0.03, 0.1), &deep(50));
    add("Q3", "page of 10 at 90 % of the largest trail", (0.03, 0.1), &deep(90));
    add("Q4", "page of 10, a trail, actor and operation", (0.05, 0.7), &|random| {
        let event = some_event(random);
        Ask::Page(Page {
            trail: index_of(&event.trail),
            actor: event.actor.name,
            operation: Some(event.operation),
            limit: 10,
            ..Page::default()
        })
    });
    add("Q5", "100 rows, an hour, a severity, all trails", (0.15, 0.4), &|random| {
        let (from, severity) = (later(random, DAYS * DAY_S - HOUR_S), 1 + random.below(3) as u8);
        Ask::Page(Page {
            from: Some(from),
            until: Some(from.plus_seconds(HOUR_S)),
            severity: Some(severity),
            limit: 100,
            ..Page::default()
        })
    });
    add("Q6", "page of 10, a rare actor, all trails", (0.04, 0.1), &|random| {
        let rank = ACTORS - 1 - random.below(ACTORS as u64 / 5) as usize;
        Ask::Page(Page { actor: events.actors[rank].name.clone(), limit: 10, ..Page::default() })
    });
    add("Q7", "page of 10, a trail, a word", (1.0, 5.0), &|random| {
        let (event, position) = (some_event(random), [0, 1, 3][random.below(3) as usize]);
        let word = event
            .description
            .as_deref()
            .and_then(|text| text.split(' ').nth(position))
            .map(str::to_owned);
        Ask::Page(Page { trail: index_of(&event.trail), word, limit: 10, ..Page::default() })
    });
    add("Q8", "events in each hour of 7 days, a trail", (0.01, 0.05), &|random| Ask::PerHour {
        trail: trail(random),
        from: later(random, (DAYS - 7) * DAY_S),
        hours: 7 * 24,
    });
    add("Q9", "the 10 most frequent actions of a trail", (0.03, 0.1), &|random| Ask::Top {
        trail: trail(random),
        limit: 10,
    });
    add("S", "100 scattered rows: a rare actor, all trails", (1.0, 4.0), &|random| {
        // Who did 120 to 400 of the events: the `n`th has 1/n of the first's, who has a ninth of
        // all.
        let rank_of = |expected: u64| (events.count / 9 / expected) as usize;
        let (first, end) = (rank_of(400).min(ACTORS - 2), rank_of(120).clamp(1, ACTORS - 1));
        let rank = first + random.below((end.max(first + 1) - first) as u64) as usize;
        Ask::Page(Page { actor: events.actors[rank].name.clone(), limit: 100, ..Page::default() })
    });
    questions
}
