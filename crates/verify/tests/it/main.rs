//! The verifiers from outside.

#![allow(clippy::unwrap_used)]

mod forged;
