//! The log on disk: durable append, exact queries, recovery.
//!
//! What holds for every log:
//! - an answered append is on disk and visible to the next query;
//! - a request is recorded whole or not at all;
//! - an event with a source's key is recorded once, across restarts too;
//! - a durable write that fails ends the process; the next open recovers everything that was answered;
//! - bytes that were answered for are never cut: what does not read back is damage, named by file and offset.
//!
//! The crate is synchronous and knows nothing of HTTP. Time and randomness are arguments. All files are reached through
//! [`durable::Disk`], which the tests replace by a disk that crashes ([`simulated`]).

#![deny(missing_docs)]

mod audit_files;
mod background;
mod check;
mod condition;
mod dedup;
pub mod durable;
mod engine;
mod error;
mod hash;
mod identity;
mod journal;
mod layout;
mod log;
mod manifest;
mod objects;
mod sealer;
mod segment;
mod sequencer;
pub mod simulated;
mod state;
mod tail;
mod words;

pub use audit_files::{AUDIT_FILE_BYTES_MAX, AUDIT_FILE_SECONDS_MAX, AuditFile};
pub use check::{Progress, Report, TornTail, check};
pub use error::Error;
pub use identity::{Identity, init};
pub use journal::SetAsideRecord;
pub use layout::{ACCESS, ACCESS_RECORDED, CONFIG_RECORDED, SEALING_KEY, SERVING};
pub use log::{Counts, EVENT_BYTES_MAX, Log, Row, Settings, set_aside};
pub use objects::{FileObjects, Object, Objects, Version};
pub use sequencer::{Append, Incoming, OnConflict, Receipt, Refusal};
