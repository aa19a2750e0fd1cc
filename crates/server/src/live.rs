//! The live tail: events as they are recorded, sent as server-sent events
//! (<https://html.spec.whatwg.org/multipage/server-sent-events.html>), described in
//! `docs/api/events.md`.
//!
//! While there are live tails, one thread reads each new event once and holds the newest in memory
//! in the form in which they are sent. A tail that is further behind reads from the log until it
//! catches up, so a slow reader costs only its own reading.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use event::search::Meaning;
use event::{Event, Time};
use hyper::body::Bytes;
use store::{Log, Row};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::Instant;

use access::rights::Action;
use access::{Access, Caller, Scope, Snapshot};
use find::answer;

/// The interval of the search for new events while there are live tails.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Events read at once, by the thread and by who catches up.
const READ_AT_ONCE: usize = 512;
/// The newest events in memory, and their bytes in sent form: seconds at full speed.
const NEWEST_MAX: usize = 32 << 10;
const NEWEST_BYTES_MAX: usize = 32 << 20;
/// Tails that catch up at the same time. What they read is in memory, and queries need the disk.
const CATCHING_UP_MAX: usize = 2;
/// Bytes of events sent at once.
const PIECE_BYTES: usize = 64 << 10;
/// Pieces made before the client takes them.
pub const PIECES_AHEAD: usize = 4;
/// A client must take a piece within this time.
const PIECE_TAKEN_WITHIN: Duration = Duration::from_secs(30);
/// The interval of position messages to a client while nothing matches.
const POSITION_EVERY: Duration = Duration::from_secs(5);

/// An event, and its form on the wire.
struct LiveEvent {
    index: u64,
    event: Event,
    frame: Bytes,
}

impl LiveEvent {
    fn of(row: Row) -> LiveEvent {
        let (index, event) = (row.index, row.entry.event.clone());
        let mut frame = format!("id: {index}\ndata: ").into_bytes();
        serde_json::to_writer(&mut frame, &answer::Event::from(row)).expect("texts and numbers");
        frame.extend_from_slice(b"\n\n");
        LiveEvent { index, event, frame: frame.into() }
    }
}

/// The newest events, and the live tails.
pub struct Newest {
    log: Arc<Log>,
    access: Arc<Access>,
    recent: Mutex<RecentEvents>,
    /// The index behind the newest event that was read.
    end: watch::Sender<u64>,
    followers: AtomicUsize,
    catching_up: Semaphore,
}

#[derive(Default)]
struct RecentEvents {
    events: VecDeque<Arc<LiveEvent>>,
    bytes: usize,
}

impl Newest {
    /// Begins at the end of the log.
    pub fn new(log: Arc<Log>, access: Arc<Access>) -> Newest {
        let size = log.head().0;
        Newest {
            log,
            access,
            recent: Mutex::default(),
            end: watch::Sender::new(size),
            followers: AtomicUsize::new(0),
            catching_up: Semaphore::new(CATCHING_UP_MAX),
        }
    }

    /// Reads some new events. Returns whether there may be more.
    fn look(&self) -> Result<bool, store::Error> {
        let (head, end) = (self.log.head().0, *self.end.borrow());
        if self.followers.load(Ordering::Acquire) == 0 {
            *self.recent.lock().expect("no panic while held") = RecentEvents::default();
            self.end.send_replace(head);
            return Ok(false);
        }
        if end == head {
            return Ok(false);
        }
        let events: Vec<Arc<LiveEvent>> = self
            .log
            .from_index(end, READ_AT_ONCE)?
            .into_iter()
            .map(|row| Arc::new(LiveEvent::of(row)))
            .collect();
        let reached = end + events.len() as u64;
        let mut recent = self.recent.lock().expect("no panic while held");
        recent.bytes += events.iter().map(|one| one.frame.len()).sum::<usize>();
        recent.events.extend(events);
        while recent.events.len() > NEWEST_MAX || recent.bytes > NEWEST_BYTES_MAX {
            let Some(oldest) = recent.events.pop_front() else { break };
            recent.bytes -= oldest.frame.len();
        }
        drop(recent);
        self.end.send_replace(reached);
        Ok(reached < head)
    }

    /// Events from an index on, if memory has them; an empty list at the end.
    fn from(&self, index: u64) -> Option<Vec<Arc<LiveEvent>>> {
        let recent = self.recent.lock().expect("no panic while held");
        let end = *self.end.borrow();
        if index >= end {
            return Some(Vec::new());
        }
        let first = recent.events.front().map(|one| one.index)?;
        let skipped = usize::try_from(index.checked_sub(first)?).ok()?;
        Some(recent.events.iter().skip(skipped).take(READ_AT_ONCE).map(Arc::clone).collect())
    }
}

/// The thread that reads new events.
pub struct Reading {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Reading {
    pub fn start(newest: Arc<Newest>) -> Reading {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let work = move || {
            while !stopped.load(Ordering::Acquire) {
                match newest.look() {
                    Ok(true) => continue,
                    Ok(false) => {}
                    Err(error) => tracing::error!(%error, "couldn't read events for live tails"),
                }
                std::thread::sleep(LOOK_EVERY);
            }
        };
        let thread = std::thread::Builder::new().name("live".to_owned()).spawn(work);
        Reading { stop, thread: thread.expect("the machine has room for a thread") }
    }

    pub fn stop(self) {
        self.stop.store(true, Ordering::Release);
        if self.thread.join().is_err() {
            tracing::error!("the thread of live tails panicked");
        }
    }
}

/// The credential of a live tail. It is checked again as long as the tail runs.
#[derive(Clone)]
pub enum Credential {
    Token(String),
    AccessKey(String),
}

impl Credential {
    /// The caller, while the credential is good.
    fn caller<'a>(&self, rights: &'a Snapshot, now: Time) -> Option<Caller<'a>> {
        match self {
            Credential::Token(text) => {
                let (token, user) =
                    rights.token(text).filter(|(token, _)| token.expires_at > now)?;
                Some(Caller { user, scope: token.scope.clone() })
            }
            Credential::AccessKey(id) => {
                rights.access_key(id).map(|(_, user)| Caller { user, scope: Scope::User })
            }
        }
    }
}

/// The live tail of a client.
pub struct Tail {
    pub credential: Credential,
    pub meaning: Meaning,
    /// The next index to read.
    pub next: u64,
}

impl Tail {
    fn wants(&self, event: &Event, caller: &Caller<'_>) -> bool {
        caller.may(Action::ReadEvents, &event.trail) && self.meaning.holds(event)
    }
}

/// Counts a live tail.
struct Follower<'a>(&'a Newest);

impl<'a> Follower<'a> {
    fn of(newest: &'a Newest) -> Follower<'a> {
        newest.followers.fetch_add(1, Ordering::AcqRel);
        Follower(newest)
    }
}

impl Drop for Follower<'_> {
    fn drop(&mut self) {
        self.0.followers.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Sends matching events until the client leaves, loses its rights or takes nothing, or the server
/// stops.
pub async fn send(
    newest: Arc<Newest>,
    mut tail: Tail,
    pieces: mpsc::Sender<Bytes>,
    mut stopping: watch::Receiver<bool>,
) {
    let _follower = Follower::of(&newest);
    let mut end = newest.end.subscribe();
    let mut sent_at = Instant::now();
    loop {
        let Ok(events) = some_from(&newest, tail.next).await else { return };
        if events.is_empty() {
            if sent_at.elapsed() >= POSITION_EVERY {
                if !give(&pieces, position(tail.next)).await {
                    return;
                }
                sent_at = Instant::now();
            }
            tokio::select! {
                _ = end.changed() => {}
                () = tokio::time::sleep_until(sent_at + POSITION_EVERY) => {}
                () = pieces.closed() => return,
                _ = stopping.wait_for(|is_stopping| *is_stopping) => return,
            }
            let rights = newest.access.current();
            if tail.credential.caller(&rights, system::now()).is_none() {
                return;
            }
            continue;
        }
        for piece in pieces_of(&newest, &mut tail, &events) {
            let Some(piece) = piece else { return };
            sent_at = Instant::now();
            if !give(&pieces, piece).await {
                return;
            }
        }
        if sent_at.elapsed() >= POSITION_EVERY {
            sent_at = Instant::now();
            if !give(&pieces, position(tail.next)).await {
                return;
            }
        }
        if *stopping.borrow() {
            return;
        }
    }
}

/// Events from an index on: from memory, or else from the log.
async fn some_from(newest: &Newest, index: u64) -> Result<Vec<Arc<LiveEvent>>, ()> {
    if let Some(events) = newest.from(index) {
        return Ok(events);
    }
    let Ok(_permit) = newest.catching_up.acquire().await else { return Err(()) };
    let log = Arc::clone(&newest.log);
    let read = move || -> Result<Vec<Arc<LiveEvent>>, store::Error> {
        Ok(log
            .from_index(index, READ_AT_ONCE)?
            .into_iter()
            .map(|row| Arc::new(LiveEvent::of(row)))
            .collect())
    };
    match tokio::task::spawn_blocking(read).await {
        Ok(Ok(events)) => Ok(events),
        Ok(Err(error)) => {
            tracing::error!(%error, "couldn't read events for live tails");
            Err(())
        }
        Err(_) => Err(()),
    }
}

/// The matching events as pieces; `None` where the client lost its rights.
fn pieces_of(newest: &Newest, tail: &mut Tail, events: &[Arc<LiveEvent>]) -> Vec<Option<Bytes>> {
    let rights = newest.access.current();
    let Some(caller) = tail.credential.caller(&rights, system::now()) else { return vec![None] };
    let (mut pieces, mut piece) = (Vec::new(), Vec::new());
    for one in events {
        if tail.wants(&one.event, &caller) {
            piece.extend_from_slice(&one.frame);
            if piece.len() >= PIECE_BYTES {
                pieces.push(Some(std::mem::take(&mut piece).into()));
            }
        }
    }
    if let Some(last) = events.last() {
        tail.next = last.index + 1;
    }
    if !piece.is_empty() {
        pieces.push(Some(piece.into()));
    }
    pieces
}

/// The position that a tail has reached. An event without data changes only the last event's id.
fn position(next: u64) -> Bytes {
    match next.checked_sub(1) {
        Some(last) => format!("id: {last}\n\n").into(),
        None => Bytes::from_static(b":\n\n"),
    }
}

/// Sends a piece. Returns whether the client took it.
async fn give(pieces: &mpsc::Sender<Bytes>, piece: Bytes) -> bool {
    matches!(tokio::time::timeout(PIECE_TAKEN_WITHIN, pieces.send(piece)).await, Ok(Ok(())))
}
