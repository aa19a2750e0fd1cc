//! The source formats: pure parsers from bytes as received to events.
//!
//! A parser takes a whole body and returns an [`Item`] for each thing in it. Bytes that cannot be
//! used are an item too, with the reason, so that nothing is lost. Only a body that is not an
//! envelope of the format at all is an [`EnvelopeError`].
//!
//! A format is one file in the folder of its family, with its `Spec`, and one line in
//! [`Format::ALL`].

#![deny(missing_docs)]

mod access_line;
mod artifact;
mod attempts;
mod bounds;
mod cloud;
mod context;
mod csv;
mod database;
mod format;
mod host;
mod interchange;
mod item;
mod json_array;
mod json_pieces;
mod lines;
mod meaning;
mod network;
mod open_events;
mod outline;
mod records;
mod registry;
mod repository_request;
mod request_headers;
mod spec;
mod sql;
pub mod syslog_message;
mod texts;

pub use attempts::Attempts;
pub use context::{Context, FilePosition, Limits, Options, Secrets, Zone};
pub use event::RejectedRecord;
pub use event::json::{DEPTH_MAX, ELEMENTS_MAX, MEMBERS_MAX, NAME_BYTES_MAX, STRING_BYTES_MAX};
pub use format::Format;
pub use item::{DEFERRED, EnvelopeError, Item};
pub use spec::{Continuation, Count, Delivery, Sequence};
