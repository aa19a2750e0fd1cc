//! The journal: batches of frames, in order, durable when appended.
//!
//! A batch is all or nothing. A commit frame ends it; frames without a commit frame behind them
//! never happened. `docs/format.md` specifies the bytes.

pub(crate) mod batch;
pub(crate) mod contract;
pub(crate) mod dead_letter_files;
pub(crate) mod file;
pub(crate) mod frame;
pub(crate) mod reader;
pub(crate) mod scan;
