//! How many events there are per bucket of time.

use event::query::{Dimension, Filter, Order, Query};
use event::{OutcomeKind, Time};
use store::Contents;

use crate::answer::{Bucket, Histogram};
use crate::error::QueryError;
use crate::question::{BUCKETS_MAX, Buckets, InvalidParameter};

const NS: i64 = 1_000_000_000;
/// How long buckets may be, unless question otherwise, in seconds.
const INTERVALS_S: [u64; 25] = [
    1,
    2,
    5,
    10,
    15,
    30,
    60,
    120,
    300,
    600,
    900,
    1800,
    3600,
    7200,
    10_800,
    21_600,
    43_200,
    86_400,
    172_800,
    604_800,
    1_209_600,
    2_592_000,
    7_776_000,
    31_536_000,
    315_360_000,
];

pub fn of(log: &Contents, query: Query, buckets: Buckets) -> Result<Histogram, QueryError> {
    let first = log.query(&Query { limit: 1, ..query.clone() })?;
    let query = Query { as_of: Some(first.tree_size), ..query };
    let window = match (query.from, query.until, first.rows.first()) {
        (Some(from), Some(until), _) => Some((from, until)),
        (_, _, None) => None,
        (from, until, Some(earliest)) => {
            let last = log.query(&Query { limit: 1, order: Order::Descending, ..query.clone() })?;
            let latest = last.rows.first().map_or(earliest, |row| row).entry.event.occurred_at;
            let from = from.unwrap_or(earliest.entry.event.occurred_at);
            Some((from, until.unwrap_or(Time::from_unix_ns(latest.unix_ns().saturating_add(1)))))
        }
    };
    let Some((from, until)) = window.filter(|(from, until)| from < until) else {
        let interval_s = INTERVALS_S[0];
        let text = |time: Option<Time>| time.map(|time| time.to_string());
        let (from, until) = (text(query.from), text(query.until));
        return Ok(Histogram {
            from,
            until,
            interval_s,
            buckets: Vec::new(),
            total: 0,
            own_left_out: 0,
            tree_size: first.tree_size,
        });
    };
    let interval_s = interval(from, until, buckets)?;
    let starts = starts(from, until, interval_s);
    let mut instants = starts.clone();
    // The first bucket and the last may reach beyond the window.
    instants[0] = from;
    instants.push(until);
    let mut made: Vec<Bucket> = starts
        .iter()
        .map(|start| Bucket { start: start.to_string(), success: 0, failure: 0, unknown: 0 })
        .collect();
    for outcome in OutcomeKind::ALL {
        let mut of_outcome = query.clone();
        of_outcome.filters.push(ends(*outcome));
        let counts = log.histogram(&of_outcome, &instants)?.counts;
        for (bucket, count) in made.iter_mut().zip(counts) {
            match outcome {
                OutcomeKind::Success => bucket.success = count,
                OutcomeKind::Failure => bucket.failure = count,
                OutcomeKind::Unknown => bucket.unknown = count,
            }
        }
    }
    Ok(Histogram {
        from: Some(from.to_string()),
        until: Some(until.to_string()),
        interval_s,
        buckets: made,
        total: first.total,
        own_left_out: 0,
        tree_size: first.tree_size,
    })
}

fn interval(from: Time, until: Time, buckets: Buckets) -> Result<u64, InvalidParameter> {
    match buckets {
        Buckets::Seconds(seconds) if count(from, until, seconds) <= BUCKETS_MAX => Ok(seconds),
        Buckets::Seconds(_) => Err(InvalidParameter::new(
            "interval",
            format!(
                "the window would have more than {BUCKETS_MAX} buckets; ask for longer ones or a shorter window"
            ),
        )),
        Buckets::Count(most) => {
            let fits = |seconds: &&u64| count(from, until, **seconds) <= most;
            // Two buckets of ten years hold the whole range of times that there is, but for a few.
            Ok(INTERVALS_S.iter().find(fits).copied().unwrap_or(INTERVALS_S[INTERVALS_S.len() - 1]))
        }
    }
}

/// The multiple of an interval at or before an instant.
fn floor(at: Time, seconds: u64) -> i128 {
    let interval = i128::from(seconds) * i128::from(NS);
    i128::from(at.unix_ns()).div_euclid(interval) * interval
}

/// How many buckets hold the window.
fn count(from: Time, until: Time, seconds: u64) -> u64 {
    let interval = i128::from(seconds) * i128::from(NS);
    let last = floor(Time::from_unix_ns(until.unix_ns() - 1), seconds);
    u64::try_from((last - floor(from, seconds)) / interval + 1).unwrap_or(u64::MAX)
}

fn starts(from: Time, until: Time, seconds: u64) -> Vec<Time> {
    let (first, interval) = (floor(from, seconds), i128::from(seconds) * i128::from(NS));
    let at = |bucket: u64| first + i128::from(bucket) * interval;
    let earliest = i128::from(i64::MIN);
    (0..count(from, until, seconds))
        .map(|bucket| {
            Time::from_unix_ns(i64::try_from(at(bucket).max(earliest)).unwrap_or(i64::MAX))
        })
        .collect()
}

/// The filter for one outcome.
fn ends(outcome: OutcomeKind) -> Filter {
    Filter::is(Dimension::Outcome, outcome.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Time {
        Time::from_unix_ns(second * NS)
    }

    #[test]
    fn buckets_begin_at_multiples_of_the_interval() {
        assert_eq!(starts(at(61), at(180), 60), [at(60), at(120)]);
        assert_eq!(starts(at(60), at(181), 60), [at(60), at(120), at(180)]);
        assert_eq!(starts(at(-1), at(1), 60), [at(-60), at(0)]);
        assert_eq!(count(at(0), at(1), 60), 1);
    }

    #[test]
    fn the_shortest_interval_with_few_enough_buckets_is_chosen() {
        let chosen =
            |seconds, most| interval(at(0), at(seconds), Buckets::Count(most)).expect("fits");
        assert_eq!(chosen(60, 60), 1);
        assert_eq!(chosen(61, 60), 2);
        assert_eq!(chosen(86_400, 60), 1800);
        assert_eq!(chosen(1, 1), 1);
        assert_eq!(
            interval(at(0), at(1001), Buckets::Seconds(1)).map_err(|wrong| wrong.parameter),
            Err("interval".to_owned())
        );
        let (first, last) = (Time::from_unix_ns(i64::MIN), Time::from_unix_ns(i64::MAX));
        let widest = interval(first, last, Buckets::Count(60)).expect("fits");
        assert!(starts(first, last, widest).len() <= 60);
    }
}
