//! Events as they are recorded, for those who follow the log: server-sent events
//! (<https://html.spec.whatwg.org/multipage/server-sent-events.html>), described in
//! `docs/api/events.md`.
//!
//! While anybody follows, one thread reads what is new, once, and keeps the newest in memory as
//! they are sent. Who is further behind reads from the log until it has caught up. So a slow reader
//! costs nothing but its own reading.

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

/// How often it is looked for new events while somebody follows: soon enough to be called live.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Events read at once, by the thread and by who catches up.
const READ_AT_ONCE: usize = 512;
/// The newest events kept in memory, and their bytes as they are sent: seconds at full speed.
const NEWEST_MAX: usize = 32 << 10;
const NEWEST_BYTES_MAX: usize = 32 << 20;
/// Who catches up at the same time: what is read for them is in memory, and reading is to be left
/// for queries.
const CATCHING_UP_MAX: usize = 2;
/// Bytes of events sent at once.
const PIECE_BYTES: usize = 64 << 10;
/// Pieces made ahead of the client.
pub const PIECES_AHEAD: usize = 4;
/// A client must take a piece within this time.
const PIECE_TAKEN_WITHIN: Duration = Duration::from_secs(30);
/// How often a client is told how far the log was looked through, where nothing matches.
const POSITION_EVERY: Duration = Duration::from_secs(5);

/// An event, and how it is sent.
struct Told {
    index: u64,
    event: Event,
    frame: Bytes,
}

impl Told {
    fn of(row: Row) -> Told {
        let (index, event) = (row.index, row.entry.event.clone());
        let mut frame = format!("id: {index}\ndata: ").into_bytes();
        serde_json::to_writer(&mut frame, &answer::Event::from(row)).expect("texts and numbers");
        frame.extend_from_slice(b"\n\n");
        Told { index, event, frame: frame.into() }
    }
}

/// The newest events, and who follows.
pub struct Newest {
    log: Arc<Log>,
    access: Arc<Access>,
    kept: Mutex<Kept>,
    /// The index behind the newest event that was read.
    end: watch::Sender<u64>,
    followers: AtomicUsize,
    catching_up: Semaphore,
}

#[derive(Default)]
struct Kept {
    events: VecDeque<Arc<Told>>,
    bytes: usize,
}

impl Newest {
    /// Begins with the events that the log will have from now on.
    pub fn new(log: Arc<Log>, access: Arc<Access>) -> Newest {
        let size = log.head().0;
        Newest {
            log,
            access,
            kept: Mutex::default(),
            end: watch::Sender::new(size),
            followers: AtomicUsize::new(0),
            catching_up: Semaphore::new(CATCHING_UP_MAX),
        }
    }

    /// Reads some of what is new; whether there may be more.
    fn look(&self) -> Result<bool, store::Error> {
        let (head, end) = (self.log.head().0, *self.end.borrow());
        if self.followers.load(Ordering::Acquire) == 0 {
            *self.kept.lock().expect("no panic while held") = Kept::default();
            self.end.send_replace(head);
            return Ok(false);
        }
        if end == head {
            return Ok(false);
        }
        let told: Vec<Arc<Told>> = self
            .log
            .from_index(end, READ_AT_ONCE)?
            .into_iter()
            .map(|row| Arc::new(Told::of(row)))
            .collect();
        let reached = end + told.len() as u64;
        let mut kept = self.kept.lock().expect("no panic while held");
        kept.bytes += told.iter().map(|told| told.frame.len()).sum::<usize>();
        kept.events.extend(told);
        while kept.events.len() > NEWEST_MAX || kept.bytes > NEWEST_BYTES_MAX {
            let Some(oldest) = kept.events.pop_front() else { break };
            kept.bytes -= oldest.frame.len();
        }
        drop(kept);
        self.end.send_replace(reached);
        Ok(reached < head)
    }

    /// Events from an index on, if those are kept; none when the index is the end.
    fn from(&self, index: u64) -> Option<Vec<Arc<Told>>> {
        let kept = self.kept.lock().expect("no panic while held");
        let end = *self.end.borrow();
        if index >= end {
            return Some(Vec::new());
        }
        let first = kept.events.front().map(|told| told.index)?;
        let skipped = usize::try_from(index.checked_sub(first)?).ok()?;
        Some(kept.events.iter().skip(skipped).take(READ_AT_ONCE).map(Arc::clone).collect())
    }
}

/// The thread that reads what is new.
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
                    Err(error) => tracing::error!(%error, "couldn't read what is followed"),
                }
                std::thread::sleep(LOOK_EVERY);
            }
        };
        let thread = std::thread::Builder::new().name("tailing".to_owned()).spawn(work);
        Reading { stop, thread: thread.expect("the machine has room for a thread") }
    }

    pub fn stop(self) {
        self.stop.store(true, Ordering::Release);
        if self.thread.join().is_err() {
            tracing::error!("tailing panicked");
        }
    }
}

/// The credential by which a tail was asked for; it is looked at again for as long as the tail goes
/// on.
#[derive(Clone)]
pub enum Shown {
    Token(String),
    AccessKey(String),
}

impl Shown {
    /// The caller, if the credential is still good.
    fn caller<'a>(&self, rights: &'a Snapshot, now: Time) -> Option<Caller<'a>> {
        match self {
            Shown::Token(text) => {
                let (token, user) =
                    rights.token(text).filter(|(token, _)| token.expires_at > now)?;
                Some(Caller { user, scope: token.scope.clone() })
            }
            Shown::AccessKey(id) => {
                rights.access_key(id).map(|(_, user)| Caller { user, scope: Scope::User })
            }
        }
    }
}

/// What a client follows.
pub struct Tail {
    pub shown: Shown,
    pub meaning: Meaning,
    /// The index to go on with.
    pub next: u64,
}

impl Tail {
    fn wants(&self, event: &Event, caller: &Caller<'_>) -> bool {
        caller.may(Action::ReadEvents, &event.trail) && self.meaning.holds(event)
    }
}

/// Counts one who follows.
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

/// Sends what a client follows, until it goes away, loses its rights or takes nothing, or the
/// server stops.
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
        let Ok(told) = some_from(&newest, tail.next).await else { return };
        if told.is_empty() {
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
            if tail.shown.caller(&rights, system::now()).is_none() {
                return;
            }
            continue;
        }
        for piece in pieces_of(&newest, &mut tail, &told) {
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

/// Events from an index on: from memory, or else from the log. Errs when they cannot be read.
async fn some_from(newest: &Newest, index: u64) -> Result<Vec<Arc<Told>>, ()> {
    if let Some(told) = newest.from(index) {
        return Ok(told);
    }
    let Ok(_permit) = newest.catching_up.acquire().await else { return Err(()) };
    let log = Arc::clone(&newest.log);
    let read = move || -> Result<Vec<Arc<Told>>, store::Error> {
        Ok(log
            .from_index(index, READ_AT_ONCE)?
            .into_iter()
            .map(|row| Arc::new(Told::of(row)))
            .collect())
    };
    match tokio::task::spawn_blocking(read).await {
        Ok(Ok(told)) => Ok(told),
        Ok(Err(error)) => {
            tracing::error!(%error, "couldn't read what is followed");
            Err(())
        }
        Err(_) => Err(()),
    }
}

/// What of some events is wanted, in pieces; `None` where the client may follow no more.
fn pieces_of(newest: &Newest, tail: &mut Tail, told: &[Arc<Told>]) -> Vec<Option<Bytes>> {
    let rights = newest.access.current();
    let Some(caller) = tail.shown.caller(&rights, system::now()) else { return vec![None] };
    let (mut pieces, mut piece) = (Vec::new(), Vec::new());
    for one in told {
        if tail.wants(&one.event, &caller) {
            piece.extend_from_slice(&one.frame);
            if piece.len() >= PIECE_BYTES {
                pieces.push(Some(std::mem::take(&mut piece).into()));
            }
        }
    }
    if let Some(last) = told.last() {
        tail.next = last.index + 1;
    }
    if !piece.is_empty() {
        pieces.push(Some(piece.into()));
    }
    pieces
}

/// Tells how far the log was looked through: an event without data changes the last event's id
/// alone.
fn position(next: u64) -> Bytes {
    match next.checked_sub(1) {
        Some(last) => format!("id: {last}\n\n").into(),
        None => Bytes::from_static(b":\n\n"),
    }
}

/// Whether the client took it.
async fn give(pieces: &mpsc::Sender<Bytes>, piece: Bytes) -> bool {
    matches!(tokio::time::timeout(PIECE_TAKEN_WITHIN, pieces.send(piece)).await, Ok(Ok(())))
}
