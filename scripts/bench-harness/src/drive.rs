//! Senders that record events as fast as they are answered.

use std::fmt;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::Result;
use crate::options::Options;

/// One combination: events in a request, and senders at once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    pub events: usize,
    pub senders: usize,
}

impl Cell {
    pub fn all() -> Vec<Cell> {
        let with = |events| [1, 8, 32].map(|senders| Cell { events, senders });
        [1, 100, 1000].into_iter().flat_map(with).collect()
    }

    pub fn parse(text: &str) -> Result<Cell> {
        let cell = text.split_once('x').and_then(|(events, senders)| {
            Some(Cell { events: events.parse().ok()?, senders: senders.parse().ok()? })
        });
        let is_possible =
            |cell: &Cell| (1..=10_000).contains(&cell.events) && (1..=64).contains(&cell.senders);
        cell.filter(is_possible)
            .ok_or_else(|| format!("{text} is no EVENTSxSENDERS such as 1000x8 (10000x64 at most)").into())
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{} x {}", self.events, self.senders))
    }
}

/// Records requests of a fixed number of events.
pub trait Sender: Send {
    /// Records the events with these numbers. Returns once they are durable.
    fn send(&mut self, first: u64) -> Result<()>;
}

/// What the senders did.
pub struct Driven {
    /// Events answered for in each second of the measured time.
    pub events_s: f64,
    /// Events answered for, the warm-up included.
    pub events: u64,
}

/// What the senders share.
struct Shared {
    /// Number of the next event that nobody has sent.
    next: AtomicU64,
    measured: AtomicU64,
    is_measuring: AtomicBool,
    is_over: AtomicBool,
    start: Barrier,
}

/// Runs the senders for a warm-up and the time asked for, each event with a number of its own.
pub fn drive<S: Sender>(senders: Vec<S>, cell: Cell, options: &Options) -> Result<Driven> {
    let shared = Shared {
        next: AtomicU64::new(0),
        measured: AtomicU64::new(0),
        is_measuring: AtomicBool::new(false),
        is_over: AtomicBool::new(false),
        start: Barrier::new(senders.len() + 1),
    };
    let elapsed = std::thread::scope(|scope| {
        let run = |sender| scope.spawn(|| send_until_over(sender, cell.events as u64, &shared));
        let threads: Vec<_> = senders.into_iter().map(run).collect();
        let elapsed = keep_time(&shared, options);
        for thread in threads {
            thread.join().map_err(|_| "a sender panicked")??;
        }
        Result::Ok(elapsed)
    })?;
    Ok(Driven {
        events_s: shared.measured.into_inner() as f64 / elapsed.as_secs_f64(),
        events: shared.next.into_inner(),
    })
}

fn send_until_over(mut sender: impl Sender, events: u64, shared: &Shared) -> Result<()> {
    shared.start.wait();
    while !shared.is_over.load(Ordering::Relaxed) {
        sender.send(shared.next.fetch_add(events, Ordering::Relaxed))?;
        if shared.is_measuring.load(Ordering::Relaxed) {
            shared.measured.fetch_add(events, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// Returns how long was measured.
fn keep_time(shared: &Shared, options: &Options) -> Duration {
    shared.start.wait();
    std::thread::sleep(Duration::from_secs_f64(options.warm_up_seconds()));
    shared.is_measuring.store(true, Ordering::Relaxed);
    let began = Instant::now();
    std::thread::sleep(Duration::from_secs_f64(options.seconds));
    shared.is_measuring.store(false, Ordering::Relaxed);
    let elapsed = began.elapsed();
    shared.is_over.store(true, Ordering::Relaxed);
    elapsed
}
