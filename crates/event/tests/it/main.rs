//! The pure crate from outside: canonical form and searches.

#![allow(clippy::unwrap_used)]

mod canonical_entry;
mod search;
