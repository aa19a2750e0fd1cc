//! Copies of a log that goes on recording, flushing and compacting meanwhile.

use std::sync::Arc;

use store::backup::{Reuse, copy};
use store::durable::Disk;
use store::simulated::{Fault, SimulatedDisk};
use store::{Error, Log, check, init};

use crate::{event, identity, request, small_files};

const SEEDS: u64 = 150;

/// A log on a simulated disk, and the number of its events.
struct Busy {
    disk: Arc<SimulatedDisk>,
    log: Log,
    recorded: u64,
}

impl Busy {
    fn new(seed: u64) -> Busy {
        let disk = Arc::new(SimulatedDisk::new(seed));
        let shared: Arc<dyn Disk> = disk.clone();
        init(&shared, &identity(), &[]).unwrap();
        let log = Log::open(shared, small_files()).unwrap();
        Busy { disk, log, recorded: 0 }
    }

    fn append(&mut self, count: u64) {
        for _ in 0..count {
            let next = event("hub", &format!("k{}", self.recorded), self.recorded as i64);
            self.log.append(request(vec![next], &[])).unwrap().unwrap();
            self.recorded += 1;
        }
    }

    /// One of the things that a server does.
    fn go_on(&mut self, chance: u64) {
        match chance {
            0..3 => self.append(1 + chance),
            3 => drop(self.log.flush()),
            4 => drop(self.log.compact()),
            _ => {}
        }
    }
}

/// The number of events of an intact copy, which has to open.
fn events_of(copy: &Arc<dyn Disk>) -> Result<u64, Error> {
    let report = check(copy, &mut |_| {})?;
    let log = Log::open(Arc::clone(copy), small_files())?;
    let events = log.head().0;
    assert_eq!(report.events, events);
    log.close()?;
    Ok(events)
}

#[test]
fn a_copy_beside_a_busy_server_is_whole_and_has_what_was_recorded_before() {
    let mut flushed_meanwhile = 0;
    for seed in 0..SEEDS {
        let mut busy = Busy::new(seed);
        let target: Arc<dyn Disk> = Arc::new(SimulatedDisk::new(seed + 1_000_000));
        // Young, busy and large: no flush yet, and then more at each copy.
        for round in 0..4 {
            busy.append(round * 7);
            let before = busy.recorded;
            let source: Arc<dyn Disk> = busy.disk.clone();
            let mut quiet = 60;
            let copied = copy(&source, &target, Reuse::ByLength, &mut |_, _| {
                // A log that is flushed at every piece is never copied.
                if quiet > 0 {
                    quiet -= 1;
                    let chance = busy.disk.random_below(12);
                    flushed_meanwhile += u64::from(chance == 3);
                    busy.go_on(chance);
                }
            });
            copied.unwrap_or_else(|error| panic!("seed {seed}, round {round}: {error}"));
            let events = events_of(&target).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            assert!((before..=busy.recorded).contains(&events), "seed {seed}: {events}");
        }
    }
    assert!(flushed_meanwhile > SEEDS, "{flushed_meanwhile}");
}

#[test]
fn a_copy_that_broke_off_leaves_the_one_before_or_says_that_it_broke_off() {
    let (mut broken, mut marked) = (0, 0);
    for seed in 0..SEEDS {
        let mut busy = Busy::new(seed);
        busy.append(20);
        busy.go_on(3);
        let target = Arc::new(SimulatedDisk::new(seed + 1_000_000));
        let source: Arc<dyn Disk> = busy.disk.clone();
        let shared: Arc<dyn Disk> = target.clone();
        copy(&source, &shared, Reuse::ByLength, &mut |_, _| {}).unwrap();
        // Opening the copy would write to it.
        let before = check(&shared, &mut |_| {}).unwrap().events;
        busy.append(1 + seed % 9);
        (0..seed % 4).for_each(|_| busy.go_on(3 + seed % 2));
        target.plan(target.random_below(40), Fault::Crash);
        let is_whole = copy(&source, &shared, Reuse::ByLength, &mut |_, _| {}).is_ok();
        target.power_cut();
        target.restart();
        broken += u64::from(!is_whole);
        if shared.open("backup.part").is_ok() {
            marked += 1;
            let elsewhere: Arc<dyn Disk> = Arc::new(SimulatedDisk::new(seed));
            let refused = copy(&shared, &elsewhere, Reuse::ByLength, &mut |_, _| {});
            assert!(matches!(refused, Err(Error::NotALog { .. })), "seed {seed}: {refused:?}");
        } else {
            let report = check(&shared, &mut |_| {});
            let events = report.unwrap_or_else(|error| panic!("seed {seed}: {error}")).events;
            assert!((before..=busy.recorded).contains(&events), "seed {seed}: {events}");
        }
        // The next one goes on.
        copy(&source, &shared, Reuse::ByLength, &mut |_, _| {})
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(events_of(&shared).unwrap(), busy.recorded, "seed {seed}");
    }
    assert!(broken > SEEDS / 4 && marked < broken, "{broken}, {marked} of them marked");
}

#[test]
fn a_copy_is_written_over_nothing_else() {
    let mut busy = Busy::new(1);
    busy.append(3);
    let source: Arc<dyn Disk> = busy.disk.clone();
    let other: Arc<dyn Disk> = Arc::new(SimulatedDisk::new(2));
    store::durable::write_file(&*other, "letter.txt", b"dear").unwrap();
    let refused = copy(&source, &other, Reuse::ByLength, &mut |_, _| {});
    assert!(matches!(refused, Err(Error::NotEmpty { .. })), "{refused:?}");
    let empty: Arc<dyn Disk> = Arc::new(SimulatedDisk::new(3));
    let refused = copy(&empty, &other, Reuse::ByLength, &mut |_, _| {});
    assert!(matches!(refused, Err(Error::NotALog { .. })), "{refused:?}");
    // A damaged file of an older copy is replaced on request.
    let target = Arc::new(SimulatedDisk::new(4));
    let shared: Arc<dyn Disk> = target.clone();
    busy.append(40);
    busy.go_on(3);
    copy(&source, &shared, Reuse::ByLength, &mut |_, _| {}).unwrap();
    let table = shared.list("segments").unwrap().pop().unwrap();
    target.flip(&format!("segments/{table}"), 40, 3);
    assert!(check(&shared, &mut |_| {}).is_err());
    copy(&source, &shared, Reuse::Nothing, &mut |_, _| {}).unwrap();
    check(&shared, &mut |_| {}).unwrap();
}
