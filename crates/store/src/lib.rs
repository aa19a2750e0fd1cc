//! The log on disk: durable append, exact queries, recovery.
//!
//! Every log guarantees:
//! - an acknowledged append is on disk and visible to the next query;
//! - a request is recorded whole or not at all;
//! - an event with a source's key is recorded once, across restarts too;
//! - a durable write that fails ends the process; the next open recovers everything that was
//!   acknowledged;
//! - a full disk ends nothing: a write without room is refused and leaves no trace;
//! - acknowledged bytes are never cut: bytes that do not read back are damage, reported by file and
//!   offset.
//!
//! The crate is synchronous and knows nothing of HTTP. Time and randomness are arguments. All files
//! are reached through [`durable::Disk`]; the tests replace it by a disk that crashes
//! ([`simulated`]).

#![deny(missing_docs)]

pub mod backup;
mod check;
mod compaction;
mod damage;
mod disk;
mod engine;
mod error;
mod flush;
mod hash;
mod journal;
mod log;
mod manifest;
mod metrics;
mod read;
#[cfg(test)]
mod samples;
mod segment;
mod survey;
mod work;

pub use check::{Progress, Report, check};
pub use damage::DamagedFile;
pub use disk::identity::Identity;
pub use disk::layout::{
    ACCESS, ACCESS_RECORDED, CHECKPOINT, COMMANDS, CONFIG_RECORDED, DEAD_LETTERS_RETRIED, LOG,
    LOG_KEY, RESERVE, SECRETS_KEY, SERVED, SERVING, SOURCE_STATES, WITNESSED, follow_state,
};
pub use disk::objects::{FileObjects, Object, Objects, Version};
pub use disk::space::{Space, SpaceLimits, SpaceReport};
pub use disk::{durable, simulated};
pub use error::Error;
pub use journal::batch::DeadLetter;
pub use journal::frame::EVENT_BYTES_MAX;
pub use journal::scan::TornTail;
pub use log::init::init;
pub use log::log::{Counts, Log};
pub use log::request::{Append, IncomingEvent, OnConflict, Receipt, Refusal};
pub use log::settings::Settings;
pub use metrics::{Clock, Distribution, Histogram, Metrics};
pub use read::audit_files::{AUDIT_FILE_BYTES_MAX, AUDIT_FILE_SECONDS_MAX, AuditFile};
pub use read::contents::{Contents, Row, StoredEvent};
pub use read::dead_letters::{dead_letters, each_dead_letter};
pub use read::room::{BytesRoom, Room};
pub use read::scan::Scan;
pub use survey::damaged_files;
pub use work::Work;
