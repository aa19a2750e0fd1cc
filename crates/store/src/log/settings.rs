//! Settings of a log.

use std::sync::Arc;
use std::time::Duration;

use event::Time;

use crate::disk::space::SpaceLimits;
use crate::error::Error;
use crate::metrics::Clock;

/// Settings of a log. The defaults suit a server.
pub struct Settings {
    /// Size at which a journal file is full; bounds the copy at each start.
    pub journal_file_bytes_max: u64,
    /// A group takes no further request past this size. Bounds how long its first request waits,
    /// and holds its bytes in the processor's cache: groups of 8 MiB made a third of the events a
    /// second.
    pub group_bytes_max: usize,
    /// Events of a memtable. A query copies small ones sooner and searches large ones sooner.
    pub memtable_events_max: usize,
    /// Events flushed into one segment; before that they are in memory and in the journal. Here and
    /// in the other limits of events in memory, an event of more than 2 KiB in the journal counts
    /// as several.
    pub flush_events: u64,
    /// Limit of the events not yet flushed; beyond it, no further request is taken from the queue.
    /// Not below `flush_events`.
    pub unflushed_events_max: u64,
    /// Number of adjacent segments of similar size to compact into one; up to four times as many
    /// where there are more, and no fewer than that while events come fast.
    pub compaction_segments: usize,
    /// Interval of looking for segments to compact.
    pub compaction_every: Duration,
    /// Limit of the events of a compacted segment.
    pub compacted_events_max: u64,
    /// Bytes of segments' indexes held in memory.
    pub cache_bytes_max: u64,
    /// Limit of queued requests; further ones are refused as [`Error::Overloaded`].
    pub waiting_requests_max: usize,
    /// Room that the log leaves free.
    pub space: SpaceLimits,
    /// Measures how long a sync takes, for [`Metrics`](crate::Metrics); the default measures
    /// nothing.
    pub clock: Clock,
    /// The latest time that it can be. No event was received later, whatever a request says, since
    /// no later event could be before it; the default limits nothing.
    pub latest: Arc<dyn Fn() -> Time + Send + Sync>,
    /// Called when a durable write failed and the log takes nothing more.
    pub on_fatal: Arc<dyn Fn(&Error) + Send + Sync>,
}

impl Default for Settings {
    /// Files of 64 MiB, groups of 1 MiB, segments of 131,072 events, eight of which become one of
    /// up to 16 million, 256 MiB of indexes, 1,024 waiting requests; no room is left free.
    fn default() -> Self {
        Settings {
            journal_file_bytes_max: 64 << 20,
            group_bytes_max: 1 << 20,
            memtable_events_max: 4096,
            flush_events: 128 << 10,
            unflushed_events_max: 256 << 10,
            compaction_segments: 8,
            compaction_every: Duration::from_millis(200),
            compacted_events_max: 16 << 20,
            cache_bytes_max: 256 << 20,
            waiting_requests_max: 1024,
            space: SpaceLimits::default(),
            clock: Arc::new(|| Duration::ZERO),
            latest: Arc::new(|| Time::from_unix_ns(i64::MAX)),
            on_fatal: Arc::new(|_| {}),
        }
    }
}
