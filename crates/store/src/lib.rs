//! The log on disk: durable append, exact queries, recovery.
//!
//! What holds for every log:
//! - an answered append is on disk and visible to the next query;
//! - a request is recorded whole or not at all;
//! - an event with a source's key is recorded once, across restarts too;
//! - a durable write that fails ends the process; the next open recovers everything that was
//!   answered;
//! - bytes that were answered for are never cut: what does not read back is damage, named by file
//!   and offset.
//!
//! The crate is synchronous and knows nothing of HTTP. Time and randomness are arguments. All files
//! are reached through [`durable::Disk`], which the tests replace by a disk that crashes
//! ([`simulated`]).

#![deny(missing_docs)]

mod aside;
mod audit_files;
mod background;
mod check;
mod condition;
mod contents;
mod dedup;
pub mod durable;
mod engine;
mod error;
mod figures;
mod hash;
mod identity;
mod journal;
mod layout;
mod log;
mod manifest;
mod objects;
mod planted;
mod sealer;
mod segment;
mod sequencer;
pub mod simulated;
mod state;
mod tail;
mod tree_files;
mod walk;
mod words;

pub use audit_files::{AUDIT_FILE_BYTES_MAX, AUDIT_FILE_SECONDS_MAX, AuditFile};
pub use check::{Progress, Report, TornTail, check};
pub use contents::{Contents, Row, Stored};
pub use error::Error;
pub use figures::{Clock, Distribution, Figures, Histogram};
pub use identity::{Identity, init};
pub use journal::SetAsideRecord;
pub use layout::{
    ACCESS, ACCESS_RECORDED, CHECKPOINT, CONFIG_RECORDED, LOG_KEY, SEALING_KEY, SERVING,
    SET_ASIDE_RETRIED, SOURCES_KEPT, WITNESSED, followed,
};
pub use log::{Counts, EVENT_BYTES_MAX, Log, Settings, each_set_aside, set_aside};
pub use objects::{FileObjects, Object, Objects, Version};
pub use planted::{is_planted, skips};
pub use sequencer::{Append, Incoming, OnConflict, Receipt, Refusal};
pub use walk::Walk;
