//! `GET /metrics`: metrics in Prometheus' text format 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>).

mod machine;
mod page;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use event::Time;
use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use sha2::{Digest, Sha256};
use store::Metrics;
use subtle::ConstantTimeEq;

use super::problem::Problem;
use super::sources::seconds;
use crate::api::{Answer, Call, Refusal};
use crate::evidence::witnesses::Stand;
use crate::request_metrics::RequestMetrics;
use crate::state::State;
use access::rights::Action;
use intake::Intake;
use intake::monitor::counters::{Counter, Moments};
use net::{Body, Response};
use page::{COUNTER, GAUGE, Page};

pub fn read(call: &Call<'_>) -> Result<Answer, Refusal> {
    call.concerns("metrics");
    check_reader(call)?;
    let mut response = Response::new(Body::from(render(call.state, call.now).into_bytes()));
    let headers = response.headers_mut();
    headers
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // A monitor reads every few seconds for ever; recording it would make the log grow without end.
    Ok(Answer::whole(response).recorded())
}

/// Lets everyone read metrics if they are public, else requests with the configured token, and
/// callers who may read the status of Daybook's own trail, since the metrics cover all sources.
fn check_reader(call: &Call<'_>) -> Result<(), Refusal> {
    let config = call.state.config();
    let metrics = &config.metrics;
    let shown = call.request.header(AUTHORIZATION.as_str()).and_then(|value| value.split_once(' '));
    let shown = shown
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    let is_token = shown.zip(metrics.token.as_ref()).is_some_and(|(shown, token)| {
        bool::from(Sha256::digest(shown).ct_eq(&Sha256::digest(token.expose())))
    });
    if metrics.public
        || is_token
        || call.caller()?.may(Action::ReadSources, call.state.audit.trail())
    {
        return Ok(());
    }
    let why = "metrics need the token of metrics.token, or the right to read the status of daybook's own trail";
    Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", why).into())
}

/// Every metric. Another one is another line.
fn render(state: &State, now: Time) -> String {
    let mut page = Page::default();
    let counts = state.log.counts();
    let in_flight = state.shares.in_flight();
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    page.family("daybook_build_info", GAUGE, "Version of the build.").sample(&version, 1);
    page.one(
        "daybook_start_time_seconds",
        GAUGE,
        "Time when the server started.",
        seconds(state.started_at.unix_ns()),
    );
    page.one("daybook_events", GAUGE, "Events in the log.", counts.events);
    let queue = "Records in the dead-letter queue.";
    page.one("daybook_dead_letters", GAUGE, queue, counts.dead_letters);
    page.one("daybook_commits_total", COUNTER, "Groups of requests made durable.", counts.groups);
    page.one("daybook_duplicates_total", COUNTER, "Events received again.", counts.duplicates);
    page.one(
        "daybook_changed_outside_total",
        COUNTER,
        "Changes of rights or of recorded settings made outside of Daybook.",
        state.audit.changed_outside(),
    );
    let damaged_files = state.log.damaged_files().len();
    store_of(&mut page, &state.log.metrics(), counts.events, damaged_files);
    page.one(
        "daybook_requests_in_flight",
        GAUGE,
        "Requests in progress, with this one.",
        in_flight,
    );
    clock(&mut page, state, now);
    queries(&mut page, state);
    requests(&mut page, &state.requests);
    evidence(&mut page, state);
    machine::disk(&mut page, &state.data_dir);
    storage(&mut page, state);
    machine::process(&mut page);
    sources(&mut page, &state.intakes, now);
    page.text
}

fn store_of(page: &mut Page, metrics: &Metrics, events: u64, damaged_files: usize) {
    let recorded = metrics.group_events.sum;
    page.one("daybook_recorded_events_total", COUNTER, "Events recorded.", recorded);
    let journal = "Bytes of groups written to the journal.";
    page.one("daybook_journal_written_bytes_total", COUNTER, journal, metrics.journal_bytes);
    page.distributions("daybook_journal_sync_seconds", "Time of each sync of the journal.")
        .distribution(&[], &metrics.sync_ns, 1e9);
    page.distributions("daybook_commit_requests", "Requests that shared a sync.").distribution(
        &[],
        &metrics.group_requests,
        1.0,
    );
    page.distributions("daybook_commit_events", "Events that shared a sync.").distribution(
        &[],
        &metrics.group_events,
        1.0,
    );
    page.one("daybook_segments", GAUGE, "Segments.", metrics.segments);
    page.one(
        "daybook_segment_bytes",
        GAUGE,
        "Bytes of the segments' files.",
        metrics.segment_bytes,
    );
    let damaged = "Files of the log with bytes that did not read back, as far as reads met them.";
    page.one("daybook_damaged_files", GAUGE, damaged, damaged_files);
    page.one("daybook_flushed_events", GAUGE, "Events in segments.", metrics.flushed_events);
    let unflushed = "Events in memory and in the journal, not flushed yet.";
    let count = events.saturating_sub(metrics.flushed_events);
    page.one("daybook_unflushed_events", GAUGE, unflushed, count);
    let flushes = "Segments made from memory.";
    page.one("daybook_flushes_total", COUNTER, flushes, metrics.flushes);
    let compactions = "Segments made from other segments.";
    page.one("daybook_compactions_total", COUNTER, compactions, metrics.compactions);
    let cache = "Bytes of segments' indexes in memory.";
    page.one("daybook_index_cache_bytes", GAUGE, cache, metrics.cache_bytes);
    let read = "Blocks of segments' indexes read because they were not in memory.";
    page.one("daybook_index_blocks_read_total", COUNTER, read, metrics.blocks_read);
}

fn clock(page: &mut Page, state: &State, now: Time) {
    let jump = "Seconds by which the clock jumped ahead and is not followed yet.";
    page.one("daybook_clock_jump_seconds", GAUGE, jump, state.clock.ahead_s());
    let received = state.log.contents().received_at().map_or(0, Time::unix_ns);
    let ahead = received.saturating_sub(now.unix_ns()).max(0);
    let what = "Seconds by which the newest event was received in the future.";
    page.one("daybook_received_ahead_seconds", GAUGE, what, seconds(ahead));
}

fn queries(page: &mut Page, state: &State) {
    let running = "Queries whose work has not ended, even if their client left.";
    page.one("daybook_queries_running", GAUGE, running, state.shares.queries_running());
    let expensive = "Queries that count over everything that matches.";
    page.one("daybook_expensive_queries_running", GAUGE, expensive, state.expensive.taken());
    let abandoned = "Requests whose client left before their work ended.";
    let total = state.requests.abandoned_total();
    page.one("daybook_requests_abandoned_total", COUNTER, abandoned, total);
    let answers = "Bytes of answers that are made or sent.";
    page.one("daybook_answers_bytes", GAUGE, answers, state.answers.used());
}

fn storage(page: &mut Page, state: &State) {
    let space = state.log.space();
    let full = "1 while events are refused because the disk is full.";
    page.one("daybook_storage_full", GAUGE, full, u64::from(space.is_full()));
    let Some(report) = space.report() else { return };
    let low_water = "Free bytes below which the disk is full.";
    page.one("daybook_storage_low_water_bytes", GAUGE, low_water, report.low_water_bytes);
    let reserve = "Bytes of the reserve file.";
    page.one("daybook_storage_reserve_bytes", GAUGE, reserve, report.reserve_bytes);
}

fn requests(page: &mut Page, requests: &RequestMetrics) {
    let name = "daybook_http_responses_total";
    page.family(name, COUNTER, "Responses by the class of their status.");
    for (class, count) in requests.classes() {
        page.sample(&[("class", class)], count);
    }
    page.distributions(
        "daybook_http_request_seconds",
        "Time from a request's header to its response, without what is streamed after.",
    );
    for (name, read) in requests.times() {
        page.distribution(&[("endpoint", name)], &read, 1e9);
    }
}

fn evidence(page: &mut Page, state: &State) {
    let newest = state.evidence.newest();
    page.one(
        "daybook_checkpoint_events",
        GAUGE,
        "Events that the newest checkpoint covers.",
        newest.size,
    );
    page.one(
        "daybook_checkpoint_bytes",
        GAUGE,
        "Length of the newest checkpoint with all signatures.",
        newest.note.len(),
    );
    let name = "daybook_checkpoint_signed_timestamp_seconds";
    page.family(name, GAUGE, "Time when this process last signed one.");
    if let Some(at) = state.evidence.signed_at() {
        page.sample(&[], seconds(at.unix_ns()));
    }
    let lost = state.evidence.guard_lost().map_or(0.0, |(time, _)| time.as_secs_f64());
    let what = "Seconds since the guard takes no checkpoint, so that nothing is signed.";
    page.one("daybook_guard_lost_seconds", GAUGE, what, lost);
    let stands: Vec<(&str, Stand)> =
        state.witnesses.stands().map(|(witness, stand)| (witness.key.name(), stand)).collect();
    let mut gauge = |name: &str, help: &str, of: &dyn Fn(&Stand) -> f64| {
        page.family(name, GAUGE, help);
        for (witness, stand) in &stands {
            page.sample(&[("witness", witness)], of(stand));
        }
    };
    let behind =
        |stand: &Stand| stand.behind_since.map_or(0.0, |since| since.elapsed().as_secs_f64());
    gauge(
        "daybook_witness_lag_seconds",
        "Time since the first checkpoint that it did not cosign.",
        &behind,
    );
    #[allow(clippy::cast_precision_loss, reason = "events are fewer than 2^53")]
    let cosigned = |stand: &Stand| stand.cosigned as f64;
    gauge(
        "daybook_witness_cosigned_events",
        "Events that the newest checkpoint with its cosignature covers.",
        &cosigned,
    );
    gauge("daybook_witness_bad", "Whether the witness is late, or refuses to cosign.", &|stand| {
        f64::from(u8::from(stand.is_bad))
    });
}

/// Status of a source at this moment.
struct SourceStatus<'a> {
    intake: &'a Intake,
    moments: Moments,
    counters: Vec<Counter>,
    streams: usize,
    is_silent: bool,
}

fn sources(page: &mut Page, intakes: &[Arc<Intake>], now: Time) {
    let statuses: Vec<SourceStatus<'_>> =
        intakes.iter().map(|intake| SourceStatus::of(intake)).collect();
    page.family("daybook_source_info", GAUGE, "A configured source.");
    for one in &statuses {
        let (source, trail) = (&one.intake.source, one.intake.source.trail.to_string());
        let labels =
            [("source", &*source.name), ("format", source.format.as_str()), ("trail", &*trail)];
        page.sample(&labels, 1);
    }
    for (position, Counter { name, help, .. }) in
        statuses.first().map_or(&[][..], |one| &one.counters).iter().enumerate()
    {
        page.family(&format!("daybook_source_{name}_total"), COUNTER, help);
        for one in &statuses {
            page.sample(&one.label(), one.counters[position].count);
        }
    }
    let at = |time: Option<Time>| time.map(|time| seconds(time.unix_ns()));
    let mut gauge = |name: &str, help: &str, of: &dyn Fn(&SourceStatus<'_>) -> Option<f64>| {
        page.family(name, GAUGE, help);
        for (one, value) in statuses.iter().filter_map(|one| Some((one, of(one)?))) {
            page.sample(&one.label(), value);
        }
    };
    #[allow(clippy::cast_precision_loss, reason = "there are few streams")]
    let streams = |one: &SourceStatus<'_>| Some(one.streams as f64);
    gauge(
        "daybook_source_last_received_timestamp_seconds",
        "Time when something last arrived.",
        &|one| at(one.moments.received_at),
    );
    gauge(
        "daybook_source_last_event_timestamp_seconds",
        "Time of the newest event recorded.",
        &|one| at(one.moments.occurred_at),
    );
    gauge("daybook_source_lag_seconds", "Time from the newest event to its arrival.", &|one| {
        one.moments.lag_ns.map(seconds)
    });
    gauge(
        "daybook_source_lag_max_seconds",
        "Longest such time of the events of the last one to two minutes.",
        &|one| one.moments.lag_max_ns(now).map(seconds),
    );
    #[allow(clippy::cast_precision_loss, reason = "exact up to eight petabytes")]
    let behind = |one: &SourceStatus<'_>| {
        Some(one.intake.counters.behind_bytes.load(Ordering::Relaxed) as f64)
    };
    gauge("daybook_source_behind_bytes", "Bytes of followed files not read yet.", &behind);
    gauge("daybook_source_streams", "Numbered streams.", &streams);
    gauge("daybook_source_silent", "Whether nothing arrived for longer than configured.", &|one| {
        Some(f64::from(u8::from(one.is_silent)))
    });
}

impl SourceStatus<'_> {
    fn of(intake: &Intake) -> SourceStatus<'_> {
        let gaps = intake.gaps.lock().expect("no panic while held");
        SourceStatus {
            intake,
            moments: intake.counters.moments(),
            counters: intake.counters.counters(&gaps),
            streams: gaps.streams(),
            is_silent: intake.silence.lock().expect("no panic while held").since().is_some(),
        }
    }

    fn label(&self) -> [(&str, &str); 1] {
        [("source", &self.intake.source.name)]
    }
}
