//! Segments: immutable blocks of flushed events. Each is a table that any data tool opens and an
//! index that answers queries.
//!
//! The rows of a segment are in order of trail, time and index. So a trail is one run of rows, and
//! a window of time is a range of that run. The index has, for each value of a dimension, the rows
//! with that value; for each row, its values; the order of the rows in time, whatever their trail;
//! and the rows themselves, in small compressed groups. The table is read for entries and raw bytes
//! alone.

#![allow(
    clippy::cast_possible_truncation,
    reason = "rows of a segment are fewer than 2^32; platforms have 64 bits"
)]

pub(crate) mod blocks;
pub(crate) mod build;
pub(crate) mod by_time;
pub(crate) mod cache;
pub(crate) mod check;
pub(crate) mod column;
pub(crate) mod compact;
pub(crate) mod container;
pub(crate) mod counters;
pub(crate) mod files;
pub(crate) mod key_search;
pub(crate) mod keys;
pub(crate) mod locator;
pub(crate) mod meta;
pub(crate) mod opening;
pub(crate) mod packed;
pub(crate) mod partition;
pub(crate) mod postings;
pub(crate) mod row;
pub(crate) mod rows;
pub(crate) mod sections;
pub(crate) mod segment;
pub(crate) mod table;
pub(crate) mod terms;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod unreadable;
pub(crate) mod varint;
mod write;
