//! What is watched of sources beside their events: gaps in their numbers, datagrams dropped, events
//! cut, and silence. Tells of them on Daybook's own trail, and keeps across restarts what gaps and
//! silence are found by.
//!
//! - A gap, drop or turn is recorded before it counts as told; one that could not be recorded is
//!   tried again.
//! - What is kept says up to which event of the log it holds. What came behind is taken from the
//!   log when the server starts, so that nothing that was recorded before a kill is missed.
//! - What is kept can be lost: then numbering and silence count from the start of the server on.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use event::entry;
use event::{Class, Event, Operation, Outcome, OutcomeKind, Severity, Time};
use formats::Limits;
use serde::{Deserialize, Serialize};
use store::durable::Local;
use store::{Contents, FileObjects, Log, Objects, SOURCE_STATES, Version};

use super::gaps::{Gap, Gaps, KeptStream, Settled};
use super::retried::Retried;
use super::silence::{Silence, Turn};
use super::{Intake, kept, waiting};
use crate::audit::{Act, OwnAudit, SOURCE};
use config::Config;

/// How often it is looked for gaps, drops, cut events and silence.
pub const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often what changes with every event is kept. More often means more syncs, less often a
/// longer start after a kill.
const KEEP_EVERY: Duration = Duration::from_secs(5);
/// Behind so many events it is kept at the next look, so that a start has few events to read.
const EVENTS_BEHIND_MAX: u64 = 50_000;
/// Events read again at a start. Behind more, all streams are begun anew: that takes a server that
/// could keep nothing.
const REPLAYED_MAX: u64 = 500_000;
const MAGIC: &str = "daybook sources 1";

/// Watches the configured sources.
pub struct Keeper {
    objects: FileObjects,
    version: Option<Version>,
    kept_at: Instant,
    kept_size: u64,
    /// Records set aside before this number do not wait for an answer.
    waiting_from: u64,
    /// Called when it could not be made durable.
    on_fatal: Box<dyn Fn(&store::Error) + Send>,
}

/// What is kept.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    /// The server was running then.
    at_ns: i64,
    /// Events before this index are in what is kept.
    size: u64,
    /// Records set aside before this number do not wait for an answer.
    #[serde(default)]
    waiting_from: u64,
    sources: BTreeMap<String, KeptSource>,
}

#[derive(Debug, Serialize, Deserialize)]
struct KeptSource {
    silence: Silence,
    streams: Vec<KeptStream>,
}

impl Keeper {
    /// Gives the sources what was kept of them, and what the log has beyond it.
    pub fn open(
        data_dir: &Path,
        intakes: &[Arc<Intake>],
        log: &Contents,
        on_fatal: impl Fn(&store::Error) + Send + 'static,
    ) -> Result<Keeper, store::Error> {
        let objects = FileObjects::new(Arc::new(Local::open(data_dir)));
        let found = objects.get(SOURCE_STATES)?;
        let version = found.as_ref().map(|object| object.version);
        let (size, is_first) = (log.head().0, found.is_none());
        let mut waiting_from = 0;
        if let Some(object) = found {
            match kept::read::<Kept>(MAGIC, &object.bytes) {
                Ok(kept) => {
                    waiting_from = kept.waiting_from.min(log.dead_letters_head().0);
                    resume(kept, intakes, log)?;
                }
                Err(why) => {
                    tracing::warn!(
                        why,
                        "couldn't read {SOURCE_STATES}; numbers and silence count from now on"
                    );
                }
            }
        }
        let on_fatal = Box::new(on_fatal);
        let (kept_at, kept_size) = (Instant::now(), size);
        let mut keeper = Keeper { objects, version, kept_at, kept_size, waiting_from, on_fatal };
        if is_first {
            // From now on it is told what the log has beyond it.
            keeper.replace(intakes, log)?;
        }
        Ok(keeper)
    }

    /// Makes durable which records set aside were retried.
    pub fn keep_retried(&self, retried: &Retried) {
        if let Err(error) = retried.keep(&self.objects) {
            (self.on_fatal)(&error);
        }
    }

    /// Does what is due with requests that wait for their answer.
    pub fn resolve_waiting(
        &mut self,
        intakes: &[Arc<Intake>],
        limits: Limits,
        log: &Log,
        retried: &Retried,
    ) {
        match waiting::resolve(self.waiting_from, intakes, limits, log, retried) {
            Ok(next) => self.waiting_from = next,
            Err(error) => tracing::warn!(%error, "couldn't read what is set aside"),
        }
    }

    /// Tells what is to be told, and keeps what is due.
    pub fn look(
        &mut self,
        intakes: &[Arc<Intake>],
        config: &Config,
        audit: &OwnAudit,
        log: &Contents,
    ) {
        let has_turned = tell_all(intakes, config, audit, false);
        let is_behind = log.head().0.saturating_sub(self.kept_size) >= EVENTS_BEHIND_MAX;
        if has_turned || is_behind || self.kept_at.elapsed() >= KEEP_EVERY {
            self.keep(intakes, log);
        }
    }

    /// As [`Keeper::look`], when nothing can come any more: tells all there is, and keeps it.
    pub fn end(
        &mut self,
        intakes: &[Arc<Intake>],
        config: &Config,
        audit: &OwnAudit,
        log: &Contents,
    ) {
        tell_all(intakes, config, audit, true);
        self.keep(intakes, log);
    }

    /// Keeps what there is.
    fn keep(&mut self, intakes: &[Arc<Intake>], log: &Contents) {
        if let Err(error) = self.replace(intakes, log) {
            (self.on_fatal)(&error);
        }
    }

    fn replace(&mut self, intakes: &[Arc<Intake>], log: &Contents) -> Result<(), store::Error> {
        let head = log.head().0;
        let size = intakes.iter().map(|intake| intake.noted_before(head)).min().unwrap_or(head);
        // Numbers of events from `size` on may be in it already; they are known when they are read
        // again.
        let source = |intake: &Arc<Intake>| KeptSource {
            silence: *intake.silence.lock().expect("no panic while held"),
            streams: intake.gaps.lock().expect("no panic while held").kept(),
        };
        let sources =
            intakes.iter().map(|intake| (intake.source.name.clone(), source(intake))).collect();
        let (at_ns, waiting_from) = (system::now().unix_ns(), self.waiting_from);
        let bytes = kept::write(MAGIC, &Kept { at_ns, size, waiting_from, sources });
        self.kept_at = Instant::now();
        self.version = Some(self.objects.replace(SOURCE_STATES, &bytes, self.version)?);
        self.kept_size = size;
        Ok(())
    }
}

/// Gives the sources what was kept of them.
fn resume(kept: Kept, intakes: &[Arc<Intake>], log: &Contents) -> Result<(), store::Error> {
    let Kept { at_ns, size, mut sources, .. } = kept;
    let head = log.head().0;
    // A log that was put back has lost what the numbers are of.
    let is_near = size <= head && head - size <= REPLAYED_MAX;
    if !is_near {
        tracing::warn!(
            size,
            head,
            "{SOURCE_STATES} is not of this log's end; numbers count from now on"
        );
    }
    let away_ns = system::now().unix_ns().saturating_sub(at_ns);
    for intake in intakes {
        let Some(found) = sources.remove(&intake.source.name) else { continue };
        *intake.silence.lock().expect("no panic while held") = found.silence.resume(away_ns);
        if is_near {
            *intake.gaps.lock().expect("no panic while held") = Gaps::resume(found.streams);
        }
    }
    if is_near { replay(size, head, intakes, log) } else { Ok(()) }
}

/// Notes the numbers of events, and what was told, that the log has beyond what was kept.
fn replay(from: u64, to: u64, intakes: &[Arc<Intake>], log: &Contents) -> Result<(), store::Error> {
    let by_name: BTreeMap<&str, &Arc<Intake>> =
        intakes.iter().map(|intake| (intake.source.name.as_str(), intake)).collect();
    for index in from..to {
        let Some(stored) = log.stored_event(index)? else { break };
        let Ok(decoded) = entry::decode(&stored.entry) else { continue };
        if decoded.event.origin.source == SOURCE {
            was_told(&decoded.event, &by_name);
        }
        let Some(intake) = by_name.get(decoded.event.origin.source.as_str()) else { continue };
        let Some(sequence) = intake.source.format.sequence(&decoded.event) else { continue };
        let mut gaps = intake.gaps.lock().expect("no panic while held");
        gaps.note(&sequence.stream, sequence.number, sequence.number, decoded.received_at, true);
    }
    Ok(())
}

/// Takes note of a gap or a turn that was told and not kept any more.
fn was_told(act: &Event, by_name: &BTreeMap<&str, &Arc<Intake>>) {
    let source = act.resource.name.as_deref().and_then(|name| by_name.get(name));
    let Some(intake) = source else { return };
    let text = |name: &str| act.attributes.get(name).map_or("", String::as_str);
    let number = |name: &str| text(name).parse::<u64>().ok();
    let since = || Time::parse_rfc3339(text("since")).ok().map(|(since, _)| since);
    let turned = |turn| intake.silence.lock().expect("no panic while held").told(turn);
    match act.action.as_str() {
        GAP => {
            let mut gaps = intake.gaps.lock().expect("no panic while held");
            if let Some((first, last)) = number("first").zip(number("last")) {
                gaps.was_told(text("stream"), first, last);
            }
        }
        SILENT => since().map(Turn::Silent).into_iter().for_each(turned),
        HEARD => {
            since().map(|since| Turn::Heard(act.occurred_at, since)).into_iter().for_each(turned)
        }
        _ => {}
    }
}

/// Records what is to be told of the sources; whether that was anything.
fn tell_all(intakes: &[Arc<Intake>], config: &Config, audit: &OwnAudit, is_last: bool) -> bool {
    let now = system::now();
    let mut is_any = false;
    for intake in intakes {
        let silent_after_s =
            config.source(&intake.source.name).and_then(|source| source.silent_after_s);
        match tell(intake, silent_after_s, audit, now, is_last) {
            Ok(something) => is_any |= something,
            Err(why) => tracing::warn!(
                why,
                source = intake.source.name,
                "couldn't record what is lost of a source yet"
            ),
        }
    }
    is_any
}

/// Records what is to be told of a source; whether that was anything.
fn tell(
    intake: &Intake,
    silent_after_s: Option<u64>,
    audit: &OwnAudit,
    now: Time,
    is_last: bool,
) -> Result<bool, String> {
    let source = &intake.source;
    let settled = intake.gaps.lock().expect("no panic while held").settled(now);
    let heard_at = intake.figures.moments().received_at;
    let turn =
        intake.silence.lock().expect("no panic while held").turn(now, heard_at, silent_after_s);
    let dropped = intake.figures.dropped();
    let dropped = intake.drops.lock().expect("no panic while held").due(dropped, now, is_last);
    let cut = [intake.figures.truncated.load(Ordering::Relaxed)];
    let cut = intake.cuts.lock().expect("no panic while held").due(cut, now, is_last);
    let mut acts = acts_of(&source.name, &settled);
    acts.extend(dropped.map(|(dropped, since)| act_of_drops(&source.name, dropped, since)));
    acts.extend(cut.map(|([count], since)| act_of_cuts(&source.name, count, since)));
    acts.extend(turn.map(|turn| act_of(&source.name, turn)));
    if acts.is_empty() {
        return Ok(false);
    }
    acts.iter_mut().for_each(|act| {
        act.attributes.insert("trail".to_owned(), source.trail.to_string());
    });
    for act in &acts {
        let what = act.description.as_deref().unwrap_or_default();
        tracing::warn!(source = source.name, what, "{}", act.action);
    }
    audit.record_all_now(acts)?;
    intake.gaps.lock().expect("no panic while held").told(&settled, now);
    if let Some((dropped, _)) = dropped {
        intake.drops.lock().expect("no panic while held").told(dropped, now);
    }
    if let Some((cut, _)) = cut {
        intake.cuts.lock().expect("no panic while held").told(cut, now);
    }
    if let Some(turn) = turn {
        intake.silence.lock().expect("no panic while held").told(turn);
    }
    Ok(true)
}

/// What is recorded of gaps. The same gap gives the same act, whenever it is told.
fn acts_of(source: &str, settled: &Settled) -> Vec<Act> {
    let mut acts: Vec<Act> = settled.gaps.iter().map(|gap| act_of_gap(source, gap)).collect();
    let further = settled.further;
    if further.gaps > 0 {
        let description =
            format!("{} numbers are missing in {} further gaps", further.numbers, further.gaps);
        let act = lost(GAP, source, description).with("count", further.numbers.to_string());
        acts.push(act.with("gaps", further.gaps.to_string()));
    }
    acts
}

fn act_of_gap(source: &str, gap: &Gap) -> Act {
    let Gap { stream, first, last, since } = gap;
    let range =
        if first == last { format!("{first} is") } else { format!("{first} to {last} are") };
    let of = if stream.is_empty() { String::new() } else { format!(" of {stream}") };
    let act = lost(GAP, source, format!("{range} missing{of}"))
        .with("stream", stream)
        .with("first", first.to_string())
        .with("last", last.to_string())
        .with("count", gap.count().to_string());
    Act { key: Some(format!("gap {source} {} {first} {last} {stream}", since.unix_ns())), ..act }
}

fn act_of_drops(source: &str, [by_daybook, by_kernel]: [u64; 2], since: Time) -> Act {
    let count = by_daybook + by_kernel;
    let description =
        format!("{count} datagrams came faster than they were recorded, and were dropped");
    lost(DROPPED, source, description)
        .with("count", count.to_string())
        .with("by_daybook", by_daybook.to_string())
        .with("by_kernel", by_kernel.to_string())
        .with("since", since.to_string())
}

fn act_of_cuts(source: &str, count: u64, since: Time) -> Act {
    let events = if count == 1 { "1 event was" } else { &*format!("{count} events were") };
    lost(TRUNCATED, source, format!("{events} recorded that the source had cut"))
        .with("count", count.to_string())
        .with("since", since.to_string())
}

fn act_of(source: &str, turn: Turn) -> Act {
    match turn {
        Turn::Silent(since) => {
            let act = lost(SILENT, source, format!("nothing came from {source} since {since}"))
                .with("since", since.to_string());
            Act { key: Some(format!("silent {source} {}", since.unix_ns())), ..act }
        }
        Turn::Heard(_, since) => {
            let act = Act::new(HEARD, Operation::Other, FUNCTION)
                .on("source", source)
                .with("since", since.to_string());
            let description =
                Some(format!("{source} is heard of again, after silence since {since}"));
            let key = Some(format!("heard {source} {}", since.unix_ns()));
            Act { class: Class::Operation, description, key, ..act }
        }
    }
}

/// Which part of Daybook this is.
const FUNCTION: &str = "Sources";
const GAP: &str = "source.gap";
const DROPPED: &str = "source.dropped";
const TRUNCATED: &str = "source.truncated";
const SILENT: &str = "source.silent";
const HEARD: &str = "source.heard";

fn lost(action: &str, source: &str, description: String) -> Act {
    let outcome = Outcome { kind: OutcomeKind::Failure, ..Outcome::default() };
    let (class, severity) = (Class::Operation, Severity::MAJOR);
    let act = Act::new(action, Operation::Other, FUNCTION).on("source", source);
    Act { outcome, class, severity, description: Some(description), ..act }
}
