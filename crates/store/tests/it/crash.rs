//! Random histories of append, fault, crash and reopen on the simulated disk, against a ledger kept
//! outside.
//!
//! Every history runs from a number. A build with a planted bug must fail within [`PLANTED_SEEDS`]
//! of them. `DAYBOOK_SEEDS=FIRST..END` runs others.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use store::durable::Disk;
use store::simulated::{Fault, SimulatedDisk};
use store::{Error, Log, check, init};

use crate::{all, event, identity, key_of, request, small_files};

const SEEDS: Range<u64> = 0..4_000;
const PLANTED_SEEDS: Range<u64> = 0..4_000;

const BUGS: [&str; 6] = [
    "no_fsync",
    "no_dir_fsync",
    "no_tail_rewrite",
    "ack_before_write",
    "no_dedup_after_restart",
    "early_drop",
];

#[test]
fn nothing_answered_for_is_lost_doubled_or_invented() {
    let is_planted = BUGS.into_iter().any(store::is_planted);
    let seeds = if is_planted { PLANTED_SEEDS } else { seeds_asked_for().unwrap_or(SEEDS) };
    let (mut runs, mut totals) = (0, Totals::default());
    for seed in seeds {
        runs += 1;
        match history(seed, &mut totals) {
            Ok(()) => {}
            Err(violation) if is_planted => {
                println!(
                    "the planted bug showed at seed {seed}, after {runs} histories: {violation}"
                );
                return;
            }
            Err(violation) => panic!("seed {seed}: {violation}"),
        }
    }
    if is_planted {
        panic!("a planted bug survived {runs} histories");
    }
    println!("{runs} histories: {totals:?}");
    assert!(
        totals.faults > runs
            && totals.power_cuts > runs
            && totals.seals > runs
            && totals.merges > runs / 10
            && totals.answered > 10 * runs,
        "{totals:?}"
    );
}

fn seeds_asked_for() -> Option<Range<u64>> {
    let text = std::env::var("DAYBOOK_SEEDS").ok()?;
    let (first, end) = text.split_once("..")?;
    Some(first.parse().ok()?..end.parse().ok()?)
}

#[derive(Debug, Default)]
struct Totals {
    answered: u64,
    duplicates: u64,
    seals: u64,
    merges: u64,
    faults: u64,
    power_cuts: u64,
    refused_opens: u64,
}

/// What a sender outside knows.
#[derive(Default)]
struct Ledger {
    /// Answered for: key and index.
    answered: BTreeMap<String, u64>,
    /// Sent without an answer, request by request: each is there whole or not at all.
    indeterminate: Vec<Vec<String>>,
    set_aside: BTreeSet<String>,
    set_aside_indeterminate: BTreeSet<String>,
    sent: u64,
}

fn history(seed: u64, totals: &mut Totals) -> Result<(), String> {
    let simulated = SimulatedDisk::new(seed);
    let disk: Arc<dyn Disk> = Arc::new(simulated.clone());
    init(&disk, &identity(), &[("keys/sealing.key", b"k")]).map_err(|error| error.to_string())?;
    if simulated.random_below(2) == 0 {
        simulated.power_cut();
    }
    let mut ledger = Ledger::default();
    for _ in 0..6 {
        if simulated.random_below(5) > 0 {
            let fault =
                [Fault::Crash, Fault::Eio, Fault::NoSpace][simulated.random_below(3) as usize];
            simulated.plan(simulated.random_below(30), fault);
            totals.faults += 1;
        }
        match Log::open(Arc::clone(&disk), small_files()) {
            Ok(log) => {
                compare(&log, &disk, &mut ledger)?;
                send(&log, &simulated, &mut ledger, totals)?;
            }
            Err(Error::Io { .. }) => totals.refused_opens += 1,
            Err(error) => return Err(format!("a log that only crashed was refused: {error}")),
        }
        if simulated.random_below(2) == 0 {
            simulated.power_cut();
            totals.power_cuts += 1;
        } else {
            simulated.restart();
        }
    }
    let log = Log::open(Arc::clone(&disk), small_files())
        .map_err(|error| format!("the last open: {error}"))?;
    compare(&log, &disk, &mut ledger)
}

/// Files of segments.
fn segments(disk: &dyn Disk) -> usize {
    disk.list("segments").map_or(0, |names| names.len())
}

/// Sends a few requests; stops at the first that is not answered.
fn send(
    log: &Log,
    simulated: &SimulatedDisk,
    ledger: &mut Ledger,
    totals: &mut Totals,
) -> Result<(), String> {
    for _ in 0..simulated.random_below(12) {
        if simulated.random_below(3) == 0 {
            match log.seal() {
                Ok(()) => totals.seals += 1,
                Err(Error::Io { .. } | Error::Fenced { .. }) => return Ok(()),
                Err(error) => return Err(format!("sealing a log that only crashed: {error}")),
            }
        }
        if simulated.random_below(4) == 0 {
            let before = segments(simulated);
            match log.merge() {
                Ok(()) => totals.merges += u64::from(segments(simulated) < before),
                Err(Error::Io { .. } | Error::Fenced { .. }) => return Ok(()),
                Err(error) => return Err(format!("merging a log that only crashed: {error}")),
            }
        }
        let mut keys: Vec<String> = (0..simulated.random_below(4))
            .map(|_| {
                ledger.sent += 1;
                format!("k{}", ledger.sent)
            })
            .collect();
        let repeated = match ledger.answered.len() as u64 {
            0 => None,
            known => ledger.answered.keys().nth(simulated.random_below(known) as usize).cloned(),
        };
        let mut sent = keys.clone();
        sent.extend(repeated.clone());
        let aside: Option<String> =
            (simulated.random_below(4) == 0).then(|| format!("aside {}", ledger.sent));
        let aside = aside
            .map(|text| if simulated.random_below(3) == 0 { text.repeat(10_000) } else { text });
        let aside_texts: Vec<&str> = aside.as_deref().into_iter().collect();
        let instance = ["hub", "mirror"][simulated.random_below(2) as usize];
        let events =
            sent.iter().map(|key| event(instance_of(key, instance), key, key_time(key))).collect();
        match log.append(request(events, &aside_texts)) {
            Ok(Ok(receipt)) => {
                totals.answered += receipt.recorded as u64;
                totals.duplicates += receipt.duplicates.len() as u64;
                if receipt.recorded != keys.len() {
                    return Err(format!(
                        "{} new events were sent and {} recorded",
                        keys.len(),
                        receipt.recorded
                    ));
                }
                if let Some(key) = repeated {
                    let expected = vec![(keys.len(), ledger.answered[&key])];
                    if receipt.duplicates != expected {
                        return Err(format!(
                            "{key} was sent again: {:?} is not {expected:?}",
                            receipt.duplicates
                        ));
                    }
                }
                let first = receipt.first_index.unwrap_or(0);
                ledger.answered.extend(keys.drain(..).zip(first..));
                ledger.set_aside.extend(aside);
            }
            Ok(Err(refusal)) => {
                ledger.indeterminate.push(keys);
                ledger.set_aside_indeterminate.extend(aside);
                return match refusal {
                    store::Refusal::Fenced { .. } => Ok(()),
                    store::Refusal::Conflict { .. } => {
                        Err("a conflict between equal events".to_owned())
                    }
                };
            }
            Err(Error::Fenced { .. }) => return Ok(()),
            Err(error) => return Err(error.to_string()),
        }
        let counts = log.counts();
        if counts.events < ledger.answered.len() as u64 {
            return Err("an answered event is not visible".to_owned());
        }
    }
    Ok(())
}

/// A key always belongs to the same trail, so that a repetition has the same bytes.
fn instance_of<'a>(key: &str, _chosen: &'a str) -> &'a str {
    if key.ends_with(['0', '3', '5']) { "hub" } else { "mirror" }
}

fn key_time(key: &str) -> i64 {
    let number: i64 = key[1..].parse().unwrap();
    number * 10 % 70
}

/// What the log holds against what the sender knows; settles what was indeterminate.
fn compare(log: &Log, disk: &Arc<dyn Disk>, ledger: &mut Ledger) -> Result<(), String> {
    let page = log.query(&all(&["hub", "mirror"])).map_err(|error| format!("query: {error}"))?;
    let mut found = BTreeMap::new();
    for row in &page.rows {
        if let Some(other) = found.insert(key_of(row), row.index) {
            return Err(format!("{} is there twice, at {other} and {}", key_of(row), row.index));
        }
    }
    if page.total != found.len() as u64 || page.tree_size != found.len() as u64 {
        return Err(format!(
            "total {} and size {} for {} rows",
            page.total,
            page.tree_size,
            found.len()
        ));
    }
    for (key, index) in &ledger.answered {
        match found.remove(key) {
            Some(at) if at == *index => {}
            Some(at) => {
                return Err(format!("{key} was answered with index {index} and is at {at}"));
            }
            None => return Err(format!("{key}, answered for, is gone")),
        }
    }
    for keys in std::mem::take(&mut ledger.indeterminate) {
        let there: Vec<_> = keys
            .iter()
            .filter_map(|key| found.remove(key).map(|index| (key.clone(), index)))
            .collect();
        if !there.is_empty() && there.len() != keys.len() {
            return Err(format!("of a request of {} events {} are there", keys.len(), there.len()));
        }
        ledger.answered.extend(there);
    }
    if let Some((key, index)) = found.pop_first() {
        return Err(format!("{key} at {index} was never sent"));
    }
    compare_set_aside(disk, ledger)?;
    // A fault may have been planned for an operation that is still to come; a check changes nothing
    // and meets none.
    let report = check(disk, &mut |_| {}).map_err(|error| format!("check: {error}"))?;
    if report.events != page.tree_size || report.torn_tail.is_some() {
        return Err(format!("check disagrees: {report:?}"));
    }
    Ok(())
}

fn compare_set_aside(disk: &Arc<dyn Disk>, ledger: &mut Ledger) -> Result<(), String> {
    let records = store::set_aside(disk).map_err(|error| format!("set aside: {error}"))?;
    let mut there = BTreeSet::new();
    for record in records {
        let text = String::from_utf8(record.raw).map_err(|error| error.to_string())?;
        if !there.insert(text.clone()) {
            return Err(format!("{text:?} was set aside twice"));
        }
    }
    let maybe = std::mem::take(&mut ledger.set_aside_indeterminate);
    ledger.set_aside.extend(maybe.intersection(&there).cloned());
    if there != ledger.set_aside {
        return Err(format!("set aside are {there:?}, not {:?}", ledger.set_aside));
    }
    Ok(())
}
