//! Checks of a log's evidence, without its server and without trust in it: only keys that the
//! caller pinned count.
//!
//! - [`proof`] checks the proof file of one event.
//! - [`receipt`](fn@receipt) checks the receipt of an answer, [`receipt_rows`] its rows.
//! - [`export`] checks an exported file against its signed manifest.
//! - [`consistency`] and [`covered`] check checkpoints against a tree.
//! - [`directory`] checks a whole data directory.
//!
//! Hashes and digests of a log come from a directory or a server ([`Source`]). A check errs with
//! [`VerifyError::Refuted`] only for evidence that is wrong; what could not be read is
//! [`VerifyError::Unknown`].
//!
//! ```
//! use verify::{Keys, VerifyError};
//!
//! let key = "example.com/log+7d5b5de5+AQpZKCJYdt1b2hh6cXG4cZT8oSIoEdYBHGyfTVE3MOQ5".to_owned();
//! let keys = Keys::parse(&[key], &[]);
//! // The key's hash is checked when it is read.
//! assert!(keys.is_err());
//!
//! let nobody = Keys { log: Vec::new(), witnesses: Vec::new() };
//! let forged = verify::proof(&nobody, b"not a proof file", None, None);
//! assert!(matches!(forged, Err(VerifyError::Refuted(_))));
//! ```

#![deny(missing_docs)]

mod answer;
pub mod dead_letters;
mod directory;
mod error;
pub mod export;
mod keys;
pub mod manifest;
mod proof;
pub mod receipt;
mod rows;
mod source;
mod tree;

pub use answer::{receipt, receipt_rows};
pub use directory::{VerifiedDirectory, directory};
pub use error::VerifyError;
pub use keys::Keys;
pub use proof::{ProvenEvent, proof};
pub use source::{Server, Source, is_url};
pub use tree::{consistency, covered};
