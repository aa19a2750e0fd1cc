//! The open log: the sequencer makes requests durable, and memtables hold the newest events.

pub(crate) mod dedup;
pub(crate) mod history;
pub(crate) mod init;
pub(crate) mod log;
pub(crate) mod memtable;
pub(crate) mod recovery;
pub(crate) mod request;
pub(crate) mod sequencer;
pub(crate) mod settings;
pub(crate) mod state;
#[cfg(test)]
mod tests;
pub(crate) mod threads;
pub(crate) mod words;
