//! Collects the messages of one source into appends: many in one, in the order of arrival, and no
//! faster than the log can take them.
//!
//! - The room of a [`Sink`] bounds the messages of a listener that are not durable yet. A listener
//!   without room waits, or drops.
//! - A batch is recorded when it is full, or [`COLLECTING`] after its first message. While many
//!   batches of a source are in flight, the next one grows instead.
//! - Batches are parsed in parallel and handed to the log in order: messages of one connection stay
//!   in order.
//! - In formats with several messages for one event, the messages of an unfinished event are held
//!   for the next batch, for up to [`HELD_MAX`].

use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use formats::Format;
use net::server::stopped;
use store::{Log, Space};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};

use super::framing::{Flaw, Frame};
use crate::monitor::counters::Counters;
use crate::{Arrival, Input, Intake, IntakeError, Message};
use config::Limits;

/// How long a batch waits for more messages. No sender waits for a response, so the wait delays
/// nobody, and each message that joins saves a sync.
const COLLECTING: Duration = Duration::from_millis(5);
/// Most messages and bytes of a batch: what the log can make durable at once without slowing down.
const BATCH_MESSAGES_MAX: usize = 1000;
const BATCH_BYTES_MAX: usize = 512 << 10;
/// Batches of one source in flight: one being synced, some waiting for it and some being parsed.
/// The log's own limit on waiting appends is far higher.
const BATCHES_IN_FLIGHT_MAX: usize = 6;
/// Pieces that may wait to be collected. The room bounds their bytes, and this limit their
/// overhead.
const PIECES_MAX: usize = 1024;
/// Cost of a message beside its own bytes.
const MESSAGE_OVERHEAD_BYTES: usize = 256;

/// Interval of looking whether a full disk has room again.
const SPACE_WAIT: Duration = Duration::from_millis(100);

/// How long messages wait for others of their event. The audit daemon waits equally long for the
/// end of an event (`end_of_event_timeout`).
const HELD_MAX: Duration = Duration::from_secs(2);

/// Messages received together by one listener.
pub struct Piece {
    messages: Vec<Message>,
    room: OwnedSemaphorePermit,
}

/// Messages to be recorded together, each with its time of collection.
#[derive(Default)]
struct Batch {
    messages: Vec<(Instant, Message)>,
    bytes: usize,
    rooms: Vec<OwnedSemaphorePermit>,
}

impl Batch {
    fn of(messages: Vec<(Instant, Message)>) -> Batch {
        let bytes = messages.iter().map(|(_, message)| message.bytes.len()).sum();
        Batch { messages, bytes, rooms: Vec::new() }
    }

    fn add(&mut self, Piece { messages, room }: Piece) {
        let now = Instant::now();
        self.bytes += messages.iter().map(|message| message.bytes.len()).sum::<usize>();
        self.messages.extend(messages.into_iter().map(|message| (now, message)));
        self.rooms.push(room);
    }

    fn is_full(&self) -> bool {
        self.messages.len() >= BATCH_MESSAGES_MAX || self.bytes >= BATCH_BYTES_MAX
    }

    /// Takes out the messages of unfinished events, except those that waited long enough. They hold
    /// no room, because they are never more than a batch.
    fn take_open(&mut self, format: Format) -> Vec<(Instant, Message)> {
        let bytes = |(_, message): &(Instant, Message)| match message.flaw {
            None => message.bytes.clone(),
            Some(_) => Vec::new(),
        };
        let bytes: Vec<Vec<u8>> = self.messages.iter().map(bytes).collect();
        let bytes: Vec<&[u8]> = bytes.iter().map(Vec::as_slice).collect();
        let Some(is_open) = format.open_messages(&bytes) else { return Vec::new() };
        let (now, mut is_open) = (Instant::now(), is_open.into_iter());
        let is_held = |(since, _): &(Instant, Message)| {
            is_open.next().unwrap_or_default() && now < *since + HELD_MAX
        };
        let (held, whole) = std::mem::take(&mut self.messages).into_iter().partition(is_held);
        let held = Batch::of(held);
        self.messages = whole;
        if held.is_full() {
            self.messages.extend(held.messages);
            return Vec::new();
        }
        held.messages
    }
}

/// Queue for the messages of one listener.
#[derive(Clone)]
pub struct Sink {
    pieces: mpsc::Sender<Piece>,
    room: Arc<Semaphore>,
    room_bytes: usize,
    space: Arc<Space>,
    stop: watch::Receiver<bool>,
}

/// The sink has no room, or the log takes no more.
#[derive(Debug)]
pub struct Full;

/// Queue of a source, from its listeners to its collector.
pub fn queue() -> (mpsc::Sender<Piece>, mpsc::Receiver<Piece>) {
    mpsc::channel(PIECES_MAX)
}

impl Sink {
    /// Each listener has its own room, so that none waits for another.
    pub fn new(
        pieces: mpsc::Sender<Piece>,
        limits: &Limits,
        space: Arc<Space>,
        stop: watch::Receiver<bool>,
    ) -> Sink {
        let room_bytes = limits.syslog_bytes_in_flight_max.min(Semaphore::MAX_PERMITS);
        Sink { pieces, room: Arc::new(Semaphore::new(room_bytes)), room_bytes, space, stop }
    }

    /// Queues messages; waits for room, on the disk too. Fails once the log takes no more.
    pub async fn put(&self, messages: Vec<Message>) -> Result<(), Full> {
        self.wait_for_space().await;
        let room = Arc::clone(&self.room)
            .acquire_many_owned(self.cost(&messages))
            .await
            .map_err(|_| Full)?;
        self.pieces.send(Piece { messages, room }).await.map_err(|_| Full)
    }

    /// Waits while the disk is full. Once the server stops, messages that arrived are recorded all
    /// the same: nobody sends them again, and they are few.
    async fn wait_for_space(&self) {
        let mut stop = self.stop.clone();
        while self.space.is_full() {
            tokio::select! {
                () = stopped(&mut stop) => return,
                () = tokio::time::sleep(SPACE_WAIT) => {}
            }
        }
    }

    /// Queues messages if there is room, on the disk too.
    pub fn try_put(&self, messages: Vec<Message>) -> Result<(), Full> {
        if self.space.is_full() {
            return Err(Full);
        }
        let room = Arc::clone(&self.room)
            .try_acquire_many_owned(self.cost(&messages))
            .map_err(|_| Full)?;
        self.pieces.try_send(Piece { messages, room }).map_err(|_| Full)
    }

    /// Whether there is room for all these messages.
    pub fn has_room_for(&self, messages: &[Message]) -> bool {
        self.room.available_permits() >= self.cost(messages) as usize
    }

    /// Room that messages take, at most all of it: a larger piece can still be queued.
    fn cost(&self, messages: &[Message]) -> u32 {
        let bytes: usize =
            messages.iter().map(|message| message.bytes.len() + MESSAGE_OVERHEAD_BYTES).sum();
        u32::try_from(bytes.min(self.room_bytes)).unwrap_or(u32::MAX)
    }
}

/// The message of a frame.
pub fn message(frame: Frame, peer: IpAddr) -> Message {
    let flaw = frame.flaw.map(|flaw| match flaw {
        Flaw::TooLong(len_bytes) => {
            format!(
                "message_too_long: it had {len_bytes} bytes; only the first {} are stored",
                frame.bytes.len()
            )
        }
        Flaw::CutOff => "message_cut_off: the connection ended within the message".to_owned(),
    });
    Message { bytes: frame.bytes, peer, flaw }
}

/// Records messages until all sinks are dropped and everything is durable, or until the log takes
/// no more.
pub async fn collect(
    intake: Arc<Intake>,
    log: Arc<Log>,
    limits: Limits,
    mut pieces: mpsc::Receiver<Piece>,
) {
    let in_flight = Arc::new(Semaphore::new(BATCHES_IN_FLIGHT_MAX));
    let (go_on, mut turn) = oneshot::channel();
    // The receiver exists, so sending cannot fail.
    let _ = go_on.send(());
    let mut held = Vec::new();
    while let Some(batch) = next(&mut held, &mut pieces, intake.source.format).await {
        let Ok(permit) = Arc::clone(&in_flight).acquire_owned().await else { return };
        let (to, log, all) = (Arc::clone(&intake), Arc::clone(&log), Arc::clone(&in_flight));
        let (go_on, next_turn) = oneshot::channel();
        let this_turn = std::mem::replace(&mut turn, next_turn);
        tokio::task::spawn_blocking(move || {
            match record(batch, permit, &to, limits, &log, this_turn) {
                // Sending fails if this was the last batch, and nobody waits for its turn.
                Ok(()) => drop(go_on.send(())),
                Err(why) => {
                    tracing::error!(
                        source = to.source.name,
                        why,
                        "couldn't record syslog messages"
                    );
                    all.close();
                }
            }
        });
    }
    // Once all permits are free, everything is durable.
    let all = u32::try_from(BATCHES_IN_FLIGHT_MAX).unwrap_or(u32::MAX);
    let _ = in_flight.acquire_many(all).await;
}

/// The next batch: the held messages, the next piece and those soon after, without the messages to
/// hold. `None` once all sinks are dropped.
async fn next(
    held: &mut Vec<(Instant, Message)>,
    pieces: &mut mpsc::Receiver<Piece>,
    format: Format,
) -> Option<Batch> {
    loop {
        let first = match held.first() {
            None => Ok(Some(pieces.recv().await?)),
            Some((since, _)) => timeout_at(*since + HELD_MAX, pieces.recv()).await,
        };
        let mut batch = Batch::of(std::mem::take(held));
        match first {
            Ok(Some(first)) => {
                batch.add(first);
                let deadline = Instant::now() + COLLECTING;
                while !batch.is_full() {
                    let Ok(Some(piece)) = timeout_at(deadline, pieces.recv()).await else { break };
                    batch.add(piece);
                }
            }
            // All sinks are dropped: the held messages wait for nothing.
            Ok(None) => return Some(batch),
            Err(_) => {}
        }
        *held = batch.take_open(format);
        if !batch.messages.is_empty() {
            return Some(batch);
        }
    }
}

/// Parses a batch and hands it to the log in its turn. Frees its room and its permit once it is
/// durable. Blocks.
fn record(
    batch: Batch,
    permit: OwnedSemaphorePermit,
    intake: &Arc<Intake>,
    limits: Limits,
    log: &Log,
    turn: oneshot::Receiver<()>,
) -> Result<(), &'static str> {
    let arrival = Arrival {
        received_at: system::now(),
        log_file: None,
        headers: &[],
        peer: None,
        position: None,
    };
    let limits = formats::Limits {
        events_max: limits.events_per_request_max,
        event_bytes_max: limits.event_bytes_max,
    };
    let Batch { messages, rooms, .. } = batch;
    let mut messages: Vec<Message> = messages.into_iter().map(|(_, message)| message).collect();
    let prepare = |messages: &[Message]| {
        crate::prepare(Input::Messages(messages), arrival, intake, limits, log)
    };
    let prepared = catch_unwind(AssertUnwindSafe(|| prepare(&messages))).unwrap_or_else(|_| {
        // Nobody sends the messages again, so they go to the dead-letter queue until the parser is
        // fixed.
        let panicked = Some("the parser panicked at this message or one near it".to_owned());
        messages.iter_mut().for_each(|message| message.flaw.clone_from(&panicked));
        prepare(&messages)
    });
    let prepared = prepared.map_err(|_| "messages have no envelope, yet the parser refused one")?;
    let count = messages.len();
    drop(messages);
    turn.blocking_recv().map_err(|_| "the batch before it failed")?;
    let counted = Arc::clone(intake);
    let then = move |result| {
        if matches!(result, Err(IntakeError::StorageFull)) {
            // Listeners wait, or drop, before it comes to that.
            Counters::add(&counted.counters.dropped_by_daybook, count);
        }
        drop((rooms, permit));
    };
    crate::submit_blocking(prepared, intake, log, then).map_err(|_| "the log takes no more")
}
