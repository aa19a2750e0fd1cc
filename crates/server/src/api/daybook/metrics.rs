//! `GET /metrics`: figures in Prometheus' text format 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>).

mod machine;
mod page;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use event::Time;
use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use sha2::{Digest, Sha256};
use store::Metrics as Figures;
use subtle::ConstantTimeEq;

use super::caller;
use super::problem::Problem;
use super::sources::seconds;
use crate::evidence::witnesses::Stand;
use crate::request_metrics::Answers;
use crate::state::{Context, Note, Shared};
use access::rights::Action;
use intake::Intake;
use intake::figures::{Counter, Moments};
use net::{Body, Request, Response};
use page::{COUNTER, GAUGE, Page};

pub fn read(
    request: &Request,
    context: &Context<'_>,
    note: &mut Note,
) -> Result<Response, Problem> {
    "metrics".clone_into(&mut note.resource);
    let_in(request, context, note)?;
    // Whoever watches asks every few seconds for ever; recording it would make the log grow without
    // end.
    note.is_recorded = true;
    let mut response = Response::new(Body::from(render(context.shared, context.now).into_bytes()));
    let headers = response.headers_mut();
    headers
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Lets in anyone, or who shows the token of the configuration, or who may read figures of
/// Daybook's own trail: they are those of all sources.
fn let_in(request: &Request, context: &Context<'_>, note: &mut Note) -> Result<(), Problem> {
    let config = context.shared.config();
    let metrics = &config.metrics;
    let shown = request.header(AUTHORIZATION.as_str()).and_then(|value| value.split_once(' '));
    let shown = shown
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    let is_token = shown.zip(metrics.token.as_ref()).is_some_and(|(shown, token)| {
        bool::from(Sha256::digest(shown).ct_eq(&Sha256::digest(token.expose())))
    });
    if metrics.public || is_token {
        return Ok(());
    }
    if caller(request, context, note)?.may(Action::ReadSources, context.shared.audit.trail()) {
        return Ok(());
    }
    let why = "metrics are for whoever may read the figures of daybook's own trail, or shows the token of metrics.token";
    Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", why))
}

/// Every figure. One more is one line more.
fn render(shared: &Shared, now: Time) -> String {
    let mut page = Page::default();
    let counts = shared.log.counts();
    let limits = shared.config().limits;
    let in_flight =
        limits.requests_in_flight_max.saturating_sub(shared.in_flight.available_permits());
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    page.family("daybook_build_info", GAUGE, "Which build this is.").sample(&version, 1);
    page.one(
        "daybook_start_time_seconds",
        GAUGE,
        "When the server started.",
        seconds(shared.started_at.unix_ns()),
    );
    page.one("daybook_events", GAUGE, "Events in the log.", counts.events);
    page.one(
        "daybook_set_aside_records",
        GAUGE,
        "Records set aside in the log.",
        counts.dead_letters,
    );
    page.one("daybook_commits_total", COUNTER, "Groups of requests made durable.", counts.groups);
    page.one(
        "daybook_duplicates_total",
        COUNTER,
        "Events that were recorded before.",
        counts.duplicates,
    );
    store_of(&mut page, &shared.log.metrics(), counts.events);
    page.one(
        "daybook_requests_in_flight",
        GAUGE,
        "Requests being answered, this one too.",
        in_flight,
    );
    answers(&mut page, &shared.answers);
    evidence(&mut page, shared);
    machine::disk(&mut page, &shared.data_dir);
    machine::process(&mut page);
    sources(&mut page, &shared.intakes, now);
    page.text
}

fn store_of(page: &mut Page, figures: &Figures, events: u64) {
    let recorded = figures.group_events.sum;
    page.one("daybook_recorded_events_total", COUNTER, "Events recorded.", recorded);
    let journal = "Bytes of groups written to the journal.";
    page.one("daybook_journal_written_bytes_total", COUNTER, journal, figures.journal_bytes);
    page.distributions("daybook_journal_sync_seconds", "Time of each sync of the journal.")
        .distribution(&[], &figures.sync_ns, 1e9);
    page.distributions("daybook_commit_requests", "Requests that shared a sync.").distribution(
        &[],
        &figures.group_requests,
        1.0,
    );
    page.distributions("daybook_commit_events", "Events that shared a sync.").distribution(
        &[],
        &figures.group_events,
        1.0,
    );
    page.one("daybook_segments", GAUGE, "Segments there are.", figures.segments);
    page.one("daybook_segment_bytes", GAUGE, "Bytes of their files.", figures.segment_bytes);
    page.one("daybook_sealed_events", GAUGE, "Events in segments.", figures.flushed_events);
    let unsealed = "Events in memory and in the journal, not sealed yet.";
    page.one(
        "daybook_unsealed_events",
        GAUGE,
        unsealed,
        events.saturating_sub(figures.flushed_events),
    );
    page.one(
        "daybook_seals_total",
        COUNTER,
        "Segments made of what was in memory.",
        figures.flushes,
    );
    page.one(
        "daybook_merges_total",
        COUNTER,
        "Segments made of other segments.",
        figures.compactions,
    );
    let cache = "Bytes of segments' indexes in memory.";
    page.one("daybook_index_cache_bytes", GAUGE, cache, figures.cache_bytes);
    let read = "Blocks of segments' indexes that were read because they were not in memory.";
    page.one("daybook_index_blocks_read_total", COUNTER, read, figures.blocks_read);
}

fn answers(page: &mut Page, answers: &Answers) {
    page.family("daybook_http_answers_total", COUNTER, "Answers by the class of their status.");
    for (class, count) in answers.classes() {
        page.sample(&[("class", class)], count);
    }
    page.distributions(
        "daybook_http_request_seconds",
        "Time from a request's header to its answer, what is streamed after left out.",
    );
    for (endpoint, read) in answers.times() {
        page.distribution(&[("endpoint", endpoint)], &read, 1e9);
    }
}

fn evidence(page: &mut Page, shared: &Shared) {
    let newest = shared.evidence.newest();
    page.one(
        "daybook_checkpoint_events",
        GAUGE,
        "Events that the newest checkpoint covers.",
        newest.size,
    );
    page.one(
        "daybook_checkpoint_bytes",
        GAUGE,
        "Its length with all signatures.",
        newest.note.len(),
    );
    let name = "daybook_checkpoint_signed_timestamp_seconds";
    page.family(name, GAUGE, "When this process last signed one.");
    if let Some(at) = shared.evidence.signed_at() {
        page.sample(&[], seconds(at.unix_ns()));
    }
    let stands: Vec<(&str, Stand)> =
        shared.witnesses.stands().map(|(witness, stand)| (witness.key.name(), stand)).collect();
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
        "Since when there is a checkpoint that it did not cosign.",
        &behind,
    );
    #[allow(clippy::cast_precision_loss, reason = "events are fewer than 2^53")]
    let cosigned = |stand: &Stand| stand.cosigned as f64;
    gauge(
        "daybook_witness_cosigned_events",
        "Events of the newest checkpoint that it cosigned.",
        &cosigned,
    );
    gauge("daybook_witness_bad", "Whether it is late, or refuses to cosign.", &|stand| {
        f64::from(u8::from(stand.is_bad))
    });
}

/// What is known of a source at this moment.
struct Known<'a> {
    intake: &'a Intake,
    moments: Moments,
    counters: Vec<Counter>,
    streams: usize,
    is_silent: bool,
}

fn sources(page: &mut Page, intakes: &[Arc<Intake>], now: Time) {
    let known: Vec<Known<'_>> = intakes.iter().map(|intake| Known::of(intake)).collect();
    page.family("daybook_source_info", GAUGE, "A configured source.");
    for one in &known {
        let (source, trail) = (&one.intake.source, one.intake.source.trail.to_string());
        let labels =
            [("source", &*source.name), ("format", source.format.as_str()), ("trail", &*trail)];
        page.sample(&labels, 1);
    }
    for (position, Counter { name, help, .. }) in
        known.first().map_or(&[][..], |one| &one.counters).iter().enumerate()
    {
        page.family(&format!("daybook_source_{name}_total"), COUNTER, help);
        for one in &known {
            page.sample(&one.label(), one.counters[position].count);
        }
    }
    let at = |time: Option<Time>| time.map(|time| seconds(time.unix_ns()));
    let mut gauge = |name: &str, help: &str, of: &dyn Fn(&Known<'_>) -> Option<f64>| {
        page.family(name, GAUGE, help);
        for (one, value) in known.iter().filter_map(|one| Some((one, of(one)?))) {
            page.sample(&one.label(), value);
        }
    };
    #[allow(clippy::cast_precision_loss, reason = "there are few streams")]
    let streams = |one: &Known<'_>| Some(one.streams as f64);
    gauge(
        "daybook_source_last_received_timestamp_seconds",
        "When something last arrived.",
        &|one| at(one.moments.received_at),
    );
    gauge(
        "daybook_source_last_event_timestamp_seconds",
        "When the newest event recorded happened.",
        &|one| at(one.moments.occurred_at),
    );
    gauge(
        "daybook_source_lag_seconds",
        "How long after it happened the newest event arrived.",
        &|one| one.moments.lag_ns.map(seconds),
    );
    gauge(
        "daybook_source_lag_max_seconds",
        "The longest such time of any event in the last one to two minutes.",
        &|one| one.moments.lag_max_ns(now).map(seconds),
    );
    #[allow(clippy::cast_precision_loss, reason = "exact up to eight petabytes")]
    let behind =
        |one: &Known<'_>| Some(one.intake.figures.behind_bytes.load(Ordering::Relaxed) as f64);
    gauge("daybook_source_behind_bytes", "Bytes of followed files that are not read yet.", &behind);
    gauge("daybook_source_streams", "Numbered streams that are followed.", &streams);
    gauge("daybook_source_silent", "Whether nothing came for longer than configured.", &|one| {
        Some(f64::from(u8::from(one.is_silent)))
    });
}

impl Known<'_> {
    fn of(intake: &Intake) -> Known<'_> {
        let gaps = intake.gaps.lock().expect("no panic while held");
        Known {
            intake,
            moments: intake.figures.moments(),
            counters: intake.figures.counters(&gaps),
            streams: gaps.streams(),
            is_silent: intake.silence.lock().expect("no panic while held").since().is_some(),
        }
    }

    fn label(&self) -> [(&str, &str); 1] {
        [("source", &self.intake.source.name)]
    }
}
