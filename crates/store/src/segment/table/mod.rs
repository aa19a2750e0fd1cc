//! The Parquet file of a segment: one row an event, in the order of the segment, for any data tool.

pub(crate) mod columns;
pub(crate) mod compact;
pub(crate) mod read;
pub(crate) mod write;
