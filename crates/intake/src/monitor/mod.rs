//! Watching the sources: counters, gaps in their numbers, losses, and silence.

pub mod counters;
pub mod gaps;
pub mod losses;
pub mod silence;
pub mod source_monitor;
pub mod state_file;
