//! Questions of people and programs to a log, and the answers: over HTTP and on a data directory
//! alike.
//!
//! [`question`] reads what a request or a command line asks for, [`answer`] has the shapes of the
//! answers, [`Finder`] makes one from the other, [`export`] writes whole results as files.

pub mod answer;
mod cursor;
mod emptiness;
mod error;
mod event_detail;
pub mod export;
mod finder;
mod histogram;
pub mod question;

pub use error::QueryError;
pub use finder::{Finder, Own};
