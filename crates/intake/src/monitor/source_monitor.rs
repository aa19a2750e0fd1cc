//! The monitor of sources: gaps in numbers, dropped datagrams, cut events, and silence. It records
//! them on Daybook's own trail, and writes a state file by which they are found across restarts.
//!
//! - A gap, loss or silence is recorded before it counts as reported. If it could not be recorded,
//!   the next interval tries again.
//! - The state file names the last event that it covers. A start reads later events from the log,
//!   so a kill loses nothing.
//! - If the state file is lost, numbering and silence count from the start of the server.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use event::entry::{self, Entry};
use event::{Class, Event, Operation, Outcome, OutcomeKind, Severity, Time};
use formats::Limits;
use serde::{Deserialize, Serialize};
use store::durable::Local;
use store::{Contents, FileObjects, Log, Objects, SOURCE_STATES, Version};

use config::Config;

use crate::audit::{Act, OwnAudit, SOURCE};
use crate::intake::Intake;
use crate::monitor::gaps::{Gap, GapReport, Gaps, StreamState};
use crate::monitor::silence::{Silence, Turn};
use crate::monitor::state_file;
use crate::retried::Retried;
use crate::waiting;

/// The interval of the search for gaps, losses and silence.
pub const CHECK_EVERY: Duration = Duration::from_secs(1);
/// The interval of writing the state file. A shorter one means more syncs, a longer one a longer
/// start after a kill.
const WRITE_EVERY: Duration = Duration::from_secs(5);
/// Events behind which the next check writes the file, so that a start reads few events.
const EVENTS_BEHIND_MAX: u64 = 50_000;
/// Events that a start reads. Behind more, all streams start anew: that happens only if the file
/// could not be written.
const REPLAYED_MAX: u64 = 500_000;
/// Events that a start reads at once. Each range is found in the index of its segment once, however
/// many events it has.
const REPLAYED_AT_ONCE: usize = 32 << 10;
const MAGIC: &str = "daybook sources 1";

/// The monitor of the configured sources.
pub struct SourceMonitor {
    objects: FileObjects,
    version: Option<Version>,
    written_at: Instant,
    written_size: u64,
    /// No dead letter before this number waits for a response.
    waiting_from: u64,
    /// Called if the file could not be made durable.
    on_fatal: Box<dyn Fn(&store::Error) + Send>,
}

/// The state file. The names of members are those in format 1.
#[derive(Debug, Serialize, Deserialize)]
struct SourceStates {
    /// A time at which the server was running.
    at_ns: i64,
    /// The file covers the events before this index.
    size: u64,
    /// No dead letter before this number waits for a response.
    #[serde(default)]
    waiting_from: u64,
    sources: BTreeMap<String, SourceState>,
}

#[derive(Debug, Serialize, Deserialize)]
struct SourceState {
    silence: Silence,
    streams: Vec<StreamState>,
}

impl SourceMonitor {
    /// Restores the sources' state from the file and from later events of the log.
    pub fn open(
        data_dir: &Path,
        intakes: &[Arc<Intake>],
        log: &Contents,
        on_fatal: impl Fn(&store::Error) + Send + 'static,
    ) -> Result<SourceMonitor, store::Error> {
        let objects = FileObjects::new(Arc::new(Local::open(data_dir)));
        let found = objects.get(SOURCE_STATES)?;
        let version = found.as_ref().map(|object| object.version);
        let size = log.head().0;
        // A start that ends before the next interval must not leave its work to the one after it.
        let mut is_behind = true;
        let mut waiting_from = 0;
        if let Some(object) = found {
            match state_file::read::<SourceStates>(MAGIC, &object.bytes) {
                Ok(states) => {
                    waiting_from = states.waiting_from.min(log.dead_letters_head().0);
                    is_behind = states.size != size;
                    resume(states, intakes, log)?;
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
        let (written_at, written_size) = (Instant::now(), size);
        let mut monitor =
            SourceMonitor { objects, version, written_at, written_size, waiting_from, on_fatal };
        if is_behind {
            // From now on the file and later events make the state.
            match monitor.replace(intakes, log) {
                Err(error) if !error.is_storage_full() => return Err(error),
                _ => {}
            }
        }
        Ok(monitor)
    }

    /// Makes the numbers of retried dead letters durable.
    pub fn write_retried(&self, retried: &Retried) {
        if let Err(error) = retried.write(&self.objects) {
            self.note_failure(&error);
        }
    }

    /// A file without room on the disk is written later; any other failure is fatal.
    fn note_failure(&self, error: &store::Error) {
        if error.is_storage_full() {
            tracing::debug!(%error, "the state of the sources waits for room on the disk");
        } else {
            (self.on_fatal)(error);
        }
    }

    /// Resolves requests that waited long enough for their response.
    pub fn resolve_waiting(
        &mut self,
        intakes: &[Arc<Intake>],
        limits: Limits,
        log: &Log,
        retried: &Retried,
    ) {
        match waiting::resolve(self.waiting_from, intakes, limits, log, retried) {
            Ok(next) => self.waiting_from = next,
            Err(error) => tracing::warn!(%error, "couldn't read the dead-letter queue"),
        }
    }

    /// Reports what is due, and writes the file when it is time.
    pub fn check(
        &mut self,
        intakes: &[Arc<Intake>],
        config: &Config,
        audit: &OwnAudit,
        log: &Contents,
    ) {
        let has_turned = report_all(intakes, config, audit, false);
        let is_behind = log.head().0.saturating_sub(self.written_size) >= EVENTS_BEHIND_MAX;
        if has_turned || is_behind || self.written_at.elapsed() >= WRITE_EVERY {
            self.write(intakes, log);
        }
    }

    /// Reports everything and writes the file at the end of the server.
    pub fn end(
        &mut self,
        intakes: &[Arc<Intake>],
        config: &Config,
        audit: &OwnAudit,
        log: &Contents,
    ) {
        report_all(intakes, config, audit, true);
        self.write(intakes, log);
    }

    /// Writes the file.
    fn write(&mut self, intakes: &[Arc<Intake>], log: &Contents) {
        if let Err(error) = self.replace(intakes, log) {
            self.note_failure(&error);
        }
    }

    fn replace(&mut self, intakes: &[Arc<Intake>], log: &Contents) -> Result<(), store::Error> {
        let head = log.head().0;
        let size = intakes.iter().map(|intake| intake.noted_before(head)).min().unwrap_or(head);
        // Numbers of events from `size` on may be in the file already; reading them again is
        // harmless.
        let source = |intake: &Arc<Intake>| SourceState {
            silence: *intake.silence.lock().expect("no panic while held"),
            streams: intake.gaps.lock().expect("no panic while held").state(),
        };
        let sources =
            intakes.iter().map(|intake| (intake.source.name.clone(), source(intake))).collect();
        let (at_ns, waiting_from) = (system::now().unix_ns(), self.waiting_from);
        let bytes = state_file::write(MAGIC, &SourceStates { at_ns, size, waiting_from, sources });
        self.written_at = Instant::now();
        self.version = Some(self.objects.replace(SOURCE_STATES, &bytes, self.version)?);
        self.written_size = size;
        Ok(())
    }
}

/// Whether these are the bytes of a state file of sources.
pub fn check(bytes: &[u8]) -> Result<(), String> {
    state_file::read::<SourceStates>(MAGIC, bytes).map(drop)
}

/// Restores the sources' state from the file.
fn resume(
    states: SourceStates,
    intakes: &[Arc<Intake>],
    log: &Contents,
) -> Result<(), store::Error> {
    let SourceStates { at_ns, size, mut sources, .. } = states;
    let head = log.head().0;
    // A restored log lacks the events behind the numbers.
    let is_near = size <= head && head - size <= REPLAYED_MAX;
    if !is_near {
        tracing::warn!(
            size,
            head,
            "{SOURCE_STATES} does not fit the end of this log; numbers count from now on"
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

/// Notes numbers and reports in the events behind the file.
fn replay(from: u64, to: u64, intakes: &[Arc<Intake>], log: &Contents) -> Result<(), store::Error> {
    let by_name: BTreeMap<&str, &Arc<Intake>> =
        intakes.iter().map(|intake| (intake.source.name.as_str(), intake)).collect();
    let mut next = from;
    while next < to {
        let left = usize::try_from(to - next).unwrap_or(usize::MAX);
        let entries = log.entries_from(next, left.min(REPLAYED_AT_ONCE))?;
        if entries.is_empty() {
            break;
        }
        next += entries.len() as u64;
        let decoded = entries.iter().filter_map(|entry| entry::decode(entry).ok());
        decoded.for_each(|entry| replay_one(&entry, &by_name));
    }
    Ok(())
}

/// Notes the number or the report of an event behind the file.
fn replay_one(entry: &Entry, by_name: &BTreeMap<&str, &Arc<Intake>>) {
    if entry.event.origin.source == SOURCE {
        was_reported(&entry.event, by_name);
    }
    let Some(intake) = by_name.get(entry.event.origin.source.as_str()) else { return };
    let Some(sequence) = intake.source.format.sequence(&entry.event) else { return };
    let mut gaps = intake.gaps.lock().expect("no panic while held");
    gaps.note(&sequence.stream, sequence.number, sequence.number, entry.received_at, true);
}

/// Notes a report that the file does not have.
fn was_reported(act: &Event, by_name: &BTreeMap<&str, &Arc<Intake>>) {
    let source = act.resource.name.as_deref().and_then(|name| by_name.get(name));
    let Some(intake) = source else { return };
    let text = |name: &str| act.attributes.get(name).map_or("", String::as_str);
    let number = |name: &str| text(name).parse::<u64>().ok();
    let since = || Time::parse_rfc3339(text("since")).ok().map(|(since, _)| since);
    let turned = |turn| intake.silence.lock().expect("no panic while held").reported(turn);
    match act.action.as_str() {
        GAP => {
            let mut gaps = intake.gaps.lock().expect("no panic while held");
            if let Some((first, last)) = number("first").zip(number("last")) {
                gaps.was_reported(text("stream"), first, last);
            }
        }
        SILENT => since().map(Turn::Silent).into_iter().for_each(turned),
        HEARD => {
            since().map(|since| Turn::Heard(act.occurred_at, since)).into_iter().for_each(turned)
        }
        _ => {}
    }
}

/// Records what is due of the sources. Returns whether it was anything.
fn report_all(intakes: &[Arc<Intake>], config: &Config, audit: &OwnAudit, is_last: bool) -> bool {
    let now = system::now();
    let mut is_any = false;
    for intake in intakes {
        let silent_after_s =
            config.source(&intake.source.name).and_then(|source| source.silent_after_s);
        match report(intake, silent_after_s, audit, now, is_last) {
            Ok(something) => is_any |= something,
            Err(why) => tracing::warn!(
                why,
                source = intake.source.name,
                "couldn't record the losses of a source yet"
            ),
        }
    }
    is_any
}

/// Records what is due of a source. Returns whether it was anything.
fn report(
    intake: &Intake,
    silent_after_s: Option<u64>,
    audit: &OwnAudit,
    now: Time,
    is_last: bool,
) -> Result<bool, String> {
    let source = &intake.source;
    let settled = intake.gaps.lock().expect("no panic while held").settled(now);
    let heard_at = intake.counters.moments().received_at;
    let turn =
        intake.silence.lock().expect("no panic while held").turn(now, heard_at, silent_after_s);
    let dropped = intake.counters.dropped();
    let dropped = intake.drops.lock().expect("no panic while held").due(dropped, now, is_last);
    let cut = [intake.counters.truncated.load(Ordering::Relaxed)];
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
    intake.gaps.lock().expect("no panic while held").reported(&settled, now);
    if let Some((dropped, _)) = dropped {
        intake.drops.lock().expect("no panic while held").reported(dropped, now);
    }
    if let Some((cut, _)) = cut {
        intake.cuts.lock().expect("no panic while held").reported(cut, now);
    }
    if let Some(turn) = turn {
        intake.silence.lock().expect("no panic while held").reported(turn);
    }
    Ok(true)
}

/// The acts that record gaps. The same gap always makes the same act.
fn acts_of(source: &str, settled: &GapReport) -> Vec<Act> {
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
            let description = Some(format!("{source} sends again, after silence since {since}"));
            let key = Some(format!("heard {source} {}", since.unix_ns()));
            Act { class: Class::Operation, description, key, ..act }
        }
    }
}

/// The function in the acts.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A server of an earlier version wrote this file; its names are format 1.
    #[test]
    fn the_state_file_keeps_its_form() {
        let json = concat!(
            r#"{"at_ns":1,"size":2,"waiting_from":3,"sources":{"web":{"#,
            r#""silence":{"quiet_since_ns":4,"told_since_ns":5},"#,
            r#""streams":[{"name":"a","runs":[{"floor":0,"last":4,"began_ns":0,"#,
            r#""missing":[{"first":3,"last":3,"since_ns":0,"is_told":true}]}]}]}}}"#,
        );
        let states: SourceStates = serde_json::from_str(json).expect("format 1");
        assert_eq!(serde_json::to_string(&states).expect("numbers and texts"), json);
    }
}
