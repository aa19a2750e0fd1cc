//! Answers queries from segments and memtables together.
//!
//! Each part of the log gives, for each trail of the query, a list of the matching rows in order of
//! time and index: a run of a segment or of a memtable, the rows of one value within it, or a set
//! of rows. The total is the sum of their lengths. A page is found by counting in the lists how
//! many rows come before a moment. So its cost does not depend on its depth, and only the rows of
//! the page are read.

#![allow(
    clippy::cast_possible_truncation,
    reason = "rows of a segment are fewer than 2^32; platforms have 64 bits"
)]

pub(crate) mod condition;
pub(crate) mod list;
pub(crate) mod matching;
pub(crate) mod page;
pub(crate) mod prepared_query;
pub(crate) mod top;
