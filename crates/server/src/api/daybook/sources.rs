//! `GET /api/v1/sources`: status and counts of the configured sources that the caller may see.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use event::Time;
use hyper::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use crate::api::{Answer, Call, Refusal};
use access::rights::Action;
use config::Config;
use intake::Intake;

/// Status of each source.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Sources")]
pub struct List {
    /// Start of the server: counts are since then.
    since: String,
    now: String,
    sources: Vec<Source>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SourceStatus")]
struct Source {
    name: String,
    format: &'static str,
    trail: String,
    transports: Vec<&'static str>,
    counts: BTreeMap<&'static str, u64>,
    streams: usize,
    behind_bytes: u64,
    last_received_at: Option<String>,
    last_event_at: Option<String>,
    lag_s: Option<f64>,
    lag_max_s: Option<f64>,
    silent_after_s: Option<u64>,
    silent_since: Option<String>,
}

pub fn list(call: &Call<'_>) -> Result<Answer, Refusal> {
    call.concerns("sources");
    let caller = call.caller()?;
    let config = call.state.config();
    let intakes = call.state.intakes.iter();
    let sources: Vec<Source> = intakes
        .filter(|intake| caller.may(Action::ReadSources, &intake.source.trail))
        .map(|intake| source(intake, &config, call.now))
        .collect();
    let count = sources.len();
    let since = call.state.started_at.to_string();
    let body = List { since, now: call.now.to_string(), sources };
    Ok(Answer::json(StatusCode::OK, &body).with_rows(count, count as u64))
}

fn source(intake: &Intake, config: &Config, now: Time) -> Source {
    let silent_after_s =
        config.source(&intake.source.name).and_then(|source| source.silent_after_s);
    let moments = intake.counters.moments();
    let (counters, streams) = {
        let gaps = intake.gaps.lock().expect("no panic while held");
        (intake.counters.counters(&gaps), gaps.streams())
    };
    let text = |time: Option<Time>| time.map(|time| time.to_string());
    Source {
        name: intake.source.name.clone(),
        format: intake.source.format.as_str(),
        trail: intake.source.trail.to_string(),
        transports: intake.source.transports(),
        counts: counters.into_iter().map(|counter| (counter.name, counter.count)).collect(),
        streams,
        behind_bytes: intake.counters.behind_bytes.load(Ordering::Relaxed),
        last_received_at: text(moments.received_at),
        last_event_at: text(moments.occurred_at),
        lag_s: moments.lag_ns.map(seconds),
        lag_max_s: moments.lag_max_ns(now).map(seconds),
        silent_after_s,
        silent_since: text(intake.silence.lock().expect("no panic while held").since()),
    }
}

/// Seconds to the millisecond, which is finer than clocks agree.
#[allow(clippy::cast_precision_loss, reason = "milliseconds of centuries are exact in 53 bits")]
pub fn seconds(ns: i64) -> f64 {
    (ns / 1_000_000) as f64 / 1000.0
}
