//! How a log is run.

use std::sync::Arc;
use std::time::Duration;

use crate::error::Error;
use crate::metrics::Clock;

/// How a log is run. The defaults suit a server.
pub struct Settings {
    /// A journal file is full at this size; bounds what a start has to copy.
    pub journal_file_bytes_max: u64,
    /// A group takes no further request past this size. Bounds how long the first of it waits, and
    /// keeps its bytes in the processor's cache: groups of 8 MiB made a third of the events a
    /// second.
    pub group_bytes_max: usize,
    /// Events of a part of the log in memory; smaller parts are sooner copied by a query, larger
    /// ones sooner searched.
    pub memtable_events_max: usize,
    /// Events that are flushed into one segment; until there are so many they are in memory and in
    /// the journal. Here and in the other limits of events in memory, one of more than 2 KiB in the
    /// journal counts as several.
    pub flush_events: u64,
    /// Events that may wait to be flushed; while there are more, no further request is taken from
    /// the queue. Not less than `flush_events`.
    pub unflushed_events_max: u64,
    /// So many adjacent segments of about a size are compacted into one, and up to four times as many
    /// where there are more; no fewer than that while events come fast.
    pub compaction_segments: usize,
    /// How often it is looked whether there is something to compaction.
    pub compaction_every: Duration,
    /// No segment that segments are compacted into holds more events.
    pub compacted_events_max: u64,
    /// Bytes of segments' indexes kept in memory.
    pub cache_bytes_max: u64,
    /// How many requests may wait for the sequencer before further ones are refused as
    /// [`Error::Overloaded`].
    pub waiting_requests_max: usize,
    /// Tells how long a sync takes, for [`Metrics`]; the default tells nothing.
    pub clock: Clock,
    /// Called when a durable write failed and the log takes no more.
    pub on_fatal: Arc<dyn Fn(&Error) + Send + Sync>,
}

impl Default for Settings {
    /// Files of 64 MiB, groups of 1 MiB, segments of 131,072 events, eight of which become one of
    /// up to 16 million, 256 MiB of indexes, 1,024 waiting requests.
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
            clock: Arc::new(|| Duration::ZERO),
            on_fatal: Arc::new(|_| {}),
        }
    }
}
