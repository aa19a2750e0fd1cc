//! While one sync runs, the next group collects.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, Mutex};

use store::durable::{Disk, File, Room, Wait};
use store::simulated::SimulatedDisk;
use store::{Error, Log, Settings, init};

use crate::{event, identity, request};

/// A disk whose syncs wait while the gate is closed.
struct Gated {
    disk: SimulatedDisk,
    gate: Arc<Gate>,
}

#[derive(Default)]
struct Gate {
    is_closed: Mutex<bool>,
    opened: Condvar,
    syncs: AtomicU64,
    waiting: AtomicU64,
}

impl Gate {
    fn set_closed(&self, is_closed: bool) {
        *self.is_closed.lock().unwrap() = is_closed;
        self.opened.notify_all();
    }
}

struct GatedFile {
    file: Arc<dyn File>,
    gate: Arc<Gate>,
}

impl File for GatedFile {
    fn len_bytes(&self) -> io::Result<u64> {
        self.file.len_bytes()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(offset, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.gate.syncs.fetch_add(1, Ordering::SeqCst);
        let mut is_closed = self.gate.is_closed.lock().unwrap();
        self.gate.waiting.fetch_add(1, Ordering::SeqCst);
        while *is_closed {
            is_closed = self.gate.opened.wait(is_closed).unwrap();
        }
        self.gate.waiting.fetch_sub(1, Ordering::SeqCst);
        self.file.sync()
    }

    fn cut(&self, len_bytes: u64) -> io::Result<()> {
        self.file.cut(len_bytes)
    }

    fn allocate(&self, len_bytes: u64) -> io::Result<()> {
        self.file.allocate(len_bytes)
    }
}

impl Disk for Gated {
    fn location(&self) -> String {
        self.disk.location()
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.disk.list(dir)
    }

    fn make_dir(&self, dir: &str) -> io::Result<()> {
        self.disk.make_dir(dir)
    }

    fn create(&self, path: &str) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(GatedFile { file: self.disk.create(path)?, gate: Arc::clone(&self.gate) }))
    }

    fn open(&self, path: &str) -> io::Result<Arc<dyn File>> {
        self.disk.open(path)
    }

    fn open_for_writing(&self, path: &str) -> io::Result<Arc<dyn File>> {
        self.disk.open_for_writing(path)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }

    fn lock(&self, path: &str, wait: Wait) -> io::Result<Box<dyn Send>> {
        self.disk.lock(path, wait)
    }

    fn room(&self) -> io::Result<Room> {
        self.disk.room()
    }
}

fn gated(waiting_requests_max: usize) -> (Log, Arc<Gate>) {
    let gate = Arc::new(Gate::default());
    let disk: Arc<dyn Disk> =
        Arc::new(Gated { disk: SimulatedDisk::new(1), gate: Arc::clone(&gate) });
    init(&disk, &identity(), &[]).unwrap();
    let log = Log::open(disk, Settings { waiting_requests_max, ..Settings::default() }).unwrap();
    (log, gate)
}

/// Closes the gate and returns once one group is being synced.
fn one_group_in_flight(log: &Log, gate: &Gate) {
    gate.set_closed(true);
    log.submit(request(vec![event("hub", "first", 0)], &[]), |_| {}).unwrap();
    while gate.waiting.load(Ordering::SeqCst) == 0 {
        std::thread::yield_now();
    }
}

#[test]
fn requests_that_wait_for_one_sync_share_the_next() {
    let (log, gate) = gated(100);
    one_group_in_flight(&log, &gate);
    let before = gate.syncs.load(Ordering::SeqCst);
    let (answers, answered) = channel();
    for sender in 0..32 {
        let answers = answers.clone();
        log.submit(request(vec![event("hub", &format!("k{sender}"), 1)], &[]), move |result| {
            answers.send(result.unwrap()).unwrap();
        })
        .unwrap();
    }
    assert!(answered.try_recv().is_err(), "nothing is answered before it is durable");
    gate.set_closed(false);
    let mut indexes: Vec<u64> =
        (0..32).map(|_| answered.recv().unwrap().first_index.unwrap()).collect();
    indexes.sort_unstable();
    assert_eq!(indexes, (1..=32).collect::<Vec<u64>>());
    assert_eq!(gate.syncs.load(Ordering::SeqCst) - before, 1, "one sync for 32 requests");
    assert_eq!(log.counts().groups, 2);
}

#[test]
fn a_full_queue_refuses_at_once_and_loses_nothing() {
    let (log, gate) = gated(4);
    one_group_in_flight(&log, &gate);
    let (answers, answered) = channel();
    let mut taken = 0;
    for sender in 0..10 {
        let answers = answers.clone();
        match log.submit(
            request(vec![event("hub", &format!("k{sender}"), 1)], &[]),
            move |result| {
                answers.send(result).unwrap();
            },
        ) {
            Ok(()) => taken += 1,
            Err(Error::Overloaded) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(taken, 4);
    gate.set_closed(false);
    for _ in 0..4 {
        answered.recv().unwrap().unwrap();
    }
    assert_eq!(log.counts().events, 5);
}

#[test]
fn closing_records_what_is_waiting() {
    let (log, gate) = gated(100);
    one_group_in_flight(&log, &gate);
    let (answers, answered) = channel();
    for sender in 0..5 {
        let answers = answers.clone();
        log.submit(request(vec![event("hub", &format!("k{sender}"), 1)], &[]), move |result| {
            answers.send(result).unwrap();
        })
        .unwrap();
    }
    gate.set_closed(false);
    log.close().unwrap();
    assert_eq!(answered.try_iter().filter(Result::is_ok).count(), 5);
}
