//! Random histories of append, fault, crash and reopen on the simulated disk, against a ledger held
//! outside.
//!
//! Every history runs from a number. `DAYBOOK_SEEDS=FIRST..END` runs others than the first 4,000.
//! The histories also show that they notice a disk that does not sync: within a few of them an
//! acknowledged event is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use store::durable::{Disk, ReserveDisk};
use store::simulated::{Fault, SimulatedDisk};
use store::{Append, Error, Log, Settings, SpaceLimits, check, init};

use crate::{all, event, identity, key_of, request, small_files};

const SEEDS: Range<u64> = 0..4_000;
/// Histories on disks without much room.
const SEEDS_WITH_LITTLE_ROOM: Range<u64> = 0..2_000;
/// The room that such a disk has beside what is on it, at most: for some batches, or a flush.
const LITTLE_ROOM: u64 = 40_000;
/// Histories within which a disk that does not sync must be noticed.
const SEEDS_WITH_A_FAULTY_DISK: Range<u64> = 0..500;

#[test]
fn nothing_acknowledged_is_lost_doubled_or_invented() {
    let (mut runs, mut totals) = (0, Totals::default());
    for seed in seeds_requested().unwrap_or(SEEDS) {
        runs += 1;
        if let Err(violation) = history(SimulatedDisk::new(seed), Room::Enough, &mut totals) {
            panic!("seed {seed}: {violation}");
        }
    }
    println!("{runs} histories: {totals:?}");
    assert!(
        totals.faults > runs
            && totals.power_cuts > runs
            && totals.flushes > runs
            && totals.compactions > runs / 10
            && totals.answered > 10 * runs,
        "{totals:?}"
    );
}

#[test]
fn a_full_disk_refuses_whole_requests_and_loses_nothing() {
    let (mut runs, mut totals) = (0, Totals::default());
    for seed in seeds_requested().unwrap_or(SEEDS_WITH_LITTLE_ROOM) {
        runs += 1;
        if let Err(violation) = history(SimulatedDisk::new(seed), Room::Little, &mut totals) {
            panic!("seed {seed}: {violation}");
        }
    }
    println!("{runs} histories: {totals:?}");
    assert!(
        totals.refused_appends > runs
            && totals.refused_flushes > runs / 10
            && totals.answered > 2 * runs
            && totals.flushes > runs / 10,
        "{totals:?}"
    );
}

#[test]
fn a_disk_that_ignores_syncs_of_files_is_noticed() {
    assert_noticed(SimulatedDisk::ignore_syncs);
}

#[test]
fn a_disk_that_ignores_syncs_of_folders_is_noticed() {
    assert_noticed(SimulatedDisk::ignore_dir_syncs);
}

fn assert_noticed(make_faulty: fn(&SimulatedDisk)) {
    let is_violated = |seed: u64| {
        let disk = SimulatedDisk::new(seed);
        make_faulty(&disk);
        history(disk, Room::Enough, &mut Totals::default()).is_err()
    };
    assert!(SEEDS_WITH_A_FAULTY_DISK.into_iter().any(is_violated), "no history noticed it");
}

fn seeds_requested() -> Option<Range<u64>> {
    let text = std::env::var("DAYBOOK_SEEDS").ok()?;
    let (first, end) = text.split_once("..")?;
    Some(first.parse().ok()?..end.parse().ok()?)
}

#[derive(Debug, Default)]
struct Totals {
    answered: u64,
    duplicates: u64,
    flushes: u64,
    compactions: u64,
    faults: u64,
    power_cuts: u64,
    refused_opens: u64,
    /// Without room on the disk.
    refused_appends: u64,
    refused_flushes: u64,
}

/// The room on a disk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Room {
    Enough,
    /// Another program fills the disk and frees it again.
    Little,
}

impl Room {
    /// What the other program does now.
    fn change(self, simulated: &SimulatedDisk) {
        if self == Room::Little {
            let is_free = simulated.random_below(3) == 0;
            let room = simulated.random_below(LITTLE_ROOM);
            simulated.set_capacity((!is_free).then(|| simulated.used_bytes() + room));
        }
    }

    /// With a reserve where there is little room.
    fn settings(self) -> Settings {
        let reserve_bytes = if self == Room::Little { 6_000 } else { 0 };
        let space = SpaceLimits { reserve_bytes, ..SpaceLimits::default() };
        Settings { space, ..small_files() }
    }
}

/// The knowledge of a sender outside.
#[derive(Default)]
struct Ledger {
    /// Acknowledged: key and index.
    answered: BTreeMap<String, u64>,
    /// Sent without an answer, request by request: each is recorded whole or not at all.
    indeterminate: Vec<Vec<String>>,
    dead_letters: BTreeSet<String>,
    dead_letters_indeterminate: BTreeSet<String>,
    sent: u64,
}

fn history(simulated: SimulatedDisk, room: Room, totals: &mut Totals) -> Result<(), String> {
    let disk: Arc<dyn Disk> = Arc::new(ReserveDisk::over(simulated.clone()));
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
        room.change(&simulated);
        match Log::open(Arc::clone(&disk), room.settings()) {
            Ok(log) => {
                compare(&log, &disk, &mut ledger)?;
                send(&log, &simulated, room, &mut ledger, totals)?;
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
    simulated.set_capacity(None);
    let log = Log::open(Arc::clone(&disk), small_files())
        .map_err(|error| format!("the last open: {error}"))?;
    compare(&log, &disk, &mut ledger)
}

/// Number of the segments' files.
fn segments(disk: &dyn Disk) -> usize {
    disk.list("segments").map_or(0, |names| names.len())
}

/// Sends a few requests; stops at the first of unknown outcome.
fn send(
    log: &Log,
    simulated: &SimulatedDisk,
    room: Room,
    ledger: &mut Ledger,
    totals: &mut Totals,
) -> Result<(), String> {
    for _ in 0..simulated.random_below(12) {
        room.change(simulated);
        if simulated.random_below(2) == 0 && log.space().check().is_err() {
            return Ok(());
        }
        if simulated.random_below(3) == 0 {
            match log.flush() {
                Ok(()) => totals.flushes += 1,
                Err(error) if error.is_storage_full() => totals.refused_flushes += 1,
                Err(Error::Io { .. } | Error::Fenced { .. }) => return Ok(()),
                Err(error) => return Err(format!("flushing a log that only crashed: {error}")),
            }
        }
        if simulated.random_below(4) == 0 {
            let before = segments(simulated);
            match log.compact() {
                Ok(()) => totals.compactions += u64::from(segments(simulated) < before),
                Err(error) if error.is_storage_full() => totals.refused_flushes += 1,
                Err(Error::Io { .. } | Error::Fenced { .. }) => return Ok(()),
                Err(error) => return Err(format!("compacting a log that only crashed: {error}")),
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
        let rejected: Option<String> =
            (simulated.random_below(4) == 0).then(|| format!("rejected {}", ledger.sent));
        let rejected = rejected
            .map(|text| if simulated.random_below(3) == 0 { text.repeat(10_000) } else { text });
        let rejected_texts: Vec<&str> = rejected.as_deref().into_iter().collect();
        let instance = ["hub", "mirror"][simulated.random_below(2) as usize];
        let events =
            sent.iter().map(|key| event(instance_of(key, instance), key, key_time(key))).collect();
        let is_own = simulated.random_below(2) == 0;
        match log.append(Append { is_own, ..request(events, &rejected_texts) }) {
            // Refused for certain: nothing of it may ever be there.
            Ok(Err(store::Refusal::StorageFull)) => totals.refused_appends += 1,
            Err(Error::StorageFull) if !is_own => totals.refused_appends += 1,
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
                ledger.dead_letters.extend(rejected);
            }
            Ok(Err(refusal)) => {
                ledger.indeterminate.push(keys);
                ledger.dead_letters_indeterminate.extend(rejected);
                return match refusal {
                    store::Refusal::Fenced { .. } | store::Refusal::StorageFull => Ok(()),
                    store::Refusal::Conflict { .. } => {
                        Err("a conflict between equal events".to_owned())
                    }
                    store::Refusal::Damaged { because } => Err(because),
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

/// Compares the log with the sender's knowledge; settles the indeterminate requests.
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
    compare_dead_letters(disk, ledger)?;
    // A fault may be planned for a later operation; a check changes nothing and meets none.
    let report = check(disk, &mut |_| {}).map_err(|error| format!("check: {error}"))?;
    if report.events != page.tree_size || report.torn_tail.is_some() {
        return Err(format!("check disagrees: {report:?}"));
    }
    Ok(())
}

fn compare_dead_letters(disk: &Arc<dyn Disk>, ledger: &mut Ledger) -> Result<(), String> {
    let records = store::dead_letters(disk).map_err(|error| format!("dead letters: {error}"))?;
    let mut there = BTreeSet::new();
    for record in records {
        let text = String::from_utf8(record.raw).map_err(|error| error.to_string())?;
        if !there.insert(text.clone()) {
            return Err(format!("{text:?} is in the dead-letter queue twice"));
        }
    }
    let maybe = std::mem::take(&mut ledger.dead_letters_indeterminate);
    ledger.dead_letters.extend(maybe.intersection(&there).cloned());
    if there != ledger.dead_letters {
        return Err(format!("the dead letters are {there:?}, not {:?}", ledger.dead_letters));
    }
    Ok(())
}
